"""What is known of each canonical field, read from the pydantic models once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Literal, TypeAlias, get_args, get_origin

from pydantic import BaseModel, Field

Kind: TypeAlias = Literal[
    "text", "amount", "decimal", "integer", "boolean", "date", "instant", "choice", "reference", "currency", "country", "custom"
]
CUSTOM = "custom."
"""Begins the path of every field that an installation has and the model does not know: ``custom.NAME``."""


@dataclass(frozen=True, slots=True)
class Meta:
    """Stands in ``Annotated`` beside a field of a canonical model.

    ``scale`` is the number of decimals a ``decimal`` declares; amounts take theirs from the currency. ``to`` names the entity a
    reference points at. ``moves`` says of each state which may come next. ``normalise`` gives a value its one canonical form, and raises
    ValueError where there is none. ``priced`` tells that a ``decimal`` is a price: money in its record's currency, as amounts are.
    """

    kind: Kind
    max_length: int | None = None
    scale: int | None = None
    to: str | None = None
    normalise: Callable[[Any], Any] | None = None
    moves: Mapping[str, tuple[str, ...]] | None = None
    priced: bool = False


Calculation: TypeAlias = Literal["commissions", "rebates", "credit", "customer value"]


class Finance:
    """Stands in ``Annotated`` beside a field which calculations of finance read, whether or not a mapping carries it on both sides."""

    def __init__(self, *calculations: Calculation) -> None:
        self.calculations = calculations


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One canonical field. ``path`` is dotted (``billing.city``); for a line's field it is relative to the line.

    ``choices`` are the values of a choice; ``moves`` those that may follow each, where they are states. ``finance`` names the calculations
    that read the field; ``priced`` as of ``Meta``.
    """

    path: str
    kind: Kind
    doc: str
    max_length: int | None = None
    scale: int | None = None
    to: str | None = None
    choices: tuple[str, ...] = ()
    normalise: Callable[[Any], Any] | None = None
    moves: Mapping[str, tuple[str, ...]] | None = None
    finance: tuple[Calculation, ...] = ()
    priced: bool = False


@dataclass(frozen=True, slots=True)
class EntitySpec:
    """One canonical entity: its fields in order, and the fields of the lines of each of its lists."""

    name: str
    doc: str
    money_document: bool
    fields: dict[str, FieldSpec]
    lists: dict[str, dict[str, FieldSpec]] = field(default_factory=dict)

    @property
    def references(self) -> dict[str, str]:
        """Paths of the reference fields to the entities they point at."""
        return {path: spec.to for path, spec in self.fields.items() if spec.to}

    @property
    def line_references(self) -> dict[str, dict[str, str]]:
        """The same for the lines of each list."""
        return {name: {path: spec.to for path, spec in line.items() if spec.to} for name, line in self.lists.items()}

    @property
    def parents(self) -> list[str]:
        """The entities that the records and their lines refer to, each once."""
        found = [*self.references.values(), *(to for line in self.line_references.values() for to in line.values())]
        return list(dict.fromkeys(found))

    def at(self, path: str) -> FieldSpec | None:
        """Return the field that a path of a record names, that of a line too (``lines/ID/quantity``); None where it names none."""
        name, of_line, rest = path.partition("/")
        return field_at(self.lists.get(name, {}), rest.partition("/")[2]) if of_line else field_at(self.fields, path)


class CanonicalModel(BaseModel):
    """Base of the canonical entities. ``money_document`` marks those that a sync never deletes (L8)."""

    model_config = {"extra": "forbid", "str_strip_whitespace": False, "defer_build": True}
    custom: dict[str, Any] = Field(default_factory=dict, description="fields of this installation: single values, as `custom.NAME`")


class Line(BaseModel):
    """Base of the lines of a document; ``id`` is the line's canonical identity inside its document."""

    model_config = {"extra": "forbid", "defer_build": True}
    id: str


@cache
def fields_of(model: type[BaseModel], prefix: str = "") -> dict[str, FieldSpec]:
    """Return the scalar fields of ``model`` by dotted path, nested models flattened, lists left out."""
    specs: dict[str, FieldSpec] = {}
    for name, info in model.model_fields.items():
        path = prefix + name
        meta = next((m for m in info.metadata if isinstance(m, Meta)), None)
        inner = _inner(info.annotation)
        if meta is not None:
            choices = tuple(get_args(inner)) if get_origin(inner) is Literal else ()
            finance = tuple(name for m in info.metadata if isinstance(m, Finance) for name in m.calculations)
            specs[path] = FieldSpec(
                path,
                meta.kind,
                info.description or "",
                meta.max_length,
                meta.scale,
                meta.to,
                choices,
                meta.normalise,
                meta.moves,
                finance,
                meta.priced,
            )
        elif isinstance(inner, type) and issubclass(inner, BaseModel):
            specs.update(fields_of(inner, path + "."))
    return specs


@cache
def lists_of(model: type[BaseModel]) -> dict[str, dict[str, FieldSpec]]:
    """Return, for each list of lines in ``model``, the fields of a line."""
    found: dict[str, dict[str, FieldSpec]] = {}
    for name, info in model.model_fields.items():
        annotation = _inner(info.annotation)
        if get_origin(annotation) is list:
            (line,) = get_args(annotation)
            found[name] = fields_of(line)
    return found


def _inner(annotation: Any) -> Any:
    """Return the annotation without ``| None``."""
    if get_origin(annotation) in (None, list, Literal):
        return annotation
    parts = [part for part in get_args(annotation) if part is not type(None)]
    return parts[0] if len(parts) == 1 else annotation


def field_at(fields: Mapping[str, FieldSpec], path: str) -> FieldSpec | None:
    """Return the field of an entity, or of the lines of a list, at ``path``; None where there is none. ``custom.NAME`` is one for each name
    that holds no slash."""
    return fields.get(path) or (_custom(path) if path.startswith(CUSTOM) and len(path) > len(CUSTOM) and "/" not in path else None)


@lru_cache(maxsize=4096)
def _custom(path: str) -> FieldSpec:
    return FieldSpec(path, "custom", "a field of this installation", normalise=_single)


def _single(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        raise ValueError(f"{type(value).__name__} is not a single value")  # noqa: TRY004 - callers catch ValueError
    return value


def decimal_of(value: Any) -> Decimal | int:
    """Return a number as it is; a float is refused, for a float has already lost a cent."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValueError(f"{type(value).__name__} is not an exact number")  # noqa: TRY004 - callers catch ValueError
    return value
