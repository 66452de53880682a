"""One generated function for each mapping and direction, and what the engine asks of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from erpcrm_bridge.connector import Stream
from erpcrm_bridge.mapping import expression
from erpcrm_bridge.mapping.format import AssignsSpec, Findings, ListSpec, MappingSpec
from erpcrm_bridge.mapping.pause import Pause
from erpcrm_bridge.mapping.rules import (
    CONNECTION,
    GRAMMAR,
    SLOT,
    Part,
    Plan,
    Rule,
    World,
    document_scope,
    line_scope,
    named_in_table,
    near,
    plan_rules,
)
from erpcrm_bridge.mapping.source import FieldError, Source, dig, dig_or, write_get, write_put
from erpcrm_bridge.model.entities import MODELS, entity_spec
from erpcrm_bridge.model.ids import counts_once
from erpcrm_bridge.model.money import CURRENCY
from erpcrm_bridge.model.records import Child, Selection
from erpcrm_bridge.model.values import Fields, digest
from erpcrm_bridge.settings.yaml import Path

LANGUAGE = 1
"""Raised whenever the same file begins to mean something else: it is part of every digest."""

_NOTHING = (None, "", False)
"""What a field of a slot holds that holds nothing."""
_NO_PATHS: frozenset[str] = frozenset()
_ONLY_TOLD = {"note", "accept_loss", "optional"}
"""Keys of a rule that change nothing of what it means."""

Refs: TypeAlias = Mapping[tuple[str, str], str]
"""For get: (entity, external key) to golden id; for put: (entity, golden id) to external key. A put may be given both: keys of aliases in
the base are then known as the reference that golden holds, and are not written over."""

UNHEARD = "-"
"""Begins the meaning of a path that is written and never read."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledList:
    """The rules of one list. ``external`` is the name under which a record holds its rows, ``key`` a row's own key field, ``writes``
    the fields of a row that are written. ``slots``, by name: the fields of the record that make up each row, by their names in the row;
    such a list is written as fields."""

    name: str
    external: str
    key: str
    write: Literal["keyed", "replace"]
    child: Child | None
    rules: tuple[Rule, ...]
    readable: frozenset[str]
    writable: frozenset[str]
    writes: tuple[str, ...]
    slots: dict[str, dict[str, str]]
    names: frozenset[str]
    """The fields of a record in which the rows stand."""
    source: dict[str, str] = field(repr=False)
    _get: Callable[..., Fields] = field(repr=False)
    _put: Callable[..., Fields] = field(repr=False)
    _plans: tuple[Plan, ...] = field(repr=False)
    _world: World = field(repr=False)
    _guessing: tuple[Plan, ...] = field(repr=False)

    def held(self, fields: Fields) -> list[Fields] | None:
        """Return the rows that a record holds under its own name of the list, or in its slots; None where they were not said."""
        if not self.slots:
            rows: list[Fields] | None = fields.get(self.external)
            return rows
        if fields.keys().isdisjoint(self.names):
            return None
        found = [{SLOT: slot, **{name: fields.get(at) for name, at in row.items()}} for slot, row in self.slots.items()]
        return [row for row in found if self.shows(row)]

    def shows(self, row: Fields) -> bool:
        """Tell whether a slot that holds this is a row: one whose fields are all empty is free."""
        return any(value not in _NOTHING for name, value in row.items() if name != SLOT)

    def in_slots(
        self, add: Mapping[str, Fields], change: Mapping[str, Mapping[str, Any]], remove: Iterable[str], *, create: bool
    ) -> Fields:
        """Return the fields of the record by which lines are added (by line id, each with its slot), changed (by slot) and removed."""
        written = [name for name in self.writes if name != SLOT]
        put: Fields = {} if create else {self.slots[slot][name]: None for slot in remove for name in written}
        for row in add.values():
            at = self.slots[row[SLOT]]
            put.update({at[name]: row.get(name) for name in written if not create or row.get(name) is not None})
        for slot, fields in change.items():
            put.update({self.slots[slot][name]: value for name, value in fields.items()})
        return put

    def get(self, row: Fields, document: Fields, refs: Refs, errors: list[FieldError]) -> Fields:
        """Return the canonical fields of a line, without its id. ``document`` holds the canonical fields of the document around it.

        The path of an error names the list too (``lines.quantity``).
        """
        own: list[FieldError] = []
        said = self._get(row, document, refs, own)
        return self._told(said, own, errors)

    def put(
        self,
        line: Fields,
        document: Fields,
        base_row: Fields | None,
        refs: Refs,
        errors: list[FieldError],
        *,
        create: bool,
        paths: frozenset[str] | None = None,
    ) -> Fields:
        """Return the external fields of a row that must be written; ``base_row`` is the row as it is known, ``paths`` the fields of the
        line that are looked at, where not all are. Errors as in ``get``."""
        own: list[FieldError] = []
        put = self._put(line, document, base_row, refs, own, create=create, paths=paths)
        return self._told(put, own, errors)

    def unfilled(self, row: Fields) -> list[str]:
        """Return the fields of a line that are required on a create, and that a new row leaves empty."""
        required = [plan for plan in self._plans if plan.rule.required and plan.puts]
        return [plan.rule.about[0] for plan in required if all(row.get(name) is None for name in plan.externals)]

    def asked(self, row: Mapping[str, Any], *, create: bool) -> frozenset[str]:
        """Return the fields of a line that a write of ``row`` asks for: on a create all that are written then, else those it names."""
        puts = [plan for plan in self._plans if plan.puts and (not create or plan.rule.write != "update_only")]
        asking = [plan for plan in puts if create or any(self._world.top(name) in row for name in plan.externals)]
        return frozenset(path for plan in asking for path in plan.rule.canonical)

    def guessed(self, row: Fields) -> frozenset[str]:
        """Return the fields of a line whose values here are a fallback's: what the row holds was not understood."""
        return _guessed(self._world, self._guessing, row)

    def _told(self, result: Fields, own: list[FieldError], errors: list[FieldError]) -> Fields:
        for error in own:
            error.path = f"{self.name}.{error.path}"
            errors.append(error)
        return result

    def rows(self, fields: Fields) -> list[Fields]:
        """Return the rows that a record holds; none where the list was not said or is null."""
        if self.slots:
            return self.held(fields) or []
        parts = (self.external,) if self.child is not None else self._world.parts(self.external)
        try:
            return dig(fields, parts) or []
        except KeyError:
            return []


