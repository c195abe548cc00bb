"""Pages of provision, of the proposals and of next year's shortage."""

from __future__ import annotations

import re
from datetime import date

import pytest

from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.postings.models import Offer, Request
from exchange.provision import services
from exchange.stock import services as stock
from exchange.stock.rules import Reserve
from tests.conftest import SignIn
from tests.counting import count_queries
from tests.factories import World, enrol, make_textbook, put_on_shelf
from tests.services.test_provision import choose, groups
from tests.web.test_stock import stock_up

FRAGMENT = {"HX-Request": "true"}
TODAY = date(2026, 9, 14)


@pytest.fixture
def book(world: World, clock: FrozenClock):
    """A book in two parts on the donor's shelf: 12 and 10 copies for 9 pupils."""
    textbook = make_textbook("Математика", parts=2)
    put_on_shelf(world.donor_school, textbook, {1: 12, 2: 10}, by=world.donor, clock=clock)
    enrol(world.donor_school, {1: 9}, by=world.donor, clock=clock)
    return textbook


@pytest.fixture
def shop(world: World, clock: FrozenClock):
    """Physics: 14 are missing; chemistry: 22 are spare."""
    short, spare = make_textbook("Физика", subject="Физика"), make_textbook("Химия", subject="Химия")
    put_on_shelf(world.donor_school, short, 10, by=world.donor, clock=clock)
    put_on_shelf(world.donor_school, spare, 46, by=world.donor, clock=clock)
    enrol(world.donor_school, {1: 24}, by=world.donor, clock=clock)
    return short, spare


def text_of(answer) -> str:
    return " ".join(answer.text.split())


def test_provision_of_a_school_and_of_the_district(
    world: World, book, sign_in: SignIn, clock: FrozenClock
) -> None:
    assert "Посчитать пока нечего" in sign_in(world.stranger).get("/provision").text
    enrol(world.donor_school, {1: 20}, by=world.donor, clock=clock)
    own = sign_in(world.donor).get("/provision").text
    assert "50\u00a0%" in own
    assert '<svg class="chart"' in own
    assert "Математика" in sign_in(world.donor).get("/provision?grade=1").text
    lines = sign_in(world.donor).get("/provision?format=csv").data.decode("utf-8-sig").splitlines()
    assert lines[1].startswith("1;Математика;")
    district = sign_in(world.methodist).get("/provision").text
    assert f"/provision?school={world.donor_school.id}" in district
    by_grade = sign_in(world.methodist).get("/provision?grade=1").text
    assert "Учебники: 1 класс" in by_grade
    assert f"/provision?school={world.donor_school.id}&amp;grade=1" in by_grade
    assert "Таких учебников нет" in sign_in(world.methodist).get("/provision?grade=7").text
    assert "Дающая СОШ" in sign_in(world.methodist).get("/provision?format=csv").data.decode("utf-8-sig")
    url = f"/provision?school={world.donor_school.id}"
    assert sign_in(world.methodist).get(url).status_code == 200
    assert sign_in(world.recipient).get(url).status_code == 404
    assert sign_in(world.head).get("/provision").status_code == 404


def test_a_school_by_class_level_and_book(world: World, shop, sign_in: SignIn, clock: FrozenClock) -> None:
    school = world.recipient_school
    book = make_textbook("Алгебра", grades=(8, 8), parts=2)
    put_on_shelf(school, book, {1: 30, 2: 20}, by=world.recipient, clock=clock)
    groups(school, {(8, "А"): 24, (8, "Б"): 22})
    client = sign_in(world.recipient)
    page = client.get("/provision").text
    for link in ("grade=8&amp;letter=%D0%90", "level=basic", "show=need", "show=unpaired"):
        assert link in page
    first = text_of(client.get("/provision?grade=8&letter=А"))
    assert "Учебники: 8А" in first
    assert "ч. 1 – 30, ч. 2 – 20" in first
    assert ">8Б</td>" not in first
    assert ">8Б</td>" in client.get("/provision?level=basic").text
    assert "Таких учебников нет" in client.get("/provision?level=upper").text
    assert ">10</td>" in client.get("/provision?show=unpaired").text
    lines = client.get("/provision?show=need&format=csv").data.decode("utf-8-sig").splitlines()
    assert [line.split(";")[0] for line in lines] == ["Класс", "8А", "8Б"]
    fragment = client.get("/provision?grade=8", headers=FRAGMENT).text
    assert fragment.lstrip().startswith('<div id="books"')
    methodist = sign_in(world.methodist)
    assert "Берущая СОШ" in methodist.get(f"/provision?book={book.id}").text
    rows = methodist.get("/provision?format=csv&rows=books").data.decode("utf-8-sig").splitlines()
    assert any(line.startswith("Берущая СОШ;8А;") for line in rows)


