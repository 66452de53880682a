"""The store, opened for what a command does: reading beside any run, or acting as the runner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from erpcrm_bridge.settings import Settings
from erpcrm_bridge.store import Store, open_store


def to_read(settings: Settings) -> Store:
    """Open the store for reading; works beside a running sync. Raises StoreError."""
    return open_store(settings.store_url, read_only=True)


@contextmanager
def to_act(settings: Settings, *, flow: str | None = None, id: str | None = None) -> Iterator[Store]:
    """Open the store for what a person decides of a flow, or of what is parked under ``id``, alone with it: a run of it, or of one beside
    it, has records in hand, and would write them over what was decided. An embedded store is held whole. Raises StoreError, Locked."""
    from erpcrm_bridge.work import exclusively

    embedded = settings.store_url.startswith("sqlite:")
    with open_store(settings.store_url, run_lock=embedded) as store:
        row = store.parked_by_id(id) if id is not None else None
        name = row.flow if row is not None else flow
        with exclusively(store, name, settings.beside(name), alone=embedded) if name is not None else nullcontext():
            yield store


def connections_by_system(settings: Settings, store: Store) -> dict[str, str]:
    """Return the name of the connection that leads to each system, by the system's identity."""
    found = {store.connection_identity(name): name for name in settings.connections}
    return {identity: name for identity, name in found.items() if identity is not None}


def stream_names(settings: Settings, store: Store) -> dict[int, tuple[str, str]]:
    """Return (connection, stream) by the stream's number; a system that no connection leads to any more goes by its identity."""
    names = connections_by_system(settings, store)
    return {number: (names.get(system, system), stream) for number, (system, stream) in store.streams().items()}
