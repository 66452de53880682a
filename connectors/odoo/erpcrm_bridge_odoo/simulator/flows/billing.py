"""Invoices and credit notes: their lines, totals and journal items; posting, taking back, reversing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from erpcrm_bridge_odoo.simulator import errors, orm, taxes
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.env import Env, checks, leaves, prepares, settles
from erpcrm_bridge_odoo.simulator.flows import ledger
from erpcrm_bridge_odoo.simulator.flows.products import contents
from erpcrm_bridge_odoo.simulator.flows.sales import address
from erpcrm_bridge_odoo.simulator.store import Row

INVOICES = ("out_invoice", "out_refund", "in_invoice", "in_refund")
SALES = ("out_invoice", "out_refund")
KEPT_WHEN_POSTED = (
    "invoice_date",
    "partner_id",
    "invoice_line_ids",
    "invoice_payment_term_id",
    "currency_id",
    "fiscal_position_id",
    "line_ids",
)
LEGAL = ("invoice_line_ids", "line_ids", "date", "journal_id", "currency_id")


def sign(move: Row) -> int:
    """Return what a document's amounts are multiplied with in the customer's or supplier's account: 1 where it is owed to us."""
    return 1 if move["move_type"] in ("out_invoice", "in_refund") else -1


@prepares("account.move")
def _prepared(env: Env, vals: Row) -> Row:
    kind = vals["move_type"]
    told = {"posted_before": False, "is_move_sent": False, "commission_total": 0.0, **vals}
    use = "sale" if kind in SALES else "purchase" if kind in INVOICES else "general"
    if not told.get("journal_id"):
        told["journal_id"] = next(row["id"] for row in env.all("account.journal") if row["type"] == use)
    if not told.get("currency_id"):
        told["currency_id"] = env.row("res.company", env.companies[0])["currency_id"]
    if not told.get("name") and env.version < 19:
        told["name"] = "/"
    for name in _AMOUNTS:
        told.setdefault(name, 0.0)
    partner = env.store.table("res.partner").rows.get(vals.get("partner_id") or 0)
    if kind in INVOICES:
        told.setdefault("invoice_user_id", (partner or {}).get("user_id") or env.uid)
        told.setdefault("team_id", 1)
        if partner is not None:
            told = _of_partner(env, told, partner)
    if env.version >= 19:
        told["invoice_currency_rate"] = taxes.rate(env, told["currency_id"], env.companies[0])
    return told


_AMOUNTS = (
    *("amount_untaxed", "amount_tax", "amount_total", "amount_residual", "amount_untaxed_signed", "amount_tax_signed"),
    *("amount_total_signed", "amount_residual_signed", "amount_total_in_currency_signed"),
)


def _of_partner(env: Env, vals: Row, partner: Row) -> Row:
    told = dict(vals)
    told.setdefault("partner_shipping_id", address(env, partner, "delivery") if vals["move_type"] in SALES else None)
    told |= {"commercial_partner_id": partner["commercial_partner_id"], "invoice_partner_display_name": partner["complete_name"]}
    if "fiscal_position_id" not in vals:
        where = env.row("res.partner", told["partner_shipping_id"] or partner["id"])
        told["fiscal_position_id"] = taxes.position(env, where)
    if "invoice_payment_term_id" not in vals:
        term = "property_payment_term_id" if vals["move_type"] in SALES else "property_supplier_payment_term_id"
        told["invoice_payment_term_id"] = orm.value(env, env.model("res.partner").fields[term], partner)
    return told


