"""A server that behaves as Odoo 17 and 19 were seen to behave, for tests and for trying the bridge without an Odoo.

It is a judge: what it does not do it refuses with 501 and the feature's name. Records live in memory and are gone when it ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from erpcrm_bridge_odoo.simulator.faces import control, json2, jsonrpc, web, xmlrpc
from erpcrm_bridge_odoo.simulator.faults import parsed
from erpcrm_bridge_odoo.simulator.http import Request, Response, Running
from erpcrm_bridge_odoo.simulator.service import Service, service

VERSIONS = ("17", "19")


class Simulator(Running):
    """One simulated Odoo that is up; ``service`` is what is behind its faces."""

    def __init__(self, behind: Service, port: int = 0) -> None:
        self.service = behind
        super().__init__(port, lambda request: route(behind, request), behind.database.store.now)

    @property
    def key(self) -> str:
        """Return the administrator's API key."""
        return next(key for key, uid in self.service.database.keys.items() if uid == 2)

    @property
    def settings(self) -> dict[str, str]:
        """Return what a client needs to get in, each under a name for people."""
        return {"url": self.url, "database": self.service.database.name, "login": "admin", "password": "admin", "api_key": self.key}


def start(*, port: int, version: str | None, faults: Sequence[str], seed_data: bool) -> Simulator:
    """Start a simulator as ``erpcrm-bridge simulate odoo`` does. Raises ValueError for a version or fault that there is not."""
    if version is not None and version not in VERSIONS:
        raise ValueError(f"There is no Odoo {version} here. Use --version {' or '.join(VERSIONS)}.")
    behind = service(int(version or VERSIONS[-1]), seed_data=seed_data)
    for fault in faults:
        behind.faults.add(parsed(fault))
    return Simulator(behind, port)


def route(behind: Service, request: Request) -> Response:
    """Return the answer of the face that the path names."""
    path = request.path if request.path == "/" else request.path.removesuffix("/")  # both are served
    if path == "/jsonrpc":
        return jsonrpc.answer(behind, request)
    if path.startswith("/xmlrpc/2/") or path in ("/xmlrpc/common", "/xmlrpc/object", "/xmlrpc/db"):
        return xmlrpc.answer(behind, request)
    if behind.version >= 19 and (path == "/json/2" or path.startswith("/json/2/")):
        return json2.answer(behind, request)
    if behind.version >= 19 and path.startswith("/doc-bearer/"):
        return json2.documented(behind, request)
    if path in ("/web/version", "/json/version"):
        return web.version(behind)
    if path == "/web/health":
        return web.health()
    if path in web.OF_A_SESSION or path.startswith("/web/dataset/call_kw/"):
        return web.session(behind, request)
    if path.startswith("/_simulator/"):
        return control.answer(behind, request)
    return web.refused_or_not_found(behind, path)
