"""What the papers of the exchange are made of: a school's surpluses and needs, the district's balance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from exchange.catalog import services as catalog
from exchange.catalog.models import Edition
from exchange.catalog.rules import SchoolYear
from exchange.catalog.services import Number
from exchange.clock import Clock
from exchange.db import db
from exchange.ledger.models import Balance as Account
from exchange.postings import services as postings
from exchange.postings.models import Offer, Request
from exchange.postings.rules import PostingState, is_small_count
from exchange.provision.services import provision
from exchange.reports import rules
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.stock.models import ShelfNote


@dataclass(frozen=True)
class Surplus:
    """A line of «Сведения об излишках». ``book`` has the columns of ``postings.services.offers_of``."""

    book: Any
    number: Number | None
    copies: int
    """Copies that can still be asked for."""


@dataclass(frozen=True)
class Missing:
    """A line of «Заявка на недостающие»: one part of a textbook that a school asks for. All in copies.

    ``book`` has the columns of ``postings.services.requests_of``. ``pupils`` need it (``None``: not known).
    ``here`` stand on the shelf, the borrowed ones too, of them ``worn`` are unfit. ``hidden``: the reader may
    see neither the pupils nor the copies: a small count may identify a child.
    """

    book: Any
    number: Number | None
    part: int
    pupils: int | None
    here: int
    worn: int
    missing: int
    hidden: bool


@dataclass(frozen=True)
class Consolidated:
    """A line of «Сводная ведомость». ``book`` has the columns of ``postings.services.BoardRow.book``."""

    book: Any
    number: Number | None
    balance: rules.Balance


def surplus(school: Holder, *, by: User, clock: Clock) -> list[Surplus]:
    """Return what a school has on the board and nobody has asked for yet, by title. Two queries."""
    access.require_private(by, Action.SEE_SHELF, school)
    rows, _total = postings.offers_of(school.id, state=PostingState.OPEN, limit=None)
    left = [row for row in rows if row.copies > row.reserved]
    numbers = _numbers(left, school, clock)
    return [Surplus(row, numbers.get(row.textbook_id), row.copies - row.reserved) for row in left]


def missing(school: Holder, *, by: User, clock: Clock) -> list[Missing]:
    """Return what a school asks for and has not been promised yet, by title and part. Eight queries."""
    access.require_private(by, Action.SEE_SHELF, school)
    rows, _total = postings.requests_of(school.id, state=PostingState.OPEN, limit=None)
    parts = postings.parts_of([row.id for row in rows])
    numbers = _numbers(rows, school, clock)
    pupils = _pupils(school, clock.today(school.district.timezone))
    copies = _copies(school, {row.textbook_id for row in rows})
    told = access.allowed(by, Action.SEE_SMALL_COUNTS, school)
    result = []
    for row in rows:
        small = any(
            is_small_count(count, special_needs=row.special_needs)
            for part in parts[row.id]
            for count in (part.copies, part.copies - part.matched)
        )
        for part in parts[row.id]:
            if part.copies > part.matched:
                here, worn = copies.get((row.textbook_id, part.part), (0, 0))
                result.append(
                    Missing(
                        book=row,
                        number=numbers.get(row.textbook_id),
                        part=part.part,
                        pupils=pupils.get(row.textbook_id),
                        here=here,
                        worn=worn,
                        missing=part.copies - part.matched,
                        hidden=small and not told,
                    )
                )
    return result


def consolidated(
    *, by: User, clock: Clock, subject: str = "", grade: int | None = None
) -> tuple[list[Consolidated], Sequence[str]]:
    """Return the district's surpluses and needs by title and part, and the subjects there are.

    For those who may look into every school. Five queries.
    """
    access.require(by, Action.SEE_SHELF)
    board = postings.board(
        by=by, school=None, clock=clock, subject=subject, grade=grade, with_subjects=True, limit=None
    )
    numbers = catalog.numbers([row.book.id for row in board.rows], clock.today(by.district.timezone))
    lines = [
        Consolidated(row.book, numbers.get(row.book.id), balance)
        for row in board.rows
        for balance in rules.balances(
            # The fund's copies are on the board without an offer.
            (rules.Spare(g.holder if g.offer_id else "", g.part, g.copies) for g in row.givers),
            (rules.Lack(seeker.holder, seeker.copies) for seeker in row.seekers),
        )
    ]
    return lines, board.subjects


def posted(school_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Return, by school, how many offers and requests it has on the board. Two queries."""

    def counts(table: Any, column: Any) -> dict[int, int]:
        query = (
            sa.select(column, sa.func.count())
            .where(column.in_(school_ids), table.state == PostingState.OPEN)
            .group_by(column)
        )
        return {school_id: int(count) for school_id, count in db.session.execute(query)}

    offers = counts(Offer, Offer.holder_id)
    requests = counts(Request, Request.school_id)
    return {id_: (offers.get(id_, 0), requests.get(id_, 0)) for id_ in school_ids}


def schools_of(by: User) -> list[Holder]:
    """Return the schools whose papers ``by`` may see, by name."""
    return [h for h in access.acting_for(by, Action.SEE_SHELF) if h.kind is HolderKind.SCHOOL]


def _numbers(rows: Sequence[Any], school: Holder, clock: Clock) -> dict[int, Number]:
    return catalog.numbers([row.textbook_id for row in rows], clock.today(school.district.timezone))


def _pupils(school: Holder, today: date) -> Mapping[int, int]:
    """Return, by textbook, the pupils of the school who need it, of all its grades."""
    report = provision(schools=[school], school_year=SchoolYear.of(today), on=today)
    pupils: defaultdict[int, int] = defaultdict(int)
    for row in report.rows:
        pupils[row.textbook_id] += row.pupils
    return pupils


def _copies(school: Holder, textbook_ids: Collection[int]) -> dict[tuple[int, int], tuple[int, int]]:
    """Return the copies on the shelf, and how many of them are worn, by textbook and part."""
    here = (
        sa.select(Account.edition_id, sa.func.sum(Account.copies).label("copies"))
        .where(Account.holder_id == school.id)
        .group_by(Account.edition_id)
        .subquery()
    )
    worn = sa.func.coalesce(ShelfNote.worn, 0)
    rows = db.session.execute(
        sa.select(
            Edition.textbook_id,
            Edition.part,
            sa.func.sum(here.c.copies),
            sa.func.sum(sa.case((worn < here.c.copies, worn), else_=here.c.copies)),
        )
        .join(here, here.c.edition_id == Edition.id)
        .outerjoin(ShelfNote, sa.and_(ShelfNote.edition_id == Edition.id, ShelfNote.holder_id == school.id))
        .where(Edition.textbook_id.in_(textbook_ids))
        .group_by(Edition.textbook_id, Edition.part)
    )
    return {(book, part): (int(copies), int(spoilt)) for book, part, copies, spoilt in rows}
