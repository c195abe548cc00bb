"""What all methods end with: the plan that the network holds, counted and explained."""

from __future__ import annotations

import time
from collections.abc import Sequence

from exchange.matching.rules import (
    FundUse,
    Pass,
    Problem,
    Result,
    coverage_of,
    figures_of,
    shortages,
    trips_of,
)
from exchange.matching.solver.by_hand import nearest_donor_first
from exchange.matching.solver.fairness import Fairest
from exchange.matching.solver.network import Network
from exchange.matching.solver.programme import Floats


def wished(network: Network) -> list[tuple[str, Floats]]:
    """Return the passes between coverage and trips, with what each minimises."""
    found = []
    if network.problem.controls.fund is FundUse.LAST:
        found.append(("fund", network.fund_cost()))
    if any(need.preferred for need in network.problem.needs):
        found.append(("preferred", network.passed_over_cost()))
    return found


def answer(
    problem: Problem,
    network: Network,
    *,
    best_possible: int,
    passes: Sequence[Pass],
    fair: Fairest | None = None,
    floors: tuple[tuple[int, int], ...] = (),
    trips_bound: float,
    km_bound: float,
    started: float,
) -> Result:
    """Return the result that the network's present values are; ``passes`` are those before fairness."""
    plan = trips_of(problem, network.shipments())
    figures = figures_of(problem, plan)
    found = [Pass("coverage", figures.weight, best_possible), *passes]
    if fair is not None and figures.worst_served is not None:
        found.append(Pass("fairness", figures.worst_served, fair.bound))
    if problem.controls.by_road:
        # Bounded is the length of the trips; of their number nothing is known.
        prices = network.trip_price()
        length = sum(prices[trip.giver, trip.taker] for trip in plan)
        found.append(Pass("trip_km", length / 10, trips_bound / 10))
        trips_bound = float(bool(plan))
    found.append(Pass("trips", figures.trips, trips_bound))
    found.append(Pass("copy_km", network.worth(network.km_cost()) / 10, km_bound / 10))
    return Result(
        trips=plan,
        covered=coverage_of(problem, plan),
        figures=figures,
        best_possible=best_possible,
        uncovered=shortages(problem, plan),
        baseline=figures_of(problem, nearest_donor_first(problem)),
        passes=tuple(found),
        floors=floors,
        seconds=time.perf_counter() - started,
    )
