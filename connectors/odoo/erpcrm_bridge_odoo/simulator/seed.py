"""What a fresh database holds: the records that a new server with the generic chart of accounts, USD and one company was seen to have.

Of countries, states, currencies and units there is a choice, under the ids of the real ones. Users beside the administrator are the
simulator's own:
``salesuser`` (id 5, own documents only) and ``reader`` (id 6, an employee without rights of their own), each with their login as password.
"""

from __future__ import annotations

import uuid
from importlib.resources import files
from typing import Any

from erpcrm_bridge_odoo.simulator import access
from erpcrm_bridge_odoo.simulator.env import Database, Env
from erpcrm_bridge_odoo.simulator.store import Transaction

COUNTRIES = """2 AE AED 971 United Arab Emirates|10 AR ARS 54 Argentina|12 AT EUR 43 Austria|13 AU AUD 61 Australia|20 BE EUR 32 Belgium
31 BR BRL 55 Brazil|38 CA CAD 1 Canada|43 CH CHF 41 Switzerland|48 CN CNY 86 China|56 CZ CZK 420 Czech Republic|57 DE EUR 49 Germany
59 DK DKK 45 Denmark|68 ES EUR 34 Spain|70 FI EUR 358 Finland|75 FR EUR 33 France|101 IE EUR 353 Ireland|104 IN INR 91 India
109 IT EUR 39 Italy
113 JP JPY 81 Japan|133 LU EUR 352 Luxembourg|156 MX MXN 52 Mexico|165 NL EUR 31 Netherlands|166 NO NOK 47 Norway|170 NZ NZD 64 New Zealand
178 PL PLN 48 Poland|183 PT EUR 351 Portugal|196 SE SEK 46 Sweden|197 SG SGD 65 Singapore|231 GB GBP 44 United Kingdom
233 US USD 1 United States
247 ZA ZAR 27 South Africa"""
STATES = """13 US CA state_us_5 California|18 US FL state_us_10 Florida|22 US IL state_us_14 Illinois|35 US NY state_us_27 New York
42 US MA state_us_34 Massachusetts|52 US TX state_us_44 Texas|56 US WA state_us_48 Washington|534 CA BC state_ca_bc British Columbia
541 CA ON state_ca_on Ontario|543 CA QC state_ca_qc Quebec"""
CURRENCIES = """1 USD $ United States dollar|3 CAD $ Canadian dollar|4 CHF CHF Swiss franc|5 BRL R$ Brazilian real|6 CNY ¥ Chinese yuan
9 CZK Kč Czech koruna|10 DKK kr Danish krone|14 NOK kr Norwegian krone|17 PLN zł Polish złoty|18 SEK kr Swedish krona
19 ARS $ Argentine peso
20 INR ₹ Indian rupee|21 AUD $ Australian dollar|25 JPY ¥ Japanese yen|33 MXN $ Mexican peso|35 NZD $ New Zealand dollar
37 SGD S$ Singapore dollar
38 ZAR R South African rand|126 EUR € Euro|129 AED AED United Arab Emirates dirham|144 GBP £ Pound sterling"""
UNITS = {
    19: """1 unit 1 - Units|2 pack_6 6 1 Pack of 6|3 dozen 12 1 Dozens|4 hour 1 - Hours|5 day 8 4 Days|15 gram 1 - g|16 kgm 1000 15 kg
12 milliliter 1 - ml|13 litre 1000 12 L|7 millimeter 1 - mm|8 cm 10 7 cm|9 meter 100 8 m""",
    17: """1 unit 1 1 Units|2 dozen 0.08333333333333333 1 Dozens|3 day 1 3 Days|4 hour 8 3 Hours|5 meter 1 4 m|8 cm 100 4 cm|12 kgm 1 2 kg
13 gram 1000 2 g|10 litre 1 6 L""",
}
UNIT_KINDS = "1 Unit|2 Weight|3 Working Time|4 Length / Distance|5 Surface|6 Volume"
ACCOUNTS = {
    19: """5 121000 asset_receivable Account Receivable|15 211000 liability_payable Account Payable|21 251000 liability_current Tax Received
9 131000 asset_current Tax Paid|26 400000 income Product Sales|32 600000 expense Expenses|45 101401 asset_cash Bank
46 101402 asset_current Bank Suspense Account|48 101403 asset_current Outstanding Receipts|49 101404 asset_current Outstanding Payments
27 441000 income Foreign Exchange Gain|29 443000 expense Cash Discount Loss|38 641000 expense Foreign Exchange Loss
40 643000 income Cash Discount Gain""",
    17: """6 121000 asset_receivable Account Receivable|14 211000 liability_payable Account Payable|19 251000 liability_current Tax Received
8 131000 asset_current Tax Paid|24 400000 income Product Sales|30 600000 expense Expenses|41 101401 asset_cash Bank
42 101501 asset_cash Cash
43 101402 asset_current Bank Suspense Account|44 101403 asset_current Outstanding Receipts|45 101404 asset_current Outstanding Payments
25 441000 income Foreign Exchange Gain|27 443000 expense Cash Discount Loss|35 641000 expense Foreign Exchange Loss
37 643000 income Cash Discount Gain""",
}
JOURNALS = {
    19: "1 INV sale 26 Sales|2 BILL purchase 32 Purchases|3 MISC general 0 Miscellaneous Operations|"
    "4 EXCH general 0 Exchange Difference|6 BNK1 bank 45 Bank",
    17: """1 INV sale 24 Customer Invoices|2 BILL purchase 30 Vendor Bills|3 MISC general 0 Miscellaneous Operations
4 EXCH general 0 Exchange Difference
6 BNK1 bank 41 Bank|7 CSH1 cash 42 Cash""",
}
TERMS = """1 immediate 0 Immediate Payment|2 15days 15 15 Days|3 21days 21 21 Days|4 30days 30 30 Days|5 45days 45 45 Days"""
LOCATIONS = {
    19: "1 supplier 0 Vendors|2 customer 0 Customers|4 view 0 WH|5 internal 4 WH/Stock|"
    "11 inventory 0 Inventory adjustment|12 production 0 Production",
    17: """1 view 0 Physical Locations|2 view 0 Partners|3 view 0 Virtual Locations|4 supplier 2 Partners/Vendors
5 customer 2 Partners/Customers
7 view 1 WH|8 internal 7 WH/Stock|14 inventory 3 Virtual Locations/Inventory adjustment|15 production 3 Virtual Locations/Production""",
}
CATEGORIES = {19: "1 goods 0 Goods|2 expenses 0 Expenses|3 services 0 Services", 17: "1 all 0 All|2 1 1 Saleable|3 cat_expense 1 Expenses"}
EVERYTHING = (
    access.ACCOUNT_MANAGER,
    access.CONTACT,
    access.EMPLOYEE,
    access.PRODUCTS,
    access.SALES_MANAGER,
    access.STOCK_MANAGER,
    access.SYSTEM,
)
PEOPLE = (
    (2, 3, "admin", "Administrator", EVERYTHING),
    (5, 6, "salesuser", "salesuser", (access.EMPLOYEE, access.SALES)),
    (6, 7, "reader", "reader", (access.EMPLOYEE,)),
)


