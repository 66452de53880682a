"""Rows that stand apart from their documents: payments are applied to invoices by reconciling, breaks of a price are prices themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct

from erpcrm_bridge.model.values import Fields
from erpcrm_bridge_odoo.rpc import Server
from erpcrm_bridge_odoo.streams import Batch, Refused


class News(Struct, frozen=True):
    """What is to become of the rows of one document: ``new`` ones with their names in the table of external ids (None: it has no
    reference), ``changed`` fields by key, and keys that are ``gone``."""

    document: int
    new: Sequence[tuple[str | None, Fields]]
    changed: Mapping[str, Fields]
    gone: Sequence[str]


def payments(server: Server, news: News, context: Mapping[str, Any]) -> None:
    """Apply a payment to invoices, and take applications back. Raises Refused, Fault, AnswerLost."""
    if news.changed:
        raise Refused("record", "what was applied is taken back and applied anew, not changed")
    if news.gone:
        take_back(server, news.gone, context)
    if news.new:
        post(server, news.document, context)
        apply(server, news.document, [fields for _, fields in news.new], context)


def payable(batch: Batch, rows: Iterable[Fields]) -> None:
    """Raises Refused where a payment is applied to an invoice that is not in the books: nothing can be written yet."""
    invoices = [int(row["invoice_id"]) for row in rows if row.get("invoice_id")]
    states = batch.of("account.move", invoices, ("state",))
    for one in invoices:
        if one in states and states[one]["state"] != "posted":
            raise Refused("reference", f"invoice {one} is {states[one]['state']} in Odoo: what pays it can be applied once it is posted")


def breaks(server: Server, news: News, context: Mapping[str, Any]) -> None:
    """Write the breaks of a price: prices of the same product in the same list, from another quantity on."""
    model = "product.pricelist.item"
    if news.gone:
        server.call(model, "unlink", [int(key) for key in news.gone], lane="write", again=False, context=context)
    for key, fields in news.changed.items():
        server.call(model, "write", [int(key)], lane="write", again=False, context=context, vals=_break(fields))
    if not news.new:
        return
    names = ("pricelist_id", "product_id", "product_tmpl_id", "applied_on")
    head = server.call(model, "read", [news.document], fields=list(names), load="")[0]
    at = {f"{name}/.id": str(head[name]) for name in names[:3] if head[name]}
    for name, fields in news.new:
        row = {**at, "applied_on": head["applied_on"], "compute_price": "fixed"}
        row |= {field: str(value) for field, value in _break(fields).items()} | ({"id": name} if name else {})
        answer = server.call(model, "load", lane="write", again=False, context=context, fields=list(row), data=[list(row.values())])
        if not answer["ids"]:
            raise Refused("record", "; ".join(str(message["message"]) for message in answer["messages"]))


def _break(fields: Fields) -> dict[str, Any]:
    """Raises Refused for what is no break."""
    if fields.get("min_quantity") is not None and Decimal(str(fields["min_quantity"])) <= 1:
        raise Refused("field", "a break begins above one piece")
    return {name: fields[name] or 0 for name in ("min_quantity", "fixed_price") if name in fields}


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
