"""The records themselves: read, create, write, unlink, with x2many commands, languages and companies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from erpcrm_bridge_odoo.simulator import access, errors
from erpcrm_bridge_odoo.simulator.env import CHECK, INVERSES, LEAVE, PREPARE, SETTLE, Env
from erpcrm_bridge_odoo.simulator.fields import X2MANY, Field, Model, printed, read_out, rounded, rounded_to, taken_in
from erpcrm_bridge_odoo.simulator.store import Row

_COPY_NAMED = frozenset({"res.partner", "product.template", "product.product", "product.pricelist"})
_MAGIC = frozenset({"id", "create_date", "create_uid", "write_date", "write_uid"})


def value(env: Env, spec: Field, row: Row) -> Any:
    """Return a field as the server holds it: None for empty, ids for relations."""
    if spec.compute is not None:
        return spec.compute(env, row)
    if spec.type == "one2many":
        return lines(env, spec, row["id"])
    stored = row.get(spec.name)
    if spec.type == "many2many":
        return list(stored or ())
    if spec.company_dependent:
        own = (stored or {}).get(env.companies[0])
        return own if own is not None or spec.default is None else spec.default(env)
    if spec.translate and isinstance(stored, dict):
        return stored.get(env.lang, stored.get("en_US"))
    return stored


def lines(env: Env, spec: Field, key: int) -> list[int]:
    """Return the ids that a one2many shows, in the order of its model; archived ones stay away unless the context asks for them."""
    from erpcrm_bridge_odoo.simulator.searching import in_order

    assert spec.relation is not None  # noqa: S101 - a one2many has one
    assert spec.inverse is not None  # noqa: S101 - and its way back
    comodel = env.model(spec.relation)
    found = env.all(spec.relation, **{spec.inverse: key})
    if "active" in comodel.fields and env.context.get("active_test", True):
        found = [row for row in found if row.get("active")]
    if spec.domain:
        from erpcrm_bridge_odoo.simulator.domains import compiled

        matches = compiled(env, comodel, list(spec.domain))
        found = [row for row in found if matches(row)]
    return [row["id"] for row in in_order(env, comodel, found, comodel.order)]


def display(env: Env, model: str, key: int) -> str:
    """Return a record's display name."""
    spec = env.model(model)
    row = env.row(model, key)
    if spec.display is not None:
        return str(spec.display(env, row))
    shown = value(env, spec.fields[spec.shown_by], row) if spec.shown_by in spec.fields else None
    return shown if isinstance(shown, str) else (str(shown) if shown else f"{model},{key}")


def told(env: Env, spec: Field, row: Row, *, plain: bool) -> Any:
    """Return a field as ``read`` tells it; ``plain``: many2one as a bare id."""
    held = value(env, spec, row)
    if spec.type == "many2one":
        if not held or held not in env.store.table(spec.relation or "").rows:
            return False
        return held if plain else [held, display(env, spec.relation or "", held)]
    if spec.type in X2MANY:
        return held
    noisy = env.version < 19 and held and (spec.company_dependent or spec.compute is not None)
    if noisy and (spec.type == "monetary" or (spec.type == "float" and spec.digits is not None)):
        return rounded(held, spec.digits if spec.digits is not None else 2, 17)
    return read_out(spec, held)


def read(env: Env, model: Model, ids: Iterable[int], names: Sequence[str] | None, load: str | None) -> list[Row]:
    """Return the records that exist, each id as often as it was asked for; one field forbidden refuses all."""
    if not names:
        wanted = [spec for spec in model.fields.values() if access.may_field(env, spec)]
    else:
        wanted = [model.known(name) for name in names]
        for spec in wanted:
            access.need_field(env, model, spec, "read")
    plain = load != "_classic_read"
    rows = env.store.table(model.name).rows
    there = [key for key in ids if key in rows]
    access.need_rows(env, model, there, "read")
    return [{"id": key, **{spec.name: told(env, spec, rows[key], plain=plain) for spec in wanted}} for key in there]


def defaults(env: Env, model: Model, given: Row) -> Row:
    """Return what was given with the defaults for what was not: those of the context before those of the fields."""
    full = dict(given)
    for name, spec in model.fields.items():
        if name in full or name in _MAGIC or spec.compute is not None or spec.company_dependent:
            continue
        if f"default_{name}" in env.context:
            full[name] = env.context[f"default_{name}"]
        elif spec.default is not None:
            full[name] = spec.default(env) if callable(spec.default) else spec.default
    return full


