"""Facts of orders, invoices, payments and stock, with the figures that real servers gave. Simulator and real server alike."""

from __future__ import annotations

from typing import Any

import pytest

LEFT = {
    17: "You can't register a payment because there is nothing left to pay on the selected journal items.",
    19: "There's nothing left to pay for the selected journal items, so no payment registration is necessary. "
    "You've got your finances under control like a boss!",
}


def _customer(odoo: Any, **values: Any) -> int:
    key: int = odoo.partner(is_company=True, country_id=233, **values)
    return key


def _product(odoo: Any, **values: Any) -> int:
    key: int = odoo.ask("product.product", "create", {"name": f"P {odoo.mark}", "list_price": 12.5, **values})
    return key


def _order(odoo: Any, partner: int, *lines: dict[str, Any]) -> int:
    vals = {"partner_id": partner, "order_line": [[0, 0, line] for line in lines]}
    key: int = odoo.ask("sale.order", "create", vals)
    return key


def _invoice(odoo: Any, partner: int, price: float = 100.0, quantity: float = 2.0, *, taxed: bool = True, **values: Any) -> int:
    line: dict[str, Any] = {"quantity": quantity, "price_unit": price}
    line |= {"product_id": _product(odoo)} if taxed else {"name": "x", "tax_ids": [[5]]}
    vals = {"move_type": "out_invoice", "partner_id": partner, "invoice_date": "2026-11-01", "invoice_line_ids": [[0, 0, line]], **values}
    key: int = odoo.ask("account.move", "create", vals)
    return key


def _bank(odoo: Any) -> int:
    key: int = odoo.ask("account.journal", "search", [["type", "=", "bank"]], limit=1)[0]
    return key


def _pay(odoo: Any, invoice: int, amount: float | None = None) -> int:
    context = {"active_model": "account.move", "active_ids": [invoice]}
    vals = {"payment_date": "2026-11-05", "journal_id": _bank(odoo), **({"amount": amount} if amount else {})}
    wizard = odoo.ask("account.payment.register", "create", vals, context=context)
    action = odoo.ask("account.payment.register", "action_create_payments", [wizard], context=context)
    assert action["res_model"] == "account.payment"
    key: int = action["res_id"]
    return key


def test_an_orders_money_is_rounded_by_version(odoo: Any) -> None:
    product = _product(odoo)
    order = _order(
        odoo,
        _customer(odoo),
        {"product_id": product, "product_uom_qty": 2.5, "price_unit": 10.335, "discount": 5},
        {"product_id": product, "product_uom_qty": 1.23456},
    )
    lines = odoo.ask(
        "sale.order.line", "search_read", [["order_id", "=", order]], ["price_unit", "price_subtotal", "product_uom_qty"], order="id"
    )
    told = odoo.one("sale.order", order, "amount_untaxed", "amount_tax", "amount_total")
    assert [line["product_uom_qty"] for line in lines] == [2.5, 1.23]
    if odoo.version >= 19:
        assert [line["price_unit"] for line in lines] == [10.335, 12.5]
        assert [line["price_subtotal"] for line in lines] == [24.55, 15.38]
        assert told == [39.92, 5.99, 45.91], "the sum is rounded, not its parts"
    else:
        assert [line["price_unit"] for line in lines] == [10.34, 12.5]
        assert [line["price_subtotal"] for line in lines] == [24.56, 15.38]
        assert told == [39.94, 5.99, 45.93]


def test_a_foreign_invoices_money_is_rounded_by_version(odoo: Any) -> None:
    euro = odoo.ref("base.EUR")
    if not odoo.ask("res.currency.rate", "search_count", [["currency_id", "=", euro]]):
        odoo.ask("res.currency.rate", "create", {"currency_id": euro, "rate": 0.9, "name": "2026-01-01"})
    invoice = _invoice(odoo, _customer(odoo), 33.335, 3, taxed=False, currency_id=euro)
    told = odoo.one("account.move", invoice, "amount_total", "amount_total_signed")
    assert told == ([100.01, 111.12] if odoo.version >= 19 else [100.02, 111.13])


def test_a_child_takes_delivery_and_bill(odoo: Any) -> None:
    company = _customer(odoo)
    bill, ship = (odoo.partner(parent_id=company, type=kind, country_id=233) for kind in ("invoice", "delivery"))
    order = _order(odoo, company, {"product_id": _product(odoo)})
    assert [one[0] for one in odoo.one("sale.order", order, "partner_invoice_id", "partner_shipping_id")] == [bill, ship]
    assert odoo.one("sale.order", order, "name")[0] == "S"
    line = odoo.ask("sale.order.line", "search_read", [["order_id", "=", order]], ["price_unit", "product_uom_qty"])[0]
    assert (line["price_unit"], line["product_uom_qty"]) == (12.5, 1.0), "the price is the list's"


