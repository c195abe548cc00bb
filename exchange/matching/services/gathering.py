"""What is open in a district, read as a matching problem."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import count
from typing import Any

import sqlalchemy as sa

from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import Legality, SchoolYear, Verdict
from exchange.clock import Clock
from exchange.db import db
from exchange.ledger.models import Balance
from exchange.matching import rules
from exchange.matching.models import PlanLine, Wish, WishKind
from exchange.matching.services.controls import PlanControls
from exchange.postings import services as postings
from exchange.postings.models import Offer, Request, RequestPart
from exchange.postings.rules import Limit, PostingState
from exchange.provision import services as provision
from exchange.provision.rules import Holding, spare
from exchange.schools import services as schools
from exchange.schools.models import District, Holder
from exchange.schools.rules import HolderKind
from exchange.stock.models import Floor, ShelfNote
from exchange.stock.rules import NOTHING_KEPT, Condition, Reserve
from exchange.transfers.models import Transfer, TransferLine
from exchange.transfers.rules import FAILED, Kind, State

NO_LIMIT = Limit()
AS_USUAL = PlanControls()
OF_THE_METHODIST = frozenset({rules.Refusal.FORBIDDEN, rules.Refusal.FUND_KEPT, rules.Refusal.TOO_FAR})
"""What keeps copies away because the methodist wants it so; a lock of the same person weighs more."""
OF_THE_SCHOOL = frozenset({rules.KeptBack.OWN_NEED, rules.KeptBack.BUFFER, rules.KeptBack.LIMIT})
"""What keeps copies back though they stand in an offer."""
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


def gather(
    district: District,
    *,
    controls: PlanControls = AS_USUAL,
    clock: Clock,
    kept: Iterable[PlanLine] = (),
    standing: Iterable[PlanLine] = (),
    driven: Collection[tuple[int, int]] = (),
) -> Gathered:
    """Return the matching problem of a district: open surpluses, open requests, the fund above its floors.

    What is already in a living transfer is not in it: accepted and published proposals stand. Of ``kept``,
    the lines of the former draft, the locked ones are fixed and the removed ones ruled out. ``standing`` are
    the lines that a repair keeps to, ``driven`` the (giver, taker) between whom a transfer lives anyway.
    The number of queries does not depend on what there is.
    """
    today = clock.today(district.timezone)
    year = SchoolYear.of(today)
    holdings = _holdings(district.id, year, today)
    offers = _open_offers(district.id, today)
    fund = _fund_balances(district.id)
    unoffered = _unoffered(district.id, offers)
    needs = _open_requests(district.id, today)
    wanted = {row.textbook_id for row in needs}
    limits = postings.limits(district.id)
    textbooks = {row.textbook_id for row in [*offers, *fund, *(row for row, _ in unoffered)]}
    verdicts = catalog.verdicts(textbooks, on=today)
    origins: dict[int, Origin] = {}
    # Numbers beyond those of all offers, for what is not on offer; balances of the fund have negative ones.
    numbers = count(max((row.id for row in offers), default=0) + 1)

    on_offer: list[rules.Supply] = []
    stays: list[rules.Kept] = []
    for row in offers:
        limit = limits.get(row.holder_id, NO_LIMIT)
        supply = _supply(
            row.id, row, row.copies, Kind(row.kind.value), verdicts[row.textbook_id], limit, is_fund=False
        )
        origins[row.id] = Origin(row.id, row.holder_id)
        if limit.keeps(row.grade_from, row.grade_to) or _too_short(row.due_back, limit):
            stays.append(rules.Kept(replace(supply, id=next(numbers)), rules.KeptBack.LIMIT))
        else:
            on_offer.append(supply)
    beside = []
    for row, copies in unoffered:
        limit = limits.get(row.holder_id, NO_LIMIT)
        if row.textbook_id in wanted and not limit.keeps(row.grade_from, row.grade_to):
            verdict = verdicts[row.textbook_id]
            kind = Kind.LOAN if verdict.legality is Legality.LAST_YEAR else Kind.PERMANENT
            beside.append(_supply(row.id, row, copies, kind, verdict, limit, is_fund=False))
    stands = {(supply.holder, supply.textbook) for supply in (*on_offer, *beside)}
    spares = _spares(holdings, stands, controls.buffer)
    may_go, kept_by_schools = rules.keep_back(on_offer, beside, spares, numbers)
    supplies = list(may_go)
    for row, copies, held in _above_floors(fund, _floors(district.id)):
        verdict = verdicts[row.textbook_id]
        # A book in its last year is not worth a permanent transfer; a loan is fine. What is on a school's
        # balance is not the fund's to give away.
        lent = verdict.legality is Legality.LAST_YEAR or row.owner_kind is not HolderKind.FUND
        supply = _supply(
            -row.id, row, copies, Kind.LOAN if lent else Kind.PERMANENT, verdict, NO_LIMIT, is_fund=True
        )
        if copies:
            supplies.append(supply)
            origins[-row.id] = Origin(None, row.owner_id)
        if held:
            stays.append(rules.Kept(replace(supply, id=next(numbers), copies=held), rules.KeptBack.FLOOR))

    kept = list(kept)
    wishes = _wishes(district.id)
    for line in kept:
        if line.removed:
            wishes.forbidden[line.request_id].add(line.giver_id)
    problem = rules.Problem(
        supplies=tuple(supplies),
        needs=tuple(_needs(needs, _refusals(district.id), wishes, holdings)),
        km=schools.distances(district.id),
        today=today,
        year_end=year.last_day,
        max_km=controls.furthest_km,
        kept=tuple(each for each in [*stays, *kept_by_schools] if each.supply.textbook in wanted),
        forbidden=frozenset(wishes.between),
        most_trips={id_: limit.most_trips for id_, limit in limits.items() if limit.most_trips is not None},
        controls=controls.for_solver,
    )
    places = _Places(problem, origins)
    lent_months, balance = _burdens(district.id, year, today)
    return Gathered(
        replace(
            problem,
            fixed=tuple(places.still_locked(line for line in kept if line.locked)),
            lent=lent_months,
            balance=balance,
            standing=(*places.still_possible(standing), *places.trips_driven(driven)),
        ),
        origins,
    )


def _supply(
    id_: int, row: Any, copies: int, kind: Kind, verdict: Verdict, limit: Limit, *, is_fund: bool
) -> rules.Supply:
    days = [day for day in (row.available_from, limit.not_before) if day is not None]
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
        available_from=max(days, default=None),
    )


def _too_short(due_back: date | None, limit: Limit) -> bool:
    """Say whether a loan would have to be back by the day on which it may leave."""
    return due_back is not None and limit.not_before is not None and limit.not_before >= due_back


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
            Offer.due_back,
            (Offer.copies - Offer.reserved).label("copies"),
            Edition.textbook_id,
            Edition.part,
            Edition.year,
            Textbook.grade_from,
            Textbook.grade_to,
        )
        .select_from(Offer)
        .join(Edition, Edition.id == Offer.edition_id)
        .join(Textbook, Textbook.id == Edition.textbook_id)
        .where(
            Offer.district_id == district_id,
            Offer.state == PostingState.OPEN,
            Offer.expires_on >= today,
            Offer.copies > Offer.reserved,
            # A loan that would have to be back by today can no longer be lent.
            sa.or_(Offer.due_back.is_(None), Offer.due_back > today),
        )
    ).all()


def _asked(district_id: int) -> sa.Subquery:
    """Copies that a proposal not yet agreed asks for, by owner, place and edition."""
    return (
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


def _fund_balances(district_id: int) -> Sequence[Any]:
    """Return the fund's free copies, less those that a proposal not yet agreed asks for."""
    asked = _asked(district_id)
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


