"""Who is who: which unlinked records are one thing, and which golden record that is. Pure.

A binding needs exactly one hit in both directions. Every record is a node; golden records that share a natural key with one are nodes too,
with the streams they are linked in. Rule by rule, nodes that share a key are joined if no two of them stand in the same stream. What
could be joined in more than one way is doubtful, and waits for a person unless another rule tells it apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from erpcrm_bridge.mapping import MatchRule
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.sync.natural import agrees


class Node(Struct, gc=False):
    """An unlinked record (``stream_id`` and ``key``) or a golden record (``golden_id`` and the streams it is linked in).

    ``hashes`` are its natural keys by rule, ``compare`` the fields that rules compare by similarity, ``reference`` the golden id that it
    carries in its external-id field. ``gone`` is a golden record that was deleted, and ``left`` the streams that it stood in: what turns up
    with its id elsewhere is for a person to judge.
    """

    stream_id: int
    key: str
    hashes: list[int | None]
    compare: Fields
    reference: str | None = None
    golden_id: str | None = None
    linked: frozenset[int] = frozenset()
    gone: bool = False
    left: frozenset[int] = frozenset()


class Group(Struct):
    """Records that are one thing: ``golden_id`` where it is known already, and each member's stream and key. ``rule`` says how.
    ``hashes`` are the natural keys of the first member."""

    golden_id: str | None
    members: list[tuple[int, str]]
    rule: str
    hashes: list[int | None] = []


class Doubt(Struct):
    """A record for a person: ``others`` are (stream id, key) or (0, golden id) of what it may be; ``double`` if one of them is in its own
    stream."""

    stream_id: int
    key: str
    reason: str
    others: list[tuple[int, str]]
    double: bool


class Identified(Struct):
    groups: list[Group]
    doubts: list[Doubt]


def identify(nodes: Sequence[Node], rules: Sequence[MatchRule]) -> Identified:
    """Return groups (each unlinked node in exactly one group or one doubt). The order of ``nodes`` decides nothing but theirs."""
    parent = list(range(len(nodes)))
    streams: dict[int, frozenset[int]] = {}
    how: dict[int, str] = {}
    doubts: dict[int, tuple[str, list[int]]] = {}

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def streams_of(i: int) -> frozenset[int]:
        known = streams.get(i)
        if known is None:
            node = nodes[i]
            known = streams[i] = node.linked if node.golden_id else frozenset((node.stream_id,))
        return known

    def golden_of(i: int) -> str | None:
        return goldens.get(i)

    goldens: dict[int, str] = {i: node.golden_id for i, node in enumerate(nodes) if node.golden_id}

    def join(roots: list[int], why: str) -> None:
        first = roots[0]
        for other in roots[1:]:
            parent[other] = first
            streams[first] = streams_of(first) | streams_of(other)
            if other in goldens:
                goldens[first] = goldens[other]
        how[first] = why

    def consider(members: list[int], why: str, reviewed: bool) -> None:
        roots = list(dict.fromkeys(root(i) for i in members))
        if len(roots) < 2:
            return
        apart = _disjoint([streams_of(i) for i in roots]) and sum(1 for i in roots if golden_of(i)) < 2
        if apart and not reviewed:
            join(roots, why)
        elif apart or not reviewed:
            for i in members:
                if not nodes[i].golden_id:
                    doubts.setdefault(i, (why, members))

    for bucket in _buckets(nodes, lambda node: node.reference or node.golden_id):
        places = {nodes[i].stream_id for i in bucket if not nodes[i].golden_id}
        consider(bucket, "external id", any(nodes[i].gone and not places <= nodes[i].left for i in bucket))
    for number, rule in enumerate(rules):
        why = " + ".join(rule.keys)
        for bucket in _buckets(nodes, lambda node, number=number: node.hashes[number] if number < len(node.hashes) else None):
            for cluster in _agreeing(bucket, nodes, rule):
                consider(cluster, why, rule.review)

    return _collect(nodes, [root(i) for i in range(len(nodes))], goldens, how, doubts)


def _buckets(nodes: Sequence[Node], key_of: object) -> list[list[int]]:
    found: dict[object, int | list[int]] = {}
    for i, node in enumerate(nodes):
        key = key_of(node)  # type: ignore[operator] # a plain function of one node
        if key is None:
            continue
        there = found.get(key)
        if there is None:
            found[key] = i
        elif isinstance(there, list):
            there.append(i)
        else:
            found[key] = [there, i]
    return [bucket for bucket in found.values() if isinstance(bucket, list)]


def _agreeing(bucket: list[int], nodes: Sequence[Node], rule: MatchRule) -> list[list[int]]:
    """Split a bucket into the clusters whose members agree, one by one, in what the rule compares."""
    if not rule.compare:
        return [bucket]
    clusters: list[list[int]] = []
    for i in bucket:
        agreeing = [cluster for cluster in clusters if any(agrees(rule, nodes[i].compare, nodes[j].compare) for j in cluster)]
        rest = [cluster for cluster in clusters if cluster not in agreeing]
        clusters = [*rest, [*(j for cluster in agreeing for j in cluster), i]]
    return [sorted(cluster) for cluster in clusters if len(cluster) > 1]


def _disjoint(sets: list[frozenset[int]]) -> bool:
    return len(frozenset().union(*sets)) == sum(len(one) for one in sets)


def _collect(
    nodes: Sequence[Node],
    roots: list[int],
    goldens: Mapping[int, str],
    how: Mapping[int, str],
    doubts: Mapping[int, tuple[str, list[int]]],
) -> Identified:
    members: dict[int, list[int]] = {}
    for i, node in enumerate(nodes):
        if not node.golden_id:
            members.setdefault(roots[i], []).append(i)
    result = Identified([], [])
    for at, group in members.items():
        alone = len(group) == 1 and at not in goldens
        if alone and group[0] in doubts:
            why, others = doubts[group[0]]
            me = nodes[group[0]]
            double = any(roots[i] != at and _stands_in(nodes[i], me.stream_id) for i in others)
            named = [
                (0, other.golden_id) if other.golden_id else (other.stream_id, other.key)
                for other in (nodes[i] for i in others if i != group[0])
            ]
            reason = f"same {why} as another record of its own system" if double else f"same {why} as a record that may be the same"
            if any(nodes[i].gone for i in others):
                reason = "carries the id of a record that was deleted"
            result.doubts.append(Doubt(me.stream_id, me.key, reason, named, double))
            continue
        result.groups.append(
            Group(goldens.get(at), [(nodes[i].stream_id, nodes[i].key) for i in group], how.get(at, "new"), nodes[group[0]].hashes)
        )
    return result


def _stands_in(node: Node, stream_id: int) -> bool:
    return stream_id in node.linked if node.golden_id else node.stream_id == stream_id
