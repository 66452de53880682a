"""Laws 1 to 7, each on whole runs over systems in memory and a real store; the last section runs on PostgreSQL too.

Each law was broken in the engine in the ways below, and the tests were seen red.

====  ==================================================================  ==================================================================
law   how it was broken                                                   red (among others)
====  ==================================================================  ==================================================================
L1    base set to what was asked; no answered value; what else is held    what_a_system_makes_of_a_value, what_a_trigger_assigns_on_create,
      taken into the base unheard                                         an_edit_of_a_rendition
L2    a state older than its link's settle merged, or dropped unread      a_death_between_dropping_an_old_state, a_state_whose_read_began
L3    no intention noted; intention freed without look-up; create         a_create_whose_answer_was_lost, a_create_that_may_exist,
      repeated beside an open intention; no find before a create;         the_same_company_entered_in_both, an_edit_of_a_record_whose_create
      all that a found record holds taken for ours
L4    cursor before its page; incoming dropped before the settle; news    a_death_after_anything_that_lasts, a_worker_whose_lease
      and links in two transactions; fence not checked (merge, push)
L5    writes without expectation, without version; clash dropped;         an_edit_of_the_very_field_between_read_and_write,
      losers not told; an edit after the write read back as a rendition   two_edits_of_one_field, an_edit_between_the_write_and_its
L6    answered values lost at a merge; rewriting not noticed, counted     an_edit_of_one_field_leaves_the, two_systems_that_rewrite,
      within one system, or counted on after a person settled it; of a    one_system_that_goes_to_and_fro, a_person_who_settles,
      group its first field looked at alone                               two_systems_that_change_a_group, what_a_record_brought
L7    required reference treated as optional; waiting children not        a_child_of_a_refused_parent, a_child_that_was_read_before,
      tried again; pending references not woken, not shown                a_reference_to_ones_own_kind, an_optional_reference_is_left_out
three sayings taken by order of arrival                                   merge_gives_one_result_for_every_order
====  ==================================================================  ==================================================================
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from stories.world import FLOW, MAPPINGS, SPECS, Died, World, row_write, says

from erpcrm_bridge.connector import Field
from erpcrm_bridge.errors import FenceLost, TransientError
from erpcrm_bridge.store import IncomingRow
from erpcrm_bridge.sync.desk import settle_clash
from erpcrm_bridge.sync.merge import Policies, Saying, merge
from erpcrm_bridge.testing.system import Rights, Trigger

MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """These stories commit thousands of times: to memory, where the machine has such a place."""
    with TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield Path(folder)


LONG = "Maschinenfabrik und Eisengießerei Gebrüder Obermüller & Söhne GmbH & Co. Kommanditgesellschaft"


# --- L1: a link's base is what the system is known to hold ---------------------------------------------------------------------------


def cut_and_reformatted(tmp_path: Path, **more: Any) -> World:
    return World(
        tmp_path,
        specs={
            "erp.customer": {
                "normalisers": {"companyName": ("trim", "cut:40"), "tel": ("phone",), "credit": ("round:1",), "mail": ("upper",)},
            },
            "crm.Account": {"normalisers": {"Phone": ("trim",), "Vat": ("upper",)}},
        },
        **more,
    )


def test_what_a_system_makes_of_a_value_is_its_rendition_and_makes_no_ping_pong(tmp_path: Path) -> None:
    world = cut_and_reformatted(tmp_path)
    account, customer = world.joined_customer(Name=LONG, Phone="+49 30 / 12 34-56")
    held = world.erp.get("customer", customer)
    assert held is not None
    assert says(held, companyName=LONG[:40], tel="+4930123456", mail="INFO@ACME.EXAMPLE")
    for _ in range(3):
        world.assert_quiet()
    assert says(world.crm.get("Account", account) or {}, Name=LONG, Phone="+49 30 / 12 34-56", Email="info@acme.example")
    assert world.golden().fields["name"] == LONG
    world.assert_agree()


def test_an_edit_of_one_field_leaves_the_renditions_of_the_others_alone(tmp_path: Path) -> None:
    world = cut_and_reformatted(tmp_path)
    account, customer = world.joined_customer(Name=LONG, Phone="+49 30 / 12 34-56")
    world.erp.edit("customer", customer, {"town": "Bonn"})
    assert [(write.stream, write.key) for write in world.writes_of(world.sync)] == [("Account", account)]
    assert says(world.crm.get("Account", account) or {}, City="Bonn", Name=LONG, Phone="+49 30 / 12 34-56")
    world.crm.edit("Account", account, {"Zip": "53111"})
    (write,) = world.writes_of(world.sync)
    changed = {name for name in write.after or {} if (write.after or {})[name] != (write.before or {})[name]}
    assert changed == {"postcode"}


def test_an_edit_of_a_rendition_is_an_edit(tmp_path: Path) -> None:
    world = cut_and_reformatted(tmp_path)
    account, customer = world.joined_customer(Name=LONG)
    world.erp.edit("customer", customer, {"companyName": "Obermüller GmbH"})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Name="Obermüller GmbH")


def test_a_new_golden_value_is_offered_once_and_its_rendition_taken_for_it(tmp_path: Path) -> None:
    world = cut_and_reformatted(tmp_path)
    account, customer = world.joined_customer(Name=LONG)
    world.crm.edit("Account", account, {"Name": LONG + " in Liquidation"})
    assert len(world.writes_of(world.sync)) == 1
    world.assert_quiet()
    world.crm.edit("Account", account, {"Name": "Obermüller"})
    world.sync_until_quiet()
    assert says(world.erp.get("customer", customer) or {}, companyName="Obermüller")
    world.assert_agree()


def test_what_a_trigger_assigns_on_create_flows_back(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        specs={
            "erp.customer": {"triggers": (Trigger("vat", "DE7", on="create", if_empty=True), Trigger("credit", Decimal(500), on="create"))}
        },
    )
    account, _ = world.joined_customer()
    assert says(world.crm.get("Account", account) or {}, Vat="DE7", Limit=Decimal(500))
    world.assert_quiet()
    world.assert_agree()


def test_what_a_trigger_assigns_on_save_flows_back(tmp_path: Path) -> None:
    world = World(tmp_path, specs={"erp.customer": {"triggers": (Trigger("town", "Bonn", on="save"),)}})
    account, _ = world.joined_customer()
    assert says(world.crm.get("Account", account) or {}, City="Bonn")
    world.crm.edit("Account", account, {"Phone": "1"})
    world.sync_until_quiet()
    world.assert_agree()


def worked_out_in_the_crm(tmp_path: Path, *at_each_save: Trigger) -> tuple[World, str, str]:
    """An order of the ERP, created in a CRM that says itself what a line is and what it costs; return their keys."""
    lines = {name: dict(MAPPINGS[name]["lists"]["lines"]) for name in ("order/crm", "order/erp")}
    more = {
        "order/crm": {
            "description": {"external": "Text"},
            "unit_cost": {"external": "Cost", "via": ["decimal"], "direction": "to_canonical"},
        },
        "order/erp": {"description": {"external": "text"}},
    }
    row = next(spec for spec in SPECS["erp"]() if spec.name == "salesorder").inline["items"]
    world = World(
        tmp_path,
        specs={
            "crm.OrderItem": {
                "fields": {"Text": Field("Text", length=80), "Cost": Field("Cost", type="number")},
                "triggers": (*at_each_save, Trigger("Text", "Screw, zinc plated", on="create"), Trigger("Cost", Decimal(1), on="create")),
            },
            "erp.salesorder": {"inline": {"items": {**row, "text": Field("text", length=80)}}},
        },
        mappings={name: {"lists": {"lines": {**part, "fields": part["fields"] | more[name]}}} for name, part in lines.items()},
    )
    _, customer = world.joined_customer()
    order = world.order_in_erp(customer, ("SCREW", 2, "3"))
    world.sync_until_quiet()
    return world, order, world.partner("erp", "salesorder", order, "crm")[0]


def test_what_a_system_fills_into_a_new_line_flows_back(tmp_path: Path) -> None:
    world, order, _ = worked_out_in_the_crm(tmp_path)
    (line,) = world.golden("order").fields["lines"]
    assert says(line, description="Screw, zinc plated", unit_cost=Decimal(1))
    (row,) = (world.erp.get("salesorder", order) or {})["items"]
    assert row["text"] == "Screw, zinc plated"
    world.assert_quiet()
    world.assert_agree()


def test_what_a_system_works_out_anew_when_another_field_of_the_line_is_written_flows_back(tmp_path: Path) -> None:
    anew = Trigger("Text", "Screws by the pound"), Trigger("Cost", Decimal("0.9"))
    world, order, sold = worked_out_in_the_crm(tmp_path, *anew)
    (row,) = (world.erp.get("salesorder", order) or {})["items"]
    world.erp.edit(
        "salesorder", order, {"total": Decimal(15)}, {"items": row_write(change={row["line"]: {"qty": 5, "amount": Decimal(15)}})}
    )
    world.sync_until_quiet()
    (line,) = world.golden("order").fields["lines"]
    assert says(line, quantity=Decimal(5), description="Screws by the pound", unit_cost=Decimal("0.9"))
    (row,) = (world.erp.get("salesorder", order) or {})["items"]
    assert says(row, qty=5, text="Screws by the pound")
    (row,) = (world.crm.get("Order", sold) or {})["OrderItem"]
    assert says(row, Qty=5, Text="Screws by the pound")
    world.assert_quiet()
    world.assert_agree()


def test_two_systems_whose_triggers_fight_over_a_field_fall_silent(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        specs={"erp.customer": {"triggers": (Trigger("tel", "0228"),)}, "crm.Account": {"triggers": (Trigger("Phone", "0221"),)}},
    )
    account, _ = world.joined_customer()
    world.crm.edit("Account", account, {"City": "Köln"})
    assert world.sync_until_quiet() <= 2
    for _ in range(3):
        world.assert_quiet()


# --- L2: a change says how a record stands now ----------------------------------------------------------------------------------------


def test_a_state_whose_read_began_before_the_link_was_settled_is_dropped_and_read_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(Phone="0228")
    (golden,) = world.goldens()
    link = world.links(golden.id)["erp"]
    old = {**(link.base or {}), "tel": None, "town": "Köln"}
    world.store.put_incoming([IncomingRow(link.stream_id, customer, "0", old, link.seq - 1)])
    world.assert_quiet()
    assert world.golden().fields == golden.fields
    assert world.store.count_incoming() == {}
    world.erp.edit("customer", customer, {"town": "Bonn"})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, City="Bonn", Phone="0228")


def test_a_death_between_dropping_an_old_state_and_reading_it_again_loses_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    (golden,) = world.goldens()
    link = world.links(golden.id)["erp"]
    world.erp.edit("customer", customer, {"town": "Bonn"})
    world.erp.faults.add("read", "refused", times=None)
    read = world.erp.get("customer", customer) or {}
    rest = {name: read[name] for name in link.base or {}}
    stream = link.stream_id
    world.store.put_incoming([IncomingRow(stream, customer, "2", rest, link.seq - 1)])
    world.store.set_cursor(FLOW, stream, '["log","customer",99,true]')  # the read that brought it has been noted
    with pytest.raises(TransientError):
        world.sync()
    world.erp.faults.clear()
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, City="Bonn")


def test_a_hundred_edits_are_one_write(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, _ = world.joined_customer()
    for number in range(100):
        world.crm.edit("Account", account, {"City": f"Town {number}"})
    (write,) = world.writes_of(world.sync)
    assert says(write.after or {}, town="Town 99")


def test_a_page_that_comes_twice_changes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, page_size=2)
    for number in range(7):
        world.crm.create("Account", {"Name": f"Firm {number}", "Email": f"{number}@firm.example"})
    world.crm.faults.add("changes", "page_twice", nth=2)
    world.sync_until_quiet()
    assert len(world.erp.all("customer")) == 7
    assert len(world.goldens()) == 7


# --- L3: one intention, one record ----------------------------------------------------------------------------------------------------


def test_a_create_whose_answer_was_lost_is_found_by_its_reference_and_not_repeated(tmp_path: Path) -> None:
    world = World(tmp_path)
    account = world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    assert [row.error for row in world.parked("intention")] == ["unknown"]
    assert world.sync().counts["recovered"] == 1
    assert len(world.erp.all("customer")) == 1
    assert says(world.erp_of(account), companyName="Acme")
    assert world.parked() == []
    world.assert_quiet()


def test_an_invoice_like_create_is_not_repeated_when_the_answers_of_create_and_look_up_are_lost(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, _ = world.joined_customer()
    world.order_in_crm(account, ("SCREW", 2, "3.50"))
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    world.erp.faults.add("find", "answer_lost")
    with pytest.raises(Exception, match="connection broke"):
        world.sync()
    world.sync_until_quiet()
    assert len(world.erp.all("salesorder")) == 1
    assert world.parked() == []


def test_a_create_that_was_not_done_is_free_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    account = world.crm.create("Account", {"Name": "Acme"})
    world.erp.faults.add("write", "partial", done=0)
    world.sync()
    assert world.erp.all("customer") == {}
    world.sync_until_quiet()
    assert says(world.erp_of(account), companyName="Acme")
    assert world.parked() == []


def test_a_create_that_may_exist_and_cannot_be_looked_up_is_parked_and_never_repeated(tmp_path: Path) -> None:
    world = World(tmp_path, specs={"erp.customer": {"capabilities": {"find": False, "upsert": True}}})
    world.crm.create("Account", {"Name": "Acme"})
    world.erp.faults.add("write", "partial", done=0)
    world.sync()
    for _ in range(3):
        assert world.writes_of(world.sync) == []
    (row,) = world.parked("intention")
    assert row.error == "may exist"


def test_half_a_batch_done_and_half_not_ends_in_one_record_each(tmp_path: Path) -> None:
    world = World(tmp_path)
    for number in range(6):
        world.crm.create("Account", {"Name": f"Firm {number}", "Email": f"{number}@firm.example"})
    world.erp.faults.add("write", "partial", done=3)
    world.sync()
    world.sync_until_quiet()
    assert sorted(row["companyName"] for row in world.erp.all("customer").values()) == [f"Firm {n}" for n in range(6)]
    assert world.parked() == []


def test_the_same_company_entered_in_both_systems_while_the_run_is_under_way_is_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example"})
    fields = {"companyName": "Acme", "mail": "info@acme.example", "town": "Bonn"}
    world.erp.faults.add("find", "before", act=lambda: world.erp.create("customer", fields))
    world.sync_until_quiet()
    assert len(world.erp.all("customer")) == 1
    assert len(world.goldens()) == 1
    assert says(world.only("crm", "Account")[1], City="Bonn")


def test_a_child_that_waited_for_a_parent_whose_create_was_lost_waits_no_longer(tmp_path: Path) -> None:
    world = World(tmp_path)
    account = world.crm.create("Account", {"Name": "Acme"})
    world.crm.create("Contact", {"Account": account, "Last": "Doe"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    assert {row.kind for row in world.parked()} == {"intention", "waiting"}
    world.erp.faults.add("write", "answer_lost")  # the contact's create is lost as well
    world.sync()
    world.sync_until_quiet()
    assert len(world.erp.all("person")) == 1
    assert world.parked() == []


def test_an_edit_of_a_record_whose_create_was_lost_is_not_taken_for_its_rendition(tmp_path: Path) -> None:
    world = World(tmp_path)
    account = world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example", "Status": "open"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    customer, _ = world.only("erp", "customer")
    world.erp.edit("customer", customer, {"mail": "office@acme.example"})
    world.sync_until_quiet()
    held = {world.crm.get("Account", account)["Email"], world.erp.get("customer", customer)["mail"]}  # type: ignore[index]
    told = [str(candidate["values"]) for row in world.parked("clash") for candidate in row.data["candidates"]]
    assert held == {"office@acme.example"} or any("office@acme.example" in values for values in told)
    assert says(world.erp.get("customer", customer) or {}, mail="office@acme.example")


def test_an_edit_made_after_a_lost_create_survives_although_golden_moved_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    account = world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    customer, _ = world.only("erp", "customer")
    world.erp.edit("customer", customer, {"town": "Bonn", "tel": "1"})
    world.crm.edit("Account", account, {"Name": "Acme AG"})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, City="Bonn", Phone="1", Name="Acme AG")
    assert says(world.erp.get("customer", customer) or {}, town="Bonn", tel="1", companyName="Acme AG")
    assert world.parked() == []


def test_a_normalised_record_whose_create_was_lost_falls_silent(tmp_path: Path) -> None:
    world = cut_and_reformatted(tmp_path)
    account = world.crm.create("Account", {"Name": LONG, "Phone": "+49 30 / 12"})
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Name=LONG)
    assert len(world.erp.all("customer")) == 1


def test_lines_of_an_order_whose_create_was_lost_are_known_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("SCREW", 2, "3.50"), ("NUT", 1, "10"), ("NUT", 1, "10"))
    world.erp.faults.add("write", "answer_lost")
    world.sync()
    world.sync_until_quiet()
    key, held = world.partner("crm", "Order", order, "erp")
    assert [row["item"] for row in held["items"]] == ["SCREW", "NUT", "NUT"]
    assert world.parked() == []
    world.erp.edit(
        "salesorder",
        key,
        {"total": Decimal(24)},
        {"items": row_write(change={held["items"][0]["line"]: {"qty": 4, "rate": 1, "amount": 4}})},
    )
    world.sync_until_quiet()
    rows = (world.crm.get("Order", order) or {})["OrderItem"]
    assert sorted(row["Amount"] for row in rows) == [4, 10, 10]


def test_an_update_goes_by_the_systems_key_and_does_not_raise_the_dead(tmp_path: Path) -> None:
    world = World(tmp_path, specs={"erp.customer": {"capabilities": {"upsert": True}}})
    account, customer = world.joined_customer()
    world.crm.edit("Account", account, {"City": "Bonn"})
    world.erp.faults.add("read", "before", act=lambda: world.erp.delete("customer", customer))
    world.sync_until_quiet()
    assert world.erp.all("customer") == {}


def test_a_reference_that_others_filled_is_not_overwritten(tmp_path: Path) -> None:
    world = World(tmp_path)
    account = world.crm.create("Account", {"Name": "Acme", "Ref": "SHOP-4711"})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Ref="SHOP-4711")
    assert says(world.erp_of(account), companyName="Acme")


# --- L4: whole or not at all, and a death at any moment -------------------------------------------------------------------------------


def storm(world: World) -> None:
    """Much at once: new records with parent, contact and order here and there, edits of both sides, a refused edit, a delete."""
    crm, erp = world.crm, world.erp
    (old_account,) = crm.all("Account")
    (old_customer,) = erp.all("customer")
    crm.edit("Account", old_account, {"City": "Bonn", "Vat": "NOT-OURS"})
    erp.edit("customer", old_customer, {"tel": "0228 1"})
    (order,) = crm.all("Order")
    row = crm.all("Order")[order]["OrderItem"][0]
    crm.edit(
        "Order",
        order,
        {"Total": Decimal(40)},
        {
            "OrderItem": row_write(
                add=[{"Product": "NUT", "Qty": 1, "Price": 1, "Amount": 1}], change={row["Id"]: {"Qty": 13, "Amount": 39}}
            )
        },
    )
    mother = crm.create("Account", {"Name": "Mother", "Email": "m@a.example"})
    child = crm.create("Account", {"Name": "Child", "Email": "c@a.example", "Parent": mother})
    crm.create("Contact", {"Account": child, "Last": "Doe", "Email": "doe@a.example"})
    world.order_in_crm(child, ("SCREW", 2, "3.50"), ("NUT", 3, "1"), Number="SO-2")
    shop = erp.create("customer", {"companyName": "Shop", "mail": "s@a.example", "inactive": "no"})
    erp.create("person", {"customer": shop, "last": "Roe", "mail": "roe@a.example"})
    world.order_in_erp(shop, ("BOLT", 1, "7"), docno="SO-3")
    (sold,) = (key for key, fields in erp.all("salesorder").items() if fields["docno"] == "SO-1")
    erp.move("salesorder", sold, "state", "Approved")


def before_the_storm(tmp_path: Path, store_url: str | None = None) -> World:
    world = World(
        tmp_path,
        store_url=store_url,
        specs={
            "erp.customer": {"normalisers": {"tel": ("phone",)}, "triggers": (Trigger("postcode", "53111", on="create", if_empty=True),)},
        },
    )
    account, _ = world.joined_customer()
    world.order_in_crm(account, ("SCREW", 10, "3"))
    world.sync_until_quiet()
    return world


def contents(world: World) -> dict[str, Any]:
    """What the systems hold, by what people call it; without keys and references of the systems, which a death may change."""
    names: dict[str, str] = {}
    for system in world.systems.values():
        for stream in system.specs:
            for key, fields in system.all(stream).items():
                names[key] = str(
                    next((fields[n] for n in ("Name", "companyName", "Last", "last", "Number", "docno") if fields.get(n)), key)
                )

    def plain(value: Any, name: str = "") -> Any:
        if isinstance(value, list):
            return sorted((plain(row) for row in value), key=str)
        if isinstance(value, dict):
            return {n: plain(v, n) for n, v in sorted(value.items()) if n not in ("Id", "Ref", "line")}
        return names.get(value, value) if isinstance(value, str) else value

    return {
        f"{role}.{stream}": sorted((plain(fields) for fields in system.all(stream).values()), key=str)
        for role, system in world.systems.items()
        for stream in system.specs
    }


def test_a_death_after_anything_that_lasts_makes_no_double_and_loses_nothing(tmp_path: Path) -> None:
    calm = before_the_storm(tmp_path)
    memories = calm.remember()
    storm(calm)
    counted = calm.dying(0)
    calm.sync()
    calm.living()
    calm.sync_until_quiet()
    expected = contents(calm)
    assert calm.parked() == []
    places = counted.where
    assert len(places) > 40
    for at in range(1, len(places) + 1):
        world = calm.recall(memories)
        storm(world)
        world.dying(at)
        with pytest.raises(Died):
            world.sync()
        world.living()
        world.sync_until_quiet()
        assert contents(world) == expected, f"after a death {places[at - 1]} ({at} of {len(places)})"
        assert world.parked() == [], f"after a death {places[at - 1]} ({at} of {len(places)})"


def page_stored(world: World) -> bool:
    return world.store.cursor(FLOW, world.store.stream_id("crm-system", "Account")) != '["log","Account",0,true]'


def merge_stored(world: World) -> bool:
    return bool(world.goldens())


def intention_stored(world: World) -> bool:
    return bool(world.store.open_intentions(list(world.store.streams())))


def write_settled(world: World) -> bool:
    return world.links(world.golden().id)["erp"].key is not None


@pytest.mark.parametrize(
    ("call", "stored"),
    [
        ("put_incoming", page_stored),
        ("add_golden", merge_stored),
        ("add_intentions", intention_stored),
        ("drop_intentions", write_settled),
    ],
)
def test_a_worker_whose_lease_went_to_another_settles_nothing(tmp_path: Path, call: str, stored: Callable[[World], bool]) -> None:
    world = World(tmp_path, entities=["customer"])
    assert not page_stored(world)
    world.crm.create("Account", {"Name": "Acme"})
    world.through = lambda store: LosesItsLease(store, call)
    with pytest.raises(FenceLost):
        world.sync()
    assert not stored(world)
    world.living()
    world.sync_until_quiet()
    assert page_stored(world)
    assert len(world.erp.all("customer")) == 1


class LosesItsLease:
    """A store in which another worker takes the lease over within the transaction that makes ``call``."""

    def __init__(self, store: Any, call: str) -> None:
        self._store, self._call = store, call

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            self._store.lease(FLOW, "another worker", 0.0)
        return getattr(self._store, name)


# --- L5: no lost edit -----------------------------------------------------------------------------------------------------------------


CONDITIONAL = [False, True]


@pytest.mark.parametrize("conditional", CONDITIONAL)
def test_an_edit_between_read_and_write_ends_stale_and_both_edits_are_kept(tmp_path: Path, conditional: bool) -> None:
    world = World(tmp_path, specs={"erp.customer": {"capabilities": {"conditional": conditional}}})
    account, customer = world.joined_customer()
    world.crm.edit("Account", account, {"City": "Bonn"})
    verb = "write" if conditional else "read"
    world.erp.faults.add(verb, "before", act=lambda: world.erp.edit("customer", customer, {"tel": "0228"}))
    report = world.sync()
    assert report.counts.get("moved meanwhile", 0) == (1 if conditional else 0)
    world.sync_until_quiet()
    for role, stream, key, city, phone in (("crm", "Account", account, "City", "Phone"), ("erp", "customer", customer, "town", "tel")):
        assert says(world.systems[role].get(stream, key) or {}, **{city: "Bonn", phone: "0228"})


@pytest.mark.parametrize("conditional", CONDITIONAL)
def test_an_edit_of_the_very_field_between_read_and_write_is_a_clash_and_not_overwritten(tmp_path: Path, conditional: bool) -> None:
    world = World(tmp_path, specs={"erp.customer": {"capabilities": {"conditional": conditional}}})
    account, customer = world.joined_customer()
    world.crm.edit("Account", account, {"Email": "crm@acme.example"})
    verb = "write" if conditional else "read"
    world.erp.faults.add(verb, "before", act=lambda: world.erp.edit("customer", customer, {"mail": "erp@acme.example"}))
    report = world.sync()
    assert report.counts["moved meanwhile"] == 1
    assert says(world.erp.get("customer", customer) or {}, mail="erp@acme.example")
    (clash,) = world.parked("clash")
    assert {tuple(candidate["values"]) for candidate in clash.data["candidates"]} == {("crm@acme.example",), ("erp@acme.example",)}
    settle_clash(world.store, clash.id, take="erp", person="anna", clock=world.clock)
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Email="erp@acme.example")
    assert world.parked() == []


def test_an_edit_between_the_write_and_its_reading_back_is_not_taken_for_a_rendition(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    world.crm.edit("Account", account, {"Email": "crm@acme.example"})
    world.erp.faults.add("write", "after", act=lambda: world.erp.edit("customer", customer, {"mail": "erp@acme.example"}))
    world.sync_until_quiet()
    assert not lost(world, account, customer, "erp@acme.example")


def lost(world: World, account: str, customer: str, mail: str) -> bool:
    """Tell whether an edit of the e-mail is neither in both systems, nor before a person, nor in the history as a loser."""
    (golden,) = world.goldens()
    agreed = golden.fields["email"] == mail and says(world.crm.get("Account", account) or {}, Email=mail)
    asked = any([mail] == c["values"] for row in world.parked("clash") for c in row.data["candidates"])
    told = any(mail in str(row.data.get("losers")) for row in world.store.history(golden.id))
    return not (agreed or asked or told)


def test_two_edits_of_one_field_lose_none_whatever_the_order_of_the_systems(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    world.crm.edit("Account", account, {"Name": "Acme CRM", "Email": "crm@acme.example"})
    world.erp.edit("customer", customer, {"companyName": "Acme ERP", "mail": "erp@acme.example"})
    world.sync_until_quiet()
    assert says(world.erp.get("customer", customer) or {}, companyName="Acme CRM", mail="erp@acme.example")
    (golden,) = world.goldens()
    assert "Acme ERP" in str([row.data.get("losers") for row in world.store.history(golden.id)])
    (clash,) = world.parked("clash")
    assert clash.field == "email"
    assert not lost(world, account, customer, "erp@acme.example")
    assert not lost(world, account, customer, "crm@acme.example")


def test_two_people_who_edit_two_fields_of_one_record_both_keep_their_edit(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    world.crm.edit("Account", account, {"City": "Bonn"})
    world.erp.edit("customer", customer, {"tel": "0228"})
    world.sync_until_quiet()
    world.assert_agree()
    # billing moves as a whole, the telephone by itself
    assert says(world.crm.get("Account", account) or {}, City="Bonn", Phone="0228")
    assert says(world.erp.get("customer", customer) or {}, town="Bonn", tel="0228")


def test_a_cleared_field_is_cleared_on_the_other_side(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(Phone="0228")
    world.erp.edit("customer", customer, {"tel": None})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Phone=None)


def test_edits_of_different_lines_of_one_order_in_both_systems_are_both_kept(tmp_path: Path) -> None:
    world = World(tmp_path, rules={"order": {"fields": {"total": {"on_clash": "max"}, "state": {"write_by": ["erp"]}}}})
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("SCREW", 10, "3"), ("NUT", 5, "1"))
    world.sync_until_quiet()
    key, held = world.partner("crm", "Order", order, "erp")
    rows = {row["item"]: row["line"] for row in held["items"]}
    screw = next(row for row in (world.crm.get("Order", order) or {})["OrderItem"] if row["Product"] == "SCREW")
    # each edit leaves the total as it was: prices and quantities move against one another
    world.crm.edit("Order", order, {}, {"OrderItem": row_write(change={screw["Id"]: {"Qty": 5, "Price": 6}})})
    world.erp.edit("salesorder", key, {}, {"items": row_write(change={rows["NUT"]: {"qty": 1, "rate": 5}})})
    world.sync_until_quiet()
    (golden,) = world.goldens("order")
    assert {line["product"]: (line["quantity"], line["unit_price"]) for line in golden.fields["lines"]} == {"SCREW": (5, 6), "NUT": (1, 5)}
    world.assert_agree()
    assert world.parked() == []


def test_edits_of_different_lines_that_each_change_the_total_are_both_kept_and_the_total_is_their_sum(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("SCREW", 10, "3"), ("NUT", 5, "1"))
    world.sync_until_quiet()
    key, held = world.partner("crm", "Order", order, "erp")
    rows = {row["item"]: row["line"] for row in held["items"]}
    screw = next(row for row in (world.crm.get("Order", order) or {})["OrderItem"] if row["Product"] == "SCREW")
    world.crm.edit("Order", order, {"Total": Decimal(38)}, {"OrderItem": row_write(change={screw["Id"]: {"Qty": 11, "Amount": 33}})})
    world.erp.edit("salesorder", key, {"total": Decimal(37)}, {"items": row_write(change={rows["NUT"]: {"qty": 7, "amount": 7}})})
    world.sync_until_quiet()
    assert says(world.crm.get("Order", order) or {}, Total=40)
    assert says(world.erp.get("salesorder", key) or {}, total=40)
    assert world.parked() == []
    world.assert_agree()


def test_a_record_whose_state_is_parked_is_not_written_over(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("SCREW", 10, "3"))
    world.sync_until_quiet()
    key, _ = world.partner("crm", "Order", order, "erp")
    world.erp.edit("salesorder", key, {"total": Decimal(99), "po": "PO-9"})
    world.crm.edit("Order", order, {"Date": "2026-05-02"})
    assert world.writes_of(world.sync) == []
    (row,) = world.parked()
    assert (row.kind, row.error) == ("record", "total")
    world.erp.edit("salesorder", key, {"total": Decimal(30)})
    world.sync_until_quiet()
    assert says(world.erp.get("salesorder", key) or {}, day="2026-05-02", po="PO-9")
    assert says(world.crm.get("Order", order) or {}, Date="2026-05-02", Po="PO-9")
    assert world.parked() == []


# --- L6: quiet is quiet ---------------------------------------------------------------------------------------------------------------


def test_when_nothing_changes_a_run_writes_nothing_anywhere(tmp_path: Path) -> None:
    world = before_the_storm(tmp_path)
    storm(world)
    world.sync_until_quiet()
    seq = world.store.seq()
    for _ in range(3):
        world.assert_quiet()
    assert world.store.seq() == seq  # nor is anything settled in the store


def test_after_a_storm_all_systems_agree_and_fall_silent(tmp_path: Path) -> None:
    world = before_the_storm(tmp_path)
    storm(world)
    assert world.sync_until_quiet() <= 2
    world.assert_agree()
    assert world.parked() == []


STATUS = {"Status": "closed"}, {"inactive": "no"}
CITY = {"City": "Ulm"}, {"town": "Bonn"}


def fight(world: World, account: str, customer: str, times: int, over: tuple[dict[str, str], dict[str, str]] = STATUS) -> int:
    """Two jobs that each set a field their way whenever the other's came; return in which round nobody got the last word."""
    here, there = over
    for number in range(1, times + 1):
        world.crm.edit("Account", account, here)
        world.sync()
        if world.parked("clash"):
            return number
        world.erp.edit("customer", customer, there)
        world.sync()
        if world.parked("clash"):
            return number
    return 0


