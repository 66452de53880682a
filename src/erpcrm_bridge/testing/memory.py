"""The memory connector: an honest connector, to a system of record in memory (``erpcrm_bridge.testing.system``).

::

    system = MemorySystem([StreamSpec("Account", {"Name": Field("Name", length=80, required=True)})])
    key = system.create("Account", {"Name": "Acme"})           # a person at the keyboard
    system.edit("Account", key, {"Name": "Acme AG"})
    connector = MemoryConnector(system, page_size=3)           # the bridge
    system.faults.add("write", "answer_lost")                  # the next write is done, and its answer lost

It is also an example for authors: what it does about equal stamps, re-reads, lost answers and fields that were left out is what any
connector has to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import msgspec
from msgspec import Struct
from pydantic import BaseModel, SecretStr

from erpcrm_bridge.connector import (
    Applied,
    Budget,
    Capabilities,
    Change,
    Connector,
    Description,
    Found,
    ListWrite,
    Outcome,
    Page,
    Question,
    Record,
    Rejected,
    Selection,
    Stale,
    Unknown,
    Write,
)
from erpcrm_bridge.errors import CursorExpired, PermissionDenied, QuotaExhausted, SchemaDrift, TransientError, UsageError
from erpcrm_bridge.model.expectation import as_expected
from erpcrm_bridge.model.values import same
from erpcrm_bridge.testing.system import AnswerLost, Event, Faults, MemorySystem, Moved, Refused, Rights, StreamSpec, Trigger, copied

__all__ = [
    "AnswerLost",
    "Event",
    "Faults",
    "LocalWire",
    "MemoryConnector",
    "MemorySettings",
    "MemorySystem",
    "Moved",
    "Refused",
    "Rights",
    "StreamSpec",
    "Trigger",
    "Wire",
    "factory",
]


class Wire(Protocol):
    """How a connector reaches the system. ``call`` raises errors of ``erpcrm_bridge.errors``, or AnswerLost."""

    def call(self, verb: str, args: dict[str, Any]) -> Any:
        """Return the answer of one call."""

    def close(self) -> None:
        """Let go."""


class LocalWire:
    """Reaches a system in this process."""

    def __init__(self, system: MemorySystem, credential: str) -> None:
        self._system, self._credential = system, credential

    def call(self, verb: str, args: dict[str, Any]) -> Any:
        return copied(self._system.serve(self._credential, verb, copied(args)))

    def close(self) -> None:
        """There is nothing to let go of."""


class MemoryConnector:
    """A connector to a MemorySystem, in this process or (``over`` another wire) behind a server.

    ``page_size`` is in records. Where the system has no conditional writes, the connector re-reads in the call before and compares what
    the write expected; the window is the time between these two calls.
    """

    def __init__(
        self,
        system: MemorySystem | None = None,
        *,
        over: Wire | None = None,
        credential: str = "bridge",
        page_size: int = 10,
        budget: Budget | None = None,
        codes: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        if over is None and system is None:
            raise UsageError("A memory connector needs a system or a wire to one.")
        self._wire: Wire = over if over is not None else LocalWire(system, credential)  # type: ignore[arg-type]  # one of the two is given
        self._page_size = page_size
        self._budget = budget if budget is not None else Budget()
        self._codes = codes or {}
        self._described: Description | None = None

    def describe(self) -> Description:
        said = msgspec.convert(self._ask("describe", {}), Description)
        codes = {kind: {**said.codes.get(kind, {}), **self._codes.get(kind, {})} for kind in {*said.codes, *self._codes}}
        self._described = msgspec.structs.replace(said, codes=codes)
        return self._described

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        if self._able(selection).incremental == "log":
            return self._log(selection, since)
        return self._whole(selection, since)

    def _log(self, selection: Selection, since: str | None) -> Iterator[Page]:
        """Read on in the change log.

        Where stamps can be equal, a change may still come under a stamp that was already read: a read begins again at its cursor's
        stamp, and no cursor is later than the moment its read began.
        """
        cursor = _Cursor.read(since, "log", selection.stream)
        place: list[Any] | None = None
        began: int | None = None
        while True:
            at_least = None if cursor is None else cursor.place + (1 if cursor.exact else 0)
            args = {**_asked(selection), "at_least": at_least, "after": place, "limit": self._page_size}
            answer = self._ask("changes", args)
            began = answer["now"] if began is None else began
            changes = [self._change(selection, row) for row in answer["rows"]]
            if answer["last"]:
                reached = answer["now"] if answer["exact"] else began
            elif not answer["rows"]:
                continue
            else:
                place = [answer["rows"][-1]["stamp"], answer["rows"][-1]["key"]]
                reached = place[0] if answer["exact"] else min(place[0], began)
            after = _Cursor("log", selection.stream, reached, answer["exact"]).text()
            complete = since is None and answer["last"] and self._able(selection).lists_keys
            yield Page(changes, after, complete)
            if answer["last"]:
                return

    def _whole(self, selection: Selection, since: str | None) -> Iterator[Page]:
        """Read the stream by key. Only the last page's cursor lets the next read be spared; any other begins from the start."""
        cursor = _Cursor.read(since, "head", selection.stream)
        head = self._ask("head", {"stream": selection.stream})
        if cursor is not None and cursor.place == head:
            yield Page([], cursor.text())
            return
        after: str | None = None
        while True:
            answer = self._ask("scan", {**_asked(selection), "after": after, "limit": self._page_size})
            last = answer["last"]
            changes = [self._change(selection, row) for row in answer["rows"]]
            place = _Cursor("head", selection.stream, head if last else -1, True)
            yield Page(changes, place.text(), last and self._able(selection).lists_keys)
            if last:
                return
            after = answer["rows"][-1]["key"]

    def keys(self, selection: Selection) -> Iterator[list[str]]:
        after: str | None = None
        while True:
            answer = self._ask("keys", {"stream": selection.stream, "after": after, "limit": self._page_size})
            yield answer["keys"]
            if answer["last"]:
                return
            after = answer["keys"][-1]

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        if not keys:
            return []
        return [self._record(selection, row) for row in self._ask("read", {**_asked(selection), "keys": list(keys)})]

    def find(self, selection: Selection, questions: Sequence[Question]) -> dict[str, Found]:
        if not questions:
            return {}
        conditions = [question.fields for question in questions]
        answers = self._ask("find", {"stream": selection.stream, "conditions": conditions})
        return {question.ref: Found(tuple(keys)) for question, keys in zip(questions, answers, strict=True)}

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        if not writes:
            return []
        able = self._able(selection)
        if len(writes) > able.max_batch or len({write.operation for write in writes}) > 1:
            raise UsageError(f"At most {able.max_batch} writes of one operation go in one call.")
        rows, outcomes = self._against_present(selection, writes, able)
        if not rows:
            return outcomes
        try:
            answers = self._wire_call("write", {"stream": selection.stream, "rows": rows})
        except AnswerLost as error:
            return [*outcomes, *(Unknown(row["ref"], str(error)) for row in rows)]
        refused = [_outcome_of(answer) for answer in answers if "key" not in answer]
        done = [answer for answer in answers if "key" in answer]
        return [*outcomes, *refused, *self._read_back(selection, writes, done)]

    def close(self) -> None:
        self._wire.close()

    def _against_present(self, selection: Selection, writes: Sequence[Write], able: Capabilities) -> tuple[list[Any], list[Outcome]]:
        """Return the rows to send, and the outcomes of writes whose record no longer is as they expect.

        A conditional system compares the version itself; a write that has none gets that of a re-read which is as it expects.
        """
        in_doubt = [write for write in writes if write.key is not None and not (able.conditional and write.version is not None)]
        keys = [write.key for write in in_doubt if write.key is not None]
        present = {record.key: record for record in self.read(selection, keys)}
        rows, outcomes = [], list[Outcome]()
        doubted = {write.ref for write in in_doubt}
        for write in writes:
            row = _row_of(write, selection)
            if write.ref in doubted:
                record = present.get(write.key or "")
                if record is None or not as_expected(write, record):
                    outcomes.append(Stale(write.ref, gone=record is None))
                    continue
                row["version"] = record.version
            rows.append(row)
        return rows, outcomes

    def _read_back(self, selection: Selection, writes: Sequence[Write], done: Sequence[Any]) -> list[Outcome]:
        """Return Applied with what is held now; Unknown where that cannot be learned (L1)."""
        if writes[0].operation == "delete":
            return [Applied(answer["ref"], answer["key"], answer["version"], {}) for answer in done]
        asked = {write.ref: write for write in writes}
        present: dict[str, Record] = {}
        for _ in range(3):
            behind = [a["key"] for a in done if a["key"] not in present or int(present[a["key"]].version) < int(a["version"])]
            if not behind:
                break
            try:
                present.update({record.key: record for record in self.read(selection, behind)})
            except QuotaExhausted:
                break
            except TransientError:
                continue
        outcomes: list[Outcome] = []
        for answer in done:
            record = present.get(answer["key"])
            if record is None or int(record.version) < int(answer["version"]) or _edited_since(asked[answer["ref"]], record, answer):
                outcomes.append(Unknown(answer["ref"], "it was taken, and could not be read back as it was then"))
                continue
            lines = {
                name: {line: answer["lines"][name][line] for line in _new_lines(said) if line in answer["lines"].get(name, {})}
                for name, said in asked[answer["ref"]].lists.items()
            }
            outcomes.append(
                Applied(answer["ref"], record.key, record.version, record.fields, {n: keys for n, keys in lines.items() if keys})
            )
        return outcomes

    def _change(self, selection: Selection, row: Any) -> Change:
        if row.get("gone"):
            return Change(row["key"], None, row["merged_into"])
        return Change(row["key"], self._record(selection, row))

    def _record(self, selection: Selection, row: Any) -> Record:
        """Raises PermissionDenied where the answer leaves out a field: it was not delivered, which is not null (L11)."""
        fields = row["fields"]
        missing = [name for name in selection.fields if name not in fields]
        for child in selection.children:
            missing += [f"{child.stream}.{name}" for line in fields[child.stream][:1] for name in child.fields if name not in line]
        if missing:
            raise PermissionDenied(
                f"{selection.stream}: this credential may not read {', '.join(missing)}.", way_out="Grant the right, or unmap the field."
            )
        return Record(row["key"], row["version"], fields)

    def _able(self, selection: Selection) -> Capabilities:
        described = self._described or self.describe()
        if selection.stream not in described.streams:
            raise SchemaDrift(f"There is no stream {selection.stream}.")
        return described.streams[selection.stream].capabilities

    def _ask(self, verb: str, args: dict[str, Any]) -> Any:
        try:
            return self._wire_call(verb, args)
        except AnswerLost as error:
            raise TransientError(str(error)) from error

    def _wire_call(self, verb: str, args: dict[str, Any]) -> Any:
        if self._budget.calls is not None and self._budget.spent >= self._budget.calls:
            raise QuotaExhausted("The bridge's share of the system's calls is used up.")
        self._budget.spent += 1
        return self._wire.call(verb, args)


