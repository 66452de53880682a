"""Orders: what a quotation is filled up with, confirming, cancelling, and invoicing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from erpcrm_bridge_odoo.simulator import errors, orm, taxes
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.env import Env, checks, leaves, prepares, settles
from erpcrm_bridge_odoo.simulator.fields import rounded_to
from erpcrm_bridge_odoo.simulator.flows import stock
from erpcrm_bridge_odoo.simulator.flows.products import price
from erpcrm_bridge_odoo.simulator.store import Row

MONEY = {"price_unit", "discount", "product_uom_qty", "tax_id", "tax_ids", "product_id"}
NOTHING = (
    "Cannot create an invoice. No items are available to invoice.\n\nTo resolve this issue, please ensure that:\n"
    "   \u2022 The products have been delivered before attempting to invoice them.\n"
    "   \u2022 The invoicing policy of the product is configured correctly.\n\n"
    "If you want to invoice based on ordered quantities instead:\n"
    "   \u2022 For consumable or storable products, open the product, go to the 'General Information' tab and change the "
    "'Invoicing Policy' "
    "from 'Delivered Quantities' to 'Ordered Quantities'.\n"
    "   \u2022 For services (and other products), change the 'Invoicing Policy' to 'Prepaid/Fixed Price'.\n"
)
FOLLOWED = (
    "Once a sales order is confirmed, you can't remove one of its lines (we need to track if something gets invoiced or delivered).\n"
    "                Set the quantity to 0 instead."
)


BELOW_DELIVERED = (
    "The ordered quantity of a sale order line cannot be decreased below the amount already delivered. Instead, create a return in your "
    "inventory."
)


def tax_field(env: Env) -> str:
    return "tax_ids" if env.version >= 19 else "tax_id"


def unit_field(env: Env) -> str:
    return "product_uom_id" if env.version >= 19 else "product_uom"


def address(env: Env, partner: Row, kind: str) -> int:
    """Return the partner's address of a kind: a child of that type, else the partner itself."""
    children = env.all("res.partner", parent_id=partner["id"])
    return int(next((row["id"] for row in children if row["type"] == kind and row["active"]), partner["id"]))


@prepares("sale.order")
def _prepared(env: Env, vals: Row) -> Row:
    partner = env.store.table("res.partner").rows.get(vals.get("partner_id") or 0)
    if partner is None:
        return {"name": "New", **vals}
    told: Row = {"partner_invoice_id": address(env, partner, "invoice"), "partner_shipping_id": address(env, partner, "delivery")}
    told |= {name: one for name, one in vals.items() if one is not False or name not in told}
    if not told.get("name"):
        told["name"] = f"S{env.store.table('sale.order').last_id + 1:05d}"
    if not told.get("pricelist_id"):
        found = env.model("res.partner").fields["property_product_pricelist"]
        told["pricelist_id"] = orm.value(env, found, partner)
    listed = env.store.table("product.pricelist").rows.get(told["pricelist_id"] or 0)
    if not told.get("currency_id"):
        told["currency_id"] = listed["currency_id"] if listed else env.row("res.company", env.companies[0])["currency_id"]
    told["currency_rate"] = taxes.rate(env, told["currency_id"], env.companies[0])
    if "payment_term_id" not in vals:
        told["payment_term_id"] = orm.value(env, env.model("res.partner").fields["property_payment_term_id"], partner)
    if "user_id" not in vals and partner.get("user_id"):
        told["user_id"] = partner["user_id"]
    if "fiscal_position_id" not in vals:
        told["fiscal_position_id"] = taxes.position(env, env.row("res.partner", told["partner_shipping_id"]))
    if not isinstance(told["date_order"], str):
        raise errors.builtin(TypeError, f"object of type '{type(told['date_order']).__name__}' has no len()")
    if "validity_date" not in vals:
        until = datetime.fromisoformat(str(told["date_order"])[:10]) + timedelta(days=30)
        told["validity_date"] = until.strftime("%Y-%m-%d")
    return {"amount_untaxed": 0.0, "amount_tax": 0.0, "amount_total": 0.0, "commission_total": 0.0, **told}


