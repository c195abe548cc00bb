"""Imports of spreadsheets: reading, answering, writing, undoing, on both engines."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.clock import FrozenClock
from exchange.db import db, in_unit, unit_of_work
from exchange.errors import Forbidden, Invalid, NotFound, Stale, WrongMoment
from exchange.intake import services
from exchange.intake.models import Intake
from exchange.intake.rules import IntakeState, Outcome
from exchange.ledger import services as ledger
from exchange.ledger.models import Movement
from exchange.ledger.rules import WriteOffReason
from exchange.recognition import services as recognition
from exchange.runs import Run
from exchange.schools.models import User
from exchange.stock import services as stock
from exchange.stock.rules import Condition
from tests import factories, postings_world
from tests.factories import World
from tests.intake_world import (
    HEADER,
    bring,
    line,
    make_books,
    notes_of,
    rows_of,
    shelf_of,
    text_table,
    workbook,
    workbooks,
    write,
)


def test_a_file_becomes_the_counts_of_the_shelf(world: World, clock: FrozenClock, tmp_path: Path) -> None:
    books = make_books()
    intake = bring(
        workbook(
            [
                ["Учебный фонд на 01.09.2026"],
                HEADER,
                line("Перышкин И.М., Иванов А.И.", "Физика", 7, 2023, "1 251", 2),
                line("Моро М.И. и др.", "Математика. Ч. 1", 1, 2022, "12 шт."),
                line("Моро М.И. и др.", "Математика в 2 частях (комплект)", 2, 2022, 30),
                line("", "Атлас по географии 7 класс", 7, 2022, 30),
                ["", "", "Итого", "", "", "", 1323],
            ]
        ),
        holder=world.donor_school,
        by=world.donor,
        clock=clock,
        folder=tmp_path,
    )
    assert intake.state is IntakeState.REVIEW
    assert [row.outcome for row in rows_of(intake)] == [
        Outcome.SERVICE,
        Outcome.SERVICE,
        Outcome.RECOGNISED,
        Outcome.RECOGNISED,
        Outcome.RECOGNISED,
        Outcome.NOT_TEXTBOOK,
        Outcome.SERVICE,
    ]
    done = write(intake, by=world.donor, clock=clock)
    assert done.state is IntakeState.APPLIED
    assert shelf_of(world.donor_school) == {
        (books["physics"].id, 2023, 1): 1251,
        (books["maths"].id, 2022, 1): 12,
        (books["maths 2"].id, 2022, 1): 30,
        (books["maths 2"].id, 2022, 2): 30,
    }
    assert ledger.verify() == []


def table(*rows: list[object]) -> bytes:
    return workbook([HEADER, *rows])


@pytest.fixture
def books(world: World) -> dict[str, Textbook]:
    return make_books()


PHYSICS = ("Перышкин И.М., Иванов А.И.", "Физика", 7)
GEOMETRY = ("Атанасян Л.С., Бутузов В.Ф.", "Геометрия", "7-9")


@pytest.fixture
def load(world: World, clock: FrozenClock, tmp_path: Path) -> Callable[..., Intake]:
    def brought(*rows: list[object], content: bytes | None = None, file: str = "фонд.xlsx") -> Intake:
        return bring(
            content or table(*rows),
            holder=world.donor_school,
            by=world.donor,
            clock=clock,
            folder=tmp_path,
            file=file,
        )

    return brought


def outcomes(intake: Intake) -> list[Outcome]:
    return [row.outcome for row in rows_of(intake) if row.outcome is not Outcome.SERVICE]


Load = Callable[..., Intake]


def test_the_second_import_of_a_file_changes_nothing(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    rows = (line(*PHYSICS, 2023, 25, 2), line("Моро М.И.", "Математика. Комплект", 1, 2022, 30))
    write(load(*rows), by=world.donor, clock=clock)
    shelf, movements = shelf_of(world.donor_school), db.session.query(Movement).count()
    clock.advance(days=1)
    again = load(*rows)
    plan = services.plan(again)
    assert plan.differing == []
    assert plan.same == 3
    done = write(again, by=world.donor, clock=clock)
    assert done.movement_id is None
    assert shelf_of(world.donor_school) == shelf
    assert db.session.query(Movement).count() == movements


def test_writing_twice_writes_once(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    intake = load(line(*PHYSICS, 2023, 25))
    write(intake, by=world.donor, clock=clock)
    write(intake, by=world.donor, clock=clock)
    assert shelf_of(world.donor_school) == {(books["physics"].id, 2023, 1): 25}
    assert db.session.query(Movement).count() == 1


def test_rows_of_one_edition_add_up_and_the_rest_of_the_shelf_stays(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    factories.put_on_shelf(world.donor_school, books["geometry"], 40, by=world.donor, clock=clock)
    factories.put_on_shelf(world.donor_school, books["physics"], 99, by=world.donor, clock=clock)
    intake = load(line(*PHYSICS, 2023, 25, 1), line(*PHYSICS, 2023, 5, 1))
    plan = services.plan(intake)
    (change,) = plan.changes
    assert (change.before.own, change.copies, change.worn, len(change.row_ids)) == (99, 30, 2, 2)
    assert plan.untouched == 1
    write(intake, by=world.donor, clock=clock)
    assert shelf_of(world.donor_school) == {
        (books["physics"].id, 2023, 1): 30,
        (books["geometry"].id, 2023, 1): 40,
    }


def test_less_than_is_offered_is_refused_before_and_left_out(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    factories.put_on_shelf(world.donor_school, books["physics"], 20, by=world.donor, clock=clock)
    edition = in_unit(lambda: catalog.edition_for(books["physics"].id, 2023, 1))
    with unit_of_work():
        postings_world.offer_of(world, clock, edition, holder=world.donor_school, by=world.donor, copies=8)
    intake = load(line(*PHYSICS, 2023, 5), line(*GEOMETRY, 2020, 12))
    plan = services.plan(intake)
    (refused,) = plan.refused
    assert refused.parameters == {"promised": 0, "offered": 8, "copies": 5}
    done = write(intake, by=world.donor, clock=clock)
    assert done.result["refused"] == 1
    assert shelf_of(world.donor_school) == {
        (books["physics"].id, 2023, 1): 20,
        (books["geometry"].id, 2020, 1): 12,
    }
    assert outcomes(done) == [Outcome.ERROR, Outcome.RECOGNISED]


def test_borrowed_copies_and_worn_ones_are_minded(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    write(load(line(*PHYSICS, 2023, 10, 4)), by=world.donor, clock=clock)
    clock.advance(days=1)
    without = workbook([HEADER[:-1], line(*PHYSICS, 2023, 3)[:-1]])
    write(load(content=without), by=world.donor, clock=clock)
    ((worn, _counted),) = notes_of(world.donor_school).values()
    assert worn == 3


# --- answers ---


def test_an_answer_holds_for_all_rows_of_the_wording_and_for_the_next_file(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    rows = (line("Перышкин", "Физика", "", 2022, 5), line("Перышкин", "Физика", "", 2023, 6))
    intake = load(*rows)
    assert outcomes(intake) == [Outcome.TO_CONFIRM] * 2
    first = rows_of(intake)[1]
    assert {each["id"] for each in first.candidates} == {books["physics"].id, books["physics 8"].id}
    changed = in_unit(lambda: services.choose(first.id, books["physics 8"].id, by=world.donor, clock=clock))
    assert changed == 2
    assert outcomes(intake) == [Outcome.RECOGNISED] * 2
    assert outcomes(load(*rows)) == [Outcome.RECOGNISED] * 2

    assert in_unit(lambda: services.take_back(first.id, by=world.donor)) == 2
    assert outcomes(intake) == [Outcome.TO_CONFIRM] * 2
    assert outcomes(load(*rows)) == [Outcome.TO_CONFIRM] * 2


def test_no_textbook_is_remembered_too(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    intake = load(line("Перышкин", "Физика", "", 2022, 5))
    row = rows_of(intake)[1]
    in_unit(lambda: services.not_a_textbook(row.id, by=world.donor, clock=clock))
    assert outcomes(intake) == [Outcome.NOT_TEXTBOOK]
    assert outcomes(load(line("Перышкин", "Физика", "", 2022, 7))) == [Outcome.NOT_TEXTBOOK]


def test_an_unknown_part_is_asked_about(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    same = line("Моро М.И., Волкова С.И., Степанова С.В.", "Математика", 1, 2022, 20)
    intake = load(same, same)
    assert outcomes(intake) == [Outcome.TO_CONFIRM] * 2
    one, two = rows_of(intake)[1:]
    in_unit(lambda: services.choose_part(one.id, 1, by=world.donor))
    assert outcomes(intake) == [Outcome.RECOGNISED, Outcome.TO_CONFIRM]
    in_unit(lambda: services.choose_part(two.id, 2, by=world.donor))
    write(intake, by=world.donor, clock=clock)
    assert shelf_of(world.donor_school) == {
        (books["maths"].id, 2022, 1): 20,
        (books["maths"].id, 2022, 2): 20,
    }


def test_a_part_chosen_by_hand_is_taken_back_alone(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    same = line("Моро М.И., Волкова С.И., Степанова С.В.", "Математика", 1, 2022, 20)
    intake = load(same, same)
    one, two = rows_of(intake)[1:]
    in_unit(lambda: services.choose_part(one.id, 1, by=world.donor))
    in_unit(lambda: services.choose_part(two.id, 2, by=world.donor))
    assert in_unit(lambda: services.take_back(one.id, by=world.donor)) == 1
    assert outcomes(intake) == [Outcome.TO_CONFIRM, Outcome.RECOGNISED]


def test_the_year_of_a_file_without_years(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    intake = load(line(*PHYSICS, None, 5), line(*GEOMETRY, "давно", 6), line(*PHYSICS, 2020, 7))
    assert outcomes(intake) == [Outcome.TO_CONFIRM, Outcome.TO_CONFIRM, Outcome.RECOGNISED]
    assert services.rows_without_year(intake) == 2
    in_unit(lambda: services.set_year(intake.id, 2019, by=world.donor, clock=clock))
    assert outcomes(intake) == [Outcome.RECOGNISED] * 3
    in_unit(lambda: services.set_year(intake.id, None, by=world.donor, clock=clock))
    assert outcomes(intake) == [Outcome.TO_CONFIRM, Outcome.TO_CONFIRM, Outcome.RECOGNISED]
    in_unit(lambda: services.set_year(intake.id, 2018, by=world.donor, clock=clock))
    write(intake, by=world.donor, clock=clock)
    assert shelf_of(world.donor_school) == {
        (books["physics"].id, 2018, 1): 5,
        (books["geometry"].id, 2018, 1): 6,
        (books["physics"].id, 2020, 1): 7,
    }


def test_a_wrong_cell_is_corrected(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    intake = load(line(*PHYSICS, 2023, "много"))
    (row,) = rows_of(intake)[1:]
    assert row.outcome is Outcome.ERROR
    with pytest.raises(Invalid):
        in_unit(lambda: services.correct(row.id, copies=3, worn=4, year=2023, by=world.donor, clock=clock))
    in_unit(lambda: services.correct(row.id, copies=30, worn=4, year=2022, by=world.donor, clock=clock))
    assert outcomes(intake) == [Outcome.RECOGNISED]
    write(intake, by=world.donor, clock=clock)
    assert shelf_of(world.donor_school) == {(books["physics"].id, 2022, 1): 30}


def test_reading_again_keeps_what_a_person_decided(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    intake = load(line("Перышкин", "Физика", "", 2022, 5), line(*GEOMETRY, 2020, 12, 3))
    first = rows_of(intake)[1]
    in_unit(lambda: services.choose(first.id, books["physics 8"].id, by=world.donor, clock=clock))
    (columns,) = services.columns_of(db.session.get_one(Intake, intake.id))
    roles = ["other" if role == "worn" else role for role in columns.roles]
    run_id = in_unit(
        lambda: services.set_columns(
            intake.id, 0, roles=roles, used=True, seen=None, by=world.donor, clock=clock
        )
    )
    with pytest.raises(WrongMoment):
        in_unit(lambda: services.choose(first.id, books["physics"].id, by=world.donor, clock=clock))
    services.reread(db.session.get_one(Run, run_id), lambda done, total: None, clock=clock)
    _header, kept, again = rows_of(intake)
    assert kept.by_hand
    assert kept.textbook_id == books["physics 8"].id
    assert (again.copies, again.worn) == (12, None)
    second = load(line(*GEOMETRY, 2020, 12, 3))
    assert services.columns_of(second)[0].remembered


# --- the code of the portal ---


def test_a_round_trip_changes_what_was_edited_and_nothing_else(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    for name, copies in (("physics", 20), ("geometry", 30), ("maths", 15)):
        factories.put_on_shelf(world.donor_school, books[name], copies, by=world.donor, clock=clock)
    header = [
        "Предмет",
        "Наименование",
        "Год издания",
        "Часть",
        "На полке, своих",
        "На полке, чужих",
        "К списанию",
        "Код",
    ]
    exported = [
        ["Физика", "Физика", 2023, None, 20, 0, 0, f"{books['physics'].id}-2023-1"],
        ["Математика", "Математика", 2023, 1, 15, 0, 0, f"{books['maths'].id}-2023-1"],
        ["Математика", "Математика", 2023, 2, 15, 0, 0, f"{books['maths'].id}-2023-2"],
        ["Геометрия", "Геометрия", 2023, None, 30, 0, 0, f"{books['geometry'].id}-2023-1"],
    ]
    same = load(content=workbook([header, *exported]))
    assert services.plan(same).differing == []
    edited = [list(row) for row in exported[:3]]
    edited[1][4] = 17
    intake = load(content=workbook([header, *edited]))
    plan = services.plan(intake)
    (change,) = plan.differing
    assert change.key == (books["maths"].id, 2023, 1)
    assert plan.untouched == 1
    write(intake, by=world.donor, clock=clock)
    assert shelf_of(world.donor_school) == {
        (books["physics"].id, 2023, 1): 20,
        (books["maths"].id, 2023, 1): 17,
        (books["maths"].id, 2023, 2): 15,
        (books["geometry"].id, 2023, 1): 30,
    }


def test_a_code_that_is_not_there_is_not_guessed(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    header = ["Наименование", "Количество", "Код"]
    intake = load(
        content=workbook(
            [header, ["Физика", 5, "999999-2023-1"], ["Физика", 5, f"{books['physics'].id}-2023-4"]]
        )
    )
    assert outcomes(intake) == [Outcome.NOT_LISTED] * 2


# --- undoing ---


def undone(intake: Intake, *, by: User, clock: FrozenClock) -> Intake:
    return in_unit(lambda: services.undo(intake.id, seen=None, by=by, clock=clock))


def test_undoing_puts_the_shelf_back(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    factories.put_on_shelf(world.donor_school, books["physics"], 20, by=world.donor, clock=clock)
    shelf, notes = shelf_of(world.donor_school), notes_of(world.donor_school)
    clock.advance(days=1)
    intake = write(load(line(*PHYSICS, 2023, 5, 1), line(*GEOMETRY, 2020, 12)), by=world.donor, clock=clock)
    assert shelf_of(world.donor_school) != shelf
    clock.advance(days=1)
    done = undone(intake, by=world.donor, clock=clock)
    assert done.state is IntakeState.UNDONE
    assert shelf_of(world.donor_school) == shelf
    assert notes_of(world.donor_school) == notes
    assert ledger.verify() == []
    undone(intake, by=world.donor, clock=clock)
    assert shelf_of(world.donor_school) == shelf


def _count_again(world: World, edition: Edition, clock: FrozenClock) -> None:
    stock.count(holder=world.donor_school, edition=edition, copies=5, by=world.donor, clock=clock)


def _offer(world: World, edition: Edition, clock: FrozenClock) -> None:
    postings_world.offer_of(world, clock, edition, holder=world.donor_school, by=world.donor, copies=4)


def _note_worn(world: World, edition: Edition, clock: FrozenClock) -> None:
    stock.set_note(
        holder=world.donor_school,
        edition=edition,
        condition=Condition.GOOD,
        worn=2,
        by=world.donor,
        clock=clock,
    )


def _write_off(world: World, edition: Edition, clock: FrozenClock) -> None:
    stock.write_off(
        holder=world.donor_school,
        edition=edition,
        owner=world.donor_school,
        copies=1,
        reason=WriteOffReason.LOST,
        document="акт 1",
        by=world.donor,
        clock=clock,
    )


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (_count_again, "пересчитывали"),
        (_offer, "выставлены"),
        (_note_worn, "состояние"),
        (_write_off, "приходили или уходили"),
    ],
)
def test_undoing_is_refused_when_anything_stands_on_it(
    world: World,
    clock: FrozenClock,
    books: dict[str, Textbook],
    load: Load,
    change: Callable[[World, Edition, FrozenClock], None],
    word: str,
) -> None:
    intake = write(load(line(*PHYSICS, 2023, 5)), by=world.donor, clock=clock)
    clock.advance(hours=1)
    edition = in_unit(lambda: catalog.edition_for(books["physics"].id, 2023, 1))
    in_unit(lambda: change(world, edition, clock))
    shelf = shelf_of(world.donor_school)
    with pytest.raises(WrongMoment) as refused:
        undone(intake, by=world.donor, clock=clock)
    assert word in str(refused.value)
    assert "Физика" in str(refused.value)
    assert shelf_of(world.donor_school) == shelf


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["physics", "physics 8", "geometry", "maths", "maths 2"]),
        st.integers(2019, 2021),
        st.sampled_from([1, 2, None]),
        st.integers(0, 40),
        st.one_of(st.none(), st.integers(0, 3)),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=ROWS, files=st.lists(ROWS.filter(len), min_size=1, max_size=2))
def test_undoing_the_imports_one_by_one_leaves_no_trace(
    world: World,
    clock: FrozenClock,
    books: dict[str, Textbook],
    load: Load,
    before: list[Any],
    files: list[list[Any]],
) -> None:
    def content(rows: list[Any]) -> bytes:
        header = ["Наименование", "Количество", "К списанию", "Код"]
        body = [
            [
                "книга",
                copies,
                min(worn, copies) if worn is not None else None,
                f"{books[name].id}-{year}-{min(part or 1, books[name].parts)}",
            ]
            for name, year, part, copies, worn in rows
        ]
        return text_table([header, *body])

    if before:
        write(load(content=content(before), file="начало.csv"), by=world.donor, clock=clock)
    trail = []
    for rows in files:
        clock.advance(hours=1)
        kept = shelf_of(world.donor_school), notes_of(world.donor_school)
        trail.append((kept, write(load(content=content(rows), file="ф.csv"), by=world.donor, clock=clock)))
        assert ledger.verify() == []
    for kept, intake in reversed(trail):
        clock.advance(hours=1)
        undone(intake, by=world.donor, clock=clock)
        assert (shelf_of(world.donor_school), notes_of(world.donor_school)) == kept
        assert ledger.verify() == []


# --- doors and moments ---


def test_only_who_counts_may_bring_and_write(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load, tmp_path: Path
) -> None:
    with pytest.raises(Forbidden):
        in_unit(
            lambda: services.start(
                holder=world.donor_school, file="ф.csv", by=world.donor_director, clock=clock
            )
        )
    with pytest.raises(NotFound):
        in_unit(
            lambda: services.start(holder=world.donor_school, file="ф.csv", by=world.stranger, clock=clock)
        )
    intake = load(line(*PHYSICS, 2023, 5))
    with pytest.raises(NotFound):
        in_unit(lambda: services.apply(intake.id, seen=None, by=world.stranger, clock=clock))
    with pytest.raises(Forbidden):
        in_unit(lambda: services.apply(intake.id, seen=None, by=world.methodist, clock=clock))
    with pytest.raises(Stale):
        in_unit(lambda: services.apply(intake.id, seen=intake.version - 1, by=world.donor, clock=clock))
    assert shelf_of(world.donor_school) == {}


def test_the_fund_is_imported_by_the_methodist(
    world: World, clock: FrozenClock, books: dict[str, Textbook], tmp_path: Path
) -> None:
    intake = bring(
        table(line(*PHYSICS, 2023, 5)), holder=world.fund, by=world.methodist, clock=clock, folder=tmp_path
    )
    write(intake, by=world.methodist, clock=clock)
    assert shelf_of(world.fund) == {(books["physics"].id, 2023, 1): 5}


def test_a_broken_file_fails_with_a_sentence(world: World, clock: FrozenClock, tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        bring(b"%PDF-1.4 x", holder=world.donor_school, by=world.donor, clock=clock, folder=tmp_path)
    intake = db.session.scalars(sa.select(Intake)).one()
    assert intake.state is IntakeState.FAILED
    assert "PDF" in intake.result["message"]
    assert list(tmp_path.glob("intake-*")) == []


def test_every_sheet_and_row_is_kept(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    content = workbooks(
        {
            "5 класс": [["Название", "Кол-во"], ["Физика 7 класс Перышкин", 5], ["Итого", 5]],
            "Реквизиты": [["ИНН"], ["Адрес"]],
            "7 класс": [["Количество", "Наименование"], [6, "Геометрия 7-9 Атанасян"]],
        }
    )
    intake = load(content=content)
    kept = {(row.sheet, row.row): row.cells for row in rows_of(intake)}
    assert kept == {
        (0, 1): ["Название", "Кол-во"],
        (0, 2): ["Физика 7 класс Перышкин", "5"],
        (0, 3): ["Итого", "5"],
        (1, 1): ["ИНН"],
        (1, 2): ["Адрес"],
        (2, 1): ["Количество", "Наименование"],
        (2, 2): ["6", "Геометрия 7-9 Атанасян"],
    }


def test_a_hidden_sheet_waits_and_tables_side_by_side_are_two(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    book = openpyxl.Workbook()
    shown = book.active
    shown.append(["Название", "Год", "Кол-во", "Название", "Год", "Кол-во"])
    shown.append(["Физика 7 класс Перышкин", 2020, 5, "Геометрия 7-9 Атанасян", 2021, 6])
    hidden = book.create_sheet("Прошлый год")
    hidden.sheet_state = "hidden"
    hidden.append(["Название", "Год", "Кол-во"])
    hidden.append(["Физика 7 класс Перышкин", 2020, 50])
    file = io.BytesIO()
    book.save(file)
    intake = load(content=file.getvalue())
    assert [each.used for each in services.columns_of(intake)] == [True, True, False]
    assert sorted(row.copies for row in rows_of(intake) if row.copies is not None) == [5, 6]
    kept = {(row.sheet, row.row) for row in rows_of(intake)}
    assert kept == {(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)}


def test_a_file_that_counts_without_end_is_refused(
    world: World, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few megabytes of numbers under a heading for each year would be millions of rows."""
    monkeypatch.setattr("exchange.intake.importer.MOST_ROWS", 40)
    years = [str(year) for year in range(2010, 2024)]
    with pytest.raises(Invalid, match="слишком много"):
        load(
            content=workbook(
                [
                    ["Автор", "Наименование", *years],
                    *(["Перышкин", f"Физика {number}", *[1] * len(years)] for number in range(3)),
                ]
            )
        )
    found = db.session.scalars(sa.select(Intake)).one()
    assert found.state is IntakeState.FAILED


