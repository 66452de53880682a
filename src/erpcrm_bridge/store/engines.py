"""The two databases, and all that differs between them. ``Store`` is written once, against ``Engine``.

Statements are text with ``?`` for a parameter and six words that each engine puts in its own way: ``{texts}`` and ``{numbers}`` are a
list that was passed as one parameter (``array``), read as the table ``j`` with the column ``value``; ``{items NAME}`` is a JSON list in
a column, read as the table ``j`` with ``key`` and ``value``; ``{now}`` is the database's clock in Unix seconds; ``{by NAME}`` after a table
has that index of it used, where the database does not find it by itself; ``{or ignore}`` after an INSERT or UPDATE of very many rows that
meets no conflict, or passes over it, has it keep no pages by which to undo it alone.

Every error of a driver leaves as StoreError. The driver's own error is not chained: its details and contexts quote customers' data.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, Protocol, TypeAlias
from urllib.parse import quote

import msgspec

from erpcrm_bridge.errors import BridgeError, Locked, StoreError
from erpcrm_bridge.store import migrate
from erpcrm_bridge.store.runlock import RunLock, whoami
from erpcrm_bridge.store.second import Second
from erpcrm_bridge.store.writer import Step, carry_out, connect

if TYPE_CHECKING:
    import psycopg

Values: TypeAlias = tuple[Any, ...]
_INDEX = re.compile(r"\{by (\w+)\}")
_ITEMS = re.compile(r"\{items (\w+)\}")
CHUNK = 10_000
"""As many rows or keys go into one statement."""
LOG_SIZE = 32 << 20
"""SQLite's log is taken into the file when it has so many bytes: a page that many batches touch is written there once."""
LATER = 5_000
"""Rows from which on it is worth the while to start a process of its own for transactions for later; it then has the small ones too."""
CACHE = 8 << 10
"""Kilobytes of pages that are held: with four times of it a run over a million records took as long."""
SECOND_CACHE = 16 << 10
"""Kilobytes of pages that the second process holds: with half or twice of it a first joining took as long."""
PATIENCE = 30
"""Seconds to wait for another writer, or for a server to answer."""


class Bulk(NamedTuple):
    """The columns that are written in bulk to ``table``, with their PostgreSQL types; the first ones are what identifies a row."""

    table: str
    columns: dict[str, str]


class Engine(Protocol):
    """One open connection to a database. One thread uses it."""

    read_only: bool

    def begin(self, *, later: bool = False) -> None:
        """Begin a transaction; a writing one is the only one until it ends. One for ``later`` may be carried out only after its commit,
        while the caller goes on: nothing that is written in it can be read in it, and the next call that waits for it raises what came
        of it. Where the engine does not do so it is a transaction like any other."""

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """End the transaction, if there is one, and leave nothing of it. Never raises."""

    def rows(self, sql: str, parameters: Sequence[Any] = (), *, beside: bool = False) -> list[Values]:
        """Return what a statement finds. ``beside``: it does not wait for what is being stored, and may find what was there before."""

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Carry a statement out; return how many rows it touched (in a transaction for later: nothing that tells)."""

    def hold(self, sql: str, parameters: Sequence[Any], lost: BridgeError) -> None:
        """Carry a statement out, and raise ``lost`` where it touches no row."""

    def insert(self, bulk: Bulk, rows: Iterable[Values], conflict: str = "") -> None:
        """Insert rows; ``conflict`` is an ON CONFLICT clause, and then no two of the rows may meet in it."""

    def update(self, bulk: Bulk, rows: Iterable[Values], known_by: int = 1) -> int:
        """Write all columns of the rows that hold the same in so many first columns; return how many there were."""

    def array(self, values: Iterable[Any]) -> Any:
        """Return ``values`` as one parameter, for ``{texts}`` or ``{numbers}``."""

    def close(self) -> None: ...


def open_engine(url: str, *, read_only: bool, run_lock: bool) -> Engine:
    """Return a connection to the store at ``url``, its schema current. See ``open_store``."""
    if url.startswith("sqlite:///"):
        return SqliteEngine(Path(url.removeprefix("sqlite:///")), read_only=read_only, run_lock=run_lock)
    if url.startswith(("postgresql://", "postgres://")):
        return PostgresEngine(url, read_only=read_only, run_lock=run_lock)
    raise StoreError(
        f"{shown(url)!r} does not name a store.",
        way_out="Write sqlite:///folder/file.db, or postgresql://user@host/database, as the store's url.",
    )


def shown(url: str) -> str:
    """Return ``url`` without its password, fit for a message."""
    return re.sub(r"(password=)[^&]*", r"\1***", re.sub(r"(://[^/@]*?:)[^/]*@", r"\1***@", url))


def _not_there(where: str) -> NoReturn:
    raise StoreError(f"There is no store at {where} yet.", way_out="`erpcrm-bridge plan` makes it.")


def _too_old(where: str, version: str) -> NoReturn:
    raise StoreError(
        f"The store {where} has the older schema {version}, and is open for reading only.",
        way_out="`erpcrm-bridge plan` brings it up to date.",
    )


# SQLite -----------------------------------------------------------------------------------------------------------------------------------


class SqliteTelling:
    """Says what SQLite raises as a StoreError, with the way out. Kept and entered again and again: a statement costs little more."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, sqlite3.Error):
            raise _sqlite_trouble(error, str(self._path)) from None
        if isinstance(error, UnicodeDecodeError):  # of names and messages in a damaged file, which SQLite passes on as they stand
            what, way_out = _SQLITE_TROUBLES[sqlite3.SQLITE_CORRUPT]
            raise StoreError(what.format(where=self._path), way_out=way_out) from None


