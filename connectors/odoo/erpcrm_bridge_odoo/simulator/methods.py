"""The methods that every model has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from erpcrm_bridge_odoo.simulator import access, errors, orm, searching
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.fields import X2MANY, Model
from erpcrm_bridge_odoo.simulator.loading import load as loaded
from erpcrm_bridge_odoo.simulator.store import Row


@method("*", "search", of_model=True)
def search(self: Records, domain: Any, offset: int = 0, limit: int | None = None, order: str | None = None) -> list[int]:
    access.need(self.env, self.model, "read")
    return searching.search(self.env, self.model, domain, offset, limit, order)


@method("*", "search_count", of_model=True)
def search_count(self: Records, domain: Any, limit: int | None = None) -> int:
    access.need(self.env, self.model, "read")
    return len(searching.search(self.env, self.model, domain, limit=limit, order="id"))


@method("*", "search_read", of_model=True)
def search_read(
    self: Records,
    domain: Any = None,
    fields: Sequence[str] | None = None,
    offset: int = 0,
    limit: int | None = None,
    order: str | None = None,
    load: str | None = "_classic_read",
) -> list[Row]:
    access.need(self.env, self.model, "read")
    ids = searching.search(self.env, self.model, domain or [], offset, limit, order)
    return orm.read(self.env, self.model, ids, fields, load)


@method("*", "read")
def read(self: Records, fields: Sequence[str] | None = None, load: str | None = "_classic_read") -> list[Row]:
    access.need(self.env, self.model, "read")
    return orm.read(self.env, self.model, self.ids, fields, load)


@method("*", "create", of_model=True)
def create(self: Records, vals_list: Any) -> list[int]:
    access.need(self.env, self.model, "create")
    if vals_list is None:
        raise errors.builtin(TypeError, "'NoneType' object is not iterable")
    many = vals_list if isinstance(vals_list, (list, tuple)) else [vals_list]
    if any(not isinstance(vals, dict) for vals in many):
        raise errors.builtin(AttributeError, f"'{type(many[0]).__name__}' object has no attribute 'get'")
    return orm.create(self.env, self.model, many)


@method("*", "write")
def write(self: Records, vals: Any) -> bool:
    access.need(self.env, self.model, "write")
    if not isinstance(vals, dict):
        raise errors.builtin(AttributeError, f"'{type(vals).__name__}' object has no attribute 'get'")
    access.need_rows(self.env, self.model, self.ids, "write")
    orm.write(self.env, self.model, self.ids, vals)
    return True


@method("*", "unlink")
def unlink(self: Records) -> bool:
    access.need(self.env, self.model, "unlink")
    if self.model.name == "res.users" and 2 in self.ids:
        raise errors.user(
            "You cannot delete the admin user because it is utilized in various places (such as security configurations,...). "
            "Instead, archive it."
        )
    access.need_rows(self.env, self.model, self.ids, "unlink")
    orm.unlink(self.env, self.model, self.ids)
    return True


@method("*", "copy")
def copy(self: Records, default: Row | None = None) -> Any:
    access.need(self.env, self.model, "create")
    made = [orm.copied(self.env, self.model, key, default or {}) for key in self.ids]
    return made if self.env.version >= 19 else made[0]


@method("*", "fields_get", of_model=True)
def fields_get(self: Records, allfields: Sequence[str] | None = None, attributes: Sequence[str] | None = None) -> Row:
    told: Row = {}
    for name, spec in self.model.fields.items():
        if (allfields and name not in allfields) or not access.may_field(self.env, spec):
            continue
        described = spec.described(self.env.version)
        told[name] = described if attributes is None else {key: one for key, one in described.items() if key in attributes}
    return told


WORKED_OUT = {("sale.order", "user_id"), ("sale.order", "team_id"), ("sale.order", "warehouse_id")}
WORKED_OUT |= {("crm.lead", "team_id"), ("crm.lead", "stage_id"), ("account.move", "date"), ("account.payment", "currency_id")}
"""Fields that a create fills by itself, and that are no defaults."""


@method("*", "default_get", of_model=True)
def default_get(self: Records, fields: Sequence[str]) -> Row:
    held = {**orm.company_defaults(self.env, self.model), **orm.defaults(self.env, self.model, {})}
    if self.model.name == "product.product":  # a variant's template is made with it
        held = {**orm.defaults(self.env, self.env.model("product.template"), {}), **held}
    if self.model.name == "sale.order":
        held["name"] = "New"
    said = {name for name in held if held[name] is not None and (self.model.name, name) not in WORKED_OUT}
    held = {name: one for name, one in held.items() if name in said or f"default_{name}" in self.env.context}
    return {name: ([[6, 0, held[name]]] if self.model.fields[name].type == "many2many" else held[name]) for name in fields if name in held}


@method("*", "load", of_model=True)
def load(self: Records, fields: Sequence[str], data: Sequence[Sequence[Any]]) -> Row:
    return loaded(self.env, self.model, list(fields), [[*line, *[""] * (len(fields) - len(line))] for line in data])


def _pairs(self: Records, name: Any, domain: Any, operator: str, limit: int | None) -> list[list[Any]]:
    access.need(self.env, self.model, "read")
    ids = searching.named(self.env, self.model, name, operator, domain, limit)
    return [[key, orm.display(self.env, self.model.name, key)] for key in ids]


@method("*", "name_search", of_model=True, only=17)
def name_search_17(self: Records, name: str = "", args: Any = None, operator: str = "ilike", limit: int = 100) -> list[list[Any]]:
    return _pairs(self, name, args, operator, limit)


@method("*", "name_search", of_model=True, only=19)
def name_search_19(self: Records, name: str = "", domain: Any = None, operator: str = "ilike", limit: int = 100) -> list[list[Any]]:
    return _pairs(self, name, domain, operator, limit)


@method("*", "name_create", of_model=True)
def name_create(self: Records, name: str) -> list[Any]:
    key = create(self, {self.model.shown_by if self.model.shown_by in ("login", "key") else "name": name})[0]
    return [key, orm.display(self.env, self.model.name, key)]


@method("*", "exists")
def exists(self: Records) -> list[int]:
    rows = self.env.store.table(self.model.name).rows
    return [key for key in self.ids if key in rows]


@method("*", "action_archive")
def action_archive(self: Records) -> None:
    _toggled(self, False)


@method("*", "action_unarchive")
def action_unarchive(self: Records) -> None:
    _toggled(self, True)


def _toggled(self: Records, active: bool) -> None:
    ids = [row["id"] for row in self.rows if bool(row.get("active")) != active]
    if ids:
        write(Records(self.env, self.model, ids), {"active": active})


@method("*", "check_access_rights", of_model=True)
def check_access_rights(self: Records, operation: str, raise_exception: bool = True) -> bool:
    try:
        access.need(self.env, self.model, operation)
    except errors.OdooError:
        if raise_exception:
            raise
        return False
    return True


@method("*", "has_access", only=19)
def has_access(self: Records, operation: str) -> bool:
    try:
        access.need(self.env, self.model, operation)
        access.need_rows(self.env, self.model, self.ids, operation)
    except errors.OdooError:
        return False
    return True


@method("*", "export_data")
def export_data(self: Records, fields_to_export: Sequence[str]) -> Row:
    return {"datas": [line for row in self.rows for line in _lines(self, row, fields_to_export)]}


def _lines(self: Records, row: Row, paths: Sequence[str]) -> list[list[Any]]:
    """Return the lines of a record in an export: the first row of each of its lists stands in the first, the others below."""
    below: list[list[Any]] = []
    first: list[Any] = [""] * len(paths)
    lists = [path.partition("/")[0] for path in paths if "/" in path and self.model.known(path.partition("/")[0]).type in X2MANY]
    for at, path in enumerate(paths):
        if path.partition("/")[0] not in lists:
            first[at] = _exported(self, self.model, row, path)
    for name in dict.fromkeys(lists):
        spec = self.model.fields[name]
        places = [at for at, path in enumerate(paths) if path.partition("/")[0] == name]
        for number, key in enumerate(orm.value(self.env, spec, row)):
            inner = Records(self.env, self.env.model(spec.relation or ""), [key])
            cells = _lines(inner, inner.rows[0], [paths[at].partition("/")[2] for at in places])
            for line in cells:
                target = first if number == 0 and line is cells[0] else [""] * len(paths)
                for at, cell in zip(places, line, strict=True):
                    target[at] = cell
                if target is not first:
                    below.append(target)
    return [first, *below]


def _exported(self: Records, model: Model, row: Row, path: str) -> Any:
    """Return one cell of an export; asking for an external id makes one where there is none."""
    head, _, rest = path.partition("/")
    if head == ".id":
        return str(row["id"])
    if head == "id" and not rest:
        return external_id(self, model.name, row["id"])
    spec = model.known(head)
    held = orm.value(self.env, spec, row)
    if rest and spec.type == "many2one":
        if not held:
            return ""
        comodel = self.env.model(spec.relation or "")
        return _exported(self, comodel, self.env.row(comodel.name, held), rest)
    if spec.type == "many2one":
        return orm.display(self.env, spec.relation or "", held) if held else ""
    if spec.type in X2MANY and not rest:
        return ",".join(orm.display(self.env, spec.relation or "", key) for key in held)
    if rest:
        raise errors.NotSimulatedError(f"export of {path}")
    if spec.type == "boolean":
        return bool(held)
    shown = orm.told(self.env, spec, row, plain=False)
    return dict(spec.options)[held] if spec.type == "selection" and held else ("" if shown is False else shown)


def external_id(self: Records, model: str, key: int) -> str:
    found = self.env.one("ir.model.data", model=model, res_id=key)
    if found is None:
        name = f"{model.replace('.', '_')}_{key}_{self.env.transaction.started.timestamp():.0f}"
        vals = {"module": "__export__", "name": name, "model": model, "res_id": key}
        found = self.env.row("ir.model.data", orm.create(self.env.as_root(), self.env.model("ir.model.data"), [vals])[0])
    return f"{found['module']}.{found['name']}"


@method("ir.model.data", "check_object_reference", of_model=True)
def check_object_reference(self: Records, module: str, xml_id: str, raise_on_access_error: bool = False) -> list[Any]:
    found = self.env.one("ir.model.data", module=module, name=xml_id)
    if found is None or found["res_id"] not in self.env.store.table(found["model"]).rows:
        raise errors.value(f"External ID not found in the system: {module}.{xml_id}")
    model = self.env.model(found["model"])
    if searching.search(self.env, model, [["id", "=", found["res_id"]]]):
        return [found["model"], found["res_id"]]
    if raise_on_access_error:
        raise errors.access(f'Not enough access rights on the external ID "{module}.{xml_id}"')
    return [found["model"], False]


@method("res.users", "context_get", of_model=True)
def context_get(self: Records) -> Row:
    user = self.env.row("res.users", self.env.uid)
    partner = self.env.row("res.partner", user["partner_id"])
    return {"lang": partner["lang"] or "en_US", "tz": partner["tz"] or False, "uid": self.env.uid}
