"""Undo: sets back what a run wrote, field by field, and freezes each as a clash, so that the value which was undone does not flow again.

Undoing is planned like any write. What somebody changed since stays; creates are archived, or a person is asked; nothing is deleted. Each
part is found from the history and from how things stand now: an undo that was cut short goes on where it is planned again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Struct

from erpcrm_bridge.mapping import FieldError
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.values import Fields, same
from erpcrm_bridge.store import GoldenRow, HistoryRow, LinkRow, ParkedRow, Store
from erpcrm_bridge.sync.clashes import clash_row, clash_subject, clashes_of
from erpcrm_bridge.sync.decide import Step, label_of
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.merge import Candidate, Clash, Policies, Unit, agreed, author_of, golden_candidate, same_all, values_at
from erpcrm_bridge.sync.notes import RunNote, parked_row
from erpcrm_bridge.sync.plan import Spool
from erpcrm_bridge.sync.push import Pushed, push, references
from erpcrm_bridge.sync.settling import draw_match_keys

BATCH = 2_000
GOLDEN = "golden"
"""Stands as the connection of a step that sets golden back."""


class Stays(Struct):
    """What the run wrote and is left as it is; ``connection`` is empty for golden fields, ``fields`` are external names elsewhere."""

    entity: str
    golden_id: str
    connection: str
    key: str
    fields: list[str]
    why: str


class Bound(Struct):
    """Records that the run joined to one golden record, by connection; an undo does not part them."""

    entity: str
    golden_id: str
    records: dict[str, str]


class Undoing(Struct):
    """What a plan of undoing says beside its steps. ``wrote``: whether the run wrote anything. ``already``: the run that undid it, where
    nothing is left to undo."""

    run: str
    wrote: bool = False
    already: str = ""
    stays: list[Stays] = []
    bound: list[Bound] = []


def author(undone: str) -> str:
    """Return who says the values that an undo brings back."""
    return f"undo:{undone}"


# --- what the run did -------------------------------------------------------------------------------------------------------------


class _Written(Struct):
    """What the run did to one record of one system: ``fields`` are [before, as it left it] by external name."""

    fields: dict[str, list[Any]] = {}
    created: bool = False
    lists: bool = False
    deleted: bool = False
    moved: list[str] = []
    again: set[str] = set()
    """fields that a later run wrote"""
    undone: set[str] = set()
    """fields that an earlier attempt at this undo wrote"""


class _Past(Struct):
    """What the run did to one golden record, and what came after it. ``fields`` are (before, after, by) by canonical path; ``later`` are
    golden paths that changed since, other than by an attempt at this undo."""

    founded: bool = False
    bound: dict[str, str] = {}
    fields: dict[str, tuple[Any, Any, str]] = {}
    writes: dict[tuple[str, str, str], _Written] = {}
    later: set[str] = set()


def _past(rows: Iterable[HistoryRow], undone: str) -> _Past:
    past = _Past()
    begun = False
    attempts: set[str] = set()
    for row in rows:
        data = row.data
        if row.run == undone:
            begun = True
            _did(past, data)
        elif begun and (data.get("undoes") == undone or row.run in attempts):
            attempts.add(row.run)
            for name in data.get("written") or ():
                written = past.writes.get(_target(data))
                if written is not None:
                    written.undone.add(name)
        elif begun:
            past.later.update(data.get("fields") or ())
            if data.get("kind") == "write" and (target := past.writes.get(_target(data))) is not None:
                target.again.update(data.get("written") or ())
    return past


def _target(data: Mapping[str, Any]) -> tuple[str, str, str]:
    return data["connection"], data["stream"], data["key"]


def _did(past: _Past, data: Mapping[str, Any]) -> None:
    past.founded = past.founded or "founded" in data
    joined = data.get("bound") or data.get("founded") or {}
    if "bound" in data or "continues" in data or len(joined) > 1:
        past.bound = {**past.bound, **joined}
    for path, (old, new) in (data.get("fields") or {}).items():
        first = past.fields[path][0] if path in past.fields else old
        past.fields = {**past.fields, path: (first, new, data["by"][path])}
    if data.get("kind") != "write":
        return
    written = past.writes.setdefault(_target(data), _Written())
    written.created = written.created or data["operation"] == "create"
    written.deleted = written.deleted or data["operation"] == "delete"
    written.lists = written.lists or (data["operation"] != "create" and bool(data.get("lists")))
    if data["operation"] == "move":
        written.moved.extend(data["settles"])
    for name, (old, held) in (data.get("written") or {}).items():
        first = written.fields[name][0] if name in written.fields else old
        written.fields[name] = [first, held]


# --- plan -------------------------------------------------------------------------------------------------------------------------


def plan_undo(flow: Flow, store: Store, run: RunNote, undone: str, spool: Spool) -> Undoing:
    """Write the steps that undo the run ``undone`` to ``spool``. Whatever the systems hold is to be pulled and merged before."""
    undoing = Undoing(undone)
    seen = 0
    for golden_ids in _touched(store, undone):
        _plan_batch(flow, store, undone, golden_ids, undoing, spool)
        seen += len(golden_ids)
        run.progress(f"undo {undone}", seen)
    if not spool.steps:
        undoing.already = store.fact(_done(undone)) or ""
    return undoing


def _done(undone: str) -> str:
    return f"undone:{undone}"


def _touched(store: Store, undone: str) -> Iterator[list[str]]:
    """Yield the golden records that a run settled, each once."""
    seen: set[str] = set()
    after = 0
    while rows := store.history_of_run(undone, after, BATCH):
        after = rows[-1].id
        new = [golden_id for golden_id in dict.fromkeys(row.golden_id for row in rows) if golden_id not in seen]
        seen.update(new)
        if new:
            yield new


def _plan_batch(flow: Flow, store: Store, undone: str, golden_ids: list[str], undoing: Undoing, spool: Spool) -> None:
    goldens = store.golden(golden_ids)
    links = store.links_of(golden_ids)
    histories = store.histories(golden_ids)
    clashes = clashes_of(store, golden_ids)
    steps: list[Step] = []
    for golden_id in golden_ids:
        golden, past = goldens[golden_id], _past(histories[golden_id], undone)
        undoing.wrote = undoing.wrote or past.founded or bool(past.bound or past.fields or past.writes)
        if past.bound:
            undoing.bound.append(Bound(golden.entity, golden_id, past.bound))
        if golden.entity in flow.policies:
            record = _Record(flow, store, undone, golden, past, links.get(golden_id, []), undoing)
            steps.extend(record.steps(clashes.get(golden_id, {})))
    asked = _asked(store, undone, steps)
    kinds = {"restore": 0, "ask": 1}
    for step in sorted(steps, key=lambda s: (kinds.get(s.operation, 2), flow.order.index(s.entity), s.connection, s.stream)):
        if step.operation != "ask" or _subject(undone, step.link_id) not in asked:
            spool.add(step)


def _subject(undone: str, link_id: str) -> str:
    return f"undo:{undone}:{link_id}"


def _asked(store: Store, undone: str, steps: Iterable[Step]) -> set[str]:
    """Return the questions that an earlier attempt has put, answered or not."""
    subjects = [_subject(undone, step.link_id) for step in steps if step.operation == "ask"]
    return {row.subject for row in store.parked(subjects=subjects, include_closed=True, limit=len(subjects))} if subjects else set()


class _Record:
    """One golden record while its undoing is planned."""

    def __init__(
        self, flow: Flow, store: Store, undone: str, golden: GoldenRow, past: _Past, links: list[LinkRow], undoing: Undoing
    ) -> None:
        self._flow, self._store, self._undone, self._undoing = flow, store, undone, undoing
        self._golden, self._past, self._links = golden, past, links
        self._policies: Policies = flow.policies[golden.entity]
        self._sets: dict[Unit, list[Any]] = {}
        self._candidates: dict[Unit, list[Candidate]] = {}

    def steps(self, clashes: Mapping[Unit, Clash]) -> list[Step]:
        asks: list[Step] = []
        writes: list[Step] = []
        targets = self._targets()
        stuck = self._stuck(targets)
        if not stuck:
            self._set_back({path for written in self._past.writes.values() for path in written.moved})
        for side, link, written in targets:
            if written.created:
                asks.extend(self._archive(side, link, written, writes))
            elif written.deleted:
                asks.append(self._ask(side, link, "was deleted by the run; it is not created again by itself"))
            elif stuck:
                asks.append(self._ask(side, link, "is a document whose lines or total the run changed; they are set right as a whole"))
            else:
                self._restore(side, link, written, writes)
                if written.moved:
                    moved = ", ".join(written.moved)
                    asks.append(self._ask(side, link, f"was moved by the run ({moved}); a move is not taken back by itself"))
        freezes = [clash for unit in self._units() if (clash := self._clash(unit, clashes.get(unit))) is not None]
        if not (self._sets or freezes or writes):
            return asks
        return [self._golden_step(freezes), *asks, *writes]

    def _targets(self) -> list[tuple[Side, LinkRow, _Written]]:
        found = []
        for (connection, stream, key), written in self._past.writes.items():
            sides = (s for s in self._flow.sides[self._golden.entity] if s.connection == connection and s.stream.name == stream)
            side = next(sides, None)
            link = next((link for link in self._links if side and link.stream_id == side.stream_id and link.key == key), None)
            side = self._flow.side_of(link, self._golden.fields) if link is not None else side
            if side is None or link is None:
                self._stay(connection, key, sorted(written.fields), "the flow no longer reaches it")
            elif link.state != "live" and not written.deleted:
                self._stay(connection, key, sorted(written.fields), f"the record is {link.state}")
            else:
                found.append((side, link, written))
        return found

    def _stuck(self, targets: list[tuple[Side, LinkRow, _Written]]) -> bool:
        """Tell whether the run changed what makes a document's sum (L10): that is not set back one field at a time."""
        totals = self._policies.totals
        if any("/" in path or path in totals for path in self._past.fields) and not self._past.founded:
            if not targets:
                self._stay("", "", sorted(self._past.fields), "the run changed lines or the total of a document")
            return True
        return any(
            written.lists or (not written.created and totals.intersection(side.mapping.affected(written.fields)))
            for side, _, written in targets
        )

    def _set_back(self, moved: set[str]) -> None:
        """Decide which golden units take their value from before the run."""
        golden, past = self._golden, self._past
        if past.founded:
            return
        for unit in dict.fromkeys(self._policies.unit(path) for path in sorted(past.fields)):
            authors = [author_of(path, golden.authors) or ["", "", ""] for path in unit]
            then = [past.fields[path][0] if path in past.fields else golden.fields.get(path) for path in unit]
            if all(one[0] == author(self._undone) for one in authors) or same_all(then, values_at(golden.fields, unit)):
                continue
            if moved.intersection(unit):
                self._stay("", "", list(unit), "a move is not taken back by itself")
            elif past.later.intersection(unit) or any(one[2] != self._undone for one in authors):
                self._stay("", "", list(unit), f"changed since by {authors[0][0]}")
            else:
                self._sets[unit] = then

    def _restore(self, side: Side, link: LinkRow, written: _Written, writes: list[Step]) -> None:
        """Give a system back what it held, unit by unit; a unit of which a part was changed since stays."""
        base = link.base or {}
        open_names = {name for name in written.fields if name not in written.undone}
        changed = {name for name in open_names if name in written.again or not same(base.get(name), written.fields[name][1])}
        back = {name: written.fields[name][0] for name in open_names - changed}
        said, unread = self._reads(side, {**base, **back})
        blind: set[str] = set()
        paused: set[str] = set()
        for unit in self._touched_units(side, open_names):
            names = open_names.intersection(name for path in unit for name in side.mapping.externals(path))
            if names & changed or self._past.later.intersection(unit):
                changed |= names
            elif any(path in side.paused or path in side.mapping.unwritten for path in unit):
                paused |= names
            elif unit not in self._sets and any(self._is_blind(side, path, unread) for path in unit):
                blind |= names
        back = {name: value for name, value in back.items() if name not in changed | blind | paused and not same(value, base.get(name))}
        if changed:
            self._stay(side.connection, link.key or "", sorted(changed), "changed since")
        if blind - changed:
            self._stay(side.connection, link.key or "", sorted(blind - changed), "what it held before cannot be read as a value")
        if paused - changed:
            self._stay(side.connection, link.key or "", sorted(paused - changed), "the field is paused there")
        if not back:
            return
        units = self._touched_units(side, back)
        for unit in units:
            otherwise = self._sets.get(unit, values_at(self._golden.fields, unit))
            self._holds_again(side, link, unit, [said.get(path, kept) for path, kept in zip(unit, otherwise, strict=True)])
        writes.append(self._write(side, link, {name: [base.get(name), value] for name, value in sorted(back.items())}, units))

    def _is_blind(self, side: Side, path: str, unread: set[str]) -> bool:
        """Tell whether a system that holds a path cannot be asked what it says."""
        return path in unread or (path in side.mapping.writable and path not in side.mapping.readable)

    def _touched_units(self, side: Side, externals: Iterable[str]) -> list[Unit]:
        paths = side.mapping.affected(externals)
        puts = {path for path in side.mapping.writable if set(side.mapping.externals(path)).intersection(externals)}
        return list(dict.fromkeys(self._policies.unit(path) for path in sorted(paths | puts)))

    def _reads(self, side: Side, fields: Fields) -> tuple[Fields, set[str]]:
        """Return what external fields mean, and the paths that cannot be understood."""
        refs: dict[tuple[str, str], str] = {}
        for entity, key in side.mapping.references_in(fields):
            found = self._store.golden_of(self._flow.streams_of(side.system, entity), [key])
            refs.update({(entity, known): golden_id for known, golden_id in found.items()})
        errors: list[FieldError] = []
        said = side.mapping.get(fields, refs, errors)
        return said, {error.path for error in errors}

    def _archive(self, side: Side, link: LinkRow, written: _Written, writes: list[Step]) -> list[Step]:
        """Plan to archive a record that the run created; return the question instead, where it cannot be."""
        if written.undone:
            return []
        base, unit = link.base or {}, self._policies.unit("status")
        if entity_spec(self._golden.entity).money_document:
            return [self._ask(side, link, "was created by the run; a money document is never deleted by itself")]
        if "status" not in side.mapping.writable:
            return [self._ask(side, link, "was created by the run, and has no status by which it could be archived")]
        worked_on = [name for name, (_, held) in written.fields.items() if name in written.again or not same(base.get(name), held)]
        if worked_on or self._past.later.intersection(unit):
            return [self._ask(side, link, "was created by the run, and has been worked on since")]
        wanted = {**self._golden.fields, "status": "archived"}
        _, refs = references(self._flow, self._store, side, [link], {self._golden.id: self._golden}, set())
        errors: list[FieldError] = []
        put = side.mapping.put(wanted, base, refs, errors, create=False, paths=frozenset({"status"}))
        if errors:
            return [self._ask(side, link, "was created by the run, and cannot be archived there")]
        if put:
            self._holds_again(side, link, unit, [wanted.get(path) for path in unit])
            writes.append(self._write(side, link, {name: [base.get(name), value] for name, value in sorted(put.items())}, [unit]))
        return []

    def _holds_again(self, side: Side, link: LinkRow, unit: Unit, values: list[Any]) -> None:
        """Note that a system will say these values of a unit."""
        self._candidates.setdefault(unit, []).append(Candidate(side.connection, side.role, link.version, values))

    def _units(self) -> list[Unit]:
        return list(dict.fromkeys((*self._sets, *self._candidates)))

    def _clash(self, unit: Unit, already: Clash | None) -> Clash | None:
        """Return the clash between whoever is undone and what holds again, with one candidate where all say the same and it is over by
        that; None where there is none."""
        golden, flow = self._golden, self._flow
        now = list(values_at(golden.fields, unit))
        then = self._sets.get(unit, now)
        held = golden_candidate(unit, tuple(now), golden.authors, flow.roles)
        known = {candidate.by: candidate for candidate in already.candidates} if already else {}
        # Whoever is undone and has said something else since is in the open clash with that.
        named = {held.by: held, **known}
        restored = Candidate(author(self._undone), "undo", "", then)
        if unit in self._sets:
            if held.by not in flow.roles:  # a rule or an undo that is undone holds no record: who does as it said speaks for himself
                named = {by: candidate for by, candidate in named.items() if by in flow.roles}
                named = {**self._silent(unit, now), **named}
            named[restored.by] = restored
        for candidate in self._candidates.get(unit, ()):
            if candidate.by in known and candidate.by != held.by:
                named[candidate.by] = candidate  # what it is known to say until now is what is written over
            elif same_all(candidate.values, then):
                continue
            if candidate.by == held.by:
                named[restored.by] = msgspec.structs.replace(restored, values=candidate.values)
            else:
                named[candidate.by] = candidate
        candidates = [named[by] for by in sorted(named)]
        one = agreed(candidates, then, flow.roles.keys())
        if one is not None and not same_all(one.values, then):
            candidates, one = [*candidates, restored], None
        if one is not None and already is None:
            return None
        return Clash(list(unit), candidates if one is None else [one], f"run {self._undone} was undone")

    def _silent(self, unit: Unit, held: list[Any]) -> dict[str, Candidate]:
        """Return what systems that can say a unit hold of it, if they have said nothing otherwise: what golden held."""
        sides = [(side, link) for link in self._links if link.state == "live" and (side := self._flow.side_of(link, self._golden.fields))]
        able = [(side, link) for side, link in sides if all(path.partition("/")[0] in side.mapping.readable for path in unit)]
        written = {candidate.by for candidate in self._candidates.get(unit, ())}
        return {
            side.connection: Candidate(side.connection, side.role, link.version, held)
            for side, link in able
            if side.connection not in written
        }

    def _stay(self, connection: str, key: str, fields: list[str], why: str) -> None:
        self._undoing.stays.append(Stays(self._golden.entity, self._golden.id, connection, key, fields, why))

    def _golden_step(self, freezes: list[Clash]) -> Step:
        golden = self._golden
        sets = {path: value for unit, then in self._sets.items() for path, value in zip(unit, then, strict=True)}
        fields = {path: [golden.fields.get(path), value] for path, value in sets.items()}
        why = {path: (author_of(path, golden.authors) or [""])[0] for path in fields}
        return Step(
            "restore", golden.entity, golden.id, "", GOLDEN, golden.entity, golden.id, label_of(golden.fields), fields, golden.seq, 0,
            why=why, freezes=freezes,
        )  # fmt: skip

    def _ask(self, side: Side, link: LinkRow, why: str) -> Step:
        return msgspec.structs.replace(self._write(side, link, {}, []), operation="ask", asks=why)

    def _write(self, side: Side, link: LinkRow, fields: dict[str, list[Any]], units: Iterable[Unit]) -> Step:
        golden = self._golden
        return Step(
            "update", golden.entity, golden.id, link.id, side.connection, side.stream.name, link.key, label_of(golden.fields), fields,
            golden.seq, link.seq, why={path: author(self._undone) for unit in units for path in unit}, mapping=side.mapping.name,
        )  # fmt: skip


