"""Editions, legality in bulk, search."""

from __future__ import annotations

import random
from datetime import date

import pytest
import sqlalchemy as sa

from exchange.catalog import services
from exchange.catalog.models import Edition, FederalList, ListEntry, Textbook
from exchange.catalog.rules import Legality, Listing, SchoolYear, legality
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.errors import Invalid, NotFound
from tests.counting import count_queries
from tests.factories import World, make_textbook

TODAY = date(2026, 9, 14)


def test_an_edition_is_made_once(world: World) -> None:
    book = make_textbook(parts=2)
    with unit_of_work():
        first = services.edition_for(book.id, 2022, 2)
        again = services.edition_for(book.id, 2022, 2)
    assert first.id == again.id
    assert db.session.query(Edition).count() == 1


@pytest.mark.parametrize(
    ("year", "part", "field"), [(1989, 1, "year"), (2028, 1, "year"), (2022, 3, "part"), (2022, 0, "part")]
)
def test_an_edition_that_cannot_be_is_refused(
    world: World, clock: FrozenClock, year: int, part: int, field: str
) -> None:
    book = make_textbook(parts=2)
    with pytest.raises(Invalid) as refusal, unit_of_work():
        services.edition_for(book.id, year, part, clock=clock)
    assert refusal.value.field == field
    assert db.session.query(Edition).count() == 0


def test_an_edition_of_no_book(world: World) -> None:
    with pytest.raises(NotFound), unit_of_work():
        services.edition_for(12345, 2022, 1)


def test_a_book_without_an_entry_is_not_listed(world: World) -> None:
    book = make_textbook(listed=False)
    assert services.verdicts([book.id], TODAY)[book.id].legality is Legality.NOT_LISTED
    assert services.verdicts([], TODAY) == {}


@pytest.fixture
def demo(world: World, clock: FrozenClock) -> World:
    with unit_of_work():
        services.load_demo_lists(by=world.methodist, clock=clock)
    return world


def test_the_bulk_verdict_is_the_verdict_of_each(demo: World) -> None:
    ids = list(db.session.scalars(sa.select(Textbook.id)))
    for day, year in ((TODAY, None), (date(2025, 3, 1), None), (TODAY, SchoolYear(2027))):
        bulk = services.verdicts(ids, day, year)
        for book in random.Random(1).sample(ids, 40):
            listings = [
                Listing(
                    order=entry.list.order_number,
                    edition=entry.list.edition,
                    appendix=entry.appendix,
                    number=entry.number,
                    valid_until=entry.valid_until,
                    excluded_on=entry.excluded_on,
                    in_force_from=entry.list.in_force_from,
                    in_force_until=entry.list.in_force_until,
                    perpetual=entry.perpetual,
                )
                for entry in db.session.query(ListEntry).filter_by(textbook_id=book).order_by(ListEntry.id)
            ]
            assert bulk[book] == legality(listings, day, year)


@pytest.mark.parametrize("size", [5, 300])
def test_verdicts_take_two_queries(demo: World, size: int) -> None:
    ids = list(db.session.scalars(sa.select(Textbook.id).limit(size)))
    with count_queries() as queries:
        services.verdicts(ids, TODAY)
    assert len(queries) <= 2


def titles(text: str = "", **filters: object) -> list[str]:
    found = services.search(text, on=TODAY, limit=None, **filters)  # type: ignore[arg-type]
    assert found.total == len(found.rows)
    return [f"{row.title}|{row.authors}|{row.grade_from}" for row in found.rows]


def test_words_in_any_order_and_letter(demo: World) -> None:
    found = titles("пёрышкин ФИЗИКА 7")
    assert found
    assert found == titles("7 физика Перышкин") == titles("физика 7-й перышкин")
    assert all("Перышкин" in title and title.endswith("|7") for title in found)


def test_a_class_is_a_whole_number(demo: World) -> None:
    assert {title.rpartition("|")[2] for title in titles("математика 1 класс")} == {"1"}


@pytest.mark.parametrize("text", ["%", "_", "100%", "\\", "'; DROP TABLE textbook; --", "🙂", "а" * 5000])
def test_odd_searches_find_nothing_odd(demo: World, text: str) -> None:
    assert len(titles(text)) in (0, len(titles()))
    assert db.session.query(Textbook).count() >= 300


def test_filters_narrow(demo: World) -> None:
    everything = titles()
    physics = titles(subject="Физика")
    assert 0 < len(physics) < len(everything)
    assert set(titles(subject="Физика", grade=10)) <= set(physics)
    assert titles(subject="Физика", level="углублённый")
    assert titles(publisher="Просвещение")
    subjects, publishers = services.facets()
    assert "Физика" in subjects
    assert not any(";" in name for name in publishers)


def test_what_the_list_says_splits_the_catalogue(demo: World) -> None:
    parts = {standing: titles(standing=standing) for standing in Legality}
    assert sum(map(len, parts.values())) == len(titles())
    assert parts[Legality.ALLOWED]
    assert parts[Legality.LAST_YEAR]
    first = services.search(on=TODAY, standing=Legality.ALLOWED, limit=7)
    second = services.search(on=TODAY, standing=Legality.ALLOWED, first=7, limit=7)
    assert len(first.rows) == len(second.rows) == 7
    assert first.total == len(parts[Legality.ALLOWED])
    assert not {row.id for row in first.rows} & {row.id for row in second.rows}
    assert all(verdict.legality is Legality.ALLOWED for verdict in first.verdicts.values())


def test_a_book_of_a_list_not_yet_in_force(world: World, clock: FrozenClock) -> None:
    book = make_textbook(listed=False)
    with unit_of_work():
        coming = FederalList(order_number="900", in_force_from=date(2027, 9, 1), loaded_at=clock.now())
        db.session.add(coming)
        db.session.flush()
        db.session.add(
            ListEntry(list_id=coming.id, appendix=1, number="1", row=1, raw={}, textbook_id=book.id)
        )
    described = services.describe(book.id, on=TODAY)
    assert described.now.legality is Legality.NOT_LISTED
    assert described.next_year.legality is Legality.ALLOWED
