"""A first plan within the limits on trips: caps of trips per giver, smallest parcels.

Such limits make even coverage an integer programme over all trips at once. A plan to start from is found
without one: cover as much as can be, on few trips by slope scaling; close what breaks a limit, the smallest
loads first; again, until nothing does.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exchange.matching.solver.network import Network, Pair
from exchange.matching.solver.programme import Floats
from exchange.matching.solver.trips import Effort

#: Rounds of slope scaling between two closings.
ROUNDS = 4


def start_within(network: Network, effort: Effort) -> float:
    """Give the network a plan within its limits to start from, and return the best coverage without them."""
    problem = network.problem
    plain = replace(problem, most_trips={}, controls=replace(problem.controls, smallest_parcel=1))
    pairs = network.pairs()
    group = {pair: number for number, pair in enumerate(sorted(set(pairs)))}
    of_line = np.array([group[pair] for pair in pairs], dtype=np.int64)
    barred: set[Pair] = set()
    best: float | None = None
    # Lines that the limits rule out by themselves are shut in the network, not in the plain one.
    while True:
        trial = Network(plain)
        if best is not None:
            trial.close_all_but(np.array([pair not in barred for pair in pairs], dtype=bool))
        covered = -trial.minimise(trial.coverage_cost())
        if best is None:
            best = covered
            barred = {
                pair
                for pair, high in zip(pairs, network.programme.upper, strict=False)
                if not high and pair not in network.trip_columns
            }
            if barred:
                continue
        trial.keep()
        loads = _few_trips(trial, of_line)
        breaking = _breaking(network, {pair: loads[number] for pair, number in group.items()})
        if not breaking:
            break
        # Half of them at a time: what they carried may fill up the others.
        barred.update(breaking[: (len(breaking) + 1) // 2])
    network.values = network.completed(trial.values[: len(network.lines) + len(network.sets)])
    small = (network.programme.upper[: len(pairs)] > 0).sum() <= effort.exact_lines
    network.branching = effort.exact_nodes if small else 0
    return best


def _few_trips(network: Network, of_line: NDArray[np.int64]) -> Floats:
    """Bring the flow together on few trips and return what each carries."""
    count = len(of_line)
    loads = np.zeros(0)
    price = 1.0 / np.maximum(np.bincount(of_line, weights=network.programme.upper[:count]), 1.0)
    for _ in range(ROUNDS):
        network.minimise(network.line_cost(price[of_line]))
        loads = np.bincount(of_line, weights=network.values[:count]).astype(np.float64)
        price = np.where(loads > 0, 1.0 / np.maximum(loads, 1.0), price)
    return loads


def _breaking(network: Network, loads: dict[Pair, float]) -> list[Pair]:
    """Return the trips that break a limit, the smallest load first; never one with a fixed line."""
    caps, least = network.problem.most_trips, network.problem.controls.smallest_parcel
    fixed = {pair for pair, low in zip(network.pairs(), network.programme.lower, strict=False) if low > 0}
    running: dict[int, list[Pair]] = defaultdict(list)
    breaking = set()
    for pair, copies in loads.items():
        if copies > 0:
            running[pair[0]].append(pair)
            if copies < least and pair not in fixed:
                breaking.add(pair)
    for giver, cap in caps.items():
        loose = sorted(
            (pair for pair in running[giver] if pair not in fixed), key=lambda pair: (loads[pair], pair)
        )
        breaking.update(loose[: max(0, len(running[giver]) - cap)])
    return sorted(breaking, key=lambda pair: (loads[pair], pair))
