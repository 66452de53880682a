"""What the bridge notes in a folder: the folder's identity, and the numbers it has given out as keys."""

from __future__ import annotations

import uuid
from pathlib import Path

import msgspec
from msgspec import Struct, field

from erpcrm_bridge.errors import InputError
from erpcrm_bridge_csv.files import locked, replace_text, telling

MARKER_NAME = ".erpcrm-bridge.json"


class Marker(Struct, forbid_unknown_fields=True):
    """``counters``: for each stream the greatest number ever given out. ``promised``: for each stream the keys given to references whose
    rows were not seen in the file yet: a create that is repeated after a crash takes the same key."""

    identity: str
    counters: dict[str, int] = field(default_factory=dict)
    promised: dict[str, dict[str, str]] = field(default_factory=dict)


def load(folder: Path) -> Marker | None:
    """Return the folder's marker, or None where it has none. Raises InputError where it cannot be understood."""
    path = folder / MARKER_NAME
    try:
        with telling(path, "read"):
            content = path.read_bytes() if path.exists() else None
        return None if content is None else msgspec.json.decode(content, type=Marker)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InputError(
            f"{MARKER_NAME} in {folder} is damaged.",
            way_out="Put it back from a backup, for links hang on the identity in it; or set `identity` in the settings.",
        ) from None


def save(folder: Path, marker: Marker) -> None:
    """Write the marker at once and durably."""
    replace_text(folder / MARKER_NAME, msgspec.json.format(msgspec.json.encode(marker), indent=2).decode() + "\n")


def identity_of(folder: Path, declared: str | None) -> str:
    """Return the declared identity, else the marker's; a folder without either is given one, once, even if two bridges ask together."""
    if declared is not None:
        return declared
    found = load(folder)
    if found is None:
        with locked(folder):
            found = load(folder)
            if found is None:
                found = Marker(str(uuid.uuid4()))
                save(folder, found)
    return found.identity
