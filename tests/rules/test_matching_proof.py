"""The proof of a plan: prices that prove, and a checker that knows nothing of the program."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.matching.rules import (
    SCALE,
    Controls,
    FundUse,
    Goal,
    Line,
    Prices,
    Problem,
    Result,
    as_json,
    bottlenecks,
    coverage_of,
    dump,
    dump_plan,
    fairness_of,
    figures_of,
    ways,
    worth_of,
)
from exchange.matching.solver import QUICK, certify, minimum_cost_flow, proof, solve
from tests.rules.test_matching_solver import (
    NEED,
    OFFER,
    ROOT,
    SHARED,
    brute_force,
    dressed,
    problem_of,
    problems,
    small_problem,
    three_part_problem,
)

sys.path.insert(0, str(ROOT))

from benchmarks import check_plan, matching

modest = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def plain(value: Any) -> Any:
    """Send it through JSON, as a file would."""
    return json.loads(json.dumps(value))


def document(problem: Problem, result: Result) -> dict[str, Any]:
    return plain(dump_plan(result) | {"certificate": as_json(certify(problem, result))})


def wrong(problem: Problem, result: Result) -> list[str]:
    return check_plan.verify(plain(dump(problem)), document(problem, result)).wrong


@modest
@given(problems)
def test_every_plan_and_its_proof_pass_the_checker(problem):
    result = solve(problem, effort=QUICK)
    certificate = certify(problem, result)
    report = check_plan.verify(plain(dump(problem)), document(problem, result))
    assert report.wrong == []
    assert report.bounds == {proof.goal.value: proof.bound for proof in certificate.proofs}
    assert report.counted["covered_weight"] == result.figures.weight
    assert report.counted["fund"] == result.figures.fund_copies
    assert report.counted["trips"] == result.figures.trips
    # Without sets of three parts the linear programme is whole: coverage and fund are proven to the copy.
    if max((sum(copies > 0 for _, copies in need.parts) for need in problem.needs), default=0) < 3:
        assert report.bounds["coverage"] == result.figures.weight
        assert report.bounds["fund"] == result.figures.fund_copies


def test_no_plan_that_brute_force_finds_beats_a_bound():
    exact = 0
    for seed in range(60):
        problem = small_problem(random.Random(seed), most=2)
        certificate = certify(problem, solve(problem, effort=QUICK))
        weight, fund, trips = brute_force(problem)
        bounds = {goal: certificate.proof(goal).bound for goal in Goal}
        assert bounds[Goal.COVERAGE] >= weight, seed
        assert bounds[Goal.FUND] <= fund, seed
        assert bounds[Goal.TRIPS] <= trips, seed
        exact += bounds[Goal.TRIPS] == trips
    assert exact > 40


@modest
@given(problems, st.integers(0, 10**9), st.booleans())
def test_any_prices_give_a_true_bound_and_both_readers_work_out_the_same(problem, seed, by_road):
    problem = replace(problem, controls=Controls(by_road=by_road))
    result = solve(problem, effort=QUICK)
    figures = result.figures
    dice = random.Random(seed)
    needs = {
        (need.id, part): dice.randint(-SCALE, 3 * SCALE)
        for need in problem.needs
        for part, _ in need.parts
        if dice.random() < 0.8
    }
    links = {
        (way.supply.id, way.need.id): dice.randint(0, SCALE // 4)
        for way in ways(problem)
        if dice.random() < 0.8
    }
    per_set, per_copy = dice.randint(0, 2 * SCALE), dice.randint(0, SCALE)
    market = check_plan.market_of_dump(plain(dump(problem)))
    roads = sum(round(10 * (trip.km or 0)) for trip in result.trips)
    for goal, weight, fund, prices, reached in (
        (Goal.COVERAGE, 0, None, Prices(SCALE, 0, needs, {}), figures.weight),
        (Goal.FUND, figures.weight, None, Prices(per_set, 0, needs, {}), figures.fund_copies),
        (
            Goal.TRIPS,
            figures.weight,
            figures.fund_copies,
            Prices(per_set, per_copy, needs, links),
            roads if by_road else figures.trips,
        ),
    ):
        bound = worth_of(problem, goal, weight, fund, prices)
        assert bound >= reached if goal is Goal.COVERAGE else bound <= reached
        assert bound == check_plan.bound_of(
            market,
            {
                "goal": goal.value,
                "weight": weight,
                "fund": fund,
                "per_set": prices.per_set,
                "per_fund_copy": prices.fund,
                "needs": [[*key, price] for key, price in prices.needs.items()],
                "links": [[*key, price] for key, price in prices.links.items()],
            },
            SCALE,
        )


def test_sets_of_three_parts_are_bounded_though_not_to_the_copy():
    for seed in range(20):
        problem = three_part_problem(random.Random(seed))
        assert wrong(problem, solve(problem)) == [], seed


def test_the_plain_flow_covers_as_much_and_can_stand():
    for seed in range(30):
        problem = small_problem(random.Random(seed))
        best = solve(problem, effort=QUICK)
        trips = minimum_cost_flow(problem)
        report = check_plan.verify(plain(dump(problem)), plain(dump_plan(replace(best, trips=trips))))
        assert report.counted["covered_weight"] == best.figures.weight
        assert report.counted["fund"] == best.figures.fund_copies
        assert report.counted["trips"] >= best.figures.trips


def test_prices_that_were_climbed_prove_too(monkeypatch):
    instance = matching.small_district(1, schools=8, works=40)
    problem = matching.read(instance)
    result = solve(problem, effort=replace(QUICK, rounds=2))
    solved = certify(problem, result)
    monkeypatch.setattr(proof, "MOST_LINES", 60)
    climbed = certify(problem, result)
    for goal in (Goal.COVERAGE, Goal.FUND):
        assert climbed.proof(goal).bound == solved.proof(goal).bound
    best, found = solved.proof(Goal.TRIPS).bound, climbed.proof(Goal.TRIPS).bound
    assert 0.9 * best <= found <= best
    assert wrong(problem, result) == []


@modest
@given(problems)
def test_climbed_prices_are_never_false(problem):
    result = solve(problem, effort=QUICK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "MOST_LINES", 3)
        assert wrong(problem, result) == []


def test_what_was_given_up_is_taken_into_account():
    problem = replace(SMALL, controls=Controls(give_up=0.4))
    best = solve(SMALL)
    fewer = tuple(trip for trip in best.trips if trip.giver != 1 or trip.taker != 8)
    result = replace(
        best, trips=fewer, figures=figures_of(problem, fewer), covered=coverage_of(problem, fewer)
    )
    certificate = certify(problem, result)
    trips = certificate.proof(Goal.TRIPS)
    assert trips.weight <= result.figures.weight
    assert trips.bound <= result.figures.trips
    assert wrong(problem, result) == []


@pytest.mark.parametrize("fund", list(FundUse))
@pytest.mark.parametrize("by_road", [False, True])
def test_other_uses_of_the_fund_and_roads_are_proven_too(fund, by_road):
    problem = replace(SMALL, controls=Controls(fund=fund, by_road=by_road))
    result = solve(problem)
    report = check_plan.verify(plain(dump(problem)), document(problem, result))
    if fund is FundUse.NEVER and result.figures.fund_copies:
        assert report.wrong
    else:
        assert report.wrong == []
        assert report.bounds["trips"] > 0


# --- A plan worth checking ------------------------------------------------------------------------

SUPPLIES = (
    replace(OFFER, id=1, holder=1, part=1, copies=6),
    replace(OFFER, id=2, holder=1, part=2, copies=4),
    replace(OFFER, id=3, holder=2, part=2, copies=9, edition=2),
    replace(OFFER, id=4, holder=3, textbook=2, copies=5, is_fund=True),
    replace(OFFER, id=5, holder=9, textbook=2, copies=5),
)
NEEDS = (
    replace(NEED, id=1, taker=9, parts=((1, 10), (2, 10)), weight=2),
    replace(NEED, id=2, taker=8, parts=((1, 3), (2, 3))),
    replace(NEED, id=3, taker=9, textbook=2, parts=((0, 4),)),
)
KM = {(giver, taker): float(giver + taker) for giver in (1, 2, 3) for taker in (8, 9)}
SMALL = problem_of(SUPPLIES, NEEDS, KM)


def test_the_plain_flow_heeds_no_limit_on_trips():
    for seed in range(40):
        problem = small_problem(random.Random(seed), holders=6, offers=20, requests=15, most=5)
        caps = {supply.holder: 1 for supply in problem.supplies}
        limited = replace(problem, most_trips=caps, controls=Controls(smallest_parcel=3))
        assert minimum_cost_flow(limited) == minimum_cost_flow(problem), seed


def test_the_bottleneck_is_named_with_its_numbers():
    result = solve(SMALL)
    certificate = certify(SMALL, result)
    (found,) = certificate.bottlenecks
    assert (found.textbook, found.part, found.offered, found.needed, found.covered) == (1, 1, 6, 13, 6)
    assert 0 < found.price <= 2
    more = replace(SMALL, supplies=(replace(SUPPLIES[0], copies=7), *SUPPLIES[1:]))
    gain = solve(more).figures.weight - result.figures.weight
    assert gain <= found.price
    plenty = replace(SMALL, supplies=(replace(SUPPLIES[0], copies=13), *SUPPLIES[1:]))
    enough = solve(plenty)
    assert bottlenecks(plenty, enough.trips, certify(plenty, enough).proof(Goal.COVERAGE).prices) == ()


def test_an_offer_that_nothing_is_taken_from_does_not_stand_in_the_way():
    """Its row has a dual value at nothing taken, not at everything."""
    offers = ((0, 1, 1, 2), (3, 1, 2, 2), (0, 1, 3, 2), (0, 2, 1, 3), (1, 2, 1, 1), (0, 2, 2, 2))
    supplies = [
        replace(OFFER, id=10 + n, holder=holder, textbook=textbook, part=part, copies=copies, edition=n)
        for n, (holder, textbook, part, copies) in enumerate(offers)
    ]
    supplies = [replace(one, is_fund=one.holder == 0) for one in supplies]
    both = ((1, 2), (2, 3))
    needs = [
        replace(NEED, id=1, taker=2, textbook=1, parts=((1, 1), (2, 2), (3, 2)), weight=2),
        replace(NEED, id=2, taker=2, textbook=2, parts=both, weight=2),
        replace(NEED, id=3, taker=3, textbook=2, parts=both, weight=2),
    ]
    problem = problem_of(supplies, needs, {})
    assert wrong(problem, solve(problem, effort=QUICK)) == []


def test_what_nobody_offers_is_a_bottleneck():
    problem = problem_of([], [NEED], {})
    (found,) = certify(problem, solve(problem)).bottlenecks
    assert (found.offered, found.needed, found.covered) == (0, 10, 0)
    assert found.price >= 1


Change = Callable[[dict[str, Any], dict[str, Any]], None]


def proof_of(plan: dict[str, Any], goal: str) -> dict[str, Any]:
    return next(proof for proof in plan["certificate"]["proofs"] if proof["goal"] == goal)


def line_of(plan: dict[str, Any], supply: int) -> list[Any]:
    return next(line for shipment in plan["shipments"] for line in shipment["lines"] if line[0] == supply)


def half_a_copy(_problem, plan):
    line_of(plan, 1)[2] = 5.5


def one_copy_more(_problem, plan):
    line_of(plan, 1)[2] += 1


def one_copy_less(_problem, plan):
    line_of(plan, 1)[2] -= 1


def an_offer_that_shrank(problem, _plan):
    problem["supplies"][0]["copies"] -= 1


def a_giver_excluded(problem, _plan):
    problem["needs"][0]["forbidden"] = [1]


def another_edition_wanted(problem, _plan):
    problem["needs"][0]["editions"] = [77]


def too_far(problem, _plan):
    problem["max_km"] = 1.0


def the_fund_keeps(problem, _plan):
    problem["controls"]["fund"] = "never"


def out_of_date(problem, _plan):
    problem["supplies"][0]["legal_until"] = problem["year_end"]


def a_parcel_too_small(problem, _plan):
    problem["controls"]["smallest_parcel"] = 50


def too_many_trips(problem, _plan):
    problem["most_trips"] = [[1, 0]]


def a_trip_left_out(_problem, plan):
    plan["shipments"].pop()


def a_trip_from_elsewhere(_problem, plan):
    plan["shipments"][0]["from"] = 5


def a_trip_twice(_problem, plan):
    first = plan["shipments"][0]
    plan["shipments"].append(deepcopy(first))
    for line in first["lines"]:
        line[2] //= 2


def trips_miscounted(_problem, plan):
    plan["trips"] -= 1


def road_miscounted(_problem, plan):
    plan["km"] -= 1


def coverage_boasted(_problem, plan):
    proof_of(plan, "coverage")["reached"] += 1


def a_bound_tighter_than_the_prices(_problem, plan):
    proof_of(plan, "trips")["bound"] += 1


def a_bound_below_the_plan(_problem, plan):
    plan["bound"] = {"covered_weight": 1, "trips": 1}


def a_claim_beyond_the_plan(_problem, plan):
    plan["certificate"]["claimed_trips"] = plan["trips"] + 1


def a_scale_below_nothing(_problem, plan):
    plan["certificate"]["scale"] *= -1
    plan["certificate"]["proofs"] = [proof_of(plan, "fund")]


def no_need_left(problem, plan):
    gone = plan["shipments"][0]["lines"][0][1]
    problem["needs"] = [need for need in problem["needs"] if need["id"] != gone]


def prices_below_nothing(_problem, plan):
    proof_of(plan, "trips")["links"][0][2] = -5


def prices_lowered(_problem, plan):
    for row in proof_of(plan, "coverage")["needs"]:
        row[2] //= 2


def a_proof_for_more_coverage(_problem, plan):
    proof_of(plan, "trips")["weight"] += 5


def a_proof_for_less_of_the_fund(_problem, plan):
    proof_of(plan, "trips")["fund"] -= 1


def a_fraction_for_a_price(_problem, plan):
    proof_of(plan, "fund")["per_set"] += 0.5


CHANGES = (
    half_a_copy, one_copy_more, one_copy_less, an_offer_that_shrank, a_giver_excluded,
    another_edition_wanted, too_far, the_fund_keeps, out_of_date, a_parcel_too_small, too_many_trips,
    a_trip_left_out, a_trip_from_elsewhere, a_trip_twice, trips_miscounted, road_miscounted,
    coverage_boasted, a_bound_tighter_than_the_prices, a_bound_below_the_plan, prices_below_nothing,
    prices_lowered, a_proof_for_more_coverage, a_proof_for_less_of_the_fund, a_fraction_for_a_price,
    a_claim_beyond_the_plan, a_scale_below_nothing, no_need_left,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_checker_finds(change: Change, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    problem, plan = plain(dump(SMALL)), document(SMALL, solve(SMALL))
    names = [str(tmp_path / "problem.json"), str(tmp_path / "plan.json")]

    def run() -> tuple[int, str]:
        for name, content in zip(names, (problem, plan), strict=True):
            Path(name).write_text(json.dumps(content), encoding="utf-8")
        return check_plan.main(names), capsys.readouterr().out

    code, said = run()
    assert code == 0
    assert "WRONG" not in said
    change(problem, plan)
    code, said = run()
    assert code == 1
    assert "WRONG" in said


FAIR = problem_of(
    [replace(OFFER, copies=10), replace(OFFER, id=2, holder=2, textbook=2, copies=3)],
    [
        replace(NEED, id=1, taker=8),
        replace(NEED, id=2, taker=9, parts=((0, 10),)),
        replace(NEED, id=3, taker=9, textbook=2, parts=((0, 10),)),
    ],
    KM,
    controls=Controls(fairness=0.1),
)


def one_school_gets_too_much(_problem, plan):
    """Move copies from the school that is promised so many to the other, which has room for them."""
    carried = {line[1]: line for shipment in plan["shipments"] for line in shipment["lines"]}
    carried[1][2] -= 3
    carried[2][2] += 3


def and_the_promise_is_lowered(problem, plan):
    one_school_gets_too_much(problem, plan)
    plan["certificate"]["floors"] = []
    plan["worst_served"] = 0.2


def a_promise_beyond_the_plan(_problem, plan):
    plan["certificate"]["floors"][0][1] += 3


def a_promise_to_nobody(_problem, plan):
    plan["certificate"]["floors"].append([77, 1])


def half_a_set_promised(_problem, plan):
    plan["certificate"]["floors"][0][1] -= 0.5


def the_worst_served_miscounted(_problem, plan):
    plan["worst_served"] += 0.1


def the_fairest_too_low(_problem, plan):
    plan["certificate"]["claimed_fairest"] = 0.1


def the_fairest_beyond_all(_problem, plan):
    plan["certificate"]["claimed_fairest"] = 1.5


def a_school_that_needs_less(problem, _plan):
    problem["needs"][2]["parts"] = [[0, 2]]


def fairness_nobody_asked_for(problem, _plan):
    problem["controls"]["fairness"] = None


FAIR_CHANGES = (
    one_school_gets_too_much, and_the_promise_is_lowered, a_promise_beyond_the_plan, a_promise_to_nobody,
    half_a_set_promised, the_worst_served_miscounted, the_fairest_too_low, the_fairest_beyond_all,
    a_school_that_needs_less, fairness_nobody_asked_for,
)  # fmt: skip


@pytest.mark.parametrize("change", FAIR_CHANGES, ids=lambda change: change.__name__)
def test_the_checker_holds_a_plan_to_its_fairness(change: Change):
    result = solve(FAIR)
    problem, plan = plain(dump(FAIR)), document(FAIR, result)
    report = check_plan.verify(problem, plan)
    assert report.wrong == []
    assert report.schools == fairness_of(FAIR, result.trips)
    assert report.counted["worst_served"] == result.figures.worst_served
    change(problem, plan)
    assert check_plan.verify(problem, plan).wrong


def test_the_checker_counts_by_itself_what_a_school_could_be_served():
    for seed in range(150):
        dice = random.Random(seed)
        problem = small_problem(dice, holders=5, offers=12, requests=9, most=4)
        problem = dressed(problem, dice, {"fairness", "mixing", "exact", "preferred"})
        result = solve(problem, effort=QUICK)
        report = check_plan.verify(plain(dump(problem)), document(problem, result))
        assert report.wrong == [], seed
        assert report.schools == fairness_of(problem, result.trips), seed


def test_exact_and_fixed_lines_are_held_to():
    fixed = (Line(2, 1, 4), Line(3, 2, 1))
    problem = replace(SMALL, fixed=fixed)
    assert wrong(problem, solve(problem)) == []
    other = check_plan.verify(plain(dump(problem)), plain(dump_plan(solve(SMALL)))).wrong
    assert any("fixed line" in fault for fault in other) or any("complete" in fault for fault in other)


def test_the_checker_shares_no_code_with_the_program():
    text = Path(check_plan.__file__).read_text(encoding="utf-8")
    imported = {
        line.split()[1].partition(".")[0]
        for line in text.splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported <= set(sys.stdlib_module_names)


# --- Instances ------------------------------------------------------------------------------------


def instance_plan(instance: dict[str, Any]) -> dict[str, Any]:
    problem = matching.read(instance)
    result = solve(problem, effort=replace(QUICK, rounds=2))
    certificate = certify(problem, result)
    return plain(
        matching.as_plan(instance, result.trips)
        | matching.claims(instance, problem, result, certificate, 0.0)
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_a_plan_of_an_instance_passes_and_a_wrong_one_does_not(seed):
    instance = matching.small_district(seed, schools=8, works=40)
    plan = instance_plan(instance)
    report = check_plan.verify(instance, plan)
    assert report.wrong == []
    assert report.bounds["coverage"] == plan["covered_weight"]
    assert report.bounds["fund"] == plan["fund"]
    assert 0 < report.bounds["trips"] <= plan["trips"]
    line = plan["shipments"][0]["lines"][0]
    line[2] += 1000
    assert check_plan.verify(instance, plan).wrong


def test_a_region_keeps_to_its_distance():
    instance = matching.small_district(3, schools=8, works=40)
    del instance["km"]
    instance |= {"max_km": 300, "km_rule": "round(1.35*euclid_km*10), min 3"}
    plan = instance_plan(instance)
    assert check_plan.verify(instance, plan).wrong == []
    assert check_plan.verify(instance | {"max_km": 3}, plan).wrong
    fund = [shipment for shipment in plan["shipments"] if shipment["from"] == 8]
    assert fund
    moved = deepcopy(instance)
    for school in moved["schools"]:
        school["x"] += 5 * (school["id"] % 3)
    assert any("km" in fault for fault in check_plan.verify(moved, plan).wrong)


@pytest.mark.parametrize(
    ("name", "weight", "fund", "trips", "best"),
    [("district-15x300-s3", 2170, 84, 98, 108), ("district-25x400-s1", 4745, 165, 200, 227)],
)
def test_the_shared_districts_are_proven_as_far_as_they_are_known(name, weight, fund, trips, best):
    path = SHARED / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{path} is not there: the shared instances live beside the repository")
    instance = json.loads(path.read_text(encoding="utf-8"))
    report = check_plan.verify(instance, instance_plan(instance))
    assert report.wrong == []
    assert (report.bounds["coverage"], report.bounds["fund"]) == (weight, fund)
    assert trips <= report.bounds["trips"] <= best


def test_the_chart_shows_every_method():
    instance = matching.small_district(1, schools=6, works=20)
    problem = matching.read(instance)
    result = solve(problem, effort=QUICK)
    rows = [
        matching.Row(instance["name"], method, result.figures, 1.0, 1.0, trips_bound=3.0)
        for method in matching.COLOURS
    ]
    drawn = matching.chart(rows)
    assert drawn.startswith("<svg ")
    assert drawn.count(f">{result.figures.trips}</text>") == len(matching.COLOURS)
