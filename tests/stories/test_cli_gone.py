"""What a delete means for the copies of a record, said at the command line."""

from __future__ import annotations

from pathlib import Path

from .cli_world import CliWorld


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