@prepares("sale.order.line")
def _line_prepared(env: Env, vals: Row) -> Row:
    order = env.store.table("sale.order").rows.get(vals.get("order_id") or 0)
    told = {
        "price_unit": 0.0,
        "discount": 0.0,
        "qty_delivered": 0.0,
        "qty_invoiced": 0.0,
        "qty_to_invoice": 0.0,
        "customer_lead": 0.0,
        **vals,
    }
    product = env.store.table("product.product").rows.get(vals.get("product_id") or 0)
    if order is None or product is None:
        if vals.get("product_id") and product is None:
            raise errors.missing("product.product", [vals["product_id"]], env.uid)
        if vals.get("display_type"):
            told["product_uom_qty"] = 0.0
        if not vals.get("display_type") and product is None and order is not None and env.version < 19 and vals.get("name"):
            raise errors.validation("The operation cannot be completed: Missing required fields on accountable sale order line.")
        return told
    told.setdefault("name", orm.display(env, "product.product", product["id"]))
    template = env.row("product.template", product["product_tmpl_id"])
    told.setdefault(unit_field(env), template["uom_id"])
    if tax_field(env) not in vals:
        told[tax_field(env)] = taxes.mapped(env, template["taxes_id"], order["fiscal_position_id"])
    if "price_unit" not in vals:
        quantity = orm.decimals(env, float(vals.get("product_uom_qty", 1.0) or 0.0), 2)
        told["price_unit"] = price(env, product, order["pricelist_id"], quantity, told[unit_field(env)])
    told["technical_price_unit"] = told["price_unit"]
    told |= {"currency_id": order["currency_id"], "company_id": order["company_id"], "order_partner_id": order["partner_id"]}
    return {**told, "salesman_id": order["user_id"], "state": order["state"]}


@checks("sale.order.line")
def _line_checked(env: Env, ids: list[int], vals: Row) -> None:
    for row in env.rows("sale.order.line", ids):
        order = env.row("sale.order", row["order_id"])
        if order["locked"] and MONEY & set(vals):
            raise errors.NotSimulatedError("lines of a locked order")
        if order["state"] != "sale":
            continue
        if "product_id" in vals and vals["product_id"] != row["product_id"] and row["product_id"]:
            if env.version >= 19:
                raise errors.user("You cannot modify the product of this order line.")
            if env.all("stock.move", sale_line_id=row["id"]):
                raise errors.NotSimulatedError("another product on a line that is being delivered")
        if "product_uom_qty" in vals:
            asked = orm.decimals(env, float(vals["product_uom_qty"] or 0.0), 2)
            if asked < row["product_uom_qty"] and asked < (row["qty_delivered"] or 0.0) and env.all("stock.move", sale_line_id=row["id"]):
                raise errors.user(BELOW_DELIVERED)
            env.transaction.before.setdefault(row["id"], row["product_uom_qty"])


@settles("sale.order.line")
def _line_settled(env: Env, ids: list[int], changed: set[str] | None) -> None:
    orders = dict.fromkeys(row["order_id"] for row in env.rows("sale.order.line", ids))
    for key in ids:
        if changed and {"product_id", "product_uom_qty", unit_field(env)} & changed:
            _anew(env, env.row("sale.order.line", key), changed)
        asked = env.transaction.before.pop(key, None)
        if asked is not None:
            stock.resize(env, env.row("sale.order.line", key), asked)
        amounts(env, key)
    for key in orders:
        if changed is None or MONEY & changed:
            summed(env, key)
        if changed is None and env.row("sale.order", key)["state"] == "sale":
            stock.deliver(env, key, ids)
        invoicing(env, key)


