"""Pages of counting."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from exchange.clock import FrozenClock
from exchange.counting import services
from exchange.counting.models import CountSheet
from exchange.counting.rules import Decision, SheetState
from exchange.db import db, unit_of_work
from exchange.ledger import services as ledger
from tests.conftest import SignIn
from tests.counting import count_queries
from tests.counting_world import begin, counted, edition_of, lend, open_campaign, own, row_of, tap
from tests.factories import World, make_textbook, put_on_shelf

FRAGMENT = {"HX-Request": "true"}


@pytest.fixture
def sheet(world: World, clock: FrozenClock) -> CountSheet:
    return begin(world, clock, open_campaign(world, clock))


@pytest.fixture
def edition(world: World, clock: FrozenClock):
    book = make_textbook()
    put_on_shelf(world.donor_school, book, 12, by=world.donor, clock=clock)
    return edition_of(book)


def card(text: str, edition) -> str:
    """Return the form of one book."""
    found = re.search(rf'<form id="count-{edition.id}".*?</form>', text, re.S)
    assert found, text
    return found[0]


def fields(text: str, edition) -> dict[str, str]:
    """Return what the form of one book would send, as a browser does."""
    form = card(text, edition)
    return {
        name: value
        for name, value in re.findall(r'<input[^>]*?name="([^"]+)" value="([^"]*)"', form)
        if name not in ("_key", "csrf_token")
    }


def press(client: FlaskClient, sheet: CountSheet, edition, step: str, sent: dict[str, str], **headers: str):
    url = f"/counting/{sheet.id}/books/{edition.id}"
    return client.post(url, data={**sent, "step": step} if step else sent, headers=headers)


def test_the_methodist_opens_and_the_school_begins(world: World, sign_in: SignIn) -> None:
    methodist, librarian = sign_in(world.methodist), sign_in(world.donor)
    assert "Когда методист откроет" in librarian.get("/counting").text
    answer = methodist.post(
        "/counting/open", data={"title": "Весна", "starts_on": "20.05.2027", "ends_on": "1.5.2027"}
    )
    assert answer.status_code == 422
    assert "раньше первого" in answer.text
    assert 'value="20.05.2027"' in answer.text
    answer = methodist.post(
        "/counting/open",
        data={"title": "Весна", "starts_on": "20.05.2027", "ends_on": "15.06.2027"},
        headers=FRAGMENT,
    )
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/counting")
    again = methodist.post(
        "/counting/open", data={"title": "Ещё", "starts_on": "20.05.2027", "ends_on": "15.06.2027"}
    )
    assert "Весна» ещё идёт" in again.text
    page = librarian.get("/counting").text
    assert "Начать пересчёт" in page
    answer = librarian.post(re.search(r'action="(/counting/campaigns/\d+/begin)"', page)[1])
    assert answer.location.startswith("/counting/")
    assert "Считать дальше" not in methodist.get("/counting").text
    assert "не начат" in methodist.get("/counting").text
    answer = methodist.post(page_of(methodist, "remind"), follow_redirects=True)
    assert "Напоминание уйдёт в 2 школы" in answer.text
    assert librarian.get("/counting/open").status_code == 403


def page_of(client: FlaskClient, name: str) -> str:
    found = re.search(rf'action="(/counting/campaigns/\d+/{name})"', client.get("/counting").text)
    assert found
    return found[1]


def test_taps_without_javascript(world: World, sign_in: SignIn, sheet: CountSheet, edition) -> None:
    client = sign_in(world.donor)
    page = client.get(f"/counting/{sheet.id}/books?show=left").text
    sent = fields(page, edition)
    assert sent == {f"taps-{edition.id}": "0", "booked": "12", "counted": ""}
    # Enter in the number must not press «−»: the first button of the form is the one that writes.
    assert re.search(r"<button[^>]*>", card(page, edition))[0].startswith('<button class="save"')
    answer = press(client, sheet, edition, "1", sent)
    assert answer.status_code == 303
    assert answer.location.endswith(f"#count-{edition.id}")
    sent = fields(client.get(f"/counting/{sheet.id}/books").text, edition)
    assert sent["counted"] == "1"
    press(client, sheet, edition, "=12", sent)
    assert "как по учёту" in client.get(f"/counting/{sheet.id}/books").text
    sent = fields(client.get(f"/counting/{sheet.id}/books").text, edition)
    press(client, sheet, edition, "-1", {**sent, "counted": "8"})
    assert counted(sheet, edition) == 7
    assert client.get(f"/counting/{sheet.id}/books/{edition.id}").status_code == 303


def test_a_repeated_tap_counts_once_and_a_late_one_shows_the_present(
    world: World, sign_in: SignIn, sheet: CountSheet, edition
) -> None:
    client = sign_in(world.donor)
    sent = fields(client.get(f"/counting/{sheet.id}/books").text, edition)
    first = press(client, sheet, edition, "1", sent, **FRAGMENT)
    again = press(client, sheet, edition, "1", sent, **FRAGMENT)
    assert (first.status_code, again.status_code) == (200, 200)
    now = fields(again.text, edition)
    assert (now["counted"], now[f"taps-{edition.id}"]) == ("1", "1")
    assert "Посчитано 1 из 1" in again.text
    press(client, sheet, edition, "1", now, **FRAGMENT)
    for headers in (FRAGMENT, {}):
        late = press(client, sheet, edition, "1", sent, **headers)
        assert late.status_code == 409
        assert "уже другое число: 2" in late.text
        # The control in place, with the present number, ready for the next tap.
        assert fields(late.text, edition)["counted"] == "2"
        assert ("<!doctype" in late.text) == (not headers)
    assert counted(sheet, edition) == 2


def test_what_was_typed_wrong_stays(world: World, sign_in: SignIn, sheet: CountSheet, edition) -> None:
    client = sign_in(world.donor)
    sent = fields(client.get(f"/counting/{sheet.id}/books").text, edition)
    for typed in ("много", "", "9999999"):
        answer = press(client, sheet, edition, "", {**sent, "counted": typed}, **FRAGMENT)
        assert answer.status_code == 422
        assert fields(answer.text, edition)["counted"] == typed
        assert "aria-invalid" in answer.text
    assert counted(sheet, edition) is None


def test_two_people_see_each_others_numbers(
    world: World, sign_in: SignIn, clock: FrozenClock, sheet: CountSheet, edition
) -> None:
    client = sign_in(world.donor)
    page = client.get(f"/counting/{sheet.id}/books").text
    assert re.search(r'hx-get="/counting/\d+/news"[^>]*hx-trigger="every ', page)
    news = f"/counting/{sheet.id}/news?taps-{edition.id}=0"
    assert "count-" not in client.get(news, headers=FRAGMENT).text
    tap(sheet, edition, 5, by=world.donor, clock=clock)
    fresh = client.get(news, headers=FRAGMENT).text
    assert 'hx-swap-oob="true"' in card(fresh, edition)
    assert fields(fresh, edition)["counted"] == "5"
    assert "Посчитано 1 из 1" in fresh
    assert client.get(news).status_code == 303


def test_lists_are_filtered_and_paged(
    world: World, sign_in: SignIn, clock: FrozenClock, sheet: CountSheet
) -> None:
    for number in range(60):
        book = make_textbook(f"Книга {number:02}", subject="Физика" if number % 2 else "Химия", grades=(7, 8))
        put_on_shelf(world.donor_school, book, 3, by=world.donor, clock=clock)
        if number in (1, 2):
            tap(sheet, edition_of(book), 4 - number, by=world.donor, clock=clock)
    client = sign_in(world.donor)

    def titles(arguments: str) -> list[str]:
        text = client.get(f"/counting/{sheet.id}/books?{arguments}", headers=FRAGMENT).text
        return re.findall(r'<span class="title">(Книга \d\d)</span>', text)

    assert len(titles("")) == 25
    assert len(titles("page=3")) == 10
    assert titles("show=differing") == ["Книга 02"]
    assert len(titles("subject=%D0%A4%D0%B8%D0%B7%D0%B8%D0%BA%D0%B0&show=left&page=2")) == 4
    assert titles("q=%D0%BA%D0%BD%D0%B8%D0%B3%D0%B0+07") == ["Книга 07"]
    assert len(titles("grade=8")) == 25
    assert titles("grade=5") == titles("grade=0") == []
    assert titles("one=1") == ["Книга 03"], "the first that nobody has counted"
    one = client.get(f"/counting/{sheet.id}/books?one=1&subject=%D0%A4%D0%B8%D0%B7%D0%B8%D0%BA%D0%B0").text
    assert "Книга 2 из 30" in one
    shelves = client.get(f"/counting/{sheet.id}").text
    assert "1 из 30" in shelves
    assert "7 класс" in client.get(f"/counting/{sheet.id}?by=class").text
    with count_queries() as queries:
        assert client.get(f"/counting/{sheet.id}/books").status_code == 200
    assert len(queries) <= 8, queries


def test_found_books_are_added(world: World, sign_in: SignIn, sheet: CountSheet) -> None:
    book = make_textbook("Найденная", parts=2)
    client = sign_in(world.donor)
    url = f"/counting/{sheet.id}/add"
    assert "Найденная" in client.get(f"{url}?q=найденная", headers=FRAGMENT).text
    wrong = client.post(url, data={"textbook": book.id, "year": "2020", "part-1": "", "part-2": ""})
    assert wrong.status_code == 422
    assert 'value="2020"' in wrong.text
    answer = client.post(
        url, data={"textbook": book.id, "year": "2020", "part-1": "4"}, follow_redirects=True
    )
    assert "Записано: «Найденная»" in answer.text
    again = client.post(url, data={"textbook": book.id, "year": "2020", "part-1": "4"})
    assert "уже есть в этом пересчёте" in again.text
    assert client.post(url, data={"textbook": "999999"}).status_code == 404


def test_differences_are_decided_confirmed_and_reopened(
    world: World, sign_in: SignIn, clock: FrozenClock, sheet: CountSheet, edition
) -> None:
    other = make_textbook("Физика", subject="Физика")
    put_on_shelf(world.donor_school, other, 6, by=world.donor, clock=clock)
    second = edition_of(other)
    tap(sheet, edition, 10, by=world.donor, clock=clock)
    tap(sheet, second, 5, by=world.donor, clock=clock)
    client, base = sign_in(world.donor), f"/counting/{sheet.id}"

    def version() -> str:
        return re.search(r'name="_version" value="(\d+)"', client.get(f"{base}/differences").text)[1]

    answer = client.post(f"{base}/confirm", data={"_version": version()}, headers=FRAGMENT)
    assert answer.status_code == 422
    assert answer.text.count("Выберите, что случилось") == 2
    answer = client.post(
        f"{base}/decide", data={f"decision-{edition.id}": "lost", f"taps-{edition.id}": "1"}, headers=FRAGMENT
    )
    assert "1 недостача ждёт решения" in answer.text
    stale = client.post(f"{base}/decide", data={f"decision-{edition.id}": "lost", f"taps-{edition.id}": "9"})
    assert stale.status_code == 422
    assert "посчитали заново" in stale.text
    old = version()
    assert client.post(f"{base}/decide", data={"all": "correction"}).status_code == 303
    assert row_of(sheet, second).line.decision is Decision.CORRECTION
    answer = client.post(f"{base}/confirm", data={"_version": old})
    assert answer.status_code == 422
    assert "кто-то считал дальше" in answer.text
    answer = client.post(f"{base}/confirm", data={"_version": version()}, follow_redirects=True)
    assert "черновике акта" in answer.text
    assert (own(world.donor_school, edition), own(world.donor_school, second)) == (12, 5)
    assert "data-step" not in client.get(f"{base}/books").text
    assert client.post(f"{base}/books/{edition.id}", data={"counted": "1"}).status_code == 409
    paper = client.get(f"{base}/paper").text
    assert "Ведомость пересчёта" in paper
    assert "ошибка учёта" in paper

    methodist = sign_in(world.methodist)
    page = methodist.get(base).text
    assert "Открыть снова" in page
    assert "Открыть снова" not in client.get(base).text
    sent = {"_version": re.search(r'name="_version" value="(\d+)"', page)[1]}
    assert client.post(f"{base}/reopen", data=sent).status_code == 403
    assert methodist.post(f"{base}/reopen", data=sent).status_code == 303
    assert db.session.get(CountSheet, sheet.id, populate_existing=True).state is SheetState.COUNTING
    assert methodist.post(f"{base}/reopen", data=sent).status_code == 409
    assert not ledger.verify()


def test_what_moved_is_asked_for_again(
    world: World, sign_in: SignIn, clock: FrozenClock, sheet: CountSheet, edition
) -> None:
    tap(sheet, edition, 12, by=world.donor, clock=clock)
    client, base = sign_in(world.donor), f"/counting/{sheet.id}"
    sent = fields(client.get(f"{base}/books").text, edition)
    lend(world.donor_school, world.recipient_school, edition, 5, world, clock)
    answer = press(client, sheet, edition, "1", sent, **FRAGMENT)
    assert answer.status_code == 409
    assert "было 12 экз., стало 7" in answer.text
    assert "теперь 7" in answer.text
    answer = client.post(f"{base}/confirm", data={})
    assert "приходили или уходили: было 12 экз., стало 7" in answer.text
    press(client, sheet, edition, "=7", fields(client.get(f"{base}/books?show=moved").text, edition))
    assert client.post(f"{base}/confirm", data={}).status_code == 303


def test_borrowed_shortages_are_shown_with_advice(
    world: World, sign_in: SignIn, clock: FrozenClock, edition
) -> None:
    lend(world.donor_school, world.recipient_school, edition, 5, world, clock)
    campaign = open_campaign(world, clock)
    with unit_of_work():
        sheet = services.begin(campaign.id, holder=world.recipient_school, by=world.recipient, clock=clock)
    tap(sheet, edition, 3, by=world.recipient, clock=clock)
    text = sign_in(world.recipient).get(f"/counting/{sheet.id}/differences").text
    assert "Чужих не хватает: 2" in text
    assert 'type="radio"' not in text
    assert "из них чужих 5" in sign_in(world.recipient).get(f"/counting/{sheet.id}/books").text


def test_the_district_at_a_glance(
    world: World, sign_in: SignIn, clock: FrozenClock, sheet: CountSheet, edition
) -> None:
    tap(sheet, edition, 10, by=world.donor, clock=clock)
    client = sign_in(world.methodist)
    text = client.get("/counting").text
    assert 'class="chart"' in text
    assert "1 из 1" in text
    table = client.get("/counting?format=csv").get_data(as_text=True)
    assert "Дающая СОШ;считает;1;1;1;0;2;" in table
    rows = client.get(f"/counting/{sheet.id}/books?format=csv").get_data(as_text=True)
    assert "12;0;10;-2;не решено;Donor Тестовый" in rows
    with count_queries() as queries:
        client.get("/counting")
    assert len(queries) <= 8, queries
    # A librarian sees their own school, and nobody else's.
    own_page = sign_in(world.recipient).get("/counting").text
    assert "Дающая" not in own_page
    assert sign_in(world.head).get("/counting").status_code == 403
    assert client.get("/counting?campaign=999").status_code == 404
    closed = client.post(page_of(client, "close"), data={"_version": "99"})
    assert closed.status_code == 409
    assert client.post(page_of(client, "close")).status_code == 303
    assert "закончена" in client.get("/counting").text
