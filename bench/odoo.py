"""How fast the Odoo connector is beside a bare loop over the same calls, on the server that ERPCRM_ODOO_URL, _DB, _USER and _KEY name.

`python bench/odoo.py` makes partners until there are 50,000 in that database (one of its own: they stay), reads them all as the shipped
mapping of customers selects them, and updates 5,000. The bare loop sends the connector's own requests once more, byte for byte, one after
the other over one httpx client, and looks at no answer; of a write it says another street, as long. Both take turns, so that a slow minute
of the machine meets both; the median of the pairs' ratios counts. The goal is 90 % of the bare loop. Beside it stands the CPU time that
this process took for a record: it hardly depends on who else is on the machine.

`--server PID` (again for the database's own) gives those processes, with all that they have started, the last core for themselves, and this
process the others, until the bench ends. It needs Linux, and the server on this machine.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from erpcrm_bridge.connector import Applied, Budget, Outcome, Record, Selection, Write
from erpcrm_bridge.mapping import load_library, shipped
from erpcrm_bridge.mapping.check import Against
from erpcrm_bridge_odoo import OdooConnector, OdooSettings
from erpcrm_bridge_odoo.rpc import Server

GOAL = 0.9
MADE_AT_ONCE = 1000
VARIABLES = {"url": "ERPCRM_ODOO_URL", "database": "ERPCRM_ODOO_DB", "user": "ERPCRM_ODOO_USER", "key": "ERPCRM_ODOO_KEY"}
MARKS = (b"Street of lap A", b"Street of lap B")  # as long as each other: the bare loop writes the other one


@dataclass(frozen=True)
class Lap:
    """Seconds: what passed, and what of it this process computed."""

    seconds: float
    cpu: float


def timed(work: Callable[[], object]) -> Lap:
    began, computed = time.perf_counter(), time.process_time()
    work()
    return Lap(time.perf_counter() - began, time.process_time() - computed)


def threads_of(roots: Sequence[int]) -> list[int]:
    """Return the threads of these processes and of all that they have started."""
    parents: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents.setdefault(int(place.read_text().rpartition(")")[2].split()[1]), []).append(int(place.parent.name))
        except OSError:
            continue
    found, left = [], list(roots)
    while left:
        found.append(left.pop())
        left += parents.get(found[-1], [])
    return [int(thread.name) for process in found for thread in Path(f"/proc/{process}/task").iterdir()]


@contextmanager
def apart(servers: Sequence[int]) -> Iterator[None]:
    """Keep these servers on the last core and this process off it; afterwards all may go where they might before."""
    cores = os.sched_getaffinity(0)
    if not servers:
        yield
        return
    if len(cores) < 2:
        sys.exit("One core is no room for a server of its own and the bench.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was moved is moved back
    own = {thread: cores - {max(cores)} for thread in threads_of([os.getpid()])}
    theirs = {thread: {max(cores)} for thread in threads_of(servers)}
    try:
        pin({**theirs, **own})
        yield
    finally:
        pin(dict.fromkeys((*own, *threads_of(servers)), cores))


def pin(places: dict[int, set[int]]) -> None:
    for thread, cores in places.items():
        try:
            os.sched_setaffinity(thread, cores)
        except ProcessLookupError:
            continue  # it has ended meanwhile


class Recorder(httpx.BaseTransport):
    """The way to the server. ``calls`` are the requests that went over it since it was last emptied."""

    def __init__(self) -> None:
        self._way = httpx.HTTPTransport()
        self.calls: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        return self._way.handle_request(request)

    def close(self) -> None:
        self._way.close()


def connect(settings: OdooSettings, parallel: int) -> tuple[OdooConnector, Recorder, Selection]:
    """Return a connector that has described its server, its recorder, and what the mapping of customers selects."""
    wire = Recorder()
    connector = OdooConnector(settings, budget=Budget(parallel=parallel), transport=wire)
    told = connector.describe()
    spec = load_library([shipped()]).specs["customer/odoo"]
    return connector, wire, Against("odoo", told).compile(spec).selection


def fill(settings: OdooSettings, partners: int) -> None:
    """Make partners until there are so many."""
    server = Server(settings, budget=Budget())
    there = server.call("res.partner", "search_count", domain=[])
    for start in range(there, partners, MADE_AT_ONCE):
        some = range(start, min(start + MADE_AT_ONCE, partners))
        values = [
            {
                "name": f"Bench partner {number}",
                "is_company": True,
                "customer_rank": 1,
                "ref": f"BENCH-{number}",
                "street": f"Street {number}",
                "zip": str(10000 + number),
                "city": f"Town {number % 500}",
                "email": f"p{number}@bench.example",
                "phone": f"+49 40 {number}",
            }
            for number in some
        ]
        server.call("res.partner", "create", lane="write", vals_list=values)
    server.close()


def read(connector: OdooConnector, selection: Selection) -> list[str]:
    """Read the whole stream, page by page, as a flow does; return the keys of records that have a street."""
    keys = []
    for page in connector.read_changes(selection, None):
        keys += [change.key for change in page.changes if change.record is not None and change.record.fields["street"]]
    return keys


def write(connector: OdooConnector, selection: Selection, records: Sequence[Record], mark: bytes, batch: int) -> Lap:
    """Write another street to each record, each its own, as a flow does. Raises SystemExit where one is not applied."""
    writes = [
        Write(
            record.key,
            "update",
            record.key,
            {"street": f"{mark.decode()} {record.key}"},
            record.version,
            {"street": record.fields["street"]},
        )
        for record in records
    ]
    outcomes: list[Outcome] = []

    def work() -> None:
        for start in range(0, len(writes), batch):
            outcomes.extend(connector.write(selection, writes[start : start + batch]))

    lap = timed(work)
    if refused := [one for one in outcomes if not isinstance(one, Applied)]:
        sys.exit(f"{len(refused)} of {len(writes)} were not applied, the first: {refused[0]}")
    return lap


def bare(calls: Sequence[httpx.Request], change: tuple[bytes, bytes] = (b"", b"")) -> Lap:
    """Send the calls once more."""
    said = [
        (call.method, str(call.url), dict(call.headers), call.content.replace(*change) if change[0] else call.content) for call in calls
    ]
    with httpx.Client(timeout=150, trust_env=False) as client:

        def work() -> None:
            for method, url, headers, body in said:
                client.request(method, url, headers=headers, content=body).raise_for_status()

        return timed(work)


def told(what: str, records: int, calls: int, laps: Sequence[tuple[Lap, Lap]]) -> bool:
    """Print a line of the table; return whether the goal is reached."""
    ratio = statistics.median(loop.seconds / ours.seconds for ours, loop in laps)
    speeds = [records / statistics.median(pair[which].seconds for pair in laps) for which in (0, 1)]
    cpu = [1e6 * statistics.median(pair[which].cpu for pair in laps) / records for which in (0, 1)]
    ours, loop = (f"{speed:>5.0f} a second, {each:.0f} µs of CPU each" for speed, each in zip(speeds, cpu, strict=True))
    end = "ok" if ratio >= GOAL else "missed"
    print(f"{end:<7} {what:<11} {records:>6} records {calls:>5} calls  connector {ours}  bare loop {loop}")
    print(f"        {100 * ratio:.0f} % of the bare loop, goal ≥ {100 * GOAL:.0f} %")
    print(f"        laps, connector/bare loop, in seconds: {', '.join(f'{a.seconds:.1f}/{b.seconds:.1f}' for a, b in laps)}", flush=True)
    return ratio >= GOAL


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--partners", type=int, default=50_000)
    options.add_argument("--writes", type=int, default=5_000)
    options.add_argument("--laps", type=int, default=5)
    options.add_argument("--parallel", type=int, default=1, help="calls at once that the connection's budget allows")
    options.add_argument("--server", type=int, action="append", default=[], metavar="PID", help="a process that gets a core for itself")
    given = options.parse_args()
    names = {name: os.environ.get(variable) for name, variable in VARIABLES.items()}
    if not all(names.values()):
        sys.exit("ERPCRM_ODOO_URL, _DB, _USER and _KEY name the server.")
    said: dict[str, Any] = {**names, "streams": ("res.partner", "res.partner.address")}
    settings = OdooSettings.model_validate(said)
    fill(settings, given.partners)
    with apart(given.server):
        sys.exit(0 if measured(settings, given) else 1)


def measured(settings: OdooSettings, given: argparse.Namespace) -> bool:
    """Measure both jobs; return whether the goal is reached."""
    connector, wire, selection = connect(settings, given.parallel)
    where = "the server on a core of its own" if given.server else "the server anywhere"
    print(f"Odoo {connector._server.version} over {connector._server.face}, {where}; load {os.getloadavg()[0]:.1f}", flush=True)

    laps = []
    keys = read(connector, selection)  # warms the server; counts for nothing
    for _ in range(given.laps):
        wire.calls.clear()
        ours = timed(lambda: read(connector, selection))
        laps.append((ours, bare(wire.calls)))
    good = told("first read", len(keys), len(wire.calls), laps)

    laps = []
    some = keys[: given.writes]
    for _ in range(given.laps):
        present = connector.read(selection, some)
        wire.calls.clear()
        ours = write(connector, selection, present, MARKS[0], settings.batch)
        laps.append((ours, bare(wire.calls, MARKS)))
    good &= told("write", len(some), len(wire.calls), laps)
    connector.close()
    return good


if __name__ == "__main__":
    main()
