"""Recover: a run begins with the intentions that an earlier one left open (L3). Found by reference: settled. Provably absent: free again.
Neither: parked as "may exist", and never repeated by itself."""

from __future__ import annotations

from erpcrm_bridge.model.records import Applied, Question, Write
from erpcrm_bridge.model.values import digest, unpack
from erpcrm_bridge.store import Intention, LinkRow, ParkedRow, Store
from erpcrm_bridge.sync.decide import Step, label_of
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.notes import RunNote, parked_row
from erpcrm_bridge.sync.pull import read_again
from erpcrm_bridge.sync.push import references, settle_applied, settle_refs


def recover(flow: Flow, store: Store, run: RunNote) -> None:
    """Settle, free or park every open intention of the flow's streams."""
    for side in flow.all_sides():
        intentions = store.open_intentions([side.stream_id])
        links = store.links([intention.link_id for intention in intentions])
        creates, done = [], []
        for intention in intentions:
            link = links.get(intention.link_id)
            if link is None or link.entity != side.entity:
                continue
            if intention.operation == "create" and link.key is None:
                creates.append((intention, link))
            else:
                done.append((intention, link))
        if done:
            # A move: the state says whether it was made. A create whose record has come in by itself is done.
            keys = sorted({link.key for _, link in done if link.key})
            read_again(store, run, side, keys)
            _drop(store, run, [intention for intention, _ in done])
        if creates:
            _creates(flow, store, run, side, creates)


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


def _settle_found(flow: Flow, store: Store, run: RunNote, side: Side, intention: Intention, link: LinkRow, key: str) -> None:
    """The create was done. What is held as it was asked is settled; what is held otherwise may be the system's rendition or somebody's edit
    since: it is news, and merged without a base."""
    if key in store.golden_of([side.stream_id], [key]):
        _drop(store, run, [intention])
        return
    records = side.connector.read(side.selection, [key])
    if not records:
        return
    golden = store.golden([link.golden_id])[link.golden_id]
    _, refs_out = references(flow, store, side, [link], {golden.id: golden}, set())
    asked: dict[str, str] = unpack(intention.digest.encode())
    ours = {name: value for name, value in records[0].fields.items() if asked.get(name) == digest(value)}
    wanted = side.mapping.put(golden.fields, None, refs_out, [], create=True)
    answering = {name for name, value in wanted.items() if name in ours and asked[name] == digest(value)}
    settles = sorted(path for rule in side.mapping.rules if answering.issuperset(rule.external) for path in rule.canonical)
    step = Step(
        "create", golden.entity, golden.id, link.id, side.connection, side.stream.name, None, label_of(golden.fields), {}, 0, 0, settles
    )
    write = Write(link.id, "create", None, ours, reference=golden.id)
    applied = Applied(link.id, key, records[0].version, records[0].fields)
    news = settle_applied(side, link, golden, step, write, applied, settle_refs(store, side, [applied]))
    with store.transaction(run.fence):
        link.seq = store.next_seq()
        for row in news:
            row.seq = link.seq
        store.update_links([link])
        store.put_incoming(news)
        store.drop_intentions([intention.id])
        store.close_parked([f"{kind}:{link.id}" for kind in ("intention", "blocked", "record")], "found", run.at)
    run.counts["recovered"] += 1


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
