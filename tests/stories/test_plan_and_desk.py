"""Policies, plans, brakes, and what a person decides: facts about whole runs. Each was seen red; how the engine was broken for it:

=========  =============================================  ====================================================================
what       tests                                          broken by
=========  =============================================  ====================================================================
clashes    order_of_arrival                               the first edit is accepted, whatever the others say
clashes    what_no_policy_settles, freezes_its_field      a path in clash is pushed
clashes    may_not_is_set_back                            an edit by whoever is taken
clashes    newer_edit_wins                                versions have no order
groups     carries_only_part                              a system moves a group that it does not carry whole
plan       stale, all_or_nothing, applied_twice           a step is done whatever it rested on
plan       altered, cut_short                             the fingerprint is not looked at
plan       repeats_no_create                              a step is done while its link's last write has no outcome
brakes     many_deletes, many_creates, great_share, …     a brake that is passed does not trip
brakes     over_its_window                                what earlier runs wrote does not count
desk       settled_natural_key                            a settled value is not noted as natural key
desk       second_copy_is_an_alias                        an alias is merged
told       each_member_of_a_group                         the losers of a group are told as one
told       holds_in_its_own_way, excuse_an_unread_edit    an answered value, or a dirty link, excuses every difference
=========  =============================================  ====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from stories.world import FLOW, Died, World, row_write, says

from erpcrm_bridge.cli import telling
from erpcrm_bridge.cli.typed import typed
from erpcrm_bridge.connector import Applied, Change, Connector, Outcome, Page, Record, Selection, Write
from erpcrm_bridge.errors import BrakeTripped, InputError, TransientError, UsageError
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.sync import brake
from erpcrm_bridge.sync.clashes import clash_row
from erpcrm_bridge.sync.desk import after_delete, bind, found_new, retry, settle_clash
from erpcrm_bridge.sync.explain import Explained, FieldStory, explain, field_story
from erpcrm_bridge.sync.merge import Candidate, Clash
from erpcrm_bridge.sync.notes import new_run
from erpcrm_bridge.sync.plan import read_steps
from erpcrm_bridge.testing.system import Rights


class Make(Protocol):
    def __call__(self, **more: Any) -> World: ...


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[World] = []

    def world(**more: Any) -> World:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(World(folder, **{"entities": ("customer",), **more}))
        return made[-1]

    yield world
    for one in made:
        one.close()


def phone_by(policy: Any, **more: Any) -> dict[str, Any]:
    """Return rules under which the telephone obeys a policy."""
    return {"customer": {"fields": {"phone": {"on_clash": policy, **more}}}}


def both_edit(world: World, here: str | None, there: str | None, before: str | None = "0") -> tuple[str, str]:
    """Join a customer, and let its telephone be edited on both sides."""
    account, customer = world.joined_customer(Phone=before)
    world.crm.edit("Account", account, {"Phone": here})
    world.erp.edit("customer", customer, {"tel": there})
    world.sync_until_quiet()
    return account, customer


def phones(world: World, account: str, customer: str) -> tuple[Any, Any]:
    return (world.crm.get("Account", account) or {})["Phone"], (world.erp.get("customer", customer) or {})["tel"]


# --- who wins a clash -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "here", "there", "wins"),
    [
        ({"prefer": ["crm", "erp"]}, "1", "2", "1"),
        ({"prefer": ["erp", "crm"]}, "1", "2", "2"),
        ({"prefer": ["crm", "erp"]}, None, "2", None),
        ("non_empty", None, "2", "2"),
        ("non_empty", "1", None, "1"),
        ("max", "1", "2", "2"),
        ("min", "1", "2", "1"),
        ("union", "a;b", "b;c", "a;b;c"),
    ],
)
def test_a_policy_says_who_wins(make: Make, policy: Any, here: str | None, there: str | None, wins: str | None) -> None:
    world = make(rules=phone_by(policy))
    account, customer = both_edit(world, here, there)
    assert phones(world, account, customer) == (wins, wins)
    assert world.parked() == []
    world.assert_quiet()


def test_words_of_a_union_that_its_author_never_said_stay_when_he_says_something_else(make: Make) -> None:
    world = make(rules=phone_by("union"))
    account, customer = world.joined_customer(Phone="a")
    world.crm.edit("Account", account, {"Phone": "a;b"})
    world.erp.edit("customer", customer, {"tel": "a;c"})
    world.plan()  # merges, and writes nothing yet
    world.crm.edit("Account", account, {"Phone": "a;b;d"})
    world.sync_until_quiet()
    assert phones(world, account, customer) == ("a;b;c;d", "a;b;c;d")
    world.crm.edit("Account", account, {"Phone": "a;d"})  # in sight of all of them
    world.sync_until_quiet()
    assert phones(world, account, customer) == ("a;d", "a;d")
    world.assert_quiet()


@pytest.mark.parametrize("policy", ["ask", "non_empty", "newer"])
def test_what_no_policy_settles_is_asked_and_both_keep_theirs(make: Make, policy: str) -> None:
    world = make(rules=phone_by(policy))
    account, customer = both_edit(world, "1", "2")
    assert phones(world, account, customer) == ("1", "2")
    assert [row.field for row in world.parked("clash")] == ["phone"]
    world.assert_quiet()


class Stamped:
    """A connector to a system whose versions are the instants of its changes."""

    def __init__(self, connector: Connector, world: World, role: str) -> None:
        self._connector, self._system = connector, world.systems[role]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)

    def _stamp(self, stream: str, key: str) -> str:
        at = next(event.at for event in reversed(self._system.log) if (event.stream, event.key) == (stream, key))
        return datetime.fromtimestamp(at, UTC).isoformat()

    def _record(self, stream: str, record: Record) -> Record:
        return msgspec.structs.replace(record, version=self._stamp(stream, record.key))

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        for page in self._connector.read_changes(selection, since):
            changes = [
                Change(change.key, self._record(selection.stream, change.record) if change.record else None, change.merged_into)
                for change in page.changes
            ]
            yield msgspec.structs.replace(page, changes=changes)

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        return [self._record(selection.stream, record) for record in self._connector.read(selection, keys)]

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        outcomes = self._connector.write(selection, [msgspec.structs.replace(write, version=None) for write in writes])
        return [
            msgspec.structs.replace(outcome, version=self._stamp(selection.stream, outcome.key))
            if isinstance(outcome, Applied)
            else outcome
            for outcome in outcomes
        ]


ORDERED = {"capabilities": {"version_order": 1.0}}


@pytest.mark.parametrize(("first", "second"), [("crm", "erp"), ("erp", "crm")])
def test_the_newer_edit_wins_where_versions_are_ordered_instants(make: Make, first: str, second: str) -> None:
    world = make(rules=phone_by("newer"), specs={"crm.Account": ORDERED, "erp.customer": ORDERED})
    world.opener = lambda name, _: Stamped(world.connect(name), world, name)
    account, customer = world.joined_customer(Phone="0")
    edits = {
        "crm": lambda: world.crm.edit("Account", account, {"Phone": "crm"}),
        "erp": lambda: world.erp.edit("customer", customer, {"tel": "erp"}),
    }
    edits[first]()
    world.clock.now += 60
    edits[second]()
    world.sync_until_quiet()
    assert phones(world, account, customer) == (second, second)


def test_edits_within_the_skew_are_asked(make: Make) -> None:
    world = make(
        rules={"customer": {"skew": "5s", **phone_by("newer")["customer"]}}, specs={"crm.Account": ORDERED, "erp.customer": ORDERED}
    )
    world.opener = lambda name, _: Stamped(world.connect(name), world, name)
    account, customer = world.joined_customer(Phone="0")
    world.crm.edit("Account", account, {"Phone": "1"})
    world.clock.now += 3
    world.erp.edit("customer", customer, {"tel": "2"})
    world.sync()
    assert [row.field for row in world.parked("clash")] == ["phone"]


def test_two_people_who_edit_two_fields_both_keep_their_edit(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer()
    world.crm.edit("Account", account, {"Phone": "1"})
    world.erp.edit("customer", customer, {"mail": "new@acme.example"})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Phone="1", Email="new@acme.example")
    assert says(world.erp.get("customer", customer) or {}, tel="1", mail="new@acme.example")


def test_a_lone_edit_is_accepted_whatever_the_policy_prefers(make: Make) -> None:
    world = make(rules=phone_by({"prefer": ["crm", "erp"]}))
    account, customer = world.joined_customer(Phone="0")
    world.erp.edit("customer", customer, {"tel": "2"})
    world.sync_until_quiet()
    assert phones(world, account, customer) == ("2", "2")


def test_a_clash_freezes_its_field_alone(make: Make) -> None:
    world = make(rules=phone_by("ask"))
    account, customer = both_edit(world, "1", "2")
    world.crm.edit("Account", account, {"Email": "new@acme.example"})
    world.sync()
    assert says(world.erp.get("customer", customer) or {}, tel="2", mail="new@acme.example")
    assert phones(world, account, customer) == ("1", "2")


def test_a_clash_is_over_when_both_sides_agree_by_themselves(make: Make) -> None:
    world = make(rules=phone_by("ask"))
    _, customer = both_edit(world, "1", "2")
    world.erp.edit("customer", customer, {"tel": "1"})
    world.sync()
    assert world.parked() == []
    assert world.golden().fields["phone"] == "1"
    world.assert_agree()


def test_an_edit_while_a_clash_is_open_changes_what_the_clash_is_about(make: Make) -> None:
    world = make(rules=phone_by("ask"))
    _, customer = both_edit(world, "1", "2")
    world.erp.edit("customer", customer, {"tel": "3"})
    world.sync()
    (row,) = world.parked("clash")
    assert {candidate["by"]: candidate["values"] for candidate in row.data["candidates"]} == {"crm": ["1"], "erp": ["3"]}


def test_an_edit_by_a_system_that_may_not_is_set_back_and_told(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer()
    world.erp.edit("customer", customer, {"credit": Decimal(100)})
    world.sync()
    world.crm.edit("Account", account, {"Limit": Decimal(999)})
    world.sync()
    assert (world.crm.get("Account", account) or {})["Limit"] == 100
    assert (world.erp.get("customer", customer) or {})["credit"] == 100
    refused = [event for event in story(world, "credit_limit").events if event["what"] == "refused"]
    assert [(event["by"], event["values"]) for event in refused] == [("crm", [Decimal(999)])]
    world.assert_quiet()


def test_a_group_moves_as_one_value(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer(Street="Weg 1", City="Bonn", Zip="53111")
    world.crm.edit("Account", account, {"Street": "Gasse 2"})
    world.erp.edit("customer", customer, {"town": "Ulm", "postcode": "89073"})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Street="Weg 1", City="Ulm", Zip="89073")
    assert says(world.erp.get("customer", customer) or {}, addr="Weg 1", town="Ulm", postcode="89073")


def test_a_system_that_carries_only_part_of_a_group_cannot_move_it(make: Make) -> None:
    world = make(mappings={"customer/erp": {"fields": {"billing.line1": None}}})
    account, customer = world.joined_customer(Street="Weg 1", City="Bonn", Zip="53111")
    world.erp.edit("customer", customer, {"town": "Ulm"})
    world.sync()
    assert says(world.crm.get("Account", account) or {}, Street="Weg 1", City="Bonn", Zip="53111")
    assert says(world.erp.get("customer", customer) or {}, town="Bonn")
    (event,) = [event for event in story(world, "billing.city").events if event["what"] == "refused"]
    assert (event["by"], event["values"], event["why"]) == ("erp", ["Ulm"], "it carries only a part of what moves as one")


THREE = {"roles": ("crm", "erp", "shop")}


def three_edits(world: World, order: Sequence[str], values: dict[str, str]) -> dict[str, Any]:
    """Join a customer in three systems, edit its telephone in this order, sync until quiet; return what golden and the systems hold."""
    account, customer = world.joined_customer(Phone="0")
    client = world.partner("crm", "Account", account, "shop")[0]
    edit: dict[str, Callable[[], None]] = {
        "crm": lambda: world.crm.edit("Account", account, {"Phone": values["crm"]}),
        "erp": lambda: world.erp.edit("customer", customer, {"tel": values["erp"]}),
        "shop": lambda: world.shop.edit("client", client, {"tel": values["shop"]}),
    }
    for role in order:
        world.clock.now += 60
        edit[role]()
    world.sync_until_quiet()
    return {
        "golden": world.golden().fields.get("phone"),
        "crm": (world.crm.get("Account", account) or {})["Phone"],
        "erp": (world.erp.get("customer", customer) or {})["tel"],
        "shop": (world.shop.get("client", client) or {})["tel"],
        "parked": [(row.kind, row.field, [candidate["by"] for candidate in row.data["candidates"]]) for row in world.parked()],
    }


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [
        ("ask", None),
        ({"prefer": ["erp", "shop", "crm"]}, "2"),
        ({"prefer": ["shop"]}, "3"),
        ("max", "3"),
        ("min", "1"),
        ("union", "1;2;3"),
    ],
)
def test_with_three_systems_the_order_of_arrival_decides_nothing(make: Make, policy: Any, outcome: str | None) -> None:
    results = []
    for order in permutations(("crm", "erp", "shop")):
        world = make(rules=phone_by(policy), **THREE)
        results.append(three_edits(world, order, {"crm": "1", "erp": "2", "shop": "3"}))
    assert all(result == results[0] for result in results)
    if outcome is None:
        assert results[0] == {
            "golden": "0",
            "crm": "1",
            "erp": "2",
            "shop": "3",
            "parked": [("clash", "phone", ["crm", "erp", "shop"])],
        }
    else:
        assert results[0] == {"golden": outcome, "crm": outcome, "erp": outcome, "shop": outcome, "parked": []}


# --- plan and apply ---------------------------------------------------------------------------------------------------------------


def test_a_plan_writes_nothing_and_applying_it_does_exactly_its_steps(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer()
    world.crm.edit("Account", account, {"Phone": "1"})
    other = world.crm.create("Account", {"Name": "New"})
    made: list[Any] = []
    assert world.writes_of(lambda: made.append(world.plan())) == []
    (plan,) = made
    assert sorted(step.operation for step in read_steps(Path(plan.plan))) == ["create", "update"]
    world.crm.edit("Account", account, {"Email": "later@acme.example"})
    written = world.writes_of(lambda: world.apply(plan))
    assert sorted(event.verb for event in written) == ["create", "edit"]
    assert says(world.erp.get("customer", customer) or {}, tel="1", mail="info@acme.example")
    assert says(world.erp_of(other), companyName="New")


def test_steps_gone_stale_are_left_out_and_listed(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer()
    other, its = world.joined_customer(Name="Other", Email="o@x.example")
    world.crm.edit("Account", account, {"Phone": "1"})
    world.crm.edit("Account", other, {"Phone": "2"})
    plan = world.plan()
    world.crm.edit("Account", account, {"Phone": "9"})
    world.plan()
    report = world.apply(plan)
    assert [step.label for step in report.stale] == ["Acme"]
    assert (world.erp.get("customer", customer) or {})["tel"] is None
    assert (world.erp.get("customer", its) or {})["tel"] == "2"
    world.sync()
    assert (world.erp.get("customer", customer) or {})["tel"] == "9"


def test_all_or_nothing_does_nothing_where_one_step_is_stale(make: Make) -> None:
    world = make()
    account, _ = world.joined_customer()
    other, its = world.joined_customer(Name="Other", Email="o@x.example")
    world.crm.edit("Account", account, {"Phone": "1"})
    world.crm.edit("Account", other, {"Phone": "2"})
    plan = world.plan()
    world.crm.edit("Account", account, {"Phone": "9"})
    world.plan()
    reports: list[Any] = []
    assert world.writes_of(lambda: reports.append(world.apply(plan, all_or_nothing=True))) == []
    assert [step.label for step in reports[0].stale] == ["Acme"]
    assert (world.erp.get("customer", its) or {})["tel"] is None


def test_a_plan_that_was_altered_is_refused(make: Make) -> None:
    world = make()
    account, _ = world.joined_customer()
    world.crm.edit("Account", account, {"Phone": "1"})
    plan = world.plan()
    path = Path(plan.plan or "")
    path.write_bytes(path.read_bytes().replace(b'"1"', b'"6"'))
    with pytest.raises(InputError):
        world.apply(plan)
    assert world.erp_of(account)["tel"] is None


def test_a_plan_that_was_cut_short_is_refused(make: Make) -> None:
    world = make()
    account, _ = world.joined_customer()
    world.crm.edit("Account", account, {"Phone": "1"})
    plan = world.plan()
    path = Path(plan.plan or "")
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(InputError):
        world.apply(plan)


def test_a_plan_applied_twice_is_done_once(make: Make) -> None:
    world = make()
    account, _ = world.joined_customer()
    world.crm.edit("Account", account, {"Phone": "1"})
    world.crm.create("Account", {"Name": "New"})
    plan = world.plan()
    world.apply(plan)
    again: list[Any] = []
    assert world.writes_of(lambda: again.append(world.apply(plan))) == []
    assert len(again[0].stale) == 2
    assert len(world.erp.all("customer")) == 2


def test_a_plan_applied_twice_repeats_no_create_whose_answer_was_lost(make: Make) -> None:
    world = make(mappings={"customer/erp": {"key": {"id": "Id"}}})  # no external id: it can never be looked up by reference
    world.crm.create("Account", {"Name": "New"})
    plan = world.plan()
    world.erp.faults.add("write", "answer_lost")
    world.apply(plan)
    world.apply(plan)
    world.sync()
    assert len(world.erp.all("customer")) == 1
    assert [row.kind for row in world.parked("intention")] == ["intention"]


def test_the_fingerprint_stands_for_the_steps(make: Make) -> None:
    world = make()
    account, _ = world.joined_customer()
    world.crm.edit("Account", account, {"Phone": "1"})
    first, again = world.plan(), world.plan()
    world.crm.edit("Account", account, {"Phone": "2"})
    other = world.plan()
    assert first.head is not None
    assert again.head is not None
    assert other.head is not None
    assert first.head.fingerprint == again.head.fingerprint != other.head.fingerprint


# --- brakes -----------------------------------------------------------------------------------------------------------------------


def many(world: World, count: int) -> list[str]:
    keys = [world.crm.create("Account", {"Name": f"C{n:02}", "Vat": f"DE{n:02}"}) for n in range(count)]
    world.sync_until_quiet()
    return keys


def test_many_deletes_trip_the_brake_and_nothing_is_written_until_a_person_releases_it(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}}, brakes={"deletes": 3})
    keys = many(world, 5)
    for key in keys:
        world.crm.delete("Account", key)
    with pytest.raises(BrakeTripped):
        world.sync()
    with pytest.raises(BrakeTripped):
        world.sync()
    assert len(world.erp.all("customer")) == 5
    assert brake.release(world.store, FLOW, person="op") == 1
    with pytest.raises(BrakeTripped):
        world.sync()  # the deletes in the ERP are looked at too
    assert len(world.erp.all("customer")) == 5
    brake.release(world.store, FLOW, person="op")
    world.sync()
    assert world.erp.all("customer") == {}
    world.assert_quiet()


def test_a_brake_counts_over_its_window_and_not_by_run(make: Make) -> None:
    world = make(brakes={"deletes": 3})
    keys = many(world, 6)
    for key in keys[:2]:
        world.crm.delete("Account", key)
    world.sync()
    for key in keys[2:4]:
        world.crm.delete("Account", key)
    with pytest.raises(BrakeTripped):
        world.sync()


class OutOfReach:
    """A connector to a system that answers what it is, and no longer when it is read."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        raise TransientError("It does not answer.", way_out="Try again.")


