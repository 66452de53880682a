"""Both CSV dialects and Odoo carry the whole canonical model, or say why not: counted field by field over all shipped mappings."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping import check_mapping, load_library, shipped
from erpcrm_bridge.mapping.check.static import wholes_of
from erpcrm_bridge.model.entities import MODELS, MONEY_DOCUMENTS, entity_spec

DIALECTS = ("csv-dataloader", "csv-savedsearch")
MAPPINGS = (*DIALECTS, "odoo")
LIBRARY = load_library([shipped()])
FINANCE = {"commissions", "rebates", "credit", "customer value"}


def paths_of(entity: str) -> set[str]:
    spec = entity_spec(entity)
    return {*spec.fields, *(f"{name}.{path}" for name, line in spec.lists.items() for path in line)}


def mapped(entity: str, dialect: str) -> set[str]:
    """Return the canonical paths that the mapping of an entity in a dialect has a rule for; none where there is no mapping."""
    spec = LIBRARY.specs.get(f"{entity}/{dialect}")
    if spec is None:
        return set()
    found: set[str] = set()
    rules = [("", spec.body.fields), *((f"{name}.", one.fields) for name, one in spec.body.lists.items())]
    for prefix, fields in rules:
        for name, rule in fields.items():
            paths = rule.canonical if isinstance(rule.canonical, list) else [rule.canonical or name]
            found |= {prefix + path for path in paths}
    return found


@pytest.mark.parametrize("entity", MODELS)
@pytest.mark.parametrize("dialect", MAPPINGS)
def test_each_field_of_each_entity_is_mapped_or_excused(entity: str, dialect: str) -> None:
    rules, spec = LIBRARY.entities[entity], LIBRARY.specs.get(f"{entity}/{dialect}")
    assert (spec is None) == (dialect in rules.unmapped), "an entity has a mapping of the name, or entity.yaml says why not"
    if spec is not None:
        excused = {path for path in paths_of(entity) if {path, *wholes_of(path)} & spec.body.unmapped.keys()}
        assert paths_of(entity) - mapped(entity, dialect) == excused
        assert all(len(why) > 20 for why in spec.body.unmapped.values())
        assert [str(found) for found in check_mapping(LIBRARY, spec) if found.level == "ERROR"] == []


def test_no_shipped_mapping_passes_through_what_it_does_not_know() -> None:
    """Decision 0027."""
    assert [name for name, spec in LIBRARY.specs.items() if spec.body.passthrough] == []


def test_a_field_that_one_dialect_lacks_is_read_by_finance() -> None:
    """No field is there for nothing: both sides carry it, or a calculation reads what the one side says."""
    fields = {(entity, path) for entity in MODELS for path in paths_of(entity)}
    one_sided = {(entity, path) for entity, path in fields if not all(path in mapped(entity, dialect) for dialect in DIALECTS)}
    assert [f"{entity}.{path}" for entity, path in sorted(one_sided) if not finance(entity, path)] == []
    assert ("lead", "customer") in one_sided, "else this test says nothing"


def finance(entity: str, path: str) -> tuple[str, ...]:
    spec = entity_spec(entity)
    name, _, rest = path.partition(".")
    return spec.lists[name][rest].finance if name in spec.lists else spec.fields[path].finance


def test_each_calculation_of_finance_has_fields_to_read_and_no_other_is_named() -> None:
    named = {name for entity in MODELS for path in paths_of(entity) for name in finance(entity, path)}
    assert named == FINANCE


def test_each_mapping_has_one_of_the_names_and_each_entity_file_to_the_model() -> None:
    assert set(LIBRARY.entities) == set(MODELS)
    assert {name.partition("/")[2] for name in LIBRARY.specs} == set(MAPPINGS)
    assert len(LIBRARY.specs) == len(MODELS) * len(MAPPINGS) - sum(len(rules.unmapped) for rules in LIBRARY.entities.values())


def test_the_mappings_of_one_stream_of_odoo_part_its_records_and_no_other_stream_is_shared() -> None:
    shared = Counter(spec.stream for name, spec in LIBRARY.specs.items() if name.endswith("/odoo"))
    assert {stream for stream, count in shared.items() if count > 1} == {"res.partner", "crm.lead", "sale.order", "account.move"}
    for spec in LIBRARY.specs.values():
        if spec.connector == "odoo" and shared[spec.stream] > 1:
            assert spec.body.when, f"{spec.name} shares {spec.stream} and takes all of it"


@pytest.mark.parametrize("entity", sorted(MONEY_DOCUMENTS))
def test_a_money_document_is_never_deleted_by_a_sync(entity: str, tmp_path: Path) -> None:
    """The shipped files say so, and one that says otherwise is not read."""
    text = (shipped() / entity / "entity.yaml").read_text()
    (tmp_path / entity).mkdir()
    for rule in ("delete", "archive"):
        (tmp_path / entity / "entity.yaml").write_text(re.sub(r"^on_delete: .*", f"on_delete: {rule}", text, count=1, flags=re.M))
        with pytest.raises(ConfigError) as raised:
            load_library([tmp_path])
        assert [f"{entity} is a money document" in found.what for found in raised.value.complaints] == [True]


@pytest.mark.parametrize("entity", MODELS)
def test_each_list_of_an_entity_says_how_its_lines_are_matched(entity: str) -> None:
    assert set(LIBRARY.entities[entity].lists) == set(entity_spec(entity).lists)


@pytest.mark.parametrize("entity", [entity for entity in MODELS if "number" in entity_spec(entity).fields and entity_spec(entity).lists])
def test_no_document_is_bound_by_its_number_alone(entity: str) -> None:
    """Two series give one number to documents of two customers."""
    alone = [rule for rule in LIBRARY.entities[entity].match if rule.keys == ("number",)]
    assert all(rule.review for rule in alone), entity
