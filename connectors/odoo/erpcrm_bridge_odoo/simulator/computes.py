"""Fields that are not stored: what the server works out when it is asked; and how records are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from erpcrm_bridge_odoo.simulator.store import Row

if TYPE_CHECKING:
    from erpcrm_bridge_odoo.simulator.env import Env

Compute = Callable[[Any, Row], Any]


def related(path: str) -> Compute:
    """Return the computation that follows a path of many2ones."""
    *steps, last = path.split(".")

    def follow(env: Env, row: Row) -> Any:
        from erpcrm_bridge_odoo.simulator.orm import value

        model = row["_model"]
        for step in steps:
            spec = env.model(model).fields[step]
            held = value(env, spec, row)
            if not held:
                return None
            model = spec.relation or ""
            row = env.row(model, held)
        target = env.model(model).fields.get(last)
        return value(env, target, row) if target else None

    return follow


def _company_type(env: Env, row: Row) -> str:
    return "company" if row.get("is_company") else "person"


def _pricelist(env: Env, row: Row) -> int | None:
    own = row.get("_pricelist")
    return own or next((one["id"] for one in env.all("product.pricelist") if one.get("active")), None)


def _limited(env: Env, row: Row) -> bool:
    return bool((row.get("credit_limit") or {}).get(env.companies[0]))


def _currency(env: Env, row: Row) -> int:
    return int(env.row("res.company", env.companies[0])["currency_id"])


def _balance(kind: str) -> Compute:
    """Return what is open on a partner's accounts of a kind; of a child there is nothing."""

    def open_amount(env: Env, row: Row) -> float:
        from erpcrm_bridge_odoo.simulator.orm import money

        accounts = {one["id"] for one in env.all("account.account") if one["account_type"] == kind}
        found = [line for line in env.all("account.move.line", partner_id=row["id"]) if line["account_id"] in accounts]
        open_ones = [line["amount_residual"] or 0.0 for line in found if line["parent_state"] == "posted" and not line["reconciled"]]
        total = money(env, sum(open_ones), _currency(env, row))
        return total if kind == "asset_receivable" else -total

    return open_amount


def _total_invoiced(env: Env, row: Row) -> float:
    from erpcrm_bridge_odoo.simulator.orm import money

    family = [one["id"] for one in env.all("res.partner", commercial_partner_id=row["id"])]
    moves = [move for key in family for move in env.all("account.move", partner_id=key)]
    counted = [move for move in moves if move["state"] == "posted" and move["move_type"] in ("out_invoice", "out_refund")]
    return money(env, sum(move["amount_untaxed_signed"] for move in counted), _currency(env, row))


def _credit_to_invoice(env: Env, row: Row) -> float:
    from erpcrm_bridge_odoo.simulator.orm import money

    if row.get("commercial_partner_id") != row["id"]:
        return 0.0
    family = {one["id"] for one in env.all("res.partner", commercial_partner_id=row["id"])}
    orders = [order for key in family for order in env.all("sale.order", partner_id=key) if order["state"] == "sale"]
    return money(env, sum(_to_invoice(env, order) for order in orders), _currency(env, row))


def _to_invoice(env: Env, order: Row) -> float:
    """Return the order's amount not yet on a posted invoice."""
    from erpcrm_bridge_odoo.simulator.orm import money

    total = sum(line["price_total"] for line in env.all("sale.order.line", order_id=order["id"]))
    return money(env, total - _invoiced(env, order), order["currency_id"])


def _invoiced(env: Env, order: Row) -> float:
    from erpcrm_bridge_odoo.simulator.orm import money

    total = 0.0
    for line in env.all("sale.order.line", order_id=order["id"]):
        for key in line.get("invoice_lines") or ():
            item = env.row("account.move.line", key)
            move = env.row("account.move", item["move_id"])
            if move["state"] == "posted":
                total += item["price_total"] if move["move_type"] == "out_invoice" else -item["price_total"]
    return money(env, total, order["currency_id"])


def _invoices(env: Env, order: Row) -> list[int]:
    lines = env.all("sale.order.line", order_id=order["id"])
    items = [key for line in lines for key in line.get("invoice_lines") or ()]
    return list(dict.fromkeys(env.row("account.move.line", key)["move_id"] for key in items))


def _rate(env: Env, row: Row) -> float:
    day = str(env.context.get("date") or env.transaction.stamp)[:10]
    rates = [rate for rate in env.all("res.currency.rate", currency_id=row["id"]) if (rate["name"] or "") <= day]
    return float(max(rates, key=lambda rate: rate["name"])["rate"]) if rates else 1.0


