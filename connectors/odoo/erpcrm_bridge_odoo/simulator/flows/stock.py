"""Stock: quantities on hand by counting, deliveries of confirmed orders, and what they reserve."""

from __future__ import annotations

from typing import Any

from erpcrm_bridge_odoo.simulator import errors, orm
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.env import Env, checks, prepares, settles
from erpcrm_bridge_odoo.simulator.flows.products import storable
from erpcrm_bridge_odoo.simulator.store import Row


@prepares("stock.quant")
def _prepared(env: Env, vals: Row) -> Row:
    """Count into the quant that is there already."""
    told = {"quantity": 0.0, "reserved_quantity": 0.0, "inventory_quantity": 0.0, **vals}
    return {**told, "inventory_quantity_set": "inventory_quantity" in vals}


@settles("stock.quant")
def _counted(env: Env, ids: list[int], changed: set[str] | None) -> None:
    for key in ids:
        row = env.row("stock.quant", key)
        if changed is None:
            same = [
                one
                for one in env.all("stock.quant", product_id=row["product_id"])
                if one["location_id"] == row["location_id"] and one["id"] < key
            ]
            if same:
                raise errors.NotSimulatedError("a second count of a product in one place: write the quant that is there")
        elif "inventory_quantity" in changed:
            env.set("stock.quant", key, {"inventory_quantity_set": True})


@method("stock.quant", "action_apply_inventory")
def action_apply_inventory(self: Records) -> None:
    lost = next(row["id"] for row in self.env.all("stock.location") if row["usage"] == "inventory")
    for row in self.rows:
        _moved(self.env, row["product_id"], lost, (row["quantity"] or 0.0) - row["inventory_quantity"])
        told = {"quantity": row["inventory_quantity"], "inventory_quantity": 0.0, "inventory_quantity_set": False}
        self.env.set("stock.quant", row["id"], told)


def _moved(env: Env, product: int, location: int, quantity: float) -> None:
    """Add to what is in a place, below nothing too."""
    there = next((row for row in env.all("stock.quant", product_id=product) if row["location_id"] == location), None)
    if there is None:
        vals = {"product_id": product, "location_id": location}
        key = orm.create(env.as_root(), env.model("stock.quant"), [vals])[0]
        there = env.row("stock.quant", key)
    env.set("stock.quant", there["id"], {"quantity": (there["quantity"] or 0.0) + quantity})


def deliver(env: Env, order: int, lines: list[int], quantity: float | None = None) -> None:
    """Make a delivery of an order's goods, of so much of each line or all of it, and reserve what is there."""
    row = env.row("sale.order", order)
    wanted = []
    for line in env.rows("sale.order.line", lines):
        if not line["product_id"] or line.get("display_type") or not line["product_uom_qty"]:
            continue
        template = env.row("product.template", env.row("product.product", line["product_id"])["product_tmpl_id"])
        if template["type"] != "service":
            wanted.append((line, template))
    if not wanted:
        return
    way = next(one for one in env.all("stock.picking.type") if one["code"] == "outgoing")
    source = env.row("stock.warehouse", row["warehouse_id"])["lot_stock_id"]
    target = next(one["id"] for one in env.all("stock.location") if one["usage"] == "customer")
    place = {"location_id": source, "location_dest_id": target}
    told = {"state": "assigned", "origin": row["name"], "sale_id": order, "picking_type_id": way["id"], **place}
    picking = _picking(env, {**told, "partner_id": row["partner_shipping_id"]})
    for line, template in wanted:
        _move(env, row, line, template, picking, float(line["product_uom_qty"] if quantity is None else quantity))
    _ready(env, picking)
    told_by(env, order)


def _picking(env: Env, vals: Row) -> int:
    """Make a transfer with the next number."""
    count = env.store.table("stock.picking").last_id + 1
    told = {**vals, "name": f"WH/OUT/{count:05d}"}
    return orm.create(env.as_root().having(tracking_disable=True), env.model("stock.picking"), [told])[0]


