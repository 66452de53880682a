"""How rules move values: what was not said stays unsaid, what is held in other words is not written, one bad field harms no other."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from erpcrm_bridge.connector import Capabilities, Field, Stream
from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping import CompiledMapping, FieldError, compile_mapping
from erpcrm_bridge.model.records import Child

from .conftest import read, text_of

Compile = Callable[..., CompiledMapping]


def got(one: CompiledMapping, fields: dict[str, Any], refs: Any = None) -> tuple[dict[str, Any], list[FieldError]]:
    errors: list[FieldError] = []
    return one.get(fields, refs or {}, errors), errors


def written(
    one: CompiledMapping, golden: dict[str, Any], base: dict[str, Any] | None = None, refs: Any = None, **more: Any
) -> tuple[dict[str, Any], list[FieldError]]:
    errors: list[FieldError] = []
    return one.put(golden, base, refs or {}, errors, create=more.pop("create", base is None), **more), errors


# Absent, null and default


def test_a_field_that_was_not_said_stays_unsaid_and_null_is_null(compiled: Compile) -> None:
    one = compiled("\n  name: {external: Name, via: [trim]}\n  email: {external: Email}\n")
    assert got(one, {"Email": None}) == ({"email": None}, [])


def test_a_default_fills_what_is_null_or_unsaid(compiled: Compile) -> None:
    one = compiled("\n  currency: {external: Cur, default: $connection.currency}\n", values={"currency": "chf"})
    assert got(one, {"Cur": None}) == ({"currency": "CHF"}, [])
    assert got(one, {}) == ({"currency": "CHF"}, [])
    assert got(one, {"Cur": "EUR"}) == ({"currency": "EUR"}, [])


def test_an_amount_without_any_currency_is_an_error_of_that_field(compiled: Compile) -> None:
    rules = """
  credit_limit: {external: Limit, via: [{money: {currency: currency}}]}
  currency: {external: Cur, default: $connection.currency}
"""
    values, errors = got(compiled(rules), {"Limit": "5", "Cur": None})
    assert values == {"currency": None}
    assert [(e.path, e.transform) for e in errors] == [("credit_limit", "money")]
    assert got(compiled(rules, values={"currency": "JPY"}), {"Limit": "5.4", "Cur": None})[0]["credit_limit"] == Decimal(5)


def test_nulls_in_keep_says_nothing(compiled: Compile) -> None:
    one = compiled("\n  name: {external: Name, via: [trim], nulls: {in: keep}}\n  email: {external: Email}\n")
    assert got(one, {"Name": "  ", "Email": None}) == ({"email": None}, [])


def test_nulls_out_clear_skip_and_default(compiled: Compile) -> None:
    one = compiled("""
  name: {external: Name}
  phone: {external: Phone, nulls: {out: skip}}
  kind: {external: Type, default: other, nulls: {out: default}}
""")
    base = {"Name": "a", "Phone": "b", "Type": "customer"}
    assert written(one, {"name": None, "phone": None, "kind": None}, base) == ({"Name": None, "Type": "other"}, [])


def test_a_patch_writes_only_what_golden_says(compiled: Compile) -> None:
    one = compiled("\n  name: {external: Name}\n  email: {external: Email}\n")
    assert written(one, {"email": "a@b"}, {"Name": "x", "Email": "c@d"}) == ({"Email": "a@b"}, [])


def test_a_create_writes_no_nulls(compiled: Compile) -> None:
    one = compiled("\n  name: {external: Name}\n  email: {external: Email}\n")
    assert written(one, {"name": "x", "email": None}) == ({"Name": "x"}, [])


# The guard


def test_what_the_system_holds_in_other_words_is_not_written(compiled: Compile) -> None:
    one = compiled("""
  name: {external: Name, via: [trim]}
  kind: {external: Type, via: [{map: {pairs: {A: other, B: other}, write: {other: A}}}]}
  billing.country_code: {external: Country, via: [country]}
