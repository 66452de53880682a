"""What waits for a person, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from erpcrm_bridge.errors import UsageError
from erpcrm_bridge.store import ParkedKind, ParkedRow, Store
from erpcrm_bridge.sync.decide import label_of
from erpcrm_bridge.sync.explain import find_record

_PAGE = 1_000


def clashes(store: Store, flow: str | None, record: str | None) -> list[dict[str, Any]]:
    """Return the open clashes of a flow and of a record (None: of all), oldest first."""
    rows = _rows(store, flow, ["clash"], record)
    labels = _labels(store, rows)
    return [
        {
            "id": row.id,
            "flow": row.flow,
            "entity": row.entity,
            "golden_id": row.golden_id,
            "record": labels.get(row.golden_id or "", ""),
            "field": row.field,
            "why": row.data["why"],
            "candidates": [{"by": c["by"], "role": c["role"], "values": c["values"]} for c in row.data["candidates"]],
            "since": row.opened_at,
        }
        for row in rows
    ]


def parked(
    store: Store, flow: str | None, kinds: Sequence[ParkedKind], record: str | None, streams: dict[int, tuple[str, str]]
) -> list[dict[str, Any]]:
    """Return what is parked, of these kinds, of a flow and of a record (None: of all), oldest first."""
    rows = _rows(store, flow, kinds, record)
    labels = _labels(store, rows)
    return [
        {
            "id": row.id,
            "flow": row.flow,
            "kind": row.kind,
            "entity": row.entity,
            "golden_id": row.golden_id,
            "record": labels.get(row.golden_id or "", ""),
            "connection": streams[row.stream_id][0] if row.stream_id in streams else None,
            "stream": streams[row.stream_id][1] if row.stream_id in streams else None,
            "key": row.key,
            "field": row.field,
            "error": row.error,
            "reason": row.reason,
            "others": row.data.get("others", []),
            "attempts": row.attempts,
            "since": row.opened_at,
        }
        for row in rows
    ]


def _rows(store: Store, flow: str | None, kinds: Sequence[ParkedKind], record: str | None) -> list[ParkedRow]:
    found: list[ParkedRow] = []
    after = ""
    while page := store.parked(flow=flow, kinds=kinds, after=after, limit=_PAGE):
        found.extend(page)
        after = page[-1].id
    if record is None:
        return found
    key = record.rpartition(":")[2]
    try:
        golden_id = find_record(store, record)
    except UsageError:  # what is parked need not be linked: then its key alone tells
        return [row for row in found if row.key == key]
    return [row for row in found if row.golden_id == golden_id]


def _labels(store: Store, rows: Sequence[ParkedRow]) -> dict[str, str]:
    golden = store.golden(sorted({row.golden_id for row in rows if row.golden_id}))
    return {golden_id: label_of(row.fields) for golden_id, row in golden.items()}