def _anew(env: Env, row: Row, changed: set[str]) -> None:
    """Work out what a line takes from its product, unit and quantity, where the write did not name it: a price that was written by hand
    goes in 17; in 19 it stays, but one that came with the line's create goes too."""
    order = env.row("sale.order", row["order_id"])
    product = env.store.table("product.product").rows.get(row["product_id"] or 0)
    if row.get("display_type") or product is None:
        return
    told: Row = {}
    template = env.row("product.template", product["product_tmpl_id"])
    unit = row[unit_field(env)]
    if "product_id" in changed:
        unit = template["uom_id"] if unit_field(env) not in changed else unit
        told |= {"name": orm.display(env, "product.product", product["id"]), unit_field(env): unit}
        told[tax_field(env)] = tuple(taxes.mapped(env, template["taxes_id"], order["fiscal_position_id"]))
    by_hand = env.version >= 19 and orm.money(env, row["technical_price_unit"] - row["price_unit"], order["currency_id"])
    if not by_hand and (row["qty_invoiced"] or 0.0) <= 0:
        found = price(env, product, order["pricelist_id"], row["product_uom_qty"], unit) if unit else 0.0
        digits = env.model("sale.order.line").fields["price_unit"].digits
        told["price_unit"] = found if digits is None else orm.decimals(env, found, digits)
        if env.version >= 19 and "price_unit" not in changed:
            told["technical_price_unit"] = told["price_unit"]
    env.set("sale.order.line", row["id"], {name: one for name, one in told.items() if name not in changed})


def amounts(env: Env, key: int) -> None:
    """Work out one line's amounts."""
    row = env.row("sale.order.line", key)
    currency = row["currency_id"] or env.row("sale.order", row["order_id"])["currency_id"]
    if row.get("display_type"):
        return
    found = taxes.line(env, row["product_uom_qty"], row["price_unit"], row["discount"], row[tax_field(env)], currency)
    unit = float(env.row("res.currency", currency)["rounding"])
    tax = found.tax if env.version >= 19 else sum(rounded_to(one, unit, env.version) for one in found.taxes.values())
    env.set("sale.order.line", key, {"price_subtotal": found.subtotal, "price_tax": tax, "price_total": found.total})


def summed(env: Env, key: int) -> None:
    """Work out an order's totals; they are stored, so the order is stamped when they move."""
    order = env.row("sale.order", key)
    rows = [row for row in env.all("sale.order.line", order_id=key) if not row.get("display_type")]
    lines = [
        taxes.line(env, row["product_uom_qty"], row["price_unit"], row["discount"], row[tax_field(env)], order["currency_id"])
        for row in rows
    ]
    found = taxes.totals(env, lines, order["currency_id"])
    total = orm.money(env, found.untaxed + found.tax, order["currency_id"])
    env.set("sale.order", key, {"amount_untaxed": found.untaxed, "amount_tax": found.tax, "amount_total": total})


def invoicing(env: Env, key: int) -> None:
    """Work out what of an order is invoiced and what is still to be."""
    order = env.row("sale.order", key)
    states = []
    for row in env.all("sale.order.line", order_id=key):
        if row.get("display_type"):
            continue
        items = [env.row("account.move.line", one) for one in row.get("invoice_lines") or ()]
        counted = [(item, env.row("account.move", item["move_id"])) for item in items]
        invoiced = sum(
            item["quantity"] if move["move_type"] == "out_invoice" else -item["quantity"]
            for item, move in counted
            if move["state"] != "cancel"
        )
        product = env.store.table("product.product").rows.get(row["product_id"] or 0)  # 19 takes rows without one
        policy = product and env.row("product.template", product["product_tmpl_id"])["invoice_policy"]
        due = (row["product_uom_qty"] if policy == "order" else row["qty_delivered"]) - invoiced if order["state"] == "sale" else 0.0
        status = "no" if order["state"] != "sale" else "to invoice" if due else "invoiced" if invoiced >= row["product_uom_qty"] else "no"
        states.append(status)
        told = {"qty_invoiced": invoiced, "qty_to_invoice": orm.decimals(env, due, 2), "invoice_status": status, "state": order["state"]}
        env.set("sale.order.line", row["id"], told)
    status = "to invoice" if "to invoice" in states else "invoiced" if states and set(states) == {"invoiced"} else "no"
    env.set("sale.order", key, {"invoice_status": status if order["state"] == "sale" else "no"})


