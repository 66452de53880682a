"""Settling: merges what records say into their golden records, and stores all that comes of it in one transaction a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from erpcrm_bridge.mapping import EntityRules, FieldError
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.money import CURRENCY
from erpcrm_bridge.model.values import Fields, digest, same
from erpcrm_bridge.store import GoldenRow, HistoryRow, LinkRow, ParkedRow, Store
from erpcrm_bridge.sync.batch import Batch, Member, Origin, Work
from erpcrm_bridge.sync.clashes import clash_row, clash_subject, clashes_of, plain_candidate, plain_clash
from erpcrm_bridge.sync.crossing import noted
from erpcrm_bridge.sync.decide import UNREADABLE, answers_unread, is_dirty
from erpcrm_bridge.sync.departing import ask_no_more, is_owed, leave_gone, no_longer_archived, revive, want_no_more
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.founding import Shapes, differ, first_authors
from erpcrm_bridge.sync.lines import flatten, lines_sum, sum_complaint, unflatten
from erpcrm_bridge.sync.merge import Candidate, Change, Clash, Merged, Refusal, Saying, Unit, merge, same_all
from erpcrm_bridge.sync.natural import NaturalKeys
from erpcrm_bridge.sync.notes import RunNote
from erpcrm_bridge.sync.pull import ask_again
from erpcrm_bridge.sync.references import refs_of
from erpcrm_bridge.sync.saying import park_record, read_sums_again, saying_of, sum_complaint_of

BATCH = 5_000
RETURNS = 4
"""So many settles it takes at least for a value to have been taken twice, and taken back each time."""


def draw_match_keys(store: Store, rules: EntityRules, goldens: Sequence[GoldenRow]) -> None:
    """Store the natural keys of golden records of one entity."""
    keys = NaturalKeys(rules.match)
    store.add_match_keys([(golden.id, keys.kept(keys.of(golden.fields))) for golden in goldens])


def settle(
    flow: Flow, store: Store, run: RunNote, entity: str, works: list[Work], beside: Mapping[str, list[LinkRow]] | None = None
) -> None:
    """Merge a batch and store all that comes of it in one transaction. ``beside`` are the links of the golden records as they stand, where
    the caller has them."""
    batch = Batch()
    old = [work.golden.id for work in works if not work.new]
    refs = _member_refs(flow, store, works)
    open_clashes = clashes_of(store, old)
    histories = store.histories(old, at_least=RETURNS)
    other_links = store.links_of(old) if beside is None else beside
    read_sums_again(flow, store, works)
    shapes = Shapes(flow, entity)
    for work in works:
        if not (work.new and _found_alike(flow, run, work, refs, shapes, batch)):
            _merge_one(
                flow, store, run, work, refs, open_clashes.get(work.golden.id, {}), histories.get(work.golden.id, ()), other_links, batch
            )
    with store.transaction(run.fence, later=not batch.put_golden and not batch.update_links):
        write_incoming_states(store, batch)  # first: what is dropped need not follow its link
        seq = store.next_seq()
        for golden in (*batch.add_golden, *batch.put_golden):
            golden.seq = seq
        for link in (*batch.add_links, *batch.update_links):
            link.seq = seq
        store.add_golden(batch.add_golden)
        store.put_golden(batch.put_golden)
        store.drop_links(batch.drop_links)
        store.add_links(batch.add_links)
        store.update_links(batch.update_links)
        store.set_dirty(batch.dirty)
        store.drop_match_keys(batch.drop_match)
        store.add_match_keys(batch.match_keys)
        if any(side.cross for side in flow.sides[entity]):
            store.add_cross_ids(noted((member.side, member.link) for work in works for member in work.members))
        store.add_history(batch.history)
        asked = (f"{kind}:{row.stream_id}:{row.key}" for row in batch.settled for kind in ("record", "review"))
        store.close_parked(chain(batch.close, asked), "settled", run.at)
        store.park(batch.park)
        for link in batch.unread:
            ask_again(store, link.stream_id, str(link.key))


def write_incoming_states(store: Store, batch: Batch) -> None:
    """Store what becomes of the incoming states of a batch: within a transaction of the caller's."""
    for stream_id in {row.stream_id for row in batch.settled}:
        store.drop_incoming(stream_id, [row.key for row in batch.settled if row.stream_id == stream_id])
    for stream_id, keys in batch.drop.items():
        store.drop_incoming(stream_id, keys)
    for (stream_id, state), keys in batch.state.items():
        store.set_incoming_state(stream_id, keys, state)  # type: ignore[arg-type] # the states are written in this module


