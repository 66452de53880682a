"""Writes the source of the generated functions: one for each mapping and direction.

Each rule is a ``try`` of its own (free on 3.11 while nothing fails); each line of it is noted with its rule and step, so that the line
number of a failure tells which transform of which rule it was. Values enter the source only as ``repr`` of checked names or as bound names.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from msgspec import Struct

from erpcrm_bridge.mapping import expression
from erpcrm_bridge.mapping.expression import Refused
from erpcrm_bridge.mapping.pause import Pause
from erpcrm_bridge.mapping.rules import Part, Plan, World, document_scope, line_scope
from erpcrm_bridge.mapping.transforms import Argument, Transform
from erpcrm_bridge.model.fields import FieldSpec
from erpcrm_bridge.model.kinds import COMMONLY

READ = "read"
CANONICAL = "canonical form"
OVERFLOW = "overflow"
REFERENCE = "ref"
PAUSED = "paused"
_KIND = {
    "text": "text",
    "amount": "an exact number",
    "decimal": "an exact number",
    "integer": "a whole number",
    "boolean": "true or false",
    "date": "a date as YYYY-MM-DD",
    "instant": "an instant in UTC",
    "choice": "one of the field's values",
    "reference": "a key",
    "currency": "a currency of ISO 4217",
    "country": "a country of ISO 3166-1",
    "custom": "a single value",
}
# Transforms whose result is in canonical form already.
_SURE = {
    ("date", "date"),
    ("instant", "instant"),
    ("utc_naive", "instant"),
    ("wall_time", "instant"),
    ("money", "amount"),
    ("decimal", "amount"),
    ("decimal", "decimal"),
    ("decimal", "integer"),
    ("country", "country"),
    ("not", "boolean"),
}


class FieldError(Struct):
    """A field that could not be mapped. ``reason`` holds no value except an unknown code of a table; ``line`` is that of the generated
    source. ``reference`` is (entity, key) of a reference that is not linked yet. ``foreseen``: the rule refuses the value; otherwise it was
    not made for what it met. ``paused``: nothing is wrong with the value, and the system does not offer the field."""

    path: str
    rule: str
    reason: str
    transform: str | None = None
    reference: tuple[str, str] | None = None
    line: int = 0
    foreseen: bool = True
    paused: bool = False


class Paused(Refused):
    """A field that its system does not offer as it was pinned."""


class Unlinked(Refused):
    """A reference whose target is not linked."""

    def __init__(self, entity: str, key: str) -> None:
        super().__init__(f"its {entity} is not linked yet")
        self.reference = (entity, key)


class Needs(Refused):
    """A field that is read with another one, which could not be read itself."""

    def __init__(self, path: str) -> None:
        super().__init__(f"it needs `{path}`, which could not be read")
        self.path = path


def _unlinked(entity: str, key: Any) -> None:
    raise Unlinked(entity, str(key))


def _paused(why: str) -> None:
    raise Paused(f"paused: {why}")


def _too_long(limit: int) -> None:
    raise Refused(f"longer than the {limit} characters that the field holds")


def _no_choice() -> None:
    raise Refused("not one of the field's values")


def _needs(path: str) -> None:
    raise Needs(path)


def _undeclared(name: str) -> None:
    raise Refused(f"the connection declares no {name.removeprefix('$connection.')}")


def _single(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        raise Refused("the expression gives no single value")
    return value


def _cut(text: Any, limit: int) -> Any:
    """Return text cut to ``limit``; characters beyond the first plane count twice, as in systems that count UTF-16 units."""
    if not isinstance(text, str) or 2 * len(text) <= limit:
        return text
    cut = text[:limit]
    while len(cut) + sum(ord(c) > 0xFFFF for c in cut) > limit:
        cut = cut[:-1]
    return cut if cut == text else cut.rstrip()


def dig(record: Mapping[str, Any], parts: Sequence[Part]) -> Any:
    """Return the value at a nested path; null where an object on the way is null, or no element has the flag. Raises KeyError where it is
    not said, Refused where several elements have the flag."""
    value: Any = record
    for part in parts:
        if value is None:
            return None
        value = value[part] if part.__class__ is str else _element(value[part[0]], part[0], part[1])
    return value


def _element(elements: Any, name: str, flag: str) -> Any:
    found = [element for element in elements or () if element.get(flag) is True]
    if len(found) > 1:
        raise Refused(f"{len(found)} elements of {name} have {flag}: it is in doubt which is meant")
    return found[0] if found else None


def dig_or(record: Mapping[str, Any], parts: Sequence[Part], absent: Any) -> Any:
    try:
        return dig(record, parts)
    except (KeyError, TypeError):
        return absent


def put_in(written: dict[str, Any], known: Mapping[str, Any], parts: Sequence[Part], value: Any) -> None:
    """Set a nested value. What it stands in is written whole, as it is known, so that an element keeps its own key; where no element has
    the flag, one is made that has."""
    top = parts[0] if parts[0].__class__ is str else parts[0][0]
    if top not in written:
        written[top] = deepcopy(known.get(top))
    at: Any = written
    for part in parts[:-1]:
        name = part if part.__class__ is str else part[0]
        inner = at.get(name)
        if part.__class__ is str:
            if inner is None:
                inner = at[name] = {}
        else:
            if inner is None:
                at[name] = []
            inner = _element(at[name], name, part[1])
            if inner is None:
                inner = {part[1]: True}
                at[name].append(inner)
        at = inner
    at[parts[-1]] = value


_HELPERS: dict[str, Any] = {
    "unlinked": _unlinked,
    "paused": _paused,
    "too_long": _too_long,
    "no_choice": _no_choice,
    "needs": _needs,
    "undeclared": _undeclared,
    "single": _single,
    "cut": _cut,
    "dig": dig,
    "dig_or": dig_or,
    "put_in": put_in,
    "Refused": Refused,
    "A": object(),
    "E": {},
}
_BUILTINS = {"Exception": Exception, "len": len, "str": str, "None": None}


class Source:
    """The lines of one generated function, with what each is for."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.lines: list[str] = []
        self.steps: dict[int, tuple[Plan, str]] = {}
        self.plan: Plan | None = None
        self.namespace: dict[str, Any] = {**_HELPERS, **expression.NAMES, "__builtins__": _BUILTINS, "fail": self._fail}

    def add(self, indent: int, line: str, plan: Plan | None = None, step: str = "") -> None:
        self.lines.append("    " * indent + line)
        if (plan := plan or self.plan) is not None:
            self.steps[len(self.lines)] = (plan, step)

    def bind(self, prefix: str, value: Any) -> str:
        """Return the name under which ``value`` is bound."""
        for name, bound in self.namespace.items():
            if bound is value and name.startswith(f"{prefix}_"):
                return name
        name = f"{prefix}_{len(self.namespace)}"
        self.namespace[name] = value
        return name

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def function(self, name: str) -> Callable[..., Any]:
        """Return the function ``name`` that the lines define; its lines show in tracebacks."""
        linecache.cache[self.name] = (len(self.text), None, self.text.splitlines(keepends=True), self.name)
        exec(compile(self.text, self.name, "exec"), self.namespace)  # noqa: S102 - checked names and bound values only
        return self.namespace[name]  # type: ignore[no-any-return]  # what exec has just defined

    def _fail(self, error: Exception, errors: list[FieldError]) -> tuple[str, ...]:
        """Note a failed rule; return the canonical paths that are now unknown. A field that was not said is no failure."""
        line = error.__traceback__.tb_lineno if error.__traceback__ else 0
        plan, step = self.steps[line]
        if step == READ and isinstance(error, KeyError):
            return ()
        reference = error.reference if isinstance(error, Unlinked) else None
        transform = step if step in {t.name for t in plan.via} else None
        reason = _reason(error, step, plan)
        if isinstance(error, Needs):
            reason += "".join(f": {cause.reason}" for cause in errors if cause.path == error.path)
        foreseen, paused = isinstance(error, Refused) or step == CANONICAL, isinstance(error, Paused)
        paths = plan.rule.about
        errors.extend(FieldError(path, plan.rule.name, reason, transform, reference, line, foreseen, paused) for path in paths)
        return paths


