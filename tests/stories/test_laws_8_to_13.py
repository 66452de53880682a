"""Laws L8 to L13, each as facts about whole runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.testing.memory import Rights

from .world import World


class Make(Protocol):
    def __call__(self, **more: Any) -> World: ...


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[World] = []

    def world(**more: Any) -> World:
        made.append(World(tmp_path, **{"entities": ("customer",), **more}))
        return made[-1]

    yield world
    for one in made:
        one.close()


# --- L8: absence is not deletion --------------------------------------------------------------------------------------------------

HUSH = {"reports_deletes": False, "incremental": "full", "lists_keys": True}


def test_a_delete_told_by_the_system_leaves_the_others_alone_by_default(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer()
    world.crm.delete("Account", account)
    assert world.writes_of(world.sync) == []
    assert world.erp.get("customer", customer) is not None
    assert world.links(world.golden().id)["crm"].state == "tombstone"
    world.assert_quiet()


def test_a_record_that_a_snapshot_lacks_is_gone_only_if_a_read_by_key_says_so(make: Make) -> None:
    world = make(specs={"crm.Account": {"capabilities": {**HUSH, "tells_gone": True}}}, rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.crm.delete("Account", account)
    world.sync()
    assert world.erp.get("customer", customer) is None


def test_a_record_that_is_hidden_by_a_permission_is_missing_and_waits(make: Make) -> None:
    world = make(specs={"crm.Account": {"capabilities": {**HUSH, "tells_gone": False}}}, rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.crm.rights["bridge"] = Rights(hidden_records={"Account": (account,)})
    world.crm.create("Account", {"Name": "Another"})
    world.sync()
    world.sync()
    assert world.erp.get("customer", customer) is not None
    (row,) = world.parked("missing")
    assert row.key == account
    world.crm.rights["bridge"] = Rights()
    world.crm.edit("Account", account, {"Phone": "1"})
    world.sync()
    assert world.parked("missing") == []
    assert world.erp_of(account)["tel"] == "1"


def test_a_missing_record_that_was_not_touched_is_found_again(make: Make) -> None:
    world = make(specs={"crm.Account": {"capabilities": {**HUSH, "tells_gone": False}}})
    account, _ = world.joined_customer()
    world.crm.rights["bridge"] = Rights(hidden_records={"Account": (account,)})
    world.crm.create("Account", {"Name": "Another"})
    world.sync()
    world.crm.rights["bridge"] = Rights()
    world.crm.create("Account", {"Name": "A third"})
    world.sync()
    assert world.parked("missing") == []
    assert world.links(next(g.id for g in world.goldens() if g.fields["name"] == "Acme"))["crm"].state == "live"


def test_an_absent_record_is_seen_although_a_parked_one_was_met(make: Make) -> None:
    world = make(specs={"crm.Account": {"capabilities": HUSH}}, rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer(Vat=None)
    world.erp.edit("customer", customer, {"vat": "DE1"})
    world.sync()
    world.crm.create("Account", {"Name": "Double", "Vat": "DE1"})
    world.sync()
    assert len(world.parked("review")) == 1
    world.crm.delete("Account", account)
    world.sync()
    assert world.erp.get("customer", customer) is None


def test_a_record_not_found_by_a_reread_is_no_delete_where_the_system_cannot_tell(make: Make) -> None:
    world = make(
        specs={"crm.Account": {"capabilities": {"tells_gone": False, "reports_deletes": False}}},
        rules={"customer": {"on_delete": "delete"}},
    )
    account, customer = world.joined_customer()
    world.erp.edit("customer", customer, {"tel": "5"})
    world.crm.rights["bridge"] = Rights(hidden_records={"Account": (account,)})
    world.sync()
    world.sync()
    assert world.erp.get("customer", customer) is not None
    assert world.links(world.golden().id)["crm"].state == "missing"
    world.crm.rights["bridge"] = Rights()
    world.crm.edit("Account", account, {"City": "Bonn"})
    world.sync_until_quiet()
    assert world.crm.get("Account", account)["Phone"] == "5"  # type: ignore[index]
    assert world.parked() == []


def test_on_delete_delete_deletes_elsewhere_and_only_there(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    other = world.crm.create("Account", {"Name": "Innocent"})
    world.sync()
    world.crm.delete("Account", account)
    world.sync()
    assert world.erp.get("customer", customer) is None
    assert world.erp_of(other)["companyName"] == "Innocent"
    world.assert_quiet()


def test_on_delete_archive_archives_elsewhere(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "archive"}})
    account, customer = world.joined_customer(Status="open")
    world.crm.delete("Account", account)
    world.sync()
    assert world.erp.get("customer", customer)["inactive"] == "yes"  # type: ignore[index]
    world.assert_quiet()


def test_on_delete_ask_asks_and_writes_nothing(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "ask"}})
    account, customer = world.joined_customer()
    world.crm.delete("Account", account)
    assert world.writes_of(world.sync) == []
    (row,) = world.parked("review")
    assert row.error == "deleted"
    assert world.erp.get("customer", customer) is not None


def test_a_rule_that_deletes_money_documents_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError):
        make(entities=("customer", "order"), rules={"order": {"on_delete": "delete"}})


def test_a_money_document_is_never_deleted_by_a_sync(make: Make) -> None:
    world = make(entities=("customer", "order"), rules={"order": {"on_delete": "unlink"}})
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"))
    world.sync_until_quiet()
    world.crm.delete("Order", order)
    world.sync()
    assert len(world.erp.all("salesorder")) == 1


def test_a_delete_against_an_edit_is_put_before_a_person(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.crm.delete("Account", account)
    world.erp.edit("customer", customer, {"tel": "5"})
    world.sync()
    world.sync()
    assert world.erp.get("customer", customer)["tel"] == "5"  # type: ignore[index]
    assert [row.error for row in world.parked("review")] == ["deleted"]


def test_a_delete_against_an_edit_that_could_not_be_delivered_is_put_before_a_person(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.erp.edit("customer", customer, {"tel": "5"})
    world.crm.faults.add("write", "refused")
    world.sync()
    world.crm.delete("Account", account)
    world.sync()
    world.sync()
    assert world.erp.get("customer", customer)["tel"] == "5"  # type: ignore[index]
    assert [row.error for row in world.parked("review")] == ["deleted"]


def test_a_delete_met_while_an_edit_is_delivered_is_put_before_a_person(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.erp.edit("customer", customer, {"tel": "5"})
    world.crm.faults.add("write", "before", act=lambda: world.crm.delete("Account", account))
    world.sync()
    world.sync()
    assert world.erp.get("customer", customer)["tel"] == "5"  # type: ignore[index]
    assert [row.error for row in world.parked("review")] == ["deleted"]


def test_a_record_deleted_before_it_was_delivered_is_not_created_elsewhere(make: Make) -> None:
    world = make()
    account = world.crm.create("Account", {"Name": "Brief"})
    world.erp.faults.add("find", "refused", times=None)
    world.sync()
    world.erp.faults.clear()
    world.crm.delete("Account", account)
    world.sync()
    world.sync()
    assert world.erp.all("customer") == {}


def test_a_restored_record_is_the_one_it_was(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer()
    world.crm.delete("Account", account)
    world.sync()
    world.crm.restore("Account", account)
    world.crm.edit("Account", account, {"Phone": "7"})
    world.sync_until_quiet()
    assert len(world.goldens()) == 1
    assert world.erp.all("customer").keys() == {customer}
    assert world.erp.get("customer", customer)["tel"] == "7"  # type: ignore[index]


def test_a_restored_record_closes_the_question_what_its_delete_means(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "ask"}})
    account, _ = world.joined_customer()
    world.crm.delete("Account", account)
    world.sync()
    world.crm.restore("Account", account)
    world.sync()
    assert world.parked() == []
    world.assert_agree()


def test_a_record_restored_before_the_delete_went_on_deletes_nothing(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.crm.delete("Account", account)
    world.erp.faults.add("write", "refused")
    world.sync()
    world.crm.restore("Account", account)
    world.crm.edit("Account", account, {"Phone": "7"})
    world.sync_until_quiet()
    assert world.erp.get("customer", customer)["tel"] == "7"  # type: ignore[index]
    assert world.crm.get("Account", account) is not None
    world.assert_agree()


def test_a_record_restored_after_the_delete_went_on_lives_and_makes_no_double(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.crm.delete("Account", account)
    world.sync()
    assert world.erp.get("customer", customer) is None
    world.crm.restore("Account", account)
    world.sync_until_quiet()
    assert world.crm.get("Account", account) is not None
    assert world.golden().state == "live"
    assert [record["companyName"] for record in world.erp.all("customer").values()] == ["Acme"]
    world.assert_agree()


def test_the_delete_of_a_record_in_review_closes_the_review(make: Make) -> None:
    world = make()
    world.joined_customer()
    double = world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example"})
    world.sync()
    assert len(world.parked("review")) == 1
    world.crm.delete("Account", double)
    world.sync()
    assert world.parked() == []


def test_a_record_that_comes_back_under_a_new_key_with_our_reference_is_the_one_it_was(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}})
    customer = world.erp.create("customer", {"companyName": "Acme"})
    world.sync_until_quiet()
    account = world.partner("erp", "customer", customer, "crm")[0]
    reference = world.crm.get("Account", account)["Ref"]  # type: ignore[index]
    world.crm.delete("Account", account)
    world.sync()
    again = world.crm.create("Account", {"Name": "Acme", "Ref": reference})
    world.sync_until_quiet()
    assert len(world.goldens()) == 1
    assert world.links(world.golden().id)["crm"].key in (again, account)
    assert len(world.erp.all("customer")) == 1
