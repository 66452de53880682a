"""The benchmarks' customers: two sides as CSV, 15 columns, with a fixed seed, as dirty as life."""

from __future__ import annotations

import csv
import os
import random
import shutil
import time
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
        write(folder / name, head, rows)


def write(path: Path, head: list[str], rows: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
    # The connector does not trust a file that was touched a moment ago; a file at rest is what is measured.
    os.utime(path, (time.time() - 60, time.time() - 60))


def rewrite(folder: Path) -> None:
    """Write both files again with the same bytes under a new time."""
    for path in files(folder):
        path.write_bytes(path.read_bytes())
        os.utime(path, (time.time() - 30, time.time() - 30))


def shuffle(folder: Path) -> None:
    """Write both files again with their rows in another order."""
    chance = random.Random(4)
    for path in files(folder):
        head, rows = read(path)
        chance.shuffle(rows)
        write(path, head, rows)


def change(folder: Path, share: float = 0.01) -> None:
    """Change one field of 1 % of the rows on each side, another field on the other side; 0.1 % clash."""
    chance = random.Random(5)
    (crm, erp) = files(folder)
    for path, field, clashing in ((crm, 6, 7), (erp, 8, 7)):
        head, rows = read(path)
        rows.sort(key=lambda row: row[4])
        for row in rows[:: round(1 / share)]:
            row[field] += " x"
        for row in rows[7 :: round(10 / share)]:
            row[clashing] = f"www.{path.stem}-{row[0]}.example"
        chance.shuffle(rows)
        write(path, head, rows)


def files(folder: Path) -> tuple[Path, Path]:
    return folder / "crm/accounts.csv", folder / "erp/customers.csv"


def read(path: Path) -> tuple[list[str], list[list[str]]]:
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
