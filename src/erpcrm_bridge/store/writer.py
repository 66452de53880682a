"""Carries out the steps of a transaction; run as a program, it does so in a process of its own, while its parent works out what comes next.
Needs nothing but the standard library: it starts in a blink.

Both ends are one version on one machine, so that what passes between them is marshalled: frames of eight bytes that give the length, then
the data. The parent sends how to open the database, then step by step, and None at the end of a transaction; then it is told what came of
it. Nothing is carried out before the end has come: the parent never waits for a step, and what it does not end is not stored.
"""

from __future__ import annotations

import marshal
import signal
import sqlite3
import sys
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import IO, Any

Step = tuple[str, str, Any]
"""What kind of step, its statement, and its parameters: ``once``; ``many``, with a list of rows; ``must``, where it has to touch a row."""


def carry_out(db: sqlite3.Connection, steps: Iterable[Step]) -> bool:
    """Carry these out in one transaction. Return whether all was stored: where a step touches no row and has to, nothing is. Nor is it
    where anything is raised."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for kind, sql, parameters in steps:
            if kind == "many":
                db.executemany(sql, parameters)
            elif not db.execute(sql, parameters).rowcount and kind == "must":
                db.execute("ROLLBACK")
                return False
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # what cannot be rolled back was rolled back by SQLite itself
            db.execute("ROLLBACK")
        raise
    return True


def connect(uri: str, patience: float) -> sqlite3.Connection:
    """Return a connection that leaves transactions to its caller."""
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=patience, cached_statements=256)


def send(file: IO[bytes], value: Any) -> None:
    """Send a value. Raises OSError where nobody reads."""
    data = marshal.dumps(value, 2)  # later versions look for what stands in it twice
    file.write(len(data).to_bytes(8, "little"))
    file.write(data)
    file.flush()


def receive(file: IO[bytes]) -> bytes:
    """Return the next value, still marshalled. Raises EOFError where the other end is gone, if need be in the middle of one."""
    size = file.read(8)
    data = file.read(int.from_bytes(size, "little"))
    if len(size) < 8 or len(data) < int.from_bytes(size, "little"):
        raise EOFError
    return data


def unpacked(data: bytes) -> Any:
    return marshal.loads(data)  # noqa: S302 - from our own parent or child


_END = marshal.dumps(None, 2)


def main() -> None:
    """Do what the parent sends, until it is gone."""
    for stop in (signal.SIGINT, signal.SIGTERM):  # they are meant for the parent, who lets us go when it has ended well
        signal.signal(stop, signal.SIG_IGN)
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError, BrokenPipeError):
        uri, patience, settings = unpacked(receive(source))
        db = connect(uri, patience)
        for setting in settings:
            db.execute(setting)
        steps: deque[bytes] = deque()
        while True:
            data = receive(source)
            if data != _END:
                steps.append(data)
                continue
            try:
                answer: Any = carry_out(db, (unpacked(steps.popleft()) for _ in range(len(steps))))
            except sqlite3.Error as error:
                answer = str(error), getattr(error, "sqlite_errorcode", None)
            steps.clear()
            send(answers, answer)


if __name__ == "__main__":
    main()
