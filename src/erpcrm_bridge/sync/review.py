"""The review as a file: who may be who, one pair a line, for a person to decide in a spreadsheet.

A line is known by its id, not by the keys in it: a spreadsheet that makes 00001042 into 1042 harms nothing. The id ends with a digest of
the names and places shown: what was decided of records that read otherwise by now is not done. A file is carried out whole or not at all:
whatever is wrong with one of its lines is told with its place, and nothing is done.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import Any

from msgspec import Struct

from erpcrm_bridge.errors import BridgeError, Complaint, ConfigError, UsageError
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.settings.reading import content_of
from erpcrm_bridge.store import GoldenRow, LinkRow, ParkedRow, Store
from erpcrm_bridge.sync.binding import STANDS, Place, link, partner_of, place
from erpcrm_bridge.sync.decide import label_of
from erpcrm_bridge.sync.desk import found_new, tell_apart
from erpcrm_bridge.sync.flow import Flow
from erpcrm_bridge.sync.notes import new_run
from erpcrm_bridge.sync.pull import read_now

COLUMNS = (
    "decide",
    "pair",
    "entity",
    "in",
    "key",
    "name",
    "place",
    "may be in",
    "its key",
    "its name",
    "its place",
    "alike %",
    "in common",
    "why",
)
SAME, DIFFERENT = "same", "different"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Who = tuple[str, str]
"""(connection, key) of a record, or ("", golden id)."""


class Pair(Struct):
    """Two that may be one, as a review has it: ``one`` is the record that waits and ``row`` its place in the waiting room; ``rows`` are all
    reviews in which the pair stands."""

    id: str
    entity: str
    one: Who
    other: Who
    score: int | None
    related: int
    why: str
    rows: list[ParkedRow]


class Asked(Struct):
    """A review: ``one`` is the record that waits, or one of the golden record whose create is held, and ``others`` what it may be, each
    with what the review tells of it."""

    row: ParkedRow
    one: Who
    others: list[tuple[Who, dict[str, Any]]]

    def pairs(self) -> Iterator[tuple[str, Who, dict[str, Any]]]:
        """Yield each pair's id, with whom, and what is told of it."""
        for other, told in self.others:
            yield _id(self.row.entity, self.one, other), other, told


class Reviewed(Struct):
    """What a file has come to: ``same`` and ``different`` pairs that were carried out, and how many are ``left`` to decide."""

    same: int = 0
    different: int = 0
    left: int = 0


def pairs(flow: Flow, store: Store) -> list[Pair]:
    """Return the pairs that wait for a person, each once, the likeliest first."""
    found: dict[str, Pair] = {}
    for asked in _asked(flow, store):
        row, one = asked.row, asked.one
        for id, other, told in asked.pairs():
            if id in found:
                found[id].rows.append(row)
                continue
            first, second = (other, one) if other[0] == one[0] and other[1] < one[1] else (one, other)
            why = row.reason.partition(": ")[2]
            found[id] = Pair(id, row.entity, first, second, told.get("score"), told.get("related", 0), why, [row])
    order = {entity: at for at, entity in enumerate(flow.order)}
    return sorted(found.values(), key=lambda pair: (order[pair.entity], -pair.related, -(pair.score or 0), pair.id))


def _asked(flow: Flow, store: Store) -> Iterator[Asked]:
    rows = [row for row in store.parked(flow=flow.name, kinds=["review"], limit=1_000_000) if row.data.get("others")]
    held = [row for row in rows if row.key is None and row.error == "double"]
    goldens = {row.golden_id or "" for row in held} | {told["golden"] for row in held for told in row.data["others"]}
    records = {golden_id: _records(flow, links) for golden_id, links in store.links_of(sorted(goldens)).items()}
    for row in rows:
        side = flow.side(row.stream_id, row.entity) if row.stream_id is not None else None
        if side is None or row.error not in ("double", "ambiguous", "unlinked"):
            continue
        if row.key is not None:
            yield Asked(row, (side.connection, row.key), [(_named(told), told) for told in row.data["others"]])
        elif row.error == "double" and records.get(row.golden_id or ""):
            known = [(records[told["golden"]], told) for told in row.data["others"] if records.get(told["golden"])]
            there = [(next((who for who in found if who[0] == side.connection), found[0]), told) for found, told in known]
            yield Asked(row, records[row.golden_id or ""][0], there)


