"""Pages of the shelf."""

from __future__ import annotations

import csv
import io
import re
from datetime import date

import pytest
import sqlalchemy as sa

from exchange.clock import FrozenClock
from exchange.db import db
from exchange.ledger.models import Balance
from exchange.schools.models import User
from exchange.stock import services
from exchange.web.charts import Bar, bar_chart
from tests.conftest import SignIn
from tests.factories import World, enrol, make_textbook, put_on_shelf

FRAGMENT = {"HX-Request": "true"}
TODAY = date(2026, 9, 14)


@pytest.fixture
def book(world: World, clock: FrozenClock):
    """A book in two parts on the donor's shelf: 12 and 10 copies for 9 pupils."""
    textbook = make_textbook("Математика", parts=2)
    put_on_shelf(world.donor_school, textbook, {1: 12, 2: 10}, by=world.donor, clock=clock)
    enrol(world.donor_school, {1: 9}, by=world.donor, clock=clock)
    return textbook


def own_copies() -> list[int]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Balance.copies).order_by(Balance.id)))


def edition_id(world: World) -> int:
    (shown,) = services.shelf(world.donor_school, on=TODAY)
    assert shown.editions[0].edition_id
    return shown.editions[0].edition_id


def test_the_shelf_shows_sets_need_and_surplus(world: World, book, sign_in: SignIn) -> None:
    text = " ".join(sign_in(world.donor).get("/shelf").text.split())
    assert "Полка: Дающая СОШ" in text
    assert "10 комплектов" in text
    assert "2 непарные" in text
    assert "излишек 1" in text
    assert f'href="/offers/new?textbook={book.id}&amp;year=2023"' in text
    assert f'href="/requests/new?textbook={book.id}"' in text


def test_an_empty_shelf_says_what_to_do(world: World, sign_in: SignIn) -> None:
    text = sign_in(world.donor).get("/shelf").text
    assert "ещё ничего не записано" in text
    assert "/shelf/add" in text


def test_another_schools_shelf_is_not_there(world: World, book, sign_in: SignIn) -> None:
    url = f"/shelf/{world.donor_school.id}"
    for person in (world.recipient, world.stranger, world.outsider, world.head, world.administrator):
        assert sign_in(person).get(url).status_code == 404
    for person in (world.methodist, world.accountant, world.donor_director):
        answer = sign_in(person).get(url)
        assert answer.status_code == 200
        assert "data-count" not in answer.text


def test_those_who_see_many_shelves_choose_one(world: World, book, sign_in: SignIn) -> None:
    text = sign_in(world.methodist).get("/shelf").text
    assert f"/shelf/{world.donor_school.id}" in text
    assert f"/shelf/{world.fund.id}" in text
    assert sign_in(world.head).get("/shelf").status_code == 403


def test_the_list_is_a_fragment_and_narrows(world: World, book, sign_in: SignIn, clock: FrozenClock) -> None:
    physics = make_textbook("Физика", subject="Физика", grades=(7, 7), authors="Пёрышкин И.М.", listed=False)
    put_on_shelf(world.donor_school, physics, 30, by=world.donor, clock=clock)
    client = sign_in(world.donor)

    def titles(query: str) -> set[str]:
        answer = client.get(f"/shelf?{query}", headers=FRAGMENT)
        assert answer.status_code == 200
        assert "<html" not in answer.text
        return {title for title in ("Математика", "Физика") if f">{title}<" in answer.text}

    assert titles("") == {"Математика", "Физика"}
    assert titles("q=перышкин+физика") == {"Физика"}
    assert titles("subject=Математика") == {"Математика"}
    assert titles("grade=7") == {"Физика"}
    assert titles("standing=not_listed") == {"Физика"}
    assert titles("show=surplus") == {"Математика"}
    assert titles("show=unpaired") == {"Математика"}
    assert titles("show=need") == set()
    assert titles("show=nonsense&grade=x&page=99") == {"Математика", "Физика"}


