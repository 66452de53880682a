"""Folders of mappings: what is found, what entity.yaml says of a field, what `check` finds, and inline tests that fail when they should."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from erpcrm_bridge.errors import Complaint, ConfigError
from erpcrm_bridge.mapping import (
    EntityRules,
    FieldPolicy,
    Library,
    MappingSpec,
    MatchRule,
    RelatedRule,
    check_mapping,
    load_library,
    shipped,
)
from erpcrm_bridge.model.entities import MODELS, entity_spec

ENTITY = """apiVersion: erpcrm-bridge/v1
kind: Entity
entity: {entity}
model: canonical:{model}
"""
UNMAPPED = (
    "unmapped: {"
    + ", ".join(f"{path}: not here" for path in (*entity_spec("customer").fields, *entity_spec("customer").lists) if path != "name")
    + "}"
)
MAPPING = """apiVersion: erpcrm-bridge/v1
kind: Mapping
entity: customer
connector: csv
stream: a.csv
key: {id: Id}
fields:
  name: {external: Name, via: [trim]}
"""
TEST = """tests:
  - name: trimmed
    given: {Name: " x "}
    expect: {name: x}
"""


def folder(at: Path, **files: str) -> Path:
    """Write files named ``customer__entity`` as customer/entity.yaml."""
    for name, text in files.items():
        path = at.joinpath(*name.split("__")).with_suffix(".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return at


def entity(more: str = "", name: str = "customer") -> str:
    return ENTITY.format(entity=name, model=name.capitalize()) + more


def rules(tmp_path: Path, more: str, name: str = "customer") -> EntityRules:
    return load_library([folder(tmp_path, **{f"{name}__entity": entity(more, name)})]).entities[name]


def refused(*folders: Path) -> list[Complaint]:
    with pytest.raises(ConfigError) as caught:
        load_library(folders)
    return list(caught.value.complaints)


# The library


def test_in_the_shipped_mappings_nothing_is_wrong() -> None:
    library = load_library([shipped()])
    assert {name: [str(found) for found in check_mapping(library, spec) if found.wrong] for name, spec in library.specs.items()} == {
        name: [] for name in library.specs
    }
    assert {"customer/csv-dataloader", "customer/csv-savedsearch", "order/csv-savedsearch", "invoice/csv-savedsearch"} <= set(library.specs)
    assert set(library.entities) == set(MODELS)


def test_own_folders_add_mappings_to_the_shipped_ones(tmp_path: Path) -> None:
    library = load_library([shipped(), folder(tmp_path, customer__mine=MAPPING, local__customer__ours=MAPPING)])
    assert {"customer/mine", "customer/ours", "customer/csv-dataloader"} <= set(library.specs)
    assert (library.specs["customer/mine"].connector, library.specs["customer/mine"].stream) == ("csv", "a.csv")


def test_the_findings_of_all_files_are_reported_together(tmp_path: Path) -> None:
    at = folder(
        tmp_path,
        customer__entity=entity("fields: {nmae: {on_clash: ask}}\n"),
        customer__one=MAPPING.replace("via", "vai"),
        customer__two="a: *x\n",
        order__three=MAPPING,
    )
    (at / "customer" / "latin.yaml").write_bytes(b"name: M\xfcller\n")
    found = refused(at, tmp_path / "missing")
    assert {(Path(c.file).name, c.line) for c in found} == {
        ("entity.yaml", 5),
        ("latin.yaml", 0),
        ("one.yaml", 8),
        ("two.yaml", 1),
        ("three.yaml", 3),
        ("missing", 0),
    }


def test_of_some_entities_no_other_file_is_read(tmp_path: Path) -> None:
    entity = ENTITY.format(entity="customer", model="Customer")
    at = folder(tmp_path, customer__entity=entity + UNMAPPED, customer__a=MAPPING + UNMAPPED + "\n" + TEST, invoice__entity="kind: [")
    found = load_library([at], only={"customer"})
    assert (list(found.entities), list(found.specs)) == (["customer"], ["customer/a"])
    with pytest.raises(ConfigError):
        load_library([at])


def test_a_name_stands_once(tmp_path: Path) -> None:
    shutil.copytree(shipped() / "customer", tmp_path / "customer")
    found = refused(shipped(), tmp_path)
    assert len(found) == len(list((shipped() / "customer").glob("*.yaml")))
    assert all("has this name already" in c.what for c in found)


def test_a_mapping_without_its_entity_file_is_refused(tmp_path: Path) -> None:
    (found,) = refused(folder(tmp_path, customer__one=MAPPING))
    assert "there is no customer/entity.yaml" in found.what


# Policies


def test_the_policy_of_a_field_is_its_own_then_its_longest_prefix_then_the_default(tmp_path: Path) -> None:
    one = rules(
        tmp_path,
        """
