"""Where the simulated records are: tables in memory, transactions over them, and a clock.

One transaction works at a time. What it changed can be put aside before it is committed (``suspended``): then nobody sees it, the lock is
free,
and the rows it touched make other writers wait, as an open transaction of PostgreSQL's would.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
Row = dict[str, Any]


class BlockedError(Exception):
    """A row that this transaction wants to change is held by another one that is still open."""


class Table:
    """The rows of one model by id, in the order of their ids, with an index of each many2one that a one2many looks back through."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.ids: list[int] = []
        self.last_id = 0
        self.indexes: dict[str, dict[int, set[int]]] = {}

    def put(self, key: int, row: Row | None) -> None:
        """Set the row, or take it away (None)."""
        old = self.rows.get(key)
        for name, index in self.indexes.items():
            before, after = (old or {}).get(name), (row or {}).get(name)
            if before != after:
                if before:
                    index.get(before, set()).discard(key)
                if after:
                    index.setdefault(after, set()).add(key)
        if row is None:
            self.rows.pop(key, None)
            place = bisect_right(self.ids, key) - 1
            if old is not None:
                del self.ids[place]
        else:
            self.rows[key] = row
            if old is None:
                insort(self.ids, key)

    def after(self, last: int) -> list[int]:
        """Return the ids greater than ``last``, ascending."""
        return self.ids[bisect_right(self.ids, last) :]


@dataclass
class Transaction:
    """What one request changed, in order: (model, id, row before, row after)."""

    started: datetime
    journal: list[tuple[str, int, Row | None, Row | None]] = field(default_factory=list)
    posts: list[Any] = field(default_factory=list)
    """Webhook calls that wait for the end of the transaction."""
    before: dict[int, float] = field(default_factory=dict)
    """The quantities that lines of confirmed orders had before the write that is under way."""

    @property
    def stamp(self) -> str:
        """Return the transaction's start as the server stores it: naive UTC with microseconds."""
        return self.started.strftime("%Y-%m-%d %H:%M:%S.%f")


class Store:
    """All tables of one database."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.changed = threading.Condition(threading.RLock())
        self.held: dict[tuple[str, int], Transaction] = {}
        self.ahead = timedelta()
        self.committed: dict[tuple[str, int], float] = {}
        """When (monotonic) an external id was committed: races of load() are told by it."""

    def table(self, model: str) -> Table:
        return self.tables.setdefault(model, Table())

    def now(self) -> datetime:
        """Return the server's time, UTC."""
        return datetime.now(UTC) + self.ahead

    def next_id(self, model: str) -> int:
        """Return an id that no row of the model ever had; a transaction rolled back leaves a gap."""
        table = self.table(model)
        table.last_id += 1
        return table.last_id

    def put(self, transaction: Transaction, model: str, key: int, row: Row | None) -> None:
        """Change a row inside a transaction. Raises BlockedError where another open transaction holds it."""
        holder = self.held.get((model, key))
        if holder is not None and holder is not transaction:
            raise BlockedError
        table = self.table(model)
        transaction.journal.append((model, key, table.rows.get(key), row))
        table.put(key, row)

    def undo(self, transaction: Transaction, since: int = 0) -> None:
        """Take back what the transaction did, from a savepoint (a length of its journal) on."""
        while len(transaction.journal) > since:
            model, key, before, _ = transaction.journal.pop()
            self.table(model).put(key, before)

    def commit(self, transaction: Transaction) -> None:
        now = time.monotonic()
        for model, key, _, _ in transaction.journal:
            if model == "ir.model.data":
                self.committed[model, key] = now
        self.changed.notify_all()

    @contextmanager
    def suspended(self, transaction: Transaction) -> Iterator[None]:
        """Put aside what the transaction did and let go of the lock meanwhile; at the end it is there again."""
        done = list(transaction.journal)
        for model, key, before, _ in reversed(done):
            self.table(model).put(key, before)
        for model, key, _, _ in done:
            self.held[model, key] = transaction
        self.changed.release()
        try:
            yield
        finally:
            self.changed.acquire()
            for model, key, _, after in done:
                self.held.pop((model, key), None)
                self.table(model).put(key, after)
            self.changed.notify_all()

    def retried(self, work: Callable[[Transaction], T], finish: Callable[[Transaction], None]) -> T:
        """Do the work as one transaction, waiting for rows that others hold, and commit; whatever it raises takes everything back."""
        with self.changed:
            while True:
                transaction = Transaction(self.now())
                try:
                    result = work(transaction)
                    finish(transaction)
                    self.commit(transaction)
                except BlockedError:
                    self.undo(transaction)
                    self.changed.wait(timeout=120)
                except BaseException:
                    self.undo(transaction)
                    raise
                else:
                    return result