def _variants(env: Env, row: Row) -> list[Row]:
    return [one for one in env.all("product.product", product_tmpl_id=row["id"]) if one.get("active")]


def _of_variant(field: str) -> Compute:
    """Return a template's value of a field that stands on its one variant."""

    def of(env: Env, row: Row) -> Any:
        from erpcrm_bridge_odoo.simulator.orm import value

        found = _variants(env, row)
        return value(env, env.model("product.product").fields[field], found[0]) if len(found) == 1 else None

    return of


def _of_variants(field: str) -> Compute:
    def of(env: Env, row: Row) -> float:
        return float(sum(COMPUTES["product.product", field](env, one) for one in _variants(env, row)))

    return of


def _list_price(env: Env, row: Row) -> Any:
    return env.row("product.template", row["product_tmpl_id"])["list_price"]


def _internal(env: Env) -> set[int]:
    return {one["id"] for one in env.all("stock.location") if one["usage"] == "internal"}


def _quants(env: Env, row: Row, field: str) -> float:
    inside = _internal(env)
    return float(sum(one[field] or 0.0 for one in env.all("stock.quant", product_id=row["id"]) if one["location_id"] in inside))


def _moves(env: Env, row: Row, *, out: bool) -> float:
    inside = _internal(env)
    waiting = [one for one in env.all("stock.move", product_id=row["id"]) if one["state"] not in ("draft", "done", "cancel")]
    leaving = [one for one in waiting if (one["location_id"] in inside) == out and (one["location_dest_id"] in inside) != out]
    return float(sum(one["product_uom_qty"] for one in leaving))


def _on_hand(env: Env, row: Row) -> float:
    return _quants(env, row, "quantity")


def _free(env: Env, row: Row) -> float:
    return _quants(env, row, "quantity") - _quants(env, row, "reserved_quantity")


def _path(env: Env, row: Row) -> str:
    above = _path(env, env.row("stock.location", row["location_id"])) if row["location_id"] else ""
    return f"{above}{row['id']}/"


def _forecast(env: Env, row: Row) -> float:
    return _on_hand(env, row) + _moves(env, row, out=False) - _moves(env, row, out=True)


def _paid_by(env: Env, row: Row) -> list[int]:
    """Return the invoices that a payment is reconciled with."""
    if not row.get("move_id"):
        return []
    found = []
    for line in env.all("account.move.line", move_id=row["move_id"]):
        for side, other in (("debit_move_id", "credit_move_id"), ("credit_move_id", "debit_move_id")):
            for part in env.all("account.partial.reconcile", **{side: line["id"]}):
                found.append(env.row("account.move.line", part[other])["move_id"])
    return list(dict.fromkeys(found))


COMPUTES: dict[tuple[str, str], Compute] = {
    ("res.partner", "company_type"): _company_type,
    ("res.partner", "property_product_pricelist"): _pricelist,
    ("res.partner", "use_partner_credit_limit"): _limited,
    ("res.partner", "credit"): _balance("asset_receivable"),
    ("res.partner", "debit"): _balance("liability_payable"),
    ("res.partner", "total_invoiced"): _total_invoiced,
    ("res.partner", "credit_to_invoice"): _credit_to_invoice,
    ("res.partner", "currency_id"): _currency,
    ("res.partner", "sale_order_count"): lambda env, row: len(env.all("sale.order", partner_id=row["id"])),
    ("res.currency", "rate"): _rate,
    ("res.currency.rate", "company_rate"): lambda env, row: row["rate"],
    ("res.currency.rate", "inverse_company_rate"): lambda env, row: 1 / row["rate"] if row["rate"] else 0.0,
    ("product.template", "standard_price"): _of_variant("standard_price"),
    ("product.template", "barcode"): _of_variant("barcode"),
    ("product.template", "currency_id"): _currency,
    ("product.template", "product_variant_id"): lambda env, row: next((one["id"] for one in _variants(env, row)), None),
    ("product.template", "product_variant_count"): lambda env, row: len(_variants(env, row)),
    ("product.template", "qty_available"): _of_variants("qty_available"),
    ("product.template", "virtual_available"): _of_variants("virtual_available"),
    ("product.product", "lst_price"): _list_price,
    ("product.product", "qty_available"): _on_hand,
    ("product.product", "free_qty"): _free,
    ("product.product", "virtual_available"): _forecast,
    ("stock.location", "parent_path"): _path,
    ("product.product", "outgoing_qty"): lambda env, row: _moves(env, row, out=True),
    ("product.product", "incoming_qty"): lambda env, row: _moves(env, row, out=False),
    ("stock.quant", "available_quantity"): lambda env, row: (row["quantity"] or 0.0) - (row["reserved_quantity"] or 0.0),
    ("uom.uom", "rounding"): lambda env, row: 0.01,
    ("account.tax", "price_include"): lambda env, row: row.get("price_include_override") == "tax_included",
    ("account.payment", "reconciled_invoice_ids"): _paid_by,
    ("account.payment", "reconciled_invoices_count"): lambda env, row: len(_paid_by(env, row)),
    ("crm.lead", "sale_order_count"): lambda env, row: len(env.all("sale.order", opportunity_id=row["id"])),
    ("sale.order", "amount_to_invoice"): _to_invoice,
    ("sale.order", "amount_invoiced"): _invoiced,
    ("sale.order", "invoice_ids"): _invoices,
    ("sale.order", "invoice_count"): lambda env, row: len(_invoices(env, row)),
    ("sale.order", "delivery_count"): lambda env, row: len(env.all("stock.picking", sale_id=row["id"])),
    ("ir.model.data", "complete_name"): lambda env, row: f"{row['module']}.{row['name']}",
    ("ir.model.data", "reference"): lambda env, row: f"{row['model']},{row['res_id']}",
    ("res.users", "password"): lambda env, row: None,
    ("res.users.identitycheck", "password"): lambda env, row: None,
}


