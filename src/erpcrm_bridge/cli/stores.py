"""The store, opened for what a command does: reading beside any run, or acting as the runner."""

from __future__ import annotations

from erpcrm_bridge.settings import Settings
from erpcrm_bridge.store import Store, open_store


def to_read(settings: Settings) -> Store:
    """Open the store for reading; works beside a running sync. Raises StoreError."""
    return open_store(settings.store_url, read_only=True)


def to_act(settings: Settings) -> Store:
    """Open the store for what a person decides; an embedded one under its runner's lock. Raises StoreError, Locked."""
    return open_store(settings.store_url, run_lock=settings.store_url.startswith("sqlite:"))


def connections_by_system(settings: Settings, store: Store) -> dict[str, str]:
    """Return the name of the connection that leads to each system, by the system's identity."""
    found = {store.connection_identity(name): name for name in settings.connections}
    return {identity: name for identity, name in found.items() if identity is not None}


def stream_names(settings: Settings, store: Store) -> dict[int, tuple[str, str]]:
    """Return (connection, stream) by the stream's number; a system that no connection leads to any more goes by its identity."""
    names = connections_by_system(settings, store)
    return {number: (names.get(system, system), stream) for number, (system, stream) in store.streams().items()}
