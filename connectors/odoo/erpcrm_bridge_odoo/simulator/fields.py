"""What a model is made of: its fields, how a value given is taken in, and how a stored one is read out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from erpcrm_bridge_odoo.simulator import errors

Compute = Callable[[Any, dict[str, Any]], Any]
"""From an environment and a row to a value."""

DATETIME = "%Y-%m-%d %H:%M:%S"
INT4 = 2**31 - 1
TEXTS = frozenset({"char", "text", "html"})
X2MANY = frozenset({"one2many", "many2many"})
NUMBERS = frozenset({"integer", "float", "monetary"})


@dataclass(frozen=True)
class Field:
    """One field of a model; ``digits``: decimals that are kept, or None for all."""

    name: str
    type: str
    string: str = ""
    required: bool = False
    readonly: bool = False
    relation: str | None = None
    inverse: str | None = None
    """The many2one of the relation that a one2many looks back through."""
    options: tuple[tuple[str, str], ...] = ()
    default: Any = None
    """A value, or a function of the environment."""
    compute: Compute | None = None
    """Of a field that is not stored."""
    translate: bool = False
    company_dependent: bool = False
    groups: tuple[str, ...] = ()
    currency_field: str | None = None
    digits: int | None = None
    copy: bool = True
    on_delete: str = "set null"
    related: str | None = None
    """A path through which the field is read and written (``partner_id.name``)."""
    domain: tuple[Any, ...] = ()

    @property
    def store(self) -> bool:
        return self.compute is None and self.type != "one2many"

    @property
    def sortable(self) -> bool:
        return self.store and self.type != "many2many"

    def described(self, version: int) -> dict[str, Any]:
        """Return what ``fields_get`` says of it."""
        stored = self.store or self.type == "one2many"
        sortable = self.sortable and (version >= 19 or not self.company_dependent)
        told: dict[str, Any] = {
            "type": self.type,
            "string": self.string,
            "name": self.name,
            "required": self.required,
            "readonly": self.readonly,
            "store": stored and (version >= 19 or not self.company_dependent),
            "searchable": True,
            "sortable": sortable,
            "company_dependent": self.company_dependent,
            "manual": False,
            "change_default": False,
            "exportable": True,
            "default_export_compatible": self.name == "name",
            "depends": [],
        }
        if version >= 19:
            told["groupable"] = self.sortable or (self.type == "many2many" and self.store)
        if self.type in NUMBERS and self.store and self.name != "id":
            told["aggregator" if version >= 19 else "group_operator"] = "sum"
        if self.type in TEXTS:
            told["translate"] = self.translate
        if self.type == "char":
            told["trim"] = True
        if self.relation:
            told["relation"] = self.relation
            told["context"] = {}
            told["domain"] = list(self.domain)
        if self.inverse:
            told["relation_field"] = self.inverse
        if self.type == "selection":
            told["selection"] = [list(option) for option in self.options]
        if self.type == "monetary":
            told["currency_field"] = self.currency_field or "currency_id"
        if self.digits is not None and self.type == "float":
            told["digits"] = [16, self.digits]
        if self.groups:
            told["groups"] = ",".join(self.groups)
        return told


@dataclass
class Model:
    """A model: its fields by name, how its rows are ordered and shown, and who may do what with them."""

    name: str
    string: str
    fields: dict[str, Field]
    order: str = "id"
    shown_by: str = "name"
    unique: Sequence[tuple[tuple[str, ...], str]] = ()
    """Columns that must be unique together, and the words said otherwise."""
    access: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Per operation (read, write, create, unlink) the groups that may; an operation left out is everybody's."""
    display: Compute | None = None
    version: int = 19

    def known(self, name: str, words: Callable[[], errors.OdooError] | None = None) -> Field:
        """Return the field. Raises an OdooError where Odoo has none, NotSimulatedError where only the simulator has none."""
        found = self.fields.get(name)
        if found is None:
            from erpcrm_bridge_odoo.simulator.known import real_field

            if real_field(self.name, name):
                raise errors.NotSimulatedError(f"field {name} of {self.name}")
            where = f"{self.name!r}" if self.version >= 19 else f"model {self.name!r}"
            raise words() if words else errors.value(f"Invalid field {name!r} on {where}")
        return found


