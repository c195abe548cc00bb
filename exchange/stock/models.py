"""Tables of the state of the shelf, a school's reserve and the fund's floors."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from exchange.db import Base, enum_column
from exchange.stock.rules import Condition


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


class SchoolReserve(Base):
    """What a school wants and keeps beyond its pupils and expects to wear out in a year, in per cent."""

    __tablename__ = "school_reserve"
    __table_args__ = (
        sa.CheckConstraint("reserve_percent BETWEEN 0 AND 50", name="reserve"),
        sa.CheckConstraint("buffer_percent BETWEEN 0 AND 50", name="buffer"),
        sa.CheckConstraint("wear_percent BETWEEN 0 AND 50", name="wear"),
    )

    school_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"), primary_key=True)
    reserve_percent: Mapped[int] = mapped_column(sa.SmallInteger, default=0)
    """Copies wanted beyond the pupils, per 100 pupils who use the book, rounded up."""
    buffer_percent: Mapped[int] = mapped_column(sa.SmallInteger, default=0)
    """Copies kept back from the surplus, per 100 pupils who use the book, rounded up."""
    wear_percent: Mapped[int] = mapped_column(sa.SmallInteger, default=0)
    """Copies expected to become unfit by next year, per 100, rounded up."""


class Floor(Base):
    """Copies of a textbook (of each part) that the district fund keeps back."""

    __tablename__ = "floor"
    __table_args__ = (sa.CheckConstraint("copies > 0", name="copies"),)

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"), primary_key=True)
    textbook_id: Mapped[int] = mapped_column(sa.ForeignKey("textbook.id"), primary_key=True)
    copies: Mapped[int]
    set_by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    set_at: Mapped[datetime]
