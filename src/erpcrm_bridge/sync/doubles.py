"""Golden records that may be one thing: of two that a match rule takes for the same, the second is not created beside the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from erpcrm_bridge.store import GoldenRow, LinkRow, Store
from erpcrm_bridge.sync.flow import Side
from erpcrm_bridge.sync.natural import agrees


def doubles(store: Store, side: Side, links: Sequence[LinkRow], goldens: Mapping[str, GoldenRow]) -> dict[str, list[str]]:
    """Return, by golden id, why a link of this stream may not be created: the golden records that a binding rule takes for the same thing,
    and that stand in the stream already, or are to be created there and are older. Whom a person has told apart is no double."""
    wanting = [goldens[link.golden_id] for link in links if link.key is None and goldens[link.golden_id].state == "live"]
    near = _near(store, side, wanting)
    if not near:
        return {}
    others = {other for found in near.values() for other in found}
    there = store.links_of(sorted(others))
    found: dict[str, list[str]] = {}
    for golden_id, candidates in near.items():
        standing = sorted(other for other in candidates if any(_stands(link, side, other < golden_id) for link in there.get(other, ())))
        if standing:
            found[golden_id] = standing
    apart = _told_apart(store, {*found, *(other for standing in found.values() for other in standing)})
    left = {golden_id: [other for other in standing if not _apart(apart, golden_id, other)] for golden_id, standing in found.items()}
    return {golden_id: standing for golden_id, standing in left.items() if standing}


def _near(store: Store, side: Side, wanting: Sequence[GoldenRow]) -> dict[str, set[str]]:
    """Return, by golden id, the other living golden records that share a natural key with it and agree in what its rule compares."""
    natural_keys = side.policies.natural_keys
    mine = {golden.id: (golden, natural_keys.of(golden.fields)) for golden in wanting}
    shared: list[tuple[int, str, str]] = []
    for number, rule in enumerate(side.policies.rules.match):
        by_hash: dict[int, list[str]] = {}
        kept = natural_keys.numbers[number]
        for golden_id, (_, found) in mine.items():
            natural = found[kept]
            if natural and found[number] and not rule.review:
                by_hash.setdefault(natural, []).append(golden_id)
        for natural, other in store.match(by_hash) if by_hash else ():
            shared.extend((number, golden_id, other) for golden_id in by_hash[natural] if golden_id != other)
    others = store.golden({other for _, _, other in shared}) if shared else {}
    theirs = {other: natural_keys.of(row.fields) for other, row in others.items()}
    near: dict[str, set[str]] = {}
    for number, golden_id, other in shared:
        row, (golden, found) = others.get(other), mine[golden_id]
        if row is None or (row.entity, row.state) != (side.entity, "live") or theirs[other][number] != found[number]:
            continue
        if agrees(side.policies.rules.match[number], golden.fields, row.fields):
            near.setdefault(golden_id, set()).add(other)
    return near


def _stands(link: LinkRow, side: Side, older: bool) -> bool:
    return link.stream_id == side.stream_id and (link.state != "tombstone" if link.key is not None else older and link.state == "wanted")


def _apart(told: Mapping[str, list[Any]], one: str, other: str) -> bool:
    """Tell whether a person has said that two are not the same: of these two, or of one of them and whatever else there is."""
    return any(True in told[a] or b in told[a] for a, b in ((one, other), (other, one)))


def _told_apart(store: Store, golden_ids: set[str]) -> dict[str, list[Any]]:
    """Return, by golden id, from whom a person has told it apart: golden ids, or True for all."""
    histories = store.histories(sorted(golden_ids)) if golden_ids else {}
    found: dict[str, list[Any]] = {golden_id: [] for golden_id in golden_ids}
    for golden_id, rows in histories.items():
        for row in rows:
            apart = row.data.get("apart") or []
            found[golden_id].extend(apart if isinstance(apart, list) else [apart])
    return found
