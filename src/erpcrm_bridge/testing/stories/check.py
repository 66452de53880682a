"""Did the bridge keep its laws? Judged from the systems' journal and contents alone, never from the bridge's store; only whether a
difference is parked, with its reason, is asked of the store through its public calls.

The journal is retold as *facts*: for each record and unit the values that it held and who said them. An edit is a value that a person (or
the system's own trigger) said. It is kept if it stands; if a person overwrote it; or if the bridge, after having been shown it, overwrote
it with another edit that a rule lets win: one that was made in sight of it, or, where neither was, the one that the policy prefers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from msgspec import Struct

from erpcrm_bridge.model.values import Fields, normal, same
from erpcrm_bridge.store import LinkRow, ParkedRow, Store
from erpcrm_bridge.testing.stories.ground import NEVER, Call, Entry, Ground
from erpcrm_bridge.testing.stories.scene import (
    ENTITY_OF,
    FLOW,
    LINE_UNITS,
    LINES,
    PERSON,
    POLICIES,
    REFERS,
    ROLES,
    STREAM_OF,
    TAG,
    UNITS,
    UNMAPPED,
    meaning,
    rendition,
)

Thing: TypeAlias = tuple[str, str]
"""entity and tag"""
Place: TypeAlias = tuple[str, str, str]
"""role, stream and key"""
Unit: TypeAlias = Any
"""the name of a unit, or ("line", product) or ("line", product, field)"""


COMPANIES = "credit_limit"
"""The unit that a record has only while it is a company, where PERSON says so."""
PARENTS = {by_role[role][0] for by_role in (UNITS["contact"]["customer"], UNITS["order"]["customer"]) for role in by_role}
"""The fields that hold a required parent."""


IN_WINDOW = "edit in the window of L5"
READS = ("read", "changes", "scan")
"""the calls that show records as they stand"""


class Violation(Exception):
    """A law was broken: which, and what was seen."""

    def __init__(self, law: str, what: str) -> None:
        super().__init__(law, what)
        self.law, self.what = law, what

    def __str__(self) -> str:
        return f"{self.law}: {self.what}"


class Edit(Struct, frozen=True):
    """A value that somebody other than the bridge said."""

    order: int
    thing: Thing
    place: Place
    unit: Unit
    value: Any
    by: str

    @property
    def role(self) -> str:
        return self.place[0]

    @property
    def is_empty(self) -> bool:
        return self.value in (None, (None, None))

    def __str__(self) -> str:
        return f"{self.role} {self.place[2]} {self.unit}={self.value!r} (said at {self.order})"


class Held(Struct, frozen=True):
    order: int
    value: Any
    actor: str


class Life(Struct, frozen=True):
    """A record's beginning, end or return."""

    order: int
    place: Place
    verb: str
    actor: str


class Facts(Struct):
    """The journal, retold."""

    tags: dict[Place, str] = {}
    things: dict[Place, Thing] = {}
    places: dict[Thing, list[Place]] = {}
    held: dict[tuple[Place, Unit], list[Held]] = {}
    edits: list[Edit] = []
    of_unit: dict[tuple[Thing, Unit], list[Edit]] = {}
    lives: dict[Thing, list[Life]] = {}
    live: dict[Place, bool] = {}
    born: dict[Place, Life] = {}
    seen: dict[Place, list[int]] = {}
    joined: dict[Thing, int] = {}
    """when the bridge first wrote any record of the thing"""

    def now(self, place: Place, unit: Unit) -> Any:
        history = self.held.get((place, unit))
        return history[-1].value if history else None


def check(ground: Ground, changed: bool, settled: Sequence[tuple[int, str, list[str]]]) -> None:
    """Raise Violation for the first law that was broken, as the systems stand now."""
    ground.notes.pop(IN_WINDOW, None)  # each look counts anew
    facts = retell(ground)
    parked = _parked(ground, facts)
    by_person = _settled(ground, facts, settled)
    _after_quota(ground.calls)
    _fenced(ground.calls)
    _brakes(ground, facts)
    for edit in facts.edits:
        _fate(ground, facts, edit, by_person)
    for thing, places in facts.places.items():
        _presence(ground, facts, thing, places, parked)
        if "*" not in parked.get(thing, ()):
            _doubles(ground, facts, thing, places)
        _sums(facts, thing, places, parked)
        _equality(ground, facts, thing, places, parked, by_person)


def silent(ground: Ground, calls: int, journal: int) -> None:
    """Raise Violation where a run in which nothing changed wrote anything."""
    written = [entry for entry in ground.journal[journal:] if entry.event.actor == "bridge"]
    if written:
        raise Violation("L6", f"nothing changed, and the bridge wrote: {written[0].role} {written[0].event.verb} {written[0].event.key}")
    asked = [call for call in ground.calls[calls:] if call.verb == "write"]
    if asked:
        raise Violation("L6", f"nothing changed, and the bridge sent a write to {asked[0].role} {asked[0].stream} {asked[0].keys}")


# --- the journal, retold ----------------------------------------------------------------------------------------------------------


def retell(ground: Ground) -> Facts:
    """Return the facts. Raises Violation for what the bridge may never do, whatever happens afterwards."""
    facts = Facts()
    for call in ground.calls:
        if call.verb in READS:
            for key in call.keys:
                facts.seen.setdefault((call.role, call.stream, key), []).append(call.order)
    _name(ground, facts)
    for entry in ground.journal:
        if (entry.role, entry.event.stream) in ENTITY_OF:
            _retell_record(ground, facts, entry)
        else:
            _retell_line(ground, facts, entry)
    return facts