def _member_refs(flow: Flow, store: Store, works: list[Work]) -> dict[str, dict[tuple[str, str], str]]:
    """Return, by connection, golden ids for all references that old and new states hold."""
    by_side: dict[int, tuple[Side, list[Fields]]] = {}
    refers = {id(side): side.mapping.refers for side in flow.all_sides()}
    for work in works if any(refers.values()) else ():
        for member in work.members:
            if not refers[id(member.side)]:
                continue
            _, records = by_side.setdefault(id(member.side), (member.side, []))
            if member.incoming.fields is not None:
                records.append(member.incoming.fields)
            if member.link.base is not None:
                records.append(member.link.base)
    found: dict[str, dict[tuple[str, str], str]] = {}
    for side, records in by_side.values():
        found.setdefault(side.connection, {}).update(refs_of(flow, store, side, records))
    return found


def pending_paths(store: Store, golden_ids: list[str]) -> dict[tuple[str, int], dict[str, ParkedRow]]:
    """Return, by golden id and stream, the optional references that are pending, each with its parked row (L7)."""
    found: dict[tuple[str, int], dict[str, ParkedRow]] = {}
    if golden_ids:
        for row in store.parked(kinds=["waiting"], golden_ids=golden_ids, limit=1_000_000):
            if row.field and row.subject.startswith(("pending:", "later:")):
                found.setdefault((row.golden_id or "", row.stream_id or 0), {})[row.field] = row
    return found


def _found_alike(
    flow: Flow, run: RunNote, work: Work, refs: Mapping[str, Mapping[tuple[str, str], str]], shapes: Shapes, batch: Batch
) -> bool:
    """Found a golden record of records that agree, as others of its shape; tell whether it is one of those. It comes to the same as
    `_merge_one`, which looks at all that may stand in the way."""
    golden, said, paths, errors = work.golden, [], [], list[FieldError]()
    for member in work.members:
        fields, side = member.incoming.fields, member.side
        if fields is None or not member.new_link or not side.mapping.applies(fields):
            return False
        says = side.mapping.get(fields, refs.get(side.connection, {}), errors)
        said.append(says)
        every = None not in says.values()
        paths.append((id(side), tuple(says) if every else tuple([path for path, value in says.items() if value is not None])))
    shape = shapes.of(tuple(paths)) if paths and not errors else None
    if shape is None or not shape.accord.holds(said):
        return False
    golden.fields = shape.accord.fields(said)
    authors = [[member.side.connection, member.incoming.version, run.id] for member in work.members]
    golden.authors = {path: authors[place] for path, place in shape.authors}
    batch.add_golden.append(golden)
    run.counts["founded"] += 1
    batch.match_keys.append((golden.id, _first_keys(flow, work, as_found=shape.as_found)))
    for member, marks, unread, dirty in zip(work.members, shape.answered, shape.unread, shape.dirty, strict=True):
        link, row, mapping = member.link, member.incoming, member.side.mapping
        link.base, link.version, link.rules = row.fields, row.version, mapping.digest
        answers = answers_unread(golden.fields, link, mapping) if unread else {}
        if marks or answers:
            link.answered = marks | answers
        link.dirty = dirty or (unread and not answers)
        batch.add_links.append(link)
        batch.settled.append(row)
    if shape.wanted:
        _want(flow, run, work, batch)
    if len(work.members) > 1 or work.how not in ("", "new"):
        run.counts["bound"] += 1
    batch.history.append(HistoryRow(golden.id, run.id, run.at, {"kind": "merge", **_founded_by(work, work.members)}))
    return True


