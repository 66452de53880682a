"""What is measured. Each job runs in a process of its own and returns what it counted; ``seconds`` and ``cpu`` among it replace the
process's own times, where only a part of the job is meant."""

from __future__ import annotations

import csv
import os
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data import KINDS, MONEY, change, files, read, rewrite, shuffle

Counted = dict[str, float]


def bridge(folder: Path, *, adopting: bool = False, opener: Callable[..., Any] | None = None) -> Counted:
    """One run of the flow; returns its counts."""
    from erpcrm_bridge.settings import load
    from erpcrm_bridge.sync.flow import open_connection
    from erpcrm_bridge.sync.run import apply_plan, run_flow
    from erpcrm_bridge.work import at_work

    settings = load(folder / "config.yaml", {})
    opener = opener or open_connection
    with at_work(settings, "bench", opener) as (flow, store, fence):
        report = run_flow(flow, store, folder=folder, fence=fence, write=not adopting, adopting=adopting)
        counts: Counted = dict(report.counts)
    if adopting and report.plan:
        with at_work(settings, "bench", opener) as (flow, store, fence):
            applied = apply_plan(flow, store, Path(report.plan), fence=fence)
            counts |= applied.counts
    return counts


def floor(folder: Path) -> Counted:
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
    for side, file in enumerate(files(folder)):
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


def dlt(folder: Path, kind: str) -> Counted:
    """dlt's merge load of one side's file into SQLite, as dicts or as arrow tables; a second run merges into what the first one made."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL", "DLT_DATA_DIR": str(folder / "dlt")}
    warnings.simplefilter("ignore")  # of dlt's about SQLAlchemy
    import dlt
    from dlt.destinations import sqlalchemy

    path, _ = files(folder)

    def dicts() -> Iterator[Any]:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            while page := [row for _, row in zip(range(10_000), rows, strict=False)]:
                yield page

    def arrow() -> Iterator[Any]:
        import pyarrow
        from pyarrow import csv as arrow_csv

        with path.open(encoding="utf-8") as file:
            texts = arrow_csv.ConvertOptions(column_types=dict.fromkeys(next(csv.reader(file)), pyarrow.string()))
        for batch in arrow_csv.open_csv(path, convert_options=texts):
            yield pyarrow.Table.from_batches([batch])

    target = sqlalchemy(f"sqlite:///{folder / 'dlt' / kind}.db", create_primary_keys=True)
    (folder / "dlt").mkdir(exist_ok=True)
    pipeline = dlt.pipeline(f"bench_{kind}", destination=target, dataset_name="main", pipelines_dir=str(folder / "dlt" / "pipelines"))
    rows = dlt.resource(dicts if kind == "dicts" else arrow, name="customers", write_disposition="merge", primary_key="id")
    pipeline.run(rows())
    with sqlite3.connect(folder / "dlt" / f"{kind}.db") as db:
        return {"rows": db.execute("SELECT count(*) FROM customers").fetchone()[0]}


def edits(folder: Path) -> Counted:
    """4,000 edits, 1,000 clashes among them, in two systems with a cursor that hold what the last run left in the files. A first run, which
    finds nothing, stores their cursors; only the one that takes the edits over is timed, as a scheduler does it that has been running: what
    it is held against was a daemon. It must be the last job: what it writes does not reach the files."""
    import json

    from logged import LoggedSystem

    crm, erp = (
        LoggedSystem(path, json.loads((path.parent / ".erpcrm-bridge.json").read_text(encoding="utf-8"))["identity"])
        for path in files(folder)
    )
    systems = {"crm-files": crm, "erp-files": erp}
    bridge(folder, opener=lambda name, _: systems[name])
    by_vat = {fields["VAT Number"]: key for key, fields in erp.records.items() if fields["VAT Number"]}
    pairs = [(key, by_vat[fields["VAT"]]) for key, fields in crm.records.items() if fields["VAT"] in by_vat and key.startswith("001")]
    share = min(1_000, len(pairs) // 4)
    for left, right in pairs[:share]:
        crm.edit(left, "Website", f"www.crm-{left}.example")
        erp.edit(right, "Web Address", f"www.erp-{right}.example")
    for left, right in pairs[share : 2 * share]:
        crm.edit(left, "Phone", f"+49 40 {left}")
        erp.edit(right, "Zip", f"9{right}"[:9])
    start, cpu = time.perf_counter(), time.process_time()
    counts = bridge(folder, opener=lambda name, _: systems[name])
    return counts | {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}


def mapping(folder: Path) -> Counted:
    """How many records a second the compiled mapping of the ERP's file reads, against a function written by hand that gives the same."""
    from logged import zip_up

    from erpcrm_bridge.mapping import compile_mapping, load_library, shipped

    head, rows = read(files(folder)[1])
    records = [zip_up(head, row) for row in rows[:20_000]]
    compiled = compile_mapping(load_library([shipped(), folder / "mappings"]).specs["customer/bench-erp"], codes={}, values={}, stream=None)
    errors: list[Any] = []
    if [compiled.get(record, {}, errors) for record in records] != [by_hand(record) for record in records] or errors:
        raise SystemExit("the function written by hand does not give what the mapping gives")
    best = {"compiled": 0.0, "by hand": 0.0}
    for _ in range(7):
        for name, get in (("compiled", lambda record: compiled.get(record, {}, errors)), ("by hand", by_hand)):
            start = time.process_time()
            for record in records:
                get(record)
            best[name] = max(best[name], len(records) / (time.process_time() - start))
    return {"compiled": round(best["compiled"]), "by hand": round(best["by hand"])}


