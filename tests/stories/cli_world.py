"""A small pair of CSV folders, and the command line over them as a process of its own."""

from __future__ import annotations

import atexit
import csv
import functools
import io
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PROGRAM = [sys.executable, "-c", "import sys; from erpcrm_bridge.cli import main; sys.exit(main())"]
FLOW = "main"
CONFIG = """\
apiVersion: erpcrm-bridge/v1
connections:
  crm-files:
    connector: csv
    settings:
      folder: ./crm
      dialect: dataloader
      streams: {Account.csv: {assigns_keys: {bridge: template, template: "001N{n:04d}"}}}
  erp-files:
    connector: csv
    settings:
      folder: ./erp
      dialect: savedsearch
      streams: {customers.csv: {assigns_keys: {bridge: counter}}}
flows:
  main:
    roles: {crm: crm-files, erp: erp-files}
    entities:
      customer: {mappings: {crm: [csv-dataloader], erp: [csv-savedsearch]}, create_in: [crm, erp]}
    brakes: {creates: null, changed: null}
"""
# ruff: noqa: SIM905 - heads of files, as they stand there
ACCOUNT = (
    "Id Name Type ParentId BillingStreet BillingCity BillingState BillingPostalCode BillingCountry Phone Website Email__c VAT_Number__c "
    "CurrencyIsoCode Active__c Bridge_Id__c OwnerId"
).split()
CUSTOMER = (
    "Internal ID,External ID,Company Name,Category,Parent,Billing Address 1,Billing Address 2,Billing City,Billing State/Province,"
    "Billing Zip,Billing Country,Phone,Email,Web Address,VAT Registration Number,Currency,Terms,Credit Limit,Inactive"
).split(",")


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


class CliWorld:
    """Three customers on each side: A and B are the same in both, C is only in the CRM, D only in the ERP."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".erpcrm-bridge").mkdir(parents=True)
        (folder / "crm").mkdir()
        (folder / "erp").mkdir()
        (folder / "config.yaml").write_text(CONFIG)
        self.write_crm([account("001A", "Alpha GmbH"), account("001B", "Beta GmbH"), account("001C", "Gamma GmbH")])
        self.write_erp([customer("1001", "ALPHA GMBH"), customer("1002", "Beta G.m.b.H."), customer("1003", "Delta GmbH")])

    @property
    def accounts(self) -> Path:
        return self.folder / "crm" / "Account.csv"

    @property
    def customers(self) -> Path:
        return self.folder / "erp" / "customers.csv"

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.folder / '.erpcrm-bridge' / 'store.db'}"

    def crm(self) -> dict[str, dict[str, str]]:
        return {row["Id"]: row for row in _rows(self.accounts)}

    def erp(self) -> dict[str, dict[str, str]]:
        return {row["Internal ID"]: row for row in _rows(self.customers)}

    def write_crm(self, rows: Sequence[Mapping[str, str]]) -> None:
        self.accounts.write_text(_text(ACCOUNT, rows, csv.QUOTE_ALL, "\n"), encoding="utf-8", newline="")

    def write_erp(self, rows: Sequence[Mapping[str, str]]) -> None:
        self.customers.write_text(_text(CUSTOMER, rows, csv.QUOTE_MINIMAL, "\r\n"), encoding="utf-8", newline="")

    def edit_crm(self, key: str, **changes: str) -> None:
        self.write_crm([row | changes if row["Id"] == key else row for row in _rows(self.accounts)])

    def edit_erp(self, key: str, **changes: str) -> None:
        self.write_erp([row | changes if row["Internal ID"] == key else row for row in _rows(self.customers)])

    def start(self, *arguments: str, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,  # noqa: PLW1509 - no thread runs here
        )

    def run(self, *arguments: str, before: Callable[[], None] | None = None) -> Done:
        """Run a command with its output in a pipe. Whatever happens: no traceback, no ANSI."""
        with self.start(*arguments, before=before) as process:
            out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        assert "\x1b" not in out + err
        return Done(process.returncode, out, err)

    def ok(self, *arguments: str) -> Done:
        done = self.run(*arguments)
        assert done.code == 0, (arguments, done)
        return done

    def at_terminal(self, *arguments: str, typed: str = "") -> Done:
        """Run a command at a terminal of 200 columns; stdout and stderr are one."""
        master, slave = pty.openpty()
        command = [*PROGRAM, *arguments]
        with subprocess.Popen(
            command, cwd=self.folder, env=_environment(COLUMNS="200", NO_COLOR="1"), stdin=slave, stdout=slave, stderr=slave
        ) as process:
            os.close(slave)
            os.write(master, typed.encode())
            seen = b""
            while part := _read(master):
                seen += part
            os.close(master)
            process.wait(timeout=60)
        return Done(process.returncode, seen.decode().replace("\r\n", "\n"), "")

    def join(self) -> None:
        """Adopt and apply: A and B are bound afterwards. A world as it was made takes over what one before it has come to."""
        if self._touched():
            self._adopt()
        else:
            shutil.copytree(_joined(), self.folder, dirs_exist_ok=True)

    def _touched(self) -> bool:
        """Whether anything in the folder is not as the world was made."""
        with TemporaryDirectory() as folder:
            made = CliWorld(Path(folder))
            return _files(self.folder) != _files(made.folder)

    def _adopt(self) -> None:
        self.ok("adopt")
        self.ok("apply", "--yes")

    def clash(self) -> str:
        """Bring the telephone number of A into clash; return the clash's id."""
        self.edit_crm("001A", Phone="+49 30 1111111")
        self.edit_erp("1001", Phone="+49 30 2222222")
        assert self.run("sync").code == 3
        found: str = self.ok("conflicts", "--json").object["clashes"][0]["id"]
        return found


@functools.cache
def _joined() -> Path:
    """A world that was adopted and applied once, for all tests of a process: two commands that each of them would repeat."""
    folder = TemporaryDirectory(prefix="joined-")
    atexit.register(folder.cleanup)
    CliWorld(Path(folder.name))._adopt()
    return Path(folder.name)


def _files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def account(key: str, name: str, **more: str) -> dict[str, str]:
    mail = f"info@{name.split()[0].lower()}.example"
    return {"Id": key, "Name": name, "Active__c": "Yes", "CurrencyIsoCode": "EUR", "Email__c": mail, "BillingCountry": "Germany", **more}


def customer(key: str, name: str, **more: str) -> dict[str, str]:
    mail = f"info@{name.split()[0].lower()}.example"
    return {
        "Internal ID": key,
        "Company Name": name,
        "Inactive": "No",
        "Currency": "Euro",
        "Email": mail,
        "Billing Country": "Germany",
        **more,
    }


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _text(columns: Sequence[str], rows: Sequence[Mapping[str, str]], quoting: Any, newline: str) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, restval="", quoting=quoting, lineterminator=newline)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "ERPCRM_CONFIG")} | more


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:
        return b""
