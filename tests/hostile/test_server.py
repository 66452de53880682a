"""The memory system's server under requests that no client of ours sends: an answer of 4xx, or a closed connection; never a hang."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch import altered, nasty_value, searched, soon

from erpcrm_bridge.testing.bench import MemoryBench
from erpcrm_bridge.testing.server import MemoryServer

TOKEN = b"Authorization: Bearer bridge\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[MemoryServer]:
    running = MemoryServer(MemoryBench().system)
    yield running
    running.close()


def ask(server: MemoryServer, request: bytes, *, hang_up: bool = False) -> int:
    """Send bytes; return the status of the answer, 0 where the connection is closed without one."""
    host, port = server.url.removeprefix("http://").split(":")
    with soon(), socket.create_connection((host, int(port)), timeout=4) as wire:
        wire.sendall(request)
        if hang_up:
            wire.shutdown(socket.SHUT_WR)
        try:
            first = wire.makefile("rb").readline()
        except ConnectionResetError:
            return 0
    return int(first.split()[1]) if first.startswith(b"HTTP/") else 0


def post(path: str, body: bytes, *, length: Any = None) -> bytes:
    told = len(body) if length is None else length
    return b"POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %s\r\n\r\n%s" % (path.encode(), TOKEN, str(told).encode(), body)


def is_well(server: MemoryServer) -> bool:
    return ask(server, post("/call/describe", b"{}")) == 200


BODIES = [
    b"",
    b"[]",
    b"1",
    b'"x"',
    b"null",
    b"{",
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b'"\xff"',
    b"\0",
    b"NaN",
    b"1e999999999",
    b"9" * 5_000,
]
PATHS = [
    "/",
    "/call/read",
    "/call/write",
    "/call/describe",
    "/call/__init__",
    "/people/edit",
    "/people/_create",
    "/_faults",
    "/../x",
    "//",
    "/%00",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:20]))
def test_a_body_that_is_no_request_is_refused(server: MemoryServer, path: str, body: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    before = server.system.dump()
    status = ask(server, post(path, body))
    may = {200} if (path == "/call/describe" and body == b"") or (path == "/_faults" and body == b"") else set()
    assert status in may | set(range(400, 500))
    assert server.system.dump() == before
    assert "Traceback" not in capfd.readouterr().err
    assert is_well(server)


REQUESTS = {
    "no length": b"POST /call/describe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a negative length": post("/call/describe", b"{}", length=-1),
    "a length in words": post("/call/describe", b"{}", length="two"),
    "a length beyond numbers": post("/call/describe", b"{}", length="9" * 5_000),
    "a length of a terabyte": post("/call/describe", b"{}", length=10**12),
    "another alphabet's digits": post("/call/describe", b"{}", length="²"),
    "chunks": b"POST /call/describe HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks and a length": b"POST /call/describe HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "another verb": b"DELETE /call/describe HTTP/1.1\r\n\r\n",
    "no verb": b"\r\n\r\n\r\n",
    "a version that is none": b"GET / HTTP/9.9\r\n\r\n",
    "words": b"hello there, how are you\r\n\r\n",
    "bytes": bytes(range(128, 256)) + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a long line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 1_000 + b"\r\n",
    "a credential of bytes": b"GET /_log HTTP/1.1\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_request_that_is_none_is_answered_or_hung_up(server: MemoryServer, request_: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    before = server.system.dump()
    status = ask(server, request_)
    assert status in {0, 200, 501, 505} | set(range(400, 500))
    assert status != 200 or request_.startswith(b"GET /_log")
    assert server.system.dump() == before
    assert "Traceback" not in capfd.readouterr().err
    assert is_well(server)


def test_a_body_cut_short_is_not_carried_out(server: MemoryServer) -> None:
    before = server.system.dump()
    body = json.dumps({"stream": next(iter(server.system.specs)), "fields": {"Name": "half"}}).encode()
    assert ask(server, post("/people/create", body, length=len(body) + 5), hang_up=True) == 0
    assert server.system.dump() == before
    assert is_well(server)


READ = {"stream": "Account", "fields": ["Name"], "children": [], "keys": ["1"], "after": None, "at_least": None, "limit": 10}


@searched
@given(data=st.data(), verb=st.sampled_from(["read", "changes", "scan", "keys", "find", "head", "describe", "nothing"]))
def test_an_altered_call_is_answered_or_refused(server: MemoryServer, data: st.DataObject, verb: str) -> None:
    good = {**READ, "stream": data.draw(st.sampled_from(sorted(server.system.specs))), "conditions": [{"Name": "x"}]}
    said = data.draw(altered(good) | nasty_value)
    before = server.system.dump()
    assert ask(server, post(f"/call/{verb}", json.dumps(said).encode())) in {200, *range(400, 500)}
    assert server.system.dump() == before
