"""Golden against base: what is to be written to one link."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from erpcrm_bridge.mapping import CompiledMapping, compile_mapping, load_library, shipped
from erpcrm_bridge.model.values import Fields, digest
from erpcrm_bridge.store.rows import GoldenRow, LinkRow
from erpcrm_bridge.sync.decide import UNREADABLE, Decision, answers_unread, decide, held_digest, is_dirty, placeholder

HEAD = "apiVersion: erpcrm-bridge/v1\nkind: {}\nentity: {}\n"
ENTITY = "model: canonical:{}\n{}"
CUSTOMER = """
connector: memory
stream: Account
key: {id: Id, external_id: Ref}
fields:
  name: {external: Name, required: true}
  email: {external: Email, via: [lower]}
  phone: {external: Phone}
  status: {external: Status, via: [{map: {pairs: {open: active, closed: inactive}, write: {archived: closed}}}]}
  kind: {external: Kind, via: [{map: {pairs: {C: customer}}}]}
  billing.line1: {external: Street}
  billing.city: {external: City, via: [{map: {pairs: {bonn: Bonn, ulm: Ulm}}}]}
  parent: {external: Parent, ref: {entity: customer, required: false}}
  price_list: {external: List, direction: to_canonical}
"""
ORDER = """
connector: memory
stream: Order
key: {id: Id, external_id: Ref}
fields:
  customer: {external: Account, ref: {entity: customer, required: true}, required: true}
  number: {external: Number}
  state:
    external: Stage
    via: [{map: {pairs: {Draft: draft, Won: confirmed, Billed: invoiced, Lost: cancelled}}}]
    moves: {draft: [confirmed, cancelled], confirmed: [invoiced]}
lists:
  lines:
    inline: Lines
    key: no
    write: keyed
    fields:
      product: {external: Item, required: true, via: [{map: {pairs: {p1: P1, p2: P2}}}]}
      quantity: {external: Qty, via: [decimal]}
