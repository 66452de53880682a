"""Who may do what: groups, rights on models and fields, rules that hide rows, and the words said otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from erpcrm_bridge_odoo.simulator import errors
from erpcrm_bridge_odoo.simulator.env import Env
from erpcrm_bridge_odoo.simulator.fields import Field, Model

if TYPE_CHECKING:
    from erpcrm_bridge_odoo.simulator.domains import Test

VERBS = {"read": "access", "write": "modify", "create": "create", "unlink": "delete"}
ACCOUNT_READ = "account.group_account_readonly"
ACCOUNT = "account.group_account_invoice"
ACCOUNT_MANAGER = "account.group_account_manager"
CONTACT = "base.group_partner_manager"
EMPLOYEE = "base.group_user"
MANAGER = "base.group_erp_manager"
PRODUCTS = "product.group_product_manager"
SALES = "sales_team.group_sale_salesman"
SALES_ALL = "sales_team.group_sale_salesman_all_leads"
SALES_MANAGER = "sales_team.group_sale_manager"
STOCK = "stock.group_stock_user"
STOCK_MANAGER = "stock.group_stock_manager"
SYSTEM = "base.group_system"

GROUPS = {
    ACCOUNT_READ: ("Show Accounting Features - Readonly", "Show Accounting Features - Readonly"),
    ACCOUNT: ("Accounting / Invoicing", "Invoicing / Billing"),
    ACCOUNT_MANAGER: ("Accounting/Administrator", "Invoicing/Billing Administrator"),
    CONTACT: ("Contact/Creation", "Extra Rights/Contact Creation"),
    EMPLOYEE: ("Role / User", "User types/Internal User"),
    MANAGER: ("Access Rights", "Administration/Access Rights"),
    PRODUCTS: ("Products/Create", ""),
    SALES: ("Sales/User: Own Documents Only", "Sales/User: Own Documents Only"),
    SALES_ALL: ("Sales/User: All Documents", "Sales/User: All Documents"),
    SALES_MANAGER: ("Sales/Administrator", "Sales/Administrator"),
    STOCK: ("Inventory/User", "Inventory/User"),
    STOCK_MANAGER: ("Inventory/Administrator", "Inventory/Administrator"),
    SYSTEM: ("Role / Administrator", "Administration/Settings"),
}
"""External id, and the name shown in 19 and in 17, where there is one."""

_IMPLIED = {
    SYSTEM: (MANAGER,),
    SALES_ALL: (SALES,),
    SALES_MANAGER: (SALES, SALES_ALL),
    STOCK_MANAGER: (STOCK,),
    ACCOUNT: (ACCOUNT_READ,),
    ACCOUNT_MANAGER: (ACCOUNT, ACCOUNT_READ),
}
_OWN_ONLY = {"crm.lead": "user_id", "sale.order": "user_id"}
"""A salesman with his own documents only sees his and nobody's."""


def groups(env: Env) -> set[str]:
    """Return the external ids of the groups that the user is in."""
    user = env.store.table("res.users").rows.get(env.uid) or {}
    rows = env.store.table("res.groups").rows
    held = {str(rows[key]["_mark"]) for key in user.get("group_ids" if env.version >= 19 else "groups_id") or () if key in rows}
    for group in list(held):
        held |= set(_IMPLIED.get(group, ()))
    return held


def shown(env: Env, group: str) -> str:
    return GROUPS[group][0 if env.version >= 19 else 1]


def need(env: Env, model: Model, operation: str) -> None:
    """Raise the AccessError of an operation that the user has no right to."""
    allowed = model.access.get(operation)
    if env.sudo or allowed is None or groups(env) & set(allowed):
        return
    head = f"You are not allowed to {VERBS[operation]} '{model.string}' ({model.name}) records."
    names = sorted(filter(None, (shown(env, group) for group in allowed)))
    if names:
        listed = "".join(f"\t- {name}\n" for name in names)
        head += f"\n\nThis operation is allowed for the following groups:\n{listed.rstrip()}"
    else:
        head += "\n\nNo group currently allows this operation."
    raise errors.access(f"{head}\n\nContact your administrator to request access if necessary.")


def may_field(env: Env, spec: Field) -> bool:
    return env.sudo or not spec.groups or bool(groups(env) & set(spec.groups))


def need_field(env: Env, model: Model, spec: Field, operation: str) -> None:
    """Raise the AccessError of a field that belongs to groups which the user is not in."""
    if may_field(env, spec):
        return
    listed = ", ".join(f"'{shown(env, group)}'" for group in spec.groups)
    if env.version < 19:
        head = "The requested operation can not be completed due to security restrictions."
        what = f"Document type: {model.string} ({model.name})\nOperation: {operation}\nUser: {env.uid}"
        raise errors.access(f"{head}\n\n{what}\nFields:\n- {spec.name} (allowed for groups {listed})")
    asked = f'You do not have enough rights to access the field "{spec.name}" on {model.string} ({model.name}).'
    raise errors.access(
        f"{asked} Please contact your system administrator.\n\nOperation: {operation}\nUser: {env.uid}\nGroups: allowed for groups {listed}"
    )


def rules(env: Env, model: str) -> list[Test]:
    """Return the tests that a row must pass to be there for this user."""
    owner = _OWN_ONLY.get(model)
    if owner and SALES in (held := groups(env)) and SALES_ALL not in held:
        return [lambda row: row.get(owner) in (env.uid, None)]
    return []


def need_rows(env: Env, model: Model, ids: Sequence[int], operation: str) -> None:
    """Raise the AccessError of rows that a rule hides."""
    if env.sudo:
        return
    tests = rules(env, model.name)
    rows = env.store.table(model.name).rows
    if tests and any(not test(rows[key]) for key in ids if key in rows for test in tests):
        partner = env.row("res.partner", env.row("res.users", env.uid)["partner_id"])
        raise errors.access(
            f"Uh-oh! Looks like you have stumbled upon some top-secret records.\n\nSorry, {partner['name']} (id={env.uid}) doesn't have "
            f"'{operation}' access to:\n- {model.string} ({model.name})\n\nIf you really, really need access, perhaps you can win over "
            "your friendly administrator with a batch of freshly baked cookies."
        )
