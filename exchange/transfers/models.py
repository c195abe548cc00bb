"""Tables of transfers, their lines and the deliveries counted by the taker."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from exchange.catalog.models import Edition
from exchange.db import Base, Identified, enum_column
from exchange.postings.models import Offer, Request
from exchange.schools.models import Holder
from exchange.transfers.rules import Bearer, Counts, DeclineReason, Kind, Party, State


class Transfer(Identified):
    """One shipment from one giver to one taker: one act, one trip."""

    __tablename__ = "transfer"
    __table_args__ = (
        sa.CheckConstraint("giver_id <> taker_id", name="two_sides"),
        sa.UniqueConstraint("district_id", "act_year", "act_number"),
        sa.Index(None, "district_id", "state"),
        sa.Index(None, "giver_id", "state"),
        sa.Index(None, "taker_id", "state"),
    )

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"))
    giver_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    taker_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    kind: Mapped[Kind] = mapped_column(enum_column(Kind))
    state: Mapped[State] = mapped_column(enum_column(State), default=State.PROPOSED)
    version: Mapped[int] = mapped_column(default=1)
    proposed_by: Mapped[Party] = mapped_column(enum_column(Party))
    plan_id: Mapped[int | None] = mapped_column(sa.ForeignKey("plan.id"), index=True)
    previous_id: Mapped[int | None] = mapped_column(sa.ForeignKey("transfer.id"))
    """The declined transfer whose need this one takes over."""
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    answer_by: Mapped[date | None]
    """Last day for the present party to answer; afterwards the proposal moves on."""
    due_back: Mapped[date | None]
    act_year: Mapped[int | None] = mapped_column(sa.SmallInteger)
    act_number: Mapped[int | None]
    """Given at approval; restarts each year in each district."""
    approved_at: Mapped[datetime | None]
    shipped_at: Mapped[datetime | None]
    decline_reason: Mapped[DeclineReason | None] = mapped_column(enum_column(DeclineReason))
    remark: Mapped[str] = mapped_column(sa.String(500), default="")
    """What was said with the last refusal, withdrawal or stop."""
    floor_exception: Mapped[str] = mapped_column(sa.String(500), default="")
    """Why the fund's floor was broken for this transfer; signed by the methodist who agreed."""

    giver: Mapped[Holder] = relationship(foreign_keys=[giver_id])
    taker: Mapped[Holder] = relationship(foreign_keys=[taker_id])
    lines: Mapped[list[TransferLine]] = relationship(
        back_populates="transfer", lazy="selectin", order_by="TransferLine.id"
    )

    __mapper_args__ = {"version_id_col": version}


class TransferLine(Identified):
    """Copies of one edition in a transfer: asked for, agreed, and what became of them."""

    __tablename__ = "transfer_line"
    __table_args__ = (
        sa.CheckConstraint("asked > 0", name="asked"),
        sa.CheckConstraint("agreed >= 0 AND agreed <= asked", name="agreed"),
        sa.CheckConstraint("good + damaged + missing + returned <= shipped", name="pending"),
        sa.CheckConstraint("kept + sent_back + lost <= damaged + missing", name="disputed"),
        sa.CheckConstraint("handed_back + replaced <= good + kept", name="outstanding"),
    )

    transfer_id: Mapped[int] = mapped_column(sa.ForeignKey("transfer.id"), index=True)
    edition_id: Mapped[int] = mapped_column(sa.ForeignKey("edition.id"), index=True)
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    """Whose copies they were when the transfer was made."""
    offer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("offer.id"), index=True)
    request_id: Mapped[int | None] = mapped_column(sa.ForeignKey("request.id"), index=True)
    asked: Mapped[int]
    agreed: Mapped[int | None]
    """Copies the giver agreed to; ``None`` before the answer."""
    shipped: Mapped[int] = mapped_column(default=0)
    good: Mapped[int] = mapped_column(default=0)
    damaged: Mapped[int] = mapped_column(default=0)
    missing: Mapped[int] = mapped_column(default=0)
    returned: Mapped[int] = mapped_column(default=0)
    kept: Mapped[int] = mapped_column(default=0)
    sent_back: Mapped[int] = mapped_column(default=0)
    lost: Mapped[int] = mapped_column(default=0)
    handed_back: Mapped[int] = mapped_column(default=0)
    replaced: Mapped[int] = mapped_column(default=0)
    loss_borne_by: Mapped[Bearer | None] = mapped_column(enum_column(Bearer))
    reason: Mapped[str] = mapped_column(sa.String(500), default="")
    """Why the matching proposed this line, with its numbers."""

    transfer: Mapped[Transfer] = relationship(back_populates="lines")
    edition: Mapped[Edition] = relationship()
    offer: Mapped[Offer | None] = relationship()
    request: Mapped[Request | None] = relationship()

    @property
    def copies(self) -> int:
        """Copies the transfer is about now: shipped, else agreed, else asked for."""
        return self.shipped or (self.asked if self.agreed is None else self.agreed)

    @property
    def counts(self) -> Counts:
        """The line's numbers as the rules see them."""
        return Counts(
            shipped=self.shipped,
            good=self.good,
            damaged=self.damaged,
            missing=self.missing,
            returned=self.returned,
            kept=self.kept,
            sent_back=self.sent_back,
            lost=self.lost,
            handed_back=self.handed_back,
            replaced=self.replaced,
        )


class Delivery(Identified):
    """One go of counting by the taker: what arrived good, damaged or not at all."""

    __tablename__ = "delivery"

    transfer_id: Mapped[int] = mapped_column(sa.ForeignKey("transfer.id"), index=True)
    at: Mapped[datetime]
    by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    note: Mapped[str] = mapped_column(sa.String(500), default="")

    lines: Mapped[list[DeliveryLine]] = relationship(lazy="selectin", order_by="DeliveryLine.line_id")


class DeliveryLine(Base):
    """The taker's count of one line in one go; the giver's count is ``TransferLine.shipped``."""

    __tablename__ = "delivery_line"
    __table_args__ = (
        sa.CheckConstraint("good >= 0 AND damaged >= 0 AND missing >= 0", name="counts"),
        sa.CheckConstraint("good + damaged + missing > 0", name="something"),
    )

    delivery_id: Mapped[int] = mapped_column(sa.ForeignKey("delivery.id"), primary_key=True)
    line_id: Mapped[int] = mapped_column(sa.ForeignKey("transfer_line.id"), primary_key=True)
    good: Mapped[int] = mapped_column(default=0)
    damaged: Mapped[int] = mapped_column(default=0)
    missing: Mapped[int] = mapped_column(default=0)
