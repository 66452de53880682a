"""Lines of documents: one flat form, and which line is which."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from erpcrm_bridge.model.values import unpack
from erpcrm_bridge.sync.lines import flatten, lines_sum, match_lines, sum_complaint, unflatten

RULES = [["product", "unit_price", "quantity"], ["product"]]


def ids() -> Any:
    numbers = iter(range(1, 100))
    return lambda: f"new{next(numbers)}"


line_fields = st.fixed_dictionaries({"product": st.sampled_from(["A", "B"]), "quantity": st.integers(0, 3), "position": st.integers(1, 5)})
documents = st.lists(line_fields, max_size=4).map(lambda rows: [{"id": f"N{n}", **row} for n, row in enumerate(rows)])


@given(documents)
def test_what_was_made_flat_comes_back(lines: list[dict[str, Any]]) -> None:
    fields = {"total": 1, "lines": sorted(lines, key=lambda line: (line["position"], line["id"]))}
    back = unflatten(flatten(fields, ["lines"]), ["lines"])
    assert back.get("lines", []) == fields["lines"]
    assert back["total"] == 1


def test_a_line_that_is_not_there_any_more_is_left_out() -> None:
    flat = {"lines/N1": None, "lines/N1/quantity": 1, "lines/N2": True, "lines/N2/quantity": 2}
    assert unflatten(flat, ["lines"]) == {"lines": [{"id": "N2", "quantity": 2}]}
    assert unflatten({"lines/N1": None}, ["lines"]) == {"lines": []}


def test_a_row_of_a_known_key_is_its_line_whatever_it_says() -> None:
    golden = [{"id": "N1", "product": "A"}, {"id": "N2", "product": "B"}]
    assert match_lines([("k1", {"product": "B"})], {"k1": "N1"}, golden, RULES, ids()) == {"k1": "N1"}


def test_rows_are_matched_by_the_first_rule_with_one_hit_in_both_directions() -> None:
    golden = [{"id": "N1", "product": "A", "unit_price": 1, "quantity": 1}, {"id": "N2", "product": "A", "unit_price": 1, "quantity": 2}]
    rows = [
        ("k2", {"product": "A", "unit_price": Decimal("1.00"), "quantity": 2}),
        ("k1", {"product": "A", "unit_price": 1, "quantity": 1}),
    ]
    assert match_lines(rows, {}, golden, RULES, ids()) == {"k1": "N1", "k2": "N2"}


def test_a_row_that_no_rule_says_anything_of_is_new() -> None:
    assert match_lines([("k1", {"product": "C"})], {}, [{"id": "N1", "product": "A"}], RULES, ids()) == {"k1": "new1"}


def test_a_row_that_two_lines_could_be_is_doubt() -> None:
    golden = [{"id": "N1", "product": "A", "unit_price": 1, "quantity": 1}, {"id": "N2", "product": "A", "unit_price": 1, "quantity": 2}]
    assert match_lines([("k1", {"product": "A", "unit_price": 1, "quantity": 3})], {}, golden, RULES, ids()) is None


def test_a_line_is_never_matched_by_its_place_alone() -> None:
    golden = [{"id": "N1", "product": "A", "position": 1}]
    assert match_lines([("k1", {"product": "B", "position": 1})], {}, golden, RULES, ids()) == {"k1": "new1"}


def test_a_line_that_a_known_row_is_is_nobody_else_s() -> None:
    golden = [{"id": "N1", "product": "A"}]
    rows = [("k1", {"product": "A"}), ("k2", {"product": "A"})]
    assert match_lines(rows, {"k1": "N1"}, golden, RULES, ids()) == {"k1": "N1", "k2": "new1"}


@given(documents, st.data())
def test_each_row_is_one_line_and_no_line_is_two_rows(lines: list[dict[str, Any]], data: st.DataObject) -> None:
    rows = [(f"k{n}", row) for n, row in enumerate(data.draw(st.lists(line_fields, max_size=4)))]
    matched = match_lines(rows, {}, lines, RULES, ids())
    if matched is not None:
        assert matched.keys() == {key for key, _ in rows}
        assert len(set(matched.values())) == len(rows)


def test_a_document_adds_up_to_the_cent() -> None:
    line = {"id": "N1", "quantity": 3, "unit_price": Decimal("0.335")}  # 1.005, half up
    document = {"currency": "EUR", "total": Decimal("1.01"), "lines": [line]}
    assert lines_sum(document, "lines") == Decimal("1.01")
    assert sum_complaint(document, "lines", "total") is None
    assert sum_complaint({**document, "total": Decimal("1.00")}, "lines", "total") is not None


def test_a_yen_has_no_cents() -> None:
    document = {"currency": "JPY", "total": 33, "lines": [{"id": "N1", "quantity": 1, "unit_price": Decimal("33.4")}]}
    assert sum_complaint(document, "lines", "total") is None


def test_no_total_and_no_lines_are_no_complaint() -> None:
    assert sum_complaint({"lines": [{"id": "N1", "amount": 1}]}, "lines", "total") is None
    assert sum_complaint({"total": 1}, "lines", "total") is None


def test_a_line_without_an_amount_cannot_be_summed() -> None:
    assert sum_complaint({"total": 1, "lines": [{"id": "N1", "quantity": 1}]}, "lines", "total") is not None


def test_a_complaint_names_no_amount() -> None:
    complaint = sum_complaint({"total": Decimal("98765.43"), "lines": [{"id": "N1", "amount": Decimal("12345.67")}]}, "lines", "total")
    assert complaint is not None
    assert "98765" not in complaint
    assert "12345" not in complaint


def test_what_is_empty_in_both_matches_nothing() -> None:
    golden = [{"id": "N1", "label": None, "city": "Bonn"}]
    assert match_lines([("k1", {"city": "Kiel"})], {}, golden, [["city"], ["label"]], ids()) == {"k1": "new1"}


def test_lines_of_very_long_numbers_are_summed_to_the_last_digit() -> None:
    line = {"id": "N1", "quantity": Decimal("40063813339311234567"), "unit_price": Decimal("40063813339311234567.01")}
    product = 40063813339311234567 * 4006381333931123456701
    far = {"id": "N2", "amount": Decimal("0.01")}
    assert lines_sum({"currency": "EUR", "lines": [line, far]}, "lines") == Decimal(f"{product + 1}E-2")


def test_the_longest_numbers_that_are_read_are_summed() -> None:
    line = {"id": "N1", "quantity": unpack(b"9e399"), "unit_price": unpack(b"9e399")}
    assert lines_sum({"currency": "CLF", "lines": [line]}, "lines") == Decimal("81e798")
