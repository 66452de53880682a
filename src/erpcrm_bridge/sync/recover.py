"""Recover: a run begins with the intentions that an earlier one left open (L3). Found by reference: settled. Provably absent: free again.
Neither: parked as "may exist", and never repeated by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from erpcrm_bridge.model.records import Applied, Question, Record, Write
from erpcrm_bridge.model.values import Fields, digest, same, unpack
from erpcrm_bridge.store import GoldenRow, Intention, LinkRow, ParkedRow, Store
from erpcrm_bridge.sync.brake import KINDS
from erpcrm_bridge.sync.clashes import clash_paths, clash_row
from erpcrm_bridge.sync.decide import UNREADABLE, Step, label_of
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.merge import IN_DOUBT, Candidate, Clash, golden_candidate, loses, same_all
from erpcrm_bridge.sync.notes import RunNote, parked_row
from erpcrm_bridge.sync.pull import ask_again, read_again, read_now
from erpcrm_bridge.sync.push import BATCH, references, settle_applied
from erpcrm_bridge.sync.references import refs_of


def recover(flow: Flow, store: Store, run: RunNote) -> None:
    """Settle, free or park every open intention of the flow's streams."""
    for side in flow.all_sides():
        intentions = store.open_intentions([side.stream_id])
        links = store.links([intention.link_id for intention in intentions])
        goldens = store.golden({intention.golden_id for intention in intentions})
        creates, updates, done = [], [], []
        for intention in intentions:
            link = links.get(intention.link_id)
            golden = goldens.get(intention.golden_id)
            if link is None or link.entity != side.entity or flow.side_of(link, golden.fields if golden else {}) is not side:
                continue
            if intention.operation == "create" and link.key is None:
                creates.append((intention, link))
            elif intention.operation == "update" and _is_looked_up(link, golden):
                updates.append((intention, link))
            elif intention.operation == "update" and link.state == "tombstone":
                continue  # should the record come back, it shows whether it was done
            else:
                done.append((intention, link))
        if done:
            # A move: the state says whether it was made. A create whose record has come in by itself is done. Where the golden record is
            # gone meanwhile, whatever stands there otherwise than before is an edit against the delete.
            keys = sorted({link.key for _, link in done if link.key})
            read_again(store, run, side, keys)
            _drop(store, run, [intention for intention, _ in done])
        if updates:
            _updates(flow, store, run, side, updates)
        if creates:
            _creates(flow, store, run, side, creates)


def _is_looked_up(link: LinkRow, golden: GoldenRow | None) -> bool:
    return link.key is not None and link.state in ("live", "missing") and golden is not None and golden.state == "live"


def arrived(flow: Flow, store: Store, run: RunNote) -> None:
    """Settle the creates that could not be looked up, and whose record has come in by itself with the reference that it was given; and the
    updates of deleted records that have come back."""
    for side in flow.all_sides():
        known = store.open_intentions([side.stream_id])
        _came_back(flow, store, run, side, [intention for intention in known if intention.operation == "update"])
        external_id = side.selection.external_id
        intentions = {i.reference: i for i in known if i.operation == "create"} if external_id else {}
        after = ""
        while intentions and (rows := store.incoming_unlinked(side.stream_id, after, BATCH)):
            after = rows[-1].key
            for row in rows:
                intention = intentions.get(str((row.fields or {}).get(external_id or "")))
                link = store.links([intention.link_id]).get(intention.link_id) if intention else None
                if intention is not None and link is not None and link.key is None and row.fields is not None:
                    _settle_known(flow, store, run, side, intention, link, Record(row.key, row.version, row.fields))
                    del intentions[intention.reference]


