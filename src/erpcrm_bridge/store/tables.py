"""The schema of the store. The migrations build it; the statements of the hot path are text and build no object of these classes.

Text orders by bytes on both engines, so that pages read with ``after`` go on where the last one ended. JSON columns hold the bytes of
``model.values.pack``; null stands for "empty". Times of the work rows and brakes are Unix seconds, others ISO 8601 text.
"""

from typing import Any, ClassVar

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, MetaData, Text, text
from sqlmodel import Field, SQLModel

TEXT = Text().with_variant(Text(collation="C"), "postgresql")
NUMBER = BigInteger().with_variant(Integer(), "sqlite")


def _key(kind: Any) -> Any:
    return Field(sa_column=Column(kind, primary_key=True, nullable=False, autoincrement=False))


def _is(kind: Any) -> Any:
    return Field(sa_column=Column(kind, nullable=False))


def _may(kind: Any) -> Any:
    return Field(default=None, sa_column=Column(kind, nullable=True))


def _serial() -> Any:
    return Field(default=None, sa_column=Column(NUMBER, primary_key=True, autoincrement=True))


def _where(condition: str) -> Any:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class Table(SQLModel):
    """Base of the tables: keeps them out of SQLModel's global metadata."""

    metadata: ClassVar[MetaData] = MetaData()


class Meta(Table, table=True):
    """One row: the store's own sequence."""

    __tablename__ = "meta"
    id: int = _key(NUMBER)
    seq: int = _is(NUMBER)


class Connection(Table, table=True):
    """The identity of the system that a connection was last seen to reach."""

    __tablename__ = "connection"
    name: str = _key(TEXT)
    identity: str = _is(TEXT)


class Stream(Table, table=True):
    """A stream of a system, numbered for short."""

    __tablename__ = "stream"
    __table_args__ = (Index("stream_name", "system", "name", unique=True),)
    id: int = _serial()
    system: str = _is(TEXT)
    name: str = _is(TEXT)


class Description(Table, table=True):
    """What a system last said of itself."""

    __tablename__ = "description"
    system: str = _key(TEXT)
    data: bytes = _is(LargeBinary)


class Fact(Table, table=True):
    """Small things to remember by name, such as that an adoption waits to be applied."""

    __tablename__ = "fact"
    name: str = _key(TEXT)
    value: str = _is(TEXT)


class Golden(Table, table=True):
    """Golden records."""

    __tablename__ = "golden"
    __table_args__ = (Index("golden_entity", "entity", "id", "state"),)
    id: str = _key(TEXT)
    entity: str = _is(TEXT)
    seq: int = _is(NUMBER)
    state: str = _is(TEXT)
    authors: bytes | None = _may(LargeBinary)
    fields: bytes = _is(LargeBinary)


class Link(Table, table=True):
    """A golden record's copy in one stream. ``link_head`` answers "has it moved?" without touching the bases,
    and holds no more than that takes: it is written with each version."""

    __tablename__ = "link"
    __table_args__ = (
        Index("link_key", "stream_id", "key", unique=True, **_where("key IS NOT NULL")),
        Index("link_head", "stream_id", "key", "state", "version"),
        Index("link_golden", "golden_id"),
        Index("link_page", "stream_id", "id"),
        Index("link_dirty", "stream_id", "id", **_where("dirty")),
    )
    id: str = _key(TEXT)
    golden_id: str = _is(TEXT)
    entity: str = _is(TEXT)
    stream_id: int = _is(NUMBER)
    key: str | None = _may(TEXT)
    state: str = _is(TEXT)
    dirty: bool = _is(Boolean)
    version: str = _is(TEXT)
    rules: str = _is(TEXT)
    seq: int = _is(NUMBER)
    answered: bytes | None = _may(LargeBinary)
    line_keys: bytes | None = _may(LargeBinary)
    held: bytes | None = _may(LargeBinary)
    pending: bytes | None = _may(LargeBinary)
    earlier: bytes | None = _may(LargeBinary)
    base: bytes | None = _may(LargeBinary)


class Incoming(Table, table=True):
    """States that were read and are not merged yet. ``golden_id`` follows the link of the key, so that groups page in order."""

    __tablename__ = "incoming"
    __table_args__ = (Index("incoming_golden", "golden_id", **_where("golden_id IS NOT NULL")),)
    stream_id: int = _key(NUMBER)
    key: str = _key(TEXT)
    version: str = _is(TEXT)
    seq: int = _is(NUMBER)
    state: str = _is(TEXT)
    golden_id: str | None = _may(TEXT)
    merged_into: str | None = _may(TEXT)
    fields: bytes | None = _may(LargeBinary)


class MatchKey(Table, table=True):
    """Hashes of natural keys, each of which its rule is a part of: where to look. Whether the golden record is of the entity that is meant,
    and still has the key, is told by its row."""

    __tablename__ = "match_key"
    __table_args__ = ({"sqlite_with_rowid": False},)
    hash: int = _key(NUMBER)
    golden_id: str = _key(TEXT)


