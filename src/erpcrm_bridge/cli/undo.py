"""Take back what a run wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from erpcrm_bridge.cli.options import Whole
from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import Session

_SHOWN = 20


def command(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="The run, as `history` lists it.", show_default=False)],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it at once, instead of only showing the plan.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Show so many steps of each kind.")] = 5,
    whole: Whole = False,
) -> Answer:
    """Plan to set back what a run wrote. What was changed since stays; what is set back is frozen until a person settles it."""
    session: Session = ctx.obj
    settings = session.settings()
    from erpcrm_bridge.cli import planning, reports
    from erpcrm_bridge.cli.stores import to_read
    from erpcrm_bridge.errors import UsageError
    from erpcrm_bridge.sync.run import apply_plan, undo_run
    from erpcrm_bridge.work import at_work

    with to_read(settings) as store:
        row = store.run(run)
    if row is None:
        raise UsageError(f"There is no run {run}.", way_out="erpcrm-bridge history lists the runs.")
    name = session.flow(row.flow)
    with session.output.stations() as progress, at_work(settings, name) as (opened, work, fence):
        report = undo_run(opened, work, run, folder=settings.folder, fence=fence, progress=progress)
        plan = planning.made(report, None if whole else limit)
        done = apply_plan(opened, work, plan.file, fence=fence, progress=progress) if yes and plan.head.steps else None

    def show(out: Output) -> None:
        _show(out, plan, whole=whole)
        if done is not None:
            reports.show(out, done)
        elif plan.next:
            out.line(f"Plan {plan.head.fingerprint} ({plan.file})")
            out.hint(f"Next: {plan.next}")

    told = {**planning.told(plan), **_told(plan), "applied": done is not None}
    if done is None:
        return Answer(told, show)
    return Answer({**told, "next": "", "report": reports.told(done)}, show, reports.exit_code(done))


def _told(plan: Any) -> dict[str, Any]:
    from msgspec.structs import asdict

    undoing = plan.report.undoing
    return {
        "undoes": undoing.run,
        "wrote": undoing.wrote,
        "already": undoing.already or None,
        "stays": [asdict(one) for one in undoing.stays],
        "bound": [asdict(one) for one in undoing.bound],
    }


def _show(out: Output, plan: Any, *, whole: bool) -> None:
    from erpcrm_bridge.cli import steps, words

    undoing = plan.report.undoing
    if not undoing.wrote:
        out.line(f"{undoing.run} wrote nothing: there is nothing to undo.")
        return
    if undoing.already:
        out.line(f"{undoing.run} was undone already, by {undoing.already}.")
        return
    if plan.groups:
        out.line(f"To undo {undoing.run}, {words.count(plan.head.steps, 'step')}:")
        steps.show(out, plan.head, plan.groups, whole=whole)
        out.line()
    else:
        out.line(f"Of what {undoing.run} wrote, nothing can be set back.")
    _list(out, "What stays as it is:", ("where", "record", "fields", "why"), [_stays(one) for one in undoing.stays], whole)
    bound = [(one.entity, one.golden_id, ", ".join(f"{c} {key}" for c, key in one.records.items())) for one in undoing.bound]
    _list(out, "Joined by the run, and still joined:", ("entity", "record", "records"), bound, whole)


def _stays(one: Any) -> tuple[str, str, str, str]:
    where = f"{one.connection} {one.key}" if one.connection else "golden"
    return where, one.golden_id, ", ".join(one.fields), one.why


def _list(out: Output, title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], whole: bool) -> None:
    if not rows:
        return
    shown = rows if whole else rows[:_SHOWN]
    out.line(title)
    out.table(columns, shown, whole=["record"])
    if len(shown) < len(rows):
        out.hint(f"… and {len(rows) - len(shown):,} more (--all shows every one)")