# --- apply ------------------------------------------------------------------------------------------------------------------------


def carry_out(flow: Flow, store: Store, run: RunNote, undone: str, steps: Iterable[Step]) -> Pushed:
    """Do the steps of a plan of undoing in their order: golden is set back and frozen before a system is written. Steps that have gone
    stale are left out and listed."""
    pushed = Pushed()
    moved: dict[str, int] = {}
    for operation, same_kind in groupby(steps, key=lambda step: step.operation if step.operation in ("restore", "ask") else "write"):
        for batch in _chunks(same_kind):
            if operation == "restore":
                _restore_golden(flow, store, run, undone, batch, moved, pushed)
            elif operation == "ask":
                _put_questions(flow, store, run, undone, batch)
            else:
                rested = [msgspec.structs.replace(s, golden_seq=moved.get(s.golden_id, s.golden_seq)) for s in batch]
                _forget_answers(store, run, rested)
                _add_up(pushed, push(flow, store, run, rested))
    if not pushed.stale and not pushed.away:
        store.set_fact(_done(undone), run.id)
        _stands_again(store, undone)
    return pushed


def _stands_again(store: Store, undone: str) -> None:
    """What an undo had undone counts as undone no more where that undo is undone itself."""
    before = next((row.data["undoes"] for row in store.history_of_run(undone, 0, BATCH) if row.data.get("undoes")), None)
    if before is not None and store.fact(_done(before)) == undone:
        store.set_fact(_done(before), None)


