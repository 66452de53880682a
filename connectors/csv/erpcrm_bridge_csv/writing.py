"""Writes: all of one call in one replacement of each file.

Files are replaced children first, the document's file last (for deletes the other way round). A bridge that dies between two of these
renames leaves each file whole, and the next run heals what is between them: an updated document is read with its new lines and its
old row, and the row is written again; a created one has lines without a row, and the repeated create takes the same key and puts its
lines in their place; a deleted one has lines without a row, and the repeated delete takes them away.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeAlias

from erpcrm_bridge.connector import Applied, Child, Deferred, ListWrite, Outcome, Record, Rejected, Selection, Stale, Write
from erpcrm_bridge.errors import InputError, TransientError
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge_csv import marker as notes
from erpcrm_bridge_csv.files import OpenFile, Temporary, locked, sync_folder
from erpcrm_bridge_csv.keys import KeyMaker, numbered
from erpcrm_bridge_csv.marker import Marker
from erpcrm_bridge_csv.settings import ByUuid, Layout, side_name
from erpcrm_bridge_csv.shape import FILE_MTIME, Shape, cell_text, columns_of, modified
from erpcrm_bridge_csv.sheet import Refused, Row, Sheet, Untold
from erpcrm_bridge_csv.table import CELL_END, Span, Table

_ATTEMPTS = 5
_TAKEN_IN = 10_000
"""So many waiting rows are taken out of the side file by one write, at most."""
Number: TypeAlias = Callable[[str], int]


def write(
    folder: Path,
    identity: str,
    selection: Selection,
    layout: Callable[[str], Layout],
    writes: Sequence[Write],
    even: str | None = None,
) -> tuple[list[Outcome], str | None]:
    """Carry the writes out and return one outcome each; where others save a file meanwhile, begin again from what they saved. ``even`` is
    the digest that the stream's file had when it was last known to be even (see ``Table``): where it still has it, only the rows that are
    asked for are parsed. Returned as well is the digest with which it is known to be even now.

    Raises TransientError when they do so again and again, or the disk is full; PermissionDenied; InputError for a file that cannot be read.
    """
    with locked(folder):
        for _ in range(_ATTEMPTS):
            with ExitStack() as stack:
                draft = _Draft(stack, folder, identity, selection, layout, writes, even)
                outcomes = [draft.outcome(one) for one in writes]
                if draft.commit():
                    draft.date(outcomes)
                    return outcomes, draft.even
    raise TransientError(
        f"{selection.stream} was saved by others each time it was about to be replaced; nothing of this was written.",
        way_out="Run again when the editing is done.",
        retry_after=5.0,
    )


class _Lines:
    """A child file being edited: the rows of the documents that are written. ``number_of`` counts a document's key, where that is
    asked."""

    def __init__(self, sheet: Sheet, table: Table, child: Child, documents: Container[str], number_of: Number | None) -> None:
        self.sheet = sheet
        self.child = child
        self.key_at, self.parent_at = table.position(child.key), table.position(child.parent)
        table.positions(child.fields)
        self.by_document: dict[str, list[Row]] = {}
        self._unreadable: set[str] = set()
        """the cells of rows that cannot be read: any may name the document"""
        self.greatest_document = self.greatest = -1
        assigns = sheet.layout.assigns
        own = None if isinstance(assigns, (ByUuid, str)) else numbered(assigns)
        for span in table.spans():
            cells = span.cells
            if len(cells) != table.width:
                self._unreadable.update(cells)
                continue
            if cells[self.parent_at] in documents:
                self.by_document.setdefault(cells[self.parent_at], []).append(sheet.row(span))
            if number_of is not None:
                self.greatest_document = max(self.greatest_document, number_of(cells[self.parent_at]))
            if own is not None:
                self.greatest = max(self.greatest, own(cells[self.key_at]))

    def of(self, key: str) -> list[Row]:
        return [row for row in self.by_document.get(key, ()) if not row.gone]

    def require_readable(self, key: str) -> None:
        """Raise Untold where the lines of the document are not surely whole."""
        keys = [row.cells[self.key_at] for row in self.of(key)]
        if "" in keys or len(keys) != len(set(keys)) or key in self._unreadable:
            raise Untold(f"its lines in {self.child.stream} cannot be read; mend the file first")

    def drop_all(self, key: str) -> None:
        for row in self.of(key):
            self.sheet.drop(row)

    def add(self, key: str, cells: list[str]) -> None:
        self.by_document.setdefault(key, []).append(self.sheet.add(cells))


class _Draft:
    """What the files hold now, and the edits of one call upon them. ``even`` is the digest with which the stream's file is known to be
    even, None where it is not."""

    def __init__(
        self,
        stack: ExitStack,
        folder: Path,
        identity: str,
        selection: Selection,
        layout: Callable[[str], Layout],
        writes: Sequence[Write],
        even: str | None,
    ) -> None:
        self._stack = stack
        self._folder = folder
        self._selection = selection
        self._layout = layout
        self._deletes = any(one.operation == "delete" for one in writes)
        creates = any(one.operation == "create" for one in writes)

        self._main = self._open(selection.stream)
        children = {child.stream: self._open(child.stream) for child in selection.children}
        table = _table(self._main)
        self.even = even if table.file.digest() == even else None
        self._key = table.key(selection.key)
        self._reference_at = None if selection.external_id is None else table.position(selection.external_id)
        table.positions(columns_of(selection.fields))

        self._sides: dict[str, Sheet] = {}
        for name, sheet in ((selection.stream, self._main), *children.items()):
            if (folder / side_name(name)).exists() or (creates and self._main.layout.assigns == "nobody"):
                self._sides[name] = self._open_side(name, sheet)

        self._identity = identity
        self._marker = notes.load(folder) or Marker(identity)
        self._promised = self._marker.promised.setdefault(selection.stream, {})
        self._noted = deepcopy(self._marker)
        self._makers: dict[str, KeyMaker] = {}
        assigns = self._main.layout.assigns
        number_of = numbered(assigns) if creates and not isinstance(assigns, (ByUuid, str)) else None
        documents = self._scan(writes, number_of)
        self._lines = [_Lines(children[c.stream], _table(children[c.stream]), c, documents, number_of) for c in selection.children]
        self._list = {lines.child.stream: lines for lines in self._lines}
        if assigns != "nobody":
            greatest = max([self._greatest, *(lines.greatest_document for lines in self._lines)])
            self._makers[selection.stream] = KeyMaker(assigns, self._space(selection.stream), greatest)
        self._shape = Shape(
            selection, self._main.columns, {name: sheet.columns for name, sheet in children.items()}, modified(self._files())
        )
        self._take_in({one.reference for one in writes if one.reference})

    # What stands in the files.

    def _open(self, name: str) -> Sheet:
        file = OpenFile(self._folder / name)
        self._stack.callback(file.close)
        table = Table(file, self._layout(name))
        return Sheet(file.path, table.layout, table.encoding, table, table.columns)

    def _open_side(self, name: str, of: Sheet) -> Sheet:
        path = self._folder / side_name(name)
        if not path.exists():
            return Sheet(path, of.layout, of.encoding, None, of.columns)
        file = OpenFile(path)
        self._stack.callback(file.close)
        table = Table(file, of.layout)
        if table.columns != of.columns:
            raise InputError(
                f"{path.name} and {name} have different headers.", way_out=f"Take the rows of {path.name} in, or remove it; then run again."
            )
        return Sheet(path, of.layout, table.encoding, table, of.columns)

    def _side_rows(self, name: str, column: str | None, references: Container[str]) -> dict[str, list[Row]]:
        """The rows of a side file that is there and that carry one of the references in ``column``."""
        rows: dict[str, list[Row]] = {}
        sheet = self._sides.get(name)
        if sheet is not None and sheet.table is not None and column is not None:
            at = sheet.at[column]
            for span in sheet.table.spans():
                if len(span.cells) == len(sheet.columns) and span.cells[at] in references:
                    rows.setdefault(span.cells[at], []).append(sheet.row(span))
        return rows

    def _scan(self, writes: Sequence[Write], number_of: Number | None) -> set[str]:
        """Find the rows that the writes speak of, the greatest number in use, and what waits no longer; return the keys of these rows."""
        assigns, stream = self._main.layout.assigns, self._selection.stream
        references = ({one.reference for one in writes if one.reference} | self._promised.keys()) - {""}
        keys = {one.key for one in writes if one.key} | {self._promised[one] for one in references & self._promised.keys()}
        if isinstance(assigns, ByUuid):
            maker = KeyMaker(assigns, self._space(stream), -1)
            keys |= {maker.new(reference) for reference in references}
        self._by_key: dict[str, list[Row]] = {}
        self._by_reference: dict[str, list[Row]] = {}
        self._unreadable: set[str] = set()
        self._greatest = self._marker.counters.get(stream, -1)
        key_of, reference_at, width = self._key.of, self._reference_at, len(self._main.columns)
        waiting = self._waiting_references()
        self._arrived: set[str] = set()
        every = bool(waiting) or number_of is not None
        if not every and not references and self._is_even():
            for span in _table(self._main).beginning_with(keys):
                row = self._main.row(span)
                self._by_key.setdefault(span.cells[0], []).append(row)
                if reference_at is not None:
                    self._by_reference.setdefault(span.cells[reference_at], []).append(row)
            return keys
        for rows, ends in _table(self._main).placed():
            for at in range(len(rows)) if every else _spoken_of(rows, width, key_of, keys, reference_at, references):
                cells = rows[at]
                if len(cells) != width:
                    self._unreadable.update(cells)
                    continue
                key = key_of(cells)
                reference = "" if reference_at is None else cells[reference_at]
                if key in keys or reference in references:
                    row = self._main.row(Span(ends[at], ends[at + 1], cells))
                    self._by_key.setdefault(key, []).append(row)
                    if reference_at is not None:
                        self._by_reference.setdefault(reference, []).append(row)
                if key and reference and len(self._arrived) < _TAKEN_IN and hash(reference) in waiting:
                    self._arrived.add(reference)
                if number_of is not None:
                    self._greatest = max(self._greatest, number_of(key))
        return keys | {key_of(row.cells) for rows in self._by_reference.values() for row in rows}

    def _is_even(self) -> bool:
        """Tell whether each line of the document's file is known to be a row, and begins with its key."""
        table = _table(self._main)
        return self._key.at == (0,) and table.encoding.name == "utf-8" and self.even is not None

    def _waiting_references(self) -> frozenset[int]:
        """The hashes of the references in the side file: some of what they are asked for may not be there."""
        sheet = self._sides.get(self._selection.stream)
        marks = array("q")
        if sheet is not None and sheet.table is not None and self._reference_at is not None:
            at, width = self._reference_at, len(sheet.columns)
            marks.extend(hash(span.cells[at]) for span in sheet.table.spans() if len(span.cells) == width)
        return frozenset(marks)

    def _space(self, stream: str) -> str:
        return f"{self._identity}/{stream}"

    def _take_in(self, asked: set[str]) -> None:
        """Find what waits in the side files and is written now; forget what the main file has taken in: its rows in the side files, and
        the keys promised to it."""
        stream, references = self._selection.stream, asked | self._arrived
        self._waiting = self._side_rows(stream, self._selection.external_id, references)
        self._waiting_lines = {child.stream: self._side_rows(child.stream, child.parent, references) for child in self._selection.children}
        for reference in self._arrived:
            for name, rows in ((stream, self._waiting), *self._waiting_lines.items()):
                for row in rows.get(reference, ()):
                    self._sides[name].drop(row)
        for reference in list(self._promised):
            if reference in self._by_reference:
                del self._promised[reference]

    def _files(self) -> list[OpenFile]:
        return [sheet.table.file for sheet in (self._main, *(lines.sheet for lines in self._lines)) if sheet.table is not None]

    def _record(self, row: Row) -> Record:
        key = self._key.of(row.cells)
        lists = [[line.cells for line in lines.of(key)] for lines in self._lines]
        (version,) = self._shape.versions([CELL_END.join(row.cells)], [lists])
        return self._shape.record(key, version, row.cells, lists)

    # One write.

    def outcome(self, one: Write) -> Outcome:
        try:
            if one.operation == "create":
                return self._create(one)
            if one.operation == "update":
                return self._update(one)
            if one.operation == "delete":
                return self._delete(one)
            return Rejected(one.ref, "record", "a CSV file has no moves: write the state as a field")
        except Refused as refused:
            if isinstance(refused, Untold) and one.operation != "create":
                return Stale(one.ref)  # whoever reads it again is told why it waits, and sees when its row is mended
            return Rejected(one.ref, "record" if refused.field is None else "field", refused.reason, refused.field)

    def _standing(self, key: str | None) -> Row | None:
        """Return the row of ``key``, or None where it is gone. Raises Untold where it cannot be told, or two rows have it."""
        if not key:
            raise Refused("the write names no key")
        rows = [row for row in self._by_key.get(key, ()) if not row.gone]
        if len(rows) > 1:
            raise Untold(f"{len(rows)} rows have its key; mend the file first")
        if key in self._unreadable:
            raise Untold("a row that cannot be read may be it; mend the file first")
        return rows[0] if rows else None

    def _delete(self, one: Write) -> Outcome:
        row = self._standing(one.key)
        if row is None:
            for lines in self._lines:
                lines.drop_all(one.key or "")
            return Stale(one.ref, gone=True)
        if self._has_moved(one, row):
            return Stale(one.ref)
        self._main.drop(row)
        key = self._key.of(row.cells)
        for lines in self._lines:
            lines.drop_all(key)
        return Applied(one.ref, key, "", {})

    def _update(self, one: Write) -> Outcome:
        row = self._standing(one.key)
        if row is None:
            return Stale(one.ref, gone=True)
        for lines in self._lines:
            lines.require_readable(one.key or "")
        if self._has_moved(one, row):
            return Stale(one.ref)
        key = self._key.of(row.cells)
        cells = self._main.filled(row.cells, one.fields)
        if self._key.of(cells) != key:
            raise Refused("a key is not changed", self._key.name)
        edits = [self._edit(name, key, change) for name, change in one.lists.items()]
        if any(edit is None for edit in edits):
            return Stale(one.ref)
        self._main.put(row, cells)
        line_keys = {name: edit.apply() for name, edit in zip(one.lists, edits, strict=True) if edit is not None}
        record = self._record(row)
        return Applied(one.ref, key, record.version, record.fields, line_keys)

    def _has_moved(self, one: Write, row: Row) -> bool:
        """Tell whether the file holds something else than the write rests on."""
        by_version = not one.expect
        for name, expected in one.expect.items():
            if name in self._list:
                continue
            if name not in self._main.at:
                raise Refused(f"{self._main.path.name} has no column {name!r}", name)
            if not _agrees(expected, row.cells[self._main.at[name]]):
                return True
        for name, change in one.lists.items():
            if name in one.expect and name in self._list:
                if _list_has_moved(self._list[name], self._key.of(row.cells), one.expect[name] or [], change):
                    return True
            else:
                by_version = True
        return by_version and one.version is not None and one.version != self._record(row).version

    def _create(self, one: Write) -> Outcome:
        reference, at = one.reference, self._reference_at
        if at is None or not reference:
            raise Refused("a create needs a reference and an external-id column to carry it: without them it could be made twice")
        there = [row for row in self._by_reference.get(reference, ()) if not row.gone]
        if len({self._key.of(row.cells) for row in there}) > 1 or reference in self._unreadable:
            raise Refused("its reference stands in several rows or in one that cannot be read; mend the file first")
        if there and self._key.of(there[0].cells):
            row = self._standing(self._key.of(there[0].cells))
            if row is None:
                return Stale(one.ref)
            for lines in self._lines:
                lines.require_readable(self._key.of(row.cells))
            record = self._record(row)
            return Applied(one.ref, record.key, record.version, record.fields)
        if there:
            return Deferred(one.ref, self._main.path.name, "its row is there and has no key yet")
        if self._selection.key and one.fields.get(self._selection.key) not in (None, ""):
            raise Refused("the key of a new row is not the mapping's to give", self._selection.key)
        unknown = next((name for name in one.lists if name not in self._list), None)
        if unknown is not None:
            raise Refused(f"{unknown!r} is no list of {self._selection.stream}", unknown)
        cells = self._main.filled([""] * len(self._main.columns), {**one.fields, self._main.columns[at]: reference})
        if self._main.layout.assigns == "nobody":
            return self._defer(one, reference, cells)
        return self._append(one, reference, cells)

    def _append(self, one: Write, reference: str, cells: list[str]) -> Outcome:
        stream = self._selection.stream
        key = self._promised.get(reference)
        if key is None or self._is_of_others(key, one, cells):
            key = self._makers[stream].new(reference)
        if self._standing(key) is not None:
            return Rejected(one.ref, "duplicate", "the row that has its key carries another reference", self._selection.key, key)
        leftover = [lines.of(key) for lines in self._lines]
        (key_at,) = self._key.at  # one column: a key of several is given by people, and nobody appends such a row
        cells[key_at] = key
        edits = [self._edit(name, key, _as_whole(change)) for name, change in one.lists.items()]
        for lines, rows in zip(self._lines, leftover, strict=True):
            if lines.child.stream not in one.lists:
                for row in rows:
                    lines.sheet.drop(row)
        row = self._main.add(cells)
        self._by_key.setdefault(key, []).append(row)
        self._by_reference.setdefault(reference, []).append(row)
        if not isinstance(self._main.layout.assigns, ByUuid):
            self._promised[reference] = key
            self._marker.counters[stream] = self._makers[stream].greatest
        line_keys = {name: edit.apply() for name, edit in zip(one.lists, edits, strict=True) if edit is not None}
        record = self._record(row)
        return Applied(one.ref, key, record.version, record.fields, line_keys)

    def _is_of_others(self, key: str, one: Write, cells: list[str]) -> bool:
        """Tell whether somebody entered a record under a promised key: its row is not the one that was asked for, whose reference they
        may have taken away."""
        row = self._standing(key)
        if row is None:
            return False
        at = self._main.at
        return any(row.cells[at[name]] != cells[at[name]] for name in one.fields if name != self._selection.key)

    def _defer(self, one: Write, reference: str, cells: list[str]) -> Outcome:
        """Put the record into the side file, or bring what waits there up to date. Lines carry the reference in their parent column."""
        wanted: list[tuple[_Lines, list[list[str]]]] = []
        for lines in self._lines:
            change = one.lists.get(lines.child.stream, ListWrite())
            blank = [""] * len(lines.sheet.columns)
            new = [fields for _, fields in _rows_of(change)]
            wanted.append((lines, [lines.sheet.filled(blank, {**fields, lines.child.parent: reference}) for fields in new]))
        side = self._sides[self._selection.stream]
        _lay_out(side, self._waiting.setdefault(reference, []), [cells])
        for lines, rows in wanted:
            sheet = self._sides[lines.child.stream]
            _lay_out(sheet, self._waiting_lines[lines.child.stream].setdefault(reference, []), rows)
        return Deferred(one.ref, side.path.name, f"nobody here assigns keys of {self._main.path.name}: it waits to be taken in")

    # The lines of one document.

    def _edit(self, name: str, key: str, change: ListWrite) -> _Edit | None:
        """Return the edit of one list, checked and not yet made; None where a row to be changed is gone. Raises Refused."""
        lines = self._list.get(name)
        if lines is None:
            raise Refused(f"{name!r} is no list of {self._selection.stream}", name)
        return _Edit.of(lines, key, change, self._line_maker(lines))

    def _line_maker(self, lines: _Lines) -> Callable[[str], str]:
        stream, assigns = lines.child.stream, lines.sheet.layout.assigns
        if assigns == "nobody":

            def refuse(seed: str) -> str:
                raise Refused(f"nobody here assigns keys of {stream}: a line cannot be added", stream)

            return refuse
        if stream not in self._makers:
            greatest = max(lines.greatest, self._marker.counters.get(stream, -1))
            self._makers[stream] = KeyMaker(assigns, self._space(stream), greatest)
        maker = self._makers[stream]

        def new(seed: str) -> str:
            key = maker.new(seed)
            if not isinstance(assigns, ByUuid):
                self._marker.counters[stream] = maker.greatest
            return key

        return new

    # All of it at once.

    def commit(self) -> bool:
        """Replace the files that were edited; return False, with nothing replaced, where one of them was saved by others meanwhile."""
        sheets = [*(lines.sheet for lines in self._lines), self._main]
        if self._deletes:
            sheets.reverse()
        sides = [self._sides[name] for name in (*self._list, self._selection.stream) if name in self._sides]
        touched = [sheet for sheet in (*sheets, *sides) if sheet.is_touched]
        if not touched:
            return True
        temporaries: list[Temporary | Sheet] = []
        try:
            for sheet in touched:
                temporaries.append(sheet if sheet in sides and not sheet.has_rows() else sheet.temporary())
            if self._marker != self._noted:
                notes.save(self._folder, self._marker)
            if not (all(sheet.still_holds() for sheet in (*sheets, *sides)) and all(sheet.is_in_place() for sheet in (*sheets, *sides))):
                return False
            for sheet, one in zip(touched, temporaries, strict=True):
                if isinstance(one, Sheet):
                    one.remove()
                    continue
                one.place()
                if sheet is self._main and self.even is not None:
                    self.even = one.digest if sheet.keeps_even() else None
        finally:
            for one in temporaries:
                if isinstance(one, Temporary):
                    one.drop()
        for folder in {self._folder, *(one.target.parent for one in temporaries if isinstance(one, Temporary))}:
            sync_folder(folder)
        return True

    def date(self, outcomes: Sequence[Outcome]) -> None:
        """Tell, where it is asked, when the files were modified, now that they are in place."""
        if FILE_MTIME in self._selection.fields:
            with ExitStack() as stack:
                files = [OpenFile(file.path) for file in self._files()]
                for file in files:
                    stack.callback(file.close)
                for one in outcomes:
                    if isinstance(one, Applied) and one.fields:
                        one.fields[FILE_MTIME] = modified(files)


