"""Push: decides what every dirty link needs, and carries steps out. One transaction settles what a batch of writes has come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, cast

from msgspec import Struct

from erpcrm_bridge.errors import AuthError, BridgeError, ConnectorBug, PermissionDenied, TransientError
from erpcrm_bridge.mapping import CompiledList, FieldError
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.ids import Ids
from erpcrm_bridge.model.records import Applied, Deferred, ListWrite, Operation, Outcome, Question, Rejected, Stale, Unknown, Write
from erpcrm_bridge.model.values import Fields, digest, pack, same
from erpcrm_bridge.store import GoldenRow, HistoryRow, IncomingRow, Intention, LinkRow, ParkedKind, ParkedRow, Store
from erpcrm_bridge.sync.brake import KINDS
from erpcrm_bridge.sync.clashes import clash_paths
from erpcrm_bridge.sync.decide import UNREADABLE, Decision, LineSteps, Step, decide, held_digest, is_dirty, placeholder
from erpcrm_bridge.sync.doubles import doubles
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.lines import flatten
from erpcrm_bridge.sync.notes import RunNote, parked_row
from erpcrm_bridge.sync.plan import Spool
from erpcrm_bridge.sync.pull import read_again
from erpcrm_bridge.sync.references import refs_of
from erpcrm_bridge.sync.settling import pending_paths

BATCH = 2_000
"""So many links are looked at, and so many writes settled, at once."""
CALL = 6_000
"""So many writes go into one call at most: a system that rewrites a whole file for each call takes thousands as it takes ten."""


class Pushed(Struct):
    """What came of pushing: counts, the steps left out because what they rested on has moved, and whether a system went away."""

    counts: dict[str, int] = {}
    stale: list[Step] = []
    away: dict[str, str] = {}
    more: bool = False
    """whether another round may find something to do: something was created, moved meanwhile or came back, or is not done yet"""

    def add(self, name: str, count: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + count


# --- decide -----------------------------------------------------------------------------------------------------------------------


def decide_all(flow: Flow, store: Store, run: RunNote, spool: Spool) -> None:
    """Look at every dirty link and write the steps they need to ``spool``: creates of parents before children, then updates and moves.

    Links that turn out to need nothing are settled; what cannot be written is parked.
    """
    open_intentions = {intention.link_id for intention in store.open_intentions([side.stream_id for side in flow.all_sides()])}
    planned: set[str] = set()
    for entity in flow.order:
        goldens: dict[str, GoldenRow] = {}
        for side in flow.sides[entity]:
            creating: set[str] = set()
            asked: set[str] | None = None
            after = ""
            seen = 0
            while links := store.dirty_links(side.stream_id, after, BATCH):
                after = links[-1].id
                unheard = _unheard(store, side, links)
                ours = [link for link in links if link.entity == entity and link.id not in open_intentions and link.key not in unheard]
                wanted = {link.golden_id for link in ours}
                goldens = {
                    id: golden for id, golden in goldens.items() if id in wanted
                }  # of the batch before, that of another side it may be
                goldens |= store.golden(wanted - goldens.keys())
                if asked is None and any(link.key is None for link in ours):
                    asked = _asked_about(store, run, side)
                for decision in _decide_batch(flow, store, run, side, ours, goldens, planned, asked or set()):
                    if decision.step is not None:
                        spool.add(decision.step)
                        if decision.step.operation == "create":
                            creating.add(f"{side.system}:{decision.step.golden_id}")
                seen += len(links)
                run.progress(f"decide {side.connection} {side.stream.name}", seen)
            planned |= creating


def _unheard(store: Store, side: Side, links: list[LinkRow]) -> set[str]:
    """Return the keys whose present state is parked or waits: what the system says has not been merged, so nothing is written over it."""
    rows = store.incoming(side.stream_id, [link.key for link in links if link.key is not None])
    return {key for key, row in rows.items() if row.state in ("parked", "waiting")}


def _asked_about(store: Store, run: RunNote, side: Side) -> set[str]:
    """Return the golden records that a record of this stream may be: a person is asked, and none is created beside it meanwhile."""
    rows = store.parked(flow=run.flow, kinds=["review"], errors=["ambiguous"], limit=1_000_000)
    return {other["golden"] for row in rows if row.stream_id == side.stream_id for other in row.data.get("others", ()) if "golden" in other}


def _decide_batch(
    flow: Flow,
    store: Store,
    run: RunNote,
    side: Side,
    links: list[LinkRow],
    goldens: dict[str, GoldenRow],
    planned: set[str],
    asked: set[str],
) -> list[Decision]:
    if not links:
        return []
    frozen = clash_paths(store, list(goldens))
    shown = pending_paths(store, list(goldens))
    twins = doubles(store, side, links, goldens)
    _let_go(flow, store, side, links, goldens)
    refs_in, refs_out = references(flow, store, side, links, goldens, planned)
    decisions: list[Decision] = []
    settled: list[LinkRow] = []
    parked: list[ParkedRow] = []
    closed: list[str] = []
    known_by = side.policies.known_by & side.mapping.founding
    for link in links:
        golden = goldens[link.golden_id]
        if golden.entity != side.entity or flow.side_of(link, golden.fields) is not side:
            continue
        decision = decide(
            golden,
            link,
            side.mapping,
            connection=side.connection,
            moves=side.offers.moves,
            frozen=side.policies.frozen(frozen.get(golden.id, frozenset())),
            unit=side.policies.unit,
            known_by=known_by,
            refs_in=refs_in,
            refs_out=refs_out,
            paused=side.paused,
        )
        if decision.step is not None and link.base is not None and not side.mapping.applies(link.base):
            decision.step.becomes = side.entity
        if decision.step is not None and golden.id in asked and decision.step.operation == "create":
            continue
        if decision.step is not None and golden.id in twins and decision.step.operation == "create":
            parked.append(_double_row(run, side, decision.step, twins[golden.id]))
            continue
        if decision.step is not None and decision.step.operation == "create" and (by := _brought_by(flow, side, golden)):
            parked.append(_brought_row(run, side, decision.step, *by))
            continue
        if decision.step is not None and not _offered(side, decision.step):
            parked.append(_not_offered_row(run, side, decision.step))
            continue
        if decision.step is not None and decision.step.operation == "delete" and side.mapping.paused:
            parked.append(_unread_row(run, side, decision.step))
            continue
        decisions.append(decision)
        parked.extend(_parked_errors(run, side, link, decision))
        if decision.pending:
            known = shown.get((golden.id, side.stream_id), {})
            pending = {path: target for path, target in decision.pending.items() if target not in decision.blocked}
            unsaid = {path: target for path, target in pending.items() if not _is_said(known.get(path), target[1])}
            parked.extend(_pending_row(run, side, link, path, *target) for path, target in unsaid.items())
        if decision.held and not decision.blocked:
            closed.append(f"blocked:{link.id}")  # its parent has come, and something else is amiss
        if decision.step is None and not decision.blocked and not decision.held and not decision.pending:
            _rest(side, link, golden, decision, bool(frozen.get(golden.id)))
            if decision.answered or decision.errors or decision.free or not link.dirty:
                settled.append(link)
            closed.extend(f"field:{link.id}:{path}" for path in decision.free)
            if not link.dirty:
                closed.extend((f"blocked:{link.id}", f"record:{link.id}"))
    if settled or parked or closed:
        with store.transaction(run.fence):
            seq = store.next_seq() if settled else 0
            for link in settled:
                link.seq = seq
            store.update_links(settled)
            store.close_parked(closed, "settled", run.at)
            store.park(parked)
    return decisions


def _let_go(flow: Flow, store: Store, side: Side, links: list[LinkRow], goldens: Mapping[str, GoldenRow]) -> None:
    """Let go of refused records that refer to one which was written or has moved since: that may have been why."""
    refused = {link.id: side.mapping.references_out(goldens[link.golden_id].fields) for link in links if "*" in link.held}
    there = store.links_of({golden_id for parents in refused.values() for _, golden_id in parents})
    for link in links:
        for entity, golden_id in refused.get(link.id, ()):
            streams = flow.streams_of(side.system, entity)
            if any(parent.seq > link.seq and parent.stream_id in streams for parent in there.get(golden_id, ())):
                link.held = {path: why for path, why in link.held.items() if path != "*"}


def _is_said(row: ParkedRow | None, golden_id: str) -> bool:
    """Tell whether it is shown already that a reference is pending, and for whom it waits."""
    return row is not None and (row.subject.startswith("pending:") or row.waits_for == golden_id)


def _offered(side: Side, step: Step) -> bool:
    """Tell whether the stream offers the operation to this credential, now: rights come and go, and the link stays dirty meanwhile."""
    offers = side.offers
    return {"create": offers.create, "update": offers.update, "move": offers.update, "delete": offers.delete}[step.operation]


def _brought_by(flow: Flow, side: Side, golden: GoldenRow) -> tuple[str, str] | None:
    """Return entity and golden id of the record whose move brings this one forth in its system, where there is one; it is not created."""
    for other in flow.all_sides():
        if other.system == side.system and any(side.entity in rule.makes for rule in other.mapping.rules):
            for path, target in entity_spec(side.entity).references.items():
                if target == other.entity and golden.fields.get(path) is not None:
                    return target, golden.fields[path]
    return None


def _of_step(run: RunNote, side: Side, step: Step, kind: ParkedKind, subject: str, error: str, reason: str, **more: Any) -> ParkedRow:
    """Return the row that parks a step, or what came of it, under ``subject`` (``blocked``, ``record`` …)."""
    return parked_row(
        run,
        kind,
        f"{subject}:{step.link_id}",
        step.entity,
        golden_id=step.golden_id,
        stream_id=side.stream_id,
        key=step.key,
        error=error,
        reason=reason,
        **more,
    )


def _brought_row(run: RunNote, side: Side, step: Step, entity: str, golden_id: str) -> ParkedRow:
    why = f"{step.entity} {step.golden_id} is not created in {side.connection}: the move of its {entity} {golden_id} makes it there"
    return _of_step(run, side, step, "waiting", "blocked", "made", why, waits_for=golden_id)


def _not_offered_row(run: RunNote, side: Side, step: Step) -> ParkedRow:
    where = f"{side.connection} {side.stream.name} {step.key or 'new'}"
    why = f"{where}: the {step.operation} waits, for this credential may not {step.operation} there"
    return _of_step(run, side, step, "record", "record", "permission", why)


def _unread_row(run: RunNote, side: Side, step: Step) -> ParkedRow:
    """What was edited where it cannot be read would go with the record: it is deleted when all of it is read again (L8)."""
    path, reason = min(side.mapping.paused.items())
    why = f"{side.connection} {side.stream.name} {step.key}: the delete waits, for its {path} cannot be read now: {reason}"
    return _of_step(run, side, step, "record", "record", "paused", why)


def _double_row(run: RunNote, side: Side, step: Step, others: list[str]) -> ParkedRow:
    why = f"{step.entity} {step.golden_id} is not created in {side.connection}: it may be the same as one that stands there"
    return _of_step(run, side, step, "review", "blocked", "double", why, data={"others": [{"golden": other} for other in others]})


def _rest(side: Side, link: LinkRow, golden: GoldenRow, decision: Decision, in_clash: bool) -> None:
    """Settle a link that needs no write now: what is answered for, what is held, and whether it is clean."""
    link.answered = {**link.answered, **decision.answered}
    link.held = {path: why for path, why in link.held.items() if path not in decision.free}
    withheld = {path for error in decision.errors for path in side.policies.unit(error.path)}
    if withheld:
        link.held |= dict.fromkeys(withheld, held_digest(golden, link, side.mapping))
    link.dirty = bool(in_clash or link.held or link.key is None or link.rules != side.mapping.digest)


def references(
    flow: Flow, store: Store, side: Side, links: list[LinkRow], goldens: Mapping[str, GoldenRow], planned: set[str]
) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]:
    """Resolve what bases and golden records refer to; a target that a step before will create stands as a placeholder."""
    refs_in = refs_of(flow, store, side, [link.base for link in links if link.base])
    outward: dict[str, set[str]] = {}
    for link in links:
        for entity, golden_id in side.mapping.references_out(goldens[link.golden_id].fields):
            outward.setdefault(entity, set()).add(golden_id)
    refs_out: dict[tuple[str, str], str] = {}
    for entity, ids in outward.items():
        known = store.key_of(flow.streams_of(side.system, entity), sorted(ids))
        for golden_id in ids:
            if golden_id in known:
                refs_out[entity, golden_id] = known[golden_id]
            elif f"{side.system}:{golden_id}" in planned:
                refs_out[entity, golden_id] = placeholder(entity, golden_id)
    return refs_in, refs_out


def _parked_errors(run: RunNote, side: Side, link: LinkRow, decision: Decision) -> Iterator[ParkedRow]:
    where = f"{side.connection} {side.stream.name} {link.key or 'new'}"
    for error in decision.errors:
        kind = "paused" if error.paused else "mapping"
        yield _field_row(run, side, link, error.path, kind, f"{where} {error.path}: {error.reason}")
    for entity, golden_id in decision.blocked:
        yield parked_row(
            run,
            "waiting",
            f"blocked:{link.id}",
            side.entity,
            golden_id=link.golden_id,
            stream_id=link.stream_id,
            key=link.key,
            error="reference",
            reason=f"{side.entity} {link.golden_id} waits in {side.connection} for its {entity} {golden_id}, which is not linked there yet",
            waits_for=golden_id,
        )
    if decision.held and not decision.errors:
        yield parked_row(
            run,
            "record",
            f"record:{link.id}",
            side.entity,
            golden_id=link.golden_id,
            stream_id=link.stream_id,
            key=link.key,
            error="required",
            reason=f"{side.entity} {link.golden_id} cannot be created in {side.connection}: {decision.held}",
        )


def _pending_row(run: RunNote, side: Side, link: LinkRow, path: str, entity: str, golden_id: str) -> ParkedRow:
    """A reference that golden holds and the system gets as soon as its target is linked there (L7)."""
    where = f"{side.connection} {side.stream.name} {link.key or 'new'}"
    return parked_row(
        run,
        "waiting",
        f"later:{link.id}:{path}",
        side.entity,
        golden_id=link.golden_id,
        stream_id=link.stream_id,
        key=link.key,
        field=path,
        error="reference",
        reason=f"{where}: its {path} is pending until the {entity} {golden_id} is linked there",
        waits_for=golden_id,
    )


def _field_row(run: RunNote, side: Side, link: LinkRow, path: str, error: str, reason: str) -> ParkedRow:
    return parked_row(
        run,
        "field",
        f"field:{link.id}:{path}",
        side.entity,
        golden_id=link.golden_id,
        stream_id=link.stream_id,
        key=link.key,
        field=path,
        error=error,
        reason=reason,
    )


# --- push -------------------------------------------------------------------------------------------------------------------------


def push(flow: Flow, store: Store, run: RunNote, steps: Iterable[Step]) -> Pushed:
    """Carry the steps out in their order, in batches. A step whose golden record or link has moved since is left out and listed."""
    pushed = Pushed()
    done = 0
    for (entity, connection, stream, mapping, _), same_kind in groupby(
        steps, key=lambda s: (s.entity, s.connection, s.stream, s.mapping, s.operation)
    ):
        side = flow.side_at(entity, connection, stream, mapping)
        for batch in _chunks(same_kind, min(side.offers.max_batch, CALL)):
            if connection in run.away:
                pushed.add("put off", len(batch))
                continue
            try:
                _push_batch(flow, store, run, side, batch, pushed)
            except (TransientError, AuthError, PermissionDenied) as error:
                # This system is out of reach; the links stay dirty, and the other systems go on.
                why = f"{error} ({error.way_out})" if error.way_out else str(error)
                run.away[connection] = pushed.away[connection] = why
                pushed.add("put off", len(batch))
            done += len(batch)
            run.progress(f"write {connection} {stream}", done)
    return pushed


def is_stale(step: Step, link: LinkRow | None, golden: GoldenRow | None) -> bool:
    """Tell whether what a step rests on has moved since it was decided."""
    return (
        link is None or golden is None or link.seq != step.link_seq or golden.seq != step.golden_seq or link.state not in ("live", "wanted")
    )


def _chunks(steps: Iterator[Step], size: int) -> Iterator[list[Step]]:
    batch: list[Step] = []
    for step in steps:
        batch.append(step)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


class _Part(Struct):
    """As many writes as are settled at once, with their steps, and what they rest on."""

    steps: list[Step]
    writes: list[Write]
    links: dict[str, LinkRow]
    goldens: dict[str, GoldenRow]


def _push_batch(flow: Flow, store: Store, run: RunNote, side: Side, steps: list[Step], pushed: Pushed) -> None:
    """Carry out steps of one kind in one call. What it came to is settled in as many transactions as there are parts of BATCH writes."""
    several = len(steps) > BATCH
    parts: list[_Part] = []
    for some in _chunks(iter(steps), BATCH):
        part = _prepared(flow, store, run, side, some, pushed)
        if several:  # by then it is read anew: of many thousands it would not be held meanwhile
            part.links, part.goldens = {}, {}
        parts.append(part)
    if steps[0].operation == "create":
        free = _not_there_yet(store, run, side, [step for part in parts for step in part.steps], pushed)
        for part in parts:
            part.writes = [write for step, write in zip(part.steps, part.writes, strict=True) if step.link_id in free]
            part.steps = [step for step in part.steps if step.link_id in free]
    parts = [part for part in parts if part.writes]
    if parts:
        _carry_out(flow, store, run, side, parts, pushed)


def _prepared(flow: Flow, store: Store, run: RunNote, side: Side, steps: list[Step], pushed: Pushed) -> _Part:
    """Return those of the steps that can be carried out now, with their writes; list the stale ones, park those that wait."""
    links = store.links([step.link_id for step in steps])
    goldens = store.golden([step.golden_id for step in steps])
    fresh: list[Step] = []
    for step in steps:
        if is_stale(step, links.get(step.link_id), goldens.get(step.golden_id)):
            pushed.stale.append(step)
            pushed.add("stale")
            pushed.more = True
        else:
            fresh.append(step)
    keys = _keys_for(flow, store, side, fresh)
    ready: list[Step] = []
    waiting: list[Step] = []
    for step in fresh:
        (waiting if any(golden_id not in keys for golden_id in step.waits_for) else ready).append(step)
    if waiting:
        pushed.add("waiting", len(waiting))
        with store.transaction(run.fence):
            store.park([_waits_row(run, side, step) for step in waiting])
    return _Part(ready, [_write(side, step, links[step.link_id], goldens[step.golden_id], keys) for step in ready], links, goldens)


def _keys_for(flow: Flow, store: Store, side: Side, steps: list[Step]) -> dict[str, str]:
    wanted = sorted({golden_id for step in steps for golden_id in step.waits_for})
    keys: dict[str, str] = {}
    for entity in flow.order:
        if wanted:
            keys.update(store.key_of(flow.streams_of(side.system, entity), wanted))
    return keys


def _waits_row(run: RunNote, side: Side, step: Step) -> ParkedRow:
    why = f"{step.entity} {step.golden_id} waits in {side.connection} for {', '.join(step.waits_for)}"
    return _of_step(run, side, step, "waiting", "blocked", "reference", why, waits_for=step.waits_for[0])


def _not_there_yet(
    store: Store,
    run: RunNote,
    side: Side,
    steps: list[Step],
    pushed: Pushed,
) -> set[str]:
    """Ask, just before a create, whether somebody has entered the record meanwhile: by our reference, and by natural key.

    What is found is not created: it is read and merged instead (by reference), or put before identification again (by natural key).
    Returns the links of those that nobody has entered.
    """
    if not side.offers.find:
        return {step.link_id for step in steps}
    questions: list[Question] = []
    for step in steps:
        if side.selection.external_id:
            questions.append(Question(f"r{step.link_id}", {side.selection.external_id: step.golden_id}))
        for number, fields in enumerate(_natural_questions(side, step)):
            questions.append(Question(f"n{number}:{step.link_id}", fields))
    found = side.connector.find(side.selection, questions) if questions else {}
    hits: dict[str, set[str]] = {}
    waiting: set[str] = set()
    for ref, answer in found.items():
        link_id = ref.rpartition(":")[2] if ref.startswith("n") else ref[1:]
        hits.setdefault(link_id, set()).update(answer.keys)
        if answer.waiting:
            waiting.add(link_id)
    candidates = sorted({key for keys in hits.values() for key in keys})
    known = store.golden_of([side.stream_id], candidates) if candidates else {}
    parked = {key for key, row in store.incoming(side.stream_id, candidates).items() if row.state == "parked"} if candidates else set()
    free: set[str] = set()
    again: set[str] = set()
    for step in steps:
        unknown = {key for key in hits.get(step.link_id, ()) if key not in known}
        if unknown:
            again |= unknown - parked
            pushed.add("met on creating")
            pushed.more = True
        elif step.link_id not in waiting:
            free.add(step.link_id)
    if again:
        read_again(store, run, side, sorted(again))
    return free


def _natural_questions(side: Side, step: Step) -> Iterator[Fields]:
    for rule in side.match_externals:
        fields = {name: step.fields[name][1] for name in rule if name in step.fields}
        if len(fields) == len(rule) and all(value is not None and not str(value).startswith("⟦") for value in fields.values()):
            yield fields


def _write(side: Side, step: Step, link: LinkRow, golden: GoldenRow, keys: Mapping[str, str]) -> Write:
    lists: dict[str, ListWrite] = {}
    in_slots: Fields = {}
    for name, steps in step.lists.items():
        compiled = side.mapping.lists[name]
        if compiled.slots:
            changes = {slot: {field: pair[1] for field, pair in row.items()} for slot, row in steps.change.items()}
            in_slots |= compiled.in_slots(steps.add, changes, steps.remove, create=step.operation == "create")
            continue
        lists[compiled.external] = ListWrite(
            add={line_id: _filled(fields, keys) for line_id, fields in steps.add.items()},
            change={key: {field: pair[1] for field, pair in fields.items()} for key, fields in steps.change.items()},
            remove=tuple(steps.remove),
            replace=compiled.write == "replace",
            rows=tuple(_whole_list(compiled, steps, link, golden, keys)) if compiled.write == "replace" else (),
        )
    expect: Fields = {name: pair[0] for name, pair in step.fields.items()} if step.operation != "create" else {}
    expect |= {name: (link.base or {}).get(name) for name in in_slots if step.operation != "create"}
    for name, steps in step.lists.items():
        if (
            step.operation != "create"
            and not side.mapping.lists[name].slots
            and (steps.change or steps.remove or side.mapping.lists[name].write == "replace")
        ):
            expect[side.mapping.lists[name].external] = (link.base or {}).get(side.mapping.lists[name].external)
    return Write(
        ref=step.link_id,
        operation=cast(Operation, step.operation),
        key=step.key,
        fields=_filled({name: pair[1] for name, pair in step.fields.items()} | in_slots, keys),
        version=link.version or None,
        expect=expect,
        reference=step.golden_id if step.operation == "create" and side.selection.external_id else None,
        lists=lists,
        move=(step.move[0], step.move[1]) if step.move else None,
    )


def _whole_list(
    compiled: CompiledList, steps: LineSteps, link: LinkRow, golden: GoldenRow, keys: Mapping[str, str]
) -> Iterator[tuple[str, Fields]]:
    """Yield all rows of a list after a step, by line id, in golden's order; those that golden does not tell of stand last, as they are."""
    line_of = {key: line_id for line_id, key in link.line_keys.get(compiled.name, {}).items()}
    held = {str(row[compiled.key]): row for row in compiled.rows(link.base or {})}
    key_of = {line_id: key for key, line_id in line_of.items() if key in held}
    order = [line["id"] for line in golden.fields.get(compiled.name) or ()]
    order += [line_of.get(key, key) for key in held if line_of.get(key) not in order]
    for line_id in order:
        key = key_of.get(line_id, line_id)
        if line_id in steps.add:
            yield line_id, _filled(steps.add[line_id], keys)
        elif key in held and key not in steps.remove:
            row = {name: held[key].get(name) for name in compiled.writes}
            changed = {name: pair[1] for name, pair in steps.change.get(key, {}).items()}
            yield line_id, {**row, **_filled(changed, keys), compiled.key: key}