def test_a_delivery_address_without_a_country_is_abroad_on_19(odoo: Any) -> None:
    company = _customer(odoo)
    line = {"product_id": _product(odoo), "price_unit": 100.0}
    assert odoo.one("sale.order", _order(odoo, company, line), "amount_tax") == 15.0
    odoo.partner(parent_id=company, type="delivery")
    assert odoo.one("sale.order", _order(odoo, company, line), "amount_tax") == (0.0 if odoo.version >= 19 else 15.0)


def test_confirming_and_what_is_forbidden_after(odoo: Any) -> None:
    order = _order(odoo, _customer(odoo), {"product_id": _product(odoo)})
    assert odoo.ask("sale.order", "action_confirm", [order]) is True
    assert odoo.one("sale.order", order, "state", "invoice_status") == ["sale", "to invoice"]
    assert len(odoo.one("sale.order", order, "picking_ids")) == 1
    name = odoo.one("sale.order", order, "name")
    words = "Some orders are not in a state requiring confirmation."
    older = f"The following orders are not in a state requiring confirmation: {name}"
    assert odoo.refused("sale.order", "action_confirm", [order]) == ("odoo.exceptions.UserError", words if odoo.version >= 19 else older)
    assert odoo.refused("sale.order", "unlink", [order])[0] == "odoo.exceptions.UserError"
    refusal = odoo.refused("sale.order.line", "unlink", odoo.one("sale.order", order, "order_line"))
    assert refusal[1].startswith("Once a sales order is confirmed, you can't remove one of its lines")


def test_a_row_without_a_product_is_taken_by_19(odoo: Any) -> None:
    order = {"partner_id": _customer(odoo), "order_line": [[0, 0, {"name": "Free text", "product_uom_qty": 2, "price_unit": 7.0}]]}
    if odoo.version < 19:
        assert "Missing required fields on accountable sale order line" in odoo.refused("sale.order", "create", [order])[1]
        return
    (made,) = odoo.ask("sale.order", "create", [order])
    assert odoo.one("sale.order", made, "amount_untaxed", "invoice_status") == [14.0, "no"]


def test_cancelling_a_confirmed_order_only_asks_on_17(odoo: Any) -> None:
    order = _order(odoo, _customer(odoo), {"product_id": _product(odoo)})
    odoo.ask("sale.order", "action_confirm", [order])
    told = odoo.ask("sale.order", "action_cancel", [order])
    if odoo.version >= 19:
        assert told is True
    else:
        assert told["res_model"] == "sale.order.cancel"
        assert odoo.one("sale.order", order, "state") == "sale"
        assert odoo.ask("sale.order", "action_cancel", [order], context={"disable_cancel_warning": True}) is True
    assert odoo.one("sale.order", order, "state") == "cancel"


def test_an_orders_way_to_an_invoice(odoo: Any) -> None:
    order = _order(odoo, _customer(odoo), {"product_id": _product(odoo), "product_uom_qty": 2, "price_unit": 100.0})
    odoo.ask("sale.order", "action_confirm", [order])
    context = {"active_model": "sale.order", "active_ids": [order], "active_id": order}
    wizard = odoo.ask("sale.advance.payment.inv", "create", {"advance_payment_method": "delivered"}, context=context)
    odoo.ask("sale.advance.payment.inv", "create_invoices", [wizard], context=context)
    invoice = odoo.one("sale.order", order, "invoice_ids")[0]
    assert odoo.one("account.move", invoice, "state", "amount_total", "invoice_origin")[:2] == ["draft", 230.0]
    assert odoo.one("sale.order", order, "invoice_status") == "invoiced"
    assert odoo.refused("sale.order", "_create_invoices", [order])[0] == "odoo.exceptions.AccessError"
    assert odoo.ask("account.move", "action_post", [invoice]) is False
    assert odoo.one("account.move", invoice, "state", "payment_state", "amount_residual") == ["posted", "not_paid", 230.0]
    again = odoo.ask("sale.advance.payment.inv", "create", {"advance_payment_method": "delivered"}, context=context)
    assert odoo.refused("sale.advance.payment.inv", "create_invoices", [again], context=context)[1].startswith("Cannot create an invoice.")


