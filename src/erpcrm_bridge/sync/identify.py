"""Who is who: which unlinked records are one thing, and which golden record that is. Pure.

A binding needs exactly one hit in both directions. Every record is a node; golden records that share a natural key with one are nodes too,
with the streams they are linked in. Our own reference goes first, then the cross ids that somebody else left, then rule by rule: nodes that
share a key are joined if no two of them stand in the same stream. What could be joined in more than one way is doubtful, and waits for a
person unless another rule, or what hangs on the records, tells it apart.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Any, Generic, TypeVar

from msgspec import Struct

from erpcrm_bridge.mapping import MatchRule
from erpcrm_bridge.sync.natural import Read, agree, contradict, cross_form, form, likeness, says_something

K = TypeVar("K")
TOO_MANY = 200
"""A key that more records than these share tells nobody apart: nothing is compared by likeness under it."""
NAMED = 20
"""As many others a doubt names at most, the likeliest first."""


class Node(Struct, gc=False):
    """An unlinked record (``stream_id`` and ``key``) or a golden record (``golden_id`` and the streams it is linked in).

    ``hashes`` are its natural keys by rule (None or 0: it has none), ``compare`` the fields that rules compare by similarity, ``reference``
    the golden id that it carries in its external-id field, ``crosses`` the keys of other systems' records that it carries, each with the
    stream of the record that carries it. ``keys`` are those of a golden record's links. ``gone`` is a golden record that was deleted, and
    ``left`` the streams that it stood in: what turns up with its id elsewhere is for a person to judge.
    """

    stream_id: int
    key: str
    hashes: Sequence[int | None]
    compare: Read
    reference: str | None = None
    golden_id: str | None = None
    linked: frozenset[int] = frozenset()
    gone: bool = False
    left: frozenset[int] = frozenset()
    crosses: tuple[tuple[int, str], ...] = ()
    keys: tuple[tuple[int, str], ...] = ()


class Group(Struct):
    """Records that are one thing: ``golden_id`` where it is known already, and each member's stream and key. ``rule`` says how.
    ``hashes`` are the natural keys of the first member."""

    golden_id: str | None
    members: list[tuple[int, str]]
    rule: str
    hashes: Sequence[int | None] = ()


class Doubt(Struct):
    """A record for a person: ``others`` are (stream id, key) or (0, golden id) of what it may be, the likeliest first; ``double`` if one of
    them is in its own stream. ``scores`` tell how alike each is, of 100, in what any rule compares (None: no rule does), and ``related``
    how many records that hang on both are the same."""

    stream_id: int
    key: str
    reason: str
    others: list[tuple[int, str]]
    double: bool
    scores: list[int | None] = []
    related: list[int] = []


class Identified(Struct):
    groups: list[Group]
    doubts: list[Doubt]


Related = Mapping[tuple[int, str], Mapping[tuple[int, str], int]]
"""For a record, by its stream and key, how many of the records that hang on it are the same as some that hang on another."""


def identify(
    nodes: Sequence[Node],
    rules: Sequence[MatchRule],
    *,
    apart: Sequence[str] = (),
    related: Related | None = None,
    crosses: Callable[[int, int], bool] | None = None,
) -> Identified:
    """Return groups (each unlinked node in exactly one group or one doubt). The order of ``nodes`` decides nothing but theirs.

    Records that hold different values of an ``apart`` field are bound by no rule. ``crosses`` tells whether a cross id in a record of the
    one stream may mean a key of the other.
    """
    joining = _Joining(nodes, related or {}, apart)
    for bucket in _buckets([node.reference or node.golden_id for node in nodes]):
        places = {nodes[i].stream_id for i in bucket if not nodes[i].golden_id}
        joining.consider(bucket, "external id", any(nodes[i].gone and not places <= nodes[i].left for i in bucket))
    if crosses is not None:
        for cluster in _crossed(nodes, crosses):
            joining.consider(cluster, "cross id", reviewed=False)
    joining.by_rules = True
    compared = list(dict.fromkeys(path for rule in rules for path in rule.compare))
    for number, rule in enumerate(rules):
        why = " + ".join(rule.keys)
        keys = [node.hashes[number] or None if node.hashes else None for node in nodes]
        for bucket in _buckets(keys, joining.roots()):
            for cluster in _agreeing(bucket, nodes, rule, joining):
                if rule.related:
                    joining.by_related(cluster, why, rule.related)
                joining.consider(cluster, why, rule.review)
    return joining.result(compared)


class _Numbered(Generic[K]):
    """Things with a number each, in the order in which they were first met."""

    def __init__(self) -> None:
        self.named: list[K] = []
        self._numbers: dict[K, int] = {}

    def number(self, thing: K) -> int:
        found = self._numbers.setdefault(thing, len(self.named))
        if found == len(self.named):
            self.named.append(thing)
        return found


class _Joining:
    """The nodes as they are joined step by step, and the doubts that come up."""

    def __init__(self, nodes: Sequence[Node], related: Related, apart: Sequence[str]) -> None:
        self.by_rules = False
        """whether what joins now is a rule, and not an id that says it outright"""
        self._nodes = nodes
        self._apart = apart
        self._with = array("q", range(len(nodes)))
        """by node, another one that was joined with it, and so on round to itself"""
        self._related = related
        self._parent = array("q", range(len(nodes)))
        # By node, numbers of what is told in few ways: there may be a million nodes.
        self._streams, self._unions = array("i", [-1]) * len(nodes), _Numbered[frozenset[int]]()
        self._how, self._ways = array("i", [-1]) * len(nodes), _Numbered[str]()
        self._doubts: dict[int, tuple[str, list[int]]] = {}
        self._goldens: dict[int, str] = {i: node.golden_id for i, node in enumerate(nodes) if node.golden_id}

    def root(self, i: int) -> int:
        parent = self._parent
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def roots(self) -> Sequence[int]:
        """Return, for each node, the one that stands for it now."""
        return array("q", [i if parent == i else self.root(i) for i, parent in enumerate(self._parent)])

    def _streams_of(self, i: int) -> frozenset[int]:
        known = self._streams[i]
        if known >= 0:
            return self._unions.named[known]
        node = self._nodes[i]
        return node.linked if node.golden_id else _only(node.stream_id)

    def _join(self, roots: list[int], why: str) -> None:
        first = roots[0]
        for other in roots[1:]:
            self._parent[other] = first
            self._streams[first] = self._unions.number(self._streams_of(first) | self._streams_of(other))
            if other in self._goldens:
                self._goldens[first] = self._goldens[other]
            self._with[first], self._with[other] = self._with[other], self._with[first]
        self._how[first] = self._ways.number(why)

    def _joined_with(self, i: int) -> Iterator[int]:
        """Yield a node and all that were joined with it."""
        yield i
        other = self._with[i]
        while other != i:
            yield other
            other = self._with[other]

    def _held_by(self, roots: list[int]) -> dict[str, set[str]]:
        """Return the forms of the fields that tell apart, as these nodes and what was joined to them hold them, where they hold several."""
        nodes = [self._nodes[i] for root in roots for i in self._joined_with(root)]
        found: dict[str, set[str]] = {}
        for path in self._apart:
            written = {value for node in nodes if (value := node.compare.get(path)) is not None}
            if len(written) > 1:
                found[path] = {text for value in written if (text := form(path, value)) is not None}
        return found

    def _contradict(self, roots: list[int]) -> bool:
        if not self._apart:
            return False
        if len(roots) == 2 and self._with[roots[0]] == roots[0] and self._with[roots[1]] == roots[1]:
            one, other = self._nodes[roots[0]].compare, self._nodes[roots[1]].compare
            for path in self._apart:
                mine, yours = one.get(path), other.get(path)
                if mine is not None and yours is not None and mine != yours:
                    break
            else:
                return False  # as of most pairs: nothing is written in two ways
        held = self._held_by(roots)
        return any(contradict(path, one, other) for path, values in held.items() for one, other in combinations(values, 2))

    def _could_be_one(self, roots: list[int]) -> bool:
        """Tell whether any two of these could be one thing: two that stand in one system are not asked about because they are alike."""
        kinds = {(self._streams_of(i), i in self._goldens) for i in roots}
        return any(not (one[0] & other[0] or (one[1] and other[1])) for one, other in combinations(kinds, 2))

    def consider(self, members: list[int], why: str, reviewed: bool) -> None:
        """Join the members if they can be one thing in one way alone; else each of them is doubtful, unless it is told apart elsewhere."""
        roots = list(dict.fromkeys(map(self.root, members)))
        if len(roots) < 2:
            return
        apart = _disjoint([self._streams_of(i) for i in roots]) and (not self._goldens or sum(map(self._goldens.__contains__, roots)) < 2)
        if apart and not reviewed and not (self.by_rules and self._contradict(roots)):
            self._join(roots, why)
        elif not reviewed or self._could_be_one(roots):
            for i in members:
                if not self._nodes[i].golden_id:
                    self._doubts.setdefault(i, (why, members))

    def by_related(self, members: list[int], why: str, least: int) -> None:
        """Join two of the members on which the same records hang, where that is so of no other two of their systems."""
        here = {(self._nodes[i].stream_id, self._nodes[i].key): i for i in members if not self._nodes[i].golden_id}
        for one, i in here.items():
            there = self._related.get(one, {})
            best = [other for other in there if other[0] != one[0]]
            for other in best:
                j = here.get(other)
                if j is None or i > j or there[other] < least:
                    continue
                mine = [known for known in best if known[0] == other[0]]
                theirs = [known for known in self._related[other] if known[0] == one[0]]
                if mine == [other] and theirs == [one]:
                    self.consider([i, j], f"{why}, related", reviewed=False)

    def result(self, compared: Sequence[str]) -> Identified:
        nodes, found = self._nodes, Identified([], [])
        goldens, ways = self._goldens, [*self._ways.named, "new"]  # no way is written as -1
        for i, (node, other, at) in enumerate(zip(nodes, self._with, self.roots(), strict=True)):
            if node.golden_id:
                continue
            if other == i:
                if i in self._doubts and at not in goldens:
                    found.doubts.append(self._doubt(at, i, compared))
                    continue
                own = [(node.stream_id, node.key)]
            else:
                pair = self._with[other] == i and not goldens
                group = [i, other] if pair else sorted(j for j in self._joined_with(i) if not nodes[j].golden_id)
                if min(group) != i:
                    continue  # it was told with the first of them
                if len(group) == 1 and at not in goldens and i in self._doubts:
                    found.doubts.append(self._doubt(at, i, compared))
                    continue
                own = [(nodes[j].stream_id, nodes[j].key) for j in group]
            found.groups.append(Group(goldens.get(at), own, ways[self._how[at]], node.hashes))
        return found

    def _doubt(self, at: int, i: int, compared: Sequence[str]) -> Doubt:
        why, members = self._doubts[i]
        me, others = self._nodes[i], [j for j in members if j != i]
        double = any(self.root(j) != at and _stands_in(self._nodes[j], me.stream_id) for j in others)
        reason = f"same {why} as another record of its own system" if double else f"same {why} as a record that may be the same"
        if any(self._nodes[j].gone for j in members):
            reason = "carries the id of a record that was deleted"
        known = self._related.get((me.stream_id, me.key), {})
        rated = []
        for j in others[:TOO_MANY]:
            other = self._nodes[j]
            held = [path for path in compared if me.compare.get(path) is not None and other.compare.get(path) is not None]
            score = round(likeness(held, me.compare, other.compare)) if held else None
            rated.append(
                (
                    known.get((other.stream_id, other.key), 0),
                    score,
                    (0, other.golden_id) if other.golden_id else (other.stream_id, other.key),
                )
            )
        rated.sort(key=lambda one: (-one[0], -(one[1] or 0), one[2]))
        del rated[NAMED:]
        return Doubt(
            me.stream_id,
            me.key,
            reason,
            [who for *_, who in rated],
            double,
            [score for _, score, _ in rated],
            [number for number, *_ in rated],
        )


def _crossed(nodes: Sequence[Node], crosses: Callable[[int, int], bool]) -> list[list[int]]:
    """Return the clusters of nodes of which one carries another's key. One that leads to more than one record, or nowhere, is in none or in
    a cluster that cannot be joined: a person looks at it."""
    carrying = [(i, stream_id, cross_form(value)) for i, node in enumerate(nodes) for stream_id, value in node.crosses]
    if not carrying:
        return []
    at: dict[str, list[tuple[int, int]]] = {}
    for i, node in enumerate(nodes):
        for stream_id, key in node.keys if node.golden_id else ((node.stream_id, node.key),):
            at.setdefault(cross_form(key), []).append((stream_id, i))
    pairs = ((i, j) for i, from_stream, said in carrying for stream_id, j in at.get(said, ()) if i != j and crosses(from_stream, stream_id))
    return _connected(pairs)


def _connected(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    clusters: dict[int, list[int]] = {}
    for i, j in pairs:
        one, other = clusters.setdefault(i, [i]), clusters.setdefault(j, [j])
        if one is not other:
            one.extend(other)
            clusters.update(dict.fromkeys(other, one))
    return [sorted(cluster) for cluster in {id(cluster): cluster for cluster in clusters.values()}.values()]


def _buckets(keys: Sequence[K | None], roots: Sequence[int] | None = None) -> list[list[int]]:
    """Return the places that hold the same key, where they are several; where ``roots`` are given, several of these."""
    roots = roots or range(len(keys))
    first: dict[K, int] = {}
    shared: dict[K, list[int]] = {}
    for key, root in zip(keys, roots, strict=True):
        if key is not None and first.setdefault(key, root) != root:
            shared[key] = []
    if shared:
        for i, key in enumerate(keys):
            if key in shared:
                shared[key].append(i)
    return sorted(shared.values())


def _agreeing(bucket: list[int], nodes: Sequence[Node], rule: MatchRule, joining: _Joining) -> list[list[int]]:
    """Split a bucket into the clusters whose members agree, one by one, in what the rule compares."""
    if not rule.compare:
        return [bucket]
    if len(bucket) > TOO_MANY or len({joining.root(i) for i in bucket}) < 2:
        return []
    written: dict[tuple[Any, ...], list[int]] = {}
    for i in bucket:
        written.setdefault(tuple(map(nodes[i].compare.get, rule.compare)), []).append(i)
    if len(written) == 1:  # as of most: what is written alike is alike, if it says anything
        (values,) = written
        return [bucket] if all(map(says_something, rule.compare, values)) else []
    spelled: dict[tuple[str, ...], list[int]] = {}
    for values, those in written.items():
        forms = [text for path, value in zip(rule.compare, values, strict=True) if (text := form(path, value)) is not None]
        if len(forms) == len(values):
            spelled.setdefault(tuple(forms), []).extend(those)
    held = list(spelled)
    clusters = _connected((a, b) for a, b in _near([forms[0] for forms in held], rule) if agree(rule, held[a], held[b]))
    near = {a for cluster in clusters for a in cluster}
    clusters += [[a] for a in range(len(held)) if a not in near and len(spelled[held[a]]) > 1]
    return [sorted([i for a in cluster for i in spelled[held[a]]]) for cluster in clusters]


def _near(forms: Sequence[str], rule: MatchRule) -> Iterator[tuple[int, int]]:
    """Yield the pairs that may agree, by their places, after a quick look at all of them in the first field that the rule compares."""
    from rapidfuzz import fuzz, process

    least = next(iter(rule.compare.values()))
    if len(forms) == 2:  # as most are: no search is needed
        if fuzz.token_ratio(*forms) >= least:
            yield 0, 1
        return
    left = dict(enumerate(forms))
    while left:
        i, text = left.popitem()
        for _, _, j in process.extract(text, left, scorer=fuzz.token_ratio, score_cutoff=least, limit=None):
            yield i, j


@cache
def _only(stream_id: int) -> frozenset[int]:
    return frozenset((stream_id,))


def _disjoint(sets: list[frozenset[int]]) -> bool:
    if len(sets) == 2:
        return sets[0].isdisjoint(sets[1])
    return len(frozenset().union(*sets)) == sum(map(len, sets))


def _stands_in(node: Node, stream_id: int) -> bool:
    return stream_id in node.linked if node.golden_id else node.stream_id == stream_id
