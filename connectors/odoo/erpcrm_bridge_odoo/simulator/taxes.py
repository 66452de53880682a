"""What lines come to: 17 rounds each line and adds, 19 adds what was not rounded and rounds the sum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from erpcrm_bridge_odoo.simulator import errors, orm
from erpcrm_bridge_odoo.simulator.env import Env
from erpcrm_bridge_odoo.simulator.store import Row


@dataclass(frozen=True)
class Line:
    """One line worked out: its base before rounding and after, its total, and the tax of each of its taxes, rounded."""

    raw: float
    subtotal: float
    total: float
    taxes: dict[int, float]
    currency: int

    @property
    def tax(self) -> float:
        return self.total - self.subtotal


@dataclass
class Totals:
    """A document worked out: its untaxed amount, its tax by tax, and what each line's base came to in it."""

    untaxed: float = 0.0
    taxes: dict[int, float] = field(default_factory=dict)
    bases: list[float] = field(default_factory=list)

    @property
    def tax(self) -> float:
        return sum(self.taxes.values())


def line(env: Env, quantity: float, price: float, discount: float, taxes: Iterable[int], currency: int) -> Line:
    """Work out one line."""
    raw = quantity * (price * (1 - (discount or 0.0) / 100.0))
    subtotal = orm.money(env, raw, currency)
    base = raw if env.version >= 19 else subtotal
    parts = {key: orm.money(env, base * _rate(env.row("account.tax", key)), currency) for key in taxes}
    return Line(raw, subtotal, orm.money(env, subtotal + sum(parts.values()), currency), parts, currency)


def _rate(tax: Row) -> float:
    if tax["amount_type"] != "percent" or tax.get("price_include_override") == "tax_included":
        raise errors.NotSimulatedError("taxes other than a percentage on top")
    return float(tax["amount"]) / 100.0


def totals(env: Env, lines: Sequence[Line], currency: int) -> Totals:
    """Work out a document from its lines."""
    found = Totals()
    if env.version < 19:
        found.untaxed = orm.money(env, sum(one.subtotal for one in lines), currency)
        found.bases = [one.subtotal for one in lines]
        for one in lines:
            for key, amount in one.taxes.items():
                found.taxes[key] = orm.money(env, found.taxes.get(key, 0.0) + amount, currency)
        return found
    found.untaxed = orm.money(env, sum(one.raw for one in lines), currency)
    raw: dict[int, float] = {}
    for one in lines:
        for key in one.taxes:
            raw[key] = raw.get(key, 0.0) + one.raw * _rate(env.row("account.tax", key))
    found.taxes = {key: orm.money(env, amount, currency) for key, amount in raw.items()}
    found.bases = [one.subtotal for one in lines]
    off = orm.money(env, found.untaxed - sum(found.bases), currency)
    if off:
        largest = max(range(len(lines)), key=lambda place: abs(lines[place].raw))
        found.bases[largest] = orm.money(env, found.bases[largest] + off, currency)
    return found


def position(env: Env, partner: Row) -> int | None:
    """Return the fiscal position that applies by itself: 19 has one for home and one for abroad, and no country at an address is abroad
    where the customer has one."""
    if env.version < 19:
        return None
    home = env.row("res.partner", env.row("res.company", env.companies[0])["partner_id"])["country_id"]
    top = env.row("res.partner", partner["commercial_partner_id"])
    if not partner["country_id"] and not top["country_id"]:
        return None
    positions = env.all("account.fiscal.position")
    wanted = home if partner["country_id"] == home else None
    return next((one["id"] for one in positions if one["auto_apply"] and one["country_id"] == wanted), None)


def mapped(env: Env, taxes: Iterable[int], fiscal_position: int | None) -> list[int]:
    """Return the taxes under a fiscal position: abroad those of export."""
    if fiscal_position is None or env.row("account.fiscal.position", fiscal_position)["country_id"]:
        return list(taxes)
    found = []
    for key in taxes:
        tax = env.row("account.tax", key)
        abroad = [one["id"] for one in env.all("account.tax") if one["type_tax_use"] == tax["type_tax_use"] and not one["amount"]]
        found.append(abroad[0] if abroad else key)
    return found


def rate(env: Env, currency: int | None, company: int, day: str | None = None) -> float:
    """Return how many units of the currency one of the company's is worth on a day, or today."""
    own = env.row("res.company", company)["currency_id"]
    if not currency or currency == own:
        return 1.0
    from erpcrm_bridge_odoo.simulator.computes import COMPUTES

    return float(COMPUTES["res.currency", "rate"](env.having(date=day), env.row("res.currency", currency)))
