"""The whole model through `sync`, from folder to folder of CSV files: hierarchies, prices with breaks, stock, invoices, payments and what
they pay. The ERP's folder is filled, the CRM's holds the heads of its files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from .cli_world import CliWorld, Done, _text

CRM = {
    "Account.csv": "Id,Bridge_Id__c,Name,Type,Active__c,VAT_Number__c,Email__c,Phone,Website,BillingStreet,BillingCity,BillingState,"
    "BillingPostalCode,BillingCountry,CurrencyIsoCode,ParentId,AccountNumber,ShippingStreet,ShippingCity,ShippingState,ShippingPostalCode,"
    "ShippingCountry,OwnerId",
    "ContactPointAddress.csv": "Id,ParentId,Name,Street,City,State,PostalCode,Country",
    "Product2.csv": "Id,Bridge_Id__c,ProductCode,Name,Description,Family,QuantityUnitOfMeasure,CurrencyIsoCode,Cost__c,IsActive",
    "Pricebook2.csv": "Id,Bridge_Id__c,Name,IsStandard,IsActive",
    "PricebookEntry.csv": "Id,Bridge_Id__c,Pricebook2Id,Product2Id,CurrencyIsoCode,UnitPrice,IsActive",
    "Price_Break__c.csv": "Id,Price_Entry_Id__c,Min_Quantity__c,Unit_Price__c",
    "Stock_Level__c.csv": "Id,Bridge_Id__c,Product__c,Location__c,On_Hand__c,Available__c,Next_Quantity__c,Next_Date__c",
    "Invoice__c.csv": "Id,Bridge_Id__c,Account__c,Order__c,Name,Invoice_Date__c,Due_Date__c,Status__c,CurrencyIsoCode,Total__c,"
    "Open_Amount__c",
    "Invoice_Line__c.csv": "Id,Invoice__c,Line_Number__c,Product_Code__c,Description__c,Quantity__c,Unit_Price__c,Amount__c,Line_Type__c",
    "Payment__c.csv": "Id,Bridge_Id__c,Account__c,Name,Payment_Date__c,Method__c,Bank_Reference__c,Status__c,CurrencyIsoCode,Amount__c,"
    "Unapplied_Amount__c",
    "Payment_Application__c.csv": "Id,Payment__c,Line_Number__c,Invoice__c,Amount__c",
}
CUSTOMER = (
    "Internal ID,External ID,Company Name,Category,Parent,Billing Address 1,Billing Address 2,Billing City,Billing State/Province,"
    "Billing Zip,Billing Country,Phone,Email,Web Address,VAT Registration Number,Currency,Terms,Credit Limit,Inactive,ID,"
    "Shipping Address 1,Shipping City"
)
INVOICE = "Internal ID,External ID,Customer,Created From,Document Number,Date,Due Date,Status,Currency,Amount,Amount Remaining"
ERP: dict[str, tuple[str, list[str]]] = {
    "customers.csv": (CUSTOMER, [
        "1001,,Alpha Kiel GmbH,Corporate,1002,Weg 1,,Kiel,,24103,Germany,,kiel@alpha.example,,,Euro,,,No,C-1,Am Kai 7,Kiel",
                                 "1002,,Alpha AG,Corporate,,Ring 2,,Hamburg,,20457,Germany,,info@alpha.example,,,Euro,,,No,C-2,,"]),
    "customer_addresses.csv": ("Address Internal ID,Customer,Label,Address 1,Address 2,City,State/Province,Zip,Country",
                               ["5001,1002,Site B,Hafen 3,,Hamburg,HH,20459,Germany"]),
    "items.csv": ("Internal ID,External ID,Name,Display Name,Description,Type,Class,Primary Sale Unit,Currency,Average Cost,Inactive",
                  ["301,,SCR-10,Screw 10 mm,zinc plated,Inventory Item,Fasteners,pc,Euro,0.021,No"]),
    "price_levels.csv": ("Internal ID,External ID,Name,Inactive", ["5,,Dealers,No"]),
    "prices.csv": ("Internal ID,External ID,Price Level,Item,Currency,Unit Price", ["81,,5,301,Euro,0.0475"]),
    "price_breaks.csv": ("Internal ID,Price,Min Quantity,Unit Price", ["91,81,1000,0.0425", "92,81,50000,0.03125"]),
    "stock.csv": ("Internal ID,External ID,Item,Location,On Hand,Available,Next Receipt Quantity,Next Receipt Date",
                  ["61,,301,Hamburg,1250,1000.5,5000,06/15/2026"]),
    "invoices.csv": (INVOICE, ['70001,,1001,,INV-1,05/01/2026,05/31/2026,Open,Euro,"1,395.61",0.61']),
    "invoice_lines.csv": ("Line Unique Key,Invoice,Line ID,Item,Memo,Quantity,Item Rate,Amount,Line Type",
                          ["1,70001,1,SCR-10,Screw,24690,0.0475,1172.78,Item", "2,70001,2,,VAT 19 %,1,222.83,222.83,Tax"]),
    "payments.csv": ("Internal ID,External ID,Customer,Document Number,Date,Payment Method,PO/Check Number,Status,Currency,Amount,"
                     "Amount Unapplied",
                     ['80001,,1001,PAY-1,05/28/2026,Transfer,RF18,Deposited,Euro,"1,395.00",0.00']),
    "payment_applications.csv": ("Line Unique Key,Payment,Line ID,Applied To,Amount", ["1,80001,1,70001,1395.00"]),
}  # fmt: skip
ENTITIES = ["customer", "product", "price_list", "price", "stock", "invoice", "payment"]


def config() -> str:
    """Return one flow of all these entities; new records of the CRM get keys from us."""
    keys = "".join(
        f'        {file}: {{assigns_keys: {{bridge: template, template: "{number:02d}N{{n:04d}}"}}}}\n' for number, file in enumerate(CRM)
    )
    moved = "".join(
        f"      {entity}: {{mappings: {{crm: [csv-dataloader], erp: [csv-savedsearch]}}, create_in: [crm]}}\n" for entity in ENTITIES
    )
    return f"""\
