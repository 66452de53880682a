"""Very many hashes, in an eighth of the memory that a set of them takes."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable

_LOAD, _FULL = 0.65, 0.8
"""The share of the places that is to be taken, and that may be: the more are, the longer it takes to find that a hash is not there."""
_FREE, _TAKEN_OUT = 0, -1


class Hashes:
    """Hashes of 64 bits as ``hash`` gives them of texts and tuples: spread evenly, and none is -1. A 0 is never held.

    They lie in a table with open addresses, of which each takes some 12 bytes; what is taken out leaves its place marked. ``expected`` is
    about how many they will be.
    """

    def __init__(self, expected: int = 0) -> None:
        self.left = 0
        """How many are held."""
        self._lay_out(expected)

    def _lay_out(self, expected: int) -> None:
        self._size = int(expected / _LOAD) + 8
        self._room = int(self._size * _FULL)
        self._places = array("q", [_FREE]) * self._size

    def add(self, hashes: Collection[int]) -> None:
        self.left += len(hashes)
        self._room -= len(hashes)
        if self._room < 0:
            before = self._places
            self._lay_out(2 * self.left)
            self._room -= self.left
            self._put(one for one in before if one not in (_FREE, _TAKEN_OUT))
        self._put(hashes)

    def _put(self, hashes: Iterable[int]) -> None:
        places, size = self._places, self._size
        for one in hashes:
            at = one % size
            while places[at]:
                at -= 1  # before the first place stands the last one
            places[at] = one

    def take(self, hashes: Iterable[int]) -> list[int]:
        """Take these out. Return the places, in ``hashes``, of those that are not there, or not any more."""
        places, size = self._places, self._size
        absent, number = [], -1
        for number, one in enumerate(hashes):
            at = one % size
            while (found := places[at]) != one:
                if not found:
                    absent.append(number)
                    break
                at -= 1
            else:
                places[at] = _TAKEN_OUT
        self.left -= number + 1 - len(absent)
        return absent

    def __contains__(self, one: int) -> bool:
        at = one % self._size
        while (found := self._places[at]) not in (_FREE, one):
            at -= 1
        return found != _FREE
