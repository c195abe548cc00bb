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
``y``. Prices that relax ``x <= u y`` give a bound. Slope scaling (Kim and Pardalos 1999: solve the flow with
each line priced at the inverse of what its trip carried, repeat) gives a first plan, on one flow that stays
in HiGHS from price to price. Its trips are closed one by one where what they carry finds other ways; then
trips are opened for others that close (`closing`). That is the fast method. Longer efforts go on in rounds
and, where that saves nothing more, by neighbourhood search (Shaw 1998: free the trips of a few holders, hold
the others open or closed, solve that small programme); at the end districts of up to some 25 schools are
proven by branch and cut.

**Controls.** What may be given up for fewer trips, the floors of fairness, one year of printing per need,
caps of trips and smallest parcels are rows beside the network: linear programmes may then come out in
fractions and become integer programmes. Only what a control that is set asks for is ever added.

All limits are counts of nodes and rounds; a clock, where one is set, ends the search between two rounds. One
thread, one seed, input sorted by identifiers: the same problem gives the same plan.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from exchange.matching.rules import Pass, Problem, Result, check_fixed
from exchange.matching.solver.answer import answer, wished
from exchange.matching.solver.by_hand import minimum_cost_flow, nearest_donor_first
from exchange.matching.solver.fairness import fairest
from exchange.matching.solver.limits import start_within
from exchange.matching.solver.network import Network
from exchange.matching.solver.programme import EPSILON
from exchange.matching.solver.proof import certify
from exchange.matching.solver.region import is_large, solve_region
from exchange.matching.solver.repair import repair
from exchange.matching.solver.trips import NORMAL, QUICK, THOROUGH, Effort, break_ties, fewest_trips
from exchange.matching.solver.watching import Rounds, Standing, Watch, uncollected

__all__ = [
    "NORMAL",
    "QUICK",
    "THOROUGH",
    "Effort",
    "Standing",
    "Watch",
    "certify",
    "frontier",
    "minimum_cost_flow",
    "nearest_donor_first",
    "repair",
    "solve",
]


@uncollected()
def solve(
    problem: Problem,
    *,
    effort: Effort = NORMAL,
    watch: Watch | None = None,
    time_limit: float | None = None,
    processes: int = 1,
) -> Result:
    """Return the best plan: most coverage, least of the fund, fewest trips, fewest copy-kilometres.

    Ties go to whole class sets from one giver and one edition, to newer copies, to lower identifiers. The
    problem's controls and wishes add passes between these and limits beside them; each pass keeps what the
    former reached. With limits on trips the best possible coverage shown is that without them.

    ``watch`` is told where the search for fewer trips stands after each round and ends it by returning False;
    after ``time_limit`` seconds it ends by itself. Either way the best plan so far comes out, the same on
    every machine that gets as many rounds.

    Problems too large for one programme go textbook by textbook (`region`), over so many ``processes`` as are
    asked for; the plan does not depend on how many. ``effort`` means nothing there, and ``Invalid`` is raised
    for controls that tie textbooks together: giving up, fairness, smallest parcels, caps of trips.
    """
    started = time.perf_counter()
    problem = problem.in_order()
    check_fixed(problem)
    if is_large(problem):
        return solve_region(problem, watch=watch, time_limit=time_limit, processes=processes)
    controls = problem.controls
    network = Network(problem)
    best = start_within(network, effort) if problem.limits_trips else None

    coverage = network.minimise(network.coverage_cost())
    network.keep()
    best = round(-coverage if best is None else best)
    reached = []
    for name, cost in wished(network):
        value = network.minimise(cost)
        reached.append((name, cost, value, network.bound))
        network.keep()
    fair = None if controls.fairness is None else fairest(network)
    floors = () if fair is None or controls.fairness is None else fair.floors(controls.fairness)

    if controls.give_up:
        network = network.fresh()
        network.demand(network.coverage_cost(), -_whole_at_least(-coverage * (1 - controls.give_up)))
        for _, cost, value, _ in reached:
            network.demand(cost, value)
    for school, floor in floors:
        network.demand(network.served_cost(school), -float(floor))
    trips, bound = fewest_trips(network, effort, Rounds(effort.rounds, started, watch, time_limit))
    network.close_all_but(trips)
    if controls.give_up:
        # What was given up and has closed no trip comes back.
        for cost in (network.coverage_cost(), *(cost for _, cost in wished(network))):
            network.minimise(cost)
            network.keep()
    network.minimise(network.km_cost())
    km = network.bound
    network.keep()
    break_ties(network, effort)

    # A plan that covers less may need less of what these passes save: nothing is proven of them then.
    passes = [
        Pass(name, network.worth(cost), 0.0 if controls.give_up else low) for name, cost, _, low in reached
    ]
    return answer(
        problem,
        network,
        best_possible=best,
        passes=passes,
        # Nor is the fairest of the plans that cover most the fairest of all.
        fair=replace(fair, bound=1.0) if fair is not None and controls.give_up else fair,
        floors=floors,
        trips_bound=bound,
        km_bound=km,
        started=started,
    )


def _whole_at_least(value: float) -> float:
    """Return the least whole number that is not below ``value``."""
    return float(np.ceil(value - EPSILON))


def frontier(
    problem: Problem, give_ups: Sequence[float] = (0.0, 0.01, 0.02, 0.05, 0.1), effort: Effort = QUICK
) -> tuple[Result, ...]:
    """Return a plan for each share of the coverage that may be given up, in this order.

    A plan that gives up less is a plan for those that may give up more: it stands in where the search found
    nothing better.
    """
    found: dict[float, Result] = {}
    best: Result | None = None
    for share in sorted(set(give_ups)):
        controls = replace(problem.controls, give_up=share)
        plan = solve(replace(problem, controls=controls), effort=effort)
        if best is not None and _costs(best) <= _costs(plan):
            plan = replace(best, seconds=plan.seconds)
        found[share] = best = plan
    return tuple(found[share] for share in give_ups)


def _costs(plan: Result) -> float:
    """Return what the trips of a plan cost, in the unit of its trips pass."""
    return next(one.value for one in plan.passes if one.name in ("trip_km", "trips"))
