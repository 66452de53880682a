"""Settling: merges what records say into their golden records, and stores all that comes of it in one transaction a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from erpcrm_bridge.mapping import CompiledMapping, EntityRules, FieldError, Refs
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.ids import Ids
from erpcrm_bridge.model.money import CURRENCY
from erpcrm_bridge.model.values import Fields, digest, same
from erpcrm_bridge.store import GoldenRow, HistoryRow, IncomingRow, LinkRow, ParkedRow, Store
from erpcrm_bridge.sync.crossing import noted
from erpcrm_bridge.sync.decide import UNREADABLE, answers_unread, is_dirty
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.founding import Shapes, all_of, differ, first_authors
from erpcrm_bridge.sync.lines import flatten, lines_sum, match_lines, sum_complaint, unflatten
from erpcrm_bridge.sync.merge import (
    Candidate,
    Change,
    Clash,
    Merged,
    Refusal,
    Saying,
    Unit,
    author_of,
    base_means,
    line_of,
    merge,
    same_all,
)
from erpcrm_bridge.sync.natural import NaturalKeys
from erpcrm_bridge.sync.notes import RunNote, parked_row
from erpcrm_bridge.sync.pull import ask_again, read_now
from erpcrm_bridge.sync.references import blocking, refs_of

BATCH = 5_000
RETURNS = 4
"""So many settles it takes at least for a value to have been taken twice, and taken back each time."""
ON_DELETE = "rule:on_delete"
"""The author of what a delete elsewhere has made of a record."""
_STATUS = ("status",)
_NO_PATHS: frozenset[str] = frozenset()


class Origin(Struct):
    """What a record was until now, where it has become another entity: its golden record and that one's other links; the link as it stood;
    the wanted link whose place it takes. ``kept``: values of which it holds a rendition."""

    golden: GoldenRow
    others: list[LinkRow]
    link: LinkRow
    replaces: LinkRow | None = None
    kept: Fields = {}


class Member(Struct):
    """One system's state in a group that is about to be merged."""

    side: Side
    link: LinkRow
    incoming: IncomingRow
    new_link: bool
    wanted: bool = False
    guessed: frozenset[str] = frozenset()
    """paths that moved to what only a fallback reads"""
    settled_by: str = ""
    """the mapping that settled the link before, where another one takes the record now"""
    origin: Origin | None = None


class Work(Struct):
    """One golden record and the states that are merged into it."""

    golden: GoldenRow
    new: bool
    members: list[Member]
    how: str = ""
    hashes: Sequence[int] = ()
    """natural keys of the first member, as identification found them"""
    restored: bool = False
    """a record that was deleted has come back"""
    lines: dict[str, list[Fields]] = {}
    """golden's lines and those that members brought, so that each finds its own"""


class Batch(Struct):
    """Rows to be stored together."""

    add_golden: list[GoldenRow] = []
    put_golden: list[GoldenRow] = []
    add_links: list[LinkRow] = []
    update_links: list[LinkRow] = []
    dirty: set[str] = set()
    history: list[HistoryRow] = []
    match_keys: list[tuple[str, list[int]]] = []
    drop_match: list[tuple[str, list[int]]] = []
    park: list[ParkedRow] = []
    close: list[str] = []
    drop_links: list[str] = []
    unread: list[LinkRow] = []
    """to be read by their keys"""
    settled: list[IncomingRow] = []
    """done, and nothing is asked of them any more"""
    drop: dict[int, list[str]] = {}
    state: dict[tuple[int, str], list[str]] = {}

    def done(self, row: IncomingRow) -> None:
        self.drop.setdefault(row.stream_id, []).append(row.key)

    def set_state(self, row: IncomingRow, state: str) -> None:
        self.state.setdefault((row.stream_id, state), []).append(row.key)


def draw_match_keys(store: Store, rules: EntityRules, goldens: Sequence[GoldenRow]) -> None:
    """Store the natural keys of golden records of one entity."""
    keys = NaturalKeys(rules.match)
    store.add_match_keys([(golden.id, keys.kept(keys.of(golden.fields))) for golden in goldens])


