"""Table of class groups."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from exchange.db import Identified


class ClassGroup(Identified):
    """Pupils of a class group («5А») in a school year: a count, never a name.

    The only place where pupils are stored: the enrolment of a grade is the sum of its groups. In the years to
    come it is a forecast.
    """

    __tablename__ = "class_group"
    __table_args__ = (
        sa.UniqueConstraint("school_id", "school_year", "grade", "letter"),
        sa.CheckConstraint("pupils >= 0", name="pupils"),
        sa.CheckConstraint("grade BETWEEN 1 AND 11", name="grade"),
    )

    school_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    school_year: Mapped[int] = mapped_column(sa.SmallInteger)
    """The year it starts in: 2026 is «2026/27»."""
    grade: Mapped[int] = mapped_column(sa.SmallInteger)
    letter: Mapped[str] = mapped_column(sa.String(4), default="")
    """Empty where the grade is not divided."""
    pupils: Mapped[int]
