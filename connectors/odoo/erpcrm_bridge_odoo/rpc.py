"""One face over the two ways to call Odoo: JSON-2 from 19 on, JSON-RPC for 17 and 18.

Named arguments are given to both; ``ids`` and ``context`` have their own places. What a method returns comes back as it is: a method that
returns nothing gives None, which JSON-RPC answers with neither ``result`` nor ``error`` and JSON-2 with ``null``.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import httpx

from erpcrm_bridge.connector import Budget
from erpcrm_bridge.errors import AuthError, ConfigError
from erpcrm_bridge.model.values import UNREADABLE, pack, unpack
from erpcrm_bridge.transport import Answer, AnswerLost, Lane, Manners, Session
from erpcrm_bridge_odoo.answers import Fault, raised_for
from erpcrm_bridge_odoo.settings import OdooSettings

Face: TypeAlias = Literal["json2", "jsonrpc"]

_JSON = {"Content-Type": "application/json"}
_BY_POSITION = {"create": ("vals_list",), "write": ("vals",), "load": ("fields", "data")}
"""What a model may rename as it overrides them (17's sale.order writes ``values``)."""
_SAYS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("read", "search_read"), lambda said: isinstance(said, list) and (not said or isinstance(said[0], dict))),
    "search": lambda said: isinstance(said, list) and (not said or isinstance(said[0], int)),
    "fields_get": lambda said: isinstance(said, dict) and all(isinstance(one, dict) for one in said.values()),
    "context_get": lambda said: isinstance(said, dict) and "lang" in said,
    **dict.fromkeys(("default_get", "load"), lambda said: isinstance(said, dict)),
}
_ODOO_SAYS_IN_JSON: Mapping[int, tuple[type[ConfigError], str, str]] = {
    401: (ConfigError, "it asks for a login of its own", "A proxy stands before it: let the bridge pass without one."),
    403: (
        ConfigError,
        "it lets nobody pass",
        "A proxy or firewall stands before it: let the bridge's address through to /jsonrpc and /json/2.",
    ),
    413: (ConfigError, "the request is too great for it", "Lower `batch` and `page`, or raise the proxy's limit on the body of requests."),
}
"""Statuses that Odoo itself gives with a body in JSON, or never."""
JSON2_SINCE = 19
OLDEST = 17


