"""What stands between, or in Odoo's place: pages, redirects, refusals and nonsense are told as what they are, and nothing breaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from erpcrm_bridge.connector import Rejected, Selection, Write
from erpcrm_bridge.errors import AuthError, BridgeError, ConfigError, TransientError
from erpcrm_bridge.transport import AnswerLost, Manners
from erpcrm_bridge_odoo import OdooSettings
from erpcrm_bridge_odoo.connector import OdooConnector
from erpcrm_bridge_odoo.simulator import route
from erpcrm_bridge_odoo.simulator.http import Request
from erpcrm_bridge_odoo.simulator.service import Service, service

URL = "https://odoo.example"
LEADS = Selection("crm.lead", "id", ("name",))
PAGE = b"<html><title>Sign in</title></html>"
Answer = Callable[[int, Callable[[], httpx.Response]], httpx.Response]


@pytest.fixture(scope="module", params=[17, 19])
def behind(request: pytest.FixtureRequest) -> Service:
    made = service(request.param, database="prod", key="the-api-key")
    for name in "abc":
        made.edit({"model": "crm.lead", "method": "create", "args": [{"name": name}]})
    return made


def _connector(behind: Service, change: Answer = lambda number, go: go(), **settings: Any) -> OdooConnector:
    """Return a connector to a server of which each answer passes through ``change``, with its number."""
    count = 0

    def handle(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1

        def go() -> httpx.Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            found = route(behind, Request(request.method, request.url.path, {}, headers, request.content))
            return httpx.Response(found.status, headers={"content-type": found.content_type, **found.headers}, content=found.body)

        return change(count, go)

    told = {"url": URL, "database": "prod", "user": "admin", "key": "the-api-key", **settings}
    quick = Manners(tries=2, first_wait=0.001, longest_wait=0.002)
    return OdooConnector(OdooSettings.model_validate(told), transport=httpx.MockTransport(handle), manners=quick)


def _read(behind: Service, change: Answer) -> int:
    return sum(len(page.changes) for page in _connector(behind, change).read_changes(LEADS, None))


def _after(number: int, answer: httpx.Response) -> Answer:
    """The server is itself for so many answers, and then somebody else."""
    return lambda at, go: go() if at <= number else httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.mark.parametrize(
    "said",
    [
        {"status": "ok"},
        [],
        None,
        "x",
        5,
        ["x"],
        {"jsonrpc": "2.0", "id": 1, "result": "x"},
        {"jsonrpc": "2.0", "id": 1, "error": "boom"},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 200, "data": ["x"]}},
    ],
    ids=repr,
)
@pytest.mark.parametrize("number", [0, 2, 3, 4])
def test_json_that_odoo_never_says_breaks_nothing(behind: Service, said: Any, number: int) -> None:
    answer = httpx.Response(200, headers={"content-type": "application/json"}, content=json.dumps(said).encode())
    for use in (lambda: _read(behind, _after(number, answer)), lambda: _connector(behind, _after(number, answer)).describe()):
        with suppress(BridgeError):
            use()


def test_a_list_of_nonsense_is_an_answer_that_is_lost(behind: Service) -> None:
    said = {"jsonrpc": "2.0", "id": 1, "result": ["x"]} if behind.version < 19 else ["x"]
    nonsense = httpx.Response(200, content=json.dumps(said).encode())
    with pytest.raises(AnswerLost, match="answers fields_get with something that Odoo never says"):
        _read(behind, _after(3 if behind.version < 19 else 1, nonsense))


@pytest.mark.parametrize(
    ("status", "says", "way_out"),
    [
        (401, "it asks for a login of its own", "let the bridge pass"),
        (403, "it lets nobody pass", "/jsonrpc and /json/2"),
        (413, "the request is too great for it", "Lower `batch`"),
    ],
)
def test_a_page_that_refuses_is_told_from_odoos_own_refusals(behind: Service, status: int, says: str, way_out: str) -> None:
    page = httpx.Response(status, headers={"content-type": "text/html"}, content=PAGE)
    with pytest.raises(ConfigError) as caught:
        _connector(behind, _after(2, page)).describe()
    assert f"is answered with {status} by something that is not Odoo: {says}" in caught.value.message
    assert way_out in (caught.value.way_out or "")


def test_a_redirect_says_where_it_leads_and_shows_no_login(behind: Service) -> None:
    moved = httpx.Response(301, headers={"location": "https://user:pw@new.example/web/version"})
    with pytest.raises(ConfigError) as caught:
        _connector(behind, _after(0, moved)).describe()
    assert caught.value.message == f"{URL} sends its callers on to https://new.example."
    assert caught.value.way_out == "Set `url` to https://new.example."
    selector = httpx.Response(303, headers={"location": "/web/database/selector"})
    with pytest.raises(ConfigError, match="answers with a redirect"):
        _connector(behind, _after(0, selector)).describe()


@pytest.mark.parametrize("words", ["connection to server at h failed: Connection refused", "Verbindung zum Server wurde getrennt"])
def test_odoo_without_its_database_is_waited_for(behind: Service, words: str) -> None:
    error = {"name": "psycopg2.OperationalError", "message": words}
    body: Any = {"jsonrpc": "2.0", "id": 1, "error": {"code": 200, "data": error}} if behind.version < 19 else error
    gone = httpx.Response(200 if behind.version < 19 else 500, content=json.dumps(body).encode())
    with pytest.raises(TransientError, match="Odoo does not reach its database"):
        _connector(behind, _after(1 if behind.version >= 19 else 3, gone)).describe()


@pytest.mark.parametrize("url", [f"{URL}/odoo", f"{URL}/web/login", f"{URL}/odoo/contacts/"])
def test_an_address_with_a_path_is_refused_before_it_is_called(url: str) -> None:
    with pytest.raises(ValidationError, match="does not end after its host"):
        OdooSettings.model_validate({"url": url, "database": "prod", "user": "admin", "key": "k"})


@pytest.mark.parametrize("key", ["", "  ", "schlüssel", "two words", "a\tb"])
def test_what_cannot_be_a_key_is_refused_before_it_is_sent(key: str) -> None:
    with pytest.raises(ValidationError, match="no API key of Odoo") as caught:
        OdooSettings.model_validate({"url": URL, "database": "prod", "user": "admin", "key": key})
    assert "schlüssel" not in str(caught.value.errors()[0]["msg"])


def test_a_lines_end_is_no_part_of_a_key(behind: Service) -> None:
    assert _connector(behind, key=" the-api-key\r\n").describe().streams


def test_a_databases_name_that_fits_into_no_header_goes_by_json_rpc(behind: Service) -> None:
    connector = _connector(behind, database="größe")
    with pytest.raises(ConfigError) as caught:
        connector.describe()
    assert ("api: jsonrpc" in (caught.value.way_out or "")) == (behind.version >= 19)


def test_a_currency_that_is_archived_has_its_code(behind: Service) -> None:
    assert "JPY" in _connector(behind).describe().codes["currency"].values()
    active = [row for row in behind.database.store.table("res.currency").rows.values() if row["name"] == "JPY"]
    assert not active[0]["active"]


def test_a_key_of_another_user_is_told_by_both_faces(behind: Service) -> None:
    with pytest.raises(ConfigError if behind.version >= 19 else AuthError) as caught:
        _connector(behind, user="somebody").describe()
    if behind.version >= 19:
        assert caught.value.message == "The key is one of admin, not of somebody."


def test_a_language_that_is_not_active_is_no_english(behind: Service) -> None:
    with pytest.raises(ConfigError) as caught:
        _connector(behind, lang="de_DE").describe()
    assert "correct `lang`" in (caught.value.way_out or "")


def test_a_reference_that_leads_nowhere_is_one_in_any_language(behind: Service) -> None:
    """Odoo answers in the language of the connection, and the table of answers is English."""

    def in_french(_number: int, go: Callable[[], httpx.Response]) -> httpx.Response:
        said = go()
        body = said.content.replace(b"No matching record found for database id", "Aucun enregistrement trouvé pour id".encode())
        return httpx.Response(said.status_code, headers={"content-type": "application/json"}, content=body)

    leads = Selection("crm.lead", "id", ("name", "stage_id"))
    lost = Write(ref="one", operation="create", key=None, reference="0001", fields={"name": "x", "stage_id": "99999"})
    told = [_connector(behind, change).write(leads, [lost])[0] for change in (lambda _number, go: go(), in_french)]
    assert [(one.reject, one.field) for one in told if isinstance(one, Rejected)] == [("reference", "stage_id")] * 2
