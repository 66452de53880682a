"""Ids: ordered in time, and each the text of its number."""

from __future__ import annotations

import pytest

from erpcrm_bridge.model.ids import Ids, is_golden_id, text_of

_MS = 1_800_000_000_000
_FIRST = (_MS - 1_577_836_800_000) << 23


@pytest.mark.parametrize("start", [0, 1023, (1 << 10) - 2, (1 << 20) - 2, (1 << 22) - 2, (1 << 23) - 2])
def test_ids_are_the_texts_of_numbers_that_follow_one_another(start: int) -> None:
    ids = Ids("G", _MS, start)
    made = [ids.new() for _ in range(5)]
    assert made == ["G" + text_of(_FIRST + start + at) for at in range(5)]
    assert made == sorted(made)
    assert all(map(is_golden_id, made))


def test_ids_of_a_later_moment_come_later() -> None:
    ids = Ids("L")
    made = [ids.new() for _ in range(2_000)]
    assert made == sorted(set(made))
