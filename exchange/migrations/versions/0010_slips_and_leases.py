"""A slip may renew a password; a letter is leased while it is being delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("invitation") as table:
        table.add_column(sa.Column("user_id", sa.Integer(), nullable=True))
        table.create_foreign_key(table.f("fk_invitation_user_id"), "user_account", ["user_id"], ["id"])
        table.create_index(table.f("ix_invitation_user_id"), ["user_id"])
    with op.batch_alter_table("letter") as table:
        table.add_column(sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("letter") as table:
        table.drop_column("leased_until")
    with op.batch_alter_table("invitation") as table:
        table.drop_index(table.f("ix_invitation_user_id"))
        table.drop_constraint(table.f("fk_invitation_user_id"), type_="foreignkey")
        table.drop_column("user_id")
