"""Who is who, by hand: link, unlink, unmerge. Each says first what it would come to, writes to no system, and can be taken back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from erpcrm_bridge.errors import UsageError
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.ids import is_golden_id
from erpcrm_bridge.store import GoldenRow, HistoryRow, IncomingRow, LinkRow, LinkState, Store
from erpcrm_bridge.sync.clashes import part, without
from erpcrm_bridge.sync.decide import label_of
from erpcrm_bridge.sync.departing import take_its_place
from erpcrm_bridge.sync.desk import refer
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.notes import RunNote, new_run, parked_row
from erpcrm_bridge.sync.pull import ask_again

STANDS = ("live", "missing", "asleep")
"""States of a link whose record is thought to be there, and is written."""


class Deed(Struct):
    """What was done, or would be: ``says`` in sentences, ``back`` the command that takes it back. ``golden_id`` is the golden record that
    the record has now (None: none, until a person says which)."""

    kind: str
    entity: str
    record: str
    golden_id: str | None
    says: list[str]
    back: str


class Place(Struct):
    """A system's record as a person named it; ``held`` is its link and golden record, where it has one."""

    named: str
    side: Side
    key: str
    held: tuple[LinkRow, GoldenRow] | None

    @property
    def entity(self) -> str:
        return self.side.entity


def place(flow: Flow, store: Store, named: str, entity: str | None = None) -> Place | GoldenRow:
    """Return what ``named`` means: a golden id, KEY or CONNECTION:KEY, of a record that is linked or was read and waits.

    Raises UsageError where it means nothing or more than one thing.
    """
    if is_golden_id(named):
        golden = store.golden([named]).get(named)
        if golden is None or golden.state == "gone":
            raise UsageError(f"There is no golden record {named}.", way_out="erpcrm-bridge explain RECORD shows golden ids.")
        return golden
    connection, _, key = named.rpartition(":")
    if connection not in flow.roles:
        connection, key = "", named
    hits: list[Place] = []
    for side in flow.all_sides():
        if (connection and side.connection != connection) or (entity and side.entity != entity):
            continue
        link = store.links_by_key(side.stream_id, [key]).get(key)
        row = store.incoming(side.stream_id, [key]).get(key)
        whose = f"{side.connection}:{key}"
        if link is not None and link.entity == side.entity and link.state != "tombstone":
            hits.append(Place(whose, side, key, (link, store.golden([link.golden_id])[link.golden_id])))
        elif link is None and row is not None and row.fields is not None and side.mapping.applies(row.fields):
            hits.append(Place(whose, side, key, None))
        elif link is None and row is None and _is_unlinked(store, side, key) and all(hit.side.stream_id != side.stream_id for hit in hits):
            hits.append(Place(whose, side, key, None))  # an alias until now: what it holds is read by the next run
    if len(hits) == 1:
        return hits[0]
    if hits:
        found = ", ".join(f"{hit.named} ({hit.entity})" for hit in hits)
        raise UsageError(f"{named} is the key of {len(hits)} records: {found}.", way_out="Name it as CONNECTION:KEY, or with --entity.")
    raise UsageError(f"No record that was read has the key {named}.", way_out=f"erpcrm-bridge sync {flow.name} reads what is new.")


def _is_unlinked(store: Store, side: Side, key: str) -> bool:
    rows = store.parked(subjects=[f"review:{side.stream_id}:{key}"], errors=["unlinked"])
    return any(row.entity == side.entity for row in rows)


