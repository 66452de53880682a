"""How a command ended. These numbers are a promise to scripts."""

from __future__ import annotations

from typing import Final

from erpcrm_bridge.errors import AdoptionNeeded, BrakeTripped, Locked, UsageError

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
WAITING: Final = 3
"""Done, but something waits for a person: parked records or clashes."""
BRAKE: Final = 4
LOCKED: Final = 5
"""Another run holds the store."""
STALE: Final = 6
"""Steps of the plan had gone stale and were left out."""
DIFFERENT: Final = 7
"""`verify` found the systems unequal."""
ADOPTION: Final = 8
INTERRUPTED: Final = 130

MEANINGS: Final[dict[int, str]] = {
    DONE: "done",
    FAILED: "failed",
    USAGE: "wrong usage",
    WAITING: "done, but records are parked or in clash",
    BRAKE: "a brake tripped",
    LOCKED: "locked by another run",
    STALE: "steps had gone stale and were left out",
    DIFFERENT: "differences found",
    ADOPTION: "adoption needed first",
    INTERRUPTED: "interrupted",
}

_OF_ERRORS: Final[dict[type[Exception], int]] = {UsageError: USAGE, BrakeTripped: BRAKE, Locked: LOCKED, AdoptionNeeded: ADOPTION}


def of_error(error: BaseException) -> int:
    """Return the exit code for what was raised."""
    return next((code for kind, code in _OF_ERRORS.items() if isinstance(error, kind)), FAILED)
