"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from erpcrm_bridge.cli.session import complete_flow

OfFlow: TypeAlias = Annotated[str | None, typer.Option("--flow", help="Only this flow.", show_default="all", autocompletion=complete_flow)]
Whole: TypeAlias = Annotated[bool, typer.Option("--all", help="Show everything.")]
Record: TypeAlias = Annotated[
    str | None, typer.Option("--record", help="Only of this record: a golden id, a KEY, or CONNECTION:KEY.", show_default="all")
]
