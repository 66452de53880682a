"""Brakes: limits that stop writing until a person releases them. They count per flow and system over a window in the store, whoever
triggered the run, so that many small runs do not pass what one big run may not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import product

import msgspec

from erpcrm_bridge.errors import BrakeTripped
from erpcrm_bridge.store import Store
from erpcrm_bridge.sync.flow import Flow
from erpcrm_bridge.sync.notes import RunNote

INCOMING = ("deletes", "reverts")
"""Kinds that count what was pulled, which is stored for all flows that read the system."""
KINDS = {"create": "creates", "delete": "deletes", "update": "changed", "move": "changed"}


def stopped_by(flow: Flow, store: Store) -> str:
    """Return the flow whose brake stops this one, "" where none does: its own, or that of another flow on what was pulled from a system
    that both read."""
    connections = {side.connection for side in flow.all_sides()}
    stopping = [
        row["flow"] for row in store.tripped() if row["flow"] == flow.name or (row["kind"] in INCOMING and row["system"] in connections)
    ]
    return flow.name if flow.name in stopping else next(iter(stopping), "")


def refuse_if_tripped(flow: Flow, store: Store) -> None:
    """Raise BrakeTripped while a brake stops the flow."""
    if name := stopped_by(flow, store):
        tripped = store.tripped(name)
        names = ", ".join(f"{row['kind']} in {row['system']} ({row['count']}, limit {row['limit']})" for row in tripped)
        raise BrakeTripped(
            f"The brake of {name} is on: {names}. Nothing was written.",
            way_out=f"Look at `erpcrm-bridge plan {name}`; if that is what you want: erpcrm-bridge parked release {name}",
        )


def check(flow: Flow, store: Store, run: RunNote, counts: Mapping[tuple[str, str], int]) -> None:
    """Trip the brakes that these counts, with those of the window, would pass; raise BrakeTripped if any.

    ``counts`` are by (connection, kind), kind one of creates, deletes, changed, reverts.
    """
    with store.transaction(run.fence):
        passing = {} if run.counted else _let_pass(flow, store, run, counts)
        over = _trip(flow, store, run, counts)
        if over:
            store.set_fact(_asked(flow.name), _packed(counts))
            if passing:  # nothing is written by this run: what was released passes with the one that may, however late that is
                note(flow, store, run, passing)
                store.set_fact(_released(flow.name), _packed(passing))
    if over:
        refuse_if_tripped(flow, store)


def _let_pass(flow: Flow, store: Store, run: RunNote, counts: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """Let what a person released not count, as far as it is still to be written, and return it: nothing else passes in its place.

    What passes and is not written by this run stays in the window as a count below zero.
    """
    passes = _unpacked(store.fact(_released(flow.name)))
    let_pass: dict[tuple[str, str], int] = {}
    for key in product(sorted(flow.roles), sorted(set(KINDS.values()))):
        window = _in_window(flow, store, run, *key)
        passing = min(passes.get(key, 0) + max(0, -window), counts.get(key, 0))
        if window < 0:
            store.forget_writes(flow.name, *key)
        store.note_writes(flow.name, *key, -passing, run.unix)
        if passing:
            let_pass[key] = passing
    if passes:
        store.set_fact(_released(flow.name), None)
    return let_pass


def release(store: Store, flow: str, *, person: str) -> int:
    """Release the brakes of a flow that are on; return how many. What they asked for passes once; from there they count anew."""
    fact, passes = store.fact(_asked(flow)), _unpacked(store.fact(_released(flow)))
    asked = _unpacked(fact)
    with store.transaction():
        for row in store.tripped(flow):
            key = row["system"], row["kind"]
            store.forget_writes(flow, *key)
            passes[key] = row["count"] if fact is None else asked.get(key, 0)
        store.set_fact(_released(flow), _packed(passes))
        return store.release(flow, person)


def applied(store: Store, flow: str, wrote: Mapping[str, int]) -> None:
    """Take what a plan has written (by ``connection:operation``) off what a release lets pass."""
    passes = Counter(_unpacked(store.fact(_released(flow))))
    if passes:
        passes.subtract(kinds({name: count for name, count in wrote.items() if name.rpartition(":")[2] in KINDS}))
        store.set_fact(_released(flow), _packed(+passes))


def _asked(flow: str) -> str:
    return f"brake asked:{flow}"


def _released(flow: str) -> str:
    return f"brake released:{flow}"


def _packed(counts: Mapping[tuple[str, str], int]) -> str:
    return msgspec.json.encode([[*key, count] for key, count in counts.items()]).decode()


def _unpacked(fact: str | None) -> dict[tuple[str, str], int]:
    return {(connection, kind): count for connection, kind, count in msgspec.json.decode(fact or "[]", type=list[tuple[str, str, int]])}


def _trip(flow: Flow, store: Store, run: RunNote, counts: Mapping[tuple[str, str], int]) -> bool:
    over = False
    for (connection, kind), count in counts.items():
        if not count:
            continue
        total = count + _in_window(flow, store, run, connection, kind)
        limit = _limit(flow, store, connection, kind, total)
        if limit is not None and total > limit:
            store.trip(flow.name, connection, kind, total, limit, run.at)
            over = True
    return over


def _in_window(flow: Flow, store: Store, run: RunNote, connection: str, kind: str) -> int:
    return store.writes_since(flow.name, connection, kind, run.unix - flow.brakes.window_seconds)


def note_pulled(store: Store, run: RunNote, stream_id: int, found: Mapping[str, int]) -> None:
    """Remember what of this kind (deletes, reverts) comes to be stored as incoming, in the same transaction: whatever becomes of the run,
    the next check counts it."""
    if any(found.values()):
        pulled = Counter(_pulled(store, run.flow))
        pulled.update({f"{stream_id} {kind}": count for kind, count in found.items()})
        store.set_fact(f"pulled:{run.flow}", msgspec.json.encode(pulled).decode())


def _pulled(store: Store, flow: str) -> dict[str, int]:
    return msgspec.json.decode(store.fact(f"pulled:{flow}") or "{}", type=dict[str, int])


def check_incoming(flow: Flow, store: Store, run: RunNote) -> None:
    """Trip the brakes that what was pulled would pass: records gone, and records that returned to what they were before.

    What was pulled stays stored and is merged when the brake is released.
    """
    pulled = _pulled(store, flow.name)
    if not pulled:
        return
    counts: Counter[tuple[str, str]] = Counter()
    for stream_id, sides in flow.streams().items():
        for kind in INCOMING:
            counts[sides[0].connection, kind] += pulled.get(f"{stream_id} {kind}", 0)
    with store.transaction(run.fence):
        over = _trip(flow, store, run, counts)
        if over:
            store.set_fact(_asked(flow.name), _packed({}))  # they are merged then, and counted
        note(flow, store, run, counts)
        store.set_fact(f"pulled:{flow.name}", None)
    if over:
        refuse_if_tripped(flow, store)


def note(flow: Flow, store: Store, run: RunNote, counts: Mapping[tuple[str, str], int]) -> None:
    """Remember what was done for the window."""
    for (connection, kind), count in counts.items():
        if count:
            store.note_writes(flow.name, connection, kind, count, run.unix)


def _limit(flow: Flow, store: Store, connection: str, kind: str, total: int) -> int | None:
    """Return how many writes of a kind the brake lets pass; None: any number. Links are counted only until ``total`` is let pass."""
    brakes = flow.brakes
    if kind != "changed" or brakes.changed is None:
        limit: int | None = {"creates": brakes.creates, "deletes": brakes.deletes, "reverts": brakes.reverts}.get(kind)
        return limit
    streams = sorted({side.stream_id for side in flow.all_sides() if side.connection == connection})
    known = store.count_live_links(streams, int(min(total / brakes.changed, 1e12)) + 2) if brakes.changed else 0
    # A share of a few records says nothing: below twenty records the share is not counted.
    return max(int(brakes.changed * known), 20)


def kinds(counts: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """Return a plan's counts (``connection:operation``) by connection and kind of brake."""
    found: dict[tuple[str, str], int] = {}
    for name, count in counts.items():
        connection, _, operation = name.rpartition(":")
        key = (connection, KINDS[operation])
        found[key] = found.get(key, 0) + count
    return found
