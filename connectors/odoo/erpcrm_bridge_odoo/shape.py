"""The shape of a model: its fields as streams have them, and values on their way in and out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from erpcrm_bridge.connector import Field
from erpcrm_bridge.connector import FieldType as Kind
from erpcrm_bridge_odoo.models import CREATABLE, MOVES, RENAMED
from erpcrm_bridge_odoo.numbers import tidy
from erpcrm_bridge_odoo.streams import Derived, Row, Spec, derived_of

XMLID = "$xmlid"
ATTRIBUTES = (
    "type",
    "required",
    "readonly",
    "store",
    "size",
    "digits",
    "selection",
    "relation",
    "relation_field",
    "searchable",
    "currency_field",
    "translate",
)

_KINDS: Mapping[str, Kind] = {
    "char": "text",
    "text": "text",
    "html": "text",
    "integer": "number",
    "float": "number",
    "monetary": "number",
    "boolean": "boolean",
    "date": "date",
    "datetime": "instant",
    "selection": "choice",
    "many2one": "reference",
    "many2one_reference": "number",
    "one2many": "list",
    "many2many": "text",
    "reference": "text",
}
"""Odoo's types; the others (binary, image, json, properties) are no stream's fields."""

STAMPS = ("id", "write_date", "create_date", "write_uid", "create_uid", "display_name")


@dataclass(frozen=True, slots=True)
class Column:
    """A field as Odoo has it: its ``own`` name in this version, its type, and what of ``fields_get`` is needed to carry values."""

    name: str
    own: str
    type: str
    relation: str = ""
    inverse: str = ""
    scale: int | None = None
    stored: bool = True
    searchable: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """A stream: its spec, the model's columns by the connector's names, the fields that are worked out, and the fields it has."""

    spec: Spec
    columns: Mapping[str, Column]
    derived: Mapping[str, Derived]
    fields: Mapping[str, Field]

    @property
    def model(self) -> str:
        return self.spec.model

    @property
    def moves(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """The moves of its state fields."""
        return {name: moves for name, moves in MOVES.get(self.spec.name, {}).items() if name in self.fields}

    def needs(self, names: Iterable[str]) -> list[str]:
        """Return the columns to read for these fields."""
        found: dict[str, None] = {}
        for name in names:
            derived = self.derived.get(name)
            for need in derived.needs if derived is not None else (name,):
                if need in self.columns:
                    found[need] = None
        return list(found)

    def own(self, names: Iterable[str]) -> list[str]:
        """Return what this version calls the columns."""
        return [self.columns[name].own for name in names]

    def renamed(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return rows, which all have the same columns, under the connector's names."""
        told = rows[0] if rows else {}
        others = {column.own: name for name, column in self.columns.items() if name != column.own and column.own in told}
        if not others:
            return rows
        return [{others.get(own, own): value for own, value in row.items()} for row in rows]


def shape_of(
    spec: Spec,
    told: Mapping[str, Mapping[str, Any]],
    able: Mapping[str, bool],
    *,
    external_ids: bool,
    given: frozenset[str] = frozenset(),
) -> Shape:
    """Return the shape of a stream from what ``fields_get`` of its model tells; ``able`` says what this user may do there, ``given`` which
    required columns a new record has by itself."""
    names = {own: name for name, owns in RENAMED.get(spec.model, {}).items() if name not in told for own in owns if own in told}
    columns: dict[str, Column] = {}
    fields: dict[str, Field] = {}
    for own, said in told.items():
        kind = _KINDS.get(said["type"])
        if kind is None:
            continue
        name = names.get(own, own)
        digits = said.get("digits")
        columns[name] = Column(
            name,
            own,
            said["type"],
            said.get("relation") or "",
            said.get("relation_field") or "",
            digits[1] if digits else None,
            bool(said.get("store", True)),
            bool(said.get("searchable", True)),
        )
        if kind != "list":
            fields[name] = _field(name, kind, said, able)
            if own in given:  # it cannot be emptied all the same
                fields[name] = replace(fields[name], required=False)
    derived = {
        name: one for name, one in derived_of(spec, told).items() if all(need in columns for need in one.needs if need not in _OPTIONAL)
    }
    for name, one in derived.items():
        may = {"creatable": one.field.creatable and able["create"], "updatable": one.field.updatable and able["write"]}
        fields[name] = replace(one.field, **may)
    for name in CREATABLE.get(spec.model, ()):
        if name in fields:
            fields[name] = replace(fields[name], creatable=able["create"])
    for name, choices in ((name, fields[name].choices) for name in MOVES.get(spec.name, {}) if name in fields):
        fields[name] = replace(fields[name], creatable=able["create"], updatable=False, choices=choices)
    fields["id"] = Field("id", nullable=False, creatable=False, updatable=False)  # keys are texts
    if external_ids:
        fields[XMLID] = Field(XMLID, updatable=False)
    return Shape(spec, columns, derived, fields)