def wait(batch: Batch, run: RunNote, row: IncomingRow, side: Side, error: FieldError) -> None:
    entity, key = error.reference or ("", "")
    batch.set_state(row, "waiting")
    batch.park.append(
        parked_row(
            run,
            "waiting",
            f"waiting:{row.stream_id}:{row.key}",
            side.entity,
            stream_id=row.stream_id,
            key=row.key,
            field=error.path,
            error="reference",
            reason=f"{side.connection} {side.stream.name} {row.key} waits for its {entity} {key}, which is not there yet",
            waits_for=f"{entity} {key}",
            data={"entity": entity, "system": side.system, "key": key},
        )
    )


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
    _read_sums_again(flow, store, works)
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


def clashes_of(store: Store, golden_ids: list[str]) -> dict[str, dict[Unit, Clash]]:
    """Return the open clashes of golden records by golden id and unit."""
    found: dict[str, dict[Unit, Clash]] = {}
    if golden_ids:
        for row in store.parked(kinds=["clash"], golden_ids=golden_ids, limit=1_000_000):
            clash = msgspec.convert(row.data, Clash)
            found.setdefault(row.golden_id or "", {})[tuple(clash.unit)] = clash
    return found


def clash_paths(store: Store, golden_ids: list[str]) -> dict[str, frozenset[str]]:
    """Return, by golden id, the paths that are in an open clash: frozen, and pushed nowhere until it is settled."""
    found: dict[str, frozenset[str]] = {}
    for golden_id, unit in store.in_clash(golden_ids):
        found[golden_id] = found.get(golden_id, _NO_PATHS).union(unit)
    return found


def pending_paths(store: Store, golden_ids: list[str]) -> dict[tuple[str, int], dict[str, ParkedRow]]:
    """Return, by golden id and stream, the optional references that are pending, each with its parked row (L7)."""
    found: dict[tuple[str, int], dict[str, ParkedRow]] = {}
    if golden_ids:
        for row in store.parked(kinds=["waiting"], golden_ids=golden_ids, limit=1_000_000):
            if row.field and row.subject.startswith(("pending:", "later:")):
                found.setdefault((row.golden_id or "", row.stream_id or 0), {})[row.field] = row
    return found


def _read_sums_again(flow: Flow, store: Store, works: list[Work]) -> None:
    """A document whose lines do not make its total is read again once (L10): it may have been read between two saves. One that cannot be
    told now is taken as it was read."""
    for work in works if any(side.mapping.lists for side in flow.all_sides()) else ():
        for member in work.members:
            if not member.side.mapping.lists or member.incoming.fields is None:
                continue
            said, _ = _document(member, {}, [])
            if _sum_complaint(member.side, flow.policies[work.golden.entity].rules, said):
                key = member.incoming.key
                fresh = read_now(store, member.side, member.side.selection, [key])[0].get(key)
                if fresh is not None:
                    member.incoming.fields, member.incoming.version = fresh.fields, fresh.version


def _sum_complaint(side: Side, rules: EntityRules, said: Fields) -> str | None:
    """Return why a document does not add up, where its lists and their total are both read from this system."""
    for name in side.mapping.lists:
        total = rules.lists[name].sums_to if name in rules.lists else None
        complaint = sum_complaint(said, name, total) if total in side.mapping.readable else None
        if complaint:
            return complaint
    return None


