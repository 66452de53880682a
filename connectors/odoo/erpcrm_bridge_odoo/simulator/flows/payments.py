"""Payments: registered on invoices, or made by themselves and left open."""

from __future__ import annotations

from typing import Any

from erpcrm_bridge_odoo.simulator import errors, orm, taxes
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.env import Env, leaves, prepares, settles
from erpcrm_bridge_odoo.simulator.flows import billing, ledger
from erpcrm_bridge_odoo.simulator.store import Row

NOTHING_LEFT = {
    19: "There's nothing left to pay for the selected journal items, so no payment registration is necessary. You've got your "
    "finances under "
    "control like a boss!",
    17: "You can't register a payment because there is nothing left to pay on the selected journal items.",
}


def _account(env: Env, name: str) -> int:
    return next(int(row["id"]) for row in env.all("account.account") if row["name"]["en_US"] == name)


def _journal(env: Env) -> int:
    return next(int(row["id"]) for row in env.all("account.journal") if row["type"] in ("bank", "cash"))


def _way(env: Env, journal: int, kind: str) -> int | None:
    return next((row["id"] for row in env.all("account.payment.method.line", journal_id=journal) if row["payment_type"] == kind), None)


@prepares("account.payment")
def _prepared(env: Env, vals: Row) -> Row:
    told = {"amount": 0.0, "is_reconciled": False, "is_matched": False, **vals}
    if told["amount"] < 0:
        raise errors.validation("The operation cannot be completed: The payment amount cannot be negative.")
    told["journal_id"] = vals.get("journal_id") or _journal(env)
    told["payment_method_line_id"] = vals.get("payment_method_line_id") or _way(env, told["journal_id"], told["payment_type"])
    kind = "asset_receivable" if told["partner_type"] == "customer" else "liability_payable"
    told["destination_account_id"] = next(row["id"] for row in env.all("account.account") if row["account_type"] == kind)
    told["amount_company_currency_signed"] = _in_own(env, told)
    if env.version < 19:
        told.setdefault("name", "/")
        told["move_id"] = told.get("move_id") or _entry(env, told)
    return told


def _in_own(env: Env, payment: Row) -> float:
    """Return what a payment is worth in the company's currency, less than nothing where it goes out."""
    company = env.companies[0]
    rate = taxes.rate(env, payment.get("currency_id"), company, payment.get("date"))
    worth = orm.money(env, payment["amount"] / rate, env.row("res.company", company)["currency_id"])
    return worth if payment["payment_type"] == "inbound" else -worth


def _entry(env: Env, payment: Row) -> int:
    """Make the journal entry of a payment, a draft without items; posting enters them."""
    partner = payment.get("partner_id") or None
    told: Row = {"move_type": "entry", "journal_id": payment["journal_id"], "date": payment["date"], "partner_id": partner or False}
    told |= {"ref": payment.get("memo") or payment.get("ref") or False}
    key = orm.create(env.as_root().having(tracking_disable=True), env.model("account.move"), [told])[0]
    top = env.row("res.partner", partner)["commercial_partner_id"] if partner else None
    env.sql("account.move", key, {"commercial_partner_id": top, "currency_id": payment.get("currency_id") or 1})
    return key


@settles("account.payment")
def _settled(env: Env, ids: list[int], changed: set[str] | None) -> None:
    for key in ids:
        row = env.row("account.payment", key)
        if changed and {"amount", "partner_id", "date", "journal_id"} & changed and row["state"] != "draft":
            raise errors.NotSimulatedError("changing a payment that is posted")
        env.set("account.payment", key, {"amount_company_currency_signed": _in_own(env, row)})
        if (
            env.version < 19
            and row["move_id"]
            and row["name"] == "/"
            and env.row("account.move", row["move_id"])["name"] not in (None, "/")
        ):
            env.set("account.payment", key, {"name": env.row("account.move", row["move_id"])["name"]})


@method("account.payment", "action_post")
def action_post(self: Records) -> None:
    for key in self.ids:
        _posted(self.env, key)


