"""A small system of record in memory: its people, its records, its faults.

The system decides what it holds: it normalises, assigns by trigger, refuses, versions each record and remembers the deleted. What it
offers is its streams' ``Capabilities``, and it does no more than these say: without ``conditional`` it looks at no version, without
``reports_deletes`` its change log has no tombstones. People act through ``create``, ``edit``, ``move``, ``delete``, ``restore`` and
``merge``, the bridge through ``serve``; all of it stands in ``log``, which is what a checker reads.

Time comes from ``clock`` (Unix seconds) and order from ``rng``; both are given. Nothing that goes in or out is shared with the caller,
but what ``serve`` takes and gives: its callers copy.
"""

from __future__ import annotations

import math
import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from erpcrm_bridge.connector import (
    Capabilities,
    Description,
    Field,
    ListWrite,
    Stream,
)
from erpcrm_bridge.errors import (
    AuthError,
    CursorExpired,
    PermissionDenied,
    QuotaExhausted,
    SchemaDrift,
    TransientError,
    UsageError,
)
from erpcrm_bridge.model.values import Fields, same

FaultKind: TypeAlias = Literal[
    "refused",
    "throttled",
    "quota",
    "unauthorized",
    "forbidden",
    "expired",
    "before",
    "after",
    "answer_lost",
    "partial",
    "stale",
    "page_twice",
]
"""refused, throttled, quota, unauthorized, forbidden, expired: an error, and nothing was done. before, after: someone acts just before
or after the work. answer_lost: done, and the connection breaks. partial: the first ``done`` rows of a batch are done, then it breaks.
stale: a read answers with each record's state before its last change. page_twice: the page before comes again."""

VERBS = ("describe", "changes", "scan", "head", "keys", "read", "find", "write")
_WINDOW = "the time between the connector's re-read and its write, one call"


class AnswerLost(Exception):
    """The connection broke after the call was sent: it may have been done."""


class Refused(Exception):
    """The system does not take a record as asked; nothing was written."""

    def __init__(self, reject: str, reason: str, field: str | None = None, existing: str | None = None) -> None:
        super().__init__(reason)
        self.reject, self.reason, self.field, self.existing = reject, reason, field, existing


class Moved(Exception):
    """The record is no longer at the version asked for, or (``gone``) no longer there."""

    def __init__(self, gone: bool) -> None:
        super().__init__("gone" if gone else "moved on")
        self.gone = gone


class Trigger(Struct, frozen=True):
    """The system's own rule: on each save (or only on ``create``) ``field`` becomes ``value``; with ``if_empty`` only where it is null."""

    field: str
    value: Any
    on: Literal["create", "save"] = "save"
    if_empty: bool = False


class StreamSpec(Struct, frozen=True):
    """One stream of the system.

    ``fields`` need not name the key and the external id; they are added. ``normalisers`` are applied to a field in order: ``trim``,
    ``upper``, ``phone`` (digits and a leading +), ``blank`` ("" becomes null), ``cut:83`` (characters), ``round:2`` (decimals, half up).
    ``unique`` fields hold each value once. ``inline`` lists stand inside the record, their rows known by ``line_key``. ``parent`` makes
    the stream a child: the name of the reference field that holds its document's key; its changes are changes of the document.
    ``natural``: the fields whose values, joined by ``|``, are a record's key; they are given on a create and do not change.
    ``resolution``: changes are stamped by the clock in steps of so many seconds, so that stamps can be equal; None: each has its own.
    """

    name: str
    fields: dict[str, Field]
    capabilities: Capabilities = Capabilities(window=_WINDOW)
    key: str = "Id"
    external_id: str | None = "Ref"
    unique: tuple[str, ...] = ()
    parent: str | None = None
    inline: dict[str, dict[str, Field]] = {}
    line_key: str = "line"
    normalisers: dict[str, tuple[str, ...]] = {}
    triggers: tuple[Trigger, ...] = ()
    resolution: float | None = None
    natural: tuple[str, ...] = ()

    def shape(self) -> dict[str, Field]:
        """Return all fields: the key, the external id, the declared ones, the inline lists."""
        key = {self.key: Field(self.key, nullable=False, creatable=False, updatable=False)}
        reference = {self.external_id: Field(self.external_id, length=40)} if self.external_id else {}
        return {**key, **reference, **self.fields, **{name: Field(name, type="list") for name in self.inline}}


class Rights(Struct, frozen=True):
    """What a credential may do. ``hidden_fields`` and ``hidden_records`` are names and keys by stream, which it does not see."""

    read: bool = True
    write: bool = True
    hidden_fields: dict[str, tuple[str, ...]] = {}
    hidden_records: dict[str, tuple[str, ...]] = {}


class Event(Struct, frozen=True):
    """One thing that happened to one record: who (``person`` or a credential), what, and the fields before and after (None: not there)."""

    seq: int
    at: float
    actor: str
    verb: str
    stream: str
    key: str
    before: Fields | None
    after: Fields | None