def _document(member: Member, refs: Refs, errors: list[FieldError]) -> tuple[Fields, dict[str, list[tuple[str, Fields]]]]:
    """Return what a record says: scalar fields with lists of plain lines, and each list's lines with their row keys."""
    mapping = member.side.mapping
    fields = member.incoming.fields or {}
    said = mapping.get(fields, refs, errors)
    keyed: dict[str, list[tuple[str, Fields]]] = {}
    for name, compiled in mapping.lists.items():
        rows = compiled.held(fields)
        if rows is None:
            continue
        keyed[name] = [(str(row[compiled.key]), compiled.get(row, said, refs, errors)) for row in rows]
        said[name] = [line for _, line in keyed[name]]
    return said, keyed


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
        saying = _saying(flow, store, run, work, member, refs.get(member.side.connection, {}), flat_golden, lists, batch)
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
    if work.restored and _STATUS not in frozen:
        _no_longer_archived(store, golden, sayings, merged)
    fields = unflatten(merged.fields, lists) if lists else merged.fields
    if merged.changes and sayings and lists:
        _total_follows_lines(policies.rules, golden, merged, frozen, sayings)
        fields = unflatten(merged.fields, lists)
        complaint = next((c for member, _ in spoke if (c := _sum_complaint(member.side, policies.rules, fields))), None)
        complaint = complaint or _other_money(policies.rules, merged, sayings)
        if complaint:
            for member, _ in spoke:
                _park_record(run, member, "total", f"after the merge {complaint}", batch, golden.id)
            return
    links = other_links.get(golden.id, [])
    if work.restored:
        here = {member.link.stream_id for member, _ in spoke}
        _want_no_more([link for link in links if link.stream_id in here], batch)
    if work.restored or (golden.state == "gone" and any(saying.moved for saying in sayings)):
        _revive(flow, run, work, links, batch)
    if gone:
        owed = any(_is_owed(golden, member, refs.get(member.side.connection, {})) for member in gone)
        said_more = bool(merged.changes or merged.clashes or frozen or owed or work.restored)  # to bring a copy back says that it is to be
        _gone(flow, run, work, gone, merged, batch, links, said_more)
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


def _saying(
    flow: Flow,
    store: Store,
    run: RunNote,
    work: Work,
    member: Member,
    refs: Refs,
    flat_golden: Fields,
    lists: list[str],
    batch: Batch,
) -> Saying | None:
    """Return what this system says, or None where the record waits or is parked. Sets the link's new base, line keys and holds."""
    side, link, row = member.side, member.link, member.incoming
    mapping, golden_id = side.mapping, None if work.new else work.golden.id
    errors: list[FieldError] = []
    said, keyed = _document(member, refs, errors)
    if errors or mapping.lists:
        blocked = blocking(side, errors)
        if blocked:
            wait(batch, run, row, side, blocked[0])
            return None
        unheard = _unheard(member, errors) if errors and link.base is not None else set()
        for name in unheard:
            del said[name], keyed[name]
        complaint = _sum_complaint(side, flow.policies[work.golden.entity].rules, said)
        if complaint is not None and _is_half_written(flow, store, member, work, refs, said, keyed, flat_golden, lists):
            complaint = None
        line_error = next((error for error in errors if error.path not in unheard and _is_of_document(error.path, side)), None)
        if complaint is None and line_error is not None:
            complaint = f"{line_error.path}: {line_error.reason}"
        if complaint:
            _park_record(run, member, "total", complaint, batch, golden_id)
            return None
        if link.base is None and (why := next((side.paused[name] for name in mapping.lists if name in side.paused), None)):
            # A document without its lines is none: it would be created so elsewhere (L9).
            _park_record(run, member, "paused", f"it cannot be taken in while its lines are paused: {why}", batch, golden_id)
            return None
    line_ids = _line_ids(flow, member, keyed, work) if keyed else {}
    if line_ids is None:
        _park_record(run, member, "lines", "it is in doubt which of its lines is which", batch, golden_id)
        return None
    for name, pairs in keyed.items():
        said[name] = [{"id": line_ids[name][key], **line} for key, line in pairs]
    flat = flatten(said, lists) if lists else said
    unreadable: list[FieldError] = []
    unread: set[str] | frozenset[str] = _NO_PATHS
    if errors:
        unreadable = [error for error in errors if error.reference is None]
        unread = {path for error in unreadable for path in side.policies.unit(error.path)}
    withheld = frozenset((*unread, *side.paused)) if side.paused else unread
    before, moved, news = _moved(member, store, refs, flat, flat_golden, lists)
    whole = member.origin.kept if member.origin else {}
    if link.base is None and flow.is_on_its_way(side, link, row.fields or {}):
        moved = _where_empty(moved, flat_golden, side)
    if withheld or whole:
        moved -= withheld | whole.keys()
    if guessed := _guessed(mapping, row.fields or {}, line_ids):
        member.guessed = guessed & moved
    pending = [error.path for error in errors if error.reference is not None] if errors else []
    if unreadable or link.held:
        _hold_unreadable(run, work, member, unreadable, unread, batch)
    if pending:
        _show_pending(run, work, member, errors, batch)
    saying = Saying(
        by=side.connection,
        role=side.role,
        version=row.version,
        said=flat,
        before=before,
        moved=moved,
        carries=lambda path: path.partition("/")[0] in mapping.readable,
        answered=link.answered,
        order=_order(side, row),
    )
    old_base = link.base
    if link.answered and old_base is not None:
        saying.doubtful = mapping.affected([name for name in news if name not in old_base]) & link.answered.keys()
    link.base = _base_after(member, withheld)
    if link.answered or whole:
        link.answered = _answers_left(link, mapping, old_base, news) | {path: digest(value) for path, value in whole.items()}
    if link.line_keys or line_ids:
        kept = {name: keys for name, keys in link.line_keys.items() if name in withheld}
        link.line_keys = kept | {name: {line_id: key for key, line_id in ids.items()} for name, ids in line_ids.items()}
    link.stand_at(row.version)
    link.rules, link.pending, link.state, link.key = mapping.digest, pending, "live", row.key
    return saying


