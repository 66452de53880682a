"""A mapping held against what a system says of itself: what is not there, what cannot be written, what would be lost."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice, product
from typing import Any

from erpcrm_bridge.connector import Description, Field, Stream
from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping.check.findings import Finding, Report, of_complaint
from erpcrm_bridge.mapping.check.static import accepted, plans_of, rules_of, shown
from erpcrm_bridge.mapping.compile import CompiledMapping, compile_mapping
from erpcrm_bridge.mapping.expression import parse
from erpcrm_bridge.mapping.format import MappingSpec
from erpcrm_bridge.mapping.library import Library
from erpcrm_bridge.mapping.optional import fitted
from erpcrm_bridge.mapping.rules import CONNECTION, Plan, table_of
from erpcrm_bridge.mapping.source import put_in
from erpcrm_bridge.mapping.transforms import country_names
from erpcrm_bridge.model.entities import MODELS
from erpcrm_bridge.model.fields import FieldSpec
from erpcrm_bridge.model.money import MINOR_UNITS

AMOUNT_DIGITS = 18
"""Digits of the largest amount that a golden record is taken to hold."""
_FEW = 5
_MOST_RECORDS = 20_000


@dataclass(frozen=True, slots=True)
class Against:
    """A connection that a mapping is held against: its system's description, and the values and code tables that it declares itself."""

    connection: str
    description: Description
    values: Mapping[str, Any] = field(default_factory=dict)
    declared: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def codes(self) -> dict[str, dict[str, str]]:
        """The code tables that hold here."""
        return self.description.code_tables(self.declared)

    def compile(self, spec: MappingSpec) -> CompiledMapping:
        """Return the mapping compiled for this connection. Raises ConfigError; KeyError where the system has no such stream."""
        stream = self.description.streams[spec.stream]
        spec = fitted(spec, self.description.streams, MODELS)
        return compile_mapping(spec, codes=self.codes, values=self.values, stream=stream, children=self.description.streams)


def check_fit(library: Library, spec: MappingSpec, against: Against) -> list[Finding]:
    """Return what is found where the mapping is held against a system."""
    report = Report(spec.document, against.connection)
    streams = against.description.streams
    if spec.stream not in streams:
        what = f"it has no stream {spec.stream!r}, which the mapping {spec.name} reads"
        report.add("ERROR", "unknown-external", ("stream",), what, f"it has: {', '.join(sorted(streams)) or 'none'}")
        return report.findings
    try:
        compiled = against.compile(spec)
    except ConfigError as error:
        return [of_complaint(complaint) for complaint in error.complaints]
    stream = streams[spec.stream]
    _required(report, spec, compiled, stream)
    _declared(report, spec, against)
    for list_name, plan in plans_of(compiled):
        for name, external, described in _described(report, compiled, list_name, plan, stream, streams):
            _rights(report, plan, name, external, described, stream)
            _picklist(report, spec, plan, described)
            _sizes(report, plan, external, described)
        _refused(report, spec, plan, against.codes)
        _moves(report, spec, plan, stream)
    _newer(report, library, spec, compiled, stream)
    return report.findings


def _declared(report: Report, spec: MappingSpec, against: Against) -> None:
    """A value that the connection does not declare is none: a constant is never written, a default stands for nothing."""
    for place, _, rule in rules_of(spec):
        for key, value in (("const", rule.const), ("default", rule.default)):
            if isinstance(value, str) and value.startswith(CONNECTION) and value.removeprefix(CONNECTION) not in against.values:
                name = value.removeprefix(CONNECTION)
                what = f"{against.connection} declares no value `{name}`"
                report.add("WARN", "value-undeclared", (*place, key), what, f"add it to the connection: values: {{{name}: …}}")


