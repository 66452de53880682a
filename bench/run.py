"""The benchmarks: `make bench`. Prints figures, ratios and the gates, writes them to bench/latest.json (a flat object) and draws
docs/growth.svg.

Data: customers on two sides as CSV, 15 columns, with a fixed seed; 92 % the same companies, 1 % of them spelled otherwise and without a tax
id, 0.5 % doubles inside one side, rows in another order on each side. Each job runs in a process of its own, whose wall time, CPU time (its
threads and children too) and peak memory (with its children) the operating system tells. The bare floor does, for the same rows, what no
bridge can do without: parse both files, map each row by a comprehension, and upsert three rows a record (golden, link, target) into SQLite
with their indexes live. dlt loads one side into SQLite, with a primary key, in the same run: what is compared with it is the time a record.
Ratios within one run are what counts; the median of several runs is taken. On a machine that others use as well, `--clock cpu` takes the
ratios from CPU time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from data import HERE, configure, make
from jobs import JOBS
from plot import draw

OURS = ("first join", "untouched", "rewritten", "shuffled", "1 % changed", "4,000 edits")
GROWING = ("floor", "first join", "shuffled", "1 % changed")
MAKING_READY = ("make", "rewrite", "shuffle", "change")
BUCARDO = 1.19
"""Seconds that Bucardo took for 4,000 edits with 1,000 clashes among 100,000, PostgreSQL to PostgreSQL, on two quiet cores."""


class Times(NamedTuple):
    """One job: wall and CPU seconds, peak memory in MB."""

    wall: float
    cpu: float
    peak: float


class Memory:
    """Looks, while it is entered, at the memory of a process and its children: ``peak`` in kB is the most that they took together."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid
        self._done = threading.Event()
        self._looking = threading.Thread(target=self._look)

    def __enter__(self) -> Memory:
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._done.wait(0.05):
            self.peak = max(self.peak, self._taken(self._pid))

    def _taken(self, pid: int) -> int:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:  # it has ended, or this is no Linux
            return 0
        most = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
        return most + sum(self._taken(int(child)) for child in children)


class Gate(NamedTuple):
    """One line of the goals: what was found, and what it is to be at most or at least."""

    what: str
    found: float
    limit: float
    at_most: bool = False
    unit: str = "×"

    @property
    def ok(self) -> bool:
        return self.found <= self.limit if self.at_most else self.found >= self.limit

    def __str__(self) -> str:
        goal = f"{'≤' if self.at_most else '≥'} {self.limit:g} {self.unit}"
        return f"{'ok    ' if self.ok else 'missed'}  {self.what:<58}{self.found:>8.2f} {self.unit:<3} goal {goal}"


def measured(name: str, folder: Path, count: int) -> tuple[Times, dict[str, float]]:
    """Run a job in a process of its own, when all that was written before is on the disk; return its times and what it counted."""
    os.sync()
    start = time.perf_counter()
    # This process stays small, for the peak of a child begins with that of its parent.
    command = [sys.executable, __file__, "--job", name, "--folder", str(folder), "--count", str(count)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # as what is installed runs
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    with Memory(child.pid) as memory:
        said = child.stdout.read() if child.stdout else b""
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"the job {name!r} of the benchmark failed")
    counts = json.loads(said.splitlines()[-1])
    times = Times(counts.pop("seconds", wall), counts.pop("cpu", usage.ru_utime + usage.ru_stime), max(memory.peak, usage.ru_maxrss) / 1024)
    return times, counts