def _guessed(mapping: CompiledMapping, fields: Fields, line_ids: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
    """Return the paths, of lines too, of which only a fallback reads what the record holds."""
    of_lines = [
        f"{name}/{line_ids[name][str(row[compiled.key])]}/{path}"
        for name, compiled in mapping.lists.items()
        if name in line_ids
        for row in compiled.rows(fields)
        for path in compiled.guessed(row)
    ]
    return mapping.guessed(fields).union(of_lines)


def _is_half_written(
    flow: Flow,
    store: Store,
    member: Member,
    work: Work,
    refs: Refs,
    said: Fields,
    keyed: Mapping[str, list[tuple[str, Fields]]],
    flat_golden: Fields,
    lists: list[str],
) -> bool:
    """Tell whether the lines and the total of a known document are each as in its base or in golden: the bridge died while it wrote them,
    and owes the rest. They need not add up, for none is taken."""
    line_ids = None if member.link.base is None else _line_ids(flow, member, keyed, Work(work.golden, work.new, []))
    if line_ids is None:
        return False
    with_ids = {name: [{"id": line_ids[name][key], **line} for key, line in pairs] for name, pairs in keyed.items()}
    flat = flatten({**said, **with_ids}, lists)
    _, moved, _ = _moved(member, store, refs, flat, flat_golden, lists)
    of_document = {*lists, *member.side.policies.totals}
    return all(same(flat[path], flat_golden.get(path)) for path in moved if path.partition("/")[0] in of_document)


def _where_empty(paths: frozenset[str], golden: Fields, side: Side) -> frozenset[str]:
    """Return the paths on which golden holds nothing, nor anything that moves as one value with them. A record that has still to become
    what golden is says no more: it is what golden moved on from."""
    lists = {path.partition("/")[0] for path in golden if "/" in path}
    free = (path for path in paths if all(golden.get(member) is None for member in side.policies.unit(path)))
    return frozenset(path for path in free if path.partition("/")[0] not in lists or golden.get("/".join(path.split("/")[:2])) is True)


def _order(side: Side, row: IncomingRow) -> float | None:
    """Return when a record was changed, in Unix seconds, where the mapping names the field that says so, or the stream's versions are
    declared ordered and are instants."""
    if side.mapping.version is not None:
        version = str((row.fields or {}).get(side.mapping.version))
    elif side.offers.version_order is not None:
        version = row.version
    else:
        return None
    try:
        at = datetime.fromisoformat(version)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(side.stream.zone or "UTC"))
    return at.timestamp()


def _news(fields: Fields, base: Fields) -> list[str]:
    """Return the names under which a record holds something else than its base."""
    return [
        name
        for name, value in fields.items()
        if (value.__class__ is not str or value != base.get(name)) and (name not in base or not same(value, base[name]))
    ]


