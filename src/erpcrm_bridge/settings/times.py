"""Spans of time and schedules, as a person writes them."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_SPAN = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PARTS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_ITEM = re.compile(r"(\*|[a-z]{3}|[0-9]{1,2})(?:-([a-z]{3}|[0-9]{1,2}))?(?:/([0-9]{1,2}))?")


def seconds(text: str) -> int:
    """Return the seconds of ``90s``, ``15m``, ``24h`` or ``7d``. Raises ValueError."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError("is not a span of time such as 90s, 15m, 24h or 7d")
    return int(match[1]) * _SECONDS[match[2]]


def check_cron(text: str) -> None:
    """Raise ValueError, naming the part, unless ``text`` is minute, hour, day of the month, month and day of the week."""
    parts = text.lower().split()
    if len(parts) != len(_PARTS):
        raise ValueError(f"has {len(parts)} parts; a cron line has five: minute, hour, day of the month, month, day of the week")
    for part, (name, low, high, words) in zip(parts, _PARTS, strict=True):
        if not all(_fits(item, low, high, words) for item in part.split(",")):
            raise ValueError(f"its {name} is none: {low} to {high}{' or ' + ', '.join(words) if words else ''}, with * , - and /")


def _fits(item: str, low: int, high: int, words: dict[str, int]) -> bool:
    match = _ITEM.fullmatch(item)
    if match is None:
        return False
    first, last, step = match.groups()
    if step is not None and int(step) == 0:
        return False
    if first == "*":
        return last is None
    ends = [_number(end, words) for end in (first, last) if end is not None]
    return all(end is not None and low <= end <= high for end in ends) and ends == sorted(ends, key=lambda end: end or 0)


def _number(text: str, words: dict[str, int]) -> int | None:
    return int(text) if text.isdigit() else words.get(text)


def check_zone(name: str) -> None:
    """Raise ValueError unless ``name`` is a time zone of the IANA database."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a time zone of the IANA database, such as Europe/Berlin") from None
