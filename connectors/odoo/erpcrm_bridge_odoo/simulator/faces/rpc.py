"""What XML-RPC and /jsonrpc both do: the services ``common``, ``object`` and ``db``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from erpcrm_bridge_odoo.simulator import errors
from erpcrm_bridge_odoo.simulator.calls import by_position
from erpcrm_bridge_odoo.simulator.faults import Fault
from erpcrm_bridge_odoo.simulator.service import INFO, Seen, Service


def dispatch(service: Service, face: str, name: str, method: str, args: Sequence[Any], met: dict[str, Fault]) -> Any:
    """Return what a service's method answers. Raises the OdooError of anything that the server refuses."""
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
        if len(args) != (4 if method == "authenticate" else 3):
            wanted = "'db', 'login', 'password', and 'user_agent_env'" if method == "authenticate" else "'db', 'login', and 'password'"
            raise errors.builtin(TypeError, f"exp_{method}() takes the arguments {wanted}")
        return service.login(*args[:3])
    if method in ("about", "set_loglevel"):
        raise errors.NotSimulatedError(f"common.{method}")
    raise errors.builtin(KeyError, f"exp_{method}")


def _db(service: Service, method: str, args: Sequence[Any]) -> Any:
    if method == "list":
        return service.names
    if method == "server_version":
        return f"{service.version}.0"
    if method == "db_exist":
        return bool(args) and args[0] in service.names
    raise errors.NotSimulatedError(f"db.{method}")


def _object(service: Service, face: str, method: str, args: Sequence[Any], met: dict[str, Fault]) -> Any:
    if len(args) < 5:
        raise errors.value(f"not enough values to unpack (expected at least 5, got {len(args)})")
    database, uid, password, model, name, *rest = args
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
