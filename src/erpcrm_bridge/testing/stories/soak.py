"""Plays stories for as long as is asked, in two processes; the first violations are shrunk and told at its end.

::

    SOAK_SECONDS=3600 SOAK_SEED=1 python -m erpcrm_bridge.testing.stories.soak
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from msgspec import Struct

from erpcrm_bridge.testing.stories.check import IN_WINDOW
from erpcrm_bridge.testing.stories.play import play
from erpcrm_bridge.testing.stories.scene import RICH
from erpcrm_bridge.testing.stories.shrink import tell

BATCH = 25


class Sum(Struct):
    """What a batch of stories came to. ``window`` are edits made in the window that L5 names; ``broken`` are (seed, law) of those that
    violated one."""

    stories: int = 0
    steps: int = 0
    faults: int = 0
    kills: int = 0
    window: int = 0
    broken: list[tuple[int, str]] = []

    def add(self, other: Sum) -> None:
        self.stories += other.stories
        self.steps += other.steps
        self.faults += other.faults
        self.kills += other.kills
        self.window += other.window
        self.broken = [*self.broken, *other.broken]


def batch(first: int) -> Sum:
    """Play the stories of ``BATCH`` seeds."""
    done = Sum()
    for seed in range(first, first + BATCH):
        outcome = play(seed)
        broken = [(seed, outcome.violation.law)] if outcome.violation else []
        window = outcome.notes.get(IN_WINDOW, 0)
        done.add(Sum(1, outcome.steps, outcome.faults, outcome.kills, window, broken))
    return done


def soak(seed: int, seconds: float, processes: int = 2) -> Iterator[Sum]:
    """Yield the sum so far after each batch, until ``seconds`` are over."""
    until = time.monotonic() + seconds
    total = Sum()
    with ProcessPoolExecutor(processes) as pool:
        at_work: set[Future[Sum]] = set()
        first, batches = seed, 0
        while at_work or time.monotonic() < until:
            while len(at_work) < processes and time.monotonic() < until:
                at_work.add(pool.submit(batch, first + (RICH if batches % 4 == 3 else 0)))
                first, batches = first + BATCH, batches + 1
            done, at_work = wait(at_work, return_when=FIRST_COMPLETED)
            for future in done:
                total.add(future.result())
                yield total


def main() -> int:
    seed, seconds = int(os.environ.get("SOAK_SEED", "1")), float(os.environ.get("SOAK_SECONDS", "3600"))
    total, told, known = Sum(), time.monotonic(), 0
    for total in soak(seed, seconds):
        for broken, law in total.broken[known:]:
            sys.stdout.write(f"story {broken} broke {law}\n")
        if time.monotonic() - told > 60 or len(total.broken) > known:
            told = time.monotonic()
            sys.stdout.write(_line(total, seed))
            sys.stdout.flush()
        known = len(total.broken)
    for broken, law in sorted(total.broken)[:3]:
        sys.stdout.write(tell(broken, law) + "\n\n")
    sys.stdout.write(f"{total.window} edits fell into the window of L5, none of them where writes are conditional.\n")
    sys.stdout.write(_line(total, seed))
    return 1 if total.broken else 0


def _line(total: Sum, seed: int) -> str:
    counts = f"stories={total.stories} steps={total.steps} faults={total.faults} kills={total.kills}"
    return f"{counts} violations={len(total.broken)} seed={seed}\n"


if __name__ == "__main__":
    sys.exit(main())
