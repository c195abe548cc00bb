"""Plans: gathering what is open, having it solved, keeping, changing and publishing the answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.attributes import flag_modified

from exchange import journal, runs
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import Legality, SchoolYear, Verdict
from exchange.classes import services as classes
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
from exchange.stock.models import Floor
from exchange.stock.rules import Condition
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer, TransferLine
from exchange.transfers.rules import Kind, Party, State

RUN_KIND = "matching"
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


# --- making a plan ---


def order(*, thorough: bool = False, by: User, clock: Clock) -> runs.Run:
    """Ask for a new plan of the person's district; ``runs.submit`` it after the unit of work.

    ``thorough`` looks longer for fewer trips. While one is being made, that one is returned: neither a second
    click nor a colleague starts the same work twice.
    """
    access.require(by, Action.MATCH)
    _lock_plans(by.district_id)
    return working(by.district_id, clock=clock) or runs.enter(
        RUN_KIND, district_id=by.district_id, by_id=by.id, clock=clock, input={"thorough": thorough}
    )


def working(district_id: int, *, clock: Clock) -> runs.Run | None:
    """Return the run that is making a plan of the district now, if any."""
    run = db.session.scalar(
        sa.select(runs.Run)
        .where(
            runs.Run.district_id == district_id,
            runs.Run.kind == RUN_KIND,
            runs.Run.state.in_(runs.LIVE),
        )
        .order_by(runs.Run.id.desc())
        .limit(1)
    )
    return None if run is None or runs.lost(run, clock=clock) else run


def _lock_plans(district_id: int) -> None:
    """Let nobody else order or store a plan of the district until this unit of work ends."""
    db.session.execute(sa.select(District.id).where(District.id == district_id).with_for_update())


def perform(run: runs.Run, *, clock: Clock) -> dict[str, Any]:
    """Make the plan a run asks for: read, solve outside any transaction, store. Return its id.

    Raises ``Stale`` when somebody changed or published the draft meanwhile.
    """
    district_id, by_id, thorough = run.district_id, run.started_by_id, bool(run.input.get("thorough"))
    former = _draft(district_id)
    seen = (former.id, former.version) if former else None
    gathered = gather(
        db.session.get_one(District, district_id), clock=clock, kept=former.lines if former else ()
    )
    db.session.rollback()
    # The optimiser and its numbers are heavy: a server that never matches never loads them.
    from exchange.matching import solver

    result = solver.solve(gathered.problem, effort=solver.NORMAL if thorough else solver.QUICK)
    faults = rules.check(gathered.problem, result)
    if faults:
        raise RuntimeError(f"the plan breaks its promises: {faults[:3]}")

    def store() -> int:
        return _store(district_id, by_id, seen, gathered, result, thorough=thorough, clock=clock).id

    return {"plan_id": in_unit(store)}


def _store(
    district_id: int,
    by_id: int,
    seen: tuple[int, int] | None,
    gathered: Gathered,
    result: rules.Result,
    *,
    thorough: bool,
    clock: Clock,
) -> Plan:
    """Store the result as the district's one draft; ``seen`` is id and version of the one it replaces."""
    _lock_plans(district_id)
    former = _draft(district_id, lock=True)
    if seen != ((former.id, former.version) if former else None):
        raise Stale("Пока шёл подбор, черновик изменили, опубликовали или заменили. Подберите ещё раз.")
    removed = [line for line in former.lines if line.removed] if former else []
    reasons = rules.reasons(gathered.problem, result.trips)
    plan = Plan(
        district_id=district_id,
        state=PlanState.DRAFT,
        created_at=clock.now(),
        created_by_id=by_id,
        figures=_figures(gathered.problem, result, thorough=thorough),
        uncovered=[
            {
                "request_id": item.need_id,
                "missing": item.missing,
                "part": item.part,
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
    if former is not None:
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


def _figures(problem: rules.Problem, result: rules.Result, *, thorough: bool) -> dict[str, Any]:
    asked = sum(size.size for need in problem.needs for size in rules.layers(need))
    figures: dict[str, Any] = {
        "asked": asked,
        "weight": result.figures.weight,
        "best_weight": result.best_possible,
        "seconds": round(result.seconds, 2),
        "thorough": thorough,
        "trips_bound": next(p.bound for p in result.passes if p.name == "trips"),
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


def _draft(district_id: int, *, lock: bool = False) -> Plan | None:
    query = sa.select(Plan).where(Plan.district_id == district_id, Plan.state == PlanState.DRAFT)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return db.session.scalar(query)


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

    The lines of the same giver for the same request go with it: the parts of a textbook travel together, and
    the next plan asks this giver for all of them or for none.
    """
    access.require(by, Action.MATCH)
    # Only the address before the lock: what somebody else changes meanwhile must not be read too early.
    plan_id = db.session.scalar(sa.select(PlanLine.plan_id).where(PlanLine.id == line_id))
    if plan_id is None:
        raise NotFound
    plan = _open_draft(plan_id, seen=None, by=by)
    line = db.session.get_one(PlanLine, line_id, populate_existing=True)
    locked, removed = {
        "lock": (True, False),
        "free": (False, False),
        "remove": (False, True),
        "restore": (False, False),
    }[mark]
    together = db.session.scalars(
        sa.select(PlanLine)
        .where(
            PlanLine.plan_id == plan.id,
            PlanLine.request_id == line.request_id,
            PlanLine.giver_id == line.giver_id,
            sa.or_(PlanLine.locked != locked, PlanLine.removed != removed),
        )
        .order_by(PlanLine.id)
        .execution_options(populate_existing=True)
    ).all()
    if together:
        for other in together:
            other.locked, other.removed = locked, removed
        # A page that shows the plan without this must not publish it.
        flag_modified(plan, "state")
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
            copies=sum(other.copies for other in together),
        )
    return line


_MARKS = {
    "lock": "Закреплено: %(giver)s – %(taker)s, %(copies)s экз.",
    "free": "Откреплено: %(giver)s – %(taker)s, %(copies)s экз.",
    "remove": "Убрано: %(giver)s – %(taker)s, %(copies)s экз.",
    "restore": "Возвращено: %(giver)s – %(taker)s, %(copies)s экз.",
}


def discard(plan_id: int, *, seen: int | None, by: User, clock: Clock) -> Plan:
    """Throw a draft away; nobody but the methodist has seen it."""
    plan = _open_draft(plan_id, seen=seen, by=by)
    plan.state = PlanState.DISCARDED
    db.session.flush()
    journal.record("plan", plan.id, "План отброшен", by_id=by.id, clock=clock, district_id=plan.district_id)
    return plan


@dataclass(frozen=True)
class Failure:
    """Lines of a plan that could not be proposed any more, and why."""

    giver: str
    taker: str
    title: str
    error: DomainError


@dataclass(frozen=True)
class Published:
    """What publishing came to: the transfers made, and what could not be."""

    transfers: tuple[Transfer, ...]
    failures: tuple[Failure, ...]


def publish(plan_id: int, *, seen: int | None, by: User, clock: Clock) -> Published:
    """Turn the lines of a draft into proposals, one transfer a trip and kind, as previewed.

    What has become impossible since (somebody took the copies, withdrew the request) is left out and named,
    with all the parts of that textbook; the rest of the trip and the other trips are made. What the fund
    gives is agreed at once: the methodist speaks for it. Raises ``WrongMoment`` when nothing could be made.
    """
    plan = _open_draft(plan_id, seen=seen, by=by)
    trips: defaultdict[tuple[int, int, Kind], list[PlanLine]] = defaultdict(list)
    for line in _lines_to_publish(plan):
        trips[line.giver_id, line.taker_id, line.kind].append(line)
    if not trips:
        raise WrongMoment("В плане не осталось ни одной строки: публиковать нечего.")
    made: list[Transfer] = []
    failures: list[Failure] = []
    for _, lines in sorted(trips.items(), key=lambda item: (*item[0][:2], item[0][2].value)):
        transfer, failed = _propose_possible(lines, by=by, clock=clock)
        if transfer is not None:
            made.append(transfer)
        failures += failed
    if not made:
        raise WrongMoment(
            "Ничего из этого плана уже не выйдет: книги разобрали или заявки отозвали. Подберите заново."
        )
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


def _lines_to_publish(plan: Plan) -> Sequence[PlanLine]:
    return db.session.scalars(
        sa.select(PlanLine)
        .options(
            joinedload(PlanLine.giver),
            joinedload(PlanLine.taker),
            joinedload(PlanLine.edition).joinedload(Edition.textbook),
        )
        .where(PlanLine.plan_id == plan.id, PlanLine.removed.is_(False))
        .order_by(PlanLine.id)
        .execution_options(populate_existing=True)
    ).all()


def _propose_possible(
    lines: Sequence[PlanLine], *, by: User, clock: Clock
) -> tuple[Transfer | None, list[Failure]]:
    """Propose the lines of one transfer; where that cannot be, as many of its requests as can."""
    try:
        with db.session.begin_nested():
            return _propose(lines, by=by, clock=clock), []
    except DomainError as error:
        by_request: defaultdict[int, list[PlanLine]] = defaultdict(list)
        for line in lines:
            by_request[line.request_id].append(line)
        if len(by_request) == 1:
            return None, [_failure(lines, error)]
    possible: list[PlanLine] = []
    failures = []
    for together in by_request.values():
        trial = db.session.begin_nested()
        try:
            _propose(together, by=by, clock=clock)
        except DomainError as error:
            failures.append(_failure(together, error))
        else:
            possible += together
        finally:
            trial.rollback()
    if not possible:
        return None, failures
    try:
        with db.session.begin_nested():
            return _propose(possible, by=by, clock=clock), failures
    except DomainError as error:
        # Each could be, but not together: two lines want the same last copies.
        return None, [*failures, _failure(possible, error)]


def _failure(lines: Sequence[PlanLine], error: DomainError) -> Failure:
    titles = {line.edition.textbook.title: None for line in lines}
    return Failure(lines[0].giver.short_name, lines[0].taker.short_name, ", ".join(titles), error)


def _propose(lines: Sequence[PlanLine], *, by: User, clock: Clock) -> Transfer:
    giver = lines[0].giver
    transfer = transfers.propose(
        giver=giver,
        taker=lines[0].taker,
        kind=lines[0].kind,
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
        plan_id=lines[0].plan_id,
    )
    if giver.kind is HolderKind.FUND:
        transfers.agree(transfer.id, {}, by=by, clock=clock)
    return transfer
