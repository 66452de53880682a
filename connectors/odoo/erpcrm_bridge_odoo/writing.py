"""Writing: creates through ``load`` under external ids, updates by id, moves by the calls that Odoo has for them, deletes by ``unlink``.

Odoo has no conditional write: the records are read in the call before, and what is no longer as a write expects is Stale. Each call is
carried out whole or not at all; one that is refused is taken apart until the record at fault stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from erpcrm_bridge.connector import Applied, ListWrite, Outcome, Record, Rejected, Stale, Unknown, Write
from erpcrm_bridge.errors import TransientError, UsageError
from erpcrm_bridge.model.expectation import as_expected
from erpcrm_bridge.model.values import Fields, pack, same
from erpcrm_bridge.transport import AnswerLost
from erpcrm_bridge_odoo import applying, external, moving
from erpcrm_bridge_odoo.answers import Fault, look_up
from erpcrm_bridge_odoo.models import CLOSED_KEEPS, KEPT, POSTED_KEEPS
from erpcrm_bridge_odoo.reading import Rows, Source, told_apart
from erpcrm_bridge_odoo.shape import XMLID, Shape, load_header, to_load, to_write
from erpcrm_bridge_odoo.streams import Batch, Putting, Refused, Row

Values = dict[str, Any]
QUIET = {"tracking_disable": True, "mail_create_nolog": True, "mail_create_nosubscribe": True, "mail_notrack": True}
SAVES_MANY_SINCE = 19


def write(source: Source, writes: Sequence[Write]) -> list[Outcome]:
    """Carry out writes of one operation; return one outcome each."""
    if len(writes) > source.settings.batch or len({one.operation for one in writes}) > 1:
        raise UsageError(f"At most {source.settings.batch} writes of one operation go in one call.")
    if not source.shape.spec.writable:
        return [Rejected(one.ref, "permission", f"nothing is written to {source.selection.stream}") for one in writes]
    work = {"create": _create, "update": _update, "move": _move, "delete": _delete}[writes[0].operation]
    told = _Told(source)
    work(told, writes)
    return told.outcomes(writes)


class _Told:
    """The outcomes so far, by ref. ``done`` holds the keys of writes that were carried out and are read back at the end."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.batch = Batch(source.server)
        self.done: dict[str, str] = {}
        self.before: dict[str, Record] = {}
        self._outcomes: dict[str, Outcome] = {}

    def say(self, outcome: Outcome) -> None:
        self._outcomes[outcome.ref] = outcome

    def refuse(self, write: Write, fault: Fault, shape: Shape) -> None:
        field = fault.field
        if field is None and fault.name.endswith("KeyError"):
            field = fault.message.strip("'\"")
        own = {column.own: name for name, column in shape.columns.items()}
        self.say(Rejected(write.ref, fault.known.reject, fault.message.strip(), own.get(field or "", field)))

    def attempt(self, writes: Sequence[Write], act: Callable[[], None]) -> bool:
        """Act; where the answer is lost, or nothing more can be done while something was, say Unknown. Raises a fault, and what kept the
        first call of all from being carried out."""
        try:
            act()
        except AnswerLost as error:
            self._unknown(writes, error.message)
            return False
        except TransientError as error:
            if not self.done:
                raise
            self._unknown(writes, error.message)
            return False
        return True

    def _unknown(self, writes: Sequence[Write], reason: str) -> None:
        for one in writes:
            if one.ref not in self.done:
                self.say(Unknown(one.ref, reason))

    def outcomes(self, writes: Sequence[Write]) -> list[Outcome]:
        """Return the outcomes in the order of the writes; what was carried out is told as it is held now (L1)."""
        present: dict[str, Record] = {}
        if self.done:
            try:
                found, _ = told_apart(self.source, sorted(set(self.done.values()), key=int))  # what one made may be hidden from it
                present = {record.key: record for record in found}
            except TransientError:
                present = {}
        lines = _line_keys(self, [one for one in writes if one.ref in self.done], present)
        for one in writes:
            if one.ref in self.done and one.ref not in self._outcomes:
                record = present.get(self.done[one.ref])
                keys = lines.get(one.ref)
                if record is None or keys is None:
                    self.say(Unknown(one.ref, "it was carried out, and could not be read back as it was then"))
                else:
                    self.say(Applied(one.ref, record.key, record.version, record.fields, keys))
        return [self._outcomes[one.ref] for one in writes]