def _described(
    report: Report, compiled: CompiledMapping, list_name: str, plan: Plan, stream: Stream, streams: Mapping[str, Stream]
) -> Iterator[tuple[str, str, Field]]:
    """Yield the described fields that a rule stands on: the name in the rule, the field's own, and the field. Those of child streams, which
    the compiler does not look up, are complained of."""
    child = compiled.lists[list_name].child if list_name else None
    if list_name and child is None:
        for row in compiled.lists[list_name].slots.values():
            named = [(name, row[name]) for name in plan.rule.external or plan.reads if name in row]
            yield from ((name, at, stream.fields[at]) for name, at in named if at in stream.fields)
        return
    home = stream if child is None else streams.get(child.stream)
    if home is None:
        what = f"there is no stream {child.stream if child else ''!r}"
        report.add("ERROR", "unknown-external", ("lists", list_name), what, f"it has: {', '.join(sorted(streams))}")
        return
    for external in plan.rule.external or plan.reads:
        described = home.fields.get(external)
        if described is not None:
            yield external, external, described
        elif child is not None:
            report.add("ERROR", "unknown-external", (*plan.place, "external"), f"{home.name} has no field `{external}`")


def _rights(report: Report, plan: Plan, name: str, external: str, described: Field, stream: Stream) -> None:
    if plan.gets and not described.readable:
        report.add(
            "ERROR", "not-readable", plan.place, f"{stream.name}.{external} cannot be read by this credential", "ask for the right to"
        )
    if not plan.puts or name not in plan.rule.external:
        return
    needed = {"always": (True, True), "create_only": (True, False), "update_only": (False, True)}[plan.rule.write]
    if plan.rule.state is not None:
        needed = (False, False)
    lacks = [
        verb
        for verb, wants, can in zip(("created", "updated"), needed, (described.creatable, described.updatable), strict=True)
        if wants > can
    ]
    if not lacks:
        return
    only = (
        {"created": "write: update_only", "updated": "write: create_only"}[lacks[0]] if len(lacks) == 1 and needed == (True, True) else ""
    )
    ways = ["set direction: to_canonical", *([f"or {only}"] if only else [])]
    report.add("ERROR", "not-writable", plan.place, f"{stream.name}.{external} cannot be {' or '.join(lacks)}", ", ".join(ways))


def _required(report: Report, spec: MappingSpec, compiled: CompiledMapping, stream: Stream) -> None:
    if not compiled.writable or not stream.capabilities.create:
        return
    put = {name: plan for plan in compiled._plans if plan.puts and plan.rule.write != "update_only" for name in plan.rule.external}
    for name, described in stream.fields.items():
        if not (described.required and described.creatable) or name in (spec.body.key.id, spec.body.key.external_id):
            continue
        plan = put.get(name)
        if plan is None:
            what = f"{stream.name}.{name} is required on a create, and no rule fills it"
            report.add("ERROR", "required-unmapped", ("fields",), what, "add a rule, or a `const`", about=name)
        elif plan.place[0] == "passthrough":
            what = f"{stream.name}.{name} is required on a create; only the pass-through can fill it"
            report.add("WARN", "required-passthrough", plan.place, what, "add a rule for it", about=name)
        elif not (plan.rule.required or plan.spec.const is not None or plan.spec.nulls.out == "default"):
            what = f"{stream.name}.{name} is required on a create, and the rule may leave it empty"
            report.add("ERROR", "required-unmapped", plan.place, what, "add required: true, or a default with nulls: {out: default}")


