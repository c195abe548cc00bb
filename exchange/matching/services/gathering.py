"""What is open in a district, read as a matching problem."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import Legality, SchoolYear, Verdict
from exchange.classes import services as classes
from exchange.clock import Clock
from exchange.db import db
from exchange.ledger.models import Balance
from exchange.matching import rules
from exchange.matching.models import PlanLine
from exchange.postings.models import Offer, Request, RequestPart
from exchange.postings.rules import PostingState
from exchange.schools import services as schools
from exchange.schools.models import District, Holder
from exchange.schools.rules import HolderKind
from exchange.stock.models import Floor
from exchange.stock.rules import Condition
from exchange.transfers.models import Transfer, TransferLine
from exchange.transfers.rules import Kind, State

CONDITION_RANK = {Condition.NEW: 2, Condition.GOOD: 1, Condition.FAIR: 0}


@dataclass(frozen=True)
class Origin:
    """Where a supply comes from: an offer, or (``offer_id`` None) a balance of the fund."""

    offer_id: int | None
    owner_id: int


@dataclass(frozen=True)
class Gathered:
    """The problem of a district as it stands, and what its supplies are in the books."""

    problem: rules.Problem
    origins: Mapping[int, Origin]


def gather(district: District, *, clock: Clock, kept: Iterable[PlanLine] = ()) -> Gathered:
    """Return the matching problem of a district: open surpluses, open requests, the fund above its floors.

    What is already in a living transfer is not in it: accepted and published proposals stand. Of ``kept``,
    the lines of the former draft, the locked ones are fixed and the removed ones count as refused.
    """
    today = clock.today(district.timezone)
    offers = _open_offers(district.id, today)
    fund = _fund_balances(district.id)
    needs = _open_requests(district.id, today)
    verdicts = catalog.verdicts({row.textbook_id for row in [*offers, *fund]}, on=today)
    supplies: list[rules.Supply] = []
    origins: dict[int, Origin] = {}
    for row in offers:
        kind = Kind(row.kind.value)
        supplies.append(_supply(row.id, row, row.copies, kind, verdicts[row.textbook_id], is_fund=False))
        origins[row.id] = Origin(row.id, row.holder_id)
    for row, copies in _above_floors(fund, _floors(district.id)):
        verdict = verdicts[row.textbook_id]
        # A book in its last year is not worth a permanent transfer; a loan is fine. What is on a school's
        # balance is not the fund's to give away.
        lent = verdict.legality is Legality.LAST_YEAR or row.owner_kind is not HolderKind.FUND
        kind = Kind.LOAN if lent else Kind.PERMANENT
        # Offers have positive numbers, balances of the fund negative ones: the two cannot be confused.
        supplies.append(_supply(-row.id, row, copies, kind, verdict, is_fund=True))
        origins[-row.id] = Origin(None, row.owner_id)

    kept = list(kept)
    refused = _refusals(district.id)
    for line in kept:
        if line.removed:
            refused[line.request_id].add(line.giver_id)
    problem = rules.Problem(
        supplies=tuple(supplies),
        needs=tuple(_needs(needs, refused, _enrolment(district.id, today))),
        km=schools.distances(district.id),
        today=today,
        year_end=SchoolYear.of(today).last_day,
    )
    return Gathered(_with_locks(problem, kept, origins), origins)


def _supply(id_: int, row: Any, copies: int, kind: Kind, verdict: Verdict, *, is_fund: bool) -> rules.Supply:
    return rules.Supply(
        id=id_,
        holder=row.holder_id,
        edition=row.edition_id,
        textbook=row.textbook_id,
        part=row.part,
        year=row.year,
        copies=copies,
        kind=kind,
        is_fund=is_fund,
        condition=CONDITION_RANK[row.condition],
        legal_until=_last_day(verdict),
        available_from=row.available_from,
    )


def _last_day(verdict: Verdict) -> date | None:
    """Return the last day of use, ``None`` for a book that may be used on; a day long past for the others."""
    if verdict.legality is Legality.ALLOWED:
        return None
    return verdict.until if verdict.until is not None else date.min


def _open_offers(district_id: int, today: date) -> Sequence[Any]:
    return db.session.execute(
        sa.select(
            Offer.id,
            Offer.holder_id,
            Offer.edition_id,
            Offer.kind,
            Offer.condition,
            Offer.available_from,
            (Offer.copies - Offer.reserved).label("copies"),
            Edition.textbook_id,
            Edition.part,
            Edition.year,
        )
        .join(Edition)
        .where(
            Offer.district_id == district_id,
            Offer.state == PostingState.OPEN,
            Offer.expires_on >= today,
            Offer.copies > Offer.reserved,
            # A loan that would have to be back by today can no longer be lent.
            sa.or_(Offer.due_back.is_(None), Offer.due_back > today),
        )
    ).all()


def _fund_balances(district_id: int) -> Sequence[Any]:
    """Return the fund's free copies, less those that a proposal not yet agreed asks for."""
    asked = (
        sa.select(
            TransferLine.owner_id,
            Transfer.giver_id,
            TransferLine.edition_id,
            sa.func.sum(TransferLine.asked).label("copies"),
        )
        .join(Transfer)
        .where(Transfer.district_id == district_id, Transfer.state == State.PROPOSED)
        .group_by(TransferLine.owner_id, Transfer.giver_id, TransferLine.edition_id)
        .subquery()
    )
    free = Balance.copies - Balance.promised - sa.func.coalesce(asked.c.copies, 0)
    owner = sa.orm.aliased(Holder)
    return db.session.execute(
        sa.select(
            Balance.id,
            Balance.owner_id,
            owner.kind.label("owner_kind"),
            Balance.holder_id,
            Balance.edition_id,
            free.label("copies"),
            Edition.textbook_id,
            Edition.part,
            Edition.year,
            sa.literal(Condition.GOOD, sa.Enum(Condition)).label("condition"),
            sa.null().label("available_from"),
        )
        .join(Edition, Edition.id == Balance.edition_id)
        .join(Holder, Holder.id == Balance.holder_id)
        .join(owner, owner.id == Balance.owner_id)
        .outerjoin(
            asked,
            sa.and_(
                asked.c.owner_id == Balance.owner_id,
                asked.c.giver_id == Balance.holder_id,
                asked.c.edition_id == Balance.edition_id,
            ),
        )
        .where(Holder.district_id == district_id, Holder.kind == HolderKind.FUND, free > 0)
        .order_by(Balance.id)
    ).all()


