"""L13: after a change of a mapping, a table or a code table what is affected is mapped anew, as a reviewed plan: from the stored bases
where they hold what the rules read, else by a read."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.stories.world import TEXT, World, says

from erpcrm_bridge.connector import Connector
from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping import transforms
from erpcrm_bridge.testing.memory import MemoryConnector
from erpcrm_bridge.testing.system import MemorySystem

MORE = {"crm.Account": {"fields": {"Terms": TEXT, "Site": TEXT}}, "erp.customer": {"fields": {"terms": TEXT}}}
PREFER_CRM = {"customer": {"fields": {name: {"on_clash": {"prefer": ["crm", "erp"]}} for name in ("name", "status", "payment_terms")}}}


class Counting(MemoryConnector):
    """Counts the records that it hands out."""

    def __init__(self, world: World, role: str, handed: Counter[str]) -> None:
        super().__init__(world.systems[role], page_size=world.page_size)
        self.role, self.handed = role, handed

    def _record(self, selection: Any, row: Any) -> Any:
        self.handed[f"{self.role} {row['key']}"] += 1
        return super()._record(selection, row)


def reads_of(world: World, act: Callable[[], object]) -> Counter[str]:
    """Return how often each record was read while ``act`` ran."""
    handed: Counter[str] = Counter()

    def opener(name: str, _: object) -> Connector:
        return Counting(world, name, handed)

    world.opener = opener
    try:
        act()
    finally:
        world.living()
    return handed


def tells(world: World, terms: dict[str, str]) -> None:
    """Let the CRM tell of other payment terms."""
    world.crm.codes["term"] = terms
    world.systems["crm"] = MemorySystem.load(world.crm.dump(), clock=world.clock)


def world(tmp_path: Path, crm: dict[str, Any] | None = None, **more: Any) -> World:
    return World(
        tmp_path,
        **{"entities": ("customer",), "specs": MORE, "rules": PREFER_CRM, "mappings": mapped(crm)["mappings"], "joined": False, **more},
    )


def mapped(crm: dict[str, Any] | None) -> dict[str, Any]:
    terms = {"payment_terms": {"external": "Terms", "via": [{"code": {"of": "term"}}]}}
    return {
        "rules": PREFER_CRM,
        "mappings": {
            "customer/crm": {"fields": {**terms, **(crm or {})}},
            "customer/erp": {"fields": {"payment_terms": {"external": "terms"}}},
        },
    }


def reviewed(world: World, account: str, customer: str, before: dict[str, str], after: dict[str, str]) -> None:
    """The change writes nothing unseen, reads no record again, and its plan, once applied, leaves the ERP with ``after``."""
    assert reads_of(world, lambda: world.writes_of(world.sync)) == {}
    assert world.last_writes == []
    assert says(world.erp_of(account), **before)
    plan = world.plan()
    assert plan.review
    assert plan.head is not None
    assert plan.head.steps == 1
    world.apply(plan)
    assert says(world.erp.get("customer", customer) or {}, **after)
    assert not world.sync().review
    world.assert_agree()
    world.assert_quiet()


def test_after_a_changed_rule_the_stored_base_is_mapped_anew(tmp_path: Path) -> None:
    changed = world(tmp_path)
    account, customer = changed.joined_customer()
    for number in range(12):
        changed.crm.create("Account", {"Name": f"C{number}".upper()})
    changed.sync_until_quiet()
    changed.library = changed.mapped(**mapped({"name": {"external": "Name", "via": ["trim", "upper"], "required": True}}))
    reviewed(changed, account, customer, {"companyName": "Acme"}, {"companyName": "ACME"})


def test_what_was_edited_where_it_was_only_written_is_heard_once_it_is_read(tmp_path: Path) -> None:
    only_written = {"customer/erp": {"fields": {"email": {"external": "mail", "direction": "from_canonical"}}}}
    changed = World(tmp_path, entities=("customer",), mappings=only_written)
    account, customer = changed.joined_customer()
    assert says(changed.erp_of(account), mail="info@acme.example")
    changed.erp.edit("customer", customer, {"mail": "theirs@acme.example"})
    changed.sync_until_quiet()
    changed.library = changed.mapped({}, {"customer/erp": {"fields": {"email": {"external": "mail"}}}})
    changed.sync()
    changed.apply(changed.plan())
    (row,) = changed.parked("clash")
    assert {one["by"]: one["values"] for one in row.data["candidates"]} == {"crm": ["info@acme.example"], "erp": ["theirs@acme.example"]}


def test_after_a_changed_table_the_stored_base_is_mapped_anew(tmp_path: Path) -> None:
    changed = world(tmp_path)
    account, customer = changed.joined_customer(Status="open")
    turned = {"open": "inactive", "closed": "active", "gone": "archived"}
    changed.library = changed.mapped(**mapped({"status": {"external": "Status", "via": [{"map": {"pairs": turned}}]}}))
    reviewed(changed, account, customer, {"inactive": "no"}, {"inactive": "yes"})


def brings(folder: Path, version: str, get: str) -> None:
    """Install a package in ``folder`` that brings the transform `casing`, in this version, in place of any other."""
    for old in folder.glob("casing_plug*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    told = folder / f"casing_plug-{version}.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: casing-plug\nVersion: {version}\n")
    (told / "entry_points.txt").write_text(f"[{transforms.GROUP}]\ncasing = casing_plug:CASING\n")
    source = f'from erpcrm_bridge.mapping import PlugIn\nCASING = PlugIn("quotient", {get}, lambda text: text, ["abc"])\n'
    (folder / "casing_plug.py").write_text(source)
    sys.modules.pop("casing_plug", None)
    importlib.invalidate_caches()
    transforms._entry_points.cache_clear()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which packages are installed."""
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path / "packages"
    sys.modules.pop("casing_plug", None)
    transforms._entry_points.cache_clear()