def _move(env: Env, order: Row, line: Row, template: Row, picking: int, quantity: float) -> None:
    """Add so much of a line's product to a transfer, and reserve it."""
    unit = "product_uom_id" if env.version >= 19 else "product_uom"
    row = env.row("stock.picking", picking)
    vals: Row = {"picking_id": picking, "product_id": line["product_id"], "product_uom": line[unit], "product_uom_qty": quantity}
    vals |= {"sale_line_id": line["id"], "origin": order["name"], "reference": row["name"]}
    vals |= {name: row[name] for name in ("location_id", "location_dest_id")}
    if env.version < 19:
        vals["name"] = line["name"]
    there = _reserve(env, line["product_id"], row["location_id"], quantity) if storable(env, template) else quantity
    told = {**vals, "quantity": there, "state": _state(there, quantity), "picked": False}
    orm.create(env.as_root().having(tracking_disable=True), env.model("stock.move"), [told])


def _state(there: float, wanted: float) -> str:
    return "assigned" if there >= wanted else "partially_available" if there else "confirmed"


def _ready(env: Env, picking: int) -> None:
    """Set a transfer's state from that of its moves."""
    states = {move["state"] for move in env.all("stock.move", picking_id=picking)}
    open_ones = states - {"done", "cancel"}
    state = "assigned" if open_ones - {"confirmed"} else "confirmed" if open_ones else "done" if "done" in states else "cancel"
    env.set("stock.picking", picking, {"state": state})


def told_by(env: Env, order: int) -> None:
    """Set what an order says of its deliveries."""
    states = [picking["state"] for picking in env.all("stock.picking", sale_id=order)]
    live = [state for state in states if state != "cancel"]
    status = "full" if set(live) == {"done"} else "partial" if "done" in live else "pending" if live else None
    env.set("sale.order", order, {"delivery_status": status})


def resize(env: Env, line: Row, before: float) -> None:
    """Deliver more or less of a confirmed order's line than was asked for before: what is not delivered yet changes with it."""
    open_ones = [move for move in env.all("stock.move", sale_line_id=line["id"]) if move["state"] not in ("done", "cancel")]
    order = env.row("sale.order", line["order_id"])
    more = orm.decimals(env, line["product_uom_qty"] - before, 2)
    if more > 0 and not open_ones:
        deliver(env, order["id"], [line["id"]], more)
    for move in open_ones:
        wanted = max(0.0, orm.decimals(env, move["product_uom_qty"] + more, 2))
        more = orm.decimals(env, more - (wanted - move["product_uom_qty"]), 2)
        if not wanted:
            _hold(env, move, 0.0)
            env.set("stock.move", move["id"], {"product_uom_qty": 0.0, "state": "cancel"})
        else:
            env.set("stock.move", move["id"], {"product_uom_qty": wanted})
            _available(env, env.row("stock.move", move["id"]))
        _ready(env, move["picking_id"])
        if not more:
            break
    told_by(env, order["id"])


def _available(env: Env, move: Row) -> None:
    """Reserve for a move what there is, and no more than it wants."""
    template = env.row("product.template", env.row("product.product", move["product_id"])["product_tmpl_id"])
    there = move["product_uom_qty"]
    if storable(env, template):
        if there < move["quantity"]:
            _free(env, move, move["quantity"] - there)
        else:
            there = move["quantity"] + _reserve(env, move["product_id"], move["location_id"], there - move["quantity"])
    env.set("stock.move", move["id"], {"quantity": there, "state": _state(there, move["product_uom_qty"])})


def _hold(env: Env, move: Row, quantity: float) -> None:
    """Set what is held for a move, whether it is there or not."""
    template = env.row("product.template", env.row("product.product", move["product_id"])["product_tmpl_id"])
    if storable(env, template):
        _free(env, move, (move["quantity"] or 0.0) - quantity)
    env.set("stock.move", move["id"], {"quantity": quantity, "state": _state(quantity, move["product_uom_qty"])})


def _free(env: Env, move: Row, quantity: float) -> None:
    """Give back what was reserved for a move; less than nothing is taken beside."""
    for quant in env.all("stock.quant", product_id=move["product_id"]):
        if quant["location_id"] == move["location_id"]:
            env.set("stock.quant", quant["id"], {"reserved_quantity": max(0.0, (quant["reserved_quantity"] or 0.0) - quantity)})