def test_an_invoice_is_paid_in_two_parts(odoo: Any) -> None:
    customer = _customer(odoo)
    invoice = _invoice(odoo, customer)
    assert odoo.one("account.move", invoice, "name") == (False if odoo.version >= 19 else odoo.one("account.move", invoice, "name"))
    odoo.ask("account.move", "action_post", [invoice])
    assert odoo.one("account.move", invoice, "name").startswith("INV/2026/")
    assert odoo.one("res.partner", customer, "credit", "total_invoiced") == [230.0, 200.0]
    payment = _pay(odoo, invoice, 100.0)
    assert odoo.one("account.move", invoice, "payment_state", "amount_residual") == ["partial", 130.0]
    assert odoo.one("res.partner", customer, "credit") == 130.0
    state = {17: ("posted", "posted"), 19: ("in_process", "paid")}[odoo.version]
    assert odoo.one("account.payment", payment, "state", "is_reconciled", "is_matched", "amount") == [state[0], True, False, 100.0]
    assert odoo.one("account.payment", payment, "memo" if odoo.version >= 19 else "ref") == odoo.one("account.move", invoice, "name")
    part = odoo.ask("account.partial.reconcile", "search_read", [["debit_move_id.move_id", "=", invoice]], ["amount", "max_date"])
    assert [one["amount"] for one in part] == [100.0]
    _pay(odoo, invoice)
    assert odoo.one("account.move", invoice, "payment_state", "amount_residual") == ["paid", 0.0]
    assert odoo.one("account.payment", payment, "state") == state[1]
    assert odoo.one("account.payment", payment, "reconciled_invoice_ids") == [invoice]
    context = {"active_model": "account.move", "active_ids": [invoice]}
    told = odoo.refused("account.payment.register", "create", {"payment_date": "2026-11-06", "journal_id": _bank(odoo)}, context=context)
    assert told == ("odoo.exceptions.UserError", LEFT[odoo.version])


def test_posting_and_paying_move_stamps_by_version(odoo: Any) -> None:
    customer = _customer(odoo)
    invoice = _invoice(odoo, customer)
    before = odoo.one("res.partner", customer, "write_date")
    _later(odoo)
    odoo.ask("account.move", "action_post", [invoice])
    assert (odoo.one("res.partner", customer, "write_date") > before) == (odoo.version >= 19)
    posted = odoo.one("account.move", invoice, "write_date")
    _later(odoo)
    _pay(odoo, invoice)
    assert odoo.one("account.move", invoice, "write_date") > posted


def test_an_orders_stamp_follows_its_amounts_and_not_its_words(odoo: Any) -> None:
    order = _order(odoo, _customer(odoo), {"product_id": _product(odoo)})
    line = odoo.one("sale.order", order, "order_line")[0]
    before = odoo.one("sale.order", order, "write_date")
    _later(odoo)
    odoo.ask("sale.order.line", "write", [line], {"name": "other words"})
    assert odoo.one("sale.order", order, "write_date") == before
    odoo.ask("sale.order.line", "write", [line], {"price_unit": 99.0})
    assert odoo.one("sale.order", order, "write_date") > before


def _later(odoo: Any) -> None:
    import time
    from datetime import timedelta

    if odoo.simulator is not None:
        odoo.simulator.service.database.store.ahead += timedelta(seconds=2)
    else:
        time.sleep(1.1)


def test_a_payment_by_itself_is_left_open(odoo: Any) -> None:
    customer = _customer(odoo)
    vals = {"amount": 42.0, "partner_id": customer, "payment_type": "inbound", "partner_type": "customer"}
    payment = odoo.ask("account.payment", "create", vals)
    odoo.ask("account.payment", "action_post", [payment])
    assert odoo.one("account.payment", payment, "is_reconciled") is False
    assert odoo.one("res.partner", customer, "credit") == -42.0


def test_a_posted_invoice_is_closed_on_19_and_open_on_17(odoo: Any) -> None:
    invoice = _invoice(odoo, _customer(odoo))
    odoo.ask("account.move", "action_post", [invoice])
    line = odoo.one("account.move", invoice, "invoice_line_ids")[0]
    told = odoo.kw("account.move", "write", [[invoice], {"invoice_line_ids": [[1, line, {"price_unit": 10.0}]]}])
    if odoo.version >= 19:
        data = told["error"]["data"]
        words = "You cannot modify the following readonly fields on a posted move: invoice_line_ids"
        assert (data["name"], data["message"]) == ("odoo.exceptions.UserError", words)
    else:
        assert told["result"] is True
        assert odoo.one("account.move", invoice, "amount_total") == 23.0
    assert odoo.refused("account.move", "unlink", [invoice])[0] == "odoo.exceptions.UserError"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"partner_id": False},
            {17: "The field 'Customer' is required, please complete it to validate the Customer Invoice.", 19: "The 'Customer' field"},
        ),
        ({"invoice_line_ids": False}, {17: "You need to add a line before posting.", 19: "Even magicians can't post nothing!"}),
    ],
)
def test_what_cannot_be_posted(odoo: Any, values: dict[str, Any], words: dict[int, str]) -> None:
    invoice = _invoice(odoo, _customer(odoo), **values)
    name, message = odoo.refused("account.move", "action_post", [invoice])
    assert name == "odoo.exceptions.UserError"
    assert message.startswith(words[odoo.version])


