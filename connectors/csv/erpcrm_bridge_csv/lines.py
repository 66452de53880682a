"""The rows of a child file by document, in memory that does not grow with the file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Container, Iterable, Iterator, Sequence

from erpcrm_bridge.connector import Child, Problem
from erpcrm_bridge_csv.files import scratch
from erpcrm_bridge_csv.table import CELL_END, Table

_SETTINGS = ("journal_mode = off", "synchronous = off", "locking_mode = exclusive", "page_size = 16384", "cache_size = -16000")


class Lines:
    """The rows of one child file, laid down by document in a private database of SQLite, on the disk where they are many.

    The documents met in the document's own file are told with ``meet``; at the end ``problems`` knows the lines that belong to none.
    ``only`` names the documents whose lines are wanted, where not all are. Raises what reading the table does.
    """

    def __init__(self, table: Table, child: Child, only: Container[str] | None = None) -> None:
        self.table = table
        self._child = child
        self._key_at, parent_at = table.position(child.key), table.position(child.parent)
        table.positions(child.fields)
        self._unplaced: list[tuple[set[str], str, str]] = []
        """Rows that no cell count lets us trust: their cells (any may name the document), where they stand, and why."""
        self._named_in: dict[str, str] = {}
        """Each of those cells, with where it stands and why the row cannot be read."""
        with scratch():
            self._db = sqlite3.connect("", isolation_level=None)
            for setting in _SETTINGS:
                self._db.execute(f"PRAGMA {setting}")
            self._db.execute("CREATE TABLE line (document TEXT, number INTEGER, cells TEXT)")
            self._db.execute("CREATE TABLE met (document TEXT PRIMARY KEY) WITHOUT ROWID")
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO line VALUES (?, ?, ?)", self._rows(parent_at, only))
            self._db.execute("CREATE INDEX line_of ON line (document)")

    def _rows(self, parent_at: int, only: Container[str] | None) -> Iterator[tuple[str, int, str]]:
        table, child = self.table, self._child
        for rows in table.batches():
            for number, cells in rows.torn:
                where, why = f"{table.name}, row {number}", wrong_count(cells, table)
                self._unplaced.append(({cell for cell in cells if cell}, where, why))
                for cell in cells:
                    self._named_in.setdefault(cell, f"{where}: {why}")
            for number, text in zip(rows.numbers, rows.texts, strict=True):
                document = text.split(CELL_END, parent_at + 1)[parent_at]
                if not document:
                    why = f"{child.parent} is empty: the line belongs to no document"
                    self._unplaced.append((set(), f"{table.name}, row {number}", why))
                elif only is None or document in only:
                    yield document, number, text

    def of(self, documents: Sequence[str]) -> dict[str, list[tuple[int, list[str]]]]:
        """Return the rows of each of the documents that has any, in their order, with their numbers."""
        found: dict[str, list[tuple[int, list[str]]]] = {}
        asked = "SELECT document, number, cells FROM json_each(?) CROSS JOIN line ON document = value ORDER BY number"
        with scratch():
            for document, number, text in self._db.execute(asked, (json.dumps(documents),)):
                found.setdefault(document, []).append((number, text.split(CELL_END)))
        return found

    def doubt(self, document: str, rows: Sequence[tuple[int, list[str]]]) -> str | None:
        """Return why the lines of a document are not surely whole; None: they are."""
        known: set[str] = set()
        for number, cells in rows:
            key = cells[self._key_at]
            if not key or key in known:
                what = "stands twice in this document" if key else "is empty"
                return f"{self.table.name}, row {number}: {self._child.key} {what}"
            known.add(key)
        return self._named_in.get(document)

    def meet(self, documents: Iterable[str]) -> None:
        """Know that the document's own file has these."""
        with scratch():
            self._db.executemany("INSERT OR IGNORE INTO met VALUES (?)", ((document,) for document in documents))

    def problems(self) -> Iterator[Problem]:
        """Yield the lines whose document was not met, once for each document; and the rows that name no document at all."""
        orphaned = f"there are lines of it, and no row of it in the document's file (lines: {self._child.stream})"
        with scratch():
            for (document,) in self._db.execute("SELECT DISTINCT document FROM line WHERE document NOT IN (SELECT document FROM met)"):
                yield Problem(self.table.name, document, orphaned)
            every = list({cell for cells, _, _ in self._unplaced for cell in cells})
            asked = "SELECT value FROM json_each(?) CROSS JOIN met ON document = value"
            known = {document for (document,) in self._db.execute(asked, (json.dumps(every),))}
            yield from (Problem(where, None, why) for cells, where, why in self._unplaced if not cells & known)

    def close(self) -> None:
        self._db.close()


def wrong_count(cells: Sequence[str], table: Table) -> str:
    return f"{len(cells)} cells where the header has {table.width}"