def _name(ground: Ground, facts: Facts) -> None:
    """Learn each record's tag; the lines of a new order are told before the order itself."""
    for entry in ground.journal:
        role, event = entry.role, entry.event
        entity = ENTITY_OF.get((role, event.stream))
        if entity is None:
            continue
        place = _place_of(entry)
        fields = event.after if event.after is not None else event.before or {}
        tag = fields.get(TAG[entity][role])
        known = facts.tags.get(place)
        if known is None:
            if tag is None:
                raise Violation("L1", f"the bridge made {role} {event.stream} {event.key} without its {TAG[entity][role]}")
            facts.tags[place], facts.things[place] = tag, (entity, tag)
            facts.places.setdefault((entity, tag), []).append(place)
        elif tag != known:
            raise Violation("L5", f"the bridge changed {TAG[entity][role]} of {role} {event.stream} {event.key}, which nobody edited")


def _retell_record(ground: Ground, facts: Facts, entry: Entry) -> None:
    role, event = entry.role, entry.event
    entity, place = ENTITY_OF[role, event.stream], (entry.role, event.stream, event.key)
    thing = facts.things[place]
    if event.actor == "bridge":
        facts.joined.setdefault(thing, entry.order)
        _may_the_bridge(ground, facts, entry, thing, place)
    life = Life(entry.order, place, event.verb, event.actor)
    if event.verb in ("create", "restore", "delete") or (event.verb == "merge" and event.after is None):
        facts.lives.setdefault(thing, []).append(life)
        facts.live[place] = event.after is not None
        if event.verb == "create":
            facts.born[place] = life
    if event.after is None:
        return
    triggers = {trigger.field: trigger.value for trigger in ground.place.spec(role, event.stream).triggers}
    for unit, by_role in ground.place.units[entity].items():
        if role not in by_role:
            continue
        value = meaning(entity, unit, role, event.after)
        if (entity, unit) in REFERS and value is not None:
            value = facts.tags.get((role, STREAM_OF[role]["customer"], value), f"?{value}")
        own = any(name in triggers and same(event.after.get(name), triggers[name]) for name in by_role[role])
        _hold(facts, entry, thing, place, unit, value, own)
    if entity == "order" and role == "erp":
        name, item, *numbers = LINES["erp"]
        lines = {row[item]: row for row in event.after.get(name) or ()}
        _hold_lines(facts, entry, thing, place, lines, numbers)


def _retell_line(ground: Ground, facts: Facts, entry: Entry) -> None:
    """A record of the child stream: a line of its order."""
    event = entry.event
    fields: Fields = event.after or event.before or {}
    place = ("crm", "Order", str(fields.get("Order")))
    _, item, *numbers = LINES["crm"]
    product = fields.get(item)
    thing = facts.things[place]
    if event.after is None:
        if not facts.live.get(place, True) or event.verb != "delete":
            return
        _hold(facts, entry, thing, place, ("line", product), None, False)
        return
    _hold(facts, entry, thing, place, ("line", product), True, False)
    for unit, external in zip(LINE_UNITS, numbers, strict=True):
        _hold(facts, entry, thing, place, ("line", product, unit), normal(fields.get(external)), False)


def _hold_lines(facts: Facts, entry: Entry, thing: Thing, place: Place, lines: dict[str, Fields], numbers: Sequence[str]) -> None:
    known = {unit[1] for where, unit in list(facts.held) if where == place and isinstance(unit, tuple) and len(unit) == 2}
    for product in known - set(lines):
        _hold(facts, entry, thing, place, ("line", product), None, False)
    for product, row in lines.items():
        _hold(facts, entry, thing, place, ("line", product), True, False)
        for unit, external in zip(LINE_UNITS, numbers, strict=True):
            _hold(facts, entry, thing, place, ("line", product, unit), normal(row.get(external)), False)


def _hold(facts: Facts, entry: Entry, thing: Thing, place: Place, unit: Unit, value: Any, own: bool) -> None:
    history = facts.held.setdefault((place, unit), [])
    if (history and _alike(history[-1].value, value)) or (not history and (value is None or value == (None, None))):
        return
    history.append(Held(entry.order, value, entry.event.actor))
    if entry.event.actor != "bridge" or own:
        edit = Edit(entry.order, thing, place, unit, value, entry.event.actor if not own else "system")
        facts.edits.append(edit)
        facts.of_unit.setdefault((thing, unit), []).append(edit)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return all(same(a, b) for a, b in zip(one, other, strict=True))
    return same(one, other)


# --- what the bridge may never do -------------------------------------------------------------------------------------------------


def _may_the_bridge(ground: Ground, facts: Facts, entry: Entry, thing: Thing, place: Place) -> None:
    event, role = entry.event, entry.role
    before, after = event.before or {}, event.after or {}
    where = f"{role} {event.stream} {event.key}"
    if event.verb in ("create", "edit") and role in PERSON and thing[0] == "customer":
        _may_say_of_a_person(ground, facts, entry, place)
    if event.verb == "create":
        _may_create(ground, facts, entry, thing, where)
    elif event.verb == "delete":
        _may_delete(ground, facts, entry, thing, where)
    elif event.verb in ("edit", "move"):
        if before.get(UNMAPPED[role]) != after.get(UNMAPPED[role]):
            raise Violation("L11", f"the bridge wrote {UNMAPPED[role]} of {where}, which no rule maps")
        if before.get("Ref") != after.get("Ref"):
            raise Violation("L3", f"the bridge overwrote the external id of {where}")


