"""What YAML usually turns into something else stays as it was typed; what hides a mistake is refused with its place."""

from __future__ import annotations

from decimal import Decimal

import pytest

from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.settings.yaml import read_yaml


def complaints(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, "file.yaml")
    return [(c.line, c.column, c.what) for c in caught.value.complaints]


@pytest.mark.parametrize(
    "word",
    ["NO", "Yes", "on", "off", "y", "~", "010", "1_000", "12:30:45", "1e5", "0x1F", ".5", "+1", "2026-05-01", ".inf", "Null", "TRUE"],
)
def test_words_that_yaml_would_turn_into_something_else_stay_text(word: str) -> None:
    assert read_yaml(f"{word}: {word}", "f").value == {word: word}


def test_only_these_plain_words_and_numbers_are_resolved() -> None:
    value = read_yaml('[true, false, null, , 12, -3, 1.50, "12", "true"]'.replace(", ,", ", null,"), "f").value
    assert value == [True, False, None, None, 12, -3, Decimal("1.50"), "12", "true"]
    assert [type(v) for v in value[4:7]] == [int, int, Decimal]
    assert str(value[6]) == "1.50"


def test_a_key_without_a_value_is_null() -> None:
    assert read_yaml("website:\n", "f").value == {"website": None}


def test_duplicate_keys_are_refused_where_the_second_stands() -> None:
    ((line, column, what),) = complaints("a: 1\nb:\n  c: 1\n  c: 2\n")
    assert (line, column) == (4, 3)
    assert "`" not in what
    assert "the key c stands here twice" in what


def test_true_and_one_are_one_key() -> None:
    assert [c[0] for c in complaints("true: a\n1: b\n")] == [2]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: &x 1\n", (1, 4)),
        ("a: 1\nb: *x\n", (2, 4)),
        ("a: !!python/object:os.system x\n", (1, 4)),
        ("a: 1\n<<: {b: 1}\n", (2, 1)),
        ("%YAML 1.1\n---\na: 1\n", (1, 1)),
        ("a: 1\n---\nb: 1\n", (2, 1)),
        ("null: 1\n", (1, 1)),
        ("1.5: x\n", (1, 1)),
        ("? [a]\n: 1\n", (1, 3)),
        ("[" * 60 + "]" * 60, (1, 41)),
        ("\tb: 1\n", (1, 1)),
        ("a: x\x07\n", (1, 5)),
    ],
)
def test_what_hides_a_meaning_is_refused_with_its_place(text: str, place: tuple[int, int]) -> None:
    assert [found[:2] for found in complaints(text)] == [place]


def test_all_findings_are_reported_together() -> None:
    assert [found[0] for found in complaints("a: &x 1\nb: !t 2\na: 3\n")] == [1, 2, 3]


def test_a_place_is_that_of_the_key_or_the_item_and_else_of_what_is_around_it() -> None:
    document = read_yaml("a:\n  - x\n  - {b: 1, c: 2}\n", "f")
    assert document.at(("a",)) == (1, 1)
    assert document.at(("a", 1, "c")) == (3, 12)
    assert document.at_value(("a", 1, "c")) == (3, 15)
    assert document.at(("a", 1, "missing", 7)) == (3, 5)
    assert document.at(("nothing",)) == (1, 1)
