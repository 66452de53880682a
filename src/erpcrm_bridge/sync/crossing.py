"""Cross ids: the key of another system's record, which somebody else has left in a field of ours (``linked_by``). It tells who is who for
records that come later, too: by what a linked record carries, and by what a new one carries of a linked one."""

from __future__ import annotations

from collections.abc import Iterable

from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.store import LinkRow, Store, may_be_key
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.natural import cross_form
from erpcrm_bridge.sync.nodes import Nodes

BATCH = 5_000


def carried(side: Side, fields: Fields | None) -> str | None:
    """Return the key of another system's record that a record of this side carries; None where it carries none."""
    value = (fields or {}).get(side.cross) if side.cross else None
    return str(value) if value and may_be_key(str(value)) else None


def noted(settled: Iterable[tuple[Side, LinkRow]]) -> list[tuple[str, str]]:
    """Return what is to be noted of linked records, so that those whom they mean find them: the form of the key that each carries, and its
    link."""
    return [(cross_form(value), link.id) for side, link in settled if (value := carried(side, link.base)) is not None]


def leading_to(flow: Flow, store: Store, entity: str, nodes: Nodes) -> dict[str, list[tuple[int, str]]]:
    """Return, by golden id, what its records carry that means one of these unlinked records: the stream of each, and the key."""
    sides = {side.stream_id: side for side in flow.sides[entity] if side.cross}
    wanted = {cross_form(who.key) for who in nodes} if sides else set()
    if not wanted:
        return {}
    links = store.links(sorted({link_id for _, link_id in store.carrying(wanted)}))
    said = {(link.stream_id, link.key): (link.golden_id, link.base) for link in links.values() if link.state != "tombstone"}
    after = ""
    while page := store.incoming_linked(sorted(sides), after, BATCH):  # what has moved since is not settled yet
        after = page[-1][0]
        said.update({(row.stream_id, row.key): (golden_id, row.fields) for golden_id, rows in page for row in rows})
    found: dict[str, list[tuple[int, str]]] = {}
    for (stream_id, _), (golden_id, fields) in said.items():
        value = carried(sides[stream_id], fields) if stream_id in sides else None
        if value is not None and cross_form(value) in wanted:
            found.setdefault(golden_id, []).append((stream_id, value))
    return found


def led_to(flow: Flow, store: Store, entity: str, nodes: Nodes) -> set[str]:
    """Return the golden ids of the linked records whose keys these unlinked ones carry."""
    values = {value for who in nodes for _, value in who.crosses} if nodes.crossing else ()
    keys = sorted({form for value in values for form in (value, cross_form(value), value[:15] if len(value) == 18 else value)})
    return set(store.golden_of([side.stream_id for side in flow.sides[entity]], keys).values()) if keys else set()
