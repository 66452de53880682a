"""Records that are gone, and such as come back (L8)."""

from __future__ import annotations

from collections.abc import Container, Sequence

from erpcrm_bridge.mapping import Refs
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.store import GoldenRow, LinkRow, ParkedRow, Store
from erpcrm_bridge.sync.batch import Batch, Member, Work
from erpcrm_bridge.sync.decide import UNREADABLE, is_dirty
from erpcrm_bridge.sync.flow import Flow, Side
from erpcrm_bridge.sync.merge import Change, Merged, Saying, author_of
from erpcrm_bridge.sync.notes import RunNote, parked_row

ON_DELETE = "rule:on_delete"
"""The author of what a delete elsewhere has made of a record."""
_STATUS = ("status",)


def is_owed(golden: GoldenRow, member: Member, refs: Refs) -> bool:
    """Tell whether a system that deleted a record had not been told all of golden: an edit elsewhere that it did not know of."""
    link, mapping = member.link, member.side.mapping
    if not link.dirty or not link.held:
        return link.dirty
    unread = {path: golden.fields.get(path) for path, why in link.held.items() if why == UNREADABLE}
    return is_dirty(golden.fields, link, mapping, {**mapping.get(link.base or {}, refs, []), **unread})


def leave_gone(
    flow: Flow,
    run: RunNote,
    work: Work,
    gone: list[Member],
    merged: Merged,
    batch: Batch,
    links: list[LinkRow],
    edited: bool,
) -> None:
    """A record that is gone in its system: its link stays as a tombstone; what that does elsewhere is the entity's ``on_delete`` (L8)."""
    golden = work.golden
    policies = flow.policies[golden.entity]
    rule = policies.rules.on_delete
    gone_ids = {member.link.id for member in gone}
    left = [link for link in links if link.id not in gone_ids]
    others = [link for link in left if link.state == "live"]
    edited = edited or any(link.dirty for link in others)
    if all(link.state in ("wanted", "tombstone") for link in left):  # deleted before it was delivered
        want_no_more(left, batch)
    copies = {link.stream_id: link for link in left if link.state == "alias"}
    for member in gone:
        link, row = member.link, member.incoming
        was = link.state
        batch.close.extend((f"missing:{link.id}", f"blocked:{link.id}", f"record:{link.id}", f"record:{link.stream_id}:{link.key}"))
        batch.close.extend(f"field:{link.id}:{path}" for path in link.held)
        link.state, link.dirty, link.pending, link.held = "tombstone", False, [], {}
        batch.update_links.append(link)
        batch.done(row)
        if was == "tombstone":
            continue
        run.counts["gone"] += 1
        copy = copies.get(link.stream_id)
        if copy is not None and row.merged_into in (None, copy.key):
            del copies[link.stream_id]
            take_its_place(copy)
            batch.update_links.append(copy)
            batch.unread.append(copy)
            continue
        if not others:
            continue
        side = member.side
        asked = rule == "ask" or edited
        if asked or row.merged_into:
            why = (
                "was merged into " + row.merged_into
                if row.merged_into
                else "was deleted" + (" while it was edited elsewhere" if edited else "")
            )
            batch.park.append(_gone_row(run, golden, side, link, why, others, row.merged_into))
        elif rule == "archive":
            if "status" in entity_spec(golden.entity).fields and golden.fields.get("status") != "archived":
                merged.changes.append(Change(_STATUS, (golden.fields.get("status"),), ("archived",), ON_DELETE, "", "on_delete: archive"))
                merged.fields["status"] = "archived"
        elif rule == "delete" and not entity_spec(golden.entity).money_document:
            golden.state = "gone"
            batch.dirty.update(other.id for other in others)
            want_no_more(left, batch)


def ask_no_more(store: Store, left: Sequence[LinkRow], batch: Batch) -> None:
    """Where no copy is left, close what asks what a delete means for the copies; who was merged into another one is still to follow."""
    if all(link.state in ("wanted", "tombstone") for link in left):
        asked = store.parked(subjects=[f"gone:{link.id}" for link in left], limit=len(left)) if left else []
        batch.close.extend(row.subject for row in asked if not row.data["merged_into"])


