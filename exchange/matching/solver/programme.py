"""Linear and integer programmes, solved by HiGHS: one thread, one seed, limits in nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: A reduced cost or dual value above this is a real one: costs are whole numbers, so true values are far
#: from it.
EPSILON = 1e-6
SEED = 1


@dataclass
class Programme:
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

    def with_row(self, costs: Floats, most: float) -> Programme:
        """Return the programme with one more row: ``costs x <= most``."""
        added = np.flatnonzero(costs)
        cells = np.column_stack((np.zeros(len(added)), added, costs[added]))
        return self.extended(cells=cells, row_upper=[most])

    def extended(
        self,
        *,
        cells: ArrayLike,
        cost: ArrayLike = (),
        lower: ArrayLike = (),
        upper: ArrayLike = (),
        integer: bool = False,
        row_lower: ArrayLike | None = None,
        row_upper: ArrayLike = (),
    ) -> Programme:
        """Return the programme with more columns and rows after its own.

        ``cells`` are (row, column, entry), the rows counted from the first new one, the columns from the
        first old one. New rows have no lower limit unless ``row_lower`` gives them one.
        """
        table = np.asarray(cells, dtype=np.float64).reshape(-1, 3)
        highest = np.asarray(row_upper, dtype=np.float64)
        lowest = np.full(len(highest), -np.inf) if row_lower is None else np.asarray(row_lower)
        columns = np.concatenate((self.columns, table[:, 1].astype(np.int32)))
        rows = np.concatenate((self.rows, (table[:, 0] + len(self.row_lower)).astype(np.int32)))
        order = np.argsort(columns, kind="stable")
        more = np.asarray(cost, dtype=np.float64)
        return replace(
            self,
            cost=np.concatenate((self.cost, more)),
            lower=np.concatenate((self.lower, np.asarray(lower, dtype=np.float64))),
            upper=np.concatenate((self.upper, np.asarray(upper, dtype=np.float64))),
            integer=np.concatenate((self.integer, np.full(len(more), integer))),
            columns=columns[order],
            rows=rows[order],
            entries=np.concatenate((self.entries, table[:, 2]))[order],
            row_lower=np.concatenate((self.row_lower, lowest)),
            row_upper=np.concatenate((self.row_upper, highest)),
        )

    def activity(self, values: Floats) -> Floats:
        """Return what the rows come to."""
        total = np.bincount(
            self.rows, weights=self.entries * values[self.columns], minlength=len(self.row_lower)
        )
        return total.astype(np.float64)

    def holds(self, values: Floats) -> bool:
        """Tell whether the values keep to all limits."""
        total = self.activity(values)
        return bool(
            np.all(values >= self.lower - EPSILON)
            and np.all(values <= self.upper + EPSILON)
            and np.all(total >= self.row_lower - EPSILON)
            and np.all(total <= self.row_upper + EPSILON)
        )


@dataclass(frozen=True)
class Optimum:
    """Values of the columns, reduced costs, dual values of the rows, and a proven lower bound of the cost."""

    values: Floats
    reduced: Floats
    duals: Floats
    bound: float


def run(programme: Programme, *, nodes: int | None = None, guess: Floats | None = None) -> Optimum:
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
        return Optimum(still, reduced, np.zeros(len(resting)), constant)

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
        return Optimum(guess, reduced, np.zeros(len(resting)), -np.inf)
    values = still.copy()
    values[moving] = solution.col_value
    if whole.any():
        return Optimum(values, reduced, np.zeros(len(resting)), info.mip_dual_bound + constant)
    reduced[moving] = solution.col_dual
    return Optimum(values, reduced, np.array(solution.row_dual), info.objective_function_value + constant)


def whole(values: Floats) -> bool:
    """Tell whether all values are whole numbers."""
    return bool(np.all(np.abs(values - np.rint(values)) < EPSILON))
