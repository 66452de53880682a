"""How numbers, values and times are worded for a person."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_WAITS = {
    "clash": ("field in clash", "fields in clash"),
    "review": ("record in review", "records in review"),
    "field": ("field parked", "fields parked"),
    "record": ("record parked", "records parked"),
    "row": ("row unreadable", "rows unreadable"),
    "waiting": ("record waiting for another", "records waiting for another"),
    "missing": ("record not found", "records not found"),
    "intention": ("write in doubt", "writes in doubt"),
}


def count(number: int, one: str, many: str = "") -> str:
    """Return ``1 record``, ``2,000 records``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def waits(open_by_kind: Mapping[str, int]) -> str:
    """Return what waits, by kind, in the order in which a person looks at it; empty where nothing does."""
    return ", ".join(count(open_by_kind[kind], *said) for kind, said in _WAITS.items() if open_by_kind.get(kind))


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


def lines(added: int, changed: int, removed: int, detail: Mapping[str, str] | None = None) -> str:
    """Return how many lines of a document were written; ``detail`` says which, by ``changed`` or ``removed``."""
    parts = {"added": added, "changed": changed, "removed": removed}
    return ", ".join(f"{n} {what}" + (f" ({more})" if (more := (detail or {}).get(what)) else "") for what, n in parts.items() if n)