def _unoffered(district_id: int, offers: Sequence[Any]) -> list[tuple[Any, int]]:
    """Return the schools' own copies of textbooks somebody lacks that are neither promised, asked for, worn
    nor in one of the ``offers``.
    """
    asked = _asked(district_id)
    worn = sa.func.coalesce(ShelfNote.worn, 0)
    free = Balance.copies - Balance.promised - worn - sa.func.coalesce(asked.c.copies, 0)
    rows = db.session.execute(
        sa.select(
            Balance.id,
            Balance.holder_id,
            Balance.edition_id,
            free.label("copies"),
            Edition.textbook_id,
            Edition.part,
            Edition.year,
            Textbook.grade_from,
            Textbook.grade_to,
            sa.func.coalesce(ShelfNote.condition, Condition.GOOD).label("condition"),
            sa.null().label("available_from"),
        )
        .select_from(Balance)
        .join(Edition, Edition.id == Balance.edition_id)
        .join(Textbook, Textbook.id == Edition.textbook_id)
        .join(Holder, Holder.id == Balance.holder_id)
        .outerjoin(
            ShelfNote,
            sa.and_(ShelfNote.holder_id == Balance.holder_id, ShelfNote.edition_id == Balance.edition_id),
        )
        .outerjoin(
            asked,
            sa.and_(
                asked.c.owner_id == Balance.owner_id,
                asked.c.giver_id == Balance.holder_id,
                asked.c.edition_id == Balance.edition_id,
            ),
        )
        .where(
            Holder.district_id == district_id,
            Holder.kind == HolderKind.SCHOOL,
            Balance.owner_id == Balance.holder_id,
            free > 0,
            Edition.textbook_id.in_(
                sa.select(Request.textbook_id).where(
                    Request.district_id == district_id, Request.state == PostingState.OPEN
                )
            ),
        )
        .order_by(Balance.id)
    ).all()
    offered: Counter[tuple[int, int]] = Counter()
    for row in offers:
        offered[row.holder_id, row.edition_id] += row.copies
    return [
        (row, row.copies - offered[row.holder_id, row.edition_id])
        for row in rows
        if row.copies > offered[row.holder_id, row.edition_id]
    ]


