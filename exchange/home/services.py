"""The figures of the first screen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import sqlalchemy as sa

from exchange.catalog.rules import SchoolYear
from exchange.db import db
from exchange.ledger.models import Balance
from exchange.postings.models import Offer, Request, RequestPart
from exchange.postings.rules import EXPIRY_WARNING_DAYS, PostingState
from exchange.schools.models import Holder
from exchange.schools.rules import HolderKind
from exchange.stock import rules as stock_rules
from exchange.stock import services as stock
from exchange.stock.rules import Provision


@dataclass(frozen=True)
class Figures:
    """What is open on the board and in the fund: of a school, or of the whole district.

    ``offered`` and ``missing`` are copies that can still be asked for and that nobody has promised yet;
    ``ending`` postings expire within days.
    """

    offers: int
    offered: int
    requests: int
    missing: int
    ending: int
    fund_copies: int
    fund_promised: int


def figures(district_id: int, school: Holder | None, *, today: date) -> Figures:
    """Return the figures of ``school``, or of all schools where none is given; four queries."""
    soon = today + timedelta(days=EXPIRY_WARNING_DAYS)
    offer = [Offer.district_id == district_id, Offer.state == PostingState.OPEN, Offer.expires_on >= today]
    wanted = [
        Request.district_id == district_id,
        Request.state == PostingState.OPEN,
        Request.expires_on >= today,
    ]
    if school is not None:
        offer.append(Offer.holder_id == school.id)
        wanted.append(Request.school_id == school.id)
    offers, offered, offers_ending = db.session.execute(
        sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(Offer.copies - Offer.reserved), 0),
            sa.func.coalesce(sa.func.sum(sa.case((Offer.expires_on <= soon, 1), else_=0)), 0),
        ).where(*offer)
    ).one()
    requests, requests_ending = db.session.execute(
        sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(sa.case((Request.expires_on <= soon, 1), else_=0)), 0),
        ).where(*wanted)
    ).one()
    missing = db.session.scalar(
        sa.select(sa.func.sum(RequestPart.copies - RequestPart.matched)).join(Request).where(*wanted)
    )
    fund_copies, fund_promised = db.session.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(Balance.copies), 0),
            sa.func.coalesce(sa.func.sum(Balance.promised), 0),
        )
        .join(Holder, Holder.id == Balance.holder_id)
        .where(Holder.district_id == district_id, Holder.kind == HolderKind.FUND)
    ).one()
    return Figures(
        offers=offers,
        offered=int(offered),
        requests=requests,
        missing=int(missing or 0),
        ending=int(offers_ending) + int(requests_ending),
        fund_copies=int(fund_copies),
        fund_promised=int(fund_promised),
    )


def coverage_by_grade(schools: Collection[Holder], *, today: date) -> Sequence[tuple[int, Provision]]:
    """Return how the pupils of each grade are provided this school year; no grade without pupils."""
    rows = stock.provision(schools=schools, school_year=SchoolYear.of(today), on=today).rows
    grades = sorted({row.grade for row in rows})
    return [(grade, stock_rules.provision_of(row for row in rows if row.grade == grade)) for grade in grades]
