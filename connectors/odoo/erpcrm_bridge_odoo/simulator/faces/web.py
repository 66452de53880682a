"""The small faces: version, health, and what a browser's session needs to make an API key."""

from __future__ import annotations

import secrets
from typing import Any

from erpcrm_bridge_odoo.simulator import access, errors
from erpcrm_bridge_odoo.simulator.calls import by_position, lacking_words
from erpcrm_bridge_odoo.simulator.env import Env
from erpcrm_bridge_odoo.simulator.faces import rpc
from erpcrm_bridge_odoo.simulator.faces.jsonrpc import named, refused
from erpcrm_bridge_odoo.simulator.faults import Fault
from erpcrm_bridge_odoo.simulator.http import Request, Response, as_json, page
from erpcrm_bridge_odoo.simulator.service import INFO, Seen, Service
from erpcrm_bridge_odoo.simulator.store import Transaction

OF_A_SESSION = (
    "/web/session/authenticate",
    "/web/session/get_session_info",
    "/web/session/destroy",
    "/web/webclient/version_info",
    "/web/dataset/call_kw",
)


_NOT_FOUND = "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."


def not_found(service: Service) -> Response:
    from erpcrm_bridge_odoo.simulator.faces.json2 import no_database

    if service.version >= 19:
        return no_database()
    return page(404, "Not Found", _NOT_FOUND)


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
        told = request.told
    except ValueError:
        return Response(400, b"Invalid JSON data", "text/html; charset=utf-8")
    if not isinstance(told, dict):
        return Response(400, b"Invalid JSON-RPC data", "text/html; charset=utf-8")
    head = {"jsonrpc": "2.0", "id": told.get("id")}
    cookie = ""
    met: dict[str, Fault] = {}
    try:
        params = named(told.get("params", {}))
        if request.path == "/web/session/authenticate":
            _need("Session.authenticate", params, "db", "login", "password")
            if params["db"] not in service.names:
                raise errors.access("Database not found.")
            uid = service.login(params["db"], params["login"], params["password"], keys=False)
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
        absent = error.status == 404 and error.name.startswith("werkzeug")
        code = 404 if absent else 0 if service.version >= 19 else 200
        words = "404: Not Found" if absent else "Odoo Server Error"
        found = as_json({**head, "error": {"code": code, "message": words, "data": error.told(service.version)}})
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
    company = store.table("res.users").rows[uid]["company_id"]
    own = store.table("res.company").rows[company]
    companies = {str(company): {"id": company, "name": own["name"], "sequence": 0, "child_ids": [], "parent_id": False}}
    if service.version >= 19:
        companies[str(company)]["currency_id"] = own["currency_id"]
    system = access.SYSTEM in access.groups(Env(service.database, Transaction(store.now()), uid, {}))
    return {
        "uid": uid,
        "is_system": system,
        "is_admin": system,
        "is_public": False,
        "partner_display_name": partner["name"],
        "user_companies": {"current_company": company, "allowed_companies": companies, "disallowed_ancestor_companies": {}},
        "db": service.database.name,
        "user_context": context,
        "partner_id": partner["id"],
        "name": partner["name"],
        **told_version,
    }


def _need(name: str, params: dict[str, Any], *wanted: str) -> None:
    lacking = [one for one in wanted if one not in params]
    if lacking:
        raise errors.builtin(TypeError, f"{name}() missing {lacking_words(lacking)}")


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
    _need("DataSet.call_kw", params, "model", "method", "args", "kwargs")
    model, method = str(params["model"]), str(params["method"])
    return service.call(
        Seen("web", uid, model, method),
        lambda env, found: by_position(env.having(), found, method, params["args"] or (), params["kwargs"] or {}),
        lambda: errors.builtin(KeyError, model) if service.version < 19 else errors.http("NotFound", f"404 Not Found: {_NOT_FOUND}", 404),
        met,
    )


def refused_or_not_found(service: Service, path: str) -> Response:
    """Return the page for a path that no server has. Raises NotSimulatedError for those that a real one has."""
    for known in ("/web", "/xmlrpc", "/odoo", "/json", "/doc", "/mail", "/my", "/report"):
        if path == known or (path.startswith(f"{known}/") and not (known == "/json" and service.version < 19)):
            raise errors.NotSimulatedError(f"path {path}")
    return not_found(service)