@checks("stock.move")
def _move_checked(env: Env, ids: list[int], vals: Row) -> None:
    for move in env.rows("stock.move", ids):
        if "quantity" in vals and move["state"] in ("done", "cancel"):
            raise errors.NotSimulatedError("another quantity on a move that is done or cancelled")
        if "quantity" in vals:
            _hold(env, move, float(vals["quantity"] or 0.0))
    for picking in {move["picking_id"] for move in env.rows("stock.move", ids)} if "quantity" in vals else ():
        _ready(env, picking)


def _reserve(env: Env, product: int, location: int, quantity: float) -> float:
    reserved = 0.0
    for quant in env.all("stock.quant", product_id=product):
        if quant["location_id"] == location:
            free = max(0.0, (quant["quantity"] or 0.0) - (quant["reserved_quantity"] or 0.0))
            part = min(free, quantity - reserved)
            if part:
                env.set("stock.quant", quant["id"], {"reserved_quantity": (quant["reserved_quantity"] or 0.0) + part})
                reserved += part
    return reserved


def cancel(env: Env, order: int) -> None:
    """Cancel what of an order is not delivered yet, and free what it reserved."""
    for picking in env.all("stock.picking", sale_id=order):
        if picking["state"] != "done":
            _cancelled(env, picking["id"])
    told_by(env, order)


def _cancelled(env: Env, picking: int) -> None:
    for move in env.all("stock.move", picking_id=picking):
        if move["state"] != "done":
            _hold(env, move, 0.0)
            env.set("stock.move", move["id"], {"state": "cancel"})
    env.set("stock.picking", picking, {"state": "cancel"})


@method("stock.picking", "action_cancel")
def action_cancel(self: Records) -> bool:
    for picking in self.rows:
        if picking["state"] == "done":
            raise errors.NotSimulatedError("cancelling a delivery that is done")
        _cancelled(self.env, picking["id"])
        if picking["sale_id"]:
            told_by(self.env, picking["sale_id"])
    return True


@method("stock.picking", "action_assign")
def action_assign(self: Records) -> bool:
    for picking in self.rows:
        moves = [move for move in self.env.all("stock.move", picking_id=picking["id"]) if move["state"] not in ("done", "cancel")]
        if not moves:
            raise errors.user("Nothing to check the availability for.")
        for move in moves:
            if move["quantity"] < move["product_uom_qty"]:
                _available(self.env, move)
        _ready(self.env, picking["id"])
    return True


@method("stock.picking", "do_unreserve")
def do_unreserve(self: Records) -> None:
    for picking in self.rows:
        for move in self.env.all("stock.move", picking_id=picking["id"]):
            if move["state"] not in ("done", "cancel") and not move["picked"]:
                _hold(self.env, move, 0.0)
        _ready(self.env, picking["id"])


_NOTHING_MOVED = {
    17: "You cannot validate a transfer if no quantities are reserved. To force the transfer, encode quantities.",
    19: "Transfer trouble alert! Validating a zero quantity transfer? You're not moving invisible goods around are you?\n"
    "Set some quantities and let's get moving!",
}


@method("stock.picking", "button_validate")
def button_validate(self: Records) -> Any:
    """Deliver what is picked, all that is held where nothing is. Where that is less than was wanted, return the question whether the rest
    is still to come, unless the context says so."""
    for picking in self.rows:
        if picking["state"] == "done" and self.env.version >= 19:
            continue
        moves = [move for move in self.env.all("stock.move", picking_id=picking["id"]) if move["state"] not in ("done", "cancel")]
        if not any(move["quantity"] for move in moves):
            raise errors.user(_NOTHING_MOVED[self.env.version])
        if not any(move["picked"] for move in moves):
            for move in moves:
                self.env.set("stock.move", move["id"], {"picked": bool(move["quantity"])})
        if _is_less(self.env, picking["id"]) and not self.env.context.get("skip_backorder"):
            return _question(self.ids)
        _done(self.env, picking, backorder=True)
    return True


def _is_less(env: Env, picking: int) -> bool:
    moves = [move for move in env.all("stock.move", picking_id=picking) if move["state"] not in ("done", "cancel")]
    return any(not move["picked"] or move["quantity"] < move["product_uom_qty"] for move in moves)


