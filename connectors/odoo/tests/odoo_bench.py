"""Benches over an Odoo server, real or simulated: leads (records with every type of field) and orders (documents with rows and states).

Other people work through the same API as another client; what a network does to a call is done between the connector and the wire.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import httpx

from erpcrm_bridge.connector import Budget, Capabilities, Child, Connector, Selection
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.testing.conformance import ListSamples, MoveSamples
from erpcrm_bridge.transport import Manners
from erpcrm_bridge_odoo import OdooConnector, OdooSettings
from erpcrm_bridge_odoo.models import MOVES
from erpcrm_bridge_odoo.rpc import Server
from erpcrm_bridge_odoo.shape import to_write
from erpcrm_bridge_odoo.simulator import start

WRITES = ("load", "write", "web_save_multi", "unlink", "create")
HASTE = Manners(tries=2, first_wait=0.01, longest_wait=0.05)


class Place:
    """Where a server is, and who the bridge is there. ``from_environment`` names the real one of the tests marked ``live_odoo``."""

    def __init__(self, url: str, database: str, user: str, key: str) -> None:
        self.url, self.database, self.user, self.key = url, database, user, key

    @classmethod
    def from_environment(cls) -> Place | None:
        names = [f"ERPCRM_ODOO_{name}" for name in ("URL", "DB", "USER", "KEY")]
        said = [os.environ.get(name, "") for name in names]
        return cls(*said) if all(said) else None

    @classmethod
    @cache
    def simulated(cls, version: str) -> Place:
        """A simulator that is up as long as the tests; each bench clears its stream first, as on a real server."""
        simulator = start(port=0, version=version, faults=(), seed_data=False)
        return cls(simulator.url, simulator.service.database.name, "admin", simulator.key)

    def settings(self, **more: Any) -> OdooSettings:
        said = {"url": self.url, "database": self.database, "user": self.user, "key": self.key, **more}
        return OdooSettings.model_validate(said)


class Wire(httpx.BaseTransport):
    """The way to the server, where answers are lost and calls refused on request."""

    def __init__(self) -> None:
        self._way = httpx.HTTPTransport(verify=False)  # loopback: no certificates to load
        self.losing = False
        self.throttled_after: int | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        method = _method(request)
        if self.throttled_after is not None and method == "search_read" and b'"limit"' in request.content:
            if self.throttled_after <= 0:
                return httpx.Response(429, text="slowly")
            self.throttled_after -= 1
        answer = self._way.handle_request(request)
        if self.losing and method in WRITES:
            self.losing = False
            answer.read()
            raise httpx.ReadError("the connection was reset", request=request)
        return answer

    def close(self) -> None:
        self._way.close()


def _method(request: httpx.Request) -> str:
    if request.url.path.startswith("/json/2/"):
        return request.url.path.rpartition("/")[2]
    if request.url.path == "/jsonrpc":
        args = json.loads(request.content)["params"]["args"]
        return str(args[4]) if len(args) > 4 else ""
    return ""


class OdooBench:
    """What both benches share. ``model`` is cleared at the beginning."""

    model = ""
    selection: Selection
    offered: Capabilities
    samples: Sequence[Fields] = ()
    several_pages = 8

    def __init__(self, place: Place) -> None:
        self.place = place
        self.secrets = (place.key,)
        self.wire = Wire()
        self._streams = (self.model, *(child.stream for child in self.selection.children))
        self.people = Server(place.settings(), budget=Budget(), transport=Wire())
        self._connectors: list[Connector] = []
        self._columns = OdooConnector(place.settings(streams=self._streams), transport=Wire())._shape(self.model).columns

    def clean(self) -> Connector:
        self._clear()
        return self.reconnect()

    def _clear(self) -> None:
        ids = self.people.call(self.model, "search", domain=[])
        if ids:
            self.people.call(self.model, "unlink", ids)

    def reconnect(self) -> Connector:
        settings = self.place.settings(streams=self._streams, page=3)
        self._connectors.append(OdooConnector(settings, transport=self.wire, manners=HASTE))
        return self._connectors[-1]

    def create(self, fields: Fields) -> str:
        return str(self.people.call(self.model, "create", vals_list=[self._values(fields)])[0])

    def edit(self, key: str, fields: Fields) -> None:
        self.people.call(self.model, "write", [int(key)], vals=self._values(fields))

    def delete(self, key: str) -> None:
        self.people.call(self.model, "unlink", [int(key)])

    def lose_the_answer(self) -> None:
        self.wire.losing = True

    def throttle(self, after: int) -> None:
        self.wire.throttled_after = after

    def close(self) -> None:
        for connector in self._connectors:
            connector.close()
        self.people.close()

    def _values(self, fields: Fields) -> dict[str, Any]:
        return {self._columns[name].own: to_write(self._columns[name], value) for name, value in fields.items()}


def offers(stream: str, **more: Any) -> Capabilities:
    return Capabilities(
        lists_keys=True,
        tells_gone=True,
        upsert=True,
        find=True,
        version_exact=True,
        window="a call",
        moves=dict(MOVES.get(stream, {})),
        **more,
    )


class LeadBench(OdooBench):
    model = "crm.lead"
    selection = Selection(
        "crm.lead",
        "id",
        ("name", "type", "priority", "expected_revenue", "function", "partner_name", "date_deadline", "active", "description"),
        "$xmlid",
    )
    offered = offers("crm.lead")
    samples: Sequence[Fields] = (
        {
            "name": "Acme",
            "type": "opportunity",
            "priority": "0",
            "expected_revenue": Decimal("5900.00"),
            "function": "x",
            "partner_name": "P",
            "date_deadline": "2026-05-01",
            "active": True,
            "description": "<p>x</p>",
        },
        {
            "name": "Ünï 株式会社 🚲",
            "type": "lead",
            "priority": "2",
            "expected_revenue": Decimal("711069047668.24"),
            "function": "",
            "partner_name": None,
            "date_deadline": None,
            "active": False,
            "description": None,
        },
        {
            "name": "0",
            "type": "lead",
            "priority": "1",
            "expected_revenue": 0,
            "function": "line\r\nline\t" * 300,
            "partner_name": "False",
            "date_deadline": "2024-02-29",
            "active": True,
            "description": "<p>y</p>",
        },
    )
    refusal: tuple[str, Any] = ("priority", "no such priority")
    normalised: tuple[str, Any, Any] = ("description", "hello", "<p>hello</p>")

    def another(self, number: int) -> Fields:
        return {
            "name": f"Firm {number}",
            "type": "lead",
            "priority": str(number % 3),
            "expected_revenue": Decimal(number) + Decimal("0.50"),
            "function": f"by {number}",
            "partner_name": f"Partner {number}",
            "date_deadline": f"2026-05-{number % 28 + 1:02}",
            "active": True,
            "description": f"<p>{number}</p>",
        }


class OrderBench(OdooBench):
    model = "sale.order"
    selection = Selection(
        "sale.order",
        "id",
        ("partner_id", "client_order_ref", "origin", "validity_date", "order_state"),
        "$xmlid",
        (Child("sale.order.line", "order_id", "id", ("product_id", "name", "product_uom_qty", "price_unit", "discount")),),
    )
    offered = offers("sale.order")
    refusal: tuple[str, Any] = ("client_order_ref", "a\0b")
    moves = MoveSamples("order_state", "draft", "sale", "invoiced")

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._partners = [self._one("res.partner", {"name": f"Bench partner {number}"}) for number in (1, 2, 3)]
        product = self._one("product.product", {"name": "Bench product"}, "product.template")
        self.samples = (
            {"partner_id": self._partners[0], "client_order_ref": "PO 1", "origin": "shop", "validity_date": "2026-12-24"},
            {"partner_id": self._partners[1], "client_order_ref": "", "origin": None, "validity_date": "2027-02-28"},
            {"partner_id": self._partners[2], "client_order_ref": "Ünï 株式会社 🚲" * 20, "origin": "0", "validity_date": "2028-02-29"},
        )
        row = {"product_id": product, "name": "One", "product_uom_qty": Decimal("1.50"), "price_unit": Decimal("10.25"), "discount": 0}
        self.lists = (
            ListSamples(
                "sale.order.line",
                "id",
                (
                    row,
                    {**row, "name": "Two\nlines", "product_uom_qty": 2, "discount": Decimal("12.5")},
                    {**row, "name": "Three", "price_unit": 0, "product_uom_qty": Decimal("-1")},
                ),
                ("product_uom_qty", 12),
            ),
        )

    def _one(self, model: str, values: dict[str, Any], template: str | None = None) -> str:
        found = self.people.call(model, "search", domain=[["name", "=", values["name"]]], limit=1)
        return str((found or self.people.call(model, "create", vals_list=[values]))[0])

    def _clear(self) -> None:
        ids = self.people.call(self.model, "search", domain=[])
        confirmed = self.people.call(self.model, "search", domain=[["state", "=", "sale"]])
        if confirmed:
            self.people.call(self.model, "action_cancel", confirmed, context={"disable_cancel_warning": True})
        if ids:
            self.people.call(self.model, "unlink", ids)

    def another(self, number: int) -> Fields:
        return {
            "partner_id": self._partners[number % 3],
            "client_order_ref": f"PO {number}",
            "origin": f"shop {number}",
            "validity_date": f"2027-05-{number % 28 + 1:02}",
        }

    def edit_line(self, key: str, name: str, line: str, fields: Fields) -> None:
        self.people.call(name, "write", [int(line)], vals=dict(fields))


class PriceBench(OdooBench):
    """Prices with quantity breaks: rows that are records of the same model."""

    model = "product.pricelist.item"
    selection = Selection(
        "product.pricelist.item",
        "id",
        ("pricelist_id", "product_id", "fixed_price", "compute_price"),
        "$xmlid",
        (Child("product.pricelist.break", "item_id", "id", ("min_quantity", "fixed_price")),),
    )
    offered = offers("product.pricelist.item")
    refusal: tuple[str, Any] = ("compute_price", "no such way")

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._list = self._one("product.pricelist", {"name": "Bench prices"})
        self._products = [self._one("product.product", {"name": f"Priced product {number}"}) for number in range(6)]
        self.samples = tuple(self._price(number, price) for number, price in enumerate((Decimal("10.25"), 0, Decimal("1234567.89"))))
        self.lists = (
            ListSamples(
                "product.pricelist.break",
                "id",
                tuple({"min_quantity": Decimal(10**number), "fixed_price": Decimal(9 - number)} for number in (1, 2, 3)),
                ("fixed_price", Decimal("4.5")),
            ),
        )

    def _one(self, model: str, values: dict[str, Any]) -> str:
        found = self.people.call(model, "search", domain=[["name", "=", values["name"]]], limit=1)
        return str((found or self.people.call(model, "create", vals_list=[values]))[0])

    def _price(self, number: int, price: Any) -> Fields:
        product = self._products[number % len(self._products)]
        return {"pricelist_id": self._list, "product_id": product, "fixed_price": price, "compute_price": "fixed"}

    def _values(self, fields: Fields) -> dict[str, Any]:
        return {**({"applied_on": "0_product_variant"} if "product_id" in fields else {}), **super()._values(fields)}

    def another(self, number: int) -> Fields:
        return self._price(number, Decimal(number) + Decimal("0.75"))

    def edit_line(self, key: str, name: str, line: str, fields: Fields) -> None:
        self.people.call(self.model, "write", [int(line)], vals=dict(fields))
