"""Class groups in place of enrolment by grade; approved lists, imports, counting campaigns, write-off acts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alias",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("district_id", sa.Integer(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=500), nullable=False),
        sa.Column("textbook_id", sa.Integer(), nullable=True),
        sa.Column("confirmed_by_id", sa.Integer(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["confirmed_by_id"], ["user_account.id"], name=op.f("fk_alias_confirmed_by_id")
        ),
        sa.ForeignKeyConstraint(["district_id"], ["district.id"], name=op.f("fk_alias_district_id")),
        sa.ForeignKeyConstraint(["school_id"], ["holder.id"], name=op.f("fk_alias_school_id")),
        sa.ForeignKeyConstraint(["textbook_id"], ["textbook.id"], name=op.f("fk_alias_textbook_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alias")),
        sa.UniqueConstraint("school_id", "key", name=op.f("uq_alias_school_id_key")),
    )
    with op.batch_alter_table("alias", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alias_district_id_key"), ["district_id", "key"], unique=False)

    op.create_table(
        "approved_list",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("district_id", sa.Integer(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("school_year", sa.SmallInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("draft", "checked", "approved", name="liststate", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_by_id", sa.Integer(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved_by_id", sa.Integer(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["approved_by_id"], ["user_account.id"], name=op.f("fk_approved_list_approved_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["checked_by_id"], ["user_account.id"], name=op.f("fk_approved_list_checked_by_id")
        ),
        sa.ForeignKeyConstraint(["district_id"], ["district.id"], name=op.f("fk_approved_list_district_id")),
        sa.ForeignKeyConstraint(["school_id"], ["holder.id"], name=op.f("fk_approved_list_school_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approved_list")),
        sa.UniqueConstraint("school_id", "school_year", name=op.f("uq_approved_list_school_id_school_year")),
    )
    with op.batch_alter_table("approved_list", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_approved_list_district_id"), ["district_id"], unique=False)

    op.create_table(
        "class_group",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("school_year", sa.SmallInteger(), nullable=False),
        sa.Column("grade", sa.SmallInteger(), nullable=False),
        sa.Column("letter", sa.String(length=4), nullable=False),
        sa.Column("pupils", sa.Integer(), nullable=False),
        sa.CheckConstraint("grade BETWEEN 1 AND 11", name=op.f("ck_class_group_grade")),
        sa.CheckConstraint("pupils >= 0", name=op.f("ck_class_group_pupils")),
        sa.ForeignKeyConstraint(["school_id"], ["holder.id"], name=op.f("fk_class_group_school_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_class_group")),
        sa.UniqueConstraint(
            "school_id",
            "school_year",
            "grade",
            "letter",
            name=op.f("uq_class_group_school_id_school_year_grade_letter"),
        ),
    )
    op.create_table(
        "column_memory",
        sa.Column("holder_id", sa.Integer(), nullable=False),
        sa.Column("headings", sa.String(length=64), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["holder_id"], ["holder.id"], name=op.f("fk_column_memory_holder_id")),
        sa.PrimaryKeyConstraint("holder_id", "headings", name=op.f("pk_column_memory")),
    )
    op.create_table(
        "counting_campaign",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("district_id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("open", "closed", name="campaignstate", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("opened_by_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["district_id"], ["district.id"], name=op.f("fk_counting_campaign_district_id")
        ),
        sa.ForeignKeyConstraint(
            ["opened_by_id"], ["user_account.id"], name=op.f("fk_counting_campaign_opened_by_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_counting_campaign")),
    )
    with op.batch_alter_table("counting_campaign", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_counting_campaign_district_id_state"), ["district_id", "state"], unique=False
        )

    op.create_table(
        "not_now",
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("textbook_id", sa.Integer(), nullable=False),
        sa.Column(
            "advice",
            sa.Enum(
                "ask",
                "ask_more",
                "ask_less",
                "ask_no_more",
                "give",
                "give_less",
                "give_no_more",
                name="advice",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("numbers", sa.Text(), nullable=False),
        sa.Column("by_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["by_id"], ["user_account.id"], name=op.f("fk_not_now_by_id")),
        sa.ForeignKeyConstraint(["school_id"], ["holder.id"], name=op.f("fk_not_now_school_id")),
        sa.ForeignKeyConstraint(["textbook_id"], ["textbook.id"], name=op.f("fk_not_now_textbook_id")),
        sa.PrimaryKeyConstraint("school_id", "textbook_id", "advice", name=op.f("pk_not_now")),
    )
    op.create_table(
        "school_reserve",
        sa.Column("school_id", sa.Integer(), nullable=False),
        sa.Column("reserve_percent", sa.SmallInteger(), nullable=False),
        sa.Column("buffer_percent", sa.SmallInteger(), nullable=False),
        sa.Column("wear_percent", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("buffer_percent BETWEEN 0 AND 50", name=op.f("ck_school_reserve_buffer")),
        sa.CheckConstraint("reserve_percent BETWEEN 0 AND 50", name=op.f("ck_school_reserve_reserve")),
        sa.CheckConstraint("wear_percent BETWEEN 0 AND 50", name=op.f("ck_school_reserve_wear")),
        sa.ForeignKeyConstraint(["school_id"], ["holder.id"], name=op.f("fk_school_reserve_school_id")),
        sa.PrimaryKeyConstraint("school_id", name=op.f("pk_school_reserve")),
    )
    op.create_table(
        "write_off_act",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("district_id", sa.Integer(), nullable=False),
        sa.Column("holder_id", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("draft", "posted", "discarded", name="actstate", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("signed_on", sa.Date(), nullable=True),
        sa.Column("commission", sa.Text(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["user_account.id"], name=op.f("fk_write_off_act_created_by_id")
        ),
        sa.ForeignKeyConstraint(["district_id"], ["district.id"], name=op.f("fk_write_off_act_district_id")),
        sa.ForeignKeyConstraint(["holder_id"], ["holder.id"], name=op.f("fk_write_off_act_holder_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_write_off_act")),
    )
    with op.batch_alter_table("write_off_act", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_write_off_act_district_id"), ["district_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_write_off_act_holder_id_state"), ["holder_id", "state"], unique=False
        )

    op.create_table(
        "approved_use",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("list_id", sa.Integer(), nullable=False),
        sa.Column("grade", sa.SmallInteger(), nullable=False),
        sa.Column("letter", sa.String(length=4), nullable=False),
        sa.Column("textbook_id", sa.Integer(), nullable=False),
        sa.Column("pupils", sa.Integer(), nullable=True),
        sa.CheckConstraint("grade BETWEEN 1 AND 11", name=op.f("ck_approved_use_grade")),
        sa.CheckConstraint("pupils >= 0", name=op.f("ck_approved_use_pupils")),
        sa.ForeignKeyConstraint(["list_id"], ["approved_list.id"], name=op.f("fk_approved_use_list_id")),
        sa.ForeignKeyConstraint(["textbook_id"], ["textbook.id"], name=op.f("fk_approved_use_textbook_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approved_use")),
        sa.UniqueConstraint(
            "list_id",
            "grade",
            "letter",
            "textbook_id",
            name=op.f("uq_approved_use_list_id_grade_letter_textbook_id"),
        ),
    )
    with op.batch_alter_table("approved_use", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_approved_use_textbook_id"), ["textbook_id"], unique=False)

    op.create_table(
        "count_sheet",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("holder_id", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("counting", "confirmed", name="sheetstate", native_enum=False, length=24),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_by_id", sa.Integer(), nullable=True),
        sa.Column("act_id", sa.Integer(), nullable=True),
        sa.Column("movement_id", sa.Integer(), nullable=True),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["act_id"], ["write_off_act.id"], name=op.f("fk_count_sheet_act_id")),
        sa.ForeignKeyConstraint(["movement_id"], ["movement.id"], name=op.f("fk_count_sheet_movement_id")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["counting_campaign.id"], name=op.f("fk_count_sheet_campaign_id")
        ),
        sa.ForeignKeyConstraint(
            ["confirmed_by_id"], ["user_account.id"], name=op.f("fk_count_sheet_confirmed_by_id")
        ),
        sa.ForeignKeyConstraint(["holder_id"], ["holder.id"], name=op.f("fk_count_sheet_holder_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_sheet")),
        sa.UniqueConstraint("campaign_id", "holder_id", name=op.f("uq_count_sheet_campaign_id_holder_id")),
    )
    with op.batch_alter_table("count_sheet", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_count_sheet_holder_id"), ["holder_id"], unique=False)

    op.create_table(
        "count_line",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sheet_id", sa.Integer(), nullable=False),
        sa.Column("edition_id", sa.Integer(), nullable=False),
        sa.Column("counted", sa.Integer(), nullable=False),
        sa.Column("own", sa.Integer(), nullable=False),
        sa.Column("borrowed", sa.Integer(), nullable=False),
        sa.Column(
            "decision",
            sa.Enum("lost", "correction", name="decision", native_enum=False, length=24),
            nullable=True,
        ),
        sa.Column("taps", sa.Integer(), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counted_by_id", sa.Integer(), nullable=False),
        sa.CheckConstraint("counted >= 0", name=op.f("ck_count_line_counted")),
        sa.ForeignKeyConstraint(
            ["counted_by_id"], ["user_account.id"], name=op.f("fk_count_line_counted_by_id")
        ),
        sa.ForeignKeyConstraint(["edition_id"], ["edition.id"], name=op.f("fk_count_line_edition_id")),
        sa.ForeignKeyConstraint(["sheet_id"], ["count_sheet.id"], name=op.f("fk_count_line_sheet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_line")),
        sa.UniqueConstraint("sheet_id", "edition_id", name=op.f("uq_count_line_sheet_id_edition_id")),
    )
    op.create_table(
        "intake",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("district_id", sa.Integer(), nullable=False),
        sa.Column("holder_id", sa.Integer(), nullable=False),
        sa.Column("by_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("file", sa.String(length=200), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "reading",
                "review",
                "applied",
                "undone",
                "discarded",
                "failed",
                name="intakestate",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("movement_id", sa.Integer(), nullable=True),
        sa.Column("undo_movement_id", sa.Integer(), nullable=True),
        sa.Column("written", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["by_id"], ["user_account.id"], name=op.f("fk_intake_by_id")),
        sa.ForeignKeyConstraint(["district_id"], ["district.id"], name=op.f("fk_intake_district_id")),
        sa.ForeignKeyConstraint(["holder_id"], ["holder.id"], name=op.f("fk_intake_holder_id")),
        sa.ForeignKeyConstraint(["movement_id"], ["movement.id"], name=op.f("fk_intake_movement_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_intake_run_id")),
        sa.ForeignKeyConstraint(
            ["undo_movement_id"], ["movement.id"], name=op.f("fk_intake_undo_movement_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intake")),
    )
    with op.batch_alter_table("intake", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_intake_district_id"), ["district_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_intake_holder_id_state"), ["holder_id", "state"], unique=False)

    op.create_table(
        "write_off_line",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("act_id", sa.Integer(), nullable=False),
        sa.Column("edition_id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column(
            "reason",
            sa.Enum(
                "outdated",
                "lost",
                "worn",
                "defective",
                "off_profile",
                "last_date",
                name="writeoffreason",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("copies", sa.Integer(), nullable=False),
        sa.Column("movement_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("copies > 0", name=op.f("ck_write_off_line_copies")),
        sa.ForeignKeyConstraint(["act_id"], ["write_off_act.id"], name=op.f("fk_write_off_line_act_id")),
        sa.ForeignKeyConstraint(["edition_id"], ["edition.id"], name=op.f("fk_write_off_line_edition_id")),
        sa.ForeignKeyConstraint(["movement_id"], ["movement.id"], name=op.f("fk_write_off_line_movement_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["holder.id"], name=op.f("fk_write_off_line_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_write_off_line")),
        sa.UniqueConstraint(
            "act_id",
            "edition_id",
            "owner_id",
            "reason",
            name=op.f("uq_write_off_line_act_id_edition_id_owner_id_reason"),
        ),
    )
    op.create_table(
        "intake_row",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("intake_id", sa.Integer(), nullable=False),
        sa.Column("sheet", sa.SmallInteger(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("item", sa.SmallInteger(), nullable=False),
        sa.Column("cells", sa.JSON(), nullable=False),
        sa.Column("wording", sa.JSON(), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "recognised",
                "to_confirm",
                "not_textbook",
                "not_listed",
                "error",
                "skipped",
                "service",
                name="outcome",
                native_enum=False,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("textbook_id", sa.Integer(), nullable=True),
        sa.Column("part", sa.SmallInteger(), nullable=True),
        sa.Column("year", sa.SmallInteger(), nullable=True),
        sa.Column("copies", sa.Integer(), nullable=True),
        sa.Column("worn", sa.Integer(), nullable=True),
        sa.Column("candidates", sa.JSON(), nullable=False),
        sa.Column("remark", sa.JSON(), nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("group_key", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["intake_id"], ["intake.id"], name=op.f("fk_intake_row_intake_id")),
        sa.ForeignKeyConstraint(["textbook_id"], ["textbook.id"], name=op.f("fk_intake_row_textbook_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intake_row")),
        sa.UniqueConstraint(
            "intake_id", "sheet", "row", "item", name=op.f("uq_intake_row_intake_id_sheet_row_item")
        ),
    )
    with op.batch_alter_table("intake_row", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_intake_row_intake_id_outcome"), ["intake_id", "outcome"], unique=False
        )

    op.execute(
        "INSERT INTO class_group (school_id, school_year, grade, letter, pupils) "
        "SELECT school_id, school_year, grade, '', pupils FROM enrolment"
    )
    op.drop_table("enrolment")


def downgrade() -> None:
    op.create_table(
        "enrolment",
        sa.Column("id", sa.INTEGER(), nullable=False),
        sa.Column("school_id", sa.INTEGER(), nullable=False),
        sa.Column("school_year", sa.SMALLINT(), nullable=False),
        sa.Column("grade", sa.SMALLINT(), nullable=False),
        sa.Column("pupils", sa.INTEGER(), nullable=False),
        sa.CheckConstraint("grade BETWEEN 1 AND 11", name=op.f("ck_enrolment_grade")),
        sa.CheckConstraint("pupils >= 0", name=op.f("ck_enrolment_pupils")),
        sa.ForeignKeyConstraint(["school_id"], ["holder.id"], name=op.f("fk_enrolment_school_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment")),
        sa.UniqueConstraint(
            "school_id", "school_year", "grade", name=op.f("uq_enrolment_school_id_school_year_grade")
        ),
    )
    op.execute(
        "INSERT INTO enrolment (school_id, school_year, grade, pupils) "
        "SELECT school_id, school_year, grade, SUM(pupils) FROM class_group GROUP BY school_id, school_year, grade"
    )
    with op.batch_alter_table("intake_row", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_intake_row_intake_id_outcome"))

    op.drop_table("intake_row")
    op.drop_table("write_off_line")
    with op.batch_alter_table("intake", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_intake_holder_id_state"))
        batch_op.drop_index(batch_op.f("ix_intake_district_id"))

    op.drop_table("intake")
    op.drop_table("count_line")
    with op.batch_alter_table("count_sheet", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_count_sheet_holder_id"))

    op.drop_table("count_sheet")
    with op.batch_alter_table("approved_use", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_approved_use_textbook_id"))

    op.drop_table("approved_use")
    with op.batch_alter_table("write_off_act", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_write_off_act_holder_id_state"))
        batch_op.drop_index(batch_op.f("ix_write_off_act_district_id"))

    op.drop_table("write_off_act")
    op.drop_table("school_reserve")
    op.drop_table("not_now")
    with op.batch_alter_table("counting_campaign", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_counting_campaign_district_id_state"))

    op.drop_table("counting_campaign")
    op.drop_table("column_memory")
    op.drop_table("class_group")
    with op.batch_alter_table("approved_list", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_approved_list_district_id"))

    op.drop_table("approved_list")
    with op.batch_alter_table("alias", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_alias_district_id_key"))

    op.drop_table("alias")