def _display_name(env: Any, row: dict[str, Any]) -> str:
    from erpcrm_bridge_odoo.simulator.orm import display

    return display(env, row["_model"], row["id"])


MAGIC = (
    Field("id", "integer", "ID", readonly=True, copy=False),
    Field("display_name", "char", "Display Name", readonly=True, copy=False, compute=_display_name),
    Field("create_date", "datetime", "Created on", readonly=True, copy=False),
    Field("create_uid", "many2one", "Created by", readonly=True, copy=False, relation="res.users"),
    Field("write_date", "datetime", "Last Updated on", readonly=True, copy=False),
    Field("write_uid", "many2one", "Last Updated by", readonly=True, copy=False, relation="res.users"),
)


def rounded(value: float, digits: int, version: int) -> float:
    """Round to so many decimals, half away from zero."""
    return rounded_to(value, 10.0**-digits, version)


def rounded_to(value: float, unit: float, version: int) -> float:
    """Round to a multiple of ``unit``, half away from zero, a hair's breadth below counting as half.

    17 multiplies by the unit at the end (1999 * 0.01 is 19.990000000000002), 19 divides by its inverse.
    """
    if not value or not unit:
        return 0.0
    inverse = version >= 19 and unit < 1
    by = float(round(1 / unit)) if inverse else unit
    normal = value * by if inverse else value / by
    epsilon = 2.0 ** (math.log2(abs(normal)) - (50 if version >= 19 else 52))
    whole = math.copysign(math.floor(abs(normal) + epsilon + 0.5), normal)
    return whole / by if inverse else whole * by


def printed(value: float, digits: int) -> float:
    """Return what a column keeps of a number that was rounded: so many decimals, without the noise of its binary fraction."""
    return float(f"{value:.{digits}f}")


def moment_in(value: str) -> str:
    """Return a datetime as a caller may write it. Raises the ValueError of any other form than '%Y-%m-%d %H:%M:%S'."""
    if len(value) == 10:
        return _parsed(value, "%Y-%m-%d").strftime(DATETIME)
    return _parsed(value, DATETIME).strftime(DATETIME)


def _parsed(value: str, form: str) -> datetime:
    try:
        return datetime.strptime(value, form)  # noqa: DTZ007 - naive UTC is what Odoo stores
    except ValueError as error:
        raise errors.value(str(error)) from error


_INLINE = frozenset({"a", "abbr", "b", "br", "code", "em", "i", "small", "span", "strong", "sub", "sup", "u"})
_BLOCK = frozenset({"blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"})
_SCRIPT = re.compile(r"<script\b[^>]*>.*?(</script\s*>|$)", re.DOTALL | re.IGNORECASE)
_ROOT = re.compile(r"<(\w+)(?: [^<>]*)?>.*</\1>", re.DOTALL)
_TAG = re.compile(r"</?(\w+)")


def sanitised(value: str) -> str:
    """Return html as the server keeps it: plain text in a paragraph, scripts gone, what is left in a span where it stood beside one.

    Raises NotSimulatedError for html whose cleaning takes more than that.
    """
    if not value.strip():
        return ""
    value = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", value).replace("\xa0", "&nbsp;")
    if re.search(r"&(?!\w+;|#\d+;)", value):
        value = re.sub(r"&(?!\w+;|#\d+;)", "&amp;", value)
    value = re.sub(r"<br\s*/>", "<br>", value)
    if "<" not in value:
        return f"<p>{value.lstrip()}</p>" if value != "0" else value
    clean = _SCRIPT.sub("", value)
    names = {name.lower() for name in _TAG.findall(clean)}
    if names <= _INLINE | _BLOCK | {"li", "tr", "td", "th", "tbody", "thead"}:
        root = _ROOT.fullmatch(clean.strip())
        one = root is not None and not re.search(rf"</{root[1]}>.*<{root[1]}\b", clean, re.DOTALL)
        if one and clean == value:
            return clean
        if names <= _INLINE:
            return f"<span>{clean}</span>"
    raise errors.NotSimulatedError("sanitising of this html")


