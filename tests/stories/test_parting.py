"""A copy that is parted from its golden record: what it said leaves the clashes of that record, and is written into no other copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from erpcrm_bridge.sync import binding
from erpcrm_bridge.sync.binding import Deed, place
from erpcrm_bridge.sync.desk import after_delete, settle_clash

from .test_continues import QUOTE, quote, trade
from .world import World, row_write, says

MINE, THEIRS = "crm@acme.example", "erp@acme.example"


def part(world: World, act: str, named: str, **more: Any) -> Deed:
    with world.at_work() as (flow, store, _):
        deed: Deed = getattr(binding, act)(flow, store, place(flow, store, named), person="pat", clock=world.clock, **more)
        return deed


def in_clash(world: World, **fields: Any) -> tuple[str, str]:
    """Let the e-mail of one customer be edited apart; return its keys."""
    account, customer = world.joined_customer(**fields)
    world.crm.edit("Account", account, {"Email": MINE})
    world.erp.edit("customer", customer, {"mail": THEIRS})
    world.sync()
    assert said(world) == {"crm": [MINE], "erp": [THEIRS]}
    return account, customer


def said(world: World) -> dict[str, list[object]]:
    """Return who says what in the only open clash."""
    (row,) = world.parked("clash")
    return {candidate["by"]: candidate["values"] for candidate in row.data["candidates"]}


@pytest.mark.parametrize("act", ["unlink", "unmerge"])
@pytest.mark.parametrize("parted", ["crm", "erp"])
def test_where_one_copy_is_left_the_clash_is_over_and_golden_is_what_that_copy_says(tmp_path: Path, act: str, parted: str) -> None:
    world = World(tmp_path)
    account, customer = in_clash(world)
    left = world.golden_of("crm", "Account", account)
    part(world, act, f"crm:{account}" if parted == "crm" else f"erp:{customer}")
    assert world.parked("clash") == []
    assert world.writes_of(world.sync) == []
    golden = world.store.golden([left])[left]
    stays, value = ("erp", THEIRS) if parted == "crm" else ("crm", MINE)
    assert (golden.fields["email"], golden.authors["email"][0]) == (value, stays)
    assert not world.links(left)[stays].dirty
    assert [
        row.data["fields"] for row in world.store.history(left) if row.data.get("rules", {}).get("email", "").endswith("was parted")
    ] == [{"email": ["info@acme.example", value]}]
    stream, key, name = ("customer", customer, "mail") if stays == "erp" else ("Account", account, "Email")
    world.systems[stays].edit(stream, key, {name: "next@acme.example"})  # it is frozen no more
    world.sync()
    assert world.store.golden([left])[left].fields["email"] == "next@acme.example"
    assert says(world.crm.get("Account", account) or {}, Email="next@acme.example" if stays == "crm" else MINE)
    assert says(world.erp.get("customer", customer) or {}, mail="next@acme.example" if stays == "erp" else THEIRS)


def test_what_is_only_shown_leaves_the_clash_as_it_is_and_says_so(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, _ = in_clash(world)
    deed = part(world, "unlink", f"crm:{account}", do=False)
    assert deed.says[-1] == "What it says of email leaves the clash."
    assert said(world) == {"crm": [MINE], "erp": [THEIRS]}


def test_what_was_parted_and_comes_back_is_in_clash_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    _, customer = in_clash(world)
    golden = world.golden().id
    part(world, "unlink", f"erp:{customer}")
    world.sync()
    with world.at_work() as (flow, store, _):
        binding.link(flow, store, place(flow, store, f"erp:{customer}"), place(flow, store, golden), person="pat", clock=world.clock)
    assert world.writes_of(world.sync) == []
    assert said(world) == {"crm": [MINE], "erp": [THEIRS]}


def test_where_several_values_are_left_the_clash_stays_open_with_these(tmp_path: Path) -> None:
    world = World(tmp_path, roles=("crm", "erp", "shop"), entities=("customer",))
    account, customer = world.joined_customer()
    client, _ = world.partner("crm", "Account", account, "shop")
    for role, stream, key, name in (("crm", "Account", account, "Email"), ("erp", "customer", customer, "mail")):
        world.systems[role].edit(stream, key, {name: f"{role}@acme.example"})
    world.shop.edit("client", client, {"mail": "shop@acme.example"})
    world.sync()
    part(world, "unlink", f"erp:{customer}")
    assert world.writes_of(world.sync) == []
    assert said(world) == {"crm": [MINE], "shop": ["shop@acme.example"]}
    (row,) = world.parked("clash")
    assert row.reason.endswith("(crm, shop)")
    settle_clash(world.store, row.id, take="shop", person="pat", clock=world.clock)
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Email="shop@acme.example")
    assert says(world.erp.get("customer", customer) or {}, mail=THEIRS)


def test_an_edit_that_was_alone_goes_to_those_who_had_nothing_to_say(tmp_path: Path) -> None:
    world = World(tmp_path, roles=("crm", "erp", "shop"), entities=("customer",))
    account, customer = in_clash(world)
    client, _ = world.partner("crm", "Account", account, "shop")
    part(world, "unmerge", f"erp:{customer}")
    world.sync_until_quiet()
    assert says(world.shop.get("client", client) or {}, mail=MINE)
    assert says(world.erp.get("customer", customer) or {}, mail=THEIRS)


@pytest.mark.parametrize("shop", [True, False])
def test_golden_s_own_value_stays_in_the_clash_only_where_a_copy_that_is_left_holds_it(tmp_path: Path, shop: bool) -> None:
    """The ERP said golden's value; a record that was linked by hand says another."""
    roles = ("crm", "erp", *(["shop"] if shop else []))
    creates = {"customer": ["shop"]} if shop else {"customer": []}
    world = World(tmp_path, roles=roles, entities=("customer",), create_in=creates)
    customer = world.erp.create("customer", {"companyName": "Acme", "mail": THEIRS})
    world.sync_until_quiet()
    golden = world.golden().id
    account = world.crm.create("Account", {"Name": "Acme", "Email": MINE})
    world.sync()
    with world.at_work() as (flow, store, _):
        binding.link(flow, store, place(flow, store, f"crm:{account}"), place(flow, store, golden), person="pat", clock=world.clock)
    world.sync()
    assert said(world) == {"crm": [MINE], "erp": [THEIRS]}
    part(world, "unlink", f"erp:{customer}")
    assert world.writes_of(world.sync) == []
    if not shop:
        assert world.parked("clash") == []
        assert world.store.golden([golden])[golden].fields["email"] == MINE
    else:
        assert said(world) == {"crm": [MINE], "golden": [THEIRS]}


