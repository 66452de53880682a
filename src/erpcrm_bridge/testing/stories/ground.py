"""The ground a story stands on: the systems, their journal, the bridge's store, and whatever goes wrong between them.

A *worker* is one life of the bridge's process: it opens the store and the connections, and may be struck by faults at each call of a
connector and at each statement of its store. When it dies, what the store has committed and what the systems have done is all that stays.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct

from erpcrm_bridge.connector import Connector
from erpcrm_bridge.errors import AuthError, BridgeError, CursorExpired, PermissionDenied, QuotaExhausted, StoreError, TransientError
from erpcrm_bridge.settings import ConnectionSettings
from erpcrm_bridge.store import Store, open_store
from erpcrm_bridge.store.engines import Bulk, SqliteEngine, SqliteTelling, Values
from erpcrm_bridge.testing.memory import MemoryConnector
from erpcrm_bridge.testing.stories.scene import ROLES, Scene
from erpcrm_bridge.testing.system import AnswerLost, Event, MemorySystem, copied

START = 1_780_000_000.0
NEVER = 1 << 60
"""later than any step of a story"""
STORE_SITES = ("begin", "statement", "commit")
CALL_SITES = ("describe", "changes", "scan", "head", "read", "find", "create", "update", "delete", "move")
SITES = (*CALL_SITES, *STORE_SITES)


class Died(BaseException):
    """The process of the bridge is no more. Not an Exception: nothing in the bridge may handle it."""


class Fault(Struct, frozen=True):
    """What goes wrong in a run: ``kind`` at the ``nth`` call of ``site``. ``acts`` are what people do meanwhile, by their numbers."""

    id: str
    site: str
    kind: str
    nth: int = 1
    acts: tuple[Any, ...] = ()


class Entry(Struct, frozen=True):
    """One event in one system, in the order of all systems."""

    order: int
    role: str
    event: Event


class Call(Struct, frozen=True):
    """One call of the bridge: ``keys`` are the records that it was shown as they stood, or wrote."""

    order: int
    role: str
    verb: str
    stream: str
    keys: tuple[str, ...]
    run: int
    worker: int
    broke: str = ""
    refused: tuple[Any, ...] = ()


class _Journal(list[Event]):
    """A system's log that tells of each event."""

    def __init__(self, told: Callable[[Event], None]) -> None:
        super().__init__()
        self._told = told

    def append(self, event: Event) -> None:
        super().append(event)
        self._told(event)


class Ground:
    """See the module's text. ``telling`` gathers sentences in ``story``."""

    def __init__(self, seed: int, place: Scene, *, telling: bool = False) -> None:
        self.seed = seed
        self.place = place
        self.now = START
        self.order = 0
        self.run = 0
        self.workers = 0
        self.journal: list[Entry] = []
        self.calls: list[Call] = []
        self.story: list[str] = []
        self.struck: list[tuple[str, str, int]] = []
        self.notes: dict[str, int] = {}
        self.applied: list[tuple[int, int]] = []
        self.tripped: list[tuple[int, str, str, int]] = []
        self.hidden: list[tuple[tuple[str, str, str], int, int]] = []
        self.in_review: list[tuple[int, set[tuple[str, str, str]]]] = []
        self.ended: set[int] = set()
        self.telling = telling
        self.systems = {role: self._system(role) for role in ROLES}
        self.folder = Path(_scratch())
        self._db = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        self._db.deserialize(_empty_store())
        self._db.execute("PRAGMA temp_store = MEMORY")

    def _system(self, role: str) -> MemorySystem:
        skew = self.place.skew[role]
        system = MemorySystem(
            self.place.specs[role], identity=f"{role}-system", clock=lambda: self.now + skew, rng=random.Random(f"{self.seed}/{role}")
        )
        system.log = _Journal(lambda event: self._happened(role, event))
        return system

    def clock(self) -> float:
        return self.now

    def tick(self, seconds: float = 0.01) -> int:
        self.now += seconds
        self.order += 1
        return self.order

    def tell(self, sentence: str) -> None:
        if self.telling:
            self.story.append(f"{self.order:>5}  {sentence}")

    def note(self, name: str) -> None:
        self.notes[name] = self.notes.get(name, 0) + 1

    def _happened(self, role: str, event: Event) -> None:
        self.journal.append(Entry(self.tick(), role, event))
        if self.telling:
            before, after = event.before or {}, event.after or {}
            moved = {name: value for name, value in after.items() if name not in before or before[name] != value}
            moved = {name: value for name, value in moved.items() if value is not None and value != []} if event.before is None else moved
            said = ", ".join(f"{name}={value!s}" for name, value in moved.items())
            self.tell(
                f"{role}: {'THE BRIDGE' if event.actor == 'bridge' else event.actor} {event.verb}s {event.stream} {event.key}  {said}"
            )

    def store(self, meddler: Meddler | None = None) -> Store:
        """Return the store as a process opens it that has just begun."""
        return Store("sqlite:///:memory:", StoryEngine(self._db, meddler))

    def close(self) -> None:
        self._db.close()


