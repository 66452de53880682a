"""Values to try a mapping with: canonical ones as the model has them, external ones as a system may hold them, the awkward of each kind.

Imported only where laws are proved: it needs Hypothesis.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from erpcrm_bridge.connector import Field
from erpcrm_bridge.mapping.check.fit import AMOUNT_DIGITS, values_known
from erpcrm_bridge.mapping.rules import Plan, World, table_of
from erpcrm_bridge.mapping.transforms import Transform
from erpcrm_bridge.model.fields import FieldSpec, field_at
from erpcrm_bridge.model.money import MINOR_UNITS

Values: TypeAlias = st.SearchStrategy[Any]

_CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"))
_AWKWARD = ["0012", "1e5", "False", "NO", "a  b", "A@b", "O'Brien", "Ünïcode ß", "x, y", "line\none", "-", "1,234.50", "=1+1"]
_DIRTY = ["", " ", "  x ", "a\r\nb", "a\rb", "\u00a0", "\nb", "a\n\nb", "a\nb\nc"]
_PHONES = ["tel:+49-89-99998123", "tel:+49-30-1234567;ext=12", "tel:+1-212-555-0100", "ask reception"]
_TYPED_PHONES = ["(089) 99998123", "+1 212 555 0100", "0049 89 99998123", "ext. 12", "+49 30 1234567 ext. 12"]
_YEAR = 2025
_TEXT = 12


def names_of(plan: Plan) -> frozenset[str]:
    """Return the names of the transforms of a rule."""
    return frozenset(transform.name for transform in plan.via)


# Canonical


@st.composite
def golden_of(draw: Any, world: World, plan: Plan, fields: Mapping[str, FieldSpec]) -> dict[str, Any]:
    """Draw canonical values of all that the put of a rule looks at: its own paths, what its transforms take, what its expression reads."""
    values: dict[str, Any] = {}
    around = [path for path in (*plan.arguments, *sorted(plan.touched_by)) if path not in plan.rule.canonical]
    for path in dict.fromkeys(around):
        values[path] = draw(canonical(world, None, field_at(fields, path), None))
    own = [draw(canonical(world, plan, one, _currency(plan, fields, values))) for one in plan.fields]
    if region := next((transform for transform in plan.via if transform.name == "region"), None):
        own = [region.get(value, _taken(region, values)) for value in own]  # a part of the country has one canonical name: its code
    if len(own) > 1:
        own = [draw(st.just(value) | st.none()) for value in own]
    return values | dict(zip(plan.rule.canonical, own, strict=True))


def _currency(plan: Plan, fields: Mapping[str, FieldSpec], values: Mapping[str, Any]) -> str | None:
    """Return the currency that says how fine an amount is: the one that the rule takes, else none (two decimals)."""
    money = next((transform for transform in plan.via if transform.name == "money"), None)
    return _taken(money, values) if money is not None else None


def _taken(transform: Transform, values: Mapping[str, Any]) -> Any:
    """Return the argument of a transform among these values; None where it takes none."""
    argument = transform.argument
    if argument is None:
        return None
    return values.get(argument.path) if argument.path is not None else argument.fixed


def canonical(world: World, plan: Plan | None, field: FieldSpec | None, currency: str | None) -> Values:
    """Return canonical values of a field, in their canonical form. With its rule: those that the rule's table names too."""
    named = _named_canonical(world, plan)
    if named and field is not None and field.kind not in ("amount", "decimal", "integer", "boolean"):
        return st.sampled_from(named)
    timed = plan is not None and names_of(plan) & {"instant", "utc_naive", "wall_time"}
    if field is None or (field.kind in ("text", "custom") and not timed):
        if plan is not None and "phone" in names_of(plan):
            return st.sampled_from(_PHONES) | _texts(field)
        return _texts(field)
    if field.kind == "amount":
        return _amounts(MINOR_UNITS.get(currency or "EUR", 2))
    if field.kind in ("currency", "country", "choice"):
        return st.sampled_from(values_known(field) or ("x",))
    if field.kind == "instant" or timed:
        zone = _zone_of(plan)
        usual = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)).map(_utc)  # noqa: DTZ001 - canonical instants are UTC text
        return st.sampled_from([_utc(at) for at in _turns(zone)]) | usual if zone else usual
    return {
        "decimal": _decimals(field.scale or 0),
        "integer": st.integers(0, 10**6),
        "boolean": st.booleans(),
        "date": st.dates(datetime(1900, 1, 1).date(), datetime(2100, 1, 1).date()).map(lambda day: day.isoformat()),  # noqa: DTZ001
        "reference": st.sampled_from(["G0000000000001", "G0000000000002"]),
    }[field.kind]


def _named_canonical(world: World, plan: Plan | None) -> list[Any]:
    if plan is None:
        return []
    table = table_of(world.spec, plan.spec)
    choices = plan.fields[0].choices if len(plan.fields) == 1 else ()
    outputs = [*((*table.pairs.values(), *table.write) if table else ()), *_codes(world, plan).values()]
    return [value for value in dict.fromkeys([*choices, *outputs]) if value is not None] if outputs else []


