"""The CSV connector under the conformance kit: each dialect, other layouts, documents with their lines in a second file."""

from __future__ import annotations

import csv
import io
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from erpcrm_bridge.connector import Capabilities, Child, Connector, Selection
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.testing.conformance import ListSamples, conformance_tests
from erpcrm_bridge_csv import CsvConnector, CsvSettings
from erpcrm_bridge_csv.sheet import Sheet

OFFERED = Capabilities(
    incremental="full",
    lists_keys=True,
    tells_gone=True,
    upsert=True,
    find=True,
    version_exact=True,
    max_batch=50_000,
    window="milliseconds",
)
ORDERS, ITEMS = "Orders.csv", "Items.csv"
COLUMNS = {ORDERS: ["Id", "Name", "Note", "Amount", "Unasked", "Ref"], ITEMS: ["Id", "Order", "Sku", "Quantity", "Unasked"]}


class CsvBench:
    """A folder, and people who save its files at once, each with an editor of their own."""

    selection = Selection(ORDERS, "Id", ("Name", "Note", "Amount", "Ref"), "Ref", (Child(ITEMS, "Order", "Id", ("Sku", "Quantity")),))
    offered = OFFERED
    samples: Sequence[Fields] = (
        {"Name": "Acme", "Note": 'a "quoted", word', "Amount": "71106904766840.24"},
        {"Name": "Ünï 株式会社 🚲", "Note": None, "Amount": "0"},
        {"Name": "false", "Note": "line\r\nline\t" * 300, "Amount": None},
    )
    several_pages = 8
    refusal: tuple[str, Any] = ("Name", "a\0b")
    lists = (
        ListSamples(
            ITEMS,
            "Id",
            ({"Sku": "A", "Quantity": "1.500"}, {"Sku": "B", "Quantity": "0"}, {"Sku": "C", "Quantity": None}),
            ("Quantity", "12"),
        ),
    )

    def __init__(self, dialect: str, assigns: dict[str, Any], **layout: str) -> None:
        self._place = tempfile.TemporaryDirectory()
        self._folder = Path(self._place.name)
        stream = {"assigns_keys": assigns, **layout}
        self._settings = CsvSettings.model_validate(
            {"folder": self._folder, "dialect": dialect, "streams": {ORDERS: stream, ITEMS: stream}}
        )
        self._encoding = layout.get("encoding", "utf-8")
        self._signs = {"delimiter": layout.get("delimiter", ","), "quotechar": layout.get("quote", '"')}
        self._made = 0
        self._patch = pytest.MonkeyPatch()

    def clean(self) -> Connector:
        for name, columns in COLUMNS.items():
            self._save(name, [columns])
        return self.reconnect()

    def reconnect(self) -> Connector:
        return CsvConnector(self._settings, page_size=3)

    def another(self, number: int) -> Fields:
        return {"Name": f"Firm {number}", "Note": f"note {number}", "Amount": f"{number}.50"}

    def create(self, fields: Fields) -> str:
        self._made += 1
        key = f"K{self._made}"
        self._save(ORDERS, [*self._rows(ORDERS), [str(value or "") for value in self._cells(ORDERS, {**fields, "Id": key})]])
        return key

    def edit(self, key: str, fields: Fields) -> None:
        self._change(ORDERS, key, fields)

    def delete(self, key: str) -> None:
        self._save(ITEMS, [row for row in self._rows(ITEMS) if row[1] != key])
        self._save(ORDERS, [row for row in self._rows(ORDERS) if row[0] != key])

    def hide_records(self, keys: Sequence[str]) -> None:
        """Two rows of one key: neither tells how the record stands."""
        rows = self._rows(ORDERS)
        self._save(ORDERS, [*rows, *(row for row in rows if row[0] in keys)])

    def edit_line(self, key: str, name: str, line: str, fields: Fields) -> None:
        self._change(name, line, fields)

    def before_the_write(self, act: Callable[[], object]) -> None:
        """The worst moment that the connector leaves open to others: when the new file is written and the old one not yet compared."""
        honest = Sheet.still_holds
        left = [act]

        def meanwhile(sheet: Sheet) -> bool:
            while left:
                left.pop()()
            return honest(sheet)

        self._patch.setattr(Sheet, "still_holds", meanwhile)

    def close(self) -> None:
        self._patch.undo()
        self._place.cleanup()

    def _cells(self, name: str, fields: Fields) -> list[str]:
        return ["" if fields.get(column) is None else str(fields[column]) for column in COLUMNS[name]]

    def _change(self, name: str, key: str, fields: Fields) -> None:
        rows = self._rows(name)
        for row in rows[1:]:
            if row[0] == key:
                for field, value in fields.items():
                    row[rows[0].index(field)] = "" if value is None else str(value)
        self._save(name, rows)

    def _rows(self, name: str) -> list[list[str]]:
        text = (self._folder / name).read_bytes().decode(self._encoding)
        return list(csv.reader(io.StringIO(text, newline=""), **self._signs))

    def _save(self, name: str, rows: list[list[str]]) -> None:
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\r\n", **self._signs).writerows(rows)
        beside = self._folder / f"{name}~"
        beside.write_bytes(out.getvalue().encode(self._encoding))
        os.replace(beside, self._folder / name)


