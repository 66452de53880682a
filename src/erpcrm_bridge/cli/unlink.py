"""Say by hand that a record is not what it is linked with."""

from __future__ import annotations

import typer

from erpcrm_bridge.cli.by_hand import Named, OfEntity, OfFlow, Plan, Yes, carried_out
from erpcrm_bridge.cli.output import Answer


def command(
    ctx: typer.Context, record: Named, *, flow: OfFlow = None, entity: OfEntity = None, plan: Plan = False, yes: Yes = False
) -> Answer:
    """Say that a record is not what it is linked with. No sync binds or creates it again until a person says what it is."""
    return carried_out(ctx.obj, "unlink", record, flow=flow, entity=entity, plan=plan, yes=yes)