@checks("sale.order")
def _checked(env: Env, ids: list[int], vals: Row) -> None:
    if "pricelist_id" in vals and any(row["state"] == "sale" for row in env.rows("sale.order", ids)):
        raise errors.user(
            "It is not possible to change the pricelist of a confirmed order!"
            if env.version >= 19
            else "It is forbidden to change the pricelist of a confirmed order."
        )


@settles("sale.order")
def _settled(env: Env, ids: list[int], changed: set[str] | None) -> None:
    if changed and {"partner_id", "pricelist_id", "currency_id", "partner_shipping_id"} & changed:
        for key in ids:
            order = env.row("sale.order", key)
            if "partner_id" in changed:
                partner = env.row("res.partner", order["partner_id"])
                told = {"partner_invoice_id": address(env, partner, "invoice"), "partner_shipping_id": address(env, partner, "delivery")}
                env.set("sale.order", key, {name: one for name, one in told.items() if name not in changed})


@leaves("sale.order")
def _leaving(env: Env, ids: list[int]) -> None:
    if any(row["state"] not in ("draft", "cancel") for row in env.rows("sale.order", ids)):
        raise errors.user("You can not delete a sent quotation or a confirmed sales order. You must first cancel it.")


@leaves("sale.order.line")
def _line_leaving(env: Env, ids: list[int]) -> None:
    rows = env.rows("sale.order.line", ids)
    orders = {row["order_id"] for row in rows}
    if any(env.row("sale.order", key)["state"] == "sale" for key in orders):
        raise errors.user(FOLLOWED)
    for key in ids:
        env.store.put(env.transaction, "sale.order.line", key, None)
    for key in orders:
        summed(env, key)
        env.touch("sale.order", key)  # although its sum may be as before (observed)


@method("sale.order", "action_confirm")
def action_confirm(self: Records) -> bool:
    wrong = [row for row in self.rows if row["state"] not in ("draft", "sent")]
    if wrong:
        if self.env.version >= 19:
            raise errors.user("Some orders are not in a state requiring confirmation.")
        names = ", ".join(row["name"] for row in wrong)
        raise errors.user(f"The following orders are not in a state requiring confirmation: {names}")
    for key in self.ids:
        self.env.set("sale.order", key, {"state": "sale", "date_order": self.env.transaction.stamp[:19]})
        stock.deliver(self.env, key, [row["id"] for row in self.env.all("sale.order.line", order_id=key)])
        invoicing(self.env, key)
    self.env.database.webhooks.happened(self.env, "sale.order", self.ids, "confirm", None)
    return True


@method("sale.order", "action_cancel")
def action_cancel(self: Records) -> Any:
    if any(row["locked"] for row in self.rows):
        raise errors.user("You cannot cancel a locked order. Please unlock it first.")
    asked = self.env.version < 19 and not self.env.context.get("disable_cancel_warning")
    if asked and any(row["state"] != "draft" for row in self.rows):
        action: Row = {"name": "Cancel Sales Order", "view_mode": "form", "res_model": "sale.order.cancel", "type": "ir.actions.act_window"}
        return {**action, "context": {"default_order_id": self.ids[0], "mark_so_as_canceled": True}, "target": "new"}
    return _cancelled(self)


def _cancelled(self: Records) -> bool:
    from erpcrm_bridge_odoo.simulator.computes import COMPUTES

    for key in self.ids:
        stock.cancel(self.env, key)
        for move in COMPUTES["sale.order", "invoice_ids"](self.env, self.env.row("sale.order", key)):
            if self.env.row("account.move", move)["state"] == "draft":
                self.env.set("account.move", move, {"state": "cancel"})
        self.env.set("sale.order", key, {"state": "cancel"})
        invoicing(self.env, key)
    return True


