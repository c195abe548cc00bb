"""The answer: lines, trips, figures, and the check that a plan keeps every promise."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from exchange.matching.rules.problem import (
    KeptBack,
    Problem,
    Refusal,
    allowed,
    completing,
    covered_by_layer,
    layers,
    locked_years,
    serveable,
    serves,
)
from exchange.transfers.rules import Kind


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
    """What a plan comes to. ``weight`` is the sum of weight times sets; unknown roads count as nothing.

    ``worst_served`` is the smallest share (0 to 1) of what could be served that any school gets
    (`fairness_of`); None where fairness is not asked for.
    """

    weight: int
    sets: int
    copies: int
    fund_copies: int
    trips: int
    trip_km: float
    copy_km: float
    worst_served: float | None = None


@dataclass(frozen=True)
class Pass:
    """One pass of the lexicographic method: what was reached and the best that could have been.

    ``bound`` is proven; where it equals ``value`` the pass is ``optimal``. Coverage and fairness (the share
    that the worst served school gets) are maximised, the rest minimised.
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
    KEPT = "kept"
    """Others have it and keep it."""
    NOT_LEGAL = "not_legal"
    LAST_YEAR = "last_year"
    REFUSED = "refused"
    NOT_ENOUGH = "not_enough"
    TAKEN = "taken"
    NOT_WORTH_A_TRIP = "not_worth_a_trip"
    """Copies are free, but the plan gives coverage up for fewer trips."""
    ONE_YEAR = "one_year"
    """Copies are free, but of other years than those that come, and the taker does not mix."""
    FIXED = "fixed"
    """Copies are free, but the methodist has set the quantity."""


class Limit(StrEnum):
    """What a plan saves trips by, at the price of coverage."""

    GIVE_UP = "give_up"
    """The share of the best weighted coverage that may be given up."""
    SMALLEST_PARCEL = "smallest_parcel"
    MOST_TRIPS = "most_trips"
    """The least number of trips that a holder with free copies is held to."""


@dataclass(frozen=True)
class Uncovered:
    """The closed reason for ``missing`` sets of a need.

    ``part`` is the part that holds the rest up, ``offered`` the copies of it that may serve the need,
    ``others`` those of them that go to other holders. ``refusals`` counts the copies that the hard
    filters keep away, ``kept`` those that holders have and do not offer. ``free`` are the copies that could
    serve and go nowhere, ``limits`` what the plan was asked to save trips by.
    """

    need_id: int
    missing: int
    reason: Shortage
    part: int
    offered: int
    others: int
    refusals: tuple[tuple[Refusal, int], ...]
    kept: tuple[tuple[KeptBack, int], ...] = ()
    free: int = 0
    limits: tuple[tuple[Limit, float], ...] = ()


@dataclass(frozen=True)
class Result:
    """A plan, what it covers, and how good it is.

    ``covered`` pairs every need's id with its covered and its asked-for sets. ``best_possible`` is the
    largest weighted coverage there is, proven. ``baseline`` is what going to the nearest donor first
    would give. ``floors`` pairs schools with the sets that fairness promises them. ``seconds`` is the time
    taken; two results that differ in it alone are equal.
    """

    trips: tuple[Trip, ...]
    covered: tuple[tuple[int, int, int], ...]
    figures: Figures
    best_possible: int
    uncovered: tuple[Uncovered, ...]
    baseline: Figures
    passes: tuple[Pass, ...]
    floors: tuple[tuple[int, int], ...] = ()
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
        worst_served=None if problem.controls.fairness is None else worst_served(problem, trips),
    )


def fairness_of(problem: Problem, trips: Sequence[Trip]) -> dict[int, tuple[int, int]]:
    """Return by school the sets that a plan serves it and the sets that it could be served (`serveable`).

    Schools that nothing could be served are not there.
    """
    could = serveable(problem)
    sets = {need_id: covered for need_id, covered, _ in coverage_of(problem, trips)}
    served: Counter[int] = Counter()
    total: Counter[int] = Counter()
    for need in problem.needs:
        served[need.taker] += sets[need.id]
        total[need.taker] += could[need.id]
    return {school: (served[school], total[school]) for school in sorted(total) if total[school]}


