"""What passes between the engine and a connector: records, changes, pages, writes and their outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeAlias, overload

from msgspec import Struct

from erpcrm_bridge.model.values import Fields


class Record(Struct, frozen=True, gc=False):
    """A record as it stands in its system.

    ``fields`` holds every field that was asked for, in external form; null means that the field is empty, never that it was not
    fetched (L11). The rows of a list stand under the list's own external name, each row a dict that holds its key field too.
    ``version`` is compared for equality only, unless the stream declares its versions ordered.
    """

    key: str
    version: str
    fields: Fields


class Change(Struct, frozen=True, gc=False):
    """How the record ``key`` stands now; ``record`` is None where it is gone for certain (a tombstone).

    ``merged_into`` names the key that took a merged record's place, where the system tells it.
    """

    key: str
    record: Record | None
    merged_into: str | None = None


class Heads(Sequence[Change]):
    """Changes of which key and version are known at once, and the rest is made only when it is asked for: ``record`` makes the record of
    a place. For a connector whose full read tells of very many records that have not moved."""

    def __init__(self, keys: Sequence[str], versions: Sequence[str], record: Callable[[int], Record]) -> None:
        self.keys = keys
        self.versions = versions
        self._record = record

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Change]:
        return map(self._made, range(len(self.keys)))

    @overload
    def __getitem__(self, at: int) -> Change: ...
    @overload
    def __getitem__(self, at: slice) -> list[Change]: ...
    def __getitem__(self, at: int | slice) -> Change | list[Change]:
        return self._made(at) if isinstance(at, int) else [self._made(one) for one in range(*at.indices(len(self.keys)))]

    def _made(self, at: int) -> Change:
        return Change(self.keys[at], self._record(at))


class Page(Struct, frozen=True):
    """Changes, and the cursor from which the next read goes on after them.

    ``complete`` is true on the last page of a bracketed full read: every record that existed throughout the read has been in it, so
    that a known key which was in none of its pages is absent. Any other page says nothing about absence (L8).
    ``problems`` are rows that could not be read as records; they are parked and stop nobody else (L9).
    """

    changes: Sequence[Change]
    cursor: str
    complete: bool = False
    problems: tuple[Problem, ...] = ()

    @property
    def heads(self) -> tuple[Sequence[str], Sequence[str | None]]:
        """The key and the version of each change, in their order; a tombstone has no version."""
        if isinstance(self.changes, Heads):
            return self.changes.keys, self.changes.versions
        return [change.key for change in self.changes], [change.record.version if change.record else None for change in self.changes]


class Problem(Struct, frozen=True):
    """A record that could not be read: where it stands, its key where one is known, and why."""

    where: str
    key: str | None
    reason: str


class Child(Struct, frozen=True):
    """A list that lives in a stream of its own: its records whose field ``parent`` holds the document's key, known by ``key``."""

    stream: str
    parent: str
    key: str
    fields: tuple[str, ...]


class Selection(Struct, frozen=True):
    """What is read of a stream: fields by external name, and the child streams whose records are read as lists of the document.

    ``key`` names the field that is the record's key (empty where a stream's description says that several make it up), ``external_id``
    the one that carries the bridge's reference (None: it has none). A change of a child record counts as a change of its document.
    ``assigns_keys`` says who gives a new record its key, where the system does not: "nobody", or options as the connector's settings have
    them (None: the settings say).
    """

    stream: str
    key: str
    fields: tuple[str, ...]
    external_id: str | None = None
    children: tuple[Child, ...] = ()
    assigns_keys: Any = None


Operation: TypeAlias = Literal["create", "update", "delete", "move"]


class ListWrite(Struct, frozen=True):
    """What a write does to one list of a document; never an append.

    ``add`` holds new rows by the engine's line id, ``change`` the fields to write of rows by their key, ``remove`` keys. With ``replace``
    the list is written whole: ``rows`` is then all of it, in order, as pairs of line id and fields (a known row's fields hold its key);
    the others say what of it is news.
    """

    add: dict[str, Fields] = {}
    change: dict[str, Fields] = {}
    remove: tuple[str, ...] = ()
    replace: bool = False
    rows: tuple[tuple[str, Fields], ...] = ()


class Write(Struct, frozen=True):
    """What is asked of a system for one record. It touches only what it names.

    ``ref`` names the write in its outcome. ``key`` is the record's own key (None for a create). ``reference`` is the value that a create
    carries in the selection's external-id field. ``expect`` holds what the fields to be written were last known to hold: a connector
    without conditional writes compares them in the call before, one with them sends ``version``; where the system has moved on, the
    outcome is Stale. ``move`` is ``(field, state wanted)`` of a move; it is carried out by whatever call the system has.
    """

    ref: str
    operation: Operation
    key: str | None
    fields: Fields
    version: str | None = None
    expect: Fields = {}
    reference: str | None = None
    lists: dict[str, ListWrite] = {}
    move: tuple[str, str] | None = None


class Applied(Struct, frozen=True):
    """Done. ``fields`` is the record as it is known to be held now, with all selected fields and lists, read back where the system's
    answer did not tell it (L1); for a delete it is empty. ``line_keys`` gives, for each list, the keys of added rows by line id."""

    ref: str
    key: str
    version: str
    fields: Fields
    line_keys: dict[str, dict[str, str]] = {}


RejectClass: TypeAlias = Literal["field", "record", "reference", "permission", "duplicate"]


class Rejected(Struct, frozen=True):
    """Refused, and nothing was written. ``reason`` is the system's own sentence; ``field`` the external field at fault where it is told.

    The class says what is at fault: a ``field``'s value, the ``record`` as a whole, a ``reference`` to another record, a right
    (``permission``), or another record that is there already (``duplicate``, its key in ``existing`` where told).
    """

    ref: str
    reject: RejectClass
    reason: str
    field: str | None = None
    existing: str | None = None


class Stale(Struct, frozen=True):
    """The record is no longer as the write expected, and nothing was written: it must be read again. ``gone`` if it no longer exists."""

    ref: str
    gone: bool = False


class Unknown(Struct, frozen=True):
    """The answer was lost: it may have been done. ``handle`` finds an asynchronous job again, where there is one."""

    ref: str
    reason: str
    handle: str | None = None


class Deferred(Struct, frozen=True):
    """Accepted and not done yet: ask again with ``find`` or by ``handle``, not before ``until`` (an instant; empty: not told).

    A create into a stream whose keys nobody here may assign is deferred: it waits in a side file until its system has taken it in.
    """

    ref: str
    handle: str
    reason: str = ""
    until: str = ""


Outcome: TypeAlias = Applied | Rejected | Stale | Unknown | Deferred


class Found(Struct, frozen=True):
    """What ``find`` answers for one question: the keys that match, and whether the record waits under a handle (see Deferred)."""

    keys: tuple[str, ...]
    waiting: str | None = None


class Question(Struct, frozen=True):
    """One question to ``find``: records whose named external fields hold these values (all of them); text compares as the system does."""

    ref: str
    fields: dict[str, Any]


class Budget(Struct):
    """The bridge's share of a system's API (L12). ``calls`` is the number of calls a day it may make (None: no limit), ``parallel`` how
    many at once. ``spent`` is counted by the connector."""

    calls: int | None = None
    parallel: int = 1
    spent: int = 0
