"""Plans: gathering what is open, having it solved, keeping, changing and publishing the answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from exchange import journal, runs
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import Legality, SchoolYear, Verdict
from exchange.clock import Clock
from exchange.db import db, in_unit
from exchange.errors import DomainError, NotFound, Stale, WrongMoment
from exchange.ledger.models import Balance
from exchange.matching import rules
from exchange.matching.models import Plan, PlanLine, PlanState
from exchange.postings.models import Offer, Request, RequestPart
from exchange.postings.rules import PostingState
from exchange.schools import access
from exchange.schools import services as schools
from exchange.schools.models import District, Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.stock.models import Enrolment, Floor
from exchange.stock.rules import Condition
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer, TransferLine
from exchange.transfers.rules import Kind, Party, State, default_due_back

RUN_KIND = "matching"
CONDITION_RANK = {Condition.NEW: 2, Condition.GOOD: 1, Condition.FAIR: 0}


@dataclass(frozen=True)
class Origin:
    """Where a supply comes from: an offer, or (``offer_id`` None) a balance of the fund."""

    offer_id: int | None
    owner_id: int
    due_back: date | None


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
        origins[row.id] = Origin(row.id, row.holder_id, row.due_back)
    for row, copies in _above_floors(fund, _floors(district.id)):
        verdict = verdicts[row.textbook_id]
        # A book in its last year is not worth a permanent transfer; a loan is fine. What is on a school's
        # balance is not the fund's to give away.
        lent = verdict.legality is Legality.LAST_YEAR or row.owner_kind is not HolderKind.FUND
        kind = Kind.LOAN if lent else Kind.PERMANENT
        # Offers have positive numbers, balances of the fund negative ones: the two cannot be confused.
        supplies.append(_supply(-row.id, row, copies, kind, verdict, is_fund=True))
        origins[-row.id] = Origin(None, row.owner_id, None)

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
            Offer.due_back,
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
    """Yield each balance with what the floor of its title (of each part) leaves of it."""
    kept: Counter[tuple[int, int]] = Counter()
    for row in balances:
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
    rows = db.session.execute(
        sa.select(Enrolment.school_id, Enrolment.grade, Enrolment.pupils)
        .join(Holder, Holder.id == Enrolment.school_id)
        .where(Holder.district_id == district_id, Enrolment.school_year == SchoolYear.of(today).start)
    )
    return {(row.school_id, row.grade): row.pupils for row in rows}


def _refusals(district_id: int) -> defaultdict[int, set[int]]:
    """Return, by request, the givers that refused it or let it lapse: they are not asked again."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    for request_id, giver_id in db.session.execute(
        sa.select(TransferLine.request_id, Transfer.giver_id)
        .join(Transfer)
        .where(
            Transfer.district_id == district_id,
            Transfer.state == State.DECLINED,
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


# --- making a plan ---


def order(*, by: User, clock: Clock) -> runs.Run:
    """Ask for a new plan of the person's district; ``runs.submit`` it after the unit of work."""
    access.require(by, Action.MATCH)
    return runs.enter(RUN_KIND, district_id=by.district_id, by_id=by.id, clock=clock, input={})


def perform(run: runs.Run, *, clock: Clock) -> dict[str, Any]:
    """Make the plan a run asks for: read, solve outside any transaction, store. Return its id."""
    district_id, by_id = run.district_id, run.started_by_id
    district = db.session.get_one(District, district_id)
    former = _draft(district_id)
    gathered = gather(district, clock=clock, kept=former.lines if former else ())
    former_id = former.id if former else None
    db.session.rollback()
    # The optimiser and its numbers are heavy: a server that never matches never loads them.
    from exchange.matching import solver

    result = solver.solve(gathered.problem)
    faults = rules.check(gathered.problem, result)
    if faults:
        raise RuntimeError(f"the plan breaks its promises: {faults[:3]}")

    def store() -> int:
        return _store(district_id, by_id, former_id, gathered, result, clock=clock).id

    return {"plan_id": in_unit(store)}


def _store(
    district_id: int,
    by_id: int,
    former_id: int | None,
    gathered: Gathered,
    result: rules.Result,
    *,
    clock: Clock,
) -> Plan:
    former = db.session.get(Plan, former_id, with_for_update=True) if former_id else None
    removed = [line for line in former.lines if line.removed] if former else []
    reasons = rules.reasons(gathered.problem, result.trips)
    plan = Plan(
        district_id=district_id,
        state=PlanState.DRAFT,
        created_at=clock.now(),
        created_by_id=by_id,
        figures=_figures(gathered.problem, result),
        uncovered=[
            {
                "request_id": item.need_id,
                "missing": item.missing,
                "reasons": [[s.message, dict(s.parameters)] for s in rules.explain(item)],
            }
            for item in result.uncovered
        ],
    )
    db.session.add(plan)
    for proposal in result.proposals:
        origin = gathered.origins[proposal.supply_id]
        plan.lines.append(
            PlanLine(
                giver_id=proposal.giver,
                taker_id=proposal.taker,
                edition_id=proposal.edition,
                owner_id=origin.owner_id,
                request_id=proposal.need_id,
                offer_id=origin.offer_id,
                kind=proposal.kind,
                copies=proposal.copies,
                km=proposal.km or 0.0,
                locked=bool(proposal.locked),
                reason="; ".join(str(s) for s in reasons[proposal.supply_id, proposal.need_id]),
            )
        )
    for line in removed:
        # What was taken out stays in sight, so that it can be put back.
        plan.lines.append(
            PlanLine(
                giver_id=line.giver_id,
                taker_id=line.taker_id,
                edition_id=line.edition_id,
                owner_id=line.owner_id,
                request_id=line.request_id,
                offer_id=line.offer_id,
                kind=line.kind,
                copies=line.copies,
                km=line.km,
                removed=True,
                reason=line.reason,
            )
        )
    if former is not None and former.state is PlanState.DRAFT:
        former.state = PlanState.DISCARDED
    db.session.flush()
    journal.record(
        "plan",
        plan.id,
        "Подбор выполнен: поездок %(trips)s, экземпляров %(copies)s",
        by_id=by_id,
        clock=clock,
        district_id=district_id,
        trips=result.figures.trips,
        copies=result.figures.copies,
    )
    return plan


def _figures(problem: rules.Problem, result: rules.Result) -> dict[str, Any]:
    asked = sum(size.size for need in problem.needs for size in rules.layers(need))
    figures: dict[str, Any] = {
        "asked": asked,
        "weight": result.figures.weight,
        "best_weight": result.best_possible,
        "seconds": round(result.seconds, 2),
        "offered": sum(supply.copies for supply in problem.supplies),
        "trips_bound": next((p.bound for p in result.passes if p.name == "trips"), 0),
        "optimal": {p.name: p.optimal for p in result.passes},
    }
    for name, of in (("plan", result.figures), ("baseline", result.baseline)):
        figures[name] = {
            "sets": of.sets,
            "copies": of.copies,
            "fund_copies": of.fund_copies,
            "trips": of.trips,
            "trip_km": of.trip_km,
            "weight": of.weight,
        }
    return figures


# --- changing and publishing a draft ---


def _draft(district_id: int) -> Plan | None:
    return db.session.scalar(
        sa.select(Plan)
        .where(Plan.district_id == district_id, Plan.state == PlanState.DRAFT)
        .order_by(Plan.id.desc())
        .limit(1)
    )


def plan_of(plan_id: int, *, by: User, lock: bool = False) -> Plan:
    """Return a plan of the person's district; the methodist alone sees it before it is published."""
    access.require(by, Action.MATCH)
    plan = db.session.get(Plan, plan_id, with_for_update=lock or None)
    if plan is None or plan.district_id != by.district_id:
        raise NotFound
    return plan


def _open_draft(plan_id: int, *, seen: int | None, by: User) -> Plan:
    plan = plan_of(plan_id, by=by, lock=True)
    if plan.state is not PlanState.DRAFT:
        raise WrongMoment("Этот план уже опубликован или заменён новым. Откройте последний план.")
    if seen is not None and seen != plan.version:
        raise Stale("План уже изменили на другой странице. Обновите эту.")
    return plan


def mark_line(line_id: int, mark: str, *, by: User, clock: Clock) -> PlanLine:
    """Lock a line of a draft (``mark`` «lock»), let it go («free»), take it out («remove»), put it back
    («restore»). Repeating changes nothing.
    """
    access.require(by, Action.MATCH)
    line = db.session.get(PlanLine, line_id)
    if line is None:
        raise NotFound
    plan = _open_draft(line.plan_id, seen=None, by=by)
    locked, removed = {
        "lock": (True, False),
        "free": (False, False),
        "remove": (False, True),
        "restore": (False, False),
    }[mark]
    if (line.locked, line.removed) != (locked, removed):
        line.locked, line.removed = locked, removed
        db.session.flush()
        journal.record(
            "plan",
            plan.id,
            _MARKS[mark],
            by_id=by.id,
            clock=clock,
            district_id=plan.district_id,
            giver=line.giver.short_name,
            taker=line.taker.short_name,
            copies=line.copies,
        )
    return line


_MARKS = {
    "lock": "Строка закреплена: %(giver)s – %(taker)s, %(copies)s экз.",
    "free": "Строка откреплена: %(giver)s – %(taker)s, %(copies)s экз.",
    "remove": "Строка убрана: %(giver)s – %(taker)s, %(copies)s экз.",
    "restore": "Строка возвращена: %(giver)s – %(taker)s, %(copies)s экз.",
}


def discard(plan_id: int, *, seen: int | None, by: User, clock: Clock) -> Plan:
    """Throw a draft away; nobody but the methodist has seen it."""
    plan = _open_draft(plan_id, seen=seen, by=by)
    plan.state = PlanState.DISCARDED
    db.session.flush()
    journal.record("plan", plan.id, "План отброшен", by_id=by.id, clock=clock, district_id=plan.district_id)
    return plan


@dataclass(frozen=True)
class Published:
    """What publishing came to: the transfers made, and the trips that could not be, each with its reason."""

    transfers: tuple[Transfer, ...]
    failures: tuple[tuple[str, str, DomainError], ...]
    """Giver, taker, reason."""


def publish(plan_id: int, *, seen: int | None, by: User, clock: Clock) -> Published:
    """Turn the lines of a draft into proposals, one transfer a trip and kind, as previewed.

    A trip that has become impossible since (somebody took the copies, withdrew the request) is left out
    and named; the others are made. What the fund gives is agreed at once: the methodist speaks for it.
    """
    plan = _open_draft(plan_id, seen=seen, by=by)
    district = db.session.get_one(District, plan.district_id)
    trips: defaultdict[tuple[int, int, Kind], list[PlanLine]] = defaultdict(list)
    for line in plan.lines:
        if not line.removed:
            trips[line.giver_id, line.taker_id, line.kind].append(line)
    if not trips:
        raise WrongMoment("В плане не осталось ни одной строки: публиковать нечего.")
    made: list[Transfer] = []
    failures: list[tuple[str, str, DomainError]] = []
    for (_, _, kind), lines in sorted(trips.items(), key=lambda item: (*item[0][:2], item[0][2].value)):
        giver, taker = lines[0].giver, lines[0].taker
        try:
            with db.session.begin_nested():
                made.append(
                    _propose(
                        giver, taker, kind, lines, _due_back(kind, lines, district, clock), by=by, clock=clock
                    )
                )
        except DomainError as error:
            failures.append((giver.short_name, taker.short_name, error))
    if not made:
        raise failures[0][2]
    plan.state = PlanState.PUBLISHED
    plan.published_at = clock.now()
    db.session.flush()
    journal.record(
        "plan",
        plan.id,
        "План опубликован: предложений %(made)s, не вышло %(failed)s",
        by_id=by.id,
        clock=clock,
        district_id=plan.district_id,
        made=len(made),
        failed=len(failures),
    )
    return Published(tuple(made), tuple(failures))


def _propose(
    giver: Holder,
    taker: Holder,
    kind: Kind,
    lines: Sequence[PlanLine],
    due_back: date | None,
    *,
    by: User,
    clock: Clock,
) -> Transfer:
    transfer = transfers.propose(
        giver=giver,
        taker=taker,
        kind=kind,
        lines=[
            transfers.NewLine(
                edition_id=line.edition_id,
                owner_id=line.owner_id,
                copies=line.copies,
                offer_id=line.offer_id,
                request_id=line.request_id,
                reason=line.reason,
            )
            for line in lines
        ],
        proposed_by=Party.METHODIST,
        by=by,
        clock=clock,
        due_back=due_back,
        plan_id=lines[0].plan_id,
    )
    if giver.kind is HolderKind.FUND:
        transfers.agree(
            transfer.id, {line.id: line.asked for line in transfer.lines}, seen=None, by=by, clock=clock
        )
    return transfer


def _due_back(kind: Kind, lines: Sequence[PlanLine], district: District, clock: Clock) -> date | None:
    """Return the day a loan comes back: the earliest its givers named, else the usual one."""
    if kind is not Kind.LOAN:
        return None
    today = clock.today(district.timezone)
    offer_ids = [line.offer_id for line in lines if line.offer_id is not None]
    named = db.session.scalar(
        sa.select(sa.func.min(Offer.due_back)).where(
            Offer.id.in_(offer_ids), Offer.due_back > today + timedelta(days=1)
        )
    )
    return named or default_due_back(today)