_OPTIONAL = ("picking_ids", "is_delivery")
"""Columns of modules that need not be there for a derived field."""


def _field(name: str, kind: Kind, said: Mapping[str, Any], able: Mapping[str, bool]) -> Field:
    fixed = name in STAMPS
    readonly = fixed or bool(said.get("readonly"))
    digits = said.get("digits")
    choices = tuple(str(value) for value, _ in said["selection"]) if isinstance(said.get("selection"), list) else ()
    relation = said.get("relation")
    return Field(
        name,
        kind,
        length=said.get("size") or None,
        precision=digits[0] if digits else None,
        scale=0 if said["type"] in ("integer", "many2one_reference") else digits[1] if digits else None,
        choices=choices,
        restricted=bool(choices),
        nullable=said["type"] not in ("boolean", "integer", "float", "monetary") and name != "id" and not said.get("required"),
        creatable=not readonly and able["create"],
        updatable=not readonly and able["write"],
        required=bool(said.get("required")) and said["type"] != "boolean",
        references=(relation,) if relation and kind == "reference" else (),
    )


# Values in


def reader(column: Column) -> Callable[[Any], Any]:
    """Return the function that makes an external value of what ``read(load='')`` gives for this column."""
    return _READERS.get(column.type) or _number(column.scale)


def _plain(value: Any) -> Any:
    return None if value is False else value


def _key(value: Any) -> str | None:
    """A many2one is False or an id; JSON-2 and JSON-RPC give it plain where asked, and otherwise as a pair."""
    if value is False or value is None:
        return None
    return str(value[0] if isinstance(value, list) else value)


def _keys(value: Any) -> str | None:
    """The ids of a many2many in ascending order; null where there are none."""
    return ",".join(map(str, sorted(value))) if value else None


def _integer(value: Any) -> int:
    return int(value)


def _number(scale: int | None) -> Callable[[Any], Any]:
    return lambda value: tidy(value, scale) if isinstance(value, Decimal) else value or 0


_READERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("char", "text", "html", "date", "datetime", "selection", "reference"), _plain),
    "boolean": bool,
    "many2one": _key,
    "many2many": _keys,
    "integer": _integer,
    "many2one_reference": _integer,
}


# Values out

_ZERO = ("integer", "float", "monetary")


LARGEST = 2**31 - 1


def _check(column: Column, value: Any) -> None:
    """Raise ValueError for what Odoo refuses without naming the field, or takes for something else."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError("a text that holds a NUL")
    if column.type == "integer" and value is not None and not -LARGEST - 1 <= int(value) <= LARGEST:
        raise ValueError("an integer that is too great")
    if column.type in _ZERO and isinstance(value, str):
        raise ValueError("a text where a number belongs")


def to_write(column: Column, value: Any) -> Any:
    """Return what ``write`` takes. A many2one goes as a plain integer: any other shape is silently taken for "none".

    Raises ValueError for what can be no value of the column.
    """
    _check(column, value)
    if value is None:
        return 0 if column.type in _ZERO else [[6, 0, []]] if column.type == "many2many" else False
    if column.type == "many2one":
        return int(value)
    if column.type == "many2many":
        return [[6, 0, [int(key) for key in str(value).split(",")]]]
    return value


def to_load(column: Column, value: Any) -> str:
    """Return the cell that ``load`` takes; an empty one stands for "none". Raises ValueError as ``to_write``."""
    _check(column, value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if column.type == "many2one":
        return str(int(value))
    if column.type == "many2many":
        return ",".join(str(int(key)) for key in str(value).split(","))
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def load_header(column: Column) -> str:
    """Return the column's name in ``load``: references are given by database id."""
    return f"{column.own}/.id" if column.relation else column.own
