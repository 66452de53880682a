"""See what was done, by record or by run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import Session


def command(
    ctx: typer.Context,
    record: Annotated[
        str | None, typer.Argument(help="A golden id, a KEY, or CONNECTION:KEY.", show_default="the runs instead of a record")
    ] = None,
    *,
    run: Annotated[str | None, typer.Option(help="What one run did.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many.")] = 50,
) -> Answer:
    """List what was settled for a record or in a run; without either, the runs. Reads the store only."""
    session: Session = ctx.obj
    settings = session.settings()
    from msgspec.structs import asdict

    from erpcrm_bridge.cli import telling, words
    from erpcrm_bridge.cli.stores import to_read
    from erpcrm_bridge.errors import UsageError
    from erpcrm_bridge.sync.explain import find_record

    if record is not None and run is not None:
        raise UsageError("Name a record or a run, not both.", way_out="erpcrm-bridge history RECORD, or erpcrm-bridge history --run RUN")
    with to_read(settings) as store:
        if record is None and run is None:
            runs = store.runs(limit=limit)
            return Answer({"runs": [asdict(row) for row in runs]}, lambda out: _show_runs(out, runs))
        if run is not None and store.run(run) is None:
            raise UsageError(f"There is no run {run}.", way_out="erpcrm-bridge history lists the runs.")
        rows = store.history(find_record(store, record))[-limit:] if record else store.history_of_run(run or "", 0, limit)

    def show(out: Output) -> None:
        telling.history(out, rows)
        if not rows:
            out.line("Nothing was settled.")
        if len(rows) == limit:
            out.hint(f"Only {words.count(limit, 'row')} shown; --limit shows more.")
        if rows:
            out.hint(f"Next: erpcrm-bridge explain {rows[-1].golden_id}")

    return Answer({"history": [{"golden_id": row.golden_id, "run": row.run, "at": row.at, **row.data} for row in rows]}, show)


def _show_runs(out: Output, runs: list[Any]) -> None:
    from erpcrm_bridge.cli import words

    rows = [
        (run.id, run.flow, run.kind, words.when(run.started_at), run.status, ", ".join(f"{name} {n:,}" for name, n in run.counts.items()))
        for run in runs
    ]
    if not rows:
        out.line("Nothing has run yet.")
        return
    out.table(("run", "flow", "kind", "started", "ended", "counts"), rows, whole=["run", "started"])
    out.hint(f"Next: erpcrm-bridge history --run {runs[0].id}")
