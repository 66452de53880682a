"""How numbers, values and times are worded for a person."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

WAITS = {
    "clash": "fields in clash",
    "review": "records that may be another one",
    "field": "fields that could not be read or were refused",
    "record": "records that could not be taken or were refused",
    "row": "rows that could not be read",
    "waiting": "records that wait for another one",
    "missing": "records that are not found",
    "intention": "writes that may have been done",
}
"""What is parked, by kind, in the order in which a person looks at it."""


def count(number: int, one: str, many: str = "") -> str:
    """Return ``1 record``, ``2,000 records``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def waits(open_by_kind: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return what waits, worded, with its number."""
    return [(WAITS[kind], open_by_kind[kind]) for kind in WAITS if open_by_kind.get(kind)]


def value(held: Any, length: int = 60) -> str:
    """Return a field's value as a person reads it, cut at ``length`` characters; ∅ where it is empty."""
    if held is None:
        return "∅"
    if isinstance(held, bool):
        return "yes" if held else "no"
    if isinstance(held, Decimal):
        return format(held, "f")
    if isinstance(held, list):
        lines = bool(held) and isinstance(held[0], dict)
        return count(len(held), "line") if lines else " | ".join(value(item, length) for item in held)
    text = " / ".join(str(held).splitlines()) if held != "" else "∅"
    return text if len(text) <= length else text[: length - 1] + "…"


def when(instant: str | None) -> str:
    """Return an instant without its fraction of a second."""
    return f"{instant[:19].replace('T', ' ')}Z" if instant else ""