def _may_say_of_a_person(ground: Ground, facts: Facts, entry: Entry, place: Place) -> None:
    """Of what is a person, and was shown to be one in a run that ended, no field of companies is written: another mapping takes it."""
    tells, person, field = PERSON[entry.role]
    before, after = entry.event.before or {}, entry.event.after or {}
    if after.get(tells) != person or same(before.get(field), after.get(field)):
        return
    if entry.event.verb == "edit":
        if before.get(tells) != person:
            return  # it becomes one by this very write
        since, run = facts.held[place, "is_company"][-1].order, _call_of(ground, entry.order).run
        reads = (call for call in ground.calls if call.verb in READS and call.order > since and call.run < run and call.run in ground.ended)
        if not any((call.role, call.stream) == place[:2] and place[2] in call.keys for call in reads):
            return
    raise Violation("L13", f"the bridge wrote {field} of {entry.role} {entry.event.stream} {place[2]}, which is a person")


def _was_person(facts: Facts, place: Place) -> bool:
    return place[0] in PERSON and any(held.value is False for held in facts.held.get((place, "is_company"), ()))


def _is_person(facts: Facts, place: Place) -> bool:
    """Tell whether the mapping that takes a record is the one of persons."""
    return place[0] in PERSON and facts.now(place, "is_company") is False


def _may_create(ground: Ground, facts: Facts, entry: Entry, thing: Thing, where: str) -> None:
    role, stream = entry.role, entry.event.stream
    able = ground.place.spec(role, stream).capabilities
    asked = _asked(ground, entry)
    for other in facts.places.get(thing, ()):
        if other[0] != role or not facts.live.get(other) or other[2] == entry.event.key:
            continue
        born = facts.born[other]
        ends = [life for life in facts.lives.get(thing, ()) if life.verb == "delete" and life.order < entry.order]
        if ends and ground.place.on_delete == "delete":
            continue  # it is on its way out, and was entered anew elsewhere; see ``_doubles``
        if born.actor == "bridge" and not able.upsert and _overtaken(ground, born.order, entry.order):
            ground.note("double by a worker whose lease had run out before its call")
            continue
        if born.actor == "bridge" and not able.upsert and _hidden(ground, other, entry.order):
            ground.note("double of a record that the bridge had made and was not shown")
            continue
        if born.actor == "bridge":
            raise Violation("L3", f"the bridge made {thing[1]} twice in {role}: {other[2]} and {entry.event.key}")
        if able.find and born.order < asked and not _hidden(ground, other, asked):
            raise Violation("L3", f"the bridge made {where} for {thing[1]}, which a person had entered as {other[2]}")
    lives = facts.lives.get(thing, [])
    here = [life for life in lives if life.place[0] == role]
    if here and here[-1].verb in ("delete", "merge") and here[-1].actor != "bridge":
        gone = here[-1]
        people = [life for life in lives if life.actor != "bridge"]
        again = any(life.order > gone.order and life.verb in ("create", "restore") for life in people)
        again = again or any(life.verb == "create" and _is_another(ground, facts, life, gone) for life in people)
        born_of = facts.born.get(gone.place)
        unsure = born_of is not None and born_of.actor == "bridge"
        broken = {run for _, _, run in ground.struck}
        seen_in = (c for c in ground.calls if c.verb in READS and c.order < gone.order and c.run not in broken)
        shown = any(call.role == role and call.stream == gone.place[1] and gone.place[2] in call.keys for call in seen_in)
        known = shown and facts.joined.get(thing, entry.order) < gone.order
        if known and not again and not unsure:
            raise Violation("L8", f"a person deleted {thing[1]} in {role}, and the bridge made it again as {entry.event.key}")


def _asked(ground: Ground, entry: Entry) -> int:
    """Return when the bridge asked, before a create, whether the record is there; it is to ask between any write before and this one."""
    before = [call for call in ground.calls if call.order < entry.order and (call.role, call.stream) == (entry.role, entry.event.stream)]
    before = [call for call in before if (call.run, call.worker) == (before[-1].run, before[-1].worker)]
    for call in reversed(before[:-1]):
        if call.verb == "find":
            return call.order
        if call.verb == "write":
            break
    return entry.order


def _hidden(ground: Ground, place: Place, order: int) -> bool:
    """Tell whether the bridge had no right to see the record then."""
    return any(where == place and first < order < last for where, first, last in ground.hidden)


def _call_of(ground: Ground, order: int) -> Call:
    """Return the bridge's call in which one of its writes happened."""
    return next(call for call in reversed(ground.calls) if call.order < order)


def _made_by_a_zombie(ground: Ground, facts: Facts, places: Sequence[Place]) -> bool:
    """Tell whether two of these records were made by two workers, of which one had lost its lease."""
    ever = [facts.born[place].order for place in places if facts.born[place].actor == "bridge"]
    return any(_overtaken(ground, one, other) for one in ever for other in ever if one < other)


def _unaware(ground: Ground, facts: Facts, thing: Thing) -> bool:
    """Tell whether the bridge could not know of a record of the thing, or of what it had written there: hidden since, or made or written by
    a worker without lease."""
    made = [place for place in facts.places[thing] if facts.born[place].actor == "bridge"]
    if any(place in made for place, _, _ in ground.hidden):
        return True
    if any(_made_by_a_zombie(ground, facts, [place for place in made if place[0] == role]) for role in ROLES):
        return True
    return any(_written_by_a_zombie(ground, entry) for entry in ground.journal if _place_of(entry) in facts.places[thing])


def _written_by_a_zombie(ground: Ground, entry: Entry) -> bool:
    """Tell whether a worker whose lease another had taken made a record, or edited one where nothing is conditional: what was in flight
    lands, and looks like somebody's edit."""
    conditional = ground.place.spec(entry.role, entry.event.stream).capabilities.conditional
    lands = entry.event.verb == "create" or (entry.event.verb == "edit" and not conditional)
    return entry.event.actor == "bridge" and lands and _sent_by_a_zombie(ground, entry)


