"""The mapping language, key by key: for each a story in which a record moves because of it, and a misuse that is refused with its place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from msgspec import Struct
from pydantic import BaseModel
from tests.stories.world import ABLE, MAPPINGS, TEXT, World, row_write, says

from erpcrm_bridge.connector import Budget, Connector, Field, Write
from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping import PlugIn, check_mapping, load_library, transforms
from erpcrm_bridge.mapping import format as form
from erpcrm_bridge.mapping.format import TestSpec
from erpcrm_bridge.mapping.transforms import GROUP
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.sync.desk import found_new, settle_clash
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


# --- lists in slots ---------------------------------------------------------------------------------------------------------------

SITES = StreamSpec(
    "Site", fields("Label", "Street", "Town", Account=Field("", type="reference", references=("Account",))), ABLE, parent="Account"
)
IN_ROWS = {
    "child": {"stream": "Site", "parent": "Account"},
    "key": "Id",
    "write": "keyed",
    "fields": {"label": {"external": "Label"}, "line1": {"external": "Street"}, "city": {"external": "Town"}},
}
IN_SLOTS = {"slots": {"billing": {"prefix": "bill"}, "delivery": {"prefix": "ship"}}}
PLACES: dict[str, Any] = {"line1": {"external": "Street"}, "city": {"external": "Town", "via": ["trim"]}}
NAMED = {"label": {"external": "$slot", "write": "create_only"}}
TWO = {"model": "canonical:AddressLine", "line_match": [["line1", "city"], ["label"]]}


def slotted(tmp_path: Path, **more: Any) -> World:
    """Return a CRM with further addresses as rows, and an ERP that keeps two in fields of its customer."""
    erp = {"lists": {"addresses": {**IN_SLOTS, "fields": {**PLACES, **more}}}}
    specs = {"crm.Site": SITES, "erp.customer": {"fields": fields("billStreet", "billTown", "shipStreet", "shipTown")}}
    rules = {"customer": {"lists": {"addresses": TWO}, "fields": {"addresses": {"on_clash": {"prefer": ["crm", "erp"]}}}}}
    return world(tmp_path, {"lists": {"addresses": IN_ROWS}}, erp, specs=specs, rules=rules)


def site(world: World, account: str, **rows: Any) -> None:
    world.crm.edit("Account", account, {}, {"Site": row_write(**rows)})


@story("ListSpec.slots", "SlotSpec.prefix")
def test_a_list_in_slots_is_read_and_written_slot_by_slot(tmp_path: Path) -> None:
    kept = slotted(tmp_path)
    customer = kept.erp.create("customer", {"companyName": "Acme", "shipStreet": "Weg 1", "shipTown": "Bonn"})
    kept.sync_until_quiet()
    account, held = kept.partner("erp", "customer", customer, "crm")
    assert [(row["Street"], row["Town"]) for row in kept.crm.all("Site").values()] == [("Weg 1", "Bonn")]
    (row,) = kept.crm.all("Site")
    site(kept, account, change={row: {"Town": "Köln"}}, add=[{"Street": "Allee 2", "Town": "Kiel"}])
    kept.sync_until_quiet()
    held = kept.erp.get("customer", customer) or {}
    assert says(held, shipStreet="Weg 1", shipTown="Köln", billStreet="Allee 2", billTown="Kiel")
    kept.erp.edit("customer", customer, {"billTown": "Lübeck", "shipStreet": None, "shipTown": None})
    kept.sync_until_quiet()
    assert [(row["Street"], row["Town"]) for row in kept.crm.all("Site").values()] == [("Allee 2", "Lübeck")]
    site(kept, account, remove=list(kept.crm.all("Site")))
    kept.sync_until_quiet()
    assert says(kept.erp.get("customer", customer) or {}, shipStreet=None, shipTown=None, billStreet=None, billTown=None)
    kept.assert_agree()
    kept.assert_quiet()


def test_a_line_more_than_there_are_slots_parks_the_list_and_nothing_else(tmp_path: Path) -> None:
    kept = slotted(tmp_path)
    account = kept.crm.create("Account", {"Name": "Acme"})
    site(kept, account, add=[{"Street": f"Weg {n}", "Town": "Bonn"} for n in (1, 2, 3)])
    kept.sync_until_quiet()
    customer, held = kept.partner("crm", "Account", account, "erp")
    assert {held["billStreet"], held["shipStreet"]} < {"Weg 1", "Weg 2", "Weg 3"}
    (parked,) = kept.parked("field")
    assert (parked.field, parked.reason.partition(": ")[2]) == ("addresses", "it has more lines than the 2 slots there")
    kept.crm.edit("Account", account, {"Phone": "5"})
    kept.sync_until_quiet()
    assert says(kept.erp.get("customer", customer) or {}, tel="5")
    kept.assert_agree()
    kept.assert_quiet()
    first = next(key for key, row in kept.crm.all("Site").items() if row["Street"] == held["billStreet"])
    site(kept, account, remove=[first])
    kept.sync_until_quiet()
    assert kept.parked() == []
    held = kept.erp.get("customer", customer) or {}
    assert {held["billStreet"], held["shipStreet"]} == {row["Street"] for row in kept.crm.all("Site").values()}
    kept.assert_agree()


def test_a_line_of_which_a_slot_could_hold_nothing_parks_the_list_and_is_not_written_again_and_again(tmp_path: Path) -> None:
    kept = slotted(tmp_path)
    account, customer = kept.joined_customer()
    site(kept, account, add=[{"Label": "no address yet"}, {"Street": "Weg 1", "Town": "Bonn"}])
    kept.sync_until_quiet()
    assert says(kept.erp.get("customer", customer) or {}, billStreet="Weg 1", shipStreet=None)
    (parked,) = kept.parked("field")
    assert (parked.field, parked.reason.partition(": ")[2]) == ("addresses", "a line would leave its slot empty, and read as removed")
    kept.assert_quiet()
    kept.assert_agree()
    key = next(key for key, row in kept.crm.all("Site").items() if row["Street"])
    site(kept, account, change={key: {"Label": "moved out", "Street": None, "Town": None}})
    kept.sync_until_quiet()
    assert says(kept.erp.get("customer", customer) or {}, billStreet="Weg 1", billTown="Bonn")
    kept.assert_quiet()
    kept.assert_agree()
    site(kept, account, change={key: {"Street": "Weg 2"} for key in kept.crm.all("Site")})
    kept.sync_until_quiet()
    assert says(kept.erp.get("customer", customer) or {}, billStreet="Weg 2", billTown=None, shipStreet="Weg 2")
    assert kept.parked() == []
    kept.assert_quiet()


def test_a_line_goes_into_the_slot_that_it_names(tmp_path: Path) -> None:
    kept = slotted(tmp_path, **NAMED)
    account = kept.crm.create("Account", {"Name": "Acme"})
    site(kept, account, add=[{"Label": "delivery", "Street": "Weg 1", "Town": "Bonn"}])
    kept.sync_until_quiet()
    customer, held = kept.partner("crm", "Account", account, "erp")
    assert says(held, shipStreet="Weg 1", billStreet=None)
    kept.erp.edit("customer", customer, {"billStreet": "Allee 2"})
    kept.sync_until_quiet()
    assert {row["Street"]: row["Label"] for row in kept.crm.all("Site").values()} == {"Weg 1": "delivery", "Allee 2": "billing"}
    site(kept, account, add=[{"Label": "attic", "Street": "Hof 3"}])
    kept.sync_until_quiet()
    assert [row.reason.partition(": ")[2] for row in kept.parked("field")] == [
        "a line belongs into the slot `attic`, which the record does not have"
    ]
    kept.assert_quiet()


def test_what_somebody_wrote_into_a_slot_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    kept = slotted(tmp_path)
    account, customer = kept.joined_customer()
    site(kept, account, add=[{"Street": "Weg 1"}])
    plan = kept.plan()
    kept.erp.edit("customer", customer, {"billStreet": "Allee 2"})
    kept.apply(plan)
    kept.sync_until_quiet()
    held = kept.erp.get("customer", customer) or {}
    assert (held["billStreet"], held["shipStreet"]) == ("Allee 2", "Weg 1")
    assert {row["Street"] for row in kept.crm.all("Site").values()} == {"Weg 1", "Allee 2"}


ODD_SLOTS = [
    ("slots: {a: {prefix: b}}, key: k, fields: {line1: {external: S}}", "a row's key is its slot"),
    ("slots: {a: {prefix: b}}, write: keyed, fields: {line1: {external: S}}", "a row's key is its slot"),
    ("slots: {a: {prefix: b}, c: {prefix: b}}, fields: {line1: {external: S}}", "have one prefix"),
    ("slots: {a: {prefix: b}}, fields: {line1: {external: S.t}}", "a field of the record itself"),
    ("slots: {a: {prefix: Na}}, fields: {line1: {external: me}}", "the slot `a` both write `Name`"),
    ("slots: {a: {prefix: b}}, fields: {label: {external: $slot}}", "a line stays in the slot"),
    ("inline: x, key: k, write: keyed, fields: {label: {external: $slot}}", "only $connection.NAME is known"),
]


@pytest.mark.parametrize(("text", "words"), ODD_SLOTS, ids=[words for _, words in ODD_SLOTS])
def test_slots_that_cannot_be_meant_are_refused(tmp_path: Path, text: str, words: str) -> None:
    refused(
        "ListSpec.slots",
        _complaints(tmp_path, HEAD + f"lists: {{addresses: {{{text}}}}}\n"),
        words,
        "customer/crm.yaml",
        HEAD.count("\n") + 1,
    )


def test_the_check_tells_what_slots_lose_and_which_of_their_fields_are_not_there(tmp_path: Path) -> None:
    kept = slotted(tmp_path)
    told = {finding.code: finding.level for finding in check_mapping(kept.library, kept.library.specs["customer/erp"])}
    assert told["slots"] == "LOSSY"
    narrow = {**PLACES, "line2": {"external": "More"}}
    kept.library = kept.mapped(
        {"customer": {"lists": {"addresses": TWO}}}, {"customer/erp": {"lists": {"addresses": {**IN_SLOTS, "fields": narrow}}}}
    )
    with pytest.raises(ConfigError, match="cannot be compiled") as error:
        kept.sync()
    assert [str(one).partition("unknown-external: ")[2][:60] for one in error.value.complaints] == [
        "customer has no field `billMore` for the slot `billing`",
        "customer has no field `shipMore` for the slot `delivery`",
    ] or all("for the slot" in str(one) for one in error.value.complaints)
    lines = "lists: {lines: {slots: {a: {prefix: b}}, fields: {product: {external: P}}}}"
    rules = ENTITY.replace("entity: customer", "entity: order").replace("Customer", "Order")
    rules += "lists: {lines: {model: canonical:DocumentLine, sums_to: total, line_match: [[product]]}}\n"
    head = HEAD.replace("entity: customer", "entity: order").replace("  name: ", "  number: ")
    (tmp_path / "more").mkdir()
    assert any("would not add up" in str(one) for one in _complaints(tmp_path / "more", head + lines, rules, "order"))


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


# --- the rules of a list, as those of the record ----------------------------------------------------------------------------------

PLACE = msgspec.structs.replace(
    SITES, name="Place", parent="customer", fields=fields("Label", "Street", "Town", customer=Field("", references=("customer",)))
)


def housed(tmp_path: Path, crm: Any = None, erp: Any = None, *, place: StreamSpec = PLACE, **more: Any) -> World:
    """Return a CRM and an ERP with further addresses as rows; ``crm`` and ``erp`` are rules of theirs."""
    of_crm = {**IN_ROWS, "fields": {**IN_ROWS["fields"], **(crm or {})}}
    of_erp = {**IN_ROWS, "child": {"stream": "Place", "parent": "customer"}, "fields": {**IN_ROWS["fields"], **(erp or {})}}
    prefer = {"on_clash": {"prefer": ["erp", "crm"]}}
    rules = {"customer": {"lists": {"addresses": TWO}, "fields": {"addresses": prefer, "addresses.label": prefer}}}
    specs = {"crm.Site": SITES, "erp.Place": place}
    return world(tmp_path, {"lists": {"addresses": of_crm}}, {"lists": {"addresses": of_erp}}, specs=specs, rules=rules, **more)


def with_site(here: World, **row: Any) -> tuple[str, str, str]:
    """Let both systems hold a customer with one further address; return their keys, and that of the CRM's row."""
    account, customer = here.joined_customer()
    site(here, account, add=[{"Street": "Weg 1", "Town": "Rom", **row}])
    here.sync_until_quiet()
    (key,) = here.crm.all("Site")
    return account, customer, key


