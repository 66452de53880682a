"""Who is who: which unlinked records are one thing, and which golden record that is. Pure.

A binding needs exactly one hit in both directions. Every record is a node; golden records that share a natural key with one are nodes too,
with the streams they are linked in. Our own reference goes first, then the cross ids that somebody else left, then rule by rule: nodes that
share a key are joined if no two of them stand in the same stream. What could be joined in more than one way is doubtful, and waits for a
person unless another rule, or what hangs on the records, tells it apart.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, combinations, compress
from typing import Literal, TypeAlias

from msgspec import Struct

from erpcrm_bridge.mapping import MatchRule
from erpcrm_bridge.sync.natural import agree, alike, contradict, cross_form
from erpcrm_bridge.sync.nodes import GOLDEN, Node, Nodes, Numbered

TOO_MANY = 200
"""A key that more records than these share tells nobody apart: nothing is compared by likeness under it."""
NAMED = 20
"""As many others a doubt names at most, the likeliest first."""
REMEMBERED = 50
"""Of so many keys that doubts are about, those who share them are held at a time."""
PART = 20_000
"""As many keys, about, are looked through together for those that several nodes share."""
PARTS = 12
"""So many parts are filled by one reading of the keys."""
SIEVE = 1 << 19
"""Bytes of which a key marks one, by its last bits: enough to pass over most keys that no open node has."""
NARROW = 1 << 16
"""As many kinds of places, sets of streams, are numbered in two bytes; there are hardly ever more."""
_NEW = -1
_IS_GOLDEN = -2


class Group(Struct):
    """Records that are one thing: ``golden_id`` where it is known already, and each member's stream and key. ``rule`` says how.
    ``hashes`` are the natural keys of the first member, ``references`` the golden ids that members carry."""

    golden_id: str | None
    members: list[tuple[int, str]]
    rule: str
    hashes: Sequence[int] = ()
    references: list[str] = []


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


_Forms: TypeAlias = tuple[str | None, ...]
_Seen: TypeAlias = tuple[int, tuple[int, str], _Forms]
Related: TypeAlias = Mapping[tuple[int, str], Mapping[tuple[int, str], int]]
"""For a record, by its stream and key, how many of the records that hang on it are the same as some that hang on another."""


def identify(
    nodes: Nodes,
    rules: Sequence[MatchRule],
    *,
    apart: Sequence[str] = (),
    related: Related | None = None,
    crosses: Callable[[int, int], bool] | None = None,
) -> Identified:
    """Return groups and doubts (each unlinked node in exactly one group or one doubt). The order of ``nodes`` decides nothing but theirs.

    Records that hold different values of an ``apart`` field are bound by no rule. ``crosses`` tells whether a cross id in a record of the
    one stream may mean a key of the other. The nodes have been put aside for these rules, or for more.
    """
    joining = _Joining(nodes, related or {}, apart, reasons=2 * len(rules) + 2)
    for bucket in joining.sharing(nodes.references) if nodes.referring else ():
        joining.consider(bucket, "external id", joining.left_elsewhere(bucket))
    if crosses is not None and nodes.crossing:
        for cluster in _crossed(nodes, crosses):
            joining.consider(cluster, "cross id", reviewed=False)
    joining.by_rules = True
    for number, rule in enumerate(rules):
        why = " + ".join(rule.keys)
        written = [joining.forms[path] for path in rule.compare]
        held: list[list[int]] = []
        for bucket in joining.sharing(partial(nodes.natural, number)):
            for cluster in _agreeing(bucket, nodes, rule, written):
                if rule.related:
                    joining.by_related(cluster, why, rule.related)
                if not rule.review and joining.holds_joined(cluster):
                    held.append(cluster)
                else:
                    joining.consider(cluster, why, rule.review)
        for cluster in joining.together(held):
            joining.consider(cluster, why, reviewed=False)
    return joining.result(list(dict.fromkeys(path for rule in rules for path in rule.compare)))


class _Bucket(Struct):
    """The nodes that a doubt is about: how many of them stand in each stream, and whether one was deleted."""

    members: tuple[int, ...]
    streams: Mapping[int, int]
    gone: bool


class Identified:
    """What was found out; it is told one by one, from the nodes, as often as it is asked for."""

    def __init__(
        self,
        nodes: Nodes,
        joined_with: Sequence[int],
        ways: Sequence[int],
        named: Sequence[str],
        doubts: Mapping[int, tuple[str, tuple[int, ...]]],
        compared: Sequence[str],
        related: Related,
    ) -> None:
        self._nodes = nodes
        self._with = joined_with
        self._ways = ways
        self._named = named
        self._doubts = doubts
        self._compared = [nodes.paths.index(path) for path in compared]
        self._related = related
        self._seen: dict[int, list[_Seen]] = {}

    def groups(self) -> Iterator[Group]:
        """Yield the groups, in the order of their first members."""
        nodes, ways = self._nodes, self._ways
        for i, (who, hashes, way, other) in enumerate(zip(nodes.whos(), nodes.natural_keys(), ways, self._with, strict=True)):
            if way == _IS_GOLDEN or i in self._doubts or (other < i and ways[other] != _IS_GOLDEN):
                continue  # what was joined with one before was told with that
            golden_id, members, references = None, [(who.stream_id, who.key)], [who.reference] if who.reference else []
            for j in sorted(_ring(self._with, i)) if other != i else ():
                if ways[j] == _IS_GOLDEN:
                    golden_id = nodes.who(j).golden_id
                elif j < i:
                    break  # it was told with that one
                elif j > i:
                    one = nodes.who(j)
                    members.append((one.stream_id, one.key))
                    if one.reference:
                        references.append(one.reference)
            else:
                yield Group(golden_id, members, self._named[way] if way >= 0 else "new", hashes, references)

    def doubts(self) -> Iterator[Doubt]:
        """Yield the doubts, in the order of their records."""
        nodes = self._nodes
        standing = _laid_end_to_end("i", nodes.standing(), len(nodes)) if self._doubts else array("i")
        known: dict[int, _Bucket] = {}
        for i in sorted(self._doubts):
            why, members = self._doubts[i]
            bucket = known.get(id(members))
            if bucket is None:
                streams = Counter(chain.from_iterable(nodes.places.named[standing[j]] for j in members))
                bucket = _Bucket(members, streams, not nodes.gone.isdisjoint(members))
                if len(members) > TOO_MANY:  # in a smaller one it is soon found again
                    known[id(members)] = bucket
            yield self._doubt(i, why, bucket)

    def _doubt(self, i: int, why: str, bucket: _Bucket) -> Doubt:
        me = self._nodes[i]
        double = bucket.streams[me.stream_id] > 1
        reason = f"same {why} as another record of its own system" if double else f"same {why} as a record that may be the same"
        if bucket.gone:
            reason = "carries the id of a record that was deleted"
        known = self._related.get((me.stream_id, me.key), {})
        rated = []
        for who, forms in self._likest(me, [(who, forms) for j, who, forms in self._first(bucket.members) if j != i], known):
            held = [(mine, yours) for at in self._compared if (mine := me.forms[at]) is not None and (yours := forms[at]) is not None]
            score = round(min(alike(mine, yours) for mine, yours in held)) if held else None
            rated.append((known.get(who, 0), score, who))
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

    def _first(self, members: tuple[int, ...]) -> list[_Seen]:
        """Return the first members of a bucket: who they are, and the forms of what is looked at."""
        found = self._seen.get(id(members))
        if found is None:
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            found = self._seen[id(members)] = []
            for j in members[: TOO_MANY + 1]:
                node = self._nodes[j]
                found.append((j, (GOLDEN, node.golden_id) if node.golden_id else (node.stream_id, node.key), node.forms))
        return found

    def _likest(
        self, me: Node, others: list[tuple[tuple[int, str], _Forms]], known: Mapping[tuple[int, str], int]
    ) -> list[tuple[tuple[int, str], _Forms]]:
        """Return those of many that may be the likest, after a quick look at the first field that is compared; all, if they are few."""
        at = next((at for at in self._compared if me.forms[at]), None)
        if at is None or len(others) <= 2 * NAMED:
            return others
        from rapidfuzz import fuzz, process

        written = [forms[at] for _, forms in others]
        near = {j for *_, j in process.extract(me.forms[at], written, scorer=fuzz.token_ratio, limit=2 * NAMED)}
        return [other for j, other in enumerate(others) if j in near or other[0] in known]


class _Joining:
    """The nodes as they are joined step by step, and the doubts that come up. Of each node a few numbers are held, no more."""

    def __init__(self, nodes: Nodes, related: Related, apart: Sequence[str], reasons: int) -> None:
        self.by_rules = False
        """whether what joins now is a rule, and not an id that says it outright"""
        self._nodes = nodes
        self._related = related
        self._apart = apart
        count = len(nodes)
        self.forms = {path: _laid_end_to_end("q", nodes.forms(path), count) for path in nodes.paths}
        """by field that is looked at, what stands for the form of each node's value"""
        self._with = _laid_end_to_end("i", (range(at, min(at + PART, count)) for at in range(0, count, PART)), count)
        """by node, another one that was joined with it, and so on round to itself: as many as there are streams at most; the first one
        is the root of all"""
        self._open = bytearray(b"\1") * count
        """by node, whether anything may still be found out about it"""
        self._places = _laid_end_to_end("H" if len(nodes.places.named) <= NARROW else "i", nodes.standing(), count)
        """by root, the number of the streams that it and what was joined with it stand in"""
        self._ways, self._named = array("b" if reasons < 1 << 7 else "h", [_NEW]) * count, Numbered[str]()
        self._doubts: dict[int, tuple[str, tuple[int, ...]]] = {}

    def root(self, i: int) -> int:
        joined_with, first = self._with, i
        other = joined_with[i]
        while other != i:
            first = min(first, other)
            other = joined_with[other]
        return first

    def sharing(self, keys: Callable[[], Iterator[Sequence[int]]]) -> Iterator[list[int]]:
        """Yield the nodes that share a key, where they are not all joined already; first those that have the first member.

        ``keys`` reads the key of each node, page by page; 0 is none.
        """
        self._close()
        following, end = self._following(keys), -len(self._with)
        for i in compress(range(len(following)), following):
            if (other := following[i]) > 0:
                bucket = [i, other]
                while (after := following[bucket[-1]]) != end:
                    bucket.append(-after)
                yield bucket

    def _close(self) -> None:
        """Close the nodes about which nothing more is found out: what was joined and stands in all streams is joined with nothing more,
        and in no doubt."""
        full = {number for number, places in enumerate(self._nodes.places.named) if self._nodes.streams <= places}
        for i in compress(range(len(self._with)), self._open):
            if self._with[i] != i:
                self._open[i] = self._places[self.root(i)] not in full

    def _following(self, keys: Callable[[], Iterator[Sequence[int]]]) -> array[int]:
        """Return, for each node, what comes after it in its bucket: the second one after the first, then each next one, negative, and at
        last what no node has; 0 where it is in none. The keys are looked through in parts, for there may be millions."""
        following = array("i", [0]) * len(self._with)
        sieve, last = bytearray(SIEVE), SIEVE - 1
        at = 0
        for page in keys():
            for key in compress(page, self._open[at : at + len(page)]):
                sieve[key & last] = 1
            at += len(page)
        parts = 1 + self._open.count(1) // PART
        for start in range(0, parts, PARTS):
            filled = [(array("q"), array("i")) for _ in range(start, min(start + PARTS, parts))]
            into = [(some.append, places.append) for some, places in filled]
            at = 0
            for page in keys():
                for i, key in enumerate(page, at):
                    if sieve[key & last] and key and 0 <= (part := key % parts - start) < len(into):
                        add_key, add_place = into[part]
                        add_key(key)
                        add_place(i)
                at += len(page)
            for some, places in filled:
                self._link(some, places, following)
        return following

    def _link(self, keys: Sequence[int], places: Sequence[int], following: array[int]) -> None:
        """Note in ``following`` the buckets of these keys of which not all are joined already, and some node is open."""
        first: dict[int, int] = {}
        roots = map(self.root, places)
        shared = {key for key, root in zip(keys, roots, strict=True) if first.setdefault(key, root) != root}
        last = {key: -1 for key, i in zip(keys, places, strict=True) if key in shared and self._open[i]} if shared else {}
        for key, i in zip(keys, places, strict=True) if last else ():
            before = last.get(key)
            if before is None:
                continue
            if before >= 0:
                following[before] = -i if following[before] else i
                following[i] = -len(following)
            last[key] = i

    def _join(self, roots: list[int], why: str) -> None:
        first = min(roots)
        number = self._nodes.places.number(frozenset().union(*map(self._places_of, roots)))
        if number >= NARROW and self._places.typecode == "H":
            self._places = array("i", self._places)
        self._places[first] = number
        for other in roots:
            if other != first:
                self._with[first], self._with[other] = self._with[other], self._with[first]
        self._ways[first] = self._named.number(why)

    def _places_of(self, root: int) -> frozenset[int]:
        return self._nodes.places.named[self._places[root]]

    def left_elsewhere(self, members: list[int]) -> bool:
        """Tell whether a golden record that was deleted is among these, and an unlinked record of a stream that it did not stand in."""
        if self._nodes.gone.isdisjoint(members):
            return False
        whos = [self._nodes[i] for i in members]
        streams = {who.stream_id for who in whos if not who.golden_id}
        return any(i in self._nodes.gone and not streams <= who.left for i, who in zip(members, whos, strict=True))

    def _contradict(self, roots: list[int]) -> bool:
        """Tell whether two of these, or of what was joined to them, hold values of a field that tells apart, and cannot be one by them."""
        for path in self._apart:
            written = self.forms[path]
            held = {written[i]: i for root in roots for i in _ring(self._with, root) if written[i]}
            if len(held) > 1:
                at = self._nodes.paths.index(path)
                forms = [text for i in held.values() if (text := self._nodes[i].forms[at])]
                if any(contradict(path, one, other) for one, other in combinations(forms, 2)):
                    return True
        return False

    def _can_be_one(self, roots: list[int]) -> bool:
        return _disjoint([self._places_of(i) for i in roots]) and not (self.by_rules and self._contradict(roots))

    def holds_joined(self, members: list[int]) -> bool:
        """Tell whether any of these was joined before. Of what it was joined with, another may share another key of the same rule."""
        return [self._with[i] for i in members] != members

    def together(self, clusters: Iterable[list[int]]) -> Iterator[list[int]]:
        """Yield these clusters, as one those that lead to the same: else the first of two that cannot both be it would be bound. A cluster
        that cannot be one by itself leads nowhere."""
        leading: list[tuple[list[int], list[int]]] = []
        for cluster in clusters:
            roots = list(dict.fromkeys(map(self.root, cluster)))
            if self._can_be_one(roots):
                leading.append((cluster, roots))
            else:
                yield cluster
        members: dict[int, list[int]] = {}
        for cluster, _ in leading:
            for i in cluster:
                members.setdefault(self.root(i), []).append(i)
        for one in _connected((roots[0], i) for _, roots in leading for i in roots):
            yield sorted(i for root in one for i in members[root])

    def _could_be_one(self, roots: list[int]) -> bool:
        """Tell whether any two of these could be one thing: two that stand in one system are not asked about because they are alike."""
        kinds = [self._nodes.places.named[kind] for kind in {self._places[i] for i in roots}]
        return any(one.isdisjoint(other) for one, other in combinations(kinds, 2))

    def consider(self, members: list[int], why: str, reviewed: bool) -> None:
        """Join the members if they can be one thing in one way alone; else each of them is doubtful, unless it is told apart elsewhere."""
        roots = list(dict.fromkeys(map(self.root, members)))
        if len(roots) < 2:
            return
        if not reviewed and self._can_be_one(roots):
            self._join(roots, why)
        elif not reviewed or self._could_be_one(roots):
            doubt = why, tuple(members)
            for i in members:
                if self._with[i] == i and GOLDEN not in self._places_of(i):  # what is joined is no longer in doubt
                    self._doubts.setdefault(i, doubt)

    def by_related(self, members: list[int], why: str, least: int) -> None:
        """Join two of the members on which the same records hang, where that is so of no other two of their systems."""
        if not self._related:
            return
        whos = ((self._nodes[i], i) for i in members)
        here = {(who.stream_id, who.key): i for who, i in whos if not who.golden_id}
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
        """Return what was found out. Nothing is joined after that."""
        nodes = self._nodes
        golden = {number for number, places in enumerate(nodes.places.named) if GOLDEN in places}
        stands = chain.from_iterable(nodes.standing())
        ways = array(self._ways.typecode, (_IS_GOLDEN if at in golden else self._ways[self.root(i)] for i, at in enumerate(stands)))
        doubts = {i: doubt for i, doubt in self._doubts.items() if self._with[i] == i}
        return Identified(nodes, self._with, ways, self._named.named, doubts, compared, self._related)


