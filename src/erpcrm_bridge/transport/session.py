"""One HTTP session of a connection: every call of a connector goes through it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Protocol, TypeVar

import httpx
import tenacity

from erpcrm_bridge.errors import BridgeError, ConfigError, QuotaExhausted, TransientError
from erpcrm_bridge.model.records import Budget
from erpcrm_bridge.model.secrets import SecretBook
from erpcrm_bridge.transport.lanes import Lane, Lanes
from erpcrm_bridge.transport.status import STATUSES, Refusal, refused, retry_after

T = TypeVar("T")

_log = logging.getLogger("erpcrm_bridge.transport")
logging.getLogger("httpx").setLevel(logging.WARNING)  # below that it tells whole addresses; the session tells them without secrets

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names are lower case; ``seconds`` passed from the request to the answer's end."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    seconds: float = 0.0


class AnswerLost(TransientError):
    """The request went out, and nobody knows whether it was carried out. A connector turns it into Unknown outcomes; from a call that
    changes nothing it is a TransientError like others."""


class Login(Protocol):
    """How a request says who it comes from."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry the credential or the session."""

    def renew(self) -> bool:
        """The session has ended: begin a new one. Return False where there is none to begin: the credential itself was refused."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How a session waits. Seconds, but ``tries``: calls made of one request at most. ``patience`` is the longest Retry-After that is sat
    out here; a longer one is the run's affair."""

    connect: float = 10.0
    read: float = 150.0
    tries: int = 4
    first_wait: float = 0.5
    longest_wait: float = 20.0
    patience: float = 60.0


class Session:
    """One ``httpx.Client`` for all calls of a connection to ``base``.

    ``judge`` is the connector's say over an answer that is no success: it returns what is to be raised, or None where the table of
    statuses is to speak. ``secrets`` stand in no message. ``transport``, ``sleep`` and ``now`` (Unix time) are for tests.
    """

    def __init__(
        self,
        base: str,
        *,
        budget: Budget,
        login: Login | None = None,
        secrets: Iterable[str] = (),
        statuses: Mapping[int, Refusal] = STATUSES,
        judge: Callable[[Answer], Exception | None] = lambda _: None,
        manners: Manners = Manners(),
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._base = base.rstrip("/")
        self._budget = budget
        self._lanes = Lanes(budget.parallel)
        self._login = login
        self._statuses = statuses
        self._judge = judge
        self._manners = manners
        self._sleep = sleep
        self._now = now
        self._book = SecretBook()
        for secret in secrets:
            self._book.add(secret)
        self._counting = threading.Lock()
        self._renewing = threading.Lock()
        self._renewed = 0
        self._client = httpx.Client(
            timeout=httpx.Timeout(manners.read, connect=manners.connect),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # each call says who it is from; no system's memory of us is wanted
            follow_redirects=False,
            transport=transport,
        )

    def __repr__(self) -> str:
        return f"<Session to {self.redact(self._base)}>"

    def close(self) -> None:
        self._client.close()

    def redact(self, text: str) -> str:
        """Return ``text`` without the connection's secrets."""
        return self._book.redact(text)

    def call(
        self,
        method: str,
        path: str,
        read: Callable[[Answer], T],
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        lane: Lane = "read",
        again: bool = True,
        also: Container[int] = (),
    ) -> T:
        """Return what ``read`` makes of the answer to one request: of a success (2xx) or a status in ``also``.

        ``read`` and ``judge`` may raise: a TransientError says that nothing was done, and is tried again; an AnswerLost that this is not
        known. ``again`` says that the request may be carried out twice. One that may not is repeated only where it was refused or never
        left; otherwise AnswerLost is raised. Raises what they and the table of statuses say, QuotaExhausted, ConfigError, TransientError.
        """
        tries = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._manners.tries),
            wait=self._wait,
            retry=tenacity.retry_if_exception(lambda error: self._is_worth_another(error, again)),
            sleep=self._sleep,
            reraise=True,
        )

        def once() -> T:
            with self._lanes.place(lane):
                renewed = self._renewed
                answer = self._send(method, path, body, headers)
                if answer.status == 401 and self._begins_anew(renewed):
                    answer = self._send(method, path, body, headers)
            if 200 <= answer.status < 300 or answer.status in also:
                return read(answer)
            told = self._judge(answer)
            raise told if told is not None else self._error_of(answer, method, path)

        return tries(once)

    def _is_worth_another(self, error: BaseException, again: bool) -> bool:
        if not isinstance(error, TransientError) or isinstance(error, QuotaExhausted) or (isinstance(error, AnswerLost) and not again):
            return False
        return error.retry_after is None or error.retry_after <= self._manners.patience

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, TransientError) and error.retry_after is not None:
            return error.retry_after
        grows = tenacity.wait_random_exponential(multiplier=self._manners.first_wait, max=self._manners.longest_wait)
        return float(grows(state))

    def _begins_anew(self, renewed: int) -> bool:
        """Begin a new session, once for all calls that met the end of the old one. Return False where that cannot be."""
        if self._login is None:
            return False
        with self._renewing:
            if self._renewed == renewed:
                if not self._login.renew():
                    return False
                self._renewed += 1
            return True

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        self._count()
        began = self._now()
        said = {**(self._login.headers() if self._login else {}), **headers}
        try:
            got = self._client.request(method, self._base + path, content=body, headers=said)
        except _NOT_SENT as error:
            raise TransientError(
                f"No connection to {self._base}: {self._plain(error)}.", way_out="Look whether the system runs and the url is right."
            ) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise ConfigError(f"{self._base} is no address: {self._plain(error)}.", way_out="Write it as https://host.") from None
        except httpx.HTTPError as error:
            raise AnswerLost(
                f"{self._base} did not answer {self.redact(method + ' ' + path)} to its end: {self._plain(error)}.",
                way_out="Nothing is lost: what was asked is looked up before it is asked again.",
            ) from None
        seconds = self._now() - began
        _log.debug("method=%s path=%s status=%s seconds=%.3f", method, self.redact(path), got.status_code, seconds)
        return Answer(got.status_code, {name.lower(): value for name, value in got.headers.items()}, got.content, seconds)

    def _count(self) -> None:
        with self._counting:
            if self._budget.calls is not None and self._budget.spent >= self._budget.calls:
                raise QuotaExhausted(
                    f"The bridge's share of {self._budget.calls} calls a day to {self._base} is used up.",
                    way_out="Raise `budget.calls` of the connection, or wait for the next day.",
                )
            self._budget.spent += 1

    def _error_of(self, answer: Answer, method: str, path: str) -> BridgeError:
        means = refused(answer.status, self._statuses)
        message = f"{self.redact(f'{self._base}: {method} {path}')} is answered with {answer.status}: {means.says}."
        if issubclass(means.error, TransientError):
            after = retry_after(answer.headers.get("retry-after"), self._now())
            error = AnswerLost if means.done and means.error is TransientError else means.error
            return error(message, way_out=means.way_out, retry_after=after)
        return means.error(message, way_out=means.way_out)

    def _plain(self, error: Exception) -> str:
        return self.redact(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