def place(here: World, **said: Any) -> bool:
    (row,) = here.erp.all("Place").values()
    return says(row, **said)


def test_an_empty_value_of_a_line_leaves_the_last_one_where_the_rule_keeps_it(tmp_path: Path) -> None:
    here = housed(tmp_path, {"city": {"external": "Town", "nulls": {"in": "keep"}}})
    account, _, row = with_site(here)
    site(here, account, change={row: {"Town": None, "Street": "Weg 2"}})
    here.sync_until_quiet()
    assert place(here, Street="Weg 2", Town="Rom")
    assert says(here.crm.all("Site")[row], Town="Rom")
    site(here, account, remove=[row])
    here.sync_until_quiet()
    assert here.erp.all("Place") == {}
    here.assert_agree()


def test_what_is_written_only_later_is_written_to_a_new_line_by_the_run_that_makes_it(tmp_path: Path) -> None:
    here = housed(tmp_path, erp={"label": {"external": "Label", "write": "update_only"}})
    with_site(here, Label="Home")
    assert place(here, Label="Home", Town="Rom")
    created = next(event for event in here.erp.log if event.stream == "Place" and event.verb == "create")
    assert (created.after or {})["Label"] is None
    here.assert_agree()
    here.assert_quiet()


def test_a_line_in_clash_does_not_answer_for_golden_when_another_one_is_written(tmp_path: Path) -> None:
    here = housed(tmp_path)
    account, customer, row = with_site(here)
    (other,) = here.erp.all("Place")
    site(here, account, change={row: {"Town": "Ulm"}})
    here.erp.edit("customer", customer, {}, {"Place": row_write(change={other: {"Town": "Bonn"}})})
    here.sync()
    site(here, account, add=[{"Street": "Weg 2", "Town": "Kiel"}], change={row: {"Street": "Weg 1a"}})
    here.sync_until_quiet()
    assert says(here.erp.all("Place")[other], Street="Weg 1a", Town="Bonn")
    (clash,) = here.parked("clash")
    settle_clash(here.store, clash.id, value="Rom", person="op", clock=here.clock)
    here.sync_until_quiet()
    assert says(here.crm.all("Site")[row], Town="Rom")
    assert says(here.erp.all("Place")[other], Street="Weg 1a", Town="Rom")
    here.assert_agree()
    here.assert_quiet()


LABELS = {
    "label": {"external": "Label", "via": [{"map": {"pairs": {"Home": "home", "Work": "work", "Other": "other"}, "fallback": "other"}}]}
}


def test_what_only_a_fallback_reads_of_a_line_is_written_over_only_when_golden_moves_on(tmp_path: Path) -> None:
    rules = {"label": {**LABELS["label"], "accept_loss": ["fallback: x"]}}
    here = housed(tmp_path, rules, joined=False)
    account = here.crm.create("Account", {"Name": "Acme", "Email": "a@acme.example"})
    site(here, account, add=[{"Street": "Weg 1", "Town": "Rom", "Label": "Gift"}])
    customer = here.erp.create("customer", {"companyName": "Acme", "mail": "a@acme.example"})
    here.erp.edit("customer", customer, {}, {"Place": row_write(add=[{"Street": "Weg 1", "Town": "Rom", "Label": "work"}])})
    here.adopt()
    (row,), (other,) = here.crm.all("Site"), here.erp.all("Place")
    assert here.golden().fields["addresses"][0]["label"] == "work"
    assert says(here.crm.all("Site")[row], Label="Gift")
    here.assert_quiet()
    here.erp.edit("customer", customer, {}, {"Place": row_write(change={other: {"Town": "Bonn"}})})
    here.sync_until_quiet()
    assert says(here.crm.all("Site")[row], Town="Bonn", Label="Gift")
    here.erp.edit("customer", customer, {}, {"Place": row_write(change={other: {"Label": "home"}})})
    here.sync_until_quiet()
    assert says(here.crm.all("Site")[row], Label="Home")
    here.assert_quiet()


@pytest.mark.parametrize("overflow", ["truncate", "error"])
def test_a_text_of_a_line_that_is_too_long_holds_it_or_is_cut(tmp_path: Path, overflow: str) -> None:
    short = msgspec.structs.replace(PLACE, fields={**PLACE.fields, "Street": Field("Street", length=6)})
    here = housed(tmp_path, erp={"line1": {"external": "Street", "overflow": overflow}}, place=short)
    account, _, row = with_site(here)
    site(here, account, change={row: {"Street": "Weg 12345"}})
    here.sync_until_quiet()
    assert place(here, Street="Weg 12" if overflow == "truncate" else "Weg 1")
    assert [row.field for row in here.parked("field")] == ([] if overflow == "truncate" else ["addresses.line1"])
    assert says(here.crm.all("Site")[row], Street="Weg 12345")
    here.assert_quiet()


def test_lines_of_which_one_cannot_be_read_wait_as_one_and_the_record_flows(tmp_path: Path) -> None:
    pairs = {"Home": "home", "Work": "work"}
    here = housed(tmp_path, {"label": {"external": "Label", "via": [{"map": {"pairs": pairs}}]}})
    account, customer, row = with_site(here, Label="Home")
    site(here, account, change={row: {"Label": "Odd", "Town": "Kiel"}}, add=[{"Street": "Weg 2", "Town": "Ulm", "Label": "Work"}])
    here.crm.edit("Account", account, {"Phone": "7"})
    here.sync_until_quiet()
    assert says(here.erp.get("customer", customer) or {}, tel="7")
    assert place(here, Town="Rom", Label="home")
    (parked,) = here.parked("field")
    assert (parked.field, parked.reason.partition("addresses: ")[2]) == ("addresses", "label: 'Odd' is not in the table")
    assert {one.known for one in here.verify().differences} == {"parked"}
    (other,) = here.erp.all("Place")
    here.erp.edit("customer", customer, {"mail": "x@acme.example"}, {"Place": row_write(change={other: {"Street": "Weg 9"}})})
    here.sync_until_quiet()
    assert says(here.crm_of(customer), Email="x@acme.example")
    assert says(here.crm.all("Site")[row], Street="Weg 1", Label="Odd")
    here.assert_quiet()
    site(here, account, change={row: {"Label": "Work"}})
    here.sync_until_quiet()
    assert here.parked() == []
    held = {(one["Street"], one["Town"], one["Label"]) for one in here.erp.all("Place").values()}
    assert held == {("Weg 9", "Kiel", "work"), ("Weg 2", "Ulm", "work")}
    assert says(here.crm.all("Site")[row], Street="Weg 9", Town="Kiel", Label="Work")
    here.assert_agree()
    here.assert_quiet()


def test_what_is_owed_to_lines_that_are_paused_is_parked_and_written_when_they_are_back(tmp_path: Path) -> None:
    here = housed(tmp_path)
    here.pin()
    _, customer, row = with_site(here)
    here.crm.alter("Site", "Street", None)
    (other,) = here.erp.all("Place")
    here.erp.edit("customer", customer, {"tel": "5"}, {"Place": row_write(change={other: {"Street": "Weg 7"}})})
    here.sync_until_quiet()
    assert says(here.crm_of(customer), Phone="5")
    assert [(one.field, one.error) for one in here.parked("field")] == [("addresses", "paused")]
    here.crm.alter("Site", "Street", SITES.fields["Street"])
    here.sync_until_quiet()
    assert says(here.crm.all("Site")[row], Street="Weg 7")
    assert here.parked() == []


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


def test_what_a_person_founds_is_created_once_however_many_mappings_share_the_stream(tmp_path: Path) -> None:
    crm = {"fields": {**PARTNERS["customer/crm"]["fields"]}, "when": PARTNERS["customer/crm"]["when"]}
    more = {"customer/crm-partners": PARTNERS["customer/crm-partners"]}
    shared = world(tmp_path, crm, specs={"crm.Account": {"fields": fields("Kind", "Mobile")}}, mappings=more)
    shared.crm.create("Account", {"Name": "Acme", "Kind": "client"})
    customer = shared.erp.create("customer", {"companyName": "Acme", "mail": "other@acme.example"})
    shared.sync()
    (row,) = (row for row in shared.parked("review") if row.key == customer)
    with shared.at_work() as (flow, store, _):
        found_new(store, flow, row.id, person="pat", clock=shared.clock)
    shared.sync_until_quiet()
    assert len(shared.crm.all("Account")) == 2
    assert sorted(link.state for link in shared.store.links_of([shared.golden_of("erp", "customer", customer)]).popitem()[1]) == [
        "live",
        "live",
    ]
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


