"""Plays stories from the command line."""

from __future__ import annotations

import argparse
import sys
import time

from erpcrm_bridge.testing.stories.play import play
from erpcrm_bridge.testing.stories.shrink import tell


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m erpcrm_bridge.testing.stories", description="Plays stories of the bridge.")
    parser.add_argument("--seed", type=int, default=1, help="the story, or the first of many")
    parser.add_argument("--steps", help="only these steps and faults of it, by their ids (0,3,4.1)")
    parser.add_argument("--stories", type=int, default=1, help="how many stories, one seed after another")
    parser.add_argument("--every", action="store_true", help="go on after a violation")
    given = parser.parse_args()
    keep = given.steps.split(",") if given.steps else None
    if given.stories == 1:
        outcome = play(given.seed, keep=keep, telling=True)
        sys.stdout.write("\n".join(outcome.told) + f"\n\n{outcome.violation or 'all laws held'}\n")
        return 1 if outcome.violation else 0
    began = time.perf_counter()
    bad = 0
    for seed in range(given.seed, given.seed + given.stories):
        outcome = play(seed)
        if outcome.violation is not None:
            bad += 1
            if not given.every:
                sys.stdout.write(tell(seed, outcome.violation.law) + "\n")
                return 1
            sys.stdout.write(f"seed {seed}: {outcome.violation}\n")
    sys.stdout.write(f"{given.stories} stories, {bad} bad, {(time.perf_counter() - began) / given.stories * 1000:.1f} ms each\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
