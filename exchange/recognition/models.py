"""Table of confirmed readings of the lines people write."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from exchange.db import Identified


class Alias(Identified):
    """What a school says a wording means: certain for it, evidence for the others of its district."""

    __tablename__ = "alias"
    __table_args__ = (sa.UniqueConstraint("school_id", "key"), sa.Index(None, "district_id", "key"))

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"))
    school_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    key: Mapped[str] = mapped_column(sa.String(500))
    """The wording as ``recognition.rules.key_of`` folds it."""
    textbook_id: Mapped[int | None] = mapped_column(sa.ForeignKey("textbook.id"))
    """``None``: it is no textbook of the list."""
    confirmed_by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    confirmed_at: Mapped[datetime]
