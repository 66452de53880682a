"""Whether a record still is as a write expects it: for connectors to systems without conditional writes (L5)."""

from __future__ import annotations

from typing import Any

from erpcrm_bridge.model.records import Record, Write
from erpcrm_bridge.model.values import same


def as_expected(write: Write, record: Record) -> bool:
    """Tell whether the record still is as the write expects. A move that is there already is; what a write touches without an
    expectation must not have moved since its version."""
    if write.move is not None and same(record.fields.get(write.move[0]), write.move[1]):
        return True
    if not all(holds(record.fields.get(name), value) for name, value in write.expect.items()):
        return False
    touched = {*write.fields, *write.lists, *([write.move[0]] if write.move else [])}
    covered = write.operation != "delete" and touched <= write.expect.keys()
    return covered or write.version is None or write.version == record.version


def holds(present: Any, expected: Any) -> bool:
    """Tell whether ``present`` is what was expected; of the rows of a list, the fields that the expectation names."""
    if isinstance(expected, list) and isinstance(present, list):
        return len(expected) == len(present) and all(holds(one, other) for one, other in zip(present, expected, strict=True))
    if isinstance(expected, dict) and isinstance(present, dict):
        return all(name in present and same(present[name], value) for name, value in expected.items())
    return same(present, expected)
