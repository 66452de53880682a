"""What fields_get does not tell of the models: defaults, uniqueness, who may, what goes with what."""

from __future__ import annotations

from typing import Any

from erpcrm_bridge_odoo.simulator.access import (
    ACCOUNT,
    ACCOUNT_MANAGER,
    ACCOUNT_READ,
    CONTACT,
    EMPLOYEE,
    MANAGER,
    PRODUCTS,
    SALES,
    SALES_MANAGER,
    STOCK,
    STOCK_MANAGER,
    SYSTEM,
)


def _now(env: Any) -> str:
    return str(env.transaction.stamp[:19])


def _today(env: Any) -> str:
    return str(env.transaction.stamp[:10])


def _me(env: Any) -> int:
    return int(env.uid)


def _company(env: Any) -> int:
    return int(env.companies[0])


def _currency(env: Any) -> int:
    return int(env.row("res.company", env.companies[0])["currency_id"])


def _goods(env: Any) -> int | None:
    return None if env.version >= 19 else 1


def _account(kind: str) -> Any:
    return lambda env: next((int(row["id"]) for row in env.all("account.account") if row["account_type"] == kind), None)


DEFAULTS: dict[tuple[str, str], Any] = {
    ("res.partner", "property_account_receivable_id"): _account("asset_receivable"),
    ("res.partner", "property_account_payable_id"): _account("liability_payable"),
    ("res.partner", "type"): "contact",
    ("res.partner", "lang"): "en_US",
    ("res.partner", "agent_type"): "agent",
    ("res.partner", "settlement"): "monthly",
    ("res.partner", "company_id"): None,
    ("res.partner", "color"): 0,
    ("res.users", "company_id"): _company,
    ("res.users", "company_ids"): lambda env: [_company(env)],
    ("product.template", "sale_ok"): True,
    ("product.template", "purchase_ok"): True,
    ("product.template", "list_price"): 1.0,
    ("product.template", "uom_id"): 1,
    ("product.template", "uom_po_id"): 1,
    ("product.template", "categ_id"): _goods,
    ("product.template", "taxes_id"): [1],
    ("product.template", "supplier_taxes_id"): [2],
    ("product.template", "type"): "consu",
    ("product.template", "detailed_type"): "consu",
    ("product.template", "invoice_policy"): "order",
    ("product.template", "sequence"): 1,
    ("product.pricelist", "currency_id"): _currency,
    ("product.pricelist", "sequence"): 16,
    ("product.pricelist", "company_id"): _company,
    ("product.pricelist.item", "pricelist_id"): 1,
    ("product.pricelist.item", "min_quantity"): 0.0,
    ("product.pricelist.item", "applied_on"): "3_global",
    ("product.pricelist.item", "base"): "list_price",
    ("product.pricelist.item", "compute_price"): "fixed",
    ("product.pricelist.item", "currency_id"): _currency,
    ("crm.lead", "type"): "opportunity",
    ("crm.lead", "priority"): "0",
    ("crm.lead", "user_id"): _me,
    ("crm.lead", "stage_id"): 1,
    ("crm.lead", "team_id"): 1,
    ("crm.lead", "company_id"): _company,
    ("crm.stage", "sequence"): 1,
    ("crm.team", "sequence"): 10,
    ("sale.order", "state"): "draft",
    ("sale.order", "date_order"): _now,
    ("sale.order", "company_id"): _company,
    ("sale.order", "user_id"): _me,
    ("sale.order", "team_id"): 1,
    ("sale.order", "warehouse_id"): 1,
    ("sale.order", "picking_policy"): "direct",
    ("sale.order", "invoice_status"): "no",
    ("sale.order", "require_signature"): True,
    ("sale.order", "currency_rate"): 1.0,
    ("sale.order.line", "product_uom_qty"): 1.0,
    ("sale.order.line", "sequence"): 10,
    ("sale.order.line", "invoice_status"): "no",
    ("sale.advance.payment.inv", "advance_payment_method"): "delivered",
    ("account.move", "move_type"): "entry",
    ("account.move", "state"): "draft",
    ("account.move", "auto_post"): "no",
    ("account.move", "payment_state"): "not_paid",
    ("account.move", "company_id"): _company,
    ("account.move", "date"): _today,
    ("account.move.line", "quantity"): 1.0,
    ("account.move.line", "sequence"): 100,
    ("account.payment.term", "sequence"): 10,
    ("account.payment.term", "discount_days"): 10,
    ("account.payment.term", "discount_percentage"): 2.0,
    ("account.tax", "amount_type"): "percent",
    ("account.tax", "amount"): 0.0,
    ("account.tax", "type_tax_use"): "sale",
    ("account.tax", "company_id"): _company,
    ("account.tax", "sequence"): 1,
    ("account.tax", "country_id"): lambda env: env.row("res.partner", 1)["country_id"],
    ("utm.campaign", "user_id"): _me,
    ("account.payment", "payment_type"): "inbound",
    ("account.payment", "partner_type"): "customer",
    ("account.payment", "state"): "draft",
    ("account.payment", "date"): _today,
    ("account.payment", "company_id"): _company,
    ("account.payment", "currency_id"): _currency,
    ("account.payment.register", "payment_date"): _today,
    ("account.payment.register", "payment_difference_handling"): "open",
    ("account.move.reversal", "date"): _today,
    ("account.move.reversal", "company_id"): _company,
    ("commission", "commission_type"): "fixed",
    ("commission", "amount_base_type"): "gross_amount",
    ("commission", "invoice_state"): "open",
    ("commission.settlement", "company_id"): _company,
    ("commission.settlement", "currency_id"): _currency,
    ("commission.settlement", "state"): "settled",
    ("res.currency", "rounding"): 0.01,
    ("res.currency.rate", "company_id"): _company,
    ("res.currency.rate", "name"): _today,
    ("stock.location", "usage"): "internal",
    ("stock.picking", "company_id"): _company,
    ("stock.picking", "scheduled_date"): _now,
    ("stock.move", "company_id"): _company,
    ("stock.move", "product_uom_qty"): 0.0,
    ("stock.move", "date"): _now,
    ("stock.quant", "in_date"): _now,
    ("ir.attachment", "type"): "binary",
    ("account.journal", "company_id"): _company,
    ("account.journal", "sequence"): 10,
    ("account.fiscal.position", "company_id"): _company,
    ("decimal.precision", "digits"): 2,
    ("stock.location", "company_id"): _company,
    ("account.payment.term.line", "delay_type"): "days_after",
    ("account.payment.term.line", "value"): "percent",
    ("ir.attachment", "company_id"): _company,
    ("res.partner", "is_company"): False,
    ("stock.quant", "company_id"): _company,
    ("ir.actions.server", "usage"): "ir_actions_server",
    ("ir.actions.server", "type"): "ir.actions.server",
}
"""Beside these, ``active`` is true wherever it is a field."""

