"""The optimiser against every plan there is, on thousands of small problems.

``MATCHING_CASES=20000 pytest tests/rules/test_matching_brute_force.py`` tries as many; without it 2,000.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from exchange.matching.rules import (
    Goal,
    Need,
    Problem,
    Result,
    Supply,
    check,
    fairness_of,
    serveable,
)
from exchange.matching.solver import NORMAL, QUICK, certify, solve
from exchange.transfers.rules import Kind
from tests.rules.every_plan import (
    FUND,
    PASSED,
    WEIGHT,
    EveryPlan,
    Rows,
    TooManyPlansError,
    fund_counts,
    wants_some_first,
)
from tests.rules.test_matching_solver import (
    DRESSES,
    TODAY,
    YEAR_END,
    assignments,
    dressed,
    some_fixed,
)

CASES = int(os.environ.get("MATCHING_CASES", "2000"))
#: Every trip at once, however many nodes it takes; no time is spent on what small problems do not need.
EXHAUSTIVE = replace(
    NORMAL, bound_rounds=2, swaps=10, rounds=0, exact_lines=10_000, exact_nodes=100_000, proven_lines=0
)
#: Problems of fewer different plans are left out: what is best in them is no question.
FEWEST_PLANS = 15
KINDS = ("none", *DRESSES, "several")


def crowded_problem(dice: random.Random) -> Problem:
    """Make a small problem in which much competes for little: few filters, few copies, many needs."""
    schools = dice.choice((3, 3, 4))
    supplies: list[Supply] = []
    needs: list[Need] = []
    for textbook in range(1, dice.choice((1, 2, 2)) + 1):
        parts = dice.choice(((0,), (0,), (0,), (1, 2), (1, 2), (1, 2, 3)))
        offers = dice.choice((3, 4)) if len(parts) == 1 else len(parts) + dice.choice((1, 2))
        for number in range(offers):
            holder, year = dice.randint(0, schools), dice.choice((2019, 2020))
            part = parts[number % len(parts)]
            supplies.append(
                Supply(
                    id=10 + len(supplies),
                    holder=holder,
                    edition=textbook * 100 + part * 10 + year % 10,
                    textbook=textbook,
                    part=part,
                    year=year,
                    copies=dice.choice((1, 2, 3, 3)),
                    kind=dice.choice((Kind.PERMANENT,) * 5 + (Kind.LOAN,)),
                    is_fund=holder == 0,
                    condition=dice.choice((1, 2)),
                    legal_until=dice.choice((None, None, date(2029, 8, 31), date(2027, 8, 31))),
                )
            )
        for _ in range(dice.choice((1, 2, 2, 2, 3))):
            seldom = dice.random
            needs.append(
                Need(
                    id=50 + len(needs),
                    taker=dice.randint(1, schools),
                    textbook=textbook,
                    parts=tuple((part, dice.choice((0, 1, 1, 2, 2, 3))) for part in parts),
                    weight=dice.choice((1, 1, 2)),
                    kinds=frozenset({Kind.PERMANENT}) if seldom() < 0.1 else frozenset(Kind),
                    year_from=2020 if seldom() < 0.1 else None,
                    condition_from=2 if seldom() < 0.1 else 0,
                    refused_by=frozenset({1}) if seldom() < 0.1 else frozenset(),
                )
            )
    holders = range(schools + 1)
    km = {(a, b): dice.randint(0, 60) / 2 for a in holders for b in holders if a < b and dice.random() < 0.95}
    problem = Problem(
        tuple(supplies), tuple(needs), km, TODAY, YEAR_END, max_km=25.0 if dice.random() < 0.1 else None
    )
    return replace(problem, fixed=some_fixed(dice, problem))


def wishes_of(kind: str, dice: random.Random) -> set[str]:
    if kind == "several":
        return set(dice.sample(DRESSES, dice.choice((2, 3, 4, len(DRESSES)))))
    return {kind} - {"none"}


def compare(problem: Problem, every: EveryPlan) -> Counter[str]:
    """Hold a plan against every plan there is; return what was seen on the way."""
    seen: Counter[str] = Counter()
    result = solve(problem, effort=EXHAUSTIVE)
    assert check(problem, result) == ()
    controls, rows = problem.controls, every.rows
    passes = {one.name: one for one in result.passes}

    # Coverage, the fund, preferred givers: what each pass can reach at best, given the ones before.
    best = int(rows[:, WEIGHT].max())
    assert result.best_possible == every.limitless[:, WEIGHT].max()
    left = rows[rows[:, WEIGHT] == best]
    within = rows[rows[:, WEIGHT] >= best - int(best * controls.give_up + 1e-9)]
    for name, column, asked in (
        ("fund", FUND, fund_counts(problem)),
        ("preferred", PASSED, wants_some_first(problem)),
    ):
        assert (name in passes) is asked
        if asked:
            least = int(left[:, column].min())
            left = left[left[:, column] == least]
            within = within[within[:, column] <= least]
            assert passes[name].value <= least
            assert passes[name].bound <= least + 1e-6
            assert controls.give_up or passes[name].value == least

    within = promised(problem, result, every, left, within, seen)
    shown = result.figures.weight
    assert controls.give_up or shown == best

    # Trips: none fewer; on them all that was given up for nothing comes back, then copies travel the least.
    cost = passes["trip_km"].value * 10 if controls.by_road else passes["trips"].value
    fewest = int(every.trip_cost(within).min())
    assert cost == pytest.approx(fewest)
    assert passes["trip_km" if controls.by_road else "trips"].bound <= cost + 1e-6
    on = np.array([pair in {(trip.giver, trip.taker) for trip in result.trips} for pair in every.pairs])
    same = within[(every.loads(within)[:, ~on] == 0).all(axis=1)] if len(on) else within
    assert shown == same[:, WEIGHT].max()
    same = same[same[:, WEIGHT] == shown]
    for name, column in (("fund", FUND), ("preferred", PASSED)):
        if name in passes:
            assert passes[name].value == same[:, column].min()
            same = same[same[:, column] == passes[name].value]
    assert passes["copy_km"].value * 10 == pytest.approx(every.copy_km(same).min())

    seen["trips"] += fewest > 0
    seen["choice"] += len(within) > 1
    return seen


def promised(
    problem: Problem, result: Result, every: EveryPlan, left: Rows, within: Rows, seen: Counter[str]
) -> Rows:
    """Hold the fairness promised against the fairest plan of those ``left``; return the plans ``within``
    which the promise is kept.
    """
    tolerance = problem.controls.fairness
    if tolerance is None:
        assert result.floors == ()
        return within
    could = {school: sets for school, sets in every.could.items() if sets}
    total: Counter[int] = Counter()
    for need_id, sets in serveable(problem).items():
        total[next(need.taker for need in problem.needs if need.id == need_id)] += sets
    assert +total == could
    shares = every.shares(left)
    fairest = next(one for one in result.passes if one.name == "fairness")
    if not could:
        assert result.floors == ()
        return within
    order = np.lexsort(shares.T[::-1])
    leximin = shares[order[-1]]
    # The floors are those of a plan whose worst served school gets as much as any plan can give it.
    floors = np.array([dict(result.floors).get(school, 0) for school in every.schools])
    most = np.array([every.could.get(school, 0) for school in every.schools])
    own = np.maximum(0, np.ceil(every.served(left) - tolerance * most - 1e-6))
    fits = (own == floors).all(axis=1)
    assert np.isclose(shares[fits][:, 0], leximin[0]).any()
    together = any(sum(copies > 0 for _, copies in need.parts) > 1 for need in problem.needs)
    is_leximin = bool(np.isclose(shares[fits], leximin).all(axis=1).any())
    rough = problem.limits_trips or not all(need.mixing for need in problem.needs)
    rough = rough or any(len(need.parts) > 2 for need in problem.needs)
    # Where even the linear programme is whole nothing but the best is claimed; of plans that may cover less
    # nothing is.
    if problem.controls.give_up:
        assert fairest.bound == 1
    elif not rough:
        assert fairest.bound == pytest.approx(leximin[0])
    assert fairest.bound >= leximin[0] - 1e-9
    seen["fair"] += 1
    seen["leximin missed"] += not is_leximin
    # On a flow of single copies all shares are the fairest, not the worst alone.
    assert is_leximin or together or rough
    served = fairness_of(problem, result.trips)
    assert all(served[school][0] >= floor for school, floor in result.floors)
    if not problem.controls.give_up:
        assert min(sets / most for sets, most in served.values()) >= leximin[0] - tolerance - 1e-9
    return within[(every.served(within) >= floors).all(axis=1)]


def test_two_ways_to_list_all_plans_agree() -> None:
    for seed in range(40):
        problem, every = case("none" if seed % 2 else "mixing", seed)
        holder = {one.id: one.holder for one in problem.supplies}
        taker = {one.id: one.taker for one in problem.needs}
        weights = {one.id: one.weight for one in problem.needs}
        listed = {((0, 0), (), ())}
        for textbook in {need.textbook for need in problem.needs}:
            own = set()
            for sent, sets in assignments(problem, textbook):
                loads: Counter[tuple[int, int]] = Counter()
                served: Counter[int] = Counter()
                for (supply, need), copies in sent.items():
                    loads[holder[supply], taker[need]] += copies
                for need, covered in sets.items():
                    served[taker[need]] += covered
                weight = sum(weights[need] * covered for need, covered in sets.items())
                fund = sum(copies for (giver, _), copies in loads.items() if giver == 0)
                own.add(((weight, fund), tuple(sorted((+served).items())), tuple(sorted(loads.items()))))
            listed = {
                (
                    (a[0][0] + b[0][0], a[0][1] + b[0][1]),
                    *(tuple(sorted((Counter(dict(a[n])) + Counter(dict(b[n]))).items())) for n in (1, 2)),
                )
                for a in listed
                for b in own
            }
        found = {
            (
                (int(row[WEIGHT]), int(row[FUND])),
                tuple(
                    (school, int(sets))
                    for school, sets in zip(every.schools, every.served(row[None])[0], strict=True)
                    if sets
                ),
                tuple(
                    (pair, int(copies))
                    for pair, copies in zip(every.pairs, every.loads(row[None])[0], strict=True)
                    if copies
                ),
            )
            for row in every.rows
        }
        assert found == listed, seed


def case(kind: str, seed: int) -> tuple[Problem, EveryPlan]:
    """Return the problem of a seed, and all its plans."""
    dice = random.Random(f"{kind} {seed}")
    while True:
        problem = crowded_problem(dice)
        problem = dressed(problem, dice, wishes_of(kind, dice))
        try:
            every = EveryPlan(problem)
        except TooManyPlansError:
            continue
        if len(every.limitless) >= FEWEST_PLANS:
            return problem, every


@pytest.mark.parametrize("kind", KINDS)
def test_no_plan_is_better(kind: str) -> None:
    seen: Counter[str] = Counter()
    count = CASES // len(KINDS)
    for seed in range(count):
        problem, every = case(kind, seed)
        try:
            seen += compare(problem, every)
        except Exception as error:
            error.add_note(f"{kind} {seed}: {problem}")
            raise
    # The problems are such that something is to be decided.
    assert seen["choice"] > count // 10


@pytest.mark.parametrize("kind", KINDS)
def test_the_fast_method_claims_nothing_false(kind: str) -> None:
    """It may need more trips than the fewest, and under limits on trips cover less than the most; what it
    says of the best there is has to be true, in its certificate too.
    """
    for seed in range(CASES // len(KINDS) // 6):
        problem, every = case(kind, 1_000_000 + seed)
        result = solve(problem, effort=QUICK)
        assert check(problem, result) == (), seed
        controls, rows = problem.controls, every.rows
        best = int(rows[:, WEIGHT].max())
        assert result.best_possible == every.limitless[:, WEIGHT].max(), seed
        assert result.figures.weight <= best, seed
        limited = problem.limits_trips
        if not limited and not controls.give_up:
            assert result.figures.weight == best, seed
        certificate = certify(problem, result)
        proof = certificate.proof(Goal.COVERAGE)
        assert proof is None or proof.bound >= best, seed
        proof = certificate.proof(Goal.TRIPS)
        if proof is not None:
            fit = rows[rows[:, WEIGHT] >= proof.weight]
            fit = fit if proof.fund is None else fit[fit[:, FUND] <= proof.fund]
            units = every.loads(fit) > 0
            costs = units @ every.roads if controls.by_road else units.sum(axis=1)
            assert proof.bound <= costs.min(), seed
        proof = certificate.proof(Goal.FUND)
        if proof is not None:
            assert proof.bound <= rows[rows[:, WEIGHT] >= proof.weight][:, FUND].min(), seed
        if limited:
            continue
        fit = rows[rows[:, WEIGHT] >= result.figures.weight]
        if fund_counts(problem):
            fit = fit[fit[:, FUND] <= result.figures.fund_copies]
        passes = {one.name: one for one in result.passes}
        if wants_some_first(problem):
            fit = fit[fit[:, PASSED] <= passes["preferred"].value]
        bound = passes["trip_km"].bound * 10 if controls.by_road else passes["trips"].bound
        floors = np.array([dict(result.floors).get(school, 0) for school in every.schools])
        fit = fit[(every.served(fit) >= floors).all(axis=1)]
        assert bound <= every.trip_cost(fit).min() + 1e-6, seed
