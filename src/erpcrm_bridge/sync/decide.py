"""Golden against base: what is to be written to one link, if anything. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from erpcrm_bridge.mapping import CompiledList, CompiledMapping, FieldError, Refs
from erpcrm_bridge.model.values import Fields, digest, same
from erpcrm_bridge.store.rows import GoldenRow, LinkRow
from erpcrm_bridge.sync.lines import flatten
from erpcrm_bridge.sync.merge import Clash, Unit, base_means
from erpcrm_bridge.sync.natural import form

SLOTS = "slots"
"""Stands as the transform in the error of a list of which a line fits no slot: it holds the list alone."""
UNREADABLE = "unreadable"
"""Stands in ``LinkRow.held`` for a field whose value could not be read: it is not written either, until it can be."""

StepOperation: TypeAlias = Literal["create", "update", "delete", "move", "restore", "ask"]
"""restore: golden is set back (an undo). ask: a person is asked instead of a write. The others are writes to a system."""


class LineSteps(Struct):
    """What a step does to one list: rows to add by line id, changes and removals by the row's key. Values are [old, new] pairs."""

    add: dict[str, Fields] = {}
    change: dict[str, dict[str, list[Any]]] = {}
    remove: list[str] = []


class Step(Struct):
    """One planned write. ``fields`` are [old, new] by external name; ``why`` the author of each by canonical path; ``golden_seq`` and
    ``link_seq`` the versions that it rests on. ``waits_for`` are golden ids whose keys in that system are not known before other steps
    of the plan are done; they stand in values as ``⟦entity:golden id⟧``. ``settles`` are canonical paths the write answers for.
    ``freezes`` are the clashes that a restore opens, ``asks`` is what a person is asked. ``mapping`` names whose rules it follows.
    ``becomes`` is the entity that its record is by this step, where it was another."""

    operation: StepOperation
    entity: str
    golden_id: str
    link_id: str
    connection: str
    stream: str
    key: str | None
    label: str
    fields: dict[str, list[Any]]
    golden_seq: int
    link_seq: int
    settles: list[str] = []
    lists: dict[str, LineSteps] = {}
    why: dict[str, str] = {}
    waits_for: list[str] = []
    move: list[str] | None = None
    freezes: list[Clash] = []
    asks: str = ""
    mapping: str = ""
    becomes: str = ""


class Decision(Struct):
    """What came of looking at one link. At most one of ``step`` and ``answered`` is there.

    ``answered``: nothing to write, and the base answers for golden on these paths. ``errors``: fields that could not be put, to be parked.
    ``pending``: references left out until their target (entity, golden id) is linked, by path. ``blocked``: the required ones, for which a
    create waits. ``held``: a create that cannot go while these fields are not put right. ``free``: paths whose hold is over, for the
    system holds golden.
    """

    step: Step | None = None
    answered: dict[str, str] = {}
    errors: list[FieldError] = []
    pending: dict[str, tuple[str, str]] = {}
    blocked: list[tuple[str, str]] = []
    held: str = ""
    free: list[str] = []


def placeholder(entity: str, golden_id: str) -> str:
    """Return the text that stands for a key which another step of the plan brings."""
    return f"⟦{entity}:{golden_id}⟧"


def label_of(fields: Fields) -> str:
    """Return what a person calls a record."""
    named = fields.get("name") or fields.get("number") or " ".join(str(fields[p]) for p in ("first_name", "last_name") if fields.get(p))
    return str(named or fields.get("email") or "")


def held_digest(golden: GoldenRow, link: LinkRow, mapping: CompiledMapping) -> str:
    """Return what a refusal for good rests on: tried again only when golden, base, mapping or describe change."""
    return digest([golden.fields, link.base, mapping.digest, *([mapping.stops] if mapping.stops else [])])


