"""Adopt: what the first joining of two filled systems has come to, in classes that a person can review before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from erpcrm_bridge.model.values import same
from erpcrm_bridge.store import HistoryRow, LinkRow, ParkedRow, Store
from erpcrm_bridge.sync.flow import Flow

BATCH = 2_000


class Joined(Struct):
    """What became of one entity's records. ``bound`` counts golden records that stand in two systems or more, by the rule that joined
    them; the others count by connection: ``only`` golden records that stand there alone, ``wanted`` those to be created there,
    ``ambiguous`` records that may be another one, ``double`` records that look like another one of their own system, ``waiting`` records
    whose parent is missing, ``parked`` records that could not be taken or read."""

    entity: str
    bound: Counter[str]
    only: Counter[str]
    wanted: Counter[str]
    ambiguous: Counter[str]
    double: Counter[str]
    waiting: Counter[str]
    parked: Counter[str]


class Differing(Struct, frozen=True):
    """A field in which bound records differ: in ``count`` of them ``rule`` decides for ``winner``, or a person is asked (both empty)."""

    entity: str
    field: str
    rule: str
    winner: str
    count: int


class Adoption(Struct):
    joined: list[Joined]
    differing: list[Differing]


def adoption(flow: Flow, store: Store) -> Adoption:
    """Return how the flow's systems were joined, from what the store holds. Reads only."""
    result = Adoption([], [])
    open_rows = store.parked(flow=flow.name, limit=10_000_000)
    for entity in flow.order:
        joined = Joined(entity, Counter(), Counter(), Counter(), Counter(), Counter(), Counter(), Counter())
        differing: Counter[tuple[str, str, str]] = Counter()
        for links, histories in _golden(store, entity):
            for golden_id, of_one in links.items():
                _count(flow, joined, of_one, histories.get(golden_id, ()))
            for history in histories.values():
                differing.update(_settled(flow, entity, history))
        rows = [row for row in open_rows if row.entity == entity]
        _count_open(flow, joined, rows)
        differing.update((row.field or "", "", "") for row in rows if row.kind == "clash")
        result.joined.append(joined)
        result.differing.extend(Differing(entity, *what, number) for what, number in sorted(differing.items()))
    return result


def _golden(store: Store, entity: str) -> Iterator[tuple[dict[str, list[LinkRow]], dict[str, list[HistoryRow]]]]:
    after = ""
    while page := store.golden_page(entity, after, BATCH):
        after = page[-1].id
        ids = [golden.id for golden in page if golden.state == "live"]
        yield store.links_of(ids), store.histories(ids)


def _count(flow: Flow, joined: Joined, links: Iterable[LinkRow], history: Iterable[HistoryRow]) -> None:
    here = {(side.connection, link.state) for link in links if (side := flow.side(link.stream_id, link.entity)) is not None}
    live = sorted(connection for connection, state in here if state == "live")
    joined.wanted.update(connection for connection, state in here if state == "wanted")
    if len(live) == 1:
        joined.only[live[0]] += 1
    elif live:
        ways = [row.data["how"] for row in history if row.data.get("how") not in (None, "", "new")]
        joined.bound[ways[-1] if ways else "a person"] += 1


def _settled(flow: Flow, entity: str, history: Iterable[HistoryRow]) -> Iterator[tuple[str, str, str]]:
    """Yield (field, rule, winner) for each difference that a policy has settled while records were joined."""
    for row in history:
        data = row.data
        if "founded" not in data and "bound" not in data:
            continue
        for path, losers in (data.get("losers") or {}).items():
            if all(same(loser["values"][0], data["fields"][path][1]) for loser in losers):
                continue  # it moves as one with fields that differ
            yield _field(path), data["rules"][path], data["by"][path]
        for refusal in data.get("refused") or ():
            path = refusal["unit"][0]
            policy = flow.policies[entity].policy(path)
            if "holder" in refusal:
                yield str(policy.group), "only as a whole", refusal["holder"]
                continue
            allowed = policy.write_by or ()
            yield _field(path), "write_by", ", ".join(sorted(connection for connection, role in flow.roles.items() if role in allowed))


def _count_open(flow: Flow, joined: Joined, rows: Iterable[ParkedRow]) -> None:
    for row in rows:
        side = flow.side(row.stream_id, row.entity) if row.stream_id is not None else None
        if side is None:
            continue
        if row.kind == "review":
            (joined.double if row.error == "double" else joined.ambiguous)[side.connection] += 1
        elif row.kind == "waiting" and row.golden_id is None:
            joined.waiting[side.connection] += 1
        elif row.kind in ("record", "row") and row.golden_id is None:
            joined.parked[side.connection] += 1


def _field(path: str) -> str:
    """Return the path as policies have it: the field of a line without the line."""
    name, *line_and_field = path.split("/")
    return ".".join([name, *line_and_field[1:]])
