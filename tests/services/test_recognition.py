"""The recogniser follows the catalogue; confirmed answers are remembered and shared in the district."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from exchange.catalog import services as catalog
from exchange.catalog.models import ListEntry, Textbook
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.errors import Forbidden, NotFound
from exchange.recognition import services
from exchange.recognition.models import Alias
from exchange.recognition.rules import Alias as Known
from exchange.recognition.rules import Kind, Wording, key_of
from exchange.schools.models import Holder, User
from tests.counting import count_queries
from tests.factories import World, make_textbook

ROW = Wording("Моро М.И. Математика 1 кл. Ч.1")


def confirm(
    world: World,
    clock: FrozenClock,
    book: int | None,
    *,
    by: User | None = None,
    school: Holder | None = None,
) -> None:
    with unit_of_work():
        services.confirm(
            school=school or world.donor_school,
            wording=ROW,
            textbook_id=book,
            by=by or world.donor,
            clock=clock,
        )


def test_the_recogniser_knows_the_catalogue(world: World) -> None:
    book = make_textbook(parts=2)
    answer = services.recogniser().recognise(ROW)
    assert (answer.kind, answer.book_id, answer.part) == (Kind.AUTOMATIC, book.id, 1)


def test_the_recogniser_is_kept_until_the_catalogue_changes(world: World, clock: FrozenClock) -> None:
    make_textbook(parts=2)
    first = services.recogniser()
    with count_queries() as queries:
        assert services.recogniser() is first
    assert len(queries) == 1
    make_textbook("Русский язык", authors="Канакина В.П., Горецкий В.Г.", subject="Русский язык")
    second = services.recogniser()
    assert second is not first
    assert second.recognise(Wording("Канакина, Горецкий. Русский язык 1 класс")).kind is Kind.AUTOMATIC


def test_a_list_loaded_again_with_a_correction_is_noticed(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        catalog.load_demo_lists(by=world.methodist, clock=clock)
    first = services.recogniser()
    with unit_of_work():
        catalog.load_demo_lists(by=world.methodist, clock=clock)
    assert services.recogniser() is first


def test_appendix_1_stands_above_appendix_2_and_the_newer_order_above_both(
    world: World, clock: FrozenClock
) -> None:
    with unit_of_work():
        catalog.load_demo_lists(by=world.methodist, clock=clock)
    books = {book.id: book for book in services._books()}
    newest = set(
        db.session.scalars(
            sa.select(ListEntry.textbook_id)
            .join(ListEntry.list)
            .where(sa.text("federal_list.order_number = '769'"), ListEntry.appendix == 1)
        )
    )
    assert newest
    highest = max(book.standing for book in books.values())
    assert all(books[id_].standing == highest for id_ in newest)
    assert all(book.standing < highest for id_, book in books.items() if id_ not in newest)
    assert all(book.numbers for book in books.values())


def test_rows_of_the_demo_list_are_recognised(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        catalog.load_demo_lists(by=world.methodist, clock=clock)
    recogniser = services.recogniser()
    row = Wording("КАНАКИНА В.П., ГОРЕЦКИЙ В.Г. РУССКИЙ ЯЗЫК 3 КЛАСС Ч.2 2023")
    book = db.session.get(Textbook, recogniser.recognise(row).book_id)
    assert book is not None
    assert (book.subject, book.grade_from) == ("Русский язык", 3)
    assert "Канакина" in book.authors


def test_an_own_answer_is_certain(world: World, clock: FrozenClock) -> None:
    book = make_textbook()
    other = make_textbook("Математика", authors="Петерсон Л.Г.", publisher="Бином")
    confirm(world, clock, other.id)
    aliases = services.aliases_of(world.donor_school)
    assert aliases == {key_of(ROW): Known(other.id, own=True)}
    answer = services.recogniser().recognise(ROW, aliases=aliases)
    assert (answer.kind, answer.book_id) == (Kind.AUTOMATIC, other.id)
    confirm(world, clock, book.id)
    assert services.aliases_of(world.donor_school)[key_of(ROW)].book_id == book.id
    assert db.session.query(Alias).count() == 1


def test_not_a_textbook_is_an_answer(world: World, clock: FrozenClock) -> None:
    make_textbook()
    confirm(world, clock, None)
    answer = services.recogniser().recognise(ROW, aliases=services.aliases_of(world.donor_school))
    assert answer.kind is Kind.NOT_TEXTBOOK


def test_the_district_knows_what_its_other_schools_agree_on(world: World, clock: FrozenClock) -> None:
    book, other = make_textbook(), make_textbook("Математика", authors="Петерсон Л.Г.", publisher="Бином")
    confirm(world, clock, book.id)
    confirm(world, clock, book.id, by=world.recipient, school=world.recipient_school)
    known = services.aliases_of(world.stranger_school)
    assert known == {key_of(ROW): Known(book.id, own=False, times=2)}
    confirm(world, clock, other.id, by=world.recipient, school=world.recipient_school)
    assert services.aliases_of(world.stranger_school) == {}
    assert services.aliases_of(world.donor_school) == {key_of(ROW): Known(book.id, own=True)}


def test_only_the_keys_asked_for(world: World, clock: FrozenClock) -> None:
    book = make_textbook()
    confirm(world, clock, book.id)
    with count_queries() as queries:
        found = services.aliases_of(world.donor_school, [key_of(ROW), *(f"ключ {n}" for n in range(700))])
    assert list(found) == [key_of(ROW)]
    assert len(queries) <= 3
    assert services.aliases_of(world.donor_school, ["нет такого"]) == {}


def test_forgotten(world: World, clock: FrozenClock) -> None:
    confirm(world, clock, make_textbook().id)
    with unit_of_work():
        assert services.forget(school=world.donor_school, wording=ROW, by=world.donor)
    with unit_of_work():
        assert not services.forget(school=world.donor_school, wording=ROW, by=world.donor)
    assert services.aliases_of(world.donor_school) == {}


def test_another_school_or_role_confirms_nothing(world: World, clock: FrozenClock) -> None:
    book = make_textbook()
    for person in (world.recipient, world.outsider, world.donor_director):
        with pytest.raises((NotFound, Forbidden)):
            confirm(world, clock, book.id, by=person)
    with pytest.raises(NotFound):
        confirm(world, clock, 98765)
    assert db.session.query(Alias).count() == 0


def test_an_empty_catalogue_lists_nothing(world: World) -> None:
    answer = services.recogniser().recognise(Wording("Биология 5 класс Пасечник"))
    assert (answer.kind, answer.candidates) == (Kind.NOT_LISTED, ())
