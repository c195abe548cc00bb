"""Loading a federal list: nothing lost, nothing doubled, nothing forgotten."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

from exchange.catalog import services
from exchange.catalog.importer import Outcome
from exchange.catalog.models import FederalList, ListEntry, Textbook
from exchange.catalog.rules import Legality
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.errors import Forbidden, Invalid, WrongMoment
from exchange.journal import history
from tests.factories import World

HEADER = "Приложение;Номер;Предмет;Название;Авторы;Класс;Уровень;Частей;Издательство;Срок"
KANAKINA = (
    "1;1.1.1.1.1.1.2;Русский язык;Русский язык;Канакина В.П., Горецкий В.Г.;2;;2;Просвещение;25.04.2027"
)
MORO = "1;1.1.1.4.1.1.2;Математика;Математика;Моро М.И., Бантова М.А.;2;;2;Просвещение;25.04.2027"
OLD = "2;1.1.2.5.1.7.1;Физика;Физика;Пёрышкин А.В.;7;;1;Дрофа;31.08.2027"
SHARED = Path(os.environ.get("EXCHANGE_SHARED", Path(__file__).parents[2].parent / "shared"))
WORKBOOK = SHARED / "fpu" / "order_858_edition_119.xlsx"


@pytest.fixture
def load(world: World, clock: FrozenClock, tmp_path: Path):
    """Load a list of the given rows and return its plan."""

    def work(
        *rows: str,
        order: str = "858",
        edition: str = "119",
        since: date = date(2023, 9, 1),
        whole: bool = True,
    ) -> services.Plan:
        path = tmp_path / "list.csv"
        path.write_text("\n".join([HEADER, *rows]), encoding="utf-8")
        plan = services.plan_import(path, order=order, edition=edition, in_force_from=since, whole=whole)
        with unit_of_work():
            services.apply_import(plan, by=world.methodist, clock=clock)
        return plan

    return work


def contents() -> list[tuple[object, ...]]:
    """Return everything the import writes but the moments."""
    return [
        *map(tuple, db.session.execute(sa.select(Textbook.__table__).order_by(Textbook.id))),
        *map(tuple, db.session.execute(sa.select(ListEntry.__table__).order_by(ListEntry.id))),
        *map(
            tuple,
            db.session.execute(
                sa.select(FederalList.order_number, FederalList.in_force_from, FederalList.in_force_until)
            ),
        ),
    ]


def test_rows_become_entries_and_books(load) -> None:
    plan = load(KANAKINA, OLD)
    assert plan.counts == {"new": 2, "changed": 0, "unchanged": 0, "excluded": 0, "doubtful": 0}
    book = db.session.query(Textbook).filter_by(subject="Физика").one()
    assert (book.title, book.authors, book.grade_from, book.parts) == ("Физика", "Пёрышкин А.В.", 7, 1)
    assert "перышкин" in book.folded
    entry = book.entries[0]
    assert (entry.appendix, entry.valid_until, entry.perpetual) == (2, date(2027, 8, 31), False)
    assert entry.raw["authors"] == "Пёрышкин А.В."


def test_importing_again_changes_nothing(load, clock: FrozenClock) -> None:
    load(KANAKINA, MORO, OLD)
    before = contents()
    loaded_at = db.session.query(FederalList).one().loaded_at
    events = len(history("federal_list", db.session.query(FederalList).one().id))
    clock.advance(days=1)
    plan = load(KANAKINA, MORO, OLD)
    assert plan.report.changes_nothing
    assert plan.counts["unchanged"] == 3
    assert contents() == before
    again = db.session.query(FederalList).one()
    assert again.loaded_at == loaded_at
    assert len(history("federal_list", again.id)) == events == 1


def test_a_row_that_left_is_marked_with_its_day_and_may_come_back(load) -> None:
    load(KANAKINA, MORO)
    load(KANAKINA)
    gone = db.session.query(ListEntry).filter(ListEntry.excluded_on.is_not(None)).one()
    assert gone.textbook.subject == "Математика"
    assert gone.excluded_on == date(2026, 9, 14)
    verdict = services.verdicts([gone.textbook_id], date(2026, 9, 14))[gone.textbook_id]
    assert verdict.legality is Legality.EXCLUDED
    load(KANAKINA, MORO)
    assert db.session.query(ListEntry).filter(ListEntry.excluded_on.is_not(None)).count() == 0
    assert db.session.query(ListEntry).count() == 2


def test_additions_exclude_nobody(load) -> None:
    load(KANAKINA)
    load(MORO, whole=False)
    assert db.session.query(ListEntry).filter(ListEntry.excluded_on.is_(None)).count() == 2


def test_one_book_in_two_orders_and_both_appendices_is_one_row(load) -> None:
    load(KANAKINA, OLD)
    moved = KANAKINA.replace("1;1.1.1.1.1.1.2", "2;1.1.1.9.9.9.9").replace("25.04.2027", "31.08.2028")
    load(moved, OLD, order="769", edition="", since=date(2025, 9, 1))
    book = db.session.query(Textbook).filter_by(subject="Русский язык").one()
    assert sorted((entry.list.label, entry.appendix) for entry in book.entries) == [
        ("769", 2),
        ("858/119", 1),
    ]
    verdict = services.verdicts([book.id], date(2026, 9, 14))[book.id]
    assert (verdict.legality, verdict.until, verdict.order) == (
        Legality.ALLOWED,
        date(2028, 8, 31),
        "769",
    )
    assert not verdict.may_buy


def test_a_newer_order_ends_the_former_whichever_is_loaded_first(load) -> None:
    load(KANAKINA, order="769", edition="", since=date(2025, 9, 1))
    load(KANAKINA)
    lists = {each.label: each for each in db.session.query(FederalList)}
    assert lists["858/119"].in_force_until == date(2025, 8, 31)
    assert lists["769"].in_force_until is None


def test_the_newest_order_describes_the_book_whichever_is_loaded_first(load) -> None:
    newer = KANAKINA.replace(";2;;2;", ";2;;3;")
    load(newer, order="769", edition="", since=date(2025, 9, 1))
    load(KANAKINA)
    assert db.session.query(Textbook).one().parts == 3


def test_a_corrected_author_does_not_leave_a_second_book(load) -> None:
    load(KANAKINA.replace("Канакина", "Канакана"))
    plan = load(KANAKINA)
    assert plan.counts["changed"] == 1
    book = db.session.query(Textbook).one()
    assert book.authors.startswith("Канакина")


def test_parts_somebody_counted_stay(load) -> None:
    load(KANAKINA)
    with unit_of_work():
        services.edition_for(db.session.query(Textbook).one().id, 2022, 2)
    load(KANAKINA.replace(";2;;2;", ";2;;1;"))
    assert db.session.query(Textbook).one().parts == 2


def test_two_books_under_one_number_are_both_kept(load) -> None:
    other = MORO.replace("1.1.1.4.1.1.2", "1.1.1.1.1.1.2")
    load(KANAKINA, other)
    assert sorted(entry.position for entry in db.session.query(ListEntry)) == [0, 1]
    assert load(KANAKINA, other).report.changes_nothing


def test_two_lists_cannot_begin_on_the_same_day(load) -> None:
    load(KANAKINA)
    with pytest.raises(Invalid, match="уже действует перечень 858/119"):
        load(KANAKINA, order="769", edition="")


def test_a_file_of_another_order_is_refused(load) -> None:
    with pytest.raises(Invalid, match="нет ни одной строки"):
        load()


def test_a_text_too_long_for_a_book_is_listed_not_loaded(load) -> None:
    plan = load(KANAKINA, MORO.replace("Моро М.И.", "Ы" * 600))
    assert plan.counts["new"] == 1
    assert plan.parsed.accounted[Outcome.LISTED] == 1
    assert "строка не загружена" in plan.table[-1][-1]


def test_a_plan_made_before_somebody_else_loaded_is_refused(
    load, world: World, clock: FrozenClock, tmp_path: Path
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([HEADER, KANAKINA, OLD]), encoding="utf-8")
    mine = services.plan_import(path, order="858", edition="119", in_force_from=date(2023, 9, 1))
    load(KANAKINA, MORO)
    before = contents()
    with pytest.raises(WrongMoment), unit_of_work():
        services.apply_import(mine, by=world.methodist, clock=clock)
    assert contents() == before


def test_only_who_may_loads(world: World, clock: FrozenClock, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"{HEADER}\n{KANAKINA}", encoding="utf-8")
    plan = services.plan_import(path, order="858", edition="119", in_force_from=date(2023, 9, 1))
    with pytest.raises(Forbidden), unit_of_work():
        services.apply_import(plan, by=world.donor, clock=clock)


def test_the_demo_lists_load(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        services.load_demo_lists(by=world.methodist, clock=clock)
    assert db.session.query(Textbook).count() >= 300
    before = contents()
    with unit_of_work():
        services.load_demo_lists(by=world.methodist, clock=clock)
    assert contents() == before
    in_force = db.session.query(FederalList).filter_by(in_force_until=None).one()
    assert in_force.order_number == "769"


@pytest.mark.skipif(not WORKBOOK.exists(), reason=f"the real workbook is not there: {WORKBOOK}")
def test_the_real_workbook_loads_whole_and_again_changes_nothing(world: World, clock: FrozenClock) -> None:
    def load() -> services.Plan:
        plan = services.plan_import(WORKBOOK, order="858", edition="119", in_force_from=date(2023, 9, 1))
        with unit_of_work():
            services.apply_import(plan, by=world.methodist, clock=clock)
        return plan

    first = load()
    accounted = first.parsed.accounted
    assert sum(accounted.values()) == first.parsed.rows_read == 2550
    assert accounted[Outcome.IMPORTED] + accounted[Outcome.LISTED] == 2161
    assert db.session.query(ListEntry).count() == accounted[Outcome.IMPORTED]
    before = contents()
    assert load().report.changes_nothing
    assert contents() == before
