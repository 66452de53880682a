"""Leads and opportunities: stages, won and lost, and what they take over from their partner."""

from __future__ import annotations

from typing import Any

from erpcrm_bridge_odoo.simulator import errors, orm
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.env import Env, prepares, settles
from erpcrm_bridge_odoo.simulator.store import Row

_OF_COMPANY = ("street", "street2", "city", "zip", "state_id", "country_id", "website", "function")


@prepares("crm.lead")
def _prepared(env: Env, vals: Row) -> Row:
    partner = env.store.table("res.partner").rows.get(vals.get("partner_id") or 0)
    told = {"probability": 0.0, "automated_probability": 0.0, "expected_revenue": 0.0, **vals}
    if partner is not None:
        company = env.row("res.partner", partner["commercial_partner_id"])
        taken: Row = {"email_from": partner["email"], "phone": partner["phone"], **{name: partner[name] for name in _OF_COMPANY}}
        taken["partner_name"] = company["name"] if company["is_company"] else None
        taken["contact_name"] = None if partner["is_company"] else partner["name"]
        told |= {name: one for name, one in taken.items() if not vals.get(name)}
    if told.get("user_id"):
        told["date_open"] = env.transaction.stamp[:19]
    told["date_last_stage_update"] = env.transaction.stamp[:19]
    return told


@settles("crm.lead")
def _settled(env: Env, ids: list[int], changed: set[str] | None) -> None:
    for key in ids:
        row = env.row("crm.lead", key)
        stage = env.store.table("crm.stage").rows.get(row["stage_id"] or 0)
        told: Row = {}
        if changed and "stage_id" in changed:
            told["date_last_stage_update"] = env.transaction.stamp[:19]
        if stage and stage["is_won"] and (changed is None or "stage_id" in changed):
            told |= {"probability": 100.0, "automated_probability": 100.0, "date_closed": env.transaction.stamp[:19]}
        if changed and "user_id" in changed and row["user_id"]:
            told["date_open"] = env.transaction.stamp[:19]
        now = {**row, **told}
        told["prorated_revenue"] = orm.decimals(env, (now["expected_revenue"] or 0.0) * (now["probability"] or 0.0) / 100, 2)
        if env.version >= 19:
            lost = not now["active"] and not now["probability"]
            told["won_status"] = "won" if stage and stage["is_won"] else "lost" if lost else "pending"
        env.set("crm.lead", key, told)


@prepares("utm.campaign")
def _campaign(env: Env, vals: Row) -> Row:
    return {"name": vals.get("title"), **vals}


@method("crm.lead", "action_set_won")
def action_set_won(self: Records) -> bool:
    won = next(row["id"] for row in self.env.all("crm.stage") if row["is_won"])
    orm.write(self.env, self.model, self.ids, {"stage_id": won, "probability": 100.0, "active": True})
    return True


@method("crm.lead", "action_set_lost")
def action_set_lost(self: Records, **additional_values: Any) -> None:
    told = {"active": False, "probability": 0.0, "automated_probability": 0.0, "date_closed": self.env.transaction.stamp[:19]}
    orm.write(self.env, self.model, self.ids, {**additional_values, **told})


@method("crm.lead", "convert_opportunity")
def convert_opportunity(self: Records, partner: Any = None, user_ids: Any = False, team_id: Any = False) -> bool:
    if user_ids or team_id:
        raise errors.NotSimulatedError("convert_opportunity with a salesperson or a team")
    told: Row = {"type": "opportunity", **({"partner_id": partner} if partner else {})}
    orm.write(self.env, self.model, self.ids, told)
    return True
