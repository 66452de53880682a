"""Two lanes to one system: what reads ahead never keeps a write waiting for longer than the calls that are under way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

Lane: TypeAlias = Literal["read", "write"]


class Lanes:
    """Lets at most ``parallel`` calls go at once. Reads leave one place to writes where there are two or more, and none of them begins
    while a write waits."""

    def __init__(self, parallel: int) -> None:
        self._parallel = max(1, parallel)
        self._of_reads = max(1, self._parallel - 1)
        self._turn = threading.Condition()
        self._under_way = {"read": 0, "write": 0}
        self._writes_waiting = 0

    @contextmanager
    def place(self, lane: Lane) -> Iterator[None]:
        """Hold one place while the block runs; wait for it first."""
        with self._turn:
            if lane == "write":
                self._writes_waiting += 1
                try:
                    self._turn.wait_for(self._is_free)
                finally:
                    self._writes_waiting -= 1
            else:
                self._turn.wait_for(lambda: self._is_free() and not self._writes_waiting and self._under_way["read"] < self._of_reads)
            self._under_way[lane] += 1
        try:
            yield
        finally:
            with self._turn:
                self._under_way[lane] -= 1
                self._turn.notify_all()

    def _is_free(self) -> bool:
        return sum(self._under_way.values()) < self._parallel
