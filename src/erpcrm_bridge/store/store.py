"""The store: bulk calls in plain structs, on SQLite and PostgreSQL alike.

Lists may be thousands long; an empty one costs nothing. Look-ups leave out what is not there. Pages are read with ``after``, the last id
or key of the page before ("" for the first). A call that writes, made outside a transaction, is a transaction of its own. Every trouble
of the database leaves as StoreError.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import groupby
from types import TracebackType
from typing import Any, TypeVar

from erpcrm_bridge.errors import FenceLost, StoreError
from erpcrm_bridge.model.values import pack
from erpcrm_bridge.store import columns as c
from erpcrm_bridge.store.engines import CHUNK, Bulk, Engine, Values, open_engine, shown
from erpcrm_bridge.store.rows import (
    Fence,
    GoldenRow,
    Head,
    HistoryRow,
    IncomingRow,
    IncomingState,
    Intention,
    LinkRow,
    ParkedKind,
    ParkedRow,
    Past,
    RunRow,
)

T = TypeVar("T")
STAGED = 25_000
"""Golden records whose natural keys are put in order together: to sort them takes some ten MB."""
LOOKED_THROUGH = 5_000
"""Golden records whose natural keys a look-up reads one by one: put in order, so few would each touch a page of their own."""
BRAKE_MEMORY = 90 * 86400
"""Seconds for which the writes behind a brake's window are remembered."""

_LINK = c.listed(c.LINK)
_INCOMING = c.listed(c.INCOMING, "link.id")
_INCOMING_FROM = "incoming LEFT JOIN link ON link.stream_id = incoming.stream_id AND link.key = incoming.key"

# SQLite keeps no statistics here: CROSS JOIN says which table is walked first, {by …} which index, and a plus before a column that its
# index is not to be used.
# ruff: noqa: S608 - statements are put together from names of ours; every value is a parameter
_HEADS = """
    SELECT j.value, incoming.version, incoming.state, link.version, link.state, link.earlier
    FROM {texts} LEFT JOIN link {by link_key} ON link.stream_id = ? AND link.key = j.value AND link.key IS NOT NULL
    LEFT JOIN incoming ON incoming.stream_id = ? AND incoming.key = j.value
    WHERE link.state IS NOT NULL OR incoming.key IS NOT NULL"""
_STANDING = """
    SELECT key, version FROM link {by link_head} WHERE stream_id = ? AND key > ? AND state IN ('live', 'asleep') ORDER BY key LIMIT ?"""
_MISSING = "SELECT key FROM link {by link_head} WHERE stream_id = ? AND key > ? AND state = 'missing' ORDER BY key LIMIT ?"
_LATER = "SELECT key, version, golden_id, fields IS NULL FROM incoming WHERE stream_id = ? AND key > ? ORDER BY key LIMIT ?"

_INCOMING_NEWER = (
    f"ON CONFLICT (stream_id, key) DO UPDATE SET {c.rewritten(c.INCOMING, 'stream_id', 'key')} WHERE excluded.seq >= incoming.seq"
)
_LINKED_KEYS = "SELECT j.value, link.golden_id FROM {texts} CROSS JOIN link {by link_key} WHERE link.stream_id = ? AND link.key = j.value"
_LINKED = """
    FROM incoming WHERE golden_id > ? AND state IN ('new', 'waiting') AND +stream_id IN (SELECT j.value FROM {numbers})"""
_LINKED_LAST = f"SELECT max(golden_id) FROM (SELECT DISTINCT golden_id {_LINKED} ORDER BY golden_id LIMIT ?) AS page"
_LINKED_PAGE = f"""
    SELECT {_INCOMING} FROM incoming JOIN link ON link.stream_id = incoming.stream_id AND link.key = incoming.key
    WHERE incoming.golden_id > ? AND incoming.golden_id <= ? AND incoming.state IN ('new', 'waiting')
    AND +incoming.stream_id IN (SELECT j.value FROM {{numbers}}) ORDER BY incoming.golden_id, incoming.stream_id, incoming.key"""
_UNLINKED = f"""
    SELECT {c.listed(c.INCOMING, "NULL")} FROM incoming WHERE stream_id = ? AND key > ? AND golden_id IS NULL
    AND state IN (SELECT j.value FROM {{texts}}) ORDER BY key LIMIT ?"""
_INCOMING_BY_KEY = f"""
    SELECT {_INCOMING} FROM {{texts}} CROSS JOIN incoming
    LEFT JOIN link ON incoming.golden_id IS NOT NULL AND link.stream_id = incoming.stream_id AND link.key = incoming.key
    WHERE incoming.stream_id = ? AND incoming.key = j.value"""
_INCOMING_STATE = "UPDATE incoming SET state = ? WHERE stream_id = ? AND key IN (SELECT j.value FROM {texts})"
_INCOMING_DROP = "DELETE FROM incoming WHERE stream_id = ? AND key IN (SELECT j.value FROM {texts})"
_INCOMING_FOLLOW = """
    UPDATE incoming SET golden_id = link.golden_id FROM {texts} JOIN link ON link.id = j.value
    WHERE incoming.stream_id = link.stream_id AND incoming.key = link.key"""
_INCOMING_LEAVE = """
    UPDATE incoming SET golden_id = NULL FROM {texts} JOIN link ON link.id = j.value
    WHERE incoming.stream_id = link.stream_id AND incoming.key = link.key"""

_GOLDEN = f"SELECT {c.listed(c.GOLDEN)} FROM {{texts}} CROSS JOIN golden WHERE golden.id = j.value"
_GOLDEN_PAGE = f"SELECT {c.listed(c.GOLDEN)} FROM golden WHERE entity = ? AND id > ? ORDER BY id LIMIT ?"
_GOLDEN_AGAIN = f"ON CONFLICT (id) DO UPDATE SET {c.rewritten(c.GOLDEN, 'id')}"

