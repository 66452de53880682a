"""What XML-RPC and /jsonrpc both do: the services ``common``, ``object`` and ``db``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from erpcrm_bridge_odoo.simulator import errors
from erpcrm_bridge_odoo.simulator.calls import by_position, lacking_words
from erpcrm_bridge_odoo.simulator.faults import Fault
from erpcrm_bridge_odoo.simulator.service import INFO, Seen, Service


def dispatch(service: Service, face: str, name: str, method: str, args: Sequence[Any], met: dict[str, Fault]) -> Any:
    """Return what a service's method answers. Raises the OdooError of anything that the server refuses."""
    if not isinstance(args, (list, tuple, dict)):
        raise errors.builtin(TypeError, f"the arguments of {name}.{method}() must be an iterable, not {type(args).__name__}")
    if name == "common":
        return _common(service, method, args)
    if name == "db":
        return _db(service, method, args)
    if name == "object":
        return _object(service, face, method, args, met)
    raise errors.builtin(KeyError, name)


def version(service: Service) -> dict[str, Any]:
    told = f"{service.version}.0"
    return {"server_version": told, "server_version_info": INFO[service.version], "server_serie": told, "protocol_version": 1}


def _common(service: Service, method: str, args: Sequence[Any]) -> Any:
    if method == "version":
        return version(service)
    if method in ("authenticate", "login"):
        _fits(f"exp_{method}", args, ("db", "login", "password", *(("user_agent_env",) if method == "authenticate" else ())))
        return service.login(*args[:3])
    if method in ("about", "set_loglevel"):
        raise errors.NotSimulatedError(f"common.{method}")
    raise errors.builtin(Exception, f"Method not found: {method}")


def _fits(name: str, args: Sequence[Any], wanted: Sequence[str], optional: int = 0) -> None:
    """Raise Python's error for too few or too many arguments."""
    least = len(wanted) - optional
    if len(args) < least:
        raise errors.builtin(TypeError, f"{name}() missing {lacking_words(wanted[len(args) : least])}")
    if len(args) > len(wanted):
        span = f"from {least} to {len(wanted)}" if optional else f"{least}"
        raise errors.builtin(TypeError, f"{name}() takes {span} positional arguments but {len(args)} were given")


def _db(service: Service, method: str, args: Sequence[Any]) -> Any:
    if method == "list":
        return service.names
    if method == "server_version":
        return f"{service.version}.0"
    if method == "db_exist":
        return bool(args) and args[0] in service.names
    raise errors.NotSimulatedError(f"db.{method}")


def _object(service: Service, face: str, method: str, args: Sequence[Any], met: dict[str, Fault]) -> Any:
    if service.version < 19 and method == "execute_kw" and len(args) >= 3:  # the database, the user and the password are taken off first
        _fits("execute_kw", ["db", "uid", *args[3:]], ("db", "uid", "obj", "method", "args", "kw"), optional=1)
    if len(args) < 5:
        raise errors.value(f"not enough values to unpack (expected at least 5, got {len(args)})")
    database, uid, password, model, name, *rest = args
    if not isinstance(database, str) or (not database and service.version >= 19):
        if service.version >= 19:
            raise errors.builtin(AssertionError, "Missing database name")
        raise errors.builtin(AttributeError, f"{type(database).__name__!r} object has no attribute 'startswith'")
    if not isinstance(name, str):
        kind = type(name).__name__
        if service.version >= 19:
            raise errors.builtin(AttributeError, f"{kind!r} object has no attribute 'startswith'")
        raise errors.builtin(TypeError, f"expected string or bytes-like object, got {kind!r}")
    if service.version >= 19 and method == "execute_kw" and len(rest) != 1 and len(rest) != 2:
        words = "not enough values to unpack (expected 2, got 0)" if not rest else "too many values to unpack (expected 2)"
        raise errors.value(words)
    user = service.need_user(database, uid, password)
    named: dict[str, Any] = {}
    if method == "execute":
        positional = rest
    elif method == "execute_kw":
        positional = rest[0] if rest else []
        named = (rest[1] if len(rest) > 1 else None) or {}
    else:
        raise errors.builtin(NameError, f"Method not available {method}")
    return service.call(
        Seen(face, user, model, name),
        lambda env, found: by_position(env, found, name, positional, named),
        lambda: errors.user(f"Object {model} doesn't exist"),
        met,
    )