def _sent_by_a_zombie(ground: Ground, entry: Entry) -> bool:
    call = _call_of(ground, entry.order)
    return any(other.run == call.run and other.worker > call.worker and other.order < call.order for other in ground.calls)


def _overtaken(ground: Ground, first: int, second: int) -> bool:
    """Tell whether two workers, of which one had lost its lease, wrote these: no fence reaches a system that has no upsert."""
    calls = [_call_of(ground, order) for order in (first, second)]
    return calls[0].run == calls[1].run and calls[0].worker != calls[1].worker


def _may_delete(ground: Ground, facts: Facts, entry: Entry, thing: Thing, where: str) -> None:
    if thing[0] == "order":
        raise Violation("L8", f"the bridge deleted the money document {where}")
    if ground.place.on_delete != "delete":
        raise Violation("L8", f"the bridge deleted {where}, and the rule is {ground.place.on_delete}")
    places = facts.places[thing]
    gone = (it for it in ground.journal if it.order <= entry.order and it.event.verb == "delete" and it.event.actor == "bridge")
    if any(_place_of(it) in places and _sent_by_a_zombie(ground, it) for it in gone):
        ground.note("delete by a worker whose lease had run out before its call, or in the wake of one")
        return
    lives = [life for life in facts.lives.get(thing, ()) if life.actor != "bridge" and life.order < entry.order]
    ends = [life for life in lives if life.place[0] != entry.role and (life.verb == "delete" or _merged_unseen(ground, life))]
    if not ends:
        raise Violation("L8", f"the bridge deleted {where}, which nobody had deleted anywhere")
    mine = _place_of(entry)
    for edit in facts.edits:
        if edit.place != mine or edit.order > entry.order or edit.by == "system":
            continue
        history = facts.held[mine, edit.unit]
        if not _alike(history[-1].value, edit.value) or edit.is_empty:
            continue
        if _is_what_was_seen(ground, facts, edit):
            continue  # set, and set back before anybody looked: it stands as it did
        # What was said in sight of it moved on from it, or it lost by the rule; its record may have been hidden since, and not followed.
        others = (other for other in facts.of_unit[thing, edit.unit] if other is not edit)
        overtaking = [it for it in others if _in_sight(ground, facts, edit, it) or _wins(ground, facts, it, edit)]
        order, roles = max(life.order for life in ends), {life.place[0] for life in ends}
        if not any(_delivered_before(ground, facts, one, order, roles) for one in (edit, *overtaking)):
            if not _known(facts, edit, entry.order):
                if _in_window(ground, edit, entry.order):
                    ground.note(IN_WINDOW)
                    continue
                raise Violation("L5", f"the bridge deleted {where} with an edit that it had not read: {edit}")
            raise Violation("L8", f"the bridge deleted {where} although it was edited there: {edit}")


def _merged_unseen(ground: Ground, life: Life) -> bool:
    """Tell whether a record went in a merge of which its system tells nothing but the absence."""
    return life.verb == "merge" and not ground.place.spec(life.place[0], life.place[1]).capabilities.reports_deletes


def _delivered_before(ground: Ground, facts: Facts, edit: Edit, order: int, roles: Iterable[str]) -> bool:
    """Tell whether an edit was known where the thing was deleted, or does not concern that system."""
    entity, unit = edit.thing[0], edit.unit
    writers = POLICIES[entity].get(unit, {}).get("write_by") if isinstance(unit, str) else None
    if writers is not None and edit.role not in writers:
        return True
    for role in roles:
        if role not in _roles_of(entity, unit) or (
            unit == COMPANIES and any(_was_person(facts, place) for place in facts.places[edit.thing])
        ):
            return True
        if any(_was_held(ground, facts, edit, place, 0, order) for place in facts.places[edit.thing] if place[0] == role):
            return True
    return False


def _brakes(ground: Ground, facts: Facts) -> None:
    """Between two releases the bridge creates and deletes no more than the brakes allow; what a person looked at and released passes."""
    brakes = ground.place.brakes
    limits = {"create": brakes.creates, "delete": brakes.deletes}
    names = {"creates": "create", "deletes": "delete"}
    count: dict[tuple[str, str], int] = {}
    released = list(ground.tripped)
    for entry in ground.journal:
        while released and released[0][0] < entry.order:
            _, role, kind, looked_at = released.pop(0)
            name = (role, names.get(kind, kind))
            count[name] = count.get(name, 0) - looked_at
        limit = limits.get(entry.event.verb)
        if any(first < entry.order <= last for first, last in ground.applied):
            continue  # a plan was seen by a person
        if entry.event.actor != "bridge" or limit is None or (entry.role, entry.event.stream) not in ENTITY_OF:
            continue
        name = (entry.role, entry.event.verb)
        if entry.event.verb == "create" and _made_anew(facts, entry):
            continue  # its answer had been lost, and somebody deleted it before it was looked up
        count[name] = count.get(name, 0) + 1
        if count[name] > limit:
            raise Violation("L8", f"the brake allows {limit} {entry.event.verb}s in {entry.role} a day, and there were {count[name]}")


def _made_anew(facts: Facts, entry: Entry) -> bool:
    """Tell whether the bridge had made the thing in this system before, and somebody else had deleted it there by then."""
    here = [life for life in facts.lives[facts.things[_place_of(entry)]] if life.place[0] == entry.role and life.order < entry.order]
    return bool(here) and here[-1].verb == "delete" and here[-1].actor != "bridge" and facts.born[here[-1].place].actor == "bridge"