def _named(told: dict[str, Any]) -> Who:
    return ("", told["golden"]) if "golden" in told else (told["connection"], told["key"])


def _records(flow: Flow, links: Sequence[LinkRow]) -> list[Who]:
    """Return the records of a golden record, in order."""
    sides = [(link, flow.side(link.stream_id, link.entity)) for link in links if link.key is not None and link.state in STANDS]
    return sorted((side.connection, link.key or "") for link, side in sides if side is not None)


def write_file(flow: Flow, store: Store, path: Path) -> int:
    """Write what is open into ``path``, whole or not at all, as the file that stands there was written; return the number of pairs."""
    open_pairs = pairs(flow, store)
    fields = _fields(flow, store, open_pairs)
    delimiter = _read(path)[1] if path.exists() else ","
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for pair in open_pairs:
        left, right = (_looks(fields, who) for who in (pair.one, pair.other))
        named = (*pair.one, *left, *(pair.other if pair.other[0] else ("the bridge", pair.other[1])), *right)
        id = f"{pair.id}-{_shown(fields, pair)}"
        cells = ("", id, pair.entity, *named, "" if pair.score is None else pair.score, pair.related or "", pair.why)
        writer.writerow([_harmless(cell) for cell in cells])
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_bytes(text.getvalue().encode("utf-8-sig"))
        os.replace(beside, path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.", way_out="Close it where it is open, or name another file."
        ) from None
    return len(open_pairs)


def carry_out(flow: Flow, store: Store, path: Path, *, person: str, clock: Callable[[], float] = time.time) -> Reviewed:
    """Do what a person has decided in the file, and write into it what is left, so that it can be taken again whatever comes of the run.

    Raises ConfigError with a complaint for each line that is wrong; then nothing is done.
    """
    known = {pair.id: pair for pair in pairs(flow, store)}
    complaints: list[Complaint] = []
    lines = _decided(path, known, complaints)
    fields = _fields(flow, store, [known[id] for id in lines], now=True)
    for id, (line, _, shown) in lines.items():
        if shown != _shown(fields, known[id]):
            why = "these records are no longer as the file shows them"
            complaints.append(
                Complaint(str(path), line, 1, why, "clear the decision; the file that is written then shows them as they are")
            )
    decided = {id: (line, what) for id, (line, what, _) in lines.items()}
    same = [(line, known[id]) for id, (line, what) in decided.items() if what == SAME]
    same.sort(key=lambda told: told[1].one[0] == told[1].other[0])  # a double joins the one that has its partner
    large: dict[Who, str] = {}
    for line, pair in same:
        try:
            large.update(_large(flow, store, pair))
            _link(flow, store, pair, person, do=False, clock=clock)
        except BridgeError as error:
            complaints.append(Complaint(str(path), line, 1, str(error), "clear the cell"))
    complaints.extend(_contradictions(path, decided, known, large))
    if complaints:
        raise _refused(path, sorted(complaints, key=lambda one: one.line))
    for pair in _growing([pair for _, pair in same], set(large)):
        _link(flow, store, pair, person, do=True, clock=clock)
    different = {id for id, (_, what) in decided.items() if what == DIFFERENT}
    _part(flow, store, different, person, clock)
    write_file(flow, store, path)
    return Reviewed(len(same), len(different))


def _link(flow: Flow, store: Store, pair: Pair, person: str, *, do: bool, clock: Callable[[], float]) -> None:
    stays, moves = (_place(flow, store, who, pair.entity) for who in (pair.one, pair.other))
    if isinstance(moves, Place) and partner_of(flow, store, moves):
        stays, moves = moves, stays
    if do and _golden_id(stays) is not None and _golden_id(stays) == _golden_id(moves):
        return  # an earlier line has joined them already
    link(flow, store, moves, stays, person=person, do=do, clock=clock)


