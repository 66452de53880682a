"""How cells become a record under one selection, and the version that stands for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import repeat
from operator import itemgetter
from typing import Any, TypeAlias

from xxhash import xxh3_64_hexdigest, xxh3_64_intdigest

from erpcrm_bridge.connector import Child, Record, Selection
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge_csv.files import OpenFile
from erpcrm_bridge_csv.table import CELL_END

FILE_MTIME = "$file_mtime"
Lists: TypeAlias = Sequence[Sequence[Sequence[str]]]
"""For each child stream in the selection's order, the rows of one document's lines, as cells."""


def modified(files: Iterable[OpenFile]) -> str:
    """Return when the last of the files was modified, as an instant."""
    at = datetime.fromtimestamp(max(file.stamp.modified for file in files) // 1_000 / 1e6, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def columns_of(fields: Iterable[str]) -> list[str]:
    """Return those of the fields that are columns."""
    return [name for name in fields if name != FILE_MTIME]


def cell_text(value: Any) -> str:
    """Return ``value`` as it stands in a cell. Raises ValueError (without the value) for what no cell can hold."""
    if value is None:
        return ""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a cell holds no NUL character")
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal) and value.is_finite() and -400 < value.adjusted() < 400:
        return format(value, "f")
    raise ValueError(f"a cell holds no {type(value).__name__}")


class Shape:
    """The records of one selection. ``columns`` are the header's, ``children`` the headers of the child streams by name.

    A version is a digest of every cell of the row and of its lines, and of the headers: equal versions mean equal records. ``modified`` is
    the instant that is told as the field ``$file_mtime``, which is none of the record's own.
    """

    def __init__(self, selection: Selection, columns: Sequence[str], children: Mapping[str, Sequence[str]], modified: str) -> None:
        self._fields = tuple(columns_of(selection.fields))
        self._more: Fields = {FILE_MTIME: modified} if FILE_MTIME in selection.fields else {}
        at = [columns.index(name) for name in self._fields]
        self._pick = None if at == list(range(len(columns))) else itemgetter(*at) if len(at) > 1 else lambda cells: [cells[i] for i in at]
        self._lists = [(child.stream, *_line_shape(child, children[child.stream])) for child in selection.children]
        headers = [list(columns), *(list(children[child.stream]) for child in selection.children)]
        self._seed = xxh3_64_intdigest("\0\0".join("\0".join(header) for header in headers).encode())

    def versions(self, rows: Sequence[str], lines: Sequence[Lists] = ()) -> list[str]:
        """Return the version of each row (its cells as one text, see ``Rows``) and, where there are child streams, of its lines."""
        texts = map(_text_of, rows, lines) if self._lists else rows
        return list(map(xxh3_64_hexdigest, map(str.encode, texts), repeat(self._seed)))

    def record(self, key: str, version: str, cells: Sequence[str], lines: Lists = ()) -> Record:
        """Return the record of a row and, for each child stream in the selection's order, the rows of its lines."""
        picked = cells if self._pick is None else self._pick(cells)
        fields: dict[str, Any] = dict(zip(self._fields, [cell or None for cell in picked] if "" in picked else picked, strict=False))
        if self._more:
            fields |= self._more
        for (stream, names, at), rows in zip(self._lists, lines, strict=True):
            fields[stream] = [dict(zip(names, [row[i] or None for i in at], strict=True)) for row in rows]
        return Record(key, version, fields)


def _text_of(row: str, lines: Lists) -> str:
    """Return what the version of a row with lines is a digest of."""
    parts = [row]
    for rows in lines:
        parts.append(str(len(rows)))
        parts.extend(CELL_END.join(line) for line in rows)
    return f"{CELL_END}{CELL_END}".join(parts)


def _line_shape(child: Child, columns: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    names = tuple(dict.fromkeys((child.key, *child.fields)))
    return names, [columns.index(name) for name in names]
