"""A disk that keeps through a power cut only what was fsynced: the contents of files and, apart from these, the entries of folders.

Beside each watched folder stands its *shadow*: for each inode its contents at the last fsync, and the folder's entries at its own last
fsync. The process under test writes to the folder as ever; only ``os.fsync`` is taken over, and copies into the shadow (``Recorder``).
After a kill ``cut`` rebuilds the folder from the shadow. Entries that were not synced are there or not, each for itself, as ``kept``
says: a disk may write them in any order. Contents that were not synced are not there: a new file of that kind is empty.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from stat import S_ISREG
from typing import Any

ENTRIES = "entries.json"


def lay(folder: Path, shadow: Path) -> None:
    """Take all that ``folder`` holds now as durable."""
    shutil.rmtree(shadow, ignore_errors=True)
    shadow.mkdir(parents=True)
    for entry in os.scandir(folder):
        if entry.is_file():
            (shadow / str(entry.inode())).write_bytes(Path(entry.path).read_bytes())
    _put(shadow / ENTRIES, json.dumps(_entries(folder)).encode())


def cut(folder: Path, shadow: Path, kept: Callable[[], bool]) -> list[str]:
    """Rebuild ``folder`` as the disk has it after a power cut; return the names whose file is not what the processes last saw."""
    now, durable = _entries(folder), json.loads((shadow / ENTRIES).read_bytes())
    lost, found = [], {}
    for name in sorted({*now, *durable}):
        inode = now.get(name) if now.get(name) == durable.get(name) or kept() else durable.get(name)
        if inode is not None:
            contents = shadow / str(inode)
            found[name] = contents.read_bytes() if contents.exists() else b""
        seen = (folder / name).read_bytes() if name in now else None
        if found.get(name) != seen:
            lost.append(name)
    for name in now:
        (folder / name).unlink()
    for name, contents in found.items():
        (folder / name).write_bytes(contents)
    return lost


class Recorder:
    """Copies into the shadows what ``os.fsync`` makes durable. Its own copies appear whole or not at all, for it may die on the way.

    It holds every file of the folders open, so that no inode's number is given to another file while the process lives.
    """

    def __init__(self, shadows: dict[str, str]) -> None:
        self._shadows = {os.path.realpath(folder): Path(shadow) for folder, shadow in shadows.items()}
        self._held = [os.open(entry.path, os.O_RDONLY) for folder in self._shadows for entry in os.scandir(folder) if entry.is_file()]

    def watches(self, path: Any) -> bool:
        """Tell whether ``path`` is one of the folders or stands in one."""
        whole = os.path.realpath(os.fspath(path))
        return whole in self._shadows or os.path.dirname(whole) in self._shadows

    def fsync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}").removesuffix(" (deleted)")
        status = os.fstat(descriptor)
        if path in self._shadows:
            _put(self._shadows[path] / ENTRIES, json.dumps(_entries(Path(path))).encode())
        elif os.path.dirname(path) in self._shadows and S_ISREG(status.st_mode):
            self._held.append(os.dup(descriptor))
            with open(f"/proc/self/fd/{descriptor}", "rb") as file:
                _put(self._shadows[os.path.dirname(path)] / str(status.st_ino), file.read())


def _entries(folder: Path) -> dict[str, int]:
    return {entry.name: entry.inode() for entry in os.scandir(folder) if entry.is_file()}


def _put(path: Path, contents: bytes) -> None:
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(contents)
    os.rename(beside, path)
