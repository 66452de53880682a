"""Who changed what: merges what systems say of one golden record. Pure.

A *unit* is what moves as one value: a single path, or all paths of a group. Lines of a document are paths too: ``lines/ID`` says that the
line exists, ``lines/ID/field`` what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from decimal import Decimal
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from msgspec import Struct

from erpcrm_bridge.mapping import EntityRules, FieldPolicy
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.fields import field_at
from erpcrm_bridge.model.values import Fields, digest, same
from erpcrm_bridge.store.rows import Author
from erpcrm_bridge.sync.natural import NaturalKeys, key_paths

Unit: TypeAlias = tuple[str, ...]


class Saying(Struct):
    """What one system says of one golden record.

    ``said`` are canonical values now, ``before`` what its base meant (None: there was no base, the fields are adopted). ``moved`` are the
    paths on which it says something new. ``carries`` are all paths that it can say. ``answered`` as in the link. ``version`` orders only
    where the stream declares it; ``order`` is then comparable across systems (seconds), else None. ``doubtful`` are paths that the bridge
    wrote and could not read until now: what is said there may be a rendition of that, and never wins by a rule over golden.
    """

    by: str
    role: str
    version: str
    said: Fields
    before: Fields | None
    moved: frozenset[str]
    carries: Callable[[str], bool]
    answered: Mapping[str, str] = {}
    order: float | None = None
    doubtful: frozenset[str] = frozenset()


IN_DOUBT = "an answer was lost: it may be how the system holds what was asked, or an edit since"


GOLDEN = "golden"
"""Stands as the name of who said golden's value, where that one is in the clash with another."""


UNION = "rule:union"
"""Says the words of several."""


class Candidate(Struct):
    """One of the values that a clash is about."""

    by: str
    role: str
    version: str
    values: list[Any]
    order: float | None = None


class Clash(Struct):
    """A unit that moved apart; ``why`` says how it came about. Where one candidate is left, it is over."""

    unit: list[str]
    candidates: list[Candidate]
    why: str = "moved apart on two sides"


class Change(Struct):
    """A unit that golden took over; ``rule`` names why, ``losers`` the values that lost by it."""

    unit: Unit
    old: tuple[Any, ...]
    new: tuple[Any, ...]
    by: str
    version: str
    rule: str
    losers: list[Candidate] = []


class Refusal(Struct):
    """An edit by a system that may not change the field; it is set back at the next push. Where it may not because it carries only a part
    of a group, ``holder`` is whose value stands."""

    unit: Unit
    by: str
    values: tuple[Any, ...]
    holder: str | None = None


class Merged(Struct):
    """What came of a merge. ``fields`` is golden after it. ``settled`` are units whose open clash is over because all agree now.
    ``quiet`` are (by, path) pairs whose difference from golden is to be left alone: adoption never writes emptiness over a value that a
    permitted system did not give."""

    fields: Fields
    changes: list[Change] = []
    clashes: list[Clash] = []
    refused: list[Refusal] = []
    settled: list[Unit] = []
    quiet: list[tuple[str, str]] = []


def merge(
    golden: Fields,
    authors: Mapping[str, Author],
    sayings: list[Saying],
    policies: Policies,
    *,
    roles: Mapping[str, str],
    frozen: Mapping[Unit, Clash],
    rewritten: Callable[[Unit, tuple[Any, ...], str], bool] = lambda unit, new, by: False,
) -> Merged:
    """Return golden after these systems have spoken, over all that moved, whatever the order of ``sayings``.

    ``roles`` gives the role of each author, ``frozen`` the open clashes. ``rewritten(unit, values, by)`` tells whether golden has taken
    this value from this system twice before while another took it back (L6).
    """
    merged = Merged(fields=dict(golden))
    if len(sayings) > 1:
        sayings = sorted(sayings, key=_role_and_by)
    first = not (golden or frozen) and all([saying.before is None for saying in sayings])  # noqa: C419 - twice as quick as a generator
    if first and _in_accord(sayings, policies, merged):
        return merged
    for unit in _units(_take_uncontested(golden, sayings, policies, merged, frozen), policies):
        line = line_of(unit[0])
        if line is not None and line != unit[0] and (_line_is_gone(line, golden, merged) or (line,) in frozen):
            continue
        # A system in which a line is not there says nothing of its fields.
        speaking = sayings if line in (None, unit[0]) else [saying for saying in sayings if saying.said.get(str(line)) is True]
        _merge_unit(unit, golden, authors, speaking, policies, merged, roles, frozen, rewritten)
    return merged


