"""Why: the sentences that explain each proposal, and each need that stays open."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from exchange.matching.rules.plan import Limit, Shortage, Trip, Uncovered, coverage_of
from exchange.matching.rules.problem import (
    REFUSALS,
    FundUse,
    Kept,
    KeptBack,
    Need,
    Problem,
    Refusal,
    Supply,
    allowed,
    distance,
)


def shortages(problem: Problem, trips: Sequence[Trip]) -> tuple[Uncovered, ...]:
    """Say for every need that is not wholly covered why, by the part that holds it up."""
    shelves = _Shelves(problem, trips)
    needs = {need.id: need for need in problem.needs}
    found = []
    for need_id, sets, asked in coverage_of(problem, trips):
        if sets == asked:
            continue
        need = needs[need_id]
        parts = [shelves.shortage(need, part, asked - sets) for part, _ in need.parts]
        # The part of which nothing is left holds up the others; of several, the scarcest.
        found.append(min(parts, key=lambda one: (one.free, one.offered, one.part)))
    return tuple(found)


class _Shelves:
    """Where the copies of each textbook are, and where a plan takes them."""

    def __init__(self, problem: Problem, trips: Sequence[Trip]) -> None:
        self.problem = problem
        self.offers: dict[tuple[int, int], list[Supply]] = defaultdict(list)
        for supply in problem.supplies:
            self.offers[supply.textbook, supply.part].append(supply)
        self.kept: dict[tuple[int, int], list[Kept]] = defaultdict(list)
        for one in problem.kept:
            self.kept[one.supply.textbook, one.supply.part].append(one)
        self.used: Counter[int] = Counter()
        self.sent: Counter[tuple[int, int]] = Counter()
        self.years: dict[int, set[int]] = defaultdict(set)
        for trip in trips:
            for line in trip.proposals:
                self.used[line.supply_id] += line.copies
                self.sent[line.need_id, line.supply_id] += line.copies
                self.years[line.need_id].add(line.year)
        self.exact = {(line.need_id, line.supply_id) for line in problem.fixed if line.exact}

    def shortage(self, need: Need, part: int, missing: int) -> Uncovered:
        """Return what the need's shortage would be if this part held it up."""
        refusals: Counter[Refusal] = Counter()
        may = []
        for supply in self.offers[need.textbook, part]:
            refusal = allowed(supply, need, self.problem)
            if refusal is None:
                may.append(supply)
            elif refusal is not Refusal.OWN_SCHOOL:
                refusals[refusal] += supply.copies
        kept: Counter[KeptBack] = Counter()
        for one in self.kept[need.textbook, part]:
            if one.supply.holder != need.taker:
                kept[one.reason] += one.supply.copies
        left = [supply for supply in may if self.used[supply.id] < supply.copies]
        free = sum(supply.copies - self.used[supply.id] for supply in left)
        others = sum(self.used[supply.id] - self.sent[need.id, supply.id] for supply in may)
        if not may:
            reason = _nothing_to_have(refusals, kept)
        elif left:
            reason = self._left_over(need, left)
        else:
            reason = Shortage.TAKEN if others else Shortage.NOT_ENOUGH
        return Uncovered(
            need_id=need.id,
            missing=missing,
            reason=reason,
            part=part,
            offered=sum(supply.copies for supply in may),
            others=others,
            refusals=tuple(sorted(refusals.items())),
            kept=tuple(sorted(kept.items())),
            free=free,
            limits=self._limits(left) if reason is Shortage.NOT_WORTH_A_TRIP else (),
        )

    def _left_over(self, need: Need, left: Sequence[Supply]) -> Shortage:
        """Say why copies that could serve the need go nowhere."""
        if all((need.id, supply.id) in self.exact for supply in left):
            return Shortage.FIXED
        years = self.years[need.id]
        if not need.mixing and all({supply.year} != years for supply in left):
            return Shortage.ONE_YEAR
        return Shortage.NOT_WORTH_A_TRIP if self._limits(left) else Shortage.NOT_ENOUGH

    def _limits(self, left: Sequence[Supply]) -> tuple[tuple[Limit, float], ...]:
        """Return what keeps the plan from fetching the copies that are ``left``."""
        controls, caps = self.problem.controls, self.problem.most_trips
        capped = [caps[supply.holder] for supply in left if supply.holder in caps]
        limits: list[tuple[Limit, float]] = []
        if controls.give_up > 0:
            limits.append((Limit.GIVE_UP, controls.give_up))
        if controls.smallest_parcel > 1:
            limits.append((Limit.SMALLEST_PARCEL, controls.smallest_parcel))
        if capped:
            limits.append((Limit.MOST_TRIPS, min(capped)))
        return tuple(limits)


def _nothing_to_have(refusals: Mapping[Refusal, int], kept: Mapping[KeptBack, int]) -> Shortage:
    """Say why no copy on offer may serve a need."""
    if set(refusals) == {Refusal.LAST_YEAR}:
        return Shortage.LAST_YEAR
    if refusals:
        outdated = set(refusals) <= {Refusal.NOT_LEGAL, Refusal.LAST_YEAR}
        return Shortage.NOT_LEGAL if outdated else Shortage.REFUSED
    return Shortage.KEPT if kept else Shortage.NOBODY


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
    FUND_FREELY = "fund_freely"
    ONLY = "only"
    NEAREST = "nearest"
    SAME_TRIP = "same_trip"
    SHARED_OUT = "shared_out"
    FEWER_TRIPS = "fewer_trips"


