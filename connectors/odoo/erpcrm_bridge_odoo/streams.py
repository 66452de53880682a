"""The streams, where they are more than a model: which of its records they hold, and the fields that are worked out from others.

A *derived* field is read from what a whole page's rows need, in one call for all of them; one that can be written says what is written
instead. Names are those of 19 (``models.RENAMED``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from erpcrm_bridge.connector import Field
from erpcrm_bridge.model.records import RejectClass
from erpcrm_bridge_odoo.numbers import tidy
from erpcrm_bridge_odoo.rpc import Server

Row = dict[str, Any]
"""A record as ``read(load='')`` gives it, under 19's names."""


class Refused(Exception):
    """A value that cannot be written: the write is Rejected."""

    def __init__(self, reject: RejectClass, reason: str) -> None:
        super().__init__(reason)
        self.reject = reject
        self.reason = reason


class Batch:
    """What the rows of one page, or the writes of one batch, look up beside themselves: each record once."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._read: dict[tuple[str, tuple[str, ...]], dict[int, Row]] = {}

    def of(self, model: str, ids: Iterable[Any], fields: Sequence[str]) -> dict[int, Row]:
        """Return the fields of those records that exist, by id. False and None are no ids."""
        known = self._read.setdefault((model, tuple(fields)), {})
        wanted = sorted({one for one in ids if one} - known.keys())
        if wanted:
            domain = [["id", "in", wanted]]
            for row in self.server.call(model, "search_read", domain=domain, fields=list(fields), load=""):
                known[row["id"]] = row
        return known


@dataclass(frozen=True, slots=True)
class Putting:
    """A value to be written: what was ``found`` for it, and the other ``fields`` of the same write."""

    value: Any
    found: Any
    fields: Mapping[str, Any]


Of = Callable[[Batch, Sequence[Row]], Sequence[Any]]
Put = Callable[[Putting], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Derived:
    """A field that is worked out. ``needs`` are the columns it is worked out from, ``of`` gives its values row by row.

    ``put`` returns what is written for a value, given what ``look_up`` found for all values of a batch.
    """

    field: Field
    needs: tuple[str, ...]
    of: Of
    put: Put | None = None
    look_up: Callable[[Batch, set[Any]], Mapping[Any, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """A stream. ``domain`` says which of the model's records it holds, ``rows`` which of them are rows of a document.

    ``derived`` fields stand in for columns of the same name; those in ``missing`` only where this version has no such column. ``fixed``
    is written on each create. ``writable`` says whether anything may be written at all, ``archives`` that a removed row is archived.
    ``paths`` says where a search finds a derived field that names a document; ``within`` is the search for the rows of documents, where no
    path leads there. Rows that stand ``apart`` are written by calls of their own, not with their document.
    """

    name: str
    model: str
    domain: tuple[Any, ...] = ()
    rows: tuple[Any, ...] = ()
    derived: Mapping[str, Derived] = field(default_factory=dict)
    missing: Mapping[str, Derived] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    writable: bool = True
    archives: bool = False
    paths: Mapping[str, str] = field(default_factory=dict)
    within: Callable[[Batch, Sequence[int]], list[Any]] | None = None
    apart: bool = False


def _each(needs: tuple[str, ...], of: Callable[[Row], Any]) -> Of:
    return lambda _, rows: [of(row) for row in rows]


def _text(value: Any) -> str | None:
    return str(value) if value not in (False, None) else None


# Derived fields


def _through(name: str, by: str, model: str, wanted: str, told: Field, convert: Callable[[Any], Any] = lambda v: v or None) -> Derived:
    """The value of the record that the many2one ``by`` names; null where it names none."""

    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        there = batch.of(model, (row[by] for row in rows), (wanted,))
        return [convert(there[row[by]][wanted]) if row[by] in there else None for row in rows]

    return Derived(told, (by,), of)


def _read_only(name: str, kind: Any = "text", **more: Any) -> Field:
    return Field(name, kind, creatable=False, updatable=False, **more)


def _customer() -> Derived:
    """A document hangs on a person or an address; the customer is their commercial partner."""

    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        there = batch.of("res.partner", (row["partner_id"] for row in rows), ("commercial_partner_id",))
        return [_text(there[row["partner_id"]]["commercial_partner_id"]) if row["partner_id"] in there else None for row in rows]

    return Derived(
        Field("customer_id", "reference", references=("res.partner",)), ("partner_id",), of, put=lambda put: {"partner_id": put.value}
    )


def _product_code() -> Derived:
    """The internal reference of a row's product; a product that is written so must be the only active one that bears it."""

    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        there = batch.of("product.product", (row["product_id"] for row in rows), ("default_code",))
        return [there[row["product_id"]]["default_code"] or None if row["product_id"] in there else None for row in rows]

    def look_up(batch: Batch, codes: set[Any]) -> Mapping[Any, Any]:
        domain = [["default_code", "in", sorted(codes)], ["active", "=", True]]
        found: dict[Any, list[int]] = {}
        for row in batch.server.call("product.product", "search_read", domain=domain, fields=["default_code"], load=""):
            found.setdefault(row["default_code"], []).append(row["id"])
        return found

    def put(put: Putting) -> Mapping[str, Any]:
        if put.value is None:
            return {"product_id": None}
        if not put.found or len(put.found) != 1:
            count = len(put.found) if put.found else "no"
            raise Refused("reference", f"{count} active product has the internal reference {put.value}")
        return {"product_id": str(put.found[0])}

    return Derived(Field("product_code"), ("product_id",), of, put=put, look_up=look_up)


