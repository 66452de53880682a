"""Webhooks: what an automation rule of Odoo posts ("Send Webhook Notification"). It brings keys; the record is read again.

17 posts before it commits, both versions post the same state a dozen times over, nothing is signed and nothing is repeated (protocol, 6).
So the secret stands in the address, equal posts of one moment count once, and the read waits.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping, Sequence

from pydantic import SecretStr

from erpcrm_bridge.connector import WebhookRequest
from erpcrm_bridge.errors import AuthError, InputError
from erpcrm_bridge.model.values import UNREADABLE, unpack
from erpcrm_bridge_odoo.streams import spec_of

BURST = 0.2
"""Of the wait before the read, but a second at most: posts of one record within this time of the first announce nothing new, for the read
comes well after all of them."""
_MOST = 10_000

DOCUMENTS: Mapping[str, tuple[str, str]] = {
    "sale.order.line": ("sale.order", "order_id"),
    "account.move.line": ("account.move", "move_id"),
    "commission.settlement.line": ("commission.settlement", "settlement_id"),
    "stock.move": ("stock.picking", "picking_id"),
    "res.partner": ("res.partner", "parent_id"),
}
"""Rows, whose change is a change of their document, where the post names it; and addresses, whose change is one of their company."""


class Announced:
    """Reads posts; remembers for a moment what was announced. ``delay`` is the wait before a read, in seconds; ``now`` any clock that only
    goes forward."""

    def __init__(
        self, secret: SecretStr | None, streams: Sequence[str], delay: float, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = min(1.0, BURST * delay)
        self._secret = secret
        self._streams = streams
        self._now = now
        self._when: dict[tuple[str, str], float] = {}

    def keys(self, request: WebhookRequest) -> dict[str, list[str]]:
        """Return keys by stream; none where they were announced a moment ago. Raises AuthError for a post to another address, InputError
        for one that is no notification of Odoo."""
        self._is_ours(request.path)
        try:
            said = unpack(request.body)
            model, key = str(said["_model"]), str(int(said["_id"]))
        except (*UNREADABLE, KeyError, TypeError):
            raise InputError(
                "This is no webhook notification of Odoo.", way_out="Let the rule's action be Send Webhook Notification, with the field Id."
            ) from None
        found = [(stream, key) for stream in self._streams if spec_of(stream).model == model]
        if model in DOCUMENTS:
            stream, parent = DOCUMENTS[model]
            if stream in self._streams and isinstance(said.get(parent), int) and said[parent]:
                found.append((stream, str(said[parent])))
        keys: dict[str, list[str]] = {}
        for stream, one in found:
            if self._is_news((stream, one)):
                keys.setdefault(stream, []).append(one)
        return keys

    def _is_ours(self, path: str) -> None:
        if self._secret is None:
            raise AuthError(
                "This connection takes no webhooks.", way_out="Set `webhook_secret`, and end the address in Odoo's rule with it."
            )
        given = path.partition("?")[0].rstrip("/").rpartition("/")[2]
        if not hmac.compare_digest(given.encode(), self._secret.get_secret_value().encode()):
            raise AuthError("A webhook came to an address without the secret.", way_out="Correct the address in Odoo's automation rule.")

    def _is_news(self, what: tuple[str, str]) -> bool:
        now = self._now()
        if now - self._when.get(what, -self._burst) < self._burst:
            return False
        if len(self._when) >= _MOST:
            self._when = {one: when for one, when in self._when.items() if now - when < self._burst}
        self._when[what] = now
        return True
