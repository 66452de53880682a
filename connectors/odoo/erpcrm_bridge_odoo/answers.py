"""What Odoo's errors mean: one table of known answers, each with its source.

A row is found by the exception's name, its HTTP status (JSON-2; JSON-RPC says 200) and its text, the first that fits. ``scope`` says what
is at fault: the ``connection``, the ``stream``, one ``record`` or one ``field`` of it, or ``nothing`` (it is tried again).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from erpcrm_bridge.errors import (
    AuthError,
    BridgeError,
    ConfigError,
    ConnectorBug,
    PermissionDenied,
    SchemaDrift,
    TransientError,
)
from erpcrm_bridge.model.records import RejectClass
from erpcrm_bridge_odoo.settings import OdooSettings

Scope: TypeAlias = Literal["connection", "stream", "record", "field", "nothing"]
Retry: TypeAlias = Literal["never", "at once", "when it was changed"]


@dataclass(frozen=True, slots=True)
class Known:
    """One known answer. ``error`` is raised for what concerns the connection or the stream; ``reject`` is the class of a refused write.
    The text's groups ``field`` and ``model`` name what is at fault."""

    of: str
    scope: Scope
    retry: Retry
    exception: str
    text: str
    advice: str
    source: str
    error: type[BridgeError] = ConnectorBug
    reject: RejectClass = "record"
    status: int | None = None


class Fault(Exception):
    """Odoo refused. ``name`` is its exception's; ``known`` the row that the table has for it."""

    def __init__(self, name: str, message: str, status: int) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.status = status
        self.known, self._match = look_up(name, message, status)

    @property
    def field(self) -> str | None:
        """The field at fault, where the text names it."""
        return self._match.groupdict().get("field") if self._match else None


KNOWN: tuple[Known, ...] = (
    Known(
        "somebody else changed it at the same moment", "nothing", "at once", "SerializationFailure|DeadlockDetected|LockNotAvailable",
        "", "Nothing to do: it is tried again.", "observed on 17 and 19: after five tries of its own", TransientError,
    ),
)  # fmt: skip

UNKNOWN = Known(
    "an answer that the table does not know",
    "record",
    "when it was changed",
    "",
    "",
    "Look at the system's own sentence.",
    "",
    ConnectorBug,
)


def look_up(name: str, message: str, status: int) -> tuple[Known, re.Match[str] | None]:
    """Return the row of the table that fits, and how its text was found; UNKNOWN where none does."""
    for known in KNOWN:
        if known.status is not None and known.status != status:
            continue
        if re.search(known.exception, name):
            found = re.search(known.text, message, re.DOTALL)
            if found:
                return known, found
    return UNKNOWN, None


def raised_for(fault: Fault, settings: OdooSettings) -> Exception:
    """Return what is to be raised: the error of whoever must act on the connection or stream; the fault where it is about records."""
    known = fault.known
    if known.scope in ("record", "field"):
        return fault
    where = f"{settings.database} at {settings.url}"
    return known.error(f"{where}: {known.of} ({_first_line(fault.message)}).", way_out=known.advice)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].rstrip(".")[:200]


__all__ = ["KNOWN", "UNKNOWN", "AuthError", "ConfigError", "Fault", "Known", "PermissionDenied", "SchemaDrift", "look_up", "raised_for"]
