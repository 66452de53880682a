"""What moved in a system, and what that means for the mappings that use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from erpcrm_bridge.cli.mappings import users_of
from erpcrm_bridge.connector import Capabilities, Description, Field, Stream
from erpcrm_bridge.mapping.check import Against
from erpcrm_bridge.mapping.drift import drift
from erpcrm_bridge.model.ids import Ids
from erpcrm_bridge.store import GoldenRow, open_store

from .conftest import Spec

RULES = """
  name: {external: Name, required: true}
  status: {external: Active, via: [{map: {pairs: {Yes: active, No: inactive}}}]}
  tax_id: {external: Vat}
  credit_limit: {external: Limit, via: [{money: {currency: EUR}}]}
  payment_terms: {external: Terms, via: [{code: {of: term}}]}
  website: {external: Web, direction: to_canonical}
"""
FIELDS = {
    "Id": Field("Id", creatable=False, updatable=False),
    "Bridge": Field("Bridge"),
    "Name": Field("Name", length=80, required=True),
    "Active": Field("Active", "choice", choices=("Yes", "No", "Old"), restricted=True),
    "Vat": Field("Vat", length=15),
    "Limit": Field("Limit", "number", precision=18, scale=2),
    "Terms": Field("Terms"),
    "Web": Field("Web", length=100),
    "Unused": Field("Unused", length=9),
}
TERMS = {"term": {"1": "Net 30", "2": "Net 45"}}


def moved(spec: Spec, codes: Any = None, gone: tuple[str, ...] = (), **changes: Field) -> list[tuple[str, str, str]]:
    def described(fields: dict[str, Field], tables: dict[str, dict[str, str]]) -> Description:
        return Description("S1", {"Account": Stream("Account", fields, Capabilities())}, tables)

    now = {name: field for name, field in (FIELDS | changes).items() if name not in gone}
    one = spec(RULES, connector="memory", stream="Account")
    found = drift(Against("crm", described(FIELDS, TERMS)), described(now, codes or TERMS), [one])
    assert all(each.mappings == (one.name,) for each in found)
    return [(each.level, each.field, each.what) for each in found]


def changed(name: str, **change: Any) -> dict[str, Field]:
    return {name: msgspec.structs.replace(FIELDS[name], **change)}


def test_what_did_not_move_is_no_drift(spec: Spec) -> None:
    assert moved(spec) == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (changed("Active", choices=("Yes", "No", "Old", "Maybe")), ("WARN", "Active", "picklist + Maybe")),
        (changed("Active", choices=("Yes", "Old")), ("BREAK", "Active", "picklist - No")),
        (changed("Active", choices=("Yes", "No")), ("WARN", "Active", "picklist - Old")),
        (changed("Vat", length=12), ("LOSSY", "Vat", "length 15 -> 12")),
        (changed("Limit", precision=15), ("LOSSY", "Limit", "precision 18 -> 15")),
        (changed("Limit", scale=0), ("LOSSY", "Limit", "scale 2 -> 0")),
        (changed("Vat", updatable=False), ("BREAK", "Vat", "no longer updateable")),
        (changed("Vat", creatable=False), ("BREAK", "Vat", "no longer createable")),
        (changed("Web", readable=False), ("BREAK", "Web", "no longer readable")),
        (changed("Vat", required=True), ("BREAK", "Vat", "now required")),
        (changed("Limit", type="text"), ("BREAK", "Limit", "type number -> text")),
        ({"Tier": Field("Tier", required=True)}, ("BREAK", "Tier", "added, required")),
        (changed("Unused", required=True), ("BREAK", "Unused", "now required")),
    ],
)
def test_what_moved_is_told_with_what_it_means(spec: Spec, changes: dict[str, Field], found: tuple[str, str, str]) -> None:
    assert moved(spec, **changes) == [found]


def test_a_removed_field_breaks_and_what_no_mapping_uses_is_no_matter(spec: Spec) -> None:
    assert moved(spec, gone=("Web",)) == [("BREAK", "Web", "removed")]
    assert moved(spec, gone=("Unused",)) == []
    assert moved(spec, **changed("Unused", length=1), **{"Other": Field("Other")}) == []
    assert moved(spec, **changed("Web", updatable=False, length=5)) == []


def test_codes_that_came_went_or_mean_another_are_told_worst_first(spec: Spec) -> None:
    assert moved(spec, {"term": {"1": "Net 45", "3": "Net 60"}, "currency": {"9": "EUR"}}) == [
        ("BREAK", "code term", "- Net 30"),
        ("BREAK", "code term", "Net 30 is now Net 45"),
        ("WARN", "code term", "+ Net 60"),
    ]


def test_a_stream_that_is_gone_breaks(spec: Spec) -> None:
    one = spec(RULES, connector="memory", stream="Account")
    there = Description("S1", {"Account": Stream("Account", FIELDS, Capabilities())}, TERMS)
    (found,) = drift(Against("crm", there), Description("S1", {}, TERMS), [one])
    assert (found.level, found.stream, found.what) == ("BREAK", "Account", "the stream is gone")


def test_a_move_that_is_no_longer_offered_breaks(spec: Spec) -> None:
    rules = "\n  state: {external: Phase, via: [{map: {pairs: {D: draft, C: confirmed}}}], moves: {draft: [confirmed]}}\n"
    one = spec(rules, entity="order", connector="memory", stream="Order")

    def described(*ends: str) -> Description:
        moves = Capabilities(moves={"Phase": {"draft": ends}})
        return Description("S1", {"Order": Stream("Order", {**FIELDS, "Phase": Field("Phase")}, moves)})

    (found,) = drift(Against("crm", described("confirmed")), described(), [one])
    assert (found.level, found.what) == ("BREAK", "no longer moves from draft to confirmed")
    assert drift(Against("crm", described("confirmed")), described("confirmed", "cancelled"), [one]) == []


def test_a_mapping_that_names_more_than_was_pinned_is_told_and_hides_nothing_else(spec: Spec) -> None:
    then = Description("S1", {"Account": Stream("Account", FIELDS, Capabilities())}, TERMS)
    now = Description("S1", {"Account": Stream("Account", FIELDS | {"New": Field("New")}, Capabilities())}, TERMS)
    one = spec(RULES + "  phone: {external: New}\n", connector="memory", stream="Account")
    (found,) = drift(Against("crm", then), now, [one])
    assert (found.level, found.mappings) == ("WARN", (one.name,))
    assert "pinned anew" in found.what


def test_the_golden_records_that_hold_a_code_are_counted_lines_too(spec: Spec, tmp_path: Path) -> None:
    customers = spec(RULES, connector="memory", stream="Account")
    unit = "fields: {unit: {external: u, via: [{code: {of: term}}]}}"
    lines = f"lists: {{lines: {{inline: items, key: line, write: keyed, {unit}}}}}"
    orders = spec("\n  payment_terms: {external: Terms, via: [{code: {of: other}}]}\n", entity="order", connector="memory", more=lines)
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    rows = [
        ("customer", "live", {"payment_terms": "Net 45"}),
        ("customer", "live", {"payment_terms": "Net 30", "name": "Net 45"}),
        ("customer", "gone", {"payment_terms": "Net 45"}),
        ("contact", "live", {"payment_terms": "Net 45"}),
        ("order", "live", {"payment_terms": "Net 45", "lines": [{"id": "a", "unit": "x"}]}),
        ("order", "live", {"lines": [{"id": "a", "unit": "x"}, {"id": "b", "unit": "Net 45"}, {"id": "c", "unit": "Net 45"}]}),
    ]
    ids = Ids("G")
    with store.transaction():
        store.add_golden([GoldenRow(ids.new(), entity, fields, {}, state=state) for entity, state, fields in rows])
    assert users_of(store, [customers, orders], "term", "Net 45") == 2
    assert users_of(store, [orders], "other", "Net 45") == 1
    store.close()


def test_another_system_than_the_one_pinned_is_told_and_not_compared(spec: Spec) -> None:
    one = spec(RULES, connector="memory", stream="Account")
    there = Description("S1", {"Account": Stream("Account", FIELDS, Capabilities())}, TERMS)
    (found,) = drift(Against("crm", there), Description("S2", {}, {}), [one])
    assert (found.level, "another system was pinned (S1)" in found.what) == ("WARN", True)
