"""The canonical entities by name: the hub that every mapping translates to and from.

One model an entity, in a file for each family; each field is documented there with its unit, and `docs/reference/model.md` is made of them.

What people enter again and again (units, payment terms, tax codes, price lists, legal entities, locations, products on lines) is named by
its code, as `code{of}` translates it; records that have a life of their own are references, which golden holds as golden ids.
"""

from __future__ import annotations

from functools import cache

from erpcrm_bridge.model.catalogue import Price, PriceList, Product, Stock, Unit
from erpcrm_bridge.model.documents import CreditNote, Invoice, Opportunity, Order, Payment, Quote, Shipment
from erpcrm_bridge.model.fields import CanonicalModel, EntitySpec, fields_of, lists_of
from erpcrm_bridge.model.ledger import Commission, CreditStatus, ExchangeRate, MarketingCost, PaymentTerm, TaxCode
from erpcrm_bridge.model.parties import Contact, Customer, Lead, LegalEntity, SalesRep

MODELS: dict[str, type[CanonicalModel]] = {
    "customer": Customer,
    "contact": Contact,
    "lead": Lead,
    "sales_rep": SalesRep,
    "legal_entity": LegalEntity,
    "product": Product,
    "unit": Unit,
    "price_list": PriceList,
    "price": Price,
    "stock": Stock,
    "opportunity": Opportunity,
    "quote": Quote,
    "order": Order,
    "shipment": Shipment,
    "invoice": Invoice,
    "credit_note": CreditNote,
    "payment": Payment,
    "credit_status": CreditStatus,
    "commission": Commission,
    "tax_code": TaxCode,
    "payment_term": PaymentTerm,
    "exchange_rate": ExchangeRate,
    "marketing_cost": MarketingCost,
}
MONEY_DOCUMENTS = frozenset({"order", "invoice", "credit_note", "payment", "commission"})


@cache
def entity_spec(name: str) -> EntitySpec:
    """Return what is known of the entity ``name``; KeyError where there is none."""
    model = MODELS[name]
    return EntitySpec(name, (model.__doc__ or "").strip(), name in MONEY_DOCUMENTS, fields_of(model), lists_of(model))