def _role_and_by(saying: Saying) -> tuple[str, str]:
    return saying.role, saying.by


class Accord(NamedTuple):
    """Who is taken at his word where several systems first speak of a record that nobody spoke of, if they agree.

    ``takes`` are, by the place of a saying, the paths that are taken from it, what they replace, and what picks their values out of it;
    ``agree`` the places of two sayings and what picks out of each the values in which they have to agree; ``quiet`` the places of those
    who say what only others may say, who do not, and the paths on which they are left alone.
    """

    takes: list[tuple[int, Unit, tuple[None, ...], Callable[[Fields], tuple[Any, ...]]]]
    agree: list[tuple[int, int, Callable[[Fields], tuple[Any, ...]]]]
    quiet: list[tuple[int, Unit]]

    def holds(self, said: Sequence[Fields]) -> bool:
        """Tell whether what was said, each in its place, agrees where it has to."""
        for one, other, pick in self.agree:
            ours, theirs = pick(said[one]), pick(said[other])
            if ours != theirs or list(map(type, ours)) != list(map(type, theirs)):
                return False
        return True

    def fields(self, said: Sequence[Fields]) -> Fields:
        """Return golden as they say it, where they agree."""
        golden: Fields = {}
        for place, paths, _, pick in self.takes:
            golden.update(zip(paths, pick(said[place]), strict=True))
        return golden


def _picker(paths: Sequence[str]) -> Callable[[Fields], tuple[Any, ...]]:
    if len(paths) > 1:
        return itemgetter(*paths)
    (path,) = paths
    return lambda said: (said[path],)


class Policies:
    """The policies of one entity, by unit: what may move together, who may move it, who wins."""

    def __init__(self, rules: EntityRules, overlay: Mapping[str, FieldPolicy] | None = None) -> None:
        self.rules = rules = replace(rules, fields={**rules.fields, **overlay}) if overlay else rules
        self._units: dict[str, Unit] = {path: (path,) for path in entity_spec(rules.entity).fields}
        groups: dict[str, list[str]] = {}
        custom = [path for path in rules.fields if field_at({}, path) is not None]
        for path in dict.fromkeys((*entity_spec(rules.entity).fields, *custom)):
            group = self.policy(path).group
            if group:
                groups.setdefault(group, []).append(path)
        for members in groups.values():
            for path in members:
                self._units[path] = tuple(members)
        self.groups = [tuple(members) for members in groups.values()]
        """units of several paths"""
        self.natural = frozenset(path for rule in rules.match for path in rule.keys)
        """paths of which some rule makes a natural key"""
        self.known_by = (
            frozenset[str].intersection(*(frozenset(key_paths(rule)) for rule in rules.match)) if rules.match else frozenset[str]()
        )
        """paths that are part of each natural key: a record with another one there is another record"""
        self.natural_keys = NaturalKeys(rules.match)
        self._accords: dict[tuple[Any, ...], Accord | None] = {}
        self._sorted_out: dict[tuple[str, frozenset[str]], tuple[list[str], list[Unit], list[Unit]]] = {}
        self.totals = frozenset(of.sums_to for of in rules.lists.values() if of.sums_to)

    def sort_out(self, role: str, paths: frozenset[str]) -> tuple[list[str], list[Unit], list[Unit]]:
        """Return the units of these paths that a role may write, those of one path (as such) and the groups, and the units that it may
        not write."""
        found = self._sorted_out.get((role, paths))
        if found is None:
            if len(self._sorted_out) > 1_000:
                self._sorted_out.clear()  # each line of each document has paths of its own
            single: list[str] = []
            groups: list[Unit] = []
            may_not: list[Unit] = []
            for unit in sorted(set(map(self.unit, paths))):
                writers = self.policy(unit[0]).write_by
                if writers is not None and role not in writers:
                    may_not.append(unit)
                elif len(unit) > 1:
                    groups.append(unit)
                else:
                    single.append(unit[0])
            found = self._sorted_out[role, paths] = single, groups, may_not
        return found

    def accord(self, spoke: tuple[tuple[str, frozenset[str]], ...]) -> Accord | None:
        """Return whose word is taken where systems in these roles first speak, each of these paths; None where they cannot agree in all."""
        if spoke in self._accords:
            return self._accords[spoke]
        if len(self._accords) > 1_000:
            self._accords.clear()
        found = self._accords[spoke] = self._accord(spoke)
        return found

    def _accord(self, spoke: tuple[tuple[str, frozenset[str]], ...]) -> Accord | None:
        taken: dict[Unit, int] = {}
        refused: list[tuple[Unit, int]] = []
        compared: dict[tuple[int, int], list[str]] = {}
        for place, (role, moved) in enumerate(spoke):
            single, together, may_not = self.sort_out(role, moved)
            refused.extend((unit, place) for unit in may_not)
            for unit in [*((path,) for path in single), *together]:
                first = taken.setdefault(unit, place)
                if first != place:
                    compared.setdefault((first, place), []).extend(unit)
        for unit, place in refused:
            if unit in taken:
                compared.setdefault((taken[unit], place), []).extend(unit)
        for (one, other), paths in compared.items():
            if any((path in spoke[one][1]) != (path in spoke[other][1]) for path in paths):
                return None  # of a group one says a member that the other does not say
        takes = []
        for place, (_, moved) in enumerate(spoke):
            own = [path for unit, of in taken.items() if of == place for path in unit if path in moved]
            if own:
                takes.append((place, tuple(own), (None,) * len(own), _picker(own)))
        agree = [(one, other, [path for path in paths if path in spoke[one][1]]) for (one, other), paths in compared.items()]
        quiet = [(place, unit) for unit, place in refused if unit not in taken]
        return Accord(takes, [(one, other, _picker(paths)) for one, other, paths in agree if paths], quiet)

    def policy(self, path: str) -> FieldPolicy:
        """Return the policy of a path; that of a line's field is written ``lines.unit_price`` in entity.yaml."""
        if "/" in path:
            name, _, rest = path.partition("/")
            field = rest.partition("/")[2]
            path = f"{name}.{field}" if field else name
        return self.rules.policy(path)

    def frozen(self, in_clash: frozenset[str]) -> frozenset[str]:
        """Return what is pushed nowhere while these paths are in clash: with a line its whole list, and the total that it makes (L9)."""
        found = set(in_clash)
        for name, rules in self.rules.lists.items():
            if rules.sums_to and any(path.startswith(name + "/") for path in in_clash):
                found |= {name, rules.sums_to}
        return frozenset(found)

    def unit(self, path: str) -> Unit:
        """Return the unit that ``path`` moves in."""
        return self._units.get(path) or (path,)