def _after_quota(calls: Sequence[Call]) -> None:
    used_up: set[tuple[int, int, str]] = set()
    before: dict[str, str] = {}
    for call in calls:
        run = (call.run, call.worker, call.role)
        if run in used_up:
            raise Violation("L12", f"the limit of {call.role} was used up, and the bridge called it again ({call.verb} {call.stream})")
        # Told after a write was done, it is the connector's alone: the outcomes are unknown, and nothing is raised.
        if call.broke == "QuotaExhausted" and before.get(call.role) != "write":
            used_up.add(run)
        if call.verb != "read" or before.get(call.role) != "write":  # a read that follows a write may be the connector's, reading back
            before[call.role] = call.verb
        for reject, reason, field, _ in call.refused:
            if field in PARENTS and reject == "field":
                raise Violation("L7", f"the bridge wrote {call.role} {call.stream} without its parent: {reason}")


def _fenced(calls: Sequence[Call]) -> None:
    """A worker whose lease another has taken sends what is in flight, and then no more."""
    latest: dict[int, int] = {}
    sent: dict[tuple[int, int], int] = {}
    for call in calls:
        latest[call.run] = max(latest.get(call.run, 0), call.worker)
        if call.verb != "write" or call.worker == latest[call.run]:
            continue
        worker = (call.run, call.worker)
        sent[worker] = sent.get(worker, 0) + 1
        if sent[worker] > 1:
            raise Violation("L4", f"another worker had the lease, and the bridge went on: {call.role} {call.stream} {call.keys}")


# --- what became of an edit -------------------------------------------------------------------------------------------------------


def _fate(ground: Ground, facts: Facts, edit: Edit, settled: set[tuple[Thing, Unit]]) -> None:
    if edit.unit in ("total", "state"):
        return  # a total follows its lines, a state its moves: see ``_sums`` and ``_equality``
    history = facts.held[edit.place, edit.unit]
    after = next((held for held in history if held.order > edit.order), None)
    if after is None or after.actor != "bridge":
        return
    if isinstance(edit.unit, tuple) and len(edit.unit) == 3:
        line = facts.held[edit.place, edit.unit[:2]]
        if line[-1].value is None or any(held.value is None and edit.order < held.order < after.order for held in line):
            return  # the line itself was removed
    if any(e.place == edit.place and e.unit == edit.unit and e.order == after.order for e in facts.of_unit[edit.thing, edit.unit]):
        return  # the system's own trigger
    entity, unit = edit.thing[0], edit.unit
    new_to_it = not _taken_in(ground, facts, edit.place, edit.order)
    if edit.is_empty and (new_to_it or facts.joined.get(edit.thing, edit.order) >= edit.order):
        return  # before the thing's records were joined, emptiness says nothing
    if _is_what_was_seen(ground, facts, edit):
        return  # set, and set back before anybody looked: a change says how a record stands now (L2)
    if not _known(facts, edit, after.order):
        if _in_window(ground, edit, after.order):
            ground.note(IN_WINDOW)
            return
        raise Violation("L5", f"the bridge overwrote an edit that it had not read: {edit}, with {after.value!r} at {after.order}")
    if isinstance(unit, str):
        writers = POLICIES[entity].get(unit, {}).get("write_by")
        if writers is not None and edit.role not in writers:
            return
    if (edit.thing, unit if isinstance(unit, str) else "lines") in settled:
        return
    by_rule = (life for life in facts.lives[edit.thing] if life.verb in ("delete", "merge") and edit.order < life.order < after.order)
    if unit == "status" and ground.place.on_delete == "archive" and any(by_rule):
        return  # the rule archived it, and what was said of it since stands against that
    archived = unit == "status" and after.value in ("archived", "inactive") and ground.place.on_delete == "archive"
    if archived and any(life.verb in ("delete", "merge") and life.order < after.order for life in facts.lives[edit.thing]):
        return
    said = [
        other
        for other in facts.of_unit[edit.thing, unit]
        if other.order < after.order and _alike(_as_held(ground, entity, unit, edit.role, other.value), after.value)
    ]
    if isinstance(unit, tuple) and len(unit) == 2 and edit.value is None:
        # A line that was removed here stays where it was edited, if the policy prefers that side.
        edited = [other for (what, part), found in facts.of_unit.items() if what == edit.thing and part[:2] == unit for other in found]
        if any(_prefers(entity, unit, other, edit) and other.order < after.order for other in edited):
            return
    first_written = next((e.order for e in ground.journal if e.event.actor == "bridge" and _place_of(e) == edit.place), edit.order)
    if edit.order < first_written and any(other.place[0] == edit.role and other.place != edit.place for other in said):
        return  # entered anew in its own system: golden's value is that system's own, and the entry is joined to it
    if not said and _unaware(ground, facts, edit.thing):
        ground.note("rendition in a record that the bridge had made and did not know")
        return
    if not said:
        raise Violation("L1", f"the bridge overwrote {edit} with {after.value!r}, which nobody had said")
    for other in said:
        if other.place != edit.place and _in_sight(ground, facts, edit, other):
            return
        if _prefers(entity, unit, other, edit) and not _taken_in(ground, facts, other.place, edit.order):
            return  # a record that is taken in later speaks then, by the policy
        if _moved_on_from(facts, other, edit.value) and not _in_sight(ground, facts, other, edit, delivered=True):
            return  # it was said back to what the other had moved on from
        same_said = [e for e in facts.of_unit[edit.thing, unit] if _alike(e.value, edit.value) and e.place != edit.place]
        if any(_in_sight(ground, facts, e, other) for e in same_said):
            return  # it said what golden said already, and the other moved on from there
        taken_before = _taken_in(ground, facts, other.place, other.order)
        # Whoever lost may have been overtaken by an edit in sight of it, which then was filled, or lost by the rule.
        overtaking = (e for e in facts.of_unit[edit.thing, unit] if e.order < after.order and _in_sight(ground, facts, edit, e))
        for rival in (edit, *overtaking):
            if rival.is_empty and (not taken_before or facts.born[other.place].order > rival.order):
                return  # a record that was joined later fills what was empty
            if _wins(ground, facts, other, rival):
                return
    # It may have lost by the rule to what another edit then moved on from.
    for winner in facts.of_unit[edit.thing, unit]:
        moved_on = any(_in_sight(ground, facts, winner, other) for other in said)
        if winner.order < after.order and moved_on and _wins(ground, facts, winner, edit):
            return
    if _unaware(ground, facts, edit.thing):
        ground.note("edit against a record that the bridge had made and did not know")
        return
    raise Violation("L5", f"the bridge overwrote {edit} with {said[0]} at {after.order}, by no rule")


