"""Reading: windows of whole seconds over the records' stamps, in the order of their ids; by key; by values.

A stamp is the begin of its transaction, told in whole seconds (protocol, 3.1): a record may appear under a stamp that was already read, so
each window begins one longest transaction before the last one ended. Within a window records come by id, which nobody changes: whatever
moves meanwhile is in the next window.
"""

from __future__ import annotations

import hashlib
from collections import deque
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
from erpcrm_bridge_odoo.models import LIST_FIELD, PARTNER, READ_THROUGH
from erpcrm_bridge_odoo.rpc import Server
from erpcrm_bridge_odoo.settings import OdooSettings
from erpcrm_bridge_odoo.shape import XMLID, Column, Shape, reader, to_write
from erpcrm_bridge_odoo.streams import Batch, Row

KEYS_AT_ONCE = 10_000
QUESTIONS_AT_ONCE = 100
_IN_THE_MAKING = 2
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


def source_of(server: Server, settings: OdooSettings, selection: Selection, shape: Callable[[str], Shape]) -> Source:
    """Return the source of a selection. Raises SchemaDrift where the system has not what it names, PermissionDenied where this user may
    not read it: the two look the same to a user without rights, and the message says both."""
    main = shape(selection.stream)
    _has_all(main, (name for name in selection.fields if name != XMLID))
    lists = []
    for child in selection.children:
        rows = shape(child.stream)
        _has_all(rows, (*child.fields, child.parent))
        lists.append(Rows(child, rows, _field_of(main, rows, child)))
    return Source(server, settings, selection, main, tuple(lists))


def _has_all(shape: Shape, names: Any) -> None:
    for name in names:
        if name not in shape.fields:
            raise SchemaDrift(
                f"{shape.spec.name} has no field {name} that this user may read.",
                way_out="Give the user's groups the right to it, or correct the mapping: `erpcrm-bridge mapping drift`.",
            )


def _field_of(main: Shape, rows: Shape, child: Child) -> Column | None:
    preferred = LIST_FIELD.get((main.model, child.stream))
    if preferred is not None and preferred in main.columns:
        return main.columns[preferred]
    fitting = (one for one in main.columns.values() if one.relation == rows.model and one.inverse == child.parent)
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
    """One page's worth: rows in the order of their ids, the last id, whether there are more, and the server's clock."""

    rows: list[Row]
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
    for lot, found in _ahead(lambda last: _lot(source, domain, last), lambda rows: records(source, rows), cursor.last):
        if began is None:
            began = _stamp(lot.clock - source.settings.overlap) if lot.clock is not None else newest
        changes = [Change(record.key, record) for record in found]
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


def _ahead(step: Callable[[int], _Lot], make: Callable[[list[Row]], list[Record]], last: int) -> Iterator[tuple[_Lot, list[Record]]]:
    """Yield lot after lot, with its records. Two of them are made into records while the next is asked for: making them takes calls too,
    so the server has work to do while we compute. A call that fails is told when what came before it was handed on."""
    with ThreadPoolExecutor(1, "odoo-ahead") as asking, ThreadPoolExecutor(_IN_THE_MAKING, "odoo-ahead-made") as making:
        coming: Future[_Lot] | None = asking.submit(step, last)
        made: deque[tuple[_Lot, Future[list[Record]]]] = deque()
        while coming is not None or made:
            while coming is not None and len(made) < _IN_THE_MAKING and not (made and coming.exception()):
                lot = coming.result()
                coming = asking.submit(step, lot.last) if lot.more else None
                made.append((lot, making.submit(make, lot.rows)))
            lot, records = made.popleft()
            yield lot, records.result()


def _lot(source: Source, domain: list[Any], last: int) -> _Lot:
    limit = source.settings.page
    rows, clock = source.server.timed(
        source.model,
        "search_read",
        domain=[["id", ">", last], *source.shape.spec.domain, *domain],
        fields=asked(source),
        order="id",
        limit=limit,
        load="",
    )
    return _Lot(rows, rows[-1]["id"] if rows else last, len(rows) == limit, clock)


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
    for name in source.shape.needs(source.selection.fields):
        column = source.shape.columns[name]
        if column.type == "many2one" and column.relation == PARTNER and column.stored:
            through.add(column.own)
    either: list[Any] = [["write_date", ">=", stamp], *([f"{path}.write_date", ">=", stamp] for path in sorted(through))]
    either += [["id", "in", ids] for ids in apart]
    return ["|"] * (len(either) - 1) + either


