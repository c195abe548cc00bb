"""Pages of the fund: whole and as fragments, wrong people, what was typed stays, few queries."""

from __future__ import annotations

import csv
import io
import re
from datetime import date

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from exchange.catalog.models import Textbook
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.ledger.models import Balance
from exchange.reserve import services
from exchange.schools.models import User
from exchange.stock.models import Floor
from exchange.transfers.models import Transfer
from exchange.transfers.rules import Kind, State
from tests.conftest import SignIn
from tests.counting import count_queries
from tests.factories import World, make_textbook, put_on_shelf
from tests.fund_world import account_of, lend, stock_fund, storeroom

HTMX = {"HX-Request": "true"}
QUERIES = 8


@pytest.fixture
def book(world: World, clock: FrozenClock) -> Textbook:
    """Ten copies of a book in the fund."""
    book = make_textbook("Физика", subject="Физика", grades=(7, 7), authors="Перышкин И.М.")
    stock_fund(world, book, {1: 10}, clock=clock)
    return book


def pages(book: Textbook, world: World) -> dict[str, str]:
    """Return the addresses of all pages of the fund."""
    title = f"/fund/titles/{book.id}"
    return {
        "index": "/fund",
        "report": "/fund/report",
        "books": "/fund/books",
        "title": title,
        "choose": "/fund/acquire",
        "acquire": f"/fund/acquire?textbook={book.id}",
        "give": f"{title}/give",
        "take_in": f"{title}/take-in",
        "take_in_from": f"{title}/take-in?school={world.donor_school.id}",
        "write_off": f"{title}/write-off",
        "move": f"{title}/move",
    }


@pytest.fixture
def methodist(world: World, sign_in: SignIn) -> FlaskClient:
    return sign_in(world.methodist)


def test_every_page_is_whole_and_a_fragment(
    world: World, clock: FrozenClock, book: Textbook, methodist: FlaskClient
) -> None:
    put_on_shelf(world.donor_school, book, 4, by=world.donor, clock=clock)
    for name, address in pages(book, world).items():
        whole = methodist.get(address)
        assert whole.status_code == 200, name
        assert whole.text.count("<h1") == 1, name
        fragment = methodist.get(address, headers=HTMX)
        assert fragment.status_code == 200, name
        assert "<html" not in fragment.text, name


def test_who_gets_where(world: World, clock: FrozenClock, book: Textbook, sign_in: SignIn) -> None:
    put_on_shelf(world.donor_school, book, 4, by=world.donor, clock=clock)
    everybody = {"index", "report"}
    reading = {*everybody, "title"}
    allowed: list[tuple[User, set[str]]] = [
        (world.methodist, set(pages(book, world))),
        (world.administrator, {*everybody, "books"}),
        (world.accountant, reading),
        (world.head, everybody),
        (world.donor, everybody),
        (world.donor_director, everybody),
        (world.deputy, everybody),
    ]
    for person, names in allowed:
        client = sign_in(person)
        for name, address in pages(book, world).items():
            status = client.get(address).status_code
            assert status == (200 if name in names else 403), (person.login, name)
    stranger = sign_in(world.outsider)
    assert "Перышкин" not in stranger.get("/fund").text
    assert "10" not in re.findall(r"<dd>(.*?)</dd>", stranger.get(f"/fund/titles/{book.id}").text)


def test_only_the_methodist_changes_the_fund(world: World, book: Textbook, sign_in: SignIn) -> None:
    title = f"/fund/titles/{book.id}"
    for person in (world.donor, world.donor_director, world.head, world.accountant, world.administrator):
        client = sign_in(person)
        for address in ("floor", "give", "take-in", "write-off", "move"):
            assert client.post(f"{title}/{address}", data={}).status_code == 403
        assert client.post("/fund/acquire", data={"textbook": book.id}).status_code == 403


def test_nobody_comes_in_without_signing_in(app, world: World, book: Textbook) -> None:
    client = app.test_client()
    for address in pages(book, world).values():
        assert client.get(address).status_code == 303


def test_no_such_textbook(methodist: FlaskClient) -> None:
    for address in ("", "/give", "/take-in", "/write-off", "/move"):
        assert methodist.get(f"/fund/titles/999{address}").status_code == 404
    assert methodist.get("/fund/acquire?textbook=999").status_code == 404


# --- the list ---


