"""Write our ids into the records that were bound."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import FlowArgument, Session


def command(
    ctx: typer.Context,
    flow: FlowArgument = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Write so many at most, in all.")] = 1_000,
    per_minute: Annotated[int, typer.Option(min=1, help="Write so many in a minute at most.")] = 300,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it, instead of only showing the plan.")] = False,
) -> Answer:
    """Write golden ids into the empty external-id fields of linked records, so many a minute. What others have filled is left alone."""
    session: Session = ctx.obj
    name = session.flow(flow)
    settings = session.settings()
    from erpcrm_bridge.cli import planning, reports, words
    from erpcrm_bridge.sync.run import apply_plan, plan_ids
    from erpcrm_bridge.work import at_work

    written = stale = 0
    with session.output.stations() as progress, at_work(settings, name) as (opened, store, fence):
        while True:
            report = plan_ids(opened, store, folder=settings.folder, limit=min(limit - written, per_minute if yes else limit), fence=fence)
            plan = planning.made(report, 5)
            owed = report.counts.get("ids owed", 0)
            if not yes or not plan.head.steps:
                break
            began = time.monotonic()
            done = apply_plan(opened, store, plan.file, fence=fence, progress=progress)
            written, stale = written + done.written, stale + len(done.stale)
            if written >= limit or done.written == 0 or plan.head.steps == owed:
                owed -= done.written
                break
            time.sleep(max(0.0, 60.0 - (time.monotonic() - began)))

    def show(out: Output) -> None:
        if yes:
            out.line(f"{words.count(written, 'id')} written, {owed:,} still owed.")
        else:
            planning.show(out, plan, whole=False)
        if owed:
            out.hint(f"Next: erpcrm-bridge ids {name} --yes")

    told = {"flow": name, "owed": owed, "written": written, "stale": stale}
    return Answer(told | ({} if yes else {"plan": planning.told(plan)}), show, reports.exit_code(done) if yes and written else 0)
