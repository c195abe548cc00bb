"""The matching problem, its answer, the hard filters and the sentences that explain a plan.

Formulation: givers (schools and the reserve fund) offer copies of editions, takers need copies of
textbooks; a *line* moves whole copies of one offer to one need, a *trip* is a pair (giver, taker) with at
least one line, and costs one act and one drive. Wanted, in this order: the most need covered (weighted),
the least taken from the fund, the fewest trips, the fewest copy-kilometres.

Several parts of one textbook are needed together. A need that lacks 5 copies of part 1 and 15 of part 2
is read as *layers*: 5 sets of both parts, then 10 single copies of part 2 (the taker has their part 1
already). A set counts when all its parts come, so the parts of a layer arrive in equal numbers.

Copies are whole copies, distances kilometres by road, identifiers are those of the stored offers,
requests and holders.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from exchange.errors import Invalid
from exchange.transfers.rules import Kind

# --- The problem ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Supply:
    """Copies of one edition that a holder offers.

    ``edition`` identifies textbook, ``year`` and ``part`` (0: in one volume). ``condition`` is a rank,
    higher is better. ``legal_until`` is the last day the book may be taught from; None: without limit.
    ``available_from`` is the first day it may leave; None: now.
    """

    id: int
    holder: int
    edition: int
    textbook: int
    part: int
    year: int
    copies: int
    kind: Kind = Kind.PERMANENT
    is_fund: bool = False
    condition: int = 0
    legal_until: date | None = None
    available_from: date | None = None


@dataclass(frozen=True)
class Need:
    """What a holder lacks of one textbook.

    ``parts`` pairs each part with the copies still missing of it. ``weight`` is the worth of one covered set.
    ``year_from`` is the oldest acceptable year, ``editions`` the only acceptable editions (None: any),
    ``condition_from`` the lowest acceptable rank, ``refused_by`` the holders that have declined this need.
    """

    id: int
    taker: int
    textbook: int
    parts: tuple[tuple[int, int], ...]
    weight: int = 1
    kinds: frozenset[Kind] = frozenset(Kind)
    year_from: int | None = None
    editions: frozenset[int] | None = None
    condition_from: int = 0
    needed_by: date | None = None
    refused_by: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Line:
    """At least so many copies of an offer go to a need: an accepted or locked proposal."""

    supply_id: int
    need_id: int
    copies: int


@dataclass(frozen=True)
class Problem:
    """Everything a plan is made from.

    ``supplies`` and ``needs`` include the copies of the ``fixed`` lines. ``km`` holds the road between
    two holders in either direction; a pair that is not there has no known road. ``year_end`` is the last
    day of the school year planned for. With ``max_km`` no line goes further, the fund's excepted.
    """

    supplies: tuple[Supply, ...]
    needs: tuple[Need, ...]
    km: Mapping[tuple[int, int], float]
    today: date
    year_end: date
    fixed: tuple[Line, ...] = ()
    max_km: float | None = None

    def road(self, giver: int, taker: int) -> float | None:
        """Return the kilometres between two holders, None when the road is not known."""
        there = self.km.get((giver, taker))
        return self.km.get((taker, giver)) if there is None else there

    def in_order(self) -> Problem:
        """Return the same problem in the one order that a plan may depend on: by identifiers."""
        return Problem(
            supplies=tuple(sorted(self.supplies, key=lambda supply: supply.id)),
            needs=tuple(sorted(self.needs, key=lambda need: need.id)),
            km=self.km,
            today=self.today,
            year_end=self.year_end,
            fixed=tuple(sorted(self.fixed, key=lambda line: (line.supply_id, line.need_id))),
            max_km=self.max_km,
        )


# --- The hard filters -----------------------------------------------------------------------------


class Refusal(StrEnum):
    """Why an offer may not serve a need."""

    OWN_SCHOOL = "own_school"
    NOT_LEGAL = "not_legal"
    LAST_YEAR = "last_year"
    EDITION = "edition"
    TOO_OLD = "too_old"
    LOAN_NOT_ACCEPTED = "loan_not_accepted"
    ONLY_LOAN_ACCEPTED = "only_loan_accepted"
    CONDITION = "condition"
    TOO_LATE = "too_late"
    REFUSED_BEFORE = "refused_before"
    TOO_FAR = "too_far"


REFUSALS: Mapping[Refusal, str] = {
    Refusal.OWN_SCHOOL: "книга этой же школы",
    Refusal.NOT_LEGAL: "срок использования истекает до конца учебного года",
    Refusal.LAST_YEAR: "последний год использования: передавать насовсем не стоит, можно взять на время",
    Refusal.EDITION: "другое издание",
    Refusal.TOO_OLD: "год издания старше допустимого",
    Refusal.LOAN_NOT_ACCEPTED: "отдают только на время, а нужно насовсем",
    Refusal.ONLY_LOAN_ACCEPTED: "отдают только насовсем, а нужно на время",
    Refusal.CONDITION: "состояние хуже допустимого",
    Refusal.TOO_LATE: "освободится позже, чем нужно",
    Refusal.REFUSED_BEFORE: "держатель уже отказал по этой заявке",
    Refusal.TOO_FAR: "слишком далеко",
}


def serves(supply: Supply, need: Need) -> bool:
    """Tell whether the offer is of a part of the textbook that is needed."""
    return supply.textbook == need.textbook and any(supply.part == part for part, _ in need.parts)


def allowed(supply: Supply, need: Need, problem: Problem) -> Refusal | None:
    """Return the first reason why the offer may not serve the need, None when it may.

    The offer is taken to be of the right textbook and part (`serves`). The reasons stand in the order in
    which a person would name them.
    """
    if supply.holder == need.taker:
        return Refusal.OWN_SCHOOL
    if supply.legal_until is not None:
        if supply.legal_until < problem.year_end:
            return Refusal.NOT_LEGAL
        year_after = problem.year_end.replace(year=problem.year_end.year + 1)
        if supply.kind is Kind.PERMANENT and supply.legal_until < year_after:
            return Refusal.LAST_YEAR
    if need.editions is not None and supply.edition not in need.editions:
        return Refusal.EDITION
    if need.year_from is not None and supply.year < need.year_from:
        return Refusal.TOO_OLD
    if supply.kind not in need.kinds:
        return Refusal.LOAN_NOT_ACCEPTED if supply.kind is Kind.LOAN else Refusal.ONLY_LOAN_ACCEPTED
    if supply.condition < need.condition_from:
        return Refusal.CONDITION
    # A date that has passed already no longer rules anything out: late is better than never.
    wanted_by = None if need.needed_by is None else max(need.needed_by, problem.today)
    if supply.available_from is not None and wanted_by is not None and supply.available_from > wanted_by:
        return Refusal.TOO_LATE
    if supply.holder in need.refused_by:
        return Refusal.REFUSED_BEFORE
    if problem.max_km is not None and not supply.is_fund:
        km = problem.road(supply.holder, need.taker)
        if km is None or km > problem.max_km:
            return Refusal.TOO_FAR
    return None


@dataclass(frozen=True)
class Layer:
    """Sets of the same parts that one need lacks; see the module's text."""

    need_id: int
    parts: tuple[int, ...]
    size: int


