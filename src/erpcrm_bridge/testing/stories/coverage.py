"""Which fault struck where with which law at stake: the table of what the stories have been through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from erpcrm_bridge.testing.stories.ground import SITES
from erpcrm_bridge.testing.stories.play import PAIRS, Outcome

LAWS = tuple(f"L{n}" for n in range(1, 14))
ENOUGH = 20
"""Each law is at stake somewhere under each fault, so no cell may be empty."""


def gather(outcomes: Iterable[Outcome]) -> Counter[tuple[str, str, str]]:
    """Return how often each (fault, site, law) was met in these stories."""
    cells: Counter[tuple[str, str, str]] = Counter()
    for outcome in outcomes:
        for kind, site, run in outcome.struck:
            for law in outcome.stakes.get(run, ()):
                cells[kind, site, law] += 1
    return cells


def missing(cells: Counter[tuple[str, str, str]], enough: int = ENOUGH) -> list[tuple[str, str, str, int]]:
    """Return the cells that were met too seldom."""
    return [(kind, site, law, cells[kind, site, law]) for kind, site in PAIRS for law in LAWS if cells[kind, site, law] < enough]


def table(cells: Counter[tuple[str, str, str]]) -> str:
    """Return the table as text: a row for each fault and site, a column for each law."""
    order = sorted(PAIRS, key=lambda pair: (pair[0], SITES.index(pair[1])))
    lines = [f"{'fault':<14}{'at':<11}" + "".join(f"{law:>6}" for law in LAWS)]
    for kind, site in order:
        counts = "".join(f"{cells[kind, site, law]:>6}" for law in LAWS)
        lines.append(f"{kind:<14}{site:<11}{counts}")
    return "\n".join(lines)
