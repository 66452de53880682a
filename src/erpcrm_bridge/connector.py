"""What a connector is. The one file that an author of connectors reads.

A connector speaks to one kind of system. It has five verbs and ``close``; facts about its streams are data (``describe``); what it must
keep is checked by the conformance kit (``erpcrm_bridge.testing.conformance``). It is found by the entry point group
``erpcrm_bridge.connectors``, which names a ``Factory``.

The contract, law by law:

* ``read_changes`` leaves nothing out: whatever was changed after the state that a cursor stands for is in the pages read from it,
  whichever page's cursor that is. A change may come twice. Pages come oldest first where the system knows an order.
* ``read`` returns the records that exist, as they stand at some moment after the call began; a key that does not exist is left out.
  Where a stream ``tells_gone``, one that exists and may not be read raises PermissionDenied, and one that cannot be told (what was read
  may hold it, and cannot be understood) InputError. Their ``keys`` name every such one: without them the call is answered.
* ``write`` returns exactly one outcome for each write, keyed by its ref, in any order. It touches only what a write names, never
  creates from an update, and never says Applied of what it does not know to be held.
* A page may tell keys and versions before its records are made (``Heads``): of what has not moved, none is made then.
* A connector fills every asked field. A field that the credential may not read raises PermissionDenied or SchemaDrift at ``describe``,
  and is never delivered as null.
* It keeps within its ``Budget`` and leaves the rest of the system's limits to people.
* Errors are those of ``erpcrm_bridge.errors``; no message, repr or log line holds a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct
from pydantic import BaseModel

from erpcrm_bridge.model.records import (
    Applied,
    Budget,
    Change,
    Child,
    Deferred,
    Found,
    Heads,
    ListWrite,
    Outcome,
    Page,
    Problem,
    Question,
    Record,
    Rejected,
    Selection,
    Stale,
    Unknown,
    Write,
)

__all__ = [
    "Applied",
    "Budget",
    "Capabilities",
    "Change",
    "Child",
    "Connector",
    "Deferred",
    "Description",
    "Factory",
    "Field",
    "Found",
    "Heads",
    "LeftOut",
    "ListWrite",
    "ListsKeys",
    "Outcome",
    "Page",
    "Problem",
    "PutsAway",
    "Question",
    "ReceivesWebhooks",
    "Record",
    "Rejected",
    "Selection",
    "SetsUpWebhooks",
    "Stale",
    "Stream",
    "Unknown",
    "WebhookRequest",
    "WebhookRule",
    "Write",
]

FieldType: TypeAlias = Literal["text", "number", "boolean", "date", "instant", "choice", "reference", "list", "object"]


class Field(Struct, frozen=True):
    """One field of a stream, as this credential sees it.

    ``length`` counts characters; ``precision`` all digits and ``scale`` those after the point. ``choices`` are the values of a pick-list;
    a ``restricted`` one takes no others. ``references`` are the streams it may point at. ``required`` says that a create must name it.
    """

    name: str
    type: FieldType = "text"
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    choices: tuple[str, ...] = ()
    restricted: bool = False
    nullable: bool = True
    readable: bool = True
    creatable: bool = True
    updatable: bool = True
    required: bool = False
    references: tuple[str, ...] = ()


class Capabilities(Struct, frozen=True):
    """What a stream offers, as data: ask, don't try and see. Declaring less than the system offers fails the conformance kit.

    ``incremental``: ``log`` (a cursor reads on from where it was), ``full`` (each read is the whole stream, unless nothing was touched).
    ``reports_deletes``: tombstones come as changes. ``lists_keys``: full reads are bracketed, so that absence can be known.
    ``tells_gone``: ``read`` tells "gone" from "not permitted". ``conditional``: a write is refused (Stale) by the system itself, with no
    window, when the record has moved on. ``upsert``: a create that carries a reference may be repeated without making a second record.
    ``needs_reference``: a create that carries none is refused, so the mapping must name a field for it.
    ``find``: records can be found by reference and by field values. ``version_exact``: equal versions mean equal records, lists
    included. ``version_order``: later versions are greater, at this resolution in seconds (None: not ordered).
    ``moves``: for each state field, the moves the system has calls for.
    ``window``: in words, what time may pass between the last read before a write and the write (L5); empty where ``conditional``.
    """

    create: bool = True
    update: bool = True
    delete: bool = True
    incremental: Literal["log", "full"] = "log"
    reports_deletes: bool = False
    lists_keys: bool = False
    tells_gone: bool = False
    conditional: bool = False
    upsert: bool = False
    needs_reference: bool = False
    find: bool = True
    version_exact: bool = False
    version_order: float | None = None
    max_batch: int = 200
    moves: dict[str, dict[str, tuple[str, ...]]] = {}
    window: str = ""


class Stream(Struct, frozen=True):
    """A collection of records of one shape. ``fields`` is that shape, for reading and for writing. ``zone`` is the IANA zone of its local
    times (empty: its instants carry their offset). ``natural`` names the fields whose values together are a record's key, where the system
    has no key of its own; how they are joined is the connector's affair.

    A field whose name begins with ``$`` is none of the record's own: the connector keeps it beside (an external id in a table of such)."""

    name: str
    fields: dict[str, Field]
    capabilities: Capabilities
    zone: str = ""
    natural: tuple[str, ...] = ()


