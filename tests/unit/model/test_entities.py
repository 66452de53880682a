"""The canonical model: every field documented, every normal form final, every state reachable by declared moves, every reference known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erpcrm_bridge.model.entities import MODELS, MONEY_DOCUMENTS, entity_spec
from erpcrm_bridge.model.fields import FieldSpec


def fields_of(entity: str) -> Iterator[tuple[str, FieldSpec]]:
    spec = entity_spec(entity)
    yield from spec.fields.items()
    for name, line in spec.lists.items():
        yield from ((f"{name}.{path}", field) for path, field in line.items())


FIELDS = [(entity, path, spec) for entity in MODELS for path, spec in fields_of(entity)]
NORMALISED = {spec.normalise: (f"{entity}.{path}", spec) for entity, path, spec in FIELDS if spec.normalise is not None}
TYPED = ["eur", " USD ", "de", "FR", " a\r\nb ", "DE 123", "2026-05-01", "2026-05-01T07:25:37.000Z", "ﬁ ß İ", "A@b"]
NAMES = [name for name, _ in NORMALISED.values()]


@pytest.mark.parametrize("entity", MODELS)
def test_each_entity_and_each_field_says_what_it_means(entity: str) -> None:
    assert entity_spec(entity).doc.endswith(".")
    assert [path for path, spec in fields_of(entity) if len(spec.doc) < 4] == []


@pytest.mark.parametrize(("name", "spec"), NORMALISED.values(), ids=NAMES)
def test_a_normal_form_is_left_as_it_is(name: str, spec: FieldSpec) -> None:
    numbers = st.decimals(allow_nan=False, allow_infinity=False) | st.integers()
    taken = 0

    @settings(max_examples=100, derandomize=True, database=None, deadline=None)
    @given(st.text() | st.sampled_from(TYPED) | numbers | st.booleans())
    def law(value: object) -> None:
        nonlocal taken
        assert spec.normalise is not None
        try:
            once = spec.normalise(value)
        except ValueError:
            return
        taken += once is not None
        assert once is None or spec.normalise(once) == once, name

    law()
    assert taken, f"no value was one of {name}: the law says nothing"


@pytest.mark.parametrize(("name", "spec"), NORMALISED.values(), ids=NAMES)
def test_a_float_is_no_canonical_value(name: str, spec: FieldSpec) -> None:
    assert spec.normalise is not None
    with pytest.raises(ValueError, match=r"is not|neither"):
        spec.normalise(0.1)


def test_amounts_have_a_currency_beside_them_and_unit_prices_and_rates_decimals_of_their_own() -> None:
    for entity, path, spec in FIELDS:
        if spec.kind == "amount":
            assert "currency" in entity_spec(entity).fields, f"{entity}.{path}"
        if spec.kind == "decimal":
            assert spec.scale in (6, 10), f"{entity}.{path}"


def test_states_are_moved_between_the_values_of_their_field_and_each_is_reached() -> None:
    moving = [(f"{entity}.{path}", spec) for entity, path, spec in FIELDS if spec.moves is not None]
    assert {name for name, _ in moving} >= {
        "order.state",
        "invoice.state",
        "quote.state",
        "payment.state",
        "commission.state",
        "lead.state",
    }
    for name, spec in moving:
        assert spec.moves is not None
        first, *others = spec.choices
        assert set(spec.moves) <= set(spec.choices), name
        assert {after for state in spec.moves for after in spec.moves[state]} - {first} == set(others), name


def test_a_document_s_state_has_declared_moves() -> None:
    assert [f"{entity}.{path}" for entity, path, spec in FIELDS if path == "state" and spec.moves is None] == []


def test_references_point_at_entities_and_have_an_order() -> None:
    left = {entity: {to for to in entity_spec(entity).parents if to != entity} for entity in MODELS}
    assert set().union(*left.values()) <= set(MODELS)
    while ready := {entity for entity, parents in left.items() if not parents & left.keys()}:
        left = {entity: parents for entity, parents in left.items() if entity not in ready}
    assert left == {}, "these refer to each other in a circle"


def test_the_lines_of_a_payment_refer_to_invoices() -> None:
    assert entity_spec("payment").line_references == {"applications": {"invoice": "invoice"}}
    assert entity_spec("payment").parents == ["customer", "invoice"]


def test_money_documents_are_what_the_books_hold() -> None:
    assert {"order", "invoice", "credit_note", "payment", "commission"} == MONEY_DOCUMENTS
    assert all(entity_spec(entity).money_document for entity in MONEY_DOCUMENTS)
