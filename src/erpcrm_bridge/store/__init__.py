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
    may_be_key,
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
    "may_be_key",
    "open_store",
]