UNIQUE: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "res.country": ((("code",), "The code of the country must be unique!"),),
    "res.country.state": ((("country_id", "code"), "The code of the state must be unique by country!"),),
    "res.currency": ((("name",), "The currency code must be unique!"),),
    "res.users": ((("login",), "You can not have two users with the same login!"),),
    "ir.model.data": (
        (
            ("module", "name"),
            'duplicate key value violates unique constraint "ir_model_data_module_name_uniq_index"\n'
            "DETAIL:  Key (module, name)=({}, {}) already exists.\n",
        ),
    ),
    "ir.config_parameter": ((("key",), "Key must be unique."),),
}

_Rights = dict[str, tuple[str, ...]]
_SALES: _Rights = {
    "read": (SALES, ACCOUNT, ACCOUNT_READ, STOCK),
    "write": (SALES, ACCOUNT, STOCK),
    "create": (SALES,),
    "unlink": (SALES_MANAGER,),
}
_BOOKS: _Rights = {"read": (ACCOUNT, ACCOUNT_READ, SALES), "write": (ACCOUNT,), "create": (ACCOUNT,), "unlink": (ACCOUNT,)}


def _kept_by(*groups: str) -> _Rights:
    """Every employee reads; these groups do the rest."""
    return {"read": (EMPLOYEE,), "write": groups, "create": groups, "unlink": groups}


_SET_UP = _kept_by(SYSTEM)
_PARTNERS = (CONTACT, STOCK_MANAGER, SALES_MANAGER, SALES)