def test_a_refund_reverses_its_invoice(odoo: Any) -> None:
    invoice = _invoice(odoo, _customer(odoo))
    odoo.ask("account.move", "action_post", [invoice])
    context = {"active_model": "account.move", "active_ids": [invoice]}
    wizard = odoo.ask(
        "account.move.reversal",
        "create",
        {"reason": "bad", "journal_id": odoo.one("account.move", invoice, "journal_id")[0]},
        context=context,
    )
    action = odoo.ask("account.move.reversal", "refund_moves" if odoo.version >= 19 else "reverse_moves", [wizard], context=context)
    refund = action["res_id"]
    told = odoo.one("account.move", refund, "move_type", "state", "amount_total", "amount_total_signed")
    assert told == ["out_refund", "draft", 230.0, -230.0]
    assert odoo.one("account.move", refund, "reversed_entry_id")[0] == invoice
    odoo.ask("account.move", "action_post", [refund])
    assert odoo.one("account.move", invoice, "payment_state", "amount_residual") == ["reversed", 0.0]
    assert odoo.one("account.move", refund, "payment_state") == "paid"


def test_stock_is_counted_reserved_and_delivered(odoo: Any) -> None:
    kind = {"type": "consu", "is_storable": True} if odoo.version >= 19 else {"type": "product", "detailed_type": "product"}
    product = _product(odoo, **kind)
    place = odoo.one("stock.warehouse", 1, "lot_stock_id")[0]
    quant = odoo.ask("stock.quant", "create", {"product_id": product, "location_id": place, "inventory_quantity": 25})
    template = odoo.one("product.product", product, "product_tmpl_id")[0]
    stamps = odoo.one("product.product", product, "write_date"), odoo.one("product.template", template, "write_date")
    _later(odoo)
    assert odoo.kw("stock.quant", "action_apply_inventory", [[quant]]) == {"jsonrpc": "2.0", "id": 7}
    figures = ("qty_available", "free_qty", "virtual_available", "outgoing_qty")
    assert odoo.one("product.product", product, *figures) == [25.0, 25.0, 25.0, 0.0]
    order = _order(odoo, _customer(odoo), {"product_id": product, "product_uom_qty": 6})
    odoo.ask("sale.order", "action_confirm", [order])
    assert odoo.one("product.product", product, *figures) == [25.0, 19.0, 19.0, 6.0]
    picking = odoo.one("sale.order", order, "picking_ids")[0]
    moves = odoo.ask("stock.move", "search", [["picking_id", "=", picking]])
    odoo.ask("stock.move", "write", moves, {"picked": True})
    before = odoo.one("sale.order", order, "write_date")
    _later(odoo)
    assert odoo.ask("stock.picking", "button_validate", [picking]) is True
    assert odoo.one("product.product", product, *figures) == [19.0, 19.0, 19.0, 0.0]
    assert odoo.one("sale.order", order, "write_date") > before
    assert (odoo.one("product.product", product, "write_date"), odoo.one("product.template", template, "write_date")) == stamps


def test_a_lead_is_won_and_lost(odoo: Any) -> None:
    won, lost = odoo.ask("crm.lead", "create", [{"name": "w", "expected_revenue": 1000.0}, {"name": "l"}])
    assert odoo.ask("crm.lead", "action_set_won", [won]) is True
    assert odoo.one("crm.lead", won, "probability", "prorated_revenue") == [100.0, 1000.0]
    assert odoo.kw("crm.lead", "action_set_lost", [[lost]]) == {"jsonrpc": "2.0", "id": 7}
    assert odoo.one("crm.lead", lost, "active", "probability") == [False, 0.0]
    if odoo.version >= 19:
        assert [odoo.one("crm.lead", key, "won_status") for key in (won, lost)] == ["won", "lost"]


def test_a_commission_is_settled(odoo: Any) -> None:
    plan = odoo.ask("commission", "create", {"name": "ten", "commission_type": "fixed", "fix_qty": 10.0})
    agent = odoo.partner(agent=True, commission_id=plan)
    customer = _customer(odoo, **{"commission_agent_ids" if odoo.version >= 19 else "agent_ids": [[6, 0, [agent]]]})
    invoice = _invoice(odoo, customer, 100.0, 2)
    assert odoo.one("account.move", invoice, "commission_total") == 20.0
    odoo.ask("account.move", "action_post", [invoice])
    vals = {"date_to": "2027-01-01", "settlement_type": "sale_invoice", "agent_ids": [[6, 0, [agent]]]}
    odoo.ask("commission.make.settle", "action_settle", [odoo.ask("commission.make.settle", "create", vals)])
    settled = odoo.ask("commission.settlement", "search_read", [["agent_id", "=", agent]], ["total", "state"])
    assert [(one["total"], one["state"]) for one in settled] == [(20.0, "settled")]