@pytest.mark.parametrize("way", ["casing", {"casing": {}}])
def test_after_another_version_of_a_plug_in_the_stored_base_is_mapped_anew(tmp_path: Path, packages: Path, way: Any) -> None:
    brings(packages, "1.0", "str.strip")
    changed = world(tmp_path, {"name": {"external": "Name", "via": [way], "required": True}})
    account, customer = changed.joined_customer()
    brings(packages, "1.1", "str.upper")
    reviewed(changed, account, customer, {"companyName": "Acme"}, {"companyName": "ACME"})


def test_after_a_change_of_a_code_table_that_the_connection_declares_the_stored_base_is_mapped_anew(tmp_path: Path) -> None:
    changed = world(tmp_path)
    changed.declare_codes("crm", term={"7": "Net 7"})
    account, customer = changed.joined_customer(Terms="7")
    changed.declare_codes("crm", term={"7": "Net 10"})
    reviewed(changed, account, customer, {"terms": "Net 7"}, {"terms": "Net 10"})


def test_after_a_change_of_a_code_table_that_the_system_tells_of_the_stored_base_is_mapped_anew(tmp_path: Path) -> None:
    changed = world(tmp_path)
    tells(changed, {"7": "Net 7"})
    account, customer = changed.joined_customer(Terms="7")
    tells(changed, {"7": "Net 10"})
    reviewed(changed, account, customer, {"terms": "Net 7"}, {"terms": "Net 10"})


def test_what_no_base_holds_is_read_in_full(tmp_path: Path) -> None:
    changed = world(tmp_path)
    account, _ = changed.joined_customer()
    other = changed.crm.create("Account", {"Name": "Beta"})
    changed.sync_until_quiet()
    more = {"website": {"external": "Site", "direction": "to_canonical"}}
    changed.library = changed.mapped(**mapped(more))
    assert reads_of(changed, changed.sync) == {f"crm {account}": 1, f"crm {other}": 1}


def test_under_another_filter_the_stream_is_read_in_full_for_it_may_take_what_nobody_took(tmp_path: Path) -> None:
    changed = world(tmp_path)
    some = {**mapped(None)["mappings"]["customer/crm"], "when": "Status != 'closed'"}
    changed.library = changed.mapped(PREFER_CRM, {**mapped(None)["mappings"], "customer/crm": some})
    changed.sync()
    changed.crm.create("Account", {"Name": "Left out", "Status": "closed"})
    changed.sync_until_quiet()
    assert changed.erp.all("customer") == {}
    changed.library = changed.mapped(**mapped(None))
    changed.sync()
    changed.apply(changed.plan())
    assert [record["companyName"] for record in changed.erp.all("customer").values()] == ["Left out"]