def _picklist(report: Report, spec: MappingSpec, plan: Plan, described: Field) -> None:
    table = table_of(spec, plan.spec)
    choices: tuple[Any, ...] = (True, False) if described.type == "boolean" else described.choices
    if table is None or not choices:
        return
    known = {(type(value), value) for value in table.pairs}
    listed = {(type(value), value) for value in choices}
    missing = [value for value in choices if (type(value), value) not in known]
    if plan.gets and missing and table.fallback is None:
        closed = described.restricted or described.type == "boolean"
        what = f"{described.name} has {_some(missing)}, which the table lacks: the field would be parked"
        report.add("ERROR" if closed else "WARN", "picklist-uncovered", plan.place, what, "add the pairs, or a declared fallback")
    reason = accepted(plan.spec, "fallback")
    if plan.gets and missing and table.fallback is not None and reason is not None:
        report.add("ok", "fallback", plan.place, f"accepted ({reason}): {_some(missing)} -> {shown(table.fallback)}")
    stale = [value for value in [*table.pairs, *table.write.values()] if (type(value), value) not in listed]
    inverse = [table.write.get(canonical, external) for external, canonical in table.pairs.items() if canonical is not None]
    for value in dict.fromkeys(stale):
        refused = plan.puts and described.restricted and value in inverse
        what = f"{described.name} has no value {shown(value)}{', and takes no other' if refused else ''}"
        report.add("ERROR" if refused else "WARN", "picklist-stale", plan.place, what, "correct the spelling, or remove the pair")


def _sizes(report: Report, plan: Plan, external: str, described: Field) -> None:
    if not plan.puts or external not in plan.rule.external or plan.spec.const is not None:
        return
    named = {transform.name for transform in plan.via}
    specs = plan.fields
    if described.length is not None and not named & {"map", "code", "hash"} and all(spec.kind == "text" for spec in specs):
        longest = sum(spec.max_length or 0 for spec in specs)
        if longest > described.length:
            what = f"canonical up to {longest}, {external} holds {described.length}; on overflow: {plan.spec.overflow}"
            report.add("LOSSY", "length", plan.place, what)
    if len(specs) != 1 or specs[0].kind not in ("amount", "decimal"):
        return
    if specs[0].kind == "amount" and described.precision is not None and described.precision < AMOUNT_DIGITS:
        report.add("LOSSY", "precision", plan.place, f"canonical {AMOUNT_DIGITS} digits, {external} holds {described.precision}")
    wanted = 2 if specs[0].kind == "amount" else specs[0].scale or 0
    if described.scale is not None and described.scale < wanted:
        report.add("LOSSY", "scale", plan.place, f"canonical {wanted} decimals, {external} holds {described.scale}")


def _refused(report: Report, spec: MappingSpec, plan: Plan, codes: Mapping[str, Mapping[str, str]]) -> None:
    """Some canonical values are known one by one: the currencies, countries and choices of which a table writes only a part."""
    if not plan.puts or len(plan.fields) != 1:
        return
    values = values_known(plan.fields[0])
    table = table_of(spec, plan.spec)
    kinds = [transform for transform in plan.via if transform.name == "code"]
    if not values or plan.fields[0].choices or not (table or kinds):
        return
    refused = []
    for value in values:
        try:
            for transform in reversed([one for one in plan.via if one.name in ("map", "code")]):
                if transform.put is not None:
                    transform.put(value)
        except ValueError:
            refused.append(value)
    if refused:
        kind = plan.fields[0].kind
        what = f"{len(refused)} of {len(values)} values of {kind} are not in the table, the field would be parked: {_some(refused)}"
        report.add("WARN", "refuses", plan.place, what)


def values_known(spec: FieldSpec) -> tuple[str, ...]:
    """Return all canonical values of a field whose values can be counted; nothing for others."""
    if spec.choices:
        return spec.choices
    return tuple(MINOR_UNITS) if spec.kind == "currency" else tuple(country_names()) if spec.kind == "country" else ()


def _moves(report: Report, spec: MappingSpec, plan: Plan, stream: Stream) -> None:
    """The mapping declares its moves in canonical states, the system in its own: the rule's table stands between them."""
    table = table_of(spec, plan.spec)
    pairs = table.pairs if table is not None else {}
    for start, ends in (plan.rule.state or {}).items():
        offered = stream.capabilities.moves.get(plan.rule.external[0], {})
        starts = [state for state in offered if pairs.get(state, state if table is None else None) == start]
        for end in (end for end in ends if (start, end) not in plan.rule.by):
            written = (table.write if table is not None else {}).get(end)
            ends_there = [written] if written is not None else [state for state, read in pairs.items() if read == end] or [end]
            if not any(to in offered[one] for one in starts for to in ends_there):
                there = "; ".join(f"{one} to {', '.join(to)}" for one, to in sorted(offered.items())) or "none"
                what = f"{stream.name} has no call from {start} to {end}"
                report.add("ERROR", "move-not-offered", (*plan.place, "moves", start), what, f"it offers: {there}")


