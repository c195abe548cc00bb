"""What plans are asked for and their proof; wishes, limits of givers; runs that can be stopped."""

import sqlalchemy as sa
from alembic import op

from exchange.migrations import guards

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NEW_COLUMNS = {
    "plan": {"controls": sa.JSON(), "certificate": sa.JSON()},
    "plan_line": {"exact": sa.Boolean()},
    "request": {
        "mixing": sa.Boolean(),
        "condition_from": sa.Enum("new", "good", "fair", name="condition", native_enum=False, length=24),
    },
    "run": {"standing": sa.JSON(), "stop_asked": sa.Boolean()},
}


def upgrade() -> None:
    op.create_table(
        "giving_limit",
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Date(), nullable=True),
        sa.Column("kept_grades", sa.JSON(), nullable=False),
        sa.Column("most_trips", sa.SmallInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("most_trips > 0", name=op.f("ck_giving_limit_most_trips")),
        sa.ForeignKeyConstraint(["school_id"], ["holder.id"], name=op.f("fk_giving_limit_school_id")),
        sa.PrimaryKeyConstraint("school_id", name=op.f("pk_giving_limit")),
    )
    op.create_table(
        "plan_wish",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("district_id", sa.Integer(), nullable=False),
        sa.Column(
            "kind", sa.Enum("forbid", "prefer", name="wishkind", native_enum=False, length=24), nullable=False
        ),
        sa.Column("giver_id", sa.Integer(), nullable=False),
        sa.Column("taker_id", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Integer(), nullable=True),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["user_account.id"], name=op.f("fk_plan_wish_created_by_id")
        ),
        sa.ForeignKeyConstraint(["district_id"], ["district.id"], name=op.f("fk_plan_wish_district_id")),
        sa.ForeignKeyConstraint(["giver_id"], ["holder.id"], name=op.f("fk_plan_wish_giver_id")),
        sa.ForeignKeyConstraint(["request_id"], ["request.id"], name=op.f("fk_plan_wish_request_id")),
        sa.ForeignKeyConstraint(["taker_id"], ["holder.id"], name=op.f("fk_plan_wish_taker_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_wish")),
        sa.UniqueConstraint(
            "kind",
            "giver_id",
            "taker_id",
            "request_id",
            name=op.f("uq_plan_wish_kind_giver_id_taker_id_request_id"),
        ),
    )
    with op.batch_alter_table("plan_wish", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_plan_wish_district_id"), ["district_id"], unique=False)

    with op.batch_alter_table("plan", schema=None) as batch_op:
        batch_op.add_column(sa.Column("base_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("controls", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("certificate", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("problem", sa.LargeBinary(), nullable=True))
        batch_op.create_foreign_key(batch_op.f("fk_plan_base_id"), "plan", ["base_id"], ["id"])

    with op.batch_alter_table("plan_line", schema=None) as batch_op:
        batch_op.add_column(sa.Column("supply_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("exact", sa.Boolean(), nullable=False, server_default=sa.false()))

    with op.batch_alter_table("request", schema=None) as batch_op:
        batch_op.add_column(sa.Column("mixing", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch_op.add_column(
            sa.Column(
                "condition_from",
                NEW_COLUMNS["request"]["condition_from"],
                nullable=False,
                server_default="fair",
            )
        )

    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("standing", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("stop_asked", sa.Boolean(), nullable=False, server_default=sa.false()))

    # What was there before got its value; new rows name theirs.
    for table, columns in NEW_COLUMNS.items():
        with op.batch_alter_table(table, schema=None) as batch_op:
            for column, kind in columns.items():
                batch_op.alter_column(
                    column, existing_type=kind, existing_nullable=False, server_default=None
                )
    guards.install(op.get_bind())


def downgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_column("stop_asked")
        batch_op.drop_column("standing")

    with op.batch_alter_table("request", schema=None) as batch_op:
        batch_op.drop_column("condition_from")
        batch_op.drop_column("mixing")

    with op.batch_alter_table("plan_line", schema=None) as batch_op:
        batch_op.drop_column("exact")
        batch_op.drop_column("supply_id")

    with op.batch_alter_table("plan", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_plan_base_id"), type_="foreignkey")
        batch_op.drop_column("problem")
        batch_op.drop_column("certificate")
        batch_op.drop_column("controls")
        batch_op.drop_column("base_id")

    with op.batch_alter_table("plan_wish", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_plan_wish_district_id"))

    op.drop_table("plan_wish")
    op.drop_table("giving_limit")
    guards.install(op.get_bind())
