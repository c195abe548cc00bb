"""Spreadsheets as schools have them, and the steps of an import."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import sqlalchemy as sa

from exchange import runs
from exchange.catalog.models import Edition, Textbook
from exchange.clock import FrozenClock
from exchange.db import db, in_unit
from exchange.intake import services
from exchange.intake.models import Intake, IntakeRow
from exchange.ledger.models import Balance
from exchange.schools.models import Holder, User
from exchange.stock.models import ShelfNote
from tests import factories

HEADER = ("№", "Автор", "Наименование", "Класс", "Издательство", "Год издания", "Количество", "К списанию")


def workbook(rows: Iterable[Sequence[Any]], *, merged: Sequence[str] = (), name: str = "Лист1") -> bytes:
    """Return an Excel workbook of one sheet."""
    return workbooks({name: rows}, merged=merged)


def workbooks(sheets: Mapping[str, Iterable[Sequence[Any]]], *, merged: Sequence[str] = ()) -> bytes:
    """Return an Excel workbook of several sheets; ``merged`` blocks are those of the first."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    for block in merged:
        book.worksheets[0].merge_cells(block)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def text_table(rows: Iterable[Sequence[Any]], *, delimiter: str = ";", encoding: str = "cp1251") -> bytes:
    """Return a text table as Excel of a Russian school saves it."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode(encoding)


def make_books() -> dict[str, Textbook]:
    """Put some books into the catalogue: two in parts, two that differ by class only."""
    return {
        "maths": factories.make_textbook(
            "Математика", authors="Моро М.И.; Волкова С.И.; Степанова С.В.", grades=(1, 1), parts=2
        ),
        "maths 2": factories.make_textbook(
            "Математика",
            authors="Моро М.И.; Бантова М.А.; Бельтюкова Г.В.",
            grades=(2, 2),
            parts=2,
        ),
        "physics": factories.make_textbook(
            "Физика", authors="Перышкин И.М.; Иванов А.И.", subject="Физика", grades=(7, 7)
        ),
        "physics 8": factories.make_textbook(
            "Физика", authors="Перышкин И.М.; Иванов А.И.", subject="Физика", grades=(8, 8)
        ),
        "geometry": factories.make_textbook(
            "Геометрия", authors="Атанасян Л.С.; Бутузов В.Ф.", subject="Геометрия", grades=(7, 9)
        ),
    }


def line(author: str, title: str, grade: Any, year: Any, copies: Any, worn: Any = None) -> list[Any]:
    """Return a row under ``HEADER``."""
    return [None, author, title, grade, "Просвещение", year, copies, worn]


def bring(
    content: bytes,
    *,
    holder: Holder,
    by: User,
    clock: FrozenClock,
    folder: Path,
    file: str = "фонд.xlsx",
    pasted: bool = False,
) -> Intake:
    """Bring a file and have it read, as the page does."""
    intake = in_unit(lambda: services.start(holder=holder, file=file, pasted=pasted, by=by, clock=clock))
    services.upload_path(folder, intake.run_id or 0).write_bytes(content)
    run = db.session.get_one(runs.Run, intake.run_id)
    services.read_upload(run, lambda done, total: None, folder=folder, clock=clock)
    return db.session.get_one(Intake, intake.id, populate_existing=True)


def write(intake: Intake, *, by: User, clock: FrozenClock) -> Intake:
    """Write an import to the shelf."""
    return in_unit(lambda: services.apply(intake.id, seen=None, by=by, clock=clock))


def rows_of(intake: Intake) -> list[IntakeRow]:
    """Return all the rows of an import in the order of the file."""
    return list(
        db.session.scalars(
            sa.select(IntakeRow)
            .where(IntakeRow.intake_id == intake.id)
            .order_by(IntakeRow.sheet, IntakeRow.row, IntakeRow.item)
            .execution_options(populate_existing=True)
        )
    )


def shelf_of(holder: Holder) -> dict[tuple[int, int, int], int]:
    """Return the own copies on a shelf by textbook, year and part."""
    return {
        (row.textbook_id, row.year, row.part): row.copies
        for row in db.session.execute(
            sa.select(Edition.textbook_id, Edition.year, Edition.part, Balance.copies)
            .join(Balance, Balance.edition_id == Edition.id)
            .where(Balance.holder_id == holder.id, Balance.owner_id == holder.id, Balance.copies > 0)
        )
    }


def notes_of(holder: Holder) -> dict[int, tuple[int, Any]]:
    """Return worn copies and the day of the count by edition."""
    return {
        row.edition_id: (row.worn, row.counted_at)
        for row in db.session.execute(
            sa.select(ShelfNote.edition_id, ShelfNote.worn, ShelfNote.counted_at).where(
                ShelfNote.holder_id == holder.id
            )
        )
    }