def _moved_on_from(facts: Facts, edit: Edit, value: Any) -> bool:
    """Tell whether the record held this value just before the edit, or when the bridge last saw it before: what was said in between and
    nobody was shown is no step."""
    history = facts.held[edit.place, edit.unit]
    last_seen = max((seen for seen in facts.seen.get(edit.place, ()) if seen < edit.order), default=edit.order)
    shown = [[held.value for held in history if held.order < order] for order in (edit.order, last_seen)]
    return any(_alike(before[-1] if before else _nothing(edit.unit), value) for before in shown)


def _is_what_was_seen(ground: Ground, facts: Facts, edit: Edit) -> bool:
    """Tell whether the record was set back to what the bridge had been shown before, and what it said in between came nowhere."""
    history = facts.held[edit.place, edit.unit]
    born = facts.born[edit.place]
    made = [born.order + 1] if born.actor == "bridge" else []
    for seen in sorted([*made, *facts.seen.get(edit.place, ())]):
        if seen >= edit.order:
            break
        before = [held for held in history if held.order < seen]
        if not _alike(before[-1].value if before else _nothing(edit.unit), edit.value):
            continue
        between = [other for other in facts.of_unit[edit.thing, edit.unit] if other.place == edit.place and seen < other.order < edit.order]
        elsewhere = [place for place in facts.places[edit.thing] if place != edit.place]
        if not any(_was_held(ground, facts, o, place, o.order, edit.order, delivered=True) for o in between for place in elsewhere):
            return True
    return False


def _nothing(unit: Unit) -> Any:
    return (None, None) if unit == "billing" else None


def _is_another(ground: Ground, facts: Facts, new: Life, gone: Life) -> bool:
    """Tell whether a record that people entered is not the thing that was deleted: the bridge had not seen it then, or it was entered after
    another delete of the thing and nothing of the bridge had come to it yet."""
    seen = _first_seen(facts, new.place)
    if seen > gone.order:
        return True
    if not any(life.verb == "delete" and life.order < new.order for life in facts.lives[facts.things[new.place]]):
        return False
    places = facts.places[facts.things[new.place]]
    before = {place for place in places if place in facts.born and facts.born[place].order < new.order}
    return not any(
        entry.event.actor == "bridge" and entry.event.verb != "delete" and _place_of(entry) in before
        for entry in ground.journal
        if seen < entry.order < gone.order
    )


def _first_seen(facts: Facts, place: Place) -> int:
    return min(facts.seen.get(place, ()), default=NEVER)


def _taken_in(ground: Ground, facts: Facts, place: Place, order: int) -> bool:
    """Tell whether the bridge had taken a record in by then: made it, or read it in a run that ended well and asked nobody who it is."""
    if facts.born[place].actor == "bridge":
        return True
    seen = (c for c in ground.calls if c.order < order and c.verb in READS and c.run in ground.ended)
    if not any((call.role, call.stream) == place[:2] and place[2] in call.keys for call in seen):
        return False
    return place not in next((found for at, found in reversed(ground.in_review) if at < order), ())


def _known(facts: Facts, edit: Edit, order: int) -> bool:
    return any(edit.order < seen < order for seen in facts.seen.get(edit.place, ()))


def _in_window(ground: Ground, edit: Edit, order: int) -> bool:
    """Tell whether an edit fell between the connector's last read and its write, where the system offers no conditional write (L5)."""
    role, stream, key = edit.place
    if ground.place.spec(role, stream).capabilities.conditional:
        return False
    before = [call for call in ground.calls if call.role == role and call.order < order]
    write = next((call for call in reversed(before) if call.verb == "write"), None)
    if write is None:
        return False
    earlier = [call for call in before if call.order < write.order]
    if earlier and earlier[-1].verb == "read" and ("stale", "read", earlier[-1].run) in ground.struck:
        return True  # the last read showed what had been
    return bool(earlier) and earlier[-1].verb == "read" and key in earlier[-1].keys and earlier[-1].order < edit.order


def _place_of(entry: Entry) -> Place:
    return (entry.role, entry.event.stream, entry.event.key)


def _in_doubt(ground: Ground, edit: Edit) -> bool:
    """Tell whether the answer of the bridge's last write to the record before the edit may have been lost: then the edit looks like that
    write's rendition, and stands against what was asked as if it had been made without having seen it."""
    last = next(
        (
            entry
            for entry in reversed(ground.journal)
            if entry.order < edit.order and entry.event.actor == "bridge" and _place_of(entry) == edit.place
        ),
        None,
    )
    if last is None:
        return False
    run = next((call.run for call in reversed(ground.calls) if call.order <= last.order), 0)
    return any(number == run for _, _, number in ground.struck)