def link(
    flow: Flow,
    store: Store,
    one: Place | GoldenRow,
    other: Place | GoldenRow,
    *,
    person: str,
    do: bool = True,
    clock: Callable[[], float] = time.time,
) -> Deed:
    """Say that a record is the same thing as another, or as a golden record; the next run merges them.

    A second record of one system becomes an alias: read for references, never written. With ``do`` false nothing is done. Raises UsageError
    where they are one already, are of different kinds, or where the record that moves has a partner of its own.
    """
    if isinstance(one, GoldenRow):
        one, other = other, one  # a golden record stays, and a record moves
    if isinstance(one, GoldenRow):
        raise UsageError("Two golden records cannot be linked by their ids.", way_out="Name the record that is to move: CONNECTION:KEY.")
    if one.entity != other.entity:
        raise UsageError(f"{one.named} is a {one.entity}, the other a {other.entity}.", way_out="Only two of a kind can be one.")
    if one.held and isinstance(other, Place) and other.held is None:
        one, other = other, one
    won = other if isinstance(other, GoldenRow) else other.held[1] if other.held else None
    if one.held and won and one.held[1].id == won.id:
        raise UsageError(f"{one.named} is {_whom(won)} already.", way_out=f"erpcrm-bridge explain {one.named}")
    _refuse_open(store, [golden for golden in (won, one.held[1] if one.held else None) if golden is not None])
    _refuse_partners(flow, store, one)
    there = store.links_of([won.id]).get(won.id, []) if won else []
    taken = any(known.state in STANDS and known.stream_id == one.side.stream_id for known in there)
    if isinstance(other, Place) and other.key == one.key and other.side.stream_id == one.side.stream_id:
        raise UsageError(f"{one.named} is itself.", way_out="Name two records.")
    alias = taken or (won is None and isinstance(other, Place) and other.side.stream_id == one.side.stream_id)
    run = new_run(flow.name, clock)
    golden_id = won.id if won else run.golden_ids.new()
    whom = _whom(won) if won else other.named if isinstance(other, Place) else ""
    says = [f"{one.named} is {whom}: the next sync merges them."]
    if alias:
        says = [f"{one.named} is {whom}, as a second copy in {one.side.connection}: known for references, never written."]
    deed = Deed("link", one.entity, one.named, golden_id, says, f"erpcrm-bridge {'unmerge' if alias else 'unlink'} {one.named}")
    if not do:
        return deed
    with store.transaction():
        seq = store.next_seq()
        if won is None and isinstance(other, Place):
            store.add_golden([GoldenRow(golden_id, one.entity, {}, {}, seq)])
            _settle_there(store, run, other, golden_id, person, alias=False)
        store.drop_links([known.id for known in there if known.state == "wanted" and known.stream_id == one.side.stream_id])
        if one.held:
            _give_up(store, run, one.held[1], golden_id, seq, person)
            _close_link(store, run, one.held[0], person)
            _move(store, one.held[0], one.key, golden_id, seq, alias=alias)
        else:
            _settle_there(store, run, one, golden_id, person, alias=alias)
        _tell(store, run, "link", golden_id, person, one, {})
    return deed


def unlink(
    flow: Flow, store: Store, one: Place | GoldenRow, *, person: str, do: bool = True, clock: Callable[[], float] = time.time
) -> Deed:
    """Say that a record is not what it is linked with. It waits for a person to say what it is: no run binds or creates anything meanwhile.

    Raises UsageError for a record that is linked with nothing else.
    """
    one, link, golden = _linked(store, one)
    says = [
        f"{one.named} is no longer {_whom(golden)}. Both stay as they are in their systems.",
        "It is bound to nothing and created nowhere until a person says what it is.",
        *_leaves(flow, store, golden, link),
    ]
    deed = Deed("unlink", one.entity, one.named, None, says, f"erpcrm-bridge link {one.named} {golden.id}")
    if not do:
        return deed
    run = new_run(flow.name, clock)
    with store.transaction():
        seq = store.next_seq()
        _keep_incoming(store, link, one.key, seq)
        part(flow, store, run, golden, link, seq)
        _leave_to_its_copy(store, golden, link)
        store.drop_links([link.id])
        _close_link(store, run, link, person)
        store.set_incoming_state(link.stream_id, [one.key], "parked")
        subject = f"review:{link.stream_id}:{one.key}"
        reason = f"{one.side.connection} {one.side.stream.name} {one.key}: {person} has unlinked it, and has not said yet what it is"
        more: dict[str, Any] = {"stream_id": link.stream_id, "key": one.key, "error": "unlinked", "reason": reason}
        store.park([parked_row(run, "review", subject, golden.entity, data={"others": [{"golden": golden.id}]}, **more)])
        _tell(store, run, "unlink", golden.id, person, one, {})
    return deed


