"""The control face ``/_simulator``: what a test asks of the simulator itself, and no Odoo has.

``POST fault`` (the words of ``faults.Fault``), ``DELETE fault``; ``POST call`` {model, method, args, kwargs, uid}: an edit by another
user, past all
faults; ``POST merge`` {winner, losers}; ``POST clock`` {ahead}: seconds that the server's clock goes ahead; ``GET calls``: what came in
so far.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from erpcrm_bridge_odoo.simulator import errors
from erpcrm_bridge_odoo.simulator.http import Request, Response, as_json
from erpcrm_bridge_odoo.simulator.service import Service


def answer(service: Service, request: Request) -> Response:
    try:
        told = json.loads(request.body) if request.body else {}
        return as_json(_done(service, request.method, request.path.removeprefix("/_simulator/"), told))
    except errors.OdooError as error:
        return as_json(error.told(service.version), 400)
    except (KeyError, TypeError, ValueError) as error:
        return as_json({"message": str(error)}, 400)


def _done(service: Service, method: str, what: str, told: dict[str, Any]) -> Any:
    match method, what:
        case "POST", "fault":
            return asdict(service.faults.add(told))
        case "DELETE", "fault":
            service.faults.clear()
            return True
        case "POST", "call":
            return service.edit(told)
        case "POST", "merge":
            service.merge(int(told["winner"]), [int(one) for one in told["losers"]])
            return True
        case "POST", "clock":
            service.database.store.ahead = timedelta(seconds=float(told["ahead"]))
            return True
        case "GET", "calls":
            return [asdict(one) for one in service.seen]
    raise ValueError(f"The control face has no {method} {what}.")
