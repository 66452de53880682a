"""Nodes: the records that nothing links yet, and the golden records that some of them may be, while it is found out who is who.

There may be millions of them. They lie in a temporary file, in the order in which they came: what buckets are made of by columns of 64-bit
numbers, which are read page by page, and what else is asked of a few by blocks, of which each is read by its place.
"""

from __future__ import annotations

import errno
import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Hashable, Iterator, Sequence, Set
from itertools import accumulate, chain, pairwise, repeat
from types import TracebackType
from typing import Generic, NamedTuple, NoReturn, TypeVar

import msgspec
from msgspec import Struct

from erpcrm_bridge.errors import StoreError
from erpcrm_bridge.mapping import MatchRule
from erpcrm_bridge.sync.natural import NaturalKeys, Read, forms_of

K = TypeVar("K", bound=Hashable)
GOLDEN = 0
"""Stands among the streams of a golden record, so that no two of them are ever joined."""
_IN_MEMORY = 4 << 20
"""Bytes that a file may have before it goes to the disk: a few records never come there."""
_BLOCK = 8
"""Nodes that are read and decoded together."""


class Who(Struct, array_like=True, gc=False):
    """Who a node is: an unlinked record, by its stream and key, with the golden id that it carries in its external-id field; or a golden
    record, by its id."""

    stream_id: int
    key: str
    reference: str | None = None
    golden_id: str | None = None


class Node(Who, array_like=True, gc=False):
    """All that is asked of a node. ``forms`` are those of the fields that are looked at, once it is put aside: None where it holds nothing,
    empty where what it holds says nothing. ``crosses`` are the keys of other systems' records that it carries, each with the stream of the
    record that carries it.

    Of a golden record: the streams that it is ``linked`` in, and the ``keys`` of its links. ``gone`` is one that was deleted, which no rule
    finds, and ``left`` the streams that it stood in: what turns up with its id elsewhere is for a person to judge.
    """

    forms: tuple[str | None, ...] = ()
    linked: frozenset[int] = frozenset()
    gone: bool = False
    left: frozenset[int] = frozenset()
    crosses: tuple[tuple[int, str], ...] = ()
    keys: tuple[tuple[int, str], ...] = ()

    def stands_in(self, stream_id: int) -> bool:
        return stream_id in self.linked if self.golden_id else self.stream_id == stream_id


class Numbered(Generic[K]):
    """Things with a number each, in the order in which they were first met."""

    def __init__(self) -> None:
        self.named: list[K] = []
        self._numbers: dict[K, int] = {}

    def number(self, thing: K) -> int:
        found = self._numbers.setdefault(thing, len(self.named))
        if found == len(self.named):
            self.named.append(thing)
        return found


class _Page(NamedTuple):
    """Nodes that were added together: how many, where their columns begin, and how much later their blocks begin, and the last one ends."""

    size: int
    at: int
    blocks: array[int]


