"""The proof that goes with a plan: prices from which anybody can work out what no plan can better.

**Weak duality.** Put any price on a copy that reaches a need, on a covered set, on a copy from the fund and
on the use of a line. Demands (so many sets covered, no more copies arriving than sets use up, no line used
without its trip) may then be broken against payment, and what is left to decide falls apart into offers,
layers and trips, each of which is best decided alone. Whatever the prices, the sum cannot be worse than the
best plan there is: a lower bound, exact in whole numbers. Good prices, from a linear programme, give a good
bound; bad ones a poor bound, never a false one. docs/matching.md spells the sum out.

Prices are whole numbers of `SCALE` parts of one. What a proof leaves out of account (smallest parcels, caps
of trips, one year of printing, fairness, preferred givers) only narrows the choice, so the bound holds with
them as well.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple

from exchange.matching.rules.plan import Figures, Result, Trip, received
from exchange.matching.rules.problem import Need, Problem, Supply, allowed, covered_by_layer, layers

SCALE = 1_000_000
FORMAT = "textbook-exchange-proof/1"
PROBLEM_FORMAT = "textbook-exchange-problem/1"


class Way(NamedTuple):
    """A line that may be used: ``least`` copies are fixed on it, ``most`` is what it can take."""

    supply: Supply
    need: Need
    least: int
    most: int

    @property
    def trip(self) -> tuple[int, int]:
        """Return giver and taker."""
        return self.supply.holder, self.need.taker


def ways(problem: Problem) -> tuple[Way, ...]:
    """Return all lines that the hard filters and the fixed lines leave open."""
    fixed = {(line.supply_id, line.need_id): line for line in problem.fixed}
    offers: dict[tuple[int, int], list[Supply]] = defaultdict(list)
    for supply in problem.supplies:
        offers[supply.textbook, supply.part].append(supply)
    found = []
    for need in problem.needs:
        for part, missing in need.parts:
            for supply in offers[need.textbook, part]:
                line = fixed.get((supply.id, need.id))
                most = 0 if allowed(supply, need, problem) else min(supply.copies, missing)
                if line is not None:
                    most = line.copies if line.exact else max(most, line.copies)
                if most:
                    found.append(Way(supply, need, line.copies if line else 0, most))
    return tuple(found)


class Goal(StrEnum):
    """What a proof bounds."""

    COVERAGE = "coverage"
    """The largest weighted coverage there is."""
    FUND = "fund"
    """The fewest copies from the fund at that coverage."""
    TRIPS = "trips"
    """The fewest trips, or their fewest kilometres, at that coverage and draw on the fund."""


@dataclass(frozen=True)
class Prices:
    """The prices of one proof, in `SCALE` parts of one, nothing where none is named.

    ``per_set`` is paid for a unit of weight, ``fund`` for a copy from the fund, ``needs`` by (need id, part)
    for a copy that arrives, ``links`` by (supply id, need id) for a copy on a line, as a share of its trip.
    All but those of ``needs`` are at least nothing.
    """

    per_set: int
    fund: int
    needs: Mapping[tuple[int, int], int]
    links: Mapping[tuple[int, int], int]


@dataclass(frozen=True)
class Proof:
    """No plan that covers ``weight`` and takes at most ``fund`` copies (None: any number) betters ``bound``.

    ``reached`` is what the plan reaches. Roads count in units of 100 m.
    """

    goal: Goal
    weight: int
    fund: int | None
    reached: int
    bound: int
    prices: Prices


@dataclass(frozen=True)
class Bottleneck:
    """A part of a textbook of which more copies would cover more need.

    ``offered`` are the copies that some need may take, ``needed`` those missing, ``covered`` those that
    complete a set, ``price`` the weighted coverage that one more copy is worth, at most.
    """

    textbook: int
    part: int
    offered: int
    needed: int
    covered: int
    price: float


@dataclass(frozen=True)
class Certificate:
    """What is proven of a plan. ``claimed_trips`` is the bound that branch and cut reports.

    That bound is often better than the proof's own, but the tree behind it is not kept: it is claimed, and
    nobody can check it but by solving again. So is ``claimed_fairest``, the largest share of what it could be
    served that the worst served school can get. ``floors`` pairs schools with the sets that fairness promises
    them: whether that is kept anybody can count. Both are there where fairness was asked for.
    """

    proofs: tuple[Proof, ...]
    claimed_trips: float | None
    by_road: bool
    bottlenecks: tuple[Bottleneck, ...]
    floors: tuple[tuple[int, int], ...] = ()
    claimed_fairest: float | None = None

    def proof(self, goal: Goal) -> Proof | None:
        """Return the proof of a goal, None when there is none."""
        return next((proof for proof in self.proofs if proof.goal is goal), None)


def road_units(problem: Problem, giver: int, taker: int) -> int:
    """Return a road in units of 100 m, nothing when it is not known."""
    return round(10 * (problem.road(giver, taker) or 0.0))


def worth_of(
    problem: Problem,
    goal: Goal,
    weight: int,
    fund: int | None,
    prices: Prices,
    open_ways: Iterable[Way] | None = None,
) -> int:
    """Return what the prices prove: most coverage, fewest copies from the fund, trips (or units of 100 m).

    Any prices give a true bound; see the module's text. ``open_ways`` are the problem's `ways`, where they
    are at hand already.
    """
    if min(prices.per_set, prices.fund, *prices.links.values(), 0) < 0 or (fund is None and prices.fund):
        raise ValueError("a price that must not be below nothing is")
    copy_cost = prices.fund + SCALE * (goal is Goal.FUND)
    gains: dict[int, list[tuple[int, int]]] = defaultdict(list)
    left = {supply.id: supply.copies for supply in problem.supplies}
    spare: Counter[tuple[int, int]] = Counter()
    trips: Counter[tuple[int, int]] = Counter()
    given = set()
    total = prices.per_set * weight - prices.fund * (fund or 0)
    for way in ways(problem) if open_ways is None else open_ways:
        supply, need, least, most = way
        arriving = need.id, supply.part
        gain = prices.needs.get(arriving, 0)
        if supply.is_fund:
            gain -= copy_cost
        if prices.links and (link := prices.links.get((supply.id, need.id))):
            gain -= link
            trips[way.trip] += most * link
        if least:
            given.add(way.trip)
            spare[arriving] += least
            left[supply.id] -= least
            total -= gain * least
        if gain > 0:
            gains[supply.id].append((gain, most - least))
    for supply_id, found in gains.items():
        copies = left[supply_id]
        for gain, room in sorted(found, reverse=True):
            taken = min(room, copies)
            total -= gain * taken
            copies -= taken
            if not copies:
                break
    for need in problem.needs:
        for layer in layers(need):
            paid = sum(prices.needs.get((need.id, part), 0) for part in layer.parts)
            total += layer.size * min(0, paid - prices.per_set * need.weight)
    total += sum(copies * min(0, prices.needs.get(key, 0)) for key, copies in spare.items())
    for trip in trips.keys() | given:
        carried = trips[trip]
        cost = 0
        if goal is Goal.TRIPS:
            cost = SCALE * (road_units(problem, *trip) if problem.controls.by_road else 1)
        total += cost - carried if trip in given else min(0, cost - carried)
    if goal is Goal.COVERAGE:
        return -total // SCALE
    return max(0, -(-total // SCALE))


def bottlenecks(
    problem: Problem, trips: Iterable[Trip], prices: Prices, open_ways: Iterable[Way] | None = None
) -> tuple[Bottleneck, ...]:
    """Return the parts of textbooks that hold the coverage down, those that cost the most first.

    ``open_ways`` are the problem's `ways`, where they are at hand already.
    """
    got = received(trips)
    offered: Counter[tuple[int, int]] = Counter()
    open_ways = ways(problem) if open_ways is None else open_ways
    for supply in {way.supply.id: way.supply for way in open_ways}.values():
        offered[supply.textbook, supply.part] += supply.copies
    needed: Counter[tuple[int, int]] = Counter()
    covered: Counter[tuple[int, int]] = Counter()
    price: Counter[tuple[int, int]] = Counter()
    for need in problem.needs:
        sets = covered_by_layer(need, got.get(need.id, {}))
        for part, missing in need.parts:
            key = need.textbook, part
            needed[key] += missing
            covered[key] += sum(
                count for count, layer in zip(sets, layers(need), strict=True) if part in layer.parts
            )
            price[key] = max(price[key], prices.needs.get((need.id, part), 0))
    found = [
        Bottleneck(*key, offered[key], needed[key], covered[key], price[key] / SCALE)
        for key in needed
        if price[key] > 0 and covered[key] < needed[key]
    ]
    return tuple(
        sorted(found, key=lambda one: (-(one.needed - one.covered) * one.price, one.textbook, one.part))
    )


# --- As JSON --------------------------------------------------------------------------------------


def as_json(certificate: Certificate) -> dict[str, Any]:
    """Return the certificate in the format of docs/matching.md."""
    return {
        "format": FORMAT,
        "scale": SCALE,
        "by_road": certificate.by_road,
        "proofs": [
            {
                "goal": proof.goal.value,
                "weight": proof.weight,
                "fund": proof.fund,
                "reached": proof.reached,
                "bound": proof.bound,
                "per_set": proof.prices.per_set,
                "per_fund_copy": proof.prices.fund,
                "needs": [[*key, price] for key, price in sorted(proof.prices.needs.items()) if price],
                "links": [[*key, price] for key, price in sorted(proof.prices.links.items()) if price],
            }
            for proof in certificate.proofs
        ],
        "claimed_trips": certificate.claimed_trips,
        "bottlenecks": [asdict(one) for one in certificate.bottlenecks],
        "floors": [[school, sets] for school, sets in certificate.floors],
        "claimed_fairest": certificate.claimed_fairest,
    }


def dump(problem: Problem) -> dict[str, Any]:
    """Return the whole problem as JSON, for a reader that knows nothing of this program."""
    return {
        "format": PROBLEM_FORMAT,
        "today": problem.today.isoformat(),
        "year_end": problem.year_end.isoformat(),
        "max_km": problem.max_km,
        "km": [[one, other, km] for (one, other), km in sorted(problem.km.items())],
        "forbidden": sorted(problem.forbidden),
        "most_trips": sorted(problem.most_trips.items()),
        "controls": _plain(problem.controls),
        "supplies": [_plain(supply) for supply in problem.supplies],
        "needs": [_plain(need) for need in problem.needs],
        "fixed": [_plain(line) for line in problem.fixed],
    }


def dump_plan(result: Result) -> dict[str, Any]:
    """Return a plan as JSON: [supply id, need id, copies] by trip, and the figures it claims."""
    return dump_trips(result.trips, result.figures)


def dump_trips(trips: Iterable[Trip], figures: Figures) -> dict[str, Any]:
    """Return trips as the JSON of `dump_plan`."""
    return {
        "shipments": [
            {
                "from": trip.giver,
                "to": trip.taker,
                "lines": [[line.supply_id, line.need_id, line.copies] for line in trip.proposals],
            }
            for trip in trips
        ],
        "covered_weight": figures.weight,
        "fund": figures.fund_copies,
        "trips": figures.trips,
        "km": figures.trip_km,
        "worst_served": figures.worst_served,
    }


def _plain(record: Any) -> dict[str, Any]:
    """Turn a record of the problem into JSON's own types."""
    plain: dict[type, Callable[[Any], Any]] = {
        frozenset: sorted,
        tuple: list,
        date: date.isoformat,
    }
    return {name: plain.get(type(value), lambda same: same)(value) for name, value in asdict(record).items()}
