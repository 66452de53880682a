"""What a check says: a level, a code from one table, and the place in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from erpcrm_bridge.errors import Complaint
from erpcrm_bridge.settings.yaml import Document, Path

Level: TypeAlias = Literal["ERROR", "LAW", "LOSSY", "WARN", "ok"]

LEVELS: dict[Level, str] = {
    "ERROR": "will fail, or has no single meaning",
    "LAW": "silently changes data: a shrunk counterexample shows how",
    "LOSSY": "the system cannot hold all that a golden record can; what becomes of it is said",
    "WARN": "some values are parked, or read as another",
    "ok": "a loss that the mapping accepts, with its reason",
}
CODES: dict[str, tuple[tuple[Level, ...], str]] = {
    "compile": (("ERROR",), "the rule is not as the mapping language has it"),
    "expression": (("ERROR",), "the text under `get`, `put` or `when` is not an expression of the language"),
    "unknown-canonical": (("ERROR",), "there is no such canonical field or list"),
    "unknown-external": (("ERROR",), "the system has no such stream or field"),
    "unmapped": (("ERROR",), "a canonical field has neither a rule nor a reason under `unmapped`, or has both"),
    "untested": (("ERROR",), "no inline test expects anything of a rule with `via`, `get` or `put`"),
    "test": (("ERROR",), "an inline test does not hold"),
    "two-writers": (("ERROR",), "two rules give one canonical field, or write one external field"),
    "ambiguous-inverse": (("ERROR",), "several external values read as one, and `write` does not say which is written"),
    "fallback-undeclared": (("ERROR",), "an unknown value reads as another, and `accept_loss` does not say why that is right"),
    "no-connector": (
        ("WARN",),
        "the mapping is for a connector that is not installed here: no flow uses it, and it is held against no system",
    ),
    "value-undeclared": (("WARN",), "a `$connection.NAME` stands in the mapping, and the connection's `values` have no such name"),
    "loss-undeclared": (("ERROR",), "a transform cuts something off, and `accept_loss` does not say why that is right"),
    "internal-id": (("ERROR",), "an id of one account stands in the mapping; it is another thing in the next account"),
    "not-text": (("ERROR",), "a cell of a CSV file is text, and the rule takes it for a number, or for true or false: it never fits"),
    "unrounded": (("WARN",), "an amount is read without `money`: it may have more decimals than its currency"),
    "when-hides-deletes": (("ERROR",), "`when` tests a field that tells of a delete; deletes never pass through `when`"),
    "when-overlap": (("ERROR",), "a record belongs to two mappings of one stream"),
    "ref-cycle": (("ERROR",), "required references go round in a circle: none of the records could be created"),
    "append": (("ERROR",), "a list is appended to; a write that is repeated would double its lines"),
    "group-policy": (("ERROR",), "members of one group have different policies"),
    "group-partial": (
        ("WARN",),
        "the mapping carries some members of a group only: it never moves the group while golden holds more of it",
    ),
    "not-writable": (("ERROR",), "the rule writes a field that this credential cannot write"),
    "not-readable": (("ERROR",), "the rule reads a field that this credential cannot read"),
    "required-unmapped": (("ERROR",), "the system wants the field on a create, and the mapping does not see to it"),
    "required-passthrough": (("WARN",), "the system wants the field on a create, and only the pass-through can fill it"),
    "picklist-uncovered": (("ERROR", "WARN"), "the pick-list has a value that the table lacks; its field would be parked"),
    "picklist-stale": (("ERROR", "WARN"), "the table has a value that the pick-list lacks; an error where it would be written"),
    "enum-uncovered": (("WARN",), "a canonical value has no external value of its own"),
    "refuses": (("WARN",), "some canonical values cannot be written; their field would be parked"),
    "unknown-move": (("ERROR",), "`moves` names a state, or a move from one to another, that the canonical model does not have"),
    "move-not-offered": (("ERROR",), "the system has no call for a move of a state"),
    "newer-unsound": (("ERROR",), "`newer` compares versions that are not ordered, or not finely enough"),
    "get-not-total": (("ERROR",), "reading fails on a value that the system may hold"),
    "PutGet": (("LAW", "ok"), "what was written reads as something else"),
    "GetPut": (("LAW",), "what was read and is put back would be written"),
    "GetPutGet": (("LAW", "ok"), "what was read, written to a new record and read again is something else"),
    "fixpoint": (("LAW",), "two systems rewrite one another: a second lap changes what the first one settled"),
    "fallback": (("ok",), "values of the pick-list that read by fallback"),
    "slots": (("LOSSY", "ERROR"), "a list in slots may have more lines than there are slots; an error where its lines make a total"),
    "length": (("LOSSY",), "text may be longer than the field holds"),
    "precision": (("LOSSY",), "a number may have more digits than the field holds"),
    "scale": (("LOSSY",), "a number may have more decimals than the field holds"),
}
"""Each code with the levels at which it is reported, and what it says. The reference of findings is made from it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found. ``about`` is the rule; ``connection`` the one whose system it was found against, where one was."""

    level: Level
    code: str
    complaint: Complaint
    about: str = ""
    connection: str = ""

    @property
    def what(self) -> str:
        return self.complaint.what

    @property
    def text(self) -> str:
        """What was found, without the code."""
        return self.what.removeprefix(f"{self.code}: ")

    @property
    def wrong(self) -> bool:
        """Whether the mapping must not be used so."""
        return self.level in ("ERROR", "LAW")

    def __str__(self) -> str:
        return f"{self.level} {self.complaint}"


def of_complaint(complaint: Complaint) -> Finding:
    """Return what was raised while a file was read or compiled as a finding; its code stands before the first colon, if it has one."""
    code = complaint.what.partition(":")[0]
    return Finding("ERROR", code if code in CODES else "compile", complaint)


class Report:
    """Findings about one mapping, each once."""

    def __init__(self, document: Document, connection: str = "") -> None:
        self.findings: list[Finding] = []
        self._document = document
        self._connection = connection

    def add(self, level: Level, code: str, place: Path, what: str, way_out: str = "", *, about: str = "") -> None:
        """Add a finding at ``place``; the rule it is about is the last name of the place, unless it is named."""
        complaint = self._document.complaint(place, f"{code}: {what}", way_out)
        finding = Finding(level, code, complaint, about or rule_at(place), self._connection)
        if finding not in self.findings:
            self.findings.append(finding)


def rule_at(place: Path) -> str:
    """Return the name of the rule at ``place``, with its list's; the section's where it is no rule."""
    if place[:1] == ("fields",) and len(place) > 1:
        return str(place[1])
    if place[:1] == ("lists",) and len(place) > 3:
        return f"{place[1]}.{place[3]}"
    return str(place[0]) if place else ""