class DropBench:
    """A system that drops a file with each record that was made, changed or deleted there."""

    selection = Selection("changes.csv", "Id", ("Name", "Note", "Amount"))
    offered = Capabilities(
        create=False, update=False, delete=False, reports_deletes=True, tells_gone=True, version_exact=True, window="nothing is written"
    )
    samples = CsvBench.samples
    several_pages = 8
    refusal = CsvBench.refusal

    def __init__(self) -> None:
        self._place = tempfile.TemporaryDirectory()
        self._drop = Path(self._place.name) / "inbox"
        self._records: dict[str, Fields] = {}
        self._dropped = 0

    def clean(self) -> Connector:
        self._drop.mkdir()
        self._save({}, "")
        return self.reconnect()

    def reconnect(self) -> Connector:
        stream = {"drop": {"folder": self._drop, "files": "changes-*.csv", "deleted": "Gone"}}
        settings = CsvSettings.model_validate({"folder": self._place.name, "streams": {"changes.csv": stream}})
        return CsvConnector(settings, page_size=3, now_ns=lambda: time.time_ns() + 60_000_000_000)

    def another(self, number: int) -> Fields:
        return {"Name": f"Firm {number}", "Note": f"note {number}", "Amount": f"{number}.50"}

    def create(self, fields: Fields) -> str:
        key = f"K{len(self._records)}"
        self._records[key] = dict(fields)
        self._save({"Id": key, **fields}, "")
        return key

    def edit(self, key: str, fields: Fields) -> None:
        self._records[key] |= fields
        self._save({"Id": key, **self._records[key]}, "")

    def delete(self, key: str) -> None:
        self._save({"Id": key}, "true")

    def close(self) -> None:
        self._place.cleanup()

    def _save(self, fields: Fields, gone: str) -> None:
        self._dropped += 1
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow(["Id", "Name", "Note", "Amount", "Gone"])
        if fields:
            writer.writerow(["" if fields.get(name) is None else fields[name] for name in ("Id", "Name", "Note", "Amount")] + [gone])
        (self._drop / f"changes-{self._dropped:04d}.csv").write_bytes(out.getvalue().encode())


test_dataloader_with_uuids = conformance_tests(lambda: CsvBench("dataloader", {"bridge": "uuid"}))
test_savedsearch_with_counters = conformance_tests(lambda: CsvBench("savedsearch", {"bridge": "counter"}))
test_plain_with_templates = conformance_tests(lambda: CsvBench("plain", {"bridge": "template", "template": "R-{n:06d}"}))
test_utf_16_with_tabs = conformance_tests(lambda: CsvBench("plain", {"bridge": "uuid"}, encoding="utf-16", delimiter="\t"))
test_semicolons_and_single_quotes = conformance_tests(lambda: CsvBench("plain", {"bridge": "counter"}, delimiter=";", quote="'"))
test_a_drop_folder = conformance_tests(DropBench)
