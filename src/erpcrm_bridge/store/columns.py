"""How the structs of ``rows`` lie in the tables: the columns written in bulk, and the way from a struct to its values and back.

An empty dict or list is stored as null. The order of the columns here is that of the values; a test holds it against ``tables``.
"""

from __future__ import annotations

from typing import Any

from erpcrm_bridge.errors import StoreError
from erpcrm_bridge.model.values import UNREADABLE, pack, unpack
from erpcrm_bridge.store.engines import Bulk, Values
from erpcrm_bridge.store.rows import Author, GoldenRow, HistoryRow, IncomingRow, Intention, LinkRow, ParkedRow, RunRow

GOLDEN = Bulk("golden", {"id": "text", "entity": "text", "state": "text", "seq": "int8", "authors": "bytea", "fields": "bytea"})
GOLDEN_KNOWN_BY = 3
"""So many first columns stay as they are while a golden record is only said otherwise: its index need not be touched."""
LINK = Bulk(
    "link",
    {
        "id": "text",
        "golden_id": "text",
        "entity": "text",
        "stream_id": "int8",
        "key": "text",
        "state": "text",
        "dirty": "bool",
        "version": "text",
        "rules": "text",
        "seq": "int8",
        "answered": "bytea",
        "line_keys": "bytea",
        "held": "bytea",
        "pending": "bytea",
        "earlier": "bytea",
        "base": "bytea",
    },
)
LINK_KNOWN_BY = 5
"""So many first columns stay as they are while it is the link of this golden record and key: three of its indexes need not be touched."""
INCOMING = Bulk(
    "incoming",
    {
        "stream_id": "int8",
        "key": "text",
        "version": "text",
        "seq": "int8",
        "state": "text",
        "golden_id": "text",
        "merged_into": "text",
        "fields": "bytea",
    },
)
MATCH_KEY = Bulk("match_key", {"hash": "int8", "golden_id": "text"})
MATCH_KEY_NEW = Bulk("match_key_new", {"golden_id": "text", "hashes": "text", "gone": "bool"})
CROSS_ID = Bulk("cross_id", {"value": "text", "link_id": "text"})
INTENTION = Bulk(
    "intention",
    {
        "id": "text",
        "link_id": "text",
        "golden_id": "text",
        "stream_id": "int8",
        "operation": "text",
        "reference": "text",
        "digest": "text",
        "handle": "text",
        "run": "text",
    },
)
PARKED = Bulk(
    "parked",
    {
        "id": "text",
        "flow": "text",
        "kind": "text",
        "subject": "text",
        "entity": "text",
        "golden_id": "text",
        "stream_id": "int8",
        "key": "text",
        "field": "text",
        "error": "text",
        "reason": "text",
        "data": "bytea",
        "waits_for": "text",
        "run": "text",
        "attempts": "int8",
        "opened_at": "text",
        "closed_at": "text",
        "closed_by": "text",
    },
)
HISTORY = Bulk("history", {"golden_id": "text", "run": "text", "at": "text", "data": "bytea"})
RUN = Bulk(
    "run",
    {
        "id": "text",
        "flow": "text",
        "kind": "text",
        "started_at": "text",
        "finished_at": "text",
        "status": "text",
        "counts": "bytea",
        "message": "text",
    },
)
ALL = (GOLDEN, LINK, INCOMING, MATCH_KEY, MATCH_KEY_NEW, CROSS_ID, INTENTION, PARKED, HISTORY, RUN)


def listed(bulk: Bulk, *more: str) -> str:
    """Return the columns of ``bulk`` with its table's name, and ``more``, for a SELECT."""
    return ", ".join([*(f"{bulk.table}.{name}" for name in bulk.columns), *more])


def rewritten(bulk: Bulk, *keys: str) -> str:
    """Return ``a = excluded.a, …`` for all columns but ``keys``."""
    return ", ".join(f"{name} = excluded.{name}" for name in bulk.columns if name not in keys)


def _packed(value: Any) -> bytes | None:
    return pack(value) if value else None


def unpacked(data: Any) -> Any:
    """Return the value of packed bytes. Raises StoreError where they are none: the database has not noticed what the disk did to it."""
    try:
        return unpack(data)
    except (*UNREADABLE, TypeError):
        what = "The store is damaged: a value in it cannot be read."
        raise StoreError(what, way_out="Keep a copy of it, then restore it from a backup.") from None


