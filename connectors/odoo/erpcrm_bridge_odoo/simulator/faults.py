"""Faults on request: what goes wrong, for which calls, how often. Told by the control face (``POST /_simulator/fault``) or on the command
line."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = {
    "lost": "the work is done and committed, the connection closes without an answer",
    "unheard": "the connection closes before anything is done",
    "cut": "the work is done, the answer stops in the middle of its body",
    "slow": "the answer comes so many seconds late; the work is done at once",
    "serialization": "the call ends as one that another transaction stood in the way of five times",
    "expired": "the key or password is refused, as after it ran out",
    "late_commit": "the transaction does its work at once and commits so many seconds later; until then nobody sees it",
    "edit": "before the call is done another user calls `call` ({model, method, args, kwargs})",
}


@dataclass
class Fault:
    """One thing to go wrong. ``times``: for how many calls; ``skip``: how many go well before; ``seconds``: for slow and late_commit."""

    kind: str
    times: int = 1
    skip: int = 0
    model: str | None = None
    method: str | None = None
    seconds: float = 1.0
    call: dict[str, Any] = field(default_factory=dict)

    def meets(self, model: str, method: str) -> bool:
        return self.times > 0 and self.model in (None, model) and self.method in (None, method)


class Faults:
    """The faults that are still to come; each call asks once and takes what is meant for it."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, told: Mapping[str, Any]) -> Fault:
        """Take a fault on. Raises ValueError for a kind, or a word, that there is not."""
        if told.get("kind") not in KINDS:
            raise ValueError(f"There is no fault {told.get('kind')!r}. Use one of {', '.join(KINDS)}.")
        strange = set(told) - set(Fault.__dataclass_fields__)
        if strange:
            raise ValueError(f"A fault has no {', '.join(sorted(strange))}. It has {', '.join(Fault.__dataclass_fields__)}.")
        fault = Fault(**told)
        with self._lock:
            self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def taken(self, model: str, method: str) -> dict[str, Fault]:
        """Return the faults of this call by kind, each once."""
        found: dict[str, Fault] = {}
        with self._lock:
            for fault in self._waiting:
                if fault.kind in found or not fault.meets(model, method):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                found[fault.kind] = fault
            self._waiting = [fault for fault in self._waiting if fault.times > 0]
        return found


_TEXT = re.compile(r"(?P<kind>[a-z_]+)(=(?P<seconds>[0-9.]+))?(\*(?P<times>\d+))?(@(?P<model>[a-z0-9_.]+)(/(?P<method>\w+))?)?")


def parsed(text: str) -> dict[str, Any]:
    """Read a fault as the command line has it: ``KIND[=SECONDS][*TIMES][@MODEL[/METHOD]]``. Raises ValueError for anything else."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no fault. Write KIND[=SECONDS][*TIMES][@MODEL[/METHOD]], as in slow=2*3@res.partner/read.")
    told: dict[str, Any] = {key: value for key, value in found.groupdict().items() if value is not None}
    if "seconds" in told:
        told["seconds"] = float(told["seconds"])
    if "times" in told:
        told["times"] = int(told["times"])
    return told
