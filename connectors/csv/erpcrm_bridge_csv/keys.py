"""Keys for new rows, where the bridge assigns them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from string import Formatter

from erpcrm_bridge_csv.settings import Bridge, ByCounter, ByTemplate, ByUuid


def numbered(assigns: Bridge) -> Callable[[str], int]:
    """Return a function from a key to its number under ``assigns``; -1 where the key has none."""
    if isinstance(assigns, ByUuid):
        return lambda key: -1
    if isinstance(assigns, ByCounter):
        before = after = ""
    else:
        (before, _, _, _), *rest = Formatter().parse(assigns.template)
        after = rest[0][0] if rest else ""
    pattern = re.compile(re.escape(before) + r"([0-9]{1,18})" + re.escape(after))

    def number(key: str) -> int:
        match = pattern.fullmatch(key)
        return int(match[1]) if match else -1

    return number


class KeyMaker:
    """Makes keys for one stream. ``greatest`` is the greatest number in use or ever given out (-1: none)."""

    def __init__(self, assigns: Bridge, namespace: str, greatest: int) -> None:
        self._assigns = assigns
        self._space = uuid.uuid5(uuid.NAMESPACE_OID, namespace)
        start = -1 if isinstance(assigns, ByUuid) else assigns.start - 1
        self.greatest = max(greatest, start)

    def new(self, seed: str) -> str:
        """Return a new key. A UUID is always the same for the same seed; a number is never given out twice."""
        if isinstance(self._assigns, ByUuid):
            return str(uuid.uuid5(self._space, seed))
        self.greatest += 1
        if isinstance(self._assigns, ByTemplate):
            return self._assigns.template.format(n=self.greatest)
        return str(self.greatest)