def test_a_keeper_sees_where_whose_and_who_has_it(
    world: World, clock: FrozenClock, book: Textbook, methodist: FlaskClient
) -> None:
    lend(world, account_of(world.fund).id, 4, clock=clock, due_back=date(2026, 9, 20))
    clock.advance(days=10)
    text = methodist.get("/fund").text
    assert "Берущая СОШ: 4" in text
    assert "до 20.09.2026" in text
    assert "просрочено" in text
    assert "ОРФ: 6" in text


def test_a_school_sees_what_is_free_and_asks_for_it(
    world: World, book: Textbook, clock: FrozenClock, sign_in: SignIn
) -> None:
    with unit_of_work():
        services.set_floor(book.id, 7, by=world.methodist, clock=clock)
    account = account_of(world.fund)
    asking = f"/transfers/ask?fund={world.fund.id}&amp;edition={account.edition_id}"
    librarian = sign_in(world.donor)
    text = librarian.get("/fund").text
    assert "3 экз., ОРФ" in text
    assert asking in text
    assert "Списать" not in text
    assert librarian.get(asking.replace("&amp;", "&")).status_code == 200
    assert "Попросить</a>" not in sign_in(world.donor_director).get("/fund").text


def test_the_list_is_narrowed_and_says_when_nothing_is_left(book: Textbook, methodist: FlaskClient) -> None:
    assert "Перышкин" in methodist.get("/fund?q=физика&subject=Физика&grade=7", headers=HTMX).text
    assert "В фонде такого нет" in methodist.get("/fund?q=химия", headers=HTMX).text


def test_an_empty_fund_says_what_to_do(world: World, sign_in: SignIn, methodist: FlaskClient) -> None:
    assert "Принять первые книги" in methodist.get("/fund").text
    assert "Принять первые книги" not in sign_in(world.donor).get("/fund").text


def test_the_list_as_a_file_obeys_the_filter_and_the_reader(
    world: World, clock: FrozenClock, book: Textbook, sign_in: SignIn, methodist: FlaskClient
) -> None:
    second = storeroom(world)
    stock_fund(world, book, {1: 3}, clock=clock, place=second)

    def rows(client: FlaskClient, query: str) -> list[list[str]]:
        text = client.get(f"/fund?format=csv&{query}").data.decode("utf-8-sig")
        return list(csv.reader(io.StringIO(text), delimiter=";"))

    assert len(rows(methodist, "")) == 3
    assert [row[8] for row in rows(methodist, f"place={second.id}")[1:]] == ["3"]
    school = rows(sign_in(world.donor), "")
    assert "Балансодержатель" not in school[0]
    assert len(school) == 3
    assert methodist.get("/fund?format=exe").status_code == 404


def test_few_queries_however_many_titles(
    world: World, clock: FrozenClock, book: Textbook, sign_in: SignIn
) -> None:
    addresses = ["/fund", "/fund?standing=allowed", "/fund/report", "/fund/books", f"/fund/titles/{book.id}"]
    client = sign_in(world.methodist)

    def measure() -> list[int]:
        numbers = []
        for address in addresses:
            with count_queries() as queries:
                assert client.get(address).status_code == 200
            numbers.append(len(queries))
        return numbers

    measure()
    few = measure()
    for number in range(40):
        other = make_textbook(f"Книга {number}", subject=f"Предмет {number % 7}", authors=f"Автор {number}")
        stock_fund(world, other, {1: 5}, clock=clock)
    for year in range(2000, 2020):
        stock_fund(world, book, {1: 2}, clock=clock, year=year)
    many = measure()
    assert few == many
    by_address = dict(zip(addresses, many, strict=True))
    assert by_address["/fund"] <= QUERIES
    assert by_address["/fund?standing=allowed"] <= QUERIES
    assert by_address["/fund/report"] <= QUERIES


# --- the report ---


def test_a_school_sees_its_own_line_only(
    world: World, clock: FrozenClock, book: Textbook, sign_in: SignIn, methodist: FlaskClient
) -> None:
    lend(world, account_of(world.fund).id, 4, clock=clock)
    assert "Берущая СОШ" in methodist.get("/fund/report").text
    mine = sign_in(world.recipient).get("/fund/report").text
    assert "Вклад вашей школы" in mine
    assert re.search(r"Берущая СОШ</th>", mine)
    other = sign_in(world.stranger).get("/fund/report").text
    assert not re.search(r"Берущая СОШ</th>", other)
    assert re.search(r"Третья СОШ</th>", other)