skew: 500ms
defaults: {on_clash: newer, write_by: [crm]}
fields:
  name: {on_clash: {prefer: [crm, erp]}}
  billing.*: {on_clash: non_empty, write_by: [erp], group: billing}
  billing.city: {on_clash: non_empty, write_by: [erp], group: billing}
""",
    )
    assert one.policy("name") == FieldPolicy(("crm",), ("prefer", ("crm", "erp")), None, 0.5)
    assert one.policy("billing.line1") == FieldPolicy(("erp",), "non_empty", "billing", 0.5)
    assert one.policy("email") == FieldPolicy(("crm",), "newer", None, 0.5)


def test_without_any_word_every_role_writes_and_a_person_is_asked(tmp_path: Path) -> None:
    one = rules(tmp_path, "")
    assert one.policy("name") == FieldPolicy(None, "ask", None, 0.0)
    assert (one.on_delete, one.continues, one.linked_by, one.match) == ("unlink", None, {}, ())


def test_lines_have_policies_of_their_own(tmp_path: Path) -> None:
    one = rules(
        tmp_path,
        """
continues: quote -> order
on_delete: ask
fields: {lines.unit_price: {write_by: [crm]}, lines.*: {write_by: [erp]}}
lists:
  lines: {model: canonical:OrderLine, sums_to: total, line_match: [[product, unit_price], [product, position]]}
