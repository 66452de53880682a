"""The rows that pass in and out of the store. Plain structs: the hot path builds no ORM objects."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from erpcrm_bridge.model.values import Fields

Author: TypeAlias = list[str]
"""Who said a golden field: [connection (or ``person:name``, ``rule:on_delete``), version there, run]."""

LinkState: TypeAlias = Literal["live", "wanted", "asleep", "missing", "tombstone", "alias"]
"""live: written and read. wanted: not there yet, to be created (its key is None). asleep: has left its filter. missing: not found, and
the system cannot tell why. tombstone: deleted there. alias: a second key of the same golden record, never written."""

IncomingState: TypeAlias = Literal["new", "waiting", "parked"]
"""new: to be merged. waiting: for a parent. parked: for a person, or until the record changes in its system."""

ParkedKind: TypeAlias = Literal["clash", "field", "record", "review", "waiting", "missing", "intention", "row"]
"""clash: a field moved apart. field, record: could not be mapped or was refused. review: may be another record. waiting: the waiting
room. missing: neither there nor known to be gone. intention: may exist. row: could not be read."""

LONGEST_KEY = 2_000
"""Bytes of UTF-8: PostgreSQL's indexes take no entry of more than 2,704, with what stands beside the key."""


def may_be_key(text: str) -> bool:
    """Tell whether ``text`` is short enough for a key: a longer one cannot be looked up, and is not to be stored as one."""
    return len(text) * 4 <= LONGEST_KEY or len(text.encode()) <= LONGEST_KEY


class GoldenRow(Struct):
    """A golden record. ``fields`` by canonical path, lists by name (each line a dict with its ``id``); ``authors`` by path, ``*`` for all
    the others; ``seq`` is the store's sequence when it last changed; ``merged_into`` follows a merge of two customers."""

    id: str
    entity: str
    fields: Fields
    authors: dict[str, Author]
    seq: int = 0
    state: Literal["live", "gone"] = "live"


class LinkRow(Struct):
    """A golden record's copy in one stream of one system.

    ``base`` is what the system was last known to hold (None: never read); ``answered`` the digests of golden values, by canonical path,
    that the base is this system's rendition of, kept only where ``get(base)`` differs; ``rules`` the digest of the mapping that settled
    it; ``line_keys`` for each list the system's key of each canonical line id; ``held`` why a push was refused for good: the digest of
    what it was refused upon, by canonical path or ``*`` for the whole record; ``pending`` paths of optional references that wait for
    their target; ``seq`` the store's sequence at the last settle; ``earlier`` the versions before this one, newest last, by which a
    record that goes back to what it was is known.
    """

    id: str
    golden_id: str
    entity: str
    stream_id: int
    key: str | None
    state: LinkState = "live"
    dirty: bool = False
    base: Fields | None = None
    answered: dict[str, str] = {}
    version: str = ""
    rules: str = ""
    line_keys: dict[str, dict[str, str]] = {}
    held: dict[str, str] = {}
    pending: list[str] = []
    seq: int = 0
    earlier: list[str] = []

    def stand_at(self, version: str) -> None:
        """Note the version at which the record stands now, and keep the one before among the earlier ones."""
        if self.version and self.version != version:
            self.earlier = [*self.earlier[-4:], self.version]
        self.version = version


class Past(Struct):
    """As much of a link as tells in which versions its record has stood. See LinkRow."""

    state: LinkState
    version: str
    earlier: list[str]


class Head(Struct, frozen=True, gc=False):
    """As much of a known record as it takes to see whether it has moved: the version last read, and where it stands. ``past`` is what its
    link says, where one knows it."""

    version: str
    state: str
    past: Past | None = None


class IncomingRow(Struct):
    """How a record stood when it was read, not merged yet. ``fields`` None: it is gone there. ``seq``: the store's sequence when the read
    began. ``link_id`` and ``golden_id`` are filled on reading where the key is linked."""

    stream_id: int
    key: str
    version: str
    fields: Fields | None
    seq: int
    state: IncomingState = "new"
    merged_into: str | None = None
    link_id: str | None = None
    golden_id: str | None = None


class Intention(Struct):
    """The durable note before a call that is not idempotent."""

    id: str
    link_id: str
    golden_id: str
    stream_id: int
    operation: str
    reference: str
    digest: str
    handle: str | None
    run: str


class ParkedRow(Struct):
    """What waits for another try or a person. ``subject`` is unique among the open ones (``clash:G…:email``): parking again updates.

    ``data`` holds what a person needs to decide (the candidates of a clash, the hits of a review). ``waits_for`` names, for the waiting
    room, whom it waits for (``customer:001…`` or a golden id). No field's value in ``reason``,
    except an option that a table does not know: the operator has to know which.
    """

    id: str
    flow: str
    kind: ParkedKind
    subject: str
    entity: str
    golden_id: str | None
    stream_id: int | None
    key: str | None
    field: str | None
    error: str
    reason: str
    data: dict[str, Any] = {}
    waits_for: str | None = None
    run: str = ""
    attempts: int = 1
    opened_at: str = ""
    closed_at: str | None = None
    closed_by: str | None = None


class HistoryRow(Struct):
    """One settle of one golden record: who wrote which field, why, over what. ``data`` is packed by the engine; see ``sync.history``."""

    golden_id: str
    run: str
    at: str
    data: dict[str, Any]
    id: int = 0


class RunRow(Struct):
    """One execution of a flow. ``counts`` are numbers by name."""

    id: str
    flow: str
    kind: str
    started_at: str
    finished_at: str | None = None
    status: str = "running"
    counts: dict[str, int] = {}
    message: str = ""


class Fence(Struct, frozen=True):
    """A held lease: a settling transaction passes only while ``number`` is the work row's fence."""

    key: str
    owner: str
    number: int