def taken_in(spec: Field, given: Any, version: int, *, creating: bool, model: str) -> Any:
    """Return what is stored for a value that a caller gave (x2many commands apart). Raises the OdooError that the server answers."""
    if spec.type in TEXTS:
        return _text(spec, given, version)
    if spec.type == "boolean":
        return bool(given)
    if spec.type in ("integer", "many2one_reference"):
        return _integer(given)
    if spec.type in ("float", "monetary"):
        return _number(spec, given, version)
    if spec.type == "selection":
        if given is False or given is None or given == "":
            return None
        if given not in {value for value, _ in spec.options}:
            raise errors.value(f"Wrong value for {model}.{spec.name}: {given!r}")
        return given
    if spec.type == "date":
        return None if not given else _date(given)
    if spec.type == "datetime":
        return None if not given else moment_in(_string(given))
    if spec.type == "many2one":
        return _many2one(spec, given, creating=creating)
    raise errors.NotSimulatedError(f"a value for a field of type {spec.type}")


def _string(given: Any) -> str:
    if not isinstance(given, str):
        raise errors.builtin(TypeError, f"{type(given).__name__!r} object is not subscriptable")
    return given


def _text(spec: Field, given: Any, version: int) -> str | None:
    if given is None or given is False:
        return None
    shown = given if isinstance(given, str) else str(given)
    if "\x00" in shown:
        raise errors.value("A string literal cannot contain NUL (0x00) characters.")
    if any("\ud800" <= one <= "\udfff" for one in shown):
        raise errors.NotSimulatedError("a text with half a pair of surrogates")
    if spec.type != "html":
        return shown
    if not isinstance(given, str) and given and version >= 19:
        return "<p>Unknown error when sanitizing</p>"
    return sanitised(shown)


def _integer(given: Any) -> int:
    try:
        whole = int(given or 0)
    except (TypeError, ValueError) as error:
        raise errors.builtin(type(error), str(error)) from error
    if not -INT4 - 1 <= whole <= INT4:
        raise errors.postgres("errors.NumericValueOutOfRange", "integer out of range\n")
    return whole


def _number(spec: Field, given: Any, version: int) -> float:
    try:
        value = float(given or 0.0)
    except (TypeError, ValueError) as error:
        raise errors.builtin(type(error), str(error)) from error
    digits = spec.digits
    return value if digits is None else printed(rounded(value, digits, version), digits)


def _date(given: Any) -> str:
    return _parsed(_string(given)[:10], "%Y-%m-%d").strftime("%Y-%m-%d")


def _many2one(spec: Field, given: Any, *, creating: bool) -> int | None:
    """Take in a many2one: only a plain integer is safe; the rest goes as odd a way as the server's (protocols: many2one in write and
    create)."""
    if given is True and creating:
        words = f'column "{spec.name}" is of type integer but expression is of type boolean\n'
        raise errors.postgres("errors.DatatypeMismatch", words)
    if isinstance(given, bool) or given is None or given == "":
        return None
    if isinstance(given, float):
        raise errors.NotSimulatedError("a reference with decimals")
    if isinstance(given, int):
        return _integer(given) or None
    if not creating:
        return None
    if isinstance(given, str):
        try:
            return int(given)
        except ValueError:
            raise errors.postgres("errors.InvalidTextRepresentation", f'invalid input syntax for type integer: "{given}"\n') from None
    if isinstance(given, dict):
        raise errors.postgres("ProgrammingError", "can't adapt type 'dict'")
    strange = next((one for one in given if not isinstance(one, int)), None)
    if strange is not None:
        raise errors.postgres("errors.InvalidTextRepresentation", f'invalid input syntax for type integer: "{strange}"\n')
    raise errors.postgres("errors.DatatypeMismatch", f'column "{spec.name}" is of type integer but expression is of type integer[]\n')


def read_out(spec: Field, stored: Any) -> Any:
    """Return a stored value as JSON and XML-RPC tell it (many2one and x2many apart): False for empty, seconds without their fraction."""
    if spec.type in NUMBERS or spec.type == "many2one_reference":
        return stored if stored is not None else (0.0 if spec.type in ("float", "monetary") else 0)
    if stored is None:
        return False
    if spec.type == "datetime" and isinstance(stored, str):
        return stored[:19]
    return stored
