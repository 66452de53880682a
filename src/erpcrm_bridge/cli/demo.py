"""See the bridge at work, on data of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import Session


def command(
    ctx: typer.Context,
    *,
    folder: Annotated[Path, typer.Option(help="Where; made anew at each start.")] = Path(".demo"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the folder there at the end, to look around in it.")] = False,
) -> Answer:
    """Join a CRM's and an ERP's exports, edit both sides, settle a clash, explain a field, verify. Takes under a minute."""
    session: Session = ctx.obj
    session.for_people = True
    began = time.monotonic()
    from erpcrm_bridge.cli.rehearsal import Rehearsal
    from erpcrm_bridge.cli.stage import cleared, set_up

    set_up(folder)
    with cleared(folder, keep=keep):
        figures, verified = Rehearsal(folder, session.output).play()
    seconds = round(time.monotonic() - began, 1)
    data = {"folder": folder, "kept": keep, "seconds": seconds, "figures": [figure.told() for figure in figures], "verified": verified}

    def show(out: Output) -> None:
        out.line()
        out.line(f"That was all, in {seconds:.0f} seconds.")
        if keep:
            out.line(f"Look around: cd {folder} && erpcrm-bridge status")
        else:
            out.line("Look around yourself: erpcrm-bridge demo --keep. With your own files: erpcrm-bridge init")

    return Answer(data, show)
