"""Plans for a whole region: hundreds of schools, too large for one programme.

Textbooks meet in trips only. So coverage, the fund, kilometres and ties are solved textbook by textbook,
each in a network of its own, and are none the worse for it. Trips are what textbooks share, and there the
method goes in rounds:

* **The bound.** ``x <= u y`` is relaxed: each line pays ``w / u`` a copy, the weights ``w`` of a trip's
  lines adding up to its charge. Whatever the weights, the textbooks' flows together then cost no more than
  the cheapest trips, so every round is a proof. The weights follow the flows (exponentiated subgradient):
  lines that are used take over from those that are not.
* **Slope scaling** (Kim and Pardalos 1999), with prices that all textbooks share: each round prices a copy
  at its share of what its trip carried in the last one; a line of a trip that did not run pays as if it ran
  for that line alone.
* **Closing trips** one by one, emptiest first: what a trip carries is rerouted over the trips that stay
  open, by the shortest chains of exchanges in its textbooks' networks. Slope scaling goes on from there.

A textbook's network stays in HiGHS from round to round, so that each starts from the last one's basis. The
textbooks may be dealt out to several processes. Each is solved alone wherever it lies, and all sums are in
the order of textbooks, so the plan does not depend on how many processes there are.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exchange.errors import Invalid
from exchange.matching.rules import (
    FundUse,
    Pass,
    Problem,
    Result,
    coverage_of,
    figures_of,
    shortages,
    trips_of,
)
from exchange.matching.solver.by_hand import nearest_donor_first
from exchange.matching.solver.closing import shortest_chain
from exchange.matching.solver.network import Network
from exchange.matching.solver.programme import SEED, Floats
from exchange.matching.solver.watching import Rounds, Watch, uncollected

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: So many pairs of an offer and a need of the same part of a textbook are too many for one programme.
LARGE = 100_000
#: Rounds of the bound, of slope scaling before trips are first closed, and of closing and scaling again.
BOUND_ROUNDS = 8
SCALING_ROUNDS = 4
CLOSING_ROUNDS = 4
#: Rounds of slope scaling between two of closing.
BETWEEN = 2
#: How fast the weights of the bound follow the flows.
STEP = 3.0
NO_TRIP = -1


def is_large(problem: Problem) -> bool:
    """Tell whether a problem is too large for one programme, so that `solve_region` is the method for it."""
    offers: dict[tuple[int, int], int] = defaultdict(int)
    for supply in problem.supplies:
        offers[supply.textbook, supply.part] += 1
    return sum(offers[need.textbook, part] for need in problem.needs for part, _ in need.parts) > LARGE


def check_controls(problem: Problem) -> None:
    """Refuse what ties textbooks together otherwise than by trips: here each is covered on its own."""
    controls = problem.controls
    if (
        controls.give_up
        or controls.fairness is not None
        or controls.smallest_parcel > 1
        or problem.most_trips
    ):
        raise Invalid(
            "Школ и учебников слишком много для условий, которые связывают учебники между собой: уступки "
            "охвата, справедливости, наименьшей посылки, предела поездок школы. Снимите их или подберите по "
            "районам."
        )


# --- One textbook -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arcs:
    """What can still move in a textbook once coverage is settled, as a network with one ground.

    ``column`` numbers the network's columns; the slack of a row is none (`NO_TRIP`). Values of a ``plain``
    textbook move along arcs; what another carries stays as it is.
    """

    tail: Integers
    head: Integers
    column: Integers
    lower: Integers
    upper: Integers
    slack: Integers
    nodes: int


@dataclass(frozen=True)
class Face:
    """What the rounds need to know of a textbook: its lines as (giver, taker), their room, its arcs."""

    textbook: int
    coverage: float
    passes: tuple[float, ...]
    pairs: Integers
    upper: Floats
    still: Flags
    arcs: Arcs | None


class Flow:
    """One textbook's network, and the flow of it that HiGHS keeps from one set of prices to the next."""

    def __init__(self, problem: Problem) -> None:
        self.network = network = Network(problem)
        self.coverage = -network.minimise(network.coverage_cost())
        network.keep()
        self.passes = []
        for cost in _wished(network):
            self.passes.append(network.minimise(cost) if cost.any() else 0.0)
            if cost.any():
                network.keep()
        programme = network.programme
        cells = np.bincount(programme.columns, minlength=len(programme.cost))
        self.plain = not network.rugged.any() and bool((cells <= 2).all())
        self.moving = programme.upper > programme.lower
        self._highs: Any = self._loaded() if self.plain and self.moving.any() else None
        network.cool()

    def _loaded(self) -> Any:
        """Hand the columns that can still move to HiGHS."""
        import highspy

        programme, moving = self.network.programme, self.moving
        kept = moving[programme.columns]
        resting = np.bincount(
            programme.rows[~kept],
            weights=programme.entries[~kept] * programme.lower[programme.columns[~kept]],
            minlength=len(programme.row_lower),
        )
        model = highspy.HighsLp()
        model.num_col_ = int(moving.sum())
        model.num_row_ = len(programme.row_lower)
        model.col_cost_ = np.zeros(model.num_col_)
        model.col_lower_ = programme.lower[moving]
        model.col_upper_ = programme.upper[moving]
        model.row_lower_ = programme.row_lower - resting
        model.row_upper_ = programme.row_upper - resting
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        counts = np.bincount(programme.columns[kept], minlength=len(moving))[moving]
        model.a_matrix_.start_ = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        model.a_matrix_.index_ = programme.rows[kept]
        model.a_matrix_.value_ = programme.entries[kept]
        highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", SEED),
            ("presolve", "off"),
            ("solver", "simplex"),
            ("simplex_strategy", 4),  # primal: new prices leave the last flow feasible
        ):
            highs.setOptionValue(option, value)
        highs.passModel(model)
        return highs

    def face(self, pairs: Integers) -> Face:
        """Return what is settled and what is not; ``pairs`` numbers the trip of each line."""
        network = self.network
        count = len(network.lines)
        carrying = network.values[:count] > 0
        unmoved = ~self.moving[:count] | (network.programme.lower[:count] > 0)
        return Face(
            network.lines[0][0].textbook if count else NO_TRIP,
            self.coverage,
            tuple(self.passes),
            pairs,
            network.programme.upper[:count].copy(),
            carrying & unmoved,
            self._arcs() if self.plain else None,
        )

    def _arcs(self) -> Arcs:
        """Turn the moving columns and the slack of rows into arcs: the second part of sets runs backwards."""
        network, programme = self.network, self.network.programme
        offers, rows, count = len(network.problem.supplies), len(programme.row_lower), len(network.lines)
        part = np.zeros(rows, dtype=np.int64)
        part[:offers] = [supply.part for supply in network.problem.supplies]
        of_need = (programme.rows >= offers) & (programme.columns < count)
        parts = np.array([supply.part for supply, _ in network.lines], dtype=np.int64)
        part[programme.rows[of_need]] = parts[programme.columns[of_need]]
        backwards = {max(layer.parts) for _, layer in network.sets if len(layer.parts) > 1}
        sign = np.where(np.isin(part, sorted(backwards)), -1, 1)
        sign[offers:] *= -1

        ends = sign[programme.rows] * programme.entries
        tail, head = np.full(len(programme.cost), rows), np.full(len(programme.cost), rows)
        tail[programme.columns[ends > 0]] = programme.rows[ends > 0]
        head[programme.columns[ends < 0]] = programme.rows[ends < 0]
        # The sets of a need that no offer serves have no place in the network and cannot move.
        cells = np.bincount(programme.columns, minlength=len(programme.cost))
        placed = (tail < rows).astype(np.int64) + (head < rows) == cells
        columns = np.flatnonzero(self.moving & placed)
        loose = np.flatnonzero(programme.row_upper > programme.row_lower)
        room = (programme.row_upper - programme.row_lower)[loose]
        out = sign[loose] > 0
        return Arcs(
            tail=np.concatenate((tail[columns], np.where(out, loose, rows))),
            head=np.concatenate((head[columns], np.where(out, rows, loose))),
            column=np.concatenate((columns, np.full(len(loose), NO_TRIP))),
            lower=np.rint(np.concatenate((programme.lower[columns], 0.0 * room))).astype(np.int64),
            upper=np.rint(np.concatenate((programme.upper[columns], room))).astype(np.int64),
            slack=loose,
            nodes=rows + 1,
        )

    def minimise(self, prices: Floats) -> tuple[Floats, Floats, float]:
        """Find the flow of least cost at ``prices`` of the lines.

        Return the values of all columns, the slack of the rows that have any, and a proven bound of the cost.
        """
        network = self.network
        cost = network.line_cost(prices)
        if self._highs is not None:
            count = int(self.moving.sum())
            self._highs.changeColsCost(count, np.arange(count, dtype=np.int32), cost[self.moving])
            self._highs.run()
            network.values[self.moving] = np.rint(self._highs.getSolution().col_value)
        elif not self.plain:
            network.minimise(cost)
        bound = network.worth(cost) if self.plain else 0.0
        programme = network.programme
        moved = programme.entries * network.values[programme.columns]
        activity = np.bincount(programme.rows, weights=moved, minlength=len(programme.row_lower))
        loose = programme.row_upper > programme.row_lower
        return network.values.copy(), (programme.row_upper - np.rint(activity))[loose], bound

    def finish(self, opened: Flags) -> tuple[list[tuple[int, int, int]], float]:
        """Settle kilometres and ties on the lines left open.

        Return (supply id, need id, copies) and the copy-kilometres in units of 100 m.
        """
        network = self.network
        network.close_all_but(opened)
        km = network.minimise(network.km_cost())
        network.keep()
        network.minimise(network.age_cost())
        network.keep()
        network.minimise(network.id_cost())
        network.cool()
        return [(*ends, copies) for ends, copies in sorted(network.shipments().items())], km


