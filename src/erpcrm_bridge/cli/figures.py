"""How well the demo's systems were joined, held against the truth that its data come with."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from erpcrm_bridge.mapping import MatchRule
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.store import ParkedRow, Store
from erpcrm_bridge.sync.natural import form

STREAMS = {
    "customer": ("Account.csv", "customers.csv"),
    "contact": ("Contact.csv", "contacts.csv"),
    "order": ("Order.csv", "salesorders.csv"),
}
"""For each entity that the truth knows, its stream in the CRM and in the ERP."""


@dataclass(slots=True)
class Figures:
    """One entity. Of its true ``pairs``: ``bound``, in ``review``, ``waiting`` for a parent, ``parked``, or ``unmatched`` by reason.
    ``wrong`` are bindings of records that are not the same. Of ``doubles`` inside one side: ``named`` to a person;
    ``doubles_waiting`` are to be looked at when their parent has come."""

    entity: str
    pairs: int = 0
    bound: int = 0
    wrong: int = 0
    review: int = 0
    waiting: int = 0
    parked: int = 0
    unmatched: Counter[str] = field(default_factory=Counter)
    doubles: int = 0
    named: int = 0
    doubles_waiting: int = 0

    def told(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {name: getattr(self, name) for name in self.__slots__}


def figures(store: Store, truth: Path, rules: dict[str, tuple[MatchRule, ...]]) -> list[Figures]:
    """Return the figures of every entity that the truth (truth.csv) knows, from what the store holds."""
    by_entity: dict[str, list[dict[str, str]]] = defaultdict(list)
    with truth.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            by_entity[row["entity"]].append(row)
    numbers = {name: number for number, (_, name) in store.streams().items()}
    return [_of_entity(store, entity, rows, numbers, rules[entity]) for entity, rows in by_entity.items()]


def _of_entity(store: Store, entity: str, rows: list[dict[str, str]], numbers: dict[str, int], rules: tuple[MatchRule, ...]) -> Figures:
    result = Figures(entity)
    crm, erp = (numbers[name] for name in STREAMS[entity])
    in_crm = store.golden_of([crm], [row["crm_key"] for row in rows if row["crm_key"]])
    in_erp = store.golden_of([erp], [row["erp_key"] for row in rows if row["erp_key"]])
    open_rows = {(row.stream_id, row.key): row for row in store.parked(kinds=["review", "waiting", "record", "row"], limit=1_000_000)}
    pairs = {(row["crm_key"], row["erp_key"]) for row in rows if row["class"] == "pair"}
    result.wrong = _wrong(in_crm, in_erp, pairs)
    apart: list[tuple[str, str]] = []
    for crm_key, erp_key in sorted(pairs):
        result.pairs += 1
        left, right = in_crm.get(crm_key), in_erp.get(erp_key)
        if left and right and left == right:
            result.bound += 1
        elif left and right:
            apart.append((left, right))
        else:
            _count_open(result, [open_rows.get((crm, crm_key)), open_rows.get((erp, erp_key))])
    golden = store.golden(sorted({golden_id for pair in apart for golden_id in pair}))
    result.unmatched.update(_reason(rules, golden[left].fields, golden[right].fields) for left, right in apart)
    for row in rows:
        if row["class"].startswith("double"):
            stream, key = (crm, row["crm_key"]) if row["crm_key"] else (erp, row["erp_key"])
            result.doubles += 1
            mine, other = open_rows.get((stream, key)), open_rows.get((stream, row["same_as"]))
            result.named += _names(mine, row["same_as"]) or _names(other, key)
            result.doubles_waiting += mine is not None and mine.kind == "waiting"
    return result


def _wrong(in_crm: dict[str, str], in_erp: dict[str, str], pairs: set[tuple[str, str]]) -> int:
    """Return how many bindings join records that are not the same."""
    there: dict[str, list[str]] = defaultdict(list)
    for erp_key, golden_id in in_erp.items():
        there[golden_id].append(erp_key)
    return sum((crm_key, erp_key) not in pairs for crm_key, golden_id in in_crm.items() for erp_key in there.get(golden_id, ()))


def _count_open(result: Figures, rows: list[ParkedRow | None]) -> None:
    kinds = {row.kind for row in rows if row is not None}
    if "review" in kinds:
        result.review += 1
    elif "waiting" in kinds:
        result.waiting += 1
    elif kinds:
        result.parked += 1
    else:
        result.unmatched["not read"] += 1


def _names(row: ParkedRow | None, other: str) -> bool:
    return row is not None and row.kind == "review" and (row.error == "double" or any(o.get("key") == other for o in row.data["others"]))


def _reason(rules: tuple[MatchRule, ...], left: Fields, right: Fields) -> str:
    """Return why no exact rule joins the two: what is missing or different of each field that a rule looks at."""
    said = []
    for path in dict.fromkeys(path for rule in rules for path in rule.keys):
        one, other = form(path, left.get(path)), form(path, right.get(path))
        if one is None or other is None:
            said.append(f"{path} missing")
        elif one != other:
            said.append(f"{path} differs")
    return ", ".join(said) or "more than one could be meant"
