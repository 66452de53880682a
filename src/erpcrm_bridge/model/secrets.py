"""The secrets that must stand in nothing the bridge says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

SHORTEST = 4
"""Characters. Anything shorter cannot be taken out of a text without harming the rest of it."""

_MASK = "***"


class SecretBook:
    """Every secret value that was read, so that it can be taken out of messages, JSON and tracebacks. Its repr shows none of them."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, value: str) -> None:
        """Keep ``value``, each of its lines and the forms that JSON, Python and URLs write it in."""
        parts = {value, value.strip(), *(line.strip() for line in value.splitlines())}
        forms = {form for part in parts for form in _forms(part) if len(form) >= SHORTEST}
        if forms - self._forms:
            self._forms |= forms
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def redact(self, text: str) -> str:
        """Return ``text`` with ``***`` in the place of each secret."""
        return self._pattern.sub(_MASK, text) if self._pattern else text

    def redact_in(self, value: Any) -> Any:
        """Return plain data with every text in it redacted; the keys of objects are names and stay."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, Mapping):
            return {key: self.redact_in(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.redact_in(item) for item in value]
        return value

    def __repr__(self) -> str:
        return f"<SecretBook of {len(self._forms)} texts>"


def _forms(part: str) -> set[str]:
    in_json = {json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]}
    return {part, repr(part)[1:-1], quote(part), quote(part, safe=""), quote_plus(part), *in_json}
