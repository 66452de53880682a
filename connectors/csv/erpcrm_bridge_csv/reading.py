"""One bracketed pass over the files of a selection: its records in pages, and what could not be read as one.

The document's file streams; the rows of child files are laid down by document, and fetched for each page of documents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import msgspec
from msgspec import Struct

from erpcrm_bridge.connector import Change, Page, Problem, Record, Selection
from erpcrm_bridge.errors import CursorExpired, InputError
from erpcrm_bridge.model.values import digest
from erpcrm_bridge_csv.files import OpenFile, Stamp, require_untouched
from erpcrm_bridge_csv.lines import Lines, wrong_count
from erpcrm_bridge_csv.settings import Layout
from erpcrm_bridge_csv.shape import Shape, columns_of, modified
from erpcrm_bridge_csv.table import Table, some

_TRUSTED_AFTER_NS = 2_000_000_000


class _Seen(Struct, frozen=True):
    """A file as it was read; ``stamp`` is None where it was touched so lately that the same stamp could stand for other bytes."""

    digest: str
    stamp: Stamp | None


class _Cursor(Struct, frozen=True):
    """The state of every file of a selection, by name; no files: the read did not get to its end."""

    shape: str
    files: dict[str, _Seen] = {}


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(_Cursor).decode


class Pass:
    """The files of one selection, held open together: the stream's, and those of its child streams.

    Raises InputError, SchemaDrift or PermissionDenied on opening; while it is read, InputError where a file is broken or being written.
    """

    def __init__(self, paths: Sequence[Path], selection: Selection, layout: Callable[[str], Layout], page_size: int) -> None:
        self._stack = ExitStack()
        self._page_size = page_size
        self._selection = selection
        try:
            names = [selection.stream, *(child.stream for child in selection.children)]
            files = [OpenFile(path) for path in paths]
            for file in files:
                self._stack.callback(file.close)
            self.tables = [Table(file, layout(name)) for file, name in zip(files, names, strict=True)]
        except BaseException:
            self._stack.close()
            raise
        self.table = self.tables[0]
        self._modified = modified(files)

    def __enter__(self) -> Pass:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def shape_digest(self) -> str:
        """Return a digest of what decides how bytes become records, apart from the bytes."""
        layouts = [(table.layout.delimiter, table.layout.quote, table.encoding.name) for table in self.tables]
        return digest([msgspec.to_builtins(self._selection), layouts])

    def batches(self, only: Container[str] | None = None) -> Iterator[tuple[list[Record], list[Problem]]]:
        """Yield the records (of the keys ``only``, where given) and the problems, a page at a time; problems always all."""
        with ExitStack() as held:
            lists = []
            for table, child in zip(self.tables[1:], self._selection.children, strict=True):
                lists.append(Lines(table, child, only))
                held.callback(lists[-1].close)
            yield from self._batches(lists, only)

    def _batches(self, lists: list[Lines], only: Container[str] | None) -> Iterator[tuple[list[Record], list[Problem]]]:
        selection, table = self._selection, self.table
        key = table.key(selection.key)
        table.positions(columns_of(selection.fields))
        shape = Shape(selection, table.columns, {lines.table.name: lines.table.columns for lines in lists}, self._modified)
        is_repeated = table.repeated(key)
        key_of, make, width, page_size = key.of, shape.record, table.width, self._page_size
        twice: dict[str, tuple[list[int], list[str]]] = {}
        """Keys that may stand twice: the rows' numbers, and the cells of the first."""
        rows: list[tuple[int, str, list[str]]] = []
        problems: list[Problem] = []

        def page() -> tuple[list[Record], list[Problem]]:
            nonlocal rows, problems
            require_untouched(table.file)
            full, told = (rows, problems), []
            rows, problems = [], []
            if not lists:
                return [make(key, cells) for _, key, cells in full[0]], full[1]
            keys = [key for _, key, _ in full[0]]
            found = [lines.of(keys) for lines in lists]
            records = []
            for number, key, cells in full[0]:
                own = [by_document.get(key, []) for by_document in found]
                doubts = (lines.doubt(key, numbered) for lines, numbered in zip(lists, own, strict=True))
                doubt = next((why for why in doubts if why), None)
                if doubt is None:
                    records.append(make(key, cells, [[line for _, line in numbered] for numbered in own]))
                else:
                    told.append(Problem(f"{table.name}, row {number}", key, f"its lines cannot be read: {doubt}"))
            return records, full[1] + told

        met: list[str] = []
        for number, cells in enumerate(table.rows(), 2):
            if len(cells) != width:
                if cells:
                    first = cells[0] if key.at == (0,) else ""
                    problems.append(Problem(f"{table.name}, row {number}", first or None, wrong_count(cells, table)))
            else:
                own = key_of(cells)
                if not own:
                    problems.append(Problem(f"{table.name}, row {number}", None, f"{key.name} is empty"))
                elif is_repeated is not None and is_repeated(own):
                    twice.setdefault(own, ([], cells))[0].append(number)
                elif only is None or own in only:
                    rows.append((number, own, cells))
                if own and lists:
                    met.append(own)
            if len(rows) + len(problems) >= page_size:
                yield page()
            if len(met) >= page_size:
                for lines in lists:
                    lines.meet(met)
                met = []
        for own, (numbers, cells) in twice.items():
            if len(numbers) == 1:
                if only is None or own in only:
                    rows.append((numbers[0], own, cells))
            else:
                why = f"{key.name} is the same in rows {some([str(number) for number in numbers])}"
                problems.extend(Problem(f"{table.name}, row {number}", own, why) for number in numbers)
        for lines in lists:
            lines.meet(met)
            problems.extend(lines.problems())
        for file_table in self.tables:
            require_untouched(file_table.file)
        yield page()