# Values


def _outgoing(told: _Told, shape: Shape, fields: Fields, found: Mapping[str, Mapping[Any, Any]], *, create: bool) -> Values:
    """Return the columns to write, in external form. Raises Refused for a field that cannot be written so."""
    values: Values = dict(shape.spec.fixed) if create else {}
    for name, value in fields.items():
        if name == XMLID or (name == "id" and create):
            continue
        if name in shape.moves:
            if not create:
                raise _NotWritable(name, f"{name} is changed by its moves, not written")
            continue
        derived = shape.derived.get(name)
        if derived is not None:
            if derived.put is None:
                raise _NotWritable(name, f"{name} is worked out by Odoo")
            try:
                values.update(derived.put(Putting(value, found.get(name, {}).get(value), fields)))
            except Refused as refused:
                raise _NotWritable(name, refused.reason, refused.reject) from None
        elif name in shape.columns:
            values[name] = value
        else:
            raise _NotWritable(name, f"{shape.spec.name} has no field {name}")
    return {name: value for name, value in values.items() if name in shape.columns}


class _NotWritable(Exception):
    def __init__(self, field: str, reason: str, reject: Any = "field") -> None:
        super().__init__(reason)
        self.field, self.reason, self.reject = field, reason, reject


def _converted(shape: Shape, values: Values, convert: Callable[..., Any]) -> Values:
    converted: Values = {}
    for name, value in values.items():
        try:
            converted[name] = convert(shape.columns[name], value) if name in shape.columns else value
        except (ValueError, TypeError):
            kind = "reference" if shape.columns[name].relation else "field"
            raise _NotWritable(name, f"{name} cannot hold this value", kind) from None
    return converted


def _looked_up(told: _Told, shape: Shape, fields: Sequence[Fields]) -> dict[str, Mapping[Any, Any]]:
    """Look up what the values of derived fields stand for, all writes at once."""
    found: dict[str, Mapping[Any, Any]] = {}
    for name, derived in shape.derived.items():
        values = {one[name] for one in fields if one.get(name) is not None}
        if derived.look_up is not None and values:
            found[name] = derived.look_up(told.batch, values)
    return found


def _context(source: Source, **more: Any) -> dict[str, Any]:
    return {**({} if source.settings.tracking else QUIET), **more}


# Creates


class _New:
    """A create as ``load`` takes it: the cells of its first row, and of the rows of each of its lists."""

    def __init__(self, write: Write, cells: dict[str, str], rows: list[dict[str, str]], blanks: Values) -> None:
        self.write = write
        self.cells = cells
        self.rows = rows
        self.blanks = blanks

    @property
    def headers(self) -> tuple[str, ...]:
        return (*sorted(self.cells), *sorted({name for row in self.rows for name in row}))


def _create(told: _Told, writes: Sequence[Write]) -> None:
    source = told.source
    shape = source.shape
    spec = shape.spec
    references = [one.reference for one in writes if one.reference is not None]
    known = external.records_named(source.server, source.settings.module, spec.name, spec.model, references) if references else {}
    found = _looked_up(told, shape, [one.fields for one in writes])
    in_rows = {rows.child.stream: _looked_up(told, rows.shape, _new_rows(writes, rows)) for rows in source.lists}
    alike: dict[tuple[str, ...], list[_New]] = {}
    for one in writes:
        if one.reference is not None and one.reference in known:  # it was created before, under this reference
            told.done[one.ref] = str(known[one.reference][0])
            continue
        try:
            new = _new(told, one, found, in_rows)
        except _NotWritable as refused:
            told.say(Rejected(one.ref, refused.reject, refused.reason, refused.field))
            continue
        alike.setdefault(new.headers, []).append(new)
    for headers, news in alike.items():
        _load(told, headers, news)
    for one in writes:
        if one.ref in told.done and one.reference not in known:
            _rows_apart(told, one)


