"""Plays a story: acts of people and runs of the bridge in turn, with faults, until the storm is over; then runs until all is quiet."""

from __future__ import annotations

import random
import traceback
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from msgspec import Struct

from erpcrm_bridge.errors import (
    AuthError,
    BrakeTripped,
    BridgeError,
    FenceLost,
    PermissionDenied,
    SchemaDrift,
    StoreError,
    TransientError,
)
from erpcrm_bridge.model import ids
from erpcrm_bridge.sync import brake
from erpcrm_bridge.sync.desk import settle_clash
from erpcrm_bridge.sync.flow import Flow, opened
from erpcrm_bridge.sync.notes import new_run
from erpcrm_bridge.sync.pull import read_again
from erpcrm_bridge.sync.run import apply_plan, run_flow
from erpcrm_bridge.testing.memory import MemoryConnector
from erpcrm_bridge.testing.stories.check import Violation, check, silent
from erpcrm_bridge.testing.stories.ground import CALL_SITES, STORE_SITES, Died, Fault, Ground, Meddler, opener
from erpcrm_bridge.testing.stories.people import WEIGHTS, Act, act, give_back
from erpcrm_bridge.testing.stories.scene import FLOW, RICH, ROLES, compiled, library, scene
from erpcrm_bridge.testing.system import Rights

QUIET_WITHIN = 8
"""After the storm so many runs at most, and then silence."""

ERRORS = ("refused", "throttled", "quota", "unauthorized", "forbidden")
DEEDS = ("people before", "people after", "dies before", "dies after", "answer lost", "slow", "overtaken")
PAIRS: list[tuple[str, str]] = [
    *((kind, site) for site in CALL_SITES for kind in (*ERRORS, *DEEDS)),
    ("expired", "changes"),
    *(("partial", site) for site in ("create", "update", "delete", "move")),
    ("stale", "read"),
    *(("page twice", site) for site in ("changes", "scan")),
    *((kind, site) for site in STORE_SITES for kind in ("refused", "dies before", "dies after")),
    ("answer lost", "commit"),
]
"""Every fault at every place where it can strike."""


class Run(Struct, frozen=True):
    """One run of the bridge. ``by``: the timer, or keys that webhooks named. ``long``: its lease outlives it."""

    number: int
    by: str
    faults: tuple[Fault, ...]
    long: bool = True


class Step(Struct, frozen=True):
    """One step of a story; its ``id`` names it in ``--steps``, as that of a fault does (``4.1``)."""

    id: str
    doing: Act | Run | str


class Outcome(Struct):
    """What a story came to. ``struck``: fault, site and run; ``stakes``: what was at stake in each run, by law."""

    seed: int
    steps: int
    faults: int
    kills: int
    violation: Violation | None
    struck: list[tuple[str, str, int]]
    stakes: dict[int, set[str]]
    notes: dict[str, int]
    told: list[str]
    runs: int = 0


# --- what happens -----------------------------------------------------------------------------------------------------------------


SHARE = {"describe": 4, "changes": 3, "scan": 7, "head": 4, "read": 4, "find": 7, "create": 8, "update": 8, "delete": 22, "move": 34}
SHARE |= {"begin": 3, "statement": 4, "commit": 4}
AIMS = [pair for pair in PAIRS for _ in range(SHARE[pair[1]])]
"""What stories aim at, in turn: oftener what is rare, like deletes and moves, which meet their faults less often."""


def aim_of(seed: int) -> tuple[str, str]:
    """Return the fault and the place that a story aims at, so that all are met often."""
    return AIMS[seed % len(AIMS)]


STAKES = ("create customer", "create contact", "create order", "edit customer", "edit contact", "clear", "delete", "lines", "two edits")
"""What people do before a run, so that each law is at stake in it."""
LEADS_TO = {
    "create": ("create customer", "create customer"),
    "find": ("create customer",),
    "update": ("edit customer", "edit customer"),
    "delete": ("delete customer", "delete customer"),
    "move": ("state", "state", "state"),
}
FAR = {"statement": 80, "commit": 14, "begin": 14, "describe": 3, "delete": 1, "move": 1}
"""How late, counted in calls, a fault may strike at a place."""


