"""Prices for the proof of a plan, from linear programmes.

Coverage and the draw on the fund are one linear programme: a unit of weight pays `FIRST`, a copy from the
fund costs one. Textbooks share nothing there, so large problems are solved some textbooks at a time. Trips
are the linear relaxation of the fixed-charge problem on what that optimum leaves free; its prices go on top
of a multiple of the former ones, so that less coverage gains nothing; for large problems it is climbed, not
solved (`ascent`). Where the plan covers less than that
optimum, because the methodist gave some up, coverage and fund are two rows more instead.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from exchange.matching.rules import (
    SCALE,
    Certificate,
    FundUse,
    Goal,
    Layer,
    Need,
    Prices,
    Problem,
    Proof,
    Result,
    Way,
    bottlenecks,
    layers,
    road_units,
    ways,
    worth_of,
)
from exchange.matching.solver.ascent import Charged, ascend
from exchange.matching.solver.programme import EPSILON, Floats, Optimum, Programme, run
from exchange.matching.solver.watching import uncollected

Pair = tuple[int, int]
NeedPrices = Mapping[Pair, float]

#: A unit of weight outbids so many copies from the fund.
FIRST = 1000
#: Linear programmes hold about so many lines at most.
MOST_LINES = 10_000
#: How strongly the prices of coverage and fund hold those of the trips, tried in turn.
HOLDS = (0, 1, 10, 100)


@uncollected()
def certify(problem: Problem, result: Result) -> Certificate:
    """Return prices that prove how good a plan is, and which textbooks hold the coverage down."""
    problem = problem.in_order()
    controls, figures = problem.controls, result.figures
    open_ways = ways(problem)
    flows = [_Flow(problem, *some) for some in _by_textbooks(problem, open_ways)]
    first: dict[Pair, float] = {}
    for flow in flows:
        first |= flow.coverage_first()

    def prove(goal: Goal, weight: int, fund: int | None, reached: int, offers: Sequence[Prices]) -> Proof:
        """Return the proof by the best of several sets of prices."""
        sign = -1 if goal is Goal.COVERAGE else 1
        proofs = [
            Proof(
                goal,
                weight,
                fund,
                reached,
                worth_of(problem, goal, weight, fund, prices, open_ways),
                prices,
            )
            for prices in offers
        ]
        return max(proofs, key=lambda proof: sign * proof.bound)

    rounded = {key: SCALE * round(price / FIRST) for key, price in first.items()}
    coverage = prove(Goal.COVERAGE, 0, None, figures.weight, [Prices(SCALE, 0, rounded, {})])
    proofs = [coverage]
    weight = min(figures.weight, ceil((1 - controls.give_up) * coverage.bound - EPSILON))
    fund = figures.fund_copies if controls.fund is FundUse.LAST else None
    whole = {key: round(SCALE * price) for key, price in first.items()}
    if fund is not None:
        offers = [Prices(FIRST * SCALE, 0, whole, {})]
        if weight < coverage.bound and len(flows) == 1:
            offers.append(flows[0].fund_prices(weight))
        proofs.append(prove(Goal.FUND, weight, None, fund, offers))
    reached = figures.trips
    if controls.by_road:
        reached = sum(road_units(problem, trip.giver, trip.taker) for trip in result.trips)
    strict = weight == coverage.bound and fund is not None and fund == proofs[-1].bound
    if strict and len(flows) > 1:
        proofs.append(prove(Goal.TRIPS, weight, fund, reached, [_ascended(flows, reached)]))
    elif strict:
        proofs.append(prove(Goal.TRIPS, weight, fund, reached, flows[0].trip_prices_held()))
    elif len(flows) == 1:
        proofs.append(prove(Goal.TRIPS, weight, fund, reached, [flows[0].trip_prices(weight, fund)]))
    claimed = {one.name: one.bound for one in result.passes}
    return Certificate(
        tuple(proofs),
        claimed.get("trips"),
        controls.by_road,
        bottlenecks(problem, result.trips, coverage.prices, open_ways),
        result.floors,
        claimed.get("fairness"),
    )


def _by_textbooks(problem: Problem, open_ways: Sequence[Way]) -> list[tuple[list[Need], list[Way]]]:
    """Split needs and lines into groups of whole textbooks, about `MOST_LINES` each; one group at least."""
    lines: dict[int, list[Way]] = defaultdict(list)
    needs: dict[int, list[Need]] = defaultdict(list)
    for way in open_ways:
        lines[way.need.textbook].append(way)
    for need in problem.needs:
        needs[need.textbook].append(need)
    groups: list[tuple[list[Need], list[Way]]] = [([], [])]
    for textbook in sorted(needs):
        if groups[-1][1] and len(groups[-1][1]) + len(lines[textbook]) > MOST_LINES:
            groups.append(([], []))
        groups[-1][0].extend(needs[textbook])
        groups[-1][1].extend(lines[textbook])
    return groups


class _Flow:
    """The linear programme of some textbooks: columns are lines, then sets, then fixed copies to spare."""

    def __init__(self, problem: Problem, needs: Sequence[Need], some_ways: Sequence[Way]) -> None:
        self.problem = problem
        self.ways = some_ways
        supplies = {way.supply.id: way.supply for way in some_ways}
        self.sets: list[tuple[Need, Layer]] = [(need, layer) for need in needs for layer in layers(need)]
        self.need_rows: dict[Pair, int] = {}
        supply_row = {supply: row for row, supply in enumerate(supplies)}
        for need in needs:
            for part, _ in need.parts:
                self.need_rows[need.id, part] = len(supplies) + len(self.need_rows)
        spare: Counter[Pair] = Counter()
        for way in some_ways:
            spare[way.need.id, way.supply.part] += way.least
        spared = [(key, copies) for key, copies in spare.items() if copies]

        cells: list[tuple[int, int, float]] = []
        for column, way in enumerate(some_ways):
            cells.append((supply_row[way.supply.id], column, 1.0))
            cells.append((self.need_rows[way.need.id, way.supply.part], column, 1.0))
        for column, (need, layer) in enumerate(self.sets, start=len(some_ways)):
            cells += [(self.need_rows[need.id, part], column, -1.0) for part in layer.parts]
        for column, (key, _) in enumerate(spared, start=len(some_ways) + len(self.sets)):
            cells.append((self.need_rows[key], column, -1.0))
        table = np.array(cells, dtype=np.float64).reshape(-1, 3)
        lower = [float(way.least) for way in some_ways] + [0.0] * (len(self.sets) + len(spared))
        upper = [float(way.most) for way in some_ways]
        upper += [float(layer.size) for _, layer in self.sets] + [float(copies) for _, copies in spared]
        copies = np.array([float(supply.copies) for supply in supplies.values()])
        empty = np.zeros(len(self.need_rows))
        self.programme = Programme(
            cost=np.zeros(len(lower)),
            lower=np.array(lower),
            upper=np.array(upper),
            row_lower=np.concatenate((np.zeros(len(copies)), empty)),
            row_upper=np.concatenate((copies, empty)),
            rows=table[:, 0].astype(np.int32),
            columns=table[:, 1].astype(np.int32),
            entries=table[:, 2].copy(),
            integer=np.zeros(len(lower), dtype=bool),
        )
        self.first = Optimum(self.programme.cost, self.programme.cost, empty, 0.0)

    def _cost(self, per_weight: float, per_fund_copy: float) -> Floats:
        cost = np.zeros(len(self.programme.cost))
        cost[: len(self.ways)] = [per_fund_copy * way.supply.is_fund for way in self.ways]
        cost[len(self.ways) : len(self.ways) + len(self.sets)] = [
            -per_weight * need.weight for need, _ in self.sets
        ]
        return cost

    def needs(self, duals: Floats) -> dict[Pair, float]:
        """Return the prices of copies that arrive, from the dual values of the rows."""
        return {key: float(duals[row]) for key, row in self.need_rows.items()}

    def coverage_first(self) -> dict[Pair, float]:
        """Return the price of a copy that arrives, a unit of weight being worth `FIRST`."""
        self.first = run(replace(self.programme, cost=self._cost(FIRST, 1)))
        return self.needs(self.first.duals)

    def fund_prices(self, weight: int) -> Prices:
        """Return prices for the least draw on the fund at a coverage below the best."""
        programme = self.programme.with_row(self._cost(1, 0), -weight)
        optimum = run(replace(programme, cost=self._cost(0, 1)))
        return _scaled(-optimum.duals[-1], 0.0, self.needs(optimum.duals), {})

    def trip_prices(self, weight: int, fund: int | None) -> Prices:
        """Return prices for the fewest trips at that coverage and draw on the fund."""
        programme = self.programme.with_row(self._cost(1, 0), -weight)
        if fund is not None:
            programme = programme.with_row(self._cost(0, 1), fund)
        duals, links = self._trips(programme)
        rows = len(self.programme.row_lower)
        return _scaled(-duals[rows], 0.0 if fund is None else -duals[rows + 1], self.needs(duals), links)

    def trip_prices_held(self) -> list[Prices]:
        """Return prices for the fewest trips among the plans of most coverage and least of the fund."""
        duals, links = self._trips(self.held())
        return [_on_top(self.needs(duals), self.needs(self.first.duals), links, hold) for hold in HOLDS]

    def held(self) -> Programme:
        """Return the plans of most coverage and least of the fund.

        They are the face where every column with a reduced cost and every row with a dual value of the first
        programme stays where it is. With sets of three parts that need not be at a whole number.
        """
        programme, first = self.programme, self.first
        held = np.abs(first.reduced) > EPSILON
        lower, upper = programme.lower.copy(), programme.upper.copy()
        # Sets of three parts may come out in fractions: those stay as they are, or nothing would fit.
        near = np.rint(first.values)
        settled = np.where(np.abs(first.values - near) > EPSILON, first.values, near)
        lower[held] = upper[held] = settled[held]
        tight = np.abs(first.duals) > EPSILON
        row_lower, row_upper = programme.row_lower.copy(), programme.row_upper.copy()
        # An offer may be at its end or, as every line of it may be, at nothing.
        row_lower[tight] = row_upper[tight] = programme.activity(settled)[tight]
        return replace(programme, lower=lower, upper=upper, row_lower=row_lower, row_upper=row_upper)

    def _trips(self, base: Programme) -> tuple[Floats, dict[Pair, float]]:
        """Return the dual values of the relaxation of the fewest trips, and the prices of its lines."""
        width, height = len(base.cost), len(base.row_lower)
        number: dict[Pair, int] = {}
        trip = _numbered(self.ways, number)
        live = np.flatnonzero(base.upper[: len(self.ways)] > 0)
        most = np.array([float(way.most) for way in self.ways])
        charges = _charges(self.problem, number)
        opened = np.zeros(len(number))
        opened[[number[way.trip] for way in self.ways if way.least]] = 1.0
        link_rows = height + np.arange(len(live))
        columns = np.concatenate((base.columns, live, width + trip[live]))
        order = np.argsort(columns, kind="stable")
        programme = Programme(
            cost=np.concatenate((np.zeros(width), charges)),
            lower=np.concatenate((base.lower, opened)),
            upper=np.concatenate((base.upper, np.ones(len(number)))),
            row_lower=np.concatenate((base.row_lower, np.full(len(live), -np.inf))),
            row_upper=np.concatenate((base.row_upper, np.zeros(len(live)))),
            rows=np.concatenate((base.rows, link_rows, link_rows))[order].astype(np.int32),
            columns=columns[order].astype(np.int32),
            entries=np.concatenate((base.entries, np.ones(len(live)), -most[live]))[order],
            integer=np.zeros(width + len(number), dtype=bool),
        )
        duals = run(programme).duals
        priced = zip([self.ways[int(line)] for line in live], duals[link_rows], strict=True)
        return duals, {(way.supply.id, way.need.id): float(-dual) for way, dual in priced}


def _numbered(some_ways: Sequence[Way], number: dict[Pair, int]) -> NDArray[np.int64]:
    """Return the number of each line's trip, numbering those that have none yet."""
    return np.array([number.setdefault(way.trip, len(number)) for way in some_ways], dtype=np.int64)


