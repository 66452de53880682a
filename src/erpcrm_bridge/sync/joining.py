"""Joining: finds out who the records are that nothing links yet, binds them to their golden records, or founds new ones. What is in doubt
is laid before a person."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice, repeat
from typing import Any, TypeAlias

from msgspec import Struct, structs

from erpcrm_bridge.errors import AdoptionNeeded
from erpcrm_bridge.mapping import EntityRules, FieldError
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.ids import is_golden_id
from erpcrm_bridge.model.values import Fields, digest, same
from erpcrm_bridge.store import GoldenRow, IncomingRow, IncomingState, LinkRow, ParkedRow, Store
from erpcrm_bridge.sync.batch import Batch, Member, Origin, Work
from erpcrm_bridge.sync.crossing import carried, leading_to, led_to
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.identify import Doubt, Group
from erpcrm_bridge.sync.merge import author_of
from erpcrm_bridge.sync.natural import cross_form, forms_of
from erpcrm_bridge.sync.nodes import Node, Nodes
from erpcrm_bridge.sync.notes import RunNote, parked_row
from erpcrm_bridge.sync.references import blocking, refs_of
from erpcrm_bridge.sync.related import identify_all
from erpcrm_bridge.sync.saying import wait
from erpcrm_bridge.sync.settling import BATCH, settle, write_incoming_states


class Moved(Struct):
    """A record that was another entity until now: the side that takes it, its link as it stands, what it was with the other links of that,
    and what the rules meant that settled it (by path). ``successor`` is the golden record that another record of what it was has become."""

    side: Side
    row: IncomingRow
    link: LinkRow
    origin: GoldenRow
    others: list[LinkRow]
    meanings: dict[str, str]
    successor: str | None = None


def begun_anew(link: LinkRow, golden: GoldenRow) -> LinkRow:
    """Return a link as it goes over to a golden record of another entity: nothing of its record has been read as such yet."""
    return structs.replace(
        link,
        golden_id=golden.id,
        entity=golden.entity,
        state="live",
        dirty=True,
        base=None,
        answered={},
        line_keys={},
        held={},
        pending=[],
        rules="",
    )


def way_back(entity: str, start: str) -> str | None:
    """Return the reference by which an entity names what it was, where it has exactly one to such a thing: an order's quote."""
    ways = [path for path, target in entity_spec(entity).references.items() if target == start]
    return ways[0] if len(ways) == 1 else None


def beside_golden(flow: Flow, store: Store, entity: str, subjects: Sequence[str] | None = None) -> list[tuple[ParkedRow, bool]]:
    """Return what is in review because it may be what golden records are, and whether all of these live somewhere. ``subjects`` narrows
    it."""
    rows = [
        (row, {other["golden"] for other in row.data.get("others", ()) if "golden" in other})
        for row in store.parked(flow=flow.name, kinds=["review"], errors=["double", "ambiguous"], subjects=subjects, limit=1_000_000)
        if row.entity == entity and row.stream_id is not None and row.key is not None
    ]
    ids = sorted({golden_id for _, goldens in rows for golden_id in goldens})
    links = store.links_of(ids)
    somewhere = {golden_id for golden_id in ids if any(link.state != "tombstone" for link in links.get(golden_id, ()))}
    live = {golden_id for golden_id, golden in store.golden(ids).items() if golden.state == "live"} & somewhere
    return [(row, goldens <= live) for row, goldens in rows if goldens]


Who: TypeAlias = tuple[int, str]
"""A record, by its stream and key."""
Asked: TypeAlias = dict[Who, tuple[str, set[tuple[str, str]]]]
"""What was in review, by stream and key: its connection, and the connections and keys of the records that it may be."""


