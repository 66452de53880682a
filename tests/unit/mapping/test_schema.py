"""The schemas that editors are given, held by a validator against the shipped files and against misspellings."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from erpcrm_bridge.connector import Capabilities, Description, Field, Stream
from erpcrm_bridge.mapping import MappingSpec, load_library, shipped
from erpcrm_bridge.mapping.schema import entity_schema, mapping_schema

LIBRARY = load_library([shipped()])
ACCOUNTS = LIBRARY.specs["customer/csv-dataloader"]
ORDERS = LIBRARY.specs["order/csv-dataloader"]


def plain(value: Any) -> Any:
    """Return a file's content as an editor sees it: its keys are texts."""
    return json.loads(json.dumps(value, default=str))


def schema_of(spec: MappingSpec) -> dict[str, Any]:
    """Return the schema for a system that has just the fields and code tables which the mapping names."""
    named = [
        name for rule in spec.body.fields.values() for name in ([rule.external] if isinstance(rule.external, str) else rule.external or [])
    ]
    rules = [*spec.body.fields.values(), *(rule for one in spec.body.lists.values() for rule in one.fields.values())]
    tables = {entry["code"]["of"] for rule in rules for entry in rule.via if isinstance(entry, dict) and "code" in entry}
    stream = Stream(spec.stream, {name: Field(name) for name in named}, Capabilities())
    return mapping_schema(spec.connector, Description("S1", {spec.stream: stream}, {kind: {} for kind in tables}), stream)


def refused(schema: dict[str, Any], content: Any) -> dict[str, str]:
    """Return what a validator complains of, by place."""
    errors = Draft202012Validator(schema).iter_errors(plain(content))
    return {"/".join(map(str, error.absolute_path)): error.message for error in errors}


def test_the_schemas_are_schemas() -> None:
    for schema in (schema_of(ORDERS), entity_schema("order")):
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", sorted(LIBRARY.specs))
def test_each_shipped_mapping_is_as_its_schema_says(name: str) -> None:
    spec = LIBRARY.specs[name]
    assert refused(schema_of(spec), spec.document.value) == {}


@pytest.mark.parametrize("entity", sorted(LIBRARY.entities))
def test_each_shipped_entity_is_as_its_schema_says(entity: str) -> None:
    assert refused(entity_schema(entity), LIBRARY.entities[entity].document.value) == {}


def changed(content: Any, place: str, to: Any) -> Any:
    """Return a copy of a file's content with another value at a place."""
    whole = copy.deepcopy(plain(content))
    *way, last = place.split("/")
    at = whole
    for step in way:
        at = at[step]
    at[last] = to
    return whole


@pytest.mark.parametrize(
    ("spec", "place", "to", "where", "words"),
    [
        (ACCOUNTS, "fields/name/external", "Nmae", "fields/name/external", "Nmae"),
        (ACCOUNTS, "fields/name/via", ["trm"], "fields/name/via/0", "trm"),
        (ACCOUNTS, "fields/name/direcion", "both", "fields/name", "direcion"),
        (ACCOUNTS, "fields/name/via", [{"mony": {"currency": "EUR"}}], "fields/name/via/0", "mony"),
        (ACCOUNTS, "fields/name/direction", "to_cannonical", "fields/name/direction", "to_cannonical"),
        (ACCOUNTS, "stream", "Acount.csv", "stream", "Account.csv"),
        (ACCOUNTS, "entity", "custmer", "entity", "custmer"),
        (ACCOUNTS, "feilds", {}, "", "feilds"),
        (ORDERS, "lists/lines/fields/quantity/via", ["trm"], "lists/lines/fields/quantity/via/0", "trm"),
    ],
)
def test_a_misspelling_in_a_mapping_is_refused_where_it_stands(spec: MappingSpec, place: str, to: Any, where: str, words: str) -> None:
    found = refused(schema_of(spec), changed(spec.document.value, place, to))
    assert list(found) == [where]
    assert words in found[where]


@pytest.mark.parametrize(
    ("place", "to", "where", "words"),
    [
        ("fields/nmae", {"on_clash": "ask"}, "fields", "nmae"),
        ("fields/name/on_clsh", "ask", "fields/name", "on_clsh"),
        ("fields/name/on_clash", "nwer", "fields/name/on_clash", "nwer"),
        ("on_delete", "archiv", "on_delete", "archiv"),
        ("apart", ["taxid"], "apart/0", "taxid"),
        ("match", [{"keys": ["emial"]}], "match/0/keys/0", "emial"),
        ("lists", {"adresses": {"model": "canonical:AddressLine", "line_match": [["line1"]]}}, "lists", "adresses"),
    ],
)
def test_a_misspelling_in_an_entity_is_refused_where_it_stands(place: str, to: Any, where: str, words: str) -> None:
    found = refused(entity_schema("customer"), changed(LIBRARY.entities["customer"].document.value, place, to))
    assert list(found) == [where]
    assert words in found[where]