def _priced(odoo: Any, **values: Any) -> tuple[int, int, int]:
    """Return two products at 12.5 and 20.0, the second without taxes, and a price list: the first at 11.0, from 10 on at 9.0."""
    first, second = _product(odoo), _product(odoo, name=f"Q {odoo.mark}", list_price=20.0, taxes_id=[[5]])
    listed = odoo.ask("product.pricelist", "create", {"name": f"L {odoo.mark}"})
    item = {"pricelist_id": listed, "applied_on": "0_product_variant", "product_id": first, "compute_price": "fixed"}
    odoo.ask("product.pricelist.item", "create", {**item, "fixed_price": 11.0, "min_quantity": 1})
    odoo.ask("product.pricelist.item", "create", {**item, "fixed_price": 9.0, "min_quantity": 10})
    return first, second, listed


def test_a_quantity_that_is_written_works_the_price_out_anew(odoo: Any) -> None:
    """17 forgets any price given by hand; 19 keeps one that was written, and forgets one that came with the line's create."""
    product, _, listed = _priced(odoo)
    line = {"product_id": product, "price_unit": 5.0, "discount": 3.0}
    order = odoo.ask("sale.order", "create", {"partner_id": _customer(odoo), "pricelist_id": listed, "order_line": [[0, 0, line]]})
    key = odoo.one("sale.order", order, "order_line")[0]
    seen = []
    for values in (
        {"product_uom_qty": 2.0},
        {"product_uom_qty": 12.0},
        {"price_unit": 7.0},
        {"product_uom_qty": 3.0},
        {"product_uom_qty": 4.0, "price_unit": 6.0},
        {"name": "own words"},
        {"product_uom_qty": 15.0, "discount": 1.0},
    ):
        odoo.ask("sale.order.line", "write", [key], values)
        seen.append(odoo.one("sale.order.line", key, "price_unit", "discount"))
    by_hand = odoo.version >= 19
    assert seen == [
        [11.0, 3.0],
        [9.0, 3.0],
        [7.0, 3.0],
        [7.0 if by_hand else 11.0, 3.0],
        [6.0, 3.0],
        [6.0, 3.0],
        [6.0 if by_hand else 9.0, 1.0],
    ]


def test_a_product_that_is_written_brings_its_name_its_taxes_and_its_price(odoo: Any) -> None:
    product, other, _ = _priced(odoo)
    order = _order(odoo, _customer(odoo), {"product_id": product, "product_uom_qty": 2.0, "name": "own words"})
    key = odoo.one("sale.order", order, "order_line")[0]
    odoo.ask("sale.order.line", "write", [key], {"product_id": other})
    names = ("name", "price_unit", "price_subtotal", "tax_ids" if odoo.version >= 19 else "tax_id")
    assert odoo.one("sale.order.line", key, *names) == [f"Q {odoo.mark}", 20.0, 40.0, []]
    odoo.ask("product.product", "write", [other], {"list_price": 21.0})
    odoo.ask("sale.order.line", "write", [key], {"product_uom_qty": 2.0})
    assert odoo.one("sale.order.line", key, "price_unit") == 21.0, "the same quantity again counts as written"


def test_a_unit_that_is_written_brings_its_price(odoo: Any) -> None:
    dozens = odoo.ask("uom.uom", "search", [["name", "=", "Dozens"]], context={"active_test": False})[0]
    product, other, _ = _priced(odoo)
    order = _order(odoo, _customer(odoo), {"product_id": product})
    key = odoo.one("sale.order", order, "order_line")[0]
    odoo.ask("sale.order.line", "write", [key], {"product_uom_id" if odoo.version >= 19 else "product_uom": dozens})
    assert odoo.one("sale.order.line", key, "price_unit") == 150.0
    line = {"product_id": product, "quantity": 3, "price_unit": 2.0, "name": "own words"}
    vals = {"move_type": "out_invoice", "partner_id": _customer(odoo), "invoice_line_ids": [[0, 0, line]]}
    item = odoo.one("account.move", odoo.ask("account.move", "create", vals), "invoice_line_ids")[0]
    odoo.ask("account.move.line", "write", [item], {"product_uom_id": dozens})
    assert odoo.one("account.move.line", item, "price_unit", "price_subtotal") == [150.0, 450.0]
    odoo.ask("account.move.line", "write", [item], {"quantity": 4})
    odoo.ask("account.move.line", "write", [item], {"product_id": other})
    told = odoo.one("account.move.line", item, "name", "price_unit", "tax_ids")
    assert told == ["own words" if odoo.version >= 19 else f"Q {odoo.mark}", 20.0, []]


