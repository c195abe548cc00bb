"""Prices for the trips of a large problem, by dual ascent instead of a linear programme.

The relaxation of the trips of a region has a million lines, each in a row of its own. Its dual need not be
solved exactly, since any prices prove something: with a price on every row of the flow, each trip is decided
alone (make it if its lines pay for it), and what the answers overdo or leave undone says how to move the
prices (subgradient method with Polyak's steps and a deflected direction; Held, Wolfe and Crowder 1974,
Camerini, Fratta and Maffioli 1975). A round costs a few passes over the lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exchange.matching.solver.programme import Floats, Programme

ROUNDS = 400
#: So many rounds without a better bound halve the step.
PATIENCE = 10
#: The share of the former direction in the next one.
MEMORY = 0.8


@dataclass(frozen=True)
class Charged:
    """A flow whose first columns are lines, each on a ``trip`` with a ``charge``.

    ``programme`` bounds the columns; a trip with a line that cannot be empty is made anyway.
    """

    programme: Programme
    trip: NDArray[np.int64]
    charge: Floats


def ascend(charged: Charged, target: float) -> tuple[Floats, Floats]:
    """Return dual values of the rows and prices of the lines; ``target`` is what some plan pays for trips."""
    programme, trip, charge = charged.programme, charged.trip, charged.charge
    count, lines, rows = len(programme.cost), len(trip), len(programme.row_upper)
    lower, upper = programme.lower, programme.upper
    room = (upper - lower)[:lines]
    made = np.zeros(len(charge), dtype=bool)
    made[trip[lower[:lines] > 0]] = True
    capped = programme.row_lower < programme.row_upper
    line_charge = np.where(made, 0.0, charge)

    def decide(duals: Floats) -> tuple[float, Floats]:
        """Return the bound that the prices prove, and the columns that decide it."""
        worth = np.bincount(
            programme.columns, weights=programme.entries * duals[programme.rows], minlength=count
        )
        values = np.where(worth > 0, upper, lower)
        gains = np.maximum(worth[:lines], 0.0) * room
        income = np.bincount(trip, weights=gains, minlength=len(charge))
        shut = (income < line_charge)[trip]
        values[:lines][shut] = lower[:lines][shut]
        total = float((duals * programme.row_upper).sum() + charge[made].sum())
        total -= float((worth[lines:] * values[lines:]).sum() + (worth[:lines] * lower[:lines]).sum())
        return total - float(np.maximum(income - line_charge, 0.0).sum()), values

    duals = np.zeros(rows)
    best, best_duals = -np.inf, duals
    direction = np.zeros(rows)
    step, idle = 1.0, 0
    for _ in range(ROUNDS):
        bound, values = decide(duals)
        if bound > best + 1e-9:
            best, best_duals, idle = bound, duals, 0
        else:
            idle += 1
            if idle == PATIENCE:
                step, idle, duals = step / 2, 0, best_duals
                direction = np.zeros(rows)
                bound, values = decide(duals)
        moved = np.bincount(
            programme.rows, weights=programme.entries * values[programme.columns], minlength=rows
        )
        direction = (programme.row_upper - moved) + MEMORY * direction
        direction[capped & (duals >= 0) & (direction > 0)] = 0.0
        length = float((direction * direction).sum())
        if length == 0.0 or bound >= target - 1e-9:
            break
        duals = duals + step * (target - bound) / length * direction
        duals[capped] = np.minimum(duals[capped], 0.0)

    worth = np.bincount(
        programme.columns, weights=programme.entries * best_duals[programme.rows], minlength=count
    )
    gains = np.maximum(worth[:lines], 0.0) * room
    income = np.bincount(trip, weights=gains, minlength=len(charge))
    share = np.minimum(1.0, line_charge / np.maximum(income, 1e-12))
    prices = np.where(room > 0, np.maximum(worth[:lines], 0.0) * share[trip], 0.0)
    # A trip that is made for a full line's sake is paid for by that line.
    full = np.flatnonzero((room == 0) & (lower[:lines] > 0))
    _, first = np.unique(trip[full], return_index=True)
    payer = full[first]
    prices[payer] = charge[trip[payer]] / lower[payer]
    return best_duals, prices
