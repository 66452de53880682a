"""Messages and followers that the server adds by itself, as far as the context lets it."""

from __future__ import annotations

from erpcrm_bridge_odoo.simulator.env import Env, settles
from erpcrm_bridge_odoo.simulator.store import Row

TRACKED = {
    "res.partner": {"name", "email", "phone", "parent_id", "user_id", "vat"},
    "crm.lead": {"stage_id", "user_id", "team_id", "partner_id", "expected_revenue", "email_from", "phone", "active", "type"},
    "sale.order": {"state", "partner_id", "user_id", "amount_total"},
    "account.move": {"state", "partner_id", "ref", "invoice_date", "invoice_date_due"},
    "product.template": {"name"},
}


def said(env: Env, model: str, key: int, body: str, kind: str) -> int:
    """Add a message to a record and return its id."""
    author = env.row("res.users", env.uid)["partner_id"]
    number = env.store.next_id("mail.message")
    stamp = env.transaction.stamp
    row: Row = {"id": number, "_model": "mail.message", "model": model, "res_id": key, "body": f"<p>{body}</p>" if body else ""}
    row |= {"message_type": kind, "author_id": author, "date": stamp[:19], "create_date": stamp, "write_date": stamp}
    env.store.put(env.transaction, "mail.message", number, {**row, "create_uid": env.uid, "write_uid": env.uid})
    return number


def _follows(env: Env, model: str, key: int) -> None:
    partner = env.row("res.users", env.uid)["partner_id"]
    number = env.store.next_id("mail.followers")
    row: Row = {"id": number, "_model": "mail.followers", "res_model": model, "res_id": key, "partner_id": partner}
    row |= dict.fromkeys(("create_date", "write_date", "create_uid", "write_uid"))
    env.store.put(env.transaction, "mail.followers", number, row)


def _notes(model: str) -> None:
    @settles(model)
    def noted(env: Env, ids: list[int], changed: set[str] | None) -> None:
        if env.context.get("tracking_disable"):
            return
        for key in ids:
            if changed is None:
                if not env.context.get("mail_create_nolog"):
                    said(env, model, key, f"{env.model(model).string} created", "notification")
                if not env.context.get("mail_create_nosubscribe"):
                    _follows(env, model, key)
            elif changed & TRACKED[model] and not env.context.get("mail_notrack"):
                said(env, model, key, "", "notification")


for _model in TRACKED:
    _notes(_model)