def _net_price(needs: tuple[str, ...]) -> Derived:
    """The unit price after its discount: a percentage of hundredths at most, so that nothing is lost in the product."""

    def of(row: Row) -> Any:
        if row.get("display_type") not in (None, False, "product"):
            return None
        return tidy(Decimal(str(row["price_unit"])) * (100 - Decimal(str(row["discount"]))) / 100)

    return Derived(
        Field("net_price_unit", "number"), needs, _each(needs, of), put=lambda put: {"price_unit": put.value or 0, "discount": 0}
    )


def _position(needs: tuple[str, ...] = ("sequence",)) -> Derived:
    """The rank of a row in its document, from 1; it is filled in where the document's rows are read whole."""
    return Derived(
        Field("position", "number", scale=0, updatable=False),
        needs,
        lambda _, rows: [None] * len(rows),
        put=lambda put: {} if put.value is None else {"sequence": 10 * int(put.value)},
    )


def _line_kind() -> Derived:
    def of(row: Row) -> str:
        return "shipping" if row.get("is_delivery") else "item"

    def put(put: Putting) -> Mapping[str, Any]:
        if put.value in ("tax", "rounding"):
            raise Refused("record", f"Odoo works out the rows of {put.value} itself: none can be added")
        return {}

    choices = ("item", "shipping", "discount", "tax", "rounding")
    return Derived(Field("line_kind", "choice", choices=choices, updatable=False), (), _each((), of), put=put)


def _unsent(_: Putting) -> Mapping[str, Any]:
    """The state that a new record has by itself is accepted on a create, and not sent."""
    return {}


def _state(name: str, choices: tuple[str, ...], needs: tuple[str, ...], of: Callable[[Row], str | None]) -> Derived:
    told = Field(name, "choice", choices=choices, restricted=True, updatable=False)
    return Derived(told, needs, _each(needs, of), put=_unsent)


def _order_state(row: Row) -> str | None:
    return "invoiced" if (row["state"], row["invoice_status"]) == ("sale", "invoiced") else _text(row["state"])


def _invoice_state(row: Row) -> str | None:
    is_paid = row["state"] == "posted" and not row["amount_residual"] and row["payment_state"] in ("paid", "in_payment", "reversed")
    return "paid" if is_paid else _text(row["state"])


