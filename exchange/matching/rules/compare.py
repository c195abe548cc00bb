"""Two plans side by side: which schools get more and which less, which trips appear, go and change."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Carried:
    """Copies of one part that a plan brings from one giver for one need; ``km`` by road."""

    giver: int
    taker: int
    need_id: int
    part: int
    copies: int
    km: float
    from_fund: bool = False


@dataclass(frozen=True)
class Totals:
    """What lines come to; named like ``Figures``."""

    sets: int
    copies: int
    fund_copies: int
    trips: int
    trip_km: float


@dataclass(frozen=True)
class Difference:
    """What one plan and the other come to, of the same thing."""

    one: int
    other: int

    @property
    def difference(self) -> int:
        """By how much the other plan has more."""
        return self.other - self.one


@dataclass(frozen=True)
class SchoolChange(Difference):
    """Sets that a school gets."""

    school: int


@dataclass(frozen=True)
class TripChange(Difference):
    """Copies that go from a giver to a taker; none where the plan has no such trip."""

    giver: int
    taker: int
    km: float


@dataclass(frozen=True)
class Comparison:
    """What changes from one plan to the other.

    ``schools`` are those that get less or more, the losers first, the greatest loss before the smaller.
    ``gone``, ``new`` and ``changed`` are trips in the order of giver and taker; ``same`` counts the trips
    that carry the same copies for the same needs in both.
    """

    schools: tuple[SchoolChange, ...]
    gone: tuple[TripChange, ...]
    new: tuple[TripChange, ...]
    changed: tuple[TripChange, ...]
    same: int

    @property
    def losers(self) -> tuple[SchoolChange, ...]:
        """Schools that get less in the other plan."""
        return tuple(school for school in self.schools if school.difference < 0)

    @property
    def gainers(self) -> tuple[SchoolChange, ...]:
        """Schools that get more in the other plan, the greatest gain first."""
        return tuple(
            sorted(
                (school for school in self.schools if school.difference > 0),
                key=lambda school: (-school.difference, school.school),
            )
        )


def sets_by_school(lines: Iterable[Carried]) -> Counter[int]:
    """Return the sets that each taker gets.

    The parts of a need come together, save where the taker has the other parts already: the part of which
    the most comes tells how many sets become complete.
    """
    copies: Counter[tuple[int, int, int]] = Counter()
    for line in lines:
        copies[line.taker, line.need_id, line.part] += line.copies
    sets: Counter[tuple[int, int]] = Counter()
    for (taker, need_id, _part), count in copies.items():
        sets[taker, need_id] = max(sets[taker, need_id], count)
    schools: Counter[int] = Counter()
    for (taker, _need_id), count in sets.items():
        schools[taker] += count
    return schools


def totals(lines: Sequence[Carried]) -> Totals:
    """Return what the lines of a plan come to as it stands, without those taken out since it was made."""
    km = {(line.giver, line.taker): line.km for line in lines}
    return Totals(
        sets=sets_by_school(lines).total(),
        copies=sum(line.copies for line in lines),
        fund_copies=sum(line.copies for line in lines if line.from_fund),
        trips=len(km),
        trip_km=sum(km.values()),
    )


def comparison(one: Sequence[Carried], other: Sequence[Carried]) -> Comparison:
    """Return what changes from the plan with the lines ``one`` to that with the lines ``other``."""
    before, after = sets_by_school(one), sets_by_school(other)
    schools = [SchoolChange(before[school], after[school], school) for school in before.keys() | after.keys()]
    loads = _loads(one), _loads(other)
    km = {(line.giver, line.taker): line.km for line in [*one, *other]}
    trips = {
        pair: TripChange(loads[0][pair].total(), loads[1][pair].total(), *pair, km[pair])
        for pair in sorted(km)
    }
    same = {pair for pair in trips if loads[0][pair] == loads[1][pair]}
    return Comparison(
        schools=tuple(
            sorted(
                (school for school in schools if school.difference),
                key=lambda school: (school.difference, school.school),
            )
        ),
        gone=tuple(trip for trip in trips.values() if not trip.other),
        new=tuple(trip for trip in trips.values() if not trip.one),
        changed=tuple(trip for pair, trip in trips.items() if trip.one and trip.other and pair not in same),
        same=len(same),
    )


def _loads(lines: Iterable[Carried]) -> defaultdict[tuple[int, int], Counter[tuple[int, int]]]:
    """Return, by giver and taker, the copies by need and part."""
    loads: defaultdict[tuple[int, int], Counter[tuple[int, int]]] = defaultdict(Counter)
    for line in lines:
        loads[line.giver, line.taker][line.need_id, line.part] += line.copies
    return loads
