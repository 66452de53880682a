"""Undoing a run: what it wrote is set back and frozen, and no fight begins."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import pytest

from erpcrm_bridge.errors import BrakeTripped, UsageError
from erpcrm_bridge.store import HistoryRow
from erpcrm_bridge.sync.desk import found_new, settle_clash
from erpcrm_bridge.sync.merge import Clash
from erpcrm_bridge.sync.plan import read_steps
from erpcrm_bridge.sync.run import Report, undo_run

from .world import Died, World, row_write, says


class Make(Protocol):
    def __call__(self, **more: object) -> World: ...


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    worlds: list[World] = []

    def world(**more: object) -> World:
        folder = tmp_path / str(len(worlds))
        folder.mkdir()
        worlds.append(World(folder, **more))  # type: ignore[arg-type] # passed through as the story wrote it
        return worlds[-1]

    yield world
    for one in worlds:
        one.close()


def undoing(world: World, run: str) -> Report:
    """Plan the undoing of a run."""
    with world.at_work() as (flow, store, fence):
        return undo_run(flow, store, run, folder=world.folder, fence=fence, clock=world.clock)


def undo(world: World, run: str) -> Report:
    return world.apply(undoing(world, run))


def changed_email(world: World, **customer: object) -> tuple[str, str, Report]:
    """Make a joined customer, change its e-mail in the CRM, and sync; return its keys and the run."""
    account, key = world.joined_customer(**customer)
    world.crm.edit("Account", account, {"Email": "new@acme.example"})
    return account, key, world.sync()


def candidates(world: World, field: str) -> dict[str, list[object]]:
    (row,) = [row for row in world.parked("clash") if row.field == field]
    return {candidate["by"]: candidate["values"] for candidate in row.data["candidates"]}


def freezes(report: Report) -> list[Clash]:
    """Return the clashes that a plan of undoing is to leave or to end."""
    assert report.plan is not None
    return [clash for step in read_steps(Path(report.plan)) for clash in step.freezes]


def quiet_for(world: World, runs: int) -> None:
    for _ in range(runs):
        world.assert_quiet()


def test_undoing_a_run_does_not_start_a_fight(make: Make) -> None:
    world = make()
    account, key, run = changed_email(world)
    assert world.erp.get("customer", key)["mail"] == "new@acme.example"
    undo(world, run.run)
    assert world.erp.get("customer", key)["mail"] == "info@acme.example"
    assert world.crm.get("Account", account)["Email"] == "new@acme.example"
    quiet_for(world, 5)
    assert world.golden().fields["email"] == "info@acme.example"
    assert world.golden().authors["email"][0] == f"undo:{run.run}"
    assert candidates(world, "email") == {"crm": ["new@acme.example"], f"undo:{run.run}": ["info@acme.example"]}


def test_verify_lists_what_an_undo_froze_as_in_clash(make: Make) -> None:
    world = make()
    _, _, run = changed_email(world)
    undo(world, run.run)
    world.sync()
    assert [(d.connection, d.path, d.known) for d in world.verify().differences] == [("crm", "email", "in clash")]


def test_a_plan_of_undoing_writes_nothing_and_is_done_as_it_was_shown(make: Make) -> None:
    world = make()
    _, key, run = changed_email(world)
    plan: list[Report] = []
    assert world.writes_of(lambda: plan.append(undoing(world, run.run))) == []
    assert world.golden().fields["email"] == "new@acme.example"
    assert plan[0].head is not None
    assert plan[0].head.counts == {"golden:restore": 1, "erp:update": 1}
    assert plan[0].head.undoes == run.run
    done = world.apply(plan[0])
    assert (done.kind, done.counts["restored"], done.counts["wrote erp update"]) == ("undo", 1, 1)
    assert world.erp.get("customer", key)["mail"] == "info@acme.example"


@pytest.mark.parametrize(("take", "email"), [("crm", "new@acme.example"), ("undo", "info@acme.example")])
def test_a_person_settles_what_an_undo_froze(make: Make, take: str, email: str) -> None:
    world = make()
    account, key, run = changed_email(world)
    undo(world, run.run)
    (clash,) = world.parked("clash")
    settle_clash(world.store, clash.id, take=take, person="anna", clock=world.clock)
    world.sync()
    assert world.crm.get("Account", account)["Email"] == email
    assert world.erp.get("customer", key)["mail"] == email
    world.assert_quiet()
    assert world.verify().differences == []


def test_an_edit_made_after_the_run_survives_its_undoing(make: Make) -> None:
    world = make()
    account, key, run = changed_email(world)
    world.erp.edit("customer", key, {"mail": "later@acme.example"})
    report = undoing(world, run.run)
    assert report.undoing is not None
    assert [(stay.connection, stay.fields) for stay in report.undoing.stays] == [("", ["email"]), ("erp", ["mail"])]
    world.apply(report)
    world.sync_until_quiet()
    assert world.erp.get("customer", key)["mail"] == "later@acme.example"
    assert world.crm.get("Account", account)["Email"] == "later@acme.example"


def test_an_edit_made_between_plan_and_undo_survives(make: Make) -> None:
    world = make()
    account, key, run = changed_email(world)
    plan = undoing(world, run.run)
    world.erp.edit("customer", key, {"mail": "later@acme.example"})
    world.apply(plan)
    quiet_for(world, 3)
    assert world.erp.get("customer", key)["mail"] == "later@acme.example"
    assert candidates(world, "email")["erp"] == ["later@acme.example"]
    assert world.crm.get("Account", account)["Email"] == "new@acme.example"


def test_a_record_that_moved_since_the_plan_is_left_out_and_listed(make: Make) -> None:
    world = make()
    account, key, run = changed_email(world)
    plan = undoing(world, run.run)
    world.crm.edit("Account", account, {"Name": "Acme Holding"})
    world.sync()
    done = world.apply(plan)
    assert {step.operation for step in done.stale} == {"restore", "update"}
    assert world.erp.get("customer", key)["mail"] == "new@acme.example"
    assert world.parked("clash") == []
    undo(world, run.run)
    assert world.erp.get("customer", key)["mail"] == "info@acme.example"
    assert world.erp.get("customer", key)["companyName"] == "Acme Holding"


def test_fields_of_other_runs_and_other_fields_flow_on(make: Make) -> None:
    world = make()
    account, key, run = changed_email(world)
    undo(world, run.run)
    world.crm.edit("Account", account, {"Phone": "555"})
    world.sync_until_quiet()
    assert says(world.erp.get("customer", key), tel="555", mail="info@acme.example")


def test_a_group_goes_back_as_one(make: Make) -> None:
    world = make()
    account, key = world.joined_customer(Street="Old 1", City="Oldtown", Zip="1")
    world.crm.edit("Account", account, {"Street": "New 2", "City": "Newtown"})
    run = world.sync()
    undo(world, run.run)
    assert says(world.erp.get("customer", key), addr="Old 1", town="Oldtown", postcode="1")
    (clash,) = world.parked("clash")
    assert {"billing.line1", "billing.city", "billing.postal_code"} <= set(clash.data["unit"])
    quiet_for(world, 3)


def test_a_group_of_which_one_part_was_changed_since_stays_whole(make: Make) -> None:
    world = make()
    account, key = world.joined_customer(Street="Old 1", City="Oldtown", Zip="1")
    world.crm.edit("Account", account, {"Street": "New 2", "City": "Newtown"})
    run = world.sync()
    world.erp.edit("customer", key, {"town": "Elsewhere"})
    undo(world, run.run)
    world.sync_until_quiet()
    assert says(world.erp.get("customer", key), addr="New 2", town="Elsewhere")


def test_a_group_that_an_apply_wrote_goes_back_as_one(make: Make) -> None:
    world = make()
    account, key = world.joined_customer(Street="Old 1", City="Oldtown", Zip="1")
    world.crm.edit("Account", account, {"Street": "New 2", "City": "Newtown"})
    applied = world.apply(world.plan())
    assert says(world.erp.get("customer", key), addr="New 2", town="Newtown", postcode="1")
    undo(world, applied.run)
    assert says(world.erp.get("customer", key), addr="Old 1", town="Oldtown", postcode="1")
    quiet_for(world, 3)
    (clash,) = world.parked("clash")
    settle_clash(world.store, clash.id, take="erp", person="anna", clock=world.clock)
    world.sync()
    assert says(world.crm.get("Account", account), Street="Old 1", City="Oldtown", Zip="1")


def test_an_edit_that_waits_in_a_clash_survives_an_undoing(make: Make) -> None:
    world = make()
    account, key, run = changed_email(world)
    world.crm.edit("Account", account, {"Email": "one@acme.example"})
    world.erp.edit("customer", key, {"mail": "other@acme.example"})
    world.sync()
    undo(world, run.run)
    assert world.erp.get("customer", key)["mail"] == "other@acme.example"
    assert world.crm.get("Account", account)["Email"] == "one@acme.example"
    said = candidates(world, "email")
    assert (said["crm"], said["erp"]) == (["one@acme.example"], ["other@acme.example"])
    quiet_for(world, 3)


def test_a_group_of_which_one_part_waits_in_a_clash_stays_whole(make: Make) -> None:
    world = make(rules={"customer": {"fields": {"billing.*": {"on_clash": "ask", "group": "billing"}}}})
    account, key = world.joined_customer(Street="Old 1", City="Oldtown", Zip="1")
    world.crm.edit("Account", account, {"Street": "New 2", "City": "Newtown"})
    run = world.sync()
    world.crm.edit("Account", account, {"City": "Here"})
    world.erp.edit("customer", key, {"town": "There"})
    world.sync()
    assert len(world.parked("clash")) == 1
    undo(world, run.run)
    assert says(world.erp.get("customer", key), addr="New 2", town="There", postcode="1")
    quiet_for(world, 3)


def test_what_an_apply_wrote_goes_back_though_golden_was_moved_by_its_plan(make: Make) -> None:
    world = make()
    account, key = world.joined_customer()
    world.crm.edit("Account", account, {"Email": "new@acme.example"})
    applied = world.apply(world.plan())
    undo(world, applied.run)
    assert world.erp.get("customer", key)["mail"] == "info@acme.example"
    assert candidates(world, "email") == {"crm": ["new@acme.example"], "erp": ["info@acme.example"]}
    quiet_for(world, 3)
    (clash,) = world.parked("clash")
    settle_clash(world.store, clash.id, take="crm", person="anna", clock=world.clock)
    world.sync()
    assert world.erp.get("customer", key)["mail"] == "new@acme.example"


def test_the_answer_for_an_undone_value_does_not_outlive_it(make: Make) -> None:
    """The ERP shows archived as inactive; that answer must not stand for archived once the ERP holds active again."""
    world = make()
    account, key = world.joined_customer(Status="open")
    world.crm.edit("Account", account, {"Status": "gone"})
    run = world.sync()
    assert world.erp.get("customer", key)["inactive"] == "yes"
    undo(world, run.run)
    assert world.erp.get("customer", key)["inactive"] == "no"
    (clash,) = world.parked("clash")
    settle_clash(world.store, clash.id, take="crm", person="anna", clock=world.clock)
    world.sync()
    assert world.erp.get("customer", key)["inactive"] == "yes"
    world.assert_quiet()


def test_an_undo_can_be_undone(make: Make) -> None:
    world = make()
    account, key, run = changed_email(world)
    first = undo(world, run.run)
    undo(world, first.run)
    assert world.erp.get("customer", key)["mail"] == "new@acme.example"
    assert world.golden().fields["email"] == "new@acme.example"
    quiet_for(world, 3)
    assert world.crm.get("Account", account)["Email"] == "new@acme.example"


@pytest.mark.parametrize("planned", [True, False])
def test_an_undo_that_is_undone_leaves_no_clash_of_what_nobody_holds(make: Make, planned: bool) -> None:
    world = make()
    account, key = world.joined_customer()
    world.crm.edit("Account", account, {"Email": "new@acme.example"})
    run = world.apply(world.plan()) if planned else world.sync()
    first = undo(world, run.run)
    report = undoing(world, first.run)
    assert [(clash.unit, len(clash.candidates)) for clash in freezes(report)] == [(["email"], 1)]
    second = world.apply(report)
    assert world.parked("clash") == []
    quiet_for(world, 2)
    assert world.verify().differences == []
    undo(world, second.run)
    assert world.erp.get("customer", key)["mail"] == "info@acme.example"
    assert world.crm.get("Account", account)["Email"] == "new@acme.example"
    assert sorted(candidates(world, "email").values()) == [["info@acme.example"], ["new@acme.example"]]


def test_a_created_customer_that_was_archived_by_an_undo_is_active_again_when_that_is_undone(make: Make) -> None:
    world = make()
    account = world.crm.create("Account", {"Name": "Acme", "Status": "open"})
    run = world.sync()
    key, _ = world.only("erp", "customer")
    first = undo(world, run.run)
    undo(world, first.run)
    assert world.erp.get("customer", key)["inactive"] == "no"
    assert world.parked("clash") == []
    world.erp.edit("customer", key, {"inactive": "yes"})
    world.sync()
    assert says(world.crm.get("Account", account) or {}, Status="closed")


def test_of_two_undos_the_later_one_is_in_the_clash_that_a_system_has_moved_on(make: Make) -> None:
    world = make()
    account, _, run = changed_email(world)
    first = undo(world, run.run)
    world.crm.edit("Account", account, {"Email": "third@acme.example"})
    second = undo(world, first.run)
    assert candidates(world, "email") == {"crm": ["third@acme.example"], f"undo:{first.run}": ["new@acme.example"]}
    assert second.counts["restored"] == 1


def test_an_archiving_that_was_undone_is_over_when_the_record_comes_back(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "archive"}})
    account, key = world.joined_customer(Status="open")
    kept = world.crm.get("Account", account) or {}
    world.crm.delete("Account", account)
    run = world.sync()
    assert world.erp.get("customer", key)["inactive"] == "yes"
    undo(world, run.run)
    assert world.erp.get("customer", key)["inactive"] == "no"
    world.crm.restore("Account", account)
    assert kept["Status"] == "open"
    world.sync_until_quiet()
    assert world.parked("clash") == []
    assert world.erp.get("customer", key)["inactive"] == "no"


def test_what_an_undo_froze_is_over_when_every_system_says_what_was_undone(make: Make) -> None:
    world = make()
    _, key, run = changed_email(world)
    undo(world, run.run)
    world.erp.edit("customer", key, {"mail": "new@acme.example"})
    assert world.writes_of(world.sync) == []
    assert world.parked("clash") == []
    assert world.golden().fields["email"] == "new@acme.example"


def test_undoing_twice_says_so(make: Make) -> None:
    world = make()
    _, _, run = changed_email(world)
    first = undo(world, run.run)
    again = undoing(world, run.run)
    assert again.head is not None
    assert again.undoing is not None
    assert (again.head.steps, again.undoing.already) == (0, first.run)


def test_a_run_whose_undoing_was_undone_is_not_called_undone(make: Make) -> None:
    world = make()
    _, _, run = changed_email(world)
    undo(world, undo(world, run.run).run)
    again = undoing(world, run.run)
    assert again.undoing is not None
    assert again.undoing.already == ""
    assert [stays.fields for stays in again.undoing.stays if not stays.connection] == [["email"]]


def test_undoing_again_after_a_person_settled_leaves_their_decision(make: Make) -> None:
    world = make()
    _, key, run = changed_email(world)
    undo(world, run.run)
    (clash,) = world.parked("clash")
    settle_clash(world.store, clash.id, take="crm", person="anna", clock=world.clock)
    world.sync()
    undo(world, run.run)
    assert world.erp.get("customer", key)["mail"] == "new@acme.example"
    assert world.parked("clash") == []


def test_undoing_a_run_that_wrote_nothing_says_so(make: Make) -> None:
    world = make()
    world.joined_customer()
    report = undoing(world, world.sync().run)
    assert report.head is not None
    assert report.undoing is not None
    assert (report.head.steps, report.undoing.wrote, report.undoing.already) == (0, False, "")


def test_a_run_that_was_never_made_cannot_be_undone(make: Make) -> None:
    with pytest.raises(UsageError, match="has made no run R1"):
        undoing(make(), "R1")


def test_a_created_customer_is_archived_and_its_source_is_left_alone(make: Make) -> None:
    world = make()
    account = world.crm.create("Account", {"Name": "Acme", "Status": "open"})
    run = world.sync()
    key, _ = world.only("erp", "customer")
    undo(world, run.run)
    assert world.erp.get("customer", key)["inactive"] == "yes"
    assert says(world.crm.get("Account", account) or {}, Status="open", Name="Acme")
    assert candidates(world, "status") == {"crm": ["active"], "erp": ["archived"]}
    quiet_for(world, 5)
    assert undoing(world, run.run).head.steps == 0  # type: ignore[union-attr] # a plan has a head


def test_a_created_customer_that_was_worked_on_since_is_asked_about(make: Make) -> None:
    world = make()
    world.crm.create("Account", {"Name": "Acme", "Status": "open"})
    run = world.sync()
    key, _ = world.only("erp", "customer")
    world.erp.edit("customer", key, {"companyName": "Acme Ltd"})
    undo(world, run.run)
    assert world.erp.get("customer", key)["inactive"] == "no"
    (review,) = world.parked("review")
    assert (review.error, review.key) == ("undone", key)


def test_a_created_contact_without_a_status_is_asked_about(make: Make) -> None:
    world = make()
    account, _ = world.joined_customer()
    world.crm.create("Contact", {"Account": account, "First": "Ann", "Last": "Lee"})
    run = world.sync()
    person, before = world.only("erp", "person")
    assert world.writes_of(lambda: undo(world, run.run)) == []
    assert world.only("erp", "person") == (person, before)
    assert [(row.error, row.key) for row in world.parked("review")] == [("undone", person)]
    assert undoing(world, run.run).head.steps == 0  # type: ignore[union-attr] # a plan has a head


def test_a_created_money_document_is_never_deleted_but_asked_about(make: Make) -> None:
    world = make()
    account, _ = world.joined_customer()
    world.order_in_crm(account, ("P1", 2, "5.00"))
    run = world.sync()
    order, _ = world.only("erp", "salesorder")
    assert world.writes_of(lambda: undo(world, run.run)) == []
    assert world.only("erp", "salesorder")[0] == order
    (review,) = world.parked("review")
    assert "never deleted" in review.reason
    with world.at_work() as (flow, store, _), pytest.raises(UsageError):
        found_new(store, flow, review.id, person="anna")


def test_lines_of_a_document_are_asked_about_and_its_sum_stays_true(make: Make) -> None:
    world = make()
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 2, "5.00"))
    world.sync_until_quiet()
    (line,) = world.crm.get("Order", order)["OrderItem"]
    change = {line["Id"]: {"Qty": Decimal(3), "Amount": Decimal("15.00")}}
    world.crm.edit("Order", order, {"Total": Decimal("15.00")}, {"OrderItem": row_write(change=change)})
    run = world.sync()
    assert world.writes_of(lambda: undo(world, run.run)) == []
    assert says(world.only("erp", "salesorder")[1], total=Decimal("15.00"))
    assert [row.error for row in world.parked("review")] == ["undone"]


def test_a_document_s_plain_field_goes_back(make: Make) -> None:
    world = make()
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 2, "5.00"), Po="PO-1")
    world.sync_until_quiet()
    world.crm.edit("Order", order, {"Po": "PO-2"})
    run = world.sync()
    undo(world, run.run)
    assert world.only("erp", "salesorder")[1]["po"] == "PO-1"
    quiet_for(world, 3)


def test_bindings_are_listed_and_stand(make: Make) -> None:
    world = make(joined=False)
    account = world.crm.create("Account", {"Name": "Acme", "Vat": "DE1"})
    key = world.erp.create("customer", {"companyName": "ACME AG", "vat": "DE1"})
    applied = world.plan(adopting=True)
    world.apply(applied)
    report = undoing(world, applied.run)
    assert report.undoing is not None
    assert [bound.records for bound in report.undoing.bound] == [{"crm": account, "erp": key}]
    assert set(world.links(world.golden().id)) == {"crm", "erp"}
    world.apply(report)
    assert says(world.golden().fields, name="Acme", tax_id="DE1")


def test_what_an_adoption_wrote_goes_back(make: Make) -> None:
    world = make(joined=False)
    world.crm.create("Account", {"Name": "Acme", "Vat": "DE1"})
    key = world.erp.create("customer", {"companyName": "ACME AG", "vat": "DE1"})
    applied = world.apply(world.plan(adopting=True))
    assert world.erp.get("customer", key)["companyName"] == "Acme"
    undo(world, applied.run)
    assert world.erp.get("customer", key)["companyName"] == "ACME AG"
    assert candidates(world, "name") == {"crm": ["Acme"], "erp": ["ACME AG"]}
    quiet_for(world, 3)


def test_a_move_is_not_taken_back_but_asked_about(make: Make) -> None:
    world = make(rules={"order": {"fields": {"state": {"write_by": ["crm", "erp"]}}}})
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 2, "5.00"))
    world.sync_until_quiet()
    world.crm.edit("Order", order, {"Stage": "Won"})
    run = world.sync()
    sold, _ = world.only("erp", "salesorder")
    move = {"kind": "write", "connection": "erp", "stream": "salesorder", "key": sold, "operation": "move", "settles": ["state"]}
    golden_id = world.golden("order").id
    world.store.add_history([HistoryRow(golden_id, run.run, "2026-06-01T00:00:00.000Z", {**move, "move": ["state", "Approved"]})])
    assert world.writes_of(lambda: undo(world, run.run)) == []
    assert world.golden("order").fields["state"] == "confirmed"
    assert [row.error for row in world.parked("review")] == ["undone"]


def test_a_delete_is_not_made_good_by_a_create(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}})
    account, key = world.joined_customer()
    world.crm.delete("Account", account)
    run = world.sync()
    assert world.erp.get("customer", key) is None
    assert world.writes_of(lambda: undo(world, run.run)) == []
    assert [row.error for row in world.parked("review")] == ["undone"]


def test_a_new_mapping_settles_what_an_undo_froze(make: Make) -> None:
    """The e-mail was read from the wrong field; undone, and the mapping put right, all sides say the same and the clash is over."""
    wrong = {"fields": {"email": {"external": "Phone", "via": ["lower"]}, "phone": None}}
    world = make(mappings={"customer/crm": wrong})
    account, key = world.joined_customer(Phone="info@acme.example")
    world.crm.edit("Account", account, {"Phone": "ask reception"})
    run = world.sync()
    assert world.erp.get("customer", key)["mail"] == "ask reception"
    undo(world, run.run)
    assert [row.field for row in world.parked("clash")] == ["email"]
    world.library = world.mapped({}, {})
    world.apply(world.plan())
    assert world.parked("clash") == []
    world.sync_until_quiet()
    assert world.erp.get("customer", key)["mail"] == "info@acme.example"
    assert world.crm.get("Account", account)["Email"] == "info@acme.example"
    assert world.verify().differences == []


def test_three_systems_go_back_each_to_what_it_held(make: Make) -> None:
    world = make(roles=("crm", "erp", "shop"), entities=("customer",))
    account, key = world.joined_customer()
    client, _ = world.partner("crm", "Account", account, "shop")
    world.crm.edit("Account", account, {"Email": "new@acme.example"})
    run = world.sync()
    undo(world, run.run)
    assert world.erp.get("customer", key)["mail"] == "info@acme.example"
    assert world.shop.get("client", client)["mail"] == "info@acme.example"
    quiet_for(world, 3)


def test_an_undo_that_dies_anywhere_is_finished_by_the_next(make: Make) -> None:
    world = make()
    account, key, run = changed_email(world)
    plan = undoing(world, run.run)
    start = world.remember()
    count = world.dying(0)
    world.apply(plan)
    world.living()
    places = len(count.where)
    assert places > 3
    for at in range(1, places + 1):
        world.recall(start)
        world.dying(at)
        with pytest.raises(Died):
            world.apply(plan)
        world.living()
        undo(world, run.run)
        assert world.erp.get("customer", key)["mail"] == "info@acme.example", count.where[at - 1]
        assert world.golden().fields["email"] == "info@acme.example", count.where[at - 1]
        said = candidates(world, "email")
        assert said.pop("erp", ["info@acme.example"]) == ["info@acme.example"]  # read again, where the answer to its write was lost
        assert said == {"crm": ["new@acme.example"], f"undo:{run.run}": ["info@acme.example"]}, count.where[at - 1]
        quiet_for(world, 2)
        assert world.crm.get("Account", account)["Email"] == "new@acme.example"


def test_an_undo_does_not_pass_a_brake_that_is_on(make: Make) -> None:
    world = make()
    _, key, run = changed_email(world)
    plan = undoing(world, run.run)
    world.store.trip("trade", "erp", "changed", 30, 20, "2026-01-01T00:00:00.000Z")
    with pytest.raises(BrakeTripped):
        world.apply(plan)
    assert world.erp.get("customer", key)["mail"] == "new@acme.example"


def test_all_or_nothing_does_an_undo_whole_or_not_at_all(make: Make) -> None:
    world = make()
    account, key, run = changed_email(world)
    plan = undoing(world, run.run)
    world.crm.edit("Account", account, {"Name": "Acme Holding"})
    world.sync()
    assert world.writes_of(lambda: world.apply(plan, all_or_nothing=True)) == []
    assert world.parked("clash") == []
    assert world.apply(undoing(world, run.run), all_or_nothing=True).stale == []
    assert world.erp.get("customer", key)["mail"] == "info@acme.example"
