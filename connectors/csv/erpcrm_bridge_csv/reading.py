"""One bracketed pass over the files of a selection: its records in pages, and what could not be read as one.

The document's file streams; child files are grouped by document in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import msgspec
from msgspec import Struct

from erpcrm_bridge.connector import Change, Child, Page, Problem, Record, Selection
from erpcrm_bridge.errors import CursorExpired, InputError
from erpcrm_bridge.model.values import digest
from erpcrm_bridge_csv.files import OpenFile, Stamp, require_untouched
from erpcrm_bridge_csv.settings import Layout
from erpcrm_bridge_csv.shape import Shape
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


class Lines:
    """The rows of one child file by document. ``doubtful`` names documents whose lines are not surely whole, with the reason."""

    def __init__(self, table: Table, child: Child) -> None:
        self.stream = child.stream
        self.table = table
        self.by_document: dict[str, list[list[str]]] = {}
        self.doubtful: dict[str, str] = {}
        self.unplaced: list[tuple[set[str], str, str]] = []
        """Rows that no cell count lets us trust: their cells (any may name the document), where they stand, and why."""
        self.named_in: dict[str, str] = {}
        """Each of those cells, with where it stands and why the row cannot be read."""
        key_at, parent_at = table.position(child.key), table.position(child.parent)
        table.positions(child.fields)
        keys: dict[str, set[str]] = {}
        for number, cells in enumerate(table.rows(), 2):
            where = f"{table.name}, row {number}"
            if len(cells) != table.width:
                if cells:
                    why = wrong_count(cells, table)
                    self.unplaced.append(({cell for cell in cells if cell}, where, why))
                    for cell in cells:
                        self.named_in.setdefault(cell, f"{where}: {why}")
                continue
            document, key = cells[parent_at], cells[key_at]
            if not document:
                self.unplaced.append((set(), where, f"{child.parent} is empty: the line belongs to no document"))
                continue
            self.by_document.setdefault(document, []).append(cells)
            known = keys.setdefault(document, set())
            if not key:
                self.doubtful[document] = f"{where}: {child.key} is empty"
            elif key in known:
                self.doubtful[document] = f"{where}: {child.key} stands twice in this document"
            known.add(key)


def wrong_count(cells: Sequence[str], table: Table) -> str:
    return f"{len(cells)} cells where the header has {table.width}"


class Pass:
    """The files of one selection, held open together.

    Raises InputError, SchemaDrift or PermissionDenied on opening; while it is read, InputError where a file is broken or being written.
    """

    def __init__(self, folder: Path, selection: Selection, layout: Callable[[str], Layout], page_size: int) -> None:
        self._stack = ExitStack()
        self._page_size = page_size
        self._selection = selection
        try:
            names = [selection.stream, *(child.stream for child in selection.children)]
            files = [OpenFile(folder / name) for name in names]
            for file in files:
                self._stack.callback(file.close)
            self.tables = [Table(file, layout(file.path.name)) for file in files]
        except BaseException:
            self._stack.close()
            raise
        self.table = self.tables[0]

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
        selection, table = self._selection, self.table
        key_at = table.position(selection.key)
        table.positions(selection.fields)
        lists = [Lines(child_table, child) for child_table, child in zip(self.tables[1:], selection.children, strict=True)]
        shape = Shape(selection, table.columns, {lines.stream: lines.table.columns for lines in lists})
        is_repeated = table.repeated(key_at)
        held: dict[str, list[tuple[int, list[str]]]] = {}
        documents: set[str] = set()
        records: list[Record] = []
        problems: list[Problem] = []
        make, width, page_size, has_lists = shape.record, table.width, self._page_size, bool(lists)

        def take(number: int, key: str, cells: list[str]) -> None:
            if only is not None and key not in only:
                return
            doubt = next((why for why in (_doubt(key, lines) for lines in lists) if why), None)
            if doubt is not None:
                problems.append(Problem(f"{table.name}, row {number}", key, f"its lines cannot be read: {doubt}"))
            else:
                records.append(make(key, cells, [lines.by_document.get(key, ()) for lines in lists]))

        for number, cells in enumerate(table.rows(), 2):
            if len(cells) != width:
                if cells:
                    problems.append(Problem(f"{table.name}, row {number}", (key_at == 0 and cells[0]) or None, wrong_count(cells, table)))
                continue
            key = cells[key_at]
            if not key:
                problems.append(Problem(f"{table.name}, row {number}", None, f"{selection.key} is empty"))
                continue
            if is_repeated is not None and is_repeated(key):
                held.setdefault(key, []).append((number, cells))
            elif has_lists or only is not None:
                take(number, key, cells)
            else:
                records.append(make(key, cells))
            if has_lists:
                documents.add(key)
            if len(records) >= page_size:
                require_untouched(table.file)
                yield records, problems
                records, problems = [], []
        for key, rows in held.items():
            if len(rows) == 1:
                take(rows[0][0], key, rows[0][1])
            else:
                numbers = some([str(number) for number, _ in rows])
                problems.extend(
                    Problem(f"{table.name}, row {number}", key, f"{selection.key} is the same in rows {numbers}") for number, _ in rows
                )
        for lines in lists:
            problems.extend(_orphans(lines, documents))
        for file_table in self.tables:
            require_untouched(file_table.file)
        yield records, problems


def _doubt(key: str, lines: Lines) -> str | None:
    if key in lines.doubtful:
        return lines.doubtful[key]
    return lines.named_in.get(key)


def _orphans(lines: Lines, documents: set[str]) -> Iterator[Problem]:
    """Lines whose document is not in the file, once for each document; and rows that name no document at all."""
    for document in lines.by_document.keys() - documents:
        yield Problem(lines.table.name, document, f"there are lines of it, and no row of it in the document's file (lines: {lines.stream})")
    for cells, where, why in lines.unplaced:
        if not cells & documents:
            yield Problem(where, None, why)


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
