"""Reading: windows of whole seconds over the records' stamps, in the order of their ids; by key; by values.

A stamp is the begin of its transaction, told in whole seconds (protocol, 3.1): a record may appear under a stamp that was already read, so
each window begins one longest transaction before the last one ended. Within a window records come by id, which nobody changes: whatever
moves meanwhile is in the next window.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from erpcrm_bridge.connector import Change, Child, Found, Page, Question, Record, Selection
from erpcrm_bridge.errors import CursorExpired, PermissionDenied, SchemaDrift
from erpcrm_bridge.model.values import Fields, pack, same
from erpcrm_bridge_odoo import external
from erpcrm_bridge_odoo.answers import Fault
from erpcrm_bridge_odoo.models import CHILD_ROWS, LIST_FIELD, PARTNER, READ_THROUGH
from erpcrm_bridge_odoo.rpc import Server
from erpcrm_bridge_odoo.settings import OdooSettings
from erpcrm_bridge_odoo.shape import XMLID, Column, Shape, reader, to_write

Row = dict[str, Any]
KEYS_AT_ONCE = 10_000
QUESTIONS_AT_ONCE = 100
_BEGINNING = "1970-01-01 00:00:00"


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of the selection: the child, the shape of its stream, and the document's own field for it (None: it has none)."""

    child: Child
    shape: Shape
    field: Column | None


@dataclass(frozen=True, slots=True)
class Source:
    """What is read: a selection, over the shapes of its streams."""

    server: Server
    settings: OdooSettings
    selection: Selection
    shape: Shape
    lists: tuple[Rows, ...]

    @property
    def model(self) -> str:
        return self.shape.model

    @property
    def external_ids(self) -> bool:
        return XMLID in self.selection.fields or self.selection.external_id == XMLID


def source_of(server: Server, settings: OdooSettings, selection: Selection, shape: Callable[[str], Shape]) -> Source:
    """Return the source of a selection. Raises SchemaDrift where the system has not what it names, PermissionDenied where this user may
    not read it: the two look the same to a user without rights, and the message says both."""
    main = shape(selection.stream)
    _has_all(main, (name for name in selection.fields if name != XMLID))
    lists = []
    for child in selection.children:
        rows = shape(child.stream)
        _has_all(rows, (*child.fields, child.parent))
        lists.append(Rows(child, rows, _field_of(main, child)))
    return Source(server, settings, selection, main, tuple(lists))


def _has_all(shape: Shape, names: Any) -> None:
    for name in names:
        if name not in shape.columns:
            raise SchemaDrift(
                f"{shape.model} has no field {name} that this user may read.",
                way_out="Give the user's groups the right to it, or correct the mapping: `erpcrm-bridge mapping drift`.",
            )


def _field_of(main: Shape, child: Child) -> Column | None:
    preferred = LIST_FIELD.get((main.model, child.stream))
    if preferred is not None and preferred in main.columns:
        return main.columns[preferred]
    fitting = (one for one in main.columns.values() if one.relation == child.stream and one.inverse == child.parent)
    return next((one for one in fitting if one.type == "one2many"), None)


# Changes


@dataclass(frozen=True, slots=True)
class _Cursor:
    """``since`` is the begin of the window (None: the whole stream). In the middle of one ``began`` is where the next begins, and ``last``
    the id up to which this one was read."""

    stream: str
    since: str | None
    began: str | None = None
    last: int = 0

    def text(self) -> str:
        return msgspec.json.encode([self.stream, self.since, self.began, self.last]).decode()


def _cursor(text: str | None, stream: str) -> _Cursor:
    if text is None:
        return _Cursor(stream, None)
    try:
        cursor = _Cursor(*msgspec.json.decode(text, type=tuple[str, str | None, str | None, int]))
    except msgspec.MsgspecError:
        raise CursorExpired("This is no cursor of an Odoo stream.") from None
    if cursor.stream != stream:
        raise CursorExpired(f"This is no cursor of {stream}.")
    return cursor


@dataclass(frozen=True, slots=True)
class _Lot:
    """One page's worth: records in the order of their ids, the last id, whether there are more, and the server's clock."""

    records: list[Record]
    last: int
    more: bool
    clock: float | None


def pages(source: Source, since: str | None) -> Iterator[Page]:
    """Yield the pages of a window; first the rest of the one in whose middle ``since`` stands."""
    cursor = _cursor(since, source.selection.stream)
    if cursor.last:
        yield from _window(source, cursor)
        cursor = _Cursor(cursor.stream, cursor.began)
    yield from _window(source, cursor)


