"""The closed list of transforms: each a pair of functions with its law.

``get`` goes from the system to the canonical form, ``put`` back; a transform without ``put`` is one-way. The law says how far
``get(put(v))`` is ``v``: ``iso`` always, ``quotient`` up to spelling, ``retract`` rounds or cuts, ``one-way`` not at all.
A transform never returns a guess: it raises Refused, whose text holds no value except an unknown code of a table, country or code.
Null never reaches a transform; one that may answer null says so. Further ones come as plug-ins (``PlugIn``).
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from typing import Any, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from erpcrm_bridge.mapping.expression import Refused
from erpcrm_bridge.mapping.format import TableSpec
from erpcrm_bridge.model.fields import FieldSpec
from erpcrm_bridge.model.money import MINOR_UNITS, quantize, rounded
from erpcrm_bridge.model.values import same

Law: TypeAlias = Literal["iso", "quotient", "retract", "one-way"]
Function: TypeAlias = Callable[..., Any]


class Misused(ValueError):
    """A transform is named or set up wrongly; the message says how, ``way_out`` what to do."""

    def __init__(self, message: str, way_out: str = "") -> None:
        super().__init__(message)
        self.way_out = way_out or "docs/reference/mapping.md has the transforms and their options"


@dataclass(frozen=True, slots=True)
class Argument:
    """A second value that a transform takes: the canonical value at ``path``, or a fixed one."""

    path: str | None = None
    fixed: Any = None


@dataclass(frozen=True, slots=True)
class Transform:
    """A transform set up for one rule. ``get_code`` says the same as ``get``, as an expression over ``v`` that saves the call.

    A put of None means one-way; ``put_code`` ``v`` means that the value goes out as it is. ``many`` is the number of canonical values
    (``lines``, ``split_name``) or external ones (``join``) where that is not one; ``nullable`` says that ``get`` may answer null; ``alone``
    tells of a value that needs no argument.
    """

    name: str
    law: Law
    get: Function
    put: Function | None = None
    get_code: str = ""
    put_code: str = ""
    argument: Argument | None = None
    nullable: bool = False
    many: Literal["canonical", "external", ""] = ""
    alone: Callable[[Any], bool] | None = None
    outputs: frozenset[Any] | None = None
    guesses: Callable[[Any], bool] | None = None
    """Tells of an external value that only a fallback reads."""
    of_text: Mapping[str, Any] = field(default_factory=dict)
    """Of some texts what ``get`` gives for them: no call is made for these."""

    @property
    def two_way(self) -> bool:
        return bool(self.put or self.put_code)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a transform may know where it is set up: the rule's canonical fields, the mapping's tables, this account's code tables, the
    connection's values, and whether the system's numbers are text (CSV)."""

    fields: Sequence[FieldSpec]
    externals: int
    known: Callable[[str], bool]
    tables: Mapping[str, TableSpec]
    codes: Mapping[str, Mapping[str, str]]
    values: Mapping[str, Any]
    text_numbers: bool
    two_way: bool
    used_codes: set[str] = field(default_factory=set)
    used_plug_ins: dict[str, str] = field(default_factory=dict)

    def argument(self, text: str, literal: Callable[[str], bool], what: str) -> Argument:
        """Return the argument that ``text`` names: ``$connection.NAME``, a canonical path, or a literal that ``literal`` accepts."""
        if text.startswith("$connection."):
            return Argument(fixed=self.values.get(text.removeprefix("$connection.")))
        if self.known(text):
            return Argument(path=text)
        if literal(text):
            return Argument(fixed=text)
        raise Misused(f"`{text}` is neither a canonical path nor {what}")


def transform_names() -> list[str]:
    """Return the names of all transforms there are, plug-ins among them."""
    return sorted({*BUILDERS, *_entry_points()})


