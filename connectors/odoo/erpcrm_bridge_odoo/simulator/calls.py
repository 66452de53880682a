"""Which methods there are, and how a call reaches one: by position over XML-RPC and /jsonrpc, by name over JSON-2."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from erpcrm_bridge_odoo.simulator import errors
from erpcrm_bridge_odoo.simulator.env import Env
from erpcrm_bridge_odoo.simulator.fields import Model
from erpcrm_bridge_odoo.simulator.known import real_method
from erpcrm_bridge_odoo.simulator.store import Row

Call = TypeVar("Call", bound=Callable[..., Any])


@dataclass(frozen=True)
class Records:
    """What a method is called on: a model, and the ids if it is one for records."""

    env: Env
    model: Model
    ids: list[int]

    @property
    def rows(self) -> list[Row]:
        return self.env.rows(self.model.name, self.ids)


@dataclass(frozen=True)
class Method:
    """A method that can be called remotely. ``only``: the one version that has it; ``of_model``: it takes no ids."""

    call: Callable[..., Any]
    of_model: bool
    only: int | None


METHODS: dict[tuple[str, str], list[Method]] = {}
PRIVATE_FROM_19 = frozenset(
    {"exists", "check_access", "browse", "filtered", "filtered_domain", "grouped", "mapped", "sorted", "with_context"}
    | {"with_company", "with_env", "with_user", "sudo", "ensure_one", "new", "flush_model", "flush_recordset"}
    | {"invalidate_model", "invalidate_recordset", "modified", "fetch", "search_fetch", "concat", "union"}
)


SINCE_19 = frozenset(
    {"web_save_multi", "has_access", "formatted_read_group", "formatted_read_grouping_sets", "web_resequence", "web_name_search"}
)

UNTIL_17 = frozenset({"name_get"})


def method(model: str, name: str, *, of_model: bool = False, only: int | None = None) -> Callable[[Call], Call]:
    """Register a method of a model, or of every model (``*``)."""

    def register(call: Call) -> Call:
        METHODS.setdefault((model, name), []).append(Method(call, of_model, only))
        return call

    return register


def found(env: Env, model: Model, name: str) -> Method:
    """Return the method. Raises the server's error for one that is private or unknown, NotSimulatedError for one that only the simulator
    lacks."""
    private = f"{model.name}.{name}" if env.version >= 19 else name
    if name.startswith("_") or (env.version >= 19 and name in PRIVATE_FROM_19):
        shown = f"'{private}'" if env.version >= 19 else private
        raise errors.access(f"Private methods (such as {shown}) cannot be called remotely.")
    for owner in (model.name, "*"):
        for one in METHODS.get((owner, name), ()):
            if one.only in (None, env.version):
                return one
    if name in PRIVATE_FROM_19 or name in model.fields or name in ("env", "pool"):  # 17 tells recordsets as text
        raise errors.NotSimulatedError(f"calling {model.name}.{name}")
    if real_method(model.name, name) and name not in (SINCE_19 if env.version < 19 else UNTIL_17):
        raise errors.NotSimulatedError(f"method {model.name}.{name}")
    if env.version >= 19:
        raise errors.builtin(AttributeError, f"The method '{model.name}.{name}' does not exist")
    raise errors.builtin(AttributeError, f"The method '{name}' does not exist on the model '{model.name}'")


def _context(env: Env, context: Any) -> Env:
    """Return the surroundings with the caller's context. Raises the AccessError of companies that are not the user's, and the UserError of
    19 for a language that is not active."""
    if isinstance(context, str) and context:
        raise errors.value("dictionary update sequence element #0 has length 1; 2 is required")
    try:
        found = replace(env, context=dict(context or {}))
    except TypeError as error:
        words = str(error) if env.version >= 19 else f"argument of type {type(context).__name__!r} is not iterable"
        raise errors.builtin(TypeError, words) from error
    allowed = found.context.get("allowed_company_ids")
    if isinstance(allowed, int) and allowed:
        raise errors.builtin(TypeError, "'int' object is not iterable")
    assert found.companies  # noqa: S101 - asked for its refusal
    if env.version >= 19:
        assert found.lang  # noqa: S101 - the same
    return found


def _ids(env: Env, model: Model, name: str, given: Any) -> list[int]:
    """Return the ids that a method is called on. A text is nobody's id: it is left out by ``read``, and missing for the rest. Nothing in
    the place of an id is a record that is not made yet: written and deleted without effect."""
    if given is None or given is False:
        return []
    if isinstance(given, int) and given is not True:
        return [given]
    if isinstance(given, (str, dict)):
        given = list(given)
    if not isinstance(given, (list, tuple)):
        raise errors.builtin(TypeError, f"{type(given).__name__!r} object is not iterable")
    whole: list[int] = []
    for one in given:
        if isinstance(one, (list, dict)):
            raise errors.builtin(TypeError, f"unhashable type: {type(one).__name__!r}")
        if one is True:
            raise errors.postgres("errors.UndefinedFunction", "operator does not exist: integer = boolean\n")
        if not one:
            if name not in ("read", "write", "unlink"):
                raise errors.NotSimulatedError(f"{name} of a record that is not made yet")
            if name == "read":
                raise errors.NotSimulatedError("reading a record that is not made yet")
        elif isinstance(one, int):
            whole.append(one)
        elif isinstance(one, float) and one.is_integer():
            raise errors.NotSimulatedError("ids with decimals")
        else:
            if isinstance(one, str):
                errors.integer(one)
            if name != "read":
                raise errors.missing(model.name, [one], env.uid)
    return whole


def _missing(call: Callable[..., Any], given: int, named: Mapping[str, Any]) -> str:
    """Return Python's words for the arguments that a call lacks."""
    parameters = list(inspect.signature(call).parameters.values())[given:]
    return f"missing {lacking_words([one.name for one in parameters if one.default is inspect.Parameter.empty and one.name not in named])}"