def _wished(network: Network) -> list[Floats]:
    """Return what the passes between coverage and trips minimise: the fund, then givers not wanted first."""
    fund = network.problem.controls.fund is FundUse.LAST
    return [
        network.line_cost(np.array([fund and supply.is_fund for supply, _ in network.lines], dtype=float)),
        network.line_cost(
            np.array(
                [
                    bool(need.preferred) and supply.holder not in need.preferred
                    for supply, need in network.lines
                ],
                dtype=float,
            )
        ),
    ]


# --- Textbooks dealt out to processes -----------------------------------------------------------------


class Share:
    """The textbooks that one process plans."""

    def __init__(self, problems: Sequence[Problem], places: dict[int, int]) -> None:
        self.flows = [Flow(problem) for problem in problems]
        self.places = places

    def faces(self) -> list[Face]:
        """Return what each textbook has settled."""
        places, width = self.places, len(self.places)
        return [
            flow.face(
                np.array(
                    [
                        places[supply.holder] * width + places[need.taker]
                        for supply, need in flow.network.lines
                    ],
                    dtype=np.int64,
                )
            )
            for flow in self.flows
        ]

    def minimise(self, prices: Sequence[Floats]) -> list[tuple[Floats, Floats, float]]:
        """Find each textbook's flow of least cost."""
        return [flow.minimise(own) for flow, own in zip(self.flows, prices, strict=True)]

    def finish(self, opened: Sequence[Flags]) -> list[tuple[list[tuple[int, int, int]], float]]:
        """Settle kilometres and ties of each textbook."""
        return [flow.finish(own) for flow, own in zip(self.flows, opened, strict=True)]


