"""Makes the demo's two exports of one trade: ``crm/`` as Salesforce's Data Loader writes it, ``erp/`` as NetSuite's saved searches do.

``python demo/make_data.py [FOLDER [SEED]]`` writes ``FOLDER`` (default: ``data`` beside this file). The same seed and the same Faker make
the same bytes; another seed makes another trade with the same kinds of dirt. ``truth.csv`` tells which records are the same, ``dirt.csv``
which are wrong or tricky on purpose; ``README.md`` counts them. All companies are invented, all addresses of mail and web end in
``.example``.
"""

from __future__ import annotations

import csv
import io
import random
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from faker import Faker

SEED = 20260513
TODAY = date(2026, 5, 13)
NEW_YORK = ZoneInfo("America/New_York")

CUSTOMER_PAIRS, ONLY_CRM, ONLY_ERP, DOUBLE_CRM, DOUBLE_ERP = 1100, 375, 285, 25, 15
CONTACT_PAIRS, CONTACTS_A_SIDE, CONTACT_DOUBLE_CRM, CONTACT_DOUBLE_ERP = 1480, 2000, 8, 5
ORDER_PAIRS, CRM_ORDERS, ERP_ORDERS = 450, 600, 700
INVOICES = 500

Row = dict[str, str]
Respelling = Callable[["Company"], str]


# --- the world: places, trades, products ----------------------------------------------------------------------------------------------


class Town(NamedTuple):
    """A town: region by name and by its ISO 3166-2 part (both empty where nobody writes one), start of its postal codes, telephone area."""

    country: str
    name: str
    region: str
    region_code: str
    postal: str
    area: str
    subscriber: str


# `#` stands for a digit. Where a country keeps numbers for fiction, these are they.
TOWNS = [
    Town("DE", "München", "Bayern", "BY", "80###", "89", "99998###"),
    Town("DE", "Nürnberg", "Bayern", "BY", "904##", "911", "23456##"),
    Town("DE", "Köln", "Nordrhein-Westfalen", "NW", "50###", "221", "4710###"),
    Town("DE", "Düsseldorf", "Nordrhein-Westfalen", "NW", "402##", "211", "23456##"),
    Town("DE", "Hamburg", "Hamburg", "HH", "20###", "40", "66969###"),
    Town("DE", "Berlin", "Berlin", "BE", "10###", "30", "23125###"),
    Town("DE", "Frankfurt am Main", "Hessen", "HE", "60###", "69", "90009###"),
    Town("DE", "Stuttgart", "Baden-Württemberg", "BW", "70###", "711", "23456##"),
    Town("DE", "Leipzig", "Sachsen", "SN", "04###", "341", "23456##"),
    Town("DE", "Göttingen", "Niedersachsen", "NI", "370##", "551", "23456#"),
    Town("AT", "Wien", "", "", "1##0", "1", "51234##"),
    Town("AT", "Graz", "", "", "80##", "316", "2345##"),
    Town("CH", "Zürich", "Zürich", "ZH", "80##", "44", "23456##"),
    Town("CH", "Basel", "Basel-Stadt", "BS", "40##", "61", "23456##"),
    Town("GB", "London", "", "", "EC#A #BT", "20", "7946 0###"),
    Town("GB", "Manchester", "", "", "M# #EE", "161", "496 0###"),
    Town("GB", "Bristol", "", "", "BS# #TH", "117", "496 0###"),
    Town("US", "New York", "New York", "NY", "100##", "212", "555-01##"),
    Town("US", "Chicago", "Illinois", "IL", "606##", "312", "555-01##"),
    Town("US", "Austin", "Texas", "TX", "787##", "512", "555-01##"),
    Town("US", "San Francisco", "California", "CA", "941##", "415", "555-01##"),
    Town("FR", "Paris", "", "", "750##", "1", "99 00 ## ##"),
    Town("FR", "Orléans", "", "", "450##", "2", "61 91 ## ##"),
    Town("FR", "Lyon", "", "", "690##", "4", "78 25 ## ##"),
    Town("ES", "Madrid", "", "", "280##", "91", "234 ## ##"),
    Town("ES", "Málaga", "", "", "290##", "95", "234 ## ##"),
    Town("IT", "Milano", "", "", "201##", "02", "2345 ####"),
    Town("IT", "Roma", "", "", "001##", "06", "2345 ####"),
    Town("NL", "Amsterdam", "", "", "10## AB", "20", "234 ####"),
    Town("NL", "Rotterdam", "", "", "30## CD", "10", "234 ####"),
]


@dataclass(frozen=True)
class Country:
    """What differs by country: how its names are made and written by people and systems."""

    locale: str
    weight: int
    dial: str
    trunk: str
    names: tuple[str, ...]  # as the CRM's people type it; the ERP has one list
    erp_name: str
    currency: str
    legal: tuple[str, ...]
    trades: tuple[str, ...]
    joiner: str
    family: str
    tax: str
    number_first: bool = False


_DE_TRADES = (
    "Logistik",
    "Maschinenbau",
    "Werkzeuge",
    "Metallbau",
    "Küchentechnik",
    "Büromöbel",
    "Gebäudetechnik",
    "Verpackung",
    "Kälteanlagen",
    "Elektro",
    "Förderanlagen",
    "Druckguss",
)
COUNTRIES = {
    "DE": Country(
        "de_DE",
        36,
        "49",
        "0",
        ("Germany", "Germany", "Germany", "Deutschland", "DE"),
        "Germany",
        "EUR",
        ("GmbH", "GmbH", "GmbH", "AG", "GmbH & Co. KG", "KG"),
        _DE_TRADES,
        "und",
        "Söhne",
        "DE#########",
    ),
    "AT": Country(
        "de_AT", 6, "43", "0", ("Austria", "Österreich"), "Austria", "EUR", ("GmbH", "AG"), _DE_TRADES, "und", "Söhne", "ATU########"
    ),
    "CH": Country(
        "de_CH", 5, "41", "0", ("Switzerland", "Schweiz"), "Switzerland", "EUR", ("AG", "GmbH"), _DE_TRADES, "und", "Söhne", "CHE#########"
    ),
    "GB": Country(
        "en_GB",
        16,
        "44",
        "0",
        ("United Kingdom", "UK", "Great Britain"),
        "United Kingdom",
        "GBP",
        ("Ltd", "Limited", "PLC", "LLP"),
        ("Engineering", "Foods", "Haulage", "Interiors", "Joinery", "Lighting", "Plastics", "Print", "Timber"),
        "and",
        "Sons",
        "GB#########",
        number_first=True,
    ),
    "US": Country(
        "en_US",
        16,
        "1",
        "",
        ("United States", "USA", "US"),
        "United States",
        "USD",
        ("Inc.", "LLC", "Corp.", "Co."),
        ("Packaging", "Hardware", "Medical Supply", "Machine Works", "Freight", "Controls", "Bearings", "Tooling"),
        "and",
        "Sons",
        "##-#######",
        number_first=True,
    ),
    "FR": Country(
        "fr_FR",
        8,
        "33",
        "0",
        ("France",),
        "France",
        "EUR",
        ("S.A.", "SARL", "SAS"),
        ("Matériaux", "Menuiserie", "Électricité", "Mécanique", "Emballages", "Transports"),
        "et",
        "Fils",
        "FR###########",
        number_first=True,
    ),
    "ES": Country(
        "es_ES",
        5,
        "34",
        "",
        ("Spain", "España"),
        "Spain",
        "EUR",
        ("S.L.", "S.A."),
        ("Construcción", "Maquinaria", "Iluminación", "Envases"),
        "y",
        "Hijos",
        "ESB########",
    ),
    "IT": Country(
        "it_IT",
        5,
        "39",
        "",
        ("Italy", "Italia"),
        "Italy",
        "EUR",
        ("S.r.l.", "S.p.A."),
        ("Ceramiche", "Utensili", "Impianti", "Meccanica"),
        "e",
        "Figli",
        "IT###########",
    ),
    "NL": Country(
        "nl_NL",
        3,
        "31",
        "0",
        ("Netherlands", "Holland", "The Netherlands"),
        "Netherlands",
        "EUR",
        ("B.V.",),
        ("Bouw", "Techniek", "Verpakkingen", "Scheepsbouw"),
        "en",
        "Zonen",
        "NL#########B0#",
    ),
}
OTHER_LEGAL = {
    "GmbH": ("Gesellschaft mbH", "G.m.b.H.", "mbH"),
    "AG": ("Aktiengesellschaft",),
    "GmbH & Co. KG": ("GmbH u. Co. KG", "GmbH & Co KG"),
    "KG": ("Kommanditgesellschaft",),
    "Ltd": ("Limited", "Ltd."),
    "Limited": ("Ltd", "Ltd."),
    "PLC": ("plc", "P.L.C."),
    "LLP": ("L.L.P.",),
    "Inc.": ("Incorporated", "Inc"),
    "LLC": ("L.L.C.",),
    "Corp.": ("Corporation", "Corp"),
    "Co.": ("Company",),
    "S.A.": ("SA",),
    "SARL": ("S.A.R.L.",),
    "SAS": ("S.A.S.",),
    "S.L.": ("SL",),
    "S.r.l.": ("SRL",),
    "S.p.A.": ("SpA",),
    "B.V.": ("BV",),
}
ERP_CURRENCY = {"EUR": "Euro", "USD": "US Dollar", "GBP": "British pound"}
CRM_TYPE = {"customer": "Customer - Direct", "prospect": "Prospect", "partner": "Channel Partner / Reseller", "other": "Other"}
ERP_CATEGORY = {"customer": "Corporate", "prospect": "Prospect", "partner": "Reseller", "other": "Miscellaneous"}
TERMS = ("Net 30", "Net 30", "Net 14", "Net 60", "Due on receipt", "2% 10 Net 30")
TITLES = ("Purchasing", "Head of Purchasing", "CEO", "CFO", "Accounts Payable", "Plant Manager", "Quality Manager", "Sales – DACH", "R&D")
MOBILE = {
    "DE": ("176", "040690##"),
    "AT": ("664", "23456##"),
    "CH": ("79", "23456##"),
    "GB": ("7400", "1234##"),
    "FR": ("6", "12 34 ## ##"),
    "ES": ("612", "34 ## ##"),
    "IT": ("347", "23456##"),
    "NL": ("6", "123456##"),
}