apiVersion: erpcrm-bridge/v1
connections:
  crm-files:
    connector: csv
    settings:
      folder: ./crm
      dialect: dataloader
      streams:
{keys}  erp-files:
    connector: csv
    settings: {{folder: ./erp, dialect: savedsearch}}
flows:
  main:
    roles: {{crm: crm-files, erp: erp-files}}
    entities:
{moved}    brakes: {{creates: null, changed: null}}
"""


class Trade(CliWorld):
    """An ERP's folder as it is exported, and a CRM's with nothing in it yet."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "config.yaml").write_text(config())
        for file in (*folder.glob("crm/*.csv"), *folder.glob("erp/*.csv")):
            file.unlink()
        for name, head in CRM.items():
            (folder / "crm" / name).write_text(_text(head.split(","), [], csv.QUOTE_ALL, "\n"))
        for name, (head, rows) in ERP.items():
            self.export(name, head, rows)

    def export(self, name: str, head: str, rows: Sequence[str]) -> None:
        (self.folder / "erp" / name).write_bytes("".join(f"{line}\r\n" for line in (head, *rows)).encode())

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / "erp" / name
        text = path.read_bytes()
        assert text.count(old.encode()) == 1
        path.write_bytes(text.replace(old.encode(), new.encode()))

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / "crm" / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def row(self, name: str, **wanted: str) -> dict[str, str]:
        (found,) = [row for row in self.rows(name) if wanted.items() <= row.items()]
        return found

    def files(self) -> Mapping[Path, bytes]:
        return {path: path.read_bytes() for path in self.folder.glob("*/*.csv")}

    def sync(self) -> Done:
        return self.ok("sync")


@pytest.fixture
def trade(tmp_path: Path) -> Trade:
    return Trade(tmp_path)


