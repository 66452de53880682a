"""The canonical entities: the hub that every mapping translates to and from.

One model an entity; fields are documented here with their unit, and the normalisers give each value its one canonical form
(MAPPING rule 2: the normaliser belongs in the canonical model, once).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from erpcrm_bridge.model.fields import CanonicalModel, EntitySpec, Line, Meta, decimal_of, fields_of, lists_of
from erpcrm_bridge.model.money import MINOR_UNITS

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} is not text")  # noqa: TRY004 - callers catch ValueError
    return value.replace("\r\n", "\n").replace("\r", "\n").strip() or None


def _lower(value: Any) -> Any:
    text = _text(value)
    return text.lower() if text else text


def _upper(value: Any) -> Any:
    text = _text(value)
    return text.upper() if text else text


def _tax_id(value: Any) -> Any:
    text = _text(value)
    return re.sub(r"[^0-9A-Z+*]", "", text.upper()) or None if text else text


def _currency(value: Any) -> Any:
    text = _upper(value)
    if text is not None and text not in MINOR_UNITS:
        raise ValueError(f"{text!r} is not a currency of ISO 4217")
    return text


def _country(value: Any) -> Any:
    text = _upper(value)
    if text is not None and not (len(text) == 2 and text.isascii() and text.isalpha()):
        raise ValueError(f"{text!r} is not a country code of ISO 3166-1")
    return text


def _date(value: Any) -> Any:
    if not (isinstance(value, str) and _DATE.fullmatch(value)):
        raise ValueError(f"{value!r} is not a date as YYYY-MM-DD")
    return value


def _instant(value: Any) -> Any:
    if not (isinstance(value, str) and _INSTANT.fullmatch(value)):
        raise ValueError(f"{value!r} is not an instant as YYYY-MM-DDThh:mm:ss.mmmZ")
    return value


def _boolean(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")  # noqa: TRY004 - callers catch ValueError
    return value


def _integer(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is not a whole number")  # noqa: TRY004 - callers catch ValueError
    return value


def _t(length: int) -> Meta:
    return Meta("text", max_length=length, normalise=_text)


Text20 = Annotated[str | None, _t(20)]
Text40 = Annotated[str | None, _t(40)]
Text80 = Annotated[str | None, _t(80)]
Text255 = Annotated[str | None, _t(255)]
LongText = Annotated[str | None, _t(4000)]
Website = Annotated[str | None, Meta("text", max_length=255, normalise=_lower)]
Email = Annotated[str | None, Meta("text", max_length=254, normalise=_lower)]
Phone = Annotated[str | None, Meta("text", max_length=40, normalise=_text)]
TaxId = Annotated[str | None, Meta("text", max_length=20, normalise=_tax_id)]
Currency = Annotated[str | None, Meta("currency", max_length=3, normalise=_currency)]
Country = Annotated[str | None, Meta("country", max_length=2, normalise=_country)]
Amount = Annotated[Any, Meta("amount", normalise=decimal_of)]
Quantity = Annotated[Any, Meta("decimal", scale=6, normalise=decimal_of)]
UnitPrice = Annotated[Any, Meta("decimal", scale=6, normalise=decimal_of)]
Date = Annotated[str | None, Meta("date", normalise=_date)]
Instant = Annotated[str | None, Meta("instant", normalise=_instant)]
Boolean = Annotated[bool | None, Meta("boolean", normalise=_boolean)]
Integer = Annotated[int | None, Meta("integer", normalise=_integer)]
CustomerRef = Annotated[str | None, Meta("reference", to="customer")]
OrderRef = Annotated[str | None, Meta("reference", to="order")]
Choice = Meta("choice")


class Address(BaseModel):
    """A postal address; moves as one value (an entity's policies make it a group)."""

    line1: Text255 = Field(None, description="street and number")
    line2: Text255 = Field(None, description="what else the street line needs")
    city: Text80 = Field(None, description="town")
    region: Text80 = Field(None, description="state or province: its ISO 3166-2 part, or the text as typed")
    postal_code: Text20 = Field(None, description="postal code, as written in the country")
    country_code: Country = Field(None, description="ISO 3166-1 alpha-2")


class Customer(CanonicalModel):
    """A company or person that buys."""

    name: Text255 = Field(None, description="name as it stands on documents")
    kind: Annotated[Literal["customer", "prospect", "partner", "other"] | None, Choice] = Field(None, description="commercial standing")
    is_company: Boolean = Field(None, description="false for a private person")
    status: Annotated[Literal["active", "inactive", "archived"] | None, Choice] = Field(
        None, description="archived: kept, and shown as inactive where a system has no such state"
    )
    tax_id: TaxId = Field(None, description="VAT or tax number, upper case, letters and digits only")
    email: Email = Field(None, description="general address, lower case")
    phone: Phone = Field(None, description="RFC 3966 (tel:+49-30-1234567;ext=12), or the text as typed where it is no number")
    website: Website = Field(None, description="address of the web site, lower case")
    billing: Address = Field(default_factory=Address, description="where invoices go")
    currency: Currency = Field(None, description="ISO 4217")
    payment_terms: Text80 = Field(None, description="name of the payment term")
    credit_limit: Amount = Field(None, description="amount in `currency`")
    parent: CustomerRef = Field(None, description="the customer this one belongs to")
    owner: Text80 = Field(None, description="sales representative, as the system names them")


class Contact(CanonicalModel):
    """A person at a customer."""

    customer: CustomerRef = Field(None, description="whom the person speaks for")
    first_name: Text80 = Field(None, description="given name")
    last_name: Text80 = Field(None, description="family name")
    email: Email = Field(None, description="address, lower case")
    phone: Phone = Field(None, description="desk telephone, RFC 3966")
    mobile: Phone = Field(None, description="mobile telephone, RFC 3966")
    title: Text255 = Field(None, description="job title")
    status: Annotated[Literal["active", "inactive", "archived"] | None, Choice] = Field(None, description="as customer.status")


class DocumentLine(Line):
    """A line of an order or invoice. Discounts, shipping and rounding are lines of their own, so that the sum is exact."""

    position: Integer = Field(None, description="place in the document, from 1")
    product: Text80 = Field(None, description="product code")
    description: Text255 = Field(None, description="what the line says")
    quantity: Quantity = Field(None, description="in the product's unit; up to 6 decimals")
    unit_price: UnitPrice = Field(None, description="price of one, in the document's currency; up to 6 decimals")
    amount: Amount = Field(None, description="amount of the line in the document's currency")


class Order(CanonicalModel):
    """What a customer ordered. A money document: never deleted by a sync."""

    customer: CustomerRef = Field(None, description="who ordered")
    number: Text40 = Field(None, description="the order's number as the customer sees it")
    po_number: Text40 = Field(None, description="the customer's own reference")
    order_date: Date = Field(None, description="day of the order")
    state: Annotated[Literal["draft", "confirmed", "invoiced", "cancelled"] | None, Choice] = Field(
        None, description="moved by calls, not by field writes"
    )
    currency: Currency = Field(None, description="ISO 4217")
    total: Amount = Field(None, description="sum of the lines, in `currency`")
    lines: list[DocumentLine] = Field(default_factory=list, description="what was ordered")


class Invoice(CanonicalModel):
    """What a customer owes. A money document: never deleted by a sync."""

    customer: CustomerRef = Field(None, description="who owes")
    order: OrderRef = Field(None, description="what it bills")
    number: Text40 = Field(None, description="the invoice's number")
    invoice_date: Date = Field(None, description="day of the invoice")
    due_date: Date = Field(None, description="day by which it is to be paid")
    state: Annotated[Literal["draft", "open", "paid", "cancelled"] | None, Choice] = Field(
        None, description="moved by calls, not by field writes"
    )
    currency: Currency = Field(None, description="ISO 4217")
    total: Amount = Field(None, description="sum of the lines, in `currency`")
    open_amount: Amount = Field(None, description="what is still to be paid, in `currency`")
    lines: list[DocumentLine] = Field(default_factory=list, description="what is billed")


MODELS: dict[str, type[CanonicalModel]] = {
    "customer": Customer,
    "contact": Contact,
    "order": Order,
    "invoice": Invoice,
}
MONEY_DOCUMENTS = frozenset({"order", "invoice"})


@cache
def entity_spec(name: str) -> EntitySpec:
    """Return what is known of the entity ``name``; KeyError where there is none."""
    model = MODELS[name]
    return EntitySpec(name, (model.__doc__ or "").strip(), name in MONEY_DOCUMENTS, fields_of(model), lists_of(model))