class Product(NamedTuple):
    """A product and its price in EUR; small parts are priced below a cent."""

    code: str
    text: str
    price: Decimal


PRODUCTS = [
    Product(f"{series}-{size}", f"{text} {size}", (Decimal(price) * (1 + Decimal(number) / 4)).quantize(Decimal(digits)))
    for series, text, price, digits in (
        ("BRG", "Ball bearing", "4.10", "0.01"),
        ("SCR", "Screw, zinc plated,", "0.0475", "0.0001"),
        ("VLV", "Valve DN", "38.90", "0.01"),
        ("PMP", "Pump", "412.00", "0.01"),
        ("CTL", "Controller", "189.50", "0.01"),
        ("BOX", "Folding box", "0.3150", "0.0001"),
        ("LMP", "Lamp", "27.45", "0.01"),
        ("CBL", "Cable per metre", "1.285", "0.001"),
    )
    for number, size in enumerate((10, 20, 30, 40, 60, 80))
]


# --- what is true ---------------------------------------------------------------------------------------------------------------------


class Phone(NamedTuple):
    """A telephone number: country, area without the trunk zero, subscriber, extension."""

    country: str
    area: str
    number: str
    extension: str = ""


@dataclass(frozen=True)
class Address:
    town: Town
    street: str
    second: str
    postal: str


@dataclass(eq=False)
class Company:
    """A company as it is. ``name`` has no legal form; ``clean`` forbids dirt in what identifies it."""

    name: str
    legal: str
    address: Address
    tax: str
    email: str
    website: str
    phone: Phone
    currency: str
    kind: str
    active: bool
    terms: str
    credit: Decimal | None
    owner: str
    in_crm: bool = True
    in_erp: bool = True
    clean: bool = False
    parent: Company | None = None
    crm: str = ""
    erp: str = ""

    @property
    def country(self) -> Country:
        return COUNTRIES[self.address.town.country]

    @property
    def full_name(self) -> str:
        return f"{self.name} {self.legal}".strip()


@dataclass(eq=False)
class Person:
    company: Company
    first: str
    last: str
    email: str
    title: str
    phone: Phone
    mobile: Phone | None
    in_crm: bool = True
    in_erp: bool = True
    crm: str = ""
    erp: str = ""


class Item(NamedTuple):
    product: str
    text: str
    quantity: Decimal
    price: Decimal

    @property
    def amount(self) -> Decimal:
        return cents(self.quantity * self.price)


@dataclass(eq=False)
class Sale:
    company: Company
    number: str
    po: str
    day: date
    state: str
    currency: str
    items: list[Item]
    in_crm: bool = True
    in_erp: bool = True
    crm: str = ""
    erp: str = ""

    @property
    def total(self) -> Decimal:
        return sum((item.amount for item in self.items), Decimal("0.00"))


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


# --- spelling -------------------------------------------------------------------------------------------------------------------------


def transliterated(text: str) -> str:
    """Return ``text`` in ASCII as a keyboard without accents would have it: ä becomes ae, é becomes e."""
    for accent, plain in (
        ("ä", "ae"),
        ("ö", "oe"),
        ("ü", "ue"),
        ("Ä", "Ae"),
        ("Ö", "Oe"),
        ("Ü", "Ue"),
        ("ß", "ss"),
        ("–", "-"),
        ("’", "'"),
    ):
        text = text.replace(accent, plain)
    return "".join(c for c in unicodedata.normalize("NFKD", text) if c.isascii())


def slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in transliterated(name).lower()).split())


