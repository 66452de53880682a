"""The rules that the connector makes: what they post, how what is wrong is told and put right. Simulator and real server alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from receiver import Receiver

from erpcrm_bridge.connector import Child, Selection
from erpcrm_bridge.errors import ConfigError, PermissionDenied, SchemaDrift
from erpcrm_bridge_odoo import OdooConnector, OdooSettings

SECRET = "whsec-71d0a9"
PARTNERS = Selection("res.partner", "id", ("name", "email", "parent_id", "active"), "$xmlid")
ADDRESSES = Child("res.partner.address", "parent_id", "id", ("city", "type"))
ORDERS = Selection(
    "sale.order", "id", ("client_order_ref", "amount_untaxed"), "$xmlid", (Child("sale.order.line", "order_id", "id", ("name",)),)
)
STOCK = Selection("stock.level", "", ("quantity",))


@pytest.fixture
def connect(odoo: Any, receiver: Receiver) -> Iterator[Callable[..., OdooConnector]]:
    """Open connectors that posts of the server reach; the rules of the test are gone at the end."""
    opened: list[OdooConnector] = []

    def connect(**more: Any) -> OdooConnector:
        user = "admin" if odoo.simulator else os.environ["ERPCRM_ODOO_USER"]
        said = {"url": odoo.url, "database": odoo.db, "user": user, "key": odoo.key, "module": f"bridge_{odoo.mark}"}
        hook = {"webhook_address": receiver.address, "webhook_secret": SECRET}
        opened.append(OdooConnector(OdooSettings.model_validate({**said, **hook, **more})))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()
    for model in ("ir.actions.server", "base.automation"):
        ours = (
            [["webhook_url", "=like", f"{receiver.address}%"]] if model == "ir.actions.server" else [["name", "=like", "erpcrm-bridge: %"]]
        )
        if found := odoo.ask(model, "search", ours, context={"active_test": False}):
            odoo.ask(model, "unlink", found)


def _rules(odoo: Any, model: str) -> list[int]:
    found: list[int] = odoo.ask("base.automation", "search", [["model_id.model", "=", model]], context={"active_test": False})
    return found


def _field(odoo: Any, model: str, name: str) -> int:
    key: int = odoo.ask("ir.model.fields", "search", [["model", "=", model], ["name", "=", name]])[0]
    return key


def _action(odoo: Any, rule: int) -> int:
    key: int = odoo.ask("ir.actions.server", "search", [["base_automation_id", "=", rule]])[0]
    return key


def test_a_change_of_what_is_read_is_posted_once_and_brings_its_key(
    odoo: Any, receiver: Receiver, connect: Callable[..., OdooConnector]
) -> None:
    connector = connect()
    assert [(rule.about, rule.step) for rule in connector.set_up_webhooks([PARTNERS])] == [("res.partner", "make")]
    key = odoo.partner(name="Acme", comment="first")
    assert len(receiver.posts) == 1, "one post for a new record"
    assert connector.parse_webhook(receiver.requests[-1]) == ({"res.partner": [str(key)], "res.partner.address": [str(key)]}, 5.0)
    odoo.ask("res.partner", "write", [key], {"comment": "nobody reads it"})
    assert len(receiver.posts) == 1
    odoo.ask("res.partner", "write", [key], {"email": "a@acme.example"})
    odoo.ask("res.partner", "write", [key], {"active": False})
    assert len(receiver.posts) == 3
    assert {post["_id"] for post in receiver.posts} == {key}
    assert set(receiver.posts[-1]) == {"_action", "_id", "_model", "id", "parent_id"}, "the key, the company, and no value"


def test_a_changed_address_brings_its_company(odoo: Any, receiver: Receiver, connect: Callable[..., OdooConnector]) -> None:
    connector = connect()
    company = odoo.partner(name="Acme", is_company=True)
    address = odoo.partner(name="Depot", parent_id=company, type="delivery", city="Bonn")
    connector.set_up_webhooks([Selection("res.partner", "id", ("name",), None, (ADDRESSES,))])
    odoo.ask("res.partner", "write", [address], {"city": "Köln"})
    keys, _ = connector.parse_webhook(receiver.requests[-1])
    assert keys == {"res.partner": [str(address), str(company)], "res.partner.address": [str(address)]}


def test_rules_are_made_once(odoo: Any, connect: Callable[..., OdooConnector]) -> None:
    connector = connect()
    before = {model: len(_rules(odoo, model)) for model in ("res.partner", "sale.order")}
    looked = connector.webhook_rules([PARTNERS, ORDERS, STOCK])
    assert [(rule.about, rule.step, rule.wrong) for rule in looked] == [
        ("res.partner", "make", ("there is no rule",)),
        ("sale.order", "make", ("there is no rule",)),
        ("stock.level", "", ()),
    ]
    assert "counted anew" in looked[-1].note
    assert {model: len(_rules(odoo, model)) for model in before} == before, "a look makes nothing"
    assert connector.set_up_webhooks([PARTNERS, ORDERS, STOCK]) == looked
    for connection in (connector, connect()):
        assert [(rule.step, rule.wrong) for rule in connection.webhook_rules([PARTNERS, ORDERS, STOCK])] == [("", ())] * 3
        assert [rule.step for rule in connection.set_up_webhooks([PARTNERS, ORDERS, STOCK])] == ["", "", ""]
    assert {model: len(_rules(odoo, model)) for model in before} == {model: count + 1 for model, count in before.items()}


def test_mappings_of_one_stream_share_its_rule(odoo: Any, connect: Callable[..., OdooConnector]) -> None:
    connector = connect()
    more = Selection("res.partner", "id", ("phone",), "$xmlid", (ADDRESSES,))
    assert [(rule.about, rule.streams) for rule in connector.set_up_webhooks([PARTNERS, more])] == [
        ("res.partner", ("res.partner", "res.partner.address"))
    ]
    rule = _rules(odoo, "res.partner")[-1]
    fires = odoo.ask("ir.model.fields", "read", odoo.one("base.automation", rule, "trigger_field_ids"), ["name"])
    assert {row["name"] for row in fires} >= {"name", "email", "parent_id", "active", "phone", "city", "type"}
    assert connector.webhook_rules([PARTNERS])[0].wrong == ("it fires for what is not read: child_ids, city, phone, type",)


OTHER = "https://other.example/in/their-secret-4711"
BROKEN: dict[str, tuple[Callable[[Any, int], Any], str]] = {
    "switched off": (lambda odoo, rule: odoo.ask("base.automation", "write", [rule], {"active": False}), "it is switched off"),
    "another trigger": (
        lambda odoo, rule: odoo.ask("base.automation", "write", [rule], {"trigger": "on_unlink", "trigger_field_ids": [[6, 0, []]]}),
        "it fires at on_unlink, not on create and edit",
    ),
    "no trigger fields": (
        lambda odoo, rule: odoo.ask("base.automation", "write", [rule], {"trigger_field_ids": [[6, 0, []]]}),
        "it names no trigger fields: one new record is posted many times",
    ),
    "other trigger fields": (
        lambda odoo, rule: odoo.ask(
            "base.automation",
            "write",
            [rule],
            {"trigger_field_ids": [[3, _field(odoo, "res.partner", "email")], [4, _field(odoo, "res.partner", "ref")]]},
        ),
        "it does not fire for: email",
    ),
    "a filter": (
        lambda odoo, rule: odoo.ask("base.automation", "write", [rule], {"filter_domain": "[('is_company', '=', True)]"}),
        "it leaves out what does not fit its filter",
    ),
    "elsewhere": (
        lambda odoo, rule: odoo.ask("ir.actions.server", "write", [_action(odoo, rule)], {"webhook_url": OTHER}),
        "it posts elsewhere: to other.example",
    ),
    "another secret": (
        lambda odoo, rule: odoo.ask(
            "ir.actions.server",
            "write",
            [_action(odoo, rule)],
            {"webhook_url": odoo.one("ir.actions.server", _action(odoo, rule), "webhook_url").replace(SECRET, "their-secret-4711")},
        ),
        "its address ends with another secret",
    ),
    "other fields": (
        lambda odoo, rule: odoo.ask(
            "ir.actions.server", "write", [_action(odoo, rule)], {"webhook_field_ids": [[6, 0, [_field(odoo, "res.partner", "email")]]]}
        ),
        "it sends more than the key: email",
    ),
    "no action": (
        lambda odoo, rule: odoo.ask("ir.actions.server", "unlink", [_action(odoo, rule)]),
        "it has no action that posts",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_is_told_and_put_right(what: str, odoo: Any, receiver: Receiver, connect: Callable[..., OdooConnector]) -> None:
    connector = connect()
    connector.set_up_webhooks([PARTNERS])
    rule = _rules(odoo, "res.partner")[-1]
    spoil, said = BROKEN[what]
    spoil(odoo, rule)
    looked = connector.webhook_rules([PARTNERS])
    assert said in looked[0].wrong
    assert looked[0].step == "change"
    assert "secret-4711" not in repr(looked)
    assert SECRET not in repr(looked)
    assert connector.set_up_webhooks([PARTNERS]) == looked
    assert connector.webhook_rules([PARTNERS])[0].wrong == ()
    assert _rules(odoo, "res.partner")[-1] == rule, "changed, and no other made"
    odoo.partner(email="b@acme.example")
    assert len(receiver.posts) == 1
    assert connector.parse_webhook(receiver.requests[-1])[0]


def test_a_rule_made_by_hand_is_taken_and_a_second_one_told(odoo: Any, receiver: Receiver, connect: Callable[..., OdooConnector]) -> None:
    connector = connect()
    model = odoo.ask("ir.model", "search", [["model", "=", "res.partner"]])[0]
    made = []
    for number in (1, 2):
        vals = {"name": f"erpcrm-bridge: by hand {number}", "model_id": model, "trigger": "on_create_or_write"}
        made.append(odoo.ask("base.automation", "create", vals))
        action = {"name": "hook", "model_id": model, "state": "webhook", "usage": "base_automation", "base_automation_id": made[-1]}
        odoo.ask("ir.actions.server", "create", {**action, "webhook_url": f"{receiver.address}/{SECRET}"})
    twice = f"the rule 'erpcrm-bridge: by hand 2' ({made[1]}) posts the same: archive it"
    assert twice in connector.set_up_webhooks([PARTNERS])[0].wrong
    looked = connector.webhook_rules([PARTNERS])[0]
    assert (looked.step, looked.wrong) == ("", (twice,)), "what others made is not switched off"
    odoo.ask("base.automation", "write", [made[1]], {"active": False})
    assert connector.webhook_rules([PARTNERS])[0].wrong == ()
    assert odoo.one("base.automation", made[0], "trigger_field_ids"), "the first was put right"


def test_a_rule_of_somebody_elses_is_none_of_ours(odoo: Any, connect: Callable[..., OdooConnector]) -> None:
    connector = connect()
    model = odoo.ask("ir.model", "search", [["model", "=", "res.partner"]])[0]
    theirs = odoo.ask(
        "base.automation", "create", {"name": "erpcrm-bridge: not", "model_id": model, "trigger": "on_create_or_write", "active": False}
    )
    action = {"name": "hook", "model_id": model, "state": "webhook", "usage": "base_automation", "base_automation_id": theirs}
    odoo.ask("ir.actions.server", "create", {**action, "webhook_url": OTHER})
    assert connector.set_up_webhooks([PARTNERS])[0].step == "make"
    assert odoo.one("base.automation", theirs, "active") is False


def test_a_field_for_some_groups_may_fire_a_rule(odoo: Any, receiver: Receiver, connect: Callable[..., OdooConnector]) -> None:
    """Only what is sent must be open to all: a user who may not see the field edits the record as before."""
    connector = connect()
    connector.set_up_webhooks([Selection("res.partner", "id", ("name", "credit_limit"), "$xmlid")])
    seller = odoo.user("ruled-seller", "base.group_user", "sales_team.group_sale_salesman", "base.group_partner_manager")
    receiver.posts.clear()
    key = seller.partner(name="Acme")
    seller.ask("res.partner", "write", [key], {"name": "Acme Ltd"})
    assert [post["_id"] for post in receiver.posts] == [key, key]
    odoo.ask("res.partner", "write", [key], {"use_partner_credit_limit": True, "credit_limit": 100.0})
    assert len(receiver.posts) == 3


def test_who_is_no_administrator_may_not(odoo: Any, connect: Callable[..., OdooConnector]) -> None:
    manager = odoo.user("ruled-manager", "base.group_user", "base.group_erp_manager")
    login = odoo.one("res.users", manager.uid, "login")
    connector = connect(user=login, key=manager.key, api="jsonrpc")
    for asked in (connector.webhook_rules, connector.set_up_webhooks):
        with pytest.raises(PermissionDenied, match="may not see Odoo's automation rules") as raised:
            asked([PARTNERS])
        assert "administrator" in raised.value.way_out


@pytest.mark.parametrize("api", ["json2", "jsonrpc"])
def test_without_the_module_it_says_which(api: str, odoo: Any, connect: Callable[..., OdooConnector]) -> None:
    if odoo.simulator is None:
        pytest.skip("the module is installed there")
    if api == "json2" and odoo.version < 19:
        pytest.skip("since 19")
    odoo.simulator.service.not_installed.add("base.automation")
    try:
        with pytest.raises(SchemaDrift, match="base_automation is not installed") as raised:
            connect(api=api).webhook_rules([PARTNERS])
    finally:
        odoo.simulator.service.not_installed.clear()
    assert "Install" in raised.value.way_out


@pytest.mark.parametrize("missing", ["webhook_address", "webhook_secret"])
def test_without_an_address_or_a_secret_there_is_no_rule(missing: str, connect: Callable[..., OdooConnector]) -> None:
    with pytest.raises(ConfigError) as raised:
        connect(**{missing: None}).set_up_webhooks([PARTNERS])
    assert missing in raised.value.way_out


@pytest.mark.parametrize("secret", ["", "a/b", "a b", "a%2Fb", "a?b", "ä"])
def test_a_secret_that_no_address_can_hold_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="stands in an address"):
        OdooSettings(url="https://o.example", database="d", user="u", key="k", webhook_secret=secret)  # type: ignore[arg-type]
