"""What is left of a mapping while its system does not offer a field as it was pinned."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from erpcrm_bridge.connector import Capabilities, Description, Field, Stream
from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping import CompiledMapping, FieldError, compile_mapping, held_against

from .conftest import Spec

RULES = """
  name: {external: Name, required: true}
  status: {external: Active, via: [{map: {pairs: {Yes: active, No: inactive}}}]}
  phone: {external: Phone, default: '0'}
  currency: {external: Cur}
  credit_limit: {external: Limit, via: [{money: {currency: currency}}]}
  website: {external: Web, get: "Web + Path", put: website}
  custom.source: {external: Source, const: Bridge}
"""
FIELDS = {name: Field(name, length=80) for name in ("Bridge", "Name", "Phone", "Cur", "Web", "Path", "Source")}
FIELDS |= {"Id": Field("Id"), "Limit": Field("Limit", "number"), "Active": Field("Active", "choice", choices=("Yes", "No"))}
RECORD = {"Name": "A", "Active": "Yes", "Phone": "1", "Cur": "JPY", "Limit": 5, "Web": "w/", "Path": "p"}


def compiled(spec: Spec, gone: tuple[str, ...] = (), rules: str = RULES, **changes: dict[str, Any]) -> CompiledMapping:
    one = spec(rules, connector="memory", stream="Account")
    was = Stream("Account", FIELDS, Capabilities())
    fields = {name: msgspec.structs.replace(field, **changes.get(name, {})) for name, field in FIELDS.items() if name not in gone}
    now = msgspec.structs.replace(was, fields=fields)
    streams, pauses = held_against(Description("S", {"Account": was}), Description("S", {"Account": now}))
    return compile_mapping(one, codes={}, values={}, stream=streams["Account"], pauses=pauses)


def get(mapping: CompiledMapping, gone: tuple[str, ...]) -> dict[str, Any]:
    errors: list[FieldError] = []
    said = mapping.get({name: value for name, value in RECORD.items() if name not in gone}, {}, errors)
    assert errors == []
    return said


def put(
    mapping: CompiledMapping, golden: dict[str, Any], base: dict[str, Any] | None = None
) -> tuple[dict[str, Any], list[tuple[str, bool]]]:
    errors: list[FieldError] = []
    written = mapping.put(golden, base, {}, errors, create=base is None)
    return written, [(error.path, error.paused) for error in errors]


def test_nothing_is_paused_where_nothing_moved(spec: Spec) -> None:
    mapping = compiled(spec)
    assert (mapping.paused, mapping.unwritten, mapping.stops) == ({}, {}, "")
    assert set(get(mapping, ())) == {"name", "status", "phone", "currency", "credit_limit", "website"}


@pytest.mark.parametrize(
    ("field", "silent"),
    [
        ("Phone", {"phone"}),
        ("Cur", {"currency", "credit_limit"}),
        ("Limit", {"credit_limit"}),
        ("Path", {"website"}),
        ("Web", {"website"}),
    ],
)
def test_a_gone_field_is_not_asked_for_and_what_needs_it_says_nothing(spec: Spec, field: str, silent: set[str]) -> None:
    """Neither a default stands in for it, nor is anything told without the value that it takes."""
    whole, mapping = compiled(spec), compiled(spec, (field,))
    assert set(whole.selection.fields) - set(mapping.selection.fields) == {field}
    assert set(whole.selection.fields) >= set(mapping.selection.fields)
    assert set(mapping.paused) == silent
    assert whole.readable - set(get(mapping, (field,))) == silent
    assert mapping.digest == whole.digest
    assert mapping.stops not in ("", compiled(spec, ("Name",)).stops)


def test_a_base_is_understood_as_ever(spec: Spec) -> None:
    mapping = compiled(spec, ("Cur", "Phone"))
    assert {"phone": "1", "currency": "JPY", "credit_limit": 5}.items() <= get(mapping, ()).items()


def test_nothing_is_written_to_a_gone_field_not_even_a_constant(spec: Spec) -> None:
    golden = {"name": "B", "phone": "2", "website": "x"}
    mapping = compiled(spec, ("Phone", "Source"))
    assert put(mapping, golden) == ({"Name": "B", "Web": "x"}, [("phone", True), ("custom.source", True)])
    assert put(mapping, golden, RECORD) == ({"Name": "B", "Web": "x"}, [("phone", True), ("custom.source", True)])
    assert put(mapping, {"name": "B", "phone": "1"}, RECORD) == ({"Name": "B"}, [("custom.source", True)])
    assert set(mapping.unwritten) == {"phone", "custom.source"}


@pytest.mark.parametrize(
    ("change", "created", "updated"),
    [
        ({"creatable": False}, [("phone", True)], []),
        ({"updatable": False}, [], [("phone", True)]),
        ({"type": "number"}, *[[("phone", True)]] * 2),
    ],
)
def test_a_field_is_not_written_when_it_cannot_be(spec: Spec, change: dict[str, Any], created: list[Any], updated: list[Any]) -> None:
    mapping = compiled(spec, Phone=change)
    base = {**RECORD, "Source": "Bridge"}
    assert put(mapping, {"phone": "2"})[1] == created
    assert put(mapping, {"phone": "2"}, base) == ({} if updated else {"Phone": "2"}, updated)
    assert set(mapping.paused) == ({"phone"} if "type" in change else set())


def test_a_lost_value_of_a_picklist_alone_is_not_written(spec: Spec) -> None:
    mapping = compiled(spec, Active={"choices": ("Yes", "Perhaps")})
    base = {**RECORD, "Source": "Bridge"}
    assert put(mapping, {"status": "inactive"}, base) == ({}, [("status", True)])
    assert put(mapping, {"status": "active"}, {**base, "Active": "No"}) == ({"Active": "Yes"}, [])
    assert (mapping.paused, set(mapping.unwritten)) == ({}, {"status"})
    assert compiled(spec, Active={"choices": ("Yes", "No", "Perhaps")}).unwritten == {}


def test_a_value_that_no_rule_writes_is_no_matter(spec: Spec) -> None:
    rules = RULES.replace("{Yes: active, No: inactive}", "{Yes: active}")
    assert compiled(spec, rules=rules, Active={"choices": ("Yes",)}).unwritten == {}


def test_a_key_that_is_gone_is_an_error(spec: Spec) -> None:
    for name in ("Id", "Bridge"):
        with pytest.raises(ConfigError) as raised:
            compiled(spec, (name,))
        assert f"Account.{name}: removed, and the mapping cannot do without it" in str(raised.value.complaints[0])


def test_what_a_create_must_name_and_no_rule_fills_is_known(spec: Spec) -> None:
    assert compiled(spec, Bridge={"required": True}, Id={"required": True}).unfilled == ()
    assert compiled(spec, Name={"required": True}, Path={"required": True}).unfilled == ("Path",)
    assert compiled(spec, Path={"required": True, "creatable": False}).unfilled == ()


def test_what_is_passed_through_pauses_too_and_the_rules_are_the_same(spec: Spec) -> None:
    rules = "\n  name: {external: Name}\npassthrough:\n  - {match: P.*, into: custom, direction: both}\n"
    whole, mapping = compiled(spec, rules=rules), compiled(spec, ("Path",), rules=rules)
    assert set(mapping.paused) == {"custom.Path"}
    assert (mapping.digest, mapping.meanings) == (whole.digest, whole.meanings)
    assert "Path" not in mapping.selection.fields


ORDER = """
  customer: {external: Cust, ref: {entity: customer, required: true}, required: true}
  currency: {external: Cur}
