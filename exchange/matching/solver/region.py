"""Plans for a whole region: hundreds of schools, too large for one programme.

Textbooks meet in trips only. So coverage, the fund, kilometres and ties are solved textbook by textbook,
each in a network of its own and none the worse for it. Trips are what textbooks share, and there the method
goes in rounds:

* **The bound.** ``x <= u y`` is relaxed: each line pays ``w / u`` a copy, the weights ``w`` of a trip's
  lines adding up to its charge. Whatever the weights, the textbooks' flows together then cost no more than
  the fewest trips, which makes every round a proof. The weights follow the flows (exponentiated
  subgradient): lines that are used take over from those that are not.
* **Slope scaling** (Kim and Pardalos 1999), as in a district, with prices that all textbooks share: each
  round prices a copy at its share of what its trip carried in the last one.
* **Closing trips** one by one, emptiest first: what a trip carries is rerouted over the trips that stay
  open, along the shortest chains of exchanges in its textbooks' networks.

A textbook's network stays in HiGHS from round to round, so that each starts from the last one's basis. The
textbooks may be dealt out to several processes; every textbook is solved alone wherever it lies and sums
are of whole numbers or in the order of textbooks, so the plan does not depend on how many there are.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exchange.matching.rules import (
    FundUse,
    Pass,
    Problem,
    Result,
    check_fixed,
    coverage_of,
    figures_of,
    shortages,
    trips_of,
)
from exchange.matching.solver.by_hand import nearest_donor_first
from exchange.matching.solver.network import Network
from exchange.matching.solver.programme import EPSILON, SEED, Floats

Integers = NDArray[np.int64]

#: Rounds of the bound, and of slope scaling after it.
BOUND_ROUNDS = 12
SLOPE_ROUNDS = 12
STEP = 2.0


class Flow:
    """One textbook's network, and the flow of it that HiGHS keeps from one set of prices to the next."""

    def __init__(self, problem: Problem) -> None:
        self.network = Network(problem)
        self.coverage = -self.network.minimise(self.network.coverage_cost())
        self.network.keep()
        self.fund = 0.0
        if problem.controls.fund is FundUse.LAST:
            self.fund = self.network.minimise(self.network.fund_cost())
            self.network.keep()
        self.load()

    def load(self) -> None:
        """Hand the columns that can still move to HiGHS."""
        import highspy

        programme = self.network.programme
        moving = programme.upper > programme.lower
        self.moving = np.flatnonzero(moving)
        self.highs: Any = None
        if self.network.rugged.any() or not len(self.moving):
            return
        kept = moving[programme.columns]
        resting = np.bincount(
            programme.rows[~kept],
            weights=programme.entries[~kept] * programme.lower[programme.columns[~kept]],
            minlength=len(programme.row_lower),
        )
        model = highspy.HighsLp()
        model.num_col_ = len(self.moving)
        model.num_row_ = len(programme.row_lower)
        model.col_cost_ = np.zeros(len(self.moving))
        model.col_lower_ = programme.lower[moving]
        model.col_upper_ = programme.upper[moving]
        model.row_lower_ = programme.row_lower - resting
        model.row_upper_ = programme.row_upper - resting
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        counts = np.bincount(programme.columns[kept], minlength=len(moving))[moving]
        model.a_matrix_.start_ = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        model.a_matrix_.index_ = programme.rows[kept]
        model.a_matrix_.value_ = programme.entries[kept]
        self.highs = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", SEED),
            ("presolve", "off"),
            ("solver", "simplex"),
            ("simplex_strategy", 4),  # primal: new prices leave the last flow feasible
        ):
            self.highs.setOptionValue(option, value)
        self.highs.passModel(model)

    def minimise(self, prices: Floats) -> None:
        """Find the flow of least cost at ``prices`` of the lines."""
        if not len(self.moving):
            return
        cost = self.network.line_cost(prices)
        if self.highs is None:
            self.network.minimise(cost)
            return
        self.highs.changeColsCost(
            len(self.moving), np.arange(len(self.moving), dtype=np.int32), cost[self.moving]
        )
        self.highs.run()
        self.network.values[self.moving] = np.rint(self.highs.getSolution().col_value)
