"""Why a plan is as it is, kept with it: what it was made from, and what would cover more."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.clock import FrozenClock
from exchange.matching import rules
from exchange.matching.services import snapshots
from tests.factories import World
from tests.plans_world import Town
from tests.rules.test_matching_counterfactuals import obstructed_problem


@pytest.fixture
def town(world: World, clock: FrozenClock) -> Town:
    return Town(world, clock)


@given(st.integers(0, 10**9))
@settings(max_examples=50, deadline=None)
def test_a_problem_comes_back_as_it_was_packed(seed: int) -> None:
    problem = obstructed_problem(seed)
    assert snapshots.unpacked(snapshots.packed(problem)) == problem


def test_a_plan_keeps_what_it_was_made_from(town: Town) -> None:
    physics = town.book("Физика")
    town.surplus(physics, 5)
    town.need(physics, 8)
    gathered = town.gather()
    plan = town.plan()
    assert plan.problem is not None
    assert snapshots.unpacked(plan.problem) == gathered.problem


def test_a_plan_keeps_what_would_cover_more(town: Town) -> None:
    physics = town.book("Физика")
    town.offer(town.edition(physics, year=2016), 5)
    request_id = town.need(physics, 8, year_from=2020).id
    (item,) = town.plan().uncovered
    (change,) = (rules.change_from_json(request_id, stored) for stored in item["changes"])
    assert change.change.steps == (rules.Step(rules.StepKind.YEAR, number=2016),)
    assert (change.more, change.own) == (5, 5)
