"""What the groups that the guide names may do, tried with users who are in no other. Simulator and real server alike."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from erpcrm_bridge.connector import Applied, Rejected, Selection, Write
from erpcrm_bridge.errors import PermissionDenied
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge_odoo import OdooConnector, OdooSettings

CONTACT, SALES = "base.group_partner_manager", "sales_team.group_sale_salesman_all_leads"
SALES_ADMIN, STOCK_ADMIN, STOCK = "sales_team.group_sale_manager", "stock.group_stock_manager", "stock.group_stock_user"
BILLING, BOOKS, PRODUCTS = "account.group_account_invoice", "account.group_account_manager", "product.group_product_manager"
IDS = "base.group_erp_manager"

MAY: list[tuple[int | None, str, set[str], set[str]]] = [
    (None, CONTACT, {"res.partner"}, {"product.product", "res.currency.rate"}),
    (None, SALES, {"res.partner", "crm.lead", "sale.order", "utm.campaign"}, {"product.product", "product.pricelist", "account.move"}),
    (None, BILLING, {"account.move", "account.payment"}, {"res.currency.rate", "product.pricelist"}),
    (None, BOOKS, {"account.move", "account.payment", "res.currency.rate"}, set()),
    (17, SALES_ADMIN, {"product.product", "product.pricelist", "product.pricelist.item"}, set()),
    (17, STOCK_ADMIN, {"product.product", "product.pricelist", "product.pricelist.item"}, set()),
    (19, SALES_ADMIN, {"product.pricelist", "product.pricelist.item"}, {"product.product"}),
    (19, STOCK_ADMIN, {"product.pricelist"}, {"product.product", "product.pricelist.item"}),
    (19, PRODUCTS, {"product.product", "product.pricelist", "product.pricelist.item"}, set()),
]
"""In which version (None: in both) the members of a group may create and change what, and what they may not."""


@pytest.fixture
def connect(odoo: Any) -> Iterator[Callable[..., OdooConnector]]:
    opened: list[OdooConnector] = []

    def connect(*groups: str, streams: set[str]) -> OdooConnector:
        user = odoo.user(f"member-{uuid.uuid4().hex[:6]}", "base.group_user", *groups)
        said = {"url": odoo.url, "database": odoo.db, "user": odoo.one("res.users", user.uid, "login"), "key": user.key, "api": "jsonrpc"}
        settings = {**said, "uuid": "told", "module": f"rights_{odoo.mark}", "streams": tuple(sorted(streams))}
        opened.append(OdooConnector(OdooSettings.model_validate(settings)))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


def _create(connector: OdooConnector, stream: str, fields: Fields) -> Any:
    return connector.write(
        Selection(stream, "id", tuple(fields), "$xmlid"), [Write("w", "create", None, fields, reference="G0000000RIGHTS")]
    )[0]


@pytest.mark.parametrize(("version", "group", "may", "may_not"), MAY, ids=lambda value: str(value) if isinstance(value, str) else "")
def test_what_a_group_may_write(
    version: int | None, group: str, may: set[str], may_not: set[str], odoo: Any, connect: Callable[..., OdooConnector]
) -> None:
    if version not in (None, odoo.version):
        pytest.skip(f"of {version}")
    told = connect(group, IDS, streams=may | may_not).describe().streams
    able = {name for name, stream in told.items() if stream.capabilities.create and stream.capabilities.update}
    assert may <= able
    assert not may_not & able
    assert all(stream.capabilities.upsert for stream in told.values()), "external ids are read"


def test_without_a_right_to_the_external_ids_nothing_is_made(connect: Callable[..., OdooConnector]) -> None:
    connector = connect(CONTACT, streams={"res.partner"})
    assert not connector.describe().streams["res.partner"].capabilities.upsert


def test_a_create_that_may_not_be_is_told_as_a_matter_of_rights(odoo: Any, connect: Callable[..., OdooConnector]) -> None:
    """``load`` tells it in a message, not as an error."""
    connector = connect(SALES, IDS, streams={"product.product"})
    outcome = _create(connector, "product.product", {"name": "Chair"})
    assert isinstance(outcome, Rejected)
    assert outcome.reject == "permission"
    assert "not allowed to create" in outcome.reason


def test_records_that_a_rule_hides_are_named_and_the_others_read(odoo: Any, connect: Callable[..., OdooConnector]) -> None:
    seller = connect("sales_team.group_sale_salesman", streams={"crm.lead"})
    told = {"name": f"theirs {odoo.mark}", "user_id": odoo.uid}
    theirs = [str(key) for key in odoo.ask("crm.lead", "create", [told, told])]
    nobodys = str(odoo.ask("crm.lead", "create", {"name": "nobody's", "user_id": False}))
    gone = odoo.ask("crm.lead", "create", {"name": "gone", "user_id": False})
    odoo.ask("crm.lead", "unlink", [gone])
    leads = Selection("crm.lead", "id", ("name",))
    with pytest.raises(PermissionDenied) as denied:
        seller.read(leads, [*theirs, nobodys, str(gone)])
    assert sorted(denied.value.keys) == sorted(theirs)
    assert [record.key for record in seller.read(leads, [nobodys, str(gone)])] == [nobodys]


def test_a_contact_is_made_by_who_may_make_contacts_alone(odoo: Any, connect: Callable[..., OdooConnector]) -> None:
    connector = connect(CONTACT, IDS, streams={"res.partner"})
    made = _create(connector, "res.partner", {"name": "Acme", "is_company": True, "customer_rank": 1})
    assert isinstance(made, Applied)
    fields = {"name": "Acme Ltd", "active": False}
    outcome = connector.write(
        Selection("res.partner", "id", ("name", "active"), "$xmlid"),
        [Write("w", "update", made.key, fields, expect={"name": "Acme", "active": True})],
    )[0]
    assert isinstance(outcome, Applied)
    odoo.ask("res.partner", "unlink", [int(made.key)])
