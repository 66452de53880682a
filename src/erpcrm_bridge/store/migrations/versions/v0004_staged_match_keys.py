"""Natural keys come in no order that an index knows: they are laid down as they come, and put in order by the hundred thousand.

Revision: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "match_key_new",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True, nullable=False),
        sa.Column("entity", TEXT, nullable=False),
        sa.Column("golden_id", TEXT, nullable=False),
        sa.Column("hashes", TEXT, nullable=False),
    )


def downgrade() -> None:
    pairs = "json_each(hashes) AS j" if op.get_bind().dialect.name == "sqlite" else "json_each_text(hashes::json) AS j"
    # ruff: noqa: S608 - names of ours
    op.execute(
        "INSERT INTO match_key (entity, rule, hash, golden_id)"
        f" SELECT entity, CAST(j.key AS BIGINT), CAST(j.value AS BIGINT), golden_id FROM match_key_new, {pairs}"
        " WHERE true ON CONFLICT DO NOTHING"
    )
    op.drop_table("match_key_new")
