"""Numbers as Odoo tells them: binary floats, without the noise in their last digits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def tidy(value: Any, scale: int | None = None) -> Decimal:
    """Return a number rounded to ``scale`` decimals, or else to the fifteen significant digits that a binary float holds for certain, never
    to less than two decimals (17 tells 19.990000000000002)."""
    number = value if isinstance(value, Decimal) else Decimal(str(value or 0))
    if not number:
        return Decimal(0)
    exponent = -scale if scale is not None else min(number.adjusted() - 14, -2)
    if int(number.as_tuple().exponent) < exponent:
        number = number.quantize(Decimal(1).scaleb(exponent))
    number = number.normalize()
    return number if int(number.as_tuple().exponent) <= 0 else number.quantize(Decimal(1))
