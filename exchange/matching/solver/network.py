"""The network of one problem: its lines, its sets, and what the passes so far have nailed down."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exchange.matching.rules import (
    Layer,
    Need,
    Problem,
    Shipments,
    Supply,
    allowed,
    layers,
    locked_years,
)
from exchange.matching.solver.programme import EPSILON, Floats, Optimum, Programme, Warm, run, whole

Pair = tuple[int, int]
#: What columns belong to that are no textbook's own.
NO_TEXTBOOK = -1
#: Costs in fractions are multiplied by this.
FINE = 1e4
#: So many nodes at least where side conditions tie the textbooks together.
TIED_NODES = 50


class Network:
    """The flow of one problem: its lines, its sets, and what the passes so far have nailed down."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.lines: list[tuple[Supply, Need]] = []
        self.sets: list[tuple[Need, Layer]] = []
        self._build()

    def _build(self) -> None:
        problem = self.problem
        fixed = {(line.supply_id, line.need_id): line for line in problem.fixed}
        years = locked_years(problem)
        offers: dict[Pair, list[int]] = defaultdict(list)
        for row, supply in enumerate(problem.supplies):
            offers[supply.textbook, supply.part].append(row)
        row_upper = [float(supply.copies) for supply in problem.supplies]
        row_lower = [0.0] * len(row_upper)
        lower: list[float] = []
        upper: list[float] = []
        textbooks: list[int] = []
        # Entries of the matrix, column by column; those of lines are 1, those of sets and spare copies -1.
        rows: list[int] = []
        columns: list[int] = []

        need_rows: dict[Pair, int] = {}
        spare: Counter[Pair] = Counter()
        for need in problem.needs:
            open_years = years.get(need.id)
            for part, missing in sorted(need.parts):
                need_row = need_rows[need.id, part] = len(row_upper)
                row_lower.append(0.0)
                row_upper.append(0.0)
                for row in offers[need.textbook, part]:
                    supply = problem.supplies[row]
                    line = fixed.get((supply.id, need.id)) if fixed else None
                    locked = 0 if line is None else line.copies
                    free = 0 if allowed(supply, need, problem) else min(supply.copies, missing)
                    if line is not None and line.exact:
                        free = locked
                    elif open_years is not None and supply.year not in open_years:
                        free = 0
                    if free or locked:
                        self.lines.append((supply, need))
                        rows += (row, need_row)
                        columns += (len(lower), len(lower))
                        textbooks.append(need.textbook)
                        lower.append(locked)
                        upper.append(max(free, locked))
                    if locked:
                        spare[need.textbook, need_row] += locked
        cells_of_lines = len(rows)
        for need in problem.needs:
            for layer in layers(need):
                self.sets.append((need, layer))
                rows += (need_rows[need.id, part] for part in layer.parts)
                columns += [len(lower)] * len(layer.parts)
                textbooks.append(need.textbook)
                lower.append(0.0)
                upper.append(layer.size)
        # Locked copies may complete no set; they, and only they, may be to spare.
        for (textbook, need_row), copies in sorted(spare.items()):
            rows.append(need_row)
            columns.append(len(lower))
            textbooks.append(textbook)
            lower.append(0.0)
            upper.append(copies)

        entries = np.ones(len(rows))
        entries[cells_of_lines:] = -1.0
        self.programme = Programme(
            cost=np.zeros(len(lower)),
            lower=np.array(lower, dtype=np.float64),
            upper=np.array(upper, dtype=np.float64),
            row_lower=np.array(row_lower),
            row_upper=np.array(row_upper),
            rows=np.array(rows, dtype=np.int32),
            columns=np.array(columns, dtype=np.int32),
            entries=entries,
            integer=np.zeros(len(lower), dtype=bool),
        )
        self.textbooks = np.array(textbooks, dtype=np.int64)
        #: Textbook and part of each row of a need; these rows follow those of the offers.
        self.need_rows = [(need.textbook, part) for need in problem.needs for part, _ in sorted(need.parts)]
        #: The rows of needs that the columns after the sets take spare copies from.
        self._spare_rows = [row for _, row in sorted(spare)]
        self._pairs = [(supply.holder, need.taker) for supply, need in self.lines]
        self._roads: list[int] | None = None
        self._mark_rugged()
        self._one_year_each()
        self._weigh_trips()
        self.values = np.zeros(len(self.programme.cost))
        self.bound = 0.0
        self._warm = Warm()
        self._optimum = Optimum(self.values, self.values, np.zeros(len(self.programme.row_lower)), 0.0)
        self._nailing = np.ones(len(self.values), dtype=bool)
        self._built = self._unnailed(self.programme), self.rugged.copy(), self.coupled

    @staticmethod
    def _unnailed(programme: Programme) -> Programme:
        """Return a copy whose limits can be moved without moving those of the other."""
        return replace(
            programme,
            lower=programme.lower.copy(),
            upper=programme.upper.copy(),
            row_lower=programme.row_lower.copy(),
            row_upper=programme.row_upper.copy(),
        )

    def _mark_rugged(self) -> None:
        """Remember the columns of textbooks that are no network: three parts or more needed together."""
        together: dict[int, set[int]] = defaultdict(set)
        for need, layer in self.sets:
            if len(layer.parts) > 1:
                together[need.textbook].update(layer.parts)
        self.rugged = np.array(
            [len(together[textbook]) > 2 for textbook in self.textbooks.tolist()], dtype=bool
        )
        #: Textbooks whose linear programme may come out in fractions.
        self.rough = self.rugged.copy()

    def _extend(self, **more: Any) -> None:
        """Add columns and rows for good; the new columns are whole numbers of no textbook of their own."""
        self.programme = self.programme.extended(**more)
        added = len(self.programme.cost) - len(self.textbooks)
        self.textbooks = np.concatenate((self.textbooks, np.full(added, NO_TEXTBOOK)))
        self.rugged = np.concatenate((self.rugged, np.ones(added, dtype=bool)))
        self.rough = np.concatenate((self.rough, np.ones(added, dtype=bool)))

    def _one_year_each(self) -> None:
        """Give every need without mixing a choice of one year: ``x <= u z[year]``, ``sum z <= 1``."""
        lines_of: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        locked = locked_years(self.problem)
        for column, (supply, need) in enumerate(self.lines):
            if not need.mixing and need.id not in locked:
                lines_of[need.id][supply.year].append(column)
        width = len(self.textbooks)
        #: The column of the year's choice, by the column of the line.
        self._year_of: dict[int, int] = {}
        cells: list[tuple[int, int, float]] = []
        row_upper: list[float] = []
        chosen: list[int] = []
        for _, by_year in sorted(lines_of.items()):
            if len(by_year) < 2:
                continue
            choices = []
            for _, columns in sorted(by_year.items()):
                choice = width + len(chosen)
                chosen.append(self.lines[columns[0]][1].textbook)
                choices.append(choice)
                for column in columns:
                    self._year_of[column] = choice
                    cells += [(len(row_upper), column, 1.0)]
                    cells += [(len(row_upper), choice, -self.programme.upper[column])]
                    row_upper.append(0.0)
            cells += [(len(row_upper), choice, 1.0) for choice in choices]
            row_upper.append(1.0)
        if chosen:
            nothing, ones = np.zeros(len(chosen)), np.ones(len(chosen))
            self._extend(cells=cells, cost=nothing, lower=nothing, upper=ones, row_upper=row_upper)
            self.textbooks[width:] = chosen
            self.rough = np.isin(self.textbooks, self.textbooks[self.rough])

    def _weigh_trips(self) -> None:
        """Give each trip that has a smallest parcel, or whose giver has a cap, a choice of its own."""
        problem = self.problem
        caps, least = problem.most_trips, problem.controls.smallest_parcel
        self.trip_columns: dict[Pair, int] = {}
        self._padding: dict[int, int] = {}
        self.coupled = False
        self.branching = 0
        if not caps and least <= 1:
            return
        columns_of: dict[Pair, list[int]] = defaultdict(list)
        for column, (supply, need) in enumerate(self.lines):
            columns_of[supply.holder, need.taker].append(column)
        programme = self.programme
        width = len(self.textbooks)
        cells: list[tuple[int, int, float]] = []
        row_upper: list[float] = []
        lower: list[float] = []
        locked: Counter[int] = Counter()
        for pair, columns in sorted(columns_of.items()):
            is_locked = bool((programme.lower[columns] > 0).any())
            parcel = least > 1 and not is_locked
            if parcel and programme.upper[columns].sum() < least:
                programme.upper[columns] = 0.0
                continue
            if not parcel and pair[0] not in caps:
                continue
            choice = self.trip_columns[pair] = width + len(lower)
            lower.append(float(is_locked))
            locked[pair[0]] += is_locked
            for column in columns:
                cells += [(len(row_upper), column, 1.0), (len(row_upper), choice, -programme.upper[column])]
                row_upper.append(0.0)
            if parcel:
                self.rugged[columns] = True
                cells += [(len(row_upper), column, -1.0) for column in columns]
                cells.append((len(row_upper), choice, float(least)))
                row_upper.append(0.0)
        for giver, cap in sorted(caps.items()):
            choices = [choice for pair, choice in self.trip_columns.items() if pair[0] == giver]
            if len(choices) > cap:
                cells += [(len(row_upper), choice, 1.0) for choice in choices]
                # Fixed lines stand, however many trips they are.
                row_upper.append(float(max(cap, locked[giver])))
        first = len(self.lines) + len(self.sets)
        for column, row in enumerate(self._spare_rows if least > 1 else (), start=first):
            # A parcel is not filled up with copies that complete no set: what is to spare is locked.
            lines = programme.columns[(programme.rows == row) & (programme.columns < len(self.lines))]
            choice = self._padding[column] = width + len(lower)
            lower.append(0.0)
            cells += [(len(row_upper), column, 1.0), (len(row_upper), choice, -programme.upper[column])]
            row_upper.append(0.0)
            loose = float((programme.upper[lines] - programme.lower[lines]).sum())
            cells += [(len(row_upper), line, 1.0) for line in lines.tolist()]
            cells.append((len(row_upper), choice, loose))
            row_upper.append(loose + float(programme.lower[lines].sum()))
        self._extend(
            cells=cells,
            cost=np.zeros(len(lower)),
            lower=lower,
            upper=np.ones(len(lower)),
            row_upper=row_upper,
        )
        self.coupled = bool(lower)

    def _tie(self, cost: Floats) -> None:
        """Remember that a row ties textbooks together: with its columns whole, a flow is left."""
        self.rugged |= cost != 0
        self.coupled = True

    def beside_locked(self) -> NDArray[np.bool_]:
        """Return the lines to a part of a need of which fixed copies may be to spare."""
        found = np.zeros(len(self.programme.cost), dtype=bool)
        found[self.programme.columns[np.isin(self.programme.rows, self._spare_rows)]] = True
        return found[: len(self.lines)]

    def pairs(self) -> list[Pair]:
        """Return the trip that each line is on."""
        return self._pairs

    def demand(self, cost: Floats, most: float) -> None:
        """Let no later pass pay more than ``most`` of a cost; textbooks then depend on one another."""
        self.programme = self.programme.with_row(cost, most)
        self._tie(cost)

    def fresh(self) -> Network:
        """Return the same network with nothing nailed down, at the same values."""
        other = copy(self)
        programme, rugged, other.coupled = self._built
        other.programme, other.rugged = self._unnailed(programme), rugged.copy()
        other._warm = Warm()
        return other

    def beside(self, **more: Any) -> Network:
        """Return a copy with further columns and rows, whole-numbered where this one is tied."""
        other = copy(self)
        other._warm = Warm()
        other.programme = replace(self.programme)
        other._extend(**more)
        added = len(other.textbooks) - len(self.textbooks)
        other.rugged[-added:] = False
        other.values = np.concatenate((self.values, np.zeros(added)))
        tied = np.zeros(len(other.values), dtype=bool)
        tied[other.programme.columns[other.programme.rows >= len(self.programme.row_lower)]] = True
        tied[-added:] = False
        other._tie(tied.astype(np.float64))
        return other

    def completed(self, values: Floats) -> Floats:
        """Return values of all columns from those of lines and sets: what else there is follows from them."""
        programme = self.programme
        found = np.zeros(len(programme.cost))
        found[: len(values)] = values
        spare = slice(len(values), len(values) + len(self._spare_rows))
        left = programme.activity(found)[self._spare_rows]
        found[spare] = np.clip(left, 0.0, programme.upper[spare])
        for line, choice in self._year_of.items():
            found[choice] = max(found[choice], float(found[line] > 0))
        for column, choice in self._padding.items():
            found[choice] = float(found[column] > 0)
        running = {pair for pair, copies in zip(self.pairs(), found, strict=False) if copies > 0}
        for pair, column in self.trip_columns.items():
            found[column] = float(pair in running)
        return found

    def breaking(self, values: Floats) -> set[int]:
        """Return the textbooks with values beyond a limit."""
        programme = self.programme
        total = programme.activity(values)
        out = (total < programme.row_lower - EPSILON) | (total > programme.row_upper + EPSILON)
        wrong = np.zeros(len(values), dtype=bool)
        wrong[programme.columns[out[programme.rows]]] = True
        wrong |= (values < programme.lower - EPSILON) | (values > programme.upper + EPSILON)
        return set(self.textbooks[wrong].tolist()) - {NO_TEXTBOOK}

    def hold(self, columns: NDArray[np.bool_]) -> None:
        """Nail these columns to their present values."""
        lower, upper = self.programme.lower.copy(), self.programme.upper.copy()
        lower[columns] = upper[columns] = self.values[columns]
        self.programme = replace(self.programme, lower=lower, upper=upper)

    # What a pass minimises

    def _cost(self, lines: ArrayLike = (), sets: ArrayLike = ()) -> Floats:
        cost = np.zeros(len(self.values))
        for offset, column_costs in ((0, np.asarray(lines)), (len(self.lines), np.asarray(sets))):
            cost[offset : offset + len(column_costs)] = column_costs
        return cost

    def line_cost(self, prices: Floats) -> Floats:
        """Each copy costs the price of its line."""
        return self._cost(lines=prices)

    def coverage_cost(self) -> Floats:
        """Each covered set earns its weight."""
        return self._cost(sets=[-need.weight for need, _ in self.sets])

    def set_cost(self, prices: Floats) -> Floats:
        """Each covered set costs the price of its layer."""
        return self._cost(sets=prices)

    def fund_cost(self) -> Floats:
        """Each copy from the fund costs one."""
        return self._cost(lines=[supply.is_fund for supply, _ in self.lines])

    def passed_over_cost(self) -> Floats:
        """Each copy costs one that comes from another than the givers wanted first."""
        return self._cost(
            lines=[
                bool(need.preferred) and supply.holder not in need.preferred for supply, need in self.lines
            ]
        )

    def served_cost(self, school: int) -> Floats:
        """Each set that a school has covered earns one."""
        return self._cost(sets=[-float(need.taker == school) for need, _ in self.sets])

    def km_cost(self) -> Floats:
        """Each copy costs its road, and what it costs as a substitute, in whole units of 100 m."""
        cost = np.array(self.roads(), dtype=np.float64)
        penalties: dict[int, dict[int, float]] = {}
        for column, (supply, need) in enumerate(self.lines):
            if need.penalties:
                by_edition = penalties.setdefault(need.id, dict(need.penalties))
                cost[column] += round(10 * by_edition.get(supply.edition, 0.0))
        return self._cost(lines=cost)

    def roads(self) -> list[int]:
        """Return each line's road in whole units of 100 m; an unknown road is as long as the longest."""
        if self._roads is None:
            known = {pair: self.problem.road(*pair) for pair in set(self._pairs)}
            longest = max((km for km in known.values() if km is not None), default=0.0)
            units = {pair: round(10 * (longest if km is None else km)) for pair, km in known.items()}
            self._roads = [units[pair] for pair in self._pairs]
        return self._roads

    def trip_price(self) -> dict[Pair, float]:
        """Return what each trip costs: one, or by road its length, and that at least 100 m."""
        if not self.problem.controls.by_road:
            return dict.fromkeys(self.pairs(), 1.0)
        return {pair: float(max(1, road)) for pair, road in zip(self.pairs(), self.roads(), strict=True)}

    def lent_cost(self) -> Floats:
        """Each copy costs what its giver has out on loan, and earns what its taker has, in a set."""
        return self._between(self.problem.lent)

    def balance_cost(self) -> Floats:
        """Each copy costs what its giver has given on balance, and earns what its taker has, in a set."""
        return self._between(self.problem.balance)

    def _between(self, worth: Mapping[int, int]) -> Floats:
        if not any(worth.values()):
            return self._cost()
        # Counted from the least, so that no copy pays for going where it completes nothing.
        least = min((worth.get(supply.holder, 0) for supply, _ in self.lines), default=0)
        return self._cost(
            lines=[float(worth.get(supply.holder, 0) - least) for supply, _ in self.lines],
            sets=[-float(worth.get(need.taker, 0) * len(layer.parts)) for need, layer in self.sets],
        )

    def legality_cost(self) -> Floats:
        """Each copy costs the years that its book may be used less than the best on offer."""
        years = [
            date.max.year if supply.legal_until is None else supply.legal_until.year
            for supply, _ in self.lines
        ]
        known = sorted({year for year in years if year < date.max.year})
        # A book without a last day outlasts every other by a year: how long, nobody knows.
        longest = known[-1] + 1 if known else date.max.year
        return self._cost(lines=[longest - min(year, longest) for year in years])

    def age_cost(self) -> Floats:
        """Each copy costs its age in years, against the newest on offer."""
        years = np.array([supply.year for supply, _ in self.lines])
        return self._cost(lines=years.max(initial=0) - years)

    def id_cost(self) -> Floats:
        """Each copy costs the place of its offer in the order of identifiers."""
        place = {supply.id: place for place, supply in enumerate(self.problem.supplies, start=1)}
        return self._cost(lines=[place[supply.id] for supply, _ in self.lines])

    # The passes

    def minimise(self, cost: Floats, only: NDArray[np.bool_] | None = None) -> float:
        """Find whole-numbered values of least ``cost`` and return it; with ``only``, on those lines alone.

        ``bound`` is then a proven lower bound of the cost. It is reached, except where side conditions tie
        textbooks together and an integer programme runs into its limit.
        """
        self.programme.cost = cost
        programme = self.programme if only is None else self._restricted(only)
        if only is None and self.trip_columns and not self.branching:
            programme = self._restricted(self._present())
        optimum = self._warm.run(programme)
        self._nailing = np.ones(len(cost), dtype=bool)
        self._rows: list[NDArray[np.bool_]] = []
        if (self.coupled or self.rough.any()) and not whole(optimum.values):
            optimum = self._tied(programme, optimum) if self.coupled else self._rugged(programme, optimum)
        self.values = np.rint(optimum.values)
        self._optimum = optimum
        self.bound = optimum.bound
        return self.worth(cost)

    def _present(self) -> NDArray[np.bool_]:
        """Return the lines of the trips that run at the present values."""
        pairs = self.pairs()
        running = {pair for pair, copies in zip(pairs, self.values, strict=False) if copies > EPSILON}
        return np.array([pair in running for pair in pairs], dtype=bool)

    def _restricted(self, only: NDArray[np.bool_]) -> Programme:
        lower, upper = self.programme.lower.copy(), self.programme.upper.copy()
        upper[: len(only)][~only] = 0.0
        if self.trip_columns:
            running = {pair for pair, stays in zip(self.pairs(), only, strict=True) if stays}
            for pair, column in self.trip_columns.items():
                lower[column] = upper[column] = float(pair in running)
        return replace(self.programme, lower=lower, upper=upper)

    def close_all_but(self, only: NDArray[np.bool_]) -> None:
        """Shut all other lines for good."""
        self.programme = self._restricted(only)

    def _rugged(self, programme: Programme, optimum: Optimum) -> Optimum:
        """Make the textbooks whole that did not come out so; no other textbook shares a row with them."""
        values = optimum.values.copy()
        broken = np.abs(values - np.rint(values)) > EPSILON
        bound = optimum.bound
        for textbook in sorted(set(self.textbooks[broken].tolist())):
            own = self.textbooks == textbook
            lower, upper = programme.lower.copy(), programme.upper.copy()
            others = np.where(np.abs(values - np.rint(values)) > EPSILON, values, np.rint(values))
            lower[~own] = upper[~own] = others[~own]
            # Rows of other textbooks, which these hold all but for rounding, are left out.
            rows = np.zeros(len(programme.row_lower), dtype=bool)
            rows[programme.rows[own[programme.columns]]] = True
            alone = replace(
                programme,
                lower=lower,
                upper=upper,
                integer=own,
                row_lower=np.where(rows, programme.row_lower, -np.inf),
                row_upper=np.where(rows, programme.row_upper, np.inf),
            )
            found = run(_whole_costs(alone)).values
            bound += float(programme.cost[own] @ (np.rint(found[own]) - values[own]))
            values[own] = np.rint(found[own])
            self._nailing[own] = False
            self._rows.append(own)
        return replace(optimum, values=values, bound=bound)

    def _tied(self, programme: Programme, optimum: Optimum) -> Optimum:
        """Make everything whole at once: side conditions tie the textbooks together."""
        self._nailing[:] = False
        self._rows.append(np.ones(len(self._nailing), dtype=bool))
        guess = self.values if programme.holds(self.values) else None
        firm = self.rugged
        # Without a plan to fall back on the search may not stop before it has one.
        nodes = None if guess is None else max(self.branching, TIED_NODES)
        found = run(replace(_whole_costs(programme), integer=firm), nodes=nodes, guess=guess)
        lower, upper = programme.lower.copy(), programme.upper.copy()
        lower[firm] = upper[firm] = np.rint(found.values[firm])
        settled = replace(programme, lower=lower, upper=upper)
        # With those settled a flow is left, and that is whole by itself but for three parts.
        flow = run(settled)
        if not whole(flow.values):
            everything = np.ones(len(firm), dtype=bool)
            within = replace(_whole_costs(programme), integer=everything)
            flow = run(within, nodes=nodes, guess=guess)
        return replace(optimum, values=flow.values)

    def keep(self) -> None:
        """Let later passes move only where the last one stays at its optimum."""
        programme, optimum = self.programme, self._optimum
        held = (np.abs(optimum.reduced) > EPSILON) & self._nailing
        programme.lower[held] = programme.upper[held] = self.values[held]
        loose = np.zeros(len(programme.row_lower), dtype=bool)
        loose[programme.rows[~self._nailing[programme.columns]]] = True
        activity = np.rint(programme.activity(self.values))
        tight = (np.abs(optimum.duals) > EPSILON) & ~loose
        programme.row_lower[tight] = programme.row_upper[tight] = activity[tight]
        for own in self._rows:
            costs = np.where(own, programme.cost, 0.0)
            self.programme = self.programme.with_row(costs, float(costs @ self.values))
            self.rugged |= costs != 0

    def cool(self) -> None:
        """Free what HiGHS keeps to start the next pass from."""
        self._warm = Warm()

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


def _whole_costs(programme: Programme) -> Programme:
    """Scale costs in fractions up: integer programmes are told apart by whole numbers."""
    if whole(programme.cost):
        return programme
    return replace(programme, cost=programme.cost * FINE)