class SqliteEngine:
    """A file, with write-ahead log; each commit is on the disk before it returns (L4 holds across a power cut), or, of a large transaction
    for later, before the next call that waits for it does."""

    _noted: list[Step] | None = None
    """the steps of a transaction for later that is open, as long as it is small"""
    _second: Second | None = None
    _alone = False
    """whether a second process could not be started: what is for later is carried out here"""
    _handing_over = False
    """whether the steps of the open transaction go to the second process"""
    _lost: BridgeError | None = None
    """what to raise where a step that has to touch a row does not"""

    def __init__(self, path: Path, *, read_only: bool, run_lock: bool) -> None:
        self.read_only = read_only
        self._path = path
        if "\0" in str(path) or (os.path.exists(path) and not os.path.isfile(path)):  # unlike Path, os.path takes names too long for a path
            raise StoreError(f"The store {path} is no file.", way_out="Name a file, or one that is not there yet.")
        if not os.path.isdir(path.parent):
            raise StoreError(f"The folder {path.parent} of the store does not exist.", way_out=f"mkdir -p {path.parent}")
        if read_only and not os.path.lexists(path):
            _not_there(str(path))
        self._lock = RunLock(path.with_name(path.name + ".lock")) if run_lock else None
        self._sql: dict[str, str] = {}
        self._telling = SqliteTelling(path)
        self._db: sqlite3.Connection | None = None
        try:
            with self._telling:
                self._db = self._connect()
                self._make_current(self._db)
                for setting in self._settings(self._db):
                    self._db.execute(setting)
        except BaseException:
            self.close()
            raise

    def begin(self, *, later: bool = False) -> None:
        if later and not self.read_only:
            self._settled()
            self._noted = []
        else:
            self.run("BEGIN" if self.read_only else "BEGIN IMMEDIATE")

    def commit(self) -> None:
        noted, self._noted = self._noted, None
        if self._handing_over and self._second is not None:
            self._second.commit()
            self._handing_over = False
        elif noted is None:
            self.run("COMMIT")
        else:
            with self._telling:
                if not carry_out(self._open(), noted):
                    self._raise_lost()

    def rollback(self) -> None:
        self._noted = None
        if self._handing_over:
            self._handing_over = False
            self._end_second()
        if self._db is not None and self._db.in_transaction:
            with suppress(sqlite3.Error):  # what cannot be rolled back was rolled back by SQLite itself
                self._db.execute("ROLLBACK")

    def rows(self, sql: str, parameters: Sequence[Any] = (), *, beside: bool = False) -> list[Values]:
        if not beside:
            self._settled()
        with self._telling:
            return self._open().execute(self._text(sql), parameters).fetchall()

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        return self._carry("once", self._text(sql), parameters)

    def hold(self, sql: str, parameters: Sequence[Any], lost: BridgeError) -> None:
        if not self._carry("must", self._text(sql), parameters):
            raise lost
        self._lost = lost

    def insert(self, bulk: Bulk, rows: Iterable[Values], conflict: str = "") -> None:
        marks = ", ".join("?" for _ in bulk.columns)
        self._carry("many", f"INSERT INTO {bulk.table} ({', '.join(bulk.columns)}) VALUES ({marks}) {conflict}", rows)  # noqa: S608 - names of ours

    def update(self, bulk: Bulk, rows: Iterable[Values], known_by: int = 1) -> int:
        key, *columns = bulk.columns
        settings = ", ".join(f"{name} = ?{place}" for place, name in enumerate(columns[known_by - 1 :], known_by + 1))
        same = "".join(f" AND +{name} IS ?{place}" for place, name in enumerate(columns[: known_by - 1], 2))  # + : by the key's index alone
        return self._carry("many", f"UPDATE {bulk.table} SET {settings} WHERE {key} = ?1{same}", rows)  # noqa: S608 - names of ours

    def array(self, values: Iterable[Any]) -> str:
        return msgspec.json.encode(values).decode()

    def close(self) -> None:
        db, self._db = self._db, None
        try:
            self._settled()
        finally:
            try:
                self._end_second()
                if db is not None:
                    with self._telling:
                        db.close()
            finally:
                if self._lock is not None:
                    self._lock.release()

    def _carry(self, kind: str, sql: str, parameters: Any) -> int:
        """Carry a step out, or keep it for later; return how many rows it touched."""
        if self._handing_over and self._second is not None:
            self._second.give((kind, sql, parameters))
            return 1
        if self._noted is not None:
            self._note((kind, sql, list(parameters) if kind == "many" else tuple(parameters)))
            return 1
        self._settled()
        with self._telling:
            db = self._open()
            return (db.executemany if kind == "many" else db.execute)(sql, parameters).rowcount

    def _note(self, step: Step) -> None:
        self._noted = [*(self._noted or ()), step]
        if self._alone:
            return
        if self._second is None:
            if sum(len(rows) if kind == "many" else 1 for kind, _, rows in self._noted) < LATER:
                return
            lock = None if self._lock is None else self._lock.file
            try:
                self._second = Second(self._path, lock)
            except OSError:
                self._alone = True
                return
            self._handing_over = True
            self._second.open(self._uri(), PATIENCE, [*self._settings(self._open()), f"PRAGMA cache_size = -{SECOND_CACHE}"])
        noted, self._noted, self._handing_over = self._noted, None, True
        for one in noted:
            self._second.give(one)

    def _settled(self) -> None:
        """Wait for what is being stored; raise what came of it."""
        if self._second is None or not self._second.busy:
            return
        try:
            answer = self._second.answer()
        except BaseException:
            self._end_second()
            raise
        if answer is False:
            self._raise_lost()
        if answer is not True:
            text, code = answer
            error = sqlite3.OperationalError(text)
            error.sqlite_errorcode = code
            raise _sqlite_trouble(error, str(self._path))

    def _end_second(self) -> None:
        second, self._second = self._second, None
        if second is not None:
            second.close()

    def _raise_lost(self) -> NoReturn:
        raise self._lost or StoreError(f"The store {self._path} refused.")

    def _text(self, sql: str) -> str:
        text = self._sql.get(sql)
        if text is None:
            text = sql.replace("{texts}", "json_each(?) AS j").replace("{numbers}", "json_each(?) AS j")
            text = _ITEMS.sub(r"json_each(\1) AS j", _INDEX.sub(r"INDEXED BY \1", text)).replace("{or ignore}", "OR IGNORE")
            text = self._sql[sql] = text.replace("{now}", "((julianday('now') - 2440587.5) * 86400.0)")
        return text

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreError(f"The store {self._path} is closed.")
        return self._db

    def _uri(self) -> str:
        mode = "ro" if self.read_only else "rwc"
        return f"file:{quote(str(self._path))}?mode={mode}"  # quote() leaves "/" alone, so that a relative path stays one

    def _settings(self, db: sqlite3.Connection) -> list[str]:
        settings = [f"PRAGMA cache_size = -{CACHE}", "PRAGMA temp_store = MEMORY"]
        if not self.read_only:
            pages = LOG_SIZE // db.execute("PRAGMA page_size").fetchone()[0]
            settings += ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", f"PRAGMA wal_autocheckpoint = {pages}"]
        return settings

    def _connect(self) -> sqlite3.Connection:
        db = connect(self._uri(), PATIENCE)
        db.execute("PRAGMA page_size = 4096")  # of a file that is made now: an edit here and there writes whole pages
        return db

    def _make_current(self, db: sqlite3.Connection) -> None:
        where = str(self._path)
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        version = _version(db.execute(migrate.VERSION_QUERY).fetchall()) if migrate.VERSION_TABLE in tables else ""
        if tables and migrate.VERSION_TABLE not in tables:
            raise StoreError(f"{where} is a database of something else.", way_out="Name another file as the store.")
        if version and migrate.standing(version, where) == "current":
            return
        if self.read_only:
            _too_old(where, version) if version else _not_there(where)
        if version and self._lock is None:
            with RunLock(self._path.with_name(self._path.name + ".lock")):
                _upgrade("sqlite", self._connect)
        else:
            _upgrade("sqlite", self._connect)


