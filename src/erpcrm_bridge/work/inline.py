"""Runs a flow in the caller's process, under its lease: one worker at a time, whatever started it."""

from __future__ import annotations

import gc
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from erpcrm_bridge.errors import BridgeError, Locked
from erpcrm_bridge.settings import Settings
from erpcrm_bridge.store import Fence, Store, open_store
from erpcrm_bridge.store.runlock import is_gone
from erpcrm_bridge.sync.flow import Flow, Opener, open_connection, opened

LEASE_SECONDS = 60.0
GARBAGE = 400_000
"""So many new objects before the collector of cycles looks, while a run is on."""


@contextmanager
def at_work(settings: Settings, name: str, opener: Opener = open_connection) -> Iterator[tuple[Flow, Store, Fence]]:
    """Open the store, take its runner's lock (SQLite) or the leases of the flow and of those beside it, open the flow; let go of all at the
    end.

    Raises Locked, StoreError, ConfigError, UsageError and what connectors raise on describing.
    """
    embedded = settings.store_url.startswith("sqlite:")
    with (
        open_store(settings.store_url, run_lock=embedded) as store,
        exclusively(store, name, settings.beside(name), alone=embedded) as fence,
        opened(settings, name, store, opener) as flow,
        _seldom_collecting(),
    ):
        yield flow, store, fence


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Let the collector of cycles look a hundred times more seldom: a run makes plain structs by the million, and hardly a cycle."""
    usual = gc.get_threshold()
    gc.set_threshold(GARBAGE, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@contextmanager
def exclusively(store: Store, flow: str, beside: Iterable[str] = (), *, alone: bool = False) -> Iterator[Fence]:
    """Hold the lease of a flow's work row, renewed from a thread of its own so that a long call does not lose it; those of the flows
    ``beside`` it, which would write the records that it has in hand, are held with it.

    Raises Locked where another worker holds one of them. A worker that died on this machine holds nothing, nor does any where the caller is
    ``alone``, with the runner's lock in hand: then nothing is beside it. What one elsewhere held is free when its lease runs out. The work
    of the flow asked for by then counts as done when the block ends well, and stays due when it does not.
    """
    store.touch(flow)
    fences: dict[str, Fence] = {}
    with ExitStack() as held:
        for key in sorted({flow} if alone else {flow, *beside}):  # in one order: of two that want the same, one gets all of it
            fences[key] = _leased(store, key, alone)
            if key != flow:
                held.callback(store.give_back, fences[key])
        stop = threading.Event()
        renewer = threading.Thread(target=_renew, args=(store.url, fences.values(), stop), name=f"lease {flow}", daemon=True)
        renewer.start()
        ended_well = False
        try:
            yield fences[flow]
            ended_well = True
        finally:
            stop.set()
            renewer.join()
            if ended_well:
                store.finish(fences[flow])
            else:
                store.postpone(fences[flow], 0)


def _leased(store: Store, key: str, alone: bool) -> Fence:
    holder = store.holder(key)
    fence = store.lease(key, _owner(os.getpid()), LEASE_SECONDS, dead=holder if holder and (alone or _is_dead(holder)) else None)
    if fence is None:
        raise Locked(
            f"Another run of {key} is at work.",
            way_out=f"Wait for it to end; what a dead worker held is free after {LEASE_SECONDS:.0f} seconds.",
        )
    return fence


def _owner(pid: int) -> str:
    return f"{socket.gethostname()} {_machine()} {pid}"


def _machine() -> str:
    """Return what tells this machine, since it was started, from any other, and a container on it from the next: where it cannot be
    told, "" (process numbers mean nothing beyond it)."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def _is_dead(owner: str) -> bool:
    """Tell whether the process that ``owner`` names is known to be no more: it ran here, and there is none of its number."""
    pid = owner.rpartition(" ")[2]
    return pid.isdigit() and bool(_machine()) and owner == _owner(int(pid)) and is_gone(pid)


def _renew(url: str, fences: Iterable[Fence], stop: threading.Event) -> None:
    while not stop.wait(LEASE_SECONDS / 3):
        for fence in fences:
            # Where it may not be renewed it runs out: then the fence refuses the next settle, which is safe.
            with suppress(BridgeError), open_store(url) as store:
                store.renew(fence, LEASE_SECONDS)