class _Edit:
    """An edit of one document's list that was found possible: rows to put, rows to drop, rows to add with their line ids and keys."""

    def __init__(self, lines: _Lines, document: str) -> None:
        self._lines = lines
        self._document = document
        self._puts: list[tuple[Row, list[str]]] = []
        self._drops: list[Row] = []
        self._adds: list[list[str]] = []
        self._keys: dict[str, str] = {}

    @classmethod
    def of(cls, lines: _Lines, document: str, change: ListWrite, new_key: Callable[[str], str]) -> _Edit | None:
        edit = cls(lines, document)
        standing = {row.cells[lines.key_at]: row for row in lines.of(document)}
        blank = [""] * len(lines.sheet.columns)

        def new(line_id: str, fields: Fields) -> tuple[str, list[str]]:
            lines.sheet.filled(blank, fields)
            key = new_key(f"{document}\0{line_id}")
            base = standing[key].cells if key in standing else blank
            return key, lines.sheet.filled(base, {**fields, lines.child.key: key, lines.child.parent: document})

        if change.replace:
            rows: list[list[str]] = []
            for line_id, fields in change.rows:
                key = cell_text(fields.get(lines.child.key))
                if key and key not in standing:
                    return None
                if key:
                    rows.append(lines.sheet.filled(standing[key].cells, fields))
                else:
                    edit._keys[line_id], cells = new(line_id, fields)
                    rows.append(cells)
            slots = list(standing.values())
            edit._puts = list(zip(slots, rows, strict=False))
            edit._drops = slots[len(rows) :]
            edit._adds = rows[len(slots) :]
            return edit
        if any(key not in standing for key in change.change):
            return None
        for key, fields in change.change.items():
            cells = lines.sheet.filled(standing[key].cells, fields)
            if cells[lines.key_at] != key or cells[lines.parent_at] != document:
                raise Refused("the key of a line and its document are not changed", lines.child.stream)
            edit._puts.append((standing[key], cells))
        edit._drops = [standing[key] for key in change.remove if key in standing]
        for line_id, fields in change.add.items():
            key, cells = new(line_id, fields)
            edit._keys[line_id] = key
            if key in standing:
                edit._puts.append((standing[key], cells))
            else:
                edit._adds.append(cells)
        return edit

    def apply(self) -> dict[str, str]:
        """Make the edit and return the keys of added rows by line id."""
        for row, cells in self._puts:
            self._lines.sheet.put(row, cells)
        for row in self._drops:
            self._lines.sheet.drop(row)
        for cells in self._adds:
            self._lines.add(self._document, cells)
        return self._keys