class LeftOut(Struct, frozen=True):
    """Why something of the system that should be a stream is none now, and what to do about it."""

    what: str
    way_out: str = ""


class Description(Struct, frozen=True):
    """What a connector says of its system.

    ``identity`` is that of the system, not of the connection (organisation id, database uuid, folder id): links hang on it. ``codes`` are
    this account's code tables: for each kind (currency, country, term, subsidiary …) its own ids to canonical codes. ``left_out`` names
    streams that cannot be used now: they stop only a flow that needs them.
    """

    identity: str
    streams: dict[str, Stream]
    codes: dict[str, dict[str, str]] = {}
    left_out: dict[str, LeftOut] = {}

    def code_tables(self, declared: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
        """Return the tables that hold where a connection declares some beside the system's: of one id, what is declared."""
        return {kind: {**self.codes.get(kind, {}), **declared.get(kind, {})} for kind in {**self.codes, **declared}}


@runtime_checkable
class Connector(Protocol):
    """Five verbs and ``close``. One thread at a time calls them."""

    def describe(self) -> Description:
        """Talk to the system and say what it is. Also the connection test.

        Raises AuthError, PermissionDenied, TransientError, InputError, ConfigError.
        """

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        """Yield pages of what changed since the cursor ``since``; None reads the stream in full.

        Raises CursorExpired (read in full instead), InputError (nothing may be concluded), TransientError, QuotaExhausted, AuthError.
        """

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        """Return the records that exist, in any order; a key that does not is left out. Raises PermissionDenied or
        InputError, see above."""

    def find(self, selection: Selection, questions: Sequence[Question]) -> dict[str, Found]:
        """Return, by each question's ref, the keys of the records that match it. Reads what the system holds now, never a cache."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        """Carry the writes out, at most ``max_batch`` of them, all of one operation; return one outcome each.

        An error is raised only where nothing was done; an answer that was lost is an Unknown outcome of the writes it concerns.
        """

    def close(self) -> None:
        """Let go of files and sockets. Nothing is called afterwards."""


@runtime_checkable
class ListsKeys(Protocol):
    """Extra: the keys of a stream alone, bracketed: each record that exists throughout the call is in it."""

    def keys(self, selection: Selection) -> Iterator[list[str]]:
        """Yield lists of keys."""


@runtime_checkable
class PutsAway(Protocol):
    """Extra: a system that hands its changes over once, and may put them away when they are safely stored."""

    def put_away(self, selection: Selection, cursor: str) -> None:
        """Put away what was read up to ``cursor``: the store holds it, and this cursor, for good. It may be said more than once.

        What was put away is still read by whoever asks from an earlier cursor, or from none.
        """


class WebhookRequest(Struct, frozen=True):
    """An HTTP request as it came in; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@runtime_checkable
class ReceivesWebhooks(Protocol):
    """Extra: a system that calls the bridge. A webhook brings keys, never states (L2)."""

    def parse_webhook(self, request: WebhookRequest) -> tuple[dict[str, list[str]], float]:
        """Return keys by stream, and the seconds to wait before they are read. Raises AuthError for a request that is not the system's."""


class WebhookRule(Struct, frozen=True):
    """A rule by which a system calls the bridge: how it stands beside how it should.

    ``about`` is what it watches, in the system's words; ``streams`` are those whose keys it brings. ``wrong`` says what is not as it should
    be, in words and without any secret; ``step`` what setting up does about it: nothing, where nothing is wrong or a person must act.
    ``note`` is what else there is to know: of what no rule can tell, why.
    """

    about: str
    streams: tuple[str, ...]
    step: Literal["make", "change", ""] = ""
    wrong: tuple[str, ...] = ()
    note: str = ""


@runtime_checkable
class SetsUpWebhooks(Protocol):
    """Extra: a system whose rules for calling the bridge can be looked at and made. Both verbs take what is to be announced.

    Raises ConfigError where the settings do not say where the system is to call, PermissionDenied where this credential may not see or
    change such rules, SchemaDrift where the system lacks what they need.
    """

    def webhook_rules(self, selections: Sequence[Selection]) -> list[WebhookRule]:
        """Return the rules that these reads want, as they stand. Writes nothing."""

    def set_up_webhooks(self, selections: Sequence[Selection]) -> list[WebhookRule]:
        """Do the step of each rule; return them as they stood before. Said twice, the second does nothing."""


class Factory(Protocol):
    """What the entry point names: opens connectors of one kind."""

    name: ClassVar[str]
    settings: ClassVar[type[BaseModel]]
    """The pydantic model of a connection's ``settings``. Secret values are ``pydantic.SecretStr``."""

    def open(self, settings: Any, *, budget: Budget, codes: Mapping[str, Mapping[str, str]]) -> Connector:
        """Return a connector that has not yet spoken to its system. ``settings`` is an instance of ``self.settings``; ``codes`` are code
        tables that the connection declares beside those of the system."""