def _large(flow: Flow, store: Store, pair: Pair) -> Iterator[tuple[Who, str]]:
    """Yield who of a pair cannot move, with the golden record: what has a partner of its own."""
    for who in (pair.one, pair.other):
        there = _place(flow, store, who, pair.entity)
        golden_id = _golden_id(there)
        if golden_id is not None and (isinstance(there, GoldenRow) or partner_of(flow, store, there)):
            yield who, golden_id


def _growing(left: list[Pair], joined: set[Who]) -> Iterator[Pair]:
    """Yield the pairs so that each, where it can, has one in it that was joined already: then the other one is alone, and can move."""
    while left:
        pair = next((pair for pair in left if pair.one in joined or pair.other in joined), left[0])
        left.remove(pair)
        joined |= {pair.one, pair.other}
        yield pair


def _golden_id(one: Place | GoldenRow) -> str | None:
    return one.id if isinstance(one, GoldenRow) else one.held[1].id if one.held else None


def _place(flow: Flow, store: Store, who: Who, entity: str) -> Place | GoldenRow:
    return place(flow, store, f"{who[0]}:{who[1]}" if who[0] else who[1], entity)


def _part(flow: Flow, store: Store, different: set[str], person: str, clock: Callable[[], float]) -> None:
    """A record of which every pair was decided as different is a thing of its own; else it waits on with the pairs that are left."""
    for asked in list(_asked(flow, store)):
        row = asked.row
        told = {id: told for id, _, told in asked.pairs()}
        left = [one for id, one in told.items() if id not in different]
        if len(left) == len(told):
            continue
        if not left and row.key is not None:
            found_new(store, flow, row.id, person=person, clock=clock)
            continue
        run = new_run(flow.name, clock)
        with store.transaction():
            if row.key is None:  # each run asks anew
                tell_apart(store, run, row, person, [one["golden"] for id, one in told.items() if id in different])
            if left:
                row.data["others"], row.run = left, run.id
                store.park([row])
            else:
                store.close_parked([row.subject], person, run.at)


def _decided(path: Path, known: dict[str, Pair], complaints: list[Complaint]) -> dict[str, tuple[int, str, str]]:
    """Return line, decision and the digest of what was shown, by the pair's id; complain of each line that cannot be understood."""
    text, delimiter = _read(path)
    found: dict[str, tuple[int, str, str]] = {}
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = _rows(path, reader)
    head = [cell.strip().casefold() for cell in next(rows, (0, []))[1]]
    if "decide" not in head or "pair" not in head:
        complaint = Complaint(str(path), 1, 1, "this is no review: it has no columns `decide` and `pair`", "name another file")
        raise _refused(path, [complaint])
    decide, pair = head.index("decide"), head.index("pair")
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        what = row[decide].strip().casefold() if decide < len(row) else ""
        id, _, shown = (row[pair].strip() if pair < len(row) else "").rpartition("-")
        if not what:
            continue
        if what not in (SAME, DIFFERENT):
            complaints.append(
                Complaint(str(path), line, decide + 1, f"`{row[decide]}` is no decision", f"write {SAME} or {DIFFERENT}, or nothing")
            )
        elif id not in known:
            why = "this pair is not open, or its id was changed"
            complaints.append(Complaint(str(path), line, pair + 1, why, "clear the decision, or delete the line"))
        elif id in found and found[id][1] != what:
            complaints.append(
                Complaint(str(path), line, decide + 1, f"line {found[id][0]} says {found[id][1]} of the same pair", "keep one of them")
            )
        else:
            found[id] = (line, what, shown)
    return found


def _refused(path: Path, complaints: Sequence[Complaint]) -> ConfigError:
    way_out = f"Correct it, save it, then run again: erpcrm-bridge adopt --review {path}"
    return ConfigError(f"{path} cannot be carried out; nothing was done.", way_out=way_out, complaints=complaints)