_LINKS = f"SELECT {_LINK} FROM {{texts}} CROSS JOIN link WHERE link.id = j.value"
_LINKS_WHOSE = "SELECT link.id, link.golden_id, link.entity, link.stream_id, link.key FROM {texts} CROSS JOIN link WHERE link.id = j.value"
_LINKS_OF = f"SELECT {_LINK} FROM {{texts}} CROSS JOIN link WHERE link.golden_id = j.value ORDER BY link.id"
_LINKS_BY_KEY = f"SELECT {_LINK} FROM {{texts}} CROSS JOIN link WHERE link.stream_id = ? AND link.key = j.value"
_LINKS_PAGE = f"SELECT {_LINK} FROM link WHERE stream_id = ? AND id > ? ORDER BY id LIMIT ?"
_LINKS_DIRTY = f"""
    SELECT {_LINK} FROM link {{by link_dirty}} WHERE stream_id = ? AND id > ? AND dirty AND state IN ('live', 'wanted')
    ORDER BY id LIMIT ?"""
_LINKS_DROP = "DELETE FROM link WHERE id IN (SELECT j.value FROM {texts})"
_SET_DIRTY = "UPDATE {or ignore} link SET dirty = TRUE WHERE id IN (SELECT j.value FROM {texts})"
_COUNT_LINKS = "SELECT stream_id, state, count(*) FROM link GROUP BY stream_id, state"
_COUNT_LIVE_LINKS = """
    SELECT count(*) FROM (
        SELECT 1 FROM link {by link_head} WHERE stream_id IN (SELECT j.value FROM {numbers}) AND state = 'live' LIMIT ?) AS counted"""
_COUNT_DIRTY = "SELECT stream_id, state, count(*) FROM link WHERE dirty GROUP BY stream_id, state"
_KEY_OF = """
    SELECT j.value, link.key FROM {texts} CROSS JOIN link
    WHERE link.golden_id = j.value AND +link.stream_id = ? AND link.state = 'live' AND link.key IS NOT NULL"""
_GOLDEN_OF = f"{_LINKED_KEYS} AND link.state IN ('live', 'asleep', 'missing', 'alias')"

_MATCH = """
    SELECT match_key.hash, match_key.golden_id FROM {numbers} CROSS JOIN match_key WHERE match_key.hash = j.value"""
_MATCH_IN_ORDER = """
    INSERT {or ignore} INTO match_key (hash, golden_id)
    SELECT CAST(j.value AS BIGINT), golden_id FROM match_key_new CROSS JOIN {items hashes} WHERE NOT gone ORDER BY 1, 2
    ON CONFLICT DO NOTHING"""
_MATCH_GONE = """
    DELETE FROM match_key WHERE (hash, golden_id) IN (
        SELECT CAST(j.value AS BIGINT), told.golden_id FROM match_key_new AS told CROSS JOIN {items hashes}
        WHERE told.golden_id IN (SELECT golden_id FROM match_key_new WHERE gone) GROUP BY 1, 2
        HAVING max(CASE WHEN gone THEN told.id ELSE 0 END) > max(CASE WHEN gone THEN 0 ELSE told.id END))"""

_CROSSED = "SELECT cross_id.value, cross_id.link_id FROM {texts} CROSS JOIN cross_id WHERE cross_id.value = j.value"

_INTENTIONS = f"SELECT {c.listed(c.INTENTION)} FROM intention WHERE stream_id IN (SELECT j.value FROM {{numbers}}) ORDER BY id"
_INTENTIONS_DROP = "DELETE FROM intention WHERE id IN (SELECT j.value FROM {texts})"

_PARKED = f"SELECT {c.listed(c.PARKED)} FROM parked WHERE id > ?"
_IN_CLASH = """
    SELECT parked.golden_id, parked.data FROM {texts} CROSS JOIN parked
    WHERE parked.golden_id = j.value AND parked.closed_at IS NULL AND parked.kind = 'clash'"""
_PARKED_AGAIN = "ON CONFLICT (subject) WHERE closed_at IS NULL DO UPDATE SET attempts = parked.attempts + 1, " + c.rewritten(
    c.PARKED, *(set(c.PARKED.columns) - {"error", "reason", "data", "waits_for", "run"})
)
_PARKED_CLOSE = "UPDATE parked SET closed_by = ?, closed_at = ? WHERE closed_at IS NULL AND subject IN (SELECT j.value FROM {texts})"

_HISTORY = c.listed(c.HISTORY, "history.id")
_HISTORIES = f"""
    SELECT {_HISTORY} FROM {{texts}} CROSS JOIN history WHERE history.golden_id = j.value
    AND (SELECT count(*) FROM history AS of WHERE of.golden_id = j.value) >= ? ORDER BY history.id"""
_RUNS = f"SELECT {c.listed(c.RUN)} FROM run"
_RUN_AGAIN = f"ON CONFLICT (id) DO UPDATE SET {c.rewritten(c.RUN, 'id')}"

_TRIP = """
    INSERT INTO brake_tripped (flow, system, kind, count, allowed, at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (flow, system, kind) WHERE released_by IS NULL DO UPDATE SET count = excluded.count, allowed = excluded.allowed"""

_TOUCH = """
    INSERT INTO work (key, pending_seq, taken_seq, done_seq, due_at, fence, attempts) VALUES (?, 1, 0, 0, {now}, 0, 0)
    ON CONFLICT (key) DO UPDATE SET pending_seq = work.pending_seq + 1,
    due_at = CASE WHEN work.pending_seq > work.done_seq THEN work.due_at ELSE excluded.due_at END"""