def _new_rows(writes: Sequence[Write], rows: Rows) -> list[Fields]:
    said = [one.lists[rows.child.stream] for one in writes if rows.child.stream in one.lists]
    return [fields for one in said for fields in (*one.add.values(), *one.change.values(), *(fields for _, fields in one.rows))]


def _new(told: _Told, write: Write, found: Mapping[str, Any], in_rows: Mapping[str, Mapping[str, Any]]) -> _New:
    source, shape = told.source, told.source.shape
    values = _outgoing(told, shape, write.fields, found, create=True)
    cells = {
        load_header(shape.columns[name]) if name in shape.columns else name: cell
        for name, cell in _converted(shape, values, to_load).items()
    }
    blanks = {name: value for name, value in values.items() if value == ""}
    if write.reference is not None:
        cells["id"] = f"{source.settings.module}.{external.name_of(shape.spec.name, write.reference)}"
    rows: list[dict[str, str]] = []
    for stream, said in write.lists.items():
        if _is_apart(source, stream):
            _may_follow(told, stream, said)
            continue
        each, list_field = _rows_of(source, stream)
        lines = list(said.rows) if said.replace else list(said.add.items())
        for number, (line, fields) in enumerate(lines):
            out = _converted(each.shape, _outgoing(told, each.shape, fields, in_rows[stream], create=True), to_load)
            row = {f"{list_field}/{load_header(each.shape.columns[name])}": cell for name, cell in out.items()}
            if write.reference is not None:
                row[f"{list_field}/id"] = f"{source.settings.module}.{_line_name(each, write.reference, line)}"
            if number == len(rows):
                rows.append({})
            rows[number] |= row
    return _New(write, cells, rows, blanks)


def _line_name(rows: Rows, reference: str, line: str) -> str:
    return external.name_of(rows.shape.spec.name, f"{reference}__{line}")


def _rows_of(source: Source, stream: str) -> tuple[Rows, str]:
    """Return a list and what its document calls it. Raises for one that is only read."""
    for each in source.lists:
        if each.child.stream == stream and each.field is not None:
            return each, each.field.own
    raise _NotWritable(stream, f"{source.selection.stream} has no list {stream} that could be written")