@dataclass(frozen=True, slots=True, eq=False)
class CompiledMapping:
    """A mapping against one connection: its code tables, its values, its stream.

    ``digest`` stands for all of it; ``meanings`` for what it says of each canonical path (lists by name). ``version`` names the field that
    says when a record was last changed, ``when`` is the filter as it is written, where the mapping has them. ``paused`` are the canonical
    paths (lists by name) that cannot be read now because their system does not offer a field as it was pinned, ``unwritten`` those that
    cannot be written, each with the reason; ``unfilled`` the fields that a create must name and no rule fills.
    """

    name: str
    entity: str
    connector: str
    stream: str
    digest: str
    meanings: dict[str, str]
    selection: Selection
    version: str | None
    when: str | None
    rules: tuple[Rule, ...]
    readable: frozenset[str]
    writable: frozenset[str]
    lists: dict[str, CompiledList]
    paused: dict[str, str]
    unwritten: dict[str, str]
    unfilled: tuple[str, ...]
    stops: str
    """What stands for all that is paused; empty where nothing is."""
    source: dict[str, str] = field(repr=False)
    written: tuple[str, ...]
    """The writable paths that are no lists."""
    stateful: frozenset[str]
    """The paths of state fields with moves."""
    unread: frozenset[str]
    """Paths that are written and never read, and take neither a reference nor moves: golden and base alone decide what is written."""
    founding: frozenset[str]
    """Paths that are read, and that a create requires and no update writes: the record is made of them."""
    denominated: dict[str, frozenset[str]]
    """By a currency that no update writes: the paths, lists by name, whose amounts an update writes in it."""
    _applies: Callable[[Fields], bool] | None = field(repr=False)
    _get: Callable[..., Fields] = field(repr=False)
    _put: Callable[..., Fields] = field(repr=False)
    _plans: tuple[Plan, ...] = field(repr=False)
    _world: World = field(repr=False)
    _affected: dict[str, frozenset[str]] = field(repr=False)
    _guessing: tuple[Plan, ...] = field(repr=False)
    _referring: tuple[Plan, ...] = field(repr=False)

    def applies(self, fields: Fields) -> bool:
        """Tell whether the record is one of this mapping's (`when`). A record for which it cannot be worked out is not: it sleeps."""
        if self._applies is None:
            return True
        try:
            return bool(self._applies(fields))
        except Exception:
            return False

    def get(self, fields: Fields, refs: Refs, errors: list[FieldError]) -> Fields:
        """Return canonical values by path; a path that is absent was not said, kept (`nulls.in: keep`) or is in ``errors``."""
        return self._get(fields, refs, errors)

    def narrowed(self, paths: Iterable[str]) -> Callable[[Fields, Refs, list[FieldError]], Fields]:
        """Return a get of these canonical paths alone, with what they need and the required references."""
        return _narrowed(self, frozenset(paths))

    def put(
        self,
        golden: Fields,
        base: Fields | None,
        refs: Refs,
        errors: list[FieldError],
        *,
        create: bool,
        paths: frozenset[str] | None = None,
        said: Fields | None = None,
    ) -> Fields:
        """Return the external fields that must be written so that the system says what golden says. ``said`` is what get says of the base,
        where the caller knows.

        Left out is a rule that golden does not name or ``paths`` does not touch, one whose get of the base gives the golden value already
        (GetPut), and a value equal to the base's. A state field with moves is written on a create alone, where its first state can be.
        """
        return self._put(golden, base, refs, errors, create=create, paths=paths, said=said)

    def parts(self, external: str) -> tuple[Part, ...]:
        """Return the keys that lead to an external value in a record."""
        return self._world.parts(external)

    def affected(self, externals: Iterable[str]) -> frozenset[str]:
        """Return the canonical paths whose get reads any of these external names (lists by name)."""
        known = self._affected
        found = [known[name] for name in externals if name in known]
        return found[0] if len(found) == 1 else frozenset().union(*found)

    def externals(self, path: str) -> tuple[str, ...]:
        """Return the external names that the put of this canonical path writes."""
        touched = (plan for plan in self._plans if plan.puts and path in plan.touched_by)
        return tuple(dict.fromkeys(name for plan in touched for name in plan.rule.external))

    def empty(self, rule: Rule, put: Fields) -> bool:
        """Tell whether a put leaves all of the fields empty that this rule writes."""
        externals = next(plan.externals for plan in self._plans if plan.rule is rule)
        return all(dig_or(put, self._world.parts(name), None) is None for name in externals)

    def guessed(self, fields: Fields) -> frozenset[str]:
        """Return the canonical paths, lists aside, whose values here are a fallback's: what the record holds was not understood."""
        return _guessed(self._world, self._guessing, fields)

    @property
    def refers(self) -> bool:
        """Whether get looks up any reference, in lists too."""
        return bool(self._referring) or bool(self.lists)

    def references_in(self, fields: Fields) -> set[tuple[str, str]]:
        """Return (entity, external key) of every reference that get will look up, lists included."""
        found = _keys_in(self._world, self._referring, fields)
        for compiled in self.lists.values():
            for row in compiled.rows(fields):
                found |= _keys_in(self._world, compiled._plans, row)
        return found

    def references_out(self, golden: Fields) -> set[tuple[str, str]]:
        """Return (entity, golden id) of every reference that put will look up, lists included."""
        found = _ids_out(self._plans, golden)
        for compiled in self.lists.values():
            for line in golden.get(compiled.name) or []:
                found |= _ids_out(compiled._plans, line)
        return found


