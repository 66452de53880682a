"""``load()``: rows of strings in, records out, by external ids; all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from erpcrm_bridge_odoo.simulator import access, errors, orm, searching
from erpcrm_bridge_odoo.simulator.env import Env
from erpcrm_bridge_odoo.simulator.fields import DATETIME, Field, Model
from erpcrm_bridge_odoo.simulator.store import Row

Line = list[Any]
_TRUE, _FALSE = frozenset({"1", "true", "yes"}), frozenset({"", "0", "false", "no"})


class CellError(Exception):
    """A value that its field cannot take, as a message tells it."""

    def __init__(self, message: str, moreinfo: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.moreinfo = moreinfo


@dataclass(frozen=True)
class Extracted:
    """One record of the rows, from which to which row it goes, and which it is."""

    values: Row
    first: int
    last: int
    number: int

    @property
    def told(self) -> Row:
        return {"rows": {"from": self.first, "to": self.last}, "record": self.number}


def load(env: Env, model: Model, fields: list[str], data: list[Line]) -> Row:
    """Create or update what the rows say. The answer is never an error: ``ids`` is False where a row failed, and then nothing was done."""
    paths = [name.split("/") for name in fields]
    _known(env, model, paths)
    savepoint = len(env.transaction.journal)
    messages: list[Row] = []
    ids: list[int] = []
    for one in _extracted(model, paths, data):
        try:
            values = _converted(env, model, one, messages)
            if values is None:
                continue
            mark = len(env.transaction.journal)
            try:
                ids.append(_settled(env, model, values))
            except errors.OdooError:
                env.store.undo(env.transaction, mark)
                raise
        except CellError as error:
            told = {"rows": one.told["rows"], "type": "error", "record": one.number, "field": ".id", "message": error.message}
            messages.append(told)
        except errors.OdooError as error:
            messages.append(_told(env, model, error, one))
    if any(message["type"] == "error" for message in messages):
        env.store.undo(env.transaction, savepoint)
        return {"ids": False, "messages": messages, "nextrow": 0}
    return {"ids": ids, "messages": messages, "nextrow": 0}


def _known(env: Env, model: Model, paths: list[list[str]]) -> None:
    for path in paths:
        at = model
        for step in path:
            if step in ("id", ".id"):
                break
            name = step

            def refused(name: str = name) -> errors.OdooError:
                return errors.value(f"Invalid field name {name!r}") if env.version >= 19 else errors.builtin(KeyError, name)

            spec = at.known(step, refused)
            if spec.relation:
                at = env.model(spec.relation)


def _told(env: Env, model: Model, error: errors.OdooError, one: Extracted) -> Row:
    if error.name in (errors.VALIDATION, errors.USER, errors.ACCESS, errors.MISSING, errors.REDIRECT):
        message = error.message.removeprefix("The operation cannot be completed: ")
        field = next((name for name, spec in model.fields.items() if error.message == orm.missing_value(model, spec)), None)
        field = field or next((names[0] for names, words in model.unique if message == words and len(names) == 1), None)
        if field and env.version < 19 and error.message == orm.missing_value(model, model.fields[field]):
            message = f"Missing required value for the field '{model.fields[field].string}' ({field})"
        elif env.version < 19 and field:
            message = (
                f"The value for the field '{field}' already exists (this is probably '{model.fields[field].string}' in the current model)."
            )
        elif env.version < 19 and error.message != message:
            message = f"'{message}'"
        return {**one.told, "type": "error", "message": message, **({"field": field} if field else {})}
    if error.name == "psycopg2.errors.SerializationFailure":
        return {**one.told, "type": "error", "message": error.message.strip()}
    if error.name.startswith("builtins.") and error.name not in ("builtins.ValueError", "builtins.KeyError"):
        raise error
    kind = error.name.removeprefix("builtins.")
    message = f"Unknown error during import: <class '{kind}'>: {error.message}"
    return {**one.told, "type": "error", "message": message, "moreinfo": "Resolve other errors first"}


def _extracted(model: Model, paths: list[list[str]], data: list[Line], offset: int = 0) -> Iterator[Extracted]:
    """Cut the rows into records: a row whose own columns are empty goes on with the lines of the one before."""
    own = [place for place, path in enumerate(paths) if not _nested(model, path)]
    number = at = 0
    while at < len(data):
        end = at + 1
        while end < len(data) and len(own) < len(paths) and not any(data[end][place] for place in own):
            end += 1
        yield Extracted(_values(model, paths, data[at:end]), offset + at, offset + end - 1, number)
        number += 1
        at = end


def _nested(model: Model, path: list[str]) -> bool:
    spec = model.fields.get(path[0])
    return spec is not None and spec.type == "one2many" and len(path) > 1


def _values(model: Model, paths: list[list[str]], rows: list[Line]) -> Row:
    values: Row = {}
    nested: dict[str, list[int]] = {}
    for place, path in enumerate(paths):
        if _nested(model, path):
            nested.setdefault(path[0], []).append(place)
        else:
            values["/".join(path)] = rows[0][place]
    for name, places in nested.items():
        below = [[row[place] for place in places] for row in rows]
        values[name] = ([paths[place][1:] for place in places], [line for line in below if any(line)])
    return values


def _converted(env: Env, model: Model, one: Extracted, messages: list[Row]) -> Row | None:
    """Return the record's values as create and write take them; None where a cell was refused, with a message for each."""
    values: Row = {}
    failed = _ambiguous(model, one, messages)
    for name, given in one.values.items():
        head = name.split("/")[0]
        if name in ("id", ".id"):
            values[name] = given
            continue
        spec = model.fields[head]
        try:
            values[head] = _nested_values(env, spec, given, messages, one) if spec.type == "one2many" else _cell(env, spec, name, given)
        except CellError as error:
            failed = True
            message: Row = {
                "rows": one.told["rows"],
                "type": "error",
                "record": one.number,
                "field": head,
                "message": error.message.replace("%(field)s", spec.string),
            }
            if error.moreinfo:
                message["moreinfo"] = error.moreinfo
            message["field_name"] = spec.string
            messages.append(message)
    return None if failed else values


