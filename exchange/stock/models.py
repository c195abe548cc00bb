"""Tables of enrolment, the state of the shelf and the fund's floors."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from exchange.db import Base, Identified, enum_column
from exchange.stock.rules import Condition


class Enrolment(Identified):
    """Pupils of a grade of a school in a school year: a count, never a name."""

    __tablename__ = "enrolment"
    __table_args__ = (
        sa.UniqueConstraint("school_id", "school_year", "grade"),
        sa.CheckConstraint("pupils >= 0", name="pupils"),
        sa.CheckConstraint("grade BETWEEN 1 AND 11", name="grade"),
    )

    school_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    school_year: Mapped[int] = mapped_column(sa.SmallInteger)
    """The year it starts in: 2026 is «2026/27»."""
    grade: Mapped[int] = mapped_column(sa.SmallInteger)
    pupils: Mapped[int]


class ShelfNote(Base):
    """What the ledger does not say about an edition on a shelf: its condition and the worn-out copies."""

    __tablename__ = "shelf_note"
    __table_args__ = (sa.CheckConstraint("worn >= 0", name="worn"),)

    holder_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"), primary_key=True)
    edition_id: Mapped[int] = mapped_column(sa.ForeignKey("edition.id"), primary_key=True)
    condition: Mapped[Condition] = mapped_column(enum_column(Condition), default=Condition.GOOD)
    worn: Mapped[int] = mapped_column(default=0)
    """Copies to be written off: they are on the shelf but not usable."""
    counted_at: Mapped[datetime | None]


class Floor(Base):
    """Copies of a textbook (of each part) that the district fund keeps back."""

    __tablename__ = "floor"
    __table_args__ = (sa.CheckConstraint("copies > 0", name="copies"),)

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"), primary_key=True)
    textbook_id: Mapped[int] = mapped_column(sa.ForeignKey("textbook.id"), primary_key=True)
    copies: Mapped[int]
    set_by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    set_at: Mapped[datetime]
