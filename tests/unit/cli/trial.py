"""The command line with one command more, `trial`, which ends in whatever way a test asks for. Run as a script."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import ModuleType

import typer

from erpcrm_bridge import errors
from erpcrm_bridge.cli import app, main
from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import Session


def _raise(session: Session, kind: str) -> None:
    if kind == "secret":
        raise RuntimeError(f"refused with {session.settings().connections['crm'].settings['password']}")
    if kind == "secret-error":
        raise errors.AuthError(f"401 for {session.settings().connections['crm'].settings['password']}")
    if kind == "pipe":
        raise BrokenPipeError("the system hung up")
    if kind == "confirm":
        session.output.error(f"Answered {session.output.confirm('Really?', option='--yes')}")
    if kind == "sleep":
        sys.stderr.write("ready\n")
        time.sleep(60)
    if hasattr(errors, kind):
        raise getattr(errors, kind)("It went wrong.")


def command(ctx: typer.Context, kind: str, code: int = 0, mark: Path | None = None) -> Answer:
    """End as asked."""
    session: Session = ctx.obj
    _raise(session, kind)

    def show(out: Output) -> None:
        with out.progress("Trying") as advance:
            advance(1, 2)
        rows = 5000 if kind == "long" else 2
        out.table(("name", "count"), [("One & Co", 1), ("\x1b[31mred", 2)] * rows, right=["count"])
        out.line("Done.")
        out.hint("Next: more")
        if mark:
            mark.write_text("came to the end")

    book = session.settings().connections["crm"].settings["password"] if kind == "json-secret" else "none"
    return Answer({"kind": kind, "said": [book]}, show, code)


if __name__ == "__main__":
    module = ModuleType("erpcrm_bridge.cli.trial")
    module.command = command  # type: ignore[attr-defined]  # a module made here
    sys.modules[module.__name__] = module
    app.COMMANDS += ("trial",)
    sys.exit(main())