def _parents(source: Source, rows: Rows, stamp: str) -> list[int]:
    spec = rows.shape.spec
    names = (rows.child.parent,)
    domain = [["write_date", ">=", stamp], *spec.domain, *spec.rows]
    own = rows.shape.own(rows.shape.needs(names))
    told = rows.shape.renamed(source.server.call(spec.model, "search_read", domain=domain, fields=own, order="id", load=""))
    values = _values(Batch(source.server), rows.shape, names, told)
    return sorted({int(one[rows.child.parent]) for one in values if one[rows.child.parent] is not None})


# Records


def asked(source: Source) -> list[str]:
    """Return the columns, under their own names, that the selection's fields are made of."""
    return source.shape.own(dict.fromkeys((*source.shape.needs(source.selection.fields), "write_date")))


def records(source: Source, told: Sequence[Row]) -> list[Record]:
    """Return the records of rows as ``read`` gives them, with their external ids and lists. No rows, no calls."""
    if not told:
        return []
    rows = source.shape.renamed(told)
    ids = [row["id"] for row in rows]
    batch = Batch(source.server)
    names = source.selection.fields
    values = _values(batch, source.shape, names, rows)
    if XMLID in names:
        named = external.of_records(source.server, source.settings.module, source.shape.spec.name, source.model, ids)
        for one, row in zip(values, rows, strict=True):
            one[XMLID] = named.get(row["id"])
    for each in source.lists:
        by_parent = _list(batch, each, ids)
        for one, row in zip(values, rows, strict=True):
            one[each.child.stream] = by_parent.get(row["id"], [])
    return [Record(str(row["id"]), _version(row["write_date"], one), one) for one, row in zip(values, rows, strict=True)]


def _values(batch: Batch, shape: Shape, names: Sequence[str], rows: Sequence[Row]) -> list[Fields]:
    """Return the fields of rows, external ids left out; what is worked out is so for all rows at once."""
    plain = [(name, reader(shape.columns[name])) for name in names if name not in shape.derived and name not in (XMLID, "id")]
    values: list[Fields] = [{name: take(row[name]) for name, take in plain} for row in rows]
    for name in names:
        if name in shape.derived:
            for one, value in zip(values, shape.derived[name].of(batch, rows), strict=True):
                one[name] = value
        elif name == "id":
            for one, row in zip(values, rows, strict=True):
                one["id"] = str(row["id"])
    return values


def _version(stamp: Any, fields: Fields) -> str:
    """The stamp alone is equal for two states of one second: what is held, rows included, is part of the version."""
    return f"{stamp or ''} {hashlib.blake2b(pack(fields), digest_size=8).hexdigest()}"


def _list(batch: Batch, rows: Rows, parents: Sequence[int]) -> dict[int, list[Fields]]:
    """Return the rows of documents by the documents' ids, each with its key, in the order of their ids."""
    parent, spec = rows.child.parent, rows.shape.spec
    names = list(dict.fromkeys((*rows.child.fields, "id", parent)))
    own = rows.shape.own(dict.fromkeys((*rows.shape.needs(names), *(name for name in _RANKING if name in rows.shape.columns))))
    if spec.within is not None:
        inside = spec.within(batch, parents)
    else:
        inside = [[spec.paths.get(parent) or rows.shape.columns[parent].own, "in", list(parents)]]
    domain = [*inside, *spec.domain, *spec.rows]
    told = rows.shape.renamed(batch.server.call(spec.model, "search_read", domain=domain, fields=own, order="id", load=""))
    by_parent: dict[int, list[Fields]] = {}
    for row, fields in zip(told, _values(batch, rows.shape, names, told), strict=True):
        if fields[parent] is None:
            continue
        document = int(fields[parent])
        if "position" in names:
            row[_DOCUMENT] = document
        if parent not in rows.child.fields:
            del fields[parent]
        by_parent.setdefault(document, []).append(fields)
    if "position" in names:
        _rank(told, by_parent)
    return by_parent


_RANKING = ("sequence", "display_type")
_DOCUMENT = "$document"