def salesforce_id(prefix: str, number: int) -> str:
    """Return an 18-character id: 15 characters, then one for each five of them that tells which are capitals."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    tail = ""
    for _ in range(7):
        number, digit = divmod(number, 62)
        tail = digits[digit] + tail
    short = f"{prefix}5g000{tail}"
    check = (sum(c.isupper() << i for i, c in enumerate(short[start : start + 5])) for start in (0, 5, 10))
    return short + "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits] for bits in check)


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def local_stamp(moment: datetime) -> str:
    here = moment.astimezone(NEW_YORK)
    return f"{here.month}/{here.day}/{here.year} {here.hour % 12 or 12}:{here.minute:02d} {'am' if here.hour < 12 else 'pm'}"


def us_date(day: date) -> str:
    return day.strftime("%m/%d/%Y")


def double(amount: Decimal) -> str:
    """Return a number as Salesforce prints its doubles: at least one decimal, none in vain."""
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0') or '0'}"


def grouped(amount: Decimal) -> str:
    return f"{cents(amount):,}"


class Dirt:
    """Spoils spellings, and keeps count."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.counts: Counter[str] = Counter()
        self.named: list[tuple[str, str, str]] = []

    def name(self, kind: str, file: str, key: str) -> None:
        """Note that record ``key`` of ``file`` is tricky in this way."""
        self.named.append((kind, file, key))
        self.counts[f"{kind} ({file})"] += 1

    def did(self, kind: str, before: str, after: str) -> str:
        if before != after:
            self.counts[kind] += 1
        return after

    def company_name(self, company: Company, kind: str) -> str:
        """Return the company's name spelled in another way; as it is, where this way changes nothing."""
        name, legal = company.name, company.legal
        ways: dict[str, Respelling] = {
            "as it is": lambda c: c.full_name,
            "other legal form": lambda c: f"{name} {self.rng.choice(OTHER_LEGAL[legal])}" if legal else name,
            "no legal form": lambda c: name,
            "without accents": lambda c: transliterated(c.full_name),
            "upper case": lambda c: c.full_name.upper(),
            "ampersand as a word": lambda c: f"{name.replace('&', c.country.joiner)} {legal}",
            "swapped words": lambda c: " ".join([*name.split()[1:], name.split()[0], legal]).strip() if "&" not in name else c.full_name,
            "typing error": lambda c: f"{self._typo(name)} {legal}",
        }
        return self.did(f"customer name: {kind}", company.full_name, ways[kind](company))

    def _typo(self, text: str) -> str:
        at = self.rng.randrange(2, len(text) - 2)
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :] if " " not in text[at : at + 2] else text

    def phone(self, phone: Phone, *, erp: bool, at_home: bool = True) -> str:
        """Return the number as people of either side type it; without its country only where the record tells one (``at_home``)."""
        country = COUNTRIES[phone.country]
        compact = "".join(c for c in phone.number if c.isdigit())
        trunk = f"({country.trunk})" if country.trunk else ""
        abroad = (
            [f"+{country.dial} {trunk}{phone.area} {compact}", f"+{country.dial}{phone.area}{compact}"]
            if erp
            else [f"+{country.dial} {phone.area} {phone.number}"]
        )
        national = f"{country.trunk}{phone.area}"
        home = [f"({national}) {phone.number}", f"{national}-{compact}", f"{national} {phone.number}"] if erp else []
        if at_home and not erp and country.trunk:
            home = [f"00{country.dial} {phone.area} {phone.number}"]
        return self.rng.choice(abroad * 2 + home if at_home else abroad) + (f" ext. {phone.extension}" if phone.extension else "")

    def street(self, street: str) -> str:
        for long, short in (
            ("straße", "str."),
            ("Straße", "Str."),
            (" Street", " St"),
            (" Avenue", " Ave"),
            ("street", "st."),
            ("avenue ", "av. "),
        ):
            if long in street:
                return self.did("street abbreviated", street, street.replace(long, short))
        return street


# --- making what is true --------------------------------------------------------------------------------------------------------------


class World:
    """Invents companies, people and sales, each once."""

    def __init__(self, rng: random.Random, seed: int) -> None:
        self.rng = rng
        self.fakers: dict[str, Any] = {}
        for number, country in enumerate(COUNTRIES.values()):
            self.fakers[country.locale] = Faker(country.locale)
            self.fakers[country.locale].seed_instance(seed + number)
        self.taken: set[str] = set()
        self.numbers = 0

    def digits(self, pattern: str) -> str:
        return "".join(self.rng.choice("123456789" if i == 0 else "0123456789") if c == "#" else c for i, c in enumerate(pattern))

    def unique(self, make: Callable[[], str], form: Callable[[str], str] = slug) -> str:
        while True:
            text = make()
            key = form(text)
            if key and key not in self.taken:
                self.taken.add(key)
                return text

    def town(self) -> Town:
        country = self.rng.choices(list(COUNTRIES), [c.weight for c in COUNTRIES.values()])[0]
        return self.rng.choice([town for town in TOWNS if town.country == country])

    def address(self, town: Town) -> Address:
        country = COUNTRIES[town.country]
        street, number = self.fakers[country.locale].street_name(), self.rng.randrange(1, 180)
        seconds = {"DE": "2. OG", "GB": "Unit 4", "US": "Suite 210", "FR": "Bâtiment B"}
        second = seconds.get(town.country, "") if self.rng.random() < 0.15 else ""
        return Address(town, f"{number} {street}" if country.number_first else f"{street} {number}", second, self.digits(town.postal))

    def phone(self, town: Town) -> Phone:
        return Phone(
            town.country, town.area, self.digits(town.subscriber), str(self.rng.randrange(10, 99)) if self.rng.random() < 0.04 else ""
        )

    def surname(self, country: Country) -> str:
        return str(self.fakers[country.locale].last_name())

    def name(self, country: Country) -> str:
        def make() -> str:
            one, trade = self.surname(country), self.rng.choice(country.trades)
            return self.rng.choices(
                [f"{one} {trade}", f"{one} & {self.surname(country)} {trade}", f"{one} & {country.family}", f"{trade} {one}"],
                [60, 15, 15, 10],
            )[0]

        return self.unique(
            make, lambda text: " ".join(sorted(slug(text).replace("ue", "u").replace("oe", "o").replace("ae", "a").split("-")))
        )

    def sister(self, company: Company, trade: str) -> str:
        """Return a name for another company of the same family."""
        family = company.name.replace("&", " ").split()[0]
        return self.unique(
            lambda: (
                f"{family} {trade}" if slug(f"{family} {trade}") not in self.taken else f"{family}-{self.surname(company.country)} {trade}"
            )
        )

    def tax(self, country: Country) -> str:
        return self.unique(lambda: self.digits(country.tax), lambda text: "".join(c for c in text if c.isdigit()))

    def company(self, town: Town | None = None, **known: Any) -> Company:
        """Return a new company; ``known`` says what is not to be invented."""
        town = town or self.town()
        country, rng = COUNTRIES[town.country], self.rng
        name = known.pop("name", None) or self.name(country)
        facts: dict[str, Any] = {
            "legal": rng.choice(country.legal),
            "address": self.address(town),
            "tax": self.tax(country),
            "email": f"{rng.choice(('info', 'info', 'office', 'mail'))}@{slug(name)}.example",
            "website": f"www.{slug(name)}.example",
            "phone": self.phone(town),
            "currency": country.currency if rng.random() < 0.95 else "EUR",
            "kind": rng.choices(list(CRM_TYPE), [78, 8, 10, 4])[0],
            "active": rng.random() < 0.95,
            "terms": rng.choice(TERMS),
            "credit": Decimal(rng.randrange(1, 120) * 500) if rng.random() < 0.7 else None,
            "owner": salesforce_id("005", rng.randrange(1, 9)),
        }
        return Company(name=name, **(facts | known))

    def person(self, company: Company) -> Person:
        town, faker = company.address.town, self.fakers[company.country.locale]
        first, last = faker.first_name(), faker.last_name()
        if town.country in {"US", "GB"} and self.rng.random() < 0.03:
            last = f"O’{last}"
        email = self.unique(
            lambda: f"{slug(first)}.{slug(last)}{self.rng.choice(('', '', self.rng.randrange(2, 99)))}@{company.email.partition('@')[2]}",
            str,
        )
        mobile = None
        if town.country in MOBILE and self.rng.random() < 0.35:
            area, pattern = MOBILE[town.country]
            mobile = Phone(town.country, area, self.digits(pattern))
        return Person(company, first, last, email, self.rng.choice(TITLES), self.phone(town), mobile)

    def items(self, currency: str) -> list[Item]:
        rate = {"EUR": Decimal(1), "USD": Decimal("1.08"), "GBP": Decimal("0.86")}[currency]
        items = []
        for product in self.rng.sample(PRODUCTS, self.rng.choice((1, 1, 2, 2, 3, 4))):
            quantity = Decimal(self.rng.randrange(1, 40)) * (100 if product.price < 1 else 1)
            if product.code.startswith("CBL"):
                quantity += Decimal("0.5")
            price = (product.price * rate).quantize(product.price)
            items.append(Item(product.code, product.text, quantity, price))
        if self.rng.random() < 0.2:
            items.append(Item("SHIP", "Shipping", Decimal(1), Decimal("14.90")))
        if self.rng.random() < 0.1:
            items.append(Item("DISC", "Discount", Decimal(1), -Decimal(self.rng.randrange(1, 9))))
        return items

    def sale(self, company: Company, **known: Any) -> Sale:
        self.numbers += 1
        day = TODAY - timedelta(days=self.rng.randrange(3, 500))
        po = self.unique(lambda: self.rng.choice((self.digits("45000#####"), self.digits("PO-#####"), self.digits("B26/####"))))
        state = self.rng.choices(("draft", "confirmed", "invoiced", "cancelled"), (8, 25, 62, 5))[0]
        facts: dict[str, Any] = {"po": po, "day": day, "state": state, "items": self.items(company.currency)}
        return Sale(company, f"SO-{104000 + self.numbers}", currency=company.currency, **(facts | known))


