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


def run(
    programme: Programme,
    *,
    nodes: int | None = None,
    guess: Floats | None = None,
    seconds: float | None = None,
) -> Optimum:
    """Solve with HiGHS; ``guess`` is a feasible start. Columns that cannot move are taken out first.

    An integer programme that ends after ``seconds`` leaves the guess and what it has proven.
    """
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
    duals = np.zeros(len(resting))
    if not moving.any():
        return Optimum(still, reduced, duals, constant)

    # Rows that nothing moves in are left out as well.
    stirred = np.bincount(programme.rows[kept], minlength=len(resting)) > 0
    place = np.cumsum(stirred) - 1
    model = highspy.HighsLp()
    model.num_col_ = int(moving.sum())
    model.num_row_ = int(stirred.sum())
    model.col_cost_ = programme.cost[moving]
    model.col_lower_ = programme.lower[moving]
    model.col_upper_ = programme.upper[moving]
    model.row_lower_ = (programme.row_lower - resting)[stirred]
    model.row_upper_ = (programme.row_upper - resting)[stirred]
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    counts = np.bincount(programme.columns[kept], minlength=len(moving))[moving]
    model.a_matrix_.start_ = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    model.a_matrix_.index_ = place[programme.rows[kept]].astype(np.int32)
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
    if seconds is not None:
        highs.setOptionValue("time_limit", seconds)
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
        return Optimum(guess, reduced, duals, -np.inf)
    if guess is not None and status == highspy.HighsModelStatus.kTimeLimit:
        return Optimum(guess, reduced, duals, info.mip_dual_bound + constant)
    values = still.copy()
    values[moving] = solution.col_value
    if whole.any():
        return Optimum(values, reduced, duals, info.mip_dual_bound + constant)
    reduced[moving] = solution.col_dual
    duals[stirred] = solution.row_dual
    return Optimum(values, reduced, duals, info.objective_function_value + constant)


class Warm:
    """A linear programme that stays in HiGHS: one with the same rows starts from the last one's optimum."""

    def __init__(self) -> None:
        self._highs: Any = None
        self._loaded: Programme | None = None

    def run(self, programme: Programme) -> Optimum:
        """Solve the programme, its ``integer`` columns taken as if they need not be whole."""
        import highspy

        width, height = len(programme.cost), len(programme.row_lower)
        if not (programme.upper > programme.lower).any():
            still = programme.lower.copy()
            return Optimum(still, np.zeros(width), np.zeros(height), float(programme.cost @ still))
        if self._loaded is None or self._loaded.entries is not programme.entries:
            self._load(programme)
        else:
            self._change(self._loaded, programme)
        self._loaded = replace(
            programme,
            lower=programme.lower.copy(),
            upper=programme.upper.copy(),
            row_lower=programme.row_lower.copy(),
            row_upper=programme.row_upper.copy(),
        )
        highs = self._highs
        highs.run()
        if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            # A warm start can leave HiGHS in doubt of its own answer; from the beginning it is not.
            self._loaded = None
            return run(replace(programme, integer=np.zeros(width, dtype=bool)))
        solution = highs.getSolution()
        return Optimum(
            np.array(solution.col_value),
            np.array(solution.col_dual),
            np.array(solution.row_dual),
            highs.getInfo().objective_function_value,
        )

    def _load(self, programme: Programme) -> None:
        import highspy

        model = highspy.HighsLp()
        model.num_col_ = len(programme.cost)
        model.num_row_ = len(programme.row_lower)
        model.col_cost_ = programme.cost
        model.col_lower_ = programme.lower
        model.col_upper_ = programme.upper
        model.row_lower_ = programme.row_lower
        model.row_upper_ = programme.row_upper
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        counts = np.bincount(programme.columns, minlength=len(programme.cost))
        model.a_matrix_.start_ = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        model.a_matrix_.index_ = programme.rows
        model.a_matrix_.value_ = programme.entries
        self._highs = highspy.Highs()  # type: ignore[no-untyped-call]
        # Presolve takes longer than these flows.
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", SEED),
            ("presolve", "off"),
        ):
            self._highs.setOptionValue(option, value)
        self._highs.passModel(model)

    def _change(self, before: Programme, programme: Programme) -> None:
        """Tell HiGHS the costs, and the limits that are no longer what they were."""
        highs, width = self._highs, len(programme.cost)
        highs.changeColsCost(width, np.arange(width, dtype=np.int32), programme.cost)
        moved = (programme.lower != before.lower) | (programme.upper != before.upper)
        columns = np.flatnonzero(moved).astype(np.int32)
        highs.changeColsBounds(len(columns), columns, programme.lower[columns], programme.upper[columns])
        shifted = (programme.row_lower != before.row_lower) | (programme.row_upper != before.row_upper)
        rows = np.flatnonzero(shifted).astype(np.int32)
        highs.changeRowsBounds(len(rows), rows, programme.row_lower[rows], programme.row_upper[rows])


def whole(values: Floats) -> bool:
    """Tell whether all values are whole numbers."""
    return bool(np.all(np.abs(values - np.rint(values)) < EPSILON))
