"""See where everything stands."""

from __future__ import annotations

from typing import Any

import typer

from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import FlowArgument, Session


def command(ctx: typer.Context, flow: FlowArgument = None) -> Answer:
    """Show where a flow stands: records, links, what waits, brakes, the last runs. Reads the store only."""
    session: Session = ctx.obj
    settings = session.settings()
    names = [session.flow(flow)] if flow else list(settings.flows)
    from erpcrm_bridge.cli.standing import standing
    from erpcrm_bridge.cli.stores import connections_by_system, to_read

    with to_read(settings) as store:
        systems = connections_by_system(settings, store)
        found = [standing(store, name, systems) for name in names]
    return Answer({"flows": found}, lambda out: _show(out, found))


def _show(out: Output, found: list[dict[str, Any]]) -> None:
    from erpcrm_bridge.cli import words
    from erpcrm_bridge.cli.reports import show_paused, show_waiting

    for flow in found:
        out.line(f"Flow {flow['flow']}")
        for brake in flow["brakes"]:
            over = f"{brake['kind']} in {brake['system']}: {brake['count']}, limit {brake['limit']}"
            out.line(f"THE BRAKE IS ON: {over}; since {words.when(brake['at'])}")
        if flow["adoption_open"]:
            out.line("The first joining was reviewed and is not applied yet.")
        if flow["review_open"]:
            out.line("The rules of the mappings have changed; their plan is not applied yet.")
        columns = ("stream", "live", "wanted", "asleep", "missing", "deleted", "to write")
        rows = [
            (place, *(counts.get(state, 0) for state in ("live", "wanted", "asleep", "missing", "tombstone", "dirty")))
            for place, counts in sorted(flow["links"].items())
        ]
        if rows:
            out.table(columns, rows, right=columns[1:])
        if flow["incoming"]:
            out.table(("read and not merged", "records"), sorted(flow["incoming"].items()), right=["records"])
        show_paused(out, flow["paused"])
        show_waiting(out, flow["waiting"])
        runs = [(r["id"], r["kind"], words.when(r["started_at"]), r["status"], r["message"].partition("\n")[0]) for r in flow["runs"]]
        if runs:
            out.line("Last runs:")
            out.table(("run", "kind", "started", "ended", "why"), runs, whole=["run", "started"])
        else:
            out.line("It has not run yet.")
        out.hint(f"Next: {'; '.join(flow['next'])}")
