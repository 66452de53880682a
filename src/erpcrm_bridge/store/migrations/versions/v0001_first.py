"""The first schema.

Revision: 0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = (
    "meta",
    "connection",
    "stream",
    "description",
    "fact",
    "golden",
    "link",
    "incoming",
    "match_key",
    "intention",
    "parked",
    "history",
    "run",
    "cursor",
    "flow",
    "brake",
    "brake_tripped",
    "work",
)


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "connection",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("identity", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "stream",
        sa.Column("id", NUMBER, nullable=False, autoincrement=True),
        sa.Column("system", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("stream_name", "stream", ["system", "name"], unique=True)
    op.create_table(
        "description",
        sa.Column("system", TEXT, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("system"),
    )
    op.create_table(
        "fact",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "golden",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("entity", TEXT, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("authors", sa.LargeBinary(), nullable=True),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("golden_entity", "golden", ["entity", "id", "state"])
    op.create_table(
        "link",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("golden_id", TEXT, nullable=False),
        sa.Column("entity", TEXT, nullable=False),
        sa.Column("stream_id", NUMBER, nullable=False),
        sa.Column("key", TEXT, nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("dirty", sa.Boolean(), nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("rules", TEXT, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("answered", sa.LargeBinary(), nullable=True),
        sa.Column("line_keys", sa.LargeBinary(), nullable=True),
        sa.Column("held", sa.LargeBinary(), nullable=True),
        sa.Column("pending", sa.LargeBinary(), nullable=True),
        sa.Column("earlier", sa.LargeBinary(), nullable=True),
        sa.Column("base", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("link_dirty", "link", ["stream_id", "id"], **_where("dirty"))
    op.create_index("link_golden", "link", ["golden_id"])
    op.create_index("link_head", "link", ["stream_id", "key", "state", "id", "version", "golden_id"])
    op.create_index("link_key", "link", ["stream_id", "key"], unique=True, **_where("key IS NOT NULL"))
    op.create_index("link_page", "link", ["stream_id", "id"])
    op.create_table(
        "incoming",
        sa.Column("stream_id", NUMBER, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("golden_id", TEXT, nullable=True),
        sa.Column("merged_into", TEXT, nullable=True),
        sa.Column("fields", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("stream_id", "key"),
    )
    op.create_index("incoming_golden", "incoming", ["golden_id"], **_where("golden_id IS NOT NULL"))
    op.create_table(
        "match_key",
        sa.Column("entity", TEXT, nullable=False),
        sa.Column("rule", NUMBER, nullable=False),
        sa.Column("hash", NUMBER, nullable=False),
        sa.Column("golden_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("entity", "rule", "hash", "golden_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("match_key_golden", "match_key", ["golden_id"])
    op.create_table(
        "intention",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("link_id", TEXT, nullable=False),
        sa.Column("golden_id", TEXT, nullable=False),
        sa.Column("stream_id", NUMBER, nullable=False),
        sa.Column("operation", TEXT, nullable=False),
        sa.Column("reference", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("handle", TEXT, nullable=True),
        sa.Column("run", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "parked",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("entity", TEXT, nullable=False),
        sa.Column("golden_id", TEXT, nullable=True),
        sa.Column("stream_id", NUMBER, nullable=True),
        sa.Column("key", TEXT, nullable=True),
        sa.Column("field", TEXT, nullable=True),
        sa.Column("error", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("waits_for", TEXT, nullable=True),
        sa.Column("run", TEXT, nullable=False),
        sa.Column("attempts", NUMBER, nullable=False),
        sa.Column("opened_at", TEXT, nullable=False),
        sa.Column("closed_at", TEXT, nullable=True),
        sa.Column("closed_by", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("parked_flow", "parked", ["flow", "kind"], **_where("closed_at IS NULL"))
    op.create_index("parked_golden", "parked", ["golden_id"])
    op.create_index("parked_open", "parked", ["subject"], unique=True, **_where("closed_at IS NULL"))
    op.create_table(
        "history",
        sa.Column("id", NUMBER, nullable=False, autoincrement=True),
        sa.Column("golden_id", TEXT, nullable=False),
        sa.Column("run", TEXT, nullable=False),
        sa.Column("at", TEXT, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("history_golden", "history", ["golden_id"])
    op.create_index("history_run", "history", ["run", "id"])
    op.create_table(
        "run",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("started_at", TEXT, nullable=False),
        sa.Column("finished_at", TEXT, nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("counts", sa.LargeBinary(), nullable=True),
        sa.Column("message", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("run_flow", "run", ["flow", "id"])
    op.create_table(
        "cursor",
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("stream_id", NUMBER, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("flow", "stream_id"),
    )
    op.create_table(
        "flow",
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("entity", TEXT, nullable=False),
        sa.Column("adopted_at", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("flow", "entity"),
    )
    op.create_table(
        "brake",
        sa.Column("id", NUMBER, nullable=False, autoincrement=True),
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("system", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("count", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("brake_window", "brake", ["flow", "system", "kind", "at"])
    op.create_table(
        "brake_tripped",
        sa.Column("id", NUMBER, nullable=False, autoincrement=True),
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("system", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("count", NUMBER, nullable=False),
        sa.Column("allowed", NUMBER, nullable=False),
        sa.Column("at", TEXT, nullable=False),
        sa.Column("released_by", TEXT, nullable=True),
        sa.Column("released_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("brake_tripped_open", "brake_tripped", ["flow", "system", "kind"], unique=True, **_where("released_by IS NULL"))
    op.create_table(
        "work",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("pending_seq", NUMBER, nullable=False),
        sa.Column("taken_seq", NUMBER, nullable=False),
        sa.Column("done_seq", NUMBER, nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("lease_owner", TEXT, nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("fence", NUMBER, nullable=False),
        sa.Column("attempts", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.execute("INSERT INTO meta (id, seq) VALUES (1, 0)")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