def unmerge(
    flow: Flow, store: Store, one: Place | GoldenRow, *, person: str, do: bool = True, clock: Callable[[], float] = time.time
) -> Deed:
    """Give a record, an alias above all, a golden record of its own; what refers to it there refers to that from now on.

    Raises UsageError for a record that is linked with nothing else.
    """
    one, link, golden = _linked(store, one)
    run = new_run(flow.name, clock)
    new_id = run.golden_ids.new()
    says = [
        f"{one.named} becomes a {one.entity} of its own, apart from {_whom(golden)}.",
        "Nothing is created for it elsewhere; what refers to it follows.",
        *_leaves(flow, store, golden, link),
    ]
    deed = Deed("unmerge", one.entity, one.named, new_id, says, f"erpcrm-bridge link {one.named} {golden.id}")
    if not do:
        return deed
    with store.transaction():
        seq = store.next_seq()
        store.add_golden([GoldenRow(new_id, golden.entity, {}, {}, seq)])
        part(flow, store, run, golden, link, seq)
        _leave_to_its_copy(store, golden, link)
        _move(store, link, one.key, new_id, seq, alias=False)
        _close_link(store, run, link, person)
        _follow(flow, store, run, one, golden, new_id, seq, person)
        _tell(store, run, "unmerge", golden.id, person, one, {"apart": True, "into": new_id})
        _tell(store, run, "unmerge", new_id, person, one, {"apart": True, "from": golden.id})
    return deed


def _linked(store: Store, one: Place | GoldenRow) -> tuple[Place, LinkRow, GoldenRow]:
    if isinstance(one, GoldenRow):
        raise UsageError(f"{one.id} is a golden record.", way_out="Name the record that is to leave it: CONNECTION:KEY.")
    if one.held is None:
        raise UsageError(f"{one.named} is linked with nothing.", way_out="erpcrm-bridge parked shows what waits for a person.")
    link, golden = one.held
    if not any(other.id != link.id and other.key is not None for other in store.links_of([golden.id])[golden.id]):
        raise UsageError(f"{one.named} is linked with no other record.", way_out=f"erpcrm-bridge explain {one.named}")
    _refuse_open(store, [golden])
    return one, link, golden


def _leaves(flow: Flow, store: Store, golden: GoldenRow, link: LinkRow) -> list[str]:
    """Say who takes a record's place once it is parted, and which clashes it is in no more."""
    copy, side = _second_copy(store, golden, link), flow.side(link.stream_id, link.entity)
    taken = [f"{side.connection}:{copy.key}, its second copy there, takes its place."] if copy is not None and side is not None else []
    return taken + [f"What it says of {' + '.join(clash.unit)} leaves the clash." for clash in without(flow, store, golden, link)]


def _second_copy(store: Store, golden: GoldenRow, link: LinkRow) -> LinkRow | None:
    """Return the alias that a golden record is left with in a system once the record that is written there is parted."""
    copies = (other for other in store.links_of([golden.id])[golden.id] if (other.stream_id, other.state) == (link.stream_id, "alias"))
    return None if link.state == "alias" else next(copies, None)


def _leave_to_its_copy(store: Store, golden: GoldenRow, link: LinkRow) -> None:
    if (copy := _second_copy(store, golden, link)) is not None:
        take_its_place(copy)
        store.update_links([copy])
        ask_again(store, copy.stream_id, copy.key or "")


def _refuse_open(store: Store, goldens: Sequence[GoldenRow]) -> None:
    """A write whose outcome is unknown is settled before its link goes elsewhere."""
    links = [link for found in store.links_of([golden.id for golden in goldens]).values() for link in found]
    open_ids = {intention.link_id for intention in store.open_intentions(sorted({link.stream_id for link in links}))}
    if any(link.id in open_ids for link in links):
        raise UsageError("A write to it has not been answered yet.", way_out="Sync first; then try again.")


def _refuse_partners(flow: Flow, store: Store, one: Place) -> None:
    if partner := partner_of(flow, store, one):
        raise UsageError(f"{one.named} is {partner} already.", way_out=f"Part them first: erpcrm-bridge unlink {one.named}")


