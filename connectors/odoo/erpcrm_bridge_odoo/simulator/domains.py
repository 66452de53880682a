"""Search domains, evaluated: from a list in prefix notation to a yes or no for each row."""

from __future__ import annotations

import math
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
_BALANCES = {("res.partner", "credit"), ("res.partner", "debit")}
"""Summed over journal items: who has none is not among those that are compared."""
_ORDERS = ("<", "<=", ">", ">=")
NUMBERED = frozenset(f"{part}_number" for part in ("year", "quarter", "month", "iso_week", "day", "hour", "minute", "second")) | {
    "day_of_week",
    "day_of_month",
    "day_of_year",
}
"""The parts of a date that 19 can compare."""
NEGATIVE = {"!=": "=", "not in": "in", "not like": "like", "not ilike": "ilike", "not any": "any"}


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
        return errors.builtin(TypeError, f"{type(item).__name__!r} object is not subscriptable")
    if len(item) > 3:
        return errors.value("too many values to unpack (expected 3)")
    if len(item) < 2:
        return errors.builtin(IndexError, f"{'string' if isinstance(item, str) else 'tuple'} index out of range")
    return errors.value(f"not enough values to unpack (expected 3, got {len(item)})")


def _not(test: Test) -> Test:
    return lambda row: not test(row)


def _pair(operator: str, left: Test, right: Test) -> Test:
    if operator == "&":
        return lambda row: left(row) and right(row)
    return lambda row: left(row) or right(row)


def _leaf(env: Env, model: Model, leaf: list[Any]) -> Test:
    name, operator, wanted = leaf
    if name in (0, 1) and operator == "=" and wanted == 1 and wanted is not True:
        truth = bool(name)
        return lambda row: truth
    _sound(env, name, operator, wanted, leaf)
    operator = {"<>": "!=", "==": "="}.get(operator.lower(), operator.lower())
    if env.version < 19 and operator in ("in", "not in") and not isinstance(wanted, (list, tuple, bool, type(None))):
        raise errors.value(f"Invalid domain term {tuple(leaf)!r}")
    head, _, rest = name.partition(".")
    spec = model.known(head, lambda: _unknown_field(env, model, head, leaf))
    access.need_field(env, model, spec, "read")
    if rest:
        return _path(env, model, spec, rest, operator, wanted)
    if operator == "=?":
        if wanted is False or wanted is None or (wanted == "" and env.version >= 19):
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
    if head == "display_name":
        return _display(env, model, operator, wanted)
    if (model.name, head) in _BALANCES and operator in (_ORDERS if env.version >= 19 else (*_ORDERS, "=")):
        fits = _plain(env, spec, operator, wanted)
        return lambda row: bool(env.all("account.move.line", partner_id=row["id"])) and fits(row)
    if spec.compute is not None and not (spec.related or (model.name, head) in _SEARCHABLE):
        raise errors.NotSimulatedError(f"searching {model.name} by {head}, which is not stored")
    return _plain(env, spec, operator, wanted)


def _display(env: Env, model: Model, operator: str, wanted: Any) -> Test:
    """By the name that is shown: 19 asks as a search by name does, 17 takes the condition for true."""
    if env.version < 19 or not wanted:
        return lambda row: True
    many = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    plain = NEGATIVE.get(operator, operator)
    found = set[int]().union(*(_called(env, model, "=" if plain == "in" else plain, one) for one in many))
    return _in(lambda row: row["id"] in found, "not in" if operator in NEGATIVE else "in")


def _sound(env: Env, name: Any, operator: Any, wanted: Any, leaf: list[Any]) -> None:
    """Raise what the server says of a condition that is none. 17 takes operators as they are written, 19 in any case."""
    if env.version < 19:
        if isinstance(name, int) and operator in ("=", "!="):
            raise errors.builtin(AttributeError, "'int' object has no attribute 'split'")
        if not isinstance(name, str) or operator not in OPERATORS - {"=="}:
            raise errors.value(f"Invalid leaf {tuple(leaf)!r}")
        return
    if isinstance(name, int) and operator in ("=", "!="):
        raise errors.builtin(TypeError, f"Domain() invalid arguments: {tuple(leaf)!r}")
    if isinstance(operator, (bool, type(None))) and isinstance(name, str):
        raise errors.builtin(AttributeError, f"{type(operator).__name__!r} object has no attribute 'lower'")
    if not isinstance(name, str) or not isinstance(operator, str) or operator.lower() not in OPERATORS:
        raise errors.value(f"Invalid operator in condition {tuple(leaf)!r}")
    if not name:
        raise errors.builtin(TypeError, f"Empty field name in condition {tuple(leaf)!r}")
    if operator.lower() not in ("any", "not any"):
        for one in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
            if isinstance(one, (list, tuple, dict)):
                raise errors.builtin(TypeError, f"unhashable type: {type(one).__name__!r}")


