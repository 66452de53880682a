"""Files as the connector needs them: seen to be unchanged, read whole, replaced at once, and locked against another bridge."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import secrets
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from xxhash import xxh3_128

from erpcrm_bridge.errors import BridgeError, InputError, PermissionDenied, TransientError

LOCK_NAME = ".erpcrm-bridge.lock"
_TEMPORARY = ".erpcrm-bridge.tmp"
_CHUNK = 1 << 18
_RIGHTS = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ACCESS = "system.posix_acl_access"
"""Where Linux keeps who else may do what with a file (acl(5)); what it makes of it for the group's rights stands in the mode."""


class Stamp(NamedTuple):
    """What tells one state of a file from another without reading it; times in ns."""

    inode: int
    size: int
    modified: int
    changed: int


def stamp_of(stat: os.stat_result) -> Stamp:
    return Stamp(stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class Rights(NamedTuple):
    """Whose a file is, and who may do what with it; ``access`` is its access list, None where it has none."""

    owner: int
    group: int
    mode: int
    access: bytes | None


def rights_of(descriptor: int) -> Rights:
    stat, access = os.fstat(descriptor), None
    with suppress(OSError):  # most have none, and not every file system knows of any
        access = os.getxattr(descriptor, _ACCESS)
    return Rights(stat.st_uid, stat.st_gid, stat.st_mode & 0o7777, access)


def said(error: OSError, path: Path, doing: str) -> BridgeError:
    """Return the bridge's error for what the operating system refused, named after whoever must act."""
    if isinstance(error, FileNotFoundError):
        return InputError(
            f"{path.name} is not in {path.parent}.", way_out="Put the file there, or correct the folder or the stream's name."
        )
    if error.errno in _RIGHTS:
        return PermissionDenied(
            f"{path.name} in {path.parent} cannot be {doing}: {error.strerror}.", way_out="Give the bridge's user rights on it."
        )
    if error.errno in _FULL:
        return TransientError(
            f"The disk of {path.parent} is full: {path.name} was not {doing}, and is as it was.", way_out="Free some space, then run again."
        )
    return TransientError(f"{path.name} in {path.parent} could not be {doing}: {error.strerror}.", way_out="Run again.")


@contextmanager
def telling(path: Path, doing: str) -> Iterator[None]:
    """Turn each OSError inside into the bridge's own (see ``said``)."""
    try:
        yield
    except OSError as error:
        raise said(error, path, doing) from error


@contextmanager
def scratch() -> Iterator[None]:
    """Turn what the place for temporary files refuses into TransientError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise TransientError(
            f"What was read could not be laid aside in {tempfile.gettempdir()}: {error}.",
            way_out="Free some space there, or set TMPDIR to a folder with more; then run again.",
        ) from error


class Reading(io.RawIOBase):
    """The bytes of an open file from its start, digested as they pass. Closing it leaves the file open."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._at = 0
        self._digest = xxh3_128()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the stub's Buffer is wider than what BufferedReader passes
        with telling(self._path, "read"):
            size = os.preadv(self._descriptor, [buffer], self._at)
        self._at += size
        self._digest.update(memoryview(buffer)[:size])
        return size

    def digest(self) -> str:
        """Return the digest of what was read so far, after reading the rest."""
        buffer = memoryview(bytearray(_CHUNK))
        while self.readinto(buffer):
            pass
        return str(self._digest.hexdigest())


class OpenFile:
    """A file held open, so that what is read is one file even when its name is given to another meanwhile.

    Raises InputError where it does not exist, PermissionDenied where it may not be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with telling(path, "read"):
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        opened = os.fstat(self._descriptor)
        if not stat.S_ISREG(opened.st_mode):
            self.close()
            raise InputError(f"{path.name} in {path.parent} is a folder, a pipe or a device, not a file.", way_out="Put the file there.")
        self.stamp = stamp_of(opened)
        self._digest: str | None = None

    def reading(self) -> Reading:
        return Reading(self._descriptor, self.path)

    def buffered(self, reading: Reading) -> io.BufferedReader:
        return io.BufferedReader(reading, _CHUNK)

    def digest(self) -> str:
        """Return the digest of the whole file as it was when it was first asked for."""
        if self._digest is None:
            self._digest = self.reading().digest()
        return self._digest

    def starts_with(self, prefix: bytes) -> bool:
        return os.pread(self._descriptor, len(prefix), 0) == prefix

    def ends_with(self, suffix: bytes) -> bool:
        return os.pread(self._descriptor, len(suffix), max(0, self.stamp.size - len(suffix))) == suffix

    def piece(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from ``start`` to ``end`` in chunks."""
        while start < end:
            data = os.pread(self._descriptor, min(_CHUNK, end - start), start)
            if not data:
                return
            start += len(data)
            yield data

    def is_untouched(self) -> bool:
        """Tell whether the open file's bytes are, by its stamp, still those that it had when it was opened."""
        now = stamp_of(os.fstat(self._descriptor))
        return (now.size, now.modified) == (self.stamp.size, self.stamp.modified)

    def is_as_read(self) -> bool:
        """Tell whether the file still holds the bytes that it was first read with."""
        return self.reading().digest() == self.digest()

    def is_in_place(self) -> bool:
        """Tell whether the name still stands for this very file, untouched."""
        try:
            return stamp_of(os.stat(self.path)) == self.stamp
        except FileNotFoundError:
            return False

    def rights(self) -> Rights:
        return rights_of(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def require_untouched(file: OpenFile) -> None:
    """Raise InputError where ``file`` was written while it was read."""
    if not file.is_untouched():
        raise being_written(file.path)


def being_written(path: Path) -> InputError:
    return InputError(
        f"{path.name} was being written while it was read; nothing is concluded from it.",
        way_out="Run again when the export has finished; let it write a temporary file and rename it.",
    )


class Temporary:
    """A file beside ``target`` that is not there yet under its name. ``place`` puts it there at once; ``drop`` forgets it.
    ``digest`` is that of its bytes once it is filled."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.digest = ""
        self._path = target.with_name(f".{target.name}.{secrets.token_hex(6)}{_TEMPORARY}")
        self._placed = False

    def fill(self, chunks: Iterator[bytes], like: Rights | None) -> None:
        """Write the file and its bytes to the disk itself. It takes the rights and the owner of ``like``."""
        digest = xxh3_128()
        with telling(self.target, "written"):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if like is None else 0o600)
            with os.fdopen(descriptor, "wb", buffering=_CHUNK) as out:
                for chunk in chunks:
                    out.write(chunk)
                    digest.update(chunk)
                out.flush()
                if like is not None:
                    _give(out.fileno(), like)
                os.fsync(out.fileno())
        self.digest = str(digest.hexdigest())

    def place(self) -> None:
        with telling(self.target, "replaced"):
            os.replace(self._path, self.target)
        self._placed = True

    def drop(self) -> None:
        if not self._placed:
            with suppress(FileNotFoundError):
                os.unlink(self._path)


def _give(descriptor: int, rights: Rights) -> None:
    """Give a new file these rights, and as much of whose it is as may be given away."""
    for owner in (rights.owner, -1):  # a file is not given to others by everybody, but to a group of one's own it is
        with suppress(PermissionError):
            os.fchown(descriptor, owner, rights.group)
            break
    with suppress(OSError):  # the folder may have given it a list of its own
        os.removexattr(descriptor, _ACCESS)
    os.fchmod(descriptor, rights.mode)
    if rights.access is not None:
        os.setxattr(descriptor, _ACCESS, rights.access)


def sync_folder(folder: Path) -> None:
    """Write the folder's own entries to the disk, so that a rename survives a power cut."""
    with telling(folder, "written"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_text(target: Path, text: str) -> None:
    """Write ``text`` to ``target`` at once and durably."""
    like = None
    if target.exists():
        with closing(OpenFile(target)) as file:
            like = file.rights()
    temporary = Temporary(target)
    try:
        temporary.fill(iter([text.encode()]), like)
        temporary.place()
    finally:
        temporary.drop()
    sync_folder(target.parent)


def clear(folder: Path) -> None:
    """Remove what one that died has left unfinished. Only for whoever holds the lock."""
    for leftover in folder.glob(f".*{_TEMPORARY}"):
        with suppress(OSError):
            leftover.unlink()


@contextmanager
def locked(folder: Path, *, patience: float = 30.0) -> Iterator[None]:
    """Hold the folder's advisory lock: one bridge writes at a time. Leftovers of one that died are removed.

    Raises TransientError when another holds it for ``patience`` seconds, PermissionDenied where the folder may not be written.
    """
    path = folder / LOCK_NAME
    with telling(path, "written"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TransientError(
                        f"Another bridge is writing to {folder}.", way_out="Run again when it has finished.", retry_after=5.0
                    ) from None
                time.sleep(0.02)
        clear(folder)
        yield
    finally:
        os.close(descriptor)
