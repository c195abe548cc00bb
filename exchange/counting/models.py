"""Tables of counting campaigns and of what each school has counted."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from exchange.catalog.models import Edition
from exchange.counting.rules import CampaignState, Decision, SheetState
from exchange.db import Identified, enum_column
from exchange.schools.models import Holder


class CountingCampaign(Identified):
    """A season in which the schools of a district count their shelves, opened by the methodist."""

    __tablename__ = "counting_campaign"
    __table_args__ = (sa.Index(None, "district_id", "state"),)

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"))
    title: Mapped[str] = mapped_column(sa.String(200))
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    state: Mapped[CampaignState] = mapped_column(enum_column(CampaignState), default=CampaignState.OPEN)
    opened_by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)

    sheets: Mapped[list[CountSheet]] = relationship(back_populates="campaign")

    __mapper_args__ = {"version_id_col": version}


class CountSheet(Identified):
    """The count of one shelf in a campaign."""

    __tablename__ = "count_sheet"
    __table_args__ = (sa.UniqueConstraint("campaign_id", "holder_id"),)

    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("counting_campaign.id"))
    holder_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"), index=True)
    state: Mapped[SheetState] = mapped_column(enum_column(SheetState), default=SheetState.COUNTING)
    started_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    confirmed_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    act_id: Mapped[int | None] = mapped_column(sa.ForeignKey("write_off_act.id"))
    """The write-off act that its shortages went into."""
    movement_id: Mapped[int | None] = mapped_column(sa.ForeignKey("movement.id"))
    """The count that corrected the books."""
    skipped: Mapped[int] = mapped_column(default=0)
    """Editions on the shelf that nobody had counted when it was confirmed."""
    version: Mapped[int] = mapped_column(default=1)

    campaign: Mapped[CountingCampaign] = relationship(back_populates="sheets")
    holder: Mapped[Holder] = relationship()
    lines: Mapped[list[CountLine]] = relationship(back_populates="sheet", order_by="CountLine.id")

    __mapper_args__ = {"version_id_col": version}


class CountLine(Identified):
    """Copies of one edition as counted on the shelf, the school's own and borrowed ones together."""

    __tablename__ = "count_line"
    __table_args__ = (
        sa.UniqueConstraint("sheet_id", "edition_id"),
        sa.CheckConstraint("counted >= 0", name="counted"),
    )

    sheet_id: Mapped[int] = mapped_column(sa.ForeignKey("count_sheet.id"))
    edition_id: Mapped[int] = mapped_column(sa.ForeignKey("edition.id"))
    counted: Mapped[int]
    own: Mapped[int]
    """What the books said at that moment: the school's own copies on this shelf."""
    borrowed: Mapped[int]
    """And those it has on loan."""
    decision: Mapped[Decision | None] = mapped_column(enum_column(Decision))
    """What a shortage is; ``None`` until somebody says."""
    taps: Mapped[int] = mapped_column(default=1)
    """Raised by every new number, so that a late or repeated one is recognised."""
    counted_at: Mapped[datetime]
    counted_by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))

    sheet: Mapped[CountSheet] = relationship(back_populates="lines")
    edition: Mapped[Edition] = relationship()