def test_the_report_of_a_period(book: Textbook, methodist: FlaskClient) -> None:
    inside = methodist.get("/fund/report?first=01.09.2026&last=14.09.2026").text
    assert "закупка за счёт бюджета – 10" in inside
    before = methodist.get("/fund/report?first=01.08.2026&last=31.08.2026").text
    assert "в фонде ничего не было" in before
    text = methodist.get("/fund/report?first=01.09.2026&last=14.09.2026&format=csv").data.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text), delimiter=";"))
    assert rows[-1][:3] == ["Всего", "0", "10"]


@pytest.mark.parametrize(
    ("first", "last"), [("вчера", "14.09.2026"), ("", "14.09.2026"), ("15.09.2026", "14.09.2026")]
)
def test_a_wrong_period_stays_in_the_form(methodist: FlaskClient, first: str, last: str) -> None:
    for headers in ({}, HTMX):
        answer = methodist.get(f"/fund/report?first={first}&last={last}", headers=headers)
        assert answer.status_code == 422
        assert f'value="{first}"' in answer.text
        assert f'value="{last}"' in answer.text


# --- one textbook ---


def test_the_history_of_a_title(
    world: World, clock: FrozenClock, book: Textbook, methodist: FlaskClient
) -> None:
    transfer = lend(world, account_of(world.fund).id, 4, clock=clock)
    text = methodist.get(f"/fund/titles/{book.id}").text
    for found in ("поступление", "отправка", "приём", "Накладная № 1", f"/transfers/{transfer.id}"):
        assert found in text


def test_the_floor_is_set_and_lifted(world: World, book: Textbook, methodist: FlaskClient) -> None:
    address = f"/fund/titles/{book.id}/floor"
    wrong = methodist.post(address, data={"copies": "много"}, headers=HTMX)
    assert wrong.status_code == 422
    assert 'value="много"' in wrong.text
    assert 'id="floor"' in wrong.text
    answer = methodist.post(address, data={"copies": "5"}, headers=HTMX)
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == f"/fund/titles/{book.id}"
    assert db.session.scalars(sa.select(Floor.copies)).all() == [5]
    assert "стало 5" in methodist.get(f"/fund/titles/{book.id}").text
    assert methodist.post(address, data={"copies": ""}).status_code == 303
    assert db.session.scalars(sa.select(Floor.copies)).all() == []


def test_taking_in_from_outside(world: World, methodist: FlaskClient) -> None:
    book = make_textbook("Математика", parts=2)
    found = methodist.get("/fund/acquire?q=математика", headers=HTMX).text
    assert f"/fund/acquire?textbook={book.id}" in found
    typed = {
        "textbook": book.id, "year": "2023", "part_1": "12", "part_2": "10", "place": world.fund.id,
        "origin": "gift", "document": "",
    }  # fmt: skip
    wrong = methodist.post("/fund/acquire", data=typed, headers=HTMX)
    assert wrong.status_code == 422
    for kept in ('value="2023"', 'value="12"', '<option selected value="gift">'):
        assert kept in wrong.text
    nothing = methodist.post("/fund/acquire", data={**typed, "part_1": "", "part_2": "", "document": "№ 1"})
    assert nothing.status_code == 422
    assert "хотя бы один" in nothing.text
    answer = methodist.post("/fund/acquire", data={**typed, "document": "Накладная № 7"})
    assert answer.status_code == 303
    copies = db.session.scalars(
        sa.select(Balance.copies).where(Balance.holder_id == world.fund.id).order_by(Balance.id)
    )
    assert copies.all() == [12, 10]


def test_giving_to_a_school(world: World, book: Textbook, clock: FrozenClock, methodist: FlaskClient) -> None:
    with unit_of_work():
        services.set_floor(book.id, 8, by=world.methodist, clock=clock)
    field = f"copies_{account_of(world.fund).id}"
    address = f"/fund/titles/{book.id}/give"
    typed = {
        "taker": world.recipient_school.id, field: "4", "kind": "loan", "due_back": "20.05.2027",
        "floor_exception": "",
    }  # fmt: skip
    for wrong, said in (
        (typed, "останется 6"),
        ({**typed, field: "40"}, "свободно 10"),
        ({**typed, field: ""}, "хотя бы один"),
        ({**typed, "due_back": "01.09.2026"}, "позже сегодняшнего"),
        ({**typed, "taker": "9999"}, ""),
    ):
        answer = methodist.post(address, data=wrong, headers=HTMX)
        assert answer.status_code == 422, said
        assert said in answer.text
        assert f'value="{wrong[field]}"' in answer.text
        assert f'value="{wrong["due_back"]}"' in answer.text
        assert db.session.scalars(sa.select(Transfer)).all() == []
    answer = methodist.post(address, data={**typed, "floor_exception": "приказ № 7"})
    assert answer.status_code == 303
    [transfer] = db.session.scalars(sa.select(Transfer)).all()
    assert (transfer.state, transfer.kind, transfer.due_back, transfer.floor_exception) == (
        State.AGREED, Kind.LOAN, date(2027, 5, 20), "приказ № 7",
    )  # fmt: skip