class Unwritable(OutOfReach):
    """A connector to a system that can be read and not be reached for a write."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        return self._connector.read_changes(selection, since)

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        raise TransientError("It does not answer.", way_out="Try again.")


def test_what_a_run_has_pulled_before_it_failed_counts_for_the_brakes(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}}, brakes={"deletes": 3})
    for key in many(world, 5)[:4]:
        world.crm.delete("Account", key)
    opener = world.opener
    world.opener = lambda name, _: OutOfReach(world.connect(name)) if name == "erp" else world.connect(name)
    with pytest.raises(TransientError):
        world.sync()
    world.opener = opener
    with pytest.raises(BrakeTripped):
        world.sync()
    assert world.store.tripped(FLOW)[0]["system"] == "crm"
    assert world.store.tripped(FLOW)[0]["count"] == 4
    assert len(world.erp.all("customer")) == 5


def test_a_brake_counts_anew_from_its_release_also_when_what_tripped_it_leaves_the_window(make: Make) -> None:
    world = make(brakes={"deletes": 3})
    keys = many(world, 10)
    for key in keys[:5]:
        world.crm.delete("Account", key)
    with pytest.raises(BrakeTripped):
        world.sync()
    world.clock.now += 20 * 3600
    brake.release(world.store, FLOW, person="op")
    world.sync()
    world.clock.now += 5 * 3600  # a day since the deletes, and five hours since the release
    for key in keys[5:9]:
        world.crm.delete("Account", key)
    with pytest.raises(BrakeTripped):
        world.sync()


def test_a_brake_forgets_what_is_older_than_its_window(make: Make) -> None:
    world = make(brakes={"deletes": 3})
    keys = many(world, 6)
    for key in keys[:3]:
        world.crm.delete("Account", key)
    world.sync()
    world.clock.now += 25 * 3600
    for key in keys[3:]:
        world.crm.delete("Account", key)
    world.sync()
    assert world.store.tripped(FLOW) == []


def test_deletes_count_for_the_brake_wherever_the_run_that_read_them_dies(tmp_path: Path) -> None:
    """What was read is stored, and not read again: a later run would find nothing that it had to count."""
    world = World(tmp_path, brakes={"deletes": 3})
    for key in many(world, 5)[:4]:
        world.crm.delete("Account", key)
    kept = world.remember()
    counted = world.dying(0)
    with pytest.raises(BrakeTripped):
        world.sync()
    for at in range(1, len(counted.where) + 1):
        world.recall(kept).dying(at)
        with pytest.raises((Died, BrakeTripped)):
            world.sync()
        world.living()
        with pytest.raises(BrakeTripped):
            world.sync()
        assert {state for _, state, _ in world.store.count_links()} == {"live"}, counted.where[at - 1]


def test_many_creates_trip_the_brake(make: Make) -> None:
    world = make(brakes={"creates": 3})
    for n in range(4):
        world.crm.create("Account", {"Name": f"C{n}"})
    with pytest.raises(BrakeTripped):
        world.sync()
    assert world.erp.all("customer") == {}
    brake.release(world.store, FLOW, person="op")
    world.sync()
    assert len(world.erp.all("customer")) == 4


def created(world: World, names: Sequence[str]) -> list[str]:
    return [world.crm.create("Account", {"Name": name, "Vat": f"DE{name}"}) for name in names]


def braked_by_creates(make: Make, **brakes: Any) -> tuple[World, list[str]]:
    world = make(brakes={"creates": 3, **brakes})
    keys = created(world, "ABCD")
    with pytest.raises(BrakeTripped):
        world.sync()
    return world, keys


def test_what_a_release_lets_pass_waits_for_the_next_run_however_late_it_is(make: Make) -> None:
    world, _ = braked_by_creates(make, window="15m")
    brake.release(world.store, FLOW, person="op")
    world.clock.now += 3600
    world.sync()
    assert len(world.erp.all("customer")) == 4


def test_what_a_release_let_pass_counts_no_more_when_its_window_ends(make: Make) -> None:
    world, _ = braked_by_creates(make)
    brake.release(world.store, FLOW, person="op")
    world.clock.now += 12 * 3600
    world.sync()
    world.clock.now += 13 * 3600
    created(world, "E")
    world.sync()
    assert len(world.erp.all("customer")) == 5


@pytest.mark.parametrize("how", ["taken back", "applied"])
def test_a_release_lets_pass_what_was_looked_at_and_nothing_in_its_place(make: Make, how: str) -> None:
    world, keys = braked_by_creates(make)
    if how == "applied":
        plan = world.plan()
        brake.release(world.store, FLOW, person="op")
        world.apply(plan)
    else:
        for key in keys:
            world.crm.delete("Account", key)
        brake.release(world.store, FLOW, person="op")
        world.sync()
    before = len(world.erp.all("customer"))
    created(world, "EFGH")
    with pytest.raises(BrakeTripped):
        world.sync()
    assert len(world.erp.all("customer")) == before == {"taken back": 0, "applied": 4}[how]


def test_what_a_release_let_pass_is_not_stopped_again_because_of_another_brake(make: Make) -> None:
    """Two brakes that came on one after the other, and a flow that runs once a day: each release is for good."""
    world = make(brakes={"creates": 30, "changed": 0.5})
    keys = many(world, 30)
    world.clock.now += 25 * 3600
    created(world, [f"A{n}" for n in range(31)])
    with pytest.raises(BrakeTripped):
        world.sync()
    brake.release(world.store, FLOW, person="op")
    world.clock.now += 25 * 3600
    for key in keys[:25]:
        world.crm.edit("Account", key, {"Phone": "1"})
    with pytest.raises(BrakeTripped):
        world.sync()
    assert [row["kind"] for row in world.store.tripped(FLOW)] == ["changed"]
    brake.release(world.store, FLOW, person="op")
    world.clock.now += 25 * 3600
    world.sync()
    assert len(world.erp.all("customer")) == 61
    assert sum(record["tel"] == "1" for record in world.erp.all("customer").values()) == 25
    created(world, [f"B{n}" for n in range(31)])
    with pytest.raises(BrakeTripped):
        world.sync()


def test_what_a_release_let_pass_and_could_not_be_written_passes_with_a_later_run(make: Make) -> None:
    world, _ = braked_by_creates(make)
    brake.release(world.store, FLOW, person="op")
    opener = world.opener
    world.opener = lambda name, _: Unwritable(world.connect(name)) if name == "erp" else world.connect(name)
    world.sync()
    assert world.erp.all("customer") == {}
    world.opener = opener
    world.sync()
    assert len(world.erp.all("customer")) == 4


def test_a_great_share_changed_trips_the_brake(make: Make) -> None:
    world = make(brakes={"changed": 0.5})
    keys = many(world, 50)
    for key in keys[:25]:
        world.crm.edit("Account", key, {"Phone": "1"})
    world.sync()
    for key in keys[25:27]:
        world.crm.edit("Account", key, {"Phone": "1"})
    with pytest.raises(BrakeTripped):
        world.sync()
    assert sum(record["tel"] == "1" for record in world.erp.all("customer").values()) == 25


class Rewound:
    """A connector to a system that was set back to what it was: equal records have equal versions, as files have."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        for page in self._connector.read_changes(selection, since):
            changes = [Change(c.key, c.record and self._record(c.record), c.merged_into) for c in page.changes]
            yield msgspec.structs.replace(page, changes=changes)

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        return [self._record(record) for record in self._connector.read(selection, keys)]

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        outcomes = self._connector.write(selection, [msgspec.structs.replace(write, version=None) for write in writes])
        return [msgspec.structs.replace(o, version=repr(o.fields)) if isinstance(o, Applied) else o for o in outcomes]

    def _record(self, record: Record) -> Record:
        return msgspec.structs.replace(record, version=repr(record.fields))


