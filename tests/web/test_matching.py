"""The pages of the matching: for whom, as page and as fragment, at the wrong moment, twice, as a file."""

from __future__ import annotations

import csv
import gzip
import io
import re
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks import check_plan
from exchange import runs
from exchange.clock import FrozenClock
from exchange.db import db, in_unit, unit_of_work
from exchange.matching import services, solver
from exchange.matching.models import Plan, PlanState
from exchange.matching.views.plans import LINES_ON_PAGE, SHORTAGES_BESIDE
from exchange.postings import services as postings
from exchange.runs import LEASE, Run
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer
from exchange.transfers.rules import DeclineReason, Kind
from tests.conftest import SignIn
from tests.counting import count_queries
from tests.factories import World
from tests.plans_world import Town

HTMX = {"HX-Request": "true"}


@pytest.fixture
def town(world: World, clock: FrozenClock) -> Town:
    return Town(world, clock)


@pytest.fixture
def plan(town: Town) -> Plan:
    """Physics from the neighbour; of mathematics part 2 nobody has anything."""
    physics, maths = town.book("Физика"), town.book("Математика", parts=2)
    town.surplus(physics, 5)
    town.offer(town.edition(maths, part=1), 3)
    town.need(physics, 5)
    town.need(maths, {1: 3, 2: 3})
    return town.plan()


def version_of(text: str) -> str:
    found = re.search(r'name="_version" value="(\d+)"', text)
    assert found
    return found[1]


def test_without_plans_the_page_says_what_to_do(world: World, sign_in: SignIn) -> None:
    answer = sign_in(world.methodist).get("/plans")
    assert answer.status_code == 200
    assert "Планов ещё нет" in answer.text