def test_a_value_that_could_not_be_read_before_is_read_when_the_table_has_it(tmp_path: Path) -> None:
    changed = world(tmp_path)
    tells(changed, {"7": "Net 7"})
    account, customer = changed.joined_customer(Terms="7")
    other = changed.crm.create("Account", {"Name": "Beta", "Terms": "7"})
    changed.crm.edit("Account", account, {"Terms": "9"})
    changed.sync_until_quiet()
    assert [row.field for row in changed.parked("field")] == ["payment_terms"]
    tells(changed, {"7": "Net 7", "9": "Net 90"})
    assert reads_of(changed, changed.sync) == {f"crm {account}": 1}
    changed.apply(changed.plan())
    assert says(changed.erp.get("customer", customer) or {}, terms="Net 90")
    assert says(changed.erp_of(other), terms="Net 7")
    assert changed.parked() == []
    changed.assert_quiet()


def test_an_edit_made_after_the_base_was_stored_wins_over_what_the_base_said(tmp_path: Path) -> None:
    changed = world(tmp_path)
    account, customer = changed.joined_customer(Status="open")
    changed.crm.edit("Account", account, {"Status": "gone", "Name": "Acme Ltd"})
    turned = {"open": "inactive", "closed": "active", "gone": "archived"}
    changed.library = changed.mapped(**mapped({"status": {"external": "Status", "via": [{"map": {"pairs": turned}}]}}))
    changed.sync()
    changed.apply(changed.plan())
    assert says(changed.erp.get("customer", customer) or {}, companyName="Acme Ltd", inactive="yes")
    assert changed.golden().fields["status"] == "archived"


def test_a_document_parked_under_the_old_rules_is_merged_under_the_new_ones_without_a_read(tmp_path: Path) -> None:
    changed = World(tmp_path)
    account, _ = changed.joined_customer()
    order = changed.order_in_crm(account, ("bolt", 2, "3"))
    (row,) = (row for row in changed.crm.all("OrderItem"))
    changed.crm.edit("OrderItem", row, {"Amount": 5})
    changed.sync()
    assert [row.error for row in changed.parked("record")] == ["total"]
    fields = {"product": {"external": "Product", "required": True}}
    fields |= {name: {"external": said, "via": ["decimal"]} for name, said in (("quantity", "Qty"), ("unit_price", "Price"))}
    lines = {"child": {"stream": "OrderItem", "parent": "Order"}, "key": "Id", "write": "keyed", "fields": fields}
    changed.library = changed.mapped({}, {"order/crm": {"lists": {"lines": lines}}})
    assert reads_of(changed, changed.sync) == {}
    changed.apply(changed.plan())
    assert changed.parked("record") == []
    assert says(changed.partner("crm", "Order", order, "erp")[1], total=6)


@pytest.mark.parametrize("deaths", [(2,), (4,), (2, 3)])
def test_a_run_killed_while_it_maps_anew_loses_nothing_of_it(tmp_path: Path, deaths: Sequence[int]) -> None:
    changed = world(tmp_path)
    _, customer = changed.joined_customer()
    changed.library = changed.mapped(**mapped({"name": {"external": "Name", "via": ["trim", "upper"], "required": True}}))
    for at in deaths:
        changed.dying(at)
        with pytest.raises(BaseException, match="after"):
            changed.sync()
        changed.living()
    plan = changed.plan()
    assert plan.review
    changed.apply(plan)
    assert says(changed.erp.get("customer", customer) or {}, companyName="ACME")
    changed.assert_quiet()


def test_what_moved_while_a_system_was_out_of_the_configuration_reaches_it_when_it_is_back(tmp_path: Path) -> None:
    world = World(tmp_path, roles=("crm", "erp", "shop"), entities=("customer",))
    account, _ = world.joined_customer()
    client, _ = world.partner("crm", "Account", account, "shop")
    with world.without("shop"):
        world.crm.edit("Account", account, {"Email": "new@acme.example"})
        world.sync_until_quiet()
    world.sync_until_quiet()
    assert says(world.shop.get("client", client) or {}, mail="new@acme.example")
    world.assert_agree()


