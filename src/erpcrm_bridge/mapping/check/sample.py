"""A mapping tried on records as a system holds them. What is told are counts, never a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from erpcrm_bridge.mapping.check.examples import Same
from erpcrm_bridge.mapping.check.laws import created
from erpcrm_bridge.mapping.compile import CompiledMapping
from erpcrm_bridge.mapping.source import FieldError
from erpcrm_bridge.model.values import Fields, same


@dataclass(slots=True)
class Sampled:
    """How many records were looked at and how many `when` leaves out; by field (and the transform that refused) how many could not be read,
    how many would come back from a new record as something else, how many are always empty, and how many local times (`wall_time`) lie
    after their record was last changed: it may be that their zone is another. ``broken``: what was met beside them and is no record."""

    records: int = 0
    asleep: int = 0
    unread: Counter[tuple[str, str]] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    filled: Counter[str] = field(default_factory=Counter)
    ahead: Counter[str] = field(default_factory=Counter)
    broken: int = 0

    @property
    def never_filled(self) -> list[str]:
        """Fields that no record had a value for; none where no record was read."""
        return sorted(path for path, count in self.filled.items() if not count) if self.records > self.asleep else []


def sample(compiled: CompiledMapping, records: Iterable[Fields]) -> Sampled:
    """Return what becomes of these records under the mapping; nothing is written anywhere."""
    found, refs = Sampled(), Same()
    found.filled.update(dict.fromkeys((path for path in compiled.readable if path not in compiled.lists), 0))
    both = compiled.readable & compiled.writable
    local = [path for plan in compiled._plans if any(one.name == "wall_time" for one in plan.via) for path in plan.rule.canonical]
    for record in records:
        found.records += 1
        if not compiled.applies(record):
            found.asleep += 1
            continue
        errors: list[FieldError] = []
        golden = compiled.get(record, refs, errors)
        for one in compiled.lists.values():
            for row in one.rows(record):
                one.get(row, golden, refs, errors)
        found.unread.update({(error.path, error.transform or "") for error in errors})
        found.filled.update(path for path, value in golden.items() if value is not None and path in found.filled)
        last = _instant(record.get(compiled.version)) if compiled.version is not None else None
        times = {path: at for path in local if (at := _instant(golden.get(path))) is not None}
        found.ahead.update(path for path, at in times.items() if last is not None and at > last)
        refused: list[FieldError] = []
        put = compiled.put(golden, None, refs, refused, create=True)
        back = compiled.get(created(compiled._world, compiled._plans, put), refs, refused)
        parked = {error.path for error in refused}
        found.changed.update(
            path for path, value in golden.items() if value is not None and path in both - parked and not same(back.get(path), value)
        )
    return found


def _instant(value: Any) -> datetime | None:
    """Return the instant that a text is; None for anything else, a time without its zone among them."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else None
