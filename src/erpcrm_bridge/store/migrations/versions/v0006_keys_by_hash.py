"""A natural key is found by its hash alone, which its rule is a part of: its row holds no entity and no rule.

Revision: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    pairs = "json_each(hashes) AS j" if op.get_bind().dialect.name == "sqlite" else "json_each_text(hashes::json) AS j"
    # ruff: noqa: S608 - names of ours
    op.execute(
        "CREATE TEMPORARY TABLE known AS SELECT hash, golden_id FROM match_key"
        f" UNION SELECT CAST(j.value AS BIGINT), golden_id FROM match_key_new, {pairs}"
    )
    op.drop_table("match_key")
    op.drop_table("match_key_new")
    op.create_table(
        "match_key",
        sa.Column("hash", NUMBER, nullable=False),
        sa.Column("golden_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("hash", "golden_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "match_key_new",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True, nullable=False),
        sa.Column("golden_id", TEXT, nullable=False),
        sa.Column("hashes", TEXT, nullable=False),
    )
    op.execute("INSERT INTO match_key (hash, golden_id) SELECT hash, golden_id FROM known ORDER BY 1, 2")
    op.execute("DROP TABLE known")


def downgrade() -> None:
    op.drop_table("match_key")
    op.drop_table("match_key_new")
    op.create_table(
        "match_key",
        sa.Column("entity", TEXT, nullable=False),
        sa.Column("rule", NUMBER, nullable=False),
        sa.Column("hash", NUMBER, nullable=False),
        sa.Column("golden_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("entity", "rule", "hash", "golden_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "match_key_new",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True, nullable=False),
        sa.Column("entity", TEXT, nullable=False),
        sa.Column("golden_id", TEXT, nullable=False),
        sa.Column("hashes", TEXT, nullable=False),
    )
    op.execute("DELETE FROM fact WHERE name LIKE 'match:%'")  # by which rules they were drawn: they are drawn anew