def test_an_old_file_saved_over_the_new_one_trips_the_brake(make: Make) -> None:
    world = make(brakes={"reverts": 2})
    world.opener = lambda name, _: Rewound(world.connect(name)) if name == "crm" else world.connect(name)
    keys = many(world, 4)
    for key in keys:
        world.crm.edit("Account", key, {"Phone": "new"})
    world.sync_until_quiet()
    for key in keys:
        world.crm.edit("Account", key, {"Phone": None})
    with pytest.raises(BrakeTripped):
        world.sync()
    assert {record["tel"] for record in world.erp.all("customer").values()} == {"new"}


def test_a_plan_can_be_looked_at_while_a_brake_is_on(make: Make) -> None:
    world = make(brakes={"creates": 3})
    for n in range(4):
        world.crm.create("Account", {"Name": f"C{n}"})
    with pytest.raises(BrakeTripped):
        world.sync()
    plan = world.plan()
    assert plan.head is not None
    assert plan.head.counts == {"erp:create": 4}
    with pytest.raises(BrakeTripped):
        world.apply(plan)
    assert world.erp.all("customer") == {}


def deleted_under_a_brake(make: Make, on_delete: str) -> tuple[World, list[str]]:
    world = make(rules={"customer": {"on_delete": on_delete}}, brakes={"deletes": 3})
    keys = many(world, 5)
    for key in keys[:4]:
        world.crm.delete("Account", key)
    with pytest.raises(BrakeTripped):
        world.sync()
    return world, keys


