"""Repair, not reshuffle: the standing plan, changed only where it cannot stand or can cover more.

Textbooks meet in trips alone. So those whose standing lines can all stay, and which cannot be covered any
better, are held fast, and a small programme is left: cover the others as well as can be, on the fewest trips
that are not running already, and leave their lines where they are.
"""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from exchange.matching.rules import Pass, Problem, Result, check_fixed, covered_by_layer
from exchange.matching.solver.answer import answer, wished
from exchange.matching.solver.limits import start_within
from exchange.matching.solver.network import Network
from exchange.matching.solver.programme import EPSILON, Floats, run
from exchange.matching.solver.trips import QUICK, Charges, Effort, break_ties, burdens, in_turn
from exchange.matching.solver.watching import uncollected


@uncollected()
def repair(problem: Problem, *, effort: Effort = QUICK) -> Result:
    """Return the plan nearest to the problem's ``standing`` lines: best coverage, least of the fund where it
    gives last, fewest other trips.

    Of the passes, ``new_trips`` counts the trips that do not stand. Fairness is not asked for again: what
    stands was chosen by it.
    """
    started = time.perf_counter()
    problem = problem.in_order()
    check_fixed(problem)
    network = Network(problem)
    limitless = start_within(network, effort) if problem.limits_trips else None
    coverage = network.minimise(network.coverage_cost())
    standing = _standing(network)
    touched = _touched(network, standing)
    stays = ~np.isin(network.textbooks, sorted(touched)) & (network.textbooks >= 0)

    covering = network
    network = network.fresh()
    both = len(network.lines) + len(network.sets)
    network.values = network.completed(np.where(stays, standing, covering.values)[:both])
    if network.programme.holds(network.values):
        network.hold(stays)
    else:
        # A limit on trips ties all textbooks together: the others keep to their lines as far as they can.
        network.values = covering.values
    network.minimise(network.coverage_cost())
    network.keep()
    reached = []
    for name, cost in wished(network):
        # What stands is held fast: of the bounds nothing is proven for the whole plan.
        reached.append(Pass(name, network.minimise(cost), 0.0))
        network.keep()
    running = {pair for pair, copies in zip(network.pairs(), standing, strict=False) if copies > EPSILON}
    network, moved = _beside_standing(network, standing)
    new, bound = _fewest_new_trips(network, running, moved, effort)
    network.minimise(moved)
    network.keep()
    network.minimise(network.km_cost())
    km = network.bound
    network.keep()
    break_ties(network, effort)
    return answer(
        problem,
        network,
        best_possible=round(-coverage if limitless is None else limitless),
        passes=[*reached, Pass("new_trips", new, bound)],
        trips_bound=0.0,
        km_bound=km,
        started=started,
    )


def _standing(network: Network) -> Floats:
    """Return the values of all columns that the standing lines come to, whether they can stand or not."""
    problem = network.problem
    copies: Counter[tuple[int, int]] = Counter()
    for line in problem.standing:
        copies[line.supply_id, line.need_id] += line.copies
    lines = [copies[supply.id, need.id] for supply, need in network.lines]
    got: dict[int, Counter[int]] = {need.id: Counter() for need in problem.needs}
    for (supply, need), moved in zip(network.lines, lines, strict=True):
        got[need.id][supply.part] += moved
    sets = [covered for need in problem.needs for covered in covered_by_layer(need, got[need.id])]
    return network.completed(np.array([*lines, *sets], dtype=np.float64))


def _touched(network: Network, standing: Floats) -> set[int]:
    """Return the textbooks whose lines cannot all stand, or whose coverage has to grow."""
    problem = network.problem
    there = {(supply.id, need.id) for supply, need in network.lines}
    of_need = {need.id: need.textbook for need in problem.needs}
    touched = {
        of_need[line.need_id]
        for line in problem.standing
        if line.need_id in of_need and (line.supply_id, line.need_id) not in there
    }
    touched.update(network.breaking(standing))
    cost = -network.coverage_cost()
    names, place = np.unique(network.textbooks, return_inverse=True)
    gains = np.bincount(place, weights=cost * (network.values - standing), minlength=len(names))
    gain_of = {
        name: gain for name, gain in zip(names.tolist(), gains.tolist(), strict=True) if gain > EPSILON
    }
    lacking = sum(gain for name, gain in gain_of.items() if name not in touched)
    lacking -= problem.controls.give_up * float(cost @ network.values)
    # Of what may be given up, those textbooks are covered better that bring the most, until it is enough.
    for name in sorted(gain_of.keys() - touched, key=lambda name: (-gain_of[name], name)):
        if lacking <= EPSILON:
            break
        touched.add(name)
        lacking -= gain_of[name]
    return touched


def _fewest_new_trips(
    network: Network, running: set[tuple[int, int]], moved: Floats, effort: Effort
) -> tuple[int, float]:
    """Close all new trips that can be spared; return how many are left, and a proven bound of those.

    Of as many, those that leave most copies where they are, and then the shortest.
    """
    new_line = np.array([pair not in running for pair in network.pairs()], dtype=bool)
    if not len(new_line):
        return 0, 0.0
    trips = Charges(network, network.pairs())
    new = np.zeros(trips.size, dtype=bool)
    new[trips.group[new_line]] = True
    network.minimise(network.line_cost(new_line.astype(np.float64)))
    programme, charged = trips.programme(new, ~new)
    optimum = run(programme, nodes=effort.exact_nodes, guess=trips.guess(charged))
    costs = [moved, network.km_cost(), *burdens(network)]
    values = in_turn(programme, optimum.values, costs, effort.exact_nodes)
    found = trips.carrying(values)
    network.values = values[: len(network.values)]
    # Where trips are limited, one that is open carries something.
    network.close_all_but(found[trips.group] if network.trip_columns else found[trips.group] | ~new_line)
    return int((found & new).sum()), optimum.bound + float((trips.given & new).sum())


def _beside_standing(network: Network, standing: Floats) -> tuple[Network, Floats]:
    """Return the network with a column for the copies that stay on each standing line still free to change,
    and what to minimise for as many as can be.
    """
    count = len(network.lines)
    free = network.programme.lower[:count] < network.programme.upper[:count]
    # Copies beside locked ones could stay though they complete nothing: those are not counted.
    free &= ~network.beside_locked()
    lines: NDArray[np.int64] = np.flatnonzero((standing[:count] > 0) & free)
    if not len(lines):
        return network, np.zeros(len(network.values))
    width = len(network.values)
    rows = np.arange(len(lines))
    ones = np.ones(len(lines))
    cells = np.concatenate(
        (np.column_stack((rows, lines, -ones)), np.column_stack((rows, width + rows, ones)))
    )
    wider = network.beside(
        cells=cells,
        cost=np.zeros(len(lines)),
        lower=np.zeros(len(lines)),
        upper=standing[lines],
        row_upper=np.zeros(len(lines)),
    )
    return wider, np.concatenate((np.zeros(width), -ones))
