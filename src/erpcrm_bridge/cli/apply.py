"""Carry a plan out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erpcrm_bridge.cli.exit_codes import FAILED
from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import Session, complete_flow


def command(
    ctx: typer.Context,
    plan: Annotated[
        str | None, typer.Argument(help="A plan's file, or the beginning of its fingerprint.", show_default="the newest of the flow")
    ] = None,
    *,
    flow: Annotated[str | None, typer.Option(help="Whose newest plan.", show_default="the only one", autocompletion=complete_flow)] = None,
    all_or_nothing: Annotated[bool, typer.Option("--all-or-nothing", help="Do nothing at all if a step has gone stale.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Answer:
    """Carry out exactly the writes of a plan. Steps whose records have moved since are left out and listed."""
    session: Session = ctx.obj
    settings = session.settings()
    from erpcrm_bridge.cli import reports, words
    from erpcrm_bridge.cli.choosing import chosen_plan
    from erpcrm_bridge.sync.plan import check
    from erpcrm_bridge.sync.run import apply_plan
    from erpcrm_bridge.work import at_work

    path: Path = chosen_plan(settings.folder, plan, lambda: session.flow(flow))
    head = check(path)
    name = session.flow(head.flow)
    out = session.output
    what = f"{words.count(head.steps, 'step')} to undo {head.undoes}" if head.undoes else words.count(head.steps, "write")
    out.line(f"Plan {head.fingerprint} of {head.flow}, made {words.when(head.at)}: {what}.")
    if not yes and not out.confirm("Carry it out?", option="--yes"):
        return Answer({"flow": name, "applied": False}, lambda out: out.error("Nothing was done."), FAILED)
    with out.stations() as progress, at_work(settings, name) as (opened, store, fence):
        report = apply_plan(opened, store, path, fence=fence, progress=progress, all_or_nothing=all_or_nothing)

    def show(out: Output) -> None:
        reports.show(out, report)
        if report.stale:
            out.line("Nothing was done." if all_or_nothing else "The other steps were done.")
            out.hint(f"Next: erpcrm-bridge plan {name}")
        else:
            out.hint(f"Next: erpcrm-bridge sync {name}")

    return Answer({"applied": not (all_or_nothing and report.stale), **reports.told(report)}, show, reports.exit_code(report))