def pages(source: Pass, since: str | None, *, now_ns: Callable[[], int] = time.time_ns) -> Iterator[Page]:
    """Yield what changed since the cursor: nothing where every file holds the same bytes, else the whole stream, its last page complete.

    A page says complete only where no row without a known key was met: such a row may be any record. Raises CursorExpired for a cursor
    that is not ours.
    """
    shape = source.shape_digest()
    before = _read_cursor(since)
    files = {table.name: table.file for table in source.tables}
    if before is not None and before.shape == shape and before.files.keys() == files.keys():
        if all(before.files[name].stamp == file.stamp for name, file in files.items()):
            yield Page([], since or "")
            return
        if all(before.files[name].digest == file.digest() for name, file in files.items()):
            yield Page([], _cursor(shape, files, now_ns()))
            return
    after = _cursor(shape, files, now_ns())
    unfinished = _encode(_Cursor(shape)).decode()
    ready: tuple[list[Record], list[Problem]] | None = None
    whole = True
    for batch in source.batches():
        if ready is not None:
            yield _page(ready, unfinished, complete=False)
        ready = batch
        whole = whole and all(problem.key for problem in batch[1])
    yield _page(ready or ([], []), after, complete=whole)


def _page(batch: tuple[list[Record], list[Problem]], cursor: str, *, complete: bool) -> Page:
    return Page([Change(record.key, record) for record in batch[0]], cursor, complete, tuple(batch[1]))


def _cursor(shape: str, files: dict[str, OpenFile], now: int) -> str:
    def seen(file: OpenFile) -> _Seen:
        trusted = now - max(file.stamp.modified, file.stamp.changed) > _TRUSTED_AFTER_NS
        return _Seen(file.digest(), file.stamp if trusted else None)

    return _encode(_Cursor(shape, {name: seen(file) for name, file in files.items()})).decode()


def _read_cursor(since: str | None) -> _Cursor | None:
    if since is None:
        return None
    try:
        return _decode(since)
    except msgspec.DecodeError:
        raise CursorExpired("This cursor was not made by the CSV connector.", way_out="The stream is read in full.") from None


def records_of(source: Pass, keys: Sequence[str]) -> list[Record]:
    """Return the records that exist. Raises InputError where a key is not found and a row that cannot be read may hold it."""
    wanted = set(keys)
    found: list[Record] = []
    problems: list[Problem] = []
    for records, troubles in source.batches(wanted):
        found.extend(records)
        problems.extend(troubles)
    missing = wanted - {record.key for record in found}
    in_the_way = next((one for one in problems if missing and (one.key is None or one.key in missing)), None)
    if in_the_way is not None:
        raise InputError(
            f"{in_the_way.where}: {in_the_way.reason}. So it cannot be told whether a record asked for is still there.",
            way_out="Mend the row.",
        )
    return found


def keys_of(source: Pass) -> Iterator[list[str]]:
    """Yield the keys in use, those of rows that cannot be read included. Raises InputError where a row hides its key."""
    for records, problems in source.batches():
        hidden = next((problem for problem in problems if problem.key is None), None)
        if hidden is not None:
            raise InputError(f"{hidden.where}: {hidden.reason}. So the list of keys is not whole.", way_out="Mend the row.")
        yield [record.key for record in records] + sorted({problem.key for problem in problems if problem.key})
