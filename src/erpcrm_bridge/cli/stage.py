"""What the demo plays on: a folder with two systems' exports and a config.yaml, and the people who edit the files."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from erpcrm_bridge.errors import UsageError

FLOW = "customers-and-orders"
_MARK = ".erpcrm-bridge-demo"
_PACKAGE = Path(__file__).parents[1]
_DATA = (_PACKAGE / "_shipped" / "demo", _PACKAGE.parents[1] / "demo" / "data")

CONFIG = f"""\
apiVersion: erpcrm-bridge/v1
store: {{url: "sqlite:///./.erpcrm-bridge/store.db"}}

connections:
  crm-files:                        # what Salesforce's Data Loader exports
    connector: csv
    settings:
      folder: ./crm
      dialect: dataloader
      streams:
        Account.csv: {{assigns_keys: {{bridge: template, template: "0015g000009{{n:04d}}AAA"}}}}
        Contact.csv: {{assigns_keys: {{bridge: template, template: "0035g000009{{n:04d}}AAA"}}}}
  erp-files:                        # what NetSuite's saved searches export
    connector: csv
    settings:
      folder: ./erp
      dialect: savedsearch
      streams:
        customers.csv: {{assigns_keys: {{bridge: counter}}}}
        contacts.csv: {{encoding: cp1252, assigns_keys: {{bridge: counter}}}}
        salesorders.csv: {{assigns_keys: {{bridge: counter}}}}
        salesorder_lines.csv: {{key: Line Unique Key, assigns_keys: {{bridge: counter}}}}
        invoice_lines.csv: {{key: Line Unique Key}}

flows:
  {FLOW}:
    roles: {{crm: crm-files, erp: erp-files}}
    entities:
      customer: {{mappings: {{crm: [csv-dataloader], erp: [csv-savedsearch]}}, create_in: [crm, erp]}}
      contact: {{mappings: {{crm: [csv-dataloader], erp: [csv-savedsearch]}}, create_in: [crm, erp]}}
      order: {{mappings: {{crm: [csv-dataloader], erp: [csv-savedsearch]}}, create_in: [erp]}}
      invoice: {{mappings: {{erp: [csv-savedsearch]}}, create_in: []}}
"""


def data() -> Path:
    """Return the folder of the demo's data: the one shipped, or the checkout's."""
    return next(path for path in _DATA if path.is_dir())


def set_up(folder: Path, exports: Path | None = None) -> None:
    """Make the folder anew, with copies of these exports (default: the demo's own). Raises UsageError where something stands there that no
    demo has made, or where it cannot be written."""
    if folder.exists() and not (folder / _MARK).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and no demo has made it.", way_out="erpcrm-bridge demo --folder ANOTHER")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / _MARK).touch()
        for system in ("crm", "erp"):
            shutil.copytree((exports or data()) / system, folder / system, copy_function=shutil.copyfile)
        (folder / ".erpcrm-bridge").mkdir()
        (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    except (OSError, shutil.Error) as error:
        raise UsageError(
            f"{folder} cannot be written: {error}.", way_out="Make room, or name another: erpcrm-bridge demo --folder ANOTHER"
        ) from None


@contextmanager
def cleared(folder: Path, *, keep: bool) -> Iterator[None]:
    """Remove the folder at the end, however it comes, unless it is to be kept."""
    try:
        yield
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


class Sheet:
    """A CSV file as the people of a system edit it: one cell changed, a row added; the rest as it was."""

    def __init__(self, path: Path, key: str, encoding: str = "utf-8") -> None:
        self._path = path
        self._key = key
        self._encoding = encoding

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self._text(), newline="")))

    def edit(self, key: str, changes: Mapping[str, str]) -> None:
        """Change cells of the row with this key."""
        self._save(lambda rows: [{**row, **changes} if row[self._key] == key else row for row in rows])

    def add(self, row: Mapping[str, str]) -> None:
        """Add a row; columns that it does not name are empty."""
        self._save(lambda rows: [*rows, {**dict.fromkeys(rows[0], ""), **row}])

    def _text(self) -> str:
        return self._path.read_bytes().decode(self._encoding)

    def _save(self, change: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> None:
        text = self._text()
        rows = change(self.rows())
        newline = "\r\n" if "\r\n" in text else "\n"
        out = io.StringIO(newline="")
        writer = csv.DictWriter(
            out, list(rows[0]), quoting=csv.QUOTE_ALL if text.startswith('"') else csv.QUOTE_MINIMAL, lineterminator=newline
        )
        writer.writeheader()
        writer.writerows(rows)
        self._path.write_bytes(out.getvalue().encode(self._encoding))