def test_a_record_that_the_bridge_s_own_write_gives_to_another_mapping_is_written_by_that_one_from_then_on(tmp_path: Path) -> None:
    def kind(external: str, company: str, person: str) -> dict[str, Any]:
        return {"external": external, "via": [{"map": {"pairs": {company: True, person: False}}}]}

    crm = {"when": "Kind != 'person'", "fields": {"is_company": kind("Kind", "firm", "person")}}
    name = {"external": "Name", "via": ["trim"], "required": True}
    person = {"stream": "Account", "when": "Kind == 'person'", "fields": {"name": name, "is_company": kind("Kind", "firm", "person")}}
    erp = {"fields": {"is_company": kind("type", "F", "P")}}
    specs = {"crm.Account": {"fields": fields("Kind")}, "erp.customer": {"fields": fields("type")}}
    shared = world(tmp_path, crm, specs=specs, mappings={"customer/crm-person": person, "customer/erp": erp})
    account = shared.crm.create("Account", {"Name": "Acme", "Kind": "firm"})
    shared.sync_until_quiet()
    customer = shared.partner("crm", "Account", account, "erp")[0]
    shared.erp.edit("customer", customer, {"type": "P"})
    shared.sync_until_quiet()
    shared.erp.edit("customer", customer, {"credit": 9, "companyName": "Ann"})
    shared.sync_until_quiet()
    assert says(shared.crm.get("Account", account) or {}, Kind="person", Name="Ann", Limit=None)
    shared.erp.edit("customer", customer, {"type": "F"})
    shared.sync_until_quiet()
    assert says(shared.crm.get("Account", account) or {}, Kind="firm", Limit=9)
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


def test_a_linked_record_that_two_mappings_take_is_parked_like_any_other_and_goes_on_when_one_does(tmp_path: Path) -> None:
    more = {"customer/crm-partners": {**PARTNERS["customer/crm-partners"], "when": "Name == 'Both'"}}
    shared = world(tmp_path, specs={"crm.Account": {"fields": fields("Kind", "Mobile")}}, mappings=more)
    account, customer = shared.joined_customer(Phone="1")
    shared.crm.edit("Account", account, {"Name": "Both", "Phone": "2", "Mobile": "3"})
    shared.erp.edit("customer", customer, {"mail": "new@acme.example"})
    shared.sync_until_quiet()
    (row,) = shared.parked("record")
    assert row.error == "when-overlap"
    assert says(shared.erp.get("customer", customer) or {}, companyName="Acme", tel="1")
    assert says(shared.crm.get("Account", account) or {}, Email="info@acme.example")
    shared.crm.edit("Account", account, {"Name": "One"})
    shared.sync_until_quiet()
    assert shared.parked() == []
    assert says(shared.erp.get("customer", customer) or {}, companyName="One", tel="2")
    assert says(shared.crm.get("Account", account) or {}, Email="new@acme.example")
    shared.assert_quiet()


# --- documents --------------------------------------------------------------------------------------------------------------------


def listened(here: World) -> list[Write]:
    """Return a list that fills with what is asked of the systems from now on."""
    asked: list[Write] = []

    def opener(role: str, _: object) -> Connector:
        connector: Any = here.connect(role)
        write = connector.write
        connector.write = lambda selection, writes: [asked.extend(writes), write(selection, writes)][1]
        return connector

    here.opener = opener
    return asked


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
    asked = listened(whole)
    whole.sync_until_quiet()
    (lists,) = [write.lists["items"] for write in asked if write.lists]
    assert lists.replace
    assert sorted(row.get("line", "new") for _, row in lists.rows) == sorted([*before.values(), "new"])
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


@story("MoveSpec.by")
def test_a_move_that_another_record_makes_is_waited_for_in_the_state_before_it(tmp_path: Path) -> None:
    moves = {"draft": ["confirmed"], "confirmed": [{"to": "invoiced", "by": "invoice"}]}
    state = {**MAPPINGS["order/erp"]["fields"]["state"], "moves": moves}
    offered = {"state": {"Pending": ("Approved",)}}
    world = World(
        tmp_path,
        specs={"erp.salesorder": {"capabilities": msgspec.structs.replace(ABLE, moves=offered)}},
        rules={"order": {"fields": {"state": {"write_by": ["crm"]}}}},
        mappings={"order/erp": {"fields": {"state": state}}},
    )
    account, _ = world.joined_customer()
    world.order_in_crm(account, ("P1", 1, "10"), Stage="Invoiced")
    world.erp.edit("customer", world.only("erp", "customer")[0], {"tel": "1"})
    world.sync_until_quiet()
    key, _ = world.only("erp", "salesorder")
    world.erp.edit("salesorder", key, {"state": "Pending"})
    world.sync_until_quiet()
    assert world.only("erp", "salesorder")[1]["state"] == "Approved"
    (row,) = world.parked()
    assert "it becomes invoiced by its invoice" in row.reason
    world.erp.edit("salesorder", key, {"state": "Billed"})
    world.sync_until_quiet()
    assert world.parked() == []
    world.assert_agree()
    world.assert_quiet()


@story("RuleSpec.put")
def test_a_rule_that_is_only_written_is_written_when_any_field_that_it_reads_has_changed(tmp_path: Path) -> None:
    whole = {"canonical": "last_name", "external": "last", "put": "first_name + ' ' + last_name", "required": True}
    read = {"external": "last", "via": ["split_name"], "canonical": ["first_name", "last_name"], "direction": "to_canonical"}
    world = World(
        tmp_path,
        entities=("customer", "contact"),
        mappings={"contact/erp": {"fields": {"first_name": None, "last_name": None, "names": read, "whole": whole}}},
    )
    account, _ = world.joined_customer()
    contact = world.crm.create("Contact", {"Account": account, "First": "Ada", "Last": "King"})
    world.sync_until_quiet()
    world.crm.edit("Contact", contact, {"First": "Augusta"})
    world.sync_until_quiet()
    assert world.only("erp", "person")[1]["last"] == "Augusta King"
    world.assert_quiet()


# --- transforms -------------------------------------------------------------------------------------------------------------------


class Case(Struct):
    """What a transform does to a record: ``crm`` holds ``held``, the ERP gets ``golden``, then says ``edited``, and the CRM gets ``back``
    (None: the rule is only read). ``rule`` is the CRM's; ``shown`` the kind of the ERP's field."""

    rule: dict[str, Any]
    held: dict[str, Any]
    golden: Any
    edited: Any = None
    back: dict[str, Any] | None = None
    kinds: dict[str, Field] = {}
    shown: Field = TEXT
    paths: tuple[str, ...] = ("custom.x",)


FLAG, OBJECT, DIGITS = Field("", type="boolean"), Field("", type="object"), Field("", type="number", precision=18, scale=6)


def via(*entries: Any, **more: Any) -> dict[str, Any]:
    return {"canonical": "custom.x", "external": "X", "via": list(entries), **more}


