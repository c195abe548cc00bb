"""Regions: textbook by textbook, the same promises, the same plan on any number of processes."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import replace
from typing import Any

import pytest

from exchange.errors import Invalid
from exchange.matching.rules import (
    Controls,
    FundUse,
    Goal,
    Line,
    Problem,
    Result,
    as_json,
    check,
    dump,
    dump_plan,
)
from exchange.matching.solver import QUICK, Standing, certify, minimum_cost_flow, region, solve
from tests.rules.test_matching_solver import ROOT, small_problem

sys.path.insert(0, str(ROOT))

from benchmarks import check_plan, matching


@pytest.fixture(autouse=True)
def whatever_the_size(monkeypatch):
    """Take every problem for a region's."""
    monkeypatch.setattr(region, "LARGE", -1)


@pytest.fixture(scope="module")
def district():
    return matching.read(matching.small_district(seed=2, schools=12, works=80))


def at_once(problem: Problem) -> Result:
    """Solve in one programme."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(region, "LARGE", 10**9)
        return solve(problem, effort=replace(QUICK, rounds=2))


def faults(problem: Problem, result: Result) -> list[str]:
    """Return what the checker, which knows nothing of the program, finds wrong with plan and certificate."""
    document: Any = dump_plan(result) | {"certificate": as_json(certify(problem, result))}
    market, plan = json.loads(json.dumps([dump(problem), document]))
    return check_plan.verify(market, plan).wrong


def reached(result: Result, name: str) -> float:
    return next(one.value for one in result.passes if one.name == name)


def shuffled(problem: Problem, seed: int) -> Problem:
    dice = random.Random(seed)
    return replace(
        problem,
        supplies=tuple(dice.sample(problem.supplies, len(problem.supplies))),
        needs=tuple(dice.sample(problem.needs, len(problem.needs))),
        fixed=tuple(dice.sample(problem.fixed, len(problem.fixed))),
    )


def test_small_problems_are_covered_as_well_as_in_one_programme():
    for seed in range(40):
        problem = small_problem(random.Random(seed), holders=5, offers=9, requests=7)
        result, whole = solve(problem), at_once(problem)
        assert check(problem, result) == (), seed
        assert result.best_possible == whole.best_possible == result.figures.weight, seed
        assert result.figures.fund_copies == whole.figures.fund_copies, seed
        assert result.baseline == whole.baseline, seed
        assert {one.name for one in result.passes} == {one.name for one in whole.passes}, seed
        bound = next(one.bound for one in result.passes if one.name == "trips")
        assert bound <= whole.figures.trips, seed
        assert solve(shuffled(problem, seed)) == result, seed
        if seed < 20:
            assert faults(problem, result) == [], seed


def test_a_district_comes_out_on_few_trips_and_proven(district):
    result, whole = solve(district), at_once(district)
    assert check(district, result) == ()
    assert faults(district, result) == []
    assert result.figures.weight == whole.figures.weight
    assert result.figures.fund_copies == whole.figures.fund_copies
    assert result.figures.trips < 0.75 * len(minimum_cost_flow(district))
    certificate = certify(district, result)
    assert certificate.proof(Goal.COVERAGE).bound == result.figures.weight
    assert certificate.proof(Goal.FUND).bound == result.figures.fund_copies
    assert 0 < certificate.proof(Goal.TRIPS).bound <= whole.figures.trips


def test_two_processes_make_the_plan_of_one(district):
    alone, together = solve(district), solve(shuffled(district, 1), processes=2)
    assert together == alone


@pytest.mark.parametrize("fund", list(FundUse))
@pytest.mark.parametrize("by_road", [False, True])
def test_use_of_the_fund_and_roads(district, fund, by_road):
    problem = replace(district, controls=Controls(fund=fund, by_road=by_road))
    result, whole = solve(problem), at_once(problem)
    assert check(problem, result) == ()
    assert result.figures.weight == whole.figures.weight
    assert [one.name for one in result.passes] == [one.name for one in whole.passes]
    if fund is not FundUse.FREELY:
        assert result.figures.fund_copies == whole.figures.fund_copies
    if by_road:
        bound = next(one.bound for one in result.passes if one.name == "trip_km")
        assert bound <= reached(whole, "trip_km") + 1e-6
        assert (
            reached(result, "trip_km") < solve(replace(problem, controls=Controls(fund=fund))).figures.trip_km
        )


def test_what_the_methodist_fixes_forbids_and_prefers_is_kept(district):
    first = solve(district)
    dice = random.Random(7)
    lines = dice.sample(first.proposals, 6)
    fixed = tuple(
        Line(one.supply_id, one.need_id, one.copies, exact=n % 2 == 0) for n, one in enumerate(lines)
    )
    held = {(one.giver, one.taker) for one in lines}
    forbidden = [(trip.giver, trip.taker) for trip in first.trips if (trip.giver, trip.taker) not in held][:5]
    refused = next(one for one in first.proposals if (one.giver, one.taker) not in held | set(forbidden))
    wanted = dice.choice([need for need in district.needs if need.id != refused.need_id])
    needs = tuple(
        replace(need, refused_by=frozenset({refused.giver}))
        if need.id == refused.need_id
        else replace(need, preferred=frozenset({refused.giver}))
        if need.id == wanted.id
        else need
        for need in district.needs
    )
    problem = replace(district, needs=needs, fixed=fixed, forbidden=frozenset(forbidden))
    result, whole = solve(problem), at_once(problem)
    assert check(problem, result) == ()
    assert faults(problem, result) == []
    assert result.figures.weight == whole.figures.weight
    assert result.figures.fund_copies == whole.figures.fund_copies
    assert reached(result, "preferred") == reached(whole, "preferred")
    assert not {(trip.giver, trip.taker) for trip in result.trips} & set(forbidden)


def test_the_search_is_watched_and_stopped_between_rounds(district):
    seen: list[Standing] = []

    def watch(standing: Standing) -> bool:
        seen.append(standing)
        return standing.round < 3

    stopped, free = solve(district, watch=watch), solve(district)
    assert [one.round for one in seen] == [0, 1, 2, 3]
    assert check(district, stopped) == ()
    assert stopped.figures.weight == free.figures.weight
    assert seen[-1].trips >= stopped.figures.trips >= free.figures.trips
    assert check(district, solve(district, time_limit=0.0)) == ()


@pytest.mark.parametrize(
    "controls", [Controls(give_up=0.01), Controls(fairness=0.05), Controls(smallest_parcel=3)]
)
def test_what_ties_textbooks_together_is_refused_not_ignored(district, controls):
    with pytest.raises(Invalid):
        solve(replace(district, controls=controls))


def test_caps_of_trips_are_refused_not_ignored(district):
    with pytest.raises(Invalid):
        solve(replace(district, most_trips={1: 2}))


def test_nothing_needed_is_a_plan_without_trips(district):
    result = solve(replace(district, needs=()))
    assert result.trips == ()
    assert result.best_possible == 0
