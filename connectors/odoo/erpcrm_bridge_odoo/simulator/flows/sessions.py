"""How a user makes an API key over HTTP: a description, a password check, and the key in the answer's context."""

from __future__ import annotations

import secrets

from erpcrm_bridge_odoo.simulator import errors
from erpcrm_bridge_odoo.simulator.calls import Records, method
from erpcrm_bridge_odoo.simulator.store import Row


@method("res.users.apikeys.description", "make_key")
def make_key(self: Records) -> Row:
    """Ask for the password first: the answer names the check."""
    table = self.env.store.table("res.users.identitycheck")
    key = self.env.store.next_id("res.users.identitycheck")
    row: Row = {"id": key, "_model": "res.users.identitycheck", "create_uid": self.env.uid, "write_uid": self.env.uid}
    row |= {"create_date": self.env.transaction.stamp, "write_date": self.env.transaction.stamp}
    self.env.store.put(self.env.transaction, "res.users.identitycheck", key, row)
    assert key in table.rows  # noqa: S101 - just put there
    action: Row = {"type": "ir.actions.act_window", "res_model": "res.users.identitycheck", "res_id": key, "name": "Security Control"}
    return {**action, "target": "new", "views": [[False, "form"]]}


@method("res.users.identitycheck", "run_check")
def run_check(self: Records) -> Row:
    if self.env.context.get("password") != self.env.database.passwords.get(self.env.uid):
        raise errors.user("Incorrect Password, try again or click on Forgot Password to reset your password.")
    made = secrets.token_hex(20)
    self.env.database.keys[made] = self.env.uid
    action: Row = {"type": "ir.actions.act_window", "res_model": "res.users.apikeys.show", "name": "API Key Ready"}
    return {**action, "views": [[False, "form"]], "target": "new", "context": {"default_key": made}}