def _won_status(row: Row) -> str:
    """As 19 works it out."""
    if not row["active"] and not row["probability"]:
        return "lost"
    return "won" if row["stage_is_won"] and row["probability"] == 100 else "pending"


def _won_status_17() -> Derived:
    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        stages = batch.of("crm.stage", (row["stage_id"] for row in rows), ("is_won",))
        return [_won_status({**row, "stage_is_won": row["stage_id"] in stages and stages[row["stage_id"]]["is_won"]}) for row in rows]

    told = Field("won_status", "choice", choices=("won", "lost", "pending"), restricted=True, updatable=False)
    return Derived(told, ("active", "probability", "stage_id"), of, put=_unsent)


def _was_confirmed() -> Derived:
    def of(row: Row) -> bool:
        return row["state"] == "sale" or (row["state"] == "cancel" and bool(row.get("picking_ids") or row["invoice_ids"]))

    needs = ("state", "picking_ids", "invoice_ids")
    return Derived(_read_only("was_confirmed", "boolean", nullable=False), needs, _each(needs, of))


def _no_slash(name: str) -> Derived:
    """A document that has no number yet: False in 19, a stroke in 17."""
    return Derived(_read_only(name), (name,), _each((name,), lambda row: None if row[name] in (False, "/") else row[name]))


def _order_of_invoice() -> Derived:
    """The one order that the invoice's rows bill; null where it is none or several."""

    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        domain = [["move_id", "in", [row["id"] for row in rows]], ["sale_line_ids", "!=", False]]
        lines = batch.server.call("account.move.line", "search_read", domain=domain, fields=["move_id", "sale_line_ids"], load="")
        orders = batch.of("sale.order.line", (one for line in lines for one in line["sale_line_ids"]), ("order_id",))
        billed: dict[int, set[int]] = {}
        for line in lines:
            billed.setdefault(line["move_id"], set()).update(orders[one]["order_id"] for one in line["sale_line_ids"] if one in orders)
        return [str(*billed[row["id"]]) if len(billed.get(row["id"], ())) == 1 else None for row in rows]

    return Derived(_read_only("sale_order_id", "reference", references=("sale.order",)), (), of)


def _kind_of_row() -> Derived:
    """What a row of an invoice is for, without the kinds that are none of its rows. Odoo makes all but products itself."""

    def put(put: Putting) -> Mapping[str, Any]:
        if put.value not in (None, "product"):
            raise Refused("record", f"Odoo makes the rows of {put.value} itself: none can be added")
        return {"display_type": "product"}

    told = Field("display_type", "choice", choices=("product", "tax", "rounding", "discount", "epd"), restricted=True, updatable=False)
    return Derived(told, ("display_type",), _each(("display_type",), lambda row: _text(row["display_type"])), put=put)


def _invoice_amount() -> Derived:
    """An invoice row's amount as its document says it: the books credit what a customer is billed for."""

    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        kinds = batch.of("account.move", (row["move_id"] for row in rows), ("move_type",))
        refunds = [row["move_id"] in kinds and kinds[row["move_id"]]["move_type"] == "out_refund" for row in rows]
        amounts = (Decimal(str(row["amount_currency"])) for row in rows)
        return [tidy(amount if refund else -amount) for amount, refund in zip(amounts, refunds, strict=True)]

    return Derived(_read_only("amount", "number"), ("amount_currency", "move_id"), of)


