"""A file of rows: its header, its rows as cells, where each stands in the bytes, and what is wrong with them."""

from __future__ import annotations

import csv
import io
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from erpcrm_bridge.errors import InputError, SchemaDrift
from erpcrm_bridge_csv.files import OpenFile, Reading, being_written, require_untouched
from erpcrm_bridge_csv.settings import Layout

BOM = b"\xef\xbb\xbf"
_PIECE = 1 << 20
_GUESSES = ("utf-8", "cp1252", "iso-8859-15")

csv.field_size_limit(sys.maxsize)  # a description may be longer than the 131,072 characters that csv allows by itself


class Span(NamedTuple):
    """One row: its cells, and the bytes from ``start`` to ``end`` (its line end included) that it stands in."""

    start: int
    end: int
    cells: list[str]


class Table:
    """One open file read under its layout. The header is read at once.

    Raises InputError where the file is empty, undecodable or has no usable header. Rows are numbered as a spreadsheet shows them: the
    header is row 1.
    """

    def __init__(self, file: OpenFile, layout: Layout) -> None:
        self.file = file
        self.layout = layout
        self.name = file.path.name
        if file.stamp.size == 0:
            raise InputError(
                f"{self.name} in {file.path.parent} is empty, without even a header: an export that failed, not records that are gone.",
                way_out="Export it again.",
            )
        self.has_bom = file.starts_with(BOM)
        if self.has_bom and layout.encoding != "utf-8":
            raise InputError(
                f"{self.name} is declared as {layout.encoding} and begins with the mark of UTF-8.",
                way_out=f"Set streams.{self.name}.encoding to utf-8.",
            )
        if file.starts_with(b"\xff\xfe") or file.starts_with(b"\xfe\xff"):
            raise InputError(f"{self.name} is UTF-16.", way_out="Save it as UTF-8.")
        self.columns = self._header()
        self.width = len(self.columns)

    def _header(self) -> list[str]:
        header = next(self.rows(with_header=True), [])
        repeated = [name for name, count in Counter(header).items() if name and count > 1]
        if any("\0" in name for name in header):
            raise self._nul(1)
        if not any(header):
            raise InputError(f"{self.name}, line 1: there is no header.", way_out="Export it with its column names in the first line.")
        if repeated:
            raise InputError(
                f"{self.name}, line 1: the header names {some(repeated)} more than once.",
                way_out="Give each column a name of its own.",
            )
        return header

    def position(self, column: str) -> int:
        """Return where ``column`` stands. Raises SchemaDrift where the header has none of this name."""
        try:
            return self.columns.index(column)
        except ValueError:
            raise SchemaDrift(
                f"{self.name} has no column {column!r} any more; its header names {self.width} others.",
                way_out="Export it with this column, or change the mapping: erpcrm-bridge check",
            ) from None

    def positions(self, columns: Iterable[str]) -> list[int]:
        return [self.position(column) for column in columns]

    def rows(self, *, with_header: bool = False) -> Iterator[list[str]]:
        """Yield the cells of each row, in order; a blank line is an empty list.

        Raises InputError where the bytes or the quotes are broken, where the last row is cut, and where the file was written meanwhile.
        """
        if not with_header:
            self.file.digest()
        reading = self.file.reading()
        reader = csv.reader(self._text(reading), delimiter=self.layout.delimiter, strict=True)
        row: list[str] = []
        try:
            if not with_header:
                next(reader, None)
            for row in reader:
                yield row
        except UnicodeDecodeError as error:
            raise self._undecodable() from error
        except csv.Error as error:
            require_untouched(self.file)
            raise self._broken(error, reader.line_num) from error
        if not with_header:
            self._close_bracket(reading, row, reader.line_num)

    def spans(self) -> Iterator[Span]:
        """Yield each row with the bytes that it stands in; blank lines are left out. Raises InputError as ``rows`` does."""
        at = 0
        self.file.digest()

        def lines(source: io.BufferedReader) -> Iterator[str]:
            nonlocal at
            for line in source:
                at += len(line)
                yield (line.removeprefix(BOM) if at == len(line) else line).decode(self.layout.encoding)

        reading = self.file.reading()
        reader = csv.reader(lines(self.file.buffered(reading)), delimiter=self.layout.delimiter, strict=True)
        cells: list[str] = []
        try:
            next(reader, None)
            start = at
            for cells in reader:
                if cells:
                    yield Span(start, at, cells)
                start = at
        except UnicodeDecodeError as error:
            raise self._undecodable() from error
        except csv.Error as error:
            require_untouched(self.file)
            raise self._broken(error, reader.line_num) from error
        self._close_bracket(reading, cells, reader.line_num)

    def _close_bracket(self, reading: Reading, last: list[str], line: int) -> None:
        """Raise InputError unless what was read is the file as it was when opened, up to its proper end."""
        require_untouched(self.file)
        if reading.digest() != self.file.digest():
            raise being_written(self.file.path)
        if last and len(last) < self.width and not self.file.ends_with_newline():
            raise InputError(
                f"{self.name}, line {line}: the last row is cut off; nothing is concluded from this file.", way_out="Export it again."
            )

    def newline(self) -> bytes:
        """Return the line end of the header, or the layout's where the header is the last line and has none."""
        first = io.BufferedReader(self.file.reading()).readline()
        return b"\r\n" if first.endswith(b"\r\n") else b"\n" if first.endswith(b"\n") else self.layout.newline

    def repeated(self, column: int) -> Callable[[str], bool] | None:
        """Return a test that is true of each key standing in ``column`` of two rows or more, and hardly ever of another; None: of none.

        One quick pass over the text; a hash a row is held until it is done. Rows whose key passes the test wait for the end of the file.
        Raises InputError for a NUL byte, and as ``rows`` does.
        """
        delimiter = self.layout.delimiter

        def beginnings(lines: Iterable[str]) -> list[str]:
            # Equal keys begin alike up to the first delimiter, quotes aside. Lines inside a cell only add candidates.
            return "\n".join([line.partition(delimiter)[0] for line in lines]).replace('"', "").replace("\r", "").split("\n")

        marks = array("q")
        text = self._text(self.file.reading())
        lines = 0
        try:
            while piece := text.read(_PIECE):
                piece += text.readline()
                if "\0" in piece:
                    raise self._nul(lines + piece.count("\n", 0, piece.index("\0")) + 1)
                lines += piece.count("\n")
                if column == 0:
                    marks.extend(map(hash, beginnings(piece.removesuffix("\n").split("\n"))))
        except UnicodeDecodeError as error:
            raise self._undecodable() from error
        if column:
            marks.extend(hash(beginnings([row[column].partition("\n")[0]])[0]) for row in self.rows() if len(row) == self.width)
        ordered = sorted(marks)
        twice = {one for one, other in pairwise(ordered) if one == other}
        if not twice:
            return None
        return lambda key: hash(beginnings([key.partition("\n")[0]])[0]) in twice

    def _text(self, reading: io.RawIOBase) -> io.TextIOWrapper:
        encoding = "utf-8-sig" if self.has_bom else self.layout.encoding
        return io.TextIOWrapper(io.BufferedReader(reading, _PIECE), encoding=encoding, newline="\n")

    def _nul(self, line: int) -> InputError:
        return InputError(
            f"{self.name}, line {line}: there is a NUL byte in it.",
            way_out="Export it again as UTF-8 text; a file full of NULs was cut by a crash.",
        )

    def _undecodable(self) -> InputError:
        require_untouched(self.file)
        content = b"".join(self.file.piece(0, self.file.stamp.size))
        line = 1
        try:
            content.decode(self.layout.encoding)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
        fitting = [guess for guess in _GUESSES if guess != self.layout.encoding and _decodes(content, guess)]
        return InputError(
            f"{self.name}, line {line}: this is not {self.layout.encoding}.",
            way_out=f"Set streams.{self.name}.encoding to {' or '.join(fitting)}, or save the file as {self.layout.encoding}.",
        )

    def _broken(self, error: csv.Error, line: int) -> InputError:
        if "unexpected end" in str(error):
            what = "the file ends inside a quoted cell: it is cut off, or a quote before this line is not closed"
        elif "new-line" in str(error):
            what = "a line ends with a carriage return alone"
        else:
            what = "a quoted cell goes on after its closing quote"
        return InputError(
            f"{self.name}, line {line}: {what}; nothing is concluded from this file.", way_out="Mend the line or export again."
        )


def some(names: Sequence[str], most: int = 5) -> str:
    """Return the first of the names, each cut where it is long, and how many more there are."""
    shown = ", ".join(name if len(name) <= 40 else f"{name[:40]}…" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def row_bytes(cells: Sequence[str], layout: Layout, newline: bytes) -> bytes:
    """Return ``cells`` as a row in the layout's quoting. Raises UnicodeEncodeError for what its encoding cannot hold."""
    out = io.StringIO(newline="")
    quoting: Literal[0, 1] = csv.QUOTE_ALL if layout.quote_all else csv.QUOTE_MINIMAL
    # csv quotes only the line ends that stand in its lineterminator: with another one, a lone \r or \n would tear the row apart.
    csv.writer(out, delimiter=layout.delimiter, quoting=quoting, lineterminator="\r\n").writerow(cells)
    return out.getvalue().removesuffix("\r\n").encode(layout.encoding) + newline
