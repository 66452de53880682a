"""From whatever was raised to what happened, the way out, and the exit code. The one place that does so."""

from __future__ import annotations

import errno
import traceback
from typing import Any

import typer

from erpcrm_bridge.cli import exit_codes
from erpcrm_bridge.cli.output import Output
from erpcrm_bridge.errors import AdoptionNeeded, BrakeTripped, BridgeError, ConfigError, ConnectorBug, Locked, StoreError, TransientError

_NEXT: dict[type[BridgeError], str] = {
    AdoptionNeeded: "erpcrm-bridge adopt FLOW",
    BrakeTripped: "Look at the plan: erpcrm-bridge plan FLOW",
    Locked: "Wait for the other run to end, then run this again.",
    TransientError: "Nothing is lost: run this again.",
    ConfigError: "Correct it, then: erpcrm-bridge check",
    StoreError: "Nothing is lost: put the store right, then run this again.",
    ConnectorBug: "Report it to the connector's author, with what --debug shows.",
}


def report(error: BaseException, output: Output, *, debug: bool) -> int:
    """Say what was raised, without a traceback unless ``debug``; return the exit code."""
    kind, message, way_out, code = _words(error)
    if debug:
        output.error("".join(traceback.format_exception(error)).rstrip())
    complaints = error.complaints if isinstance(error, ConfigError) else ()
    if output.json:
        told: dict[str, Any] = {"kind": kind, "message": message, "way_out": way_out}
        if complaints:
            told["complaints"] = [
                {"file": c.file, "line": c.line, "column": c.column, "what": c.what, "way_out": c.way_out} for c in complaints
            ]
        output.object({"error": told, "exit_code": code})
        return code
    lines = [message, *(f"  {complaint}" for complaint in complaints)]
    output.error("\n".join([*lines, f"Way out: {way_out}"] if way_out else lines))
    return code


def _words(error: BaseException) -> tuple[str, str, str, int]:
    code = exit_codes.of_error(error)
    if isinstance(error, BridgeError):
        way_out = error.way_out or next((said for kind, said in _NEXT.items() if isinstance(error, kind)), "")
        return type(error).__name__, error.message, way_out, code
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted", "Interrupted.", "Nothing is lost: the next run goes on from here.", exit_codes.INTERRUPTED
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "erpcrm-bridge"
        return "UsageError", error.format_message(), f"{command} --help", exit_codes.USAGE
    if isinstance(error, (EOFError, typer.Abort)):
        return (
            "UsageError",
            "An answer is needed, and nobody is there to give it.",
            "Run it at a terminal, or name the answer as an option.",
            exit_codes.USAGE,
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "StoreError", "The disk is full.", "Make room, then run this again: nothing is lost.", code
    return (
        type(error).__name__,
        f"Something unexpected happened ({type(error).__name__}).",
        "Run it again with --debug, and report what it shows.",
        code,
    )
