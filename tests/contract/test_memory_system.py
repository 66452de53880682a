"""The memory system: its faults strike as asked, its people act beside the bridge, and its server survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from erpcrm_bridge.connector import Applied, Budget, Field, ListWrite, Outcome, Question, Rejected, Stale, Unknown, Write
from erpcrm_bridge.errors import (
    AuthError,
    ConfigError,
    CursorExpired,
    PermissionDenied,
    QuotaExhausted,
    SchemaDrift,
    TransientError,
    UsageError,
)
from erpcrm_bridge.model.values import pack, unpack
from erpcrm_bridge.registry import factory
from erpcrm_bridge.testing.bench import MemoryBench
from erpcrm_bridge.testing.memory import MemoryConnector
from erpcrm_bridge.testing.server import HttpMemoryConnector, MemoryServer, write_state
from erpcrm_bridge.testing.system import MemorySystem, Moved, Refused, Rights, StreamSpec

SELECTION = MemoryBench.selection


def _bench(**able: Any) -> tuple[MemoryBench, MemorySystem, MemoryConnector]:
    bench = MemoryBench(**MemoryBench.options(**able))
    return bench, bench.system, MemoryConnector(bench.system, page_size=3)


def _update(connector: MemoryConnector, key: str, ref: str = "w", **fields: Any) -> Write:
    (record,) = connector.read(SELECTION, [key])
    return Write(ref, "update", key, fields, version=record.version, expect={name: record.fields[name] for name in fields})


def _only(outcomes: list[Outcome]) -> Outcome:
    (outcome,) = outcomes
    return outcome


# -- faults -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refused", TransientError),
        ("throttled", TransientError),
        ("quota", QuotaExhausted),
        ("unauthorized", AuthError),
        ("forbidden", PermissionDenied),
        ("expired", CursorExpired),
    ],
)
def test_a_call_refused_beforehand_raises_and_did_nothing(kind: Any, error: type[Exception]) -> None:
    bench, system, connector = _bench()
    system.faults.add("write", kind)
    with pytest.raises(error):
        connector.write(SELECTION, [Write("w", "create", None, bench.another(1), reference="G1")])
    assert system.all("Order") == {}
    assert system.faults.struck == [("write", kind)]


def test_a_lost_answer_is_of_work_that_was_done() -> None:
    bench, system, connector = _bench()
    system.faults.add("write", "answer_lost")
    assert isinstance(_only(connector.write(SELECTION, [Write("w", "create", None, bench.another(1), reference="G1")])), Unknown)
    (held,) = system.all("Order").values()
    assert held["Ref"] == "G1"


def test_a_partial_batch_is_done_as_far_as_asked_and_unknown_as_a_whole() -> None:
    bench, system, connector = _bench()
    system.faults.add("write", "partial", done=2)
    writes = [Write(f"w{n}", "create", None, bench.another(n), reference=f"G{n}") for n in range(4)]
    assert [type(outcome) for outcome in connector.write(SELECTION, writes)] == [Unknown] * 4
    assert sorted(held["Ref"] for held in system.all("Order").values()) == ["G0", "G1"]


def test_a_fault_strikes_at_its_call_and_as_often_as_asked() -> None:
    _, system, connector = _bench()
    system.faults.add("find", "refused", nth=2, times=2)
    question = [Question("q", {"Name": "x"})]
    connector.find(SELECTION, question)
    for _ in range(2):
        with pytest.raises(TransientError):
            connector.find(SELECTION, question)
    connector.find(SELECTION, question)
    system.faults.add("find", "refused", times=None)
    system.faults.clear()
    connector.find(SELECTION, question)


def test_without_conditional_writes_an_edit_in_the_window_is_overwritten_and_one_before_it_is_not() -> None:
    bench, system, connector = _bench(conditional=False)
    key = bench.create(bench.samples[0])
    write = _update(connector, key, Note="ours")
    system.faults.add("read", "before", act=lambda: system.edit("Order", key, {"Note": "before the re-read"}))
    assert connector.write(SELECTION, [write]) == [Stale("w")]
    assert bench.system.get("Order", key)["Note"] == "before the re-read"  # type: ignore[index]  # it is there
    write = _update(connector, key, Note="ours")
    system.faults.add("write", "before", act=lambda: system.edit("Order", key, {"Note": "in the window"}))
    assert isinstance(_only(connector.write(SELECTION, [write])), Applied)
    assert bench.system.get("Order", key)["Note"] == "ours"  # type: ignore[index]  # it is there
    assert [event.actor for event in system.log][-2:] == ["person", "bridge"]


def test_an_edit_between_write_and_read_back_is_told_with_the_outcome() -> None:
    bench, system, connector = _bench()
    key = bench.create(bench.samples[0])
    write = _update(connector, key, Note="ours")
    system.faults.add("write", "after", act=lambda: system.edit("Order", key, {"Count": 99}))
    outcome = _only(connector.write(SELECTION, [write]))
    assert isinstance(outcome, Applied)
    assert (outcome.fields["Note"], outcome.fields["Count"]) == ("ours", 99)


def test_a_stale_read_back_is_read_again_and_else_unknown() -> None:
    bench, system, connector = _bench()
    key = bench.create(bench.samples[0])
    write = _update(connector, key, Note="first")
    system.faults.add("read", "stale")
    outcome = _only(connector.write(SELECTION, [write]))
    assert isinstance(outcome, Applied)
    assert outcome.fields["Note"] == "first"
    write = _update(connector, key, Note="second")
    system.faults.add("read", "stale", times=None)
    assert isinstance(_only(connector.write(SELECTION, [write])), Unknown)


def test_a_stale_read_tells_the_state_before_the_last_change() -> None:
    bench, system, connector = _bench()
    key = bench.create({**bench.another(1), "Note": "old"})
    bench.edit(key, {"Note": "new"})
    system.faults.add("read", "stale")
    assert [record.fields["Note"] for _ in range(2) for record in connector.read(SELECTION, [key])] == ["old", "new"]


def test_what_was_written_and_deleted_before_the_read_back_is_unknown() -> None:
    bench, system, connector = _bench()
    key = bench.create(bench.samples[0])
    write = _update(connector, key, Note="ours")
    system.faults.add("write", "after", act=lambda: system.delete("Order", key))
    assert isinstance(_only(connector.write(SELECTION, [write])), Unknown)


@pytest.mark.parametrize("able", [{}, {"conditional": False, "incremental": "full", "reports_deletes": False}], ids=["log", "full"])
def test_a_page_that_comes_twice_leaves_nothing_out(able: dict[str, Any]) -> None:
    bench, system, connector = _bench(**able)
    keys = {bench.create(bench.another(number)) for number in range(8)}
    system.faults.add("changes", "page_twice", nth=2)
    system.faults.add("scan", "page_twice", nth=2)
    pages = list(connector.read_changes(SELECTION, None))
    assert pages[0].changes == pages[1].changes
    assert {change.key for page in pages for change in page.changes} == keys


def test_cursors_from_before_the_logs_beginning_expire_and_a_full_read_gives_a_good_one() -> None:
    bench, system, connector = _bench()
    bench.create(bench.samples[0])
    cursor = list(connector.read_changes(SELECTION, None))[-1].cursor
    system.expire_cursors("Order")
    with pytest.raises(CursorExpired):
        list(connector.read_changes(SELECTION, cursor))
    again = list(connector.read_changes(SELECTION, None))[-1].cursor
    assert [change for page in connector.read_changes(SELECTION, again) for change in page.changes] == []


def test_more_records_with_one_stamp_than_fit_a_page_are_all_read_though_edited_between_the_pages() -> None:
    now = [1000.0]
    bench = MemoryBench(**MemoryBench.options(resolution=60.0), clock=lambda: now[0])
    connector = MemoryConnector(bench.system, page_size=3)
    keys = [bench.create(bench.another(number)) for number in range(8)]
    reading = connector.read_changes(SELECTION, None)
    first = next(reading)
    bench.edit(first.changes[0].key, {"Note": "under the same stamp, behind the reader"})
    now[0] += 60
    for key in keys[-5:]:
        bench.edit(key, {"Note": "under the next stamp"})
    pages = [first, *reading]
    assert {change.key for page in pages for change in page.changes} == set(keys)
    for page in pages:
        later = {c.key: c.record for after in connector.read_changes(SELECTION, page.cursor) for c in after.changes}
        edited = later[first.changes[0].key]
        assert edited is not None
        assert edited.fields["Note"] == "under the same stamp, behind the reader"


# -- what the system does -----------------------------------------------------------------------------------------------------------


def test_a_quiet_log_delivers_nothing() -> None:
    bench, _, connector = _bench()
    bench.create(bench.samples[0])
    cursor = list(connector.read_changes(SELECTION, None))[-1].cursor
    (page,) = connector.read_changes(SELECTION, cursor)
    assert (page.changes, page.cursor, page.complete) == ([], cursor, False)


def test_normalisers_and_triggers_are_applied_at_each_save() -> None:
    spec = StreamSpec(
        "Account",
        {"Name": Field("Name", length=5), "Phone": Field("Phone"), "Rate": Field("Rate", type="number", scale=2), "Mail": Field("Mail")},
        normalisers={"Name": ("trim", "cut:5"), "Phone": ("phone",), "Rate": ("round:2",), "Mail": ("blank",)},
    )
    system = MemorySystem([spec])
    key = system.create("Account", {"Name": "  Acme Corp", "Phone": "+49 (30) 12-34", "Rate": Decimal("1.005"), "Mail": ""})
    assert system.get("Account", key) == {
        "Id": key,
        "Ref": None,
        "Name": "Acme ",
        "Phone": "+49301234",
        "Rate": Decimal("1.01"),
        "Mail": None,
    }


def test_a_refused_document_leaves_no_row_behind() -> None:
    bench, system, _ = _bench()
    with pytest.raises(Refused) as refused:
        system.create("Order", bench.another(1), {"OrderItem": [{"Sku": "A"}, {"Quantity": 3}]})
    assert (refused.value.reject, refused.value.field) == ("field", "Sku")
    assert system.all("Order") == {}
    assert system.all("OrderItem") == {}
    key = system.create("Order", bench.another(1), {"OrderItem": [{"Sku": "A"}], "fees": [{"What": "port"}]})
    before = system.get("Order", key)
    with pytest.raises(Refused):
        system.edit("Order", key, {"Note": "new"}, {"fees": ListWrite(add={"x": {"What": "tax"}}), "OrderItem": ListWrite(add={"y": {}})})
    assert system.get("Order", key) == before


def test_a_row_that_is_added_again_under_its_line_id_is_the_same_row() -> None:
    bench, system, connector = _bench()
    key = bench.create(bench.another(1))
    for quantity in (1, 2):
        rows = {"L1": {"Sku": "A", "Quantity": quantity}}
        lists = {"OrderItem": ListWrite(add=rows), "fees": ListWrite(add={"L1": {"What": "port", "Fee": quantity}})}
        assert isinstance(_only(connector.write(SELECTION, [Write("w", "update", key, {}, lists=lists)])), Applied)
    held = system.get("Order", key)
    assert held is not None
    assert [row["Quantity"] for row in held["OrderItem"]] == [2]
    assert [row["Fee"] for row in held["fees"]] == [2]


def test_a_reference_must_point_at_a_record_and_a_unique_value_is_held_once() -> None:
    bench, system, connector = _bench()
    key = bench.create({**bench.another(1), "Ref": "G1"})
    with pytest.raises(Refused) as dangling:
        system.create("OrderItem", {"OrderId": "nobody", "Sku": "A"})
    assert dangling.value.reject == "reference"
    other = bench.create(bench.another(2))
    outcome = _only(connector.write(SELECTION, [_update(connector, other, Ref="G1")]))
    assert isinstance(outcome, Rejected)
    assert (outcome.reject, outcome.existing) == ("duplicate", key)


def test_a_merge_moves_references_over_and_a_restore_brings_the_rows_back() -> None:
    bench, system, _ = _bench()
    loser, winner = bench.create(bench.another(1)), bench.create(bench.another(2))
    line = system.create("OrderItem", {"OrderId": loser, "Sku": "A"})
    system.merge("Order", loser, winner)
    assert system.get("OrderItem", line)["OrderId"] == winner  # type: ignore[index]  # it is there
    system.delete("Order", winner)
    assert system.get("OrderItem", line) is None
    system.restore("Order", winner)
    assert [row["Id"] for row in system.get("Order", winner)["OrderItem"]] == [line]  # type: ignore[index]  # it is there
    with pytest.raises(Moved):
        system.edit("Order", loser, {"Note": "x"})


def test_a_record_is_not_restored_beside_another_that_holds_its_unique_value() -> None:
    bench, system, _ = _bench()
    key = bench.create({**bench.another(1), "Ref": "G1"})
    bench.delete(key)
    bench.create({**bench.another(2), "Ref": "G1"})
    with pytest.raises(Refused):
        system.restore("Order", key)


def test_rights_decide_what_a_credential_sees() -> None:
    bench, system, connector = _bench()
    key, hidden = bench.create(bench.another(1)), bench.create(bench.another(2))
    system.rights["bridge"] = Rights(hidden_records={"Order": (hidden,)})
    with pytest.raises(PermissionDenied) as denied:
        connector.read(SELECTION, [key, hidden])
    assert denied.value.keys == (hidden,)
    server = MemoryServer(system)
    far = HttpMemoryConnector(server.url)
    with pytest.raises(PermissionDenied) as told:
        far.read(SELECTION, [key, hidden])
    assert told.value.keys == (hidden,)
    far.close()
    server.close()
    assert [record.key for record in connector.read(SELECTION, [key])] == [key]
    _, silent, other = _bench(tells_gone=False)
    unseen = silent.create("Order", bench.another(1))
    silent.rights["bridge"] = Rights(hidden_records={"Order": (unseen,)})
    assert other.read(SELECTION, [unseen]) == []
    system.rights["bridge"] = Rights(write=False)
    assert not connector.describe().streams["Order"].capabilities.create
    system.rights.clear()
    with pytest.raises(AuthError):
        connector.describe()


def test_nothing_that_was_handed_out_is_shared() -> None:
    bench, system, connector = _bench()
    key = system.create("Order", bench.another(1), {"fees": [{"What": "port", "Fee": 1}]})
    (record,) = connector.read(SELECTION, [key])
    record.fields["fees"][0]["Fee"] = 2
    system.get("Order", key)["fees"].clear()  # type: ignore[index]  # it is there
    assert connector.read(SELECTION, [key])[0].fields["fees"][0]["Fee"] == 1


def test_the_budget_is_kept() -> None:
    _, system, _ = _bench()
    budget = Budget(calls=2)
    connector = MemoryConnector(system, budget=budget)
    connector.describe()
    connector.read(SELECTION, ["x"])
    with pytest.raises(QuotaExhausted):
        connector.read(SELECTION, ["x"])
    assert budget.spent == 2


def test_what_is_not_there_is_said_by_its_name() -> None:
    _, system, connector = _bench()
    from msgspec.structs import replace

    with pytest.raises(SchemaDrift, match="Nothing"):
        list(connector.read_changes(replace(SELECTION, stream="Nothing"), None))
    with pytest.raises(SchemaDrift, match="Colour"):
        connector.read(replace(SELECTION, fields=("Colour",)), ["x"])
    with pytest.raises(UsageError):
        system.get("Nothing", "x")


def test_a_dumped_system_goes_on_as_it_was() -> None:
    bench, system, connector = _bench()
    key = system.create("Order", bench.samples[1], {"OrderItem": [{"Sku": "A", "Quantity": Decimal("1.50")}]})
    gone = bench.create(bench.another(2))
    bench.delete(gone)
    cursor = list(connector.read_changes(SELECTION, None))[-1].cursor
    again = MemorySystem.load(system.dump())
    assert again.all("Order") == system.all("Order")
    assert again.log == system.log
    again.restore("Order", gone)
    new = again.create("Order", bench.another(3))
    assert new not in (key, gone)
    reader = MemoryConnector(again)
    assert {change.key for page in reader.read_changes(SELECTION, cursor) for change in page.changes} == {gone, new}


# -- the server ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[MemoryServer]:
    bench = MemoryBench()
    running = MemoryServer(bench.system)
    yield running
    running.close()


@pytest.fixture
def http(server: MemoryServer) -> Iterator[HttpMemoryConnector]:
    connector = HttpMemoryConnector(server.url, timeout=5.0)
    yield connector
    connector.close()


def _post(server_url: str, path: str, body: Any) -> httpx.Response:
    return httpx.post(server_url + path, content=pack(body), trust_env=False)


def test_faults_and_people_can_be_ordered_over_http(server: MemoryServer, http: HttpMemoryConnector) -> None:
    made = _post(server.url, "/people/create", {"stream": "Order", "fields": {"Name": "Acme", "Amount": Decimal("5900.00")}})
    key = unpack(made.content)
    write = _update(http, key, Note="ours")
    act = {"name": "edit", "args": {"stream": "Order", "key": key, "fields": {"Note": "theirs"}}}
    _post(server.url, "/_faults", {"verb": "write", "kind": "before", "act": act})
    assert http.write(SELECTION, [write]) == [Stale("w")]
    _post(server.url, "/_faults", {"verb": "write", "kind": "answer_lost"})
    assert isinstance(_only(http.write(SELECTION, [_update(http, key, Note="ours")])), Unknown)
    assert unpack(_post(server.url, "/people/get", {"stream": "Order", "key": key}).content)["Note"] == "ours"
    log = unpack(httpx.get(server.url + "/_log", trust_env=False).content)
    assert [(event["actor"], event["verb"]) for event in log] == [("person", "create"), ("person", "edit"), ("bridge", "edit")]


def test_a_refusal_of_the_server_is_no_break_down(server: MemoryServer) -> None:
    assert _post(server.url, "/people/create", {"stream": "Order", "fields": {}}).status_code == 422
    assert _post(server.url, "/people/edit", {"stream": "Order", "key": "no", "fields": {}}).status_code == 409
    assert _post(server.url, "/people/dance", {}).status_code == 400
    with pytest.raises(UsageError):
        server.system.serve("bridge", "dance", {"stream": "Order"})
    assert httpx.post(server.url + "/call/read", content=b"{", trust_env=False).status_code == 400
    assert httpx.get(server.url + "/nowhere", trust_env=False).status_code == 400


def test_an_error_of_the_system_comes_through_as_itself(server: MemoryServer, http: HttpMemoryConnector) -> None:
    server.system.faults.add("describe", "throttled")
    with pytest.raises(TransientError) as throttled:
        http.describe()
    assert throttled.value.retry_after == 1.0
    stranger = HttpMemoryConnector(server.url, token="nobody")
    with pytest.raises(AuthError):
        stranger.describe()
    stranger.close()


def test_a_server_that_is_not_there_is_transient_and_no_address_is_a_config_error() -> None:
    connector = HttpMemoryConnector("http://127.0.0.1:9", timeout=1.0)
    with pytest.raises(TransientError):
        connector.describe()
    connector.close()
    nonsense = HttpMemoryConnector("nowhere", timeout=1.0)
    with pytest.raises(ConfigError):
        nonsense.describe()
    nonsense.close()


def test_without_httpx_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ConfigError) as missing:
        HttpMemoryConnector("http://127.0.0.1:9")
    assert "pip install" in missing.value.way_out


def test_a_description_is_the_same_over_http() -> None:
    bench = MemoryBench(**MemoryBench.options(version_order=60.0, resolution=60.0))
    running = MemoryServer(bench.system)
    connector = HttpMemoryConnector(running.url)
    assert connector.describe() == MemoryConnector(bench.system).describe()
    connector.close()
    running.close()


def test_the_factory_opens_a_connection_by_its_settings(server: MemoryServer) -> None:
    made = factory("memory")
    settings = made.settings.model_validate({"url": server.url, "token": "bridge"})
    assert "bridge" not in repr(settings).replace("erpcrm_bridge", "")
    connector = made.open(settings, budget=Budget(), codes={"currency": {"1": "EUR"}})
    assert connector.describe().codes == {"currency": {"1": "EUR"}}
    connector.close()


def _serve(file: Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "erpcrm_bridge.testing.server", "--port", "0", "--file", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def _kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_killed_server_starts_again_with_all_that_was_done(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    bench = MemoryBench()
    write_state(file, bench.system)
    process, url = _serve(file)
    try:
        connector = HttpMemoryConnector(url)
        _post(url, "/_faults", {"verb": "write", "kind": "answer_lost"})
        assert isinstance(_only(connector.write(SELECTION, [Write("w", "create", None, bench.another(1), reference="G1")])), Unknown)
        connector.close()
    finally:
        _kill(process)
    process, url = _serve(file)
    try:
        connector = HttpMemoryConnector(url)
        assert len(connector.find(SELECTION, [Question("q", {"Ref": "G1"})])["q"].keys) == 1
        connector.close()
    finally:
        _kill(process)


def test_a_state_file_that_holds_no_system_is_refused_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text("{}")
    command = [sys.executable, "-m", "erpcrm_bridge.testing.server", "--file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr
