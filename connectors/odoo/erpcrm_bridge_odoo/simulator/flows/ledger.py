"""Open items: journal items made by the server, what is reconciled with what, and what is left open."""

from __future__ import annotations

from erpcrm_bridge_odoo.simulator import errors, orm, taxes
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.env import Env, leaves
from erpcrm_bridge_odoo.simulator.store import Row

OPEN = ("asset_receivable", "liability_payable")
_ZERO = ("debit", "credit", "balance", "amount_currency", "amount_residual", "amount_residual_currency", "price_unit", "discount")


def item(env: Env, move: Row, vals: Row) -> int:
    """Make a journal item as the server does by itself, past what holds for callers."""
    key = env.store.next_id("account.move.line")
    spec = env.model("account.move.line")
    row: Row = {name: None for name, one in spec.fields.items() if one.store}
    row |= dict.fromkeys((*_ZERO, "price_subtotal", "price_total"), 0.0)
    row |= {name: () for name, one in spec.fields.items() if one.type == "many2many" and one.store}
    row |= {name: move[name] for name in ("journal_id", "company_id", "currency_id", "date", "state")}
    row |= {"partner_id": move["commercial_partner_id"] or move["partner_id"], "parent_state": row.pop("state"), "move_name": move["name"]}
    stamp = env.transaction.stamp
    row |= {"id": key, "_model": spec.name, "move_id": move["id"], "reconciled": False, "sequence": 10, "quantity": 1.0}
    row |= {"create_date": stamp, "write_date": stamp, "create_uid": env.uid, "write_uid": env.uid}
    row["company_currency_id"] = env.row("res.company", move["company_id"])["currency_id"]
    env.store.put(env.transaction, spec.name, key, {**row, **vals})
    return key


def parts(env: Env, line: int) -> list[Row]:
    """Return the reconciliations that a journal item is in."""
    return env.all("account.partial.reconcile", debit_move_id=line) + env.all("account.partial.reconcile", credit_move_id=line)


def open_items(env: Env, move: int) -> list[Row]:
    """Return a move's items on accounts that are reconciled with partners."""
    kinds = {row["id"]: row["account_type"] for row in env.all("account.account")}
    return [row for row in env.all("account.move.line", move_id=move) if kinds.get(row["account_id"]) in OPEN]


def residuals(env: Env, move_id: int) -> None:
    """Work out what of a move is open, and its payment state."""
    move = env.row("account.move", move_id)
    own = env.row("res.company", move["company_id"])["currency_id"]
    for row in open_items(env, move_id):
        taken = foreign = 0.0
        for part in parts(env, row["id"]):
            way = -1 if part["debit_move_id"] == row["id"] else 1
            taken += way * part["amount"]
            foreign += way * part["debit_amount_currency" if way < 0 else "credit_amount_currency"]
        left = orm.money(env, row["balance"] + taken, own)
        left_foreign = orm.money(env, row["amount_currency"] + foreign, row["currency_id"])
        done = not left and not left_foreign and bool(row["balance"]) and move["state"] == "posted"
        env.set("account.move.line", row["id"], {"amount_residual": left, "amount_residual_currency": left_foreign, "reconciled": done})
    if move["move_type"] == "entry":
        _outstanding(env, move)
        return
    items = open_items(env, move_id)
    left = sum(row["amount_residual"] for row in items)
    foreign = orm.money(env, abs(sum(row["amount_residual_currency"] for row in items)), move["currency_id"])
    told = {
        "amount_residual": foreign,
        "amount_residual_signed": orm.money(env, left, own),
        "payment_state": _state(env, move, items, foreign),
    }
    env.set("account.move", move_id, told)


def _outstanding(env: Env, move: Row) -> None:
    """Show as open what stands on an account that a bank statement will be reconciled with."""
    for row in env.all("account.move.line", move_id=move["id"]):
        account = env.row("account.account", row["account_id"])
        if account["reconcile"] and account["account_type"] not in OPEN:
            left = (row["balance"], row["amount_currency"]) if move["state"] == "posted" else (0.0, 0.0)
            env.set("account.move.line", row["id"], {"amount_residual": left[0], "amount_residual_currency": left[1]})


def _state(env: Env, move: Row, items: list[Row], left: float) -> str:
    found = [part for row in items for part in parts(env, row["id"]) if part["debit_amount_currency"] or part["credit_amount_currency"]]
    if move["state"] != "posted" or not found:
        return "paid" if move["state"] == "posted" and not move["amount_total"] else "not_paid"
    if left:
        return "partial"
    others = [
        other for part in found for other in (part["debit_move_id"], part["credit_move_id"]) if other not in {row["id"] for row in items}
    ]
    kinds = {env.row("account.move", env.row("account.move.line", key)["move_id"])["move_type"] for key in others}
    return "reversed" if kinds <= {"out_refund", "in_refund"} else "paid"


