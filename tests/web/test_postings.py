"""Pages of surpluses, requests and the board."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from openpyxl import load_workbook

from exchange.catalog.models import Edition
from exchange.classes.models import ClassGroup
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.ledger import services as ledger
from exchange.ledger.rules import Line, MovementKind
from exchange.postings import services
from exchange.postings.models import Offer, Request
from exchange.postings.rules import Limit, OfferKind, PostingState
from exchange.schools import services as schools
from exchange.schools.models import Holder, Road
from exchange.schools.rules import HolderKind
from exchange.stock.models import Floor, ShelfNote
from exchange.stock.rules import Condition
from exchange.transfers import services as transfers
from exchange.web.unit import Portal
from tests.conftest import SignIn
from tests.factories import World
from tests.postings_world import TODAY, make_edition, make_textbook, offer_of, put_on_shelf, request_of

HTMX = {"HX-Request": "true"}


@pytest.fixture
def edition(world: World, clock: FrozenClock) -> Edition:
    """Ten copies of one book on the giver's shelf; seven pupils there."""
    with unit_of_work():
        made = make_edition(make_textbook())
        put_on_shelf(world.donor_school, made, 10, by=world.donor, clock=clock)
        for school, pupils in ((world.donor_school, 7), (world.recipient_school, 12)):
            db.session.add(ClassGroup(school_id=school.id, school_year=2026, grade=7, pupils=pupils))
    return made


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            seen.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


# --- offers ---