class Size:
    """All that was measured at one number of customers a side."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.runs: dict[str, list[Times]] = {}
        self.counted: dict[str, dict[str, float]] = {}

    def measure(self, folder: Path, jobs: list[str]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        configure(folder)
        for name in ("make", *jobs):
            times, counts = measured(name, folder, self.count)
            if name not in MAKING_READY:
                self.runs.setdefault(name, []).append(times)
                self.counted[name] = counts
                print(
                    f"  {self.count:,} {name}: {times.wall:.2f} s, {times.cpu:.2f} s CPU, {times.peak:.0f} MB", file=sys.stderr, flush=True
                )
        shutil.rmtree(folder, ignore_errors=True)

    def middle(self, name: str, clock: str) -> float:
        return statistics.median(getattr(times, clock) for times in self.runs[name])

    def ratio(self, name: str, other: str, clock: str) -> float:
        pairs = zip(self.runs[name], self.runs[other], strict=True)
        return statistics.median(getattr(a, clock) / getattr(b, clock) for a, b in pairs)

    def peak(self, name: str) -> float:
        return max(times.peak for times in self.runs[name])


def gates(size: Size, small: Size, clock: str) -> list[Gate]:
    """Return the goals with what was found. What is compared with dlt is the time a record: dlt loads one side, we join two."""

    def faster(dlt: str, ours: str) -> float:
        return 2 * size.ratio(dlt, ours, clock)

    found = [Gate("first join, against the bare floor", size.ratio("first join", "floor", clock), 3, at_most=True)]
    found.append(Gate("first join, faster a record than dlt (dicts)", faster("dlt dicts first", "first join"), 2))
    for ours, what in (("rewritten", "nothing changed, files rewritten"), ("shuffled", "nothing changed, rows shuffled")):
        found.append(Gate(f"{what}, faster than dlt (dicts)", faster("dlt dicts unchanged", ours), 12))
        found.append(Gate(f"{what}, faster than dlt (arrow)", faster("dlt arrow unchanged", ours), 4.5))
    found.append(Gate("1 % changed, faster than dlt (dicts)", faster("dlt dicts 1 % changed", "1 % changed"), 10))
    found.append(Gate("1 % changed, faster than dlt (arrow)", faster("dlt arrow 1 % changed", "1 % changed"), 3.5))
    if size.count == 100_000:
        found.append(Gate("4,000 edits with 1,000 clashes among 100,000", size.middle("4,000 edits", clock), BUCARDO / 2, True, "s"))
    highest = max(OURS[:-1], key=size.peak)  # the last one's process holds the records of both systems as well
    found.append(Gate(f"peak memory ({highest})", size.peak(highest), 300, True, "MB"))
    if size.count >= 1_000_000:
        grown = max(size.peak(name) / small.peak(name) for name in GROWING if name in OURS)
        found.append(Gate("peak memory at 1,000,000 against that at 100,000", grown, 1.2, at_most=True))
    mapped, started = size.counted["mapping"], size.counted["starting"]
    found.append(Gate("mapping, against a function written by hand", mapped["compiled"] / mapped["by hand"], 0.75))
    found.append(Gate("--help, against importing typer alone", started["--help"] / started["import typer"], 3, at_most=True))
    return found


def report(size: Size, sizes: list[Size], clock: str) -> dict[str, float]:
    """Print the tables; return all figures, flat."""
    print(f"\n{size.count:,} customers a side, median of {len(size.runs['floor'])}, {os.cpu_count()} cores")
    print(f"{'job':<22}{'wall s':>9}{'CPU s':>9}{'/ floor':>9}{'CPU':>7}{'peak MB':>9}  counts")
    flat: dict[str, float] = {"customers": size.count, "runs": len(size.runs["floor"])}
    for name in size.runs:
        wall, cpu = size.middle(name, "wall"), size.middle(name, "cpu")
        to_floor, cpu_to_floor = (size.ratio(name, "floor", clock) for clock in ("wall", "cpu"))
        told = ", ".join(f"{key} {value:g}" for key, value in size.counted[name].items())
        print(f"{name:<22}{wall:>9.2f}{cpu:>9.2f}{to_floor:>9.2f}{cpu_to_floor:>7.2f}{size.peak(name):>9.0f}  {told}")
        key = name.replace("%", "percent").replace(",", "").replace("-", "").replace(" ", "_")
        flat |= {f"{key}_seconds": round(wall, 3), f"{key}_cpu_seconds": round(cpu, 3), f"{key}_to_floor": round(to_floor, 3)}
        flat |= {f"{key}_cpu_to_floor": round(cpu_to_floor, 3), f"{key}_peak_mb": round(size.peak(name))}
    print(f"\nHow CPU time grows, µs a record:\n{'customers a side':<22}" + "".join(f"{name:>14}" for name in GROWING) + f"{'peak MB':>9}")
    for one in sizes:
        each = {name: one.middle(name, "cpu") / (2 * one.count) * 1e6 for name in GROWING}
        print(f"{one.count:<22,}" + "".join(f"{each[name]:>14.1f}" for name in GROWING) + f"{one.peak('first join'):>9.0f}")
        flat |= {f"{name.replace('%', 'percent').replace(' ', '_')}_us_a_record_at_{one.count}": round(each[name], 1) for name in GROWING}
    print(f"\nGates, by {'wall' if clock == 'wall' else 'CPU'} time")
    hundred = next((one for one in sizes if one.count == 100_000), size)
    for gate in gates(size, hundred, clock):
        print(gate)
    return flat


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmarks of erpcrm-bridge.")
    parser.add_argument("--count", type=int, default=100_000, help="customers on each side")
    parser.add_argument("--runs", type=int, default=3, help="runs at this count; the median is taken")
    parser.add_argument("--full", action="store_true", help="a million customers on each side, once")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="which time the gates go by")
    parser.add_argument("--job", choices=["make", *JOBS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=HERE / "work", help="where the files and the store lie meanwhile")
    options = parser.parse_args()
    if options.job:
        job = JOBS.get(options.job) or (lambda folder: make(folder, options.count))
        print(json.dumps(job(options.folder) or {}))
        return
    count, runs = (1_000_000, 1) if options.full else (options.count, options.runs)
    sizes = [Size(smaller) for smaller in (10_000, 30_000, 100_000, 300_000) if smaller < count]
    for smaller in sizes:
        smaller.measure(options.folder, [name for name in JOBS if name in (*GROWING, *MAKING_READY)])
    size = Size(count)
    for _ in range(runs):
        size.measure(options.folder, list(JOBS))
    flat = report(size, [*sizes, size], options.clock)
    (HERE / "latest.json").write_text(json.dumps(flat, indent=1) + "\n", encoding="utf-8")
    lines = {name: [(one.count, one.middle(name, "cpu")) for one in [*sizes, size]] for name in GROWING}
    (HERE.parent / "docs" / "growth.svg").write_text(draw(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
