"""Tables of approved lists and of who uses which textbook."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from exchange.approved.rules import ListState
from exchange.catalog.models import Textbook
from exchange.db import Identified, enum_column
from exchange.schools.models import Holder


class ApprovedList(Identified):
    """A school's list (перечень) of the textbooks it uses in a school year."""

    __tablename__ = "approved_list"
    __table_args__ = (sa.UniqueConstraint("school_id", "school_year"),)

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"), index=True)
    school_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    school_year: Mapped[int] = mapped_column(sa.SmallInteger)
    """The year it starts in: 2026 is «2026/27»."""
    state: Mapped[ListState] = mapped_column(enum_column(ListState), default=ListState.DRAFT)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    checked_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    checked_at: Mapped[datetime | None]
    approved_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    approved_at: Mapped[datetime | None]

    school: Mapped[Holder] = relationship()
    uses: Mapped[list[ApprovedUse]] = relationship(
        back_populates="list", order_by="ApprovedUse.id", cascade="all, delete-orphan"
    )

    __mapper_args__ = {"version_id_col": version}


class ApprovedUse(Identified):
    """A textbook that a class uses."""

    __tablename__ = "approved_use"
    __table_args__ = (
        sa.UniqueConstraint("list_id", "grade", "letter", "textbook_id"),
        sa.CheckConstraint("grade BETWEEN 1 AND 11", name="grade"),
        sa.CheckConstraint("pupils >= 0", name="pupils"),
    )

    list_id: Mapped[int] = mapped_column(sa.ForeignKey("approved_list.id"))
    grade: Mapped[int] = mapped_column(sa.SmallInteger)
    letter: Mapped[str] = mapped_column(sa.String(4), default="")
    """The class group; empty: every group of the grade that names no textbook of its own for the subject."""
    textbook_id: Mapped[int] = mapped_column(sa.ForeignKey("textbook.id"), index=True)
    pupils: Mapped[int | None]
    """How many of them use it; ``None``: all (a second language, special needs: fewer)."""

    list: Mapped[ApprovedList] = relationship(back_populates="uses")
    textbook: Mapped[Textbook] = relationship()
