"""Very many hashes: what is there, and what was taken out."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from erpcrm_bridge.sync.hashes import Hashes

# Few, small and of both signs, so that they meet at one place of the table, go round its end, and stand there twice.
ONES = st.integers(-12, 12).filter(lambda one: one not in (0, -1))


@given(st.integers(0, 8), st.lists(st.tuples(st.lists(ONES, max_size=20), st.lists(ONES, max_size=6)), max_size=6))
def test_it_tells_what_a_list_of_them_would_tell(expected: int, steps: list[tuple[list[int], list[int]]]) -> None:
    hashes, standing = Hashes(expected), list[int]()
    for added, ones in steps:
        hashes.add(added)
        standing += added
        absent = []
        for at, one in enumerate(ones):
            if one in standing:
                standing.remove(one)
            else:
                absent.append(at)
        assert hashes.take(ones) == absent
        assert hashes.left == len(standing)
        assert all((one in hashes) == (one in standing) for one in range(-13, 13) if one not in (0, -1))


def test_nothing_is_in_none() -> None:
    hashes = Hashes()
    assert (hashes.take([1, 2]), hashes.left, 1 in hashes) == ([0, 1], 0, False)


def test_very_many_take_a_few_bytes_each() -> None:
    tracemalloc.start()
    hashes = Hashes(100_000)
    for start in range(0, 102_000, 1_000):
        hashes.add([hash(str(one)) for one in range(start, start + 1_000)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 102_000 * 14
    assert hashes.take(hash(str(one)) for one in range(101_990, 102_010)) == list(range(10, 20))