def take_its_place(copy: LinkRow) -> None:
    """Where one of two copies goes, its system still holds the record: the other copy, of which nothing was merged so far, is to be read
    and merged from now on."""
    copy.state, copy.base, copy.rules = "live", None, ""
    copy.dirty, copy.answered, copy.held, copy.pending, copy.line_keys = False, {}, {}, [], {}


def no_longer_archived(
    store: Store, golden: GoldenRow, sayings: Sequence[Saying], merged: Merged, frozen: Container[tuple[str, ...]]
) -> None:
    """What a delete had archived, and nobody said anything of since, is what it was before when the record comes back, or what it says
    now (L8)."""
    if _STATUS in frozen or (author_of("status", golden.authors) or [""])[0] != ON_DELETE:
        return
    told = [saying for saying in sayings if "status" in saying.moved]
    rows = store.histories([golden.id]).get(golden.id, [])
    before = next((row.data["fields"]["status"][0] for row in reversed(rows) if row.data.get("by", {}).get("status") == ON_DELETE), None)
    values = {saying.said.get("status") for saying in told} or {before}
    if len(values) > 1:
        return  # a person is asked
    by = told[0] if told else sayings[0]
    merged.changes = [change for change in merged.changes if change.unit != _STATUS]
    merged.clashes = [clash for clash in merged.clashes if tuple(clash.unit) != _STATUS]
    merged.changes.append(Change(_STATUS, ("archived",), (*values,), by.by, by.version, "it has come back"))
    merged.fields["status"] = values.pop()


def want_no_more(links: list[LinkRow], batch: Batch) -> None:
    """What is gone is not created any more where it was still to be."""
    for link in links:
        if link.state == "wanted":
            link.state, link.dirty = "tombstone", False
            batch.update_links.append(link)
            batch.close.extend((f"blocked:{link.id}", f"record:{link.id}"))


def _gone_row(
    run: RunNote, golden: GoldenRow, side: Side, link: LinkRow, why: str, others: list[LinkRow], merged_into: str | None = None
) -> ParkedRow:
    return parked_row(
        run,
        "review",
        f"gone:{link.id}",
        golden.entity,
        golden_id=golden.id,
        stream_id=link.stream_id,
        key=link.key,
        error="deleted",
        reason=f"{side.connection} {side.stream.name} {link.key} {why}; the other systems keep theirs until a person decides",
        data={"others": [{"link": other.id, "key": other.key} for other in others], "merged_into": merged_into},
    )


def revive(flow: Flow, run: RunNote, work: Work, links: list[LinkRow], batch: Batch) -> None:
    """A deleted record came back, or one that was about to be deleted after it was edited: the golden record lives on.

    Where it came back it is wanted again in the systems that a rule had it deleted from, and where it was never delivered; where it was
    edited, a person says what the delete means.
    """
    golden, was_gone = work.golden, work.golden.state == "gone"
    golden.state = "live"
    here = {member.link.id for member in work.members}
    others = [link for link in links if link.state == "live"]
    batch.close.extend(f"record:{link.id}" for link in others if "*" not in link.held)  # a delete that waits goes no more
    stands = {member.link.stream_id for member in work.members} | {link.stream_id for link in links if link.state != "tombstone"}
    for link in links:
        side = flow.side(link.stream_id, link.entity)
        if link.id in here or link.state != "tombstone" or side is None:
            continue
        if not work.restored:
            batch.park.append(_gone_row(run, golden, side, link, "was deleted while it was edited elsewhere", others))
        elif side.create and (was_gone or link.key is None) and link.stream_id not in stands:
            stands.add(link.stream_id)
            if link.key is None:
                link.state, link.dirty = "wanted", True
                batch.update_links.append(link)
            else:  # the tombstone still tells whom a reference to its key meant
                batch.add_links.append(LinkRow(run.link_ids.new(), golden.id, link.entity, link.stream_id, None, "wanted", True))