def _filled(fields: Fields, keys: Mapping[str, str]) -> Fields:
    """Return fields with placeholders replaced by the keys they stand for."""
    return {
        name: keys[value[1:-1].partition(":")[2]] if isinstance(value, str) and value.startswith("⟦") and value.endswith("⟧") else value
        for name, value in fields.items()
    }


def _carry_out(flow: Flow, store: Store, run: RunNote, side: Side, parts: list[_Part], pushed: Pushed) -> None:
    operation = parts[0].steps[0].operation
    writes = [write for part in parts for write in part.writes]
    ids, pairs = Ids("I"), (pair for part in parts for pair in zip(part.steps, part.writes, strict=True))
    intentions = [] if operation == "delete" else [_intention(ids.new(), side, run, step, write) for step, write in pairs]
    noted = {intention.link_id: intention.id for intention in intentions}
    kind = KINDS[operation]
    with store.transaction(run.fence):
        if side.offers.incremental == "full":  # as it was when it was read it may be again, and its bases are not those of then
            store.forget_cursors(side.stream_id)
        store.add_intentions(intentions)
        del intentions  # of many thousands they are not held meanwhile
        if run.counted:
            store.note_writes(run.flow, side.connection, kind, len(writes), run.unix)
    # Whatever is raised here leaves the intentions open: the next run looks up whether something was done, and counts what was.
    try:
        outcomes = side.connector.write(side.selection, writes)
    except BridgeError:
        if run.counted:
            store.note_writes(run.flow, side.connection, kind, -len(writes), run.unix)
        raise
    by_ref = _by_ref(side, writes, outcomes)
    del writes, outcomes
    while parts:
        part = parts.pop(0)
        of_part = {write.ref: by_ref.pop(write.ref) for write in part.writes}
        links = part.links or store.links([step.link_id for step in part.steps])
        goldens = part.goldens or store.golden([step.golden_id for step in part.steps])
        _settle(flow, store, run, side, part.steps, part.writes, of_part, links, goldens, noted, pushed)


