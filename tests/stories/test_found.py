"""What the story harness has found, each told as a fact by itself."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import pytest
from stories.world import FLOW, MAPPINGS, Died, World, row_write, says

from erpcrm_bridge.connector import Connector, Outcome, Rejected, Selection, Write
from erpcrm_bridge.errors import BrakeTripped, PermissionDenied, UsageError
from erpcrm_bridge.sync import brake
from erpcrm_bridge.sync.desk import bind, found_new, settle_clash
from erpcrm_bridge.sync.notes import new_run
from erpcrm_bridge.sync.pull import read_again
from erpcrm_bridge.sync.push import decide_all
from erpcrm_bridge.sync.run import Report
from erpcrm_bridge.testing.system import Rights, Trigger


def remapped(world: World) -> Report:
    """Change a rule of the ERP's customers (telephone numbers lose their outer blanks), and do the plan that comes of it."""
    world.library = world.mapped({}, {"customer/erp": {"fields": {"phone": {"external": "tel", "via": ["trim"]}}}})
    report = world.sync()
    assert report.review
    world.apply(report)
    return world.sync()


def test_an_edit_made_while_a_rule_changed_for_another_field_is_not_contested_by_golden(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    world.erp.edit("customer", customer, {"companyName": "Acme AG"})
    remapped(world)
    assert says(world.crm.get("Account", account) or {}, Name="Acme AG")
    assert says(world.erp.get("customer", customer) or {}, companyName="Acme AG")


def test_what_is_not_delivered_yet_is_not_contested_by_the_old_value_when_a_rule_changes(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(City="Bonn")
    world.crm.edit("Account", account, {"City": "Ulm"})
    world.erp.faults.add("write", "refused")
    world.sync()
    remapped(world)
    assert says(world.crm.get("Account", account) or {}, City="Ulm")
    assert says(world.erp.get("customer", customer) or {}, town="Ulm")


def test_an_update_whose_answer_was_lost_does_not_come_back_as_an_edit_of_its_system(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(City="Bonn")  # of towns the ERP's is preferred
    world.crm.edit("Account", account, {"City": "Ulm"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, town="Ulm")
    world.crm.edit("Account", account, {"City": "Köln"})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, City="Köln")
    assert says(world.erp.get("customer", customer) or {}, town="Köln")
    assert world.parked() == []


@pytest.mark.parametrize("known", [True, False], ids=["update", "create"])
def test_a_rendition_whose_answer_was_lost_does_not_win_over_what_was_asked(tmp_path: Path, known: bool) -> None:
    world = World(tmp_path, specs={"erp.customer": {"normalisers": {"town": ("cut:4",)}}})
    account = world.crm.create("Account", {"Name": "Acme"} if known else {"Name": "Acme", "City": "Regensburg"})
    if known:
        world.sync_until_quiet()
        world.crm.edit("Account", account, {"City": "Regensburg"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    assert says(world.erp.get("customer", world.only("erp", "customer")[0]) or {}, town="Rege")
    for _ in range(3):
        world.sync()
    assert says(world.crm.get("Account", account) or {}, City="Regensburg")
    assert [row.kind for row in world.parked()] == ["clash"]
    world.assert_quiet()


def test_an_edit_made_after_a_lost_update_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(Email="old@acme.example")
    world.crm.edit("Account", account, {"Email": "crm@acme.example", "Phone": "1"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    world.erp.edit("customer", customer, {"mail": "erp@acme.example"})
    for _ in range(3):
        world.sync()
    assert says(world.erp.get("customer", customer) or {}, mail="erp@acme.example", tel="1")
    assert says(world.crm.get("Account", account) or {}, Email="crm@acme.example")
    assert [row.kind for row in world.parked()] == ["clash"]


def test_what_came_while_the_right_to_write_was_withdrawn_goes_when_it_is_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    world.erp.rights["bridge"] = Rights(write=False)
    other = world.crm.create("Account", {"Name": "Beta", "Email": "b@beta.example"})
    world.crm.edit("Account", account, {"Phone": "1"})
    world.sync()
    assert {row.error for row in world.parked()} == {"permission"}
    world.erp.rights["bridge"] = Rights()
    world.sync()
    assert says(world.erp_of(other), companyName="Beta")
    assert says(world.erp.get("customer", customer) or {}, tel="1")
    assert world.parked() == []


def test_a_released_brake_lets_pass_what_tripped_it_and_counts_anew(tmp_path: Path) -> None:
    world = World(tmp_path, brakes={"creates": 2})
    for n in range(4):
        world.crm.create("Account", {"Name": f"Firm {n}"})
    with pytest.raises(BrakeTripped):
        world.sync()
    brake.release(world.store, FLOW, person="op")
    world.sync_until_quiet()
    assert len(world.erp.all("customer")) == 4
    for n in range(4, 7):
        world.crm.create("Account", {"Name": f"Firm {n}"})
    with pytest.raises(BrakeTripped):
        world.sync()


def test_deletes_that_were_looked_at_do_not_trip_the_brake_again(tmp_path: Path) -> None:
    world = World(tmp_path, brakes={"deletes": 1}, rules={"customer": {"on_delete": "delete"}})
    keys = [world.crm.create("Account", {"Name": f"Firm {n}"}) for n in range(3)]
    world.sync_until_quiet()
    for key in keys:
        world.crm.delete("Account", key)
    for _ in range(2):  # once for what was told, once for what is to be done
        with pytest.raises(BrakeTripped):
            world.sync()
        brake.release(world.store, FLOW, person="op")
    world.sync_until_quiet()
    assert world.erp.all("customer") == {}


def test_what_may_be_an_edit_after_a_lost_answer_is_neither_lost_to_another_edit_nor_wins_over_it(tmp_path: Path) -> None:
    """Of two edits one may be how the ERP holds what it was given; the other was made where golden stood, and golden is no rival of it."""
    world = World(tmp_path, roles=("crm", "erp", "shop"))
    account = world.crm.create("Account", {"Name": "Acme"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    world.erp.edit("customer", world.only("erp", "customer")[0], {"companyName": "Erp AG"})
    world.shop.edit("client", world.only("shop", "client")[0], {"label": "Shop AG"})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Name="Acme")
    (clash,) = world.parked("clash")
    assert {candidate["by"]: candidate["values"] for candidate in clash.data["candidates"]} == {"erp": ["Erp AG"], "shop": ["Shop AG"]}


def test_a_delete_while_a_clash_is_open_asks_and_deletes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, roles=("crm", "erp", "shop"), rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.crm.edit("Account", account, {"Email": "crm@acme.example"})
    world.erp.edit("customer", customer, {"mail": "erp@acme.example"})
    world.shop.delete("client", world.only("shop", "client")[0])
    for _ in range(3):
        world.sync()
    assert says(world.crm.get("Account", account) or {}, Email="crm@acme.example")
    assert says(world.erp.get("customer", customer) or {}, mail="erp@acme.example")
    assert {row.kind for row in world.parked()} == {"clash", "review"}


def test_a_create_that_could_only_come_in_by_itself_is_known_again_with_what_was_asked(tmp_path: Path) -> None:
    change = {"normalisers": {"town": ("upper",)}, "capabilities": {"find": False, "upsert": True}}
    world = World(tmp_path, specs={"erp.customer": change})
    account = world.crm.create("Account", {"Name": "Acme", "City": "Bonn"})
    world.erp.faults.add("write", "answer_lost")
    for _ in range(4):
        world.sync()
    assert says(world.crm.get("Account", account) or {}, City="Bonn")
    assert says(world.only("erp", "customer")[1], town="BONN")


def test_a_line_removed_here_and_edited_there_stays_whole_or_goes(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("SCREW", 2, "3"), ("NUT", 1, "10"))
    world.sync_until_quiet()
    sales, held = world.only("erp", "salesorder")
    screw = next(row for row in held["items"] if row["item"] == "SCREW")
    world.erp.edit("salesorder", sales, {"total": Decimal(10)}, {"items": row_write(remove=[screw["line"]])})
    item = next(key for key, row in world.crm.all("OrderItem").items() if row["Product"] == "SCREW")
    world.crm.edit("Order", order, {"Total": Decimal(22)}, {"OrderItem": row_write(change={item: {"Qty": 4, "Amount": Decimal(12)}})})
    world.sync_until_quiet()
    lines = {row["Product"]: row["Qty"] for row in world.crm.all("OrderItem").values()}
    assert lines in ({"SCREW": 4, "NUT": 1}, {"NUT": 1})
    assert {row["item"]: row["qty"] for row in world.only("erp", "salesorder")[1]["items"]} == lines


def test_a_state_that_is_two_moves_away_is_reached(tmp_path: Path) -> None:
    world = World(tmp_path, rules={"order": {"fields": {"state": {"on_clash": {"prefer": ["crm", "erp"]}}}}})
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("SCREW", 2, "3"))
    world.sync_until_quiet()
    world.crm.edit("Order", order, {"Stage": "Invoiced"})
    world.sync_until_quiet()
    assert says(world.only("erp", "salesorder")[1], state="Billed")
    world.assert_quiet()


def test_a_state_that_is_two_moves_away_is_reached_in_one_run_although_a_field_is_in_clash(tmp_path: Path) -> None:
    prefer = {"on_clash": {"prefer": ["crm", "erp"]}}
    world = World(tmp_path, rules={"order": {"fields": {"state": prefer, "po_number": {"on_clash": "ask"}}}})
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("SCREW", 2, "3"))
    world.sync_until_quiet()
    world.crm.edit("Order", order, {"Po": "A"})
    world.erp.edit("salesorder", world.only("erp", "salesorder")[0], {"po": "B"})
    world.sync_until_quiet()
    assert [row.field for row in world.parked("clash")] == ["po_number"]
    world.crm.edit("Order", order, {"Stage": "Invoiced"})
    world.sync()
    assert says(world.only("erp", "salesorder")[1], state="Billed", po="B")


def test_a_record_that_its_system_begins_as_a_draft_moves_on_to_the_state_wanted(tmp_path: Path) -> None:
    begins = {"erp.salesorder": {"triggers": (Trigger("state", "Pending", on="create"),)}}
    world = World(tmp_path, specs=begins, rules={"order": {"fields": {"state": {"write_by": ["crm"]}}}})
    account, _ = world.joined_customer()
    world.order_in_crm(account, ("SCREW", 2, "3"), Stage="Won")
    world.sync_until_quiet()
    assert says(world.only("erp", "salesorder")[1], state="Approved")
    assert world.golden("order").fields["state"] == "confirmed"
    world.assert_agree()


def test_a_refused_record_is_tried_again_when_what_it_refers_to_has_moved_and_not_before(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    asked: list[Write] = []

    def opener(role: str, _: object) -> Connector:
        connector: Any = world.connect(role)
        write = connector.write

        def refusing(selection: Selection, writes: list[Write]) -> list[Outcome]:
            if selection.stream == "salesorder" and not (world.erp.get("customer", customer) or {})["town"]:
                asked.extend(writes)
                return [Rejected(one.ref, "reference", "its customer lives nowhere") for one in writes]
            answered: list[Outcome] = write(selection, writes)
            return answered

        connector.write = refusing
        return connector

    world.opener = opener
    world.order_in_crm(account, ("SCREW", 2, "3"))
    world.sync_until_quiet()
    world.sync()
    assert len(asked) == 1
    assert [row.entity for row in world.parked("record")] == ["order"]
    world.crm.edit("Account", account, {"City": "Bonn"})
    world.sync_until_quiet()
    assert says(world.only("erp", "salesorder")[1], customer=customer)
    assert world.parked() == []
    assert len(asked) == 1
    world.assert_quiet()


def test_what_waits_for_a_person_alone_makes_no_further_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    world.crm.edit("Account", account, {"Email": "crm@acme.example", "Phone": "0228"})
    world.erp.edit("customer", customer, {"mail": "erp@acme.example"})
    looked: list[str] = []

    def counted(*given: Any) -> None:
        looked.append("looked")
        decide_all(*given)

    monkeypatch.setattr("erpcrm_bridge.sync.run.decide_all", counted)
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, tel="0228", mail="erp@acme.example")
    assert [row.field for row in world.parked("clash")] == ["email"]
    assert looked == ["looked"]


def test_a_system_whose_limit_is_used_up_is_left_alone_until_the_run_ends(tmp_path: Path) -> None:
    world = World(tmp_path, specs={"crm.Account": {"triggers": (Trigger("Phone", "1", on="create"),)}})
    world.crm.create("Account", {"Name": "Acme"})
    world.erp.create("customer", {"companyName": "Beta"})  # what the CRM's trigger adds to it makes another round
    world.erp.faults.add("write", "quota", times=None)
    world.sync()
    assert [kind for verb, kind in world.erp.faults.struck if kind == "quota"] == ["quota"]


def test_a_system_that_cannot_be_written_to_is_told_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    world.crm.create("Account", {"Name": "Acme"})

    def refuse(*_: Any) -> NoReturn:
        raise PermissionDenied("customer cannot be written.", way_out="Give the user rights on it.")

    connector = world.connect("erp")
    monkeypatch.setattr(connector, "write", refuse)
    world.opener = lambda name, _: connector if name == "erp" else world.connect(name)
    assert world.sync().away == {"erp": "customer cannot be written. (Give the user rights on it.)"}


def test_a_run_that_dies_after_its_writes_counts_them_for_the_brake(tmp_path: Path) -> None:
    world = World(tmp_path, brakes={"creates": 3})
    for n in range(2):
        world.crm.create("Account", {"Name": f"Firm {n}"})
    counted = world.dying(0)
    kept = world.remember()
    world.sync()
    at = 1 + next(n for n, where in enumerate(counted.where) if where.startswith("after a write"))
    world.recall(kept)
    world.dying(at)
    with pytest.raises(Died):
        world.sync()
    world.living()
    for n in range(2, 4):
        world.crm.create("Account", {"Name": f"Firm {n}"})
    with pytest.raises(BrakeTripped):
        world.sync()
    assert len(world.erp.all("customer")) == 2


def test_a_rendition_whose_answer_was_lost_does_not_win_over_a_later_edit_either(tmp_path: Path) -> None:
    world = World(tmp_path, specs={"erp.customer": {"normalisers": {"tel": ("phone",)}}})
    account = world.crm.create("Account", {"Name": "Acme", "Phone": "+49 30 1"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    world.crm.edit("Account", account, {"Phone": None})  # the policy of telephone numbers is non_empty
    for _ in range(3):
        world.sync()
    assert says(world.crm.get("Account", account) or {}, Phone=None)
    assert [row.kind for row in world.parked()] == ["clash"]


def test_a_field_that_was_cleared_after_a_lost_create_stays_cleared_or_is_asked_about(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    customer = world.only("erp", "customer")[0]
    world.erp.edit("customer", customer, {"mail": None})
    for _ in range(3):
        world.sync()
    assert says(world.erp.get("customer", customer) or {}, mail=None)
    assert [row.kind for row in world.parked()] == ["clash"]


def test_an_undelivered_clear_is_not_contested_by_the_old_value_when_its_own_rule_changes(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(Phone="0228")
    world.crm.edit("Account", account, {"Phone": None})
    world.erp.faults.add("write", "refused")
    world.sync()
    remapped(world)  # it is the rule of telephone numbers, whose policy is non_empty
    assert says(world.crm.get("Account", account) or {}, Phone=None)
    assert says(world.erp.get("customer", customer) or {}, tel=None)


def test_a_delete_of_a_record_that_was_missing_first_does_not_take_an_untold_edit_along(tmp_path: Path) -> None:
    world = World(tmp_path, specs={"crm.Account": {"capabilities": {"tells_gone": False}}}, rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.erp.edit("customer", customer, {"tel": "0228"})
    world.crm.faults.add("write", "before", act=lambda: world.crm.delete("Account", account))
    for _ in range(3):
        world.sync()
    assert says(world.erp.get("customer", customer) or {}, tel="0228")
    assert "review" in {row.kind for row in world.parked()}


def test_a_record_that_waits_for_a_parent_is_left_alone_until_it_can_be_merged(tmp_path: Path) -> None:
    world = World(tmp_path, specs={"erp.salesorder": {"capabilities": {"conditional": True}}})
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("SCREW", 2, "3"))
    world.sync_until_quiet()
    sales = world.only("erp", "salesorder")[0]
    double = world.erp.create("customer", {"companyName": "Acme", "mail": "info@acme.example"})  # in review
    world.erp.edit("salesorder", sales, {"customer": double, "po": "PO-1"})
    world.crm.edit("Order", order, {"Po": "PO-2"})
    for _ in range(2):
        world.sync()
    asked: list[str] = []
    for nth in range(1, 6):
        world.erp.faults.add("write", "before", nth=nth, act=lambda: asked.append("write"))
    world.sync()
    assert asked == []
    assert {"waiting", "review"} <= {row.kind for row in world.parked()}


def test_whom_a_reference_to_a_deleted_record_meant_is_known_after_it_came_back(tmp_path: Path) -> None:
    """A contact still names the key of a deleted account when a person gives it another one: that is an edit of what golden said."""
    world = World(tmp_path, rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    other = world.crm.create("Account", {"Name": "Beta", "Email": "info@beta.example"})
    contact = world.crm.create("Contact", {"Account": account, "First": "Ada", "Last": "Lovelace"})
    world.sync_until_quiet()
    world.erp.delete("customer", customer)
    world.sync_until_quiet()
    assert account not in world.crm.all("Account")
    world.erp.restore("customer", customer)
    world.crm.edit("Contact", contact, {"Account": other})
    world.sync_until_quiet()
    assert says(world.crm.get("Contact", contact) or {}, Account=other)
    assert says(world.erp.all("person").popitem()[1], customer=world.partner("crm", "Account", other, "erp")[0])
    assert world.parked() == []


def test_what_was_created_when_its_answer_was_lost_counts_for_the_brake_when_it_is_found(tmp_path: Path) -> None:
    world = World(tmp_path, brakes={"creates": 2})
    world.crm.create("Account", {"Name": "One"})
    world.erp.faults.add("read", "unauthorized")  # reading back what was created
    world.sync()
    assert len(world.erp.all("customer")) == 1
    for n in range(2):
        world.crm.create("Account", {"Name": f"Other {n}"})
    with pytest.raises(BrakeTripped):
        world.sync()


def test_what_may_be_hidden_only_is_not_taken_for_an_edit_when_it_shows_what_was_asked(tmp_path: Path) -> None:
    change = {"capabilities": {"tells_gone": False}, "normalisers": {"tel": ("phone",)}}
    world = World(tmp_path, specs={"erp.customer": change})
    account, customer = world.joined_customer(Phone="1")
    world.crm.edit("Account", account, {"Phone": "+49 (30) 5"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    world.erp.rights["bridge"] = Rights(hidden_records={"customer": (customer,)})
    world.sync()
    world.crm.edit("Account", account, {"Phone": None})
    world.erp.rights["bridge"] = Rights()
    world.erp.edit("customer", customer, {"cur": "EUR"})  # no rule maps it; it is seen again
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Phone=None)


def test_a_delete_that_is_owed_is_not_forgotten_when_its_record_is_read_again(tmp_path: Path) -> None:
    world = World(tmp_path, rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.crm.delete("Account", account)
    world.erp.faults.add("write", "refused")
    world.sync()
    world.erp.edit("customer", customer, {"cur": "EUR"})  # no rule maps it
    world.sync_until_quiet()
    assert world.erp.all("customer") == {}


def test_of_two_that_become_the_same_before_they_are_delivered_the_second_is_not_created_until_a_person_tells_them_apart(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.erp.create("customer", {"companyName": "Acme", "vat": "DE1"})
    other = world.erp.create("customer", {"companyName": "Beta", "vat": "DE2"})
    world.crm.faults.add("write", "refused")
    world.sync()
    world.erp.edit("customer", other, {"vat": "DE1"})
    world.sync_until_quiet()
    assert [fields["Name"] for fields in world.crm.all("Account").values()] == ["Acme"]
    row = next(row for row in world.parked() if row.error == "double")
    with world.at_work() as (flow, _, _):
        with pytest.raises(UsageError, match="records of its own"):
            bind(world.store, flow, row.id, str(row.data["others"][0]["golden"]), person="op")
        found_new(world.store, flow, row.id, person="op")
    world.sync_until_quiet()
    assert sorted(fields["Name"] for fields in world.crm.all("Account").values()) == ["Acme", "Beta"]
    assert world.parked() == []


def test_what_turns_up_with_the_id_of_a_deleted_record_where_that_never_was_is_for_a_person(tmp_path: Path) -> None:
    world = World(tmp_path, roles=("crm", "erp", "shop"), rules={"customer": {"on_delete": "delete"}})
    world.shop.rights["bridge"] = Rights(write=False)
    account, _ = world.joined_customer()
    golden_id = world.golden().id
    world.crm.delete("Account", account)
    world.sync_until_quiet()
    assert world.erp.all("customer") == {}
    world.shop.rights["bridge"] = Rights()
    found = world.shop.create("client", {"label": "Acme", "Ref": golden_id})
    world.sync_until_quiet()
    assert world.crm.all("Account") == {}
    row = next(row for row in world.parked() if row.kind == "review")
    assert (row.key, row.reason) == (found, f"shop client {found}: carries the id of a record that was deleted")
    with world.at_work() as (flow, _, _):
        with pytest.raises(UsageError, match="was deleted"):
            bind(world.store, flow, row.id, golden_id, person="op")
        found_new(world.store, flow, row.id, person="op")
    world.sync_until_quiet()
    assert [fields["Name"] for fields in world.crm.all("Account").values()] == ["Acme"]


def test_a_delete_of_a_record_that_was_hidden_does_not_take_along_what_it_was_not_told(tmp_path: Path) -> None:
    world = World(tmp_path, specs={"crm.Account": {"capabilities": {"tells_gone": False}}}, rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.crm.rights["bridge"] = Rights(hidden_records={"Account": (account,)})
    with world.at_work() as (flow, store, fence):  # a webhook names it
        read_again(store, new_run(FLOW, world.clock, fence), flow.sides["customer"][0], [account])
    world.sync_until_quiet()
    assert [row.error for row in world.parked()] == ["missing"]
    world.erp.edit("customer", customer, {"tel": "0228"})
    world.sync_until_quiet()
    world.crm.rights["bridge"] = Rights()
    world.crm.delete("Account", account)
    world.sync_until_quiet()
    assert says(world.erp.get("customer", customer) or {}, tel="0228")
    assert [row.error for row in world.parked()] == ["deleted"]


@pytest.mark.parametrize("lost", [True, False], ids=["answer lost", "in the window of the write"])
def test_a_line_that_a_person_removes_while_another_is_added_stays_removed(tmp_path: Path, lost: bool) -> None:
    world = World(tmp_path)
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("SCREW", 2, "3"), ("GIFT", 1, "0"))
    world.sync_until_quiet()
    sales = world.only("erp", "salesorder")[0]
    nut = {"item": "NUT", "qty": Decimal(1), "rate": Decimal(5), "amount": Decimal(5)}
    world.erp.edit("salesorder", sales, {"total": Decimal(11)}, {"items": row_write(add=[nut])})
    gift = next(row["Id"] for row in (world.crm.get("Order", order) or {})["OrderItem"] if row["Product"] == "GIFT")

    def remove() -> None:
        world.crm.edit("Order", order, {}, {"OrderItem": row_write(remove=[gift])})

    world.crm.faults.add("write", "answer_lost" if lost else "before", act=None if lost else remove)
    world.sync()
    if lost:
        remove()
    for _ in range(3):
        world.sync()
    assert sorted(row["Product"] for row in (world.crm.get("Order", order) or {})["OrderItem"]) == ["NUT", "SCREW"]
    assert sorted(row["item"] for row in (world.erp.get("salesorder", sales) or {})["items"]) == ["NUT", "SCREW"]
    assert world.parked() == []


def test_a_stale_reading_is_not_taken_for_what_came_of_a_write_before_which_the_process_died(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(Phone="1")
    world.crm.edit("Account", account, {"Phone": "2"})
    world.sync_until_quiet()

    def die() -> None:
        raise Died

    world.crm.edit("Account", account, {"Email": "new@acme.example"})
    world.erp.faults.add("write", "before", act=die)
    with pytest.raises(Died):
        world.sync()
    world.erp.faults.add("read", "stale")
    assert [event.stream for event in world.writes_of(world.sync_until_quiet)] == ["customer"]
    assert says(world.crm.get("Account", account) or {}, Phone="2", Email="new@acme.example")
    assert says(world.erp.get("customer", customer) or {}, tel="2", mail="new@acme.example")


def test_who_was_doubtful_beside_a_deleted_record_is_taken_in_the_same_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, _ = world.joined_customer()
    world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example", "Phone": "1"})
    world.sync()
    assert [row.kind for row in world.parked()] == ["review"]
    world.crm.delete("Account", account)
    world.sync()
    assert [fields["tel"] for fields in world.erp.all("customer").values()] == ["1"]
    world.assert_quiet()


def test_a_record_that_was_hidden_while_the_rules_changed_is_read_under_them_when_it_is_seen_again(tmp_path: Path) -> None:
    world = World(tmp_path, specs={"erp.customer": {"capabilities": {"tells_gone": False}}})
    account, customer = world.joined_customer(Phone="1")

    def die() -> None:
        raise Died

    world.crm.edit("Account", account, {"Phone": "2"})
    world.erp.faults.add("write", "before", act=die)
    with pytest.raises(Died):
        world.sync()
    world.erp.rights["bridge"] = Rights(hidden_records={"customer": (customer,)})
    world.library = world.mapped({}, {"customer/erp": {"fields": {"phone": {"external": "tel", "via": ["trim"]}}}})
    report = world.sync()
    if report.review:
        world.apply(report)
    world.erp.rights["bridge"] = Rights()
    world.erp.edit("customer", customer, {"cur": "EUR"})  # no rule maps it; it is seen again
    world.sync_until_quiet()
    assert says(world.erp.get("customer", customer) or {}, tel="2")
    assert world.parked() == []


def test_an_edit_in_a_record_that_was_hidden_stands_against_a_delete_that_came_meanwhile(tmp_path: Path) -> None:
    change = {"erp.customer": {"capabilities": {"tells_gone": False}}}
    world = World(tmp_path, roles=("crm", "erp", "shop"), specs=change, rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.crm.edit("Account", account, {"Name": "Acme AG"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    world.erp.edit("customer", customer, {"companyName": "Acme SE"})
    world.erp.rights["bridge"] = Rights(hidden_records={"customer": (customer,)})
    world.sync()
    world.crm.delete("Account", account)
    world.sync_until_quiet()
    assert world.shop.all("client") == {}
    world.erp.rights["bridge"] = Rights()
    world.erp.edit("customer", customer, {"cur": "EUR"})  # no rule maps it; it is seen again
    world.sync_until_quiet()
    assert world.erp.get("customer", customer) is not None
    assert "deleted" in {row.error for row in world.parked()}


def test_a_record_restored_where_a_new_one_was_wanted_is_the_one(tmp_path: Path) -> None:
    world = World(tmp_path, rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.crm.delete("Account", account)
    world.sync_until_quiet()
    assert world.erp.all("customer") == {}
    world.crm.restore("Account", account)
    world.erp.faults.add("write", "refused")
    world.sync()
    world.erp.restore("customer", customer)
    world.sync_until_quiet()
    assert list(world.erp.all("customer")) == [customer]
    assert world.parked() == []


def test_the_double_in_review_of_a_deleted_record_does_not_bring_it_back(tmp_path: Path) -> None:
    world = World(tmp_path, rules={"customer": {"on_delete": "delete"}})
    account, _ = world.joined_customer()
    double = world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example"})
    world.sync_until_quiet()
    world.crm.delete("Account", account)
    world.sync_until_quiet()
    assert world.erp.all("customer") == {}
    assert list(world.crm.all("Account")) == [double]
    assert [row.kind for row in world.parked()] == ["review"]


def test_a_record_restored_beside_the_one_that_stands_in_its_place_is_for_a_person(tmp_path: Path) -> None:
    world = World(tmp_path, rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.crm.delete("Account", account)
    world.sync_until_quiet()
    world.erp.restore("customer", customer)
    world.sync_until_quiet()
    (made,) = world.crm.all("Account")
    world.crm.restore("Account", account)
    world.erp.edit("customer", customer, {"tel": "2"})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", made) or {}, Phone="2")
    assert says(world.crm.get("Account", account) or {}, Phone=None)
    assert [(row.kind, row.error, row.key) for row in world.parked()] == [("review", "double", account)]


@pytest.mark.parametrize("edited", [False, True])
def test_a_record_restored_after_a_lost_answer_does_not_win_over_what_was_said_meanwhile(tmp_path: Path, edited: bool) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(City="Bonn")  # of towns the ERP's is preferred
    world.crm.edit("Account", account, {"City": "Ulm"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    if edited:
        world.erp.edit("customer", customer, {"town": "Trier"})
    world.erp.delete("customer", customer)
    world.crm.edit("Account", account, {"City": "Köln"})
    world.sync()
    world.erp.restore("customer", customer)
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, City="Köln")
    assert says(world.erp.get("customer", customer) or {}, town="Trier" if edited else "Köln")
    assert [row.kind for row in world.parked()] == (["clash"] if edited else [])


def test_what_a_reference_waits_for_is_no_longer_shown_where_it_points_elsewhere_by_now(tmp_path: Path) -> None:
    world = World(tmp_path, rules={"customer": {"fields": {"parent": {"on_clash": {"prefer": ["crm", "erp"]}}}}})
    account, customer = world.joined_customer()
    other = world.crm.create("Account", {"Name": "Other"})
    world.sync_until_quiet()
    world.erp.edit("customer", customer, {"tel": "2", "parent": world.erp.create("customer", {"companyName": "Holding"})})
    world.apply(world.plan())
    world.crm.edit("Account", account, {"Parent": other})
    world.sync_until_quiet()
    assert world.parked() == []


@pytest.mark.parametrize("everywhere", [False, True])
def test_who_is_in_review_beside_a_deleted_record_stays_there_when_it_is_read_anew(tmp_path: Path, everywhere: bool) -> None:
    world = World(tmp_path, rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    double = world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example"})
    world.sync_until_quiet()
    world.crm.delete("Account", account)
    if everywhere:
        world.erp.delete("customer", customer)
    world.sync_until_quiet()
    world.crm.edit("Account", double, {"Phone": "3"})
    world.sync_until_quiet()
    assert world.erp.all("customer") == {}
    assert [(row.kind, row.key) for row in world.parked()] == [("review", double)]


def test_a_clear_made_where_the_answer_to_a_create_was_lost_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path, specs={"erp.customer": {"normalisers": {"mail": ("upper",)}}})
    account = world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    (customer,) = world.erp.all("customer")
    world.crm.faults.add("changes", "before", act=lambda: world.erp.edit("customer", customer, {"mail": None}))
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Email=None)
    assert says(world.erp.get("customer", customer) or {}, mail=None)


def test_the_total_of_a_document_whose_lines_are_all_removed_is_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("SCREW", 2, "3"), ("NUT", 1, "10"))
    world.sync_until_quiet()
    sales, held = world.only("erp", "salesorder")
    world.erp.edit("salesorder", sales, {"total": Decimal(0)}, {"items": row_write(remove=[row["line"] for row in held["items"]])})
    world.crm.faults.add("write", "refused")
    world.sync()
    item = next(key for key, row in world.crm.all("OrderItem").items() if row["Product"] == "SCREW")
    world.crm.edit("Order", order, {"Total": Decimal(10)}, {"OrderItem": row_write(remove=[item])})
    world.sync_until_quiet()
    assert world.crm.all("OrderItem") == {}
    assert says(world.only("erp", "salesorder")[1], total=Decimal(0), items=[])
    assert says(world.crm.get("Order", order) or {}, Total=Decimal(0))


def test_a_line_that_people_replaced_after_a_lost_answer_is_not_written_a_second_time(tmp_path: Path) -> None:
    """The system goes on telling the key of the row that the write added: that row is gone."""
    whole = {**MAPPINGS["order/crm"]["lists"]["lines"], "write": "replace"}
    policies = {"lines": {"on_clash": {"prefer": ["erp", "crm"]}}, "lines.unit_price": {"on_clash": "ask"}}
    world = World(
        tmp_path,
        entities=("customer", "order"),
        mappings={"order/crm": {"lists": {"lines": whole}}},
        rules={"order": {"fields": policies}},
    )
    _, there = world.joined_customer()
    order = world.order_in_erp(there, ("p", 1, "10"))
    kept, at = world.remember(), 0
    while not world.crm.all("Order"):
        at += 1
        world.recall(kept).dying(at)
        with pytest.raises(Died):
            world.sync()
    world.living()
    (key,) = world.crm.all("Order")
    (row,), (line,) = (world.crm.get("Order", key) or {})["OrderItem"], (world.erp.get("salesorder", order) or {})["items"]
    world.erp.edit(
        "salesorder", order, {"total": Decimal(20)}, {"items": row_write(change={line["line"]: {"qty": Decimal(2), "amount": Decimal(20)}})}
    )
    new = {"Product": "p", "Qty": Decimal(1), "Price": Decimal(1), "Amount": Decimal(1)}
    world.crm.edit("Order", key, {"Total": Decimal(1)}, {"OrderItem": row_write([new], {}, [row["Id"]])})
    world.sync()
    (clash,) = world.parked("clash")
    settle_clash(world.store, clash.id, take="crm", person="op", clock=world.clock)
    world.sync_until_quiet()
    (held,) = (world.crm.get("Order", key) or {})["OrderItem"]
    assert (held["Qty"], held["Price"]) == (2, 1)
    assert world.verify().differences == []