def _ambiguous(model: Model, one: Extracted, messages: list[Row]) -> bool:
    """Say where a reference is given in two ways at once."""
    heads = [name.split("/")[0] for name, given in one.values.items() if given not in ("", False, None)]
    for head in {head for head in heads if heads.count(head) > 1}:
        shown = model.fields[head].string
        words = f"Ambiguous specification for field '{shown}', only provide one of name, external id or database id"
        told = {"rows": one.told["rows"], "type": "error", "record": one.number, "field": head, "message": words}
        messages.append(told)
        return True
    return False


def _nested_values(env: Env, spec: Field, given: Any, messages: list[Row], one: Extracted) -> list[Any]:
    """Return the commands for nested lines: those with an external id that is known are updated, all others are added."""
    if not isinstance(given, tuple):
        raise errors.NotSimulatedError(f"load of {spec.name} without subfields")
    paths, rows = given
    comodel = env.model(spec.relation or "")
    commands: list[Any] = []
    for below in _extracted(comodel, paths, rows, one.first):
        values = _converted(env, comodel, below, messages)
        if values is None:
            raise CellError(messages.pop()["message"])
        mark, key = values.pop("id", None), values.pop(".id", None)
        if key:
            commands.append([1, int(key), values])
        elif mark and (held := _found(env, str(mark), comodel.name)) is not None:
            commands.append([1, held, values])
        else:
            commands.append([0, str(mark or ""), values])
    return commands


def _cell(env: Env, spec: Field, name: str, given: Any) -> Any:
    if spec.type == "boolean":
        return _boolean(spec, given)
    if given is False or given is None or given == "":
        return False
    if spec.type == "many2one":
        return _reference(env, spec, name.partition("/")[2], given)
    if spec.type == "many2many":
        below = name.partition("/")[2]
        return [[6, 0, [_reference(env, spec, below, part) for part in str(given).split(",")]]]
    return _PLAIN[spec.type](env, spec, given) if spec.type in _PLAIN else given


def _boolean(spec: Field, given: Any) -> bool:
    if not isinstance(given, str):
        raise errors.builtin(AttributeError, f"'{type(given).__name__}' object has no attribute 'lower'")
    if given.lower() in _TRUE:
        return True
    if given.lower() in _FALSE:
        return False
    raise CellError(f"Unknown value '{given}' for boolean field '%(field)s'", "Use '1' for yes and '0' for no")


def _whole(env: Env, spec: Field, given: Any) -> int:
    try:
        return int(given)
    except (TypeError, ValueError):
        raise CellError(f"'{given}' does not seem to be an integer for field '%(field)s'") from None


def _number(env: Env, spec: Field, given: Any) -> float:
    try:
        return float(given)
    except (TypeError, ValueError):
        raise CellError(f"'{given}' does not seem to be a number for field '%(field)s'") from None


def _date(env: Env, spec: Field, given: Any) -> str:
    try:
        return datetime.strptime(str(given)[:10], "%Y-%m-%d").strftime("%Y-%m-%d")  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise CellError(f"'{given}' does not seem to be a valid date for field '%(field)s'", "Use the format '2012-12-31'") from None


def _moment(env: Env, spec: Field, given: Any) -> str:
    try:
        naive = datetime.strptime(str(given), DATETIME)  # noqa: DTZ007 - the user's zone is put on below
    except ValueError:
        words = f"'{given}' does not seem to be a valid datetime for field '%(field)s'"
        raise CellError(words, "Use the format '2012-12-31 23:59:59'") from None
    user = env.store.table("res.users").rows.get(env.uid) or {}
    partner = env.store.table("res.partner").rows.get(user.get("partner_id", 0)) or {}
    zone = ZoneInfo(env.context.get("tz") or partner.get("tz") or "UTC")
    return naive.replace(tzinfo=zone).astimezone(UTC).strftime(DATETIME)