def layers(need: Need) -> tuple[Layer, ...]:
    """Split a need into layers of sets, those that lack the most parts first."""
    found = []
    below = 0
    for level in sorted({copies for _, copies in need.parts if copies > 0}):
        parts = tuple(sorted(part for part, copies in need.parts if copies >= level))
        found.append(Layer(need.id, parts, level - below))
        below = level
    return tuple(found)


def covered_by_layer(need: Need, received: Mapping[int, int]) -> tuple[int, ...]:
    """Return how many sets of each of the need's `layers` the ``received`` copies of each part complete.

    The total is the largest possible: layers are nested, so a set of a deep layer that gives way to one of a
    shallow layer never frees room for two.
    """
    left = dict(received)
    sets = []
    for layer in layers(need):
        complete = min(layer.size, *(left.get(part, 0) for part in layer.parts))
        for part in layer.parts:
            left[part] = left.get(part, 0) - complete
        sets.append(complete)
    return tuple(sets)


# --- The answer -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proposal:
    """Whole copies of one offer for one need. ``km`` is None when the road is not known.

    ``locked`` is the number of copies that a fixed line asked for; ``copies`` is never less.
    """

    supply_id: int
    need_id: int
    giver: int
    taker: int
    textbook: int
    edition: int
    part: int
    year: int
    copies: int
    km: float | None
    kind: Kind
    locked: int = 0