def _moved(
    member: Member, store: Store, refs: Refs, flat: Fields, flat_golden: Fields, lists: list[str]
) -> tuple[Fields | None, frozenset[str], list[str]]:
    """Return what the base meant, the paths on which the record says something new, and the fields in which it does."""
    link, mapping, fields = member.link, member.side.mapping, member.incoming.fields or {}
    if link.base is None:
        return None, all_of(tuple([path for path, value in flat.items() if value is not None])), []
    base = link.base
    externals = _news(fields, base)
    unread = [name for name in externals if name not in base]
    before = mapping.get(base, refs, [])
    for name, compiled in mapping.lists.items():
        keys = {key: line_id for line_id, key in link.line_keys.get(name, {}).items()}
        before[name] = [
            {"id": keys[str(row[compiled.key])], **compiled.get(row, before, refs, [])}
            for row in compiled.held(base) or ()
            if str(row[compiled.key]) in keys
        ]
    flat_before = flatten(before, lists) if lists else before
    for path in mapping.affected(unread) if unread else ():
        flat_before.pop(path, None)
    touched = mapping.affected(externals)
    if link.pending:
        touched = touched.union(link.pending)
        for path in link.pending:
            flat_before.pop(path, None)
    moved = {path for path in touched if path in flat and "/" not in path and not same(flat[path], flat_before.get(path))}
    for name, compiled in mapping.lists.items():
        if not compiled.names.isdisjoint(externals):
            stem = name + "/"
            paths = {path for path in (*flat, *flat_before) if path.startswith(stem)}
            for path in paths:
                if path not in flat and line_of(path) in flat:
                    continue  # the line stands and says nothing of it (`nulls.in: keep`)
                if not same(flat.get(path), flat_before.get(path)):
                    moved.add(path)
                    flat.setdefault(path, None)
    if link.rules and link.rules != mapping.digest and not link.dirty and link.state == "live":
        # Where the rules changed, what the base no longer says of golden is adopted anew, never pushed over (L13). Of a dirty link, or of a
        # record that was gone, the base did not say it before either: what stands there untouched is no news.
        settled_by = msgspec.json.decode(store.fact(f"meanings:{link.rules}") or "{}")
        other = {path for path, meaning in mapping.meanings.items() if settled_by.get(path) != meaning}
        for path in flat.keys() - moved:
            if path.partition("/")[0] in other and not base_means(path, flat_golden.get(path), flat_before.get(path), link.answered):
                flat_before.pop(path, None)
                moved.add(path)
    return flat_before, frozenset(moved), externals


def _line_ids(flow: Flow, member: Member, keyed: Mapping[str, list[tuple[str, Fields]]], work: Work) -> dict[str, dict[str, str]] | None:
    """Return the line id of each row of each list; None where it is in doubt. What other members of the group brought counts too."""
    found: dict[str, dict[str, str]] = {}
    if not keyed:
        return found
    rules = flow.policies[work.golden.entity].rules
    ids = Ids("N")
    for name, pairs in keyed.items():
        known = {key: line_id for line_id, key in member.link.line_keys.get(name, {}).items()}
        if name not in work.lines:
            work.lines = {**work.lines, name: list(work.golden.fields.get(name) or ())}
        lines = work.lines[name]
        list_rules = rules.lists.get(name)
        matched = match_lines(pairs, known, lines, list_rules.line_match if list_rules else (), ids.new)
        if matched is None:
            return None
        found[name] = matched
        have = {line["id"] for line in lines}
        lines.extend({"id": matched[key], **line} for key, line in pairs if matched[key] not in have)
    return found


def _unheard(member: Member, errors: list[FieldError]) -> set[str]:
    """Return the lists of a known record that make no total and of which a line cannot be read: they wait as one, as if the record had
    not said them, and all else is heard (L9). The errors name these lists then."""
    mapping, rules = member.side.mapping, member.side.policies.rules.lists
    found = set()
    for error in errors:
        name, _, field = error.path.partition(".")
        if error.reference is None and name in mapping.lists and (name not in rules or rules[name].sums_to is None):
            error.path, error.reason = name, f"{field}: {error.reason}"
            found.add(name)
    names = frozenset().union(*(mapping.lists[name].names for name in found))
    fields = {name: value for name, value in (member.incoming.fields or {}).items() if name not in names}
    member.incoming = msgspec.structs.replace(member.incoming, fields=fields)
    return found


