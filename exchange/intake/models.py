"""Tables of imports: the file as it was read, what was understood of each row, the columns a school uses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from exchange.catalog.models import Textbook
from exchange.db import Base, Identified, enum_column
from exchange.intake.rules import IntakeState, Outcome
from exchange.schools.models import Holder


class Intake(Identified):
    """One file (or pasted table) that a school brought."""

    __tablename__ = "intake"
    __table_args__ = (sa.Index(None, "holder_id", "state"),)

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"), index=True)
    holder_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    created_at: Mapped[datetime]
    file: Mapped[str] = mapped_column(sa.String(200))
    """Name of the file; «вставлено из буфера» for a pasted table."""
    state: Mapped[IntakeState] = mapped_column(enum_column(IntakeState), default=IntakeState.READING)
    version: Mapped[int] = mapped_column(default=1)
    run_id: Mapped[int | None] = mapped_column(sa.ForeignKey("run.id"))
    columns: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """By sheet: the row of the header, the headings as they stood, and which column means what; and the year
    of printing to be taken where a row names none."""
    applied_at: Mapped[datetime | None]
    movement_id: Mapped[int | None] = mapped_column(sa.ForeignKey("movement.id"))
    undo_movement_id: Mapped[int | None] = mapped_column(sa.ForeignKey("movement.id"))
    written: Mapped[list[Any]] = mapped_column(default=list)
    """What was written to the shelf, by edition: what an undoing checks and puts back."""
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What came of it, in numbers; why it failed, as a msgid and its parameters."""

    holder: Mapped[Holder] = relationship()

    __mapper_args__ = {"version_id_col": version}


class IntakeRow(Identified):
    """One row of the file, as it stood and as it was understood."""

    __tablename__ = "intake_row"
    __table_args__ = (
        sa.UniqueConstraint("intake_id", "sheet", "row", "item"),
        sa.Index(None, "intake_id", "outcome"),
    )

    intake_id: Mapped[int] = mapped_column(sa.ForeignKey("intake.id"))
    sheet: Mapped[int] = mapped_column(sa.SmallInteger)
    row: Mapped[int]
    item: Mapped[int] = mapped_column(sa.SmallInteger, default=0)
    """Which of the row's counts, where it has one for each year of printing or each class."""
    cells: Mapped[list[Any]]
    """The raw cells as text."""
    wording: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What was asked of the recognition: the filled fields of its ``Wording``; empty for a row of no book."""
    outcome: Mapped[Outcome] = mapped_column(enum_column(Outcome))
    textbook_id: Mapped[int | None] = mapped_column(sa.ForeignKey("textbook.id"))
    part: Mapped[int | None] = mapped_column(sa.SmallInteger)
    """``None``: every part, the row counts sets."""
    year: Mapped[int | None] = mapped_column(sa.SmallInteger)
    copies: Mapped[int | None]
    worn: Mapped[int | None]
    candidates: Mapped[list[Any]] = mapped_column(default=list)
    """What it may be: book ids with the confidence and what tells them apart, best first."""
    remark: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Why it ended so and what is still asked; what the row was before a person answered."""
    by_hand: Mapped[bool] = mapped_column(default=False)
    """A person decided; a new reading of the columns leaves it alone."""
    group_key: Mapped[str] = mapped_column(sa.String(500), default="")
    """Rows of one wording share it: an answer to one is an answer to all."""

    textbook: Mapped[Textbook | None] = relationship()


class ColumnMemory(Base):
    """Which column means what under headings a school has used before."""

    __tablename__ = "column_memory"

    holder_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"), primary_key=True)
    headings: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    """Digest of the folded headings."""
    columns: Mapped[dict[str, Any]]
    saved_at: Mapped[datetime]
