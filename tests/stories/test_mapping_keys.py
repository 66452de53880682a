"""The mapping language, key by key: for each a story in which a record moves because of it, and a misuse that is refused with its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from tests.stories.world import ABLE, MAPPINGS, TEXT, World, row_write, says

from erpcrm_bridge.connector import Budget, Field
from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping import PlugIn, check, load_library, transforms
from erpcrm_bridge.mapping.transforms import GROUP
from erpcrm_bridge.testing.system import MemorySystem, StreamSpec
from erpcrm_bridge_csv.connector import CsvFactory
from erpcrm_bridge_csv.settings import CsvSettings

Test: TypeAlias = Callable[..., None]
TOLD: dict[str, list[str]] = {}
"""Key of the language to the stories in which a record moves because of it."""


def story(*keys: str) -> Callable[[Test], Test]:
    """Say of which keys a test is the story."""

    def of(test: Test) -> Test:
        for key in keys:
            TOLD.setdefault(key, []).append(test.__name__)
        return test

    return of


def fields(*names: str, **more: Field) -> dict[str, Field]:
    """Return text fields, and others as they are given."""
    return {name: msgspec.structs.replace(field, name=name) for name, field in {**dict.fromkeys(names, TEXT), **more}.items()}


def world(tmp_path: Path, crm: Mapping[str, Any] | None = None, erp: Mapping[str, Any] | None = None, **more: Any) -> World:
    """Return CRM and ERP with customers only; ``crm`` and ``erp`` change their mappings, ``fields`` in ``specs`` their streams."""
    mappings = {"customer/crm": crm or {}, "customer/erp": erp or {}, **more.pop("mappings", {})}
    return World(tmp_path, **{"entities": ("customer",), "mappings": mappings, **more})


def grow(world: World, role: str, stream: str, *names: str) -> None:
    """Give a stream of a running system further fields."""
    system = world.systems[role]
    system.specs[stream] = msgspec.structs.replace(system.specs[stream], fields={**system.specs[stream].fields, **fields(*names)})
    world.systems[role] = MemorySystem.load(system.dump(), clock=world.clock)


# --- pass-through -----------------------------------------------------------------------------------------------------------------

REGIONS = {"crm.Account": {"fields": fields("Region__c", "Score__c")}, "erp.customer": {"fields": fields("Region__c", "Score__c", "area")}}


@story("MappingFile.passthrough", "PassthroughSpec.match", "PassthroughSpec.into", "PassthroughSpec.direction", "PassthroughSpec.except")
def test_a_field_nobody_mapped_travels_as_custom_both_ways_and_the_excepted_stays(tmp_path: Path) -> None:
    both = {"passthrough": [{"match": ".*__c", "into": "custom", "except": ["Score__c"]}]}
    with_fields = world(tmp_path, both, both, specs=REGIONS)
    account = with_fields.crm.create("Account", {"Name": "Acme", "Region__c": "EMEA", "Score__c": "7"})
    with_fields.sync_until_quiet()
    customer, held = with_fields.partner("crm", "Account", account, "erp")
    assert says(held, Region__c="EMEA", Score__c=None)
    assert with_fields.golden().fields["custom.Region__c"] == "EMEA"
    with_fields.erp.edit("customer", customer, {"Region__c": "AMER", "Score__c": "9"})
    with_fields.sync_until_quiet()
    assert says(with_fields.crm_of(customer), Region__c="AMER", Score__c="7")
    with_fields.assert_agree()
    with_fields.assert_quiet()


@story("PassthroughSpec.direction", "RuleSpec.canonical")
def test_what_is_only_passed_in_reaches_another_system_by_a_rule_of_its_own_and_never_comes_back(tmp_path: Path) -> None:
    inward = {"passthrough": [{"match": ".*__c", "direction": "to_canonical"}]}
    region = {"fields": {"region": {"canonical": "custom.Region__c", "external": "area", "via": ["upper"]}}}
    one_way = world(tmp_path, inward, region, specs=REGIONS)
    account = one_way.crm.create("Account", {"Name": "Acme", "Region__c": "emea"})
    one_way.sync_until_quiet()
    customer, held = one_way.partner("crm", "Account", account, "erp")
    assert says(held, area="emea", Region__c=None)
    one_way.erp.edit("customer", customer, {"area": "amer"})
    one_way.sync_until_quiet()
    assert one_way.golden().fields["custom.Region__c"] == "AMER"
    assert says(one_way.crm_of(customer), Region__c="emea")
    one_way.assert_quiet()


def test_a_field_that_is_passed_through_obeys_its_policy_and_clashes_like_any_other(tmp_path: Path) -> None:
    both = {"passthrough": [{"match": ".*__c"}]}
    policies = {"customer": {"fields": {"custom.*": {"write_by": ["crm"]}, "custom.Score__c": {"on_clash": "ask"}}}}
    ruled = world(tmp_path, both, both, specs=REGIONS, rules=policies)
    account = ruled.crm.create("Account", {"Name": "Acme", "Region__c": "EMEA", "Score__c": "7"})
    ruled.sync_until_quiet()
    customer, _ = ruled.partner("crm", "Account", account, "erp")
    ruled.erp.edit("customer", customer, {"Region__c": "AMER"})
    ruled.sync_until_quiet()
    assert says(ruled.erp_of(account), Region__c="EMEA")
    ruled.crm.edit("Account", account, {"Score__c": "8"})
    ruled.erp.edit("customer", customer, {"Score__c": "9"})
    ruled.sync()
    assert [row.field for row in ruled.parked("clash")] == ["custom.Score__c"]


def test_a_field_that_a_system_gets_later_is_passed_through_after_a_reviewed_plan(tmp_path: Path) -> None:
    both = {"passthrough": [{"match": ".*__c"}]}
    later = world(tmp_path, both, both)
    account = later.crm.create("Account", {"Name": "Acme"})
    later.sync_until_quiet()
    grow(later, "crm", "Account", "Tier__c")
    grow(later, "erp", "customer", "Tier__c")
    later.crm.edit("Account", account, {"Tier__c": "gold"})
    later.apply(later.plan())
    assert says(later.erp_of(account), Tier__c="gold")
    later.assert_quiet()


def test_what_is_no_value_by_itself_or_cannot_be_written_is_not_passed(tmp_path: Path) -> None:
    specs = {
        "crm.Account": {
            "fields": fields("Old__c", Owner__c=Field("", type="reference", references=("Account",)), Places__c=Field("", type="object"))
        },
        "erp.customer": {"fields": fields(Old__c=Field("", length=255, creatable=False, updatable=False))},
    }
    both = {"passthrough": [{"match": ".*__c"}]}
    odd = world(tmp_path, both, both, specs=specs)
    account = odd.crm.create("Account", {"Name": "Acme", "Old__c": "x", "Places__c": {"a": "b"}})
    odd.sync_until_quiet()
    assert odd.golden().fields["custom.Old__c"] == "x"
    assert {path for path in odd.golden().fields if path.startswith("custom.")} == {"custom.Old__c"}
    assert says(odd.erp_of(account), Old__c=None)
    odd.assert_quiet()


# --- keys of the record -----------------------------------------------------------------------------------------------------------


@story("MappingFile.key", "KeySpec.id", "KeySpec.external_id")
def test_an_external_id_that_is_kept_beside_the_record_carries_our_reference(tmp_path: Path) -> None:
    beside = world(tmp_path, erp={"key": {"id": "Id", "external_id": "$xmlid"}}, specs={"erp.customer": {"external_id": "$xmlid"}})
    account, _ = beside.joined_customer()
    assert says(beside.erp_of(account), **{"$xmlid": beside.golden().id})
    beside.erp.faults.add("write", "answer_lost")
    other = beside.crm.create("Account", {"Name": "Beta"})
    beside.sync()
    beside.sync_until_quiet()
    assert says(beside.erp_of(other), companyName="Beta")
    assert len(beside.erp.all("customer")) == 2


@story("KeySpec.natural")
def test_records_whose_key_people_give_are_linked_by_it_and_it_is_never_written(tmp_path: Path) -> None:
    specs = {"erp.customer": {"fields": fields("no", "country"), "natural": ("country", "no")}}
    erp = {"key": {"natural": ["country", "no"], "external_id": "Ref"}, "fields": {"billing.country_code": {"external": "country"}}}
    erp["fields"]["billing.country_code"]["direction"] = "to_canonical"
    given = world(tmp_path, erp=erp, specs=specs, create_in={"customer": ["crm"]})
    given.erp.create("customer", {"companyName": "Acme", "country": "DE", "no": "7"})
    given.sync_until_quiet()
    account, held = given.only("crm", "Account")
    assert says(held, Name="Acme")
    given.crm.edit("Account", account, {"Phone": "5"})
    given.sync_until_quiet()
    assert says(given.erp.all("customer")["DE|7"], tel="5", country="DE", no="7")


@story("KeySpec.version", "PolicySpec.on_clash", "EntityFile.skew")
def test_the_newer_of_two_edits_wins_by_the_field_that_says_when(tmp_path: Path) -> None:
    def told(field: str) -> dict[str, Any]:
        return {"key": {"id": "Id", "external_id": "Ref", "version": field}}

    specs = {"crm.Account": {"fields": fields("Touched")}, "erp.customer": {"fields": fields("changed")}}
    newer = {"customer": {"skew": "5s", "fields": {"email": {"on_clash": "newer"}}}}
    timed = world(tmp_path, told("Touched"), told("changed"), specs=specs, rules=newer)
    account, customer = timed.joined_customer()
    timed.crm.edit("Account", account, {"Email": "new@acme.example", "Touched": "2026-05-01T10:00:10+02:00"})
    timed.erp.edit("customer", customer, {"mail": "old@acme.example", "changed": "2026-05-01T08:00:00Z"})
    timed.sync_until_quiet()
    assert says(timed.erp_of(account), mail="new@acme.example")
    timed.crm.edit("Account", account, {"Email": "a@acme.example", "Touched": "2026-05-01T12:00:04Z"})
    timed.erp.edit("customer", customer, {"mail": "b@acme.example", "changed": "2026-05-01T12:00:00Z"})
    timed.sync()
    assert [row.field for row in timed.parked("clash")] == ["email"]


@pytest.mark.parametrize(
    ("assigns", "rows"),
    [
        ({"bridge": "template", "template": "C-{n:03d}"}, {"C-002": "Acme"}),
        ({"bridge": "counter", "start": 70}, {"70": "Acme"}),
        ("nobody", {}),
    ],
)
@story("MappingFile.assigns_keys", "AssignsSpec.bridge", "AssignsSpec.template", "AssignsSpec.start", "MappingFile.connector")
def test_who_assigns_keys_in_a_file_may_be_said_by_the_mapping(tmp_path: Path, assigns: Any, rows: dict[str, str]) -> None:
    none = dict.fromkeys(MAPPINGS["customer/erp"]["fields"], None)
    erp = {"connector": "csv", "stream": "c.csv", "key": {"id": "No", "external_id": "Ref"}, "assigns_keys": assigns}
    files = world(tmp_path, erp=erp | {"fields": none | {"name": {"external": "Name", "required": True}}}, joined=False)
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "c.csv").write_text("No,Ref,Name\nC-001,,Beta\n")
    opener = CsvFactory().open(CsvSettings(folder=folder), budget=Budget(), codes={})
    files.opener = lambda name, _: opener if name == "erp" else files.connect(name)
    files.sync()
    files.crm.create("Account", {"Name": "Acme"})
    files.sync_until_quiet()
    held = {line.split(",")[0]: line.split(",")[2] for line in (folder / "c.csv").read_text().splitlines()[1:]}
    assert held == {"C-001": "Beta", **rows}
    assert (folder / "c.new.csv").exists() == (assigns == "nobody")


# --- elements by their flag -------------------------------------------------------------------------------------------------------

BOOK = {"erp.customer": {"fields": fields(book=Field("", type="object"))}}
IN_BOOK = {
    "fields": {
        "billing.line1": {"external": "book.items[isDefault].address.street"},
        "billing.city": {"external": "book.items[isDefault].address.town"},
        "billing.postal_code": None,
    }
}


def element(key: int, town: str, *, default: bool) -> dict[str, Any]:
    return {"internalId": key, "isDefault": default, "address": {"street": None, "town": town}}


@story("RuleSpec.external")
def test_the_element_with_the_flag_is_read_and_written_by_its_own_key_and_the_others_stay(tmp_path: Path) -> None:
    book = world(tmp_path, {"fields": {"billing.postal_code": None}}, IN_BOOK, specs=BOOK)
    items = [element(4, "Rom", default=False), element(7, "Bonn", default=True)]
    customer = book.erp.create("customer", {"companyName": "Acme", "book": {"items": items}})
    book.sync_until_quiet()
    account, held = book.partner("erp", "customer", customer, "crm")
    assert says(held, City="Bonn")
    book.crm.edit("Account", account, {"City": "Berlin"})
    book.sync_until_quiet()
    assert book.erp_of(account)["book"] == {"items": [element(4, "Rom", default=False), element(7, "Berlin", default=True)]}
    book.assert_quiet()


def test_where_no_element_has_the_flag_one_is_made_and_only_one(tmp_path: Path) -> None:
    book = world(tmp_path, {"fields": {"billing.postal_code": None}}, IN_BOOK, specs=BOOK)
    account = book.crm.create("Account", {"Name": "Acme", "City": "Bonn", "Street": "Weg 1"})
    book.sync_until_quiet()
    assert book.erp_of(account)["book"] == {"items": [{"isDefault": True, "address": {"street": "Weg 1", "town": "Bonn"}}]}
    book.crm.edit("Account", account, {"City": "Berlin"})
    book.sync_until_quiet()
    assert len(book.erp_of(account)["book"]["items"]) == 1
    book.assert_quiet()


def test_where_two_elements_have_the_flag_the_group_is_parked_and_the_rest_flows(tmp_path: Path) -> None:
    book = world(tmp_path, {"fields": {"billing.postal_code": None}}, IN_BOOK, specs=BOOK)
    account = book.crm.create("Account", {"Name": "Acme", "City": "Bonn"})
    book.sync_until_quiet()
    customer, _ = book.partner("crm", "Account", account, "erp")
    both = {"items": [element(4, "Rom", default=True), element(7, "Bonn", default=True)]}
    book.erp.edit("customer", customer, {"book": both, "tel": "5"})
    book.crm.edit("Account", account, {"City": "Berlin"})
    book.sync_until_quiet()
    assert says(book.crm.get("Account", account) or {}, Phone="5", City="Berlin")
    assert book.erp_of(account)["book"] == both
    assert {row.field for row in book.parked("field")} == {"billing.line1", "billing.city"}


# --- what a fallback reads --------------------------------------------------------------------------------------------------------

KINDS = {"pairs": {"Buyer": "customer", "Prospect": "prospect", "Other": "other"}, "fallback": "other"}


def kinds(tmp_path: Path, **more: Any) -> World:
    crm = {"tables": {"kind": KINDS}, "fields": {"kind": {"external": "Type", "via": [{"map": "kind"}], "accept_loss": ["fallback: x"]}}}
    erp = {"fields": {"kind": {"external": "sort", "via": [{"map": {"pairs": {k: k for k in ("customer", "prospect", "other")}}}]}}}
    specs = {"crm.Account": {"fields": fields("Type")}, "erp.customer": {"fields": fields("sort")}}
    return world(
        tmp_path, crm, erp, specs=specs, rules={"customer": {"fields": {"kind": {"on_clash": {"prefer": ["erp", "crm"]}}}}}, **more
    )


@story("MappingFile.tables", "TableSpec.pairs", "TableSpec.fallback", "RuleSpec.accept_loss")
def test_a_value_that_came_by_fallback_is_written_over_only_when_golden_moves_on(tmp_path: Path) -> None:
    sorted_out = kinds(tmp_path)
    account = sorted_out.crm.create("Account", {"Name": "Acme", "Type": "Influencer"})
    sorted_out.sync_until_quiet()
    customer, held = sorted_out.partner("crm", "Account", account, "erp")
    assert says(held, sort="other")
    assert says(sorted_out.crm_of(customer), Type="Influencer")
    sorted_out.erp.edit("customer", customer, {"sort": "prospect"})
    sorted_out.sync_until_quiet()
    assert says(sorted_out.crm_of(customer), Type="Prospect")


def test_the_first_joining_writes_nothing_over_what_only_a_fallback_reads(tmp_path: Path) -> None:
    filled = kinds(tmp_path, joined=False)
    account = filled.crm.create("Account", {"Name": "Acme", "Email": "a@acme.example", "Type": "Influencer"})
    customer = filled.erp.create("customer", {"companyName": "Acme", "mail": "a@acme.example", "sort": "customer"})
    filled.adopt()
    assert filled.golden().fields["kind"] == "customer"
    assert says(filled.crm.get("Account", account) or {}, Type="Influencer")
    filled.assert_quiet()
    filled.erp.edit("customer", customer, {"sort": "prospect"})
    filled.sync_until_quiet()
    assert says(filled.crm.get("Account", account) or {}, Type="Prospect")


# --- several mappings over one stream ---------------------------------------------------------------------------------------------

PARTNERS = {
    "customer/crm": {"when": "Kind != 'partner'", "fields": {"kind": {"external": "Kind", "const": "client", "write": "create_only"}}},
    "customer/crm-partners": {
        "stream": "Account",
        "when": "Kind == 'partner'",
        "fields": {
            "name": {"external": "Name", "via": ["trim"], "required": True},
            "phone": {"external": "Mobile"},
            "kind": {"external": "Kind", "const": "partner", "write": "create_only"},
        },
    },
}


@story("MappingFile.when", "MappingFile.stream")
def test_two_mappings_of_one_entity_share_a_stream_and_each_reads_and_writes_its_own_records(tmp_path: Path) -> None:
    crm = {"fields": {**PARTNERS["customer/crm"]["fields"]}, "when": PARTNERS["customer/crm"]["when"]}
    more = {"customer/crm-partners": PARTNERS["customer/crm-partners"]}
    shared = world(tmp_path, crm, specs={"crm.Account": {"fields": fields("Kind", "Mobile")}}, mappings=more)
    client = shared.crm.create("Account", {"Name": "Acme", "Kind": "client", "Phone": "1", "Mobile": "2"})
    partner = shared.crm.create("Account", {"Name": "Beta", "Kind": "partner", "Phone": "3", "Mobile": "4"})
    shared.sync_until_quiet()
    assert (shared.erp_of(client)["tel"], shared.erp_of(partner)["tel"]) == ("1", "4")
    for account, number in ((client, "11"), (partner, "44")):
        shared.erp.edit("customer", shared.partner("crm", "Account", account, "erp")[0], {"tel": number})
    shared.sync_until_quiet()
    assert says(shared.crm.get("Account", client) or {}, Phone="11", Mobile="2")
    assert says(shared.crm.get("Account", partner) or {}, Phone="3", Mobile="44")
    shared.assert_agree()
    shared.assert_quiet()


def test_a_record_that_another_mapping_takes_keeps_its_link_and_the_run_says_so(tmp_path: Path) -> None:
    crm = {"fields": {**PARTNERS["customer/crm"]["fields"]}, "when": PARTNERS["customer/crm"]["when"]}
    more = {"customer/crm-partners": PARTNERS["customer/crm-partners"]}
    shared = world(tmp_path, crm, specs={"crm.Account": {"fields": fields("Kind", "Mobile")}}, mappings=more)
    account = shared.crm.create("Account", {"Name": "Acme", "Kind": "client", "Phone": "1", "Mobile": "1"})
    shared.sync_until_quiet()
    golden = shared.golden().id
    shared.crm.edit("Account", account, {"Kind": "partner"})
    report = shared.plan()
    assert report.counts["moved to another mapping"] == 1
    shared.apply(report)
    shared.sync_until_quiet()
    assert shared.golden().id == golden
    assert len(shared.erp.all("customer")) == 1
    shared.crm.edit("Account", account, {"Mobile": "9"})
    shared.sync_until_quiet()
    assert says(shared.erp_of(account), tel="9")
    shared.assert_quiet()


def test_a_record_that_two_mappings_take_is_parked_and_named(tmp_path: Path) -> None:
    more = {"customer/crm-partners": {**PARTNERS["customer/crm-partners"], "when": "Name != 'x'"}}
    shared = world(tmp_path, specs={"crm.Account": {"fields": fields("Kind", "Mobile")}}, mappings=more)
    shared.crm.create("Account", {"Name": "Acme"})
    shared.sync()
    (row,) = shared.parked("record")
    assert row.error == "when-overlap"
    assert "customer/crm and customer/crm-partners" in row.reason
    assert shared.erp.all("customer") == {}


# --- documents --------------------------------------------------------------------------------------------------------------------


@story("MappingFile.lists", "ListSpec.write", "ListSpec.key", "ListSpec.fields", "ListSpec.inline")
def test_a_list_that_is_written_whole_is_written_whole_and_keeps_the_keys_of_its_rows(tmp_path: Path) -> None:
    erp_lines = MAPPINGS["order/erp"]["lists"]["lines"]
    whole = World(tmp_path, entities=("customer", "order"), mappings={"order/erp": {"lists": {"lines": {**erp_lines, "write": "replace"}}}})
    account, _ = whole.joined_customer()
    order = whole.order_in_crm(account, ("P1", 1, "10"), ("P2", 2, "5"))
    whole.sync_until_quiet()
    key, held = whole.partner("crm", "Order", order, "erp")
    before = {row["item"]: row["line"] for row in held["items"]}
    first = next(row["Id"] for row in (whole.crm.get("Order", order) or {})["OrderItem"] if row["Product"] == "P1")
    change = row_write(add=[{"Product": "P3", "Qty": 1, "Price": 7, "Amount": 7}], change={first: {"Qty": 3, "Amount": 30}})
    whole.crm.edit("Order", order, {"Total": 47}, {"OrderItem": change})
    whole.sync_until_quiet()
    after = {row["item"]: row for row in (whole.erp.get("salesorder", key) or {})["items"]}
    assert {item: row["qty"] for item, row in after.items()} == {"P1": 3, "P2": 2, "P3": 1}
    assert {item: after[item]["line"] for item in before} == before
    whole.assert_agree()
    whole.assert_quiet()


def bills(role: str, number: str) -> dict[str, Any]:
    customer, order = ("Account", "Order") if role == "crm" else ("customer", "order")
    return {
        "stream": "Bill",
        "fields": {
            "customer": {"external": customer, "ref": {"entity": "customer", "required": True}, "required": True},
            "order": {"external": order, "ref": {"entity": "order"}},
            "number": {"external": number},
        },
    }


def bill_stream(number: str, **to: str) -> StreamSpec:
    """Return a stream of invoices; ``to`` are its references, each with the stream that it points at."""
    return StreamSpec("Bill", fields(number, **{name: Field("", type="reference", references=(to[name],)) for name in to}), ABLE)


@story("RuleSpec.moves", "MoveSpec.to", "MoveSpec.makes")
def test_what_a_move_makes_is_not_created_and_comes_back_as_the_golden_record_that_waited_for_it(tmp_path: Path) -> None:
    moves = {"draft": ["confirmed", "cancelled"], "confirmed": [{"to": "invoiced", "makes": "invoice"}, "cancelled"]}
    state = {**MAPPINGS["order/erp"]["fields"]["state"], "moves": moves}
    bill = World(
        tmp_path,
        entities=("customer", "order", "invoice"),
        specs={
            "crm.Bill": bill_stream("Number", Account="Account", Order="Order"),
            "erp.Bill": bill_stream("docno", customer="customer", order="salesorder"),
        },
        rules={
            "order": {"fields": {"state": {"write_by": ["crm"]}}},
            "invoice": {"model": "canonical:Invoice", "match": [{"keys": ["number"]}]},
        },
        mappings={"order/erp": {"fields": {"state": state}}, "invoice/crm": bills("crm", "Number"), "invoice/erp": bills("erp", "docno")},
    )
    account, _ = bill.joined_customer()
    order = bill.order_in_crm(account, ("P1", 1, "10"), Stage="Won")
    bill.sync_until_quiet()
    invoice = bill.crm.create("Bill", {"Account": account, "Order": order, "Number": "R-1"})
    bill.sync_until_quiet()
    assert bill.erp.all("Bill") == {}
    (row,) = [row for row in bill.parked("waiting") if row.entity == "invoice"]
    assert row.error == "made"
    bill.crm.edit("Order", order, {"Stage": "Invoiced"})
    bill.sync_until_quiet()
    erp_order, held = bill.partner("crm", "Order", order, "erp")
    assert held["state"] == "Billed"
    assert bill.erp.all("Bill") == {}
    made = bill.erp.create("Bill", {"customer": held["customer"], "order": erp_order, "docno": "R-1"})
    bill.sync_until_quiet()
    assert bill.partner("crm", "Bill", invoice, "erp")[0] == made
    assert bill.parked("waiting") == []
    bill.assert_quiet()


# --- plug-ins ---------------------------------------------------------------------------------------------------------------------


def rot13() -> PlugIn:
    turn = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")
    return PlugIn(
        "iso", lambda text, **_: text.translate(turn), lambda text, **_: text.translate(turn), ["abc"], {"key": int}, nullable=False
    )


BROKEN = PlugIn("iso", lambda text: text.lower(), lambda text: text, ["Abc"])
NO_PLUG_IN = "text"


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install packages that bring transforms."""
    names = {"rot13": "ROT13", "broken": "BROKEN", "nothing": "NO_PLUG_IN", "gone": "GONE"}
    points = [EntryPoint(name, f"{__name__}:{value}", GROUP) for name, value in names.items()]
    monkeypatch.setattr(transforms, "entry_points", lambda group: [point for point in points if point.group == group])
    transforms._entry_points.cache_clear()
    yield
    transforms._entry_points.cache_clear()