def golden_values(row: GoldenRow) -> Values:
    return (row.id, row.entity, row.state, row.seq, _packed_authors(row.authors) if row.authors else None, pack(row.fields))


def _packed_authors(authors: dict[str, Author]) -> bytes:
    """An author stands there once, under all paths that are his, a line each: most rows have two, and an edit of an address is one more."""
    paths: dict[tuple[str, ...], str] = {}
    for path, author in authors.items():
        key = tuple(author)
        paths[key] = f"{paths[key]}\n{path}" if key in paths else path
    return pack({of_author: author for author, of_author in paths.items()})


def golden_row(values: Values) -> GoldenRow:
    id, entity, state, seq, authors, fields = values
    by_path = {path: author for paths, author in unpacked(authors).items() for path in paths.split("\n")} if authors else {}
    return GoldenRow(id, entity, unpacked(fields), by_path, seq, state)


def link_values(row: LinkRow) -> Values:
    return (
        row.id,
        row.golden_id,
        row.entity,
        row.stream_id,
        row.key,
        row.state,
        row.dirty,
        row.version,
        row.rules,
        row.seq,
        pack(row.answered) if row.answered else None,
        pack(row.line_keys) if row.line_keys else None,
        pack(row.held) if row.held else None,
        pack(row.pending) if row.pending else None,
        pack(row.earlier) if row.earlier else None,
        None if row.base is None else pack(row.base),
    )


def link_row(values: Values) -> LinkRow:
    id, golden_id, entity, stream_id, key, state, dirty, version, rules, seq, answered, line_keys, held, pending, earlier, base = values
    return LinkRow(
        id=id,
        golden_id=golden_id,
        entity=entity,
        stream_id=stream_id,
        key=key,
        state=state,
        dirty=bool(dirty),
        base=None if base is None else unpacked(base),
        answered=unpacked(answered) if answered else {},
        version=version,
        rules=rules,
        line_keys=unpacked(line_keys) if line_keys else {},
        held=unpacked(held) if held else {},
        pending=unpacked(pending) if pending else [],
        earlier=unpacked(earlier) if earlier else [],
        seq=seq,
    )


def incoming_values(row: IncomingRow, golden_id: str | None) -> Values:
    """``golden_id`` is that of the link of the row's key, where there is one; the row's own is not looked at."""
    return (
        row.stream_id,
        row.key,
        row.version,
        row.seq,
        row.state,
        golden_id,
        row.merged_into,
        None if row.fields is None else pack(row.fields),
    )


def incoming_row(values: Values) -> IncomingRow:
    """``values`` are the columns of INCOMING and the link's id."""
    stream_id, key, version, seq, state, golden_id, merged_into, fields, link_id = values
    return IncomingRow(stream_id, key, version, None if fields is None else unpacked(fields), seq, state, merged_into, link_id, golden_id)


def intention_values(row: Intention) -> Values:
    return (row.id, row.link_id, row.golden_id, row.stream_id, row.operation, row.reference, row.digest, row.handle, row.run)


def parked_values(row: ParkedRow) -> Values:
    return (
        row.id,
        row.flow,
        row.kind,
        row.subject,
        row.entity,
        row.golden_id,
        row.stream_id,
        row.key,
        row.field,
        row.error,
        row.reason,
        _packed(row.data),
        row.waits_for,
        row.run,
        row.attempts,
        row.opened_at,
        row.closed_at,
        row.closed_by,
    )


def parked_row(values: Values) -> ParkedRow:
    row = ParkedRow(*values)
    row.data = unpacked(values[11]) if values[11] else {}
    return row


def history_values(row: HistoryRow) -> Values:
    return (row.golden_id, row.run, row.at, pack(row.data))


def history_row(values: Values) -> HistoryRow:
    """``values`` are the columns of HISTORY and the id."""
    golden_id, run, at, data, id = values
    return HistoryRow(golden_id, run, at, unpacked(data), id)


def run_values(row: RunRow) -> Values:
    return (row.id, row.flow, row.kind, row.started_at, row.finished_at, row.status, _packed(row.counts), row.message)


def run_row(values: Values) -> RunRow:
    id, flow, kind, started_at, finished_at, status, counts, message = values
    return RunRow(id, flow, kind, started_at, finished_at, status, unpacked(counts) if counts else {}, message)