def build(entry: str | Mapping[str, Any], setting: Setting) -> Transform:
    """Return the transform that one entry of ``via`` names. Raises Misused."""
    name, options = _entry(entry)
    found = _plugged(name) or BUILDERS.get(name)
    if found is None:
        from difflib import get_close_matches

        known = transform_names()
        near = get_close_matches(name, known, 1)
        raise Misused(f"there is no transform `{name}`", f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}")
    builder, allowed, needed = found
    if name == "map":
        return _map(options, setting)
    if options is None:
        options = {}
    if not isinstance(options, Mapping):
        raise Misused(f"`{name}` takes named options", f"write {{{name}: {{…}}}}")
    for key in options:
        if key not in allowed:
            raise Misused(f"`{name}` has no option `{key}`", f"it has {', '.join(sorted(allowed))}" if allowed else "it takes none")
    for key in needed:
        if key not in options:
            raise Misused(f"`{name}` needs the option `{key}`")
    for key, value in options.items():
        wanted = allowed[key]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):  # to Python, true is a whole number
            raise Misused(f"`{name}`: `{key}` is not {_TYPES.get(wanted, f'a {wanted.__name__}')}")
    return builder(dict(options), setting)


_TYPES: dict[type, str] = {str: "text", int: "a whole number", bool: "true or false"}


def _entry(entry: str | Mapping[str, Any]) -> tuple[str, Any]:
    if isinstance(entry, str):
        return entry, None
    if len(entry) != 1:
        raise Misused("an entry of `via` names one transform", "write {name: {option: value}}")
    ((name, options),) = entry.items()
    return str(name), options


# Plug-ins

GROUP = "erpcrm_bridge.transforms"
"""The entry point group of plug-ins: each entry point names a PlugIn, and its own name is that of the transform."""


@dataclass(frozen=True, slots=True)
class PlugIn:
    """A transform that another package brings: ``get(value, **options)`` and ``put``, which raise Refused where they would have to guess.

    ``samples`` are external values on which the law is tried whenever the transform is used: iso gives each of them back, quotient and
    retract give what reads as the same; one-way has no put. ``options`` are the names and types of what a rule may set; ``nullable`` says
    that ``get`` may answer null.
    """

    law: Law
    get: Function
    put: Function | None
    samples: Sequence[Any]
    options: Mapping[str, type] = field(default_factory=dict)
    needed: Sequence[str] = ()
    nullable: bool = False


@cache
def _entry_points() -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=GROUP):
        if all(point.value != other.value for other in found.get(point.name, ())):
            found[point.name] = (*found.get(point.name, ()), point)
    return found


def _plugged(name: str) -> tuple[Callable[[Any, Setting], Transform], dict[str, type], tuple[str, ...]] | None:
    points = _entry_points().get(name)
    if points is None:
        return None
    values = " and ".join(sorted(point.value for point in points))
    if name in BUILDERS:
        raise Misused(f"`{name}` is a transform of the bridge, and {values} brings another", "give the plug-in another name")
    if len(points) > 1:
        raise Misused(f"{values} both bring a transform `{name}`", "leave one of the packages out, or give its transform another name")
    (point,) = points
    try:
        plug_in = point.load()
    except Exception as error:
        raise Misused(f"the transform `{name}` cannot be loaded: {error}", f"install what {point.value} needs, or leave it out") from error
    if not isinstance(plug_in, PlugIn):
        raise Misused(f"{point.value} is no transform", f"let the entry point {GROUP} name a PlugIn")

    def builder(options: Any, setting: Setting) -> Transform:
        get, put = partial(plug_in.get, **options), partial(plug_in.put, **options) if plug_in.put else None
        _keeps_its_law(name, plug_in, get, put, f"correct the plug-in {point.value}")
        setting.used_plug_ins[name] = f"{point.value} {point.dist.version if point.dist is not None else ''}"
        return Transform(name, plug_in.law, get, put, nullable=plug_in.nullable)

    return builder, dict(plug_in.options), tuple(plug_in.needed)


_EXTERNAL = (str, int, Decimal, list, dict, type(None))