def compile_mapping(
    spec: MappingSpec,
    *,
    codes: Mapping[str, Mapping[str, str]],
    values: Mapping[str, Any],
    stream: Stream | None,
    children: Mapping[str, Stream] | None = None,
    names: frozenset[str] = frozenset(),
    pauses: Mapping[str, Pause] | None = None,
) -> CompiledMapping:
    """Return ``spec`` compiled against a connection's code tables and declared values, and the stream as its system describes it.

    Without a stream neither unknown external names nor lengths are known; what is passed through are then ``names``. ``children`` are the
    streams of its lists, by name, or more. ``pauses`` tell, by stream, what is left alone of it. Raises ConfigError with every finding.
    """
    findings = Findings(spec.document)
    world = World(spec, codes, values, stream, findings, names, pauses=pauses or {}, children=children or {})
    if spec.entity not in MODELS:
        findings.add(("entity",), f"there is no entity `{spec.entity}`", f"known: {', '.join(sorted(MODELS))}")
        findings.raise_any(f"The mapping {spec.name} cannot be compiled.")
    plans = plan_rules(world, spec.body.fields, document_scope(spec))
    line_plans = {
        name: plan_rules(world, body.fields, line_scope(spec, name))
        for name, body in spec.body.lists.items()
        if _known_list(world, name, body)
    }
    for name, of_list in line_plans.items():
        _check_slots(world, name, of_list, plans)
    when = _when(world)
    _key(world, plans)
    findings.raise_any(f"The mapping {spec.name} cannot be compiled.")

    world.paused.update(_paused(world, plans, line_plans))
    unwritten = _unwritten(world, plans, line_plans)
    own = _digest(world, plans)
    lists = {name: _compile_list(world, name, body, line_plans[name], own) for name, body in spec.body.lists.items()}
    get, put, source = _functions(world, plans, spec.name, own, around=None)
    return CompiledMapping(
        name=spec.name,
        entity=spec.entity,
        connector=spec.connector,
        stream=spec.stream,
        digest=own,
        meanings=_meanings(world, plans),
        selection=_selection(world, plans, lists, when[1] if when else ()),
        version=spec.body.key.version,
        when=spec.body.when,
        rules=tuple(plan.rule for plan in plans),
        readable=_readable(plans) | {name for name, compiled in lists.items() if compiled.readable},
        writable=_writable(plans) | {name for name, compiled in lists.items() if compiled.writable},
        lists=lists,
        paused=dict(world.paused),
        unwritten=unwritten,
        unfilled=_unfilled(world, plans),
        stops=digest([world.paused, unwritten]) if world.paused or unwritten else "",
        source=source,
        written=tuple(sorted(_writable(plans) - lists.keys())),
        stateful=frozenset(path for plan in plans if plan.rule.state for path in plan.rule.canonical),
        unread=_writable([plan for plan in plans if plan.rule.reference is None and plan.rule.state is None]) - _readable(plans),
        founding=frozenset(path for plan in plans if plan.rule.required and _founds(plan) for path in plan.rule.canonical),
        denominated=_denominated(spec, plans, line_plans),
        _applies=when[0] if when else None,
        _get=get,
        _put=put,
        _plans=tuple(plans),
        _world=world,
        _affected=_affected(world, plans, lists),
        _referring=tuple(plan for plan in plans if plan.gets and plan.rule.reference),
        _guessing=_guesses(plans),
    )