#: The share of this process, where it is one that plans for another.
_mine: list[Share] = []


def _take(problems: Sequence[Problem], places: dict[int, int]) -> list[Face]:
    with uncollected():
        _mine[:] = [Share(problems, places)]
        return _mine[0].faces()


def _do(task: str, argument: Any) -> Any:
    return getattr(_mine[0], task)(argument)


class Textbooks:
    """All textbooks, here or dealt out to ``processes`` processes: the same to whoever asks."""

    def __init__(self, problems: Sequence[Problem], places: dict[int, int], processes: int) -> None:
        # Dealt out in turn, the largest first: nobody waits long for another.
        size = [-len(problem.supplies) * len(problem.needs) for problem in problems]
        order = np.argsort(np.array(size), kind="stable").tolist()
        self._hands = [sorted(order[hand::processes]) for hand in range(processes)]
        self._dealt = [([problems[number] for number in hand], places) for hand in self._hands]
        context = multiprocessing.get_context("spawn")
        self._pools = [
            ProcessPoolExecutor(max_workers=1, mp_context=context)
            for _ in range(processes if processes > 1 else 0)
        ]
        self._started = [
            pool.submit(_take, *dealt) for pool, dealt in zip(self._pools, self._dealt, strict=False)
        ]

    def __enter__(self) -> Textbooks:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools:
            pool.shutdown(wait=True, cancel_futures=True)
        _mine.clear()

    def faces(self) -> list[Face]:
        """Settle coverage of every textbook."""
        if not self._pools:
            return self._in_order([_take(*self._dealt[0])])
        return self._in_order([started.result() for started in self._started])

    def do(self, task: str, arguments: Sequence[Any]) -> list[Any]:
        """Do the same to every textbook, each with its own argument."""
        dealt = [[arguments[number] for number in hand] for hand in self._hands]
        if not self._pools:
            return self._in_order([_do(task, dealt[0])])
        waiting = [pool.submit(_do, task, own) for pool, own in zip(self._pools, dealt, strict=True)]
        return self._in_order([one.result() for one in waiting])

    def _in_order(self, answers: Sequence[Sequence[Any]]) -> list[Any]:
        found: dict[int, Any] = {}
        for hand, answer in zip(self._hands, answers, strict=True):
            found.update(zip(hand, answer, strict=True))
        return [found[number] for number in range(len(found))]