def _reason(error: Exception, step: str, plan: Plan) -> str:
    if isinstance(error, Refused):
        return str(error)
    if step == CANONICAL:
        return f"it is not {' or '.join(dict.fromkeys(_KIND[spec.kind] for spec in plan.fields))}"
    if step == READ and (plan.get or plan.put):
        return f"the expression cannot be worked out ({type(error).__name__})"
    return f"the value has another shape than `{step}` takes ({type(error).__name__})"


# External to canonical


def write_get(source: Source, plans: Sequence[Plan], signature: str, *, record: str, around: str | None) -> None:
    """Add the function that reads ``record`` and returns canonical values by path."""
    source.add(0, f"def get({signature}):")
    source.add(1, "o = {}")
    source.add(1, "bad = ()")
    for plan in plans:
        if plan.gets:
            source.plan = plan
            source.add(1, "try:")
            _get_rule(source, plan, record, around)
            source.add(1, "except Exception as e:")
            source.add(2, "bad += fail(e, errors)")
    source.add(1, "return o")


def _get_rule(source: Source, plan: Plan, record: str, around: str | None) -> None:
    if plan.get is not None:
        parsed = expression.parse(plan.spec.get or "", lambda path: _read(source, path, record))
        source.add(2, f"v = single({parsed.source})", plan, READ)
    elif len(plan.externals) > 1:
        source.add(2, f"v = ({', '.join(_read(source, name, record) for name in plan.externals)})", plan, READ)
    else:
        or_null = plan.fills and source.world.field_name(plan.externals[0]) not in _pause(source, plan).silent
        source.add(2, f"v = {_read(source, plan.externals[0], record, or_null=or_null)}", plan, READ)
    depth, open_ = 2, False
    for transform in plan.via:
        if not open_:
            source.add(depth, "if v is not None:")
            depth, open_ = depth + 1, True
        _step(source, plan, transform, depth, lambda path: _canonical_in(source, plan, path, around))
        open_ = not transform.nullable
    default = f"if v is None: v = {source.bind('k', plan.default)}" if plan.fills and plan.default is not None else ""
    if plan.rule.reference:
        if default:  # it is a key, as what it stands for
            source.add(2, default)
            depth, open_, default = 2, False, ""
        source.add(depth, "if v is not None:") if not open_ else None
        depth += 0 if open_ else 1
        entity = plan.rule.reference[0]
        source.add(depth, f"t = refs.get(({entity!r}, str(v)))", plan, REFERENCE)
        source.add(depth, f"if t is None: unlinked({entity!r}, v)", plan, REFERENCE)
        source.add(depth, "v = t", plan, REFERENCE)
    if len(plan.fields) == 1:
        _canonical_form(source, plan, plan.fields[0], depth if open_ else 2, open_=open_)
        if default:
            source.add(2, default)
        keep = "if v is not None: " if plan.spec.nulls.into == "keep" else ""
        source.add(2, f"{keep}o[{plan.rule.canonical[0]!r}] = v")
        return
    names = [f"v{number}" for number in range(len(plan.fields))]
    source.add(2, f"if v is None: v = ({'None, ' * len(names)})")
    source.add(2, f"{', '.join(names)} = v", plan, "several values")
    for name, spec in zip(names, plan.fields, strict=True):
        source.add(2, f"v = {name}")
        _canonical_form(source, plan, spec, 2, open_=False)
        source.add(2, f"{name} = v")
    keeps = plan.spec.nulls.into == "keep"
    for name, path in zip(names, plan.rule.canonical, strict=True):
        source.add(2, f"{f'if {name} is not None: ' if keeps else ''}o[{path!r}] = {name}")