def _rank(told: Sequence[Row], by_parent: Mapping[int, list[Fields]]) -> None:
    """Fill in the rank of each row in its document: its products first, then by sequence."""
    ordered = sorted(
        (row for row in told if _DOCUMENT in row),
        key=lambda row: (row.get("display_type") not in (None, False, "product"), row.get("sequence") or 0, row["id"]),
    )
    places: dict[str, int] = {}
    so_far: dict[int, int] = {}
    for row in ordered:
        so_far[row[_DOCUMENT]] = so_far.get(row[_DOCUMENT], 0) + 1
        places[str(row["id"])] = so_far[row[_DOCUMENT]]
    for rows in by_parent.values():
        for fields in rows:
            fields["position"] = places[fields["id"]]


def by_keys(source: Source, keys: Sequence[str]) -> list[Record]:
    """Return the records that exist. Raises PermissionDenied, naming them, where some may not be read: that is not to be gone."""
    found, hidden = told_apart(source, keys)
    if hidden:
        raise PermissionDenied(
            f"{source.model} {', '.join(map(str, hidden[:10]))} may not be read by {source.settings.user}.",
            way_out="Widen the record rules of the user's groups, or add the records' company to `companies`.",
            keys=[str(one) for one in hidden],
        )
    return found


def told_apart(source: Source, keys: Sequence[str]) -> tuple[list[Record], list[int]]:
    """Return the records that can be read, and the ids of those that exist and may not be read; what is in neither does not exist."""
    ids = list(dict.fromkeys(int(key) for key in keys if key.isascii() and key.isdigit()))
    found: list[Record] = []
    hidden: list[int] = []
    for start in range(0, len(ids), source.settings.page):
        some = ids[start : start + source.settings.page]
        if source.shape.spec.domain:  # a record that has left the stream is not there
            some = source.server.call(source.model, "search", domain=[["id", "in", some], *source.shape.spec.domain])
        try:
            rows = _read(source, some)
        except Fault as fault:
            if fault.known.reject != "permission":
                raise
            out_of_sight = _hidden(source, some)
            if not out_of_sight:  # it is no rule that hides records: a field, or the model, may not be read
                raise
            hidden += out_of_sight
            rows = _read(source, [one for one in some if one not in out_of_sight])
        found += records(source, rows)
    return found, hidden


def _read(source: Source, ids: list[int]) -> list[Row]:
    rows: list[Row] = source.server.call(source.model, "read", ids, fields=asked(source), load="") if ids else []
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
    domain = source.shape.spec.domain
    while True:
        ids = source.server.call(source.model, "search", domain=[["id", ">", last], *domain], order="id", limit=KEYS_AT_ONCE)
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
        named = external.records_named(
            source.server, source.settings.module, source.shape.spec.name, source.model, [str(q.fields[XMLID]) for q in questions]
        )
        return {q.ref: Found(tuple(str(one) for one in named.get(str(q.fields[XMLID]), ()))) for q in questions}
    _has_all(source.shape, names)
    domain: list[Any] = [*source.shape.spec.domain, *["|"] * (len(questions) - 1)]
    for question in questions:
        terms = [term for name in names for term in _term(source.shape, name, question.fields[name])]
        domain += ["&"] * (len(terms) - 1) + (terms or [["id", "!=", 0]])
    own = source.shape.own(source.shape.needs(names))
    rows = source.shape.renamed(source.server.call(source.model, "search_read", domain=domain, fields=own, order="id", load=""))
    held = list(zip(rows, _values(Batch(source.server), source.shape, names, rows), strict=True))
    return {q.ref: Found(tuple(str(row["id"]) for row, fields in held if _fits(fields, q.fields))) for q in questions}


def _term(shape: Shape, name: str, value: Any) -> list[Any]:
    """Return what a search can say of a field; of one that is worked out, nothing: its values are compared here."""
    column = shape.columns.get(name)
    if name == "id":
        return [["id", "=", int(value) if str(value).isdigit() else 0]]
    if name in shape.derived or column is None or not column.searchable:
        return []
    if column.type == "many2many":
        return [[column.own, "=", False]] if value is None else [[column.own, "in", [int(key) for key in str(value).split(",")]]]
    return [[column.own, "=", to_write(column, value)]]


def _fits(held: Fields, asked: Mapping[str, Any]) -> bool:
    return all(same(held[name], value) for name, value in asked.items())