def _keeps_its_law(name: str, plug_in: PlugIn, get: Function, put: Function | None, way_out: str) -> None:
    """Raise Misused where a plug-in has no samples, or breaks its law, or what it says of null, on one of them."""
    if plug_in.law not in get_args(Law):
        raise Misused(f"the transform `{name}`: `{plug_in.law}` is no law", f"{way_out}: a law is {', '.join(get_args(Law))}")
    if not plug_in.samples:
        raise Misused(f"the transform `{name}` shows no samples of what it reads", way_out)
    if (plug_in.law == "one-way") != (put is None):
        raise Misused(f"the transform `{name}` says {plug_in.law} and has {'no' if put is None else 'a'} put", way_out)
    for number, sample in enumerate(plug_in.samples, 1):
        try:
            said = get(sample)
            back = None if put is None or said is None else put(said)
            kept = put is None or said is None or (same(back, sample) if plug_in.law == "iso" else same(get(back), said))
        except Exception as error:
            raise Misused(f"the transform `{name}` fails on its sample {number}: {type(error).__name__}", way_out) from error
        if said is None and not plug_in.nullable:
            raise Misused(f"the transform `{name}` answers null for its sample {number}, and is not `nullable`", way_out)
        if not isinstance(back, _EXTERNAL):
            raise Misused(f"the transform `{name}` writes its sample {number} as {type(back).__name__}, which no system holds", way_out)
        if not kept:
            raise Misused(f"the transform `{name}` breaks its law ({plug_in.law}) on its sample {number}", way_out)


# Text


def _simple(name: str, get: Function, code: str, *, nullable: bool = False) -> Callable[[Any, Any], Transform]:
    built = Transform(name, "quotient", get, get_code=code, put_code="v", nullable=nullable)
    return lambda _options, _setting: built


