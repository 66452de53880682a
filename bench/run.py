"""The benchmarks: `make bench`. Prints figures and ratios, and writes them to bench/latest.json (a flat object).

Data: customers on two sides as CSV, 15 columns, with a fixed seed; 92 % the same companies, 1 % of them spelled otherwise and without a tax
id, 0.5 % doubles inside one side, rows in another order on each side. Each job runs in a process of its own, whose wall time and peak
memory the operating system tells. The bare floor does, for the same rows, what no bridge can do without: parse both files, map each row
by a comprehension, and upsert three rows a record (golden, link, target) into SQLite with their indexes live. Ratios within one run are
what counts; the median of several runs is taken.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
CRM = [
    "Id",
    "Name",
    "Type",
    "Active",
    "VAT",
    "Email",
    "Phone",
    "Website",
    "Street",
    "City",
    "PostalCode",
    "Country",
    "Currency",
    "Limit",
    "Owner",
]
ERP = [
    *["Internal ID", "Company Name", "Category", "Inactive", "VAT Number", "Email", "Phone", "Web Address", "Address 1", "City", "Zip"],
    *["Country", "Currency", "Credit Limit", "Sales Rep"],
]
KINDS = [("Customer - Direct", "Corporate"), ("Prospect", "Lead"), ("Channel Partner", "Reseller"), ("Other", "Miscellaneous")]
MONEY = [("EUR", "Euro"), ("USD", "US Dollar"), ("GBP", "British pound")]
LANDS = ["Germany", "France", "Netherlands", "United Kingdom", "United States"]
SYLLABLES = [consonant + vowel for consonant in "bdklmnrs" for vowel in "aeiou"]


def make(folder: Path, count: int) -> None:
    """Write the two files of ``count`` customers each."""
    chance = random.Random(20_260)
    crm: list[list[str]] = []
    erp: list[list[str]] = []

    def word(n: int) -> str:
        return "".join(chance.choice(SYLLABLES) for _ in range(n)).capitalize()

    number = 0
    while len(crm) < count or len(erp) < count:
        number += 1
        name, town = f"{word(4)} {word(3)}", word(3)
        kind, money, land = chance.choice(KINDS), chance.choice(MONEY), chance.choice(LANDS)
        vat, zip_code, street = (
            f"DE{100_000_000 + number}",
            f"{10_000 + chance.randrange(89_999)}",
            f"{word(4)}str. {chance.randrange(200)}",
        )
        mail, phone, web = f"info@{name.replace(' ', '').lower()}.example", f"+49 30 {1_000_000 + number}", f"www.{number}.example"
        limit = f"{chance.randrange(1, 90) * 500:,}.00"
        owner = f"rep{chance.randrange(40)}"
        dice = chance.random()
        in_crm, in_erp = dice < 0.96, dice < 0.92 or dice >= 0.96
        left = [
            f"001{number:09d}",
            name + " GmbH",
            kind[0],
            "Yes",
            vat,
            mail,
            phone,
            web,
            street,
            town,
            zip_code,
            land,
            money[0],
            limit.replace(",", ""),
            owner,
        ]
        right = [
            str(number + 7),
            name + " GmbH",
            kind[1],
            "No",
            vat,
            mail,
            phone,
            web,
            street,
            town,
            zip_code,
            land,
            money[1],
            limit,
            owner,
        ]
        if in_crm and in_erp and chance.random() < 0.01:
            right[1], right[4] = name.split(maxsplit=1)[0] + " Handels GmbH", ""
        if in_crm and len(crm) < count:
            crm.append(left)
            if chance.random() < 0.005 and len(crm) < count:
                crm.append([f"00X{number:09d}", *left[1:]])
        if in_erp and len(erp) < count:
            erp.append(right)
    chance.shuffle(crm)
    chance.shuffle(erp)
    for name, head, rows in (("crm/accounts.csv", CRM, crm), ("erp/customers.csv", ERP, erp)):
        _write(folder / name, head, rows)


def _write(path: Path, head: list[str], rows: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
    # The connector does not trust a file that was touched a moment ago; a file at rest is what is measured.
    os.utime(path, (time.time() - 60, time.time() - 60))


def rewrite(folder: Path) -> None:
    """Write both files again with the same bytes under a new time."""
    for path in _files(folder):
        path.write_bytes(path.read_bytes())
        os.utime(path, (time.time() - 30, time.time() - 30))


def shuffle(folder: Path) -> None:
    """Write both files again with their rows in another order."""
    chance = random.Random(4)
    for path in _files(folder):
        head, rows = _read(path)
        chance.shuffle(rows)
        _write(path, head, rows)


def change(folder: Path, share: float = 0.01) -> None:
    """Change one field of 1 % of the rows on each side, another field on the other side; 0.1 % clash."""
    chance = random.Random(5)
    (crm, erp) = _files(folder)
    for path, field, clashing in ((crm, 6, 7), (erp, 8, 7)):
        head, rows = _read(path)
        rows.sort(key=lambda row: row[4])
        for row in rows[:: round(1 / share)]:
            row[field] += " x"
        for row in rows[7 :: round(10 / share)]:
            row[clashing] = f"www.{path.stem}-{row[0]}.example"
        chance.shuffle(rows)
        _write(path, head, rows)


def _files(folder: Path) -> tuple[Path, Path]:
    return folder / "crm/accounts.csv", folder / "erp/customers.csv"


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        return next(reader), list(reader)


def configure(folder: Path) -> None:
    """Write the configuration of the flow ``bench``."""
    (folder / ".erpcrm-bridge").mkdir(exist_ok=True)
    shutil.copytree(HERE / "mappings", folder / "mappings", dirs_exist_ok=True)
    (folder / "config.yaml").write_text(
        """apiVersion: erpcrm-bridge/v1
