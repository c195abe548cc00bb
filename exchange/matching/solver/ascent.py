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
    lines, rows = len(trip), len(programme.row_upper)
    lower, upper = programme.lower, programme.upper
    made = np.zeros(len(charge), dtype=bool)
    made[trip[lower[:lines] > 0]] = True
    line_charge = np.where(made, 0.0, charge)
    capped = programme.row_lower < programme.row_upper

    # What cannot move decides nothing: it only takes its share of the rows.
    moves = upper > lower
    moving = np.flatnonzero(moves)
    cell = moves[programme.columns]
    cell_rows, entries = programme.rows[cell], programme.entries[cell]
    cell_columns = (np.cumsum(moves) - 1)[programme.columns[cell]]
    room_of_rows = programme.row_upper - programme.activity(np.where(moves, 0.0, lower))
    least, most = lower[moving], upper[moving]
    own = int(moves[:lines].sum())
    trip_of = trip[moving[:own]]
    room = (most - least)[:own]
    settled = float(charge[made].sum())

    def decide(duals: Floats) -> tuple[float, Floats]:
        """Return the bound that the prices prove, and the columns that decide it."""
        worth = np.bincount(cell_columns, weights=entries * duals[cell_rows], minlength=len(moving))
        values = np.where(worth > 0, most, least)
        income = np.bincount(trip_of, weights=np.maximum(worth[:own], 0.0) * room, minlength=len(charge))
        shut = (income < line_charge)[trip_of]
        values[:own][shut] = least[:own][shut]
        total = settled + float((duals * room_of_rows).sum())
        total -= float((worth[own:] * values[own:]).sum() + (worth[:own] * least[:own]).sum())
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
        moved = np.bincount(cell_rows, weights=entries * values[cell_columns], minlength=rows)
        direction = (room_of_rows - moved) + MEMORY * direction
        direction[capped & (duals >= 0) & (direction > 0)] = 0.0
        length = float((direction * direction).sum())
        if length == 0.0 or bound >= target - 1e-9:
            break
        duals = duals + step * (target - bound) / length * direction
        duals[capped] = np.minimum(duals[capped], 0.0)

    worth = np.bincount(cell_columns, weights=entries * best_duals[cell_rows], minlength=len(moving))[:own]
    income = np.bincount(trip_of, weights=np.maximum(worth, 0.0) * room, minlength=len(charge))
    share = np.minimum(1.0, line_charge / np.maximum(income, 1e-12))
    prices = np.zeros(lines)
    prices[moving[:own]] = np.maximum(worth, 0.0) * share[trip_of]
    # A trip that is made for a full line's sake is paid for by that line.
    full = np.flatnonzero(~moves[:lines] & (lower[:lines] > 0))
    _, first = np.unique(trip[full], return_index=True)
    payer = full[first]
    prices[payer] = charge[trip[payer]] / lower[payer]
    return best_duals, prices