""")
    base = {"Name": " x ", "Type": "B", "Country": "Deutschland"}
    golden = got(one, base)[0]
    assert golden == {"name": "x", "kind": "other", "billing.country_code": "DE"}
    assert written(one, golden, base) == ({}, [])
    assert written(one, golden | {"billing.country_code": "AT"}, base) == ({"Country": "Austria"}, [])


def test_a_value_read_by_fallback_is_not_written_back(compiled: Compile) -> None:
    one = compiled("\n  kind: {external: Type, via: [{map: {pairs: {C: customer, O: other}, fallback: other}}]}\n")
    assert written(one, {"kind": "other"}, {"Type": "Influencer"}) == ({}, [])
    assert written(one, {"kind": "customer"}, {"Type": "Influencer"}) == ({"Type": "C"}, [])


def test_a_value_that_cannot_be_written_is_no_error_where_the_system_means_it_already(compiled: Compile) -> None:
    one = compiled("\n  status: {external: S, via: [{map: {pairs: {x: active, y: inactive}}}]}\n")
    assert written(one, {"status": "active"}, {"S": "x"}) == ({}, [])
    values, errors = written(one, {"status": "archived"}, {"S": "x"})
    assert values == {}
    assert [(e.path, e.transform) for e in errors] == [("status", "map")]


def test_one_way_rules_are_compared_with_the_base_itself(compiled: Compile) -> None:
    one = compiled("\n  website: {external: Web, direction: from_canonical}\n  source: {external: Src, const: Bridge}\n")
    golden = {"website": "w"}
    assert written(one, golden, {"Web": "w", "Src": "Bridge"}) == ({}, [])
    assert written(one, golden, {"Web": "v", "Src": "Other"}) == ({"Web": "w"}, [])
    assert written(one, golden) == ({"Web": "w", "Src": "Bridge"}, [])
    assert one.readable == frozenset()
    assert one.writable == {"website"}


def test_only_the_paths_that_are_asked_for_are_written(compiled: Compile) -> None:
    one = compiled("""
  name: {external: Name}
  email: {external: Email}
  lines: {canonical: [billing.line1, billing.line2], external: Street, via: [{lines: {n: 2}}]}
  source: {external: Src, const: Bridge}
""")
    golden = {"name": "n", "email": "e", "billing.line1": "1", "billing.line2": None}
    assert written(one, golden, {}, paths=frozenset({"email"})) == ({"Email": "e"}, [])
    assert written(one, golden, {}, paths=frozenset({"billing.line2"})) == ({"Street": "1"}, [])
    assert set(written(one, golden, {})[0]) == {"Name", "Email", "Street"}
    assert set(written(one, golden)[0]) == {"Name", "Email", "Street", "Src"}


def test_create_only_and_update_only(compiled: Compile) -> None:
    one = compiled("\n  currency: {external: Cur, write: create_only}\n  price_list: {external: List, write: update_only}\n")
    golden = {"currency": "EUR", "price_list": "me"}
    assert written(one, golden) == ({"Cur": "EUR"}, [])
    assert written(one, golden, {"Cur": "USD", "List": "you"}) == ({"List": "me"}, [])


def test_a_constant_of_the_connection_that_is_not_declared_is_refused_not_cleared(compiled: Compile) -> None:
    rule = "\n  source: {external: Src, const: $connection.origin}\n"
    assert written(compiled(rule, values={"origin": "B"}), {}) == ({"Src": "B"}, [])
    values, errors = written(compiled(rule), {})
    assert values == {}
    assert [e.path for e in errors] == ["source"]


# Errors


def test_a_bad_field_is_parked_with_its_rule_transform_and_line_and_harms_no_other(compiled: Compile) -> None:
    one = compiled("""
  name: {external: Name, via: [trim]}
  kind: {external: Type, via: [trim, {map: {pairs: {A: other}}}]}
  email: {external: Email, via: [lower]}
  website: {external: Web}
