"""See what is parked, and decide what becomes of it."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from erpcrm_bridge.cli.options import OfFlow, Record, Whole
from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import Session, complete_flow

if TYPE_CHECKING:
    from erpcrm_bridge.store import ParkedRow

app = typer.Typer(name="parked", add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})
Id = Annotated[str, typer.Argument(help="The id, as the list shows it.")]


class Kind(StrEnum):
    """What may be parked; clashes are listed by `conflicts`."""

    review = "review"
    field = "field"
    record = "record"
    row = "row"
    waiting = "waiting"
    missing = "missing"
    intention = "intention"


@app.callback(invoke_without_command=True)
def parked(ctx: typer.Context) -> Answer | None:
    """List what is parked, or decide what becomes of it."""
    return _listed(ctx.obj, None, None, None, 20) if ctx.invoked_subcommand is None else None


@app.command("list")
def list_(
    ctx: typer.Context,
    flow: OfFlow = None,
    *,
    kind: Annotated[Kind | None, typer.Option(help="Only what is parked for this.")] = None,
    record: Record = None,
    limit: Annotated[int, typer.Option(min=0, help="Show so many.")] = 20,
    whole: Whole = False,
) -> Answer:
    """List what is parked, and why. Reads the store only."""
    return _listed(ctx.obj, flow, kind, record, None if whole else limit)


@app.command()
def retry(ctx: typer.Context, id: Id) -> Answer:
    """Let it be tried again by the next sync."""
    session: Session = ctx.obj
    settings = session.settings()
    from erpcrm_bridge.cli.stores import to_act
    from erpcrm_bridge.sync import desk

    with to_act(settings, id=id) as store:
        row = desk.retry(store, id)
    return _decided(row, "It is tried again by the next sync.")


@app.command()
def bind(ctx: typer.Context, id: Id, golden: Annotated[str, typer.Argument(help="The golden record that it is: its id.")]) -> Answer:
    """Say that a record in review is this golden record."""
    session: Session = ctx.obj
    from erpcrm_bridge.sync import desk
    from erpcrm_bridge.work import at_work

    with at_work(session.settings(), _flow_of(session, id)) as (flow, store, _):
        row = desk.bind(store, flow, id, golden, person=session.person)
    return _decided(row, f"It is {golden}.")


@app.command()
def new(ctx: typer.Context, id: Id) -> Answer:
    """Say that a record in review is a thing of its own."""
    session: Session = ctx.obj
    from erpcrm_bridge.sync import desk
    from erpcrm_bridge.work import at_work

    with at_work(session.settings(), _flow_of(session, id)) as (flow, store, _):
        row = desk.found_new(store, flow, id, person=session.person)
    return _decided(row, "It is a thing of its own.")


class Then(StrEnum):
    """What becomes of the copies of a deleted record."""

    keep = "keep"
    archive = "archive"
    delete = "delete"
    merge = "merge"


@app.command()
def gone(ctx: typer.Context, id: Id, then: Annotated[Then, typer.Argument(help="What becomes of its copies.")]) -> Answer:
    """Say what a record's delete means for its copies; `merge` follows it into the record that it was merged into."""
    session: Session = ctx.obj
    settings = session.settings()
    from erpcrm_bridge.cli.stores import to_act
    from erpcrm_bridge.sync import desk

    with to_act(settings, id=id) as store:
        row = desk.after_delete(store, id, then=then.value, person=session.person)
    said = {
        "keep": "Its copies stay.",
        "archive": "Its copies are archived.",
        "delete": "Its copies are deleted.",
        "merge": "Its copies follow.",
    }
    return _decided(row, said[then.value])


@app.command()
def release(ctx: typer.Context, flow: Annotated[str, typer.Argument(help="Whose brakes.", autocompletion=complete_flow)]) -> Answer:
    """Release the brakes of a flow. Look at its plan first."""
    session: Session = ctx.obj
    name = session.flow(flow)
    from erpcrm_bridge.cli.stores import to_act
    from erpcrm_bridge.cli.words import count
    from erpcrm_bridge.sync import brake

    with to_act(session.settings(), flow=name) as store:
        released = brake.release(store, name, person=session.person)

    def show(out: Output) -> None:
        out.line(f"{count(released, 'brake')} of {name} released." if released else f"No brake of {name} was on.")
        out.hint(f"Next: erpcrm-bridge sync {name}")

    return Answer({"flow": name, "released": released}, show)


def _flow_of(session: Session, id: str) -> str:
    """Return the flow in which something is parked. Raises UsageError where nothing has that id."""
    from erpcrm_bridge.cli.stores import to_read
    from erpcrm_bridge.errors import UsageError

    with to_read(session.settings()) as store:
        row = store.parked_by_id(id)
    if row is None:
        raise UsageError(f"Nothing open has the id {id}.", way_out="erpcrm-bridge parked lists what is.")
    return session.flow(row.flow)


def _decided(row: ParkedRow, said: str) -> Answer:
    def show(out: Output) -> None:
        out.line(f"{row.entity} {row.key or row.golden_id or row.id}: {said}")
        out.hint(f"Next: erpcrm-bridge sync {row.flow}")

    return Answer({"id": row.id, "flow": row.flow, "entity": row.entity, "key": row.key, "golden_id": row.golden_id}, show)


def _listed(session: Session, flow: str | None, kind: Kind | None, record: str | None, limit: int | None) -> Answer:
    settings = session.settings()
    name = session.flow(flow) if flow else None
    from erpcrm_bridge.cli.listing import parked as listed
    from erpcrm_bridge.cli.stores import stream_names, to_read

    with to_read(settings) as store:
        found = listed(store, name, [kind.value] if kind else [one.value for one in Kind], record, stream_names(settings, store))
    counts = dict(Counter(row["kind"] for row in found))
    shown = found[:limit]
    return Answer({"counts": counts, "total": len(found), "parked": shown}, lambda out: _show(out, shown, counts))


def _show(out: Output, found: list[dict[str, Any]], counts: dict[str, int]) -> None:
    from erpcrm_bridge.cli import words

    total = sum(counts.values())
    if not total:
        out.line("Nothing is parked.")
        return
    out.line(f"{words.waits(counts)}:")
    out.table(("id", "kind", "why"), [_row(row) for row in found], whole=["id", "kind"])
    if len(found) < total:
        out.hint(f"… and {total - len(found):,} more: erpcrm-bridge parked list --all, or --kind review")
    review = next((row for row in found if row["kind"] == "review" and row["error"] not in ("deleted", "undone")), None)
    if review:
        out.hint(f"Decide: erpcrm-bridge parked bind {review['id']} GOLDEN, or erpcrm-bridge parked new {review['id']}")
    elif deleted := next((row for row in found if row["error"] == "deleted"), None):
        out.hint(f"Decide: erpcrm-bridge parked gone {deleted['id']} keep, or archive, delete, merge")
    elif all(row["kind"] == "waiting" for row in found):
        out.hint("They go by themselves when what they wait for has come.")
    elif found:
        out.hint(f"Try again: erpcrm-bridge parked retry {found[0]['id']}")


def _other(other: dict[str, Any]) -> str:
    named = other.get("golden") or f"{other.get('connection', '')} {other.get('key', '')}".strip()
    alike = f" {other['score']} % alike" if "score" in other else ""
    return named + alike + (f" {other['related']} in common" if "related" in other else "")


def _row(row: dict[str, Any]) -> tuple[str, str, str]:
    others = [_other(other) for other in row["others"]]
    return row["id"], row["kind"], row["reason"] + (f" ({', '.join(others)})" if others else "")