def _unapplied() -> Derived:
    """What of a payment is applied to no invoice yet, in the payment's currency; nothing of one that was cancelled."""

    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        domain = [["credit_move_id.payment_id", "in", [row["id"] for row in rows]], ["debit_move_id.move_id.move_type", "=", "out_invoice"]]
        fields = ["credit_move_id", "credit_amount_currency"]
        told = batch.server.call("account.partial.reconcile", "search_read", domain=domain, fields=fields, load="")
        lines = batch.of("account.move.line", (one["credit_move_id"] for one in told), ("payment_id",))
        applied: dict[int, Decimal] = {}
        for one in told:
            payment = lines[one["credit_move_id"]]["payment_id"]
            applied[payment] = applied.get(payment, Decimal(0)) + Decimal(str(one["credit_amount_currency"]))
        void = ("cancel", "canceled", "rejected")
        return [
            Decimal(0) if row["state"] in void else tidy(Decimal(str(row["amount"])) - applied.get(row["id"], Decimal(0))) for row in rows
        ]

    return Derived(_read_only("unapplied_amount", "number"), ("amount", "state"), of)


def _product_rows_only(name: str, told: Field, convert: Callable[[Any], Any]) -> Derived:
    def of(row: Row) -> Any:
        return convert(row[name]) if row["display_type"] == "product" else None

    return Derived(told, (name, "display_type"), _each((name,), of), put=lambda put: {name: put.value})


def _payment_state_17() -> Derived:
    """17 tells ``posted`` for both of 19's states of a payment that counts."""

    def of(row: Row) -> str:
        if row["state"] == "posted":
            return "paid" if row["is_matched"] else "in_process"
        return "canceled" if row["state"] == "cancel" else str(row["state"])

    return _state("state", ("draft", "in_process", "paid", "canceled", "rejected"), ("state", "is_matched"), of)


def _storable_17() -> Mapping[str, Derived]:
    """17's third type of product is 19's ``is_storable``; it is written as ``detailed_type``."""

    def type_of(row: Row) -> str:
        return "consu" if row["type"] == "product" else str(row["type"])

    told = Field("type", "choice", choices=("consu", "service", "combo"), restricted=True, nullable=False)
    return {
        "type": Derived(told, ("type",), _each(("type",), type_of), put=lambda put: {"detailed_type": put.value}),
        "is_storable": Derived(
            Field("is_storable", "boolean", nullable=False),
            ("type",),
            _each(("type",), lambda row: row["type"] == "product"),
            put=lambda put: {"detailed_type": "product"} if put.value else {},
        ),
    }


def _parent_is_customer() -> Derived:
    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        there = batch.of("res.partner", (row["parent_id"] for row in rows), ("customer_rank",))
        return [row["parent_id"] in there and there[row["parent_id"]]["customer_rank"] > 0 for row in rows]

    return Derived(_read_only("parent_is_customer", "boolean", nullable=False), ("parent_id",), of)


def _currency(name: str, put: Put, look_up: Callable[[Batch, set[Any]], Mapping[Any, Any]]) -> Derived:
    """A currency that follows from something else: named in a create, it must be the one that follows, or choose what it follows from."""
    told = Field(name, "reference", references=("res.currency",), updatable=False)
    return Derived(told, (name,), _each((name,), lambda row: _text(row[name])), put=put, look_up=look_up)


def _currency_of_order() -> Derived:
    """The first active price list in that currency, as Odoo takes the first. Prices go with the lines: the list tells nothing else."""

    def look_up(batch: Batch, values: set[Any]) -> Mapping[Any, Any]:
        told = batch.server.call(
            "product.pricelist", "search_read", domain=[["active", "=", True]], fields=["currency_id"], order="sequence, id", load=""
        )
        return {value: [row["id"] for row in told if str(row["currency_id"]) == str(value)] for value in values}

    def put(put: Putting) -> Mapping[str, Any]:
        if put.value is None:
            return {}
        named = put.fields.get("pricelist_id")
        fitting = put.found or []
        if named is not None and int(named) in fitting:
            return {}
        if named is not None or not fitting:
            what = "the price list named is in another currency" if named is not None else "no active price list is in this currency"
            raise Refused("field", f"{what}: an order is in that of its price list")
        return {"pricelist_id": str(fitting[0])}

    return _currency("currency_id", put, look_up)


