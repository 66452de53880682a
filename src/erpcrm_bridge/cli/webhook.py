"""Look at the rules by which a system calls the bridge, and set them up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from erpcrm_bridge.cli.exit_codes import DONE, FAILED
from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import Session

if TYPE_CHECKING:
    from erpcrm_bridge.connector import WebhookRule

app = typer.Typer(name="webhook", add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})
Connection: TypeAlias = Annotated[str, typer.Argument(help="The connection.")]
_DONE = {"make": "made", "change": "changed", "": ""}


@app.callback()
def webhook() -> None:
    """Look at the rules by which a system calls the bridge, and set them up."""


@app.command()
def check(ctx: typer.Context, connection: Connection) -> Answer:
    """Say what is missing or wrong in a system's webhook rules for what flows read of it. Nothing is written."""
    session: Session = ctx.obj
    settings = session.settings()
    from erpcrm_bridge.cli.webhooks import looked_at

    rules = looked_at(settings, connection)
    wrong = sum(bool(rule.wrong) for rule in rules)

    def show(out: Output) -> None:
        _table(out, rules)
        if wrong:
            out.error(f"{_count(wrong)} not as they should be. Set them up: erpcrm-bridge webhook set-up {connection}")
        else:
            out.line("Nothing is wrong.")

    return Answer(_told(connection, rules, done=False), show, FAILED if wrong else DONE)


@app.command("set-up")
def set_up(
    ctx: typer.Context,
    connection: Connection,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it, instead of only showing what would be done.")] = False,
) -> Answer:
    """Make a system's webhook rules for what flows read of it, and change those that are wrong. A rule is made once."""
    session: Session = ctx.obj
    settings = session.settings()
    from erpcrm_bridge.cli.webhooks import looked_at, were_set_up

    rules = were_set_up(settings, connection) if yes else looked_at(settings, connection)
    steps = [rule for rule in rules if rule.step]
    by_hand = [rule for rule in rules if rule.wrong and not rule.step]

    def show(out: Output) -> None:
        _table(out, rules, done=yes)
        if yes:
            out.line(f"{_count(len(steps))} set up." if steps else "Nothing was left to set up.")
        elif steps:
            out.line(f"{_count(len(steps))} to set up. Nothing was written.")
            out.hint(f"Next: erpcrm-bridge webhook set-up {connection} --yes")
        else:
            out.line("Nothing is left to set up.")
        if by_hand:
            out.error(f"{_count(len(by_hand))} to be put right in the system, by hand.")

    return Answer(_told(connection, rules, done=yes), show, FAILED if by_hand else DONE)


def _told(connection: str, rules: list[WebhookRule], *, done: bool) -> dict[str, object]:
    told = [{"about": r.about, "streams": r.streams, "step": r.step, "wrong": r.wrong, "note": r.note} for r in rules]
    return {"connection": connection, "rules": told, "done": done}


def _table(out: Output, rules: list[WebhookRule], *, done: bool = False) -> None:
    rows = [[rule.about, _DONE[rule.step] if done else rule.step, "; ".join(rule.wrong) or rule.note or "right"] for rule in rules]
    out.table(("watches", "done" if done else "to do", "as it stood" if done else "as it stands"), rows, whole=["watches"])


def _count(number: int) -> str:
    return f"{number} rule{'' if number == 1 else 's'}"
