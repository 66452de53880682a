"""What stands where the store should be."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from watch import NASTY_TEXTS, ending, refused, soon

from erpcrm_bridge.errors import BridgeError, StoreError
from erpcrm_bridge.store import GoldenRow, open_store


def use(url: str, *, read_only: bool = False, run_lock: bool = False) -> int:
    """Open a store and look at all of it."""
    with open_store(url, read_only=read_only, run_lock=run_lock) as store:
        store.runs(None)
        store.count_links()
        store.parked()
        return len(store.golden_page("customer", "", 10_000))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a store with three hundred records."""
    path = tmp_path_factory.mktemp("store") / "store.db"
    with open_store(f"sqlite:///{path}") as store, store.transaction():
        store.add_golden([GoldenRow(f"{n:014d}", "customer", {"name": "x" * 200}, {}, 1) for n in range(300)])
    return path.read_bytes()


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("share", [0.00001, 0.0005, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_store_cut_short_is_refused_and_left_alone(tmp_path: Path, whole: bytes, share: float, read_only: bool) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(whole[: max(1, int(len(whole) * share))])
    before = path.read_bytes()
    assert isinstance(refused(lambda: use(f"sqlite:///{path}", read_only=read_only)), StoreError)
    assert path.read_bytes() == before


def test_a_store_with_flipped_bytes_is_read_or_refused(tmp_path: Path, whole: bytes) -> None:
    assert use_of(tmp_path, whole) == 300
    rng = random.Random(1)
    refusals = 0
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(rng.choice((1, 20, 500))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        refusals += isinstance(ending(lambda content=bytes(content): use_of(tmp_path, content)), StoreError)
    assert refusals > 5


def use_of(folder: Path, content: bytes) -> int:
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (folder / name).unlink(missing_ok=True)
    (folder / "store.db").write_bytes(content)
    return use(f"sqlite:///{folder / 'store.db'}")


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    "kind", ["folder", "pipe", "loop", "zero", "null", "no database", "text", "NUL", "long", "long folder", "no folder"]
)
def test_what_is_no_store_is_refused(tmp_path: Path, kind: str, read_only: bool) -> None:
    path = tmp_path / "store.db"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path)
        case "zero":
            path.symlink_to("/dev/zero")
        case "null":
            path.symlink_to("/dev/null")
        case "no database":
            path.write_bytes(b"no database" * 1_000)
        case "text":
            path.write_text("a,b\n1,2\n")
        case "NUL":
            path = tmp_path / "a\0b"
        case "long":
            path = tmp_path / ("a" * 300)
        case "long folder":
            path = tmp_path / ("a" * 300) / "store.db"
        case _:
            path = tmp_path / "gone" / "store.db"
    error = refused(lambda: use(f"sqlite:///{path}", read_only=read_only), seconds=3)
    assert isinstance(error, StoreError)
    assert error.way_out
    refused(lambda: use(f"sqlite:///{path}", read_only=read_only, run_lock=True), seconds=3)


FOREIGN = {
    "another program's": "CREATE TABLE x (a)",
    "a table of versions without versions": "CREATE TABLE store_version (a)",
    "a version and nothing else": "CREATE TABLE store_version (version_num); INSERT INTO store_version VALUES ('0001')",
    "a version that is no text": "CREATE TABLE store_version (version_num); INSERT INTO store_version VALUES (x'ff00')",
    "a version from the future": "CREATE TABLE store_version (version_num); INSERT INTO store_version VALUES ('9999')",
    "a view in its place": "CREATE VIEW store_version AS SELECT '0001' AS version_num",
}


@pytest.mark.parametrize("script", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_database_of_something_else_is_refused(tmp_path: Path, script: str) -> None:
    path = tmp_path / "store.db"
    database = sqlite3.connect(path)
    database.executescript(script)
    database.close()
    assert isinstance(refused(lambda: use(f"sqlite:///{path}")), StoreError)


@pytest.mark.parametrize("text", NASTY_TEXTS)
def test_a_store_may_have_any_name_or_is_refused(tmp_path: Path, text: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    name = text.replace("/", "_").replace("..", "_")
    ending(lambda: use(f"sqlite:///{inner / name}"))
    if name.strip() and "\0" not in name and len(name) < 200:
        assert (inner / name).is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]


@pytest.mark.parametrize("url", ["", "x", "mysql://h/d", "sqlite://", "postgresql://a\0b@127.0.0.1:1/d", "postgresql://%zz@127.0.0.1:1/d"])
def test_a_url_that_names_no_store_is_refused_without_its_password(url: str) -> None:
    assert isinstance(refused(lambda: use(url)), StoreError)


def test_a_refusal_of_a_server_tells_no_password() -> None:
    error = refused(lambda: use("postgresql://bridge:hunter2-hunter2@127.0.0.1:1/d?connect_timeout=1"))
    assert "hunter2" not in str(error) + error.way_out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
@pytest.mark.parametrize("what", ["file", "folder", "unreadable"])
def test_a_store_that_this_user_may_not_write_or_read_is_refused(tmp_path: Path, whole: bytes, what: str) -> None:
    folder = Path(f"/tmp/{tmp_path.parent.parent.name}-{os.getpid()}-{what}")
    folder.mkdir(mode=0o755)
    path = folder / "store.db"
    try:
        path.write_bytes(whole)
        path.chmod(0o000 if what == "unreadable" else 0o444 if what == "file" else 0o644)
        folder.chmod(0o777 if what == "file" else 0o755)
        program = (
            "import os, sys; from erpcrm_bridge.store import open_store; from erpcrm_bridge.errors import StoreError; os.setuid(65534)\n"
            "try: open_store(sys.argv[1]).set_connection_identity('a', 'b'); print('written')\n"
            "except StoreError as error: print('refused:', error, '|', error.way_out)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, f"sqlite:///{path}"], capture_output=True, text=True, timeout=60, check=False, cwd="/"
        )
        assert done.stdout.startswith("refused: "), done
        assert path.read_bytes() == whole
    finally:
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()


def test_an_unreadable_value_in_a_row_is_told_as_damage(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "store.db"
    for bad in (b"{", b"\xff", b"[" * 50_000, b'{"name": }'):
        path.write_bytes(whole)
        database = sqlite3.connect(path)
        database.execute("UPDATE golden SET fields = ? WHERE id = ?", (bad, f"{7:014d}"))
        database.commit()
        database.close()
        with soon():
            found = ending(lambda: use(f"sqlite:///{path}"))
        assert isinstance(found, StoreError)
        assert isinstance(found, BridgeError)
        assert "damaged" in found.message
