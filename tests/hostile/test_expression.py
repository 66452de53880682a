"""The expression language under attack: nothing of Python is reached through it, it ends soon, and it changes nothing."""

from __future__ import annotations

import ast
import tracemalloc
import unicodedata
from contextlib import suppress
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch import NASTY_TEXTS, searched, soon

from erpcrm_bridge.mapping.expression import MAX_PARTS, NAMES, NotAnExpression, Refused, parse

ALLOWED = {
    "Expression",
    "BoolOp",
    "And",
    "Or",
    "UnaryOp",
    "Not",
    "Compare",
    "Eq",
    "NotEq",
    "Lt",
    "LtE",
    "Gt",
    "GtE",
    "In",
    "NotIn",
    "Is",
    "IsNot",
    "IfExp",
    "Call",
    "Name",
    "Load",
    "Constant",
    "List",
    "Subscript",
}
RECORD: dict[str, Any] = {
    "a": "text",
    "b": 10**29,
    "c": Decimal("1e300"),
    "d": None,
    "e": ["x", ["y", {"z": 1}]],
    "f.g": "x" * 100_000,
    "name": "\u202e\0\ud800",
    "__class__": "only text",
    "t": True,
    "n": Decimal("NaN"),
}


def source_of(text: str) -> str:
    return parse(text, lambda path: f"record[{path!r}]").source


def assert_closed(source: str) -> None:
    """The source is one expression over the language's own functions and the record by constant name."""
    for node in ast.walk(ast.parse(source, mode="eval")):
        assert type(node).__name__ in ALLOWED, source
        if isinstance(node, ast.Name):
            assert node.id in NAMES or node.id == "record", source
        if isinstance(node, ast.Subscript):
            assert isinstance(node.value, ast.Name)
            assert node.value.id == "record"
            assert isinstance(node.slice, ast.Constant)


def work_out(text: str, record: dict[str, Any]) -> Any:
    """Return the value, or the exception that a generated function would catch."""
    source = source_of(text)
    assert_closed(source)
    try:
        return eval(source, {**NAMES, "__builtins__": {}, "record": record})
    except Exception as error:
        return error


NODES = st.recursive(
    st.sampled_from(
        [ast.Name(name, ast.Load()) for name in ("a", "b", "c", "d", "e", "name", "t", "n", "true", "null", "__class__", "exec")]
    )
    | st.sampled_from([ast.Constant(value) for value in ("x", "", 2, 10**20, 0.5, True, None, b"x", 1j, ...)]),
    lambda inner: st.one_of(
        st.builds(ast.BinOp, inner, st.sampled_from([kind() for kind in ast.operator.__subclasses__()]), inner),
        st.builds(ast.UnaryOp, st.sampled_from([kind() for kind in ast.unaryop.__subclasses__()]), inner),
        st.builds(ast.BoolOp, st.sampled_from([ast.And(), ast.Or()]), st.lists(inner, min_size=2, max_size=3)),
        st.builds(
            lambda left, op, right: ast.Compare(left, [op], [right]),
            inner,
            st.sampled_from([kind() for kind in ast.cmpop.__subclasses__()]),
            inner,
        ),
        st.builds(ast.IfExp, inner, inner, inner),
        st.builds(lambda items: ast.List(items, ast.Load()), st.lists(inner, max_size=3)),
        st.builds(
            lambda name, values: ast.Call(ast.Name(name, ast.Load()), values, []),
            st.sampled_from([name.removeprefix("f_") for name in NAMES] + ["field", "exec", "getattr", "__import__"]),
            st.lists(inner, max_size=3),
        ),
        st.builds(lambda value, name: ast.Attribute(value, name, ast.Load()), inner, st.sampled_from(["x", "__class__", "upper", "mro"])),
        st.builds(lambda value, key: ast.Subscript(value, key, ast.Load()), inner, inner),
        st.builds(lambda body: ast.Lambda(ast.arguments([], [], None, [], [], None, []), body), inner),
        st.builds(lambda value: ast.NamedExpr(ast.Name("a", ast.Store()), value), inner),
        st.builds(lambda items: ast.Tuple(items, ast.Load()), st.lists(inner, max_size=2)),
        st.builds(ast.Set, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda key, value: ast.Dict([key], [value]), inner, inner),
        st.builds(lambda value: ast.JoinedStr([ast.FormattedValue(value, -1, None)]), inner),
        st.builds(lambda value: ast.Starred(value, ast.Load()), inner),
        st.builds(ast.Await, inner),
        st.builds(ast.Yield, inner),
        st.builds(ast.YieldFrom, inner),
        st.builds(
            lambda kind, element, over: kind(element, [ast.comprehension(ast.Name("i", ast.Store()), over, [], 0)]),
            st.sampled_from([ast.ListComp, ast.SetComp, ast.GeneratorExp]),
            inner,
            inner,
        ),
    ),
    max_leaves=8,
)


