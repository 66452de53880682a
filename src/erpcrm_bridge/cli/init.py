"""Start a folder: config.yaml, its schema, and the store's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erpcrm_bridge.cli.output import Answer, Output


def command(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where; made if it is not there.", show_default="this folder")] = Path(),
) -> Answer:
    """Start a folder with an explained config.yaml. Nothing that is there is overwritten."""
    from erpcrm_bridge.cli.starting import start

    written = start(folder)
    here = "" if folder.resolve() == Path().resolve() else f"cd {folder} && "
    following = f"{here}erpcrm-bridge check"

    def show(out: Output) -> None:
        for path in written:
            out.line(f"Wrote {path}")
        out.line("Name your systems in config.yaml; as it stands it joins CSV files in ./crm and ./erp.")
        out.hint(f"Then: {following}")

    return Answer({"written": written, "next": following}, show)
