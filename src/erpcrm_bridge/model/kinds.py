"""The kinds of canonical values: each with its one normal form, given by its normaliser (MAPPING rule 2: it belongs here, once).

A normaliser gives a value its one canonical form and raises ValueError where there is none; what it has given it leaves as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field

from erpcrm_bridge.model.fields import Meta, decimal_of
from erpcrm_bridge.model.money import MINOR_UNITS

_NOT_IN_TAX_IDS = re.compile(r"[^0-9A-Z+*]")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")


def plain_text(value: Any) -> Any:
    """Return text without what surrounds it, its lines parted in one way; None where nothing is left."""
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} is not text")  # noqa: TRY004 - callers catch ValueError
    if "\r" in value:
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    return value.strip() or None


def _lower(value: Any) -> Any:
    text = plain_text(value)
    return text.lower() if text else text


def _upper(value: Any) -> Any:
    text = plain_text(value)
    return text.upper() if text else text


def _tax_id(value: Any) -> Any:
    text = _upper(value)
    if text is None or (text.isascii() and text.isalnum()):
        return text
    return _NOT_IN_TAX_IDS.sub("", text) or None


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


_PLAIN = "v.__class__ is str and '\\r' not in v"
COMMONLY: dict[Callable[[Any], Any], tuple[str, str]] = {
    plain_text: (_PLAIN, "v.strip() or None"),
    _lower: (_PLAIN, "v.strip().lower() or None"),
    _upper: (_PLAIN, "v.strip().upper() or None"),
    _tax_id: ("v.__class__ is str and v.isascii() and v.isalnum()", "v.upper()"),
}
"""Of some normalisers what they give in most cases, as a condition and an expression over ``v``: no call is made for it."""


def _t(length: int) -> Meta:
    return Meta("text", max_length=length, normalise=plain_text)


Text20 = Annotated[str | None, _t(20)]
Text40 = Annotated[str | None, _t(40)]
Text80 = Annotated[str | None, _t(80)]
Text255 = Annotated[str | None, _t(255)]
LongText = Annotated[str | None, _t(4000)]
Website = Annotated[str | None, Meta("text", max_length=255, normalise=_lower)]
Email = Annotated[str | None, Meta("text", max_length=254, normalise=_lower)]
Phone = Annotated[str | None, Meta("text", max_length=40, normalise=plain_text)]
TaxId = Annotated[str | None, Meta("text", max_length=20, normalise=_tax_id)]
Currency = Annotated[str | None, Meta("currency", max_length=3, normalise=_currency)]
Country = Annotated[str | None, Meta("country", max_length=2, normalise=_country)]
Amount = Annotated[Any, Meta("amount", normalise=decimal_of)]
Quantity = Annotated[Any, Meta("decimal", scale=6, normalise=decimal_of)]
UnitPrice = Annotated[Any, Meta("decimal", scale=6, normalise=decimal_of, priced=True)]
Date = Annotated[str | None, Meta("date", normalise=_date)]
Instant = Annotated[str | None, Meta("instant", normalise=_instant)]
Boolean = Annotated[bool | None, Meta("boolean", normalise=_boolean)]
Integer = Annotated[int | None, Meta("integer", normalise=_integer)]
Percent = Annotated[Any, Meta("decimal", scale=6, normalise=decimal_of)]
Rate = Annotated[Any, Meta("decimal", scale=10, normalise=decimal_of)]
Choice = Meta("choice")


def states(moves: Mapping[str, tuple[str, ...]]) -> Meta:
    """Return what a field is that says how far a record has come: ``moves`` gives, for a state, those that may follow it."""
    return Meta("choice", moves=moves)


def reference(entity: str) -> Meta:
    """Return what a field is that names a golden record of ``entity`` by its id."""
    return Meta("reference", to=entity)


CustomerRef = Annotated[str | None, reference("customer")]
InvoiceRef = Annotated[str | None, reference("invoice")]
LegalEntityRef = Annotated[str | None, reference("legal_entity")]
MarketingCostRef = Annotated[str | None, reference("marketing_cost")]
OpportunityRef = Annotated[str | None, reference("opportunity")]
OrderRef = Annotated[str | None, reference("order")]
PriceListRef = Annotated[str | None, reference("price_list")]
ProductRef = Annotated[str | None, reference("product")]
QuoteRef = Annotated[str | None, reference("quote")]
SalesRepRef = Annotated[str | None, reference("sales_rep")]


class Address(BaseModel):
    """A postal address; moves as one value (an entity's policies make it a group)."""

    line1: Text255 = Field(None, description="street and number")
    line2: Text255 = Field(None, description="what else the street line needs")
    city: Text80 = Field(None, description="town")
    region: Text80 = Field(None, description="state or province: its ISO 3166-2 part, or the text as typed")
    postal_code: Text20 = Field(None, description="postal code, as written in the country")
    country_code: Country = Field(None, description="ISO 3166-1 alpha-2")
