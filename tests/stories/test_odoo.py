"""Whole commands between a CRM of files and an Odoo: simulated ones in each run, a real one where ERPCRM_ODOO_URL and its kin name it."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from crashes.play import Child, child
from odoo_servers import LIVE, People, people

from erpcrm_bridge.mapping import shipped

FILES = {
    "Account.csv": "Id,Name,Type,Phone,Email__c,BillingStreet,BillingCity,BillingState,BillingPostalCode,BillingCountry,Website,"
    "VAT_Number__c,CurrencyIsoCode,Active__c,ParentId,OwnerId,Bridge_Id__c",
    "Contact.csv": "Id,AccountId,FirstName,LastName,Title,Email,Phone,MobilePhone,Bridge_Id__c",
    "Quote.csv": "Id,AccountId,QuoteNumber,ExpirationDate,Status,CurrencyIsoCode,GrandTotal,Bridge_Id__c",
    "QuoteLineItem.csv": "Id,QuoteId,LineNumber,ProductCode,Description,Quantity,UnitPrice,TotalPrice",
    "Order.csv": "Id,AccountId,OrderNumber,PoNumber,QuoteId,EffectiveDate,Status,CurrencyIsoCode,TotalAmount,Bridge_Id__c",
    "OrderItem.csv": "Id,OrderId,OrderItemNumber,ProductCode,Description,Quantity,UnitPrice,TotalPrice",
}
STREAMS = ("res.partner", "sale.order", "sale.order.line")


@pytest.fixture(scope="module")
def runs() -> Iterator[Child]:
    with child() as made:
        yield made


WHOLE = pytest.mark.skipif(not os.environ.get("ERPCRM_WHOLE_KIT"), reason="ERPCRM_WHOLE_KIT is not set")


def over(version: str) -> pytest.MarkDecorator:
    """Tell the story over this simulated version in each run, over the other where the whole kit is asked for, and over a real server."""
    others = [pytest.param(other, marks=WHOLE) for other in ("17", "19") if other != version]
    return pytest.mark.parametrize("odoo", [version, *others, LIVE], indirect=True)


@pytest.fixture
def odoo(request: pytest.FixtureRequest) -> Iterator[People]:
    with people(request.param) as found:
        found.make("product.product", name="Bolt", default_code="BOLT", type="service", taxes_id=[[6, 0, []]])
        yield found


class Office:
    """A CRM of files beside an Odoo, and the command line over both."""

    def __init__(self, folder: Path, odoo: People, runs: Child, *entities: str, policies: Mapping[str, Any] | None = None) -> None:
        self.folder, self.odoo, self._runs = folder, odoo, runs
        (folder / "crm").mkdir()
        (folder / ".erpcrm-bridge").mkdir()
        for name in FILES:
            self._write(name, [])
        keys = {name: {"assigns_keys": {"bridge": "template", "template": f"{name[:2]}{{n:05d}}"}} for name in FILES}
        mappings = {"crm": ["csv-dataloader"], "erp": ["odoo"]}
        said = {
            "apiVersion": "erpcrm-bridge/v1",
            "connections": {
                "crm-files": {"connector": "csv", "settings": {"folder": "./crm", "dialect": "dataloader", "streams": keys}},
                "odoo": {"connector": "odoo", "settings": {**odoo.settings_in(folder), "streams": list(STREAMS)}},
            },
            "flows": {
                "main": {
                    "roles": {"crm": "crm-files", "erp": "odoo"},
                    "entities": {name: {"mappings": mappings, "create_in": ["crm", "erp"]} for name in entities},
                    "policies": dict(policies or {}),
                }
            },
        }
        (folder / "config.yaml").write_text(json.dumps(said))

    def run(self, *command: str) -> tuple[int, dict[str, Any]]:
        """Run a command; return its exit code and what it says. Whatever happens: no traceback."""
        out, err = self.folder / "out", self.folder / "err"
        files = {"trace": os.devnull, "out": str(out), "err": str(err), "shadows": {}}
        code = self._runs.run(cwd=str(self.folder), arguments=["--json", *command], **files)
        assert "Traceback" not in err.read_text()
        return code, json.loads(out.read_text() or err.read_text())

    def sync(self) -> dict[str, Any]:
        code, told = self.run("sync")
        assert code == 0, told
        return told

    def assert_quiet(self) -> None:
        """Nothing is written any more, and verify finds each record equal."""
        told = self.sync()
        assert (told["written"], told["waiting"]) == ({}, {})
        code, verified = self.run("verify")
        assert (code, verified["equal"]) == (0, verified["records"]), verified

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / "crm" / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def enter(self, name: str, **cells: str) -> None:
        self._write(name, [*self.rows(name), cells])

    def edit(self, name: str, key: str, **cells: str) -> None:
        self._write(name, [row | cells if row["Id"] == key else row for row in self.rows(name)])

    def _write(self, name: str, rows: list[dict[str, str]]) -> None:
        with (self.folder / "crm" / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, FILES[name].split(","), restval="", quoting=csv.QUOTE_ALL, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


ACME = {"Name": "Acme GmbH", "Type": "Customer - Direct", "CurrencyIsoCode": "USD", "Active__c": "Yes", "BillingCountry": "Germany"}
TRADE = ("customer", "quote", "order")


def quoted(office: Office) -> int:
    """A quotation made in the CRM, as it stands in Odoo."""
    office.enter("Account.csv", Id="001A", **ACME)
    office.enter("Quote.csv", Id="0Q0A", AccountId="001A", QuoteNumber="Q-77", Status="Draft", CurrencyIsoCode="USD", GrandTotal="20.50")
    line = {"ProductCode": "BOLT", "Description": "Bolts", "Quantity": "2", "UnitPrice": "10.25", "TotalPrice": "20.50"}
    office.enter("QuoteLineItem.csv", Id="0QLA", QuoteId="0Q0A", LineNumber="1", **line)
    office.sync()
    ((one, state, total),) = [(row["id"], row["state"], row["amount_untaxed"]) for row in sales(office)]
    assert (state, float(total)) == ("draft", 20.5)
    office.assert_quiet()
    return int(one)


def sales(office: Office) -> list[dict[str, Any]]:
    return office.odoo.rows("sale.order", ["name", "state", "amount_untaxed", "client_order_ref"])


@over("19")
def test_a_quote_of_the_crm_that_is_confirmed_in_odoo_is_the_order_and_no_second_one(odoo: People, runs: Child, tmp_path: Path) -> None:
    office = Office(tmp_path, odoo, runs, *TRADE)
    one = quoted(office)
    odoo.call("sale.order", "action_confirm", [one])
    told = office.sync()
    assert told["moved on"] == 1
    (order,) = office.rows("Order.csv")
    assert (order["AccountId"], order["QuoteId"], order["Status"], float(order["TotalAmount"])) == ("001A", "0Q0A", "Activated", 20.5)
    assert [(row["OrderId"], row["ProductCode"], float(row["Quantity"])) for row in office.rows("OrderItem.csv")] == [
        (order["Id"], "BOLT", 2.0)
    ]
    assert [(row["id"], row["state"]) for row in sales(office)] == [(one, "sale")]
    assert len(office.rows("Quote.csv")) == 1
    explained = office.run("explain", f"odoo:{one}")[1]
    assert explained["entity"] == "order"
    assert explained["history"][0]["continues"]["odoo"][0] == "quote"
    office.assert_quiet()
    assert len(office.rows("Order.csv")) == 1


def ordered(office: Office) -> None:
    head = {"AccountId": "001A", "OrderNumber": "SO-1", "QuoteId": "0Q0A", "EffectiveDate": "2026-05-01", "Status": "Activated"}
    office.enter("Order.csv", Id="801A", **head, CurrencyIsoCode="USD", TotalAmount="20.50")
    line = {"ProductCode": "BOLT", "Description": "Bolts", "Quantity": "2", "UnitPrice": "10.25", "TotalPrice": "20.50"}
    office.enter("OrderItem.csv", Id="802A", OrderId="801A", OrderItemNumber="1", **line)


@over("17")
def test_a_quote_that_the_crm_makes_an_order_of_is_confirmed_in_odoo_and_no_second_one(odoo: People, runs: Child, tmp_path: Path) -> None:
    office = Office(tmp_path, odoo, runs, *TRADE, policies={"order": {"fields": {"state": {"write_by": ["crm", "erp"]}}}})
    one = quoted(office)
    ordered(office)
    told = office.sync()
    assert told["moved on"] == 1
    assert [(row["id"], row["state"]) for row in sales(office)] == [(one, "sale")]
    assert [(row["Id"], row["Status"]) for row in office.rows("Order.csv")] == [("801A", "Activated")]
    office.assert_quiet()


@over("19")
def test_an_order_of_services_that_is_cancelled_in_odoo_sleeps_until_its_source_says_that_it_is_one(
    odoo: People, runs: Child, tmp_path: Path
) -> None:
    office = Office(tmp_path, odoo, runs, *TRADE)
    one = quoted(office)
    odoo.call("sale.order", "action_confirm", [one])
    office.sync()
    odoo.call("sale.order", "action_cancel", [one], context={"disable_cancel_warning": True})
    assert office.sync()["asleep"] == 1
    assert [row["Status"] for row in office.rows("Order.csv")] == ["Activated"]
    odoo.put("sale.order", one, origin="Order")
    office.sync()
    assert [row["Status"] for row in office.rows("Order.csv")] == ["Cancelled"]
    office.assert_quiet()


def filled(office: Office) -> dict[str, int]:
    """Two systems that were filled apart: Alpha and Beta are in both, Gamma only in the CRM, Delta only in Odoo; people work for them."""
    germany = office.odoo.ids("res.country", ["code", "=", "DE"])[0]
    for number, name in enumerate(("Alpha", "Beta", "Gamma"), 1):
        mail = f"info@{name.lower()}.example"
        office.enter("Account.csv", **{**ACME, "Id": f"001{number}", "Name": f"{name} GmbH", "Email__c": mail, "Phone": "+49 30 1111111"})
        person = {"FirstName": "Ada", "LastName": f"Of{name}", "Email": f"ada@{name.lower()}.example"}
        office.enter("Contact.csv", Id=f"003{number}", AccountId=f"001{number}", **person)
    made = {}
    for name, shown in (("Alpha", "ALPHA GMBH"), ("Beta", "Beta G.m.b.H."), ("Delta", "Delta GmbH")):
        said = {"email": f"INFO@{name}.example", "phone": "030 1111111", "country_id": germany, "is_company": True, "customer_rank": 1}
        made[name] = office.odoo.make("res.partner", name=shown, **said)
        office.odoo.make("res.partner", name=f"Ada Of{name}", email=f"ada@{name.lower()}.example", parent_id=made[name])
    return made


@over("17")
def test_two_filled_systems_are_joined_edited_on_both_sides_and_agree(odoo: People, runs: Child, tmp_path: Path) -> None:
    office = Office(tmp_path, odoo, runs, "customer", "contact")
    made = filled(office)
    assert office.run("sync")[0] == 8, "nothing is joined unseen"
    assert office.run("adopt", "--create", "customer", "--create", "contact")[0] == 0
    assert office.run("apply", "--yes")[0] == 0
    office.sync()
    office.assert_quiet()
    accounts = {row["Name"]: row["Id"] for row in office.rows("Account.csv")}
    assert sorted(accounts) == ["Alpha GmbH", "Beta GmbH", "Delta GmbH", "Gamma GmbH"]
    partners = {row["name"]: row["id"] for row in odoo.rows("res.partner", ["name"], ["customer_rank", ">", 0])}
    assert sorted(partners) == sorted(accounts)
    assert [partners[f"{name} GmbH"] for name in made] == list(made.values()), "the names became the CRM's, the records are those that were"
    assert len(odoo.ids("res.partner", ["name", "like", "Ada Of"])) == len(office.rows("Contact.csv")) == 4

    alpha, gamma = made["Alpha"], partners["Gamma GmbH"]
    office.edit("Account.csv", accounts["Alpha GmbH"], BillingCity="Kiel", Phone="+49 30 2222222")
    odoo.put("res.partner", alpha, phone="+49 30 3333333", website="alpha.example")
    odoo.put("res.partner", gamma, city="Bonn")
    office.edit("Contact.csv", "0032", FirstName="Augusta")
    assert office.run("sync")[0] == 3
    rows = {row["Id"]: row for row in office.rows("Account.csv")}
    assert rows[accounts["Alpha GmbH"]]["Website"].removeprefix("http://") == "alpha.example"
    assert rows[accounts["Gamma GmbH"]]["BillingCity"] == "Bonn"
    ((city, phone),) = [(row["city"], row["phone"]) for row in odoo.rows("res.partner", ["city", "phone"], ["id", "=", alpha])]
    assert (city, phone) == ("Kiel", "+49 30 3333333")
    assert [row["name"] for row in odoo.rows("res.partner", ["name"], ["parent_id", "=", made["Beta"]])] == ["Augusta OfBeta"]

    (clash,) = office.run("conflicts")[1]["clashes"]
    assert clash["field"] == "phone"
    assert office.run("conflicts", "settle", clash["id"], "--take", "crm")[0] == 0
    office.sync()
    assert odoo.rows("res.partner", ["phone"], ["id", "=", alpha])[0]["phone"] == "+49 30 2222222"
    office.assert_quiet()
    assert office.run("conflicts")[1]["clashes"] == []


def trade(odoo: People) -> None:
    """Make something of all that people keep in an Odoo, from the lead to the payment."""
    customer = odoo.make("res.partner", name="Acme", is_company=True, customer_rank=1, phone="+49 30 1111111", website="acme.example")
    odoo.make("res.partner", name="Ludwig van Beethoven", parent_id=customer, email="l@acme.example")
    odoo.make("crm.lead", name="Screws", type="lead", contact_name="Ida Rasmussen", partner_name="Nordwind AG")
    odoo.make("crm.lead", name="Bolts", type="opportunity", partner_id=customer, expected_revenue=1000)
    (bolt,) = odoo.ids("product.product", ["default_code", "=", "BOLT"])
    row = [0, 0, {"product_id": bolt, "product_uom_qty": 2, "price_unit": 10.25}]
    odoo.make("sale.order", partner_id=customer, order_line=[row])
    order = odoo.make("sale.order", partner_id=customer, order_line=[row], client_order_ref="PO-1")
    odoo.call("sale.order", "action_confirm", [order])
    billed = [[0, 0, {"product_id": bolt, "name": "Bolts", "quantity": 2, "price_unit": 10.25}]]
    invoice = odoo.make("account.move", move_type="out_invoice", partner_id=customer, invoice_date="2026-11-20", invoice_line_ids=billed)
    odoo.call("account.move", "action_post", [invoice])
    at = {"active_model": "account.move", "active_ids": [invoice]}
    (paying,) = odoo.call("account.payment.register", "create", vals_list=[{"amount": 20.5}], context=at)
    odoo.call("account.payment.register", "action_create_payments", [paying], context=at)


TRIED = {
    "contact",
    "customer",
    "invoice",
    "lead",
    "opportunity",
    "order",
    "payment",
    "payment_term",
    "price_list",
    "product",
    "quote",
    "unit",
}


@over("19")
def test_the_shipped_mappings_fit_and_read_each_record_of_a_sample(odoo: People, runs: Child, tmp_path: Path) -> None:
    trade(odoo)
    office = Office(tmp_path, odoo, runs, "customer")
    said = json.loads((tmp_path / "config.yaml").read_text())
    one = said["connections"].pop("odoo")
    del one["settings"]["streams"]
    said["connections"] = {"a": {**one, "values": {"currency": "USD"}}, "b": {**one, "values": {"currency": "USD"}}}
    entities = {path.parent.name: {"mappings": {"crm": ["odoo"], "erp": ["odoo"]}} for path in shipped().glob("*/odoo.yaml")}
    said["flows"]["main"] |= {"roles": {"crm": "a", "erp": "b"}, "entities": entities}
    (tmp_path / "config.yaml").write_text(json.dumps(said))
    code, told = office.run("mapping", "check", "--sample", "2000", "--no-laws")
    wrong = [finding for one in told["mappings"] for finding in one["findings"] if finding["level"] not in ("WARN", "LOSSY", "ok")]
    assert (code, wrong) == (0, [])
    checked = {one["name"].partition("/")[0]: one for one in told["mappings"] if one["connection"] == "a"}
    assert checked.keys() == entities.keys()
    tried = {name: one["sample"] for name, one in checked.items() if one["sample"]}
    assert {name for name, sample in tried.items() if sample["records"] > sample["asleep"]} >= TRIED
    assert {name: sample["unread"] for name, sample in tried.items() if sample["unread"]} == {}
    assert {name: sample["changed"] for name, sample in tried.items() if sample["changed"]} == {}
