"""Verify: are the systems equal now? Reads every linked record afresh and holds it against golden; writes nothing anywhere."""

from __future__ import annotations

from msgspec import Struct

from erpcrm_bridge.mapping import FieldError
from erpcrm_bridge.model.values import Fields, same
from erpcrm_bridge.store import GoldenRow, IncomingRow, LinkRow, Store
from erpcrm_bridge.sync.clashes import clash_paths
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.lines import flatten
from erpcrm_bridge.sync.merge import base_means
from erpcrm_bridge.sync.notes import Progress, quiet
from erpcrm_bridge.sync.pull import read_now
from erpcrm_bridge.sync.references import refs_of
from erpcrm_bridge.sync.settling import pending_paths

BATCH = 2_000


class Difference(Struct):
    """A linked record whose system does not hold golden. ``known`` says why where the bridge knows it (in clash, parked, pending, not
    merged yet, not pushed yet); an unknown difference is an edit that no run has read yet, or a mistake. ``key`` is the record's in its
    system."""

    entity: str
    golden_id: str
    connection: str
    stream: str
    key: str
    path: str
    known: str


class Verified(Struct):
    """``equal`` counts records that hold golden in every mapped field; ``waiting`` golden records wanted in a system and not there yet;
    ``unlinked`` records that stand in a system and are linked to nothing (in review, parked, waiting); ``untold``, by connection, stream
    and key, linked records that may not be read, or cannot be told from those that are gone."""

    flow: str
    records: int = 0
    equal: int = 0
    differences: list[Difference] = []
    waiting: int = 0
    unlinked: int = 0
    gone: list[tuple[str, str, str]] = []
    untold: list[tuple[str, str, str]] = []

    @property
    def unknown(self) -> list[Difference]:
        return [difference for difference in self.differences if not difference.known]


def verify(flow: Flow, store: Store, progress: Progress = quiet) -> Verified:
    """Compare every linked record of the flow with its golden record. Raises what connectors raise."""
    result = Verified(flow.name)
    for side in flow.all_sides():
        after = ""
        while links := store.links_page(side.stream_id, after, BATCH):
            after = links[-1].id
            ours = [link for link in links if link.entity == side.entity and flow.side_of(link, {}) is side]
            result.waiting += sum(1 for link in ours if link.state == "wanted")
            result.untold.extend((side.connection, side.stream.name, link.key or "") for link in ours if link.state == "missing")
            _compare(flow, store, side, [link for link in ours if link.state == "live" and link.key is not None], result)
            progress(f"verify {side.connection} {side.stream.name}", result.records)
    result.unlinked = store.count_unlinked(sorted(flow.streams()))
    return result


def _compare(flow: Flow, store: Store, side: Side, links: list[LinkRow], result: Verified) -> None:
    if not links:
        return
    records, untold = read_now(store, side, side.selection, [link.key for link in links if link.key])
    result.untold.extend((side.connection, side.stream.name, key) for key in untold)
    links = [link for link in links if link.key not in untold]
    goldens = store.golden([link.golden_id for link in links])
    clashes, pending = clash_paths(store, list(goldens)), pending_paths(store, list(goldens))
    told = [record.fields for record in records.values()]
    unheard = {key: row for key, row in store.incoming(side.stream_id, records).items() if row.fields is not None}
    refs = refs_of(flow, store, side, [*told, *(row.fields or {} for row in unheard.values()), *(link.base for link in links if link.base)])
    for link in links:
        result.records += 1
        held = records.get(link.key or "")
        if held is None:
            result.gone.append((side.connection, side.stream.name, link.key or ""))
            continue
        shown = frozenset(pending.get((link.golden_id, side.stream_id), ()))
        frozen = side.policies.frozen(clashes.get(link.golden_id, frozenset()))
        found = _differences(side, link, goldens[link.golden_id], held.fields, unheard.get(held.key), refs, frozen, shown)
        result.differences.extend(found)
        result.equal += not found


def _differences(
    side: Side,
    link: LinkRow,
    golden: GoldenRow,
    fields: Fields,
    unheard: IncomingRow | None,
    refs: dict[tuple[str, str], str],
    frozen: frozenset[str],
    pending: frozenset[str],
) -> list[Difference]:
    mapping = side.mapping
    errors: list[FieldError] = []
    flat_golden = flatten(golden.fields, mapping.lists)
    flat_said, flat_base = _flat(side, link, fields, refs, errors), _flat(side, link, link.base or {}, refs, [])
    paths = {path for path in mapping.readable if path not in mapping.lists and path in mapping.writable}
    for name, compiled in mapping.lists.items():
        both = {path for path in (*flat_golden, *flat_said) if path.startswith(name + "/")}
        paths |= {path for path in both if path.count("/") == 1 or path.split("/")[2] in compiled.readable & compiled.writable}
    unreadable = {error.path for error in errors}
    untouched = {path for path in paths if same(flat_said.get(path), flat_base.get(path)) or _pauses(side, path)}
    waits = {}
    if unheard is not None:  # what it said is stored, and golden does not hold it yet
        flat_unheard = _flat(side, link, unheard.fields or {}, refs, [])
        why = "not merged yet" if unheard.state == "new" else "parked"
        waits = {path: why for path in paths if same(flat_said.get(path), flat_unheard.get(path))}
    return [
        Difference(
            golden.entity,
            golden.id,
            side.connection,
            side.stream.name,
            link.key or "",
            path,
            "paused"
            if _pauses(side, path)
            else _why(
                path, link, frozen, pending, waits.get(path, ""), path in untouched or path in unreadable or _list(path) in link.held
            ),
        )
        for path in sorted(paths)
        if path in unreadable
        or (
            not base_means(path, flat_golden.get(path), flat_base.get(path), link.answered)
            if path in untouched
            else not same(flat_said.get(path), flat_golden.get(path))
        )
    ]


def _pauses(side: Side, path: str) -> bool:
    """Tell whether a path is compared as it was last known, for it cannot be read now."""
    return bool(side.paused) and (path in side.paused or _list(path) in side.paused)


def _list(path: str) -> str:
    """Return the list of whose lines a path is; for others the path itself."""
    return path.partition("/")[0]


def _flat(side: Side, link: LinkRow, fields: Fields, refs: dict[tuple[str, str], str], errors: list[FieldError]) -> Fields:
    said = side.mapping.get(fields, refs, errors)
    for name, compiled in side.mapping.lists.items():
        line_ids = {key: line_id for line_id, key in link.line_keys.get(name, {}).items()}
        said[name] = [
            {"id": line_ids.get(str(row[compiled.key]), f"?{row[compiled.key]}"), **compiled.get(row, said, refs, errors)}
            for row in compiled.held(fields) or ()
        ]
    return flatten(said, side.mapping.lists)


def _why(path: str, link: LinkRow, frozen: frozenset[str], pending: frozenset[str], waits: str, as_known: bool) -> str:
    """Return why a difference is known; what the system holds beyond what the bridge knows of is not."""
    if path in frozen or _list(path) in frozen:
        return "in clash"
    if path in pending:
        return "pending"
    if waits:
        return waits
    if not as_known:
        return ""
    if path in link.held or _list(path) in link.held or "*" in link.held:
        return "parked"
    return "not pushed yet" if link.dirty else ""