def _merge_one(
    flow: Flow,
    store: Store,
    run: RunNote,
    work: Work,
    refs: Mapping[str, Mapping[tuple[str, str], str]],
    frozen: Mapping[Unit, Clash],
    history: Sequence[HistoryRow],
    other_links: Mapping[str, list[LinkRow]],
    batch: Batch,
) -> None:
    golden, policies = work.golden, flow.policies[work.golden.entity]
    lists = _lists_of(work)
    flat_golden = flatten(golden.fields, lists)
    sayings: list[Saying] = []
    spoke: list[tuple[Member, Fields]] = []
    gone: list[Member] = []
    for member in work.members:
        if member.incoming.seq < member.link.seq and not member.new_link and not member.wanted:
            batch.done(member.incoming)  # it was read again, and was not there to replace this
            continue
        if member.link.state == "alias":  # known for references, never merged
            batch.done(member.incoming)
            continue
        if member.incoming.fields is None:
            gone.append(member)
            continue
        if not member.side.mapping.applies(member.incoming.fields):
            if flow.has_become(member.link.entity, member.link.stream_id, member.incoming.fields) is not None:
                continue  # it waits for the entity that it is by now
            if not flow.is_on_its_way(member.side, member.link, member.incoming.fields):
                _fall_asleep(run, member, batch)
                continue
        was = member.link.state
        saying = saying_of(flow, store, run, work, member, refs.get(member.side.connection, {}), flat_golden, lists, batch)
        if saying is not None:
            work.restored = work.restored or was == "tombstone"
            sayings.append(saying)
            spoke.append((member, saying.said))
    if not sayings and not gone:
        return
    merged = merge(
        flat_golden,
        golden.authors,
        sayings,
        policies,
        roles=flow.roles,
        frozen=frozen,
        rewritten=lambda unit, new, by: _rewritten(history, unit, new, by),
    )
    if work.restored:
        no_longer_archived(store, golden, sayings, merged, frozen)
    fields = unflatten(merged.fields, lists) if lists else merged.fields
    if merged.changes and sayings and lists:
        _total_follows_lines(policies.rules, golden, merged, frozen, sayings)
        fields = unflatten(merged.fields, lists)
        complaint = next((c for member, _ in spoke if (c := sum_complaint_of(member.side, policies.rules, fields))), None)
        complaint = complaint or _other_money(policies.rules, merged, sayings)
        if complaint:
            for member, _ in spoke:
                park_record(run, member, "total", f"after the merge {complaint}", batch, golden.id)
            return
    links = other_links.get(golden.id, [])
    if work.restored:
        here = {member.link.stream_id for member, _ in spoke}
        want_no_more([link for link in links if link.stream_id in here], batch)
    if work.restored or (golden.state == "gone" and any(saying.moved for saying in sayings)):
        revive(flow, run, work, links, batch)
    if gone:
        owed = any(is_owed(golden, member, refs.get(member.side.connection, {})) for member in gone)
        said_more = bool(merged.changes or merged.clashes or frozen or owed or work.restored)  # to bring a copy back says that it is to be
        leave_gone(flow, run, work, gone, merged, batch, links, said_more)
        links = [link for link in links if all(link.id != member.link.id for member in gone)]  # nothing is owed there any more
        ask_no_more(store, links, batch)
        fields = unflatten(merged.fields, lists)
    if not sayings and golden.state == "live" and not merged.changes:
        _history(run, work, merged, [], gone, batch)
        if work.new:
            return
        batch.put_golden.append(golden)
        return
    _store_merge(flow, run, work, merged, fields, spoke, links, batch)
    _history(run, work, merged, [member for member, _ in spoke], gone, batch)