def _charges(problem: Problem, number: Mapping[Pair, int]) -> Floats:
    """Return what each trip costs."""
    if problem.controls.by_road:
        return np.array([float(road_units(problem, *pair)) for pair in number])
    return np.ones(len(number))


def _ascended(flows: Sequence[_Flow], target: float) -> Prices:
    """Return prices for the fewest trips of several flows together, lines before all other columns."""
    number: dict[Pair, int] = {}
    trip = np.concatenate([_numbered(flow.ways, number) for flow in flows])
    programmes = [flow.held() for flow in flows]
    lines = len(trip)
    row = line = 0
    column = lines
    rows, columns, places, offsets = [], [], [], []
    for flow, programme in zip(flows, programmes, strict=True):
        own = len(flow.ways)
        place = np.arange(len(programme.cost))
        place = np.where(place < own, place + line, place - own + column)
        places.append(place)
        columns.append(place[programme.columns])
        rows.append(programme.rows + row)
        offsets.append(row)
        row += len(programme.row_upper)
        line += own
        column += len(programme.cost) - own
    order = np.argsort(np.concatenate(places))
    together = Programme(
        cost=np.zeros(column),
        lower=np.concatenate([one.lower for one in programmes])[order],
        upper=np.concatenate([one.upper for one in programmes])[order],
        row_lower=np.concatenate([one.row_lower for one in programmes]),
        row_upper=np.concatenate([one.row_upper for one in programmes]),
        rows=np.concatenate(rows),
        columns=np.concatenate(columns),
        entries=np.concatenate([one.entries for one in programmes]),
        integer=np.zeros(column, dtype=bool),
    )
    duals, paid = ascend(Charged(together, trip, _charges(flows[0].problem, number)), target)
    own_needs: dict[Pair, float] = {}
    first_needs: dict[Pair, float] = {}
    for flow, offset in zip(flows, offsets, strict=True):
        own_needs |= flow.needs(duals[offset:])
        first_needs |= flow.needs(flow.first.duals)
    every_way = (way for flow in flows for way in flow.ways)
    links = {
        (way.supply.id, way.need.id): float(price)
        for way, price in zip(every_way, paid, strict=True)
        if price > 0
    }
    return _on_top(own_needs, first_needs, links, HOLDS[-1])


def _on_top(own: NeedPrices, first: NeedPrices, links: NeedPrices, hold: int) -> Prices:
    """Return prices of trips on top of ``hold`` times those of coverage and fund."""
    needs = {key: price + hold * first[key] for key, price in own.items()}
    return _scaled(FIRST * hold, hold, needs, links)


def _scaled(per_set: float, fund: float, needs: NeedPrices, links: NeedPrices) -> Prices:
    """Round prices to whole numbers; those that must not be below nothing are not."""
    return Prices(
        max(0, round(SCALE * per_set)),
        max(0, round(SCALE * fund)),
        {key: round(SCALE * price) for key, price in needs.items()},
        {key: round(SCALE * price) for key, price in links.items() if price > EPSILON},
    )