def join_unlinked(flow: Flow, store: Store, run: RunNote, entity: str, adopting: bool) -> None:
    """Bind, found or lay before a person every record of the entity that nothing links. Raises AdoptionNeeded: see `absorb`."""
    rules = flow.policies[entity].rules
    again = _look_again(flow, store, run, entity)
    with Nodes(rules.match, rules.apart) as nodes:
        _put_aside(flow, store, entity, run, nodes)
        unlinked, match = len(nodes), rules.match
        if not unlinked:
            return
        adopted = adopting or store.adopted(flow.name, entity)
        if not adopted and _needs_adoption(nodes, flow, store, entity):
            # What carries our ids is bound; what it is bound to may stand on the other side without one, so nothing is wanted there.
            match, run.old_until = (), store.seq()
        elif not adopted:
            store.set_adopted(flow.name, entity, run.at)
        beside = _beside_gone(flow, store, entity, nodes)
        _add_golden_nodes(flow, store, entity, nodes, bool(match))
        identified = identify_all(flow, store, entity, nodes, match)
        groups, left = identified.groups(), 0
        if not adopted and not match:
            groups = (group for group in groups if group.references)
            left = unlinked - sum(len(group.members) for group in identified.groups() if group.references)
        groups = _leave_asked(flow, store, run, entity, groups, again)
        _found(flow, store, run, entity, _leave_in_review(store, run, groups, beside))
        if left:
            raise AdoptionNeeded(
                f"{left} {entity} records in both systems are linked to nothing; joining them unseen could double or mix them.",
                way_out=f"Review the first joining: erpcrm-bridge adopt {flow.name}",
            )
        _store_doubts(flow, store, run, entity, identified.doubts(), again)


def _look_again(flow: Flow, store: Store, run: RunNote, entity: str) -> Asked:
    """Where a record is to be identified, identify those in review with it that it may be, or was taken for: it may no longer be
    (decision 0013). Return what was asked of all of these."""
    streams = sorted({side.stream_id for side in flow.sides[entity]})
    in_review = any(store.incoming_unlinked(stream_id, "", 1, ("parked",)) for stream_id in streams)
    fresh: list[Who] = []
    marks: set[int | str] = set()
    for who, own in _marked(flow, store, entity, ("new", "waiting")) if in_review else ():
        fresh.append(who)
        marks.update(own)
    if not fresh:
        return {}
    asked = _asked(flow, store, fresh)
    named = set().union(*(others for _, others in asked.values()))
    connections = {side.stream_id: side.connection for side in flow.sides[entity]}
    there = _marked(flow, store, entity, ("parked",))
    again = [who for who, own in there if not marks.isdisjoint(own) or (connections[who[0]], who[1]) in named]
    reviewed = _asked(flow, store, again)
    with store.transaction(run.fence):
        for stream_id in streams:
            store.set_incoming_state(stream_id, [key for at, key in reviewed if at == stream_id], "new")
    return asked | reviewed


def _marked(flow: Flow, store: Store, entity: str, states: Sequence[IncomingState]) -> Iterator[tuple[Who, set[int | str]]]:
    """Yield what nothing links, in these states, with its natural keys and cross ids: two that share none of them are not one."""
    keys = flow.policies[entity].natural_keys
    for side in flow.sides[entity]:
        get, after = side.mapping.narrowed(set(keys.paths)), ""
        while rows := store.incoming_unlinked(side.stream_id, after, BATCH, states):
            after = rows[-1].key
            ours = [row for row in rows if row.fields is not None and side.mapping.applies(row.fields)]
            refs = refs_of(flow, store, side, [row.fields or {} for row in ours])
            told = [get(row.fields or {}, refs, []) for row in ours]
            forms = {path: forms_of(path, [said.get(path) for said in told]) for path in keys.paths}
            drawn = zip(*keys.drawn(forms, len(ours)), strict=True) if keys.paths else repeat(())
            for row, natural in zip(ours, drawn, strict=False):
                own: set[int | str] = {key for key in natural if key}
                own.update(cross_form(key) for key in (row.key, carried(side, row.fields)) if key)
                yield (side.stream_id, row.key), own


def _asked(flow: Flow, store: Store, whos: Sequence[Who]) -> Asked:
    """Return what is asked of these records, of those that are in review."""
    connections = {side.stream_id: side.connection for side in flow.all_sides()}
    subjects = [f"review:{stream_id}:{key}" for stream_id, key in whos]
    rows = (
        store.parked(flow=flow.name, kinds=["review"], errors=["double", "ambiguous"], subjects=subjects, limit=1_000_000)
        if subjects
        else ()
    )
    return {
        (row.stream_id or 0, row.key or ""): (
            connections[row.stream_id or 0],
            {(other.get("connection", ""), other.get("key", "")) for other in row.data.get("others", ())},
        )
        for row in rows
    }


