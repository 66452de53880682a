"""The waiting room: what is parked until its parent comes is looked at again at the end of a run, and closed where it waits no more (L7).

What waits is parked where it is found out, by several rooms; what it waited for comes by many ways, or is not wanted any more. So nobody
but this room says that the waiting is over.
"""

from __future__ import annotations

from erpcrm_bridge.store import ParkedRow, Store
from erpcrm_bridge.sync.flow import Flow
from erpcrm_bridge.sync.notes import RunNote

BATCH = 2_000


def close_what_waits_no_longer(flow: Flow, store: Store, run: RunNote) -> None:
    """Close what is parked as waiting for a parent and is not waiting for it any more. Costs what waits, not what there is."""
    after = ""
    while rows := store.parked(flow=flow.name, kinds=["waiting"], after=after, limit=BATCH):
        after = rows[-1].id
        if over := _over(store, rows):
            with store.transaction(run.fence):
                store.close_parked(over, "settled", run.at)


def _over(store: Store, rows: list[ParkedRow]) -> list[str]:
    """Return the subjects of those that wait no longer."""
    keys: dict[int, list[str]] = {}
    for row in rows:
        if row.subject.startswith("waiting:"):
            keys.setdefault(row.stream_id or 0, []).append(row.key or "")
    waiting = {
        (stream_id, key)
        for stream_id, of_stream in keys.items()
        for key, incoming in store.incoming(stream_id, of_stream).items()
        if incoming.state == "waiting"
    }
    links = store.links([_link_of(row) for row in rows if not row.subject.startswith("waiting:")])
    goldens = store.golden({link.golden_id for link in links.values()})
    systems = {stream_id: system for stream_id, (system, _) in store.streams().items()}
    come = _come(store, rows, systems)
    over = []
    for row in rows:
        link = links.get(_link_of(row))
        golden = goldens.get(link.golden_id) if link else None
        if row.subject.startswith("waiting:"):
            waits = (row.stream_id, row.key) in waiting
        elif link is None or golden is None or golden.state == "gone" or link.state not in ("live", "wanted"):
            waits = False
        elif row.subject.startswith("pending:"):
            waits = row.field in link.pending
        elif row.error == "made":  # what its parent's move brings forth has not come in yet
            waits = link.state == "wanted"
        else:
            wanted = row.field is None or golden.fields.get(row.field) == row.waits_for
            waits = wanted and (systems.get(row.stream_id or 0, ""), row.waits_for or "") not in come
        if not waits:
            over.append(row.subject)
    return over


def _link_of(row: ParkedRow) -> str:
    return row.subject.split(":")[1]


def _come(store: Store, rows: list[ParkedRow], systems: dict[int, str]) -> set[tuple[str, str]]:
    """Return, as system and golden id, who of those that are waited for stands in the system where it is waited for."""
    awaited = sorted({row.waits_for for row in rows if row.waits_for and row.golden_id})
    links = store.links_of(awaited)
    return {(systems[link.stream_id], golden_id) for golden_id, of_one in links.items() for link in of_one if link.state == "live"}