def _is_of_document(path: str, side: Side) -> bool:
    """Tell whether a path is a line's, or the total that lines make: what holds the whole document (L9)."""
    totals = {rules.sums_to for name, rules in side.policies.rules.lists.items() if name in side.mapping.lists}
    return path.partition(".")[0] in side.mapping.lists or path in totals


def _hold_unreadable(
    run: RunNote, work: Work, member: Member, errors: list[FieldError], withheld: set[str] | frozenset[str], batch: Batch
) -> None:
    """Park what could not be read; with it the members of its group wait (L9)."""
    link, side = member.link, member.side
    unreadable = {error.path for error in errors}
    batch.close.extend(f"field:{link.id}:{path}" for path, why in link.held.items() if why == UNREADABLE and path not in unreadable)
    link.held = {path: why for path, why in link.held.items() if why != UNREADABLE} | dict.fromkeys(withheld, UNREADABLE)
    for error in errors:
        batch.park.append(
            parked_row(
                run,
                "field",
                f"field:{link.id}:{error.path}",
                work.golden.entity,
                golden_id=work.golden.id,
                stream_id=link.stream_id,
                key=member.incoming.key,
                field=error.path,
                error="mapping",
                reason=f"{side.connection} {side.stream.name} {member.incoming.key} {error.path}: {error.reason}",
            )
        )
    run.counts["fields parked"] += len(errors)


def _show_pending(run: RunNote, work: Work, member: Member, errors: list[FieldError], batch: Batch) -> None:
    """An optional reference whose target is not linked yet is pending: shown, and filled in when the target comes (L7)."""
    side = member.side
    where = f"{side.connection} {side.stream.name} {member.incoming.key}"
    for error in errors:
        if error.reference is None:
            continue
        entity, key = error.reference
        batch.park.append(
            parked_row(
                run,
                "waiting",
                f"pending:{member.link.id}:{error.path}",
                work.golden.entity,
                golden_id=work.golden.id,
                stream_id=member.link.stream_id,
                key=member.incoming.key,
                field=error.path,
                error="reference",
                reason=f"{where}: its {error.path} is pending until the {entity} {key} is there",
                waits_for=f"{entity} {key}",
                data={"entity": entity, "system": side.system, "key": key},
            )
        )


def _base_after(member: Member, withheld: set[str] | frozenset[str]) -> Fields:
    """Return the new base: what was read, except that a field which could not be understood, or was not read now, keeps its old base, so
    that it stays news."""
    fields, old, mapping = member.incoming.fields or {}, member.link.base or {}, member.side.mapping
    if not withheld:
        return fields
    base = {**old, **fields} if member.side.paused or not withheld.isdisjoint(mapping.lists) else dict(fields)
    kept = {external for rule in mapping.rules if withheld.intersection(rule.canonical) for external in rule.external}
    kept |= {name for name in fields if (of := mapping.affected((name,))) and of <= withheld}
    for external in kept:
        if external in old:
            base[external] = old[external]
        else:
            base.pop(external, None)
    return base


def _answers_left(link: LinkRow, mapping: CompiledMapping, old_base: Fields | None, news: list[str]) -> dict[str, str]:
    if not link.answered or old_base is None:
        return {}
    moved = mapping.affected(news)
    return {path: mark for path, mark in link.answered.items() if path not in moved and path.partition("/")[0] not in moved}


def _park_record(run: RunNote, member: Member, error: str, reason: str, batch: Batch, golden_id: str | None) -> None:
    side, row = member.side, member.incoming
    batch.set_state(row, "parked")
    batch.park.append(
        parked_row(
            run,
            "record",
            f"record:{row.stream_id}:{row.key}",
            side.entity,
            golden_id=golden_id,
            stream_id=row.stream_id,
            key=row.key,
            error=error,
            reason=f"{side.connection} {side.stream.name} {row.key}: {reason}",
        )
    )
    run.counts["records parked"] += 1


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


def _is_owed(golden: GoldenRow, member: Member, refs: Refs) -> bool:
    """Tell whether a system that deleted a record had not been told all of golden: an edit elsewhere that it did not know of."""
    link, mapping = member.link, member.side.mapping
    if not link.dirty or not link.held:
        return link.dirty
    unread = {path: golden.fields.get(path) for path, why in link.held.items() if why == UNREADABLE}
    return is_dirty(golden.fields, link, mapping, {**mapping.get(link.base or {}, refs, []), **unread})