_RIGHTS = "Check the rights on the file, on those beside it (-wal, -shm) and on its folder."
_SQLITE_TROUBLES = {
    sqlite3.SQLITE_FULL: ("There is no room left on the disk of the store {where}.", "Make room; nothing was lost, the next run goes on."),
    sqlite3.SQLITE_BUSY: ("Another process has been writing to the store {where} for a long time.", "Wait for it to end, or end it."),
    sqlite3.SQLITE_LOCKED: ("Another process has been writing to the store {where} for a long time.", "Wait for it to end, or end it."),
    sqlite3.SQLITE_CANTOPEN: (
        "The store {where} cannot be opened.",
        "Check that it is a file, and the rights on it, on the files beside it (-wal, -shm) and on its folder.",
    ),
    sqlite3.SQLITE_PERM: ("The store {where} cannot be opened.", _RIGHTS),
    sqlite3.SQLITE_READONLY: ("The store {where} can only be read.", _RIGHTS),
    sqlite3.SQLITE_CORRUPT: ("The store {where} is damaged.", "Keep a copy of it, then restore it from a backup."),
    sqlite3.SQLITE_NOTADB: ("{where} is not a store.", "Name another file as the store, or restore it from a backup."),
    sqlite3.SQLITE_IOERR: ("The disk of the store {where} failed to read or write.", "Check the disk; then run again."),
}


