"""Reads the small files that people write: config.yaml, mappings, secrets. Whatever stands under the name, it ends soon."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST = 1 << 20
"""Bytes. What is longer was not written by hand."""


def content_of(path: Path) -> bytes:
    """Return what the file holds. Raises OSError, also for a pipe, a device and a file longer than MOST, with words in its ``strerror``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError:
        raise OSError(errno.EINVAL, "no file has such a name") from None
    with os.fdopen(descriptor, "rb") as file:
        kind = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a file")
        content = file.read(MOST + 1)
    if len(content) > MOST:
        raise OSError(errno.EFBIG, f"it is longer than {MOST >> 20} MB")
    return content


def is_folder(path: Path) -> bool:
    """Tell whether ``path`` is a folder; what cannot be one (too long a name) is none."""
    try:
        return path.is_dir()
    except OSError:
        return False
