"""A file of rows: its header, its rows as cells, where each stands in the bytes, and what is wrong with them."""

from __future__ import annotations

import codecs
import csv
import io
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, chain, compress, count, islice, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, NamedTuple

from erpcrm_bridge.errors import InputError, SchemaDrift
from erpcrm_bridge_csv.files import OpenFile, Reading, being_written, require_untouched
from erpcrm_bridge_csv.marks import Marks
from erpcrm_bridge_csv.settings import UTF_16, UTF_16_ORDERS, Layout

if TYPE_CHECKING:
    from _csv import Reader

_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": UTF_16_ORDERS[0], b"\xfe\xff": UTF_16_ORDERS[1]}
_UTF_8 = "utf-8"
_PIECE = 1 << 18
_ROWS = 10_000
_GUESSES = ("utf-8", "cp1252", "iso-8859-15")
_FIRST, _LAST = itemgetter(slice(1)), itemgetter(slice(-1, None))

csv.field_size_limit(sys.maxsize)  # a description may be longer than the 131,072 characters that csv allows by itself


CELL_END = "\0"
"""Stands between the cells of a row that is held as one text; no cell holds it."""


class Rows(NamedTuple):
    """Some rows of a file: of those with as many cells as the header, the numbers, and the cells of each as one text; of the ``torn``
    ones, which have more or fewer, the numbers and the cells. Blank lines are neither."""

    numbers: list[int]
    texts: list[str]
    torn: list[tuple[int, list[str]]]


class Span(NamedTuple):
    """One row: its cells, and the bytes from ``start`` to ``end`` (its line end included) that it stands in."""

    start: int
    end: int
    cells: list[str]


_IN_KEYS = str.maketrans({"\\": "\\\\", "|": "\\|"})


class Key:
    """Where a row's key stands: in one column, or in several that together are a natural key.

    A key of several is their cells with ``|`` between them; a ``|`` or ``\\`` inside a cell has a ``\\`` before it.
    """

    def __init__(self, columns: Sequence[str], at: Sequence[int]) -> None:
        self.name = " + ".join(columns)
        self.at = tuple(at)
        self.of: Callable[[Sequence[str]], str] = itemgetter(*at) if len(at) == 1 else self._joined
        """Return the key of a row; empty where it has none."""

    def _joined(self, cells: Sequence[str]) -> str:
        parts = [cells[at].translate(_IN_KEYS) for at in self.at]
        return "|".join(parts) if all(parts) else ""

    def of_texts(self, texts: Iterable[str]) -> list[str]:
        """Return the keys of rows that are held as one text each."""
        if self.at == (0,):
            return [text.partition(CELL_END)[0] for text in texts]
        return [self.of(text.split(CELL_END)) for text in texts]


class Encoding(NamedTuple):
    """How text stands in a file's bytes, and the byte order mark that it begins with (empty: none)."""

    name: str
    mark: bytes

    @property
    def newline(self) -> bytes:
        return "\n".encode(self.name)