def script(seed: int) -> list[Step]:
    """Draw the steps of a story: some records that all systems come to hold, then thrice what people do and a run with faults."""
    rng = random.Random(f"{seed}/script")
    aim = aim_of(seed)
    steps: list[Step] = []
    whats, weights = list(WEIGHTS), list(WEIGHTS.values())

    def add(doing: str | Run, role: str = "") -> None:
        if isinstance(doing, str) and doing in WEIGHTS:
            steps.append(Step(str(len(steps)), Act(10_000 + len(steps) * 100, doing, role or rng.choice(ROLES))))
        else:
            steps.append(Step(str(len(steps)), doing))

    def run(*, aimed: bool) -> None:
        number = len(steps)
        faults: list[Fault] = []

        def strike(kind: str, site: str, nth: int) -> None:
            first = 10_000 + number * 100 + 10 * (len(faults) + 1)
            doing = rng.choices(whats, weights, k=rng.randint(1, 2)) if kind.startswith("people") else []
            if doing and site in ("find", "create") and rng.random() < 0.6:
                doing = ["enter again"]
            elif doing and site == "describe":
                doing = ["edit customer", *doing]
            acts = tuple(Act(first + n, what, rng.choice(ROLES)) for n, what in enumerate(doing))
            faults.append(Fault(f"{number}.{len(faults)}", site, kind, nth, acts))

        if aimed:
            strike("people after", "describe", 1)
            strike(*aim, 1 if rng.random() < 0.7 else rng.randint(1, FAR.get(aim[1], 3)))
            for far in (31, 17):
                kind, site = AIMS[(seed * far + 7 * number) % len(AIMS)]
                strike(kind, site, rng.randint(1, FAR.get(site, 2)))
        for _ in range(rng.choice([0, 0, 0, 1])):
            kind, site = rng.choice(PAIRS)
            strike(kind, site, rng.randint(1, FAR.get(site, 4)))
        long = rng.random() < 0.5 and not any(fault.kind == "overtaken" for fault in faults)
        add(Run(number, rng.choice(["timer", "timer", "keys"]), tuple(faults), long))

    for what, role in (("customer", "crm"), ("customer", ""), ("contact", "crm"), ("order", "crm"), ("order", "crm")):
        if role != "crm" or rng.random() < 0.8:
            add(f"create {what}", role)
    run(aimed=False) if rng.random() < 0.3 else add(Run(len(steps), "timer", ()))
    for _ in range(3):
        if rng.random() < 0.9:
            add("other rules")
        if rng.random() < 0.2:
            add("rights")
        for what in LEADS_TO.get(aim[1], ()):
            add(what, "crm" if what == "state" else "")
        for what in ("clear", "clear", "lines", "delete", *rng.sample(STAKES, rng.randint(3, 6))):
            add(what, "crm" if "order" in what else "")
        run(aimed=True)
        for what in rng.choices(whats, weights, k=rng.randint(0, 3)):
            add(what)
        if rng.random() < 0.1:
            add("settle")
    return steps


@contextmanager
def _same_ids(seed: int) -> Iterator[None]:
    """Let ids come out the same each time the story is played."""
    rng = random.Random(f"{seed}/ids")
    bound = vars(ids)
    real = bound["secrets"], bound["time"]
    ns = iter(range(1_780_000_000_000_000_000, 1 << 62, 1_000_000))
    bound["secrets"] = SimpleNamespace(randbits=rng.getrandbits)
    bound["time"] = SimpleNamespace(time_ns=lambda: next(ns))
    try:
        yield
    finally:
        bound["secrets"], bound["time"] = real