# --- Closing trips --------------------------------------------------------------------------------------


class Exchanges:
    """The arcs of all textbooks together, to reroute copies over the trips that run.

    Two ends of an arc are nodes; ``load`` of a trip is what its lines carry. Copies that cannot move keep
    their trip open.
    """

    def __init__(self, faces: Sequence[Face]) -> None:
        parts = [face.arcs for face in faces]
        starts = np.cumsum([0, *(0 if arcs is None else arcs.nodes for arcs in parts)])
        plain = [(arcs, face, start) for arcs, face, start in zip(parts, faces, starts, strict=False) if arcs]
        self.nodes = int(starts[-1])
        self.tail = _joined(arcs.tail + start for arcs, _, start in plain)
        self.head = _joined(arcs.head + start for arcs, _, start in plain)
        self.lower = _joined(arcs.lower for arcs, _, _ in plain)
        self.upper = _joined(arcs.upper for arcs, _, _ in plain)
        self.trip = _joined(_trips_of_arcs(arcs, face.pairs) for arcs, face, _ in plain)
        self.arcs = parts

    def flow(self, answers: Sequence[tuple[Floats, Floats, float]]) -> Integers:
        """Return what each arc carries when the textbooks' columns have these values."""
        return _joined(
            np.rint(np.concatenate((values[arcs.column[arcs.column >= 0]], slack))).astype(np.int64)
            for arcs, (values, slack, _) in zip(self.arcs, answers, strict=True)
            if arcs is not None
        )

    def close(self, flow: Integers, running: Flags, firm: Flags, worth: Floats) -> Integers:
        """Close what trips can be closed of those ``running`` and not ``firm``; return the new flow.

        The trips that carry least for their ``worth`` go first. ``running`` is changed in place.
        """
        there = np.flatnonzero((self.trip == NO_TRIP) | running[self.trip])
        arcs = _Residual(self, there, flow, running)
        mine = self.trip != NO_TRIP
        load = np.bincount(self.trip[mine], weights=flow[mine], minlength=len(running)) / worth
        for trip in np.lexsort((np.arange(len(load)), load)).tolist():
            if running[trip] and not firm[trip]:
                arcs.close(trip)
        running[:] = arcs.running[:-1]
        settled = flow.copy()
        settled[there] = arcs.flow
        return settled