def _currency_of_price() -> Derived:
    def look_up(batch: Batch, values: set[Any]) -> Mapping[Any, Any]:
        told = batch.server.call("product.pricelist", "search_read", domain=[], fields=["currency_id"], load="")
        return {value: {str(row["id"]) for row in told if str(row["currency_id"]) == str(value)} for value in values}

    def put(put: Putting) -> Mapping[str, Any]:
        if put.value is not None and str(put.fields.get("pricelist_id")) not in (put.found or ()):
            raise Refused("field", "the price list is in another currency")
        return {}

    return _currency("currency_id", put, look_up)


def _currency_of_lead() -> Derived:
    def look_up(batch: Batch, values: set[Any]) -> Mapping[Any, Any]:
        told = batch.server.call("res.company", "search_read", domain=[], fields=["currency_id"], load="")
        return {value: any(str(row["currency_id"]) == str(value) for row in told) for value in values}

    def put(put: Putting) -> Mapping[str, Any]:
        if put.value is not None and not put.found:
            raise Refused("field", "a lead is in its company's currency, and this is another")
        return {}

    return _currency("company_currency", put, look_up)


def _ship_date() -> Derived:
    needs = ("date_done", "scheduled_date")
    return Derived(_read_only("ship_date", "instant"), needs, _each(needs, lambda row: row["date_done"] or row["scheduled_date"] or None))


def _user_of_agent() -> Derived:
    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        partners = sorted({row["agent_id"] for row in rows if row["agent_id"]})
        told = batch.server.call("res.users", "search_read", domain=[["partner_id", "in", partners]], fields=["partner_id"], load="")
        users: dict[int, list[int]] = {}
        for user in told:
            users.setdefault(user["partner_id"], []).append(user["id"])
        return [_text(users[row["agent_id"]][0]) if len(users.get(row["agent_id"], ())) == 1 else None for row in rows]

    return Derived(_read_only("agent_user_id", "reference", references=("res.users",)), ("agent_id",), of)


def _plan_of_settlement() -> Derived:
    """The one plan of its rows; null where there are several."""

    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        lines = batch.of("commission.settlement.line", (one for row in rows for one in row["line_ids"]), ("commission_id",))
        plans = batch.of("commission", (line["commission_id"] for line in lines.values()), ("name",))
        found = []
        for row in rows:
            named = {plans[lines[one]["commission_id"]]["name"] for one in row["line_ids"] if one in lines and lines[one]["commission_id"]}
            found.append(named.pop() if len(named) == 1 else None)
        return found

    return Derived(_read_only("plan"), ("line_ids",), of)


def _billed(name: str, wanted: str, told: Field) -> Derived:
    return _through(name, "invoice_line_id", "account.move.line", wanted, told)


def _rate() -> Derived:
    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        plans = batch.of("commission", (row["commission_id"] for row in rows), ("commission_type", "fix_qty"))
        there = (plans.get(row["commission_id"]) for row in rows)
        return [Decimal(str(plan["fix_qty"])) if plan and plan["commission_type"] == "fixed" else None for plan in there]

    return Derived(_read_only("rate", "number"), ("commission_id",), of)


def _is_standard() -> Derived:
    """The price list that Odoo takes where nothing else is said: the first active one of its company."""

    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        first: dict[Any, int] = {}
        told = batch.server.call(
            "product.pricelist", "search_read", domain=[["active", "=", True]], fields=["company_id"], order="sequence, id", load=""
        )
        for row in told:
            first.setdefault(row["company_id"], row["id"])
        return [first.get(row["company_id"]) == row["id"] for row in rows]

    return Derived(_read_only("is_standard", "boolean", nullable=False), ("company_id",), of)