def partner_of(flow: Flow, store: Store, one: Place) -> str | None:
    """Return another record that this one is linked with, as a person names it; None where it is linked with nothing else."""
    for other in store.links_of([one.held[1].id])[one.held[1].id] if one.held else ():
        side = flow.side(other.stream_id, other.entity)
        if one.held and other.id != one.held[0].id and other.key is not None and other.state != "tombstone":
            return f"{side.connection if side else 'another system'}:{other.key}"
    return None


def _whom(golden: GoldenRow) -> str:
    return f"{golden.entity} {golden.id} {label_of(golden.fields)}".rstrip()


def _settle_there(store: Store, run: RunNote, one: Place, golden_id: str, person: str, *, alias: bool) -> None:
    """Link a record that was read and has no link yet."""
    stream_id = one.side.stream_id
    state: LinkState = "alias" if alias else "live"
    store.add_links([LinkRow(run.link_ids.new(), golden_id, one.entity, stream_id, one.key, state, dirty=not alias)])
    store.set_incoming_state(stream_id, [one.key], "new")
    ask_again(store, stream_id, one.key)
    store.close_parked([f"{kind}:{stream_id}:{one.key}" for kind in ("review", "record", "waiting")], person, run.at)


def _keep_incoming(store: Store, link: LinkRow, key: str, seq: int) -> None:
    """Let what was last known of a record be news, and be read again."""
    if link.base is not None and key not in store.incoming(link.stream_id, [key]):
        store.put_incoming([IncomingRow(link.stream_id, key, link.version, link.base, seq)])
    ask_again(store, link.stream_id, key)


def _move(store: Store, link: LinkRow, key: str, golden_id: str, seq: int, *, alias: bool) -> None:
    """Let a link lead to another golden record. What its system holds is merged anew: a field without base is never pushed over."""
    _keep_incoming(store, link, key, seq)
    state: LinkState = "alias" if alias else "live"
    moved = msgspec.structs.replace(
        link, golden_id=golden_id, state=state, dirty=not alias, base=None, answered={}, held={}, pending=[], line_keys={}
    )
    store.update_links([moved])


def _give_up(store: Store, run: RunNote, lost: GoldenRow, won: str, seq: int, person: str) -> None:
    """A golden record whose only record has left for another is gone; what referred to it refers to that one."""
    store.drop_links([link.id for link in store.links_of([lost.id])[lost.id] if link.key is None])
    store.close_parked([row.subject for row in store.parked(golden_ids=[lost.id], limit=1_000)], person, run.at)
    refer(store, lost, won, run, seq, person)
    lost.state, lost.seq = "gone", seq
    store.put_golden([lost])
    told = {"kind": "link", "person": person, "key": lost.id, "into": won}
    store.add_history([HistoryRow(lost.id, run.id, run.at, told)])


def _follow(flow: Flow, store: Store, run: RunNote, one: Place, golden: GoldenRow, new_id: str, seq: int, person: str) -> None:
    """Let what refers, in its system, to the record that was separated refer to its new golden record."""

    def held_there(row: GoldenRow, links: Sequence[LinkRow]) -> bool:
        return any(
            side is not None
            and side.system == one.side.system
            and link.base is not None
            and (golden.entity, one.key) in side.mapping.references_in(link.base)
            for link in links
            for side in (flow.side(link.stream_id, row.entity),)
        )

    refer(store, golden, new_id, run, seq, person, only=held_there)


def _close_link(store: Store, run: RunNote, link: LinkRow, person: str) -> None:
    subjects = [f"{kind}:{link.id}" for kind in ("missing", "blocked", "record", "gone")]
    subjects += [f"field:{link.id}:{path}" for path in link.held]
    subjects += [f"{kind}:{link.id}:{path}" for kind in ("pending", "later") for path in entity_spec(link.entity).references]
    store.close_parked([*subjects, f"record:{link.stream_id}:{link.key}"], person, run.at)


def _tell(store: Store, run: RunNote, kind: str, golden_id: str, person: str, one: Place, more: dict[str, Any]) -> None:
    store.add_history([HistoryRow(golden_id, run.id, run.at, {"kind": kind, "person": person, "key": one.named, **more})])
