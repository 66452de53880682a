"""What is one engine's own, and the migrations on both."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect

from erpcrm_bridge.errors import Locked, StoreError
from erpcrm_bridge.store import GoldenRow, LinkRow, columns, migrate, open_store, tables
from erpcrm_bridge.store import store as statements
from erpcrm_bridge.store.engines import shown


def driver(url: str) -> tuple[str, Callable[[], Any]]:
    if url.startswith("sqlite"):
        return "sqlite", lambda: sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    return "postgresql", lambda: psycopg.connect(url)


def engine(url: str) -> Engine:
    name, connect = driver(url)
    return create_engine("sqlite://" if name == "sqlite" else "postgresql+psycopg://", creator=connect)


def command(url: str, sql: str) -> None:
    name, connect = driver(url)
    connection = connect()
    connection.execute(sql)
    if name == "postgresql":
        connection.commit()
    connection.close()


# migrations, on both


def test_the_migrations_make_what_the_tables_say(store_url: str) -> None:
    open_store(store_url).close()
    looking = engine(store_url)
    with looking.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": migrate.VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, tables.Table.metadata) == []
    looking.dispose()


def test_the_migrations_go_down_to_nothing_and_up_again(store_url: str) -> None:
    open_store(store_url).close()
    migrate.downgrade(*driver(store_url))
    looking = engine(store_url)
    assert inspect(looking).get_table_names() == [migrate.VERSION_TABLE]
    looking.dispose()
    with open_store(store_url) as store:
        store.add_golden([GoldenRow("G1", "customer", {}, {})])
        assert store.seq() == 0


def test_natural_keys_of_an_older_store_are_found_in_order_or_not(store_url: str) -> None:
    low, high = -(1 << 63), (1 << 63) - 1
    open_store(store_url).close()
    migrate.downgrade(*driver(store_url), to="0005")
    for rule, key, golden_id in ((1, low, "Ga"), (2, high, "Ga"), (1, 7, "Gb"), (3, 7, "Gb")):
        command(store_url, f"INSERT INTO match_key (entity, rule, hash, golden_id) VALUES ('customer', {rule}, {key}, '{golden_id}')")
    hashes = f'{{"1": {low}, "4": 8}}'
    command(store_url, f"INSERT INTO match_key_new (entity, golden_id, hashes) VALUES ('customer', 'Ga', '{hashes}')")
    with open_store(store_url) as store:
        assert store.match([low, high, 7, 8]) == [(low, "Ga"), (7, "Gb"), (8, "Ga"), (high, "Ga")]


def test_natural_keys_are_drawn_anew_after_the_way_back(store_url: str) -> None:
    with open_store(store_url) as store:
        store.set_fact("match:customer", "the rules")
        store.set_fact("matchless", "stays")
        store.add_match_keys([("Ga", [5])])
    migrate.downgrade(*driver(store_url), to="0003")
    with open_store(store_url) as store:
        assert (store.fact("match:customer"), store.fact("matchless")) == (None, "stays")
        assert store.match([5]) == []


def test_what_stands_is_known_after_the_way_back_and_forth(store_url: str) -> None:
    with open_store(store_url) as store:
        store.add_links([LinkRow(f"L{key}", f"G{key}", "customer", 1, key, version=f"{key}1") for key in "ab"])
    migrate.downgrade(*driver(store_url), to="0004")
    with open_store(store_url) as store:
        assert [head for heads in store.standing(1) for head in heads] == [("a", "a1"), ("b", "b1")]
        assert {key: head.version for key, head in store.heads(1, ["a", "b", "c"]).items()} == {"a": "a1", "b": "b1"}
        assert store.golden_of([1], ["b"]) == {"b": "Gb"}


def test_a_migration_that_dies_leaves_nothing(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    def refuse(*_: Any, **__: Any) -> None:
        raise StoreError("the power is gone")

    monkeypatch.setattr(op, "execute", refuse)
    with pytest.raises(StoreError, match="power"):
        open_store(store_url)
    looking = engine(store_url)
    assert inspect(looking).get_table_names() == []
    looking.dispose()
    monkeypatch.undo()
    open_store(store_url).close()


def test_the_versions_known_are_those_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == migrate.VERSIONS


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_schema_is_refused(store_url: str, read_only: bool) -> None:
    open_store(store_url).close()
    command(store_url, "UPDATE store_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer erpcrm-bridge"):
        open_store(store_url, read_only=read_only)


def test_a_reader_of_a_store_without_a_schema_is_told_so(store_url: str) -> None:
    open_store(store_url).close()
    migrate.downgrade(*driver(store_url))
    with pytest.raises(StoreError, match="no store"):
        open_store(store_url, read_only=True)


# the columns


@pytest.mark.parametrize("bulk", columns.ALL, ids=lambda bulk: str(bulk.table))
def test_what_is_written_in_bulk_are_the_table_s_columns(bulk: Any) -> None:
    kinds = {"TEXT": "text", "BIGINT": "int8", "BOOLEAN": "bool", "BLOB": "bytea"}
    known = {column.name: kinds[str(column.type)] for column in tables.Table.metadata.tables[bulk.table].columns}
    if bulk in (columns.HISTORY, columns.MATCH_KEY_NEW):
        known.pop("id")
    assert bulk.columns == known


@pytest.mark.postgres
def test_text_orders_by_bytes_on_postgresql(postgres_url: str) -> None:
    open_store(postgres_url).close()
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute(
            "SELECT table_name, column_name, collation_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND data_type = 'text' AND table_name <> 'store_version'"
        ).fetchall()
    assert len(found) > 50
    assert {collation for _, _, collation in found} == {"C"}


# SQLite


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def lookups() -> list[tuple[str, str]]:
    """Every statement over the tables that grow."""
    found = [(name, text) for name, text in vars(statements).items() if name.startswith("_") and not name.startswith("__")]
    heads = ("SELECT", "UPDATE", "DELETE")
    return [(name, text) for name, text in found if isinstance(text, str) and text.lstrip().startswith(heads) and " work " not in text]


@pytest.mark.parametrize(("name", "sql"), lookups(), ids=[name for name, _ in lookups()])
def test_no_look_up_walks_a_table(file: Path, name: str, sql: str) -> None:
    if name in ("_COUNT_LINKS", "_COUNT_DIRTY", "_RUNS", "_INTENTIONS"):
        pytest.skip("counts all, or a small table")
    with open_store(f"sqlite:///{file}"):
        text = re.sub(r"\{by (\w+)\}", r"INDEXED BY \1", re.sub(r"\{texts\}|\{numbers\}", "json_each(?) AS j", sql))
        text = re.sub(r"\{items (\w+)\}", r"json_each(\1) AS j", text).replace("{or ignore}", "OR IGNORE")
        connection = sqlite3.connect(file)
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", [None] * text.count("?"))]
        connection.close()
    # "j" is what was asked for, "counted" the rows of an index up to the limit that the count was given; staged keys are looked through.
    small = ("SCAN j ", "SCAN CONSTANT", "SCAN counted", "SCAN told", "SCAN match_key_new")
    walked = [step for step in steps if step.startswith("SCAN") and not step.startswith(small)]
    assert walked == []
    # a search by the stream alone walks the stream; only the count up to a limit may
    by_stream = [step for step in steps if step.endswith("(stream_id=?)")]
    assert name == "_COUNT_LIVE_LINKS" or by_stream == []


def test_dirty_links_are_found_without_walking_the_clean_ones(file: Path) -> None:
    with open_store(f"sqlite:///{file}") as store:
        links = [LinkRow(f"L{number:04}", f"G{number:04}", "customer", 1, f"{number:04}", dirty=number == 3999) for number in range(4000)]
        store.add_links(links)
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        store._db._db.set_progress_handler(count, 100)  # type: ignore[attr-defined]
        assert [link.id for link in store.dirty_links(1, "", 10)] == ["L3999"]
        assert steps < 10


@pytest.mark.parametrize("sql", [statements._LINKED_LAST, statements._LINKED_PAGE])
def test_linked_groups_are_paged_by_their_index(file: Path, sql: str) -> None:
    with open_store(f"sqlite:///{file}"):
        connection = sqlite3.connect(file)
        text = sql.replace("{numbers}", "json_each(?) AS j")
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", [None] * text.count("?"))]
        connection.close()
    assert any("incoming_golden" in step for step in steps), steps


def test_a_full_disk_is_an_error_with_a_way_out_and_loses_nothing(file: Path) -> None:
    with open_store(f"sqlite:///{file}") as store:
        store.add_golden([GoldenRow("G0", "customer", {}, {})])
        pages = store._db.rows("PRAGMA page_count")[0][0]
        store._db.rows(f"PRAGMA max_page_count = {pages + 5}")
        with pytest.raises(StoreError, match="no room left") as caught:
            store.add_golden([GoldenRow(f"G{number}", "customer", {"name": "x" * 500}, {}) for number in range(1, 500)])
        assert caught.value.way_out
        assert store.count_golden() == {"customer": 1}
        store._db.rows("PRAGMA max_page_count = 1000000")
        store.add_golden([GoldenRow("G1", "customer", {}, {})])
    with open_store(f"sqlite:///{file}") as store:
        assert store.count_golden() == {"customer": 2}


def test_each_commit_is_on_the_disk_before_it_returns(file: Path) -> None:
    with open_store(f"sqlite:///{file}") as store:
        assert store._db.rows("PRAGMA synchronous") == [(2,)]
        assert store._db.rows("PRAGMA journal_mode") == [("wal",)]


def test_the_runner_s_lock_ends_with_its_process(file: Path) -> None:
    url = f"sqlite:///{file}"
    code = f"from erpcrm_bridge.store import open_store; s = open_store({url!r}, run_lock=True); print('held', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Locked, match=f"pid {holder.pid} since"):
        open_store(url, run_lock=True)
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    open_store(url, run_lock=True).close()


def test_a_writer_that_waits_too_long_for_another_says_so(file: Path) -> None:
    with open_store(f"sqlite:///{file}") as store, open_store(f"sqlite:///{file}") as other:
        store._db.rows("PRAGMA busy_timeout = 50")
        with other.transaction(), pytest.raises(StoreError, match="Another process"):
            store.touch("main:0")


def test_a_missing_folder_is_not_made(file: Path) -> None:
    with pytest.raises(StoreError, match="folder"):
        open_store(f"sqlite:///{file.parent / 'no' / 'store.db'}")
    assert not (file.parent / "no").exists()


def test_another_program_s_database_is_left_alone(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE theirs (id)")
    connection.close()
    with pytest.raises(StoreError, match="something else"):
        open_store(f"sqlite:///{file}")
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    connection.close()


def test_a_file_that_is_no_database_is_not_a_store(file: Path) -> None:
    file.write_bytes(b"key,name\n" * 1000)
    with pytest.raises(StoreError, match="not a store"):
        open_store(f"sqlite:///{file}")


def test_a_path_of_odd_characters_opens(tmp_path: Path) -> None:
    file = tmp_path / "a ?#%20b.db"
    with open_store(f"sqlite:///{file}") as store:
        store.touch("k")
    assert file.exists()
    with open_store(f"sqlite:///{file}", read_only=True) as store:
        assert store.due() == ["k"]


# PostgreSQL


def test_a_server_that_is_away_is_an_error_without_the_password() -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        open_store("postgresql://bridge:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__)


@contextmanager
def database(server: str, encoding: str) -> Iterator[str]:
    """Yield the URL of an empty database in an encoding of its own."""
    name = f"in_{encoding.lower()}_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        yield server.replace("/postgres", f"/{name}")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.postgres
@pytest.mark.parametrize("client", ["LATIN1", "SQL_ASCII"])
@pytest.mark.parametrize("encoding", ["UTF8", "SQL_ASCII"])
def test_every_text_is_kept_whatever_encoding_the_database_is_in(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch, encoding: str, client: str
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", client)
    with database(postgres_server, encoding) as url:
        for text in ("Łódź", "東京 🏭"):  # in a store that is made, and one that is there
            with open_store(url) as store:
                store.set_fact(text, text)
                store.add_links([LinkRow(text, "G1", "customer", 1, text)])
                assert store.fact(text) == text
                assert store.links([text])[text].key == text


@pytest.mark.postgres
def test_a_database_that_cannot_hold_every_text_is_refused(postgres_server: str) -> None:
    with database(postgres_server, "LATIN1") as url:
        with pytest.raises(StoreError, match="encoding") as caught:
            open_store(url)
        assert "UTF8" in caught.value.way_out
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT to_regclass('store_version')").fetchone() == (None,)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("/postgres", "/gone", 'database "gone" does not exist'),
        ("bridge@", "nobody:hunter2@", 'role "nobody" does not exist'),
        ("/postgres", "/postgres?options=-cnone%3D1", 'parameter "none"'),
    ],
)
def test_a_server_that_refuses_the_connection_is_told_in_its_words(postgres_server: str, old: str, new: str, said: str) -> None:
    with pytest.raises(StoreError, match=said) as caught:
        open_store(postgres_server.replace(old, new))
    assert caught.value.way_out
    assert "hunter2" not in caught.value.message


@pytest.mark.postgres
def test_a_statement_that_the_server_ends_for_its_length_is_told_as_that(postgres_url: str) -> None:
    with open_store(postgres_url) as store:
        store._db.run("SET statement_timeout = 50")
        with pytest.raises(StoreError, match="statement timeout") as caught:
            store._db.rows("SELECT pg_sleep(5)")
    assert "statement_timeout" in caught.value.way_out


@pytest.mark.postgres
def test_a_server_that_ends_the_session_is_an_error_and_nothing_is_kept(postgres_url: str) -> None:
    store = open_store(postgres_url)
    (pid,) = store._db.rows("SELECT pg_backend_pid()")[0]
    with pytest.raises(StoreError, match=r"went away|going down"), store.transaction():  # noqa: PT012 - the end comes in the middle
        store.touch("main:0")
        command(postgres_url, f"SELECT pg_terminate_backend({pid})")
        store.touch("main:1")
    store.close()
    with open_store(postgres_url) as again:
        assert again.due() == []


@pytest.mark.postgres
def test_a_value_that_postgresql_refuses_is_not_quoted(postgres_url: str) -> None:
    with open_store(postgres_url) as store, pytest.raises(StoreError) as caught:
        store._db.rows("SELECT 'secret-value'::int8")
    assert "secret-value" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "fit"),
    [
        ("postgresql://u:pa:ss@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d?password=x&a=b", "postgresql://u@h/d?password=***&a=b"),
        ("postgresql://u@h/d?password=x y&a=b", "postgresql://u@h/d?password=***&a=b"),
        ("postgresql://u:p@ss@h/d", "postgresql://u:***@h/d"),
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, fit: str) -> None:
    assert shown(url) == fit


def test_a_url_of_something_else_is_refused() -> None:
    with pytest.raises(StoreError, match="does not name a store"):
        open_store("mysql://h/d")