def _came_back(flow: Flow, store: Store, run: RunNote, side: Side, updates: list[Intention]) -> None:
    """A record was deleted before it was known whether an update of it was done, and is back. What it holds as it was asked is the bridge's
    own write, and no news; what it holds otherwise is for a person where it would win over golden, as in ``_settle_known``."""
    links = store.links([intention.link_id for intention in updates])
    back = store.incoming(side.stream_id, [link.key for link in links.values() if link.state == "tombstone" and link.key is not None])
    for intention in updates:
        link = links.get(intention.link_id)
        row = back.get(link.key or "") if link is not None else None
        if link is None or row is None or row.fields is None or link.entity != side.entity:
            continue
        asked: dict[str, str] = unpack(intention.digest.encode())
        golden = store.golden([link.golden_id])[link.golden_id]
        ours, other = _told_apart(flow, store, side, link, golden, row.fields, asked)
        link.base = (link.base or {}) | ours
        clashes = list(_doubtful(flow, store, side, golden, Record(row.key, row.version, row.fields), other))
        with store.transaction(run.fence):
            store.update_links([link])
            store.drop_intentions([intention.id])
            store.park([clash_row(run, golden, clash) for clash in clashes])


def _told_apart(
    flow: Flow, store: Store, side: Side, link: LinkRow, golden: GoldenRow, fields: Fields, asked: Mapping[str, str]
) -> tuple[Fields, Fields]:
    """Return what is held as it was asked, or as its system's rendition of golden; and what was asked and is held otherwise, neither so nor
    as before."""
    said = side.mapping.get(fields, refs_of(flow, store, side, [fields]), [])
    means_golden = {path for path, value in said.items() if path not in side.mapping.lists and same(value, golden.fields.get(path))}
    ours = {
        name: value
        for name, value in fields.items()
        if name in asked
        and (asked[name] == digest(value) or (side.mapping.affected([name]) and side.mapping.affected([name]) <= means_golden))
    }
    kept = {name for name, value in (link.base or {}).items() if name in fields and same(fields[name], value)}
    return ours, {name: value for name, value in fields.items() if name in asked and name not in ours and name not in kept}


def _creates(flow: Flow, store: Store, run: RunNote, side: Side, creates: list[tuple[Intention, LinkRow]]) -> None:
    external_id = side.selection.external_id
    if not side.offers.find or external_id is None:
        with store.transaction(run.fence):
            store.park([_may_exist(run, side, intention, "it cannot be looked up by its reference") for intention, _ in creates])
        return
    answers = side.connector.find(side.selection, [Question(intention.id, {external_id: intention.reference}) for intention, _ in creates])
    free: list[Intention] = []
    for intention, link in creates:
        answer = answers[intention.id]
        if len(answer.keys) == 1:
            _settle_found(flow, store, run, side, intention, link, answer.keys[0])
        elif len(answer.keys) > 1:
            with store.transaction(run.fence):
                store.park([_may_exist(run, side, intention, f"{len(answer.keys)} records carry its reference")])
        elif answer.waiting is None:
            free.append(intention)
    _drop(store, run, free)


def _updates(flow: Flow, store: Store, run: RunNote, side: Side, updates: list[tuple[Intention, LinkRow]]) -> None:
    """Updates whose answer was lost: what is held now says whether they were done."""
    keys = sorted({link.key for _, link in updates if link.key})
    records, _ = read_now(store, side, side.selection, keys)
    for intention, link in updates:
        if link.key in records:
            _settle_known(flow, store, run, side, intention, link, records[link.key])
    # One that is hidden or deleted may show what was asked when it is seen again.
    read_again(store, run, side, [link.key for _, link in updates if link.key and link.key not in records])


def _settle_found(flow: Flow, store: Store, run: RunNote, side: Side, intention: Intention, link: LinkRow, key: str) -> None:
    """The create was done."""
    if key in store.links_by_key(side.stream_id, [key]):  # linked already, or one that was deleted has come back
        read_again(store, run, side, [key])
        _drop(store, run, [intention])
        return
    records, _ = read_now(store, side, side.selection, [key])
    if records:
        _settle_known(flow, store, run, side, intention, link, records[key])
        run.counts["recovered"] += 1