lists:
  lines:
    LIVES
    key: line
    write: keyed
    fields:
      product: {external: item}
      amount: {external: amount, via: [{money: {currency: currency}}]}
"""


@pytest.mark.parametrize(
    ("lives", "gone", "paused"),
    [
        ("inline: items", ("items",), {"lines"}),
        ("inline: items", ("Cur",), {"currency", "lines"}),
        ("inline: items", ("Cust",), {"customer"}),
        ("child: {stream: Line, parent: Doc}", ("Line.item",), {"lines"}),
        ("child: {stream: Line, parent: Doc}", ("Line.line",), {"lines"}),
        ("child: {stream: Line, parent: Doc}", ("Line.other",), set()),
        ("child: {stream: Line, parent: Doc}", ("Line",), {"lines"}),
    ],
)
def test_a_list_pauses_as_one(spec: Spec, lives: str, gone: tuple[str, ...], paused: set[str]) -> None:
    one = spec(ORDER.replace("LIVES", lives), entity="order", connector="memory", stream="Order")
    heads = {name: Field(name) for name in ("Id", "Bridge", "Cust", "Cur")} | {"items": Field("items", "list")}
    lines = {name: Field(name) for name in ("line", "item", "amount", "Doc", "other")}
    was = {"Order": Stream("Order", heads, Capabilities()), "Line": Stream("Line", lines, Capabilities())}
    now = {
        name: Stream(
            name, {field: told for field, told in stream.fields.items() if not {field, f"{name}.{field}"} & {*gone}}, Capabilities()
        )
        for name, stream in was.items()
        if name not in gone
    }
    streams, pauses = held_against(Description("S", was), Description("S", now))
    mapping = compile_mapping(one, codes={}, values={}, stream=streams["Order"], pauses=pauses)
    assert set(mapping.paused) == paused
    asked = {*mapping.selection.fields, *(child.stream for child in mapping.selection.children)}
    assert bool(asked & {"items", "Line"}) == ("lines" not in paused)
