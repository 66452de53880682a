"""What can be said of a mapping without a system: does it name what exists, has it a single meaning, do its examples hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from erpcrm_bridge.errors import Complaint, ConfigError
from erpcrm_bridge.mapping.compile import CompiledList, CompiledMapping, compile_mapping
from erpcrm_bridge.mapping.format import Findings, MappingSpec, RuleSpec, TestSpec
from erpcrm_bridge.mapping.library import Library
from erpcrm_bridge.mapping.rules import Rule
from erpcrm_bridge.mapping.source import FieldError
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.fields import FieldSpec
from erpcrm_bridge.model.values import Fields, same
from erpcrm_bridge.settings.yaml import Path

_DELETED = {"isdeleted", "deleted", "active", "isactive", "inactive", "isinactive", "archived", "isarchived"}


def check(library: Library, spec: MappingSpec) -> list[Complaint]:
    """Return every finding about one mapping: its rules, its coverage, its inline tests. Empty means: nothing wrong was found."""
    findings = Findings(spec.document)
    try:
        compiled = compile_mapping(spec, codes={}, values={}, stream=None)
    except ConfigError as error:
        return list(error.complaints)
    _unmapped(findings, spec, compiled)
    _losses(findings, spec)
    _internal_ids(findings, spec)
    _when(findings, spec)
    _cycle(findings, library, spec)
    _untested(findings, spec)
    for number, test in enumerate(spec.body.tests):
        for what in run_test(spec, test):
            findings.add(("tests", number), f"test `{test.name}`: {what}", "correct the rule or the test")
    return findings.complaints


def rules_of(spec: MappingSpec) -> Iterator[tuple[Path, str, RuleSpec]]:
    """Yield every rule with its place and the prefix of its canonical paths (empty, or the list's name and a dot)."""
    for name, rule in spec.body.fields.items():
        yield ("fields", name), "", rule
    for list_name, body in spec.body.lists.items():
        for name, rule in body.fields.items():
            yield ("lists", list_name, "fields", name), f"{list_name}.", rule


def _unmapped(findings: Findings, spec: MappingSpec, compiled: CompiledMapping) -> None:
    entity = entity_spec(spec.entity)
    mapped = {path for rule in compiled.rules for path in rule.canonical}
    mapped |= {f"{name}.{path}" for name, one in compiled.lists.items() for rule in one.rules for path in rule.canonical}
    known = {*entity.fields, *(f"{name}.{path}" for name, line in entity.lists.items() for path in line)}
    excused = spec.body.unmapped
    for path in sorted(known - mapped):
        if path not in excused and path.partition(".")[0] not in excused:
            findings.add(("unmapped",), f"unmapped: no rule is about `{path}`", f"add a rule, or the reason: unmapped: {{{path}: why}}")
    for path, why in excused.items():
        if path not in known and path not in entity.lists:
            findings.add(("unmapped", path), f"unknown-canonical: there is no field `{path}`", "remove it")
        elif path in mapped or (path in compiled.lists):
            findings.add(("unmapped", path), f"`{path}` has a rule", "remove it from `unmapped`")
        elif not why.strip():
            findings.add(("unmapped", path), f"`{path}` stands here without a reason", "say why")


def _losses(findings: Findings, spec: MappingSpec) -> None:
    for place, _, rule in rules_of(spec):
        accepted = {reason.partition(":")[0] for reason in rule.accept_loss}
        for entry in rule.via:
            if not isinstance(entry, dict):
                continue
            ((name, options),) = entry.items()
            table = spec.body.tables.get(options) if isinstance(options, str) else None
            fallback = table.fallback if table else options.get("fallback") if isinstance(options, dict) else None
            if name == "map" and fallback is not None and "fallback" not in accepted:
                what = "fallback-undeclared: an unknown value reads as another"
                findings.add((*place, "via"), what, 'declare it: accept_loss: ["fallback: why that is right"]')
            if name == "phone" and isinstance(options, dict) and options.get("form") == "e164" and "PutGet" not in accepted:
                findings.add((*place, "via"), "form e164 drops the extension", 'declare it: accept_loss: ["PutGet: why that is right"]')


def _internal_ids(findings: Findings, spec: MappingSpec) -> None:
    """An id of a currency, term or subsidiary is another thing in the next account."""
    way_out = "use code{of: …}: the connector knows this account's ids"
    for name, table in spec.body.tables.items():
        _no_ids(findings, ("tables", name), [*table.pairs, *table.write.values()], way_out)
    for place, _, rule in rules_of(spec):
        for entry in rule.via:
            options = next(iter(entry.values())) if isinstance(entry, dict) else None
            if isinstance(options, dict) and isinstance(options.get("pairs"), dict):
                _no_ids(findings, (*place, "via"), options["pairs"], way_out)
        if isinstance(rule.const, dict):
            findings.add((*place, "const"), "internal-id: an object stands here", way_out)
        for key, value in (("const", rule.const), ("default", rule.default)):
            if isinstance(value, str) and value.startswith("$") and not re.fullmatch(r"\$connection\.[a-z][a-z0-9_]*", value):
                findings.add((*place, key), f"internal-id: `{value}` is nothing that is known here", "use $connection.NAME")


def _no_ids(findings: Findings, place: Path, externals: Iterable[Any], way_out: str) -> None:
    for value in externals:
        if isinstance(value, str) and len(value) > 2 and value.isdigit():
            findings.add(place, f"internal-id: `{value}` looks like an id of one account", way_out)


def _when(findings: Findings, spec: MappingSpec) -> None:
    if spec.body.when is None:
        return
    for node in ast.walk(ast.parse(spec.body.when.strip(), mode="eval")):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name.lower().removesuffix("__c") in _DELETED:
            what = f"when-hides-deletes: `{name}` tells of a delete, which never passes through `when`"
            findings.add(("when",), what, "leave it out: deletes are changes of their own")


def _cycle(findings: Findings, library: Library, spec: MappingSpec) -> None:
    needs: dict[str, set[str]] = {}
    for other in library.specs.values():
        for _, _, rule in rules_of(other):
            if rule.ref is not None and rule.ref.required:
                needs.setdefault(other.entity, set()).add(rule.ref.entity)
    for place, _, rule in rules_of(spec):
        if rule.ref is not None and rule.ref.required:
            way = _way(needs, rule.ref.entity, spec.entity)
            if way:
                what = f"ref-cycle: {' needs '.join([spec.entity, *way])}: none of them could ever be created"
                findings.add((*place, "ref"), what, "make one of these references `required: false`")


def _way(needs: Mapping[str, set[str]], start: str, end: str) -> list[str]:
    """Return the entities from ``start`` to ``end`` along required references; empty where there is no way."""
    ways, seen = [[start]], {start}
    for way in ways:
        if way[-1] == end:
            return way
        for entity in sorted(needs.get(way[-1], set()) - seen):
            seen.add(entity)
            ways.append([*way, entity])
    return []


def _untested(findings: Findings, spec: MappingSpec) -> None:
    named: set[str] = set()
    for test in spec.body.tests:
        for values in (test.expect, test.back):
            for name, value in values.items():
                named.add(name)
                named |= (
                    {f"{name}.{inner}" for row in value if isinstance(row, dict) for inner in row} if isinstance(value, list) else set()
                )
    for place, prefix, rule in rules_of(spec):
        if rule.via or rule.get or rule.put:
            paths = rule.canonical if isinstance(rule.canonical, list) else [rule.canonical or str(place[-1])]
            externals = rule.external if isinstance(rule.external, list) else [rule.external or ""]
            at = spec.body.lists[str(place[1])] if prefix else None
            rows = (at.child.stream if at.child else at.inline or "") + "." if at else ""
            if not named & ({prefix + path for path in paths} | {rows + name for name in externals}):
                findings.add(place, f"untested: no test expects anything of `{prefix}{place[-1]}`", "add it to the `expect` of a test")


# Inline tests


class _Same(dict[tuple[str, str], str]):
    """References of a test: the key of a record stands for its golden id."""

    def get(self, key: Any, default: Any = None) -> Any:
        return key[1]


def run_test(spec: MappingSpec, test: TestSpec) -> list[str]:
    """Return what an inline test found wrong; empty means that it holds."""
    try:
        compiled = compile_mapping(spec, codes=test.codes, values=test.connection, stream=None, names=_names_in(test))
    except ConfigError as error:
        return [str(complaint) for complaint in error.complaints]
    if test.direction == "to_canonical":
        return [*_inward(compiled, test)]
    return [*_outward(compiled, test)]


def _names_in(test: TestSpec) -> frozenset[str]:
    """Return the external names that a test shows; of a custom field the name that it would have."""
    records = [test.given, test.base or {}] if test.direction == "to_canonical" else [test.expect, test.base or {}]
    return frozenset(name for record in records for name in record)


def _inward(compiled: CompiledMapping, test: TestSpec) -> Iterator[str]:
    if not compiled.applies(test.given):
        yield "`given` is not a record of this mapping (`when`)"
        return
    errors: list[FieldError] = []
    got = compiled.get(test.given, _Same(), errors)
    for one in compiled.lists.values():
        rows = one.rows(test.given)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            yield f"`{one.external}` in `given` is no list of rows"
            return
        if rows or one.name in test.expect:
            got[one.name] = [one.get(row, got, _Same(), errors) for row in rows]
    parked = {error.path for error in errors}
    yield from _compare(test.expect, got, parked)
    for error in errors:
        if test.expect.get(error.path) != "$parked" and not _in_lines(error, compiled, test.expect):
            yield f"`{error.path}` is parked: {error.reason}"
    back = compiled.put(got, test.given, _Same(), [], create=False)
    for name in back:
        if name not in test.back:
            yield f"`{name}` would be written back though nothing has changed"
    yield from _compare(test.back, back, set())


def _in_lines(error: FieldError, compiled: CompiledMapping, expect: Mapping[str, Any]) -> bool:
    rows = [row for name in compiled.lists for row in expect.get(name) or [] if isinstance(row, dict)]
    return any(row.get(error.path) == "$parked" for row in rows)


def _outward(compiled: CompiledMapping, test: TestSpec) -> Iterator[str]:
    entity = entity_spec(compiled.entity)
    golden = _typed(test.given, entity.fields)
    create = test.mode != "update" and (test.mode == "create" or test.base is None)
    errors: list[FieldError] = []
    got = compiled.put(golden, None if create else test.base or {}, _Same(), errors, create=create)
    for one in compiled.lists.values():
        if one.name in test.given:
            lines = test.given[one.name]
            if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
                yield f"`{one.name}` in `given` is no list of lines"
                return
            got[one.external] = [_row(one, entity.lists[one.name], line, golden, errors) for line in test.given[one.name]]
    parked = {name for error in errors for name in (error.path, *_externals_of(compiled.rules, error.rule))}
    yield from _compare(test.expect, got, parked)
    for error in errors:
        if not any(test.expect.get(name) == "$parked" for name in (error.path, *_externals_of(compiled.rules, error.rule))):
            yield f"`{error.path}` is parked: {error.reason}"


def _row(one: CompiledList, specs: Mapping[str, FieldSpec], line: Fields, golden: Fields, errors: list[FieldError]) -> Fields:
    return one.put(_typed(line, specs), golden, None, _Same(), errors, create=True)


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