def _selection(env: Env, spec: Field, given: Any) -> str:
    for value, label in spec.options:
        if str(given).lower() in (value.lower(), label.lower()):
            return value
    raise CellError(f"Value '{given}' not found in selection field '%(field)s'", [label for _, label in spec.options])


_PLAIN: dict[str, Callable[[Env, Field, Any], Any]] = {
    "integer": _whole,
    "float": _number,
    "monetary": _number,
    "date": _date,
    "datetime": _moment,
    "selection": _selection,
}


def _reference(env: Env, spec: Field, below: str, given: Any) -> int | bool:
    """Return the id that a many2one's cell means: by external id, database id or name."""
    if given is False or given is None or given == "":
        return False
    comodel = env.model(spec.relation or "")
    if below == ".id":
        try:
            key = int(given)
        except (TypeError, ValueError):
            raise CellError(f"Invalid database id '{given}' for the field '%(field)s'") from None
        found = key if key in env.store.table(comodel.name).rows else None
        kind = "database id"
    elif below == "id":
        found, kind = _found(env, str(given), comodel.name), "external id"
    elif not below:
        found, kind = next(iter(searching.named(env, comodel, str(given), "=")), None), "name"
    else:
        raise CellError(f"Can not create Many-To-One records indirectly, import the field separately ({spec.name}/{below})")
    if found is None:
        shown = given if below != "id" or "." in str(given) else f"__import__.{given}"
        raise CellError(f"No matching record found for {kind} '{shown}' in field '%(field)s'", _possible(env, comodel, by_name=not below))
    return found


def _possible(env: Env, comodel: Model, *, by_name: bool) -> Row:
    """Return the action by which a person would look the values up."""
    listed = "list" if env.version >= 19 else "tree"
    action: Row = {"name": "Possible Values", "type": "ir.actions.act_window", "target": "new", "view_mode": f"{listed},form"}
    action |= {"views": [[False, "list"], [False, "form"]], "context": {"create": False}, "help": "See all possible values"}
    return (
        {**action, "res_model": comodel.name}
        if by_name
        else {**action, "res_model": "ir.model.data", "domain": [["model", "=", comodel.name]]}
    )


def _mark(name: str) -> tuple[str, str]:
    module, dot, rest = name.partition(".")
    return (module, rest) if dot else ("__import__", name)


def _found(env: Env, name: str, model: str) -> int | None:
    module, rest = _mark(name)
    row = env.one("ir.model.data", module=module, name=rest)
    if row is None or row["res_id"] not in env.store.table(row["model"]).rows:
        return None
    if row["model"] != model:
        return None
    return int(row["res_id"])


def _raced(env: Env, name: str) -> bool:
    """Return whether another request made this external id while ours was on its way: then one of the two is refused, on 17 not always."""
    module, rest = _mark(name)
    row = env.one("ir.model.data", module=module, name=rest)
    return row is not None and env.store.committed.get(("ir.model.data", row["id"]), 0.0) > env.began


def _settled(env: Env, model: Model, values: Row) -> int:
    mark, key = values.pop("id", None), values.pop(".id", None)
    if mark and _raced(env, str(mark)):
        raise errors.serialization()
    if key:
        held: int | None = int(key)
        if held not in env.store.table(model.name).rows:
            raise CellError(f"Unknown database identifier '{key}'")
    else:
        held = _found(env, str(mark), model.name) if mark else None
    nested = {name: given for name, given in values.items() if model.fields[name].type == "one2many"}
    if held is not None:
        access.need(env, model, "write")
        orm.write(env, model, [held], values)
    else:
        access.need(env, model, "create")
        held = orm.create(env, model, [values])[0]
        if mark:
            _marked(env, str(mark), model.name, held)
    for name, commands in nested.items():
        _mark_lines(env, model, model.fields[name], held, commands)
    return held


def _mark_lines(env: Env, model: Model, spec: Field, key: int, commands: list[Any]) -> None:
    """Give the lines that were added the external ids that the rows named, in the order in which they were made."""
    added = [command for command in commands if command[0] == 0]
    made = [row["id"] for row in env.all(spec.relation or "", **{spec.inverse or "": key})]
    shown = [one for one in made if one in set(orm.lines(env.having(active_test=False), spec, key))]
    fresh = sorted(shown)[-len(added) :] if added else []
    for command, line in zip(added, fresh, strict=False):
        if command[1]:
            _marked(env, command[1], spec.relation or "", line)


def _marked(env: Env, name: str, model: str, key: int) -> None:
    module, rest = _mark(name)
    vals = {"module": module, "name": rest, "model": model, "res_id": key}
    old = env.one("ir.model.data", module=module, name=rest)
    root = replace(env, sudo=True, context={})
    if old is not None:
        env.store.put(env.transaction, "ir.model.data", old["id"], None)
    orm.create(root, env.model("ir.model.data"), [vals])