@searched
@given(node=NODES)
def test_every_kind_of_python_expression_is_refused_or_closed(node: ast.expr) -> None:
    try:
        text = ast.unparse(ast.fix_missing_locations(ast.Expression(node)))
    except ValueError:
        return
    before = deepcopy(RECORD)
    with soon(2):
        try:
            found = work_out(text, RECORD)
        except NotAnExpression:
            return
    assert str(RECORD) == str(before)
    assert not callable(found) or isinstance(found, Exception)


TOKENS = [
    *"abcden()[]+-*/,.<>='\" ",
    "not ",
    " in ",
    " is ",
    " and ",
    " or ",
    " if ",
    " else ",
    "split",
    "field",
    "text",
    "lambda ",
    "__class__",
]


@searched
@given(text=st.lists(st.sampled_from(TOKENS), max_size=30).map("".join) | st.text(max_size=40) | st.sampled_from(NASTY_TEXTS))
def test_any_text_is_refused_or_closed(text: str) -> None:
    with soon(2), suppress(NotAnExpression):
        assert_closed(source_of(text))


FORBIDDEN = ["__import__", "eval", "exec", "open", "getattr", "globals", "compile", "vars", "type", "op_add", "f_text", "Decimal", "record"]


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("dressed", [str, lambda name: "".join(chr(0x1D41A + ord(c) - 97) if c.islower() else c for c in name)])
def test_a_name_that_normalises_to_a_forbidden_one_is_a_field_or_refused(name: str, dressed: Any) -> None:
    text = dressed(name)
    assert unicodedata.normalize("NFKC", text) == name
    with pytest.raises(NotAnExpression):
        parse(f"{text}('x')", repr)
    assert parse(text, lambda path: f"record[{path!r}]").source == f"(record[{name!r}])"


@pytest.mark.parametrize("path", ["a.__class__", "a.__class__.__mro__", "__builtins__.eval", "a.upper", "f_text.__globals__"])
def test_dotted_names_are_names_of_fields(path: str) -> None:
    assert source_of(path) == f"(record[{path!r}])"
    with pytest.raises(NotAnExpression):
        parse(f"{path}()", repr)


@pytest.mark.parametrize("text", NASTY_TEXTS)
def test_a_field_may_have_any_name_and_text_any_content(text: str) -> None:
    for expression in (f"field({text!r})", f"{text!r}", f"has({text!r}, {text!r})"):
        try:
            assert_closed(source_of(expression))
        except NotAnExpression:
            assert len(expression) > 1_000
    if len(text) < 900:
        assert work_out(f"field({text!r})", {text: "here"}) == "here"


HUGE = [
    "*".join(["b"] * 35),
    "*".join(["c"] * 35),
    "b" + "*b" * 35 + "/b",
    "+".join(["(a+a)"] * 18),
    "split(f.g, 'x')",
    "[" + ", ".join(["split(f.g, 'x')"] * 20) + "]",
    "text(" + "*".join(["b"] * 34) + ")",
    "round(c * c, 12)",
    "number('1e999999999')",
    "round(number('1e999999999'), 12)",
    "text(number('1e999999999'))",
    "number('1e999999999') * number('1e999999999')",
    "-number('1e999999999') + 1",
    "1 / number('1e-999999999')",
    "left(f.g, " + "9" * 29 + ")",
    "right(f.g, " + "9" * 29 + ")",
    "at(e, -" + "9" * 29 + ")",
    "round(1, " + "9" * 29 + ")",
    "has(f.g, f.g)",
    "number(f.g)",
    "number(name)",
    "min(" + ", ".join(["b"] * 20) + ")",
    "c < n",
    "n == n and n is None",
    "0 / 0",
]


@pytest.mark.parametrize("text", HUGE)
def test_a_small_expression_takes_neither_long_nor_much_memory(text: str) -> None:
    tracemalloc.start()
    try:
        with soon(2):
            work_out(text, RECORD)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


def test_a_text_of_many_parts_is_refused() -> None:
    assert len(work_out("split(a, ',')", {"a": "," * (MAX_PARTS - 1)})) == MAX_PARTS
    assert isinstance(work_out("split(a, ',')", {"a": "," * MAX_PARTS}), Refused)


def test_an_escape_would_be_seen() -> None:
    with pytest.raises(AssertionError):
        assert_closed("record['a'].__class__")
    with pytest.raises(AssertionError):
        assert_closed("__import__('os')")