def _sqlite_trouble(error: sqlite3.Error, where: str) -> StoreError:
    # "UNIQUE constraint failed: link.key" and its like name columns, never values
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:  # the index beside the log, which whoever opens the store may have to make
        code = sqlite3.SQLITE_FULL
    what, way_out = _SQLITE_TROUBLES.get(code & 0xFF if code else -1, ("The store {where} refused: {error}.", ""))
    return StoreError(what.format(where=where, error=error), way_out=way_out)


# PostgreSQL -------------------------------------------------------------------------------------------------------------------------------

_MERGE_HEAD = "SELECT {columns} FROM unnest({arrays}) AS v({columns})"


class PostgresEngine:
    """A server. One writing transaction at a time, as on SQLite: each takes the row of the store's sequence first, so that the sequence
    grows in commit order and no two of them wait for one another. Single statements (work rows) run beside it."""

    def __init__(self, url: str, *, read_only: bool, run_lock: bool) -> None:
        import psycopg

        self.read_only = read_only
        self._url = url
        self._driver = psycopg
        self._sql: dict[str, str] = {}
        self._db: psycopg.Connection[Values] | None = None
        self._locked = False
        try:
            with self._telling():
                self._db = self._connect()
                if run_lock:
                    self._take_lock()
                self._make_current()
                if read_only:
                    self._db.execute("SET default_transaction_read_only = on")
        except BaseException:
            self.close()
            raise

    def begin(self, *, later: bool = False) -> None:
        if self.read_only:
            self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        else:
            self.run("BEGIN")
            self.run("SELECT seq FROM meta FOR UPDATE")

    def commit(self) -> None:
        self.run("COMMIT")

    def rollback(self) -> None:
        if self._db is not None:
            with suppress(self._driver.Error):  # where the server is away it rolls back by itself
                if self._db.info.transaction_status != self._driver.pq.TransactionStatus.IDLE:
                    self._db.execute("ROLLBACK")

    def rows(self, sql: str, parameters: Sequence[Any] = (), *, beside: bool = False) -> list[Values]:
        with self._telling():
            return self._cursor(sql, parameters).fetchall()

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        with self._telling():
            return self._cursor(sql, parameters).rowcount

    def hold(self, sql: str, parameters: Sequence[Any], lost: BridgeError) -> None:
        if not self.run(sql, parameters):
            raise lost

    def insert(self, bulk: Bulk, rows: Iterable[Values], conflict: str = "") -> None:
        columns = ", ".join(bulk.columns)
        with self._telling():
            if conflict:
                sql = f"INSERT INTO {bulk.table} ({columns}) {self._table_of(bulk)} {conflict}"
                for batch in _batches(rows):
                    self._open().execute(sql, _arrays(batch), binary=True)
            else:
                with self._open().cursor() as cursor, cursor.copy(f"COPY {bulk.table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types(list(bulk.columns.values()))
                    for row in rows:
                        copy.write_row(row)

    def update(self, bulk: Bulk, rows: Iterable[Values], known_by: int = 1) -> int:
        key, *columns = bulk.columns
        settings = ", ".join(f"{name} = v.{name}" for name in columns[known_by - 1 :])
        same = "".join(f" AND {bulk.table}.{name} IS NOT DISTINCT FROM v.{name}" for name in columns[: known_by - 1])
        sql = f"UPDATE {bulk.table} SET {settings} FROM ({self._table_of(bulk)}) AS v WHERE {bulk.table}.{key} = v.{key}{same}"  # noqa: S608 - names of ours
        with self._telling():
            return sum(self._open().execute(sql, _arrays(batch), binary=True).rowcount for batch in _batches(rows))

    def array(self, values: Iterable[Any]) -> list[Any]:
        return list(values)

    def close(self) -> None:
        if self._locked:
            self._locked = False
            with suppress(StoreError):  # a server that is away has let the lock go by itself
                self.run("SELECT pg_advisory_unlock_all()")  # the server sees a closed connection only later
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _table_of(self, bulk: Bulk) -> str:
        arrays = ", ".join(f"%s::{kind}[]" for kind in bulk.columns.values())
        return _MERGE_HEAD.format(columns=", ".join(bulk.columns), arrays=arrays)

    def _cursor(self, sql: str, parameters: Sequence[Any]) -> psycopg.Cursor[Values]:
        text = self._sql.get(sql)
        if text is None:
            text = sql.replace("{texts}", "unnest(?::text[]) AS j(value)").replace("{numbers}", "unnest(?::int8[]) AS j(value)")
            text = _ITEMS.sub(r"json_array_elements_text(\1::json) AS j(value)", _INDEX.sub("", text)).replace("{or ignore}", "")
            text = self._sql[sql] = text.replace("{now}", "extract(epoch FROM clock_timestamp())::float8").replace("?", "%s")
        return self._open().execute(text, parameters, binary=True)

    def _open(self) -> psycopg.Connection[Values]:
        if self._db is None:
            raise StoreError(f"The store {shown(self._url)} is closed.")
        return self._db

    def _connect(self) -> psycopg.Connection[Values]:
        # whatever PGCLIENTENCODING or the database says: every text is a str, and any character may come
        return self._driver.connect(
            self._url, autocommit=True, connect_timeout=PATIENCE, application_name=f"erpcrm-bridge {whoami()}", client_encoding="utf8"
        )

    def _take_lock(self) -> None:
        key = "hashtext('erpcrm-bridge run'), hashtext(current_schema())"
        if self.rows(f"SELECT pg_try_advisory_lock({key})") != [(True,)]:
            holders = self.rows(
                "SELECT application_name, client_addr::text FROM pg_locks JOIN pg_stat_activity USING (pid)"
                " WHERE locktype = 'advisory' AND granted AND (classid::int8, objid::int8) = (SELECT a & 4294967295, b & 4294967295"
                " FROM (SELECT hashtext('erpcrm-bridge run')::int8, hashtext(current_schema())::int8) AS k(a, b))"
            )
            holder = (
                " at ".join(str(part).removeprefix("erpcrm-bridge ") for part in holders[0] if part) if holders else "it has just ended"
            )
            raise Locked(f"Another run holds the store: {holder}.", way_out="Wait for it to end, or end it; then run again.")
        self._locked = True

    def _make_current(self) -> None:
        where = shown(self._url)
        if self.rows("SELECT current_schema()") == [(None,)]:
            raise StoreError(f"The schema that {where} names does not exist.", way_out="Create it (CREATE SCHEMA), or name another.")
        known = self.rows("SELECT to_regclass(?) IS NOT NULL", (migrate.VERSION_TABLE,)) == [(True,)]
        version = _version(self.rows(migrate.VERSION_QUERY)) if known else ""
        if version and migrate.standing(version, where) == "current":
            return
        if self.read_only:
            _too_old(where, version) if version else _not_there(where)
        encoding = self.rows("SHOW server_encoding")[0][0]
        if not version and encoding not in ("UTF8", "SQL_ASCII"):  # the latter takes bytes as they come
            what, way_out = _POSTGRES_TROUBLES["22P05"]
            raise StoreError(what.format(where=where), way_out=way_out)
        _upgrade("postgresql", self._connect)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except self._driver.Error as error:
            raise _postgres_trouble(error, shown(self._url)) from None


_POSTGRES_TROUBLES = {
    "22P05": ("The encoding of the database of {where} has not every character.", "Make it anew: createdb -E UTF8 -T template0."),
    "53100": ("There is no room left on the disk of the server of {where}.", "Make room; nothing was lost, the next run goes on."),
    "42501": ("The user of {where} may not do this: {error}.", "Grant the right, or name another user."),
    "25006": ("The store {where} can only be read here.", "Name the primary server, not a standby."),
    "57014": ("The server of {where} was not left the time: {error}.", "Nothing was lost; give the user a longer statement_timeout."),
    "57": ("The server of {where} is going down or coming up.", "Nothing was lost; run again when it is up."),
    "08": ("The server of {where} went away.", "Nothing was lost; run again when it is back."),
    "XX": ("The store {where} is damaged: {error}.", "Restore it from a backup."),
}
_REFUSED = re.compile(r"connection to server .* failed: FATAL:\s+(.+)")
"""Where no connection comes about the driver tells no state, but the server's words: they name users and databases, never a password."""


def _postgres_trouble(error: psycopg.Error, where: str) -> StoreError:
    # message_primary names tables and constraints, except in class 22, which quotes values; detail and context do so always
    state = error.sqlstate or ""
    text = "" if state.startswith("22") else error.diag.message_primary or ""
    if refused := _REFUSED.search("" if state else str(error)):
        return StoreError(f"The server of {where} says: {refused[1]}.", way_out="Correct the store's url, or let the server have it so.")
    if not state and type(error).__name__ in ("OperationalError", "ConnectionTimeout"):
        return StoreError(
            f"The server of {where} cannot be reached, or went away.", way_out="Start it, or correct the store's url; then run again."
        )
    what, way_out = _POSTGRES_TROUBLES.get(state) or _POSTGRES_TROUBLES.get(state[:2]) or ("The store {where} refused: {error}.", "")
    return StoreError(what.format(where=where, error=text or type(error).__name__), way_out=way_out)


# both -------------------------------------------------------------------------------------------------------------------------------------


def _version(rows: list[Any]) -> str:
    return str(rows[0][0]) if rows else ""


def _batches(rows: Iterable[Values]) -> Iterator[list[Values]]:
    source = iter(rows)
    while batch := list(islice(source, CHUNK)):
        yield batch


def _arrays(rows: list[Values]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _upgrade(dialect: Literal["sqlite", "postgresql"], connect: Any) -> None:
    """Run the migrations; the driver's own error comes out of SQLAlchemy's wrapping."""
    from sqlalchemy.exc import DBAPIError

    try:
        migrate.upgrade(dialect, connect)
    except DBAPIError as error:
        raise (error.orig or error) from None
