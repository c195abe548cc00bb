"""Plainer plans to show beside the optimiser's own: a person's, and that of one textbook method."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from exchange.matching.rules import (
    Need,
    Problem,
    Supply,
    Trip,
    allowed,
    covered_by_layer,
    distance,
    layers,
    locked_years,
    trips_of,
)
from exchange.matching.solver.network import Network
from exchange.matching.solver.programme import Floats

Pair = tuple[int, int]

#: Prices of the plain flow in units of 100 m of one copy: a set that stays uncovered, a copy from the fund.
SET_PRICE = 10_000_000
FUND_PRICE = 10_000


def nearest_donor_first(problem: Problem) -> tuple[Trip, ...]:
    """Return the plan of a person who serves request by request, each from the nearest holder that has it.

    The baseline that a plan is shown against: same filters, same fixed lines, same sets of parts.
    """
    problem = problem.in_order()
    supplies = {supply.id: supply for supply in problem.supplies}
    left = {supply.id: supply.copies for supply in problem.supplies}
    sent: Counter[Pair] = Counter()
    waiting: Counter[Pair] = Counter()
    for line in problem.fixed:
        left[line.supply_id] -= line.copies
        sent[line.supply_id, line.need_id] += line.copies
        waiting[line.need_id, supplies[line.supply_id].part] += line.copies
    exact = {(line.supply_id, line.need_id) for line in problem.fixed if line.exact}
    years = locked_years(problem)
    offers: dict[Pair, list[Supply]] = defaultdict(list)
    for supply in problem.supplies:
        offers[supply.textbook, supply.part].append(supply)
    for need in problem.needs:
        givers = {
            part: [
                supply
                for supply in _nearest_first(
                    problem, need, (one for one in offers[need.textbook, part] if left[one.id])
                )
                if (supply.id, need.id) not in exact
            ]
            for part, _ in need.parts
        }
        if not need.mixing:
            years_open = years.get(need.id) or _year_of_most(need, givers, left)
            givers = {part: [s for s in rows if s.year in years_open] for part, rows in givers.items()}
        for layer in layers(need):
            room = {
                part: waiting[need.id, part] + sum(left[supply.id] for supply in givers[part])
                for part in layer.parts
            }
            sets = min(layer.size, *room.values())
            for part in layer.parts:
                arrived = min(sets, waiting[need.id, part])
                waiting[need.id, part] -= arrived
                wanted = sets - arrived
                for supply in givers[part]:
                    copies = min(wanted, left[supply.id])
                    left[supply.id] -= copies
                    sent[supply.id, need.id] += copies
                    wanted -= copies
    return trips_of(problem, sent)


def _year_of_most(
    need: Need, givers: Mapping[int, Iterable[Supply]], left: Mapping[int, int]
) -> frozenset[int]:
    """Return the one year of printing of which the most sets are left, of several the newest."""
    room: dict[int, Counter[int]] = defaultdict(Counter)
    for part, missing in need.parts:
        for supply in givers[part]:
            room[supply.year][part] = min(missing, room[supply.year][part] + left[supply.id])
    sets = {year: sum(covered_by_layer(need, parts)) for year, parts in room.items()}
    return frozenset({max(sets, key=lambda year: (sets[year], year))} if sets else ())


def _nearest_first(problem: Problem, need: Need, offers: Iterable[Supply]) -> list[Supply]:
    """Return the offers that may serve a need, by road, then newer copies, then identifier."""

    def order(supply: Supply) -> tuple[float, int, int]:
        return distance(problem.road(supply.holder, need.taker)), -supply.year, supply.id

    return sorted((supply for supply in offers if not allowed(supply, need, problem)), key=order)


def minimum_cost_flow(problem: Problem) -> tuple[Trip, ...]:
    """Return the plan of one minimum-cost flow: coverage, fund and road in one weighted sum, trips unheeded.

    What a textbook on optimisation suggests first, and the yardstick for trips and time.
    """
    problem = problem.in_order()
    controls = replace(problem.controls, smallest_parcel=1)
    network = Network(replace(problem, most_trips={}, controls=controls))
    network.minimise(flow_cost(network))
    return trips_of(problem, network.shipments())


def flow_cost(network: Network) -> Floats:
    """Return that weighted sum as the cost of each column."""
    return SET_PRICE * network.coverage_cost() + FUND_PRICE * network.fund_cost() + network.km_cost()
