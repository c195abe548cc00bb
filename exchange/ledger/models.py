"""Tables of the ledger. Movements and their lines are only ever added; triggers refuse anything else."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from exchange.db import Identified, enum_column
from exchange.ledger.rules import MovementKind


class Movement(Identified):
    """One event that moved copies: its reason, its author and its balanced lines."""

    __tablename__ = "movement"

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"), index=True)
    at: Mapped[datetime]
    kind: Mapped[MovementKind] = mapped_column(enum_column(MovementKind))
    by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    transfer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("transfer.id"), index=True)
    document: Mapped[str] = mapped_column(sa.String(200), default="")
    """Number and date of the paper, as typed."""
    reason: Mapped[str] = mapped_column(sa.String(500), default="")

    lines: Mapped[list[MovementLine]] = relationship(back_populates="movement", order_by="MovementLine.id")


class MovementLine(Identified):
    """±copies of an edition: whose they are and where they stand."""

    __tablename__ = "movement_line"
    __table_args__ = (
        sa.CheckConstraint("copies <> 0", name="copies"),
        sa.Index(None, "edition_id", "holder_id"),
        sa.Index(None, "holder_id", "edition_id"),
    )

    movement_id: Mapped[int] = mapped_column(sa.ForeignKey("movement.id"), index=True)
    edition_id: Mapped[int] = mapped_column(sa.ForeignKey("edition.id"))
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    holder_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    copies: Mapped[int]

    movement: Mapped[Movement] = relationship(back_populates="lines")


class Balance(Identified):
    """Running sum of the ledger for one owner, holder and edition, kept in the same transaction."""

    __tablename__ = "balance"
    __table_args__ = (
        sa.UniqueConstraint("owner_id", "holder_id", "edition_id"),
        sa.CheckConstraint("copies >= 0", name="copies"),
        sa.CheckConstraint("promised BETWEEN 0 AND copies", name="promised"),
        sa.Index(None, "holder_id", "edition_id"),
        sa.Index(None, "edition_id"),
    )

    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    holder_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    edition_id: Mapped[int] = mapped_column(sa.ForeignKey("edition.id"))
    copies: Mapped[int] = mapped_column(default=0)
    promised: Mapped[int] = mapped_column(default=0)
    """Copies promised to agreed transfers; they cannot be promised again."""
