"""Say what is wrong before a run does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erpcrm_bridge.cli import words
from erpcrm_bridge.cli.exit_codes import DONE, FAILED
from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import Session, complete_flow

if TYPE_CHECKING:
    from erpcrm_bridge.cli.checking import Findings


def command(
    ctx: typer.Context,
    flow: Annotated[
        str | None, typer.Argument(help="Only what this flow uses.", show_default="everything", autocompletion=complete_flow)
    ] = None,
) -> Answer:
    """Check configuration, mappings and systems. The mappings' own tests are run; nothing is written."""
    session: Session = ctx.obj
    settings = session.settings()
    only = session.flow(flow) if flow else None
    from erpcrm_bridge.cli.checking import check

    with session.output.progress("Checking") as advance:
        findings = check(settings, only, advance)
    return Answer(
        {
            "connections": findings.connections,
            "mappings": findings.mappings,
            "complaints": [
                {"file": c.file, "line": c.line, "column": c.column, "what": c.what, "way_out": c.way_out} for c in findings.complaints
            ],
            "problems": findings.problems,
            "left_out": findings.left_out,
        },
        lambda out: _show(findings, out),
        DONE if findings.good else FAILED,
    )


def _show(findings: Findings, out: Output) -> None:
    if findings.connections:
        columns = ("connection", "connector", "system", "streams")
        out.table(columns, [[c["name"], c["connector"], c["identity"], c["streams"]] for c in findings.connections], right=["streams"])
    if findings.mappings:
        out.table(("mapping", "stream", "tests"), [[m["name"], m["stream"], m["tests"]] for m in findings.mappings], right=["tests"])
    for complaint in findings.complaints:
        out.error(str(complaint))
    for problem in findings.problems:
        out.error(f"{problem['where']}: {problem['what']}" + (f" ({problem['way_out']})" if problem["way_out"] else ""))
    for left in findings.left_out:
        out.line(f"Left out of {left['where']}: {left['what']} {left['way_out']}")
    if findings.good:
        out.line("Nothing is wrong.")
        out.hint("Next: erpcrm-bridge plan")
    else:
        count = len(findings.complaints) + len(findings.problems)
        out.error(f"{words.count(count, 'finding')}. Correct {'it' if count == 1 else 'them'}, then: erpcrm-bridge check")