def _untold(again: Asked, one: Who, other: Who) -> bool:
    """Tell whether two that were in review did not name one another: a person may have said that they are different."""
    if one not in again or other not in again:
        return False
    (here, named), (there, told) = again[one], again[other]
    return (there, other[1]) not in named and (here, one[1]) not in told


def _leave_asked(flow: Flow, store: Store, run: RunNote, entity: str, groups: Iterable[Group], again: Asked) -> Iterator[Group]:
    """Yield the groups without those that would bind what a person may have told apart: they are asked about."""
    for group in groups:
        if again and any(_untold(again, one, other) for one, other in combinations(group.members, 2)):
            doubts = []
            for stream_id, key in group.members:
                others = [member for member in group.members if member != (stream_id, key)]
                others += [(0, group.golden_id)] if group.golden_id else []
                reason = f"same {group.rule} as a record that may be the same"
                doubts.append(Doubt(stream_id, key, reason, others, False, [None] * len(others), [0] * len(others)))
            _store_doubts(flow, store, run, entity, iter(doubts))
        else:
            yield group


def _beside_gone(flow: Flow, store: Store, entity: str, nodes: Nodes) -> set[tuple[int, str]]:
    """Return stream and key of what was in review beside golden records of which one is gone by now."""
    # of a few records their own rows are looked up, of many all rows are read
    subjects = [f"review:{who.stream_id}:{who.key}" for who in nodes.whos()] if len(nodes) <= BATCH else None
    return {(row.stream_id or 0, row.key or "") for row, lives in beside_golden(flow, store, entity, subjects) if not lives}


def _leave_in_review(store: Store, run: RunNote, groups: Iterable[Group], beside: Container[tuple[int, str]]) -> Iterator[Group]:
    """Yield the groups without those records that were in review ``beside`` one that is gone by now, and are nothing else either: were they
    founded, what was deleted would come back by them. A person says so first."""
    for group in groups:
        if group.golden_id is None and len(group.members) == 1 and group.members[0] in beside:
            ((stream_id, key),) = group.members
            with store.transaction(run.fence):
                store.set_incoming_state(stream_id, [key], "parked")
        else:
            yield group


def _needs_adoption(nodes: Nodes, flow: Flow, store: Store, entity: str) -> bool:
    """Tell whether two systems are filled with records of the entity, and some of them are linked to nothing."""
    if nodes.referring == len(nodes):
        return False
    linked = {stream_id for (stream_id, state, _), count in store.count_links().items() if count and state != "wanted"}
    filled = linked | nodes.streams
    return len({side.system for side in flow.sides[entity] if side.stream_id in filled}) > 1


def _put_aside(flow: Flow, store: Store, entity: str, run: RunNote, nodes: Nodes) -> None:
    """Put a node aside for each unlinked record; those that wait for a parent are noted as waiting."""
    natural = _looked_at(flow.policies[entity].rules)
    sharing = flow.streams()
    taken_apart = _taken_apart(flow, store, entity)
    for side in flow.sides[entity]:
        get, external_id = side.mapping.narrowed(natural), side.selection.external_id
        after = ""
        while rows := store.incoming_unlinked(side.stream_id, after, BATCH):
            after = rows[-1].key
            if held := [row.key for row in rows if row.fields is not None and (side.stream_id, row.key) in taken_apart]:
                with store.transaction(run.fence):
                    store.set_incoming_state(side.stream_id, held, "parked")
                rows = [row for row in rows if row.key not in held]
            ours = [row for row in rows if row.fields is not None and side.mapping.applies(row.fields)]
            ours = taken_once(store, run, side, sharing[side.stream_id], ours)
            if len(ours) < len(rows):
                _forget(store, run, side.stream_id, [row.key for row in rows if not _is_somebodys(row, sharing[side.stream_id])])
            refs = refs_of(flow, store, side, [row.fields for row in ours if row.fields is not None])
            page: list[Node] = []
            told: list[Fields] = []
            waiting: list[tuple[IncomingRow, Side, list[FieldError]]] = []
            for row in ours:
                errors: list[FieldError] = []
                said = get(row.fields or {}, refs, errors)
                if errors and (blocked := blocking(side, errors)):
                    waiting.append((row, side, blocked))
                    continue
                reference = (row.fields or {}).get(external_id) if external_id else None
                page.append(_node(side, row, reference if reference and is_golden_id(reference) else None))
                told.append(said)
            nodes.add(page, told)
            _store_waiting(store, run, waiting)


