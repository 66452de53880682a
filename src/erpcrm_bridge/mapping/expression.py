"""Expressions: a closed subset of Python expressions, checked node by node and turned into source for the generated functions.

    literal | path | not e | -e | e (+ - * /) e | e (== != < <= > >= in not in is is not) e | e and/or e
    | a if c else b | [e, ...] | f(e, ...)

A path is a name or dotted names; ``field('Any Name')`` reads a field whose name is no word. Numbers are exact: a literal or value with a
point is a Decimal, a quotient too. No loops, attributes, subscripts or powers; at most 1,000 characters, 200 nodes, 40 deep; text results
of at most 10,000 characters. An expression reads its record and changes nothing.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, DecimalException
from typing import Any

from erpcrm_bridge.model.values import LONGEST

MAX_CHARS = 1_000
MAX_NODES = 200
MAX_DEPTH = 40
MAX_TEXT = 10_000
MAX_PARTS = 1_000
_DIGITS = 30


class Refused(ValueError):
    """A value that a rule does not take. Its text is safe to print: it holds no value of a customer's record."""


class NotAnExpression(ValueError):
    """The text is no expression of this language; the message says where it leaves it."""


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        if not -40 < value.adjusted() < 40:
            raise Refused("the number is too long for text")
        return format(value, "f")
    if isinstance(value, (str, int)):
        return str(value)
    raise Refused("text() takes a single value")


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise Refused("text was expected")
    return value


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise Refused("a number was expected")
    return value


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise Refused(f"the result is longer than {MAX_TEXT} characters")
    return text


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused("a whole number was expected")
    return value


def _number(value: Any) -> Decimal | int | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        return _exact(value)  # type: ignore[no-any-return]  # an int or a Decimal
    try:
        number = Decimal(value.strip()) if len(value) <= _DIGITS * 2 else Decimal("nan")
    except DecimalException:
        raise Refused("the text is not a number") from None
    if not number.is_finite() or abs(number.adjusted()) >= LONGEST:
        raise Refused("the text is not a number")
    return number


def _round(value: Any, digits: Any = 0) -> Decimal | None:
    if value is None:
        return None
    if not 0 <= _whole(digits) <= 12:
        raise Refused("round() takes 0 to 12 digits")
    return Decimal(_exact(value)).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)


def _has(value: Any, part: Any) -> bool:
    if value is None:
        return False
    return part in (value if isinstance(value, list) else _string(value))


def _at(value: Any, index: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, list):
        raise Refused("at() takes a list")
    return value[index] if -len(value) <= _whole(index) < len(value) else None


def _split(value: Any, part: Any) -> list[str] | None:
    if value is None:
        return None
    parts = _string(value).split(_string(part), MAX_PARTS)
    if len(parts) > MAX_PARTS:
        raise Refused(f"the text has more than {MAX_PARTS} parts")
    return parts


def _none(apply: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else apply(_string(value))


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return _bounded(left + right)
    return _exact(left) + _exact(right)


def _divide(left: Any, right: Any) -> Decimal:
    return Decimal(_exact(left)) / Decimal(_exact(right))


# Name: function, fewest and most arguments.
FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "text": (_text, 1, 1),
    "lower": (_none(str.lower), 1, 1),
    "upper": (_none(str.upper), 1, 1),
    "trim": (_none(str.strip), 1, 1),
    "len": (lambda value: 0 if value is None else len(value if isinstance(value, list) else _string(value)), 1, 1),
    "coalesce": (lambda *values: next((v for v in values if v is not None and v != ""), None), 1, 20),
    "left": (lambda value, n: None if value is None else _string(value)[: max(_whole(n), 0)], 2, 2),
    "right": (lambda value, n: None if value is None else _string(value)[max(len(value) - max(_whole(n), 0), 0) :], 2, 2),
    "starts": (lambda value, part: value is not None and _string(value).startswith(_string(part)), 2, 2),
    "ends": (lambda value, part: value is not None and _string(value).endswith(_string(part)), 2, 2),
    "has": (_has, 2, 2),
    "number": (_number, 1, 1),
    "round": (_round, 1, 2),
    "split": (_split, 2, 2),
    "at": (_at, 2, 2),
    "min": (lambda *values: min((v for v in values if v is not None), default=None), 1, 20),
    "max": (lambda *values: max((v for v in values if v is not None), default=None), 1, 20),
    "abs": (lambda value: None if value is None else abs(_exact(value)), 1, 1),
}
# What operators become; + - * / are calls, so that text stays bounded and numbers exact.
OPERATORS: dict[str, Callable[..., Any]] = {
    "op_add": _add,
    "op_sub": lambda left, right: _exact(left) - _exact(right),
    "op_mul": lambda left, right: _exact(left) * _exact(right),
    "op_div": _divide,
    "op_neg": lambda value: -_exact(value),
}
NAMES: dict[str, Any] = {f"f_{name}": function for name, (function, _, _) in FUNCTIONS.items()} | OPERATORS | {"Decimal": Decimal}
"""What a generated function must find under these names."""

