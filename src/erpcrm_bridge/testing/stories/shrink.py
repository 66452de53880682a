"""Makes a failing story short: leaves out steps and faults while the same law stays broken."""

from __future__ import annotations

from collections.abc import Callable

from erpcrm_bridge.testing.stories.play import Outcome, Run, play, script


def ids_of(seed: int) -> list[str]:
    """Return the ids of all steps and faults of a story, in order."""
    found: list[str] = []
    for step in script(seed):
        found.append(step.id)
        if isinstance(step.doing, Run):
            found += [fault.id for fault in step.doing.faults]
    return found


def shrink(seed: int, law: str, *, tries: int = 150, playing: Callable[..., Outcome] = play) -> list[str]:
    """Return the ids of as few steps and faults of a story as still break ``law``."""
    keep = ids_of(seed)

    def breaks(some: list[str]) -> bool:
        violation = playing(seed, keep=frozenset(some)).violation
        return violation is not None and violation.law == law

    size = max(1, len(keep) // 2)
    while size and tries > 0:
        shorter = False
        for start in range(len(keep) - size, -1, -size):
            some = keep[:start] + keep[start + size :]
            tries -= 1
            if tries > 0 and breaks(some):
                keep, shorter = some, True
        size = size if shorter and size == 1 else size // 2
    return keep


def tell(seed: int, law: str) -> str:
    """Return a failing story, shrunk, as a person reads it, with the command that plays it again."""
    keep = shrink(seed, law)
    outcome = play(seed, keep=frozenset(keep), telling=True)
    command = f"python -m erpcrm_bridge.testing.stories --seed {seed} --steps {','.join(keep) or '-'}"
    return "\n".join([f"story {seed}, {len(keep)} steps and faults:", *outcome.told, "", str(outcome.violation), "", f"again: {command}"])