def _read(source: Source, name: str, record: str, *, or_null: bool = False) -> str:
    parts = source.world.parts(name)
    if len(parts) == 1:
        return f"{record}.get({name!r})" if or_null else f"{record}[{name!r}]"
    return f"dig_or({record}, {parts!r}, None)" if or_null else f"dig({record}, {parts!r})"


def _canonical_in(source: Source, plan: Plan, path: str, around: str | None) -> tuple[str, str]:
    """Return the source that reads the canonical value at ``path`` while getting, and the condition in which it is not known."""
    if around is not None and _own(source, plan, path) is None:
        return f"{around}.get({path!r})", ""
    return f"o.get({path!r})", f"if {path!r} in bad"


def _pause(source: Source, plan: Plan) -> Pause:
    return source.world.pause(_list(plan))


def _list(plan: Plan) -> str:
    """Return the list whose rule this is; empty for one of the document."""
    return str(plan.place[1]) if plan.place[0] == "lists" else ""


def _own(source: Source, plan: Plan, path: str) -> FieldSpec | None:
    spec = source.world.spec
    return (line_scope(spec, name) if (name := _list(plan)) else document_scope(spec)).own(path)


def _step(source: Source, plan: Plan, transform: Transform, depth: int, canonical: Callable[[str], tuple[str, str]]) -> None:
    argument, before = _argument(source, transform.argument, canonical)
    if before:
        alone = f" and not {source.bind('i', transform.alone)}(v)" if transform.alone else ""
        source.add(depth, f"{before}{alone}: needs({transform.argument.path!r})" if transform.argument else before, plan, transform.name)
        if transform.argument and transform.argument.path in source.world.paused:  # not said, as what it needs is not
            source.add(depth, f"if {transform.argument.path!r} not in o{alone}: o[{transform.argument.path!r}]", plan, READ)
    if transform.get_code:
        source.add(depth, f"v = {transform.get_code}", plan, transform.name)
    elif transform.of_text:
        table = source.bind("m", transform.of_text)
        source.add(
            depth, f"v = {table}[v] if v.__class__ is str and v in {table} else {source.bind('g', transform.get)}(v)", plan, transform.name
        )
    else:
        source.add(depth, f"v = {source.bind('g', transform.get)}(v{argument})", plan, transform.name)