def _intention(id: str, side: Side, run: RunNote, step: Step, write: Write) -> Intention:
    asked = asked_digest(write)
    return Intention(id, step.link_id, step.golden_id, side.stream_id, step.operation, step.golden_id, asked, None, run.id)


def asked_digest(write: Write) -> str:
    """Return what an intention remembers of its write: a digest for each field, by which a record that is found later shows what of it is
    as it was asked."""
    asked = dict(write.fields) | ({write.move[0]: write.move[1]} if write.move else {})
    return pack({name: digest(value) for name, value in asked.items()}).decode()


def _by_ref(side: Side, writes: list[Write], outcomes: list[Outcome]) -> dict[str, Outcome]:
    by_ref = {outcome.ref: outcome for outcome in outcomes}
    if len(outcomes) != len(writes) or set(by_ref) != {write.ref for write in writes}:
        raise ConnectorBug(
            f"{side.connection}: {len(writes)} writes to {side.stream.name} got {len(outcomes)} outcomes; each must have exactly one.",
            way_out="Report this to the connector's author; the next run looks up what was done.",
        )
    return by_ref


def _settle(
    flow: Flow,
    store: Store,
    run: RunNote,
    side: Side,
    steps: list[Step],
    writes: list[Write],
    outcomes: Mapping[str, Outcome],
    links: Mapping[str, LinkRow],
    goldens: Mapping[str, GoldenRow],
    intentions: Mapping[str, str],
    pushed: Pushed,
) -> None:
    settled: list[LinkRow] = []
    history: list[HistoryRow] = []
    parked: list[ParkedRow] = []
    closed: list[str] = []
    dropped: list[str] = []
    handles: list[tuple[str, str]] = []
    news: list[IncomingRow] = []
    again: list[str] = []
    done = [outcome for write in writes if isinstance(outcome := outcomes[write.ref], Applied)]
    refs = refs_of(flow, store, side, [outcome.fields for outcome in done])
    linked: Mapping[str, LinkRow] = {}
    if steps[0].operation == "create":
        linked = store.links_by_key(side.stream_id, [outcome.key for outcome in done])
    for step, write in zip(steps, writes, strict=True):
        link, golden, outcome = links[step.link_id], goldens[step.golden_id], outcomes[step.link_id]
        intention = intentions.get(step.link_id)
        match outcome:
            case Applied() if outcome.key in linked:  # an upsert met one that was deleted, and has come back under its old link
                again.append(outcome.key)
                pushed.add("met on creating")
                if intention:
                    dropped.append(intention)
            case Applied():
                lines = [f"{name}.{path}" for name in step.lists for path in side.mapping.lists[name].writable]
                was_held = link.held
                news.extend(settle_applied(side, link, golden, step, write, outcome, refs))
                closed.extend(f"field:{link.id}:{path}" for path in was_held if path not in link.held)
                settled.append(link)
                pushed.more = pushed.more or bool(news) or step.operation in ("create", "move")  # others may have waited for it
                history.append(_history_row(run, side, step, outcome))
                closed.extend([f"blocked:{link.id}", f"record:{link.id}"])
                closed.extend(f"{kind}:{link.id}:{path}" for path in (*step.settles, *step.lists, *lines) for kind in ("field", "later"))
                pushed.add(f"{side.connection}:{step.operation}")
                if intention:
                    dropped.append(intention)
            case Rejected():
                settled.append(_hold(side, link, golden, step, outcome))
                closed.append(f"blocked:{link.id}")
                if step.operation == "create":  # what it asks for could be put: it is held as a whole, and not for these
                    closed.extend(f"field:{link.id}:{path}" for path in step.settles)
                parked.append(_rejected_row(run, side, step, outcome))
                pushed.add("refused")
                pushed.more = True  # the fields that were not refused
                if intention:
                    dropped.append(intention)
                if outcome.existing:
                    again.append(outcome.existing)
            case Stale():
                if step.key:
                    again.append(step.key)
                pushed.add("moved meanwhile")
                pushed.more = True
                if intention:
                    dropped.append(intention)
            case Deferred():
                if intention:
                    handles.append((intention, outcome.handle))
                closed.append(f"blocked:{link.id}")
                parked.append(_open_row(run, side, step, "deferred", f"waits in {outcome.handle}; {outcome.reason}".rstrip("; ")))
                pushed.add("deferred")
            case Unknown():
                # An update's intention stays open: the next run reads what is held, and knows by it what was asked.
                if intention is None and step.key:
                    again.append(step.key)
                elif step.operation != "update":
                    if intention and outcome.handle:
                        handles.append((intention, outcome.handle))
                    parked.append(_open_row(run, side, step, "unknown", f"may exist: {outcome.reason}"))
                pushed.add("unknown")
                pushed.more = True
    pushed.more = pushed.more or _owed_more(store, side, [link for link in settled if link.dirty], goldens, refs)
    with store.transaction(run.fence):
        seq = store.next_seq()
        for link in settled:
            link.seq = seq
        for row in news:
            row.seq = seq
        store.update_links(settled)
        store.put_incoming(news)
        store.add_history(history)
        store.close_parked(closed, "settled", run.at)
        store.park(parked)
        store.drop_intentions(dropped)
        for intention_id, handle in handles:
            store.set_intention_handle(intention_id, handle)
    if again:
        pushed.more = True
        read_again(store, run, side, sorted(set(again)))


