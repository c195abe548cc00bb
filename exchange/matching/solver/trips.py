"""The fewest trips: slope scaling, branch and cut, neighbourhood search."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from exchange.matching.solver.closing import Exchanges, Ways
from exchange.matching.solver.network import Network, Pair
from exchange.matching.solver.programme import EPSILON, SEED, Floats, Programme, run
from exchange.matching.solver.watching import Rounds

#: So many trips are searched all at once without thought.
SMALL = 60
#: A trip is worth any number of roads.
ROADS = 1e6
#: Flows of slope scaling, and after how many of the last of them trips are closed.
SCALINGS = 4
CLOSINGS = 2
#: Rounds of search at the start where coverage may be given up.
TIED_ROUNDS = 4
#: How fast the weights of the bound follow the flows.
STEP = 3.0
#: Of so many possible lines at most, equal trips are told apart by everything that plans are told apart by.
TOLD_APART = 600


#: So many rounds in a row that saved nothing, and districts small enough for it go to branch and cut.
BEFORE_PROOF = 20
#: The bound is raised every so many rounds.
BETWEEN_BOUNDS = 5


@dataclass(frozen=True)
class Effort:
    """How hard to look for fewer trips, in counts that do not depend on the clock.

    All begin alike: a first bound, slope scaling, trips closed, ``swaps`` opened for others. With at most
    ``exact_lines`` possible lines one branch and cut over all trips follows, of at most ``exact_nodes``. What
    it has not proven goes on in ``rounds``, or until ``patience`` rounds in a row saved nothing. Every few
    rounds raise the bound, ``bound_rounds`` times in all. A round opens ``swaps`` trips; if that saves none,
    it frees about ``freed`` trips and branches ``round_nodes`` nodes over them. With at most ``proven_lines``
    lines the branch and cut comes when `BEFORE_PROOF` rounds saved nothing.
    """

    bound_rounds: int
    swaps: int
    exact_lines: int
    exact_nodes: int
    proven_lines: int
    freed: int
    round_nodes: int
    rounds: int
    patience: int


#: Half a second for a district of 25 schools, while somebody waits.
QUICK = Effort(
    bound_rounds=1,
    swaps=300,
    exact_lines=400,
    exact_nodes=10,
    proven_lines=0,
    freed=250,
    round_nodes=20,
    rounds=0,
    patience=0,
)
#: Some ten seconds for 25 schools, often with a proof.
NORMAL = Effort(
    bound_rounds=40,
    swaps=600,
    exact_lines=400,
    exact_nodes=100,
    proven_lines=5000,
    freed=250,
    round_nodes=20,
    rounds=100,
    patience=20,
)
#: As long as it takes: for a run that somebody stops or that has a time limit.
THOROUGH = replace(NORMAL, bound_rounds=60, exact_nodes=1000, rounds=5000, patience=500)


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
        self,
        free: NDArray[np.bool_],
        opened: NDArray[np.bool_],
        nodes: int,
        seconds: float | None = None,
    ) -> tuple[NDArray[np.bool_], float]:
        """Find fewer open groups, from the network's present values on.

        Returns the open groups and a proven lower bound for the number of those.
        """
        programme, charged = self.programme(free, opened)
        optimum = run(programme, nodes=nodes, guess=self.guess(charged), seconds=seconds)
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
    search = _Search(network, trips, effort, rounds)
    search.construct()
    lines = trips.live.sum()
    if lines <= effort.exact_lines:
        search.prove()
    patience = effort.patience
    if effort.exact_lines < lines <= effort.proven_lines:
        search.improve(min(patience, BEFORE_PROOF))
        patience -= BEFORE_PROOF
        if not rounds.stopped:
            search.prove()
    search.improve(patience)
    search.shorten()
    return trips.open()[trips.group], search.bound


class _Search:
    """The search for the fewest trips; the network's values are the best found so far."""

    def __init__(self, network: Network, trips: Charges, effort: Effort, rounds: Rounds) -> None:
        self.network = network
        self.trips = trips
        self.effort = effort
        self.rounds = rounds
        self.bound = trips.total(trips.given)
        self._bounds = self._prices()
        self._dice = random.Random(SEED)
        # Caps and parcels tie trips together: none can be opened or closed by itself.
        self._exchanges: Exchanges | None = None
        if not network.trip_columns:
            self._exchanges = Exchanges(Ways(network, trips.group, trips.names))

    def _cost(self) -> float:
        return self.trips.total(self.trips.open())

    def construct(self) -> None:
        """Leave a flow on few trips.

        Slope scaling prices each copy at its share of the trip, as the last flow filled it; the trips that
        can then be closed are, and that gives new prices.
        """
        network, trips = self.network, self.trips
        best, fewest = network.values, self._cost()
        next(self._bounds, None)
        price = trips.price / np.maximum(self._loads(network.programme.upper), 1.0)
        for number in range(SCALINGS):
            if number:
                network.minimise(network.line_cost(price[trips.group]))
            if number >= SCALINGS - CLOSINGS:
                self._exchange(0)
            if self._cost() < fewest:
                best, fewest = network.values, self._cost()
            flow = self._loads(network.values)
            price = np.where(flow > 0, trips.price / np.maximum(flow, 1.0), price)
        network.values = best
        self._exchange(self.effort.swaps)
        # Trips closed one by one never change what is covered: what may be given up takes a search.
        for _ in range(TIED_ROUNDS if network.problem.controls.give_up else 0):
            self._free_some()
            self._exchange(self.effort.swaps)

    def _loads(self, copies: Floats) -> Floats:
        """Return what the lines of each trip add up to."""
        trips = self.trips
        lines = len(trips.group)
        return np.bincount(trips.group, weights=copies[:lines], minlength=trips.size).astype(np.float64)

    def _prices(self) -> Iterator[None]:
        """Raise the bound round by round, by flows of least cost; each leaves its flow.

        ``x <= u y`` is relaxed: each line pays ``w / u`` a copy, the weights ``w`` of a trip's lines adding
        up to its charge. Whatever the weights, no plan's trips cost less than that flow. The weights follow
        the flow, from lines that are not used to those that are (exponentiated subgradient).
        """
        network, trips = self.network, self.trips
        room = network.programme.upper[: len(trips.group)].copy()
        upper = np.maximum(room, 1.0)
        charge = np.where(trips.given, 0.0, trips.price)[trips.group]
        weight = room
        for number in range(max(1, self.effort.bound_rounds)):
            total = self._loads(weight)[trips.group]
            weight = weight / np.where(total > 0, total, 1.0)
            network.minimise(network.line_cost(charge * weight / upper))
            if network.branching or not network.trip_columns:
                # Short of rounding: what trips cost is a whole number.
                proven = np.ceil(network.bound + trips.total(trips.given) - 1e-4)
                self.bound = max(self.bound, float(proven))
            weight = weight * np.exp(STEP / (1 + number) ** 0.5 * network.values[: len(trips.group)] / upper)
            yield

    def _raise_bound(self) -> None:
        """Go one round further with the bound, and leave the flow as it is."""
        values = self.network.values
        next(self._bounds, None)
        self.network.values = values

    def _exchange(self, swaps: int, price: Floats | None = None) -> None:
        """Close the trips that can be; then open others, drawn by lot, for those that can be closed then."""
        trips, network, exchanges = self.trips, self.network, self._exchanges
        if exchanges is None:
            return
        exchanges.begin(network.values, trips.given, trips.price if price is None else price)
        exchanges.close_all()
        closed = np.flatnonzero(trips.choice).tolist()
        for new in self._dice.choices(closed, k=swaps) if closed else ():
            if not exchanges.runs[new]:
                exchanges.swap(new)
        network.values = exchanges.values()

    def improve(self, patience: int) -> None:
        """Go on in rounds until so many in a row saved nothing: trips opened for others; where that saves
        none, those of a few holders freed.
        """
        idle = 0
        while idle < patience and self.rounds.go_on(self._cost(), self.bound):
            if self.rounds.done % BETWEEN_BOUNDS == 0:
                self._raise_bound()
            before = self._cost()
            self._exchange(self.effort.swaps)
            if self._cost() == before:
                self._free_some()
            idle = 0 if self._cost() < before else idle + 1

    def _free_some(self) -> None:
        """Search anew for the trips of a few holders, the others open or closed as they are."""
        trips, opened = self.trips, self.trips.open()
        free = _some_holders(trips, self._dice, self.effort)
        found, _bound = trips.search(free, opened, self.effort.round_nodes, self.rounds.left())
        # As many but other trips are taken too: they lead out of dead ends.
        if trips.total(found) <= trips.total(opened):
            self.network.minimise(self.network.km_cost(), found[trips.group])

    def prove(self) -> None:
        """Search all trips at once."""
        trips, network = self.trips, self.network
        everything = np.ones(trips.size, dtype=bool)
        found, proven = trips.search(everything, everything, self.effort.exact_nodes, self.rounds.left())
        self.bound = max(self.bound, float(np.ceil(proven - EPSILON)))
        network.minimise(network.km_cost(), found[trips.group])

    def shorten(self) -> None:
        """Exchange trips for nearer ones, no more than there are.

        Of small problems equal trips go by all that equal plans are told apart by.
        """
        trips = self.trips
        if trips.live.sum() <= TOLD_APART:
            everything = np.ones(trips.size, dtype=bool)
            trips.shorten(everything, self.effort.exact_nodes, _preferences(self.network))
        else:
            road = np.zeros(trips.size)
            road[trips.group] = self.network.roads()
            self._exchange(self.effort.swaps // 3, trips.price * ROADS + road)


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
