"""What can be said of a mapping without a system: does it name what exists, has it a single meaning, do its examples hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping import expression
from erpcrm_bridge.mapping.check.examples import run_test
from erpcrm_bridge.mapping.check.findings import Finding, Report, of_complaint
from erpcrm_bridge.mapping.compile import CompiledMapping, compile_mapping
from erpcrm_bridge.mapping.format import MappingSpec, RuleSpec
from erpcrm_bridge.mapping.library import Library
from erpcrm_bridge.mapping.overlay import Overlaid
from erpcrm_bridge.mapping.rules import Plan, near, table_of
from erpcrm_bridge.mapping.transforms import BUILDERS
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.fields import field_at
from erpcrm_bridge.settings.yaml import Path

_DELETED = {"isdeleted", "deleted", "active", "isactive", "inactive", "isinactive", "archived", "isarchived"}
_LEAVE_TEXT = {"trim", "collapse_ws", "lower", "upper", "str", "formula_guard", "join", "odoo_false_null"}
"""Transforms that give text for text."""


def check_mapping(library: Library, spec: MappingSpec) -> list[Finding]:
    """Return every finding about one mapping that needs no system: its rules, its coverage, its inline tests."""
    report = Report(spec.document)
    try:
        compiled = compile_mapping(spec, codes={}, values={}, stream=None)
    except ConfigError as error:
        return [of_complaint(complaint) for complaint in error.complaints]
    _unmapped(report, spec, compiled)
    _losses(report, spec)
    _internal_ids(report, spec)
    _when(report, spec)
    _cells(report, spec, compiled)
    _cycle(report, library, spec)
    _untested(report, spec)
    _groups(report, library, spec, compiled)
    _slots(report, library, spec)
    for _, plan in plans_of(compiled):
        _choices(report, spec, plan)
        _amounts(report, plan)
    _shown_to_nobody(report, spec, compiled)
    for number, test in enumerate(spec.body.tests):
        for what in run_test(spec, test):
            report.add("ERROR", "test", ("tests", number), f"`{test.name}`: {what}", "correct the rule or the test")
    return report.findings


def _shown_to_nobody(report: Report, spec: MappingSpec, compiled: CompiledMapping) -> None:
    """A test that names a field which nothing of the mapping knows tests something else than its author meant. What an overlay's base gave
    to a rule that is another one now is no mistake."""
    if spec.body.passthrough:
        return
    own = spec.document.origins if isinstance(spec.document, Overlaid) else None
    read = {name for _, plan in plans_of(compiled) for name in (*plan.reads, *plan.externals)}
    read |= set(_parsed(spec.body.when).reads) if spec.body.when else set()
    key, slots = spec.body.key, [one.prefix for body in spec.body.lists.values() for one in (body.slots or {}).values()]
    read |= {name for name in (key.id, key.external_id, key.version, *key.natural) if name}
    read |= {name for body in spec.body.lists.values() for name in (body.inline, body.child.stream if body.child else None) if name}
    heads = {re.split(r"[.\[]", name)[0] for name in read} | read
    entity = entity_spec(spec.entity)
    for number, test in enumerate(spec.body.tests):
        if own is not None and ("tests", number) not in own:
            continue
        inward = test.direction == "to_canonical"
        external, canonical = [("given", "base", "back"), ("expect",)] if inward else [("base", "expect"), ("given",)]
        for part in external:
            for name in getattr(test, part) or ():
                if name not in heads and name.partition(".")[0] not in heads and not any(name.startswith(prefix) for prefix in slots):
                    what = f"`{test.name}` {'gives' if part == 'given' else 'names'} `{name}`, which no rule reads or writes"
                    report.add("ERROR", "test", ("tests", number, part), what, near(name, heads))
        for part in canonical:
            for name in getattr(test, part):
                if name not in entity.lists and field_at(entity.fields, name) is None:
                    what = f"`{test.name}` names `{name}`: a {spec.entity} has no such field"
                    report.add("ERROR", "test", ("tests", number, part), what, near(name, entity.fields))


def plans_of(compiled: CompiledMapping) -> Iterator[tuple[str, Plan]]:
    """Yield every planned rule with the name of its list (empty for the record's own)."""
    yield from (("", plan) for plan in compiled._plans)
    for name, one in compiled.lists.items():
        yield from ((name, plan) for plan in one._plans)


def accepted(rule: RuleSpec, kind: str) -> str | None:
    """Return the reason for which a rule accepts a loss of this kind."""
    return next((reason.partition(": ")[2] for reason in rule.accept_loss if reason.partition(": ")[0] == kind), None)


def rules_of(spec: MappingSpec) -> Iterator[tuple[Path, str, RuleSpec]]:
    """Yield every rule with its place and the prefix of its canonical paths (empty, or the list's name and a dot)."""
    for name, rule in spec.body.fields.items():
        yield ("fields", name), "", rule
    for list_name, body in spec.body.lists.items():
        for name, rule in body.fields.items():
            yield ("lists", list_name, "fields", name), f"{list_name}.", rule


def _unmapped(report: Report, spec: MappingSpec, compiled: CompiledMapping) -> None:
    entity = entity_spec(spec.entity)
    mapped = {path for rule in compiled.rules for path in rule.canonical}
    mapped |= {f"{name}.{path}" for name, one in compiled.lists.items() for rule in one.rules for path in rule.canonical}
    known = {*entity.fields, *(f"{name}.{path}" for name, line in entity.lists.items() for path in line)}
    excused = spec.body.unmapped
    for path in sorted(known - mapped):
        if not excused.keys() & {path, *wholes_of(path)}:
            report.add(
                "ERROR",
                "unmapped",
                ("unmapped",),
                f"no rule is about `{path}`",
                f"add a rule, or the reason: unmapped: {{{path}: why}}",
                about=path,
            )
    for path, why in excused.items():
        if path not in known and not any(path in wholes_of(other) for other in known):
            report.add("ERROR", "unknown-canonical", ("unmapped", path), f"there is no field `{path}`", "remove it")
        elif any(path in (other, *wholes_of(other)) for other in mapped):
            report.add("ERROR", "unmapped", ("unmapped", path), f"`{path}` has a rule", "remove it from `unmapped`", about=path)
        elif not why.strip():
            report.add("ERROR", "unmapped", ("unmapped", path), f"`{path}` stands here without a reason", "say why", about=path)


def wholes_of(path: str) -> tuple[str, ...]:
    """Return how `unmapped` names what a field is a part of: its address or list, `billing.*`; its list also by name, `lines`."""
    whole, dot, _ = path.partition(".")
    return (whole, f"{whole}.*") if dot else ()


def _losses(report: Report, spec: MappingSpec) -> None:
    for place, _, rule in rules_of(spec):
        table = table_of(spec, rule)
        if table is not None and table.fallback is not None and accepted(rule, "fallback") is None:
            way_out = 'declare it: accept_loss: ["fallback: why that is right"]'
            report.add("ERROR", "fallback-undeclared", (*place, "via"), "an unknown value reads as another", way_out)
        for entry in rule.via:
            options = entry.get("phone") if isinstance(entry, dict) else None
            if isinstance(options, dict) and options.get("form") == "e164" and accepted(rule, "PutGet") is None:
                way_out = 'declare it: accept_loss: ["PutGet: why that is right"]'
                report.add("ERROR", "loss-undeclared", (*place, "via"), "form e164 drops the extension", way_out)


def _internal_ids(report: Report, spec: MappingSpec) -> None:
    """An id of a currency, term or subsidiary is another thing in the next account."""
    way_out = "use code{of: …}: the connector knows this account's ids"
    for name, table in spec.body.tables.items():
        _no_ids(report, ("tables", name), [*table.pairs, *table.write.values()], way_out)
    for place, _, rule in rules_of(spec):
        for entry in rule.via:
            options = next(iter(entry.values())) if isinstance(entry, dict) else None
            if isinstance(options, dict) and isinstance(options.get("pairs"), dict):
                _no_ids(report, (*place, "via"), options["pairs"], way_out)
        if isinstance(rule.const, dict):
            report.add("ERROR", "internal-id", (*place, "const"), "an object stands here", way_out)
        for key, value in (("const", rule.const), ("default", rule.default)):
            if isinstance(value, str) and value.startswith("$") and not re.fullmatch(r"\$connection\.[a-z][a-z0-9_]*", value):
                report.add("ERROR", "internal-id", (*place, key), f"`{value}` is nothing that is known here", "use $connection.NAME")


def _no_ids(report: Report, place: Path, externals: Iterable[Any], way_out: str) -> None:
    for value in externals:
        if isinstance(value, str) and len(value) > 2 and value.isdigit():
            report.add("ERROR", "internal-id", place, f"`{value}` looks like an id of one account", way_out)


def _when(report: Report, spec: MappingSpec) -> None:
    if spec.body.when is None:
        return
    for name in (part for path in _parsed(spec.body.when).reads for part in path.split(".")):
        if re.sub(r"[\W_]", "", name.lower().removesuffix("__c")) in _DELETED:
            what = f"`{name}` tells of a delete, which never passes through `when`"
            report.add("ERROR", "when-hides-deletes", ("when",), what, "leave it out: deletes are changes of their own")


def _parsed(text: str) -> expression.Expression:
    return expression.parse(text, lambda _path: "None")


def _cells(report: Report, spec: MappingSpec, compiled: CompiledMapping) -> None:
    """What a rule takes for a number, or for true or false, while it is a cell of a CSV file, never fits: a cell is text."""
    if spec.connector != "csv":
        return
    if spec.body.when is not None:
        _comparisons(report, ("when",), spec.body.when)
    for _, plan in plans_of(compiled):
        if plan.spec.get is not None:
            _comparisons(report, (*plan.place, "get"), plan.spec.get)
        number, first = next(((n, one.name) for n, one in enumerate(plan.via) if one.name not in _LEAVE_TEXT), (0, ""))
        place = (*plan.place, "via", number)
        if first == "not":
            way_out = "map the words that stand there: {map: {pairs: {Yes: false, No: true}}}"
            report.add("ERROR", "not-text", place, "`not` takes true or false, and a cell of a CSV file is text", way_out)
        table = table_of(spec, plan.spec) if first == "map" else None
        values = [*table.pairs, *table.write.values()] if table is not None else []
        if others := list(dict.fromkeys(shown(value) for value in values if value is not None and not isinstance(value, str))):
            what = f"the table has {', '.join(others)}, and a cell of a CSV file is text: it never matches"
            quoted = ", ".join(f'"{value}"' for value in others)
            report.add("ERROR", "not-text", place, what, f"quote {'it' if len(others) == 1 else 'them'}: {quoted}")


def _comparisons(report: Report, place: Path, text: str) -> None:
    for node in ast.walk(ast.parse(text.strip(), mode="eval")):
        sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        for cell, other in (pair for left, right in pairwise(sides) for pair in ((left, right), (right, left))):
            values = _no_texts(other) if _is_cell(cell) else []
            if values:
                name = ast.unparse(cell)
                numbers = f"compare number({name}), or number(coalesce({name}, 0)) where a cell may be empty"
                way_out = f"compare it with the text that stands there, as '{shown(values[0])}'" if isinstance(values[0], bool) else numbers
                what = f"`{ast.unparse(node)}`: a cell of a CSV file is text, and never {shown(values[0])}"
                report.add("ERROR", "not-text", place, what, way_out)


def _is_cell(node: ast.expr) -> bool:
    """Tell whether an expression is a path, by its name or by field()."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "field"
    return isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and node.id not in expression.WORDS)


def _no_texts(node: ast.expr) -> list[Any]:
    """Return the numbers, and true and false, that a literal or a list of literals holds."""
    if isinstance(node, ast.List):
        return [value for one in node.elts for value in _no_texts(one)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return [f"-{value}" for value in _no_texts(node.operand)]
    value = expression.WORDS.get(node.id) if isinstance(node, ast.Name) else node.value if isinstance(node, ast.Constant) else None
    return [value] if value is not None and not isinstance(value, str) else []


def _cycle(report: Report, library: Library, spec: MappingSpec) -> None:
    needs: dict[str, set[str]] = {}
    for other in library.specs.values():
        for _, _, rule in rules_of(other):
            if rule.ref is not None and rule.ref.required:
                needs.setdefault(other.entity, set()).add(rule.ref.entity)
    for place, _, rule in rules_of(spec):
        if rule.ref is not None and rule.ref.required:
            way = _way(needs, rule.ref.entity, spec.entity)
            if way:
                what = f"{' needs '.join([spec.entity, *way])}: none of them could ever be created"
                report.add("ERROR", "ref-cycle", (*place, "ref"), what, "make one of these references `required: false`")


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


def _untested(report: Report, spec: MappingSpec) -> None:
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
                what = f"no test expects anything of `{prefix}{place[-1]}`"
                report.add("ERROR", "untested", place, what, "add it to the `expect` of a test")


def _slots(report: Report, library: Library, spec: MappingSpec) -> None:
    rules = library.entities.get(spec.entity)
    for name, body in spec.body.lists.items():
        if body.slots is None:
            continue
        total = rules.lists[name].sums_to if rules is not None and name in rules.lists else None
        if total is not None:
            what = f"the {name} make the {total}: where one of them fits no slot, the document would not add up"
            report.add("ERROR", "slots", ("lists", name, "slots"), what, "read them from `inline` or a `child` stream")
        what = f"golden may have more {name} than the {len(body.slots)} slots hold; then they are parked"
        report.add("LOSSY", "slots", ("lists", name, "slots"), what, about=name)


def _groups(report: Report, library: Library, spec: MappingSpec, compiled: CompiledMapping) -> None:
    rules = library.entities.get(spec.entity)
    members: dict[str, list[str]] = {}
    for path in entity_spec(spec.entity).fields if rules is not None else ():
        group = rules.policy(path).group if rules is not None else None
        if group is not None:
            members.setdefault(group, []).append(path)
    for group, paths in members.items():
        carried = [path for path in paths if path in compiled.readable]
        missing = [path for path in paths if path not in compiled.readable]
        if carried and missing:
            what = f"it carries {len(carried)} of {len(paths)} members of the group {group}, without {', '.join(missing)}"
            report.add("WARN", "group-partial", ("fields",), what, "it never moves the group while golden holds more of it", about=group)


def _choices(report: Report, spec: MappingSpec, plan: Plan) -> None:
    """A canonical choice that is written as another one's value comes back as that one."""
    table = table_of(spec, plan.spec)
    if table is None or not plan.puts or len(plan.fields) != 1:
        return
    known = plan.fields[0].choices
    for value in (value for value in table.write if known and value not in known):
        what = f"`{shown(value)}` is no value of `{plan.fields[0].path}`"
        report.add("ERROR", "unknown-canonical", (*plan.place, "via"), what, near(str(value), known))
    if plan.rule.state is not None or accepted(plan.spec, "PutGet") is not None:
        return
    pairs = {(type(external), external): canonical for external, canonical in table.pairs.items()}
    written = {canonical: external for external, canonical in reversed(table.pairs.items())} | table.write
    for choice in known:
        if choice not in written:
            report.add("WARN", "enum-uncovered", plan.place, f"canonical {choice} has no external value; its field would be parked")
        elif pairs.get((type(written[choice]), written[choice])) != choice:
            what = f"canonical {choice} has no external value of its own (write: {shown(written[choice])})"
            report.add("WARN", "enum-uncovered", plan.place, what)


def _amounts(report: Report, plan: Plan) -> None:
    """An amount is read in the minor unit of its currency (L10): else lines that add up here are written, rounded, as some that do not.
    What an expression or a plug-in gives is its author's."""
    amounts = [spec.path for spec in plan.fields if spec.kind == "amount"]
    own = {transform.name for transform in plan.via} - (BUILDERS.keys() - {"money"})
    if amounts and plan.gets and plan.get is None and not own:
        what = f"`{amounts[0]}` is an amount, and is not read in the minor unit of its currency"
        report.add("WARN", "unrounded", plan.place, what, "say of which one: via: [{money: {currency: currency}}]")


def shown(value: object) -> str:
    """Return a value as it would stand in the file; a long text by its length."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and len(value) > 40:
        return f"a text of {len(value)} characters"
    return str(value) if not isinstance(value, str) or value.strip() == value != "" else repr(value)
