"""Writing."""

from __future__ import annotations

from collections.abc import Sequence

from erpcrm_bridge.connector import Outcome, Write
from erpcrm_bridge.errors import ConnectorBug
from erpcrm_bridge_odoo.reading import Source


def write(source: Source, writes: Sequence[Write]) -> list[Outcome]:
    raise ConnectorBug("Odoo is not written to yet.")