ACCESS: dict[str, _Rights] = {
    "res.partner": {"read": (EMPLOYEE,), "write": _PARTNERS, "create": _PARTNERS, "unlink": (CONTACT,)},
    "crm.lead": {"read": (SALES,), "write": (SALES,), "create": (SALES,), "unlink": (SALES_MANAGER,)},
    "sale.order": _SALES,
    "sale.order.line": _SALES,
    "account.move": _BOOKS,
    "account.move.line": _BOOKS,
    "account.payment": {**_BOOKS, "read": (ACCOUNT, ACCOUNT_READ)},
    "account.partial.reconcile": {**_BOOKS, "read": (ACCOUNT, ACCOUNT_READ)},
    "product.template": _kept_by(SALES_MANAGER, STOCK_MANAGER, SYSTEM),
    "product.product": _kept_by(SALES_MANAGER, STOCK_MANAGER, ACCOUNT_MANAGER, SYSTEM),
    "product.pricelist": _kept_by(SALES_MANAGER, STOCK_MANAGER, SYSTEM),
    "product.pricelist.item": _kept_by(SALES_MANAGER, STOCK_MANAGER, SYSTEM),
    "stock.quant": {"read": (EMPLOYEE,), "write": (STOCK,), "create": (STOCK,), "unlink": ()},
    "res.country": _SET_UP,
    "res.currency": _SET_UP,
    "res.currency.rate": _kept_by(ACCOUNT_MANAGER, SYSTEM),
    "res.users": _SET_UP,
    "res.company": _SET_UP,
    "ir.config_parameter": dict.fromkeys(("read", "write", "create", "unlink"), (SYSTEM,)),
    "ir.model.data": dict.fromkeys(("read", "write", "create", "unlink"), (MANAGER,)),
    "base.automation": dict.fromkeys(("read", "write", "create", "unlink"), (SYSTEM,)),
    "ir.actions.server": dict.fromkeys(("read", "write", "create", "unlink"), (SYSTEM,)),
}

ACCESS_19: dict[str, _Rights] = {
    "product.template": _kept_by(PRODUCTS),
    "product.product": _kept_by(PRODUCTS),
    "product.pricelist": _kept_by(SALES_MANAGER, PRODUCTS, STOCK_MANAGER),
    "product.pricelist.item": _kept_by(SALES_MANAGER, PRODUCTS),
}
"""Where 19 has it otherwise: products have a group of their own there."""

CASCADE = {
    ("sale.order.line", "order_id"),
    ("account.move.line", "move_id"),
    ("product.product", "product_tmpl_id"),
    ("product.pricelist.item", "pricelist_id"),
    ("res.currency.rate", "currency_id"),
    ("commission.section", "commission_id"),
    ("sale.order.line.agent", "object_id"),
    ("account.invoice.line.agent", "object_id"),
    ("commission.settlement.line", "settlement_id"),
    ("account.partial.reconcile", "debit_move_id"),
    ("account.partial.reconcile", "credit_move_id"),
}
RESTRICT = {
    ("res.country.state", "country_id"),
    ("res.users", "company_id"),
    ("sale.order", "partner_id"),
    ("sale.order", "partner_invoice_id"),
    ("sale.order", "partner_shipping_id"),
    ("sale.order.line", "product_id"),
    ("account.move", "partner_id"),
    ("account.move.line", "product_id"),
    ("account.move.line", "account_id"),
    ("res.users", "partner_id"),
    ("res.company", "partner_id"),
    ("stock.move", "product_id"),
    ("stock.quant", "product_id"),
    ("res.partner", "country_id"),
    ("res.partner", "state_id"),
}
NO_COPY = (
    {
        ("sale.order", name)
        for name in ("name", "state", "date_order", "client_order_ref", "invoice_status", "locked", "origin", "reference", "validity_date")
    }
    | {
        ("account.move", name)
        for name in (
            "name",
            "state",
            "ref",
            "payment_state",
            "payment_reference",
            "posted_before",
            "invoice_date",
            "date",
            "invoice_date_due",
        )
    }
    | {
        ("account.move", "line_ids"),
        ("res.partner", "customer_rank"),
        ("res.partner", "supplier_rank"),
        ("sale.order.line", "qty_delivered"),
        ("sale.order.line", "qty_invoiced"),
        ("sale.order.line", "invoice_lines"),
    }
)

DOMAINS: dict[tuple[str, str], tuple[Any, ...]] = {
    ("res.partner", "child_ids"): (("active", "=", True),),
    ("account.move", "invoice_line_ids"): (("display_type", "in", ("product", "line_section", "line_subsection", "line_note")),),
}

LABELS_17 = {"crm.lead": "Lead/Opportunity", "account.payment.register": "Register Payment"}
"""Models that 17 calls otherwise."""

SHOWN_BY = {
    "res.partner": "complete_name",
    "ir.model.data": "name",
    "ir.config_parameter": "key",
    "sale.order.line": "name",
    "res.currency.rate": "name",
    "ir.model.fields": "field_description",
    "uom.uom": "name",
    "stock.location": "complete_name",
    "product.category": "complete_name",
}