""",
        "order",
    )
    assert one.policy("lines.unit_price").write_by == ("crm",)
    assert one.policy("lines.quantity").write_by == ("erp",)
    assert one.lists["lines"].line_match == (("product", "unit_price"), ("product", "position"))
    assert one.lists["lines"].sums_to == "total"
    assert one.continues == ("quote", "order")


def test_match_rules_are_read_in_their_order(tmp_path: Path) -> None:
    one = rules(tmp_path, "match:\n  - {keys: [tax_id]}\n  - {keys: [email, name], compare: {name: {fuzzy: 92}}, result: review}\n")
    assert one.match == (MatchRule(("tax_id",), {}, False), MatchRule(("email", "name"), {"name": 92}, True))


def test_what_hangs_on_an_entity_is_read_with_the_reference_by_which_it_does(tmp_path: Path) -> None:
    one = rules(tmp_path, "match: [{keys: [name], related: 2}]\napart: [tax_id]\nrelated: [{entity: contact, keys: [email, last_name]}]\n")
    assert one.match == (MatchRule(("name",), {}, True, 2),)
    assert one.related == (RelatedRule("contact", "customer", ("email", "last_name")),)
    assert one.apart == ("tax_id",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("match: [{keys: [name], related: 1}]", "nothing says what hangs on it"),
        ("related: [{entity: person, keys: [email]}]", "there is no entity `person`"),
        ("related: [{entity: customer, keys: [email]}]", "`customer` does not hang on one customer"),
        ("related: [{entity: contact, keys: [customer]}]", "`customer` tells no contact of one customer apart"),
        ("apart: [vat]", "there is no field `vat`"),
        (
            "match: [{keys: [name], related: 1, result: review}]\nrelated: [{entity: contact, keys: [email]}]",
            "leaves the rest to review by itself",
        ),
    ],
)
def test_what_cannot_hang_on_an_entity_or_tell_it_apart_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as error:
        rules(tmp_path, text + "\n")
    assert complaint in str(error.value.complaints)


def test_the_digest_of_an_entity_changes_with_its_policies(tmp_path: Path) -> None:
    one, same, other = (rules(tmp_path / str(n), text) for n, text in enumerate(["skew: 1s", "skew: 1s", "skew: 2s"]))
    assert one.digest == same.digest != other.digest


@pytest.mark.parametrize(
    ("more", "line", "words"),
    [
        ("fields: {nmae: {on_clash: ask}}", 5, "unknown-canonical"),
        ("fields:\n  name: {on_clash: oldest}", 6, "on_clash"),
        ("fields:\n  name: {on_clash: {prefer: []}}", 6, "names no role"),
        ("fields:\n  billing.city: {group: b}\n  billing.line1: {group: b, write_by: [erp]}", 7, "group-policy"),
        ("match:\n  - {keys: [tax]}", 6, "no field `tax`"),
        ("match:\n  - {keys: [name], compare: {email: {fuzzy: 90}}}", 6, "name one of `keys`"),
        ("match:\n  - {keys: [name], compare: {name: {fuzzy: 900}}}", 6, "from 1 to 100"),
        ("skew: five", 5, "not a duration"),
        ("continues: lead", 5, "one -> other"),
        ("on_delete: never", 5, "ask"),
        ("lists: {lines: {model: x, line_match: [[product]]}}", 5, "no list `lines`"),
        ("extends: customer/entity", 5, "there is no `customer/entity` to extend"),
        ("defualts: {on_clash: ask}", 5, "did you mean `defaults`?"),
    ],
)
def test_a_wrong_entity_file_is_complained_of_at_its_line(tmp_path: Path, more: str, line: int, words: str) -> None:
    (found,) = refused(folder(tmp_path, customer__entity=entity(more + "\n")))
    assert (found.line, words in str(found)) == (line, True), str(found)


def test_a_money_document_is_never_deleted_by_a_sync(tmp_path: Path) -> None:
    (found,) = refused(folder(tmp_path, order__entity=entity("on_delete: delete\n", "order")))
    assert "money document" in found.what


# What check finds


Spec = Callable[..., MappingSpec]


def findings(spec: MappingSpec) -> list[str]:
    return [found.what for found in check_mapping(Library({}, {spec.name: spec}), spec)]


def test_a_whole_and_tested_mapping_has_no_finding(spec: Spec) -> None:
    assert findings(spec("\n  name: {external: Name, via: [trim]}\n", more=f"{UNMAPPED}\n{TEST}")) == []


CHECKED: list[tuple[str, str, str]] = [
    ("name: {external: Name}", "", "unmapped: no rule is about `tax_id`"),
    ("name: {external: Name}", "unmapped: {name: x}", "`name` has a rule"),
    ("name: {external: Name}", "unmapped: {nmae: x}", "no field `nmae`"),
    ("name: {external: Name}", "unmapped: {kind: ' '}", "without a reason"),
    ("name: {external: Name, via: [trim]}", "", "untested: no test expects anything of `name`"),
    ("kind: {external: T, via: [{map: {pairs: {A: customer}, fallback: other}}]}", "", "fallback-undeclared"),
    ("kind: {external: T, via: [{map: t}]}", "tables: {t: {pairs: {A: customer}, fallback: other}}", "fallback-undeclared"),
    ("phone: {external: P, via: [{phone: {form: e164}}]}", "", "e164 drops the extension"),
    ("payment_terms: {external: T, via: [{map: {pairs: {'901': Net}}}]}", "", "internal-id: `901`"),
    ("payment_terms: {external: T, via: [{map: t}]}", "tables: {t: {pairs: {'901': Net}}}", "internal-id: `901`"),
    ("price_list: {external: O, const: {id: '5'}}", "", "internal-id: an object"),
    ("price_list: {external: O, default: $user.name}", "", "internal-id: `$user.name`"),
    ("name: {external: Name}", 'when: "not IsDeleted"', "when-hides-deletes: `IsDeleted`"),
    ("parent: {external: P, ref: {entity: customer, required: true}}", "", "ref-cycle: customer needs customer"),
    ("nmae: {external: Name}", "", "unknown-canonical"),
]


@pytest.mark.parametrize(("rule", "more", "words"), CHECKED)
def test_check_finds(spec: Spec, rule: str, more: str, words: str) -> None:
    assert any(words in what for what in findings(spec(f"\n  {rule}\n", more=more)))


def test_a_declared_loss_passes(spec: Spec) -> None:
    rule = 'kind: {external: T, via: [{map: {pairs: {A: customer}, fallback: other}}], accept_loss: ["fallback: rare"]}'
    assert not any("fallback" in what for what in findings(spec(f"\n  {rule}\n")))


def test_a_circle_of_required_references_is_found_across_mappings(spec: Spec) -> None:
    order = spec("\n  customer: {external: C, ref: {entity: customer, required: true}}\n", entity="order")
    customer = spec("\n  parent: {external: C, ref: {entity: customer, required: false}}\n")
    assert not any("ref-cycle" in found.what for found in check_mapping(Library({}, {"a": order, "b": customer}), order))


# Inline tests


def fails(spec: Spec, rule: str, test: str, **head: Any) -> list[str]:
    return [
        what.partition("`: ")[2]
        for what in findings(spec(f"\n  {rule}\n", more=f"tests:\n  - {{name: t, {test}}}", **head))
        if what.startswith("test")
    ]


KIND = "kind: {external: T, via: [{map: {pairs: {A: customer, B: partner}}}]}"


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("given: {T: A}, expect: {kind: partner}", "`kind` is 'customer', not 'partner'"),
        ("given: {T: A}, expect: {name: x}", "`name` is missing"),
        ("given: {T: A}, expect: {kind: $absent}", "`kind` is 'customer', not absent"),
        ("given: {T: A}, expect: {kind: $parked}", "`kind` is not parked"),
        ("given: {T: Z}, expect: {}", "`kind` is parked: 'Z' is not in the table"),
        ("given: {T: Z}, expect: {kind: $absent}", "`kind` is parked"),
        ("given: {T: A}, expect: {kind: null}", "not None"),
        ("given: {T: A}, expect: {}, back: {T: B}", "`T` is missing"),
        ("direction: from_canonical, given: {kind: customer}, expect: {T: B}", "`T` is 'A', not 'B'"),
        ("direction: from_canonical, given: {kind: customer}, base: {T: A}, expect: {T: A}", "`T` is missing"),
        ("direction: from_canonical, given: {kind: other}, expect: {}", "`kind` is parked"),
        ("direction: from_canonical, given: {kind: customer}, expect: {T: $parked}", "`T` is not parked"),
        ("direction: from_canonical, given: {kind: customer}, expect: {T: $absent}", "`T` is 'A', not absent"),
    ],
)
def test_an_inline_test_fails_when_it_should(spec: Spec, test: str, words: str) -> None:
    found = fails(spec, KIND, test)
    assert any(words in what for what in found), found


@pytest.mark.parametrize(
    "test",
    [
        "given: {T: A}, expect: {kind: customer}, back: {T: $untouched}",
        "given: {T: Z}, expect: {kind: $parked, name: $absent}",
        "given: {T: null}, expect: {kind: null}",
        "direction: from_canonical, given: {kind: customer}, expect: {T: A}",
        "direction: from_canonical, given: {kind: customer}, base: {T: A}, expect: {T: $untouched}",
        "direction: from_canonical, given: {kind: other}, expect: {T: $parked}",
        "direction: from_canonical, mode: update, given: {kind: customer}, expect: {T: A}",
    ],
)
def test_an_inline_test_holds_when_it_should(spec: Spec, test: str) -> None:
    assert fails(spec, KIND, test) == []


def test_an_inline_test_tells_scale_types_and_code_tables(spec: Spec) -> None:
    money = "credit_limit: {external: L, via: [{money: {currency: $connection.currency}}]}"
    assert fails(spec, money, 'given: {L: "5"}, connection: {currency: EUR}, expect: {credit_limit: "5.00"}') == []
    assert fails(spec, money, 'given: {L: "5"}, connection: {currency: EUR}, expect: {credit_limit: "5.0"}') != []
    code = "currency: {external: C, via: [{code: {of: currency}}]}"
    assert fails(spec, code, 'codes: {currency: {"901": EUR}}, given: {C: {id: "901"}}, expect: {currency: EUR}', connector="memory") == []
    assert fails(spec, code, 'given: {C: {id: "901"}}, expect: {currency: EUR}', connector="memory") != []


def test_an_inline_test_covers_references_and_lines(spec: Spec) -> None:
    lines = """lists:
  lines:
    child: {stream: items.csv, parent: O}
    key: Id
    write: keyed
    fields: {quantity: {external: Q, via: [decimal]}}
