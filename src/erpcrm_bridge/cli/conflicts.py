"""See which fields are in clash, and say which value holds."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from erpcrm_bridge.cli.options import OfFlow, Record, Whole
from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import Session

app = typer.Typer(name="conflicts", add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})
Limit = Annotated[int, typer.Option(min=0, help="Show so many.")]


@app.callback(invoke_without_command=True)
def conflicts(ctx: typer.Context) -> Answer | None:
    """List the fields in clash, or settle one."""
    return _listed(ctx.obj, None, None, 20) if ctx.invoked_subcommand is None else None


@app.command("list")
def list_(ctx: typer.Context, flow: OfFlow = None, *, record: Record = None, limit: Limit = 20, whole: Whole = False) -> Answer:
    """List the fields in clash, with what each system says. Reads the store only."""
    return _listed(ctx.obj, flow, record, None if whole else limit)


@app.command()
def settle(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(help="The clash's id, as the list shows it.")],
    *,
    take: Annotated[str | None, typer.Option(help="Whose value holds: a connection or a role.")] = None,
    value: Annotated[str | None, typer.Option(help="Another value; an empty one clears the field.")] = None,
) -> Answer:
    """Say which value holds. The systems get it with the next sync."""
    session: Session = ctx.obj
    settings = session.settings()
    from erpcrm_bridge.cli.stores import to_act
    from erpcrm_bridge.cli.typed import typed
    from erpcrm_bridge.errors import UsageError
    from erpcrm_bridge.sync.desk import settle_clash

    if (take is None) == (value is None):
        raise UsageError("Say which value holds.", way_out="--take CONNECTION, or --value VALUE")
    with to_act(settings, id=id) as store:
        row = store.parked_by_id(id)
        own = typed(row.entity, row.field or "", value) if row is not None and value is not None else None
        row = settle_clash(store, id, take=take, value=own, person=session.person)

    def show(out: Output) -> None:
        out.line(f"Settled: {row.entity} {row.golden_id} {row.field} takes {f'the value of {take}' if take else 'a value of its own'}.")
        out.hint(f"Next: erpcrm-bridge sync {row.flow}")

    return Answer({"id": id, "flow": row.flow, "golden_id": row.golden_id, "field": row.field, "took": take}, show)


def _listed(session: Session, flow: str | None, record: str | None, limit: int | None) -> Answer:
    settings = session.settings()
    name = session.flow(flow) if flow else None
    from erpcrm_bridge.cli.listing import clashes
    from erpcrm_bridge.cli.stores import to_read

    with to_read(settings) as store:
        found = clashes(store, name, record)
    shown = found[:limit]
    return Answer({"total": len(found), "clashes": shown}, lambda out: _show(out, shown, len(found)))


def _show(out: Output, found: list[dict[str, Any]], total: int) -> None:
    from erpcrm_bridge.cli import words

    if not total:
        out.line("No field is in clash.")
        return
    rows = [
        (row["id"], row["record"], row["field"], "\n".join(f"{c['by']}: {words.value(c['values'])}" for c in row["candidates"]))
        for row in found
    ]
    out.table(("id", "record", "field", "what they say"), rows, whole=["id", "what they say"])
    if len(found) < total:
        out.hint(f"… and {total - len(found):,} more: erpcrm-bridge conflicts list --all")
    if found:
        out.hint(f"Settle: erpcrm-bridge conflicts settle {found[0]['id']} --take {found[0]['candidates'][0]['by']}")