def _chunks(steps: Iterable[Step]) -> Iterator[list[Step]]:
    batch: list[Step] = []
    for step in steps:
        batch.append(step)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _add_up(pushed: Pushed, more: Pushed) -> None:
    for name, count in more.counts.items():
        pushed.add(name, count)
    pushed.stale.extend(more.stale)
    pushed.away.update(more.away)


def _restore_golden(flow: Flow, store: Store, run: RunNote, undone: str, steps: list[Step], moved: dict[str, int], pushed: Pushed) -> None:
    goldens = store.golden([step.golden_id for step in steps])
    fresh = [
        step
        for step in steps
        if (found := goldens.get(step.golden_id)) is not None and (found.entity, found.seq) == (step.entity, step.golden_seq)
    ]
    going = {step.golden_id for step in fresh}
    stale = [step for step in steps if step.golden_id not in going]
    pushed.stale.extend(stale)
    if stale:
        pushed.add("stale", len(stale))
    changed: list[GoldenRow] = []
    history: list[HistoryRow] = []
    park: list[ParkedRow] = []
    over: list[str] = []
    for step in fresh:
        golden = goldens[step.golden_id]
        golden.fields = {**golden.fields, **{path: then for path, (_, then) in step.fields.items()}}
        golden.authors = {**golden.authors, **{path: [author(undone), "", run.id] for path in step.fields}}
        changed.append(golden)
        history.append(_history_row(run, undone, step))
        park.extend(clash_row(run, golden, clash) for clash in step.freezes if len(clash.candidates) > 1)
        over.extend(clash_subject(golden.id, clash.unit) for clash in step.freezes if len(clash.candidates) == 1)
        run.counts["restored"] += bool(step.fields)
    ids = [golden.id for golden in changed]
    live = [link.id for links in store.links_of(ids).values() for link in links if link.state in ("live", "wanted")]
    with store.transaction(run.fence):
        seq = store.next_seq()
        for golden in changed:
            golden.seq = moved[golden.id] = seq
        store.put_golden(changed)
        store.set_dirty(live)
        _put_match_keys(flow, store, [(golden, step) for golden, step in zip(changed, fresh, strict=True) if step.fields])
        store.add_history(history)
        store.close_parked(over, "settled", run.at)
        store.park(park)
    run.counts["frozen"] += len(park)


