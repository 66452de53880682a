"""What was observed on real servers and makes connectors lose edits, each against a simulated 17 and 19."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from odoo_bench import HASTE, Wire

from erpcrm_bridge.connector import Applied, Budget, Record, Rejected, Selection, Stale, Unknown, Write
from erpcrm_bridge.errors import PermissionDenied, QuotaExhausted, TransientError
from erpcrm_bridge_odoo import OdooConnector, OdooSettings, reading
from erpcrm_bridge_odoo.rpc import Server
from erpcrm_bridge_odoo.simulator import Simulator, start

PARTNER = Selection("res.partner", "id", ("name", "ref", "$xmlid"), "$xmlid")
ORDER = Selection("sale.order", "id", ("partner_id", "client_order_ref"))
STREAMS = ("res.partner", "sale.order", "crm.lead")


class World:
    def __init__(self, version: str) -> None:
        self.simulator: Simulator = start(port=0, version=version, faults=(), seed_data=False)
        self.people = Server(self.settings(), budget=Budget(), transport=Wire())
        self._open: list[OdooConnector] = []

    def settings(self, **more: Any) -> OdooSettings:
        database, key = self.simulator.service.database.name, self.simulator.key
        said = {"url": self.simulator.url, "database": database, "user": "admin", "key": key, "streams": STREAMS, **more}
        return OdooSettings.model_validate(said)

    def connect(self, **more: Any) -> OdooConnector:
        self._open.append(OdooConnector(self.settings(**more), transport=Wire(), manners=HASTE))
        return self._open[-1]

    def fault(self, **said: Any) -> None:
        self.simulator.service.faults.add(said)

    def pass_by(self, seconds: float) -> None:
        """Let the server's clock go ahead."""
        self.simulator.service.database.store.ahead += timedelta(seconds=seconds)

    def partner(self, name: str) -> str:
        return str(self.people.call("res.partner", "create", vals_list=[{"name": name}])[0])

    def close(self) -> None:
        for connector in self._open:
            connector.close()
        self.people.close()
        self.simulator.close()


