"""An edit moves a link's version, and with it the index that tells versions by key: it holds no more than that.

Revision: 0005
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("link_head", table_name="link")
    op.create_index("link_head", "link", ["stream_id", "key", "state", "version"])


def downgrade() -> None:
    op.drop_index("link_head", table_name="link")
    op.create_index("link_head", "link", ["stream_id", "key", "state", "id", "version", "golden_id"])
