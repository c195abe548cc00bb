"""Tables of write-off acts."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from exchange.catalog.models import Edition
from exchange.db import Identified, enum_column
from exchange.disposals.rules import ActState
from exchange.ledger.rules import WriteOffReason
from exchange.schools.models import Holder


class WriteOffAct(Identified):
    """An act by which copies leave a shelf for good."""

    __tablename__ = "write_off_act"
    __table_args__ = (sa.Index(None, "holder_id", "state"),)

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"), index=True)
    holder_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    state: Mapped[ActState] = mapped_column(enum_column(ActState), default=ActState.DRAFT)
    number: Mapped[str] = mapped_column(sa.String(40), default="")
    signed_on: Mapped[date | None]
    commission: Mapped[str] = mapped_column(sa.Text, default="")
    """Members of the commission, one a line, as typed: printed on the act."""
    created_by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    created_at: Mapped[datetime]
    posted_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    holder: Mapped[Holder] = relationship()
    lines: Mapped[list[WriteOffLine]] = relationship(
        back_populates="act", order_by="WriteOffLine.id", cascade="all, delete-orphan"
    )

    __mapper_args__ = {"version_id_col": version}


class WriteOffLine(Identified):
    """Copies of one owner's edition written off for one reason."""

    __tablename__ = "write_off_line"
    __table_args__ = (
        sa.UniqueConstraint("act_id", "edition_id", "owner_id", "reason"),
        sa.CheckConstraint("copies > 0", name="copies"),
    )

    act_id: Mapped[int] = mapped_column(sa.ForeignKey("write_off_act.id"))
    edition_id: Mapped[int] = mapped_column(sa.ForeignKey("edition.id"))
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    """A school writes off its own copies only; in the fund's rooms others' copies may stand too."""
    reason: Mapped[WriteOffReason] = mapped_column(enum_column(WriteOffReason))
    copies: Mapped[int]
    movement_id: Mapped[int | None] = mapped_column(sa.ForeignKey("movement.id"))

    act: Mapped[WriteOffAct] = relationship(back_populates="lines")
    edition: Mapped[Edition] = relationship()
    owner: Mapped[Holder] = relationship()
