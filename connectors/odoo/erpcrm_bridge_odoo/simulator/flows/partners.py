"""Partners: families, addresses that children share, and what may not be done to them. Countries, currencies and their rates."""

from __future__ import annotations

from typing import Any

from erpcrm_bridge_odoo.simulator import errors, orm
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.env import INVERSES, Env, checks, leaves, prepares, settles
from erpcrm_bridge_odoo.simulator.store import Row

ADDRESS = ("street", "street2", "city", "zip", "state_id", "country_id")
COMMERCIAL = ("vat", "company_registry", "credit_limit", "property_payment_term_id", "property_account_position_id", "_pricelist")


@prepares("res.partner")
def _prepared(env: Env, vals: Row) -> Row:
    parent = env.store.table("res.partner").rows.get(vals.get("parent_id") or 0)
    told = {"is_company": False, "customer_rank": 0, "supplier_rank": 0, "color": 0, **vals}
    if parent is not None:
        if told.get("type") == "contact" and any(parent.get(name) for name in ADDRESS):
            told |= {name: parent.get(name) for name in ADDRESS}
        told.setdefault("company_id", parent.get("company_id"))
        if "user_id" not in vals and not vals.get("is_company"):
            told["user_id"] = parent.get("user_id")
    return told


@checks("res.partner")
def _checked(env: Env, ids: list[int], vals: Row) -> None:
    if vals.get("active") is False:
        users = [row for key in ids for row in env.all("res.users", partner_id=key) if row["active"]]
        if users:
            names = ", ".join(str(env.row("res.partner", row["partner_id"])["name"]) for row in users)
            action: Row = {"type": "ir.actions.act_window", "res_model": "res.users", "context": {"create": False}, "view_mode": "form"}
            action |= {"views": [[1, "form"]], "res_id": users[0]["id"]}
            text = "You cannot archive contacts linked to an active user.\nYou first need to archive their associated user."
            head = f"{text}\n\nLinked active users : {names}"
            raise errors.OdooError(errors.REDIRECT, f"{head}\n{action}\nGo to users\nNone", [head, action, "Go to users", None])


@settles("res.partner")
def _settled(env: Env, ids: list[int], changed: set[str] | None) -> None:
    for key in ids:
        row = env.row("res.partner", key)
        if (row["type"] or "contact") == "contact" and row["name"] is None:
            raise errors.validation("The operation cannot be completed: Contacts require a name")
        _no_circle(env, key)
        _related(env, key)
        children = env.all("res.partner", parent_id=key)
        _address_of_the_family(env, key, changed)
        if changed and set(ADDRESS) & changed:
            for child in children:
                if child["type"] == "contact":
                    env.set("res.partner", child["id"], {name: env.row("res.partner", key)[name] for name in ADDRESS if name in changed})
        if changed is None or {"parent_id", "is_company", *COMMERCIAL} & changed:
            _commercial(env, key)
        if changed is None or {"name", "parent_id"} & changed:
            for child in children:
                _related(env, child["id"])
            for move in env.all("account.move", partner_id=key):
                env.set("account.move", move["id"], {"invoice_partner_display_name": env.row("res.partner", key)["complete_name"]})


def _address_of_the_family(env: Env, key: int, changed: set[str] | None) -> None:
    """A contact that comes to a parent takes its address. Where the parent has none, 17's takes that of its first child, 19's that of any
    contact; in 19 a contact's address is written to its parent, too."""
    row = env.row("res.partner", key)
    parent = env.store.table("res.partner").rows.get(row["parent_id"] or 0)
    if parent is None:
        return
    of_parent = any(parent.get(name) for name in ADDRESS)
    of_child = {name: row.get(name) for name in ADDRESS}
    contact = row["type"] == "contact"
    if changed is None or "parent_id" in changed or (env.version < 19 and "type" in changed):
        if contact and of_parent:
            env.set("res.partner", key, {name: parent.get(name) for name in ADDRESS})
        first = changed is None and len(env.all("res.partner", parent_id=parent["id"])) == 1
        if not of_parent and any(of_child.values()) and (contact if env.version >= 19 else first):
            env.set("res.partner", parent["id"], of_child)
    elif contact and env.version >= 19 and set(ADDRESS) & changed:
        env.set("res.partner", parent["id"], {name: of_child[name] for name in ADDRESS if name in changed})
        _settled(env, [parent["id"]], changed & set(ADDRESS))


