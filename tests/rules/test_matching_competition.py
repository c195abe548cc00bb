"""The numbers behind a proposal, and by which rule competing needs got their copies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.matching.rules import (
    RULES,
    Controls,
    KeptBack,
    Limit,
    Line,
    Need,
    Problem,
    Rule,
    Shortage,
    Supply,
    explain,
    layers,
    opened,
    review,
    shortages,
    trips_of,
)
from exchange.matching.solver import QUICK, solve
from tests.rules.test_matching_counterfactuals import (
    NEED,
    OFFER,
    kept_of,
    obstructed_problem,
    problem_of,
)

ROADS = {(1, 2): 20.0, (1, 3): 20.0, (4, 2): 5.0, (4, 3): 30.0, (5, 2): 90.0}


def reviewed(problem: Problem, shipments: dict[tuple[int, int], int]) -> tuple[Rule, dict[str, float]]:
    """Return by which rule the one rival of the school 2 got its copies."""
    (one,) = review(problem, trips_of(problem, shipments), 2)
    (competitor,) = one.competitors
    return competitor.rule, dict(competitor.parameters)


RIVAL = replace(NEED, id=2, taker=3)


def town(own: Need = NEED, rival: Need = RIVAL, *more: Supply, **changes: object) -> Problem:
    return problem_of([OFFER, *more], [own, rival], **{"km": ROADS, **changes})


OTHER_BOOK = replace(OFFER, id=7, textbook=6)
FIXED = (Line(1, 2, 12),)
CASES = {
    Rule.FIXED: (town(fixed=FIXED), {(1, 2): 12}, {}),
    Rule.WEIGHT: (
        town(rival=replace(RIVAL, weight=2)),
        {(1, 2): 12},
        {"weight": 2, "own_weight": 1},
    ),
    Rule.PREFERRED: (town(rival=replace(RIVAL, preferred=frozenset({1}))), {(1, 2): 12}, {}),
    Rule.FAIRNESS: (
        town(NEED, RIVAL, replace(OFFER, id=8, holder=5), controls=Controls(fairness=0.0)),
        {(1, 2): 3, (8, 1): 12},
        {"served": 20, "own_served": 80},
    ),
    Rule.NEARER: (town(km={**ROADS, (1, 3): 7.0}), {(1, 2): 12}, {"km": 7.0, "own_km": 20.0}),
    Rule.EARLIER: (town(replace(NEED, id=9)), {(1, 2): 12}, {}),
    Rule.DISTRICT: (town(km={**ROADS, (1, 3): 70.0}), {(1, 2): 12}, {}),
}


@pytest.mark.parametrize("rule", sorted(CASES))
def test_each_rule_is_named_with_its_numbers(rule: Rule) -> None:
    problem, shipments, numbers = CASES[rule]
    assert reviewed(problem, shipments) == (rule, numbers)


def test_a_trip_that_runs_anyway_goes_before_a_new_one() -> None:
    problem = problem_of(
        [OFFER, OTHER_BOOK], [NEED, RIVAL, replace(RIVAL, id=3, textbook=6)], km={**ROADS, (1, 3): 50.0}
    )
    assert reviewed(problem, {(1, 2): 12, (7, 3): 5}) == (Rule.FEWER_TRIPS, {})


def test_a_set_that_lacks_another_part_takes_nobodys_copies() -> None:
    parts = replace(NEED, parts=((1, 15), (2, 15)), weight=4)
    problem = problem_of(
        [replace(OFFER, part=1), replace(OFFER, id=2, part=2)], [parts, replace(RIVAL, parts=((1, 9),))]
    )
    assert reviewed(problem, {(1, 2): 9, (1, 1): 3, (2, 1): 3})[0] is Rule.OTHER_PARTS


def test_every_rule_has_its_words() -> None:
    assert set(RULES) == set(Rule)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**9))
def test_nobody_of_less_weight_is_served_before_a_school(seed: int) -> None:
    """In a plan that gives nothing up, a lighter need gets only what would complete no set of the heavier."""
    problem = obstructed_problem(seed)
    trips = solve(problem, effort=QUICK).trips
    weights = {need.id: need.weight for need in problem.needs}
    reviews = [one for taker in range(6) for one in review(problem, trips, taker)]
    assert {one.need.id for one in reviews if one.shortage} == {
        one.need_id for one in shortages(problem, trips)
    }
    for one in reviews:
        if any(len(layer.parts) > 1 for layer in layers(one.need)):
            continue
        for competitor in one.competitors:
            assert weights[competitor.need_id] >= one.need.weight or competitor.rule is Rule.FIXED
            assert (competitor.rule is Rule.WEIGHT) <= (weights[competitor.need_id] > one.need.weight)


def test_a_proposal_opens_into_its_numbers() -> None:
    near = replace(OFFER, id=4, holder=4, copies=6)
    far = replace(OFFER, id=5, holder=5, copies=9)
    problem = problem_of(
        [OFFER, near, far, OTHER_BOOK], [NEED, RIVAL, replace(NEED, id=3, textbook=6)], km=ROADS
    )
    trips = trips_of(problem, {(1, 1): 10, (4, 2): 4, (4, 1): 1, (7, 3): 2})
    found = opened(problem, trips, 1, 1)
    assert (found.asked, found.offered, found.proposal.copies, found.from_others) == (15, 12, 10, 1)
    (nearer,) = found.nearer
    assert (nearer.supply.holder, nearer.km, nearer.free) == (4, 5.0, 1)
    assert {(sent.taker, sent.copies) for sent in nearer.sent} == {(2, 1), (3, 4)}
    assert found.further == 1
    assert [(other.textbook, other.copies) for other in found.besides] == [(6, 2)]


# --- Why a need stays open -----------------------------------------------------------------------------


def only_shortage(problem: Problem, shipments: dict[tuple[int, int], int]) -> list[str]:
    (found,) = shortages(problem, trips_of(problem, shipments))
    return [str(clause) for clause in explain(found)]


def test_what_the_holders_keep_is_named_with_its_reason() -> None:
    assert only_shortage(problem_of([], kept=kept_of(OFFER, KeptBack.BUFFER)), {}) == [
        "Никто не отдаёт, хотя у держателей есть 12 экз.",
        "12 экз. – школа держит в резерве",
    ]
    own = kept_of(replace(OFFER, holder=2), KeptBack.BUFFER)
    assert only_shortage(problem_of([], kept=own), {}) == ["Такой книги никто не отдаёт"]


def test_books_of_which_this_year_is_the_last_are_named() -> None:
    last = replace(OFFER, legal_until=problem_of().year_end)
    assert only_shortage(problem_of([last]), {})[0] == ("Отдают 12 экз., но для всех этот год – последний")


@pytest.mark.parametrize(
    ("changes", "limit", "clause"),
    [
        ({"controls": Controls(give_up=0.02)}, Limit.GIVE_UP, "ради поездок можно недодать 2 % охвата"),
        (
            {"controls": Controls(smallest_parcel=20)},
            Limit.SMALLEST_PARCEL,
            "поездка не меньше чем за 20 экз.",
        ),
        ({"most_trips": {1: 3}}, Limit.MOST_TRIPS, "поездок от держателя не больше 3"),
    ],
)
def test_what_is_not_worth_a_trip_is_named_with_the_limit(
    changes: dict[str, object], limit: Limit, clause: str
) -> None:
    problem = problem_of(**changes)
    (found,) = shortages(problem, ())
    assert (found.reason, found.free, [name for name, _ in found.limits]) == (
        Shortage.NOT_WORTH_A_TRIP,
        12,
        [limit],
    )
    assert [str(one) for one in explain(found)][1:] == [clause]


def test_a_taker_who_does_not_mix_and_a_quantity_that_is_set_leave_copies_free() -> None:
    newer = replace(OFFER, id=2, year=2021)
    unmixed = problem_of([OFFER, newer], [replace(NEED, mixing=False)])
    (found,) = shortages(unmixed, trips_of(unmixed, {(1, 1): 12}))
    assert (found.reason, found.free) == (Shortage.ONE_YEAR, 12)
    set_quantity = problem_of(fixed=(Line(1, 1, 3, exact=True),))
    (found,) = shortages(set_quantity, trips_of(set_quantity, {(1, 1): 3}))
    assert (found.reason, found.free) == (Shortage.FIXED, 9)
