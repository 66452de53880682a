"""What is optional in a mapping is used where it can be, and left out where its column, its file or its entity is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from erpcrm_bridge.connector import Capabilities, Field, Stream
from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping import MappingSpec, compile_mapping, fitted, load_library

RULES = """
  name:   {external: Name}
  number: {external: Number, optional: true}
  parent: {external: Parent, ref: {entity: customer}}
  owner:  {external: Owner, ref: {entity: sales_rep}, optional: true}
"""
LISTS = """
lists:
  addresses:
    child: {stream: sites.csv, parent: Of}
    key: Id
    write: keyed
    optional: true
    fields:
      city:  {external: City}
      label: {external: Label, optional: true}
"""
ALL = "Id Name Number Parent Owner"


def stream(name: str, columns: str) -> Stream:
    return Stream(name, {column: Field(column) for column in columns.split()}, Capabilities())


@pytest.fixture
def whole(spec: Callable[..., MappingSpec]) -> MappingSpec:
    return spec(RULES, more=LISTS)


def left(whole: MappingSpec, columns: str, sites: str | None, *entities: str) -> tuple[set[str], set[str]]:
    """Return the paths that are mapped here, and those of the addresses."""
    streams = {whole.stream: stream(whole.stream, f"{columns} Bridge")}
    if sites is not None:
        streams["sites.csv"] = stream("sites.csv", sites)
    one = compile_mapping(fitted(whole, streams, entities), codes={}, values={}, stream=streams[whole.stream])
    return set(one.readable) - {"addresses"}, set(one.lists["addresses"].readable) if "addresses" in one.lists else set()


def test_where_all_is_there_all_is_used(whole: MappingSpec) -> None:
    found = left(whole, ALL, "Id Of City Label", "customer", "sales_rep")
    assert found == ({"name", "number", "parent", "owner"}, {"city", "label"})


def test_a_rule_without_its_column_is_left_out(whole: MappingSpec) -> None:
    assert left(whole, "Id Name Parent Owner", "Id Of City", "customer", "sales_rep") == ({"name", "parent", "owner"}, {"city"})


def test_a_reference_to_what_the_flow_does_not_move_is_left_out_and_one_that_is_not_optional_stays(whole: MappingSpec) -> None:
    assert left(whole, ALL, None, "order") == ({"name", "number", "parent"}, set())


def test_a_list_without_its_file_is_left_out(whole: MappingSpec) -> None:
    assert left(whole, ALL, None, "customer", "sales_rep")[1] == set()


def test_a_name_is_one_column_in_csv_and_leads_into_an_object_elsewhere(spec: Callable[..., MappingSpec]) -> None:
    rules = """
  name: {external: Name}
  custom.tax: {external: Tax.Code, optional: true}
  email: {external: "Of[main].mail", optional: true}
"""
    assert left(spec(rules), "Id Name Tax Of", None)[0] == {"name"}
    assert left(spec(rules), "Id Name Tax.Code Of[main].mail", None)[0] == {"name", "custom.tax", "email"}
    assert left(spec(rules, connector="memory"), "Id Name Tax Of", None)[0] == {"name", "custom.tax", "email"}
    assert left(spec(rules, connector="memory"), "Id Name", None)[0] == {"name"}


def test_a_rule_is_left_out_where_what_its_expression_reads_is_not_there(spec: Callable[..., MappingSpec]) -> None:
    whole = spec("""
  name: {external: Name}
  custom.old: {get: "'y' if field('Archived On') else 'n'", optional: true}
""")
    assert left(whole, "Id Name", None)[0] == {"name"}
    streams = {whole.stream: Stream(whole.stream, {n: Field(n) for n in ("Id", "Name", "Bridge", "Archived On")}, Capabilities())}
    assert set(fitted(whole, streams, ()).body.fields) == {"name", "custom.old"}


def test_an_expression_that_is_none_is_not_left_out_but_complained_of(spec: Callable[..., MappingSpec]) -> None:
    with pytest.raises(ConfigError) as caught:
        left(spec("\n  name: {external: Name}\n  custom.old: {get: 'Archived =', optional: true}\n"), "Id Name", None)
    assert "expression" in str(caught.value.complaints[0].what)


def test_what_is_left_out_is_not_passed_through_instead(spec: Callable[..., MappingSpec]) -> None:
    whole = spec(RULES, more="passthrough: [{match: '.*'}]")
    assert left(whole, f"{ALL} Tax", None, "customer") == ({"name", "number", "parent", "custom.Tax"}, set())


def test_what_is_not_optional_is_complained_of(whole: MappingSpec) -> None:
    with pytest.raises(ConfigError) as caught:
        left(whole, "Id Number Parent Owner", None, "customer")
    assert "no field `Name`" in str([complaint.what for complaint in caught.value.complaints])


def test_what_is_left_out_changes_the_rules_and_the_word_itself_does_not(whole: MappingSpec, spec: Callable[..., MappingSpec]) -> None:
    plain = spec(RULES.replace(", optional: true", ""), more=LISTS.replace("    optional: true\n", "").replace(", optional: true", ""))
    one, other = (compile_mapping(each, codes={}, values={}, stream=None) for each in (whole, plain))
    assert one.digest == other.digest
    fewer = fitted(whole, {whole.stream: stream(whole.stream, "Id Name Parent")}, ["customer"])
    assert compile_mapping(fewer, codes={}, values={}, stream=None).digest != one.digest


@pytest.mark.parametrize(
    ("name", "why", "words"), [("one", "not there", "there is a mapping customer/one"), ("two", "' '", "without a reason")]
)
def test_an_entity_file_excuses_no_mapping_that_is_there_and_none_without_a_reason(tmp_path: Path, name: str, why: str, words: str) -> None:
    (tmp_path / "customer").mkdir()
    head = "apiVersion: erpcrm-bridge/v1\nkind: "
    entity = f"{head}Entity\nentity: customer\nmodel: canonical:Customer\nunmapped: {{{name}: {why}}}\n"
    (tmp_path / "customer" / "entity.yaml").write_text(entity)
    mapping = f"{head}Mapping\nentity: customer\nconnector: csv\nstream: a.csv\nkey: {{id: Id}}\nfields: {{name: {{external: Name}}}}\n"
    (tmp_path / "customer" / "one.yaml").write_text(mapping)
    with pytest.raises(ConfigError) as caught:
        load_library([tmp_path])
    (found,) = caught.value.complaints
    assert words in found.what
    assert found.line == 5