@pytest.mark.parametrize("over", [STATUS, CITY], ids=["one field", "a group"])
def test_two_systems_that_rewrite_one_another_end_in_a_clash_on_the_third_time(
    tmp_path: Path, over: tuple[dict[str, str], dict[str, str]]
) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(Status="open")
    assert fight(world, account, customer, 6, over) == 3
    (clash,) = world.parked("clash")
    assert clash.data["why"] == "two systems rewrite one another"
    before = world.erp.get("customer", customer), world.crm.get("Account", account)
    world.assert_quiet()
    assert (world.erp.get("customer", customer), world.crm.get("Account", account)) == before


def test_a_person_who_settles_the_rewriting_is_not_asked_at_once_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(Status="open")
    fight(world, account, customer, 6)
    (clash,) = world.parked("clash")
    settle_clash(world.store, clash.id, take="erp", person="anna", clock=world.clock)
    world.sync_until_quiet()
    world.crm.edit("Account", account, {"Status": "closed"})
    world.sync_until_quiet()
    assert world.parked("clash") == []
    assert says(world.erp.get("customer", customer) or {}, inactive="yes")


def test_one_system_that_goes_to_and_fro_by_itself_is_no_rewriting(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(Status="open")
    for status, held in [("closed", "yes"), ("open", "no")] * 4:
        world.crm.edit("Account", account, {"Status": status})
        world.sync_until_quiet()
        assert says(world.erp.get("customer", customer) or {}, inactive=held)
    assert world.parked() == []


def test_two_systems_that_change_a_group_by_turns_to_ever_new_values_rewrite_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(City="Bonn")  # its street, the first of the group, stays empty
    for number in range(4):
        world.crm.edit("Account", account, {"City": f"Ulm {number}"})
        world.sync_until_quiet()
        assert says(world.erp.get("customer", customer) or {}, town=f"Ulm {number}")
        world.erp.edit("customer", customer, {"town": f"Bonn {number}"})
        world.sync_until_quiet()
        assert says(world.crm.get("Account", account) or {}, City=f"Bonn {number}")
    assert world.parked() == []


def test_what_a_record_brought_when_it_was_bound_counts_as_taken_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    account = world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example"})
    fields = {"companyName": "Acme", "mail": "info@acme.example", "town": "Bonn"}
    world.erp.faults.add("find", "before", act=lambda: world.erp.create("customer", fields))
    world.sync_until_quiet()
    assert fight(world, account, world.only("erp", "customer")[0], 6, CITY) == 2


def test_an_edit_by_a_system_that_may_not_write_the_field_is_set_back_once_and_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    customer = world.erp.create("customer", {"companyName": "Acme", "vat": "DE1"})
    world.sync_until_quiet()
    account, _ = world.partner("erp", "customer", customer, "crm")
    world.crm.edit("Account", account, {"Vat": "DE2"})
    assert len(world.writes_of(world.sync)) == 1
    world.assert_quiet()
    assert says(world.crm.get("Account", account) or {}, Vat="DE1")
    (golden,) = world.goldens()
    assert "DE2" in str([row.data.get("refused") for row in world.store.history(golden.id)])


# --- L7: parents first ----------------------------------------------------------------------------------------------------------------


def test_a_child_waits_for_its_parent_says_for_whom_and_goes_by_itself(tmp_path: Path) -> None:
    world = World(tmp_path)
    account = world.crm.create("Account", {"Name": "Acme"})
    contact = world.crm.create("Contact", {"Account": account, "Last": "Doe", "Email": "doe@acme.example"})
    world.erp.faults.add("write", "refused")  # the customer's create; nothing else of the ERP is reached in this run
    world.sync()
    assert world.erp.all("person") == {}
    world.sync_until_quiet()
    assert says(world.partner("crm", "Contact", contact, "erp")[1], customer=world.only("erp", "customer")[0])
    assert world.parked() == []


def test_a_child_of_a_refused_parent_waits_and_follows_when_the_parent_is_put_right(tmp_path: Path) -> None:
    world = World(tmp_path, specs={"erp.customer": {"fields": {"tel": Field("tel", length=255, required=True)}}})
    account = world.crm.create("Account", {"Name": "Acme"})
    contact = world.crm.create("Contact", {"Account": account, "Last": "Doe"})
    for _ in range(3):
        world.sync()
        assert world.erp.all("person") == {}
    (waits,) = world.parked("waiting")
    (golden,) = world.goldens()
    assert waits.waits_for == golden.id
    assert "customer" in waits.reason
    assert waits.entity == "contact"
    world.crm.edit("Account", account, {"Phone": "0228"})
    world.sync_until_quiet()
    assert says(world.partner("crm", "Contact", contact, "erp")[1], last="Doe")
    assert world.parked() == []


def test_a_child_that_was_read_before_its_parent_could_be_waits_and_goes_by_itself(tmp_path: Path) -> None:
    world = World(tmp_path)
    account = world.crm.create("Account", {"Name": "Acme"})
    world.crm.create("Contact", {"Account": account, "Last": "Doe"})
    world.crm.rights["bridge"] = Rights(hidden_records={"Account": (account,)})
    world.sync()
    assert world.goldens("contact") == []
    (waits,) = world.parked("waiting")
    assert waits.waits_for == f"customer {account}"
    assert world.erp.all("person") == {}
    world.crm.rights["bridge"] = Rights()
    world.crm.edit("Account", account, {"City": "Bonn"})
    world.sync_until_quiet()
    assert says(world.only("erp", "person")[1], last="Doe", customer=world.only("erp", "customer")[0])
    assert world.parked() == []


def test_a_reference_to_ones_own_kind_is_written_when_its_target_is_there(tmp_path: Path) -> None:
    world = World(tmp_path)
    child = world.crm.create("Account", {"Name": "Child", "Email": "c@acme.example"})
    mother = world.crm.create("Account", {"Name": "Mother", "Email": "m@acme.example"})
    world.crm.edit("Account", child, {"Parent": mother})
    world.crm.edit("Account", mother, {"Parent": child})  # and round: an optional reference may go in circles
    world.sync_until_quiet()
    keys = {fields["companyName"]: (key, fields["parent"]) for key, fields in world.erp.all("customer").items()}
    assert keys["Child"][1] == keys["Mother"][0]
    assert keys["Mother"][1] == keys["Child"][0]
    assert world.parked() == []


def test_an_optional_reference_is_left_out_shown_as_pending_and_written_when_its_target_is_linked(tmp_path: Path) -> None:
    must_call = {"tel": Field("tel", length=255, required=True)}
    world = World(tmp_path, specs={"erp.customer": {"fields": must_call}})
    mother = world.crm.create("Account", {"Name": "Mother"})
    child = world.crm.create("Account", {"Name": "Child", "Phone": "1", "Parent": mother})
    world.sync()
    held = world.erp_of(child)
    assert says(held, companyName="Child", parent=None)
    (pending,) = world.parked("waiting")
    assert (pending.field, pending.entity) == ("parent", "customer")
    (shown,) = [difference for difference in world.verify().differences if difference.path == "parent"]
    assert shown.known == "pending"
    world.assert_quiet()
    world.crm.edit("Account", mother, {"Phone": "2"})
    world.sync_until_quiet()
    (target,) = [key for key, fields in world.erp.all("customer").items() if fields["companyName"] == "Mother"]
    assert says(world.erp_of(child), parent=target)
    assert world.parked() == []


def test_an_optional_reference_read_before_its_target_fills_in_when_the_target_comes(tmp_path: Path) -> None:
    world = World(tmp_path)
    mother = world.crm.create("Account", {"Name": "Mother"})
    child = world.crm.create("Account", {"Name": "Child", "Parent": mother})
    world.crm.rights["bridge"] = Rights(hidden_records={"Account": (mother,)})
    world.sync()
    assert says(world.erp_of(child), companyName="Child", parent=None)
    world.crm.rights["bridge"] = Rights()
    world.crm.edit("Account", mother, {"City": "Bonn"})
    world.sync_until_quiet()
    (target,) = [key for key, fields in world.erp.all("customer").items() if fields["companyName"] == "Mother"]
    assert says(world.erp_of(child), parent=target)
    assert world.parked() == []


def test_what_cannot_be_read_stays_parked_when_the_target_of_a_reference_comes(tmp_path: Path) -> None:
    world = World(tmp_path)
    mother = world.crm.create("Account", {"Name": "Mother"})
    child = world.crm.create("Account", {"Name": "Child", "Parent": mother, "Status": "perhaps"})
    world.crm.rights["bridge"] = Rights(hidden_records={"Account": (mother,)})
    world.sync()
    world.crm.rights["bridge"] = Rights()
    world.crm.edit("Account", mother, {"City": "Bonn"})
    world.sync_until_quiet()
    assert [(row.key, row.field) for row in world.parked()] == [(child, "status")]
    customer, _ = world.partner("crm", "Account", child, "erp")
    world.erp.edit("customer", customer, {"inactive": "yes"})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", child) or {}, Status="perhaps")
    assert [(row.key, row.field) for row in world.parked()] == [(child, "status")]


def test_a_cleared_reference_is_cleared_and_a_moved_one_follows(tmp_path: Path) -> None:
    world = World(tmp_path)
    one = world.crm.create("Account", {"Name": "One", "Email": "1@a.example"})
    two = world.crm.create("Account", {"Name": "Two", "Email": "2@a.example"})
    child = world.crm.create("Account", {"Name": "Child", "Email": "3@a.example", "Parent": one})
    world.sync_until_quiet()
    world.crm.edit("Account", child, {"Parent": two})
    world.sync_until_quiet()
    assert world.erp_of(child)["parent"] == world.partner("crm", "Account", two, "erp")[0]
    world.erp.edit("customer", world.partner("crm", "Account", child, "erp")[0], {"parent": None})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", child) or {}, Parent=None)
    world.assert_quiet()


# --- three systems in one flow --------------------------------------------------------------------------------------------------------


THREE = ("crm", "erp", "shop")


def test_three_systems_come_to_hold_the_same_and_fall_silent(tmp_path: Path) -> None:
    world = World(tmp_path, roles=THREE, specs={"shop.client": {"normalisers": {"label": ("cut:20", "upper"), "tel": ("phone",)}}})
    account = world.crm.create("Account", {"Name": LONG, "Phone": "+49 30 / 12"})
    client = world.shop.create("client", {"label": "Shop only", "mail": "x@shop.example"})
    customer = world.erp.create("customer", {"companyName": "Erp only", "vat": "DE1"})
    world.sync_until_quiet()
    assert [len(world.systems[role].all(s)) for role, s in zip(THREE, ("Account", "customer", "client"), strict=True)] == [3, 3, 3]
    assert says(world.partner("crm", "Account", account, "shop")[1], label=LONG[:20].upper(), tel="+493012")
    assert says(world.partner("crm", "Account", account, "erp")[1], companyName=LONG, tel="+49 30 / 12")
    assert says(world.partner("erp", "customer", customer, "shop")[1], label="ERP ONLY", vat="DE1")
    assert says(world.partner("shop", "client", client, "erp")[1], companyName="SHOP ONLY", mail="x@shop.example")
    world.assert_agree()


def test_the_order_of_arrival_of_three_edits_decides_nothing(tmp_path: Path) -> None:
    ends = []
    for number, order in enumerate([THREE, THREE[::-1], ("erp", "shop", "crm")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(folder, roles=THREE)
        account, customer = world.joined_customer()
        client, _ = world.partner("crm", "Account", account, "shop")
        edits: dict[str, tuple[str, str, dict[str, Any]]] = {
            "crm": ("Account", account, {"Name": "From CRM", "Email": "crm@a.example"}),
            "erp": ("customer", customer, {"companyName": "From ERP", "mail": "erp@a.example"}),
            "shop": ("client", client, {"label": "From shop", "mail": "shop@a.example"}),
        }
        for role in order:
            world.systems[role].edit(*edits[role])
        world.sync_until_quiet()
        clash = sorted(str(c["values"]) for row in world.parked("clash") for c in row.data["candidates"])
        ends.append((world.golden().fields["name"], world.golden().fields["email"], clash))
        world.close()
    assert ends[0][0] == "From CRM"
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("path", ["name", "email", "phone", "tax_id"])
def test_merge_gives_one_result_for_every_order_of_what_is_said(tmp_path: Path, path: str) -> None:
    world = World(tmp_path, roles=THREE)
    policies = Policies(world.library.entities["customer"])
    sayings = [
        Saying(role, role, "2", {path: value}, {path: "old"}, frozenset({path}), lambda _: True)
        for role, value in zip(THREE, ("one", "two", "one"), strict=True)
    ]
    roles = {role: role for role in THREE}
    ends = [
        merge({path: "old"}, {"*": ["crm", "1", "R"]}, list(order), policies, roles=roles, frozen={}) for order in permutations(sayings)
    ]
    assert all(end == ends[0] for end in ends)
    assert ends[0].changes or ends[0].clashes


def test_two_of_three_that_moved_to_the_same_are_one_edit(tmp_path: Path) -> None:
    world = World(tmp_path, roles=THREE)
    account, customer = world.joined_customer()
    client, _ = world.partner("crm", "Account", account, "shop")
    world.crm.edit("Account", account, {"Email": "new@a.example"})
    world.erp.edit("customer", customer, {"mail": "NEW@a.example"})
    world.sync_until_quiet()
    assert says(world.shop.get("client", client) or {}, mail="new@a.example")
    assert world.parked() == []
    assert says(world.erp.get("customer", customer) or {}, mail="NEW@a.example")


def test_a_system_that_is_away_stops_nobody_else_and_catches_up(tmp_path: Path) -> None:
    world = World(tmp_path, roles=THREE)
    account, customer = world.joined_customer()
    client, _ = world.partner("crm", "Account", account, "shop")
    world.crm.edit("Account", account, {"Phone": "0228"})
    world.shop.faults.add("write", "refused")
    report = world.sync()
    assert list(report.away) == ["shop"]
    assert says(world.erp.get("customer", customer) or {}, tel="0228")
    world.sync_until_quiet()
    assert says(world.shop.get("client", client) or {}, tel="0228")


# --- the same on PostgreSQL -----------------------------------------------------------------------------------------------------------


def test_the_storm_ends_the_same_on_each_store(tmp_path: Path, store_url: str) -> None:
    world = before_the_storm(tmp_path, store_url)
    storm(world)
    world.erp.faults.add("write", "answer_lost", nth=2)
    world.erp.faults.add("read", "refused", nth=3)
    world.sync_until_quiet()
    assert world.parked() == []
    world.assert_agree()
    assert len(world.erp.all("salesorder")) == 3
    world.close()
