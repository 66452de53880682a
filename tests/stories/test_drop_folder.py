"""A drop folder in whole runs: a file leaves it when the store holds what it said, and at no other time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from erpcrm_bridge.settings import load
from erpcrm_bridge.store import Store
from erpcrm_bridge.sync.run import run_flow
from erpcrm_bridge.work import at_work
from erpcrm_bridge_csv import CsvConnector

from .cli_world import CONFIG, FLOW, CliWorld, account

DROPPED = CONFIG.replace(
    '{Account.csv: {assigns_keys: {bridge: template, template: "001N{n:04d}"}}}', "{Account.csv: {drop: {folder: ./crm/inbox, rest: 0.2}}}"
).replace("create_in: [crm, erp]", "create_in: [erp]")


class DropWorld(CliWorld):
    """The CRM drops files; the ERP's file is empty."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "config.yaml").write_text(DROPPED)
        self.inbox = folder / "crm" / "inbox"
        self.inbox.mkdir()
        self.write_erp([])
        self.accounts.unlink()

    def drop(self, name: str, *accounts: dict[str, str]) -> None:
        self.write_crm(list(accounts))
        self.accounts.rename(self.inbox / name)
        time.sleep(0.25)

    def names(self) -> list[str]:
        return sorted(row["Company Name"] for row in self.erp().values())

    def archived(self) -> list[str]:
        return sorted(path.name.split(".", 2)[2] for path in self.inbox.glob("archive/*"))


@pytest.fixture
def world(tmp_path: Path) -> DropWorld:
    return DropWorld(tmp_path)


def test_dropped_files_are_taken_in_archived_and_said_once(world: DropWorld) -> None:
    world.drop("monday.csv", account("001A", "Alpha GmbH"), account("001B", "Beta GmbH"))
    world.ok("sync")
    assert (world.names(), world.archived()) == (["Alpha GmbH", "Beta GmbH"], ["monday.csv"])
    world.drop("tuesday.csv", account("001B", "Beta Works GmbH"), account("001C", "Gamma GmbH"))
    world.ok("sync")
    assert world.names() == ["Alpha GmbH", "Beta Works GmbH", "Gamma GmbH"]
    assert world.ok("sync").out == ""
    world.drop("tuesday.csv", account("001B", "Beta Works GmbH"), account("001C", "Gamma GmbH"))
    assert world.ok("sync").out == ""
    assert (world.archived(), list(world.inbox.glob("*.csv"))) == (["monday.csv", "tuesday.csv", "tuesday.csv"], [])
    assert world.ok("verify", "--json").object["equal"] == 6


def test_a_broken_file_is_set_aside_and_told_and_the_others_go_on(world: DropWorld) -> None:
    world.drop("good.csv", account("001A", "Alpha GmbH"))
    (world.inbox / "bad.csv").write_bytes(b"Id,Name\n001B,M\xfcller\n")
    time.sleep(0.25)
    assert world.run("sync").code == 3
    assert (world.names(), world.archived()) == (["Alpha GmbH"], ["good.csv"])
    assert "line 2, byte 15 of the file" in (world.inbox / "broken" / "bad.csv.txt").read_text()
    assert "broken/bad.csv" in world.ok("parked").out


def test_a_bridge_that_dies_before_the_store_has_committed_leaves_the_file_and_one_that_dies_after_takes_it_away(
    world: DropWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.drop("one.csv", account("001A", "Alpha GmbH"))
    settings = load(world.folder / "config.yaml", {})

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    def run_and_die() -> None:
        with pytest.raises(KeyboardInterrupt), at_work(settings, FLOW) as (flow, store, fence):
            run_flow(flow, store, folder=settings.folder, fence=fence)

    set_cursor = Store.set_cursor

    def dies_with_the_cursor_that_stands_behind_the_file(store: Store, flow: str, stream_id: int, cursor: str | None) -> None:
        set_cursor(store, flow, stream_id, cursor)
        if cursor is not None and "one.csv" in cursor:
            raise KeyboardInterrupt

    for verb, end in (("put_incoming", dies), ("set_cursor", dies_with_the_cursor_that_stands_behind_the_file)):
        with monkeypatch.context() as patch:
            patch.setattr(Store, verb, end)
            run_and_die()
        assert ([path.name for path in world.inbox.glob("*.csv")], world.archived()) == (["one.csv"], [])
    with monkeypatch.context() as patch:
        patch.setattr(CsvConnector, "put_away", dies)
        run_and_die()
    assert ([path.name for path in world.inbox.glob("*.csv")], world.archived()) == (["one.csv"], [])
    world.ok("sync")
    assert (world.names(), world.archived()) == (["Alpha GmbH"], ["one.csv"])
