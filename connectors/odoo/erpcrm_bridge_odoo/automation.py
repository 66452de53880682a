"""The automation rules by which Odoo posts to the bridge ("Send Webhook Notification"): how they should be, how they stand.

One rule a model, on create and edit. It fires for the fields that are read and for no others: without trigger fields one new partner is
posted a dozen times over. It sends the key alone, and the document's where the record is a row of one: what only some groups may see must
not be sent (17 refuses such a rule, 19 then refuses every write of the model), and the record is read again anyhow (protocol, 6).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from erpcrm_bridge.connector import WebhookRule
from erpcrm_bridge.errors import ConfigError, PermissionDenied, SchemaDrift
from erpcrm_bridge_odoo import external
from erpcrm_bridge_odoo.answers import Fault
from erpcrm_bridge_odoo.reading import Source
from erpcrm_bridge_odoo.rpc import Server
from erpcrm_bridge_odoo.settings import OdooSettings
from erpcrm_bridge_odoo.shape import STAMPS
from erpcrm_bridge_odoo.webhooks import DOCUMENTS

RULES, ACTIONS, FIELDS, MODELS = "base.automation", "ir.actions.server", "ir.model.fields", "ir.model"
TRIGGER = "on_create_or_write"
_MARK, _ACTION_MARK = "webhook", "webhook_action"
_RULE_COLUMNS = ("name", "active", "trigger", "trigger_field_ids", "filter_domain", "filter_pre_domain", "model_id")
_ACTION = {"name": "erpcrm-bridge", "state": "webhook", "usage": "base_automation"}
_ACTION_COLUMNS = ("base_automation_id", "webhook_url", "webhook_field_ids")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rule that a model should have: the streams that its posts announce, the fields that fire it, the fields that it sends."""

    model: str
    streams: tuple[str, ...]
    triggers: frozenset[str]
    sent: frozenset[str]


@dataclass(slots=True)
class Standing:
    """A rule as it stands: its id, its action's (None: it has none), and where that posts to, which holds a secret."""

    rule: int
    name: str
    active: bool
    trigger: str
    triggers: frozenset[str]
    filtered: bool
    action: int | None = None
    address: str = field(default="", repr=False)
    sent: frozenset[str] = frozenset()


def wanted(sources: Sequence[Source]) -> list[Wanted]:
    """Return the rules that these reads want, by model."""
    streams: dict[str, set[str]] = {}
    triggers: dict[str, set[str]] = {}
    for source in sources:
        streams.setdefault(source.model, set()).add(source.selection.stream)
        fires = triggers.setdefault(source.model, set())
        fires.update(source.shape.own(source.shape.needs(source.selection.fields)))
        for rows in source.lists:
            if rows.field is not None:
                fires.add(rows.field.own)
            if rows.shape.model == source.model:
                streams[source.model].add(rows.child.stream)
                fires.update(rows.shape.own(rows.shape.needs(rows.child.fields)))
    found = []
    for model in sorted(streams):
        parent = DOCUMENTS.get(model, (None, None))[1]
        sent = frozenset(("id",) if parent is None else ("id", parent))
        found.append(Wanted(model, tuple(sorted(streams[model])), frozenset(triggers[model].difference(STAMPS)), sent))
    return found