def _spoken_of(
    rows: Sequence[Sequence[str]],
    width: int,
    key_of: Callable[[Sequence[str]], str],
    keys: Container[str],
    reference_at: int | None,
    references: Container[str],
) -> list[int]:
    """Return the places of the rows that have one of the keys or references, and of those that cannot be read."""
    if set(map(len, rows)) != {width}:
        return list(range(len(rows)))
    if reference_at is None or not references:
        return [at for at, key in enumerate(map(key_of, rows)) if key in keys]
    return [at for at, cells in enumerate(rows) if key_of(cells) in keys or cells[reference_at] in references]


def _table(sheet: Sheet) -> Table:
    if sheet.table is None:
        raise InputError(f"{sheet.path.name} is not there.", way_out="Put the file there.")
    return sheet.table


def _agrees(expected: Any, cell: str) -> bool:
    return not isinstance(expected, (list, dict, float)) and cell_text(expected) == cell


def _list_has_moved(lines: _Lines, key: str, expected: Sequence[Mapping[str, Any]], change: ListWrite) -> bool:
    """Tell whether the rows that ``change`` touches (all, where it replaces) are others than expected.

    Where it adds, other rows than expected may be the very ones that it added before its answer was lost: then, too, it has moved.
    """
    at = lines.sheet.at
    key_name = lines.child.key
    standing = {row.cells[lines.key_at]: row.cells for row in lines.of(key)}
    known = {cell_text(row.get(key_name)): row for row in expected}
    if (change.replace and list(known) != list(standing)) or (change.add and known.keys() != standing.keys()):
        return True
    names: dict[str, Sequence[str]] = {line: list(fields) for line, fields in change.change.items()}
    names |= {line: list(known.get(line, ())) for line in (known if change.replace else change.remove)}
    for line, fields in names.items():
        if line not in known or line not in standing:
            continue
        if any(name in known[line] and name in at and not _agrees(known[line][name], standing[line][at[name]]) for name in fields):
            return True
    return False


def _rows_of(change: ListWrite) -> list[tuple[str, Fields]]:
    return [*change.rows, *change.add.items()]


def _as_whole(change: ListWrite) -> ListWrite:
    """A new document's list is its rows and nothing else: what an interrupted create left under its key is replaced."""
    return ListWrite(replace=True, rows=tuple(_rows_of(change)))


def _lay_out(sheet: Sheet, rows: list[Row], wanted: list[list[str]]) -> None:
    """Make ``rows`` of the sheet hold ``wanted``, in place as far as they go."""
    for row, cells in zip(rows, wanted, strict=False):
        sheet.put(row, cells)
    for row in rows[len(wanted) :]:
        sheet.drop(row)
    del rows[len(wanted) :]
    rows.extend(sheet.add(cells) for cells in wanted[len(rows) :])
