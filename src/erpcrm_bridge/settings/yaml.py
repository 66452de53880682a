"""Strict YAML: what stands there is what is meant.

Plain ``true``, ``false``, ``null`` (or nothing), whole numbers and numbers with a point (as Decimal) are resolved; every other scalar is
text: ``NO``, ``on``, ``~``, ``010``, ``1e5``, ``12:30`` and ``2026-05-01`` stay as they were typed. Anchors, aliases, tags, directives,
merge keys, duplicate keys and a second document are refused. All findings are reported together, each with its line and column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

import yaml

from erpcrm_bridge.errors import Complaint, ConfigError

Path: TypeAlias = tuple[str | int, ...]
Position: TypeAlias = tuple[int, int]

_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "": None}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,29})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,29})\.[0-9]{1,30}")
_MAX_DEPTH = 40
_MAX_FINDINGS = 100
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """A file as plain Python (dict, list, text, int, Decimal, bool, None) with the place of each part. Keys are text, int or bool."""

    file: str
    value: Any
    _keys: dict[Path, Position] = field(repr=False)
    _values: dict[Path, Position] = field(repr=False)

    def at(self, path: Path) -> Position:
        """Return line and column, from 1, of the key (or list item) at ``path``; of the nearest part above it that exists otherwise."""
        return self._nearest(self._keys, path)

    def at_value(self, path: Path) -> Position:
        """Return line and column, from 1, of the value at ``path``; of the nearest part above it that exists otherwise."""
        return self._nearest(self._values, path)

    def complaint(self, path: Path, what: str, way_out: str = "") -> Complaint:
        """Return a complaint that points at the key at ``path``."""
        return Complaint(self.file, *self.at(path), what, way_out)

    @staticmethod
    def _nearest(places: dict[Path, Position], path: Path) -> Position:
        while path and path not in places:
            path = path[:-1]
        return places.get(path, (1, 1))


def read_yaml(text: str, file: str) -> Document:
    """Return the document in ``text``; ``file`` is its name in complaints. Raises ConfigError with every finding."""
    reader = _Reader(file)
    value = None
    try:
        value = reader.read(text)
    except _Enough:
        pass
    except UnicodeEncodeError:
        reader.complaints.append(Complaint(file, 0, 0, "half a character (a lone surrogate) stands in it", "save it as UTF-8"))
    except yaml.YAMLError as error:
        reader.complain_of(error)
    if reader.complaints:
        raise ConfigError(f"{file} cannot be read.", complaints=reader.complaints)
    return Document(file, value, reader.keys, reader.values)


class _Enough(Exception):
    """There is no sense in reading on: what follows is as wrong as what came before, and may be endless."""


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.complaints: list[Complaint] = []
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self._events: Iterator[Any] = iter(())
        self._text = ""

    def read(self, text: str) -> Any:
        self._text = text.removeprefix("\ufeff")
        self._events = iter(yaml.parse(self._text, Loader=_LOADER))
        next(self._events)
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            return None
        if start.version or start.tags:
            self._refuse(start, "YAML directives are not read here", "remove the line that begins with %")
        value = self._node(next(self._events), (), 0)
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._refuse(after, "a file holds one document", "put what follows --- into a file of its own")
        return value

    def complain_of(self, error: yaml.YAMLError) -> None:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else self._line_of(getattr(error, "position", None))
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
        self.complaints.append(Complaint(self.file, line, column, f"not YAML: {what}", _way_out(str(what))))

    def _line_of(self, position: int | None) -> Position:
        if position is None:
            return 0, 0
        before = self._text.encode()[:position].decode(errors="replace") if _LOADER is not yaml.SafeLoader else self._text[:position]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1

    def _refuse(self, event: Any, what: str, way_out: str) -> None:
        self.complaints.append(Complaint(self.file, *_place(event), what, way_out))
        if len(self.complaints) >= _MAX_FINDINGS:
            raise _Enough

    def _node(self, event: Any, path: Path, depth: int) -> Any:
        self.values[path] = _place(event)
        self.keys.setdefault(path, self.values[path])
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"aliases (*{event.anchor}) are not read here", "write the value out, or quote the text")
            return None
        if event.anchor is not None:
            self._refuse(event, f"anchors (&{event.anchor}) are not read here", "write the value out, or quote the text")
        if event.tag is not None:
            self._refuse(event, f"tags ({event.tag}) are not read here", "remove the tag, or quote the text")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if depth >= _MAX_DEPTH:
            self._refuse(event, f"nested more than {_MAX_DEPTH} deep", "nothing here needs that")
            raise _Enough
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._mapping(path, depth)

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[Any, Any]:
        entries: dict[Any, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path, depth)
            below = (*path, key)
            if key in entries:
                first = self.keys[below]
                self._refuse(event, f"the key {_shown(key)} stands here twice", f"the first is at line {first[0]}; remove one")
                below = (*path, _Again())
            self.keys[below] = _place(event)
            value = self._node(next(self._events), below, depth + 1)
            entries.setdefault(key, value)
        return entries

    def _key(self, event: Any, path: Path, depth: int) -> Any:
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(event, "a key is one word or text", "quote it")
            self._node(event, (*path, _Again()), depth + 1)
            return _Again()
        key = self._node(event, (*path, _Again()), depth + 1)
        if key is None or isinstance(key, Decimal):
            self._refuse(event, f"{event.value or 'nothing'} cannot be a key", "quote it")
            return _Again()
        if key == "<<" and event.implicit[0]:
            self._refuse(event, "merge keys (<<) are not read here", "write the entries out")
        return key


class _Again(str):
    """Stands in a path for a key that was refused; equal to nothing but itself."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def _scalar(event: Any) -> Any:
    text: str = event.value
    if not event.implicit[0] or event.style:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    return text


def _place(event: Any) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _shown(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _way_out(problem: str) -> str:
    if "cannot start any token" in problem:
        return "indent with spaces, not tabs; quote text that begins with @, ` or %"
    if "mapping values are not allowed" in problem:
        return "quote text that holds a colon, and check the indentation"
    return "check quotes, brackets and indentation around this place"
