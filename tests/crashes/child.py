"""Runs the command line in processes that may be killed. Started once; each run is a fork of it, so that a run costs no start-up.

It reads one JSON object a line: ``cwd``, ``arguments``, ``trace`` (a file that gets the name of each place as it is passed), ``out`` and
``err`` (files), ``shadows`` (see ``disk.Recorder``), and how the run is to die, if at all: ``place`` and ``nth`` (by its own hand, SIGKILL
at the nth passing of the named place; "*" is any place), ``tried`` (the same, at the first place that is not among these), or ``seconds``
(SIGKILL from here, so long after it began). It answers each with the exit code, negative for a signal.

Places are before each statement of the store, and before and after every commit of it, every call of a connector or over the wire, and
every step of the file layer in the watched folders. Those of the store are named after the function of the bridge that is at work.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import httpx
from disk import Recorder
from httpcore._sync.http11 import HTTP11Connection

import erpcrm_bridge.cli.sync
import erpcrm_bridge.sync.run
import erpcrm_bridge.testing.server  # noqa: F401 - what a run would import is there before the fork
from erpcrm_bridge.cli import main
from erpcrm_bridge.store import engines
from erpcrm_bridge.testing.memory import MemoryConnector
from erpcrm_bridge.testing.server import HttpWire
from erpcrm_bridge_csv.connector import CsvConnector
from erpcrm_bridge_odoo.connector import OdooConnector

VERBS = ("describe", "read", "find", "write")


class Places:
    """Counts the places passed, and dies at the one it was told."""

    def __init__(self, trace: str, place: str | None, nth: int, tried: list[str] | None) -> None:
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._place, self._left, self._tried = place, nth, None if tried is None else frozenset(tried)

    def __call__(self, name: str) -> None:
        os.write(self._trace, f"{name}\n".encode())
        if self._place in (name, "*") or (self._tried is not None and name not in self._tried):
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)

    def around(self, holder: Any, method: str, named: Callable[..., str | None], *, after: bool = True) -> None:
        """Make a place before and one ``after`` each call of ``holder.method`` for which ``named`` gives a name."""
        real = getattr(holder, method)

        @wraps(real)
        def placed(*args: Any, **more: Any) -> Any:
            name = named(*args, **more)
            if name is None:
                return real(*args, **more)
            self(f"before {name}")
            answer = real(*args, **more)
            if after:
                self(f"after {name}")
            return answer

        setattr(holder, method, placed)


def at_work() -> str:
    """Return the function of the bridge, outside the store, that is at work."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("erpcrm_bridge.") and not module.startswith("erpcrm_bridge.store"):
            return f"{module.rpartition('.')[2]}.{frame.f_code.co_name.strip('_')}"
        frame = frame.f_back
    return "another thread"


def statement(_: Any, what: Any, *more: Any) -> str | None:
    return None if isinstance(what, str) and what.startswith(("BEGIN", "COMMIT", "SELECT")) else f"a statement of {at_work()}"


def lay_places(places: Places, recorder: Recorder) -> None:
    engines.LATER = 1  # a second process stores however little it is: it outlives a run that is killed
    for engine in (engines.SqliteEngine, engines.PostgresEngine):
        places.around(engine, "commit", lambda *_: f"the commit of {at_work()}")
        for method in ("insert", "update", "run"):
            places.around(engine, method, statement, after=False)
    for connector in (CsvConnector, MemoryConnector, OdooConnector):
        for verb in VERBS:
            places.around(connector, verb, lambda _, *args, verb=verb: " ".join([verb, *(one.stream for one in args[:1])]))
        connector.read_changes = paged(places, connector.read_changes)  # type: ignore[attr-defined]  # places between the pages
    places.around(CsvConnector, "put_away", lambda _, selection, __: f"put away {selection.stream}")
    places.around(HttpWire, "call", lambda _, verb, args: f"{verb} over the wire")
    asking = threading.local()

    def asked(_: Any, request: httpx.Request) -> str:
        asking.what = call_of(request)
        return f"{asking.what} over the wire"

    places.around(httpx.HTTPTransport, "handle_request", asked)
    places.around(HTTP11Connection, "_receive_response_headers", lambda *_, **__: f"the answer to {asking.what}", after=False)

    def watched(doing: str) -> Callable[..., str | None]:
        return lambda path, *_, **__: f"{doing} {plain(path)}" if recorder.watches(path) else None

    os.fsync = recorder.fsync
    places.around(os, "fsync", lambda descriptor: f"fsync of {plain(os.readlink(f'/proc/self/fd/{descriptor}'))}")
    places.around(os, "unlink", lambda path, **_: "removing a file" if recorder.watches(path) else None)
    writing = watched("making")
    places.around(os, "open", lambda path, flags, *_, **__: writing(path) if flags & os.O_EXCL else None)
    moving = watched("moving")
    places.around(os, "rename", lambda _, target, **__: moving(target))
    placing = watched("placing")
    places.around(os, "replace", lambda _, target, **__: placing(target))


def call_of(request: httpx.Request) -> str:
    """Return what a request asks of an Odoo: over JSON-2 its path says it, over JSON-RPC what is in it."""
    if request.url.path != "/jsonrpc":
        return request.url.path.removeprefix("/json/2/")
    said = json.loads(request.content)["params"]
    return "/".join(said["args"][3:5]) if said["method"] == "execute_kw" else str(said["method"])


def paged(places: Places, real: Callable[..., Any]) -> Callable[..., Any]:
    def read_changes(self: Any, selection: Any, since: str | None) -> Iterator[Any]:
        for page in real(self, selection, since):
            places(f"a page of {selection.stream}")
            yield page

    return read_changes


def plain(path: Any) -> str:
    """Return a name without what is different each time."""
    return re.sub(r"\.[0-9a-f]{12}\.", ".", os.path.basename(os.fspath(path)))


def run(order: dict[str, Any]) -> None:
    """Be the run; never return."""
    code = 70
    try:
        os.chdir(order["cwd"])
        for name, number in (("out", 1), ("err", 2)):
            os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        lay_places(Places(order["trace"], order.get("place"), order.get("nth", 1), order.get("tried")), Recorder(order["shadows"]))
        code = main(order["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def serve() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run(order)
        if order.get("seconds") is not None:
            end = time.monotonic() + order["seconds"]
            while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None and time.monotonic() < end:
                time.sleep(0.0005)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