def decide(
    golden: GoldenRow,
    link: LinkRow,
    mapping: CompiledMapping,
    *,
    connection: str,
    moves: Mapping[str, Mapping[str, tuple[str, ...]]],
    frozen: frozenset[str],
    unit: Callable[[str], Unit],
    known_by: frozenset[str],
    refs_in: Refs,
    refs_out: Refs,
    paused: Mapping[str, str],
) -> Decision:
    """Return what is to be done to make this link's system hold golden. ``frozen`` are paths in clash, pushed nowhere; ``unit`` gives the
    paths that move as one value with a path; ``known_by`` are those by which the record is known and which no update writes; ``paused``
    tells which paths cannot be read now, and why: what stands there is not known."""
    if golden.state == "gone":
        return _delete(golden, link, mapping, connection)
    if link.held and link.held.get("*") == held_digest(golden, link, mapping):
        return Decision()
    if link.key is None:
        return _create(golden, link, mapping, connection, frozen, unit, refs_out, paused)
    if link.rules != mapping.digest:
        return Decision()  # not read under these rules yet (L13)
    return _update(golden, link, mapping, connection, moves, frozen, unit, known_by, refs_in, refs_out, paused)


def _step(operation: StepOperation, golden: GoldenRow, link: LinkRow, mapping: CompiledMapping, connection: str, **more: Any) -> Step:
    return Step(
        operation=operation,
        entity=golden.entity,
        golden_id=golden.id,
        link_id=link.id,
        connection=connection,
        stream=mapping.stream,
        mapping=mapping.name,
        key=link.key,
        label=label_of(golden.fields),
        golden_seq=golden.seq,
        link_seq=link.seq,
        **more,
    )


def _delete(golden: GoldenRow, link: LinkRow, mapping: CompiledMapping, connection: str) -> Decision:
    if link.key is None:
        return Decision()
    return Decision(step=_step("delete", golden, link, mapping, connection, fields={}))


def _create(
    golden: GoldenRow,
    link: LinkRow,
    mapping: CompiledMapping,
    connection: str,
    frozen: frozenset[str],
    unit: Callable[[str], Unit],
    refs_out: Refs,
    paused: Mapping[str, str],
) -> Decision:
    errors: list[FieldError] = []
    fields = {path: value for path, value in golden.fields.items() if path not in frozen}
    put = mapping.put(fields, None, refs_out, errors, create=True)
    failed = _withheld(errors, unit)
    if failed - {error.path for error in errors}:
        put = mapping.put({path: value for path, value in fields.items() if path not in failed}, None, refs_out, [], create=True)
    lists: dict[str, LineSteps] = {}
    for name, compiled in mapping.lists.items():
        lists[name] = LineSteps(
            add={line["id"]: _new_line(compiled, line, golden.fields, refs_out, errors) for line in golden.fields.get(name) or ()}
        )
        _into_slots(compiled, lists[name], {}, errors)
    sorted_out = _sort_out(errors, mapping, put, frozen, paused)
    if sorted_out.blocked or sorted_out.held:
        return sorted_out
    later = {path for rule in mapping.rules if rule.write == "update_only" for path in rule.canonical}
    left = {*frozen, *failed, *later, *sorted_out.pending}
    settles = [path for path in mapping.writable if path not in left]
    sorted_out.step = _step(
        "create",
        golden,
        link,
        mapping,
        connection,
        fields={name: [None, value] for name, value in put.items()},
        lists={name: steps for name, steps in lists.items() if steps.add},
        settles=sorted(settles),
        why=_why(golden, settles),
        waits_for=_waits(put, lists),
    )
    return sorted_out


def _withheld(errors: list[FieldError], unit: Callable[[str], Unit]) -> set[str]:
    """Return the paths that wait because of these errors: with a field the members of its group (L9)."""
    return {path for error in errors if error.reference is None for path in unit(error.path)}