def _texts(field: FieldSpec | None) -> Values:
    longest = (field.max_length if field is not None else None) or 255
    raw = (
        st.text(_CHARACTERS, min_size=1, max_size=min(longest, _TEXT))
        | st.sampled_from(_AWKWARD)
        | st.sampled_from(["x" * longest, "n" * (longest // 2 + 1)])
    )
    normalise = field.normalise if field is not None else None
    return raw.map(lambda text: normalise(text[:longest]) if normalise else text[:longest])


def _amounts(places: int) -> Values:
    most = 10**AMOUNT_DIGITS - 1
    awkward = [Decimal(most - 15).scaleb(-places), Decimal(1).scaleb(-places), Decimal(0).scaleb(-places)]
    return st.integers(-most, most).map(lambda units: Decimal(units).scaleb(-places)) | st.sampled_from(awkward)


def _decimals(places: int) -> Values:
    return st.integers(-(10**12), 10**12).map(lambda units: Decimal(units).scaleb(-places)) | st.sampled_from(
        [Decimal(1).scaleb(-places), Decimal(0)]
    )


def _utc(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _zone_of(plan: Plan | None) -> str | None:
    entries = [entry["wall_time"] for entry in (plan.spec.via if plan else ()) if isinstance(entry, dict) and "wall_time" in entry]
    return entries[0]["tz"] if entries else None


@cache
def _turns(zone: str) -> tuple[datetime, ...]:
    """Return moments (UTC) around both changes of the clock in a zone."""
    found: list[datetime] = []
    at = datetime(_YEAR, 1, 1, tzinfo=UTC)
    while at.year == _YEAR:
        later = at + timedelta(hours=1)
        if at.astimezone(ZoneInfo(zone)).utcoffset() != later.astimezone(ZoneInfo(zone)).utcoffset():
            found += [later + timedelta(minutes=minutes) for minutes in (-90, -30, 0, 30, 90)]
        at = later
    return tuple(found) or (datetime(_YEAR, 7, 1, 12, tzinfo=UTC),)


# External


def external(world: World, plan: Plan, field: Field | None) -> Values:
    """Return what a system may hold in a field."""
    own = _named_external(world, plan)
    kind = field.type if field is not None else "text"
    listed = list(field.choices) if field is not None else []
    if listed:
        unknown = [] if field is not None and field.restricted else ["a value nobody listed"]
        some: Values = st.sampled_from([*listed, *unknown])
    elif kind == "boolean":
        some = st.booleans()
    elif kind == "number":
        some = _numbers(field)
    elif kind == "date":
        some = st.dates(datetime(1900, 1, 1).date(), datetime(2100, 1, 1).date()).map(lambda day: day.isoformat())  # noqa: DTZ001
    elif kind == "instant":
        some = _instants(plan)
    else:
        longest = min(field.length or 255, 255) if field is not None else 255
        typed = [*_AWKWARD, *_DIRTY, *(_TYPED_PHONES if "phone" in names_of(plan) else ()), "x" * longest]
        some = st.sampled_from([*own, *[text[:longest] for text in typed]]) | st.text(_CHARACTERS, max_size=min(longest, _TEXT))
        if "decimal" in names_of(plan) or "money" in names_of(plan):
            some |= _numbers(field).map(lambda number: format(number, "f"))
        if "country" in names_of(plan):
            some |= st.sampled_from(["Deutschland", "de", "UNITED KINGDOM", "Freedonia"])
        if names_of(plan) & {"instant", "utc_naive", "wall_time"}:
            some |= _instants(plan)
    if world.literal_names and kind in ("number", "boolean"):
        some = some.map(str)
    return st.none() | some if field is None or field.nullable else some


def _named_external(world: World, plan: Plan) -> list[Any]:
    table = table_of(world.spec, plan.spec)
    return [*dict.fromkeys([*(table.pairs if table else ()), *_codes(world, plan)])]


def _codes(world: World, plan: Plan) -> Mapping[str, str]:
    """Return this account's table that a rule reads: its ids to canonical codes."""
    kinds = [entry["code"]["of"] for entry in plan.spec.via if isinstance(entry, dict) and "code" in entry]
    return world.codes.get(kinds[0], {}) if kinds else {}


def _numbers(field: Field | None) -> Values:
    scale = field.scale if field is not None and field.scale is not None else 2
    digits = field.precision if field is not None and field.precision is not None else 12
    most = 10**digits - 1
    return st.integers(-most, most).map(lambda units: Decimal(units).scaleb(-scale)) | st.sampled_from([0, 1, Decimal("0.10")])


def _instants(plan: Plan) -> Values:
    zone = _zone_of(plan)
    moments = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
    if zone:
        local = st.sampled_from(_turns(zone)) | moments
        return local.map(lambda at: at.astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat(timespec="seconds"))
    if "utc_naive" in names_of(plan):
        return moments.map(lambda at: at.strftime("%Y-%m-%d %H:%M:%S"))
    return moments.map(lambda at: at.isoformat(timespec="milliseconds"))
