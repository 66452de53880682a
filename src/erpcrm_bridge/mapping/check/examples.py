"""Inline tests: a mapping's own examples, run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping.compile import CompiledList, CompiledMapping, compile_mapping
from erpcrm_bridge.mapping.format import MappingSpec, TestSpec
from erpcrm_bridge.mapping.overlay import Overlaid
from erpcrm_bridge.mapping.rules import SLOT, Rule
from erpcrm_bridge.mapping.source import FieldError
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.fields import FieldSpec
from erpcrm_bridge.model.values import Fields, same


class Same(dict[tuple[str, str], str]):
    """References where no store is: the key of a record stands for its golden id."""

    def get(self, key: Any, default: Any = None) -> Any:
        return key[1]


def run_test(spec: MappingSpec, test: TestSpec) -> list[str]:
    """Return what an inline test found wrong; empty means that it holds."""
    try:
        compiled = compile_mapping(spec, codes=test.codes, values=test.connection, stream=None, names=_names_in(test))
    except ConfigError as error:
        return [str(complaint) for complaint in error.complaints]
    run = _inward if test.direction == "to_canonical" else _outward
    return [*run(compiled, test, _not_asked(spec, test))]


def _not_asked(spec: MappingSpec, test: TestSpec) -> frozenset[str]:
    """Return the paths and fields of which a shipped test is not asked: an overlay changes their rules."""
    document = spec.document
    if not isinstance(document, Overlaid) or ("tests", spec.body.tests.index(test)) in document.origins:
        return frozenset()
    return document.not_asked


def _names_in(test: TestSpec) -> frozenset[str]:
    """Return the external names that a test shows; of a custom field the name that it would have."""
    records = [test.given, test.base or {}] if test.direction == "to_canonical" else [test.expect, test.base or {}]
    return frozenset(name for record in records for name in record)


def _inward(compiled: CompiledMapping, test: TestSpec, not_asked: frozenset[str]) -> Iterator[str]:
    if not compiled.applies(test.given):
        yield "`given` is not a record of this mapping (`when`)"
        return
    errors: list[FieldError] = []
    got = compiled.get(test.given, Same(), errors)
    for one in compiled.lists.values():
        rows = one.rows(test.given)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            yield f"`{one.external}` in `given` is no list of rows"
            return
        if rows or one.name in test.expect:
            got[one.name] = [one.get(row, got, Same(), errors) for row in rows]
    parked = {error.path for error in errors}
    yield from _compare(test.expect, got, parked)
    for error in _asked(errors, not_asked):
        if test.expect.get(error.path) != "$parked" and not _in_lines(error, compiled, test.expect):
            yield f"`{error.path}` is parked: {error.reason}"
    back = compiled.put(got, test.given, Same(), [], create=False)
    for name in back:
        if name not in test.back and name not in not_asked:
            yield f"`{name}` would be written back though nothing has changed"
    yield from _compare(test.back, back, set())


def _asked(errors: Sequence[FieldError], not_asked: frozenset[str]) -> list[FieldError]:
    return [error for error in errors if not_asked.isdisjoint((error.path, error.path.partition(".")[0]))]


def _in_lines(error: FieldError, compiled: CompiledMapping, expect: Mapping[str, Any]) -> bool:
    rows = [row for name in compiled.lists for row in expect.get(name) or [] if isinstance(row, dict)]
    return any(row.get(error.path) == "$parked" for row in rows)


def _outward(compiled: CompiledMapping, test: TestSpec, not_asked: frozenset[str]) -> Iterator[str]:
    entity = entity_spec(compiled.entity)
    golden = _typed(test.given, entity.fields)
    create = test.mode != "update" and (test.mode == "create" or test.base is None)
    errors: list[FieldError] = []
    got = compiled.put(golden, None if create else test.base or {}, Same(), errors, create=create)
    for one in compiled.lists.values():
        if one.name in test.given:
            lines = test.given[one.name]
            if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
                yield f"`{one.name}` in `given` is no list of lines"
                return
            rows = [_row(one, entity.lists[one.name], line, golden, errors) for line in test.given[one.name]]
            if one.slots:
                free = [slot for slot in one.slots if slot not in {row.get(SLOT) for row in rows}]
                placed = {str(n): {**row, SLOT: row.get(SLOT) or next(iter(free[n:]), "")} for n, row in enumerate(rows)}
                got |= one.in_slots({n: row for n, row in placed.items() if row[SLOT] in one.slots}, {}, (), create=True)
            else:
                got[one.external] = rows
    parked = {name for error in errors for name in (error.path, *_externals_of(compiled.rules, error.rule))}
    yield from _compare(test.expect, got, parked)
    for error in _asked(errors, not_asked):
        if not any(test.expect.get(name) == "$parked" for name in (error.path, *_externals_of(compiled.rules, error.rule))):
            yield f"`{error.path}` is parked: {error.reason}"


def _row(one: CompiledList, specs: Mapping[str, FieldSpec], line: Fields, golden: Fields, errors: list[FieldError]) -> Fields:
    return one.put(_typed(line, specs), golden, None, Same(), errors, create=True)


def _externals_of(rules: Sequence[Rule], name: str) -> tuple[str, ...]:
    return next((rule.external for rule in rules if rule.name == name), ())


def _typed(given: Mapping[str, Any], specs: Mapping[str, FieldSpec]) -> Fields:
    """Return canonical values; a number written as text keeps its digits."""
    return {name: _number(value) if name in specs and specs[name].kind in ("amount", "decimal") else value for name, value in given.items()}


def _number(value: Any) -> Any:
    try:
        return Decimal(value) if isinstance(value, str) else value
    except InvalidOperation:
        return value


def _compare(expect: Mapping[str, Any], got: Mapping[str, Any], parked: set[str]) -> Iterator[str]:
    for name, wanted in expect.items():
        if wanted == "$parked":
            if name not in parked:
                yield f"`{name}` is not parked"
        elif wanted in ("$absent", "$untouched"):
            if name in got or name in parked:
                yield f"`{name}` is {'parked' if name in parked else repr(got[name])}, not {str(wanted)[1:]}"
        elif name not in got:
            yield f"`{name}` is missing, not {wanted!r}"
        elif isinstance(wanted, list) and isinstance(got[name], list):
            yield from _compare_rows(name, wanted, got[name])
        elif not _alike(wanted, got[name]):
            yield f"`{name}` is {got[name]!r}, not {wanted!r}"


def _compare_rows(name: str, wanted: list[Any], got: list[Any]) -> Iterator[str]:
    if len(wanted) != len(got):
        yield f"`{name}` has {len(got)} rows, not {len(wanted)}"
        return
    for number, (one, other) in enumerate(zip(wanted, got, strict=True), 1):
        if not isinstance(one, dict) or not isinstance(other, dict):
            if not _alike(one, other):
                yield f"`{name}` row {number} is {other!r}, not {one!r}"
            continue
        absent = {key for key, value in one.items() if value == "$parked" and key not in other}
        yield from (f"`{name}` row {number}: {what}" for what in _compare(one, other, absent))


def _alike(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, str) and isinstance(got, (int, Decimal)) and not isinstance(got, bool):
        return wanted == (format(got, "f") if isinstance(got, Decimal) else str(got))
    return same(wanted, got)
