"""The first joining of two filled systems, and the second first joining: after the store was lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.stories.world import World

from erpcrm_bridge.errors import AdoptionNeeded
from erpcrm_bridge.store import GoldenRow, LinkRow
from erpcrm_bridge.sync import run
from erpcrm_bridge.sync.adopt import adoption
from erpcrm_bridge.sync.references import refs_of


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[World]:
    """Acme stands in both systems, Bolt only in the CRM, Cask only in the ERP."""
    world = World(tmp_path, joined=False)
    world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example"})
    world.erp.create("customer", {"companyName": "Acme", "mail": "info@acme.example"})
    world.crm.create("Account", {"Name": "Bolt", "Email": "info@bolt.example"})
    world.erp.create("customer", {"companyName": "Cask", "mail": "info@cask.example"})
    yield world
    world.close()


def names(world: World) -> tuple[list[str], list[str]]:
    crm = sorted(record["Name"] for record in world.crm.all("Account").values())
    return crm, sorted(record["companyName"] for record in world.erp.all("customer").values())


def test_a_sync_over_two_filled_systems_binds_and_writes_nothing(filled: World) -> None:
    def attempt() -> None:
        with pytest.raises(AdoptionNeeded, match="4 customer records"):
            filled.sync()

    def twice() -> None:
        attempt()
        attempt()

    assert filled.writes_of(twice) == []
    assert filled.goldens() == []


def test_an_adoption_creates_nothing_unless_it_is_told_to_and_no_later_run_makes_up_for_it(filled: World) -> None:
    filled.adopt()
    assert names(filled) == (["Acme", "Bolt"], ["Acme", "Cask"])
    filled.crm.edit(
        "Account", next(key for key, record in filled.crm.all("Account").items() if record["Name"] == "Bolt"), {"Name": "Bolt & Co"}
    )
    filled.sync_until_quiet()
    assert names(filled) == (["Acme", "Bolt & Co"], ["Acme", "Cask"])


def test_an_adoption_that_dies_once_it_has_merged_is_gone_on_with_by_no_other_run(filled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.crm.create("Account", {"Name": "Dive", "Email": "old@dive.example"})
    filled.erp.create("customer", {"companyName": "Dive GmbH", "mail": "old@dive.example"})
    real = run.absorb

    def killed(*args: Any, **more: Any) -> None:
        real(*args, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run, "absorb", killed)
        with pytest.raises(KeyboardInterrupt):
            filled.plan(adopting=True)

    def others() -> None:
        for attempt in (filled.sync, filled.plan):
            with pytest.raises(AdoptionNeeded, match="has begun and is not applied yet"):
                attempt()

    assert filled.writes_of(others) == []
    filled.apply(filled.plan(adopting=True))
    assert filled.sync_until_quiet() == 0
    assert names(filled) == (["Acme", "Bolt", "Dive"], ["Acme", "Cask", "Dive"])


def test_an_adoption_creates_on_the_other_side_what_it_is_told_to(filled: World) -> None:
    filled.apply(filled.plan(adopting=True, creating=["customer"]))
    filled.sync_until_quiet()
    assert names(filled) == (["Acme", "Bolt", "Cask"], ["Acme", "Bolt", "Cask"])


def test_an_earlier_plan_of_an_adoption_lets_nothing_pass_that_only_a_later_one_shows(filled: World) -> None:
    seen = filled.plan(adopting=True)
    filled.plan(adopting=True, creating=["customer"])
    filled.apply(seen)
    with pytest.raises(AdoptionNeeded, match="is not applied yet"):
        filled.sync()
    assert names(filled) == (["Acme", "Bolt"], ["Acme", "Cask"])
    filled.apply(filled.plan(adopting=True))
    filled.sync_until_quiet()
    assert names(filled) == (["Acme", "Bolt", "Cask"], ["Acme", "Bolt", "Cask"])


def test_an_adoption_clears_nothing_of_an_address_that_the_preferred_system_cannot_say(tmp_path: Path) -> None:
    world = World(tmp_path, joined=False, mappings={"customer/erp": {"fields": {"billing.line1": None}}})
    account = world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example", "Street": "Weg 1", "City": "Bonn"})
    customer = world.erp.create("customer", {"companyName": "Acme", "mail": "info@acme.example", "town": "Ulm"})
    world.adopt()
    world.sync_until_quiet()
    assert [(world.crm.get("Account", account) or {})[name] for name in ("Street", "City")] == ["Weg 1", "Bonn"]
    assert (world.erp.get("customer", customer) or {})["town"] == "Bonn"
    with world.at_work() as (flow, store, _):
        assert [(one.field, one.rule, one.winner) for one in adoption(flow, store).differing] == [("billing", "only as a whole", "crm")]
    world.close()


def test_an_adoption_tells_of_an_address_only_the_fields_that_differ(tmp_path: Path) -> None:
    world = World(tmp_path, joined=False)
    world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example", "Street": "Weg 1", "City": "Bonn"})
    world.erp.create("customer", {"companyName": "Acme", "mail": "info@acme.example", "addr": "Weg 1", "town": "Ulm"})
    world.adopt()
    with world.at_work() as (flow, store, _):
        assert [(one.field, one.rule, one.winner) for one in adoption(flow, store).differing] == [("billing.city", "prefer erp", "erp")]
    world.close()


def test_what_is_new_after_the_adoption_is_created_on_the_other_side(filled: World) -> None:
    filled.adopt()
    filled.crm.create("Account", {"Name": "Dune", "Email": "info@dune.example"})
    filled.sync_until_quiet()
    assert names(filled) == (["Acme", "Bolt", "Dune"], ["Acme", "Cask", "Dune"])


def test_an_empty_store_over_filled_systems_binds_only_what_carries_our_ids(tmp_path: Path) -> None:
    world = World(tmp_path)
    for name in ("Acme", "Bolt"):
        world.crm.create("Account", {"Name": name, "Email": f"info@{name.lower()}.example"})
    world.sync_until_quiet()
    ids = {golden.id for golden in world.goldens()}
    world.store.close()
    (tmp_path / "store.db").unlink()
    again = World(tmp_path, joined=False, store_url=f"sqlite:///{tmp_path / 'other.db'}")
    again.systems = world.systems

    def attempt() -> None:
        with pytest.raises(AdoptionNeeded):
            again.sync()

    assert again.writes_of(attempt) == []
    assert {golden.id for golden in again.goldens()} == ids
    assert {role for golden in again.goldens() for role in again.links(golden.id)} == {"erp"}
    again.adopt()
    assert names(again) == (["Acme", "Bolt"], ["Acme", "Bolt"])
    again.assert_quiet()
    again.close()


def test_a_key_is_looked_up_among_the_records_of_its_entity_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    _, customer = world.joined_customer()
    golden = world.golden().id
    with world.at_work() as (flow, store, _):
        people = flow.sides["contact"][-1]
        assert people.stream.name == "person"
        with store.transaction():
            store.add_golden([GoldenRow("G0000000000001", "contact", {}, {})])
            store.add_links([LinkRow("L0000000000001", "G0000000000001", "contact", people.stream_id, customer)])
        found = refs_of(flow, store, people, [{"customer": customer}])
    assert found == {("customer", customer): golden}
    world.close()