class Meddler:
    """Strikes one worker's calls and statements with the faults that are due.

    ``people`` carries out acts of people, ``overtake`` lets another worker take the lease and run.
    """

    def __init__(
        self, ground: Ground, faults: Sequence[Fault], people: Callable[[Sequence[Any]], None], overtake: Callable[[], None]
    ) -> None:
        ground.workers += 1
        self.number = ground.workers
        self.ground = ground
        self.dead = ""
        self.struck: list[Fault] = []
        self._waiting = {fault.id: fault.nth for fault in faults}
        self._faults = list(faults)
        self._people, self._overtake = people, overtake

    def due(self, site: str) -> list[Fault]:
        if not self._faults:
            return []
        found = []
        for fault in list(self._faults):
            if fault.site != site:
                continue
            self._waiting[fault.id] -= 1
            if self._waiting[fault.id] == 0:
                self._faults.remove(fault)
                self.struck.append(fault)
                self.ground.struck.append((fault.kind, fault.site, self.ground.run))
                found.append(fault)
        return found

    def refuse_the_dead(self) -> None:
        if self.dead:
            raise Died(self.dead)

    def die(self, where: str) -> None:
        self.dead = where
        self.ground.tell(f"the bridge's process DIES {where}")
        raise Died(where)

    # -- the store ------------------------------------------------------------------------------------------------------------------

    def statement(self, site: str, work: Callable[[], Any]) -> Any:
        self.refuse_the_dead()
        struck = self.due(site)
        for fault in struck:
            if fault.kind == "dies before":
                self.die(f"before a {site} of its store")
            if fault.kind == "refused":
                self.ground.tell(f"the store refuses a {site}")
                raise StoreError("There is no room left on the disk of the store.")
        answer = work()
        for fault in struck:
            if fault.kind == "dies after":
                self.die(f"after a {site} of its store")
            if fault.kind == "answer lost":
                self.ground.tell(f"the store does a {site}, and its answer is lost")
                raise StoreError("The store's server went away.")
        return answer

    # -- the systems ----------------------------------------------------------------------------------------------------------------

    def ask(self, role: str, verb: str, args: dict[str, Any]) -> Any:
        self.refuse_the_dead()
        ground, system = self.ground, self.ground.systems[role]
        site = str(args["rows"][0]["operation"]) if verb == "write" else verb
        struck = self.due(site)
        kinds = {fault.kind for fault in struck}
        served = ground.tick()
        where = f"{role} {site} {args.get('stream', '')}".rstrip()
        if ground._db.in_transaction:
            raise AssertionError(f"{where} is called inside a transaction of the store")
        broke, answer = "", None
        try:
            for fault in struck:
                if fault.kind != "expired" or args.get("at_least") is not None:
                    self._before(fault, where)
            if verb == "write" and "partial" in kinds and len(args["rows"]) > 1:
                system.faults.add("write", "partial", done=len(args["rows"]) // 2)
            elif kinds & {"stale", "page twice"}:
                system.faults.add(verb, "stale" if "stale" in kinds else "page_twice")
            served = ground.tick()
            answer = system.serve("bridge", verb, copied(args))
            answer = answer if verb == "describe" else copied(answer)  # a connector makes structs of a description
        except BaseException as error:
            broke = type(error).__name__
            raise
        finally:
            keys = () if broke else _keys(system, verb, args, answer)
            refused = () if broke or verb != "write" else tuple(row["refused"] for row in answer or () if "refused" in row)
            ground.calls.append(Call(served, role, verb, args.get("stream", ""), keys, ground.run, self.number, broke, refused))
            if ground.telling and broke != "Died":
                ground.tell(f"the bridge asks {where}: {_said(verb, args, answer)}{f'  BROKE {broke}' if broke else ''}")
        for fault in struck:
            if fault.kind == "people after":
                ground.tell(f"just after {where}:")
                self._people(fault.acts)
            if fault.kind == "dies after":
                self.die(f"after {where}")
        if "answer lost" in kinds or ("partial" in kinds and verb == "write"):
            ground.tell(f"the answer of {where} is lost")
            raise AnswerLost(f"the connection broke during {verb}")
        return answer

    def _before(self, fault: Fault, where: str) -> None:
        self.ground.tell(f"FAULT at {where}: {fault.kind}")
        match fault.kind:
            case "refused":
                raise TransientError("The system is not available.")
            case "throttled":
                raise TransientError("Too many calls at once.", retry_after=1.0)
            case "quota":
                raise QuotaExhausted("The calls of this day are used up.")
            case "unauthorized":
                raise AuthError("The credential has expired.")
            case "forbidden":
                raise PermissionDenied("The credential's rights were withdrawn.")
            case "expired":
                raise CursorExpired("The change log does not go back so far.")
            case "dies before":
                self.die(f"before {where}")
            case "slow":
                self.ground.tick(600.0)
            case "people before":
                self._people(fault.acts)
            case "overtaken":
                self._overtake()


def _keys(system: MemorySystem, verb: str, args: Mapping[str, Any], answer: Any) -> tuple[str, ...]:
    """Return the keys of the records that were shown as they stand."""
    if verb == "write":
        return tuple(row["key"] for row in args["rows"] if row["key"])
    if verb in ("changes", "scan"):
        answer = answer["rows"]
    elif verb != "read":
        return ()
    held = system._records[args["stream"]]
    return tuple(row["key"] for row in answer if row.get("gone") or row["version"] == str(held[row["key"]].version))


def _said(verb: str, args: Mapping[str, Any], answer: Any) -> str:
    if answer is None and verb not in ("write", "find"):
        return ""
    if verb == "write":
        return (
            "; ".join(
                f"{row['operation']} {row['key'] or 'new'} {_short(row['fields'])} {row['lists'] or ''}{row['move'] or ''}".rstrip()
                for row in args["rows"]
            )
            + f" -> {answer}"
        )
    if verb in ("changes", "scan") and answer is not None:
        return f"from {args.get('at_least')}/{args.get('after')} -> {[(row['key'], row.get('version', 'gone')) for row in answer['rows']]}"
    if verb == "read" and answer is not None:
        return f"{args['keys']} -> {[(row['key'], row['version']) for row in answer]}"
    if verb == "find":
        return f"{args['conditions']} -> {answer}"
    return "" if verb == "describe" else str(answer)


def _short(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!s}" for name, value in fields.items())


class StoryWire:
    """How a worker's connector reaches a system."""

    def __init__(self, meddler: Meddler, role: str) -> None:
        self._meddler, self._role = meddler, role

    def call(self, verb: str, args: dict[str, Any]) -> Any:
        return self._meddler.ask(self._role, verb, args)

    def close(self) -> None:
        """There is nothing to let go of."""


def opener(meddler: Meddler) -> Callable[[str, ConnectionSettings], Connector]:
    """Return what opens a worker's connections."""
    pages = meddler.ground.place.page_size
    return lambda role, _: MemoryConnector(over=StoryWire(meddler, role), page_size=pages[role])


class StoryEngine(SqliteEngine):
    """The store's SQLite, in memory: several workers may have it open, one after another or one within another's call."""

    def __init__(self, db: sqlite3.Connection, meddler: Meddler | None) -> None:
        self.read_only = False
        self._path = Path(":memory:")
        self._telling = SqliteTelling(self._path)
        self._lock = None
        self._sql = _statements
        self._db = db
        self._meddler = meddler

    def _through(self, site: str, work: Callable[[], Any]) -> Any:
        return work() if self._meddler is None else self._meddler.statement(site, work)

    def begin(self, *, later: bool = False) -> None:
        self._through("begin", super().begin)  # in memory there is no later

    def commit(self) -> None:
        self._through("commit", super().commit)

    def rows(self, sql: str, parameters: Sequence[Any] = (), *, beside: bool = False) -> list[Values]:
        found: list[Values] = self._through("statement", lambda: SqliteEngine.rows(self, sql, parameters))
        return found

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        if sql in ("BEGIN IMMEDIATE", "COMMIT"):
            return super().run(sql, parameters)
        count: int = self._through("statement", lambda: SqliteEngine.run(self, sql, parameters))
        return count

    def hold(self, sql: str, parameters: Sequence[Any], lost: BridgeError) -> None:
        self._through("statement", lambda: SqliteEngine.hold(self, sql, parameters, lost))

    def insert(self, bulk: Bulk, rows: Any, conflict: str = "") -> None:
        self._through("statement", lambda: SqliteEngine.insert(self, bulk, rows, conflict))

    def update(self, bulk: Bulk, rows: Any, known_by: int = 1) -> int:
        count: int = self._through("statement", lambda: SqliteEngine.update(self, bulk, rows, known_by))
        return count

    def close(self) -> None:
        """The database outlives the worker."""


_statements: dict[str, str] = {}


@cache
def _scratch() -> str:
    """Return a folder for this process's plans, in memory where there is such a place."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    place = tempfile.TemporaryDirectory(prefix="stories-", dir=memory if memory.is_dir() else None)
    _kept.append(place)
    return place.name


_kept: list[tempfile.TemporaryDirectory[str]] = []


@cache
def _empty_store() -> bytes:
    """Return the file of a store that is new."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "store.db"
        open_store(f"sqlite:///{path}").close()
        db = sqlite3.connect(path)
        db.execute("PRAGMA journal_mode = DELETE")
        db.close()
        return path.read_bytes()
