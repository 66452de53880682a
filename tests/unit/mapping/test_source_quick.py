"""What is written into the generated functions to save a call says the same as the call."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpcrm_bridge.model.kinds import COMMONLY

_TEXTS = st.text(st.sampled_from("aZ9 \t\r\nßÄı+*-.,İ\u0660\x1c"), max_size=6)


@pytest.mark.parametrize(("normalise", "code"), COMMONLY.items(), ids=lambda one: getattr(one, "__name__", ""))
@given(value=_TEXTS)
def test_the_quick_way_gives_what_the_normaliser_gives(normalise: Any, code: tuple[str, str], value: str) -> None:
    condition, result = code
    if eval(condition, {"v": value}):
        assert eval(result, {"v": value}) == normalise(value)
    assert not eval(condition, {"v": 5})