def _laid_end_to_end(kind: Literal["H", "i", "q"], pages: Iterable[Sequence[int]], count: int) -> array[int]:
    """Return ``count`` numbers that come in pages as an array, in no more memory than they take."""
    whole, at = array(kind, [0]) * count, 0
    for page in pages:
        whole[at : at + len(page)] = array(kind, page)
        at += len(page)
    return whole


def _ring(joined_with: Sequence[int], i: int) -> list[int]:
    """Return a node and all that were joined with it."""
    ring = [i]
    while (other := joined_with[ring[-1]]) != i:
        ring.append(other)
    return ring


def _crossed(nodes: Nodes, crosses: Callable[[int, int], bool]) -> list[list[int]]:
    """Return the clusters of nodes of which one carries another's key. One that leads to more than one record, or nowhere, is in none or in
    a cluster that cannot be joined: a person looks at it."""
    carrying = [(i, stream_id, cross_form(value)) for i, who in enumerate(nodes) for stream_id, value in who.crosses]
    wanted = {said for _, _, said in carrying}
    at: dict[str, list[tuple[int, int]]] = {}
    for i, who in enumerate(nodes):
        for stream_id, key in who.keys if who.golden_id else ((who.stream_id, who.key),):
            if (said := cross_form(key)) in wanted:
                at.setdefault(said, []).append((stream_id, i))
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


