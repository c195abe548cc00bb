"""The route sheet: three ways, settings that are checked, files, and what has left already."""

from __future__ import annotations

import csv
import io
import re

import pytest
import sqlalchemy as sa

from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.matching.models import Plan
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer
from tests.conftest import SignIn
from tests.counting import count_queries
from tests.factories import World
from tests.plans_world import Town


@pytest.fixture
def town(world: World, clock: FrozenClock) -> Town:
    return Town(world, clock)


@pytest.fixture
def plan(town: Town) -> Plan:
    """30 copies to the recipient, 9 back, 5 to the third school, 4 of the fund to the third school."""
    world = town.world
    physics, chemistry, music, art = (town.book(title) for title in ("Физика", "Химия", "Музыка", "ИЗО"))
    town.surplus(physics, 30)
    town.need(physics, 30)
    town.surplus(chemistry, 9, school=world.recipient_school)
    town.need(chemistry, 9, school=world.donor_school)
    town.surplus(music, 5)
    town.need(music, 5, school=world.stranger_school)
    town.fund(town.edition(art), 4)
    town.need(art, 4, school=world.stranger_school)
    return town.plan()


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("﻿")), delimiter=";"))[1:]


def figures(plan: Plan, world: World, sign_in: SignIn, **query: object) -> list[tuple[str, ...]]:
    """Return from, to, km, copies, boxes and kg of every leg."""
    answer = sign_in(world.methodist).get(f"/plans/{plan.id}/routes", query_string={**query, "format": "csv"})
    assert answer.status_code == 200, answer.text
    return [(row[1], row[3], *row[5:]) for row in rows_of(answer.data.decode())]


def test_by_itself_the_page_shows_a_day_at_the_office(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    page = client.get(f"/plans/{plan.id}/routes")
    assert page.status_code == 200
    assert re.search(r'value="hub"[^>]*checked|checked[^>]*value="hub"', page.text)
    for text in ("погрузить для: Берущая СОШ – 30 экз., коробок: 2", "выгрузить от: Дающая СОШ – 30 экз."):
        assert text in page.text
    assert f'href="/plans/{plan.id}/routes"' in client.get(f"/plans/{plan.id}").text


def test_at_the_office_every_school_drives_once(plan: Plan, world: World, sign_in: SignIn) -> None:
    assert figures(plan, world, sign_in, way="hub") == [
        ("Дающая СОШ", "Районный центр", "10,0", "35", "3", "14,0"),
        ("Районный центр", "Дающая СОШ", "10,0", "9", "1", "3,6"),
        ("Берущая СОШ", "Районный центр", "25,0", "9", "1", "3,6"),
        ("Районный центр", "Берущая СОШ", "25,0", "30", "2", "12,0"),
        ("Третья СОШ", "Районный центр", "40,0", "0", "0", "0,0"),
        ("Районный центр", "Третья СОШ", "40,0", "9", "2", "3,6"),
    ]


def test_directly_who_swaps_takes_home_what_it_gets(plan: Plan, world: World, sign_in: SignIn) -> None:
    found = figures(plan, world, sign_in, way="direct")
    assert [(start, end, copies) for start, end, _km, copies, *_ in found] == [
        ("Районный центр", "Третья СОШ", "4"),
        ("Третья СОШ", "Районный центр", "0"),
        ("Дающая СОШ", "Берущая СОШ", "30"),
        ("Берущая СОШ", "Дающая СОШ", "9"),
        ("Дающая СОШ", "Третья СОШ", "5"),
        ("Третья СОШ", "Дающая СОШ", "0"),
    ]


def test_a_bus_keeps_its_limits(plan: Plan, world: World, sign_in: SignIn) -> None:
    found = figures(plan, world, sign_in, way="bus", most_boxes=1, most_km=150)
    assert max(int(boxes) for *_rest, boxes, _kg in found) == 1
    page = sign_in(world.methodist).get(f"/plans/{plan.id}/routes?way=bus&most_km=60")
    assert "Дальше, чем разрешено рейсу" in page.text
    assert "Дающая СОШ → Третья СОШ: 5 экз." in page.text


def test_the_assumptions_can_be_changed(plan: Plan, world: World, sign_in: SignIn) -> None:
    found = figures(plan, world, sign_in, way="hub", copies_per_box="10", kg_per_copy="0,5")
    assert found[0][3:] == ("35", "4", "17,5")
    page = sign_in(world.methodist).get(f"/plans/{plan.id}/routes?kg_per_copy=0,5")
    assert 'value="0,5"' in page.text
    # What the address leaves out is as usual.
    assert 'value="20"' in page.text


def test_all_can_meet_at_a_school(plan: Plan, world: World, sign_in: SignIn) -> None:
    found = figures(plan, world, sign_in, way="hub", place=world.donor_school.id)
    assert {end for _start, end, *_ in found if _start != "Дающая СОШ"} == {"Дающая СОШ"}
    assert not any(start == end for start, end, *_ in found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("way", "plane"),
        ("place", "987654"),
        ("place", "x"),
        ("copies_per_box", "0"),
        ("copies_per_box", "много"),
        ("kg_per_copy", "тяжело"),
        ("kg_per_copy", "9"),
        ("most_km", "0"),
        ("most_boxes", ""),
    ],
)
def test_odd_settings_are_refused_at_their_field(
    plan: Plan, world: World, sign_in: SignIn, name: str, value: str
) -> None:
    page = sign_in(world.methodist).get(f"/plans/{plan.id}/routes", query_string={name: value})
    assert page.status_code == 422
    assert 'class="error-summary"' in page.text
    if name not in {"way", "place"}:
        assert f'value="{value}"' in page.text


