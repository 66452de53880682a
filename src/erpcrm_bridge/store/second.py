"""A second process that stores while the first one works out what comes next: SQLite's part of a large first joining is about half as much
work as the bridge's own."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import IO, Any, NoReturn

from erpcrm_bridge.errors import StoreError
from erpcrm_bridge.store import writer
from erpcrm_bridge.store.writer import Step

PART = 1_000
"""Rows that are handed over together."""


class Second:
    """The process; ``busy`` while what came of a transaction was not asked for yet. It ends with this one: a transaction that was handed
    over whole by then it still stores, and the runner's lock, whose file it is given, stays taken until it is done.

    Raises OSError where it cannot be started. Each method raises StoreError where the process has ended. After whatever one raises only
    ``close`` is left to be called.
    """

    def __init__(self, path: Path, lock: int | None) -> None:
        self.busy = False
        self._path = path
        self._process = subprocess.Popen(  # noqa: S603 - this program, in this interpreter
            [sys.executable, "-I", "-S", writer.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=() if lock is None else (lock,),
        )
        self._steps: IO[bytes] = self._process.stdin  # type: ignore[assignment] # both are pipes
        self._answers: IO[bytes] = self._process.stdout  # type: ignore[assignment]

    def open(self, uri: str, patience: float, settings: list[str]) -> None:
        """Have it open the database, with so many seconds of patience for other writers."""
        self._send([uri, patience, settings])

    def give(self, step: Step) -> None:
        """Hand over the next step of a transaction; its rows are taken as they are made."""
        kind, sql, parameters = step
        if kind != "many":
            self._send(step)
            return
        rows = iter(parameters)
        while part := list(islice(rows, PART)):
            self._send((kind, sql, part))

    def commit(self) -> None:
        """End the transaction; ``answer`` tells what came of it."""
        self._send(None)
        self.busy = True

    def answer(self) -> Any:
        """Wait for the end of the transaction. Return whether all was stored, or SQLite's words and code."""
        try:
            answer = writer.unpacked(writer.receive(self._answers))
        except (OSError, EOFError):
            self._gone()
        self.busy = False
        return answer

    def close(self) -> None:
        """Let it end, and wait until it has; of a transaction that was not ended it stores nothing."""
        self._process.communicate()

    def _send(self, value: Any) -> None:
        try:
            writer.send(self._steps, value)
        except OSError:
            self._gone()

    def _gone(self) -> NoReturn:
        code = self._process.wait()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
        raise StoreError(
            f"The process that writes to the store {self._path} {how}.", way_out="Run again: what it had not stored is read anew."
        )
