"""Bad input, a full disk, a held lock, Ctrl-C: a clear message, nothing lost, the next run goes on. ``CliWorld.run`` looks for
tracebacks."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from string import ascii_letters, digits

import pytest

from erpcrm_bridge.errors import StoreError
from erpcrm_bridge.settings import load
from erpcrm_bridge.store import open_store
from erpcrm_bridge.sync.run import run_flow
from erpcrm_bridge.work import at_work, exclusively

from .cli_world import CONFIG, FLOW, CliWorld, account, customer


@pytest.fixture
def world(tmp_path: Path) -> CliWorld:
    return CliWorld(tmp_path)


@pytest.fixture
def joined(world: CliWorld) -> CliWorld:
    world.join()
    return world


def names(world: CliWorld) -> list[str]:
    return sorted(row["Company Name"] for row in world.erp().values())


def test_a_held_store_stops_what_writes_and_nothing_that_reads(joined: CliWorld) -> None:
    id = joined.clash()
    with open_store(joined.store_url, run_lock=True):
        for arguments in (
            ["sync"],
            ["plan"],
            ["adopt"],
            ["verify"],
            ["conflicts", "settle", id, "--take", "crm"],
            ["parked", "release", "main"],
        ):
            done = joined.run(*arguments)
            assert done.code == 5, arguments
            assert "pid" in done.err
            assert "Way out:" in done.err
        for arguments in (["status"], ["conflicts"], ["parked"], ["explain", "001A"], ["history"]):
            assert joined.run(*arguments).code == 0, arguments
    joined.ok("conflicts", "settle", id, "--take", "crm")
    joined.ok("sync")


@pytest.mark.postgres
def test_a_run_on_postgresql_stops_what_a_person_decides_of_its_flow(world: CliWorld, postgres_url: str) -> None:
    (world.folder / "config.yaml").write_text(f"{CONFIG}store: {{url: '{postgres_url}'}}\n")
    world.join()
    id = world.clash()
    decisions = [["conflicts", "settle", id, "--take", "crm"], ["parked", "retry", id], ["parked", "gone", id, "keep"]]
    with open_store(postgres_url) as store, exclusively(store, FLOW):
        for arguments in [*decisions, ["parked", "release", FLOW]]:
            done = world.run(*arguments)
            assert done.code == 5, arguments
            assert "Way out:" in done.err
        assert world.run("conflicts", "settle", "P0", "--take", "crm").code == 2
        assert world.ok("conflicts", "--json").object["total"] == 1
    world.ok(*decisions[0])
    world.ok("sync")
    assert world.erp()["1001"]["Phone"] == "+49 30 1111111"


@pytest.mark.postgres
def test_two_flows_that_share_records_never_run_at_once_on_postgresql(world: CliWorld, postgres_url: str) -> None:
    """Each has whole golden records in hand, and would store them without what the other has merged meanwhile."""
    flow = CONFIG[CONFIG.index(f"  {FLOW}:") :]
    other = flow.replace(f"  {FLOW}:", "  others:", 1)
    store_at = f"store: {{url: '{postgres_url}'}}\n"
    (world.folder / "config.yaml").write_text(CONFIG + store_at)
    world.join()
    (world.folder / "config.yaml").write_text(CONFIG + other + store_at)
    with open_store(postgres_url) as store, exclusively(store, "others"):
        done = world.run("sync", FLOW)
        assert (done.code, "Another run of others is at work." in done.err) == (5, True)
    world.ok("sync", FLOW)


def test_a_folder_whose_marker_was_cleaned_away_is_told_by_check_and_gets_its_identity_back(joined: CliWorld) -> None:
    marker = joined.customers.with_name(".erpcrm-bridge.json")
    known = json.loads(marker.read_text())["identity"]
    marker.unlink()
    for arguments in (["check"], ["sync"]):
        done = joined.run(*arguments)
        assert done.code == 1, arguments
        assert f"`identity: {known}`" in done.err, arguments
    config = joined.folder / "config.yaml"
    config.write_text(config.read_text().replace("folder: ./erp", f"folder: ./erp\n      identity: {known}"))
    joined.ok("check")
    joined.edit_crm("001A", Name="Acme Works Ltd")
    joined.ok("sync")
    assert "Acme Works Ltd" in names(joined)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")
@pytest.mark.parametrize("command", [["status"], ["sync"], ["explain", "001A"]])
def test_a_full_disk_of_the_store_is_named(world: CliWorld, command: list[str]) -> None:
    state = world.folder / ".erpcrm-bridge"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", state], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        world.ok("adopt")
        world.ok("apply", "--yes")
        with (state / "rest").open("wb", buffering=0) as rest, suppress(OSError):
            while True:
                rest.write(b"x" * 4096)
        done = world.run(*command)
        assert done.code == 1
        assert str(state) in done.err
        assert "room" in done.err
    finally:
        subprocess.run(["umount", state], check=True)


def test_a_missing_file_is_an_error_and_never_a_deletion(joined: CliWorld) -> None:
    before = joined.customers.read_bytes()
    joined.customers.rename(joined.folder / "aside.csv")
    done = joined.run("sync")
    assert done.code == 1
    assert "customers.csv" in done.err
    assert "Way out:" in done.err
    (joined.folder / "aside.csv").rename(joined.customers)
    assert joined.ok("sync").out == ""
    assert joined.customers.read_bytes() == before
    assert len(joined.crm()) == 3


def test_an_empty_file_beside_the_others_stops_only_who_needs_it(joined: CliWorld) -> None:
    (joined.accounts.parent / "Leftover.csv").write_bytes(b"")
    joined.edit_crm("001A", Name="Acme Works Ltd")
    joined.ok("sync")
    assert "Acme Works Ltd" in names(joined)
    assert "Left out of crm-files: Leftover.csv" in joined.ok("check", FLOW).out
    before = joined.customers.read_bytes()
    joined.customers.write_bytes(b"")
    done = joined.run("sync")
    assert done.code == 1
    assert "customers.csv in" in done.err
    assert "is empty" in done.err
    joined.customers.write_bytes(before)
    joined.ok("sync")
    assert joined.customers.read_bytes() == before


@pytest.mark.parametrize("way", ["cut at the end of a row", "an old file"])
def test_a_brake_trips_although_the_other_system_could_not_be_read(world: CliWorld, way: str) -> None:
    config = world.folder / "config.yaml"
    config.write_text(config.read_text().replace("changed: null", "changed: null, deletes: 20, reverts: 20"))
    world.write_crm([account(f"001{n:02}", f"Firm{n} GmbH", BillingCity="Bonn") for n in range(60)])
    world.write_erp([customer(f"{2000 + n}", f"FIRM{n} GMBH", **{"Billing City": "Bonn"}) for n in range(60)])
    world.join()
    world.ok("sync")
    old = world.accounts.read_bytes()
    world.accounts.write_bytes(old.replace(b"Bonn", b"Ulm"))
    world.ok("sync")
    before, crm = world.customers.read_bytes(), world.accounts.read_bytes()
    world.accounts.write_bytes(old if way == "an old file" else b"\n".join(crm.split(b"\n")[:31]) + b"\n")
    world.customers.write_bytes(before[:-20])
    assert world.run("sync").code == 1
    world.customers.write_bytes(before)
    done = world.run("sync")
    assert (done.code, "The brake of main is on" in done.err) == (4, True)
    assert world.customers.read_bytes() == before


def test_a_wrong_encoding_names_the_file_and_the_line(joined: CliWorld) -> None:
    joined.edit_erp("1002", **{"Company Name": "Bäta GmbH"})
    good = joined.customers.read_bytes()
    joined.customers.write_bytes(good.decode().encode("cp1252"))
    done = joined.run("sync")
    assert done.code == 1
    assert "customers.csv" in done.err
    assert "cp1252" in done.err
    joined.customers.write_bytes(good)
    joined.ok("sync")
    assert joined.crm()["001B"]["Name"] == "Bäta GmbH"


def test_a_file_cut_short_is_an_error_and_never_a_deletion(joined: CliWorld) -> None:
    whole = joined.customers.read_bytes()
    joined.customers.write_bytes(whole[:-40])
    assert joined.run("sync").code == 1
    joined.customers.write_bytes(whole)
    assert joined.ok("sync").out == ""
    assert len(joined.crm()) == 3


def test_a_column_that_is_gone_is_named(joined: CliWorld) -> None:
    whole = joined.customers.read_bytes()
    joined.customers.write_bytes(whole.replace(b"Web Address", b"Homepage", 1))
    done = joined.run("sync")
    assert done.code == 1
    assert "Web Address" in done.err
    joined.customers.write_bytes(whole)
    assert joined.ok("sync").out == ""


def test_a_row_that_cannot_be_read_parks_itself_alone(joined: CliWorld) -> None:
    joined.edit_erp("1001", Phone="+49 30 7654321")
    whole = joined.customers.read_bytes()
    first = whole.splitlines(keepends=True)
    joined.customers.write_bytes(b"".join([first[0], b"1099,,Too,Short\r\n", *first[1:]]))
    assert joined.run("sync").code == 3
    assert joined.crm()["001A"]["Phone"] == "+49 30 7654321"
    assert joined.ok("parked", "--json").object["counts"] == {"row": 1}
    joined.customers.write_bytes(whole)
    joined.ok("sync")


@pytest.mark.parametrize("rows", [1, 2], ids=["alone", "twice"])
@pytest.mark.parametrize("torn", [False, True], ids=["whole", "torn"])
def test_a_key_that_is_too_long_parks_its_row_alone(world: CliWorld, store_url: str, torn: bool, rows: int) -> None:
    (world.folder / "config.yaml").write_text(f"{CONFIG}store: {{url: '{store_url}'}}\n")
    world.join()
    long = "".join(random.Random(1).choices(ascii_letters + digits, k=9_000))
    before = world.accounts.read_text()
    world.write_crm([*world.crm().values(), *[account(long, "Alfa Romeo")] * rows])
    if torn:
        world.accounts.write_text(before + f'"{long}","Torn"\n' * rows)
    world.edit_erp("1001", Phone="+49 30 1111111")
    assert world.run("sync").code == 3
    assert world.crm()["001A"]["Phone"] == "+49 30 1111111"
    parked = world.ok("parked", "--json").object["parked"]
    assert {row["kind"] for row in parked} == {"row"}
    assert all(len(row["reason"]) < 300 for row in parked)
    world.accounts.write_text(before)
    world.ok("sync")
    assert world.ok("parked", "--json").object["total"] == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("apiVersion", "apiVersoin", "config.yaml:1:"),
        ("[csv-savedsearch]", "[csv-savedserch]", "csv-savedsearch"),
        ("connector: csv", "connector: cvs", "cvs"),
        ("crm: crm-files", "crm: crm-flies", "crm-files"),
        ("dialect: savedsearch", "dialect: savedsaerch", "savedsearch"),
    ],
)
def test_a_bad_config_says_where_and_what_would_be_right(world: CliWorld, old: str, new: str, said: str) -> None:
    config = world.folder / "config.yaml"
    config.write_text(config.read_text().replace(old, new))
    done = world.run("sync")
    assert done.code == 1
    assert said in done.err


def test_a_missing_config_names_init(tmp_path: Path) -> None:
    world = CliWorld(tmp_path)
    (world.folder / "config.yaml").unlink()
    done = world.run("status")
    assert done.code == 1
    assert "erpcrm-bridge init" in done.err


@pytest.mark.parametrize("most", [4_096, 65_536, 400_000])
def test_a_full_disk_loses_nothing(joined: CliWorld, most: int) -> None:
    joined.write_crm([*joined.crm().values(), *(account(f"002{n:04d}", f"Company{n} GmbH") for n in range(1500))])
    before = joined.erp()

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = joined.run("sync", before=full)
    assert done.code == 1
    assert "Way out:" in done.err
    there = joined.erp()
    assert {key: there[key] for key in before} == before
    joined.ok("sync")
    assert len(names(joined)) == 1503
    assert len(set(names(joined))) == 1503
    assert joined.ok("sync").out == ""


def test_ctrl_c_in_the_middle_of_a_sync_loses_nothing_and_the_next_run_goes_on(joined: CliWorld) -> None:
    joined.write_crm([*joined.crm().values(), *(account(f"002{n:04d}", f"Company{n} GmbH") for n in range(3000))])
    interrupted = 0
    for wait in (0.0, 0.1, 0.2, 0.4, 0.6):  # the first ones find work to break off, on a fast machine too
        process = joined.start("sync")
        wait_until_running(joined, process.pid)
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        assert process.returncode in (0, 130, -signal.SIGINT)  # the last where it was leaving already
        if process.returncode == 130:
            assert "the next run goes on" in err
            interrupted += 1
    assert interrupted >= 2
    assert joined.run("sync").code == 0
    assert len(names(joined)) == 3003
    assert len(set(names(joined))) == 3003
    assert joined.ok("sync").out == ""
    assert joined.ok("verify", "--json").object["equal"] == 6006


def test_a_first_load_into_an_empty_system_goes_on_after_an_interruption(world: CliWorld) -> None:
    world.write_erp([])
    world.write_crm([account(f"002{n:04d}", f"Company{n} GmbH") for n in range(3000)])

    def interrupted(sentence: str, count: int) -> None:
        if sentence == "join customer":
            raise KeyboardInterrupt

    settings = load(world.folder / "config.yaml", {})
    with pytest.raises(KeyboardInterrupt), at_work(settings, FLOW) as (flow, store, fence):
        run_flow(flow, store, folder=settings.folder, fence=fence, progress=interrupted)
    world.ok("sync")
    assert len(names(world)) == 3000


def wait_until_running(world: CliWorld, pid: int) -> None:
    """Wait until the process holds the runner's lock."""
    lock = Path(world.store_url.removeprefix("sqlite:///") + ".lock")
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if lock.exists() and f"pid {pid} " in lock.read_text():
            return
        time.sleep(0.005)
    raise AssertionError("the sync never began")


def test_a_store_that_is_no_store_is_told_as_such(joined: CliWorld) -> None:
    store = Path(joined.store_url.removeprefix("sqlite:///"))
    for file in store.parent.glob("store.db*"):
        file.unlink()
    store.write_text("this is no database, and it is long enough to be taken for one " * 40)
    done = joined.run("sync")
    assert done.code == 1
    assert "Way out:" in done.err
    with pytest.raises(StoreError):
        open_store(joined.store_url, read_only=True)
