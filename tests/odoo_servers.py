"""Odoo servers for whole runs: simulated ones, and the real one that ERPCRM_ODOO_URL, _DB, _USER and _KEY name.

A test takes the fixture ``odoo``; where it is real, its partners, documents and products are thrown away first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from erpcrm_bridge.connector import Budget
from erpcrm_bridge_odoo import OdooSettings
from erpcrm_bridge_odoo.rpc import Server
from erpcrm_bridge_odoo.simulator import start

NAMES = ("URL", "DB", "USER", "KEY")
LIVE = pytest.param("live", marks=pytest.mark.live_odoo)


class People:
    """Those who work in an Odoo by themselves, with its administrator's rights. ``settings`` are what a connection to it says."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self._server = Server(OdooSettings.model_validate(self.settings), budget=Budget())

    @property
    def version(self) -> int:
        return self._server.version

    def call(self, model: str, method: str, ids: Sequence[int] | None = None, **named: Any) -> Any:
        return self._server.call(model, method, ids, **named)

    def make(self, model: str, **values: Any) -> int:
        made: list[int] = self.call(model, "create", vals_list=[values])
        return made[0]

    def put(self, model: str, one: int, **values: Any) -> None:
        self.call(model, "write", [one], vals=values)

    def ids(self, model: str, *domain: Sequence[Any]) -> list[int]:
        found: list[int] = self.call(model, "search", domain=[list(term) for term in domain], order="id")
        return found

    def rows(self, model: str, fields: Sequence[str], *domain: Sequence[Any]) -> list[dict[str, Any]]:
        """Return records by their ids, references as ids."""
        found: list[dict[str, Any]] = self.call(
            model, "search_read", domain=[list(term) for term in domain], fields=list(fields), order="id", load=""
        )
        return found

    def close(self) -> None:
        self._server.close()

    def settings_in(self, folder: Path) -> dict[str, Any]:
        """Return what config.yaml in a folder says of this server: the key stands beside it."""
        (folder / "odoo.key").write_text(self.settings["key"])
        return {**self.settings, "key": "${file:odoo.key}"}

    def clear(self) -> None:
        """Throw away what tests have left: documents, leads, and that anybody is a customer. A fresh database has none of it."""
        quiet = {"disable_cancel_warning": True, "force_delete": True}
        payments = self.ids("account.payment")
        posted = self.ids("account.payment", ["state", "!=", "draft"])
        moves = self.ids("account.move", ["move_type", "in", ["out_invoice", "out_refund"]])
        for model, method, ids in (
            ("account.payment", "action_draft", posted),
            ("account.payment", "unlink", payments),
            ("account.move", "button_draft", self.ids("account.move", ["id", "in", moves], ["state", "!=", "draft"])),
            ("account.move", "unlink", moves),
            ("sale.order", "action_cancel", self.ids("sale.order", ["state", "=", "sale"])),
            ("sale.order", "unlink", self.ids("sale.order")),
            ("crm.lead", "unlink", self.ids("crm.lead")),
        ):
            if ids:
                self.call(model, method, ids, context=quiet)
        customers = self.ids("res.partner", ["customer_rank", ">", 0])
        if customers:
            whole = self.ids("res.partner", ["id", "child_of", customers])
            self.call("res.partner", "write", whole, vals={"name": "left over", "email": False, "customer_rank": 0})
        if products := self.ids("product.product", ["default_code", "!=", False]):
            self.call("product.product", "write", products, vals={"default_code": False})


@contextmanager
def people(which: str) -> Iterator[People]:
    """Give a server: "17" and "19" are new simulated ones, "live" the real one, cleared."""
    if which != "live":
        simulator = start(port=0, version=which, faults=(), seed_data=False)
        told = simulator.settings
        found = People({"url": told["url"], "database": told["database"], "user": told["login"], "key": told["api_key"]})
        try:
            yield found
        finally:
            found.close()
            simulator.close()
        return
    said = [os.environ.get(f"ERPCRM_ODOO_{name}", "") for name in NAMES]
    if not all(said):
        pytest.skip("ERPCRM_ODOO_URL, _DB, _USER and _KEY name no server")
    found = People(dict(zip(("url", "database", "user", "key"), said, strict=True)))
    try:
        found.clear()
        yield found
    finally:
        found.close()