def _in_accord(sayings: list[Saying], policies: Policies, merged: Merged) -> bool:
    """Take what systems say that first speak of a record of which nobody spoke, where they agree in all; tell whether they did.

    It takes what `_take_uncontested` would, without looking at each path.
    """
    accord = policies.accord(tuple([(saying.role, saying.moved) for saying in sayings]))
    if accord is None or not accord.holds([saying.said for saying in sayings]):
        return False
    for place, paths, nothing, pick in accord.takes:
        saying = sayings[place]
        new = pick(saying.said)
        merged.changes.append(Change(paths, nothing, new, saying.by, saying.version, "nobody said otherwise"))
        merged.fields.update(zip(paths, new, strict=True))
    for place, unit in accord.quiet:
        merged.quiet.extend((sayings[place].by, path) for path in unit)
    return True


def _take_uncontested(golden: Fields, sayings: list[Saying], policies: Policies, merged: Merged, frozen: Mapping[Unit, Clash]) -> set[str]:
    """Take what nobody contests, as the first joining of two systems brings it by the million: a value where golden has none, said by
    systems that had said nothing before, all alike. Return the paths that are left to be looked at one by one."""
    left: set[str] = set()
    took: dict[str, Saying] = {}
    groups: dict[Unit, Saying] = {}
    refused: list[tuple[Unit, Saying]] = []
    for saying in sayings:
        if saying.before is not None or frozen:
            left.update(path for moved in saying.moved for path in policies.unit(moved))
            continue
        single, together, may_not = policies.sort_out(saying.role, saying.moved)
        if may_not:
            refused.extend((unit, saying) for unit in may_not)
        if not took and not golden:
            took = dict.fromkeys(single, saying)
        else:
            said = saying.said
            for path in single:
                first = took.get(path)
                if first is None:
                    if golden.get(path) is not None:
                        left.add(path)
                    else:
                        took[path] = saying
                    continue
                one, other = said[path], first.said[path]
                if one is not other and not (one.__class__ is str and one == other) and not same(one, other):
                    left.add(path)
        for unit in together:
            of = groups.setdefault(unit, saying)
            contested = golden and any(golden.get(path) is not None for path in unit)
            if contested or (of is not saying and not _say_the_same(unit, saying, of)):
                left.update(unit)
    for unit, saying in refused:
        taken = took.get(unit[0]) or groups.get(unit)
        if taken is None or not _say_the_same(unit, saying, taken):
            left.update(unit)
    for saying in sayings:
        said = saying.said
        paths = [path for path, of in took.items() if of is saying and path not in left]
        for unit, of in groups.items():
            if of is saying and unit[0] not in left:
                paths.extend([path for path in unit if said.get(path) is not None])
        if paths:
            new = tuple([said[path] for path in paths])
            merged.changes.append(Change(tuple(paths), (None,) * len(paths), new, saying.by, saying.version, "nobody said otherwise"))
            merged.fields.update(zip(paths, new, strict=True))
    return left