def _holdings(district_id: int, year: SchoolYear, today: date) -> Mapping[tuple[int, int], Holding]:
    """Return what the schools have and who needs it, by school and textbook."""
    places = db.session.scalars(
        sa.select(Holder).where(Holder.district_id == district_id, Holder.kind == HolderKind.SCHOOL)
    ).all()
    return provision.holdings(schools=places, school_year=year, on=today)


def _spares(
    holdings: Mapping[tuple[int, int], Holding], places: Collection[tuple[int, int]], buffer: int | None
) -> dict[tuple[int, int, int], rules.Spare]:
    """Return what schools can do without at these places, where it is known who needs the book there.

    ``places`` are (school, textbook). ``buffer`` in per cent of the pupils takes the place of what each
    school has set, and holds also where who needs the book is only estimated.
    """
    spares = {}
    for place in places:
        holding = holdings.get(place)
        if holding is None or holding.attached is None or not holding.lasts:
            continue
        asked = holding if buffer is None else replace(holding, keeping=Reserve(buffer_percent=buffer))
        without = spare(replace(holding, keeping=NOTHING_KEPT))
        for part, copies in spare(asked).items():
            spares[*place, part] = rules.Spare(
                copies, without[part], estimated=buffer is None and not holding.listed
            )
    return spares


def _floors(district_id: int) -> dict[int, int]:
    rows = db.session.execute(
        sa.select(Floor.textbook_id, Floor.copies).where(Floor.district_id == district_id)
    )
    return {row.textbook_id: row.copies for row in rows}


def _above_floors(balances: Sequence[Any], floors: Mapping[int, int]) -> Iterable[tuple[Any, int, int]]:
    """Yield each balance with what the floor of its title (of each part) leaves of it and what it keeps.

    The oldest editions stay: the newer ones suit more requests.
    """
    kept: Counter[tuple[int, int]] = Counter()
    for row in sorted(balances, key=lambda row: (row.year, row.id)):
        still_to_keep = max(0, floors.get(row.textbook_id, 0) - kept[row.textbook_id, row.part])
        held = min(row.copies, still_to_keep)
        kept[row.textbook_id, row.part] += held
        yield row, row.copies - held, held


