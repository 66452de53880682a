"""Absorb: turns what was pulled into golden records, entity by entity. The order is here; `joining` finds out who is who, `settling` what
comes of what they say. Writes to no system."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

import msgspec

from erpcrm_bridge.mapping import EntityRules
from erpcrm_bridge.model.ids import is_golden_id
from erpcrm_bridge.model.values import same
from erpcrm_bridge.store import GoldenRow, HistoryRow, IncomingRow, LinkRow, Store
from erpcrm_bridge.sync.batch import Member, Work
from erpcrm_bridge.sync.continuing import continue_records
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.joining import beside_golden, join_unlinked, taken_once
from erpcrm_bridge.sync.lines import lines_sum, sum_complaint
from erpcrm_bridge.sync.natural import drawn_by
from erpcrm_bridge.sync.notes import RunNote
from erpcrm_bridge.sync.pull import read_again, read_asked
from erpcrm_bridge.sync.remap import is_unreadable
from erpcrm_bridge.sync.settling import BATCH, draw_match_keys, settle

LINKED = 2_000
"""So many golden records are merged at a time with what was pulled of them: each is held with all its links."""


def absorb(flow: Flow, store: Store, run: RunNote, *, adopting: bool) -> None:
    """Merge everything that was pulled, entity by entity, parents first.

    Raises AdoptionNeeded where two systems hold records that nothing links and ``adopting`` is false; what our external ids bind is
    stored before.
    """
    _draw_from_decisions(flow, store, run)
    for entity in flow.order:
        _draw_anew(store, run, flow.policies[entity].rules)
        _wake_references(flow, store, run, entity)
        join_unlinked(flow, store, run, entity, adopting)
        gone = run.counts["gone"]
        parted = _linked(flow, store, run, entity)
        if run.counts["gone"] > gone:
            _look_again(flow, store, run, entity)
            if any([read_asked(store, run, *stream) for stream in flow.streams().items()]):  # noqa: C419 - each is to be read
                _linked(flow, store, run, entity)
        if parted or run.counts["gone"] > gone:
            join_unlinked(flow, store, run, entity, adopting)
        if continue_records(flow, store, run, entity):
            _linked(flow, store, run, entity)
        if _wake_references(flow, store, run, entity):
            _linked(flow, store, run, entity)


def _draw_anew(store: Store, run: RunNote, rules: EntityRules) -> None:
    """Draw the natural keys of golden records anew where the match rules are others than those by which they were drawn: what is found by
    no rule any more would be created a second time."""
    name, drawn, after = f"match:{rules.entity}", drawn_by(rules), ""
    if store.fact(name) == drawn:
        return
    with store.transaction(run.fence):
        store.forget_match_keys(rules.entity)
    while goldens := store.golden_page(rules.entity, after, BATCH):
        after = goldens[-1].id
        with store.transaction(run.fence):
            draw_match_keys(store, rules, goldens)
    with store.transaction(run.fence):
        store.set_fact(name, drawn)


def _look_again(flow: Flow, store: Store, run: RunNote, entity: str) -> None:
    """Who was doubtful beside a record that is gone may be plain now: let it be identified again, where the golden record lives on.

    Where that is gone as well, its double stays in review: it is not to bring back what was deleted.
    """
    keys: dict[int, list[str]] = {}
    for row, lives in beside_golden(flow, store, entity):
        if lives:
            keys.setdefault(row.stream_id or 0, []).append(row.key or "")
    with store.transaction(run.fence):
        for stream_id, found in keys.items():
            store.set_incoming_state(stream_id, found, "new")


def _draw_from_decisions(flow: Flow, store: Store, run: RunNote) -> None:
    noted = store.fact(f"decided:{flow.name}")
    if noted is None:
        return
    goldens = [row for row in store.golden(msgspec.json.decode(noted, type=list[str])).values() if row.entity in flow.policies]
    with store.transaction(run.fence):
        seq = store.next_seq()
        for golden in goldens:
            rules = flow.policies[golden.entity].rules
            draw_match_keys(store, rules, [golden])
            for name, rule in rules.lists.items():
                if rule.sums_to and sum_complaint(golden.fields, name, rule.sums_to):
                    _add_up(store, run, golden, name, rule.sums_to, seq)
        store.set_fact(f"decided:{flow.name}", None)


def _add_up(store: Store, run: RunNote, golden: GoldenRow, name: str, total: str, seq: int) -> None:
    value, old = lines_sum(golden.fields, name), golden.fields.get(total)
    if value is None:
        return
    golden.fields[total], golden.authors[total], golden.seq = value, ["rule:sums_to", "", run.id], seq
    told = {"by": {total: "rule:sums_to"}, "rules": {total: "the sum of its lines"}}
    store.put_golden([golden])
    store.set_dirty([link.id for link in store.links_of([golden.id])[golden.id] if link.state in ("live", "wanted")])
    store.add_history([HistoryRow(golden.id, run.id, run.at, {"kind": "merge", "fields": {total: [old, value]}, **told})])


def _linked(flow: Flow, store: Store, run: RunNote, entity: str) -> bool:
    """Merge what was pulled of linked records; return whether some are linked no more, and are to be identified anew."""
    after, merged, parted = "", 0, False
    while page := _linked_page(flow, store, run, entity, after):
        after, done, replaced = page
        merged += done
        parted = parted or replaced
        run.progress(f"merge {entity}", merged)
    return parted


def _linked_page(flow: Flow, store: Store, run: RunNote, entity: str, after: str) -> tuple[str, int, bool] | None:
    """Merge the next golden records of which something was pulled. Return the id after which it goes on, how many they were, and whether
    some links were dropped instead; None where there are none. What it takes in memory is free when it returns."""
    stream_ids = [side.stream_id for side in flow.sides[entity]]
    groups = store.incoming_linked(stream_ids, after, LINKED)
    if not groups:
        return None
    beside = store.links_of([golden_id for golden_id, _ in groups])
    links = {link.id: copy(link) for of_golden in beside.values() for link in of_golden}  # what is merged is no longer as it stands
    if replaced := _replaced(flow, store, [row for _, rows in groups for row in rows], links):
        with store.transaction(run.fence):
            store.drop_links(replaced)
        return after, 0, True
    if _stale_are_read_again(flow, store, run, entity, [row for _, rows in groups for row in rows], links):
        groups = store.incoming_linked(stream_ids, after, LINKED)
        beside = store.links_of([golden_id for golden_id, _ in groups])
    goldens = store.golden([golden_id for golden_id, _ in groups])
    twice = _taken_twice(flow, store, run, entity, [row for _, rows in groups for row in rows], links)
    works = []
    for golden_id, rows in groups:
        members = []
        for row in rows:
            if (row.stream_id, row.key) in twice:
                continue
            link = links[row.link_id or ""]
            before = flow.side_of(link, {})
            side = before if row.fields is None else flow.side(row.stream_id, link.entity, row.fields)
            if side is not None and before is not None and link.entity == entity:
                members.append(Member(side, link, row, False, settled_by="" if before is side else before.mapping.name))
        if members:
            works.append(Work(goldens[golden_id], False, members))
    settle(flow, store, run, entity, works, beside)
    return groups[-1][0], len(works), False


def _taken_twice(
    flow: Flow, store: Store, run: RunNote, entity: str, rows: list[IncomingRow], links: Mapping[str, LinkRow]
) -> set[tuple[int, str]]:
    """Park the states that two mappings over their stream take, as those of unlinked records are; return stream and key of each."""
    sharing = flow.streams()
    by_side: dict[int, tuple[Side, list[IncomingRow]]] = {}
    for row in rows:
        if row.fields is None or len(sharing.get(row.stream_id, ())) < 2 or links[row.link_id or ""].entity != entity:
            continue
        side = flow.side(row.stream_id, entity, row.fields)
        if side is not None and side.mapping.applies(row.fields):
            by_side.setdefault(id(side), (side, []))[1].append(row)
    found: set[tuple[int, str]] = set()
    for side, of_side in by_side.values():
        once = {row.key for row in taken_once(store, run, side, sharing[side.stream_id], of_side)}
        found |= {(row.stream_id, row.key) for row in of_side if row.key not in once}
    return found


def _replaced(flow: Flow, store: Store, rows: list[IncomingRow], links: Mapping[str, LinkRow]) -> list[str]:
    """Return the links of records that were deleted and came back, while another of their system stands in their place by now; and of
    those whose key was given a second time: to a record that was created since and carries the reference of its own, or that lacks the
    reference which the deleted one carried.

    Who such a record is, is asked anew: one golden record is not written to two records of one system, nor two to one (L3).
    """
    back = [links[row.link_id] for row in rows if row.link_id and row.fields is not None and links[row.link_id].state == "tombstone"]
    carried = {row.link_id: _carried(flow, row, links[row.link_id]) for row in rows if row.link_id}
    named = {link_id: reference for link_id, reference in carried.items() if reference and reference != links[link_id].golden_id}
    others = store.links_of(sorted({link.golden_id for link in back}.union(named.values()))) if back or named else {}
    replaced = [link.id for link in back if carried[link.id] == "" or any(_stands_for(other, link) for other in others[link.golden_id])]
    given_again = (
        link_id
        for link_id, id in named.items()
        if any(other.key is None and other.stream_id == links[link_id].stream_id for other in others.get(id, ()))
    )
    return list(dict.fromkeys([*replaced, *given_again]))


def _carried(flow: Flow, row: IncomingRow, link: LinkRow) -> str | None:
    """Return the golden id that a record carries now as its reference; "" where it has lost that of its link, None where it says nothing
    new of it."""
    side = flow.side(row.stream_id, link.entity, row.fields)
    external_id = side.selection.external_id if side is not None else None
    if (
        row.fields is None
        or link.base is None
        or external_id not in row.fields
        or same(row.fields[external_id], link.base.get(external_id))
    ):
        return None
    reference = row.fields[external_id]
    return str(reference) if is_golden_id(reference) else "" if link.base.get(external_id) == link.golden_id else None


def _stands_for(other: LinkRow, link: LinkRow) -> bool:
    return other.stream_id == link.stream_id and other.key is not None and other.state in ("live", "missing", "asleep")


def _stale_are_read_again(
    flow: Flow, store: Store, run: RunNote, entity: str, rows: list[IncomingRow], links: Mapping[str, LinkRow]
) -> bool:
    """A state whose read began before its link last settled is no evidence: the record is read again in its stead (L2)."""
    stale: dict[int, list[str]] = {}
    found = False
    for row in rows:
        if row.link_id and row.seq < links[row.link_id].seq:
            stale.setdefault(row.stream_id, []).append(row.key)
    for side in flow.sides[entity]:
        if keys := stale.pop(side.stream_id, None):
            read_again(store, run, side, keys)
            found = True
    return found


def want_everywhere(flow: Flow, store: Store, run: RunNote, entity: str) -> int:
    """Want every golden record of an entity in each stream where it may be created and is not yet; return how many links that makes."""
    after, made = "", 0
    while goldens := store.golden_page(entity, after, BATCH):
        after = goldens[-1].id
        links = store.links_of([golden.id for golden in goldens])
        rows: list[LinkRow] = []
        for golden in goldens:
            here = {link.stream_id for link in links.get(golden.id, [])}
            systems = {side.system for side in flow.sides[entity] if side.stream_id in here}
            if golden.state == "live":
                rows.extend(flow.wanted(golden, systems, run.link_ids))
        with store.transaction(run.fence):
            seq = store.next_seq()
            for row in rows:
                row.seq = seq
            store.add_links(rows)
        made += len(rows)
    return made


def _wake_references(flow: Flow, store: Store, run: RunNote, entity: str) -> bool:
    """Bring back records of ``entity`` with a pending reference whose target has come: they are merged again from their base, or, where
    that lacks what could not be understood, as they are read now."""
    woken = False
    by_subject = [
        row
        for row in store.parked(flow=flow.name, kinds=["waiting"], limit=1_000_000)
        if row.entity == entity and row.subject.startswith("pending:")
    ]
    for row in by_subject:
        if not store.golden_of(flow.streams_of(row.data["system"], row.data["entity"]), [row.data["key"]]):
            continue
        link = store.links([row.subject.split(":", 2)[1]]).get(row.subject.split(":", 2)[1])
        if link is None or link.key is None or link.base is None or link.state != "live":
            continue
        if link.key in store.incoming(link.stream_id, [link.key]):
            continue
        side = flow.side_of(link, {})
        if side is not None and is_unreadable(link):
            read_again(store, run, side, [link.key])
        else:
            with store.transaction(run.fence):
                store.put_incoming([IncomingRow(link.stream_id, link.key, link.version, link.base, link.seq)])
        woken = True
    return woken
