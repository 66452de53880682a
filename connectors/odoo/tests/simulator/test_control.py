"""What is asked of the simulator itself: faults, edits by others, late commits, merged partners; and how it is put up."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from erpcrm_bridge import registry
from erpcrm_bridge_odoo.simulator import Simulator, start
from erpcrm_bridge_odoo.simulator.service import service


@pytest.fixture
def odoo(odoo: Any) -> Iterator[Any]:
    """The simulator alone, without faults at the end."""
    if odoo.simulator is None:
        pytest.skip("of the simulator")
    yield odoo
    odoo.http("DELETE", "/_simulator/fault")


def _control(odoo: Any, what: str, told: dict[str, Any]) -> Any:
    answered = odoo.http("POST", f"/_simulator/{what}", json.dumps(told).encode())
    assert answered.status == 200, answered.body
    return answered.told


def _count(odoo: Any, ref: str) -> int:
    found: int = odoo.ask("res.partner", "search_count", [["ref", "=", ref]])
    return found


def test_an_answer_lost_is_work_done(odoo: Any) -> None:
    _control(odoo, "fault", {"kind": "lost", "model": "res.partner", "method": "create"})
    ref = f"lost-{odoo.mark}"
    with pytest.raises(http.client.RemoteDisconnected):
        odoo.partner(ref=ref)
    assert _count(odoo, ref) == 1
    odoo.partner(ref=ref)
    assert _count(odoo, ref) == 2, "the fault was for one call"


def test_a_call_unheard_is_nothing_done(odoo: Any) -> None:
    _control(odoo, "fault", {"kind": "unheard", "method": "create"})
    ref = f"unheard-{odoo.mark}"
    with pytest.raises(http.client.RemoteDisconnected):
        odoo.partner(ref=ref)
    assert _count(odoo, ref) == 0


def test_an_answer_cut_in_its_body(odoo: Any) -> None:
    _control(odoo, "fault", {"kind": "cut", "method": "search_read"})
    with pytest.raises(http.client.IncompleteRead):
        odoo.ask("res.country", "search_read", [], ["name"])


def test_a_slow_answer(odoo: Any) -> None:
    _control(odoo, "fault", {"kind": "slow", "seconds": 0.3, "method": "search_count"})
    began = time.monotonic()
    odoo.ask("res.country", "search_count", [])
    assert time.monotonic() - began >= 0.3


def test_serialization_errors_look_as_on_each_face(odoo: Any) -> None:
    words = "could not serialize access due to concurrent update\n"
    _control(odoo, "fault", {"kind": "serialization", "times": 3, "method": "write"})
    assert odoo.refused("res.partner", "write", [1], {}) == ("psycopg2.errors.SerializationFailure", words)
    with pytest.raises(Exception, match=r"psycopg2\.errors\.SerializationFailure") as caught:
        odoo.xml().execute_kw(odoo.db, odoo.uid, odoo.key, "res.partner", "write", [[1], {}])
    assert caught.value.faultCode == 1  # type: ignore[attr-defined]
    if odoo.version >= 19:
        answered = odoo.bearer("/json/2/res.partner/write", {"ids": [1], "vals": {}})
        assert (answered.status, answered.told["name"], answered.told["message"]) == (500, "psycopg2.errors.SerializationFailure", words)
    else:
        odoo.refused("res.partner", "write", [1], {})
    assert odoo.ask("res.partner", "write", [1], {}) is True


def test_a_key_that_ran_out(odoo: Any) -> None:
    _control(odoo, "fault", {"kind": "expired", "times": 1})
    assert odoo.refused("res.partner", "read", [1], ["name"])[0] == "odoo.exceptions.AccessDenied"
    if odoo.version >= 19:
        _control(odoo, "fault", {"kind": "expired", "times": 1})
        assert odoo.bearer("/json/2/res.partner/read", {"ids": [1]}).status == 401


def test_an_edit_by_another_user_between_two_pages(odoo: Any) -> None:
    keys = [odoo.partner(ref=f"page-{odoo.mark}") for _ in range(3)]
    edit = {"model": "res.partner", "method": "write", "args": [[keys[2]], {"ref": "elsewhere"}]}
    _control(odoo, "fault", {"kind": "edit", "method": "search", "skip": 1, "call": edit})
    domain = [["ref", "=", f"page-{odoo.mark}"]]
    first = odoo.ask("res.partner", "search", domain, limit=2, order="id")
    assert first == keys[:2]
    assert odoo.ask("res.partner", "search", domain, offset=2, order="id") == []


def _until_held(odoo: Any) -> None:
    """Return when a transaction holds rows that are not committed yet."""
    until = time.monotonic() + 10
    while not odoo.simulator.service.database.store.held:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_late_commit_carries_the_stamp_of_its_beginning_and_a_lower_id(odoo: Any) -> None:
    """The row comes to light after a younger one, with an older stamp: what a cursor by stamp or by id would miss."""
    _control(odoo, "fault", {"kind": "late_commit", "seconds": 1.2, "method": "create"})
    made: list[int] = []
    late = threading.Thread(target=lambda: made.append(odoo.partner(ref=f"late-{odoo.mark}")))
    late.start()
    _until_held(odoo)
    younger = odoo.partner()
    assert _count(odoo, f"late-{odoo.mark}") == 0
    late.join()
    assert _count(odoo, f"late-{odoo.mark}") == 1
    assert made[0] < younger
    stored = odoo.simulator.service.database.store.tables["res.partner"].rows
    assert stored[made[0]]["write_date"] < stored[younger]["write_date"]


def test_a_writer_waits_for_the_row_that_an_open_transaction_holds(odoo: Any) -> None:
    key = odoo.partner()
    _control(odoo, "fault", {"kind": "late_commit", "seconds": 0.5, "method": "write"})
    first = threading.Thread(target=lambda: odoo.ask("res.partner", "write", [key], {"ref": "first"}))
    first.start()
    _until_held(odoo)
    odoo.ask("res.partner", "write", [key], {"city": "second"})
    first.join()
    assert odoo.one("res.partner", key, "ref", "city") == ["first", "second"]


def test_partners_are_merged_without_a_stamp(odoo: Any) -> None:
    winner, loser = odoo.partner(), odoo.partner()
    product = odoo.ask("product.product", "create", {"name": "P"})
    order = odoo.ask("sale.order", "create", {"partner_id": loser, "order_line": [[0, 0, {"product_id": product}]]})
    stamp = odoo.simulator.service.database.store.tables["sale.order"].rows[order]["write_date"]
    _control(odoo, "merge", {"winner": winner, "losers": [loser]})
    assert odoo.one("sale.order", order, "partner_id")[0] == winner
    assert odoo.ask("res.partner", "read", [loser], ["name"]) == []
    assert odoo.simulator.service.database.store.tables["sale.order"].rows[order]["write_date"] == stamp


def test_what_the_control_face_cannot_do_it_says(odoo: Any) -> None:
    for what, told, words in (
        ("fault", {"kind": "nope"}, "There is no fault 'nope'."),
        ("fault", {"kind": "slow", "second": 1}, "A fault has no second."),
        ("nope", {}, "The control face has no POST nope."),
    ):
        answered = odoo.http("POST", f"/_simulator/{what}", json.dumps(told).encode())
        assert answered.status == 400
        assert answered.told["message"].startswith(words)


def test_with_several_databases_one_must_be_named() -> None:
    running = Simulator(service(19, others=("another",)))
    try:
        request = urllib.request.Request(
            f"{running.url}/json/2/res.country/search_count",
            b'{"domain": []}',
            {"Authorization": f"bearer {running.key}", "Content-Type": "application/json"},
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        assert caught.value.code == 404
        caught.value.close()
    finally:
        running.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"version": "16"}, "There is no Odoo 16 here. Use --version 17 or 19."),
        ({"faults": ["slow 2"]}, "'slow 2' is no fault."),
        ({"faults": ["nope=2"]}, "There is no fault 'nope'."),
    ],
)
def test_what_cannot_be_put_up(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        start(**{"port": 0, "version": None, "faults": (), "seed_data": False, **options})


def test_faults_of_the_command_line_are_met() -> None:
    running = start(port=0, version="17", faults=["serialization*2@res.partner/write"], seed_data=True)
    try:
        assert [fault.times for fault in running.service.faults._waiting] == [2]
        assert running.service.database.store.tables["sale.order"].ids == [1]
    finally:
        running.close()


def test_the_command_puts_one_up_until_it_is_told_to_end() -> None:
    if "odoo" not in registry.simulators():
        pytest.skip("the entry points of this checkout are not installed")
    code = "import sys; from erpcrm_bridge.cli import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", code, "simulate", "odoo", "--version", "17", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    ) as running:
        assert running.stdout is not None
        told = json.loads(running.stdout.readline())
        with urllib.request.urlopen(f"{told['url']}/web/health") as answered:
            assert answered.read() == b'{"status": "pass"}'
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=20) == 0
    assert sorted(told) == ["api_key", "database", "login", "password", "url"]