class MatchKeyNew(Table, table=True):
    """Natural keys that are not among the others yet, or are still to be dropped from among them (``gone``), those of a golden record
    together: they come in no order that an index knows. ``hashes`` is a JSON list. Of two rows that name a key the later one holds."""

    __tablename__ = "match_key_new"
    id: int = _serial()
    golden_id: str = _is(TEXT)
    hashes: str = _is(TEXT)
    gone: bool = _is(Boolean)


class CrossId(Table, table=True):
    """Keys of other systems' records that linked records were seen to carry. What a record carries now stands in its base."""

    __tablename__ = "cross_id"
    __table_args__ = ({"sqlite_with_rowid": False},)
    value: str = _key(TEXT)
    link_id: str = _key(TEXT)


class Intention(Table, table=True):
    """Notes before calls that are not idempotent."""

    __tablename__ = "intention"
    id: str = _key(TEXT)
    link_id: str = _is(TEXT)
    golden_id: str = _is(TEXT)
    stream_id: int = _is(NUMBER)
    operation: str = _is(TEXT)
    reference: str = _is(TEXT)
    digest: str = _is(TEXT)
    handle: str | None = _may(TEXT)
    run: str = _is(TEXT)


class Parked(Table, table=True):
    """What waits for another try or a person."""

    __tablename__ = "parked"
    __table_args__ = (
        Index("parked_open", "subject", unique=True, **_where("closed_at IS NULL")),
        Index("parked_flow", "flow", "kind", **_where("closed_at IS NULL")),
        Index("parked_golden", "golden_id"),
    )
    id: str = _key(TEXT)
    flow: str = _is(TEXT)
    kind: str = _is(TEXT)
    subject: str = _is(TEXT)
    entity: str = _is(TEXT)
    golden_id: str | None = _may(TEXT)
    stream_id: int | None = _may(NUMBER)
    key: str | None = _may(TEXT)
    field: str | None = _may(TEXT)
    error: str = _is(TEXT)
    reason: str = _is(TEXT)
    data: bytes | None = _may(LargeBinary)
    waits_for: str | None = _may(TEXT)
    run: str = _is(TEXT)
    attempts: int = _is(NUMBER)
    opened_at: str = _is(TEXT)
    closed_at: str | None = _may(TEXT)
    closed_by: str | None = _may(TEXT)


class History(Table, table=True):
    """One packed row per golden record and settle."""

    __tablename__ = "history"
    __table_args__ = (Index("history_golden", "golden_id"), Index("history_run", "run", "id"))
    id: int = _serial()
    golden_id: str = _is(TEXT)
    run: str = _is(TEXT)
    at: str = _is(TEXT)
    data: bytes = _is(LargeBinary)


class Run(Table, table=True):
    """Executions of flows."""

    __tablename__ = "run"
    __table_args__ = (Index("run_flow", "flow", "id"),)
    id: str = _key(TEXT)
    flow: str = _is(TEXT)
    kind: str = _is(TEXT)
    started_at: str = _is(TEXT)
    finished_at: str | None = _may(TEXT)
    status: str = _is(TEXT)
    counts: bytes | None = _may(LargeBinary)
    message: str = _is(TEXT)


class Cursor(Table, table=True):
    """Where a flow reads a stream on from."""

    __tablename__ = "cursor"
    flow: str = _key(TEXT)
    stream_id: int = _key(NUMBER)
    value: str = _is(TEXT)


class Flow(Table, table=True):
    """Entities that a flow has adopted."""

    __tablename__ = "flow"
    flow: str = _key(TEXT)
    entity: str = _key(TEXT)
    adopted_at: str = _is(TEXT)


class Brake(Table, table=True):
    """Writes that were done, for the brakes' windows."""

    __tablename__ = "brake"
    __table_args__ = (Index("brake_window", "flow", "system", "kind", "at"),)
    id: int = _serial()
    flow: str = _is(TEXT)
    system: str = _is(TEXT)
    kind: str = _is(TEXT)
    at: float = _is(Double)
    count: int = _is(NUMBER)


class BrakeTripped(Table, table=True):
    """Brakes that tripped; open until ``released_by`` a person."""

    __tablename__ = "brake_tripped"
    __table_args__ = (Index("brake_tripped_open", "flow", "system", "kind", unique=True, **_where("released_by IS NULL")),)
    id: int = _serial()
    flow: str = _is(TEXT)
    system: str = _is(TEXT)
    kind: str = _is(TEXT)
    count: int = _is(NUMBER)
    allowed: int = _is(NUMBER)
    at: str = _is(TEXT)
    released_by: str | None = _may(TEXT)
    released_at: float | None = _may(Double)


class Work(Table, table=True):
    """What is to be done, by ``flow:partition``: coalescing, back-off, leases and fences."""

    __tablename__ = "work"
    key: str = _key(TEXT)
    pending_seq: int = _is(NUMBER)
    taken_seq: int = _is(NUMBER)
    done_seq: int = _is(NUMBER)
    due_at: float = _is(Double)
    lease_owner: str | None = _may(TEXT)
    lease_until: float | None = _may(Double)
    fence: int = _is(NUMBER)
    attempts: int = _is(NUMBER)
