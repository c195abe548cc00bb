"""The ledger and the journal may only grow."""

from alembic import op

from exchange.migrations import guards

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    guards.install(op.get_bind())


def downgrade() -> None:
    guards.remove(op.get_bind())
