"""Search domains, evaluated: from a list in prefix notation to a yes or no for each row."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from erpcrm_bridge_odoo.simulator import access, errors, orm
from erpcrm_bridge_odoo.simulator.env import Env
from erpcrm_bridge_odoo.simulator.fields import DATETIME, NUMBERS, X2MANY, Field, Model
from erpcrm_bridge_odoo.simulator.store import Row

Test = Callable[[Row], bool]
OPERATORS = frozenset(
    {"=", "!=", "<>", "==", "<=", "<", ">", ">=", "=?", "=like", "=ilike", "like", "not like", "ilike", "not ilike", "in", "not in"}
    | {"child_of", "parent_of", "any", "not any"}
)
_UNSEARCHABLE = {("res.partner", "total_invoiced"), ("res.partner", "credit_to_invoice"), ("sale.order", "amount_invoiced")}
"""Not stored and without a search of their own: 19 refuses, 17 takes the condition for true."""
_SEARCHABLE = (
    {("res.partner", "credit"), ("res.partner", "debit"), ("sale.order", "invoice_ids")}
    | {(model, name) for model in ("product.product", "product.template") for name in ("qty_available", "virtual_available", "free_qty")}
    | {("product.product", name) for name in ("outgoing_qty", "incoming_qty")}
    | {("product.template", "barcode")}
)
_NEGATIVE = {"!=": "=", "not in": "in", "not like": "like", "not ilike": "ilike", "not any": "any"}


def mentions(domain: Any, name: str) -> bool:
    """Return whether a leaf of the domain names the field."""
    return any(isinstance(leaf, (list, tuple)) and len(leaf) == 3 and leaf[0] == name for leaf in domain or ())


def compiled(env: Env, model: Model, domain: Any) -> Test:
    """Return the test that the domain is. Raises the OdooError of a domain that the server refuses."""
    if not isinstance(domain, (list, tuple)):
        if env.version >= 19:
            raise errors.builtin(TypeError, f"Domain() invalid argument type for domain: {domain!r}")
        words = "Domains to normalize must have a 'domain' form: a list or tuple of domain components"
        raise errors.builtin(AssertionError, words)
    stack: list[Test] = []
    for item in reversed(domain):
        if item in ("&", "|", "!"):
            if len(stack) < (1 if item == "!" else 2):
                told = f"Domain() malformed domain {domain!r}" if env.version >= 19 else f"Domain {domain!r} is syntactically not correct."
                raise errors.value(told)
            first = stack.pop()
            stack.append(_not(first) if item == "!" else _pair(item, first, stack.pop()))
        elif isinstance(item, (list, tuple)) and len(item) == 3:
            stack.append(_leaf(env, model, list(item)))
        else:
            raise _not_a_leaf(env, item)
    if not stack:
        return lambda row: True
    tests = tuple(reversed(stack))
    return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)


def _not_a_leaf(env: Env, item: Any) -> errors.OdooError:
    if env.version >= 19:
        return errors.value(f"Domain() invalid item in domain: {item!r}")
    if not isinstance(item, (str, list, tuple)):
        return errors.builtin(TypeError, f"cannot unpack non-iterable {type(item).__name__} object")
    if len(item) > 3:
        return errors.value("too many values to unpack (expected 3)")
    return errors.value(f"not enough values to unpack (expected 3, got {len(item)})")


def _not(test: Test) -> Test:
    return lambda row: not test(row)


def _pair(operator: str, left: Test, right: Test) -> Test:
    if operator == "&":
        return lambda row: left(row) and right(row)
    return lambda row: left(row) or right(row)


def _leaf(env: Env, model: Model, leaf: list[Any]) -> Test:
    name, operator, wanted = leaf
    if isinstance(name, int) and operator in ("=", "!="):
        truth = (name == wanted) == (operator == "=")
        return lambda row: truth
    if not isinstance(name, str) or not isinstance(operator, str) or operator.lower() not in OPERATORS:
        words = f"Invalid operator in condition {tuple(leaf)!r}" if env.version >= 19 else f"Invalid leaf {tuple(leaf)!r}"
        raise errors.value(words)
    operator = {"<>": "!=", "==": "="}.get(operator.lower(), operator.lower())
    head, _, rest = name.partition(".")
    spec = model.known(head, lambda: _unknown_field(env, model, head, leaf))
    access.need_field(env, model, spec, "read")
    if rest:
        return _path(env, model, spec, rest, operator, wanted)
    if operator == "=?":
        if wanted is False or wanted is None:
            return lambda row: True
        operator = "="
    if operator in ("any", "not any"):
        return _any(env, spec, operator, wanted)
    if operator in ("child_of", "parent_of"):
        return _tree(env, model, spec, operator, wanted)
    if spec.type == "many2one":
        return _many2one(env, spec, operator, wanted)
    if spec.type in X2MANY:
        return _x2many(env, spec, operator, wanted)
    if spec.type in ("datetime", "date"):
        return _moments(env, spec, operator, wanted)
    if (model.name, head) in _UNSEARCHABLE:
        if env.version >= 19:
            raise errors.value(f"Cannot convert {model.name}.{head} to SQL because it is not stored")
        return lambda row: True
    if spec.compute is not None and not (spec.related or (model.name, head) in _SEARCHABLE):
        raise errors.NotSimulatedError(f"searching {model.name} by {head}, which is not stored")
    return _plain(env, spec, operator, wanted)


def _unknown_field(env: Env, model: Model, head: str, leaf: list[Any]) -> errors.OdooError:
    where = "condition" if env.version >= 19 else "leaf"
    return errors.value(f"Invalid field {model.name}.{head} in {where} ({', '.join(map(repr, leaf))})")


def _path(env: Env, model: Model, spec: Field, rest: str, operator: str, wanted: Any) -> Test:
    if not spec.relation:
        if env.version >= 19:
            raise errors.value(f"Invalid field property {rest!r} on {model.name}.{spec.name}")
        words = f"Invalid field '{spec.name}.{rest}' in domain term {(f'{spec.name}.{rest}', operator, wanted)!r}"
        raise errors.builtin(AssertionError, words)
    comodel = env.model(spec.relation)
    negative = _NEGATIVE.get(operator) if spec.type in X2MANY else None
    test = compiled(env, comodel, [[rest, negative or operator, wanted]])
    rows = env.store.table(comodel.name).rows
    whole = env.having(active_test=False) if spec.type == "many2one" else env
    empty_too = spec.type == "many2one" and operator == "=" and wanted in (False, None)

    def holds(row: Row) -> bool:
        held = orm.value(whole, spec, row)
        if spec.type == "many2one":
            return test(rows[held]) if held in rows else empty_too
        return any(test(rows[key]) for key in held if _shown(env, comodel, rows[key], rest))

    return _not(holds) if negative else holds


def _shown(env: Env, comodel: Model, row: Row, rest: str) -> bool:
    return "active" not in comodel.fields or rest == "active" or not env.context.get("active_test", True) or bool(row.get("active"))


def _any(env: Env, spec: Field, operator: str, wanted: Any) -> Test:
    if not spec.relation:
        raise errors.value(f"Cannot use 'any' with non-relational field {spec.name}")
    comodel = env.model(spec.relation)
    test = compiled(env, comodel, wanted)
    rows = env.store.table(comodel.name).rows

    def holds(row: Row) -> bool:
        held = orm.value(env, spec, row)
        keys = held if spec.type in X2MANY else ([held] if held else [])
        return any(test(rows[key]) for key in keys if key in rows)

    return holds if operator == "any" else _not(holds)


def _named(env: Env, spec: Field, operator: str, wanted: Any) -> set[int]:
    """Return the ids of the relation whose name matches."""
    from erpcrm_bridge_odoo.simulator.searching import named

    return set(named(env.having(active_test=False), env.model(spec.relation or ""), wanted, operator))


def _ids(env: Env, spec: Field, wanted: Any) -> tuple[set[int], bool]:
    """Return the ids meant, and whether empty is meant too."""
    many = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    ids: set[int] = set()
    empty = False
    for one in many:
        if one is False or one is None:
            empty = True
        elif isinstance(one, str):
            ids |= _named(env, spec, "=", one)
        else:
            ids.add(int(one))
    return ids, empty


def _many2one(env: Env, spec: Field, operator: str, wanted: Any) -> Test:
    if operator in ("like", "ilike", "not like", "not ilike", "=like", "=ilike"):
        found = _named(env, spec, _NEGATIVE.get(operator, operator), wanted)
        hit: Test = lambda row: orm.value(env, spec, row) in found  # noqa: E731 - one of three alike
        return _not(hit) if operator in _NEGATIVE else hit
    if operator in ("=", "!=", "in", "not in"):
        ids, empty = _ids(env, spec, wanted)

        def holds(row: Row) -> bool:
            held = orm.value(env, spec, row)
            return held in ids if held else empty

        return holds if operator in ("=", "in") else _not(holds)
    return lambda row: (held := orm.value(env, spec, row)) is not None and _ordered(operator, held, wanted)


def _x2many(env: Env, spec: Field, operator: str, wanted: Any) -> Test:
    whole = env if spec.type == "one2many" else env.having(active_test=False)
    if operator in ("like", "ilike", "not like", "not ilike", "=like", "=ilike"):
        ids, empty = _named(env, spec, _NEGATIVE.get(operator, operator), wanted), False
    elif operator in ("=", "!=", "in", "not in"):
        ids, empty = _ids(env, spec, wanted)
    else:
        raise errors.NotSimulatedError(f"operator {operator} on {spec.type}")

    def holds(row: Row) -> bool:
        held = orm.value(whole, spec, row)
        return bool(ids.intersection(held)) or (empty and not held)

    return _not(holds) if operator in _NEGATIVE else holds


def _tree(env: Env, model: Model, spec: Field, operator: str, wanted: Any) -> Test:
    comodel = model if spec.name == "id" else env.model(spec.relation or "")
    if "parent_id" not in comodel.fields:
        raise errors.value(f"{comodel.name} has no parent field")
    many = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    ids = _named(env, spec, "ilike", wanted) if isinstance(wanted, str) else set(many)
    fresh = set(ids)
    while fresh:
        if operator == "child_of":
            fresh = {row["id"] for row in env.all(comodel.name) if row.get("parent_id") in fresh} - ids
        else:
            rows = env.store.table(comodel.name).rows
            fresh = {row["parent_id"] for key in fresh if (row := rows.get(key)) and row.get("parent_id")} - ids
        ids |= fresh
    if spec.name == "id":
        return lambda row: row["id"] in ids

    def holds(row: Row) -> bool:
        held = orm.value(env, spec, row)
        return bool(ids.intersection(held if isinstance(held, list) else [held]))

    return holds


def _moments(env: Env, spec: Field, operator: str, wanted: Any) -> Test:
    """Compare dates and datetimes: 19 by whole seconds, 17 by the raw column with its microseconds."""
    if spec.type == "date":
        return _compare(env, spec, operator, wanted, lambda one: one[:10] if isinstance(one, str) else one, lambda one: one)
    if env.version >= 19:
        return _compare(env, spec, operator, wanted, lambda one: _literal(env, operator, one)[:19], lambda one: one[:19])
    return _compare(env, spec, operator, wanted, lambda one: _padded(_literal(env, operator, one)), _padded)


def _padded(stored: str) -> str:
    return stored if "." in stored else f"{stored}.000000"


def _literal(env: Env, operator: str, given: Any) -> str:
    """Return a datetime of a domain in the form of the store. Date alone is the user's day on 19, UTC's on 17."""
    if not isinstance(given, str):
        raise errors.builtin(TypeError, f"expected a datetime string, not {given!r}")
    if len(given) == 10:
        at = f"{given} 23:59:59" if operator in (">", "<=") else f"{given} 00:00:00"
        return at if env.version < 19 else _from_zone(env, at)
    try:
        parsed = datetime.fromisoformat(given)
    except ValueError as error:
        if env.version >= 19:
            raise errors.value(f"Invalid term {given!r} in expression date: {given!r}") from error
        raise errors.postgres("errors.InvalidDatetimeFormat", f'invalid input syntax for type timestamp: "{given}"\n') from error
    if parsed.tzinfo is not None and env.version >= 19:
        raise errors.value(f"expecting only datetimes with no timezone: {given!r}")
    naive = parsed.replace(tzinfo=None)
    return naive.strftime(DATETIME + ".%f" if naive.microsecond else DATETIME)


def _from_zone(env: Env, at: str) -> str:
    user = env.store.table("res.users").rows.get(env.uid) or {}
    zone = env.context.get("tz") or _user_zone(env, user) or "UTC"
    return datetime.strptime(at, DATETIME).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).strftime(DATETIME)


def _user_zone(env: Env, user: Row) -> str | None:
    partner = env.store.table("res.partner").rows.get(user.get("partner_id") or 0) or {}
    return partner.get("tz")


def _compare(env: Env, spec: Field, operator: str, wanted: Any, literal: Callable[[Any], Any], column: Callable[[Any], Any]) -> Test:
    many = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    if operator in ("=", "!=", "in", "not in"):
        values = {literal(one) for one in many if one not in (False, None)}
        empty = any(one in (False, None) for one in many)

        def holds(row: Row) -> bool:
            held = orm.value(env, spec, row)
            return empty if held is None else column(held) in values

        return holds if operator in ("=", "in") else _not(holds)
    if operator not in ("<", "<=", ">", ">="):
        raise errors.NotSimulatedError(f"operator {operator} on {spec.type}")
    if wanted in (False, None):
        return lambda row: False
    bound = literal(wanted)
    if not spec.company_dependent and spec.compute is None:
        name = spec.name
        return lambda row: (held := row.get(name)) is not None and _ordered(operator, column(held), bound)
    return lambda row: (held := orm.value(env, spec, row)) is not None and _ordered(operator, column(held), bound)


def _ordered(operator: str, left: Any, right: Any) -> bool:
    if operator == "<":
        return bool(left < right)
    if operator == "<=":
        return bool(left <= right)
    if operator == ">":
        return bool(left > right)
    return bool(left >= right)


def _plain(env: Env, spec: Field, operator: str, wanted: Any) -> Test:
    text = spec.type in ("char", "text", "html", "selection")
    zero = spec.type in NUMBERS or spec.type == "many2one_reference"
    if operator in ("like", "ilike", "not like", "not ilike", "=like", "=ilike"):
        return _like(env, spec, operator, wanted)
    if operator in ("=", "!=", "in", "not in"):
        if spec.type == "integer" and operator in ("in", "not in") and isinstance(wanted, str) and env.version < 19:
            raise errors.value(f"Invalid domain term {(spec.name, operator, wanted)!r}")
        many = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
        if spec.type == "integer":
            told = (str, float) if env.version < 19 else str
            many = [errors.integer(str(one)) if isinstance(one, told) else one for one in many]
        empty = any(one is False or one is None or (text and one == "" and env.version >= 19) for one in many)
        values = {one for one in many if one is not False and one is not None} if not zero else {one or 0 for one in many}
        if empty and text and env.version >= 19:
            values.add("")
        if spec.type == "boolean":
            flags = {bool(one) for one in many}
            return _in(lambda row: bool(orm.value(env, spec, row)) in flags, operator)
        if zero:
            return _in(lambda row: (orm.value(env, spec, row) or 0) in values, operator)

        def holds(row: Row) -> bool:
            held = orm.value(env, spec, row)
            return empty if held is None else held in values

        return _in(holds, operator)
    if wanted in (False, None) and not zero:
        return lambda row: False
    bound = (wanted or 0) if zero else wanted

    def compares(row: Row) -> bool:
        held = orm.value(env, spec, row)
        held = (held or 0) if zero else held
        return held is not None and _ordered(operator, held, bound)

    return compares


def _in(holds: Test, operator: str) -> Test:
    return holds if operator in ("=", "in") else _not(holds)


def _like(env: Env, spec: Field, operator: str, wanted: Any) -> Test:
    pattern = matcher(operator, wanted)
    if wanted in (False, None, "") and not operator.startswith("="):
        return (lambda row: False) if operator in _NEGATIVE else (lambda row: True)

    def holds(row: Row) -> bool:
        held = orm.value(env, spec, row)
        return held is not None and pattern(str(held))

    return _not(holds) if operator in _NEGATIVE else holds


def matcher(operator: str, wanted: Any) -> Callable[[str], bool]:
    """Return the test of a like operator: % any text, _ one character, a backslash before either takes it as it is."""
    shown = str(wanted)
    text = shown if operator.startswith("=") else f"%{shown}%"
    parts: list[str] = []
    escaped = False
    for one in text:
        if escaped:
            parts.append(re.escape(one))
            escaped = False
        elif one == "\\":
            escaped = True
        else:
            parts.append({"%": ".*", "_": "."}.get(one) or re.escape(one))
    found = re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if "ilike" in operator else 0))
    return lambda held: found.fullmatch(held) is not None
