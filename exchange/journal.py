"""The journal: who changed what, when; and the letters this causes, in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from exchange.clock import Clock
from exchange.db import Identified, db


class JournalEntry(Identified):
    """One event. Only ever added; triggers refuse anything else."""

    __tablename__ = "journal_entry"
    __table_args__ = (sa.Index(None, "subject", "subject_id"),)

    district_id: Mapped[int | None] = mapped_column(sa.ForeignKey("district.id"), index=True)
    at: Mapped[datetime]
    by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    """``None``: nobody, time did it."""
    subject: Mapped[str] = mapped_column(sa.String(40))
    """What kind of object: «transfer», «offer», «user_account» …"""
    subject_id: Mapped[int]
    message: Mapped[str] = mapped_column(sa.String(300))
    """Russian msgid with %(name)s parameters."""
    parameters: Mapped[dict[str, Any]]


class Letter(Identified):
    """A letter that waits for delivery: the outbox."""

    __tablename__ = "letter"
    __table_args__ = (sa.Index(None, "sent_at", "user_id"),)

    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("journal_entry.id"))
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    urgent: Mapped[bool] = mapped_column(default=False)
    """Blocks others: sent at once; the rest waits for the morning digest."""
    created_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    """Somebody is delivering it; until then nobody else tries."""
    sent_at: Mapped[datetime | None]

    entry: Mapped[JournalEntry] = relationship(lazy="joined", innerjoin=True)


def record(
    subject: str,
    subject_id: int,
    message: str,
    /,
    *,
    by_id: int | None,
    clock: Clock,
    district_id: int | None,
    to: Iterable[int] = (),
    urgent: bool = False,
    **parameters: Any,
) -> JournalEntry:
    """Write that ``by_id`` did something to the object, and a letter to each person of ``to``.

    ``message`` is a Russian msgid; its ``parameters`` must be JSON values. Nobody gets a letter about
    their own action.
    """
    entry = JournalEntry(
        district_id=district_id,
        at=clock.now(),
        by_id=by_id,
        subject=subject,
        subject_id=subject_id,
        message=message,
        parameters=parameters,
    )
    db.session.add(entry)
    db.session.flush()
    for user_id in sorted(set(to) - {by_id}):
        db.session.add(Letter(entry_id=entry.id, user_id=user_id, urgent=urgent, created_at=clock.now()))
    return entry


def history(subject: str, subject_id: int) -> list[JournalEntry]:
    """Return what happened to the object, the oldest first."""
    return list(
        db.session.scalars(
            sa.select(JournalEntry)
            .where(JournalEntry.subject == subject, JournalEntry.subject_id == subject_id)
            .order_by(JournalEntry.id)
        )
    )


def events(
    *,
    district_id: int,
    subject: str | None = None,
    by_id: int | None = None,
    since: datetime | None = None,
    before: datetime | None = None,
) -> sa.Select[tuple[int, datetime, int | None, str, int, str, dict[str, Any]]]:
    """Return a query of the district's events, the newest first."""
    query = (
        sa.select(
            JournalEntry.id,
            JournalEntry.at,
            JournalEntry.by_id,
            JournalEntry.subject,
            JournalEntry.subject_id,
            JournalEntry.message,
            JournalEntry.parameters,
        )
        .where(JournalEntry.district_id == district_id)
        .order_by(JournalEntry.id.desc())
    )
    if subject:
        query = query.where(JournalEntry.subject == subject)
    if by_id is not None:
        query = query.where(JournalEntry.by_id == by_id)
    if since is not None:
        query = query.where(JournalEntry.at >= since)
    if before is not None:
        query = query.where(JournalEntry.at < before)
    return query
