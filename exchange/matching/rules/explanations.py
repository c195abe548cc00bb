"""Why: the sentences that explain each proposal, and each need that stays open."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from exchange.matching.rules.plan import Shortage, Trip, Uncovered, coverage_of
from exchange.matching.rules.problem import REFUSALS, Problem, Refusal, Supply, allowed, distance


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