def reconcile(env: Env, lines: list[int]) -> None:
    """Reconcile open items with one another, oldest first, as far as they go."""
    rows = [env.row("account.move.line", key) for key in lines]
    debits = [row["id"] for row in rows if row["balance"] > 0]
    credits_ = [row["id"] for row in rows if row["balance"] < 0]
    debits.sort(key=lambda key: (env.row("account.move.line", key)["date_maturity"] or "", key))
    for debit in debits:
        for credit in credits_:
            _matched(env, debit, credit)
    moves = dict.fromkeys(row["move_id"] for row in rows)
    for key in moves:
        residuals(env, key)
    _whole(env, lines)
    _payments(env, list(moves))
    paid = [key for key in moves if env.row("account.move", key)["move_type"] != "entry"]
    env.database.webhooks.happened(env, "account.move", paid, "paid", None)


def _matched(env: Env, debit: int, credit: int) -> None:
    """Reconcile two items as far as they go: in the foreign currency, where one of them is in one. What the company's amounts of both
    differ by then is a gain or loss of exchange, entered by itself."""
    for line in (debit, credit):
        residuals(env, env.row("account.move.line", line)["move_id"])
    left, right = env.row("account.move.line", debit), env.row("account.move.line", credit)
    company = left["company_id"]
    own = env.row("res.company", company)["currency_id"]
    foreign = {left["currency_id"], right["currency_id"]} - {own}
    if len(foreign) > 1:
        raise errors.NotSimulatedError("reconciling amounts of two foreign currencies")
    currency = next(iter(foreign), own)
    day = max(left["date"], right["date"])
    rate = taxes.rate(env, currency, company, day)
    open_left, open_right = (_open(env, row, way, currency, rate) for row, way in ((left, 1), (right, -1)))
    amount = min(open_left, open_right)
    if amount <= 0:
        return
    worth = [_worth(env, row, amount, whole, rate, currency) for row, whole in ((left, open_left), (right, open_right))]
    taken = min(worth)
    told = {"debit_move_id": debit, "credit_move_id": credit, "amount": taken, "max_date": day, "company_id": company}
    for name, row, own_worth in (("debit", left, worth[0]), ("credit", right, worth[1])):
        told[f"{name}_amount_currency"] = amount if row["currency_id"] == currency else own_worth
        told[f"{name}_currency_id"] = row["currency_id"]
    if left["currency_id"] != right["currency_id"]:
        own_side = "debit" if left["currency_id"] == own else "credit"
        told[f"{own_side}_amount_currency"] = worth[0 if own_side == "debit" else 1]
    part = orm.create(env.as_root(), env.model("account.partial.reconcile"), [told])[0]
    off = orm.money(env, worth[1] - worth[0], own)
    if off:
        _exchanged(env, part, right if off > 0 else left, off, day)


def _open(env: Env, row: Row, way: int, currency: int, rate: float) -> float:
    """Return what of an item is open, in a currency."""
    if row["currency_id"] == currency:
        return float(way * row["amount_residual_currency"])
    return orm.money(env, way * row["amount_residual"] * rate, currency)


def _worth(env: Env, row: Row, amount: float, whole: float, rate: float, currency: int) -> float:
    """Return what a part of an item is worth in the company's currency: at the item's own rate; the whole is what is left of it."""
    own = row["company_currency_id"]
    if amount == whole:
        return abs(float(row["amount_residual"]))
    if row["currency_id"] != currency:
        return orm.money(env, amount / rate, own)
    return orm.money(env, amount * abs(row["balance"] / row["amount_currency"]), own)


def _exchanged(env: Env, part: int, row: Row, off: float, day: str) -> None:
    """Enter a gain (``off`` above zero) or loss of exchange on an item, and reconcile it there."""
    from erpcrm_bridge_odoo.simulator.flows import billing

    journal = next(one["id"] for one in env.all("account.journal") if one["code"] == "EXCH")
    told: Row = {"move_type": "entry", "journal_id": journal, "date": day, "partner_id": row["partner_id"] or False}
    move = orm.create(env.as_root().having(tracking_disable=True), env.model("account.move"), [told])[0]
    env.sql("account.move", move, {"currency_id": row["currency_id"], "commercial_partner_id": row["partner_id"]})
    wanted = "Foreign Exchange Gain" if off > 0 else "Foreign Exchange Loss"
    account = next(one["id"] for one in env.all("account.account") if one["name"]["en_US"] == wanted)
    entry = env.row("account.move", move)
    items = []
    for of, amount in ((row["account_id"], off), (account, -off)):
        both = {"debit": max(amount, 0.0), "credit": max(-amount, 0.0), "balance": amount, "amount_currency": 0.0}
        vals = {**both, "account_id": of, "display_type": "product", "date": day, "currency_id": row["currency_id"]}
        items.append(item(env, entry, {**vals, "name": "Currency exchange rate difference"}))
    billing.post(env, move)
    pair = {"debit_move_id": items[0], "credit_move_id": row["id"]} if off > 0 else {"debit_move_id": row["id"], "credit_move_id": items[0]}
    told = {**pair, "amount": abs(off), "max_date": day, "company_id": row["company_id"]}
    told |= {"debit_amount_currency": 0.0, "credit_amount_currency": 0.0}
    told |= {"debit_currency_id": row["currency_id"], "credit_currency_id": row["currency_id"]}
    orm.create(env.as_root(), env.model("account.partial.reconcile"), [told])
    env.set("account.partial.reconcile", part, {"exchange_move_id": move})
    residuals(env, move)