def _rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the line on which it begins."""
    begins = 1
    try:
        for row in reader:
            yield begins, row
            begins = reader.line_num + 1
    except csv.Error as error:
        complaint = Complaint(str(path), begins, 1, f"not a table any more: {error}", "mend the quotes, or delete the file and run again")
        raise _refused(path, [complaint]) from None


def _contradictions(path: Path, decided: dict[str, tuple[int, str]], known: dict[str, Pair], large: dict[Who, str]) -> Iterator[Complaint]:
    """Yield what cannot all be so: different and yet the same by way of others, two records of one system that nobody said are one, or two
    golden records that both have partners."""
    groups: dict[Who, list[Who]] = {}
    for id, (_, what) in decided.items():
        if what == SAME:
            mine, theirs = (groups.setdefault(who, [who]) for who in (known[id].one, known[id].other))
            if mine is not theirs:
                mine.extend(theirs)
                groups.update(dict.fromkeys(theirs, mine))
    for id, (line, what) in decided.items():
        pair = known[id]
        if what == DIFFERENT and pair.other in groups.get(pair.one, ()):
            yield Complaint(str(path), line, 1, "different, but the same by other lines", "one of them is wrong")
    told = {frozenset((known[id].one, known[id].other)): line for id, (line, what) in decided.items() if what == SAME}
    for group in {str(group): group for group in groups.values()}.values():
        for one, other in combinations(sorted(group), 2):
            if one[0] == other[0] and frozenset((one, other)) not in told:
                line = max(line for pair_of, line in told.items() if pair_of & {one, other})
                what = f"{one[1]} and {other[1]} of {one[0] or 'the bridge'} would become one"
                yield Complaint(str(path), line, 1, what, "say `same` on the line of these two as well, or take one back")
        if len({large[who] for who in group if who in large}) > 1:
            line = max(line for pair_of, line in told.items() if pair_of.intersection(group))
            what = "two that have partners of their own would become one"
            yield Complaint(str(path), line, 1, what, "part them first: erpcrm-bridge unlink, or take one back")


def _read(path: Path) -> tuple[str, str]:
    """Return a file's text and its delimiter, whichever spreadsheet saved it."""
    try:
        content = content_of(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", way_out="Name a file of your own.") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", errors="replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", errors="replace")
    head = text.partition("\n")[0]
    return text, max(",;\t", key=head.count)


def _fields(flow: Flow, store: Store, open_pairs: Sequence[Pair], *, now: bool = False) -> dict[Who, Fields]:
    """Return what is known of each record in the pairs, canonically; with ``now`` what its system says of it now, where that tells."""
    found: dict[Who, Fields] = {}
    goldens = store.golden({who[1] for pair in open_pairs for who in (pair.one, pair.other) if not who[0]})
    found.update({("", id): golden.fields for id, golden in goldens.items()})
    for side in flow.all_sides():
        keys = {who[1] for pair in open_pairs if pair.entity == side.entity for who in (pair.one, pair.other) if who[0] == side.connection}
        for key, row in store.incoming(side.stream_id, sorted(keys)).items():
            found[side.connection, key] = side.mapping.get(row.fields or {}, {}, [])
        for key, known in store.links_by_key(side.stream_id, sorted(keys - {key for _, key in found})).items():
            found[side.connection, key] = side.mapping.get(known.base or {}, {}, [])
        there = read_now(store, side, side.selection, sorted(keys))[0] if now and keys else {}
        found.update({(side.connection, key): side.mapping.get(record.fields, {}, []) for key, record in there.items()})
    return found


def _looks(fields: Mapping[Who, Fields], who: Who) -> tuple[str, str]:
    """Return the name and the place of a record, as the file shows them."""
    held = fields.get(who, {})
    return label_of(held), _town(held)


def _shown(fields: Mapping[Who, Fields], pair: Pair) -> str:
    packed = "\x1f".join(cell for who in sorted((pair.one, pair.other)) for cell in _looks(fields, who))
    return blake2b(packed.encode(), digest_size=3).hexdigest()


def _town(fields: Fields) -> str:
    return " ".join(
        str(value)
        for path in ("billing.line1", "billing.postal_code", "billing.city", "email", "order_date", "total")
        if (value := fields.get(path))
    )


def _id(entity: str, one: Who, other: Who) -> str:
    packed = "\x1f".join([entity, *(part for who in sorted((one, other)) for part in who)])
    return "pair-" + blake2b(packed.encode(), digest_size=6).hexdigest()


def _harmless(cell: Any) -> Any:
    """A spreadsheet takes text that begins so for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