def _lists_of(work: Work) -> list[str]:
    """Return the lists of which the golden record or a member may hold lines: most records have none, and then none is looked for."""
    fields, authors = work.golden.fields, work.golden.authors
    for member in work.members:
        if member.side.mapping.lists:
            return list(entity_spec(work.golden.entity).lists)
    if not fields:
        return []
    names = list(entity_spec(work.golden.entity).lists)
    return names if any(name in fields for name in names) or any("/" in path for path in authors) else []


def _total_follows_lines(
    rules: EntityRules, golden: GoldenRow, merged: Merged, frozen: Mapping[Unit, Clash], sayings: Sequence[Saying]
) -> None:
    """Documents that each add up may be merged into one whose total is nobody's: it is then the sum of the merged lines, and nothing where
    none of them is left."""
    for name, rule in rules.lists.items():
        total = rule.sums_to
        fields = unflatten(merged.fields, list(rules.lists))
        if golden.fields.get(name) or any(path.startswith(name + "/") for path in golden.authors):
            fields.setdefault(name, [])  # it has, or has had, lines
        if total is None or not sum_complaint(fields, name, total):
            continue
        value, unit = lines_sum(fields, name), (total,)
        if value is None:
            continue
        before = next((change for change in merged.changes if change.unit == unit), None)
        old = before.old if before else (merged.fields.get(total),)
        losers = [Candidate(s.by, s.role, s.version, [s.said[total]], s.order) for s in sayings if total in s.moved]
        merged.changes = [change for change in merged.changes if change.unit != unit]
        if not same(old[0], value):
            merged.changes.append(Change(unit, old, (value,), "rule:sums_to", "", "the sum of its lines", losers))
        merged.fields[total] = value
        merged.clashes = [clash for clash in merged.clashes if tuple(clash.unit) != unit]
        if unit in frozen:
            merged.settled.append(unit)


def _other_money(rules: EntityRules, merged: Merged, sayings: Sequence[Saying]) -> str | None:
    """Return why a document's total and lines are no sum: some of it was said in another currency than the document is in."""
    counted = {name for lines, rule in rules.lists.items() if rule.sums_to for name in (lines, rule.sums_to)}
    currency = merged.fields.get(CURRENCY)
    for saying in sayings:
        held = saying.said.get(CURRENCY)
        if held is None or currency is None or held == currency:
            continue
        if any(change.by == saying.by and path.partition("/")[0] in counted for change in merged.changes for path in change.unit):
            return f"it is in {currency}, and {saying.by} holds it in {held}: its amounts are not taken"
    return None


def _fall_asleep(run: RunNote, member: Member, batch: Batch) -> None:
    """A record that has left its filter keeps its link; nothing of it is read or written (L13)."""
    member.link.state = "asleep"
    member.link.dirty = False
    member.link.version = member.incoming.version
    batch.update_links.append(member.link)
    batch.done(member.incoming)
    run.counts["asleep"] += 1


def _rewritten(history: Sequence[HistoryRow], unit: Unit, new: tuple[Any, ...], by: str) -> bool:
    """Tell whether golden took these values of a unit, all of them, from this system twice before, each time taken back by another (L6).
    What a person settled is counted anew."""
    taken, back = 0, True
    for row in history:
        fields = row.data.get("fields") or {}
        told = [path for path in unit if path in fields]  # of a group that was empty, what was filled
        if not told:
            continue
        if row.data.get("kind") == "settle":
            taken, back = 0, True
        elif row.data["by"][told[0]] != by:
            back = True
        elif same_all([fields[path][1] if path in fields else None for path in unit], new):
            taken, back = taken + back, False
    return taken >= 2 and back


