"""Who is who, by hand: link, unlink and unmerge, each shown before, told afterwards, and taken back by another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.stories.cli_world import CliWorld
from tests.stories.world import World

from erpcrm_bridge.cli.app import run
from erpcrm_bridge.errors import UsageError
from erpcrm_bridge.sync import binding
from erpcrm_bridge.sync.binding import Deed, place
from erpcrm_bridge.sync.desk import found_new

PAT = "pat"


def by_hand(world: World, act: str, *named: str, **more: Any) -> Deed:
    with world.at_work() as (flow, store, _):
        deed: Deed = getattr(binding, act)(flow, store, *(place(flow, store, one) for one in named), person=PAT, **more)
        return deed


@pytest.fixture
def filled(tmp_path: Path) -> World:
    """Two companies that no rule takes for one, in two filled systems that were joined; each has a person."""
    world = World(tmp_path, joined=False)
    account = world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example", "Phone": "1"})
    customer = world.erp.create("customer", {"companyName": "Acme Holdings International", "mail": "office@acme.example", "credit": 500})
    world.crm.create("Contact", {"Account": account, "Last": "Lee", "Email": "lee@acme.example"})
    world.erp.create("person", {"customer": customer, "last": "Ray", "mail": "ray@acme.example"})
    world.adopt()
    return world


def keys(world: World) -> tuple[str, str]:
    return world.only("crm", "Account")[0], world.only("erp", "customer")[0]


def test_what_stands_on_one_side_each_is_linked_and_merged_by_the_rules_of_an_adoption(filled: World) -> None:
    account, customer = keys(filled)
    deed = by_hand(filled, "link", f"crm:{account}", f"erp:{customer}")
    assert filled.writes_of(lambda: None) == []
    filled.sync_until_quiet()
    assert filled.partner("crm", "Account", account, "erp")[0] == customer
    assert filled.erp_of(account)["companyName"] == "Acme"  # prefer the CRM's
    assert filled.crm_of(customer)["Limit"] == 500  # one side was empty
    (clash,) = filled.parked("clash")  # and this is asked
    assert clash.field == "email"
    assert len([golden for golden in filled.goldens() if golden.state == "live"]) == 1
    story = [row.data for row in filled.store.history(deed.golden_id or "") if row.data["kind"] == "link"]
    assert [(data["person"], data["key"]) for data in story] == [(PAT, f"crm:{account}")]
    filled.assert_quiet()


def test_people_of_either_side_speak_for_the_one_customer_afterwards(filled: World) -> None:
    account, customer = keys(filled)
    deed = by_hand(filled, "link", f"crm:{account}", f"erp:{customer}")
    filled.sync_until_quiet()
    assert {person.fields["customer"] for person in filled.goldens("contact")} == {deed.golden_id}


def test_what_is_only_shown_is_not_done(filled: World) -> None:
    account, customer = keys(filled)
    deed = by_hand(filled, "link", f"crm:{account}", f"erp:{customer}", do=False)
    assert f"crm:{account}" in deed.says[0]
    assert [set(filled.links(golden.id)) for golden in filled.goldens()] == [{"crm"}, {"erp"}]
    assert filled.writes_of(filled.sync) == []


def test_what_was_unlinked_is_neither_bound_nor_created_again_until_a_person_says_what_it_is(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    deed = by_hand(world, "unlink", f"erp:{customer}")
    assert world.writes_of(world.sync) == []
    world.erp.edit("customer", customer, {"companyName": "Acme, put right"})
    world.crm.edit("Account", account, {"Phone": "7"})
    assert world.writes_of(world.sync) == []
    assert (world.crm.get("Account", account) or {})["Name"] == "Acme"
    assert (world.erp.get("customer", customer) or {}).get("tel") is None
    (row,) = world.parked("review")
    assert (row.key, row.error) == (customer, "unlinked")
    with world.at_work() as (flow, store, _):
        found_new(store, flow, row.id, person=PAT)
    world.sync()
    assert world.partner("erp", "customer", customer, "erp")[1]["companyName"] == "Acme, put right"
    assert world.links(deed.golden_id or world.goldens()[0].id).keys() == {"crm"}


def test_an_unlink_is_taken_back_by_a_link_and_no_edit_is_lost(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    golden = world.golden().id
    deed = by_hand(world, "unlink", f"erp:{customer}")
    assert deed.back == f"erpcrm-bridge link erp:{customer} {golden}"
    world.sync()
    world.crm.edit("Account", account, {"Phone": "7"})
    world.sync()
    by_hand(world, "link", f"erp:{customer}", golden)
    world.sync_until_quiet()
    assert world.partner("crm", "Account", account, "erp")[0] == customer
    assert world.erp_of(account)["tel"] == "7"
    assert world.parked("review") == []
    world.assert_quiet()


def test_an_unlinked_alias_is_taken_back_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, create_in={"customer": []})
    account = world.crm.create("Account", {"Name": "Acme"})
    double = world.crm.create("Account", {"Name": "Acme again"})
    world.sync_until_quiet()
    linked = by_hand(world, "link", f"crm:{double}", f"crm:{account}")
    world.sync_until_quiet()
    deed = by_hand(world, "unlink", f"crm:{double}")
    assert deed.back == f"erpcrm-bridge link crm:{double} {linked.golden_id}"
    by_hand(world, "link", f"crm:{double}", linked.golden_id or "")
    assert world.parked("review") == []
    assert world.writes_of(world.sync) == []
    assert {world.golden_of("crm", "Account", key) for key in (account, double)} == {linked.golden_id}
    assert sorted(link.state for link in world.store.links_of([linked.golden_id or ""])[linked.golden_id or ""]) == ["alias", "live"]


def test_the_delete_of_an_unlinked_record_closes_its_question(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    by_hand(world, "unlink", f"erp:{customer}")
    world.sync()
    world.erp.delete("customer", customer)
    world.sync()
    assert world.parked("review") == []
    assert world.crm.get("Account", account) is not None


def test_a_second_record_of_one_system_is_an_alias_and_unmerge_gives_it_its_own_with_what_refers_to_it(tmp_path: Path) -> None:
    world = World(tmp_path, create_in={"customer": ["erp"], "contact": ["erp"]})
    account, customer = world.joined_customer()
    double = world.crm.create("Account", {"Name": "Acme again"})
    world.crm.create("Contact", {"Account": double, "Last": "Lee", "Email": "lee@acme.example"})
    world.sync_until_quiet()
    second = world.partner("crm", "Account", double, "erp")[0]
    by_hand(world, "unlink", f"erp:{second}")
    by_hand(world, "link", f"crm:{double}", f"crm:{account}")
    world.sync_until_quiet()
    first = world.golden_of("crm", "Account", account)
    assert world.golden("contact").fields["customer"] == first
    assert (world.crm.get("Account", double) or {})["Name"] == "Acme again"
    deed = by_hand(world, "unmerge", f"crm:{double}")
    world.sync_until_quiet()
    assert deed.golden_id == world.golden_of("crm", "Account", double) != first
    assert world.golden("contact").fields["customer"] == deed.golden_id
    assert world.partner("crm", "Account", account, "erp")[0] == customer
    apart = world.store.golden([deed.golden_id])[deed.golden_id]
    assert apart.fields["name"] == "Acme again"
    world.assert_quiet()


@pytest.mark.parametrize(
    ("act", "named", "why"),
    [
        ("link", ("crm:{account}", "erp:{customer}"), "already"),
        ("link", ("crm:{account}", "crm:nobody"), "No record that was read has the key"),
        ("link", ("crm:{account}", "crm:{contact}"), "a customer, the other a contact"),
        ("link", ("crm:{other}", "crm:{account}"), "already"),
        ("unlink", ("{golden}",), "is a golden record"),
        ("unmerge", ("crm:nobody",), "No record that was read has the key"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(tmp_path: Path, act: str, named: tuple[str, ...], why: str) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    contact = world.crm.create("Contact", {"Account": account, "Last": "Lee"})
    other = world.crm.create("Account", {"Name": "Bolt"})
    world.sync_until_quiet()
    golden = world.golden_of("crm", "Account", account)
    said = {"account": account, "customer": customer, "contact": contact, "other": other, "golden": golden}
    before = world.store.histories([one.id for one in world.goldens()])
    with pytest.raises(UsageError, match=why):
        by_hand(world, act, *(one.format(**said) for one in named))
    assert world.store.histories([one.id for one in world.goldens()]) == before
    world.assert_quiet()


# --- the commands --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def cli(tmp_path: Path) -> CliWorld:
    world = CliWorld(tmp_path)
    world.run("adopt")
    world.run("apply", "--yes")
    world.run("sync")
    return world


def test_link_shows_asks_does_and_is_explained(cli: CliWorld) -> None:
    shown = cli.run("link", "crm-files:001C", "erp-files:1003", "--plan")
    assert (shown.code, shown.out.splitlines()[0].startswith("crm-files:001C is customer G")) == (0, True)
    unasked = cli.run("link", "001C", "1003")
    assert unasked.code == 2
    assert "--yes" in unasked.err
    done = cli.run("link", "001C", "1003", "--yes", "--json")
    assert (done.code, done.object["done"], done.object["record"]) == (0, True, "crm-files:001C")
    assert done.object["back"] == "erpcrm-bridge unlink crm-files:001C"
    cli.run("sync")
    told = cli.run("explain", "001C").out
    assert "linked crm-files:001C" in told
    assert "1003" in told


def test_unlink_and_unmerge_end_with_their_codes(cli: CliWorld) -> None:
    assert cli.run("unlink", "001C", "--yes").code == 2  # it stands alone
    assert cli.run("unlink", "001A", "--yes").code == 0
    assert cli.run("sync").code == 3  # a person is waited for
    listed = json.loads(cli.run("parked", "list", "--json").out)
    assert [(row["key"], row["error"]) for row in listed["parked"]] == [("001A", "unlinked")]
    assert cli.run("unmerge", "001B", "--yes").code == 0
    assert cli.run("sync").code == 3
    assert "separated crm-files:001B" in cli.run("explain", "001B").out
    assert cli.run("unlink", "9999", "--yes").code == 2


# --- our ids, written back ----------------------------------------------------------------------------------------------------------


def ids(cli: CliWorld) -> dict[str, str]:
    return {key: row["Bridge_Id__c"] for key, row in cli.crm().items()} | {key: row["External ID"] for key, row in cli.erp().items()}


def golden_of(cli: CliWorld, key: str) -> str:
    golden: str = cli.run("explain", key, "--json").object["golden_id"]
    return golden


def test_our_ids_are_planned_then_written_so_many_at_a_time_and_what_others_filled_is_left_alone(cli: CliWorld) -> None:
    cli.edit_crm("001C", Bridge_Id__c="SAP-7")
    cli.run("sync")
    before = ids(cli)
    shown = cli.run("ids", "--json")
    assert (shown.code, shown.object["owed"], shown.object["written"]) == (0, 5, 0)
    assert ids(cli) == before
    part = cli.run("ids", "--limit", "2", "--yes", "--json")
    assert (part.object["written"], part.object["owed"]) == (2, 3)
    rest = cli.run("ids", "--yes", "--json")
    assert (rest.object["written"], rest.object["owed"]) == (3, 0)
    held = ids(cli)
    assert held.pop("001C") == "SAP-7"
    assert held == {key: golden_of(cli, key) for key in held}
    quiet = cli.run("sync", "--json")
    assert (quiet.code, quiet.object["written"]) == (0, {})


def test_an_id_that_somebody_fills_meanwhile_is_not_overwritten(cli: CliWorld) -> None:
    cli.run("ids")
    cli.edit_crm("001A", Bridge_Id__c="SAP-1")
    cli.run("ids", "--yes")
    assert ids(cli)["001A"] == "SAP-1"


def test_ids_wait_for_the_adoption_to_be_applied(tmp_path: Path) -> None:
    cli = CliWorld(tmp_path)
    cli.run("adopt")
    done = cli.run("ids", "--yes")
    assert done.code != 0
    assert "not applied yet" in done.err
    assert set(ids(cli).values()) == {""}


def test_ids_are_written_so_many_a_minute(cli: CliWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    written: list[int] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        written.append(sum(1 for held in ids(cli).values() if held))

    monkeypatch.setattr("erpcrm_bridge.cli.ids.time.sleep", sleep)
    assert run(["--config", str(cli.folder / "config.yaml"), "ids", "--per-minute", "2", "--yes"], for_people=False) == 0
    assert written == [2, 4]
    assert all(0 < seconds <= 60 for seconds in slept)
    assert all(ids(cli).values())
