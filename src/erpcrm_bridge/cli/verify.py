"""Prove that the systems are equal, or show where they are not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from erpcrm_bridge.cli.exit_codes import DIFFERENT, DONE, WAITING
from erpcrm_bridge.cli.options import Whole
from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import FlowArgument, Session

if TYPE_CHECKING:
    from erpcrm_bridge.sync.verify import Difference, Verified


def command(
    ctx: typer.Context,
    flow: FlowArgument = None,
    *,
    limit: Annotated[int, typer.Option(min=0, help="Show so many unexplained differences.")] = 20,
    whole: Whole = False,
) -> Answer:
    """Read every linked record afresh and hold it against its golden record. Writes to no system."""
    session: Session = ctx.obj
    name = session.flow(flow)
    settings = session.settings()
    from erpcrm_bridge.sync.verify import verify
    from erpcrm_bridge.work import at_work

    with session.output.stations() as progress, at_work(settings, name) as (opened, store, _):
        found = verify(opened, store, progress)
    kept = None if whole else limit
    return Answer(_told(found, kept), lambda out: _show(out, name, found, kept), _exit_code(found))


def _exit_code(found: Verified) -> int:
    if found.unknown or found.gone:
        return DIFFERENT
    return WAITING if _waits(found) else DONE


def _waits(found: Verified) -> bool:
    return bool(found.differences or found.waiting or found.unlinked or found.untold)


def _counted(differences: list[Difference]) -> Counter[tuple[str, str, str, str]]:
    return Counter((one.entity, one.connection, one.path, one.known) for one in differences)


def _told(found: Verified, limit: int | None) -> dict[str, Any]:
    return {
        "flow": found.flow,
        "records": found.records,
        "equal": found.equal,
        "differing": [
            {"entity": entity, "connection": connection, "field": path, "why": known or None, "count": number}
            for (entity, connection, path, known), number in sorted(_counted(found.differences).items())
        ],
        "unknown": [
            {"entity": d.entity, "golden_id": d.golden_id, "connection": d.connection, "stream": d.stream, "key": d.key, "field": d.path}
            for d in found.unknown[:limit]
        ],
        "gone": _places(found.gone),
        "untold": _places(found.untold),
        "waiting": found.waiting,
        "unlinked": found.unlinked,
    }


def _places(found: list[tuple[str, str, str]]) -> list[dict[str, str]]:
    return [{"connection": connection, "stream": stream, "key": key} for connection, stream, key in found]


def _show(out: Output, flow: str, found: Verified, limit: int | None) -> None:
    from erpcrm_bridge.cli import words

    out.line(f"{words.count(found.records, 'linked record')} read; {found.equal:,} equal, {found.records - found.equal:,} different.")
    rows = [(*what[:3], what[3] or "UNKNOWN", f"{number:,}") for what, number in sorted(_counted(found.differences).items())]
    if rows:
        out.table(("entity", "connection", "field", "why", "records"), rows, right=["records"])
    if found.waiting:
        out.line(f"{words.count(found.waiting, 'record')} still to be created.")
    if found.unlinked:
        out.line(f"{words.count(found.unlinked, 'record')} linked to nothing: in review, parked or waiting.")
        out.hint("Look: erpcrm-bridge parked")
    if found.untold:
        out.line(f"{words.count(len(found.untold), 'linked record')} that cannot be read now:")
        out.table(("connection", "stream", "key"), found.untold[:limit])
        out.hint("Look: erpcrm-bridge parked")
    if found.gone:
        out.error(f"{words.count(len(found.gone), 'linked record')} no longer there:")
        out.table(("connection", "stream", "key"), found.gone[:limit])
    if found.unknown:
        out.error(f"{words.count(len(found.unknown), 'difference')} that no rule explains: an edit that no run has read yet, or a mistake.")
        out.table(
            ("entity", "golden record", "connection", "stream", "key", "field"),
            [(d.entity, d.golden_id, d.connection, d.stream, d.key, d.path) for d in found.unknown[:limit]],
        )
    if found.unknown or found.gone:
        out.hint(f"Next: erpcrm-bridge sync {flow}, then erpcrm-bridge verify {flow}")
    elif not _waits(found):
        out.line("The systems are equal.")
