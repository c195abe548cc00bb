"""The fewest trips: slope scaling, branch and cut, neighbourhood search."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from exchange.matching.solver.network import Network, Pair
from exchange.matching.solver.programme import EPSILON, SEED, Floats, Programme, run
from exchange.matching.solver.watching import Rounds

#: So many trips are searched all at once without thought.
SMALL = 60
#: Of so many possible lines at most, equal trips are told apart by everything that plans are told apart by.
TOLD_APART = 600


@dataclass(frozen=True)
class Effort:
    """How hard to look for fewer trips, in counts that do not depend on the clock.

    With at most ``exact_lines`` possible lines one branch and cut over all trips runs, of at most
    ``exact_nodes``. What it has not proven goes on to neighbourhood search, which frees about ``freed``
    trips at a time and branches ``round_nodes`` nodes over them; it ends after ``rounds`` rounds, or
    ``patience`` rounds in a row that closed no trip.
    """

    exact_lines: int
    exact_nodes: int
    freed: int
    round_nodes: int
    rounds: int
    patience: int


#: About two seconds for a district of 15 schools, while somebody waits.
QUICK = Effort(exact_lines=600, exact_nodes=10, freed=250, round_nodes=20, rounds=20, patience=10)
#: Some ten seconds for 25 schools; districts of 15 are mostly proven.
NORMAL = Effort(exact_lines=2000, exact_nodes=100, freed=250, round_nodes=20, rounds=80, patience=30)


class Charges:
    """A charge for each group of lines that carries anything: trips, or the sources of a class set.

    It is one, or ``price_of`` says how much; prices are whole numbers.

    A group with copies that cannot be taken off it is open already and costs nothing more.
    """

    def __init__(
        self,
        network: Network,
        group_of: Sequence[tuple[int, ...]],
        price_of: Mapping[Pair, float] | None = None,
    ) -> None:
        programme = network.programme
        count = len(network.lines)
        numbers: dict[tuple[int, ...], int] = {}
        self.network = network
        self.group = np.array([numbers.setdefault(group, len(numbers)) for group in group_of], dtype=np.int64)
        self.names = list(numbers)
        self.size = len(numbers)
        self.price = np.array([1.0 if price_of is None else price_of[name[0], name[1]] for name in numbers])
        self.live = programme.upper[:count] > 0
        self.given = self._any(programme.lower[:count] > 0)
        self.choice = self._any(self.live) & ~self.given

    def _any(self, lines: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the groups of which any of the ``lines`` is one."""
        found = np.zeros(self.size, dtype=bool)
        found[self.group[lines]] = True
        return found

    def open(self) -> NDArray[np.bool_]:
        """Return the groups that carry something at the network's present values."""
        return self.carrying(self.network.values)

    def programme(
        self, free: NDArray[np.bool_], opened: NDArray[np.bool_]
    ) -> tuple[Programme, NDArray[np.int64]]:
        """Return the programme of opening as few of the ``free`` groups as will do, and those groups.

        The groups' columns follow the network's. Groups that are not free stay ``opened`` or closed.
        """
        base, count = self.network.programme, len(self.group)
        width = len(base.cost)
        free = free & self.choice
        charged = np.flatnonzero(free)
        column = np.zeros(self.size, dtype=np.int64)
        column[charged] = width + np.arange(len(charged))
        upper = base.upper.copy()
        upper[:count][~(free | opened | self.given)[self.group]] = 0.0
        links = np.flatnonzero((upper[:count] > 0) & free[self.group])
        link_rows = len(base.row_lower) + np.arange(len(links))
        # One row x - u y <= 0 for each line; entries sorted by column.
        columns = np.concatenate((base.columns, links, column[self.group[links]]))
        order = np.argsort(columns, kind="stable")
        ones = np.ones(len(charged))
        programme = Programme(
            cost=np.concatenate((np.zeros(width), self.price[charged])),
            lower=np.concatenate((base.lower, np.zeros(len(charged)))),
            upper=np.concatenate((upper, ones)),
            row_lower=np.concatenate((base.row_lower, np.full(len(links), -np.inf))),
            row_upper=np.concatenate((base.row_upper, np.zeros(len(links)))),
            rows=np.concatenate((base.rows, link_rows, link_rows))[order].astype(np.int32),
            columns=columns[order].astype(np.int32),
            entries=np.concatenate((base.entries, np.ones(len(links)), -upper[links]))[order],
            integer=np.concatenate((self.network.rugged, np.ones(len(charged), dtype=bool))),
        )
        return programme, charged

    def guess(self, charged: NDArray[np.int64]) -> Floats:
        """Return the network's present values, the ``charged`` groups open that carry something."""
        return np.concatenate((self.network.values, self.open()[charged].astype(np.float64)))

    def search(
        self, free: NDArray[np.bool_], opened: NDArray[np.bool_], nodes: int
    ) -> tuple[NDArray[np.bool_], float]:
        """Find fewer open groups, from the network's present values on.

        Returns the open groups and a proven lower bound for the number of those.
        """
        programme, charged = self.programme(free, opened)
        optimum = run(programme, nodes=nodes, guess=self.guess(charged))
        return self.carrying(optimum.values), optimum.bound + self.total(self.given)

    def shorten(self, free: NDArray[np.bool_], nodes: int, costs: Sequence[Floats]) -> None:
        """Move the network to fewer copy-kilometres on as few groups, from its present values on, and then to
        the least of ``costs`` in turn.
        """
        programme, charged = self.programme(free, self.open())
        km = self.network.km_cost()
        values = in_turn(programme, self.guess(charged), [km, *costs], nodes)
        self.network.minimise(km, self.carrying(values)[self.group])

    def total(self, groups: NDArray[np.bool_]) -> float:
        """Return what these groups cost."""
        return float(self.price[groups].sum())

    def carrying(self, values: Floats) -> NDArray[np.bool_]:
        """Return the groups with copies on any line."""
        return self._any(values[: len(self.group)] > EPSILON)