def test_the_shelf_as_a_file(world: World, book, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    lines = client.get("/shelf?format=csv").data.decode("utf-8-sig").splitlines()
    assert len(lines) == 3
    assert ";Математика;" in lines[1]
    assert client.get("/shelf?format=xlsx").status_code == 200
    assert client.get("/shelf?format=doc").status_code == 404


def test_each_row_of_the_shelf_file_can_be_found_again(world: World, book, sign_in: SignIn) -> None:
    text = sign_in(world.donor).get("/shelf?format=csv").data.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text), delimiter=";"))
    assert list(rows[0])[-1] == "Код"
    assert len({row["Код"] for row in rows}) == len(rows)
    for row in rows:
        textbook, year, part = row["Код"].split("-")
        assert (int(textbook), year) == (book.id, row["Год издания"])
        assert part == row["Часть"]
        assert row["Экземпляров"].isdecimal()


def test_offered_is_what_most_is_free_of(world: World, book, sign_in: SignIn, clock: FrozenClock) -> None:
    put_on_shelf(world.donor_school, book, 30, by=world.donor, clock=clock, year=2019)
    assert f'href="/offers/new?textbook={book.id}&amp;year=2019"' in sign_in(world.donor).get("/shelf").text


def test_the_fund_is_counted_by_the_methodist(
    world: World, book, sign_in: SignIn, clock: FrozenClock
) -> None:
    put_on_shelf(world.fund, book, 4, by=world.methodist, clock=clock)
    client = sign_in(world.methodist)
    assert "data-count" in client.get(f"/shelf/{world.fund.id}").text
    data = {"2023-1": "5", "seen-2023-1": "4"}
    url = f"/shelf/{world.fund.id}/count/{book.id}"
    assert client.post(url, data=data, headers=FRAGMENT).status_code == 200
    assert sign_in(world.donor).get(f"/shelf/{world.fund.id}").status_code == 404


def count_url(world: World, book) -> str:
    return f"/shelf/{world.donor_school.id}/count/{book.id}"


def test_counting_in_place_answers_with_the_book(world: World, book, sign_in: SignIn) -> None:
    answer = sign_in(world.donor).post(
        count_url(world, book),
        data={"2023-1": "12", "seen-2023-1": "12", "2023-2": "11", "seen-2023-2": "10", "reason": "found"},
        headers=FRAGMENT,
    )
    assert answer.status_code == 200
    assert "<html" not in answer.text
    body = re.search(r"<tbody[^>]*>", answer.text)
    assert body is not None
    assert f'id="book-{book.id}"' in body[0]
    # What sends the focus on to the next number.
    assert "data-counted data-saved" in body[0]
    assert "11 комплектов" in answer.text
    assert own_copies() == [12, 11]
    history = sign_in(world.donor).get(f"/shelf/history?edition={edition_id(world)}").text
    assert "нашлись" in history


def test_a_wrong_count_keeps_what_was_typed(world: World, book, sign_in: SignIn) -> None:
    data = {"2023-1": "13", "seen-2023-1": "12", "2023-2": "одиннадцать", "seen-2023-2": "10"}
    answer = sign_in(world.donor).post(count_url(world, book), data=data, headers=FRAGMENT)
    assert answer.status_code == 422
    assert 'value="13"' in answer.text
    assert 'value="одиннадцать"' in answer.text
    assert "Нужно целое число" in answer.text
    assert answer.text.count('aria-invalid="true"') == 1
    assert "data-saved" not in answer.text
    assert own_copies() == [12, 10]


def test_a_stale_count_is_told_what_happened(world: World, book, sign_in: SignIn) -> None:
    answer = sign_in(world.donor).post(
        count_url(world, book), data={"2023-1": "9", "seen-2023-1": "8"}, headers=FRAGMENT
    )
    assert answer.status_code == 422
    assert "было 8 экз., стало 12" in answer.text
    assert own_copies() == [12, 10]


