"""A plan that was just made, told to a person and to a program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from erpcrm_bridge.cli import reports, steps, words
from erpcrm_bridge.cli.output import Output
from erpcrm_bridge.sync.plan import PlanHead, read_steps
from erpcrm_bridge.sync.run import Report

_LINKS = {"moved to another mapping": "to another mapping of their entity", "moved on": "to what their records have become"}


@dataclass(frozen=True, slots=True)
class Made:
    """A plan: the report of the run that made it, its head, its file, and its steps in groups."""

    report: Report
    head: PlanHead
    file: Path
    groups: list[steps.Group]

    @property
    def next(self) -> str:
        """The command that carries the plan out; empty where there is nothing to carry out."""
        if self.report.braked:
            return f"erpcrm-bridge parked release {self.report.braked}"
        wanted = self.head.steps or self.head.adoption or self.head.review
        return f"erpcrm-bridge apply {self.head.fingerprint[:8]}" if wanted else ""


def made(report: Report, limit: int | None) -> Made:
    """Return the plan that a run has made, with the first ``limit`` steps of each kind (None: all)."""
    if report.head is None or report.plan is None:
        raise ValueError("this run made no plan")
    file = Path(report.plan)
    return Made(report, report.head, file, steps.grouped(read_steps(file), limit))


def told(plan: Made) -> dict[str, Any]:
    """Return a plan as plain values."""
    head = plan.head
    return {
        "flow": head.flow,
        "run": head.run,
        "at": head.at,
        "file": plan.file,
        "fingerprint": head.fingerprint,
        "adoption": head.adoption,
        "review": head.review,
        "braked": bool(plan.report.braked),
        "unmerged": plan.report.unmerged,
        "steps": head.steps,
        "moved_links": {name: plan.report.counts.get(name, 0) for name in _LINKS},
        "groups": steps.told(plan.groups),
        "windows": head.windows,
        "paused": [msgspec.to_builtins(one) for one in plan.report.paused],
        "drift": reports.drifted(plan.report),
        "waiting": plan.report.waiting,
        "next": plan.next,
    }


def show(out: Output, plan: Made, *, whole: bool) -> None:
    """Show a plan, what waits beside it, and how it is carried out."""
    head = plan.head
    if plan.report.braked:
        out.line("The brake is on: nothing was read, and this is what waits behind it.")
    if plan.report.unmerged:
        pulled = ", ".join(f"{words.count(number, 'record')} of {name}" for name, number in plan.report.unmerged.items())
        out.line(f"Pulled and not merged yet: {pulled}. When they are:")
        reports.show_merged(out, plan.report)
    if head.review:
        out.line("The rules of the mappings have changed: this plan maps anew what they touch.")
    moved = [f"{number:,} {said}" for name, said in _LINKS.items() if (number := plan.report.counts.get(name))]
    if moved:
        out.line(f"Links that have moved: {', '.join(moved)}.")
    if plan.groups:
        out.line(f"{words.count(head.steps, 'write')} to make:")
        steps.show(out, head, plan.groups, whole=whole)
        out.line()
    else:
        out.line("No write follows." if plan.report.unmerged else "Nothing is to be written.")
    reports.show_drift(out, plan.report)
    reports.show_waiting(out, plan.report.waiting)
    if plan.next:
        out.line(f"Plan {head.fingerprint} ({plan.file})")
        out.hint(f"Next: {plan.next}")
