"""Storms of edits over three systems that hold values each in its own way, through the pure merge: no edit is lost, the order of
speaking decides nothing, and after any storm the systems agree and fall silent. `make soak` does it for a twentieth of SOAK_SECONDS."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erpcrm_bridge.mapping import FieldPolicy, load_library, shipped
from erpcrm_bridge.model.values import Fields, digest, same
from erpcrm_bridge.store.rows import Author
from erpcrm_bridge.sync.merge import Clash, Merged, Policies, Saying, Unit, base_means, merge

RENDER = {"exact": lambda text: text, "short": lambda text: text[:3], "loud": lambda text: text.upper()}
"""How each system holds a text; what it holds it holds again in the same way."""
ROLES = {name: name for name in RENDER}
POLICIES = Policies(
    load_library([shipped()]).entities["customer"],
    {
        "name": FieldPolicy(on_clash=("prefer", ("short", "exact", "loud"))),
        "phone": FieldPolicy(on_clash="ask"),
        "email": FieldPolicy(write_by=("exact",), on_clash="ask"),
        "website": FieldPolicy(on_clash="non_empty"),
        "tax_id": FieldPolicy(write_by=("short", "loud"), on_clash="max"),
        "payment_terms": FieldPolicy(on_clash="ask"),
    },
)
GROUP = POLICIES.unit("billing.city")
EDITED = ("name", "phone", "email", "website", "tax_id", "payment_terms", "billing.city", "billing.postal_code")
PATHS = tuple(dict.fromkeys((*EDITED, *GROUP)))
ROUNDS = 4


def hold(system: str, text: str | None) -> str | None:
    return None if text is None else RENDER[system](text)


@dataclass
class Copy:
    """A system's record and its link."""

    held: Fields
    base: Fields | None = None
    answered: dict[str, str] = field(default_factory=dict)


@dataclass
class World:
    copies: dict[str, Copy]
    golden: Fields = field(default_factory=lambda: dict.fromkeys(PATHS))
    authors: dict[str, Author] = field(default_factory=dict)
    frozen: dict[Unit, Clash] = field(default_factory=dict)

    def pull(self) -> bool:
        """Merge what moved; return whether anything did."""
        sayings = [saying for name, copy in self.copies.items() if (saying := self._saying(name, copy)) is not None]
        if not sayings:
            return False
        merged = self._merge(sayings)
        assert _outcome(merged) == _outcome(self._merge(sayings[::-1])), "the order of speaking decided"
        for saying in sayings:
            self._nothing_lost(saying, merged)
        for change in merged.changes:
            self.authors.update({path: [change.by, "", ""] for path in change.unit})
        self.golden = merged.fields
        for unit in merged.settled:
            self.frozen.pop(tuple(unit))
        self.frozen.update({tuple(clash.unit): clash for clash in merged.clashes})
        for name, copy in self.copies.items():
            moved = [path for path in PATHS if copy.base is None or not same(copy.base[path], copy.held[path])]
            copy.base = dict(copy.held)
            copy.answered = {path: mark for path, mark in copy.answered.items() if path not in moved}
            copy.answered |= {path: digest(self.golden[path]) for by, path in merged.quiet if by == name}
        return True

    def push(self) -> bool:
        """Write what does not mean golden; return whether anything was written."""
        frozen = {path for unit in self.frozen for path in unit}
        written = False
        for name, copy in self.copies.items():
            base = copy.base
            assert base is not None
            for path in PATHS:
                golden = self.golden[path]
                if path in frozen or base_means(path, golden, base[path], copy.answered):
                    continue
                wanted = hold(name, golden)
                if not same(wanted, base[path]):
                    copy.held[path] = base[path] = wanted
                    written = True
                copy.answered.pop(path, None)
                if not same(wanted, golden):
                    copy.answered[path] = digest(golden)
        return written

    def settle(self, choose: int) -> None:
        """A person takes one of the candidates of every clash."""
        for unit, clash in self.frozen.items():
            self.golden.update(zip(unit, clash.candidates[choose % len(clash.candidates)].values, strict=True))
        self.frozen = {}

    def _saying(self, name: str, copy: Copy) -> Saying | None:
        base = copy.base
        moved = frozenset(path for path, value in copy.held.items() if (value is not None if base is None else not same(base[path], value)))
        if not moved:
            return None
        return Saying(name, name, "", dict(copy.held), base and dict(base), moved, lambda path: True, dict(copy.answered))

    def _merge(self, sayings: list[Saying]) -> Merged:
        return merge(dict(self.golden), dict(self.authors), list(sayings), POLICIES, roles=ROLES, frozen=self.frozen)

    def _nothing_lost(self, saying: Saying, merged: Merged) -> None:
        """What a system said anew is or was golden, is told of as loser, refused or candidate, or is left alone where it stands."""
        for path in saying.moved:
            unit = POLICIES.unit(path)
            value = saying.said[path]
            told: list[tuple[str, Any]] = [("now", merged.fields[path]), ("before", self.golden[path])]
            for change in merged.changes:
                told += [("loser", loser.values[unit.index(path)]) for loser in change.losers if change.unit == unit]
            told += [(refusal.by, refusal.values[unit.index(path)]) for refusal in merged.refused if tuple(refusal.unit) == unit]
            told += [(c.by, c.values[unit.index(path)]) for clash in merged.clashes if tuple(clash.unit) == unit for c in clash.candidates]
            alone = (saying.by, path) in merged.quiet
            assert alone or any(same(value, one) for _, one in told), f"{path}: an edit is lost"


