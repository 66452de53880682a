"""The memory system behind a small HTTP server, and the connector that reaches it there.

``python -m erpcrm_bridge.testing.server --port 0 --file state.json`` serves the system kept in ``state.json`` (written whole, in place
of the old one, after each change, so that it survives being killed) and prints its address as one line. The file is made with
``write_state(path, system)``, or by ``MemorySystem.dump``.

::

    POST /call/<verb>       what the bridge calls (``MemorySystem.serve``); Authorization: Bearer <credential>
    POST /people/<act>      what people do: create, edit, move, delete, restore, merge, get, all, with the arguments of ``MemorySystem``
    POST /_faults           {"verb", "kind", "nth", "times", "done", "act": {"name": "edit", "args": {…}}}; an empty object clears
    GET  /_log              everything that happened, in order

Bodies and answers are JSON (``model.values.pack``). An error is ``{"error": class, "message", …}`` with a status of 4xx or 5xx. Where a
fault loses the answer, the work is done and the connection is closed without one.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from erpcrm_bridge import errors
from erpcrm_bridge.connector import Budget, ListWrite
from erpcrm_bridge.errors import BridgeError, ConfigError, PermissionDenied, TransientError
from erpcrm_bridge.model.values import UNREADABLE, pack, unpack
from erpcrm_bridge.testing.memory import MemoryConnector
from erpcrm_bridge.testing.system import AnswerLost, MemorySystem, Moved, Refused

_STATUS = {"AuthError": 401, "PermissionDenied": 403, "CursorExpired": 410, "QuotaExhausted": 429, "TransientError": 503}
LARGEST = 64 << 20
"""Bytes in the body of a request."""
_PEOPLE = ("create", "edit", "move", "delete", "restore", "merge", "get", "all")


def write_state(path: Path, system: MemorySystem) -> None:
    """Write the system's state into ``path``, whole or not at all."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(system.dump())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def act(system: MemorySystem, name: str, args: Mapping[str, Any]) -> Any:
    """Do what a person does. Raises UsageError for an act that there is not, Refused, Moved."""
    if name not in _PEOPLE:
        raise errors.UsageError(f"People cannot {name} here.")
    said = dict(args)
    if name == "edit" and said.get("lists"):
        said["lists"] = {each: msgspec.convert(write, ListWrite) for each, write in said["lists"].items()}
    method: Callable[..., Any] = getattr(system, name)
    return method(**said)


class MemoryServer:
    """Serves a system on 127.0.0.1 from a thread of its own. ``url`` is its address; ``close`` ends it. ``port`` 0 takes a free one."""

    def __init__(self, system: MemorySystem, *, port: int = 0, file: Path | None = None) -> None:
        self.system = system
        self._saving = threading.Lock()
        self._file = file
        self._http = _Http(("127.0.0.1", port), self)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def wait(self) -> None:
        """Return when the server has ended."""
        self._thread.join()

    def answer(self, path: str, credential: str, body: bytes) -> Any:
        """Return the answer of one request. Raises what the system raises; what was done is kept first."""
        args = unpack(body) if body else {}
        if not isinstance(args, dict):
            raise errors.UsageError("The body of a request is one JSON object.")
        room, _, name = path.strip("/").partition("/")
        try:
            if room == "call":
                return self.system.serve(credential, name, args)
            if room == "people":
                return act(self.system, name, args)
            if room == "_faults":
                return self._fault(args)
            if room == "_log":
                return msgspec.to_builtins(self.system.log, builtin_types=(Decimal,))
            raise errors.UsageError(f"There is nothing at {path}.")
        finally:
            if self._file is not None and (room == "people" or name == "write"):
                with self._saving:
                    write_state(self._file, self.system)

    def _fault(self, args: dict[str, Any]) -> None:
        if not args:
            self.system.faults.clear()
            return
        wanted = args.pop("act", None)
        doing = (lambda: act(self.system, wanted["name"], wanted["args"])) if wanted else None
        self.system.faults.add(args.pop("verb"), args.pop("kind"), act=doing, **args)


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], owner: MemoryServer) -> None:
        self.owner = owner
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65_536
    timeout = 60
    server: _Http

    def do_GET(self) -> None:
        self._respond(b"")

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if self.headers.get("transfer-encoding") or not (length.isascii() and length.isdigit() and len(length) < 10):
            self._refuse(411, "A request says the length of its body, in Content-Length.")
        elif int(length) > LARGEST:
            self._refuse(413, f"A body has at most {LARGEST >> 20} MB.")
        else:
            body = self.rfile.read(int(length))
            if len(body) < int(length):
                self.close_connection = True
            else:
                self._respond(body)

    def _refuse(self, status: int, message: str) -> None:
        """Answer without reading the body; what follows on the connection cannot be told from it, so it is closed."""
        self.close_connection = True
        self._send(status, {"error": "UsageError", "message": message, "retry_after": None})

    def _respond(self, body: bytes) -> None:
        credential = self.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            status, answer = 200, self.server.owner.answer(self.path, credential, body)
        except AnswerLost:
            self.close_connection = True
            return
        except Refused as error:
            status, answer = 422, {"error": "Refused", "message": error.reason, "field": error.field, "existing": error.existing}
        except Moved as error:
            status, answer = 409, {"error": "Moved", "message": str(error), "gone": error.gone}
        except BridgeError as error:
            status = _STATUS.get(type(error).__name__, 400)
            answer = {"error": type(error).__name__, "message": error.message, "retry_after": getattr(error, "retry_after", None)}
            answer["keys"] = list(getattr(error, "keys", ()))
        except (LookupError, TypeError, AttributeError, *UNREADABLE) as error:
            status, answer = 400, {"error": "UsageError", "message": f"This request cannot be understood: {type(error).__name__}."}
        self._send(status, answer)

    def _send(self, status: int, answer: Any) -> None:
        payload = pack(answer)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