@pytest.fixture(params=["17", "19"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    one = World(request.param)
    yield one
    one.close()


def changed(connector: OdooConnector, selection: Selection, cursor: str | None) -> tuple[dict[str, Record], str]:
    pages = list(connector.read_changes(selection, cursor))
    return {change.key: change.record for page in pages for change in page.changes if change.record}, pages[-1].cursor


def test_a_record_that_is_committed_late_under_an_old_stamp_is_not_lost(world: World) -> None:
    """A stamp is the begin of its transaction: a window that began where the last one ended would leave it out."""
    key = world.partner("Slow")
    careful, careless = world.connect(overlap=120), world.connect(overlap=0)
    world.fault(kind="late_commit", model="res.partner", method="write", seconds=1)
    writing = threading.Thread(target=lambda: world.people.call("res.partner", "write", [int(key)], vals={"ref": "late"}), daemon=True)
    writing.start()
    while not any(call.method == "write" for call in world.simulator.service.seen):
        time.sleep(0.01)
    time.sleep(0.3)  # for its transaction to begin
    world.pass_by(seconds=60)
    cursors = {connector: changed(connector, PARTNER, None)[1] for connector in (careful, careless)}
    writing.join(10)
    assert changed(careful, PARTNER, cursors[careful])[0][key].fields["ref"] == "late"
    assert key not in changed(careless, PARTNER, cursors[careless])[0], "the overlap is what finds it"


class Slow(httpx.BaseTransport):
    """Keeps the first page's external ids back until the second page was asked for, two seconds at most."""

    def __init__(self) -> None:
        self._way = Wire()
        self._pages = 0
        self._second = threading.Event()
        self.asked_in_time: bool | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if b"search_read" in request.url.raw_path + request.content and b'"order":"id","limit"' in request.content:
            self._pages += 1
            if self._pages == 2:
                self._second.set()
        elif b"ir.model.data" in request.url.raw_path + request.content and self.asked_in_time is None and self._pages:
            self.asked_in_time = self._second.wait(2)
        return self._way.handle_request(request)

    def close(self) -> None:
        self._way.close()


def test_the_next_page_is_asked_for_while_one_is_made_into_records(world: World) -> None:
    made = [world.partner(f"Ahead {number}") for number in range(7)]
    way = Slow()
    connector = OdooConnector(world.settings(page=3), budget=Budget(parallel=3), transport=way, manners=HASTE)
    connector.describe()
    keys = [change.key for page in connector.read_changes(PARTNER, None) for change in page.changes]
    connector.close()
    assert way.asked_in_time
    assert keys == sorted(set(keys), key=int), "each once, by id"
    assert keys[-7:] == made


def test_two_pages_are_made_into_records_at_once_and_come_in_order() -> None:
    """Making records takes calls and then computes: the calls of one page go while another one computes."""
    both = threading.Barrier(2)

    def make(rows: list[dict[str, Any]]) -> list[Any]:
        both.wait(5)
        return rows

    lots = reading._ahead(lambda last: reading._Lot([{"id": last + 1}], last + 1, last < 3, None), make, 0)
    assert [(lot.last, found) for lot, found in lots] == [(one, [{"id": one}]) for one in (1, 2, 3, 4)]


def test_a_read_that_is_left_in_its_midst_leaves_nothing_running(world: World) -> None:
    for number in range(7):
        world.partner(f"Ahead {number}")
    pages = world.connect(page=2).read_changes(PARTNER, None)
    assert len(next(iter(pages)).changes) == 2
    assert "odoo-ahead" in " ".join(one.name for one in threading.enumerate())
    pages.close()  # type: ignore[attr-defined]  # a generator
    assert "odoo-ahead" not in " ".join(one.name for one in threading.enumerate())


def test_a_page_that_came_is_handed_on_before_the_failure_of_the_next(world: World) -> None:
    for number in range(7):
        world.partner(f"Ahead {number}")
    way = Wire()
    way.throttled_after = 3  # the newest stamp is asked for first, with a limit too
    connector = OdooConnector(world.settings(page=2), transport=way, manners=HASTE)
    pages = iter(connector.read_changes(PARTNER, None))
    assert [len(next(pages).changes) for _ in range(2)] == [2, 2]
    with pytest.raises(TransientError):
        next(pages)
    connector.close()


def test_orders_follow_their_partner_into_a_merge(world: World) -> None:
    """Documents are re-pointed in SQL and keep their stamps; the loser is gone without a trace."""
    winner, loser = world.partner("Acme"), world.partner("Acme Ltd")
    order = str(world.people.call("sale.order", "create", vals_list=[{"partner_id": int(loser)}])[0])
    connector = world.connect(overlap=0)
    world.pass_by(seconds=60)
    cursor = changed(connector, ORDER, None)[1]
    assert changed(connector, ORDER, cursor)[0] == {}
    stamp = world.people.call("sale.order", "read", [int(order)], fields=["write_date"])[0]["write_date"]
    world.simulator.service.merge(int(winner), [int(loser)])
    assert world.people.call("sale.order", "read", [int(order)], fields=["write_date"])[0]["write_date"] == stamp
    assert changed(connector, ORDER, cursor)[0][order].fields["partner_id"] == winner
    assert loser not in {key for keys in connector.keys(PARTNER) for key in keys}
    assert connector.read(PARTNER, [loser]) == []


def test_two_edits_of_one_second_are_two_versions(world: World) -> None:
    key = world.partner("Acme")
    connector = world.connect()
    versions = set()
    for ref in ("a", "b", "c"):
        world.people.call("res.partner", "write", [int(key)], vals={"ref": ref})
        versions.add(connector.read(PARTNER, [key])[0].version)
    assert len(versions) == 3


def test_conflicts_of_transactions_are_tried_again(world: World) -> None:
    key = world.partner("Acme")
    world.fault(kind="serialization", model="res.partner", method="write", times=1)
    outcome = world.connect().write(PARTNER, [Write("w", "update", key, {"ref": "x"}, expect={"ref": None})])[0]
    assert isinstance(outcome, Applied), outcome
    assert outcome.fields["ref"] == "x"


def test_an_answer_cut_short_is_unknown_and_the_record_is_found(world: World) -> None:
    connector = world.connect()
    world.fault(kind="cut", model="res.partner", method="load")
    write = Write("w", "create", None, {"name": "Acme"}, reference="G0000000000001")
    assert isinstance(connector.write(PARTNER, [write])[0], Unknown)
    again = connector.write(PARTNER, [write])[0]
    assert isinstance(again, Applied)
    assert len(world.people.call("res.partner", "search", domain=[["name", "=", "Acme"]])) == 1


def test_a_create_that_is_repeated_writes_over_no_edit(world: World) -> None:
    connector = world.connect()
    write = Write("w", "create", None, {"name": "Acme", "ref": "ours"}, reference="G0000000000001")
    first = connector.write(PARTNER, [write])[0]
    assert isinstance(first, Applied)
    world.people.call("res.partner", "write", [int(first.key)], vals={"ref": "theirs"})
    again = connector.write(PARTNER, [write])[0]
    assert isinstance(again, Applied)
    assert (again.key, again.fields["ref"]) == (first.key, "theirs")


def test_an_edit_between_the_read_and_the_write_is_the_window_that_plans_name(world: World) -> None:
    """Odoo has no conditional write. This is the one way in which an edit can be overwritten, and no wider."""
    key = world.partner("Acme")
    connector = world.connect()
    theirs = {"model": "res.partner", "method": "write", "args": [[int(key)], {"ref": "theirs", "comment": "kept"}]}
    world.fault(kind="edit", model="res.partner", method="write", call=theirs)
    outcome = connector.write(PARTNER, [Write("w", "update", key, {"ref": "ours"}, expect={"ref": None})])[0]
    assert isinstance(outcome, Applied)
    held = world.people.call("res.partner", "read", [int(key)], fields=["ref", "comment"])[0]
    assert held["ref"] == "ours"
    assert "kept" in held["comment"], "only what the write names is written"
    assert connector.describe().streams["res.partner"].capabilities.window


def test_a_bad_record_does_not_fail_its_batch_of_creates(world: World) -> None:
    connector = world.connect()
    leads = Selection("crm.lead", "id", ("name", "priority"), "$xmlid")
    writes = [
        Write(f"w{n}", "create", None, {"name": f"Lead {n}", "priority": "nope" if n in (1, 4) else "1"}, reference=f"G000000000000{n}")
        for n in range(6)
    ]
    outcomes = connector.write(leads, writes)
    assert [type(one) for one in outcomes] == [Applied, Rejected, Applied, Applied, Rejected, Applied]
    assert {one.field for one in outcomes if isinstance(one, Rejected)} == {"priority"}
    assert world.people.call("crm.lead", "search_count", domain=[["name", "like", "Lead "]]) == 4


def test_the_budget_counts_and_ends(world: World) -> None:

    budget = Budget(calls=3)
    connector = OdooConnector(world.settings(), budget=budget, transport=Wire())
    with pytest.raises(QuotaExhausted):
        connector.describe()
    assert budget.spent == 3
    connector.close()


def test_what_may_not_be_read_is_told_from_what_is_gone_and_harms_no_neighbour(world: World) -> None:
    """A salesman sees his own leads: a search leaves the others out as if they were not there, a read of them is refused as a whole."""
    leads = Selection("crm.lead", "id", ("name", "function"))
    world.simulator.service.database.keys["key-of-the-seller"] = 5
    seller = world.connect(user="salesuser", key="key-of-the-seller", uuid="said in the settings", streams=("crm.lead",))
    said = seller.describe()
    assert said.identity == "said in the settings"
    assert not said.streams["crm.lead"].capabilities.upsert, "without ir.model.data there are no references to find a create by"
    theirs, gone = world.people.call("crm.lead", "create", vals_list=[{"name": "Theirs", "user_id": 2}, {"name": "Gone", "user_id": 5}])
    own = world.people.call("crm.lead", "create", vals_list=[{"name": "Own", "user_id": 5}])[0]
    world.people.call("crm.lead", "unlink", [gone])
    keys = [str(one) for one in (own, theirs, gone)]
    with pytest.raises(PermissionDenied, match=f"crm.lead {theirs} may not be read") as denied:
        seller.read(leads, keys)
    assert denied.value.keys == (str(theirs),)
    assert [record.key for record in seller.read(leads, [str(own), str(gone)])] == [str(own)]
    outcomes = seller.write(leads, [Write(key, "update", key, {"function": "x"}, expect={"function": None}) for key in keys])
    assert [type(one) for one in outcomes] == [Applied, Rejected, Stale]
    assert isinstance(outcomes[1], Rejected)
    assert outcomes[1].reject == "permission"