def _roles_of(entity: str, unit: Unit) -> set[str]:
    return set(UNITS[entity][unit]) if isinstance(unit, str) else {"crm", "erp"}


def _as_held(ground: Ground, entity: str, unit: Unit, role: str, value: Any) -> Any:
    """Return how a system of this role holds the value."""
    if not isinstance(unit, str) or (entity, unit) in REFERS or value is None:
        return value
    return rendition(ground.place, entity, unit, role, value)


def _was_held(ground: Ground, facts: Facts, edit: Edit, place: Place, since: int, until: int, *, delivered: bool = False) -> bool:
    """Tell whether a record held the value of an edit at some time between; with ``delivered`` only where the bridge had brought it."""
    if place[0] not in _roles_of(edit.thing[0], edit.unit):
        return False
    wanted = _as_held(ground, edit.thing[0], edit.unit, place[0], edit.value)
    history = facts.held.get((place, edit.unit), [])
    if not delivered and _alike(wanted, _nothing(edit.unit)) and since < (history[0].order if history else until):
        return True  # it held nothing from the beginning
    for n, held in enumerate(history):
        ends = history[n + 1].order if n + 1 < len(history) else until + 1
        brought = held.actor == "bridge" and held.order > since
        if held.order < until and ends > since and _alike(held.value, wanted) and (brought or not delivered):
            return True
    return False


def _in_sight(ground: Ground, facts: Facts, first: Edit, second: Edit, depth: int = 4, *, delivered: bool = False) -> bool:
    """Tell whether ``second`` was made where ``first``, or an edit made in sight of it, had been seen."""
    if first.order >= second.order:
        return False
    if first.place == second.place or _was_held(ground, facts, first, second.place, first.order, second.order, delivered=delivered):
        return True
    if depth == 0:
        return False
    between = [e for e in facts.of_unit[first.thing, first.unit] if first.order < e.order < second.order]
    return any(
        _in_sight(ground, facts, first, e, 0, delivered=delivered) and _in_sight(ground, facts, e, second, depth - 1, delivered=delivered)
        for e in between
        if e.place != second.place or e.place == first.place
    )


def _wins(ground: Ground, facts: Facts, winner: Edit, loser: Edit) -> bool:
    """Tell whether the policy lets an edit win against one that was made without having seen it."""
    unseen = not _in_sight(ground, facts, winner, loser, delivered=True) or _in_doubt(ground, loser)
    return unseen and _prefers(loser.thing[0], loser.unit, winner, loser)


def _prefers(entity: str, unit: Unit, winner: Edit, loser: Edit) -> bool:
    policy = POLICIES[entity].get(unit if isinstance(unit, str) else "lines", {}).get("on_clash", "ask")
    if policy == "non_empty":
        return winner.value is not None and loser.value is None
    if isinstance(policy, dict):
        order = policy["prefer"]
        return winner.role in order and (loser.role not in order or order.index(winner.role) < order.index(loser.role))
    return False


# --- how the systems stand --------------------------------------------------------------------------------------------------------


def _parked(ground: Ground, facts: Facts) -> dict[Thing, set[Unit]]:
    """Return, by thing, the units whose difference is parked; ``*`` stands for the whole record."""
    store = ground.store()
    streams = store.streams()
    rows = store.parked(flow=FLOW, limit=100_000)
    links = store.links_of(sorted({golden_id for row in rows for golden_id in (row.golden_id, row.waits_for) if golden_id}))
    for row in rows:
        there = row.stream_id is None or row.key is None or facts.live.get(_place_in(streams[row.stream_id], row.key), True)
        if row.kind == "waiting" and there:
            _waits_in_vain(facts, store, streams, row, links.get(row.waits_for or "", []))
    found: dict[Thing, set[Unit]] = {}
    for row in rows:
        pairs = [(row.stream_id, row.key)] + [(link.stream_id, link.key) for link in links.get(row.golden_id or "", ())]
        for stream_id, key in pairs:
            if stream_id is None or key is None:
                continue
            system, stream = streams[stream_id]
            thing = facts.things.get(_place_in((system, stream), key))
            if thing is None:
                continue
            units = row.data.get("unit") if row.kind == "clash" else [row.field] if row.field and row.kind in ("field", "waiting") else None
            if row.kind == "waiting" and not row.subject.startswith(("pending:", "later:")):
                units = None
            found.setdefault(thing, set()).update({"*"} if units is None else {_unit_of(path) for path in units})
    return found


def _place_in(stream: tuple[str, str], key: str) -> Place:
    return (stream[0].removesuffix("-system"), stream[1], key)


def _waits_in_vain(facts: Facts, store: Store, streams: dict[int, tuple[str, str]], row: ParkedRow, links: Sequence[LinkRow]) -> None:
    """What waits for a parent is woken when that stands in the system: a golden record, or one that is known there by its key."""
    if row.data.get("key"):
        system, entity = row.data["system"], row.data["entity"]
        ids = [n for n, (of, stream) in streams.items() if of == system and ENTITY_OF.get((of.removesuffix("-system"), stream)) == entity]
        here = [link for n in ids for link in store.links_by_key(n, [row.data["key"]]).values() if link.state == "live"]
    else:
        system = streams[row.stream_id][0] if row.stream_id is not None else ""
        here = [link for link in links if link.state == "live" and streams[link.stream_id][0] == system]
    if any(facts.live.get(_place_in(streams[link.stream_id], link.key or "")) for link in here):
        raise Violation("L7", f"{row.reason}: and what it waits for stands there as {here[0].key}")