def company_defaults(env: Env, model: Model) -> Row:
    """Return what fields that each company keeps apart hold where nothing was written (observed: the accounts of partners)."""
    kept = {name: spec.default for name, spec in model.fields.items() if spec.company_dependent and spec.default is not None}
    return {name: default(env) if callable(default) else default for name, default in kept.items()}


def create(env: Env, model: Model, given: Sequence[Row]) -> list[int]:
    """Create records in one go and return their ids; the first that fails raises."""
    return [_created(env, model, vals) for vals in given]


def _created(env: Env, model: Model, given: Row) -> int:
    for name in given:
        spec = model.known(name, lambda name=name: _unknown(model, name, creating=True))  # type: ignore[misc]
        access.need_field(env, model, spec, "write")
    vals = defaults(env, model, {name: one for name, one in given.items() if name not in _MAGIC})
    for prepare in PREPARE.get(model.name, ()):
        vals = prepare(env, vals)
    inverse = {name: one for name, one in given.items() if model.fields[name].compute is not None}
    key = env.store.next_id(model.name)
    row: Row = {"id": key, "_model": model.name}
    later: list[tuple[Field, Any]] = []
    for name, spec in model.fields.items():
        if spec.type == "one2many":
            if vals.get(name):
                later.append((spec, vals[name]))
        elif spec.store and name not in _MAGIC:
            row[name] = _stored(env, model, spec, None, vals.get(name), creating=True, beside=vals)
    stamp = env.transaction.stamp
    row |= {"create_date": stamp, "write_date": stamp, "create_uid": env.uid, "write_uid": env.uid}
    _required(model, row, [*model.fields])
    _references(env, model, row, [*model.fields], creating=True)
    env.store.put(env.transaction, model.name, key, row)
    _unique(env, model, key)
    for name, one in inverse.items():
        inverted(env, model, key, model.fields[name], one)
    for spec, commands in later:
        _commands(env, model, spec, key, commands, creating=True)
    for settle in SETTLE.get(model.name, ()):
        settle(env, [key], None)
    env.database.webhooks.happened(env, model.name, [key], "create", None)
    return key


def write(env: Env, model: Model, ids: Sequence[int], given: Row) -> None:
    """Write the same values to all these records; every one of them is stamped, changed or not."""
    wanted: dict[str, Field] = {}
    for name in given:
        spec = model.known(name, lambda name=name: _unknown(model, name, creating=False))  # type: ignore[misc]
        access.need_field(env, model, spec, "write")
        if name not in _MAGIC and spec.compute is None:
            wanted[name] = spec
    gone = [key for key in ids if key not in env.store.table(model.name).rows]
    if gone:
        raise errors.missing(model.name, gone[:1], env.uid)
    for check in CHECK.get(model.name, ()):
        check(env, list(ids), given)
    before = {key: env.row(model.name, key) for key in ids}
    for key in dict.fromkeys(ids):
        row = env.row(model.name, key)
        fresh = dict(row)
        for name, spec in wanted.items():
            if spec.type != "one2many":
                fresh[name] = _stored(env, model, spec, row, given[name], creating=False)
        fresh |= {"write_date": env.transaction.stamp, "write_uid": env.uid}
        _required(model, fresh, wanted)
        _references(env, model, fresh, wanted, creating=False)
        env.store.put(env.transaction, model.name, key, fresh)
        _unique(env, model, key)
        for name, one in given.items():
            if model.fields[name].compute is not None:
                inverted(env, model, key, model.fields[name], one)
        for name, spec in wanted.items():
            if spec.type == "one2many":
                _commands(env, model, spec, key, given[name], creating=False)
    for settle in SETTLE.get(model.name, ()):
        settle(env, list(ids), set(given))
    env.database.webhooks.happened(env, model.name, list(ids), "write", set(given), before)


def inverted(env: Env, model: Model, key: int, spec: Field, given: Any) -> None:
    """Write a field that is not stored to where its value stands; one that only shows something leaves everything as it is."""
    if spec.related:
        head, _, last = spec.related.partition(".")
        target = env.row(model.name, key).get(head)
        if target and "." not in last:
            write(env.as_root(), env.model(model.fields[head].relation or ""), [target], {last: given})
        return
    inverse = INVERSES.get((model.name, spec.name))
    if inverse is not None:
        inverse(env, key, given)


