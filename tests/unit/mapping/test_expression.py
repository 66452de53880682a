"""The expressions: exact, bounded, and nothing outside the allow-list gets through."""

from __future__ import annotations

import ast
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erpcrm_bridge.mapping.expression import MAX_TEXT, NAMES, NotAnExpression, Refused, parse

BUILTINS: dict[str, Any] = {"__builtins__": {}}


def work_out(text: str, record: dict[str, Any]) -> Any:
    source = parse(text, lambda path: f"record[{path!r}]").source
    return eval(source, {**NAMES, **BUILTINS, "record": record})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'inactive' if Active__c == 'No' else 'active'", "inactive"),
        ("billing.city + ', ' + upper(name)", "Bonn, ACME"),
        ("amount * 3", Decimal("0.30")),
        ("1 / 4", Decimal("0.25")),
        ("0.1 + 0.2", Decimal("0.3")),
        ("-amount", Decimal("-0.10")),
        ("nothing is null", True),
        ("nothing is not None and true", False),
        ("coalesce(nothing, empty, name)", "acme"),
        ("name in ['acme', 'x'] and not has(name, 'z')", True),
        ("1 < 2 <= 2", True),
        ("at(split(name, 'c'), -1)", "me"),
        ("at(split(name, 'c'), 9)", None),
        ("left(name, 2) + right(name, 1) + right(name, 0)", "ace"),
        ("starts(nothing, 'a')", False),
        ("round(2.345, 2)", Decimal("2.35")),
        ("number('12.50')", Decimal("12.50")),
        ("len(nothing) + len(name)", 4),
        ("min(3, nothing, 2)", 2),
        ("abs(number('-7'))", Decimal(7)),
        ("text(amount) + text(true)", "0.10true"),
        ("field('Company Name')", "With spaces"),
        ("lower(nothing)", None),
        ("ends(name, 'me')", True),
        ("max(1, 2)", 2),
        ("trim('  x ')", "x"),
    ],
)
def test_an_expression_gives(text: str, value: Any) -> None:
    record = {
        "Active__c": "No",
        "billing.city": "Bonn",
        "name": "acme",
        "amount": Decimal("0.10"),
        "nothing": None,
        "empty": "",
        "Company Name": "With spaces",
    }
    found = work_out(text, record)
    assert found == value
    assert type(found) is type(value)


def test_its_reads_are_told_once_each_in_order() -> None:
    assert parse("b.c == a and field('x y') or b.c", repr).reads == ("b.c", "a", "x y")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "name.upper()",
        "name['x']",
        "(lambda: 1)()",
        "[x for x in name]",
        "{1: 2}",
        "{1}",
        "f'{name}'",
        "2 ** 9",
        "2 % 3",
        "1 // 2",
        "a @ b",
        "~1",
        "+1",
        "a & b",
        "(x := 1)",
        "upper(*name)",
        "upper(name, key=1)",
        "upper()",
        "field(name)",
        "b'x'",
        "1j",
        "...",
        "x is y",
        "'a' 'b' if",
        "yield",
        "await x",
        "f().x",
        "1e999",
        "9" * 40,
        "a; b",
        "",
        "'x' * ('y' if",
        r"'\d'",
    ],
)
def test_what_is_not_in_the_language_is_refused(text: str) -> None:
    with pytest.raises(NotAnExpression):
        parse(text, repr)


@pytest.mark.parametrize(
    "text", ["'x' * 3", "true + 1", "[1] + [2]", "1 + 'x'", "null + 'x'", "round(1, 99)", "number('nan')", "number('1e400')", "upper(1)"]
)
def test_values_that_an_operation_does_not_take_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        work_out(text, {})


def test_text_does_not_grow_without_bound() -> None:
    with pytest.raises(Refused):
        work_out("a + a", {"a": "x" * MAX_TEXT})


@pytest.mark.parametrize(
    "text", ["a" * 1001, " or ".join("a" * 90) + " or (1 == 1)" * 30, "not " * 45 + "a", "-" * 200 + "1", "(" * 300 + "1" + ")" * 300]
)
def test_long_wide_and_deep_ones_are_refused(text: str) -> None:
    with pytest.raises(NotAnExpression):
        parse(text, repr)


PIECES = st.sampled_from(
    [
        "a",
        "b.c",
        "name",
        "1",
        "0.5",
        "'x'",
        "''",
        "(",
        ")",
        "[",
        "]",
        ",",
        "+",
        "-",
        "*",
        "/",
        "==",
        "!=",
        "<",
        "<=",
        "in",
        "not",
        "and",
        "or",
        "if",
        "else",
        "is",
        "None",
        "True",
        ".",
        "**",
        "%",
        "lambda",
        ":",
        "upper(",
        "split(",
        "at(",
        "left(",
        "field(",
        "__class__",
        "__import__",
        "text(",
        "round(",
        "number(",
        "len(",
        "{0}",
        "{{",
        "}}",
        ";",
        "@",
        ":=",
        "f'{a}'",
        "b''",
        "\\",
        "\n",
        "\t",
        "#",
        "=",
        "eval(",
        "open(",
        "9999999999",
        "1e300",
    ]
)
ALLOWED_NODES = (
    ast.Expression,
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.UnaryOp,
    ast.Not,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.Compare,
    ast.cmpop,
    ast.IfExp,
    ast.List,
    ast.Call,
    ast.Subscript,
    ast.USub,
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Grow valid-looking expressions, so that many are accepted and worked out."""
    pair = st.tuples(inner, inner)
    words = st.sampled_from(["+", "-", "*", "/", "==", "!=", "<", "in", "not in", "and", "or", "is", "**", "%"])
    names = st.sampled_from(["upper", "text", "number", "len", "abs", "split", "coalesce", "round", "has", "field", "eval"])
    return st.one_of(
        st.tuples(inner, words, inner).map(" ".join),
        pair.map("({0[0]}) if ({0[1]}) else 1".format),
        pair.map("[{0[0]}, {0[1]}]".format),
        st.tuples(names, inner).map("{0[0]}({0[1]})".format),
        st.tuples(names, inner, inner).map("{0[0]}({0[1]}, {0[2]})".format),
        inner.map("not ({})".format),
        inner.map("-({})".format),
    )


LEAVES = st.sampled_from(["a", "b.c", "name", "1", "0.5", "'x'", "None", "true", "99999999", "'abc'"])


@settings(max_examples=1500, derandomize=True, database=None, deadline=None)
@given(st.lists(PIECES, max_size=14).map(" ".join) | st.recursive(LEAVES, grown, max_leaves=20))
def test_no_text_escapes_the_allow_list_changes_its_record_or_hangs(text: str) -> None:
    record: dict[str, Any] = {"a": "abc", "b.c": Decimal("2.5"), "name": ["x", "y"]}
    try:
        source = parse(text, lambda path: f"record[{path!r}]").source
    except NotAnExpression:
        return
    for node in ast.walk(ast.parse(source, mode="eval")):
        assert isinstance(node, ALLOWED_NODES), text
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            assert node.func.id in NAMES
        if isinstance(node, ast.Subscript):
            assert isinstance(node.value, ast.Name)
            assert node.value.id == "record"
            assert isinstance(node.slice, ast.Constant)
    start = time.process_time()
    try:
        eval(source, {**NAMES, **BUILTINS, "record": record})
    except (NameError, RecursionError, MemoryError):
        raise
    except Exception:
        assert record
    assert time.process_time() - start < 0.5
    assert record == {"a": "abc", "b.c": Decimal("2.5"), "name": ["x", "y"]}
