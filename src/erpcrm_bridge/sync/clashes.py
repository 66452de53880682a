"""Clashes: how they are kept, and those that end otherwise than by a merge: by a person's word, or with a copy that is parted from its
golden record and takes its own along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.store import GoldenRow, HistoryRow, LinkRow, ParkedRow, Store
from erpcrm_bridge.store.rows import Author
from erpcrm_bridge.sync.flow import Flow
from erpcrm_bridge.sync.lines import flatten, unflatten
from erpcrm_bridge.sync.merge import (
    GOLDEN,
    Candidate,
    Clash,
    Unit,
    agreed,
    author_of_unit,
    same_all,
    values_at,
)
from erpcrm_bridge.sync.notes import RunNote, note_decided, parked_row


def put_values(golden: GoldenRow, unit: Sequence[str], values: Sequence[Any], author: Author) -> dict[str, list[Any]]:
    """Let golden hold these values of a unit, said by ``author``; return what they replace, as [old, new] by path."""
    lists = list(entity_spec(golden.entity).lists)
    flat = flatten(golden.fields, lists)
    replaced = {path: [flat.get(path), value] for path, value in zip(unit, values, strict=True)}
    flat.update(zip(unit, values, strict=True))
    golden.fields = unflatten(flat, lists)
    golden.authors.update(dict.fromkeys(unit, author))
    return replaced


def without(flow: Flow, store: Store, golden: GoldenRow, link: LinkRow) -> list[Clash]:
    """Return the open clashes in which the record of this link has a say, each as it is once that record is parted from golden."""
    side = flow.side(link.stream_id, link.entity)
    if side is None or link.state == "alias":
        return []
    connections = {
        of.connection
        for other in store.links_of([golden.id])[golden.id]
        if other.id != link.id
        and other.state in ("live", "missing", "asleep")
        and (of := flow.side(other.stream_id, other.entity)) is not None
    }
    if side.connection in connections:
        return []  # two records of one system speak under one name: what is said may be the other's
    flat = flatten(golden.fields, entity_spec(golden.entity).lists)
    left = []
    for unit, clash in clashes_of(store, [golden.id]).get(golden.id, {}).items():
        held = values_at(flat, unit)
        its_own = (author_of_unit(unit, held, golden.authors) or [""])[0] == side.connection
        silent = not connections <= {it.by for it in clash.candidates}
        remain = []
        for it in clash.candidates:
            if its_own and silent and it.by in (side.connection, GOLDEN) and same_all(it.values, held):
                remain.append(msgspec.structs.replace(it, by=GOLDEN, role=""))  # by now others hold it
            elif it.by != side.connection and not (its_own and it.by == GOLDEN):
                remain.append(it)
        if remain != clash.candidates:
            one = agreed(remain, held, connections)
            left.append(msgspec.structs.replace(clash, candidates=[one] if one is not None else remain))
    return left


def part(flow: Flow, store: Store, run: RunNote, golden: GoldenRow, link: LinkRow, seq: int) -> None:
    """Let the record of this link take its word along, inside the transaction in which the link goes elsewhere.

    A clash is between copies of one golden record: where one value is left, golden takes it and the clash is over; where several are, it
    stays open between these.
    """
    told: dict[str, Any] = {"fields": {}, "by": {}, "rules": {}, "clashes": []}
    changed = without(flow, store, golden, link)
    for clash in changed:
        unit = tuple(clash.unit)
        held = values_at(flatten(golden.fields, entity_spec(golden.entity).lists), unit)
        if len(clash.candidates) > 1:
            row = clash_row(run, golden, clash)
            store.park([row])
            told["clashes"].append(row.data)
            continue
        store.close_parked([clash_subject(golden.id, unit)], "settled", run.at)
        for last in clash.candidates:
            if not same_all(last.values, held):
                told["fields"] |= put_values(golden, unit, last.values, [last.by, last.version, run.id])
                told["by"] |= dict.fromkeys(unit, last.by)
                told["rules"] |= dict.fromkeys(unit, f"{link.key} was parted")
    if told["fields"]:
        golden.seq = seq
        store.put_golden([golden])
        note_decided(store, run.flow, golden.id)
    if any(told.values()):
        store.add_history([HistoryRow(golden.id, run.id, run.at, {"kind": "merge", **{name: of for name, of in told.items() if of}})])
    if changed:  # what is in clash no more may be owed
        others = store.links_of([golden.id])[golden.id]
        store.set_dirty([other.id for other in others if other.id != link.id and other.state in ("live", "wanted")])


def clashes_of(store: Store, golden_ids: list[str]) -> dict[str, dict[Unit, Clash]]:
    """Return the open clashes of golden records by golden id and unit."""
    found: dict[str, dict[Unit, Clash]] = {}
    if golden_ids:
        for row in store.parked(kinds=["clash"], golden_ids=golden_ids, limit=1_000_000):
            clash = msgspec.convert(row.data, Clash)
            found.setdefault(row.golden_id or "", {})[tuple(clash.unit)] = clash
    return found


def clash_paths(store: Store, golden_ids: list[str]) -> dict[str, frozenset[str]]:
    """Return, by golden id, the paths that are in an open clash: frozen, and pushed nowhere until it is settled."""
    found: dict[str, frozenset[str]] = {}
    for golden_id, unit in store.in_clash(golden_ids):
        found[golden_id] = found.get(golden_id, frozenset()).union(unit)
    return found


def clash_subject(golden_id: str, unit: Sequence[str]) -> str:
    """Return the subject under which the clash of a unit is kept."""
    return f"clash:{golden_id}:{'+'.join(unit)}"


def clash_row(run: RunNote, golden: GoldenRow, clash: Clash) -> ParkedRow:
    """Return the row that freezes a unit of a golden record until its clash is settled."""
    who = ", ".join(candidate.by for candidate in clash.candidates)
    return parked_row(
        run,
        "clash",
        clash_subject(golden.id, clash.unit),
        golden.entity,
        golden_id=golden.id,
        field=clash.unit[0] if len(clash.unit) == 1 else "+".join(clash.unit),
        error="clash",
        reason=f"{golden.entity} {golden.id} {'+'.join(clash.unit)}: {clash.why} ({who})",
        data=plain_clash(clash),
    )


def plain_clash(clash: Clash) -> dict[str, Any]:
    """Return a clash as it is stored."""
    return {"unit": clash.unit, "why": clash.why, "candidates": [plain_candidate(candidate) for candidate in clash.candidates]}


def plain_candidate(candidate: Candidate) -> dict[str, Any]:
    """Return one of a clash's values as it is stored."""
    return {"by": candidate.by, "role": candidate.role, "version": candidate.version, "values": candidate.values}
