"""What a person decides: which value a clash takes, what a parked record is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from erpcrm_bridge.errors import UsageError
from erpcrm_bridge.model.entities import MODELS, entity_spec
from erpcrm_bridge.model.money import CURRENCY, MINOR_UNITS, rounded
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.store import GoldenRow, HistoryRow, LinkRow, ParkedRow, Store
from erpcrm_bridge.sync.clashes import part, put_values
from erpcrm_bridge.sync.decide import UNREADABLE
from erpcrm_bridge.sync.flow import Flow, Paused
from erpcrm_bridge.sync.joining import begun_anew
from erpcrm_bridge.sync.notes import RunNote, instant, new_run, note_decided
from erpcrm_bridge.sync.pull import ask_again


def settle_clash(
    store: Store, clash_id: str, *, take: str | None = None, value: Any = None, person: str, clock: Callable[[], float] = time.time
) -> ParkedRow:
    """Settle a clash: golden takes the value of the candidate named ``take`` (a connection or a role), or ``value`` where ``take`` is None.

    The systems get it with the next run. Raises UsageError for what is no open clash, or no candidate of it.
    """
    row = store.parked_by_id(clash_id)
    if row is None or row.kind != "clash" or row.closed_at is not None or row.golden_id is None:
        raise UsageError(f"{clash_id} is no open clash.", way_out="erpcrm-bridge conflicts lists them.")
    candidates = row.data["candidates"]
    unit = row.data["unit"]
    golden = store.golden([row.golden_id])[row.golden_id]
    if take is not None:
        chosen = [c for c in candidates if take == c["by"]] or [c for c in candidates if take == c["role"]]
        if not chosen or any(c["values"] != chosen[0]["values"] for c in chosen):
            what = f"{take!r} stands for more than one value in this clash." if chosen else f"{take!r} is not in this clash."
            raise UsageError(what, way_out=f"Take one of: {', '.join(c['by'] for c in candidates)}.")
        values = chosen[0]["values"]
    elif len(unit) > 1:
        raise UsageError("This clash is about several fields that move as one.", way_out="Settle it with --take.")
    else:
        values = [_checked(row.entity, unit[0], value, golden.fields.get(CURRENCY))]
    run = new_run(row.flow, clock)
    data: dict[str, Any] = {
        "kind": "settle",
        "unit": unit,
        "person": person,
        "took": take or "a value of their own",
        "fields": put_values(golden, unit, values, [f"person:{person}", "", run.id]),
        "by": dict.fromkeys(unit, f"person:{person}"),
        "rules": dict.fromkeys(unit, f"settled by {person}"),
        "losers": {path: [{**c, "values": [c["values"][at]]} for c in candidates if c["values"] != values] for at, path in enumerate(unit)},
    }
    with store.transaction():
        golden.seq = store.next_seq()
        store.put_golden([golden])
        store.set_dirty([link.id for link in store.links_of([golden.id])[golden.id] if link.state in ("live", "wanted")])
        store.add_history([HistoryRow(golden.id, run.id, run.at, data)])
        store.close_parked([row.subject], person, run.at)
        note_decided(store, row.flow, golden.id)
    return row


def _checked(entity: str, path: str, value: Any, currency: str | None) -> Any:
    spec = entity_spec(entity).at(path)
    if value is None:
        return None
    if spec is None:
        raise UsageError(f"{path} takes no value of its own.", way_out="Settle it with --take.")
    if spec.normalise is None:
        return value
    try:
        value = spec.normalise(value)
    except ValueError as error:
        raise UsageError(f"{path} cannot be that: {error}.", way_out="Give another --value, or settle it with --take.") from error
    places = spec.scale if spec.kind == "decimal" else MINOR_UNITS.get(currency or "") if spec.kind == "amount" else None
    if places is not None and value != rounded(Decimal(value), Decimal(1).scaleb(-places)):
        raise UsageError(f"{path} has no more than {places} decimals.", way_out="Give another --value, or settle it with --take.")
    return value


def retry(store: Store, parked_id: str, *, clock: Callable[[], float] = time.time) -> ParkedRow:
    """Let what is parked be tried again by the next run: its record is read anew, and what its system refused is sent once more.

    What could not be read stays unwritten until it can be. Raises UsageError where there is nothing open of that id, or where only a
    decision helps.
    """
    row = _open(store, parked_id)
    if row.kind == "clash":
        raise UsageError(
            f"{parked_id} is a clash: trying again would only forget it.", way_out=f"erpcrm-bridge conflicts settle {parked_id}"
        )
    if row.error == "deleted":
        raise UsageError(
            f"{parked_id} asks what a delete means: trying again does not tell.", way_out=f"erpcrm-bridge parked gone {parked_id} keep"
        )
    with store.transaction():
        if row.stream_id is not None and row.key is not None:
            store.set_incoming_state(row.stream_id, [row.key], "new")
            ask_again(store, row.stream_id, row.key)
        links = store.links_of([row.golden_id]).get(row.golden_id, []) if row.golden_id else []
        over = [row.subject]
        for link in links:
            if link.stream_id == row.stream_id and link.held:
                over += [f"field:{link.id}:{path}" for path, why in link.held.items() if why != UNREADABLE]  # they are tried again, too
                link.held, link.dirty = {path: why for path, why in link.held.items() if why == UNREADABLE}, True
                store.update_links([link])
        store.close_parked(over, "tried again", instant(clock()))
    return row


def bind(store: Store, flow: Flow, parked_id: str, golden_id: str, *, person: str, clock: Callable[[], float] = time.time) -> ParkedRow:
    """Say that a record in review is this golden record; the next run merges it. Raises UsageError where that cannot be."""
    row = _review(store, parked_id)
    if row.key is None:
        raise UsageError(
            f"{row.golden_id} has records of its own: it cannot become {golden_id} here.",
            way_out=f"Let its record be a copy of that one: erpcrm-bridge link CONNECTION:KEY {golden_id}. "
            f"Or keep both: erpcrm-bridge parked new {parked_id}",
        )
    golden = store.golden([golden_id]).get(golden_id)
    if golden is None or golden.entity != row.entity:
        raise UsageError(f"There is no {row.entity} {golden_id}.", way_out="erpcrm-bridge explain RECORD shows golden ids.")
    if golden.state == "gone":
        raise UsageError(
            f"{golden_id} was deleted; it does not come back by this.",
            way_out=f"Delete the record in its own system, or let it be a thing of its own: erpcrm-bridge parked new {parked_id}",
        )
    there = [link for link in store.links_of([golden_id]).get(golden_id, []) if link.stream_id == row.stream_id]
    if any(link.state in ("live", "missing", "asleep") for link in there):
        raise UsageError(
            f"{golden_id} is linked in that system already; a second record cannot be bound to it.",
            way_out=f"Merge the two in their own system, or keep both: erpcrm-bridge parked new {parked_id}",
        )
    run = new_run(flow.name, clock)
    wanted = next((link for link in there if link.state == "wanted"), None)
    before = store.links_by_key(row.stream_id or 0, [row.key]).get(row.key)
    with store.transaction():
        if before is not None:
            _go_over(store, flow, run, before, golden)
            store.drop_links([wanted.id] if wanted is not None else [])
        elif wanted is not None:
            wanted.key, wanted.state, wanted.dirty = row.key, "live", True
            store.update_links([wanted])
        else:
            store.add_links([LinkRow(run.link_ids.new(), golden_id, row.entity, row.stream_id or 0, row.key, dirty=True)])
        store.set_incoming_state(row.stream_id or 0, [row.key or ""], "new")
        store.add_history([HistoryRow(golden_id, run.id, run.at, {"kind": "bind", "person": person, "key": row.key})])
        store.close_parked([row.subject], person, run.at)
    return row


def found_new(store: Store, flow: Flow, parked_id: str, *, person: str, clock: Callable[[], float] = time.time) -> ParkedRow:
    """Say that a record in review is a thing of its own, whatever it shares with another: it gets a golden record, unless it has one, and
    the next run takes it from there."""
    row = _review(store, parked_id)
    run = new_run(flow.name, clock)
    if row.key is None:
        with store.transaction():
            tell_apart(store, run, row, person, True)
            store.close_parked([row.subject], person, run.at)
        return row
    told = {"kind": "bind", "person": person, "key": row.key, "apart": True}
    golden = GoldenRow(run.golden_ids.new(), row.entity, {}, {})
    before = store.links_by_key(row.stream_id or 0, [row.key]).get(row.key)
    links = [LinkRow(run.link_ids.new(), golden.id, row.entity, row.stream_id or 0, row.key)] if before is None else []
    known = store.incoming(row.stream_id or 0, [row.key]).get(row.key)
    old = known is not None and known.seq <= int(store.fact(f"old until:{flow.name}") or -1)  # an adoption creates nothing by itself
    stands = [side.system for side in flow.all_sides() if side.stream_id == row.stream_id]
    if not old:
        links.extend(flow.wanted(golden, stands, run.link_ids))
    with store.transaction():
        golden.seq = store.next_seq()
        store.add_golden([golden])
        store.add_links(links)
        if before is not None:
            _go_over(store, flow, run, before, golden)
        store.set_incoming_state(row.stream_id or 0, [row.key or ""], "new")
        store.add_history([HistoryRow(golden.id, run.id, run.at, told)])
        store.close_parked([row.subject], person, run.at)
    return row


def tell_apart(store: Store, run: RunNote, row: ParkedRow, person: str, others: bool | list[str]) -> None:
    """Note that a golden record whose create is held is not what these others are (their golden ids; True: nor anything else)."""
    told = {"kind": "bind", "person": person, "key": row.golden_id, "apart": others}
    store.add_history([HistoryRow(row.golden_id or "", run.id, run.at, told)])


def _go_over(store: Store, flow: Flow, run: RunNote, link: LinkRow, golden: GoldenRow) -> None:
    """Move the link of a record that was another entity until now."""
    place = next(side.connection for side in flow.all_sides() if side.stream_id == link.stream_id)
    part(flow, store, run, store.golden([link.golden_id])[link.golden_id], link, store.next_seq())
    store.update_links([begun_anew(link, golden)])
    told = {"kind": "continued", "continued": {place: [golden.entity, golden.id]}, "key": link.key}
    store.add_history([HistoryRow(link.golden_id, run.id, run.at, told)])


def after_delete(
    store: Store,
    parked_id: str,
    *,
    then: Literal["keep", "archive", "delete", "merge"],
    person: str,
    clock: Callable[[], float] = time.time,
) -> ParkedRow:
    """Say what a record's delete means for its copies: ``keep`` them, ``archive`` or ``delete`` them, or ``merge`` them into the record
    that it was merged into. The next run does it.

    Raises UsageError for what is no such question, for a money document that would be deleted, for what cannot be archived, and for a
    merge into what is not linked.
    """
    row = _open(store, parked_id)
    if row.error != "deleted" or row.golden_id is None:
        raise UsageError(f"{parked_id} does not ask what a delete means.", way_out="erpcrm-bridge parked --kind review lists what does.")
    golden = store.golden([row.golden_id])[row.golden_id]
    run = new_run(row.flow, clock)
    spec = entity_spec(golden.entity)
    if then == "delete" and spec.money_document:
        raise UsageError(f"{golden.entity} {golden.id} is a money document: it is never deleted by a sync.", way_out="Keep it.")
    if then == "archive" and "status" not in spec.fields:
        raise UsageError(f"A {golden.entity} cannot be archived.", way_out="Keep it.")
    data: dict[str, Any] = {"kind": "settle", "unit": [], "person": person, "took": then}
    with store.transaction():
        seq = store.next_seq()
        if then == "merge":
            data["took"] = f"merged into {_merge(store, row, golden, run, seq, person)}"
        elif then != "keep":
            if then == "delete":
                golden.state = "gone"
            else:
                data |= {"unit": ["status"], "fields": {"status": [golden.fields.get("status"), "archived"]}}
                data |= {"by": {"status": f"person:{person}"}, "rules": {"status": f"archived by {person}"}}
                golden.fields["status"] = "archived"
                golden.authors["status"] = [f"person:{person}", "", run.id]
            _put(store, golden, seq)
        store.add_history([HistoryRow(golden.id, run.id, run.at, data)])
        store.close_parked([row.subject], person, run.at)
    return row


def _put(store: Store, golden: GoldenRow, seq: int) -> None:
    golden.seq = seq
    store.put_golden([golden])
    store.set_dirty([link.id for link in store.links_of([golden.id]).get(golden.id, []) if link.state in ("live", "wanted")])


def _merge(store: Store, row: ParkedRow, lost: GoldenRow, run: RunNote, seq: int, person: str) -> str:
    """Let the copies of ``lost`` be those of the golden record that its record was merged into; return that one's id.

    Where that one has a copy already, a second one is its alias: known for references, never written. What referred to ``lost`` refers
    to it now.
    """
    key, stream_id = row.data.get("merged_into"), row.stream_id or 0
    found = store.links_by_key(stream_id, [key]).get(key) if key else None
    won = store.golden([found.golden_id])[found.golden_id] if found is not None else None  # merged further by now, it may be: then the last
    if won is None or won.state == "gone" or won.id == lost.id:
        raise UsageError(f"{row.id}: what it was merged into is not linked.", way_out="Sync first, or keep the others.")
    theirs = store.links_of([won.id])[won.id]
    moved, dropped = [], []
    for link in store.links_of([lost.id])[lost.id]:
        there = [other for other in theirs if other.stream_id == link.stream_id]
        if link.key is None:
            dropped.append(link.id)
            continue
        takes_its_place = link.state == "live" and all(other.state in ("wanted", "tombstone", "alias") for other in there)
        if takes_its_place:
            dropped.extend(other.id for other in there if other.key is None)
        moved.append(
            msgspec.structs.replace(
                link, golden_id=won.id, state="live" if takes_its_place else "alias", dirty=takes_its_place, answered={}, held={}, seq=seq
            )
        )
    store.drop_links(dropped)
    store.update_links(moved)
    lost.state, lost.seq = "gone", seq
    store.put_golden([lost])
    refer(store, lost, won.id, run, seq, person)
    losers = {path: [{"by": lost.id, "values": [value]}] for path, value in lost.fields.items() if value != won.fields.get(path)}
    also = store.parked(kinds=["review"], errors=["deleted"], golden_ids=[lost.id])
    store.close_parked([asked.subject for asked in also], person, run.at)  # a delete in another system asked the same of the same copies
    for clash in store.parked(kinds=["clash"], golden_ids=[lost.id]):
        store.close_parked([clash.subject], person, run.at)
        for at, path in enumerate(clash.data["unit"]):
            told_apart = [{"by": it["by"], "values": [it["values"][at]]} for it in clash.data["candidates"]]
            losers[path] = [*losers.get(path, ()), *told_apart]
    told = {"kind": "settle", "unit": [], "person": person, "took": f"{lost.id} merged into it", "losers": losers}
    store.add_history([HistoryRow(won.id, run.id, run.at, told)])
    return won.id


def refer(
    store: Store,
    lost: GoldenRow,
    won: str,
    run: RunNote,
    seq: int,
    person: str,
    *,
    only: Callable[[GoldenRow, Sequence[LinkRow]], bool] | None = None,
) -> None:
    """Let every golden record that refers to ``lost``, itself or by a line, refer to ``won``; with ``only``, those for which it is so."""
    for entity in MODELS:
        after = ""
        while lost.entity in entity_spec(entity).parents and (page := store.golden_page(entity, after, 2_000)):
            after = page[-1].id
            links = store.links_of([golden.id for golden in page]) if only is not None else {}
            for golden in page:
                if only is not None and not only(golden, links.get(golden.id, ())):
                    continue
                pointing = []
                for path, field, holder in _references_to(lost.entity, golden):
                    if holder.get(field) == lost.id:
                        holder[field] = won
                        golden.authors[path] = [f"person:{person}", "", run.id]
                        pointing.append(path)
                if pointing:
                    _put(store, golden, seq)
                    data = {"kind": "settle", "unit": pointing, "person": person, "took": won}
                    store.add_history([HistoryRow(golden.id, run.id, run.at, data)])


def _references_to(entity: str, golden: GoldenRow) -> Iterator[tuple[str, str, Fields]]:
    """Yield each reference field that may point at a record of ``entity``: its path in the merge, its name, and what holds it."""
    spec = entity_spec(golden.entity)
    yield from ((path, path, golden.fields) for path, to in spec.references.items() if to == entity)
    for name, references in spec.line_references.items():
        for line in golden.fields.get(name) or ():
            yield from ((f"{name}/{line['id']}/{path}", path, line) for path, to in references.items() if to == entity)


def _review(store: Store, parked_id: str) -> ParkedRow:
    row = _open(store, parked_id)
    if row.kind != "review" or row.error in ("deleted", "undone") or (row.key is None and row.golden_id is None):
        raise UsageError(f"{parked_id} is not a record in review.", way_out="erpcrm-bridge parked --kind review lists them.")
    return row


def _open(store: Store, parked_id: str) -> ParkedRow:
    row = store.parked_by_id(parked_id)
    if row is None or row.closed_at is not None:
        raise UsageError(f"Nothing open has the id {parked_id}.", way_out="erpcrm-bridge parked lists what is.")
    return row


def paused(store: Store, flow: str) -> list[Paused]:
    """Return what the last run of a flow found paused."""
    return msgspec.json.decode(store.fact(f"pauses:{flow}") or "[]", type=list[Paused])


def status(store: Store, flow: str) -> dict[str, Any]:
    """Return where a flow stands: records, links by state, what waits, brakes, runs. Numbers by name; reads only."""
    streams = store.streams()
    links: dict[str, Fields] = {}
    for (stream_id, state, dirty), count in store.count_links().items():
        place = links.setdefault(":".join(streams[stream_id]), {})
        place[state] = place.get(state, 0) + count
        if dirty:
            place["dirty"] = place.get("dirty", 0) + count
    return {
        "flow": flow,
        "golden": store.count_golden(),
        "links": links,
        "incoming": {f"{':'.join(streams[stream_id])} {state}": count for (stream_id, state), count in store.count_incoming().items()},
        "waiting": store.count_parked(flow),
        "brakes": store.tripped(flow),
        "paused": [msgspec.to_builtins(one) for one in paused(store, flow)],
        "runs": store.runs(flow, 5),
    }