def _owed_more(
    store: Store, side: Side, links: list[LinkRow], goldens: Mapping[str, GoldenRow], refs: Mapping[tuple[str, str], str]
) -> bool:
    """Tell whether some of these dirty links owes its system more than what is in clash and waits for a person."""
    in_clash = clash_paths(store, sorted({link.golden_id for link in links}))
    for link in links:
        golden = goldens[link.golden_id].fields
        frozen = {path: golden.get(path) for path in in_clash.get(link.golden_id, ()) if "/" not in path and path not in side.mapping.lists}
        if not frozen or is_dirty(golden, link, side.mapping, _as_canonical(side, link, link.base or {}, refs) | frozen):
            return True
    return False


def settle_applied(
    side: Side, link: LinkRow, golden: GoldenRow, step: Step, write: Write, outcome: Applied, refs: Mapping[tuple[str, str], str]
) -> list[IncomingRow]:
    """Set the link to what is known to be held. What was asked is the base and answers for golden (L1); what else is held and was not
    known becomes news, to be merged like any edit. Returns the news."""
    if step.operation == "delete":
        link.state, link.dirty, link.base, link.version = "tombstone", False, outcome.fields or link.base, outcome.version
        return []
    mapping = side.mapping
    asked = set(write.fields) | ({write.move[0]} if write.move else set()) | {side.selection.key}
    if side.selection.external_id:
        asked.add(side.selection.external_id)
    asked_lists = set(write.lists)
    old = link.base
    base: Fields = dict(old or {})
    surprising = False
    for name, value in outcome.fields.items():
        if name in asked or name in asked_lists:
            base[name] = value
        elif old is None:
            if value is None or value == []:
                base[name] = value
            else:
                surprising = True
        elif name not in old or not same(old[name], value):
            surprising = True
    for name, compiled in mapping.lists.items():
        keys = dict(link.line_keys.get(name, {}))
        now = {str(row[compiled.key]) for row in compiled.held(outcome.fields) or ()}
        # of a row that an earlier write added, and that people have replaced since, a system may still tell the key
        keys.update({line_id: key for line_id, key in outcome.line_keys.get(compiled.external, {}).items() if key in now})
        if compiled.slots and name in step.lists:
            keys.update({line_id: row[compiled.key] for line_id, row in step.lists[name].add.items()})
        if compiled.external in asked_lists:
            known = _rows_known(compiled, old, outcome.fields, write, keys)
            surprising = surprising or not same(known, base.get(compiled.external) or [])
            base[compiled.external] = known
        there = now | {str(row[compiled.key]) for row in compiled.held(base) or ()}
        link.line_keys = {**link.line_keys, name: {line_id: key for line_id, key in keys.items() if key in there}}
    link.stand_at(outcome.version)
    link.key, link.base, link.state = outcome.key, base, "live"
    if old is None:
        link.rules = mapping.digest
    said = _as_canonical(side, link, base, refs)
    lists = list(mapping.lists)
    flat_golden, flat_said = flatten(golden.fields, lists), flatten(said, lists)
    answered = {path: mark for path, mark in link.answered.items() if path not in step.settles}
    # A state is reached by moves: another one is no rendition of it, but where its system begins, or a step on the way.
    for path in step.settles:
        if path not in mapping.lists and path not in mapping.stateful and not same(flat_said.get(path), flat_golden.get(path)):
            answered[path] = digest(flat_golden.get(path))
    # A cell that was not asked for, for it is in clash or not written into a new line, is no rendition of golden either.
    for name, steps in step.lists.items():
        compiled = mapping.lists[name]
        rows = {line_id: steps.change[key] for line_id, key in link.line_keys[name].items() if key in steps.change}
        cells = [(line_id, compiled.asked(row, create=True)) for line_id, row in steps.add.items()]
        cells += [(line_id, compiled.asked(row, create=False)) for line_id, row in rows.items()]
        for path in [f"{name}/{line_id}/{field}" for line_id, fields in cells for field in fields]:
            answered.pop(path, None)
            if not same(flat_said.get(path), flat_golden.get(path)):
                answered[path] = digest(flat_golden.get(path))
    link.answered = answered
    link.held = {
        path: why
        for path, why in link.held.items()
        if path != "*" and path not in step.settles and path.partition(".")[0] not in step.lists
    }
    link.pending = [path for path in link.pending if path not in step.settles]
    link.dirty = is_dirty(golden.fields, link, mapping, said)
    if not link.dirty:  # what could not be written stands there by now
        link.held = {path: why for path, why in link.held.items() if why == UNREADABLE}
    if not surprising and mapping.applies(base):
        return []  # what this very write has given to another mapping is news, too
    return [IncomingRow(link.stream_id, outcome.key, outcome.version, outcome.fields, 0)]