def _outcome(merged: Merged) -> Any:
    """What a merge comes to, without the order of its parts."""
    changes = sorted((change.unit, change.new, change.by, change.rule) for change in merged.changes)
    clashes = sorted((clash.unit, sorted((c.by, repr(c.values)) for c in clash.candidates)) for clash in merged.clashes)
    refused = sorted((refusal.unit, refusal.by) for refusal in merged.refused)
    return merged.fields, repr(changes), repr(clashes), repr(refused), sorted(map(tuple, merged.settled)), sorted(merged.quiet)


TEXTS = st.sampled_from([None, "a", "ab", "abcd", "abcx", "ABCD", "b", "zebra"])
EDITS = st.lists(st.tuples(st.sampled_from(list(RENDER)), st.sampled_from(EDITED), TEXTS), max_size=6)
STARTS = st.fixed_dictionaries({name: st.fixed_dictionaries(dict.fromkeys(EDITED, TEXTS)) for name in RENDER})


def weather(start: dict[str, dict[str, str | None]], storm: list[list[tuple[str, str, str | None]]], choose: int) -> None:
    """Join three systems, let the storm pass over them, settle what is in clash; all hold what golden says, and are silent."""
    copies = {
        name: Copy({**dict.fromkeys(PATHS), **{path: hold(name, text) for path, text in fields.items()}}) for name, fields in start.items()
    }
    world = World(copies)
    world.pull()
    for copy in world.copies.values():
        copy.base = dict(copy.held)
    world.push()
    for edits in storm:
        for name, path, text in edits:
            world.copies[name].held[path] = hold(name, text)
        world.pull()
        world.push()
    quiet(world)
    world.settle(choose)
    quiet(world)
    for name, copy in world.copies.items():
        for path in PATHS:
            assert base_means(path, world.golden[path], copy.held[path], copy.answered), f"{name} {path} is not golden"


def quiet(world: World) -> None:
    """A bounded number of rounds brings silence."""
    for _ in range(ROUNDS):
        moved, written = world.pull(), world.push()
        if not moved and not written:
            return
    raise AssertionError(f"not silent after {ROUNDS} rounds")


ANY = given(start=STARTS, storm=st.lists(EDITS, max_size=6), choose=st.integers(0, 2))
test_after_any_storm_nothing_is_lost_and_all_agree_and_fall_silent = settings(max_examples=150, deadline=None)(ANY(weather))


@pytest.mark.soak
@pytest.mark.skipif("SOAK_SECONDS" not in os.environ, reason="takes long: make soak")
def test_storms_for_as_long_as_is_asked() -> None:
    until = time.monotonic() + float(os.environ["SOAK_SECONDS"]) / 20
    storms = settings(max_examples=1_000, deadline=None, database=None)(ANY(weather))
    while time.monotonic() < until:
        storms()