@dataclass(frozen=True)
class Trip:
    """All that one giver brings one taker: one act, one drive."""

    giver: int
    taker: int
    km: float | None
    proposals: tuple[Proposal, ...]

    @property
    def copies(self) -> int:
        """Return the copies carried."""
        return sum(proposal.copies for proposal in self.proposals)

    @property
    def textbooks(self) -> int:
        """Return the number of different textbooks carried."""
        return len({proposal.textbook for proposal in self.proposals})


@dataclass(frozen=True)
class Figures:
    """What a plan comes to. ``weight`` is the sum of weight times sets; unknown roads count as nothing."""

    weight: int
    sets: int
    copies: int
    fund_copies: int
    trips: int
    trip_km: float
    copy_km: float


@dataclass(frozen=True)
class Pass:
    """One pass of the lexicographic method: what was reached and the best that could have been.

    ``bound`` is proven; where it equals ``value`` the pass is ``optimal``. Coverage is maximised, the rest
    minimised.
    """

    name: str
    value: float
    bound: float

    @property
    def optimal(self) -> bool:
        """Tell whether nothing better exists, given the passes before."""
        return abs(self.value - self.bound) < 1e-6 * max(1.0, abs(self.bound))


class Shortage(StrEnum):
    """Why a need, or a part of it, stays uncovered."""

    NOBODY = "nobody"
    NOT_LEGAL = "not_legal"
    REFUSED = "refused"
    NOT_ENOUGH = "not_enough"
    TAKEN = "taken"


@dataclass(frozen=True)
class Uncovered:
    """The closed reason for ``missing`` sets of a need.

    ``part`` is the part that holds the rest up, ``offered`` the copies of it that may serve the need,
    ``others`` those of them that go to other holders. ``refusals`` counts the copies that the hard
    filters keep away.
    """

    need_id: int
    missing: int
    reason: Shortage
    part: int
    offered: int
    others: int
    refusals: tuple[tuple[Refusal, int], ...]


@dataclass(frozen=True)
class Result:
    """A plan, what it covers, and how good it is.

    ``covered`` pairs every need's id with its covered and its asked-for sets. ``best_possible`` is the
    largest weighted coverage there is, proven. ``baseline`` is what going to the nearest donor first
    would give. ``seconds`` is the time taken; two results that differ in it alone are equal.
    """

    trips: tuple[Trip, ...]
    covered: tuple[tuple[int, int, int], ...]
    figures: Figures
    best_possible: int
    uncovered: tuple[Uncovered, ...]
    baseline: Figures
    passes: tuple[Pass, ...]
    seconds: float = field(default=0.0, compare=False)

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """Return the lines of all trips."""
        return tuple(proposal for trip in self.trips for proposal in trip.proposals)


#: Copies by (supply id, need id).
Shipments = Mapping[tuple[int, int], int]


