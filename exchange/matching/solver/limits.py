"""A first plan within the limits on trips: caps of trips per giver, smallest parcels.

Such limits make even coverage an integer programme over all trips at once. A plan to start from is found
without one: cover as much as can be, on few trips by slope scaling; let parcels that are too small draw
copies from those with more than enough; close what breaks a limit, the smallest loads first; again, until
nothing does. Then all other trips are opened again, and what can be added within the limits is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exchange.matching.solver.network import Network, Pair
from exchange.matching.solver.programme import Floats
from exchange.matching.solver.trips import Effort

#: Rounds of slope scaling between two closings.
ROUNDS = 4
#: Rounds that fill parcels which are too small.
FILLINGS = 2
#: So often at most all trips are opened again, beside those that the last plan within the limits makes.
REFILLS = 4


def start_within(network: Network, effort: Effort) -> float:
    """Give the network a plan within its limits to start from, and return the best coverage without them."""
    problem = network.problem
    plain = Network(replace(problem, most_trips={}, controls=replace(problem.controls, smallest_parcel=1)))
    best = -plain.minimise(plain.coverage_cost())
    pairs = network.pairs()
    # Lines that the limits rule out by themselves are shut in the network, not in the plain one.
    shut = {
        pair
        for pair, high in zip(pairs, network.programme.upper, strict=False)
        if not high and pair not in network.trip_columns
    }
    found = _within(network, plain, shut, frozenset())
    cost = network.coverage_cost()[: len(found)]
    for _ in range(REFILLS):
        running = frozenset(pair for pair, copies in zip(pairs, found, strict=False) if copies > 0)
        again = _within(network, plain, shut, running)
        if cost @ again >= cost @ found:
            break
        found = again
    network.values = network.completed(found)
    small = (network.programme.upper[: len(pairs)] > 0).sum() <= effort.exact_lines
    network.branching = effort.exact_nodes if small else 0
    return best


def _within(network: Network, plain: Network, shut: Set[Pair], running: Set[Pair]) -> Floats:
    """Return lines and sets of a plan within the limits, made of ``running`` trips and of few others.

    ``plain`` is the network without the limits, ``shut`` are trips that they rule out.
    """
    pairs = network.pairs()
    group = {pair: number for number, pair in enumerate(sorted(set(pairs)))}
    of_line = np.array([group[pair] for pair in pairs], dtype=np.int64)
    barred = set(shut)
    free = np.array([pair in running for pair in group], dtype=bool)
    while True:
        trial = plain.fresh()
        trial.close_all_but(np.array([pair not in barred for pair in pairs], dtype=bool))
        trial.minimise(trial.coverage_cost())
        trial.keep()
        loads = _few_trips(trial, of_line, free)
        loads = _filled(trial, of_line, loads, network.problem.controls.smallest_parcel)
        breaking = _breaking(network, {pair: loads[number] for pair, number in group.items()})
        if not breaking:
            return trial.values[: len(network.lines) + len(network.sets)]
        # Half of them at a time: what they carried may fill up the others.
        barred.update(breaking[: (len(breaking) + 1) // 2])


def _few_trips(network: Network, of_line: NDArray[np.int64], free: NDArray[np.bool_]) -> Floats:
    """Bring the flow together on few trips beside the ``free`` ones and return what each carries."""
    price = 1.0 / np.maximum(np.bincount(of_line, weights=network.programme.upper[: len(of_line)]), 1.0)
    loads = np.zeros(len(price))
    for _ in range(ROUNDS):
        loads = _carried(network, of_line, np.where(free, 0.0, price))
        price = np.where(loads > 0, 1.0 / np.maximum(loads, 1.0), price)
    return loads


def _filled(network: Network, of_line: NDArray[np.int64], loads: Floats, least: int) -> Floats:
    """Let parcels that are too small draw copies from those with more than enough; return what each carries.

    ``loads`` are those to begin with. The flow with the fewest parcels too small is left.
    """
    values, best, fewest = network.values, loads, np.inf
    for _ in range(FILLINGS):
        drawn = np.clip(2.0 - loads / least, 0.0, 1.0)
        loads = _carried(network, of_line, np.where(loads > 0, -drawn, 1.0))
        small = ((loads > 0) & (loads < least)).sum()
        if small < fewest:
            values, best, fewest = network.values, loads, small
        if not small:
            break
    network.values = values
    return best


def _carried(network: Network, of_line: NDArray[np.int64], price: Floats) -> Floats:
    """Return what each trip carries at these prices of a copy."""
    network.minimise(network.line_cost(price[of_line]))
    carried = np.bincount(of_line, weights=network.values[: len(of_line)], minlength=len(price))
    return carried.astype(np.float64)


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
