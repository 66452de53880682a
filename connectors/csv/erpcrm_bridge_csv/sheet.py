"""A file being edited: rows are changed, dropped and added; every other byte stays as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from erpcrm_bridge_csv.files import Temporary, telling
from erpcrm_bridge_csv.settings import Layout
from erpcrm_bridge_csv.shape import cell_text
from erpcrm_bridge_csv.table import Encoding, Span, Table, row_bytes


class Refused(Exception):
    """A write that cannot be done. ``field`` is at fault where it is told; the reason holds no values."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field


class Untold(Refused):
    """A write of a record of which the file does not tell how it stands: rows are to be mended first."""


class Row:
    """A row of a sheet: its cells as they are to be, and the bytes it stood in (``start`` -1: it is new)."""

    __slots__ = ("cells", "end", "gone", "start")

    def __init__(self, cells: list[str], start: int = -1, end: int = -1) -> None:
        self.cells = cells
        self.start = start
        self.end = end
        self.gone = False


class Sheet:
    """The rows of one file to be replaced as a whole. ``table`` None: the file is to be made, with ``columns`` as its header."""

    def __init__(self, path: Path, layout: Layout, encoding: Encoding, table: Table | None, columns: Sequence[str]) -> None:
        self.path = path
        self.layout = layout
        self.encoding = encoding
        self.table = table
        self.columns = list(columns)
        self.at = {name: at for at, name in enumerate(columns) if name}
        self._changed: dict[int, Row] = {}
        self._added: list[Row] = []

    def row(self, span: Span) -> Row:
        return Row(span.cells, span.start, span.end)

    def filled(self, cells: Sequence[str], fields: Mapping[str, Any]) -> list[str]:
        """Return ``cells`` with ``fields`` written over them. Raises Refused for a field that is no column or that a cell cannot hold."""
        new = list(cells)
        for name, value in fields.items():
            if name not in self.at:
                raise Refused(f"{self.path.name} has no column {name!r}", name)
            try:
                text = cell_text(value)
                text.encode(self.encoding.name)
            except UnicodeEncodeError as error:
                raise Refused(f"{self.encoding.name} has no sign for character {error.start + 1} of it", name) from None
            except ValueError as error:
                raise Refused(str(error), name) from None
            new[self.at[name]] = text
        return new

    def put(self, row: Row, cells: list[str]) -> None:
        if cells != row.cells:
            row.cells = cells
            self._note(row)

    def drop(self, row: Row) -> None:
        row.gone = True
        self._note(row)

    def add(self, cells: list[str]) -> Row:
        row = Row(cells)
        self._added.append(row)
        return row

    def _note(self, row: Row) -> None:
        if row.start >= 0:
            self._changed[row.start] = row

    @property
    def is_touched(self) -> bool:
        return bool(self._changed) or any(not row.gone for row in self._added)

    def keeps_even(self) -> bool:
        """Tell whether each row that was changed or added is one line (see ``Table.is_even``)."""
        return not any("\n" in cell for row in (*self._changed.values(), *self._added) if not row.gone for cell in row.cells)

    def has_rows(self) -> bool:
        if any(not row.gone for row in self._added):
            return True
        dropped = sum(row.gone for row in self._changed.values())
        return self.table is not None and sum(1 for _ in self.table.spans()) > dropped

    def still_holds(self) -> bool:
        """Tell whether the file's bytes are those that the edits were made upon."""
        return True if self.table is None else self.table.file.is_as_read()

    def is_in_place(self) -> bool:
        """Tell whether the file under this name is still the one that was opened, untouched (or still not there)."""
        return not self.path.exists() if self.table is None else self.table.file.is_in_place()

    def temporary(self) -> Temporary:
        """Return the new file, written and on the disk, beside the old one."""
        temporary = Temporary(Path(os.path.realpath(self.path)))
        try:
            temporary.fill(self._content(), None if self.table is None else self.table.file.rights())
        except BaseException:
            temporary.drop()
            raise
        return temporary

    def remove(self) -> None:
        with telling(self.path, "removed"), suppress(FileNotFoundError):
            self.path.unlink()

    def _content(self) -> Iterator[bytes]:
        newline = self.layout.newline if self.table is None else self.table.newline()
        ended, encoding = True, self.encoding
        for chunk in self._kept_and_changed(newline):
            if chunk:
                ended = chunk.endswith(encoding.newline)
                yield chunk
        for row in self._added:
            if not row.gone:
                yield (b"" if ended else newline.encode(encoding.name)) + row_bytes(row.cells, self.layout, encoding, newline)
                ended = True

    def _kept_and_changed(self, newline: str) -> Iterator[bytes]:
        if self.table is None:
            yield self.encoding.mark + row_bytes(self.columns, self.layout, self.encoding, newline)
            return
        file, at, width = self.table.file, 0, len(self.encoding.newline)
        for start, row in sorted(self._changed.items()):
            yield from file.piece(at, start)
            if not row.gone:
                tail = b"".join(file.piece(max(start, row.end - 2 * width), row.end))
                yield row_bytes(row.cells, self.layout, self.encoding, self._line_end(tail))
            at = row.end
        yield from file.piece(at, file.stamp.size)

    def _line_end(self, tail: bytes) -> str:
        ends = ("\r\n", "\n")
        return next((end for end in ends if tail.endswith(end.encode(self.encoding.name))), "")