def trips_of(problem: Problem, shipments: Shipments) -> tuple[Trip, ...]:
    """Group shipped copies into trips, by giver and taker."""
    supplies = {supply.id: supply for supply in problem.supplies}
    needs = {need.id: need for need in problem.needs}
    locked = {(line.supply_id, line.need_id): line.copies for line in problem.fixed}
    carried: dict[tuple[int, int], list[Proposal]] = defaultdict(list)
    for (supply_id, need_id), copies in sorted(shipments.items()):
        if not copies:
            continue
        supply, need = supplies[supply_id], needs[need_id]
        carried[supply.holder, need.taker].append(
            Proposal(
                supply_id=supply.id,
                need_id=need.id,
                giver=supply.holder,
                taker=need.taker,
                textbook=supply.textbook,
                edition=supply.edition,
                part=supply.part,
                year=supply.year,
                copies=copies,
                km=problem.road(supply.holder, need.taker),
                kind=supply.kind,
                locked=locked.get((supply_id, need_id), 0),
            )
        )
    return tuple(
        Trip(
            giver,
            taker,
            problem.road(giver, taker),
            tuple(sorted(lines, key=lambda line: (line.textbook, line.need_id, line.part, line.supply_id))),
        )
        for (giver, taker), lines in sorted(carried.items())
    )


def received(trips: Iterable[Trip]) -> dict[int, Counter[int]]:
    """Return the copies that each need receives of each part."""
    counts: dict[int, Counter[int]] = defaultdict(Counter)
    for trip in trips:
        for proposal in trip.proposals:
            counts[proposal.need_id][proposal.part] += proposal.copies
    return counts


def figures_of(problem: Problem, trips: Sequence[Trip]) -> Figures:
    """Count what a plan comes to."""
    got = received(trips)
    sets = {need.id: sum(covered_by_layer(need, got[need.id])) for need in problem.needs if need.id in got}
    fund = {supply.id for supply in problem.supplies if supply.is_fund}
    return Figures(
        weight=sum(need.weight * sets.get(need.id, 0) for need in problem.needs),
        sets=sum(sets.values()),
        copies=sum(trip.copies for trip in trips),
        fund_copies=sum(line.copies for trip in trips for line in trip.proposals if line.supply_id in fund),
        trips=len(trips),
        trip_km=sum(trip.km or 0.0 for trip in trips),
        copy_km=sum(trip.copies * (trip.km or 0.0) for trip in trips),
    )


def coverage_of(problem: Problem, trips: Sequence[Trip]) -> tuple[tuple[int, int, int], ...]:
    """Return (need id, covered sets, asked-for sets) for every need, by id."""
    got = received(trips)
    return tuple(
        (
            need.id,
            sum(covered_by_layer(need, got.get(need.id, {}))),
            sum(layer.size for layer in layers(need)),
        )
        for need in sorted(problem.needs, key=lambda need: need.id)
    )


def shortages(problem: Problem, trips: Sequence[Trip]) -> tuple[Uncovered, ...]:
    """Say for every need that is not wholly covered why, by the part that holds it up."""
    offers: dict[tuple[int, int], list[Supply]] = defaultdict(list)
    for supply in problem.supplies:
        offers[supply.textbook, supply.part].append(supply)
    used: Counter[int] = Counter()
    mine: Counter[tuple[int, int]] = Counter()
    for trip in trips:
        for line in trip.proposals:
            used[line.supply_id] += line.copies
            mine[line.need_id, line.supply_id] += line.copies
    found = []
    needs = {need.id: need for need in problem.needs}
    for need_id, sets, asked in coverage_of(problem, trips):
        if sets == asked:
            continue
        need = needs[need_id]
        candidates = []
        for part, _ in need.parts:
            offered = free = others = elsewhere = 0
            refusals: Counter[Refusal] = Counter()
            for supply in offers[need.textbook, part]:
                refusal = allowed(supply, need, problem)
                if refusal is Refusal.OWN_SCHOOL:
                    continue
                elsewhere += supply.copies
                if refusal is not None:
                    refusals[refusal] += supply.copies
                    continue
                offered += supply.copies
                free += supply.copies - used[supply.id]
                others += used[supply.id] - mine[need.id, supply.id]
            if not elsewhere:
                reason = Shortage.NOBODY
            elif not offered and set(refusals) <= {Refusal.NOT_LEGAL, Refusal.LAST_YEAR}:
                reason = Shortage.NOT_LEGAL
            elif not offered:
                reason = Shortage.REFUSED
            else:
                reason = Shortage.TAKEN if others else Shortage.NOT_ENOUGH
            candidates.append(
                (
                    free,
                    offered,
                    part,
                    Uncovered(
                        need.id, asked - sets, reason, part, offered, others, tuple(sorted(refusals.items()))
                    ),
                )
            )
        # The part of which nothing is left holds up the others; of several, the scarcest.
        found.append(min(candidates, key=lambda candidate: candidate[:3])[3])
    return tuple(found)