WHY: Mapping[Why, str] = {
    Why.LOCKED: "Закреплено методистом: %(copies)s из %(asked)s экз.",
    Why.ROAD_UNKNOWN: "Подходящая книга, дорога не указана: %(copies)s из %(asked)s экз.",
    Why.FUND: "Резервный фонд, у школ таких книг не хватает: %(copies)s из %(asked)s экз., %(km)s км",
    Why.FUND_FREELY: "Резервный фонд, он отдаёт наравне со школами: %(copies)s из %(asked)s экз., %(km)s км",
    Why.ONLY: "Единственная школа с подходящей книгой: %(copies)s из %(asked)s экз., %(km)s км",
    Why.NEAREST: "Ближайшая школа с подходящей книгой: %(copies)s из %(asked)s экз., %(km)s км",
    Why.SAME_TRIP: "Эта поездка нужна и для других книг: %(copies)s из %(asked)s экз., %(km)s км",
    Why.SHARED_OUT: "Книги ближних школ отданы другим: %(copies)s из %(asked)s экз., %(km)s км",
    Why.FEWER_TRIPS: "Так по району меньше поездок: %(copies)s из %(asked)s экз., %(km)s км",
}
ALONG = "этой же поездкой – ещё учебников: %(others)s"

SHORTAGES: Mapping[Shortage, str] = {
    Shortage.NOBODY: "Такой книги никто не отдаёт",
    Shortage.KEPT: "Никто не отдаёт, хотя у держателей есть %(kept)s экз.",
    Shortage.NOT_LEGAL: "Отдают %(refused)s экз., но передать их уже нельзя",
    Shortage.LAST_YEAR: "Отдают %(refused)s экз., но для всех этот год – последний",
    Shortage.REFUSED: "Отдают %(refused)s экз., но они не подходят",
    Shortage.NOT_ENOUGH: "Подходящих во всём районе %(offered)s экз.",
    Shortage.TAKEN: "Подходящих в районе %(offered)s экз., из них другим школам идёт %(others)s",
    Shortage.NOT_WORTH_A_TRIP: "Свободно %(free)s подходящих экз., но при выбранных пределах "
    "поездка за ними не стоит того",
    Shortage.ONE_YEAR: "Свободно %(free)s подходящих экз., но другого года, а смешивать школа не хочет",
    Shortage.FIXED: "Свободно %(free)s подходящих экз., но количество закреплено методистом",
}
SHORTAGES_BESIDES: Mapping[Shortage, str] = {
    Shortage.NOT_ENOUGH: "Подходящих во всём районе %(offered)s экз.; прочие книги не подходят",
    Shortage.TAKEN: "Подходящих в районе %(offered)s экз., из них другим школам идёт %(others)s; "
    "прочие книги не подходят",
}
"""The same where the hard filters keep further copies away, which are then listed."""
REFUSED = "%(copies)s экз. – %(reason)s"
KEPT: Mapping[KeptBack, str] = {
    KeptBack.OWN_NEED: "нужны самой школе",
    KeptBack.BUFFER: "школа держит в резерве",
    KeptBack.NOT_OFFERED: "лишние, но их не предлагают",
    KeptBack.LIMIT: "школа ограничила, что отдаёт",
    KeptBack.FLOOR: "неснижаемый остаток фонда",
}
LIMITS: Mapping[Limit, str] = {
    Limit.GIVE_UP: "ради поездок можно недодать %(number)s %% охвата",
    Limit.SMALLEST_PARCEL: "поездка не меньше чем за %(number)s экз.",
    Limit.MOST_TRIPS: "поездок от держателя не больше %(number)s",
}


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
                freely = problem.controls.fund is FundUse.FREELY
                answer = Why.FUND_FREELY if freely else Why.FUND
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
    """Return why a need is not covered: the reason, then after a colon what the hard filters and the holders
    keep away, and what the plan saves trips by.
    """
    reasons = {**SHORTAGES, **SHORTAGES_BESIDES} if uncovered.refusals else SHORTAGES
    reason = Sentence(
        reasons[uncovered.reason],
        {
            "offered": uncovered.offered,
            "others": uncovered.others,
            "refused": sum(copies for _, copies in uncovered.refusals),
            "kept": sum(copies for _, copies in uncovered.kept),
            "free": uncovered.free,
        },
    )
    return (
        reason,
        *(
            Sentence(LIMITS[limit], {"number": round(100 * number if limit is Limit.GIVE_UP else number)})
            for limit, number in uncovered.limits
        ),
        *(
            Sentence(REFUSED, {"copies": copies, "reason": REFUSALS[refusal]})
            for refusal, copies in uncovered.refusals
        ),
        *(Sentence(REFUSED, {"copies": copies, "reason": KEPT[kept]}) for kept, copies in uncovered.kept),
    )
