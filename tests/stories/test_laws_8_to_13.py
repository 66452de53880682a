"""Laws L8 to L13, each as facts about whole runs. Each was seen red; how the engine was broken for it:

====  ==================================================  ====================================================================
law   tests                                               broken by
====  ==================================================  ====================================================================
L8    hidden_by_a_permission, not_found_by_a_reread       a key that a read by key does not bring is gone, whatever the system can tell
L8    delete_against_an_edit …                            `on_delete` without a look at edits; edits not delivered yet do not count
L8    deleted_before_it_was_delivered                     a wanted link stays wanted after the delete
L8    restored_before …, restored_after …                 a golden record that is gone stays so
L8    money_document                                      `on_delete` deletes whatever the entity is
L9    bad_member, cannot_hold, refused_member             a member's error holds its own path alone (pull, put, refusal)
L9    document_with_a_bad_line                            the other lines go
L9    could_not_be_put_on_a_create                        a create settles every path, put or not
L9    refused_field, refused_create                       nothing is held
L9    cannot_be_read                                      paths without a readable base are written (tests/unit/sync/test_decide.py)
L10   does_not_add_up, read_between_two_saves             no complaint; not read again
L10   written_to_its_end                                  a complaint whatever golden holds
L11   cleared_field, zero_is_a_value                      an empty value says nothing
L12   keeps_within_its_share                              the budget is not looked at
L13   leaves_its_filter, changed_filter                   what leaves its filter counts as deleted
L13   mapped_later …, changed_table                       no review; fields that were not read count as unmoved; none is adopted anew
L13   made_under_other_rules                              a plan does not rest on its mappings
====  ==================================================  ====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest
from msgspec import structs
from stories.world import ABLE, MAPPINGS, Died, World, row_write, says

from erpcrm_bridge.connector import Budget, Connector, Field, Outcome, Page, Problem, Record, Rejected, Selection, Write
from erpcrm_bridge.errors import ConfigError, InputError, PermissionDenied, QuotaExhausted, SchemaDrift
from erpcrm_bridge.sync.desk import retry
from erpcrm_bridge.testing.memory import MemoryConnector, Rights


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


class Tally:
    """A connector that counts the calls of one verb."""

    def __init__(self, connector: Connector, verb: str, counted: list[str]) -> None:
        self._connector, self._verb, self._counted = connector, verb, counted

    def __getattr__(self, name: str) -> Any:
        if name == self._verb:
            self._counted.append(name)
        return getattr(self._connector, name)


def calls(world: World, role: str, verb: str, act: Callable[[], object]) -> int:
    """Return how many calls of ``verb`` the bridge made to a system while ``act`` ran."""
    opener, counted = world.opener, list[str]()
    world.opener = lambda name, settings: Tally(opener(name, settings), verb, counted) if name == role else opener(name, settings)
    act()
    world.opener = opener
    return len(counted)


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


def test_a_page_that_says_nothing_new_and_leads_no_further_is_not_stored(make: Make) -> None:
    world = make(specs={"crm.Account": {"capabilities": HUSH}})
    account, _ = world.joined_customer()
    for number in range(20):
        world.crm.create("Account", {"Name": f"Company {number}"})
    world.sync_until_quiet()
    commits = []
    for world.page_size in (100, 2):
        world.crm.edit("Account", account, {"Phone": str(world.page_size)})
        counted = world.dying(0)
        world.sync()
        world.living()
        commits.append(counted.where.count("after a commit"))
    of_one_page, of_many = commits
    assert of_one_page < of_many <= of_one_page + 2  # the page with the edit, and that the read has begun
    world.assert_quiet()


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


def test_an_absent_record_is_seen_although_one_outside_the_filter_was_met(make: Make) -> None:
    world = make(
        specs={"crm.Account": {"capabilities": HUSH}},
        rules={"customer": {"on_delete": "delete"}},
        mappings={"customer/crm": {"when": "Status != 'closed'"}},
    )
    account, customer = world.joined_customer(Status="open")
    other = world.crm.create("Account", {"Name": "Another", "Status": "open"})
    world.sync_until_quiet()
    world.crm.edit("Account", other, {"Status": "closed"})
    world.sync_until_quiet()
    world.crm.delete("Account", account)
    world.sync()
    assert world.erp.get("customer", customer) is None


def test_an_absent_record_is_seen_although_another_one_has_come_back(make: Make) -> None:
    world = make(specs={"crm.Account": {"capabilities": {**HUSH, "tells_gone": True}}}, rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    other = world.crm.create("Account", {"Name": "Another"})
    world.sync_until_quiet()
    world.crm.delete("Account", other)
    world.sync_until_quiet()
    world.crm.restore("Account", other)
    world.crm.delete("Account", account)
    world.sync()
    assert world.erp.get("customer", customer) is None


def test_a_question_about_a_record_that_a_snapshot_lacks_is_closed(make: Make) -> None:
    world = make(specs={"crm.Account": {"capabilities": {**HUSH, "tells_gone": True}}})
    _, customer = world.joined_customer(Vat=None)
    world.erp.edit("customer", customer, {"vat": "DE1"})
    world.sync()
    double = world.crm.create("Account", {"Name": "Double", "Vat": "DE1"})
    world.sync()
    assert len(world.parked("review")) == 1
    world.crm.delete("Account", double)
    world.sync()
    assert world.parked("review") == []


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
    assert (world.crm.get("Account", account) or {})["Phone"] == "5"
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
    assert (world.erp.get("customer", customer) or {})["inactive"] == "yes"
    world.assert_quiet()


@pytest.mark.parametrize(("now", "held", "inactive"), [(None, "open", "no"), ("closed", "closed", "yes")])
def test_a_record_that_comes_back_is_no_longer_archived_by_the_rule(make: Make, now: str | None, held: str, inactive: str) -> None:
    world = make(rules={"customer": {"on_delete": "archive"}})
    account, customer = world.joined_customer(Status="open")
    world.crm.delete("Account", account)
    world.sync_until_quiet()
    assert (world.erp.get("customer", customer) or {})["inactive"] == "yes"
    world.crm.restore("Account", account)
    if now is not None:
        world.crm.edit("Account", account, {"Status": now})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Status=held)
    assert (world.erp.get("customer", customer) or {})["inactive"] == inactive
    assert world.parked() == []
    world.assert_agree()
    world.assert_quiet()


def test_a_record_that_comes_back_where_no_status_is_held_is_what_it_was_before_it_was_archived(make: Make) -> None:
    world = make(roles=("crm", "erp", "shop"), rules={"customer": {"on_delete": "archive"}})
    account, customer = world.joined_customer(Status="open")
    (client,) = world.shop.all("client")
    world.shop.delete("client", client)
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Status="gone")
    world.shop.restore("client", client)
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Status="open")
    assert (world.erp.get("customer", customer) or {})["inactive"] == "no"


def test_a_copy_that_is_brought_back_while_another_is_deleted_is_put_before_a_person(make: Make) -> None:
    world = make(roles=("crm", "erp", "shop"), rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    (client,) = world.shop.all("client")
    world.shop.delete("client", client)
    world.erp.edit("customer", customer, {"tel": "1"})  # so that it is asked about, and nothing else deleted
    world.sync_until_quiet()
    world.crm.delete("Account", account)
    world.shop.restore("client", client)
    world.sync_until_quiet()
    assert world.shop.get("client", client) is not None
    assert world.erp.get("customer", customer) is not None
    assert [row.error for row in world.parked("review")] == ["deleted"]
    assert {state: dirty for _, state, dirty in world.store.count_links()} == {"live": False, "tombstone": False}, (
        "nothing is to be written"
    )


def test_what_was_refused_of_a_copy_stays_parked_when_another_comes_back(make: Make) -> None:
    able = structs.replace(ABLE, conditional=True)
    specs = {"erp.customer": {"capabilities": able}}
    world = make(roles=("crm", "erp", "shop"), rules={"customer": {"on_delete": "delete"}}, specs=specs)
    account, customer = world.joined_customer()
    (client,) = world.shop.all("client")
    world.shop.delete("client", client)
    world.erp.edit("customer", customer, {"tel": "1"})
    world.sync_until_quiet()
    world.erp.rights["bridge"] = Rights(hidden_records={"customer": (customer,)})
    world.crm.edit("Account", account, {"Phone": "2"})
    world.sync_until_quiet()
    (refused,) = world.parked("record")
    world.shop.restore("client", client)
    world.erp.rights["bridge"] = Rights()
    world.sync_until_quiet()
    assert (world.erp.get("customer", customer) or {})["tel"] == "1"
    assert [row.id for row in world.parked("record")] == [refused.id]


def test_what_a_person_said_of_an_archived_record_stands_when_another_copy_comes_back(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "archive"}})
    account, customer = world.joined_customer(Status="open")
    world.crm.delete("Account", account)
    world.sync_until_quiet()
    world.erp.edit("customer", customer, {"inactive": "no"})
    world.sync_until_quiet()
    world.erp.edit("customer", customer, {"inactive": "yes"})
    world.sync_until_quiet()
    world.crm.restore("Account", account)
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Status="closed")
    assert (world.erp.get("customer", customer) or {})["inactive"] == "yes"


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
    assert (world.erp.get("customer", customer) or {})["tel"] == "5"
    assert [row.error for row in world.parked("review")] == ["deleted"]
    assert {state: dirty for _, state, dirty in world.store.count_links()} == {"live": False, "tombstone": False}, (
        "nothing is to be written"
    )


def test_a_record_deleted_everywhere_leaves_no_question_what_its_delete_means(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "ask"}})
    account, customer = world.joined_customer()
    world.crm.delete("Account", account)
    world.sync()
    assert [row.error for row in world.parked("review")] == ["deleted"]
    world.erp.delete("customer", customer)
    world.sync()
    assert world.parked("review") == []


def test_a_delete_against_an_edit_that_could_not_be_delivered_is_put_before_a_person(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.erp.edit("customer", customer, {"tel": "5"})
    world.crm.faults.add("write", "refused")
    world.sync()
    world.crm.delete("Account", account)
    world.sync()
    world.sync()
    assert (world.erp.get("customer", customer) or {})["tel"] == "5"
    assert [row.error for row in world.parked("review")] == ["deleted"]


def test_a_delete_met_while_an_edit_is_delivered_is_put_before_a_person(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer()
    world.erp.edit("customer", customer, {"tel": "5"})
    world.crm.faults.add("write", "before", act=lambda: world.crm.delete("Account", account))
    world.sync()
    world.sync()
    assert (world.erp.get("customer", customer) or {})["tel"] == "5"
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
    assert (world.erp.get("customer", customer) or {})["tel"] == "7"


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
    assert (world.erp.get("customer", customer) or {})["tel"] == "7"
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
    reference = (world.crm.get("Account", account) or {})["Ref"]
    world.crm.delete("Account", account)
    world.sync()
    again = world.crm.create("Account", {"Name": "Acme", "Ref": reference})
    world.sync_until_quiet()
    assert len(world.goldens()) == 1
    assert world.links(world.golden().id)["crm"].key in (again, account)
    assert len(world.erp.all("customer")) == 1


def test_tombstones_read_again_count_for_no_brake(make: Make) -> None:
    world = make(brakes={"deletes": 2})
    for n in range(4):
        account, _ = world.joined_customer(Name=f"C{n}", Email=f"{n}@x.example")
        world.crm.delete("Account", account)
        world.clock.now += 100_000
        world.sync()
    world.crm.expire_cursors("Account")
    world.sync()
    assert world.store.tripped("trade") == []


# --- L9: neighbours ---------------------------------------------------------------------------------------------------------------


def test_an_unknown_option_value_parks_its_field_alone(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer(Status="open")
    other, its = world.joined_customer(Name="Other", Email="o@x.example")
    world.crm.edit("Account", account, {"Status": "who knows", "Phone": "1"})
    world.crm.edit("Account", other, {"Phone": "2"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, tel="1", inactive="no")
    assert says(world.erp.get("customer", its) or {}, tel="2")
    assert [(row.kind, row.field) for row in world.parked()] == [("field", "status")]
    assert (world.crm.get("Account", account) or {})["Status"] == "who knows"
    world.assert_quiet()
    world.crm.edit("Account", account, {"Status": "closed"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, inactive="yes")
    assert world.parked() == []


def test_a_value_that_cannot_be_read_is_not_written_over_by_an_edit_from_elsewhere(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer(Status="open")
    world.crm.edit("Account", account, {"Status": "who knows"})
    world.sync()
    world.erp.edit("customer", customer, {"inactive": "yes"})
    world.sync()
    assert (world.crm.get("Account", account) or {})["Status"] == "who knows"


def test_a_person_who_retries_an_unreadable_value_does_not_write_over_it(make: Make) -> None:
    world = make()
    account, _ = world.joined_customer(Status="open")
    world.crm.edit("Account", account, {"Status": "who knows"})
    world.sync()
    (row,) = world.parked("field")
    retry(world.store, row.id)
    world.sync()
    assert (world.crm.get("Account", account) or {})["Status"] == "who knows"
    assert [row.field for row in world.parked("field")] == ["status"]


class _ATornRow(MemoryConnector):
    """Tells on its first page of a row that it could not read."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        for at, page in enumerate(super().read_changes(selection, since)):
            yield page if at else structs.replace(page, problems=(Problem("row 7", "0017", "it has a cell too many"),))