def _sort_out(
    errors: list[FieldError], mapping: CompiledMapping, put: Fields, frozen: frozenset[str], paused: Mapping[str, str]
) -> Decision:
    """Tell apart what a create waits for: parents, people, and what may follow later (L7, L9)."""
    decision = Decision()
    required = {path for rule in mapping.rules if rule.required for path in rule.about}
    references = {path: rule.reference[1] for rule in mapping.rules if rule.reference for path in rule.canonical}
    for error in errors:
        if error.reference is not None:
            if references.get(error.path, True):
                decision.blocked.append(error.reference)
            else:
                decision.pending[error.path] = error.reference
            continue
        decision.errors.append(error)
        if error.path in required or (error.path.partition(".")[0] in mapping.lists and error.transform != SLOTS):
            decision.held = f"{error.path}: {error.reason}"
    if not decision.held:
        decision.held = next((f"its {name} are in clash" for name in mapping.lists if name in frozen), "")
    if not decision.held:
        decision.held = next((f"its {name} are paused: {paused[name]}" for name in mapping.lists if name in paused), "")
    if not decision.held and mapping.unfilled:
        decision.held = f"{mapping.stream}.{mapping.unfilled[0]} is required on a create, and no rule fills it"
    for rule in mapping.rules:
        if not rule.required or rule.direction == "to_canonical" or decision.held or decision.blocked:
            continue
        if mapping.empty(rule, put) and not any(path in decision.pending for path in rule.canonical):
            in_clash = any(path in frozen for path in rule.canonical)
            decision.held = f"{rule.about[0]} is required on a create and {'in clash' if in_clash else 'empty'}"
    return decision


def _update(
    golden: GoldenRow,
    link: LinkRow,
    mapping: CompiledMapping,
    connection: str,
    moves: Mapping[str, Mapping[str, tuple[str, ...]]],
    frozen: frozenset[str],
    unit: Callable[[str], Unit],
    known_by: frozenset[str],
    refs_in: Refs,
    refs_out: Refs,
    paused: Mapping[str, str],
) -> Decision:
    base = link.base or {}
    ignored: list[FieldError] = []
    before = mapping.get(base, refs_in, ignored)
    if another := _of_another(golden, known_by, before):
        return Decision(errors=another)
    unread = {error.path for error in ignored if error.reference is None}
    holds = held_digest(golden, link, mapping) if link.held else ""
    held = {path for path, why in link.held.items() if why in (UNREADABLE, holds)}
    wanted = frozenset(
        path
        for path in strays(golden.fields, link, mapping, before)
        if path not in unread
        and path not in frozen
        and path not in link.pending  # what the system says there has not been heard yet
        and path not in held
    )
    if not wanted and not mapping.lists:
        return Decision(free=[path for path in link.held if path not in held])
    state_paths = mapping.stateful
    # What moves as one with a field that cannot be read was not read either; neither its put would refuse it, nor the call of a move.
    with_paused = {path for path in wanted if path in paused and (path in state_paths or path not in mapping.paused)} if paused else set()
    wanted -= with_paused
    errors: list[FieldError] = [FieldError(path, path, f"paused: {paused[path]}", paused=True) for path in sorted(with_paused)]
    elsewhere, of_money = _in_other_money(golden, mapping, before)
    apart = bool(elsewhere & (wanted | held))
    wanted -= elsewhere
    plain = wanted - state_paths
    put = mapping.put(golden.fields, base, refs_out, errors, create=False, paths=plain, said=before) if plain else {}
    withheld = _withheld(errors, unit)
    if withheld & wanted - {error.path for error in errors}:
        put = mapping.put(golden.fields, base, refs_out, [], create=False, paths=plain - withheld, said=before)
    lists, line_errors, list_answers = _list_steps(golden, link, mapping, base, frozen | held, refs_in, refs_out)
    if apart or elsewhere & lists.keys():
        errors += of_money
        if elsewhere & mapping.lists.keys():
            return Decision(errors=errors)  # the document waits as a whole (L9)
    for name in dict.fromkeys(name for name in (*lists, *(error.path.partition(".")[0] for error in line_errors)) if name in paused):
        lists.pop(name, None)
        if name not in held:
            errors.append(FieldError(name, name, f"paused: {paused[name]}", paused=True))
    line_errors = [error for error in line_errors if error.path.partition(".")[0] not in paused]
    decision = Decision(free=[path for path in link.held if path not in held and path not in wanted])
    problems = [*errors, *line_errors]
    references = {path: rule.reference[1] for rule in mapping.rules if rule.reference for path in rule.canonical} if problems else {}
    for error in problems:
        if error.reference is not None:
            decision.pending[error.path] = error.reference
            if references.get(error.path, True):
                decision.blocked.append(error.reference)
        else:
            decision.errors.append(error)
    if any(error.reference is None and error.transform != SLOTS for error in line_errors):
        return decision  # a bad line holds its document (L9)
    failed = withheld | {error.path for error in decision.errors} | set(decision.pending)
    settles = sorted(plain - failed)
    changed = {name: [base.get(name), value] for name, value in put.items()}
    if changed or lists:
        decision.step = _step(
            "update",
            golden,
            link,
            mapping,
            connection,
            fields=changed,
            lists=lists,
            settles=settles,
            why=_why(golden, [*settles, *lists]),
            waits_for=_waits(put, lists),
        )
        return decision
    states = sorted(wanted & state_paths)
    alike = [path for path in states if _stands(golden, link, mapping, path, refs_out)]
    move = next((path for path in states if path not in alike), None)
    if move is not None:
        return _move(golden, link, mapping, connection, move, before.get(move), moves, refs_out, decision)
    decision.answered = {path: digest(golden.fields.get(path)) for path in [*settles, *alike]} | list_answers
    return decision


