"""What the web client calls, and others with it: reads by a specification, saves, and what is known about a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from erpcrm_bridge_odoo.simulator import access, errors, orm, searching
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.env import Env
from erpcrm_bridge_odoo.simulator.fields import X2MANY, Field, Model
from erpcrm_bridge_odoo.simulator.store import Row

Specification = dict[str, Row]


def read(env: Env, model: Model, ids: Sequence[int], specification: Specification) -> list[Row]:
    """Return the records with the fields of a specification, relations as deep as it goes."""
    names = [name for name in specification if name != "id"]
    if not names:
        return [{"id": key} for key in ids]
    told = orm.read(env, model, ids, names, None)
    for name in names:
        spec, into = model.fields[name], specification[name] or {}
        if spec.relation and "fields" in into:
            inner = env.having(**into.get("context", {}))
            for row in told:
                row[name] = _inside(inner, spec, row[name], into)
    return told


def _inside(env: Env, spec: Field, held: Any, into: Row) -> Any:
    comodel = env.model(spec.relation or "")
    if spec.type not in X2MANY:
        return read(env, comodel, [held], into["fields"])[0] if held else False
    if into.get("order"):
        held = [row["id"] for row in searching.in_order(env, comodel, env.rows(comodel.name, held), into["order"])]
    limit = into.get("limit")
    first = held if limit is None else held[:limit]
    return read(env, comodel, first, into["fields"]) + [{"id": key} for key in held[len(first) :]]


@method("*", "web_read")
def web_read(self: Records, specification: Specification) -> list[Row]:
    access.need(self.env, self.model, "read")
    return read(self.env, self.model, self.ids, specification)


@method("*", "web_search_read", of_model=True)
def web_search_read(
    self: Records,
    domain: Any,
    specification: Specification,
    offset: int = 0,
    limit: int | None = None,
    order: str | None = None,
    count_limit: int | None = None,
) -> Row:
    access.need(self.env, self.model, "read")
    ids = searching.search(self.env, self.model, domain, offset, limit, order)
    if not ids and not offset:
        return {"length": 0, "records": []}
    length = (offset or 0) + len(ids)
    if limit and (len(ids) == limit or self.env.context.get("force_search_count")):
        length = len(searching.search(self.env, self.model, domain, limit=count_limit, order="id"))
    return {"length": length, "records": read(self.env, self.model, ids, specification)}


def _saved(self: Records, vals: Row) -> Records:
    """Write to the record, or create it where there is none."""
    access.need(self.env, self.model, "write" if self.ids else "create")
    if not self.ids:
        return Records(self.env, self.model, orm.create(self.env, self.model, [vals]))
    access.need_rows(self.env, self.model, self.ids, "write")
    orm.write(self.env, self.model, self.ids, vals)
    return self


@method("*", "web_save")
def web_save(self: Records, vals: Row, specification: Specification, next_id: int | None = None) -> list[Row]:
    saved = _saved(self, vals)
    return read(self.env, self.model, [next_id] if next_id else saved.ids, specification)


@method("*", "web_save_multi", only=19)
def web_save_multi(self: Records, vals_list: Sequence[Row], specification: Specification) -> list[Row]:
    if len(self.ids) != len(vals_list):
        raise errors.value("Each record must have a corresponding vals entry.")
    for key, vals in zip(self.ids, vals_list, strict=True):
        _saved(Records(self.env, self.model, [key]), vals)
    return read(self.env, self.model, self.ids, specification)


@method("*", "web_name_search", of_model=True, only=19)
def web_name_search(
    self: Records, name: str, specification: Specification, domain: Any = None, operator: str = "ilike", limit: int = 100
) -> list[Row]:
    access.need(self.env, self.model, "read")
    ids = searching.named(self.env, self.model, name, operator, domain, limit)
    if set(specification) != {"display_name"}:
        return read(self.env, self.model, ids, specification)
    shown = {key: orm.display(self.env, self.model.name, key) for key in ids}
    return [{"id": key, "display_name": one, "__formatted_display_name": one} for key, one in shown.items()]


@method("*", "name_get", only=17)
def name_get(self: Records) -> list[list[Any]]:
    access.need(self.env, self.model, "read")
    return [[row["id"], orm.display(self.env, self.model.name, row["id"])] for row in self.rows]


def _marks(env: Env, model: str, key: int) -> list[Row]:
    return sorted(env.all("ir.model.data", model=model, res_id=key), key=lambda row: row["id"])


@method("*", "get_metadata")
def get_metadata(self: Records) -> list[Row]:
    told = orm.read(self.env, self.model, self.ids, ["create_uid", "create_date", "write_uid", "write_date"], "_classic_read")
    for row in told:
        marks = _marks(self.env, self.model.name, row["id"])
        row["xmlids"] = [{"xmlid": f"{one['module']}.{one['name']}", "noupdate": bool(one.get("noupdate"))} for one in reversed(marks)]
        row.update(row["xmlids"][-1] if marks else {"xmlid": False, "noupdate": False})
    return told


@method("*", "get_external_id")
def get_external_id(self: Records) -> dict[str, str]:
    found = {key: _marks(self.env, self.model.name, key) for key in self.ids}
    return {str(key): f"{marks[0]['module']}.{marks[0]['name']}" if marks else "" for key, marks in found.items()}


@method("*", "toggle_active")
def toggle_active(self: Records) -> None:
    for row in self.rows:
        _saved(Records(self.env, self.model, [row["id"]]), {"active": not row.get("active")})


@method("res.users", "has_group", of_model=True, only=17)
def has_group_17(self: Records, group_ext_id: str) -> bool:
    return _in_group(self.env, self.env.uid, group_ext_id)


@method("res.users", "has_group", only=19)
def has_group_19(self: Records, group_ext_id: str) -> bool:
    return _in_group(self.env, self.ids[0] if self.ids else self.env.uid, group_ext_id)


def _in_group(env: Env, uid: int, name: str) -> bool:
    return name in access.groups(replace(env, uid=uid))


@method("res.lang", "get_installed", of_model=True)
def get_installed(self: Records) -> list[list[str]]:
    return [[row["code"], row["name"]] for row in self.env.all("res.lang") if row["active"]]


@method("ir.model.access", "check", of_model=True)
def check(self: Records, model: str, mode: str = "read", raise_exception: bool = True) -> bool:
    """Return whether the user has a right to a model."""
    try:
        access.need(self.env, self.env.model(model), mode)
    except errors.OdooError:
        if raise_exception:
            raise
        return False
    return True