_BINARY = {ast.Add: "op_add", ast.Sub: "op_sub", ast.Mult: "op_mul", ast.Div: "op_div"}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
WORDS = {"true": True, "false": False, "null": None}
"""Names that are values, as they stand in YAML."""


@dataclass(frozen=True, slots=True)
class Expression:
    """``source`` is Python over NAMES; ``reads`` are the paths it reads, in order of appearance."""

    source: str
    reads: tuple[str, ...]


def parse(text: str, read: Callable[[str], str]) -> Expression:
    """Return the expression in ``text``; ``read`` gives the source that reads a path. Raises NotAnExpression."""
    if len(text) > MAX_CHARS:
        raise NotAnExpression(f"longer than {MAX_CHARS} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError, Warning):
        raise NotAnExpression("not an expression: check quotes, brackets and operators") from None
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise NotAnExpression(f"more than {MAX_NODES} parts")
    writer = _Writer(read)
    source = writer.write(tree.body, 0)
    return Expression(source, tuple(dict.fromkeys(writer.reads)))


class _Writer:
    def __init__(self, read: Callable[[str], str]) -> None:
        self.read = read
        self.reads: list[str] = []

    def write(self, node: ast.expr, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise NotAnExpression(f"more than {MAX_DEPTH} deep")
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise NotAnExpression(f"{type(node).__name__} is not part of the language")
        return f"({method(node, depth + 1)})"

    def _constant(self, node: ast.Constant, _depth: int) -> str:
        value = node.value
        if value is None or isinstance(value, bool):
            return repr(value)
        if isinstance(value, str):
            return ascii(value)
        if isinstance(value, int) and abs(value) < 10**_DIGITS:
            return repr(value)
        if isinstance(value, float) and abs(value) < 10**_DIGITS:
            return f"Decimal({repr(value)!r})"
        raise NotAnExpression("a literal is text, a number, true, false or null")

    def _name(self, node: ast.Name, _depth: int) -> str:
        if node.id in WORDS:
            return repr(WORDS[node.id])
        return self._path(node.id)

    def _attribute(self, node: ast.Attribute, _depth: int) -> str:
        parts = [node.attr]
        inner = node.value
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            raise NotAnExpression("only names have dotted parts")
        return self._path(".".join([inner.id, *reversed(parts)]))

    def _path(self, path: str) -> str:
        self.reads.append(path)
        return self.read(path)

    def _unaryop(self, node: ast.UnaryOp, depth: int) -> str:
        if isinstance(node.op, ast.Not):
            return f"not {self.write(node.operand, depth)}"
        if isinstance(node.op, ast.USub):
            return f"op_neg({self.write(node.operand, depth)})"
        raise NotAnExpression("of signs only - and not are part of the language")

    def _binop(self, node: ast.BinOp, depth: int) -> str:
        name = _BINARY.get(type(node.op))
        if name is None:
            raise NotAnExpression("of operators only + - * / are part of the language")
        return f"{name}({self.write(node.left, depth)}, {self.write(node.right, depth)})"

    def _boolop(self, node: ast.BoolOp, depth: int) -> str:
        word = " and " if isinstance(node.op, ast.And) else " or "
        return word.join(self.write(value, depth) for value in node.values)

    def _compare(self, node: ast.Compare, depth: int) -> str:
        parts = [self.write(node.left, depth)]
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, (ast.Is, ast.IsNot)):
                if not self._is_word(right):
                    raise NotAnExpression("`is` takes None, True or False")
                parts.append("is not" if isinstance(operator, ast.IsNot) else "is")
            else:
                parts.append(_COMPARE[type(operator)])
            parts.append(self.write(right, depth))
        return " ".join(parts)

    @staticmethod
    def _is_word(node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in WORDS
        return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))

    def _ifexp(self, node: ast.IfExp, depth: int) -> str:
        return f"{self.write(node.body, depth)} if {self.write(node.test, depth)} else {self.write(node.orelse, depth)}"

    def _list(self, node: ast.List, depth: int) -> str:
        return f"[{', '.join(self.write(item, depth) for item in node.elts)}]"

    def _call(self, node: ast.Call, depth: int) -> str:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise NotAnExpression("a call is a name with values in brackets")
        name = node.func.id
        if name == "field":
            if len(node.args) != 1 or not isinstance(node.args[0], ast.Constant) or not isinstance(node.args[0].value, str):
                raise NotAnExpression("field() takes one name in quotes")
            self.reads.append(node.args[0].value)
            return self.read(node.args[0].value)
        if name not in FUNCTIONS:
            raise NotAnExpression(f"there is no function {name}(); there are {', '.join(sorted(FUNCTIONS))}")
        _, fewest, most = FUNCTIONS[name]
        if not fewest <= len(node.args) <= most:
            raise NotAnExpression(f"{name}() takes {fewest if fewest == most else f'{fewest} to {most}'} values, not {len(node.args)}")
        return f"f_{name}({', '.join(self.write(argument, depth) for argument in node.args)})"
