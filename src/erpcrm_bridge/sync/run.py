"""The only conductor: the order of everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from erpcrm_bridge.errors import AdoptionNeeded, BridgeError, InputError, UsageError
from erpcrm_bridge.mapping.drift import Drift
from erpcrm_bridge.store import Fence, GoldenRow, LinkRow, RunRow, Store
from erpcrm_bridge.sync import brake
from erpcrm_bridge.sync.absorb import absorb, want_everywhere
from erpcrm_bridge.sync.decide import Step
from erpcrm_bridge.sync.flow import Flow, Paused
from erpcrm_bridge.sync.ids import owing
from erpcrm_bridge.sync.notes import Progress, RunNote, instant, new_run, quiet
from erpcrm_bridge.sync.plan import PlanHead, Spool, check, plan_folder, read_steps
from erpcrm_bridge.sync.pull import note_paused, pull
from erpcrm_bridge.sync.push import BATCH, Pushed, decide_all, is_stale, push
from erpcrm_bridge.sync.recover import arrived, recover
from erpcrm_bridge.sync.undo import Undoing, carry_out, plan_undo
from erpcrm_bridge.sync.waiting import close_what_waits_no_longer

ROUNDS = 5
"""What a write brings back (a value assigned by a trigger, a record somebody else changed meanwhile) is merged and pushed in the same run,
so many times at most; what is left then goes with the next run."""


class Report(Struct):
    """What a run has come to. ``waiting`` counts what is open by kind; ``plan`` is the file of a plan that was made and not done;
    ``paused`` is what the systems do not offer now; ``drifted``, by connection, what moved in them and was not told by a run before.
    ``braked`` names the flow whose brake stops this one; ``unmerged``, of a plan under it, counts by connection and stream what was
    pulled and waits behind it; what ``counts`` tells of golden records comes true when it is released."""

    run: str
    flow: str
    kind: str
    counts: dict[str, int]
    waiting: dict[str, int]
    plan: str | None = None
    head: PlanHead | None = None
    stale: list[Step] = []
    away: dict[str, str] = {}
    review: bool = False
    braked: str = ""
    unmerged: dict[str, int] = {}
    undoing: Undoing | None = None
    paused: list[Paused] = []
    drifted: list[tuple[str, Drift]] = []

    @property
    def written(self) -> int:
        return sum(count for name, count in self.counts.items() if name.startswith("wrote "))


def run_flow(
    flow: Flow,
    store: Store,
    *,
    folder: Path,
    fence: Fence | None = None,
    clock: Callable[[], float] = time.time,
    progress: Progress = quiet,
    write: bool = True,
    adopting: bool = False,
    creating: Collection[str] = (),
) -> Report:
    """Run a flow once: recover, pull, absorb, decide, brake, push, settle. With ``write`` false the push is a plan in a file instead.

    With ``adopting`` two filled systems are joined: what they hold is identified and merged, and records that stand on one side only are
    created on the other only for the entities in ``creating``. A plan under a brake that is on pulls nothing and
    shows what waits behind it: what was pulled is merged for the look alone, and stays as it is.

    Raises BrakeTripped, AdoptionNeeded, and what connectors and store raise; what was settled before stays.
    """
    run = new_run(flow.name, clock, fence, progress, int(store.fact(f"old until:{flow.name}") or -1))
    report = Report(run.id, flow.name, "adopt" if adopting else "sync" if write else "plan", {}, {})
    with _recorded(store, run, report, clock):
        report.braked = brake.stopped_by(flow, store)
        if write or adopting:
            brake.refuse_if_tripped(flow, store)
        _refuse_open_adoption(flow, store, adopting)
        _drifted(flow, store, report)
        if report.braked:
            report.unmerged = _unmerged(flow, store)
            with store.rehearsal():
                absorb(flow, store, run, adopting=False)
                _save_plan(flow, store, run, folder, report, adopting)
            return report
        _take_in(flow, store, run, adopting, creating)
        report.review = store.fact(f"review:{flow.name}") is not None
        if not write or report.review:
            _save_plan(flow, store, run, folder, report, adopting)
            if report.review and report.head and not report.head.steps:
                store.set_fact(f"review:{flow.name}", None)  # the new rules change nothing anywhere
        else:
            for _ in range(ROUNDS):
                if not _push_round(flow, store, run, folder, report):
                    break
                absorb(flow, store, run, adopting=False)
            _adopted(flow, store, run)
        close_what_waits_no_longer(flow, store, run)
    return report


def _drifted(flow: Flow, store: Store, report: Report) -> None:
    """Note what is paused, for whoever asks between runs, and what has moved in the systems, told once: what paused is told each time."""
    report.paused = flow.paused
    paused = msgspec.json.encode(report.paused).decode() if report.paused else None
    if store.fact(f"pauses:{flow.name}") != paused:
        store.set_fact(f"pauses:{flow.name}", paused)
    fact = store.fact(f"drift:{flow.name}") or "[]"
    told = msgspec.json.decode(fact, type=list[str])
    found = {f"{connection} {one.level} {one.stream}.{one.field}: {one.what}": (connection, one) for connection, one in flow.drifted}
    whys = {one.why for one in report.paused}
    report.drifted = [
        (connection, one)
        for name, (connection, one) in found.items()
        if name not in told and f"{one.stream}.{one.field}: {one.what}" not in whys
    ]
    if sorted(found) != told:
        store.set_fact(f"drift:{flow.name}", msgspec.json.encode(sorted(found)).decode() if found else None)


def _take_in(flow: Flow, store: Store, run: RunNote, adopting: bool, creating: Collection[str]) -> None:
    """All that comes before the push: settle what an earlier run left open, read every system, and merge."""
    _note_paused(flow, store)
    recover(flow, store, run)
    pull(flow, store, run)
    arrived(flow, store, run)
    brake.check_incoming(flow, store, run)
    if adopting:
        _begin_adoption(flow, store, run)
    absorb(flow, store, run, adopting=adopting)
    for entity in creating if adopting else ():
        run.counts[f"wanted {entity}"] = want_everywhere(flow, store, run, entity)


def _unmerged(flow: Flow, store: Store) -> dict[str, int]:
    """Count what was pulled and not merged yet, by connection and stream."""
    pulled = store.count_incoming()
    names = {stream_id: f"{sides[0].connection} {sides[0].stream.name}" for stream_id, sides in flow.streams().items()}
    return {name: count for stream_id, name in names.items() if (count := pulled.get((stream_id, "new")))}


def _note_paused(flow: Flow, store: Store) -> None:
    for stream_id, sides in flow.streams().items():
        note_paused(store, flow.name, stream_id, sides)


def _begin_adoption(flow: Flow, store: Store, run: RunNote) -> None:
    """From here on, what was pulled so far counts as there before the adoption, and no run writes before that is applied."""
    with store.transaction(run.fence):
        store.set_fact(f"adoption:{flow.name}", run.id)
        run.old_until = store.seq()
        store.set_fact(f"old until:{flow.name}", str(run.old_until))
        store.next_seq()


def _push_round(flow: Flow, store: Store, run: RunNote, folder: Path, report: Report) -> bool:
    """Decide and push once; return whether another round may find something to do."""
    spool = Spool(plan_folder(folder), flow.name)
    try:
        decide_all(flow, store, run, spool)
        brake.check(flow, store, run, brake.kinds(spool.counts))
        run.counted = True
        if not spool.steps:
            return False
        pushed = push(flow, store, run, spool.steps_so_far())
    finally:
        spool.discard()
    _count(report, run, pushed)
    return pushed.more


def _save_plan(flow: Flow, store: Store, run: RunNote, folder: Path, report: Report, adopting: bool) -> None:
    spool = Spool(plan_folder(folder), flow.name)
    decide_all(flow, store, run, spool)
    _close_plan(flow, run, spool, report, adoption=adopting, review=report.review)


def _close_plan(flow: Flow, run: RunNote, spool: Spool, report: Report, **more: Any) -> None:
    windows = {f"{side.connection} {side.stream.name}": side.offers.window for side in flow.all_sides() if side.offers.window}
    head = PlanHead(flow.name, run.id, run.at, spool.fingerprint, spool.counts, spool.steps, windows=windows, rules=_rules(flow), **more)
    report.plan, report.head = str(spool.close(head)), head


def undo_run(
    flow: Flow,
    store: Store,
    undone: str,
    *,
    folder: Path,
    fence: Fence | None = None,
    clock: Callable[[], float] = time.time,
    progress: Progress = quiet,
) -> Report:
    """Plan the undoing of the run ``undone``, after pulling what the systems hold now; ``apply_plan`` does it. Writes to no system.

    Raises UsageError for a run that the flow has not made, BrakeTripped, AdoptionNeeded, and what connectors and store raise.
    """
    row = store.run(undone)
    if row is None or row.flow != flow.name:
        raise UsageError(f"{flow.name} has made no run {undone}.", way_out="erpcrm-bridge history lists the runs.")
    run = new_run(flow.name, clock, fence, progress, int(store.fact(f"old until:{flow.name}") or -1))
    report = Report(run.id, flow.name, "plan", {}, {})
    with _recorded(store, run, report, clock):
        brake.refuse_if_tripped(flow, store)
        _refuse_open_adoption(flow, store, adopting=False)
        _take_in(flow, store, run, adopting=False, creating=())
        spool = Spool(plan_folder(folder), flow.name)
        report.undoing = plan_undo(flow, store, run, undone, spool)
        _close_plan(flow, run, spool, report, undoes=undone)
    return report


def plan_ids(
    flow: Flow,
    store: Store,
    *,
    folder: Path,
    limit: int,
    fence: Fence | None = None,
    clock: Callable[[], float] = time.time,
    progress: Progress = quiet,
) -> Report:
    """Plan to write our ids into the records that owe them, ``limit`` at most; ``apply_plan`` does it. Reads and writes no system.

    ``counts`` tells how many records owe theirs. Raises BrakeTripped, and AdoptionNeeded where a first joining is not applied yet.
    """
    run = new_run(flow.name, clock, fence, progress)
    report = Report(run.id, flow.name, "plan", {}, {})
    with _recorded(store, run, report, clock):
        brake.refuse_if_tripped(flow, store)
        _refuse_open_adoption(flow, store, adopting=False)
        spool = Spool(plan_folder(folder), flow.name)
        for step in owing(flow, store):
            run.counts["ids owed"] += 1
            if spool.steps < limit:
                spool.add(step)
        _close_plan(flow, run, spool, report)
    return report


def _rules(flow: Flow) -> dict[str, str]:
    rules = {_ruled(side.entity, side.connection, side.stream.name): side.mapping for side in flow.all_sides()}
    return {name: f"{mapping.digest} {mapping.stops}".rstrip() for name, mapping in rules.items()}


def _ruled(entity: str, connection: str, stream: str) -> str:
    return f"{entity} {connection} {stream}"


def apply_plan(
    flow: Flow,
    store: Store,
    path: Path,
    *,
    fence: Fence | None = None,
    clock: Callable[[], float] = time.time,
    progress: Progress = quiet,
    all_or_nothing: bool = False,
) -> Report:
    """Do exactly the steps of a plan; leave out and list those gone stale. With ``all_or_nothing`` nothing is done if one is stale.

    A plan was seen by a person: what it writes does not count for the brakes; it does not pass one that is on.
    Raises InputError for a plan that was altered or names what the flow does not have, UsageError for one of another flow.
    """
    head = check(path)
    if head.flow != flow.name:
        raise UsageError(f"{path} is a plan of the flow {head.flow}, not of {flow.name}.", way_out=f"erpcrm-bridge apply {path}")
    _refuse_strange(flow, path, head.undoes)
    run = new_run(flow.name, clock, fence, progress, int(store.fact(f"old until:{flow.name}") or -1))
    report = Report(run.id, flow.name, "undo" if head.undoes else "apply", {}, {}, head=head)
    with _recorded(store, run, report, clock):
        brake.refuse_if_tripped(flow, store)
        _note_paused(flow, store)
        recover(flow, store, run)
        rules = _rules(flow)
        other_rules = {name for name, digest in head.rules.items() if rules.get(name) != digest}
        busy = {intention.link_id for intention in store.open_intentions([side.stream_id for side in flow.all_sides()])}
        stale = stale_steps(store, path, other_rules, busy)
        if stale and all_or_nothing:
            report.stale = stale
            return report
        if head.undoes:
            pushed = carry_out(flow, store, run, head.undoes, read_steps(path))
        else:
            out = {step.link_id for step in stale}
            pushed = push(flow, store, run, (step for step in read_steps(path) if step.link_id not in out))
            pushed.stale.extend(stale)
            pushed.add("stale", len(stale))
        brake.applied(store, flow.name, pushed.counts)
        _count(report, run, pushed)
        if head.adoption and store.fact(f"adoption:{flow.name}") == head.run:  # else one that was looked at since is not applied yet
            store.set_fact(f"adoption:{flow.name}", None)
        if head.review:
            store.set_fact(f"review:{flow.name}", None)
        _adopted(flow, store, run)
        absorb(flow, store, run, adopting=False)
        close_what_waits_no_longer(flow, store, run)
    return report


def _refuse_strange(flow: Flow, path: Path, undoes: str) -> None:
    """Raise InputError where a step is for a stream that the flow does not have: the configuration has changed since."""
    known = {(entity, side.connection, side.stream.name) for entity, sides in flow.sides.items() for side in sides}
    for number, step in enumerate(read_steps(path), 2):
        of_undo = step.operation in ("restore", "ask")
        there = step.entity in flow.sides if step.operation == "restore" else (step.entity, step.connection, step.stream) in known
        if not there or (of_undo and not undoes):
            what = f"{path}:{number}: this step is for a stream that the flow {flow.name} does not have."
            raise InputError(what, way_out=f"erpcrm-bridge plan {flow.name} makes a new plan.")


def stale_steps(store: Store, path: Path, other_rules: Collection[str] = (), busy: Collection[str] = ()) -> list[Step]:
    """Return the steps of a plan whose golden record or link has moved since, whose mapping is one of ``other_rules`` now, or whose link
    (of ``busy``) has a write of unknown outcome."""
    stale: list[Step] = []
    for _, part in groupby(enumerate(read_steps(path)), lambda numbered: numbered[0] // BATCH):
        steps = [step for _, step in part]
        links, goldens = store.links([step.link_id for step in steps]), store.golden([step.golden_id for step in steps])
        stale.extend(
            step
            for step in steps
            if _ruled(step.entity, step.connection, step.stream) in other_rules
            or step.link_id in busy
            or _has_moved(step, links.get(step.link_id), goldens.get(step.golden_id))
        )
    return stale


def _has_moved(step: Step, link: LinkRow | None, golden: GoldenRow | None) -> bool:
    if step.operation == "restore":  # it writes to no system, and has no link
        return golden is None or golden.seq != step.golden_seq
    return is_stale(step, link, golden)


def _count(report: Report, run: RunNote, pushed: Pushed) -> None:
    for name, count in pushed.counts.items():
        connection, _, operation = name.rpartition(":")
        run.counts[f"wrote {connection} {operation}" if connection else name] += count
    report.stale.extend(pushed.stale)
    report.away.update(pushed.away)


def _refuse_open_adoption(flow: Flow, store: Store, adopting: bool) -> None:
    if not adopting and store.fact(f"adoption:{flow.name}") is not None:
        raise AdoptionNeeded(
            f"The first joining of {flow.name} has begun and is not applied yet.",
            way_out=f"erpcrm-bridge adopt {flow.name} shows what it comes to; erpcrm-bridge apply --flow {flow.name} does it.",
        )


def _adopted(flow: Flow, store: Store, run: RunNote) -> None:
    for entity in flow.order:
        if not store.adopted(flow.name, entity):
            store.set_adopted(flow.name, entity, run.at)


@contextmanager
def _recorded(store: Store, run: RunNote, report: Report, clock: Callable[[], float]) -> Iterator[None]:
    """Keep the run in the store: running, then done or failed with its message."""
    row = RunRow(run.id, run.flow, report.kind, run.at)
    store.put_run(row)
    row.status = "interrupted"
    try:
        yield
        row.status = "done"
    except BridgeError as error:
        row.status, row.message = "failed", str(error)
        raise
    finally:
        report.counts = {name: count for name, count in sorted(run.counts.items()) if count}
        report.waiting = store.count_parked(run.flow) if row.status in ("done", "failed") else {}
        row.counts, row.finished_at = report.counts, instant(clock())
        store.put_run(row)
