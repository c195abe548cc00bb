"""Who got the copies: the numbers behind a proposal; whose needs went before another's, by which rule."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from exchange.matching.rules.explanations import shortages
from exchange.matching.rules.plan import Proposal, Trip, Uncovered, received
from exchange.matching.rules.problem import (
    Need,
    Problem,
    Supply,
    allowed,
    covered_by_layer,
    distance,
    layers,
)


@dataclass(frozen=True)
class Sent:
    """Copies that go to a holder's need."""

    need_id: int
    taker: int
    copies: int


@dataclass(frozen=True)
class Rival:
    """A nearer offer that might have served a need: its copies, and where the plan sends them."""

    supply: Supply
    km: float
    sent: tuple[Sent, ...]

    @property
    def free(self) -> int:
        """Return the copies that go nowhere."""
        return self.supply.copies - sum(one.copies for one in self.sent)


@dataclass(frozen=True)
class Opened:
    """A proposal with the numbers behind it.

    ``asked`` and ``offered`` are copies of its part; ``from_others`` those the need gets from other givers;
    ``nearer`` the other holders' offers closer by, the nearest first; ``further`` the number of other givers
    that are not. ``besides`` are the other proposals of the same trip.
    """

    proposal: Proposal
    asked: int
    offered: int
    from_others: int
    nearer: tuple[Rival, ...]
    further: int
    besides: tuple[Proposal, ...]


def opened(problem: Problem, trips: Sequence[Trip], supply_id: int, need_id: int) -> Opened:
    """Return a proposal of the plan with the numbers behind it."""
    trip, line = next(
        (trip, line)
        for trip in trips
        for line in trip.proposals
        if (line.supply_id, line.need_id) == (supply_id, need_id)
    )
    need = next(need for need in problem.needs if need.id == need_id)
    sent = _sent(trips)
    others = [
        supply
        for supply in _offers(problem, need, line.part)
        if supply.holder != line.giver and not allowed(supply, need, problem)
    ]
    nearer = [
        Rival(supply, km, tuple(sent[supply.id]))
        for supply in others
        if (km := distance(problem.road(supply.holder, need.taker))) < distance(line.km)
    ]
    return Opened(
        proposal=line,
        asked=dict(need.parts)[line.part],
        offered=next(supply.copies for supply in problem.supplies if supply.id == supply_id),
        from_others=received(trips)[need_id][line.part] - line.copies,
        nearer=tuple(sorted(nearer, key=lambda rival: (rival.km, rival.supply.id))),
        further=len({supply.holder for supply in others} - {rival.supply.holder for rival in nearer}),
        besides=tuple(
            other for other in trip.proposals if (other.supply_id, other.need_id) != (supply_id, need_id)
        ),
    )


def _offers(problem: Problem, need: Need, part: int) -> Iterable[Supply]:
    return (s for s in problem.supplies if (s.textbook, s.part) == (need.textbook, part))


def _sent(trips: Iterable[Trip]) -> dict[int, list[Sent]]:
    """Return by supply where its copies go."""
    sent: dict[int, list[Sent]] = defaultdict(list)
    for trip in trips:
        for line in trip.proposals:
            sent[line.supply_id].append(Sent(line.need_id, line.taker, line.copies))
    return sent


class Rule(StrEnum):
    """By which rule a competing need got copies that another need could use."""

    FIXED = "fixed"
    WEIGHT = "weight"
    PREFERRED = "preferred"
    FAIRNESS = "fairness"
    FEWER_TRIPS = "fewer_trips"
    NEARER = "nearer"
    EARLIER = "earlier"
    OTHER_PARTS = "other_parts"
    DISTRICT = "district"


RULES: Mapping[Rule, str] = {
    Rule.FIXED: "закреплено методистом",
    Rule.WEIGHT: "их заявка весит больше: %(weight)s против %(own_weight)s",
    Rule.PREFERRED: "методист просил давать им отсюда в первую очередь",
    Rule.FAIRNESS: "они обеспечены хуже: %(served)s %% против %(own_served)s %%",
    Rule.FEWER_TRIPS: "туда от этого держателя едут и с другими книгами, к вам была бы лишняя поездка",
    Rule.NEARER: "они ближе: %(km)s км против %(own_km)s км",
    Rule.EARLIER: "при прочих равных их заявка подана раньше",
    Rule.OTHER_PARTS: "без другой части комплект всё равно не был бы полным",
    Rule.DISTRICT: "так во всём районе меньше поездок и короче дорога",
}


@dataclass(frozen=True)
class Competitor:
    """A need that got copies which another could use, and the rule that decided, with its numbers."""

    giver: int
    year: int
    need_id: int
    taker: int
    copies: int
    rule: Rule
    parameters: Mapping[str, float]


