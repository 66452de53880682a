"""What the stations of a run tell one another: the run's name, its counts, and rows for what is parked and remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from erpcrm_bridge.model.ids import Ids
from erpcrm_bridge.store import Fence, ParkedKind, ParkedRow, Store

Progress = Callable[[str, int], None]
"""Told of long work: a sentence, and how many records so far."""


def quiet(sentence: str, count: int) -> None:
    """A Progress that says nothing."""


@dataclass(slots=True)
class RunNote:
    """One run: its id, flow, when it began (UTC text), and what it has counted so far. ``old_until`` is the store's sequence up to which
    records count as there before the adoption: they are not created elsewhere by themselves."""

    id: str
    flow: str
    at: str
    unix: float
    golden_ids: Ids
    link_ids: Ids
    parked_ids: Ids
    fence: Fence | None = None
    progress: Progress = quiet
    old_until: int = -1
    counts: Counter[str] = field(default_factory=Counter)
    away: dict[str, str] = field(default_factory=dict)
    """connections out of reach, with the reason: left alone until the run's end (L12)"""
    counted: bool = False
    """whether what is written counts for the brakes"""


def new_run(flow: str, clock: Callable[[], float], fence: Fence | None = None, progress: Progress = quiet, old_until: int = -1) -> RunNote:
    """Return a run that begins now; ``clock`` gives Unix seconds."""
    now = clock()
    ms = int(now * 1000)
    return RunNote(Ids("R", ms).new(), flow, instant(now), now, Ids("G", ms), Ids("L", ms), Ids("P", ms), fence, progress, old_until)


def instant(unix: float) -> str:
    """Return an instant as UTC text with milliseconds."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def parked_row(
    run: RunNote,
    kind: ParkedKind,
    subject: str,
    entity: str,
    *,
    error: str,
    reason: str,
    golden_id: str | None = None,
    stream_id: int | None = None,
    key: str | None = None,
    field: str | None = None,
    data: dict[str, Any] | None = None,
    waits_for: str | None = None,
) -> ParkedRow:
    """Return a row for the parked table, opened by this run."""
    return ParkedRow(
        id=run.parked_ids.new(),
        flow=run.flow,
        kind=kind,
        subject=subject,
        entity=entity,
        golden_id=golden_id,
        stream_id=stream_id,
        key=key,
        field=field,
        error=error,
        reason=reason,
        data=data or {},
        waits_for=waits_for,
        run=run.id,
        opened_at=run.at,
    )


def note_decided(store: Store, flow: str, golden_id: str) -> None:
    """Let the next run draw what follows from a person's change of a golden record: its natural keys, and the total of its lines."""
    noted = msgspec.json.decode(store.fact(f"decided:{flow}") or "[]", type=list[str])
    store.set_fact(f"decided:{flow}", msgspec.json.encode([*noted, golden_id]).decode())
