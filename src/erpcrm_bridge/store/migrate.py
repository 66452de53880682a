"""Brings a store's schema up to date.

Alembic and SQLAlchemy are imported only when there is something to do: a store that is up to date opens without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from erpcrm_bridge.errors import StoreError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

VERSIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""The schemas this program knows, oldest first; the last one is what the statements are written for."""
HEAD = VERSIONS[-1]
VERSION_TABLE = "store_version"
VERSION_QUERY = "SELECT version_num FROM store_version"
SCRIPTS = Path(__file__).with_name("migrations")


def standing(version: str, where: str) -> Literal["current", "older"]:
    """Tell whether a store's schema is the current one or an older one. Raises StoreError for one that this program does not know."""
    if version == HEAD:
        return "current"
    if version in VERSIONS:
        return "older"
    raise StoreError(
        f"The store {where} has schema {version!r}; this program knows schemas up to {HEAD}: a newer erpcrm-bridge wrote it.",
        way_out="Use that newer version, or restore a copy of the store from before it.",
    )


def upgrade(dialect: str, connect: Callable[[], Any], to: str = "head") -> None:
    """Bring the store behind ``connect`` up to the schema ``to``, whole or not at all; one that is there already is left alone.

    ``dialect`` is ``sqlite`` or ``postgresql``; ``connect`` opens a new driver connection that begins no transactions by
    itself. Raises the driver's and SQLAlchemy's errors.
    """
    from alembic import command

    with _config(dialect, connect) as config:
        command.upgrade(config, to)


def downgrade(dialect: str, connect: Callable[[], Any], to: str = "base") -> None:
    """Take the store back to the schema ``to``; what only the later schema holds is lost."""
    from alembic import command

    with _config(dialect, connect) as config:
        command.downgrade(config, to)


@contextmanager
def _config(dialect: str, connect: Callable[[], Any]) -> Iterator[Config]:
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    name = "postgresql+psycopg" if dialect == "postgresql" else "sqlite"
    engine = create_engine(f"{name}://", creator=connect, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            _begin(dialect, connection)
            config = Config()
            config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
            config.set_main_option("path_separator", "os")
            config.attributes["connection"] = connection
            yield config
            connection.commit()
    finally:
        engine.dispose()


def _begin(dialect: str, connection: Connection) -> None:
    """Let one process at a time migrate: the second one finds the work done."""
    if dialect == "postgresql":
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('erpcrm-bridge migration'), hashtext(current_schema()))")
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