def fewest_trips(network: Network, effort: Effort, rounds: Rounds) -> tuple[NDArray[np.bool_], float]:
    """Return which lines the fewest trips found leave open, and a proven bound of what trips cost."""
    trips = Charges(network, network.pairs(), network.trip_price())
    bound = trips.total(trips.given)
    _slope_scaling(network, trips)
    if trips.live.sum() <= effort.exact_lines:
        everything = np.ones(trips.size, dtype=bool)
        found, proven = trips.search(everything, everything, effort.exact_nodes)
        bound = max(bound, float(np.ceil(proven - EPSILON)))
        network.minimise(network.km_cost(), found[trips.group])
    _neighbourhoods(network, trips, effort, rounds, bound)
    _shortest(network, trips, effort)
    return trips.open()[trips.group], bound


def _slope_scaling(network: Network, trips: Charges, rounds: int = 12) -> None:
    """Leave a flow on few trips: price each copy at its share of the trip, as the last flow filled it."""
    lines = len(trips.group)
    room = np.bincount(trips.group, weights=network.programme.upper[:lines], minlength=trips.size)
    price = trips.price / np.maximum(room, 1.0)
    best, fewest = network.values, trips.total(trips.open())
    for _ in range(rounds):
        network.minimise(network.line_cost(price[trips.group]))
        flow = np.bincount(trips.group, weights=network.values[:lines], minlength=trips.size)
        price = np.where(flow > 0, trips.price / np.maximum(flow, 1.0), price)
        if trips.total(trips.open()) < fewest:
            best, fewest = network.values, trips.total(trips.open())
    network.values = best


