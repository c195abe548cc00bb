"""What only the topmost feature can ask: the figures of the first screen, and a book across all features."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import SchoolYear
from exchange.db import db
from exchange.ledger.models import Balance
from exchange.postings.models import Offer, Request, RequestPart
from exchange.postings.rules import (
    EXPIRY_WARNING_DAYS,
    OFFER_KIND_NAMES,
    OfferKind,
    PostingState,
    is_small_count,
)
from exchange.provision import rules as provision_rules
from exchange.provision import services as provision
from exchange.provision.rules import Provided, Provision
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind, Place, may
from exchange.stock.rules import sets_of
from exchange.transfers.models import Transfer, TransferLine
from exchange.transfers.rules import STATE_NAMES, Kind, State

LATEST = 20
"""Transfers shown; the rest is in the list of transfers."""


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


def coverage_by_grade(rows: Iterable[Provided]) -> Sequence[tuple[int, Provision]]:
    """Return how the pupils of each grade are provided; no grade without pupils."""
    sums = provision_rules.provision_by(rows, lambda row: row.grade)
    return [(grade, sums[grade]) for grade in sorted(sums) if sums[grade].pupils]


def provided(schools: Collection[Holder], *, by: User, today: date) -> Sequence[Provided]:
    """Return how the pupils of some schools are provided this school year, as ``by`` may see it."""
    return provision.provision(schools=schools, school_year=SchoolYear.of(today), on=today, by=by).rows


def advice(school: Holder, *, by: User, today: date) -> provision.Proposals:
    """Return what a school is advised to do with its postings, and the provision it follows from."""
    return provision.proposals(school, on=today, by=by)


# --- a book: who has it ---


@dataclass(frozen=True)
class Holding:
    """A school or a storage place of the fund that has copies. ``unpaired``: copies beyond whole sets."""

    holder: str
    by_part: Mapping[int, int]
    sets: int
    unpaired: int
    free: int


@dataclass(frozen=True)
class Holdings:
    """Who has a book of ``parts`` parts. ``elsewhere``: copies in transit, in dispute, written off."""

    parts: int
    holdings: Sequence[Holding]
    elsewhere: Mapping[str, int]


def holdings(textbook_id: int, *, by: User) -> Holdings:
    """Return which schools of the district and which places of the fund have the book, in one query."""
    rows = _balances(textbook_id, by.district_id)
    parts = rows[0].parts if rows else 1
    copies: dict[int, dict[int, int]] = {}
    free: dict[int, dict[int, int]] = {}
    names: dict[int, str] = {}
    elsewhere: dict[str, int] = {}
    for row in rows:
        if row.kind not in (HolderKind.SCHOOL, HolderKind.FUND):
            elsewhere[row.short_name] = elsewhere.get(row.short_name, 0) + row.copies
            continue
        names[row.id] = row.short_name
        here = copies.setdefault(row.id, {})
        here[row.part] = here.get(row.part, 0) + row.copies
        spare = free.setdefault(row.id, {})
        spare[row.part] = spare.get(row.part, 0) + row.copies - row.promised
    found = []
    for holder_id, by_part in copies.items():
        sets = sets_of(by_part, parts)
        found.append(
            Holding(
                holder=names[holder_id],
                by_part=dict(sorted(by_part.items())),
                sets=sets.complete,
                unpaired=sets.unpaired,
                free=sets_of(free[holder_id], parts).complete,
            )
        )
    return Holdings(parts, found, elsewhere)


def _balances(textbook_id: int, district_id: int) -> Sequence[Any]:
    return db.session.execute(
        sa.select(
            Holder.id,
            Holder.kind,
            Holder.short_name,
            Textbook.parts,
            Edition.part,
            sa.func.sum(Balance.copies).label("copies"),
            sa.func.sum(Balance.promised).label("promised"),
        )
        .join(Holder, Holder.id == Balance.holder_id)
        .join(Edition, Edition.id == Balance.edition_id)
        .join(Textbook, Textbook.id == Edition.textbook_id)
        .where(Edition.textbook_id == textbook_id, Holder.district_id == district_id, Balance.copies > 0)
        .group_by(Holder.id, Holder.kind, Holder.short_name, Textbook.parts, Edition.part)
        .order_by(Holder.kind, Holder.short_name, Edition.part)
    ).all()


# --- who gives it, who lacks it ---


@dataclass(frozen=True)
class Posted:
    """An open posting. ``copies`` by part; empty where the number is kept back."""

    holder: str
    years: tuple[int, ...]
    copies: Mapping[int, int]
    kind: str


@dataclass(frozen=True)
class Postings:
    """Who gives and who lacks a book of ``parts`` parts."""

    parts: int
    offered: Sequence[Posted]
    lacking: Sequence[Posted]


def postings(textbook_id: int, *, by: User) -> Postings:
    """Return who gives the book and who lacks it; a number that may identify a child is kept back."""
    offered: dict[tuple[int, str], Posted] = {}
    missing: dict[int, tuple[Any, dict[int, int]]] = {}
    parts = 1
    for row in _posted(textbook_id, by.district_id):
        parts = row.parts
        if row.kind is None:
            missing.setdefault(row.id, (row, {}))[1][row.part] = row.copies
            continue
        key = row.holder_id, row.kind
        so_far = offered.get(key, Posted(row.short_name, (), {}, OFFER_KIND_NAMES[OfferKind(row.kind)]))
        copies = {**so_far.copies, row.part: so_far.copies.get(row.part, 0) + row.copies}
        years = tuple(sorted({*so_far.years, row.year}))
        offered[key] = Posted(row.short_name, years, copies, so_far.kind)
    lacking = []
    for row, copies in missing.values():
        hidden = any(is_small_count(each, special_needs=row.special_needs) for each in copies.values())
        place = Place(by.district_id, row.holder_id, HolderKind.SCHOOL)
        shown = {} if hidden and not may(by.duties, Action.SEE_SMALL_COUNTS, place) else copies
        lacking.append(Posted(row.short_name, (), shown, ""))
    return Postings(parts, list(offered.values()), lacking)


def _posted(textbook_id: int, district_id: int) -> Sequence[Any]:
    """Return what is still free of open offers and still missing of open requests, in one query."""
    offers = (
        sa.select(
            Offer.id,
            Offer.holder_id,
            Edition.textbook_id,
            Edition.part,
            Edition.year,
            (Offer.copies - Offer.reserved).label("copies"),
            sa.cast(Offer.kind, sa.String).label("kind"),
        )
        .join(Edition, Edition.id == Offer.edition_id)
        .where(
            Edition.textbook_id == textbook_id,
            Offer.district_id == district_id,
            Offer.state == PostingState.OPEN,
            Offer.copies > Offer.reserved,
        )
    )
    requests = (
        sa.select(
            Request.id,
            Request.school_id,
            Request.textbook_id,
            RequestPart.part,
            sa.null(),
            RequestPart.copies - RequestPart.matched,
            sa.null(),
        )
        .join(RequestPart, RequestPart.request_id == Request.id)
        .where(
            Request.textbook_id == textbook_id,
            Request.district_id == district_id,
            Request.state == PostingState.OPEN,
            RequestPart.copies > RequestPart.matched,
        )
    )
    both = sa.union_all(offers, requests).subquery()
    return db.session.execute(
        sa.select(both, Holder.short_name, Textbook.parts, Textbook.special_needs)
        .join(Holder, Holder.id == both.c.holder_id)
        .join(Textbook, Textbook.id == both.c.textbook_id)
        .order_by(Holder.short_name, both.c.id, both.c.part)
    ).all()


# --- where its copies went ---


@dataclass(frozen=True)
class Journey:
    """A transfer of copies of the book that has set off."""

    id: int
    shipped_at: datetime
    giver: str
    taker: str
    copies: int
    kind: Kind
    state: str


def journeys(textbook_id: int, *, by: User) -> list[Journey]:
    """Return the latest transfers of the book among those the person may see: all, or their own school's."""
    giver, taker = sa.orm.aliased(Holder), sa.orm.aliased(Holder)
    query = (
        sa.select(
            Transfer.id,
            Transfer.shipped_at,
            giver.short_name.label("giver"),
            taker.short_name.label("taker"),
            sa.func.sum(TransferLine.shipped).label("copies"),
            Transfer.kind,
            Transfer.state,
        )
        .join(TransferLine, TransferLine.transfer_id == Transfer.id)
        .join(Edition, Edition.id == TransferLine.edition_id)
        .join(giver, giver.id == Transfer.giver_id)
        .join(taker, taker.id == Transfer.taker_id)
        .where(
            Edition.textbook_id == textbook_id,
            Transfer.district_id == by.district_id,
            Transfer.shipped_at.is_not(None),
            TransferLine.shipped > 0,
        )
        .group_by(Transfer.id, giver.short_name, taker.short_name)
        .order_by(Transfer.shipped_at.desc(), Transfer.id.desc())
        .limit(LATEST)
    )
    if not access.allowed(by, Action.SEE_TRANSFER):
        own = [duty.school_id for duty in by.duties if duty.school_id is not None]
        query = query.where(sa.or_(Transfer.giver_id.in_(own), Transfer.taker_id.in_(own)))
    return [
        Journey(
            id=row.id,
            shipped_at=row.shipped_at,
            giver=row.giver,
            taker=row.taker,
            copies=row.copies,
            kind=row.kind,
            state=STATE_NAMES[State(row.state)],
        )
        for row in db.session.execute(query)
    ]