def test_taking_in_from_a_school(
    world: World, book: Textbook, clock: FrozenClock, methodist: FlaskClient
) -> None:
    address = f"/fund/titles/{book.id}/take-in"
    assert "Ни у одной школы" in methodist.get(address).text
    put_on_shelf(world.donor_school, book, 9, by=world.donor, clock=clock)
    assert f"school={world.donor_school.id}" in methodist.get(address).text
    assert methodist.get(f"{address}?school={world.stranger_school.id}").status_code == 404
    [shelf] = services.school_shelves(world.district.id, book.id)
    typed = {
        "school": world.donor_school.id, f"copies_{shelf.edition_id}": "12", "kind": "permanent",
        "due_back": "", "place": world.fund.id,
    }  # fmt: skip
    wrong = methodist.post(address, data=typed, headers=HTMX)
    assert wrong.status_code == 422
    assert 'value="12"' in wrong.text
    answer = methodist.post(address, data={**typed, f"copies_{shelf.edition_id}": "6"})
    assert answer.status_code == 303
    [transfer] = db.session.scalars(sa.select(Transfer)).all()
    assert (transfer.giver_id, transfer.taker_id, transfer.state) == (
        world.donor_school.id, world.fund.id, State.PROPOSED,
    )  # fmt: skip


def test_writing_off_must_be_meant(world: World, book: Textbook, methodist: FlaskClient) -> None:
    address = f"/fund/titles/{book.id}/write-off"
    account = account_of(world.fund)
    typed = {
        "account": account.id, "copies": "3", "reason": "worn", "document": "Акт № 4", "floor_exception": "",
    }  # fmt: skip
    for wrong in (
        typed,
        {**typed, "sure": "y", "copies": "11"},
        {**typed, "sure": "y", "reason": "tired"},
        {**typed, "sure": "y", "document": ""},
    ):
        answer = methodist.post(address, data=wrong, headers=HTMX)
        assert answer.status_code == 422
        assert f'value="{wrong["copies"]}"' in answer.text
    assert methodist.post(address, data={**typed, "sure": "y"}).status_code == 303
    db.session.rollback()
    assert account_of(world.fund).copies == 7
    assert services.books(world.district.id).written_off == 3


def test_moving_inside_the_fund(world: World, book: Textbook, methodist: FlaskClient) -> None:
    second = storeroom(world)
    address = f"/fund/titles/{book.id}/move"
    typed = {"account": account_of(world.fund).id, "copies": "11", "target": second.id}
    wrong = methodist.post(address, data=typed, headers=HTMX)
    assert wrong.status_code == 422
    assert 'value="11"' in wrong.text
    same = methodist.post(address, data={**typed, "copies": "2", "target": world.fund.id})
    assert same.status_code == 422
    assert methodist.post(address, data={**typed, "copies": "2"}).status_code == 303
    assert account_of(second, world.fund).copies == 2


# --- the books ---


def test_the_books_say_whether_they_agree(
    world: World, book: Textbook, sign_in: SignIn, methodist: FlaskClient
) -> None:
    text = methodist.get("/fund/books").text
    assert "Книги сходятся.</strong>" in text
    assert "Перышкин" in methodist.get("/fund/books?q=физика", headers=HTMX).text
    assert "Такого учебника ни у кого нет" in methodist.get("/fund/books?q=химия", headers=HTMX).text
    with unit_of_work():
        db.session.execute(sa.update(Balance).values(copies=12))
    text = sign_in(world.administrator).get("/fund/books").text
    assert "Книги не сходятся.</strong>" in text
    assert "записано 12, по движениям 10" in text
    assert "Зарегистрировано 10, а найдено 12" in text
    file = methodist.get("/fund/books?format=csv").data.decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(file), delimiter=";"))[1][-1] == "-2"