def _store_merge(
    flow: Flow,
    run: RunNote,
    work: Work,
    merged: Merged,
    fields: Fields,
    spoke: list[tuple[Member, Fields]],
    links: list[LinkRow],
    batch: Batch,
) -> None:
    golden = work.golden
    changed: set[str] = set()  # of a new record all is, and nobody asks
    if work.new:
        golden.authors = first_authors([(change.by, change.version, change.unit) for change in merged.changes], run.id) | golden.authors
    else:
        changed.update(path for change in merged.changes for path in change.unit)
        for change in merged.changes:
            author = [change.by, change.version, run.id]
            for path in change.unit:
                golden.authors[path] = author
    before, golden.fields = golden.fields, fields
    if work.new:
        batch.add_golden.append(golden)
        run.counts["founded"] += 1
    elif changed or merged.clashes or fields.keys() != before.keys() or golden.state == "gone" or work.restored:
        batch.put_golden.append(golden)
    _match_keys(flow, work, spoke[0][1] if spoke else {}, before, changed, batch)
    quiet = set(merged.quiet) if merged.quiet else None
    refused = {(refusal.by, path) for refusal in merged.refused for path in refusal.unit} if merged.refused else ()
    for member, said in spoke:
        link, mapping = member.link, member.side.mapping
        if quiet:
            marks = {path: digest(golden.fields.get(path)) for by, path in quiet if by == member.side.connection}
            link.answered = {**link.answered, **marks}
        if member.guessed:
            # What was not understood is written over only when golden moves on from what it is now (`fallback`).
            spared = {
                path
                for path in member.guessed
                if (member.side.connection, path) not in refused and not same(said.get(path), merged.fields.get(path))
            }
            link.answered = {**link.answered, **{path: digest(merged.fields.get(path)) for path in spared}}
        if mapping.unread:
            link.answered = {**link.answered, **answers_unread(golden.fields, link, mapping)}
        with_lines = unflatten(said, list(mapping.lists)) if mapping.lists else said
        refused_once = any(why != UNREADABLE for why in link.held.values())  # and may be let go now: the push looks
        unheard = any(path.partition("/")[0] in member.side.paused for path in changed)  # its base does not tell, while it is not read
        link.dirty = golden.state == "gone" or refused_once or unheard or is_dirty(golden.fields, link, mapping, with_lines)
        (batch.add_links if member.new_link else batch.update_links).append(link)
        batch.settled.append(member.incoming)
        if member.wanted:
            batch.close.extend((f"blocked:{link.id}", f"record:{link.id}"))
        if not member.new_link:
            batch.close.extend((f"missing:{link.id}", f"gone:{link.id}"))
        if member.origin is not None:
            _leave(run, member, member.origin, golden, batch)
    here = {member.link.id for member, _ in spoke} if links else ()
    for link in links:
        if (
            link.id not in here
            and link.state in ("live", "wanted", "missing")
            and not link.dirty
            and changed
            and link.id not in batch.dirty
        ):
            side = flow.side_of(link, golden.fields)  # a system that this flow does not have now is told by the run that has it
            if side is None or any(path.partition("/")[0] in side.mapping.writable for path in changed):
                batch.dirty.add(link.id)
    if work.new and golden.state == "live":
        _want(flow, run, work, batch)
    for clash in merged.clashes:
        batch.park.append(clash_row(run, golden, clash))
    batch.close.extend(clash_subject(golden.id, unit) for unit in merged.settled)
    if changed and not work.new:
        run.counts["merged"] += 1
    if (work.new and len(spoke) > 1) or work.how not in ("", "new"):
        run.counts["bound"] += 1
    if merged.clashes:
        run.counts["clashes"] += len(merged.clashes)
    if merged.refused:
        run.counts["refused"] += len(merged.refused)


def _leave(run: RunNote, member: Member, origin: Origin, golden: GoldenRow, batch: Batch) -> None:
    """A record has become another entity: what it was keeps its golden record, with what stands elsewhere. Where nothing does, that is
    wanted nowhere any more."""
    run.counts["moved on"] += 1
    what = {"kind": "continued", "continued": {member.side.connection: [golden.entity, golden.id]}, "key": member.link.key}
    batch.history.append(HistoryRow(origin.golden.id, run.id, run.at, what))
    if all(link.state in ("wanted", "tombstone") for link in origin.others):
        want_no_more(origin.others, batch)
    paths = (*origin.link.held, *origin.link.pending)
    batch.close.extend(f"{kind}:{origin.link.id}:{path}" for kind in ("field", "pending", "later") for path in paths)
    if origin.replaces is not None:
        batch.drop_links.append(origin.replaces.id)
        batch.close.extend((f"blocked:{origin.replaces.id}", f"record:{origin.replaces.id}"))