def _whole(env: Env, lines: list[int]) -> None:
    """Bind the reconciliations together once nothing of their items is open."""
    seen: set[int] = set()
    todo = list(lines)
    found: dict[int, Row] = {}
    while todo:
        line = todo.pop()
        if line in seen:
            continue
        seen.add(line)
        for part in parts(env, line):
            found[part["id"]] = part
            todo += [part["debit_move_id"], part["credit_move_id"]]
    if found and all(env.row("account.move.line", key)["reconciled"] for key in seen):
        whole = orm.create(env.as_root(), env.model("account.full.reconcile"), [{}])[0]
        for key in found:
            env.set("account.partial.reconcile", key, {"full_reconcile_id": whole})
        for line in seen:
            env.set("account.move.line", line, {"full_reconcile_id": whole})


def _payments(env: Env, moves: list[int]) -> None:
    """Set what payments tell of being reconciled; in 19 a payment whose invoices are all paid is paid."""
    for key in moves:
        payment = next((row for row in env.all("account.payment") if row["move_id"] == key), None)
        if payment is None:
            _payments(env, [one for one in _paying(env, key) if one not in moves])
            continue
        items = open_items(env, key)
        linked = [part for row in items for part in parts(env, row["id"])]
        told: Row = {"is_reconciled": all(row["reconciled"] for row in items)}
        if env.version >= 19 and payment["state"] in ("in_process", "paid"):
            moves_of = {env.row("account.move.line", part["debit_move_id"])["move_id"] for part in linked}
            invoices = [one for one in env.rows("account.move", moves_of) if one["move_type"] != "entry"]
            done = linked and all(one["payment_state"] == "paid" for one in invoices)
            told["state"] = "paid" if done else "in_process"
        env.set("account.payment", payment["id"], told)


def _paying(env: Env, move: int) -> list[int]:
    lines = [row["id"] for row in open_items(env, move)]
    others = [env.row("account.move.line", part["credit_move_id"])["move_id"] for line in lines for part in parts(env, line)]
    return [key for key in dict.fromkeys(others) if env.row("account.move", key)["move_type"] == "entry"]


def loosen(env: Env, lines: list[int]) -> None:
    """Undo the reconciliations of these items."""
    found = {part["id"]: part for line in lines for part in parts(env, line)}
    _dropped(env, list(found.values()))


def _dropped(env: Env, found: list[Row]) -> None:
    touched = [key for part in found for key in (part["debit_move_id"], part["credit_move_id"])]
    for part in found:
        env.store.put(env.transaction, "account.partial.reconcile", part["id"], None)
    moves = [env.row("account.move.line", key)["move_id"] for key in dict.fromkeys(touched)]
    for line in dict.fromkeys(touched):
        env.set("account.move.line", line, {"full_reconcile_id": None})
    for move in dict.fromkeys(moves):
        residuals(env, move)
    _payments(env, list(dict.fromkeys(moves)))


@leaves("account.partial.reconcile")
def _leaving(env: Env, ids: list[int]) -> None:
    _dropped(env, env.rows("account.partial.reconcile", ids))


@method("account.move.line", "reconcile")
def reconcile_lines(self: Records) -> None:
    reconcile(self.env, self.ids)


@method("account.move.line", "remove_move_reconcile")
def remove_move_reconcile(self: Records) -> None:
    loosen(self.env, self.ids)


@method("account.move", "js_assign_outstanding_line")
def js_assign_outstanding_line(self: Records, line_id: int) -> None:
    own = [row["id"] for key in self.ids for row in open_items(self.env, key) if not row["reconciled"]]
    reconcile(self.env, [*own, line_id])


@method("account.move", "js_remove_outstanding_partial")
def js_remove_outstanding_partial(self: Records, partial_id: int) -> None:
    _dropped(self.env, [self.env.row("account.partial.reconcile", partial_id)])