def test_small_counts_are_kept_from_the_accountant(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    special = make_textbook("Чтение", subject="Чтение", special_needs=True)
    usual = make_textbook("Физика", subject="Физика")
    school = world.donor_school
    for textbook in (special, usual):
        put_on_shelf(school, textbook, 1, by=world.donor, clock=clock)
    enrol(school, {1: 20}, by=world.donor, clock=clock)
    choose(school, [(1, "", special, 2)], clock)
    for page in ("provision?grade=1", "provision/proposals?", "provision?year=next"):
        enrol(school, {1: 20}, by=world.donor, clock=clock)
        groups(school, {(1, ""): 20}, year=2027) if "next" in page else None
        url = f"/{page}&school={school.id}"
        assert "Чтение" in sign_in(world.methodist).get(url).text
        seen = sign_in(world.accountant).get(url).text
        assert "Чтение" not in seen
        assert "учебник ОВЗ не показан" in seen
    assert "Чтение" not in sign_in(world.accountant).get(
        f"/provision?school={school.id}&format=csv"
    ).data.decode("utf-8-sig")


def test_the_reserve_of_a_school(world: World, shop, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    data = {"reserve": "5", "buffer": "10", "wear": "3"}
    assert client.post("/provision/reserve", data=data).status_code == 303
    db.session.rollback()
    assert stock.reserve(world.donor_school) == Reserve(5, 10, 3)
    answer = client.post("/provision/reserve", data={**data, "wear": "90"}, headers=FRAGMENT)
    assert answer.status_code == 422
    assert answer.text.lstrip().startswith('<div id="keeping"')
    assert 'value="90"' in answer.text
    assert "От 0 до 50" in answer.text
    whole = client.post("/provision/reserve", data={**data, "wear": "много"})
    assert whole.status_code == 422
    assert 'value="много"' in whole.text
    seen = text_of(sign_in(world.donor_director).get("/provision"))
    assert "не отдавать сверх числа учеников 10 %" in seen
    url = f"/provision/reserve?school={world.donor_school.id}"
    assert sign_in(world.donor_director).post(url, data=data).status_code == 403
    assert sign_in(world.stranger).post(url, data=data).status_code == 404


# --- proposals ---


def keys_of(text: str) -> dict[str, str]:
    return {key.split("-")[0]: key for key in re.findall(r'name="key" value="([^"]+)"', text)}


def seen_of(text: str) -> str:
    found = re.search(r'name="seen" value="([^"]+)"', text)
    assert found
    return found[1]


def test_proposals_explain_themselves_and_are_done_one_by_one(world: World, shop, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    page = text_of(client.get("/provision/proposals"))
    assert "Похоже, не хватает 14 – запросить?" in page
    assert "учеников 24, годных 10 " in page
    assert "Похоже, можно отдать 22 – предложить?" in page
    keys = keys_of(page)
    answer = client.post("/provision/proposals", data={"one": keys["ask"]})
    assert answer.status_code == 303
    answer = client.post("/provision/proposals", data={"one": keys["give"]}, headers=FRAGMENT)
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith('<div id="list"')
    assert "Сделано: 1 предложение." in answer.text
    assert "Объявления сходятся с полкой и контингентом" in answer.text
    db.session.rollback()
    assert [request.parts[0].copies for request in db.session.query(Request)] == [14]
    assert [offer.copies for offer in db.session.query(Offer)] == [22]
    again = client.post("/provision/proposals", data={"one": keys["ask"]}, headers=FRAGMENT)
    assert again.status_code == 409
    assert "числа изменились" in again.text


def test_all_at_once_is_what_was_seen(world: World, shop, sign_in: SignIn, clock: FrozenClock) -> None:
    client = sign_in(world.donor)
    seen = seen_of(client.get("/provision/proposals").text)
    put_on_shelf(world.donor_school, shop[0], 12, by=world.donor, clock=clock)
    assert client.post("/provision/proposals", data={"all": "1", "seen": seen}).status_code == 409
    assert not db.session.query(Request).count()
    page = client.get("/provision/proposals").text
    assert "Сделать всё: 2 предложения" in page
    answer = client.post(
        "/provision/proposals", data={"all": "1", "seen": seen_of(page)}, follow_redirects=True
    )
    assert "Сделано: 2 предложения." in answer.text
    db.session.rollback()
    assert (db.session.query(Request).count(), db.session.query(Offer).count()) == (1, 1)
    put_on_shelf(world.donor_school, shop[0], 21, by=world.donor, clock=clock)
    assert "Не хватает 3, запрос на 12: уменьшить?" in text_of(client.get("/provision/proposals"))
    assert client.post("/provision/proposals", data={}, headers=FRAGMENT).status_code == 422


def test_ticked_ones_that_changed_are_told(world: World, shop, sign_in: SignIn, clock: FrozenClock) -> None:
    client = sign_in(world.donor)
    keys = list(keys_of(client.get("/provision/proposals").text).values())
    put_on_shelf(world.donor_school, shop[0], 12, by=world.donor, clock=clock)
    answer = client.post("/provision/proposals", data={"key": keys}, follow_redirects=True)
    assert "Сделано: 1 предложение. 1 предложение изменилось" in answer.text


def test_not_now(world: World, shop, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    keys = keys_of(client.get("/provision/proposals").text)
    answer = client.post("/provision/put-off", data={"one": keys["ask"]}, headers=FRAGMENT)
    assert "1 предложение отложено" in answer.text
    assert keys["ask"] not in answer.text
    assert client.post("/provision/put-off", data={"one": keys["give"]}).status_code == 303
    assert client.post("/provision/put-off", data={"one": "nonsense"}).status_code == 409


def test_who_sees_proposals_and_who_may_follow_them(
    world: World, shop, sign_in: SignIn, clock: FrozenClock
) -> None:
    url = f"/provision/proposals?school={world.donor_school.id}"
    key = keys_of(sign_in(world.donor).get(url).text)["give"]
    for person in (world.methodist, world.accountant, world.donor_director):
        page = sign_in(person).get(url).text
        assert "Похоже, лишние" in page
        assert 'name="key"' not in page
        assert sign_in(person).post(url, data={"one": key}).status_code == 403
    assert sign_in(world.stranger).get(url).status_code == 404
    assert sign_in(world.stranger).post(url, data={"one": key}).status_code == 404
    assert sign_in(world.head).get("/provision/proposals").status_code == 404
    # The deputy asks, but does not give.
    school = world.recipient_school
    put_on_shelf(school, shop[0], 10, by=world.recipient, clock=clock)
    put_on_shelf(school, shop[1], 46, by=world.recipient, clock=clock)
    enrol(school, {1: 24}, by=world.recipient, clock=clock)
    deputy = sign_in(world.deputy)
    assert set(keys_of(deputy.get("/provision/proposals").text)) == {"ask"}
    with unit_of_work():
        (give,) = (
            each.key for each in services.proposals(school, on=TODAY).proposals if each.advice.value == "give"
        )
    assert deputy.post("/provision/proposals", data={"one": give}).status_code == 403
    assert not db.session.query(Offer).count()


def test_the_first_screen_leads_to_the_proposals(world: World, shop, sign_in: SignIn) -> None:
    page = text_of(sign_in(world.donor).get("/"))
    assert "есть 2 предложения" in page
    assert 'href="/provision/proposals"' in page
    assert 'href="/provision/proposals"' not in sign_in(world.methodist).get("/").text


# --- next year ---


def test_next_years_shortage_of_a_school_and_of_the_district(
    world: World, sign_in: SignIn, clock: FrozenClock
) -> None:
    ended = make_textbook("Физика", subject="Физика", appendix=2, valid_until=date(2027, 8, 31))
    school = world.donor_school
    put_on_shelf(school, ended, 24, by=world.donor, clock=clock)
    groups(school, {(1, "А"): 20})
    choose(school, [(1, "", ended, None), (2, "", ended, None)], clock)
    client = sign_in(world.donor)
    page = text_of(client.get("/provision?year=next"))
    assert "Дефицит на 2027/28: Дающая СОШ" in page
    assert "Прогноз контингента на 2027/28 не введён" in page
    assert "истекает срок: 20" in page
    assert "Дефицит на 2027/28: Дающая СОШ" in text_of(client.get("/provision?year=2027"))
    lines = client.get("/provision?year=next&format=csv").data.decode("utf-8-sig").splitlines()
    assert lines[0].endswith("истекает срок;износ")
    assert lines[1].split(";")[-2:] == ["20", ""]
    assert "Таких учебников нет" in client.get("/provision?year=next&reason=wear").text
    assert "истекает срок" in client.get("/provision?year=next&reason=expiry&grade=2").text
    fragment = client.get("/provision?year=next", headers=FRAGMENT).text
    assert fragment.lstrip().startswith('<div id="list"')
    district = text_of(sign_in(world.methodist).get("/provision?year=next"))
    assert "Дефицит на 2027/28: Опытный район" in district
    assert "Дающая СОШ" in district
    rows = sign_in(world.methodist).get("/provision?year=next&format=csv").data.decode("utf-8-sig")
    assert "Дающая СОШ;2;Физика;" in rows
    assert sign_in(world.methodist).get("/provision?year=next&format=xlsx").status_code == 200
    url = f"/provision?year=next&school={school.id}"
    assert sign_in(world.stranger).get(url).status_code == 404
    assert "нужны контингент и книги" in sign_in(world.stranger).get("/provision?year=next").text


# --- weight ---


@pytest.mark.parametrize(
    "url",
    [
        "/provision",
        "/provision?grade=1",
        "/provision?show=surplus",
        "/provision?year=next",
    ],
)
@pytest.mark.parametrize("person", ["donor", "methodist"])
def test_at_most_eight_queries_for_five_books_as_for_many(
    url: str, person: str, world: World, sign_in: SignIn, clock: FrozenClock
) -> None:
    school = world.donor_school
    enrol(school, {1: 16}, by=world.donor, clock=clock)
    groups(school, {(1, ""): 30}, year=2027)
    stock_up(school.id, 0, 5)
    client = sign_in(getattr(world, person))

    def queries() -> int:
        with count_queries() as statements:
            assert client.get(url).status_code == 200
        return len(statements)

    few = queries()
    stock_up(school.id, 5, 200)
    assert queries() == few
    assert few <= 8


def test_the_proposals_of_a_school_take_eight_queries(
    world: World, sign_in: SignIn, clock: FrozenClock
) -> None:
    enrol(world.donor_school, {1: 16}, by=world.donor, clock=clock)
    for number in range(60):
        put_on_shelf(world.donor_school, make_textbook(f"Книга {number}"), 20, by=world.donor, clock=clock)
    client = sign_in(world.donor)
    with count_queries() as statements:
        page = client.get("/provision/proposals").text
    assert len(statements) <= 8
    assert "Страница 1 из 2" in page
    assert page.count('name="key"') == 50
    assert "Сделать всё: 60 предложений" in page
