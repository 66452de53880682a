"""How fast the Odoo connector is beside a bare loop over the same calls, on the server that ERPCRM_ODOO_URL, _DB, _USER and _KEY name.

`python bench/odoo.py` makes partners until there are 50,000 in that database (one of its own: they stay), reads them all as the shipped
mapping of customers selects them, and updates 5,000. The bare loop sends the connector's own requests once more, byte for byte, one after
the other over one httpx client, and looks at no answer; of a write it says another street, as long. Both take turns, so that a slow minute
of the machine meets both; the medians count. The goal is 90 % of the bare loop.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import httpx

from erpcrm_bridge.connector import Applied, Budget, Record, Selection, Write
from erpcrm_bridge.mapping import load_library, shipped
from erpcrm_bridge.mapping.check import Against
from erpcrm_bridge_odoo import OdooConnector, OdooSettings
from erpcrm_bridge_odoo.rpc import Server

GOAL = 0.9
MADE_AT_ONCE = 1000
VARIABLES = {"url": "ERPCRM_ODOO_URL", "database": "ERPCRM_ODOO_DB", "user": "ERPCRM_ODOO_USER", "key": "ERPCRM_ODOO_KEY"}
MARKS = (b"Street of lap A", b"Street of lap B")  # as long as each other: the bare loop writes the other one


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


def read(connector: OdooConnector, selection: Selection) -> tuple[list[Record], float]:
    began = time.perf_counter()
    records = [change.record for page in connector.read_changes(selection, None) for change in page.changes if change.record is not None]
    return records, time.perf_counter() - began


def write(connector: OdooConnector, selection: Selection, records: Sequence[Record], mark: bytes, batch: int) -> float:
    """Write another street to each record, each its own, as a flow does; return the seconds. Raises SystemExit where one is not applied."""
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
    began = time.perf_counter()
    outcomes = [one for start in range(0, len(writes), batch) for one in connector.write(selection, writes[start : start + batch])]
    seconds = time.perf_counter() - began
    if refused := [one for one in outcomes if not isinstance(one, Applied)]:
        sys.exit(f"{len(refused)} of {len(writes)} were not applied, the first: {refused[0]}")
    return seconds


def bare(calls: Sequence[httpx.Request], change: tuple[bytes, bytes] = (b"", b"")) -> float:
    """Send the calls once more; return the seconds."""
    said = [
        (call.method, str(call.url), dict(call.headers), call.content.replace(*change) if change[0] else call.content) for call in calls
    ]
    with httpx.Client(timeout=150, trust_env=False) as client:
        began = time.perf_counter()
        for method, url, headers, body in said:
            client.request(method, url, headers=headers, content=body).raise_for_status()
        return time.perf_counter() - began


def told(what: str, records: int, calls: int, ours: Sequence[float], loop: Sequence[float]) -> bool:
    """Print a line of the table; return whether the goal is reached."""
    seconds, floor = statistics.median(ours), statistics.median(loop)
    ratio = floor / seconds
    laps = ", ".join(f"{one:.1f}/{two:.1f}" for one, two in zip(ours, loop, strict=True))
    end = "ok" if ratio >= GOAL else "missed"
    speeds = f"connector {records / seconds:>5.0f} a second  bare loop {records / floor:>5.0f} a second"
    print(
        f"{end:<7} {what:<11} {records:>6} records {calls:>5} calls  {speeds}  {100 * ratio:.0f} %, goal ≥ {100 * GOAL:.0f} %", flush=True
    )
    print(f"        laps, connector/bare loop, in seconds: {laps}", flush=True)
    return ratio >= GOAL


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--partners", type=int, default=50_000)
    options.add_argument("--writes", type=int, default=5_000)
    options.add_argument("--laps", type=int, default=3)
    options.add_argument("--parallel", type=int, default=1, help="calls at once that the connection's budget allows")
    given = options.parse_args()
    names = {name: os.environ.get(variable) for name, variable in VARIABLES.items()}
    if not all(names.values()):
        sys.exit("ERPCRM_ODOO_URL, _DB, _USER and _KEY name the server.")
    said: dict[str, Any] = {**names, "streams": ("res.partner", "res.partner.address")}
    settings = OdooSettings.model_validate(said)
    fill(settings, given.partners)
    connector, wire, selection = connect(settings, given.parallel)
    print(f"Odoo {connector._server.version} over {connector._server.face}", flush=True)

    ours, loop = [], []
    records, _ = read(connector, selection)  # warms the server; counts for nothing
    for _ in range(given.laps):
        wire.calls.clear()
        records, seconds = read(connector, selection)
        ours.append(seconds)
        loop.append(bare(wire.calls))
    good = told("first read", len(records), len(wire.calls), ours, loop)

    ours, loop = [], []
    some = [record.key for record in records if record.fields["street"]][: given.writes]
    for _ in range(given.laps):
        present = connector.read(selection, some)
        wire.calls.clear()
        ours.append(write(connector, selection, present, MARKS[0], settings.batch))
        loop.append(bare(wire.calls, MARKS))
    good &= told("write", len(some), len(wire.calls), ours, loop)
    connector.close()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