class _Cursor(Struct, frozen=True):
    """What a cursor's text says."""

    kind: str
    stream: str
    place: int
    exact: bool

    def text(self) -> str:
        return msgspec.json.encode([self.kind, self.stream, self.place, self.exact]).decode()

    @staticmethod
    def read(text: str | None, kind: str, stream: str) -> _Cursor | None:
        """Return what ``text`` says; None for None. Raises CursorExpired for a cursor that is not this stream's."""
        if text is None:
            return None
        try:
            cursor = _Cursor(*msgspec.json.decode(text, type=tuple[str, str, int, bool]))
        except msgspec.DecodeError as error:
            raise CursorExpired("This is no cursor of this system.") from error
        if (cursor.kind, cursor.stream) != (kind, stream):
            raise CursorExpired(f"This is no cursor of {stream}.")
        return cursor


def _asked(selection: Selection) -> dict[str, Any]:
    children = [{"stream": c.stream, "parent": c.parent, "key": c.key, "fields": list(c.fields)} for c in selection.children]
    return {"stream": selection.stream, "fields": list(selection.fields), "children": children}


def _row_of(write: Write, selection: Selection) -> dict[str, Any]:
    fields = dict(write.fields)
    if write.operation == "create" and write.reference is not None and selection.external_id is not None:
        fields[selection.external_id] = write.reference
    lists = {name: msgspec.structs.asdict(said) for name, said in write.lists.items()}
    move = list(write.move) if write.move else None
    return {
        "ref": write.ref,
        "operation": write.operation,
        "key": write.key,
        "fields": fields,
        "version": write.version,
        "lists": lists,
        "move": move,
    }


