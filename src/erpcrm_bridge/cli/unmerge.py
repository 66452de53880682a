"""Give a record a golden record of its own."""

from __future__ import annotations

import typer

from erpcrm_bridge.cli.by_hand import Named, OfEntity, OfFlow, Plan, Yes, carried_out
from erpcrm_bridge.cli.output import Answer
from erpcrm_bridge.cli.session import Session


def command(
    ctx: typer.Context, record: Named, *, flow: OfFlow = None, entity: OfEntity = None, plan: Plan = False, yes: Yes = False
) -> Answer:
    """Give a record, an alias above all, a golden record of its own. `link` takes it back."""
    session: Session = ctx.obj
    from erpcrm_bridge.sync.binding import place, unmerge

    return carried_out(
        session,
        flow,
        lambda flow, store, do: unmerge(flow, store, place(flow, store, record, entity), person=session.person, do=do),
        plan=plan,
        yes=yes,
    )
