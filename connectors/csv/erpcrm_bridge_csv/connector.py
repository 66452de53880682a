"""The CSV connector: a folder of files is a system, each file a stream."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import ClassVar

from erpcrm_bridge.connector import (
    Budget,
    Capabilities,
    Connector,
    Description,
    Field,
    Found,
    LeftOut,
    Outcome,
    Page,
    Question,
    Record,
    Rejected,
    Selection,
    Stream,
    Write,
)
from erpcrm_bridge.errors import ConfigError, InputError, PermissionDenied
from erpcrm_bridge_csv import reading, writing
from erpcrm_bridge_csv.drop import DropFolder
from erpcrm_bridge_csv.files import OpenFile, telling
from erpcrm_bridge_csv.finding import answers
from erpcrm_bridge_csv.marker import identity_of
from erpcrm_bridge_csv.settings import CsvSettings, Layout, is_stream, layout_of
from erpcrm_bridge_csv.shape import FILE_MTIME
from erpcrm_bridge_csv.table import Table

CAPABILITIES = Capabilities(
    incremental="full",
    lists_keys=True,
    tells_gone=True,
    upsert=True,
    needs_reference=True,
    find=True,
    version_exact=True,
    max_batch=50_000,
    window="between the last look at the file and the rename that replaces it: milliseconds",
)


class CsvConnector:
    """The five verbs over a folder. ``now_ns`` is the clock that file times are held against (Unix ns), ``page_size`` counts records."""

    def __init__(self, settings: CsvSettings, *, now_ns: Callable[[], int] = time.time_ns, page_size: int = 10_000) -> None:
        self._settings = settings
        self._folder = settings.folder
        self._now_ns = now_ns
        self._page_size = page_size
        self._even: dict[str, str | None] = {}
        """By name, the digests of files as they were last read or written, and known to be even (see ``Table``)."""

    def describe(self) -> Description:
        """Say which files there are, and their columns. The first describe of a folder without a declared identity gives it one.

        A file that cannot be read as a table is left out, with the reason; the others go on.
        """
        if not os.path.isdir(self._folder):  # unlike Path.is_dir it takes a name too long for a path
            raise InputError(f"There is no folder {self._folder}.", way_out="Make it, or correct `folder` in the connection's settings.")
        with telling(self._folder, "read"):
            names = sorted(name for name in os.listdir(self._folder) if is_stream(name) and os.path.isfile(self._folder / name))
        dropped = [name for name, own in self._settings.streams.items() if own.drop is not None]
        for name in self._settings.streams:
            if name in dropped and name in names:
                raise ConfigError(
                    f"{name} is a file of {self._folder} and a drop folder.", way_out="Give the stream of the drop folder another name."
                )
            if name not in (*names, *dropped):
                raise InputError(
                    f"{name} is not in {self._folder}.", way_out="Put the file there, or take it out of `streams` in the settings."
                )
        streams: dict[str, Stream] = {}
        left_out: dict[str, LeftOut] = {}
        for name in sorted((*names, *dropped)):
            try:
                streams[name] = self._stream(name)
            except (InputError, PermissionDenied) as error:
                left_out[name] = LeftOut(error.message, error.way_out)
        return Description(identity_of(self._folder, self._settings.identity), streams, left_out=left_out)

    def _stream(self, name: str) -> Stream:
        layout, drop = self._layout(name), self._drop(name)
        if drop is not None:
            columns = drop.columns()
        else:
            with closing(OpenFile(self._folder / name)) as file:
                columns = [column for column in Table(file, layout).columns if column]
        missing = [column for column in (layout.key, *layout.natural) if column and column not in columns]
        if layout.declared_key and missing:
            raise ConfigError(
                f"{name} has no column {missing[0]!r}, which the settings declare as its key.",
                way_out=f"Set streams.{name}.key to a column.",
            )
        fields = {column: _field(column, layout) for column in columns}
        fields[FILE_MTIME] = Field(FILE_MTIME, type="instant", nullable=False, creatable=False, updatable=False)
        return Stream(name, fields, CAPABILITIES if drop is None else drop.capabilities, natural=layout.natural)

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        drop = self._drop_of(selection)
        if drop is not None:
            yield from drop.pages(selection, since)
            return
        with self._pass(selection) as source:
            yield from reading.pages(source, since, now_ns=self._now_ns)
            if source.table.is_even:
                self._even[selection.stream] = source.table.file.digest()

    def put_away(self, selection: Selection, cursor: str) -> None:
        drop = self._drop_of(selection)
        if drop is not None:
            drop.put_away(selection, cursor)

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        drop = self._drop_of(selection)
        if drop is not None:
            return drop.records(selection, keys)
        with self._pass(selection) as source:
            return reading.records_of(source, keys)

    def keys(self, selection: Selection) -> Iterator[list[str]]:
        with self._pass(selection) as source:
            yield from reading.keys_of(source)

    def find(self, selection: Selection, questions: Sequence[Question]) -> dict[str, Found]:
        drop = self._drop_of(selection)
        if drop is not None:
            return drop.find(selection, questions)
        return answers(self._folder, selection, self._layouts(selection), questions)

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        if self._drop_of(selection) is not None:
            return [Rejected(one.ref, "permission", f"nothing is written to {selection.stream}: its system drops it") for one in writes]
        identity = identity_of(self._folder, self._settings.identity)
        layouts, stream = self._layouts(selection), selection.stream
        outcomes, self._even[stream] = writing.write(self._folder, identity, selection, layouts, writes, self._even.get(stream))
        return outcomes

    def close(self) -> None:
        """Nothing is held between calls."""

    def _pass(self, selection: Selection) -> reading.Pass:
        paths = [self._folder / name for name in (selection.stream, *(child.stream for child in selection.children))]
        return reading.Pass(paths, selection, self._layouts(selection), self._page_size)

    def _drop(self, name: str) -> DropFolder | None:
        own = self._settings.streams.get(name)
        if own is None or own.drop is None:
            return None
        return DropFolder(own.drop, self._layout(name), self._page_size, self._now_ns)

    def _drop_of(self, selection: Selection) -> DropFolder | None:
        drop = self._drop(selection.stream)
        if drop is not None and selection.children:
            raise ConfigError(
                f"{selection.stream} is a drop folder: its records come without lines.", way_out="Map its lists without a file."
            )
        if drop is not None:
            self._layouts(selection)
        return drop

    def _layout(self, name: str) -> Layout:
        return layout_of(self._settings, name)

    def _layouts(self, selection: Selection) -> Callable[[str], Layout]:
        """Return the layouts of the files of a selection. Raises ConfigError where settings and mapping say different things of them."""
        layouts = {child.stream: self._layout(child.stream) for child in selection.children}
        layouts[selection.stream] = layout_of(self._settings, selection.stream, selection.assigns_keys)
        for stream, key in ((selection.stream, selection.key), *((child.stream, child.key) for child in selection.children)):
            layout = layouts[stream]
            if (layout.declared_key and layout.key != (key or None)) or not (key or layout.natural):
                raise ConfigError(
                    f"The key of {stream} is {layout.key or ' + '.join(layout.natural)!r} in the settings and {key!r} in the mapping.",
                    way_out="Let both name the same column.",
                )
        if layouts[selection.stream].natural and selection.children:
            raise ConfigError(
                f"{selection.stream} has a key of several columns, which no line can name in one.", way_out="Map its lists without a file."
            )
        return layouts.__getitem__


def _field(column: str, layout: Layout) -> Field:
    if column == layout.key:
        return Field(column, nullable=False, creatable=False, updatable=False)
    if column in layout.natural:
        return Field(column, nullable=False, updatable=False)
    if layout.parent is not None and column == layout.parent.field:
        return Field(column, type="reference", references=(layout.parent.stream,))
    return Field(column)


class CsvFactory:
    """Opens folders of CSV files."""

    name: ClassVar[str] = "csv"
    settings: ClassVar[type[CsvSettings]] = CsvSettings

    def open(self, settings: CsvSettings, *, budget: Budget, codes: Mapping[str, Mapping[str, str]]) -> Connector:
        """Return a connector that has not looked at its folder yet. Files have no calls to count and no code tables of their own."""
        return CsvConnector(settings)