def _argument(source: Source, argument: Argument | None, canonical: Callable[[str], tuple[str, str]]) -> tuple[str, str]:
    if argument is None:
        return "", ""
    if argument.path is None:
        return f", {argument.fixed!r}" if isinstance(argument.fixed, (str, type(None))) else f", {source.bind('k', argument.fixed)}", ""
    read, before = canonical(argument.path)
    return f", {read}", before


def _canonical_form(source: Source, plan: Plan, spec: FieldSpec, depth: int, *, open_: bool) -> None:
    last = plan.via[-1] if plan.via and len(plan.fields) == 1 else None
    if last is not None and not plan.rule.reference and _is_sure(last, spec):
        return
    if spec.kind == "reference" or (spec.kind == "choice" and not spec.choices):
        return
    if not open_:
        source.add(depth, "if v is not None:")
        depth += 1
    if spec.kind == "choice":
        source.add(depth, f"if v not in {source.bind('c', frozenset(spec.choices))}: no_choice()", plan, CANONICAL)
        return
    if spec.normalise is not None:
        normalise = f"{source.bind('n', spec.normalise)}(v)"
        if (common := COMMONLY.get(spec.normalise)) is not None:
            normalise = f"({common[1]}) if {common[0]} else {normalise}"
        elif spec.kind == "custom":
            normalise = f"v if v.__class__ is str else {normalise}"
        source.add(depth, f"v = {normalise}", plan, CANONICAL)
    if spec.max_length is not None and spec.kind == "text":
        source.add(depth, f"if v is not None and len(v) > {spec.max_length}: too_long({spec.max_length})", plan, CANONICAL)


def _is_sure(transform: Transform, spec: FieldSpec) -> bool:
    if transform.outputs is None:
        return (transform.name, spec.kind) in _SURE
    try:
        if spec.kind == "choice":
            return all(value in spec.choices for value in transform.outputs)
        return spec.normalise is not None and all(
            spec.normalise(v) == v and len(str(v)) <= (spec.max_length or 99) for v in transform.outputs
        )
    except ValueError:
        return False