class Held(Struct):
    """A record as the system keeps it. ``stamp`` and key are its place in the change log; ``lines`` the row keys by list and line id."""

    key: str
    fields: Fields
    version: int
    stamp: int
    gone: bool = False
    merged_into: str | None = None
    gone_with: str | None = None
    lines: dict[str, dict[str, str]] = {}
    previous: tuple[int, Fields] | None = None


class Fault(Struct):
    """A fault that strikes at the ``nth`` call of ``verb`` from now, and at the next ``times`` - 1 (None: until cleared)."""

    verb: str
    kind: FaultKind
    nth: int = 1
    times: int | None = 1
    done: int = 1
    act: Callable[[], object] | None = None


class Faults:
    """The faults asked for. ``struck`` lists what has struck, as (verb, kind)."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self.struck: list[tuple[str, FaultKind]] = []

    def add(
        self,
        verb: str,
        kind: FaultKind,
        *,
        nth: int = 1,
        times: int | None = 1,
        done: int = 1,
        act: Callable[[], object] | None = None,
    ) -> None:
        """Ask for a fault. Verbs: describe, changes, scan, head, keys, read, find, write; ``*`` is any of them."""
        self._waiting.append(Fault(verb, kind, nth, times, done, act))

    def clear(self) -> None:
        """Forget those that have not struck."""
        self._waiting.clear()

    def due(self, verb: str) -> list[Fault]:
        """Count one call of ``verb``; return the faults that strike it."""
        striking: list[Fault] = []
        for fault in list(self._waiting):
            if fault.verb not in (verb, "*"):
                continue
            fault.nth -= 1
            if fault.nth > 0:
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
            striking.append(fault)
            self.struck.append((verb, fault.kind))
        return striking


class _State(Struct):
    """What survives a restart."""

    identity: str
    specs: list[StreamSpec]
    records: dict[str, list[Held]]
    rights: dict[str, Rights]
    codes: dict[str, dict[str, str]]
    log: list[Event]
    seq: int
    numbers: dict[str, int]
    expired: dict[str, int]


_state_encoder = msgspec.json.Encoder(decimal_format="number")
_state_decoder = msgspec.json.Decoder(_State, float_hook=Decimal)


def copied(value: Any) -> Any:
    """Return ``value`` with its lists and objects copied in depth; scalars are shared, for they cannot change."""
    if isinstance(value, dict):
        return {name: item if type(item) in _SCALARS else copied(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [item if type(item) in _SCALARS else copied(item) for item in value]
    return value


_SCALARS = frozenset((str, int, float, bool, type(None), Decimal))


def normalised(value: Any, steps: Sequence[str]) -> Any:
    """Return what the system makes of ``value``; a step that does not fit its type leaves it alone."""
    for step in steps:
        name, _, size = step.partition(":")
        if isinstance(value, str):
            if name == "trim":
                value = value.strip()
            elif name == "upper":
                value = value.upper()
            elif name == "phone":
                value = re.sub(r"(?!^\+)[^0-9]", "", value.strip())
            elif name == "cut":
                value = value[: int(size)]
            elif name == "blank":
                value = value or None
        elif isinstance(value, Decimal) and name == "round":
            value = value.quantize(Decimal(1).scaleb(-int(size)), ROUND_HALF_UP)
    return value


class MemorySystem:
    """A running system of record. See the module's text."""

    def __init__(
        self,
        specs: Sequence[StreamSpec],
        *,
        identity: str = "memory",
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        codes: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.identity = identity
        self.specs = {spec.name: spec for spec in specs}
        self.faults = Faults()
        self.log: list[Event] = []
        self.rights: dict[str, Rights] = {"bridge": Rights()}
        self.codes = {kind: dict(table) for kind, table in (codes or {}).items()}
        self._plain: Any = None
        self._clock = clock
        self._rng = rng
        self._lock = threading.RLock()
        self._shapes = {spec.name: spec.shape() for spec in specs}
        self._children = {spec.name: [child for child in specs if child.parent and spec.name in _parents(child)] for spec in specs}
        self._records: dict[str, dict[str, Held]] = {spec.name: {} for spec in specs}
        self._seq = 0
        self._numbers = {spec.name: 0 for spec in specs}
        self._stamps = {spec.name: 0 for spec in specs}
        self._expired = {spec.name: 0 for spec in specs}
        self._page_before: dict[tuple[str, str, str], Any] = {}

    # -- what people do -------------------------------------------------------------------------------------------------------------

    def alter(self, stream: str, field: str, to: Field | None) -> None:
        """Let an administrator add or change a field of a stream, or take it away (None); what records hold of it stays."""
        with self._lock:
            shape = {name: known for name, known in self._shapes[self._spec(stream).name].items() if name != field}
            self._shapes[stream] = shape | ({field: msgspec.structs.replace(to, name=field)} if to is not None else {})
            self._plain = None

    def create(self, stream: str, fields: Fields, lists: Mapping[str, Sequence[Fields]] | None = None, *, actor: str = "person") -> str:
        """Make a record, with the rows of its lists; return its key. Raises Refused."""
        with self._lock:
            rows = {name: ListWrite(add={str(n): row for n, row in enumerate(rows)}) for name, rows in (lists or {}).items()}
            return self._create(actor, self._spec(stream), copied(fields), _persons_lists(rows, self._seq)).key

    def edit(self, stream: str, key: str, fields: Fields, lists: Mapping[str, ListWrite] | None = None, *, actor: str = "person") -> None:
        """Change a record. Raises Refused; Moved where it is gone."""
        with self._lock:
            self._update(actor, self._spec(stream), self._live(stream, key), copied(fields), _persons_lists(lists or {}, self._seq))

    def move(self, stream: str, key: str, field: str, wanted: str, *, actor: str = "person") -> None:
        """Carry out one move of a state field; one that is there already does nothing. Raises Refused; Moved where it is gone."""
        with self._lock:
            self._move(actor, self._spec(stream), self._live(stream, key), field, wanted)

    def delete(self, stream: str, key: str, *, actor: str = "person") -> None:
        """Delete a record and its child records. Raises Moved where it is gone."""
        with self._lock:
            self._delete(actor, self._spec(stream), self._live(stream, key))

    def restore(self, stream: str, key: str, *, actor: str = "person") -> None:
        """Bring a deleted record back with the child records that went with it. Raises Refused where another holds its unique values."""
        with self._lock:
            spec = self._spec(stream)
            held = self._records[stream].get(key)
            if held is None or not held.gone:
                raise UsageError(f"{stream} {key} is not among the deleted.")
            self._refuse_doubles(spec, key, held.fields)
            self._bring_back(actor, spec, held)
            for child in self._children[stream]:
                for row in self._records[child.name].values():
                    if row.gone and row.gone_with == key:
                        self._bring_back(actor, child, row)

    def merge(self, stream: str, loser: str, winner: str, *, actor: str = "person") -> None:
        """Merge ``loser`` into ``winner``: references move over, the loser is gone and says where to. Raises Moved where one is gone."""
        with self._lock:
            spec = self._spec(stream)
            lost, won = self._live(stream, loser), self._live(stream, winner)
            for other in self.specs.values():
                for name, field in other.fields.items():
                    if stream in field.references:
                        for row in [row for row in self._records[other.name].values() if not row.gone and row.fields.get(name) == loser]:
                            self._commit(actor, "edit", other, row, {**row.fields, name: winner})
            self._delete(actor, spec, lost, verb="merge", merged_into=winner)
            self._commit(actor, "merge", spec, won, won.fields)

    def get(self, stream: str, key: str) -> Fields | None:
        """Return a record's fields and lists (child lists under the child stream's name); None where it is not there."""
        with self._lock:
            held = self._records[self._spec(stream).name].get(key)
            return None if held is None or held.gone else self._whole(self.specs[stream], held)

    def all(self, stream: str) -> dict[str, Fields]:
        """Return all records that are there, by key."""
        with self._lock:
            return {key: self._whole(self.specs[stream], held) for key, held in self._records[stream].items() if not held.gone}

    def expire_cursors(self, stream: str) -> None:
        """Forget the change log up to now: cursors given out before raise CursorExpired."""
        with self._lock:
            self._seq += 1
            exact = self._spec(stream).resolution is None
            self._expired[stream] = self._now(self._spec(stream)) + (1 if exact else 0)

    # -- what survives a restart ----------------------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """Return the system's whole state as JSON; faults are not in it."""
        with self._lock:
            state = _State(
                self.identity,
                list(self.specs.values()),
                {name: list(records.values()) for name, records in self._records.items()},
                self.rights,
                self.codes,
                self.log,
                self._seq,
                self._numbers,
                self._expired,
            )
            return _state_encoder.encode(state)

    @classmethod
    def load(cls, state: bytes, *, clock: Callable[[], float] = time.time, rng: random.Random | None = None) -> MemorySystem:
        """Return the system that ``dump`` wrote down."""
        kept = _state_decoder.decode(state)
        system = cls(kept.specs, identity=kept.identity, clock=clock, rng=rng, codes=kept.codes)
        system.rights, system.log, system._seq = kept.rights, kept.log, kept.seq
        system._numbers, system._expired = kept.numbers, kept.expired
        system._records = {name: {held.key: held for held in records} for name, records in kept.records.items()}
        system._stamps = {name: max((held.stamp for held in records.values()), default=0) for name, records in system._records.items()}
        return system

    # -- what a program may call ----------------------------------------------------------------------------------------------------

    def serve(self, credential: str, verb: str, args: Mapping[str, Any]) -> Any:
        """Answer one call of the bridge's; ``args`` and the answer are JSON values (Decimals for numbers), to be copied by the caller.

        Raises errors of ``erpcrm_bridge.errors``, and AnswerLost where a fault breaks the connection.
        """
        with self._lock:
            struck = self.faults.due(verb)
            for fault in struck:
                self._strike_before(fault)
            rights = self.rights.get(credential)
            if rights is None:
                raise AuthError("The system does not know this credential.")
            if not rights.read or (verb == "write" and not rights.write):
                raise PermissionDenied(f"This credential may not {verb} here.")
            if verb not in VERBS:
                raise UsageError(f"The system has no call {verb}.")
            if verb != "describe" and args["stream"] not in self.specs:
                raise SchemaDrift(f"There is no stream {args['stream']}.")
            answer = self._answer(credential, rights, verb, args, struck)
            for fault in struck:
                if fault.kind == "after" and fault.act:
                    fault.act()
            if any(fault.kind in ("answer_lost", "partial") for fault in struck):
                raise AnswerLost(f"the connection broke during {verb}")
            return answer

    def _strike_before(self, fault: Fault) -> None:
        match fault.kind:
            case "refused":
                raise TransientError("The system is not available.")
            case "throttled":
                raise TransientError("Too many calls at once.", retry_after=1.0)
            case "quota":
                raise QuotaExhausted("The calls of this day are used up.")
            case "unauthorized":
                raise AuthError("The credential has expired.")
            case "forbidden":
                raise PermissionDenied("The credential's rights were withdrawn.")
            case "expired":
                raise CursorExpired("The change log does not go back so far.")
            case "before" if fault.act:
                fault.act()

    def _answer(self, credential: str, rights: Rights, verb: str, args: Mapping[str, Any], struck: Sequence[Fault]) -> Any:
        kinds = {fault.kind for fault in struck}
        if verb == "describe":
            return self._describe(rights)
        spec = self.specs[args["stream"]]
        if verb == "write":
            rows = args["rows"]
            if len(rows) > spec.capabilities.max_batch:
                raise UsageError(f"{spec.name} takes {spec.capabilities.max_batch} records a call, not {len(rows)}.")
            done = min([fault.done for fault in struck if fault.kind == "partial"], default=len(rows))
            return self._shuffled([self._write(credential, spec, row) for row in rows[:done]])
        if verb == "find":
            return [self._find(spec, rights, condition) for condition in args["conditions"]]
        if verb == "head":
            return self._head(spec)
        if verb == "keys":
            held = self._after_key(spec, rights, args)
            return {"keys": [row.key for row in held[: args["limit"]]], "last": len(held) <= args["limit"]}
        asked = self._asked(spec, rights, args)
        if verb == "read":
            return self._shuffled(self._read(spec, rights, args["keys"], asked, stale="stale" in kinds))
        place = (credential, verb, spec.name)
        if "page_twice" in kinds and args["after"] and place in self._page_before:
            return {**self._page_before[place], "last": False}
        page = self._changes(spec, rights, args, asked) if verb == "changes" else self._scan(spec, rights, args, asked)
        self._page_before[place] = page
        return page

    def _describe(self, rights: Rights) -> Any:
        """Return what the credential may see; one with all rights is told the same each time."""
        if rights != Rights():
            return self._described(rights)
        if self._plain is None:
            self._plain = self._described(rights)
        return self._plain

    def _described(self, rights: Rights) -> Any:
        streams = {}
        for spec in self.specs.values():
            hidden = rights.hidden_fields.get(spec.name, ())
            fields = {
                name: msgspec.structs.replace(field, readable=False, creatable=False, updatable=False) if name in hidden else field
                for name, field in self._shapes[spec.name].items()
            }
            able = spec.capabilities
            if not rights.write:
                able = msgspec.structs.replace(able, create=False, update=False, delete=False, moves={})
            streams[spec.name] = Stream(spec.name, fields, able, natural=spec.natural)
        return msgspec.to_builtins(Description(self.identity, streams, self.codes))

    def _asked(self, spec: StreamSpec, rights: Rights, args: Mapping[str, Any]) -> _Asked:
        """Return what the rows of an answer hold. Raises SchemaDrift for a name that is not there."""
        wanted = {spec.name: tuple(args["fields"]), **{child["stream"]: tuple(child["fields"]) for child in args["children"]}}
        for stream, names in wanted.items():
            if stream not in self.specs:
                raise SchemaDrift(f"There is no stream {stream}.")
            for name in names:
                if name not in self._shapes[stream]:
                    raise SchemaDrift(f"{stream} has no field {name}.")
        seen = {
            stream: tuple(name for name in names if name not in rights.hidden_fields.get(stream, ())) for stream, names in wanted.items()
        }
        children: dict[str, dict[str, list[Held]]] = {}
        for child in args["children"]:
            groups: dict[str, list[Held]] = {}
            for held in self._records[child["stream"]].values():
                if not held.gone:
                    groups.setdefault(held.fields.get(child["parent"]) or "", []).append(held)
            children[child["stream"]] = groups
        return _Asked(seen.pop(spec.name), seen, children)

    def _row(self, spec: StreamSpec, held: Held, asked: _Asked, *, stale: bool = False) -> Any:
        version, fields = held.previous if stale and held.previous else (held.version, held.fields)
        row = {name: held.key if name == spec.key else fields.get(name) for name in asked.fields}
        for stream, names in asked.child_fields.items():
            child = self.specs[stream]
            row[stream] = [
                {child.key: line.key, **{name: line.fields.get(name) for name in names if name != child.key}}
                for line in asked.children[stream].get(held.key, ())
            ]
        return {"key": held.key, "version": str(version), "stamp": held.stamp, "fields": row}

    def _read(self, spec: StreamSpec, rights: Rights, keys: Sequence[str], asked: _Asked, *, stale: bool) -> list[Any]:
        rows = []
        unseen = []
        for key in dict.fromkeys(keys):
            held = self._records[spec.name].get(key)
            if held is None or held.gone:
                continue
            if key in rights.hidden_records.get(spec.name, ()):
                unseen.append(key)
                continue
            if stale and held.previous is None:
                continue
            rows.append(self._row(spec, held, asked, stale=stale))
        if unseen and spec.capabilities.tells_gone:
            raise PermissionDenied(f"This credential may not see {spec.name} {', '.join(unseen)}.", keys=unseen)
        return rows

    def _seen(self, spec: StreamSpec, rights: Rights) -> list[Held]:
        hidden = rights.hidden_records.get(spec.name, ())
        return [held for held in self._records[spec.name].values() if held.key not in hidden]

    def _changes(self, spec: StreamSpec, rights: Rights, args: Mapping[str, Any], asked: _Asked) -> Any:
        """Return a page of the change log: the records changed at or after ``at_least``, after the place ``after``, as they stand."""
        if spec.capabilities.incremental != "log":
            raise UsageError(f"{spec.name} keeps no change log.")
        at_least, after, limit = args["at_least"], args["after"], args["limit"]
        if at_least is not None and at_least < self._expired[spec.name]:
            raise CursorExpired("The change log does not go back so far.")
        place = tuple(after) if after else (-1, "")
        tombstones = spec.capabilities.reports_deletes
        log = sorted(
            (held for held in self._seen(spec, rights) if tombstones or not held.gone),
            key=lambda held: (held.stamp, held.key),
        )
        rest = [held for held in log if held.stamp >= (at_least or 0) and (held.stamp, held.key) > place]
        rows = [
            {"key": held.key, "gone": True, "merged_into": held.merged_into, "stamp": held.stamp}
            if held.gone
            else self._row(spec, held, asked)
            for held in rest[:limit]
        ]
        return {"rows": rows, "last": len(rest) <= limit, "now": self._now(spec), "exact": spec.resolution is None}

    def _after_key(self, spec: StreamSpec, rights: Rights, args: Mapping[str, Any]) -> list[Held]:
        after = args["after"] or ""
        return sorted((held for held in self._seen(spec, rights) if not held.gone and held.key > after), key=lambda held: held.key)

    def _scan(self, spec: StreamSpec, rights: Rights, args: Mapping[str, Any], asked: _Asked) -> Any:
        held = self._after_key(spec, rights, args)
        return {"rows": [self._row(spec, one, asked) for one in held[: args["limit"]]], "last": len(held) <= args["limit"]}

    def _head(self, spec: StreamSpec) -> int:
        """Return a number that is another one after each change of the stream."""
        return sum(held.version for held in self._records[spec.name].values())

    def _find(self, spec: StreamSpec, rights: Rights, condition: Fields) -> list[str]:
        for name in condition:
            if name not in self._shapes[spec.name]:
                raise SchemaDrift(f"{spec.name} has no field {name}.")
        wanted = {name: normalised(value, spec.normalisers.get(name, ())) for name, value in condition.items()}
        return [
            held.key
            for held in self._seen(spec, rights)
            if not held.gone and all(same(held.key if name == spec.key else held.fields.get(name), value) for name, value in wanted.items())
        ]

    def _write(self, credential: str, spec: StreamSpec, row: Mapping[str, Any]) -> Any:
        """Carry out one row of a batch; whatever is wrong with it is said in its own answer."""
        ref = row["ref"]
        try:
            held = self._written(credential, spec, row)
        except Refused as error:
            return {"ref": ref, "refused": [error.reject, error.reason, error.field, error.existing]}
        except Moved as error:
            return {"ref": ref, "moved": error.gone}
        return {"ref": ref, "key": held.key, "version": str(held.version), "lines": held.lines}

    def _written(self, credential: str, spec: StreamSpec, row: Mapping[str, Any]) -> Held:
        operation, able, fields = row["operation"], spec.capabilities, row["fields"]
        lists = {name: msgspec.convert(said, ListWrite) for name, said in row["lists"].items()}
        if operation == "create":
            if not able.create:
                raise Refused("permission", f"{spec.name} takes no new records.")
            there = self._by_reference(spec, fields) if able.upsert else None
            return there or self._create(credential, spec, fields, lists)
        held = self._live(spec.name, row["key"])
        if held.key in self.rights[credential].hidden_records.get(spec.name, ()):
            raise Refused("permission", "insufficient access rights on this record")
        if operation == "move":
            name, wanted = row["move"]
            if same(held.fields.get(name), wanted):
                return held
        if able.conditional and row["version"] is not None and row["version"] != str(held.version):
            raise Moved(gone=False)
        if operation == "move":
            self._move(credential, spec, held, name, wanted)
        elif operation == "delete":
            if not able.delete:
                raise Refused("permission", f"Records of {spec.name} cannot be deleted.")
            self._delete(credential, spec, held)
        elif not able.update:
            raise Refused("permission", f"Records of {spec.name} cannot be changed.")
        else:
            hidden = [name for name in fields if name in self.rights[credential].hidden_fields.get(spec.name, ())]
            if hidden:
                raise Refused("permission", "insufficient access rights on this field", hidden[0])
            self._update(credential, spec, held, fields, lists)
        return held

    def _by_reference(self, spec: StreamSpec, fields: Fields) -> Held | None:
        external = spec.external_id or ""
        reference = fields.get(external)
        if reference is None:
            return None
        return next((held for held in self._records[spec.name].values() if not held.gone and held.fields[external] == reference), None)

    def _shuffled(self, rows: list[Any]) -> list[Any]:
        if self._rng:
            self._rng.shuffle(rows)
        return rows

    # -- how records are kept -------------------------------------------------------------------------------------------------------

    def _spec(self, stream: str) -> StreamSpec:
        if stream not in self.specs:
            raise UsageError(f"There is no stream {stream}.")
        return self.specs[stream]

    def _live(self, stream: str, key: str) -> Held:
        held = self._records[self._spec(stream).name].get(key)
        if held is None or held.gone:
            raise Moved(gone=True)
        return held

    def _now(self, spec: StreamSpec) -> int:
        """Return the stamp of a change made now, or for a log without equal stamps that of the last change."""
        if spec.resolution is None:
            return self._seq
        stamp = int(math.floor(self._clock() / spec.resolution) * spec.resolution * 1000)
        self._stamps[spec.name] = max(self._stamps[spec.name], stamp)
        return self._stamps[spec.name]

    def _commit(self, actor: str, verb: str, spec: StreamSpec, held: Held, fields: Fields, *, new: bool = False) -> None:
        """Keep ``fields`` as the record's present state: version, stamp, log, and the document that it is a line of."""
        before = None if new or held.gone else held.fields
        held.previous = None if new else (held.version, held.fields)
        held.fields = fields
        held.gone, held.merged_into, held.gone_with = False, None, None
        self._step(spec, held)
        self._note(actor, verb, spec, held.key, (before, fields))
        self._touch_documents(spec, before, fields)

    def _step(self, spec: StreamSpec, held: Held) -> None:
        self._seq += 1
        held.version += 1
        held.stamp = self._now(spec)

    def _note(self, actor: str, verb: str, spec: StreamSpec, key: str, states: tuple[Fields | None, Fields | None]) -> None:
        self.log.append(Event(self._seq, self._clock(), actor, verb, spec.name, key, *copied(states)))

    def _touch_documents(self, spec: StreamSpec, *states: Fields | None) -> None:
        if spec.parent is None:
            return
        for key in {state.get(spec.parent) for state in states if state}:
            for stream in _parents(spec):
                document = self._records.get(stream, {}).get(key or "")
                if document and not document.gone:
                    self._step(self.specs[stream], document)

    def _bring_back(self, actor: str, spec: StreamSpec, held: Held) -> None:
        self._commit(actor, "restore", spec, held, held.fields)

    def _delete(self, actor: str, spec: StreamSpec, held: Held, *, verb: str = "delete", merged_into: str | None = None) -> None:
        for child in self._children[spec.name]:
            for row in [
                row for row in self._records[child.name].values() if not row.gone and row.fields.get(child.parent or "") == held.key
            ]:
                self._delete(actor, child, row)
                row.gone_with = held.key
        held.gone, held.merged_into = True, merged_into
        held.previous = (held.version, held.fields)
        self._step(spec, held)
        self._note(actor, verb, spec, held.key, (held.fields, None))
        self._touch_documents(spec, held.fields)

    def _create(self, actor: str, spec: StreamSpec, fields: Fields, lists: Mapping[str, ListWrite]) -> Held:
        ready = self._ready(spec, None, fields)
        self._numbers[spec.name] += 1
        key = "|".join(str(ready[name]) for name in spec.natural) or f"{spec.name[:2].upper()}{self._numbers[spec.name]:06d}"
        if key in self._records[spec.name]:
            raise Refused("duplicate", "its key is in use", spec.natural[0], key)
        held = Held(key, ready, 0, 0)
        work = self._planned(spec, held, lists)
        self._records[spec.name][held.key] = held
        self._carry_out(actor, spec, held, work)
        self._commit(actor, "create", spec, held, held.fields, new=True)
        return held

    def _update(self, actor: str, spec: StreamSpec, held: Held, fields: Fields, lists: Mapping[str, ListWrite]) -> None:
        ready = self._ready(spec, held, fields)
        work = self._planned(spec, held, lists)
        ready.update({name: copied(held.fields[name]) for name in spec.inline})
        kept = held.fields
        held.fields = ready
        self._carry_out(actor, spec, held, work)
        held.fields = kept
        self._commit(actor, "edit", spec, held, ready)

    def _move(self, actor: str, spec: StreamSpec, held: Held, field: str, wanted: str) -> None:
        present = held.fields.get(field)
        if same(present, wanted):
            return
        if wanted not in spec.capabilities.moves.get(field, {}).get(present or "", ()):
            raise Refused("field", f"{field} cannot go there from where it stands", field)
        self._commit(actor, "move", spec, held, {**held.fields, field: wanted})

    def _ready(self, spec: StreamSpec, held: Held | None, said: Fields, *, parent_is_known: bool = False) -> Fields:
        """Return the record's fields as they will be held. Raises Refused."""
        shape = self._shapes[spec.name]
        before = {name: [] if name in spec.inline else None for name in shape if name != spec.key} if held is None else held.fields
        after = {**before, **self._checked(shape, said, spec.normalisers, "", creating=held is None)}
        for trigger in spec.triggers:
            if (trigger.on == "save" or held is None) and not (trigger.if_empty and after.get(trigger.field) is not None):
                after[trigger.field] = trigger.value
        for name, field in shape.items():
            if field.required and after.get(name) is None and (held is None or name in said):
                raise Refused("field", f"{name} is required", name)
            if held is not None and name in spec.natural and not same(after.get(name), held.fields.get(name)):
                raise Refused("field", f"{name} is part of the key, which does not change", name)
            if name in said and field.references and after[name] is not None and not (parent_is_known and name == spec.parent):
                self._refuse_dangling(field, after[name])
        self._refuse_doubles(spec, held.key if held else None, {name: after[name] for name in spec.unique if name in said})
        return after

    def _checked(
        self, shape: Mapping[str, Field], said: Fields, steps: Mapping[str, tuple[str, ...]], where: str, *, creating: bool
    ) -> Fields:
        checked = {}
        for name, value in said.items():
            field = shape.get(name)
            if field is None:
                raise Refused("field", f"there is no field {name}", name)
            if field.type == "list" or not (field.creatable if creating else field.updatable):
                raise Refused("field", f"{name} cannot be written", name)
            checked[name] = _fitting(field, normalised(value, steps.get(where + name, ())))
        return checked

    def _refuse_dangling(self, field: Field, key: str) -> None:
        for stream in field.references:
            held = self._records.get(stream, {}).get(key)
            if held and not held.gone:
                return
        raise Refused("reference", f"{field.name} points at no record", field.name)

    def _refuse_doubles(self, spec: StreamSpec, key: str | None, fields: Fields) -> None:
        for name in spec.unique:
            if fields.get(name) is None:
                continue
            for other in self._records[spec.name].values():
                if other.key != key and not other.gone and same(other.fields[name], fields[name]):
                    raise Refused("duplicate", f"{name} is held by another record", name, other.key)

    # -- lists of documents ---------------------------------------------------------------------------------------------------------

    def _planned(self, spec: StreamSpec, held: Held, lists: Mapping[str, ListWrite]) -> list[_ListWork]:
        """Return what is to be done to each list; nothing is done yet. Raises Refused, Moved."""
        children = {child.name: child for child in self._children[spec.name]}
        work = []
        for name, said in lists.items():
            lines = held.lines.get(name, {})
            if name in spec.inline:
                present = [row[spec.line_key] for row in held.fields[name]]
                steps = _steps(said, present, lines, spec.line_key)
                shape = spec.inline[name]
                adds = {
                    line: self._line(name, shape, self._checked(shape, row, spec.normalisers, name + ".", creating=True))
                    for line, row in steps.adds.items()
                }
                changes = {
                    key: self._checked(shape, row, spec.normalisers, name + ".", creating=False) for key, row in steps.changes.items()
                }
            elif name in children:
                child = children[name]
                rows = self._records[name]
                present = [row.key for row in rows.values() if not row.gone and row.fields.get(child.parent or "") == held.key]
                steps = _steps(said, present, lines, child.key)
                parent = {child.parent or "": held.key}
                adds = {line: self._ready(child, None, {**row, **parent}, parent_is_known=True) for line, row in steps.adds.items()}
                changes = {key: self._ready(child, rows[key], row) for key, row in steps.changes.items()}
            else:
                raise Refused("field", f"there is no list {name}", name)
            work.append(_ListWork(name, adds, changes, steps.removes, steps.order))
        return work

    @staticmethod
    def _line(name: str, shape: Mapping[str, Field], said: Fields) -> Fields:
        row = {**dict.fromkeys(shape), **said}
        for field in shape.values():
            if field.required and row[field.name] is None:
                raise Refused("field", f"{name}.{field.name} is required", f"{name}.{field.name}")
        return row

    def _carry_out(self, actor: str, spec: StreamSpec, held: Held, work: Sequence[_ListWork]) -> None:
        for one in work:
            lines = held.lines.setdefault(one.name, {})
            if one.name in spec.inline:
                self._inline(spec, held, one, lines)
                continue
            child = self.specs[one.name]
            rows = self._records[one.name]
            for key in one.removes:
                self._delete(actor, child, rows[key])
            for key, fields in one.changes.items():
                self._commit(actor, "edit", child, rows[key], fields)
            for line, fields in one.adds.items():
                self._numbers[child.name] += 1
                row = Held(f"{child.name[:2].upper()}{self._numbers[child.name]:06d}", fields, 0, 0)
                rows[row.key] = row
                self._commit(actor, "create", child, row, fields, new=True)
                lines[line] = row.key

    def _inline(self, spec: StreamSpec, held: Held, work: _ListWork, lines: dict[str, str]) -> None:
        rows = {row[spec.line_key]: row for row in held.fields[work.name] if row[spec.line_key] not in work.removes}
        for key, fields in work.changes.items():
            rows[key] = {**rows[key], **fields}
        for line, fields in work.adds.items():
            self._numbers[spec.name] += 1
            key = f"{self._numbers[spec.name]:06d}"
            rows[key] = {spec.line_key: key, **fields}
            lines[line] = key
        order = [lines.get(name, name) for name in work.order] or list(rows)
        held.fields[work.name] = [rows[key] for key in order]

    def _whole(self, spec: StreamSpec, held: Held) -> Fields:
        whole: Fields = copied({spec.key: held.key, **held.fields})
        for child in self._children[spec.name]:
            rows = self._records[child.name].values()
            whole[child.name] = [
                copied({child.key: row.key, **row.fields})
                for row in rows
                if not row.gone and row.fields.get(child.parent or "") == held.key
            ]
        return whole


class _Asked(Struct):
    """What the rows of an answer hold, and the child records by stream and document."""

    fields: tuple[str, ...]
    child_fields: dict[str, tuple[str, ...]]
    children: dict[str, dict[str, list[Held]]]


class _ListWork(Struct):
    """What is to be done to one list. ``order``: keys, and line ids of added rows, where the list is written whole."""

    name: str
    adds: dict[str, Fields]
    changes: dict[str, Fields]
    removes: list[str]
    order: list[str]


def _steps(said: ListWrite, present: Sequence[str], lines: Mapping[str, str], key_field: str) -> _ListWork:
    """Return a list write as adds, changes and removes. A line id that has a row is that row. Raises Moved for a row that is not there."""
    work = _ListWork("", {}, {}, [], [])
    rows = said.rows if said.replace else tuple(said.add.items())
    for line, fields in rows:
        key: str = fields.get(key_field) or lines.get(line) or ""
        content = {name: value for name, value in fields.items() if name != key_field}
        if key in present:
            work.changes[key] = content
        elif key_field in fields:
            raise Moved(gone=False)
        else:
            work.adds[line] = content
        work.order.append(key if key in present else line)
    if said.replace:
        work.removes = [key for key in present if key not in work.changes]
        return work
    work.order = []
    for key, fields in said.change.items():
        if key not in present:
            raise Moved(gone=False)
        work.changes[key] = {**work.changes.get(key, {}), **fields}
    work.removes = [key for key in said.remove if key in present]
    return work


def _fitting(field: Field, value: Any) -> Any:
    """Return ``value`` if the field takes it. Raises Refused."""
    if value is None:
        if not field.nullable:
            raise Refused("field", f"{field.name} cannot be empty", field.name)
        return None
    if field.type == "number":
        fits = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
        exponent = value.as_tuple().exponent if isinstance(value, Decimal) else 0
        fits = fits and (field.scale is None or (isinstance(exponent, int) and -exponent <= field.scale))
    elif field.type == "boolean":
        fits = isinstance(value, bool)
    elif field.type == "object":
        fits = isinstance(value, dict)
    else:
        fits = isinstance(value, str) and (field.length is None or len(value) <= field.length)
        fits = fits and not (field.restricted and value not in field.choices)
    if not fits:
        raise Refused("field", f"{field.name} does not take this value", field.name)
    return value


def _parents(spec: StreamSpec) -> tuple[str, ...]:
    return spec.fields[spec.parent].references if spec.parent else ()


def _persons_lists(lists: Mapping[str, ListWrite], seq: int) -> dict[str, ListWrite]:
    """Return list writes whose new rows have line ids that nobody else uses: a person's rows are never a repetition."""
    return {
        name: msgspec.structs.replace(
            said,
            add={f"person-{seq}-{line}": copied(row) for line, row in said.add.items()},
            change=copied(said.change),
            rows=tuple((f"person-{seq}-{line}", copied(row)) for line, row in said.rows),
        )
        for name, said in lists.items()
    }