def test_an_old_reading_does_not_write_over_a_new_one(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    intake = load(line(*PHYSICS, 2023, 25, 2))
    (columns,) = services.columns_of(intake)

    def corrected(number: str, role: str) -> int:
        roles = list(columns.roles)
        roles[list(columns.headings).index(number)] = role
        return in_unit(
            lambda: services.set_columns(
                intake.id, 0, roles=roles, used=True, seen=None, by=world.donor, clock=clock
            )
        )

    old = corrected("К списанию", "copies")
    clock.advance(hours=1)
    # Nothing has been heard of it for long, so it is taken for dead; it only was slow.
    in_unit(lambda: services.revive(intake.id, by=world.donor, clock=clock))
    new = corrected("К списанию", "other")
    with pytest.raises(WrongMoment):
        services.reread(db.session.get_one(Run, old), lambda done, total: None, clock=clock)
    assert db.session.get_one(Intake, intake.id, populate_existing=True).state is IntakeState.READING
    services.reread(db.session.get_one(Run, new), lambda done, total: None, clock=clock)
    assert [row.worn for row in rows_of(intake) if row.wording] == [None]


def test_rows_without_a_single_letter_are_answered_one_by_one(
    world: World, clock: FrozenClock, books: dict[str, Textbook], load: Load
) -> None:
    """What names no book is no wording: nothing is learned from it, and one answer is for one row."""
    rows = [["ISBN", "Наименование", "Год издания", "Количество"]]
    rows += [["978-5-09-0", "Физика", 2023, 3], ["–", "", 2023, 25], ["–", "", 2022, 5]]
    intake = load(content=workbook(rows))
    first, second = (row.id for row in rows_of(intake) if row.wording and not row.group_key)
    for row_id, book in ((first, "physics"), (second, "geometry")):
        with unit_of_work():
            services.choose(row_id, books[book].id, by=world.donor, clock=clock)
    assert recognition.aliases_of(world.donor_school) == {}
    in_unit(lambda: services.take_back(first, by=world.donor))
    assert {row.id: row.textbook_id for row in rows_of(intake) if row.id in (first, second)} == {
        first: None,
        second: books["geometry"].id,
    }