def _unknown_field(env: Env, model: Model, head: str, leaf: list[Any]) -> errors.OdooError:
    where = "condition" if env.version >= 19 else "leaf"
    return errors.value(f"Invalid field {model.name}.{head} in {where} ({', '.join(map(repr, leaf))})")


def _path(env: Env, model: Model, spec: Field, rest: str, operator: str, wanted: Any) -> Test:
    """Whether a record is referred to that fulfils the rest: a negation counts for that record, and who refers to none never fits."""
    if not spec.relation:
        if spec.type in ("date", "datetime") and env.version >= 19 and rest in NUMBERED:
            raise errors.NotSimulatedError(f"a condition on {spec.name}.{rest}")
        if env.version >= 19:
            raise errors.value(f"Invalid field property {rest!r} on {model.name}.{spec.name}")
        words = f"Invalid field '{spec.name}.{rest}' in domain term {(f'{spec.name}.{rest}', operator, wanted)!r}"
        raise errors.builtin(AssertionError, words)
    comodel = env.model(spec.relation)
    test = compiled(env, comodel, [[rest, operator, wanted]])
    rows = env.store.table(comodel.name).rows
    whole = env.having(active_test=False) if spec.type == "many2one" else env

    def holds(row: Row) -> bool:
        held = orm.value(whole, spec, row)
        if spec.type == "many2one":
            return held in rows and test(rows[held])
        return any(test(rows[key]) for key in held if _shown(env, comodel, rows[key], rest))

    return holds


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
    return _called(env, env.model(spec.relation or ""), operator, wanted)


def _called(env: Env, model: Model, operator: str, wanted: Any) -> set[int]:
    from erpcrm_bridge_odoo.simulator.searching import named

    return set(named(env.having(active_test=False), model, wanted, operator))


def _ids(env: Env, spec: Field, wanted: Any) -> tuple[set[int], bool]:
    """Return the ids meant, and whether empty is meant too."""
    many = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    ids: set[int] = set()
    empty = False
    for one in many:
        if one is False or one is None:
            empty = True
        elif isinstance(one, str):
            if env.version < 19 and any(isinstance(other, int) and other is not False for other in many):
                raise errors.postgres("errors.InvalidTextRepresentation", f'invalid input syntax for type integer: "{one}"\n')
            ids |= _named(env, spec, "=", one)
        elif one is True:
            raise errors.postgres("errors.UndefinedFunction", "operator does not exist: integer = boolean\n")
        else:
            ids.add(int(one))
    return ids, empty


def _many2one(env: Env, spec: Field, operator: str, wanted: Any) -> Test:
    if operator in ("like", "ilike", "not like", "not ilike", "=like", "=ilike"):
        if env.version < 19 and wanted is False:
            return lambda row: True
        found = _named(env, spec, NEGATIVE.get(operator, operator), wanted)
        hit: Test = lambda row: orm.value(env, spec, row) in found  # noqa: E731 - one of three alike
        return _not(hit) if operator in NEGATIVE else hit
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
        ids, empty = _named(env, spec, NEGATIVE.get(operator, operator), wanted), False
    elif operator in ("=", "!=", "in", "not in"):
        ids, empty = _ids(env, spec, wanted)
        empty = empty and (env.version >= 19 or not isinstance(wanted, (list, tuple)))
    else:
        raise errors.NotSimulatedError(f"operator {operator} on {spec.type}")

    def holds(row: Row) -> bool:
        held = orm.value(whole, spec, row)
        return bool(ids.intersection(held)) or (empty and not held)

    return _not(holds) if operator in NEGATIVE else holds


