"""From a rule as written to a rule that can be compiled: every name looked up, every misuse a complaint with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from erpcrm_bridge.connector import Field, Stream
from erpcrm_bridge.mapping import expression
from erpcrm_bridge.mapping.format import Findings, MappingSpec, MoveSpec, RuleSpec, TableSpec, When
from erpcrm_bridge.mapping.pause import NOTHING, Pause
from erpcrm_bridge.mapping.transforms import Misused, Setting, Transform, build
from erpcrm_bridge.model.entities import MODELS, entity_spec
from erpcrm_bridge.model.fields import CUSTOM, FieldSpec, field_at
from erpcrm_bridge.settings.yaml import Path

CONNECTION = "$connection."
SLOT = "$slot"
"""In the rules of a list in slots: the name of the slot."""
GRAMMAR = "docs/reference/mapping.md has what an expression may be"


class Rule(Struct, frozen=True):
    """What the engine may know of a rule. ``external`` are names under which the stream describes its fields; ``reference`` is (entity,
    required); ``state`` the moves of a state field, ``makes`` the entities of the records that such moves bring forth, ``by`` the entities
    whose records make a move, by (from, to)."""

    name: str
    canonical: tuple[str, ...]
    external: tuple[str, ...]
    direction: Literal["both", "to_canonical", "from_canonical"]
    write: Literal["always", "create_only", "update_only"] = "always"
    required: bool = False
    reference: tuple[str, bool] | None = None
    state: dict[str, tuple[str, ...]] | None = None
    makes: tuple[str, ...] = ()
    by: dict[tuple[str, str], str] = {}

    @property
    def about(self) -> tuple[str, ...]:
        """The paths by which the rule is told: its canonical ones; the name of a constant, which has none."""
        return self.canonical or (self.name,)


Part: TypeAlias = str | tuple[str, str]
"""One step into a record: the name of a value, or the name of a list and of the flag that tells its element."""
_FLAGGED = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]")


@dataclass(frozen=True, slots=True)
class World:
    """What a mapping is compiled against. ``names`` are the external names that there are, where no stream is described; ``pauses`` say
    what of a stream is left alone, ``paused`` which canonical paths cannot be read because of it, and why."""

    spec: MappingSpec
    codes: Mapping[str, Mapping[str, str]]
    values: Mapping[str, Any]
    stream: Stream | None
    findings: Findings
    names: frozenset[str] = frozenset()
    used_codes: set[str] = field(default_factory=set)
    used_plug_ins: dict[str, str] = field(default_factory=dict)
    pauses: Mapping[str, Pause] = field(default_factory=dict)
    paused: dict[str, str] = field(default_factory=dict)
    children: Mapping[str, Stream] = field(default_factory=dict)

    @property
    def literal_names(self) -> bool:
        """Whether an external name is one key, dots and spaces included."""
        return self.spec.connector == "csv"

    def pause(self, list_name: str = "") -> Pause:
        """Return what is left alone of the stream in which the rules of a list, or of the mapping itself, have their fields."""
        child = self.spec.body.lists[list_name].child if list_name else None
        return self.pauses.get(child.stream if child is not None else self.spec.stream, NOTHING) if child or not list_name else NOTHING

    def length(self, list_name: str, external: str) -> int | None:
        """Return how many characters a field holds, of the rows of a list where one is named; in slots what each of them holds."""
        body = self.spec.body.lists[list_name] if list_name else None
        stream = self.stream if body is None or body.slots else self.children.get(body.child.stream) if body.child else None
        if stream is None:
            return None
        names = [f"{slot.prefix}{external}" for slot in body.slots.values()] if body and body.slots else [external]
        described = [stream.fields[name].length for name in map(self.field_name, names) if name in stream.fields]
        return min((length for length in described if length is not None), default=None)

    def parts(self, external: str) -> tuple[Part, ...]:
        """Return the way that leads to an external value."""
        if self.literal_names:
            return (external,)
        found = [(part, _FLAGGED.fullmatch(part)) for part in external.split(".")]
        return tuple((match[1], match[2]) if match else part for part, match in found)

    def top(self, external: str) -> str:
        """Return the field of the record in which an external value stands."""
        first = self.parts(external)[0]
        return first if isinstance(first, str) else first[0]

    def field_name(self, external: str) -> str:
        """Return the name under which the stream describes (and is asked for) what ``external`` reads."""
        if self.literal_names or self.stream is None or external in self.stream.fields:
            return external
        top = self.top(external)
        return top if top in self.stream.fields else external


@dataclass(frozen=True, slots=True)
class Scope:
    """The canonical side of a set of rules: the fields they carry, and for lines those of the document around them."""

    fields: Mapping[str, FieldSpec]
    around: Mapping[str, FieldSpec]
    place: Path
    described: bool

    def own(self, path: str) -> FieldSpec | None:
        """Return the field at ``path`` that these rules carry; None where there is none."""
        return field_at(self.fields, path)

    def known(self, path: str) -> bool:
        return self.own(path) is not None or field_at(self.around, path) is not None


@dataclass(slots=True)
class Plan:
    """A rule with everything looked up. ``const`` and ``default`` are values, ``$connection`` already resolved."""

    rule: Rule
    spec: RuleSpec
    place: Path
    fields: tuple[FieldSpec, ...]
    via: tuple[Transform, ...]
    get: expression.Expression | None
    put: expression.Expression | None
    const: Any
    default: Any

    @property
    def fills(self) -> bool:
        """Whether the default stands in for an empty or unread external value."""
        return self.spec.default is not None and self.spec.nulls.into in (None, "default")

    @property
    def gets(self) -> bool:
        return self.rule.direction != "from_canonical"

    @property
    def puts(self) -> bool:
        return self.rule.direction != "to_canonical"

    @property
    def externals(self) -> tuple[str, ...]:
        """Ways to the external values, as the mapping has them."""
        return external_names(self.spec)

    @property
    def reads(self) -> tuple[str, ...]:
        """External names that the get reads."""
        return self.get.reads if self.get else self.externals

    @property
    def touched_by(self) -> frozenset[str]:
        """Canonical paths whose change may change what the put writes."""
        return frozenset(self.rule.canonical) | frozenset(self.put.reads if self.put else ())

    @property
    def arguments(self) -> tuple[str, ...]:
        """Canonical paths that the transforms take beside the value."""
        return tuple(t.argument.path for t in self.via if t.argument and t.argument.path)


def plan_rules(world: World, rules: Mapping[str, RuleSpec], scope: Scope) -> list[Plan]:
    """Return the rules in an order in which each get finds the canonical values that it takes. Complaints go to the world's findings.

    Those of the document take in the fields that are passed through.
    """
    places = {name: (*scope.place, name) for name in rules}
    if scope.described:
        passed = passed_through(world)
        places |= {path: place for path, (place, _) in passed.items() if path not in rules}
        rules = {**{path: spec for path, (_, spec) in passed.items()}, **rules}
    plans = [plan for name, spec in rules.items() if (plan := _plan(world, name, spec, scope, places[name])) is not None]
    _one_each(world, plans, lambda plan: plan.rule.canonical if plan.gets else (), "read", "both give")
    _one_each(world, plans, lambda plan: plan.externals if plan.puts else (), "written", "both write")
    if scope.described:
        _not_the_key(world, plans)
    return _ordered(world, plans, scope)


def passed_through(world: World) -> dict[str, tuple[Path, RuleSpec]]:
    """Return, by canonical path, the rules that the pass-through stands for in this stream, each with its place.

    A field with a rule of its own, though it be left out here, is not passed through, nor is what the key names, or what is no value by
    itself: a list, an object, a reference to a record of that system.
    """
    body, found = world.spec.body, dict[str, tuple[Path, RuleSpec]]()
    ruled = {*world.spec.left_out, *(name for rule in body.fields.values() for name in external_names(rule))}
    taken = {*map(world.field_name, ruled), body.key.id, body.key.external_id, body.key.version, *body.key.natural}
    described = world.stream.fields if world.stream is not None else dict.fromkeys(world.names)
    for number, one in enumerate(body.passthrough):
        place: Path = ("passthrough", number)
        try:
            like = re.compile(one.match)
        except re.error as error:
            world.findings.add((*place, "match"), f"`{one.match}` is no regular expression: {error}", "as in .*__c")
            continue
        for index, name in enumerate(one.but):
            if not like.fullmatch(name):
                world.findings.add((*place, "except", index), f"`{name}` is not like `{one.match}`, so nothing passes it", "remove it")
        for name, told in described.items():
            if name in taken or name in one.but or name.startswith("$") or not like.fullmatch(name):
                continue
            rule = _passed(name, one.direction, told)
            if rule is None:
                continue
            path = CUSTOM + name
            if path in found:
                world.findings.add(place, f"two-writers: `{name}` is passed through twice", f"add it to `except`: [{name}]")
            elif field_at({}, path) is None:
                world.findings.add(place, f"`{name}` cannot be part of a path: it holds a slash", "add it to `except`, and a rule for it")
            else:
                found[path] = (place, rule)
    return found


def _passed(name: str, direction: Literal["both", "to_canonical", "from_canonical"], told: Field | None) -> RuleSpec | None:
    """Return the rule for one field that is passed through, as far as its description allows; None where it does not."""
    if told is None:
        return RuleSpec(external=name, direction=direction)
    writable = told.creatable or told.updatable
    if told.type in ("list", "object", "reference") or (direction != "from_canonical" and not told.readable):
        return None
    if direction == "both" and not writable:
        direction = "to_canonical"
    if direction == "from_canonical" and not writable:
        return None
    when: When = "always" if told.creatable and told.updatable else "create_only" if told.creatable else "update_only"
    return RuleSpec(external=name, direction=direction, write=when if writable else "always")


def _plan(world: World, name: str, spec: RuleSpec, scope: Scope, place: Path) -> Plan | None:
    add = world.findings.add
    before = len(world.findings.complaints)
    rule = _rule(name, spec, scope)
    for path in rule.canonical:
        if scope.own(path) is None:
            add((*place, "canonical"), f"unknown-canonical: there is no field `{path}`", near(path, scope.fields))
    _externals(world, place, spec, rule, scope)
    if len(world.findings.complaints) > before:
        return None
    fields = _fields(rule, scope)
    _reference(world, place, spec, fields)
    _moves(world, place, spec, fields)
    via = _via(world, place, spec, rule, scope)
    get = _expression(world, (*place, "get"), spec.get, lambda path: _known_external(world, (*place, "get"), path, scope))
    put = _expression(world, (*place, "put"), spec.put, lambda path: _known_canonical(world, (*place, "put"), path, scope))
    _shape(world, place, spec, rule, via)
    default, const = _value(world, (*place, "default"), spec.default, fields), _constant(world, spec.const)
    for side in ("in", "out"):
        if (spec.nulls.into if side == "in" else spec.nulls.out) == "default" and spec.default is None:
            add((*place, "nulls"), f"`{side}: default` without a `default`", "add `default`")
    if len(world.findings.complaints) > before:
        return None
    described = dict.fromkeys(world.field_name(name) for name in rule.external)
    return Plan(msgspec.structs.replace(rule, external=tuple(described)), spec, place, fields, via, get, put, const, default)


def _rule(name: str, spec: RuleSpec, scope: Scope) -> Rule:
    canonical = _tuple(spec.canonical) or (() if spec.const is not None and scope.own(name) is None else (name,))
    return Rule(
        name,
        canonical=canonical,
        external=external_names(spec),
        direction=_direction(spec),
        write=spec.write if canonical else "create_only",
        required=spec.required,
        reference=(spec.ref.entity, spec.ref.required) if spec.ref else None,
        state={start: tuple(one.to for one in map(_move, ends)) for start, ends in spec.moves.items()} if spec.moves is not None else None,
        makes=tuple(one.makes for _, one in _all_moves(spec) if one.makes is not None),
        by={(start, one.to): one.by for start, one in _all_moves(spec) if one.by is not None},
    )


def _fields(rule: Rule, scope: Scope) -> tuple[FieldSpec, ...]:
    return tuple(spec for path in rule.canonical if (spec := scope.own(path)) is not None)


def _direction(spec: RuleSpec) -> Literal["both", "to_canonical", "from_canonical"]:
    if spec.const is not None or (spec.put is not None and spec.get is None):
        return "from_canonical"
    return "to_canonical" if spec.get is not None and spec.put is None else spec.direction


def _externals(world: World, place: Path, spec: RuleSpec, rule: Rule, scope: Scope) -> None:
    if not rule.external and not (spec.get is not None and rule.direction == "to_canonical"):
        world.findings.add(place, "the rule names no external field", "add `external`")
    for name in rule.external:
        _known_external(world, (*place, "external"), name, scope)


def _known_external(world: World, place: Path, name: str, scope: Scope) -> None:
    parts = world.parts(name)
    if any(isinstance(part, str) and set(part) & set("[]") for part in parts) and not world.literal_names:
        world.findings.add(place, f"`{name}`: a flag in brackets tells one element of a list", "as in items[isDefault].city")
    elif isinstance(parts[-1], tuple):
        world.findings.add(place, f"`{name}` ends in an element, which is no value", "name one of the element's fields behind it")
    elif name == SLOT and _in_slots(world, scope):
        return
    elif name.startswith("$"):
        world.findings.add(place, f"`{name}`: only $connection.NAME is known, as a value", "name a field")
    elif scope.described and world.stream is not None and world.field_name(name) not in world.stream.fields:
        world.findings.add(place, f"unknown-external: {world.stream.name} has no field `{name}`", near(name, world.stream.fields))


def _in_slots(world: World, scope: Scope) -> bool:
    return scope.place[0] == "lists" and world.spec.body.lists[str(scope.place[1])].slots is not None


def _known_canonical(world: World, place: Path, path: str, scope: Scope) -> None:
    if scope.own(path) is None:
        world.findings.add(place, f"unknown-canonical: there is no field `{path}`", near(path, scope.fields))


def _expression(world: World, place: Path, text: str | None, check: Callable[[str], None]) -> expression.Expression | None:
    if text is None:
        return None
    try:
        parsed = expression.parse(text, lambda _path: "None")
    except expression.NotAnExpression as error:
        world.findings.add(place, f"expression: {error}", GRAMMAR)
        return None
    for path in parsed.reads:
        check(path)
    return parsed


def _via(world: World, place: Path, spec: RuleSpec, rule: Rule, scope: Scope) -> tuple[Transform, ...]:
    setting = Setting(
        fields=_fields(rule, scope),
        externals=len(rule.external),
        known=scope.known,
        tables=world.spec.body.tables,
        codes=world.codes,
        values=world.values,
        text_numbers=world.literal_names,
        two_way=rule.direction != "to_canonical",
        used_codes=world.used_codes,
        used_plug_ins=world.used_plug_ins,
    )
    built: list[Transform] = []
    for number, entry in enumerate(spec.via):
        at = (*place, "via", number)
        try:
            transform = build(entry, setting)
        except Misused as error:
            world.findings.add(at, str(error), error.way_out)
            continue
        if not transform.two_way and rule.direction != "to_canonical":
            world.findings.add(at, f"`{transform.name}` is one-way", "set direction: to_canonical")
        built.append(transform)
    return tuple(built)


def _shape(world: World, place: Path, spec: RuleSpec, rule: Rule, via: tuple[Transform, ...]) -> None:
    add = world.findings.add
    if spec.const is not None and (spec.via or spec.get or spec.put or spec.ref or spec.default is not None):
        add((*place, "const"), "`const` stands alone: it goes out as it is", "remove via, get, put, ref and default")
    if not rule.canonical and "write" in spec.model_fields_set and spec.write != "create_only":
        what = "a constant goes out when a record is created: no change of a golden record asks for it again"
        add((*place, "write"), what, "write: create_only, or remove it")
    if spec.const is not None and spec.direction == "to_canonical":
        add((*place, "direction"), "a constant goes out, it is never read", "remove `direction`")
    if (spec.get or spec.put) and (spec.via or spec.ref):
        add(place, "an expression stands alone", "use either get/put or via/ref")
    if spec.get and spec.put is None and spec.direction == "from_canonical":
        add((*place, "direction"), "a rule with `get` alone is only read", "remove `direction`, or add `put`")
    if spec.put and spec.get is None and spec.direction == "to_canonical":
        add((*place, "direction"), "a rule with `put` alone is only written", "remove `direction`, or add `get`")
    many = {t.many for t in via if t.many}
    if len(rule.canonical) > 1 and not many & {"canonical"}:
        add(place, "several canonical paths need a transform that makes several values", "use `lines` or `split_name` as the last of `via`")
    if len(rule.external) > 1 and not many & {"external"} and not (spec.get and rule.direction == "to_canonical"):
        add(place, "several external fields need a transform that takes them", "use `join` as the first of `via`")
    if any(t.many == "canonical" for t in via[:-1]):
        add((*place, "via"), "a transform that makes several values is the last one", "move it")
    if any(t.many == "external" for t in via[1:]):
        add((*place, "via"), "a transform that takes several fields is the first one", "move it")
    if spec.ref and spec.nulls.out == "default":
        add((*place, "nulls"), "a reference has no default on the way out", "remove `out: default`: an empty reference clears the field")
    if spec.required and spec.write == "update_only":
        add((*place, "required"), "a create waits for it, and with `write: update_only` no create ever fills it", "remove one of the two")
    if len(rule.canonical) > 1 and (spec.default is not None or spec.ref):
        add(place, "`default` and `ref` are for one canonical path")
    for reason in spec.accept_loss:
        if not all(reason.partition(": ")[::2]):
            add((*place, "accept_loss"), "an accepted loss is `what: reason`", 'as in "PutGet: the repeated hour in October"')
        elif (kind := reason.partition(": ")[0]) not in LOSSES:
            add((*place, "accept_loss"), f"`{kind}` is no loss that can be accepted", near(kind, LOSSES))
    _to_no_effect(world, place, spec, rule)


LOSSES = ("PutGet", "GetPutGet", "fallback")
"""The losses that a rule may accept."""


def _to_no_effect(world: World, place: Path, spec: RuleSpec, rule: Rule) -> None:
    """Complain of what a rule says about the direction in which it does not go."""
    read_only = {"write": spec.write != "always", "overflow": spec.overflow != "error", "nulls": spec.nulls.out != "clear"}
    written_only = {"nulls": spec.nulls.into not in (None, "set"), "default": spec.default is not None and spec.nulls.out != "default"}
    said, which = {"to_canonical": (read_only, "read"), "from_canonical": (written_only, "written")}.get(rule.direction, ({}, ""))
    for key in (key for key, there in said.items() if there and key in spec.model_fields_set):
        what = f"`{key}` says what happens {'on the way out' if which == 'read' else 'on the way in'}, and the rule is only {which}"
        world.findings.add((*place, key), what, f"remove it, or correct the direction of the rule ({rule.direction})")


def _reference(world: World, place: Path, spec: RuleSpec, fields: tuple[FieldSpec, ...]) -> None:
    add = world.findings.add
    to = fields[0].to if len(fields) == 1 else None
    if spec.ref is None:
        if to is not None and spec.const is None:
            add(place, f"`{fields[0].path}` is a reference", f"add ref: {{entity: {to}, required: false}}")
    elif spec.ref.entity not in MODELS:
        add((*place, "ref"), f"there is no entity `{spec.ref.entity}`", near(spec.ref.entity, MODELS))
    elif spec.ref.entity != to:
        add((*place, "ref"), f"`{place[-1]}` is no reference to {spec.ref.entity}", f"it points at {to}" if to else "remove `ref`")


def _moves(world: World, place: Path, spec: RuleSpec, fields: tuple[FieldSpec, ...]) -> None:
    if spec.moves is None:
        return
    choices = fields[0].choices if len(fields) == 1 else ()
    if not choices:
        world.findings.add((*place, "moves"), "only a field with declared states has moves", "remove `moves`")
        return
    for start, ends in spec.moves.items():
        for one in map(_move, ends):
            _other(world, (*place, "moves", start), "makes", one.makes)
            _other(world, (*place, "moves", start), "by", one.by)
        unknown = [state for state in (start, *(one.to for one in map(_move, ends))) if state not in choices]
        for state in unknown:
            what = f"unknown-move: `{state}` is no state of `{fields[0].path}`"
            world.findings.add((*place, "moves", start), what, near(state, choices))
        if unknown:
            continue
        known = (fields[0].moves or {}).get(start, ())
        for state in (one.to for one in map(_move, ends) if fields[0].moves is not None and one.to not in known):
            what = f"unknown-move: `{fields[0].path}` of {world.spec.entity} never goes from {start} to {state}"
            world.findings.add((*place, "moves", start), what, f"it goes to {', '.join(known)}" if known else f"{start} is its last state")


def _other(world: World, place: Path, word: str, other: str | None) -> None:
    """What a move makes refers to its record by a field, and what makes the move by any, of a line too."""
    own = world.spec.entity
    if other is not None and other not in MODELS:
        world.findings.add(place, f"there is no entity `{other}`", near(other, MODELS))
    elif other is not None and own not in (entity_spec(other).references.values() if word == "makes" else entity_spec(other).parents):
        does = "it makes" if word == "makes" else "makes it"
        world.findings.add(place, f"{other} has no reference to {own}, by which the record that {does} could be told", f"remove `{word}`")


def _move(end: str | MoveSpec) -> MoveSpec:
    return MoveSpec(to=end) if isinstance(end, str) else end


def _all_moves(spec: RuleSpec) -> Iterator[tuple[str, MoveSpec]]:
    return ((start, _move(end)) for start, ends in (spec.moves or {}).items() for end in ends)


def _value(world: World, place: Path, raw: Any, fields: tuple[FieldSpec, ...]) -> Any:
    value = _constant(world, raw)
    if value is None or len(fields) != 1:
        return None
    spec = fields[0]
    try:
        value = spec.normalise(value) if spec.normalise else value
    except ValueError:
        world.findings.add(place, f"the default is no value of `{spec.path}`", f"it takes a value of kind {spec.kind}")
    if spec.choices and value not in spec.choices:
        world.findings.add(place, f"`{value}` is no value of `{spec.path}`", f"it takes {', '.join(spec.choices)}")
    return value


def _constant(world: World, raw: Any) -> Any:
    return world.values.get(raw.removeprefix(CONNECTION)) if isinstance(raw, str) and raw.startswith(CONNECTION) else raw


def _not_the_key(world: World, plans: list[Plan]) -> None:
    """Complain of rules that write what only the bridge or the system itself writes."""
    key = world.spec.body.key
    for plan in plans:
        for name in plan.externals if plan.puts else ():
            if name == world.field_name(key.external_id or ""):
                what = f"two-writers: `{name}` carries the bridge's reference (`external_id`), and `{plan.rule.name}` writes it"
                world.findings.add((*plan.place, "external"), what, "name another field in one of them")
            elif name == world.field_name(key.id or "") and name not in key.natural:
                what = f"two-writers: `{name}` is the record's key, and `{plan.rule.name}` writes it"
                world.findings.add((*plan.place, "external"), what, "only read it: direction: to_canonical")


def _one_each(world: World, plans: list[Plan], names: Callable[[Plan], tuple[str, ...]], verb: str, both: str) -> None:
    first: dict[str, Plan] = {}
    for plan in plans:
        for name in names(plan):
            other = first.setdefault(name, plan)
            if other is not plan:
                what = f"two-writers: `{other.rule.name}` and `{plan.rule.name}` {both} `{name}`"
                world.findings.add(plan.place, what, f"let it be {verb} by one rule: give the other a direction")


def _ordered(world: World, plans: list[Plan], scope: Scope) -> list[Plan]:
    by_path = {path: plan for plan in plans if plan.gets for path in plan.rule.canonical}
    done: list[Plan] = []
    open_: set[str] = set()

    def visit(plan: Plan) -> None:
        if plan in done:
            return
        if plan.rule.name in open_:
            world.findings.add(plan.place, "the rule takes a value that depends on itself", "break the circle of `via` options")
            return
        open_.add(plan.rule.name)
        for path in plan.arguments if plan.gets else ():
            if path in by_path:
                visit(by_path[path])
            elif scope.own(path) is not None:
                what = f"`{plan.rule.name}` takes `{path}`, which no rule here reads"
                world.findings.add((*plan.place, "via"), what, f"add a rule that reads `{path}`, or name $connection.NAME")
        done.append(plan)

    for plan in plans:
        visit(plan)
    return done


def document_scope(spec: MappingSpec) -> Scope:
    """Return the canonical side of the mapping's own fields."""
    return Scope(entity_spec(spec.entity).fields, {}, ("fields",), described=True)


