"""Posts of what was rolled back, and posts from inside an open transaction: what they come to on their way through the engine."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver

from erpcrm_bridge.connector import Connector, Field, Selection
from erpcrm_bridge.settings import ConnectionSettings, load
from erpcrm_bridge.sync.flow import open_connection
from erpcrm_bridge.sync.notes import new_run
from erpcrm_bridge.sync.pull import read_again
from erpcrm_bridge.sync.run import run_flow
from erpcrm_bridge.testing.memory import MemoryConnector, MemorySystem, StreamSpec
from erpcrm_bridge.work import at_work
from erpcrm_bridge_odoo import OdooConnector
from erpcrm_bridge_odoo.webhooks import BURST

DELAY = 0.1
PARTNERS = Selection("res.partner", "id", ("name",))
CONFIG = """\
apiVersion: erpcrm-bridge/v1
mappings: [./mappings]
connections:
  crm: {{connector: memory, settings: {{url: "http://127.0.0.1:9"}}}}
  odoo:
    connector: odoo
    settings: {{url: "{url}", database: "{db}", user: "{user}", key: "${{env:KEY}}", module: "bridge_{mark}", overlap: 5,
      streams: [res.partner, res.partner.address], webhook_address: "{address}", webhook_secret: "${{env:HOOK}}", webhook_delay: {delay}}}
    values: {{currency: USD}}
flows:
  main:
    roles: {{crm: crm, erp: odoo}}
    entities:
      customer: {{mappings: {{crm: [accounts], erp: [odoo]}}, create_in: [crm]}}
"""
MAPPING = """\
apiVersion: erpcrm-bridge/v1
kind: Mapping
entity: customer
connector: memory
stream: Account
key: {id: Id, external_id: Ref}
fields:
  name: {external: Name, via: [trim], required: true}
"""


class Office:
    """A flow between a CRM in memory and Odoo, which posts to it; a run when it is asked for."""

    def __init__(self, odoo: Any, receiver: Receiver, folder: Path) -> None:
        self.odoo, self.receiver = odoo, receiver
        self.made: list[int] = []
        self.before: list[str] = []
        self.waiting: list[str] = []
        self.crm = MemorySystem([StreamSpec("Account", {"Name": Field("Name", length=100)})])
        (folder / ".erpcrm-bridge").mkdir()
        (folder / "mappings" / "customer").mkdir(parents=True)
        (folder / "mappings" / "customer" / "accounts.yaml").write_text(MAPPING)
        user = "admin" if odoo.simulator else os.environ["ERPCRM_ODOO_USER"]
        said = {"url": odoo.url, "db": odoo.db, "user": user, "mark": odoo.mark, "address": receiver.address, "delay": DELAY}
        (folder / "config.yaml").write_text(CONFIG.format(**said))
        self.settings = load(folder / "config.yaml", {"KEY": odoo.key, "HOOK": "whsec-phantom"})
        self.erp = open_connection("odoo", self.settings.connections["odoo"])
        assert isinstance(self.erp, OdooConnector)

    def open(self, name: str, connection: ConnectionSettings) -> Connector:
        return MemoryConnector(self.crm) if name == "crm" else open_connection(name, connection)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Keep the flow open: to open it anew for each look costs more than the looks."""
        with at_work(self.settings, "main", self.open) as (self.flow, self.store, self.fence):
            self.side = next(side for side in self.flow.all_sides() if side.connection == "odoo")
            yield

    def run(self) -> Any:
        return run_flow(self.flow, self.store, folder=self.settings.folder, fence=self.fence)

    def named(self) -> list[str]:
        """Return the partners that the posts so far have named, and forget the posts.

        Each look is a moment of its own: one that came sooner after the last would find no news in what was named then.
        """
        time.sleep(BURST * DELAY)
        keys: dict[str, None] = {}
        for request in self.receiver.requests:
            found, delay = self.erp.parse_webhook(request)
            assert delay == DELAY
            keys.update(dict.fromkeys(found.get("res.partner", ())))
        self.receiver.requests.clear()
        return list(keys)

    def read(self, keys: list[str]) -> dict[str, Any]:
        """Read by key what posts have named, as the engine does; return what is stored to be merged: fields by key, None where gone."""
        read_again(self.store, new_run("main", time.time, self.fence), self.side, keys)
        return {key: row.fields for key, row in self.store.incoming(self.side.stream_id, keys).items()}

    def waits(self) -> list[str]:
        return [row.reason for row in self.store.parked(flow="main")][len(self.waiting) :]

    def links(self, *keys: str) -> dict[str, str]:
        return {key: link.state for key, link in self.store.links_by_key(self.side.stream_id, list(keys)).items()}

    def accounts(self) -> list[str]:
        """Return the names of the accounts that came since."""
        names = sorted(held["Name"] for held in self.crm.all("Account").values())
        return list((Counter(names) - Counter(self.before)).elements())

    def partner(self, name: str) -> str:
        columns = ["id", "name", "customer_rank", "is_company"]
        self.made += self.odoo.ask("res.partner", "load", columns, [[self.mark(name), name, "1", "1"]])["ids"]
        return str(self.made[-1])

    def mark(self, name: str) -> str:
        """Return the external id of a partner."""
        return f"phantoms_{self.odoo.mark}.{name}"

    def now(self, keys: list[str]) -> list[str]:
        """Return the names of those partners that a read shows now."""
        return [str(record.fields["name"]) for record in self.erp.read(PARTNERS, keys)]