"""
    rule = "customer: {external: C, ref: {entity: customer, required: true}}"

    def run(test: str) -> list[str]:
        more = f"{lines}tests:\n  - {{name: t, {test}}}"
        return [what for what in findings(spec(f"\n  {rule}\n", entity="order", more=more)) if what.startswith("test")]

    assert run('given: {C: K1, items.csv: [{Id: "1", Q: "2"}]}, expect: {customer: K1, lines: [{quantity: "2"}]}') == []
    assert "row 1" in run('given: {items.csv: [{Id: "1", Q: "2"}]}, expect: {lines: [{quantity: "3"}]}')[0]
    assert "1 rows, not 2" in run('given: {items.csv: [{Q: "2"}]}, expect: {lines: [{quantity: "2"}, {quantity: "2"}]}')[0]
    assert run('direction: from_canonical, given: {lines: [{quantity: "2"}]}, expect: {items.csv: [{Q: "2"}]}') == []
    assert run('direction: from_canonical, given: {lines: [{quantity: "2"}]}, expect: {items.csv: [{Q: "3"}]}') != []


def test_a_rule_whose_reading_is_not_undone_by_its_guard_is_found(spec: Spec) -> None:
    found = fails(spec, "name: {external: Name, put: \"name + '!'\"}", "direction: to_canonical, given: {Name: x}, expect: {}")
    assert found == []
    found = fails(spec, "price_list: {external: Owner, direction: both, put: \"'fixed'\"}", "given: {Owner: x}, expect: {}")
    assert found == ["`Owner` would be written back though nothing has changed"]