def test_an_alias_that_is_parted_says_nothing_and_takes_nothing_along(tmp_path: Path) -> None:
    world = World(tmp_path, create_in={"customer": ["erp"]})
    account, customer = world.joined_customer()
    double = world.crm.create("Account", {"Name": "Acme again"})
    world.sync_until_quiet()
    part(world, "unlink", f"erp:{world.partner('crm', 'Account', double, 'erp')[0]}")
    with world.at_work() as (flow, store, _):
        binding.link(
            flow, store, place(flow, store, f"crm:{double}"), place(flow, store, f"crm:{account}"), person="pat", clock=world.clock
        )
    world.sync_until_quiet()
    world.crm.edit("Account", account, {"Email": MINE})
    world.erp.edit("customer", customer, {"mail": THEIRS})
    world.sync()
    part(world, "unmerge", f"crm:{double}")
    assert world.writes_of(world.sync) == []
    assert said(world) == {"crm": [MINE], "erp": [THEIRS]}


@pytest.mark.parametrize("act", ["unlink", "unmerge"])
def test_where_what_is_written_is_parted_its_second_copy_takes_its_place(tmp_path: Path, act: str) -> None:
    world = World(tmp_path, create_in={"customer": []})
    account = world.crm.create("Account", {"Name": "Acme"})
    double = world.crm.create("Account", {"Name": "Acme", "Phone": "1"})
    customer = world.erp.create("customer", {"companyName": "Acme", "vat": "1"})
    world.sync()
    with world.at_work() as (flow, store, _):
        for here, there in ((f"erp:{customer}", f"crm:{account}"), (f"crm:{double}", f"crm:{account}")):
            binding.link(flow, store, place(flow, store, here), place(flow, store, there), person="pat", clock=world.clock)
    world.sync_until_quiet()
    left = world.golden_of("erp", "customer", customer)
    deed = part(world, act, f"crm:{account}")
    assert f"crm:{double}, its second copy there, takes its place." in deed.says
    world.sync_until_quiet()
    assert {link.key: link.state for link in world.store.links_of([left])[left]} == {customer: "live", double: "live"}
    assert says(world.erp.get("customer", customer) or {}, tel="1")
    world.crm.edit("Account", double, {"Name": "Acme SE"})
    world.erp.edit("customer", customer, {"mail": "new@acme.example"})
    world.sync_until_quiet()
    assert says(world.erp.get("customer", customer) or {}, companyName="Acme SE")
    assert says(world.crm.get("Account", double) or {}, Email="new@acme.example")
    assert says(world.crm.get("Account", account) or {}, Name="Acme", Email=None)


