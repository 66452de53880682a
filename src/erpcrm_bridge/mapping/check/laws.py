"""The laws of a mapping, tried with generated values: reading never breaks, and what is written reads as what was meant.

Proving needs Hypothesis (the extra ``check``); nothing that runs a flow does. The same mapping is always tried with the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from erpcrm_bridge.connector import Field, Stream
from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping.check.examples import Same
from erpcrm_bridge.mapping.check.findings import Finding, Report
from erpcrm_bridge.mapping.check.fit import Against
from erpcrm_bridge.mapping.check.static import accepted, shown
from erpcrm_bridge.mapping.compile import CompiledMapping, compile_mapping
from erpcrm_bridge.mapping.format import MappingSpec
from erpcrm_bridge.mapping.rules import Plan, World
from erpcrm_bridge.mapping.source import FieldError, dig_or, put_in
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.fields import FieldSpec
from erpcrm_bridge.model.values import Fields, same

if TYPE_CHECKING:
    from hypothesis import strategies as st

_GONE: Any = object()


def check_laws(spec: MappingSpec, against: Against | None, *, examples: int) -> list[Finding]:
    """Return the laws that ``spec`` breaks, each with its shrunk counterexample; ``against`` tells what a system may hold.

    A mapping that cannot be compiled breaks none: ``check`` and ``check_fit`` say what is wrong. Raises ConfigError without Hypothesis.
    """
    _needs_hypothesis()
    try:
        compiled = against.compile(spec) if against is not None else compile_mapping(spec, codes={}, values={}, stream=None)
    except (ConfigError, KeyError):
        return []
    report = Report(spec.document, against.connection if against is not None else "")
    streams = against.description.streams if against is not None else {}
    for part in _parts(compiled, streams):
        _prove(report, part, examples)
    return report.findings


def check_fixpoint(left: tuple[MappingSpec, Against], right: tuple[MappingSpec, Against], *, examples: int) -> list[Finding]:
    """Return the fields that two systems would rewrite for ever: written to both and read back, they differ after a second lap."""
    _needs_hypothesis()
    try:
        one, two = (against.compile(spec) for spec, against in (left, right))
    except (ConfigError, KeyError):
        return []
    report = Report(left[0].document, left[1].connection)
    (here, *_), (there, *_) = _parts(one, left[1].description.streams), _parts(two, right[1].description.streams)
    shared = one.readable & one.writable & two.readable & two.writable
    for plan in here.plans:
        other = next((p for p in there.plans if set(p.rule.canonical) == set(plan.rule.canonical)), None)
        paths = [path for path in plan.rule.canonical if path in shared]
        if other is None or not paths or plan.rule.state or other.rule.state:
            continue

        def lap(values: Fields) -> Fields:
            return there.rendered(here.rendered(values))

        def moves(values: Fields, paths: Sequence[str] = paths) -> bool:
            once = lap(values)
            twice = lap(once)
            return any(not same(once.get(path), twice.get(path)) for path in paths)

        found = _counterexample(here.golden(plan), moves, examples)
        if found is not None:
            once = lap(found)
            twice = lap(once)
            way = " -> ".join(_told(values, paths) for values in (found, once, twice))
            what = f"{right[0].name} ({right[1].connection}) and this mapping rewrite one another: {way}"
            report.add("LAW", "fixpoint", plan.place, what, "let both write the same values, or let one of them be read only")
    return report.findings


def _needs_hypothesis() -> None:
    if find_spec("hypothesis") is None:
        raise ConfigError(
            "The laws of a mapping are proved with Hypothesis, which is not installed.",
            way_out="install it: pip install 'erpcrm-bridge[check]'; or check all but the laws: --no-laws",
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """The rules of a mapping, or of one of its lists, with a way to read and to write by them alone."""

    world: World
    plans: Sequence[Plan]
    fields: Mapping[str, FieldSpec]
    around: Mapping[str, FieldSpec]
    stream: Stream | None
    get: Callable[[Fields, Fields, list[FieldError]], Fields]
    put: Callable[[Fields, Fields | None, bool, list[FieldError]], Fields]

    @property
    def readable(self) -> frozenset[str]:
        return frozenset(path for plan in self.plans if plan.gets for path in plan.rule.canonical)

    def golden(self, plan: Plan) -> st.SearchStrategy[Fields]:
        from erpcrm_bridge.mapping.check.values import golden_of

        return golden_of(self.world, plan, {**self.around, **self.fields})

    def described(self, external: str) -> Field | None:
        return self.stream.fields.get(external) if self.stream is not None else None

    def record(self, plans: Sequence[Plan]) -> st.SearchStrategy[Fields]:
        """Return records as the system may hold them, with what these rules and those they lean on read."""
        from hypothesis import strategies as st

        from erpcrm_bridge.mapping.check.values import external

        names: dict[str, Plan] = {}
        for plan in plans:
            needed = [other for other in self.plans if other.gets and set(other.rule.canonical) & set(plan.arguments)]
            for one in (*needed, plan):
                names |= {name: names.get(name, one) for name in one.reads}
        flat = st.fixed_dictionaries({name: external(self.world, plan, self.described(name)) for name, plan in names.items()})
        return flat.map(self._nested)

    def _nested(self, flat: Fields) -> Fields:
        record: Fields = {}
        for name, value in flat.items():
            put_in(record, {}, self.world.parts(name), value)
        return record

    def there_and_back(self, golden: Fields) -> Fields | None:
        """Return what golden values read as once they are written to a new record; None where the rule refuses to write them."""
        errors: list[FieldError] = []
        written = self.put(golden, None, True, errors)
        if errors:
            return None
        unread: list[FieldError] = []
        back = self.get(created(self.world, self.plans, written), golden, unread)
        return back | {error.path: _GONE for error in unread}

    def rendered(self, golden: Fields) -> Fields:
        """Return what golden is once it was written to a new record and read back. What a rule refuses to write is parked, and stays."""
        errors: list[FieldError] = []
        unread: list[FieldError] = []
        back = self.get(created(self.world, self.plans, self.put(golden, None, True, errors)), golden, unread)
        refused = {error.rule for error in errors}
        stay = {path: golden[path] for plan in self.plans if plan.rule.name in refused for path in plan.rule.canonical if path in golden}
        emptied = {path: None for path in golden if path in self.readable}
        return golden | emptied | back | {error.path: _GONE for error in unread} | stay

    def written(self, golden: Fields) -> Fields:
        return self.put(golden, None, True, [])


def created(world: World, plans: Sequence[Plan], put: Fields) -> Fields:
    """Return the record that a create with these fields makes: what the rules read of it and the create does not name is empty there."""
    record = deepcopy(put)
    for parts in (world.parts(name) for plan in plans if plan.gets for name in plan.reads):
        if dig_or(record, parts, _GONE) is _GONE:
            put_in(record, {}, parts, None)
    return record


def _parts(compiled: CompiledMapping, streams: Mapping[str, Stream]) -> Iterator[_Part]:
    entity, refs = entity_spec(compiled.entity), Same()
    yield _Part(
        compiled._world,
        compiled._plans,
        entity.fields,
        {},
        streams.get(compiled.stream),
        lambda record, _golden, errors: compiled.get(record, refs, errors),
        lambda golden, base, create, errors: compiled.put(golden, base, refs, errors, create=create, paths=frozenset(golden)),
    )
    for name, one in compiled.lists.items():
        own = entity.lists[name]

        def get(row: Fields, golden: Fields, errors: list[FieldError], one: Any = one) -> Fields:
            said: Fields = one.get(row, golden, refs, errors)
            _within(errors, one.name)
            return said

        def put(golden: Fields, base: Fields | None, create: bool, errors: list[FieldError], one: Any = one, own: Any = own) -> Fields:
            line = {path: value for path, value in golden.items() if path in own}
            row: Fields = one.put(line, golden, base, refs, errors, create=create)
            _within(errors, one.name)
            return row

        stream = streams.get(one.child.stream) if one.child is not None else None
        yield _Part(compiled._world, one._plans, own, entity.fields, stream, get, put)


def _within(errors: list[FieldError], name: str) -> None:
    for error in errors:
        error.path = error.path.removeprefix(f"{name}.")


def _prove(report: Report, part: _Part, examples: int) -> None:
    """Try every rule at once, then look closer at those that broke a law: that finds as much, in a fraction of the time."""
    from hypothesis import strategies as st

    both = [plan for plan in part.plans if plan.gets and plan.puts and plan.rule.state is None and plan.rule.write != "update_only"]
    read = [plan for plan in part.plans if plan.gets]
    suspects: dict[tuple[str, str], tuple[Plan, Fields]] = {}

    def try_goldens(drawn: dict[str, Fields]) -> bool:
        for plan in both:
            if _changes(part, plan, drawn[plan.rule.name]):
                suspects.setdefault(("PutGet", plan.rule.name), (plan, drawn[plan.rule.name]))
        return False

    def try_records(record: Fields) -> bool:
        for plan in read:
            for law, breaks in _ON_READING.items():
                if (law == "get-not-total" or plan in both) and breaks(part, plan, record):
                    suspects.setdefault((law, plan.rule.name), (plan, record))
        return False

    if both:
        _counterexample(st.fixed_dictionaries({plan.rule.name: part.golden(plan) for plan in both}), try_goldens, examples)
    if read:
        _counterexample(part.record(read), try_records, examples)
    for (law, _), (plan, example) in sorted(suspects.items(), key=lambda item: item[0]):
        values = part.golden(plan) if law == "PutGet" else part.record([plan])
        found = _counterexample(values, partial(_changes if law == "PutGet" else _ON_READING[law], part, plan), examples)
        _tell(report, part, plan, law, found if found is not None else example)


def _counterexample(values: st.SearchStrategy[Any], breaks: Callable[[Any], bool], examples: int) -> Any:
    """Return the smallest of the tried values that breaks the law; None where none does."""
    from hypothesis import find, settings
    from hypothesis.errors import NoSuchExample

    try:
        return find(values, breaks, settings=settings(max_examples=examples, derandomize=True, database=None, deadline=None))
    except NoSuchExample:
        return None


def _changes(part: _Part, plan: Plan, golden: Fields) -> bool:
    """PutGet: what was written reads as what was meant. What the rule refuses to write is parked, and breaks nothing."""
    own = plan.rule.canonical
    if all(golden.get(path) is None for path in own):
        return False
    back = part.there_and_back(golden)
    return back is not None and any(not same(back.get(path), golden.get(path)) for path in own)


def _breaks_reading(part: _Part, plan: Plan, record: Fields) -> bool:
    errors: list[FieldError] = []
    part.get(record, {}, errors)
    return any(error.rule == plan.rule.name and not error.foreseen for error in errors)


def _writes_back(part: _Part, plan: Plan, record: Fields) -> bool:
    golden = _read(part, plan, record)
    if golden is None:
        return False
    put = part.put(golden, record, False, [])
    written = {name: _at(part, name, put) for name in plan.rule.external}
    return any(value is not _GONE and not same(value, _at(part, name, record)) for name, value in written.items())


def _reads_otherwise(part: _Part, plan: Plan, record: Fields) -> bool:
    golden = _read(part, plan, record)
    return golden is not None and _changes(part, plan, golden)


_ON_READING: dict[str, Callable[[_Part, Plan, Fields], bool]] = {
    "get-not-total": _breaks_reading,
    "GetPut": _writes_back,
    "GetPutGet": _reads_otherwise,
}


def _read(part: _Part, plan: Plan, record: Fields) -> Fields | None:
    """Return what a rule and those it leans on read, with all that its put looks at; None where any of it cannot be read."""
    errors: list[FieldError] = []
    golden = part.get(record, {}, errors)
    needed = {*plan.rule.canonical, *plan.arguments, *plan.touched_by}
    if any(error.path in needed for error in errors):
        return None
    return {path: golden.get(path) for path in needed if path in golden}


def _at(part: _Part, name: str, record: Fields) -> Any:
    return dig_or(record, part.world.parts(name), _GONE)


def _tell(report: Report, part: _Part, plan: Plan, law: str, example: Fields) -> None:
    said = _told(_flat(part, plan.reads, example), plan.reads)
    if law == "get-not-total":
        errors: list[FieldError] = []
        part.get(example, {}, errors)
        why = next((error.reason for error in errors if error.rule == plan.rule.name), "it fails")
        report.add("ERROR", law, plan.place, f"{said}: {why}", "refuse it, or take it in")
        return
    golden = example if law == "PutGet" else _read(part, plan, example) or {}
    externals = plan.rule.external
    if law == "GetPut":
        put = _told(_flat(part, externals, part.put(golden, example, False, [])), externals)
        report.add("LAW", law, plan.place, f"{said} would be written as {put}", "let get and put agree, or set a direction")
        return
    written, back = _flat(part, externals, part.written(golden)), part.there_and_back(golden) or {}
    steps = [_told(golden, plan.rule.canonical), _told(written, externals), _told(back, plan.rule.canonical)]
    way = " -> ".join(steps if law == "PutGet" else [said, *steps])
    reason = accepted(plan.spec, law) or accepted(plan.spec, "PutGet")
    if reason is not None:
        report.add("ok", law, plan.place, f"accepted ({reason}): {way}")
    else:
        report.add("LAW", law, plan.place, way, f'correct the rule, or accept the loss: accept_loss: ["{law}: why that is right"]')


def _flat(part: _Part, names: Sequence[str], record: Fields) -> Fields:
    return {name: _at(part, name, record) for name in names}


def _told(values: Fields, names: Sequence[str]) -> str:
    texts = ["nothing" if values.get(name, _GONE) is _GONE else shown(values[name]) for name in names]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
