"""Pages of the catalogue and of a book."""

from __future__ import annotations

import csv
import io
import re
from datetime import date

import openpyxl
import pytest

from exchange.catalog import services
from exchange.catalog.models import Textbook
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.postings.rules import ShortageReason
from exchange.postings.services import post_request
from exchange.transfers.rules import State
from tests.conftest import SignIn
from tests.counting import count_queries
from tests.factories import World, make_textbook
from tests.postings_world import make_edition, offer_of, put_on_shelf
from tests.transfers_world import make_deal, walk

HTMX = {"HX-Request": "true"}
QUERIES = 8


@pytest.fixture
def demo(world: World, clock: FrozenClock) -> World:
    with unit_of_work():
        services.load_demo_lists(by=world.methodist, clock=clock)
    return world


def test_strangers_sign_in_first(app, world: World) -> None:
    assert app.test_client().get("/catalog").status_code == 303
    assert app.test_client().get("/lists").status_code == 303


def test_the_page_and_the_fragment(demo: World, sign_in: SignIn) -> None:
    client = sign_in(demo.donor)
    whole = client.get("/catalog?q=перышкин")
    assert whole.status_code == 200
    assert whole.text.count("<h1>") == 1
    assert "Перышкин" in whole.text
    part = client.get("/catalog?q=перышкин", headers=HTMX)
    assert part.status_code == 200
    assert "<html" not in part.text
    assert 'id="list"' in part.text
    assert "Перышкин" in part.text
    assert re.search(r'class="chip \w+" title="[^"]*приказ [^"]*"', part.text)


def test_the_search_stays_in_the_box(demo: World, sign_in: SignIn) -> None:
    page = sign_in(demo.donor).get('/catalog?q=">пёрышкин&grade=7&standing=last_year').text
    assert 'value="&#34;&gt;пёрышкин"' in page
    assert re.search(r"<option selected>7</option>", page)
    assert re.search(r'<option value="last_year" selected>', page)


def test_nothing_found_says_what_to_do(demo: World, sign_in: SignIn) -> None:
    assert "Ничего не нашлось" in sign_in(demo.donor).get("/catalog?q=криптозоология").text


def test_an_empty_catalogue_says_what_to_do(world: World, sign_in: SignIn) -> None:
    assert "/lists/import" in sign_in(world.methodist).get("/catalog").text
    assert "/lists/import" not in sign_in(world.donor).get("/catalog").text


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=99999999999", "grade=x", "standing=?", "level=?"]
)
def test_odd_arguments_are_no_error(demo: World, sign_in: SignIn, query: str) -> None:
    assert sign_in(demo.donor).get(f"/catalog?{query}").status_code == 200


def test_pages_do_not_overlap(demo: World, sign_in: SignIn) -> None:
    client = sign_in(demo.donor)

    def ids(number: int) -> set[str]:
        return set(re.findall(r'id="book-(\d+)"', client.get(f"/catalog?page={number}").text))

    assert len(ids(1)) == len(ids(2)) == services.PAGE
    assert not ids(1) & ids(2)


def test_what_one_may_do_with_a_book(demo: World, sign_in: SignIn) -> None:
    librarian = sign_in(demo.donor).get("/catalog?standing=allowed").text
    assert "/requests/new?textbook=" in librarian
    assert "/shelf/add?textbook=" in librarian
    assert "/offers/new?textbook=" in librarian
    excluded = sign_in(demo.donor).get("/catalog?standing=excluded").text
    assert "/shelf/add?textbook=" in excluded
    assert "/offers/new?textbook=" not in excluded
    director = sign_in(demo.donor_director).get("/catalog").text
    assert "textbook=" not in director


def test_the_file_is_the_filter(demo: World, sign_in: SignIn) -> None:
    client = sign_in(demo.donor)
    found = services.search(subject="Физика", on=date(2026, 9, 14), limit=None).total
    text = client.get("/catalog?subject=Физика&format=csv").data.decode("utf-8-sig")
    assert len(list(csv.reader(io.StringIO(text), delimiter=";"))) == found + 1
    sheet = openpyxl.load_workbook(io.BytesIO(client.get("/catalog?subject=Физика&format=xlsx").data)).active
    assert sheet.max_row == found + 1
    assert client.get("/catalog?format=exe").status_code == 404