def unlink(env: Env, model: Model, ids: Sequence[int]) -> None:
    """Delete records, with what hangs on them and their external ids."""
    there = list(dict.fromkeys(ids))
    gone = [key for key in there if key not in env.store.table(model.name).rows]
    if gone:
        raise errors.missing(model.name, gone[:1], env.uid)
    for leave in LEAVE.get(model.name, ()):
        leave(env, there)
    env.database.webhooks.happened(env, model.name, there, "unlink", None)
    for other in env.database.models.values():
        for spec in other.fields.values():
            if spec.relation == model.name and spec.type == "many2one" and spec.store and spec.name not in _MAGIC:
                _let_go(env, model, other, spec, there)
            elif spec.relation == model.name and spec.type == "many2many" and spec.store:
                for row in env.all(other.name):
                    if set(row.get(spec.name) or ()) & set(there):
                        env.sql(other.name, row["id"], {spec.name: tuple(one for one in row[spec.name] if one not in there)})
    for key in there:
        if key in env.store.table(model.name).rows:
            env.store.put(env.transaction, model.name, key, None)
    for row in env.all("ir.attachment", res_model=model.name):
        if row["res_id"] in there:
            env.store.put(env.transaction, "ir.attachment", row["id"], None)
    marks = [row["id"] for row in env.all("ir.model.data") if row["model"] == model.name and row["res_id"] in there]
    for mark in marks:
        env.store.put(env.transaction, "ir.model.data", mark, None)


def _let_go(env: Env, model: Model, other: Model, spec: Field, ids: list[int]) -> None:
    holders = [row for key in ids for row in env.all(other.name, **{spec.name: key})] if not spec.company_dependent else []
    if other.name == model.name:
        holders = [row for row in holders if row["id"] not in ids]
    if not holders:
        return
    if spec.on_delete == "cascade":
        unlink(env.having(_with_parent=model.name).as_root(), other, [row["id"] for row in holders])
    elif spec.on_delete == "restrict":
        raise errors.validation(foreign_key(other, spec))
    else:
        for row in holders:
            env.sql(other.name, row["id"], {spec.name: None})


def foreign_key(model: Model, spec: Field) -> str:
    """Return the words for a reference that cannot be: a delete of what is referred to, and, misleadingly, a create that refers to
    nothing."""
    if model.version >= 19:
        return (
            "The operation cannot be completed: Another model is using the record you are trying to delete.\n\n"
            f"The troublemaker is: '{model.string}' ({model.name})\n"
            f"Thanks to the following constraint: '{spec.string}' ({spec.name})\n"
            "How about archiving the record instead?"
        )
    table = model.name.replace(".", "_")
    return (
        "The operation cannot be completed: another model requires the record being deleted. If possible, archive it instead.\n\n"
        f"Model: {model.string} ({model.name})\nConstraint: {table}_{spec.name}_fkey\n"
    )


def missing_value(model: Model, spec: Field) -> str:
    """Return the words for a required field without a value."""
    if model.version >= 19:
        return (
            f"The operation cannot be completed: Missing required value for the field '{spec.string}' ({spec.name}).\n"
            f"Model: '{model.string}' ({model.name})\n- create/update: a mandatory field is not set\n"
            "- delete: another model requires the record being deleted, you can archive it instead\n"
        )
    return (
        "The operation cannot be completed:\n- Create/update: a mandatory field is not set.\n"
        "- Delete: another model requires the record being deleted. If possible, archive it instead.\n\n"
        f"Model: {model.string} ({model.name})\nField: {spec.string} ({spec.name})\n"
    )


def _unknown(model: Model, name: str, *, creating: bool) -> errors.OdooError:
    if creating and model.version >= 19:
        return errors.value(f"Invalid field {name!r} in {model.name!r}")
    if not creating and model.version >= 19:
        return errors.builtin(KeyError, name)
    return errors.value(f"Invalid field {name!r} on model {model.name!r}")


def _stored(env: Env, model: Model, spec: Field, row: Row | None, given: Any, *, creating: bool, beside: Row | None = None) -> Any:
    """Return what the column holds after ``given`` was written to it. An amount is rounded to its currency: in a create to that which is
    created along with it; one that has no column there is not known yet."""
    held = (row or {}).get(spec.name)
    if spec.type == "many2many":
        return _many(env, model, spec, tuple(held or ()), given)
    if spec.name == "lang" and given and (env.version >= 19 or any(one["active"] for one in env.all("res.lang", code=given))):
        return given
    taken = taken_in(spec, given, env.version, creating=creating, model=model.name)
    if spec.type == "monetary" and taken:
        unit = unit_of(env, model, spec, beside or {}) if row is None else unit_of(env, model, spec, row)
        taken = taken if unit is None else stored_amount(taken, unit, env.version)
    if spec.company_dependent:
        return None if taken is None and not held else {**(held or {}), env.companies[0]: taken}
    if spec.translate:
        if taken is None:
            return None
        return {"en_US": taken, **(held or {}), env.lang: taken}
    return taken


