"""What people do in the systems. Each act says values that nobody else says (they hold the act's number), so that it can be told later
what became of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec import Struct

from erpcrm_bridge.errors import UsageError
from erpcrm_bridge.model.records import ListWrite
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.testing.stories.ground import NEVER, Ground
from erpcrm_bridge.testing.stories.scene import CHOICES, LINES, MOVES, STREAM_OF, TAG, UNITS, UNMAPPED
from erpcrm_bridge.testing.system import Moved, Refused, Rights

PRICE = Decimal(2)
SHARED = "Shared@Firm.example"


class Act(Struct, frozen=True):
    """``what`` is done in the system ``role``; ``number`` is unique in its story, and all that is left to chance is drawn from it."""

    number: int
    what: str
    role: str


def act(ground: Ground, doing: Act) -> bool:
    """Let a person act; return whether there was anything to act on and the system took it."""
    rng = random.Random(f"{ground.seed}/{doing.number}")
    try:
        ACTS[doing.what](ground, doing, rng)
    except (Refused, Moved, UsageError, _Nothing):
        return False
    return True


class _Nothing(Exception):
    """There is nothing to act on."""


def _pick(rng: random.Random, found: list[Any]) -> Any:
    if not found:
        raise _Nothing
    return rng.choice(found)


def _records(ground: Ground, role: str, entity: str) -> dict[str, Fields]:
    if entity not in STREAM_OF[role]:
        raise _Nothing
    return ground.systems[role].all(STREAM_OF[role][entity])


def said(entity: str, unit: str, role: str, number: int, rng: random.Random) -> Fields:
    """Return external fields that say something new of a unit."""
    names = UNITS[entity][unit][role]
    value: Any
    if unit == "name":
        value = f"N{number} Maschinenfabrik {number}"
    elif unit == "email":
        value = SHARED if rng.random() < 0.08 else f"M{number}@Firm.example"
    elif unit == "phone":
        value = f"+49 (30) {number:05d}"
    elif unit == "credit_limit":
        value = Decimal(number) + Decimal("0.25")
    elif unit == "billing":
        return {names[0]: f"Town{number}", names[1]: f"{number:05d}"}
    elif unit == "first_name":
        value = f"F{number}irstname"
    elif unit == "custom.Segment":
        value = f"S{number}"
    elif unit == "po_number":
        value = f"po-{number}"
    else:
        value = rng.choice(list(CHOICES[unit][role]))
    return {names[0]: value}


def _new(ground: Ground, doing: Act, rng: random.Random, entity: str, tag: str) -> None:
    role, number = doing.role, doing.number
    if entity not in STREAM_OF[role]:
        raise _Nothing
    fields: Fields = {TAG[entity][role]: tag}
    for unit in ground.place.units[entity]:
        if role not in UNITS[entity][unit] or unit in ("parent", "customer", "total"):
            continue
        if unit == "name" or rng.random() < 0.6:
            fields |= said(entity, unit, role, number, rng)
    lists = None
    if entity != "customer":
        fields[UNITS[entity]["customer"][role][0]] = _pick(rng, list(_records(ground, role, "customer")))
    if entity == "order":
        fields.pop("state", None)
        if role == "crm":
            fields["Stage"] = "Draft"
        fields["Currency" if role == "crm" else "cur"] = "EUR"
        lines = [_line(role, number * 10 + n, number * 10 + n) for n in range(rng.randint(0, 3))]
        fields[UNITS["order"]["total"][role][0]] = sum((line[LINES[role][4]] for line in lines), Decimal(0))
        lists = {LINES[role][0]: lines}
    if rng.random() < 0.1:
        fields[UNMAPPED[role]] = f"private {number}"
    if rng.random() < 0.05:
        fields["Ref"] = f"X-{number}"
    ground.systems[role].create(STREAM_OF[role][entity], fields, lists)


def _line(role: str, product: int, quantity: int) -> Fields:
    _, item, count, price, amount = LINES[role]
    return {item: f"P{product}", count: Decimal(quantity), price: PRICE, amount: quantity * PRICE}


def _create(entity: str, letter: str) -> Callable[[Ground, Act, random.Random], None]:
    return lambda ground, doing, rng: _new(ground, doing, rng, entity, f"{letter}{doing.number}")


def _enter_again(ground: Ground, doing: Act, rng: random.Random) -> None:
    """Somebody enters by hand what another system has already."""
    entity = rng.choice(["customer", "customer", "contact", "order"])
    here = {fields[TAG[entity][doing.role]] for fields in _records(ground, doing.role, entity).values()}
    there = [
        fields[TAG[entity][role]]
        for role in STREAM_OF
        if role != doing.role and entity in STREAM_OF[role]
        for fields in ground.systems[role].all(STREAM_OF[role][entity]).values()
    ]
    _new(ground, doing, rng, entity, _pick(rng, sorted({tag for tag in there if tag not in here and tag})))


def _enter_double(ground: Ground, doing: Act, rng: random.Random) -> None:
    """Somebody enters what the same system has already."""
    tags = sorted(str(fields["Vat" if doing.role == "crm" else "vat"]) for fields in _records(ground, doing.role, "customer").values())
    _new(ground, doing, rng, "customer", _pick(rng, tags))


def _edit(entity: str, *, clearing: bool = False) -> Callable[[Ground, Act, random.Random], None]:
    def edit(ground: Ground, doing: Act, rng: random.Random) -> None:
        role = doing.role
        key = _pick(rng, list(_records(ground, role, entity)))
        units = [
            unit
            for unit, by_role in ground.place.units[entity].items()
            if role in by_role
            and unit not in ("parent", "customer", "total")
            and not (unit == "state" and role == "erp")
            and not (clearing and unit in ("name", "status", "state", "is_company"))
        ]
        fields: Fields = {}
        for unit in rng.sample(units, min(len(units), rng.choice([1, 1, 2]))):
            fields |= dict.fromkeys(UNITS[entity][unit][role]) if clearing else said(entity, unit, role, doing.number, rng)
        if rng.random() < 0.1:
            fields[UNMAPPED[role]] = f"private {doing.number}"
        ground.systems[role].edit(STREAM_OF[role][entity], key, fields)

    return edit


def _remote(ground: Ground, doing: Act, rng: random.Random) -> None:
    """An edit of the same unit of one thing in this system and another: two people at once."""
    entity = rng.choice(["customer", "customer", "contact"])
    mine = {fields[TAG[entity][doing.role]]: key for key, fields in _records(ground, doing.role, entity).items()}
    other = rng.choice([role for role in STREAM_OF if role != doing.role])
    theirs = {fields[TAG[entity][other]]: key for key, fields in _records(ground, other, entity).items()}
    tag = _pick(rng, sorted(set(mine) & set(theirs)))
    known = ground.place.units[entity].items()
    units = [unit for unit, roles in known if doing.role in roles and other in roles and unit not in ("parent", "customer")]
    unit = rng.choice(units)
    for n, (role, key) in enumerate(((doing.role, mine[tag]), (other, theirs[tag]))):
        ground.systems[role].edit(STREAM_OF[role][entity], key, said(entity, unit, role, doing.number * 10 + n, rng))


def _delete(ground: Ground, doing: Act, rng: random.Random) -> None:
    entity = "customer" if doing.what == "delete customer" else rng.choice(["customer", "customer", "contact", "order"])
    key = _pick(rng, list(_records(ground, doing.role, entity)))
    ground.systems[doing.role].delete(STREAM_OF[doing.role][entity], key)


def _restore(ground: Ground, doing: Act, rng: random.Random) -> None:
    entity = rng.choice(["customer", "customer", "contact", "order"])
    if entity not in STREAM_OF[doing.role]:
        raise _Nothing
    stream = STREAM_OF[doing.role][entity]
    there = _records(ground, doing.role, entity)
    gone = {entry.event.key for entry in ground.journal if entry.role == doing.role and entry.event.stream == stream} - set(there)
    ground.systems[doing.role].restore(stream, _pick(rng, sorted(gone)))


def _merge(ground: Ground, doing: Act, rng: random.Random) -> None:
    keys = sorted(_records(ground, doing.role, "customer"))
    loser = _pick(rng, keys)
    winner = _pick(rng, [key for key in keys if key != loser])
    ground.systems[doing.role].merge(STREAM_OF[doing.role]["customer"], loser, winner)


def _reparent(ground: Ground, doing: Act, rng: random.Random) -> None:
    entity, unit = rng.choice([("contact", "customer"), ("customer", "parent"), ("customer", "parent")])
    if doing.role not in UNITS[entity][unit]:
        raise _Nothing
    key = _pick(rng, list(_records(ground, doing.role, entity)))
    target = _pick(rng, [other for other in _records(ground, doing.role, "customer") if other != key])
    if unit == "parent" and rng.random() < 0.2:
        target = None
    ground.systems[doing.role].edit(STREAM_OF[doing.role][entity], key, {UNITS[entity][unit][doing.role][0]: target})


def _lines(ground: Ground, doing: Act, rng: random.Random) -> None:
    role = doing.role
    key = _pick(rng, list(_records(ground, role, "order")))
    stream = STREAM_OF[role]["order"]
    name, _, count, _, amount = LINES[role]
    held = ground.systems[role].get(stream, key) or {}
    rows = {row["Id" if role == "crm" else "line"]: row for row in held[name]}
    total = sum((row[amount] or Decimal(0) for row in rows.values()), Decimal(0))
    what = rng.choice(["add", "change", "change", "remove"]) if rows else "add"
    chosen = rng.choice(list(rows)) if rows else ""
    if what == "add":
        line = _line(role, doing.number, doing.number)
        writing, total = ListWrite(add={"1": line}), total + line[amount]
    elif what == "remove":
        writing, total = ListWrite(remove=(chosen,)), total - (rows[chosen][amount] or Decimal(0))
    else:
        writing = ListWrite(change={chosen: {count: Decimal(doing.number), amount: doing.number * PRICE}})
        total += doing.number * PRICE - (rows[chosen][amount] or Decimal(0))
    ground.systems[role].edit(stream, key, {UNITS["order"]["total"][role][0]: total}, {name: writing})


def _state(ground: Ground, doing: Act, rng: random.Random) -> None:
    if doing.role == "shop":
        raise _Nothing
    key = _pick(rng, list(_records(ground, doing.role, "order")))
    stream = STREAM_OF[doing.role]["order"]
    if doing.role == "crm":
        ground.systems["crm"].edit(stream, key, {"Stage": rng.choice(["Won", "Won", "Lost", "Draft"])})
        return
    now = (ground.systems["erp"].get(stream, key) or {}).get("state")
    ground.systems["erp"].move(stream, key, "state", _pick(rng, list(MOVES["state"].get(now or "", ()))))


def _rights(ground: Ground, doing: Act, rng: random.Random) -> None:
    """Somebody withdraws rights of the bridge's credential, or gives them back."""
    system = ground.systems[doing.role]
    if system.rights["bridge"] != Rights():
        give_back(ground, doing.role)
        return
    entity = rng.choice(list(STREAM_OF[doing.role]))
    stream = STREAM_OF[doing.role][entity]
    what = rng.choice(["writing", "records", "records", "records", "records", "a field"])
    if what == "writing":
        system.rights["bridge"] = Rights(write=False)
    elif what == "records":
        key = _pick(rng, list(_records(ground, doing.role, entity)))
        system.rights["bridge"] = Rights(hidden_records={stream: (key,)})
        ground.hidden.append(((doing.role, stream, key), ground.order, NEVER))
    else:
        name = {"crm": "Phone", "erp": "tel", "shop": "tel"}[doing.role]
        system.rights["bridge"] = Rights(hidden_fields={STREAM_OF[doing.role]["customer"]: (name,)})
    ground.tell(f"{doing.role}: the bridge loses its right to {what} of {stream}")


