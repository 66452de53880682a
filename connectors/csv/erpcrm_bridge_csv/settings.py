"""The settings of a CSV connection, and the layout of each file that follows from them."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from string import printable
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, TypeAdapter, ValidationError, field_validator, model_validator

from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.model.ids import counts_once

SUFFIX = ".csv"
SIDE_SUFFIX = ".new.csv"
DELIMITER = ","
QUOTE = '"'
UTF_16 = "utf-16"
UTF_16_ORDERS = ("utf-16-le", "utf-16-be")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ByUuid(_Strict):
    """Keys are UUIDs made from the record's reference: the same reference always gives the same key."""

    bridge: Literal["uuid"]


class ByCounter(_Strict):
    """Keys are whole numbers: the greatest in use plus one, at least ``start``."""

    bridge: Literal["counter"]
    start: int = Field(default=1, ge=0)


class ByTemplate(_Strict):
    """Keys are a counter in a frame: ``SO-{n:05d}``."""

    bridge: Literal["template"]
    template: str
    start: int = Field(default=1, ge=0)

    @field_validator("template")
    @classmethod
    def _one_number(cls, template: str) -> str:
        if not counts_once(template):
            raise ValueError("a template holds the number once, as {n} or filled up with zeros as {n:05d}, and no control characters")
        return template


Bridge: TypeAlias = Annotated[ByUuid | ByCounter | ByTemplate, Discriminator("bridge")]
Assigns: TypeAlias = Bridge | Literal["nobody"]


class Parent(_Strict):
    """The stream whose keys the column ``field`` holds."""

    stream: str
    field: str


class Drop(_Strict):
    """Files that a system puts into ``folder`` make up the stream: those whose names ``files`` fits. One is taken when nothing has touched
    it for ``rest`` seconds. ``deleted`` is the column in which a row says that its record is gone."""

    folder: Path
    files: str = Field(default=f"*{SUFFIX}", min_length=1)
    rest: float = Field(default=10, ge=0)
    deleted: str | None = None


class StreamSettings(_Strict):
    """What one file does otherwise than its dialect. ``key`` is a column, or a list of columns that together are a natural key.
    ``assigns_keys`` says who gives a new record its key."""

    key: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    newline: Literal["lf", "crlf"] | None = None
    quoting: Literal["all", "minimal"] | None = None
    assigns_keys: Assigns | None = Field(
        default=None, description='{bridge: uuid}, {bridge: counter}, {bridge: template, template: "A{n}"}, or nobody'
    )
    parent: Parent | None = None
    drop: Drop | None = None

    @field_validator("delimiter", "quote")
    @classmethod
    def _one_character(cls, sign: str | None) -> str | None:
        if sign is not None and (len(sign) != 1 or not sign.isascii() or sign in "\r\n\0"):
            raise ValueError("it is one ASCII character, and no line end")
        return sign

    @model_validator(mode="after")
    def _people_give_a_natural_key(self) -> StreamSettings:
        if isinstance(self.key, tuple) and len(self.key) > 1 and self.assigns_keys not in (None, "nobody"):
            raise ValueError("a key of several columns is given by people: let `assigns_keys` be nobody")
        return self

    @model_validator(mode="after")
    def _two_signs(self) -> StreamSettings:
        if (self.delimiter or DELIMITER) == (self.quote or QUOTE):
            raise ValueError("delimiter and quote are two different characters")
        return self

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str | None) -> str | None:
        if encoding is None:
            return None
        try:
            name = codecs.lookup(encoding).name
        except (LookupError, ValueError):
            raise ValueError(f"{encoding!r} is no known encoding; utf-8 and cp1252 are the usual ones") from None
        if name not in ("utf-8-sig", UTF_16, *UTF_16_ORDERS) and not _keeps_ascii(name):
            raise ValueError(f"{encoding!r} is neither UTF-16 nor writes ASCII as single bytes: save the file as UTF-8")
        return "utf-8" if name == "utf-8-sig" else name