def _rows_known(compiled: Any, old: Fields | None, now: Fields, write: Write, keys: Mapping[str, str]) -> list[Fields]:
    """Return the rows as they are known after a write: the cells that it named as they are now, all others as they were before it, and
    those of a new row empty. What a system makes of them itself is news."""
    steps = write.lists[compiled.external]
    added = {keys[line_id]: row for line_id, row in steps.add.items() if line_id in keys}
    before = {str(row[compiled.key]): row for row in (old or {}).get(compiled.external) or ()}
    after = {str(row[compiled.key]): row for row in now.get(compiled.external) or ()}
    found = []
    for key, row in after.items():
        if key in steps.remove:
            found.append(row)
        elif key in added or key in before:
            named = {compiled.key, *added.get(key, ()), *steps.change.get(key, ())}
            known = before.get(key) or dict.fromkeys(row)
            found.append({**known, **{name: value for name, value in row.items() if name in named}})
    there = {*after, *added, *steps.change, *steps.remove}
    return [*found, *(row for key, row in before.items() if key not in there)]


def _as_canonical(side: Side, link: LinkRow, base: Fields, refs: Mapping[tuple[str, str], str]) -> Fields:
    errors: list[FieldError] = []
    said = side.mapping.get(base, refs, errors)
    for name, compiled in side.mapping.lists.items():
        by_key = {key: line_id for line_id, key in link.line_keys.get(name, {}).items()}
        said[name] = [
            {"id": by_key[str(row[compiled.key])], **compiled.get(row, said, refs, errors)}
            for row in compiled.held(base) or ()
            if str(row[compiled.key]) in by_key
        ]
    return said