def _unit_of(path: str) -> Unit:
    if path.startswith("billing."):
        return "billing"
    return "lines" if path.startswith("lines") else path


def _settled(ground: Ground, facts: Facts, settled: Sequence[tuple[int, str, list[str]]]) -> set[tuple[Thing, Unit]]:
    if not settled:
        return set()
    store = ground.store()
    streams = store.streams()
    links = store.links_of(sorted({golden_id for _, golden_id, _ in settled}))
    found: set[tuple[Thing, Unit]] = set()
    for _, golden_id, unit in settled:
        for link in links.get(golden_id, ()):
            system, stream = streams[link.stream_id]
            thing = facts.things.get(_place_in((system, stream), link.key or ""))
            if thing is not None:
                found |= {(thing, _unit_of(path)) for path in unit}
    return found


def _present(facts: Facts, places: Sequence[Place]) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        if facts.live.get(place):
            found.setdefault(place[0], []).append(place)
    return found


def _presence(ground: Ground, facts: Facts, thing: Thing, places: Sequence[Place], parked: dict[Thing, set[Unit]]) -> None:
    there = _present(facts, places)
    if not there or "*" in parked.get(thing, ()):
        return
    lives = facts.lives[thing]
    for role in ROLES:
        if thing[0] not in STREAM_OF[role] or role in there:
            continue
        if any(life.place[0] == role and life.verb in ("delete", "merge") for life in lives):
            continue  # it was there, and somebody deleted it
        if any(life.verb in ("delete", "merge") for life in lives) and ground.place.on_delete in ("delete", "archive", "ask", "unlink"):
            others = [life for life in lives if life.place[0] != role]
            if others and others[-1].verb in ("delete", "merge"):
                continue
            if any(life.verb in ("delete", "merge") for life in others):
                ground.note("not delivered after a delete")
                continue
        raise Violation("L7", f"{thing[0]} {thing[1]} stands in {', '.join(there)}, is not in {role}, and nothing says why")


def _doubles(ground: Ground, facts: Facts, thing: Thing, places: Sequence[Place]) -> None:
    """In the end the bridge has not left two records of its own for one thing in one system."""
    for role, found in _present(facts, places).items():
        made = [place for place in found if facts.born[place].actor == "bridge"]
        zombie = _made_by_a_zombie(ground, facts, [place for place in places if place[0] == role])
        hidden = any(_hidden(ground, place, facts.born[other].order) for place in made for other in made)
        if len(made) > 1 and not zombie and not hidden:
            raise Violation("L3", f"{thing[1]} stands in {role} as {' and '.join(place[2] for place in made)}, made by the bridge")


def _sums(facts: Facts, thing: Thing, places: Sequence[Place], parked: dict[Thing, set[Unit]]) -> None:
    """The lines of an order make its total: people have never written one that does not add up."""
    if thing[0] != "order" or parked.get(thing):
        return
    for place in places:
        if not facts.live.get(place):
            continue
        lines = [unit for where, unit in facts.held if where == place and isinstance(unit, tuple) and len(unit) == 2]
        amounts = [facts.now(place, (*unit, "amount")) or 0 for unit in lines if facts.now(place, unit)]
        if not same(normal(sum(amounts, Decimal(0))), facts.now(place, "total") or 0):
            raise Violation("L10", f"the lines of {place[0]} {place[2]} make {sum(amounts)}, and its total is {facts.now(place, 'total')}")


def _equality(
    ground: Ground, facts: Facts, thing: Thing, places: Sequence[Place], parked: dict[Thing, set[Unit]], settled: set[tuple[Thing, Unit]]
) -> None:
    there = {role: found[0] for role, found in _present(facts, places).items() if len(found) == 1}
    excused = parked.get(thing, set())
    if len(there) < 2 or "*" in excused:
        return
    entity = thing[0]
    units: list[Unit] = list(ground.place.units[entity])
    if entity == "order":
        units += sorted({unit for place, unit in facts.held if place in there.values() and isinstance(unit, tuple)}, key=str)
    for unit in units:
        if (unit if isinstance(unit, str) else "lines") in excused:
            continue
        held = {
            role: _nothing(unit) if (value := facts.now(place, unit)) is None else value
            for role, place in there.items()
            if role in _roles_of(entity, unit) and not (unit == COMPANIES and _is_person(facts, place))
        }
        if isinstance(unit, tuple) and len(unit) == 3 and any(facts.now(there[role], unit[:2]) is None for role in held):
            continue
        chosen = list(held.values()) if (thing, unit) in settled else []  # a person took what one of the systems made of it
        if len(held) < 2 or _agree(ground, facts, thing, unit, held, chosen):
            continue
        raise Violation("L6", f"{entity} {thing[1]} {unit} stays apart, and is not parked: {held}")


def _agree(ground: Ground, facts: Facts, thing: Thing, unit: Unit, held: dict[str, Any], chosen: list[Any]) -> bool:
    entity = thing[0]
    writers = POLICIES[entity].get(unit, {}).get("write_by") if isinstance(unit, str) else None
    if writers is not None and all(value is None for role, value in held.items() if role in writers):
        return True  # emptiness is not written over a value that a permitted system did not give
    first = next(iter(held.values()))
    if all(_alike(value, first) for value in held.values()):
        return True
    values = [edit.value for edit in facts.of_unit.get((thing, unit), ())] + [_nothing(unit), *chosen]
    if unit == "status":
        values.append("archived")
    return any(all(_alike(_as_held(ground, entity, unit, role, value), now) for role, now in held.items()) for value in values)


def facts_of(ground: Ground) -> Iterator[str]:
    """Yield the facts as sentences."""
    for edit in retell(ground).edits:
        yield str(edit)
