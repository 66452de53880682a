"""Stock: quantities on hand by counting, deliveries of confirmed orders, and what they reserve."""

from __future__ import annotations

from typing import Any

from erpcrm_bridge_odoo.simulator import errors, orm
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.env import Env, prepares, settles
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


def deliver(env: Env, order: int, lines: list[int]) -> None:
    """Make a delivery of an order's goods and reserve what is there."""
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
    root = env.as_root().having(tracking_disable=True)
    count = env.store.table("stock.picking").last_id + 1
    told = {
        "name": f"WH/OUT/{count:05d}",
        "state": "assigned",
        "origin": row["name"],
        "sale_id": order,
        "picking_type_id": way["id"],
        **place,
    }
    picking = orm.create(root, env.model("stock.picking"), [{**told, "partner_id": row["partner_shipping_id"]}])[0]
    unit = "product_uom_id" if env.version >= 19 else "product_uom"
    for line, template in wanted:
        vals = {
            "picking_id": picking,
            "product_id": line["product_id"],
            "product_uom": line[unit],
            "product_uom_qty": line["product_uom_qty"],
        }
        vals |= {"sale_line_id": line["id"], "origin": row["name"], "reference": told["name"], **place}
        if env.version < 19:
            vals["name"] = line["name"]
        there = _reserve(env, line["product_id"], source, line["product_uom_qty"]) if storable(env, template) else line["product_uom_qty"]
        state = "assigned" if there >= line["product_uom_qty"] else "partially_available" if there else "confirmed"
        orm.create(root, env.model("stock.move"), [{**vals, "quantity": there, "state": state}])
    states = {move["state"] for move in env.all("stock.move", picking_id=picking)}
    env.set("stock.picking", picking, {"state": "confirmed" if states == {"confirmed"} else "assigned"})
    env.set("sale.order", order, {"delivery_status": "pending"})


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
        if picking["state"] == "done":
            continue
        for move in env.all("stock.move", picking_id=picking["id"]):
            _take(env, move, reserved_only=True)
            env.set("stock.move", move["id"], {"state": "cancel", "quantity": 0.0})
        env.set("stock.picking", picking["id"], {"state": "cancel"})


def _take(env: Env, move: Row, *, reserved_only: bool) -> None:
    """Take a move's goods out of the quants: of what is reserved, and unless that is all, of what is there."""
    template = env.row("product.template", env.row("product.product", move["product_id"])["product_tmpl_id"])
    if not storable(env, template):
        return
    for quant in env.all("stock.quant", product_id=move["product_id"]):
        if quant["location_id"] == move["location_id"]:
            told = {"reserved_quantity": max(0.0, (quant["reserved_quantity"] or 0.0) - move["quantity"])}
            env.set("stock.quant", quant["id"], told)
    if not reserved_only:
        _moved(env, move["product_id"], move["location_id"], -move["quantity"])
        _moved(env, move["product_id"], move["location_dest_id"], move["quantity"])


@method("stock.picking", "action_assign")
def action_assign(self: Records) -> bool:
    for picking in self.rows:
        for move in self.env.all("stock.move", picking_id=picking["id"]):
            if move["state"] in ("confirmed", "partially_available"):
                more = _reserve(self.env, move["product_id"], move["location_id"], move["product_uom_qty"] - move["quantity"])
                there = move["quantity"] + more
                state = "assigned" if there >= move["product_uom_qty"] else "partially_available" if there else "confirmed"
                self.env.set("stock.move", move["id"], {"quantity": there, "state": state})
    return True


@method("stock.picking", "button_validate")
def button_validate(self: Records) -> Any:
    """Deliver in full; anything less is not simulated."""
    from erpcrm_bridge_odoo.simulator.flows.sales import invoicing

    for picking in self.rows:
        if picking["state"] in ("done", "cancel"):
            raise errors.NotSimulatedError("validating a delivery that is done or cancelled")
        moves = self.env.all("stock.move", picking_id=picking["id"])
        if any(not move["picked"] or move["quantity"] != move["product_uom_qty"] for move in moves):
            raise errors.NotSimulatedError("validating a delivery that is not picked in full")
        now = self.env.transaction.stamp[:19]
        for move in moves:
            _take(self.env, move, reserved_only=False)
            self.env.set("stock.move", move["id"], {"state": "done", "date": now})
            line = self.env.store.table("sale.order.line").rows.get(move["sale_line_id"] or 0)
            if line is not None:
                self.env.set("sale.order.line", line["id"], {"qty_delivered": (line["qty_delivered"] or 0.0) + move["quantity"]})
        self.env.set("stock.picking", picking["id"], {"state": "done", "date_done": now})
        if picking["sale_id"]:
            self.env.set("sale.order", picking["sale_id"], {"delivery_status": "full"})
            invoicing(self.env, picking["sale_id"])
            self.env.touch("sale.order", picking["sale_id"])
    return True