""")
    values, errors = got(one, {"Name": "x", "Type": "Secret", "Email": 7, "Web": "w" * 256})
    assert values == {"name": "x"}
    assert [(e.path, e.rule, e.transform) for e in errors] == [
        ("kind", "kind", "map"),
        ("email", "email", "lower"),
        ("website", "website", None),
    ]
    assert "'Secret'" in errors[0].reason
    assert "7" not in errors[1].reason.replace("`lower`", "")
    assert "www" not in errors[2].reason
    for error in errors:
        line = one.source["to_canonical"].splitlines()[error.line - 1]
        assert line.strip()
        assert error.line > 0


def test_a_failing_line_is_shown_in_a_traceback(compiled: Compile) -> None:
    one = compiled("\n  name: {external: Name, via: [trim]}\n")
    with pytest.raises(AttributeError) as caught:
        one.get({"Name": 5}, {}, None)  # type: ignore[arg-type]  # no list to note the error in: it comes out
    assert "v.strip() or None" in "".join(traceback.format_exception(caught.value))


def test_no_value_gets_into_a_reason_but_an_unknown_code(compiled: Compile) -> None:
    one = compiled("""
  currency: {external: Cur}
  billing.country_code: {external: C}
  is_company: {external: B}
  status: {external: S}
  credit_limit: {external: L, via: [{money: {currency: currency}}]}
