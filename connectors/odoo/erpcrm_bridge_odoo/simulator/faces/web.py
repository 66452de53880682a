"""The small faces: version, health, and what a browser's session needs to make an API key."""

from __future__ import annotations

import json
import secrets
from typing import Any

from erpcrm_bridge_odoo.simulator import errors
from erpcrm_bridge_odoo.simulator.calls import by_position
from erpcrm_bridge_odoo.simulator.faces import rpc
from erpcrm_bridge_odoo.simulator.faces.jsonrpc import refused
from erpcrm_bridge_odoo.simulator.faults import Fault
from erpcrm_bridge_odoo.simulator.http import Request, Response, as_json, page
from erpcrm_bridge_odoo.simulator.service import INFO, Seen, Service

OF_A_SESSION = (
    "/web/session/authenticate",
    "/web/session/get_session_info",
    "/web/session/destroy",
    "/web/webclient/version_info",
    "/web/dataset/call_kw",
)


def not_found(service: Service) -> Response:
    from erpcrm_bridge_odoo.simulator.faces.json2 import no_database

    if service.version >= 19:
        return no_database()
    text = "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."
    return page(404, "Not Found", text)


def version(service: Service) -> Response:
    if service.version < 19:
        return not_found(service)
    return as_json({"version_info": INFO[service.version], "version": f"{service.version}.0"})


def health() -> Response:
    return Response(200, b'{"status": "pass"}', "application/json", {"Cache-Control": "no-store"})


def session(service: Service, request: Request) -> Response:
    """Answer ``/web/session/authenticate`` and ``/web/dataset/call_kw``: JSON-RPC with a cookie."""
    if request.content_type not in ("application/json", "application/json-rpc"):
        return refused(service, "jsonrpc" if service.version >= 19 else "json", request.path, "application/json, application/json-rpc")
    try:
        told = json.loads(request.body)
    except ValueError:
        return Response(400, b"Invalid JSON data", "text/html; charset=utf-8")
    head = {"jsonrpc": "2.0", "id": told.get("id")}
    params = told.get("params") or {}
    cookie = ""
    met: dict[str, Fault] = {}
    try:
        if request.path == "/web/session/authenticate":
            uid = service.login(params.get("db"), params.get("login"), params.get("password"))
            if not uid:
                raise errors.denied()
            cookie = secrets.token_hex(20)
            service.sessions[cookie] = int(uid)
            result: Any = {**_session(service, int(uid)), "username": params.get("login")}
        elif request.path == "/web/webclient/version_info":
            result = rpc.version(service)
        elif request.path == "/web/session/get_session_info":
            uid = _user(service, request)
            result = {**_session(service, uid), "username": service.database.store.table("res.users").rows[uid]["login"]}
        elif request.path == "/web/session/destroy":
            service.sessions.pop(_cookie(request), None)
            result = None
        else:
            result = _called(service, request, params, met)
    except errors.OdooError as error:
        code = 0 if service.version >= 19 else 200
        found = as_json({**head, "error": {"code": code, "message": "Odoo Server Error", "data": error.told(service.version)}})
    else:
        found = as_json({**head, "result": result} if result is not None else head)
    if cookie:
        found.headers["Set-Cookie"] = f"session_id={cookie}; HttpOnly; Path=/"
    found.met = met
    return found


def _session(service: Service, uid: int) -> dict[str, Any]:
    told = f"{service.version}.0"
    store = service.database.store
    partner = store.table("res.partner").rows[store.table("res.users").rows[uid]["partner_id"]]
    context = {"lang": partner["lang"] or "en_US", "tz": partner["tz"] or False, "uid": uid}
    told_version = {"server_version": told, "server_version_info": INFO[service.version]}
    return {
        "uid": uid,
        "db": service.database.name,
        "user_context": context,
        "partner_id": partner["id"],
        "name": partner["name"],
        **told_version,
    }


def _cookie(request: Request) -> str:
    cookies = dict(part.strip().partition("=")[::2] for part in request.headers.get("cookie", "").split(";"))
    return str(cookies.get("session_id", ""))


def _user(service: Service, request: Request) -> int:
    uid = service.sessions.get(_cookie(request))
    if uid is None:
        raise errors.OdooError("odoo.http.SessionExpiredException", "Session expired")
    return uid


def _called(service: Service, request: Request, params: dict[str, Any], met: dict[str, Fault]) -> Any:
    uid = _user(service, request)
    model, method = str(params.get("model")), str(params.get("method"))
    return service.call(
        Seen("web", uid, model, method),
        lambda env, found: by_position(env.having(), found, method, params.get("args") or (), params.get("kwargs") or {}),
        lambda: errors.builtin(KeyError, model),
        met,
    )


def refused_or_not_found(service: Service, path: str) -> Response:
    """Return the page for a path that no server has. Raises NotSimulatedError for those that a real one has."""
    for known in ("/web", "/xmlrpc", "/odoo", "/json", "/doc", "/mail", "/my", "/report"):
        if path == known or (path.startswith(f"{known}/") and not (known == "/json" and service.version < 19)):
            raise errors.NotSimulatedError(f"path {path}")
    return not_found(service)