def test_what_moved_on_both_sides_while_a_system_was_out_of_the_configuration_is_a_clash(tmp_path: Path) -> None:
    world = World(tmp_path, roles=("crm", "erp", "shop"), entities=("customer",))
    account, _ = world.joined_customer()
    client, _ = world.partner("crm", "Account", account, "shop")
    with world.without("shop"):
        world.crm.edit("Account", account, {"Email": "crm@acme.example"})
        world.sync_until_quiet()
    world.shop.edit("client", client, {"mail": "shop@acme.example"})
    world.sync_until_quiet()
    (row,) = world.parked("clash")
    assert {candidate["by"] for candidate in row.data["candidates"]} == {"crm", "shop"}
    assert says(world.shop.get("client", client) or {}, mail="shop@acme.example")


def test_under_another_key_nothing_counts_as_gone(tmp_path: Path) -> None:
    deleting = {"customer": {**PREFER_CRM["customer"], "on_delete": "delete"}}
    changed = world(tmp_path, rules=deleting)
    account, customer = changed.joined_customer(Site="A-1")
    numbered = mapped(None)["mappings"]
    numbered["customer/crm"] = {**numbered["customer/crm"], "key": {"id": "Site", "external_id": "Ref"}}
    changed.library = changed.mapped(deleting, numbered)
    with pytest.raises(ConfigError, match=r"linked by 'Id'.* is 'Site' now"):
        changed.sync()
    changed.library = changed.mapped(deleting, mapped(None)["mappings"])
    changed.sync()
    assert says(changed.erp_of(account), companyName="Acme")
    assert changed.erp.get("customer", customer) is not None
    changed.assert_quiet()


def test_a_field_that_is_written_from_now_on_is_written_where_the_copy_had_stayed_behind(tmp_path: Path) -> None:
    only_new = {"customer/erp": {"fields": {"phone": {"external": "tel", "write": "create_only"}}}}
    world = World(tmp_path, entities=("customer",), mappings=only_new)
    account, customer = world.joined_customer(Phone="1")
    world.crm.edit("Account", account, {"Phone": "2"})
    world.sync_until_quiet()
    assert says(world.erp.get("customer", customer) or {}, tel="1")
    world.library = world.mapped({}, {})
    plan = world.sync()
    assert plan.review
    assert says(world.erp.get("customer", customer) or {}, tel="1")
    world.apply(plan)
    assert says(world.erp.get("customer", customer) or {}, tel="2")
    assert says(world.crm.get("Account", account) or {}, Phone="2")
    world.assert_agree()
    world.assert_quiet()


def test_what_a_copy_holds_and_golden_does_not_is_not_cleared_by_a_change_of_rules(tmp_path: Path) -> None:
    skipping = {"customer/erp": {"fields": {"phone": {"external": "tel", "nulls": {"out": "skip"}}}}}
    world = World(tmp_path, entities=("customer",), mappings=skipping)
    account, customer = world.joined_customer(Phone="1")
    world.crm.edit("Account", account, {"Phone": None})
    world.sync_until_quiet()
    world.library = world.mapped({}, {})
    world.sync()
    world.sync_until_quiet()
    assert says(world.erp.get("customer", customer) or {}, tel="1")


def test_what_a_changed_rule_would_write_as_it_stands_is_left_as_it_stands(tmp_path: Path) -> None:
    world = World(tmp_path, entities=("customer",))
    account, customer = world.joined_customer(Status="gone")
    assert says(world.erp.get("customer", customer) or {}, inactive="yes")
    pairs = {"no": "active", "yes": "inactive", "maybe": "active"}
    rule = {
        "external": "inactive",
        "via": [{"map": {"pairs": pairs, "write": {"archived": "yes", "active": "no"}}}],
        "accept_loss": ["PutGet: so it is"],
    }
    world.library = world.mapped({}, {"customer/erp": {"fields": {"status": rule}}})
    world.sync_until_quiet()
    assert says(world.crm.get("Account", account) or {}, Status="gone")
    assert says(world.erp.get("customer", customer) or {}, inactive="yes")
    world.assert_agree()