def _tree(env: Env, model: Model, spec: Field, operator: str, wanted: Any) -> Test:
    """The hierarchy by ``parent_id`` of what is referred to; a reference into its own model is the hierarchy itself."""
    own = spec.name == "id" or (spec.type == "many2one" and spec.relation == model.name)
    if spec.name != "id" and not spec.relation:
        raise errors.NotSimulatedError(f"{operator} on {spec.type}")
    comodel = model if own else env.model(spec.relation or "")
    up = spec.name if own and spec.name != "id" else "parent_id"
    if up not in comodel.fields:
        if env.version < 19:
            raise errors.builtin(KeyError, up)
        shown = ", ".join(map(str, wanted if isinstance(wanted, (list, tuple)) else [wanted]))
        raise errors.value(f"Invalid field {comodel.name}.{up} in condition ('{up}', 'in', OrderedSet([{shown}]))")
    many = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    ids = _called(env, comodel, "ilike", wanted) if isinstance(wanted, str) else {one for one in many if one}
    fresh = set(ids)
    while fresh:
        if operator == "child_of":
            fresh = {row["id"] for row in env.all(comodel.name) if row.get(up) in fresh} - ids
        else:
            rows = env.store.table(comodel.name).rows
            fresh = {row[up] for key in fresh if (row := rows.get(key)) and row.get(up)} - ids
        ids |= fresh
    if own:
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
    if isinstance(given, datetime):  # XML-RPC has a type for it
        return _stored_moment(given)
    if not isinstance(given, str):
        if env.version >= 19:
            raise errors.value(f"Failed to cast {given!r} into a datetime")
        kind = "InvalidDatetimeFormat" if isinstance(given, bool) else "DatetimeFieldOverflow"
        words = "invalid input syntax for type timestamp" if isinstance(given, bool) else "date/time field value out of range"
        raise errors.postgres(f"errors.{kind}", f'{words}: "{given}"\n')
    if given.split(" ")[0] in (("today", "now") if env.version >= 19 else ("today", "now", "yesterday", "tomorrow", "epoch")) or (
        env.version >= 19 and given[:1] in ("+", "-", "=")
    ):
        raise errors.NotSimulatedError(f"the moment {given!r} in a domain")
    try:
        parsed = datetime.fromisoformat(given)
    except ValueError as error:
        raise _no_moment(env, given, error) from error
    if len(given) == 10:
        at = f"{given} 23:59:59" if operator in (">", "<=") else f"{given} 00:00:00"
        return at if env.version < 19 else _from_zone(env, at)
    if parsed.tzinfo is not None and env.version >= 19:
        raise errors.value(f"expecting only datetimes with no timezone: {given!r}")
    return _stored_moment(parsed)


def _stored_moment(moment: datetime) -> str:
    naive = moment.replace(tzinfo=None)
    return naive.strftime(DATETIME + ".%f" if naive.microsecond else DATETIME)


def _no_moment(env: Env, given: str, error: ValueError) -> errors.OdooError:
    """Return what the server says of a text that is no moment."""
    looks_like_one = re.fullmatch(r"\d{4,}-\d\d-\d\d.*", given)
    if env.version >= 19:
        if not given:
            return errors.value("Empty date value")
        if looks_like_one:
            return errors.value(str(error))
        return errors.value(f"Invalid term {given!r} in expression date: {given!r}")
    if looks_like_one and re.fullmatch(r"\d{4}-\d\d-\d\d.*", given):
        whole = f"{given} 23:59:59" if len(given) == 10 else given
        return errors.postgres("errors.DatetimeFieldOverflow", f'date/time field value out of range: "{whole}"\n')
    if looks_like_one:
        raise errors.NotSimulatedError(f"the moment {given!r} in a domain")
    return errors.postgres("errors.InvalidDatetimeFormat", f'invalid input syntax for type timestamp: "{given}"\n')


def _from_zone(env: Env, at: str) -> str:
    return datetime.strptime(at, DATETIME).replace(tzinfo=zone_of_user(env)).astimezone(UTC).strftime(DATETIME)


def zone_of_user(env: Env) -> ZoneInfo:
    """Return the caller's time zone; one that there is not is UTC."""
    user = env.store.table("res.users").rows.get(env.uid) or {}
    try:
        return ZoneInfo(env.context.get("tz") or _user_zone(env, user) or "UTC")
    except (KeyError, ValueError, TypeError):
        return ZoneInfo("UTC")


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
    if spec.type == "boolean":
        return _flag(env, spec, operator, wanted)
    if operator in ("like", "ilike", "not like", "not ilike", "=like", "=ilike"):
        return _like(env, spec, operator, wanted)
    if operator in ("=", "!=", "in", "not in"):
        return _equal(env, spec, operator, wanted, text=text, zero=zero)
    if text and env.version >= 19:  # there nothing is less than any text
        least = "" if wanted in (False, None) else str(wanted)
        return lambda row: _ordered(operator, str(orm.value(env, spec, row) or ""), least)
    if wanted in (False, None) and not zero:
        return lambda row: False
    bound = _number(env, spec, wanted or 0) if zero else str(wanted)

    def compares(row: Row) -> bool:
        held = orm.value(env, spec, row)
        held = (held or 0) if zero else held
        return held is not None and _ordered(operator, held, bound)

    return compares


