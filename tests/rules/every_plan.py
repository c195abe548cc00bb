"""Every plan of a small problem, listed: what the optimiser is held against. Nothing here is its code.

A plan is a row of whole numbers, all that the passes of the lexicographic method see of it: weight, copies
from the fund, copies passed over, what substitutes cost, sets by school, copies by trip. Textbooks meet in
trips and schools only, so each one's rows are listed alone and added up.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from exchange.matching.rules import FundUse, Line, Need, Problem, Supply, allowed, layers, serves

Rows = NDArray[np.int64]
Pair = tuple[int, int]
WEIGHT, FUND, PASSED, PENALTY = range(4)
#: So many plans at most are listed at once.
MOST_PLANS = 400_000


class TooManyPlansError(Exception):
    """There are more plans than can be listed in no time."""


@dataclass(frozen=True)
class Way:
    """A line that may be used, with its least and most copies."""

    supply: Supply
    need: Need
    least: int
    most: int

    @property
    def pair(self) -> Pair:
        return self.supply.holder, self.need.taker


def ways_of(problem: Problem) -> list[Way]:
    fixed = {(line.supply_id, line.need_id): line for line in problem.fixed}
    years = {supply.id: supply.year for supply in problem.supplies}
    found = []
    for supply, need in product(problem.supplies, problem.needs):
        if not serves(supply, need):
            continue
        line: Line | None = fixed.get((supply.id, need.id))
        most = 0 if allowed(supply, need, problem) else min(supply.copies, dict(need.parts)[supply.part])
        least = line.copies if line else 0
        # Where books of some year are locked and years not mixed, no other year is possible.
        locked = {years[one.supply_id] for one in problem.fixed if one.need_id == need.id}
        if not need.mixing and locked and supply.year not in locked:
            most = 0
        most = least if line and line.exact else max(most, least)
        if most:
            found.append(Way(supply, need, least, most))
    return found


class EveryPlan:
    """All plans of a problem, told apart by what the passes see."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.ways = ways_of(problem)
        self.schools = sorted({need.taker for need in problem.needs})
        self.pairs = sorted({way.pair for way in self.ways})
        #: What each school could be served, if it alone were.
        self.could = self._could()
        known = [road for pair in self.pairs if (road := problem.road(*pair)) is not None]
        longest = max(known, default=0.0)
        roads = [problem.road(*pair) for pair in self.pairs]
        #: Roads in units of 100 m; unknown ones are as long as the longest.
        self.roads = np.array([round(10 * (longest if km is None else km)) for km in roads], dtype=np.int64)
        rows = np.zeros((1, 4 + len(self.schools) + len(self.pairs)), dtype=np.int64)
        for textbook in sorted({need.textbook for need in problem.needs}):
            own = self._rows_of(textbook)
            if len(rows) * len(own) > MOST_PLANS:
                raise TooManyPlansError
            rows = _different((rows[:, None, :] + own[None, :, :]).reshape(-1, rows.shape[1]))
        #: Without the limits on trips.
        self.limitless = rows
        self.rows = rows[self._within(rows)]

    # What a row says

    def served(self, rows: Rows) -> Rows:
        return rows[:, 4 : 4 + len(self.schools)]

    def loads(self, rows: Rows) -> Rows:
        return rows[:, 4 + len(self.schools) :]

    def shares(self, rows: Rows) -> NDArray[np.float64]:
        """Return the shares of what the schools could be served, the worst served first."""
        could = np.array([self.could[school] for school in self.schools], dtype=float)
        counts = could > 0
        return np.sort(self.served(rows)[:, counts] / could[counts], axis=1)

    def trip_cost(self, rows: Rows) -> Rows:
        """Return what the trips cost: their number, or by road their length in units of 100 m."""
        open_trips = self.loads(rows) > 0
        if not self.problem.controls.by_road:
            return open_trips.sum(axis=1)
        return open_trips @ np.maximum(1, self.roads)

    def copy_km(self, rows: Rows) -> Rows:
        """Return copies times roads and what substitutes cost, in units of 100 m."""
        return self.loads(rows) @ self.roads + rows[:, PENALTY]

    # Which rows there are

    def _could(self) -> dict[int, int]:
        found: dict[int, int] = defaultdict(int)
        for need in self.problem.needs:
            own = [way for way in self.ways if way.need is need]
            _, sets, _ = _list_plans([need], own, self.problem, alone=True)
            found[need.taker] += int(sets[need.id].max())
        return dict(found)

    def _rows_of(self, textbook: int) -> Rows:
        own = [way for way in self.ways if way.need.textbook == textbook]
        needs = [need for need in self.problem.needs if need.textbook == textbook]
        amounts, sets, right = _list_plans(needs, own, self.problem)
        rows = np.zeros((len(amounts), 4 + len(self.schools) + len(self.pairs)), dtype=np.int64)
        for need in needs:
            rows[:, WEIGHT] += need.weight * sets[need.id]
            rows[:, 4 + self.schools.index(need.taker)] += sets[need.id]
        for column, way in enumerate(own):
            copies = amounts[:, column]
            rows[:, FUND] += copies * way.supply.is_fund
            passed = bool(way.need.preferred) and way.supply.holder not in way.need.preferred
            rows[:, PASSED] += copies * passed
            rows[:, PENALTY] += copies * round(10 * dict(way.need.penalties).get(way.supply.edition, 0.0))
            rows[:, 4 + len(self.schools) + self.pairs.index(way.pair)] += copies
        return _different(rows[right])

    def _within(self, rows: Rows) -> NDArray[np.bool_]:
        """Tell which plans keep to the caps of trips and the smallest parcel; fixed lines stand anyway."""
        problem, loads = self.problem, self.loads(rows)
        held = {way.pair for way in self.ways if way.least}
        right = np.ones(len(rows), dtype=bool)
        for column, pair in enumerate(self.pairs):
            if pair not in held:
                right &= (loads[:, column] == 0) | (loads[:, column] >= problem.controls.smallest_parcel)
        for giver, cap in problem.most_trips.items():
            own = [column for column, pair in enumerate(self.pairs) if pair[0] == giver]
            locked = sum(pair[0] == giver for pair in held)
            right &= (loads[:, own] > 0).sum(axis=1) <= max(cap, locked)
        return right