def _newer(report: Report, library: Library, spec: MappingSpec, compiled: CompiledMapping, stream: Stream) -> None:
    rules = library.entities.get(spec.entity)
    if rules is None:
        return
    for path in sorted(compiled.readable):
        policy = rules.policy(path)
        resolution = stream.capabilities.version_order
        if policy.on_clash != "newer" or (resolution is not None and resolution <= policy.skew):
            continue
        where = Report(rules.document)
        how = f"ordered only to {resolution:g} s, and skew is {policy.skew:g} s" if resolution is not None else "not ordered"
        what = f"`{path}` goes by `newer`, and versions of {stream.name} are {how}"
        where.add("ERROR", "newer-unsound", ("fields", path), what, "use another policy, or a greater skew")
        report.findings += [finding for finding in where.findings if finding not in report.findings]


# Mappings that meet in one connection


def check_together(specs: Sequence[MappingSpec], against: Against) -> list[Finding]:
    """Return where one record would belong to two of the mappings that a connection uses."""
    found: list[Finding] = []
    for number, spec in enumerate(specs):
        for other in specs[:number]:
            if other.stream == spec.stream and other.name != spec.name and spec.stream in against.description.streams:
                found += _overlap(spec, other, against)
    return found


def _overlap(spec: MappingSpec, other: MappingSpec, against: Against) -> list[Finding]:
    try:
        one, two = against.compile(spec), against.compile(other)
    except ConfigError:
        return []
    report = Report(spec.document, against.connection)
    stream = against.description.streams[spec.stream]
    for record in _records(one, stream, [text for text in (spec.body.when, other.body.when) if text]):
        if one.applies(record) and two.applies(record):
            those = " with " + ", ".join(f"{name} {shown(value)}" for name, value in record.items()) if record else ""
            what = f"{spec.name} and {other.name} both take a record of {stream.name}{those}"
            report.add("ERROR", "when-overlap", ("when",), what, "make their `when` disjoint, or list in the flow which mappings it uses")
            break
    return report.findings


def _records(compiled: CompiledMapping, stream: Stream, whens: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield records that differ in what the conditions look at: every value that they or the pick-lists name, and others."""
    values: dict[str, list[Any]] = {}
    literals = [node.value for when in whens for node in ast.walk(ast.parse(when.strip(), mode="eval")) if isinstance(node, ast.Constant)]
    for name in dict.fromkeys(name for when in whens for name in parse(when, lambda _path: "None").reads):
        described = stream.fields.get(name)
        if described is not None and described.type == "boolean":
            values[name] = [True, False]
            continue
        numbers = [value for value in literals if isinstance(value, (int, float)) and not isinstance(value, bool)]
        around = [Decimal(str(value)) + step for value in numbers for step in (-1, 0, 1)]
        choices = described.choices if described is not None else ()
        others = [] if described is not None and described.restricted else ["something else"]
        if described is not None and described.type == "number":
            values[name] = [*dict.fromkeys(around), Decimal(0), None]
        else:
            values[name] = [
                *dict.fromkeys([*(value for value in literals if isinstance(value, str)), *choices]),
                *others,
                *around,
                True,
                None,
            ]
    for row in islice(product(*values.values()), _MOST_RECORDS):
        record: dict[str, Any] = {}
        for name, value in zip(values, row, strict=True):
            put_in(record, {}, compiled.parts(name), value)
        yield record


def _some(values: Sequence[Any]) -> str:
    more = f" and {len(values) - _FEW} more" if len(values) > _FEW else ""
    return ", ".join(shown(value) for value in values[:_FEW]) + more
