"""The web server: requests in, the faces' answers out, one connection a request as the real one has it; cut short where that was asked
for."""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from erpcrm_bridge_odoo.simulator.errors import NotSimulatedError
from erpcrm_bridge_odoo.simulator.faults import Fault

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What came in; header names in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        """Return the body read as JSON; bytes that are no UTF-8 are taken as well as they go. Raises ValueError."""
        return json.loads(self.body.decode("utf-8", "replace"))

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass
class Response:
    """What goes out, and the faults that the sending of it meets."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    met: dict[str, Fault] = field(default_factory=dict)
    reason: str | None = None


Answer = Callable[[Request], Response]


def as_json(told: Any, status: int = 200, **headers: str) -> Response:
    extra = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, json.dumps(told).encode(), headers=extra)


def page(status: int, name: str, text: str) -> Response:
    """Return the web server's own page for a status."""
    body = f"<!doctype html>\n<html lang=en>\n<title>{status} {name}</title>\n<h1>{name}</h1>\n<p>{text}</p>\n"
    return Response(status, body.encode(), "text/html; charset=utf-8")


def not_simulated(error: NotSimulatedError) -> Response:
    told = {"name": "not simulated", "message": f"The simulator does not do this: {error.feature}", "feature": error.feature}
    answer = as_json(told, 501)
    answer.reason = f"Not simulated: {error.feature}".encode("ascii", "replace").decode()
    return answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Werkzeug/2.2.2"
    server: _Server

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, unquote(parts.path), parse_qs(parts.query), headers, self.rfile.read(length))
        self.close_connection = True
        try:
            answer = self.server.answer(request)
        except NotSimulatedError as error:
            answer = not_simulated(error)
        except Exception:
            LOG.exception("the simulator itself failed")
            answer = as_json({"name": "a mistake of the simulator's", "message": traceback.format_exc()}, 500)
        if "slow" in answer.met:
            time.sleep(answer.met["slow"].seconds)
        if "lost" in answer.met or "unheard" in answer.met:
            return
        self.send_response(answer.status, answer.reason or HTTPStatus(answer.status).phrase.upper().replace("OK", "OK"))
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.status == 200:
            self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: len(answer.body) // 2] if "cut" in answer.met else answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _serve

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the time for the header ``Date``: the simulated server's own."""
        return super().date_time_string(self.server.clock().timestamp() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: Any) -> None:
        LOG.debug(format, *args)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, answer: Answer, clock: Callable[[], datetime]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer
        self.clock = clock

    def handle_error(self, request: Any, client_address: Any) -> None:
        LOG.debug("a connection ended early", exc_info=True)


class Running:
    """A server that is up on 127.0.0.1 until it is closed. Port 0 takes a free one."""

    def __init__(self, port: int, answer: Answer, clock: Callable[[], datetime]) -> None:
        self._server = _Server(port, answer, clock)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def wait(self) -> None:
        """Stay until the server is closed."""
        self._thread.join()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