class CsvSettings(_Strict):
    """A folder of CSV files is a system; each of its files is a stream."""

    folder: Annotated[Path, Field(description="./crm: the folder of the files")]
    dialect: Literal["dataloader", "savedsearch", "plain"] = "plain"
    identity: str | None = Field(default=None, min_length=1)
    streams: dict[str, StreamSettings] = {}

    @model_validator(mode="after")
    def _folders_apart(self) -> CsvSettings:
        if any(own.drop is not None and own.drop.folder == self.folder for own in self.streams.values()):
            raise ValueError("a drop folder is not the connection's own folder: make one below it")
        return self

    @field_validator("streams")
    @classmethod
    def _file_names(cls, streams: dict[str, StreamSettings]) -> dict[str, StreamSettings]:
        for name in streams:
            if not is_stream(name) or Path(name).name != name:
                raise ValueError(f"{name!r} is no stream: name a file of the folder that ends in {SUFFIX}, not in {SIDE_SUFFIX}")
        return streams


def _keeps_ascii(encoding: str) -> bool:
    """Tell whether ASCII stands in this encoding as itself, and nothing else can be read from it."""
    text = printable + "\\u0041+AEE-~{!A~}"
    try:
        return text.encode(encoding) == text.encode("ascii") and text.encode("ascii").decode(encoding) == text
    except (LookupError, ValueError):
        return False


def is_stream(name: str) -> bool:
    """Tell whether a file of this name is a stream: a .csv that is neither hidden nor a side file. A name that is no text (bytes that are
    not UTF-8) is none: no mapping could say it."""
    lower = name.lower()
    if any("\ud800" <= c <= "\udfff" for c in lower):
        return False
    return lower.endswith(SUFFIX) and not lower.endswith(SIDE_SUFFIX) and not name.startswith(".")


def side_name(stream: str) -> str:
    """Return the name of the side file in which new records of ``stream`` wait."""
    return stream[: -len(SUFFIX)] + SIDE_SUFFIX


@dataclass(frozen=True, slots=True)
class Layout:
    """How one file is written. ``newline`` is used where the file itself shows none, ``encoding`` (None: UTF-8) where it has no byte order
    mark; ``key`` is None where nothing declares it, and where the several columns of ``natural`` are the key."""

    stream: str
    delimiter: str
    quote: str
    quote_all: bool
    newline: str
    encoding: str | None
    key: str | None
    natural: tuple[str, ...]
    declared_key: bool
    assigns: Assigns
    parent: Parent | None


_DIALECTS: dict[str, tuple[bool, str, str | None]] = {
    "dataloader": (True, "\n", "Id"),
    "savedsearch": (False, "\r\n", "Internal ID"),
    "plain": (False, "\n", None),
}
_NEWLINES = {"lf": "\n", "crlf": "\r\n"}


def layout_of(settings: CsvSettings, stream: str, said: Any = None) -> Layout:
    """Return the layout of ``stream``: its own settings, and the dialect's for what they leave open. ``said`` is who assigns keys in the
    words of a mapping. Raises ConfigError where it says otherwise than the settings."""
    quote_all, newline, key = _DIALECTS[settings.dialect]
    own = settings.streams.get(stream, StreamSettings())
    natural: tuple[str, ...] = ()
    if own.key is not None:
        columns = (own.key,) if isinstance(own.key, str) else own.key
        key, natural = (columns[0], ()) if len(columns) == 1 else (None, columns)
    return Layout(
        stream=stream,
        delimiter=own.delimiter or DELIMITER,
        quote=own.quote or QUOTE,
        quote_all=quote_all if own.quoting is None else own.quoting == "all",
        newline=newline if own.newline is None else _NEWLINES[own.newline],
        encoding=own.encoding,
        key=key,
        natural=natural,
        declared_key=own.key is not None,
        assigns=_assigns(stream, own.assigns_keys, said),
        parent=own.parent,
    )


_assigns_keys: TypeAdapter[Assigns] = TypeAdapter(Assigns)


def _assigns(stream: str, set_: Assigns | None, said: Any) -> Assigns:
    try:
        mapped = None if said is None else _assigns_keys.validate_python(said)
    except ValidationError as error:
        raise ConfigError(f"assigns_keys of {stream} in its mapping: {error.errors()[0]['msg']}.", way_out="Correct the mapping.") from None
    if set_ is not None and mapped not in (None, set_):
        raise ConfigError(
            f"The settings and the mapping of {stream} say differently who assigns its keys.", way_out="Say it once: remove one of the two."
        )
    return set_ or mapped or "nobody"