store: {url: "sqlite:///./.erpcrm-bridge/store.db"}
mappings: [./mappings]
connections:
  crm-files: {connector: csv, settings: {folder: ./crm, dialect: plain, streams: {accounts.csv: {key: Id}}}}
  erp-files: {connector: csv, settings: {folder: ./erp, dialect: plain, streams: {customers.csv: {key: Internal ID}}}}
flows:
  bench:
    roles: {crm: crm-files, erp: erp-files}
    entities:
      customer: {mappings: {crm: [bench-crm], erp: [bench-erp]}, create_in: []}
    brakes: {creates: null, changed: null, deletes: null, reverts: null}
"""
    )


def bridge(folder: Path, *, adopting: bool = False) -> dict[str, int]:
    """One run of the flow; returns its counts."""
    from erpcrm_bridge.settings import load
    from erpcrm_bridge.sync.run import apply_plan, run_flow
    from erpcrm_bridge.work import at_work

    settings = load(folder / "config.yaml", {})
    with at_work(settings, "bench") as (flow, store, fence):
        report = run_flow(flow, store, folder=folder, fence=fence, write=not adopting, adopting=adopting)
        counts = dict(report.counts)
    if adopting and report.plan:
        with at_work(settings, "bench") as (flow, store, fence):
            applied = apply_plan(flow, store, Path(report.plan), fence=fence)
            counts |= applied.counts
    return counts


def floor(folder: Path) -> dict[str, int]:
    """The bare floor for both files."""
    path = folder / "floor.db"
    path.unlink(missing_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    for name in ("golden", "link", "target"):
        columns = ", ".join(f"c{i} TEXT" for i in range(14))
        db.execute(f"CREATE TABLE {name} (key TEXT PRIMARY KEY, {columns})")
    db.execute("CREATE UNIQUE INDEX link_other ON link (c0)")
    kinds = dict(KINDS) | {b: a for a, b in KINDS}
    rows_done = 0
    marks = ", ".join("?" * 15)
    sets = ", ".join(f"c{i} = excluded.c{i}" for i in range(14))
    for side, file in enumerate(_files(folder)):
        with file.open(newline="", encoding="utf-8") as opened:
            reader = csv.reader(opened)
            next(reader)
            while batch := [row for _, row in zip(range(10_000), reader, strict=False)]:
                rows_done += len(batch)
                mapped = [
                    (
                        f"{side}{r[0]}",
                        f"{side}{r[0]}",
                        r[1].strip(),
                        kinds.get(r[2]),
                        r[3] == "Yes",
                        r[4].upper(),
                        r[5].strip().lower(),
                        *r[6:14],
                    )
                    for r in batch
                ]
                db.execute("BEGIN")
                for name in ("golden", "link", "target"):
                    db.executemany(f"INSERT INTO {name} VALUES ({marks}) ON CONFLICT (key) DO UPDATE SET {sets}", mapped)
                db.execute("COMMIT")
    db.close()
    return {"rows": rows_done}


JOBS: dict[str, Callable[[Path], dict[str, int] | None]] = {
    "floor": floor,
    "first join": lambda folder: bridge(folder, adopting=True),
    "untouched": bridge,
    "rewrite": rewrite,
    "rewritten": bridge,
    "shuffle": shuffle,
    "shuffled": bridge,
    "change": change,
    "1 % changed": bridge,
}
"""In their order; those that return nothing make ready for the next and are not reported."""


def measured(name: str, folder: Path) -> tuple[float, float, dict[str, int]]:
    """Run a job in a process of its own; return wall seconds, peak memory in MB, and what it counted."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, __file__, "--job", name, "--folder", str(folder)], stdout=subprocess.PIPE)
    said = child.stdout.read() if child.stdout else b""
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"the job {name!r} of the benchmark failed")
    return wall, usage.ru_maxrss / 1024, json.loads(said)


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmarks of erpcrm-bridge.")
    parser.add_argument("--count", type=int, default=100_000, help="customers on each side")
    parser.add_argument("--runs", type=int, default=3, help="runs; the median is taken")
    parser.add_argument("--full", action="store_true", help="a million customers on each side, once")
    parser.add_argument("--job", choices=list(JOBS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=HERE / "work", help="where the files and the store lie meanwhile")
    options = parser.parse_args()
    if options.job:
        print(json.dumps(JOBS[options.job](options.folder) or {}))
        return
    count, runs = (1_000_000, 1) if options.full else (options.count, options.runs)
    jobs: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    counted: dict[str, dict[str, int]] = {}
    for run in range(runs):
        shutil.rmtree(options.folder, ignore_errors=True)
        options.folder.mkdir(parents=True)
        make(options.folder, count)
        configure(options.folder)
        for name in JOBS:
            wall, peak, counts = measured(name, options.folder)
            if name not in ("rewrite", "shuffle", "change"):
                jobs.setdefault(name, []).append(wall)
                peaks[name] = max(peaks.get(name, 0.0), peak)
                counted[name] = counts
        print(f"run {run + 1} of {runs}: " + ", ".join(f"{name} {seconds[-1]:.2f} s" for name, seconds in jobs.items()), flush=True)
    shutil.rmtree(options.folder, ignore_errors=True)
    report(count, runs, jobs, peaks, counted)


def report(count: int, runs: int, jobs: dict[str, list[float]], peaks: dict[str, float], counted: dict[str, dict[str, int]]) -> None:
    ratios = {name: statistics.median(a / b for a, b in zip(seconds, jobs["floor"], strict=True)) for name, seconds in jobs.items()}
    print(f"\n{count:,} customers a side, median of {runs}, {os.cpu_count()} cores")
    print(f"{'job':<14}{'seconds':>9}{'/ floor':>9}{'peak MB':>9}{'records/s':>11}  counts")
    flat: dict[str, float | int] = {"customers": count, "runs": runs}
    for name, seconds in jobs.items():
        wall = statistics.median(seconds)
        told = ", ".join(f"{key} {value}" for key, value in counted[name].items())
        print(f"{name:<14}{wall:>9.2f}{ratios[name]:>9.2f}{peaks[name]:>9.0f}{2 * count / wall:>11,.0f}  {told}")
        key = name.replace("%", "percent").replace(" ", "_")
        flat |= {f"{key}_seconds": round(wall, 3), f"{key}_to_floor": round(ratios[name], 3), f"{key}_peak_mb": round(peaks[name])}
    (HERE / "latest.json").write_text(json.dumps(flat, indent=1) + "\n")


if __name__ == "__main__":
    main()
