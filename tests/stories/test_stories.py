"""Stories of whole runs, drawn from seeds: the laws hold in each, every fault is met everywhere, and a broken bridge is caught."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import pytest

from erpcrm_bridge.testing.stories.coverage import LAWS, gather, missing, table
from erpcrm_bridge.testing.stories.mutants import MUTANTS, Mutant, broken, caught
from erpcrm_bridge.testing.stories.play import play
from erpcrm_bridge.testing.stories.scene import RICH
from erpcrm_bridge.testing.stories.shrink import ids_of, shrink, tell

STORIES = int(os.environ.get("STORIES", "2400"))
LAST_THAT_SPOKE = next(mutant for mutant in MUTANTS if mutant.name == "the last that spoke wins")


def test_in_every_story_the_laws_hold_and_every_fault_is_met_everywhere() -> None:
    with ProcessPoolExecutor(2) as pool:
        outcomes = list(pool.map(play, range(1, STORIES + 1), chunksize=25))
    broke = [(outcome.seed, outcome.violation) for outcome in outcomes if outcome.violation]
    assert not broke, "\n".join([*map(str, broke), tell(broke[0][0], broke[0][1].law)])
    cells = gather(outcomes)
    sys.stdout.write(table(cells) + "\n")
    assert missing(cells) == []


def test_in_rich_stories_the_laws_hold_too() -> None:
    """Two mappings share a stream, so that a person may become a company; a field without a rule is passed through."""
    with ProcessPoolExecutor(2) as pool:
        outcomes = list(pool.map(play, range(RICH, RICH + 100), chunksize=25))
    broke = [(outcome.seed, outcome.violation) for outcome in outcomes if outcome.violation]
    assert not broke, "\n".join([*map(str, broke), tell(broke[0][0], broke[0][1].law)])


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.law} {mutant.name}")
def test_a_broken_bridge_is_caught(mutant: Mutant) -> None:
    assert caught(mutant) is not None


def test_every_law_has_three_mutants() -> None:
    count = Counter(mutant.law for mutant in MUTANTS)
    assert {law: count[law] for law in LAWS if count[law] < 3} == {}


def test_a_failing_story_is_shrunk_and_told_with_its_command() -> None:
    with broken(LAST_THAT_SPOKE):
        seed, law = next((seed, found.law) for seed in range(1, 50) if (found := play(seed).violation))
        keep = shrink(seed, law)
        told = tell(seed, law)
    assert len(keep) < len(ids_of(seed))
    assert f"python -m erpcrm_bridge.testing.stories --seed {seed} --steps {','.join(keep)}" in told


def test_a_story_is_the_same_in_every_process() -> None:
    code = "from erpcrm_bridge.testing.stories.play import play; print('\\n'.join(play(7, telling=True).told))"
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert "THE BRIDGE" in told.pop()