def test_a_plan_under_a_brake_shows_what_follows_from_what_is_not_merged_yet_and_merges_nothing(make: Make) -> None:
    world, keys = deleted_under_a_brake(make, "delete")
    before = world.store.count_links(), world.store.count_incoming(), world.store.count_parked(FLOW)
    plan = world.plan()
    assert plan.head is not None
    assert plan.head.counts == {"erp:delete": 4}
    assert plan.unmerged == {"crm Account": 4}
    assert (world.store.count_links(), world.store.count_incoming(), world.store.count_parked(FLOW)) == before
    assert len(world.erp.all("customer")) == 5
    for key in keys[:4]:
        world.crm.restore("Account", key)  # they were not meant
    brake.release(world.store, FLOW, person="op")
    assert len(world.apply(plan).stale) == 4  # what it rests on was never stored
    world.sync_until_quiet()
    assert len(world.erp.all("customer")) == 5


def test_a_plan_under_a_brake_tells_of_what_is_gone_even_where_no_write_follows_from_it(make: Make) -> None:
    world, _ = deleted_under_a_brake(make, "unlink")
    plan = world.plan()
    assert plan.head is not None
    assert (plan.head.steps, plan.unmerged, plan.counts["gone"]) == (0, {"crm Account": 4}, 4)


def test_a_plan_under_a_brake_shows_what_an_old_file_would_write(make: Make) -> None:
    world = make(brakes={"reverts": 2})
    world.opener = lambda name, _: Rewound(world.connect(name)) if name == "crm" else world.connect(name)
    keys = many(world, 4)
    for phone in ("new", None):
        world.sync_until_quiet()
        for key in keys:
            world.crm.edit("Account", key, {"Phone": phone})
    with pytest.raises(BrakeTripped):
        world.sync()
    plan = world.plan()
    assert plan.head is not None
    assert plan.head.counts == {"erp:update": 4}
    assert {record["tel"] for record in world.erp.all("customer").values()} == {"new"}
    brake.release(world.store, FLOW, person="op")
    world.sync()
    assert {record["tel"] for record in world.erp.all("customer").values()} == {None}


