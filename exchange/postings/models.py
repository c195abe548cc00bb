"""Tables of offers (posted surpluses) and requests (missing textbooks)."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from exchange.catalog.models import Edition, Textbook
from exchange.db import Base, Identified, enum_column
from exchange.postings.rules import OfferKind, PostingState, ShortageReason
from exchange.schools.models import Holder
from exchange.stock.rules import Condition


class Offer(Identified):
    """A surplus posted by a school: copies of one edition that others may have."""

    __tablename__ = "offer"
    __table_args__ = (
        sa.CheckConstraint("copies > 0", name="copies"),
        sa.CheckConstraint("reserved BETWEEN 0 AND copies", name="reserved"),
        sa.Index(None, "district_id", "state"),
    )

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"))
    holder_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"), index=True)
    edition_id: Mapped[int] = mapped_column(sa.ForeignKey("edition.id"), index=True)
    copies: Mapped[int]
    reserved: Mapped[int] = mapped_column(default=0)
    """Copies in transfers that live or have happened; ``copies - reserved`` can still be asked for."""
    kind: Mapped[OfferKind] = mapped_column(enum_column(OfferKind))
    condition: Mapped[Condition] = mapped_column(enum_column(Condition))
    due_back: Mapped[date | None]
    """Day of return, for a loan."""
    available_from: Mapped[date | None]
    expires_on: Mapped[date]
    note: Mapped[str] = mapped_column(sa.String(500), default="")
    state: Mapped[PostingState] = mapped_column(enum_column(PostingState), default=PostingState.OPEN)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]

    holder: Mapped[Holder] = relationship()
    edition: Mapped[Edition] = relationship()

    __mapper_args__ = {"version_id_col": version}

    @property
    def free(self) -> int:
        """Copies that can still be asked for."""
        return self.copies - self.reserved

    @property
    def can_be_asked_for(self) -> bool:
        """Whether it is on the board with copies left."""
        return self.state is PostingState.OPEN and self.free > 0


class Request(Identified):
    """What a school lacks of one textbook; its parts are counted one by one."""

    __tablename__ = "request"
    __table_args__ = (sa.Index(None, "district_id", "state"),)

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"))
    school_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"), index=True)
    textbook_id: Mapped[int] = mapped_column(sa.ForeignKey("textbook.id"), index=True)
    reason: Mapped[ShortageReason] = mapped_column(enum_column(ShortageReason))
    needed_by: Mapped[date | None]
    year_from: Mapped[int | None] = mapped_column(sa.SmallInteger)
    """The oldest acceptable year of printing; ``None``: any."""
    loan_acceptable: Mapped[bool] = mapped_column(default=True)
    mixing: Mapped[bool] = mapped_column(default=True)
    """Whether copies of several years of printing will do; without that consent all are of one year."""
    condition_from: Mapped[Condition] = mapped_column(enum_column(Condition), default=Condition.FAIR)
    """The worst condition that will do."""
    expires_on: Mapped[date]
    note: Mapped[str] = mapped_column(sa.String(500), default="")
    state: Mapped[PostingState] = mapped_column(enum_column(PostingState), default=PostingState.OPEN)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]

    school: Mapped[Holder] = relationship()
    textbook: Mapped[Textbook] = relationship()
    parts: Mapped[list[RequestPart]] = relationship(
        back_populates="request", lazy="selectin", order_by="RequestPart.part"
    )

    __mapper_args__ = {"version_id_col": version}


class RequestPart(Base):
    """Copies of one part that a request asks for, and how many are already on their way or there."""

    __tablename__ = "request_part"
    __table_args__ = (
        sa.CheckConstraint("copies > 0", name="copies"),
        sa.CheckConstraint("matched BETWEEN 0 AND copies", name="matched"),
    )

    request_id: Mapped[int] = mapped_column(sa.ForeignKey("request.id"), primary_key=True)
    part: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True)
    copies: Mapped[int]
    matched: Mapped[int] = mapped_column(default=0)
    """Copies in transfers that live or have arrived; ``copies - matched`` are still missing."""

    request: Mapped[Request] = relationship(back_populates="parts")

    @property
    def open(self) -> int:
        """Copies still missing."""
        return self.copies - self.matched


class GivingLimit(Base):
    """What a school lays down for everything it offers; a school without a row lays down nothing."""

    __tablename__ = "giving_limit"
    __table_args__ = (sa.CheckConstraint("most_trips > 0", name="most_trips"),)

    school_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"), primary_key=True)
    not_before: Mapped[date | None]
    """Nothing leaves earlier."""
    kept_grades: Mapped[list[int]] = mapped_column(sa.JSON)
    """Books of these grades are not given, 1 to 11."""
    most_trips: Mapped[int | None] = mapped_column(sa.SmallInteger)
    """So many schools at most are given to in one plan."""
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}
