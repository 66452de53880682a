"""An ERP that is a folder of files, and a shop that is an Odoo: beside what books hold elsewhere, the states of orders, invoices, payments.

The ERP says what is confirmed, billed and paid; the bridge confirms, posts and pays it in Odoo.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from crashes.books import CRM, ENTITIES, ERP, FILES, FLOW, Book, Files, Line, Said
from odoo_servers import People

DOLLARS = {CRM: "USD", ERP: "US Dollar"}
DAY = "05/01/2026"
MONEY_FILES: Mapping[str, tuple[str, ...]] = {
    "invoices.csv": (
        *("Internal ID", "External ID", "Customer", "Created From", "Document Number", "Date", "Due Date", "Status", "Currency", "Amount"),
        "Amount Remaining",
    ),
    "invoice_lines.csv": ("Line Unique Key", "Invoice", "Line ID", "Item", "Memo", "Quantity", "Item Rate", "Amount"),
    "payments.csv": (
        *("Internal ID", "External ID", "Customer", "Document Number", "Date", "Payment Method", "PO/Check Number", "Status", "Currency"),
        *("Amount", "Amount Unapplied"),
    ),
    "payment_applications.csv": ("Line Unique Key", "Payment", "Line ID", "Applied To", "Amount"),
}
STATE = {"": "draft", "Pending Approval": "draft", "Pending Fulfillment": "confirmed"}
STATE_IN_ODOO = {"draft": "draft", "sent": "draft", "sale": "confirmed"}
BILL = {"Open": "open", "Paid In Full": "paid"}
STREAMS = (
    *("res.partner", "sale.order", "sale.order.line", "account.move", "account.move.line", "account.payment"),
    "account.partial.reconcile",
)
LINE = ("product_id", "product_uom_qty", "price_unit", "price_subtotal")


class ErpFiles(Files):
    """The ERP's folder, with its invoices and payments."""

    files: Mapping[str, Mapping[str, tuple[str, ...]]] = {ERP: {**FILES[ERP], **MONEY_FILES}}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, sides=(ERP,), money=DOLLARS)

    def confirm(self, order: str) -> None:
        rows = self._rows(ERP, "salesorders.csv")
        (row,) = [row for row in rows if row["Document Number"] == order]
        row["Status"] = "Pending Fulfillment"
        self._write(ERP, "salesorders.csv", rows)

    def bill(self, number: str, customer: str, line: Line) -> None:
        product, quantity, price = line
        amount = str(quantity * price)
        head = {"Document Number": number, "Date": DAY, "Due Date": DAY, "Status": "Open", "Currency": "US Dollar"}
        owes = {"Customer": self._customer(customer), "Amount": amount, "Amount Remaining": amount}
        key = self._add("invoices.csv", {**head, **owes})
        said = {"Item": product, "Memo": number, "Quantity": str(quantity), "Item Rate": str(price), "Amount": amount}
        self._add("invoice_lines.csv", {"Invoice": key, "Line ID": "1", **said})

    def pay(self, number: str, invoice: str) -> None:
        rows = self._rows(ERP, "invoices.csv")
        (row,) = [row for row in rows if row["Document Number"] == invoice]
        said = {"Customer": row["Customer"], "Document Number": number, "Date": DAY, "Payment Method": "Bank", "PO/Check Number": number}
        head = {**said, "Status": "Deposited", "Currency": "US Dollar", "Amount": row["Amount"], "Amount Unapplied": "0.00"}
        key = self._add("payments.csv", head)
        applied = {"Payment": key, "Line ID": "1", "Applied To": row["Internal ID"], "Amount": row["Amount"]}
        self._add("payment_applications.csv", applied)
        row |= {"Status": "Paid In Full", "Amount Remaining": "0.00"}
        self._write(ERP, "invoices.csv", rows)

    def book(self, side: str) -> Book:
        book = super().book(side)
        for row in self._rows(ERP, "salesorders.csv"):
            book.records["order"][row["Document Number"]]["state"] = STATE[row["Status"]]
        customers = {row["Internal ID"]: row["Company Name"] for row in self._rows(ERP, "customers.csv")}
        invoices = {}
        lines: dict[str, list[Any]] = {}
        for row in self._rows(ERP, "invoice_lines.csv"):
            said = (row["Item"], *(Decimal(row[name]) for name in ("Quantity", "Item Rate", "Amount")))
            lines.setdefault(row["Invoice"], []).append(said)
        for row in self._rows(ERP, "invoices.csv"):
            invoices[row["Internal ID"]] = row["Document Number"]
            said = {"customer": customers[row["Customer"]], "state": BILL[row["Status"]], "open": Decimal(row["Amount Remaining"])}
            book.add("invoice", row["Document Number"], {**said, "lines": lines.pop(row["Internal ID"])})
        applied = [
            (row["Payment"], (invoices[row["Applied To"]], Decimal(row["Amount"]))) for row in self._rows(ERP, "payment_applications.csv")
        ]
        for row in self._rows(ERP, "payments.csv"):
            to = [one for payment, one in applied if payment == row["Internal ID"]]
            said = {"customer": customers[row["Customer"]], "amount": Decimal(row["Amount"]), "to": to}
            book.add("payment", row["Document Number"], said)
        return book

    def _customer(self, name: str) -> str:
        (key,) = [row["Internal ID"] for row in self._rows(ERP, "customers.csv") if row["Company Name"] == name]
        return key

    def _add(self, name: str, cells: Mapping[str, str]) -> str:
        rows = self._rows(ERP, name)
        key = self._new_key(ERP, name, rows)
        self._write(ERP, name, [*rows, {MONEY_FILES[name][0]: key, **cells}])
        return key


