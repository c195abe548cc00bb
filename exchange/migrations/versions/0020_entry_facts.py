"""What was read from a row of the federal list, and «бессрочно» as a fact of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("list_entry", sa.Column("facts", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column(
        "list_entry", sa.Column("perpetual", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    with op.batch_alter_table("list_entry", schema=None) as batch_op:
        batch_op.drop_column("perpetual")
        batch_op.drop_column("facts")
