"""From the first talk to the goods and the money: opportunity, quote, order, shipment, invoice, credit note, payment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from erpcrm_bridge.model.fields import CanonicalModel, Finance, Line
from erpcrm_bridge.model.kinds import (
    Address,
    Amount,
    Choice,
    Currency,
    CustomerRef,
    Date,
    Integer,
    InvoiceRef,
    MarketingCostRef,
    OpportunityRef,
    OrderRef,
    Percent,
    Quantity,
    QuoteRef,
    SalesRepRef,
    Text20,
    Text40,
    Text80,
    Text255,
    UnitPrice,
    states,
)


class DocumentLine(Line):
    """A line of a document. Discounts, shipping, taxes and rounding are lines of their own, so that the sum is exact."""

    position: Integer = Field(None, description="place in the document, from 1")
    kind: Annotated[
        Literal["item", "discount", "shipping", "tax", "rounding"] | None, Choice, Finance("commissions", "rebates", "customer value")
    ] = Field(None, description="what the line is for; empty: item. Commissions and rebates count items less discounts")
    product: Text80 = Field(None, description="product code")
    description: Text255 = Field(None, description="what the line says")
    quantity: Quantity = Field(None, description="in `unit`; up to 6 decimals")
    unit: Text20 = Field(None, description="code of the unit; empty: the product's")
    unit_price: UnitPrice = Field(None, description="price of one, in the document's currency; up to 6 decimals")
    amount: Amount = Field(None, description="amount of the line in the document's currency")
    tax_code: Text40 = Field(None, description="code of the tax code it is sold under")
    unit_cost: Annotated[UnitPrice, Finance("commissions", "customer value")] = Field(
        None, description="what one cost us when it was sold, in the document's currency; up to 6 decimals"
    )
    delivery_date: Date = Field(None, description="day by which it is promised")


class Opportunity(CanonicalModel):
    """A deal that may come."""

    customer: CustomerRef = Field(None, description="who may buy")
    name: Text255 = Field(None, description="what the deal is about")
    state: Annotated[Literal["open", "won", "lost"] | None, states({"open": ("won", "lost"), "won": ("open",), "lost": ("open",)})] = Field(
        None, description="how it stands"
    )
    stage: Text80 = Field(None, description="step of the sales process, as the CRM names it")
    probability: Percent = Field(None, description="likelihood of winning, in per cent (75 is 75 %); up to 6 decimals")
    close_date: Date = Field(None, description="day on which it is, or was, decided")
    currency: Currency = Field(None, description="ISO 4217")
    amount: Amount = Field(None, description="what it may bring, without taxes, in `currency`")
    campaign: Annotated[MarketingCostRef, Finance("customer value")] = Field(None, description="the campaign that brought it")
    owner: Annotated[SalesRepRef, Finance("commissions")] = Field(None, description="who works on it")


class Quote(CanonicalModel):
    """What was offered to a customer, at which prices, until when."""

    customer: CustomerRef = Field(None, description="to whom it is offered")
    opportunity: OpportunityRef = Field(None, description="the deal it is for")
    number: Text40 = Field(None, description="the quote's number as the customer sees it")
    quote_date: Date = Field(None, description="day of the quote")
    valid_until: Date = Field(None, description="last day on which it holds")
    state: Annotated[
        Literal["draft", "sent", "accepted", "rejected", "expired"] | None,
        states({"draft": ("sent", "rejected"), "sent": ("accepted", "rejected", "expired"), "expired": ("sent",)}),
    ] = Field(None, description="how it stands")
    sales_rep: SalesRepRef = Field(None, description="who offers it")
    payment_terms: Text80 = Field(None, description="name of the payment term")
    currency: Currency = Field(None, description="ISO 4217")
    total: Amount = Field(None, description="sum of the lines, in `currency`")
    lines: list[DocumentLine] = Field(default_factory=list, description="what is offered")


class Order(CanonicalModel):
    """What a customer ordered. A money document: never deleted by a sync."""

    customer: CustomerRef = Field(None, description="who ordered")
    quote: QuoteRef = Field(None, description="the quote that was accepted")
    number: Text40 = Field(None, description="the order's number as the customer sees it")
    po_number: Text40 = Field(None, description="the customer's own reference")
    order_date: Date = Field(None, description="day of the order")
    requested_date: Date = Field(None, description="day on which the customer wants it")
    state: Annotated[
        Literal["draft", "confirmed", "invoiced", "cancelled"] | None,
        states({"draft": ("confirmed", "cancelled"), "confirmed": ("invoiced", "cancelled")}),
    ] = Field(None, description="moved by calls, not by field writes")
    sales_rep: Annotated[SalesRepRef, Finance("commissions")] = Field(None, description="who sold it")
    payment_terms: Text80 = Field(None, description="name of the payment term")
    legal_entity: Text80 = Field(None, description="name of the legal entity that sells")
    shipping: Address = Field(default_factory=Address, description="where the goods go")
    currency: Currency = Field(None, description="ISO 4217")
    total: Amount = Field(None, description="sum of the lines, in `currency`")
    lines: list[DocumentLine] = Field(default_factory=list, description="what was ordered")


class ShipmentLine(Line):
    """What of one product was sent."""

    position: Integer = Field(None, description="place in the document, from 1")
    product: Text80 = Field(None, description="product code")
    description: Text255 = Field(None, description="what the line says")
    quantity: Quantity = Field(None, description="in the product's unit; up to 6 decimals")


class Shipment(CanonicalModel):
    """What was sent to a customer, for one order."""

    order: OrderRef = Field(None, description="what it delivers")
    number: Text40 = Field(None, description="number of the delivery note")
    ship_date: Date = Field(None, description="day on which it leaves")
    state: Annotated[
        Literal["planned", "packed", "shipped", "delivered", "cancelled"] | None,
        states({"planned": ("packed", "shipped", "cancelled"), "packed": ("shipped", "cancelled"), "shipped": ("delivered",)}),
    ] = Field(None, description="how far it has come")
    location: Text80 = Field(None, description="name of the warehouse it leaves from")
    carrier: Text80 = Field(None, description="who carries it")
    tracking_number: Text80 = Field(None, description="number by which the carrier tells where it is")
    lines: list[ShipmentLine] = Field(default_factory=list, description="what is sent")


class Invoice(CanonicalModel):
    """What a customer owes. A money document: never deleted by a sync."""

    customer: CustomerRef = Field(None, description="who owes")
    order: OrderRef = Field(None, description="what it bills")
    number: Text40 = Field(None, description="the invoice's number")
    invoice_date: Annotated[Date, Finance("commissions", "rebates", "customer value")] = Field(None, description="day of the invoice")
    due_date: Annotated[Date, Finance("credit")] = Field(None, description="day by which it is to be paid")
    state: Annotated[
        Literal["draft", "open", "paid", "cancelled"] | None,
        states({"draft": ("open", "cancelled"), "open": ("paid", "cancelled"), "paid": ("open",)}),
    ] = Field(None, description="moved by calls, not by field writes")
    sales_rep: Annotated[SalesRepRef, Finance("commissions")] = Field(None, description="who sold it")
    payment_terms: Text80 = Field(None, description="name of the payment term")
    legal_entity: Text80 = Field(None, description="name of the legal entity that bills")
    currency: Currency = Field(None, description="ISO 4217")
    total: Annotated[Amount, Finance("credit", "customer value")] = Field(None, description="sum of the lines, in `currency`")
    open_amount: Annotated[Amount, Finance("credit", "commissions")] = Field(
        None, description="what is still to be paid, in `currency`; commissions on payment wait until it is nil"
    )
    lines: list[DocumentLine] = Field(default_factory=list, description="what is billed")


class CreditNote(CanonicalModel):
    """What is given back to a customer. Amounts are positive. A money document: never deleted by a sync."""

    customer: CustomerRef = Field(None, description="who gets it")
    invoice: Annotated[InvoiceRef, Finance("commissions")] = Field(None, description="what it takes back; its commission goes with it")
    number: Text40 = Field(None, description="the credit note's number")
    credit_date: Annotated[Date, Finance("commissions", "rebates", "customer value")] = Field(None, description="day of the credit note")
    state: Annotated[
        Literal["draft", "open", "applied", "cancelled"] | None,
        states({"draft": ("open", "cancelled"), "open": ("applied", "cancelled"), "applied": ("open",)}),
    ] = Field(None, description="applied: nothing of it is left")
    reason: Text255 = Field(None, description="why it was given")
    sales_rep: Annotated[SalesRepRef, Finance("commissions")] = Field(None, description="who sold what it takes back")
    legal_entity: Text80 = Field(None, description="name of the legal entity that gives it")
    currency: Currency = Field(None, description="ISO 4217")
    total: Annotated[Amount, Finance("credit", "customer value")] = Field(None, description="sum of the lines, in `currency`")
    open_amount: Annotated[Amount, Finance("credit")] = Field(None, description="what of it is not applied yet, in `currency`")
    lines: list[DocumentLine] = Field(default_factory=list, description="what is given back")


class Application(Line):
    """The part of a payment that pays one invoice."""

    position: Integer = Field(None, description="place in the payment, from 1")
    invoice: Annotated[InvoiceRef, Finance("commissions", "credit")] = Field(None, description="what it pays")
    amount: Annotated[Amount, Finance("commissions", "credit")] = Field(None, description="how much of it, in the payment's currency")


class Payment(CanonicalModel):
    """Money that came from a customer, and what it pays. A money document: never deleted by a sync."""

    customer: CustomerRef = Field(None, description="who paid")
    number: Text40 = Field(None, description="number of the payment")
    payment_date: Annotated[Date, Finance("commissions", "credit")] = Field(None, description="day on which the money came")
    method: Text40 = Field(None, description="how it was paid, as the ERP names it")
    bank_reference: Text80 = Field(None, description="what stands on the bank statement, or the cheque's number")
    state: Annotated[
        Literal["draft", "posted", "cancelled"] | None, states({"draft": ("posted", "cancelled"), "posted": ("cancelled",)})
    ] = Field(None, description="posted: it stands in the books")
    currency: Currency = Field(None, description="ISO 4217")
    amount: Annotated[Amount, Finance("credit", "customer value")] = Field(None, description="what came, in `currency`")
    unapplied_amount: Annotated[Amount, Finance("credit")] = Field(None, description="what of it pays nothing yet, in `currency`")
    applications: list[Application] = Field(default_factory=list, description="what it pays")
