"""Each transform both ways, what it refuses, and how its misuse is complained of."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping import CompiledMapping, FieldError
from erpcrm_bridge.mapping.expression import Refused
from erpcrm_bridge.mapping.transforms import Misused, Setting, Transform, build
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.fields import FieldSpec

SPECS = {**entity_spec("customer").fields, **entity_spec("invoice").lists["lines"], "due_date": entity_spec("invoice").fields["due_date"]}
CODES = {"currency": {"901": "EUR", "902": "USD"}, "term": {"1": "Net", "2": "Net"}}


def made(entry: Any, *paths: str, externals: int = 1, text_numbers: bool = True, two_way: bool = True) -> Transform:
    fields: list[FieldSpec] = [SPECS[path] for path in paths or ("name",)]
    return build(entry, Setting(fields, externals, SPECS.__contains__, {}, CODES, {"currency": "CHF"}, text_numbers, two_way))


def there(transform: Transform, value: Any, *more: Any) -> Any:
    return transform.get(value, *more)


def back(transform: Transform, value: Any, *more: Any) -> Any:
    return value if transform.put is None else transform.put(value, *more)


# entry, canonical paths, second values, external value, canonical value, what is written for it
BOTH_WAYS: list[tuple[Any, tuple[str, ...], tuple[Any, ...], Any, Any, Any]] = [
    ("str", ("name",), (), 57, "57", "57"),
    ("trim", ("name",), (), "  x ", "x", "x"),
    ("collapse_ws", ("name",), (), " a \n b ", "a b", "a b"),
    ("lower", ("name",), (), "A@B", "a@b", "a@b"),
    ("upper", ("name",), (), "de1", "DE1", "DE1"),
    ("not", ("is_company",), (), True, False, True),
    ("odoo_false_null", ("name",), (), "x", "x", "x"),
    ({"map": {"pairs": {"Yes": True, "No": False}}}, ("is_company",), (), "No", False, "No"),
    ({"map": {"pairs": {True: "inactive", False: "active"}}}, ("status",), (), True, "inactive", True),
    ({"map": {"pairs": {"A": "other", "B": "other"}, "write": {"other": "B"}}}, ("kind",), (), "A", "other", "B"),
    ({"code": {"of": "currency"}}, ("currency",), (), {"id": "901", "refName": "Euro"}, "EUR", "901"),
    ({"code": {"of": "currency"}}, ("currency",), (), [902, "US Dollar"], "USD", "902"),
    ({"code": {"of": "currency"}}, ("currency",), (), 901, "EUR", "901"),
    ("country", ("billing.country_code",), (), "Deutschland", "DE", "Germany"),
    ({"region": {"country": "billing.country_code"}}, ("billing.region",), ("DE",), "Bayern", "BY", "BY"),
    ({"region": {"country": "billing.country_code"}}, ("billing.region",), ("DE",), "Somewhere", "Somewhere", "Somewhere"),
    ({"region": {"country": "billing.country_code"}}, ("billing.region",), (None,), "Bayern", "Bayern", "Bayern"),
    ({"region": {"country": "billing.country_code"}}, ("billing.region",), ("US",), "california", "CA", "CA"),
    ({"phone": {"region": "DE"}}, ("phone",), ("DE",), "(030) 1234567 ext 12", "tel:+49-30-1234567;ext=12", "+49 30 1234567 ext. 12"),
    ({"phone": {"form": "rfc3966"}}, ("phone",), (None,), "+49 30 1234567", "tel:+49-30-1234567", "tel:+49-30-1234567"),
    ({"phone": {"form": "e164"}}, ("phone",), (None,), "+49 30 1234567 ext. 5", "tel:+49-30-1234567;ext=5", "+49301234567"),
    ("phone", ("phone",), (None,), "ask reception", "ask reception", "ask reception"),
    ("decimal", ("quantity",), (), "12.5", Decimal("12.5"), "12.5"),
    ({"decimal": {"scale": 2}}, ("quantity",), (), "12.5", Decimal("12.50"), "12.50"),
    ({"decimal": {"point": ",", "group": "."}}, ("quantity",), (), "1.234,5", Decimal("1234.5"), "1234,5"),
    ("decimal", ("position",), (), "7", 7, "7"),
    ({"money": {"currency": "currency"}}, ("credit_limit",), ("EUR",), "10.5", Decimal("10.50"), "10.50"),
    ({"money": {"currency": "currency"}}, ("credit_limit",), ("JPY",), "10.5", Decimal("11"), "11"),
    ({"money": {"currency": "currency", "group": ","}}, ("credit_limit",), ("KWD",), "1,234.5", Decimal("1234.500"), "1234.500"),
    ({"money": {"currency": "currency"}}, ("credit_limit",), ("EUR",), "-0.004", Decimal("0.00"), "0.00"),
    (
        {"money": {"currency": "currency"}},
        ("credit_limit",),
        ("CLF",),
        "9" * 24 + ".12345",
        Decimal("9" * 24 + ".1235"),
        "9" * 24 + ".1235",
    ),
    ("decimal", ("quantity",), (), "9" * 24 + ".1234567", Decimal("9" * 24 + ".123457"), "9" * 24 + ".123457"),
    ({"date": {"format": "%m/%d/%Y"}}, ("due_date",), (), "5/1/2026", "2026-05-01", "05/01/2026"),
    ("date", ("due_date",), (), "2026-05-01", "2026-05-01", "2026-05-01"),
    (
        {"wall_time": {"tz": "America/New_York", "format": "%m/%d/%Y %I:%M %p"}},
        ("name",),
        (),
        "5/13/2026 3:14 pm",
        "2026-05-13T19:14:00.000Z",
        "05/13/2026 03:14 PM",
    ),
    ({"wall_time": {"tz": "Europe/Berlin"}}, ("name",), (), "2026-01-15T08:00:00", "2026-01-15T07:00:00.000Z", "2026-01-15T08:00:00"),
    ("instant", ("name",), (), "2026-05-01T09:25:37.123456+0200", "2026-05-01T07:25:37.123Z", "2026-05-01T07:25:37.123Z"),
    ("utc_naive", ("name",), (), "2026-05-01 09:15:22", "2026-05-01T09:15:22.000Z", "2026-05-01 09:15:22"),
    ("formula_guard", ("name",), (), "'=SUM(A1)", "=SUM(A1)", "'=SUM(A1)"),
    ("formula_guard", ("name",), (), "=SUM(A1)", "=SUM(A1)", "'=SUM(A1)"),
    ("formula_guard", ("phone",), (), "'+49 30 1234567", "+49 30 1234567", "'+49 30 1234567"),
    ("formula_guard", ("name",), (), "'n Sync", "'n Sync", "'n Sync"),
    ("formula_guard", ("name",), (), "a=b", "a=b", "a=b"),
    ({"lines": {"n": 2}}, ("billing.line1", "billing.line2"), (), "Weg 1\r\n2. OG", ("Weg 1", "2. OG"), "Weg 1\n2. OG"),
    ({"lines": {"n": 2}}, ("billing.line1", "billing.line2"), (), "Weg 1", ("Weg 1", None), "Weg 1"),
    ({"lines": {"n": 2}}, ("billing.line1", "billing.line2"), (), "\nb", (None, "b"), "\nb"),
]


@pytest.mark.parametrize(("entry", "paths", "more", "external", "canonical", "written"), BOTH_WAYS)
def test_a_transform_reads_writes_and_reads_again_the_same(
    entry: Any, paths: tuple[str, ...], more: tuple[Any, ...], external: Any, canonical: Any, written: Any
) -> None:
    transform = made(entry, *paths)
    got = there(transform, external, *more)
    assert (got, type(got), str(got)) == (canonical, type(canonical), str(canonical))
    out = back(transform, got, *more)
    assert (out, type(out)) == (written, type(written))
    if transform.name != "phone" or "ext" not in str(canonical) or "e164" not in str(entry):
        assert there(transform, out, *more) == canonical


@pytest.mark.parametrize(
    ("entry", "value", "canonical"),
    [
        ("trim", "   ", None),
        ("collapse_ws", "\n", None),
        ("odoo_false_null", False, None),
        ("country", "  ", None),
        ("first_of_list", [], None),
        ({"map": {"pairs": {"GmbH": "customer", "n/a": None, "-": None}}}, "n/a", None),
    ],
)
def test_an_empty_value_becomes_null(entry: Any, value: Any, canonical: Any) -> None:
    assert there(made(entry, two_way=False), value) is canonical
    assert made(entry, two_way=False).nullable


@given(st.text(st.sampled_from("'=+-@\t\r\n a5"), max_size=8) | st.text(max_size=8))
def test_a_guarded_text_starts_no_formula_and_comes_back_as_it_was(text: str) -> None:
    guard = made("formula_guard")
    written = back(guard, text)
    assert written[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}
    assert there(guard, written) == text
    assert there(guard, back(guard, there(guard, text))) == there(guard, text)


REFUSED: list[tuple[Any, tuple[str, ...], tuple[Any, ...], Any]] = [
    ({"map": {"pairs": {"A": "other"}}}, ("kind",), (), "B"),
    ({"map": {"pairs": {1: "other"}}}, ("kind",), (), True),
    ({"code": {"of": "currency"}}, ("currency",), (), "999"),
    ({"code": {"of": "currency"}}, ("currency",), (), True),
    ("country", ("billing.country_code",), (), "Freedonia"),
    ("country", ("billing.country_code",), (), "Korea"),
    ("decimal", ("quantity",), (), "1,5"),
    ("decimal", ("quantity",), (), "1e5"),
    ("decimal", ("quantity",), (), "NaN"),
    ("decimal", ("quantity",), (), True),
    ("decimal", ("quantity",), (), 1.5),
    ("decimal", ("position",), (), "1.5"),
    ({"decimal": {"group": ","}}, ("quantity",), (), "1,23"),
    ({"decimal": {"group": ","}}, ("quantity",), (), "0,125"),
    ({"money": {"currency": "currency", "point": ",", "group": "."}}, ("credit_limit",), ("EUR",), "-012.500"),
    ({"money": {"currency": "currency"}}, ("credit_limit",), (None,), "10"),
    ({"date": {"format": "%m/%d/%Y"}}, ("due_date",), (), "13/05/2026"),
    ({"wall_time": {"tz": "Europe/Berlin"}}, ("name",), (), "2026-03-29T02:30:00"),
    ({"wall_time": {"tz": "Europe/Berlin"}}, ("name",), (), "2026-03-29T01:30:00Z"),
    ("instant", ("name",), (), "2026-05-01T09:25:37"),
    ("utc_naive", ("name",), (), "2026-05-01T09:25:37Z"),
    ("not", ("is_company",), (), "Yes"),
    ("str", ("name",), (), True),
    ({"lines": {"n": 2}}, ("billing.line1", "billing.line2"), (), 5),
]


@pytest.mark.parametrize(("entry", "paths", "more", "value"), REFUSED)
def test_a_transform_refuses_rather_than_guesses(entry: Any, paths: tuple[str, ...], more: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(Refused) as caught:
        there(made(entry, *paths), value, *more)
    if made(entry, *paths).name not in ("map", "code", "country"):
        assert str(value) not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "paths", "value"),
    [
        ({"map": {"pairs": {"A": "other"}}}, ("kind",), "partner"),
        ({"code": {"of": "currency"}}, ("currency",), "GBP"),
        ({"code": {"of": "term"}}, ("payment_terms",), "Net"),
        ("country", ("billing.country_code",), "ZZ"),
        ({"date": {"format": "%m/%d/%y"}}, ("due_date",), "1926-05-01"),
        ({"lines": {"n": 2}}, ("billing.line1", "billing.line2"), ("a\nb", "c")),
        ("decimal", ("quantity",), "12"),
        ("instant", ("name",), "Gamma"),
        ("instant", ("name",), "2026-05-01T09:25:37"),
        ("utc_naive", ("name",), "2026-05-01T09:25:37"),
        ({"wall_time": {"tz": "Europe/Berlin"}}, ("name",), "2026-05-01T09:25:37"),
    ],
)
def test_what_cannot_be_written_is_refused(entry: Any, paths: tuple[str, ...], value: Any) -> None:
    with pytest.raises(Refused):
        back(made(entry, *paths), value)


def test_a_moment_of_another_offset_is_written_as_the_moment_that_it_is() -> None:
    assert back(made("utc_naive", "name"), "2026-05-01T12:00:00+02:00") == "2026-05-01 10:00:00"


def test_an_unknown_option_value_is_shown_and_cut() -> None:
    with pytest.raises(Refused) as caught:
        there(made({"map": {"pairs": {"A": "other"}}}, "kind"), "Influencer" * 10)
    assert "Influencer" in str(caught.value)
    assert len(str(caught.value)) < 70


def test_join_takes_several_fields_and_gives_them_back() -> None:
    join = made({"join": {"sep": ", "}}, externals=3)
    assert there(join, ("a", None, "b")) == "a, b"
    assert back(join, "a, b") == ("a", "b", None)
    assert back(join, "a, b, c, d") == ("a", "b", "c, d")
    assert there(join, (None, "", None)) is None
    with pytest.raises(Refused):
        back(join, "a, , b")


@pytest.mark.parametrize(
    ("name", "parts"),
    [("Ada Lovelace", ("Ada", "Lovelace")), ("Lovelace, Ada", ("Ada", "Lovelace")), ("Ada", (None, "Ada")), (" A  B C ", ("A B", "C"))],
)
def test_split_name_reads_first_and_last_name(name: str, parts: tuple[str, str]) -> None:
    assert there(made("split_name", "name", "owner", two_way=False), name) == parts


@pytest.mark.parametrize(
    ("entry", "canonical", "written"),
    [
        ("date", "0999-02-03", "0999-02-03"),
        ({"date": {"format": "%d.%m.%Y"}}, "0007-02-03", "03.02.0007"),
        ({"date": {"format": "100%%Y %d/%m/%Y"}}, "0007-02-03", "100%Y 03/02/0007"),
        ({"wall_time": {"tz": "UTC", "format": "%d.%m.%Y %H:%M"}}, "0999-02-03T04:05:00.000Z", "03.02.0999 04:05"),
        ("instant", "0999-02-03T04:05:06.007Z", "0999-02-03T04:05:06.007Z"),
    ],
)
def test_a_day_of_a_year_before_1000_is_written_so_that_it_can_be_read(entry: Any, canonical: str, written: str) -> None:
    transform = made(entry)
    assert back(transform, canonical) == written
    assert there(transform, written) == canonical


def test_a_time_that_a_format_would_show_in_another_century_is_not_written() -> None:
    transform = made({"wall_time": {"tz": "UTC", "format": "%d.%m.%y %H:%M"}})
    assert back(transform, "1999-02-03T04:05:06.000Z") == "03.02.99 04:05"
    with pytest.raises(Refused, match="cannot be written"):
        back(transform, "1939-02-03T04:05:06.000Z")


def test_one_way_transforms_have_no_way_back() -> None:
    assert not made("hash").two_way
    assert not made("first_of_list").two_way
    assert there(made("hash"), "a") == there(made("hash"), "a") != there(made("hash"), "b")
    assert there(made("first_of_list"), ["x", "y"]) == "x"


def test_a_system_with_numbers_is_written_numbers() -> None:
    money = made({"money": {"currency": "currency"}}, "credit_limit", text_numbers=False)
    assert back(money, Decimal("10.5"), "EUR") == Decimal("10.50")
    assert back(made("decimal", "position", text_numbers=False), 7) == 7


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("UK", "GB"),
        ("U.S.A.", "US"),
        ("usa", "US"),
        ("Turkey", "TR"),
        ("Türkei", "TR"),
        ("Russia", "RU"),
        ("Holland", "NL"),
        ("Macau", "MO"),
        ("Kosovo", "XK"),
        ("Deutschland", "DE"),
        ("England", "GB"),
        ("Ivory Coast", "CI"),
        ("Côte d’Ivoire", "CI"),
        ("South Korea", "KR"),
        ("Viet Nam", "VN"),
        ("Czech Republic", "CZ"),
        ("DEU", "DE"),
        ("de", "DE"),
        ("ESPAÑA", "ES"),
        ("Österreich", "AT"),
        ("日本", "JP"),
        ("Guinea", "GN"),
        ("Guinea-Bissau", "GW"),
        ("Niger", "NE"),
        ("Nigeria", "NG"),
        ("Dominica", "DM"),
        ("Georgia", "GE"),
        ("XK", "XK"),
    ],
)
def test_the_names_that_people_type_are_countries(typed: str, code: str) -> None:
    assert there(made("country", "billing.country_code"), typed) == code


def test_each_country_is_written_as_a_name_that_reads_as_it_again() -> None:
    from erpcrm_bridge.mapping.transforms import _data

    country = made("country", "billing.country_code")
    names = _data("countries.json")["names"]
    assert len(names) == 250
    assert [code for code in names if there(country, back(country, code)) != code] == []


def test_each_region_code_reads_as_itself() -> None:
    from erpcrm_bridge.mapping.transforms import _data

    region = made({"region": {"country": "billing.country_code"}}, "billing.region")
    wrong = [(c, part) for c, table in _data("regions.json").items() for part in set(table.values()) if there(region, part, c) != part]
    assert wrong == []


MISUSED = [
    ("via: [trm]", "did you mean `trim`?"),
    ("via: [{map: kinds}]", "the mapping has none"),
    ("via: [{map: {pears: {A: other}}}]", "pairs, write and fallback"),
    ("via: [{map: {pairs: {A: other, B: other}}}]", "ambiguous-inverse"),
    ("via: [{phone: {from: e164}}]", "no option `from`"),
    ("via: [{phone: {form: short}}]", "international, rfc3966, e164"),
    ("via: [{phone: {region: billing.contry}}]", "neither a canonical path nor a country code"),
    ("via: [{money: {}}]", "needs the option `currency`"),
    ("via: [{money: {currency: EURO}}]", "neither a canonical path nor a currency"),
    ("via: [{decimal: {scale: x}}]", "not a whole number"),
    ("via: [{decimal: {scale: 20}}]", "from 0 to 12"),
    ('via: [{decimal: {point: ",", group: ","}}]', "another than `group`"),
    ('via: [{date: {format: "%Y"}}]', "does not tell a day"),
    ("via: [{wall_time: {tz: Europe/Berlln}}]", "not a time zone"),
    ('via: [{wall_time: {tz: UTC, format: "%d.%m.%Y"}}]', "does not tell a time"),
    ('via: [{wall_time: {tz: UTC, format: "%d.%m.%Y %I:%M"}}]', "does not tell a time"),
    ('via: [{wall_time: {tz: UTC, format: "%d.%m.%Y %H"}}]', "does not tell a time"),
    ("via: [{code: {of: region, country: Germany}}]", "neither a canonical path nor a country"),
    ("via: [{lines: {n: 2}}]", "stands on 1 canonical paths"),
    ("via: [split_name]", "two canonical paths"),
    ("via: [join]", "two or more external fields"),
    ("via: [hash]", "one-way"),
    ("via: [{formula_guard: {as: text}}]", "no option `as`"),
    ("via: [{trim: {x: 1}, lower: {}}]", "names one transform"),
    ("via: [{region: {country: billing.country_code}}]", "which no rule here reads"),
]


@pytest.mark.parametrize(("keys", "words"), MISUSED)
def test_a_misused_transform_is_complained_of_where_it_stands(compiled: Callable[..., CompiledMapping], keys: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compiled(f"\n  website: {{external: Website}}\n  kind: {{external: Type, {keys}}}\n")
    (complaint,) = caught.value.complaints
    assert words in str(complaint)
    assert complaint.line == 10
    assert complaint.column > 1


def test_a_number_behind_a_formula_guard_is_complained_of() -> None:
    with pytest.raises(Misused, match="a negative one would go out as text"):
        made("formula_guard", "credit_limit")


def test_a_parked_country_parks_what_needs_it_and_spares_an_international_number(compiled: Callable[..., CompiledMapping]) -> None:
    one = compiled("""
  phone: {external: Phone, via: [{phone: {region: billing.country_code}}]}
  billing.region: {external: State, via: [{region: {country: billing.country_code}}]}
  billing.country_code: {external: Country, via: [country]}
""")
    errors: list[FieldError] = []
    got = one.get({"Phone": "+49 30 1234567", "State": "Bayern", "Country": "Freedonia"}, {}, errors)
    assert got == {"phone": "tel:+49-30-1234567"}
    assert [error.path for error in errors] == ["billing.country_code", "billing.region"]
    assert errors[1].reason == "it needs `billing.country_code`, which could not be read: 'Freedonia' is not a country"
    errors.clear()
    assert one.get({"Phone": "030 1234567", "Country": "Freedonia"}, {}, errors) == {}
    assert [error.path for error in errors] == ["billing.country_code", "phone"]
