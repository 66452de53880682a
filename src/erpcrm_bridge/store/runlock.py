"""The lock of an embedded store's runner: a file beside it, held by the kernel for as long as the process lives."""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from erpcrm_bridge.errors import Locked, StoreError


class RunLock:
    """Held from the moment it is made until ``release``. Raises Locked, which says who holds it, where another runner does."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"The lock file {path} cannot be opened: {error.strerror}.", way_out="Check the folder's rights.") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._file, 200, 0).decode(errors="replace").strip()
            os.close(self._file)
            raise Locked(
                f"Another run holds the store: {holder or 'it has just begun'}.", way_out="Wait for it to end, or end it; then run again."
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{whoami()}\n".encode(), 0)

    def release(self) -> None:
        if self._file >= 0:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def whoami() -> str:
    """Return who asks, in words: ``pid 4711 since 2026-05-01T07:25:37Z``."""
    return f"pid {os.getpid()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