@prepares("account.move.line")
def _line_prepared(env: Env, vals: Row) -> Row:
    move = env.store.table("account.move").rows.get(vals.get("move_id") or 0)
    told = {"price_unit": 0.0, "discount": 0.0, "reconciled": False, **vals}
    if move is None or vals.get("_made"):
        return told
    if move["state"] == "posted" and env.version >= 19:
        raise errors.user("You cannot modify the following readonly fields on a posted move: invoice_line_ids")
    shown = vals.get("display_type") or ("product" if move["move_type"] in INVOICES else None)
    if shown is None:
        raise errors.NotSimulatedError("journal items written by hand")
    told["display_type"] = shown
    told |= {name: move[name] for name in ("partner_id", "journal_id", "company_id", "currency_id", "date")}
    if shown in ("line_section", "line_subsection", "line_note"):
        told["quantity"] = 0.0
    if shown != "product":
        return told
    product = env.store.table("product.product").rows.get(vals.get("product_id") or 0)
    kind = "income" if move["move_type"] in SALES else "expense"
    if not vals.get("account_id"):
        told["account_id"] = next(row["id"] for row in env.all("account.account") if row["account_type"] == kind)
    if product is not None:
        template = env.row("product.template", product["product_tmpl_id"])
        told.setdefault("name", orm.display(env, "product.product", product["id"]))
        told.setdefault("product_uom_id", template["uom_id"])
        if "price_unit" not in vals:
            told["price_unit"] = template["list_price"]
        if "tax_ids" not in vals:
            own = template["taxes_id"] if move["move_type"] in SALES else template["supplier_taxes_id"]
            told["tax_ids"] = taxes.mapped(env, own, move["fiscal_position_id"])
    return told


@checks("account.move")
def _checked(env: Env, ids: list[int], vals: Row) -> None:
    for row in env.rows("account.move", ids):
        if row["state"] != "posted":
            continue
        touched = [name for name in KEPT_WHEN_POSTED if name in vals]
        if env.version >= 19 and touched:
            raise errors.user(f"You cannot modify the following readonly fields on a posted move: {', '.join(touched)}")
        if any(name in vals for name in LEGAL):
            reconciled(env, row)


def reconciled(env: Env, move: Row) -> None:
    """Raise what 17 says of changing a posted document that something is reconciled with."""
    lines = env.all("account.move.line", move_id=move["id"])
    if env.version < 19 and any(ledger.parts(env, line["id"]) for line in lines):
        raise errors.user(
            "You cannot do this modification on a reconciled journal entry. You can just change some non legal fields or you must "
            "unreconcile "
            f"first.\nJournal Entry (id): {move['name']} ({move['id']})"
        )


_FIGURED = {"price_unit", "quantity", "discount", "tax_ids", "account_id"}


@checks("account.move.line")
def _line_checked(env: Env, ids: list[int], vals: Row) -> None:
    if {"debit", "credit", "balance", "amount_currency"} & set(vals):
        raise errors.NotSimulatedError("journal items written by hand")
    for row in env.rows("account.move.line", ids):
        move = env.row("account.move", row["move_id"])
        if move["state"] == "posted" and _FIGURED & set(vals):
            if env.version >= 19:  # it lets them be written, and leaves the document's figures as they were
                raise errors.NotSimulatedError("writing to a line of a posted document past the document")
            reconciled(env, move)


def _anew(env: Env, row: Row, changed: set[str]) -> None:
    """Work out what a line takes from its product and unit, where the write did not name it; 19 leaves the text as it is."""
    move = env.row("account.move", row["move_id"])
    product = env.store.table("product.product").rows.get(row["product_id"] or 0)
    if row["display_type"] != "product" or product is None or move["move_type"] not in SALES:
        return
    template = env.row("product.template", product["product_tmpl_id"])
    told: Row = {}
    unit = row["product_uom_id"] or template["uom_id"]
    if "product_id" in changed:
        unit = template["uom_id"] if "product_uom_id" not in changed else unit
        told |= {"product_uom_id": unit, "tax_ids": tuple(taxes.mapped(env, template["taxes_id"], move["fiscal_position_id"]))}
        if env.version < 19:
            told["name"] = orm.display(env, "product.product", product["id"])
    told["price_unit"] = float(template["list_price"] or 0.0) * contents(env, unit) / contents(env, template["uom_id"])
    env.set("account.move.line", row["id"], {name: one for name, one in told.items() if name not in changed})


