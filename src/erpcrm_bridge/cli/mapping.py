"""Check mappings, run their tests, and show what they do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from erpcrm_bridge.cli.exit_codes import DONE, FAILED
from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import Session

if TYPE_CHECKING:
    from erpcrm_bridge.cli.mappings import Checked, Tried

app = typer.Typer(name="mapping", add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})
Name = Annotated[str | None, typer.Argument(help="The mapping, as in customer/csv-dataloader.", show_default="all that flows use")]


@app.callback()
def mapping() -> None:
    """Check mappings, run their tests, and show what they do."""


@app.command()
def check(
    ctx: typer.Context,
    name: Name = None,
    *,
    examples: Annotated[int, typer.Option(min=1, help="How many values each law is tried with.")] = 60,
    laws: Annotated[bool, typer.Option("--laws/--no-laws", help="Try the laws (needs the extra `check`).")] = True,
    sample: Annotated[int, typer.Option(min=0, help="Try so many records of each system too; no value is printed.")] = 0,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no system: hold mappings against mappings.lock.")] = False,
) -> Answer:
    """Hold mappings against their systems and try their laws. Nothing is written."""
    session: Session = ctx.obj
    settings = session.settings(for_systems=not offline)
    from erpcrm_bridge.cli.mappings import check

    with session.output.progress("Checking") as advance, _nothing_kept():
        checked = check(settings, name, examples if laws else 0, sample, advance, offline=offline)
    data = {
        "mappings": [
            {
                "name": one.name,
                "connection": one.connection,
                "pinned": one.pinned,
                "findings": [_plain(finding) for finding in one.findings],
                "sample": one.sample and _sampled(one.sample),
            }
            for one in checked
        ]
    }
    return Answer(data, lambda out: _show(checked, out), FAILED if any(one.wrong for one in checked) else DONE)


@contextmanager
def _nothing_kept() -> Iterator[None]:
    """Let Hypothesis lay its table of characters elsewhere than in the folder that the command is called in."""
    with TemporaryDirectory() as folder:
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", folder)
        yield


@app.command("test")
def run_tests(ctx: typer.Context, name: Name = None) -> Answer:
    """Run the tests that stand in mappings. No system is asked."""
    session: Session = ctx.obj
    settings = session.settings()
    from erpcrm_bridge.cli.mappings import tried_tests

    tried = tried_tests(settings, name)
    failed = [one for one in tried if one.wrong]
    data = {"tests": [{"mapping": one.mapping, "test": one.test, "wrong": one.wrong} for one in tried], "failed": len(failed)}
    return Answer(data, lambda out: _show_tests(tried, out), FAILED if failed else DONE)


@app.command()
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The mapping, as in customer/csv-dataloader.")],
    *,
    code: Annotated[bool, typer.Option("--code", help="Show the functions made from it.")] = False,
) -> Answer:
    """Show the rules of a mapping, or the code made from them."""
    session: Session = ctx.obj
    settings = session.settings()
    from erpcrm_bridge.cli.mappings import shown

    compiled, rules = shown(settings, name)
    sources = {"": compiled.source, **{one.name: one.source for one in compiled.lists.values()}}
    data: dict[str, Any] = {"name": compiled.name, "stream": compiled.stream, "connector": compiled.connector, "rules": rules}
    if code:
        data["code"] = sources

    def say(out: Output) -> None:
        if code:
            for one, made in sources.items():
                for direction, text in made.items():
                    out.line(f"# {compiled.name}{f' {one}' if one else ''} {direction}")
                    out.line(text.rstrip())
            return
        out.line(f"{compiled.name}: {compiled.connector} {compiled.stream}")
        columns = ("canonical", "", "external", "through")
        out.table(columns, [[", ".join(r["canonical"]), r["way"], ", ".join(r["external"]), " ".join(r["via"])] for r in rules])

    return Answer(data, say)


@app.command()
def schema(
    ctx: typer.Context,
    system: Annotated[str, typer.Argument(help="A connection to the system, or its connector; alone: an entity.")],
    stream: Annotated[str | None, typer.Argument(help="The stream, as the system names it.", show_default="the entity's own file")] = None,
) -> Answer:
    """Write a schema for editors: of a mapping, with the names that the system has, or of an entity.yaml."""
    session: Session = ctx.obj
    settings = session.settings()
    from erpcrm_bridge.cli.mappings import write_entity_schema, write_schema

    made, path = write_schema(settings, system, stream) if stream is not None else write_entity_schema(settings, system)
    first = f"# yaml-language-server: $schema={path}"

    def say(out: Output) -> None:
        out.line(f"Wrote .erpcrm-bridge/{path.rpartition('/')[2]}")
        out.hint(f"First line of the {'mapping' if stream is not None else 'entity.yaml'}: {first}")

    return Answer({"file": path, "first_line": first, "schema": made}, say)


@app.command()
def lock(ctx: typer.Context) -> Answer:
    """Pin what overlays extend, and how the systems look now, in mappings.lock."""
    session: Session = ctx.obj
    settings = session.settings()
    from erpcrm_bridge.cli.mappings import pin

    file, extended, systems = pin(settings)

    def say(out: Output) -> None:
        out.line(f"Wrote {file}: {_count(len(systems), 'system')}{''.join(f', {name}' for name in extended)}")
        out.hint("Keep it beside config.yaml, under version control.")

    return Answer({"file": file, "extended": extended, "systems": systems}, say)


@app.command()
def drift(ctx: typer.Context) -> Answer:
    """Show what moved in the systems since `mapping lock`. Nothing is written."""
    session: Session = ctx.obj
    settings = session.settings()
    from erpcrm_bridge.cli.mappings import drifted

    with session.output.progress("Looking") as advance:
        found = drifted(settings, advance)
    rows = [
        {"connection": name, "level": d.level, "stream": d.stream, "field": d.field, "what": d.what, "mappings": list(d.mappings)}
        for name, drifts in found.items()
        for d in drifts
    ]

    def say(out: Output) -> None:
        if rows:
            columns = ("level", "connection", "stream", "field", "what")
            out.table(columns, [[row[column] for column in columns] for row in rows], whole=["level"])
            out.hint("Correct the mappings, then: erpcrm-bridge mapping lock")
        else:
            out.line("Nothing that a mapping uses has moved.")

    return Answer({"drift": rows}, say, FAILED if any(row["level"] == "BREAK" for row in rows) else DONE)


def _plain(finding: Any) -> dict[str, Any]:
    at = finding.complaint
    return {
        "level": finding.level,
        "code": finding.code,
        "about": finding.about,
        "what": finding.text,
        "way_out": at.way_out,
        "file": at.file,
        "line": at.line,
        "column": at.column,
    }


def _sampled(sample: Any) -> dict[str, Any]:
    return {
        "records": sample.records,
        "no_records": sample.broken,
        "asleep": sample.asleep,
        "unread": [{"field": path, "transform": transform, "count": count} for (path, transform), count in sorted(sample.unread.items())],
        "changed": dict(sorted(sample.changed.items())),
        "after_last_change": dict(sorted(sample.ahead.items())),
        "never_filled": sample.never_filled,
    }


def _show(checked: list[Checked], out: Output) -> None:
    for connection, why in {one.connection: one.pinned for one in checked if one.pinned}.items():
        out.line(f"{connection} was not asked ({why})")
    for one in checked:
        out.line(f"{one.name}{f' against {one.connection}' if one.connection else ''}: {_count(len(one.findings), 'finding')}")
        if one.findings:
            out.table(("level", "code", "about", "finding"), [[f.level, f.code, f.about, f.text] for f in one.findings], whole=["code"])
        if one.sample is not None:
            out.line(f"{one.sample.records} records of {one.connection} tried; {one.sample.asleep} of them are not this mapping's.")
            if one.sample.broken:
                out.line(f"  {one.sample.broken} more cannot be read as records and would be parked")
            for (path, transform), count in sorted(one.sample.unread.items()):
                out.line(f"  {path}: {count} cannot be read{f' by {transform}' if transform else ''} and would be parked")
            for path, count in sorted(one.sample.changed.items()):
                out.line(f"  {path}: {count} would read as something else once written")
            for path, count in sorted(one.sample.ahead.items()):
                out.line(f"  {path}: {count} lie after the last change of their record: is its time zone right?")
            if one.sample.never_filled:
                out.line(f"  never filled: {', '.join(one.sample.never_filled)}")
    wrong = [finding for one in checked for finding in one.findings if finding.wrong]
    for finding in wrong:
        out.error(str(finding))
    if wrong:
        out.error(f"{_count(len(wrong), 'mistake')}. Correct the mapping, then: erpcrm-bridge mapping check")
    else:
        out.line("Nothing is wrong.")


def _show_tests(tried: list[Tried], out: Output) -> None:
    for one in tried:
        for what in one.wrong:
            out.error(f"{one.mapping}: {one.test}: {what}")
    failed = sum(bool(one.wrong) for one in tried)
    out.line(f"{_count(len(tried), 'test')}, {failed} failed.")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