def _no_circle(env: Env, key: int) -> None:
    seen = {key}
    at = env.row("res.partner", key)["parent_id"]
    while at:
        if at in seen:
            raise errors.validation("You cannot create recursive Partner hierarchies.")
        seen.add(at)
        at = env.row("res.partner", at)["parent_id"]


def _related(env: Env, key: int) -> None:
    """Set what is stored of the family: the commercial partner, its name, and the complete name."""
    row = env.row("res.partner", key)
    parent = env.store.table("res.partner").rows.get(row["parent_id"] or 0)
    company = key if row["is_company"] or parent is None else parent["commercial_partner_id"] or parent["id"]
    top = env.row("res.partner", company)
    company_name = top["name"] if top["is_company"] else row.get("company_name")
    name = row["name"] or ""
    if not name and row["type"] in ("invoice", "delivery", "other"):
        name = dict(env.model("res.partner").fields["type"].options)[row["type"]]
    if not row["is_company"] and (parent is not None or row.get("company_name")):
        above = company_name or (parent["name"] if parent is not None else None) or ""
        name = f"{above}, {name}"
    told = {"commercial_partner_id": company, "commercial_company_name": company_name, "complete_name": name.strip()}
    env.set("res.partner", key, told)


def _commercial(env: Env, key: int) -> None:
    """Hand down what belongs to the company as a whole: to this partner from above, and from it to those below."""
    row = env.row("res.partner", key)
    if row["commercial_partner_id"] != key:
        top = env.row("res.partner", row["commercial_partner_id"])
        env.set("res.partner", key, {name: top.get(name) for name in COMMERCIAL})
        return
    for child in env.all("res.partner", commercial_partner_id=key):
        if child["id"] != key:
            env.set("res.partner", child["id"], {name: row.get(name) for name in COMMERCIAL})


@leaves("res.partner")
def _leaving(env: Env, ids: list[int]) -> None:
    for key in ids:
        if env.all("account.move", partner_id=key) or env.all("account.move.line", partner_id=key):
            raise errors.user("The partner cannot be deleted because it is used in Accounting")
        if any(row["active"] for row in env.all("res.users", partner_id=key)):
            raise errors.user("You cannot delete contacts linked to an active user.")


def _company_type(env: Env, key: int, given: Any) -> None:
    env.set("res.partner", key, {"is_company": given == "company"})
    _settled(env, [key], {"is_company"})


def _pricelist(env: Env, key: int, given: Any) -> None:
    env.sql("res.partner", key, {"_pricelist": given if isinstance(given, int) and given else None})
    _commercial(env, key)


def _rate_of(invert: bool) -> Any:
    def rate(env: Env, key: int, given: Any) -> None:
        env.set("res.currency.rate", key, {"rate": 1 / float(given) if invert else float(given)})

    return rate


def _password(env: Env, key: int, given: Any) -> None:
    env.database.passwords[key] = str(given)


INVERSES[("res.users", "password")] = _password
INVERSES[("res.partner", "company_type")] = _company_type
INVERSES[("res.partner", "property_product_pricelist")] = _pricelist
INVERSES[("res.currency.rate", "company_rate")] = _rate_of(False)
INVERSES[("res.currency.rate", "inverse_company_rate")] = _rate_of(True)


@prepares("res.currency.rate")
def _rate_prepared(env: Env, vals: Row) -> Row:
    return {"rate": 1.0, **vals}


@prepares("res.users")
def _user_prepared(env: Env, vals: Row) -> Row:
    """Make the partner of a new user; what a user is called stands there."""
    if vals.get("partner_id"):
        return vals
    told: Row = {name: vals[name] for name in ("name", "email", "lang", "tz") if name in vals}
    partner = orm.create(env.as_root(), env.model("res.partner"), [{"company_id": vals.get("company_id"), **told}])[0]
    return {**{name: one for name, one in vals.items() if name not in told}, "partner_id": partner}


@prepares("product.category", "stock.location")
def _path_prepared(env: Env, vals: Row) -> Row:
    return {**vals, "complete_name": vals.get("name")}


@method("res.partner", "message_post")
def message_post(self: Records, body: str = "", message_type: str = "notification", subject: str | None = None) -> int:
    """Write into the chatter; the record itself is not stamped."""
    from erpcrm_bridge_odoo.simulator.flows.chatter import said

    return said(self.env, self.model.name, self.ids[0], body, message_type)