def _hold(side: Side, link: LinkRow, golden: GoldenRow, step: Step, outcome: Rejected) -> LinkRow:
    """A link refused for good is held until its golden record, base, mapping or describe changes.
    A refused field holds itself alone (L9)."""
    paths = _paths_of(side, outcome.field) if outcome.reject == "field" and step.operation != "create" else ()
    held = {member for path in paths for member in side.policies.unit(path)} or {"*"}
    link.held = link.held | dict.fromkeys(held, held_digest(golden, link, side.mapping))
    return link


def _paths_of(side: Side, external: str | None) -> tuple[str, ...]:
    if external is None:
        return ()
    return tuple(path for rule in side.mapping.rules if external in rule.external for path in rule.canonical)


def _rejected_row(run: RunNote, side: Side, step: Step, outcome: Rejected) -> ParkedRow:
    paths = _paths_of(side, outcome.field)
    of_field = outcome.reject == "field" and step.operation != "create" and bool(paths)
    row = _of_step(
        run,
        side,
        step,
        "field" if of_field else "record",
        "field" if of_field else "record",
        outcome.reject,
        f"{side.connection} {side.stream.name} {step.key or 'new'} refused {outcome.field or 'the record'}: {outcome.reason}",
        field=paths[0] if paths else outcome.field,
        data={"existing": outcome.existing} if outcome.existing else None,
    )
    if of_field:
        row.subject += f":{paths[0]}"
    return row


def _open_row(run: RunNote, side: Side, step: Step, error: str, reason: str) -> ParkedRow:
    where = f"{side.connection} {side.stream.name} {step.operation} of {step.entity} {step.golden_id}"
    return _of_step(run, side, step, "intention", "intention", error, f"{where}: {reason}")


def _history_row(run: RunNote, side: Side, step: Step, outcome: Applied) -> HistoryRow:
    data: dict[str, Any] = {
        "kind": "write",
        "connection": side.connection,
        "stream": side.stream.name,
        "key": outcome.key,
        "operation": step.operation,
    }
    data["settles"] = step.settles
    if step.fields:
        held = {name: [pair[0], outcome.fields.get(name, pair[1])] for name, pair in step.fields.items()}
        data["written"] = held
    if step.lists:
        data["lists"] = {name: {"add": len(s.add), "change": s.change, "remove": s.remove} for name, s in step.lists.items()}
    if step.move:
        data["move"] = step.move
    return HistoryRow(step.golden_id, run.id, run.at, data)
