"""A drop folder: a stream that is fed by files which its system puts there, each with the records that have changed.

A file is read, and put into ``archive`` only when the store is known to hold what was read (``put_away``). The archive is the stream's log:
its files are numbered in the order in which they were taken, so that another flow, or a read from nowhere, reads them there. What cannot
be read as a table is told, and then set aside in ``broken``, with the reason in a text file beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from erpcrm_bridge.connector import Capabilities, Change, Found, Page, Problem, Question, Record, Selection
from erpcrm_bridge.errors import CursorExpired, InputError, SchemaDrift
from erpcrm_bridge.model.values import digest
from erpcrm_bridge_csv.files import OpenFile, clear, locked, replace_text, sync_folder, telling
from erpcrm_bridge_csv.finding import matches
from erpcrm_bridge_csv.reading import Pass
from erpcrm_bridge_csv.settings import Drop, Layout
from erpcrm_bridge_csv.shape import cell_text
from erpcrm_bridge_csv.table import Table

ARCHIVE, BROKEN = "archive", "broken"
_LONGEST_NAME = 200
_NO = {"", "0", "false", "no"}
_ARCHIVED = re.compile(r"(\d{6,})\.([0-9a-f]{32})\.(.+)", re.DOTALL)


class _Aside(Struct, frozen=True):
    """A file that is told of as broken: its name and digest, the name that it is to have among the broken ones, and why."""

    name: str
    digest: str
    target: str
    why: str


class _Cursor(Struct, frozen=True):
    """``upto`` is the number of the last archived file that was read, ``taken`` (name, digest) of those read that were not archived yet,
    ``aside`` those told of as broken that were not set aside yet."""

    shape: str
    upto: int = 0
    taken: list[tuple[str, str]] = []
    aside: list[_Aside] = []


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(_Cursor).decode


class _File(NamedTuple):
    """A file that was dropped; ``number`` is its place in the archive, None while it is not there."""

    path: Path
    name: str
    digest: str
    number: int | None


class DropFolder:
    """The folder of one stream."""

    def __init__(self, drop: Drop, layout: Layout, page_size: int, now_ns: Callable[[], int]) -> None:
        self._folder = drop.folder
        self._pattern = drop.files
        self._rest_ns = int(drop.rest * 1e9)
        self._deleted = drop.deleted
        self._layout = layout
        self._page_size = page_size
        self._now_ns = now_ns

    @property
    def capabilities(self) -> Capabilities:
        """What the stream offers: nothing is written there, and deletes are told where a column tells them."""
        deletes = self._deleted is not None
        return Capabilities(
            create=False,
            update=False,
            delete=False,
            reports_deletes=deletes,
            tells_gone=deletes,
            version_exact=True,
            window="nothing is written there",
        )

    def columns(self) -> list[str]:
        """Return the columns of the newest file that is one. Raises InputError where there is none yet."""
        for path in [*reversed(self._ready()), *(file.path for file in reversed(self._archived()))]:
            try:
                with closing(OpenFile(path)) as file:
                    return [column for column in Table(file, self._layout).columns if column]
            except InputError:
                continue
        raise InputError(
            f"No file {self._pattern} has come to {self._folder} yet.", way_out="Drop the first one; its header alone is enough."
        )

    def pages(self, selection: Selection, since: str | None) -> Iterator[Page]:
        """Yield what the files dropped since the cursor say; of a key that stands in several of them, the newest row.

        Only the last page's cursor is further on: what is newest is told first. Raises CursorExpired for a cursor that is not ours.
        """
        before = self._cursor(selection, since)
        self._put_away(before)
        upto, taken = before.upto, list(before.taken)
        backlog: list[_File] = []
        problems: list[Problem] = []
        archived = self._archived()
        for file in archived:
            if file.number is not None and file.number > upto:
                upto = file.number
                if (file.name, file.digest) in taken:
                    taken.remove((file.name, file.digest))
                else:
                    backlog.append(file)
        taken = [(name, said) for name, said in taken if (self._folder / name).exists()]
        aside = [one for one in before.aside if self._is_due(one)]
        for path in self._ready():
            with closing(OpenFile(path)) as opened:
                said = (path.name, opened.digest())
            if said in taken or said in {(one.name, one.digest) for one in aside}:
                continue
            again = [file for file in archived if (file.name, file.digest) == said]
            if not again:
                backlog.append(_File(path, *said, None))
            elif again[-1] is not archived[-1] or backlog:
                why = (
                    f"The very same file was taken in before (it is {ARCHIVE}/{again[-1].path.name}), and others after it: what it "
                    "says may be out of date."
                )
                problems.append(self._tell(aside, *said, why, "If it is meant, drop it under another name."))
                continue
            taken.append(said)
        unfinished, seen = _encode(before).decode(), set[int]()
        for file in reversed(backlog):
            yield from self._of(file, selection, unfinished, seen, problems, taken, aside)
        yield Page([], _encode(_Cursor(before.shape, upto, taken, aside)).decode(), problems=tuple(problems))

    def _of(
        self,
        file: _File,
        selection: Selection,
        cursor: str,
        seen: set[int],
        problems: list[Problem],
        taken: list[tuple[str, str]],
        aside: list[_Aside],
    ) -> Iterator[Page]:
        """Yield a file's pages, of keys not ``seen`` yet. Of one that is broken anywhere nothing is told but that."""
        with closing(OpenFile(file.path)) as bracket:
            try:
                with self._pass(file.path, selection) as source:
                    for _ in source.batches():
                        pass
            except (InputError, SchemaDrift) as error:
                if file.number is not None:  # it was good under the rules of its time
                    problems.append(Problem(f"{ARCHIVE}/{file.path.name}", None, f"it is not read again: {error.message}"))
                    return
                taken.remove((file.name, file.digest))
                if bracket.is_untouched() and bracket.is_in_place():
                    problems.append(self._tell(aside, file.name, file.digest, error.message, error.way_out))
                return
        own: set[int] = set()
        with self._pass(file.path, selection) as source:
            for changes, told, _ in source.batches():
                fresh = [
                    Change(change.key, self._present(change.record, selection))
                    for change in changes
                    if change.record is not None and hash(change.key) not in seen
                ]
                own.update(map(hash, changes.keys))
                own.update(hash(problem.key) for problem in told if problem.key)
                yield Page(fresh, cursor, problems=tuple(told))
        seen |= own

    def put_away(self, selection: Selection, cursor: str) -> None:
        """Archive the files that were read up to ``cursor``, and set the broken ones aside: the store holds what they said, or that they
        could not be read."""
        self._put_away(self._cursor(selection, cursor))

    def _put_away(self, cursor: _Cursor) -> None:
        self._set_aside([one for one in cursor.aside if self._is_due(one)])
        if not any((self._folder / name).exists() for name, _ in cursor.taken):
            return
        archive = self._subfolder(ARCHIVE)
        with locked(self._folder):
            archived = self._archived()
            number = max((file.number or 0 for file in archived), default=0)
            done = {(file.name, file.digest) for file in archived if file.number is not None and file.number > cursor.upto}
            there = [(self._folder / name, name, said) for name, said in cursor.taken if (name, said) not in done]
            for path, name, said in there:
                if path.exists():
                    with closing(OpenFile(path)) as opened:
                        same = opened.digest() == said
                    if same:  # else it is another one, which has not been read yet
                        number += 1
                        with telling(path, "archived"):
                            os.rename(path, archive / f"{number:06d}.{said}.{name}")
            sync_folder(archive)
            sync_folder(self._folder)

    def records(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        """Return, of the keys that any file has told of, the newest state."""
        found: dict[str, Record | None] = {}
        wanted = set(keys)
        for path, broken_is_told in self._newest_first():
            if not wanted:
                break
            try:
                with self._pass(path, selection) as source:
                    for changes, *_ in source.batches(wanted):
                        found.update(
                            (change.key, self._present(change.record, selection)) for change in changes if change.record is not None
                        )
            except (InputError, SchemaDrift):
                if not broken_is_told:
                    raise
            wanted -= found.keys()
        return [record for record in found.values() if record is not None]

    def find(self, selection: Selection, questions: Sequence[Question]) -> dict[str, Found]:
        """Return, by each question's ref, the keys of the records that hold its values in their newest state."""
        values = {question.ref: {name: cell_text(value) for name, value in question.fields.items()} for question in questions}
        candidates: dict[str, dict[str, None]] = {ref: {} for ref in values}
        for path, broken_is_told in self._newest_first():
            try:
                with closing(OpenFile(path)) as opened:
                    table = Table(opened, self._layout)
                    key = table.key(selection.key)
                    for ref, cells in matches(table, values):
                        candidates[ref][key.of(cells)] = None
            except (InputError, SchemaDrift):
                if not broken_is_told:
                    raise
        asked = msgspec.structs.replace(selection, fields=tuple(dict.fromkeys(name for one in values.values() for name in one)))
        now = {record.key: record for record in self.records(asked, list({key for keys in candidates.values() for key in keys if key}))}
        return {
            ref: Found(
                tuple(
                    key
                    for key in keys
                    if key in now and all(cell_text(now[key].fields[name]) == text for name, text in values[ref].items())
                )
            )
            for ref, keys in candidates.items()
        }

    def _newest_first(self) -> list[tuple[Path, bool]]:
        """The files that are there, and whether it will be told of each, or was, if it is broken."""
        return [*((path, True) for path in reversed(self._ready())), *((file.path, False) for file in reversed(self._archived()))]

    def _pass(self, path: Path, selection: Selection) -> Pass:
        if self._deleted is not None:
            selection = msgspec.structs.replace(selection, fields=tuple(dict.fromkeys((*selection.fields, self._deleted))))
        return Pass([path], selection, lambda _: self._layout, self._page_size)

    def _present(self, record: Record, selection: Selection) -> Record | None:
        """Return the record as it was asked for, or None where its row says that it is deleted."""
        if self._deleted is None:
            return record
        if str(record.fields[self._deleted] or "").strip().lower() not in _NO:
            return None
        if self._deleted not in selection.fields:
            del record.fields[self._deleted]
        return record

    def _ready(self) -> list[Path]:
        """The files that are at rest, oldest first. One of the same time as another comes in the order of their names."""
        found = []
        with telling(self._folder, "read"):
            for entry in os.scandir(self._folder):
                if fnmatch(entry.name, self._pattern) and _is_plain(entry.name) and entry.is_file(follow_symlinks=False):
                    stat = entry.stat(follow_symlinks=False)
                    if self._now_ns() - stat.st_ctime_ns >= self._rest_ns:
                        found.append((stat.st_mtime_ns, entry.name))
        return [self._folder / name for _, name in sorted(found)]

    def _archived(self) -> list[_File]:
        archive = self._folder / ARCHIVE
        if not archive.is_dir():
            return []
        with telling(archive, "read"):
            names = [match for name in os.listdir(archive) if (match := _ARCHIVED.fullmatch(name))]
        return sorted((_File(archive / one[0], one[3], one[2], int(one[1])) for one in names), key=lambda file: file.number or 0)

    def _tell(self, aside: list[_Aside], name: str, said: str, what: str, way_out: str) -> Problem:
        """Return the problem that tells of a broken file, and note that it is to be set aside when the store holds it."""
        target = self._free(name, {one.target for one in aside})
        aside.append(_Aside(name, said, target, f"{what}\n{way_out}"))
        return Problem(f"{BROKEN}/{target}", None, f"{what} {way_out}")

    def _free(self, name: str, used: set[str]) -> str:
        """Return a name that no file has among the broken ones, and none is about to have."""
        path, free, number = Path(name), name, 1
        while free in used or (self._folder / BROKEN / free).exists():
            number += 1
            free = f"{path.stem}.{number}{path.suffix}"
        return free

    def _set_aside(self, broken: Sequence[_Aside]) -> None:
        """Move files out of the way, each with the reason beside it."""
        if not broken:
            return
        place = self._subfolder(BROKEN)
        with locked(self._folder):
            clear(place)
            for one in filter(self._is_due, broken):
                path = self._folder / one.name
                with closing(OpenFile(path)) as opened:
                    same = opened.digest() == one.digest
                if same:  # else it is another one, which has not been read yet
                    replace_text(place / f"{one.target}.txt", f"{one.name} was not taken in.\n{one.why}\n")
                    with telling(path, "set aside"):
                        os.rename(path, place / one.target)
            sync_folder(place)
            sync_folder(self._folder)

    def _is_due(self, one: _Aside) -> bool:
        """Tell whether a file that was told of is still to be set aside: what has its name later is another one, and told anew."""
        return (self._folder / one.name).exists() and not (self._folder / BROKEN / one.target).exists()

    def _subfolder(self, name: str) -> Path:
        with telling(self._folder / name, "made"):
            (self._folder / name).mkdir(exist_ok=True)
        return self._folder / name

    def _cursor(self, selection: Selection, since: str | None) -> _Cursor:
        shape = digest([msgspec.to_builtins(selection), self._layout.delimiter, self._layout.quote, self._layout.encoding])
        if since is None:
            return _Cursor(shape)
        try:
            before = _decode(since)
        except msgspec.DecodeError:
            raise CursorExpired("This cursor was not made by the CSV connector.", way_out="The stream is read in full.") from None
        return before if before.shape == shape else _Cursor(shape)


def _is_plain(name: str) -> bool:
    """Tell whether a file of this name can be kept and told of: it is text, not hidden, and leaves room for what the archive adds."""
    try:
        return len(name.encode()) <= _LONGEST_NAME and not name.startswith(".")
    except UnicodeEncodeError:
        return False
