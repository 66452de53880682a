"""Natural keys forgive spelling, and nothing else."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from erpcrm_bridge.mapping import MatchRule
from erpcrm_bridge.sync.natural import NaturalKeys, agrees, contradict, form, likeness, name_form, plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller GmbH", "MUELLER G.m.b.H."),
        ("Société Générale S.A.", "Societe Generale SA"),
        ("Acme Tools, Inc.", "ACME TOOLS INCORPORATED"),
        ("Tools Acme", "Acme Tools"),
        ("Riehl GmbH & Co. KG", "Riehl GmbH u. Co. KG"),
        ("Straßenbau AG", "Strassenbau"),
        ("Łódź Sp. z o.o.", "Lodz sp z o o"),
        ("O'Brien Ltd", "OBrien Limited"),
        ("Mu\u0308ller", "Müller"),
        ("Bäuerle Zürich", "Baeuerle Zuerich"),
        ("ガス ❤\ufe0f", "ｶﾞｽ"),
        ("राम, दिल्ली", "दिल्ली राम"),
        ("Ελλάς", "ΕΛΛΑΣ"),
    ],
)
def test_spellings_of_one_name_have_one_form(one: str, other: str) -> None:
    assert name_form(one) == name_form(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Acme North", "Acme South"),
        ("Müller 1", "Müller 2"),
        ("AG", "GmbH"),
        ("Bauer GmbH", "Baur GmbH"),
        ("Müller Holding GmbH", "Müller GmbH"),
        ("Nord Group AG", "Nord AG"),
        ("राम", "रीमा"),
        ("กิน", "กุน"),
        ("ガス", "カス"),
    ],
)
def test_different_names_keep_different_forms(one: str, other: str) -> None:
    assert name_form(one) != name_form(other)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Pickering Timber LLP", "Pickering iTmber", True),
        ("Müller Werkzeuge GmbH", "Mueller Werkezuge", True),
        ("Haid & Praxmarer Maschinenbau AG", "Haid & Praxmarer Maschinenbau Graz", False),
        ("Haid & Praxmarer Maschinenbau Wien", "Haid & Praxmarer Maschinenbau Graz", False),
        ("Nordwestdeutsche Lagerhausgesellschaft 1", "Nordwestdeutsche Lagerhausgesellschaft 2", False),
        ("Acme Tools", "Bolt Works", False),
        ("Windpark Nord 101 GmbH", "Windpark Nord 102 GmbH", False),
        ("Lagerhaus Wien 101", "Lagerhauswien 102", False),
        ("Immobilien Fonds II", "Immobilien Fonds III", False),
        ("Immobilien Fonds II", "Imobilien Fonds II", True),
        ("Autohaus24 Wolfsberg", "Autohaus24 Wolfsbreg", True),
        ("日本東京電力システム株式会社", "日本東京電気システム株式会社", False),
    ],
)
def test_a_letter_wrong_is_alike_and_a_word_more_or_another_or_a_number_is_not_however_long_the_rest(
    one: str, other: str, alike: bool
) -> None:
    assert (likeness(["name"], {"name": one}, {"name": other}) >= 90) is alike
    assert likeness(["name"], {"name": one}, {"name": other}) == likeness(["name"], {"name": other}, {"name": one})


def test_what_one_of_two_does_not_hold_is_not_alike() -> None:
    assert likeness(["name", "email"], {"name": "Acme", "email": None}, {"name": "Acme", "email": "a@b.example"}) == 0


@pytest.mark.parametrize(
    ("path", "one", "other", "apart"),
    [
        ("tax_id", "de123", "123", False),
        ("tax_id", "de123", "de124", True),
        ("name", "acme", "bacme", True),
        ("name", "acme", "acme", False),
    ],
)
def test_a_number_without_its_country_contradicts_nothing(path: str, one: str, other: str, apart: bool) -> None:
    assert contradict(path, one, other) is apart


def test_a_name_of_nothing_but_a_legal_form_is_still_a_name() -> None:
    assert name_form("The Company") == "company the"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("tax_id", "DE 123.456", "de123456"),
        ("number", "000-17", "17"),
        ("billing.postal_code", "01067", "1067"),
        ("email", "a@b.example", "a@b.example"),
        ("website", "https://www.Acme.example/", "acme.example"),
        ("website", "acme.example", "acme.example"),
        ("customer", "G00", "G00"),
        ("billing.city", "Köln ", "koln"),
        ("name", "", None),
        ("tax_id", None, None),
        ("tax_id", "--", None),
        ("number", "000", None),
        ("tax_id", "n/a", None),
        ("tax_id", "DE000000000", None),
        ("tax_id", "ATU12345678", "atu12345678"),
        ("po_number", "verbal", None),
        ("phone", "ask reception", None),
        ("number", "DRAFT", "draft"),
        ("billing.postal_code", "HM CX", "hmcx"),
    ],
)
def test_each_kind_of_field_has_its_form(path: str, value: Any, expected: str | None) -> None:
    assert form(path, value) == expected


def test_words_are_parted_by_anything_that_is_no_letter_or_digit() -> None:
    assert plain("Müller & Söhne - A/B") == "muller sohne a b"


def test_a_rule_of_which_a_field_is_empty_says_nothing(rules: Any) -> None:
    found = NaturalKeys(rules("customer").match).of({"tax_id": None, "email": "a@b.example", "name": None, "billing.postal_code": "1"})
    assert found[0] == 0
    assert found[1] != 0  # the name is compared by likeness, not by key
    assert found[2] == 0


def test_equal_forms_have_equal_keys_and_the_rule_is_part_of_them(rules: Any) -> None:
    one = NaturalKeys(rules("customer").match).of({"name": "Müller GmbH", "billing.postal_code": "01067", "tax_id": "1067"})
    other = NaturalKeys(rules("customer").match).of({"name": "Mueller", "billing.postal_code": "1067", "tax_id": "1067"})
    assert one == other
    assert one[0] != one[2]


def test_likeness_counts_only_where_both_say_something() -> None:
    rule = MatchRule(("email", "name"), {"name": 90}, False)
    assert agrees(rule, {"name": "Acme Tools"}, {"name": "Acme Tool"})
    assert not agrees(rule, {"name": "Acme Tools"}, {"name": None})
    assert not agrees(rule, {"name": "Acme"}, {"name": "Bolt"})


def test_what_moved_brings_the_keys_that_all_fields_together_bring(rules: Any) -> None:
    keys = NaturalKeys(rules("customer").match)
    values = {"tax_id": [None, "DE1", "DE2"], "name": [None, "Acme", "Bolt"], "email": [None, "a@b"], "billing.postal_code": ["1", "2"]}
    records = [dict(zip(values, each, strict=True)) for each in product(*values.values())]
    for before, now in product(records, repeat=2):
        moved = frozenset(path for path in values if before[path] != now[path])
        were, are = (set(keys.kept(keys.of(fields))) for fields in (before, now))
        lost, found = keys.moved(moved, before, now)
        assert (set(lost), set(found)) == (were - are, are - were)
