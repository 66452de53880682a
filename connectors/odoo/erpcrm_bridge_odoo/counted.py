"""Streams that Odoo counts and does not keep: what customers owe, what lies in a warehouse. They are read in full and never written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from erpcrm_bridge.connector import Capabilities, Change, Field, Found, Page, Question, Record, Selection, Stream
from erpcrm_bridge.errors import SchemaDrift
from erpcrm_bridge.model.values import Fields, digest, same
from erpcrm_bridge_odoo.numbers import tidy
from erpcrm_bridge_odoo.rpc import Server

CURSOR = "counted anew each time"
PAGE = 1000
OFFERS = Capabilities(
    create=False,
    update=False,
    delete=False,
    incremental="full",
    lists_keys=True,
    tells_gone=True,
    version_exact=True,
    window="nothing is written",
)


@dataclass(frozen=True, slots=True)
class Counted:
    """A stream that is worked out. ``needs`` are the models and fields that it is counted from; ``count`` returns its records."""

    fields: tuple[Field, ...]
    needs: Mapping[str, tuple[str, ...]]
    count: Callable[[Server], list[Fields]]

    def stream(self, name: str) -> Stream:
        told = (Field("id", nullable=False, creatable=False, updatable=False), *self.fields)
        return Stream(name, {field.name: field for field in told}, OFFERS)


def _read(server: Server, model: str, domain: list[Any], fields: Sequence[str], order: str = "id") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = server.call(model, "search_read", domain=domain, fields=list(fields), order=order, load="")
    return rows


_PARTNER = ("commercial_partner_id", "credit_limit", "use_partner_credit_limit", "credit", "customer_rank")
_ORDER = ("partner_id", "amount_to_invoice", "currency_rate", "state")
_INVOICE = ("commercial_partner_id", "amount_residual_signed", "invoice_date_due", "state", "move_type")


def _owed(server: Server) -> list[Fields]:
    """What each customer owes. Balances stand with the commercial partner; those of persons and addresses are nought (observed)."""
    today = datetime.now(UTC).date()
    company = server.context.get("allowed_company_ids", [None])[0]
    first = _read(server, "res.company", [["id", "=", company]] if company else [], ("currency_id",))
    overdue: dict[int, tuple[Decimal, date]] = {}
    late = [
        ["move_type", "=", "out_invoice"],
        ["state", "=", "posted"],
        ["amount_residual_signed", "!=", 0],
        ["invoice_date_due", "<", f"{today}"],
    ]
    for row in _read(server, "account.move", late, _INVOICE[:3]):
        amount, oldest = overdue.get(row["commercial_partner_id"], (Decimal(0), today))
        due = date.fromisoformat(row["invoice_date_due"])
        overdue[row["commercial_partner_id"]] = (amount + tidy(row["amount_residual_signed"]), min(oldest, due))
    found: list[Fields] = []
    unbilled = _unbilled(server)
    for row in _read(server, "res.partner", [["customer_rank", ">", 0]], _PARTNER[:4]):
        if row["commercial_partner_id"] != row["id"]:
            continue
        amount, oldest = overdue.get(row["id"], (Decimal(0), today))
        found.append(
            {
                "id": str(row["id"]),
                "partner_id": str(row["id"]),
                "credit_limit": tidy(row["credit_limit"]) if row["use_partner_credit_limit"] else None,
                "balance": tidy(row["credit"]),
                "unbilled_amount": tidy(unbilled.get(row["id"])),
                "overdue_amount": amount,
                "days_overdue": (today - oldest).days,
                "currency_id": str(first[0]["currency_id"]) if first else None,
                "as_of": f"{today}",
            }
        )
    return found


def _unbilled(server: Server) -> Mapping[int, Decimal]:
    """Return what is ordered and not billed by commercial partner, in the company's currency at each order's own rate.

    Odoo's own sum, ``credit_to_invoice``, is nil in 19 wherever the company has not switched credit limits on (observed).
    """
    orders = _read(server, "sale.order", [["state", "=", "sale"]], _ORDER[:3])
    who = _read(server, "res.partner", [["id", "in", sorted({one["partner_id"] for one in orders})]], ("commercial_partner_id",))
    customers = {row["id"]: row["commercial_partner_id"] for row in who}
    sums: dict[int, Decimal] = {}
    for one in orders:
        customer = customers.get(one["partner_id"])
        if customer is not None:
            amount = Decimal(str(one["amount_to_invoice"])) / (Decimal(str(one["currency_rate"])) or 1)
            sums[customer] = sums.get(customer, Decimal(0)) + amount
    return sums


def _levels(server: Server) -> list[Fields]:
    """What lies of each product at each internal location, and what comes there next."""
    totals: dict[tuple[int, int], tuple[Decimal, Decimal]] = {}
    inside = [["location_id.usage", "=", "internal"]]
    for row in _read(server, "stock.quant", inside, ("product_id", "location_id", "quantity", "reserved_quantity")):
        place = (row["product_id"], row["location_id"])
        lies, reserved = totals.get(place, (Decimal(0), Decimal(0)))
        totals[place] = (lies + Decimal(str(row["quantity"])), reserved + Decimal(str(row["reserved_quantity"])))
    paths = {row["id"]: row["parent_path"] for row in _read(server, "stock.location", [], ("parent_path",))}
    coming: dict[tuple[int, int], dict[str, Any]] = {}
    opened = [
        ["state", "in", ["waiting", "confirmed", "partially_available", "assigned"]],
        ["location_dest_id.usage", "=", "internal"],
        ["location_id.usage", "!=", "internal"],
    ]
    for row in _read(server, "stock.move", opened, ("product_id", "location_dest_id", "product_qty", "date"), "date, id"):
        for above in str(paths.get(row["location_dest_id"]) or "").strip("/").split("/"):
            if above:
                coming.setdefault((row["product_id"], int(above)), row)
    found: list[Fields] = []
    for place, (lies, reserved) in sorted(totals.items()):
        nearest = coming.get(place)
        found.append(
            {
                "id": f"{place[0]}-{place[1]}",
                "product_id": str(place[0]),
                "location_id": str(place[1]),
                "quantity": tidy(lies),
                "available_quantity": tidy(lies - reserved),
                "incoming_qty": tidy(nearest["product_qty"]) if nearest else None,
                "incoming_date": str(nearest["date"])[:10] if nearest and nearest["date"] else None,
            }
        )
    return found


def _fixed(name: str, kind: Any = "number", *references: str) -> Field:
    return Field(name, kind, creatable=False, updatable=False, references=references)


COUNTED: Mapping[str, Counted] = {
    "res.partner.credit": Counted(
        (
            _fixed("partner_id", "reference", "res.partner"),
            *map(_fixed, ("credit_limit", "balance", "unbilled_amount", "overdue_amount", "days_overdue")),
            _fixed("currency_id", "reference", "res.currency"),
            _fixed("as_of", "date"),
        ),
        {"res.partner": _PARTNER, "account.move": _INVOICE, "sale.order": _ORDER},
        _owed,
    ),
    "stock.level": Counted(
        (
            _fixed("product_id", "reference", "product.product"),
            _fixed("location_id", "reference", "stock.location"),
            *map(_fixed, ("quantity", "available_quantity", "incoming_qty")),
            _fixed("incoming_date", "date"),
        ),
        {"stock.quant": ("quantity", "reserved_quantity"), "stock.move": ("product_qty", "date")},
        _levels,
    ),
}


def records(server: Server, selection: Selection) -> list[Record]:
    """Count the stream; return its records with the fields that are asked. Raises SchemaDrift for a field that it has not."""
    counted = COUNTED[selection.stream]
    known = {"id", *(field.name for field in counted.fields)}
    for name in selection.fields:
        if name not in known:
            raise SchemaDrift(f"{selection.stream} has no field {name}.", way_out="Correct the mapping: `erpcrm-bridge mapping drift`.")
    told = ((one["id"], {name: one[name] for name in selection.fields}) for one in counted.count(server))
    return [Record(key, digest(fields), fields) for key, fields in told]


def pages(server: Server, selection: Selection) -> Iterator[Page]:
    found = records(server, selection)
    for start in range(0, max(len(found), 1), PAGE):
        part = found[start : start + PAGE]
        yield Page([Change(one.key, one) for one in part], CURSOR, complete=start + PAGE >= len(found))


def find(server: Server, selection: Selection, questions: Sequence[Question]) -> dict[str, Found]:
    whole = Selection(selection.stream, "id", tuple(field.name for field in COUNTED[selection.stream].fields))
    found = records(server, whole)
    return {
        one.ref: Found(tuple(r.key for r in found if all(same(r.fields.get(name), value) for name, value in one.fields.items())))
        for one in questions
    }