def _outcome_of(answer: Any) -> Outcome:
    if "moved" in answer:
        return Stale(answer["ref"], gone=answer["moved"])
    reject, reason, field, existing = answer["refused"]
    return Rejected(answer["ref"], reject, reason, field, existing)


def _edited_since(write: Write, record: Record, answer: Any) -> bool:
    """Tell whether a later version than the write's holds something else than was asked: it may be an edit as well as a rendition."""
    if record.version == answer["version"]:
        return False
    return bool(write.lists) or not all(same(record.fields.get(name), value) for name, value in write.fields.items())


def _new_lines(said: ListWrite) -> list[str]:
    return [*said.add, *(line for line, _ in said.rows)]


class MemorySettings(BaseModel):
    """Settings of a connection to a memory system behind its server (``python -m erpcrm_bridge.testing.server``)."""

    model_config = {"extra": "forbid"}

    url: str
    token: SecretStr = SecretStr("bridge")
    timeout: float = 10.0
    page_size: int = 100


class _MemoryFactory:
    name: ClassVar[str] = "memory"
    settings: ClassVar[type[BaseModel]] = MemorySettings

    def open(self, settings: Any, *, budget: Budget, codes: Mapping[str, Mapping[str, str]]) -> Connector:
        from erpcrm_bridge.testing.server import HttpMemoryConnector

        return HttpMemoryConnector(
            settings.url,
            token=settings.token.get_secret_value(),
            timeout=settings.timeout,
            page_size=settings.page_size,
            budget=budget,
            codes=codes,
        )


factory = _MemoryFactory()
