"""Who trades: customers, leads, contacts; the sales representatives and legal entities on our side."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from erpcrm_bridge.model.fields import CanonicalModel, Finance, Line
from erpcrm_bridge.model.kinds import (
    Address,
    Amount,
    Boolean,
    Choice,
    Currency,
    CustomerRef,
    Email,
    LegalEntityRef,
    Phone,
    SalesRepRef,
    TaxId,
    Text40,
    Text80,
    Text255,
    Website,
    states,
)


class AddressLine(Address, Line):
    """A further address of a customer."""

    label: Text80 = Field(None, description="name by which people pick it")


class Customer(CanonicalModel):
    """A company or person that buys."""

    name: Text255 = Field(None, description="name as it stands on documents")
    number: Text40 = Field(None, description="customer number, as it stands on documents")
    kind: Annotated[Literal["customer", "prospect", "partner", "other"] | None, Choice] = Field(None, description="commercial standing")
    is_company: Boolean = Field(None, description="false for a private person")
    status: Annotated[Literal["active", "inactive", "archived"] | None, Choice] = Field(
        None, description="archived: kept, and shown as inactive where a system has no such state"
    )
    tax_id: TaxId = Field(None, description="VAT or tax number, upper case, letters and digits only")
    registration_number: TaxId = Field(
        None, description="number in the company register or at the national tax office (HRB, SIRET, EIN), in the form of `tax_id`"
    )
    email: Email = Field(None, description="general address, lower case")
    phone: Phone = Field(None, description="RFC 3966 (tel:+49-30-1234567;ext=12), or the text as typed where it is no number")
    website: Website = Field(None, description="address of the web site, lower case")
    billing: Address = Field(default_factory=Address, description="where invoices go")
    shipping: Address = Field(default_factory=Address, description="where goods go")
    addresses: list[AddressLine] = Field(default_factory=list, description="further addresses, beside `billing` and `shipping`")
    currency: Currency = Field(None, description="in which it is billed, ISO 4217")
    price_list: Text80 = Field(None, description="name of the price list it buys by")
    payment_terms: Text80 = Field(None, description="name of the payment term")
    credit_limit: Annotated[Amount, Finance("credit")] = Field(None, description="amount in `currency`")
    legal_entity: Text80 = Field(None, description="name of the legal entity that sells to it")
    parent: CustomerRef = Field(None, description="the customer this one belongs to")
    owner: SalesRepRef = Field(None, description="who looks after it")


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


class Lead(CanonicalModel):
    """A person or company that may become a customer."""

    company: Text255 = Field(None, description="name of the company; empty for a private person")
    first_name: Text80 = Field(None, description="given name")
    last_name: Text80 = Field(None, description="family name")
    title: Text255 = Field(None, description="job title")
    email: Email = Field(None, description="address, lower case")
    phone: Phone = Field(None, description="RFC 3966, or the text as typed where it is no number")
    website: Website = Field(None, description="address of the web site, lower case")
    source: Annotated[Text80, Finance("customer value")] = Field(None, description="how the lead came, as the CRM names it")
    state: Annotated[
        Literal["new", "working", "converted", "lost"] | None,
        states({"new": ("working", "converted", "lost"), "working": ("converted", "lost"), "lost": ("working",)}),
    ] = Field(None, description="how far it has come; converted: it is the customer in `customer` now")
    customer: Annotated[CustomerRef, Finance("customer value")] = Field(None, description="what it became")
    owner: SalesRepRef = Field(None, description="who works on it")


class SalesRep(CanonicalModel):
    """A person of ours who sells, and whom commissions are paid to."""

    name: Text255 = Field(None, description="full name")
    number: Text40 = Field(None, description="personnel number")
    email: Email = Field(None, description="address at work, lower case: by it the CRM's user and the ERP's employee are one")
    status: Annotated[Literal["active", "inactive", "archived"] | None, Choice] = Field(None, description="inactive: has left")
    manager: Annotated[SalesRepRef, Finance("commissions")] = Field(None, description="who leads them; an override goes up this line")
    team: Annotated[Text80, Finance("commissions")] = Field(None, description="team or territory whose sales count together")
    commission_plan: Annotated[Text80, Finance("commissions")] = Field(None, description="name of the plan by which they are paid")
    currency: Currency = Field(None, description="of `quota` and of what is paid to them, ISO 4217")
    quota: Annotated[Amount, Finance("commissions")] = Field(None, description="amount to be sold in a year, in `currency`")


class LegalEntity(CanonicalModel):
    """A company of ours, in whose name documents are made (a subsidiary)."""

    name: Text80 = Field(None, description="name; other records name the legal entity by it")
    tax_id: TaxId = Field(None, description="its VAT or tax number, in the form of customer.tax_id")
    currency: Annotated[Currency, Finance("commissions", "credit", "customer value")] = Field(
        None, description="its accounting currency, ISO 4217"
    )
    address: Address = Field(default_factory=Address, description="its seat")
    parent: LegalEntityRef = Field(None, description="the legal entity this one belongs to")
    status: Annotated[Literal["active", "inactive", "archived"] | None, Choice] = Field(None, description="as customer.status")
