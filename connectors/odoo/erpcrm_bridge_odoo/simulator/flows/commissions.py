"""Commissions as the add-ons of the OCA keep them: agents on lines, and settlements of what is invoiced."""

from __future__ import annotations

from erpcrm_bridge_odoo.simulator import errors, orm
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.env import Env, prepares, settles
from erpcrm_bridge_odoo.simulator.store import Row


def _agents(env: Env, partner: Row | None) -> list[Row]:
    name = "commission_agent_ids" if env.version >= 19 else "agent_ids"
    return [env.row("res.partner", key) for key in (partner or {}).get(name) or ()]


@settles("sale.order.line")
def _ordered(env: Env, ids: list[int], changed: set[str] | None) -> None:
    for row in env.rows("sale.order.line", ids):
        order = env.row("sale.order", row["order_id"])
        if changed is None and not env.all("sale.order.line.agent", object_id=row["id"]):
            _assigned(env, "sale.order.line.agent", row["id"], env.row("res.partner", order["partner_id"]))
        for agent in env.all("sale.order.line.agent", object_id=row["id"]):
            env.set("sale.order.line.agent", agent["id"], {"amount": _amount(env, agent, row), "currency_id": order["currency_id"]})
        keys = [line["id"] for line in env.all("sale.order.line", order_id=order["id"])]
        total = sum(agent["amount"] or 0.0 for key in keys for agent in env.all("sale.order.line.agent", object_id=key))
        env.set("sale.order", order["id"], {"commission_total": total})


@settles("account.move.line")
def _invoiced(env: Env, ids: list[int], changed: set[str] | None) -> None:
    for row in env.rows("account.move.line", ids):
        move = env.row("account.move", row["move_id"])
        if row["display_type"] != "product" or move["move_type"] not in ("out_invoice", "out_refund") or not move["partner_id"]:
            continue
        if changed is None and not env.all("account.invoice.line.agent", object_id=row["id"]):
            _assigned(env, "account.invoice.line.agent", row["id"], env.row("res.partner", move["partner_id"]))
        for agent in env.all("account.invoice.line.agent", object_id=row["id"]):
            told = {"amount": _amount(env, agent, env.row("account.move.line", row["id"])), "invoice_id": move["id"]}
            env.set(
                "account.invoice.line.agent", agent["id"], {**told, "invoice_date": move["invoice_date"], "company_id": move["company_id"]}
            )
        keys = [line["id"] for line in env.all("account.move.line", move_id=move["id"])]
        total = sum(agent["amount"] or 0.0 for key in keys for agent in env.all("account.invoice.line.agent", object_id=key))
        env.set("account.move", move["id"], {"commission_total": total})


@settles("account.move")
def _worked_out(env: Env, ids: list[int], changed: set[str] | None) -> None:
    """Take the lines' amounts once the document has worked them out."""
    for key in ids:
        _invoiced(env, [row["id"] for row in env.all("account.move.line", move_id=key)], changed or set())


def _assigned(env: Env, model: str, line: int, partner: Row) -> None:
    for agent in _agents(env, partner):
        if agent["commission_id"]:
            vals = {"object_id": line, "agent_id": agent["id"], "commission_id": agent["commission_id"]}
            orm.create(env.as_root(), env.model(model), [vals])


def _amount(env: Env, agent: Row, line: Row) -> float:
    """Return an agent's share of a line."""
    plan = env.row("commission", agent["commission_id"])
    if plan["amount_base_type"] != "gross_amount":
        raise errors.NotSimulatedError("commissions on the net amount")
    base = line["price_subtotal"] or 0.0
    if plan["commission_type"] == "fixed":
        return orm.money(env, base * (plan["fix_qty"] or 0.0) / 100.0, line["currency_id"])
    for section in env.all("commission.section", commission_id=plan["id"]):
        if (section["amount_from"] or 0.0) <= base <= (section["amount_to"] or 0.0):
            return orm.money(env, base * (section["percent"] or 0.0) / 100.0, line["currency_id"])
    return 0.0


@prepares("sale.order.line.agent", "account.invoice.line.agent")
def _prepared(env: Env, vals: Row) -> Row:
    agent = env.store.table("res.partner").rows.get(vals.get("agent_id") or 0)
    return {"amount": 0.0, "commission_id": (agent or {}).get("commission_id"), **vals}


@method("commission.make.settle", "action_settle")
def action_settle(self: Records) -> Row:
    """Settle what agents earned on posted invoices up to a day."""
    made = []
    for wizard in self.rows:
        if wizard["settlement_type"] != "sale_invoice":
            raise errors.NotSimulatedError("settlements of another kind than invoices")
        for agent in wizard["agent_ids"] or [row["id"] for row in self.env.all("res.partner") if row["agent"]]:
            made += _settled(self.env, agent, wizard["date_to"])
    action: Row = {"type": "ir.actions.act_window", "name": "Created Settlements", "res_model": "commission.settlement"}
    return {**action, "domain": [["id", "in", made]]} if made else {"type": "ir.actions.act_window_close"}


def _settled(env: Env, agent: int, until: str) -> list[int]:
    due = []
    for row in env.all("account.invoice.line.agent", agent_id=agent):
        move = env.row("account.move", row["invoice_id"]) if row["invoice_id"] else None
        paid = move is not None and move["payment_state"] in ("paid", "in_payment", "reversed")
        plan = env.row("commission", row["commission_id"])
        if move is None or row["settled"] or move["state"] != "posted" or (move["invoice_date"] or "") >= until:
            continue
        if plan["invoice_state"] == "open" or paid:
            due.append((row, move))
    if not due:
        return []
    days = sorted(move["invoice_date"] for _, move in due)
    root = env.as_root()
    head = {"agent_id": agent, "date_from": f"{days[0][:7]}-01", "date_to": until, "settlement_type": "sale_invoice"}
    key = orm.create(root, env.model("commission.settlement"), [head])[0]
    for row, move in due:
        vals = {"settlement_id": key, "invoice_agent_line_id": row["id"], "invoice_line_id": row["object_id"], "agent_id": agent}
        vals |= {
            "date": move["invoice_date"],
            "commission_id": row["commission_id"],
            "settled_amount": row["amount"],
            "currency_id": move["currency_id"],
        }
        orm.create(root, env.model("commission.settlement.line"), [vals])
        env.set("account.invoice.line.agent", row["id"], {"settled": True})
    env.set("commission.settlement", key, {"total": sum(row["amount"] for row, _ in due)})
    return [key]