def two_towns(world: World) -> tuple[Town, Town]:
    """Return two towns of one country."""
    first = world.town()
    second = world.rng.choice([town for town in TOWNS if town.country == first.country and town != first])
    return first, second


def tricky_companies(world: World) -> Iterator[tuple[str, Company]]:
    """Yield the companies that invite a wrong binding, each with the name of its trap."""
    for trap, crm_erp, count in (
        ("branches, same name and tax id, both in both", ((True, True), (True, True)), 4),
        ("branches, same name and tax id, one only in the CRM", ((True, True), (True, False)), 3),
        ("branches of other names, same tax id, one a side", ((True, False), (False, True)), 3),
        ("head office and branch, same tax id, one a side", ((True, False), (False, True)), 2),
        ("same name, other company, both in both", ((True, True), (True, True)), 4),
        ("same name, other company, one a side", ((True, False), (False, True)), 4),
        ("group with one e-mail, both in both", ((True, True),) * 3, 12),
        ("group with one e-mail, one a side", ((True, False), (False, True)), 3),
    ):
        for _ in range(count):
            towns = two_towns(world)
            first = world.company(towns[0], clean=True)
            for place, (in_crm, in_erp) in enumerate(crm_erp):
                town = towns[min(place, 1)]
                same: dict[str, Any] = {"clean": True, "in_crm": in_crm, "in_erp": in_erp, "legal": first.legal}
                if trap.startswith("group"):
                    trades = [trade for trade in first.country.trades if trade not in first.name]
                    same |= {"name": world.sister(first, trades[place])}
                    same |= {"email": first.email}
                elif trap.startswith("same name"):
                    same |= {"name": first.name, "email": f"{('info', 'kontakt')[place]}@{slug(first.name)}-{slug(town.name)}.example"}
                else:
                    same |= {"name": first.name, "tax": first.tax, "email": first.email}
                    if trap.startswith("branches of other names"):
                        same |= {"name": f"{first.name} {town.name}", "email": f"{slug(town.name)}@{slug(first.name)}.example"}
                    elif trap.startswith("head office") and place:
                        same |= {"name": f"{first.name} {town.name}", "legal": "", "email": f"{slug(town.name)}@{slug(first.name)}.example"}
                yield trap, world.company(town, **same)


# --- writing the exports --------------------------------------------------------------------------------------------------------------


class Truth(NamedTuple):
    entity: str
    crm_key: str
    erp_key: str
    kind: str
    same_as: str = ""


@dataclass
class Exports:
    """All files: header and rows by name, and the truth about them."""

    files: dict[str, list[Row]] = field(default_factory=dict)
    truth: list[Truth] = field(default_factory=list)


