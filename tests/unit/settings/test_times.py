"""Spans of time and cron lines."""

from __future__ import annotations

import pytest

from erpcrm_bridge.settings.times import check_cron, check_zone, seconds


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("15m", 900), ("24h", 86400), ("7d", 604800)])
def test_a_span_is_read_in_seconds(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "15", "m", "0m", "-5m", "1.5h", "15 m", "15M", "1w"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="span of time"):
        seconds(text)


@pytest.mark.parametrize("text", ["* * * * *", "*/15 * * * *", "0 6 * * mon-fri", "0,30 8-18/2 1 jan,jul 0", "0 0 31 12 7", "0 6 * * MON"])
def test_a_cron_line_of_five_parts_passes(text: str) -> None:
    check_cron(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "0 parts"),
        ("* * * *", "4 parts"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of the month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day of the week"),
        ("* * * * fri-mon", "day of the week"),
        ("*/0 * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("*-5 * * * *", "minute"),
    ],
)
def test_a_wrong_cron_line_names_the_part(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        check_cron(text)


def test_a_zone_is_one_of_the_iana_database() -> None:
    check_zone("Europe/Berlin")
    for wrong in ("Europe/Nowhere", "../etc/passwd", ""):
        with pytest.raises(ValueError, match="IANA"):
            check_zone(wrong)
