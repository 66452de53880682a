"""Applications of payments to invoices: rows that are reconciled, not written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from erpcrm_bridge.model.values import Fields
from erpcrm_bridge_odoo.rpc import Server
from erpcrm_bridge_odoo.streams import Refused

_OPEN = ["move_id", "amount_residual_currency", "account_id"]
_RECEIVABLE = ["account_id.account_type", "=", "asset_receivable"]


def post(server: Server, payment: int, context: Mapping[str, Any]) -> None:
    """Post a payment that is a draft: only what is in the books can be applied."""
    if server.call("account.payment", "read", [payment], fields=["state"])[0]["state"] == "draft":
        server.call("account.payment", "action_post", [payment], lane="write", again=False, context=context)


def apply(server: Server, payment: int, rows: Sequence[Fields], context: Mapping[str, Any]) -> None:
    """Reconcile a payment with invoices. Odoo applies as much as both sides leave open: an amount that is another is Refused.

    Raises Refused, Fault, AnswerLost.
    """
    for row in rows:
        invoice = int(row["invoice_id"])
        ours = _open_line(server, [["payment_id", "=", payment]])
        theirs = _open_line(server, [["move_id", "=", invoice], ["account_id", "=", ours["account_id"]]])
        would = min(abs(ours["amount_residual_currency"]), abs(theirs["amount_residual_currency"]))
        if Decimal(str(would)) != Decimal(str(row["amount"])):
            raise Refused("record", f"Odoo would apply {would} of the payment to this invoice, and {row['amount']} is asked")
        server.call("account.move", "js_assign_outstanding_line", [invoice], lane="write", again=False, context=context, line_id=ours["id"])


def _open_line(server: Server, domain: list[Any]) -> Mapping[str, Any]:
    rows = server.call(
        "account.move.line",
        "search_read",
        domain=[*domain, _RECEIVABLE, ["reconciled", "=", False], ["parent_state", "=", "posted"]],
        fields=_OPEN,
        order="id",
        load="",
    )
    if len(rows) != 1:
        raise Refused("record", f"{len(rows)} posted and open entries would fit where one payment is applied to one invoice")
    found: Mapping[str, Any] = rows[0]
    return found


def take_back(server: Server, partials: Sequence[str], context: Mapping[str, Any]) -> None:
    """Undo applications by their keys."""
    ids = [int(key) for key in partials]
    rows = server.call("account.partial.reconcile", "read", ids, fields=["debit_move_id"], load="")
    lines = {row["id"]: row["debit_move_id"] for row in rows}
    moves = server.call("account.move.line", "read", sorted(set(lines.values())), fields=["move_id"], load="")
    invoice = {row["id"]: row["move_id"] for row in moves}
    for one, line in lines.items():
        server.call(
            "account.move",
            "js_remove_outstanding_partial",
            [invoice[line]],
            lane="write",
            again=False,
            context=context,
            partial_id=one,
        )
