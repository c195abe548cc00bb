"""The optimiser: whole-numbered plans by strictly lexicographic passes of HiGHS.

**Coverage, fund, kilometres** are linear programmes over a network. Columns are lines ``x[supply, need]``
and covered sets ``c[layer]``; rows are the offers, ``sum x <= copies``, and each part of each need, ``sum
x = sum c`` over the layers with that part. With sets of at most two parts this is a network (the arcs of
the second part reversed), so its vertices are whole-numbered and the optimum is its own proof. The few
textbooks in three parts or more need not come out whole; each is then a small integer programme of its
own.

**Lexicographic** order costs neither weights nor dense rows: the optimal points of a linear programme are
exactly the face where every column with a reduced cost and every row with a dual value stays where it is.
After each pass those are nailed down and the next pass does as it likes with the rest (`_Network.keep`).

**Trips** are a fixed-charge network design problem: ``y[giver, taker]`` binary, ``x <= u y``, fewest
``y``. Small districts are proven by branch and cut. Larger ones start from slope scaling (Kim and
Pardalos 1999: solve the flow with each line priced at the inverse of what its trip carried, repeat) and
are improved by neighbourhood search (Shaw 1998: free the trips of a few holders, hold the others open or
closed, solve that small programme).

All limits are counts of nodes and rounds, never the clock; one thread, one seed, input sorted by
identifiers: the same problem gives the same plan.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exchange.matching.rules import (
    Layer,
    Need,
    Pass,
    Problem,
    Result,
    Shipments,
    Supply,
    Trip,
    allowed,
    check_fixed,
    coverage_of,
    distance,
    figures_of,
    layers,
    shortages,
    trips_of,
)

Floats = NDArray[np.float64]
Pair = tuple[int, int]

#: A reduced cost or dual value above this is a real one: costs are whole numbers, so true values are far
#: from it.
EPSILON = 1e-6
SEED = 1
#: So many trips are searched all at once without thought.
SMALL = 60


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


def solve(problem: Problem, *, effort: Effort = NORMAL) -> Result:
    """Return the best plan: most coverage, least of the fund, fewest trips, fewest copy-kilometres.

    Ties go to whole class sets from one giver and one edition, to newer copies, to lower identifiers.
    """
    started = time.perf_counter()
    problem = problem.in_order()
    check_fixed(problem)
    baseline = figures_of(problem, nearest_donor_first(problem))
    network = _Network(problem)

    coverage = network.minimise(network.coverage_cost())
    network.keep()
    fund = network.minimise(network.fund_cost())
    network.keep()
    trips, bound = _fewest_trips(network, effort)
    network.close_all_but(trips)
    km = network.minimise(network.km_cost())
    network.keep()
    _break_ties(network, effort)

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


# --- Programmes -----------------------------------------------------------------------------------


@dataclass
class _Programme:
    """Minimise ``cost x`` with ``lower <= x <= upper`` and ``row_lower <= A x <= row_upper``.

    ``A`` is held as entries sorted by column; ``integer`` marks the columns that must be whole.
    """

    cost: Floats
    lower: Floats
    upper: Floats
    row_lower: Floats
    row_upper: Floats
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    entries: Floats
    integer: NDArray[np.bool_]

    def with_row(self, costs: Floats, most: float) -> _Programme:
        """Return the programme with one more row: ``costs x <= most``."""
        added = np.flatnonzero(costs).astype(np.int32)
        columns = np.concatenate((self.columns, added))
        rows = np.concatenate((self.rows, np.full(len(added), len(self.row_lower), dtype=np.int32)))
        order = np.argsort(columns, kind="stable")
        return replace(
            self,
            columns=columns[order],
            rows=rows[order],
            entries=np.concatenate((self.entries, costs[added]))[order],
            row_lower=np.append(self.row_lower, -np.inf),
            row_upper=np.append(self.row_upper, most),
        )


@dataclass(frozen=True)
class _Optimum:
    """Values of the columns, reduced costs, dual values of the rows, and a proven lower bound of the cost."""

    values: Floats
    reduced: Floats
    duals: Floats
    bound: float


def _run(programme: _Programme, *, nodes: int | None = None, guess: Floats | None = None) -> _Optimum:
    """Solve with HiGHS; ``guess`` is a feasible start. Columns that cannot move are taken out first."""
    import highspy

    moving = programme.upper > programme.lower
    still = np.where(moving, 0.0, programme.lower)
    kept = moving[programme.columns]
    resting = np.bincount(
        programme.rows[~kept],
        weights=programme.entries[~kept] * still[programme.columns[~kept]],
        minlength=len(programme.row_lower),
    )
    constant = float(programme.cost @ still)
    reduced = np.zeros(len(programme.cost))
    if not moving.any():
        return _Optimum(still, reduced, np.zeros(len(resting)), constant)

    model = highspy.HighsLp()
    model.num_col_ = int(moving.sum())
    model.num_row_ = len(programme.row_lower)
    model.col_cost_ = programme.cost[moving]
    model.col_lower_ = programme.lower[moving]
    model.col_upper_ = programme.upper[moving]
    model.row_lower_ = programme.row_lower - resting
    model.row_upper_ = programme.row_upper - resting
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    counts = np.bincount(programme.columns[kept], minlength=len(moving))[moving]
    model.a_matrix_.start_ = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    model.a_matrix_.index_ = programme.rows[kept]
    model.a_matrix_.value_ = programme.entries[kept]
    whole = programme.integer[moving]
    if whole.any():
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        model.integrality_ = [kinds[int(flag)] for flag in whole]

    highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    for option, value in (
        ("output_flag", False),
        ("threads", 1),
        ("random_seed", SEED),
        # A good start is always at hand: HiGHS need not look for one.
        ("mip_heuristic_effort", 0.0),
        ("mip_allow_feasibility_jump", False),
        ("mip_heuristic_run_root_reduced_cost", False),
        ("mip_heuristic_run_zi_round", False),
        ("mip_detect_symmetry", False),
        ("mip_rel_gap", 0.0),
        ("mip_abs_gap", 1 - 1e-4),  # integer programmes here have whole-numbered costs
        ("mip_max_nodes", nodes if nodes is not None else 2**31 - 1),
    ):
        highs.setOptionValue(option, value)
    highs.passModel(model)
    if guess is not None:
        start = highspy.HighsSolution()
        start.col_value = guess[moving]
        highs.setSolution(start)
    highs.run()
    status = highs.getModelStatus()
    solution, info = highs.getSolution(), highs.getInfo()
    if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        if guess is None:
            raise RuntimeError(f"no feasible plan: {highs.modelStatusToString(status)}")
        return _Optimum(guess, reduced, np.zeros(len(resting)), -np.inf)
    values = still.copy()
    values[moving] = solution.col_value
    if whole.any():
        return _Optimum(values, reduced, np.zeros(len(resting)), info.mip_dual_bound + constant)
    reduced[moving] = solution.col_dual
    return _Optimum(values, reduced, np.array(solution.row_dual), info.objective_function_value + constant)


class _Network:
    """The flow of one problem: its lines, its sets, and what the passes so far have nailed down."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.lines: list[tuple[Supply, Need]] = []
        self.sets: list[tuple[Need, Layer]] = []
        self._build()

    def _build(self) -> None:
        problem = self.problem
        fixed = {(line.supply_id, line.need_id): line.copies for line in problem.fixed}
        offers: dict[Pair, list[int]] = defaultdict(list)
        for row, supply in enumerate(problem.supplies):
            offers[supply.textbook, supply.part].append(row)
        row_upper = [float(supply.copies) for supply in problem.supplies]
        row_lower = [0.0] * len(row_upper)
        lower: list[float] = []
        upper: list[float] = []
        matrix: list[tuple[int, int, float]] = []

        textbooks: list[int] = []

        def column(textbook: int, low: float, high: float, *cells: tuple[int, float]) -> None:
            textbooks.append(textbook)
            matrix.extend((row, len(lower), entry) for row, entry in cells)
            lower.append(low)
            upper.append(high)

        need_rows: dict[Pair, int] = {}
        spare: Counter[Pair] = Counter()
        for need in problem.needs:
            for part, missing in sorted(need.parts):
                need_row = need_rows[need.id, part] = len(row_upper)
                row_lower.append(0.0)
                row_upper.append(0.0)
                for row in offers[need.textbook, part]:
                    supply = problem.supplies[row]
                    locked = fixed.get((supply.id, need.id), 0)
                    free = 0 if allowed(supply, need, problem) else min(supply.copies, missing)
                    if max(free, locked) > 0:
                        self.lines.append((supply, need))
                        column(need.textbook, locked, max(free, locked), (row, 1.0), (need_row, 1.0))
                    spare[need.textbook, need_row] += locked
        for need in problem.needs:
            for layer in layers(need):
                self.sets.append((need, layer))
                cells = ((need_rows[need.id, part], -1.0) for part in layer.parts)
                column(need.textbook, 0.0, layer.size, *cells)
        # Locked copies may complete no set; they, and only they, may be to spare.
        for (textbook, need_row), copies in sorted(spare.items()):
            if copies:
                column(textbook, 0.0, copies, (need_row, -1.0))

        table = np.array(matrix, dtype=np.float64).reshape(-1, 3)
        self.programme = _Programme(
            cost=np.zeros(len(lower)),
            lower=np.array(lower, dtype=np.float64),
            upper=np.array(upper, dtype=np.float64),
            row_lower=np.array(row_lower),
            row_upper=np.array(row_upper),
            rows=table[:, 0].astype(np.int32),
            columns=table[:, 1].astype(np.int32),
            entries=table[:, 2].copy(),
            integer=np.zeros(len(lower), dtype=bool),
        )
        self.values = np.zeros(len(lower))
        self._optimum = _Optimum(self.values, self.values, np.zeros(len(row_lower)), 0.0)
        self._mark_rugged(textbooks)

    def _mark_rugged(self, textbooks: Sequence[int]) -> None:
        """Remember the columns of textbooks that are no network: three parts or more needed together."""
        together: dict[int, set[int]] = defaultdict(set)
        for need, layer in self.sets:
            if len(layer.parts) > 1:
                together[need.textbook].update(layer.parts)
        self.rugged = np.array([len(together[textbook]) > 2 for textbook in textbooks], dtype=bool)

    # What a pass minimises

    def _cost(self, lines: Iterable[float] = (), sets: Iterable[float] = ()) -> Floats:
        cost = np.zeros(len(self.values))
        for offset, column_costs in ((0, list(lines)), (len(self.lines), list(sets))):
            cost[offset : offset + len(column_costs)] = column_costs
        return cost

    def line_cost(self, prices: Floats) -> Floats:
        """Each copy costs the price of its line."""
        return self._cost(lines=prices)

    def coverage_cost(self) -> Floats:
        """Each covered set earns its weight."""
        return self._cost(sets=(-need.weight for need, _ in self.sets))

    def fund_cost(self) -> Floats:
        """Each copy from the fund costs one."""
        return self._cost(lines=(supply.is_fund for supply, _ in self.lines))

    def km_cost(self) -> Floats:
        """Each copy costs its road in whole units of 100 m; an unknown road is as long as the longest."""
        roads = [self.problem.road(supply.holder, need.taker) for supply, need in self.lines]
        longest = max((km for km in roads if km is not None), default=0.0)
        return self._cost(lines=(round(10 * (longest if km is None else km)) for km in roads))

    def age_cost(self) -> Floats:
        """Each copy costs its age in years, against the newest on offer."""
        newest = max((supply.year for supply, _ in self.lines), default=0)
        return self._cost(lines=(newest - supply.year for supply, _ in self.lines))

    def id_cost(self) -> Floats:
        """Each copy costs the place of its offer in the order of identifiers."""
        place = {supply.id: place for place, supply in enumerate(self.problem.supplies, start=1)}
        return self._cost(lines=(place[supply.id] for supply, _ in self.lines))

    # The passes

    def minimise(self, cost: Floats, only: NDArray[np.bool_] | None = None) -> float:
        """Find whole-numbered values of least ``cost`` and return it; with ``only``, on those lines alone."""
        self.programme.cost = cost
        optimum = _run(self.programme if only is None else self._restricted(only))
        self._nailing = np.ones(len(cost), dtype=bool)
        if self.rugged.any() and not _whole(optimum.values[self.rugged]):
            optimum = self._minimise_rugged(optimum, only)
        self.values = np.rint(optimum.values)
        self._optimum = optimum
        return self.worth(cost)

    def _restricted(self, only: NDArray[np.bool_]) -> _Programme:
        upper = self.programme.upper.copy()
        upper[: len(only)][~only] = 0.0
        return replace(self.programme, upper=upper)

    def close_all_but(self, only: NDArray[np.bool_]) -> None:
        """Shut all other lines for good."""
        self.programme = self._restricted(only)

    def _minimise_rugged(self, optimum: _Optimum, only: NDArray[np.bool_] | None) -> _Optimum:
        """Make the textbooks whole that did not come out so; no other textbook shares a row with them."""
        programme = self.programme if only is None else self._restricted(only)
        others = np.rint(optimum.values[~self.rugged])
        lower, upper = programme.lower.copy(), programme.upper.copy()
        lower[~self.rugged] = upper[~self.rugged] = others
        whole = _run(replace(programme, lower=lower, upper=upper, integer=self.rugged))
        self._nailing = ~self.rugged
        return replace(optimum, values=whole.values)

    def keep(self) -> None:
        """Let later passes move only where the last one stays at its optimum."""
        programme, optimum = self.programme, self._optimum
        held = (np.abs(optimum.reduced) > EPSILON) & self._nailing
        programme.lower[held] = programme.upper[held] = self.values[held]
        loose = np.zeros(len(programme.row_lower), dtype=bool)
        loose[programme.rows[~self._nailing[programme.columns]]] = True
        activity = np.rint(self._activity(self.values))
        tight = (np.abs(optimum.duals) > EPSILON) & ~loose
        programme.row_lower[tight] = programme.row_upper[tight] = activity[tight]
        if not self._nailing.all():
            costs = np.where(self._nailing, 0.0, programme.cost)
            self.programme = programme.with_row(costs, float(costs @ self.values))

    def _activity(self, values: Floats) -> Floats:
        programme = self.programme
        moved = programme.entries * values[programme.columns]
        total = np.bincount(programme.rows, weights=moved, minlength=len(programme.row_lower))
        return total.astype(np.float64)

    def worth(self, cost: Floats) -> float:
        """Return what the present values cost."""
        return float(cost @ self.values)

    def shipments(self) -> Shipments:
        """Return the copies on each line."""
        return {
            (supply.id, need.id): int(copies)
            for (supply, need), copies in zip(self.lines, self.values, strict=False)
            if copies > 0
        }