def test_the_erp_s_catalogue_stock_and_books_come_to_stand_in_an_empty_crm_and_stay_in_step(trade: Trade) -> None:
    trade.sync()
    branch, group = trade.row("Account.csv", AccountNumber="C-1"), trade.row("Account.csv", AccountNumber="C-2")
    assert branch["ParentId"] == group["Id"], "the parent stands below its child in the file"
    assert (branch["ShippingStreet"], branch["ShippingCity"]) == ("Am Kai 7", "Kiel")
    site = trade.row("ContactPointAddress.csv")
    assert (site["ParentId"], site["Name"], site["Street"], site["State"]) == (group["Id"], "Site B", "Hafen 3", "HH")

    product, dealers = trade.row("Product2.csv", ProductCode="SCR-10"), trade.row("Pricebook2.csv", Name="Dealers")
    assert product["Cost__c"] == "0.021"
    price = trade.row("PricebookEntry.csv")
    assert (price["Product2Id"], price["Pricebook2Id"], price["UnitPrice"]) == (product["Id"], dealers["Id"], "0.0475")
    breaks = {row["Min_Quantity__c"]: row["Unit_Price__c"] for row in trade.rows("Price_Break__c.csv")}
    assert breaks == {"1000": "0.0425", "50000": "0.03125"}
    stock = trade.row("Stock_Level__c.csv")
    assert (stock["Product__c"], stock["Available__c"], stock["Next_Date__c"]) == (product["Id"], "1000.5", "2026-06-15")

    invoice = trade.row("Invoice__c.csv", Name="INV-1")
    assert (invoice["Account__c"], invoice["Total__c"], invoice["Open_Amount__c"]) == (branch["Id"], "1395.61", "0.61")
    assert [row["Line_Type__c"] for row in trade.rows("Invoice_Line__c.csv")] == ["Item", "Tax"]
    payment = trade.row("Payment__c.csv", Name="PAY-1")
    paid = trade.row("Payment_Application__c.csv")
    assert (paid["Payment__c"], paid["Invoice__c"], paid["Amount__c"]) == (payment["Id"], invoice["Id"], "1395.00")

    before = trade.files()
    trade.sync()
    assert trade.files() == before

    trade.edit("price_breaks.csv", "91,81,1000,0.0425", "91,81,1000,0.0415")
    trade.edit("price_breaks.csv", "92,81,50000,0.03125\r\n", "93,81,90000,0.03\r\n")
    trade.edit("stock.csv", "1250,1000.5,5000,06/15/2026", "6250,6000.5,,")
    trade.sync()
    breaks = {row["Min_Quantity__c"]: row["Unit_Price__c"] for row in trade.rows("Price_Break__c.csv")}
    assert breaks == {"1000": "0.0415", "90000": "0.03"}
    stock = trade.row("Stock_Level__c.csv")
    assert (stock["On_Hand__c"], stock["Next_Quantity__c"], stock["Next_Date__c"]) == ("6250", "", "")


def test_a_payment_waits_for_the_invoice_that_one_of_its_lines_pays(trade: Trade) -> None:
    _, (one,) = ERP["invoices.csv"]
    trade.export("invoices.csv", INVOICE, [])
    trade.export("invoice_lines.csv", ERP["invoice_lines.csv"][0], [])
    done = trade.run("sync")
    assert trade.rows("Payment__c.csv") == []
    assert "waits for its invoice 70001" in done.out + done.err + trade.ok("parked").out
    trade.export("invoices.csv", INVOICE, [one])
    trade.export("invoice_lines.csv", *ERP["invoice_lines.csv"])
    trade.sync()
    assert trade.row("Payment_Application__c.csv")["Invoice__c"] == trade.row("Invoice__c.csv")["Id"]
    assert trade.ok("parked", "--json").object["parked"] == []


