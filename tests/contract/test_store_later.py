"""Transactions for later, over both engines, and the process in which SQLite carries large ones out. Each was seen red."""

from __future__ import annotations

import marshal
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from erpcrm_bridge.errors import FenceLost, Locked, StoreError
from erpcrm_bridge.store import GoldenRow, HistoryRow, IncomingRow, LinkRow, Store, engines, open_store, writer
from erpcrm_bridge.store.runlock import RunLock
from erpcrm_bridge.store.second import Second


@pytest.fixture(params=["at once", "by a second process"])
def store(request: pytest.FixtureRequest, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(engines, "LATER", 1 if request.param == "by a second process" else 1_000)
    with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def second(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store on SQLite that has each transaction for later carried out by a second process."""
    monkeypatch.setattr(engines, "LATER", 1)
    with open_store(f"sqlite:///{file}", run_lock=True) as opened:
        yield opened


def golden(number: int) -> GoldenRow:
    return GoldenRow(f"G{number:013}", "customer", {"name": f"Company {number}"}, {"*": ["crm", "v1", "R1"]})


def process_of(store: Store) -> subprocess.Popen[bytes]:
    engine: Any = store._db
    assert isinstance(engine._second, Second)
    return engine._second._process


def test_all_that_is_put_in_it_is_there_afterwards(store: Store) -> None:
    stream = store.stream_id("crm", "Account")
    store.put_incoming([IncomingRow(stream, "a", "v1", {"Name": "a"}, 1), IncomingRow(stream, "b", "v1", {"Name": "b"}, 1)])
    with store.transaction(later=True):
        number = store.next_seq()
        store.drop_incoming(stream, ["a"])
        store.set_incoming_state(stream, ["b"], "waiting")
        store.add_golden([golden(1), golden(2)])
        store.add_links([LinkRow("L1", golden(1).id, "customer", stream, "a", base={"Name": "ä", "Paid": True, "Count": 3})])
        store.add_match_keys([(golden(1).id, [7, -(1 << 63)]), (golden(2).id, [7])])
        store.add_match_keys([(golden(2).id, [8])])
        store.drop_match_keys([(golden(2).id, [8])])
        store.add_cross_ids([("003", "L1")])
        store.add_history([HistoryRow(golden(1).id, "R1", "2026-05-01", {"kind": "merge"})])
        store.set_cursor("main", stream, "c1")
    assert store.cursor("main", stream) == "c1"
    assert store.seq() == number == 1
    assert {key: row.state for key, row in store.incoming(stream, ["a", "b"]).items()} == {"b": "waiting"}
    assert set(store.golden([golden(1).id, golden(2).id])) == {golden(1).id, golden(2).id}
    assert store.links(["L1"])["L1"].base == {"Name": "ä", "Paid": True, "Count": 3}
    assert sorted(store.match([7, 8, -(1 << 63)])) == [(-(1 << 63), golden(1).id), (7, golden(1).id), (7, golden(2).id)]
    assert store.carrying(["003"]) == [("003", "L1")]
    assert [row.data for row in store.history(golden(1).id)] == [{"kind": "merge"}]


def test_one_follows_another_and_numbers_grow(store: Store) -> None:
    for number in range(1, 6):
        with store.transaction(later=True):
            assert store.next_seq() == number
            store.add_golden([golden(number)])
    assert store.count_golden() == {"customer": 5}


def test_nothing_is_stored_where_anything_is_raised_inside(store: Store) -> None:
    def broken_off() -> None:
        with store.transaction(later=True):
            store.add_golden([golden(1)])
            store.add_golden([golden(1 // 0)])

    with pytest.raises(ZeroDivisionError):
        broken_off()
    with store.transaction(later=True):
        store.add_golden([golden(2)])
    assert list(store.golden([golden(1).id, golden(2).id])) == [golden(2).id]


def test_what_the_database_refuses_is_raised_at_the_latest_by_the_next_call_and_nothing_of_it_is_stored(store: Store) -> None:
    store.add_golden([golden(2)])

    def doubled() -> None:
        with store.transaction(later=True):
            store.add_golden([golden(1)])
            store.add_golden([golden(2)])
        store.seq()

    with pytest.raises(StoreError, match=r"(?i)unique"):
        doubled()
    assert list(store.golden([golden(1).id, golden(2).id])) == [golden(2).id]
    store.add_golden([golden(1)])


def test_a_lease_that_went_to_another_worker_is_told_and_nothing_is_stored(store: Store) -> None:
    fence = store.lease("main", "one", 60)
    assert fence is not None
    with store.transaction(fence, later=True):
        store.add_golden([golden(1)])
    other = store.lease("main", "two", 60, dead="one")
    assert other is not None

    def too_late() -> None:
        with store.transaction(fence, later=True):
            store.add_golden([golden(2)])
        store.seq()

    with pytest.raises(FenceLost, match="The lease of main went to another worker"):
        too_late()
    assert list(store.golden([golden(1).id, golden(2).id])) == [golden(1).id]


def test_what_is_known_is_not_written_in_it(store: Store) -> None:
    for write in (lambda: store.put_golden([golden(1)]), lambda: store.update_links([LinkRow("L1", "G1", "customer", 1, "a")])):
        with pytest.raises(RuntimeError, match="transaction for later"), store.transaction(later=True):
            write()


def test_what_reads_beside_it_does_not_wait_and_the_rest_does(second: Store, file: Path) -> None:
    stream = second.stream_id("crm", "Account")
    second.put_incoming([IncomingRow(stream, "a", "v1", {}, 1)])
    another = sqlite3.connect(file, isolation_level=None)
    another.execute("BEGIN IMMEDIATE")  # the second process waits for it
    with second.transaction(later=True):
        second.drop_incoming(stream, ["a"])
    assert set(second.incoming(stream, ["a"], beside=True)) == {"a"}
    another.execute("COMMIT")
    another.close()
    assert second.incoming(stream, ["a"]) == {}


def test_a_second_process_that_is_ended_is_told_and_the_next_one_goes_on(second: Store) -> None:
    with second.transaction(later=True):
        second.add_golden([golden(1)])
    assert second.count_golden() == {"customer": 1}
    process = process_of(second)
    process.kill()
    process.wait()

    def into_the_void() -> None:
        with second.transaction(later=True):
            second.add_golden([golden(2)])
        second.seq()

    with pytest.raises(StoreError, match="was ended by signal 9") as raised:
        into_the_void()
    assert "Run again" in raised.value.way_out
    with second.transaction(later=True):
        second.add_golden([golden(3)])
    assert list(second.golden([golden(number).id for number in (1, 2, 3)])) == [golden(1).id, golden(3).id]


def test_where_no_process_can_be_started_the_first_one_stores(second: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    for number in (1, 2):
        with second.transaction(later=True):
            second.add_golden([golden(number)])
    assert second.count_golden() == {"customer": 2}


def test_closing_waits_for_it_and_tells_what_came_of_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LATER", 1)
    for number in (1, 2):
        with open_store(f"sqlite:///{file}") as store, store.transaction(later=True):
            store.add_golden([golden(number)])
    store = open_store(f"sqlite:///{file}")
    with store.transaction(later=True):
        store.add_golden([golden(2)])
    process = process_of(store)
    with pytest.raises(StoreError, match="UNIQUE"):
        store.close()
    assert process.returncode == 0
    with open_store(f"sqlite:///{file}", read_only=True) as store:
        assert store.count_golden() == {"customer": 2}


def test_ends_that_are_meant_for_the_first_process_leave_the_second_at_work(second: Store) -> None:
    for number, stop in enumerate((signal.SIGINT, signal.SIGTERM)):
        with second.transaction(later=True):
            second.add_golden([golden(number)])
        second.seq()
        process_of(second).send_signal(stop)
    with second.transaction(later=True):
        second.add_golden([golden(2)])
    assert second.count_golden() == {"customer": 3}


def _told(file: Path, *frames: Any) -> bytes:
    """Send frames to a writer, end its input, and return what it answered."""
    opening = [f"file:{file}", 5, []]
    data = b"".join(len(some).to_bytes(8, "little") + some for some in (marshal.dumps(frame, 2) for frame in (opening, *frames)))
    done = subprocess.run([sys.executable, "-I", "-S", writer.__file__], input=data, capture_output=True, check=True, timeout=30)
    assert done.stderr == b""
    return done.stdout[8:]


def test_a_transaction_whose_end_did_not_come_is_not_stored(file: Path) -> None:
    sqlite3.connect(file).execute("CREATE TABLE t (a)")
    assert _told(file, ("once", "INSERT INTO t VALUES (1)", ()), ("many", "INSERT INTO t VALUES (?)", [(2,)])) == b""
    assert sqlite3.connect(file).execute("SELECT a FROM t").fetchall() == []
    assert marshal.loads(_told(file, ("many", "INSERT INTO t VALUES (?)", [(3,), (4,)]), None)) is True
    assert sqlite3.connect(file).execute("SELECT a FROM t").fetchall() == [(3,), (4,)]


def test_the_lock_of_a_runner_that_is_no_more_is_waited_for(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "lock")
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = subprocess.Popen(["sleep", "0.8"], pass_fds=[lock.file])
    with pytest.raises(Locked, match=f"pid {os.getpid()}"):
        RunLock(tmp_path / "lock")
    os.pwrite(lock.file, f"pid {gone.pid} since 2026-05-01T07:25:37Z\n".encode(), 0)
    os.close(lock.file)
    start = time.monotonic()
    with RunLock(tmp_path / "lock"):
        assert left.wait() == 0
        assert time.monotonic() - start > 0.1
