"""Products: a template and its one variant, kept alike; and what a price list makes of a price."""

from __future__ import annotations

from typing import Any

from erpcrm_bridge_odoo.simulator import orm
from erpcrm_bridge_odoo.simulator.env import INVERSES, Env, leaves, prepares, settles
from erpcrm_bridge_odoo.simulator.store import Row

SHARED = ("default_code", "weight", "volume", "active")
"""Stored on both, written to both while there is one variant."""
OF_VARIANT = ("barcode", "standard_price")


def storable(env: Env, template: Row) -> bool:
    return bool(template.get("is_storable")) if env.version >= 19 else template.get("type") == "product"


@prepares("product.template")
def _template(env: Env, vals: Row) -> Row:
    told = {"weight": 0.0, "volume": 0.0, **vals}
    if env.version < 19:
        kind = _given(env, vals)
        told |= {"type": kind, "detailed_type": kind}
    return told


def _given(env: Env, vals: Row) -> str:
    """Return the type of 17: of its two fields the one that is not left at its default."""
    kinds = [vals.get(name) for name in ("detailed_type", "type")]
    return next((str(kind) for kind in kinds if kind and kind != "consu"), "consu")


@settles("product.template")
def _template_settled(env: Env, ids: list[int], changed: set[str] | None) -> None:
    for key in ids:
        row = env.row("product.template", key)
        if changed is None:
            if not env.context.get("_from_variant"):
                own = {name: row[name] for name in SHARED if row[name] is not None}
                orm.create(env.having(_from_template=True), env.model("product.product"), [{**own, "product_tmpl_id": key}])
            continue
        if env.version < 19 and {"detailed_type", "type"} & changed:
            kind = row["detailed_type"] if "detailed_type" in changed else row["type"]
            env.set("product.template", key, {"detailed_type": kind, "type": kind})
        for variant in env.all("product.product", product_tmpl_id=key):
            env.sql("product.product", variant["id"], {name: row[name] for name in SHARED if name in changed})
            env.touch("product.product", variant["id"])


@prepares("product.product")
def _variant(env: Env, vals: Row) -> Row:
    """Make the template of a new variant from what stands there."""
    if vals.get("product_tmpl_id"):
        return {"weight": 0.0, "volume": 0.0, **vals}
    spec = env.model("product.product")
    above = {name: one for name, one in vals.items() if spec.fields[name].related or name in SHARED}
    template = orm.create(env.having(_from_variant=True), env.model("product.template"), [above])[0]
    rest = {name: one for name, one in vals.items() if not spec.fields[name].related}
    return {"weight": 0.0, "volume": 0.0, **rest, "product_tmpl_id": template}


@settles("product.product")
def _variant_settled(env: Env, ids: list[int], changed: set[str] | None) -> None:
    for key in ids:
        row = env.row("product.product", key)
        if changed is not None and set(SHARED) & changed:
            env.set("product.template", row["product_tmpl_id"], {name: row[name] for name in SHARED if name in changed})


@leaves("product.product")
def _variant_leaving(env: Env, ids: list[int]) -> None:
    """Take the template along with its last variant."""
    for key in ids:
        template = env.row("product.product", key)["product_tmpl_id"]
        if all(row["id"] in ids for row in env.all("product.product", product_tmpl_id=template)):
            env.store.put(env.transaction, "product.template", template, None)


def _to_variant(field: str) -> Any:
    def inverse(env: Env, key: int, given: Any) -> None:
        found = env.all("product.product", product_tmpl_id=key)
        if not found and given:
            env.sql("product.template", key, {f"_{field}": given})
        if len(found) == 1:
            orm.write(env, env.model("product.product"), [found[0]["id"]], {field: given})

    return inverse


def _list_price(env: Env, key: int, given: Any) -> None:
    template = env.row("product.product", key)["product_tmpl_id"]
    orm.write(env, env.model("product.template"), [template], {"list_price": given})


for _field in OF_VARIANT:
    INVERSES["product.template", _field] = _to_variant(_field)
INVERSES["product.product", "lst_price"] = _list_price


@settles("product.template")
def _late(env: Env, ids: list[int], changed: set[str] | None) -> None:
    """Hand a barcode or cost that came with the create to the variant made meanwhile."""
    if changed is not None:
        return
    for key in ids:
        row = env.row("product.template", key)
        waiting = {name: row[f"_{name}"] for name in OF_VARIANT if row.get(f"_{name}")}
        found = env.all("product.product", product_tmpl_id=key)
        if waiting and found:
            orm.write(env, env.model("product.product"), [found[0]["id"]], waiting)


def price(env: Env, product: Row, pricelist: int | None, quantity: float, unit: int | None) -> float:
    """Return what a unit of a product costs by a price list, for so many of them: the list counts in the product's own unit."""
    own = env.row("product.template", product["product_tmpl_id"])["uom_id"]
    units = contents(env, unit or own) / contents(env, own)
    return _listed(env, product, pricelist, quantity * units) * units


def contents(env: Env, unit: int) -> float:
    """Return how many of the smallest unit of its kind a unit holds: 17 stores the inverse."""
    factor = float(env.row("uom.uom", unit)["factor"] or 1.0)
    return factor if env.version >= 19 else 1.0 / factor


def _listed(env: Env, product: Row, pricelist: int | None, quantity: float) -> float:
    """Return what a product costs in its own unit: by the first item that fits, as Odoo orders them."""
    from erpcrm_bridge_odoo.simulator import errors

    template = env.row("product.template", product["product_tmpl_id"])
    base = float(template["list_price"] or 0.0)
    rank = {"0_product_variant": 0, "1_product": 1, "2_product_category": 2, "3_global": 3}
    items = env.all("product.pricelist.item", pricelist_id=pricelist) if pricelist else []
    today = env.transaction.stamp[:19]
    for item in sorted(items, key=lambda one: (rank[one["applied_on"]], -(one["min_quantity"] or 0.0), -one["id"])):
        target = {"0_product_variant": ("product_id", product["id"]), "1_product": ("product_tmpl_id", template["id"])}
        name, wanted = target.get(item["applied_on"], ("categ_id", template["categ_id"]))
        if item["applied_on"] != "3_global" and item[name] != wanted:
            continue
        if (item["min_quantity"] or 0.0) > quantity or (item["date_start"] or "") > today or (item["date_end"] or "9") < today:
            continue
        if item["compute_price"] == "fixed":
            return float(item["fixed_price"] or 0.0)
        if item["compute_price"] == "percentage" and item["base"] == "list_price":
            return base - base * float(item["percent_price"] or 0.0) / 100
        raise errors.NotSimulatedError("price list items by formula or on another base than the sales price")
    return base
