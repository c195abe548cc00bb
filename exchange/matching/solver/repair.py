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
from exchange.matching.solver.answer import answer
from exchange.matching.solver.limits import start_within
from exchange.matching.solver.network import Network
from exchange.matching.solver.programme import EPSILON, Floats
from exchange.matching.solver.trips import QUICK, Charges, Effort, break_ties


def repair(problem: Problem, *, effort: Effort = QUICK) -> Result:
    """Return the plan nearest to the problem's ``standing`` lines: best coverage, fewest other trips.

    Of the passes, ``new_trips`` counts the trips that do not stand. Fairness and what may be given up are not
    asked for again: what stands was chosen by them.
    """
    started = time.perf_counter()
    problem = problem.in_order()
    check_fixed(problem)
    network = Network(problem)
    limited = bool(network.trip_columns)
    limitless = start_within(network, effort) if limited else None
    coverage = network.minimise(network.coverage_cost())
    standing = _standing(network)
    touched = _touched(network, standing)
    stays = ~np.isin(network.textbooks, sorted(touched)) & (network.textbooks >= 0)

    covering = network.values
    network = network.fresh()
    network.values = np.where(stays, standing, covering)
    network.hold(stays)
    network.minimise(network.coverage_cost())
    network.keep()
    running = {pair for pair, copies in zip(network.pairs(), standing, strict=False) if copies > EPSILON}
    new, bound = _fewest_new_trips(network, running, effort)
    network = _keep_lines(network, standing)
    network.minimise(network.km_cost())
    km = network.bound
    network.keep()
    break_ties(network, effort)
    return answer(
        problem,
        network,
        best_possible=round(-coverage if limitless is None else limitless),
        passes=[Pass("new_trips", new, bound)],
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
    """Return the textbooks whose lines cannot all stand, or whose coverage can grow."""
    problem = network.problem
    there = {(supply.id, need.id) for supply, need in network.lines}
    of_need = {need.id: need.textbook for need in problem.needs}
    touched = {
        of_need[line.need_id]
        for line in problem.standing
        if line.need_id in of_need and (line.supply_id, line.need_id) not in there
    }
    touched.update(network.breaking(standing))
    if not problem.controls.give_up:
        gain = -network.coverage_cost() * (network.values - standing)
        names, place = np.unique(network.textbooks, return_inverse=True)
        grown = np.bincount(place, weights=gain, minlength=len(names))
        touched.update(names[grown > EPSILON].tolist())
    return touched


def _fewest_new_trips(network: Network, running: set[tuple[int, int]], effort: Effort) -> tuple[int, float]:
    """Close all new trips that can be spared; return how many are left, and a proven bound of those."""
    new_line = np.array([pair not in running for pair in network.pairs()], dtype=bool)
    if not len(new_line):
        return 0, 0.0
    trips = Charges(network, network.pairs())
    new = np.zeros(trips.size, dtype=bool)
    new[trips.group[new_line]] = True
    network.minimise(network.line_cost(new_line.astype(np.float64)))
    found, bound = trips.search(new, ~new, effort.exact_nodes)
    network.close_all_but(found[trips.group] | ~new_line)
    locked = float(trips.given.sum())
    return int((found & new).sum()), bound - locked + float((trips.given & new).sum())


def _keep_lines(network: Network, standing: Floats) -> Network:
    """Return the network with as many standing copies kept on their lines as can be."""
    lines: NDArray[np.int64] = np.flatnonzero(standing[: len(network.lines)] > 0)
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
    wider.minimise(np.concatenate((np.zeros(width), -ones)))
    wider.keep()
    return wider