def _stands(golden: GoldenRow, link: LinkRow, mapping: CompiledMapping, path: str, refs_out: Refs) -> bool:
    """Tell whether the system is in the state by which it tells golden's: it has one for several of ours."""
    rule = next(rule for rule in mapping.rules if path in rule.canonical)
    told = mapping.put(golden.fields, None, refs_out, [], create=True, paths=frozenset((path,))).get(rule.external[0])
    return told is not None and same(told, (link.base or {}).get(rule.external[0]))


def _of_another(golden: GoldenRow, known_by: frozenset[str], before: Fields) -> list[FieldError]:
    """Return where golden has moved on from what the record is known by: nothing of it belongs into that one."""
    found = []
    for path in sorted(known_by):
        held, meant = form(path, before.get(path)), form(path, golden.fields.get(path))
        if held is not None and meant is not None and held != meant:
            found.append(FieldError(path, path, "the record is that of another one, which no update changes: nothing is written into it"))
    return found


def _in_other_money(golden: GoldenRow, mapping: CompiledMapping, before: Fields) -> tuple[frozenset[str], list[FieldError]]:
    """Return what cannot be written because the record is kept in another currency than golden is in, and no update changes that: a number
    of the one is no amount in the other (L10)."""
    found, errors = frozenset[str](), list[FieldError]()
    for path, amounts in mapping.denominated.items():
        kept, meant = before.get(path), golden.fields.get(path)
        if kept is not None and meant is not None and kept != meant and any(golden.fields.get(of) not in (None, []) for of in amounts):
            found |= {path, *amounts}
            errors.append(
                FieldError(path, path, f"the record is kept in {kept}, which no update changes: amounts in {meant} are not written")
            )
    return found, errors


def _move(
    golden: GoldenRow,
    link: LinkRow,
    mapping: CompiledMapping,
    connection: str,
    path: str,
    now: Any,
    moves: Mapping[str, Mapping[str, tuple[str, ...]]],
    refs_out: Refs,
    decision: Decision,
) -> Decision:
    """Take the first move on a shortest way to the state wanted; a way that the mapping or the system lacks, and a move that is made by a
    record of another entity, park the field.

    The mapping declares its moves in canonical states, the system in its own.
    """
    rule = next(rule for rule in mapping.rules if path in rule.canonical)
    allowed = rule.state or {}
    external = rule.external[0]
    offered = moves.get(external)
    way = _shortest(allowed, now, golden.fields.get(path))
    next_state = {**golden.fields, path: way[0]} if way else {}
    target = mapping.put(next_state, None, refs_out, [], create=True, paths=frozenset((path,))).get(external)
    if target is None or (offered is not None and target not in offered.get(str((link.base or {}).get(external)), ())):
        by = rule.by.get((str(now), way[0])) if way else None
        reason = f"there is no move from {now} to {golden.fields.get(path)}" if by is None else f"it becomes {way[0]} by its {by}"
        decision.errors.append(FieldError(path=path, rule=rule.name, reason=reason))
        return decision
    decision.step = _step(
        "move", golden, link, mapping, connection, fields={}, settles=[path], why=_why(golden, [path]), move=[external, target]
    )
    return decision