def _different(rows: Rows) -> Rows:
    """Return each row once."""
    if len(rows) < 2:
        return rows
    packed = np.ascontiguousarray(rows.astype(np.int16))
    whole = packed.view(np.dtype((np.void, packed.dtype.itemsize * packed.shape[1]))).ravel()
    return rows[np.unique(whole, return_index=True)[1]]


def _list_plans(
    needs: list[Need], ways: list[Way], problem: Problem, *, alone: bool = False
) -> tuple[Rows, dict[int, Rows], NDArray[np.bool_]]:
    """Return every way to share out copies line by line, the sets they make by need, and which may stand.

    ``alone``: fixed lines to others do not matter, nor do copies that complete no set.
    """
    supplies = sorted({way.supply.id for way in ways})
    parts = [(need.id, part) for need in needs for part, _ in need.parts]
    left = np.array([[next(w.supply.copies for w in ways if w.supply.id == one) for one in supplies]])
    lacking = np.array([[copies for need in needs for _, copies in need.parts]])
    amounts = np.zeros((1, 0), dtype=np.int64)
    for way in ways:
        supply = supplies.index(way.supply.id)
        part = parts.index((way.need.id, way.supply.part))
        tried = []
        for copies in range(0 if alone else way.least, way.most + 1):
            room = (left[:, supply] >= copies) & (lacking[:, part] >= copies)
            if room.any():
                tried.append((copies, np.flatnonzero(room)))
        chosen = np.concatenate([kept for _, kept in tried])
        copies_of = np.concatenate([np.full(len(kept), copies) for copies, kept in tried])
        if len(chosen) > MOST_PLANS:
            raise TooManyPlansError
        amounts = np.column_stack((amounts[chosen], copies_of))
        left, lacking = left[chosen], lacking[chosen]
        left[:, supply] -= copies_of
        lacking[:, part] -= copies_of
    right = np.ones(len(amounts), dtype=bool)
    sets: dict[int, Rows] = {}
    for need in needs:
        own = [(column, way) for column, way in enumerate(ways) if way.need is need]
        got = {
            part: amounts[:, [column for column, way in own if way.supply.part == part]].sum(axis=1)
            for part, _ in need.parts
        }
        over = dict(got)
        sets[need.id] = np.zeros(len(amounts), dtype=np.int64)
        for layer in layers(need):
            complete = np.minimum(layer.size, np.min([over[part] for part in layer.parts], axis=0))
            sets[need.id] += complete
            over |= {part: over[part] - complete for part in layer.parts}
        for part, _ in need.parts:
            locked = sum(way.least for _, way in own if way.supply.part == part)
            # Copies complete a set; of those that do not, the locked ones alone may come.
            right &= (over[part] == 0) | (got[part] <= locked) | alone
        if not need.mixing and not any(line.need_id == need.id for line in problem.fixed):
            by_year: dict[int, NDArray[np.bool_]] = {}
            for column, way in own:
                comes = by_year.get(way.supply.year, np.zeros(len(amounts), dtype=bool))
                by_year[way.supply.year] = comes | (amounts[:, column] > 0)
            mixed = np.sum(list(by_year.values()), axis=0, initial=0)
            one_year = np.broadcast_to(mixed <= 1, right.shape)
            right &= one_year
            sets[need.id] = np.where(one_year, sets[need.id], 0) if alone else sets[need.id]
    return amounts, sets, right


def fund_counts(problem: Problem) -> bool:
    """Tell whether the fund gives last."""
    return problem.controls.fund is FundUse.LAST


def wants_some_first(problem: Problem) -> bool:
    """Tell whether any need has givers wanted first."""
    return any(need.preferred for need in problem.needs)