def check_fixed(problem: Problem) -> None:
    """Refuse fixed lines that name unknown offers or needs, or more copies than there are."""
    supplies = {supply.id: supply for supply in problem.supplies}
    needs = {need.id: need for need in problem.needs}
    given: Counter[int] = Counter()
    taken: Counter[tuple[int, int]] = Counter()
    for line in problem.fixed:
        supply, need = supplies.get(line.supply_id), needs.get(line.need_id)
        if supply is None or need is None or line.copies < 1 or not serves(supply, need):
            raise Invalid("Закреплённая строка не подходит ни к одной заявке: её нужно снять.")
        given[supply.id] += line.copies
        taken[need.id, supply.part] += line.copies
        if given[supply.id] > supply.copies:
            raise Invalid(
                "Закреплено %(fixed)s экз., а отдают %(copies)s.",
                fixed=given[supply.id],
                copies=supply.copies,
            )
        missing = dict(need.parts)[supply.part]
        if taken[need.id, supply.part] > missing:
            raise Invalid(
                "Закреплено %(fixed)s экз., а нужно %(copies)s.",
                fixed=taken[need.id, supply.part],
                copies=missing,
            )


def check(problem: Problem, result: Result) -> tuple[str, ...]:
    """Return what is wrong with a plan, in English, nothing when it keeps every promise.

    Independent of the solver: it counts again from the problem and the lines alone.
    """
    wrong: list[str] = []
    supplies = {supply.id: supply for supply in problem.supplies}
    needs = {need.id: need for need in problem.needs}
    fixed = {(line.supply_id, line.need_id): line.copies for line in problem.fixed}
    given: Counter[int] = Counter()
    sent: Counter[tuple[int, int]] = Counter()
    for trip in result.trips:
        if not trip.proposals:
            wrong.append(f"trip {trip.giver} to {trip.taker} is empty")
        for line in trip.proposals:
            supply, need = supplies[line.supply_id], needs[line.need_id]
            name = f"line {line.supply_id} to {line.need_id}"
            if type(line.copies) is not int or line.copies < 1:
                wrong.append(f"{name}: {line.copies!r} is not a whole number of copies")
            if (line.giver, line.taker) != (supply.holder, need.taker) or (trip.giver, trip.taker) != (
                supply.holder,
                need.taker,
            ):
                wrong.append(f"{name}: not on its own trip")
            if not serves(supply, need):
                wrong.append(f"{name}: another textbook or part")
            elif (supply.id, need.id) not in fixed and (refusal := allowed(supply, need, problem)):
                wrong.append(f"{name}: {refusal.value}")
            given[supply.id] += line.copies
            sent[supply.id, need.id] += line.copies
    if len({(trip.giver, trip.taker) for trip in result.trips}) != len(result.trips):
        wrong.append("a pair of holders has two trips")
    wrong += [
        f"offer {supply_id}: {copies} given of {supplies[supply_id].copies}"
        for supply_id, copies in given.items()
        if copies > supplies[supply_id].copies
    ]
    wrong += [
        f"fixed line {supply_id} to {need_id}: {sent[supply_id, need_id]} of {copies}"
        for (supply_id, need_id), copies in fixed.items()
        if sent[supply_id, need_id] < copies
    ]
    got = received(result.trips)
    for need_id, parts in got.items():
        need = needs[need_id]
        sets = covered_by_layer(need, parts)
        for part, missing in need.parts:
            used = sum(n for n, layer in zip(sets, layers(need), strict=True) if part in layer.parts)
            locked = sum(
                copies
                for (supply_id, other), copies in fixed.items()
                if other == need_id and supplies[supply_id].part == part
            )
            if parts[part] > missing:
                wrong.append(f"need {need_id}, part {part}: {parts[part]} sent, {missing} missing")
            if parts[part] > max(used, locked):
                wrong.append(f"need {need_id}, part {part}: {parts[part]} sent, {used} complete a set")
    if result.figures != figures_of(problem, result.trips):
        wrong.append("the figures are not those of the lines")
    if result.covered != coverage_of(problem, result.trips):
        wrong.append("the coverage is not that of the lines")
    return tuple(wrong)


