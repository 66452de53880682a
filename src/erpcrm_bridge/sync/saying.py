"""What a record says: its fields and lines against its base, and what of it cannot be heard now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from erpcrm_bridge.mapping import UNHEARD, CompiledMapping, EntityRules, FieldError, Refs
from erpcrm_bridge.model.ids import Ids
from erpcrm_bridge.model.values import Fields, digest, same
from erpcrm_bridge.store import IncomingRow, LinkRow, Store
from erpcrm_bridge.sync.batch import Batch, Member, Work
from erpcrm_bridge.sync.decide import UNREADABLE
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.founding import all_of
from erpcrm_bridge.sync.lines import flatten, match_lines, sum_complaint
from erpcrm_bridge.sync.merge import Saying, base_means, line_of
from erpcrm_bridge.sync.notes import RunNote, parked_row
from erpcrm_bridge.sync.pull import read_now
from erpcrm_bridge.sync.references import blocking


def wait(batch: Batch, run: RunNote, row: IncomingRow, side: Side, error: FieldError) -> None:
    """Let a record wait for the parent that ``error`` names (L7)."""
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


def read_sums_again(flow: Flow, store: Store, works: list[Work]) -> None:
    """A document whose lines do not make its total is read again once (L10): it may have been read between two saves. One that cannot be
    told now is taken as it was read."""
    for work in works if any(side.mapping.lists for side in flow.all_sides()) else ():
        for member in work.members:
            if not member.side.mapping.lists or member.incoming.fields is None:
                continue
            said, _ = _document(member, {}, [])
            if sum_complaint_of(member.side, flow.policies[work.golden.entity].rules, said):
                key = member.incoming.key
                fresh = read_now(store, member.side, member.side.selection, [key])[0].get(key)
                if fresh is not None:
                    member.incoming.fields, member.incoming.version = fresh.fields, fresh.version


def sum_complaint_of(side: Side, rules: EntityRules, said: Fields) -> str | None:
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


def saying_of(
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
        complaint = sum_complaint_of(side, flow.policies[work.golden.entity].rules, said)
        if complaint is not None and _is_half_written(flow, store, member, work, refs, said, keyed, flat_golden, lists):
            complaint = None
        line_error = next((error for error in errors if error.path not in unheard and _is_of_document(error.path, side)), None)
        if line_error is not None:  # rather than what the lines come to without it
            complaint = f"{line_error.path}: {line_error.reason}"
        if complaint:
            park_record(run, member, "total", complaint, batch, golden_id)
            return None
        if link.base is None and (why := next((side.paused[name] for name in mapping.lists if name in side.paused), None)):
            # A document without its lines is none: it would be created so elsewhere (L9).
            park_record(run, member, "paused", f"it cannot be taken in while its lines are paused: {why}", batch, golden_id)
            return None
    line_ids = _line_ids(flow, member, keyed, work) if keyed else {}
    if line_ids is None:
        park_record(run, member, "lines", "it is in doubt which of its lines is which", batch, golden_id)
        return None
    for name, pairs in keyed.items():
        said[name] = [{"id": line_ids[name][key], **line} for key, line in pairs]
    flat = flatten(said, lists) if lists else said
    unreadable: list[FieldError] = []
    unread: set[str] | frozenset[str] = frozenset()
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
        if name in touched and compiled.held(fields) is not None:
            stem = name + "/"
            paths = {path for path in (*flat, *flat_before) if path.startswith(stem)}
            if compiled.held(base) is not None:
                flat_before.update(dict.fromkeys(paths - flat_before.keys()))  # of a list that was read before, a new line is an edit
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
        # What was only written until now was answered for without a look at what stands there.
        unseen = {path for path in other if settled_by.get(path, "").startswith(UNHEARD)}
        link.answered = {path: mark for path, mark in link.answered.items() if path not in unseen}
        for path in flat.keys() - moved:
            if path.partition("/")[0] in other and not base_means(path, flat_golden.get(path), flat_before.get(path), link.answered):
                flat_before.pop(path, None)
                moved.add(path)
        # What stands there as the other rules' answer is looked at anew by the push. Where golden holds nothing, nothing is taken away.
        anew = {path for path in link.answered.keys() & flat.keys() - moved if path.partition("/")[0] in other}
        link.answered = {path: mark for path, mark in link.answered.items() if path not in anew or flat_golden.get(path) is None}
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


def park_record(run: RunNote, member: Member, error: str, reason: str, batch: Batch, golden_id: str | None) -> None:
    """Park a record as a whole: nothing that it says is taken until a person, or a further state of it, sets it right (L9)."""
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
