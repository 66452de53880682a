"""Every error of the bridge, named after whoever must act.

::

    BridgeError
    ├── UsageError            the caller: a name, key or option that does not exist
    ├── ConfigError           whoever keeps config.yaml or a mapping; carries complaints with file, line and column
    ├── AuthError             the operator renews a credential
    ├── PermissionDenied      whoever grants rights in the system
    ├── InputError            whoever made the input: a file cut short, an unreadable row, a wrong encoding
    ├── SchemaDrift           whoever changed the system: a stream or field that a mapping names is gone
    ├── AdoptionNeeded        the operator: two filled systems are joined by `adopt`, not by `sync`
    ├── BrakeTripped          a person looks at the plan and releases the brake
    ├── Locked                nobody: another run holds the store; wait, or end it
    ├── StoreError            whoever keeps the store: a full disk, a server that is away, an unknown schema
    ├── TransientError        nobody: try again (after ``retry_after`` seconds, where the system says so)
    │   └── QuotaExhausted    nobody: the system's limit is used up ``until`` then
    ├── CursorExpired         nobody: the bridge reads the stream in full
    ├── FenceLost             nobody: another worker took the lease over; this one's work is dropped
    └── ConnectorBug          the connector's author: a rule of the contract was broken

A message says what happened, to which record, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong with a file that a person wrote. ``line`` and ``column`` count from 1; 0 means "the whole file"."""

    file: str
    line: int
    column: int
    what: str
    way_out: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.what}" + (f" ({self.way_out})" if self.way_out else "")


class BridgeError(Exception):
    """Anything the bridge raises on purpose. ``way_out`` is the next thing to do or the next command to type; ``keys`` names the records
    that were asked for and that it is about, where it is not about them all."""

    def __init__(self, message: str, *, way_out: str = "", keys: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.way_out = way_out
        self.keys = tuple(keys)

    def __str__(self) -> str:
        return self.message


class UsageError(BridgeError):
    """The caller named something that does not exist."""


class ConfigError(BridgeError):
    """config.yaml, a mapping or an entity file is wrong; ``complaints`` holds every finding, not only the first."""

    def __init__(self, message: str, *, way_out: str = "", complaints: Sequence[Complaint] = ()) -> None:
        super().__init__(message, way_out=way_out)
        self.complaints = tuple(complaints)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {complaint}" for complaint in self.complaints)])


class AuthError(BridgeError):
    """The credential is refused: expired, revoked or wrong."""


class PermissionDenied(BridgeError):
    """The credential is good and may not do this. ``keys``: those that may not be read."""


class InputError(BridgeError):
    """What was read cannot be what was meant: truncated, half-written, in another encoding. Never taken for a deletion. ``keys``: those of
    which it cannot be told how they stand, or whether they are there."""


class SchemaDrift(BridgeError):
    """A stream or field that a mapping names is no longer there, or is another."""


class AdoptionNeeded(BridgeError):
    """Both systems hold records that the store does not know: joining them is reviewed first."""


class BrakeTripped(BridgeError):
    """A limit on deletes, creates or the share changed was reached; nothing more is written until a person releases it."""


class Locked(BridgeError):
    """Another run holds the store or the flow."""


class StoreError(BridgeError):
    """The store cannot be read or written."""


class TransientError(BridgeError):
    """It may work later. ``retry_after`` is in seconds where the system said so."""

    def __init__(self, message: str, *, way_out: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, way_out=way_out)
        self.retry_after = retry_after


class QuotaExhausted(TransientError):
    """A limit of the system is used up; ``until`` is an instant as ISO 8601 text, or empty where it is not told."""

    def __init__(self, message: str, *, way_out: str = "", until: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, way_out=way_out, retry_after=retry_after)
        self.until = until


class CursorExpired(BridgeError):
    """The system no longer reads on from this cursor: read the stream in full."""


class FenceLost(BridgeError):
    """The lease went to another worker while this one worked."""


class ConnectorBug(BridgeError):
    """A connector broke its contract."""
