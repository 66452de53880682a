"""What hangs on two records can tell that they are one: the same people work there, the same orders were placed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from erpcrm_bridge.mapping import MatchRule, RelatedRule
from erpcrm_bridge.store import Store
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.identify import Identified, Related, identify
from erpcrm_bridge.sync.natural import form, hash_of
from erpcrm_bridge.sync.nodes import Nodes

BATCH = 2_000


def identify_all(flow: Flow, store: Store, entity: str, nodes: Nodes, match: Sequence[MatchRule]) -> Identified:
    """Return who is who, by what the records carry and by what hangs on them."""
    roles = {side.stream_id: side.role for side in flow.sides[entity]}
    crossed = any(side.cross for side in flow.sides[entity])
    telling = any(rule.related for rule in match) and len(nodes.streams) > 1
    return identify(
        nodes,
        match,
        apart=flow.policies[entity].rules.apart,
        related=_related(flow, store, entity) if telling else None,
        crosses=(lambda one, other: roles.get(one) != roles.get(other)) if crossed else None,
    )


def _related(flow: Flow, store: Store, entity: str) -> Related:
    """Return, for each record, how many of the unlinked records that hang on it are the same as some on another.

    Only what stands once in its stream counts: the hundredth order with the reference `1` tells nothing.
    """
    place = {side.connection: side.stream_id for side in flow.sides[entity]}
    found: dict[tuple[int, str], dict[tuple[int, str], int]] = {}
    for number, rule in enumerate(flow.policies[entity].rules.related):
        told: dict[int, list[tuple[int, str]]] = {}
        for side in flow.sides.get(rule.entity, ()):
            if side.connection in place:
                for what, key in _hanging(store, side, entity, number, rule).items():
                    if key is not None:
                        told.setdefault(what, []).append((place[side.connection], key))
        for places in told.values():
            for one, other in permutations(places, 2):
                of_one = found.setdefault(one, {})
                of_one[other] = of_one.get(other, 0) + 1
    return found


def _hanging(store: Store, side: Side, entity: str, number: int, rule: RelatedRule) -> dict[int, str | None]:
    """Return what hangs on the records of a side, each by a number that stands for its keys, with the key of that on which it hangs; None
    where there are several."""
    get = side.mapping.narrowed(rule.keys)
    found: dict[int, str | None] = {}
    after = ""
    while rows := store.incoming_unlinked(side.stream_id, after, BATCH):
        after = rows[-1].key
        for row in rows:
            if row.fields is None or not side.mapping.applies(row.fields):
                continue
            on = [key for target, key in side.mapping.references_in(row.fields) if target == entity]
            said = get(row.fields, {}, [])
            forms = [form(path, said.get(path)) for path in rule.keys]
            known = [text for text in forms if text is not None]
            if len(on) != 1 or len(known) < len(forms):
                continue
            what = hash_of(number, known)
            found[what] = on[0] if what not in found else None
    return found