def _gone(
    flow: Flow,
    run: RunNote,
    work: Work,
    gone: list[Member],
    merged: Merged,
    batch: Batch,
    links: list[LinkRow],
    edited: bool,
) -> None:
    """A record that is gone in its system: its link stays as a tombstone; what that does elsewhere is the entity's ``on_delete`` (L8)."""
    golden = work.golden
    policies = flow.policies[golden.entity]
    rule = policies.rules.on_delete
    gone_ids = {member.link.id for member in gone}
    left = [link for link in links if link.id not in gone_ids]
    others = [link for link in left if link.state == "live"]
    edited = edited or any(link.dirty for link in others)
    if all(link.state in ("wanted", "tombstone") for link in left):  # deleted before it was delivered
        _want_no_more(left, batch)
    copies = {link.stream_id: link for link in left if link.state == "alias"}
    for member in gone:
        link, row = member.link, member.incoming
        was = link.state
        batch.close.extend((f"missing:{link.id}", f"blocked:{link.id}", f"record:{link.id}", f"record:{link.stream_id}:{link.key}"))
        batch.close.extend(f"field:{link.id}:{path}" for path in link.held)
        link.state, link.dirty, link.pending, link.held = "tombstone", False, [], {}
        batch.update_links.append(link)
        batch.done(row)
        if was == "tombstone":
            continue
        run.counts["gone"] += 1
        copy = copies.get(link.stream_id)
        if copy is not None and row.merged_into in (None, copy.key):
            del copies[link.stream_id]
            take_its_place(copy)
            batch.update_links.append(copy)
            batch.unread.append(copy)
            continue
        if not others:
            continue
        side = member.side
        asked = rule == "ask" or edited
        if asked or row.merged_into:
            why = (
                "was merged into " + row.merged_into
                if row.merged_into
                else "was deleted" + (" while it was edited elsewhere" if edited else "")
            )
            batch.park.append(_gone_row(run, golden, side, link, why, others, row.merged_into))
        elif rule == "archive":
            if "status" in entity_spec(golden.entity).fields and golden.fields.get("status") != "archived":
                merged.changes.append(Change(_STATUS, (golden.fields.get("status"),), ("archived",), ON_DELETE, "", "on_delete: archive"))
                merged.fields["status"] = "archived"
        elif rule == "delete" and not entity_spec(golden.entity).money_document:
            golden.state = "gone"
            batch.dirty.update(other.id for other in others)
            _want_no_more(left, batch)


def take_its_place(copy: LinkRow) -> None:
    """Where one of two copies goes, its system still holds the record: the other copy, of which nothing was merged so far, is to be read
    and merged from now on."""
    copy.state, copy.base, copy.rules = "live", None, ""
    copy.dirty, copy.answered, copy.held, copy.pending, copy.line_keys = False, {}, {}, [], {}


def _no_longer_archived(store: Store, golden: GoldenRow, sayings: Sequence[Saying], merged: Merged) -> None:
    """What a delete had archived, and nobody said anything of since, is what it was before when the record comes back, or what it says
    now (L8)."""
    if (author_of("status", golden.authors) or [""])[0] != ON_DELETE:
        return
    told = [saying for saying in sayings if "status" in saying.moved]
    rows = store.histories([golden.id]).get(golden.id, [])
    before = next((row.data["fields"]["status"][0] for row in reversed(rows) if row.data.get("by", {}).get("status") == ON_DELETE), None)
    values = {saying.said.get("status") for saying in told} or {before}
    if len(values) > 1:
        return  # a person is asked
    by = told[0] if told else sayings[0]
    merged.changes = [change for change in merged.changes if change.unit != _STATUS]
    merged.clashes = [clash for clash in merged.clashes if tuple(clash.unit) != _STATUS]
    merged.changes.append(Change(_STATUS, ("archived",), (*values,), by.by, by.version, "it has come back"))
    merged.fields["status"] = values.pop()