def test_two_invoices_of_one_number_for_two_customers_are_asked_about_and_neither_is_written_over(trade: Trade) -> None:
    trade.sync()
    group = trade.row("Account.csv", AccountNumber="C-2")["Id"]
    head, lines = ERP["invoice_lines.csv"]
    trade.export("invoices.csv", INVOICE, [*ERP["invoices.csv"][1], "70009,,1001,,17,06/01/2026,,Open,Euro,50.00,50.00"])
    trade.export("invoice_lines.csv", head, [*lines, "9,70009,1,SCR-10,Screw,1000,0.05,50.00,Item"])
    for file, told in (
        ("Invoice__c.csv", {"Id": "I9", "Account__c": group, "Name": "17", "Invoice_Date__c": "2026-03-09", "CurrencyIsoCode": "EUR",
                            "Total__c": "8.00"}),
        ("Invoice_Line__c.csv", {"Id": "L9", "Invoice__c": "I9", "Line_Number__c": "1", "Product_Code__c": "X", "Amount__c": "8.00"}),
    ):  # fmt: skip
        (trade.folder / "crm" / file).write_text(_text(CRM[file].split(","), [*trade.rows(file), told], csv.QUOTE_ALL, "\n"))
    before = trade.files()
    assert trade.run("sync").code == 3
    assert trade.files() == before
    parked = trade.ok("parked").out
    assert parked.count("same number as a record that may be the same") == 2
    (doubted,) = [line.split()[0] for line in parked.splitlines() if "Invoice__c.csv I9" in line]
    trade.ok("parked", "new", doubted)
    trade.run("sync")
    assert trade.row("Invoice__c.csv", Id="I9")["Total__c"] == "8.00"


def test_two_companies_of_a_group_whose_tax_ids_differ_are_not_made_one_by_their_name(trade: Trade) -> None:
    for file in trade.files():
        file.unlink()
    text = (trade.folder / "config.yaml").read_text()
    flow = "      legal_entity: {mappings: {crm: [csv-dataloader], erp: [csv-savedsearch]}, create_in: [crm]}\n"
    head, _, _ = text.partition("      streams:\n")
    (trade.folder / "config.yaml").write_text(head + text[text.index("  erp-files:\n") : text.index("      customer:")] + flow)
    trade.export(
        "subsidiaries.csv",
        "Internal ID,External ID,Name,VAT Registration Number,Currency,Address 1,Address 2,City,State/Province,Zip,Country,Parent,Inactive",
        ["2,,Globex Ltd,GB999,British pound,,,London,,,United Kingdom,,No"],
    )
    told = {"Id": "A", "Name": "Globex GmbH", "Tax_Id__c": "DE111", "CurrencyIsoCode": "EUR", "LegalEntityCity": "Bonn", "Status": "Active"}
    address = [f"LegalEntity{part}" for part in ("Street", "City", "State", "PostalCode", "Country")]
    columns = ["Id", "Bridge_Id__c", "Name", "Tax_Id__c", "CurrencyIsoCode", *address, "Status"]
    (trade.folder / "crm" / "LegalEntity.csv").write_text(_text(columns, [told], csv.QUOTE_ALL, "\n"))
    before = trade.files()
    trade.ok("adopt", "--create", "legal_entity")
    assert trade.run("apply", "--yes").code == 3
    assert trade.files() == before
    assert [row["kind"] for row in trade.ok("parked", "--json").object["parked"]] == ["review", "review"]


@pytest.mark.parametrize("told", [True, False])
def test_a_rate_of_another_base_currency_is_no_rate_of_the_crm(trade: Trade, told: bool) -> None:
    for file in trade.files():
        file.unlink()
    text = (trade.folder / "config.yaml").read_text()
    flow = "      exchange_rate: {mappings: {crm: [csv-dataloader], erp: [csv-savedsearch]}, create_in: []}\n"
    head, _, _ = text.partition("      streams:\n")
    own = "    values: {currency: EUR}\n" if told else ""
    (trade.folder / "config.yaml").write_text(head + own + text[text.index("  erp-files:\n") : text.index("      customer:")] + flow)
    pounds = [f"{n},,British pound,{base},05/01/2026,{rate}" for n, base, rate in ((1, "US Dollar", "1.25"), (2, "Euro", "1.15"))]
    trade.export("currency_rates.csv", "Internal ID,External ID,Currency,Base Currency,Effective Date,Exchange Rate", pounds)
    rate = {"Id": "R1", "IsoCode": "GBP", "StartDate": "2026-05-01", "ConversionRate": "0.87"}
    (trade.folder / "crm" / "DatedConversionRate.csv").write_text(_text(list(rate), [rate], csv.QUOTE_ALL, "\n"))
    trade.ok("adopt")
    trade.run("apply", "--yes")
    assert trade.row("DatedConversionRate.csv")["ConversionRate"] == ("0.869565" if told else "0.87")
    assert len(trade.ok("parked", "--json").object["parked"]) == (0 if told else 3)