def _open_requests(district_id: int, today: date) -> Sequence[Any]:
    return db.session.execute(
        sa.select(
            Request.id,
            Request.school_id,
            Request.textbook_id,
            Request.year_from,
            Request.loan_acceptable,
            Request.mixing,
            Request.condition_from,
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


@dataclass(frozen=True)
class _Wishes:
    """What the methodist wants: givers ruled out and wanted first by request, pairs that are kept apart."""

    forbidden: defaultdict[int, set[int]]
    preferred: defaultdict[int, set[int]]
    between: set[tuple[int, int]]


def _wishes(district_id: int) -> _Wishes:
    found = _Wishes(defaultdict(set), defaultdict(set), set())
    for wish in db.session.execute(
        sa.select(Wish.kind, Wish.giver_id, Wish.taker_id, Wish.request_id).where(
            Wish.district_id == district_id
        )
    ):
        if wish.request_id is None:
            found.between.add((wish.giver_id, wish.taker_id))
        elif wish.kind is WishKind.FORBID:
            found.forbidden[wish.request_id].add(wish.giver_id)
        else:
            found.preferred[wish.request_id].add(wish.giver_id)
    return found


def _needs(
    rows: Sequence[Any],
    refused: Mapping[int, set[int]],
    wishes: _Wishes,
    holdings: Mapping[tuple[int, int], Holding],
) -> Iterable[rules.Need]:
    by_request: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows:
        by_request[row.id].append(row)
    for request_id, parts in by_request.items():
        first = parts[0]
        kinds = {Kind.PERMANENT, Kind.LOAN} if first.loan_acceptable else {Kind.PERMANENT}
        grades: Iterable[int] = range(first.grade_from, first.grade_to + 1) if first.grade_from else ()
        holding = holdings.get((first.school_id, first.textbook_id))
        # Those who have the book by the approved list, not everybody in its grades.
        users = holding.attached or () if holding is not None else ()
        yield rules.Need(
            id=request_id,
            taker=first.school_id,
            textbook=first.textbook_id,
            parts=tuple((row.part, row.copies) for row in parts),
            weight=rules.weight_of(
                {each.grade for each in users if each.pupils} or grades,
                max(row.copies for row in parts),
                sum(each.pupils for each in users),
            ),
            kinds=frozenset(kinds),
            year_from=first.year_from,
            condition_from=CONDITION_RANK[first.condition_from],
            needed_by=first.needed_by,
            refused_by=frozenset(refused.get(request_id, ())),
            forbidden=frozenset(wishes.forbidden.get(request_id, ())),
            preferred=frozenset(wishes.preferred.get(request_id, ())),
            mixing=first.mixing,
        )


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


def _burdens(district_id: int, year: SchoolYear, today: date) -> tuple[dict[int, int], dict[int, int]]:
    """Return, by school, its copies out on loan, each counted for every month begun, and what it has given in
    the school year less what it got: see ``rules.Problem``. Failed, stopped and returned transfers count for
    nothing. The fund is there to give.
    """
    lent: Counter[int] = Counter()
    balance: Counter[int] = Counter()
    outstanding = TransferLine.good + TransferLine.kept - TransferLine.handed_back - TransferLine.replaced
    agreed = sa.func.coalesce(TransferLine.agreed, TransferLine.asked)
    copies = sa.case((TransferLine.shipped > 0, TransferLine.shipped), else_=agreed)
    since = sa.func.coalesce(Transfer.shipped_at, Transfer.created_at)
    giver = sa.orm.aliased(Holder)
    for row in db.session.execute(
        sa.select(
            Transfer.giver_id,
            Transfer.taker_id,
            Transfer.kind,
            since.label("since"),
            Transfer.created_at,
            giver.kind.label("giver_kind"),
            sa.func.sum(outstanding).label("outstanding"),
            sa.func.sum(copies).label("copies"),
        )
        .join(TransferLine, TransferLine.transfer_id == Transfer.id)
        .join(giver, giver.id == Transfer.giver_id)
        .where(
            Transfer.district_id == district_id,
            Transfer.state.not_in({*FAILED, State.STOPPED, State.RETURNED}),
        )
        .group_by(Transfer.id, giver.kind)
    ):
        gives = row.giver_kind is HolderKind.SCHOOL
        if gives and row.kind is Kind.LOAN:
            lent[row.giver_id] += row.outstanding * ((today - row.since.date()).days // 30 + 1)
        if row.created_at.date() >= year.first_day:
            balance[row.taker_id] -= row.copies
            balance[row.giver_id] += row.copies if gives else 0
    return dict(+lent), {holder: copies for holder, copies in balance.items() if copies}


def ruled_out(lines: Iterable[PlanLine], gathered: Gathered) -> dict[int, rules.Refusal | rules.KeptBack]:
    """Return by id the lines of a plan that no longer suit what is ``gathered`` now, and why.

    What is simply not there any more, an offer withdrawn or a request covered, is not named: proposing it
    says so better.
    """
    problem = gathered.problem
    places = _Places(problem, gathered.origins)
    supplies = {supply.id: supply for supply in problem.supplies}
    needs = {need.id: need for need in problem.needs}
    keeps: defaultdict[tuple[int, int], dict[rules.KeptBack, int]] = defaultdict(dict)
    for one in problem.kept:
        if one.reason in OF_THE_SCHOOL:
            place = keeps[one.supply.holder, one.supply.edition]
            place[one.reason] = place.get(one.reason, 0) + one.supply.copies
    found: dict[int, rules.Refusal | rules.KeptBack] = {}
    given: Counter[int | None] = Counter()
    for line in lines:
        need, supply_id = needs.get(line.request_id), places.supply_of(line)
        if need is None:
            continue
        reasons = keeps[line.giver_id, line.edition_id]
        if supply_id is None:
            if reasons and line.offer_id is not None:
                found[line.id] = min(reasons)
            continue
        refusal = rules.allowed(supplies[supply_id], need, problem)
        if refusal is not None and refusal not in OF_THE_METHODIST:
            found[line.id] = refusal
            continue
        given[supply_id] += line.copies
        if reasons and line.offer_id is not None and given[supply_id] > supplies[supply_id].copies:
            found[line.id] = min(reasons)
    return found


@dataclass(frozen=True)
class Released:
    """A lock that a new plan could not keep, or for ``left`` copies only, and why (a msgid)."""

    line: PlanLine
    left: int
    reason: str


REQUEST_GONE = "заявка уже закрыта или отозвана"
OFFER_GONE = "этих книг больше не отдают"
FEWER_NOW = "столько уже не отдают или не просят"


def released(lines: Iterable[PlanLine], gathered: Gathered) -> list[Released]:
    """Return those of the locked ``lines`` that are not fixed as they were in what is ``gathered``."""
    locked = [line for line in lines if line.locked]
    places = _Places(gathered.problem, gathered.origins)
    needs = {need.id for need in gathered.problem.needs}
    fixed = {(line.supply_id, line.need_id): line.copies for line in gathered.problem.fixed}
    against = ruled_out(locked, gathered)
    found = []
    for line in locked:
        supply_id = places.supply_of(line)
        left = 0 if supply_id is None else fixed.get((supply_id, line.request_id), 0)
        if left >= line.copies:
            continue
        why = against.get(line.id)
        if isinstance(why, rules.Refusal):
            reason = rules.REFUSALS[why]
        elif why is not None:
            reason = rules.KEPT[why]
        elif line.request_id not in needs:
            reason = REQUEST_GONE
        else:
            reason = OFFER_GONE if supply_id is None else FEWER_NOW
        found.append(Released(line, left, reason))
    return found


class _Places:
    """Where the lines of a stored plan are in a problem."""

    def __init__(self, problem: rules.Problem, origins: Mapping[int, Origin]) -> None:
        self._problem = problem
        self._supplies = {supply.id: supply for supply in problem.supplies}
        self._needs = {need.id: need for need in problem.needs}
        self._by_offer = {
            origins[id_].offer_id: id_ for id_ in self._supplies if origins[id_].offer_id is not None
        }
        self._by_balance = {
            (s.holder, origins[s.id].owner_id, s.edition): s.id for s in problem.supplies if s.is_fund
        }

    def supply_of(self, line: PlanLine) -> int | None:
        """Return the supply that a line takes from, ``None`` when it is there no more."""
        if line.offer_id is not None:
            return self._by_offer.get(line.offer_id)
        return self._by_balance.get((line.giver_id, line.owner_id, line.edition_id))

    def lines_of(self, lines: Iterable[PlanLine]) -> Iterable[rules.Line]:
        """Yield the lines that can still be, as far as there are copies: what was taken meanwhile cannot."""
        left = {supply.id: supply.copies for supply in self._problem.supplies}
        missing = {(need.id, part): n for need in self._problem.needs for part, n in need.parts}
        for line in lines:
            supply_id = self.supply_of(line)
            if supply_id is None:
                continue
            need = line.request_id, self._supplies[supply_id].part
            copies = min(line.copies, left[supply_id], missing.get(need, 0))
            if copies > 0:
                left[supply_id] -= copies
                missing[need] -= copies
                yield rules.Line(supply_id, line.request_id, copies, exact=line.exact)

    def still_locked(self, lines: Iterable[PlanLine]) -> Iterable[rules.Line]:
        """Yield the locked lines that nothing but the methodist's own wishes and controls speaks against."""
        for line in self.lines_of(lines):
            supply, need = self._supplies[line.supply_id], self._needs[line.need_id]
            if rules.allowed(supply, need, self._problem) in {None, *OF_THE_METHODIST}:
                yield line

    def still_possible(self, lines: Iterable[PlanLine]) -> Iterable[rules.Line]:
        """Yield the lines of a plan to be repaired that may still be, the locked ones before the others."""
        standing = sorted(
            (line for line in lines if not line.removed), key=lambda line: (not line.locked, line.id)
        )
        for line in self.lines_of(standing):
            supply, need = self._supplies[line.supply_id], self._needs[line.need_id]
            if rules.allowed(supply, need, self._problem) is None:
                yield replace(line, exact=False)

    def trips_driven(self, pairs: Collection[tuple[int, int]]) -> Iterable[rules.Line]:
        """Yield a line of no copies for each pair of holders between whom somebody drives anyway."""
        left = set(pairs)
        needs: defaultdict[int, list[rules.Need]] = defaultdict(list)
        for need in self._problem.needs:
            needs[need.textbook].append(need)
        for supply in self._problem.supplies:
            for need in needs[supply.textbook]:
                pair = supply.holder, need.taker
                if (
                    pair in left
                    and rules.serves(supply, need)
                    and rules.allowed(supply, need, self._problem) is None
                ):
                    left.remove(pair)
                    yield rules.Line(supply.id, need.id, 0)