def _looked_at(rules: EntityRules) -> set[str]:
    """Return the paths by which rules tell who is who."""
    return {path for rule in rules.match for path in rule.keys}.union(rules.apart, *(rule.compare for rule in rules.match))


def join_moved(flow: Flow, store: Store, run: RunNote, entity: str, moved: Mapping[tuple[int, str], Moved]) -> None:
    """Bind each record that was another entity until now to its golden record of ``entity``, found one, or lay it before a person.

    Records that were one are one, with the golden record that one of them has become before. What they carry still names what they were.
    """
    rules = flow.policies[entity].rules
    natural = _looked_at(rules)
    page: list[Node] = []
    told: list[Fields] = []
    waiting: list[tuple[IncomingRow, Side, list[FieldError]]] = []
    for one in moved.values():
        refs = refs_of(flow, store, one.side, [one.row.fields or {}])
        errors: list[FieldError] = []
        said = one.side.mapping.narrowed(natural)(one.row.fields or {}, refs, errors)
        if blocked := blocking(one.side, errors):
            waiting.append((one.row, one.side, blocked))
        else:
            page.append(_node(one.side, one.row, one.successor or one.origin.id))
            told.append(said)
    _store_waiting(store, run, waiting)
    if page:
        with Nodes(rules.match, rules.apart) as nodes:
            nodes.add(page, told)
            _add_golden_nodes(flow, store, entity, nodes, bool(rules.match))
            identified = identify_all(flow, store, entity, nodes, rules.match)
            _found(flow, store, run, entity, identified.groups(), moved)
            _store_doubts(flow, store, run, entity, identified.doubts())


def _node(side: Side, row: IncomingRow, reference: str | None) -> Node:
    crosses = ((side.stream_id, cross),) if side.cross and (cross := carried(side, row.fields)) else ()
    return Node(side.stream_id, row.key, reference, crosses=crosses)


def _taken_apart(flow: Flow, store: Store, entity: str) -> set[tuple[int, str]]:
    """Return stream and key of what a person has unlinked: it is nobody's until a person says whose it is."""
    rows = store.parked(flow=flow.name, kinds=["review"], errors=["unlinked"], limit=1_000_000)
    return {(row.stream_id or 0, row.key or "") for row in rows if row.entity == entity}


def taken_once(store: Store, run: RunNote, side: Side, sharing: Sequence[Side], rows: list[IncomingRow]) -> list[IncomingRow]:
    """Return the rows that no other mapping over the stream takes; for the others it would not be known what they are: they are parked."""
    others = [other for other in sharing if other is not side]
    if not others:
        return rows
    twice = {row.key: names for row in rows if (names := [o.mapping.name for o in others if o.mapping.applies(row.fields or {})])}
    if not twice:
        return rows
    where = f"{side.connection} {side.stream.name}"
    reason = "the `when` of {} both take it"
    parked = [
        parked_row(
            run,
            "record",
            f"record:{side.stream_id}:{key}",
            side.entity,
            stream_id=side.stream_id,
            key=key,
            error="when-overlap",
            reason=f"{where} {key}: {reason.format(' and '.join(sorted([side.mapping.name, *names])))}; let one leave it out",
        )
        for key, names in twice.items()
    ]
    with store.transaction(run.fence):
        store.set_incoming_state(side.stream_id, list(twice), "parked")
        store.park(parked)
    run.counts["records parked"] += len(parked)
    return [row for row in rows if row.key not in twice]


def _is_somebodys(row: IncomingRow, sides: Iterable[Side]) -> bool:
    """Tell whether an unlinked record is there and one of these mappings takes it."""
    return row.fields is not None and any(side.mapping.applies(row.fields) for side in sides)