""")
    _, errors = got(one, {"Cur": "SEKRET", "C": "SEKRET", "B": "SEKRET", "S": "SEKRET", "L": "SEKRET"})
    assert len(errors) == 5
    assert not any("SEKRET" in error.reason for error in errors)


# Length


LENGTHS = Stream(
    "Account.csv",
    {"Id": Field("Id"), "Name": Field("Name", length=5), "City": Field("City", length=5), "Bridge": Field("Bridge")},
    Capabilities(),
)


def test_text_that_is_too_long_is_an_error_or_cut_as_the_rule_says(compiled: Compile) -> None:
    one = compiled("\n  name: {external: Name}\n  billing.city: {external: City, overflow: truncate}\n", described=LENGTHS)
    values, errors = written(one, {"name": "123456", "billing.city": "1234 67"}, {})
    assert values == {"City": "1234"}
    assert [(e.path, e.reason) for e in errors] == [("name", "longer than the 5 characters that the field holds")]
    assert written(one, {"name": "12345", "billing.city": "12345"}, {})[0] == {"Name": "12345", "City": "12345"}


def test_a_cut_text_that_the_system_holds_already_is_not_written_again(compiled: Compile) -> None:
    one = compiled("\n  billing.city: {external: City, overflow: truncate}\n", described=LENGTHS)
    assert written(one, {"billing.city": "1234567"}, {"City": "12345"}) == ({}, [])


def test_characters_beyond_the_first_plane_count_twice_when_cut(compiled: Compile) -> None:
    one = compiled("\n  billing.city: {external: City, overflow: truncate}\n", described=LENGTHS)
    assert written(one, {"billing.city": "a😀😀😀"}, {})[0] == {"City": "a😀😀"}


# References


REFS = "\n  parent: {external: ParentId, ref: {entity: customer, required: false}}\n"


def test_a_reference_goes_through_the_links_both_ways(compiled: Compile) -> None:
    one = compiled(REFS)
    assert got(one, {"ParentId": 7}, {("customer", "7"): "G1"}) == ({"parent": "G1"}, [])
    assert written(one, {"parent": "G1"}, {}, {("customer", "G1"): "7"}) == ({"ParentId": "7"}, [])
    assert one.references_in({"ParentId": 7}) == {("customer", "7")}
    assert one.references_in({"ParentId": None}) == set()
    assert one.references_out({"parent": "G1"}) == {("customer", "G1")}
    assert one.rules[0].reference == ("customer", False)


def test_an_unlinked_reference_is_told_with_its_entity_and_key(compiled: Compile) -> None:
    one = compiled(REFS)
    (error,) = got(one, {"ParentId": "001"})[1]
    assert (error.path, error.reference) == ("parent", ("customer", "001"))
    assert "001" not in error.reason
    (error,) = written(one, {"parent": "G9"}, {})[1]
    assert error.reference == ("customer", "G9")


def test_the_default_of_a_reference_is_a_key_like_any_other(compiled: Compile) -> None:
    one = compiled("\n  parent: {external: ParentId, default: '7', ref: {entity: customer, required: false}}\n")
    refs = {("customer", "7"): "G1", ("customer", "8"): "G2"}
    for fields, golden_id, key in (({}, "G1", "7"), ({"ParentId": None}, "G1", "7"), ({"ParentId": "8"}, "G2", "8")):
        assert got(one, fields, refs) == ({"parent": golden_id}, [])
        assert one.references_in(fields) == {("customer", key)}
    (error,) = got(one, {})[1]
    assert error.reference == ("customer", "7")
    back = {("customer", "G1"): "7", ("customer", "G2"): "8"}
    assert written(one, {"parent": "G1"}, {"ParentId": None}, refs | back) == ({}, [])
    assert written(one, {"parent": "G2"}, {"ParentId": None}, refs | back) == ({"ParentId": "8"}, [])


def test_the_key_of_an_alias_is_not_written_over(compiled: Compile) -> None:
    refs = {("customer", "G1"): "7", ("customer", "8"): "G1"}
    assert written(compiled(REFS), {"parent": "G1"}, {"ParentId": "8"}, refs) == ({}, [])


# Several fields, nested fields, expressions


def test_several_canonical_paths_come_from_one_field(compiled: Compile) -> None:
    one = compiled("\n  street: {canonical: [billing.line1, billing.line2], external: Street, via: [{lines: {n: 2}}]}\n")
    assert got(one, {"Street": "a\r\n b "}) == ({"billing.line1": "a", "billing.line2": "b"}, [])
    assert got(one, {"Street": None}) == ({"billing.line1": None, "billing.line2": None}, [])
    assert written(one, {"billing.line1": "a"}, {"Street": "a\nb"}) == ({"Street": "a"}, [])
    assert written(one, {"billing.line1": None, "billing.line2": None}, {"Street": "a"}) == ({"Street": None}, [])
    assert written(one, {"billing.line1": "a", "billing.line2": "b"}, {"Street": " a\r\nb"}) == ({}, [])
    assert written(one, {}, {"Street": "a"}) == ({}, [])


def test_one_canonical_path_comes_from_several_fields(compiled: Compile) -> None:
    one = compiled("\n  name: {external: [First, Last], via: [{join: {sep: ' '}}]}\n")
    assert got(one, {"First": "Ada", "Last": "Lovelace"}) == ({"name": "Ada Lovelace"}, [])
    assert got(one, {"First": "Ada"}) == ({}, [])
    assert written(one, {"name": "Ada King"}, {"First": "Ada", "Last": "Lovelace"}) == ({"Last": "King"}, [])
    assert written(one, {"name": None}, {"First": "Ada", "Last": None}) == ({"First": None}, [])


def test_a_dotted_external_name_is_a_nested_object_except_in_csv(compiled: Compile) -> None:
    rule = "\n  billing.city: {external: address.city}\n  billing.postal_code: {external: address.zip}\n"
    one = compiled(rule, connector="memory")
    base = {"address": {"city": "Bonn", "zip": None}}
    assert got(one, base) == ({"billing.city": "Bonn", "billing.postal_code": None}, [])
    assert got(one, {"address": None}) == ({"billing.city": None, "billing.postal_code": None}, [])
    assert got(one, {}) == ({}, [])
    assert written(one, {"billing.city": "Köln", "billing.postal_code": "5"}, base) == ({"address": {"city": "Köln", "zip": "5"}}, [])
    assert one.affected(["address"]) == {"billing.city", "billing.postal_code"}
    assert got(compiled(rule), {"address.city": "Bonn"})[0] == {"billing.city": "Bonn"}


def test_expressions_read_and_write_one_side_each(compiled: Compile) -> None:
    one = compiled("""
  status: {external: Active__c, get: "'inactive' if Active__c == 'No' else 'active'", put: "'No' if status == 'archived' else 'Yes'"}
  name: {get: "coalesce(Long, Short)"}
