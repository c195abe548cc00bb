"""The network of one problem: its lines, its sets, and what the passes so far have nailed down."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exchange.matching.rules import Layer, Need, Problem, Shipments, Supply, allowed, layers
from exchange.matching.solver.programme import EPSILON, Floats, Optimum, Programme, run, whole

Pair = tuple[int, int]


class Network:
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
        self.programme = Programme(
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
        self._optimum = Optimum(self.values, self.values, np.zeros(len(row_lower)), 0.0)
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

    def set_cost(self, prices: Floats) -> Floats:
        """Each covered set costs the price of its layer."""
        return self._cost(sets=prices)

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
        optimum = run(self.programme if only is None else self._restricted(only))
        self._nailing = np.ones(len(cost), dtype=bool)
        if self.rugged.any() and not whole(optimum.values[self.rugged]):
            optimum = self._minimise_rugged(optimum, only)
        self.values = np.rint(optimum.values)
        self._optimum = optimum
        return self.worth(cost)

    def _restricted(self, only: NDArray[np.bool_]) -> Programme:
        upper = self.programme.upper.copy()
        upper[: len(only)][~only] = 0.0
        return replace(self.programme, upper=upper)

    def close_all_but(self, only: NDArray[np.bool_]) -> None:
        """Shut all other lines for good."""
        self.programme = self._restricted(only)

    def _minimise_rugged(self, optimum: Optimum, only: NDArray[np.bool_] | None) -> Optimum:
        """Make the textbooks whole that did not come out so; no other textbook shares a row with them."""
        programme = self.programme if only is None else self._restricted(only)
        others = np.rint(optimum.values[~self.rugged])
        lower, upper = programme.lower.copy(), programme.upper.copy()
        lower[~self.rugged] = upper[~self.rugged] = others
        whole = run(replace(programme, lower=lower, upper=upper, integer=self.rugged))
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