def _settle_known(flow: Flow, store: Store, run: RunNote, side: Side, intention: Intention, link: LinkRow, record: Record) -> None:
    """A write whose answer was lost is found. What is held as it was asked is settled (L1), and what is as it was before was not done.

    What is held otherwise may be the system's rendition of what was asked, or somebody's edit since: it is news, but never wins by a rule
    over what was asked; where it would, a person is asked.
    """
    golden = store.golden([link.golden_id])[link.golden_id]
    _, refs_out = references(flow, store, side, [link], {golden.id: golden}, set())
    asked: dict[str, str] = unpack(intention.digest.encode())
    create = intention.operation == "create"
    ours, other = _told_apart(flow, store, side, link, golden, record.fields, asked)
    clashes = list(_doubtful(flow, store, side, golden, record, other))
    doubted = {name for name in other if any(path in clash.unit for clash in clashes for path in side.mapping.affected([name]))}
    wanted = side.mapping.put(golden.fields, link.base, refs_out, [], create=create)
    answering = {name for name, value in wanted.items() if name in ours and asked[name] == digest(value)}
    settles = sorted(path for rule in side.mapping.rules if answering.issuperset(rule.external) for path in rule.canonical)
    operation = "create" if create else "update"
    place = (link.id, side.connection, side.stream.name, link.key)
    step = Step(operation, golden.entity, golden.id, *place, label_of(golden.fields), {}, 0, 0, settles)  # type: ignore[arg-type]  # one of two
    write = Write(link.id, operation, link.key, ours | {name: other[name] for name in doubted}, reference=golden.id)  # type: ignore[arg-type]  # as above
    applied = Applied(link.id, record.key, record.version, record.fields)
    rules, unread = link.rules, create or link.state == "missing" or link.rules != side.mapping.digest
    news = settle_applied(side, link, golden, step, write, applied, refs_of(flow, store, side, [record.fields]))
    link.rules = link.rules if create else rules
    if create and asked.keys() - record.fields.keys():
        # What it holds there is not known until it can be read again; it is no digest, so that the base means no value of golden.
        link.answered = link.answered | dict.fromkeys(side.mapping.paused, UNREADABLE)
    with store.transaction(run.fence):
        link.seq = store.next_seq()
        for row in news:
            row.seq = link.seq
        store.update_links([link])
        store.put_incoming(news)
        store.drop_intentions([intention.id])
        store.close_parked([f"{kind}:{link.id}" for kind in ("intention", "blocked", "record", "missing")], "found", run.at)
        store.park([clash_row(run, golden, clash) for clash in clashes])
        if unread:
            # It may not come with the stream, which was read under these rules while it was not seen, or will be under others.
            ask_again(store, side.stream_id, record.key)
        if create:
            store.note_writes(run.flow, side.connection, KINDS["create"], 1, run.unix)  # taken back when its answer was lost


def _doubtful(flow: Flow, store: Store, side: Side, golden: GoldenRow, record: Record, other: Fields) -> Iterable[Clash]:
    """Yield a clash for each unit in which golden would not win over what was found by its policy."""
    if not other:
        return
    policies = flow.policies[golden.entity]
    said = side.mapping.get(record.fields, refs_of(flow, store, side, [record.fields]), [])
    frozen = clash_paths(store, [golden.id]).get(golden.id, frozenset())
    other = {name: value for name, value in other.items() if not side.mapping.affected([name]) & policies.totals}
    for unit in dict.fromkeys(policies.unit(path) for path in sorted(side.mapping.affected(other)) if path not in side.mapping.lists):
        held: tuple[Any, ...] = tuple(golden.fields.get(path) for path in unit)
        found = tuple(said.get(path, golden.fields.get(path)) for path in unit)
        writers = policies.policy(unit[0]).write_by
        if same_all(found, held) or frozen.intersection(unit) or (writers is not None and side.role not in writers):
            continue
        it = Candidate(side.connection, side.role, record.version, list(found))
        asked = golden_candidate(unit, held, golden.authors, flow.roles)
        if not loses(it, asked, policies.policy(unit[0])):
            yield Clash(list(unit), [asked, it], IN_DOUBT)


def _drop(store: Store, run: RunNote, intentions: list[Intention]) -> None:
    if intentions:
        with store.transaction(run.fence):
            store.drop_intentions([intention.id for intention in intentions])
            store.close_parked([f"intention:{intention.link_id}" for intention in intentions], "looked up", run.at)


def _may_exist(run: RunNote, side: Side, intention: Intention, why: str) -> ParkedRow:
    return parked_row(
        run,
        "intention",
        f"intention:{intention.link_id}",
        side.entity,
        golden_id=intention.golden_id,
        stream_id=side.stream_id,
        error="may exist",
        reason=f"{side.connection} {side.stream.name}: the create of {side.entity} {intention.golden_id} may have been done, and {why}",
    )
