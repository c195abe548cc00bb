"""Imports of spreadsheets: reading, answering, writing, undoing, on both engines."""

from __future__ import annotations

from pathlib import Path

from exchange.clock import FrozenClock
from exchange.intake.rules import IntakeState, Outcome
from exchange.ledger import services as ledger
from tests.factories import World
from tests.intake_world import (
    HEADER,
    bring,
    line,
    make_books,
    rows_of,
    shelf_of,
    workbook,
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
