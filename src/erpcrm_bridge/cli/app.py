"""The frame around every command: global options, finding the command's module, and the ends a run can come to."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from erpcrm_bridge.cli import exit_codes
from erpcrm_bridge.cli.failure import report
from erpcrm_bridge.cli.output import Answer
from erpcrm_bridge.cli.session import CONFIG_VARIABLE, DEFAULT_CONFIG, Session

PROGRAM = "erpcrm-bridge"
COMMANDS = (
    "init",
    "check",
    "mapping",
    "adopt",
    "plan",
    "apply",
    "sync",
    "status",
    "conflicts",
    "parked",
    "explain",
    "history",
    "link",
    "unlink",
    "unmerge",
    "ids",
    "undo",
    "verify",
    "webhook",
    "demo",
    "simulate",
)
"""In the order of the help; each is a module of this package, with a function ``command``, or an ``app`` that has commands of its own."""

_FLAGS = frozenset({"--json", "--debug", "--quiet", "-q"})
_VALUED = ("--config", "-c")


class Escaped(Exception):
    """Carries what a command raised past typer, which would turn some of it into an exit of its own. The cause is what was raised."""


class _Commands(TyperGroup):
    """Imports a command's module when the command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"erpcrm_bridge.cli.{cmd_name}")
        app = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(cmd_name)(module.command)
        return get_command(app)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError, OSError) as error:
            raise Escaped from error


def _version(wanted: bool) -> None:
    if wanted:
        from erpcrm_bridge import __version__

        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


_EPILOG = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in exit_codes.MEANINGS.items()) + "."

_app = typer.Typer(
    cls=_Commands, rich_markup_mode=None, no_args_is_help=False, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)


@_app.callback()
def _options(
    ctx: typer.Context,
    *,
    config: Annotated[Path, typer.Option("--config", "-c", envvar=CONFIG_VARIABLE, help="The configuration.")] = DEFAULT_CONFIG,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks, without secrets.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Join a company's ERP and its CRM: plan every write, explain every field, prove that it is never wrong.

    The options below may also stand after the command.
    """
    session: Session = ctx.obj
    session.config, session.json, session.debug, session.quiet = config, json, debug, quiet


def global_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the global options in front, wherever before ``--`` they stood."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument in _FLAGS or argument.startswith("--config="):
            front.append(argument)
        elif argument in _VALUED:
            front.append(argument)
            front += [value] if (value := next(waiting, None)) is not None else []
        else:
            rest.append(argument)
    return front + rest


def run(arguments: Sequence[str], environ: Mapping[str, str] | None = None, *, for_people: bool = False) -> int:
    """Run the command that the arguments name; return its exit code. ``for_people``: speak as to a person, though stdout is a pipe."""
    session = Session(os.environ if environ is None else environ, for_people=for_people)
    ordered = global_first(arguments)
    session.json, session.debug = "--json" in ordered, "--debug" in ordered
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        answer = get_command(_app).main(ordered or ["--help"], prog_name=PROGRAM, standalone_mode=False, obj=session)
        if not isinstance(answer, Answer):
            return int(answer or exit_codes.DONE)
        answer.deliver(session.output)
    except Escaped as escaped:
        error = escaped.__cause__ or escaped
    except (Exception, KeyboardInterrupt) as raised:
        error = raised
    else:
        return answer.exit_code
    return report(_named(error, ordered), session.output, debug=session.debug)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _named(error: BaseException, arguments: Sequence[str]) -> BaseException:
    """Add to "no such command" the command that was meant."""
    message = getattr(error, "message", "")
    if isinstance(error, typer.TyperException) and message.startswith("No such command"):
        near = next((near for word in arguments for near in get_close_matches(word, COMMANDS, n=1)), None)
        if near:
            error.message = f"{message.rstrip('.')}; did you mean {near!r}?"
    return error
