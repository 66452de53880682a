"""What must be remembered: golden records, links and their bases, what waits, history, runs, leases. SQLite or PostgreSQL."""

from erpcrm_bridge.store.rows import (
    Author,
    Fence,
    GoldenRow,
    Head,
    HistoryRow,
    IncomingRow,
    IncomingState,
    Intention,
    LinkRow,
    LinkState,
    ParkedKind,
    ParkedRow,
    Past,
    RunRow,
)
from erpcrm_bridge.store.store import Store, open_store

__all__ = [
    "Author",
    "Fence",
    "GoldenRow",
    "Head",
    "HistoryRow",
    "IncomingRow",
    "IncomingState",
    "Intention",
    "LinkRow",
    "LinkState",
    "ParkedKind",
    "ParkedRow",
    "Past",
    "RunRow",
    "Store",
    "open_store",
]