def _agreeing(bucket: list[int], nodes: Nodes, rule: MatchRule, written: Sequence[Sequence[int]]) -> list[list[int]]:
    """Split a bucket into the clusters whose members agree, one by one, in what the rule compares; ``written`` stands for the forms of
    that, by node."""
    if not rule.compare:
        return [bucket]
    if len(bucket) > TOO_MANY:
        return []
    if all(len(spellings := {column[i] for i in bucket}) == 1 and 0 not in spellings for column in written):
        return [bucket]  # as most are: what is written alike is alike
    spelled: dict[tuple[int, ...], list[int]] = {}
    for i in bucket:
        held = tuple([column[i] for column in written])
        if all(held):
            spelled.setdefault(held, []).append(i)
    alike = list(spelled.values())
    if len(alike) < 2:
        return [those for those in alike if len(those) > 1]
    places = [nodes.paths.index(path) for path in rule.compare]
    forms = [[nodes[those[0]].forms[at] or "" for at in places] for those in alike]
    clusters = _connected((a, b) for a, b in _near([one[0] for one in forms], rule) if agree(rule, forms[a], forms[b]))
    near = {a for cluster in clusters for a in cluster}
    clusters += [[a] for a in range(len(alike)) if a not in near and len(alike[a]) > 1]
    return [sorted([i for a in cluster for i in alike[a]]) for cluster in clusters]


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


def _disjoint(sets: list[frozenset[int]]) -> bool:
    if len(sets) == 2:
        return sets[0].isdisjoint(sets[1])
    return len(frozenset().union(*sets)) == sum(map(len, sets))
