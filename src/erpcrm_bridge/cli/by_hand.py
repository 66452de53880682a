"""What link, unlink and unmerge share: show what it comes to, ask, do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from erpcrm_bridge.cli.exit_codes import DONE, FAILED
from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import Session, complete_flow

if TYPE_CHECKING:
    from erpcrm_bridge.sync.binding import Deed

Named: TypeAlias = Annotated[str, typer.Argument(help="A record: KEY, or CONNECTION:KEY.")]
OfFlow: TypeAlias = Annotated[
    str | None, typer.Option("--flow", help="In which flow.", show_default="the only one", autocompletion=complete_flow)
]
OfEntity: TypeAlias = Annotated[str | None, typer.Option("--entity", help="Of which entity, where a key is that of several.")]
Plan: TypeAlias = Annotated[bool, typer.Option("--plan", help="Only show what it would come to.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def carried_out(
    session: Session,
    what: Literal["link", "unlink", "unmerge"],
    *records: str,
    flow: str | None,
    entity: str | None,
    plan: bool,
    yes: bool,
) -> Answer:
    """Show what it comes to with these records and, unless only that was asked for, do it once a person agrees."""
    name = session.flow(flow)
    settings = session.settings()
    from msgspec.structs import asdict

    from erpcrm_bridge.sync import binding
    from erpcrm_bridge.work import at_work

    act: Callable[..., Deed] = getattr(binding, what)
    out = session.output
    with at_work(settings, name) as (opened, store, _):

        def deed_of(*, do: bool) -> Deed:
            places = (binding.place(opened, store, record, entity) for record in records)
            return act(opened, store, *places, person=session.person, do=do)

        deed = deed_of(do=False)
        if not plan:
            for line in deed.says:
                out.line(line)
            agreed = yes or out.confirm("Do it?", option="--yes")
            deed = deed_of(do=True) if agreed else deed
    done = not plan and agreed

    def show(out: Output) -> None:
        if plan:
            for line in deed.says:
                out.line(line)
        elif done:
            out.line("Done. It is written to no system before the next sync.")
            out.hint(f"Take it back: {deed.back}")
            out.hint(f"Next: erpcrm-bridge plan {name}")
        else:
            out.error("Nothing was done.")

    return Answer({"flow": name, "done": done, **asdict(deed)}, show, DONE if done or plan else FAILED)