def encoding_of(file: OpenFile, layout: Layout) -> Encoding:
    """Return what the file's byte order mark says, else the layout. Raises InputError where the two differ."""
    name, declared = file.path.name, layout.encoding
    for mark, found in _MARKS.items():
        if file.starts_with(mark):
            if file.starts_with(mark + b"\0\0"):
                raise InputError(f"{name} is UTF-32.", way_out="Save it as UTF-8.")
            if declared not in (None, found, found[: len(UTF_16)]):
                raise InputError(
                    f"{name} is declared as {declared} and begins with the mark of {found}.",
                    way_out=f"Set streams.{layout.stream}.encoding to {found}.",
                )
            return Encoding(found, mark)
    if declared == UTF_16:
        raise InputError(
            f"{name} is declared as {declared} and does not begin with its mark.",
            way_out=f"Set streams.{layout.stream}.encoding to {' or '.join(UTF_16_ORDERS)}.",
        )
    return Encoding(declared or "utf-8", b"")


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
        self.encoding = encoding_of(file, layout)
        self.columns = self._header()
        self.width = len(self.columns)
        self.is_even = False
        """Whether all was read, and each row was one line with as many cells as the header."""

    def _header(self) -> list[str]:
        reader = self._reader(self._text(self.file.reading()))
        with self._telling(reader):
            header = next(reader, [])
        repeated = [name for name, count in Counter(header).items() if name and count > 1]
        if any("\0" in name for name in header):
            raise self._nul()
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

    def key(self, column: str) -> Key:
        """Return where the key stands: in ``column``, or where that is empty in the columns of the layout's natural key."""
        columns = (column,) if column else self.layout.natural
        return Key(columns, self.positions(columns))

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield number and cells of each row that is no blank line. Raises InputError as ``batches`` does."""
        for rows in self.batches():
            yield from zip(rows.numbers, [text.split(CELL_END) for text in rows.texts], strict=True)
            yield from rows.torn

    def batches(self, size: int = _ROWS) -> Iterator[Rows]:
        """Yield the rows, so many at a time, in order.

        Raises InputError where the bytes or the quotes are broken, where the last row is cut, and where the file was written meanwhile.
        """
        self.file.digest()
        even = True
        numbers: list[int] = []
        texts: list[str] = []
        torn: list[tuple[int, list[str]]] = []
        for rows, is_even in self._parts():
            even = even and is_even
            numbers += rows.numbers
            texts += rows.texts
            torn += rows.torn
            full = len(texts) // size * size
            for at in range(0, full, size):
                yield Rows(numbers[at : at + size], texts[at : at + size], torn)
                torn = []
            del numbers[:full], texts[:full]
            if len(torn) >= size:
                yield Rows([], [], torn)
                torn = []
        if texts or torn:
            yield Rows(numbers, texts, torn)
        self.is_even = even

    def _parts(self) -> Iterator[tuple[Rows, bool]]:
        """Yield the rows of some lines at a time, and whether each of these lines is one that is not torn; for the header no rows, and
        whether it is one line."""
        reading = self.file.reading()
        text = self._text(reading)
        reader = self._reader(text)
        with self._telling(reader):
            next(reader, None)
        cells: list[str] = []
        line, number = reader.line_num, 2
        yield Rows([], [], []), line == 1
        pieces = self._pieces(text)
        piece = next(pieces, "")
        while piece:
            texts = self._plain(piece)
            if texts is not None:
                yield Rows(list(range(number, number + len(texts))), texts, []), True
                line, number, cells = line + len(texts), number + len(texts), []
                piece = next(pieces, "")
                continue
            rows, lines = Rows([], [], []), piece.count("\n")
            last: list[io.StringIO] = []
            reader = self._reader(chain.from_iterable(_opened(last, chain([piece], pieces))))
            with self._telling(reader, line):
                for cells in reader:  # the last row may go on in the next piece
                    if len(cells) == self.width:
                        rows.numbers.append(number)
                        rows.texts.append(CELL_END.join(cells))
                    elif cells:
                        rows.torn.append((number, cells))
                    number += 1
                    if reader.line_num >= lines:
                        break
            yield rows, reader.line_num == len(rows.texts)
            line += reader.line_num
            piece = last[0].read() or next(pieces, "")
        self._close_bracket(reading, cells, line)

    def _pieces(self, text: io.TextIOWrapper) -> Iterator[str]:
        """Yield the text in pieces of whole lines. Raises InputError for a NUL byte, and for bytes that are none of the encoding."""
        with self._telling():
            while piece := text.read(_PIECE):
                piece += text.readline()
                if "\0" in piece:
                    raise self._nul()
                yield piece

    def _plain(self, lines: str) -> list[str] | None:
        """Return whole lines as rows, each its cells as one text, where no parsing is needed to see that each line is a row with as many
        cells as the header: its quotes stand at the ends of cells, and no line end stands inside of them. Else None."""
        delimiter, quote = self.layout.delimiter, self.layout.quote
        if self.width == 1:  # a blank line looks like a row there
            return None
        if "\r" in lines:
            if lines.count("\r") != lines.count("\r\n"):
                return None
            lines = lines.replace("\r\n", "\n")
        lines = lines.removesuffix("\n")
        if quote in lines:
            parts = f"\n{lines}\n".split(quote)
            outside, ends = parts[::2], {delimiter, "\n"}
            if "\n" in "".join(parts[1::2]):  # it is, too, where a quote is not closed
                return None
            if not (ends.issuperset(map(_LAST, outside[:-1])) and ends.issuperset(map(_FIRST, outside[1:]))):
                return None
            parts[::2] = quote.join(outside).replace(delimiter, CELL_END).split(quote)
            texts = "".join(parts).split("\n")[1:-1]
        else:
            texts = lines.replace(delimiter, CELL_END).split("\n")
        return texts if set(map(str.count, texts, repeat(CELL_END))) == {self.width - 1} else None

    def spans(self) -> Iterator[Span]:
        """Yield each row with the bytes that it stands in; blank lines are left out. Raises InputError as ``batches`` does."""
        for rows, ends in self.placed():
            yield from (Span(start, end, cells) for cells, start, end in zip(rows, ends, ends[1:], strict=False) if cells)

    def placed(self) -> Iterator[tuple[list[list[str]], list[int]]]:
        """Yield the cells of the rows, some thousands at a time, and the places between which each of them stands in the bytes: one more
        place than rows. Raises InputError as ``batches`` does."""
        name, mark = self.encoding.name, len(self.encoding.mark)
        self.file.digest()
        reading = self.file.reading()
        sizes: list[int] = []
        """Of the lines that are in no batch yet: how many bytes each has."""

        def by_bytes() -> Iterator[list[str]]:
            source = self.file.buffered(reading)
            source.read(mark)
            while lines := source.readlines(_PIECE):
                sizes.extend(map(len, lines))
                yield [line.decode(name) for line in lines]

        def by_text() -> Iterator[list[str]]:
            text = self._text(reading)
            while lines := text.readlines(_PIECE):
                plain = name == _UTF_8 and all(map(str.isascii, lines))
                sizes.extend(map(len, lines) if plain else [len(line.encode(name)) for line in lines])
                yield lines

        # A line end of UTF-16 is no byte that a line of bytes could be told by; elsewhere not every text has but one way to be written.
        pieces = by_text() if name in (_UTF_8, *UTF_16_ORDERS) else by_bytes()
        reader = self._reader(chain.from_iterable(pieces))
        rows: list[list[str]] = []
        with self._telling(reader):
            next(reader, None)
            taken = reader.line_num
            at = mark + sum(sizes[:taken])
            del sizes[:taken]
            while batch := list(islice(reader, _ROWS)):
                rows = batch
                lines, taken = sizes[: reader.line_num - taken], reader.line_num
                del sizes[: len(lines)]
                of_rows = lines
                if len(lines) > len(rows):  # a row has as many lines as line ends in its cells, and one
                    left = iter(lines)
                    of_rows = [sum(islice(left, 1 + sum(cell.count("\n") for cell in cells))) for cells in rows]
                ends = list(accumulate(of_rows, initial=at))
                at = ends[-1]
                yield rows, ends
        self._close_bracket(reading, rows[-1] if rows else [], reader.line_num)

    def beginning_with(self, first_cells: Collection[str]) -> Iterator[Span]:
        """Yield the rows that begin with one of these cells, of a file in UTF-8 whose bytes are known to be those of one that ``is_even``:
        no other row is parsed. Raises InputError as ``batches`` does."""
        wanted = set(self._beginnings(first_cells))
        self.file.digest()
        reading = self.file.reading()
        text = self._text(reading)
        asked: list[str] = []

        def one_by_one() -> Iterator[str]:
            while asked:
                yield asked.pop()

        reader = self._reader(one_by_one())
        with self._telling(reader):
            at = len(self.encoding.mark) + len(text.readline().encode())
            for piece in self._pieces(text):
                lines, done = piece.removesuffix("\n").split("\n"), 0
                size = len if piece.isascii() else _encoded_size
                for place in compress(count(), map(wanted.__contains__, self._beginnings(lines))):
                    at += sum(map(size, lines[done:place])) + place - done
                    end = min(at + size(lines[place]) + 1, self.file.stamp.size)
                    asked.append(lines[place])
                    cells = next(reader)
                    if cells[0] in first_cells:
                        yield Span(at, end, cells)
                    at, done = end, place + 1
                at += sum(map(size, lines[done:])) + len(lines) - done
        self._close_bracket(reading, [], 0)

    def _beginnings(self, lines: Iterable[str]) -> list[str]:
        """Return the beginning of each line, up to the first delimiter and quotes aside: equal first cells have equal beginnings."""
        delimiter, quote = self.layout.delimiter, self.layout.quote
        found = [line.partition(delimiter)[0] for line in lines]
        joined = "\n".join(found)
        return joined.replace(quote, "").replace("\r", "").split("\n") if quote in joined or "\r" in joined else found

    @contextmanager
    def _telling(self, reader: Reader | None = None, line: int = 0) -> Iterator[None]:
        """Raise InputError for what cannot be decoded, or what the reader cannot read, which was given no lines before ``line``."""
        try:
            yield
        except UnicodeDecodeError as error:
            raise self._undecodable() from error
        except csv.Error as error:
            require_untouched(self.file)
            raise self._broken(error, line + (reader.line_num if reader else 0)) from error

    def _close_bracket(self, reading: Reading, last: list[str], line: int) -> None:
        """Raise InputError unless what was read is the file as it was when opened, up to its proper end."""
        require_untouched(self.file)
        if reading.digest() != self.file.digest():
            raise being_written(self.file.path)
        if last and len(last) < self.width and not self.file.ends_with(self.encoding.newline):
            raise InputError(
                f"{self.name}, line {line}: the last row is cut off; nothing is concluded from this file.", way_out="Export it again."
            )

    def newline(self) -> str:
        """Return the line end of the header, or the layout's where the header is the last line and has none."""
        first = self._text(self.file.reading()).readline()
        return "\r\n" if first.endswith("\r\n") else "\n" if first.endswith("\n") else self.layout.newline

    def repeated(self, key: Key) -> Callable[[str], bool] | None:
        """Return a test that is true of each key standing in two rows or more, and hardly ever of another; None: of none.

        One quick pass over the text. Raises InputError for a NUL byte, and as ``rows`` does.
        """
        marks = Marks()
        if key.at == (0,):
            for piece in self._pieces(self._text(self.file.reading())):  # lines inside a cell only add candidates
                marks.extend(map(hash, self._beginnings(piece.removesuffix("\n").split("\n"))))
            twice = marks.twice()
            return (lambda key: hash(self._beginnings([key.partition("\n")[0]])[0]) in twice) if twice else None
        for rows in self.batches():
            marks.extend(map(hash, key.of_texts(rows.texts)))
        twice = marks.twice()
        return (lambda key: hash(key) in twice) if twice else None

    def _reader(self, lines: Iterable[str]) -> Reader:
        return csv.reader(lines, delimiter=self.layout.delimiter, quotechar=self.layout.quote, strict=True)

    def _text(self, reading: io.RawIOBase) -> io.TextIOWrapper:
        source = io.BufferedReader(reading, _PIECE)
        source.read(len(self.encoding.mark))
        return io.TextIOWrapper(source, encoding=self.encoding.name, newline="\n")

    def _nul(self) -> InputError:
        """Return the error for a NUL byte that was met."""
        line, text = 1, self._text(self.file.reading())
        while piece := text.read(_PIECE):
            before, nul, _ = piece.partition("\0")
            line += before.count("\n")
            if nul:
                break
        start = b"".join(self.file.piece(0, min(64, self.file.stamp.size)))
        fitting = [name for name, nuls in zip(UTF_16_ORDERS, (start[1::2], start[::2]), strict=True) if nuls and not nuls.strip(b"\0")]
        if fitting and start.strip(b"\0"):
            way_out = f"It looks like UTF-16 without its mark: set streams.{self.layout.stream}.encoding to {fitting[0]}."
        else:
            way_out = "Export it again as UTF-8 text; a file full of NULs was cut by a crash."
        return InputError(f"{self.name}, line {line}: there is a NUL byte in it.", way_out=way_out)

    def _undecodable(self) -> InputError:
        require_untouched(self.file)
        name = self.encoding.name
        line, byte = self._undecodable_at(name) or (1, 0)
        fitting = [guess for guess in _GUESSES if guess != name and self._undecodable_at(guess) is None]
        others = f"set streams.{self.layout.stream}.encoding to {' or '.join(fitting)}, or " if fitting and not self.encoding.mark else ""
        way_out = f"{others}save the file as {name}."
        return InputError(
            f"{self.name}, line {line}, byte {byte + 1} of the file: this is not {name}.", way_out=way_out[0].upper() + way_out[1:]
        )

    def _undecodable_at(self, encoding: str) -> tuple[int, int] | None:
        """Return the line, and the place among all bytes (from 0), of the first byte that is not of this encoding; None: all are."""
        decoder = codecs.getincrementaldecoder(encoding)()
        at, line = len(self.encoding.mark), 1
        for chunk in chain(self.file.piece(at, self.file.stamp.size), [b""]):
            waiting = len(decoder.getstate()[0])
            try:
                line += decoder.decode(chunk, final=not chunk).count("\n")
            except UnicodeDecodeError as error:
                good = bytes(error.object[: error.start])
                return line + good.decode(encoding, "ignore").count("\n"), at - waiting + error.start
            at += len(chunk)
        return None

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


def _opened(last: list[io.StringIO], pieces: Iterable[str]) -> Iterator[io.StringIO]:
    """Yield what gives the lines of each piece when it is asked for; ``last`` holds the one that was yielded last."""
    for piece in pieces:
        last[:] = [io.StringIO(piece, newline="\n")]
        yield last[0]


def _encoded_size(line: str) -> int:
    return len(line.encode())


def row_bytes(cells: Sequence[str], layout: Layout, encoding: Encoding, newline: str) -> bytes:
    """Return ``cells`` as a row in the layout's quoting. Raises UnicodeEncodeError for what the encoding cannot hold."""
    out = io.StringIO(newline="")
    quoting: Literal[0, 1] = csv.QUOTE_ALL if layout.quote_all else csv.QUOTE_MINIMAL
    # csv quotes only the line ends that stand in its lineterminator: with another one, a lone \r or \n would tear the row apart.
    writer = csv.writer(out, delimiter=layout.delimiter, quotechar=layout.quote, quoting=quoting, lineterminator="\r\n")
    writer.writerow(cells)
    return (out.getvalue().removesuffix("\r\n") + newline).encode(encoding.name)