def test_the_form_advises_what_is_spare(world: World, edition: Edition, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    whole = client.get(f"/offers/new?textbook={edition.textbook_id}")
    assert whole.status_code == 200
    assert f'name="copies_{edition.id}" type="text" value="3"' in whole.text
    assert "Учеников: 7" in whole.text
    assert client.get(f"/offers/new?edition={edition.id}").status_code == 200
    fragment = client.get(f"/offers/new?edition={edition.id}", headers=HTMX).text
    assert "<h1" not in fragment
    assert 'id="offer-form"' in fragment


def test_the_form_as_it_comes_posts_a_surplus(world: World, edition: Edition, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    address = f"/offers/new?textbook={edition.textbook_id}"
    answer = client.post(address, data=defaults(client.get(address).text))
    assert (answer.status_code, answer.location) == (303, "/offers")
    offer = db.session.scalars(sa.select(Offer)).one()
    assert (offer.copies, offer.kind, offer.condition) == (3, OfferKind.PERMANENT, Condition.GOOD)
    assert offer.expires_on == TODAY + timedelta(days=60)
    listed = client.get("/offers").text
    assert "Излишек размещён: 3 экземпляр" in listed
    assert f'id="offer-{offer.id}"' in listed


def test_too_many_copies_stay_typed(world: World, edition: Edition, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    address = f"/offers/new?textbook={edition.textbook_id}"
    values = defaults(client.get(address).text)
    values |= {f"copies_{edition.id}": "11", "note": "в обложках", "kind": "loan", "due_back": "20.06.2027"}
    for headers in ({}, HTMX):
        answer = client.post(address, data=values, headers=headers)
        assert answer.status_code == 422
        assert "свободно только 10" in answer.text
        assert 'value="11"' in answer.text
        assert "в обложках" in answer.text
        assert 'value="20.06.2027"' in answer.text
    assert db.session.scalars(sa.select(Offer)).all() == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("copies", "0", "хотя бы один"),
        ("copies", "пять", "Нужно целое число"),
        ("expires_on", "", "последний день"),
        ("expires_on", "01.01.2026", "уже прошёл"),
        ("kind", "rent", "Выберите из списка"),
        ("due_back", "завтра", "Дата не понята"),
    ],
)
def test_what_is_wrong_is_said(
    world: World, edition: Edition, sign_in: SignIn, field: str, value: str, said: str
) -> None:
    client = sign_in(world.donor)
    address = f"/offers/new?textbook={edition.textbook_id}"
    values = defaults(client.get(address).text)
    values[f"copies_{edition.id}" if field == "copies" else field] = value
    answer = client.post(address, data=values)
    assert answer.status_code == 422
    assert said in answer.text


def test_parts_of_a_book_are_posted_together(world: World, clock: FrozenClock, sign_in: SignIn) -> None:
    with unit_of_work():
        textbook = make_textbook("Алгебра", parts=2)
        first, second = (make_edition(textbook, year=2021, part=part) for part in (1, 2))
        older = make_edition(textbook, year=2019)
        for one in (first, second, older):
            put_on_shelf(world.donor_school, one, 4, by=world.donor, clock=clock)
    client = sign_in(world.donor)
    address = f"/offers/new?textbook={textbook.id}&year=2021"
    page = client.get(address).text
    assert f"copies_{older.id}" not in page
    answer = client.post(
        address, data={**defaults(page), f"copies_{first.id}": "2", f"copies_{second.id}": "3"}, headers=HTMX
    )
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == "/offers"
    assert db.session.scalars(sa.select(Offer.copies).order_by(Offer.edition_id)).all() == [2, 3]


def test_all_or_nothing_of_the_parts(world: World, clock: FrozenClock, sign_in: SignIn) -> None:
    with unit_of_work():
        textbook = make_textbook("Алгебра", parts=2)
        first, second = (make_edition(textbook, year=2021, part=part) for part in (1, 2))
        for one in (first, second):
            put_on_shelf(world.donor_school, one, 4, by=world.donor, clock=clock)
    client = sign_in(world.donor)
    address = f"/offers/new?textbook={textbook.id}"
    values = {**defaults(client.get(address).text), f"copies_{first.id}": "2", f"copies_{second.id}": "5"}
    answer = client.post(address, data=values)
    assert answer.status_code == 422
    assert f'id="copies_{second.id}-error"' in answer.text
    assert db.session.scalars(sa.select(Offer)).all() == []


def test_a_book_in_its_last_year_is_offered_on_loan(
    world: World, clock: FrozenClock, sign_in: SignIn
) -> None:
    with unit_of_work():
        last = make_edition(make_textbook("Химия", appendix=2, until=date(2027, 6, 1)))
        gone = make_edition(make_textbook("Астрономия", appendix=2, until=date(2026, 8, 31)))
        for one in (last, gone):
            put_on_shelf(world.donor_school, one, 5, by=world.donor, clock=clock)
    client = sign_in(world.donor)
    values = defaults(client.get(f"/offers/new?edition={last.id}").text)
    assert (values["kind"], values["due_back"]) == ("loan", "01.06.2027")
    refused = client.get(f"/offers/new?edition={gone.id}").text
    assert "Пользоваться можно было до 31.08.2026 (приказ 858)" in refused
    assert '<button class="primary"' not in refused


def test_an_empty_shelf_says_what_to_do(world: World, edition: Edition, sign_in: SignIn) -> None:
    answer = sign_in(world.recipient).get(f"/offers/new?textbook={edition.textbook_id}")
    assert answer.status_code == 200
    assert "Сначала внесите его на полку" in answer.text
    assert sign_in(world.recipient).get("/offers/new?textbook=999999").status_code == 404
    assert sign_in(world.recipient).get("/offers/new").status_code == 404


def test_who_may_not_post(world: World, edition: Edition, sign_in: SignIn) -> None:
    address = f"/offers/new?textbook={edition.textbook_id}"
    for person in (world.donor_director, world.methodist, world.deputy, world.administrator):
        assert sign_in(person).get(address).status_code == 403
        assert sign_in(person).post(address, data={}).status_code == 403


def test_only_the_owner_changes(world: World, clock: FrozenClock, edition: Edition, sign_in: SignIn) -> None:
    with unit_of_work():
        offer = offer_of(world, clock, edition)
    for path in ("edit", "withdraw", "renew"):
        assert sign_in(world.stranger).post(f"/offers/{offer.id}/{path}").status_code == 403
        assert sign_in(world.outsider).post(f"/offers/{offer.id}/{path}").status_code == 404
        assert sign_in(world.donor).post(f"/offers/999999/{path}").status_code == 404
    assert sign_in(world.stranger).get(f"/offers/{offer.id}/edit").status_code == 403
    assert sign_in(world.donor).get(f"/offers/{offer.id}/withdraw").status_code == 405


def test_change_renew_withdraw(world: World, clock: FrozenClock, edition: Edition, sign_in: SignIn) -> None:
    with unit_of_work():
        offer = offer_of(world, clock, edition)
    client = sign_in(world.donor)
    page = client.get(f"/offers/{offer.id}/edit").text
    assert "не больше 10" in page
    values = {**defaults(page), "copies": "8"}
    assert client.post(f"/offers/{offer.id}/edit", data={**values, "copies": "12"}).status_code == 422
    assert client.post(f"/offers/{offer.id}/edit", data=values).status_code == 303
    stale = client.post(f"/offers/{offer.id}/edit", data={**values, "copies": "9"}, headers=HTMX)
    assert stale.status_code == 409
    assert "было 5 экз., стало 8" in stale.text
    assert stale.headers["HX-Retarget"] == "#notices"
    clock.advance(days=5)
    assert client.post(f"/offers/{offer.id}/renew").status_code == 303
    db.session.expire_all()
    assert (offer.copies, offer.expires_on) == (8, TODAY + timedelta(days=65))
    assert client.post(f"/offers/{offer.id}/withdraw", data={"_version": offer.version}).status_code == 303
    assert client.post(f"/offers/{offer.id}/withdraw").status_code == 409
    assert "уже снят с доски" in client.get(f"/offers/{offer.id}/edit").text
    assert "отозван" in client.get("/offers?state=withdrawn").text
    assert f"offer-{offer.id}" not in client.get("/offers?state=open").text


def test_the_list_warns_and_filters(
    world: World, clock: FrozenClock, edition: Edition, sign_in: SignIn
) -> None:
    client = sign_in(world.donor)
    assert "пока ничего не предлагает" in client.get("/offers").text
    with unit_of_work():
        offer_of(world, clock, edition, 2, expires_on=TODAY + timedelta(days=7))
        offer_of(world, clock, edition, 2)
    page = client.get("/offers").text
    assert "скоро снимет" in page
    assert page.count("скоро снимется</span>") == 1
    fragment = client.get("/offers?q=геометрия", headers=HTMX).text
    assert "Ничего не нашлось" in fragment
    assert "<h1" not in fragment
    assert "Дающая СОШ" in client.get("/offers").text
    assert "на доске" in sign_in(world.methodist).get("/offers").text
    book = load_workbook(io.BytesIO(client.get("/offers?format=xlsx").data))
    assert [row[8].value for row in book.active.iter_rows(min_row=2)] == [2, 2]


def test_the_page_of_an_offer(world: World, clock: FrozenClock, edition: Edition, sign_in: SignIn) -> None:
    with unit_of_work():
        offer = offer_of(world, clock, edition)
    for person in (world.donor, world.donor_director, world.methodist):
        page = sign_in(person).get(f"/offers/{offer.id}")
        assert page.status_code == 200
        assert "Размещён излишек" in page.text
        assert "Пока никто не попросил" in page.text
        assert ("Отозвать" in page.text) is (person is world.donor)
    for person in (world.recipient, world.outsider):
        assert sign_in(person).get(f"/offers/{offer.id}").status_code == 404
    assert sign_in(world.donor).get("/offers/999999").status_code == 404


# --- requests ---


def test_a_request_needs_a_number_and_enter(world: World, edition: Edition, sign_in: SignIn) -> None:
    client = sign_in(world.recipient)
    address = f"/requests/new?textbook={edition.textbook_id}"
    page = client.get(address)
    assert page.status_code == 200
    values = defaults(page.text)
    assert values["copies"] == "12"
    answer = client.post(address, data={**values, "copies": "4"})
    assert (answer.status_code, answer.location) == (303, "/requests")
    request = db.session.scalars(sa.select(Request)).one()
    assert [(part.part, part.copies) for part in request.parts] == [(1, 4)]
    assert (request.loan_acceptable, request.mixing, request.year_from) == (True, True, None)
    again = client.get(address)
    assert (again.status_code, again.location) == (303, f"/requests/{request.id}/edit")
    assert client.post(address, data=values).status_code == 422
    assert f'id="request-{request.id}"' in client.get("/requests").text


def test_the_worst_condition_that_will_do(world: World, edition: Edition, sign_in: SignIn) -> None:
    client = sign_in(world.recipient)
    address = f"/requests/new?textbook={edition.textbook_id}"
    values = defaults(client.get(address).text) | {"copies": "4"}
    assert values["condition_from"] == "fair"
    client.post(address, data=values | {"condition_from": "good"})
    request = db.session.scalars(sa.select(Request)).one()
    assert request.condition_from is Condition.GOOD
    assert "Состояние не хуже" in client.get(f"/requests/{request.id}").text
    edit = f"/requests/{request.id}/edit"
    values = defaults(client.get(edit).text)
    assert values["condition_from"] == "good"
    assert client.post(edit, data=values | {"condition_from": "torn"}).status_code == 422
    client.post(edit, data=values | {"condition_from": "fair"})
    db.session.expire_all()
    assert db.session.scalars(sa.select(Request.condition_from)).one() is Condition.FAIR


def test_copies_of_one_year_only(world: World, edition: Edition, sign_in: SignIn) -> None:
    client = sign_in(world.recipient)
    address = f"/requests/new?textbook={edition.textbook_id}"
    values = defaults(client.get(address).text) | {"copies": "4"}
    del values["mixing"]
    client.post(address, data=values)
    request = db.session.scalars(sa.select(Request)).one()
    assert not request.mixing
    assert "все одного года" in client.get(f"/requests/{request.id}").text
    edit = f"/requests/{request.id}/edit"
    values = defaults(client.get(edit).text)
    assert "mixing" not in values
    client.post(edit, data=values | {"mixing": "y"})
    db.session.expire_all()
    assert db.session.scalars(sa.select(Request.mixing)).one()


def test_sets_or_a_single_part(world: World, clock: FrozenClock, sign_in: SignIn) -> None:
    with unit_of_work():
        textbook = make_textbook("Алгебра", parts=2)
    client = sign_in(world.recipient)
    address = f"/requests/new?textbook={textbook.id}"
    values = {**defaults(client.get(address).text), "copies": "5"}
    assert client.post(address, data={**values, "part": "3"}).status_code == 422
    assert client.post(address, data={**values, "part": "2"}).status_code == 303
    request = db.session.scalars(sa.select(Request)).one()
    assert [(part.part, part.copies) for part in request.parts] == [(2, 5)]
    edited = {
        **defaults(client.get(f"/requests/{request.id}/edit").text),
        "copies_1": "3",
        "copies_2": "0",
        "year_from": "2021",
    }
    assert client.post(f"/requests/{request.id}/edit", data=edited, headers=HTMX).status_code == 204
    db.session.expire_all()
    assert [(part.part, part.copies) for part in request.parts] == [(1, 3)]
    assert request.year_from == 2021
    whole = {**values, "part": "0"}
    client.post(f"/requests/{request.id}/withdraw")
    assert client.post(address, data=whole).status_code == 303
    newest = db.session.scalars(sa.select(Request).order_by(Request.id.desc())).first()
    assert [(part.part, part.copies) for part in newest.parts] == [(1, 5), (2, 5)]


def test_a_wrong_request_keeps_what_was_typed(world: World, edition: Edition, sign_in: SignIn) -> None:
    client = sign_in(world.recipient)
    address = f"/requests/new?textbook={edition.textbook_id}"
    values = {**defaults(client.get(address).text), "copies": "0", "note": "для 7Б", "year_from": "1920"}
    for headers in ({}, HTMX):
        answer = client.post(address, data=values, headers=headers)
        assert answer.status_code == 422
        assert "хотя бы один" in answer.text
        assert "для 7Б" in answer.text
    answer = client.post(address, data={**values, "copies": "2"})
    assert "Год издания – от 1990" in answer.text
    assert 'value="1920"' in answer.text


def test_less_than_what_is_on_its_way_is_refused_at_its_part(
    world: World, clock: FrozenClock, sign_in: SignIn
) -> None:
    with unit_of_work():
        request = request_of(world, clock, make_textbook("Алгебра", parts=2), copies_by_part={1: 4, 2: 4})
        services.match(request.id, 2, 3)
    client = sign_in(world.recipient)
    values = {**defaults(client.get(f"/requests/{request.id}/edit").text), "copies_2": "2"}
    answer = client.post(f"/requests/{request.id}/edit", data=values)
    assert answer.status_code == 422
    assert 'id="copies_2-error"' in answer.text
    assert "уже подобрано 3, меньше нельзя" in answer.text


def test_who_may_not_ask(world: World, clock: FrozenClock, edition: Edition, sign_in: SignIn) -> None:
    address = f"/requests/new?textbook={edition.textbook_id}"
    with unit_of_work():
        request = request_of(world, clock, edition.textbook)
    for person in (world.recipient_director, world.methodist, world.accountant):
        assert sign_in(person).get(address).status_code == 403
        assert sign_in(person).post(address, data={}).status_code == 403
    for path in ("edit", "withdraw", "renew"):
        assert sign_in(world.donor).post(f"/requests/{request.id}/{path}").status_code == 403
        assert sign_in(world.outsider).post(f"/requests/{request.id}/{path}").status_code == 404
    assert sign_in(world.deputy).post(f"/requests/{request.id}/renew").status_code == 303


def test_the_list_of_requests(world: World, clock: FrozenClock, edition: Edition, sign_in: SignIn) -> None:
    client = sign_in(world.recipient)
    assert "Заявок пока нет" in client.get("/requests").text
    with unit_of_work():
        request = request_of(world, clock, edition.textbook, expires_on=TODAY)
        services.match(request.id, 1, 1)
    page = client.get("/requests").text
    assert "скоро снимет" in page
    assert "увеличение контингента" in page
    clock.advance(days=1)
    with unit_of_work():
        services.expire(clock=clock)
    assert "срок вышел" in client.get("/requests").text
    assert client.post(f"/requests/{request.id}/renew", headers=HTMX).status_code == 204
    db.session.expire_all()
    assert request.state is PostingState.OPEN
    rows = client.get("/requests?format=csv").data.decode("utf-8-sig").splitlines()
    assert ";4;1;3;" in rows[1]


def test_the_page_of_a_request(world: World, clock: FrozenClock, sign_in: SignIn) -> None:
    with unit_of_work():
        request = request_of(
            world, clock, make_textbook("Речь", special_needs=True), copies_by_part={1: 2}, year_from=2020
        )
    for person in (world.recipient, world.deputy, world.methodist):
        page = sign_in(person).get(f"/requests/{request.id}").text
        assert "запрошено 2, подобрано 0, недостаёт 2" in page
        assert "не старше 2020 года" in page
        assert "– &lt;3 экз." in page
    for person in (world.donor, world.head, world.administrator, world.outsider):
        assert sign_in(person).get(f"/requests/{request.id}").status_code == 404
    assert sign_in(world.recipient).get("/requests/999999").status_code == 404


def test_transfers_are_named_on_both_pages(
    world: World, clock: FrozenClock, edition: Edition, sign_in: SignIn
) -> None:
    with unit_of_work():
        offer = offer_of(world, clock, edition, 5)
        request = request_of(world, clock, edition.textbook)
        transfers.ask_school(
            offer.id, taker=world.recipient_school, copies=3, by=world.recipient, clock=clock
        )
        assert services.free_on_shelf(world.donor_school.id, [edition.id]) == {edition.id: 5}
    assert "Берущая СОШ, 3 экз." in sign_in(world.donor).get(f"/offers/{offer.id}").text
    assert "Дающая СОШ, 3 экз." in sign_in(world.recipient).get(f"/requests/{request.id}").text


# --- the board ---


def test_the_board_shows_both_sides(
    world: World, clock: FrozenClock, edition: Edition, sign_in: SignIn
) -> None:
    assert "Доска пуста" in sign_in(world.donor).get("/board").text
    with unit_of_work():
        offer = offer_of(world, clock, edition, 5)
        request_of(world, clock, edition.textbook)
    page = sign_in(world.recipient).get("/board").text
    assert "Дающая СОШ" in page
    assert f"/transfers/ask?offer={offer.id}" in page
    assert "35&nbsp;км" in page
    own = sign_in(world.donor).get("/board").text
    assert "/transfers/ask" not in own
    assert f"/offers/new?textbook={edition.textbook_id}" in own
    assert "/transfers/ask" not in sign_in(world.methodist).get("/board").text
    assert "Доска пуста" in sign_in(world.outsider).get("/board").text


def test_the_filters_of_the_board(
    world: World, clock: FrozenClock, edition: Edition, sign_in: SignIn
) -> None:
    with unit_of_work():
        offer_of(world, clock, edition, 5)
        wanted = make_textbook("Биология")
        request_of(world, clock, wanted)
    client = sign_in(world.recipient)
    both = {edition.textbook_id, wanted.id}
    for query, expected in (
        ("", both),
        ("side=have", {edition.textbook_id}),
        ("side=need", {wanted.id}),
        ("subject=Биология", {wanted.id}),
        ("grade=7", both),
        ("grade=8", set()),
        ("grade=x", both),
        ("q=БИО", {wanted.id}),
        ("near=1", both),
        ("mine=1", {wanted.id}),
        (f"textbook={wanted.id}", {wanted.id}),
    ):
        page = client.get(f"/board?{query}", headers=HTMX).text
        assert "<h1" not in page
        assert {one for one in both if f'id="book-{one}"' in page} == expected, query
    assert client.get("/board?side=everything").status_code == 404
    assert client.get("/board?format=docx").status_code == 404


def test_the_nearest_come_first(world: World, clock: FrozenClock, edition: Edition, sign_in: SignIn) -> None:
    with unit_of_work():
        offer_of(world, clock, edition, 5)
        near = make_edition(make_textbook("Черчение"))
        put_on_shelf(world.stranger_school, near, 5, by=world.stranger, clock=clock)
        offer_of(world, clock, near, 5, holder=world.stranger_school, by=world.stranger)
        schools.set_road(world.recipient_school, world.stranger_school, 7, by=world.methodist, clock=clock)
    client = sign_in(world.recipient)
    for query, first in (("", edition), ("?near=1", near)):
        page = client.get(f"/board{query}").text
        other = near if first is edition else edition
        assert page.index(f'id="book-{first.textbook_id}"') < page.index(f'id="book-{other.textbook_id}"')


def test_distances_are_those_of_the_schools(world: World, clock: FrozenClock, edition: Edition) -> None:
    with unit_of_work():
        place = Holder(
            district_id=world.district.id, kind=HolderKind.FUND, code="ORF2", name="ОРФ", short_name="ОРФ 2",
            located_at_id=world.stranger_school.id,
        )  # fmt: skip
        db.session.add(place)
        db.session.flush()
        low, high = sorted((world.donor_school.id, world.recipient_school.id))
        db.session.add(Road(first_id=low, second_id=high, km=12.5))
    school = world.recipient_school
    ways = services._ways(school.id, school.km_to_centre, school.district_id)
    found = dict(db.session.execute(sa.select(ways.c.holder_id, ways.c.km)).all())
    known = schools.distances(world.district.id)
    assert place.id in found
    for holder_id in {b for _, b in known}:
        assert found[holder_id] == known[world.recipient_school.id, holder_id]


def test_the_fund_gives_above_its_floor(
    world: World, clock: FrozenClock, edition: Edition, sign_in: SignIn
) -> None:
    with unit_of_work():
        stock_fund(world, clock, edition, 6)
    client = sign_in(world.recipient)
    page = client.get("/board").text
    assert f"/transfers/ask?fund={world.fund.id}&amp;edition={edition.id}" in page
    assert "<b>6</b> · ОРФ" in page
    with unit_of_work():
        db.session.add(
            Floor(
                district_id=world.district.id, textbook_id=edition.textbook_id, copies=4,
                set_by_id=world.methodist.id, set_at=clock.now(),
            )
        )  # fmt: skip
        db.session.add(ShelfNote(holder_id=world.fund.id, edition_id=edition.id, worn=1))
    assert "<b>1</b> · ОРФ" in client.get("/board").text
    with unit_of_work():
        ledger.promise([Line(edition.id, world.fund.id, world.fund.id, 1)])
    assert "Доска пуста" in client.get("/board").text


def test_small_counts_are_kept_back(world: World, clock: FrozenClock, sign_in: SignIn) -> None:
    with unit_of_work():
        special = make_textbook("Речь", special_needs=True)
        request_of(world, clock, special, copies_by_part={1: 2})
    for person, seen in (
        (world.recipient, True),
        (world.methodist, True),
        (world.donor, False),
        (world.head, False),
    ):
        client = sign_in(person)
        page = client.get("/board").text
        assert ("<b>2 экз.</b>" in page) is seen
        assert ("менее 3" in page) is not seen
        assert ('<p class="sum">2 экз.</p>' in page) is seen
        rows = client.get("/board?format=csv").data.decode("utf-8-sig").splitlines()
        assert (";2;" in rows[1]) is seen
        assert ("менее 3" in rows[1]) is not seen


def test_small_counts_are_kept_back_from_the_accountant_of_the_district(
    world: World, clock: FrozenClock, sign_in: SignIn
) -> None:
    with unit_of_work():
        special = make_textbook("Речь", special_needs=True, parts=2)
        request = request_of(world, clock, special, copies_by_part={1: 2, 2: 2})
    for person, seen in ((world.recipient, True), (world.methodist, True), (world.accountant, False)):
        page = sign_in(person).get(f"/requests/{request.id}").text
        assert ("запрошено 2" in page) is seen
    assert "4 экз." not in sign_in(world.administrator).get("/journal").text


def test_three_are_not_a_small_count(world: World, clock: FrozenClock, sign_in: SignIn) -> None:
    with unit_of_work():
        request_of(world, clock, make_textbook("Речь", special_needs=True), copies_by_part={1: 3})
        request_of(world, clock, make_textbook("Музыка"), copies_by_part={1: 1})
    page = sign_in(world.donor).get("/board").text
    assert "<b>3 экз.</b>" in page
    assert "<b>1 экз.</b>" in page


def test_what_is_taken_is_off_the_board(
    world: World, clock: FrozenClock, edition: Edition, sign_in: SignIn
) -> None:
    with unit_of_work():
        offer = offer_of(world, clock, edition, 5)
        request = request_of(world, clock, edition.textbook)
        services.reserve(offer.id, 5)
        services.match(request.id, 1, 4)
    assert "Доска пуста" in sign_in(world.recipient).get("/board").text


def test_queries_do_not_grow_with_the_board(
    app: Portal, world: World, clock: FrozenClock, sign_in: SignIn
) -> None:
    client = sign_in(world.recipient)
    counts = []
    for books in (5, 495):
        with unit_of_work():
            for number in range(books):
                made = make_edition(make_textbook(f"Книга {books} {number}"))
                put_on_shelf(world.donor_school, made, 3, by=world.donor, clock=clock)
                offer_of(world, clock, made, 2)
                request_of(world, clock, made.textbook, copies_by_part={1: 1})
            stock_fund(world, clock, made, 2)
        for path in ("/board", "/board?near=1&mine=1", "/board?format=csv"):
            # A context of its own: nothing is in the session's memory yet, as for any visitor.
            with app.app_context(), counted_queries() as seen:
                assert client.get(path).status_code == 200
            counts.append(len(seen))
    assert max(counts) <= 8, counts
    assert counts[0] == counts[3]
    assert client.get("/board?page=10").text.count('id="book-') == 50
    assert client.get("/board?page=11").status_code == 200


@pytest.mark.parametrize("path", ["/offers", "/requests"])
def test_queries_do_not_grow_with_the_lists(
    app: Portal, world: World, clock: FrozenClock, sign_in: SignIn, path: str
) -> None:
    client = sign_in(world.donor if path == "/offers" else world.recipient)
    for books in (5, 60):
        with unit_of_work():
            for number in range(books):
                made = make_edition(make_textbook(f"Книга {books} {number}"))
                put_on_shelf(world.donor_school, made, 3, by=world.donor, clock=clock)
                offer_of(world, clock, made, 2)
                request_of(world, clock, made.textbook, copies_by_part={1: 1})
        with app.app_context(), counted_queries() as seen:
            assert client.get(path).status_code == 200
        assert len(seen) <= 8, seen


def stock_fund(world: World, clock: FrozenClock, edition: Edition, copies: int) -> None:
    source = ledger.technical(world.district.id, HolderKind.SOURCE)
    ledger.post(
        MovementKind.ACQUISITION,
        [Line(edition.id, source, source, -copies), Line(edition.id, world.fund.id, world.fund.id, copies)],
        by=world.methodist,
        clock=clock,
        district_id=world.district.id,
    )


def defaults(html: str) -> dict[str, str]:
    """Return what a browser would send of the page's last form if nothing were touched."""
    import html5lib

    tree = html5lib.parse(html, namespaceHTMLElements=False)
    form = next(f for f in tree.iter("form") if "new" in f.get("action", "") or "edit" in f.get("action", ""))
    values: dict[str, str] = {}
    for control in form.iter():
        name = control.get("name")
        if name is None or name in {"csrf_token", "_key"}:
            continue
        if control.tag == "select":
            options = list(control.iter("option"))
            chosen = [o for o in options if o.get("selected") is not None] or options[:1]
            values[name] = chosen[0].get("value") or ""
        elif control.tag == "textarea":
            values[name] = (control.text or "").strip()
        elif control.get("type") in {"radio", "checkbox"}:
            if control.get("checked") is not None:
                values[name] = control.get("value") or "on"
        else:
            values[name] = control.get("value") or ""
    return values


def test_a_school_lays_down_what_it_keeps(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    assert 'href="/offers/limits"' in client.get("/offers").text
    laid = {"not_before": "01.06.2027", "kept_grades": ["1", "9"], "most_trips": "2"}
    answer = client.post("/offers/limits", data=laid)
    assert (answer.status_code, answer.location) == (303, "/offers")
    assert services.limit_of(world.donor_school) == Limit(date(2027, 6, 1), frozenset({1, 9}), 2)
    text = client.get("/offers/limits").text
    assert 'value="01.06.2027"' in text
    assert re.findall(r'checked[^>]* value="(\d+)"', text) == ["1", "9"]
    for wrong in ({"most_trips": "0"}, {"not_before": "скоро"}, {"kept_grades": ["12"]}):
        answer = client.post("/offers/limits", data=laid | wrong, headers={"HX-Request": "true"})
        assert answer.status_code == 422
        assert "<html" not in answer.text
        assert 'class="error' in answer.text
    assert services.limit_of(world.donor_school).most_trips == 2
    client.post("/offers/limits", data={"not_before": "", "most_trips": ""})
    assert services.limit_of(world.donor_school) == Limit()
    assert sign_in(world.methodist).get("/offers/limits").status_code == 403
