"""Pull: reads what changed, compares it with what is known, and stores what moved as incoming. Writes to no system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

import msgspec

from erpcrm_bridge.connector import ListsKeys, PutsAway
from erpcrm_bridge.errors import ConfigError, CursorExpired, InputError, PermissionDenied
from erpcrm_bridge.model.records import Change, Problem, Record, Selection
from erpcrm_bridge.model.values import Fields, digest, same
from erpcrm_bridge.store import Head, IncomingRow, ParkedRow, Store, may_be_key
from erpcrm_bridge.store.rows import LONGEST_KEY
from erpcrm_bridge.sync import remap
from erpcrm_bridge.sync.brake import note_pulled
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.hashes import Hashes
from erpcrm_bridge.sync.notes import RunNote, parked_row

BY_KEY = 10_000
"""Records that are read by their keys at a time."""
_VERY_MANY = 1 << 60


def pull(flow: Flow, store: Store, run: RunNote) -> None:
    """Read every stream of the flow to its present end. Each page is stored whole, with its cursor, or not at all (L4)."""
    for stream_id, sides in flow.streams().items():
        read_asked(store, run, stream_id, sides)
        _pull_stream(flow, store, run, stream_id, sides)


def ask_again(store: Store, stream_id: int, key: str) -> None:
    """Let the next run read a record by its key, changed or not."""
    asked = msgspec.json.decode(store.fact(f"again:{stream_id}") or "[]", type=list[str])
    store.set_fact(f"again:{stream_id}", msgspec.json.encode([*asked, key]).decode())


def read_asked(store: Store, run: RunNote, stream_id: int, sides: list[Side]) -> bool:
    """Read the records that are to be read by their keys, changed or not, as incoming; return whether there were any."""
    asked = store.fact(f"again:{stream_id}")
    if asked is not None:
        rows = _read_by_key(store, run, sides[0], selection_of(sides), msgspec.json.decode(asked, type=list[str]), store.seq())
        with store.transaction(run.fence):
            _put(store, run, stream_id, rows)
            store.set_fact(f"again:{stream_id}", None)
    return asked is not None


def rules_digest(sides: Iterable[Side]) -> str:
    """Return what tells whether the mappings over a stream are those that settled its links."""
    return "+".join(sorted(side.mapping.digest + (f"&{side.cross}" if side.cross else "") for side in sides))


def selection_of(sides: list[Side]) -> Selection:
    """Return one selection that covers all mappings over one stream."""
    first = sides[0].selection
    if len(sides) == 1:
        return first
    fields = dict.fromkeys(name for side in sides for name in side.selection.fields)
    children = {child.stream: child for side in sides for child in side.selection.children}
    return Selection(first.stream, first.key, tuple(fields), first.external_id, tuple(children.values()))


def _known_by(store: Store, stream_id: int, selection: Selection, name: str) -> None:
    """Raise ConfigError where records are linked by another field than the one that is their key now: each of them would count as gone, and
    a change of rules deletes nothing (L13)."""
    before = store.fact(f"key:{stream_id}")
    if before is not None and before != selection.key and store.links_page(stream_id, "", 1):
        raise ConfigError(
            f"{name}: its records are linked by {before!r}, and the mapping's key is {selection.key!r} now: each would count as gone.",
            way_out=f"Write `key: {{id: {before}}}` again; by another key they are joined anew, in a store of its own.",
        )
    if before != selection.key:
        store.set_fact(f"key:{stream_id}", selection.key)


def _pull_stream(flow: Flow, store: Store, run: RunNote, stream_id: int, sides: list[Side]) -> None:
    side = sides[0]
    selection = selection_of(sides)
    name = f"{side.connection} {side.stream.name}"
    _known_by(store, stream_id, selection, name)
    since = store.cursor(flow.name, stream_id)
    rules = rules_digest(sides)
    settled_by = store.fact(f"rules:{flow.name}:{stream_id}")
    asked = remap.asked(selection, sides)
    were, paused = _paused_until_now(store, flow.name, stream_id), paused_paths(sides)
    all_anew = bool(were - paused)  # of what paused nothing was read for a while
    if settled_by is not None and settled_by != rules:
        store.set_fact(f"review:{flow.name}", run.id)
        all_anew = all_anew or remap.asks_for_more(store.fact(f"asked:{flow.name}:{stream_id}"), asked)
        if not all_anew:
            _map_anew(store, run, stream_id, sides, selection)
    if all_anew:
        since = None
    seq = store.seq()
    try:
        _read(flow, store, run, stream_id, sides, selection, since, seq, all_anew, name)
    except CursorExpired:
        store.set_cursor(flow.name, stream_id, None)
        _read(flow, store, run, stream_id, sides, selection, None, store.seq(), all_anew, name)
    _reconcile(store, run, stream_id, side, selection)
    stored = store.cursor(flow.name, stream_id)
    if stored is not None and isinstance(side.connector, PutsAway):
        side.connector.put_away(selection, stored)
    if settled_by != rules:
        for one in sides:
            store.set_fact(f"meanings:{one.mapping.digest}", msgspec.json.encode(one.mapping.meanings).decode())
        store.set_fact(f"asked:{flow.name}:{stream_id}", asked)
        store.set_fact(f"rules:{flow.name}:{stream_id}", rules)
    if were - paused:
        store.set_fact(f"paused:{flow.name}:{stream_id}", msgspec.json.encode(sorted(paused)).decode() if paused else None)


def paused_paths(sides: Iterable[Side]) -> set[str]:
    """Return what cannot be read now of a stream, as mapping and canonical path."""
    return {f"{side.mapping.name} {path}" for side in sides for path in side.mapping.paused}


def note_paused(store: Store, flow: str, stream_id: int, sides: Iterable[Side]) -> None:
    """Remember what cannot be read of a stream now, before anything is read without it: it is read anew when it is back."""
    were, paused = _paused_until_now(store, flow, stream_id), paused_paths(sides)
    if paused - were:
        store.set_fact(f"paused:{flow}:{stream_id}", msgspec.json.encode(sorted(were | paused)).decode())


def _paused_until_now(store: Store, flow: str, stream_id: int) -> set[str]:
    return set(msgspec.json.decode(store.fact(f"paused:{flow}:{stream_id}") or "[]", type=list[str]))


def _map_anew(store: Store, run: RunNote, stream_id: int, sides: list[Side], selection: Selection) -> None:
    """Let what other rules settled be merged again, from the bases; read the records of which not enough is known."""
    seq = store.seq()
    keys = remap.from_bases(store, run, stream_id, sides, selection)
    for start in range(0, len(keys), BY_KEY):
        rows = _read_by_key(store, run, sides[0], selection, keys[start : start + BY_KEY], seq)
        with store.transaction(run.fence):
            _put(store, run, stream_id, rows)
        run.counts["read"] += len(rows)


class Unmet:
    """What a full read has not met yet of what is known of a stream; it holds a number for each record, no keys and no versions."""

    def __init__(self, store: Store, stream_id: int) -> None:
        self._store = store
        self._stream_id = stream_id
        self._standing = Hashes(store.count_live_links([stream_id], _VERY_MANY))
        for known in store.standing(stream_id):
            self._standing.add(list(map(hash, known)))
        self._missing = store.missing(stream_id)

    def news_of(self, keys: Sequence[str], versions: Sequence[str | None]) -> list[int]:
        """Return the places of what does not stand as it is known, of tombstones all; the others are met."""
        return self._standing.take(map(hash, zip(keys, versions, strict=True)))

    def meet(self, heads: Mapping[str, Head]) -> None:
        """Note that these were met, as they are or otherwise."""
        self._standing.take([hash((key, head.version)) for key, head in heads.items()])
        self._missing.difference_update(heads)

    def keys(self) -> Iterator[str]:
        """Yield the keys of what was not met."""
        yield from sorted(self._missing)
        for known in self._store.standing(self._stream_id) if self._standing.left else ():
            yield from [head[0] for head in known if hash(head) in self._standing]


def _read(
    flow: Flow,
    store: Store,
    run: RunNote,
    stream_id: int,
    sides: list[Side],
    selection: Selection,
    since: str | None,
    seq: int,
    all_moved: bool,
    name: str,
) -> None:
    exact = sides[0].offers.version_exact and not all_moved
    full = since is None or sides[0].offers.incremental == "full"
    unmet: Unmet | None = None
    read, stored = 0, store.cursor(flow.name, stream_id)
    unreadable: set[str] = set()
    for page in sides[0].connector.read_changes(selection, since):
        keys, versions = page.heads
        if full and unmet is None and (keys or page.complete):
            unmet = Unmet(store, stream_id)
        news: Sequence[int] = unmet.news_of(keys, versions) if unmet is not None and exact else range(len(keys))
        hidden = [problem.key for problem in page.problems if problem.key is not None]
        heads = store.heads(stream_id, [*(keys[at] for at in news), *hidden])
        if unmet is not None:
            unmet.meet(heads)
        moved: list[IncomingRow] = []
        found = [*page.problems]
        for change in map(page.changes.__getitem__, news):
            head = heads.get(change.key)
            if head is not None:
                if (
                    exact
                    and change.record is not None
                    and head.version == change.record.version
                    and head.state not in ("tombstone", "missing")
                ):
                    continue
                if change.record is None and head.state == "tombstone":
                    continue
            if head is None and (change.record is None or not any(side.mapping.applies(change.record.fields) for side in sides)):
                continue
            if head is None and not may_be_key(change.key):
                found.append(_too_long(change.key))
                continue
            moved.append(incoming_row(stream_id, change, seq))
        problems: list[ParkedRow] = []
        for problem in found:
            key = problem.key if problem.key and may_be_key(problem.key) else None
            subject = f"row:{stream_id}:{key or problem.where}"
            reason = f"{name} {problem.where}: {problem.reason}"
            problems.append(
                parked_row(run, "row", subject, sides[0].entity, stream_id=stream_id, key=key, error="unreadable", reason=reason)
            )
        unreadable.update(row.subject for row in problems)
        read += len(keys)
        absent: list[IncomingRow] = []
        if page.complete and unmet is not None:
            absent = _absent(store, run, stream_id, sides[0], selection, unmet.keys(), seq)
        damage = _damage(store, stream_id, moved, heads)
        damage += _damage(store, stream_id, absent, store.heads(stream_id, [row.key for row in absent]))
        if moved or absent or problems or page.complete or page.cursor != stored:
            with store.transaction(run.fence, later=True):
                store.put_incoming([*moved, *absent])
                if (moved or absent) and sides[0].offers.incremental == "full":  # as other flows knew it, it may be again
                    store.forget_cursors(stream_id)
                note_pulled(store, run, stream_id, damage)
                store.park(problems)
                if page.complete:
                    _readable_again(flow, store, run, stream_id, unreadable)
                store.set_cursor(flow.name, stream_id, page.cursor)
            stored = page.cursor
        run.counts["moved"] += len(absent)
        run.counts["read"] += len(keys)
        run.counts["moved"] += len(moved)
        run.progress(f"read {name}", read)


def _too_long(key: str) -> Problem:
    where = f"{key[:40]}… ({digest(key)})"
    return Problem(where, None, f"its key has {len(key.encode()):,} bytes, and one of more than {LONGEST_KEY:,} cannot be linked")


def incoming_row(stream_id: int, change: Change, seq: int) -> IncomingRow:
    record = change.record
    return IncomingRow(
        stream_id, change.key, record.version if record else "", record.fields if record else None, seq, merged_into=change.merged_into
    )


def _absent(
    store: Store, run: RunNote, stream_id: int, side: Side, selection: Selection, unmet: Iterable[str], seq: int
) -> list[IncomingRow]:
    """A complete read has not met some known keys: confirm each by a read before it counts as gone (L8). Returns states now read."""
    found: list[IncomingRow] = []
    keys = iter(unmet)
    while some := list(islice(keys, BY_KEY)):
        found.extend(_read_by_key(store, run, side, selection, some, seq))
    return found


def _reconcile(store: Store, run: RunNote, stream_id: int, side: Side, selection: Selection) -> None:
    """A change log without deletes says nothing of what is gone, or seen again: ask what is there, where the system can list it (L8)."""
    offers, connector = side.offers, side.connector
    if offers.incremental != "log" or offers.reports_deletes or not offers.lists_keys or not isinstance(connector, ListsKeys):
        return
    seq = store.seq()
    met = Hashes(store.count_live_links([stream_id], _VERY_MANY))
    missing = store.missing(stream_id)
    back: list[str] = []
    for keys in connector.keys(selection):
        met.add(list(map(hash, keys)))
        back.extend(missing.intersection(keys))
    missing.difference_update(back)
    known = (key for heads in store.standing(stream_id) for key, _ in heads)
    unmet = (key for key in chain(missing, known) if hash(key) not in met)
    rows = _absent(store, run, stream_id, side, selection, unmet, seq)
    if back:
        rows.extend(_read_by_key(store, run, side, selection, back, seq))
    if rows:
        with store.transaction(run.fence):
            _put(store, run, stream_id, rows)
        run.counts["moved"] += len(rows)


def _missing(store: Store, run: RunNote, stream_id: int, side: Side, whys: Mapping[str, str]) -> None:
    found = [link for link in store.links_by_key(stream_id, whys).values() if link.state == "live"]
    where = f"{side.connection} {side.stream.name}"
    rows = []
    for link in found:
        link.state = "missing"  # what is owed to it stays owed
        rows.append(
            parked_row(
                run,
                "missing",
                f"missing:{link.id}",
                link.entity,
                golden_id=link.golden_id,
                stream_id=stream_id,
                key=link.key,
                error="missing",
                reason=f"{where} {link.key} {whys[link.key or '']}",
            )
        )
    with store.transaction(run.fence):
        store.update_links(found)
        store.park(rows)


def _put(store: Store, run: RunNote, stream_id: int, rows: list[IncomingRow]) -> None:
    """Store what was read by its keys, counted for the brakes."""
    damage = _damage(store, stream_id, rows, store.heads(stream_id, [row.key for row in rows]))
    store.put_incoming(rows)
    note_pulled(store, run, stream_id, damage)


def _damage(store: Store, stream_id: int, rows: list[IncomingRow], heads: Mapping[str, Head]) -> Counter[str]:
    """Return what the brakes look at: known records that are gone, and known records that stand again as they stood before, in what is
    asked of them: a column that comes and goes sets none of it back.

    ``rows`` are about to be stored; what is stored already was counted when it came, however it came.
    """
    found: Counter[str] = Counter()
    telling = [row for row in rows if _tells_of_damage(row, heads.get(row.key))]
    stored = store.incoming(stream_id, [row.key for row in telling]) if telling else {}
    links = store.links_by_key(stream_id, [row.key for row in telling if row.fields is not None]) if telling else {}
    for row in telling:
        before, link = stored.get(row.key), links.get(row.key)
        if row.fields is not None and link is not None and link.base is not None and not _differs(row.fields, link.base):
            continue
        if before is None or (before.version, before.fields is None) != (row.version, row.fields is None):
            found["deletes" if row.fields is None else "reverts"] += 1
    return found


def _tells_of_damage(row: IncomingRow, head: Head | None) -> bool:
    if row.fields is None:
        return head is not None and head.past is not None and head.past.state != "tombstone"
    return _stands_as_before(row.version, head)


def _differs(fields: Fields, base: Fields) -> bool:
    return any(name in base and not same(value, base[name]) for name, value in fields.items())


def _stands_as_before(version: str, head: Head | None) -> bool:
    return head is not None and head.past is not None and version != head.past.version and version in head.past.earlier


def _readable_again(flow: Flow, store: Store, run: RunNote, stream_id: int, still: set[str]) -> None:
    was = [row.subject for row in store.parked(flow=flow.name, kinds=["row"], limit=1_000_000) if row.stream_id == stream_id]
    store.close_parked([subject for subject in was if subject not in still], "readable again", run.at)


def read_again(store: Store, run: RunNote, side: Side, keys: list[str]) -> None:
    """Read records by key and store them as incoming. A key that is not there is gone, or missing where the system cannot tell (L8)."""
    note_paused(store, run.flow, side.stream_id, [side])
    rows = _read_by_key(store, run, side, side.selection, keys, store.seq())
    with store.transaction(run.fence):
        _put(store, run, side.stream_id, rows)


def read_now(store: Store, side: Side, selection: Selection, keys: list[str]) -> tuple[dict[str, Record], dict[str, str]]:
    """Return the records that are there, by key, as they stand now, and those that may not be read or cannot be told, by key with the
    reason (L9: they keep no other from being read).

    One that stands as it stood before is asked for a second time: a replica that lags behind shows it so for a moment (L2).
    """
    records, untold = _readable(side, selection, keys)
    there = {record.key: record for record in records}
    heads = store.heads(side.stream_id, there)
    again = [key for key, record in there.items() if _stands_as_before(record.version, heads.get(key))]
    if again:
        there.update({record.key: record for record in _readable(side, selection, again)[0]})
    return there, untold


def _readable(side: Side, selection: Selection, keys: list[str]) -> tuple[list[Record], dict[str, str]]:
    untold: dict[str, str] = {}
    while asked := [key for key in keys if key not in untold]:
        try:
            return side.connector.read(selection, asked), untold
        except (PermissionDenied, InputError) as error:
            more = set(error.keys).intersection(asked)
            if not more:  # it is about the stream
                raise
            untold |= dict.fromkeys(sorted(more), f"waits: {error.message} {error.way_out}".rstrip())
    return [], untold


def _read_by_key(store: Store, run: RunNote, side: Side, selection: Selection, keys: list[str], seq: int) -> list[IncomingRow]:
    there, untold = read_now(store, side, selection, keys)
    rows = [IncomingRow(side.stream_id, record.key, record.version, record.fields, seq) for record in there.values()]
    absent = [key for key in keys if key not in there and key not in untold]
    if side.offers.tells_gone:
        rows.extend(IncomingRow(side.stream_id, key, "", None, seq) for key in absent)
    else:
        untold |= dict.fromkeys(absent, "is not found, and the system cannot say whether it is gone or hidden")
    if untold:
        _missing(store, run, side.stream_id, side, untold)
    return rows