def _window(source: Source, cursor: _Cursor) -> Iterator[Page]:
    began = cursor.began
    newest = _newest(source) if began is None else ""
    domain = _moved_since(source, cursor.since) if cursor.since is not None else []
    for lot in _ahead(lambda last: _lot(source, domain, last), cursor.last):
        if began is None:
            began = _stamp(lot.clock - source.settings.overlap) if lot.clock is not None else newest
        changes = [Change(record.key, record) for record in lot.records]
        if lot.more:
            yield Page(changes, _Cursor(cursor.stream, cursor.since, began, lot.last).text())
        else:
            yield Page(changes, _Cursor(cursor.stream, began).text(), complete=cursor.since is None and not cursor.last)


def _newest(source: Source) -> str:
    """Return where the next window begins if the server tells no time: before the newest stamp there is."""
    rows = source.server.call(source.model, "search_read", domain=[], fields=["write_date"], order="write_date desc", limit=1)
    if not rows or not rows[0]["write_date"]:
        return _BEGINNING
    newest = datetime.strptime(rows[0]["write_date"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return _stamp(newest.timestamp() - source.settings.overlap)


def _stamp(unix: float) -> str:
    return datetime.fromtimestamp(max(unix, 0), UTC).strftime("%Y-%m-%d %H:%M:%S")


def _ahead(step: Callable[[int], _Lot], last: int) -> Iterator[_Lot]:
    """Yield lot after lot; while one is worked on, the next is fetched."""
    with ThreadPoolExecutor(1, "odoo-ahead") as pool:
        coming: Future[_Lot] | None = pool.submit(step, last)
        while coming is not None:
            lot = coming.result()
            coming = pool.submit(step, lot.last) if lot.more else None
            yield lot


def _lot(source: Source, domain: list[Any], last: int) -> _Lot:
    limit = source.settings.page
    rows, clock = source.server.timed(
        source.model,
        "search_read",
        domain=[["id", ">", last], *domain],
        fields=_asked(source),
        order="id",
        limit=limit,
        load="",
    )
    return _Lot(records(source, rows), rows[-1]["id"] if rows else last, len(rows) == limit, clock)


def _moved_since(source: Source, stamp: str) -> list[Any]:
    """Return the domain of records that moved since: by their own stamp, or by that of what they are read with."""
    through = set[str]()
    apart: list[list[int]] = []
    for rows in source.lists:
        if rows.field is not None:
            through.add(rows.field.own)
        else:
            apart.append(_parents(source, rows, stamp))
    for name in source.selection.fields:
        through.update(path for path in READ_THROUGH.get(source.model, {}).get(name, ()) if path in source.shape.columns)
        column = source.shape.columns.get(name)
        if column is not None and column.type == "many2one" and column.relation == PARTNER and column.stored:
            through.add(column.own)
    either: list[Any] = [["write_date", ">=", stamp], *([f"{path}.write_date", ">=", stamp] for path in sorted(through))]
    either += [["id", "in", ids] for ids in apart]
    return ["|"] * (len(either) - 1) + either


def _parents(source: Source, rows: Rows, stamp: str) -> list[int]:
    parent = rows.shape.columns[rows.child.parent].own
    told = source.server.call(rows.shape.model, "search_read", domain=[["write_date", ">=", stamp]], fields=[parent], order="id", load="")
    return sorted({row[parent] for row in told if row[parent]})


# Records


def _asked(source: Source) -> list[str]:
    names = [source.shape.columns[name].own for name in source.selection.fields if name != XMLID]
    return list(dict.fromkeys((*names, "write_date")))


def records(source: Source, rows: Sequence[Row]) -> list[Record]:
    """Return the records of rows as ``read`` gives them, with their external ids and lists. No rows, no calls."""
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    named = external.of_records(source.server, source.settings.module, source.model, ids) if source.external_ids else {}
    lists = {one.child.stream: _list(source.server, one, ids) for one in source.lists}
    columns = [(name, source.shape.columns[name]) for name in source.selection.fields if name != XMLID]
    takes = [(name, column.own, reader(column)) for name, column in columns]
    wants_name = XMLID in source.selection.fields
    found = []
    for row in rows:
        fields: Fields = {name: take(row[own]) for name, own, take in takes}
        if wants_name:
            fields[XMLID] = named.get(row["id"])
        for stream, by_parent in lists.items():
            fields[stream] = by_parent.get(row["id"], [])
        if source.selection.external_id == XMLID and not wants_name:
            fields[XMLID] = named.get(row["id"])
        found.append(Record(str(row["id"]), _version(row["write_date"], fields), fields))
    return found


def _version(stamp: Any, fields: Fields) -> str:
    """The stamp alone is equal for two states of one second: what is held, rows included, is part of the version."""
    return f"{stamp or ''} {hashlib.blake2b(pack(fields), digest_size=8).hexdigest()}"


def _list(server: Server, rows: Rows, parents: Sequence[int]) -> dict[int, list[Fields]]:
    parent = rows.shape.columns[rows.child.parent].own
    columns = [(name, rows.shape.columns[name]) for name in dict.fromkeys((*rows.child.fields, rows.child.key)) if name != "id"]
    takes = [(name, column.own, reader(column)) for name, column in columns]
    asked = list(dict.fromkeys((parent, *(own for _, own, _ in takes))))
    domain = [[parent, "in", list(parents)], *CHILD_ROWS.get(rows.shape.model, [])]
    by_parent: dict[int, list[Fields]] = {}
    for row in server.call(rows.shape.model, "search_read", domain=domain, fields=asked, order="id", load=""):
        fields: Fields = {name: take(row[own]) for name, own, take in takes}
        fields["id"] = str(row["id"])
        by_parent.setdefault(row[parent], []).append(fields)
    return by_parent


def by_keys(source: Source, keys: Sequence[str]) -> list[Record]:
    """Return the records that exist. Raises PermissionDenied, naming them, where some may not be read: that is not to be gone."""
    ids = list(dict.fromkeys(int(key) for key in keys if key.isascii() and key.isdigit()))
    found: list[Record] = []
    for start in range(0, len(ids), source.settings.page):
        found += records(source, _rows(source, ids[start : start + source.settings.page]))
    return found


def _rows(source: Source, ids: list[int]) -> list[Row]:
    asked = _asked(source)
    try:
        rows: list[Row] = source.server.call(source.model, "read", ids, fields=asked, load="")
    except Fault as fault:
        if fault.known.reject != "permission":
            raise
        hidden = _hidden(source, ids)
        raise PermissionDenied(
            f"{source.model} {', '.join(map(str, hidden[:10]))} may not be read by {source.settings.user}.",
            way_out="Widen the record rules of the user's groups, or add the records' company to `companies`.",
        ) from None
    return rows


def _hidden(source: Source, ids: list[int]) -> list[int]:
    """Return those of the ids that exist and may not be read: a search leaves them out, a read of them is refused."""
    seen = set(source.server.call(source.model, "search", domain=[["id", "in", ids]]))
    return [one for one in ids if one not in seen and _refused(source, one)]


def _refused(source: Source, one: int) -> bool:
    try:
        source.server.call(source.model, "read", [one], fields=["id"], load="")
    except Fault:
        return True
    return False


def keys(source: Source) -> Iterator[list[str]]:
    """Yield the ids of all records, by themselves."""
    last = 0
    while True:
        ids = source.server.call(source.model, "search", domain=[["id", ">", last]], order="id", limit=KEYS_AT_ONCE)
        yield [str(one) for one in ids]
        if len(ids) < KEYS_AT_ONCE:
            return
        last = ids[-1]


# By values


def find(source: Source, questions: Sequence[Question]) -> dict[str, Found]:
    """Answer each question from what the system holds now; questions over the same fields go in one call."""
    answers: dict[str, Found] = {}
    alike: dict[tuple[str, ...], list[Question]] = {}
    for question in questions:
        alike.setdefault(tuple(sorted(question.fields)), []).append(question)
    for names, asked in alike.items():
        for start in range(0, len(asked), QUESTIONS_AT_ONCE):
            answers |= _answers(source, names, asked[start : start + QUESTIONS_AT_ONCE])
    return answers


def _answers(source: Source, names: Sequence[str], questions: Sequence[Question]) -> dict[str, Found]:
    if tuple(names) == (XMLID,):
        named = external.records_named(source.server, source.settings.module, source.model, [str(q.fields[XMLID]) for q in questions])
        return {q.ref: Found(tuple(str(one) for one in named.get(str(q.fields[XMLID]), ()))) for q in questions}
    _has_all(source.shape, names)
    columns = [source.shape.columns[name] for name in names]
    domain: list[Any] = ["|"] * (len(questions) - 1)
    for question in questions:
        domain += ["&"] * (len(names) - 1)
        domain += [[column.own, "=", to_write(column, question.fields[column.name])] for column in columns]
    asked = [column.own for column in columns]
    rows = source.server.call(source.model, "search_read", domain=domain, fields=asked, order="id", load="")
    takes = [(column.name, column.own, reader(column)) for column in columns]
    held = [(str(row["id"]), {name: take(row[own]) for name, own, take in takes}) for row in rows]
    return {q.ref: Found(tuple(key for key, fields in held if _fits(fields, q.fields))) for q in questions}


def _fits(held: Fields, asked: Mapping[str, Any]) -> bool:
    return all(same(held[name], value) for name, value in asked.items())
