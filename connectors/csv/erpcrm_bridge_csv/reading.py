"""One bracketed pass over the files of a selection: its records in pages, and what could not be read as one.

The document's file streams; the rows of child files are laid down by document, and fetched for each page of documents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import msgspec
from msgspec import Struct

from erpcrm_bridge.connector import Heads, Page, Problem, Record, Selection
from erpcrm_bridge.errors import CursorExpired, InputError
from erpcrm_bridge.model.values import digest
from erpcrm_bridge_csv.files import OpenFile, Stamp, require_untouched
from erpcrm_bridge_csv.lines import Lines, wrong_count
from erpcrm_bridge_csv.settings import Layout
from erpcrm_bridge_csv.shape import Shape, columns_of, modified
from erpcrm_bridge_csv.table import CELL_END, Key, Rows, Table, some

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

    def batches(self, only: Container[str] | None = None) -> Iterator[Batch]:
        """Yield the records (of the keys ``only``, where given) and the problems, a page at a time; problems always all."""
        with ExitStack() as held:
            lists = []
            for table, child in zip(self.tables[1:], self._selection.children, strict=True):
                lists.append(Lines(table, child, only))
                held.callback(lists[-1].close)
            yield from self._batches(lists, only)

    def _batches(self, lists: list[Lines], only: Container[str] | None) -> Iterator[Batch]:
        selection, table = self._selection, self.table
        key = table.key(selection.key)
        table.positions(columns_of(selection.fields))
        shape = Shape(selection, table.columns, {lines.table.name: lines.table.columns for lines in lists}, self._modified)
        sorting = _Sorting(table, key)
        ready: _Rows | None = None
        for rows in table.batches(self._page_size):
            if ready is not None:
                yield self._batch(ready, lists, shape, last=False)
            good, met = sorting.sort(rows)
            ready = good if only is None else good.of(only)
            for lines in lists:
                lines.meet(met)
        ready = ready or _Rows([], [], [], [])
        once, problems = sorting.rest()
        ready.extend(once if only is None else once.of(only))
        ready.problems.extend(problems)
        for lines in lists:
            ready.problems.extend(lines.problems())
        for file_table in self.tables:
            require_untouched(file_table.file)
        yield self._batch(ready, lists, shape, last=True)

    def _batch(self, rows: _Rows, lists: list[Lines], shape: Shape, *, last: bool) -> Batch:
        """Return what the rows say, their lines looked up."""
        table = self.table
        require_untouched(table.file)
        if not lists:
            keys, texts = rows.keys, rows.texts
            versions = shape.versions(texts)
            changes = Heads(keys, versions, lambda at: shape.record(keys[at], versions[at], texts[at].split(CELL_END)))
            return Batch(changes, rows.problems, last)
        found = [lines.of(rows.keys) for lines in lists]
        whole, of_whole, problems = _Rows([], [], [], []), [], list(rows.problems)
        for number, key, text in zip(rows.numbers, rows.keys, rows.texts, strict=True):
            own = [by_document.get(key, []) for by_document in found]
            doubts = (lines.doubt(key, numbered) for lines, numbered in zip(lists, own, strict=True))
            doubt = next((why for why in doubts if why), None)
            if doubt is None:
                whole.add(number, key, text)
                of_whole.append([[line for _, line in numbered] for numbered in own])
            else:
                problems.append(Problem(f"{table.name}, row {number}", key, f"its lines cannot be read: {doubt}"))
        of_documents = shape.versions(whole.texts, of_whole)

        def record(at: int) -> Record:
            return shape.record(whole.keys[at], of_documents[at], whole.texts[at].split(CELL_END), of_whole[at])

        return Batch(Heads(whole.keys, of_documents, record), problems, last)


class Batch(NamedTuple):
    """Records, as changes, and what could not be read as one."""

    changes: Heads
    problems: list[Problem]
    last: bool


class _Rows(NamedTuple):
    """Rows that are records: their numbers, keys, and cells as one text each; and those that are none."""

    numbers: list[int]
    keys: list[str]
    texts: list[str]
    problems: list[Problem]

    def add(self, number: int, key: str, text: str) -> None:
        self.numbers.append(number)
        self.keys.append(key)
        self.texts.append(text)

    def extend(self, others: _Rows) -> None:
        self.numbers.extend(others.numbers)
        self.keys.extend(others.keys)
        self.texts.extend(others.texts)

    def of(self, only: Container[str]) -> _Rows:
        """Return the rows of these keys, and every problem."""
        picked = _Rows([], [], [], self.problems)
        for at, key in enumerate(self.keys):
            if key in only:
                picked.add(self.numbers[at], key, self.texts[at])
        return picked


class _Sorting:
    """Sorts rows into records and problems. Those of keys that may stand twice are laid aside until all rows are known."""

    def __init__(self, table: Table, key: Key) -> None:
        self._table = table
        self._key = key
        self._is_repeated = table.repeated(key)
        self._twice: dict[str, tuple[list[int], str]] = {}
        """Keys that may stand twice: the rows' numbers, and the text of the first."""

    def sort(self, rows: Rows) -> tuple[_Rows, list[str]]:
        """Return the rows that are records, and the keys that were met."""
        keys, is_repeated = self._key.of_texts(rows.texts), self._is_repeated
        problems = [self._torn(number, cells) for number, cells in rows.torn]
        if is_repeated is None and all(keys):
            return _Rows(rows.numbers, keys, rows.texts, problems), keys
        good, met = _Rows([], [], [], problems), []
        for number, own, text in zip(rows.numbers, keys, rows.texts, strict=True):
            if not own:
                problems.append(Problem(f"{self._table.name}, row {number}", None, f"{self._key.name} is empty"))
                continue
            met.append(own)
            if is_repeated is not None and is_repeated(own):
                self._twice.setdefault(own, ([], text))[0].append(number)
            else:
                good.add(number, own, text)
        return good, met

    def _torn(self, number: int, cells: list[str]) -> Problem:
        told = cells[0] if self._key.at == (0,) else ""
        return Problem(f"{self._table.name}, row {number}", told or None, wrong_count(cells, self._table))

    def rest(self) -> tuple[_Rows, list[Problem]]:
        """Return those laid aside that stand there once after all, and the problems of the others."""
        once = _Rows([], [], [], [])
        problems: list[Problem] = []
        for own, (numbers, text) in self._twice.items():
            if len(numbers) == 1:
                once.add(numbers[0], own, text)
            else:
                why = f"{self._key.name} is the same in rows {some([str(number) for number in numbers])}"
                problems.extend(Problem(f"{self._table.name}, row {number}", own, why) for number in numbers)
        return once, problems


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
    whole = True
    for batch in source.batches():
        whole = whole and all(problem.key for problem in batch.problems)
        cursor = after if batch.last else unfinished
        yield Page(batch.changes, cursor, complete=batch.last and whole, problems=tuple(batch.problems))


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
    """Return the records that exist. Raises InputError, naming them, where some are not found and an unreadable row may be theirs."""
    wanted = set(keys)
    found: list[Record] = []
    problems: list[Problem] = []
    for batch in source.batches(wanted):
        found.extend(change.record for change in batch.changes if change.record is not None)
        problems.extend(batch.problems)
    missing = wanted - {record.key for record in found}
    in_the_way = [one for one in problems if missing and (one.key is None or one.key in missing)]
    if in_the_way:
        rows = "; ".join(f"{one.where}: {one.reason}" for one in in_the_way[:3])
        rows += f" and {len(in_the_way) - 3} more" if len(in_the_way) > 3 else ""
        untold = missing if any(one.key is None for one in in_the_way) else {one.key for one in in_the_way if one.key}
        raise InputError(
            f"{rows}. So it cannot be told whether a record asked for is still there.", way_out="Mend the row.", keys=sorted(untold)
        )
    return found


def keys_of(source: Pass) -> Iterator[list[str]]:
    """Yield the keys in use, those of rows that cannot be read included. Raises InputError where a row hides its key."""
    for batch in source.batches():
        hidden = next((problem for problem in batch.problems if problem.key is None), None)
        if hidden is not None:
            raise InputError(f"{hidden.where}: {hidden.reason}. So the list of keys is not whole.", way_out="Mend the row.")
        yield [*batch.changes.keys, *sorted({problem.key for problem in batch.problems if problem.key})]