def _paused(world: World, plans: Sequence[Plan], lists: Mapping[str, Sequence[Plan]]) -> dict[str, str]:
    """Return the canonical paths that cannot be read now, those that take them beside their value, and lists; each with the reason.

    A list pauses as one: its lines cannot be told apart, nor add up, by some of their fields.
    """
    found: dict[str, str] = {}
    silent = world.pause().silent
    for plan in plans:  # in an order in which each stands after what it takes
        why = next((silent[name] for name in map(world.field_name, (*plan.reads, *plan.externals)) if name in silent), None)
        why = why or next((found[path] for path in plan.arguments if path in found), None)
        if why is not None:
            found |= dict.fromkeys(plan.rule.canonical, why)
    for name, of_list in lists.items():
        external = world.spec.body.lists[name].inline
        pause = world.pause(name)
        reasons = [pause.gone, silent.get(world.field_name(external), "") if external is not None else ""]
        reasons += [silent.get(at, "") for row in _slots(world, name, of_list).values() for at in row.values()]
        reasons += [
            pause.silent.get(one, "")
            for one in (str(world.spec.body.lists[name].key), *(n for p in of_list for n in (*p.reads, *p.externals)))
        ]
        reasons += [found.get(path, "") for plan in of_list for path in plan.arguments]
        if why := next(filter(None, reasons), None):
            found[name] = why
    return found


def _unwritten(world: World, plans: Sequence[Plan], lists: Mapping[str, Sequence[Plan]]) -> dict[str, str]:
    """Return, by canonical path (of a line's field with its list), why something of it cannot be written now."""
    found: dict[str, str] = {}
    for name, of_one in (("", plans), *lists.items()):
        pause = world.pause(name)
        for plan in of_one:
            if not plan.puts or plan.rule.state is not None:
                continue
            whys = [pause.silent, *([pause.on_create] if plan.rule.write != "update_only" else [])]
            whys += [pause.on_update] if plan.rule.write != "create_only" else []
            for external in map(world.field_name, plan.externals):
                why = next((why[external] for why in whys if external in why), None)
                named = named_in_table(world.spec, plan.spec)
                lost = pause.values.get(external, {}).items()
                why = why or next((why for value, why in lost if named is None or value in named), None)
                if why is not None:
                    found |= {f"{name}.{path}" if name else path: why for path in plan.rule.about}
    return found


def _unfilled(world: World, plans: Sequence[Plan]) -> tuple[str, ...]:
    key = world.spec.body.key
    filled = {world.field_name(name) for plan in plans if plan.puts and plan.rule.write != "update_only" for name in plan.externals}
    filled |= {*key.natural, *(name for name in (key.id, key.external_id) if name is not None)}
    fields = world.stream.fields.values() if world.stream is not None else ()
    return tuple(field.name for field in fields if field.required and field.creatable and field.name not in filled)