# --- The sentences --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sentence:
    """A Russian message and what fills it in."""

    message: str
    parameters: Mapping[str, object]

    def __str__(self) -> str:
        return self.message % self.parameters


class Why(StrEnum):
    """Why this giver and not another."""

    LOCKED = "locked"
    ROAD_UNKNOWN = "road_unknown"
    FUND = "fund"
    ONLY = "only"
    NEAREST = "nearest"
    SAME_TRIP = "same_trip"
    SHARED_OUT = "shared_out"
    FEWER_TRIPS = "fewer_trips"


WHY: Mapping[Why, str] = {
    Why.LOCKED: "Закреплено методистом: %(copies)s из %(asked)s экз.",
    Why.ROAD_UNKNOWN: "Подходящая книга, дорога не указана: %(copies)s из %(asked)s экз.",
    Why.FUND: "Резервный фонд, у школ таких книг не хватает: %(copies)s из %(asked)s экз., %(km)s км",
    Why.ONLY: "Единственная школа с подходящей книгой: %(copies)s из %(asked)s экз., %(km)s км",
    Why.NEAREST: "Ближайшая школа с подходящей книгой: %(copies)s из %(asked)s экз., %(km)s км",
    Why.SAME_TRIP: "Эта поездка нужна и для других книг: %(copies)s из %(asked)s экз., %(km)s км",
    Why.SHARED_OUT: "Книги ближних школ отданы другим: %(copies)s из %(asked)s экз., %(km)s км",
    Why.FEWER_TRIPS: "Так по району меньше поездок: %(copies)s из %(asked)s экз., %(km)s км",
}
ALONG = "этой же поездкой – ещё учебников: %(others)s"

SHORTAGES: Mapping[Shortage, str] = {
    Shortage.NOBODY: "Такой книги никто не отдаёт",
    Shortage.NOT_LEGAL: "Отдают %(refused)s экз., но передать их уже нельзя",
    Shortage.REFUSED: "Отдают %(refused)s экз., но они не подходят",
    Shortage.NOT_ENOUGH: "Подходящих во всём районе %(offered)s экз.",
    Shortage.TAKEN: "Подходящих в районе %(offered)s экз., из них другим школам идёт %(others)s",
}
SHORTAGES_BESIDES: Mapping[Shortage, str] = {
    Shortage.NOT_ENOUGH: "Подходящих во всём районе %(offered)s экз.; прочие книги не подходят",
    Shortage.TAKEN: "Подходящих в районе %(offered)s экз., из них другим школам идёт %(others)s; "
    "прочие книги не подходят",
}
"""The same where the hard filters keep further copies away, which are then listed."""
REFUSED = "%(copies)s экз. – %(reason)s"


