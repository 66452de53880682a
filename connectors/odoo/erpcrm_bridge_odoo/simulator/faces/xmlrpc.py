"""The faces ``/xmlrpc/2/{common,object,db}``, whose faults have numbers, and ``/xmlrpc/{common,object,db}``, whose faults have words."""

from __future__ import annotations

import xmlrpc.client
from typing import Any
from xml.parsers.expat import ExpatError

from erpcrm_bridge_odoo.simulator import errors
from erpcrm_bridge_odoo.simulator.faces.rpc import dispatch
from erpcrm_bridge_odoo.simulator.faults import Fault
from erpcrm_bridge_odoo.simulator.http import Request, Response, page
from erpcrm_bridge_odoo.simulator.service import Service

CONTROL = dict.fromkeys([one for one in range(32) if one not in (9, 10, 13)])


def answer(service: Service, request: Request) -> Response:
    """Answer one call: always 200; a result that XML-RPC cannot carry is a fault although the work is committed."""
    met: dict[str, Fault] = {}
    if request.method != "POST":
        return page(405, "Method Not Allowed", "The method is not allowed for the requested URL.")
    try:
        body = _result(service, request, met)
    except errors.OdooError as error:
        numbered = request.path.startswith("/xmlrpc/2/")
        code, text = (error.fault_code, error.fault_string) if numbered else error.older_fault
        body = xmlrpc.client.dumps(xmlrpc.client.Fault(code, _clean(text)), methodresponse=True)  # type: ignore[arg-type]
    return Response(200, body.encode(), "text/xml; charset=utf-8", met=met)


def _result(service: Service, request: Request, met: dict[str, Fault]) -> str:
    try:
        args, method = xmlrpc.client.loads(request.body, use_builtin_types=True)
    except ExpatError as error:
        raise errors.OdooError("xml.parsers.expat.ExpatError", str(error)) from error
    except xmlrpc.client.ResponseError as error:
        raise errors.OdooError("xmlrpc.client.ResponseError", "ResponseError()") from error
    name = request.path.rsplit("/", 1)[1]
    result = dispatch(service, "xmlrpc", name, method or "", list(args), met)
    try:
        return xmlrpc.client.dumps((_clean(result),), methodresponse=True, allow_none=False)
    except (TypeError, OverflowError) as error:
        raise errors.builtin(type(error), str(error)) from error


def _clean(value: Any) -> Any:
    """Return the value without the control characters that XML 1.0 has no place for."""
    if isinstance(value, str):
        return value.translate(CONTROL)
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(one) for one in value]
    return value
