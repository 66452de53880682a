"""References between records: whom they mean, and which of them a record waits for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from erpcrm_bridge.mapping import FieldError
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.store import Store
from erpcrm_bridge.sync.flow import Flow, Side


def blocking(side: Side, errors: Sequence[FieldError]) -> list[FieldError]:
    """Return the errors that are references whose target is not linked yet and for which the record waits: required ones, and those of its
    lines, for a document is read whole."""
    if not errors:
        return []
    required = {path for rule in side.mapping.rules if rule.reference and rule.reference[1] for path in rule.canonical}
    lists = side.mapping.lists
    waits = [error for error in errors if error.reference is not None]
    return [error for error in waits if error.path in required or error.path.partition(".")[0] in lists]


def refs_of(flow: Flow, store: Store, side: Side, records: Iterable[Fields]) -> dict[tuple[str, str], str]:
    """Resolve, in one query an entity, the references that these records of a side hold: golden ids by entity and key.

    A key is looked up among the records of its entity alone: two streams of a system may use the same keys.
    """
    if not side.mapping.refers:
        return {}
    wanted: dict[str, set[str]] = {}
    for fields in records:
        for entity, key in side.mapping.references_in(fields):
            wanted.setdefault(entity, set()).add(key)
    refs: dict[tuple[str, str], str] = {}
    for entity, keys in wanted.items():
        found = referred(store, flow.streams_of(side.system, entity), sorted(keys))
        refs.update({(entity, key): golden_id for key, golden_id in found.items()})
    return refs


def referred(store: Store, stream_ids: Sequence[int], keys: Sequence[str]) -> dict[str, str]:
    """Return, by key, the golden id that a reference to it means. One to a record that is deleted still says whom it meant."""
    found = store.golden_of(stream_ids, keys)
    for stream_id in stream_ids:
        left = [key for key in keys if key not in found]
        found.update({key: link.golden_id for key, link in store.links_by_key(stream_id, left).items()} if left else {})
    return found