def test_a_row_that_cannot_be_read_is_told_once_a_run_however_many_pages_follow(make: Make) -> None:
    world = make(page_size=2, create_in={"customer": ["erp"]})
    world.opener = lambda name, _: (_ATornRow if name == "crm" else MemoryConnector)(world.systems[name], page_size=2)
    for n in range(7):
        world.crm.create("Account", {"Name": f"Works {n}"})
    world.sync()
    assert [(row.key, row.attempts) for row in world.parked("row")] == [("0017", 1)]
    world.sync()
    assert [(row.key, row.attempts) for row in world.parked("row")] == [("0017", 2)]
    assert len(world.erp.all("customer")) == 7


class _CannotTell(MemoryConnector):
    """Tells changes, and cannot tell by its key how a document stands."""

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        if selection.stream == "Order":
            raise InputError("Order: a row has no key.", keys=keys)
        return super().read(selection, keys)


def test_a_document_that_cannot_be_read_a_second_time_is_parked_alone(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, customer = world.joined_customer()
    wrong = world.order_in_crm(account, ("P1", 1, "10"), Total=11)
    world.crm.edit("Account", account, {"Phone": "5"})
    world.opener = lambda name, _: (_CannotTell if name == "crm" else MemoryConnector)(world.systems[name])
    world.sync()
    assert [(row.kind, row.key, row.error) for row in world.parked()] == [("record", wrong, "total")]
    assert says(world.erp.get("customer", customer) or {}, tel="5")


def test_a_value_that_is_too_long_for_a_system_parks_its_field_alone(make: Make) -> None:
    world = make(specs={"erp.customer": {"fields": {"mail": Field("mail", length=20)}}})
    account, customer = world.joined_customer(Email=None)
    world.crm.edit("Account", account, {"Email": "much.too.long.for.this@one.example", "Phone": "1"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, tel="1", mail=None)
    assert [(row.kind, row.field) for row in world.parked()] == [("field", "email")]
    assert calls(world, "erp", "write", world.sync) == 0
    world.crm.edit("Account", account, {"Email": "short@one.example"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, mail="short@one.example")
    assert world.parked() == []


def test_a_field_that_both_systems_put_right_is_parked_no_longer_although_another_field_is_written_meanwhile(make: Make) -> None:
    world = make(specs={"erp.customer": {"fields": {"mail": Field("mail", length=20)}}})
    account, customer = world.joined_customer(Email=None)
    world.crm.edit("Account", account, {"Email": "much.too.long.for.this@one.example"})
    world.sync()
    assert [(row.kind, row.field) for row in world.parked()] == [("field", "email")]
    world.crm.edit("Account", account, {"Email": "short@one.example", "Phone": "1"})
    world.erp.edit("customer", customer, {"mail": "short@one.example"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, mail="short@one.example", tel="1")
    assert world.parked() == []


def test_a_field_that_was_put_right_beside_one_that_is_tried_again_is_parked_no_longer(make: Make) -> None:
    world = make(specs={"erp.customer": {"fields": {"mail": Field("mail", length=20), "tel": Field("tel", length=5)}}})
    account, customer = world.joined_customer(Email=None)
    world.crm.edit("Account", account, {"Email": "much.too.long.for.this@one.example", "Phone": "123456"})
    world.sync()
    by_field = {row.field: row for row in world.parked()}
    assert by_field.keys() == {"email", "phone"}
    world.crm.edit("Account", account, {"Phone": "1"})
    world.erp.edit("customer", customer, {"tel": "1"})
    retry(world.store, by_field["email"].id)
    world.sync()
    assert [row.field for row in world.parked()] == ["email"]


def test_a_field_that_could_not_be_put_on_a_create_stays_parked_and_goes_when_it_can(make: Make) -> None:
    world = make(specs={"erp.customer": {"fields": {"mail": Field("mail", length=20)}}})
    account = world.crm.create("Account", {"Name": "Acme", "Email": "much.too.long.for.this@one.example"})
    world.sync()
    assert says(world.erp_of(account), companyName="Acme", mail=None)
    world.sync()
    assert [(row.kind, row.field) for row in world.parked()] == [("field", "email")]
    assert [difference.path for difference in world.verify().differences] == ["email"]
    world.crm.edit("Account", account, {"Email": "short@one.example"})
    world.sync()
    assert says(world.erp_of(account), mail="short@one.example")
    assert world.parked() == []


class Picky:
    """A connector whose system refuses some values of one field, which its describe does not tell."""

    def __init__(self, connector: Connector, field: str, allowed: Callable[[Any], bool]) -> None:
        self._connector, self._field, self._allowed = connector, field, allowed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        refused = [write for write in writes if self._field in write.fields and not self._allowed(write.fields[self._field])]
        good = [write for write in writes if write not in refused]
        outcomes = self._connector.write(selection, good)
        return [*outcomes, *(Rejected(write.ref, "field", "it does not please", self._field) for write in refused)]


def picky(world: World, role: str, field: str, allowed: Callable[[Any], bool]) -> None:
    world.opener = lambda name, _: Picky(world.connect(name), field, allowed) if name == role else world.connect(name)


def test_a_refused_field_parks_itself_alone_and_is_not_sent_again_each_run(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer()
    other, its = world.joined_customer(Name="Other", Email="o@x.example")
    picky(world, "erp", "mail", lambda mail: "ugly" not in (mail or ""))
    world.crm.edit("Account", account, {"Email": "ugly@one.example", "Phone": "1"})
    world.crm.edit("Account", other, {"Phone": "2"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, tel="1", mail="info@acme.example")
    assert says(world.erp.get("customer", its) or {}, tel="2")
    assert [(row.kind, row.field, row.error) for row in world.parked()] == [("field", "email", "field")]
    assert calls(world, "erp", "write", world.sync) == 0
    world.crm.edit("Account", account, {"Email": "pretty@one.example"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, mail="pretty@one.example")
    assert world.parked() == []
    assert world.links(world.goldens()[0].id)["erp"].held == {}


def test_a_refused_field_is_sent_again_when_a_person_says_so(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer()
    picky(world, "erp", "mail", lambda mail: False)
    world.crm.edit("Account", account, {"Email": "ugly@one.example"})
    world.sync()
    world.living()
    assert calls(world, "erp", "write", world.sync) == 0
    (row,) = world.parked("field")
    retry(world.store, row.id)
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, mail="ugly@one.example")
    assert world.parked() == []


def test_a_refused_field_is_sent_again_when_the_mapping_changed(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer()
    picky(world, "erp", "mail", lambda mail: False)
    world.crm.edit("Account", account, {"Email": "ugly@one.example"})
    world.sync()
    world.living()
    world.library = world.mapped({}, {"customer/erp": {"fields": {"phone": {"external": "tel", "via": ["trim"]}}}})
    world.apply(world.plan())
    assert says(world.erp.get("customer", customer) or {}, mail="ugly@one.example")


def test_a_refused_member_holds_its_group(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer(Street="Weg 1", City="Bonn", Zip="53111")
    picky(world, "erp", "town", lambda town: town != "Nowhere")
    world.crm.edit("Account", account, {"Street": "Gasse 2", "City": "Nowhere", "Zip": "00000", "Phone": "1"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, addr="Weg 1", town="Bonn", postcode="53111", tel="1")
    assert calls(world, "erp", "write", world.sync) == 0
    assert len(world.parked("field")) == 1


def test_a_refused_create_waits_as_a_whole_and_harms_no_neighbour(make: Make) -> None:
    world = make(
        specs={"erp.customer": {"unique": ("vat",)}}, rules={"customer": {"match": [{"keys": ["email"]}], "fields": {"tax_id": {}}}}
    )
    world.erp.create("customer", {"companyName": "First", "vat": "DE1"})
    world.sync()
    world.crm.create("Account", {"Name": "Second", "Vat": "DE1"})
    third = world.crm.create("Account", {"Name": "Third", "Vat": "DE3"})
    world.sync()
    assert world.erp_of(third)["vat"] == "DE3"
    assert [(row.kind, row.error) for row in world.parked()] == [("record", "duplicate")]
    assert calls(world, "erp", "write", world.sync) == 0


def test_a_document_with_a_bad_line_waits_as_a_whole(make: Make) -> None:
    world = make(
        entities=("customer", "order"),
        mappings={
            "order/erp": {
                "lists": _lines_of_erp(
                    {"product": {"external": "item", "required": True, "via": [{"map": {"pairs": {"p1": "P1", "p2": "P2"}}}]}}
                )
            }
        },
    )
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"))
    bad = world.order_in_crm(account, ("P1", 1, "10"), ("P9", 1, "5"), Number="SO-2")
    world.sync()
    assert [record["docno"] for record in world.erp.all("salesorder").values()] == ["SO-1"]
    assert {row.kind for row in world.parked()} == {"field"} or {row.kind for row in world.parked()} == {"record"}
    line = (world.crm.get("Order", order) or {})["OrderItem"][0]["Id"]
    world.crm.edit(
        "Order",
        order,
        {"Total": Decimal(25)},
        {
            "OrderItem": row_write(
                change={line: {"Qty": Decimal(2), "Amount": Decimal(20)}},
                add=[{"Product": "P9", "Qty": Decimal(1), "Price": Decimal(5), "Amount": Decimal(5)}],
            )
        },
    )
    world.sync()
    (held,) = world.erp.all("salesorder").values()
    assert says(held, total=Decimal(10))
    assert [row["qty"] for row in held["items"]] == [1]
    world.crm.edit(
        "Order",
        bad,
        {"Total": Decimal(10)},
        {"OrderItem": row_write(remove=[row["Id"] for row in (world.crm.get("Order", bad) or {})["OrderItem"] if row["Product"] == "P9"])},
    )
    world.sync()
    assert sorted(record["docno"] for record in world.erp.all("salesorder").values()) == ["SO-1", "SO-2"]


def _lines_of_erp(fields: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = MAPPINGS["order/erp"]["lists"]
    return {"lines": {**plain["lines"], "fields": {**plain["lines"]["fields"], **fields}}}


CITIES = {"billing.city": {"external": "City", "via": [{"map": {"pairs": {"bonn": "Bonn", "ulm": "Ulm"}}}]}}


def test_a_bad_member_parks_its_group_and_no_half_of_it_moves(make: Make) -> None:
    world = make(mappings={"customer/crm": {"fields": CITIES}})
    account, customer = world.joined_customer(Street="Weg 1", City="bonn", Zip="53111")
    world.crm.edit("Account", account, {"Street": "Gasse 2", "City": "paris", "Zip": "75001", "Phone": "1"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, addr="Weg 1", town="Bonn", postcode="53111", tel="1")
    assert says(world.crm.get("Account", account) or {}, Street="Gasse 2", City="paris", Zip="75001")
    world.assert_quiet()
    world.crm.edit("Account", account, {"City": "ulm"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, addr="Gasse 2", town="Ulm", postcode="75001")
    assert world.parked() == []


def test_a_member_that_the_other_system_cannot_hold_parks_the_group_there(make: Make) -> None:
    world = make(mappings={"customer/crm": {"fields": CITIES}})
    account, customer = world.joined_customer(Street="Weg 1", City="bonn", Zip="53111")
    world.erp.edit("customer", customer, {"addr": "Rue 1", "town": "Paris", "postcode": "75001", "tel": "1"})
    world.sync()
    assert says(world.crm.get("Account", account) or {}, Street="Weg 1", City="bonn", Zip="53111", Phone="1")
    assert [row.kind for row in world.parked()] == ["field"]
    world.assert_quiet()


def test_a_parked_field_is_closed_when_golden_is_again_what_the_system_holds(make: Make) -> None:
    world = make(mappings={"customer/crm": {"fields": CITIES}})
    _, customer = world.joined_customer(Street="Weg 1", City="bonn", Zip="53111")
    world.erp.edit("customer", customer, {"town": "Paris"})
    world.sync()
    assert len(world.parked("field")) == 1
    world.erp.edit("customer", customer, {"town": "Bonn"})
    world.sync()
    assert world.parked() == []


# --- L10: money -------------------------------------------------------------------------------------------------------------------


def test_amounts_keep_their_cents_and_prices_their_decimals(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    world.order_in_crm(account, ("P1", 1, "5900.00"))
    world.order_in_crm(account, ("P2", 1000, "0.0375"), Number="SO-2")
    world.sync()
    by_number = {record["docno"]: record for record in world.erp.all("salesorder").values()}
    assert by_number["SO-1"]["total"] == Decimal("5900.00")
    assert by_number["SO-1"]["items"][0]["amount"] == Decimal("5900.00")
    assert by_number["SO-2"]["items"][0]["rate"] == Decimal("0.0375")
    assert by_number["SO-2"]["total"] == Decimal("37.50")
    assert world.sync_until_quiet() == 0


def test_a_document_that_does_not_add_up_does_not_pass(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"), Total=Decimal("10.01"))
    good = world.order_in_crm(account, ("P1", 1, "10"), Number="SO-2")
    world.sync()
    assert [record["docno"] for record in world.erp.all("salesorder").values()] == ["SO-2"]
    assert [(row.kind, row.error, row.key) for row in world.parked()] == [("record", "total", order)]
    world.crm.edit("Order", order, {"Total": Decimal(10)})
    world.sync()
    assert len(world.erp.all("salesorder")) == 2
    assert world.parked() == []
    world.crm.edit("Order", good, {"Total": Decimal(99), "Po": "new"})
    world.sync()
    assert {record["total"] for record in world.erp.all("salesorder").values()} == {Decimal(10)}
    assert [row.error for row in world.parked()] == ["total"]


def test_an_amount_is_not_written_into_a_document_that_is_kept_in_another_currency(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"))
    world.sync_until_quiet()
    key, before = world.partner("crm", "Order", order, "erp")
    line = (world.crm.get("Order", order) or {})["OrderItem"][0]["Id"]
    world.crm.edit(
        "Order",
        order,
        {"Currency": "USD", "Total": Decimal(11), "Po": "new"},
        {"OrderItem": row_write(change={line: {"Price": 11, "Amount": 11}})},
    )
    world.sync()
    assert world.erp.get("salesorder", key) == before
    assert [(row.kind, row.field, row.key) for row in world.parked()] == [("field", "currency", key)]
    assert {"currency", "total"} <= {difference.path for difference in world.verify().differences}
    world.assert_quiet()
    world.erp.edit("salesorder", key, {"cur": "USD"})
    world.sync()
    assert says(world.erp.get("salesorder", key) or {}, cur="USD", total=Decimal(11), po="new")
    assert world.parked() == []
    world.assert_agree()


def test_a_changed_currency_alone_is_told_where_no_update_can_write_it(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"))
    world.sync_until_quiet()
    key, _ = world.partner("crm", "Order", order, "erp")
    world.crm.edit("Order", order, {"Currency": "USD"})
    world.sync()
    assert [(row.kind, row.field, row.key) for row in world.parked()] == [("field", "currency", key)]
    world.crm.edit("Order", order, {"Currency": "EUR", "Po": "new"})
    world.sync()
    assert says(world.erp.get("salesorder", key) or {}, cur="EUR", po="new")
    assert world.parked() == []


def test_the_amounts_of_lines_are_read_anew_in_the_currency_that_their_document_moves_to(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "1.50"))
    world.sync_until_quiet()
    key, held = world.partner("crm", "Order", order, "erp")
    world.crm.edit("Order", order, {"Currency": "JPY"})
    before = world.crm.get("Order", order)
    world.sync_until_quiet()
    golden = world.golden("order")
    assert (golden.fields["total"], golden.fields["lines"][0]["amount"]) == (2, 2), "a yen has no minor unit"
    assert world.crm.get("Order", order) == before, "what it says is not written back to it"
    assert world.erp.get("salesorder", key) == held


def test_amounts_of_two_currencies_are_not_added_up(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"), ("P2", 1, "5"))
    world.sync_until_quiet()
    key, held = world.partner("crm", "Order", order, "erp")
    world.crm.edit("Order", order, {"Currency": "USD"})
    row = next(row["line"] for row in held["items"] if row["item"] == "P2")
    world.erp.edit("salesorder", key, {"total": Decimal(17)}, {"items": row_write(change={row: {"rate": 7, "amount": 7}})})
    world.sync()
    assert says(world.crm.get("Order", order) or {}, Currency="USD", Total=Decimal(15))
    assert [row.error for row in world.parked()] == ["total", "total"]
    world.crm.edit("Order", order, {"Currency": "EUR"})
    for row in world.parked():
        retry(world.store, row.id)
    world.sync_until_quiet()
    assert says(world.crm.get("Order", order) or {}, Currency="EUR", Total=Decimal(17))
    assert world.parked() == []


def test_a_document_of_which_a_part_was_written_when_the_bridge_died_is_written_to_its_end(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"), ("P2", 1, "10"))
    world.sync()
    key, held = world.only("erp", "salesorder")
    one, other = (row["line"] for row in held["items"])
    new = {"item": "P3", "qty": Decimal(3), "rate": Decimal(10), "amount": Decimal(30)}
    more = {"qty": Decimal(2), "amount": Decimal(20)}
    world.erp.edit("salesorder", key, {"total": Decimal(50)}, {"items": row_write([new], {one: more}, [other])})

    def die_with_the_lines_written() -> None:
        one, other = (row["Id"] for row in (world.crm.get("Order", order) or {})["OrderItem"])
        new = {"Product": "P3", "Qty": Decimal(3), "Price": Decimal(10), "Amount": Decimal(30)}
        more = {"Qty": Decimal(2), "Amount": Decimal(20)}
        world.crm.edit("Order", order, {}, {"OrderItem": row_write([new], {one: more}, [other])})
        raise Died("between the lines and the total")

    world.crm.faults.add("write", "before", act=die_with_the_lines_written)
    with suppress(Died):
        world.sync()
    world.crm.edit("Order", order, {"Po": "theirs"})
    world.sync_until_quiet()
    assert says(world.crm.get("Order", order) or {}, Total=Decimal(50), Po="theirs")
    assert says(world.erp.get("salesorder", key) or {}, total=Decimal(50), po="theirs")
    assert [row["Product"] for row in (world.crm.get("Order", order) or {})["OrderItem"]] == ["P1", "P3"]
    assert world.parked() == []


def test_a_document_read_between_two_saves_is_read_again_once(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"), Total=Decimal(30))
    world.crm.faults.add("read", "before", act=lambda: world.crm.edit("Order", order, {"Total": Decimal(10)}))
    world.sync()
    (held,) = world.erp.all("salesorder").values()
    assert held["total"] == 10
    assert world.parked() == []


def test_two_edits_of_lines_are_both_kept_and_the_total_is_their_sum(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"), ("P2", 1, "10"))
    world.sync()
    key, held = world.only("erp", "salesorder")
    first = (world.crm.get("Order", order) or {})["OrderItem"][0]["Id"]
    world.crm.edit(
        "Order", order, {"Total": Decimal(30)}, {"OrderItem": row_write(change={first: {"Qty": Decimal(2), "Amount": Decimal(20)}})}
    )
    second = held["items"][1]["line"]
    world.erp.edit(
        "salesorder", key, {"total": Decimal(40)}, {"items": row_write(change={second: {"qty": Decimal(3), "amount": Decimal(30)}})}
    )
    world.sync()
    assert world.parked() == []
    assert says(world.crm.get("Order", order) or {}, Total=Decimal(50))
    assert says(world.erp.get("salesorder", key) or {}, total=Decimal(50))
    world.assert_quiet()


# --- L11: four kinds of empty -----------------------------------------------------------------------------------------------------


def test_a_cleared_field_is_cleared_on_the_other_side(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer(Phone="1", Street="Weg 1")
    world.crm.edit("Account", account, {"Phone": None})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, tel=None, mail="info@acme.example", addr="Weg 1")


def test_an_unmapped_field_is_not_touched(make: Make) -> None:
    world = make(mappings={"customer/crm": {"fields": {"phone": None}}})
    account, customer = world.joined_customer(Phone="1")
    world.erp.edit("customer", customer, {"tel": "2", "mail": "new@acme.example"})
    world.sync()
    assert says(world.crm.get("Account", account) or {}, Phone="1", Email="new@acme.example")
    world.crm.edit("Account", account, {"Phone": None, "Email": "newer@acme.example"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, tel="2", mail="newer@acme.example")


def test_a_field_that_the_credential_may_no_longer_read_is_not_taken_as_cleared(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer(Phone="1")
    world.crm.rights["bridge"] = Rights(hidden_fields={"Account": ("Phone",)})
    world.crm.edit("Account", account, {"Email": "new@acme.example"})
    with pytest.raises((PermissionDenied, SchemaDrift)):
        world.sync()
    assert says(world.erp.get("customer", customer) or {}, tel="1")
    world.crm.rights["bridge"] = Rights()
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, tel="1", mail="new@acme.example")


def test_zero_is_a_value_and_no_clearing(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer()
    world.erp.edit("customer", customer, {"credit": Decimal(0)})
    world.sync()
    assert (world.crm.get("Account", account) or {})["Limit"] == 0
    world.erp.edit("customer", customer, {"credit": None})
    world.sync()
    assert (world.crm.get("Account", account) or {})["Limit"] is None


def test_an_empty_cell_that_is_to_be_kept_clears_nothing(make: Make) -> None:
    world = make(mappings={"customer/crm": {"fields": {"phone": {"external": "Phone", "nulls": {"in": "keep"}}}}})
    account, customer = world.joined_customer(Phone="1")
    world.crm.edit("Account", account, {"Phone": None, "Email": "new@acme.example"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, tel="1", mail="new@acme.example")


# --- L12: other tenants -----------------------------------------------------------------------------------------------------------


def test_the_bridge_keeps_within_its_share_and_goes_on_the_next_day(make: Make) -> None:
    world = make(page_size=3)
    for n in range(30):
        world.crm.create("Account", {"Name": f"C{n:02}", "Vat": f"DE{n:02}"})
    spent: list[int] = []
    budgets: list[Budget] = []

    def open_with_share(name: str, _: Any) -> Connector:
        budget = Budget(calls=6)
        budgets.append(budget)
        return MemoryConnector(world.systems[name], page_size=3, budget=budget)

    world.opener = open_with_share
    for _ in range(20):
        with suppress(QuotaExhausted):
            world.sync()
        spent.extend(budget.spent for budget in budgets)
        budgets.clear()
    assert max(spent) <= 6
    assert sorted(record["companyName"] for record in world.erp.all("customer").values()) == [f"C{n:02}" for n in range(30)]
    world.living()
    world.assert_quiet()


# --- L13: changed rules -----------------------------------------------------------------------------------------------------------

OPEN_ONLY = {"customer/crm": {"when": "Status != 'closed'"}}


def test_a_record_that_leaves_its_filter_is_asleep_and_nothing_is_read_or_written(make: Make) -> None:
    world = make(mappings=OPEN_ONLY)
    account, customer = world.joined_customer(Status="open")
    world.crm.edit("Account", account, {"Status": "closed", "Phone": "1"})
    world.sync()
    assert world.links(world.golden().id)["crm"].state == "asleep"
    assert says(world.erp.get("customer", customer) or {}, tel=None, inactive="no")
    world.erp.edit("customer", customer, {"mail": "new@acme.example"})
    world.sync()
    assert says(world.crm.get("Account", account) or {}, Email="info@acme.example")
    assert len(world.crm.all("Account")) == 1
    world.assert_quiet()


def test_a_record_that_comes_back_into_its_filter_brings_its_edits_and_gets_those_of_others(make: Make) -> None:
    world = make(mappings=OPEN_ONLY)
    account, customer = world.joined_customer(Status="open")
    world.crm.edit("Account", account, {"Status": "closed", "Phone": "1"})
    world.sync()
    world.erp.edit("customer", customer, {"mail": "new@acme.example"})
    world.sync()
    world.crm.edit("Account", account, {"Status": "open"})
    world.sync_until_quiet()
    assert says(world.erp.get("customer", customer) or {}, tel="1", mail="new@acme.example", inactive="no")
    assert says(world.crm.get("Account", account) or {}, Phone="1", Email="new@acme.example")


def test_a_changed_filter_deletes_nothing_and_writes_nothing_unseen(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}})
    account, customer = world.joined_customer(Status="closed")
    world.library = world.mapped({"customer": {"on_delete": "delete"}}, OPEN_ONLY)
    assert world.writes_of(world.sync) == []
    assert world.links(world.golden().id)["crm"].state == "asleep"
    assert world.crm.get("Account", account) is not None
    assert world.erp.get("customer", customer) is not None


def test_a_changed_mapping_that_changes_nothing_needs_no_review(make: Make) -> None:
    world = make()
    world.joined_customer()
    world.library = world.mapped({}, {"customer/crm": {"fields": {"phone": {"external": "Phone", "via": ["trim"]}}}})
    world.sync()
    assert not world.sync().review


def _map_phone_later(make: Make, there: str | None, here: str | None) -> tuple[World, str, str]:
    world = make(mappings={"customer/crm": {"fields": {"phone": None}}})
    account, customer = world.joined_customer(Phone=there)
    world.erp.edit("customer", customer, {"tel": here})
    world.sync()
    world.library = world.mapped({"customer": {"fields": {"phone": {"on_clash": "ask"}}}}, {})
    return world, account, customer


def test_a_field_mapped_later_is_not_written_before_its_plan_was_reviewed(make: Make) -> None:
    world, account, _ = _map_phone_later(make, None, "2")
    assert world.writes_of(world.sync) == []
    report = world.sync()
    assert report.review
    assert report.plan is not None
    assert says(world.crm.get("Account", account) or {}, Phone=None)
    world.apply(report)
    assert says(world.crm.get("Account", account) or {}, Phone="2")
    assert not world.sync().review
    world.assert_quiet()


def test_a_field_mapped_later_takes_the_value_of_the_side_that_has_one(make: Make) -> None:
    world, account, customer = _map_phone_later(make, "1", None)
    world.apply(world.plan())
    assert says(world.erp.get("customer", customer) or {}, tel="1")
    assert says(world.crm.get("Account", account) or {}, Phone="1")


def test_a_field_mapped_later_that_is_equal_is_bound_without_a_write(make: Make) -> None:
    world, *_ = _map_phone_later(make, "1", "1")
    assert world.writes_of(world.sync) == []
    assert not world.sync().review
    world.assert_agree()


def test_a_field_mapped_later_that_differs_is_asked_and_never_pushed_over(make: Make) -> None:
    world, account, customer = _map_phone_later(make, "1", "2")
    world.apply(world.plan())
    world.sync()
    assert says(world.crm.get("Account", account) or {}, Phone="1")
    assert says(world.erp.get("customer", customer) or {}, tel="2")
    (row,) = world.parked("clash")
    assert row.field == "phone"


def test_an_edit_made_just_before_the_rules_changed_is_not_lost(make: Make) -> None:
    world = make(mappings={"customer/crm": {"fields": {"parent": None}}})
    account, customer = world.joined_customer(Phone="1", Zip="53111")
    world.crm.edit("Account", account, {"Phone": None, "Email": "new@acme.example"})
    world.library = world.mapped({}, {})
    world.apply(world.plan())
    assert says(world.crm.get("Account", account) or {}, Phone=None, Email="new@acme.example")
    assert says(world.erp.get("customer", customer) or {}, tel=None, mail="new@acme.example")
    assert world.parked() == []


def test_a_changed_table_overwrites_nothing_that_was_not_read_under_it(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer(Status="open")
    turned = {"status": {"external": "Status", "via": [{"map": {"pairs": {"open": "inactive", "closed": "active", "gone": "archived"}}}]}}
    world.library = world.mapped({}, {"customer/crm": {"fields": turned}})
    world.sync()
    world.apply(world.plan())
    world.sync()
    assert (world.crm.get("Account", account) or {})["Status"] == "open"
    assert (world.erp.get("customer", customer) or {})["inactive"] == "no"
    assert [row.field for row in world.parked("clash")] == ["status"]


def test_a_plan_made_under_other_rules_is_not_done(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer(Status="open")
    world.erp.edit("customer", customer, {"inactive": "yes", "tel": "5"})
    plan = world.plan()
    turned = {"status": {"external": "Status", "via": [{"map": {"pairs": {"open": "inactive", "closed": "active", "gone": "archived"}}}]}}
    world.library = world.mapped({}, {"customer/crm": {"fields": turned}})
    report = world.apply(plan)
    assert len(report.stale) == 1
    assert says(world.crm.get("Account", account) or {}, Status="open", Phone=None)


def test_under_changed_match_rules_who_is_known_is_still_found(make) -> None:
    world = make()
    world.joined_customer(Phone="1")
    rules = [{"keys": ["phone"]}, {"keys": ["tax_id"]}, {"keys": ["email", "name"]}]
    world.library = world.mapped({"customer": {"match": rules}}, {})
    world.crm.create("Account", {"Name": "Acme Ltd", "Email": "info@acme.example", "Phone": "1"})
    world.sync()
    assert len(world.erp.all("customer")) == 1
    assert [(row.kind, row.error) for row in world.parked()] == [("review", "double")]