LANDS_BY_NAME = {"germany": "DE", "france": "FR", "netherlands": "NL", "united kingdom": "GB", "united states": "US"}
KIND_OF = {"Corporate": "customer", "Lead": "prospect", "Reseller": "partner", "Miscellaneous": "other"}
STATUS_OF = {"No": "active", "Yes": "inactive"}
CODE_OF = {name: code for code, name in MONEY}


def by_hand(record: dict[str, Any]) -> dict[str, Any]:
    """What a careful person writes for the 14 rules of bench-erp: trimmed, looked up, checked, and each kind of empty told apart."""
    import re
    from decimal import Decimal

    def text(value: str | None, longest: int) -> str | None:
        if value is None:
            return None
        value = value.replace("\r\n", "\n").replace("\r", "\n").strip() or None
        if value is not None and len(value) > longest:
            raise ValueError("too long")
        return value

    vat, mail, web, limit = record["VAT Number"], record["Email"], record["Web Address"], record["Credit Limit"]
    return {
        "name": text(record["Company Name"], 255),
        "kind": KIND_OF[record["Category"]] if record["Category"] is not None else None,
        "status": STATUS_OF[record["Inactive"]] if record["Inactive"] is not None else None,
        "tax_id": re.sub(r"[^0-9A-Z+*]", "", vat.strip().upper()) or None if vat is not None else None,
        "email": text(mail.lower(), 254) if mail is not None else None,
        "phone": text(record["Phone"], 40),
        "website": text(web.lower(), 255) if web is not None else None,
        "billing.line1": text(record["Address 1"], 255),
        "billing.city": text(record["City"], 80),
        "billing.postal_code": text(record["Zip"], 20),
        "billing.country_code": LANDS_BY_NAME[record["Country"].casefold()] if record["Country"] is not None else None,
        "currency": CODE_OF[record["Currency"]] if record["Currency"] is not None else None,
        "credit_limit": Decimal(limit.replace(",", "")).quantize(Decimal("0.01")) if limit is not None else None,
        "custom.owner": text(record["Sales Rep"], 80),
    }


def starting(folder: Path) -> Counted:
    """How long `erpcrm-bridge --help` takes, against importing typer alone: CPU seconds, each the least of nine."""

    def least(*command: str) -> float:
        found = []
        for _ in range(9):
            child = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
            _, _, usage = os.wait4(child.pid, 0)
            found.append(usage.ru_utime + usage.ru_stime)
        return min(found)

    least("-c", "import typer, erpcrm_bridge.cli")  # what is compiled is written first
    return {
        "--help": least("-c", "import sys; from erpcrm_bridge.cli import main; sys.exit(main(['--help']))"),
        "import typer": least("-c", "import typer"),
    }


JOBS: dict[str, Callable[[Path], Counted | None]] = {
    "floor": floor,
    "dlt dicts first": lambda folder: dlt(folder, "dicts"),
    "dlt arrow first": lambda folder: dlt(folder, "arrow"),
    "first join": lambda folder: bridge(folder, adopting=True),
    "untouched": bridge,
    "rewrite": rewrite,
    "rewritten": bridge,
    "shuffle": shuffle,
    "shuffled": bridge,
    "dlt dicts unchanged": lambda folder: dlt(folder, "dicts"),
    "dlt arrow unchanged": lambda folder: dlt(folder, "arrow"),
    "change": change,
    "dlt dicts 1 % changed": lambda folder: dlt(folder, "dicts"),
    "dlt arrow 1 % changed": lambda folder: dlt(folder, "arrow"),
    "1 % changed": bridge,
    "4,000 edits": edits,
    "mapping": mapping,
    "starting": starting,
}
"""In their order; those that return nothing make ready for the next and are not reported."""