"""
GROUP = ("billing.line1", "billing.city")


@pytest.fixture(scope="module")
def mappings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CompiledMapping]:
    folder: Path = tmp_path_factory.mktemp("decide")
    for entity, model, body in (("customer", "Customer", CUSTOMER), ("order", "Order", ORDER)):
        (folder / entity).mkdir()
        lists = "lists: {lines: {model: canonical:DocumentLine, line_match: [[product]]}}\n" if entity == "order" else ""
        (folder / entity / "entity.yaml").write_text(HEAD.format("Entity", entity) + ENTITY.format(model, lists))
        (folder / entity / "memory.yaml").write_text(HEAD.format("Mapping", entity) + body)
    library = load_library([folder])
    return {name.partition("/")[0]: compile_mapping(spec, codes={}, values={}, stream=None) for name, spec in library.specs.items()}


Asked = Callable[..., Decision]


@pytest.fixture
def asked(mappings: dict[str, CompiledMapping]) -> Asked:
    def ask(fields: Fields, base: Fields | None, *, entity: str = "customer", key: str | None = "K", **more: Any) -> Decision:
        mapping = mappings[entity]
        link = LinkRow("L", "G", entity, 1, key, "live" if key else "wanted", True, base, rules=mapping.digest if base is not None else "")
        for name in ("answered", "held", "pending", "line_keys", "rules"):
            if name in more:
                setattr(link, name, more.pop(name))
        golden = GoldenRow("G", entity, fields, {"*": ["erp", "1", "R"]}, state=more.pop("state", "live"))
        given: Mapping[str, Any] = {
            "connection": "crm",
            "moves": {},
            "frozen": frozenset(),
            "unit": lambda path: GROUP if path in GROUP else (path,),
            "refs_in": {},
            "refs_out": {},
            "known_by": frozenset(),
            "paused": {},
            **more,
        }
        return decide(golden, link, mapping, **given)

    return ask


BASE = {"Name": "Acme", "Email": "a@b.example", "Phone": "1", "Status": "open", "Street": "W 1", "City": "bonn", "Parent": None}
SAME = {"name": "Acme", "email": "a@b.example", "phone": "1", "status": "active", "billing.line1": "W 1", "billing.city": "Bonn"}


def written(decision: Decision) -> dict[str, list[Any]]:
    assert decision.step is not None
    return decision.step.fields


def test_what_the_base_means_is_not_written(asked: Asked) -> None:
    decision = asked(SAME, BASE)
    assert decision.step is None
    assert decision.answered == {}


def test_only_what_differs_is_written_from_what_to_what(asked: Asked) -> None:
    decision = asked({**SAME, "phone": "2"}, BASE)
    assert written(decision) == {"Phone": ["1", "2"]}
    assert decision.step is not None
    assert (decision.step.operation, decision.step.settles, decision.step.why) == ("update", ["phone"], {"phone": "erp"})


def test_a_cleared_field_is_written_as_empty(asked: Asked) -> None:
    assert written(asked({**SAME, "phone": None}, BASE)) == {"Phone": ["1", None]}


def test_what_golden_does_not_name_is_left_alone(asked: Asked) -> None:
    golden = {path: value for path, value in SAME.items() if path != "status"}
    assert asked(golden, {**BASE, "Status": None}).step is None


def test_a_field_that_is_only_read_is_never_written(asked: Asked) -> None:
    assert asked({**SAME, "price_list": "Ada"}, {**BASE, "List": "Bob"}).step is None


def test_a_rendition_is_answered_for_without_a_write(asked: Asked) -> None:
    decision = asked({**SAME, "status": "archived"}, {**BASE, "Status": "closed"})
    assert decision.step is None
    assert decision.answered == {"status": digest("archived")}


def test_a_base_that_answers_for_golden_is_not_written_over(asked: Asked) -> None:
    assert asked({**SAME, "phone": "12345"}, {**BASE, "Phone": "123"}, answered={"phone": digest("12345")}).step is None
    assert asked({**SAME, "phone": "99999"}, {**BASE, "Phone": "123"}, answered={"phone": digest("12345")}).step is not None


def test_a_field_in_clash_is_pushed_nowhere(asked: Asked) -> None:
    assert asked({**SAME, "phone": "2"}, BASE, frozen=frozenset({"phone"})).step is None
    created = asked({**SAME, "phone": "2"}, None, key=None, frozen=frozenset({"phone"}))
    assert "Phone" not in written(created)
    assert created.step is not None
    assert "phone" not in created.step.settles


def test_a_field_that_cannot_be_put_is_an_error_and_the_others_go(asked: Asked) -> None:
    decision = asked({**SAME, "kind": "prospect", "phone": "2"}, BASE)
    assert [error.path for error in decision.errors] == ["kind"]
    assert written(decision) == {"Phone": ["1", "2"]}
    assert decision.step is not None
    assert decision.step.settles == ["phone"]


def test_a_member_that_cannot_be_put_holds_its_group(asked: Asked) -> None:
    decision = asked({**SAME, "billing.line1": "G 2", "billing.city": "Paris", "phone": "2"}, BASE)
    assert written(decision) == {"Phone": ["1", "2"]}
    created = asked({**SAME, "billing.city": "Paris"}, None, key=None)
    assert "Street" not in written(created)
    assert created.step is not None
    assert not {"billing.line1", "billing.city"} & set(created.step.settles)


def test_what_is_held_is_not_tried_until_golden_base_or_mapping_change(asked: Asked, mappings: dict[str, CompiledMapping]) -> None:
    mapping = mappings["customer"]
    golden = GoldenRow("G", "customer", {**SAME, "phone": "2"}, {})
    why = held_digest(golden, LinkRow("L", "G", "customer", 1, "K", base=BASE), mapping)
    assert asked({**SAME, "phone": "2"}, BASE, held={"phone": why}).step is None
    assert asked({**SAME, "phone": "3"}, BASE, held={"phone": why}).step is not None
    assert asked({**SAME, "phone": "2"}, {**BASE, "Email": "x"}, held={"phone": why}).step is not None
    assert asked({**SAME, "phone": "2"}, BASE, held={"*": why}).step is None
    assert asked({**SAME, "phone": "3"}, BASE, held={"*": why}).step is not None


def test_what_could_not_be_read_is_not_written(asked: Asked) -> None:
    assert asked({**SAME, "phone": "2"}, BASE, held={"phone": UNREADABLE}).step is None
    assert asked({**SAME, "status": "inactive"}, {**BASE, "Status": "who knows"}).step is None


def test_a_hold_is_over_when_the_system_holds_golden(asked: Asked) -> None:
    assert asked(SAME, BASE, held={"phone": "a refusal of long ago"}).free == ["phone"]


def test_nothing_is_written_over_what_was_read_under_other_rules(asked: Asked) -> None:
    assert asked({**SAME, "phone": "2"}, BASE, rules="others").step is None


def test_a_create_waits_for_its_required_parent_and_says_for_whom(asked: Asked) -> None:
    decision = asked({"customer": "G9", "number": "1"}, None, entity="order", key=None)
    assert decision.step is None
    assert decision.blocked == [("customer", "G9")]


def test_an_optional_reference_is_left_out_until_its_target_is_there(asked: Asked) -> None:
    decision = asked({**SAME, "parent": "G9"}, None, key=None)
    assert "Parent" not in written(decision)
    assert decision.pending == {"parent": ("customer", "G9")}
    assert written(asked({**SAME, "parent": "G9"}, BASE, refs_out={("customer", "G9"): "K9"})) == {"Parent": [None, "K9"]}


def test_a_target_that_a_step_before_brings_is_waited_for_in_the_plan(asked: Asked) -> None:
    waits = placeholder("customer", "G9")
    decision = asked({"customer": "G9", "number": "1"}, None, entity="order", key=None, refs_out={("customer", "G9"): waits})
    assert written(decision)["Account"] == [None, waits]
    assert decision.step is not None
    assert decision.step.waits_for == ["G9"]


@pytest.mark.parametrize("golden", [{**SAME, "name": None}, {path: value for path, value in SAME.items() if path != "name"}])
def test_a_create_without_what_is_required_is_held(asked: Asked, golden: Fields) -> None:
    decision = asked(golden, None, key=None)
    assert decision.step is None
    assert "name" in decision.held


def test_a_state_is_moved_one_move_at_a_time(asked: Asked) -> None:
    decision = asked({"state": "invoiced"}, {"Stage": "Draft"}, entity="order")
    assert decision.step is not None
    assert (decision.step.operation, decision.step.fields) == ("move", {})
    assert decision.step.move == ["Stage", "Won"]


def test_a_move_that_is_not_declared_parks_the_field(asked: Asked) -> None:
    decision = asked({"state": "draft"}, {"Stage": "Billed"}, entity="order")
    assert decision.step is None
    assert [error.path for error in decision.errors] == ["state"]


def test_fields_go_before_the_move(asked: Asked) -> None:
    decision = asked({"state": "confirmed", "number": "2"}, {"Stage": "Draft", "Number": "1"}, entity="order")
    assert written(decision) == {"Number": ["1", "2"]}


ROWS = [{"no": "1", "Item": "p1", "Qty": 1}, {"no": "2", "Item": "p2", "Qty": 1}]
KEYS = {"lines": {"N1": "1", "N2": "2"}}


def test_lines_are_added_changed_and_removed_by_key(asked: Asked) -> None:
    lines = [{"id": "N1", "product": "P1", "quantity": 5}, {"id": "N3", "product": "P2", "quantity": 2}]
    decision = asked({"lines": lines}, {"Lines": ROWS}, entity="order", line_keys=KEYS)
    assert decision.step is not None
    steps = decision.step.lists["lines"]
    assert steps.change == {"1": {"Qty": [1, 5]}}
    assert steps.add == {"N3": {"Item": "p2", "Qty": 2}}
    assert steps.remove == ["2"]


def test_a_row_that_no_line_is_known_to_be_is_not_removed(asked: Asked) -> None:
    rows = [*ROWS, {"no": "3", "Item": "p1", "Qty": 9}]
    lines = [{"id": "N1", "product": "P1", "quantity": 1}, {"id": "N2", "product": "P2", "quantity": 1}]
    assert asked({"lines": lines}, {"Lines": rows}, entity="order", line_keys=KEYS).step is None


def test_a_line_that_cannot_be_put_holds_its_document(asked: Asked) -> None:
    lines = [{"id": "N1", "product": "P9", "quantity": 5}, {"id": "N2", "product": "P2", "quantity": 5}]
    decision = asked({"lines": lines, "number": "2"}, {"Lines": ROWS, "Number": "1"}, entity="order", line_keys=KEYS)
    assert decision.step is None
    assert [error.path for error in decision.errors] == ["lines.product"]
    created = asked({"lines": lines, "customer": "G9"}, None, entity="order", key=None, refs_out={("customer", "G9"): "K9"})
    assert created.step is None
    assert "lines.product" in created.held


def test_a_golden_record_that_is_gone_is_deleted_where_it_is(asked: Asked) -> None:
    decision = asked(SAME, BASE, state="gone")
    assert decision.step is not None
    assert decision.step.operation == "delete"
    assert asked(SAME, None, key=None, state="gone").step is None


def test_a_link_is_dirty_while_its_base_does_not_mean_golden(mappings: dict[str, CompiledMapping]) -> None:
    mapping, link = mappings["customer"], LinkRow("L", "G", "customer", 1, "K", base=BASE)
    said = mapping.get(BASE, {}, [])
    assert not is_dirty(SAME, link, mapping, said)
    assert is_dirty({**SAME, "phone": "2"}, link, mapping, said)
    assert not is_dirty({**SAME, "price_list": "Ada"}, link, mapping, said)
    link.answered = {"phone": digest("2")}
    assert not is_dirty({**SAME, "phone": "2"}, link, mapping, said)
    assert is_dirty(SAME, link, mapping, said)


# --- what is written and never read ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_way(tmp_path_factory: pytest.TempPathFactory) -> CompiledMapping:
    folder: Path = tmp_path_factory.mktemp("one-way")
    (folder / "customer").mkdir()
    (folder / "customer" / "entity.yaml").write_text(HEAD.format("Entity", "customer") + ENTITY.format("Customer", ""))
    rules = (
        "  website: {external: Site, direction: from_canonical}\n"
        "  parent: {external: Parent, ref: {entity: customer, required: false}, direction: from_canonical}\n"
    )
    text = HEAD.format("Mapping", "customer") + CUSTOMER.partition("fields:")[0] + "fields:\n  name: {external: Name}\n" + rules
    (folder / "customer" / "memory.yaml").write_text(text)
    return compile_mapping(load_library([folder]).specs["customer/memory"], codes={}, values={}, stream=None)


@pytest.mark.parametrize(
    ("golden", "base", "answers", "dirty"),
    [
        ({"name": "Acme", "website": "acme.example"}, {"Name": "Acme", "Site": "acme.example"}, ["website"], False),
        ({"name": "Acme", "website": "acme.example"}, {"Name": "Acme", "Site": "other.example"}, [], True),
        ({"name": "Acme", "website": "acme.example"}, {"Name": "Acme"}, [], True),
        ({"name": "Other", "website": "acme.example"}, {"Name": "Acme", "Site": "acme.example"}, ["website"], True),
        ({"name": "Acme"}, {"Name": "Acme", "Site": "acme.example"}, [], False),
        ({"name": "Acme", "parent": "G1"}, {"Name": "Acme", "Parent": "001"}, [], True),
    ],
    ids=["it is there", "another is there", "it was not read", "another path moved", "golden says nothing", "a reference"],
)
def test_a_base_answers_for_what_is_never_read_where_a_write_would_change_nothing(
    one_way: CompiledMapping, golden: Fields, base: Fields, answers: list[str], dirty: bool
) -> None:
    link = LinkRow("L1", "G1", "customer", 1, "001", base=base, rules=one_way.digest)
    link.answered = answers_unread(golden, link, one_way)
    assert link.answered == {path: digest(golden[path]) for path in answers}
    assert is_dirty(golden, link, one_way, one_way.get(base, {}, [])) is dirty


def test_a_put_that_is_told_what_its_base_says_does_not_read_it_again(mappings: dict[str, CompiledMapping]) -> None:
    put, golden, base = mappings["customer"].put, {"name": "New", "email": "b@x.example"}, {"Name": "Old", "Email": "a@x.example"}
    assert put(golden, base, {}, [], create=False) == {"Name": "New", "Email": "b@x.example"}
    assert put(golden, base, {}, [], create=False, said={"name": "New", "email": "a@x.example"}) == {"Email": "b@x.example"}


def test_a_state_that_the_system_tells_like_another_one_stands_there_and_needs_no_move(
    asked: Asked, mappings: dict[str, CompiledMapping]
) -> None:
    spec = load_library([shipped()]).specs["lead/odoo"]
    mappings["lead"] = compile_mapping(spec, codes={}, values={}, stream=None)
    moves = {"won_status": {"pending": ("won", "lost"), "lost": ("pending",)}}
    base = {"type": "lead", "contact_name": "Solo", "won_status": "pending"}
    stands = asked({"last_name": "Solo", "state": "new"}, base, entity="lead", moves=moves)
    assert (stands.step, stands.errors, list(stands.answered)) == (None, [], ["state"])
    lost = asked({"last_name": "Solo", "state": "lost"}, base, entity="lead", moves=moves)
    assert lost.step is not None
    assert lost.step.move == ["won_status", "lost"]