def _question(ids: list[int]) -> Row:
    action: Row = {"name": "Create Backorder?", "type": "ir.actions.act_window", "view_mode": "form"}
    action |= {"res_model": "stock.backorder.confirmation", "views": [[False, "form"]], "view_id": False, "target": "new"}
    told = {"button_validate_picking_ids": list(ids), "default_show_transfers": len(ids) > 1}
    return {**action, "context": {**told, "default_pick_ids": [[4, key] for key in ids]}}


@method("stock.backorder.confirmation", "process")
def process(self: Records) -> bool:
    return _answered(self, backorder=True)


@method("stock.backorder.confirmation", "process_cancel_backorder")
def process_cancel_backorder(self: Records) -> bool:
    return _answered(self, backorder=False)


def _answered(self: Records, *, backorder: bool) -> bool:
    for wizard in self.rows:
        for picking in self.env.rows("stock.picking", wizard["pick_ids"] or self.env.context.get("button_validate_picking_ids") or ()):
            _done(self.env, picking, backorder=backorder)
    return True


def _done(env: Env, picking: Row, *, backorder: bool) -> None:
    """Deliver what is picked; the rest comes in a transfer of its own, or not at all."""
    from erpcrm_bridge_odoo.simulator.flows.sales import invoicing

    now = env.transaction.stamp[:19]
    rest: list[tuple[Row, float]] = []
    for move in env.all("stock.move", picking_id=picking["id"]):
        if move["state"] in ("done", "cancel"):
            continue
        went = move["quantity"] if move["picked"] else 0.0
        left = max(0.0, orm.decimals(env, move["product_uom_qty"] - went, 2))
        if not went:
            rest.append((move, left))
            continue
        _take(env, move)
        wanted = orm.decimals(env, move["product_uom_qty"] - left, 2) if backorder else move["product_uom_qty"]
        env.set("stock.move", move["id"], {"state": "done", "date": now, "product_uom_qty": wanted})
        if left:
            rest.append((move, left))
        line = env.store.table("sale.order.line").rows.get(move["sale_line_id"] or 0)
        if line is not None:
            env.set("sale.order.line", line["id"], {"qty_delivered": (line["qty_delivered"] or 0.0) + went})
    if backorder and rest:
        _backorder(env, picking, rest)
    for move, _ in rest if not backorder else ():
        if env.row("stock.move", move["id"])["state"] != "done":
            _hold(env, move, 0.0)
            env.set("stock.move", move["id"], {"state": "cancel"})
    env.set("stock.picking", picking["id"], {"state": "done", "date_done": now})
    if picking["sale_id"]:
        told_by(env, picking["sale_id"])
        invoicing(env, picking["sale_id"])
        env.touch("sale.order", picking["sale_id"])


def _backorder(env: Env, picking: Row, rest: list[tuple[Row, float]]) -> None:
    """Make a transfer of what is left of another; what did not go at all moves over to it."""
    names = ("origin", "sale_id", "picking_type_id", "partner_id", "location_id", "location_dest_id")
    made = _picking(env, {**{name: picking[name] for name in names}, "backorder_id": picking["id"], "state": "assigned"})
    for move, left in rest:
        if env.row("stock.move", move["id"])["state"] != "done":
            env.set("stock.move", move["id"], {"picking_id": made, "reference": env.row("stock.picking", made)["name"]})
        else:
            line = env.row("sale.order.line", move["sale_line_id"])
            template = env.row("product.template", env.row("product.product", move["product_id"])["product_tmpl_id"])
            _move(env, env.row("sale.order", line["order_id"]), line, template, made, left)
    _ready(env, made)


def _take(env: Env, move: Row) -> None:
    """Take a move's goods out of where they are reserved, and bring them to where they go."""
    template = env.row("product.template", env.row("product.product", move["product_id"])["product_tmpl_id"])
    if storable(env, template):
        _free(env, move, move["quantity"])
        _moved(env, move["product_id"], move["location_id"], -move["quantity"])
        _moved(env, move["product_id"], move["location_dest_id"], move["quantity"])