_LEASE = """
    INSERT INTO work (key, pending_seq, taken_seq, done_seq, due_at, lease_owner, lease_until, fence, attempts)
    VALUES (?, 0, 0, 0, {now}, ?, {now} + ?, 1, 1)
    ON CONFLICT (key) DO UPDATE SET lease_owner = excluded.lease_owner, lease_until = excluded.lease_until,
    fence = work.fence + 1, attempts = work.attempts + 1, taken_seq = work.pending_seq
    WHERE work.lease_until IS NULL OR work.lease_until <= {now} OR work.lease_owner = ? RETURNING fence"""
_MINE = "WHERE key = ? AND fence = ? AND lease_until IS NOT NULL"
_RENEW = f"UPDATE work SET lease_until = {{now}} + ? {_MINE}"
_FINISH = f"UPDATE work SET done_seq = taken_seq, lease_owner = NULL, lease_until = NULL, attempts = 0 {_MINE}"
_POSTPONE = f"UPDATE work SET due_at = {{now}} + ?, lease_owner = NULL, lease_until = NULL {_MINE}"
_GIVE_BACK = f"UPDATE work SET lease_owner = NULL, lease_until = NULL {_MINE}"
_DUE = """
    SELECT key FROM work WHERE pending_seq > done_seq AND due_at <= {now} AND (lease_until IS NULL OR lease_until <= {now})
    ORDER BY due_at, key"""


def open_store(url: str, *, read_only: bool = False, run_lock: bool = False) -> Store:
    """Open the store at ``url``: ``sqlite:///folder/file.db`` or ``postgresql://user@host/database``.

    Makes the file and the schema, or brings an older schema up to date, unless ``read_only``. A store open for reading works beside any
    runner. ``run_lock`` takes the runner's lock, which one process at a time has; workers that share a PostgreSQL store by leases do
    without. One Store belongs to one thread; another thread opens its own.

    Raises StoreError (folder missing, nothing there to read, a newer schema, another program's database, a server that is away …) and
    Locked, which says who holds the runner's lock.
    """
    return Store(url, open_engine(url, read_only=read_only, run_lock=run_lock))


class _Rehearsed(Exception):
    """A rehearsal has come to its end: what was done in it is rolled back."""