@pytest.mark.parametrize(("day", "asked"), [("2026-06-01", True), ("2026-05-01", False)])
def test_two_orders_that_a_customer_calls_off_under_one_number_are_not_made_one(trade: Trade, day: str, asked: bool) -> None:
    trade.sync()
    config, flow = trade.folder / "config.yaml", "mappings: {crm: [csv-dataloader], erp: [csv-savedsearch]}, create_in: [crm, erp]}\n"
    text = config.read_text().replace("    brakes:", f"      order: {{{flow}    brakes:")
    config.write_text(text.replace("savedsearch}", "savedsearch, streams: {salesorders.csv: {assigns_keys: {bridge: counter}}}}"))
    head, line = (
        "Internal ID,External ID,Document Number,PO/Check Number,Customer,Date,Status,Currency,Amount",
        "Line Unique Key,Sales Order",
    )
    trade.export("salesorders.csv", head, ["501,,SO-1,PO-4711,1001,05/01/2026,Billed,Euro,10.00"])
    trade.export("salesorder_lines.csv", f"{line},Line ID,Item,Memo,Quantity,Item Rate,Amount", ["1,501,1,SCR-10,Screw,100,0.10,10.00"])
    account = trade.row("Account.csv", AccountNumber="C-1")["Id"]
    for file, row in (
        ("Order.csv", f"Id,Bridge_Id__c,OrderNumber,PoNumber,AccountId,EffectiveDate,Status,CurrencyIsoCode,TotalAmount\n"
                      f"801A,,00000007,PO-4711,{account},{day},Draft,EUR,7.00\n"),
        ("OrderItem.csv", "Id,OrderId,OrderItemNumber,ProductCode,Description,Quantity,UnitPrice,TotalPrice\n"
                          "802A,801A,1,SCR-10,Screw,70,0.10,7.00\n"),
    ):  # fmt: skip
        (trade.folder / "crm" / file).write_text(row)
    trade.run("adopt")
    trade.run("apply", "--yes")
    order = trade.row("Order.csv")
    assert order["OrderNumber"] == ("00000007" if asked else "SO-1")
    assert (b"10.00" in (trade.folder / "erp" / "salesorders.csv").read_bytes()) == asked
    assert ("same customer + po_number" in trade.run("parked").out) == asked


def test_a_price_is_not_written_into_an_entry_that_is_kept_in_another_currency(trade: Trade) -> None:
    trade.sync()
    trade.edit("prices.csv", "Euro,0.0475", "US Dollar,0.0515")
    trade.edit("price_breaks.csv", "91,81,1000,0.0425", "91,81,1000,0.0465")
    trade.edit("items.csv", "Euro,0.021", "US Dollar,0.023")
    before = trade.files()
    assert trade.run("sync").code == 3
    assert trade.files() == before
    assert trade.ok("parked").out.count("currency: the record is kept in EUR, which no update changes: amounts in USD are not written") == 2
    assert trade.run("verify").code == 3
    for file in ("PricebookEntry.csv", "Product2.csv"):
        path = trade.folder / "crm" / file
        path.write_text(path.read_text().replace('"EUR"', '"USD"'))
    trade.sync()
    assert (trade.row("PricebookEntry.csv")["UnitPrice"], trade.row("Product2.csv")["Cost__c"]) == ("0.0515", "0.023")
    assert "0.0465" in {row["Unit_Price__c"] for row in trade.rows("Price_Break__c.csv")}
    assert trade.ok("verify").code == 0