# Canonical to external


def write_put(source: Source, plans: Sequence[Plan], signature: str, *, record: str, base: str, around: str | None) -> None:
    """Add the function that returns the external values to be written. It finds ``get_base(base …)`` in its namespace."""
    read = {path for plan in plans if plan.gets for path in plan.rule.canonical}
    plans = [plan for plan in plans if plan.puts]
    source.add(0, f"def put({signature}):")
    source.add(1, "w = {}")
    source.add(1, "D = None if create else A")
    source.add(1, f"s = E if {base} is None else {base}")
    if around is None:
        compared = source.bind("p", frozenset(path for plan in plans if read.intersection(plan.rule.canonical) for path in plan.touched_by))
        source.add(1, f"b = said or (get_base(s, refs, []) if s and (paths is None or not paths.isdisjoint({compared})) else E)")
    else:
        source.add(1, f"b = get_base(s, {around}, refs, []) if s else E")
    for plan in plans:
        source.plan = plan
        _put_rule(source, plan, record, around)
    source.add(1, "return w")


def _put_rule(source: Source, plan: Plan, record: str, around: str | None) -> None:
    conditions = {"always": [], "create_only": ["create"], "update_only": ["not create"]}[plan.rule.write]
    if plan.rule.state is not None:
        conditions = ["create"]
    conditions = [*conditions, _touched(source, plan)]
    depth = 1
    if conditions:
        source.add(1, f"if {' and '.join(conditions)}:")
        depth = 2
    source.add(depth, "try:")
    if plan.spec.const is not None:
        source.add(depth + 1, f"x = {source.bind('k', plan.const)}" if plan.const is not None else f"undeclared({plan.spec.const!r})")
        _write(source, plan, depth + 1)
    else:
        _put_value(source, plan, depth + 1, record, around)
    if plan.rule.state is not None:
        source.add(depth, "except Refused:")
        source.add(depth + 1, "pass  # created in its first state; the move follows")
    source.add(depth, "except Exception as e:")
    source.add(depth + 1, "fail(e, errors)")


def _touched(source: Source, plan: Plan) -> str:
    names = sorted(plan.touched_by)
    if not names:
        return "paths is None"
    if len(names) == 1:
        return f"(paths is None or {names[0]!r} in paths)"
    return f"(paths is None or not paths.isdisjoint({source.bind('p', frozenset(names))}))"


def _put_value(source: Source, plan: Plan, depth: int, record: str, around: str | None) -> None:
    paths = plan.rule.canonical
    if plan.put is not None:
        said = " or ".join(f"{path!r} in {record}" for path in sorted(plan.touched_by if plan.put.reads else ()))
        if said:
            source.add(depth, f"if {said}:")
            depth += 1
        if plan.gets and set(paths) <= plan.touched_by:
            depth = _guard(source, plan, depth, " or ".join(f"b.get({p!r}, A) != {record}.get({p!r}, D)" for p in paths))
        parsed = expression.parse(plan.spec.put or "", lambda path: f"{record}.get({path!r})")
        source.add(depth, f"x = single({parsed.source})", plan, READ)
        _write(source, plan, depth)
        return
    if len(paths) == 1:
        source.add(depth, f"v = {record}[{paths[0]!r}]", plan, READ)
        changed, empty = f"b.get({paths[0]!r}, A) != v", "v is None"
    else:
        source.add(depth, f"if {' or '.join(f'{path!r} in {record}' for path in paths)}:")
        depth += 1
        source.add(depth, f"v = ({', '.join(f'{record}.get({path!r})' for path in paths)})")
        changed = f"({', '.join(f'b.get({path!r}, A)' for path in paths)}) != v"
        empty = f"v == ({'None, ' * len(paths)})"
    if plan.gets:
        depth = _guard(source, plan, depth, changed)
    if plan.spec.nulls.out == "default":
        source.add(depth, f"if v is None: v = {source.bind('k', plan.default)}")
    if plan.spec.nulls.out == "skip":
        source.add(depth, f"if not ({empty}):")
        _put_steps(source, plan, depth + 1, record, around)
        _write(source, plan, depth + 1)
        return
    source.add(depth, f"if {empty}:")
    source.add(depth + 1, "x = None" if len(plan.externals) == 1 else f"x = ({'None, ' * len(plan.externals)})")
    source.add(depth, "else:")
    _put_steps(source, plan, depth + 1, record, around)
    _write(source, plan, depth)