def _stocked(odoo: Any, there: float) -> int:
    product = _product(odoo, **({"is_storable": True} if odoo.version >= 19 else {"detailed_type": "product"}))
    place = odoo.ask("stock.warehouse", "search_read", [], ["lot_stock_id"], limit=1)[0]["lot_stock_id"][0]
    quant = odoo.ask("stock.quant", "create", {"product_id": product, "location_id": place, "inventory_quantity": there})
    odoo.ask("stock.quant", "action_apply_inventory", [quant])
    return product


def _delivering(odoo: Any, order: int) -> list[list[Any]]:
    """Return the state of each delivery of an order, and (wanted, held, state) of its moves."""
    found = []
    for picking in odoo.ask("stock.picking", "search_read", [["sale_id", "=", order]], ["state", "backorder_id"], order="id"):
        names = ["product_uom_qty", "quantity", "state"]
        moves = odoo.ask("stock.move", "search_read", [["picking_id", "=", picking["id"]]], names, order="id")
        found.append([picking["state"], bool(picking["backorder_id"]), *(tuple(move[name] for name in names) for move in moves)])
    return found


def test_a_confirmed_orders_delivery_follows_its_quantity(odoo: Any) -> None:
    product = _stocked(odoo, 10)
    order = _order(odoo, _customer(odoo), {"product_id": product, "product_uom_qty": 4})
    odoo.ask("sale.order", "action_confirm", [order])
    line = odoo.one("sale.order", order, "order_line")
    seen = []
    for quantity in (6, 12, 3, 0, 5):
        odoo.ask("sale.order.line", "write", line, {"product_uom_qty": quantity})
        seen.append((_delivering(odoo, order), odoo.one("product.product", product, "free_qty", "virtual_available")))
    gone = ["cancel", False, (0.0, 0.0, "cancel")]
    assert seen == [
        ([["assigned", False, (6.0, 6.0, "assigned")]], [4.0, 4.0]),
        ([["assigned", False, (12.0, 10.0, "partially_available")]], [0.0, -2.0]),
        ([["assigned", False, (3.0, 3.0, "assigned")]], [7.0, 7.0]),
        ([gone], [10.0, 10.0]),
        ([gone, ["assigned", False, (5.0, 5.0, "assigned")]], [5.0, 5.0]),
    ]


def test_less_than_was_ordered_is_delivered_after_a_question(odoo: Any) -> None:
    product = _stocked(odoo, 10)
    order = _order(odoo, _customer(odoo), {"product_id": product, "product_uom_qty": 5})
    odoo.ask("sale.order", "action_confirm", [order])
    picking = odoo.one("sale.order", order, "picking_ids")
    move = odoo.ask("stock.move", "search", [["picking_id", "in", picking]])
    odoo.ask("stock.move", "write", move, {"quantity": 2, "picked": True})
    asked = odoo.ask("stock.picking", "button_validate", picking)
    assert (asked["name"], asked["res_model"]) == ("Create Backorder?", "stock.backorder.confirmation")
    assert _delivering(odoo, order) == [["assigned", False, (5.0, 2.0, "partially_available")]], "nothing is done yet"
    wizard = odoo.ask("stock.backorder.confirmation", "create", {"pick_ids": [[6, 0, picking]]}, context=asked["context"])
    assert odoo.ask("stock.backorder.confirmation", "process", [wizard], context=asked["context"]) is True
    assert _delivering(odoo, order) == [["done", False, (2.0, 2.0, "done")], ["assigned", True, (3.0, 3.0, "assigned")]]
    assert odoo.one("sale.order", order, "delivery_status") == "partial"
    assert odoo.one("product.product", product, "qty_available", "free_qty") == [8.0, 5.0]
    line = odoo.one("sale.order", order, "order_line")
    assert odoo.one("sale.order.line", line[0], "qty_delivered") == 2.0
    words = odoo.refused("sale.order.line", "write", line, {"product_uom_qty": 1})[1]
    assert words.startswith("The ordered quantity of a sale order line cannot be decreased below the amount already delivered.")


