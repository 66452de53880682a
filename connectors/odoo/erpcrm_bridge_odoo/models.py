"""What is known of Odoo's models beside what ``fields_get`` tells: their names over the versions, their children, their states."""

from __future__ import annotations

from collections.abc import Mapping

STREAMS = (
    "account.move",
    "account.move.line",
    "account.partial.reconcile",
    "account.payment",
    "account.payment.term",
    "account.tax",
    "crm.lead",
    "product.pricelist",
    "product.pricelist.break",
    "product.pricelist.item",
    "product.product",
    "res.company",
    "res.currency.rate",
    "res.partner",
    "res.partner.address",
    "res.partner.credit",
    "res.users",
    "sale.order",
    "sale.order.line",
    "stock.level",
    "stock.location",
    "stock.move",
    "stock.picking",
    "stock.quant",
    "uom.uom",
    "utm.campaign",
)
"""The streams described where the settings name none; those of modules that are not installed are left out."""

OCA_COMMISSIONS = (
    "commission",
    "commission.settlement",
    "commission.settlement.line",
    "sale.order.line.agent",
    "account.invoice.line.agent",
)
"""Of the OCA's commission modules (17: commission, account_commission, sale_commission; 18 and 19: the same with _oca)."""

RENAMED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "sale.order.line": {"tax_ids": ("tax_id",), "product_uom_id": ("product_uom",)},
    "res.users": {"group_ids": ("groups_id",)},
    "account.payment": {"memo": ("ref",)},
    "res.partner": {"commission_agent_ids": ("agent_ids",)},
}
"""19's names, which are this connector's, and what 17 calls the same; 18 has 19's of a payment's memo (observed on all three)."""

LIST_FIELD: Mapping[tuple[str, str], str] = {("account.move", "account.move.line"): "invoice_line_ids"}
"""The field through which a document's rows are written, where several would do."""

Moves = Mapping[str, Mapping[str, tuple[str, ...]]]

MOVES: Mapping[str, Moves] = {
    "sale.order": {
        "state": {"draft": ("sent", "sale", "cancel"), "sent": ("sale", "cancel"), "sale": ("cancel",), "cancel": ("draft",)},
        "order_state": {"draft": ("sale", "cancel"), "sent": ("sale", "cancel"), "sale": ("cancel", "invoiced")},
    },
    "account.move": {
        "state": {"draft": ("posted", "cancel"), "posted": ("draft", "cancel"), "cancel": ("draft",)},
        "invoice_state": {"draft": ("posted", "cancel"), "posted": ("cancel",)},
    },
    "account.payment": {"state": {"draft": ("in_process", "canceled"), "in_process": ("canceled",)}},
    "crm.lead": {"won_status": {"pending": ("won", "lost"), "lost": ("pending",)}},
}
"""For each state field, the moves that Odoo has calls for."""

_PRICED = ("product_id", "product_uom_id", "product_uom_qty")
KEPT: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sale.order.line": (_PRICED, ("price_unit", "discount")),
    "account.move.line": (("product_id", "product_uom_id"), ("price_unit", "discount")),
}
"""Where one of the first is written, Odoo works the second out anew from its price lists (observed on 17 and 19): they are written along as
they stand, so that a write touches only what it names."""

CREATABLE: Mapping[str, tuple[str, ...]] = {"account.move": ("move_type",), "res.currency.rate": ("currency_id",)}
"""Fields that ``fields_get`` tells as readonly, and that a create names all the same (observed)."""

WORKED_OUT: Mapping[str, tuple[str, ...]] = {
    "sale.order": ("partner_id", "partner_invoice_id", "partner_shipping_id", "warehouse_id"),
    "account.move": ("partner_id", "date", "journal_id", "currency_id"),
    "account.payment": ("move_id", "date", "journal_id", "company_id"),
    "product.product": ("product_tmpl_id", "uom_po_id"),
    "utm.campaign": ("name",),
}
"""Required columns that Odoo, or a derived field of ours, fills on a create, and for which ``default_get`` has no value (observed)."""

POSTED_KEEPS: Mapping[str, tuple[str, ...]] = {
    "account.move": (
        "invoice_line_ids",
        "line_ids",
        "invoice_date",
        "date",
        "partner_id",
        "invoice_payment_term_id",
        "currency_id",
        "fiscal_position_id",
        "invoice_cash_rounding_id",
    ),
}
"""What a posted document keeps. 19 refuses it; 17 lets its rows be edited through the API, and its books are wrong then (observed)."""

CLOSED_KEEPS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "crm.lead": ("won_status", ("won", "lost"), ("probability", "stage_id"))
}
"""For a state, the values of a closed record and what it keeps in them: Odoo works the state out of these, and would open it again."""

READ_THROUGH: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "product.product": dict.fromkeys(
        ("qty_available", "free_qty", "virtual_available", "incoming_qty", "outgoing_qty"), ("stock_quant_ids", "stock_move_ids")
    ),
    "res.partner": dict.fromkeys(("credit", "debit", "total_invoiced", "credit_to_invoice"), ("invoice_ids",)),
    "account.payment": dict.fromkeys(("is_reconciled", "is_matched", "state"), ("move_id",)),
}
"""Fields whose change does not move the record's own stamp: the fields through whose records' stamps it shows."""

PARTNER = "res.partner"
"""Merged partners: the records that named the loser are re-pointed in SQL and keep their stamps; the winner's moves."""