READ = {"direction": "to_canonical"}
TRANSFORMS: dict[str, Case] = {
    "str": Case(via("str", **READ), {"X": 5}, "5", kinds={"X": DIGITS}),
    "trim": Case(via("trim"), {"X": "  a "}, "a", "b", {"X": "b"}),
    "collapse_ws": Case(via("collapse_ws"), {"X": " a   b "}, "a b", "c d", {"X": "c d"}),
    "lower": Case(via("lower"), {"X": "AbC"}, "abc", "d", {"X": "d"}),
    "upper": Case(via("upper"), {"X": "AbC"}, "ABC", "D", {"X": "D"}),
    "not": Case(via("not"), {"X": True}, False, True, {"X": False}, {"X": FLAG}, FLAG),
    "odoo_false_null": Case(via("odoo_false_null"), {"X": False}, None, True, {"X": True}, {"X": FLAG}, FLAG),
    "map": Case(via({"map": {"pairs": {"A": "a", "B": "b"}}}), {"X": "A"}, "a", "b", {"X": "B"}),
    "code": Case(via({"code": {"of": "term"}}), {"X": "901"}, "Net 30", "Net 14", {"X": "902"}),
    "country": Case(via("country"), {"X": "Deutschland"}, "DE", "FR", {"X": "France"}),
    "region": Case(via({"region": {"country": "DE"}}), {"X": "Bayern"}, "BY", "BE", {"X": "BE"}),
    "phone": Case(via({"phone": {"region": "DE"}}), {"X": "030 1234567"}, "tel:+49-30-1234567", "tel:+49-30-7654321",
                  {"X": "+49 30 7654321"}),
    "decimal": Case(
        via({"decimal": {"scale": 2}}), {"X": Decimal("3.14159")}, Decimal("3.14"), Decimal("2.5"), {"X": Decimal("2.50")}, {"X": DIGITS},
        DIGITS,
    ),
    "money": Case(
        via({"money": {"currency": "JPY"}}), {"X": Decimal("10.3")}, Decimal("10"), Decimal("11"), {"X": Decimal("11")}, {"X": DIGITS},
        DIGITS,
    ),
    "date": Case(via({"date": {"format": "%d.%m.%Y"}}), {"X": "01.05.2026"}, "2026-05-01", "2026-12-24", {"X": "24.12.2026"}),
    "instant": Case(
        via("instant"), {"X": "2026-05-01T10:00:00+0200"}, "2026-05-01T08:00:00.000Z", "2026-05-02T09:00:00.000Z",
        {"X": "2026-05-02T09:00:00.000Z"},
    ),
    "utc_naive": Case(
        via("utc_naive"), {"X": "2026-05-01 09:15:22"}, "2026-05-01T09:15:22.000Z", "2026-05-02T09:00:00.000Z", {"X": "2026-05-02 09:00:00"}
    ),
    "wall_time": Case(
        via({"wall_time": {"tz": "Europe/Berlin"}}), {"X": "2026-05-01T10:00:00"}, "2026-05-01T08:00:00.000Z", "2026-01-02T08:00:00.000Z",
        {"X": "2026-01-02T09:00:00"},
    ),
    "lines": Case(
        {"canonical": ["custom.x", "custom.y"], "external": "X", "via": [{"lines": {"n": 2}}]}, {"X": "Weg 1\r\n2. OG"}, ("Weg 1", "2. OG"),
        ("Weg 2", "2. OG"), {"X": "Weg 2\n2. OG"}, paths=("custom.x", "custom.y"),
    ),
    "join": Case(
        {"canonical": "custom.x", "external": ["X", "Y"], "via": ["join"]}, {"X": "Ada", "Y": "Lovelace"}, "Ada Lovelace", "Grace Hopper",
        {"X": "Grace", "Y": "Hopper"},
    ),
    "split_name": Case(
        {"canonical": ["custom.x", "custom.y"], "external": "X", "via": ["split_name"], **READ}, {"X": "Ada Lovelace"}, ("Ada", "Lovelace"),
        paths=("custom.x", "custom.y"),
    ),
    "formula_guard": Case(via("formula_guard"), {"X": "'=1+1"}, "=1+1", "-2", {"X": "'-2"}),
    "first_of_list": Case(
        {"canonical": "custom.x", "external": "X.all", "via": ["first_of_list"], **READ}, {"X": {"all": ["a", "b"]}}, "a",
        kinds={"X": OBJECT},
    ),
    "hash": Case(via("hash", **READ), {"X": "a"}, hashlib.blake2b(b"a", digest_size=16).hexdigest()),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_record_moves_through_each_transform_and_back(tmp_path: Path, name: str) -> None:
    case = TRANSFORMS[name]
    shown = {path: f"shown{number}" for number, path in enumerate(case.paths)}
    specs = {
        "crm.Account": {"fields": fields("X", "Y", **case.kinds)},
        "erp.customer": {"fields": fields(**dict.fromkeys(shown.values(), case.shown))},
    }
    erp = {"fields": {f"r{number}": {"canonical": path, "external": shown[path]} for number, path in enumerate(case.paths)}}
    moved = world(tmp_path, {"fields": {"rule": case.rule}}, erp, specs=specs, joined=False)
    moved.crm.codes["term"] = {"901": "Net 30", "902": "Net 14"}
    moved.sync()
    account = moved.crm.create("Account", {"Name": "Acme", **case.held})
    moved.sync_until_quiet()
    assert moved.parked() == []
    customer, held = moved.partner("crm", "Account", account, "erp")
    golden = case.golden if isinstance(case.golden, tuple) else (case.golden,)
    assert says(held, **dict(zip(shown.values(), golden, strict=True)))
    assert says(moved.crm_of(customer), **case.held)
    if case.back is not None:
        edited = case.edited if isinstance(case.edited, tuple) else (case.edited,)
        moved.erp.edit("customer", customer, dict(zip(shown.values(), edited, strict=True)))
        moved.sync_until_quiet()
        assert says(moved.crm_of(customer), **case.back)
    moved.assert_agree()
    moved.assert_quiet()


def test_a_region_is_read_and_written_by_this_account_s_ids_within_its_country(tmp_path: Path) -> None:
    country = {"billing.country_code": {"external": "Land", "via": ["country"]}}
    region = {"billing.region": {"external": "Region", "via": [{"code": {"of": "region", "country": "billing.country_code"}}]}}
    erp = {"fields": {"billing.country_code": {"external": "land"}, "billing.region": {"external": "part"}}}
    specs = {"crm.Account": {"fields": fields("Land", "Region")}, "erp.customer": {"fields": fields("land", "part")}}
    lands = world(tmp_path, {"fields": country | region}, erp, specs=specs, joined=False)
    lands.crm.codes["region"] = {"55": "DE-BY", "56": "DE-BE", "91": "AT-9"}
    lands.sync()
    account = lands.crm.create("Account", {"Name": "Acme", "Land": "Germany", "Region": "55"})
    lands.sync_until_quiet()
    customer, held = lands.partner("crm", "Account", account, "erp")
    assert says(held, land="DE", part="BY")
    lands.erp.edit("customer", customer, {"part": "BE"})
    lands.sync_until_quiet()
    assert says(lands.crm_of(customer), Region="56")


# --- keys of a rule ---------------------------------------------------------------------------------------------------------------


def joined(tmp_path: Path, crm: dict[str, Any], held: dict[str, Any], *more: str, **specs: Any) -> tuple[World, str, str]:
    """Return a world whose CRM has these rules and fields ``more``, and one customer in both systems."""
    changed = {"crm.Account": {"fields": fields(*more)}, **specs.pop("specs", {})}
    here = world(tmp_path, {"fields": crm}, specs=changed, **specs)
    account = here.crm.create("Account", {"Name": "Acme", **held})
    here.sync_until_quiet()
    return here, account, here.partner("crm", "Account", account, "erp")[0]


@story(
    "EntityFile.apiVersion", "EntityFile.kind", "EntityFile.entity", "EntityFile.model", "EntityFile.fields", "MappingFile.apiVersion",
    "MappingFile.kind", "MappingFile.entity", "MappingFile.fields", "RuleSpec.via", "RuleSpec.note", "EntityFile.unmapped",
)  # fmt: skip
def test_a_record_moves_both_ways_by_the_rules_of_two_mappings(tmp_path: Path) -> None:
    rules = {"phone": {"external": "Phone", "via": ["trim", "lower"], "note": "as people type it"}}
    here, account, customer = joined(tmp_path, rules, {"Phone": " EXT 5 "}, rules={"customer": {"unmapped": {"shop": "there is none"}}})
    assert says(here.erp_of(account), tel="ext 5")
    here.erp.edit("customer", customer, {"tel": "ext 6"})
    here.sync_until_quiet()
    assert says(here.crm_of(customer), Phone="ext 6")


@story("RuleSpec.direction")
def test_what_is_only_read_is_never_written_and_what_is_only_written_is_never_read(tmp_path: Path) -> None:
    rules = {"phone": {"external": "Phone", "direction": "to_canonical"}, "email": {"external": "Email", "direction": "from_canonical"}}
    here, account, customer = joined(tmp_path, rules, {"Phone": "5", "Email": "a@a.example"})
    assert says(here.erp_of(account), tel="5", mail=None)
    here.erp.edit("customer", customer, {"tel": "6", "mail": "b@b.example"})
    here.sync_until_quiet()
    assert says(here.crm_of(customer), Phone="5", Email="b@b.example")
    here.assert_quiet()


@story("RuleSpec.get", "RuleSpec.put")
def test_an_expression_reads_and_another_writes(tmp_path: Path) -> None:
    get = "'inactive' if lower(coalesce(State, 'x')) in ['off', 'gone'] and not starts(Name, 'Z') else 'active'"
    put = "upper(left('off', 3)) if status == 'inactive' or status == 'archived' else null"
    rules = {"status": {"get": get, "put": put, "external": "State", "accept_loss": ["PutGet: the CRM has no archived"]}}
    here, account, customer = joined(tmp_path, rules, {"State": "Gone"}, "State")
    assert says(here.erp_of(account), inactive="yes")
    assert says(here.crm_of(customer), State="Gone")
    here.erp.edit("customer", customer, {"inactive": "no"})
    here.sync_until_quiet()
    assert says(here.crm_of(customer), State=None)
    here.erp.edit("customer", customer, {"inactive": "yes"})
    here.sync_until_quiet()
    assert says(here.crm_of(customer), State="OFF")


@story("RuleSpec.const", "RuleSpec.default", "RuleSpec.write")
def test_constants_and_defaults_come_from_the_file_or_the_connection_and_are_written_when_they_may_be(tmp_path: Path) -> None:
    rules = {
        "source": {"external": "Source", "const": "$connection.us", "write": "create_only"},
        "phone": {"external": "Phone", "default": "none"},
        "website": {"external": "Web", "write": "update_only"},
    }
    specs = {"crm.Account": {"fields": fields("Source", "Web")}, "erp.customer": {"fields": fields("url")}}
    here = world(tmp_path, {"fields": rules}, {"fields": {"website": {"external": "url"}}}, specs=specs, joined=False)
    here.declare("crm", us="bridge")
    here.sync()
    customer = here.erp.create("customer", {"companyName": "Acme", "url": "a.example"})
    here.sync_until_quiet()
    account, held = here.partner("erp", "customer", customer, "crm")
    assert says(held, Source="bridge", Web="a.example")
    created = next(event for event in here.crm.log if event.verb == "create")
    assert (created.after or {})["Web"] is None
    beta = here.crm.create("Account", {"Name": "Beta"})
    here.sync_until_quiet()
    assert says(here.erp_of(beta), tel="none")
    here.crm.edit("Account", account, {"Source": "fair"})
    here.erp.edit("customer", customer, {"mail": "a@a.example"})
    here.sync_until_quiet()
    assert says(here.crm_of(customer), Source="fair", Email="a@a.example")


@story("RuleSpec.nulls", "NullsSpec.in", "NullsSpec.out")
def test_an_empty_value_clears_keeps_or_stands_for_the_default_as_the_rule_says(tmp_path: Path) -> None:
    rules = {
        "phone": {"external": "Phone"},
        "website": {"external": "Web", "nulls": {"in": "keep", "out": "skip"}},
        "payment_terms": {"external": "Owner", "default": "house", "nulls": {"in": "default", "out": "default"}},
    }
    erp = {"fields": {"website": {"external": "url"}, "payment_terms": {"external": "rep"}}}
    specs = {"crm.Account": {"fields": fields("Web", "Owner")}, "erp.customer": {"fields": fields("url", "rep")}}
    here = world(tmp_path, {"fields": rules}, erp, specs=specs)
    account = here.crm.create("Account", {"Name": "Acme", "Phone": "5", "Web": "a.example", "Owner": "Ann"})
    here.sync_until_quiet()
    customer, _ = here.partner("crm", "Account", account, "erp")
    here.crm.edit("Account", account, {"Phone": None, "Web": None, "Owner": None})
    here.sync_until_quiet()
    assert says(here.erp_of(account), tel=None, url="a.example", rep="house")
    here.crm.edit("Account", account, {"Web": "b.example"})
    here.sync_until_quiet()
    here.erp.edit("customer", customer, {"url": None, "rep": None})
    here.sync_until_quiet()
    assert says(here.crm_of(customer), Web="b.example", Owner="house")
    here.assert_quiet()


@story("RuleSpec.required", "RuleSpec.ref", "RefSpec.entity", "RefSpec.required")
def test_a_create_waits_for_what_is_required_and_goes_without_what_is_not(tmp_path: Path) -> None:
    rules = {
        "email": {"external": "mail", "required": True},
        "parent": {"external": "parent", "ref": {"entity": "customer", "required": False}},
    }
    here = world(tmp_path, erp={"fields": rules})
    parent = here.crm.create("Account", {"Name": "Holding"})
    child = here.crm.create("Account", {"Name": "Acme", "Email": "a@a.example", "Parent": parent})
    here.sync_until_quiet()
    assert [fields["companyName"] for fields in here.erp.all("customer").values()] == ["Acme"]
    here.crm.edit("Account", parent, {"Email": "h@h.example"})
    here.sync_until_quiet()
    assert says(here.erp_of(child), parent=here.partner("crm", "Account", parent, "erp")[0])


@story("RuleSpec.required")
def test_what_is_required_is_there_where_one_of_its_joined_fields_holds_it(tmp_path: Path) -> None:
    rules = {"phone": {"external": ["tel", "ext"], "via": ["join"], "required": True}}
    here = world(tmp_path, erp={"fields": rules}, specs={"erp.customer": {"fields": fields("ext")}})
    account = here.crm.create("Account", {"Name": "Acme", "Phone": "12345"})
    bare = here.crm.create("Account", {"Name": "Bare"})
    here.sync_until_quiet()
    assert says(here.erp_of(account), tel="12345", ext=None)
    assert [row.reason.partition(": ")[2] for row in here.parked("record")] == ["phone is required on a create and empty"]
    assert len(here.erp.all("customer")) == 1
    here.crm.edit("Account", bare, {"Phone": "1 2"})
    here.sync_until_quiet()
    assert says(here.erp_of(bare), tel="1", ext="2")


@story("RuleSpec.required", "RuleSpec.const")
def test_a_create_waits_for_a_required_constant_until_the_connection_declares_it(tmp_path: Path) -> None:
    rules = {"desk": {"external": "desk", "const": "$connection.desk", "required": True}}
    here = world(tmp_path, erp={"fields": rules}, specs={"erp.customer": {"fields": fields("desk")}})
    account = here.crm.create("Account", {"Name": "Acme"})
    here.sync_until_quiet()
    assert [row.reason.partition(" new ")[2] for row in here.parked()] == ["desk: the connection declares no desk"]
    assert not here.erp.all("customer")
    here.declare("erp", desk="north")
    here.sync()
    here.apply(here.plan())
    here.sync_until_quiet()
    assert says(here.erp_of(account), desk="north")


@story("RuleSpec.required", "ListSpec.fields")
def test_a_line_is_not_made_without_what_is_required_of_it(tmp_path: Path) -> None:
    of_erp = MAPPINGS["order/erp"]["lists"]["lines"]
    lines = {**of_erp, "fields": {**of_erp["fields"], "unit_price": {"external": "rate", "via": ["decimal"], "required": True}}}
    here = World(tmp_path, entities=("customer", "order"), mappings={"order/erp": {"lists": {"lines": lines}}})
    account, _ = here.joined_customer()
    order = here.order_in_crm(account, ("P1", 1, "10"))
    here.sync_until_quiet()
    document = here.partner("crm", "Order", order, "erp")[0]
    bare = here.order_in_crm(account, Total=5, Number="SO-2")
    lone = here.crm.create("OrderItem", {"Order": bare, "Product": "P2", "Qty": 1, "Amount": 5})
    extra = here.crm.create("OrderItem", {"Order": order, "Product": "P2", "Qty": 1, "Amount": 5})
    here.crm.edit("Order", order, {"Total": 15})
    here.sync_until_quiet()
    assert [row["item"] for row in (here.erp.get("salesorder", document) or {})["items"]] == ["P1"]
    assert len(here.erp.all("salesorder")) == 1
    assert [row.reason.partition(": ")[2] for row in here.parked("field")] == ["it is required of a new line, and empty"] * 2
    for line in (lone, extra):
        here.crm.edit("OrderItem", line, {"Price": 5})
    here.sync_until_quiet()
    assert [row["rate"] for row in (here.erp.get("salesorder", document) or {})["items"]] == [10, 5]
    assert len(here.erp.all("salesorder")) == 2
    assert here.parked() == []
    here.assert_quiet()


@story("RuleSpec.overflow")
def test_a_text_that_is_too_long_parks_its_field_or_is_cut_without_halving_a_character(tmp_path: Path) -> None:
    short = {"erp.customer": {"fields": fields(tel=Field("", length=6), vat=Field("", length=4))}}
    cut = {"phone": {"external": "tel", "overflow": "truncate"}, "tax_id": {"external": "vat"}}
    rules = {"customer": {"fields": {"tax_id": {"write_by": ["crm"]}}}}
    here = world(tmp_path, erp={"fields": cut}, specs=short, rules=rules)
    account = here.crm.create("Account", {"Name": "Acme", "Phone": "12345\N{SLICE OF PIZZA}7", "Vat": "DE12345"})
    here.sync_until_quiet()
    customer, held = here.partner("crm", "Account", account, "erp")
    assert says(held, tel="12345", vat=None)
    assert [row.field for row in here.parked("field")] == ["tax_id"]
    assert says(here.crm_of(customer), Phone="12345\N{SLICE OF PIZZA}7")
    here.assert_quiet()


@pytest.mark.parametrize("there", [True, False])
@story("RuleSpec.optional")
def test_an_optional_rule_moves_its_field_where_the_system_has_it(tmp_path: Path, there: bool) -> None:
    rules = {"website": {"external": "Web", "optional": True}}
    specs = {"erp.customer": {"fields": fields("url")}, **({"crm.Account": {"fields": fields("Web")}} if there else {})}
    here = world(tmp_path, {"fields": rules}, {"fields": {"website": {"external": "url"}}}, specs=specs)
    customer = here.erp.create("customer", {"companyName": "Acme", "url": "a.example"})
    here.sync_until_quiet()
    assert here.crm_of(customer).get("Web") == ("a.example" if there else None)


@pytest.mark.parametrize("stream", ["OrderItem", "Nowhere"])
@story("ListSpec.optional")
def test_an_optional_list_moves_its_lines_where_the_system_has_their_stream(tmp_path: Path, stream: str) -> None:
    lines = {**MAPPINGS["order/crm"]["lists"]["lines"], "child": {"stream": stream, "parent": "Order"}, "optional": True}
    here = World(tmp_path, entities=("customer", "order"), mappings={"order/crm": {"lists": {"lines": lines}}})
    account, _ = here.joined_customer()
    order = here.order_in_crm(account, ("P1", 1, "10"))
    here.sync_until_quiet()
    assert [row["item"] for row in here.partner("crm", "Order", order, "erp")[1]["items"]] == (["P1"] if stream == "OrderItem" else [])


@story("TableSpec.write")
def test_of_several_values_that_read_alike_the_named_one_is_written(tmp_path: Path) -> None:
    table = {"pairs": {"open": "active", "new": "active", "closed": "inactive"}, "write": {"active": "open", "archived": "closed"}}
    rules = {"status": {"external": "Status", "via": [{"map": table}], "accept_loss": ["PutGet: no archived"]}}
    here, account, customer = joined(tmp_path, rules, {"Status": "new"})
    assert says(here.erp_of(account), inactive="no")
    assert says(here.crm_of(customer), Status="new")
    here.erp.edit("customer", customer, {"inactive": "yes"})
    here.sync_until_quiet()
    here.erp.edit("customer", customer, {"inactive": "no"})
    here.sync_until_quiet()
    assert says(here.crm_of(customer), Status="open")


@pytest.mark.parametrize("after", [[], ["trim"]])
@story("TableSpec.pairs")
def test_what_a_table_reads_as_nothing_is_empty_and_stays_as_it_is_written_there(tmp_path: Path, after: list[str]) -> None:
    table = {"pairs": {"desk": "030 1", "n/a": None, "-": None}}
    here, account, customer = joined(tmp_path, {"phone": {"external": "Phone", "via": [{"map": table}, *after]}}, {"Phone": "n/a"})
    assert says(here.erp_of(account), tel=None)
    assert says(here.crm_of(customer), Phone="n/a")
    assert not here.parked()
    here.erp.edit("customer", customer, {"tel": "030 1"})
    here.sync_until_quiet()
    assert says(here.crm_of(customer), Phone="desk")
    here.crm.edit("Account", account, {"Phone": "-"})
    here.sync_until_quiet()
    assert says(here.erp_of(account), tel=None)


@story("ListSpec.child", "ChildSpec.stream", "ChildSpec.parent", "EntityFile.lists", "ListPolicySpec.model", "ListPolicySpec.line_match")
def test_lines_in_a_stream_of_their_own_are_the_lines_that_stand_inside_the_other_record(tmp_path: Path) -> None:
    here = World(tmp_path, entities=("customer", "order"))
    account, _ = here.joined_customer()
    order = here.order_in_crm(account, ("P1", 1, "10"), ("P2", 2, "5"))
    here.sync_until_quiet()
    key, held = here.partner("crm", "Order", order, "erp")
    row = next(row for row in held["items"] if row["item"] == "P2")
    here.erp.edit("salesorder", key, {"total": 25}, {"items": row_write(change={row["line"]: {"qty": 3, "amount": 15}})})
    here.sync_until_quiet()
    assert {line["Product"]: line["Qty"] for line in (here.crm.get("Order", order) or {})["OrderItem"]} == {"P1": 1, "P2": 3}


@story("ListPolicySpec.sums_to")
def test_a_document_whose_lines_do_not_make_its_total_does_not_pass(tmp_path: Path) -> None:
    here = World(tmp_path, entities=("customer", "order"))
    account, _ = here.joined_customer()
    order = here.order_in_crm(account, ("P1", 1, "10"), Total=11)
    here.sync_until_quiet()
    assert here.erp.all("salesorder") == {}
    here.crm.edit("Order", order, {"Total": 10})
    here.sync_until_quiet()
    assert len(here.erp.all("salesorder")) == 1


# --- keys of an entity ------------------------------------------------------------------------------------------------------------


def clashing(tmp_path: Path, policy: dict[str, Any], crm: Any, erp: Any, start: Any = None) -> tuple[World, Any, Any]:
    """Return a world after both sides moved the telephone apart, and what they hold then."""
    here, account, customer = joined_by(tmp_path, {"customer": {"fields": {"phone": policy}}}, start)
    here.crm.edit("Account", account, {"Phone": crm})
    here.erp.edit("customer", customer, {"tel": erp})
    here.sync_until_quiet()
    return here, here.crm_of(customer)["Phone"], here.erp_of(account)["tel"]


def joined_by(tmp_path: Path, rules: dict[str, Any], start: Any) -> tuple[World, str, str]:
    here = world(tmp_path, rules=rules)
    return here, *here.joined_customer(Phone=start)


@pytest.mark.parametrize(
    ("clash", "crm", "erp", "both"),
    [
        ({"prefer": ["erp", "crm"]}, "1", "2", "2"),
        ("non_empty", None, "2", "2"),
        ("max", "1", "2", "2"),
        ("min", "1", "2", "1"),
        ("union", "a;b", "b;c", "a;b;c"),
    ],
)
@story("PolicySpec.on_clash")
def test_a_clash_is_settled_by_the_field_s_policy(tmp_path: Path, clash: Any, crm: Any, erp: Any, both: str) -> None:
    here, left, right = clashing(tmp_path, {"on_clash": clash}, crm, erp, "0")
    assert (left, right) == (both, both)
    here.assert_quiet()


@story("PolicySpec.on_clash", "EntityFile.defaults")
def test_where_nothing_else_is_said_the_default_of_the_entity_decides(tmp_path: Path) -> None:
    here = world(tmp_path, rules={"customer": {"defaults": {"on_clash": {"prefer": ["crm"]}}, "fields": {"email": {}}}})
    account, customer = here.joined_customer()
    here.crm.edit("Account", account, {"Email": "a@a.example"})
    here.erp.edit("customer", customer, {"mail": "b@b.example"})
    here.sync_until_quiet()
    assert says(here.erp_of(account), mail="a@a.example")


@story("PolicySpec.write_by")
def test_an_edit_by_who_may_not_is_set_back(tmp_path: Path) -> None:
    here, account, customer = joined_by(tmp_path, {"customer": {"fields": {"phone": {"write_by": ["crm"]}}}}, "1")
    here.erp.edit("customer", customer, {"tel": "2"})
    here.sync_until_quiet()
    assert says(here.erp_of(account), tel="1")


@story("PolicySpec.group")
def test_fields_of_a_group_move_as_one_value(tmp_path: Path) -> None:
    here = world(tmp_path)
    account, customer = here.joined_customer(Street="Weg 1", City="Bonn")
    here.crm.edit("Account", account, {"City": "Berlin"})
    here.erp.edit("customer", customer, {"addr": "Allee 2"})
    here.sync_until_quiet()
    assert says(here.crm_of(customer), Street="Allee 2", City="Bonn")


def test_an_edit_of_a_part_of_a_group_is_set_back_also_where_nobody_had_said_that_part(tmp_path: Path) -> None:
    here = world(tmp_path, {"fields": {"billing.city": None}})
    customer = here.erp.create("customer", {"companyName": "Acme", "town": "Bonn"})
    here.sync_until_quiet()
    account, _ = here.partner("erp", "customer", customer, "crm")
    here.crm.edit("Account", account, {"Street": "Weg 1"})
    here.sync_until_quiet()
    assert says(here.crm.get("Account", account) or {}, Street=None)
    assert says(here.erp.get("customer", customer) or {}, addr=None, town="Bonn")
    (golden,) = here.goldens()
    refused = [one for row in here.store.history(golden.id) for one in row.data.get("refused", ())]
    assert ["Weg 1" in one["values"] for one in refused] == [True]
    here.assert_quiet()


@story("EntityFile.on_delete")
def test_a_delete_does_elsewhere_what_the_entity_says(tmp_path: Path) -> None:
    here = world(tmp_path, rules={"customer": {"on_delete": "delete"}})
    account, _ = here.joined_customer()
    here.crm.delete("Account", account)
    here.sync_until_quiet()
    assert here.erp.all("customer") == {}


@story("EntityFile.match", "MatchSpec.keys", "MatchSpec.compare", "MatchSpec.result")
def test_who_is_who_is_told_by_keys_by_likeness_or_by_a_person(tmp_path: Path) -> None:
    match = [{"keys": ["tax_id"]}, {"keys": ["email", "name"], "compare": {"name": {"fuzzy": 80}}}, {"keys": ["name"], "result": "review"}]
    here = world(tmp_path, rules={"customer": {"match": match}}, joined=False)
    for name, mail, vat in (("One", None, "DE1"), ("Acme Trading", "a@a.example", None), ("Twin", None, None)):
        here.crm.create("Account", {"Name": name, "Email": mail, "Vat": vat})
    for name, mail, vat in (("Eins", None, "DE1"), ("Acme Tradings", "a@a.example", None), ("Twin", None, None)):
        here.erp.create("customer", {"companyName": name, "mail": mail, "vat": vat})
    here.adopt()
    assert len(here.goldens()) == 2
    assert {row.key for row in here.parked("review")} == {"AC000003", "CU000003"}


# --- inline tests -----------------------------------------------------------------------------------------------------------------

INLINE = """  kind: {external: Type, via: [{map: {pairs: {Buyer: customer}, fallback: other}}], accept_loss: ["fallback: why not"]}
  currency: {external: Currency, default: $connection.currency, write: create_only}
  payment_terms: {external: Terms, via: [{code: {of: term}}]}
  source: {external: Source, const: bridge}
tests:
"""


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("{name: a, given: {Name: X, Type: Fan}, expect: {name: X, kind: other}, back: {Type: $untouched}}", ""),
        ("{name: a, given: {Name: X, Type: Fan}, expect: {kind: customer}}", "not 'customer'"),
        ("{name: a, given: {Name: X}, connection: {currency: EUR}, expect: {currency: EUR}}", ""),
        ("{name: a, given: {Name: X}, expect: {currency: EUR}}", "`currency`"),
        ("{name: a, given: {Terms: '7'}, codes: {term: {'7': Net 7}}, expect: {payment_terms: Net 7}}", ""),
        ("{name: a, given: {Terms: '7'}, expect: {payment_terms: Net 7}}", "parked"),
        ("{name: a, given: {Terms: '7'}, expect: {payment_terms: $parked}}", ""),
        (
            "{name: a, direction: from_canonical, mode: update, base: {Name: Y}, given: {name: X, currency: EUR}, "
            "expect: {Name: X, Currency: $absent}}",
            "",
        ),
        ("{name: a, direction: from_canonical, mode: create, given: {name: X, currency: EUR}, expect: {Currency: $absent}}", "not absent"),
        ("{name: a, direction: from_canonical, mode: update, base: {Name: X}, given: {name: X}, expect: {Name: X}}", "missing"),
        ("{name: a, given: {Name: X}, expect: {}, back: {Name: Z}}", "`Name` is missing"),
        ("{name: a, given: {Name: X}, expect: {name: X}, back: {Source: $untouched}}", ""),
        ("{name: a, direction: from_canonical, given: {name: X}, expect: {Source: bridge}}", ""),
        ("{name: a, direction: from_canonical, mode: update, base: {}, given: {name: X}, expect: {Source: $absent}}", ""),
    ],
)
@story(*(f"TestSpec.{key}" for key in ("name", "given", "expect", "direction", "mode", "base", "back", "connection", "codes")))
@story("MappingFile.tests", "MappingFile.unmapped")
def test_an_inline_test_holds_or_says_what_the_record_became(tmp_path: Path, test: str, words: str) -> None:
    body = HEAD + INLINE + f"  - {test}\n" + UNMAPPED
    told = [complaint for complaint in _complaints(tmp_path, body) if "`a`: " in str(complaint)]
    assert any(words in str(complaint) for complaint in told) if words else not told
    assert all(complaint.line == (HEAD + INLINE).count("\n") + 1 and complaint.way_out for complaint in told)