def _say_the_same(unit: Unit, one: Saying, other: Saying) -> bool:
    ours, theirs = one.said, other.said
    for path in unit:
        mine, yours = ours.get(path), theirs.get(path)
        if mine is not yours and not (mine.__class__ is str and mine == yours) and not same(mine, yours):
            return False
    return True


def _units(paths: set[str], policies: Policies) -> list[Unit]:
    """Return the units that moved, in a fixed order; a line stands before its fields."""
    return list(dict.fromkeys([policies.unit(path) for path in sorted(paths)]))


def line_of(path: str) -> str | None:
    """Return the path of the line that ``path`` is, or is a field of; None where it is no line's."""
    return "/".join(path.split("/")[:2]) if "/" in path else None


def _line_is_gone(line: str, golden: Fields, merged: Merged) -> bool:
    """Tell whether the line was removed in this merge, or is in clash now."""
    return (golden.get(line) is True and merged.fields.get(line) is None) or any(clash.unit == [line] for clash in merged.clashes)


def values_at(fields: Fields, unit: Unit) -> tuple[Any, ...]:
    return (fields.get(unit[0]),) if len(unit) == 1 else tuple([fields.get(path) for path in unit])


def same_all(one: Iterable[Any], other: Iterable[Any]) -> bool:
    for a, b in zip(one, other, strict=True):  # noqa: SIM110 - asked of each edit several times; all() takes twice as long
        if not same(a, b):
            return False
    return True


def author_of(path: str, authors: Mapping[str, Author]) -> Author | None:
    """Return who said this field."""
    return authors.get(path) or authors.get("*")


def author_of_unit(unit: Unit, held: Iterable[Any], authors: Mapping[str, Author]) -> Author | None:
    """Return who said what golden holds of a unit: of a group the first member that is filled tells."""
    for path, value in zip(unit, held, strict=True):
        if value is not None:
            return author_of(path, authors)
    return author_of(unit[0], authors)


def base_means(path: str, golden: Any, before: Any, answered: Mapping[str, str]) -> bool:
    """Tell whether a base means golden: its answered value, or else what it reads as, equals golden (MAPPING 6.4)."""
    if answered and (mark := answered.get(path)) is not None:
        return mark == digest(golden)
    return same(before, golden)


