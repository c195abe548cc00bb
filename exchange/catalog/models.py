"""Tables of the federal lists, the textbooks and their editions.

The lists are federal, so they and the textbooks are shared by all districts of a server.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from exchange.db import Identified


class FederalList(Identified):
    """One order of the ministry in one edition: «приказ 858, редакция 119»."""

    __tablename__ = "federal_list"
    __table_args__ = (sa.UniqueConstraint("order_number", "edition"),)

    order_number: Mapped[str] = mapped_column(sa.String(20))
    edition: Mapped[str] = mapped_column(sa.String(20), default="")
    """Number of the amending order whose changes are in; empty for the order as first published."""
    signed_on: Mapped[date | None]
    in_force_from: Mapped[date]
    in_force_until: Mapped[date | None]
    """Last day in force; ``None`` while it is."""
    loaded_at: Mapped[datetime]
    loaded_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))

    entries: Mapped[list[ListEntry]] = relationship(back_populates="list")

    @property
    def label(self) -> str:
        """Short name: «858/119»."""
        return f"{self.order_number}/{self.edition}" if self.edition else self.order_number


class ListEntry(Identified):
    """A row of a list. Number alone is no key: it means different books in the two appendices."""

    __tablename__ = "list_entry"
    __table_args__ = (
        sa.UniqueConstraint("list_id", "appendix", "number", "position"),
        sa.CheckConstraint("appendix IN (1, 2)", name="appendix"),
    )

    list_id: Mapped[int] = mapped_column(sa.ForeignKey("federal_list.id"))
    appendix: Mapped[int] = mapped_column(sa.SmallInteger)
    """1: may be used and bought; 2: excluded, may be taught until ``valid_until``."""
    number: Mapped[str] = mapped_column(sa.String(40))
    position: Mapped[int] = mapped_column(sa.SmallInteger, default=0)
    """Tells rows apart that bear the same number in the same appendix (the act has such)."""
    row: Mapped[int]
    """Row of the workbook it was read from."""
    raw: Mapped[dict[str, Any]]
    """The cells as they stood, by header word."""
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What was read from the cells, so that a later upload can be compared with it."""
    valid_until: Mapped[date | None]
    """Appendix 1: end of the expert opinion; appendix 2: last day of use. ``None``: no date is named."""
    perpetual: Mapped[bool] = mapped_column(default=False)
    """The order says «бессрочно»."""
    excluded_on: Mapped[date | None]
    """The day an amendment or a newer upload dropped the row; rows are never deleted."""
    textbook_id: Mapped[int] = mapped_column(sa.ForeignKey("textbook.id"), index=True)

    list: Mapped[FederalList] = relationship(back_populates="entries")
    textbook: Mapped[Textbook] = relationship(back_populates="entries")


class Textbook(Identified):
    """A book as a work: authors, title, class, level, publisher group, edition mark."""

    __tablename__ = "textbook"
    __table_args__ = (
        sa.Index(None, "subject", "grade_from"),
        sa.CheckConstraint("parts >= 1", name="parts"),
    )

    identity: Mapped[str] = mapped_column(sa.String(500), unique=True)
    """Key across orders and appendices, made by ``catalog.rules.identity``."""
    title: Mapped[str] = mapped_column(sa.String(500))
    authors: Mapped[str] = mapped_column(sa.String(500))
    subject_area: Mapped[str] = mapped_column(sa.String(200))
    subject: Mapped[str] = mapped_column(sa.String(200))
    grade_from: Mapped[int | None] = mapped_column(sa.SmallInteger)
    grade_to: Mapped[int | None] = mapped_column(sa.SmallInteger)
    """Both ``None`` for colleges (СПО); a book «10–11» serves two grades."""
    level: Mapped[str] = mapped_column(sa.String(100), default="")
    """«базовый», «углублённый» or empty."""
    publisher: Mapped[str] = mapped_column(sa.String(300))
    language: Mapped[str] = mapped_column(sa.String(60), default="русский")
    edition_note: Mapped[str] = mapped_column(sa.String(200), default="")
    """«3-е издание, переработанное»."""
    parts: Mapped[int] = mapped_column(sa.SmallInteger, default=1)
    special_needs: Mapped[bool] = mapped_column(default=False)
    """For pupils with special needs (section 1.3, ОВЗ)."""
    folded: Mapped[str] = mapped_column(sa.Text)
    """Authors, title, subject, publisher and class, folded for the search."""
    sort_key: Mapped[str] = mapped_column(sa.String(300), index=True)

    entries: Mapped[list[ListEntry]] = relationship(back_populates="textbook")
    editions: Mapped[list[Edition]] = relationship(
        back_populates="textbook", order_by="Edition.year, Edition.part"
    )


class Edition(Identified):
    """A textbook's year and part: what is printed on the spine and counted on the shelf."""

    __tablename__ = "edition"
    __table_args__ = (
        sa.UniqueConstraint("textbook_id", "year", "part"),
        sa.CheckConstraint("part >= 1", name="part"),
        sa.CheckConstraint("year BETWEEN 1990 AND 2100", name="year"),
    )

    textbook_id: Mapped[int] = mapped_column(sa.ForeignKey("textbook.id"))
    year: Mapped[int] = mapped_column(sa.SmallInteger)
    part: Mapped[int] = mapped_column(sa.SmallInteger, default=1)
    """1 for a book in one volume; whether to print «Ч. 1» is told by ``Textbook.parts``."""

    textbook: Mapped[Textbook] = relationship(back_populates="editions")