def _neighbourhoods(network: Network, trips: Charges, effort: Effort, rounds: Rounds, bound: float) -> None:
    """Close trips by freeing those of a few holders at a time, until the ``bound`` is reached."""
    dice = random.Random(SEED)
    km = network.km_cost()
    idle = 0
    while idle < effort.patience and rounds.go_on(trips.total(trips.open()), bound):
        opened = trips.open()
        free = _some_holders(trips, dice, effort)
        found, _bound = trips.search(free, opened, effort.round_nodes)
        idle = 0 if trips.total(found) < trips.total(opened) else idle + 1
        # As many but other trips are taken too: they lead out of dead ends.
        if trips.total(found) <= trips.total(opened):
            network.minimise(km, found[trips.group])


def _some_holders(trips: Charges, dice: random.Random, effort: Effort) -> NDArray[np.bool_]:
    """Return the trips of so many holders, drawn by lot, as a search may free at a time."""
    holders = sorted({holder for pair in trips.names for holder in pair})
    ends = np.array(trips.names)
    # To free nearly everything of a small but dense district is slower than to do it in pieces.
    most = min(effort.freed, max(SMALL, 0.4 * trips.choice.sum()))
    free = np.zeros(trips.size, dtype=bool)
    for holder in dice.sample(holders, len(holders)):
        free |= (ends == holder).any(axis=1)
        if (free & trips.choice).sum() >= most:
            break
    return free


def _shortest(network: Network, trips: Charges, effort: Effort) -> None:
    """Exchange trips for nearer ones, no more than there are: all at once, or those of a few holders.

    Equal trips go by what givers bear; in small problems by all that equal plans are told apart by.
    """
    lines = trips.live.sum()
    if lines <= effort.exact_lines:
        costs = _preferences(network) if lines <= TOLD_APART else burdens(network)
        trips.shorten(np.ones(trips.size, dtype=bool), effort.exact_nodes, costs)
        return
    dice = random.Random(SEED)
    for _ in range(effort.patience // 3):
        trips.shorten(_some_holders(trips, dice, effort), effort.round_nodes, burdens(network))


def break_ties(network: Network, effort: Effort) -> None:
    """Choose among equal plans: whole class sets from one giver and year, then the order of `_preferences`.

    The first of these is a charge again, one for each source of a need; so all these passes are integer
    programmes, on what little the passes before have left free, and the last flow makes them whole.
    """
    sources = Charges(network, [(need.id, supply.holder, supply.year) for supply, need in network.lines])
    programme, charged = sources.programme(sources.choice, sources.given)
    values = sources.guess(charged)
    preferences = _preferences(network)
    values = run(programme, nodes=effort.exact_nodes, guess=values).values
    values = in_turn(programme, values, preferences, effort.exact_nodes)
    network.close_all_but(sources.carrying(values)[sources.group])
    for cost in preferences:
        network.minimise(cost)
        network.keep()


def in_turn(programme: Programme, values: Floats, costs: Sequence[Floats], nodes: int) -> Floats:
    """Return values of the least of ``costs`` in turn, without paying more than now in the programme itself.

    ``values`` are feasible; columns beyond those of a cost are free of it.
    """
    programme = programme.with_row(programme.cost, _paid(programme.cost, values))
    for own in costs:
        cost = np.concatenate((own, np.zeros(len(values) - len(own))))
        values = run(replace(programme, cost=cost), nodes=nodes, guess=values).values
        programme = programme.with_row(cost, _paid(cost, values))
    return values


def _paid(cost: Floats, values: Floats) -> float:
    """Return what the values cost, which is whole."""
    return float(np.ceil(cost @ values - EPSILON))


def burdens(network: Network) -> list[Floats]:
    """Return what spares those who have books out on loan, then those who have given the most."""
    return [cost for cost in (network.lent_cost(), network.balance_cost()) if cost.any()]


def _preferences(network: Network) -> list[Floats]:
    """Return what equal plans are told apart by: `burdens`, newer copies, longer legality, lower numbers."""
    costs = (network.age_cost(), network.legality_cost(), network.id_cost())
    return [*burdens(network), *(cost for cost in costs if cost.any())]
