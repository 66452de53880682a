"""Run a flow once."""

from __future__ import annotations

import typer

from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import FlowArgument, Session


def command(ctx: typer.Context, flow: FlowArgument = None) -> Answer:
    """Bring the systems of a flow to agree: read what changed, merge it, write the difference."""
    session: Session = ctx.obj
    name = session.flow(flow)
    settings = session.settings()
    from erpcrm_bridge.cli import reports
    from erpcrm_bridge.sync.run import run_flow
    from erpcrm_bridge.work import at_work

    with session.output.stations() as progress, at_work(settings, name) as (opened, store, fence):
        report = run_flow(opened, store, folder=settings.folder, fence=fence, progress=progress)

    def show(out: Output) -> None:
        reports.show(out, report)
        if report.review:
            out.error("The rules of the mappings have changed: what they touch is reviewed first, and nothing was written.")
            out.error(f"Way out: erpcrm-bridge plan {name}, then erpcrm-bridge apply --flow {name}")

    return Answer(reports.told(report), show, reports.exit_code(report))
