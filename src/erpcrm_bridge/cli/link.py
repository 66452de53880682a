"""Say by hand that two records are one."""

from __future__ import annotations

from typing import Annotated

import typer

from erpcrm_bridge.cli.by_hand import Named, OfEntity, OfFlow, Plan, Yes, carried_out
from erpcrm_bridge.cli.output import Answer


def command(
    ctx: typer.Context,
    record: Named,
    what: Annotated[str, typer.Argument(help="What it is: another record, or a golden id.")],
    *,
    flow: OfFlow = None,
    entity: OfEntity = None,
    plan: Plan = False,
    yes: Yes = False,
) -> Answer:
    """Say that a record is the same thing as another. The next sync merges them; `unlink` takes it back."""
    return carried_out(ctx.obj, "link", record, what, flow=flow, entity=entity, plan=plan, yes=yes)
