"""A regional report as a district: its shelves, its lists, an exchange tried on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
import sqlalchemy as sa

from exchange.approved import services as approved
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.ledger import services as ledger
from exchange.ledger.models import Balance
from exchange.postings.models import Offer, Request, RequestPart
from exchange.recognition import services as recognition
from exchange.regions import services
from exchange.regions.rules import Holding, Report, with_grades
from exchange.schools.models import Holder
from exchange.schools.rules import HolderKind
from tests.factories import World, make_textbook

YEAR = 2026


def holding(row: int, district: str, title: str, stock: int, pupils: int) -> Holding:
    return Holding(row, district, "", "", title, "", "", "", stock, pupils, 0, None, None)


def report_of(*holdings: Holding) -> Report:
    return Report("отчёт.xlsx", date(2017, 11, 30), "Край", holdings, 0, 0, ())


@pytest.fixture
def books(world: World):
    physics = make_textbook("Физика", subject="Физика", grades=(7, 7), authors="Перышкин И.М.; Иванов А.И.")
    algebra = make_textbook(
        "Алгебра", subject="Математика", grades=(7, 7), authors="Макарычев Ю.Н.; Миндюк Н.Г.", parts=2
    )
    return physics, algebra


@pytest.fixture
def report() -> Report:
    physics, algebra = (
        "Перышкин И.М., Иванов А.И. Физика. 7 класс",
        "Макарычев Ю.Н., Миндюк Н.Г. Алгебра. 7 класс. В 2-х ч.",
    )
    return report_of(
        holding(1, "Агинский район", physics, 50, 30),
        holding(2, "Агинский район", algebra, 10, 30),
        holding(3, "Могочинский район", physics, 5, 40),
        holding(4, "Могочинский район", algebra, 36, 40),
        holding(5, "Могочинский район", "Кулинарная книга", 36, 40),
        replace(holding(6, "Могочинский район", physics, 36, 40), electronic=True),
    )


def test_only_sure_titles_count(books, report: Report) -> None:
    found = services.recognise([report])
    assert found.sure == 4
    assert [each.title for each in found.unclear] == ["Кулинарная книга"]
    assert {each.textbook_id for each in found.stocks} == {book.id for book in books}


def test_an_exchange_is_tried(books, report: Report, clock: FrozenClock) -> None:
    result = services.tried(services.recognise([report]).stocks, clock=clock)
    # Agin has 20 of physics too many, Mogocha lacks 35; nobody has algebra to spare.
    assert result.figures.sets == 20
    assert result.figures.trips == 1


def test_a_district_is_made_of_it(books, report: Report, clock: FrozenClock) -> None:
    physics, algebra = books
    stocks = services.recognise([report]).stocks
    with unit_of_work():
        made = services.load(
            stocks,
            name="Край по отчётам",
            login="region",
            password_hash="x",
            timezone="Asia/Krasnoyarsk",
            printed=2017,
            source="сводный отчёт",
            posting_days=60,
            clock=clock,
        )
        district_id = made.district.id
    # 20 of physics in Agin; Mogocha lacks physics and algebra, Agin algebra.
    assert (made.offers, made.requests, made.refused) == (1, 3, 0)
    offers = db.session.execute(
        sa.select(Offer.copies, Holder.name).join(Holder).where(Offer.district_id == district_id)
    )
    assert list(offers) == [(20, "Агинский район")]
    wanted = db.session.execute(
        sa.select(Holder.name, RequestPart.part, RequestPart.copies)
        .join(Request, Request.school_id == Holder.id)
        .join(RequestPart)
        .where(Request.district_id == district_id)
        .order_by(Holder.name, RequestPart.part, RequestPart.copies)
    )
    assert list(wanted) == [
        ("Агинский район", 1, 20),
        ("Агинский район", 2, 20),
        ("Могочинский район", 1, 4),
        ("Могочинский район", 1, 35),
        ("Могочинский район", 2, 4),
    ]
    schools = {
        holder.name: holder.id
        for holder in db.session.scalars(
            sa.select(Holder).where(Holder.district_id == district_id, Holder.kind == HolderKind.SCHOOL)
        )
    }
    assert set(schools) == {"Агинский район", "Могочинский район"}
    assert ledger.verify(district_id) == []
    copies = dict(
        db.session.execute(
            sa.select(Balance.holder_id, sa.func.sum(Balance.copies))
            .where(Balance.holder_id.in_(schools.values()))
            .group_by(Balance.holder_id)
        ).all()
    )
    # A set of algebra is two copies on the shelf.
    assert copies == {schools["Агинский район"]: 50 + 2 * 10, schools["Могочинский район"]: 5 + 2 * 36}
    users = approved.users(list(schools.values()), YEAR)
    assert {(school, use.textbook_id): use.pupils for school, uses in users.items() for use in uses} == {
        (schools["Агинский район"], physics.id): 30,
        (schools["Агинский район"], algebra.id): 30,
        (schools["Могочинский район"], physics.id): 40,
        (schools["Могочинский район"], algebra.id): 40,
    }


def test_the_recogniser_is_the_portals_own(books) -> None:
    assert recognition.recogniser() is recognition.recogniser()


def test_the_number_of_pupils_tells_the_class(books, clock: FrozenClock) -> None:
    seventh = make_textbook(
        "Биология", subject="Биология", grades=(7, 7), authors="Пономарёва И.Н.; Корнилова О.А."
    )
    make_textbook("Биология", subject="Биология", grades=(8, 8), authors="Пономарёва И.Н.; Корнилова О.А.")
    rows = [
        holding(1, "Агинский район", "Перышкин И.М., Иванов А.И. Физика. 7 класс", 50, 30),
        holding(2, "Агинский район", "Макарычев Ю.Н., Миндюк Н.Г. Алгебра. 7 класс. В 2-х ч.", 10, 30),
        holding(3, "Агинский район", "Пономарёва И.Н., Корнилова О.А. Биология", 10, 30),
        holding(4, "Могочинский район", "Пономарёва И.Н., Корнилова О.А. Биология", 10, 30),
    ]
    found = services.recognise([report_of(*with_grades(rows))])
    assert (found.sure, found.by_pupils) == (3, 1)
    assert [each.row for each in found.unclear] == [4]
    assert ("Агинский район", seventh.id) in {(each.place, each.textbook_id) for each in found.stocks}


def test_the_same_pupils_count_once(books) -> None:
    physics = "Перышкин И.М., Иванов А.И. Физика. 7 класс"
    found = services.recognise(
        [
            report_of(
                *(
                    holding(row, "Агинский район", physics, 10, pupils)
                    for row, pupils in ((1, 30), (2, 30), (3, 8))
                )
            )
        ]
    )
    (total,) = found.stocks
    assert (total.stock, total.pupils) == (30, 38)
