"""What would cover more: every change comes true, and brings just what was promised, when it is tried."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.matching.rules import (
    RELEASES,
    STEPS,
    Alteration,
    Controls,
    Counterfactual,
    FundUse,
    Kept,
    KeptBack,
    Need,
    Problem,
    Result,
    Step,
    StepKind,
    Supply,
    applied,
    change_as_json,
    change_from_json,
    check,
    layers,
    promise,
    words,
)
from exchange.matching.solver import QUICK, solve
from exchange.matching.solver.counterfactuals import counterfactuals, without_giver
from exchange.transfers.rules import Kind
from tests.rules.test_matching_solver import small_problem

YEAR_END = date(2027, 5, 31)
TODAY = date(2026, 9, 15)
OFFER = Supply(id=1, holder=1, edition=7, textbook=5, part=0, year=2019, copies=12)
NEED = Need(id=1, taker=2, textbook=5, parts=((0, 15),))


def problem_of(supplies=(OFFER,), needs=(NEED,), **changes) -> Problem:
    values = {"km": {(1, 2): 20.0, (3, 2): 70.0}, "today": TODAY, "year_end": YEAR_END, **changes}
    return Problem(supplies=tuple(supplies), needs=tuple(needs), **values)


def found_in(problem: Problem) -> tuple[Counterfactual, ...]:
    return counterfactuals(problem, solve(problem, effort=QUICK)).get(1, ())


def kept_of(supply: Supply, reason: KeptBack) -> tuple[Kept, ...]:
    return (Kept(supply, reason),)


FOREST = frozenset({1})
CASES: dict[StepKind, tuple[Problem, Step]] = {
    StepKind.YEAR: (
        problem_of(needs=[replace(NEED, year_from=2021)]),
        Step(StepKind.YEAR, number=2019),
    ),
    StepKind.EDITION: (
        problem_of(needs=[replace(NEED, editions=frozenset({8}))]),
        Step(StepKind.EDITION, number=7),
    ),
    StepKind.CONDITION: (
        problem_of(needs=[replace(NEED, condition_from=2)]),
        Step(StepKind.CONDITION, number=0),
    ),
    StepKind.LOAN: (
        problem_of([replace(OFFER, kind=Kind.LOAN)], [replace(NEED, kinds=frozenset({Kind.PERMANENT}))]),
        Step(StepKind.LOAN),
    ),
    StepKind.FOR_GOOD: (
        problem_of(needs=[replace(NEED, kinds=frozenset({Kind.LOAN}))]),
        Step(StepKind.FOR_GOOD),
    ),
    StepKind.LEND: (
        problem_of([replace(OFFER, legal_until=date(2027, 8, 31))]),
        Step(StepKind.LEND),
    ),
    StepKind.DATE: (
        problem_of(
            [replace(OFFER, available_from=date(2027, 1, 10))],
            [replace(NEED, needed_by=date(2026, 10, 1))],
        ),
        Step(StepKind.DATE, day=date(2027, 1, 10)),
    ),
    StepKind.ASK: (problem_of(needs=[replace(NEED, refused_by=FOREST)]), Step(StepKind.ASK, number=1)),
    StepKind.PERMIT: (problem_of(needs=[replace(NEED, forbidden=FOREST)]), Step(StepKind.PERMIT, number=1)),
    StepKind.FUND: (
        problem_of([replace(OFFER, is_fund=True)], controls=Controls(fund=FundUse.NEVER)),
        Step(StepKind.FUND),
    ),
    StepKind.FETCH: (problem_of([replace(OFFER, holder=3)], max_km=50.0), Step(StepKind.FETCH, number=3)),
    StepKind.RELEASE: (
        problem_of([], kept=kept_of(OFFER, KeptBack.BUFFER)),
        Step(StepKind.RELEASE, number=1, kept=KeptBack.BUFFER),
    ),
}


@pytest.mark.parametrize("kind", sorted(CASES))
def test_each_obstacle_has_its_change(kind: StepKind) -> None:
    problem, step = CASES[kind]
    (only,) = found_in(problem)
    assert only.change.steps == (step,)
    assert (only.more, only.own, only.weight, only.certain) == (12, 12, 12, True)
    assert solve(applied(problem, only.change)).figures.sets == 12


def test_an_unknown_road_can_be_driven_too() -> None:
    (only,) = found_in(problem_of([replace(OFFER, holder=4)], max_km=50.0))
    assert only.change.steps == (Step(StepKind.FETCH, number=4),)


def test_what_the_law_or_the_own_pupils_rule_out_is_not_proposed() -> None:
    assert found_in(problem_of([replace(OFFER, legal_until=date(2026, 12, 31))])) == ()
    assert found_in(problem_of([], kept=kept_of(OFFER, KeptBack.OWN_NEED))) == ()
    assert found_in(problem_of([replace(OFFER, holder=2)])) == ()


def test_two_steps_are_proposed_where_one_brings_less() -> None:
    needs = [replace(NEED, year_from=2021)]
    kept = kept_of(replace(OFFER, id=2, holder=3, copies=3), KeptBack.BUFFER)
    found = found_in(problem_of(needs=needs, kept=kept))
    assert [([step.kind for step in one.change.steps], one.more) for one in found] == [
        ([StepKind.YEAR, StepKind.RELEASE], 15),
        ([StepKind.YEAR], 12),
    ]


def test_an_older_year_that_brings_no_more_is_not_proposed() -> None:
    older = replace(OFFER, id=2, year=2015, edition=8)
    needs = [replace(NEED, year_from=2021)]
    assert [one.change.steps[0].number for one in found_in(problem_of([OFFER, older], needs))] == [2015, 2019]
    enough = [replace(OFFER, copies=15), older]
    assert [one.change.steps[0].number for one in found_in(problem_of(enough, needs))] == [2019]


def test_a_rival_of_more_worth_gets_what_is_released() -> None:
    rival = replace(NEED, id=2, taker=3, parts=((0, 8),), weight=2)
    (only,) = found_in(problem_of([], [NEED, rival], kept=kept_of(OFFER, KeptBack.BUFFER)))
    assert (only.more, only.own, only.weight) == (12, 4, 20)
    said = promise(only)
    assert said.message % {**said.parameters, "steps": "…"} == "… – ещё 12, этой школе не меньше 4"
    equal = replace(rival, weight=1)
    (only,) = found_in(problem_of([], [NEED, equal], kept=kept_of(OFFER, KeptBack.BUFFER)))
    assert (only.more, only.own) == (12, 4)
    hungry = replace(equal, parts=((0, OFFER.copies),))
    (only,) = found_in(problem_of([], [NEED, hungry], kept=kept_of(OFFER, KeptBack.BUFFER)))
    assert (only.more, only.own) == (12, 0)
    said = promise(only)
    words = said.message % {**said.parameters, "steps": "…"}
    assert words == "… – району ещё 12, но не обязательно этой школе"


# --- Random problems ---------------------------------------------------------------------------------------


def obstructed_problem(seed: int) -> Problem:
    """Return a random problem with all that can stand in the way."""
    dice = random.Random(seed)
    problem = small_problem(
        dice, holders=dice.randint(3, 6), offers=dice.randint(2, 14), requests=dice.randint(1, 10), most=9
    )
    spare = small_problem(dice, holders=5, offers=dice.randint(0, 5)).supplies
    pairs = [(a, b) for a in range(6) for b in range(1, 6) if a != b]
    return replace(
        problem,
        kept=tuple(Kept(replace(one, id=one.id + 1000), dice.choice(list(KeptBack))) for one in spare),
        forbidden=frozenset(dice.sample(pairs, dice.choice((0, 0, 4)))),
        needs=tuple(
            replace(need, forbidden=frozenset(dice.sample(range(6), dice.choice((0, 0, 1)))))
            for need in problem.needs
        ),
        controls=Controls(fund=dice.choice((FundUse.LAST, FundUse.LAST, FundUse.FREELY, FundUse.NEVER))),
    )


def sets_of(problem: Problem, result: Result, textbook: int) -> int:
    own = {need.id for need in problem.needs if need.textbook == textbook}
    return sum(sets for need_id, sets, _ in result.covered if need_id in own)


def covered(result: Result) -> dict[int, int]:
    return {need_id: sets for need_id, sets, _ in result.covered}


def weight_of(problem: Problem, result: Result, textbook: int) -> int:
    sets = covered(result)
    return sum(need.weight * sets[need.id] for need in problem.needs if need.textbook == textbook)


def is_in_one_volume(problem: Problem, textbook: int) -> bool:
    """Tell whether no two parts of the textbook are needed together."""
    return all(len(layer.parts) == 1 for n in problem.needs if n.textbook == textbook for layer in layers(n))


modest = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@modest
@given(st.integers(0, 10**9))
def test_every_change_brings_what_was_promised_and_nothing_else_changes(seed: int) -> None:
    problem = obstructed_problem(seed)
    before = solve(problem, effort=QUICK)
    textbooks = {need.id: need.textbook for need in problem.needs}
    for need_id, found in counterfactuals(problem, before).items():
        textbook = textbooks[need_id]
        for one in found:
            tried = applied(problem, one.change)
            after = solve(tried, effort=QUICK)
            assert check(tried, after) == ()
            assert after.figures.weight - before.figures.weight == one.weight > 0
            assert after.best_possible - before.best_possible == one.weight
            more = sets_of(tried, after, textbook) - sets_of(problem, before, textbook)
            if is_in_one_volume(problem, textbook):
                assert more == one.more
            assert more >= one.more > 0
            assert one.own == 0 or covered(after)[need_id] - covered(before)[need_id] >= one.own
            for other in set(textbooks.values()) - {textbook}:
                assert weight_of(problem, before, other) == weight_of(problem, after, other)


@modest
@given(st.integers(0, 10**9))
def test_no_older_year_that_would_cover_more_is_left_out(seed: int) -> None:
    """Let every need take books of any year: whatever that covers is told, of that need and textbook."""
    problem = obstructed_problem(seed)
    before = solve(problem, effort=QUICK)
    found = counterfactuals(problem, before)
    for item in before.uncovered:
        need = next(need for need in problem.needs if need.id == item.need_id)
        any_year = Alteration(need.id, (Step(StepKind.YEAR, number=1900),))
        after = solve(applied(problem, any_year), effort=QUICK)
        more = sets_of(problem, after, need.textbook) - sets_of(problem, before, need.textbook)
        gained = covered(after)[need.id] > covered(before)[need.id]
        if more > 0 and gained and is_in_one_volume(problem, need.textbook):
            assert more in [
                one.more
                for one in found[need.id]
                if [step.kind for step in one.change.steps] == [StepKind.YEAR]
            ]


@modest
@given(st.integers(0, 10**9))
def test_the_order_of_the_input_changes_nothing(seed: int) -> None:
    problem = obstructed_problem(seed)
    turned = replace(
        problem, supplies=problem.supplies[::-1], needs=problem.needs[::-1], kept=problem.kept[::-1]
    )
    result = solve(problem, effort=QUICK)
    assert counterfactuals(problem, result) == counterfactuals(turned, result)
    some = [item.need_id for item in result.uncovered][:1]
    assert counterfactuals(problem, result, some) == {
        need_id: found for need_id, found in counterfactuals(problem, result).items() if need_id in some
    }


@modest
@given(st.integers(0, 10**9))
def test_without_its_giver_a_need_loses_what_a_new_plan_loses(seed: int) -> None:
    problem = replace(obstructed_problem(seed), fixed=())
    result = solve(problem, effort=QUICK)
    for line in result.proposals[:4]:
        without = replace(
            problem,
            needs=tuple(
                replace(need, forbidden=need.forbidden | {line.giver}) if need.id == line.need_id else need
                for need in problem.needs
            ),
        )
        after = solve(without, effort=QUICK)
        weight, sets = without_giver(problem, line.need_id, line.giver)
        assert weight == result.figures.weight - after.figures.weight
        if is_in_one_volume(problem, line.textbook):
            assert sets == result.figures.sets - after.figures.sets


@given(st.integers(0, 10**9))
@settings(max_examples=20, deadline=None)
def test_what_is_stored_is_what_is_read(seed: int) -> None:
    problem = obstructed_problem(seed)
    for need_id, found in counterfactuals(problem, solve(problem, effort=QUICK)).items():
        for one in found:
            assert change_from_json(need_id, change_as_json(one)) == one


def test_every_step_has_its_words() -> None:
    assert set(STEPS) == set(StepKind) - {StepKind.RELEASE}
    assert set(RELEASES) == set(KeptBack) - {KeptBack.OWN_NEED}
    filled = {"holder": "Приморская", "edition": 2019}
    step = Step(StepKind.FETCH, number=3)
    assert words(step).message % {**words(step).parameters, **filled} == "забрав в школе «Приморская»"
    (case,) = found_in(CASES[StepKind.YEAR][0])
    said = words(case.change.steps[0])
    text = promise(case).message % {**promise(case).parameters, "steps": str(said)}
    assert text == "с изданием 2019 года и новее – ещё 12"