def _lines(table: str, words: int) -> list[list[str]]:
    return [line.split(" ", words) for part in table.splitlines() for line in part.split("|")]


class _Sower:
    """Puts rows under ids of their own, past all hooks."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.transaction = Transaction(database.store.now())

    def plant(self, model: str, key: int | None, /, *marks: str, **values: Any) -> int:
        """Put a row, every field that was not given empty; ``marks`` are its external ids."""
        spec = self.database.models[model]
        store = self.database.store
        table = store.table(model)
        key = key or table.last_id + 1
        table.last_id = max(table.last_id, key)
        row: dict[str, Any] = {"id": key, "_model": model}
        for name, one in spec.fields.items():
            if not one.store or name == "id":
                continue
            given = values.get(name)
            if given is None and name == "active":
                given = True
            if one.translate and isinstance(given, str):
                given = {"en_US": given}
            if one.company_dependent and given is not None:
                given = {1: given}
            row[name] = tuple(given or ()) if one.type == "many2many" else given
        stamp = self.transaction.stamp
        row |= {"create_date": stamp, "write_date": stamp, "create_uid": 1, "write_uid": 1}
        row |= {name: one for name, one in values.items() if name.startswith("_")}
        store.put(self.transaction, model, key, row)
        for mark in marks:
            module, name = mark.split(".", 1)
            self.plant("ir.model.data", None, module=module, name=name, model=model, res_id=key)
        return key


def sown(database: Database, *, seed_data: bool) -> None:
    """Fill a fresh database."""
    for name, model in database.models.items():
        database.store.table(name)
        for spec in model.fields.values():
            if spec.type == "one2many":
                database.store.table(spec.relation or "").indexes.setdefault(spec.inverse or "", {})
    for model_name, field in _LOOKED_UP:
        database.store.table(model_name).indexes.setdefault(field, {})
    sower = _Sower(database)
    with database.store.changed:
        _world(sower)
        _company(sower)
        _books(sower)
        _goods(sower)
        _technical(sower)
        sower.transaction.journal.clear()
    if seed_data:
        _trade(database)


_LOOKED_UP = (
    ("ir.model.data", "res_id"),
    ("ir.model.data", "name"),
    ("res.partner", "commercial_partner_id"),
    ("account.move", "partner_id"),
    ("account.move.line", "partner_id"),
    ("account.partial.reconcile", "debit_move_id"),
    ("account.partial.reconcile", "credit_move_id"),
    ("sale.order", "partner_id"),
    ("stock.move", "product_id"),
    ("stock.move", "sale_line_id"),
    ("stock.picking", "sale_id"),
    ("stock.quant", "product_id"),
    ("product.product", "product_tmpl_id"),
)


def _world(sower: _Sower) -> None:
    currencies = {}
    for key, code, symbol, name in _lines(CURRENCIES, 3):
        step = 1.0 if code == "JPY" else 0.01
        told = {"symbol": symbol, "full_name": name, "rounding": step, "decimal_places": 0 if code == "JPY" else 2}
        currencies[code] = sower.plant("res.currency", int(key), f"base.{code}", name=code, active=code in ("USD", "EUR"), **told)
    countries = {}
    for key, code, currency, phone, name in _lines(COUNTRIES, 4):
        mark = "uk" if code == "GB" else code.lower()
        told = {"name": name, "code": code, "currency_id": currencies[currency], "phone_code": int(phone)}
        countries[code] = sower.plant("res.country", int(key), f"base.{mark}", **told)
    for key, country, code, mark, name in _lines(STATES, 4):
        sower.plant("res.country.state", int(key), f"base.{mark}", name=name, code=code, country_id=countries[country])
    for number, (code, name) in enumerate((("en_US", "English (US)"), ("fr_FR", "French / Français"), ("de_DE", "German / Deutsch")), 1):
        sower.plant("res.lang", number, f"base.lang_{code[:2]}", name=name, code=code, iso_code=code[:2], active=code == "en_US")


def _partner(sower: _Sower, key: int, name: str, mark: str | None, **values: Any) -> None:
    told = {"complete_name": name, "commercial_partner_id": key, "type": "contact", "lang": "en_US", "is_company": False, **values}
    sower.plant("res.partner", key, *([f"base.{mark}"] if mark else []), name=name, color=0, customer_rank=0, supplier_rank=0, **told)


def _company(sower: _Sower) -> None:
    _partner(sower, 1, "My Company", "main_partner", is_company=True, country_id=233, commercial_company_name="My Company")
    _partner(sower, 2, "OdooBot", "partner_root", active=False, email="odoobot@example.com", company_id=1)
    _partner(sower, 3, "Administrator", "partner_admin", company_id=1)
    _partner(sower, 4, "Public user", "public_partner", active=False)
    _partner(sower, 5, "Portal User Template", None, active=False)
    sower.plant("res.company", 1, "base.main_company", name="My Company", partner_id=1, currency_id=1)
    groups: dict[str, int] = {}
    for key, (group, names) in enumerate(access.GROUPS.items(), 1):
        name = names[0 if sower.database.version >= 19 else 1].rpartition("/")[2].strip()
        if name:
            groups[group] = sower.plant("res.groups", key, group, _mark=group, name=name)
    sower.plant("res.users", 1, "base.user_root", login="__system__", active=False, partner_id=2, company_id=1, company_ids=[1])
    for key, partner, login, name, marks in PEOPLE:
        held = {
            "group_ids" if sower.database.version >= 19 else "groups_id": [groups[one] for one in marks if one in groups],
            "sale_team_id": 1,
        }
        if partner > 5:
            _partner(sower, partner, name, None, company_id=1)
        mark = ["base.user_admin"] if login == "admin" else []
        sower.plant("res.users", key, *mark, login=login, partner_id=partner, company_id=1, company_ids=[1], share=False, **held)
        sower.database.passwords[key] = login
    sower.database.store.table("res.users").last_id = 6
    for name in ("Search engine", "Lead Recall", "Newsletter", "Facebook"):
        sower.plant("utm.source", None, name=name)
    sower.plant("crm.team", 1, "sales_team.team_sales_department", name="Sales", company_id=None, sequence=0)
    for number, (name, rank) in enumerate((("New", 1), ("Qualified", 2), ("Proposition", 3), ("Won", 70)), 1):
        sower.plant("crm.stage", number, f"crm.stage_lead{number}", name=name, sequence=rank, is_won=name == "Won")


def _books(sower: _Sower) -> None:
    version = sower.database.version
    for key, code, kind, name in _lines(ACCOUNTS[version], 3):
        both = kind in ("asset_receivable", "liability_payable") or name.startswith("Outstanding")
        sower.plant("account.account", int(key), name=name, code=code, account_type=kind, reconcile=both)
    for key, code, kind, account, name in _lines(JOURNALS[version], 4):
        told = {"name": name, "code": code, "type": kind, "company_id": 1, "default_account_id": int(account) or None}
        mark = {"sale": "1_sale", "purchase": "1_purchase", "bank": "1_bank"}.get(kind)
        sower.plant("account.journal", int(key), *([f"account.{mark}"] if mark else []), **told)
        if kind in ("bank", "cash"):
            for way in ("inbound", "outbound"):
                manual = "Manual Payment" if version >= 19 else "Manual"
                sower.plant(
                    "account.payment.method.line", None, name=manual, code="manual", journal_id=int(key), payment_type=way, sequence=10
                )
    taxes = [(1, "15%", 15.0, "sale", "sale_tax_template"), (2, "15%", 15.0, "purchase", "purchase_tax_template")]
    exports = [
        (3, "0% Exports", 0.0, "sale", "sale_export_tax_template"),
        (4, "0% Imports", 0.0, "purchase", "purchase_import_tax_template"),
    ]
    for number, name, amount, use, mark in taxes + (exports if version >= 19 else []):
        told = {"name": name, "amount": amount, "amount_type": "percent", "type_tax_use": use, "company_id": 1, "sequence": 1}
        sower.plant("account.tax", number, f"account.1_{mark}", **told)
    for key, mark, days, name in _lines(TERMS, 3):
        shown = {"name": name, "sequence": 10, "display_on_invoice": True, "discount_days": 10, "discount_percentage": 2.0}
        sower.plant("account.payment.term", int(key), f"account.account_payment_term_{mark}", **shown)
        told = {"value": "percent", "value_amount": 100.0, "delay_type": "days_after", "nb_days": int(days)}
        sower.plant("account.payment.term.line", None, payment_id=int(key), **told)
    if version >= 19:
        for number, name, country in ((1, "Domestic", 233), (2, "Foreign Trade", None)):
            told = {"name": name, "auto_apply": True, "country_id": country, "company_id": 1, "sequence": number}
            sower.plant("account.fiscal.position", number, **told)


def _goods(sower: _Sower) -> None:
    version = sower.database.version
    if version < 19:
        for key, name in _lines(UNIT_KINDS, 1):
            sower.plant("uom.category", int(key), name=name)
    for key, mark, factor, other, name in _lines(UNITS[version], 4):
        told: dict[str, Any] = {"name": name, "factor": float(factor)}
        if version >= 19:
            base = next((one for one in _lines(UNITS[19], 4) if one[0] == other), None)
            told |= {"factor": float(factor) * (float(base[2]) if base else 1.0), "relative_factor": float(factor)}
            told["relative_uom_id"] = int(other) if other != "-" else None
        else:
            told |= {"category_id": int(other), "uom_type": "reference" if factor == "1" else "bigger" if float(factor) < 1 else "smaller"}
        sower.plant("uom.uom", int(key), f"uom.product_uom_{mark}", **told)
    for key, mark, parent, name in _lines(CATEGORIES[version], 3):
        told = {"name": name, "complete_name": f"All / {name}" if int(parent) else name, "parent_id": int(parent) or None}
        sower.plant("product.category", int(key), f"product.product_category_{mark}", **told)
    name = "Default" if version >= 19 else "Default USD pricelist"
    sower.plant("product.pricelist", 1, name=name, currency_id=1, company_id=1, sequence=10)
    for key, usage, parent, full in _lines(LOCATIONS[version], 3):
        told = {"name": full.rpartition("/")[2], "complete_name": full, "usage": usage, "location_id": int(parent) or None, "company_id": 1}
        sower.plant("stock.location", int(key), **told)
    stock, outside, whole = (5, 2, 4) if version >= 19 else (8, 5, 7)
    told = {"name": "My Company", "code": "WH", "company_id": 1, "lot_stock_id": stock, "view_location_id": whole, "partner_id": 1}
    sower.plant("stock.warehouse", 1, "stock.warehouse0", **told)
    vendors = 1 if version >= 19 else 4
    routes = (("Receipts", "incoming", vendors, stock), ("Delivery Orders", "outgoing", stock, outside))
    for number, (name, code, source, target) in enumerate(routes, 1):
        told = {"name": name, "code": code, "warehouse_id": 1, "default_location_src_id": source, "default_location_dest_id": target}
        sower.plant("stock.picking.type", number, **told)
    names = ("Product Price", "Discount", "Product Unit" if version >= 19 else "Product Unit of Measure")
    for name in names:
        sower.plant("decimal.precision", None, name=name, digits=2)


def _modules(version: int) -> list[tuple[str, str, bool]]:
    """Return the modules that are installed: name, title, whether it is an application."""
    found = []
    for line in files(__package__).joinpath("modules.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        told, *titles = line.split(" | ")
        name, *flags = told.split()
        if f"only{36 - version}" not in flags:
            found.append((name, titles[-1 if version < 19 else 0], "app" in flags))
    return found


def _technical(sower: _Sower) -> None:
    for name, model in sower.database.models.items():
        key = sower.plant(
            "ir.model", None, f"base.model_{name.replace('.', '_')}", name=model.string, model=name, state="base", transient=False
        )
        for spec in model.fields.values():
            told = {"name": spec.name, "model": name, "model_id": key, "field_description": spec.string, "ttype": spec.type}
            rest = {"relation": spec.relation, "required": spec.required, "readonly": spec.readonly, "store": spec.store}
            sower.plant("ir.model.fields", None, **told, **rest)
    for name, title, application in _modules(sower.database.version):
        told = {"name": name, "shortdesc": title, "state": "installed", "latest_version": f"{sower.database.version}.0.1.0"}
        sower.plant("ir.module.module", None, f"base.module_{name}", application=application, author="Odoo S.A.", sequence=100, **told)
    told = {"database.uuid": str(uuid.uuid4()), "web.base.url": "http://127.0.0.1", "database.create_date": sower.transaction.stamp[:19]}
    for name, value in told.items():
        sower.plant("ir.config_parameter", None, key=name, value=value)


def _trade(database: Database) -> None:
    """Add a little trade to look at: two companies with a person each, two products, an order and an invoice."""
    from erpcrm_bridge_odoo.simulator import orm

    def work(transaction: Transaction) -> None:
        env = Env(database, transaction, 2, {"tracking_disable": True})
        companies = orm.create(
            env,
            env.model("res.partner"),
            [
                {"name": "Northwind Traders", "is_company": True, "country_id": 233, "state_id": 56, "city": "Seattle", "ref": "C-1001"},
                {"name": "Blauer See GmbH", "is_company": True, "country_id": 57, "city": "Hamburg", "ref": "C-1002", "vat": "DE136695976"},
            ],
        )
        people = [
            {"name": "Nancy Davolio", "parent_id": companies[0], "email": "nancy@northwind.example", "function": "Buyer"},
            {"name": "Hanna Moos", "parent_id": companies[1], "email": "hanna@blauersee.example", "function": "Einkauf"},
        ]
        orm.create(env, env.model("res.partner"), people)
        goods = [
            {"name": "Chair", "default_code": "CH-1", "list_price": 49.9},
            {"name": "Desk", "default_code": "DE-1", "list_price": 319.0},
        ]
        chair, desk = orm.create(env, env.model("product.product"), goods)
        lines = [[0, 0, {"product_id": chair, "product_uom_qty": 4}], [0, 0, {"product_id": desk, "product_uom_qty": 1, "discount": 5.0}]]
        orm.create(env, env.model("sale.order"), [{"partner_id": companies[0], "client_order_ref": "PO-77", "order_line": lines}])
        item = {"name": "Set-up", "quantity": 1, "price_unit": 100.0}
        bill = {"move_type": "out_invoice", "partner_id": companies[1], "ref": "INV-A", "invoice_line_ids": [[0, 0, item]]}
        orm.create(env, env.model("account.move"), [bill])

    database.store.retried(work, lambda transaction: None)
