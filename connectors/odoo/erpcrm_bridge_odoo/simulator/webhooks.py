"""Automation rules that post to an address: how often, when, and what, as observed.

17 posts inside the open transaction, 19 after the commit; each post has one second, is never tried again and carries no signature. A rule
without
trigger fields fires once for every inner write of the server's: the counts below were counted on real servers. Where none was counted, it
is one.
"""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from erpcrm_bridge_odoo.simulator import errors
from erpcrm_bridge_odoo.simulator.env import Env, checks, prepares
from erpcrm_bridge_odoo.simulator.store import Row, Transaction

LOG = logging.getLogger(__name__)
SECONDS = 1.0

COUNTS: dict[tuple[str, str], tuple[int, int]] = {
    ("res.partner", "create"): (13, 14),
    ("res.partner", "write"): (3, 3),
    ("res.partner", "archive"): (1, 1),
    ("sale.order", "create"): (4, 5),
    ("sale.order", "confirm"): (5, 6),
    ("account.move", "create"): (24, 15),
    ("account.move", "post"): (8, 7),
    ("account.move", "paid"): (34, 33),
}
"""How often one record fires in 19 and in 17."""


@dataclass(frozen=True)
class Post:
    """One call of a webhook: where to, and the body."""

    url: str
    body: bytes


class Webhooks:
    """Collects what a transaction fires and sends it when the version does."""

    def happened(
        self, env: Env, model: str, ids: list[int], event: str, changed: set[str] | None, before: Mapping[int, Row] | None = None
    ) -> None:
        """Note that something happened to records: every rule that it triggers collects its posts."""
        rules = [row for row in env.all("base.automation") if row["active"] and env.row("ir.model", row["model_id"])["model"] == model]
        for rule in rules:
            if rule["filter_domain"] or rule["filter_pre_domain"]:
                raise errors.NotSimulatedError("automation rules with a filter")
            for key in ids:
                times = self._times(env, rule, model, event, changed, (before or {}).get(key), key)
                for action in self._actions(env, rule) if times else ():
                    self._refuse_restricted(env, model, action)
                    env.transaction.posts += [self._post(env, model, key, action)] * times

    def _actions(self, env: Env, rule: Row) -> list[Row]:
        return [row for row in env.all("ir.actions.server") if row.get("base_automation_id") == rule["id"] and row["state"] == "webhook"]

    def _times(self, env: Env, rule: Row, model: str, event: str, changed: set[str] | None, before: Row | None, key: int) -> int:
        """Return how often the event fires the rule for one record."""
        trigger = rule["trigger"]
        flipped = (
            event == "write" and "active" in (changed or ()) and bool((before or {}).get("active")) != bool(env.row(model, key)["active"])
        )
        if trigger in ("on_archive", "on_unarchive"):
            return int(flipped and bool(env.row(model, key)["active"]) == (trigger == "on_unarchive"))
        if trigger == "on_unlink":
            return int(event == "unlink")
        if trigger not in ("on_create_or_write", "on_create", "on_write") or event == "unlink":
            return 0
        if (trigger == "on_create" and event != "create") or (trigger == "on_write" and event == "create"):
            return 0
        fields = [env.row("ir.model.fields", one)["name"] for one in rule.get("trigger_field_ids") or ()]
        if fields:
            row = env.row(model, key)
            moved = [name for name in fields if name in (changed or ()) and (before or {}).get(name) != row.get(name)]
            return int(event == "create" or bool(moved))
        counted = COUNTS.get((model, "archive" if flipped else event), (1, 1))
        return counted[0 if env.version >= 19 else 1]

    def _refuse_restricted(self, env: Env, model: str, action: Row) -> None:
        if restricted(env, model, action.get("webhook_field_ids") or ()):
            name = "odoo.addons.base.models.ir_actions.ServerActionWithWarningsError"
            raise errors.OdooError(name, f"Server action {_name(env, action)} has one or more warnings, address them first.")

    def _post(self, env: Env, model: str, key: int, action: Row) -> Post:
        from erpcrm_bridge_odoo.simulator.orm import value

        row = env.row(model, key)
        shown = _name(env, action) if env.version >= 19 else "Send Webhook Notification"
        payload: Row = {"_action": f"{shown}(#{action['id']})", "_id": key, "_model": model}
        for one in action.get("webhook_field_ids") or ():
            spec = env.model(model).known(env.row("ir.model.fields", one)["name"])
            held = value(env.as_root(), spec, row)
            empty: Any = 0.0 if spec.type in ("float", "monetary") else 0 if spec.type == "integer" else False
            payload[spec.name] = empty if held is None else held
        return Post(action["webhook_url"], json.dumps(payload, sort_keys=True).encode())

    def send(self, transaction: Transaction) -> None:
        """Post what was collected, one after the other; what fails is logged and forgotten."""
        posts, transaction.posts = transaction.posts, []
        for post in posts:
            try:
                _sent(post)
            except OSError as error:
                LOG.warning("webhook call to %s failed: %s", urlsplit(post.url).netloc, type(error).__name__)
            except http.client.HTTPException as error:
                LOG.warning("webhook call to %s failed: %s", urlsplit(post.url).netloc, type(error).__name__)


def _name(env: Env, action: Row) -> str:
    from erpcrm_bridge_odoo.simulator.orm import value

    return str(value(env, env.model("ir.actions.server").fields["name"], action))


def _sent(post: Post) -> None:
    where = urlsplit(post.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 80, timeout=SECONDS)
    try:
        connection.putrequest("POST", f"{where.path or '/'}{'?' + where.query if where.query else ''}", skip_accept_encoding=True)
        headers = {
            "User-Agent": "python-requests/2.31.0",
            "Accept-Encoding": "gzip, deflate",
            "Accept": "*/*",
            "Connection": "keep-alive",
            "Content-Type": "application/json",
            "Content-Length": str(len(post.body)),
        }
        for name, told in headers.items():
            connection.putheader(name, told)
        connection.endheaders(post.body)
        if connection.getresponse().status >= 400:
            LOG.warning("webhook call to %s was refused", where.netloc)
    finally:
        connection.close()


def restricted(env: Env, model: str, fields: Collection[int]) -> list[str]:
    """Return the names among these fields that only some groups may see."""
    names = [env.row("ir.model.fields", one)["name"] for one in fields]
    return [name for name in names if env.model(model).known(name).groups]


def _refused_on_17(env: Env, model_id: int | None, fields: Collection[int]) -> None:
    if env.version >= 19 or not model_id or not fields:
        return
    model = env.row("ir.model", model_id)["model"]
    if found := restricted(env, model, fields):
        raise errors.validation(
            "Group-restricted fields cannot be included in webhook payloads, as it could allow any user to accidentally leak sensitive "
            "information. You will have to remove the following fields from the webhook payload in the following actions:\n "
            + ", ".join(found)
        )


@prepares("ir.actions.server")
def _prepared(env: Env, vals: Row) -> Row:
    given = vals.get("webhook_field_ids") or ()
    fields = [key for command in given if isinstance(command, (list, tuple)) and command[0] == 6 for key in command[2]]
    _refused_on_17(env, vals.get("model_id"), fields)
    if env.version < 19 and vals.get("state") == "webhook":
        return {**vals, "name": "Send Webhook Notification"}
    return vals


@checks("ir.actions.server")
def _checked(env: Env, ids: list[int], vals: Row) -> None:
    given = vals.get("webhook_field_ids") or ()
    fields = [key for command in given if isinstance(command, (list, tuple)) and command[0] == 6 for key in command[2]]
    for row in env.rows("ir.actions.server", ids):
        _refused_on_17(env, row["model_id"], fields)
