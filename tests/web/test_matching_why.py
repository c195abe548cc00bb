"""Why a plan is as it is: what would cover more, a proposal's reasons, a school's needs."""

from __future__ import annotations

import pytest

from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
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


def test_a_proposal_opens_into_its_reasons(town: Town, plan: Plan, world: World, sign_in: SignIn) -> None:
    (line,) = plan.lines
    client = sign_in(world.methodist)
    address = f"/plans/{plan.id}/lines/{line.id}"
    assert address in client.get(f"/plans/{plan.id}").text
    whole = client.get(address)
    assert "Просят 12 экз., здесь отдают 5, в плане 5." in whole.text
    assert "Ближе подходящей книги нет." in whole.text
    assert "закрыл бы на 5 комплектов меньше" in whole.text
    fragment = client.get(address, headers=HTMX).text
    assert f'id="reasons-{line.id}"' in fragment
    assert "<h1" not in fragment
    assert client.get(f"/plans/{plan.id + 1}/lines/{line.id}").status_code == 404
    town.mark(line, "remove")
    assert "строку убрали из плана" in client.get(address).text


def test_a_plan_of_former_days_says_that_it_kept_no_reasons(
    town: Town, plan: Plan, world: World, sign_in: SignIn
) -> None:
    line_id = plan.lines[0].id
    with unit_of_work():
        db.session.get_one(Plan, plan.id).problem = None
    client = sign_in(world.methodist)
    said = "план сделан раньше, чем их стали хранить"
    assert said in client.get(f"/plans/{plan.id}/lines/{line_id}").text
    assert said in client.get(f"/plans/{plan.id}/schools/{world.recipient_school.id}/why").text


def test_a_school_reads_why_not_after_publication_and_only_of_itself(
    town: Town, world: World, sign_in: SignIn
) -> None:
    physics = town.book("Физика")
    town.surplus(physics, 5)
    town.need(physics, 5)
    town.need(physics, 4, school=world.stranger_school)
    plan = town.plan()
    lines = {line.taker_id: line.id for line in plan.lines}
    own = f"/plans/{plan.id}/schools/{world.recipient_school.id}/why"
    rival = f"/plans/{plan.id}/schools/{world.stranger_school.id}/why"
    for address in (own, rival):
        assert sign_in(world.methodist).get(address).status_code == 200
        assert sign_in(world.recipient).get(address).status_code == 404
    assert "почему не всё" not in sign_in(world.recipient).get("/").text
    town.publish(plan)
    text = sign_in(world.recipient).get(own).text
    assert "Физика" in text
    assert own in sign_in(world.recipient).get("/").text
    assert sign_in(world.recipient).get(rival).status_code == 404
    assert sign_in(world.stranger).get(own).status_code == 404
    assert sign_in(world.outsider).get(own).status_code == 404
    told = text + sign_in(world.stranger).get(rival).text
    assert f"получает «{world.recipient_school.short_name}»" in told
    for taker_id, line_id in lines.items():
        address = f"/plans/{plan.id}/lines/{line_id}"
        assert sign_in(world.donor).get(address).status_code == 200
        person, other = (
            (world.recipient, world.stranger)
            if taker_id == world.recipient_school.id
            else (world.stranger, world.recipient)
        )
        assert sign_in(person).get(address).status_code == 200
        assert sign_in(other).get(address).status_code == 404
