"""Runs a flow in the caller's process, under its lease: one worker at a time, whatever started it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from erpcrm_bridge.errors import BridgeError, Locked
from erpcrm_bridge.settings import Settings
from erpcrm_bridge.store import Fence, Store, open_store
from erpcrm_bridge.sync.flow import Flow, Opener, open_connection, opened

LEASE_SECONDS = 60.0


@contextmanager
def at_work(settings: Settings, name: str, opener: Opener = open_connection) -> Iterator[tuple[Flow, Store, Fence]]:
    """Open the store, take its runner's lock (SQLite) and the flow's lease, open the flow; let go of all at the end.

    Raises Locked, StoreError, ConfigError, UsageError and what connectors raise on describing.
    """
    embedded = settings.store_url.startswith("sqlite:")
    with (
        open_store(settings.store_url, run_lock=embedded) as store,
        exclusively(store, name, alone=embedded) as fence,
        opened(settings, name, store, opener) as flow,
    ):
        yield flow, store, fence


@contextmanager
def exclusively(store: Store, flow: str, *, alone: bool = False) -> Iterator[Fence]:
    """Hold the lease of a flow's work row, renewed from a thread of its own so that a long call does not lose it.

    Raises Locked where another worker holds it, unless the caller is ``alone`` (see Store.lease). The work asked for by then counts as
    done when the block ends well, and stays due when it does not.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}"
    store.touch(flow)
    fence = store.lease(flow, owner, LEASE_SECONDS, alone=alone)
    if fence is None:
        raise Locked(f"Another run of {flow} is at work.", way_out=f"Wait for it to end; what a dead worker held is free after {LEASE_SECONDS:.0f} seconds.")
    stop = threading.Event()
    renewer = threading.Thread(target=_renew, args=(store.url, fence, stop), name=f"lease {flow}", daemon=True)
    renewer.start()
    ended_well = False
    try:
        yield fence
        ended_well = True
    finally:
        stop.set()
        renewer.join()
        if ended_well:
            store.finish(fence)
        else:
            store.postpone(fence, 0)


def _renew(url: str, fence: Fence, stop: threading.Event) -> None:
    while not stop.wait(LEASE_SECONDS / 3):
        try:
            with open_store(url) as store:
                store.renew(fence, LEASE_SECONDS)
        except BridgeError:
            # The lease may run out: then the fence refuses the next settle, which is safe.
            continue
