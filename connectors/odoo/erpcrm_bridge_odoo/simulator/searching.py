"""Finding records: domain, access rules, archived ones, order, offset and limit; and finding them by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from erpcrm_bridge_odoo.simulator import access, errors, orm
from erpcrm_bridge_odoo.simulator.domains import NEGATIVE, OPERATORS, compiled, matcher, mentions
from erpcrm_bridge_odoo.simulator.env import Env
from erpcrm_bridge_odoo.simulator.fields import Model
from erpcrm_bridge_odoo.simulator.store import Row

_ORDER = re.compile(
    r"^\s*[a-z0-9_.:]+(\s+(asc|desc))?(\s+nulls\s+(first|last))?\s*(,\s*[a-z0-9_.:]+(\s+(asc|desc))?(\s+nulls\s+(first|last))?\s*)*$", re.I
)
BY_NAME = {
    "res.partner": ("complete_name", "email", "ref", "vat", "company_registry"),
    "res.users": ("name", "login"),
    "product.product": ("name", "default_code", "barcode"),
    "product.template": ("name", "default_code", "barcode"),
    "res.country": ("name", "code"),
    "res.country.state": ("name", "code"),
    "account.account": ("name", "code"),
    "account.move": ("name", "ref"),
}
"""The fields that a record is found by when its name is asked for, where they are others than the one it is shown by."""


def search(env: Env, model: Model, domain: Any, offset: int = 0, limit: int | None = None, order: str | None = None) -> list[int]:
    """Return the ids that match, in order; rows that a rule hides are not there, archived ones only where they are asked for."""
    by = order or model.order
    places = _places(env, model, by)
    if domain is False and env.version >= 19:  # the condition that nothing fulfils
        return []
    domain = list(domain) if isinstance(domain, (list, tuple)) else domain
    tests = [compiled(env, model, domain)]
    if "active" in model.fields and env.context.get("active_test", True) and not mentions(domain, "active"):
        tests.append(lambda row: bool(row.get("active")))
    if model.name == "ir.attachment" and not any(mentions(domain, name) for name in ("id", "res_field")):
        tests.append(lambda row: not row.get("res_field"))  # the files behind binary fields
    if not env.sudo:
        tests += access.rules(env, model.name)
    table = env.store.table(model.name)
    rows = table.rows
    by_id = [name for name, _ in places[:1]] == ["id"]
    ids: Iterable[int] = table.after(_after(domain)) if by_id else table.ids
    if by_id and places[0][1]:
        ids = reversed(list(ids))
    found: Iterable[int] = (key for key in ids if all(test(rows[key]) for test in tests))
    if not by_id:
        found = [row["id"] for row in _sorted(env, model, [rows[key] for key in found], places)]
    if limit is False or limit == 0:
        limit = None
    limit, offset = _count(limit, "LIMIT"), _count(offset, "OFFSET") or 0
    if limit is not None and limit < 0:
        raise errors.postgres("errors.InvalidRowCountInLimitClause", "LIMIT must not be negative\n")
    if offset and offset < 0:
        raise errors.postgres("errors.InvalidRowCountInResultOffsetClause", "OFFSET must not be negative\n")
    return list(islice(found, offset or 0, (offset or 0) + limit if limit is not None else None))


def _count(given: Any, word: str) -> int | None:
    """Return a limit or an offset as PostgreSQL takes it: texts as numbers, broken numbers rounded."""
    if given is None or given is False:
        return None
    if given is True or isinstance(given, (list, tuple)):
        kind = "boolean" if given is True else "integer[]"
        raise errors.postgres("errors.DatatypeMismatch", f"argument of {word} must be type bigint, not type {kind}\n")
    if isinstance(given, str):
        return errors.integer(given, "bigint")
    number: int = round(given)
    return number


def _after(domain: Any) -> int:
    """Return the id that a domain without operators begins after, so that not every row need be asked."""
    if any(isinstance(leaf, str) for leaf in domain):
        return 0
    return max((leaf[2] for leaf in domain if leaf[0] == "id" and leaf[1] == ">" and isinstance(leaf[2], int)), default=0)


def _places(env: Env, model: Model, order: str) -> list[tuple[str, bool]]:
    """Return the fields to order by, and whether downwards."""
    if env.version >= 19 and not isinstance(order, str):
        raise errors.builtin(TypeError, f"expected string or bytes-like object, got {type(order).__name__!r}")
    if not isinstance(order, str) or not _ORDER.match(order):
        raise errors.user(
            f'Invalid "order" specified ({order}). A valid "order" specification is a comma-separated list of valid field names '
            "(optionally followed by asc/desc for the direction)"
        )
    places = []
    for part in order.split(","):
        words = part.split()
        name, down = words[0], len(words) > 1 and words[1].lower() == "desc"
        if "." in name or ":" in name or (len(words) > 1 and words[-2].lower() == "nulls"):
            raise errors.NotSimulatedError(f"order by {part.strip()}")
        spec = model.known(name, lambda name=name: _bad_order(model, name))  # type: ignore[misc]
        if (
            (spec.compute is not None and not spec.related)
            or spec.type in ("one2many", "many2many")
            or (spec.company_dependent and env.version < 19)
        ):
            if env.version >= 19:
                raise errors.value(f"Cannot convert {model.name}.{name} to SQL because it is not stored")
            continue
        places.append((name, down))
    return places


def _bad_order(model: Model, name: str) -> errors.OdooError:
    return errors.value(f"Invalid field {name!r} on model {model.name!r}")


def in_order(env: Env, model: Model, rows: list[Row], order: str) -> list[Row]:
    return _sorted(env, model, rows, _places(env, model, order))


def _sorted(env: Env, model: Model, rows: list[Row], places: list[tuple[str, bool]]) -> list[Row]:
    """Sort: empty last upwards and first downwards, a many2one in the order of what it refers to."""
    done = sorted(rows, key=lambda row: row["id"]) if not any(name == "id" for name, _ in places) else list(rows)
    for name, down in reversed(places):
        spec = model.fields[name]
        ranks: dict[int, int] = {}
        if spec.type == "many2one" and spec.relation in env.database.models:
            comodel = env.model(spec.relation)
            held = {orm.value(env, spec, row) for row in done} - {None}
            there = [env.store.table(comodel.name).rows[key] for key in held if key in env.store.table(comodel.name).rows]
            ranks = {row["id"]: rank for rank, row in enumerate(in_order(env, comodel, there, comodel.order))}

        def key(row: Row, spec: Any = spec, ranks: dict[int, int] = ranks) -> tuple[bool, Any]:
            held = orm.value(env, spec, row)
            if spec.type == "boolean":
                held = bool(held)
            elif spec.type == "many2one" and held is not None:
                held = ranks.get(held)
            return (held is None, 0 if held is None else held)

        done.sort(key=key, reverse=down)
    return done


def named(env: Env, model: Model, name: Any, operator: str = "ilike", domain: Any = (), limit: int | None = None) -> list[int]:
    """Return the ids of the records that go by a name. A negation is for those that go by it in none of the fields."""
    if not name and (operator == "ilike" or env.version >= 19):
        return search(env, model, list(domain or ()), limit=limit)
    fields = [field for field in BY_NAME.get(model.name, (model.shown_by,)) if field in model.fields]
    if operator not in OPERATORS:
        shown = "display_name" if env.version >= 19 else fields[0]
        words = "Invalid operator in condition" if env.version >= 19 else "Invalid leaf"
        raise errors.value(f"{words} {(shown, operator, name)!r}")
    if env.version < 19 and operator in ("in", "not in") and isinstance(name, str):
        raise errors.value(f"Invalid domain term {(fields[-1], operator, name)!r}")
    limit = _count(limit, "LIMIT") or None
    if limit is not None and limit < 0:
        raise errors.postgres("errors.InvalidRowCountInLimitClause", "LIMIT must not be negative\n")
    plain = NEGATIVE.get(operator, operator)
    test = matcher(plain, name) if "like" in plain else None
    many = name if isinstance(name, (list, tuple)) else [name]
    found = []
    ids = search(env, model, list(domain or ()))
    if model.name == "res.country" and operator == "ilike" and isinstance(name, str) and len(name) == 2:  # its code comes first
        ids.sort(key=lambda key: env.row(model.name, key)["code"] != name.upper())
    for key in ids:
        row = env.row(model.name, key)
        held = [orm.value(env, model.fields[field], row) for field in fields]
        hit = any(one is not None and (test(str(one)) if test else str(one) in many) for one in held)
        if hit == (operator not in NEGATIVE):
            found.append(key)
        if limit and len(found) == limit:
            break
    return found
