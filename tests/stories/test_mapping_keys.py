"""The mapping language, key by key: for each a story in which a record moves because of it, and a misuse that is refused with its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from tests.stories.world import TEXT, World, says

from erpcrm_bridge.connector import Field
from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping import check, load_library
from erpcrm_bridge.testing.system import MemorySystem

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
    return check(library, library.specs["customer/crm"])
