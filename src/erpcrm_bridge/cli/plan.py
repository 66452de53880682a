"""See every write before it happens."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from erpcrm_bridge.cli.options import Whole
from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import FlowArgument, Session


def command(
    ctx: typer.Context,
    flow: FlowArgument = None,
    *,
    limit: Annotated[int, typer.Option(min=0, help="Show so many steps of each kind.")] = 5,
    whole: Whole = False,
) -> Answer:
    """Show every write that a sync would make. Reads the systems; writes to none."""
    session: Session = ctx.obj
    name = session.flow(flow)
    settings = session.settings()
    from erpcrm_bridge.cli import planning
    from erpcrm_bridge.sync.run import run_flow
    from erpcrm_bridge.work import at_work

    with session.output.stations() as progress, at_work(settings, name) as (opened, store, fence):
        report = run_flow(opened, store, folder=settings.folder, fence=fence, progress=progress, write=False)
    made = planning.made(report, None if whole else limit)

    def show(out: Output) -> None:
        planning.show(out, made, whole=whole)

    data: dict[str, Any] = planning.told(made)
    return Answer(data, show)
