"""The merge: who changed what, whatever the order in which it is told."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpcrm_bridge.mapping import EntityRules, FieldPolicy
from erpcrm_bridge.model.values import Fields, digest
from erpcrm_bridge.sync.flow import overlay_of
from erpcrm_bridge.sync.merge import Candidate, Clash, Merged, Policies, Saying, Unit, base_means, merge, settle_by_policy, split_words

ROLES = {"crm": "crm", "erp": "erp", "shop": "shop"}
PATHS = ("name", "email", "phone", "credit_limit", "website", "payment_terms", "billing.line1", "billing.city")


@pytest.fixture(scope="module")
def customer(rules: Any) -> Policies:
    return Policies(rules("customer"))


@pytest.fixture(scope="module")
def order(rules: Any) -> Policies:
    return Policies(rules("order"))


def saying(by: str, before: Fields | None, now: Fields, **more: Any) -> Saying:
    """Return what a system says that held ``before`` and holds ``now``."""
    moved = frozenset(path for path in {*now, *(before or {})} if now.get(path) != (before or {}).get(path))
    said = {path: now.get(path) for path in {*now, *(before or {})}}
    return Saying(
        **{"by": by, "role": by, "version": "1", "said": said, "before": before, "moved": moved, "carries": lambda _: True, **more}
    )


def merged_of(golden: Fields, sayings: list[Saying], policies: Policies, **more: Any) -> Merged:
    authors = more.pop("authors", {"*": ["crm", "1", "R"]})
    return merge(golden, authors, sayings, policies, **{"roles": ROLES, "frozen": {}, **more})


def test_a_lone_move_is_accepted(customer: Policies) -> None:
    merged = merged_of({"email": "a"}, [saying("erp", {"email": "a"}, {"email": "b"})], customer)
    assert merged.fields == {"email": "b"}
    assert [(change.by, change.rule) for change in merged.changes] == [("erp", "only it moved")]


def test_two_moves_to_the_same_value_are_one(customer: Policies) -> None:
    both = [saying(by, {"email": "a"}, {"email": "b"}) for by in ("crm", "erp")]
    merged = merged_of({"email": "a"}, both, customer)
    assert merged.fields == {"email": "b"}
    assert merged.clashes == []


def test_a_move_to_what_golden_says_already_changes_nothing(customer: Policies) -> None:
    merged = merged_of({"email": "b"}, [saying("erp", {"email": "a"}, {"email": "b"})], customer)
    assert merged.changes == []
    assert merged.clashes == []


def test_a_move_on_a_base_that_did_not_mean_golden_is_a_clash_with_golden(customer: Policies) -> None:
    merged = merged_of({"email": "b"}, [saying("erp", {"email": "a"}, {"email": "c"})], customer)
    (clash,) = merged.clashes
    assert {candidate.by: candidate.values for candidate in clash.candidates} == {"erp": ["c"], "crm": ["b"]}
    assert merged.fields == {"email": "b"}


def test_who_said_golden_and_says_something_else_now_is_no_rival_of_oneself(customer: Policies) -> None:
    merged = merged_of({"email": "b"}, [saying("crm", {"email": "a"}, {"email": "c"})], customer)
    assert merged.fields == {"email": "c"}
    assert merged.clashes == []


@pytest.mark.parametrize(("before", "name"), [(None, "Acme"), ({"website": "x"}, "Another")])
def test_a_system_is_preferred_to_what_it_said_before_and_not_to_what_another_record_of_it_said(
    customer: Policies, before: Fields | None, name: str
) -> None:
    """Known by its base, but not in this field, is a record that other rules read now; one without a base has seen nothing of golden."""
    said = saying("erp", before, {**(before or {}), "name": "Another"})
    merged = merged_of({"name": "Acme"}, [said], customer, authors={"*": ["erp", "1", "R"]})
    assert {"name": "Acme", **merged.fields}["name"] == name
    assert bool(merged.clashes) == (name == "Acme")


def test_of_a_group_whoever_filled_it_is_its_author_and_not_who_said_most_of_the_record(customer: Policies) -> None:
    golden = {"name": "A", "billing.city": "Bonn"}
    authors = {"*": ["crm", "1", "R"], "billing.city": ["erp", "1", "R"]}
    merged = merged_of(
        golden, [saying("crm", {"name": "A", "billing.city": None}, {"name": "A", "billing.city": "Ulm"})], customer, authors=authors
    )
    assert [change.rule for change in merged.changes] == ["prefer erp"]
    assert merged.fields["billing.city"] == "Bonn"


def test_a_base_that_answers_for_golden_means_it(customer: Policies) -> None:
    cut = saying("erp", {"email": "lon"}, {"email": "new"}, answered={"email": digest("long")})
    assert merged_of({"email": "long"}, [cut], customer).fields == {"email": "new"}
    assert base_means("email", "long", "lon", {"email": digest("long")})
    assert not base_means("email", "other", "lon", {"email": digest("long")})
    assert not base_means("email", "lon", "lon", {"email": digest("long")})


def test_a_cleared_field_is_an_edit_like_any_other(customer: Policies) -> None:
    merged = merged_of({"email": "a"}, [saying("erp", {"email": "a"}, {"email": None})], customer)
    assert merged.fields == {"email": None}


def test_an_empty_field_that_was_never_read_says_nothing(customer: Policies) -> None:
    merged = merged_of({"email": "a"}, [saying("erp", None, {"email": None}, moved=frozenset({"email"}))], customer)
    assert merged.fields == {"email": "a"}
    assert merged.changes == []


def test_an_adopted_field_that_differs_is_settled_by_its_policy(customer: Policies) -> None:
    merged = merged_of({"email": "a", "name": "A"}, [saying("erp", None, {"email": "b", "name": "B"})], customer)
    assert [clash.unit for clash in merged.clashes] == [["email"]]
    assert merged.fields == {"email": "a", "name": "A"}


def test_an_edit_by_a_role_that_may_not_is_refused(customer: Policies) -> None:
    merged = merged_of({"credit_limit": 1}, [saying("crm", {"credit_limit": 1}, {"credit_limit": 9})], customer)
    assert merged.fields == {"credit_limit": 1}
    assert [(refusal.by, refusal.values) for refusal in merged.refused] == [("crm", (9,))]


def test_a_first_value_of_a_role_that_may_not_is_left_alone_while_golden_has_none(customer: Policies) -> None:
    merged = merged_of({}, [saying("crm", None, {"credit_limit": 9})], customer)
    assert merged.fields.get("credit_limit") is None
    assert merged.refused == []
    assert merged.quiet == [("crm", "credit_limit")]


def test_an_edit_of_what_was_left_alone_is_left_alone_too_and_no_emptiness_written_over_it(customer: Policies) -> None:
    merged = merged_of({}, [saying("crm", {"credit_limit": 9}, {"credit_limit": 12})], customer)
    assert "credit_limit" not in merged.fields
    assert merged.refused == []
    assert merged.quiet == [("crm", "credit_limit")]


def test_a_first_value_that_a_role_may_not_give_is_set_back_to_nothing(customer: Policies) -> None:
    merged = merged_of({}, [saying("crm", {"credit_limit": None}, {"credit_limit": 12})], customer)
    assert merged.fields == {"credit_limit": None}
    assert [(refusal.by, refusal.values) for refusal in merged.refused] == [("crm", (12,))]


def test_an_edit_of_what_was_left_alone_gives_way_to_who_may_say_it(customer: Policies) -> None:
    told = [saying("crm", {"credit_limit": 9}, {"credit_limit": 12}), saying("erp", {"credit_limit": None}, {"credit_limit": 5})]
    merged = merged_of({}, told, customer)
    assert merged.fields == {"credit_limit": 5}
    assert [(refusal.by, refusal.values) for refusal in merged.refused] == [("crm", (12,))]


def test_a_group_moves_whole(customer: Policies) -> None:
    before = {"billing.line1": "W 1", "billing.city": "Bonn"}
    one = saying("crm", before, {**before, "billing.line1": "G 2"})
    other = saying("erp", before, {**before, "billing.city": "Ulm"})
    merged = merged_of(before, [one, other], customer)
    assert (merged.fields["billing.line1"], merged.fields["billing.city"]) == ("W 1", "Ulm")


def test_a_system_that_lacks_a_member_that_golden_holds_cannot_move_the_group(customer: Policies) -> None:
    before = {"billing.line1": "W 1", "billing.city": "Bonn"}
    part = saying("erp", {"billing.city": "Bonn"}, {"billing.city": "Ulm"}, carries=lambda path: path != "billing.line1")
    merged = merged_of(before, [part], customer)
    assert merged.fields == before
    assert [(refusal.by, refusal.values, refusal.holder) for refusal in merged.refused] == [
        ("erp", ("W 1", None, "Ulm", None, None, None), "crm")
    ]


@pytest.mark.parametrize("golden", [{}, {"billing.line1": "W 1", "billing.city": "Bonn"}])
@pytest.mark.parametrize("street", ["W 1", "G 2"])
def test_what_a_preferred_system_cannot_say_of_a_group_is_not_cleared_by_it(customer: Policies, golden: Fields, street: str) -> None:
    """In which order they are told is without influence: it would not have moved the group a run later either."""
    whole = {"billing.line1": "W 1", "billing.line2": "Tor 3", "billing.city": "Bonn"}
    said = {"billing.line1": street, "billing.city": "Bonn"}
    full = saying("crm", golden or None, whole)
    part = saying("erp", golden or None, said, carries=lambda path: path != "billing.line2")
    merged = merged_of(golden, [part, full], customer)
    assert {path: value for path, value in merged.fields.items() if value is not None} == whole
    assert [(refusal.by, refusal.values[0], refusal.holder) for refusal in merged.refused] == (
        [] if street == "W 1" else [("erp", "G 2", "crm")]
    )
    assert merged.clashes == []


def test_where_each_says_a_part_of_a_group_that_the_other_cannot_say_a_person_is_asked(customer: Policies) -> None:
    one = saying("crm", None, {"billing.line1": "W 1", "billing.line2": "Tor 3"}, carries=lambda path: path != "billing.city")
    other = saying("erp", None, {"billing.line1": "W 1", "billing.city": "Bonn"}, carries=lambda path: path != "billing.line2")
    merged = merged_of({}, [one, other], customer)
    (clash,) = merged.clashes
    assert (merged.fields, merged.refused) == ({}, [])
    later = saying("erp", other.said, {"billing.line1": "W 1", "billing.city": "Ulm"}, carries=other.carries)
    again = merged_of({}, [later], customer, frozen={tuple(clash.unit): clash})
    assert [candidate.values[2] for candidate in again.clashes[0].candidates] == [None, "Ulm"]


def test_a_frozen_unit_takes_up_further_moves_and_nothing_flows(customer: Policies) -> None:
    clash = Clash(["email"], [Candidate("crm", "crm", "1", ["a"]), Candidate("erp", "erp", "1", ["b"])])
    merged = merged_of({"email": "0"}, [saying("erp", {"email": "b"}, {"email": "c"})], customer, frozen={("email",): clash})
    assert merged.fields == {"email": "0"}
    assert {c.by: c.values for c in merged.clashes[0].candidates} == {"crm": ["a"], "erp": ["c"]}


def test_a_clash_ends_when_all_its_sides_agree(customer: Policies) -> None:
    clash = Clash(["email"], [Candidate("crm", "crm", "1", ["a"]), Candidate("erp", "erp", "1", ["b"])])
    merged = merged_of({"email": "0"}, [saying("erp", {"email": "b"}, {"email": "a"})], customer, frozen={("email",): clash})
    assert merged.fields == {"email": "a"}
    assert merged.settled == [("email",)]
    assert merged.clashes == []


def test_a_value_that_comes_back_for_the_third_time_is_a_clash(customer: Policies) -> None:
    merged = merged_of({"email": "a"}, [saying("erp", {"email": "a"}, {"email": "b"})], customer, rewritten=lambda *_: True)
    assert [clash.why for clash in merged.clashes] == ["two systems rewrite one another"]
    assert merged.fields == {"email": "a"}


def test_a_removed_line_against_an_edit_of_it_is_a_clash_about_the_line(order: Policies) -> None:
    base = {"lines/N1": True, "lines/N1/quantity": 1}
    gone = saying("crm", base, {})
    edit = saying("erp", base, {**base, "lines/N1/quantity": 2})
    merged = merged_of(base, [gone, edit], order)
    assert [clash.unit for clash in merged.clashes] == [["lines/N1"]]
    assert merged.fields == base


def test_a_line_that_one_side_removed_takes_its_fields_with_it(order: Policies) -> None:
    base = {"lines/N1": True, "lines/N1/quantity": 1}
    merged = merged_of(base, [saying("crm", base, {})], order)
    assert merged.fields["lines/N1"] is None
    assert merged.clashes == []


def test_a_line_s_field_obeys_the_policy_of_its_list(order: Policies) -> None:
    base = {"lines/N1": True, "lines/N1/unit_price": 1}
    merged = merged_of(base, [saying("erp", base, {**base, "lines/N1/unit_price": 2})], order)
    assert [refusal.unit for refusal in merged.refused] == [("lines/N1/unit_price",)]


def test_a_new_line_s_field_obeys_the_policy_of_its_list_too(order: Policies) -> None:
    merged = merged_of({}, [saying("erp", None, {"lines/N1": True, "lines/N1/unit_price": 2, "lines/N1/quantity": 1})], order)
    assert merged.fields.get("lines/N1/unit_price") is None
    assert merged.fields["lines/N1/quantity"] == 1


# --- policies ---------------------------------------------------------------------------------------------------------------------


def candidate(role: str, value: Any, order: float | None = None) -> Candidate:
    return Candidate(role, role, "1", [value], order)


@pytest.mark.parametrize(
    ("policy", "values", "wins"),
    [
        ("ask", {"crm": "a", "erp": "b"}, None),
        (("prefer", ("erp", "crm")), {"crm": "a", "erp": "b"}, "b"),
        (("prefer", ("shop",)), {"crm": "a", "erp": "b"}, None),
        ("non_empty", {"crm": None, "erp": "b"}, "b"),
        ("non_empty", {"crm": "a", "erp": "b", "shop": None}, None),
        ("non_empty", {"crm": 0, "erp": None}, 0),
        ("max", {"crm": 2, "erp": 10}, 10),
        ("max", {"crm": None, "erp": -1}, -1),
        ("min", {"crm": 2, "erp": 10}, 2),
        ("max", {"crm": Decimal("9.50"), "erp": 10}, 10),
        ("max", {"crm": "10", "erp": "9"}, "10"),
        ("max", {"crm": Decimal(10), "erp": "9"}, Decimal(10)),
        ("max", {"crm": "2026-01-31", "erp": "2026-02-01"}, "2026-02-01"),
        ("max", {"crm": Decimal(10), "erp": "high"}, None),
        ("max", {"crm": "10", "erp": "n/a"}, None),
        ("min", {"crm": "10", "erp": "-"}, None),
        ("min", {"crm": True, "erp": 1}, None),
        ("newer", {"crm": "a", "erp": "b"}, None),
        ("union", {"crm": "a; b", "erp": "b;c", "shop": None}, "a;b;c"),
    ],
)
def test_a_policy_names_the_winner_in_whatever_order_candidates_come(policy: Any, values: dict[str, Any], wins: Any) -> None:
    for order in permutations(values.items()):
        winner, _ = settle_by_policy([candidate(role, value) for role, value in order], FieldPolicy(on_clash=policy))
        assert (winner.values[0] if winner else None) == wins


@pytest.mark.parametrize(("apart", "wins"), [(6.0, "late"), (5.0, None), (0.0, None)])
def test_newer_wins_beyond_its_skew(apart: float, wins: str | None) -> None:
    both = [candidate("crm", "early", 100.0), candidate("erp", "late", 100.0 + apart)]
    for order in permutations(both):
        winner, _ = settle_by_policy(list(order), FieldPolicy(on_clash="newer", skew=5.0))
        assert (winner.values[0] if winner else None) == wins


def test_equal_values_of_late_and_early_are_no_rivals() -> None:
    both = [candidate("crm", "same", 100.0), candidate("erp", "same", 101.0), candidate("shop", "old", 1.0)]
    winner, _ = settle_by_policy(both, FieldPolicy(on_clash="newer", skew=5.0))
    assert winner is not None
    assert winner.values == ["same"]


def test_words_of_a_set_are_parted_by_semicolons() -> None:
    assert split_words(" a ;b;; ") == ["a", "b"]
    assert split_words(None) == []


def test_a_flow_s_policy_stands_over_the_entity_s(rules: Any) -> None:
    found: EntityRules = rules("customer")
    policies = Policies(found, {"email": FieldPolicy(on_clash="max")})
    assert policies.policy("email").on_clash == "max"
    assert policies.policy("tax_id").on_clash == "ask"


def test_what_a_flow_says_of_all_fields_below_one_holds_for_each(rules: Any) -> None:
    found: EntityRules = rules("customer")
    narrow = FieldPolicy(write_by=("erp",), group="billing")
    found = replace(found, fields={**found.fields, "billing.city": narrow})
    written = {"billing.*": {"on_clash": "newer"}, "billing.line2": {"group": None}, "custom.*": {"write_by": ["crm"]}}
    policies = Policies(found, overlay_of(written, found))
    whole = found.policy("billing.line1")
    assert policies.policy("billing.line1") == msgspec.structs.replace(whole, on_clash="newer")
    assert policies.policy("billing.city") == msgspec.structs.replace(narrow, on_clash="newer"), "what it does not say stays"
    assert policies.policy("billing.line2") == msgspec.structs.replace(whole, group=None), "the narrower one stands alone"
    assert policies.policy("custom.tier").write_by == ("crm",)
    assert policies.policy("shipping.city") == found.policy("shipping.city")


# --- whatever comes ---------------------------------------------------------------------------------------------------------------

values = st.sampled_from([None, 1, 2, 3])
records = st.fixed_dictionaries(dict.fromkeys(PATHS, values))


@st.composite
def situations(draw: st.DrawFn) -> tuple[Fields, list[Saying]]:
    """Return golden, and what three systems say that hold it, once held it, or were never read."""
    golden = draw(records)
    sayings = []
    for by in draw(st.lists(st.sampled_from(sorted(ROLES)), min_size=1, max_size=3, unique=True)):
        before = draw(st.one_of(st.just(golden), st.just(golden), records, st.none()))
        now = draw(records) if before is None else {**before, **draw(st.dictionaries(st.sampled_from(PATHS), values, max_size=3))}
        sayings.append(saying(by, before, now))
    return golden, sayings


def shown(merged: Merged) -> Any:
    return (
        merged.fields,
        sorted((c.unit, c.old, c.new, c.by, c.rule, repr(c.losers)) for c in merged.changes),
        sorted((c.unit, c.why, repr(c.candidates)) for c in merged.clashes),
        sorted((r.unit, r.by, repr(r.values)) for r in merged.refused),
        sorted(merged.quiet),
    )


@given(situations())
def test_the_order_of_sayings_decides_nothing(customer: Policies, situation: tuple[Fields, list[Saying]]) -> None:
    golden, sayings = situation
    results = [shown(merged_of(golden, list(order), customer)) for order in permutations(sayings)]
    assert all(result == results[0] for result in results)


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from([1, 1, 2, None, True, Decimal(1)])), max_size=20), st.integers(2, 3))
def test_those_who_agree_found_the_record_that_one_by_one_they_would(customer: Policies, told: list[Any], many: int) -> None:
    said: list[Fields] = [dict.fromkeys(PATHS) for _ in range(many)]
    for at, (path, value) in enumerate(told):
        for fields in said if value is not None and at % 3 else [said[at % many]]:
            fields[path] = value
    sayings = [saying(by, None, fields) for by, fields in zip(ROLES, said, strict=False)]

    class Unaccorded(Policies):
        def accord(self, spoke: Any) -> None:
            return None

    at_once, one_by_one = merged_of({}, sayings, customer), merged_of({}, sayings, Unaccorded(customer.rules))
    assert shown(at_once) == shown(one_by_one)
    assert [(c.by, sorted(c.unit)) for c in at_once.changes] == [(c.by, sorted(c.unit)) for c in one_by_one.changes]
    assert {path: type(value) for path, value in at_once.fields.items()} == {path: type(value) for path, value in one_by_one.fields.items()}


@given(situations())
def test_no_edit_is_lost(customer: Policies, situation: tuple[Fields, list[Saying]]) -> None:
    """What a system says anew ends in golden, or as a loser with its rule, in a clash, refused with its value, or left alone."""
    golden, sayings = situation
    merged = merged_of(golden, sayings, customer)
    for one in sayings:
        for path in one.moved:
            unit = customer.unit(path)
            said = [one.said.get(member, golden.get(member)) for member in unit]
            if said in ([fields.get(member) for member in unit] for fields in (golden, merged.fields)):
                continue
            if one.before is None and said == [None] * len(unit):
                continue
            lost = any(change.unit == unit and any(c.by == one.by and c.values == said for c in change.losers) for change in merged.changes)
            asked = any(tuple(clash.unit) == unit and any(c.by == one.by for c in clash.candidates) for clash in merged.clashes)
            refused = any(refusal.unit == unit and refusal.by == one.by and list(refusal.values) == said for refusal in merged.refused)
            assert lost or asked or refused or (one.by, path) in merged.quiet


@given(situations())
def test_golden_changes_only_by_what_somebody_said(customer: Policies, situation: tuple[Fields, list[Saying]]) -> None:
    golden, sayings = situation
    merged = merged_of(golden, sayings, customer)
    for path in PATHS:
        if merged.fields.get(path) != golden.get(path):
            words = {word for fields in (golden, *(one.said for one in sayings)) for word in split_words(fields.get(path))}
            assert merged.fields.get(path) in [one.said.get(path) for one in sayings] or set(split_words(merged.fields[path])) <= words


@given(situations(), st.data())
def test_after_the_push_all_agree_and_are_silent(customer: Policies, situation: tuple[Fields, list[Saying]], data: st.DataObject) -> None:
    """Golden goes to every system that said something, but for what is frozen; read again, nothing moves."""
    golden, sayings = situation
    merged = merged_of(golden, sayings, customer)
    frozen: dict[Unit, Clash] = {tuple(clash.unit): clash for clash in merged.clashes}
    still = {path for unit in frozen for path in unit}
    echoes = []
    for one in data.draw(st.permutations(sayings)):
        was = {path: one.said.get(path) for path in PATHS}
        held = {path: was[path] if path in still or (one.by, path) in merged.quiet else merged.fields.get(path) for path in PATHS}
        echoes.append(saying(one.by, was, held))
    again = merged_of(merged.fields, echoes, customer, frozen=frozen)
    assert again.fields == merged.fields
    assert again.changes == []
    assert {tuple(clash.unit) for clash in again.clashes} <= set(frozen)


def test_a_clash_with_what_another_record_of_the_same_system_said_names_both(customer: Policies) -> None:
    merged = merged_of({"email": "old"}, [saying("crm", None, {"email": "new"})], customer)
    assert {candidate.by: candidate.values for candidate in merged.clashes[0].candidates} == {"crm": ["new"], "golden": ["old"]}