@dataclass(frozen=True)
class NeedReview:
    """What became of one need: what comes and from whom; where it falls short, why and who got the copies."""

    need: Need
    sets: int
    asked: int
    proposals: tuple[Proposal, ...]
    shortage: Uncovered | None
    competitors: tuple[Competitor, ...]


def review(problem: Problem, trips: Sequence[Trip], taker: int) -> tuple[NeedReview, ...]:
    """Say of each need of a school what became of it, the least covered first."""
    court = _Court(problem, trips)
    short = {item.need_id: item for item in shortages(problem, trips)}
    got = received(trips)
    reviews = []
    for need in problem.needs:
        if need.taker != taker:
            continue
        shortage = short.get(need.id)
        reviews.append(
            NeedReview(
                need=need,
                sets=sum(covered_by_layer(need, got.get(need.id, {}))),
                asked=_asked(need),
                proposals=tuple(line for trip in trips for line in trip.proposals if line.need_id == need.id),
                shortage=shortage,
                competitors=tuple(court.competitors(need, shortage)) if shortage else (),
            )
        )
    return tuple(sorted(reviews, key=lambda one: (one.sets - one.asked, one.need.id)))


def _asked(need: Need) -> int:
    return sum(layer.size for layer in layers(need))


class _Court:
    """Says by which rule each copy went where it went.

    A copy moved from one need to another of equal weight leaves coverage where it is, and the use of the fund
    too, as it is the same copy: what decides between them are the later passes, in their order.
    """

    def __init__(self, problem: Problem, trips: Sequence[Trip]) -> None:
        self.problem = problem
        self.needs = {need.id: need for need in problem.needs}
        self.sent = _sent(trips)
        self.fixed = {(line.supply_id, line.need_id) for line in problem.fixed}
        self.carried = {(trip.giver, trip.taker): len(trip.proposals) for trip in trips}
        self.served = _served(problem, trips)

    def competitors(self, need: Need, shortage: Uncovered) -> Iterable[Competitor]:
        """Return who got copies of the part that holds the need up, the most copies first."""
        found = []
        for supply in _offers(self.problem, need, shortage.part):
            if allowed(supply, need, self.problem):
                continue
            for sent in self.sent[supply.id]:
                if sent.need_id != need.id:
                    rule, parameters = self._rule(need, self.needs[sent.need_id], supply)
                    found.append(
                        Competitor(
                            supply.holder,
                            supply.year,
                            sent.need_id,
                            sent.taker,
                            sent.copies,
                            rule,
                            parameters,
                        )
                    )
        return sorted(found, key=lambda one: (-one.copies, one.need_id, one.giver, one.year))

    def _rule(self, need: Need, rival: Need, supply: Supply) -> tuple[Rule, Mapping[str, float]]:
        here = self.problem.road(supply.holder, need.taker)
        there = self.problem.road(supply.holder, rival.taker)
        own_served, served = self.served[need.taker], self.served[rival.taker]
        if (supply.id, rival.id) in self.fixed:
            return Rule.FIXED, {}
        if rival.weight > need.weight:
            return Rule.WEIGHT, {"weight": rival.weight, "own_weight": need.weight}
        if rival.weight < need.weight:
            several = any(len(layer.parts) > 1 for layer in layers(need))
            return (Rule.OTHER_PARTS if several else Rule.DISTRICT), {}
        if supply.holder in rival.preferred and supply.holder not in need.preferred:
            return Rule.PREFERRED, {}
        if self.problem.controls.fairness is not None and served < own_served:
            return Rule.FAIRNESS, {"served": round(100 * served), "own_served": round(100 * own_served)}
        runs_here = (supply.holder, need.taker) in self.carried
        if not runs_here and self.carried[supply.holder, rival.taker] > 1:
            return Rule.FEWER_TRIPS, {}
        if here is not None and there is not None and there < here:
            return Rule.NEARER, {"km": there, "own_km": here}
        return (Rule.EARLIER if rival.id < need.id and here == there else Rule.DISTRICT), {}


def _served(problem: Problem, trips: Sequence[Trip]) -> dict[int, float]:
    """Return of each school the share of the sets served that could be, were it alone."""
    offers: dict[tuple[int, int], list[Supply]] = defaultdict(list)
    for supply in problem.supplies:
        offers[supply.textbook, supply.part].append(supply)
    got = received(trips)
    served: Counter[int] = Counter()
    serveable: Counter[int] = Counter()
    for need in problem.needs:
        most = {
            part: sum(s.copies for s in offers[need.textbook, part] if not allowed(s, need, problem))
            for part, _ in need.parts
        }
        served[need.taker] += sum(covered_by_layer(need, got.get(need.id, {})))
        serveable[need.taker] += sum(covered_by_layer(need, most))
    return {taker: served[taker] / serveable[taker] if serveable[taker] else 1.0 for taker in served}
