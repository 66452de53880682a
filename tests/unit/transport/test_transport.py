"""The shared HTTP session: what each status means, how often is tried again, what is lost, and that no secret is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from urllib.parse import quote

import httpx
import pytest
import respx

from erpcrm_bridge.connector import Budget
from erpcrm_bridge.errors import (
    AuthError,
    BridgeError,
    ConfigError,
    ConnectorBug,
    CursorExpired,
    PermissionDenied,
    QuotaExhausted,
    SchemaDrift,
    TransientError,
)
from erpcrm_bridge.transport import STATUSES, Answer, AnswerLost, Lane, Lanes, Login, Manners, Refusal, Session, refused, retry_after

BASE = "https://erp.example"
SECRET = "s3cr3t/key+of the bridge"
NOW = 1_800_000_000.0


class Bearer:
    """A login whose session can end."""

    def __init__(self, *, renewable: bool = True) -> None:
        self.sessions = 0
        self._renewable = renewable

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {SECRET} {self.sessions}"}

    def renew(self) -> bool:
        self.sessions += 1
        return self._renewable


class Waits:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def system() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=BASE, assert_all_called=False) as router:
        yield router


def session(
    waits: Waits, *, budget: Budget | None = None, login: Login | None = None, statuses: Mapping[int, Refusal] = STATUSES, tries: int = 3
) -> Session:
    return Session(
        BASE,
        budget=budget or Budget(),
        login=login,
        secrets=[SECRET],
        statuses=statuses,
        manners=Manners(tries=tries),
        sleep=waits,
        now=lambda: NOW,
    )


def body(answer: Answer) -> bytes:
    return answer.body


EXPECTED: dict[int, type[BridgeError]] = {
    301: ConfigError, 302: ConfigError, 303: ConfigError, 307: ConfigError, 308: ConfigError,
    400: ConnectorBug, 401: AuthError, 402: PermissionDenied, 403: PermissionDenied, 404: ConfigError,
    407: ConfigError, 408: TransientError, 409: TransientError, 410: SchemaDrift, 413: ConnectorBug, 421: ConfigError,
    423: TransientError, 425: TransientError, 429: TransientError,
    500: TransientError, 501: ConnectorBug, 502: TransientError, 503: TransientError, 504: TransientError,
    304: ConfigError, 418: ConnectorBug, 599: TransientError,
}  # fmt: skip


def test_every_row_of_the_table_is_expected_here() -> None:
    assert STATUSES.keys() <= EXPECTED.keys()


@pytest.mark.parametrize("status", EXPECTED)
def test_each_status_is_the_error_of_whoever_must_act(status: int, system: respx.MockRouter, waits: Waits) -> None:
    route = system.get("/x").respond(status, text=f"a page that shows {SECRET}")
    with pytest.raises(BridgeError) as raised:
        session(waits).call("GET", "/x", body)
    assert isinstance(raised.value, EXPECTED[status])
    assert str(status) in raised.value.message
    assert raised.value.way_out
    assert SECRET not in f"{raised.value!r} {raised.value.way_out}"
    assert route.call_count == (3 if EXPECTED[status] is TransientError else 1), "only what may go by itself is tried again"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_what_may_have_been_done_is_lost_and_not_repeated(status: int, system: respx.MockRouter, waits: Waits) -> None:
    route = system.post("/x").respond(status)
    with pytest.raises(AnswerLost):
        session(waits).call("POST", "/x", body, again=False)
    assert route.call_count == 1


@pytest.mark.parametrize("status", [408, 409, 423, 425, 429])
def test_what_was_surely_not_done_is_repeated_even_if_it_may_be_done_only_once(status: int, system: respx.MockRouter, waits: Waits) -> None:
    route = system.post("/x").mock(side_effect=[httpx.Response(status), httpx.Response(200, content=b"done")])
    assert session(waits).call("POST", "/x", body, again=False) == b"done"
    assert route.call_count == 2


def test_a_connector_has_rows_of_its_own(system: respx.MockRouter, waits: Waits) -> None:
    system.get("/x").respond(410)
    with pytest.raises(CursorExpired, match="the cursor is too old"):
        session(waits, statuses={**STATUSES, 410: Refusal(CursorExpired, "the cursor is too old")}).call("GET", "/x", body)
    assert refused(410).error is SchemaDrift


def test_a_connectors_say_goes_before_the_table(system: respx.MockRouter, waits: Waits) -> None:
    system.get("/x").respond(500, json={"name": "Quota"})
    own = Session(BASE, budget=Budget(), judge=lambda answer: QuotaExhausted(f"{answer.status}"), sleep=waits)
    with pytest.raises(QuotaExhausted, match="500"):
        own.call("GET", "/x", body)


def test_a_status_may_be_an_answer(system: respx.MockRouter, waits: Waits) -> None:
    system.get("/x").respond(404)
    assert session(waits).call("GET", "/x", lambda answer: answer.status, also=(404,)) == 404


# Waiting


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        ("99999999", 86_400.0),
        ("soon", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(said: str | None, seconds: float | None) -> None:
    assert retry_after(said, NOW) == seconds


@pytest.mark.parametrize(("said", "waited"), [("7", 7.0), (formatdate(NOW + 30, usegmt=True), 30.0)])
def test_it_waits_as_long_as_the_system_says(said: str, waited: float, system: respx.MockRouter, waits: Waits) -> None:
    system.get("/x").mock(side_effect=[httpx.Response(429, headers={"Retry-After": said}), httpx.Response(200, content=b"page")])
    assert session(waits).call("GET", "/x", body) == b"page"
    assert waits.seconds == [waited]


def test_a_wait_beyond_its_patience_is_the_runs_affair(system: respx.MockRouter, waits: Waits) -> None:
    route = system.get("/x").respond(503, headers={"Retry-After": "3600"})
    with pytest.raises(TransientError) as raised:
        session(waits).call("GET", "/x", body)
    assert (raised.value.retry_after, route.call_count, waits.seconds) == (3600.0, 1, [])


def test_waits_grow_and_are_not_alike(system: respx.MockRouter, waits: Waits) -> None:
    system.get("/x").respond(502)
    with pytest.raises(TransientError):
        session(waits, tries=8).call("GET", "/x", body)
    assert len(waits.seconds) == 7
    assert max(waits.seconds) <= Manners().longest_wait
    assert len(set(waits.seconds)) > 1


# The wire


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError, httpx.WriteTimeout])
def test_a_broken_wire_loses_the_answer(error: type[httpx.HTTPError], system: respx.MockRouter, waits: Waits) -> None:
    route = system.post("/x").mock(side_effect=error(f"with {SECRET}"))
    with pytest.raises(AnswerLost) as raised:
        session(waits).call("POST", "/x", body, again=False)
    assert route.call_count == 1
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_what_never_left_is_repeated_and_not_lost(error: type[httpx.HTTPError], system: respx.MockRouter, waits: Waits) -> None:
    route = system.post("/x").mock(side_effect=error(f"to {SECRET}"))
    with pytest.raises(TransientError) as raised:
        session(waits).call("POST", "/x", body, again=False)
    assert not isinstance(raised.value, AnswerLost)
    assert route.call_count == 3
    assert SECRET not in str(raised.value)


def test_an_answer_cut_short_is_read_again(system: respx.MockRouter, waits: Waits) -> None:
    system.get("/page").mock(side_effect=[httpx.Response(200, content=b"[1, 2"), httpx.Response(200, content=b"[1, 2]")])

    def whole(answer: Answer) -> bytes:
        if not answer.body.endswith(b"]"):
            raise AnswerLost("half a page")
        return answer.body

    assert session(waits).call("GET", "/page", whole) == b"[1, 2]"


def test_the_session_waits_longer_than_a_slow_write() -> None:
    assert Manners().read > 100


def test_nothing_that_a_system_sets_is_sent_back(system: respx.MockRouter, waits: Waits) -> None:
    route = system.get("/x").respond(200, headers={"Set-Cookie": "session_id=other-database; Path=/"})
    one = session(waits)
    one.call("GET", "/x", body)
    one.call("GET", "/x", body)
    assert "cookie" not in route.calls.last.request.headers


# The login


def test_a_session_that_ends_mid_page_is_begun_anew(system: respx.MockRouter, waits: Waits) -> None:
    login = Bearer()
    pages: list[str] = []

    def page(request: httpx.Request) -> httpx.Response:
        if len(pages) == 1 and request.headers["Authorization"].endswith(" 0"):
            return httpx.Response(401, text="session expired")
        pages.append(request.headers["Authorization"])
        return httpx.Response(200, content=b"page")

    system.get("/page").mock(side_effect=page)
    one = session(waits, login=login)
    assert [one.call("GET", "/page", body) for _ in range(3)] == [b"page"] * 3
    assert [said.rpartition(" ")[2] for said in pages] == ["0", "1", "1"]
    assert login.sessions == 1


def test_a_credential_that_is_refused_is_not_hammered(system: respx.MockRouter, waits: Waits) -> None:
    route = system.get("/x").respond(401)
    for renewable, calls in ((True, 2), (False, 1)):
        before = route.call_count
        with pytest.raises(AuthError):
            session(waits, login=Bearer(renewable=renewable)).call("GET", "/x", body)
        assert route.call_count - before == calls


# The budget


def test_every_call_counts_and_the_share_ends(system: respx.MockRouter, waits: Waits) -> None:
    route = system.get("/x").mock(side_effect=[httpx.Response(503), httpx.Response(200, content=b"1"), httpx.Response(200, content=b"2")])
    budget = Budget(calls=3)
    one = session(waits, budget=budget)
    one.call("GET", "/x", body)
    one.call("GET", "/x", body)
    assert budget.spent == 3
    with pytest.raises(QuotaExhausted, match="3 calls a day"):
        one.call("GET", "/x", body)
    assert route.call_count == 3, "beyond its share the bridge asks nothing"


# Lanes


def test_reads_leave_a_place_to_writes() -> None:
    lanes = Lanes(2)
    with lanes.place("read"):
        second = threading.Event()
        reader = threading.Thread(target=lambda: _held(lanes, "read", second), daemon=True)
        reader.start()
        assert not second.wait(0.05), "two reads take both places"
        with lanes.place("write"):
            pass
    assert second.wait(5)
    reader.join(5)


def test_a_waiting_write_goes_before_waiting_reads() -> None:
    lanes = Lanes(1)
    order: list[str] = []

    def go(lane: Lane, name: str) -> None:
        with lanes.place(lane):
            order.append(name)

    with lanes.place("read"):
        threads = [threading.Thread(target=go, args=("read", f"read {number}"), daemon=True) for number in range(3)]
        for thread in threads:
            thread.start()
        write = threading.Thread(target=go, args=("write", "write"), daemon=True)
        write.start()
        while not lanes._writes_waiting:
            pass
    for thread in (*threads, write):
        thread.join(5)
    assert order[0] == "write"
    assert len(order) == 4


def test_no_more_calls_at_once_than_the_budget_says() -> None:
    lanes = Lanes(3)
    most, now, guard = 0, 0, threading.Lock()

    def go(lane: Lane) -> None:
        nonlocal most, now
        for _ in range(50):
            with lanes.place(lane):
                with guard:
                    now += 1
                    most = max(most, now)
                with guard:
                    now -= 1

    threads = [threading.Thread(target=go, args=(lane,), daemon=True) for lane in ("read", "write") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert 1 <= most <= 3


def _held(lanes: Lanes, lane: Lane, entered: threading.Event) -> None:
    with lanes.place(lane):
        entered.set()


# Secrets


def test_no_secret_in_any_repr_or_log(system: respx.MockRouter, waits: Waits, caplog: pytest.LogCaptureFixture) -> None:
    system.get(path__startswith="/call").respond(200)
    one = session(waits, login=Bearer())
    with caplog.at_level(logging.DEBUG):
        one.call("GET", f"/call/{quote(SECRET, safe='')}", body, headers={"X-Key": SECRET})
    said = [record.getMessage() for record in caplog.records]
    assert any("/call/***" in text for text in said)
    assert not any("s3cr3t" in text for text in [*said, repr(one), repr(vars(one)["_book"]), one.redact(f"key {SECRET}")])
