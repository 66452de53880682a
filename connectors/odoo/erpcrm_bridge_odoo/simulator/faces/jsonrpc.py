"""The face ``/jsonrpc``."""

from __future__ import annotations

from html import escape
from typing import Any

from erpcrm_bridge_odoo.simulator import errors
from erpcrm_bridge_odoo.simulator.calls import lacking_words
from erpcrm_bridge_odoo.simulator.faces.rpc import dispatch
from erpcrm_bridge_odoo.simulator.faults import Fault
from erpcrm_bridge_odoo.simulator.http import Request, Response, as_json, page
from erpcrm_bridge_odoo.simulator.service import Service


def answer(service: Service, request: Request) -> Response:
    """Answer one call: always 200 once the body is JSON; a method that returns None leaves ``result`` out."""
    if request.content_type not in ("application/json", "application/json-rpc"):
        return refused(service, "jsonrpc" if service.version >= 19 else "json", "/jsonrpc", "application/json, application/json-rpc")
    try:
        told = request.told
    except ValueError:
        return Response(400, b"Invalid JSON data", "text/html; charset=utf-8")
    if not isinstance(told, dict):
        return Response(400, b"Invalid JSON-RPC data", "text/html; charset=utf-8")
    head = {"jsonrpc": "2.0", "id": told.get("id")}
    met: dict[str, Fault] = {}
    try:
        params = named(told.get("params", {}))
        lacking = [name for name in ("service", "method", "args") if name not in params]
        if lacking:
            owner = "JSONRPC" if service.version >= 19 else "RPC"
            raise errors.builtin(TypeError, f"{owner}.jsonrpc() missing {lacking_words(lacking)}")
        result = dispatch(service, "jsonrpc", params["service"], params["method"], params["args"], met)
    except errors.OdooError as error:
        code = 0 if service.version >= 19 else 200
        found = as_json({**head, "error": {"code": code, "message": "Odoo Server Error", "data": error.told(service.version)}})
    else:
        found = as_json(head if result is None else {**head, "result": result})
    found.met = met
    return found


def _quoted(text: str) -> str:
    return escape(repr(text)).replace("&#x27;", "&#39;")


def named(params: Any) -> dict[str, Any]:
    """Return the parameters of a call. Raises Python's error for what cannot be made named arguments."""
    try:
        return dict(params)
    except (TypeError, ValueError) as error:
        raise errors.builtin(type(error), str(error)) from error


def refused(service: Service, kind: str, rule: str, accept: str) -> Response:
    """Return the page for a content type that the route is not made for."""
    text = f"Request inferred type is compatible with [{_quoted('http')}] but {_quoted(rule)} is type={_quoted(kind)}."
    if service.version < 19:
        return page(400, "Bad Request", text)
    found = page(415, "Unsupported Media Type", f"{text}<br><br>Please verify the Content-Type request header and try again.")
    found.headers["Accept"] = accept
    return found