def _as_text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise Refused("the value is not a single text or number")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _not(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Refused("the value is neither true nor false")
    return not value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Refused("the value is not text")
    return value


def _lines(options: dict[str, Any], setting: Setting) -> Transform:
    n = options["n"]
    if n != len(setting.fields) or n < 2:
        raise Misused(
            f"`lines` with n: {n} stands on {len(setting.fields)} canonical paths", "name as many canonical paths as lines, 2 or more"
        )

    def get(value: Any) -> tuple[str | None, ...]:
        parts = _text(value).replace("\r\n", "\n").replace("\r", "\n").split("\n", n - 1)
        return tuple([part.strip() or None for part in parts] + [None] * (n - len(parts)))

    def put(values: Sequence[str | None]) -> str | None:
        if any(value and "\n" in value for value in values[:-1]):
            raise Refused("a line holds more than one line")
        return "\n".join(value or "" for value in values).rstrip("\n") or None

    return Transform("lines", "quotient", get, put, many="canonical")


def _join(options: dict[str, Any], setting: Setting) -> Transform:
    sep, n = options.get("sep", " "), setting.externals
    if n < 2 or not sep:
        raise Misused("`join` stands on two or more external fields, with a separator that is not empty")

    def get(values: Sequence[Any]) -> str | None:
        return sep.join(_text(value) for value in values if value is not None and value != "") or None

    def put(value: Any) -> tuple[str | None, ...]:
        parts: list[str | None] = [*_text(value).split(sep, n - 1)]
        if "" in parts:
            raise Refused("the text has an empty part, which the joined fields cannot hold")
        return tuple(parts + [None] * (n - len(parts)))

    return Transform("join", "quotient", get, put, many="external", nullable=True)


def _split_name(_options: dict[str, Any], setting: Setting) -> Transform:
    if len(setting.fields) != 2:
        raise Misused("`split_name` stands on two canonical paths: first name, last name")

    def get(value: Any) -> tuple[str | None, str | None]:
        text = " ".join(_text(value).split())
        last, comma, first = text.partition(", ")
        if not comma:
            first, _, last = text.rpartition(" ")
        return first or None, last or None

    return Transform("split_name", "one-way", get, many="canonical")


def _first(value: Any) -> Any:
    if not isinstance(value, list):
        raise Refused("the value is not a list")
    return value[0] if value else None


def _hash(value: Any) -> str:
    return hashlib.blake2b(_as_text(value).encode(), digest_size=16).hexdigest()


_FORMULA = re.compile("'*[=+\\-@\t\r\n]")
_NUMBERS = {"amount", "decimal", "integer"}


def _formula_guard(_options: dict[str, Any], setting: Setting) -> Transform:
    """Text that a spreadsheet would run goes out behind an apostrophe and loses it on the way in.

    A text that has apostrophes before such a beginning gets one more, so that each text comes back as it was.
    """
    if any(spec.kind in _NUMBERS for spec in setting.fields):
        raise Misused("`formula_guard` stands on a number: a negative one would go out as text", "leave it out; a number is no formula")

    def get(value: Any) -> str:
        text = _text(value)
        return text[1:] if text.startswith("'") and _FORMULA.match(text) else text

    def put(value: Any) -> str:
        text = _text(value)
        return f"'{text}" if _FORMULA.match(text) else text

    return Transform("formula_guard", "iso", get, put)


# Tables


def _shown(value: Any) -> str:
    return repr(value)[:40]


def _map(options: Any, setting: Setting) -> Transform:
    if isinstance(options, str):
        if options not in setting.tables:
            raise Misused(f"there is no table `{options}`", f"the mapping has {', '.join(setting.tables) or 'none'}: add it under `tables`")
        table = setting.tables[options]
    elif isinstance(options, Mapping):
        from pydantic import ValidationError

        try:
            table = TableSpec.model_validate(options)
        except ValidationError as error:
            raise Misused(
                f"`map`: {error.errors()[0]['loc'][-1]}: {error.errors()[0]['msg']}", "it has pairs, write and fallback"
            ) from None
    else:
        raise Misused("`map` takes the name of a table, or pairs", "write {map: NAME} or {map: {pairs: {…}}}")
    if isinstance(table.fallback, (list, dict)):
        raise Misused("`map`: `fallback` is one value")
    inverse: dict[Any, Any] = {}
    twice: dict[Any, None] = {}
    for external, canonical in table.pairs.items():
        if isinstance(canonical, (list, dict)):
            raise Misused("`map`: a pair is one value to one value")
        if canonical is None:
            continue  # it reads as nothing, and nothing is written as null
        if canonical in inverse:
            twice[canonical] = None
        inverse.setdefault(canonical, external)
    open_values = [value for value in twice if value not in table.write]
    if open_values and setting.two_way:
        raise Misused(
            f"ambiguous-inverse: several external values read as {', '.join(_shown(v) for v in open_values)}",
            "say under `write` which one is written, or set direction: to_canonical",
        )
    inverse |= table.write
    pairs, fallback = dict(table.pairs), table.fallback
    outputs = frozenset([*pairs.values(), fallback]) - {None}
    exact = {(type(key), key): value for key, value in pairs.items()}

    def get(value: Any) -> Any:
        try:
            return exact[type(value), value]
        except KeyError:
            if fallback is not None:
                return fallback
            raise Refused(f"{_shown(value)} is not in the table") from None

    def put(value: Any) -> Any:
        try:
            return inverse[value]
        except KeyError:
            raise Refused(f"the table has nothing to write for {_shown(value)}") from None

    law: Law = "quotient" if twice or fallback is not None or table.write else "iso"
    guesses = (lambda value: (type(value), value) not in exact) if fallback is not None else None
    of_text = {key: value for key, value in pairs.items() if isinstance(key, str)}
    nullable = None in pairs.values()
    return Transform("map", law, get, put, nullable=nullable, outputs=outputs, guesses=guesses, of_text=of_text)


def _code(options: dict[str, Any], setting: Setting) -> Transform:
    kind = options["of"]
    argument = setting.argument(options["country"], _is_country, "a country code") if "country" in options else None
    setting.used_codes.add(kind)
    table = dict(setting.codes.get(kind, {}))
    inverse: dict[str, list[str]] = {}
    for number, code in table.items():
        inverse.setdefault(code, []).append(number)

    def get(value: Any, country: str | None = None) -> str:
        if isinstance(value, dict):
            value = value.get("id")
        elif isinstance(value, list):
            value = value[0] if value else None
        if value is None or isinstance(value, (bool, list, dict)):
            raise Refused(f"the value is not an id of {kind}")
        try:
            return table[str(value)].removeprefix(f"{country}-")
        except KeyError:
            raise Refused(f"{_shown(str(value))} is not in this account's table of {kind}") from None

    def put(value: Any, country: str | None = None) -> str:
        found = inverse.get(f"{country}-{value}") or inverse.get(value, [])
        if len(found) != 1:
            raise Refused(f"{_shown(value)} has {'several ids' if found else 'no id'} in this account's table of {kind}")
        return found[0]

    return Transform("code", "iso", get, put, argument=argument)


# Countries and regions


def fold(text: str) -> str:
    """Return ``text`` as the tables of countries and regions have it: no case, no accents, no points, one space between words."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return re.sub(r"[\W_]+", " ", plain.replace(".", "").replace("'", "").replace("’", "")).strip()


@cache
def _data(name: str) -> Any:
    return json.loads(files("erpcrm_bridge.mapping").joinpath("data", name).read_text(encoding="utf-8"))


def country_names() -> dict[str, str]:
    """Return the countries of ISO 3166-1: alpha-2 code to the name that is written."""
    names: dict[str, str] = _data("countries.json")["names"]
    return names


@lru_cache(maxsize=8192)
def _country_code(text: str) -> str | None:
    codes: dict[str, str] = _data("countries.json")["codes"]
    return codes.get(fold(text))


def _country_get(value: Any) -> str | None:
    if not _text(value).strip():
        return None
    code = _country_code(value)
    if code is None:
        raise Refused(f"{_shown(value)} is not a country")
    return code


def _country_put(value: Any) -> str:
    try:
        return country_names()[value]
    except KeyError:
        raise Refused(f"{_shown(value)} is not a country of ISO 3166-1") from None


@lru_cache(maxsize=16384)
def _region_code(text: str, country: str | None) -> str:
    regions: dict[str, str] = _data("regions.json").get(country, {})
    return regions.get(fold(text), text)


def _region_get(value: Any, country: str | None) -> str:
    return _region_code(_text(value), country)


def _region(options: dict[str, Any], setting: Setting) -> Transform:
    argument = setting.argument(options["country"], _is_country, "a country code")
    return Transform("region", "quotient", _region_get, put_code="v", argument=argument)


def _is_country(text: str) -> bool:
    return re.fullmatch("[A-Z]{2}", text) is not None


# Telephones


@lru_cache(maxsize=16384)
def _phone_canonical(text: str, region: str | None) -> str:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return text
    if not phonenumbers.is_valid_number(number):
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.RFC3966)


def _phone(options: dict[str, Any], setting: Setting) -> Transform:
    form = options.get("form", "international")
    if form not in ("international", "rfc3966", "e164"):
        raise Misused(f"`phone` has no form `{form}`", "it has international, rfc3966, e164")
    argument = setting.argument(options["region"], _is_country, "a country code") if "region" in options else Argument()

    def get(value: Any, region: str | None) -> str | None:
        text = _text(value).strip()
        return _phone_canonical(text, region) if text else None

    @lru_cache(maxsize=16384)
    def put(value: str, _region: str | None) -> str:
        if form == "rfc3966" or not value.startswith("tel:"):
            return value
        import phonenumbers

        try:
            number = phonenumbers.parse(value, None)
        except phonenumbers.NumberParseException:
            return value
        kind = phonenumbers.PhoneNumberFormat
        return phonenumbers.format_number(number, kind.E164 if form == "e164" else kind.INTERNATIONAL)

    return Transform("phone", "retract" if form == "e164" else "quotient", get, put, argument=argument, nullable=True, alone=_has_prefix)


def _has_prefix(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip().startswith(("+", "tel:+"))


# Numbers


def _parser(options: dict[str, Any]) -> Callable[[Any], Decimal | int]:
    point, group = options.get("point", "."), options.get("group", "")
    if len(point) != 1 or point == group or point in "0123456789-+" or any(c in "0123456789-+" for c in group):
        raise Misused("`point` is one character and another than `group`", 'as in {point: ",", group: "."}')
    whole = rf"(?:[1-9][0-9]{{0,2}}(?:{re.escape(group)}[0-9]{{3}})+|[0-9]{{1,24}})" if group else "[0-9]{1,24}"
    shape = re.compile(rf"[+-]?(?:{whole}(?:{re.escape(point)}[0-9]{{0,24}})?|{re.escape(point)}[0-9]{{1,24}})")

    def parse(value: Any) -> Decimal | int:
        if isinstance(value, str):
            text = value.strip()
            if not shape.fullmatch(text):
                raise Refused("the text is not a number as the rule expects it")
            return Decimal(text.replace(group, "").replace(point, ".") if group else text.replace(point, "."))
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise Refused("the value is not an exact number")
        return value

    return parse


def _writer(options: dict[str, Any], setting: Setting) -> Callable[[Decimal], Any]:
    point = options.get("point", ".")
    if not setting.text_numbers:
        return lambda number: number
    if point == ".":
        return lambda number: format(number, "f")
    return lambda number: format(number, "f").replace(".", point)


def _number_of(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise Refused("the value is not an exact number")
    return Decimal(value)


def _decimal(options: dict[str, Any], setting: Setting) -> Transform:
    kinds = {spec.kind for spec in setting.fields}
    integer = kinds == {"integer"}
    declared = 0 if integer else next((spec.scale for spec in setting.fields if spec.scale is not None), None)
    scale = options.get("scale", declared)
    if scale is not None and not 0 <= scale <= 12:
        raise Misused("`decimal`: `scale` is from 0 to 12")
    fixed = "scale" in options
    quantum = None if scale is None else Decimal(1).scaleb(-scale)
    parse, write = _parser(options), _writer(options, setting)

    def get(value: Any) -> Decimal | int:
        number = parse(value)
        if integer:
            if number != int(number):
                raise Refused("the value is not a whole number")
            return int(number)
        if quantum is None or (isinstance(number, int) and not fixed):
            return number
        if not fixed and isinstance(number, Decimal) and -int(number.as_tuple().exponent) <= (scale or 0):
            return number
        return rounded(Decimal(number), quantum)

    def put(value: Any) -> Any:
        number = _number_of(value)
        if quantum is not None and (fixed or -int(number.as_tuple().exponent) > (scale or 0)):
            number = rounded(number, quantum)
        return int(number) if integer and not setting.text_numbers else write(number)

    return Transform("decimal", "retract", get, put)


def _money(options: dict[str, Any], setting: Setting) -> Transform:
    argument = setting.argument(options["currency"], MINOR_UNITS.__contains__, "a currency of ISO 4217")
    parse, write = _parser(options), _writer(options, setting)

    @lru_cache(maxsize=8192)
    def of_text(text: str, currency: str | None) -> Decimal:
        return _in_minor_units(parse(text), currency)

    def get(value: Any, currency: str | None) -> Decimal:
        return of_text(value, currency) if value.__class__ is str else _in_minor_units(parse(value), currency)

    def put(value: Any, currency: str | None) -> Any:
        return write(_in_minor_units(_number_of(value), currency))

    return Transform("money", "retract", get, put, argument=argument)


def _in_minor_units(amount: Decimal | int, currency: str | None) -> Decimal:
    if currency is None:
        raise Refused("the amount has no currency: the record names none and the connection declares none")
    return quantize(amount, currency)


# Days and moments


def _date(options: dict[str, Any], _setting: Setting) -> Transform:
    form = options.get("format", "%Y-%m-%d")
    _try_format(form, "day", "%Y %m %d", datetime(2026, 11, 22))  # noqa: DTZ001 - a day has no zone

    @lru_cache(maxsize=8192)
    def get(value: Any) -> str:
        try:
            return datetime.strptime(_text(value).strip(), form).date().isoformat()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            raise Refused(f"the text is not a date as {form}") from None

    @lru_cache(maxsize=8192)
    def put(value: Any) -> str:
        text = _written(date.fromisoformat(_text(value)), form)
        if get(text) != value:
            raise Refused(f"the date cannot be written as {form}")
        return text

    return Transform("date", "iso", get, put)


def _written(day: date, form: str) -> str:
    """Return a day or moment in a format, its year in four digits: the C library leaves leading zeros out, and then nothing can read it."""
    return day.strftime(re.sub("%[%Y]", lambda found: found[0] if found[0] == "%%" else f"{day.year:04d}", form))


def _try_format(form: str, what: str, needed: str, sample: datetime) -> None:
    try:
        told = datetime.strptime(sample.strftime(form), form)  # noqa: DTZ007 - only tries the format
    except ValueError:
        told = datetime.min  # noqa: DTZ901 - equals no sample
    if told != sample:
        raise Misused(f"`{form}` does not tell a {what}", f"it needs at least {needed}")


def _wall_time(options: dict[str, Any], _setting: Setting) -> Transform:
    form = options.get("format")
    try:
        zone = ZoneInfo(options["tz"])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Misused(f"`{options['tz']}` is not a time zone", "use a name of the IANA table, such as Europe/Berlin") from None
    if form is not None:
        _try_format(form, "time", "%Y %m %d %H %M", datetime(2026, 11, 22, 13, 45))  # noqa: DTZ001 - only tries the format

    def get(value: Any) -> str:
        text = _text(value).strip()
        try:
            local = datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007 - the zone comes next
        except ValueError:
            raise Refused(f"the text is not a local time{f' as {form}' if form else ''}") from None
        if local.tzinfo is not None:
            raise Refused("the time carries an offset: it is no local time")
        moment = local.replace(tzinfo=zone).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) != local:
            raise Refused("the time does not exist in its zone: the clock was put forward")
        return _utc_text(moment)

    def put(value: Any) -> str:
        local = _moment(_instant_get(value)).astimezone(zone).replace(tzinfo=None)
        if form is None:
            return local.isoformat(timespec="seconds")
        text = _written(local, form)
        if datetime.strptime(text, form).date() != local.date():  # noqa: DTZ007 - the zone is known
            raise Refused(f"the time cannot be written as {form}")
        return text

    return Transform("wall_time", "retract", get, put)


def _utc_text(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _moment(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(_text(value).strip())
    except ValueError:
        raise Refused("the text is not an instant as ISO 8601") from None


def _instant_get(value: Any) -> str:
    moment = _moment(value)
    if moment.tzinfo is None:
        raise Refused("the time has no offset from UTC")
    return _utc_text(moment.astimezone(UTC))


def _utc_naive_get(value: Any) -> str:
    moment = _moment(value)
    if moment.tzinfo is not None:
        raise Refused("the time carries an offset: it is no naive UTC time")
    return _utc_text(moment)


def _instant_put(value: Any) -> Any:
    _instant_get(value)  # a field of an installation's own may hold what is no moment
    return value


def _utc_naive_put(value: Any) -> str:
    return _moment(_instant_get(value)).strftime("%Y-%m-%d %H:%M:%S")


def _fixed(name: str, law: Law, get: Function, put: Function | None = None, **more: Any) -> Callable[[Any, Any], Transform]:
    built = Transform(name, law, get, put, **more)
    return lambda _options, _setting: built


_NUMBER_OPTIONS: dict[str, type] = {"point": str, "group": str}
# Name: builder, options with their types, options that must be given.
BUILDERS: dict[str, tuple[Callable[[Any, Setting], Transform], dict[str, type], tuple[str, ...]]] = {
    "str": (_fixed("str", "iso", _as_text, put_code="v"), {}, ()),
    "trim": (_simple("trim", lambda v: v.strip() or None, "v.strip() or None", nullable=True), {}, ()),
    "collapse_ws": (_simple("collapse_ws", lambda v: " ".join(v.split()) or None, "' '.join(v.split()) or None", nullable=True), {}, ()),
    "lower": (_simple("lower", lambda v: v.lower(), "v.lower()"), {}, ()),
    "upper": (_simple("upper", lambda v: v.upper(), "v.upper()"), {}, ()),
    "not": (_fixed("not", "iso", _not, _not), {}, ()),
    "odoo_false_null": (
        _simple("odoo_false_null", lambda v: None if v is False else v, "None if v is False else v", nullable=True),
        {},
        (),
    ),
    "map": (_map, {}, ()),
    "code": (_code, {"of": str, "country": str}, ("of",)),
    "country": (_fixed("country", "quotient", _country_get, _country_put, nullable=True), {}, ()),
    "region": (_region, {"country": str}, ("country",)),
    "phone": (_phone, {"region": str, "form": str}, ()),
    "decimal": (_decimal, {"scale": int, **_NUMBER_OPTIONS}, ()),
    "money": (_money, {"currency": str, **_NUMBER_OPTIONS}, ("currency",)),
    "date": (_date, {"format": str}, ()),
    "wall_time": (_wall_time, {"tz": str, "format": str}, ("tz",)),
    "instant": (_fixed("instant", "retract", _instant_get, _instant_put), {}, ()),
    "utc_naive": (_fixed("utc_naive", "retract", _utc_naive_get, _utc_naive_put), {}, ()),
    "lines": (_lines, {"n": int}, ("n",)),
    "join": (_join, {"sep": str}, ()),
    "split_name": (_split_name, {}, ()),
    "formula_guard": (_formula_guard, {}, ()),
    "first_of_list": (_fixed("first_of_list", "one-way", _first, nullable=True), {}, ()),
    "hash": (_fixed("hash", "one-way", _hash), {}, ()),
}
