"""Why a plan is as it is: what would cover more, a proposal's reasons, a school's needs."""

from __future__ import annotations

import pytest

from exchange.clock import FrozenClock
from exchange.matching.models import Plan
from tests.conftest import SignIn
from tests.factories import World
from tests.plans_world import Town

HTMX = {"HX-Request": "true"}


@pytest.fixture
def town(world: World, clock: FrozenClock) -> Town:
    return Town(world, clock)


@pytest.fixture
def plan(town: Town) -> Plan:
    physics = town.book("Физика")
    town.offer(town.edition(physics, year=2022), 5)
    town.offer(town.edition(physics, year=2016), 4)
    town.need(physics, 12, year_from=2020)
    return town.plan()


def test_what_would_cover_more_stands_beside_each_need(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    said = "с изданием 2016 года и новее – ещё 4"
    assert said in client.get(f"/plans/{plan.id}").text
    assert said in client.get(f"/plans/{plan.id}?show=uncovered").text
    assert said in client.get(f"/plans/{plan.id}?show=uncovered&format=csv").get_data().decode("utf-8-sig")
