"""Join two filled systems for the first time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from erpcrm_bridge.cli.options import Whole
from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import FlowArgument, Session

if TYPE_CHECKING:
    from erpcrm_bridge.sync.adopt import Adoption
    from erpcrm_bridge.sync.review import Reviewed


def command(
    ctx: typer.Context,
    flow: FlowArgument = None,
    *,
    create: Annotated[
        list[str] | None,
        typer.Option(metavar="ENTITY", help="Also create, on the other side, what stands on one side only; repeat it for more."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Show so many steps of each kind.")] = 5,
    review: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Do what was decided in this file, if it is there, and write into it what is left to decide."),
    ] = None,
    whole: Whole = False,
) -> Answer:
    """Review the first joining of filled systems: who is who, where they differ, what would be written. Writes to no system."""
    session: Session = ctx.obj
    name = session.flow(flow)
    settings = session.settings()
    from msgspec.structs import asdict

    from erpcrm_bridge.cli import planning
    from erpcrm_bridge.sync import review as reviews
    from erpcrm_bridge.sync.adopt import adoption
    from erpcrm_bridge.sync.run import run_flow
    from erpcrm_bridge.work import at_work

    creating = _entities(create or [], settings.flows[name].entities)
    with session.output.stations() as progress, at_work(settings, name) as (opened, store, fence):
        decided = reviews.carry_out(opened, store, review, person=session.person) if review and review.exists() else reviews.Reviewed()
        report = run_flow(
            opened, store, folder=settings.folder, fence=fence, progress=progress, write=False, adopting=True, creating=creating
        )
        joined = adoption(opened, store)
        if review:
            decided.left = reviews.write_file(opened, store, review)
    made = planning.made(report, None if whole else limit)

    def show(out: Output) -> None:
        _show(out, joined)
        planning.show(out, made, whole=whole)
        if review:
            _show_review(out, review, decided)

    told = {"review": {"file": str(review), **asdict(decided)}} if review else {}
    return Answer({**planning.told(made), **_told(joined), **told}, show)


def _show_review(out: Output, review: Path, decided: Reviewed) -> None:
    from erpcrm_bridge.cli import words

    if decided.same or decided.different:
        out.line(f"Decided in {review}: {decided.same:,} same, {decided.different:,} different.")
    if decided.left:
        out.line(f"{words.count(decided.left, 'pair')} to decide in {review}.")
        out.hint(f"Write `same` or `different` into its first column, save it, and run again: erpcrm-bridge adopt --review {review}")
    else:
        out.line(f"Nothing is left to decide in {review}.")


def _entities(named: Sequence[str], there: Collection[str]) -> list[str]:
    from erpcrm_bridge.errors import UsageError

    for entity in named:
        if entity not in there:
            raise UsageError(f"The flow has no entity {entity!r}.", way_out=f"--create takes one of: {', '.join(there)}.")
    return list(dict.fromkeys(named))


def _told(adoption: Adoption) -> dict[str, Any]:
    return {
        "joined": [
            {
                "entity": one.entity,
                "bound": one.bound,
                "only": one.only,
                "wanted": one.wanted,
                "ambiguous": one.ambiguous,
                "double": one.double,
                "waiting": one.waiting,
                "parked": one.parked,
            }
            for one in adoption.joined
        ],
        "differing": [
            {"entity": one.entity, "field": one.field, "rule": one.rule or "ask", "winner": one.winner, "count": one.count}
            for one in adoption.differing
        ],
    }


def _show(out: Output, adoption: Adoption) -> None:
    from erpcrm_bridge.cli import words

    classes = (
        ("only", "only in {}"),
        ("wanted", "to be created in {}"),
        ("ambiguous", "in review: may be another one, in {}"),
        ("double", "in review: double inside {}"),
        ("waiting", "waiting for a parent, in {}"),
        ("parked", "parked, in {}"),
    )
    out.line("Who is who:")
    rows: list[tuple[str, str, str]] = []
    for one in adoption.joined:
        rows.extend((one.entity, f"bound by {how}", f"{number:,}") for how, number in one.bound.most_common())
        for name, said in classes:
            rows.extend((one.entity, said.format(place), f"{number:,}") for place, number in sorted(getattr(one, name).items()))
    out.table(("entity", "class", "records"), rows, right=["records"])
    if adoption.differing:
        out.line("Where bound records differ:")
        differing = [
            (one.entity, one.field, f"{one.count:,}", one.rule or "ask", one.winner or "a person decides") for one in adoption.differing
        ]
        out.table(("entity", "field", "records", "by rule", "wins"), differing, right=["records"])
    asked = sum(one.count for one in adoption.differing if not one.rule)
    if asked:
        out.hint(f"{words.count(asked, 'field')} will be asked: erpcrm-bridge conflicts. Fields in clash are written nowhere until then.")
