"""Our ids, written back: a record that was bound carries its golden id in its external-id field, so that a lost store finds it again.

A step of its own, asked for by hand and so many at a time: it changes every record once, and other people's integrations see that.
"""

from __future__ import annotations

from collections.abc import Iterator

from erpcrm_bridge.store import LinkRow, Store
from erpcrm_bridge.sync.decide import Step, label_of
from erpcrm_bridge.sync.flow import Flow, Side

BATCH = 2_000


def owing(flow: Flow, store: Store) -> Iterator[Step]:
    """Yield a step for each linked record whose external-id field is empty. One that others have filled is never overwritten (L3)."""
    for side in flow.all_sides():
        name = side.selection.external_id
        field = side.stream.fields.get(name) if name else None
        if name is None or field is None or not field.updatable or not side.offers.update:
            continue
        busy = {intention.link_id for intention in store.open_intentions([side.stream_id])}
        after = ""
        while links := store.links_page(side.stream_id, after, BATCH):
            after = links[-1].id
            yield from _steps(store, side, name, [link for link in links if link.id not in busy and _owes(link, side, name)])


def _owes(link: LinkRow, side: Side, name: str) -> bool:
    known = link.base is not None and name in link.base and link.rules == side.mapping.digest
    return link.state == "live" and link.entity == side.entity and known and (link.base or {}).get(name) in (None, "")


def _steps(store: Store, side: Side, name: str, links: list[LinkRow]) -> Iterator[Step]:
    goldens = store.golden([link.golden_id for link in links])
    for link in links:
        golden = goldens[link.golden_id]
        if golden.state == "live":
            yield Step(
                operation="update",
                entity=golden.entity,
                golden_id=golden.id,
                link_id=link.id,
                connection=side.connection,
                stream=side.stream.name,
                key=link.key,
                label=label_of(golden.fields),
                fields={name: [None, golden.id]},
                golden_seq=golden.seq,
                link_seq=link.seq,
            )
