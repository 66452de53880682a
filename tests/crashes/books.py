"""What people keep in two systems, and what they would say to find it there: customers, contacts and orders with lines.

A *book* is what one system holds, in words that both share; an order of records means nothing. Books are read from the system's own
state: its files, or what the memory system holds.
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from stories.cli_world import ACCOUNT, CUSTOMER
from stories.world import MAPPINGS, SPECS

from erpcrm_bridge.testing.memory import MemorySystem
from erpcrm_bridge.testing.server import MemoryServer

CRM, ERP = "crm", "erp"
SIDES = (CRM, ERP)
ENTITIES = ("customer", "contact", "order")
FLOW = "main"
NAMED = {"customer": "name", "contact": "email", "order": "number"}
"""By what people know a record: each of these is given once and never changed."""

Line: TypeAlias = tuple[str, Decimal, Decimal]
"""Product, quantity, price."""
Said: TypeAlias = dict[str, Any]


@dataclass
class Book:
    """Records by entity and name, and every name that stands there twice."""

    records: dict[str, dict[str, Said]] = field(default_factory=lambda: defaultdict(dict))
    doubles: list[str] = field(default_factory=list)

    def add(self, entity: str, name: str, said: Said) -> None:
        if name in self.records[entity]:
            self.doubles.append(f"{entity} {name}")
        self.records[entity][name] = said


class Ground(Protocol):
    """Two systems, and how people work in them."""

    folders: tuple[Path, ...]
    """Where a power cut tells."""
    entities: tuple[str, ...]
    """What its books hold."""

    def close(self) -> None: ...

    def config(self, store_url: str) -> Any:
        """Return what config.yaml says."""

    def enter(self, side: str, entity: str, said: Said) -> None:
        """Make a record; what it refers to is there."""

    def edit(self, side: str, entity: str, name: str, said: Said) -> None:
        """Change the fields that ``said`` names."""

    def book(self, side: str) -> Book: ...

    def state(self) -> Any:
        """Return all that the systems hold, for telling whether anything was written."""


# --- folders of files -----------------------------------------------------------------------------------------------------------------

CONTACT_CRM = ("Id", "AccountId", "FirstName", "LastName", "Title", "Email", "Phone", "MobilePhone", "Bridge_Id__c")
CONTACT_ERP = (
    "Internal ID",
    "External ID",
    "Company",
    "First Name",
    "Last Name",
    "Job Title",
    "Email",
    "Phone",
    "Mobile Phone",
    "Inactive",
)
ORDER_CRM = ("Id", "AccountId", "OrderNumber", "PoNumber", "EffectiveDate", "Status", "CurrencyIsoCode", "TotalAmount", "Bridge_Id__c")
ORDER_ERP = ("Internal ID", "External ID", "Document Number", "PO/Check Number", "Customer", "Date", "Status", "Currency", "Amount")
LINE_CRM = ("Id", "OrderId", "OrderItemNumber", "ProductCode", "Description", "Quantity", "UnitPrice", "TotalPrice")
LINE_ERP = ("Line Unique Key", "Sales Order", "Line ID", "Item", "Memo", "Quantity", "Item Rate", "Amount")
FILES = {
    CRM: {"Account.csv": tuple(ACCOUNT), "Contact.csv": CONTACT_CRM, "Order.csv": ORDER_CRM, "OrderItem.csv": LINE_CRM},
    ERP: {"customers.csv": tuple(CUSTOMER), "contacts.csv": CONTACT_ERP, "salesorders.csv": ORDER_ERP, "salesorder_lines.csv": LINE_ERP},
}
STREAM = {
    CRM: {"customer": "Account.csv", "contact": "Contact.csv", "order": "Order.csv", "lines": "OrderItem.csv"},
    ERP: {"customer": "customers.csv", "contact": "contacts.csv", "order": "salesorders.csv", "lines": "salesorder_lines.csv"},
}
COLUMN: dict[str, dict[str, dict[str, str]]] = {
    CRM: {
        "customer": {"name": "Name", "email": "Email__c", "city": "BillingCity"},
        "contact": {"email": "Email", "first": "FirstName", "last": "LastName", "customer": "AccountId"},
        "order": {"number": "OrderNumber", "po": "PoNumber", "customer": "AccountId", "total": "TotalAmount"},
        "lines": {
            "order": "OrderId",
            "at": "OrderItemNumber",
            "product": "ProductCode",
            "quantity": "Quantity",
            "price": "UnitPrice",
            "amount": "TotalPrice",
        },
    },
    ERP: {
        "customer": {"name": "Company Name", "email": "Email", "city": "Billing City"},
        "contact": {"email": "Email", "first": "First Name", "last": "Last Name", "customer": "Company"},
        "order": {"number": "Document Number", "po": "PO/Check Number", "customer": "Customer", "total": "Amount"},
        "lines": {
            "order": "Sales Order",
            "at": "Line ID",
            "product": "Item",
            "quantity": "Quantity",
            "price": "Item Rate",
            "amount": "Amount",
        },
    },
}
ALWAYS: dict[str, dict[str, dict[str, str]]] = {
    CRM: {
        "customer": {"Active__c": "Yes", "CurrencyIsoCode": "EUR", "BillingCountry": "Germany"},
        "contact": {},
        "order": {"EffectiveDate": "2026-05-01", "Status": "Draft"},
    },
    ERP: {
        "customer": {"Inactive": "No", "Currency": "Euro", "Billing Country": "Germany"},
        "contact": {"Inactive": "No"},
        "order": {"Date": "05/01/2026", "Status": "Pending Approval"},
    },
}
EUROS = {CRM: "EUR", ERP: "Euro"}
MONEY_OF_AN_ORDER = {CRM: "CurrencyIsoCode", ERP: "Currency"}


class Files:
    """Two folders of CSV files, as the Data Loader and NetSuite's saved searches write them. The bridge assigns keys."""

    entities = ENTITIES
    files: Mapping[str, Mapping[str, tuple[str, ...]]] = FILES

    def __init__(self, folder: Path, *, sides: Sequence[str] = SIDES, money: Mapping[str, str] = EUROS) -> None:
        self._at = {side: folder / side for side in sides}
        self.folders = tuple(self._at.values())
        self._money = money
        for side in sides:
            self._at[side].mkdir()
            for name in self.files[side]:
                self._write(side, name, [])

    def close(self) -> None:
        """There is nothing to let go of."""

    def config(self, store_url: str) -> Any:
        keys = {name: {"bridge": "template", "template": f"{name[0]}{{n:05d}}"} for name in FILES[CRM]}
        crm = {"folder": "./crm", "dialect": "dataloader", "streams": {name: {"assigns_keys": how} for name, how in keys.items()}}
        counted = {name: {"assigns_keys": {"bridge": "counter", "start": 1000}} for name in FILES[ERP]}
        return {
            "apiVersion": "erpcrm-bridge/v1",
            "store": {"url": store_url},
            "connections": {
                "crm-files": {"connector": "csv", "settings": crm},
                "erp-files": {"connector": "csv", "settings": {"folder": "./erp", "dialect": "savedsearch", "streams": counted}},
            },
            "flows": {FLOW: _flow({CRM: "crm-files", ERP: "erp-files"}, {CRM: "csv-dataloader", ERP: "csv-savedsearch"})},
        }

    def enter(self, side: str, entity: str, said: Said) -> None:
        key_column = FILES[side][STREAM[side][entity]][0]
        rows = self._rows(side, STREAM[side][entity])
        key = self._new_key(side, STREAM[side][entity], rows)
        cells = {**ALWAYS[side][entity], **self._cells(side, entity, said)}
        if entity == "order":
            cells[MONEY_OF_AN_ORDER[side]] = self._money[side]
        self._write(side, STREAM[side][entity], [*rows, {key_column: key, **cells}])
        if "lines" in said:
            self._put_lines(side, key, said["lines"])

    def edit(self, side: str, entity: str, name: str, said: Said) -> None:
        rows = self._rows(side, STREAM[side][entity])
        named = COLUMN[side][entity][NAMED[entity]]
        (row,) = [row for row in rows if row[named] == name]
        row.update(self._cells(side, entity, said))
        if "lines" in said:
            self._put_lines(side, row[FILES[side][STREAM[side][entity]][0]], said["lines"])
        self._write(side, STREAM[side][entity], rows)

    def book(self, side: str) -> Book:
        book = Book()
        customers = {
            row[FILES[side][STREAM[side]["customer"]][0]]: row[COLUMN[side]["customer"]["name"]]
            for row in self._rows(side, STREAM[side]["customer"])
        }
        lines: dict[str, list[Said]] = {}
        at = COLUMN[side]["lines"]
        for row in self._rows(side, STREAM[side]["lines"]):
            lines.setdefault(row[at["order"]], []).append({name: row[column] for name, column in at.items()})
        for entity in ENTITIES:
            for row in self._rows(side, STREAM[side][entity]):
                said: Said = {name: row[column] for name, column in COLUMN[side][entity].items()}
                if "customer" in said:
                    said["customer"] = customers[said["customer"]]
                if entity == "order":
                    said["total"] = Decimal(said["total"])
                    own = lines.pop(row[FILES[side][STREAM[side]["order"]][0]], [])
                    said["lines"] = sorted((one["product"], *map(Decimal, (one["quantity"], one["price"], one["amount"]))) for one in own)
                book.add(entity, said.pop(NAMED[entity]), said)
        book.doubles += [f"lines of {key}, which is no order" for key in lines]
        return book

    def state(self) -> Any:
        return {str(path): path.read_bytes() for folder in self.folders for path in sorted(folder.glob("*.csv"))}

    def _cells(self, side: str, entity: str, said: Said) -> dict[str, str]:
        cells = {COLUMN[side][entity][name]: str(value) for name, value in said.items() if name in COLUMN[side][entity]}
        if "customer" in said:
            stream = STREAM[side]["customer"]
            column = COLUMN[side]["customer"]["name"]
            (key,) = [row[FILES[side][stream][0]] for row in self._rows(side, stream) if row[column] == said["customer"]]
            cells[COLUMN[side][entity]["customer"]] = key
        if "lines" in said:
            cells[COLUMN[side][entity]["total"]] = str(_total(said["lines"]))
        return cells

    def _put_lines(self, side: str, key: str, lines: Iterable[Line]) -> None:
        """Make the lines of an order those given: a line whose product stays keeps its key."""
        stream, at = STREAM[side]["lines"], COLUMN[side]["lines"]
        rows = self._rows(side, stream)
        there = {row[at["product"]]: row for row in rows if row[at["order"]] == key}
        kept = [row for row in rows if row[at["order"]] != key]
        new = []
        for number, (product, quantity, price) in enumerate(lines, 1):
            cells = {
                "order": key,
                "at": str(number),
                "product": product,
                "quantity": str(quantity),
                "price": str(price),
                "amount": str(quantity * price),
            }
            row = there.get(product) or {FILES[side][stream][0]: self._new_key(side, stream, [*rows, *new])}
            new.append({**row, **{at[name]: value for name, value in cells.items()}})
        self._write(side, stream, [*kept, *new])

    def _new_key(self, side: str, stream: str, rows: list[dict[str, str]]) -> str:
        """A person's key: the greatest there is, and one more."""
        column = self.files[side][stream][0]
        greatest = max((int(row[column].lstrip(stream[0])) for row in rows), default=999)
        return f"{stream[0]}{greatest + 1:05d}" if side == CRM else str(greatest + 1)

    def _rows(self, side: str, name: str) -> list[dict[str, str]]:
        with (self._at[side] / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def _write(self, side: str, name: str, rows: Iterable[Mapping[str, str]]) -> None:
        out = io.StringIO(newline="")
        how: Any = (
            {"quoting": csv.QUOTE_ALL, "lineterminator": "\n"} if side == CRM else {"quoting": csv.QUOTE_MINIMAL, "lineterminator": "\r\n"}
        )
        writer = csv.DictWriter(out, self.files[side][name], restval="", **how)
        writer.writeheader()
        writer.writerows(rows)
        (self._at[side] / name).write_text(out.getvalue(), encoding="utf-8", newline="")


# --- servers --------------------------------------------------------------------------------------------------------------------------

FIELD: dict[str, dict[str, dict[str, str]]] = {
    CRM: {
        "customer": {"name": "Name", "email": "Email", "city": "City"},
        "contact": {"email": "Email", "first": "First", "last": "Last", "customer": "Account"},
        "order": {"number": "Number", "po": "Po", "customer": "Account", "total": "Total"},
        "lines": {"product": "Product", "quantity": "Qty", "price": "Price", "amount": "Amount"},
    },
    ERP: {
        "customer": {"name": "companyName", "email": "mail", "city": "town"},
        "contact": {"email": "mail", "first": "first", "last": "last", "customer": "customer"},
        "order": {"number": "docno", "po": "po", "customer": "customer", "total": "total"},
        "lines": {"product": "item", "quantity": "qty", "price": "rate", "amount": "amount"},
    },
}
MEMORY_STREAM = {
    CRM: {"customer": "Account", "contact": "Contact", "order": "Order", "lines": "OrderItem"},
    ERP: {"customer": "customer", "contact": "person", "order": "salesorder", "lines": "items"},
}
MEMORY_ALWAYS: dict[str, dict[str, dict[str, str]]] = {
    CRM: {"customer": {"Status": "open"}, "contact": {}, "order": {"Stage": "Draft", "Currency": "EUR", "Date": "2026-05-01"}},
    ERP: {"customer": {"inactive": "no"}, "contact": {}, "order": {"state": "Pending", "cur": "EUR", "day": "2026-05-01"}},
}


class Servers:
    """Two memory systems behind their HTTP servers, which live on through every kill of the bridge."""

    folders = ()
    entities = ENTITIES

    def __init__(self, folder: Path) -> None:
        self.systems = {side: MemorySystem(SPECS[side](), identity=f"{side}-system") for side in SIDES}
        self._servers = {side: MemoryServer(system) for side, system in self.systems.items()}
        head = {"apiVersion": "erpcrm-bridge/v1"}
        for entity in ENTITIES:
            (folder / "mappings" / entity).mkdir(parents=True)
            for side in SIDES:
                key = {"id": "Id", "external_id": "Ref"}
                mapping = {**head, "kind": "Mapping", "entity": entity, "connector": "memory", "key": key, **MAPPINGS[f"{entity}/{side}"]}
                (folder / "mappings" / entity / f"{side}.yaml").write_text(json.dumps(mapping))

    def close(self) -> None:
        for server in self._servers.values():
            server.close()

    def config(self, store_url: str) -> Any:
        return {
            "apiVersion": "erpcrm-bridge/v1",
            "store": {"url": store_url},
            "mappings": ["./mappings"],
            "connections": {side: {"connector": "memory", "settings": {"url": server.url}} for side, server in self._servers.items()},
            "flows": {FLOW: _flow({side: side for side in SIDES}, {side: side for side in SIDES})},
        }

    def enter(self, side: str, entity: str, said: Said) -> None:
        lists = {MEMORY_STREAM[side]["lines"]: [self._line(side, line) for line in said["lines"]]} if "lines" in said else {}
        self.systems[side].create(MEMORY_STREAM[side][entity], {**MEMORY_ALWAYS[side][entity], **self._fields(side, entity, said)}, lists)

    def edit(self, side: str, entity: str, name: str, said: Said) -> None:
        from erpcrm_bridge.connector import ListWrite

        system, stream = self.systems[side], MEMORY_STREAM[side][entity]
        named = FIELD[side][entity][NAMED[entity]]
        ((key, held),) = [(key, fields) for key, fields in system.all(stream).items() if fields[named] == name]
        lists = {}
        if "lines" in said:
            rows, product = MEMORY_STREAM[side]["lines"], FIELD[side]["lines"]["product"]
            keyed = {row[product]: str(row["Id" if side == CRM else "line"]) for row in held[rows]}
            wanted = {line[0]: self._line(side, line) for line in said["lines"]}
            lists[rows] = ListWrite(
                add={name: fields for name, fields in wanted.items() if name not in keyed},
                change={keyed[name]: fields for name, fields in wanted.items() if name in keyed},
                remove=tuple(key for name, key in keyed.items() if name not in wanted),
            )
        system.edit(stream, key, self._fields(side, entity, said), lists)

    def book(self, side: str) -> Book:
        book = Book()
        at = MEMORY_STREAM[side]
        customers = {key: fields[FIELD[side]["customer"]["name"]] for key, fields in self.systems[side].all(at["customer"]).items()}
        for entity in ENTITIES:
            for fields in self.systems[side].all(at[entity]).values():
                said = {name: fields[external] for name, external in FIELD[side][entity].items()}
                if "customer" in said:
                    said["customer"] = customers[said["customer"]]
                if entity == "order":
                    names = FIELD[side]["lines"].values()
                    said["lines"] = sorted(tuple(row[name] for name in names) for row in fields[at["lines"]])
                book.add(entity, said.pop(NAMED[entity]), said)
        return book

    def state(self) -> Any:
        return {side: len(system.log) for side, system in self.systems.items()}

    def _fields(self, side: str, entity: str, said: Said) -> dict[str, Any]:
        fields = {FIELD[side][entity][name]: value for name, value in said.items() if name in FIELD[side][entity]}
        if "customer" in said:
            named = FIELD[side]["customer"]["name"]
            customers = self.systems[side].all(MEMORY_STREAM[side]["customer"])
            (fields[FIELD[side][entity]["customer"]],) = [key for key, held in customers.items() if held[named] == said["customer"]]
        if "lines" in said:
            fields[FIELD[side][entity]["total"]] = _total(said["lines"])
        return fields

    def _line(self, side: str, line: Line) -> dict[str, Any]:
        product, quantity, price = line
        at = FIELD[side]["lines"]
        return {at["product"]: product, at["quantity"]: quantity, at["price"]: price, at["amount"]: quantity * price}


def _flow(roles: Mapping[str, str], mappings: Mapping[str, str]) -> Any:
    entity = {"mappings": {side: [name] for side, name in mappings.items()}, "create_in": list(SIDES)}
    return {
        "roles": dict(roles),
        "entities": dict.fromkeys(ENTITIES, entity),
        "brakes": {"deletes": 0, "creates": None, "changed": None, "reverts": None},
    }


def _total(lines: Iterable[Line]) -> Decimal:
    return sum((quantity * price for _, quantity, price in lines), Decimal(0))