def test_lines_in_clash_are_those_of_the_document_that_is_left_and_add_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"), Number="SO-7")
    world.sync_until_quiet()
    key, held = world.only("erp", "salesorder")
    world.library = world.mapped({"order": {"defaults": {"on_clash": "ask"}}}, {})
    row = (world.crm.get("Order", order) or {})["OrderItem"][0]["Id"]
    world.crm.edit("Order", order, {"Total": 20}, {"OrderItem": row_write(change={row: {"Qty": 2, "Amount": 20}})})
    world.erp.edit("salesorder", key, {"total": 30}, {"items": row_write(change={held["items"][0]["line"]: {"qty": 3, "amount": 30}})})
    world.sync()
    assert world.parked("clash")
    golden = world.golden_of("crm", "Order", order)
    part(world, "unlink", f"erp:{key}")
    assert world.writes_of(world.sync) == []
    assert world.parked("clash") == []
    (line,) = world.store.golden([golden])[golden].fields["lines"]
    assert (line["quantity"], line["amount"], world.store.golden([golden])[golden].fields["total"]) == (2, 20, 20)


def test_a_record_that_has_become_another_entity_takes_its_word_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUOTE, "fields", {"number": {"on_clash": "ask"}})
    world = trade(tmp_path)
    _, deal = quote(world)
    offered = world.golden("quote").id
    key, _ = world.partner("erp", "deal", deal, "crm")
    world.erp.edit("deal", deal, {"docno": "Q-2"})
    world.crm.edit("Quote", key, {"Number": "Q-3"})
    world.sync()
    assert said(world) == {"crm": ["Q-3"], "erp": ["Q-2"]}
    world.erp.edit("deal", deal, {"state": "sale"})
    world.sync_until_quiet()
    assert set(world.links(offered)) == {"crm"}
    assert world.parked("clash") == []
    assert world.store.golden([offered])[offered].fields["number"] == "Q-3"
    assert world.golden("order").fields["number"] == "Q-2"
    assert (world.crm.get("Quote", key) or {})["Number"] == "Q-3"


def test_of_customers_that_were_merged_no_clash_is_left_over(tmp_path: Path) -> None:
    world = World(tmp_path, entities=("customer",))
    winner, _ = world.joined_customer()
    loser, second = world.joined_customer(Name="Acme Old", Email="old@acme.example")
    world.crm.edit("Account", loser, {"Email": MINE})
    world.erp.edit("customer", second, {"mail": THEIRS})
    world.sync()
    lost = world.golden_of("crm", "Account", loser)
    won = world.golden_of("crm", "Account", winner)
    world.crm.merge("Account", loser, winner)
    world.sync()
    (row,) = world.parked("review")
    after_delete(world.store, row.id, then="merge", person="pat", clock=world.clock)
    world.sync_until_quiet()
    assert world.parked() == []
    assert world.store.golden([lost])[lost].state == "gone"
    (told,) = [row.data for row in world.store.history(won) if row.data["kind"] == "settle"]
    assert {(loser["by"], *loser["values"]) for loser in told["losers"]["email"]} >= {("crm", MINE), ("erp", THEIRS)}