@pytest.fixture
def office(odoo: Any, receiver: Receiver, tmp_path: Path) -> Iterator[Office]:
    place = Office(odoo, receiver, tmp_path)
    with place.at_work():
        place.erp.set_up_webhooks([place.side.selection])
        place.run()  # what other facts left behind is known then, and no news
        place.before, place.waiting = place.accounts(), place.waits()
        yield place
    place.erp.close()
    odoo.ask("res.partner", "unlink", place.made)
    for model, domain in (
        ("ir.actions.server", [["webhook_url", "=like", f"{receiver.address}%"]]),
        ("base.automation", [["name", "=like", "erpcrm-bridge: %"]]),
    ):
        if found := odoo.ask(model, "search", domain, context={"active_test": False}):
            odoo.ask(model, "unlink", found)


def test_posts_of_a_load_that_was_rolled_back_come_to_nothing(office: Office) -> None:
    """A new record that never came to be, and an edit of a known one that was taken back with it: both were posted."""
    acme = office.partner("Acme")
    assert office.named() == [acme]
    assert office.run().written == 1
    assert office.accounts() == ["Acme"]
    rows = [[office.mark("ghost"), "Ghost", ""], [office.mark("Acme"), "Acme haunted", ""], ["", "bad", "base.nosuch"]]
    said = office.odoo.ask("res.partner", "load", ["id", "name", "country_id/id"], rows)
    assert said["ids"] is False
    named = office.named()
    assert acme in named
    ghosts = [key for key in named if key != acme]
    assert ghosts, "a phantom was posted"
    everything = {"active_test": False}
    assert office.odoo.ask("res.partner", "search_count", [["id", "in", [int(key) for key in ghosts]]], context=everything) == 0
    stored = office.read(named)
    assert [stored.get(key) for key in ghosts] == [None] * len(ghosts)
    assert stored[acme]["name"] == "Acme"
    report = office.run()
    assert (report.written, office.accounts(), office.waits()) == (0, ["Acme"], [])
    assert office.links(acme, *ghosts) == {acme: "live"}
    assert [row["name"] for row in office.odoo.ask("res.partner", "read", [int(acme)], ["name"])] == ["Acme"]


def test_what_is_posted_before_its_commit_is_read_after_the_delay(office: Office, receiver: Receiver) -> None:
    """Read at once, 17 shows what was before: the wait is what makes the read one of the new state."""
    acme = office.partner("Acme")
    assert office.named() == [acme]
    assert office.run().written == 1
    early: list[list[str]] = []
    receiver.on_post = lambda: early.append(office.now(office.named()))
    new = office.partner("Newco")
    office.odoo.ask("res.partner", "write", [int(acme)], {"name": "Acme Ltd"})
    receiver.on_post = None
    assert early == ([["Newco"], ["Acme Ltd"]] if office.odoo.version >= 19 else [[], ["Acme"]])
    time.sleep(DELAY)
    stored = office.read([new, acme])
    assert {key: fields and fields["name"] for key, fields in stored.items()} == {new: "Newco", acme: "Acme Ltd"}
    report = office.run()
    assert (report.written, office.accounts(), office.waits()) == (2, ["Acme Ltd", "Newco"], [])
    assert office.links(acme, new) == {acme: "live", new: "live"}
