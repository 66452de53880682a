"""Changed rules: what is known is mapped anew from the stored bases; a record is read only where its base does not hold what the rules read
(L13)."""

from __future__ import annotations

import msgspec

from erpcrm_bridge.model.records import Selection
from erpcrm_bridge.model.values import Fields, digest
from erpcrm_bridge.store import IncomingRow, LinkRow, Store
from erpcrm_bridge.sync.decide import UNREADABLE
from erpcrm_bridge.sync.flow import Side
from erpcrm_bridge.sync.notes import RunNote

PAGE = 5_000


def asked(selection: Selection, sides: list[Side]) -> str:
    """Return what a stream was asked for, as it is remembered: the names of fields, and all else that decides which records there are."""
    rest = digest([msgspec.to_builtins(msgspec.structs.replace(selection, fields=(), children=())), _filters(sides)])
    return msgspec.json.encode([sorted(_names(selection)), rest]).decode()


def _names(selection: Selection) -> set[str]:
    return {*selection.fields, *(f"{child.stream}\n{name}" for child in selection.children for name in (child.parent, *child.fields))}


def _filters(sides: list[Side]) -> list[str]:
    return sorted(f"{side.mapping.name}: {side.mapping.when or ''}" for side in sides)


def asks_for_more(before: str | None, now: str) -> bool:
    """Tell whether rules read what was never asked for, or might take records that no rule took: then the stream is read in full."""
    if before is None:
        return True
    (had, rest_before), (wants, rest) = msgspec.json.decode(before), msgspec.json.decode(now)
    return rest != rest_before or not set(wants) <= set(had)


def from_bases(store: Store, run: RunNote, stream_id: int, sides: list[Side], selection: Selection) -> list[str]:
    """Put what other rules settled before the merge again, as its base has it, and what is parked as it was read; return the keys of the
    records of which not enough is known, so that they have to be read."""
    settled = {side.mapping.digest for side in sides}
    to_read: list[str] = []
    after = ""
    while links := store.links_page(stream_id, after, PAGE):
        after = links[-1].id
        ours = {link.key: link for link in links if link.key is not None}
        known = store.incoming(stream_id, ours)
        to_read += _look_again(store, run, selection, list(known.values()))
        rows = []
        for key, link in ours.items():
            if key in known or link.state != "live" or link.rules in settled:
                continue
            if link.base is not None and not is_unreadable(link) and _holds(selection, link.base):
                rows.append(IncomingRow(stream_id, key, link.version, link.base, link.seq))
            else:
                to_read.append(key)
        with store.transaction(run.fence):
            store.put_incoming(rows)
        run.counts["mapped anew"] += len(rows)
    after = ""
    while unlinked := store.incoming_unlinked(stream_id, after, PAGE, ("new", "waiting", "parked")):
        after = unlinked[-1].key
        to_read += _look_again(store, run, selection, unlinked)
    return to_read


def _look_again(store: Store, run: RunNote, selection: Selection, rows: list[IncomingRow]) -> list[str]:
    """Let parked states be merged under the rules as they are now; return the keys of those of which not enough is known."""
    there = [row for row in rows if row.fields is not None]
    lacking = {row.key for row in there if not _holds(selection, row.fields or {})}
    parked = [row for row in there if row.state == "parked" and row.key not in lacking]
    if parked:
        with store.transaction(run.fence):
            store.set_incoming_state(parked[0].stream_id, [row.key for row in parked], "new")
    return sorted(lacking)


def is_unreadable(link: LinkRow) -> bool:
    """Tell whether the base keeps what a field held before it could not be understood: what it holds now is not known."""
    return UNREADABLE in link.held.values()


def _holds(selection: Selection, fields: Fields) -> bool:
    """Tell whether a base holds every field that is asked for. What stands inside another is known with it."""
    for name in selection.fields:
        if name not in fields and name.partition(".")[0].partition("[")[0] not in fields:
            return False
    return all(
        child.stream in fields and all(name in row for row in (fields[child.stream] or ())[:1] for name in child.fields)
        for child in selection.children
    )
