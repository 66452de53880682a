"""The faces of 19: ``/json/2/<model>/<method>`` and ``/doc-bearer``, both with an API key as bearer."""

from __future__ import annotations

import inspect
from typing import Any

from erpcrm_bridge_odoo.simulator import access, errors
from erpcrm_bridge_odoo.simulator.calls import METHODS, by_name
from erpcrm_bridge_odoo.simulator.env import Env
from erpcrm_bridge_odoo.simulator.faces.jsonrpc import refused
from erpcrm_bridge_odoo.simulator.faults import Fault
from erpcrm_bridge_odoo.simulator.fields import Model
from erpcrm_bridge_odoo.simulator.http import Request, Response, as_json
from erpcrm_bridge_odoo.simulator.service import Seen, Service
from erpcrm_bridge_odoo.simulator.store import Transaction

NO_DATABASE = (
    b"<!DOCTYPE html>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"
    b"<p>No database is selected and the requested URL was not found in the server-wide controllers.</p>\n"
    b"<p>Please verify the hostname, <a href=/web/login>login</a> and try again.</p>\n\n"
    b"<!-- Alternatively, use the X-Odoo-Database header. -->\n"
)


def no_database() -> Response:
    return Response(404, NO_DATABASE, "text/html; charset=utf-8")


def selected(service: Service, request: Request) -> bool:
    """Return whether the request names the database that can be used, or none where there is but one."""
    named = request.headers.get("x-odoo-database")
    if named is None:
        return len(service.names) == 1
    return named == service.database.name


def _user(service: Service, request: Request) -> int:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise errors.http("Unauthorized", "User not authenticated, use an API Key with a Bearer Authorization header.", 401)
    uid = service.database.keys.get(key.strip())
    if uid is None:
        raise errors.http("Unauthorized", "Invalid apikey", 401)
    return uid


def _refusal(error: errors.OdooError) -> Response:
    found = as_json(error.told(19), error.status)
    if error.status == 401:
        found.headers["WWW-Authenticate"] = "Bearer "
    return found


def answer(service: Service, request: Request) -> Response:
    """Answer one call: the body is the result, and a refusal has its own status."""
    if not selected(service, request):
        return no_database()
    parts = request.path.removeprefix("/json/2").strip("/").split("/")
    met: dict[str, Fault] = {}
    try:
        if request.method != "POST" or len(parts) != 2:
            raise errors.http("NotFound", "Did you mean POST /json/2/<model>/<method>?", 404)
        if request.content_type != "application/json":
            return refused(service, "json2", "/json/2/<__model__>/<__method__>", "application/json")
        found = as_json(_called(service, request, parts[0], parts[1], met))
    except errors.OdooError as error:
        expired = error.name == errors.DENIED and "expired" in met
        found = _refusal(errors.http("Unauthorized", "Invalid apikey", 401) if expired else error)
    found.met = met
    return found


def _called(service: Service, request: Request, model: str, method: str, met: dict[str, Fault]) -> Any:
    uid = _user(service, request)
    try:
        params = request.told if request.body else {}
    except ValueError as error:
        raise errors.http("BadRequest", f"could not parse the body as json: {error}", 400) from error
    named = params if isinstance(params, dict) else {}
    return service.call(
        Seen("json2", uid, model, method),
        lambda env, found: by_name(env, found, method, named),
        lambda: errors.http("NotFound", f"the model {model!r} does not exist", 404),
        met,
    )


def documented(service: Service, request: Request) -> Response:
    """Answer ``/doc-bearer/index.json`` and ``/doc-bearer/<model>.json``: the schema of what is simulated."""
    if not selected(service, request):
        return no_database()
    name = request.path.removeprefix("/doc-bearer/").removesuffix(".json")
    try:
        env = Env(service.database, Transaction(service.database.store.now()), _user(service, request), {})
        if name == "index":
            return as_json({"modules": ["base"], "models": [_listed(env, model) for model in service.database.models.values()]})
        text = "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."
        model = service.model(name, lambda: errors.http("NotFound", text, 404))
        return as_json(_described(env, model))
    except errors.OdooError as error:
        return _refusal(error)


def _listed(env: Env, model: Model) -> dict[str, Any]:
    fields = {name: {"string": spec.string} for name, spec in model.fields.items() if access.may_field(env, spec)}
    return {"model": model.name, "name": model.string, "fields": fields, "methods": sorted(_methods(env, model))}


def _methods(env: Env, model: Model) -> dict[str, dict[str, Any]]:
    told: dict[str, dict[str, Any]] = {}
    for (owner, name), ones in METHODS.items():
        for one in ones:
            if owner in ("*", model.name) and one.only in (None, env.version):
                shown = inspect.signature(one.call)
                own = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in list(shown.parameters.values())[1:]]
                plain = shown.replace(parameters=own, return_annotation=inspect.Signature.empty)
                parameters = {
                    parameter.name: ({} if parameter.default is inspect.Parameter.empty else {"default": parameter.default})
                    for parameter in own
                }
                told[name] = {"signature": str(plain), "parameters": parameters, "api": ["model"] if one.of_model else []}
    return told


def _described(env: Env, model: Model) -> dict[str, Any]:
    fields = {name: spec.described(env.version) for name, spec in model.fields.items() if access.may_field(env, spec)}
    return {"model": model.name, "name": model.string, "doc": None, "fields": fields, "methods": _methods(env, model)}