def test_what_an_erp_says_of_another_product_is_not_written_into_the_record_of_the_first(trade: Trade) -> None:
    head, items = ERP["items.csv"]
    trade.export("items.csv", head, [*items, "302,,BLT-10,Bolt 10 mm,,Inventory Item,Fasteners,pc,Euro,0.031,No"])
    trade.sync()
    trade.edit("stock.csv", "61,,301,Hamburg,1250,", "61,,302,Hamburg,77,")
    trade.edit("prices.csv", "81,,5,301,Euro,0.0475", "81,,5,302,Euro,0.09")
    before = trade.files()
    for _ in range(2):
        assert trade.run("sync").code == 3
        assert trade.files() == before
    assert (
        trade.ok("parked").out.count("product: the record is that of another one, which no update changes: nothing is written into it") == 2
    )
    assert trade.run("verify").code == 3
    trade.edit("stock.csv", "61,,302,Hamburg,77,", "61,,301,Hamburg,78,")
    trade.edit("prices.csv", "81,,5,302,Euro,0.09", "81,,5,301,Euro,0.05")
    trade.sync()
    assert (trade.row("Stock_Level__c.csv")["On_Hand__c"], trade.row("PricebookEntry.csv")["UnitPrice"]) == ("78", "0.05")
    assert trade.ok("parked", "--json").object["parked"] == []
    assert trade.ok("verify").code == 0


def test_an_edit_that_a_system_may_not_make_is_set_back_where_nobody_has_ever_said_anything(trade: Trade) -> None:
    trade.edit("customers.csv", "No,C-2,", "No,,")
    trade.sync()
    path = trade.folder / "crm" / "Account.csv"
    before = path.read_text()
    (row,) = [row for row in trade.rows("Account.csv") if not row["AccountNumber"]]
    rows = [one | {"AccountNumber": "Z-1"} if one == row else one for one in trade.rows("Account.csv")]
    path.write_text(_text(CRM["Account.csv"].split(","), rows, csv.QUOTE_ALL, "\n"))
    trade.sync()
    assert "said Z-1: refused, this role may not change the field" in trade.ok("explain", row["Id"], "number").out
    assert path.read_text() == before
    assert trade.ok("verify").code == 0


def test_an_export_that_groups_its_thousands_does_so_in_lines_prices_and_stock_too(trade: Trade) -> None:
    head, _ = ERP["invoice_lines.csv"]
    trade.export("invoice_lines.csv", head, [
        '1,70001,1,SCR-10,Screw,"24,690",0.0475,"1,172.78",Item', "2,70001,2,,VAT 19 %,1,222.83,222.83,Tax",
    ])  # fmt: skip
    trade.export("items.csv", ERP["items.csv"][0], ['301,,SCR-10,Screw 10 mm,zinc plated,Inventory Item,Fasteners,pc,Euro,"2,100.5",No'])
    trade.export("prices.csv", ERP["prices.csv"][0], ['81,,5,301,Euro,"4,750.25"'])
    trade.export("price_breaks.csv", ERP["price_breaks.csv"][0], ['91,81,"1,000","4,250.00"'])
    trade.export("stock.csv", ERP["stock.csv"][0], ['61,,301,Hamburg,"1,250","1,000.5","5,000",06/15/2026'])
    trade.export("payment_applications.csv", ERP["payment_applications.csv"][0], ['1,80001,1,70001,"1,395.00"'])
    trade.sync()
    assert [row["Amount__c"] for row in trade.rows("Invoice_Line__c.csv")] == ["1172.78", "222.83"]
    assert trade.row("Invoice_Line__c.csv", Line_Number__c="1")["Quantity__c"] == "24690"
    assert trade.row("Payment_Application__c.csv")["Amount__c"] == "1395.00"
    assert (trade.row("Product2.csv")["Cost__c"], trade.row("PricebookEntry.csv")["UnitPrice"]) == ("2100.5", "4750.25")
    price_break = trade.row("Price_Break__c.csv")
    assert (price_break["Min_Quantity__c"], price_break["Unit_Price__c"]) == ("1000", "4250.00")
    stock = trade.row("Stock_Level__c.csv")
    assert [stock[f"{name}__c"] for name in ("On_Hand", "Available", "Next_Quantity")] == ["1250", "1000.5", "5000"]
    assert trade.ok("parked", "--json").object["parked"] == []
    assert trade.ok("verify").code == 0