@lru_cache(maxsize=256)
def _narrowed(mapping: CompiledMapping, paths: frozenset[str]) -> Callable[[Fields, Refs, list[FieldError]], Fields]:
    wanted = set(paths)
    while True:
        plans = [
            plan
            for plan in mapping._plans
            if plan.gets and (wanted.intersection(plan.rule.canonical) or (plan.rule.reference and plan.rule.reference[1]))
        ]
        needed = wanted.union(path for plan in plans for path in plan.arguments)
        if needed == wanted:
            break
        wanted = needed
    get, _, _ = _functions(mapping._world, plans, f"{mapping.name} narrowed", mapping.digest, around=None)
    return get


def _functions(
    world: World, plans: Sequence[Plan], name: str, own: str, *, around: str | None
) -> tuple[Callable[..., Fields], Callable[..., Fields], dict[str, str]]:
    inward = Source(world, f"<mapping {name} to_canonical {own}>")
    outward = Source(world, f"<mapping {name} from_canonical {own}>")
    if around is None:
        write_get(inward, plans, "fields, refs, errors", record="fields", around=None)
        write_put(outward, plans, "golden, base, refs, errors, *, create, paths=None, said=None", record="golden", base="base", around=None)
    else:
        write_get(inward, plans, "row, document, refs, errors", record="row", around=around)
        write_put(
            outward, plans, "line, document, base_row, refs, errors, *, create, paths=None", record="line", base="base_row", around=around
        )
    get = inward.function("get")
    outward.namespace["get_base"] = get
    return get, outward.function("put"), {"to_canonical": inward.text, "from_canonical": outward.text}


def _compile_list(world: World, name: str, body: ListSpec, plans: Sequence[Plan], own: str) -> CompiledList:
    get, put, source = _functions(world, plans, f"{world.spec.name} {name}", own, around="document")
    child = None
    slots = _slots(world, name, plans)
    external = body.child.stream if body.child is not None else f"${name}" if slots else str(body.inline)
    if body.child is not None:
        child = Child(body.child.stream, body.child.parent, str(body.key), _named(world, plans))
    return CompiledList(
        name=name,
        external=external,
        key=body.key or SLOT,
        write=body.write or "keyed",
        child=child,
        rules=tuple(plan.rule for plan in plans),
        readable=_readable(plans),
        writable=_writable(plans),
        writes=tuple(dict.fromkeys(name for plan in plans if plan.puts for name in plan.rule.external)),
        slots=slots,
        names=frozenset(at for row in slots.values() for at in row.values()) or frozenset((external,)),
        source=source,
        _get=get,
        _put=put,
        _plans=tuple(plans),
        _world=world,
        _guessing=_guesses(plans),
    )


def _known_list(world: World, name: str, body: ListSpec) -> bool:
    known = entity_spec(world.spec.entity).lists
    if name not in known:
        what = f"unknown-canonical: {world.spec.entity} has no list `{name}`"
        world.findings.add(("lists", name), what, f"known: {', '.join(known)}" if known else "it has none")
        return False
    add = world.findings.add
    if sum(place is not None for place in (body.child, body.inline, body.slots)) != 1:
        add(("lists", name), "a list lives either in a `child` stream, `inline`, or in `slots`", "give one of the three")
    given = [part for part, said in (("key", body.key), ("write", body.write)) if said is not None]
    for part in {"key", "write"} - set(given) if body.slots is None else ():
        add(("lists", name), f"`{part}` is missing", "add it")
    for part in given if body.slots is not None else ():
        add(("lists", name, part), f"`{part}` stands beside `slots`: a row's key is its slot, and it is written in its fields", "remove it")
    return True


def _slots(world: World, name: str, plans: Sequence[Plan]) -> dict[str, dict[str, str]]:
    """Return, by slot, the record's fields by their names in a row."""
    slots = world.spec.body.lists[name].slots or {}
    named = [external for external in _named(world, plans) if external != SLOT]
    return {slot: {external: one.prefix + external for external in named} for slot, one in slots.items()}


