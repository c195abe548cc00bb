"""The search for fewer trips from outside: watched, stopped, timed; the same plan everywhere."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest

from benchmarks.matching import read, small_district
from exchange.matching.rules import check
from exchange.matching.solver import NORMAL, QUICK, Standing, solve
from tests.rules.test_matching_solver import ROOT, brute_force, small_problem

#: No branch and cut over all trips at once: many rounds on a district of eight schools.
ROUNDS = replace(NORMAL, exact_lines=0, proven_lines=0, swaps=3)


@pytest.fixture(scope="module")
def district():
    return read(small_district(seed=3, schools=9, works=70))


def test_who_watches_sees_trips_fall_and_the_bound_rise(district):
    seen: list[Standing] = []

    def watch(standing: Standing) -> bool:
        seen.append(standing)
        return True

    plan = solve(district, effort=ROUNDS, watch=watch)
    assert [one.round for one in seen] == list(range(len(seen)))
    assert len(seen) > 1
    assert all(one.round <= one.rounds for one in seen)
    for before, after in pairwise(seen):
        assert after.trips <= before.trips
        assert after.bound >= before.bound
        assert after.seconds >= before.seconds
    assert seen[-1].trips == plan.figures.trips < seen[0].trips
    assert seen[-1].bound <= plan.figures.trips
    assert solve(district, effort=ROUNDS) == plan


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_a_search_that_is_stopped_keeps_the_best_plan_so_far(district, rounds):
    seen: list[Standing] = []

    def watch(standing: Standing) -> bool:
        seen.append(standing)
        return standing.round < rounds

    plan = solve(district, effort=ROUNDS, watch=watch)
    assert seen[-1].round == rounds
    assert check(district, plan) == ()
    assert plan.figures.trips == seen[-1].trips
    assert plan.figures.weight == plan.best_possible
    assert plan == solve(district, effort=replace(ROUNDS, rounds=rounds))


def test_no_time_is_time_enough_for_a_plan(district):
    plan = solve(district, effort=ROUNDS, time_limit=0.0)
    assert check(district, plan) == ()
    assert plan == solve(district, effort=replace(ROUNDS, rounds=0))
    assert solve(district, effort=ROUNDS, time_limit=3600.0) == solve(district, effort=ROUNDS)


def test_the_quick_method_covers_no_less(district):
    quick, normal = solve(district, effort=QUICK), solve(district, effort=NORMAL)
    assert check(district, quick) == ()
    assert quick.figures.weight == quick.best_possible == normal.figures.weight
    assert quick.figures.fund_copies == normal.figures.fund_copies
    assert quick.figures.trips < quick.baseline.trips


def test_the_quick_method_against_brute_force():
    """Coverage and fund are the best there are; the fewest trips lie between its bound and its own."""
    unaided = replace(QUICK, exact_lines=0)
    for seed in range(120):
        problem = small_problem(random.Random(seed), most=2 if seed % 2 else 3, offers=4 + seed % 2)
        plan = solve(problem, effort=unaided)
        assert check(problem, plan) == (), seed
        weight, fund, trips = brute_force(problem)
        assert (plan.figures.weight, plan.figures.fund_copies) == (weight, fund), seed
        bound = next(one.bound for one in plan.passes if one.name == "trips")
        assert bound <= trips <= plan.figures.trips, seed


ANOTHER_PROCESS = """
from benchmarks.matching import read, small_district
from exchange.matching.solver import QUICK, solve
plan = solve(read(small_district(seed=3, schools=9, works=70)), effort=QUICK)
print(sorted((line.supply_id, line.need_id, line.copies) for line in plan.proposals))
"""


@pytest.mark.parametrize("hash_seed", ["0", "17"])
def test_the_quick_plan_is_the_same_in_another_process(district, hash_seed):
    there = subprocess.run(
        [sys.executable, "-c", ANOTHER_PROCESS],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    plan = solve(district, effort=QUICK)
    assert there.strip() == str(
        sorted((line.supply_id, line.need_id, line.copies) for line in plan.proposals)
    )


def test_the_quick_plan_does_not_depend_on_the_order_of_the_input(district):
    dice = random.Random(5)
    mixed = replace(
        district,
        supplies=tuple(dice.sample(district.supplies, len(district.supplies))),
        needs=tuple(dice.sample(district.needs, len(district.needs))),
    )
    assert solve(mixed, effort=QUICK) == solve(district, effort=QUICK)
