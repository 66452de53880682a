"""What finance counts with: credit status, commissions, tax codes, payment terms, exchange rates, marketing costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from erpcrm_bridge.model.fields import CanonicalModel, Finance, Line
from erpcrm_bridge.model.kinds import (
    Amount,
    Boolean,
    Choice,
    Country,
    Currency,
    CustomerRef,
    Date,
    Integer,
    Percent,
    Rate,
    SalesRepRef,
    Text40,
    Text80,
    Text255,
    states,
)


class CreditStatus(CanonicalModel):
    """What a customer owes and may still owe: one record a customer, as the ERP counts it. Amounts are in `currency`."""

    customer: CustomerRef = Field(None, description="whose")
    as_of: Annotated[Date, Finance("credit")] = Field(None, description="day on which it was counted")
    currency: Currency = Field(None, description="ISO 4217")
    credit_limit: Annotated[Amount, Finance("credit")] = Field(None, description="what may be owed at most; empty: no limit")
    balance: Annotated[Amount, Finance("credit")] = Field(None, description="what is billed and not paid")
    unbilled_amount: Annotated[Amount, Finance("credit")] = Field(None, description="what is ordered and not billed")
    overdue_amount: Annotated[Amount, Finance("credit")] = Field(None, description="what of the balance should have been paid")
    days_overdue: Annotated[Integer, Finance("credit")] = Field(None, description="days since the oldest of it was due")
    on_hold: Annotated[Boolean, Finance("credit")] = Field(None, description="true: nothing is delivered until somebody releases it")


class CommissionLine(Line):
    """What one document brings a sales representative."""

    position: Integer = Field(None, description="place in the statement, from 1")
    document: Text40 = Field(None, description="number of the invoice, credit note or order it is for")
    description: Text255 = Field(None, description="the rule by which it was counted")
    base_amount: Amount = Field(None, description="what the rate is of, in the statement's currency")
    rate: Percent = Field(None, description="in per cent (2.5 is 2.5 %); up to 6 decimals")
    amount: Amount = Field(None, description="what is paid for it, in the statement's currency; negative for what is taken back")


class Commission(CanonicalModel):
    """What a sales representative is paid for a period. A money document: never deleted by a sync."""

    sales_rep: Annotated[SalesRepRef, Finance("commissions")] = Field(None, description="who is paid")
    number: Text40 = Field(None, description="the statement's number")
    plan: Annotated[Text80, Finance("commissions")] = Field(None, description="name of the plan by which it was counted")
    period_start: Annotated[Date, Finance("commissions")] = Field(None, description="first day it counts")
    period_end: Annotated[Date, Finance("commissions")] = Field(None, description="last day it counts")
    state: Annotated[
        Literal["draft", "approved", "paid", "rejected"] | None,
        states({"draft": ("approved", "rejected"), "approved": ("paid", "rejected"), "rejected": ("draft",)}),
        Finance("commissions"),
    ] = Field(None, description="how far it has come; what is approved is not counted anew")
    currency: Currency = Field(None, description="ISO 4217")
    total: Annotated[Amount, Finance("commissions", "customer value")] = Field(None, description="sum of the lines, in `currency`")
    lines: list[CommissionLine] = Field(default_factory=list, description="what it is made of")


class TaxCode(CanonicalModel):
    """A rate of tax and where it holds."""

    code: Text40 = Field(None, description="short name; products and lines name the tax code by it")
    name: Text80 = Field(None, description="name in full")
    rate: Percent = Field(None, description="in per cent (19 is 19 %); up to 6 decimals")
    country_code: Country = Field(None, description="where it holds, ISO 3166-1 alpha-2")
    status: Annotated[Literal["active", "inactive", "archived"] | None, Choice] = Field(None, description="as customer.status")


class PaymentTerm(CanonicalModel):
    """When an invoice is to be paid."""

    name: Text80 = Field(None, description="name; customers and documents name the payment term by it")
    due_days: Annotated[Integer, Finance("credit")] = Field(None, description="days from the invoice to the day it is due")
    discount_days: Integer = Field(None, description="days within which the discount may be taken; empty: there is none")
    discount: Annotated[Percent, Finance("customer value")] = Field(
        None, description="discount for paying so early, in per cent (2 is 2 %); up to 6 decimals"
    )
    status: Annotated[Literal["active", "inactive", "archived"] | None, Choice] = Field(None, description="as customer.status")


class ExchangeRate(CanonicalModel):
    """What one unit of a foreign currency was worth from a day on."""

    from_currency: Annotated[Currency, Finance("commissions", "rebates", "credit", "customer value")] = Field(
        None, description="the foreign currency, ISO 4217"
    )
    to_currency: Annotated[Currency, Finance("commissions", "rebates", "credit", "customer value")] = Field(
        None, description="the currency it is worth something in (a legal entity's), ISO 4217"
    )
    valid_from: Annotated[Date, Finance("commissions", "rebates", "credit", "customer value")] = Field(
        None, description="first day on which it holds; it holds until the next one"
    )
    rate: Annotated[Rate, Finance("commissions", "rebates", "credit", "customer value")] = Field(
        None, description="units of `to_currency` for one of `from_currency`; up to 10 decimals"
    )


class MarketingCost(CanonicalModel):
    """A campaign and what it costs."""

    name: Text255 = Field(None, description="name of the campaign")
    channel: Annotated[Text80, Finance("customer value")] = Field(None, description="by which way it reaches people, as the CRM names it")
    start_date: Annotated[Date, Finance("customer value")] = Field(None, description="first day")
    end_date: Annotated[Date, Finance("customer value")] = Field(None, description="last day")
    currency: Currency = Field(None, description="ISO 4217")
    budget: Amount = Field(None, description="what it may cost, in `currency`")
    amount: Annotated[Amount, Finance("customer value")] = Field(None, description="what it has cost so far, in `currency`")
