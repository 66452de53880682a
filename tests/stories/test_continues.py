"""`continues: quote -> order`: one entity becomes another. Its record stays and its link moves; nothing is created or deleted there."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.stories.world import ABLE, MAPPINGS, RULES, TEXT, Died, World, row_write, says

from erpcrm_bridge.cli import planning
from erpcrm_bridge.cli.output import Output
from erpcrm_bridge.connector import Field
from erpcrm_bridge.sync.desk import bind, found_new
from erpcrm_bridge.sync.explain import explain, field_story
from erpcrm_bridge.sync.run import undo_run
from erpcrm_bridge.testing.system import StreamSpec

NUMBER = Field("", type="number", precision=18, scale=6)
TO_CUSTOMER = Field("", type="reference", references=("customer",), required=True)
MOVES = {"state": {"draft": ("sale", "cancel"), "sale": ("done", "cancel")}}


def _fields(*names: str, **more: Field) -> dict[str, Field]:
    return {name: msgspec.structs.replace(field, name=name) for name, field in {**dict.fromkeys(names, TEXT), **more}.items()}


def _deals(stream: str, note: int = 255, customer: Field = TO_CUSTOMER) -> StreamSpec:
    fields = _fields("docno", "state", "cur", customer=customer, total=NUMBER, terms=Field("", length=note))
    lines = _fields("item", qty=NUMBER, rate=NUMBER, amount=NUMBER)
    return StreamSpec(stream, fields, msgspec.structs.replace(ABLE, moves=MOVES), inline={"items": lines})


def _state(pairs: Mapping[str, str], moves: Mapping[str, list[str]]) -> dict[str, Any]:
    return {"external": "state", "via": [{"map": {"pairs": pairs}}], "moves": moves, "nulls": {"out": "skip"}}


def _deal(entity: str, when: str, state: Mapping[str, Any], stream: str = "deal") -> dict[str, Any]:
    order = MAPPINGS["order/erp"]
    fields = {path: order["fields"][path] for path in ("customer", "number", "currency", "total")}
    terms = {"external": "terms", "overflow": "truncate"}
    none = {path: None for path in order["fields"] if entity == "order"}
    return {"stream": stream, "when": when, "fields": {**none, **fields, "payment_terms": terms, "state": state}, "lists": order["lists"]}


IN_QUOTE = _state({"draft": "draft", "cancel": "rejected"}, {"draft": ["rejected"]})
IN_ORDER = _state(
    {"draft": "draft", "sale": "confirmed", "done": "invoiced", "cancel": "cancelled"},
    {"draft": ["confirmed", "cancelled"], "confirmed": ["invoiced", "cancelled"]},
)
QUOTE = {
    **RULES["order"],
    "model": "canonical:Quote",
    "fields": {},
    "match": [{"keys": ["number"]}],
}
ORDER = {"continues": "quote -> order", "fields": {"state": {"on_clash": {"prefer": ["crm", "erp"]}}}}
QUOTES_IN_CRM = _fields("Number", "Stage", "Currency", "Terms", Account=Field("", type="reference", references=("Account",)), Total=NUMBER)


def trade(tmp_path: Path, *, terms: int = 255, quotable: bool = True, rules: Mapping[str, Any] | None = None, **more: Any) -> World:
    """Return a CRM that holds quotes and orders apart, and an ERP in which both are a `deal`, told apart by its state."""
    quoted = {"customer": MAPPINGS["order/crm"]["fields"]["customer"], "number": {"external": "Number"}, "total": {"external": "Total"}}
    quoted |= {"currency": {"external": "Currency"}, "payment_terms": {"external": "Terms"}}
    quoted["total"]["via"] = [{"money": {"currency": "currency"}}]
    ordered = {"quote": {"external": "Quote", "ref": {"entity": "quote"}}, "payment_terms": {"external": "Terms"}}
    ordered |= {"state": {**MAPPINGS["order/crm"]["fields"]["state"]}}
    specs = {
        "crm.Quote": StreamSpec("Quote", QUOTES_IN_CRM, msgspec.structs.replace(ABLE, create=quotable)),
        "crm.Order": {"fields": _fields("Terms", Quote=Field("", type="reference", references=("Quote",)))},
        "erp.deal": _deals("deal", terms),
    }
    mappings = {
        "quote/crm": {"stream": "Quote", "fields": quoted},
        "quote/erp": _deal("quote", "state in ['draft', 'cancel']", IN_QUOTE),
        "order/crm": {"fields": ordered},
        "order/erp": _deal("order", "state in ['sale', 'done']", IN_ORDER),
        **more.pop("mappings", {}),
    }
    whole = {"quote": QUOTE, "order": {**ORDER, **(rules or {})}}
    return World(tmp_path, entities=("customer", "order", "quote"), specs=specs, mappings=mappings, rules=whole, **more)


def twins(tmp_path: Path, **more: Any) -> World:
    """Return a CRM and an ERP in both of which quotes and orders are a `deal`."""
    account = msgspec.structs.replace(TO_CUSTOMER, references=("Account",))
    deals = {f"quote/{role}": _deal("quote", "state in ['draft', 'cancel']", IN_QUOTE) for role in ("crm", "erp")}
    deals |= {f"order/{role}": _deal("order", "state in ['sale', 'done']", IN_ORDER) for role in ("crm", "erp")}
    deals["order/crm"]["fields"] |= dict.fromkeys(["po_number", "order_date"])
    specs = {"crm.deal": _deals("deal", customer=account), "erp.deal": _deals("deal")}
    return World(
        tmp_path, entities=("customer", "order", "quote"), specs=specs, mappings=deals, rules={"quote": QUOTE, "order": ORDER}, **more
    )


def quote(world: World, **fields: Any) -> tuple[str, str]:
    """Make a customer and a quote of one line in the ERP; return their keys in CRM and ERP."""
    account, customer = world.joined_customer()
    row = {"item": "bolt", "qty": Decimal(2), "rate": Decimal(3), "amount": Decimal(6)}
    body = {"customer": customer, "docno": "Q-1", "state": "draft", "cur": "EUR", "total": Decimal(6), **fields}
    deal = world.erp.create("deal", body, {"items": [row]})
    world.sync_until_quiet()
    return account, deal


def done(world: World, role: str, stream: str, *verbs: str) -> list[str]:
    return [event.key for event in world.systems[role].log if event.actor == "bridge" and event.stream == stream and event.verb in verbs]


def test_a_quote_that_its_system_confirms_becomes_an_order_with_its_link_and_nothing_is_made_there(tmp_path: Path) -> None:
    world = trade(tmp_path)
    _, deal = quote(world)
    offered = world.golden("quote")
    assert len(world.crm.all("Quote")) == 1
    link = world.links(offered.id)["erp"]
    world.erp.edit("deal", deal, {"state": "sale", "docno": "SO-1"})
    report = world.plan()
    assert report.counts["moved on"] == 1
    assert report.counts.get("asleep", 0) == 0
    world.apply(report)
    world.sync_until_quiet()
    ordered = world.golden("order")
    assert world.links(ordered.id)["erp"].id == link.id
    assert set(world.links(offered.id)) == {"crm"}
    assert (ordered.fields["quote"], ordered.fields["state"], ordered.fields["number"]) == (offered.id, "confirmed", "SO-1")
    key, held = world.only("crm", "Order")
    assert says(held, Number="SO-1", Stage="Won", Total=6, Quote=world.links(offered.id)["crm"].key)
    assert list(world.erp.all("deal")) == [deal]
    assert done(world, "erp", "deal", "create", "delete") == []
    world.crm.edit("Order", key, {"Terms": "net 10"})
    world.sync_until_quiet()
    assert says(world.erp.get("deal", deal) or {}, terms="net 10", state="sale")
    world.assert_agree()
    world.assert_quiet()


def test_an_order_made_elsewhere_of_a_quote_takes_over_its_record_and_the_plan_says_so(tmp_path: Path) -> None:
    world = trade(tmp_path)
    account, deal = quote(world)
    offered = world.golden("quote").id
    key, _ = world.only("crm", "Quote")
    world.order_in_crm(account, ("bolt", 2, "3"), Number="Q-1", Stage="Won", Quote=key)
    plan = world.plan()
    assert plan.counts["moved on"] == 1
    assert plan.head is not None
    assert plan.head.counts == {"erp:move": 1}
    shown, made = StringIO(), planning.made(plan, None)
    planning.show(Output(StringIO(), shown, StringIO(), {"COLUMNS": "200"}, lambda: None), made, whole=True)
    assert "Links that have moved: 1 to what their records have become." in shown.getvalue()
    assert "moves on to order; state moves to sale" in shown.getvalue()
    assert planning.told(made)["moved_links"] == {"moved to another mapping": 0, "moved on": 1}
    world.apply(plan)
    world.sync_until_quiet()
    assert says(world.erp.get("deal", deal) or {}, state="sale", docno="Q-1")
    assert list(world.erp.all("deal")) == [deal]
    assert done(world, "erp", "deal", "create", "delete") == []
    ordered = world.golden("order")
    assert world.links(ordered.id)["erp"].key == deal
    assert set(world.links(offered)) == {"crm"}
    assert len(ordered.fields["lines"]) == 1
    world.assert_agree()
    world.assert_quiet()


def test_the_record_taken_over_follows_the_order_and_fills_only_what_is_empty_there(tmp_path: Path) -> None:
    world = trade(tmp_path)
    account, deal = quote(world, terms="net 60")
    key, _ = world.only("crm", "Quote")
    world.order_in_crm(account, ("bolt", 3, "3"), ("nut", 1, "1"), Number="SO-1", Stage="Won", Quote=key)
    world.plan()
    world.erp.edit("deal", deal, {"terms": "net 30"})  # still a quote there, and no reason to sleep
    world.sync_until_quiet()
    held = world.erp.get("deal", deal) or {}
    assert says(held, state="sale", docno="SO-1", total=10)
    assert [(row["item"], row["qty"]) for row in held["items"]] == [("bolt", 3), ("nut", 1)]
    assert says(world.only("crm", "Order")[1], Terms="net 30", Total=10)
    world.assert_agree()
    world.assert_quiet()


def test_an_order_that_goes_back_to_a_quote_is_asleep_and_wakes_as_the_order_it_was(tmp_path: Path) -> None:
    world = trade(tmp_path)
    _, deal = quote(world)
    world.erp.edit("deal", deal, {"state": "sale"})
    world.sync_until_quiet()
    ordered = world.golden("order").id
    world.erp.edit("deal", deal, {"state": "draft", "terms": "net 30"})
    world.sync_until_quiet()
    assert world.links(ordered)["erp"].state == "asleep"
    assert says(world.only("crm", "Order")[1], Stage="Won", Terms=None)
    assert len(world.goldens("quote")) == len(world.crm.all("Quote")) == 1
    world.erp.edit("deal", deal, {"state": "sale"})
    world.sync_until_quiet()
    assert world.links(ordered)["erp"].state == "live"
    assert says(world.only("crm", "Order")[1], Terms="net 30")
    world.assert_quiet()


def test_without_continues_a_quote_that_is_confirmed_only_sleeps(tmp_path: Path) -> None:
    world = trade(tmp_path, rules={"continues": None})
    _, deal = quote(world)
    world.erp.edit("deal", deal, {"state": "sale"})
    world.sync_until_quiet()
    assert world.goldens("order") == []
    assert world.links(world.golden("quote").id)["erp"].state == "asleep"


def test_a_value_of_which_the_record_holds_a_rendition_goes_on_whole(tmp_path: Path) -> None:
    world = trade(tmp_path, terms=8)
    _, deal = quote(world)
    key, _ = world.only("crm", "Quote")
    world.crm.edit("Quote", key, {"Terms": "thirty days net"})
    world.sync_until_quiet()
    assert says(world.erp.get("deal", deal) or {}, terms="thirty d")
    world.erp.edit("deal", deal, {"state": "sale"})
    world.sync_until_quiet()
    assert says(world.only("crm", "Order")[1], Terms="thirty days net")
    assert says(world.erp.get("deal", deal) or {}, terms="thirty d")
    world.assert_quiet()


def test_a_quote_that_nobody_has_any_more_is_not_made_elsewhere_after_it_became_an_order(tmp_path: Path) -> None:
    world = trade(tmp_path, quotable=False)
    _, deal = quote(world)
    assert world.links(world.golden("quote").id)["crm"].state == "wanted"
    world.erp.edit("deal", deal, {"state": "sale"})
    world.sync_until_quiet()
    assert world.links(world.golden("quote").id)["crm"].state == "tombstone"
    assert world.crm.all("Quote") == {}
    assert len(world.crm.all("Order")) == 1
    assert [(row.kind, row.field) for row in world.parked()] == [("waiting", "quote")]  # the order's reference to it


def test_an_order_that_may_be_another_waits_for_a_person_who_says_who_it_is(tmp_path: Path) -> None:
    reviewed = {"match": [{"keys": ["number"], "result": "review"}]}
    for apart in (True, False):
        folder = tmp_path / str(apart)
        folder.mkdir()
        world = trade(folder, rules=reviewed, create_in={"order": ["crm"]})
        account, deal = quote(world)
        world.order_in_crm(account, ("bolt", 2, "3"), Number="Q-1", Stage="Won")
        world.sync_until_quiet()
        known = world.golden("order").id
        world.erp.edit("deal", deal, {"state": "sale"})
        world.sync_until_quiet()
        (row,) = world.parked("review")
        assert row.data["others"] == [{"golden": known}]
        assert world.links(world.golden("quote").id)["erp"].key == deal
        with world.at_work() as (flow, store, _):
            if apart:
                found_new(store, flow, row.id, person="ann", clock=world.clock)
            else:
                bind(store, flow, row.id, known, person="ann", clock=world.clock)
        world.sync_until_quiet()
        assert len(world.goldens("order")) == 1 + apart
        assert world.golden_of("erp", "deal", deal) == next(g.id for g in world.goldens("order") if (g.id == known) != apart)
        assert len(world.crm.all("Order")) == 1 + apart
        world.assert_quiet()
        world.close()


def test_explain_and_undo_tell_what_a_record_was_and_has_become(tmp_path: Path) -> None:
    world = trade(tmp_path)
    _, deal = quote(world)
    world.erp.edit("deal", deal, {"state": "sale"})
    report = world.sync()
    offered, ordered = world.golden("quote"), world.golden("order")
    told = field_story(explain(world.store, offered.id, {}), "number").events
    assert {"what": "continued", "in": "erp", "entity": "order", "record": ordered.id}.items() <= told[-1].items()
    told = field_story(explain(world.store, ordered.id, {}), "number").events
    assert {"what": "continues", "in": "erp", "entity": "quote", "record": offered.id}.items() <= told[1].items()
    with world.at_work() as (flow, store, fence):
        undoing = undo_run(flow, store, report.run, folder=tmp_path, fence=fence, clock=world.clock).undoing
    assert undoing is not None
    assert [(one.golden_id, one.records) for one in undoing.bound] == [(ordered.id, {"erp": deal})]
    assert world.links(ordered.id)["erp"].key == deal


def test_a_lead_becomes_a_customer_in_the_system_that_calls_both_by_one_name(tmp_path: Path) -> None:
    lead = {"stream": "customer", "when": "sort == 'lead'", "fields": {"company": {"external": "companyName"}}}
    lead["fields"] |= {"email": {"external": "mail", "via": ["lower"]}, "phone": {"external": "tel"}}
    specs = {"erp.customer": {"fields": _fields("sort")}}
    rules = {"lead": {"model": "canonical:Lead"}, "customer": {"continues": "lead -> customer"}}
    world = World(
        tmp_path,
        entities=("lead", "customer"),
        specs=specs,
        rules=rules,
        mappings={"lead/erp": lead, "customer/erp": {"when": "sort != 'lead'"}},
    )
    key = world.erp.create("customer", {"companyName": "Acme", "mail": "info@acme.example", "sort": "lead"})
    world.sync_until_quiet()
    assert world.crm.all("Account") == {}
    world.erp.edit("customer", key, {"sort": "customer", "tel": "5"})
    world.sync_until_quiet()
    assert says(world.only("crm", "Account")[1], Name="Acme", Phone="5", Email="info@acme.example")
    assert world.golden_of("erp", "customer", key) == world.golden("customer").id
    assert [golden.state for golden in world.goldens("lead")] == ["live"]
    assert done(world, "erp", "customer", "create", "delete") == []
    world.assert_agree()
    world.assert_quiet()


def test_what_may_become_either_of_two_becomes_the_one_that_its_system_calls_it(tmp_path: Path) -> None:
    lead = {"stream": "customer", "when": "sort == 'lead'", "fields": {"company": {"external": "companyName"}}}
    deal = {"stream": "customer", "when": "sort == 'deal'", "fields": {"name": {"external": "companyName", "required": True}}}
    rules = {"lead": {"model": "canonical:Lead"}, "customer": {"continues": "lead -> customer"}}
    rules["opportunity"] = {"model": "canonical:Opportunity", "continues": "lead -> opportunity"}
    world = World(
        tmp_path,
        entities=("lead", "customer", "opportunity"),
        specs={"erp.customer": {"fields": _fields("sort")}},
        rules=rules,
        mappings={"lead/erp": lead, "opportunity/erp": deal, "customer/erp": {"when": "sort == 'customer'"}},
    )
    keys = {sort: world.erp.create("customer", {"companyName": sort, "sort": "lead"}) for sort in ("customer", "deal")}
    world.sync_until_quiet()
    for sort, key in keys.items():
        world.erp.edit("customer", key, {"sort": sort})
    world.sync_until_quiet()
    assert [golden.fields["name"] for golden in (world.golden("customer"), world.golden("opportunity"))] == ["customer", "deal"]
    assert [len(world.links(golden.id)) for golden in world.goldens("lead")] == [0, 0]
    assert len(world.crm.all("Account")) == 1


@pytest.mark.parametrize("at", [6, 7, 11])
def test_a_run_killed_while_links_move_leaves_one_record_and_one_order(tmp_path: Path, at: int) -> None:
    world = trade(tmp_path)
    account, deal = quote(world)
    key, _ = world.only("crm", "Quote")
    world.order_in_crm(account, ("bolt", 2, "3"), Number="Q-1", Stage="Won", Quote=key)
    world.dying(at)
    with pytest.raises(Died):
        world.sync()
    world.living()
    world.sync_until_quiet()
    assert list(world.erp.all("deal")) == [deal]
    assert len(world.goldens("order")) == 1
    assert says(world.erp.get("deal", deal) or {}, state="sale")
    world.assert_quiet()


def test_lines_of_the_order_are_its_own_and_move_both_ways(tmp_path: Path) -> None:
    world = trade(tmp_path)
    _, deal = quote(world)
    world.erp.edit("deal", deal, {"state": "sale"})
    world.sync_until_quiet()
    key, _ = world.only("crm", "Order")
    (line,) = world.golden("order").fields["lines"]
    assert line["id"] not in {one["id"] for one in world.golden("quote").fields["lines"]}
    world.crm.edit(
        "Order", key, {"Total": Decimal(16)}, {"OrderItem": row_write(add=[{"Product": "nut", "Qty": 1, "Price": 10, "Amount": 10}])}
    )
    world.sync_until_quiet()
    assert [row["item"] for row in (world.erp.get("deal", deal) or {})["items"]] == ["bolt", "nut"]
    world.assert_quiet()


def test_what_one_system_confirms_is_confirmed_in_the_other_and_neither_gets_a_second_record(tmp_path: Path) -> None:
    world = twins(tmp_path)
    _, deal = quote(world)
    (copy,) = world.crm.all("deal")
    world.erp.edit("deal", deal, {"state": "sale"})
    world.sync_until_quiet()
    assert says(world.crm.get("deal", copy) or {}, state="sale")
    assert [len(world.systems[role].all("deal")) for role in ("crm", "erp")] == [1, 1]
    assert {role: link.key for role, link in world.links(world.golden("order").id).items()} == {"crm": copy, "erp": deal}
    assert world.links(world.golden("quote").id) == {}
    world.assert_agree()
    world.assert_quiet()


@pytest.mark.parametrize("how", ["at once", "one after the other", "where no order is created"])
def test_what_both_systems_confirm_is_one_order(tmp_path: Path, how: str) -> None:
    world = twins(tmp_path, create_in={"order": ["erp"]} if how == "where no order is created" else None)
    _, deal = quote(world)
    (copy,) = world.crm.all("deal")
    world.erp.edit("deal", deal, {"state": "sale", "docno": "SO-1"})
    if how != "at once":
        world.plan()
    world.crm.edit("deal", copy, {"state": "sale", "docno": "C-7"})
    world.sync_until_quiet()
    assert {role: link.key for role, link in world.links(world.golden("order").id).items()} == {"crm": copy, "erp": deal}
    assert [len(world.systems[role].all("deal")) for role in ("crm", "erp")] == [1, 1]
    world.assert_quiet()