def _floors(district_id: int) -> dict[int, int]:
    rows = db.session.execute(
        sa.select(Floor.textbook_id, Floor.copies).where(Floor.district_id == district_id)
    )
    return {row.textbook_id: row.copies for row in rows}


def _above_floors(balances: Sequence[Any], floors: Mapping[int, int]) -> Iterable[tuple[Any, int]]:
    """Yield each balance with what the floor of its title (of each part) leaves of it.

    The oldest editions stay: the newer ones suit more requests.
    """
    kept: Counter[tuple[int, int]] = Counter()
    for row in sorted(balances, key=lambda row: (row.year, row.id)):
        still_to_keep = max(0, floors.get(row.textbook_id, 0) - kept[row.textbook_id, row.part])
        held = min(row.copies, still_to_keep)
        kept[row.textbook_id, row.part] += held
        if row.copies > held:
            yield row, row.copies - held


def _open_requests(district_id: int, today: date) -> Sequence[Any]:
    return db.session.execute(
        sa.select(
            Request.id,
            Request.school_id,
            Request.textbook_id,
            Request.year_from,
            Request.loan_acceptable,
            Request.needed_by,
            RequestPart.part,
            (RequestPart.copies - RequestPart.matched).label("copies"),
            Textbook.grade_from,
            Textbook.grade_to,
        )
        .join(RequestPart, RequestPart.request_id == Request.id)
        .join(Textbook, Textbook.id == Request.textbook_id)
        .where(
            Request.district_id == district_id,
            Request.state == PostingState.OPEN,
            Request.expires_on >= today,
            RequestPart.copies > RequestPart.matched,
        )
        .order_by(Request.id, RequestPart.part)
    ).all()


