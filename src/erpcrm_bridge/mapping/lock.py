"""The lock file beside config.yaml: what the installation's overlays were written over, and how each system looked then.

It is written by ``erpcrm-bridge mapping lock`` alone, and belongs under version control with config.yaml.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from erpcrm_bridge.connector import Description
from erpcrm_bridge.errors import Complaint, ConfigError
from erpcrm_bridge.mapping.library import Library, load_library, shipped
from erpcrm_bridge.settings import Settings

NAME = "mappings.lock"


class Lock(msgspec.Struct, frozen=True):
    """``extended``: by the name of each file that an overlay extends, a digest of each of its entries. ``systems``: by connection, what its
    system said of itself. ``at``: when that was (UTC)."""

    extended: dict[str, dict[str, str]] = {}
    systems: dict[str, Description] = {}
    at: str = ""


def lock_file(settings: Settings) -> Path:
    """Return where the lock stands."""
    return settings.folder / NAME


def read_lock(settings: Settings) -> Lock:
    """Return the lock; an empty one where there is none yet. Raises ConfigError."""
    file = lock_file(settings)
    if not file.exists():
        return Lock()
    try:
        return msgspec.json.decode(file.read_bytes(), type=Lock)
    except (OSError, msgspec.MsgspecError) as error:
        complaint = Complaint(
            str(file), 0, 0, f"it cannot be read: {error}", "take it from version control, or write it anew: erpcrm-bridge mapping lock"
        )
        raise ConfigError("The lock of the mappings cannot be read.", complaints=[complaint]) from error


def write_lock(settings: Settings, library: Library, systems: Mapping[str, Description]) -> Path:
    """Pin what overlays extend, and how the systems look now; return the file."""
    file = lock_file(settings)
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    plain: dict[str, Any] = msgspec.to_builtins(Lock(library.extended, dict(systems), at))
    file.write_text(json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def installed_library(settings: Settings, only: Container[str] | None = None) -> Library:
    """Return the shipped mappings and the installation's own (of the entities ``only``, where given), overlays held against the lock.

    Raises ConfigError.
    """
    return load_library([shipped(), *settings.mapping_folders], pinned=read_lock(settings).extended, only=only)
