"""See the bridge at work, on data of its own."""

from __future__ import annotations

import typer


def command(ctx: typer.Context) -> None:
    """stub"""