def _merge_unit(
    unit: Unit,
    golden: Fields,
    authors: Mapping[str, Author],
    sayings: list[Saying],
    policies: Policies,
    merged: Merged,
    roles: Mapping[str, str],
    frozen: Mapping[Unit, Clash],
    rewritten: Callable[[Unit, tuple[Any, ...], str], bool],
) -> None:
    held = values_at(golden, unit)
    policy = policies.policy(unit[0])
    edits: list[Candidate] = []
    clean: set[str] = set()  # by whom golden was seen: it is what these edits moved on from, and no rival of them
    anew: set[str] = set()  # by whom it is said of a record that was known: only the rules that read it are others
    converged: list[Saying] = []
    unheard: list[Refusal] = []
    partial: list[Saying] = []  # who does not carry every member which golden holds or another says cannot move the group
    filled = _filled(unit, golden, sayings, policy) if len(unit) > 1 else ()
    for saying in sayings:
        moved = [path for path in unit if path in saying.moved]
        if not moved:
            continue
        values = _said_of(unit, saying, golden)
        adopting = saying.before is None or any([path not in saying.before for path in moved])  # noqa: C419 - of one path most often
        if same_all(values, held):
            converged.append(saying)
            continue
        if adopting and all(value is None for value in values):
            continue  # nothing is said where nothing was read before
        if policy.write_by is not None and saying.role not in policy.write_by:
            refusal = Refusal(unit, saying.by, values)
            # What it brought where nobody has ever said anything is left alone, and an edit of that, too; one of nothing is set back.
            own = adopting or (golden.keys().isdisjoint(unit) and any((saying.before or {}).get(path) is not None for path in unit))
            (unheard if own and all(value is None for value in held) else merged.refused).append(refusal)
            if not own:
                _say_nothing(unit, merged)
            continue
        if filled and not all(map(saying.carries, filled)):
            partial.append(saying)
            continue
        if saying.doubtful and unit not in frozen and not saying.doubtful.isdisjoint(moved):
            it = Candidate(saying.by, saying.role, saying.version, list(values), saying.order)
            asked = golden_candidate(unit, held, authors, roles)
            if not loses(it, asked, policy):
                merged.clashes.append(Clash(list(unit), _told_apart([asked, it], asked), IN_DOUBT))
            continue
        if adopting:
            seen = all(value is None for value in held)
        else:
            # Who said golden and says something else now has moved on from it. A rule that reads the same base otherwise has not: L13.
            before = saying.before or {}
            said_golden = (author_of_unit(unit, held, authors) or [""])[0] == saying.by
            seen = said_golden or all(base_means(path, golden.get(path), before.get(path), saying.answered) for path in unit)
        if seen:
            clean.add(saying.by)
        if adopting and saying.before is not None:
            anew.add(saying.by)
        edits.append(Candidate(saying.by, saying.role, saying.version, list(values), saying.order))

    if line_of(unit[0]) == unit[0] and any(edit.values == [None] for edit in edits):
        # A removed line against an edit of it: whether the line stays is the clash.
        edits.extend(
            Candidate(saying.by, saying.role, saying.version, [True], saying.order)
            for saying in sayings
            if unit[0] not in saying.moved and any(path.startswith(unit[0] + "/") for path in saying.moved)
        )
    clash = frozen.get(unit)
    if partial and not edits and all(value is None for value in held):  # nobody can give the whole of what golden has nothing of
        edits = [Candidate(it.by, it.role, it.version, list(_said_of(unit, it, golden)), it.order) for it in partial]
        clash, partial = clash or Clash(list(unit), edits, "each says a part of what moves as one"), []
    if clash is not None:
        _into_open_clash(unit, clash, edits, converged, held, merged, roles)
    elif edits:
        _settle_edits(unit, held, edits, clean, anew, policy, authors, merged, roles, rewritten)
    for saying in partial:
        values = _said_of(unit, saying, merged.fields)
        if not same_all(values, values_at(merged.fields, unit)):
            winner = next((change.by for change in merged.changes if change.unit == unit), None)
            holder = winner or (author_of_unit(unit, held, authors) or [""])[0]
            merged.refused.append(Refusal(unit, saying.by, values, holder))
            moved = [path for path in unit if path in saying.moved]
            if saying.before is not None and all(path in saying.before for path in moved):
                _say_nothing(moved, merged)
    in_clash = bool(unheard) and any(tuple(clash.unit) == unit for clash in merged.clashes)
    for refusal in unheard:
        now = values_at(merged.fields, unit)
        if not in_clash and all(value is None for value in now):
            merged.quiet.extend((refusal.by, path) for path in unit)
        elif not same_all(refusal.values, now):
            merged.refused.append(refusal)


def _say_nothing(paths: Iterable[str], merged: Merged) -> None:
    """Let golden say nothing where nobody has ever said anything, so that a refused edit of it is set back."""
    merged.fields.update({path: None for path in paths if path not in merged.fields})


def _filled(unit: Unit, golden: Fields, sayings: list[Saying], policy: FieldPolicy) -> Unit:
    """Return the members of a group that golden holds, or that a system says which moves it and may."""
    movers = [it for it in sayings if not it.moved.isdisjoint(unit) and (policy.write_by is None or it.role in policy.write_by)]
    return tuple([path for path in unit if any(fields.get(path) is not None for fields in (golden, *(it.said for it in movers)))])