@settles("account.move.line")
def _line_settled(env: Env, ids: list[int], changed: set[str] | None) -> None:
    if changed and {"product_id", "product_uom_id"} & changed:
        for row in env.rows("account.move.line", ids):
            _anew(env, row, changed)
    if env.context.get("_building") == "account.move":
        return
    for move in dict.fromkeys(row["move_id"] for row in env.rows("account.move.line", ids)):
        if env.row("account.move", move)["move_type"] in INVOICES:
            recompute(env, move)


_WORKED_FROM = {"partner_id", "invoice_date", "invoice_payment_term_id", "currency_id", "invoice_line_ids", "line_ids"}


@settles("account.move")
def _settled(env: Env, ids: list[int], changed: set[str] | None) -> None:
    for key in ids:
        move = env.row("account.move", key)
        if changed and "partner_id" in changed:
            env.set("account.move", key, _partner_changed(env, move))
        if move["move_type"] in INVOICES and (changed is None or _WORKED_FROM & changed):
            recompute(env, key)
        if changed is None and env.version < 19 and move["name"] == "/" and not _numbered(env, move):
            env.set("account.move", key, {"name": number(env, move)})


def _partner_changed(env: Env, move: Row) -> Row:
    partner = env.row("res.partner", move["partner_id"])
    return {"commercial_partner_id": partner["commercial_partner_id"], "invoice_partner_display_name": partner["complete_name"]}