def worst_served(problem: Problem, trips: Sequence[Trip]) -> float:
    """Return the smallest share of what it could be served that any school is served."""
    return min((sets / could for sets, could in fairness_of(problem, trips).values()), default=1.0)


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
        complete = completing(need, parts)
        for part, missing in need.parts:
            used = complete[part]
            locked = sum(
                copies
                for (supply_id, other), copies in fixed.items()
                if other == need_id and supplies[supply_id].part == part
            )
            if parts[part] > missing:
                wrong.append(f"need {need_id}, part {part}: {parts[part]} sent, {missing} missing")
            if parts[part] > max(used, locked):
                wrong.append(f"need {need_id}, part {part}: {parts[part]} sent, {used} complete a set")
    wrong += _broken_wishes(problem, result, sent)
    if result.figures != figures_of(problem, result.trips):
        wrong.append("the figures are not those of the lines")
    if result.covered != coverage_of(problem, result.trips):
        wrong.append("the coverage is not that of the lines")
    return tuple(wrong)


def _broken_wishes(problem: Problem, result: Result, sent: Mapping[tuple[int, int], int]) -> list[str]:
    """Return which of the wishes and controls a plan does not keep."""
    wrong = [
        f"fixed line {line.supply_id} to {line.need_id}: {sent.get((line.supply_id, line.need_id), 0)}, "
        f"exactly {line.copies} wanted"
        for line in problem.fixed
        if line.exact and sent.get((line.supply_id, line.need_id), 0) != line.copies
    ]
    unmixed = {need.id for need in problem.needs if not need.mixing}
    locked = locked_years(problem)
    years: dict[int, set[int]] = defaultdict(set)
    for proposal in result.proposals:
        if proposal.need_id in unmixed:
            years[proposal.need_id].add(proposal.year)
    wrong += [
        f"need {need_id}: years {sorted(found)} mixed"
        for need_id, found in sorted(years.items())
        if (found - locked[need_id] if need_id in locked else len(found) > 1)
    ]
    fixed = {(line.supply_id, line.need_id) for line in problem.fixed}
    on_fixed = {
        (line.giver, line.taker) for line in result.proposals if (line.supply_id, line.need_id) in fixed
    }
    of_giver: dict[int, set[int]] = defaultdict(set)
    for trip in result.trips:
        of_giver[trip.giver].add(trip.taker)
        least = problem.controls.smallest_parcel
        if trip.copies < least and (trip.giver, trip.taker) not in on_fixed:
            wrong.append(f"trip {trip.giver} to {trip.taker}: {trip.copies} copies, at least {least} wanted")
    for giver, cap in sorted(problem.most_trips.items()):
        takers = of_giver.get(giver, set())
        most = max(cap, sum((giver, taker) in on_fixed for taker in takers))
        if len(takers) > most:
            wrong.append(f"giver {giver}: {len(takers)} trips, at most {most} wanted")
    reached = next((one for one in result.passes if one.name == "coverage"), None)
    if result.figures.weight > result.best_possible:
        wrong.append("more is covered than the best possible")
    if reached is not None and reached.value != result.figures.weight:
        wrong.append(f"the weight is {result.figures.weight}, the pass says {reached.value}")
    if reached is not None and not problem.limits_trips:
        least_weight = (1.0 - problem.controls.give_up) * result.best_possible
        if result.figures.weight < least_weight - 1e-6:
            wrong.append(f"the weight is {result.figures.weight}, at least {least_weight:.1f} promised")
    served = fairness_of(problem, result.trips) if result.floors else {}
    wrong += [
        f"school {school}: {served.get(school, (0, 0))[0]} sets, at least {floor} promised"
        for school, floor in result.floors
        if served.get(school, (0, 0))[0] < floor
    ]
    return wrong