def _guard(source: Source, plan: Plan, depth: int, changed: str) -> int:
    source.add(depth, f"if {changed}:")
    return depth + 1


def _put_steps(source: Source, plan: Plan, depth: int, record: str, around: str | None) -> None:
    if plan.rule.reference:
        entity = plan.rule.reference[0]
        source.add(depth, f"t = refs.get(({entity!r}, v))", plan, REFERENCE)
        source.add(depth, f"if t is None: unlinked({entity!r}, v)", plan, REFERENCE)
        source.add(depth, "v = t", plan, REFERENCE)

    def canonical(path: str) -> tuple[str, str]:
        outside = around is not None and _own(source, plan, path) is None
        return f"{around if outside else record}.get({path!r})", ""

    steps = [transform for transform in reversed(plan.via) if transform.put_code != "v"]
    target = "v"
    for transform in steps:
        argument, _ = _argument(source, transform.argument, canonical)
        target = "x" if transform is steps[-1] else "v"
        # The lines of an address may all be empty: nothing is left for the transforms before.
        maybe = "None if v is None else " if transform is not steps[0] and steps[0].many == "canonical" else ""
        source.add(depth, f"{target} = {maybe}{source.bind('p', transform.put)}(v{argument})", plan, transform.name)
    if target == "v":
        source.add(depth, "x = v")


def _write(source: Source, plan: Plan, depth: int) -> None:
    externals = plan.externals
    names = ["x"] if len(externals) == 1 else [f"x{number}" for number in range(len(externals))]
    if len(externals) > 1:
        source.add(depth, f"{', '.join(names)} = x", plan, "several fields")
    for name, external in zip(names, externals, strict=True):
        _fit(source, plan, depth, name, external)
    for name, external in zip(names, externals, strict=True):
        parts = source.world.parts(external)
        known = f"s.get({external!r}, D)" if len(parts) == 1 else f"dig_or(s, {parts!r}, D)"
        write = f"w[{external!r}] = {name}" if len(parts) == 1 else f"put_in(w, s, {parts!r}, {name})"
        stops = _stops(source, plan, name, external)
        if not stops:
            source.add(depth, f"if {name} != {known}: {write}", plan, "nested field" if len(parts) > 1 else "")
            continue
        source.add(depth, f"if {name} != {known}:")
        for line in stops:
            source.add(depth + 1, line, plan, PAUSED)
        source.add(depth + 1, write, plan, "nested field")


def _stops(source: Source, plan: Plan, value: str, external: str) -> list[str]:
    """Return the lines that refuse to write a value where its field is paused."""
    pause, name = _pause(source, plan), source.world.field_name(external)
    if name in pause.silent:
        return [f"paused({pause.silent[name]!r})"]
    lines = [
        f"if {when}: paused({why[name]!r})" for when, why in (("create", pause.on_create), ("not create", pause.on_update)) if name in why
    ]
    if name in pause.values:
        lost = source.bind("k", pause.values[name])
        lines.append(f"if {value}.__class__ is str and {value} in {lost}: paused({lost}[{value}])")
    return lines


def _fit(source: Source, plan: Plan, depth: int, name: str, external: str) -> None:
    limit = source.world.length(_list(plan), external)
    if limit is None:
        return
    if plan.spec.overflow == "truncate":
        source.add(depth, f"{name} = cut({name}, {limit})", plan, OVERFLOW)
    else:
        source.add(depth, f"if {name}.__class__ is str and len({name}) > {limit}: too_long({limit})", plan, OVERFLOW)
