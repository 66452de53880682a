"""Explain: for a record or one field of it, which system said so, when, in which run, by which rule, over what, and what lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from erpcrm_bridge.errors import UsageError
from erpcrm_bridge.model.ids import is_golden_id
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.store import GoldenRow, HistoryRow, LinkRow, ParkedRow, Store
from erpcrm_bridge.sync.decide import label_of
from erpcrm_bridge.sync.desk import paused
from erpcrm_bridge.sync.flow import Paused
from erpcrm_bridge.sync.merge import author_of


class Copy(Struct):
    """Where a golden record stands: its link in one stream."""

    connection: str
    stream: str
    key: str | None
    state: str
    dirty: bool
    held: list[str]
    pending: list[str]


class Explained(Struct):
    """A golden record with all that is known of how it came about. ``history`` is oldest first; ``paused`` is what does not flow to or from
    where it stands."""

    golden: GoldenRow
    label: str
    copies: list[Copy]
    open: list[ParkedRow]
    history: list[HistoryRow]
    paused: list[Paused] = []


class FieldStory(Struct):
    """One field: its value, its author, and every event that concerned it (oldest first), each as plain values."""

    path: str
    value: Any
    by: str
    version: str
    run: str
    events: list[dict[str, Any]]


def find_record(store: Store, what: str) -> str:
    """Return the golden id that ``what`` names: a golden id, or ``KEY`` or ``connection:KEY`` of a system's record.

    Raises UsageError where nothing or more than one thing is named so.
    """
    if is_golden_id(what):
        if what in store.golden([what]):
            return what
        raise UsageError(f"There is no golden record {what}.", way_out="erpcrm-bridge history shows the records of the last runs.")
    connection, _, key = what.rpartition(":")
    identity = store.connection_identity(connection) if connection else None
    if connection and identity is None:
        connection, key = "", what
    hits: dict[str, tuple[str, str]] = {}
    for stream_id, (system, stream) in store.streams().items():
        if identity is None or system == identity:
            hits.update({link.golden_id: (link.entity, stream) for link in store.links_by_key(stream_id, [key]).values()})
    if len(hits) == 1:
        return next(iter(hits))
    if hits:  # each stream of a system may count its keys for itself
        found = ", ".join(f"{golden_id} ({entity}, {stream})" for golden_id, (entity, stream) in sorted(hits.items()))
        raise UsageError(f"{what} is the key of {len(hits)} records: {found}.", way_out="Name one by its golden id.")
    raise UsageError(f"No linked record has the key {what}.", way_out="It may be parked or not read yet: erpcrm-bridge parked")


def explain(store: Store, golden_id: str, connections: dict[str, str], flows: Iterable[str] = ()) -> Explained:
    """Return what is known of a golden record. ``connections`` gives the connection's name for a system's identity; ``flows`` are those
    whose pauses may concern it."""
    golden = store.golden([golden_id])[golden_id]
    streams = store.streams()
    copies = [_copy(link, streams, connections) for link in store.links_of([golden_id]).get(golden_id, [])]
    open_rows = store.parked(golden_ids=[golden_id])
    places = {(copy.connection, copy.stream) for copy in copies}
    stops = dict.fromkeys(one for flow in flows for one in paused(store, flow) if one.mapping.partition("/")[0] == golden.entity)
    here = [one for one in stops if (one.connection, one.stream) in places]
    return Explained(golden, label_of(golden.fields), copies, open_rows, store.history(golden_id), here)


def _copy(link: LinkRow, streams: dict[int, tuple[str, str]], connections: dict[str, str]) -> Copy:
    system, stream = streams[link.stream_id]
    return Copy(connections.get(system, system), stream, link.key, link.state, link.dirty, sorted(link.held), list(link.pending))


def field_story(explained: Explained, path: str) -> FieldStory:
    """Return the story of one field. Raises UsageError for a field that the record's entity does not have."""
    from erpcrm_bridge.model.entities import entity_spec

    golden = explained.golden
    spec = entity_spec(golden.entity)
    if path not in spec.fields and path not in spec.lists and path not in golden.fields:
        raise UsageError(f"A {golden.entity} has no field {path!r}.", way_out=f"It has: {', '.join(spec.fields)}.")
    author = author_of(path, golden.authors) or ["", "", ""]
    events = [event for row in explained.history for event in _events(row, path)]
    return FieldStory(path, golden.fields.get(path), author[0], author[1], author[2], events)


def _events(row: HistoryRow, path: str) -> list[dict[str, Any]]:
    data: Fields = row.data
    at = {"at": row.at, "run": row.run}
    events: list[dict[str, Any]] = []
    if "founded" in data:
        events.append({**at, "what": "founded", "from": data["founded"], "how": data.get("how", "")})
    elif "bound" in data:
        events.append({**at, "what": "bound", "to": data["bound"], "how": data.get("how", "")})
    events.extend({**at, "what": "continues", "in": place, "entity": was[0], "record": was[1]} for place, was in _pairs(data, "continues"))
    events.extend({**at, "what": "continued", "in": place, "entity": now[0], "record": now[1]} for place, now in _pairs(data, "continued"))
    for changed, pair in (data.get("fields") or {}).items():
        if changed == path or changed.startswith(path + "/"):
            event = {**at, "what": "changed", "field": changed, "old": pair[0], "new": pair[1]}
            event |= {"by": (data.get("by") or {}).get(changed), "rule": (data.get("rules") or {}).get(changed)}
            losers = (data.get("losers") or {}).get(changed)
            if losers:
                event["losers"] = [{"by": loser["by"], "values": loser["values"]} for loser in losers]
            events.append(event)
    events.extend(
        {
            **at,
            "what": "refused",
            "by": refusal["by"],
            "values": _own(refusal["unit"], refusal["values"], path),
            "why": "it carries only a part of what moves as one" if "holder" in refusal else "this role may not change the field",
        }
        for refusal in data.get("refused") or ()
        if _concerns(refusal["unit"], path)
    )
    events.extend(
        {
            **at,
            "what": "clash",
            "why": clash["why"],
            "candidates": [{"by": c["by"], "values": _own(clash["unit"], c["values"], path)} for c in clash["candidates"]],
        }
        for clash in data.get("clashes") or ()
        if _concerns(clash["unit"], path)
    )
    if data.get("kind") in ("link", "unlink", "unmerge"):
        events.append({**at, "what": "by hand", **data})
    if data.get("kind") == "settle" and _concerns(data.get("unit") or (), path):
        events.append({**at, "what": "settled", "by": data["person"], "took": data["took"]})
    if data.get("kind") == "write" and _concerns([*(data.get("settles") or ()), *(data.get("lists") or ())], path):
        wrote = {"fields": data.get("written", {}), "lists": data.get("lists", {})}
        events.append({**at, "what": "written", "to": data["connection"], "key": data["key"], **wrote})
    return events


def _pairs(data: Fields, name: str) -> Iterable[tuple[str, list[str]]]:
    found: dict[str, list[str]] = data.get(name) or {}
    return found.items()


def _concerns(unit: Sequence[str], path: str) -> bool:
    """Tell whether a field, or a list by one of its lines, is among these paths."""
    return any(member == path or member.startswith(path + "/") for member in unit)


def _own(unit: Sequence[str], values: list[Any], path: str) -> list[Any]:
    """Return the values of the path itself, where it moves as one with others."""
    return [values[unit.index(path)]] if path in unit else values