def unit_of(env: Env, model: Model, spec: Field, row: Row) -> float | None:
    """Return the smallest amount of the field's currency, None where it is not known: a currency that is no column is so before the record
    is there."""
    of = model.fields.get(spec.currency_field or "currency_id")
    if of is None or (of.compute is not None and "id" not in row):
        return None
    currency = row.get(of.name) if of.compute is None else value(env, of, row)
    found = env.store.table("res.currency").rows.get(currency or 0)
    return float(found["rounding"]) if found else None


def _many(env: Env, model: Model, spec: Field, held: tuple[int, ...], given: Any) -> tuple[int, ...]:
    if given is None or given is False:
        return ()
    if not isinstance(given, (list, tuple)):
        raise errors.value(f"Wrong value for {model.name}.{spec.name}: {given}")
    if given and all(isinstance(one, int) and not isinstance(one, bool) for one in given):
        given = [[6, 0, list(given)]]
    now = dict.fromkeys(held)
    comodel = env.model(spec.relation or "")
    for command in given:
        match _command(command):
            case 0, _, vals:
                now[created(env, comodel, vals)] = None
            case 1, key, vals:
                write(env, comodel, [key], vals)
            case 2, key, _:
                now.pop(key, None)
                unlink(env, comodel, [key])
            case 3, key, _:
                now.pop(key, None)
            case 4, key, _:
                now[key] = None
            case 5, _, _:
                now = {}
            case 6, _, keys:
                now = dict.fromkeys(keys)
    if any(isinstance(key, str) for key in now):
        raise errors.NotSimulatedError("texts as ids in a many2many")
    if any(key not in env.store.table(comodel.name).rows for key in now):
        raise errors.validation(_no_such_link(env, model, comodel))
    return tuple(now)


def _no_such_link(env: Env, model: Model, comodel: Model) -> str:
    """Return the words for a many2many to what is not there."""
    first, second = (one.name.replace(".", "_") for one in (model, comodel))
    constraint = f"{'_'.join(sorted((first, second)))}_rel_{second.rpartition('_')[2]}_id_fkey"
    if env.version >= 19:
        return (
            "The operation cannot be completed: Another model is using the record you are trying to delete.\n\n"
            f"The troublemaker is: Unknown\nThanks to the following constraint: {constraint}\nHow about archiving the record instead?"
        )
    return (
        "The operation cannot be completed: another model requires the record being deleted. If possible, archive it instead.\n\n"
        f"Model: Unknown (unknown)\nConstraint: {constraint}\n"
    )


def created(env: Env, model: Model, vals: Row) -> int:
    access.need(env, model, "create")
    return create(env, model, [vals])[0]


def _command(command: Any) -> tuple[int, Any, Any]:
    if isinstance(command, str):
        errors.integer(command)
    if isinstance(command, (dict, str)):
        raise errors.NotSimulatedError(f"a {type(command).__name__} as a command of a list")
    if not isinstance(command, (list, tuple)):
        raise errors.builtin(TypeError, f"'{type(command).__name__}' object is not subscriptable")
    code = command[0]
    if (code in (0, 1, 6) and len(command) < 3) or (code in (2, 3, 4) and len(command) < 2):
        raise errors.builtin(IndexError, "list index out of range")
    return code, command[1] if len(command) > 1 else 0, command[2] if len(command) > 2 else 0


def _commands(env: Env, model: Model, spec: Field, key: int, given: Any, *, creating: bool) -> None:
    """Carry out one2many commands: no delete comes from what is not named, save by 5 and 6."""
    if given is None or given is False:
        given = [] if creating else [[5]]
    if not isinstance(given, (list, tuple)):
        raise errors.value(f"Wrong value for {model.name}.{spec.name}: {given}")
    if given and all(isinstance(one, int) and not isinstance(one, bool) for one in given):
        given = [[6, 0, list(given)]]
    assert spec.relation is not None  # noqa: S101 - a one2many has one
    assert spec.inverse is not None  # noqa: S101 - and its way back
    comodel = env.model(spec.relation)
    plain = _without_defaults(env).having(_building=model.name)
    for command in given:
        match _command(command):
            case 0, _, vals:
                created(plain, comodel, {**vals, spec.inverse: key})
            case 1, line, vals:
                access.need(env, comodel, "write")
                write(plain, comodel, [line], vals)
            case 2, line, _:
                unlink(plain, comodel, [line])
            case 3, line, _:
                _dropped(plain, comodel, spec, [line])
            case 4, line, _:
                write(plain, comodel, [line], {spec.inverse: key})
            case 5, _, _:
                _dropped(plain, comodel, spec, lines(env, spec, key))
            case 6, _, keys:
                _dropped(plain, comodel, spec, [one for one in lines(env, spec, key) if one not in keys])
                write(plain, comodel, keys, {spec.inverse: key})