# --- the desk ---------------------------------------------------------------------------------------------------------------------


def story(world: World, path: str) -> FieldStory:
    return field_story(told(world), path)


def told(world: World) -> Explained:
    return explain(world.store, world.golden().id, {system.identity: role for role, system in world.systems.items()})


def test_a_settled_clash_goes_to_all_systems(make: Make) -> None:
    world = make(rules=phone_by("ask"))
    account, customer = both_edit(world, "1", "2")
    (row,) = world.parked("clash")
    settle_clash(world.store, row.id, take="erp", person="op", clock=world.clock)
    world.sync()
    assert phones(world, account, customer) == ("2", "2")
    assert world.parked() == []
    world.assert_quiet()
    world.assert_agree()


def test_a_clash_can_be_settled_with_a_value_of_its_own(make: Make) -> None:
    world = make(rules=phone_by("ask"))
    account, customer = both_edit(world, "1", "2")
    (row,) = world.parked("clash")
    settle_clash(world.store, row.id, value="3", person="op", clock=world.clock)
    world.sync()
    assert phones(world, account, customer) == ("3", "3")


def test_a_clash_about_an_amount_of_a_line_is_settled_with_a_number(make: Make) -> None:
    ask = {"defaults": {"on_clash": "ask"}, "fields": {"lines.*": {"on_clash": "ask"}}}
    world = make(entities=("customer", "order"), rules={"order": ask})
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"))
    world.sync_until_quiet()
    key, held = world.partner("crm", "Order", order, "erp")
    line = (world.crm.get("Order", order) or {})["OrderItem"][0]["Id"]
    world.crm.edit("Order", order, {"Total": Decimal(11)}, {"OrderItem": row_write(change={line: {"Price": 11, "Amount": 11}})})
    other = row_write(change={held["items"][0]["line"]: {"rate": 12, "amount": 12}})
    world.erp.edit("salesorder", key, {"total": Decimal(12)}, {"items": other})
    world.sync()
    by_field = {str(row.field): row for row in world.parked("clash")}
    paths = {path.rpartition("/")[2]: path for path in by_field}
    assert paths.keys() == {"total", "amount", "unit_price"}
    for name, text, why in (
        ("amount", "twelve", "is a number"),
        ("amount", "10.505", "no more than 2 decimals"),
        ("unit_price", "0.0000005", "no more than 6 decimals"),
        ("total", "1e3", "is a number"),
    ):
        with pytest.raises(UsageError, match=why):
            settle(world, by_field[paths[name]], text)
    for name, text in (("amount", "10.50"), ("unit_price", "10.5"), ("total", "99")):
        settle(world, by_field[paths[name]], text)
    world.sync_until_quiet()
    assert world.parked() == []
    mine, theirs = world.crm.get("Order", order) or {}, world.erp.get("salesorder", key) or {}
    assert (mine["Total"], mine["OrderItem"][0]["Amount"], mine["OrderItem"][0]["Price"]) == (Decimal("10.5"),) * 3, "the total is the sum"
    assert (theirs["total"], theirs["items"][0]["amount"], theirs["items"][0]["rate"]) == (Decimal("10.5"),) * 3


def settle(world: World, row: Any, text: str) -> None:
    """Settle a clash with what a person types."""
    settle_clash(world.store, row.id, value=typed(row.entity, row.field, text), person="op", clock=world.clock)


def test_a_clash_is_settled_once_and_only_with_one_of_its_candidates(make: Make) -> None:
    world = make(rules=phone_by("ask"))
    both_edit(world, "1", "2")
    (row,) = world.parked("clash")
    with pytest.raises(UsageError):
        settle_clash(world.store, row.id, take="shop", person="op", clock=world.clock)
    settle_clash(world.store, row.id, take="crm", person="op", clock=world.clock)
    with pytest.raises(UsageError):
        settle_clash(world.store, row.id, take="erp", person="op", clock=world.clock)


def test_a_role_that_stands_for_two_values_is_not_taken_for_one_of_them(make: Make) -> None:
    world = make()
    world.joined_customer()
    golden, run = world.golden(), new_run("trade", world.clock)
    told = [Candidate("golden", "crm", "", ["was@acme.example"]), Candidate("crm-files", "crm", "", ["is@acme.example"])]
    row = clash_row(run, golden, Clash(["email"], told))
    world.store.park([row])
    with pytest.raises(UsageError, match="more than one value") as refused:
        settle_clash(world.store, row.id, take="crm", person="anna", clock=world.clock)
    assert "golden, crm-files" in (refused.value.way_out or "")
    settle_clash(world.store, row.id, take="crm-files", person="anna", clock=world.clock)
    assert world.golden().fields["email"] == "is@acme.example"


def test_a_clash_is_not_forgotten_by_trying_again(make: Make) -> None:
    world = make(rules=phone_by("ask"))
    account, customer = both_edit(world, "1", "2")
    (row,) = world.parked("clash")
    with pytest.raises(UsageError):
        retry(world.store, row.id, clock=world.clock)
    world.sync()
    assert phones(world, account, customer) == ("1", "2")


def test_a_settled_natural_key_is_the_one_that_is_matched(make: Make) -> None:
    world = make(rules={"customer": {"fields": {"tax_id": {"on_clash": "ask"}}}})
    account, customer = world.joined_customer(Vat="DE0")
    world.crm.edit("Account", account, {"Vat": "DE1"})
    world.erp.edit("customer", customer, {"vat": "DE2"})
    world.sync()
    (row,) = world.parked("clash")
    settle_clash(world.store, row.id, value="DE3", person="op", clock=world.clock)
    world.crm.create("Account", {"Name": "Stranger", "Vat": "DE3"})
    world.sync()
    assert [row.error for row in world.parked("review")] == ["double"]
    assert len(world.goldens()) == 1


def double(world: World) -> str:
    """Let a second account of the same name and address come up; return its key."""
    key = world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example", "Phone": "77"})
    world.sync()
    return key


def test_a_record_in_review_that_is_a_thing_of_its_own_gets_a_golden_record(make: Make) -> None:
    world = make()
    world.joined_customer()
    key = double(world)
    (row,) = world.parked("review")
    with world.at_work() as (flow, store, _):
        found_new(store, flow, row.id, person="op", clock=world.clock)
    world.sync_until_quiet()
    assert len(world.goldens()) == 2
    assert says(world.erp_of(key), tel="77")
    assert world.parked() == []
    world.assert_quiet()


def test_a_record_in_review_cannot_be_bound_to_what_has_one_there_already(make: Make) -> None:
    world = make()
    world.joined_customer()
    double(world)
    (row,) = world.parked("review")
    with world.at_work() as (flow, store, _), pytest.raises(UsageError):
        bind(store, flow, row.id, world.golden().id, person="op", clock=world.clock)


def test_a_record_in_review_is_bound_to_the_golden_record_that_a_person_names(make: Make) -> None:
    world = make(create_in={"customer": ["erp"]})
    customer = world.erp.create("customer", {"companyName": "Acme", "tel": "1"})
    world.sync()
    account = world.crm.create("Account", {"Name": "Acme", "Email": "a@acme.example"})
    world.sync()
    (row,) = world.parked("review")
    golden = world.golden()
    with world.at_work() as (flow, store, _):
        bind(store, flow, row.id, golden.id, person="op", clock=world.clock)
    world.sync_until_quiet()
    assert says(world.erp.get("customer", customer) or {}, mail="a@acme.example", tel="1")
    assert says(world.crm.get("Account", account) or {}, Phone="1")
    assert world.golden().id == golden.id
    assert world.parked() == []


