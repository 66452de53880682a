"""Continuing: one entity becomes another (`continues: quote -> order`). The record stays, and its link moves to a golden record of what it
is by now; nothing is created and nothing deleted in its system."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from erpcrm_bridge.store import GoldenRow, HistoryRow, IncomingRow, LinkRow, Store
from erpcrm_bridge.sync.clashes import part
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.joining import Moved, begun_anew, join_moved, way_back
from erpcrm_bridge.sync.notes import RunNote
from erpcrm_bridge.sync.settling import BATCH


def continue_records(flow: Flow, store: Store, run: RunNote, entity: str) -> bool:
    """Let what was another entity become one of ``entity``; return whether states of linked records are to be merged for it.

    A golden record that is wanted where what it continues stands takes over that record. A record that its system calls one of ``entity``
    now moves there, to a golden record that is known to be it, or to a new one.
    """
    if not flow.continued(entity)[1]:
        return False
    took = _take_over(flow, store, run, entity)
    moved = {(one.row.stream_id, one.row.key): one for one in _moved(flow, store, entity)}
    if moved:
        join_moved(flow, store, run, entity, moved)
        _part_all(flow, store, run, list(moved.values()))
        took = _take_over(flow, store, run, entity) or took
    return took


def _part_all(flow: Flow, store: Store, run: RunNote, moved: list[Moved]) -> None:
    """Let those that have gone over take what they said out of the clashes of what they were."""
    in_clash = {golden_id for golden_id, _ in store.in_clash([one.origin.id for one in moved])}
    contested = [one for one in moved if one.origin.id in in_clash]
    links = store.links([one.link.id for one in contested])
    for one in contested:
        if links[one.link.id].golden_id != one.origin.id:
            with store.transaction(run.fence):
                part(flow, store, run, store.golden([one.origin.id])[one.origin.id], one.link, store.next_seq())


def _moved(flow: Flow, store: Store, entity: str) -> Iterator[Moved]:
    """Yield the linked records that were another entity and are taken as one of ``entity`` now."""
    _, streams = flow.continued(entity)
    after = ""
    while groups := store.incoming_linked(sorted(streams), after, BATCH):
        after = groups[-1][0]
        rows = [row for _, rows in groups for row in rows if row.fields is not None]
        links = store.links([row.link_id for row in rows if row.link_id])
        found = [(row, link, side) for row in rows if (link := links[row.link_id or ""]) and (side := _taken_as(flow, entity, row, link))]
        goldens = store.golden([link.golden_id for _, link, _ in found])
        others = store.links_of(list(goldens))
        successors = _successors(store, entity, list(goldens))
        for row, link, side in found:
            meanings = msgspec.json.decode(store.fact(f"meanings:{link.rules}") or "{}", type=dict[str, str])
            left = [other for other in others[link.golden_id] if other.id != link.id]
            yield Moved(side, row, link, goldens[link.golden_id], left, meanings, successors.get(link.golden_id))


def _taken_as(flow: Flow, entity: str, row: IncomingRow, link: LinkRow) -> Side | None:
    start, _ = flow.continued(entity)
    if link.entity != start or link.state in ("alias", "tombstone") or row.seq < link.seq or row.fields is None:
        return None
    if any(side.stream_id == row.stream_id and side.mapping.applies(row.fields) for side in flow.sides[start]):
        return None
    sides = (side for side in flow.sides[entity] if side.stream_id == row.stream_id)
    return next((side for side in sides if side.mapping.applies(row.fields)), None)


def _successors(store: Store, entity: str, golden_ids: list[str]) -> dict[str, str]:
    """Return, by golden id, the golden record of ``entity`` that it has become in some system, the last where there are several."""
    found = {}
    for golden_id, rows in store.histories(golden_ids).items():
        for row in rows:
            for became, successor in (row.data.get("continued") or {}).values():
                if became == entity:
                    found[golden_id] = successor
    return found


def _take_over(flow: Flow, store: Store, run: RunNote, entity: str) -> bool:
    """Give golden records that are wanted in a stream the record of what they continue there; return whether any took one.

    Where several are wanted for one record, or an answer about one is open, none takes it.
    """
    start, streams = flow.continued(entity)
    busy = {intention.link_id for intention in store.open_intentions(sorted(streams))}
    took = False
    for stream_id in sorted(streams):
        after = ""
        wanted: dict[str, list[LinkRow]] = {}
        while links := store.dirty_links(stream_id, after, BATCH):
            after = links[-1].id
            for link, was in _continuing(store, entity, start, [one for one in links if one.key is None and one.entity == entity]):
                wanted.setdefault(was, []).append(link)
        there = store.links_of(sorted(wanted))
        for was, links in wanted.items():
            one = next((link for link in there.get(was, ()) if link.stream_id == stream_id and link.key and link.state == "live"), None)
            if len(links) == 1 and one is not None and one.base is not None and not {links[0].id, one.id} & busy:
                took = _goes_over(store, run, flow, one, links[0], [other for other in there[was] if other is not one]) or took
    return took


def _continuing(store: Store, entity: str, start: str, links: list[LinkRow]) -> Iterator[tuple[LinkRow, str]]:
    """Yield wanted links, each with the golden id of what its golden record continues: what it refers to, or what it came from."""
    way = way_back(entity, start)
    goldens = store.golden([link.golden_id for link in links]) if links else {}
    histories = store.histories(list(goldens)) if way is None else {}
    for link in links:
        golden = goldens[link.golden_id]
        pairs = [pair for row in histories.get(golden.id, ()) for pair in (row.data.get("continues") or {}).values()]
        was = golden.fields.get(way) if way is not None else next((golden_id for known, golden_id in pairs if known == start), None)
        if was is not None and golden.state == "live":
            yield link, was


def _goes_over(store: Store, run: RunNote, flow: Flow, link: LinkRow, wanted: LinkRow, others: list[LinkRow]) -> bool:
    """Move a link to the golden record that is wanted in its stream; its record is merged there as it was last read."""
    key = link.key or ""
    known = store.incoming(link.stream_id, [key]).get(key)
    if known is not None and (known.state != "new" or known.fields is None):
        return False
    golden = store.golden([wanted.golden_id])[wanted.golden_id]
    connection = next(side.connection for side in flow.sides[golden.entity] if side.stream_id == link.stream_id)
    moved = begun_anew(link, golden)
    ended = [other for other in others if other.state == "wanted"] if all(o.state in ("wanted", "tombstone") for o in others) else []
    for other in ended:
        other.state, other.dirty = "tombstone", False
    with store.transaction(run.fence):
        moved.seq = store.next_seq()
        part(flow, store, run, store.golden([link.golden_id])[link.golden_id], link, moved.seq)
        for other in ended:
            other.seq = moved.seq
        store.drop_links([wanted.id])
        store.update_links([moved, *ended])
        store.put_incoming(
            [IncomingRow(link.stream_id, key, known.version, known.fields, moved.seq) if known else _as_known(link, moved.seq)]
        )
        store.add_history(list(_told(run, link, golden, connection)))
        ids = (wanted.id, link.id, *(other.id for other in ended))
        subjects = [f"{kind}:{id}" for id in ids for kind in ("blocked", "record")]
        paths = [f"{kind}:{link.id}:{path}" for kind in ("field", "pending", "later") for path in (*link.held, *link.pending)]
        store.close_parked([*subjects, *paths], "moved on", run.at)
    run.counts["moved on"] += 1
    return True


def _as_known(link: LinkRow, seq: int) -> IncomingRow:
    return IncomingRow(link.stream_id, link.key or "", link.version, link.base, seq)


def _told(run: RunNote, link: LinkRow, golden: GoldenRow, connection: str) -> Iterator[HistoryRow]:
    continued = {"kind": "continued", "continued": {connection: [golden.entity, golden.id]}, "key": link.key}
    yield HistoryRow(link.golden_id, run.id, run.at, continued)
    bound = {"bound": {connection: link.key}, "how": "what it continues", "continues": {connection: [link.entity, link.golden_id]}}
    yield HistoryRow(golden.id, run.id, run.at, {"kind": "merge", **bound})