def _said_of(unit: Unit, saying: Saying, golden: Fields) -> tuple[Any, ...]:
    """Return what a system says of a unit; for members that it does not say, what golden holds."""
    return tuple([saying.said.get(path, golden.get(path)) for path in unit])


def _settle_edits(
    unit: Unit,
    held: tuple[Any, ...],
    edits: list[Candidate],
    clean: set[str],
    anew: set[str],
    policy: FieldPolicy,
    authors: Mapping[str, Author],
    merged: Merged,
    roles: Mapping[str, str],
    rewritten: Callable[[Unit, tuple[Any, ...], str], bool],
) -> None:
    """Give golden what the edits of those who may come to: their one value, the winner's, or a clash.

    Where some were made in sight of golden and some were not, the latter meet golden first, and what loses to it loses to what moved on
    from it. Where that makes a difference a person is asked: after a lost answer it is not known what somebody had seen.
    """
    theirs = golden_candidate(unit, held, authors, roles)
    outvoted = [edit for edit in edits if clean and edit.by not in clean and settle_by_policy([edit, theirs], policy)[0] is theirs]
    every, edits = edits, [edit for edit in edits if edit not in outvoted]
    if outvoted:
        winner = settle_by_policy(every, policy)[0]
        if winner is None or not same_all(winner.values, edits[0].values):
            merged.clashes.append(Clash(list(unit), every, "one would win over the other, and lose to what that moved on from"))
            return
    one_value = all(same_all(edit.values, edits[0].values) for edit in edits[1:])
    if clean and one_value:
        if rewritten(unit, tuple(edits[0].values), edits[0].by):
            merged.clashes.append(Clash(list(unit), _told_apart([theirs, *edits, *outvoted], theirs), "two systems rewrite one another"))
            return
        alone = "all moved to the same" if len(edits) > 1 else "the others lost to what it moved on from" if outvoted else "only it moved"
        _accept(unit, held, edits[0], alone, outvoted, merged)
        return
    candidates = edits if clean else [*edits, theirs]
    # Where a system is preferred, what it says now (under changed rules) is preferred to what it said before.
    said_before = isinstance(policy.on_clash, tuple) and any(edit.by == theirs.by and edit.by in anew for edit in edits)
    winner, rule = settle_by_policy(edits if said_before else candidates, policy)
    if winner is None:
        merged.clashes.append(Clash(list(unit), _told_apart(candidates, theirs)))
        return
    losers = [candidate for candidate in [*candidates, *outvoted] if not same_all(candidate.values, winner.values)]
    _accept(unit, held, winner, rule, losers, merged)


def _told_apart(candidates: list[Candidate], golden: Candidate) -> list[Candidate]:
    """Return the candidates of a clash, each under a name of its own: golden's value may have been said by another record of a system that
    says something else now."""
    others = {candidate.by for candidate in candidates if candidate is not golden}
    return [Candidate(GOLDEN, it.role, it.version, it.values) if it is golden and it.by in others else it for it in candidates]


def golden_candidate(unit: Unit, held: tuple[Any, ...], authors: Mapping[str, Author], roles: Mapping[str, str]) -> Candidate:
    """Return golden's value as one of a clash, under the name of whoever said it."""
    author = author_of_unit(unit, held, authors) or ["", "", ""]
    return Candidate(author[0], roles.get(author[0], ""), author[1], list(held))


def _accept(unit: Unit, held: tuple[Any, ...], winner: Candidate, rule: str, losers: list[Candidate], merged: Merged) -> None:
    merged.changes.append(Change(unit, held, tuple(winner.values), winner.by, winner.version, rule, losers))
    for path, value in zip(unit, winner.values, strict=True):
        merged.fields[path] = value


def _into_open_clash(
    unit: Unit,
    clash: Clash,
    edits: list[Candidate],
    converged: list[Saying],
    held: tuple[Any, ...],
    merged: Merged,
    roles: Mapping[str, str],
) -> None:
    """A further move on a frozen unit changes what its clash is about; where all sides have come to agree, the clash is over."""
    now = {candidate.by: candidate for candidate in clash.candidates}
    for edit in edits:
        now[edit.by] = edit
    for saying in converged:
        now[saying.by] = Candidate(saying.by, saying.role, saying.version, list(held), saying.order)
    candidates = [now[by] for by in sorted(now)]
    if (one := agreed(candidates, held, roles.keys())) is not None:
        if not same_all(one.values, held):
            _accept(unit, held, one, "all sides agree now", [], merged)
        merged.settled.append(unit)
        return
    merged.clashes.append(Clash(list(unit), candidates, clash.why))


