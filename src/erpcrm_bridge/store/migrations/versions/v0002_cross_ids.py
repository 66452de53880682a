"""What records carry of other systems' keys, to be found by it.

Revision: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "cross_id",
        sa.Column("value", TEXT, nullable=False),
        sa.Column("link_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("value", "link_id"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("cross_id")