def test_what_is_not_delivered_may_be_let_go(odoo: Any) -> None:
    order = _order(odoo, _customer(odoo), {"product_id": _stocked(odoo, 10), "product_uom_qty": 5})
    odoo.ask("sale.order", "action_confirm", [order])
    picking = odoo.one("sale.order", order, "picking_ids")
    odoo.ask("stock.move", "write", odoo.ask("stock.move", "search", [["picking_id", "in", picking]]), {"quantity": 3, "picked": True})
    context = odoo.ask("stock.picking", "button_validate", picking)["context"]
    wizard = odoo.ask("stock.backorder.confirmation", "create", {"pick_ids": [[6, 0, picking]]}, context=context)
    odoo.ask("stock.backorder.confirmation", "process_cancel_backorder", [wizard], context=context)
    assert _delivering(odoo, order) == [["done", False, (5.0, 3.0, "done")]]
    assert odoo.one("sale.order", order, "delivery_status") == "full"


def test_a_delivery_of_nothing_is_refused(odoo: Any) -> None:
    order = _order(odoo, _customer(odoo), {"product_id": _stocked(odoo, 0), "product_uom_qty": 5})
    odoo.ask("sale.order", "action_confirm", [order])
    words = odoo.refused("stock.picking", "button_validate", odoo.one("sale.order", order, "picking_ids"))[1]
    older = "You cannot validate a transfer if no quantities are reserved. To force the transfer, encode quantities."
    newer = (
        "Transfer trouble alert! Validating a zero quantity transfer? You're not moving invisible goods around are you?\n"
        "Set some quantities and let's get moving!"
    )
    assert words == (newer if odoo.version >= 19 else older)


def _rated(odoo: Any) -> int:
    """Return the euro, which is 0.9 to the dollar from the first of the year, and 0.8 from the tenth of November."""
    euro: int = odoo.ref("base.EUR")
    for day, rate in (("2026-01-01", 0.9), ("2026-11-10", 0.8)):
        if not odoo.ask("res.currency.rate", "search_count", [["currency_id", "=", euro], ["name", "=", day]]):
            odoo.ask("res.currency.rate", "create", {"currency_id": euro, "rate": rate, "name": day})
    return euro


def _posted(odoo: Any, price: float, **values: Any) -> int:
    invoice = _invoice(odoo, _customer(odoo), price, 1, taxed=False, **values)
    odoo.ask("account.move", "action_post", [invoice])
    return invoice


def _registered(odoo: Any, invoices: list[int], day: str, **values: Any) -> Any:
    context = {"active_model": "account.move", "active_ids": invoices}
    wizard = odoo.ask("account.payment.register", "create", {"payment_date": day, "journal_id": _bank(odoo), **values}, context=context)
    return odoo.ask("account.payment.register", "action_create_payments", [wizard], context=context)


def _open(odoo: Any, invoice: int) -> list[Any]:
    told: list[Any] = odoo.one("account.move", invoice, "payment_state", "amount_residual", "amount_residual_signed")
    return told


def _terms(odoo: Any, invoice: int) -> list[list[Any]]:
    names = ["date_maturity", "amount_currency", "balance", "amount_residual"]
    domain = [["move_id", "=", invoice], ["display_type", "=", "payment_term"]]
    return [[row[name] for name in names] for row in odoo.ask("account.move.line", "search_read", domain, names, order="id")]


def test_an_invoice_in_euro_is_paid_in_euro_and_the_rate_has_moved(odoo: Any) -> None:
    euro = _rated(odoo)
    invoice = _posted(odoo, 100.0, currency_id=euro)
    assert odoo.one("account.move", invoice, "amount_total_signed") == 111.11
    _registered(odoo, [invoice], "2026-11-05", amount=40.0)
    assert _open(odoo, invoice) == ["partial", 60.0, 66.67]
    payment = _registered(odoo, [invoice], "2026-11-15")["res_id"]
    assert odoo.one("account.payment", payment, "amount", "amount_company_currency_signed") == [60.0, 75.0]
    assert _open(odoo, invoice) == ["paid", 0.0, 0.0]
    lines = odoo.ask("account.move.line", "search", [["move_id", "=", invoice], ["display_type", "=", "payment_term"]])
    names = ["amount", "debit_amount_currency", "credit_amount_currency", "exchange_move_id"]
    parts = odoo.ask("account.partial.reconcile", "search_read", [["debit_move_id", "in", lines]], names, order="id")
    assert [[part[name] for name in names[:3]] for part in parts] == [[44.44, 40.0, 40.0], [66.67, 60.0, 60.0]]
    assert parts[0]["exchange_move_id"] is False
    gain = odoo.ask("account.move.line", "search_read", [["move_id", "=", parts[1]["exchange_move_id"][0]]], ["balance", "account_id"])
    assert sorted(row["balance"] for row in gain) == [-8.33, 8.33]
    assert any("Foreign Exchange Gain" in row["account_id"][1] for row in gain)