def _history_row(run: RunNote, undone: str, step: Step) -> HistoryRow:
    data: dict[str, Any] = {"kind": "undo", "undoes": undone}
    if step.fields:
        data["fields"] = step.fields
        data["by"] = dict.fromkeys(step.fields, author(undone))
        data["rules"] = dict.fromkeys(step.fields, f"run {undone} was undone")
    if opened := [clash for clash in step.freezes if len(clash.candidates) > 1]:
        data["clashes"] = msgspec.to_builtins(opened, builtin_types=(Decimal,))
    return HistoryRow(step.golden_id, run.id, run.at, data)


def _put_match_keys(flow: Flow, store: Store, restored: list[tuple[GoldenRow, Step]]) -> None:
    for golden, step in restored:
        rules = flow.policies[golden.entity].rules
        if any(path in step.fields for rule in rules.match for path in rule.keys):
            draw_match_keys(store, rules, [golden])


def _put_questions(flow: Flow, store: Store, run: RunNote, undone: str, steps: list[Step]) -> None:
    rows = []
    for step in steps:
        side = flow.side_at(step.entity, step.connection, step.stream, step.mapping)
        rows.append(
            parked_row(
                run,
                "review",
                _subject(undone, step.link_id),
                step.entity,
                golden_id=step.golden_id,
                stream_id=side.stream_id,
                key=step.key,
                error="undone",
                reason=f"{step.connection} {step.stream} {step.key} {step.asks}",
                data={"undoes": undone},
            )
        )
    with store.transaction(run.fence):
        store.park(rows)
    run.counts["asked"] += len(rows)


def _forget_answers(store: Store, run: RunNote, steps: list[Step]) -> None:
    """What a base answered for is over once it is written: an answer left standing would keep a settled clash from being pushed."""
    links = store.links([step.link_id for step in steps])
    stale: list[LinkRow] = []
    for step in steps:
        link = links.get(step.link_id)
        if link is not None and link.seq == step.link_seq and not link.answered.keys().isdisjoint(step.why):
            link.answered = {path: mark for path, mark in link.answered.items() if path not in step.why}
            link.dirty = True
            stale.append(link)
    if stale:
        with store.transaction(run.fence):
            store.update_links(stale)
