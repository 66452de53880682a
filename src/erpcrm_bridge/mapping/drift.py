"""What has moved in a system since its description was pinned, and what that means for the mappings that use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from erpcrm_bridge.connector import Description, Field, Stream
from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping.check.fit import Against
from erpcrm_bridge.mapping.check.static import shown
from erpcrm_bridge.mapping.compile import CompiledMapping
from erpcrm_bridge.mapping.format import MappingSpec
from erpcrm_bridge.mapping.pause import breaks
from erpcrm_bridge.mapping.rules import Plan, named_in_table

DriftLevel: TypeAlias = Literal["BREAK", "LOSSY", "WARN"]


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that moved. BREAK: a mapped field no longer works; LOSSY: it holds less; WARN: values came that no rule knows. ``code`` is
    the kind of table and the code that is gone from it, or means another key."""

    level: DriftLevel
    stream: str
    field: str
    what: str
    mappings: tuple[str, ...] = ()
    code: tuple[str, str] | None = None


def has_moved(pinned: Description, live: Description) -> bool:
    """Tell whether anything that was pinned of a system is otherwise by now, whoever uses it."""
    return (pinned.identity, pinned.codes) != (live.identity, live.codes) or any(
        live.streams.get(name) != stream for name, stream in pinned.streams.items()
    )


def drift(pinned: Against, live: Description, specs: Sequence[MappingSpec]) -> list[Drift]:
    """Return what moved between the pinned description of a system and its live one, as far as these mappings use it, worst first."""
    if pinned.description.identity != live.identity:
        what = (
            f"another system was pinned ({pinned.description.identity}): nothing is compared, and nothing pauses, until it is pinned anew"
        )
        return [Drift("WARN", "", "", what, tuple(spec.name for spec in specs))]
    found: dict[tuple[DriftLevel, str, str, str, tuple[str, str] | None], list[str]] = {}
    for spec in specs:
        if spec.stream not in pinned.description.streams:
            continue
        try:
            compiled = pinned.compile(spec)
        except ConfigError:
            newer = Drift(
                "WARN", spec.stream, "", f"{spec.name} names what was not there then: it cannot be compared before it is pinned anew"
            )
            found.setdefault((newer.level, newer.stream, newer.field, newer.what, None), []).append(spec.name)
            continue
        for one in _moved(spec, compiled, pinned.description, live):
            found.setdefault((one.level, one.stream, one.field, one.what, one.code), []).append(spec.name)
    order = {"BREAK": 0, "LOSSY": 1, "WARN": 2}
    drifts = [Drift(level, stream, name, what, tuple(names), code) for (level, stream, name, what, code), names in found.items()]
    return sorted(drifts, key=lambda one: (order[one.level], one.stream, one.field, one.what))


def _moved(spec: MappingSpec, compiled: CompiledMapping, pinned: Description, live: Description) -> Iterator[Drift]:
    lists = [(one.child.stream, one._plans) for one in compiled.lists.values() if one.child is not None]
    for name, plans in [(spec.stream, compiled._plans), *lists]:
        before, now = pinned.streams.get(name), live.streams.get(name)
        if before is not None and now is None:
            yield Drift("BREAK", name, "", "the stream is gone")
        elif before is not None and now is not None:
            yield from _fields(spec, compiled, plans, before, now)
    for kind in sorted(compiled._world.used_codes):
        yield from _codes(kind, pinned.codes.get(kind, {}), live.codes.get(kind, {}))


def _fields(spec: MappingSpec, compiled: CompiledMapping, plans: Sequence[Plan], before: Stream, now: Stream) -> Iterator[Drift]:
    used: set[str] = set()
    for plan in plans:
        for external in dict.fromkeys((*plan.rule.external, *(plan.reads if plan.gets else ()))):
            name = compiled._world.field_name(external)
            used.add(name)
            was, is_ = before.fields.get(name), now.fields.get(name)
            for level, what in _changes(spec, plan, was, is_) if was is not None else ():
                yield Drift(level, now.name, name, what)
        for start, ends in (plan.rule.state or {}).items():
            offered = now.capabilities.moves.get(plan.rule.external[0], {}).get(start, ())
            had = before.capabilities.moves.get(plan.rule.external[0], {}).get(start, ())
            for end in ends:
                if end in had and end not in offered:
                    yield Drift("BREAK", now.name, plan.rule.external[0], f"no longer moves from {start} to {end}")
    for name, is_ in now.fields.items():
        was = before.fields.get(name)
        if is_.required and is_.creatable and name not in used and not (was is not None and was.required) and compiled.writable:
            yield Drift("BREAK", now.name, name, "added, required" if was is None else "now required")


def _changes(spec: MappingSpec, plan: Plan, was: Field, now: Field | None) -> Iterator[tuple[DriftLevel, str]]:
    named = named_in_table(spec, plan.spec)
    uses = {
        "gone": True,
        "type": True,
        "unreadable": plan.gets,
        "unupdatable": plan.puts and plan.rule.write != "create_only",
        "uncreatable": plan.puts and plan.rule.write != "update_only",
    }
    for kind, what in breaks(was, now):
        if kind == "value":
            yield "WARN" if named is not None and what not in named else "BREAK", f"picklist - {shown(what)}"
        elif uses[kind]:
            yield "BREAK", what
    if now is None:
        return
    if now.required and not was.required and plan.puts and not plan.rule.required and plan.spec.const is None:
        yield "BREAK", "now required"
    if plan.puts:
        for size in ("length", "precision", "scale"):
            old, new = getattr(was, size), getattr(now, size)
            if new is not None and (old is None or new < old):
                yield "LOSSY", f"{size} {'any' if old is None else old} -> {new}"
    for value in now.choices:
        if value not in was.choices and (named is None or value not in named):
            yield "WARN", f"picklist + {shown(value)}"


def _codes(kind: str, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Drift]:
    for code in sorted({*now.values()} - {*before.values()}):
        yield Drift("WARN", "", f"code {kind}", f"+ {shown(code)}")
    for code in sorted({*before.values()} - {*now.values()}):
        yield Drift("BREAK", "", f"code {kind}", f"- {shown(code)}", code=(kind, code))
    for key in sorted(before.keys() & now.keys()):
        if before[key] != now[key]:
            what = f"{shown(before[key])} is now {shown(now[key])}"
            yield Drift("BREAK", "", f"code {kind}", what, code=(kind, before[key]))