class Store:
    """An open store; ``open_store`` makes it. A context manager, for ``close``."""

    def __init__(self, url: str, engine: Engine) -> None:
        self.url = url
        self._db = engine
        self._inside = self._rehearsing = False

    def __repr__(self) -> str:
        return f"<Store {shown(self.url)}>"

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database and the runner's lock. Closing twice is fine."""
        self._db.close()

    # transactions and the sequence

    @contextmanager
    def transaction(self, fence: Fence | None = None, *, later: bool = False) -> Iterator[None]:
        """What happens inside is stored whole, or not at all where anything is raised. Transactions do not nest.

        With ``fence``, the lease is checked just before the commit: FenceLost where another worker has taken it. A store open for reading
        sees one unmoving state inside.

        One for ``later`` only adds and drops. It may be on its way when the block ends: whatever is called next waits for it (save what
        reads ``beside`` it), and raises what came of it, FenceLost too. Nothing that was put inside can be read inside.
        """
        self._refuse_inside()
        self._inside, self._later = True, later
        try:
            with nullcontext() if self._rehearsing else self._whole(fence, later):
                yield
        finally:
            self._inside = self._later = False

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """What is done inside is seen inside, and nothing of it is stored. Transactions go on as ever, but for their fences; none may be
        open around it. Nobody else writes meanwhile.

        A number that was taken inside is not given out again: what rests on it is never taken for what is stored later.
        """
        self._refuse_inside()
        taken = 0
        with suppress(_Rehearsed), self._whole():
            self._rehearsing = True
            try:
                yield
                taken = self.seq()
            finally:
                self._rehearsing = False
            raise _Rehearsed
        self._db.run("UPDATE meta SET seq = ? WHERE seq < ?", (taken, taken))

    def next_seq(self) -> int:
        """Return the store's next number, inside a transaction (once in one for later): strictly growing in the order of commits."""
        if not self._inside:
            raise RuntimeError("next_seq is for inside a transaction")
        before = self.seq()
        self._db.run("UPDATE meta SET seq = seq + 1")
        return before + 1

    def seq(self) -> int:
        """Return the latest number that was committed (inside a transaction: or taken there)."""
        return int(self._db.rows("SELECT seq FROM meta")[0][0])

    # systems

    def stream_id(self, system: str, stream: str) -> int:
        """Return the number of a stream of a system; it gets one when it is first asked for."""
        find = "SELECT id FROM stream WHERE system = ? AND name = ?"
        found = self._db.rows(find, (system, stream))
        if not found:
            with self._within():
                self._db.run("INSERT INTO stream (system, name) VALUES (?, ?) ON CONFLICT DO NOTHING", (system, stream))
                found = self._db.rows(find, (system, stream))
        return int(found[0][0])

    def streams(self) -> dict[int, tuple[str, str]]:
        """Return (system identity, stream) by stream number."""
        return {id: (system, name) for id, system, name in self._db.rows("SELECT id, system, name FROM stream ORDER BY id")}

    def connection_identity(self, connection: str) -> str | None:
        """Return the identity of the system that a connection was last seen to reach."""
        return self._text("SELECT identity FROM connection WHERE name = ?", (connection,))

    def set_connection_identity(self, connection: str, identity: str) -> None:
        with self._within():
            self._db.run(
                "INSERT INTO connection (name, identity) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET identity = excluded.identity",
                (connection, identity),
            )

    def description(self, system: str) -> dict[str, Any] | None:
        """Return what a system last said of itself."""
        data = self._one("SELECT data FROM description WHERE system = ?", (system,))
        return None if data is None else c.unpacked(data)

    def put_description(self, system: str, data: dict[str, Any]) -> None:
        with self._within():
            self._db.run(
                "INSERT INTO description (system, data) VALUES (?, ?) ON CONFLICT (system) DO UPDATE SET data = excluded.data",
                (system, pack(data)),
            )

    def fact(self, name: str) -> str | None:
        """Return a small thing that was remembered by name."""
        return self._text("SELECT value FROM fact WHERE name = ?", (name,))

    def set_fact(self, name: str, value: str | None) -> None:
        """Remember a small thing by name; None forgets it."""
        with self._within():
            if value is None:
                self._db.run("DELETE FROM fact WHERE name = ?", (name,))
            else:
                self._db.run(
                    "INSERT INTO fact (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
                )

    # pull

    def standing(self, stream_id: int) -> Iterator[list[tuple[str, str]]]:
        """Yield, in lists, key and version of every record of a stream that was there when it was last read, as it was then."""
        later: set[str] = set()
        for rows in self._pages(_LATER, stream_id):
            later.update(key for key, _, golden_id, _ in rows if golden_id is not None)
            yield [(key, version) for key, version, _, gone in rows if not gone]
        for rows in self._pages(_STANDING, stream_id):
            yield [row for row in rows if row[0] not in later] if later else rows

    def missing(self, stream_id: int) -> set[str]:
        """Return the keys of the links that are missing, whatever has been read of them since."""
        return {key for rows in self._pages(_MISSING, stream_id) for (key,) in rows}

    def heads(self, stream_id: int, keys: Iterable[str]) -> dict[str, Head]:
        """Return, by key, as much of each known record as it takes to see whether it has moved, and where it stood before.

        Where a later state waits unmerged in incoming, version and state are its own.
        """
        heads: dict[str, Head] = {}
        for chunk in _chunks(keys):
            chunk.sort()
            found = self._db.rows(_HEADS, (self._db.array(chunk), stream_id, stream_id))
            for key, later, later_state, version, state, earlier in found:
                past = None if state is None else Past(state, version, c.unpacked(earlier) if earlier else [])
                heads[key] = Head(version, state, past) if later_state is None else Head(later, later_state, past)
        return heads

    def put_incoming(self, rows: Sequence[IncomingRow]) -> None:
        """Note states that were read. Of two states of a record the one with the greater ``seq`` stays, of equal ones the later put."""
        by_stream: dict[int, dict[str, IncomingRow]] = {}
        for row in rows:
            newest = by_stream.get(row.stream_id)
            if newest is None:
                newest = by_stream[row.stream_id] = {}
            before = newest.get(row.key)
            if before is None or row.seq >= before.seq:
                newest[row.key] = row
        if not by_stream:
            return
        with self._within():
            for stream_id, members in by_stream.items():
                linked: dict[str, str] = dict(self._look_up(_LINKED_KEYS, members, stream_id))
                # in the order of keys, in which they are asked for again: what is read together then lies together
                values = (c.incoming_values(members[key], linked.get(key)) for key in sorted(members))
                self._db.insert(c.INCOMING, values, _INCOMING_NEWER)

    def incoming_linked(self, stream_ids: Sequence[int], after: str, limit: int) -> list[tuple[str, list[IncomingRow]]]:
        """Return up to ``limit`` golden ids in order, each with all new and waiting states of its records in these streams."""
        streams = self._db.array(stream_ids)
        last = self._one(_LINKED_LAST, (after, streams, limit))
        if last is None:
            return []
        found = map(c.incoming_row, self._db.rows(_LINKED_PAGE, (after, last, streams)))
        return [(golden_id, list(group)) for golden_id, group in groupby(found, key=lambda row: row.golden_id or "")]

    def incoming_unlinked(
        self, stream_id: int, after: str, limit: int, states: Sequence[IncomingState] = ("new", "waiting")
    ) -> list[IncomingRow]:
        """Return states of records that no link knows, in order of their keys."""
        return [c.incoming_row(values) for values in self._db.rows(_UNLINKED, (stream_id, after, self._db.array(states), limit))]

    def incoming(self, stream_id: int, keys: Iterable[str], *, beside: bool = False) -> dict[str, IncomingRow]:
        """Return states by key. ``beside``: what is being stored is not about these records, and is not waited for."""
        found = map(c.incoming_row, self._look_up(_INCOMING_BY_KEY, keys, stream_id, beside=beside))
        return {row.key: row for row in found}

    def set_incoming_state(self, stream_id: int, keys: Iterable[str], state: IncomingState) -> None:
        self._for_all(_INCOMING_STATE, keys, state, stream_id)

    def drop_incoming(self, stream_id: int, keys: Iterable[str]) -> None:
        self._for_all(_INCOMING_DROP, keys, stream_id)

    def count_incoming(self) -> dict[tuple[int, str], int]:
        """Return numbers by (stream number, state)."""
        found = self._db.rows("SELECT stream_id, state, count(*) FROM incoming GROUP BY stream_id, state")
        return {(stream_id, state): count for stream_id, state, count in found}

    def count_unlinked(self, stream_ids: Sequence[int]) -> int:
        """Return how many records that these streams hold are linked to nothing."""
        sql = (
            "SELECT count(*) FROM incoming WHERE golden_id IS NULL AND fields IS NOT NULL AND stream_id IN (SELECT j.value FROM {numbers})"
        )
        return int(self._db.rows(sql, (self._db.array(stream_ids),))[0][0])

    def cursor(self, flow: str, stream_id: int) -> str | None:
        """Return where a flow reads a stream on from; None: read it in full."""
        return self._text("SELECT value FROM cursor WHERE flow = ? AND stream_id = ?", (flow, stream_id))

    def set_cursor(self, flow: str, stream_id: int, value: str | None) -> None:
        with self._within():
            if value is None:
                self._db.run("DELETE FROM cursor WHERE flow = ? AND stream_id = ?", (flow, stream_id))
            else:
                self._db.run(
                    "INSERT INTO cursor (flow, stream_id, value) VALUES (?, ?, ?)"
                    " ON CONFLICT (flow, stream_id) DO UPDATE SET value = excluded.value",
                    (flow, stream_id, value),
                )

    def forget_cursors(self, stream_id: int) -> None:
        """Let each flow read a stream in full the next time."""
        with self._within():
            self._db.run("DELETE FROM cursor WHERE stream_id = ?", (stream_id,))

    # golden records

    def golden(self, ids: Iterable[str]) -> dict[str, GoldenRow]:
        return {values[0]: c.golden_row(values) for values in self._look_up(_GOLDEN, ids)}

    def add_golden(self, rows: Sequence[GoldenRow]) -> None:
        """Store new golden records. StoreError where one with such an id is there."""
        self._add(c.GOLDEN, c.golden_values, rows)

    def put_golden(self, rows: Sequence[GoldenRow]) -> None:
        """Store golden records, new or known; of two with one id the last stays."""
        rows = _last(rows, lambda row: row.id)
        if rows:
            self._refuse_later()
            with self._within():
                values = [c.golden_values(row) for row in rows]
                if self._db.update(c.GOLDEN, values, c.GOLDEN_KNOWN_BY) != len(rows):  # some are new, or gone by now
                    self._db.insert(c.GOLDEN, values, _GOLDEN_AGAIN)

    def golden_page(self, entity: str, after: str, limit: int) -> list[GoldenRow]:
        """Return golden records of an entity, in whatever state, in order of their ids."""
        return [c.golden_row(values) for values in self._db.rows(_GOLDEN_PAGE, (entity, after, limit))]

    def count_golden(self) -> dict[str, int]:
        """Return numbers of live golden records by entity."""
        return dict(self._db.rows("SELECT entity, count(*) FROM golden WHERE state = 'live' GROUP BY entity"))

    # links

    def links_by_key(self, stream_id: int, keys: Iterable[str]) -> dict[str, LinkRow]:
        """Return links in whatever state, by the keys of their records."""
        found = map(c.link_row, self._look_up(_LINKS_BY_KEY, keys, stream_id))
        return {row.key: row for row in found if row.key is not None}

    def links_of(self, golden_ids: Iterable[str]) -> dict[str, list[LinkRow]]:
        """Return all links of golden records, by golden id; each list in order of the links' ids."""
        links: dict[str, list[LinkRow]] = {}
        for row in map(c.link_row, self._look_up(_LINKS_OF, golden_ids)):
            links.setdefault(row.golden_id, []).append(row)
        return links

    def links(self, ids: Iterable[str]) -> dict[str, LinkRow]:
        return {values[0]: c.link_row(values) for values in self._look_up(_LINKS, ids)}

    def add_links(self, rows: Sequence[LinkRow]) -> None:
        """Store new links. StoreError where a key is linked already."""
        with self._within():
            self._add(c.LINK, c.link_values, rows)
            self._for_all(_INCOMING_FOLLOW, [row.id for row in rows])

    def update_links(self, rows: Sequence[LinkRow]) -> None:
        """Write known links whole; of two with one id the last stays. StoreError where one is not there."""
        rows = _last(rows, lambda row: row.id)
        if not rows:
            return
        self._refuse_later()
        with self._within():
            if self._db.update(c.LINK, map(c.link_values, rows), c.LINK_KNOWN_BY) == len(rows):
                return
            known = {id: whose for id, *whose in self._look_up(_LINKS_WHOSE, [row.id for row in rows])}
            if len(known) != len(rows):
                raise StoreError("A link that was to be updated is no longer in the store.", way_out="Run again: it is read anew.")
            moved = [row for row in rows if known[row.id] != [row.golden_id, row.entity, row.stream_id, row.key]]
            ids = [row.id for row in moved]
            self._for_all(_INCOMING_LEAVE, ids)
            self._db.update(c.LINK, map(c.link_values, moved))
            self._for_all(_INCOMING_FOLLOW, ids)

    def drop_links(self, ids: Sequence[str]) -> None:
        with self._within():
            self._for_all(_INCOMING_LEAVE, ids)
            self._for_all(_LINKS_DROP, ids)

    def set_dirty(self, link_ids: Iterable[str]) -> None:
        self._for_all(_SET_DIRTY, link_ids)

    def dirty_links(self, stream_id: int, after: str, limit: int) -> list[LinkRow]:
        """Return dirty links that are live or wanted, in order of their ids."""
        return [c.link_row(values) for values in self._db.rows(_LINKS_DIRTY, (stream_id, after, limit))]

    def links_page(self, stream_id: int, after: str, limit: int) -> list[LinkRow]:
        """Return links in whatever state, in order of their ids."""
        return [c.link_row(values) for values in self._db.rows(_LINKS_PAGE, (stream_id, after, limit))]

    def count_links(self) -> dict[tuple[int, str, bool], int]:
        """Return numbers by (stream number, state, dirty)."""
        dirty = {(stream_id, state): count for stream_id, state, count in self._db.rows(_COUNT_DIRTY)}
        counts = {(stream_id, state, True): count for (stream_id, state), count in dirty.items()}
        for stream_id, state, count in self._db.rows(_COUNT_LINKS):
            if clean := count - dirty.get((stream_id, state), 0):
                counts[stream_id, state, False] = clean
        return counts

    def count_live_links(self, stream_ids: Sequence[int], limit: int) -> int:
        """Return how many live links there are in these streams, or ``limit`` where there are more."""
        return int(self._db.rows(_COUNT_LIVE_LINKS, (self._db.array(stream_ids), limit))[0][0])

    def key_of(self, stream_ids: Sequence[int], golden_ids: Sequence[str]) -> dict[str, str]:
        """Return, by golden id, its live key in the first of these streams that has one."""
        return self._first_of(_KEY_OF, stream_ids, golden_ids)

    def golden_of(self, stream_ids: Sequence[int], keys: Sequence[str]) -> dict[str, str]:
        """Return, by key, the golden id in the first of these streams that knows it: by live, asleep, missing and alias links."""
        return self._first_of(_GOLDEN_OF, stream_ids, keys)

    # identification

    def add_match_keys(self, rows: Sequence[tuple[str, list[int]]]) -> None:
        """Note, by golden id, 64-bit signed hashes by which it may be found; what is noted already is left alone."""
        self._stage(rows, False)

    def drop_match_keys(self, rows: Sequence[tuple[str, list[int]]]) -> None:
        """Drop, by golden id, hashes that were noted; what is not there is left out."""
        self._stage(rows, True)

    def _stage(self, rows: Sequence[tuple[str, list[int]]], gone: bool) -> None:
        if rows:
            with self._within():
                self._add(c.MATCH_KEY_NEW, lambda row: (row[0], pack(row[1]).decode(), gone), rows)
                if self._one("SELECT count(*) FROM match_key_new", ()) >= STAGED:
                    self.order_match_keys()

    def order_match_keys(self) -> None:
        """Put the natural keys that were noted among the others, and drop from among them what is to be dropped."""
        with self._within():
            self._db.run(_MATCH_IN_ORDER)
            self._db.run(_MATCH_GONE)
            self._db.run("DELETE FROM match_key_new")

    def forget_match_keys(self, entity: str) -> None:
        """Drop all that was noted of an entity's golden records."""
        with self._within():
            self.order_match_keys()
            self._db.run("DELETE FROM match_key WHERE golden_id IN (SELECT id FROM golden WHERE entity = ?)", (entity,))

    def match(self, hashes: Iterable[int]) -> list[tuple[int, str]]:
        """Return each (hash, golden id) that was noted, of whatever entity. What was noted may have been true of the golden record once."""
        wanted = set(hashes)
        staged = self._db.rows("SELECT golden_id, hashes, gone FROM match_key_new ORDER BY id LIMIT ?", (LOOKED_THROUGH + 1,))
        if len(staged) > LOOKED_THROUGH:
            self.order_match_keys()
            staged = []
        found: set[tuple[int, str]] = set(self._look_up(_MATCH, wanted))
        for golden_id, keys, gone in staged:
            for key in wanted.intersection(c.unpacked(keys)):
                (found.discard if gone else found.add)((key, golden_id))
        return sorted(found)

    def add_cross_ids(self, rows: Iterable[tuple[str, str]]) -> None:
        """Note (another system's key, id of the link whose record carries it); what is noted already is left alone."""
        self._add(c.CROSS_ID, tuple, sorted(set(rows)), "ON CONFLICT DO NOTHING")

    def carrying(self, values: Iterable[str]) -> list[tuple[str, str]]:
        """Return each (key, link id) that was noted: the record has carried that key, and may carry another one or none by now."""
        return [(value, link_id) for value, link_id in self._look_up(_CROSSED, set(values))]

    # intentions, parked, history

    def add_intentions(self, rows: Sequence[Intention]) -> None:
        self._add(c.INTENTION, c.intention_values, rows)

    def drop_intentions(self, ids: Iterable[str]) -> None:
        self._for_all(_INTENTIONS_DROP, ids)

    def open_intentions(self, stream_ids: Sequence[int]) -> list[Intention]:
        """Return the intentions towards these streams, in order of their ids."""
        return [Intention(*values) for values in self._db.rows(_INTENTIONS, (self._db.array(stream_ids),))]

    def set_intention_handle(self, id: str, handle: str) -> None:
        with self._within():
            self._db.run("UPDATE intention SET handle = ? WHERE id = ?", (handle, id))

    def park(self, rows: Sequence[ParkedRow]) -> None:
        """Park. A subject that is open already keeps its id and opening time; its error, reason, data, whom it waits for and run become
        the row's, and it counts one attempt more, however often the subject stands in ``rows``."""
        self._add(c.PARKED, c.parked_values, _last(rows, lambda row: row.subject), _PARKED_AGAIN)

    def close_parked(self, subjects: Iterable[str], by: str, at: str) -> None:
        """Close what is open under these subjects; one that is not open is left alone."""
        wanted = set(subjects)
        limit = 2 * len(wanted)
        opened = self._db.rows("SELECT subject FROM parked {by parked_open} WHERE closed_at IS NULL LIMIT ?", (limit,))
        if len(opened) < limit:  # these are all: of the thousands that a batch asks for most were never open
            wanted.intersection_update(subject for (subject,) in opened)
        self._for_all(_PARKED_CLOSE, wanted, by, at)

    def parked(
        self,
        *,
        flow: str | None = None,
        kinds: Iterable[ParkedKind] | None = None,
        golden_ids: Iterable[str] | None = None,
        subjects: Iterable[str] | None = None,
        errors: Iterable[str] | None = None,
        include_closed: bool = False,
        after: str = "",
        limit: int = 1000,
    ) -> list[ParkedRow]:
        """Return what is parked, in order of ids; each condition that is given narrows it."""
        sql, parameters = _PARKED, [after]
        if not include_closed:
            sql += " AND closed_at IS NULL"
        if flow is not None:
            sql += " AND flow = ?"
            parameters.append(flow)
        for column, wanted in (("kind", kinds), ("golden_id", golden_ids), ("subject", subjects), ("error", errors)):
            if wanted is not None:
                sql += f" AND {column} IN (SELECT j.value FROM {{texts}})"
                parameters.append(self._db.array(wanted))
        return [c.parked_row(values) for values in self._db.rows(f"{sql} ORDER BY id LIMIT ?", (*parameters, limit))]

    def in_clash(self, golden_ids: Iterable[str]) -> list[tuple[str, list[str]]]:
        """Return the unit of each open clash of these golden records, with the golden id."""
        return [(golden_id, c.unpacked(data)["unit"]) for golden_id, data in self._look_up(_IN_CLASH, golden_ids)]

    def parked_by_id(self, id: str) -> ParkedRow | None:
        found = self._db.rows(f"SELECT {c.listed(c.PARKED)} FROM parked WHERE id = ?", (id,))
        return c.parked_row(found[0]) if found else None

    def count_parked(self, flow: str | None = None) -> dict[str, int]:
        """Return numbers of what is open, by kind."""
        narrowed, parameters = ("", ()) if flow is None else (" AND flow = ?", (flow,))
        return dict(self._db.rows(f"SELECT kind, count(*) FROM parked WHERE closed_at IS NULL{narrowed} GROUP BY kind", parameters))

    def add_history(self, rows: Sequence[HistoryRow]) -> None:
        """Note settles. The store numbers them; ``id`` is not looked at."""
        self._add(c.HISTORY, c.history_values, rows)

    def history(self, golden_id: str) -> list[HistoryRow]:
        """Return all settles of a golden record, oldest first."""
        found = self._db.rows(f"SELECT {_HISTORY} FROM history WHERE golden_id = ? ORDER BY id", (golden_id,))
        return [c.history_row(values) for values in found]

    def histories(self, golden_ids: Iterable[str], at_least: int = 1) -> dict[str, list[HistoryRow]]:
        """Return, by golden id, all settles of these records, oldest first; a record that has fewer than ``at_least`` is left out."""
        found: dict[str, list[HistoryRow]] = {}
        for row in map(c.history_row, self._look_up(_HISTORIES, golden_ids, at_least)):
            found.setdefault(row.golden_id, []).append(row)
        return found

    def history_of_run(self, run: str, after: int, limit: int) -> list[HistoryRow]:
        """Return settles of a run, oldest first; ``after`` is the last id of the page before (0 for the first)."""
        found = self._db.rows(f"SELECT {_HISTORY} FROM history WHERE run = ? AND id > ? ORDER BY id LIMIT ?", (run, after, limit))
        return [c.history_row(values) for values in found]

    # runs, flows, brakes

    def put_run(self, row: RunRow) -> None:
        self._add(c.RUN, c.run_values, [row], _RUN_AGAIN)

    def runs(self, flow: str | None = None, limit: int = 20) -> list[RunRow]:
        """Return runs, newest first."""
        if flow is None:
            found = self._db.rows(f"{_RUNS} ORDER BY id DESC LIMIT ?", (limit,))
        else:
            found = self._db.rows(f"{_RUNS} WHERE flow = ? ORDER BY id DESC LIMIT ?", (flow, limit))
        return [c.run_row(values) for values in found]

    def run(self, id: str) -> RunRow | None:
        found = self._db.rows(f"{_RUNS} WHERE id = ?", (id,))
        return c.run_row(found[0]) if found else None

    def adopted(self, flow: str, entity: str) -> bool:
        return bool(self._db.rows("SELECT 1 FROM flow WHERE flow = ? AND entity = ?", (flow, entity)))

    def set_adopted(self, flow: str, entity: str, at: str) -> None:
        """Note that the flow's systems are joined for an entity; the first time stays."""
        with self._within():
            self._db.run("INSERT INTO flow (flow, entity, adopted_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (flow, entity, at))

    def note_writes(self, flow: str, system: str, kind: str, count: int, at: float) -> None:
        """Count writes for a brake's window. ``at`` is in Unix seconds; they are remembered for 90 days."""
        if count:
            with self._within():
                window = "flow = ? AND system = ? AND kind = ?"
                self._db.run(f"DELETE FROM brake WHERE {window} AND at < ?", (flow, system, kind, at - BRAKE_MEMORY))
                self._db.run("INSERT INTO brake (flow, system, kind, at, count) VALUES (?, ?, ?, ?, ?)", (flow, system, kind, at, count))

    def forget_writes(self, flow: str, system: str, kind: str) -> None:
        """Let a brake's window begin anew."""
        with self._within():
            self._db.run("DELETE FROM brake WHERE flow = ? AND system = ? AND kind = ?", (flow, system, kind))

    def writes_since(self, flow: str, system: str, kind: str, since: float) -> int:
        """Return how many writes were noted at or after ``since`` (Unix seconds)."""
        sql = "SELECT coalesce(sum(count), 0) FROM brake WHERE flow = ? AND system = ? AND kind = ? AND at >= ?"
        return int(self._db.rows(sql, (flow, system, kind, since))[0][0])

    def tripped(self, flow: str | None = None) -> list[dict[str, Any]]:
        """Return the brakes, of a flow or of all, that wait for a person: flow, system, kind, count, limit, at."""
        names = ("flow", "system", "kind", "count", "limit", "at")
        sql = "SELECT flow, system, kind, count, allowed, at FROM brake_tripped WHERE released_by IS NULL ORDER BY id"
        found = [dict(zip(names, values, strict=True)) for values in self._db.rows(sql)]
        return [row for row in found if flow is None or row["flow"] == flow]

    def trip(self, flow: str, system: str, kind: str, count: int, limit: int, at: str) -> None:
        """Trip a brake. One that is tripped already stays so since it was, with the new count and limit."""
        with self._within():
            self._db.run(_TRIP, (flow, system, kind, count, limit, at))

    def release(self, flow: str, by: str) -> int:
        """Release the flow's brakes; return how many were tripped."""
        with self._within():
            return self._db.run(
                "UPDATE brake_tripped SET released_by = ?, released_at = {now} WHERE flow = ? AND released_by IS NULL", (by, flow)
            )

    # work rows: times are those of the database's clock

    def touch(self, key: str) -> None:
        """Say that there is work under ``key``; it is due at once unless it has been put off."""
        self._db.run(_TOUCH, (key,))

    def holder(self, key: str) -> str | None:
        """Return the owner of the lease that stands on ``key``."""
        return self._text("SELECT lease_owner FROM work WHERE key = ? AND lease_until > {now}", (key,))

    def lease(self, key: str, owner: str, seconds: float, *, dead: str | None = None) -> Fence | None:
        """Take ``key`` for so many seconds; None where another owner has it. Each lease has a greater number than the one before.

        ``dead``: an owner who is known to be no more; a lease that still stands in this name is free.
        """
        found = self._db.rows(_LEASE, (key, owner, seconds, dead))
        return Fence(key, owner, found[0][0]) if found else None

    def renew(self, fence: Fence, seconds: float) -> None:
        """Hold a lease for so many seconds from now. FenceLost where another worker has it."""
        self._as_holder(_RENEW, fence, seconds)

    def finish(self, fence: Fence) -> None:
        """Give a lease back: what was pending when it was taken is done. FenceLost where another worker has it."""
        self._as_holder(_FINISH, fence)

    def postpone(self, fence: Fence, seconds: float) -> None:
        """Give a lease back with its work not done, and due again after so many seconds. FenceLost where another worker has it."""
        self._as_holder(_POSTPONE, fence, seconds)

    def give_back(self, fence: Fence) -> None:
        """Give a lease back of which no work was taken: what is pending is due when it was. FenceLost where another worker has it."""
        self._as_holder(_GIVE_BACK, fence)

    def due(self) -> list[str]:
        """Return the keys whose work is pending, due and leased by nobody; the longest due first."""
        return [key for (key,) in self._db.rows(_DUE)]

    # within

    def _refuse_inside(self) -> None:
        if self._inside:
            raise RuntimeError("a transaction of the store is open already: they do not nest")

    @contextmanager
    def _whole(self, fence: Fence | None = None, later: bool = False) -> Iterator[None]:
        try:
            self._db.begin(later=later)
            yield
            if fence is not None:
                self._check(fence)
            self._db.commit()
        except BaseException:
            self._db.rollback()
            raise

    def _refuse_later(self) -> None:
        if self._later:
            raise RuntimeError("what is known already is not written in a transaction for later: nobody could tell whether it is there")

    @contextmanager
    def _within(self) -> Iterator[None]:
        """The open transaction, or one of its own."""
        if self._inside:
            yield
        else:
            with self.transaction():
                yield

    def _one(self, sql: str, parameters: Sequence[Any]) -> Any:
        found = self._db.rows(sql, parameters)
        return found[0][0] if found else None

    def _text(self, sql: str, parameters: Sequence[Any]) -> str | None:
        text = self._one(sql, parameters)
        return None if text is None else str(text)

    def _look_up(self, sql: str, wanted: Iterable[Any], *parameters: Any, beside: bool = False) -> Iterator[Values]:
        """Yield the rows of a look-up whose first parameter is the list of what is wanted."""
        for chunk in _chunks(wanted):
            chunk.sort()
            yield from self._db.rows(sql, (self._db.array(chunk), *parameters), beside=beside)

    def _for_all(self, sql: str, wanted: Iterable[Any], *parameters: Any) -> None:
        """Carry out a statement whose last parameter is the list of what is wanted."""
        chunks = list(_chunks(wanted))
        if chunks:
            with self._within():
                for chunk in chunks:
                    self._db.run(sql, (*parameters, self._db.array(chunk)))

    def _pages(self, statement: str, stream_id: int) -> Iterator[list[Values]]:
        """Yield what a statement says of a stream, in pages by the key that stands first in each row."""
        after = ""
        while rows := self._db.rows(statement, (stream_id, after, CHUNK)):
            yield rows
            after = rows[-1][0]

    def _add(self, bulk: Bulk, values: Callable[[Any], Values], rows: Sequence[Any], conflict: str = "") -> None:
        if rows:
            with self._within():
                self._db.insert(bulk, map(values, rows), conflict)

    def _first_of(self, sql: str, stream_ids: Sequence[int], wanted: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for stream_id in reversed(stream_ids):
            found |= dict(self._look_up(sql, wanted, stream_id))
        return found

    def _check(self, fence: Fence) -> None:
        # a write, so that on PostgreSQL nobody takes the lease between this check and the commit
        lost = FenceLost(f"The lease of {fence.key} went to another worker; what this one did is dropped.")
        self._db.hold("UPDATE work SET fence = fence WHERE key = ? AND fence = ?", (fence.key, fence.number), lost)

    def _as_holder(self, sql: str, fence: Fence, *parameters: Any) -> None:
        if not self._db.run(sql, (*parameters, fence.key, fence.number)):
            raise FenceLost(f"The lease of {fence.key} went to another worker.")


def _chunks(wanted: Iterable[T]) -> Iterator[list[T]]:
    everything = list(wanted)
    for start in range(0, len(everything), CHUNK):
        yield everything[start : start + CHUNK]


def _last(rows: Sequence[T], key: Callable[[T], Hashable]) -> list[T]:
    return list({key(row): row for row in rows}.values())