def give_back(ground: Ground, role: str) -> None:
    """Give the bridge its rights back. A record that was hidden is saved anew: a change log tells nothing of what becomes visible."""
    system = ground.systems[role]
    if system.rights["bridge"] == Rights():
        return
    hidden = system.rights["bridge"].hidden_records
    ground.hidden = [(place, first, min(last, ground.order) if place[0] == role else last) for place, first, last in ground.hidden]
    system.rights["bridge"] = Rights()
    ground.tell(f"{role}: the bridge has all its rights again")
    for stream, keys in hidden.items():
        for key in keys:
            if system.get(stream, key) is not None:
                system.edit(stream, key, {UNMAPPED[role]: "seen again"})


def _expire(ground: Ground, doing: Act, rng: random.Random) -> None:
    ground.systems[doing.role].expire_cursors(STREAM_OF[doing.role][rng.choice(list(STREAM_OF[doing.role]))])


def _wait(ground: Ground, doing: Act, rng: random.Random) -> None:
    ground.tick(rng.choice([1.0, 61.0, 4000.0]))


ACTS: dict[str, Callable[[Ground, Act, random.Random], None]] = {
    "create customer": _create("customer", "T"),
    "create contact": _create("contact", "C"),
    "create order": _create("order", "O"),
    "enter again": _enter_again,
    "enter double": _enter_double,
    "edit customer": _edit("customer"),
    "edit contact": _edit("contact"),
    "edit order": _edit("order"),
    "clear": _edit("customer", clearing=True),
    "two edits": _remote,
    "delete": _delete,
    "delete customer": _delete,
    "restore": _restore,
    "merge": _merge,
    "reparent": _reparent,
    "lines": _lines,
    "state": _state,
    "rights": _rights,
    "expire": _expire,
    "wait": _wait,
}
WEIGHTS = {
    "create customer": 10, "create contact": 7, "create order": 7, "enter again": 4, "enter double": 0.5, "edit customer": 16,
    "edit contact": 6, "edit order": 4, "clear": 4, "two edits": 8, "delete": 5, "delete customer": 1, "restore": 3, "merge": 1.5,
    "reparent": 4, "lines": 7,
    "state": 4, "rights": 4, "expire": 1, "wait": 3,
}  # fmt: skip