ROT13 = rot13()


@story("plug-in")
def test_a_transform_that_another_package_brings_moves_a_record_both_ways(tmp_path: Path, plugged: None) -> None:
    secret = world(tmp_path, {"fields": {"phone": {"external": "Phone", "via": [{"rot13": {"key": 1}}]}}})
    account = secret.crm.create("Account", {"Name": "Acme", "Phone": "abc"})
    secret.sync_until_quiet()
    customer, held = secret.partner("crm", "Account", account, "erp")
    assert says(held, tel="nop")
    secret.erp.edit("customer", customer, {"tel": "xyz"})
    secret.sync_until_quiet()
    assert says(secret.crm_of(customer), Phone="klm")


@pytest.mark.parametrize(
    ("via", "words"),
    [
        ("broken", "breaks its law (iso) on its sample 1"),
        ("nothing", "is no transform"),
        ("gone", "cannot be loaded"),
        ("{rot13: {kee: 1}}", "no option `kee`"),
        ("rot14", "did you mean `rot13`?"),
    ],
)
def test_a_plug_in_that_breaks_its_law_or_is_misused_is_refused_where_it_stands(
    tmp_path: Path, plugged: None, via: str, words: str
) -> None:
    (told,) = _complaints(tmp_path, HEAD + f"  phone: {{external: Phone, via: [{via}]}}\n")[:1]
    assert words in str(told)
    assert told.line == HEAD.count("\n") + 1