class Maker:
    """Writes what is true down twice, each side in its own dirty way."""

    def __init__(self, seed: int = SEED) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.world = World(self.rng, seed)
        self.dirt = Dirt(self.rng)
        self.out = Exports()
        self.companies: list[Company] = []
        self.people: list[Person] = []
        self.sales: list[Sale] = []

    def make(self) -> Exports:
        self.make_companies()
        self.make_people()
        self.make_sales()
        self.make_invoices()
        return self.out

    def moment(self) -> datetime:
        start = datetime(2025, 1, 7, 8, 0, tzinfo=UTC)
        return start + timedelta(seconds=self.rng.randrange(490 * 86400))

    def keys(self, things: Sequence[Any], side: str, make: Callable[[int], str]) -> None:
        """Give each thing of one side its key there, in an order that says nothing."""
        chosen = [thing for thing in things if getattr(thing, f"in_{side}")]
        for number, thing in enumerate(self.rng.sample(chosen, len(chosen))):
            setattr(thing, side, make(number))

    def pick(self, choices: dict[str, int]) -> str:
        return self.rng.choices(list(choices), list(choices.values()))[0]

    def record_truth(self, entity: str, things: Iterable[Any]) -> None:
        for thing in things:
            kind = "pair" if thing.crm and thing.erp else "only_crm" if thing.crm else "only_erp"
            self.out.truth.append(Truth(entity, thing.crm, thing.erp, kind))

    # --- customers

    def make_companies(self) -> None:
        tricky = list(tricky_companies(self.world))
        self.companies = [company for _, company in tricky]
        wanted = {(True, True): CUSTOMER_PAIRS, (True, False): ONLY_CRM, (False, True): ONLY_ERP}
        for (in_crm, in_erp), number in wanted.items():
            there = sum((c.in_crm, c.in_erp) == (in_crm, in_erp) for c in self.companies)
            self.companies += [self.world.company(in_crm=in_crm, in_erp=in_erp) for _ in range(number - there)]
        self.choose_parents()
        self.keys(self.companies, "crm", lambda n: salesforce_id("001", 40_000 + n * 37))
        self.keys(self.companies, "erp", lambda n: str(1001 + n * 3))
        for trap, company in tricky:
            for file, key in (("crm/Account.csv", company.crm), ("erp/customers.csv", company.erp)):
                if key:
                    self.dirt.name(trap, file, key)
        accounts, customers = [], []
        for company in self.companies:
            account, customer = self.spell(company)
            accounts += [account] if company.in_crm else []
            customers += [customer] if company.in_erp else []
        self.record_truth("customer", self.companies)
        self.double_customers(accounts, customers)
        self.spoil_options(accounts, customers)
        self.out.files["crm/Account.csv"] = sorted(accounts, key=lambda row: row["Id"])
        self.out.files["erp/customers.csv"] = sorted(customers, key=lambda row: int(row["Internal ID"]))

    def choose_parents(self) -> None:
        plain = [c for c in self.companies if c.in_crm and c.in_erp and not c.clean]
        chosen = self.rng.sample(plain, 90)
        for child, parent in zip(chosen[:70], chosen[70:] * 4, strict=False):
            child.parent = parent

    def spell(self, company: Company) -> tuple[Row, Row]:
        """Return the company as the CRM and as the ERP hold it."""
        account, customer = self.account(company), self.customer(company)
        if company.in_crm and company.in_erp and not company.clean:
            self.spell_name(company, account, customer)
            self.spell_tax(account, customer)
            self.spell_email(account, customer)
            self.spell_address(company, account)
            self.spell_rest(company, account, customer)
        elif not company.clean:
            self.thin_out(account, customer)
        return account, customer

    def account(self, company: Company) -> Row:
        address, moment = company.address, self.moment()
        return {
            "Id": company.crm,
            "Name": company.full_name,
            "Type": CRM_TYPE[company.kind],
            "ParentId": company.parent.crm if company.parent else "",
            "BillingStreet": "\n".join(filter(None, (address.street, address.second))),
            "BillingCity": address.town.name,
            "BillingState": address.town.region,
            "BillingPostalCode": address.postal,
            "BillingCountry": self.rng.choice(company.country.names),
            "Phone": self.dirt.phone(company.phone, erp=False),
            "Website": company.website,
            "Email__c": company.email,
            "VAT_Number__c": company.tax,
            "CurrencyIsoCode": company.currency,
            "Active__c": "Yes" if company.active else "No",
            "Bridge_Id__c": "",
            "OwnerId": company.owner,
            "Description": "",
            "LastModifiedDate": stamp(moment),
            "SystemModstamp": stamp(moment + timedelta(seconds=self.rng.choice((0, 0, 0, 1, 3600)))),
        }

    def customer(self, company: Company) -> Row:
        address = company.address
        credit = "" if company.credit is None else grouped(company.credit) if self.rng.random() < 0.5 else f"{cents(company.credit)}"
        return {
            "Internal ID": company.erp,
            "External ID": "",
            "ID": f"C{company.erp:>06}",
            "Company Name": company.full_name,
            "Category": ERP_CATEGORY[company.kind],
            "Parent": company.parent.erp if company.parent else "",
            "Billing Address 1": address.street,
            "Billing Address 2": address.second,
            "Billing City": address.town.name,
            "Billing State/Province": address.town.region_code,
            "Billing Zip": address.postal,
            "Billing Country": company.country.erp_name,
            "Phone": self.dirt.phone(company.phone, erp=True),
            "Email": company.email,
            "Web Address": company.website,
            "VAT Registration Number": company.tax,
            "Currency": ERP_CURRENCY[company.currency],
            "Terms": company.terms,
            "Credit Limit": credit,
            "Inactive": "No" if company.active else "Yes",
            "Last Modified": local_stamp(self.moment()),
        }

    def spell_name(self, company: Company, account: Row, customer: Row) -> None:
        ways = {
            "as it is": 44,
            "other legal form": 17,
            "no legal form": 6,
            "without accents": 11,
            "upper case": 9,
            "ampersand as a word": 5,
            "swapped words": 4,
            "typing error": 4,
            "renamed": 3,
        }
        way = self.pick(ways)
        if way == "renamed":
            customer["Company Name"] = self.dirt.did(
                "customer name: renamed", account["Name"], f"{self.world.name(company.country)} {company.legal}"
            )
            self.dirt.name("renamed", "erp/customers.csv", company.erp)
        elif way == "no legal form":
            account["Name"] = self.dirt.company_name(company, way)
        else:
            customer["Company Name"] = self.dirt.company_name(company, way)

    def spell_tax(self, account: Row, customer: Row) -> None:
        column, tax = "VAT Registration Number", account["VAT_Number__c"]
        way = self.pick({"same": 48, "spaced": 11, "no prefix": 4, "no crm": 17, "no erp": 7, "none": 13})
        if way == "spaced":
            customer[column] = self.dirt.did(
                "tax id with blanks or points", tax, self.rng.choice((f"{tax[:2]} {tax[2:5]} {tax[5:]}", f"{tax[:5]}.{tax[5:]}"))
            )
        elif way == "no prefix":
            customer[column] = self.dirt.did("tax id without its country", tax, tax.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        if way in {"no crm", "none"}:
            account["VAT_Number__c"] = self.dirt.did("tax id missing in the CRM", tax, "")
        if way in {"no erp", "none"}:
            customer[column] = self.dirt.did("tax id missing in the ERP", tax, "")

    def spell_email(self, account: Row, customer: Row) -> None:
        email = account["Email__c"]
        way = self.pick({"same": 48, "upper": 6, "other": 12, "no crm": 13, "no erp": 14, "none": 7})
        if way == "upper":
            customer["Email"] = self.dirt.did("e-mail in capitals", email, email.upper())
        elif way == "other":
            customer["Email"] = self.dirt.did("e-mail another in the ERP", email, f"invoices@{email.partition('@')[2]}")
        if way in {"no crm", "none"}:
            account["Email__c"] = self.dirt.did("e-mail missing in the CRM", email, "")
        if way in {"no erp", "none"}:
            customer["Email"] = self.dirt.did("e-mail missing in the ERP", email, "")

    def spell_address(self, company: Company, account: Row) -> None:
        if self.rng.random() < 0.09:
            town = self.rng.choice([town for town in TOWNS if town.country == company.address.town.country])
            old = self.world.address(town)
            account |= {
                "BillingStreet": self.dirt.did("old address in the CRM", account["BillingStreet"], old.street),
                "BillingCity": town.name,
                "BillingState": town.region,
                "BillingPostalCode": old.postal,
            }
        elif self.rng.random() < 0.25:
            account["BillingStreet"] = self.dirt.street(account["BillingStreet"])

    def spell_rest(self, company: Company, account: Row, customer: Row) -> None:
        chance = self.rng.random()
        if chance < 0.012:
            other = company.phone
            while other.number == company.phone.number:
                other = self.world.phone(company.address.town)
            customer["Phone"] = self.dirt.phone(other, erp=True)
            self.dirt.name("telephone another in the ERP", "erp/customers.csv", company.erp)
        elif chance < 0.1:
            account["Phone"] = self.dirt.did("telephone missing in the CRM", account["Phone"], "")
        elif chance < 0.2:
            customer["Phone"] = self.dirt.did("telephone missing in the ERP", customer["Phone"], "")
        chance = self.rng.random()
        if chance < 0.005:
            account["Website"] = f"shop.{slug(company.name)}.example"
            self.dirt.name("website another in the CRM", "crm/Account.csv", company.crm)
        elif chance < 0.5:
            customer["Web Address"] = self.dirt.did("website missing in the ERP", customer["Web Address"], "")
        if self.rng.random() < 0.04:
            customer["Category"] = self.dirt.did(
                "category another in the ERP", customer["Category"], "Retail" if company.kind == "other" else "Miscellaneous"
            )
        if self.rng.random() < 0.01:
            customer["Inactive"] = self.dirt.did("inactive in one of the two", customer["Inactive"], "Yes" if company.active else "No")

    def thin_out(self, account: Row, customer: Row) -> None:
        for row, column in ((account, "VAT_Number__c"), (account, "Phone"), (customer, "VAT Registration Number"), (customer, "Email")):
            if self.rng.random() < 0.2:
                row[column] = ""

    def double_customers(self, accounts: list[Row], customers: list[Row]) -> None:
        """Enter some companies a second time. A double never holds more of what identifies than the first, nor other than it."""
        whole = [c for c in self.companies if not c.clean and self.is_whole(c, accounts, customers)]
        for side, rows, key, number, only in (("crm", accounts, "Id", DOUBLE_CRM, 5), ("erp", customers, "Internal ID", DOUBLE_ERP, 3)):
            pairs = [c for c in whole if c.in_crm and c.in_erp]
            lone = [c for c in whole if c.in_crm != c.in_erp and getattr(c, f"in_{side}")]
            by_key = {row[key]: row for row in rows}
            for count, company in enumerate(self.rng.sample(pairs, number - only) + self.rng.sample(lone, only)):
                whole.remove(company)
                first = getattr(company, side)
                new = salesforce_id("001", 120_000 + count * 11) if side == "crm" else str(8001 + count)
                rows.append(self.double_of(by_key[first], company, side, new))
                keys = (new, "") if side == "crm" else ("", new)
                self.out.truth.append(Truth("customer", *keys, f"double_{side}", first))

    @staticmethod
    def is_whole(company: Company, accounts: list[Row], customers: list[Row]) -> bool:
        """Tell whether the company is spelled as it is wherever it stands."""
        account = next((row for row in accounts if row["Id"] == company.crm), None)
        customer = next((row for row in customers if row["Internal ID"] == company.erp), None)
        held = [(row["Name"], row["VAT_Number__c"], row["Email__c"]) for row in (account,) if row]
        held += [(row["Company Name"], row["VAT Registration Number"], row["Email"]) for row in (customer,) if row]
        return all(one == (company.full_name, company.tax, company.email) for one in held)

    def double_of(self, row: Row, company: Company, side: str, key: str) -> Row:
        name = self.dirt.company_name(
            company, self.rng.choice(("as it is", "other legal form", "no legal form", "upper case", "typing error"))
        )
        if side == "crm":
            twin = row | {"Id": key, "Name": name, "Phone": "", "Website": "", "ParentId": "", "Description": "entered at the trade fair"}
            spare = self.rng.choice(("", "VAT_Number__c", "Email__c"))
            return twin | ({spare: ""} if spare else {})
        twin = row | {"Internal ID": key, "ID": f"C{key:>06}", "Company Name": name, "Credit Limit": "", "Web Address": "", "Parent": ""}
        spare = self.rng.choice(("", "VAT Registration Number", "Email"))
        return twin | ({spare: ""} if spare else {})

    def spoil_options(self, accounts: list[Row], customers: list[Row]) -> None:
        """Put in values that no mapping can know."""
        clean = {c.crm for c in self.companies if c.clean} | {c.erp for c in self.companies if c.clean}
        for file, rows, key, spoils in (
            (
                "crm/Account.csv",
                accounts,
                "Id",
                (("Type", "Influencer", 7), ("Phone", "ask reception", 4), ("BillingCountry", "Freedonia", 2)),
            ),
            (
                "erp/customers.csv",
                customers,
                "Internal ID",
                (("Category", "Legacy 2009", 5), ("Terms", "Net 37", 6), ("Phone", "n/a", 3), ("Billing Country", "Freedonia", 1)),
            ),
        ):
            free = [row for row in rows if row[key] not in clean]
            for column, value, number in spoils:
                for row in self.rng.sample(free, number):
                    row[column] = value
                    self.dirt.name(f"unknown {column}", file, row[key])

    # --- contacts

    def make_people(self) -> None:
        here = {
            "pair": [c for c in self.companies if c.in_crm and c.in_erp],
            "crm": [c for c in self.companies if c.in_crm],
            "erp": [c for c in self.companies if c.in_erp],
        }
        for sides, number, double_number in (
            ("pair", CONTACT_PAIRS, 0),
            ("crm", CONTACTS_A_SIDE - CONTACT_PAIRS, CONTACT_DOUBLE_CRM),
            ("erp", CONTACTS_A_SIDE - CONTACT_PAIRS, CONTACT_DOUBLE_ERP),
        ):
            for _ in range(number - double_number):
                person = self.world.person(self.rng.choice(here[sides]))
                person.in_crm, person.in_erp = sides != "erp", sides != "crm"
                self.people.append(person)
        shared = self.share_mailboxes()
        self.keys(self.people, "crm", lambda n: salesforce_id("003", 900_000 + n * 29))
        self.keys(self.people, "erp", lambda n: str(20_001 + n * 2))
        for person in shared:
            file, key = ("crm/Contact.csv", person.crm) if person.crm else ("erp/contacts.csv", person.erp)
            self.dirt.name("other person, same mailbox at the same customer", file, key)
        rows_crm, rows_erp = [], []
        for person in self.people:
            crm, erp = self.crm_contact(person), self.erp_contact(person)
            if person.in_crm and person.in_erp:
                self.spell_person(crm, erp)
            rows_crm += [crm] if person.in_crm else []
            rows_erp += [erp] if person.in_erp else []
        self.record_truth("contact", self.people)
        self.double_people(rows_crm, rows_erp)
        self.lose_customers(rows_crm, rows_erp)
        self.out.files["crm/Contact.csv"] = sorted(rows_crm, key=lambda row: row["Id"])
        self.out.files["erp/contacts.csv"] = sorted(rows_erp, key=lambda row: int(row["Internal ID"]))

    def share_mailboxes(self) -> list[Person]:
        """Let two people of one customer, one a side, use one mailbox."""
        crm = [p for p in self.people if p.in_crm and not p.in_erp and p.company.in_erp and not p.company.clean][:6]
        erp = [p for p in self.people if p.in_erp and not p.in_crm][:6]
        for one, other in zip(crm, erp, strict=True):
            other.company = one.company
            one.email = other.email = f"purchasing@{one.company.email.partition('@')[2]}"
        return [*crm, *erp]

    def crm_contact(self, person: Person) -> Row:
        moment = stamp(self.moment())
        return {
            "Id": person.crm,
            "AccountId": person.company.crm,
            "FirstName": person.first,
            "LastName": person.last,
            "Title": person.title,
            "Email": person.email,
            "Phone": self.dirt.phone(person.phone, erp=False, at_home=False),
            "MobilePhone": self.dirt.phone(person.mobile, erp=False, at_home=False) if person.mobile else "",
            "Bridge_Id__c": "",
            "LastModifiedDate": moment,
            "SystemModstamp": moment,
        }

    def erp_contact(self, person: Person) -> Row:
        return {
            "Internal ID": person.erp,
            "External ID": "",
            "Company": person.company.erp,
            "First Name": person.first,
            "Last Name": person.last,
            "Job Title": person.title,
            "Email": person.email,
            "Phone": self.dirt.phone(person.phone, erp=True, at_home=False),
            "Mobile Phone": self.dirt.phone(person.mobile, erp=True, at_home=False) if person.mobile else "",
            "Inactive": "No" if self.rng.random() < 0.97 else "Yes",
            "Last Modified": local_stamp(self.moment()),
        }

    def spell_person(self, crm: Row, erp: Row) -> None:
        way = self.pick({"same": 84, "ascii": 10, "initial": 3, "upper": 3})
        first, last = crm["FirstName"], crm["LastName"]
        if way == "ascii":
            erp["First Name"] = transliterated(first)
            erp["Last Name"] = self.dirt.did("contact name: without accents", last, transliterated(last))
        elif way == "initial":
            erp["First Name"] = self.dirt.did("contact name: initial", first, f"{first[0]}.")
        elif way == "upper":
            erp["Last Name"] = self.dirt.did("contact name: upper case", last, last.upper())
        email = self.pick({"same": 80, "no crm": 6, "no erp": 8, "other": 6})
        if email == "no crm":
            crm["Email"] = self.dirt.did("contact e-mail missing in the CRM", crm["Email"], "")
        elif email == "no erp":
            erp["Email"] = self.dirt.did("contact e-mail missing in the ERP", erp["Email"], "")
        elif email == "other":
            erp["Email"] = self.dirt.did(
                "contact e-mail another in the ERP", erp["Email"], f"{slug(last)}{erp['Internal ID']}@mail.example"
            )

    def double_people(self, rows_crm: list[Row], rows_erp: list[Row]) -> None:
        for side, rows, key, number in (("crm", rows_crm, "Id", CONTACT_DOUBLE_CRM), ("erp", rows_erp, "Internal ID", CONTACT_DOUBLE_ERP)):
            plain = [row for row in rows if row["Email"] and not row["Email"].startswith("purchasing@")]
            for count, row in enumerate(self.rng.sample(plain, number)):
                new = salesforce_id("003", 2_000_000 + count * 17) if side == "crm" else str(28_001 + count)
                rows.append(row | {key: new, "Title" if side == "crm" else "Job Title": ""})
                keys = (new, "") if side == "crm" else ("", new)
                self.out.truth.append(Truth("contact", *keys, f"double_{side}", row[key]))

    def lose_customers(self, rows_crm: list[Row], rows_erp: list[Row]) -> None:
        """Let some contacts that stand on one side only point at a customer that is not in the export."""
        lone = {p.crm or p.erp for p in self.people if p.in_crm != p.in_erp}
        doubled = {truth.same_as for truth in self.out.truth if truth.entity == "contact"}
        for file, rows, key, column, absent in (
            ("crm/Contact.csv", rows_crm, "Id", "AccountId", [salesforce_id("001", 700_000 + n) for n in range(3)]),
            ("erp/contacts.csv", rows_erp, "Internal ID", "Company", [str(19_001 + n) for n in range(3)]),
        ):
            free = [row for row in rows if row[key] in lone and row[key] not in doubled and not row["Email"].startswith("purchasing@")]
            for row, gone in zip(self.rng.sample(free, len(absent)), absent, strict=True):
                row[column] = gone
                self.dirt.name("customer not in the export", file, row[key])

    # --- orders

    def make_sales(self) -> None:
        pairs = [c for c in self.companies if c.in_crm and c.in_erp]
        crm, erp = [c for c in self.companies if c.in_crm], [c for c in self.companies if c.in_erp]
        self.sales = [self.world.sale(self.rng.choice(pairs)) for _ in range(ORDER_PAIRS)]
        self.sales += [
            self.world.sale(self.rng.choice(crm), in_erp=False, state=self.rng.choice(("draft", "confirmed")))
            for _ in range(CRM_ORDERS - ORDER_PAIRS)
        ]
        self.sales += [self.world.sale(self.rng.choice(erp), in_crm=False) for _ in range(ERP_ORDERS - ORDER_PAIRS)]
        self.repeat_references()
        self.keys(self.sales, "crm", lambda n: salesforce_id("801", 300_000 + n * 41))
        self.keys(self.sales, "erp", lambda n: str(50_001 + n * 7))
        own_number = iter(range(1042, 9999))
        heads_crm, heads_erp = [], []
        lines: dict[str, list[Item]] = {}
        for sale in self.sales:
            ordered, order = self.crm_order(sale), self.erp_order(sale)
            lines |= {sale.crm or "-": sale.items, sale.erp or "-": sale.items}
            if sale.in_crm and sale.in_erp:
                self.spell_order(sale, ordered, order, f"{next(own_number):08d}")
            elif sale.in_crm:
                ordered["OrderNumber"] = f"{next(own_number):08d}"
            heads_crm += [ordered] if sale.in_crm else []
            heads_erp += [order] if sale.in_erp else []
        self.record_truth("order", self.sales)
        self.change_quantities(heads_erp, lines)
        self.spoil_orders(heads_crm, heads_erp)
        heads_crm.sort(key=lambda row: row["Id"])
        heads_erp.sort(key=lambda row: int(row["Internal ID"]))
        self.out.files["crm/Order.csv"] = heads_crm
        self.out.files["crm/OrderItem.csv"] = list(self.crm_lines(heads_crm, lines))
        self.out.files["erp/salesorders.csv"] = heads_erp
        self.out.files["erp/salesorder_lines.csv"] = list(self.erp_lines(heads_erp, lines, "Sales Order", 700_001))

    def repeat_references(self) -> None:
        """Let some customers use one reference for two orders."""
        for number in range(3):
            first, second = self.sales[2 * number : 2 * number + 2]
            second.company, second.po, second.currency = first.company, first.po, first.currency

    def crm_order(self, sale: Sale) -> Row:
        moment = datetime(sale.day.year, sale.day.month, sale.day.day, self.rng.randrange(7, 18), self.rng.randrange(60), tzinfo=UTC)
        seen = "confirmed" if sale.state == "invoiced" and self.rng.random() < 0.4 else sale.state
        return {
            "Id": sale.crm,
            "AccountId": sale.company.crm,
            "OrderNumber": sale.number,
            "PoNumber": sale.po,
            "EffectiveDate": sale.day.isoformat(),
            "Status": {"draft": "Draft", "confirmed": "Activated", "invoiced": "Invoiced", "cancelled": "Cancelled"}[seen],
            "CurrencyIsoCode": sale.currency,
            "TotalAmount": double(sale.total),
            "Bridge_Id__c": "",
            "LastModifiedDate": stamp(moment),
            "SystemModstamp": stamp(moment),
        }

    def erp_order(self, sale: Sale) -> Row:
        moment = datetime(sale.day.year, sale.day.month, sale.day.day, self.rng.randrange(12, 23), self.rng.randrange(60), tzinfo=UTC)
        status = {
            "draft": ("Pending Approval",),
            "confirmed": ("Pending Fulfillment", "Partially Fulfilled"),
            "invoiced": ("Billed", "Billed", "Closed"),
            "cancelled": ("Cancelled",),
        }
        return {
            "Internal ID": sale.erp,
            "External ID": "",
            "Document Number": sale.number,
            "PO/Check Number": sale.po,
            "Customer": sale.company.erp,
            "Date": us_date(sale.day),
            "Status": self.rng.choice(status[sale.state]),
            "Currency": ERP_CURRENCY[sale.currency],
            "Amount": grouped(sale.total),
            "Last Modified": local_stamp(moment),
        }

    def spell_order(self, sale: Sale, crm: Row, erp: Row, own_number: str) -> None:
        way = self.pick({"number": 66, "po": 29, "neither": 5})
        if way != "number":
            crm["OrderNumber"] = self.dirt.did("order number another in the CRM", sale.number, own_number)
        if way == "neither":
            erp["PO/Check Number"] = self.dirt.did("order without a common key", sale.po, f"per telephone {sale.day:%d.%m.}")
            self.dirt.name("order without a common key", "erp/salesorders.csv", sale.erp)
        elif way == "number" and self.rng.random() < 0.2:
            crm["PoNumber"] = self.dirt.did("reference missing in the CRM", sale.po, "")
        if self.rng.random() < 0.015:
            crm["EffectiveDate"] = self.dirt.did("order a day off", crm["EffectiveDate"], (sale.day - timedelta(days=1)).isoformat())

    def change_quantities(self, heads: list[Row], lines: dict[str, list[Item]]) -> None:
        """Let the ERP hold another quantity in some orders, with a total that fits it."""
        paired = {sale.erp for sale in self.sales if sale.in_crm and sale.in_erp}
        for row in self.rng.sample([row for row in heads if row["Internal ID"] in paired], 6):
            key = row["Internal ID"]
            first, *rest = lines[key]
            lines[key] = [first._replace(quantity=first.quantity + 1), *rest]
            row["Amount"] = grouped(sum((item.amount for item in lines[key]), Decimal(0)))
            self.dirt.name("quantity another in the ERP", "erp/salesorders.csv", key)

    def spoil_orders(self, heads_crm: list[Row], heads_erp: list[Row]) -> None:
        doubles = [truth.crm_key for truth in self.out.truth if truth.entity == "customer" and truth.kind == "double_crm"]
        lone = {sale.crm or sale.erp for sale in self.sales if sale.in_crm != sale.in_erp}
        free_crm = self.rng.sample([row for row in heads_crm if row["Id"] in lone], 13)
        free_erp = self.rng.sample([row for row in heads_erp if row["Internal ID"] in lone], 8)
        for count, row in enumerate(free_crm[:4]):
            row["AccountId"] = salesforce_id("001", 710_000 + count)
            self.dirt.name("customer not in the export", "crm/Order.csv", row["Id"])
        for count, row in enumerate(free_erp[:4]):
            row["Customer"] = str(19_101 + count)
            self.dirt.name("customer not in the export", "erp/salesorders.csv", row["Internal ID"])
        for row, account in zip(free_crm[4:8], doubles, strict=False):
            row["AccountId"] = account
            self.dirt.name("order of a double", "crm/Order.csv", row["Id"])
        for row in free_crm[8:10]:
            row["Status"] = "On Hold"
            self.dirt.name("unknown Status", "crm/Order.csv", row["Id"])
        for row in free_erp[4:6]:
            row["Status"] = "Pending Legal"
            self.dirt.name("unknown Status", "erp/salesorders.csv", row["Internal ID"])
        for row in free_crm[10:13]:
            row["TotalAmount"] = double(Decimal(row["TotalAmount"]) + 10)
            self.dirt.name("total does not add up", "crm/Order.csv", row["Id"])
        for row in free_erp[6:8]:
            row["Amount"] = grouped(Decimal(row["Amount"].replace(",", "")) - Decimal("0.05"))
            self.dirt.name("total does not add up", "erp/salesorders.csv", row["Internal ID"])

    def crm_lines(self, heads: list[Row], lines: dict[str, list[Item]]) -> Iterator[Row]:
        count = 0
        for head in heads:
            for position, item in enumerate(lines[head["Id"]], 1):
                count += 1
                yield {
                    "Id": salesforce_id("802", 500_000 + count * 13),
                    "OrderId": head["Id"],
                    "OrderItemNumber": str(position),
                    "ProductCode": item.product,
                    "Description": item.text,
                    "Quantity": double(item.quantity),
                    "UnitPrice": double(item.price),
                    "TotalPrice": double(item.amount),
                    "SystemModstamp": head["SystemModstamp"],
                }

    def erp_lines(self, heads: list[Row], lines: dict[str, list[Item]], parent: str, start: int) -> Iterator[Row]:
        count = start
        for head in heads:
            for position, item in enumerate(lines[head["Internal ID"]], 1):
                yield {
                    "Line Unique Key": str(count),
                    parent: head["Internal ID"],
                    "Line ID": str(position),
                    "Item": item.product,
                    "Memo": item.text,
                    "Quantity": f"{item.quantity:f}",
                    "Item Rate": f"{item.price:f}",
                    "Amount": f"{item.amount:f}",
                }
                count += 1

    # --- invoices

    def make_invoices(self) -> None:
        orders = {row["Internal ID"]: row for row in self.out.files["erp/salesorders.csv"]}
        billed = [sale for sale in self.sales if sale.erp and orders[sale.erp]["Status"] in {"Billed", "Closed"}]
        gone = {key for kind, _, key in self.dirt.named if kind == "customer not in the export"}
        billed = [sale for sale in billed if sale.erp not in gone]
        held = self.erp_items()
        heads: list[Row] = []
        lines: dict[str, list[Item]] = {}
        for number in range(INVOICES):
            order = billed[number] if number < min(len(billed), INVOICES - 30) else None
            company = order.company if order else self.rng.choice([c for c in self.companies if c.in_erp])
            sale = replace(order, items=held[order.erp]) if order else self.world.sale(company)
            key = str(80_001 + number * 5)
            lines[key] = sale.items
            heads.append(self.invoice(key, number, sale, order.erp if order else ""))
        self.spoil_invoices(heads)
        self.out.files["erp/invoices.csv"] = heads
        self.out.files["erp/invoice_lines.csv"] = list(self.erp_lines(heads, lines, "Invoice", 900_001))

    def erp_items(self) -> dict[str, list[Item]]:
        """Return the lines of each order as the ERP holds them."""
        items: dict[str, list[Item]] = {}
        for row in self.out.files["erp/salesorder_lines.csv"]:
            item = Item(row["Item"], row["Memo"], Decimal(row["Quantity"]), Decimal(row["Item Rate"]))
            items.setdefault(row["Sales Order"], []).append(item)
        return items

    def invoice(self, key: str, number: int, sale: Sale, order: str) -> Row:
        day = min(sale.day + timedelta(days=self.rng.randrange(1, 20)), TODAY)
        due = day + timedelta(days=30)
        paid = due < TODAY and self.rng.random() < 0.85
        left = Decimal(0) if paid else sale.total if self.rng.random() < 0.9 else cents(sale.total / 2)
        return {
            "Internal ID": key,
            "External ID": "",
            "Document Number": f"INV-{220_001 + number}",
            "Created From": order,
            "Customer": sale.company.erp,
            "Date": us_date(day),
            "Due Date": us_date(due),
            "Status": "Paid In Full" if paid else "Open",
            "Currency": ERP_CURRENCY[sale.currency],
            "Amount": grouped(sale.total),
            "Amount Remaining": grouped(left),
            "Last Modified": local_stamp(datetime(day.year, day.month, day.day, 21, number % 60, tzinfo=UTC)),
        }

    def spoil_invoices(self, heads: list[Row]) -> None:
        chosen = self.rng.sample([row for row in heads if row["Created From"]], 7)
        for row in chosen[:3]:
            row["Amount"] = grouped(Decimal(row["Amount"].replace(",", "")) + 1)
            self.dirt.name("total does not add up", "erp/invoices.csv", row["Internal ID"])
        for row in chosen[3:5]:
            row["Status"] = "Disputed"
            self.dirt.name("unknown Status", "erp/invoices.csv", row["Internal ID"])
        for count, row in enumerate(chosen[5:]):
            row["Created From"] = str(49_001 + count)
            self.dirt.name("order not in the export", "erp/invoices.csv", row["Internal ID"])


# --- files ----------------------------------------------------------------------------------------------------------------------------


def csv_text(rows: Sequence[Row], *, crm: bool) -> str:
    """Return rows as one of the two systems exports them."""
    out = io.StringIO()
    dialect: dict[str, Any] = (
        {"quoting": csv.QUOTE_ALL, "lineterminator": "\n"} if crm else {"quoting": csv.QUOTE_MINIMAL, "lineterminator": "\r\n"}
    )
    writer = csv.DictWriter(out, list(rows[0]), **dialect)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def plain_csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def readme(maker: Maker) -> str:
    """Return the description of the data, with its figures."""
    sizes = "\n".join(f"| `{name}` | {len(rows):,} |" for name, rows in sorted(maker.out.files.items()))
    classes = Counter((truth.entity, truth.kind) for truth in maker.out.truth)
    kinds = ("pair", "only_crm", "only_erp", "double_crm", "double_erp")
    truth = "\n".join(
        f"| {entity} | " + " | ".join(f"{classes[entity, kind]:,}" for kind in kinds) + " |" for entity in ("customer", "contact", "order")
    )
    dirt = "\n".join(f"| {kind} | {number:,} |" for kind, number in sorted(maker.dirt.counts.items()))
    return f"""# The demo's data

Two exports of one invented trade, written by `python demo/make_data.py` (seed {maker.seed}); change the generator, not the files.
`crm/` is a Salesforce Data Loader export (every cell quoted, LF, UTF-8), `erp/` a set of NetSuite saved searches (quoted where needed,
CRLF, UTF-8; `contacts.csv` is cp1252; local times are New York's). All mail and web addresses end in `.example`.

| file | records |
|---|---:|
{sizes}

`truth.csv` (`entity,crm_key,erp_key,class,same_as`) tells which records are the same. A double names the first record of its side in
`same_as`; a pair whose identity no exact key can tell is still a `pair`.

| entity | {" | ".join(kinds)} |
|---|{"---:|" * len(kinds)}
{truth}

`dirt.csv` (`kind,file,key`) names the records that are tricky or wrong on purpose. How often each kind of dirt occurs:

| dirt | records |
|---|---:|
{dirt}
"""


def write(folder: Path, seed: int = SEED) -> None:
    """Write all files below ``folder``."""
    maker = Maker(seed)
    exports = maker.make()
    texts = {name: csv_text(rows, crm=name.startswith("crm/")) for name, rows in exports.files.items()}
    order = {"customer": 0, "contact": 1, "order": 2}
    truth = sorted(exports.truth, key=lambda line: (order[line.entity], line.kind, line.crm_key, int(line.erp_key or 0)))
    texts["truth.csv"] = plain_csv(("entity", "crm_key", "erp_key", "class", "same_as"), truth)
    texts["dirt.csv"] = plain_csv(("kind", "file", "key"), sorted(maker.dirt.named))
    texts["README.md"] = readme(maker)
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("cp1252" if name == "erp/contacts.csv" else "utf-8"))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data"
    write(target, int(sys.argv[2]) if len(sys.argv) > 2 else SEED)
    print(f"wrote {sum(path.stat().st_size for path in target.rglob('*') if path.is_file()):,} bytes to {target}")
