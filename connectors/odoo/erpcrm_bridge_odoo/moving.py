"""Moves of state fields: which calls lead from one state to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from erpcrm_bridge_odoo.reading import Source

_STEPS: Mapping[tuple[str, str], Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("sale.order", "state"): {
        ("draft", "sent"): ("action_quotation_sent",),
        ("draft", "sale"): ("action_confirm",),
        ("sent", "sale"): ("action_confirm",),
        ("draft", "cancel"): ("action_cancel",),
        ("sent", "cancel"): ("action_cancel",),
        ("sale", "cancel"): ("action_cancel",),
        ("cancel", "draft"): ("action_draft",),
    },
    ("account.move", "state"): {
        ("draft", "posted"): ("action_post",),
        ("draft", "cancel"): ("button_cancel",),
        ("posted", "draft"): ("button_draft",),
        ("posted", "cancel"): ("button_draft", "button_cancel"),
        ("cancel", "draft"): ("button_draft",),
    },
    ("account.payment", "state"): {
        ("draft", "in_process"): ("action_post",),
        ("draft", "canceled"): ("action_cancel",),
        ("in_process", "canceled"): ("action_draft", "action_cancel"),
    },
    ("crm.lead", "won_status"): {
        ("pending", "won"): ("action_set_won",),
        ("pending", "lost"): ("action_set_lost",),
        ("lost", "pending"): ("toggle_active",),
    },
}
_SAME: Mapping[tuple[str, str], str] = {("sale.order", "order_state"): "state", ("account.move", "invoice_state"): "state"}
"""Fields that tell the same states in other words."""


def carry_out(source: Source, one: int, field: str, present: str, wanted: str, context: Mapping[str, Any]) -> None:
    """Make the calls of one move. 17 answers the cancelling of a confirmed order with a wizard, unless it is told that nobody looks."""
    stream = source.shape.spec.name
    if (stream, wanted) == ("sale.order", "invoiced"):
        _invoice(source, one, context)
        return
    steps = _STEPS[stream, _SAME.get((stream, field), field)][present, wanted]
    for method in steps:
        if method == "toggle_active" and source.server.version >= 19:
            method = "action_unarchive"  # noqa: PLW2901 - 19's name for it
        source.server.call(source.model, method, [one], lane="write", again=False, context={**context, "disable_cancel_warning": True})


def _invoice(source: Source, one: int, context: Mapping[str, Any]) -> None:
    """Make the invoice of what was ordered or delivered, and post it, as Odoo's own wizard does."""
    wizard, server = "sale.advance.payment.inv", source.server
    at = {**context, "active_model": "sale.order", "active_ids": [one], "active_id": one}
    made = server.call(wizard, "create", lane="write", again=False, context=at, vals_list=[{"advance_payment_method": "delivered"}])
    server.call(wizard, "create_invoices", made if isinstance(made, list) else [made], lane="write", again=False, context=at)
    order = server.call("sale.order", "read", [one], fields=["invoice_ids"])[0]
    drafts = server.call("account.move", "search", domain=[["id", "in", order["invoice_ids"]], ["state", "=", "draft"]])
    if drafts:
        server.call("account.move", "action_post", drafts, lane="write", again=False, context=context)
