"""What is sold, at which price, and where it lies."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from erpcrm_bridge.model.fields import CanonicalModel, Finance, Line
from erpcrm_bridge.model.kinds import (
    Boolean,
    Choice,
    Currency,
    Date,
    LongText,
    PriceListRef,
    ProductRef,
    Quantity,
    Rate,
    Text20,
    Text40,
    Text80,
    Text255,
    UnitPrice,
)


class Product(CanonicalModel):
    """An article or service that is sold."""

    code: Text80 = Field(None, description="article number; the lines of documents name the product by it")
    name: Text255 = Field(None, description="what people call it")
    description: LongText = Field(None, description="what stands on documents below the name")
    kind: Annotated[Literal["goods", "service", "kit", "other"] | None, Choice] = Field(
        None, description="goods lie in stock; a kit is sold as one and made of others"
    )
    family: Annotated[Text80, Finance("commissions", "rebates")] = Field(None, description="product group, by which rates differ")
    unit: Text20 = Field(None, description="code of the unit in which quantities of it are counted")
    tax_code: Text40 = Field(None, description="code of the tax code it is sold under, unless a line says otherwise")
    currency: Currency = Field(None, description="currency of `cost`, ISO 4217")
    cost: Annotated[UnitPrice, Finance("commissions", "customer value")] = Field(
        None, description="what one `unit` costs us, in `currency`; up to 6 decimals"
    )
    status: Annotated[Literal["active", "inactive", "archived"] | None, Choice] = Field(None, description="inactive: not sold any more")


class Unit(CanonicalModel):
    """A unit of measure. Units of one `category` convert into one another."""

    code: Annotated[Text20, Finance("rebates")] = Field(None, description="short name; products and lines name the unit by it")
    category: Annotated[Text80, Finance("rebates")] = Field(None, description="what it measures (weight, length, count)")
    factor: Annotated[Rate, Finance("rebates")] = Field(
        None, description="how many of its category's base unit make one; the base unit has 1; up to 10 decimals"
    )


class PriceList(CanonicalModel):
    """A set of prices for some customers (price book, price level)."""

    name: Text80 = Field(None, description="name; customers name the price list by it")
    is_standard: Boolean = Field(
        None, description="true for the one that holds where no other does; a CRM wants its price before any other"
    )
    status: Annotated[Literal["active", "inactive", "archived"] | None, Choice] = Field(None, description="as customer.status")


class PriceBreak(Line):
    """The price from a quantity on."""

    min_quantity: Quantity = Field(None, description="the least quantity it holds for, in the product's unit; up to 6 decimals")
    unit_price: UnitPrice = Field(None, description="price of one, in the price's currency; up to 6 decimals")


class Price(CanonicalModel):
    """What a product costs in a price list, in one currency."""

    price_list: PriceListRef = Field(None, description="in which list")
    product: ProductRef = Field(None, description="of what")
    currency: Currency = Field(None, description="of all its prices, ISO 4217")
    unit_price: UnitPrice = Field(None, description="price of one unit below the first break; up to 6 decimals")
    breaks: list[PriceBreak] = Field(default_factory=list, description="lower prices for larger quantities")
    status: Annotated[Literal["active", "inactive", "archived"] | None, Choice] = Field(None, description="inactive: not quoted any more")


class Stock(CanonicalModel):
    """How much of a product lies at a location, and when more comes. Quantities are in the product's unit, up to 6 decimals."""

    product: ProductRef = Field(None, description="what lies there")
    location: Text80 = Field(None, description="name of the warehouse or shop")
    on_hand: Quantity = Field(None, description="what is there")
    available: Quantity = Field(None, description="what is there and promised to nobody")
    next_quantity: Quantity = Field(None, description="what comes next; empty where nothing is on its way")
    next_date: Date = Field(None, description="day on which it is to come")