def _forget(store: Store, run: RunNote, stream_id: int, keys: list[str]) -> None:
    """Forget unlinked records that are gone, or are nobody's any more; what was asked about them is no longer a question."""
    if keys:
        with store.transaction(run.fence):
            store.drop_incoming(stream_id, keys)
            store.close_parked([f"{kind}:{stream_id}:{key}" for key in keys for kind in ("review", "record")], "gone", run.at)


def _add_golden_nodes(flow: Flow, store: Store, entity: str, nodes: Nodes, matching: bool) -> None:
    """Put a node aside for each golden record whose external id an unlinked record carries, that a cross id joins to one, or that lives and
    shares a natural key."""
    keys = flow.policies[entity].natural_keys
    sharing: set[str] = set()
    wanted: set[int] = set()
    for number in sorted(set(keys.numbers)) if matching and store.golden_page(entity, "", 1) else ():
        for page in nodes.natural(number):
            wanted.update(key for key in page if key)
            if len(wanted) > BATCH:
                sharing.update(golden_id for _, golden_id in store.match(wanted))
                wanted.clear()
    sharing.update(golden_id for _, golden_id in store.match(wanted))
    leading = leading_to(flow, store, entity, nodes)
    crossed = led_to(flow, store, entity, nodes).union(leading)
    named = {who.reference for who in nodes.whos() if who.reference} | crossed if nodes.referring else crossed
    wanted_ids = sorted(sharing | named)
    for start in range(0, len(wanted_ids), BATCH):
        rows = store.golden(wanted_ids[start : start + BATCH])
        links = store.links_of(sorted(rows))
        found = [
            row
            for golden_id, row in rows.items()
            if row.entity == entity
            and (golden_id in named or (row.state == "live" and any(link.state != "tombstone" for link in links.get(golden_id, ()))))
        ]
        nodes.add([_golden_node(row, links.get(row.id, ()), crossed, leading) for row in found], [row.fields for row in found])


def _golden_node(row: GoldenRow, links: Sequence[LinkRow], crossed: Container[str], leading: Mapping[str, list[tuple[int, str]]]) -> Node:
    return Node(
        0,
        "",
        golden_id=row.id,
        linked=frozenset(link.stream_id for link in links if link.state != "tombstone" and link.key is not None),
        gone=row.state == "gone",
        left=frozenset(link.stream_id for link in links if link.state == "tombstone" and link.key is not None),
        crosses=tuple(leading.get(row.id, ())),
        keys=tuple((link.stream_id, link.key) for link in links if link.key is not None) if crossed else (),
    )


def _found(
    flow: Flow,
    store: Store,
    run: RunNote,
    entity: str,
    groups: Iterator[Group],
    moved: Mapping[tuple[int, str], Moved] | None = None,
) -> None:
    """Bind each group to its golden record, or found one, and merge what its members say. The links of what has ``moved`` go with it."""
    streams = [side.stream_id for side in flow.sides[entity]]
    alone = {side.stream_id: side for side in flow.sides[entity] if streams.count(side.stream_id) == 1}
    done = 0
    while part := list(islice(groups, BATCH)):
        by_stream: dict[int, list[str]] = {}
        for group in part:
            for stream_id, key in group.members:
                by_stream.setdefault(stream_id, []).append(key)
        incoming = {stream_id: store.incoming(stream_id, keys, beside=True) for stream_id, keys in by_stream.items()}
        known = [group.golden_id for group in part if group.golden_id]
        goldens = store.golden({*known, *(reference for group in part for reference in group.references)})
        wanted = {
            (link.golden_id, link.stream_id): link for links in store.links_of(known).values() for link in links if link.state == "wanted"
        }
        works = []
        for group in part:
            golden = goldens.get(group.golden_id) if group.golden_id else None
            new = golden is None
            if golden is None:
                free = next((reference for reference in group.references if reference not in goldens), None) if group.references else None
                golden = GoldenRow(free or run.golden_ids.new(), entity, {}, {})
            members = []
            for stream_id, key in group.members:
                row = incoming[stream_id].get(key)
                side = alone.get(stream_id) or flow.side(stream_id, entity, row.fields if row else None)
                if side is None or row is None:
                    continue
                link = wanted.get((golden.id, stream_id)) if wanted else None
                if moved is not None:
                    members.append(_moved_member(run, moved[stream_id, key], side, golden, new=new, replaces=link))
                elif link is None:
                    link = LinkRow(run.link_ids.new(), golden.id, entity, stream_id, key)
                    members.append(Member(side, link, row, True))
                else:
                    link.key, link.state = key, "live"
                    members.append(Member(side, link, row, False, wanted=True))
            works.append(Work(golden, new, members, group.rule, group.hashes, golden.state == "gone"))
        settle(flow, store, run, entity, works)
        done += len(part)
        run.progress(f"join {entity}", done)
    if done > BATCH:
        with store.transaction(run.fence, later=True):
            store.order_match_keys()  # or the next run would, when it looks a few up, and wait for it


