"""The lock of an embedded store's runner: a file beside it, held by the kernel for as long as the process lives."""

from __future__ import annotations

import fcntl
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from erpcrm_bridge.errors import Locked, StoreError

PATIENCE = 30
"""Seconds to wait for what a runner that is no more has left to be stored."""
_PAUSE = 0.02


class RunLock:
    """Held from the moment it is made until ``release``. Raises Locked, which says who holds it, where another runner does."""

    def __init__(self, path: Path) -> None:
        try:
            self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"The lock file {path} cannot be opened: {error.strerror}.", way_out="Check the folder's rights.") from None
        patient_until = time.monotonic() + PATIENCE
        while not self._take():
            holder = os.pread(self.file, 200, 0).decode(errors="replace").strip()
            if is_gone(holder.removeprefix("pid ").partition(" ")[0]) and time.monotonic() < patient_until:
                time.sleep(_PAUSE)  # its second process stores the last it was given, and then lets go
                continue
            os.close(self.file)
            raise Locked(
                f"Another run holds the store: {holder or 'it has just begun'}.", way_out="Wait for it to end, or end it; then run again."
            )
        try:
            os.ftruncate(self.file, 0)
            os.pwrite(self.file, f"{whoami()}\n".encode(), 0)
        except OSError as error:
            os.close(self.file)
            raise StoreError(
                f"The lock file {path} cannot be written: {error.strerror}.", way_out="Make room on its disk, then run again."
            ) from None

    def _take(self) -> bool:
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        if self.file >= 0:
            os.ftruncate(self.file, 0)
            os.close(self.file)
            self.file = -1

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def is_gone(pid: str) -> bool:
    """Tell whether a process of this machine is known to be no more; what is no number names none that is known."""
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is there, and somebody else's
        pass
    return False


def whoami() -> str:
    """Return who asks, in words: ``pid 4711 since 2026-05-01T07:25:37Z``."""
    return f"pid {os.getpid()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
