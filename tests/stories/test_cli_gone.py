"""What a delete means for the copies of a record, said at the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .cli_world import CliWorld, account, customer


def test_a_delete_against_an_edit_is_asked_and_answered(tmp_path: Path) -> None:
    world = CliWorld(tmp_path)
    world.join()
    (alpha,) = [key for key, row in world.erp().items() if "Alpha" in row["Company Name"]]
    world.write_crm([row for row in world.crm().values() if "Alpha" not in row["Name"]])
    world.edit_erp(alpha, Phone="+49 30 777")
    assert world.run("sync").code == 3
    (asked,) = world.ok("parked", "list", "--json").object["parked"]
    assert asked["error"] == "deleted"
    assert f"erpcrm-bridge parked gone {asked['id']} keep" in world.at_terminal("parked").out
    assert world.run("parked", "retry", asked["id"]).code == 2
    assert world.run("parked", "gone", asked["id"], "merge").code == 2
    assert "Its copies stay." in world.ok("parked", "gone", asked["id"], "keep").out
    assert world.run("sync").code == 0
    assert alpha in world.erp()


def spoil_a(world: CliWorld, how: str) -> None:
    """Let the row of A in the CRM lose its key, or have it twice."""
    rows = list(world.crm().values())
    (alpha,) = [row for row in rows if row["Id"] == "001A"]
    world.write_crm([row for row in rows if row is not alpha] + ([alpha | {"Id": ""}] if how == "without its key" else [alpha, alpha]))


@pytest.mark.parametrize("how", ["without its key", "twice"])
def test_a_record_that_cannot_be_told_waits_its_neighbours_flow_and_it_gets_what_it_is_owed_when_its_row_is_mended(
    tmp_path: Path, how: str
) -> None:
    world = CliWorld(tmp_path)
    world.join()
    good = world.crm()["001A"]
    spoil_a(world, how)
    world.edit_erp("1001", Phone="+49 30 777")
    assert world.run("sync").code == 3
    if how == "without its key":
        world.write_crm([row | ({"Website": "www.beta.example"} if row["Id"] == "001B" else {}) for row in world.crm().values()])
    assert world.run("sync").code == 3
    if how == "without its key":
        assert world.erp()["1002"]["Web Address"] == "www.beta.example"
    (waits,) = world.ok("parked", "list", "--kind", "missing", "--json").object["parked"]
    assert waits["key"] == "001A"
    assert "Mend the row" in waits["reason"]
    verified = world.run("verify", "--json")
    assert (verified.code, verified.object["untold"]) == (3, [{"connection": "crm-files", "stream": "Account.csv", "key": "001A"}])
    assert len(world.erp()) == 3
    world.write_crm([*(row for row in world.crm().values() if row["Id"] not in ("", "001A")), good])
    assert world.run("sync").code == 0
    assert world.crm()["001A"]["Phone"]
    assert world.ok("parked", "--json").object["total"] == 0
    assert world.run("verify").code == 0


def test_verify_goes_on_where_a_record_cannot_be_told(tmp_path: Path) -> None:
    world = CliWorld(tmp_path)
    world.join()
    spoil_a(world, "twice")
    done = world.run("verify", "--json")
    assert (done.code, done.object["records"], done.object["equal"]) == (3, 5, 5)
    assert [one["key"] for one in done.object["untold"]] == ["001A"]


@pytest.mark.parametrize("by", ["sync", "plan"])
def test_a_key_that_a_restored_folder_gives_a_second_time_is_of_the_new_record_and_no_other(tmp_path: Path, by: str) -> None:
    world = CliWorld(tmp_path)
    world.join()
    before = set(world.erp())
    shutil.copytree(world.folder / "erp", world.folder / "backup")
    world.write_crm([*world.crm().values(), account("001E", "Epsilon GmbH")])
    world.ok("sync")
    world.write_crm([*world.crm().values(), account("001F", "Zeta GmbH")])
    plan = world.ok("plan", "--json").object["file"] if by == "plan" else ""
    shutil.rmtree(world.folder / "erp")
    shutil.copytree(world.folder / "backup", world.folder / "erp")  # with its note of the numbers that were given out
    world.ok("apply", plan, "--yes") if by == "plan" else world.ok("sync")
    world.ok("sync")
    (key,) = world.erp().keys() - before
    assert world.erp()[key]["Company Name"] == "Zeta GmbH"
    assert (world.crm()["001E"]["Name"], world.crm()["001F"]["Name"]) == ("Epsilon GmbH", "Zeta GmbH")
    world.ok("verify")


@pytest.mark.parametrize("who", ["the bridge", "the system"])
def test_a_number_that_is_given_anew_after_a_delete_is_no_return_of_the_deleted_record(tmp_path: Path, who: str) -> None:
    world = CliWorld(tmp_path)
    if who == "the system":
        config = world.folder / "config.yaml"
        config.write_text(config.read_text().replace("customers.csv: {assigns_keys: {bridge: counter}}", "customers.csv: {}"))
    world.write_erp([row for key, row in world.erp().items() if key != "1003"])
    world.join()
    world.write_erp([row for key, row in world.erp().items() if key != "1002"])
    assert world.run("sync").code == 0
    archived = world.crm()["001B"]
    assert archived["Active__c"] == "No"
    world.write_crm([*world.crm().values(), account("001Z", "Zeta GmbH", VAT_Number__c="DE999999999")])
    world.run("sync")
    if who == "the system":
        waiting = (world.folder / "erp" / "customers.new.csv").read_text().splitlines()[1]
        with world.customers.open("a", newline="") as file:
            file.write(f"1002{waiting}\r\n")
        world.run("sync")
    assert world.erp()["1002"]["Company Name"] == "Zeta GmbH"
    assert world.crm()["001B"] == archived
    assert "Zeta GmbH" in world.ok("explain", "erp-files:1002").out
    assert world.run("sync").code == 0
    assert world.crm()["001B"] == archived
    assert len(world.erp()) == 2
    assert world.run("verify").code == 0


@pytest.mark.parametrize("name", ["Sigma AG", "Epsilon GmbH"])
def test_a_number_that_people_give_anew_is_no_return_of_what_the_bridge_had_made_under_it(tmp_path: Path, name: str) -> None:
    """What the bridge makes carries its reference; what comes under the same number without it, somebody has entered."""
    world = CliWorld(tmp_path)
    world.join()
    before = dict(world.erp())
    world.write_crm([*world.crm().values(), account("001E", "Epsilon GmbH", VAT_Number__c="DE555555555")])
    world.ok("sync")
    (key,) = world.erp().keys() - before.keys()
    assert world.erp()[key]["External ID"]
    world.write_erp([*before.values()])  # a backup of the ERP
    world.run("sync")
    tax_id = {"Sigma AG": "DE777777777", "Epsilon GmbH": "DE555555555"}[name]
    world.write_erp([*before.values(), customer(key, name, **{"VAT Registration Number": tax_id})])
    world.run("sync")
    world.run("sync")
    named = [row["Name"] for row in world.crm().values()]
    assert (named.count("Epsilon GmbH"), named.count("Sigma AG")) == (1, int(name == "Sigma AG"))
    assert world.erp()[key]["Company Name"] == name
    assert world.run("sync").code == 0
    assert world.run("verify").code == 0