def _priced_product() -> Derived:
    """The product of a price: that of its template, where the template has just one."""

    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        bare = [row["product_tmpl_id"] for row in rows if not row["product_id"]]
        there = batch.of("product.template", bare, ("product_variant_ids",))
        found = []
        for row in rows:
            variants = there[row["product_tmpl_id"]]["product_variant_ids"] if row["product_tmpl_id"] in there else []
            found.append(_text(row["product_id"]) or (_text(variants[0]) if len(variants) == 1 else None))
        return found

    def put(put: Putting) -> Mapping[str, Any]:
        return {"product_id": put.value, **({} if put.value is None else {"applied_on": "0_product_variant"})}

    told = Field("product_id", "reference", references=("product.product",), nullable=False)  # its template would tell it again
    return Derived(told, ("product_id", "product_tmpl_id"), of, put=put)


_PRICE = ("pricelist_id", "product_id", "product_tmpl_id")
_ALWAYS: tuple[Any, ...] = (["compute_price", "=", "fixed"], ["date_start", "=", False], ["date_end", "=", False])


def _head_price() -> Derived:
    """The price that a break belongs to: that of one piece, of the same product in the same list."""

    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        lists = sorted({row["pricelist_id"] for row in rows})
        domain = [["pricelist_id", "in", lists], ["min_quantity", "<=", 1], *_ALWAYS]
        told = batch.server.call("product.pricelist.item", "search_read", domain=domain, fields=list(_PRICE), order="id", load="")
        heads: dict[tuple[Any, ...], int] = {}
        for row in told:
            heads.setdefault(tuple(row[name] for name in _PRICE), row["id"])
        return [_text(heads.get(tuple(row[name] for name in _PRICE))) for row in rows]

    told = Field("item_id", "reference", references=("product.pricelist.item",), updatable=False)
    return Derived(told, _PRICE, of)


def _breaks_of(batch: Batch, heads: Sequence[int]) -> list[Any]:
    lists = {row["pricelist_id"] for row in batch.of("product.pricelist.item", heads, _PRICE).values()}
    return [["pricelist_id", "in", sorted(lists)]]


def _unit_factor() -> Mapping[str, Derived]:
    """19 says how many of the category's base unit make one, 17 how many of it one makes; categories are 17's."""

    def of(row: Row) -> Any:
        return tidy(1 / Decimal(str(row["factor"]))) if row["factor"] else None

    return {"factor": Derived(_read_only("factor", "number"), ("factor",), _each(("factor",), of))}


def _unit_category_17() -> Derived:
    return _through("category", "category_id", "uom.category", "name", _read_only("category"))


def _unit_category_19() -> Derived:
    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        told = batch.server.call("uom.uom", "search_read", domain=[], fields=["name", "relative_uom_id"], load="")
        by_id = {row["id"]: row for row in told}
        found = []
        for row in rows:
            one = by_id.get(row["id"])
            while one is not None and one["relative_uom_id"] in by_id:
                one = by_id[one["relative_uom_id"]]
            found.append(one["name"] if one is not None else None)
        return found

    return Derived(_read_only("category"), ("relative_uom_id",), of)


def _due_days() -> Derived:
    def of(batch: Batch, rows: Sequence[Row]) -> list[Any]:
        lines = batch.of(
            "account.payment.term.line",
            (one for row in rows for one in row["line_ids"]),
            ("value", "value_amount", "delay_type", "nb_days"),
        )
        return [_days([lines[one] for one in row["line_ids"] if one in lines]) for row in rows]

    return Derived(_read_only("due_days", "number", scale=0), ("line_ids",), of)


def _days(lines: Sequence[Row]) -> int | None:
    if len(lines) != 1:
        return None
    line = lines[0]
    whole = line["value"] == "percent" and line["value_amount"] == 100 and line["delay_type"] == "days_after"
    return int(line["nb_days"]) if whole else None


def _early(name: str) -> Derived:
    needs = ("early_discount", name)
    return Derived(_read_only(name, "number"), needs, _each(needs, lambda row: row[name] if row["early_discount"] else None))