def _check_slots(world: World, name: str, plans: Sequence[Plan], own: Sequence[Plan]) -> None:
    """Complain of slots that share their fields with another, or with a rule that writes them, and of fields that are not there."""
    body, add = world.spec.body.lists[name], world.findings.add
    first: dict[str, str] = {}
    for slot, one in (body.slots or {}).items():
        other = first.setdefault(one.prefix, slot)
        if other != slot:
            what = f"two-writers: the slots `{other}` and `{slot}` have one prefix, and so the same fields"
            add(("lists", name, "slots", slot, "prefix"), what, "give each its own")
    written = {external: plan for plan in own if plan.puts for external in plan.externals}
    fields = world.stream.fields if world.stream is not None else None
    for plan in plans if body.slots else ():
        place = (*plan.place, "external")
        if SLOT in plan.externals and plan.puts and plan.rule.write != "create_only":
            add(place, "a line stays in the slot that it is in", "set write: create_only, or direction: to_canonical")
        for external in (one for one in dict.fromkeys((*plan.externals, *plan.reads)) if one != SLOT):
            if len(world.parts(external)) > 1:
                add(place, f"`{external}`: what stands in a slot is a field of the record itself", "name it without the prefix")
            for slot, one in (body.slots or {}).items():
                at = one.prefix + external
                if fields is not None and at not in fields:
                    what = f"unknown-external: {world.spec.stream} has no field `{at}` for the slot `{slot}`"
                    add(place, what, near(at, fields))
                if plan.puts and at in written:
                    what = f"two-writers: `{written[at].rule.name}` and the slot `{slot}` both write `{at}`"
                    add(place, what, "leave one of them to the other")


def _when(world: World) -> tuple[Callable[[Fields], bool], tuple[str, ...]] | None:
    text = world.spec.body.when
    if text is None:
        return None

    def read(path: str) -> str:
        parts = world.parts(path)
        return f"fields.get({path!r})" if len(parts) == 1 else f"dig_or(fields, {parts!r}, None)"

    try:
        parsed = expression.parse(text, read)
    except expression.NotAnExpression as error:
        world.findings.add(("when",), f"expression: {error}", GRAMMAR)
        return None
    for path in parsed.reads:
        if world.stream is not None and world.field_name(path) not in world.stream.fields:
            world.findings.add(("when",), f"unknown-external: {world.stream.name} has no field `{path}`")
        _needed(world, ("when",), path)
    source = Source(world, f"<mapping {world.spec.name} when>")
    source.add(0, "def applies(fields):")
    source.add(1, f"return {parsed.source}")
    return source.function("applies"), parsed.reads


def _needed(world: World, place: Path, name: str) -> None:
    """Complain where a field is not there as it was pinned, and no record can be told without it."""
    why = world.pause().silent.get(world.field_name(name))
    if why is not None:
        world.findings.add(
            place, f"unknown-external: {why}, and the mapping cannot do without it", "mend it, then: erpcrm-bridge mapping lock"
        )


def _key(world: World, plans: Sequence[Plan]) -> None:
    """Complain of what is wrong with the key, and with who assigns it."""
    key, add, stream = world.spec.body.key, world.findings.add, world.stream
    if (key.id is None) == (not key.natural):
        add(("key",), "a key is either a field (`id`) or what people give (`natural`)", "give one of the two")
    for name in key.natural:
        writers = [plan for plan in plans if plan.puts and plan.rule.write != "create_only" and name in plan.externals]
        for plan in writers:
            add(plan.place, f"`{name}` is the natural key, which never changes", "set write: create_only, or direction: to_canonical")
    if stream is not None:
        named: dict[str, list[str | None]] = {
            "id": [key.id],
            "natural": [*key.natural],
            "external_id": [key.external_id],
            "version": [key.version],
        }
        for part, said in ((part, name) for part, names in named.items() for name in names if name is not None):
            if said not in stream.fields:
                add(("key", part), f"unknown-external: {stream.name} has no field `{said}`", near(said, stream.fields))
            _needed(world, ("key", part), said)
        if key.natural and tuple(key.natural) != stream.natural and len(key.natural) > 1:
            told = ", ".join(stream.natural) or "one field"
            add(("key", "natural"), f"the key of {stream.name} is not made of these", f"it is made of {told}")
    assigns = world.spec.body.assigns_keys
    if assigns is not None and not world.literal_names:
        add(("assigns_keys",), f"{world.spec.connector} assigns its keys itself", "remove `assigns_keys`")
    elif isinstance(assigns, AssignsSpec) and (assigns.bridge == "template") != (assigns.template is not None):
        add(("assigns_keys",), "`template` and bridge: template go together", "as in {bridge: template, template: 'C-{n:05d}'}")
    elif isinstance(assigns, AssignsSpec) and assigns.template is not None and not counts_once(assigns.template):
        what = "a template holds the number once, and no control characters"
        add(("assigns_keys", "template"), what, "write it as {n}, or filled up with zeros: 'C-{n:05d}'")
    elif isinstance(assigns, AssignsSpec) and assigns.start is not None and (assigns.bridge == "uuid" or assigns.start < 0):
        add(("assigns_keys", "start"), "`start` is the first number, 0 or more, of a counter or template", "correct or remove it")


