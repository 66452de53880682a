"""`undo` as a person and a script meet it, over a small pair of CSV folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from .cli_world import CliWorld, account


@pytest.fixture
def world(tmp_path: Path) -> CliWorld:
    found = CliWorld(tmp_path)
    found.join()
    return found


def renamed(world: CliWorld) -> str:
    """Rename A in the CRM and sync; return the run."""
    world.edit_crm("001A", Name="Omega GmbH")
    assert world.run("sync").code == 0
    assert world.erp()["1001"]["Company Name"] == "Omega GmbH"
    run: str = world.ok("history", "--json").object["runs"][0]["id"]
    return run


def test_undo_shows_its_plan_and_apply_does_it(world: CliWorld) -> None:
    run = renamed(world)
    before = world.accounts.read_bytes(), world.customers.read_bytes()
    plan = world.ok("undo", run)
    assert "golden customer: 1 restore" in plan.out
    assert "Company Name: Omega GmbH → Alpha GmbH" in plan.out
    assert "erp-files customers.csv: 1 update" in plan.out
    assert (world.accounts.read_bytes(), world.customers.read_bytes()) == before
    (command,) = [line.removeprefix("Next: erpcrm-bridge ") for line in world.at_terminal("undo", run).out.splitlines() if "apply" in line]
    done = world.run(*command.split(), "--yes")
    assert done.code == 3
    assert f"to undo {run}" in done.out
    assert "Golden records: 1 set back." in done.out
    assert world.erp()["1001"]["Company Name"] == "Alpha GmbH"
    assert world.crm()["001A"]["Name"] == "Omega GmbH"


def test_an_undone_run_stays_undone_and_a_person_settles_it(world: CliWorld) -> None:
    run = renamed(world)
    told = world.run("undo", run, "--yes", "--json")
    assert told.code == 3
    assert told.object["report"]["written"] == {"erp-files": {"update": 1}}
    before = world.accounts.read_bytes(), world.customers.read_bytes()
    for _ in range(3):
        assert world.run("sync").code == 3
    assert (world.accounts.read_bytes(), world.customers.read_bytes()) == before
    seen = world.run("verify")
    assert (seen.code, "name\tin clash\t1" in seen.out) == (3, True)
    assert f"{run} was undone: name" in world.ok("history", "crm-files:001A").out
    assert f"undo:{run} said Alpha GmbH" in world.ok("explain", "crm-files:001A", "name").out
    clash = world.ok("conflicts", "--json").object["clashes"][0]["id"]
    world.ok("conflicts", "settle", clash, "--take", "undo")
    assert world.run("sync").code == 0
    assert world.crm()["001A"]["Name"] == "Alpha GmbH"
    assert "The systems are equal." in world.ok("verify").out


def test_undoing_twice_or_nothing_is_said_and_is_no_failure(world: CliWorld) -> None:
    run = renamed(world)
    world.run("undo", run, "--yes")
    assert f"{run} was undone already, by R" in world.ok("undo", run, "--yes").out
    world.run("sync")
    idle = world.ok("history", "--json").object["runs"][0]["id"]
    assert f"{idle} wrote nothing: there is nothing to undo." in world.ok("undo", idle).out


def test_an_edit_made_since_is_listed_and_stays(world: CliWorld) -> None:
    run = renamed(world)
    world.edit_erp("1001", **{"Company Name": "Sigma GmbH"})
    told = world.ok("undo", run, "--json").object
    assert [(one["connection"], one["fields"]) for one in told["stays"]] == [("", ["name"]), ("erp-files", ["Company Name"])]
    assert told["steps"] == 0
    assert "What stays as it is" in world.ok("undo", run).out
    assert world.erp()["1001"]["Company Name"] == "Sigma GmbH"


def test_a_run_that_is_not_there_is_wrong_usage(world: CliWorld) -> None:
    done = world.run("undo", "R0")
    assert done.code == 2
    assert "erpcrm-bridge history" in done.err


def test_what_a_run_created_is_archived(world: CliWorld) -> None:
    world.write_crm([*world.crm().values(), account("001D", "Epsilon GmbH")])
    world.run("sync")
    run = world.ok("history", "--json").object["runs"][0]["id"]
    (made,) = [row for row in world.erp().values() if row["Company Name"] == "Epsilon GmbH"]
    assert made["Inactive"] == "No"
    assert world.run("undo", run, "--yes").code == 3
    assert world.erp()[made["Internal ID"]] == {**made, "Inactive": "Yes"}
    assert world.crm()["001D"]["Active__c"] == "Yes"