class Automation:
    """Looks at the rules of a database, and sets them right."""

    def __init__(self, server: Server, settings: OdooSettings) -> None:
        if settings.webhook_address is None or settings.webhook_secret is None:
            raise ConfigError(
                "The connection does not say where Odoo is to post to.",
                way_out="Set `webhook_address`, at which Odoo reaches the bridge, and `webhook_secret`, which ends it.",
            )
        self._server = server
        self._module = settings.module
        self._user = settings.user
        self._database = settings.database
        self._base = settings.webhook_address
        self._address = f"{self._base}/{settings.webhook_secret.get_secret_value()}"

    def look(self, wanted: Sequence[Wanted]) -> list[WebhookRule]:
        """Return each rule with what is wrong with it. Raises PermissionDenied, SchemaDrift."""
        return [told for told, _ in self._compared(wanted)]

    def set_up(self, wanted: Sequence[Wanted]) -> list[WebhookRule]:
        """Make what is missing and change what is wrong; return the rules as they stood before. Raises PermissionDenied, SchemaDrift."""
        compared = list(zip(wanted, self._compared(wanted), strict=True))
        for one, (told, standing) in compared:
            if told.step == "make":
                self._make(one)
            elif told.step == "change" and standing is not None:
                self._change(one, standing)
        return [told for _, (told, _) in compared]

    def _compared(self, wanted: Sequence[Wanted]) -> list[tuple[WebhookRule, Standing | None]]:
        standing = self._standing([one.model for one in wanted])
        marked = external.records_named(self._server, self._module, _MARK, RULES, [_flat(one.model) for one in wanted])
        found: list[tuple[WebhookRule, Standing | None]] = []
        for one in wanted:
            ours = set(marked.get(_flat(one.model), ()))
            here = [rule for rule in standing.get(one.model, ()) if rule.rule in ours or self._is_here(rule.address)]
            here.sort(key=lambda rule: (rule.rule not in ours, not rule.active, rule.rule))
            if not here:
                found.append((WebhookRule(one.model, one.streams, "make", ("there is no rule",)), None))
                continue
            first, *others = here
            wrong = list(self._wrong(one, first))
            step: Literal["change", ""] = "change" if wrong else ""
            wrong += [f"the rule {rule.name!r} ({rule.rule}) posts the same: archive it" for rule in others if rule.active]
            found.append((WebhookRule(one.model, one.streams, step, tuple(wrong)), first))
        return found

    def _wrong(self, one: Wanted, rule: Standing) -> list[str]:
        wrong = []
        if not rule.active:
            wrong.append("it is switched off")
        if rule.trigger != TRIGGER:
            wrong.append(f"it fires at {rule.trigger}, not on create and edit")
        if not rule.triggers:
            wrong.append("it names no trigger fields: one new record is posted many times")
        elif rule.triggers != one.triggers:
            wrong += _differ("it does not fire for", one.triggers - rule.triggers)
            wrong += _differ("it fires for what is not read", rule.triggers - one.triggers)
        if rule.filtered:
            wrong.append("it leaves out what does not fit its filter")
        if rule.action is None:
            wrong.append("it has no action that posts")
            return wrong
        if not self._is_here(rule.address):
            wrong.append(f"it posts elsewhere: to {_host(rule.address)}")
        elif not hmac.compare_digest(rule.address.encode(), self._address.encode()):
            wrong.append("its address ends with another secret" if rule.address != self._base else "its address ends with no secret")
        wrong += _differ("it does not send", one.sent - rule.sent - {"id"})  # the key is sent always
        wrong += _differ("it sends more than the key", rule.sent - one.sent)
        return wrong

    def _is_here(self, address: str) -> bool:
        return address == self._base or address.rpartition("/")[0] == self._base

    def _standing(self, models: Sequence[str]) -> dict[str, list[Standing]]:
        """Return the rules of these models, switched off or not, with the action of each that posts: to us, where there are several."""
        rules = self._ask(RULES, "search_read", domain=[["model_id.model", "in", list(models)]], fields=list(_RULE_COLUMNS), load="")
        domain = [["base_automation_id", "in", [rule["id"] for rule in rules]], ["state", "=", "webhook"]]
        actions = self._ask(ACTIONS, "search_read", domain=domain, fields=list(_ACTION_COLUMNS), order="id", load="") if rules else []
        fields = {one for rule in rules for one in rule["trigger_field_ids"]} | {one for row in actions for one in row["webhook_field_ids"]}
        names = {row["id"]: row["name"] for row in self._ask(FIELDS, "read", sorted(fields), fields=["name"])} if fields else {}
        watched = {key: model for model, key in self._models(models).items()}
        found: dict[str, list[Standing]] = {}
        for rule in rules:
            one = Standing(
                rule["id"],
                rule["name"],
                rule["active"],
                str(rule["trigger"]),
                frozenset(names[key] for key in rule["trigger_field_ids"]),
                any(rule[name] not in (False, "", "[]") for name in ("filter_domain", "filter_pre_domain")),
            )
            posts = [row for row in actions if row["base_automation_id"] == rule["id"]]
            posts.sort(key=lambda row: not self._is_here(row["webhook_url"] or ""))
            if posts:
                one.action, one.address = posts[0]["id"], posts[0]["webhook_url"] or ""
                one.sent = frozenset(names[key] for key in posts[0]["webhook_field_ids"])
            found.setdefault(watched[rule["model_id"]], []).append(one)
        return found

    def _make(self, one: Wanted) -> None:
        """Make the rule under an external id: made twice, side by side or after a lost answer, it is one (L3)."""
        model = str(self._models([one.model])[one.model])
        under = f"{self._module}.{external.name_of(_ACTION_MARK, _flat(one.model))}"
        cells = {
            "id": f"{self._module}.{external.name_of(_MARK, _flat(one.model))}",
            "name": f"erpcrm-bridge: {one.model}",
            "model_id/.id": model,
            "trigger": TRIGGER,
            "trigger_field_ids/.id": ",".join(map(str, self._fields(one.model, one.triggers))),
            "action_server_ids/id": under,
            **{f"action_server_ids/{name}": value for name, value in _ACTION.items()},
            "action_server_ids/model_id/.id": model,
            "action_server_ids/webhook_url": self._address,
            "action_server_ids/webhook_field_ids/.id": ",".join(map(str, self._fields(one.model, one.sent))),
        }
        said = self._ask(RULES, "load", fields=list(cells), data=[list(cells.values())])
        if not said["ids"]:
            raise SchemaDrift(
                f"Odoo makes no rule for {one.model}: {'; '.join(self._server.redact(str(told['message'])) for told in said['messages'])}",
                way_out="Make it by hand: Settings, Technical, Automation Rules.",
            )

    def _change(self, one: Wanted, standing: Standing) -> None:
        fires = [[6, 0, self._fields(one.model, one.triggers)]]
        vals = {"active": True, "trigger": TRIGGER, "trigger_field_ids": fires, "filter_domain": False, "filter_pre_domain": False}
        action = {"webhook_url": self._address, "webhook_field_ids": [[6, 0, self._fields(one.model, one.sent)]]}
        if standing.action is None:
            more = {**_ACTION, "model_id": self._models([one.model])[one.model], "base_automation_id": standing.rule}
            self._ask(ACTIONS, "create", vals_list=[{**action, **more}])
        else:
            self._ask(ACTIONS, "write", [standing.action], vals=action)
        self._ask(RULES, "write", [standing.rule], vals=vals)

    def _models(self, models: Sequence[str]) -> dict[str, int]:
        rows = self._ask(MODELS, "search_read", domain=[["model", "in", list(models)]], fields=["model"])
        return {row["model"]: row["id"] for row in rows}

    def _fields(self, model: str, names: frozenset[str]) -> list[int]:
        return sorted(self._ask(FIELDS, "search", domain=[["model", "=", model], ["name", "in", sorted(names)]]))

    def _ask(self, model: str, method: str, ids: Sequence[int] | None = None, /, **named: Any) -> Any:
        writes = method not in ("search", "search_read", "read")
        try:
            return self._server.call(
                model, method, ids, lane="write" if writes else "read", again=not writes or method != "create", **named
            )
        except SchemaDrift as error:
            if model != RULES:
                raise
            raise SchemaDrift(
                f"The database {self._database} has no automation rules: the module base_automation is not installed.",
                way_out="Install Automation Rules (Apps), or do without webhooks: runs find every change all the same.",
            ) from error
        except Fault as fault:
            if fault.known.reject != "permission":
                raise
            raise PermissionDenied(
                f"{self._user} may not {'change' if writes else 'see'} Odoo's automation rules.",
                way_out="An administrator may (group Settings): put their `user` and `key` into the connection for this command.",
            ) from None


def _flat(model: str) -> str:
    return model.replace(".", "_")


def _differ(what: str, names: frozenset[str]) -> list[str]:
    return [f"{what}: {', '.join(sorted(names))}"] if names else []


def _host(address: str) -> str:
    """Return the server of an address, and no more of it: the rest may be somebody's secret."""
    parts = urlsplit(address)
    return f"{parts.hostname or 'no server'}{f':{parts.port}' if parts.port else ''}"
