"""Peak memory of reading and writing CSV files, at two sizes; each figure is that of a process of its own.

``python bench/csv_memory.py`` prints them at 100,000 and at 1,000,000 rows, or as many as ``--rows`` says. Documents have three lines each,
in a second file.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from erpcrm_bridge.connector import Child, Selection, Write
from erpcrm_bridge_csv import CsvConnector, CsvSettings

ROWS = (100_000, 1_000_000)
EDITS = 2_000
"""so many rows are changed, and as many created, by one write, as the engine does"""
NAMES = tuple(f"F{n:02d}" for n in range(18))
FLAT = Selection("Flat.csv", "Id", NAMES, "Ref")
WITH_LINES = Selection("Order.csv", "Id", NAMES, "Ref", (Child("Line.csv", "Order", "Id", ("Sku", "Quantity")),))


def fill(folder: Path, rows: int) -> None:
    """Write a file of 20 columns, the same as documents, and three lines for each document, in another order."""
    head = ",".join(("Id", "Ref", *NAMES))
    for name in ("Flat.csv", "Order.csv"):
        with (folder / name).open("w") as out:
            out.write(head + "\n")
            for n in range(rows):
                key = n * 7919 % rows if name == "Flat.csv" else n
                out.write(f"{key:08d},,{','.join(f'{column}-{key}' for column in NAMES)}\n")
    with (folder / "Line.csv").open("w") as out:
        out.write("Id,Order,Sku,Quantity\n")
        for n in range(3 * rows):
            out.write(f"L{n},{n // 3:08d},S{n % 977},{n % 9 + 1}\n")


def connector(folder: Path) -> CsvConnector:
    streams = {name: {"assigns_keys": {"bridge": "counter"}} for name in ("Flat.csv", "Order.csv", "Line.csv")}
    return CsvConnector(CsvSettings.model_validate({"folder": folder, "streams": streams}))


def read(folder: Path, selection: Selection) -> None:
    for _ in connector(folder).read_changes(selection, None):
        pass


def write(folder: Path, selection: Selection, rows: int) -> None:
    one = connector(folder)
    keys = [f"{n * rows // EDITS:08d}" for n in range(EDITS)]
    outcomes = one.write(selection, [Write(key, "update", key, {"F00": "edited"}) for key in keys])
    outcomes += one.write(selection, [Write(key, "create", None, {"F00": "new"}, reference=f"G{key}") for key in keys])
    assert {type(outcome).__name__ for outcome in outcomes} == {"Applied"}


JOBS: dict[str, Callable[[Path, int], None]] = {
    "read": lambda folder, _: read(folder, FLAT),
    "read with lines": lambda folder, _: read(folder, WITH_LINES),
    "write": lambda folder, rows: write(folder, FLAT, rows),
    "write with lines": lambda folder, rows: write(folder, WITH_LINES, rows),
}


def measured(job: str, folder: Path, rows: int) -> tuple[float, int]:
    """Return the seconds and the peak memory (kB) of a process that does the job."""
    done = subprocess.run([sys.executable, __file__, "--job", job, str(folder), str(rows)], capture_output=True, text=True, check=True)
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak)


def do(job: str, folder: Path, rows: int) -> None:
    start = time.perf_counter()
    JOBS[job](folder, rows)
    print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    arguments.add_argument("--job", nargs=3, metavar=("JOB", "FOLDER", "ROWS"), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.job:
        job, folder, rows = given.job
        return do(job, Path(folder), int(rows))
    peaks: dict[str, list[int]] = {job: [] for job in JOBS}
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as place:
            fill(Path(place), rows)
            size = sum(path.stat().st_size for path in Path(place).iterdir()) // 1_000_000
            print(f"{rows:,} rows ({size} MB in three files)")
            for job in JOBS:
                seconds, peak = measured(job, Path(place), rows)
                peaks[job].append(peak)
                print(f"  {job:<18} {peak / 1024:7.0f} MB {seconds:8.1f} s")
    for job, found in peaks.items():
        print(f"{job:<20} greatest / least peak: {max(found) / min(found):.2f}")
    return None


if __name__ == "__main__":
    main()