def _named(world: World, plans: Sequence[Plan]) -> tuple[str, ...]:
    """Return the external names that the rules read or write, each once."""
    return tuple(dict.fromkeys(world.field_name(name) for plan in plans for name in (*plan.externals, *(plan.reads if plan.gets else ()))))


def _selection(world: World, plans: Sequence[Plan], lists: Mapping[str, CompiledList], when: tuple[str, ...]) -> Selection:
    inline = [at for name, one in lists.items() if one.child is None and name not in world.paused for at in sorted(one.names)]
    named = (*_named(world, plans), *(world.field_name(name) for name in (*when, *inline)))
    silent = world.pause().silent
    fields = [name for name in named if name not in silent]
    children = tuple(compiled.child for name, compiled in lists.items() if compiled.child is not None and name not in world.paused)
    key = world.spec.body.key
    more = [name for name in (key.external_id, key.version, *key.natural) if name is not None]
    assigns = world.spec.body.assigns_keys
    return Selection(
        world.spec.stream,
        key.id or (key.natural[0] if len(key.natural) == 1 else ""),
        tuple(dict.fromkeys((*fields, *more))),
        key.external_id,
        children,
        assigns.model_dump(exclude_none=True) if isinstance(assigns, AssignsSpec) else assigns,
    )


def _readable(plans: Sequence[Plan]) -> frozenset[str]:
    return frozenset(path for plan in plans if plan.gets for path in plan.rule.canonical)


def _writable(plans: Sequence[Plan]) -> frozenset[str]:
    """Return the canonical paths of which a change is to be written: where a rule is only written, each that its expression reads."""
    return frozenset(path for plan in plans if plan.puts for path in (plan.rule.canonical if plan.gets else plan.touched_by))


def _denominated(spec: MappingSpec, plans: Sequence[Plan], lists: Mapping[str, Sequence[Plan]]) -> dict[str, frozenset[str]]:
    """Return what an update writes in a currency that it does not write itself: amounts, and prices with decimals of their own."""
    fixed = {path for plan in plans if plan.gets and not _updates(plan) for path in plan.rule.canonical}
    found: dict[str, set[str]] = {}
    for name, of_one in (("", plans), *lists.items()):
        scope = line_scope(spec, name) if name else document_scope(spec)
        for plan in filter(_updates, of_one):
            currencies = {it.argument.path for it in plan.via if it.name == "money" and it.argument and it.argument.path}
            if any(of is not None and of.priced for of in map(scope.own, plan.rule.canonical)):
                currencies.add(CURRENCY)
            for path in currencies & fixed:
                found.setdefault(path, set()).update([name] if name else plan.rule.canonical)
    return {path: frozenset(amounts) for path, amounts in found.items()}


def _founds(plan: Plan) -> bool:
    return plan.gets and plan.puts and plan.rule.write == "create_only"


def _updates(plan: Plan) -> bool:
    return plan.puts and plan.rule.write != "create_only"


def _affected(world: World, plans: Sequence[Plan], lists: Mapping[str, CompiledList]) -> dict[str, frozenset[str]]:
    """Return, for each external name (described name and first part too), the canonical paths that a move of it may move."""
    reads: dict[str, set[str]] = {}
    for plan in plans:
        if plan.gets:
            own = {known for name in plan.reads for known in (name, world.field_name(name), world.top(name))}
            for path in plan.arguments:
                own |= reads.get(path, set())
            for path in plan.rule.canonical:
                reads[path] = own
    for compiled in lists.values():
        own = {compiled.external, world.top(compiled.external), *compiled.names}
        for plan in compiled._plans:
            for path in plan.arguments:
                own |= reads.get(path, set())
        reads[compiled.name] = own
    found: dict[str, set[str]] = {}
    for path, names in reads.items():
        for name in names:
            found.setdefault(name, set()).add(path)
    return {name: frozenset(paths) for name, paths in found.items()}


def _keys_in(world: World, plans: Sequence[Plan], fields: Fields) -> set[tuple[str, str]]:
    found = set()
    for plan in plans:
        if plan.rule.reference and plan.gets:
            key = _key_in(world, plan, fields)
            if key is not None:
                found.add((plan.rule.reference[0], str(key)))
    return found


def _key_in(world: World, plan: Plan, fields: Fields) -> Any:
    """Return the key that the rule reads, or None where it reads none or fails (get then reports it)."""
    try:
        parts = world.parts(plan.externals[0])
        value = dig_or(fields, parts, None) if plan.fills else dig(fields, parts)
        for transform in plan.via:
            if value is None:
                break
            value = transform.get(value)
    except Exception:
        return None
    return plan.default if value is None and plan.fills else value


