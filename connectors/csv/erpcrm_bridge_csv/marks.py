"""Which of very many hashes stand there twice, in memory that does not grow with their number."""

from __future__ import annotations

import os
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from typing import IO

from erpcrm_bridge_csv.files import scratch

_RUN = 1 << 17
_SIZE = 8


class Marks:
    """Hashes (of 64 bits, as ``hash`` gives them). Beyond the first hundred thousand they lie on the disk, in sorted runs."""

    def __init__(self) -> None:
        self._last = array("q")
        self._runs: list[_Run] = []
        self._file: IO[bytes] | None = None

    def extend(self, hashes: Iterable[int]) -> None:
        self._last.extend(hashes)
        if len(self._last) >= _RUN:
            self._lay_down()

    def twice(self) -> set[int]:
        """Return the hashes that stand there twice or more; nothing is held afterwards."""
        if self._file is None:
            return _repeated(sorted(self._last)) if len(set(self._last)) < len(self._last) else set()
        if self._last:
            self._lay_down()
        with self._file, scratch():
            bounds = [-(1 << 63) + (1 << 64) * n // len(self._runs) for n in range(len(self._runs) + 1)]
            found = set()
            for low, high in pairwise(bounds):  # hashes are spread evenly: each share is about one run
                found |= _repeated(sorted(chain.from_iterable(run.between(low, high) for run in self._runs)))
            return found

    def _lay_down(self) -> None:
        with scratch():
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives until `twice`, and goes with this object
            self._runs.append(_Run(self._file.fileno(), self._file.seek(0, os.SEEK_END), len(self._last)))
            array("q", sorted(self._last)).tofile(self._file)
            self._file.flush()
        self._last = array("q")


class _Run(Sequence[int]):
    """A sorted run in the file."""

    def __init__(self, descriptor: int, start: int, length: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, at: int) -> int:  # type: ignore[override]  # bisect asks for single places only
        return self._read(at, at + 1)[0]

    def between(self, low: int, high: int) -> array[int]:
        return self._read(bisect_left(self, low), bisect_left(self, high))

    def _read(self, start: int, end: int) -> array[int]:
        return array("q", os.pread(self._descriptor, (end - start) * _SIZE, self._start + start * _SIZE))


def _repeated(ordered: Sequence[int]) -> set[int]:
    return {one for one, other in pairwise(ordered) if one == other}