UNMAPPED = "unmapped: {" + ", ".join(f"{path}: not here" for path in entity_spec("customer").fields) + "}\n"


# --- plug-ins ---------------------------------------------------------------------------------------------------------------------


def rot13() -> PlugIn:
    turn = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")
    return PlugIn(
        "iso", lambda text, **_: text.translate(turn), lambda text, **_: text.translate(turn), ["abc"], {"key": int}, nullable=False
    )


EMPTIES = PlugIn("quotient", lambda text: None if text == "n/a" else text, lambda text: text, ["abc", "n/a"])
BYTES = PlugIn("quotient", lambda text: text if isinstance(text, str) else text.decode(), str.encode, ["abc"])
LAWLESS = PlugIn("bijection", lambda text: text, lambda text: text, ["abc"])  # type: ignore[arg-type]  # its mistake
BROKEN = PlugIn("iso", lambda text: text.lower(), lambda text: text, ["Abc"])
NO_PLUG_IN = "text"


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install packages that bring transforms."""
    names = {"rot13": "ROT13", "shout": "SHOUT", "broken": "BROKEN", "nothing": "NO_PLUG_IN", "gone": "GONE"}
    names |= {"hash": "SHOUT", "twice": "ROT13", "empties": "EMPTIES", "lawless": "LAWLESS", "bytes": "BYTES"}
    points = [EntryPoint(name, f"{__name__}:{value}", GROUP) for name, value in names.items()]
    points += [EntryPoint("twice", f"{__name__}:SHOUT", GROUP), EntryPoint("shout", f"{__name__}:SHOUT", GROUP)]
    monkeypatch.setattr(transforms, "entry_points", lambda group: [point for point in points if point.group == group])
    transforms._entry_points.cache_clear()
    yield
    transforms._entry_points.cache_clear()


ROT13 = rot13()
SHOUT = PlugIn("quotient", lambda text, loud: text.upper() if loud else text, lambda text, loud: text, ["abc"], {"loud": bool})


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


@story("plug-in")
def test_an_option_that_is_true_or_false_is_taken_as_such(tmp_path: Path, plugged: None) -> None:
    loud = world(tmp_path, {"fields": {"phone": {"external": "Phone", "via": [{"shout": {"loud": True}}]}}})
    account = loud.crm.create("Account", {"Name": "Acme", "Phone": "abc"})
    loud.sync_until_quiet()
    assert says(loud.partner("crm", "Account", account, "erp")[1], tel="ABC")


@pytest.mark.parametrize(
    ("via", "words"),
    [
        ("{shout: {loud: 1}}", "`loud` is not true or false"),
        ("{rot13: {key: true}}", "`key` is not a whole number"),
        ("{join: {sep: true}}", "`sep` is not text"),
        ("broken", "breaks its law (iso) on its sample 1"),
        ("nothing", "is no transform"),
        ("gone", "cannot be loaded"),
        ("{rot13: {kee: 1}}", "no option `kee`"),
        ("rot14", "did you mean `rot13`?"),
        ("hash", f"`hash` is a transform of the bridge, and {__name__}:SHOUT brings another"),
        ("twice", f"{__name__}:ROT13 and {__name__}:SHOUT both bring a transform `twice`"),
        ("empties", "answers null for its sample 2, and is not `nullable`"),
        ("bytes", "writes its sample 1 as bytes, which no system holds"),
        ("lawless", "`bijection` is no law"),
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
LINES = "{product: {external: P}}"
# What a mapping says wrongly: the key, the line at fault below HEAD, and words of the complaint.
REFUSED: list[tuple[str, str, str]] = [
    ("PassthroughSpec.match", 'passthrough: [{match: "("}]', "no regular expression"),
    ("PassthroughSpec.into", "passthrough: [{match: x, into: extra}]", "'custom'"),
    ("PassthroughSpec.direction", "passthrough: [{match: x, direction: in}]", "'to_canonical'"),
    ("PassthroughSpec.except", "passthrough: [{match: .*__c, except: [Score]}]", "nothing passes it"),
    ("MappingFile.passthrough", "passthrough: {match: .*__c}", "list"),
    ("MappingFile.assigns_keys", "assigns_keys: nobody", "assigns its keys itself"),
    ("MappingFile.assigns_keys", "assigns_keys: counter", "write 'nobody', or write keys with their values"),
    ("AssignsSpec.bridge", "assigns_keys: {bridge: dice}", "'uuid'"),
    ("AssignsSpec.template", "assigns_keys: {bridge: uuid, template: 7}", "text"),
    ("AssignsSpec.start", "assigns_keys: {bridge: counter, start: one}", "whole number"),
    ("MappingFile.when", "when: 'Type ='", "not an expression"),
    ("MappingFile.when", "when: not IsDeleted", "when-hides-deletes"),
    ("MappingFile.tables", "tables: [a]", "key: value"),
    ("TableSpec.pairs", "tables: {t: {pairs: {}}}", "at least"),
    ("TableSpec.write", "tables: {t: {pairs: {a: b}, write: [a]}}", "key: value"),
    ("TableSpec.fallback", "  kind: {external: T, via: [{map: {pairs: {a: other}, fallback: other}}]}", "fallback-undeclared"),
    ("MappingFile.lists", "lists: {rows: {inline: x, key: k, write: keyed, fields: {}}}", "no list `rows`"),
    ("MappingFile.unmapped", "unmapped: {nmae: not here}", "no field `nmae`"),
    ("MappingFile.tests", "tests: {name: x}", "list"),
    ("MappingFile.fields", "  nmae: {external: N}", "did you mean `name`?"),
    ("RuleSpec.canonical", "  x: {canonical: billing.town, external: X}", "no field `billing.town`"),
    ("RuleSpec.external", "  phone: {}", "names no external field"),
    ("RuleSpec.external", "  phone: {external: 'items[isDefault'}", "flag in brackets"),
    ("RuleSpec.external", "  phone: {external: 'items[isDefault]'}", "ends in an element"),
    ("RuleSpec.direction", "  phone: {external: P, direction: out}", "'from_canonical'"),
    ("RuleSpec.via", "  phone: {external: P, via: [trm]}", "did you mean `trim`?"),
    ("RuleSpec.get", "  phone: {get: 'P.upper()'}", "expression"),
    ("RuleSpec.put", "  phone: {external: P, put: upper(phon)}", "unknown-canonical"),
    ("RuleSpec.const", "  phone: {external: P, const: 5, via: [trim]}", "stands alone"),
    ("RuleSpec.const", "  source: {external: S, const: x, write: update_only}", "when a record is created"),
    ("RuleSpec.const", "  source: {external: S, const: x, write: always}", "when a record is created"),
    ("RuleSpec.default", "  kind: {external: P, default: vip}", "no value of `kind`"),
    ("RuleSpec.nulls", "  phone: {external: P, nulls: clear}", "key: value"),
    ("NullsSpec.in", "  phone: {external: P, nulls: {in: default}}", "without a `default`"),
    ("NullsSpec.out", "  phone: {external: P, nulls: {out: default}}", "without a `default`"),
    ("RuleSpec.write", "  phone: {external: P, write: once}", "'create_only'"),
    ("RuleSpec.required", "  phone: {external: P, required: maybe}", "true or false"),
    ("RuleSpec.required", "  phone: {external: P, required: true, write: update_only}", "no create ever fills it"),
    ("RuleSpec.ref", "  phone: {external: P, ref: {entity: customer}}", "no reference"),
    ("RefSpec.entity", "  parent: {external: P, ref: {entity: custmer}}", "did you mean `customer`?"),
    ("RefSpec.required", "  parent: {external: P, ref: {entity: customer, required: true}}", "ref-cycle"),
    ("RuleSpec.overflow", "  phone: {external: P, overflow: wrap}", "'truncate'"),
    ("RuleSpec.moves", "  phone: {external: P, moves: {a: [b]}}", "declared states"),
    ("MoveSpec.to", "  status: {external: S, moves: {active: [{to: gone, makes: order}]}}", "no state"),
    ("MoveSpec.by", "  status: {external: S, moves: {active: [{to: inactive, by: ordr}]}}", "did you mean `order`?"),
    ("MoveSpec.makes", "  status: {external: S, moves: {active: [{to: inactive, makes: ordr}]}}", "did you mean `order`?"),
    ("RuleSpec.accept_loss", "  phone: {external: P, accept_loss: [because]}", "`what: reason`"),
    ("RuleSpec.optional", "  phone: {external: P, optional: maybe}", "true or false"),
    ("RuleSpec.note", "  phone: {external: P, note: [a]}", "text"),
    ("transform.str", "  x: {canonical: custom.x, external: X, via: [{str: {length: 5}}]}", "no option `length`"),
    ("transform.trim", "  x: {canonical: custom.x, external: X, via: [{trim: both}]}", "named options"),
    ("transform.collapse_ws", "  x: {canonical: custom.x, external: X, via: [{collapse_ws: {to: _}}]}", "no option `to`"),
    ("transform.lower", "  x: {canonical: custom.x, external: X, via: [{lower: {case: 1}}]}", "no option `case`"),
    ("transform.upper", "  x: {canonical: custom.x, external: X, via: [{upper: {}, lower: {}}]}", "one transform"),
    ("transform.not", "  x: {canonical: custom.x, external: X, via: [{not: {of: a}}]}", "no option `of`"),
    ("transform.odoo_false_null", "  x: {canonical: custom.x, external: X, via: [{odoo_false_null: {a: b}}]}", "no option `a`"),
    ("transform.map", "  kind: {external: X, via: [{map: {pairs: {a: other, b: other}}}]}", "ambiguous-inverse"),
    ("transform.code", "  x: {canonical: custom.x, external: X, via: [{code: {}}]}", "needs the option `of`"),
    ("transform.country", "  x: {canonical: custom.x, external: X, via: [{country: {of: iso}}]}", "no option `of`"),
    ("transform.region", "  x: {canonical: custom.x, external: X, via: [region]}", "needs the option `country`"),
    ("transform.phone", "  x: {canonical: custom.x, external: X, via: [{phone: {form: short}}]}", "no form `short`"),
    ("transform.phone", "  x: {canonical: custom.x, external: X, via: [{phone: {form: e164}}]}", "drops the extension"),
    ("transform.decimal", "  x: {canonical: custom.x, external: X, via: [{decimal: {scale: 20}}]}", "from 0 to 12"),
    ("transform.money", "  x: {canonical: custom.x, external: X, via: [{money: {currency: EURO}}]}", "a currency"),
    ("transform.date", "  x: {canonical: custom.x, external: X, via: [{date: {format: '%Y'}}]}", "does not tell a day"),
    ("transform.instant", "  x: {canonical: custom.x, external: X, via: [{instant: {tz: UTC}}]}", "no option `tz`"),
    ("transform.utc_naive", "  x: {canonical: custom.x, external: X, via: [{utc_naive: {tz: UTC}}]}", "no option `tz`"),
    ("transform.wall_time", "  x: {canonical: custom.x, external: X, via: [{wall_time: {tz: Berlin}}]}", "not a time zone"),
    ("transform.lines", "  x: {canonical: custom.x, external: X, via: [{lines: {n: 2}}]}", "stands on 1 canonical paths"),
    ("transform.join", "  x: {canonical: custom.x, external: X, via: [join]}", "two or more external fields"),
    ("transform.split_name", "  x: {canonical: [custom.x, custom.y], external: X, via: [split_name]}", "one-way"),
    ("transform.formula_guard", "  x: {canonical: custom.x, external: X, via: [{formula_guard: {a: b}}]}", "no option `a`"),
    ("transform.first_of_list", "  x: {canonical: custom.x, external: X, via: [first_of_list]}", "one-way"),
    ("transform.hash", "  x: {canonical: custom.x, external: X, via: [hash]}", "one-way"),
]
# The same for what stands higher up: the line of HEAD (or of ENTITY) that is replaced, and what stands there instead.
REPLACED: list[tuple[str, str, str, str]] = [
    ("MappingFile.apiVersion", "apiVersion: erpcrm-bridge/v1", "apiVersion: v2", "'erpcrm-bridge/v1'"),
    ("MappingFile.kind", "kind: Mapping", "kind: Maping", "'Mapping'"),
    ("MappingFile.entity", "entity: customer", "entity: custmer", "custmer"),
    ("MappingFile.connector", "connector: memory", "connector: [memory]", "text"),
    ("MappingFile.stream", "stream: Account", "stream: 5", "text"),
    ("MappingFile.key", "key: {id: Id, external_id: Ref}", "key: Id", "key: value"),
    ("KeySpec.id", "key: {id: Id, external_id: Ref}", "key: {external_id: Ref}", "either a field (`id`)"),
    ("KeySpec.natural", "key: {id: Id, external_id: Ref}", "key: {id: Id, natural: [No]}", "either a field (`id`)"),
    ("KeySpec.external_id", "key: {id: Id, external_id: Ref}", "key: {id: Id, external_id: [Ref]}", "text"),
    ("KeySpec.version", "key: {id: Id, external_id: Ref}", "key: {id: Id, version: 5}", "text"),
]
ENTITIES: list[tuple[str, str, str]] = [
    ("EntityFile.apiVersion", "apiVersion: v2", "'erpcrm-bridge/v1'"),
    ("EntityFile.kind", "kind: Entty", "'Entity'"),
    ("EntityFile.entity", "entity: custmer", "custmer"),
    ("EntityFile.model", "model: canonical:Costumer", "`canonical:Customer`"),
    ("EntityFile.continues", "continues: lead", "one -> other"),
    ("EntityFile.continues", "continues: quote -> order", "what becomes one of customer"),
    ("EntityFile.continues", "continues: laed -> customer", "no entity `laed`"),
    ("EntityFile.on_delete", "on_delete: forget", "'archive'"),
    ("EntityFile.defaults", "defaults: ask", "key: value"),
    ("EntityFile.fields", "fields: {nmae: {}}", "no field `nmae`"),
    ("EntityFile.unmapped", "unmapped: [shop]", "key: value"),
    ("EntityFile.skew", "skew: 5 s", "not a duration"),
    ("EntityFile.match", "match: {keys: [name]}", "list"),
    ("EntityFile.lists", "lists: {rows: {model: canonical:Line, line_match: [[a]]}}", "no list `rows`"),
    ("PolicySpec.write_by", "fields: {name: {write_by: crm}}", "list"),
    ("PolicySpec.on_clash", "fields: {name: {on_clash: {prefer: []}}}", "names no role"),
    ("PolicySpec.group", "fields: {name: {group: g}, email: {group: g, on_clash: max}}", "group-policy"),
    ("MatchSpec.keys", "match: [{keys: [nmae]}]", "no field `nmae`"),
    ("MatchSpec.compare", "match: [{keys: [name], compare: {name: {fuzzy: 200}}}]", "from 1 to 100"),
    ("MatchSpec.result", "match: [{keys: [name], result: maybe}]", "'review'"),
]
DOCUMENTS: list[tuple[str, str, str]] = [
    ("ListSpec.inline", f"lists: {{lines: {{key: k, write: keyed, fields: {LINES}}}}}", "a list lives either in"),
    (
        "ListSpec.child",
        f"lists: {{lines: {{inline: i, child: {{stream: s, parent: p}}, key: k, write: keyed, fields: {LINES}}}}}",
        "give one of",
    ),
    ("ChildSpec.stream", f"lists: {{lines: {{child: {{parent: p}}, key: k, write: keyed, fields: {LINES}}}}}", "`stream` is missing"),
    ("ChildSpec.parent", f"lists: {{lines: {{child: {{stream: s}}, key: k, write: keyed, fields: {LINES}}}}}", "`parent` is missing"),
    ("ListSpec.slots", f"lists: {{lines: {{slots: {{}}, fields: {LINES}}}}}", "at least one"),
    ("SlotSpec.prefix", f"lists: {{lines: {{slots: {{a: b}}, fields: {LINES}}}}}", "key: value"),
    ("ListSpec.key", f"lists: {{lines: {{inline: i, write: keyed, fields: {LINES}}}}}", "`key` is missing"),
    ("ListSpec.write", f"lists: {{lines: {{inline: i, key: k, write: append, fields: {LINES}}}}}", "never appended to"),
    ("ListSpec.optional", f"lists: {{lines: {{inline: i, key: k, write: keyed, optional: maybe, fields: {LINES}}}}}", "true or false"),
    ("ListSpec.fields", "lists: {lines: {inline: i, key: k, write: keyed, fields: {prodct: {external: P}}}}", "no field `prodct`"),
]


def refused(key: str, complaints: list[Any], words: str, file: str, line: int) -> None:
    told = [complaint for complaint in complaints if words in str(complaint) and complaint.file.endswith(file)]
    assert told, f"{key}: {[str(complaint) for complaint in complaints]}"
    assert told[0].line == line
    assert told[0].way_out


@pytest.mark.parametrize(("key", "text", "words"), REFUSED, ids=[f"{key}: {words}" for key, _, words in REFUSED])
def test_a_misuse_is_refused_with_its_file_its_line_and_a_way_out(tmp_path: Path, key: str, text: str, words: str) -> None:
    refused(key, _complaints(tmp_path, HEAD + text), words, "customer/crm.yaml", HEAD.count("\n") + 1)


@pytest.mark.parametrize(("key", "right", "wrong", "words"), REPLACED, ids=[row[0] for row in REPLACED])
def test_a_misuse_in_the_head_of_a_mapping_is_refused(tmp_path: Path, key: str, right: str, wrong: str, words: str) -> None:
    text = HEAD.replace(f"{right}\n", f"{wrong}\n", 1)
    refused(key, _complaints(tmp_path, text), words, "customer/crm.yaml", text.split("\n").index(wrong) + 1)


@pytest.mark.parametrize(
    ("assigns", "words"),
    [
        ("{bridge: template, template: X}", "holds the number once"),
        ("{bridge: template, template: '{n}-{n}'}", "holds the number once"),
        ("{bridge: template, template: 'C-{'}", "holds the number once"),
        ("{bridge: uuid, start: 5}", "first number"),
        ("{bridge: counter, start: -1}", "first number"),
    ],
)
def test_keys_that_cannot_be_given_are_refused(tmp_path: Path, assigns: str, words: str) -> None:
    text = HEAD.replace("connector: memory", "connector: csv") + f"assigns_keys: {assigns}\n"
    refused("AssignsSpec", _complaints(tmp_path, text), words, "customer/crm.yaml", HEAD.count("\n") + 1)


@pytest.mark.parametrize(("key", "wrong", "words"), ENTITIES, ids=[f"{row[0]}: {row[2]}" for row in ENTITIES])
def test_a_misuse_in_an_entity_is_refused(tmp_path: Path, key: str, wrong: str, words: str) -> None:
    kept = [line for line in ENTITY.splitlines() if line.partition(":")[0] != wrong.partition(":")[0]]
    refused(key, _complaints(tmp_path, HEAD, "\n".join([*kept, wrong, ""])), words, "customer/entity.yaml", len(kept) + 1)


@pytest.mark.parametrize(("key", "wrong", "words"), DOCUMENTS, ids=[row[0] for row in DOCUMENTS])
def test_a_misuse_in_a_list_is_refused(tmp_path: Path, key: str, wrong: str, words: str) -> None:
    head = HEAD.replace("entity: customer", "entity: order").replace("  name: ", "  number: ")
    entity = ENTITY.replace("entity: customer", "entity: order").replace("Customer", "Order")
    refused(key, _complaints(tmp_path, head + wrong, entity, "order"), words, "order/crm.yaml", head.count("\n") + 1)


LINE_RULES = {
    "ListPolicySpec.model": ("model: 5, line_match: [[product]]", "text"),
    "ListPolicySpec.sums_to": ("model: canonical:DocumentLine, sums_to: sum, line_match: [[product]]", "no field `sum`"),
    "ListPolicySpec.line_match": ("model: canonical:DocumentLine, line_match: [[prodct]]", "no field `prodct`"),
}


@pytest.mark.parametrize("key", LINE_RULES)
def test_a_misuse_in_the_rules_of_a_list_is_refused(tmp_path: Path, key: str) -> None:
    wrong, words = LINE_RULES[key]
    head = HEAD.replace("entity: customer", "entity: order").replace("  name: ", "  number: ")
    entity = ENTITY.replace("entity: customer", "entity: order").replace("Customer", "Order")
    told = _complaints(tmp_path, head, entity + f"lists: {{lines: {{{wrong}}}}}\n", "order")
    refused(key, told, words, "order/entity.yaml", entity.count("\n") + 1)


TESTED = {f"TestSpec.{key}": key for key in TestSpec.model_fields}


@pytest.mark.parametrize("key", TESTED)
def test_a_misuse_in_an_inline_test_is_refused(tmp_path: Path, key: str) -> None:
    said = {"name": "a", "given": "{}", "expect": "{}", TESTED[key]: "[5]"}
    test = ", ".join(f"{name}: {value}" for name, value in said.items())
    told = _complaints(tmp_path, HEAD + f"tests: [{{{test}}}]")
    refused(key, told, f"tests.0.{TESTED[key]}", "customer/crm.yaml", HEAD.count("\n") + 1)


# --- all of it --------------------------------------------------------------------------------------------------------------------

EVIDENCE = ["EntityFile.linked_by", "EntityFile.related", "EntityFile.apart", "MatchSpec.related", "RelatedSpec.entity", "RelatedSpec.keys"]
"""Keys by which a first joining tells who is who: their stories and misuses stand in test_adoption_evidence.py."""
ELSEWHERE = {*EVIDENCE, "EntityFile.continues"}
"""The stories of `continues` stand in test_continues.py."""


def _keys() -> set[str]:
    models = [
        one for one in vars(form).values() if isinstance(one, type) and issubclass(one, BaseModel) and one.__module__ == form.__name__
    ]
    return {f"{one.__name__}.{info.alias or name}" for one in models for name, info in one.model_fields.items()}


def test_each_key_of_the_language_has_a_story_in_which_a_record_moves_because_of_it() -> None:
    assert _keys() - TOLD.keys() - ELSEWHERE == set()
    assert TOLD.keys() - _keys() == {"plug-in"}


def test_what_stands_elsewhere_stands_there() -> None:
    there = "".join(Path(__file__).with_name(name).read_text() for name in ("test_adoption_evidence.py", "test_continues.py"))
    assert all(f'"{key.partition(".")[2]}"' in there for key in ELSEWHERE)


def test_each_key_of_the_language_has_a_misuse_that_is_refused() -> None:
    rows = [row[0] for table in (REFUSED, REPLACED, ENTITIES, DOCUMENTS) for row in table]
    assert _keys() - {*rows, *LINE_RULES, *TESTED} - ELSEWHERE == set()


def test_each_transform_has_a_story_and_a_misuse() -> None:
    assert TRANSFORMS.keys() == transforms.BUILDERS.keys()
    assert {row[0].partition(".")[2] for row in REFUSED if row[0].startswith("transform.")} == transforms.BUILDERS.keys()


def _complaints(folder: Path, mapping: str, rules: str = ENTITY, entity: str = "customer") -> list[Any]:
    (folder / entity).mkdir()
    (folder / entity / "crm.yaml").write_text(mapping)
    (folder / entity / "entity.yaml").write_text(rules)
    try:
        library = load_library([folder])
    except ConfigError as error:
        return list(error.complaints)
    return [finding.complaint for finding in check_mapping(library, library.specs[f"{entity}/crm"])]