def _joined(parts: Iterable[Any]) -> Integers:
    return np.concatenate((np.zeros(0, dtype=np.int64), *parts))


def _trips_of_arcs(arcs: Arcs, pairs: Integers) -> Integers:
    """Return the trip of each arc; sets and slack are on none."""
    is_line = (arcs.column >= 0) & (arcs.column < len(pairs))
    return np.where(is_line, pairs[np.where(is_line, arcs.column, 0)] if len(pairs) else NO_TRIP, NO_TRIP)


class _Residual:
    """The arcs on trips that run, as plain lists: chains are short and found by the ten thousand."""

    def __init__(self, exchanges: Exchanges, there: Integers, flow: Integers, running: Flags) -> None:
        self.tail: list[int] = exchanges.tail[there].tolist()
        self.head: list[int] = exchanges.head[there].tolist()
        self.lower: list[int] = exchanges.lower[there].tolist()
        self.upper: list[int] = exchanges.upper[there].tolist()
        self.trip: list[int] = exchanges.trip[there].tolist()
        self.flow: list[int] = flow[there].tolist()
        #: Whether a trip runs; the last one is no trip, and always does.
        self.running: list[bool] = [*running.tolist(), True]
        #: (arc, node at its other end) at each node: for arcs that leave there, and that arrive there.
        self.leaving: list[list[tuple[int, int]]] = [[] for _ in range(exchanges.nodes)]
        self.arriving: list[list[tuple[int, int]]] = [[] for _ in range(exchanges.nodes)]
        self.lines: dict[int, list[int]] = defaultdict(list)
        for arc, (one, tail, head) in enumerate(zip(self.trip, self.tail, self.head, strict=True)):
            self.leaving[tail].append((arc, head))
            self.arriving[head].append((arc, tail))
            if one != NO_TRIP:
                self.lines[one].append(arc)

    def close(self, trip: int) -> bool:
        """Reroute all that a trip carries over others that run; leave everything as it was if it can't be."""
        flow = self.flow
        done: list[tuple[int, int]] = []
        self.running[trip] = False
        for arc in sorted(self.lines[trip], key=lambda arc: (-flow[arc], arc)):
            while flow[arc]:
                chain = shortest_chain(
                    self.tail[arc],
                    self.head[arc],
                    flow=flow,
                    lowers=self.lower,
                    uppers=self.upper,
                    trips=self.trip,
                    runs=self.running,
                    leaving=self.leaving,
                    arriving=self.arriving,
                )
                if not chain:
                    for moved, copies in reversed(done):
                        flow[moved] -= copies
                    self.running[trip] = True
                    return False
                copies = flow[arc]
                for step, back in chain:
                    room = flow[step] - self.lower[step] if back else self.upper[step] - flow[step]
                    copies = min(copies, room)
                moves = [(step, -copies if back else copies) for step, back in chain]
                for moved, more in (*moves, (arc, -copies)):
                    flow[moved] += more
                    done.append((moved, more))
        return True


# --- The plan -------------------------------------------------------------------------------------------


