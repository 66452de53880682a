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
    "crm.stage",
    "crm.team",
    "product.category",
    "product.pricelist",
    "product.pricelist.item",
    "product.product",
    "product.template",
    "res.company",
    "res.currency.rate",
    "res.partner",
    "res.users",
    "sale.order",
    "sale.order.line",
    "stock.location",
    "stock.picking",
    "stock.move",
    "stock.quant",
    "uom.uom",
)
"""The models described where the settings name none; those of modules that are not installed are left out."""

OCA_COMMISSIONS = (
    "commission",
    "commission.settlement",
    "commission.settlement.line",
    "sale.order.line.agent",
    "account.invoice.line.agent",
)
"""Of the OCA's commission modules (17: commission, account_commission, sale_commission; 19: the same with _oca)."""

RENAMED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "sale.order.line": {"tax_ids": ("tax_id",), "product_uom_id": ("product_uom",)},
    "res.users": {"group_ids": ("groups_id",)},
    "account.payment": {"memo": ("ref",)},
    "res.partner": {"commission_agent_ids": ("agent_ids",)},
}
"""19's names, which are this connector's, and what earlier versions call the same. Observed on 17 and 19 (protocol, 5.1)."""

CHILD_ROWS: Mapping[str, list[list[object]]] = {
    "sale.order.line": [["display_type", "=", False]],
    "account.move.line": [["display_type", "=", "product"]],
}
"""Which records of a child stream are rows of its document: not headings and notes, nor the tax and payment lines that Odoo keeps."""

LIST_FIELD: Mapping[tuple[str, str], str] = {("account.move", "account.move.line"): "invoice_line_ids"}
"""The field through which a document's rows are written, where several would do."""

Moves = Mapping[str, Mapping[str, tuple[str, ...]]]

MOVES: Mapping[str, Moves] = {
    "sale.order": {
        "state": {"draft": ("sent", "sale", "cancel"), "sent": ("sale", "cancel"), "sale": ("cancel",), "cancel": ("draft",)},
    },
    "account.move": {
        "state": {"draft": ("posted", "cancel"), "posted": ("draft", "cancel"), "cancel": ("draft",)},
    },
    "account.payment": {
        "state": {
            "draft": ("in_process", "canceled"),
            "in_process": ("draft", "canceled"),
            "paid": ("draft",),
            "canceled": ("draft",),
        },
    },
}
"""For each state field, the moves that Odoo has calls for."""

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