def line_scope(spec: MappingSpec, name: str) -> Scope:
    """Return the canonical side of the lines of the list ``name``."""
    entity = entity_spec(spec.entity)
    return Scope(entity.lists[name], entity.fields, ("lists", name, "fields"), described=False)


def tables_of(spec: MappingSpec) -> list[tuple[Path, TableSpec]]:
    """Return the tables of a mapping with their places; those that stand in a rule's `via` are checked with the rule."""
    return [(("tables", name), table) for name, table in spec.body.tables.items()]


def table_of(spec: MappingSpec, rule: RuleSpec) -> TableSpec | None:
    """Return the value map of a rule, wherever it stands."""
    for entry in rule.via:
        options = entry.get("map") if isinstance(entry, dict) else None
        if isinstance(options, str):
            return spec.body.tables[options]
        if options is not None:
            return TableSpec.model_validate(options)
    return None


def named_in_table(spec: MappingSpec, rule: RuleSpec) -> tuple[Any, ...] | None:
    """Return the external values that the value map of a rule names; None where it has none, so that any may be meant."""
    table = table_of(spec, rule)
    return (*table.pairs, *table.write.values()) if table is not None else None


def external_names(rule: RuleSpec) -> tuple[str, ...]:
    """Return the names of the external fields that a rule stands on, as the mapping has them."""
    return _tuple(rule.external)


def _tuple(value: str | list[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def near(name: str, known: Any) -> str:
    """Return what may have been meant, or what there is."""
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), 1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(one[:40] for one in sorted(known)[:12])}"