def _guesses(plans: Sequence[Plan]) -> tuple[Plan, ...]:
    return tuple(plan for plan in plans if plan.gets and any(transform.guesses for transform in plan.via))


def _guessed(world: World, plans: Sequence[Plan], fields: Fields) -> frozenset[str]:
    return frozenset(path for plan in plans if _is_guess(world, plan, fields) for path in plan.rule.canonical) if plans else _NO_PATHS


def _is_guess(world: World, plan: Plan, fields: Fields) -> bool:
    """Tell whether only a fallback reads what stands there. What cannot be read at all is an error, which get reports."""
    try:
        value = dig(fields, world.parts(plan.externals[0]))
        for transform in plan.via:
            if value is None:
                return False
            if transform.guesses and transform.guesses(value):
                return True
            value = transform.get(value)
    except Exception:
        return False
    return False


def _ids_out(plans: Sequence[Plan], golden: Fields) -> set[tuple[str, str]]:
    return {
        (plan.rule.reference[0], golden[plan.rule.canonical[0]])
        for plan in plans
        if plan.rule.reference and plan.puts and golden.get(plan.rule.canonical[0]) is not None
    }


def _digest(world: World, plans: Sequence[Plan]) -> str:
    """Return what stands for the mapping as it is here: the file, and the fields of the stream that it passes through."""
    return _digest_of(world, {**_body(world), "passed": _passed(plans)}, world.used_codes)


def _body(world: World) -> dict[str, Any]:
    """Return what the mapping says, without what only tells of it."""
    rules: Any = {"__all__": _ONLY_TOLD}
    lists: Any = {"__all__": {"optional": True, "fields": rules}}
    return world.spec.body.model_dump(exclude={"tests": True, "unmapped": True, "fields": rules, "lists": lists})


def _passed(plans: Sequence[Plan]) -> dict[str, Any]:
    return {plan.rule.name: plan.spec.model_dump(exclude=_ONLY_TOLD) for plan in plans if plan.place[0] == "passthrough"}


def _meanings(world: World, plans: Sequence[Plan]) -> dict[str, str]:
    """Return, for each canonical path and each list, what stands for the rules that say what it means here; it begins with UNHEARD where
    they only write."""
    body = _body(world)
    own: dict[str, str] = {}
    for name, rule in [*_passed(plans).items(), *body["fields"].items(), *body["lists"].items()]:
        texts = _texts(rule)
        tables = {table: pairs for table, pairs in body["tables"].items() if table in texts}
        own[name] = _digest_of(world, {"rule": rule, "tables": tables}, world.used_codes & texts)
    of_path = {path: own[plan.rule.name] for plan in plans for path in plan.rule.canonical}
    found = {
        path: digest([of_path[path], *(of_path.get(other, "") for other in plan.arguments)])
        for plan in plans
        for path in plan.rule.canonical
    }
    read = _readable(plans)
    heard = {path: meaning if path in read else UNHEARD + meaning for path, meaning in found.items()}
    return heard | {name: own[name] for name in body["lists"]}


def _digest_of(world: World, body: Any, codes: Iterable[str]) -> str:
    texts = _texts(body)
    streams = {"": world.stream, **{f"{name}/": one for name, one in world.children.items() if name in texts}}
    plug_ins = {name: version for name, version in world.used_plug_ins.items() if name in texts | _keys(body)}
    told = ((at, name, field.length) for at, one in streams.items() if one for name, field in one.fields.items() if name in texts)
    return digest(
        {
            "language": LANGUAGE,
            "body": _plain(body),
            "codes": _plain({kind: world.codes.get(kind, {}) for kind in codes}),
            "values": _plain({name: world.values.get(name) for name in _declared(body)}),
            "lengths": _plain({at + name: length for at, name, length in told if length is not None}),
            **({"plug-ins": _plain(plug_ins)} if plug_ins else {}),
        }
    )


def _texts(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set().union(*(_texts(part) for part in value.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*(_texts(part) for part in value))
    return {value} if isinstance(value, str) else set()


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {key for key in value if isinstance(key, str)}.union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, (list, tuple)) else set()


def _declared(body: Any) -> set[str]:
    return {text.removeprefix(CONNECTION) for text in _texts(body) if text.startswith(CONNECTION)}


def _plain(value: Any) -> Any:
    """Return ``value`` with objects as sorted lists of pairs, so that a key true and a key "true" differ."""
    if isinstance(value, dict):
        pairs = [[type(key).__name__, str(key), _plain(part)] for key, part in value.items()]
        return sorted(pairs, key=lambda pair: pair[:2])
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
