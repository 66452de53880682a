"""This database's code tables: its own ids of currencies, countries, terms and the like, to their canonical codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from erpcrm_bridge.errors import PermissionDenied, SchemaDrift
from erpcrm_bridge_odoo.answers import Fault
from erpcrm_bridge_odoo.rpc import Server

_Row = Mapping[str, Any]


def _tax(row: _Row) -> str:
    """Taxes of sales have their own name; those of purchases, which often bear the same one, say so."""
    return str(row["name"] if row["type_tax_use"] == "sale" else f"{row['name']} ({row['type_tax_use']})")


_TABLES: tuple[tuple[str, str, tuple[str, ...], Callable[[_Row], str | None]], ...] = (
    ("currency", "res.currency", ("name",), lambda row: row["name"]),
    ("country", "res.country", ("code",), lambda row: row["code"]),
    ("term", "account.payment.term", ("name",), lambda row: row["name"]),
    ("tax_code", "account.tax", ("name", "type_tax_use"), _tax),
    ("unit", "uom.uom", ("name",), lambda row: row["name"]),
    ("location", "stock.location", ("complete_name",), lambda row: row["complete_name"]),
    ("company", "res.company", ("name",), lambda row: row["name"]),
    ("price_list", "product.pricelist", ("name",), lambda row: row["name"]),
    ("sales_rep", "res.users", ("login",), lambda row: row["login"]),
    ("stage", "crm.stage", ("name",), lambda row: row["name"]),
    ("journal", "account.journal", ("code",), lambda row: row["code"]),
)


def code_tables(server: Server) -> dict[str, dict[str, str]]:
    """Return the tables that this user may read. A kind whose model is not installed, or may not be read, has none."""
    tables: dict[str, dict[str, str]] = {}
    for kind, model, fields, code in _TABLES:
        rows = _rows(server, model, fields)
        if rows is not None:
            tables[kind] = {str(row["id"]): text for row in rows if (text := code(row))}
    states = _rows(server, "res.country.state", ("code", "country_id"))
    countries = tables.get("country", {})
    if states is not None:
        tables["region"] = {
            str(row["id"]): f"{countries[str(row['country_id'])]}-{row['code']}" for row in states if str(row["country_id"]) in countries
        }
    return tables


def _rows(server: Server, model: str, fields: tuple[str, ...]) -> list[_Row] | None:
    try:
        rows: list[_Row] = server.call(model, "search_read", domain=[], fields=list(fields), order="id", load="")
    except (Fault, PermissionDenied, SchemaDrift):
        return None
    return rows