@pytest.mark.parametrize(
    ("invoiced", "paid", "amount", "open_then"),
    [
        ("EUR", "USD", None, ["paid", 0.0, 0.0]),
        ("EUR", "USD", 50.0, ["partial", 55.0, 61.11]),
        ("USD", "EUR", None, ["paid", 0.0, 0.0]),
    ],
)
def test_an_invoice_is_paid_in_another_currency(odoo: Any, invoiced: str, paid: str, amount: float | None, open_then: list[Any]) -> None:
    _rated(odoo)
    invoice = _posted(odoo, 100.0, currency_id=odoo.ref(f"base.{invoiced}"))
    said = {"currency_id": odoo.ref(f"base.{paid}"), **({"amount": amount} if amount else {})}
    payment = _registered(odoo, [invoice], "2026-11-05", **said)["res_id"]
    whole = {"USD": 111.11, "EUR": 90.0}[paid]
    assert odoo.one("account.payment", payment, "amount") == (amount or whole)
    assert _open(odoo, invoice) == open_then


def test_what_is_not_paid_may_be_written_off(odoo: Any) -> None:
    account = odoo.ask("account.account", "search", [["account_type", "=", "expense"]], limit=1)[0]
    invoice = _posted(odoo, 100.0)
    said = {"payment_difference_handling": "reconcile", "writeoff_account_id": account, "writeoff_label": "off"}
    payment = _registered(odoo, [invoice], "2026-11-05", amount=98.0, **said)["res_id"]
    assert _open(odoo, invoice) == ["paid", 0.0, 0.0]
    move = odoo.one("account.payment", payment, "move_id")[0]
    rows = odoo.ask("account.move.line", "search_read", [["move_id", "=", move]], ["balance", "name"], order="id")
    assert [row["balance"] for row in rows] == [98.0, -100.0, 2.0]
    assert rows[2]["name"] == "off"


def test_a_term_of_several_parts_is_due_in_parts(odoo: Any) -> None:
    def term(*lines: dict[str, Any]) -> int:
        vals = {"name": f"T {odoo.mark}", "line_ids": [[5], *([0, 0, line] for line in lines)]}
        key: int = odoo.ask("account.payment.term", "create", vals)
        return key

    two = term({"value": "percent", "value_amount": 30, "nb_days": 0}, {"value": "percent", "value_amount": 70, "nb_days": 30})
    invoice = _posted(odoo, 99.99, invoice_payment_term_id=two)
    assert odoo.one("account.move", invoice, "invoice_date_due") == "2026-12-01"
    assert _terms(odoo, invoice) == [["2026-11-01", 30.0, 30.0, 30.0], ["2026-12-01", 69.99, 69.99, 69.99]]
    _registered(odoo, [invoice], "2026-11-05", amount=30.0)
    assert [row[3] for row in _terms(odoo, invoice)] == [0.0, 69.99], "what is due first is paid first"
    euro = _posted(odoo, 33.35, invoice_payment_term_id=two, currency_id=_rated(odoo))
    assert [row[1:3] for row in _terms(odoo, euro)] == [[10.01, 11.12], [23.34, 25.94]]
    fixed = term({"value": "fixed", "value_amount": 20, "nb_days": 0}, {"value": "percent", "value_amount": 100, "nb_days": 30})
    assert [row[1] for row in _terms(odoo, _posted(odoo, 100.01, invoice_payment_term_id=fixed))] == [20.0, 80.01]


@pytest.mark.parametrize(
    ("way", "due"),
    [("days_after_end_of_month", "2026-12-30"), ("days_after_end_of_next_month", "2027-01-30"), ("days_after", "2026-12-01")],
)
def test_a_term_counts_from_a_day(odoo: Any, way: str, due: str) -> None:
    line = {"value": "percent", "value_amount": 100, "nb_days": 30, "delay_type": way}
    term = odoo.ask("account.payment.term", "create", {"name": way, "line_ids": [[5], [0, 0, line]]})
    invoice = _invoice(odoo, _customer(odoo), invoice_payment_term_id=term)
    assert odoo.one("account.move", invoice, "invoice_date_due") == due


def test_several_invoices_are_paid_each_by_itself_unless_they_are_grouped(odoo: Any) -> None:
    customer = _customer(odoo)
    for grouped in (False, True):
        invoices = [_invoice(odoo, customer, price, 1, taxed=False) for price in (10.0, 20.0)]
        odoo.ask("account.move", "action_post", invoices)
        action = _registered(odoo, invoices, "2026-11-05", group_payment=grouped)
        assert ("res_id" in action) is grouped or not action.get("res_id")
        assert [_open(odoo, one)[0] for one in invoices] == ["paid", "paid"]
        if grouped:
            assert odoo.one("account.payment", action["res_id"], "amount") == 30.0