def _shortest(allowed: Mapping[str, tuple[str, ...]], start: Any, goal: Any) -> list[str]:
    ways: list[list[str]] = [[str(start)]]
    seen = {str(start)}
    while ways:
        way = ways.pop(0)
        for state in allowed.get(way[-1], ()):
            if state == goal:
                return [*way[1:], state]
            if state not in seen:
                seen.add(state)
                ways.append([*way, state])
    return []


def _list_steps(
    golden: GoldenRow, link: LinkRow, mapping: CompiledMapping, base: Fields, frozen: frozenset[str], refs_in: Refs, refs_out: Refs
) -> tuple[dict[str, LineSteps], list[FieldError], dict[str, str]]:
    steps: dict[str, LineSteps] = {}
    errors: list[FieldError] = []
    answered: dict[str, str] = {}
    for name, compiled in mapping.lists.items():
        if compiled.held(base) is None and link.base is not None and not golden.fields.get(name):
            continue
        if not compiled.writable or name in frozen:
            continue
        step = _one_list(golden, link, compiled, base, frozen, refs_in, refs_out, errors, answered)
        if step.add or step.change or step.remove:
            steps[name] = step
    return steps, errors, answered


def _one_list(
    golden: GoldenRow,
    link: LinkRow,
    compiled: CompiledList,
    base: Fields,
    frozen: frozenset[str],
    refs_in: Refs,
    refs_out: Refs,
    errors: list[FieldError],
    answered: dict[str, str],
) -> LineSteps:
    name = compiled.name
    keys = link.line_keys.get(name, {})
    rows = {str(row[compiled.key]): row for row in compiled.held(base) or ()}
    step = LineSteps()
    kept: set[str] = set()
    for line in golden.fields.get(name) or ():
        stem = f"{name}/{line['id']}"
        key = keys.get(line["id"])
        if key is None or key not in rows:
            if stem not in frozen:
                step.add[line["id"]] = _new_line(compiled, line, golden.fields, refs_out, errors)
            continue
        kept.add(key)
        before = compiled.get(rows[key], golden.fields, refs_in, [])
        moved = {
            field: line.get(field)
            for field in compiled.writable
            if f"{stem}/{field}" not in frozen and not base_means(f"{stem}/{field}", line.get(field), before.get(field), link.answered)
        }
        if not moved:
            continue
        known = len(errors)
        put = compiled.put(line, golden.fields, rows[key], refs_out, errors, create=False, paths=frozenset(moved))
        changed = {field: [rows[key].get(field), value] for field, value in put.items() if not same(rows[key].get(field), value)}
        if changed:
            step.change[key] = changed
        elif len(errors) == known:  # it is that system's rendition; what cannot be written is not
            answered.update({f"{stem}/{field}": digest(value) for field, value in moved.items()})
    gone = [key for line_id, key in keys.items() if key in rows and key not in kept and f"{name}/{line_id}" not in frozen]
    step.remove = sorted(gone)
    _into_slots(compiled, step, rows, errors)
    return step


def _new_line(compiled: CompiledList, line: Fields, document: Fields, refs_out: Refs, errors: list[FieldError]) -> Fields:
    """Return the row of a line that is to be made. What is required of it and empty is an error, and the list waits."""
    known = len(errors)
    row = compiled.put(line, document, None, refs_out, errors, create=True)
    failed = {error.path for error in errors[known:]}
    for path in (f"{compiled.name}.{field}" for field in compiled.unfilled(row)):
        if path not in failed:
            errors.append(FieldError(path, path, "it is required of a new line, and empty"))
    return row


