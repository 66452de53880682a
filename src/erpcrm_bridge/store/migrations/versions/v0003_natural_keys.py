"""Natural keys are no longer sought by golden record: what is found by one is held against the record itself.

Revision: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("match_key_golden", table_name="match_key")


def downgrade() -> None:
    op.create_index("match_key_golden", "match_key", ["golden_id"])
