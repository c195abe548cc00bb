"""Reads what stands in the papers of the exchange."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import SchoolYear
from exchange.clock import Clock
from exchange.db import db
from exchange.ledger.models import Balance as LedgerBalance
from exchange.postings import services as postings
from exchange.postings.models import Offer, Request, RequestPart
from exchange.postings.rules import PostingState, is_small_count
from exchange.provision import services as provision
from exchange.reports import rules
from exchange.reports.rules import Balance, Book, Missing, Surplus
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.stock.models import ShelfNote


def surplus(school: Holder, *, by: User, clock: Clock) -> list[Surplus]:
    """Return what a school has open to others: copies that nobody has asked for. Two queries."""
    access.require_private(by, Action.SEE_SHELF, school)
    rows, _ = postings.offers_of(school.id, state=PostingState.OPEN, limit=None)
    rows = [row for row in rows if row.copies > row.reserved]
    numbers = _numbers({row.textbook_id for row in rows}, school, clock)
    return [
        Surplus(
            book=_book(row, row.textbook_id, numbers, row.part if row.parts > 1 else None),
            year=row.year,
            copies=row.copies - row.reserved,
            condition=row.condition,
            kind=row.kind,
            due_back=row.due_back,
            available_from=row.available_from,
            note=row.note,
        )
        for row in rows
    ]


def missing(school: Holder, *, by: User, clock: Clock) -> list[Missing]:
    """Return what a school asks for and has not found, with its pupils and its shelf. Eight queries."""
    access.require_private(by, Action.SEE_SHELF, school)
    rows, _ = postings.requests_of(school.id, state=PostingState.OPEN, limit=None)
    parts = postings.parts_of([row.id for row in rows])
    ids = {row.textbook_id for row in rows}
    special = _special_needs(ids)
    pupils = _pupils(school, clock.today(school.district.timezone)) if rows else {}
    held = _held(school.id, ids)
    numbers = _numbers(ids, school, clock)
    sees_all = access.allowed(by, Action.SEE_SMALL_COUNTS, school)
    result = []
    for row in rows:
        known = pupils.get(row.textbook_id)
        small = any(
            is_small_count(count, special_needs=row.textbook_id in special)
            for part in parts[row.id]
            for count in (part.copies, part.copies - part.matched, known or 0)
        )
        for part in parts[row.id]:
            if part.copies == part.matched:
                continue
            copies, worn = held.get((row.textbook_id, part.part), (0, 0))
            result.append(
                Missing(
                    book=_book(row, row.textbook_id, numbers, part.part if row.parts > 1 else None),
                    pupils=known,
                    held=copies,
                    worn=worn,
                    copies=part.copies - part.matched,
                    reason=row.reason,
                    needed_by=row.needed_by,
                    year_from=row.year_from,
                    hidden=small and not sees_all,
                )
            )
    return result


@dataclass(frozen=True)
class Consolidated:
    """«Сводная ведомость» of a district, by title and in total by school."""

    rows: Sequence[Balance]
    schools: Sequence[rules.SchoolTotal]


def consolidated(*, by: User, clock: Clock) -> Consolidated:
    """Return the open surpluses and needs of the person's district beside its fund, as ``by`` may see them.

    Five queries. The methodist makes it, the accountant reads it.
    """
    access.require(by, Action.SEE_SHELF)
    board = postings.board(by=by, school=None, clock=clock, limit=None)
    fund = _fund_ids(by.district_id)
    numbers = catalog.numbers({row.book.id for row in board.rows}, clock.today(by.district.timezone))
    rows = []
    for each in board.rows:
        for part in range(1, each.book.parts + 1):
            spare: dict[str, int] = {}
            free = 0
            for giver in each.givers:
                if giver.part != part:
                    continue
                if giver.holder_id in fund:
                    free += giver.copies
                else:
                    spare[giver.holder] = spare.get(giver.holder, 0) + giver.copies
            lacking: dict[str, int | None] = {}
            for seeker in each.seekers:
                # Which parts a number that is kept back is about is kept back too.
                if seeker.copies is None:
                    lacking[seeker.holder] = None
                elif seeker.copies.get(part):
                    lacking[seeker.holder] = seeker.copies[part]
            if spare or free or lacking:
                rows.append(
                    Balance(
                        book=_book(each.book, each.book.id, numbers, part if each.book.parts > 1 else None),
                        spare=spare,
                        lacking=lacking,
                        fund=free,
                    )
                )
    return Consolidated(rows, rules.by_school(rows))


@dataclass(frozen=True)
class SchoolPapers:
    """A school in the index of the papers, with how many postings each paper would have."""

    id: int
    name: str
    offers: int
    requests: int


def papers_of(schools: Collection[Holder]) -> list[SchoolPapers]:
    """Return how many open surpluses and requests some schools have, in two queries."""
    ids = [school.id for school in schools]
    offers = _counts(
        sa.select(Offer.holder_id, sa.func.count())
        .where(Offer.holder_id.in_(ids), Offer.state == PostingState.OPEN, Offer.copies > Offer.reserved)
        .group_by(Offer.holder_id)
    )
    requests = _counts(
        sa.select(Request.school_id, sa.func.count(sa.distinct(Request.id)))
        .join(RequestPart)
        .where(
            Request.school_id.in_(ids),
            Request.state == PostingState.OPEN,
            RequestPart.copies > RequestPart.matched,
        )
        .group_by(Request.school_id)
    )
    return [
        SchoolPapers(school.id, school.short_name, offers.get(school.id, 0), requests.get(school.id, 0))
        for school in schools
    ]


def _counts(query: sa.Select[int, int]) -> dict[int, int]:
    return {row[0]: row[1] for row in db.session.execute(query)}


def _pupils(school: Holder, today: date) -> dict[int, int]:
    """Return the pupils who need each textbook that the school holds or asks for, where it is known."""
    report = provision.provision(schools=[school], school_year=SchoolYear.of(today), on=today)
    return {each.textbook_id: each.pupils for each in report.holdings if each.attached is not None}


def _held(school_id: int, textbook_ids: Collection[int]) -> dict[tuple[int, int], tuple[int, int]]:
    """Return, by textbook and part, the copies on the school's shelf and how many are to be written off."""
    here = (
        sa.select(
            Edition.textbook_id,
            Edition.part,
            LedgerBalance.edition_id,
            sa.func.sum(LedgerBalance.copies).label("copies"),
        )
        .join(Edition, Edition.id == LedgerBalance.edition_id)
        .where(LedgerBalance.holder_id == school_id, Edition.textbook_id.in_(textbook_ids))
        .group_by(Edition.textbook_id, Edition.part, LedgerBalance.edition_id)
        .subquery()
    )
    worn = sa.func.coalesce(ShelfNote.worn, 0)
    rows = db.session.execute(
        sa.select(
            here.c.textbook_id,
            here.c.part,
            sa.func.sum(here.c.copies),
            # Worn copies may have left with the others.
            sa.func.sum(sa.case((worn < here.c.copies, worn), else_=here.c.copies)),
        )
        .outerjoin(
            ShelfNote, sa.and_(ShelfNote.edition_id == here.c.edition_id, ShelfNote.holder_id == school_id)
        )
        .group_by(here.c.textbook_id, here.c.part)
    )
    return {(textbook, part): (int(copies), int(unfit)) for textbook, part, copies, unfit in rows}


def _special_needs(textbook_ids: Collection[int]) -> set[int]:
    return set(
        db.session.scalars(
            sa.select(Textbook.id).where(Textbook.id.in_(textbook_ids), Textbook.special_needs.is_(True))
        )
    )


def _fund_ids(district_id: int) -> set[int]:
    return set(
        db.session.scalars(
            sa.select(Holder.id).where(Holder.district_id == district_id, Holder.kind == HolderKind.FUND)
        )
    )


def _numbers(ids: Collection[int], school: Holder, clock: Clock) -> Mapping[int, catalog.Number]:
    return catalog.numbers(ids, clock.today(school.district.timezone)) if ids else {}


def _book(row: Any, textbook_id: int, numbers: Mapping[int, catalog.Number], part: int | None) -> Book:
    listed = numbers.get(textbook_id)
    return Book(
        textbook_id=textbook_id,
        number=f"{listed.number} ({listed.order})" if listed else "",
        subject=row.subject,
        authors=row.authors,
        title=row.title,
        grades=rules.grades_of(row.grade_from, row.grade_to),
        level=row.level,
        publisher=row.publisher,
        part=part,
    )
