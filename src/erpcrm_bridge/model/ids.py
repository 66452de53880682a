"""Golden ids, and the ids of links, runs and what is parked: ordered in time, 14 characters, safe in any external-id field. Templates of
keys that the bridge gives in a system.

A letter and 13 characters of Crockford's base 32 (no I, L, O, U): 42 bits of milliseconds since 2020, 23 bits of counter that
starts at random in each process. Ordered in time, for opaque keys cost an index half as much again.
"""

from __future__ import annotations

import re
import secrets
import time
from string import Formatter

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_EPOCH_MS = 1_577_836_800_000
_COUNTER_BITS = 23
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


class Ids:
    """A source of ids; each call of ``new`` is greater than the one before.

    ``prefix`` is one letter: G for golden records, L for links, R for runs, P for what is parked. ``now_ms`` fixes the clock (Unix ms).
    """

    def __init__(self, prefix: str, now_ms: int | None = None, start: int | None = None) -> None:
        self._prefix = prefix
        self._last = 0
        self._fixed_ms = now_ms
        self._counter = secrets.randbits(_COUNTER_BITS - 1) if start is None else start
        self._head, self._head_of = "", -1

    def new(self) -> str:
        ms = (self._fixed_ms if self._fixed_ms is not None else time.time_ns() // 1_000_000) - _EPOCH_MS
        value = (ms << _COUNTER_BITS) | self._counter
        if value <= self._last:
            value = self._last + 1
        self._last = value
        if value >> 20 != self._head_of:  # all but the last four digits, which hardly ever move
            self._head, self._head_of = self._prefix + text_of(value)[:-4], value >> 20
        return self._head + _PAIRS[(value >> 10) & 1023] + _PAIRS[value & 1023]


def text_of(value: int) -> str:
    """Return the 13 characters of a 65-bit number."""
    # Six pairs and one single: 13 digits of 5 bits.
    pairs = _PAIRS
    return (
        _ALPHABET[(value >> 60) & 31]
        + pairs[(value >> 50) & 1023]
        + pairs[(value >> 40) & 1023]
        + pairs[(value >> 30) & 1023]
        + pairs[(value >> 20) & 1023]
        + pairs[(value >> 10) & 1023]
        + pairs[value & 1023]
    )


def is_golden_id(text: object) -> bool:
    """Tell whether ``text`` has the shape of a golden id (not whether one with it exists)."""
    return isinstance(text, str) and len(text) == 14 and text[0] == "G" and all(c in _ALPHABET for c in text[1:])


def counts_once(template: str) -> bool:
    """Tell whether a template of a system's keys holds their number once, as ``{n}`` or filled up with zeros as ``{n:05d}``, and can be
    printed."""
    try:
        numbers = [(name, spec, how) for _, name, spec, how in Formatter().parse(template) if name is not None]
    except ValueError:
        return False
    return (
        template.isprintable()
        and [(name, how) for name, _, how in numbers] == [("n", None)]
        and re.fullmatch("(0[1-9][0-9]*)?d?", numbers[0][1] or "") is not None
    )