@method("sale.order.cancel", "action_cancel", only=17)
def wizard_cancel(self: Records) -> bool:
    orders = [row["order_id"] for row in self.rows]
    return _cancelled(Records(self.env, self.env.model("sale.order"), orders))


@method("sale.order", "action_draft")
def action_draft(self: Records) -> bool:
    for row in self.rows:
        if row["state"] in ("cancel", "sent"):
            self.env.set("sale.order", row["id"], {"state": "draft"})
            invoicing(self.env, row["id"])
    return True


@method("sale.order", "action_lock")
def action_lock(self: Records) -> None:
    for key in self.ids:
        self.env.set("sale.order", key, {"locked": True})


@method("sale.order", "action_unlock")
def action_unlock(self: Records) -> None:
    for key in self.ids:
        self.env.set("sale.order", key, {"locked": False})


@method("sale.order", "action_quotation_sent")
def action_quotation_sent(self: Records) -> None:
    if any(row["state"] != "draft" for row in self.rows):
        raise errors.user("Only draft orders can be marked as sent directly.")
    for key in self.ids:
        self.env.set("sale.order", key, {"state": "sent"})


@prepares("sale.advance.payment.inv")
def _wizard(env: Env, vals: Row) -> Row:
    ids = env.context.get("active_ids") if env.context.get("active_model", "sale.order") == "sale.order" else None
    return {**vals, "sale_order_ids": vals.get("sale_order_ids") or [[6, 0, ids or []]]}


@method("sale.advance.payment.inv", "create_invoices")
def create_invoices(self: Records) -> Row:
    """Make one draft invoice for each order of what is to be invoiced."""
    made = []
    for wizard in self.rows:
        if wizard["advance_payment_method"] != "delivered":
            raise errors.NotSimulatedError("down payments")
        for key in wizard["sale_order_ids"]:
            made.append(_invoiced(self.env, self.env.row("sale.order", key)))
    action: Row = {"name": "Invoices", "type": "ir.actions.act_window", "res_model": "account.move", "view_mode": "form"}
    return {**action, "res_id": made[0]} if len(made) == 1 else {**action, "domain": [["id", "in", made]]}


def _invoiced(env: Env, order: Row) -> int:
    rows = [row for row in env.all("sale.order.line", order_id=order["id"]) if row["qty_to_invoice"]]
    if not rows:
        raise errors.user(NOTHING)
    lines = []
    for place, row in enumerate(rows):
        vals = {"name": row["name"], "product_id": row["product_id"], "quantity": row["qty_to_invoice"], "price_unit": row["price_unit"]}
        vals |= {
            "discount": row["discount"],
            "sequence": place,
            "product_uom_id": row[unit_field(env)],
            "tax_ids": [[6, 0, row[tax_field(env)]]],
        }
        lines.append([0, 0, {**vals, "sale_line_ids": [[6, 0, [row["id"]]]]}])
    told = {"move_type": "out_invoice", "partner_id": order["partner_invoice_id"], "partner_shipping_id": order["partner_shipping_id"]}
    told |= {"ref": order["client_order_ref"] or False, "invoice_origin": order["name"], "currency_id": order["currency_id"]}
    told |= {"invoice_user_id": order["user_id"], "team_id": order["team_id"], "invoice_payment_term_id": order["payment_term_id"] or False}
    told |= {"fiscal_position_id": order["fiscal_position_id"] or False, "invoice_line_ids": lines}
    move = orm.create(env.as_root(), env.model("account.move"), [told])[0]
    items = [row["id"] for row in env.all("account.move.line", move_id=move) if row["display_type"] == "product"]
    for row, item in zip(rows, items, strict=True):
        env.set("sale.order.line", row["id"], {"invoice_lines": (*(env.row("sale.order.line", row["id"])["invoice_lines"] or ()), item)})
    invoicing(env, order["id"])
    env.touch("sale.order", order["id"])
    return move