_SHIP = {
    f"ship_{name}": _through(
        f"ship_{name}",
        "partner_shipping_id",
        "res.partner",
        name,
        _read_only(f"ship_{name}", "reference" if name.endswith("_id") else "text"),
        _text,
    )
    for name in ("street", "street2", "city", "state_id", "zip", "country_id")
}

_ORDER_STATES = ("draft", "sent", "sale", "invoiced", "cancel")

SPECS: Mapping[str, Spec] = {
    spec.name: spec
    for spec in (
        Spec("res.partner", "res.partner", derived={"parent_is_customer": _parent_is_customer()}),
        Spec(
            "res.partner.address",
            "res.partner",
            domain=(["type", "in", ["invoice", "delivery", "other"]], ["parent_id", "!=", False], ["active", "=", True]),
            fixed={"type": "delivery"},
            archives=True,
        ),
        Spec("res.users", "res.users", writable=False),
        Spec("res.company", "res.company", writable=False),
        Spec("product.product", "product.product"),
        Spec("uom.uom", "uom.uom", writable=False),
        Spec("product.pricelist", "product.pricelist", derived={"is_standard": _is_standard()}),
        Spec(
            "product.pricelist.item",
            "product.pricelist.item",
            derived={
                "product_id": _priced_product(),
                "currency_id": _currency_of_price(),
                "active": _through(
                    "active", "pricelist_id", "product.pricelist", "active", _read_only("active", "boolean", nullable=False), bool
                ),
            },
            fixed={"compute_price": "fixed"},
        ),
        Spec(
            "product.pricelist.break",
            "product.pricelist.item",
            domain=(["min_quantity", ">", 1], *_ALWAYS),
            derived={"item_id": _head_price()},
            within=_breaks_of,
            apart=True,
        ),
        Spec(
            "crm.lead",
            "crm.lead",
            derived={"customer_id": _customer(), "company_currency": _currency_of_lead()},
            missing={"won_status": _won_status_17()},
        ),
        Spec(
            "sale.order",
            "sale.order",
            derived={
                "customer_id": _customer(),
                "order_state": _state("order_state", _ORDER_STATES, ("state", "invoice_status"), _order_state),
                "was_confirmed": _was_confirmed(),
                "currency_id": _currency_of_order(),
                **_SHIP,
            },
        ),
        Spec(
            "sale.order.line",
            "sale.order.line",
            rows=(["display_type", "=", False],),
            derived={
                "position": _position(),
                "product_code": _product_code(),
                "line_kind": _line_kind(),
                "net_price_unit": _net_price(("price_unit", "discount")),
            },
        ),
        Spec(
            "account.move",
            "account.move",
            domain=(["move_type", "in", ["out_invoice", "out_refund"]],),
            derived={
                "name": _no_slash("name"),
                "customer_id": _customer(),
                "sale_order_id": _order_of_invoice(),
                "invoice_state": _state(
                    "invoice_state", ("draft", "posted", "paid", "cancel"), ("state", "payment_state", "amount_residual"), _invoice_state
                ),
            },
        ),
        Spec(
            "account.move.line",
            "account.move.line",
            rows=(["display_type", "not in", ["payment_term", "line_section", "line_subsection", "line_note", "cogs"]],),
            derived={
                "position": _position(),
                "display_type": _kind_of_row(),
                "product_code": _product_code(),
                "net_price_unit": _net_price(("price_unit", "discount", "display_type")),
                "amount": _invoice_amount(),
                "quantity": _product_rows_only("quantity", Field("quantity", "number"), lambda value: value),
                "product_uom_id": _product_rows_only(
                    "product_uom_id", Field("product_uom_id", "reference", references=("uom.uom",)), _text
                ),
            },
        ),
        Spec(
            "account.payment",
            "account.payment",
            domain=(["payment_type", "=", "inbound"], ["partner_type", "=", "customer"]),
            derived={"name": _no_slash("name"), "customer_id": _customer(), "unapplied_amount": _unapplied()},
            fixed={"payment_type": "inbound", "partner_type": "customer"},
        ),
        Spec(
            "account.partial.reconcile",
            "account.partial.reconcile",
            domain=(["credit_move_id.payment_id", "!=", False], ["debit_move_id.move_id.move_type", "=", "out_invoice"]),
            derived={
                "payment_id": _through(
                    "payment_id",
                    "credit_move_id",
                    "account.move.line",
                    "payment_id",
                    Field("payment_id", "reference", references=("account.payment",), updatable=False),
                    _text,
                ),
                "invoice_id": _through(
                    "invoice_id",
                    "debit_move_id",
                    "account.move.line",
                    "move_id",
                    Field("invoice_id", "reference", references=("account.move",), updatable=False),
                    _text,
                ),
                "amount": Derived(
                    Field("amount", "number", updatable=False),
                    ("credit_amount_currency",),
                    _each((), lambda row: tidy(row["credit_amount_currency"])),
                ),
                "position": _position(()),
            },
            paths={"payment_id": "credit_move_id.payment_id"},
            apart=True,
        ),
        Spec(
            "stock.picking",
            "stock.picking",
            domain=(["picking_type_code", "=", "outgoing"],),
            derived={"ship_date": _ship_date()},
            writable=False,
        ),
        Spec("stock.move", "stock.move", derived={"product_code": _product_code(), "position": _position()}, writable=False),
        Spec(
            "commission.settlement",
            "commission.settlement",
            derived={"agent_user_id": _user_of_agent(), "plan": _plan_of_settlement()},
            writable=False,
        ),
        Spec(
            "commission.settlement.line",
            "commission.settlement.line",
            derived={
                "position": _position(()),
                "plan": _through("plan", "commission_id", "commission", "name", _read_only("plan")),
                "document": _billed("document", "move_name", _read_only("document")),
                "base_amount": _billed("base_amount", "price_subtotal", _read_only("base_amount", "number")),
                "rate": _rate(),
            },
            writable=False,
        ),
        Spec(
            "account.payment.term",
            "account.payment.term",
            derived={
                "due_days": _due_days(),
                "discount_days": _early("discount_days"),
                "discount_percentage": _early("discount_percentage"),
            },
            writable=False,
        ),
        Spec("account.tax", "account.tax", domain=(["type_tax_use", "=", "sale"],), writable=False),
        Spec(
            "res.currency.rate",
            "res.currency.rate",
            derived={
                "company_currency_id": _through(
                    "company_currency_id",
                    "company_id",
                    "res.company",
                    "currency_id",
                    _read_only("company_currency_id", "reference"),
                    _text,
                )
            },
        ),
    )
}

OLDER: Mapping[str, Mapping[str, Derived]] = {
    "product.product": _storable_17(),
    "product.template": _storable_17(),
    "account.payment": {"state": _payment_state_17()},
    "uom.uom": {**_unit_factor(), "category": _unit_category_17()},
}
"""What 17 has otherwise, by the column that only it has or lacks: see ``older``."""

_TELLS_17: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "product.product": lambda told: "is_storable" not in told,
    "product.template": lambda told: "is_storable" not in told,
    "account.payment": lambda told: "memo" not in told,
    "uom.uom": lambda told: "relative_uom_id" not in told,
}


def spec_of(stream: str) -> Spec:
    """Return the stream's spec; a stream that has none is its model as it stands."""
    return SPECS.get(stream) or Spec(stream, stream)


def derived_of(spec: Spec, told: Mapping[str, Any]) -> dict[str, Derived]:
    """Return the derived fields of a stream in a database whose ``fields_get`` of its model is ``told``."""
    found = {**spec.derived, **{name: one for name, one in spec.missing.items() if name not in told}}
    if spec.model in _TELLS_17 and _TELLS_17[spec.model](told):
        found.update(OLDER[spec.model])
    elif spec.model == "uom.uom":
        found["category"] = _unit_category_19()
    return found
