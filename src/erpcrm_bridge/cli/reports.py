"""What a run has come to, told to a person and to a program."""

from __future__ import annotations

from typing import Any

import msgspec

from erpcrm_bridge.cli import words
from erpcrm_bridge.cli.exit_codes import DONE, FAILED, STALE, WAITING
from erpcrm_bridge.cli.output import Output
from erpcrm_bridge.sync.run import Report

_GOLDEN = {
    "founded": "new",
    "bound": "joined with another system's",
    "merged": "changed",
    "gone": "gone from a system",
    "asleep": "outside their filter",
    "mapped anew": "mapped anew, from what is known, under changed rules",
    "moved to another mapping": "taken by another mapping of their entity",
    "moved on": "become another entity, their links with them",
    "recovered": "found again after an interruption",
    "restored": "set back",
}
_PUSH = {
    "refused": "refused",
    "moved meanwhile": "moved in their system meanwhile, to be read again",
    "met on creating": "found there just before they were created",
    "deferred": "handed over, not taken in yet",
    "unknown": "without an answer",
    "waiting": "waiting for a parent",
    "put off": "put off",
}
_SHOWN = 20


def exit_code(report: Report) -> int:
    """Return how a command that wrote ended: systems out of reach, stale steps, something that waits, or done."""
    if report.away:
        return FAILED
    if report.stale:
        return STALE
    return WAITING if report.review or any(report.waiting.values()) else DONE


def written(report: Report) -> dict[str, dict[str, int]]:
    """Return how many writes were done, by connection and operation."""
    found: dict[str, dict[str, int]] = {}
    for name, number in report.counts.items():
        if name.startswith("wrote "):
            connection, _, operation = name.removeprefix("wrote ").rpartition(" ")
            found.setdefault(connection, {})[operation] = number
    return found


def told(report: Report) -> dict[str, Any]:
    """Return a report as plain values."""
    names = ("read", "moved", *_GOLDEN, "clashes")
    return {
        "flow": report.flow,
        "run": report.run,
        **{name: report.counts.get(name, 0) for name in names},
        "written": written(report),
        "not_written": {name: report.counts[name] for name in _PUSH if report.counts.get(name)},
        "stale": [
            {"connection": s.connection, "stream": s.stream, "operation": s.operation, "key": s.key, "golden_id": s.golden_id}
            for s in report.stale
        ],
        "away": report.away,
        "paused": [msgspec.to_builtins(one) for one in report.paused],
        "drift": drifted(report),
        "waiting": report.waiting,
        "review": report.review,
        "plan": report.plan,
        "fingerprint": report.head.fingerprint if report.head else None,
    }


def show(out: Output, report: Report) -> None:
    """Say what was read, merged and written, and what waits. A run that did nothing and leaves nothing waiting says so only to a person."""
    counts = report.counts
    if counts.get("moved"):
        out.line(f"Read {words.count(counts.get('read', 0), 'record')}; {counts['moved']:,} had moved.")
    show_merged(out, report)
    for connection, operations in written(report).items():
        out.line(f"Wrote to {connection}: {', '.join(words.count(number, operation) for operation, number in operations.items())}.")
    for name, said in _PUSH.items():
        if counts.get(name):
            out.line(f"Not written: {counts[name]:,} {said}.")
    if not report.written and not counts.get("moved"):
        out.hint("Nothing had moved." if report.kind not in ("apply", "undo") else "There was nothing to write.")
    if report.kind == "sync" and not report.written and not report.review:
        out.hint("Nothing was written.")
    show_stale(out, report)
    show_drift(out, report)
    for connection, why in report.away.items():
        out.error(f"{connection} is out of reach: {why} What was meant for it {_later(report)}.")
    show_waiting(out, report.waiting)


def _later(report: Report) -> str:
    """Say when what was meant for a system out of reach is done. What is set back is frozen: no run does it by itself."""
    if report.head is not None and report.head.undoes:
        return f"is set back when this has run again: erpcrm-bridge undo {report.head.undoes}"
    if report.kind == "apply":
        return "goes when the plan is applied once more; or with the next run, and counts for its brakes"
    return "goes with the next run"


def show_merged(out: Output, report: Report) -> None:
    """Say what came of golden records."""
    counts = report.counts
    golden = [f"{counts[name]:,} {said}" for name, said in _GOLDEN.items() if counts.get(name)]
    if golden:
        out.line(f"Golden records: {', '.join(golden)}.")
    if counts.get("clashes"):
        out.line(f"{words.count(counts['clashes'], 'clash', 'clashes')} found.")


def show_stale(out: Output, report: Report) -> None:
    if not report.stale:
        return
    out.error(f"{words.count(len(report.stale), 'step')} had gone stale: what they rest on has moved since the plan was made.")
    rows = [(s.connection, s.stream, s.operation, s.key or "new", s.label) for s in report.stale[:_SHOWN]]
    out.table(("connection", "stream", "operation", "key", "record"), rows, whole=["key"])
    if len(report.stale) > _SHOWN:
        out.hint(f"… and {len(report.stale) - _SHOWN:,} more")


def drifted(report: Report) -> list[dict[str, Any]]:
    """Return what moved in the systems since they were pinned, and was not told before, as plain values."""
    return [
        {"connection": connection, "level": one.level, "stream": one.stream, "field": one.field, "what": one.what}
        for connection, one in report.drifted
    ]


def show_drift(out: Output, report: Report) -> None:
    """Say what has moved in the systems, and what is paused because of it."""
    if report.drifted:
        out.line("Moved in the systems since `mapping lock`:")
        columns = ("level", "connection", "stream", "field", "what")
        out.table(columns, [[row[column] for column in columns] for row in drifted(report)], whole=["level"])
    show_paused(out, [msgspec.to_builtins(one) for one in report.paused])


def show_paused(out: Output, paused: list[dict[str, Any]]) -> None:
    """Say which fields do not flow, and the way out."""
    if paused:
        out.line(f"{words.count(len(paused), 'field')} paused; all others flow:")
        columns = ("connection", "stream", "field", "why")
        out.table(columns, [[row[column] for column in columns] for row in paused])
        out.hint("It goes on by itself when the system offers it again; or mend the mapping, then: erpcrm-bridge mapping lock")


def show_waiting(out: Output, waiting: dict[str, int]) -> None:
    """Say what waits, and which command shows it."""
    said = words.waits(waiting)
    if said:
        out.line(f"Waiting: {said}.")
        out.hint(f"Look: {' and '.join(looking(waiting))}")


def looking(waiting: dict[str, int]) -> list[str]:
    """Return the commands that show what waits."""
    others = any(number for kind, number in waiting.items() if kind != "clash")
    return [*(["erpcrm-bridge conflicts"] if waiting.get("clash") else []), *(["erpcrm-bridge parked"] if others else [])]
