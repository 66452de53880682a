"""Tell how a record, or one field of it, came to be what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from erpcrm_bridge.cli.output import Answer, Output
from erpcrm_bridge.cli.session import Session

if TYPE_CHECKING:
    from erpcrm_bridge.sync.explain import Explained, FieldStory


def command(
    ctx: typer.Context,
    record: Annotated[str, typer.Argument(help="A golden id, a KEY, or CONNECTION:KEY.")],
    field: Annotated[str | None, typer.Argument(help="One field of it, e.g. email.", show_default="the whole record")] = None,
) -> Answer:
    """Tell which system said a field, when, by which rule, what it replaced, and what lost. Reads the store only."""
    session: Session = ctx.obj
    settings = session.settings()
    from msgspec.structs import asdict

    from erpcrm_bridge.cli.stores import connections_by_system, to_read
    from erpcrm_bridge.sync.explain import explain, field_story, find_record

    with to_read(settings) as store:
        found = explain(store, find_record(store, record), connections_by_system(settings, store), settings.flows)
    if field is None:
        return Answer(_told(found), lambda out: _show(out, found))
    story = field_story(found, field)
    paused = [asdict(one) for one in found.paused if one.field == field]
    data = {"golden_id": found.golden.id, "entity": found.golden.entity, **asdict(story), "paused": paused}
    return Answer(data, lambda out: _show_story(out, found, story))


def _told(found: Explained) -> dict[str, Any]:
    from msgspec.structs import asdict

    from erpcrm_bridge.sync.merge import author_of

    golden = found.golden
    return {
        "golden_id": golden.id,
        "entity": golden.entity,
        "record": found.label,
        "state": golden.state,
        "fields": {
            path: {"value": value, "by": (author_of(path, golden.authors) or [""])[0]} for path, value in sorted(golden.fields.items())
        },
        "copies": [asdict(copy) for copy in found.copies],
        "open": [{"id": row.id, "kind": row.kind, "field": row.field, "reason": row.reason, "since": row.opened_at} for row in found.open],
        "paused": [asdict(one) for one in found.paused],
        "history": [{"at": row.at, "run": row.run, **row.data} for row in found.history],
    }


def _show(out: Output, found: Explained) -> None:
    from erpcrm_bridge.cli import telling, words
    from erpcrm_bridge.sync.merge import author_of

    golden = found.golden
    out.line(f"{golden.entity} {golden.id} {found.label}" + ("" if golden.state == "live" else " (gone)"))
    states = [
        (
            copy.connection,
            copy.stream,
            copy.key or "—",
            copy.state + (", to be written" if copy.dirty else ""),
            ", ".join([*copy.held, *copy.pending]),
        )
        for copy in found.copies
    ]
    out.table(("connection", "stream", "key", "state", "held or pending"), states, whole=["key"])
    rows = []
    for path, value in sorted(golden.fields.items()):
        author = author_of(path, golden.authors) or ["", "", ""]
        if value is not None:
            rows.append((path, words.value(value), author[0], author[2]))
    out.table(("field", "value", "said by", "in run"), rows)
    for one in found.paused:
        out.line(f"Paused in {one.connection} {one.stream}: {one.field} ({one.why})")
    for row in found.open:
        out.line(f"Open: {row.id} {row.reason}")
    telling.history(out, found.history)
    out.hint(f"One field: erpcrm-bridge explain {golden.id} FIELD")


def _show_story(out: Output, found: Explained, story: FieldStory) -> None:
    from erpcrm_bridge.cli import telling, words

    out.line(f"{found.golden.entity} {found.golden.id} {found.label}: {story.path} is {words.value(story.value, 200)}")
    if story.by:
        out.line(f"Said by {story.by} in run {story.run}.")
    for event in story.events:
        out.line(f"{words.when(event['at'])}  {telling.event(event)}")
    for one in found.paused:
        if one.field == story.path:
            out.line(f"Paused in {one.connection} {one.stream}: {one.why}")
    for row in found.open:
        if story.path in (row.field or "").split("+"):
            out.line(f"Open: {row.id} {row.reason}")
            if row.kind == "clash":
                out.hint(f"Settle: erpcrm-bridge conflicts settle {row.id} --take CONNECTION")
