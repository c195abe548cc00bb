"""The optimiser: whole-numbered plans by strictly lexicographic passes of HiGHS.

**Coverage, fund, kilometres** are linear programmes over a network. Columns are lines ``x[supply, need]``
and covered sets ``c[layer]``; rows are the offers, ``sum x <= copies``, and each part of each need, ``sum
x = sum c`` over the layers with that part. With sets of at most two parts this is a network (the arcs of
the second part reversed), so its vertices are whole-numbered and the optimum is its own proof. The few
textbooks in three parts or more need not come out whole; each is then a small integer programme of its
own.

**Lexicographic** order costs neither weights nor dense rows: the optimal points of a linear programme are
exactly the face where every column with a reduced cost and every row with a dual value stays where it is.
After each pass those are nailed down and the next pass does as it likes with the rest (`Network.keep`).

**Trips** are a fixed-charge network design problem: ``y[giver, taker]`` binary, ``x <= u y``, fewest
``y``. Small districts are proven by branch and cut. Larger ones start from slope scaling (Kim and
Pardalos 1999: solve the flow with each line priced at the inverse of what its trip carried, repeat) and
are improved by neighbourhood search (Shaw 1998: free the trips of a few holders, hold the others open or
closed, solve that small programme).

All limits are counts of nodes and rounds, never the clock; one thread, one seed, input sorted by
identifiers: the same problem gives the same plan.
"""

from __future__ import annotations

import time

from exchange.matching.rules import (
    Pass,
    Problem,
    Result,
    check_fixed,
    coverage_of,
    figures_of,
    shortages,
    trips_of,
)
from exchange.matching.solver.by_hand import minimum_cost_flow, nearest_donor_first
from exchange.matching.solver.network import Network
from exchange.matching.solver.proof import certify
from exchange.matching.solver.trips import NORMAL, QUICK, Effort, break_ties, fewest_trips

__all__ = ["NORMAL", "QUICK", "Effort", "certify", "minimum_cost_flow", "nearest_donor_first", "solve"]


def solve(problem: Problem, *, effort: Effort = NORMAL) -> Result:
    """Return the best plan: most coverage, least of the fund, fewest trips, fewest copy-kilometres.

    Ties go to whole class sets from one giver and one edition, to newer copies, to lower identifiers.
    """
    started = time.perf_counter()
    problem = problem.in_order()
    check_fixed(problem)
    baseline = figures_of(problem, nearest_donor_first(problem))
    network = Network(problem)

    coverage = network.minimise(network.coverage_cost())
    network.keep()
    fund = network.minimise(network.fund_cost())
    network.keep()
    trips, bound = fewest_trips(network, effort)
    network.close_all_but(trips)
    km = network.minimise(network.km_cost())
    network.keep()
    break_ties(network, effort)

    plan = trips_of(problem, network.shipments())
    figures = figures_of(problem, plan)
    return Result(
        trips=plan,
        covered=coverage_of(problem, plan),
        figures=figures,
        best_possible=round(-coverage),
        uncovered=shortages(problem, plan),
        baseline=baseline,
        passes=(
            Pass("coverage", figures.weight, -coverage),
            Pass("fund", figures.fund_copies, fund),
            Pass("trips", figures.trips, bound),
            Pass("copy_km", network.worth(network.km_cost()) / 10, km / 10),
        ),
        seconds=time.perf_counter() - started,
    )
