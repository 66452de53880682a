"""A plan's steps, in groups that a person can look through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from erpcrm_bridge.cli import words
from erpcrm_bridge.cli.output import Output
from erpcrm_bridge.sync.decide import Step
from erpcrm_bridge.sync.plan import PlanHead

FIELDS = 4
"""So many fields of a step are shown unless everything is asked for."""


@dataclass(slots=True)
class Group:
    """The steps of one connection, stream and operation: how many, and the first of them."""

    connection: str
    stream: str
    operation: str
    count: int = 0
    first: list[Step] = field(default_factory=list)


def grouped(steps: Iterable[Step], limit: int | None) -> list[Group]:
    """Return the groups in the order of their first steps, each with its first ``limit`` steps (None: all)."""
    groups: dict[tuple[str, str, str], Group] = {}
    for step in steps:
        key = (step.connection, step.stream, step.operation)
        group = groups.setdefault(key, Group(*key))
        group.count += 1
        if limit is None or len(group.first) < limit:
            group.first.append(step)
    return list(groups.values())


def told(groups: list[Group]) -> list[dict[str, Any]]:
    """Return the groups as plain values; Decimals stay."""
    return [
        {
            "connection": group.connection,
            "stream": group.stream,
            "operation": group.operation,
            "count": group.count,
            "steps": [msgspec.to_builtins(step, builtin_types=(Decimal,)) for step in group.first],
        }
        for group in groups
    ]


def show(out: Output, head: PlanHead, groups: list[Group], *, whole: bool) -> None:
    """Show a plan: its groups, the steps that were kept of each, and where the plan is."""
    for group in groups:
        out.line()
        out.line(f"{group.connection} {group.stream}: {words.count(group.count, group.operation)}")
        if group.first:
            out.table(("key", "record", "writes", "said by"), [_row(step, whole) for step in group.first], whole=["key"])
        if len(group.first) < group.count:
            out.hint(f"… and {group.count - len(group.first):,} more (--all shows every one)")
    windows: dict[str, set[str]] = {}
    for place, window in head.windows.items():
        windows.setdefault(window, set()).add(place.partition(" ")[0])
    for window, places in windows.items():
        out.hint(f"May be overwritten in {', '.join(sorted(places))}: an edit made {window}.")


def _row(step: Step, whole: bool) -> tuple[str, str, str, str]:
    written = [f"moves on to {step.becomes}"] if step.becomes else []
    written += [_change(step, name, pair) for name, pair in step.fields.items()]
    for name, lines in step.lists.items():
        written.append(f"{name}: {words.lines(len(lines.add), len(lines.change), len(lines.remove))}")
    if step.move:
        written.append(f"{step.move[0]} moves to {step.move[1]}")
    over = [clash for clash in step.freezes if len(clash.candidates) == 1]
    for what, clashes in (("in clash until settled", [clash for clash in step.freezes if clash not in over]), ("out of clash", over)):
        if clashes:
            written.append(f"{what}: {', '.join(' + '.join(clash.unit) for clash in clashes)}")
    if step.asks:
        written.append(step.asks)
    if not whole and len(written) > FIELDS:
        written = [*written[:FIELDS], f"… and {len(written) - FIELDS} more"]
    return step.key or "new", step.label, "; ".join(written), ", ".join(sorted({by for by in step.why.values() if by}))


def _change(step: Step, name: str, pair: list[Any]) -> str:
    old, new = pair
    return f"{name}: {words.value(new)}" if step.operation == "create" else f"{name}: {words.value(old)} → {words.value(new)}"
