"""Table of the advice that a school does not want to see for now."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from exchange.db import Base, enum_column
from exchange.provision.rules import Advice


class NotNow(Base):
    """«Not now»: advice about a textbook that is not shown again until its numbers change."""

    __tablename__ = "not_now"

    school_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"), primary_key=True)
    textbook_id: Mapped[int] = mapped_column(sa.ForeignKey("textbook.id"), primary_key=True)
    advice: Mapped[Advice] = mapped_column(enum_column(Advice), primary_key=True)
    numbers: Mapped[str] = mapped_column(sa.Text)
    """The numbers it followed from: ``Proposal.numbers``."""
    by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    at: Mapped[datetime]