class Search:
    """The rounds over all textbooks: the best trips so far and the best bound."""

    def __init__(self, textbooks: Textbooks, places: dict[int, int], problem: Problem) -> None:
        self.textbooks = textbooks
        self.faces = textbooks.faces()
        width = len(places)
        self.cuts = np.cumsum([0, *(len(face.pairs) for face in self.faces)])
        self.pairs = _joined(face.pairs for face in self.faces)
        self.upper = np.concatenate((np.zeros(0), *(face.upper for face in self.faces)))
        self.charge = _charges(problem, places)
        self.size = width * width
        still = np.concatenate((np.zeros(0, dtype=bool), *(face.still for face in self.faces)))
        #: Trips with copies that can go no other way.
        self.firm = np.bincount(self.pairs[still], minlength=self.size) > 0
        self.bound = float(self.charge[self.firm].sum())
        self.best = np.inf
        self.running = np.zeros(self.size, dtype=bool)
        self.exchanges = Exchanges(self.faces)
        self.load: Floats = np.zeros(self.size)

    def _per_textbook(self, lines: NDArray[Any]) -> list[NDArray[Any]]:
        return [lines[start:end] for start, end in zip(self.cuts, self.cuts[1:], strict=False)]

    def _solve(self, prices: Floats) -> tuple[list[tuple[Floats, Floats, float]], Floats]:
        """Return the textbooks' answers to prices of the lines, and what each line carries."""
        answers = self.textbooks.do("minimise", self._per_textbook(prices))
        carried = np.concatenate(
            (
                np.zeros(0),
                *(
                    values[: len(face.pairs)]
                    for face, (values, _, _) in zip(self.faces, answers, strict=True)
                ),
            )
        )
        self.load = np.bincount(self.pairs, weights=carried, minlength=self.size).astype(np.float64)
        return answers, carried

    def cost(self, running: Flags) -> float:
        """Return what these trips cost."""
        return float(self.charge[running].sum())

    def _remember(self, running: Flags) -> None:
        if self.cost(running) < self.best:
            self.best, self.running = self.cost(running), running.copy()

    def rounds(self) -> Iterator[None]:
        """Search round by round; each leaves the best trips so far and the best bound."""
        for _ in self._prove():
            yield
        for _ in range(SCALING_ROUNDS):
            answers = self.scale()
            yield
        for _ in range(CLOSING_ROUNDS):
            self.close(answers)
            for _ in range(BETWEEN):
                answers = self.scale()
            yield

    def _prove(self) -> Iterator[None]:
        """Raise the bound round by round; leave the flow of the last."""
        charge = self.charge[self.pairs]
        room = np.maximum(self.upper, 1.0)
        weight: Floats = self.upper.copy()
        for number in range(BOUND_ROUNDS):
            total = np.bincount(self.pairs, weights=weight, minlength=self.size)[self.pairs]
            weight /= np.where(total > 0, total, 1.0)
            answers, carried = self._solve(charge * weight / room)
            self._remember(self.load > 0)
            # Short of rounding: the trips' cost is a whole number.
            proven = sum(bound for _, _, bound in answers)
            self.bound = max(self.bound, float(np.ceil(proven - 1e-4)))
            yield
            weight *= np.exp(STEP / (1 + number) ** 0.5 * carried / room)

    def scale(self) -> list[tuple[Floats, Floats, float]]:
        """Solve all flows with each copy priced at its share of its trip, as the last flow filled it."""
        fill = np.where(self.load > 0, self.load, 0.0)[self.pairs]
        alone = np.maximum(self.upper, 1.0)
        answers, _ = self._solve(self.charge[self.pairs] / np.where(fill > 0, np.maximum(fill, 1.0), alone))
        self._remember(self.load > 0)
        return answers

    def close(self, answers: Sequence[tuple[Floats, Floats, float]]) -> None:
        """Close trips of the last flow, and go on from what is left."""
        running = self.load > 0
        rugged = np.zeros(self.size, dtype=bool)
        for face, (values, _, _) in zip(self.faces, answers, strict=True):
            if face.arcs is None:
                rugged[face.pairs[values[: len(face.pairs)] > 0]] = True
        exchanges = self.exchanges
        before = exchanges.flow(answers)
        after = exchanges.close(before, running, self.firm | rugged, self.charge)
        mine = exchanges.trip != NO_TRIP
        self.load += np.bincount(exchanges.trip[mine], weights=(after - before)[mine], minlength=self.size)
        self._remember(running)

    def finish(self) -> tuple[dict[tuple[int, int], int], float]:
        """Return the copies on each line of the best trips, and the copy-kilometres in units of 100 m."""
        answers = self.textbooks.do("finish", self._per_textbook(self.running[self.pairs]))
        shipments = {
            (supply, need): copies for lines, _ in answers for supply, need, copies in lines if copies
        }
        return shipments, sum(km for _, km in answers)