class Nodes:
    """All nodes of one joining, each known by its place. Use it as a context, for the file is closed with it.

    ``paths`` are the fields that are looked at: what rules compare, and what tells apart. ``referring`` says how many unlinked records
    carry a golden id, ``crossing`` whether any node carries a cross id, and ``gone`` are the places of
    golden records that were deleted. Whatever puts nodes aside or reads them raises StoreError where the disk does not take them.
    """

    def __init__(self, rules: Sequence[MatchRule], apart: Sequence[str] = ()) -> None:
        self.paths = tuple(dict.fromkeys([*(path for rule in rules for path in rule.compare), *apart]))
        self.places: Numbered[frozenset[int]] = Numbered()
        self._alone: dict[int, int] = {}
        self.referring = 0
        self.crossing = False
        self.gone: set[int] = set()
        self._keys = NaturalKeys(rules)
        self._drawn = len(set(self._keys.columns))
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, buffering=0)  # noqa: SIM115 - this is the context
        self._pages: list[_Page] = []
        self._starts: list[int] = []
        self._count = self._end = 0
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(list[Node]).decode
        self._decode_who = msgspec.msgpack.Decoder(list[Who]).decode

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def add(self, nodes: Sequence[Node], records: Sequence[Read]) -> None:
        """Put these aside behind the others, each with the canonical fields by which rules tell it."""
        if not nodes:
            return
        forms = {path: forms_of(path, [record.get(path) for record in records]) for path in dict.fromkeys((*self._keys.paths, *self.paths))}
        looked_at = [forms[path] for path in self.paths]
        columns = self._keys.drawn(forms, len(nodes))
        for at, node in enumerate(nodes):
            if not node.golden_id:
                self.referring += bool(node.reference)
            elif node.gone:
                self.gone.add(self._count + at)
                for column in columns:
                    column[at] = 0
        self.crossing = self.crossing or any(node.crosses for node in nodes)
        columns += [array("q", [hash(text) if text else 0 for text in column]) for column in looked_at]
        columns.append(array("q", [hash(said) if (said := node.reference or node.golden_id) else 0 for node in nodes]))
        columns.append(array("q", map(self._place_of, nodes)))
        for node, held in zip(nodes, zip(*looked_at, strict=True), strict=True) if looked_at else ():
            node.forms = held
        blocks = [self._encode(nodes[start : start + _BLOCK]) for start in range(0, len(nodes), _BLOCK)]
        data = b"".join([*columns, *blocks])
        begins = array("I", accumulate(map(len, blocks), initial=8 * len(nodes) * len(columns)))
        try:
            self._file.seek(self._end)
            written = self._file.write(data)
        except OSError as error:
            _no_room(error.strerror)
        if written < len(data):
            _no_room(os.strerror(errno.ENOSPC))
        self._pages.append(_Page(len(nodes), self._end, begins))
        self._starts.append(self._count)
        self._count += len(nodes)
        self._end += len(data)

    @property
    def streams(self) -> Set[int]:
        """The streams of the unlinked records."""
        return self._alone.keys()

    def __getitem__(self, i: int) -> Node:
        data, at = self._block(i)
        return self._decode(data)[at]

    def __iter__(self) -> Iterator[Node]:
        return chain.from_iterable(map(self._decode, self._blocks()))

    def who(self, i: int) -> Who:
        """Return who a node is, and no more of it."""
        data, at = self._block(i)
        return self._decode_who(data)[at]

    def whos(self) -> Iterator[Who]:
        """Yield who the nodes are."""
        return chain.from_iterable(map(self._decode_who, self._blocks()))

    def natural(self, number: int) -> Iterator[array[int]]:
        """Yield the natural keys under a rule, page by page; 0 where a node has none."""
        return self._column(self._keys.columns[number])

    def forms(self, path: str) -> Iterator[array[int]]:
        """Yield what stands for the form of a field that is looked at; 0 where a node has none."""
        return self._column(self._drawn + self.paths.index(path))

    def references(self) -> Iterator[array[int]]:
        """Yield what stands for the golden id that a record carries, or a golden record's own; 0 where there is none."""
        return self._column(self._drawn + len(self.paths))

    def standing(self) -> Iterator[array[int]]:
        """Yield the numbers (of ``places``) of the streams that a node stands in."""
        return self._column(self._drawn + len(self.paths) + 1)

    def natural_keys(self) -> Iterator[tuple[int, ...]]:
        """Yield each node's natural keys by rule; 0 where it has none."""
        if not self._drawn:
            yield from repeat((), self._count)
        for page in zip(*map(self._column, range(self._drawn)), strict=True):
            yield from zip(*(page[at] for at in self._keys.columns), strict=True)

    def _place_of(self, node: Node) -> int:
        if node.golden_id:
            return self.places.number(node.linked | {GOLDEN})
        found = self._alone.get(node.stream_id)
        if found is None:
            found = self._alone[node.stream_id] = self.places.number(frozenset((node.stream_id,)))
        return found

    def _column(self, number: int) -> Iterator[array[int]]:
        for page in self._pages:
            column = array("q")
            column.frombytes(self._read(page.at + 8 * page.size * number, 8 * page.size))
            yield column

    def _block(self, i: int) -> tuple[bytes, int]:
        """Return the block in which a node lies, and its place there."""
        number = bisect_right(self._starts, i) - 1
        page = self._pages[number]
        block, at = divmod(i - self._starts[number], _BLOCK)
        begin = page.blocks[block]
        return self._read(page.at + begin, page.blocks[block + 1] - begin), at

    def _blocks(self) -> Iterator[bytes]:
        for page in self._pages:
            first, *_, end = page.blocks
            data = self._read(page.at + first, end - first)
            for begin, after in pairwise(page.blocks):
                yield data[begin - first : after - first]

    def _read(self, begin: int, size: int) -> bytes:
        try:
            self._file.seek(begin)
            return self._file.read(size)
        except OSError as error:
            _no_room(error.strerror)


def _no_room(why: str | None) -> NoReturn:
    raise StoreError(
        f"Records cannot be put aside in {tempfile.gettempdir()}: {why}.",
        way_out="Make room there, or set TMPDIR to a folder that has some; nothing was lost, the next run goes on.",
    ) from None
