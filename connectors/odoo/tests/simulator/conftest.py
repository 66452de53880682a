"""The servers that the observed facts are tried on: the simulator in both versions, and a real Odoo where one is named.

ERPCRM_ODOO_URL, _DB, _USER (an administrator) and _KEY name the real one. Give it a database of its own: the facts leave records behind.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import uuid
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from receiver import Receiver

from erpcrm_bridge_odoo.simulator import VERSIONS, Simulator
from erpcrm_bridge_odoo.simulator.service import service


class Refused(Exception):
    """What the server answered instead of a result."""

    def __init__(self, name: str, message: str, body: dict[str, Any]) -> None:
        super().__init__(f"{name}: {message}")
        self.name, self.message, self.body = name, message, body


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


@dataclass
class Odoo:
    """A server to ask, as one user."""

    url: str
    db: str
    uid: int
    key: str
    version: int
    simulator: Simulator | None = None
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def http(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answered:
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): told for name, told in headers.items()})
            found = connection.getresponse()
            return Answered(found.status, {name.lower(): told for name, told in found.getheaders()}, found.read())
        finally:
            connection.close()

    def rpc(self, service_name: str, method: str, *args: Any) -> dict[str, Any]:
        told = {"jsonrpc": "2.0", "method": "call", "id": 7, "params": {"service": service_name, "method": method, "args": list(args)}}
        answered = self.http("POST", "/jsonrpc", json.dumps(told).encode(), Content_Type="application/json")
        assert answered.status == 200, answered.body[:300]
        found: dict[str, Any] = answered.told
        return found

    def kw(self, model: str, method: str, args: list[Any], kwargs: dict[str, Any] | None = None) -> dict[str, Any]:
        return self.rpc("object", "execute_kw", self.db, self.uid, self.key, model, method, args, kwargs or {})

    def ask(self, model: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return the result of a call. Raises Refused."""
        told = self.kw(model, method, list(args), kwargs)
        if "error" in told:
            data = told["error"]["data"]
            raise Refused(data["name"], data["message"], told["error"])
        return told.get("result")

    def refused(self, model: str, method: str, *args: Any, **kwargs: Any) -> tuple[str, str]:
        """Return the class and the words of a refusal."""
        with pytest.raises(Refused) as caught:
            self.ask(model, method, *args, **kwargs)
        return caught.value.name, caught.value.message

    def bearer(self, path: str, body: Any, *, key: str | None = None, db: str | None = None, **headers: str) -> Answered:
        told = {
            "Content_Type": "application/json",
            "Authorization": f"bearer {key or self.key}",
            "X_Odoo_Database": db or self.db,
            **headers,
        }
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http("POST", path, raw, **{name: one for name, one in told.items() if one})

    def xml(self, name: str = "object") -> Any:
        return xmlrpc.client.ServerProxy(f"{self.url}/xmlrpc/2/{name}")

    def one(self, model: str, key: int, *fields: str, **context: Any) -> Any:
        """Return one field of a record, or several as a list."""
        row = self.ask(model, "read", [key], list(fields), context=context)[0]
        return row[fields[0]] if len(fields) == 1 else [row[name] for name in fields]

    def partner(self, **values: Any) -> int:
        key: int = self.ask("res.partner", "create", {"name": f"fact {self.mark}", **values}, context={"tracking_disable": True})
        return key

    def ref(self, name: str) -> int:
        module, _, rest = name.partition(".")
        key: int = self.ask("ir.model.data", "check_object_reference", module, rest)[1]
        return key

    def early_in_a_second(self) -> None:
        """Return when most of a second of the server's clock is still to come."""
        if self.simulator is not None:
            now = time.time()
            ahead = -(now % 1) + 0.1
            self.http("POST", "/_simulator/clock", json.dumps({"ahead": ahead}).encode())
        else:
            time.sleep(1.15 - time.time() % 1 if time.time() % 1 > 0.15 else 0)

    def user(self, login: str, *groups: str) -> Odoo:
        """Return the server as a new user with these groups and no others sees it."""
        name = "group_ids" if self.version >= 19 else "groups_id"
        own = f"{login}-{self.mark}"
        vals = {"name": login, "login": own, "password": "s3cret-pass", name: [[6, 0, [self.ref(one) for one in groups]]]}
        uid = self.ask("res.users", "create", vals)
        return Odoo(self.url, self.db, uid, "s3cret-pass", self.version, self.simulator, self.mark)


def _servers() -> list[Any]:
    found = [pytest.param("17", id="sim17"), pytest.param("19", id="sim19")]
    if os.environ.get("ERPCRM_ODOO_URL"):
        found.append(pytest.param("live", id="live", marks=pytest.mark.live_odoo))
    return found


@pytest.fixture(scope="session", params=_servers())
def odoo(request: pytest.FixtureRequest) -> Iterator[Odoo]:
    if request.param == "live":
        url, db = os.environ["ERPCRM_ODOO_URL"], os.environ["ERPCRM_ODOO_DB"]
        found = Odoo(url, db, 0, os.environ["ERPCRM_ODOO_KEY"], 0)
        found.version = int(found.rpc("common", "version")["result"]["server_version_info"][0])
        if str(found.version) not in VERSIONS:
            pytest.skip(f"the facts are of Odoo 17 and 19, and this is {found.version}")
        found.uid = found.rpc("common", "authenticate", db, os.environ["ERPCRM_ODOO_USER"], found.key, {})["result"]
        yield found
        return
    running = Simulator(service(int(request.param)))
    yield Odoo(running.url, "odoo", 2, running.key, int(request.param), running)
    running.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()