def _charges(problem: Problem, places: dict[int, int]) -> Floats:
    """Return what each trip costs: one, or by road its length in units of 100 m, and at least that."""
    width = len(places)
    charge = np.ones((width, width))
    if problem.controls.by_road:
        charge[:] = max(1, *(round(10 * km) for km in problem.km.values()))
        for (giver, taker), km in problem.km.items():
            if giver in places and taker in places:
                ends = places[giver], places[taker]
                charge[ends] = charge[ends[::-1]] = max(1, round(10 * km))
    return charge.ravel()


def _apart(problem: Problem) -> list[Problem]:
    """Return the problem of each textbook that is needed, in the order of their identifiers."""
    supplies, needs, fixed = defaultdict(list), defaultdict(list), defaultdict(list)
    for need in problem.needs:
        needs[need.textbook].append(need)
    textbook_of = {}
    for supply in problem.supplies:
        supplies[supply.textbook].append(supply)
        textbook_of[supply.id] = supply.textbook
    for line in problem.fixed:
        fixed[textbook_of[line.supply_id]].append(line)
    bare = replace(problem, kept=(), standing=())
    return [
        replace(
            bare,
            supplies=tuple(supplies[textbook]),
            needs=tuple(needs[textbook]),
            fixed=tuple(fixed[textbook]),
        )
        for textbook in sorted(needs)
    ]


def solve_region(
    problem: Problem,
    *,
    watch: Watch | None = None,
    time_limit: float | None = None,
    processes: int = 1,
) -> Result:
    """Return a plan for many schools: most coverage, proven, least of the fund, few trips, shortest roads.

    Arguments are those of `solve`, which hands over problems in order and checked. Raises ``Invalid`` for
    controls that tie textbooks together.
    """
    started = time.perf_counter()
    check_controls(problem)
    holders = sorted({supply.holder for supply in problem.supplies} | {need.taker for need in problem.needs})
    places = {holder: place for place, holder in enumerate(holders)}
    with Textbooks(_apart(problem), places, processes) as textbooks:
        baseline = figures_of(problem, nearest_donor_first(problem))
        search = Search(textbooks, places, problem)
        turns = Rounds(BOUND_ROUNDS + SCALING_ROUNDS + CLOSING_ROUNDS - 1, started, watch, time_limit)
        for _ in search.rounds():
            if not turns.go_on(search.best, search.bound):
                break
        shipments, km = search.finish()

    plan = trips_of(problem, shipments)
    figures = figures_of(problem, plan)
    best = round(sum(face.coverage for face in search.faces))
    fund, passed_over = (sum(face.passes[number] for face in search.faces) for number in range(2))
    passes = [Pass("coverage", figures.weight, best)]
    if problem.controls.fund is FundUse.LAST:
        passes.append(Pass("fund", figures.fund_copies, fund))
    if any(need.preferred for need in problem.needs):
        passes.append(Pass("preferred", passed_over, passed_over))
    trips_bound = search.bound
    if problem.controls.by_road:
        # As with one programme: bounded is the length of the trips, not their number.
        passes.append(Pass("trip_km", search.cost(search.running) / 10, search.bound / 10))
        trips_bound = float(bool(plan))
    return Result(
        trips=plan,
        covered=coverage_of(problem, plan),
        figures=figures,
        best_possible=best,
        uncovered=shortages(problem, plan),
        baseline=baseline,
        passes=(*passes, Pass("trips", figures.trips, trips_bound), Pass("copy_km", km / 10, km / 10)),
        seconds=time.perf_counter() - started,
    )
