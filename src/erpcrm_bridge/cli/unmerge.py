"""Give a record a golden record of its own."""

from __future__ import annotations

import typer

from erpcrm_bridge.cli.by_hand import Named, OfEntity, OfFlow, Plan, Yes, carried_out
from erpcrm_bridge.cli.output import Answer


def command(
    ctx: typer.Context, record: Named, *, flow: OfFlow = None, entity: OfEntity = None, plan: Plan = False, yes: Yes = False
) -> Answer:
    """Give a record, an alias above all, a golden record of its own. `link` takes it back."""
    return carried_out(ctx.obj, "unmerge", record, flow=flow, entity=entity, plan=plan, yes=yes)