def _product_shown(env: Env, row: Row) -> str:
    from erpcrm_bridge_odoo.simulator.orm import value

    name = value(env, env.model(row["_model"]).fields["name"], row)
    return f"[{row['default_code']}] {name}" if row.get("default_code") else str(name)


def _move_shown(env: Env, row: Row) -> str:
    kinds = {
        "out_invoice": "Invoice",
        "out_refund": "Credit Note",
        "in_invoice": "Bill",
        "in_refund": "Vendor Credit Note",
        "entry": "Entry",
    }
    name = row.get("name")
    shown = name if name and name != "/" else ""
    if row["state"] == "draft":
        shown = (
            f"Draft {kinds.get(row['move_type'], 'Entry')} {shown}".rstrip() if shown else f"Draft {kinds.get(row['move_type'], 'Entry')}"
        )
        if env.version < 19 and name in (None, "/"):
            shown += f" (* {row['id']})"
    return f"{shown} ({row['ref']})" if row.get("ref") else shown


def _line_shown(env: Env, row: Row) -> str:
    move = _move_shown(env, env.row("account.move", row["move_id"]))
    name = row.get("name")
    shown_move = env.row("account.move", row["move_id"])
    if row.get("display_type") == "payment_term" and env.version >= 19:
        return move
    return f"{move} {name}" if (name and name != shown_move.get("name")) or (name and env.version < 19) else move


def _order_line_shown(env: Env, row: Row) -> str:
    order = env.row("sale.order", row["order_id"])
    partner = env.row("res.partner", order["partner_id"])
    return f"{order['name']} - {(row['name'] or '').splitlines()[0] if row['name'] else ''} ({partner['complete_name']})"


def _account_shown(env: Env, row: Row) -> str:
    from erpcrm_bridge_odoo.simulator.orm import value

    name = value(env, env.model("account.account").fields["name"], row)
    return str(name) if env.version >= 19 else f"{row['code']} {name}"


def _payment_shown(env: Env, row: Row) -> str:
    return str(row["name"]) if row["name"] not in (None, "/") else "Draft Payment"


def _method_shown(env: Env, row: Row) -> str:
    journal = env.row("account.journal", row["journal_id"])
    name = journal["name"]["en_US"] if isinstance(journal["name"], dict) else journal["name"]
    return f"{row['name']} ({name})" if env.version >= 19 else str(row["name"])


def _pricelist_shown(env: Env, row: Row) -> str:
    from erpcrm_bridge_odoo.simulator.orm import value

    name = value(env, env.model("product.pricelist").fields["name"], row)
    return f"{name} ({env.row('res.currency', row['currency_id'])['name']})"


def _state_shown(env: Env, row: Row) -> str:
    return f"{row['name']} ({env.row('res.country', row['country_id'])['code']})"


DISPLAYS: dict[str, Compute] = {
    "product.product": _product_shown,
    "product.template": _product_shown,
    "product.pricelist": _pricelist_shown,
    "account.account": _account_shown,
    "account.payment.method.line": _method_shown,
    "account.move": _move_shown,
    "account.payment": _payment_shown,
    "account.move.line": _line_shown,
    "res.country.state": _state_shown,
    "sale.order.line": _order_line_shown,
}
