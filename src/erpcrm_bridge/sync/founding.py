"""Founding: what comes of new golden records, found out once for all that are made alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from erpcrm_bridge.model.values import Fields, digest
from erpcrm_bridge.store import LinkRow
from erpcrm_bridge.sync.decide import is_dirty
from erpcrm_bridge.sync.flow import Flow
from erpcrm_bridge.sync.merge import Accord, Unit

_Said: TypeAlias = tuple[int, Unit]
"""The side of a record, by its id, and the paths of which it says something."""


class Shape(NamedTuple):
    """What comes of new groups of which each member is a record on the same side and says the same paths, where they agree. It is found
    out once, by the general steps."""

    accord: Accord
    authors: list[tuple[str, int]]
    """by path the place of the member who said it, or ``*``"""
    answered: list[dict[str, str]]
    """by place what a member's base answers for, as it stands in its link"""
    unread: list[bool]
    """by place whether golden holds what that member's system is told and never says: its base alone tells whether it holds it"""
    dirty: list[bool]
    """by place whether golden holds more of what that member's system is told"""
    as_found: bool
    """whether the natural keys are the first member's"""
    wanted: bool
    """whether it may be wanted elsewhere"""


class Shapes:
    """The shapes of the groups of one batch that are founded alike."""

    def __init__(self, flow: Flow, entity: str) -> None:
        self._sides = flow.sides[entity]
        self._policies = flow.policies[entity]
        self._by_id = {id(side): side for side in self._sides}
        self._met: set[tuple[_Said, ...]] = set()
        self._found: dict[tuple[_Said, ...], Shape | None] = {}

    def of(self, said: tuple[_Said, ...]) -> Shape | None:
        """Return the shape of a group of which each member says these paths; None where each such group is looked at by itself. So is the
        first one always: where records differ in what they say, many a shape is that of one group alone."""
        if said not in self._met:
            self._met.add(said)
            return None
        if said not in self._found:
            self._found[said] = self._shape(said)
        return self._found[said]

    def _shape(self, said: tuple[_Said, ...]) -> Shape | None:
        sides = [self._by_id[side] for side, _ in said]
        roles = [side.role for side in sides]
        if roles != sorted(set(roles)) or any(side.mapping.lists or side.paused for side in sides):
            return None  # in the order of roles, each once, they are merged as they stand
        spoke = [(side.role, all_of(paths)) for side, (_, paths) in zip(sides, said, strict=True)]
        accord = self._policies.accord(tuple(spoke))
        if accord is None:
            return None
        texts = [{path: path for path in paths} for _, paths in said]  # what is true of these, who agree, is true of all that do
        golden = accord.fields(texts)
        authors = first_authors([(str(place), "", paths) for place, paths, _, _ in accord.takes], "")
        answered: list[dict[str, str]] = [{} for _ in sides]
        for place, unit in accord.quiet:
            answered[place].update({path: digest(None) for path in unit})
        unread = [[path for path in side.mapping.unread if path in golden] for side in sides]
        links = [
            LinkRow("", "", "", 0, "", answered={path: digest(golden.get(path)) for path in (*marks, *paths)})
            for marks, paths in zip(answered, unread, strict=True)
        ]
        return Shape(
            accord,
            [(path, int(author[0])) for path, author in authors.items()],
            answered,
            [bool(paths) for paths in unread],
            [is_dirty(golden, link, side.mapping, text) for link, side, text in zip(links, sides, texts, strict=True)],
            not differ(self._policies.natural, golden, texts[0]),
            any(side.create and side not in sides for side in self._sides),
        )


def first_authors(taken: Sequence[tuple[str, str, Unit]], run: str) -> dict[str, list[str]]:
    """Return the authors of a new record of which these paths were taken from whom, at which version; the commonest under ``*``, so that it
    does not name the same one for each field."""
    if len(taken) == 1:
        return {"*": [taken[0][0], taken[0][1], run]}
    counted: dict[tuple[str, str], int] = {}
    for by, version, paths in taken:
        counted[by, version] = counted.get((by, version), 0) + len(paths)
    most = max(counted, key=counted.__getitem__, default=None)
    authors = {"*": [*most, run]} if most else {}
    for by, version, paths in taken:
        if (by, version) != most:
            author = [by, version, run]
            for path in paths:
                authors[path] = author
    return authors


@lru_cache(maxsize=1024)
def all_of(paths: tuple[str, ...]) -> frozenset[str]:
    """Return these paths as a set; what is said of most records is said of the same paths, and one set of them is enough."""
    return frozenset(paths)


def differ(paths: Iterable[str], one: Fields, other: Fields) -> bool:
    return list(map(one.get, paths)) != list(map(other.get, paths))
