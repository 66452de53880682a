"""Posts as 17 and 19 were seen to send them: whose they are, what they announce, and how often."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from erpcrm_bridge.connector import ReceivesWebhooks, WebhookRequest
from erpcrm_bridge.errors import AuthError, InputError
from erpcrm_bridge_odoo import OdooConnector, OdooSettings
from erpcrm_bridge_odoo.webhooks import Announced

SECRET = "whsec-8f2c"
PARTNER = {"_action": "BR create/write srv(#507)", "_id": 12085, "_model": "res.partner", "email": "h@x.example", "id": 12085}
ORDER_17 = {"_action": "Send Webhook Notification(#469)", "_id": 245, "_model": "sale.order", "amount_total": 22.99, "state": "sale"}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def request(body: Any, path: str = f"/hooks/odoo/{SECRET}") -> WebhookRequest:
    return WebhookRequest("POST", path, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def announced(clock: Clock | None = None, secret: str | None = SECRET, delay: float = 5.0) -> Announced:
    streams = ("res.partner", "res.partner.address", "sale.order", "sale.order.line")
    return Announced(SecretStr(secret) if secret else None, streams, delay, now=clock or Clock())


def test_a_post_brings_the_key_for_each_stream_of_its_model() -> None:
    assert announced().keys(request(PARTNER)) == {"res.partner": ["12085"], "res.partner.address": ["12085"]}
    assert announced().keys(request(ORDER_17)) == {"sale.order": ["245"]}


def test_a_row_announces_its_document() -> None:
    row = {"_id": 488, "_model": "sale.order.line", "order_id": 245}
    assert announced().keys(request(row)) == {"sale.order.line": ["488"], "sale.order": ["245"]}


def test_a_burst_of_one_record_is_announced_once_and_a_later_post_again() -> None:
    clock = Clock()
    one = announced(clock)
    assert one.keys(request(ORDER_17))
    for _ in range(13):
        clock.now += 0.05
        assert one.keys(request(ORDER_17)) == {}
    assert one.keys(request({**ORDER_17, "_id": 246})) == {"sale.order": ["246"]}
    clock.now += 1
    assert one.keys(request(ORDER_17)) == {"sale.order": ["245"]}


@pytest.mark.parametrize(("delay", "apart"), [(0.0, 0.0), (0.5, 0.1), (2.0, 0.4), (60.0, 1.0)])
def test_no_post_counts_for_one_whose_read_may_come_before_it(delay: float, apart: float) -> None:
    """A post is dropped only where the read that the first asked for comes four fifths of the wait after it, or more."""
    clock = Clock()
    one = announced(clock, delay=delay)
    assert one.keys(request(ORDER_17))
    clock.now += apart * 1.01
    assert one.keys(request(ORDER_17)) == {"sale.order": ["245"]}
    clock.now += apart * 0.99
    assert bool(one.keys(request(ORDER_17))) == (delay == 0)


@pytest.mark.parametrize("path", ["/hooks/odoo/", "/hooks/odoo", f"/hooks/{SECRET}/odoo", f"/hooks/odoo/{SECRET}x", "/", "/hooks/odoo/ä"])
def test_an_address_without_the_secret_is_refused(path: str) -> None:
    with pytest.raises(AuthError) as raised:
        announced().keys(request(PARTNER, path))
    assert SECRET not in str(raised.value)


def test_without_a_secret_nothing_is_taken() -> None:
    with pytest.raises(AuthError):
        announced(secret=None).keys(request(PARTNER, "/hooks/odoo/"))


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b"null", b'{"_model": "res.partner", "_id": "x"}', b"\xff", b'{"_model": "res.partner"}']
)
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    with pytest.raises(InputError):
        announced().keys(request(body))


def test_a_model_that_is_no_stream_announces_nothing() -> None:
    assert announced().keys(request({"_id": 1, "_model": "mail.message"})) == {}


def test_the_connector_waits_before_it_reads() -> None:
    settings = {"url": "https://odoo.example", "database": "d", "user": "u", "key": "k", "webhook_secret": SECRET, "webhook_delay": 7}
    connector = OdooConnector(OdooSettings.model_validate(settings))
    assert isinstance(connector, ReceivesWebhooks)
    keys, delay = connector.parse_webhook(request(ORDER_17))
    assert (keys["sale.order"], delay) == (["245"], 7.0)
    connector.close()