# --- misuse -----------------------------------------------------------------------------------------------------------------------

ENTITY = """apiVersion: erpcrm-bridge/v1
kind: Entity
entity: customer
model: canonical:Customer
"""
HEAD = """apiVersion: erpcrm-bridge/v1
kind: Mapping
entity: customer
connector: memory
stream: Account
key: {id: Id, external_id: Ref}
fields:
  name: {external: Name}
"""
# What a mapping says wrongly, each line the key it misuses, the line at fault below HEAD, and words of the complaint.
REFUSED: list[tuple[str, str, str]] = [
    ("PassthroughSpec.match", 'passthrough: [{match: "("}]', "no regular expression"),
    ("PassthroughSpec.into", "passthrough: [{match: x, into: extra}]", "'custom'"),
    ("PassthroughSpec.direction", "passthrough: [{match: x, direction: in}]", "'to_canonical'"),
    ("PassthroughSpec.except", "passthrough: [{match: .*__c, except: [Score]}]", "nothing passes it"),
    ("MappingFile.passthrough", "passthrough: {match: .*__c}", "list"),
]


@pytest.mark.parametrize(("key", "text", "words"), REFUSED, ids=[f"{key}: {words}" for key, _, words in REFUSED])
def test_a_misuse_is_refused_with_its_file_its_line_and_a_way_out(tmp_path: Path, key: str, text: str, words: str) -> None:
    complaints = _complaints(tmp_path, HEAD + text)
    told = [complaint for complaint in complaints if words in str(complaint)]
    assert told, f"{key}: {[str(complaint) for complaint in complaints]}"
    assert told[0].file.endswith("customer/crm.yaml")
    assert told[0].line == HEAD.count("\n") + 1
    assert told[0].way_out


def _complaints(folder: Path, mapping: str, entity: str = ENTITY) -> list[Any]:
    (folder / "customer").mkdir()
    (folder / "customer" / "crm.yaml").write_text(mapping)
    (folder / "customer" / "entity.yaml").write_text(entity)
    try:
        library = load_library([folder])
    except ConfigError as error:
        return list(error.complaints)
    return [finding.complaint for finding in check(library, library.specs["customer/crm"])]
