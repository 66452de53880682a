"""What the story harness has found, each told as a fact by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stories.world import World, says

from erpcrm_bridge.sync.run import Report


def remapped(world: World) -> Report:
    """Change a rule of the ERP's customers (telephone numbers lose their outer blanks), and do the plan that comes of it."""
    world.library = world.mapped({}, {"customer/erp": {"fields": {"phone": {"external": "tel", "via": ["trim"]}}}})
    report = world.sync()
    assert report.review
    world.apply(report)
    return world.sync()


def test_an_edit_made_while_a_rule_changed_for_another_field_is_not_contested_by_golden(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer()
    world.erp.edit("customer", customer, {"companyName": "Acme AG"})
    remapped(world)
    assert says(world.crm.get("Account", account) or {}, Name="Acme AG")
    assert says(world.erp.get("customer", customer) or {}, companyName="Acme AG")


def test_what_is_not_delivered_yet_is_not_contested_by_the_old_value_when_a_rule_changes(tmp_path: Path) -> None:
    world = World(tmp_path)
    account, customer = world.joined_customer(City="Bonn")
    world.crm.edit("Account", account, {"City": "Ulm"})
    world.erp.faults.add("write", "refused")
    world.sync()
    remapped(world)
    assert says(world.crm.get("Account", account) or {}, City="Ulm")
    assert says(world.erp.get("customer", customer) or {}, town="Ulm")
