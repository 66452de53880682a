"""Records in groups: ``read_group`` (17, and still in 19), ``formatted_read_group`` (19) and ``web_read_group``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from erpcrm_bridge_odoo.simulator import access, errors, orm, searching
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.domains import NUMBERED, zone_of_user
from erpcrm_bridge_odoo.simulator.env import Env
from erpcrm_bridge_odoo.simulator.fields import DATETIME, NUMBERS, Field, Model
from erpcrm_bridge_odoo.simulator.store import Row

_AGGREGATE = re.compile(r"^(\w+)(?::(\w+)(?:\((\w+)\))?)?$")
_TIMES = frozenset({"hour", "day", "week", "month", "quarter", "year"})


@dataclass(frozen=True)
class Key:
    """What is grouped by: a field, of a date or moment in such steps."""

    spelled: str
    spec: Field
    step: str | None
    zone: ZoneInfo | None = None
    """Whose days and months these are; None for dates, which have no zone."""

    def of(self, env: Env, row: Row) -> list[Any]:
        """Return the groups that a row is in: several for a many2many."""
        held = orm.value(env, self.spec, row)
        if self.spec.type == "many2many":
            return list(held) or [None]
        if self.step is not None:
            return [None if held is None else _begin(self._local(held), self.step)]
        return [bool(held) if self.spec.type == "boolean" else held]

    def _local(self, held: str) -> datetime:
        at = datetime.fromisoformat(held[:19])  # naive UTC, as it is stored
        return at.replace(tzinfo=UTC).astimezone(self.zone).replace(tzinfo=None) if self.zone else at

    def shown(self, env: Env, value: Any) -> Any:
        """Return a group's value as it is told; a time's is its label."""
        if self.spec.relation:
            return [value, orm.display(env, self.spec.relation, value)] if value else False
        if self.step is not None:
            return _label(value, self.step) if value else False
        return False if value is None else value

    def span(self, value: Any) -> tuple[str, str]:
        """Return the moments (or days) that a group of time is between."""
        ends = (value, _after(value, self.step or "month"))
        if self.zone is None:
            return ends[0].strftime("%Y-%m-%d"), ends[1].strftime("%Y-%m-%d")
        begin, end = (one.replace(tzinfo=self.zone).astimezone(UTC).strftime(DATETIME) for one in ends)
        return begin, end

    def domain(self, value: Any) -> list[Any]:
        """Return the domain of a group."""
        name = self.spec.name
        if self.step is not None and value is not None:
            begin, end = self.span(value)
            return ["&", [name, ">=", begin], [name, "<", end]]
        return [[name, "=", False if value is None else value]]


def _begin(at: datetime, step: str) -> datetime:
    if step == "hour":
        return at.replace(minute=0, second=0)
    day = at.replace(hour=0, minute=0, second=0)
    if step == "week":
        return day - timedelta(days=(day.weekday() + 1) % 7)
    if step in ("month", "quarter"):
        return day.replace(day=1, month=day.month if step == "month" else (day.month - 1) // 3 * 3 + 1)
    return day.replace(day=1, month=1) if step == "year" else day


def _after(begin: datetime, step: str) -> datetime:
    days = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
    if step in days:
        return begin + days[step]
    months = {"month": 1, "quarter": 3, "year": 12}[step]
    return begin.replace(year=begin.year + (begin.month - 1 + months) // 12, month=(begin.month - 1 + months) % 12 + 1)


def _label(begin: datetime, step: str) -> str:
    return {
        "hour": f"{begin:%I:00 %d %b}",
        "day": f"{begin:%d %b %Y}",
        "week": f"W{(begin + timedelta(days=1)).isocalendar()[1]} {begin.year}",
        "month": f"{begin:%B %Y}",
        "quarter": f"Q{(begin.month + 2) // 3} {begin.year}",
        "year": f"{begin:%Y}",
    }[step]


def _key(env: Env, model: Model, spelled: str, *, stepped: bool = False) -> Key:
    """Return what is grouped by. ``stepped``: a time without a step is refused, and not taken by months."""
    name, _, step = spelled.partition(":")
    head, _, inner = name.partition(".")
    if inner and model.known(head, lambda: errors.value(f"Invalid field {name!r} on model {model.name!r}")).relation:
        if stepped:
            raise errors.NotSimulatedError(f"grouping by {name}")
        raise errors.value(f"Property name {inner!r} has to be used on a property field.")
    spec = model.known(name, lambda: errors.value(f"Invalid field {name!r} on model {model.name!r}"))
    if not spec.store and not spec.related and env.version >= 19:
        raise errors.value(f"Cannot convert {model.name}.{name} to SQL because it is not stored")
    if not spec.store and not spec.related:
        raise errors.NotSimulatedError(f"grouping by {name}, which is not stored")
    timed = spec.type in ("date", "datetime")
    if timed and step and step not in _TIMES:
        if env.version >= 19 and step in NUMBERED:
            raise errors.NotSimulatedError(f"grouping by {spelled}")
        raise errors.value(f"Granularity specification isn't correct: {step!r}")
    if timed and not step and stepped:
        raise errors.value(f"Granularity not set on a date(time) field: {name!r}")
    return Key(spelled, spec, (step or "month") if timed else None, zone_of_user(env) if spec.type == "datetime" else None)


@dataclass(frozen=True)
class Figure:
    """A figure of a group: told under ``name``, of a field (None: the records), by ``kind``."""

    name: str
    spec: Field | None
    kind: str

    def of(self, env: Env, rows: Sequence[Row]) -> Any:
        if self.spec is None:
            return len(rows)
        held = [orm.value(env, self.spec, row) for row in rows]
        there = [one for one in held if one is not None]
        found = _KINDS[self.kind](held if self.kind == "array_agg" else there)
        if self.kind == "sum" and self.spec.type in ("float", "monetary"):
            return round(float(found), 10)
        return found


_KINDS: dict[str, Callable[[list[Any]], Any]] = {
    "sum": lambda held: sum(held) if held else 0,
    "avg": lambda held: sum(held) / len(held) if held else 0.0,
    "max": lambda held: max(held, default=False),
    "min": lambda held: min(held, default=False),
    "count": len,
    "count_distinct": lambda held: len(set(held)),
    "array_agg": list,
    "bool_and": all,
    "bool_or": any,
}


def _figure(model: Model, spelled: str) -> Figure | None:
    """Return a figure, or None for a field that adds up to nothing. Raises the ValueErrors of both versions."""
    found = _AGGREGATE.match(spelled)
    if found is None:
        raise errors.value(f"Invalid field specification {spelled!r}.")
    name, kind, inner = found.groups()
    of = inner or name
    words = f"Invalid field {of!r} on model {model.name!r}" + (f" for {spelled!r}." if kind else "")
    spec = model.known(of, lambda: errors.value(words))
    if kind is None:
        return Figure(name, spec, "sum") if spec.type in NUMBERS and spec.store and of != "id" else None
    if kind in ("recordset", "sum_currency"):
        raise errors.NotSimulatedError(f"the figure {spelled}")
    if kind not in _KINDS:
        raise errors.value(f"Invalid aggregate method {kind!r} for {spelled!r}.")
    if kind.startswith("bool_") and spec.type != "boolean":
        raise errors.NotSimulatedError(f"the figure {spelled}")
    return Figure(name, spec, kind)


Group = tuple[tuple[Any, ...], list[Row]]


def _groups(self: Records, domain: Any, keys: Sequence[Key]) -> list[Group]:
    """Return the groups, in the order of their values, what is empty last."""
    access.need(self.env, self.model, "read")
    rows = self.env.rows(self.model.name, searching.search(self.env, self.model, domain or [], order="id"))
    found: dict[tuple[Any, ...], list[Row]] = {} if keys else {(): []}
    for row in rows:
        places: list[tuple[Any, ...]] = [()]
        for key in keys:
            places = [(*place, value) for place in places for value in key.of(self.env, row)]
        for place in places:
            found.setdefault(place, []).append(row)
    groups = list(found.items())
    for at, key in reversed(list(enumerate(keys))):
        groups = _in_order(self.env, groups, at, key, down=False)
    return groups


def _in_order(env: Env, groups: list[Group], at: int, key: Key, *, down: bool) -> list[Group]:
    ranks: dict[Any, int] = {}
    if key.spec.relation:
        comodel = env.model(key.spec.relation)
        there = [env.row(comodel.name, value) for value in {place[at] for place, _ in groups} if value]
        ranks = {row["id"]: rank for rank, row in enumerate(searching.in_order(env, comodel, there, comodel.order))}

    def rank(group: Group) -> tuple[bool, Any]:
        value = group[0][at]
        return (value is None, 0 if value is None else ranks.get(value, value))

    return sorted(groups, key=rank, reverse=down)


def _ordered(self: Records, groups: list[Group], keys: Sequence[Key], figures: Sequence[Figure], order: str | None) -> list[Group]:
    for part in reversed((order or "").split(",")):
        words = part.split()
        if not words:
            continue
        down = len(words) > 1 and words[1].lower() == "desc"
        at = next((place for place, key in enumerate(keys) if words[0] in (key.spelled, key.spec.name)), None)
        figure = next((one for one in figures if words[0] in (one.name, f"{one.name}:{one.kind}")), None)
        if at is not None:
            groups = _in_order(self.env, groups, at, keys[at], down=down)
        elif words[0] == "__count" or figure is not None:
            of = figure or Figure("__count", None, "count")
            groups = sorted(groups, key=lambda group: of.of(self.env, group[1]), reverse=down)
        else:
            raise errors.value(f"Order term {part.strip()!r} is not a valid aggregate nor valid groupby")
    return groups


def _all_of(parts: Sequence[list[Any]]) -> list[Any]:
    """Return the conjunction of domains, each of them written out."""
    there = [_written_out(part) for part in parts if part]
    return ["&"] * (len(there) - 1) + [item for part in there for item in part]


def _written_out(domain: list[Any]) -> list[Any]:
    """Return a domain with the '&' that stand unsaid before it."""
    wanted = 1
    for item in domain:
        wanted += {"&": 1, "|": 1, "!": 0}.get(item, -1) if isinstance(item, str) else -1
    return ["&"] * -wanted + list(domain)


def _flat(parts: list[Any]) -> list[Any]:
    """Return a conjunction as 19 writes it: all '&' first."""
    if "|" in parts or "!" in parts:
        return parts
    leaves = [item for item in parts if item != "&"]
    return ["&"] * (len(leaves) - 1) + leaves


@method("*", "read_group", of_model=True)
def read_group(
    self: Records,
    domain: Any,
    fields: Sequence[str],
    groupby: str | Sequence[str],
    offset: int = 0,
    limit: int | None = None,
    orderby: str | None = None,
    lazy: bool = True,
) -> list[Row]:
    named = [groupby] if isinstance(groupby, str) else list(groupby)
    here = named[:1] if lazy else named
    keys = [_key(self.env, self.model, one) for one in here]
    by = {key.spec.name for key in keys}
    said = [one for one in fields if one not in by and one not in ("id", "__count")]
    figures = [figure for one in said if (figure := _figure(self.model, one)) is not None]
    groups = _ordered(self, _groups(self, domain, keys), keys, figures, orderby)[offset or 0 :]
    told = []
    for place, rows in groups[:limit] if limit else groups:
        row: Row = {key.spelled: key.shown(self.env, value) for key, value in zip(keys, place, strict=True)}
        row[f"{keys[0].spec.name}_count" if lazy and keys else "__count"] = len(rows)
        row |= {figure.name: figure.of(self.env, rows) for figure in figures}
        both = _all_of([list(domain or ()), *(key.domain(value) for key, value in zip(keys, place, strict=True))])
        row["__domain"] = _flat(both) if self.env.version >= 19 else both
        if any(key.step for key in keys):
            row["__range"] = {key.spelled: _range(key, value) for key, value in zip(keys, place, strict=True) if key.step}
        if lazy and len(named) > 1:
            row["__context"] = {"group_by": named[1:]}
        told.append(row)
    return told


def _range(key: Key, value: Any) -> Any:
    return dict(zip(("from", "to"), key.span(value), strict=True)) if value else False


@method("*", "formatted_read_group", of_model=True, only=19)
def formatted_read_group(
    self: Records,
    domain: Any,
    groupby: Sequence[str] = (),
    aggregates: Sequence[str] = (),
    having: Any = (),
    offset: int = 0,
    limit: int | None = None,
    order: str | None = None,
) -> list[Row]:
    keys = [_key(self.env, self.model, one, stepped=True) for one in ([groupby] if isinstance(groupby, str) else groupby)]
    figures = {one: _spelled(self.model, one) for one in aggregates}
    groups = _ordered(self, _groups(self, domain, keys), keys, list(figures.values()), order)
    told = []
    for place, rows in groups:
        row: Row = {}
        for key, value in zip(keys, place, strict=True):
            shown = key.shown(self.env, value)
            row[key.spelled] = [key.span(value)[0], shown] if key.step and value else shown
        extra = _flat(_all_of([key.domain(value) for key, value in zip(keys, place, strict=True)]))
        row["__extra_domain"] = extra or [[1, "=", 1]]
        row |= {one: figure.of(self.env, rows) for one, figure in figures.items()}
        if all(_holds(row, leaf) for leaf in having or ()):
            told.append(row)
    return told[offset or 0 :][: limit or None]


def _spelled(model: Model, spelled: str) -> Figure:
    if spelled == "__count":
        return Figure("__count", None, "count")
    name, _, kind = spelled.partition(":")
    model.known(name, lambda: errors.value(f"Invalid field {name!r} on model {model.name!r} for {spelled!r}."))
    if not kind:
        raise errors.value(f"Aggregate method is mandatory for {name!r}")
    found = _figure(model, spelled)
    assert found is not None  # noqa: S101 - its kind is named
    return found


_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


def _holds(row: Row, leaf: Any) -> bool:
    if not isinstance(leaf, (list, tuple)) or leaf[1] not in _COMPARED or leaf[0] not in row:
        raise errors.NotSimulatedError(f"groups having {leaf}")
    return _COMPARED[leaf[1]](row[leaf[0]], leaf[2])


@method("*", "web_read_group", of_model=True, only=17)
def web_read_group_17(
    self: Records,
    domain: Any,
    fields: Sequence[str],
    groupby: Sequence[str],
    limit: int | None = None,
    offset: int = 0,
    orderby: str | None = None,
    lazy: bool = True,
) -> Row:
    told: list[Row] = read_group(self, domain, fields, groupby, offset, limit, orderby, lazy)
    whole = told if not limit and not offset else read_group(self, domain, ["__count"], groupby, lazy=lazy)
    return {"groups": told, "length": len(whole)}


@method("*", "web_read_group", of_model=True, only=19)
def web_read_group_19(
    self: Records,
    domain: Any,
    groupby: Sequence[str],
    aggregates: Sequence[str] = (),
    limit: int | None = None,
    offset: int = 0,
    order: str | None = None,
) -> Row:
    told: list[Row] = formatted_read_group(self, domain, groupby, aggregates, (), offset, limit, order)
    whole = told if not limit and not offset else formatted_read_group(self, domain, groupby)
    return {"groups": told, "length": len(whole)}
