"""Natural keys that are to be dropped are laid down as they come, too, and dropped when the others are put in order.

Revision: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("match_key_new", sa.Column("gone", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.execute("DELETE FROM match_key_new WHERE gone")  # what they tell of is found once more, and seen to be so no longer
    op.drop_column("match_key_new", "gone")