def _posted(env: Env, key: int, off: float = 0.0, account_off: int | None = None, label_off: str | None = None) -> int:
    """Post a payment: enter its items and number it; ``off`` is what is written off beside it. Returns its entry."""
    payment = env.row("account.payment", key)
    if payment["state"] != "draft":
        raise errors.user("Only draft payment can be posted." if env.version >= 19 else "The entry must be in draft.")
    move = payment["move_id"] or _entry(env, payment)
    inbound = payment["payment_type"] == "inbound"
    outstanding = _account(env, "Outstanding Receipts" if inbound else "Outstanding Payments")
    amount = payment["amount"] * (1 if inbound else -1)
    memo = payment.get("memo") or env.row("account.move", move)["ref"]
    partner = env.store.table("res.partner").rows.get(payment["partner_id"] or 0)
    label = f"Manual Payment: {memo}" if memo else "Manual Payment"
    if env.version < 19:
        day = payment["date"]
        name = f" - {partner['name']}" if partner else ""
        label = f"Customer Payment $\xa0{payment['amount']:,.2f}{name} - {day[5:7]}/{day[8:]}/{day[:4]}"
    if not env.all("account.move.line", move_id=move):
        worth = _in_own(env, payment)
        rate = amount / worth if worth else 1.0
        own = env.row("res.company", env.companies[0])["currency_id"]
        in_own = orm.money(env, off / rate, own)
        items = [
            (outstanding, amount, worth, label, payment["date"]),
            (payment["destination_account_id"], -amount - off, -worth - in_own, label, payment["date"]),
        ]
        if off:
            items.append((account_off or 0, off, in_own, label_off or "Write-Off", None))
        for account, part, balance, name, due in items:
            row = env.row("account.move", move)
            both = {"debit": max(balance, 0.0), "credit": max(-balance, 0.0), "balance": balance, "amount_currency": part}
            both |= {"currency_id": payment["currency_id"], "date_maturity": due}
            line = ledger.item(env, row, {**both, "account_id": account, "name": name, "display_type": "product", "date": payment["date"]})
            env.sql("account.move.line", line, {"payment_id": key})
    billing.post(env, move)
    env.set(
        "account.move", move, {"payment_reference": None, "amount_total": abs(amount), "amount_total_signed": abs(_in_own(env, payment))}
    )
    ledger.residuals(env, move)
    told = {"state": "in_process" if env.version >= 19 else "posted", "move_id": move, "name": env.row("account.move", move)["name"]}
    env.set("account.payment", key, told)
    env.set("account.move", move, {"origin_payment_id" if env.version >= 19 else "payment_id": key})
    for one in {payment["partner_id"], (partner or {}).get("commercial_partner_id")} - {None}:
        told = {"customer_rank": (env.row("res.partner", one)["customer_rank"] or 0) + 1}
        if env.version >= 19:
            env.set("res.partner", one, told)
        else:
            env.sql("res.partner", one, told)
    return int(move)


@method("account.payment", "action_draft")
def action_draft(self: Records) -> None:
    for row in self.rows:
        if row["move_id"]:
            ledger.loosen(self.env, [line["id"] for line in self.env.all("account.move.line", move_id=row["move_id"])])
            self.env.set("account.move", row["move_id"], {"state": "draft"})
            for line in self.env.all("account.move.line", move_id=row["move_id"]):
                self.env.set("account.move.line", line["id"], {"parent_state": "draft"})
        self.env.set("account.payment", row["id"], {"state": "draft", "is_reconciled": False})


@method("account.payment", "action_cancel")
def action_cancel(self: Records) -> None:
    for row in self.rows:
        action_draft(Records(self.env, self.model, [row["id"]]))
        told: Row = {"state": "canceled" if self.env.version >= 19 else "cancel"}
        move = row["move_id"]
        if move and self.env.version >= 19:
            told["move_id"] = None
            self.env.set("account.payment", row["id"], told)
            for line in self.env.all("account.move.line", move_id=move):
                self.env.store.put(self.env.transaction, "account.move.line", line["id"], None)
            self.env.store.put(self.env.transaction, "account.move", move, None)
        elif move:
            self.env.set("account.move", move, {"state": "cancel"})
        self.env.set("account.payment", row["id"], told)


@leaves("account.payment")
def _leaving(env: Env, ids: list[int]) -> None:
    for row in env.rows("account.payment", ids):
        if row["state"] in ("posted", "in_process", "paid"):
            raise errors.NotSimulatedError("deleting a payment that is posted")