def test_a_published_plan_leaves_out_what_has_left(plan: Plan, town: Town, sign_in: SignIn) -> None:
    world = town.world
    town.publish(plan)
    transfer = db.session.scalars(
        sa.select(Transfer).where(
            Transfer.giver_id == world.donor_school.id, Transfer.taker_id == world.recipient_school.id
        )
    ).one()
    with unit_of_work():
        line = transfer.lines[0]
        transfers.agree(transfer.id, {line.id: 12}, by=world.donor_director, clock=town.clock)
    agreed = [(row[0], row[1], row[3]) for row in figures(plan, world, sign_in, way="direct")]
    assert ("Дающая СОШ", "Берущая СОШ", "12") in agreed
    with unit_of_work():
        transfers.accept(transfer.id, by=world.recipient_director, clock=town.clock)
        transfers.approve(transfer.id, by=world.methodist, clock=town.clock)
        transfers.pack(transfer.id, by=world.donor, clock=town.clock)
        transfers.ship(transfer.id, by=world.donor, clock=town.clock)
    left = [(row[0], row[1], row[3]) for row in figures(plan, world, sign_in, way="direct")]
    assert ("Берущая СОШ", "Дающая СОШ", "9") in left
    assert ("Дающая СОШ", "Берущая СОШ", "0") in left


def test_without_trips_there_is_nothing_to_carry(town: Town, sign_in: SignIn) -> None:
    plan = town.plan()
    assert "Везти нечего" in sign_in(town.world.methodist).get(f"/plans/{plan.id}/routes").text


def test_a_few_queries_do(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    client.get(f"/plans/{plan.id}/routes")
    with count_queries() as queries:
        client.get(f"/plans/{plan.id}/routes")
    assert len(queries) <= 12


def test_the_sheet_is_the_methodists(plan: Plan, world: World, sign_in: SignIn) -> None:
    assert sign_in(world.donor).get(f"/plans/{plan.id}/routes").status_code == 403
    assert sign_in(world.outsider).get(f"/plans/{plan.id}/routes").status_code == 404