""")
    assert got(one, {"Active__c": "No", "Long": None, "Short": "s"})[0] == {"status": "inactive", "name": "s"}
    assert got(one, {"Long": None})[0] == {}
    assert written(one, {"status": "archived", "name": "x"}, {"Active__c": "Yes"}) == ({"Active__c": "No"}, [])
    assert written(one, {"status": "active"}, {"Active__c": "Perhaps"}) == ({}, [])
    assert one.affected(["Short"]) == {"name"}
    assert one.writable == {"status"}
    assert one.selection.fields == ("Active__c", "Long", "Short", "Bridge")


def test_an_expression_that_fails_or_gives_a_list_parks_its_field(compiled: Compile) -> None:
    one = compiled('\n  name: {get: "split(Name, \',\')"}\n  email: {get: "Name * 2"}\n')
    values, errors = got(one, {"Name": "a,b"})
    assert values == {}
    assert [error.path for error in errors] == ["name", "email"]


# When, state, selection, what depends on what


def test_when_says_which_records_are_meant(compiled: Compile) -> None:
    rule = "\n  name: {external: Name}\n"
    one = compiled(rule, more="when: \"field('Company Type') != 'Supplier' and Rank > 0\"")
    assert one.applies({"Company Type": "X", "Rank": 1})
    assert not one.applies({"Company Type": "Supplier", "Rank": 1})
    assert one.applies({"Rank": 1})
    assert not one.applies({"Rank": "one"})
    assert one.selection.fields == ("Name", "Company Type", "Rank", "Bridge")
    assert compiled(rule).applies({})


def test_a_state_field_with_moves_is_written_on_a_create_alone(compiled: Compile) -> None:
    one = compiled(
        """
  state: {external: S, via: [{map: {pairs: {d: draft, s: draft, c: confirmed}, write: {draft: d}}}], moves: {draft: [confirmed, cancelled]}}
""",
        entity="order",
    )
    assert one.rules[0].state == {"draft": ("confirmed", "cancelled")}
    assert written(one, {"state": "draft"}) == ({"S": "d"}, [])
    assert written(one, {"state": "cancelled"}) == ({}, [])
    assert written(one, {"state": "confirmed"}, {"S": "d"}) == ({}, [])


def test_what_a_moved_field_affects_includes_what_is_read_with_its_help(compiled: Compile) -> None:
    one = compiled("""
  credit_limit: {external: Limit, via: [{money: {currency: currency}}]}
  currency: {external: Cur}
  street: {canonical: [billing.line1, billing.line2], external: Street, via: [{lines: {n: 2}}]}
""")
    assert one.affected(["Cur"]) == {"currency", "credit_limit"}
    assert one.affected(["Limit", "Unknown"]) == {"credit_limit"}
    assert one.affected(["Street"]) == {"billing.line1", "billing.line2"}
    assert one.externals("billing.line2") == ("Street",)
    assert one.externals("email") == ()


# Lists


ORDER = """
  currency: {external: Cur}
  total: {external: Total, via: [{money: {currency: currency}}]}
"""
LINES = """lists:
  lines:
    child: {stream: items.csv, parent: OrderId}
    key: LineId
    write: keyed
    fields:
      product: {external: Item, via: [trim], required: true}
      quantity: {external: Qty, via: [decimal]}
      amount: {external: Amount, via: [{money: {currency: currency}}]}