def _want(flow: Flow, run: RunNote, work: Work, batch: Batch) -> None:
    """A new golden record is wanted in each stream of the flow in which it is not yet, where records may be created."""
    golden = work.golden
    if any(member.incoming.seq <= run.old_until for member in work.members):
        return
    batch.add_links.extend(flow.wanted(golden, [member.side.system for member in work.members], run.link_ids))


def _match_keys(flow: Flow, work: Work, said: Fields, before: Fields, changed: set[str], batch: Batch) -> None:
    policies, golden = flow.policies[work.golden.entity], work.golden
    keys = policies.natural_keys
    if not work.new:
        if moved := policies.natural.intersection(changed):
            were, are = keys.moved(moved, before, golden.fields)
            if were:
                batch.drop_match.append((golden.id, were))
            if are:
                batch.match_keys.append((golden.id, are))
        return
    as_found = not differ(policies.natural, golden.fields, said)
    batch.match_keys.append((golden.id, _first_keys(flow, work, as_found=as_found)))


def _first_keys(flow: Flow, work: Work, *, as_found: bool) -> list[int]:
    keys = flow.policies[work.golden.entity].natural_keys
    return keys.kept(work.hashes if as_found and work.hashes else keys.of(work.golden.fields))


def _plain_refusal(refusal: Refusal) -> dict[str, Any]:
    plain = {"unit": list(refusal.unit), "by": refusal.by, "values": list(refusal.values)}
    return plain if refusal.holder is None else {**plain, "holder": refusal.holder}


def _founded_by(work: Work, spoke: list[Member]) -> dict[str, Any]:
    return {"founded": {member.side.connection: member.incoming.key for member in spoke}, "how": work.how}


def _history(run: RunNote, work: Work, merged: Merged, spoke: list[Member], gone: list[Member], batch: Batch) -> None:
    """One row a record and settle. First values are not repeated: golden holds them, and later rows say what they replaced."""
    data: dict[str, Any] = {}
    if work.new:
        data.update(_founded_by(work, spoke))
    elif work.how:
        data["bound"] = {member.side.connection: member.incoming.key for member in spoke}
        data["how"] = work.how
    told = [change for change in merged.changes if not work.new or change.losers]
    if told:
        data["fields"] = {path: [old, new] for change in told for path, old, new in zip(change.unit, change.old, change.new, strict=True)}
        data["by"] = {path: change.by for change in told for path in change.unit}
        data["rules"] = {path: change.rule for change in told for path in change.unit}
        losers = {
            path: [{**plain_candidate(loser), "values": [loser.values[at]]} for loser in change.losers]
            for change in told
            if change.losers
            for at, path in enumerate(change.unit)
        }
        if losers:
            data["losers"] = losers
    if merged.refused:
        data["refused"] = [_plain_refusal(refusal) for refusal in merged.refused]
    if merged.clashes:
        data["clashes"] = [plain_clash(clash) for clash in merged.clashes]
    if became := {one.side.connection: [one.origin.golden.entity, one.origin.golden.id] for one in spoke if one.origin is not None}:
        data["continues"] = became
    moved = {member.side.connection: [member.settled_by, member.side.mapping.name] for member in spoke if member.settled_by}
    if moved:
        data["mappings"] = moved
        run.counts["moved to another mapping"] += len(moved)
    if gone:
        data["gone"] = {member.side.connection: member.incoming.key for member in gone}
    if data:
        batch.history.append(HistoryRow(work.golden.id, run.id, run.at, {"kind": "merge", **data}))