class HttpWire:
    """Reaches a memory system behind its server. ``timeout`` is in seconds, for each step of a call.

    A call that was never sent raises TransientError; one that was sent and not answered raises AnswerLost.
    """

    def __init__(self, url: str, *, token: str, timeout: float) -> None:
        try:
            import httpx
        except ImportError as error:
            raise ConfigError(
                "The memory connector speaks HTTP through httpx, which is not installed.", way_out="pip install 'erpcrm-bridge[testing]'"
            ) from error
        self._httpx = httpx
        self._url = url
        try:
            self._client = httpx.Client(base_url=url, timeout=timeout, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        except (httpx.InvalidURL, ValueError) as error:
            raise ConfigError(f"{url} is no address of a memory system.") from error

    def __repr__(self) -> str:
        return f"HttpWire({self._url!r})"

    def call(self, verb: str, args: dict[str, Any]) -> Any:
        httpx = self._httpx
        try:
            answer = self._client.post(f"/call/{verb}", content=pack(args))
        except httpx.UnsupportedProtocol as error:
            raise ConfigError(f"{self._url} is no address of a memory system.") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise TransientError(f"The memory system at {self._url} cannot be reached.") from error
        except httpx.TransportError as error:
            raise AnswerLost(f"the connection broke during {verb}") from error
        if answer.status_code == 200:
            return unpack(answer.content)
        raise _error_of(answer.content, verb)

    def close(self) -> None:
        self._client.close()


def _error_of(content: bytes, verb: str) -> Exception:
    """Return the error that an answer tells of; AnswerLost where it cannot be read, for then the work may have been done."""
    try:
        said = unpack(content)
        kind: type[BridgeError] = getattr(errors, said["error"])
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError):
        return AnswerLost(f"the answer to {verb} cannot be read")
    if issubclass(kind, TransientError):
        return kind(said["message"], retry_after=None if said["retry_after"] is None else float(said["retry_after"]))
    if issubclass(kind, PermissionDenied):
        return kind(said["message"], keys=said["keys"])
    return kind(said["message"])


class HttpMemoryConnector(MemoryConnector):
    """The memory connector over HTTP: the same contract, and answers that can really be lost."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "bridge",  # noqa: S107 - the name of the memory system's one credential, no secret
        timeout: float = 10.0,
        page_size: int = 100,
        budget: Budget | None = None,
        codes: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__(over=HttpWire(url, token=token, timeout=timeout), page_size=page_size, budget=budget, codes=codes)


def main(arguments: list[str] | None = None) -> None:
    """Serve the system kept in ``--file`` until killed."""
    parser = argparse.ArgumentParser(prog="python -m erpcrm_bridge.testing.server", description="Serve a memory system over HTTP.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--file", type=Path, required=True, help="where the system's state is kept; must be there")
    options = parser.parse_args(arguments)
    try:
        system = MemorySystem.load(options.file.read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        parser.error(f"{options.file} holds no memory system: {error}")
    server = MemoryServer(system, port=options.port, file=options.file)
    sys.stdout.write(server.url + "\n")
    sys.stdout.flush()
    server.wait()


if __name__ == "__main__":
    main()