def test_counting_without_javascript(world: World, book, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    url = f"{count_url(world, book)}?grade=1"
    answer = client.post(url, data={"2023-1": "14", "seen-2023-1": "12"})
    assert answer.status_code == 303
    assert answer.location == f"/shelf/{world.donor_school.id}?grade=1#book-{book.id}"
    assert own_copies() == [14, 10]
    answer = client.post(url, data={"2023-1": "-1", "seen-2023-1": "14"})
    assert answer.status_code == 422
    assert "<html" in answer.text
    assert 'value="-1"' in answer.text
    # Whoever reloads that page with GET comes back to the shelf.
    assert client.get(url).location == f"/shelf/{world.donor_school.id}?grade=1#book-{book.id}"


def test_a_part_never_seen_here_is_counted_too(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    textbook = make_textbook("Русский язык", parts=2)
    put_on_shelf(world.donor_school, textbook, {1: 5}, by=world.donor, clock=clock)
    data = {"2023-1": "5", "seen-2023-1": "5", "2023-2": "4", "seen-2023-2": "0"}
    assert 'name="2023-2"' in sign_in(world.donor).get("/shelf").text
    answer = sign_in(world.donor).post(count_url(world, textbook), data=data, headers=FRAGMENT)
    assert answer.status_code == 200
    assert own_copies() == [5, 4]


def test_who_may_not_count(world: World, book, sign_in: SignIn) -> None:
    data = {"2023-1": "1", "seen-2023-1": "12"}
    for person, status in (
        (world.stranger, 404),
        (world.outsider, 404),
        (world.donor_director, 403),
        (world.methodist, 403),
    ):
        assert sign_in(person).post(count_url(world, book), data=data).status_code == status
    assert own_copies() == [12, 10]
    assert sign_in(world.donor).post("/shelf/999/count/1", data=data).status_code == 404
    url = f"/shelf/{world.donor_school.id}/count/999"
    assert sign_in(world.donor).post(url, data=data).status_code == 404


def test_adding_a_book(world: World, sign_in: SignIn) -> None:
    textbook = make_textbook("Окружающий мир", subject="Окружающий мир", parts=2)
    client = sign_in(world.donor)
    assert "Начните с фамилии" in client.get("/shelf/add").text
    found = client.get("/shelf/add?q=окружающий", headers=FRAGMENT)
    assert "<html" not in found.text
    assert f"/shelf/add?textbook={textbook.id}" in found.text
    assert "такого учебника нет" in client.get("/shelf/add?q=нетакой").text
    assert "Часть 2" in client.get(f"/shelf/add?textbook={textbook.id}").text
    data = {"textbook": textbook.id, "year": "1890", "part-1": "7", "part-2": "8", "condition": "good"}
    answer = client.post("/shelf/add", data=data, headers=FRAGMENT)
    assert answer.status_code == 422
    assert "Год издания – от 1990" in answer.text
    assert 'value="1890"' in answer.text
    assert 'value="8"' in answer.text
    answer = client.post("/shelf/add", data={**data, "year": "2024"})
    assert answer.status_code == 303
    assert answer.location.endswith(f"#book-{textbook.id}")
    assert own_copies() == [7, 8]
    nothing = client.post("/shelf/add", data={"textbook": textbook.id, "year": "2022", "condition": "good"})
    assert nothing.status_code == 422
    assert "хотя бы один" in nothing.text
    assert sign_in(world.donor_director).get("/shelf/add").status_code == 403
    assert sign_in(world.methodist).get("/shelf/add").status_code == 404
    assert client.get(f"/shelf/add?holder={world.recipient_school.id}").status_code == 404


def test_condition_arrival_and_write_off(world: World, book, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    number = edition_id(world)
    base = f"/shelf/{world.donor_school.id}"
    page = f"/shelf/history?edition={number}&holder={world.donor_school.id}"
    answer = client.post(f"{base}/note/{number}", data={"note-condition": "fair", "note-worn": "99"})
    assert answer.status_code == 422
    assert "На полке 12 экз." in answer.text
    assert 'value="99"' in answer.text
    answer = client.post(f"{base}/note/{number}", data={"note-condition": "fair", "note-worn": "3"})
    assert answer.location == page
    answer = client.post(
        f"{base}/arrival/{number}", data={"arrival-copies": "5", "arrival-document": ""}, headers=FRAGMENT
    )
    assert answer.status_code == 422
    assert answer.text.lstrip().startswith('<section id="arrival"')
    answer = client.post(
        f"{base}/arrival/{number}",
        data={"arrival-copies": "5", "arrival-document": "накладная 15"},
        headers=FRAGMENT,
    )
    assert answer.headers["HX-Redirect"] == page
    data = {"write-off-copies": "40", "write-off-reason": "worn", "write-off-document": "акт 3"}
    answer = client.post(f"{base}/write-off/{number}", data=data)
    assert answer.status_code == 422
    assert "только 17 экз." in answer.text
    answer = client.post(f"{base}/write-off/{number}", data={**data, "write-off-copies": "2"})
    assert answer.status_code == 303
    text = client.get(page).text
    assert "ветхость; акт 3" in text
    assert "накладная 15" in text
    assert "удовлетворительное" in text
    assert sign_in(world.donor_director).get(page).status_code == 200
    assert sign_in(world.stranger).get(page).status_code == 404
    for form in ("note", "arrival", "write-off"):
        assert sign_in(world.stranger).post(f"{base}/{form}/{number}").status_code == 404
        assert sign_in(world.donor_director).post(f"{base}/{form}/{number}").status_code == 403
    assert client.get("/shelf/history?edition=999").status_code == 404


@pytest.mark.parametrize("url", ["/shelf"])
def test_as_many_queries_for_five_books_as_for_many(
    url: str, app, world: World, sign_in: SignIn, clock: FrozenClock
) -> None:
    def queries() -> int:
        count = 0

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            nonlocal count
            count += statement != "BEGIN"

        client = sign_in(db.session.get_one(User, donor_id))
        db.session.remove()
        sa.event.listen(db.engine, "before_cursor_execute", note)
        try:
            assert client.get(url).status_code == 200
        finally:
            sa.event.remove(db.engine, "before_cursor_execute", note)
        return count

    enrol(world.donor_school, {1: 20}, by=world.donor, clock=clock)
    school_id, donor_id = world.donor_school.id, world.donor.id
    stock_up(school_id, 0, 5)
    few = queries()
    stock_up(school_id, 5, 500)
    assert queries() == few
    assert few <= 8


def stock_up(school: int, first: int, last: int) -> None:
    from exchange.catalog.models import Edition, Textbook
    from exchange.db import unit_of_work

    with unit_of_work():
        for number in range(first, last):
            textbook = Textbook(
                identity=f"t{number}",
                title=f"Книга {number}",
                authors="",
                subject_area="",
                subject="Математика",
                grade_from=1,
                grade_to=1,
                publisher="",
                folded=f"книга {number}",
                sort_key=f"{number:04}",
                editions=[Edition(year=2023, part=1)],
            )
            db.session.add(textbook)
            db.session.flush()
            db.session.add(
                Balance(
                    owner_id=school,
                    holder_id=school,
                    edition_id=textbook.editions[0].id,
                    copies=20,
                    promised=0,
                )
            )


def test_a_chart_is_read_aloud_and_escapes_names() -> None:
    picture = bar_chart(
        [Bar("<5 класс>", 0.5, "50 %", second=0.25), Bar("6 класс", 2, "200 %")],
        name="c",
        title="Заголовок",
        description="5 класс – половина",
        maximum=1,
    )
    assert '<title id="c-title">Заголовок</title>' in picture
    assert "&lt;5 класс&gt;" in picture
    assert "style" not in picture
    widths = [float(width) for width in re.findall(r'rect class="bar" [^>]*width="([\d.]+)"', picture)]
    full = max(float(width) for width in re.findall(r'rect class="bar rest" [^>]*width="([\d.]+)"', picture))
    # A bar never leaves its row, however large the value.
    assert widths == [pytest.approx(full / 2, abs=0.1), full]


def test_a_chart_of_nothing_is_empty_but_valid() -> None:
    assert "<rect" not in bar_chart([], name="c", title="", description="")