def why(problem: Problem, trips: Sequence[Trip]) -> dict[tuple[int, int], Why]:
    """Say of every proposal, by (supply id, need id), why its giver was chosen."""
    offers: dict[tuple[int, int], list[Supply]] = defaultdict(list)
    for supply in problem.supplies:
        offers[supply.textbook, supply.part].append(supply)
    needs = {need.id: need for need in problem.needs}
    used: Counter[int] = Counter()
    for trip in trips:
        for line in trip.proposals:
            used[line.supply_id] += line.copies
    answers = {}
    for trip in trips:
        for line in trip.proposals:
            need = needs[line.need_id]
            rivals = [
                supply
                for supply in offers[line.textbook, line.part]
                if supply.holder != line.giver and not supply.is_fund and not allowed(supply, need, problem)
            ]
            nearer = [
                supply
                for supply in rivals
                if (distance(problem.road(supply.holder, need.taker)) < distance(line.km))
            ]
            if line.locked:
                answer = Why.LOCKED
            elif line.km is None:
                answer = Why.ROAD_UNKNOWN
            elif any(s.is_fund and s.id == line.supply_id for s in offers[line.textbook, line.part]):
                answer = Why.FUND
            elif not rivals:
                answer = Why.ONLY
            elif not nearer:
                answer = Why.NEAREST
            elif trip.textbooks > 1:
                answer = Why.SAME_TRIP
            elif all(used[supply.id] == supply.copies for supply in nearer):
                answer = Why.SHARED_OUT
            else:
                answer = Why.FEWER_TRIPS
            answers[line.supply_id, line.need_id] = answer
    return answers


def distance(km: float | None) -> float:
    """Order roads by length, unknown ones last."""
    return float("inf") if km is None else km


def reasons(problem: Problem, trips: Sequence[Trip]) -> dict[tuple[int, int], tuple[Sentence, ...]]:
    """Return the clauses of each proposal's one-line reason, by (supply id, need id); join them with «; »."""
    asked = {(need.id, part): copies for need in problem.needs for part, copies in need.parts}
    answers = why(problem, trips)
    found: dict[tuple[int, int], tuple[Sentence, ...]] = {}
    for trip in trips:
        others = trip.textbooks - 1
        for line in trip.proposals:
            key = line.supply_id, line.need_id
            first = Sentence(
                WHY[answers[key]],
                {
                    "copies": line.copies,
                    "asked": asked[line.need_id, line.part],
                    "km": None if line.km is None else round(line.km),
                },
            )
            found[key] = (first, Sentence(ALONG, {"others": others})) if others else (first,)
    return found


def explain(uncovered: Uncovered) -> tuple[Sentence, ...]:
    """Return why a need is not covered: the reason, then after a colon what the hard filters keep away."""
    reasons = {**SHORTAGES, **SHORTAGES_BESIDES} if uncovered.refusals else SHORTAGES
    reason = Sentence(
        reasons[uncovered.reason],
        {
            "offered": uncovered.offered,
            "others": uncovered.others,
            "refused": sum(copies for _, copies in uncovered.refusals),
        },
    )
    return reason, *(
        Sentence(REFUSED, {"copies": copies, "reason": REFUSALS[refusal]})
        for refusal, copies in uncovered.refusals
    )


# --- The worth of a need ----------------------------------------------------------------------------

#: A pupil without a book in these grades counts double: the first, and those that end in an examination.
FIRST_AND_EXAM_GRADES = frozenset({1, 9, 11})


def weight_of(grades: Iterable[int], missing: int, pupils: int) -> int:
    """Return the worth of one covered set: double for first and exam grades, doubled again where more than
    half of the pupils have no book.
    """
    weight = 2 if FIRST_AND_EXAM_GRADES.intersection(grades) else 1
    return weight * 2 if pupils and missing * 2 > pupils else weight