def _into_slots(compiled: CompiledList, step: LineSteps, rows: Mapping[str, Fields], errors: list[FieldError]) -> None:
    """Give each line that is to be added its slot: the one that its rules name, else the first that is free. One that fits none, or that
    would leave its slot empty, is left out, and the list is parked."""
    if not compiled.slots:
        return
    empty = [line_id for line_id, row in step.add.items() if not compiled.shows(row)]
    emptied = [slot for slot, row in step.change.items() if not compiled.shows(rows[slot] | {name: new for name, (_, new) in row.items()})]
    for line_id in empty:
        del step.add[line_id]
    for key in emptied:
        del step.change[key]
    if empty or emptied:
        reason = "a line would leave its slot empty, and read as removed"
        errors.append(FieldError(compiled.name, compiled.name, reason, transform=SLOTS))
    free = [slot for slot in compiled.slots if slot not in rows or slot in step.remove]
    named = {line_id: row[compiled.key] for line_id, row in step.add.items() if row.get(compiled.key) is not None}
    for line_id in sorted(step.add, key=lambda line_id: line_id not in named):
        slot = named.get(line_id) or next(iter(free), None)
        if slot in free:
            free.remove(slot)
            step.add[line_id] = {**step.add[line_id], compiled.key: slot}
            continue
        del step.add[line_id]
        why = "which another line holds" if slot in compiled.slots else "which the record does not have"
        reason = (
            f"a line belongs into the slot `{slot}`, {why}" if slot else f"it has more lines than the {len(compiled.slots)} slots there"
        )
        errors.append(FieldError(compiled.name, compiled.name, reason, transform=SLOTS))


def _why(golden: GoldenRow, paths: list[str]) -> dict[str, str]:
    everyone = golden.authors.get("*", [""])
    return {path: golden.authors.get(path, everyone)[0] for path in paths}


def _waits(put: Fields, lists: Mapping[str, LineSteps]) -> list[str]:
    texts = [value for value in put.values() if isinstance(value, str)]
    for steps in lists.values():
        texts.extend(value for row in steps.add.values() for value in row.values() if isinstance(value, str))
    return sorted({text[1:-1].partition(":")[2] for text in texts if text.startswith("⟦") and text.endswith("⟧")})


def answers_unread(golden: Fields, link: LinkRow, mapping: CompiledMapping) -> dict[str, str]:
    """Return the answered values of the paths that the mapping writes and never reads, where a write of them would change nothing: a base
    cannot mean golden there by what is read of it. Empty where it would."""
    wanted = []
    for path in mapping.unread:
        value = golden.get(path)
        if (value is not None or path in link.answered) and not base_means(path, value, None, link.answered):
            wanted.append(path)
    errors: list[FieldError] = []
    if not wanted or mapping.put(golden, link.base, {}, errors, create=False, paths=frozenset(wanted)) or errors:
        return {}
    return {path: digest(golden.get(path)) for path in wanted}


def strays(golden: Fields, link: LinkRow, mapping: CompiledMapping, said: Fields) -> list[str]:
    """Return the written paths, lists aside, on which a link's base, which reads as ``said``, does not mean golden."""
    answered, now_of, then_of = link.answered, golden.get, said.get
    found: list[str] = []
    for path in answered:
        if path in mapping.writable and path not in mapping.lists and not base_means(path, golden.get(path), said.get(path), answered):
            found.append(path)
    for path in mapping.written:
        now, then = now_of(path), then_of(path)
        if (now != then or now.__class__ is not then.__class__) and path not in answered and not same(then, now):  # most are equal
            found.append(path)
    return found


def is_dirty(golden: Fields, link: LinkRow, mapping: CompiledMapping, said: Fields) -> bool:
    """Tell whether a link whose base reads as ``said`` has yet to be looked at by the push: some written path does not mean golden."""
    if strays(golden, link, mapping, said):
        return True
    if mapping.lists:
        names = list(mapping.lists)
        flat, flat_said = flatten(golden, names), flatten(said, names)
        for path in {p for p in (*flat, *flat_said) if "/" in p}:
            name, _, rest = path.partition("/")
            field = rest.partition("/")[2]
            if name not in mapping.lists or (field and field not in mapping.lists[name].writable):
                continue
            if not base_means(path, flat.get(path), flat_said.get(path), link.answered):
                return True
    return False
