"""External ids: rows of ``ir.model.data``, the one table of Odoo with a unique index over references (module and name).

A record's name there is that of its stream and its reference: one golden record may have records in several streams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from erpcrm_bridge_odoo.rpc import Server

TABLE = "ir.model.data"


def name_of(stream: str, reference: str) -> str:
    """Return the external id's name; the module stands before it with a point."""
    return f"{stream.replace('.', '_')}__{reference}"


def of_records(server: Server, module: str, stream: str, model: str, ids: Sequence[int]) -> dict[int, str]:
    """Return the bridge's references of those records that have one; the first, where a merge left a record two."""
    domain = [["module", "=", module], ["model", "=", model], ["res_id", "in", list(ids)]]
    rows = server.call(TABLE, "search_read", domain=domain, fields=["name", "res_id"], order="id", load="")
    start = len(name_of(stream, ""))
    found: dict[int, str] = {}
    for row in rows:
        if row["name"].startswith(name_of(stream, "")):
            found.setdefault(row["res_id"], row["name"][start:])
    return found


def records_named(server: Server, module: str, stream: str, model: str, references: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
    """Return the ids of the records that bear the references; one that nobody bears is left out."""
    names = {name_of(stream, reference): reference for reference in references}
    domain = [["module", "=", module], ["model", "=", model], ["name", "in", list(names)]]
    rows = server.call(TABLE, "search_read", domain=domain, fields=["name", "res_id"], order="id", load="")
    there = set(server.call(model, "search", domain=[["id", "in", [row["res_id"] for row in rows]]])) if rows else set()
    return {names[row["name"]]: (row["res_id"],) for row in rows if row["res_id"] in there}