"""


def test_lines_are_mapped_with_their_document_s_currency(compiled: Compile) -> None:
    one = compiled(ORDER, entity="order", more=LINES)
    lines = one.lists["lines"]
    errors: list[FieldError] = []
    row = {"LineId": "1", "Item": " A ", "Qty": "2", "Amount": "10.4"}
    assert lines.get(row, {"currency": "JPY"}, {}, errors) == {"product": "A", "quantity": 2, "amount": 10}
    assert lines.get(row, {"currency": "EUR"}, {}, errors)["amount"] == Decimal("10.40")
    assert lines.put(
        {"product": "A", "quantity": Decimal(3), "amount": Decimal(10)}, {"currency": "JPY"}, row, {}, errors, create=False
    ) == {"Qty": "3"}
    assert lines.put({"product": "B", "quantity": None}, {"currency": "JPY"}, None, {}, errors, create=True) == {"Item": "B"}
    assert errors == []
    assert lines.get({"Qty": "x"}, {}, {}, errors) == {}
    assert [error.path for error in errors] == ["lines.quantity"]


def test_a_child_list_is_selected_and_told_as_the_engine_needs_it(compiled: Compile) -> None:
    one = compiled(ORDER, entity="order", more=LINES)
    lines = one.lists["lines"]
    assert one.selection.children == (Child("items.csv", "OrderId", "LineId", ("Item", "Qty", "Amount")),)
    assert (lines.external, lines.key, lines.write) == ("items.csv", "LineId", "keyed")
    assert lines.readable == {"product", "quantity", "amount"}
    assert "lines" in one.readable
    assert one.affected(["items.csv"]) == {"lines"}
    assert one.affected(["Cur"]) == {"currency", "total", "lines"}


def test_an_inline_list_lives_in_the_record(compiled: Compile) -> None:
    more = LINES.replace("child: {stream: items.csv, parent: OrderId}", "inline: item.items")
    one = compiled(ORDER, entity="order", more=more, connector="memory")
    assert one.lists["lines"].rows({"item": {"items": [{"Item": "A"}]}}) == [{"Item": "A"}]
    assert one.lists["lines"].rows({}) == []
    assert one.selection.fields == ("Cur", "Total", "item.items", "Bridge")
    assert one.lists["lines"].child is None


# The digest


def test_the_digest_stands_for_all_that_decides_and_for_nothing_else(compiled: Compile) -> None:
    rules = "\n  currency: {external: Cur, via: [{code: {of: currency}}], default: $connection.currency, nulls: {out: default}}\n"
    name = "\n  name: {external: Name}\n"

    def of(text: str = rules, **more: Any) -> str:
        return compiled(text, **{"codes": {"currency": {"1": "EUR"}}, "values": {"currency": "EUR"}} | more).digest

    assert of() == of()
    assert of(codes={"currency": {"2": "EUR"}}) != of()
    assert of(codes={"currency": {"1": "EUR"}, "term": {"1": "x"}}) == of()
    assert of(values={"currency": "USD"}) != of()
    assert of(values={"currency": "EUR", "other": "x"}) == of()
    assert of(rules.replace("out: default", "out: clear")) != of()
    assert of(more="tests:\n  - {name: t, given: {}, expect: {}}") == of()
    key = {"Id": Field("Id"), "Bridge": Field("Bridge")}
    longer = Stream("Account.csv", {**key, "Name": Field("Name", length=6)}, Capabilities())
    shorter = Stream("Account.csv", {**key, "Name": Field("Name", length=5)}, Capabilities())
    assert of(name, described=longer) != of(name, described=shorter)
    table = "\n  status: {external: S, via: [{map: {pairs: {%s: active, false: inactive}}}]}\n"
    assert of(table % "true") != of(table % '"true"')


def test_how_long_a_line_s_field_may_be_is_part_of_the_digest_where_it_is_told() -> None:
    lists = "lists: {addresses: {child: {stream: Site, parent: A}, key: Id, write: keyed, fields: {line1: {external: Street}}}}\n"
    spec = read(text_of("\n  name: {external: Name}\n" + lists))

    def of(length: int | None = None, *, described: bool = True) -> CompiledMapping:
        site = Stream("Site", {"Street": Field("Street", length=length)}, Capabilities())
        children = {"Site": site} if described else {}
        return compile_mapping(spec, codes={}, values={}, stream=None, children=children)

    assert len({of(5).digest, of(6).digest, of().digest}) == 3
    assert len({of(5).meanings["addresses"], of(6).meanings["addresses"]}) == 2
    assert of().digest == of(described=False).digest


def test_what_only_tells_of_a_rule_is_no_part_of_the_digest_but_a_field_or_a_value_may_be_called_so(compiled: Compile) -> None:
    def of(text: str) -> CompiledMapping:
        return compiled(text)

    table = "\n  status: {external: S, via: [{map: {pairs: {%s: active, x: inactive}}}]}"
    plain = f"\n  name: {{external: Name}}{table}\n  note: {{canonical: custom.note, external: %s}}\n"
    told = plain.replace("{external: Name}", "{external: Name, note: why, accept_loss: ['PutGet: known'], optional: true}")
    one = of(plain % ("optional", "Name1"))
    assert of(told % ("optional", "Name1")).digest == one.digest
    assert of(told % ("optional", "Name1")).meanings == one.meanings
    for other in (of(plain % ("must", "Name1")), of(plain % ("optional", "Name2"))):
        assert other.digest != one.digest
        assert other.meanings != one.meanings


# Pass-through


def test_what_the_key_names_is_not_passed_through() -> None:
    text = "\n  name: {external: Name}\npassthrough: [{match: '.*'}]\n"
    described = Stream("Account.csv", {name: Field(name) for name in ("No", "Name", "Bridge", "Changed", "Tax")}, Capabilities())
    document = text_of(text).replace("id: Id", "natural: [No], version: Changed")
    one = compile_mapping(read(document), codes={}, values={}, stream=described)
    assert one.readable == one.writable == {"name", "custom.Tax"}


# What is wrong with a rule


WRONG = [
    ("nmae: {external: Name}", "did you mean `name`?"),
    ("name: {external: Nmae}", "did you mean `Name`?"),
    ("name: {external: Name, direcion: both}", "did you mean `direction`?"),
    ("name: {via: [trim]}", "names no external field"),
    ("name: {external: Name, required: Yes}", "boolean"),
    ("name: {external: [Name, City]}", "`join`"),
    ("street: {canonical: [billing.line1, billing.line2], external: Name}", "`lines` or `split_name`"),
    ("name: {external: Name, const: x, via: [trim]}", "`const` stands alone"),
    ("name: {external: Name, const: x, direction: to_canonical}", "never read"),
    ('name: {external: Name, get: "Name", via: [trim]}', "an expression stands alone"),
    ('name: {external: Name, get: "Name.upper()"}', "a call is a name"),
    ('name: {external: Name, get: "Nam"}', "unknown-external"),
    ('name: {external: Name, put: "nam"}', "unknown-canonical"),
    ("parent: {external: Name}", "is a reference"),
    ("parent: {external: Name, ref: {entity: order}}", "points at customer"),
    ("parent: {external: Name, ref: {entity: customer}, default: x, nulls: {out: default}}", "no default on the way out"),
    ("parent: {external: Name, ref: {entity: custmer}}", "did you mean `customer`?"),
    ("name: {external: Name, ref: {entity: customer}}", "no reference"),
    ("name: {external: Name, nulls: {in: default}}", "without a `default`"),
    ("name: {external: Name, nulls: {out: default}}", "without a `default`"),
    ("kind: {external: Name, default: vip}", "no value of `kind`"),
    ("kind: {external: Name, moves: {customer: [vip]}}", "no state of `kind`"),
    ("name: {external: Name, moves: {a: [b]}}", "declared states"),
    ("status: {external: Name, moves: {active: [{to: inactive, makes: ordr}]}}", "did you mean `order`?"),
    ("status: {external: Name, moves: {active: [{to: inactive, by: ordr}]}}", "did you mean `order`?"),
    ("status: {external: Name, moves: {active: [{to: inactive, by: product}]}}", "remove `by`"),
    ("name: {external: Name, accept_loss: [because]}", "`what: reason`"),
    ("name: {external: $xmlid}", "only $connection.NAME"),
    ("name: {external: Name, write: sometimes}", "always"),
]


@pytest.mark.parametrize(("rule", "words"), WRONG)
def test_a_wrong_rule_is_complained_of_at_its_line(compiled: Compile, rule: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compiled(f"\n  {rule}\n", described=LENGTHS)
    (complaint,) = caught.value.complaints
    assert words in str(complaint)
    assert complaint.line == 9


def test_two_rules_for_one_field_have_no_single_meaning(compiled: Compile) -> None:
    with pytest.raises(ConfigError) as caught:
        compiled(
            """
  a: {canonical: name, external: Name}
  b: {canonical: name, external: City, direction: to_canonical}
  email: {external: Name}
"""
        )
    assert [(c.line, "two-writers" in c.what) for c in caught.value.complaints] == [(10, True), (11, True)]


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ('passthrough: [{match: "("}]', "no regular expression"),
        ("assigns_keys: somebody", "nobody"),
        ("lists: {lines: {inline: x, key: k, write: append, fields: {}}}", "never appended"),
        ("lists: {lines: {key: k, write: keyed, fields: {}}}", "a `child` stream, `inline`"),
        ("lists: {rows: {inline: x, key: k, write: keyed, fields: {}}}", "no list `rows`"),
        ("unknown: 1", "known here"),
        ('when: "a ="', "not an expression"),
    ],
)
def test_what_is_not_supported_is_refused_and_never_skipped(compiled: Compile, head: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compiled("\n  number: {external: N}\n", entity="order", more=head)
    (complaint,) = caught.value.complaints
    assert words in str(complaint)
    assert complaint.line == 7