@pytest.mark.parametrize("filters", ["", "standing=allowed", "q=русский&grade=5&publisher=Просвещение"])
def test_few_queries_however_many_books(world: World, sign_in: SignIn, filters: str, clock) -> None:
    for number in range(5):
        make_textbook(title=f"Книга {number}", grades=(5, 5), subject="Русский язык")
    client = sign_in(world.donor)
    client.get(f"/catalog?{filters}")
    with count_queries() as few:
        client.get(f"/catalog?{filters}")
    with unit_of_work():
        services.load_demo_lists(by=world.methodist, clock=clock)
    with count_queries() as many:
        client.get(f"/catalog?{filters}")
    assert len(few) == len(many) <= QUERIES


def test_a_book_in_full(demo: World, sign_in: SignIn) -> None:
    both = next(
        book for book in db.session.query(Textbook) if len({entry.list_id for entry in book.entries}) == 2
    )
    text = sign_in(demo.donor).get(f"/catalog/{both.id}").text
    assert "858" in text
    assert "769" in text
    assert both.entries[0].number in text
    assert "<details" in text
    assert "2026/27" in text


def test_no_such_book(world: World, sign_in: SignIn) -> None:
    assert sign_in(world.donor).get("/catalog/999").status_code == 404


def test_a_book_has_few_queries(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    book = make_textbook(parts=2)
    with unit_of_work():
        for part in (1, 2):
            edition = make_edition(book, part=part)
            for school in (world.donor_school, world.recipient_school, world.stranger_school):
                put_on_shelf(school, edition, 20, by=world.methodist, clock=clock)
            offer_of(world, clock, edition)
    client = sign_in(world.donor)
    address = f"/catalog/{book.id}"
    with count_queries() as queries:
        text = client.get(address).text
    assert len(queries) <= QUERIES
    assert "Третья СОШ" in text
    assert "ч. 1 – 20, ч. 2 – 20" in text
    assert "ч. 1 – 5, ч. 2 – 5" in text


def ask(world: World, book: Textbook, copies: int, clock: FrozenClock) -> None:
    with unit_of_work():
        post_request(
            school=world.recipient_school,
            textbook=book,
            copies_by_part={1: copies},
            reason=ShortageReason.MORE_PUPILS,
            needed_by=None,
            year_from=None,
            loan_acceptable=True,
            expires_on=date(2026, 11, 1),
            note="",
            by=world.recipient,
            clock=clock,
        )


def lacking(page: str) -> str:
    return page.split('id="lacking"')[1].split("</section>")[0]


def test_small_needs_of_special_books_are_kept_back(
    world: World, sign_in: SignIn, clock: FrozenClock
) -> None:
    book = make_textbook(special_needs=True)
    ask(world, book, 2, clock)
    address = f"/catalog/{book.id}"
    stranger = lacking(sign_in(world.stranger).get(address).text)
    assert "Берущая СОШ" in stranger
    assert "менее 3" in stranger
    assert not re.search(r"</strong>: 2", stranger)
    for who in (world.recipient, world.methodist):
        assert re.search(r"</strong>: 2", lacking(sign_in(who).get(address).text))
    assert "Берущая СОШ" not in sign_in(world.outsider).get(address).text


def test_other_needs_are_shown(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    book = make_textbook()
    ask(world, book, 2, clock)
    assert re.search(r"</strong>: 2", lacking(sign_in(world.stranger).get(f"/catalog/{book.id}").text))


def test_where_copies_went_is_for_those_concerned(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    with unit_of_work():
        deal = make_deal(world, clock)
        walk(deal, world, clock, State.SHIPPED)
        address, transfer = f"/catalog/{deal.textbook.id}", f"/transfers/{deal.id}"
    for who in (world.donor, world.recipient, world.methodist):
        page = sign_in(who).get(address).text
        assert "Дающая СОШ → Берущая СОШ" in page
        assert transfer in page
        assert "В пути: 5" in page
    for who in (world.stranger, world.head, world.outsider):
        page = sign_in(who).get(address)
        assert page.status_code == 200
        assert transfer not in page.text