@prepares("account.payment.register")
def _wizard(env: Env, vals: Row) -> Row:
    """Fill the wizard from the open items of the documents that the context names."""
    if env.context.get("active_model") not in ("account.move", "account.move.line"):
        raise errors.user("The register payment wizard should only be called on account.move or account.move.line records.")
    ids = env.context.get("active_ids") or []
    if env.context["active_model"] == "account.move":
        moves = env.rows("account.move", ids)
        if any(row["state"] != "posted" for row in moves):
            raise errors.user("You can only register payment for posted journal entries.")
        lines = [row for key in ids for row in ledger.open_items(env, key)]
    else:
        lines = env.rows("account.move.line", ids)
    lines = [row for row in lines if not row["reconciled"] and row["amount_residual_currency"]]
    if not lines:
        raise errors.user(NOTHING_LEFT[env.version])
    if len({(row["partner_id"], row["currency_id"]) for row in lines}) > 1:
        raise errors.NotSimulatedError("one payment for several partners or currencies")
    currency = vals.get("currency_id") or lines[0]["currency_id"]
    left = _left(env, lines, currency, vals.get("payment_date"))
    told: Row = {"amount": abs(left), "currency_id": currency, "partner_id": lines[0]["partner_id"]}
    told |= {"payment_type": "inbound" if left > 0 else "outbound", "line_ids": [[6, 0, [row["id"] for row in lines]]]}
    told["partner_type"] = (
        "customer" if env.row("account.account", lines[0]["account_id"])["account_type"] == "asset_receivable" else "supplier"
    )
    names = dict.fromkeys(env.row("account.move", row["move_id"])["payment_reference"] or row["move_name"] for row in lines)
    told["communication"] = ", ".join(str(name) for name in names)
    told |= {name: one for name, one in vals.items() if one not in (None, False) or name not in told}
    told["journal_id"] = vals.get("journal_id") or _journal(env)
    told["payment_method_line_id"] = vals.get("payment_method_line_id") or _way(env, told["journal_id"], told["payment_type"])
    return told


def _left(env: Env, lines: list[Row], currency: int, day: str | None) -> float:
    """Return what of items is open, in a currency, on a day."""
    company = env.companies[0]
    own = env.row("res.company", company)["currency_id"]
    of = lines[0]["currency_id"]
    if of == currency:
        return orm.money(env, sum(row["amount_residual_currency"] for row in lines), currency)
    if own not in (of, currency):
        raise errors.NotSimulatedError("paying one foreign currency in another")
    if currency == own:
        open_amount = sum(row["amount_residual_currency"] for row in lines) / taxes.rate(env, of, company, day)
    else:
        open_amount = sum(row["amount_residual"] for row in lines) * taxes.rate(env, currency, company, day)
    return orm.money(env, open_amount, currency)


def _apart(env: Env, wizard: Row) -> list[Row]:
    """Return a wizard for each document that it is to pay by itself: several documents are paid together only where it says so."""
    moves = dict.fromkeys(env.row("account.move.line", key)["move_id"] for key in wizard["line_ids"])
    if len(moves) < 2 or wizard["group_payment"]:
        return [wizard]
    found = []
    for move in moves:
        lines = [row for row in env.rows("account.move.line", wizard["line_ids"]) if row["move_id"] == move]
        amount = abs(_left(env, lines, wizard["currency_id"], wizard["payment_date"]))
        reference = env.row("account.move", move)["payment_reference"]
        found.append({**wizard, "line_ids": [row["id"] for row in lines], "amount": amount, "communication": reference})
    return found


@method("account.payment.register", "action_create_payments")
def action_create_payments(self: Records) -> Any:
    made = []
    for wizard in [one for row in self.rows for one in _apart(self.env, row)]:
        told: Row = {name: wizard[name] for name in ("amount", "currency_id", "journal_id", "partner_id", "payment_type", "partner_type")}
        told |= {"date": wizard["payment_date"], "payment_method_line_id": wizard["payment_method_line_id"]}
        invoices = [self.env.row("account.move.line", key)["move_id"] for key in wizard["line_ids"]]
        if self.env.version >= 19:
            told |= {"memo": wizard["communication"] or False, "invoice_ids": [[6, 0, list(dict.fromkeys(invoices))]]}
        else:
            told["move_id"] = _entry(self.env, {**told, "ref": wizard["communication"]})
        key = orm.create(self.env.as_root().having(tracking_disable=True), self.env.model("account.payment"), [told])[0]
        lines = self.env.rows("account.move.line", wizard["line_ids"])
        left = _left(self.env, lines, wizard["currency_id"], wizard["payment_date"])
        way = 1 if wizard["payment_type"] == "inbound" else -1
        off = orm.money(self.env, left - way * wizard["amount"], wizard["currency_id"])
        if wizard["payment_difference_handling"] != "reconcile":
            off = 0.0
        move = _posted(self.env, key, off, wizard["writeoff_account_id"], wizard["writeoff_label"])
        ledger.reconcile(self.env, [*wizard["line_ids"], *(row["id"] for row in ledger.open_items(self.env, move))])
        made.append(key)
    action: Row = {"name": "Payments", "type": "ir.actions.act_window", "res_model": "account.payment", "context": {"create": False}}
    if len(made) == 1:
        return {**action, "view_mode": "form", "res_id": made[0]}
    return {**action, "view_mode": "list,form", "domain": [["id", "in", made]]}
