"""What is merged together, and what comes of it until it is stored."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.store import GoldenRow, HistoryRow, IncomingRow, LinkRow, ParkedRow
from erpcrm_bridge.sync.flow import Side


class Origin(Struct):
    """What a record was until now, where it has become another entity: its golden record and that one's other links; the link as it stood;
    the wanted link whose place it takes. ``kept``: values of which it holds a rendition."""

    golden: GoldenRow
    others: list[LinkRow]
    link: LinkRow
    replaces: LinkRow | None = None
    kept: Fields = {}


class Member(Struct):
    """One system's state in a group that is about to be merged."""

    side: Side
    link: LinkRow
    incoming: IncomingRow
    new_link: bool
    wanted: bool = False
    guessed: frozenset[str] = frozenset()
    """paths that moved to what only a fallback reads"""
    settled_by: str = ""
    """the mapping that settled the link before, where another one takes the record now"""
    origin: Origin | None = None


class Work(Struct):
    """One golden record and the states that are merged into it."""

    golden: GoldenRow
    new: bool
    members: list[Member]
    how: str = ""
    hashes: Sequence[int] = ()
    """natural keys of the first member, as identification found them"""
    restored: bool = False
    """a record that was deleted has come back"""
    lines: dict[str, list[Fields]] = {}
    """golden's lines and those that members brought, so that each finds its own"""


class Batch(Struct):
    """Rows to be stored together."""

    add_golden: list[GoldenRow] = []
    put_golden: list[GoldenRow] = []
    add_links: list[LinkRow] = []
    update_links: list[LinkRow] = []
    dirty: set[str] = set()
    history: list[HistoryRow] = []
    match_keys: list[tuple[str, list[int]]] = []
    drop_match: list[tuple[str, list[int]]] = []
    park: list[ParkedRow] = []
    close: list[str] = []
    drop_links: list[str] = []
    unread: list[LinkRow] = []
    """to be read by their keys"""
    settled: list[IncomingRow] = []
    """done, and nothing is asked of them any more"""
    drop: dict[int, list[str]] = {}
    state: dict[tuple[int, str], list[str]] = {}

    def done(self, row: IncomingRow) -> None:
        self.drop.setdefault(row.stream_id, []).append(row.key)

    def set_state(self, row: IncomingRow, state: str) -> None:
        self.state.setdefault((row.stream_id, state), []).append(row.key)
