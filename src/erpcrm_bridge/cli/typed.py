"""A value as typed on the command line, as the field takes it."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from erpcrm_bridge.errors import UsageError
from erpcrm_bridge.model.entities import entity_spec

_NUMBER = re.compile(r"[+-]?[0-9]{1,24}(\.[0-9]{1,24})?")
_WORDS = {"true": True, "yes": True, "false": False, "no": False}


def typed(entity: str, path: str, text: str) -> Any:
    """Return ``text`` as a value of a canonical field; None where it is empty. Raises UsageError for what the field cannot take."""
    spec = entity_spec(entity).at(path)
    if text == "":
        return None
    kind = spec.kind if spec else "text"
    if kind == "boolean":
        if text.lower() not in _WORDS:
            raise UsageError(f"{path} is true or false.", way_out="--value true, or --value false")
        return _WORDS[text.lower()]
    if kind == "integer":
        try:
            return int(text)
        except ValueError:
            raise UsageError(f"{path} is a whole number.", way_out="Give --value as digits.") from None
    if kind in ("amount", "decimal"):
        if not _NUMBER.fullmatch(text):
            raise UsageError(f"{path} is a number.", way_out="Give --value as digits, with a point before the decimals: 1234.50")
        return Decimal(text)
    if kind == "choice" and spec and text not in spec.choices:
        raise UsageError(f"{path} cannot be that.", way_out=f"Use one of: {', '.join(spec.choices)}.")
    return text