def lacking_words(names: Sequence[str]) -> str:
    """Return Python's words for the names of arguments that are lacking."""
    lacking = [repr(name) for name in names]
    listed = lacking[0] if len(lacking) == 1 else f"{', '.join(lacking[:-1])}{',' if len(lacking) > 2 else ''} and {lacking[-1]}"
    return f"{len(lacking)} required positional argument{'s' if len(lacking) > 1 else ''}: {listed}"


def by_position(env: Env, model: Model, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call as ``execute_kw`` does: the ids of a method for records are its first argument, the context is a keyword."""
    one = found(env, model, name)
    named = dict(kwargs)
    env = _context(env, named.pop("context", None))
    rest = list(args)
    ids: list[int] = []
    if not one.of_model:
        if not rest:
            raise errors.builtin(IndexError, "list index out of range" if env.version >= 19 else "tuple index out of range")
        ids = _ids(env, model, name, rest.pop(0))
    records = Records(env, model, ids)
    try:
        inspect.signature(one.call).bind(records, *rest, **named)
    except TypeError as error:
        words = str(error)
        unknown = [given for given in named if given not in inspect.signature(one.call).parameters]
        if words.startswith("multiple"):
            words = f"got {words}"
        elif unknown:
            words = f"got an unexpected keyword argument {unknown[0]!r}"
        elif words.startswith("missing"):
            words = _missing(one.call, 1 + len(rest), named)
        if words.startswith("too many"):
            takes = len(inspect.signature(one.call).parameters)
            least = 1 + sum(one.default is inspect.Parameter.empty for one in list(inspect.signature(one.call).parameters.values())[1:])
            span = f"from {least} to {takes}" if least < takes else f"{takes}"
            words = f"takes {span} positional arguments but {1 + len(rest)} were given"
        raise errors.builtin(TypeError, f"BaseModel.{name}() {words}") from error
    result = one.call(records, *rest, **named)
    if name == "create":
        given = rest[0] if rest else named.get("vals_list")
        return result[0] if isinstance(given, Mapping) else result
    return result


def by_name(env: Env, model: Model, name: str, params: Mapping[str, Any]) -> Any:
    """Call as JSON-2 does: named arguments alone, ``ids`` and ``context`` reserved."""
    named = dict(params)
    ids, env = named.pop("ids", ()), _context(env, named.pop("context", None))
    try:
        one = found(env, model, name)
    except errors.OdooError as error:
        if error.name == "builtins.AttributeError":
            raise errors.http("NotFound", error.message, 404) from error
        raise
    if one.of_model and ids:
        raise errors.http("UnprocessableEntity", f"cannot call {model.name}.{name} with ids", 422)
    records = Records(env, model, _ids(env, model, name, ids))
    try:
        inspect.signature(one.call).bind(records, **named)
    except TypeError as error:
        raise errors.http("UnprocessableEntity", str(error), 422) from error
    return one.call(records, **named)