def test_a_click_makes_a_plan(town: Town, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    answer = client.post("/plans")
    assert answer.status_code == 303
    assert re.fullmatch(r"/plans/runs/\d+", answer.location)
    # The executor of the tests has done it already.
    answer = client.get(answer.location)
    assert answer.status_code == 303
    assert re.fullmatch(r"/plans/\d+", answer.location)
    page = client.get(answer.location)
    assert "черновик, видите только вы" in page.text
    assert "Открытых заявок нет." in page.text
    assert "План № " in client.get("/plans").text


def test_a_click_with_htmx_leads_there_too(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    answer = client.post("/plans", headers=HTMX)
    assert (answer.status_code, answer.headers["HX-Redirect"][:12]) == (204, "/plans/runs/")
    answer = client.get(answer.headers["HX-Redirect"], headers=HTMX)
    assert (answer.status_code, answer.headers["HX-Redirect"][:7]) == (204, "/plans/")


def test_a_second_click_watches_the_first_run(town: Town, world: World, sign_in: SignIn) -> None:
    run_id = town.order()
    client = sign_in(world.methodist)
    assert f'href="/plans/runs/{run_id}"' in client.get("/plans").text
    progress = client.get(f"/plans/runs/{run_id}", headers=HTMX)
    assert progress.status_code == 200
    assert 'hx-trigger="every 2s"' in progress.text
    assert "<html" not in progress.text
    assert client.post("/plans").location == f"/plans/runs/{run_id}"


def test_a_failed_run_says_so_and_stops_being_asked(
    town: Town, world: World, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_how: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(solver, "solve", fail)
    client = sign_in(world.methodist)
    address = client.post("/plans").location
    page, fragment = client.get(address), client.get(address, headers=HTMX)
    assert (page.status_code, fragment.status_code) == (200, 286)
    for answer in (page, fragment):
        assert runs.BROKEN in answer.text
        assert "every 2s" not in answer.text
        assert "Подобрать ещё раз" in answer.text


def test_a_run_whose_server_died_is_given_up(
    town: Town, world: World, clock: FrozenClock, sign_in: SignIn
) -> None:
    run_id = town.order()
    clock.advance(minutes=LEASE / timedelta(minutes=1) + 1)
    client = sign_in(world.methodist)
    assert client.get(f"/plans/runs/{run_id}", headers=HTMX).status_code == 286
    assert f"/plans/runs/{run_id}" not in client.get("/plans").text
    assert client.post("/plans").location != f"/plans/runs/{run_id}"


def test_a_draft_shows_trips_reasons_and_what_is_missing(plan: Plan, world: World, sign_in: SignIn) -> None:
    text = sign_in(world.methodist).get(f"/plans/{plan.id}").text
    assert "Дающая СОШ → Берущая СОШ" in text
    assert "35 км, 5 экз." in text
    assert "Единственная школа с подходящей книгой: 5 из 5 экз., 35 км" in text
    assert "Дело за частью 2. Такой книги никто не отдаёт." in text
    assert "закрыто комплектов: 5 из 8" in text
    assert "Больше закрыть нельзя: доказано." in text
    assert "Меньше поездок при этом охвате не бывает: доказано." in text
    assert text.count("<svg") == 3
    for button in ("Опубликовать: предложить школам", "Закрепить", "Убрать", "Отбросить план"):
        assert button in text


def test_an_unproven_plan_offers_to_look_longer(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    assert "Искать дольше" not in client.get(f"/plans/{plan.id}").text
    with unit_of_work():
        stored = db.session.get_one(Plan, plan.id)
        figures = dict(stored.figures)
        stored.figures = figures | {"trips_bound": 0.4, "optimal": figures["optimal"] | {"trips": False}}
    text = client.get(f"/plans/{plan.id}").text
    assert "Доказано, что меньше 1 не бывает" in text
    assert "Искать дольше" in text
    client.post("/plans", data={"thorough": "1"})
    assert db.session.scalar(sa.select(Plan.figures).order_by(Plan.id.desc()))["thorough"] is True


def test_marks_answer_with_the_plan(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    line_id = plan.lines[0].id
    answer = client.post(f"/plans/lines/{line_id}/lock", headers=HTMX)
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert answer.text.lstrip().startswith("<tbody"), "a browser drops rows that come after other things"
    assert '<div id="plan-head" hx-swap-oob="true">' in answer.text
    assert f'id="line-{line_id}"' in answer.text
    assert "Что осталось непокрытым" not in answer.text, "only what a mark can change"
    assert "закреплено" in answer.text
    assert "Подобрать заново с учётом правок" in answer.text
    answer = client.post(f"/plans/lines/{line_id}/remove")
    assert (answer.status_code, answer.location) == (303, f"/plans/{plan.id}#line-{line_id}")
    text = client.get(f"/plans/{plan.id}").text
    assert "Показатели ниже – до ваших правок." in text
    assert "поездка не нужна: всё убрано" in text
    assert "Опубликовать" not in text, "nothing is left to publish"
    assert "Вернуть" in text
    client.post(f"/plans/lines/{line_id}/restore")
    assert "Опубликовать" in client.get(f"/plans/{plan.id}").text


def test_a_page_of_many_lines_stays_light(town: Town, world: World, sign_in: SignIn) -> None:
    for number in range(LINES_ON_PAGE):
        book = town.book(f"Есть {number:02}")
        town.surplus(book, 1, school=world.stranger_school if number % 2 else world.donor_school)
        town.need(book, 1)
    plan = town.plan()
    client = sign_in(world.methodist)
    whole = client.get(f"/plans/{plan.id}")
    assert whole.text.count('id="line-') == LINES_ON_PAGE
    assert len(whole.data) < 100_000
    assert len(gzip.compress(whole.data)) < 10_000
    # A mark answers with one trip, and what is asked of one line comes when it is opened.
    marked = client.post(f"/plans/lines/{plan.lines[0].id}/lock", headers=HTMX)
    assert len(gzip.compress(marked.data)) < 5_000
    assert "/fix" not in whole.text


def test_what_else_can_be_asked_of_a_line_stands_with_its_reasons(
    plan: Plan, world: World, sign_in: SignIn
) -> None:
    client = sign_in(world.methodist)
    line_id = plan.lines[0].id
    address = f"/plans/{plan.id}/lines/{line_id}?page=2"
    assert f'href="/plans/{plan.id}/lines/{line_id}"' in client.get(f"/plans/{plan.id}").text
    for headers in ({}, HTMX):
        text = client.get(address, headers=headers).text
        for kind in ("fix", "prefer", "forbid", "forbid_pair"):
            assert f'action="/plans/lines/{line_id}/{kind}?page=2"' in text
    client.post(f"/plans/lines/{line_id}/remove")
    assert "/fix" not in client.get(address).text
    client.post(f"/plans/lines/{line_id}/restore")
    client.post(f"/plans/{plan.id}/publish", data={})
    assert "/fix" not in client.get(address).text


def test_two_buttons_of_the_one_form_are_both_heard(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    line_id = plan.lines[0].id
    for mark in ("lock", "remove"):
        assert client.post(f"/plans/lines/{line_id}/{mark}", data={"_key": "one"}).status_code == 303


def test_publishing_makes_the_transfers(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    seen = version_of(client.get(f"/plans/{plan.id}").text)
    answer = client.post(f"/plans/{plan.id}/publish", data={"_version": seen, "_key": "k"})
    assert (answer.status_code, answer.location) == (303, f"/plans/{plan.id}")
    text = client.get(answer.location).text
    assert "Опубликовано: 1 передача предложена школам." in text
    transfer = db.session.scalars(sa.select(Transfer)).one()
    assert f'href="/transfers?plan={plan.id}"' in text
    assert f'href="/transfers/{transfer.id}"' in text
    assert "предложена" in text
    assert "Закрепить" not in text
    # A double click is answered as the first was, and makes nothing new.
    again = client.post(f"/plans/{plan.id}/publish", data={"_version": seen, "_key": "k"})
    assert again.status_code == 303
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Transfer)) == 1
    # A colleague is told.
    late = client.post(f"/plans/{plan.id}/publish", data={"_version": seen}, headers=HTMX)
    assert (late.status_code, late.headers["HX-Retarget"]) == (409, "#notices")
    assert "уже опубликован" in late.text


def test_publishing_an_old_page_is_refused(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    seen = version_of(client.get(f"/plans/{plan.id}").text)
    client.post(f"/plans/lines/{plan.lines[0].id}/lock")
    for step in ("publish", "discard"):
        answer = client.post(f"/plans/{plan.id}/{step}", data={"_version": seen})
        assert answer.status_code == 409
        assert "План уже изменили" in answer.text


def test_what_could_not_be_published_is_named(
    plan: Plan, town: Town, world: World, clock: FrozenClock, sign_in: SignIn
) -> None:
    chemistry = town.book("Химия")
    offer = town.surplus(chemistry, 2)
    town.need(chemistry, 2)
    plan = town.plan()
    plan_id = plan.id
    with unit_of_work():
        postings.withdraw_offer(offer.id, seen=None, by=world.donor, clock=clock)
    client = sign_in(world.methodist)
    text = client.post(f"/plans/{plan_id}/publish", data={}, follow_redirects=True).text
    assert "Опубликовано: 1 передача предложена школам." in text
    assert "Не вышло: Дающая СОШ → Берущая СОШ, «Химия: 7-й класс: учебник»." in text


def test_a_published_plan_follows_its_transfers(
    plan: Plan, town: Town, world: World, clock: FrozenClock, sign_in: SignIn
) -> None:
    (transfer,) = town.publish(plan).transfers
    transfer_id = transfer.id
    with unit_of_work():
        transfers.decline(transfer_id, DeclineReason.NEEDED, by=world.donor_director, clock=clock)
    client = sign_in(world.methodist)
    text = client.get(f"/plans/{plan.id}").text
    assert "отклонена" in text
    assert "Подобрать заново" in text


def test_transfers_can_be_narrowed_to_a_plan(
    plan: Plan, town: Town, world: World, clock: FrozenClock, sign_in: SignIn
) -> None:
    edition = town.edition(town.book("География"))
    town.fund(edition, 3)
    with unit_of_work():
        transfers.ask_fund(
            world.fund,
            edition,
            taker=world.stranger_school,
            kind=Kind.LOAN,
            copies=1,
            by=world.stranger,
            clock=clock,
        )
    town.publish(plan)
    client = sign_in(world.methodist)
    every, of_plan = client.get("/transfers").text, client.get(f"/transfers?plan={plan.id}").text
    assert ("География" in every, "Физика" in every) == (True, True)
    assert ("География" in of_plan, "Физика" in of_plan) == (False, True)
    assert f"Только передачи плана № {plan.id}." in of_plan
    assert "Физика" not in client.get("/transfers?plan=999").text


def test_discarding(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    seen = version_of(client.get(f"/plans/{plan.id}").text)
    answer = client.post(f"/plans/{plan.id}/discard", data={"_version": seen}, headers=HTMX)
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/plans")
    assert db.session.get_one(Plan, plan.id).state is PlanState.DISCARDED
    assert client.post(f"/plans/{plan.id}/publish", data={"_version": seen}).status_code == 409
    line_id = plan.lines[0].id
    assert client.post(f"/plans/lines/{line_id}/lock", headers=HTMX).status_code == 409


def test_nobody_else_comes_in(plan: Plan, town: Town, world: World, sign_in: SignIn) -> None:
    run_id = town.order()
    pages = ("/plans", f"/plans/{plan.id}", f"/plans/{plan.id}?show=uncovered", f"/plans/runs/{run_id}")
    posts = (
        f"/plans/{plan.id}/publish",
        f"/plans/{plan.id}/discard",
        f"/plans/lines/{plan.lines[0].id}/lock",
    )
    for person in (world.donor, world.recipient_director, world.accountant):
        client = sign_in(person)
        assert {client.get(address).status_code for address in pages} == {403}
        assert {client.post(address).status_code for address in (*posts, "/plans")} == {403}
    abroad = sign_in(world.outsider)
    assert {abroad.get(address).status_code for address in pages[1:]} == {404}
    assert {abroad.post(address).status_code for address in posts} == {404}
    assert f"План № {plan.id}<" not in abroad.get("/plans").text


def test_the_plan_as_a_file(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    answer = client.get(f"/plans/{plan.id}?format=csv")
    rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig")), delimiter=";"))
    assert rows[0][:3] == ["Отдаёт", "Получает", "Расстояние, км"]
    assert rows[1][:3] == ["Дающая СОШ", "Берущая СОШ", "35,0"]
    assert rows[1][7] == "5"
    assert client.get(f"/plans/{plan.id}?format=xlsx").data[:2] == b"PK"
    assert client.get(f"/plans/{plan.id}?format=exe").status_code == 404
    client.post(f"/plans/lines/{plan.lines[0].id}/remove")
    assert len(client.get(f"/plans/{plan.id}?format=csv").text.splitlines()) == 1
    left = client.get(f"/plans/{plan.id}?show=uncovered&format=csv").data.decode("utf-8-sig")
    (row,) = list(csv.reader(io.StringIO(left), delimiter=";"))[1:]
    assert (row[0], row[4]) == ("Берущая СОШ", "3")


def test_many_needs_and_many_lines_come_in_pages(town: Town, world: World, sign_in: SignIn) -> None:
    for number in range(SHORTAGES_BESIDE + 1):
        town.need(town.book(f"Нигде {number:02}"), number + 1)
    for number in range(LINES_ON_PAGE + 5):
        book = town.book(f"Есть {number:02}")
        town.surplus(book, 1, school=world.stranger_school if number % 2 else world.donor_school)
        town.need(book, 1)
    plan_id = town.plan().id
    client = sign_in(world.methodist)
    first = client.get(f"/plans/{plan_id}").text
    assert "Страница 1 из 2" in first
    assert f"Показать все: {SHORTAGES_BESIDE + 1}" in first
    assert "Нигде 00" not in first, "the largest shortages come first"
    second = client.get(f"/plans/{plan_id}?page=2")
    lines = [re.findall(r'id="line-(\d+)"', page) for page in (first, second.text)]
    assert len(set(lines[0]) | set(lines[1])) == len(lines[0]) + len(lines[1]) == LINES_ON_PAGE + 5
    every = client.get(f"/plans/{plan_id}?show=uncovered").text
    assert "Нигде 00" in every
    # A mark on the second page stays there.
    line_id = lines[1][0]
    assert f'formaction="/plans/lines/{line_id}/lock?page=2"' in second.text
    answer = client.post(f"/plans/lines/{line_id}/lock?page=2", headers=HTMX)
    assert f'formaction="/plans/lines/{line_id}/free?page=2"' in answer.text
    assert client.post(f"/plans/lines/{line_id}/lock?page=2").location == (
        f"/plans/{plan_id}?page=2#line-{line_id}"
    )
    assert "Страница 2 из 2" in client.get(f"/plans/{plan_id}?page=99").text


def test_a_plan_takes_few_queries(town: Town, world: World, sign_in: SignIn) -> None:
    counts = []
    for number in range(12):
        book = town.book(f"Есть {number:02}")
        town.surplus(book, 1)
        town.need(book, 1)
        if number in {1, 11}:
            plan_id = town.plan().id
            client = sign_in(world.methodist)
            with count_queries() as queries:
                client.get(f"/plans/{plan_id}")
            counts.append(len(queries))
    # Who is signed in and the counter of the header are among them.
    assert counts[0] == counts[1] <= 14, counts


def test_a_run_of_another_kind_is_not_shown_here(world: World, clock: FrozenClock, sign_in: SignIn) -> None:
    def other() -> int:
        return runs.enter(
            "list", district_id=world.district.id, by_id=world.methodist.id, clock=clock, input={}
        ).id

    run_id = in_unit(other)
    assert db.session.get_one(Run, run_id).kind == "list"
    assert sign_in(world.methodist).get(f"/plans/runs/{run_id}").status_code == 404


def test_two_plans_beside_each_other(town: Town, world: World, sign_in: SignIn) -> None:
    physics, biology = town.book("Физика"), town.book("Биология")
    town.surplus(physics, 5)
    town.need(physics, 5)
    one = town.plan().id
    town.surplus(biology, 4)
    town.need(biology, 4, school=world.stranger_school)
    other = town.plan().id
    client = sign_in(world.methodist)
    assert f"/plans/compare?one={one}&amp;other={other}" in client.get("/plans").text
    text = client.get(f"/plans/compare?one={one}&other={other}").text
    assert "Ни одна школа не получит меньше." in text
    assert "Появятся поездки: 1" in text
    assert f"Дающая СОШ → {world.stranger_school.short_name}" in text
    assert "Без изменений останется поездок: 1." in text
    back = client.get(f"/plans/compare?one={other}&other={one}").text
    assert "Ни одна школа не получит больше." in back
    assert "Исчезнут поездки: 1" in back
    same = client.get(f"/plans/compare?one={one}&other={one}").text
    assert "Планы везут одно и то же" in same
    file = client.get(f"/plans/compare?one={one}&other={other}&format=csv").data.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(file), delimiter=";"))[1:]
    assert [(row[2], row[4:]) for row in rows] == [
        (world.stranger_school.short_name, ["0", "4", "4"]),
        (world.stranger_school.short_name, ["0", "4", "4"]),
    ]


def test_comparing_needs_two_plans_of_the_own_district(
    plan: Plan, town: Town, world: World, sign_in: SignIn
) -> None:
    client = sign_in(world.methodist)
    assert "нужны два плана" in client.get("/plans/compare").text
    other = town.plan().id
    assert "Выберите оба плана." in client.get(f"/plans/compare?one={other}").text
    assert client.get(f"/plans/compare?one={other}&other=999999").status_code == 404
    address = f"/plans/compare?one={plan.id}&other={other}"
    assert sign_in(world.outsider).get(address).status_code == 404
    assert sign_in(world.donor).get(address).status_code == 403


def test_comparing_takes_few_queries(town: Town, world: World, sign_in: SignIn) -> None:
    counts = []
    for number in range(6):
        book = town.book(f"Есть {number:02}")
        town.surplus(book, 1, school=world.stranger_school if number % 2 else world.donor_school)
        town.need(book, 1)
        if number in {1, 5}:
            one, other = town.plan().id, town.plan().id
            client = sign_in(world.methodist)
            with count_queries() as queries:
                client.get(f"/plans/compare?one={one}&other={other}")
            counts.append(len(queries))
    assert counts[0] == counts[1] <= 14, counts


def with_figures(plan_id: int, **figures: object) -> None:
    with unit_of_work():
        stored = db.session.get_one(Plan, plan_id)
        stored.figures = stored.figures | figures


def test_the_frontier_is_drawn_and_read_aloud(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    assert "Можно не закрыть" not in client.get(f"/plans/{plan.id}").text
    best = plan.figures["weight"]
    with_figures(
        plan.id,
        frontier=[
            {"give_up": 0.0, "weight": best, "sets": 5, "trips": 1},
            {"give_up": 10.0, "weight": best * 0.9, "sets": 4, "trips": 0},
        ],
    )
    text = client.get(f"/plans/{plan.id}").text
    assert "до 10\u00a0%" in text
    picture = text[text.index('aria-labelledby="frontier-title') :]
    described = picture[picture.index("<desc") : picture.index("</desc>")]
    assert "охват 90\u00a0% – поездок 0" in described
    assert "этот план: охват 100\u00a0% – поездок 1" in described
    assert picture.count('class="dot here"') == 1


def test_a_gap_is_told_in_words(plan: Plan, world: World, sign_in: SignIn) -> None:
    optimal = plan.figures["optimal"] | {"trips": False}
    own = plan.figures["plan"] | {"trips": 50}
    weight = plan.figures["weight"]
    with_figures(plan.id, plan=own, optimal=optimal, trips_bound=48.2, best_weight=weight * 2)
    text = sign_in(world.methodist).get(f"/plans/{plan.id}").text
    assert "Доказано, что меньше 49 не бывает; разрыв 2,0\u00a0%." in text
    assert "разрыв 50,0\u00a0%." in text


def test_a_plan_as_it_stands_is_compared(plan: Plan, world: World, sign_in: SignIn) -> None:
    """Counted again from its lines it is what it was made as; a line taken out no longer counts."""
    client = sign_in(world.methodist)
    address = f"/plans/compare?one={plan.id}&other={plan.id}"
    of_plan = plan.figures["plan"]

    def figure(name: str) -> str:
        row = re.search(rf'<th scope="row">{name}</th><td[^>]*>([^<]*)<', client.get(address).text)
        assert row
        return row[1]

    names = {
        "sets": "Закрыто комплектов",
        "trips": "Поездок",
        "trip_km": "Дорога, км",
        "copies": "Везут, экз.",
    }
    assert {key: figure(name) for key, name in names.items()} == {key: f"{of_plan[key]:.0f}" for key in names}
    client.post(f"/plans/lines/{plan.lines[0].id}/remove")
    assert (figure("Закрыто комплектов"), figure("Поездок")) == ("0", "0")


CONTROLS = {
    "give_up": "2",
    "fairness": "10",
    "furthest_km": "40,5",
    "fund": "never",
    "smallest_parcel": "3",
    "buffer": "5",
    "by_road": "y",
}


def newest() -> Plan:
    return db.session.scalars(sa.select(Plan).order_by(Plan.id.desc())).first()


def test_controls_in_words_make_the_next_plan(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    first = client.get(f"/plans/{plan.id}").text
    assert "Сколько экземпляров можно не закрыть ради меньшего числа поездок" in first
    assert "Условия этого плана" not in first
    assert client.post("/plans", data=CONTROLS).status_code == 303
    assert newest().controls == {
        "give_up": 2.0,
        "fairness": 10,
        "furthest_km": 40.5,
        "fund": "never",
        "smallest_parcel": 3,
        "buffer": 5,
        "by_road": True,
    }
    text = client.get(f"/plans/{newest().id}").text
    told = text[text.index("Условия этого плана") :].partition("</p>")[0]
    for words in ("до 2\u00a0%", "не дальше 40 км", "фонд – не трогать", "не меньше 3 экз.", "по километрам"):
        assert words in told
    # The form shows what was asked, and a plain «again» asks for the same.
    assert re.search(r'<option selected value="never"', text)
    assert 'value="40,5"' in text
    client.post("/plans")
    assert newest().controls["fund"] == "never"


@pytest.mark.parametrize(
    ("field", "value"),
    [("furthest_km", "далеко"), ("smallest_parcel", "0"), ("give_up", "77"), ("fund", "sometimes")],
)
def test_wrong_controls_are_shown_with_what_was_typed(
    world: World, sign_in: SignIn, field: str, value: str
) -> None:
    client = sign_in(world.methodist)
    for headers in ({}, HTMX):
        answer = client.post("/plans", data={**CONTROLS, field: value}, headers=headers)
        assert answer.status_code == 422
        assert f'id="{field}-error"' in answer.text
        assert 'value="40,5"' in answer.text or field == "furthest_km"
        assert ("<html" in answer.text) is (headers == {})
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Plan)) == 0


def test_a_fixed_quantity_has_to_be_solved_around(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    line = plan.lines[0].id
    answer = client.post(f"/plans/lines/{line}/fix", data={"copies": "2"})
    assert (answer.status_code, answer.location) == (303, f"/plans/{plan.id}#line-{line}")
    text = client.get(f"/plans/{plan.id}").text
    assert "Количества изменены" in text
    assert "ровно столько" in text
    assert "Опубликовать: предложить школам" not in text
    client.post("/plans")
    after = newest()
    assert [each.exact for each in after.lines] == [True]
    for wrong in ("99", "много", "0"):
        answer = client.post(f"/plans/lines/{after.lines[0].id}/fix", data={"copies": wrong}, headers=HTMX)
        assert answer.status_code == 422


def test_wishes_are_listed_and_taken_back(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    line = plan.lines[0].id
    assert 'id="wishes"' not in client.get(f"/plans/{plan.id}").text
    client.post(f"/plans/lines/{line}/prefer")
    text = client.get(f"/plans/{plan.id}").text
    assert "Дающая СОШ – первой для Берущая СОШ: Физика" in text
    client.post(f"/plans/lines/{line}/forbid")
    text = client.get(f"/plans/{plan.id}").text
    assert "Дающая СОШ – не для Берущая СОШ: Физика" in text
    assert "первой для" not in text[text.index('id="wishes"') :].partition("</ul>")[0]
    client.post("/plans")
    assert newest().lines == []
    found = re.search(r"/plans/wishes/(\d+)/take-back", text)
    assert found
    answer = client.post(f"/plans/wishes/{found[1]}/take-back")
    assert answer.location == f"/plans/{newest().id}#wishes"
    client.post("/plans")
    assert len(newest().lines) == 1
    client.post(f"/plans/lines/{newest().lines[0].id}/forbid_pair")
    assert "Дающая СОШ → Берущая СОШ: ничего не возить" in client.get(f"/plans/{newest().id}").text


def test_repair_keeps_what_stands_and_tells_the_cost(
    plan: Plan, town: Town, world: World, sign_in: SignIn
) -> None:
    chemistry = town.book("Химия")
    town.surplus(chemistry, 2, school=world.stranger_school)
    town.need(chemistry, 2)
    client = sign_in(world.methodist)
    base = plan.id
    assert "Починить" in client.get(f"/plans/{base}").text
    assert client.post("/plans/repair").status_code == 303
    text = client.get(f"/plans/{newest().id}").text
    assert "Из прежних поездок осталось 1, исчезло 0, появилось 1." in text
    assert "устойчивость ничего не стоит" in text
    assert f"/plans/compare?one={base}&amp;other={newest().id}" in text


def test_an_earlier_plan_is_taken_up_again(plan: Plan, town: Town, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    first = plan.id
    second = town.plan().id
    assert "Взять этот план снова" in client.get(f"/plans/{first}").text
    assert "Взять этот план снова" not in client.get(f"/plans/{second}").text
    answer = client.post(f"/plans/{first}/restore")
    assert (answer.status_code, answer.location) == (303, f"/plans/{first}")
    assert "черновик, видите только вы" in client.get(f"/plans/{first}").text
    assert "Взять этот план снова" in client.get(f"/plans/{second}").text


def test_a_run_is_stopped_with_the_best_so_far(town: Town, world: World, sign_in: SignIn) -> None:
    run_id = town.order()
    with unit_of_work():
        db.session.get_one(Run, run_id).standing = {"trips": 31, "bound": 28.4, "seconds": 3, "limit": 10}
    client = sign_in(world.methodist)
    text = client.get(f"/plans/runs/{run_id}", headers=HTMX).text
    assert "Остановить и взять лучшее" in text
    for words in ("Поездок в лучшем плане: 31", "меньше 29 не бывает", "Осталось не больше 7 с."):
        assert words in text
    answer = client.post(f"/plans/runs/{run_id}/stop")
    assert answer.location == f"/plans/runs/{run_id}"
    assert db.session.get_one(Run, run_id).stop_asked
    text = client.get(f"/plans/runs/{run_id}", headers=HTMX).text
    assert "Остановить и взять лучшее" not in text
    assert "берём лучшее" in text


def test_nobody_else_plays_in_the_sandbox(plan: Plan, town: Town, world: World, sign_in: SignIn) -> None:
    line, run_id = plan.lines[0].id, town.order()
    sign_in(world.methodist).post(f"/plans/lines/{line}/prefer")
    posts = [
        *(f"/plans/lines/{line}/{kind}" for kind in ("fix", "forbid", "forbid_pair", "prefer")),
        f"/plans/{plan.id}/restore",
        f"/plans/runs/{run_id}/stop",
        "/plans/wishes/1/take-back",
    ]
    for person, status in ((world.donor, 403), (world.accountant, 403), (world.outsider, 404)):
        client = sign_in(person)
        assert {client.post(each, data={"copies": "1"}).status_code for each in posts} == {status}
    assert sign_in(world.donor).post("/plans/repair").status_code == 403


def test_the_frontier_is_drawn_when_asked_for(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    assert "Начертить охват и поездки" in client.get(f"/plans/{plan.id}").text
    answer = client.post(f"/plans/{plan.id}/frontier")
    assert answer.status_code == 303
    answer = client.get(answer.location)
    assert answer.location == f"/plans/{plan.id}#frontier"
    text = client.get(answer.location).text
    rows = re.findall(r'<th scope="row">(ничего|до [^<]*)</th>', text)
    assert rows == ["ничего", *(f"до {share}\u00a0%" for share in (1, 2, 5, 10))]
    assert 'aria-labelledby="frontier-title' in text
    assert sign_in(world.outsider).post(f"/plans/{plan.id}/frontier").status_code == 404


def test_the_proof_can_be_taken_away_and_checked(
    plan: Plan, town: Town, world: World, sign_in: SignIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = sign_in(world.methodist)
    assert f'href="/plans/{plan.id}/proof"' in client.get(f"/plans/{plan.id}").text
    file = tmp_path / "proof.json"

    def check() -> tuple[int, str]:
        answer = client.get(f"/plans/{plan.id}/proof")
        assert answer.headers["Content-Disposition"] == f"attachment; filename=proof-{plan.id}.json"
        file.write_bytes(answer.data)
        return check_plan.main([str(file)]), capsys.readouterr().out

    code, said = check()
    assert code == 0
    assert "proven: at most 5 weighted coverage; the plan has 5" in said
    # Taking a line out afterwards changes nothing of what was proven.
    town.mark(plan.lines[0], "remove")
    assert check() == (0, said)
    file.write_text(file.read_text(encoding="utf-8").replace('"covered_weight":5', '"covered_weight":6'))
    assert check_plan.main([str(file)]) == 1
    town.mark(plan.lines[0], "restore")
    client.post(f"/plans/lines/{plan.lines[0].id}/fix", data={"copies": "2"})
    assert client.get(f"/plans/{plan.id}/proof").status_code == 409
    assert f'href="/plans/{plan.id}/proof"' not in client.get(f"/plans/{plan.id}").text


def test_beside_the_plan_stand_the_ways_of_a_person(plan: Plan, world: World, sign_in: SignIn) -> None:
    text = sign_in(world.methodist).get(f"/plans/{plan.id}").text
    rows = [re.sub("<[^>]*>", " ", row).split() for row in re.findall(r"<tr>.*?</tr>", text, re.S)]
    assert ["Показатель", "По", "плану", "К", "ближайшему", "Короче", "путь", "книг"] in rows
    assert ["Поездок", "1", "1", "1"] in rows
    assert "Хуже всего обеспеченная школа получит из возможного" in text


def test_the_books_that_hold_the_coverage_down_say_why(town: Town, world: World, sign_in: SignIn) -> None:
    physics = town.book("Физика")
    town.surplus(physics, 3)
    town.need(physics, 5)
    town.need(town.book("Химия"), 4)
    text = sign_in(world.methodist).get(f"/plans/{town.plan().id}").text
    assert "отдают на 2 меньше, чем нужно" in text
    assert "никто не отдаёт" in text


def test_by_road_it_is_the_road_that_is_proven(plan: Plan, town: Town, world: World, sign_in: SignIn) -> None:
    road = town.plan(controls=services.PlanControls(by_road=True))
    text = sign_in(world.methodist).get(f"/plans/{road.id}").text
    assert "Короче дороги при этом охвате не бывает: доказано." in text
    assert "Искать дольше" not in text


def test_beside_a_draft_older_plans_lead_to_it(
    plan: Plan, town: Town, world: World, clock: FrozenClock, sign_in: SignIn
) -> None:
    former = plan.id
    town.publish(plan)
    client = sign_in(world.methodist)
    assert "Починить" in client.get(f"/plans/{former}").text
    draft = town.plan()
    text = client.get(f"/plans/{former}").text
    assert f"Открыть черновик: план № {draft.id}" in text
    assert "Починить" not in text, "a repair would be one of the draft"
