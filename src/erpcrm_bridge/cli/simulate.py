"""Put up a simulated system on this machine, to try the bridge against or to test with."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from erpcrm_bridge.cli.session import Session
from erpcrm_bridge.errors import UsageError


def command(
    ctx: typer.Context,
    system: Annotated[str, typer.Argument(help="Which system: odoo.")],
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where, on 127.0.0.1; 0 takes a free one.")] = 0,
    version: Annotated[str | None, typer.Option("--version", help="Which version of it; without this, the newest.")] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option("--fault", help="What goes wrong: KIND[=SECONDS][*TIMES][@MODEL[/METHOD]]. May be given several times."),
    ] = None,
    seed_data: Annotated[bool, typer.Option("--seed-data", help="Begin with a little trade in it.")] = False,
) -> None:
    """Simulate a system over HTTP until Ctrl-C. Its records live in memory; what it does not do it refuses with 501."""
    session: Session = ctx.obj
    from erpcrm_bridge.registry import simulator

    start = simulator(system)
    try:
        running = start(port=port, version=version, faults=fault or (), seed_data=seed_data)
    except ValueError as error:
        raise UsageError(str(error), way_out="erpcrm-bridge simulate --help") from error
    except OSError as error:
        raise UsageError(f"Port {port} is taken.", way_out="Take another, or --port 0.") from error
    told = dict(running.settings)
    if session.json:
        session.output.object(told)
    else:
        for name, value in told.items():
            session.output.line(f"{name}: {value}")
        session.output.hint("Ends with Ctrl-C.")
    with suppress(KeyboardInterrupt):
        running.wait()
    running.close()
