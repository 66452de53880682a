"""Who is who: a binding needs exactly one hit in both directions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpcrm_bridge.mapping import MatchRule
from erpcrm_bridge.sync import identify as identification
from erpcrm_bridge.sync.identify import TOO_MANY, Doubt, Group
from erpcrm_bridge.sync.natural import agrees, alike, cross_form
from erpcrm_bridge.sync.nodes import Node, Nodes

TAX, NAME = MatchRule(("tax_id",), {}, False), MatchRule(("name",), {}, False)
RULES = (TAX, NAME)
CRM, ERP, SHOP = 1, 2, 3


class Told(NamedTuple):
    """A node, and what it is told by."""

    node: Node
    fields: dict[str, Any]


def told(stream: int, key: str, fields: dict[str, Any], **more: Any) -> Told:
    return Told(Node(stream, key, **more), fields)


def node(stream: int, key: str, tax: int | None = None, name: int | None = None, cross: str = "", **more: Any) -> Told:
    return told(stream, key, {"tax_id": tax, "name": name}, crosses=((stream, cross),) if cross else (), **more)


def golden(id: str, *linked: int, tax: int | None = None, name: int | None = None) -> Told:
    return node(0, "", tax, name, golden_id=id, linked=frozenset(linked))


class Found(NamedTuple):
    groups: list[Group]
    doubts: list[Doubt]


def identify(nodes: Sequence[Told], rules: Sequence[MatchRule], *, apart: Sequence[str] = (), **more: Any) -> Found:
    with Nodes(rules, apart) as aside:
        aside.add([one.node for one in nodes], [one.fields for one in nodes])
        found = identification.identify(aside, rules, apart=apart, **more)
        return Found(list(found.groups()), list(found.doubts()))


def shown(found: Found) -> tuple[Any, Any]:
    groups = {(group.golden_id, frozenset(group.members)) for group in found.groups}
    return groups, {(doubt.stream_id, doubt.key, doubt.double) for doubt in found.doubts}


def test_one_hit_in_both_directions_binds() -> None:
    groups, doubts = shown(identify([node(CRM, "a", tax=1), node(ERP, "b", tax=1), node(ERP, "c", tax=2)], RULES))
    assert groups == {(None, frozenset({(CRM, "a"), (ERP, "b")})), (None, frozenset({(ERP, "c")}))}
    assert doubts == set()


def test_two_of_one_system_are_doubles_and_wait_with_whom_they_may_be() -> None:
    found = identify([node(CRM, "a", tax=1), node(CRM, "b", tax=1), node(ERP, "c", tax=1)], RULES)
    assert shown(found) == (set(), {(CRM, "a", True), (CRM, "b", True), (ERP, "c", False)})
    assert {frozenset(doubt.others) for doubt in found.doubts if doubt.key == "c"} == {frozenset({(CRM, "a"), (CRM, "b")})}


def test_two_that_one_rule_leads_to_what_is_one_by_two_keys_wait_in_any_order() -> None:
    known, bound = golden("G1", tax=1, name=1), node(CRM, "a", tax=1, name=2)
    one, other = node(ERP, "b", name=1), node(ERP, "c", name=2)
    for order in permutations([known, bound, one, other]):
        groups, doubts = shown(identify(list(order), RULES))
        assert groups == {("G1", frozenset({(CRM, "a")}))}
        assert doubts == {(ERP, "b", True), (ERP, "c", True)}


def test_what_can_be_one_by_one_key_is_bound_beside_what_cannot_by_another() -> None:
    known, bound = golden("G1", SHOP, tax=1, name=1), node(CRM, "a", tax=1, name=2)
    one, other = node(ERP, "b", name=1), node(SHOP, "c", name=2)
    for order in permutations([known, bound, one, other]):
        groups, doubts = shown(identify(list(order), RULES))
        assert groups == {("G1", frozenset({(CRM, "a"), (ERP, "b")}))}
        assert doubts == {(SHOP, "c", False)}


def test_what_does_not_stand_in_all_systems_yet_is_joined_with_more_by_a_later_rule() -> None:
    pos = 4
    nodes = [node(CRM, "a", tax=1, name=7), node(ERP, "b", tax=1), node(SHOP, "c", tax=2, name=7), node(pos, "d", tax=2)]
    groups, doubts = shown(identify(nodes, RULES))
    assert (groups, doubts) == ({(None, frozenset({(CRM, "a"), (ERP, "b"), (SHOP, "c"), (pos, "d")}))}, set())


def test_another_rule_may_tell_apart_what_one_leaves_in_doubt() -> None:
    found = identify([node(CRM, "a", tax=1, name=7), node(CRM, "b", tax=1, name=8), node(ERP, "c", tax=1, name=7)], RULES)
    assert shown(found) == ({(None, frozenset({(CRM, "a"), (ERP, "c")}))}, {(CRM, "b", True)})


def test_a_record_joins_the_golden_record_that_shares_its_key_where_it_has_no_link_yet() -> None:
    groups, _ = shown(identify([node(ERP, "b", tax=1), golden("G", CRM, tax=1)], RULES))
    assert groups == {("G", frozenset({(ERP, "b")}))}


def test_a_record_of_a_stream_in_which_its_golden_record_is_linked_already_is_a_double() -> None:
    _, doubts = shown(identify([node(CRM, "b", tax=1), golden("G", CRM, tax=1)], RULES))
    assert doubts == {(CRM, "b", True)}


def test_a_record_that_two_golden_records_could_be_waits() -> None:
    found = identify([node(ERP, "b", tax=1), golden("G1", CRM, tax=1), golden("G2", CRM, tax=1)], RULES)
    assert shown(found) == (set(), {(ERP, "b", False)})


def test_our_reference_goes_before_every_natural_key() -> None:
    found = identify([node(ERP, "b", tax=1, reference="G2"), golden("G1", CRM, tax=1), golden("G2", CRM, tax=2)], RULES)
    assert shown(found) == ({("G2", frozenset({(ERP, "b")}))}, set())


def test_a_copied_reference_is_doubt() -> None:
    found = identify([node(ERP, "b", reference="G"), node(ERP, "c", reference="G"), golden("G", CRM)], RULES)
    assert shown(found) == (set(), {(ERP, "b", True), (ERP, "c", True)})


def test_what_a_rule_leaves_to_a_person_waits_though_it_is_the_only_hit() -> None:
    found = identify([node(CRM, "a", tax=1), node(ERP, "b", tax=1)], (MatchRule(("tax_id",), {}, True),))
    assert shown(found) == (set(), {(CRM, "a", False), (ERP, "b", False)})


def test_a_rule_s_hit_must_agree_in_what_it_compares() -> None:
    rule = MatchRule(("email", "name"), {"name": 90}, False)

    def named(stream: int, key: str, name: str) -> Told:
        return told(stream, key, {"email": "info@acme.example", "name": name})

    close = identify([named(CRM, "a", "Acme Tools GmbH"), named(ERP, "b", "ACME Tools")], (rule,))
    apart = identify([named(CRM, "a", "Acme Tools GmbH"), named(ERP, "b", "Bolt Works")], (rule,))
    silent = identify([named(CRM, "a", "---"), named(ERP, "b", "---")], (rule,))
    assert len(close.groups) == 1
    assert len(apart.groups) == len(silent.groups) == 2


def test_a_cross_id_that_another_integration_left_goes_before_every_natural_key() -> None:
    nodes = [node(CRM, "a", tax=1, cross="77"), node(ERP, "77", tax=2), node(ERP, "78", tax=1)]
    groups, doubts = shown(identify(nodes, RULES, crosses=lambda one, other: one != other))
    assert groups == {(None, frozenset({(CRM, "a"), (ERP, "77")}))}
    assert doubts == {(ERP, "78", False)}


def test_a_cross_id_on_either_side_suffices_and_fifteen_characters_stand_for_eighteen() -> None:
    nodes = [node(CRM, "0015g00000Xy1ZqAAJ"), node(ERP, "77", cross="0015g00000Xy1Zq"), node(ERP, "78", cross="0015g00000XY1ZQ")]
    groups, _ = shown(identify(nodes, RULES, crosses=lambda one, other: one != other))
    assert (None, frozenset({(CRM, "0015g00000Xy1ZqAAJ"), (ERP, "77")})) in groups


def test_fifteen_characters_of_salesforce_have_the_form_of_its_eighteen_and_nothing_else_is_changed() -> None:
    assert cross_form("001A0000006Vm9r") == "001A0000006Vm9rIAC"
    assert [cross_form(key) for key in ("77", "001A0000006Vm9rIAC", "res.partner_001")] == ["77", "001A0000006Vm9rIAC", "res.partner_001"]


def test_cross_ids_that_contradict_one_another_are_doubt() -> None:
    nodes = [node(CRM, "a", cross="77"), node(CRM, "b", cross="77"), node(ERP, "77", cross="a")]
    groups, doubts = shown(identify(nodes, RULES, crosses=lambda one, other: one != other))
    assert groups == set()
    assert {key for _, key, _ in doubts} == {"a", "b", "77"}


def test_a_cross_id_binds_a_record_to_what_is_linked_already_under_that_key() -> None:
    known = told(0, "", {}, golden_id="G", linked=frozenset({ERP}), keys=((ERP, "77"),))
    groups, _ = shown(identify([node(CRM, "a", cross="77"), known], RULES, crosses=lambda one, other: one != other))
    assert groups == {("G", frozenset({(CRM, "a")}))}


RELATED = MatchRule(("name",), {}, True, 2)


def hang(*pairs: tuple[tuple[int, str], tuple[int, str], int]) -> dict[tuple[int, str], dict[tuple[int, str], int]]:
    found: dict[tuple[int, str], dict[tuple[int, str], int]] = {}
    for one, other, count in pairs:
        found.setdefault(one, {})[other] = count
        found.setdefault(other, {})[one] = count
    return found


def test_what_hangs_on_two_records_tells_which_of_the_doubtful_are_one() -> None:
    nodes = [node(CRM, "a", tax=1, name=1), node(CRM, "b", tax=1, name=1), node(ERP, "c", tax=1, name=1)]
    found = identify(nodes, (TAX, RELATED), related=hang(((CRM, "a"), (ERP, "c"), 2)))
    assert shown(found) == ({(None, frozenset({(CRM, "a"), (ERP, "c")}))}, {(CRM, "b", True)})
    assert found.groups[0].rule == "name, related"


def test_too_little_that_hangs_on_both_leaves_them_to_a_person_who_is_told_how_much() -> None:
    found = identify([node(CRM, "a", name=1), node(ERP, "c", name=1)], (TAX, RELATED), related=hang(((CRM, "a"), (ERP, "c"), 1)))
    assert shown(found) == (set(), {(CRM, "a", False), (ERP, "c", False)})
    assert [doubt.related for doubt in found.doubts] == [[1], [1]]


def test_what_hangs_on_a_third_record_too_binds_nobody() -> None:
    nodes = [node(CRM, "a", name=1), node(ERP, "c", name=1), node(ERP, "d", name=9)]
    found = identify(nodes, (TAX, RELATED), related=hang(((CRM, "a"), (ERP, "c"), 2), ((CRM, "a"), (ERP, "d"), 1)))
    assert shown(found)[1] == {(CRM, "a", False), (ERP, "c", False)}


def test_what_hangs_on_two_records_that_share_no_key_binds_nobody() -> None:
    found = identify([node(CRM, "a", name=1), node(ERP, "c", name=2)], (TAX, RELATED), related=hang(((CRM, "a"), (ERP, "c"), 9)))
    assert len(found.groups) == 2


def test_two_values_of_a_field_that_tells_apart_are_left_to_a_person() -> None:
    rule = MatchRule(("email",), {}, False)

    def taxed(stream: int, key: str, tax: str | None) -> Told:
        return told(stream, key, {"email": "info@acme.example", "tax_id": tax})

    other = identify([taxed(CRM, "a", "DE123"), taxed(ERP, "b", "DE124")], (rule,), apart=["tax_id"])
    same = identify([taxed(CRM, "a", "DE123"), taxed(ERP, "b", "123")], (rule,), apart=["tax_id"])
    silent = identify([taxed(CRM, "a", "DE123"), taxed(ERP, "b", None)], (rule,), apart=["tax_id"])
    assert shown(other) == (set(), {(CRM, "a", False), (ERP, "b", False)})
    assert len(same.groups) == len(silent.groups) == 1


def test_doubles_are_named_though_their_others_are_told_apart() -> None:
    rule = MatchRule(("name",), {}, False)
    nodes = [node(CRM, "a", tax=1, name=1), node(CRM, "b", tax=2, name=1), node(ERP, "c", tax=3, name=1)]
    assert shown(identify(nodes, (rule,), apart=["tax_id"])) == (set(), {(CRM, "a", True), (CRM, "b", True), (ERP, "c", False)})


def test_an_external_id_binds_whatever_tells_apart() -> None:
    one, known = node(CRM, "a", tax=123, reference="G"), golden("G", ERP, tax=999)
    assert shown(identify([one, known], (), apart=["tax_id"])) == ({("G", frozenset({(CRM, "a")}))}, set())


def test_a_doubt_tells_how_alike_each_other_is_and_names_the_likeliest_first() -> None:
    rule = MatchRule(("postal", "name"), {"name": 60}, True)
    names = {"a": "Acme Tools", "b": "Acme Toosl", "c": "Acme Tolos Ltd", "d": "Bolt Works"}
    found = identify([told(CRM if key == "a" else ERP, key, {"postal": "1", "name": name}) for key, name in names.items()], (rule,))
    (doubt,) = [doubt for doubt in found.doubts if doubt.key == "a"]
    assert [key for _, key in doubt.others] == ["b", "c"]
    assert doubt.scores == sorted((score for score in doubt.scores if score is not None), reverse=True)
    assert all(score is not None and 60 <= score < 100 for score in doubt.scores)


def test_a_key_that_very_many_share_is_not_compared_by_likeness() -> None:
    rule = MatchRule(("postal", "name"), {"name": 60}, True)
    crowd = [told(CRM, str(at), {"postal": "1", "name": "Acme Tools"}) for at in range(TOO_MANY + 1)]
    assert identify(crowd, (rule,)).doubts == []
    assert len(identify(crowd[:TOO_MANY], (rule,)).groups) == TOO_MANY  # all of one system: nothing that this rule could bind


@pytest.mark.parametrize("crowd", [500, 1_000])
def test_what_very_many_share_costs_each_of_them_the_same(crowd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    read, compared = Counter[int](), Counter[str]()

    class Counting(Nodes):
        def __getitem__(self, i: int) -> Node:
            read[i] += 1
            return super().__getitem__(i)

    def counting(left: str | None, right: str | None) -> float:
        compared[left or ""] += 1
        return alike(left, right)

    monkeypatch.setattr(identification, "alike", counting)
    rules = (MatchRule(("tax_id", "name"), {"name": 90}, False), MatchRule(("tax_id",), {}, True))
    shared = [told(CRM + at % 2, str(at), {"tax_id": "DE1", "name": f"Firm {at:b} {at}"}) for at in range(crowd)]
    with Counting(rules) as nodes:
        nodes.add([one.node for one in shared], [one.fields for one in shared])
        doubts = list(identification.identify(nodes, rules).doubts())
    assert (len(doubts), {doubt.double for doubt in doubts}, {len(doubt.others) for doubt in doubts}) == (crowd, {True}, {20})
    assert all(doubt.scores == sorted(doubt.scores, reverse=True) for doubt in doubts)  # type: ignore[type-var] # all are compared
    assert max(read.values()) <= 2
    assert max(compared.values()) <= 40


SPELLED = ["Acme Tools GmbH", "acme tools", "Acme Toosl", "Tools Acme AG", "Acme", "Bolt Works", "Bolt Wroks Ltd", "---", None]


@given(st.lists(st.sampled_from(SPELLED), min_size=2, max_size=7))
def test_those_are_one_who_are_alike_one_by_one(names: list[str | None]) -> None:
    """Held against each pair on its own; every record stands in a system of its own, so that nothing else keeps them apart."""
    rule = MatchRule(("postal", "name"), {"name": 85}, False)
    one = list(range(len(names)))
    for i, j in permutations(range(len(names)), 2):
        if agrees(rule, {"name": names[i]}, {"name": names[j]}):
            one = [one[i] if of == one[j] else of for of in one]
    found = identify([told(at, str(at), {"postal": "1", "name": name}) for at, name in enumerate(names, 1)], (rule,))
    groups = {frozenset(at - 1 for at, _ in group.members) for group in found.groups}
    assert groups == {frozenset(at for at, of in enumerate(one) if of == which) for which in one}


few = st.one_of(st.none(), st.integers(1, 3))
people = st.lists(
    st.builds(node, st.sampled_from([CRM, ERP, SHOP]), st.uuids().map(str), few, few, reference=st.sampled_from([None, None, "G1", "G2"])),
    max_size=7,
)
known_ones = st.builds(
    lambda id, linked, tax, name: golden(id, *linked, tax=tax, name=name),
    st.sampled_from(["G1", "G2"]),
    st.sets(st.sampled_from([CRM, ERP])),
    few,
    few,
)
goldens = st.lists(known_ones, max_size=2, unique_by=lambda one: one.node.golden_id)


@given(people, goldens)
def test_each_record_has_one_place_and_no_group_holds_two_of_a_stream(records: list[Told], known: list[Told]) -> None:
    found = identify([*records, *known], RULES)
    placed = [member for group in found.groups for member in group.members] + [(d.stream_id, d.key) for d in found.doubts]
    assert sorted(placed) == sorted((record.node.stream_id, record.node.key) for record in records)
    linked = {one.node.golden_id: one.node.linked for one in known}
    for group in found.groups:
        streams = [stream for stream, _ in group.members] + sorted(linked.get(group.golden_id, frozenset()))
        assert len(set(streams)) == len(streams)
    taken = [group.golden_id for group in found.groups if group.golden_id]
    assert len(set(taken)) == len(taken)


@given(st.lists(st.builds(node, st.sampled_from([CRM, ERP]), st.uuids().map(str), few, few), max_size=4), goldens)
def test_the_order_of_records_decides_nothing(records: list[Told], known: list[Told]) -> None:
    results = [shown(identify(list(order), RULES)) for order in permutations([*records, *known[:1]])]
    assert all(result == results[0] for result in results)
