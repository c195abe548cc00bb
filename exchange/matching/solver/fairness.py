"""The fairest plan at the best coverage: the worst served school first, then the next.

A school's share is what it is served of what it could be served, in sets. One linear programme with a convex
price finds a plan: the k-th set of a school costs the more, the larger the share it has already; of equal
shares the set goes where it raises the share the most. On a flow of single copies its optimum is the leximin
of the shares: no set could move to a school that is served worse (Fujishige 1980, in whole numbers); pairs of
parts come close to it. That
nothing lifts the worst served school any higher is then tried on its own, and what does is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from exchange.matching.rules import serveable
from exchange.matching.solver.network import Network
from exchange.matching.solver.programme import EPSILON

#: A school's sets are priced one by one up to so many, else in as many steps.
STEPS = 60
#: What the last set of a school costs, and the first nothing, but for the order of equal shares.
DEAREST = 10_000


@dataclass(frozen=True)
class Fairest:
    """The sets that each school is ``served`` and ``could`` be served, and the ``bound`` of the worst share.

    ``bound`` is reached by this plan, or nothing better is known than that it is the most.
    """

    served: tuple[tuple[int, int, int], ...]
    bound: float

    @property
    def worst(self) -> float:
        """Return the smallest share."""
        return min((sets / could for _, sets, could in self.served), default=1.0)

    def floors(self, tolerance: float) -> tuple[tuple[int, int], ...]:
        """Return the sets that each school gets at least, when it may fall behind by so much of its share."""
        found = (
            (school, int(np.ceil(sets - tolerance * could - EPSILON))) for school, sets, could in self.served
        )
        return tuple((school, floor) for school, floor in found if floor > 0)


def fairest(network: Network) -> Fairest:
    """Move the network to the fairest of the plans still open to it and return what it serves."""
    could: dict[int, int] = {}
    by_need = serveable(network.problem)
    for need in network.problem.needs:
        could[need.taker] = could.get(need.taker, 0) + by_need[need.id]
    schools = {school: most for school, most in sorted(could.items()) if most}
    floors = dict.fromkeys(schools, 0)
    _by_convex_price(network, schools, floors)
    while True:
        served = _served(network, schools)
        worst = min((served[school] / most for school, most in schools.items()), default=1.0)
        if worst >= 1 - EPSILON:
            proven = True
            break
        higher = {school: int(worst * most + EPSILON) + 1 for school, most in schools.items()}
        reached, proven = _all_reach(network, higher)
        if not reached:
            break
        floors = higher
        _by_convex_price(network, schools, floors)
    rows = tuple((school, served[school], most) for school, most in schools.items())
    return Fairest(rows, worst if proven else 1.0)


def _served(network: Network, schools: dict[int, int]) -> dict[int, int]:
    return {school: round(-network.worth(network.served_cost(school))) for school in schools}


def _by_convex_price(network: Network, schools: dict[int, int], floors: dict[int, int]) -> None:
    """Serve every school its floor, and on from there those first that have least."""
    cost: list[float] = []
    upper: list[float] = []
    cells: list[tuple[int, int, float]] = []
    width = len(network.values)
    sizes = sorted(set(schools.values()))
    for row, (school, most) in enumerate(schools.items()):
        cells += [(row, int(column), 1.0) for column in np.flatnonzero(network.served_cost(school))]
        ends = np.unique(np.rint(np.linspace(0, most, min(most, STEPS) + 1)).astype(int))
        for start, end in pairwise(ends.tolist()):
            cells.append((row, width + len(cost), -1.0))
            cost.append(float(round(DEAREST * start / most) * len(sizes) + sizes.index(most)))
            upper.append(float(end - start))
    tried = network.beside(
        cells=cells,
        cost=np.zeros(len(cost)),
        lower=np.zeros(len(cost)),
        upper=upper,
        row_lower=np.zeros(len(schools)),
        row_upper=np.zeros(len(schools)),
    )
    for school, floor in floors.items():
        if floor:
            tried.demand(tried.served_cost(school), -float(floor))
    tried.values[width:] = _filled(_served(network, schools), schools, upper)
    tried.minimise(np.concatenate((np.zeros(width), cost)))
    network.values = tried.values[:width]


def _filled(served: dict[int, int], schools: dict[int, int], upper: list[float]) -> list[float]:
    """Return how full the steps of every school are at what it is served now."""
    found: list[float] = []
    for school, most in schools.items():
        left = float(served[school])
        for size in upper[len(found) : len(found) + min(most, STEPS)]:
            found.append(min(left, size))
            left -= found[-1]
    return found


def _all_reach(network: Network, goals: dict[int, int]) -> tuple[bool, bool]:
    """Move the network to a plan that serves every school so many sets; tell whether there is one, and
    whether the answer is proven.
    """
    width = len(network.values)
    count = len(goals)
    cells: list[tuple[int, int, float]] = []
    for row, school in enumerate(goals):
        cells += [(row, int(column), -1.0) for column in np.flatnonzero(network.served_cost(school))]
        cells.append((row, width + row, 1.0))
    tried = network.beside(
        cells=cells,
        cost=np.zeros(count),
        lower=np.zeros(count),
        upper=[float(goal) for goal in goals.values()],
        row_upper=np.zeros(count),
    )
    wanted = float(sum(goals.values()))
    value = tried.minimise(np.concatenate((np.zeros(width), -np.ones(count))))
    if -value >= wanted - EPSILON:
        network.values = tried.values[:width]
        return True, True
    return False, -tried.bound < wanted - EPSILON
