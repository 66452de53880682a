"""How well the first joining does on trades that it has never seen, held against their truth.

``python demo/joined.py [SEED ...]`` makes the exports of each seed (default: the five that no threshold was tuned on), joins them as
``erpcrm-bridge adopt`` does, and prints the figures. It ends with 1 where a goal is missed: no wrong binding, at least 85 % of the true
pairs bound without review, at most 12 % in review, every double named or waiting for its parent.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from make_data import write

from erpcrm_bridge.cli.figures import Figures, figures
from erpcrm_bridge.cli.stage import FLOW, set_up
from erpcrm_bridge.mapping import load_library, shipped
from erpcrm_bridge.settings import load
from erpcrm_bridge.sync.run import run_flow
from erpcrm_bridge.work import at_work

SEEDS = (11, 22, 33, 44, 55)
BOUND, REVIEW = 0.85, 0.12


def joined(folder: Path, seed: int) -> list[Figures]:
    """Make the trade of this seed below ``folder``, join its two exports, and return the figures of each entity."""
    write(folder / "exports", seed)
    set_up(folder / "bridge", folder / "exports")
    settings = load(folder / "bridge" / "config.yaml", {})
    rules = {entity: found.match for entity, found in load_library([shipped()]).entities.items()}
    with at_work(settings, FLOW) as (flow, store, fence):
        run_flow(flow, store, folder=settings.folder, fence=fence, write=False, adopting=True)
        return figures(store, folder / "exports" / "truth.csv", rules)


def missed(one: Figures) -> Iterator[str]:
    """Yield each goal that an entity misses."""
    if one.wrong:
        yield f"{one.wrong} bound wrongly"
    if one.bound < BOUND * one.pairs:
        yield f"{one.bound / one.pairs:.1%} bound, not {BOUND:.0%}"
    if one.review > REVIEW * one.pairs:
        yield f"{one.review / one.pairs:.1%} in review, more than {REVIEW:.0%}"
    if one.named + one.doubles_waiting < one.doubles:
        yield f"{one.doubles - one.named - one.doubles_waiting} doubles not named"


def main(seeds: Sequence[int]) -> int:
    head = ("seed", "entity", "pairs", "bound", "wrong", "review", "waiting", "parked", "unmatched", "doubles", "named", "wait")
    print("  ".join(f"{name:>9}" for name in head))
    ended = 0
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            for one in joined(Path(folder), seed):
                share = f"{one.bound:,} {one.bound / one.pairs:.0%}"
                row = (seed, one.entity, one.pairs, share, one.wrong, one.review, one.waiting, one.parked, one.unmatched.total())
                print("  ".join(f"{value:>9}" for value in (*row, one.doubles, one.named, one.doubles_waiting)), flush=True)
                for goal in missed(one):
                    ended = 1
                    print(f"  missed: {goal}")
    return ended


if __name__ == "__main__":
    sys.exit(main([int(seed) for seed in sys.argv[1:]] or SEEDS))
