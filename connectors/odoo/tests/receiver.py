"""A small HTTP server that takes the posts of webhooks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from erpcrm_bridge.connector import WebhookRequest


class Receiver:
    """Takes posts on a port of its own; ``on_post`` is called while one is being answered."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.requests: list[WebhookRequest] = []
        self.headers: list[dict[str, str]] = []
        self.on_post: Callable[[], None] | None = None
        self.delay = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posts.append(json.loads(body))
                outer.headers.append(dict(self.headers.items()))
                lower = {name.lower(): told for name, told in self.headers.items()}
                outer.requests.append(WebhookRequest("POST", self.path, lower, body))
                if outer.on_post:
                    outer.on_post()
                if outer.delay:
                    time.sleep(outer.delay)
                    return
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A server that hung up is no trouble of ours."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hooks/odoo"

    @property
    def url(self) -> str:
        return f"{self.address}?secret=s"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