def _moved_member(run: RunNote, one: Moved, side: Side, golden: GoldenRow, *, new: bool, replaces: LinkRow | None) -> Member:
    """Return the member for a record that has become another entity. A new golden record begins with what the one before held of which this
    record has a rendition, and refers to it where its entity has one reference to such a thing."""
    link, was = one.link, one.origin
    kept: Fields = {}
    if new and link.base is not None:
        fields = one.row.fields or {}
        externals = [name for name, value in fields.items() if name not in link.base or not same(value, link.base[name])]
        told = side.mapping.affected(externals)
        for path, mark in link.answered.items():
            same_rule = path in side.mapping.meanings and side.mapping.meanings[path] == one.meanings.get(path)
            if same_rule and path not in told and mark == digest(was.fields.get(path)):
                kept[path] = was.fields.get(path)
        golden.fields.update(kept)
        golden.authors.update({path: author for path in kept if (author := author_of(path, was.authors))})
    way = way_back(golden.entity, was.entity)
    if new and way is not None and way not in side.mapping.writable:
        golden.fields[way], golden.authors[way] = was.id, [side.connection, one.row.version, run.id]
    origin = Origin(was, one.others, link, replaces, kept)
    return Member(side, begun_anew(link, golden), one.row, False, origin=origin)


def _store_waiting(store: Store, run: RunNote, waiting: list[tuple[IncomingRow, Side, list[FieldError]]]) -> None:
    if not waiting:
        return
    batch = Batch()
    for row, side, errors in waiting:
        wait(batch, run, row, side, errors[0])
    with store.transaction(run.fence):
        write_incoming_states(store, batch)
        store.park(batch.park)


def _store_doubts(flow: Flow, store: Store, run: RunNote, entity: str, doubts: Iterator[Doubt], again: Asked | None = None) -> None:
    names = {side.stream_id: side for side in flow.sides[entity]}
    while part := list(islice(doubts, BATCH)):
        _store_some_doubts(store, run, entity, part, names, again or {})


def _store_some_doubts(store: Store, run: RunNote, entity: str, doubts: list[Doubt], names: Mapping[int, Side], again: Asked) -> None:
    rows: list[ParkedRow] = []
    states: dict[int, list[str]] = {}
    for doubt in doubts:
        side = names[doubt.stream_id]
        others: list[dict[str, Any]] = []
        rated = list(zip(doubt.others, doubt.scores, doubt.related, strict=True))
        for (stream, key), score, related in [it for it in rated if not _untold(again, (doubt.stream_id, doubt.key), it[0])] or rated:
            others.append({"golden": key} if not stream else {"connection": names[stream].connection, "key": key})
            others[-1] |= ({"score": score} if score is not None else {}) | ({"related": related} if related else {})
        rows.append(
            parked_row(
                run,
                "review",
                f"review:{doubt.stream_id}:{doubt.key}",
                entity,
                stream_id=doubt.stream_id,
                key=doubt.key,
                error="double" if doubt.double else "ambiguous",
                reason=f"{side.connection} {side.stream.name} {doubt.key}: {doubt.reason}",
                data={"others": others},
            )
        )
        states.setdefault(doubt.stream_id, []).append(doubt.key)
    with store.transaction(run.fence):
        store.park(rows)
        for stream_id, keys in states.items():
            store.set_incoming_state(stream_id, keys, "parked")
    run.counts["review"] += len(rows)