class Play:
    """One story, played."""

    def __init__(self, seed: int, *, telling: bool = False, faults: Collection[str] | None = None) -> None:
        self.ground = Ground(seed, scene(random.Random(f"{seed}/scene"), aim_of(seed), rich=seed >= RICH), telling=telling)
        systems = self.ground.systems if seed >= RICH and seed % 2 else {}  # elsewhere nobody has pinned how they look
        self.pinned = {role: MemoryConnector(system).describe() for role, system in systems.items()}
        self.changed = False
        self.rules_changed = False
        self._reviewed = False
        """the rules that a person has looked at, or that a run has ended well under"""
        self.settled: list[tuple[int, str, list[str]]] = []
        self.kills = 0
        self.stakes: dict[int, set[str]] = {}
        self._faults = faults
        self._depth = 0
        self._since = 0

    # -- the bridge -----------------------------------------------------------------------------------------------------------------

    def bridge(self, run: Run | None) -> None:
        """Run the flow once. Raises Violation for anything that a run may not end with."""
        ground = self.ground
        ground.run += 1
        ground.tick(1.0)
        number = ground.run
        faults = [fault for fault in run.faults if self._faults is None or fault.id in self._faults] if run else []
        meddler = Meddler(ground, faults, self.people, lambda: self.overtake(meddler))
        ground.tell(f"--- run {number} {'for keys' if run and run.by == 'keys' else ''}".rstrip())
        try:
            self._run(meddler, run)
            ground.ended.add(number)
        except Died:
            self.kills += 1
            if ground._db.in_transaction:
                ground._db.execute("ROLLBACK")
        except BrakeTripped:
            ground.tell("the brake is on")
            ground.note("brake tripped")
            store = ground.store()
            ground.tripped += [(ground.order, row["system"], row["kind"], row["count"]) for row in store.tripped(FLOW)]
            brake.release(store, FLOW, person="op")
        except BridgeError as error:
            ground._db.execute("UPDATE work SET lease_until = NULL")  # a process that lives gives its lease back
            ground.tell(f"the run ends with {type(error).__name__}: {error}")
            ground.note(f"run ended: {type(error).__name__}")
            if not self._may_end_with(error, meddler):
                raise Violation("L9", f"a run ended with {type(error).__name__}: {error}") from error
        except Violation:
            raise
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            raise Violation("broke", f"{type(error).__name__}: {error} in {where.name}") from error
        self._at_stake(number, meddler)
        self._reviews()

    def _reviews(self) -> None:
        """Note which records a person is asked about."""
        store = self.ground.store()
        streams = store.streams()
        rows = [row for row in store.parked(flow=FLOW, kinds=["review"]) if row.stream_id is not None and row.key is not None]
        places = [(*streams[row.stream_id or 0], row.key or "") for row in rows]
        self.ground.in_review.append((self.ground.order, {(system.removesuffix("-system"), stream, key) for system, stream, key in places}))

    def _may_end_with(self, error: BridgeError, meddler: Meddler) -> bool:
        if isinstance(error, PermissionDenied) and error.keys:
            return False  # some records may not be read: they wait, and keep nothing else from being done (L9)
        if not meddler.struck and all(system.rights["bridge"] == Rights() for system in self.ground.systems.values()):
            return False
        return isinstance(error, (TransientError, AuthError, PermissionDenied, StoreError, FenceLost, SchemaDrift))

    def _run(self, meddler: Meddler, run: Run | None) -> None:
        ground = self.ground
        store = ground.store(meddler)
        store.touch(FLOW)
        fence = store.lease(FLOW, f"worker {meddler.number}", 3600.0 if run and run.long else 0.0)
        if fence is None:
            ground.note("lease was held")
            ground.tell("another worker holds the lease")
            ground._db.execute("UPDATE work SET lease_until = 0")  # its holder is dead, and time goes by
            self._run(meddler, run)
            return
        folder = ground.folder / str(meddler.number % 7)
        settings = ground.place.settings()
        rules = library(ground.place.on_delete, self.changed, ground.place.rich)
        with opened(settings, FLOW, store, opener(meddler), rules, compiled, self.pinned) as flow:
            if run is not None and run.by == "keys":
                self._by_keys(flow, store, fence)
            began = len(ground.journal)
            try:
                report = run_flow(flow, store, folder=folder, fence=fence, clock=ground.clock)
            finally:
                written = any(entry.event.actor == "bridge" for entry in ground.journal[began:])
                if written and self._reviewed != self.changed:
                    raise Violation("L13", "the rules were changed, and the bridge wrote before anybody had looked at what comes of it")
            self._reviewed = self.changed
            if report.review and report.plan:
                ground.tell("a person applies the plan")
                began = ground.order
                try:
                    apply_plan(flow, store, Path(report.plan), fence=fence, clock=ground.clock)
                finally:
                    ground.applied.append((began, ground.order))
        store.finish(fence)

    def _by_keys(self, flow: Flow, store: Any, fence: Any) -> None:
        """Webhooks have named what people touched lately: it is read again."""
        touched: dict[tuple[str, str], list[str]] = {}
        for entry in self.ground.journal[-6:]:
            touched.setdefault((entry.role, entry.event.stream), []).append(entry.event.key)
        note = new_run(FLOW, self.ground.clock, fence)
        self.ground.tick(1.0)
        for side in flow.all_sides():
            keys = sorted(set(touched.get((side.connection, side.stream.name), ())))
            if keys:
                read_again(store, note, side, keys)

    def people(self, acts: Sequence[Act]) -> None:
        for doing in acts:
            act(self.ground, doing)

    def overtake(self, first: Meddler) -> None:
        """A second worker takes the lease, which has run out, and runs to the end."""
        if self._depth:
            return
        self._depth += 1
        self.ground.tell("another worker takes over >>>")
        try:
            self._run(Meddler(self.ground, [], self.people, lambda: None), Run(0, "timer", (), long=False))
        except BridgeError as error:
            self.ground.tell(f"the other worker ends with {type(error).__name__}")
        finally:
            self._depth -= 1
            self.ground.tell("<<< the first goes on")

    def _at_stake(self, number: int, meddler: Meddler) -> None:
        ground = self.ground
        stakes = {"L4", "L6", "L12"}
        begin = next((call.order for call in ground.calls if call.run == number), ground.order)
        for entry in ground.journal[self._since :]:
            event = entry.event
            if event.actor == "bridge":
                if event.verb == "create":
                    stakes |= {"L3", "L1"}
                    if event.stream in ("Contact", "person", "buyer", "Order", "salesorder"):
                        stakes.add("L7")
                elif event.verb == "edit":
                    stakes |= {"L1", "L5"}
            else:
                if entry.order > begin:
                    stakes.add("L2")
                if event.verb == "create":
                    stakes |= {"L1", "L3", "L7"} if event.stream not in ("Account", "customer", "client") else {"L1", "L3"}
                elif event.verb in ("edit", "move"):
                    stakes |= {"L1", "L5", "L9"}
                    if any(value is None and (event.before or {}).get(name) is not None for name, value in (event.after or {}).items()):
                        stakes.add("L11")
                elif event.verb in ("delete", "restore", "merge"):
                    stakes.add("L8")
            if event.stream in ("Order", "salesorder", "OrderItem"):
                stakes.add("L10")
        if self.rules_changed:
            stakes.add("L13")
        self.stakes[number] = stakes
        died_or_broke = any(run == number for _, _, run in ground.struck)
        if not died_or_broke:
            self._since = len(ground.journal)

    # -- the story ------------------------------------------------------------------------------------------------------------------

    def play(self, steps: Sequence[Step]) -> None:
        """Play the storm, then the calm, and check. Raises Violation."""
        ground = self.ground
        self.bridge(None)  # all systems are empty: they are joined
        for step in steps:
            if isinstance(step.doing, Act):
                ground.tick(1.0)
                if act(ground, step.doing):
                    ground.note(step.doing.what)
            elif isinstance(step.doing, Run):
                self.bridge(step.doing)
            elif step.doing == "settle":
                self.settle()
            else:
                self.changed = not self.changed
                self.rules_changed = True
        self.calm()

    def settle(self, *, every: bool = False) -> int:
        """A person settles an open clash, or all of them; return how many."""
        store = self.ground.store()
        rng = random.Random(f"{self.ground.seed}/settle")
        done = 0
        for row in store.parked(flow=FLOW, kinds=["clash"])[: None if every else 1]:
            candidates = [c for c in row.data["candidates"] if c["by"]]
            if not candidates:
                continue
            chosen = rng.choice(candidates)
            settle_clash(store, row.id, take=chosen["by"], person="op", clock=self.ground.clock)
            self.ground.tick(1.0)
            self.ground.tell(f"a person settles {row.field} for {chosen['by']}")
            self.ground.note("settled")
            self.settled.append((self.ground.order, row.golden_id or "", row.data["unit"]))
            done += 1
        return done

    def calm(self) -> None:
        ground = self.ground
        ground.tell("=== the storm is over")
        for role in ROLES:
            give_back(ground, role)
            ground.systems[role].faults.clear()
        self.until_quiet()
        check(ground, self.changed, self.settled)
        if self.settle(every=True):
            ground.tell("=== a person has settled all clashes")
            self.until_quiet()
            check(ground, self.changed, self.settled)
        for _ in range(2):
            before = len(ground.calls), len(ground.journal)
            self.bridge(None)
            silent(ground, *before)

    def until_quiet(self) -> None:
        ground = self.ground
        for _ in range(QUIET_WITHIN):
            before, tripped = len(ground.journal), ground.notes.get("brake tripped", 0)
            self.bridge(None)
            if len(ground.journal) == before and ground.notes.get("brake tripped", 0) == tripped:
                return
        raise Violation("L6", f"after {QUIET_WITHIN} runs without any fault the bridge still writes")


def play(seed: int, *, keep: Collection[str] | None = None, telling: bool = False) -> Outcome:
    """Play the story of a seed; with ``keep`` only these steps and faults of it."""
    steps = [step for step in script(seed) if keep is None or step.id in keep]
    played = Play(seed, telling=telling, faults=keep)
    violation = None
    with _same_ids(seed):
        try:
            played.play(steps)
        except Violation as found:
            violation = found
    ground = played.ground
    ground.close()
    told = [*ground.place.told, *ground.story]
    return Outcome(
        seed, len(steps), len(ground.struck), played.kills, violation, ground.struck, played.stakes, ground.notes, told, ground.run
    )