def _number(env: Env, spec: Field, given: Any) -> Any:
    """Return the number that stands in a domain. Raises what the server says of one that is none."""
    if spec.type == "integer" and spec.name == "id" and env.version < 19:
        number = errors.integer(str(given)) if isinstance(given, (str, bool)) else given
        if abs(number) >= 2**31:
            raise errors.postgres("errors.NumericValueOutOfRange", f'value "{given}" is out of range for type integer\n')
        return number
    if spec.type == "integer" and isinstance(given, float) and math.isnan(given) and env.version >= 19:
        raise errors.value("cannot convert float NaN to integer")
    try:
        return int(given) if spec.type == "integer" and not isinstance(given, float) else float(given) if isinstance(given, str) else given
    except (TypeError, ValueError) as error:
        raise errors.builtin(type(error), str(error)) from error


def _equal(env: Env, spec: Field, operator: str, wanted: Any, *, text: bool, zero: bool) -> Test:
    many = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
    none = many == [] and operator in ("=", "!=") and env.version >= 19
    if spec.name == "id" and env.version >= 19:
        many = [errors.integer(one) if isinstance(one, str) else one for one in many]
    elif zero:
        many = [_number(env, spec, one) if one is not False and one is not None else one for one in many]
    empty = none or any(one is False or one is None or (text and one == "" and env.version >= 19) for one in many)
    if zero and env.version < 19:  # False is what holds nothing at all, which a number does not
        numbers = {one for one in many if one is not False and one is not None}
        return _in(lambda row: (orm.value(env, spec, row) or 0) in numbers, operator)
    if zero:
        numbers = {one or 0 for one in many} | ({0} if none else set())
        return _in(lambda row: (orm.value(env, spec, row) or 0) in numbers, operator)
    values = {one for one in many if one is not False and one is not None and not isinstance(one, (list, dict))}
    if text:
        values = {str(one) if isinstance(one, (int, float)) and not isinstance(one, bool) else one for one in values}
    if empty and text and env.version >= 19:
        values.add("")
    if text and env.version < 19 and operator == "!=" and wanted == "":  # no NULL is unequal to a text there but a text with letters
        return lambda row: (orm.value(env, spec, row) or "") != ""

    def holds(row: Row) -> bool:
        held = orm.value(env, spec, row)
        return empty if held is None else held in values

    return _in(holds, operator)


def _flag(env: Env, spec: Field, operator: str, wanted: Any) -> Test:
    """A yes or no: 19 reads texts, 17 takes what is something for true."""
    many = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    if operator not in ("=", "!=", "in", "not in"):
        if env.version >= 19:
            told = (spec.name, operator, wanted)
            raise errors.value(
                f"Cannot compare {spec.name!r} to {type(wanted)} which is not a collection of length 1 in condition {told!r}"
            )
        raise errors.NotSimulatedError(f"operator {operator} on {spec.type}")
    if env.version < 19 and many == [None]:
        return _in(lambda row: False, operator)
    flags = {
        one.lower() in ("y", "yes", "1", "true", "t", "on") if isinstance(one, str) and env.version >= 19 else bool(one) for one in many
    }
    return _in(lambda row: bool(orm.value(env, spec, row)) in flags, operator)


def _in(holds: Test, operator: str) -> Test:
    return holds if operator in ("=", "in") else _not(holds)


def _like(env: Env, spec: Field, operator: str, wanted: Any) -> Test:
    pattern = matcher(operator, wanted)
    if wanted in (False, None, "") and not operator.startswith("="):
        if operator in NEGATIVE:
            return (lambda row: orm.value(env, spec, row) is None) if env.version < 19 and wanted == "" else (lambda row: False)
        return lambda row: True

    def holds(row: Row) -> bool:
        held = orm.value(env, spec, row)
        return held is not None and pattern(str(held))

    return _not(holds) if operator in NEGATIVE else holds


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
