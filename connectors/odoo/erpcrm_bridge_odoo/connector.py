"""The Odoo connector: a database is a system, each model a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import httpx

from erpcrm_bridge.connector import (
    Budget,
    Capabilities,
    Connector,
    Description,
    Found,
    LeftOut,
    Outcome,
    Page,
    Question,
    Record,
    Rejected,
    Selection,
    Stream,
    WebhookRequest,
    WebhookRule,
    Write,
)
from erpcrm_bridge.errors import ConfigError, ConnectorBug, PermissionDenied, SchemaDrift
from erpcrm_bridge.transport import Manners
from erpcrm_bridge_odoo import counted, external, reading, writing
from erpcrm_bridge_odoo.answers import Fault
from erpcrm_bridge_odoo.automation import Automation, Wanted, wanted
from erpcrm_bridge_odoo.codes import code_tables
from erpcrm_bridge_odoo.counted import COUNTED
from erpcrm_bridge_odoo.models import OCA_COMMISSIONS, STREAMS, WORKED_OUT
from erpcrm_bridge_odoo.rpc import JSON2_SINCE, Server
from erpcrm_bridge_odoo.settings import OdooSettings
from erpcrm_bridge_odoo.shape import ATTRIBUTES, Shape, shape_of
from erpcrm_bridge_odoo.streams import Spec, spec_of
from erpcrm_bridge_odoo.webhooks import Announced

WINDOW = "between the read of a batch's records and their write, the next call: up to some seconds for a great batch"


class OdooConnector:
    """The five verbs over one database. ``transport`` and ``manners`` are for tests."""

    def __init__(
        self,
        settings: OdooSettings,
        *,
        budget: Budget | None = None,
        codes: Mapping[str, Mapping[str, str]] | None = None,
        manners: Manners = Manners(),  # noqa: B008 - frozen
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._codes = codes or {}
        self._server = Server(settings, budget=budget if budget is not None else Budget(), manners=manners, transport=transport)
        self._shapes: dict[str, tuple[Shape, dict[str, bool]]] = {}
        self._named: bool | None = None
        self._announced = Announced(settings.webhook_secret, self._streams(), settings.webhook_delay)

    def __repr__(self) -> str:
        return f"<OdooConnector to {self._settings.database} at {self._settings.url}>"

    def describe(self) -> Description:
        self._shapes.clear()
        self._named = None
        streams: dict[str, Stream] = {}
        left_out: dict[str, LeftOut] = {}
        with _telling("the connection"):
            identity = self._identity()
            self._speaks()
        for name in self._streams():
            try:
                if name in COUNTED:
                    streams[name] = self._counted(name)
                    continue
                shape, able = self._shape_and_rights(name)
            except (PermissionDenied, SchemaDrift) as error:
                left_out[name] = LeftOut(error.message, error.way_out)
                continue
            streams[name] = Stream(name, dict(shape.fields), self._capabilities(shape, able), zone="UTC")
        with _telling("the code tables"):
            said = Description(identity, streams, code_tables(self._server), left_out)
        return Description(identity, streams, said.code_tables(self._codes), left_out)

    def _streams(self) -> tuple[str, ...]:
        return self._settings.streams or (*STREAMS, *(self._settings.commissions.records or OCA_COMMISSIONS))

    def parse_webhook(self, request: WebhookRequest) -> tuple[dict[str, list[str]], float]:
        """Return the keys that a post announces, and how long to wait: 17 posts before it commits. Raises AuthError, InputError."""
        return self._announced.keys(request), self._settings.webhook_delay

    def webhook_rules(self, selections: Sequence[Selection]) -> list[WebhookRule]:
        with _telling("automation rules"):
            return [*Automation(self._server, self._settings).look(self._wanted(selections)), *_counted_anew(selections)]

    def set_up_webhooks(self, selections: Sequence[Selection]) -> list[WebhookRule]:
        with _telling("automation rules"):
            return [*Automation(self._server, self._settings).set_up(self._wanted(selections)), *_counted_anew(selections)]

    def _wanted(self, selections: Sequence[Selection]) -> list[Wanted]:
        return wanted([self._source(one) for one in selections if one.stream not in COUNTED])

    def _identity(self) -> str:
        """Return the database's uuid. Raises PermissionDenied where this user may not read it and the settings do not say it."""
        self._owns_the_key()
        if self._settings.uuid is not None:
            return self._settings.uuid
        try:
            rows = self._server.call(
                "ir.config_parameter", "search_read", domain=[["key", "=", "database.uuid"]], fields=["value"], limit=1
            )
        except (Fault, PermissionDenied):
            rows = []
        if not rows or not rows[0]["value"]:
            raise PermissionDenied(
                f"{self._settings.user} may not read the uuid of the database {self._settings.database}.",
                way_out="Put it into the connection's `uuid`: an administrator sees it under Settings, Technical, System Parameters, "
                "as database.uuid.",
            )
        return str(rows[0]["value"])

    def _owns_the_key(self) -> None:
        """Ask the server who calls: the connection's test. Raises ConfigError where the key is another user's than ``user``: JSON-2 asks
        for no login."""
        said = self._server.call("res.users", "context_get")
        if self._server.face != "json2":
            return
        try:
            rows = self._server.call("res.users", "read", [said["uid"]], fields=["login"])
        except (Fault, PermissionDenied):
            return
        if rows and rows[0]["login"].casefold() != self._settings.user.casefold():
            raise ConfigError(
                f"The key is one of {rows[0]['login']}, not of {self._settings.user}.",
                way_out=f"Set `user` to {rows[0]['login']}, or take a key of {self._settings.user}.",
            )

    def _speaks(self) -> None:
        """Raise ConfigError for a language that is not active: 19 refuses it at each call, 17 would take English for it and say nothing."""
        lang = self._settings.lang
        if lang == "en_US" or self._server.version >= JSON2_SINCE:
            return
        if not self._server.call("res.lang", "search", domain=[["code", "=", lang], ["active", "=", True]]):
            raise ConfigError(
                f"The language {lang} is not active in {self._settings.database}.",
                way_out="Activate it in Odoo (Settings, Translations), or correct `lang`.",
            )

    def _shape(self, stream: str) -> Shape:
        return self._shape_and_rights(stream)[0]

    def _shape_and_rights(self, stream: str) -> tuple[Shape, dict[str, bool]]:
        """Return a stream's shape and what this user may do there. Raises SchemaDrift where there is none, PermissionDenied where it may
        not be read."""
        if stream not in self._shapes:
            spec = spec_of(stream)
            with _telling(stream):
                told = self._server.call(spec.model, "fields_get", attributes=list(ATTRIBUTES))
                rights = ("read", "create", "write", "unlink")
                able = {right: (right == "read" or spec.writable) and self._may(spec.model, right) for right in rights}
            if not able["read"]:
                raise PermissionDenied(
                    f"{self._settings.user} may not read {spec.model}.",
                    way_out=f"Add the user to a group that reads {spec.model}, or take {stream} out of `streams`.",
                )
            given = self._given(spec, told) if able["create"] else frozenset[str]()
            self._shapes[stream] = (shape_of(spec, told, able, external_ids=self._has_external_ids(), given=given), able)
        return self._shapes[stream]

    def _counted(self, name: str) -> Stream:
        """Describe a stream that is counted. Raises SchemaDrift, PermissionDenied where this user cannot read what it is counted from."""
        for model, fields in COUNTED[name].needs.items():
            with _telling(name):
                told = self._server.call(model, "fields_get", allfields=list(fields), attributes=["type"])
            missing = [field for field in fields if field not in told]
            if missing or not self._may(model, "read"):
                raise PermissionDenied(
                    f"{name} is counted from {model}, of which {self._settings.user} may not read {', '.join(missing) or 'anything'}.",
                    way_out="Add the user to a group that reads it (Accounting, Inventory), or take the stream out of `streams`.",
                )
        return COUNTED[name].stream(name)

    def _given(self, spec: Spec, told: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
        """Return the required columns that a new record has by itself: by default, or worked out by Odoo from others."""
        required = [name for name, said in told.items() if said.get("required")]
        given = {*spec.fixed, *WORKED_OUT.get(spec.model, ())}
        names = ("fields", "fields_list")  # 19's name and 17's; a model may have the other
        for argument in names if self._server.version >= 19 else reversed(names):
            named: dict[str, Any] = {argument: required}
            try:
                defaults = self._server.call(spec.model, "default_get", **named)
            except (Fault, ConnectorBug):
                continue
            return frozenset(given | {name for name in required if defaults.get(name) not in (None, False)})
        return frozenset(given)

    def _may(self, model: str, right: str) -> bool:
        if self._server.version >= 18:
            return bool(self._server.call(model, "has_access", [], operation=right))
        return bool(self._server.call(model, "check_access_rights", operation=right, raise_exception=False))

    def _has_external_ids(self) -> bool:
        if self._named is None:
            self._named = self._may(external.TABLE, "read")
        return self._named

    def _capabilities(self, shape: Shape, able: Mapping[str, bool]) -> Capabilities:
        named = self._has_external_ids()
        return Capabilities(
            create=able["create"],
            update=able["write"],
            delete=able["unlink"],
            incremental="log",
            lists_keys=True,
            tells_gone=True,
            upsert=named,
            find=True,
            version_exact=True,
            version_order=1.0,
            max_batch=self._settings.batch,
            moves={field: dict(moves) for field, moves in shape.moves.items() if able["write"]},
            window=WINDOW,
        )

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        with _telling(selection.stream):
            if selection.stream in COUNTED:
                yield from counted.pages(self._server, selection)
            else:
                yield from reading.pages(self._source(selection), since)

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        if not keys:
            return []
        with _telling(selection.stream):
            if selection.stream in COUNTED:
                asked = set(keys)
                return [record for record in counted.records(self._server, selection) if record.key in asked]
            return reading.by_keys(self._source(selection), keys)

    def keys(self, selection: Selection) -> Iterator[list[str]]:
        with _telling(selection.stream):
            if selection.stream in COUNTED:
                yield [record.key for record in counted.records(self._server, selection)]
                return
            yield from reading.keys(self._source(selection))

    def find(self, selection: Selection, questions: Sequence[Question]) -> dict[str, Found]:
        with _telling(selection.stream):
            if selection.stream in COUNTED:
                return counted.find(self._server, selection, questions)
            return reading.find(self._source(selection), questions)

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        if not writes:
            return []
        if selection.stream in COUNTED:
            return [Rejected(one.ref, "permission", f"{selection.stream} is counted by Odoo") for one in writes]
        with _telling(selection.stream):
            return writing.write(self._source(selection), writes)

    def close(self) -> None:
        self._server.close()

    def _source(self, selection: Selection) -> reading.Source:
        return reading.source_of(self._server, self._settings, selection, self._shape)


def _counted_anew(selections: Sequence[Selection]) -> list[WebhookRule]:
    counted = sorted({one.stream for one in selections if one.stream in COUNTED})
    return [WebhookRule(name, (name,), note="no rule can tell: it is counted anew at each read") for name in counted]


@contextmanager
def _telling(stream: str) -> Iterator[None]:
    """Tell a fault that is none of a record's as the error of whoever must act."""
    try:
        yield
    except Fault as fault:
        if fault.known.reject == "permission":
            raise PermissionDenied(f"{stream}: {fault.message.strip()}", way_out=fault.known.advice) from None
        raise ConnectorBug(f"{stream}: Odoo refuses what the bridge asks: {fault.name}: {fault.message.strip()}") from None


class OdooFactory:
    """Opens Odoo databases."""

    name: ClassVar[str] = "odoo"
    settings: ClassVar[type[OdooSettings]] = OdooSettings

    def open(self, settings: Any, *, budget: Budget, codes: Mapping[str, Mapping[str, str]]) -> Connector:
        """Return a connector that has not yet spoken to its server."""
        return OdooConnector(settings, budget=budget, codes=codes)
