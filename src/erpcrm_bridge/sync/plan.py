"""Plan: all writes decided before any is done, with a fingerprint; kept as a file of JSON lines that a person can read and hand on.

The first line is the head, each further line one step in the order in which they go. The fingerprint is the digest of the flow's name and
the steps, so that the plan that was shown is the plan that is done, and those of two flows are two files though neither has a step. A plan
holds customers' data: the file is readable by its owner only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from erpcrm_bridge.errors import InputError, StoreError
from erpcrm_bridge.model.values import UNREADABLE, pack, unpack, unpacker
from erpcrm_bridge.sync.decide import Step

FORMAT = "erpcrm-bridge/plan/v1"
_step_of = unpacker(Step)


class PlanHead(Struct):
    """What stands above the steps. ``counts`` by ``system:operation``; ``adoption`` if the plan is the first joining of two filled
    systems; ``review`` if it re-maps fields after a change of rules; ``windows`` the window of L5 by connection and stream; ``rules`` the
    digest of each mapping that it rests on, by entity, connection and stream; ``undoes`` the run that it undoes."""

    flow: str
    run: str
    at: str
    fingerprint: str
    counts: dict[str, int]
    steps: int
    adoption: bool = False
    review: bool = False
    windows: dict[str, str] = {}
    undoes: str = ""
    rules: dict[str, str] = {}
    format: str = FORMAT


class Spool:
    """Steps of a flow on their way to disk, in a file without a name, which is gone with its process. ``add`` them in order, then ``close``
    with the head; nothing is kept in memory but counts. Each method raises StoreError where the plans' folder cannot be written."""

    def __init__(self, folder: Path, flow: str) -> None:
        self._folder = folder
        with _telling(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives until `close` or `discard`
        self._digest = _digest_of(flow)
        self.counts: dict[str, int] = {}
        self.steps = 0

    def add(self, step: Step) -> None:
        line = pack(step) + b"\n"
        self._digest.update(line)
        try:
            self._file.write(line)
        except OSError as error:
            raise _refused(self._folder, error) from error
        name = f"{step.connection}:{step.operation}"
        self.counts[name] = self.counts.get(name, 0) + 1
        self.steps += 1

    @property
    def fingerprint(self) -> str:
        return self._digest.hexdigest()

    def close(self, head: PlanHead) -> Path:
        """Write the plan's file, named by its fingerprint, and return its path."""
        path = self._folder / f"{head.fingerprint}.plan"
        whole = path.with_suffix(".part")
        with _telling(self._folder), self._file:  # what closing it writes may be refused as well
            try:
                self._file.seek(0)
                with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(pack(head) + b"\n")
                    shutil.copyfileobj(self._file, file, 1 << 20)
                whole.replace(path)
            except BaseException:
                whole.unlink(missing_ok=True)
                raise
        return path

    def steps_so_far(self) -> Iterator[Step]:
        """Yield the steps that were added, in order; none may be added afterwards."""
        with _telling(self._folder):
            self._file.seek(0)
        for line in self._file:
            yield _step_of(line)

    def discard(self) -> None:
        """Throw the steps away."""
        with suppress(OSError):  # of what no room was left for
            self._file.close()


def _digest_of(flow: str) -> hashlib.blake2b:
    """Return the digest of a plan without a step; each step's line is to be added."""
    return hashlib.blake2b(flow.encode() + b"\n", digest_size=8)


@contextmanager
def _telling(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _refused(folder, error) from error


def _refused(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"No plan can be laid down in {folder}: {error.strerror}.",
        way_out="Check that it is a folder, the rights on it and the room on its disk; then run again: nothing is lost.",
    )


def read_head(path: Path) -> PlanHead:
    """Return the head of a plan. Raises InputError for a file that is no plan."""
    try:
        with path.open("rb") as file:
            line = file.readline(1 << 20)
    except OSError as error:
        raise InputError(
            f"The plan {path} cannot be read: {error.strerror}.", way_out="erpcrm-bridge plan FLOW makes a new one."
        ) from error
    return _head(path, line)


def _head(path: Path, line: bytes) -> PlanHead:
    try:
        head = msgspec.convert(unpack(line), PlanHead)
    except UNREADABLE as error:
        raise InputError(
            f"{path} is no plan: its first line cannot be understood.", way_out="erpcrm-bridge plan FLOW makes a new one."
        ) from error
    if head.format != FORMAT:
        raise InputError(f"{path} is a plan of another form ({head.format[:40]}).", way_out="erpcrm-bridge plan FLOW makes a new one.")
    return head


def read_steps(path: Path) -> Iterator[Step]:
    """Yield the steps of a plan in order. Raises InputError for a line that is no step; see ``check`` for the fingerprint."""
    with path.open("rb") as file:
        file.readline()
        for number, line in enumerate(file, 2):
            yield _step(path, number, line)


def _step(path: Path, number: int, line: bytes) -> Step:
    try:
        step = _step_of(line)
    except UNREADABLE:
        step = None
    if step is None or not _is_whole(step):
        raise InputError(f"{path}:{number}: this line is no step of a plan.", way_out="erpcrm-bridge plan FLOW makes a new one.")
    return step


def _is_whole(step: Step) -> bool:
    """Tell whether each change is a pair of old and new, and a move names its field and its state."""
    changes = [step.fields, *(row for lines in step.lists.values() for row in lines.change.values())]
    moves = step.operation == "move"
    return all(len(pair) == 2 for fields in changes for pair in fields.values()) and (
        len(step.move) == 2 and all(isinstance(part, str) for part in step.move) if step.move is not None else not moves
    )


def check(path: Path) -> PlanHead:
    """Return the head of a plan that is whole and unaltered. Raises InputError otherwise."""
    steps = 0
    try:
        with path.open("rb") as file:
            head = _head(path, file.readline(1 << 20))
            digest = _digest_of(head.flow)
            for line in file:
                digest.update(line)
                steps += 1
                _step(path, steps + 1, line)
    except OSError as error:
        raise InputError(
            f"The plan {path} cannot be read: {error.strerror}.", way_out="erpcrm-bridge plan FLOW makes a new one."
        ) from error
    if digest.hexdigest() != head.fingerprint or steps != head.steps:
        raise InputError(
            f"{path} was altered or cut short: its steps do not have the fingerprint {head.fingerprint[:40]}.",
            way_out="erpcrm-bridge plan FLOW makes a new one.",
        )
    return head


def plan_folder(folder: Path) -> Path:
    """Return where the plans of an installation are kept."""
    return folder / ".erpcrm-bridge" / "plans"


def newest(folder: Path, flow: str) -> Path | None:
    """Return the flow's plan that was made last; None where there is none."""
    found = [path for path in plan_folder(folder).glob("*.plan") if path.is_file()]
    made = sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return next((path for path in made if read_head(path).flow == flow), None)


def summary(head: PlanHead) -> dict[str, Any]:
    """Return the head as plain values."""
    result: dict[str, Any] = msgspec.to_builtins(head)
    return result