def agreed(candidates: Sequence[Candidate], held: Iterable[Any], connections: Set[str]) -> Candidate | None:
    """Return what all sides of a clash say by now; None where they say different things.

    The sides are the systems: ``connections``. One that is not in the clash says what golden holds. What else is in it (a rule, an undo, a
    person) has said golden's value, and holds no record.
    """
    systems = [candidate for candidate in candidates if candidate.by in connections]
    if candidates and _say_one_thing(candidates):
        return candidates[0]
    if not systems or not _say_one_thing(systems):
        return None
    return systems[0] if same_all(systems[0].values, held) or connections <= {one.by for one in systems} else None


def _say_one_thing(candidates: Sequence[Candidate]) -> bool:
    return all(same_all(candidate.values, candidates[0].values) for candidate in candidates[1:])


def settle_by_policy(candidates: list[Candidate], policy: FieldPolicy) -> tuple[Candidate | None, str]:
    """Return who wins a clash by its policy and the rule's name; None where a person is asked.

    The order of ``candidates`` is without influence, except that among equal winners the first by role and name is named.
    """
    rule = policy.on_clash
    ordered = sorted(candidates, key=lambda candidate: (candidate.role, candidate.by))
    if isinstance(rule, tuple):
        for role in rule[1]:
            of_role = [candidate for candidate in ordered if candidate.role == role]
            if of_role:
                one_value = all(same_all(candidate.values, of_role[0].values) for candidate in of_role[1:])
                return (of_role[0], f"prefer {role}") if one_value else (None, "ask")
        return None, "ask"
    if rule == "non_empty":
        full = [candidate for candidate in ordered if any(value is not None for value in candidate.values)]
        if full and all(same_all(candidate.values, full[0].values) for candidate in full[1:]):
            return full[0], "non_empty"
        return None, "ask"
    if rule in ("max", "min"):
        told = [candidate for candidate in ordered if candidate.values[0] is not None]
        ranks = _ranks([candidate.values[0] for candidate in told])
        if not ranks:
            return None, "ask"
        pick = max if rule == "max" else min
        return told[ranks.index(pick(ranks))], str(rule)
    if rule == "newer":
        if any(candidate.order is None for candidate in ordered):
            return None, "ask"
        latest = max(ordered, key=lambda candidate: candidate.order or 0.0)
        rivals = [c for c in ordered if not same_all(c.values, latest.values) and (latest.order or 0.0) - (c.order or 0.0) <= policy.skew]
        return (None, "ask") if rivals else (latest, "newer")
    if rule == "union":
        words = sorted({word for candidate in ordered for word in split_words(candidate.values[0])})
        # Nobody has said all of it: who says something else next has moved on from his own words, and not from those of the others.
        whole = Candidate(UNION, "", "", [";".join(words) or None])
        return next((candidate for candidate in ordered if same_all(candidate.values, whole.values)), whole), "union"
    return None, "ask"


def _ranks(values: Sequence[Any]) -> list[Any]:
    """Return by what of each value it is told which is the greater: as numbers where all are, texts among them, for a field of a system's
    own knows no kind; empty where they are not of one kind."""
    numbers = [_number(value) for value in values]
    if None not in numbers:
        return numbers
    one_kind = len({type(value) for value in values}) == 1 and set(numbers) <= {None}
    return list(values) if one_kind else []


def _number(value: Any) -> Decimal | None:
    try:
        number = None if isinstance(value, bool) else Decimal(value)
    except (ArithmeticError, TypeError, ValueError):
        return None
    return number if number is not None and number.is_finite() else None


def loses(it: Candidate, golden: Candidate, policy: FieldPolicy) -> bool:
    """Tell whether a value loses to golden's by a rule; where it does not, and it is in doubt whose it is, a person is asked."""
    winner, _ = settle_by_policy([it, golden], policy)
    return winner is not None and same_all(winner.values, golden.values)


def split_words(value: Any) -> list[str]:
    """Return the words of a text that is a set (tags): separated by semicolons."""
    return [word.strip() for word in str(value).split(";") if word.strip()] if value is not None else []