def _needs(
    rows: Sequence[Any], refused: Mapping[int, set[int]], enrolment: Mapping[tuple[int, int], int]
) -> Iterable[rules.Need]:
    by_request: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows:
        by_request[row.id].append(row)
    for request_id, parts in by_request.items():
        first = parts[0]
        kinds = {Kind.PERMANENT, Kind.LOAN} if first.loan_acceptable else {Kind.PERMANENT}
        grades = range(first.grade_from, first.grade_to + 1) if first.grade_from else range(0)
        pupils = sum(enrolment.get((first.school_id, grade), 0) for grade in grades)
        yield rules.Need(
            id=request_id,
            taker=first.school_id,
            textbook=first.textbook_id,
            parts=tuple((row.part, row.copies) for row in parts),
            weight=rules.weight_of(grades, max(row.copies for row in parts), pupils),
            kinds=frozenset(kinds),
            year_from=first.year_from,
            needed_by=first.needed_by,
            refused_by=frozenset(refused.get(request_id, ())),
        )


def _enrolment(district_id: int, today: date) -> dict[tuple[int, int], int]:
    schools = db.session.scalars(
        sa.select(Holder.id).where(Holder.district_id == district_id, Holder.kind == HolderKind.SCHOOL)
    ).all()
    return {
        (school_id, grade): pupils
        for school_id, by_grade in classes.enrolments(schools, SchoolYear.of(today).start).items()
        for grade, pupils in by_grade.items()
    }


def _refusals(district_id: int) -> defaultdict[int, set[int]]:
    """Return, by request, the givers that refused it, wholly or in part, or let it lapse: they are not asked
    again. What was withdrawn before the giver had answered says nothing about the giver.
    """
    found: defaultdict[int, set[int]] = defaultdict(set)
    for request_id, giver_id in db.session.execute(
        sa.select(TransferLine.request_id, Transfer.giver_id)
        .join(Transfer)
        .where(
            Transfer.district_id == district_id,
            sa.or_(
                Transfer.state == State.DECLINED,
                sa.and_(Transfer.state == State.WITHDRAWN, TransferLine.agreed.is_not(None)),
                TransferLine.agreed < TransferLine.asked,
            ),
        )
    ):
        if request_id is not None:
            found[request_id].add(giver_id)
    return found


def _with_locks(
    problem: rules.Problem, kept: Iterable[PlanLine], origins: Mapping[int, Origin]
) -> rules.Problem:
    """Fix the locked lines that can still be: what was taken meanwhile cannot."""
    by_offer = {origin.offer_id: id_ for id_, origin in origins.items() if origin.offer_id is not None}
    by_balance = {(s.holder, origins[s.id].owner_id, s.edition): s.id for s in problem.supplies if s.is_fund}
    left = {supply.id: supply.copies for supply in problem.supplies}
    parts = {supply.id: supply.part for supply in problem.supplies}
    missing = {(need.id, part): copies for need in problem.needs for part, copies in need.parts}
    fixed = []
    for line in kept:
        if not line.locked:
            continue
        supply_id = (
            by_offer.get(line.offer_id)
            if line.offer_id is not None
            else by_balance.get((line.giver_id, line.owner_id, line.edition_id))
        )
        if supply_id is None:
            continue
        need = line.request_id, parts[supply_id]
        copies = min(line.copies, left[supply_id], missing.get(need, 0))
        if copies > 0:
            left[supply_id] -= copies
            missing[need] -= copies
            fixed.append(rules.Line(supply_id, line.request_id, copies))
    return rules.Problem(
        supplies=problem.supplies,
        needs=problem.needs,
        km=problem.km,
        today=problem.today,
        year_end=problem.year_end,
        fixed=tuple(fixed),
    )