def test_a_record_in_review_is_identified_again_when_it_changes(make: Make) -> None:
    world = make()
    world.joined_customer()
    key = double(world)
    world.crm.edit("Account", key, {"Name": "Other", "Email": "other@else.example"})
    world.sync_until_quiet()
    assert world.parked() == []
    assert says(world.erp_of(key), companyName="Other")


def two_in_review(world: World) -> tuple[str, str]:
    """Let each system hold a customer of one name, bound by no rule and laid before a person; return their keys."""
    account = world.crm.create("Account", {"Name": "Acme", "Email": "a@acme.example"})
    customer = world.erp.create("customer", {"companyName": "Acme", "mail": "b@acme.example"})
    world.adopt()
    assert [row.error for row in world.parked("review")] == ["ambiguous", "ambiguous"]
    return account, customer


def test_a_record_in_review_that_changes_is_not_created_beside_the_one_it_may_be(make: Make) -> None:
    world = make()
    _, customer = two_in_review(world)
    world.erp.edit("customer", customer, {"tel": "77"})
    assert world.writes_of(world.sync) == []
    assert [row.error for row in world.parked("review")] == ["ambiguous", "ambiguous"]


def test_a_record_in_review_that_is_made_equal_is_bound(make: Make) -> None:
    world = make()
    account, customer = two_in_review(world)
    world.erp.edit("customer", customer, {"mail": "a@acme.example", "tel": "77"})
    world.sync_until_quiet()
    assert (len(world.goldens()), world.parked()) == (1, [])
    assert says(world.crm.get("Account", account) or {}, Phone="77")


def test_a_third_one_is_not_created_beside_those_in_review(make: Make) -> None:
    world = make()
    two_in_review(world)
    world.erp.create("customer", {"companyName": "Acme", "mail": "c@acme.example"})
    assert world.writes_of(world.sync) == []
    assert len(world.parked("review")) == 3


# --- what is told is true ---------------------------------------------------------------------------------------------------------


def test_a_field_tells_who_said_it_what_it_replaced_and_what_lost(make: Make) -> None:
    world = make(rules=phone_by({"prefer": ["erp", "crm"]}))
    account, customer = both_edit(world, "1", "2")
    found = story(world, "phone")
    assert (found.value, found.by) == ("2", "erp")
    changed = [event for event in found.events if event["what"] == "changed"]
    assert [(e["old"], e["new"], e["by"], e["rule"], e["losers"]) for e in changed] == [
        ("0", "2", "erp", "prefer erp", [{"by": "crm", "values": ["1"]}])
    ]
    written = [event for event in found.events if event["what"] == "written"]
    assert (written[-1]["to"], written[-1]["key"], written[-1]["fields"]) == ("crm", account, {"Phone": ["1", "2"]})
    assert phones(world, account, customer) == ("2", "2")