class Shop:
    """The ground of both."""

    entities = (*ENTITIES, "invoice", "payment")

    def __init__(self, folder: Path, people: People) -> None:
        self.erp = ErpFiles(folder)
        self.folders = self.erp.folders
        self._people, self._folder = people, folder
        rows = [
            {"name": f"Product {n}", "default_code": f"P-{n:02d}", "type": "service", "taxes_id": [[6, 0, []]], "list_price": 7}
            for n in range(20)
        ]
        people.call("product.product", "create", vals_list=rows)
        self._products = {row["default_code"]: row["id"] for row in people.rows("product.product", ["default_code"])}
        self._codes = {one: code for code, one in self._products.items()}
        self._germany = people.ids("res.country", ["code", "=", "DE"])[0]

    def close(self) -> None:
        """There is nothing to let go of."""

    def config(self, store_url: str) -> Any:
        keyed = {name: {"assigns_keys": {"bridge": "counter", "start": 1000}} for name in self.erp.files[ERP]}
        files = {"folder": "./erp", "dialect": "savedsearch", "streams": keyed}
        said = {"mappings": {CRM: ["odoo"], ERP: ["csv-savedsearch"]}}
        both, shop = {**said, "create_in": [CRM, ERP]}, {**said, "create_in": [CRM]}
        return {
            "apiVersion": "erpcrm-bridge/v1",
            "store": {"url": store_url},
            "connections": {
                "shop": {"connector": "odoo", "settings": {**self._people.settings_in(self._folder), "streams": list(STREAMS)}},
                "erp-files": {"connector": "csv", "settings": files},
            },
            "flows": {
                FLOW: {
                    "roles": {CRM: "shop", ERP: "erp-files"},
                    "entities": {**dict.fromkeys(ENTITIES, both), "invoice": shop, "payment": shop},
                    "brakes": {"deletes": 0, "creates": None, "changed": None, "reverts": None},
                }
            },
        }

    def enter(self, side: str, entity: str, said: Said) -> None:
        if side == ERP:
            self.erp.enter(side, entity, said)
        elif entity == "customer":
            values = {"name": said["name"], "email": said["email"], "city": said["city"]}
            self._people.make("res.partner", **values, is_company=True, customer_rank=1, country_id=self._germany)
        elif entity == "contact":
            values = {"name": f"{said['first']} {said['last']}", "email": said["email"], "parent_id": self._customer(said["customer"])}
            self._people.make("res.partner", **values)
        else:
            values = {"name": said["number"], "client_order_ref": said["po"], "partner_id": self._customer(said["customer"])}
            rows = [[0, 0, self._line(line)] for line in said["lines"]]
            self._people.make("sale.order", **values, origin="Order", order_line=rows)

    def edit(self, side: str, entity: str, name: str, said: Said) -> None:
        if side == ERP:
            self.erp.edit(side, entity, name, said)
            return
        if entity != "order":
            ((one, held),) = [
                (row["id"], row["name"])
                for row in self._people.rows("res.partner", ["name"], ["name" if entity == "customer" else "email", "=", name])
            ]
            values = {field: said[field] for field in ("email", "city") if field in said}
            if entity == "contact":
                first, last = held.split()
                values = {"name": f"{said.get('first', first)} {said.get('last', last)}"}
            self._people.put("res.partner", one, **values)
            return
        (one,) = self._people.ids("sale.order", ["name", "=", name])
        values = {"client_order_ref": said["po"]} if "po" in said else {}
        if "lines" in said:
            there = {
                self._codes[row["product_id"]]: row["id"]
                for row in self._people.rows("sale.order.line", ["product_id"], ["order_id", "=", one])
            }
            wanted = {line[0]: self._line(line) for line in said["lines"]}
            rows = [[1, there[code], line] if code in there else [0, 0, line] for code, line in wanted.items()]
            values["order_line"] = [*([2, key] for code, key in there.items() if code not in wanted), *rows]
        self._people.put("sale.order", one, **values)

    def book(self, side: str) -> Book:
        if side == ERP:
            return self.erp.book(side)
        book = Book()
        partners = self._people.rows("res.partner", ["name", "email", "city", "parent_id", "customer_rank"], ["type", "=", "contact"])
        customers = {row["id"]: row["name"] for row in partners if row["customer_rank"] and not row["parent_id"]}
        for row in partners:
            if row["id"] in customers:
                book.add("customer", row["name"], {"email": row["email"], "city": row["city"]})
            elif row["parent_id"] in customers:
                first, last = row["name"].split()
                book.add("contact", row["email"], {"first": first, "last": last, "customer": customers[row["parent_id"]]})
        rows = self._people.rows("sale.order.line", ["order_id", *LINE])
        for order in self._people.rows("sale.order", ["name", "client_order_ref", "partner_id", "state", "amount_untaxed"]):
            lines = sorted(
                (self._codes[row["product_id"]], *(_money(row[name]) for name in LINE[1:]))
                for row in rows
                if row["order_id"] == order["id"]
            )
            said = {"po": order["client_order_ref"], "customer": customers[order["partner_id"]], "lines": lines}
            book.add("order", order["name"], {**said, "total": _money(order["amount_untaxed"]), "state": STATE_IN_ODOO[order["state"]]})
        self._money(book, customers)
        return book

    def _money(self, book: Book, customers: Mapping[int, str]) -> None:
        invoices = {}
        fields = ("move_id", "name", "product_id", "quantity", "price_unit", "price_subtotal")
        rows = self._people.rows("account.move.line", fields, ["display_type", "=", "product"], ["move_id.move_type", "=", "out_invoice"])
        for one in self._people.rows("account.move", ["partner_id", "state", "amount_residual"], ["move_type", "=", "out_invoice"]):
            own = [row for row in rows if row["move_id"] == one["id"]]
            open_ = _money(one["amount_residual"])
            invoices[one["id"]] = own[0]["name"]
            state = {"posted": "open" if open_ else "paid"}.get(one["state"], one["state"])
            lines = [(self._codes[row["product_id"]], *(_money(row[name]) for name in fields[3:])) for row in own]
            book.add("invoice", own[0]["name"], {"customer": customers[one["partner_id"]], "state": state, "open": open_, "lines": lines})
        memo = "memo" if self._people.version >= 18 else "ref"
        applied = self._people.rows("account.partial.reconcile", ["amount", "debit_move_id", "credit_move_id"])
        ends = [one for row in applied for one in (row["debit_move_id"], row["credit_move_id"])]
        move = {row["id"]: row["move_id"] for row in self._people.rows("account.move.line", ["move_id"], ["id", "in", ends])}
        for one in self._people.rows("account.payment", [memo, "partner_id", "amount", "move_id", "state"]):
            to = [
                (invoices[move[row["debit_move_id"]]], _money(row["amount"]))
                for row in applied
                if move[row["credit_move_id"]] == one["move_id"]
            ]
            said = {"customer": customers[one["partner_id"]], "amount": _money(one["amount"]), "to": to}
            book.add("payment", one[memo], said)

    def state(self) -> Any:
        fields = ("write_date", "name")
        models = ("res.partner", "sale.order", "sale.order.line", "account.move", "account.move.line", "account.payment")
        held = {model: self._people.rows(model, fields) for model in models}
        return {
            **held,
            **self.erp.state(),
            "applied": self._people.ids("account.partial.reconcile"),
            "ids": self._people.ids("ir.model.data"),
        }

    def _customer(self, name: str) -> int:
        (one,) = self._people.ids("res.partner", ["name", "=", name], ["customer_rank", ">", 0])
        return one

    def _line(self, line: Line) -> dict[str, Any]:
        product, quantity, price = line[:3]
        return {"product_id": self._products[product], "product_uom_qty": float(quantity), "price_unit": float(price)}


def _money(value: Any) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.01"))