def _without_defaults(env: Env) -> Env:
    from dataclasses import replace

    return replace(env, context={name: one for name, one in env.context.items() if not name.startswith("default_")})


def _dropped(env: Env, comodel: Model, spec: Field, ids: Sequence[int]) -> None:
    inverse = comodel.fields[spec.inverse or ""]
    if not ids:
        return
    if inverse.required or inverse.on_delete == "cascade":
        unlink(env, comodel, ids)
    else:
        write(env, comodel, ids, {inverse.name: False})


def _required(model: Model, row: Row, names: Iterable[str]) -> None:
    for name in names:
        spec = model.fields[name]
        if spec.required and spec.store and spec.type != "many2many" and not spec.company_dependent and row.get(name) is None:
            raise errors.validation(missing_value(model, spec))


def _references(env: Env, model: Model, row: Row, names: Iterable[str], *, creating: bool) -> None:
    for name in names:
        spec = model.fields[name]
        if spec.type == "many2one" and spec.store and name not in _MAGIC and not spec.company_dependent:
            held = row.get(name)
            if held and spec.relation in env.database.models and held not in env.store.table(spec.relation).rows:
                if not creating and env.version >= 19:
                    raise errors.missing(spec.relation, [held], env.uid)
                raise errors.validation(foreign_key(model, spec))


def _unique(env: Env, model: Model, key: int) -> None:
    row = env.row(model.name, key)
    for names, words in model.unique:
        held = [row.get(name) for name in names]
        if None in held:
            continue
        if any(other["id"] != key for other in env.all(model.name, **dict(zip(names, held, strict=True)))):
            told = words.format(*held)
            raise errors.validation(f"The operation cannot be completed: {told}")


def copied(env: Env, model: Model, key: int, changed: Row) -> int:
    """Copy a record, its lines with it where the field says so."""
    row = env.row(model.name, key)
    vals: Row = {}
    for name, spec in model.fields.items():
        if name in _MAGIC or not spec.copy or spec.compute is not None:
            continue
        held = value(env, spec, row)
        if spec.type == "one2many":
            comodel = env.model(spec.relation or "")
            vals[name] = [[0, 0, _copy_vals(env, comodel, line, spec.inverse or "")] for line in held]
        elif spec.type == "many2many":
            vals[name] = [[6, 0, held]]
        elif spec.type == "datetime" and held:
            vals[name] = held[:19]
        else:
            vals[name] = False if held is None else held
    if model.name in _COPY_NAMED and "name" not in changed and isinstance(vals.get("name"), str):
        vals["name"] = f"{vals['name']} (copy)"
    return create(env, model, [{**vals, **changed}])[0]


def _copy_vals(env: Env, model: Model, key: int, inverse: str) -> Row:
    row = env.row(model.name, key)
    kept = [
        spec
        for name, spec in model.fields.items()
        if name not in _MAGIC and name != inverse and spec.copy and spec.compute is None and spec.type != "one2many"
    ]
    return {spec.name: ([[6, 0, value(env, spec, row)]] if spec.type == "many2many" else _given(value(env, spec, row))) for spec in kept}


def _given(held: Any) -> Any:
    return False if held is None else held


def money(env: Env, amount: float, currency: int | None) -> float:
    """Round an amount to its currency, as it is stored: 17's noise of binary fractions does not come so far."""
    found = env.store.table("res.currency").rows.get(currency or 0)
    return stored_amount(amount, float(found["rounding"]) if found else 0.01, env.version)


def stored_amount(amount: float, unit: float, version: int) -> float:
    """Round to a unit and cut off the noise that 17 leaves behind the last decimal."""
    return printed(rounded_to(amount, unit, version), max(0, math.ceil(-math.log10(unit))))


def decimals(env: Env, amount: float, digits: int) -> float:
    return printed(rounded(amount, digits, env.version), digits)