def test_each_member_of_a_group_tells_what_lost(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer(Street="Weg 1", City="Bonn", Zip="53111")
    world.crm.edit("Account", account, {"Street": "Gasse 2", "City": "Köln", "Zip": "50667"})
    world.erp.edit("customer", customer, {"town": "Ulm"})
    world.sync()
    (event,) = [event for event in story(world, "billing.city").events if event["what"] == "changed"]
    assert (event["old"], event["new"], event["losers"]) == ("Bonn", "Ulm", [{"by": "crm", "values": ["Köln"]}])
    (event,) = [event for event in story(world, "billing.postal_code").events if event["what"] == "changed"]
    assert (event["new"], event["losers"]) == ("53111", [{"by": "crm", "values": ["50667"]}])


def test_a_settled_clash_tells_who_settled_it_and_what_lost(make: Make) -> None:
    world = make(rules=phone_by("ask"))
    both_edit(world, "1", "2")
    (row,) = world.parked("clash")
    settle_clash(world.store, row.id, take="erp", person="ada", clock=world.clock)
    found = story(world, "phone")
    assert found.by == "person:ada"
    decided = [event for event in found.events if event["what"] != "written"]
    assert [event["what"] for event in decided] == ["founded", "clash", "changed", "settled"]
    assert decided[2]["losers"] == [{"by": "crm", "values": ["1"]}]


def test_verify_says_equal_only_of_what_is(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer()
    assert (world.verify().records, world.verify().equal) == (2, 2)
    world.erp.edit("customer", customer, {"tel": "5"})
    (difference,) = world.verify().unknown
    assert (difference.connection, difference.key, difference.path) == ("erp", customer, "phone")
    world.crm.delete("Account", account)
    assert world.verify().gone == [("crm", "Account", account)]


def test_verify_sees_an_edit_of_what_a_system_holds_in_its_own_way(make: Make) -> None:
    world = make(specs={"erp.customer": {"normalisers": {"tel": ("cut:3",)}}})
    account, customer = world.joined_customer(Phone="12345")
    assert phones(world, account, customer) == ("12345", "123")
    assert world.verify().differences == []
    world.erp.edit("customer", customer, {"tel": "999"})
    assert [difference.path for difference in world.verify().unknown] == ["phone"]


def test_verify_does_not_excuse_an_unread_edit_by_what_else_waits_for_the_record(make: Make) -> None:
    world = make()
    account, customer = world.joined_customer(Phone="0")
    world.crm.edit("Account", account, {"Phone": "1"})
    world.erp.faults.add("write", "refused")
    world.sync()
    world.erp.edit("customer", customer, {"mail": "new@acme.example"})
    verified = world.verify()
    assert {(d.path, d.known) for d in verified.differences} == {("phone", "not pushed yet"), ("email", "")}


def test_verify_names_what_is_in_clash_and_what_is_parked(make: Make) -> None:
    world = make(rules=phone_by("ask"))
    account, _ = both_edit(world, "1", "2")
    world.crm.edit("Account", account, {"Status": "who knows"})
    world.sync()
    assert {(d.connection, d.path, d.known) for d in world.verify().differences} == {
        ("crm", "phone", "in clash"),
        ("erp", "phone", "in clash"),
        ("crm", "status", "parked"),
    }


def test_verify_knows_what_a_document_that_is_parked_whole_said_and_no_edit_since(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"))
    world.sync()
    world.crm.edit("Order", order, {"Total": Decimal(99), "Po": "new"})
    world.sync()
    assert {(d.connection, d.path, d.known) for d in world.verify().differences} == {
        ("crm", "total", "parked"),
        ("crm", "po_number", "parked"),
    }
    world.crm.edit("Order", order, {"Po": "newer"})
    assert {(d.path, d.known) for d in world.verify().differences} == {("total", "parked"), ("po_number", "")}


def test_verify_knows_an_order_that_waits_for_its_customer(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"))
    world.sync()
    other = world.crm.create("Account", {"Name": "Other"})
    world.crm.rights["bridge"] = Rights(hidden_records={"Account": (other,)})
    world.crm.edit("Order", order, {"Account": other})
    world.sync()
    assert world.parked("waiting")
    assert [(d.connection, d.path, d.known) for d in world.verify().differences] == [("crm", "customer", "parked")]


def test_verify_knows_what_waits_behind_a_brake(make: Make) -> None:
    world = make(brakes={"reverts": 0})
    world.opener = lambda name, _: Rewound(world.connect(name)) if name == "crm" else world.connect(name)
    (key,) = many(world, 1)
    for phone in ("new", None):
        world.sync_until_quiet()
        world.crm.edit("Account", key, {"Phone": phone})
    with pytest.raises(BrakeTripped):
        world.sync()
    found = world.verify()
    assert [(d.connection, d.path, d.known) for d in found.differences] == [("crm", "phone", "not merged yet")]
    assert found.unlinked == 0


def test_a_line_tells_its_story_by_its_list(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"))
    world.sync()
    line = (world.crm.get("Order", order) or {})["OrderItem"][0]["Id"]
    change: Fields = {"Qty": Decimal(2), "Amount": Decimal(20)}
    world.crm.edit("Order", order, {"Total": Decimal(20)}, {"OrderItem": row_write(change={line: change})})
    world.sync()
    golden = world.golden("order")
    explained = explain(world.store, golden.id, {"crm-system": "crm", "erp-system": "erp"})
    events = field_story(explained, "lines").events
    assert [(event["old"], event["new"]) for event in events if event["what"] == "changed" and event["field"].endswith("quantity")] == [
        (1, 2)
    ]
    (made, changed) = [event for event in events if event["what"] == "written"]
    assert telling.event(made).endswith("; lines: 1 added)")
    assert telling.event(changed).endswith("; lines: 1 changed (000002: qty: 1 → 2, amount: 10.00 → 20.00))")
    told = [telling.settle(row.data) for row in explained.history if row.data["kind"] == "write"]
    assert [one.rpartition("; ")[2] for one in told] == ["lines: 1 added", "lines: 1 changed"]


# --- what a delete means ----------------------------------------------------------------------------------------------------------


def deleted(world: World, **fields: Any) -> tuple[str, str]:
    """Join a customer, and let it be deleted in the CRM; return its keys and leave the question open."""
    account, customer = world.joined_customer(**fields)
    world.crm.delete("Account", account)
    world.sync()
    return customer, world.parked("review")[0].id


ASK = {"customer": {"on_delete": "ask"}}


def test_a_person_may_keep_the_copies_of_a_deleted_record(make: Make) -> None:
    world = make(rules=ASK)
    customer, question = deleted(world)
    after_delete(world.store, question, then="keep", person="op", clock=world.clock)
    world.assert_quiet()
    assert world.erp.get("customer", customer) is not None
    assert world.parked() == []


def test_a_person_may_have_the_copies_archived(make: Make) -> None:
    world = make(rules=ASK)
    customer, question = deleted(world, Status="open")
    after_delete(world.store, question, then="archive", person="op", clock=world.clock)
    world.sync()
    assert (world.erp.get("customer", customer) or {})["inactive"] == "yes"
    assert story(world, "status").by == "person:op"


def test_a_person_may_have_the_copies_deleted(make: Make) -> None:
    world = make(rules=ASK)
    customer, question = deleted(world)
    after_delete(world.store, question, then="delete", person="op", clock=world.clock)
    world.sync()
    assert world.erp.get("customer", customer) is None
    world.assert_quiet()


def test_not_even_a_person_deletes_a_money_document_through_the_bridge(make: Make) -> None:
    world = make(entities=("customer", "order"))
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"))
    world.sync()
    world.crm.delete("Order", order)
    world.sync()
    (row,) = world.parked("review")
    with pytest.raises(UsageError):
        after_delete(world.store, row.id, then="delete", person="op", clock=world.clock)
    world.sync()
    assert len(world.erp.all("salesorder")) == 1


def test_a_question_about_a_delete_is_not_answered_by_trying_again(make: Make) -> None:
    world = make(rules=ASK)
    _, question = deleted(world)
    with pytest.raises(UsageError):
        retry(world.store, question, clock=world.clock)


def test_what_was_parked_of_a_deleted_record_is_no_longer(make: Make) -> None:
    world = make()
    account, _ = world.joined_customer(Status="open")
    world.crm.edit("Account", account, {"Status": "who knows"})
    world.sync()
    assert len(world.parked("field")) == 1
    world.crm.delete("Account", account)
    world.sync()
    assert world.parked() == []


def merged_in_crm(world: World) -> tuple[tuple[str, str], tuple[str, str]]:
    """Let two customers that are two in both systems be merged in the CRM; return (account, customer) of loser and winner."""
    loser, winner = world.joined_customer(Name="Acme Old", Email="old@acme.example"), world.joined_customer(Name="Acme", Phone="1")
    world.crm.create("Contact", {"Account": loser[0], "Last": "Ada"})
    world.erp.create("person", {"customer": loser[1], "last": "Bob"})
    world.sync_until_quiet()
    world.crm.merge("Account", loser[0], winner[0])
    return loser, winner


def test_two_customers_merged_in_the_crm_stay_two_in_the_erp_until_a_person_says_so(make: Make) -> None:
    world = make(entities=("customer", "contact"))
    loser, winner = merged_in_crm(world)
    world.sync_until_quiet()
    assert world.erp.all("customer").keys() == {loser[1], winner[1]}
    assert {record["customer"] for record in world.erp.all("person").values()} == {winner[1]}
    assert [(row.error, row.data["merged_into"]) for row in world.parked()] == [("deleted", winner[0])]
    world.assert_quiet()


def test_after_a_merge_the_second_copy_is_an_alias_that_is_read_for_references_and_never_written(make: Make) -> None:
    world = make(entities=("customer", "contact"))
    loser, winner = merged_in_crm(world)
    world.sync_until_quiet()
    (row,) = world.parked("review")
    after_delete(world.store, row.id, then="merge", person="op", clock=world.clock)
    world.sync_until_quiet()
    assert world.parked() == []
    world.crm.edit("Account", winner[0], {"Phone": "2"})
    world.erp.edit("customer", loser[1], {"tel": "9"})
    world.sync_until_quiet()
    assert says(world.erp.get("customer", winner[1]) or {}, companyName="Acme", tel="2")
    assert says(world.erp.get("customer", loser[1]) or {}, companyName="Acme Old", tel="9")
    assert says(world.crm.get("Account", winner[0]) or {}, Name="Acme", Phone="2")
    world.erp.create("person", {"customer": loser[1], "last": "Carl"})
    world.sync_until_quiet()
    assert {record["Account"] for record in world.crm.all("Contact").values()} == {winner[0]}
    assert len(world.crm.all("Contact")) == 3
    world.assert_agree()


@pytest.mark.parametrize("on_delete", ["archive", "delete"])
def test_where_one_of_two_copies_is_deleted_the_other_takes_its_place_and_nothing_goes_elsewhere(make: Make, on_delete: str) -> None:
    world = make(rules={"customer": {"on_delete": on_delete}})
    loser, winner = merged_in_crm(world)
    world.sync_until_quiet()
    (row,) = world.parked("review")
    after_delete(world.store, row.id, then="merge", person="op", clock=world.clock)
    world.sync_until_quiet()
    world.erp.delete("customer", winner[1])
    world.sync_until_quiet()
    assert [golden.state for golden in world.goldens()].count("live") == 1
    assert says(world.crm.get("Account", winner[0]) or {}, Status=None)
    assert says(world.erp.get("customer", loser[1]) or {}, inactive=None)
    world.crm.edit("Account", winner[0], {"Name": "Acme SE"})
    world.erp.edit("customer", loser[1], {"tel": "9"})
    world.sync_until_quiet()
    assert says(world.erp.get("customer", loser[1]) or {}, companyName="Acme SE")
    assert says(world.crm.get("Account", winner[0]) or {}, Phone="9")
    world.erp.delete("customer", loser[1])
    world.sync_until_quiet()
    assert [row.error for row in world.parked("review")] == ["deleted"]  # for their mail addresses differ, and nobody has said which it is


@pytest.mark.parametrize("its_own", [True, False])
def test_a_copy_takes_the_place_of_what_was_merged_into_it_and_of_nothing_that_was_merged_into_another(make: Make, its_own: bool) -> None:
    world = make()
    loser, winner = merged_in_crm(world)
    other = world.joined_customer(Name="Bolt", Email="bolt@bolt.example")
    world.sync_until_quiet()
    (row,) = world.parked("review")
    after_delete(world.store, row.id, then="merge", person="op", clock=world.clock)
    world.sync_until_quiet()
    into = loser[1] if its_own else other[1]
    world.erp.merge("customer", winner[1], into)
    world.sync_until_quiet()
    links = [link for found in world.store.links_of([golden.id for golden in world.goldens()]).values() for link in found]
    assert [link.state for link in links if link.key == loser[1]] == ["live" if its_own else "alias"]
    assert [row.data["merged_into"] for row in world.parked("review")] == ([] if its_own else [into])


def test_where_both_copies_are_deleted_the_rule_is_followed(make: Make) -> None:
    world = make(rules={"customer": {"on_delete": "delete"}})
    loser, winner = merged_in_crm(world)
    world.sync_until_quiet()
    (row,) = world.parked("review")
    after_delete(world.store, row.id, then="merge", person="op", clock=world.clock)
    world.sync_until_quiet()
    world.erp.delete("customer", loser[1])
    world.erp.delete("customer", winner[1])
    world.sync_until_quiet()
    world.sync_until_quiet()
    assert world.crm.get("Account", winner[0]) is None


@pytest.mark.parametrize("first", [0, 1])
def test_merges_in_a_chain_are_followed_in_whatever_order_they_are_answered(make: Make, first: int) -> None:
    world = make()
    (loser, theirs), (winner, others) = merged_in_crm(world)
    world.sync_until_quiet()
    last, own = world.joined_customer(Name="Bolt", Email="bolt@bolt.example")
    world.crm.merge("Account", winner, last)
    world.sync_until_quiet()
    asked = sorted(world.parked("review"), key=lambda row: row.data["merged_into"] == last)
    for row in (asked[first], asked[1 - first]):
        after_delete(world.store, row.id, then="merge", person="op", clock=world.clock)
        world.sync_until_quiet()
    assert world.parked() == []
    assert {world.golden_of("erp", "customer", key) for key in (theirs, others, own)} == {world.golden_of("crm", "Account", last)}
    assert world.golden_of("crm", "Account", loser) == world.golden_of("crm", "Account", last)
    world.assert_agree()


@pytest.mark.parametrize("deleted", [True, False])
def test_after_a_merge_a_copy_goes_over_where_that_of_the_winner_is_no_more(make: Make, deleted: bool) -> None:
    world = make(rules={"customer": {"on_delete": "unlink"}})
    loser, winner = merged_in_crm(world)
    world.sync_until_quiet()
    if deleted:
        world.erp.delete("customer", winner[1])
        world.sync_until_quiet()
    question = next(row for row in world.parked("review") if row.data["merged_into"])
    after_delete(world.store, question.id, then="merge", person="op", clock=world.clock)
    world.sync_until_quiet()
    world.crm.edit("Account", winner[0], {"Phone": "2"})
    world.sync_until_quiet()
    written = loser[1] if deleted else winner[1]
    assert says(world.erp.get("customer", written) or {}, companyName="Acme", tel="2")
    world.assert_agree()


def test_a_merge_in_two_systems_is_answered_once(make: Make) -> None:
    world = make(roles=("crm", "erp", "shop"), entities=("customer",), rules={"customer": {"on_delete": "ask"}})
    loser = world.joined_customer(Name="Acme Old", Email="old@acme.example")
    winner = world.joined_customer(Name="Acme", Phone="1")
    in_shop = {key: world.partner("crm", "Account", key, "shop")[0] for key in (loser[0], winner[0])}
    world.crm.merge("Account", loser[0], winner[0])
    world.shop.merge("client", in_shop[loser[0]], in_shop[winner[0]])
    world.sync_until_quiet()
    asked = world.parked("review")
    assert len(asked) == 2
    after_delete(world.store, asked[0].id, then="merge", person="op", clock=world.clock)
    assert world.parked("review") == []
    world.sync_until_quiet()
    assert world.parked() == []
    assert world.golden_of("erp", "customer", loser[1]) == world.golden_of("erp", "customer", winner[1])
    world.assert_agree()
    world.assert_quiet()


def test_after_a_merge_a_copy_goes_over_where_the_winner_had_none(make: Make) -> None:
    world = make(create_in={"customer": ["erp"]})
    loser = world.joined_customer(Name="Acme Old", Email="old@acme.example")
    world.erp.faults.add("write", "refused", times=None)
    winner = world.crm.create("Account", {"Name": "Acme", "Email": "new@acme.example"})
    world.sync()
    world.crm.merge("Account", loser[0], winner)
    world.sync()
    (row,) = world.parked("review")
    after_delete(world.store, row.id, then="merge", person="op", clock=world.clock)
    world.erp.faults.clear()
    world.sync_until_quiet()
    assert world.erp.all("customer").keys() == {loser[1]}
    assert says(world.erp.get("customer", loser[1]) or {}, companyName="Acme", mail="new@acme.example")
    world.assert_agree()


def lines_in_clash(world: World) -> tuple[str, str]:
    """Let the quantity of a line be edited on both sides; return the keys of the order."""
    account, _ = world.joined_customer()
    order = world.order_in_crm(account, ("P1", 1, "10"), ("P2", 1, "10"))
    world.sync_until_quiet()
    key, held = world.only("erp", "salesorder")
    crm_line = (world.crm.get("Order", order) or {})["OrderItem"][0]["Id"]
    erp_line = held["items"][0]["line"]
    theirs: Fields = {"qty": Decimal(3), "amount": Decimal(30)}
    ours: Fields = {"Qty": Decimal(2), "Amount": Decimal(20)}
    world.crm.edit("Order", order, {"Total": Decimal(30)}, {"OrderItem": row_write(change={crm_line: ours})})
    world.erp.edit("salesorder", key, {"total": Decimal(40)}, {"items": row_write(change={erp_line: theirs})})
    world.sync_until_quiet()
    return order, key


LINES_ASKED: dict[str, Any] = {"order": {"fields": {f"lines.{field}": {"on_clash": "ask"} for field in ("quantity", "amount")}}}


def test_a_document_whose_lines_were_settled_by_a_person_adds_up(make: Make) -> None:
    world = make(entities=("customer", "order"), rules=LINES_ASKED)
    order, key = lines_in_clash(world)
    rows = world.parked("clash")
    assert {row.field.rpartition("/")[2] for row in rows if row.field} == {"quantity", "amount"}
    for row in rows:
        settle_clash(world.store, row.id, take="erp", person="op", clock=world.clock)
    world.sync_until_quiet()
    assert world.parked() == []
    assert says(world.crm.get("Order", order) or {}, Total=Decimal(40))
    assert says(world.erp.get("salesorder", key) or {}, total=Decimal(40))
    assert [row["Qty"] for row in (world.crm.get("Order", order) or {})["OrderItem"]] == [3, 1]
    world.assert_agree()


def test_a_line_in_clash_holds_its_list_and_the_total_and_nothing_else(make: Make) -> None:
    world = make(entities=("customer", "order"), rules=LINES_ASKED)
    order, key = lines_in_clash(world)
    second = (world.crm.get("Order", order) or {})["OrderItem"][1]["Id"]
    more: Fields = {"Qty": Decimal(5), "Amount": Decimal(50)}
    world.crm.edit("Order", order, {"Total": Decimal(70), "Po": "4711"}, {"OrderItem": row_write(change={second: more})})
    world.sync_until_quiet()
    held = world.erp.get("salesorder", key) or {}
    assert says(held, po="4711", total=Decimal(40))
    assert [row["qty"] for row in held["items"]] == [3, 1]
    assert {difference.known for difference in world.verify().differences} == {"in clash"}
    for row in world.parked("clash"):
        settle_clash(world.store, row.id, take="crm", person="op", clock=world.clock)
    world.sync_until_quiet()
    held = world.erp.get("salesorder", key) or {}
    assert says(held, total=Decimal(70))
    assert [row["qty"] for row in held["items"]] == [2, 5]
    world.assert_agree()