def _want_no_more(links: list[LinkRow], batch: Batch) -> None:
    """What is gone is not created any more where it was still to be."""
    for link in links:
        if link.state == "wanted":
            link.state, link.dirty = "tombstone", False
            batch.update_links.append(link)
            batch.close.extend((f"blocked:{link.id}", f"record:{link.id}"))


def _gone_row(
    run: RunNote, golden: GoldenRow, side: Side, link: LinkRow, why: str, others: list[LinkRow], merged_into: str | None = None
) -> ParkedRow:
    return parked_row(
        run,
        "review",
        f"gone:{link.id}",
        golden.entity,
        golden_id=golden.id,
        stream_id=link.stream_id,
        key=link.key,
        error="deleted",
        reason=f"{side.connection} {side.stream.name} {link.key} {why}; the other systems keep theirs until a person decides",
        data={"others": [{"link": other.id, "key": other.key} for other in others], "merged_into": merged_into},
    )


def _revive(flow: Flow, run: RunNote, work: Work, links: list[LinkRow], batch: Batch) -> None:
    """A deleted record came back, or one that was about to be deleted after it was edited: the golden record lives on.

    Where it came back it is wanted again in the systems that a rule had it deleted from, and where it was never delivered; where it was
    edited, a person says what the delete means.
    """
    golden, was_gone = work.golden, work.golden.state == "gone"
    golden.state = "live"
    here = {member.link.id for member in work.members}
    others = [link for link in links if link.state == "live"]
    batch.close.extend(f"record:{link.id}" for link in others if "*" not in link.held)  # a delete that waits goes no more
    stands = {member.link.stream_id for member in work.members} | {link.stream_id for link in links if link.state != "tombstone"}
    for link in links:
        side = flow.side(link.stream_id, link.entity)
        if link.id in here or link.state != "tombstone" or side is None:
            continue
        if not work.restored:
            batch.park.append(_gone_row(run, golden, side, link, "was deleted while it was edited elsewhere", others))
        elif side.create and (was_gone or link.key is None) and link.stream_id not in stands:
            stands.add(link.stream_id)
            if link.key is None:
                link.state, link.dirty = "wanted", True
                batch.update_links.append(link)
            else:  # the tombstone still tells whom a reference to its key meant
                batch.add_links.append(LinkRow(run.link_ids.new(), golden.id, link.entity, link.stream_id, None, "wanted", True))


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
        _want_no_more(origin.others, batch)
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
    for side in flow.creating(golden.entity, [member.side.system for member in work.members]):
        batch.add_links.append(LinkRow(run.link_ids.new(), golden.id, golden.entity, side.stream_id, None, "wanted", True))


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


def clash_subject(golden_id: str, unit: Sequence[str]) -> str:
    return f"clash:{golden_id}:{'+'.join(unit)}"


def clash_row(run: RunNote, golden: GoldenRow, clash: Clash) -> ParkedRow:
    """Return the row that freezes a unit of a golden record until its clash is settled."""
    who = ", ".join(candidate.by for candidate in clash.candidates)
    return parked_row(
        run,
        "clash",
        clash_subject(golden.id, clash.unit),
        golden.entity,
        golden_id=golden.id,
        field=clash.unit[0] if len(clash.unit) == 1 else "+".join(clash.unit),
        error="clash",
        reason=f"{golden.entity} {golden.id} {'+'.join(clash.unit)}: {clash.why} ({who})",
        data=_plain(clash),
    )


def _plain(clash: Clash) -> dict[str, Any]:
    return {"unit": clash.unit, "why": clash.why, "candidates": [_plain_candidate(candidate) for candidate in clash.candidates]}


def _plain_candidate(candidate: Candidate) -> dict[str, Any]:
    return {"by": candidate.by, "role": candidate.role, "version": candidate.version, "values": candidate.values}


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
            path: [{**_plain_candidate(loser), "values": [loser.values[at]]} for loser in change.losers]
            for change in told
            if change.losers
            for at, path in enumerate(change.unit)
        }
        if losers:
            data["losers"] = losers
    if merged.refused:
        data["refused"] = [_plain_refusal(refusal) for refusal in merged.refused]
    if merged.clashes:
        data["clashes"] = [_plain(clash) for clash in merged.clashes]
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
