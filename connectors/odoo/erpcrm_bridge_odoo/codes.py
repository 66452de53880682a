"""This database's code tables: its own ids of currencies, countries, terms and the like, to their canonical codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from erpcrm_bridge.errors import PermissionDenied, SchemaDrift
from erpcrm_bridge_odoo.answers import Fault
from erpcrm_bridge_odoo.rpc import Server

_Row = Mapping[str, Any]


_TABLES: tuple[tuple[str, str, str, list[Any]], ...] = (
    ("currency", "res.currency", "name", []),
    ("country", "res.country", "code", []),
    ("term", "account.payment.term", "name", []),
    ("tax_code", "account.tax", "name", [["type_tax_use", "=", "sale"]]),
    ("unit", "uom.uom", "name", []),
    ("location", "stock.location", "complete_name", [["usage", "=", "internal"]]),
    ("company", "res.company", "name", []),
    ("price_list", "product.pricelist", "name", []),
    ("stage", "crm.stage", "name", []),
    ("team", "crm.team", "name", []),
    ("product_group", "product.category", "complete_name", []),
    ("journal", "account.journal", "name", [["type", "in", ["bank", "cash"]]]),
    ("source", "utm.source", "name", []),
    ("commission_plan", "commission", "name", []),
)
"""For each kind the model, the field that is the code, and which records count."""


def code_tables(server: Server) -> dict[str, dict[str, str]]:
    """Return the tables that this user may read. A kind whose model is not installed, or may not be read, has none."""
    tables: dict[str, dict[str, str]] = {}
    for kind, model, code, domain in _TABLES:
        rows = _rows(server, model, [code], domain)
        if rows is not None:
            tables[kind] = {str(row["id"]): row[code] for row in rows if row[code]}
    states = _rows(server, "res.country.state", ["code", "country_id"], [])
    countries = tables.get("country", {})
    if states is not None:
        tables["region"] = {
            str(row["id"]): _region(countries[str(row["country_id"])], row["code"]) for row in states if str(row["country_id"]) in countries
        }
    return tables


def _region(country: str, code: str) -> str:
    """Return the code of ISO 3166-2. Some countries' states carry it whole: Bavaria is BY in 17 and DE-BY in 19 (observed)."""
    return code if code.startswith(f"{country}-") else f"{country}-{code}"


def _rows(server: Server, model: str, fields: list[str], domain: list[Any]) -> list[_Row] | None:
    try:
        rows: list[_Row] = server.call(model, "search_read", domain=domain, fields=fields, order="id", load="")
    except (Fault, PermissionDenied, SchemaDrift):
        return None
    return rows