def _whole(values: Floats) -> bool:
    return bool(np.all(np.abs(values - np.rint(values)) < EPSILON))


# --- The fewest trips -----------------------------------------------------------------------------


class _Charges:
    """A charge of one for each group of lines that carries anything: trips, or the sources of a class set.

    A group with copies that cannot be taken off it is open already and costs nothing more.
    """

    def __init__(self, network: _Network, group_of: Sequence[tuple[int, ...]]) -> None:
        programme = network.programme
        count = len(network.lines)
        numbers: dict[tuple[int, ...], int] = {}
        self.network = network
        self.group = np.array([numbers.setdefault(group, len(numbers)) for group in group_of], dtype=np.int64)
        self.names = list(numbers)
        self.size = len(numbers)
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
    ) -> tuple[_Programme, NDArray[np.int64]]:
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
        programme = _Programme(
            cost=np.concatenate((np.zeros(width), ones)),
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
        optimum = _run(programme, nodes=nodes, guess=self.guess(charged))
        return self.carrying(optimum.values), optimum.bound + float(self.given.sum())

    def shorten(self, free: NDArray[np.bool_], nodes: int) -> None:
        """Move the network to fewer copy-kilometres on as few groups, from its present values on."""
        programme, charged = self.programme(free, self.open())
        guess = self.guess(charged)
        count = programme.cost
        km = np.concatenate((self.network.km_cost(), np.zeros(len(charged))))
        shorter = replace(programme.with_row(count, float(count @ guess)), cost=km)
        found = self.carrying(_run(shorter, nodes=nodes, guess=guess).values)
        self.network.minimise(self.network.km_cost(), found[self.group])

    def carrying(self, values: Floats) -> NDArray[np.bool_]:
        """Return the groups with copies on any line."""
        return self._any(values[: len(self.group)] > EPSILON)


def _fewest_trips(network: _Network, effort: Effort) -> tuple[NDArray[np.bool_], float]:
    """Return which lines the fewest trips found leave open, and a proven bound of the number of trips."""
    trips = _Charges(network, [(supply.holder, need.taker) for supply, need in network.lines])
    bound = float(trips.given.sum())
    _slope_scaling(network, trips)
    if trips.live.sum() <= effort.exact_lines:
        everything = np.ones(trips.size, dtype=bool)
        found, proven = trips.search(everything, everything, effort.exact_nodes)
        bound = max(bound, float(np.ceil(proven - EPSILON)))
        network.minimise(network.km_cost(), found[trips.group])
    _neighbourhoods(network, trips, effort, enough=bound)
    _shortest(network, trips, effort)
    return trips.open()[trips.group], bound


def _slope_scaling(network: _Network, trips: _Charges, rounds: int = 12) -> None:
    """Leave a flow on few trips: price each copy at its share of the trip, as the last flow filled it."""
    lines = len(trips.group)
    room = np.bincount(trips.group, weights=network.programme.upper[:lines], minlength=trips.size)
    price = 1.0 / np.maximum(room, 1.0)
    best, fewest = network.values, trips.open().sum()
    for _ in range(rounds):
        network.minimise(network.line_cost(price[trips.group]))
        flow = np.bincount(trips.group, weights=network.values[:lines], minlength=trips.size)
        price = np.where(flow > 0, 1.0 / np.maximum(flow, 1.0), price)
        if trips.open().sum() < fewest:
            best, fewest = network.values, trips.open().sum()
    network.values = best


def _neighbourhoods(network: _Network, trips: _Charges, effort: Effort, enough: float) -> None:
    """Close trips by freeing those of a few holders at a time, until ``enough`` are left."""
    dice = random.Random(SEED)
    km = network.km_cost()
    idle = 0
    for _ in range(effort.rounds):
        opened = trips.open()
        if opened.sum() <= enough or idle >= effort.patience:
            return
        free = _some_holders(trips, dice, effort)
        found, _bound = trips.search(free, opened, effort.round_nodes)
        idle = 0 if found.sum() < opened.sum() else idle + 1
        # As many but other trips are taken too: they lead out of dead ends.
        if found.sum() <= opened.sum():
            network.minimise(km, found[trips.group])


def _some_holders(trips: _Charges, dice: random.Random, effort: Effort) -> NDArray[np.bool_]:
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


def _shortest(network: _Network, trips: _Charges, effort: Effort) -> None:
    """Exchange trips for nearer ones, no more than there are: all at once, or those of a few holders."""
    if trips.live.sum() <= effort.exact_lines:
        trips.shorten(np.ones(trips.size, dtype=bool), effort.exact_nodes)
        return
    dice = random.Random(SEED)
    for _ in range(effort.patience // 3):
        trips.shorten(_some_holders(trips, dice, effort), effort.round_nodes)


def _break_ties(network: _Network, effort: Effort) -> None:
    """Choose among equal plans: whole class sets from one giver and year, newer copies, lower identifiers.

    The first of these is a charge again, one for each source of a need; so all three passes are integer
    programmes, on what little the passes before have left free, and the last flow makes them whole.
    """
    sources = _Charges(network, [(need.id, supply.holder, supply.year) for supply, need in network.lines])
    programme, charged = sources.programme(sources.choice, sources.given)
    values = sources.guess(charged)
    nothing = np.zeros(len(charged))
    for cost in (
        programme.cost,
        np.concatenate((network.age_cost(), nothing)),
        np.concatenate((network.id_cost(), nothing)),
    ):
        values = _run(replace(programme, cost=cost), nodes=effort.exact_nodes, guess=values).values
        programme = programme.with_row(cost, float(np.ceil(cost @ values - EPSILON)))
    network.close_all_but(sources.carrying(values)[sources.group])
    network.minimise(network.age_cost())
    network.keep()
    network.minimise(network.id_cost())


# --- As a person would do it ----------------------------------------------------------------------


def nearest_donor_first(problem: Problem) -> tuple[Trip, ...]:
    """Return the plan of a person who serves request by request, each from the nearest holder that has it.

    The baseline that a plan is shown against: same filters, same fixed lines, same sets of parts.
    """
    problem = problem.in_order()
    supplies = {supply.id: supply for supply in problem.supplies}
    left = {supply.id: supply.copies for supply in problem.supplies}
    sent: Counter[Pair] = Counter()
    waiting: Counter[Pair] = Counter()
    for line in problem.fixed:
        left[line.supply_id] -= line.copies
        sent[line.supply_id, line.need_id] += line.copies
        waiting[line.need_id, supplies[line.supply_id].part] += line.copies
    offers: dict[Pair, list[Supply]] = defaultdict(list)
    for supply in problem.supplies:
        offers[supply.textbook, supply.part].append(supply)
    for need in problem.needs:
        givers = {part: _nearest_first(problem, need, offers[need.textbook, part]) for part, _ in need.parts}
        for layer in layers(need):
            room = {
                part: waiting[need.id, part] + sum(left[supply.id] for supply in givers[part])
                for part in layer.parts
            }
            sets = min(layer.size, *room.values())
            for part in layer.parts:
                arrived = min(sets, waiting[need.id, part])
                waiting[need.id, part] -= arrived
                wanted = sets - arrived
                for supply in givers[part]:
                    copies = min(wanted, left[supply.id])
                    left[supply.id] -= copies
                    sent[supply.id, need.id] += copies
                    wanted -= copies
    return trips_of(problem, sent)


def _nearest_first(problem: Problem, need: Need, offers: Iterable[Supply]) -> list[Supply]:
    """Return the offers that may serve a need, by road, then newer copies, then identifier."""

    def order(supply: Supply) -> tuple[float, int, int]:
        return distance(problem.road(supply.holder, need.taker)), -supply.year, supply.id

    return sorted((supply for supply in offers if not allowed(supply, need, problem)), key=order)