@pytest.mark.parametrize("known", [True, False], ids=["beside the ERP's", "as the first"])
def test_a_line_that_a_system_may_not_add_is_set_back_and_told(trade: Trade, known: bool) -> None:
    if not known:
        trade.export("price_breaks.csv", ERP["price_breaks.csv"][0], [])
    trade.sync()
    entry = trade.row("PricebookEntry.csv")["Id"]
    path = trade.folder / "crm" / "Price_Break__c.csv"
    before = path.read_text()
    added = {"Id": "X9", "Price_Entry_Id__c": entry, "Min_Quantity__c": "5", "Unit_Price__c": "0.01"}
    path.write_text(_text(CRM["Price_Break__c.csv"].split(","), [*trade.rows("Price_Break__c.csv"), added], csv.QUOTE_ALL, "\n"))
    trade.sync()
    assert path.read_text() == before
    assert "said 0.01: refused, this role may not change the field" in trade.ok("explain", entry, "breaks").out
    assert trade.ok("verify").code == 0


def test_amounts_of_lines_are_read_as_the_search_groups_them_and_one_that_cannot_be_read_is_named(trade: Trade) -> None:
    head = ERP["invoice_lines.csv"][0]
    lines = ['1,70001,1,SCR-10,Screw,"24,690",0.0475,"1,172.78",Item', "2,70001,2,,VAT 19 %,1,222.83,222.83,Tax"]
    trade.export("invoice_lines.csv", head, [lines[0].replace("1,172.78", "1.172,78"), lines[1]])
    assert trade.run("sync").code == 3
    (parked,) = [row for row in trade.ok("parked", "--json").object["parked"] if row["kind"] == "record"]
    assert "lines.amount: " in parked["reason"]
    trade.export("invoice_lines.csv", head, lines)
    trade.sync()
    assert [(row["Quantity__c"], row["Amount__c"]) for row in trade.rows("Invoice_Line__c.csv")] == [("24690", "1172.78"), ("1", "222.83")]


def test_a_reference_to_what_another_flow_moves_is_resolved(trade: Trade) -> None:
    path = trade.folder / "config.yaml"
    head, _, entities = path.read_text().partition("      customer:")
    books = "  books:\n    roles: {crm: crm-files, erp: erp-files}\n    entities:\n"
    moved = "mappings: {crm: [csv-dataloader], erp: [csv-savedsearch]}, create_in: [crm]}\n"
    path.write_text(head + "      customer:" + entities.replace(f"      invoice: {{{moved}      payment: {{{moved}", ""))
    path.write_text(path.read_text() + books + f"      invoice: {{{moved}      payment: {{{moved}")
    assert trade.run("sync", "books").code == 3
    assert "waits for its customer 1001" in trade.ok("parked").out
    trade.ok("sync", "main")
    trade.ok("sync", "books")
    branch, invoice = trade.row("Account.csv", AccountNumber="C-1"), trade.row("Invoice__c.csv", Name="INV-1")
    assert invoice["Account__c"] == trade.row("Payment__c.csv", Name="PAY-1")["Account__c"] == branch["Id"]
    trade.edit("invoices.csv", "70001,,1001,", "70001,,1002,")
    trade.ok("sync", "books")
    assert trade.row("Invoice__c.csv", Name="INV-1")["Account__c"] == branch["ParentId"]
    assert trade.ok("verify", "books").code == 0


def test_check_tells_of_a_reference_to_what_no_flow_moves(trade: Trade) -> None:
    path = trade.folder / "config.yaml"
    trade.ok("check")
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("      customer:")))
    done = trade.run("check")
    assert done.code == 1
    assert "invoice/csv-savedsearch refers to a customer, which no flow moves from erp-files" in done.out + done.err
    assert "stock/" not in "".join(line for line in (done.out + done.err).splitlines(keepends=True) if "refers to" in line)
