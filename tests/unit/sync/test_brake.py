"""How many writes a brake lets pass."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from erpcrm_bridge.settings.load import Brakes
from erpcrm_bridge.sync import brake


@pytest.mark.parametrize(
    ("share", "live", "total", "passes"),
    [
        (0.25, 400, 100, True),
        (0.25, 400, 101, False),
        (0.25, 100_000, 25_000, True),
        (0.1, 1_000, 100, True),
        (0.1, 1_000, 101, False),
        (0.25, 4, 20, True),
        (0.25, 4, 21, False),
        (0.0, 100_000, 21, False),
    ],
)
def test_a_share_of_the_live_links_passes_and_is_told_whole_where_it_does_not(share: float, live: int, total: int, passes: bool) -> None:
    side = SimpleNamespace(connection="erp", stream_id=7)
    flow: Any = SimpleNamespace(brakes=Brakes(changed=share), all_sides=lambda: [side])
    store: Any = SimpleNamespace(count_live_links=lambda streams, limit: min(live, limit) if streams == [7] else 0)
    limit = brake._limit(flow, store, "erp", "changed", total)
    assert limit is not None
    assert (total <= limit) is passes
    if not passes:
        assert limit == max(int(share * live), 20)