def _month_end(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def _due(env: Env, line: Row, start: date) -> str:
    """Return the day on which a part of a term is due."""
    days = timedelta(days=line["nb_days"] or 0)
    match line["delay_type"]:
        case "days_after":
            return (start + days).isoformat()
        case "days_after_end_of_month":
            return (_month_end(start) + days).isoformat()
        case "days_after_end_of_next_month":
            return (_month_end(_month_end(start) + timedelta(days=1)) + days).isoformat()
    raise errors.NotSimulatedError(f"payment terms by {line['delay_type']}")


def _installments(env: Env, move: Row, total: float, balance: float, exchange: float, own: int) -> list[tuple[str, float, float]]:
    """Return what is due when by a document's term: the day, the amount, and the balance; the last part takes what is left."""
    term = move["invoice_payment_term_id"]
    lines = sorted(env.all("account.payment.term.line", payment_id=term), key=lambda row: row["id"]) if term else []
    if not lines:
        today = env.transaction.stamp[:10]
        return [(str(move["invoice_date_due"] or today), total, balance)]
    start = date.fromisoformat(str(move["invoice_date"] or env.transaction.stamp)[:10])
    found = []
    left, left_balance = total, balance
    for line in lines[:-1]:
        if line["value"] == "percent":
            part = orm.money(env, total * line["value_amount"] / 100, move["currency_id"])
            in_own = orm.money(env, balance * line["value_amount"] / 100, own)
        else:
            way = 1 if total >= 0 else -1
            part = orm.money(env, way * line["value_amount"], move["currency_id"])
            in_own = orm.money(env, part / exchange, own)
        found.append((_due(env, line, start), part, in_own))
        left, left_balance = left - part, left_balance - in_own
    rest = (orm.money(env, left, move["currency_id"]), orm.money(env, left_balance, own))
    return [*found, (_due(env, lines[-1], start), *rest)]


def recompute(env: Env, key: int) -> None:
    """Work out a document's lines, its tax and its open item."""
    move = env.row("account.move", key)
    currency, company = move["currency_id"], move["company_id"]
    own = env.row("res.company", company)["currency_id"]
    exchange = taxes.rate(env, currency, company, move["invoice_date"])
    rows = [row for row in env.all("account.move.line", move_id=key) if row["display_type"] == "product"]
    rows.sort(key=lambda row: (row["sequence"], row["id"]))
    lines = [taxes.line(env, row["quantity"], row["price_unit"], row["discount"], row["tax_ids"] or (), currency) for row in rows]
    found = taxes.totals(env, lines, currency)
    way = -sign(move)
    balances = 0.0
    for row, line, base in zip(rows, lines, found.bases, strict=True):
        told = {
            "price_subtotal": line.subtotal,
            "price_total": line.total,
            "currency_id": currency,
            "partner_id": move["commercial_partner_id"],
        }
        told |= {"move_name": move["name"], "parent_state": move["state"], "company_currency_id": own}
        balances += _entered(env, row["id"], told, way * base, exchange, own)
    for tax, amount in found.taxes.items():
        account = next(row["id"] for row in env.all("account.account") if "Tax Received" in row["name"]["en_US"])
        name = orm.value(env, env.model("account.tax").fields["name"], env.row("account.tax", tax))
        entry = _made(env, move, "tax", tax, {"name": name, "account_id": account, "sequence": 10000})
        balances += _entered(env, entry, {}, way * amount, exchange, own)
    for row in env.all("account.move.line", move_id=key):
        if row["display_type"] == "tax" and row["tax_line_id"] not in found.taxes:
            env.store.put(env.transaction, "account.move.line", row["id"], None)
    total = orm.money(env, found.untaxed + found.tax, currency)
    if rows:
        kind = "asset_receivable" if move["move_type"] in SALES else "liability_payable"
        account = next(row["id"] for row in env.all("account.account") if row["account_type"] == kind)
        label = _term_label(env, move)
        parts = _installments(env, move, -way * total, -orm.money(env, balances, own), exchange, own)
        kept = [row["id"] for row in env.all("account.move.line", move_id=key) if row["display_type"] == "payment_term"]
        for number, (due, amount, balance) in enumerate(parts):
            vals = {"name": label, "account_id": account, "sequence": 12000, "date_maturity": due}
            entry = kept[number] if number < len(kept) else _item(env, move, "payment_term", None, vals)
            _entered(env, entry, {"name": label, "date_maturity": due}, amount, exchange, own, balance=balance)
        for gone in kept[len(parts) :]:
            env.store.put(env.transaction, "account.move.line", gone, None)
        env.set("account.move", key, {"invoice_date_due": parts[-1][0]})
    else:
        for row in env.all("account.move.line", move_id=key):
            if row["display_type"] == "payment_term":
                env.store.put(env.transaction, "account.move.line", row["id"], None)
    way = sign(move)
    signed = orm.money(env, abs(balances) if rows else 0.0, own) * way
    untaxed = sum(env.row("account.move.line", row["id"])["balance"] for row in rows)
    told = {"amount_untaxed": found.untaxed, "amount_tax": orm.money(env, found.tax, currency), "amount_total": total}
    told |= {
        "amount_untaxed_signed": orm.money(env, -untaxed, own),
        "amount_total_signed": signed,
        "amount_total_in_currency_signed": total * way,
    }
    told["amount_tax_signed"] = orm.money(env, signed + untaxed, own)
    env.set("account.move", key, told)
    ledger.residuals(env, key)


def _term_label(env: Env, move: Row) -> Any:
    if move["state"] != "posted":
        return move["ref"] or move["payment_reference"]
    reference = move["payment_reference"]
    if env.version >= 19 and move["ref"] and reference:
        return f"{move['ref']} - {reference}"
    return reference


def _made(env: Env, move: Row, kind: str, tax: int | None, vals: Row) -> int:
    """Return the item of a kind that the server keeps by itself, made if it is not there."""
    for row in env.all("account.move.line", move_id=move["id"]):
        if row["display_type"] == kind and row["tax_line_id"] == tax:
            return int(row["id"])
    return _item(env, move, kind, tax, vals)


def _item(env: Env, move: Row, kind: str, tax: int | None, vals: Row) -> int:
    return ledger.item(env, move, {**vals, "display_type": kind, "tax_line_id": tax, "quantity": 0.0})


def _entered(env: Env, key: int, told: Row, amount: float, exchange: float, own: int, balance: float | None = None) -> float:
    """Set an item's amounts: in the document's currency, and in the company's."""
    found = orm.money(env, amount / exchange, own) if balance is None else balance
    both = {"debit": max(found, 0.0), "credit": max(-found, 0.0), "balance": found, "amount_currency": amount}
    env.set("account.move.line", key, {**told, **both})
    return found


def _numbered(env: Env, move: Row) -> list[Row]:
    """Return the other documents of the move's series that have a number."""
    prefix = _prefix(env, move)
    return [row for row in env.all("account.move") if row["id"] != move["id"] and (row["name"] or "").startswith(prefix)]


def _prefix(env: Env, move: Row) -> str:
    journal = env.row("account.journal", move["journal_id"])
    code = journal["code"]
    if move["move_type"] in ("out_refund", "in_refund"):
        code = f"R{code}"
    if journal["type"] in ("bank", "cash"):
        code = f"P{code}"
    return f"{code}/{(move['invoice_date'] or move['date'] or env.transaction.stamp)[:4]}/"


def number(env: Env, move: Row) -> str:
    """Return the next number of the move's series."""
    taken = [int(row["name"].rsplit("/", 1)[1]) for row in _numbered(env, move)]
    return f"{_prefix(env, move)}{max(taken, default=0) + 1:05d}"


@method("account.move", "action_post")
def action_post(self: Records) -> bool:
    """Post drafts. Returns False, which is success."""
    for key in self.ids:
        post(self.env, key)
    self.env.database.webhooks.happened(self.env, "account.move", self.ids, "post", None)
    return False


def post(env: Env, key: int) -> None:
    move = env.row("account.move", key)
    if move["state"] == "posted" or move["state"] == "cancel":
        raise errors.user(f"The entry {move['name']} (id {key}) must be in draft.")
    lines = env.all("account.move.line", move_id=key)
    if move["move_type"] in INVOICES:
        if not move["partner_id"]:
            raise errors.user(
                "The 'Customer' field is required to validate the invoice.\n"
                "You probably don't want to explain to your auditor that you invoiced an invisible man :)"
                if env.version >= 19
                else "The field 'Customer' is required, please complete it to validate the Customer Invoice."
            )
        if not any(row["display_type"] == "product" for row in lines):
            raise errors.user("Even magicians can't post nothing!" if env.version >= 19 else "You need to add a line before posting.")
        if move["amount_total"] < 0:
            raise errors.user(
                "You cannot validate an invoice with a negative total amount. You should create a credit note instead. Use the action menu "
                "to transform it into a credit note or refund."
            )
        if not move["invoice_date"]:
            env.set("account.move", key, {"invoice_date": env.transaction.stamp[:10]})
        env.set("account.move", key, {"date": env.row("account.move", key)["invoice_date"]})
    move = env.row("account.move", key)
    name = move["name"] if move["name"] not in (None, "/") else number(env, move)
    told: Row = {"state": "posted", "name": name, "posted_before": True}
    if move["move_type"] in SALES and not move["payment_reference"]:
        told["payment_reference"] = name
    env.set("account.move", key, told)
    for row in lines:
        env.set("account.move.line", row["id"], {"parent_state": "posted", "move_name": name, "date": move["date"]})
    if move["move_type"] in INVOICES:
        recompute(env, key)
        _ranked(env, move)
        origin = env.store.table("account.move").rows.get(move["reversed_entry_id"] or 0)
        if origin is not None and origin["state"] == "posted":
            ledger.reconcile(env, [row["id"] for one in (origin["id"], key) for row in ledger.open_items(env, one)])


def _ranked(env: Env, move: Row) -> None:
    """Count the document in the partner's rank: on 19 through the ORM, which stamps the partner, on 17 by SQL."""
    name = "customer_rank" if move["move_type"] in SALES else "supplier_rank"
    if move["move_type"] not in ("out_invoice", "in_invoice"):
        return
    for key in {move["partner_id"], move["commercial_partner_id"]}:
        told = {name: (env.row("res.partner", key)[name] or 0) + 1}
        if env.version >= 19:
            env.set("res.partner", key, told)
        else:
            env.sql("res.partner", key, told)


@method("account.move", "button_draft")
def button_draft(self: Records) -> None:
    for row in self.rows:
        if row["state"] not in ("posted", "cancel"):
            raise errors.user("Only posted/cancelled journal entries can be reset to draft.")
        _undone(self.env, row["id"], "draft")


@method("account.move", "button_cancel")
def button_cancel(self: Records) -> None:
    for row in self.rows:
        if row["state"] == "cancel":
            raise errors.user("Only draft journal entries can be cancelled.")
        _undone(self.env, row["id"], "cancel")


def _undone(env: Env, key: int, state: str) -> None:
    ledger.loosen(env, [row["id"] for row in env.all("account.move.line", move_id=key)])
    env.set("account.move", key, {"state": state})
    for row in env.all("account.move.line", move_id=key):
        env.set("account.move.line", row["id"], {"parent_state": state})
    if env.row("account.move", key)["move_type"] in INVOICES:
        recompute(env, key)


_NO_GAMES = (
    "You can't delete a posted journal item. Don\u2019t play games with your accounting records; reset the journal entry to draft before "
    "deleting it."
)


@leaves("account.move")
def _leaving(env: Env, ids: list[int]) -> None:
    for row in env.rows("account.move", ids):
        if row["state"] == "posted":
            reconciled(env, row)
            raise errors.user(_NO_GAMES)
        if row["posted_before"] and env.version < 19 and row["name"] not in (None, "/"):
            _last_only(env, row)


def _last_only(env: Env, move: Row) -> None:
    if any(row["name"] > move["name"] for row in _numbered(env, move)):
        raise errors.NotSimulatedError("deleting a draft from the middle of a series")


@leaves("account.move.line")
def _line_leaving(env: Env, ids: Iterable[int]) -> None:
    rows = [env.row("account.move.line", key) for key in ids]
    moves = {row["move_id"] for row in rows if row["move_id"] in env.store.table("account.move").rows}
    for move in (env.row("account.move", key) for key in moves):
        if move["state"] == "posted":
            reconciled(env, move)
            raise errors.user(_NO_GAMES)
    if env.context.get("_with_parent") != "account.move" and any(row["display_type"] == "payment_term" for row in rows):
        words = "You cannot delete a payable/receivable line as it would not be consistent with the payment terms"
        raise errors.validation(words)
    for row in rows:
        env.store.put(env.transaction, "account.move.line", row["id"], None)
    for key in moves:
        if env.row("account.move", key)["move_type"] in INVOICES and any(row["display_type"] == "product" for row in rows):
            recompute(env, key)


@prepares("account.move.reversal")
def _wizard(env: Env, vals: Row) -> Row:
    ids = vals.get("move_ids") or [[6, 0, env.context.get("active_ids") or []]]
    return {**vals, "move_ids": ids}


def _reversed(self: Records) -> Row:
    made = []
    for wizard in self.rows:
        for key in wizard["move_ids"]:
            move = self.env.row("account.move", key)
            if move["move_type"] not in ("out_invoice", "in_invoice"):
                raise errors.NotSimulatedError(f"the reversal of {move['move_type']}")
            reason = f", {wizard['reason']}" if wizard["reason"] else ""
            told: Row = {"move_type": move["move_type"].replace("invoice", "refund"), "reversed_entry_id": key}
            told |= {"ref": f"Reversal of: {move['name']}{reason}", "invoice_date": wizard["date"], "date": wizard["date"]}
            made.append(orm.copied(self.env.as_root(), self.env.model("account.move"), key, told))
    action: Row = {"name": "Reverse Moves", "type": "ir.actions.act_window", "res_model": "account.move", "view_mode": "form"}
    return {**action, "res_id": made[0]} if len(made) == 1 else {**action, "domain": [["id", "in", made]]}


@method("account.move.reversal", "refund_moves", only=19)
def refund_moves(self: Records) -> Row:
    return _reversed(self)


@method("account.move.reversal", "reverse_moves", only=17)
def reverse_moves(self: Records, is_modify: bool = False) -> Row:
    if is_modify:
        raise errors.NotSimulatedError("reversing with a new draft")
    return _reversed(self)