class Server:
    """An Odoo database over HTTP. ``clock`` is the server's Unix time, no later than when the last answered request reached it."""

    def __init__(
        self,
        settings: OdooSettings,
        *,
        budget: Budget,
        manners: Manners = Manners(),  # noqa: B008 - frozen
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        key = settings.key.get_secret_value()
        self._session = Session(
            settings.url,
            budget=budget,
            secrets=[key, *([settings.webhook_secret.get_secret_value()] if settings.webhook_secret else [])],
            judge=self._judge,
            manners=manners,
            transport=transport,
            sleep=sleep,
        )
        self._version: int | None = None
        self._uid: int | None = None
        self._numbers = itertools.count(1)
        self.context: dict[str, Any] = {"lang": settings.lang, "tz": "UTC", "active_test": False}
        if settings.companies:
            self.context["allowed_company_ids"] = list(settings.companies)

    def __repr__(self) -> str:
        return f"<Odoo {self._settings.database} at {self._settings.url}>"

    def close(self) -> None:
        self._session.close()

    def redact(self, text: str) -> str:
        return self._session.redact(text)

    @property
    def version(self) -> int:
        """The server's main version. Raises ConfigError for one that is too old, or for what is no Odoo."""
        if self._version is None:
            self._version = self._ask_version()
            if self._version < OLDEST:
                raise ConfigError(
                    f"{self._settings.url} is Odoo {self._version}; the bridge knows {OLDEST} and later.", way_out="Upgrade Odoo."
                )
        return self._version

    @property
    def face(self) -> Face:
        """The way in which this server is called."""
        if self._settings.api != "auto":
            return self._settings.api
        return "json2" if self.version >= JSON2_SINCE else "jsonrpc"

    def _ask_version(self) -> int:
        """Ask ``/web/version`` (19), or else the service ``common`` (17 and 18 answer the first with 404)."""
        told = self._session.call("GET", "/web/version", lambda answer: answer, also=(404,))
        try:
            said = unpack(told.body)["version_info"] if told.status != 404 else self._common("version")["server_version_info"]
            return int(str(said[0]).rpartition("~")[2])  # Online's versions are written "saas~18"
        except (*UNREADABLE, KeyError, TypeError, IndexError):
            raise ConfigError(
                f"What answers at {self._settings.url} is no Odoo.", way_out="Set `url` to Odoo's own address, without a path."
            ) from None

    def call(
        self,
        model: str,
        method: str,
        ids: Sequence[int] | None = None,
        /,
        *,
        lane: Lane = "read",
        again: bool = True,
        context: Mapping[str, Any] | None = None,
        check: Callable[[Any], None] = lambda _: None,
        **named: Any,
    ) -> Any:
        """Return what ``method`` of ``model`` returns, called on ``ids`` (None: on the model itself). ``check`` may raise a TransientError
        for an answer that asks, in its own way, to be asked again.

        Raises Fault where the table of known answers finds fault with records or values, AnswerLost, and the errors of the session.
        """
        return self.timed(model, method, ids, lane=lane, again=again, context=context, check=check, **named)[0]

    def timed(
        self,
        model: str,
        method: str,
        ids: Sequence[int] | None = None,
        /,
        *,
        lane: Lane = "read",
        again: bool = True,
        context: Mapping[str, Any] | None = None,
        check: Callable[[Any], None] = lambda _: None,
        **named: Any,
    ) -> tuple[Any, float | None]:
        """As ``call``; also the server's clock (Unix time) when the request reached it, at the latest; None where it tells no time."""
        named["context"] = self.context if context is None else {**self.context, **context}
        if self.face == "json2":
            if not self._settings.database.isascii():
                raise ConfigError(
                    f"JSON-2 names the database in a header, and {self._settings.database} does not fit into one.",
                    way_out="Set `api: jsonrpc`, or rename the database.",
                )
            if ids is not None:
                named["ids"] = list(ids)
            headers = {
                **_JSON,
                "Authorization": f"bearer {self._settings.key.get_secret_value()}",
                "X-Odoo-Database": self._settings.database,
            }
            path = f"/json/2/{model}/{method}"

            def read(answer: Answer) -> tuple[Any, float | None]:
                said = self._expected(method, self._decoded(answer))
                check(said)
                return said, _clock(answer)

            return self._session.call("POST", path, read, body=pack(named), headers=headers, lane=lane, again=again)
        positional: list[Any] = [] if ids is None else [list(ids)]
        positional += [named.pop(name) for name in _BY_POSITION.get(method, ())]
        account = [self._settings.database, self._login(), self._settings.key.get_secret_value()]
        params = [*account, model, method, positional, named]
        return self._jsonrpc("object", "execute_kw", params, lane, again, lambda said: check(self._expected(method, said)))

    def _login(self) -> int:
        if self._uid is None:
            settings = self._settings
            uid = self._common("authenticate", settings.database, settings.user, settings.key.get_secret_value(), {})
            if not uid:
                raise AuthError(
                    f"Odoo refuses the key of {settings.user} in the database {settings.database}.",
                    way_out="Make a new API key (Preferences, Account Security) and put it where the connection's `key` points to.",
                )
            if not isinstance(uid, int):
                raise ConfigError(f"{settings.url}/jsonrpc does not speak as Odoo does.", way_out="Set `url` to Odoo's own address.")
            self._uid = uid
        return self._uid

    def _common(self, method: str, *args: Any) -> Any:
        return self._jsonrpc("common", method, list(args), "read", True, lambda _: None)[0]

    def _jsonrpc(
        self, service: str, method: str, args: list[Any], lane: Lane, again: bool, check: Callable[[Any], None]
    ) -> tuple[Any, float | None]:
        params = {"service": service, "method": method, "args": args}
        body = pack({"jsonrpc": "2.0", "method": "call", "id": next(self._numbers), "params": params})

        def read(answer: Answer) -> tuple[Any, float | None]:
            said = self._result(answer)
            check(said)
            return said, _clock(answer)

        return self._session.call("POST", "/jsonrpc", read, body=body, headers=_JSON, lane=lane, again=again)

    def _result(self, answer: Answer) -> Any:
        said = self._decoded(answer)
        if not isinstance(said, dict) or "jsonrpc" not in said:
            raise ConfigError(f"{self._settings.url}/jsonrpc does not speak JSON-RPC.", way_out="Set `url` to Odoo's own address.")
        if "error" in said:
            error = said["error"] if isinstance(said["error"], dict) else {"message": said["error"]}
            data: dict[str, Any] = error["data"] if isinstance(error.get("data"), dict) else {}
            name, message = str(data.get("name", "")), str(data.get("message", error.get("message", "")))
            raise raised_for(Fault(name, self.redact(message), 200), self._settings)
        return said.get("result")

    def _expected(self, method: str, said: Any) -> Any:
        """Return what a method said. Raises AnswerLost for what it never says: then somebody else answered in Odoo's place."""
        fits = _SAYS.get(method)
        if fits is None or fits(said):
            return said
        raise AnswerLost(
            f"{self._settings.url} answers {method} with something that Odoo never says.",
            way_out="A proxy may stand between: look what answers there.",
        )

    def _decoded(self, answer: Answer) -> Any:
        try:
            return unpack(answer.body)
        except UNREADABLE:
            raise AnswerLost(
                f"{self._settings.url} answered with something that is no JSON.",
                way_out="A proxy may stand between: look what answers there.",
            ) from None

    def _judge(self, answer: Answer) -> Exception | None:
        """Read JSON-2's errors, which have a name and a message."""
        try:
            said = unpack(answer.body)
        except UNREADABLE:
            said = None
        if isinstance(said, dict) and "name" in said and "message" in said:
            return raised_for(Fault(str(said["name"]), self.redact(str(said["message"])), answer.status), self._settings)
        if said is None and answer.status in _ODOO_SAYS_IN_JSON:
            raise_as, what, way_out = _ODOO_SAYS_IN_JSON[answer.status]
            return raise_as(
                f"{self._settings.url} is answered with {answer.status} by something that is not Odoo: {what}.", way_out=way_out
            )
        if 300 <= answer.status < 400 and (host := urlsplit(answer.headers.get("location", "")).netloc):
            where = f"{urlsplit(answer.headers['location']).scheme or 'https'}://{host.rpartition('@')[2]}"
            if where != self._settings.url:
                return ConfigError(f"{self._settings.url} sends its callers on to {where}.", way_out=f"Set `url` to {where}.")
        if answer.status == 404 and b"No database is selected" in answer.body:
            return raised_for(Fault("no database", "No database is selected", 404), self._settings)
        return None


def _clock(answer: Answer) -> float | None:
    """Return the server's Unix time at which it cannot yet have begun on the request: that of its Date header, which it writes at the
    end and in whole seconds, less the time that the call took."""
    try:
        return parsedate_to_datetime(answer.headers["date"]).timestamp() - answer.seconds - 1
    except (KeyError, ValueError):
        return None