def _load(told: _Told, headers: Sequence[str], news: list[_New]) -> None:
    """Load records until what is left of them is taken: ``load`` keeps all or none, and names the ones at fault."""
    source = told.source
    left = list(news)
    while left:
        answer: dict[str, Any] = {}

        def act(left: Sequence[_New] = left, answer: dict[str, Any] = answer) -> None:
            cells = [row for new in left for row in _matrix(headers, new)]
            context = _context(source, module=source.settings.module)
            answer.update(
                source.server.call(
                    source.model,
                    "load",
                    lane="write",
                    again=False,
                    context=context,
                    check=_asks_again,
                    fields=list(headers),
                    data=cells,
                )
            )

        try:
            if not told.attempt([new.write for new in left], act):
                return
        except Fault as fault:
            if len(left) == 1:
                told.refuse(left[0].write, fault, source.shape)
                return
            _load(told, headers, left[: len(left) // 2])
            left = left[len(left) // 2 :]
            continue
        errors = [message for message in answer["messages"] if message.get("type") == "error"]
        if answer["ids"] and not errors:
            for new, one in zip(left, answer["ids"], strict=True):
                told.done[new.write.ref] = str(one)
            _keep_blank_texts(told, left)
            return
        at_fault: dict[int, Any] = {}
        for message in errors:
            if isinstance(message.get("record"), int) and message["record"] >= 0:
                at_fault.setdefault(message["record"], message)
        if not at_fault and len(left) > 1:
            _load(told, headers, left[: len(left) // 2])
            left = left[len(left) // 2 :]
            continue
        for number, new in enumerate(left):
            if number in at_fault or len(left) == 1:
                _refuse_loaded(told, new.write, at_fault.get(number) or errors[0] if errors else {"message": "Odoo does not say why"})
        left = [new for number, new in enumerate(left) if number not in at_fault] if len(left) > 1 else []


def _matrix(headers: Sequence[str], new: _New) -> list[list[str]]:
    first = {**new.cells, **(new.rows[0] if new.rows else {})}
    return [[row.get(name, "") for name in headers] for row in (first, *new.rows[1:])]


def _asks_again(answer: Any) -> None:
    """19 tells a conflict between two loads as a message (observed): nothing was done."""
    for message in answer.get("messages", ()):
        if look_up("load", str(message.get("message", "")), 200)[0].error is TransientError:
            raise TransientError("Somebody else loaded the same records at this moment.")


def _refuse_loaded(told: _Told, write: Write, message: Mapping[str, Any]) -> None:
    text = str(message.get("message", "")).strip()
    known, _ = look_up("load", text, 200)
    shape = told.source.shape
    said = str(message.get("field") or "").split("/")
    own = {column.own: name for name, column in shape.columns.items()}
    field = own.get(said[0], said[0] or None)
    reject = known.reject
    if field is not None and reject == "record":  # in another language than English only the field tells what it is about
        reject = "reference" if field in shape.columns and shape.columns[field].type == "many2one" else "field"
    told.say(Rejected(write.ref, reject, text, field))


def _keep_blank_texts(told: _Told, news: Sequence[_New]) -> None:
    """``load`` takes an empty cell for "none": texts that are blank, and not none, are written afterwards."""
    source = told.source
    for new in news:
        if new.blanks:
            texts = [name for name in new.blanks if source.shape.columns[name].type in ("char", "text", "html")]
            values = {source.shape.columns[name].own: "" for name in texts}
            told.attempt([], lambda new=new, values=values: _call_write(source, [int(told.done[new.write.ref])], values))  # type: ignore[misc]  # bound at once


# Updates


def _update(told: _Told, writes: Sequence[Write]) -> None:
    source = told.source
    live = _as_expected(told, writes)
    found = _looked_up(told, source.shape, [one.fields for one in live])
    in_rows = {rows.child.stream: _looked_up(told, rows.shape, _new_rows(live, rows)) for rows in source.lists}
    kept = {rows.child.stream: _kept(told, live, rows) for rows in source.lists if not rows.shape.spec.apart}
    wanted: list[tuple[Write, Values]] = []
    for one in live:
        try:
            values = _converted(source.shape, _outgoing(told, source.shape, one.fields, found, create=False), to_write)
            out = {source.shape.columns[name].own if name in source.shape.columns else name: value for name, value in values.items()}
            for stream, said in one.lists.items():
                if _is_apart(source, stream):
                    _may_follow(told, stream, said)
                    continue
                each, list_field = _rows_of(source, stream)
                out[list_field] = _commands(told, each, said, in_rows[stream], kept[stream], told.before[one.ref].fields[stream])
        except _NotWritable as refused:
            told.say(Rejected(one.ref, refused.reject, refused.reason, refused.field))
            continue
        kept_by_books = sorted(out.keys() & set(POSTED_KEEPS.get(source.model, ())))
        if kept_by_books and _posted(told, live, one):
            told.say(Rejected(one.ref, "record", f"it is posted: its {', '.join(kept_by_books)} stay as they are", kept_by_books[0]))
        elif kept_closed := _kept_closed(told, one, out):
            state = told.before[one.ref].fields[CLOSED_KEEPS[source.model][0]]
            told.say(Rejected(one.ref, "field", f"it is {state}: with another {kept_closed} Odoo would open it again", kept_closed))
        elif out or not one.lists:
            wanted.append((one, out))
        else:
            told.done[one.ref] = one.key or ""
    groups: dict[bytes, list[tuple[Write, Values]]] = {}
    for one, values in wanted:
        groups.setdefault(pack(values), []).append((one, values))
    if len(groups) > 1 and source.server.version >= SAVES_MANY_SINCE:
        _taken_apart(told, wanted, _save_many)
    else:
        for group in groups.values():
            _taken_apart(told, group, _save_alike)
    for one in live:
        if one.ref in told.done:
            _rows_apart(told, one)


def _posted(told: _Told, writes: Sequence[Write], write: Write) -> bool:
    states = told.batch.of(told.source.model, [int(one.key or 0) for one in writes], ("state",))
    return bool(states[int(write.key or 0)]["state"] == "posted")


def _kept_closed(told: _Told, write: Write, out: Values) -> str | None:
    """Return which of these columns the record keeps while it is closed."""
    state, closed, keeps = CLOSED_KEEPS.get(told.source.model, ("", (), ()))
    if told.before[write.ref].fields.get(state) not in closed:
        return None
    return next((name for name in keeps if name in out), None)


def _is_apart(source: Source, stream: str) -> bool:
    return any(rows.child.stream == stream and rows.shape.spec.apart for rows in source.lists)


_APART = {"account.partial.reconcile": applying.payments, "product.pricelist.break": applying.breaks}


def _may_follow(told: _Told, stream: str, said: ListWrite) -> None:
    """Raises _NotWritable, before anything is written, where rows that stand apart could not follow their document."""
    if stream != "account.partial.reconcile":
        return
    try:
        applying.payable(told.batch, [fields for _, fields in (*said.add.items(), *said.rows) if fields.get("id") is None])
    except Refused as refused:
        raise _NotWritable(stream, refused.reason, refused.reject) from None


def _rows_apart(told: _Told, write: Write) -> None:
    """Write the rows that stand apart from their document. What is refused leaves the document as it is, and says so."""
    source = told.source
    for stream, said in write.lists.items():
        if not _is_apart(source, stream):
            continue
        present = told.before[write.ref].fields[stream] if write.ref in told.before else []
        known = {str(fields["id"]): fields for _, fields in said.rows if fields.get("id") is not None}
        new = [(line, fields) for line, fields in said.rows if fields.get("id") is None] if said.replace else list(said.add.items())
        news = applying.News(
            int(told.done[write.ref]),
            [(_apart_name(source, stream, write, line), fields) for line, fields in new],
            {key: {name: value for name, value in fields.items() if name != "id"} for key, fields in (known or said.change).items()},
            sorted({row["id"] for row in present} - known.keys(), key=int) if said.replace else said.remove,
        )
        if said.replace:
            same_rows = {row["id"]: row for row in present}
            changed = {
                key: {name: value for name, value in fields.items() if not same(value, same_rows.get(key, {}).get(name))}
                for key, fields in news.changed.items()
            }
            news = msgspec.structs.replace(news, changed={key: fields for key, fields in changed.items() if fields})
        try:
            told.attempt([write], lambda news=news, stream=stream: _APART[stream](source.server, news, _context(source)))  # type: ignore[misc]  # bound at once
        except Refused as refused:
            told.say(Rejected(write.ref, refused.reject, refused.reason, stream))
        except Fault as fault:
            told.refuse(write, fault, source.shape)


def _apart_name(source: Source, stream: str, write: Write, line: str) -> str | None:
    if write.reference is None:
        return None
    return f"{source.settings.module}.{external.name_of(stream, f'{write.reference}__{line}')}"


def _as_expected(told: _Told, writes: Sequence[Write]) -> list[Write]:
    """Return the writes whose records are as they expect; the others are Stale."""
    found, hidden = told_apart(told.source, [one.key or "" for one in writes])
    present, out_of_sight = {record.key: record for record in found}, {str(one) for one in hidden}
    live = []
    for one in writes:
        record = present.get(one.key or "")
        if one.key in out_of_sight:
            told.say(Rejected(one.ref, "permission", f"{told.source.settings.user} may not read {told.source.model} {one.key}"))
        elif record is None or not as_expected(one, record):
            told.say(Stale(one.ref, gone=record is None))
        else:
            told.before[one.ref] = record
            live.append(one)
    return live


def _changed(said: ListWrite, rows: Rows) -> dict[str, Fields]:
    """Return what is written of known rows, by their keys."""
    if not said.replace:
        return dict(said.change)
    return {str(fields[rows.child.key]): fields for _, fields in said.rows if fields.get(rows.child.key) is not None}


def _kept(told: _Told, writes: Sequence[Write], rows: Rows) -> Mapping[int, Row]:
    """Return, of the rows that are changed, what Odoo would work out anew and is not asked to."""
    names = KEPT.get(rows.shape.spec.name, ((), ()))[1]
    ids = [int(key) for one in writes for key in _changed(one.lists.get(rows.child.stream, ListWrite()), rows)]
    return told.batch.of(rows.shape.model, ids, rows.shape.own(names)) if ids and names else {}


def _commands(
    told: _Told, rows: Rows, said: ListWrite, found: Mapping[str, Any], kept: Mapping[int, Row], present: Sequence[Fields]
) -> list[Any]:
    """Return Odoo's commands for a list: never an append of what is there, for each known row is named by its id."""

    def out(fields: Fields, *, create: bool) -> Values:
        values = _outgoing(told, rows.shape, {name: v for name, v in fields.items() if name != rows.child.key}, found, create=create)
        return {rows.shape.columns[name].own: value for name, value in _converted(rows.shape, values, to_write).items()}

    def change(key: str, fields: Fields) -> list[Any]:
        values = out(fields, create=False)
        causes, follow = KEPT.get(rows.shape.spec.name, ((), ()))
        if values.keys() & set(rows.shape.own(causes)) and int(key) in kept:
            values = {**{own: kept[int(key)][own] for own in rows.shape.own(follow)}, **values}
        return [1, int(key), values]

    there = {row["id"] for row in present}
    known = _changed(said, rows)
    new = [fields for _, fields in said.rows if fields.get(rows.child.key) is None] if said.replace else list(said.add.values())
    commands: list[Any] = [change(key, fields) for key, fields in known.items()]
    commands += [[0, 0, out(fields, create=True)] for fields in new]
    gone: Sequence[str] = sorted(there - known.keys(), key=int) if said.replace else said.remove
    remove = (lambda key: [1, int(key), {"active": False}]) if rows.shape.spec.archives else (lambda key: [2, int(key)])
    return [*map(remove, gone), *commands]


def _call_write(source: Source, ids: list[int], values: Values) -> None:
    source.server.call(source.model, "write", ids, lane="write", again=False, context=_context(source), vals=values)


def _save_alike(source: Source, group: Sequence[tuple[Write, Values]]) -> None:
    _call_write(source, [int(one.key or 0) for one, _ in group], group[0][1])


def _save_many(source: Source, group: Sequence[tuple[Write, Values]]) -> None:
    source.server.call(
        source.model,
        "web_save_multi",
        [int(one.key or 0) for one, _ in group],
        lane="write",
        again=False,
        context=_context(source),
        vals_list=[values for _, values in group],
        specification={},
    )


def _taken_apart(told: _Told, group: Sequence[tuple[Write, Values]], act: Callable[[Source, Sequence[tuple[Write, Values]]], None]) -> None:
    """Write a group in one call; one that is refused is halved until the record at fault stands alone."""
    if not group:
        return
    try:
        if told.attempt([one for one, _ in group], lambda: act(told.source, group)):
            told.done.update({one.ref: one.key or "" for one, _ in group})
    except Fault as fault:
        if len(group) == 1:
            _refused_alone(told, group[0][0], fault)
            return
        middle = len(group) // 2
        _taken_apart(told, group[:middle], act)
        _taken_apart(told, group[middle:], act)


def _refused_alone(told: _Told, write: Write, fault: Fault) -> None:
    if fault.name.endswith("MissingError") and not any(told_apart(told.source, [write.key or ""])):
        told.say(Stale(write.ref, gone=True))
    else:
        told.refuse(write, fault, told.source.shape)


# Deletes


def _delete(told: _Told, writes: Sequence[Write]) -> None:
    live = _as_expected(told, writes)
    deleted: list[Write] = []

    def act(source: Source, group: Sequence[tuple[Write, Values]]) -> None:
        source.server.call(source.model, "unlink", [int(one.key or 0) for one, _ in group], lane="write", again=False)
        deleted.extend(one for one, _ in group)

    _taken_apart(told, [(one, {}) for one in live], act)
    for one in deleted:
        told.done.pop(one.ref, None)
        told.say(Applied(one.ref, one.key or "", "", {}))


# Moves


def _move(told: _Told, writes: Sequence[Write]) -> None:
    for one in _as_expected(told, writes):
        field, wanted = one.move or ("", "")
        present = told.before[one.ref].fields.get(field)
        if present is None and field in told.source.shape.fields:
            raise UsageError(f"A move of {field} reads it: it is not in the selection.")
        if present == wanted:
            told.done[one.ref] = one.key or ""
            continue
        if wanted not in told.source.shape.moves.get(field, {}).get(str(present), ()):
            told.say(Rejected(one.ref, "field", f"Odoo has no call that leads from {present} to {wanted}", field))
            continue
        try:
            carried = told.attempt(
                [one],
                lambda one=one, field=field, wanted=wanted, present=present: moving.carry_out(  # type: ignore[misc]  # bound at once
                    told.source, int(one.key or 0), field, str(present), wanted, _context(told.source)
                ),
            )
        except Fault as fault:
            _refused_alone(told, one, fault)
            continue
        if carried:
            now, _ = told_apart(told.source, [one.key or ""])
            if now and now[0].fields.get(field) != wanted:
                told.say(Rejected(one.ref, "record", f"Odoo took the call and left {field} at {now[0].fields.get(field)}", field))
            else:
                told.done[one.ref] = one.key or ""


# Keys of new rows


def _line_keys(told: _Told, writes: Sequence[Write], present: Mapping[str, Record]) -> Mapping[str, dict[str, dict[str, str]] | None]:
    """Return the keys of added rows by list and line id; None for a write whose new rows cannot be told from other people's.

    Those of a create are known by their external ids; those of an update are the ids that were not there before, in the order in which the
    rows were given: ids only grow.
    """
    found: dict[str, dict[str, dict[str, str]] | None] = {one.ref: {} for one in writes}
    source = told.source
    for one in writes:
        record = present.get(told.done[one.ref])
        for stream, said in one.lists.items():
            new = [line for line, fields in said.rows if fields.get("id") is None] if said.replace else list(said.add)
            if not new or record is None:
                continue
            before = {row["id"] for row in told.before[one.ref].fields[stream]} if one.ref in told.before else set()
            ids = sorted((row["id"] for row in record.fields[stream] if row["id"] not in before), key=int)
            keys: dict[str, str] | None = dict(zip(new, ids, strict=True)) if len(ids) == len(new) else None
            if one.operation == "create" and one.reference is not None and not _is_apart(source, stream):
                keys = _named_lines(source, stream, one.reference, new, set(ids))
            already = found[one.ref]
            if keys is None or already is None:
                found[one.ref] = None
            else:
                already[stream] = keys
    return found


def _named_lines(source: Source, stream: str, reference: str, lines: Sequence[str], there: set[str]) -> dict[str, str]:
    rows, _ = _rows_of(source, stream)
    names = [f"{reference}__{line}" for line in lines]
    named = external.records_named(source.server, source.settings.module, rows.shape.spec.name, rows.shape.model, names)
    keys = {line: str(named[name][0]) for line, name in zip(lines, names, strict=True) if name in named}
    return {line: key for line, key in keys.items() if key in there}
