"""Reading librarians' tables: the header, the columns, the rows. Nothing is lost, whatever the table."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import sheets
from exchange.intake import importer
from exchange.intake.importer import Columns, ReadRow, find_columns, heading_of, read_rows
from exchange.intake.rules import SERVICE_HEADER, SERVICE_SECTION, SERVICE_SHEET, SERVICE_TOTAL, Role
from tests.house.source import ROOT
from tests.intake_world import text_table, workbook

SHARED = Path(os.environ.get("EXCHANGE_SHARED", ROOT.parent / "shared")) / "forms"
needs_forms = pytest.mark.skipif(
    not SHARED.exists(), reason=f"there is no {SHARED}: EXCHANGE_SHARED names the folder it is in"
)

Cells = Sequence[Any]


def numbered(*rows: Cells) -> list[sheets.Row]:
    width = max(len(row) for row in rows)
    return [
        (number, list(row) + [None] * (width - len(row)))
        for number, row in enumerate(rows, start=1)
        if any(cell not in (None, "") for cell in row)
    ]


def read(*rows: Cells, name: str = "") -> tuple[Columns, list[ReadRow]]:
    table = numbered(*rows)
    columns = find_columns(table, name=name)
    return columns, read_rows(table, columns, sheet=0)


def books(rows: Sequence[ReadRow]) -> list[ReadRow]:
    return [row for row in rows if row.wording is not None]


def meanings(columns: Columns) -> dict[str, str]:
    pairs = zip(columns.headings, columns.roles, strict=True)
    return {heading: role for heading, role in pairs if role != Role.OTHER}


# --- headings ---


@pytest.mark.parametrize(
    ("heading", "role"),
    [
        ("Наименование", Role.TITLE),
        ("Название учебника", Role.TITLE),
        ("Автор, название", Role.TITLE),
        ("Авторы", Role.AUTHORS),
        ("Автор/авторский коллектив", Role.AUTHORS),
        ("Класс", Role.GRADES),
        ("Год издания", Role.YEAR),
        ("Г. изд.", Role.YEAR),
        ("год", Role.YEAR),
        ("Издательство", Role.PUBLISHER),
        ("Изд-во", Role.PUBLISHER),
        ("Наименование издателя учебника", Role.PUBLISHER),
        ("Количество", Role.COPIES),
        ("Кол-во экз.", Role.COPIES),
        ("Наличие", Role.COPIES),
        ("Всего", Role.COPIES),
        ("Состоит на учёте", Role.COPIES),
        ("На полке, своих", Role.COPIES),
        ("экз.", Role.COPIES),
        ("К списанию", Role.WORN),
        ("Кол-во учебников, подлежащих к списанию", Role.WORN),
        ("Часть", Role.PART),
        ("Предмет", Role.SUBJECT),
        ("№ ФПУ", Role.NUMBER),
        ("Номер по ФПУ", Role.NUMBER),
        ("ISBN", Role.ISBN),
        ("Код", Role.CODE),
        ("Наименвание", Role.TITLE),
        ("Издательсво", Role.PUBLISHER),
        ("Колличество", Role.COPIES),
        ("Kласс", Role.GRADES),
        ("НАИМЕНОВАНИЕ\nУЧЕБНИКА", Role.TITLE),
        ("2019", "year-2019"),
        ("2021 г.", "year-2021"),
        ("5 класс", "grade-5"),
        ("10-11 кл.", "grade-10-11"),
        ("Учебник (автор, название)", Role.TITLE),
        ("Номенклатура", Role.TITLE),
        ("Есть", Role.COPIES),
        ("К-во", Role.COPIES),
        ("Число учебников", Role.COPIES),
        ("Инв. номер", Role.INVENTORY),
        ("1 ч.", "part-1"),
        ("Часть 2", "part-2"),
    ],
)
def test_a_heading_is_known_by_its_words(heading: str, role: str) -> None:
    assert heading_of(heading)[0] == role


@pytest.mark.parametrize(
    "heading",
    [
        "Количество учащихся",
        "Цена, руб.",
        "Потребность",
        "№ п/п",
        "Код 1С",
        "Примечание",
        "Учебный год",
        "Коэффициент",
        "Кол-во уч-ся",
        "Количество человек",
        "Кол-во стр.",
        "Кол-во классов",
        "Количество ЭФУ",
        "Надо докупить",
        "Выдано учащимся",
        "Списано",
        "Год поступления",
        "Кол-во учебников на 1 ученика",
    ],
)
def test_other_headings_are_no_books_and_no_counts(heading: str) -> None:
    assert heading_of(heading)[0] not in set(Role)


# --- finding the table ---

BODY = (
    ("Перышкин И.М., Иванов А.И.", "Физика", 7, "Просвещение", 2023, 25),
    ("Моро М.И., Волкова С.И.", "Математика. Ч. 1", 1, "Просвещение", 2022, 30),
    ("Атанасян Л.С., Бутузов В.Ф.", "Геометрия", "7-9", "Просвещение", 2021, "1 251"),
    ("Канакина В.П., Горецкий В.Г.", "Русский язык", 2, "Просвещение", 2020, "12 шт."),
)
HEADINGS = ("Автор", "Наименование", "Класс", "Издательство", "Год издания", "Количество")
ROLES = (Role.AUTHORS, Role.TITLE, Role.GRADES, Role.PUBLISHER, Role.YEAR, Role.COPIES)


@given(
    order=st.permutations(range(6)), above=st.integers(0, 5), blank=st.integers(0, 2), left=st.integers(0, 2)
)
def test_columns_in_any_order_below_any_title_rows(
    order: Sequence[int], above: int, blank: int, left: int
) -> None:
    pad = [None] * left
    titles = [[*pad, f"Учебный фонд школы, лист {number}"] for number in range(above)]
    rows = [
        *titles,
        *([[None]] * blank),
        [*pad, *(HEADINGS[place] for place in order)],
        *([*pad, *(body[place] for place in order)] for body in BODY),
    ]
    columns, found = read(*rows)
    assert columns.roles[left:] == tuple(ROLES[place] for place in order)
    assert [row.copies for row in books(found)] == [25, 30, 1251, 12]
    assert [row.year for row in books(found)] == [2023, 2022, 2021, 2020]
    assert [row.wording.text for row in books(found) if row.wording] == [body[1] for body in BODY]


def test_name_and_author_in_one_column() -> None:
    columns, found = read(
        ["№", "Автор, наименование учебника", "Кол-во"],
        [1, "Моро М.И. Математика 1 кл. ч.1 2018", 20],
        [2, "Словейчик. Букварь в 2-х частях", 12],
    )
    assert columns.roles == (Role.OTHER, Role.TITLE, Role.COPIES)
    assert [row.copies for row in books(found)] == [20, 12]


def test_a_header_of_two_rows() -> None:
    columns, found = read(
        ["№", "Учебник", None, "Класс", "Количество экземпляров", None],
        [None, "Автор", "Название", None, "всего", "к списанию"],
        [1, 2, 3, 4, 5, 6],
        [1, "Моро М.И.", "Математика", 1, 20, 3],
    )
    assert columns.header == (1, 2)
    assert columns.roles[1:] == (Role.AUTHORS, Role.TITLE, Role.GRADES, Role.COPIES, Role.WORN)
    (book,) = books(found)
    assert (book.copies, book.worn) == (20, 3)
    assert len(found) == 4


def test_years_as_columns() -> None:
    columns, found = read(
        ["Автор", "Название", "Класс", "2019", "2020", "2021"],
        ["Моро М.И.", "Математика", 1, 5, None, 7],
        ["Перышкин И.М.", "Физика", 7, "-", 10, 0],
    )
    assert columns.roles[3:] == ("year-2019", "year-2020", "year-2021")
    assert [(row.row, row.item, row.year, row.copies) for row in books(found)] == [
        (2, 0, 2019, 5),
        (2, 1, 2021, 7),
        (3, 0, 2020, 10),
        (3, 1, 2021, 0),
    ]


def test_years_under_a_common_heading() -> None:
    columns, found = read(
        ["Наименование", "Количество экземпляров по годам издания", None, None, "Всего"],
        [None, 2019, 2020, 2021, None],
        ["Физика 7 класс Перышкин", 5, 6, None, 11],
    )
    assert columns.roles == (Role.TITLE, "year-2019", "year-2020", "year-2021", Role.OTHER)
    assert [(row.year, row.copies) for row in books(found)] == [(2019, 5), (2020, 6)]


def test_one_column_per_class() -> None:
    columns, found = read(
        ["Учебник", "5 класс", "6 класс", "7 класс", "Итого"],
        ["Математика, Виленкин Н.Я.", 20, 25, None, 45],
    )
    assert columns.roles == (Role.TITLE, "grade-5", "grade-6", "grade-7", Role.OTHER)
    assert [(row.wording.grades, row.copies) for row in books(found) if row.wording] == [("5", 20), ("6", 25)]


def test_a_table_without_a_header_is_guessed() -> None:
    columns, found = read(*([number, *body] for number, body in enumerate(BODY, start=1)))
    assert columns.header == ()
    assert columns.roles == (Role.OTHER, *ROLES)
    assert columns.confidence < 0.8
    assert [row.copies for row in books(found)] == [25, 30, 1251, 12]


def test_a_sheet_that_is_no_table_is_left_alone() -> None:
    columns, found = read(
        ["Реквизиты заказчика"], ["Полное наименование организации", None], ["ИНН"], ["Факс"]
    )
    assert not columns.used
    assert {row.service for row in found} == {SERVICE_SHEET}
    assert len(found) == 4


def test_of_several_counts_the_stock_is_taken() -> None:
    columns, _found = read(
        ["Название", "Класс", "Количество учащихся", "Наличие", "К списанию", "Потребность", "Цена"],
        ["Физика", 7, 25, 30, 2, 0, "1 100,50"],
    )
    assert meanings(columns) == {
        "Название": Role.TITLE,
        "Класс": Role.GRADES,
        "Наличие": Role.COPIES,
        "К списанию": Role.WORN,
    }


# --- the right number ---

NONE = None
TABLES: dict[str, tuple[list[Cells], list[tuple[str, str, int | None, int | None]]]] = {
    "what is left and what is with pupils beside the total": (
        [
            ("Название", "Автор", "Класс", "Всего", "На руках", "В фонде", "Списано"),
            ("Физика", "Перышкин А.В.", 7, 60, 50, 10, 2),
            ("Физика", "Перышкин А.В.", 8, 58, 58, 0, 0),
        ],
        [("7", "", NONE, 60), ("8", "", NONE, 58)],
    ),
    "what is left and what is with pupils without a total": (
        [
            ("Автор", "Наименование", "Класс", "Выдано", "Остаток"),
            ("Моро", "Математика", 1, 40, 10),
            ("Моро", "Математика", 2, 44, 1),
        ],
        [("1", "", NONE, 50), ("2", "", NONE, 45)],
    ),
    "pupils, books and a shortage": (
        [
            ("Наименование", "Класс", "Кол-во уч-ся", "Кол-во учебников", "Нехватка", "% обеспеченности"),
            ("Биология Пасечник", 5, 50, 45, 5, 90),
            ("Биология Пасечник", 6, 51, 55, 0, 100),
        ],
        [("5", "", NONE, 45), ("6", "", NONE, 55)],
    ),
    "the same under one heading": (
        [
            ("Наименование", "Класс", "Количество", NONE, NONE, "Процент"),
            (NONE, NONE, "учащихся", "учебников", "недостаёт", NONE),
            ("Биология Пасечник", 5, 50, 45, 5, 90),
            ("Биология Пасечник", 6, 51, 55, 0, 100),
        ],
        [("5", "", NONE, 45), ("6", "", NONE, 55)],
    ),
    "books and pupils by one word each": (
        [
            ("Класс", "Автор", "Название", "Учебники", "Учащиеся"),
            (5, "Виленкин", "Математика", 50, 48),
            (6, "Виленкин", "Математика", 51, 60),
        ],
        [("5", "", NONE, 50), ("6", "", NONE, 51)],
    ),
    "a column per part": (
        [
            ("Автор, название", "Класс", "Год", "1 ч.", "2 ч."),
            ("Моро М.И. Математика", 1, 2018, 25, 24),
            ("Климанова Л.Ф. Литературное чтение", 2, 2019, 30, NONE),
        ],
        [("1", "1", 2018, 25), ("1", "2", 2018, 24), ("2", "1", 2019, 30)],
    ),
    "parts under a heading": (
        [
            ("Автор, название", "Класс", "Количество", NONE),
            (NONE, NONE, "Часть 1", "Часть 2"),
            ("Моро М.И. Математика", 1, 25, 24),
        ],
        [("1", "1", NONE, 25), ("1", "2", NONE, 24)],
    ),
    "a column per class and nothing else": (
        [
            ("Автор, название", "1 кл.", "2 кл.", "3 кл."),
            ("Моро М.И. Математика", 50, 48, 47),
            ("Плешаков А.А. Окружающий мир", 50, NONE, 47),
        ],
        [("1", "", NONE, 50), ("2", "", NONE, 48), ("3", "", NONE, 47), ("1", "", NONE, 50),
         ("3", "", NONE, 47)],
    ),
    "a class written once, totals in between": (
        [
            ("Класс", "Предмет", "Автор", "Кол-во"),
            (1, "Математика", "Моро", 25),
            (NONE, "Русский язык", "Канакина", 26),
            (NONE, "Итого 1 кл.", NONE, 51),
            (2, "Математика", "Моро", 27),
            (NONE, "Русский язык", "Канакина", 28),
            ("2 класс", "Итого", NONE, 55),
            ("По школе всего", NONE, NONE, 106),
        ],
        [("1", "", NONE, 25), ("1", "", NONE, 26), ("2", "", NONE, 27), ("2", "", NONE, 28)],
    ),
    "prices, pages and sums": (
        [
            ("Автор", "Заглавие", "Класс", "Кол-во стр.", "Цена", "Кол-во экз.", "Сумма"),
            ("Перышкин", "Физика", 7, 224, 300, 25, 7500),
            ("Перышкин", "Физика", 8, 240, 300, 26, 7800),
        ],
        [("7", "", NONE, 25), ("8", "", NONE, 26)],
    ),
    "an inventory book": (
        [
            ("Дата записи", "Инв. номер", "Автор и заглавие", "Класс", "Год издания", "Цена"),
            ("01.09.2019", 10234, "Моро М.И. Математика", 1, 2019, 350),
            ("01.09.2019", "10235-10240; 10250", "Моро М.И. Математика", 2, 2019, 350),
        ],
        [("1", "", 2019, 1), ("2", "", 2019, 7)],
    ),
    "movements of a year": (
        [
            ("Класс", "Автор, название", "Кол-во на начало года", "Поступило", "Выбыло", "Кол-во на конец"),
            (5, "Виленкин Математика", 50, 10, 5, 55),
        ],
        [("5", "", NONE, 55)],
    ),
    "two buildings and their sum": (
        [
            ("Наименование", "Класс", "Кол-во (здание 1)", "Кол-во (здание 2)", "Всего"),
            ("Физика Перышкин", 7, 50, 10, 60),
            ("Физика Перышкин", 8, 45, 9, 54),
        ],
        [("7", "", NONE, 60), ("8", "", NONE, 54)],
    ),
    "a title that names the class, notes below": (
        [
            ("Перечень учебников для 7 класса",),
            ("Автор", "Название", "Кол-во"),
            ("Макарычев", "Алгебра", 45),
            ("Библиотекарь", NONE, "Сидорова"),
            ("Примечание: учебники 2012 года подлежат списанию",),
        ],
        [("7", "", NONE, 45)],
    ),
    "movements with units below": (
        [
            ("Автор", "Заглавие", "Состоит на начало", NONE, "Поступило", NONE, "Состоит на конец", NONE),
            (NONE, NONE, "экз.", "сумма", "экз.", "сумма", "экз.", "сумма"),
            ("Виленкин", "Математика 5", 50, 15000, 10, 5000, 60, 20000),
            ("Виленкин", "Математика 6", 40, 14000, 0, 0, 40, 14000),
        ],
        [("", "", NONE, 60), ("", "", NONE, 40)],
    ),
    "groups of a class and their total": (
        [
            ("Название, автор", "Кол-во учащихся", NONE, "Кол-во учебников", NONE, "Всего"),
            (NONE, "5а", "5б", "5а", "5б", NONE),
            ("Виленкин Математика 5", 30, 31, 25, 24, 49),
        ],
        [("", "", NONE, 49)],
    ),
    "years and what is older": (
        [
            ("Название", "Класс", "2014 и ранее", "2015", "2016", "Итого"),
            ("Физика Перышкин", 7, 5, 10, NONE, 15),
        ],
        [("7", "", 2014, 5), ("7", "", 2015, 10)],
    ),
    "a header of one known word": (
        [
            ("Наименование", "Учебники", "Рабочие тетради", "Атласы"),
            ("География 5 кл Баринова", 50, 20, 10),
        ],
        [("", "", NONE, 50)],
    ),
    "counts of school years": (
        [
            ("Название учебника", "Класс", "2022-2023", "2023-2024", "2024-2025"),
            ("Алгебра Макарычев", 7, 50, 48, 45),
        ],
        [("7", "", NONE, 45)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_of_many_numbers_the_stock_is_counted(name: str) -> None:
    table, expected = TABLES[name]
    _columns, rows = read(*table)
    found = books(rows)
    assert [(row.wording.grades, row.wording.part, row.year, row.copies) for row in found] == expected  # type: ignore[union-attr]
    assert not [row.fault for row in found if row.fault]


def test_a_total_greater_than_its_columns_is_asked_about() -> None:
    columns, _rows = read(("Название", "Класс", "2015", "2016", "Итого"), ("Физика Перышкин", 7, 10, 5, 40))
    assert columns.confidence <= 0.5


def test_two_counts_of_equal_right_are_asked_about() -> None:
    columns, _rows = read(
        ("Наименование", "Класс", "Кол-во, корпус 1", "Кол-во, корпус 2"), ("Физика Перышкин", 7, 50, 10)
    )
    assert columns.confidence <= 0.5


def test_tables_side_by_side() -> None:
    table = numbered(
        ("5 класс", NONE, NONE, "6 класс"),
        ("Название", "Год", "Кол-во", "Название", "Год", "Кол-во"),
        ("Математика Виленкин", 2018, 50, "Математика Виленкин", 2019, 48),
        ("Биология Пасечник", 2017, 51),
    )
    found = [
        (row.row, row.wording.grades, row.year, row.copies)  # type: ignore[union-attr]
        for rows in importer.side_by_side(table)
        for row in books(read_rows(rows, find_columns(rows), sheet=0))
    ]
    assert found == [(3, "5", 2018, 50), (4, "5", 2017, 51), (3, "6", 2019, 48)]


def test_pairs_of_year_and_count_are_tables_too() -> None:
    table = numbered(
        ("Автор, название", "Класс", "Год", "Кол-во", "Год", "Кол-во"),
        ("Перышкин Физика", 7, 2015, 30, 2018, 20),
        ("8 класс",),
        ("Перышкин Физика", NONE, 2016, 25, NONE, NONE),
        ("Перышкин Физика", NONE, NONE, NONE, 2017, 5),
    )
    tables = importer.side_by_side(table)
    found = [
        (row.row, row.wording.grades, row.year, row.copies)  # type: ignore[union-attr]
        for rows in tables
        for row in books(read_rows(rows, find_columns(rows), sheet=0))
        if row.copies
    ]
    assert found == [(2, "7", 2015, 30), (4, "8", 2016, 25), (2, "7", 2018, 20), (5, "8", 2017, 5)]
    assert {number for rows in tables for number, _ in rows} == {1, 2, 3, 4, 5}


def test_an_ordinary_table_is_one_table() -> None:
    table = numbered(("Название", "Класс", "Кол-во"), ("Физика Перышкин", 7, 50))
    assert importer.side_by_side(table) == [table]


def test_a_hidden_sheet_is_left_alone() -> None:
    table = numbered(("Название", "Класс", "Кол-во"), ("Физика Перышкин", 7, 50))
    assert find_columns(table).used
    assert not find_columns(table, hidden=True).used


# --- rows ---


def test_heading_rows_speak_for_the_rows_below() -> None:
    _columns, found = read(
        ["Наименование", "Автор", "Количество"],
        ["5 класс"],
        ["Русский язык"],
        ["Русский язык", "Ладыженская Т.А.", 20],
        ["Учебники для 6 класса"],
        ["Математика"],
        ["Математика", "Виленкин Н.Я.", 21],
        ["Физика 7 класс", "Перышкин И.М.", 22],
        ["Итого", None, 63],
    )
    assert [(row.wording.grades, row.wording.subject, row.copies) for row in books(found) if row.wording] == [
        ("5", "Русский язык", 20),
        ("6", "Математика", 21),
        ("", "Математика", 22),
    ]
    assert [row.service for row in found if row.service] == [
        SERVICE_HEADER,
        SERVICE_SECTION,
        SERVICE_SECTION,
        SERVICE_SECTION,
        SERVICE_SECTION,
        SERVICE_TOTAL,
    ]


def test_the_name_of_the_sheet_may_be_the_class() -> None:
    _columns, found = read(["Наименование", "Количество"], ["Математика, Виленкин", 20], name="5 класс")
    (book,) = books(found)
    assert book.wording is not None
    assert book.wording.grades == "5"


@pytest.mark.parametrize(
    ("text", "copies"),
    [
        ("1 251", 1251),
        ("1\u00a0251", 1251),
        ("12 шт.", 12),
        ("12,0", 12),
        (12.0, 12),
        (0, 0),
        ("-", 0),
        ("нет", 0),
    ],
)
def test_counts_as_people_write_them(text: Any, copies: int) -> None:
    _columns, found = read(["Наименование", "Класс", "Количество"], ["Физика", 7, 5], ["Химия", 8, text])
    assert books(found)[1].copies == copies
    assert books(found)[1].fault is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("много", "не количество"),
        (-3, "меньше нуля"),
        (1.5, "целое"),
        ("12+3", "не количество"),
        (250_000, "слишком"),
    ],
)
def test_what_is_no_count_is_said_with_row_and_cell(text: Any, word: str) -> None:
    _columns, found = read(["Наименование", "Класс", "Количество"], ["Физика", 7, 5], ["Химия", 8, text])
    fault = books(found)[1].fault
    assert fault is not None
    assert word in fault.message
    assert fault.parameters["row"] == 3
    assert fault.parameters["column"] == "Количество"
    assert books(found)[1].copies is None


def test_a_missing_count_is_said() -> None:
    _columns, found = read(["Наименование", "Класс", "Количество"], ["Физика", 7, 5], ["Химия", 8, None])
    fault = books(found)[1].fault
    assert fault is not None
    assert fault.message == importer.NO_COUNT


def test_a_second_year_of_the_book_above() -> None:
    _columns, found = read(
        ["Автор", "Наименование", "Год", "Количество"],
        ["Перышкин И.М.", "Физика 7 класс", 2019, 10],
        [None, None, 2021, 15],
        ["-//-", "Физика 8 класс", 2021, 16],
    )
    assert [
        (row.wording.text, row.wording.authors, row.year, row.copies) for row in books(found) if row.wording
    ] == [
        ("Физика 7 класс", "Перышкин И.М.", 2019, 10),
        ("Физика 7 класс", "Перышкин И.М.", 2021, 15),
        ("Физика 8 класс", "Перышкин И.М.", 2021, 16),
    ]


def test_more_worn_than_there_are_is_an_error() -> None:
    _columns, found = read(
        ["Наименование", "Количество", "К списанию"], ["Физика 7", 5, 6], ["Химия 8", 5, 5]
    )
    assert [row.fault is not None for row in books(found)] == [True, False]


def test_the_code_of_the_portal() -> None:
    columns, found = read(
        ["Наименование", "Количество", "Код"], ["что угодно", 5, "12-2019-1"], ["Химия", 7, None]
    )
    assert columns.roles[2] == Role.CODE
    assert [row.code for row in books(found)] == ["12-2019-1", ""]
    assert importer.code_of("12-2019-1") == (12, 2019, 1)
    assert importer.code_of("04-0052-11 ") is None


CELL = st.one_of(
    st.none(),
    st.integers(-5, 3000),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from(
        ["", " ", "Математика", "5 класс", "Итого", "Автор", "Наименование", "Количество", "2019", "12 шт.",
         "много",
         "Перышкин И.М. Физика 7 класс", "-//-", "1-2019-1", "Всего:", "Просвещение", "1.1.1.1.1"]
    ),
    st.text(max_size=12),
)  # fmt: skip


@given(st.lists(st.lists(CELL, min_size=1, max_size=7), min_size=1, max_size=20))
def test_no_row_is_lost_and_none_is_two_things(rows: list[list[Any]]) -> None:
    table = numbered(*rows)
    columns = find_columns(table)
    found = read_rows(table, columns, sheet=0)
    assert sorted({row.row for row in found}) == [number for number, _cells in table]
    places = [(row.row, row.item) for row in found]
    assert len(places) == len(set(places))
    kinds: dict[int, set[bool]] = {}
    for row in found:
        kinds.setdefault(row.row, set()).add(row.wording is None)
        assert bool(row.service) == (row.wording is None)
        assert row.service or row.fault is not None or row.copies is not None
    assert all(len(kind) == 1 for kind in kinds.values())
    kept = {row.row: [cell for cell in row.cells if cell] for row in found}
    for number, cells in table:
        assert kept[number] == [text for cell in cells if (text := importer.text_of(cell))]


@given(st.lists(st.lists(CELL, min_size=1, max_size=7), min_size=1, max_size=20))
def test_reading_the_kept_cells_again_gives_the_same(rows: list[list[Any]]) -> None:
    table = numbered(*rows)
    columns = find_columns(table)
    once = read_rows(table, columns, sheet=0)
    kept = list({row.row: (row.row, list(row.cells)) for row in once}.values())
    assert read_rows(kept, columns, sheet=0) == once


# --- whole files ---


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_text_tables(encoding: str, delimiter: str) -> None:
    content = text_table([HEADINGS, *BODY], delimiter=delimiter, encoding=encoding)
    (sheet,) = sheets.read(io.BytesIO(content), "фонд.csv", header=importer.header_score)
    columns = find_columns(sheet.rows)
    assert columns.roles == ROLES
    assert [row.copies for row in books(read_rows(sheet.rows, columns, sheet=0))] == [25, 30, 1251, 12]


def test_merged_cells_of_a_workbook() -> None:
    content = workbook(
        [
            ["Фонд учебников на 01.09.2026", None, None, None],
            ["Класс", "Автор", "Наименование", "Кол-во"],
            [5, "Виленкин Н.Я.", "Математика", 20],
            [None, "Ладыженская Т.А.", "Русский язык", 21],
        ],
        merged=["A1:D1", "A3:A4"],
    )
    (sheet,) = sheets.read(io.BytesIO(content), "фонд.xlsx", header=importer.header_score)
    found = books(read_rows(sheet.rows, find_columns(sheet.rows), sheet=0))
    assert [row.wording.grades for row in found if row.wording] == ["5", "5"]


def form(name: str) -> list[tuple[Columns, list[ReadRow]]]:
    with (SHARED / name).open("rb") as source:
        found = []
        for number, sheet in enumerate(sheets.read(source, name, header=importer.header_score)):
            columns = find_columns(sheet.rows, name=sheet.name)
            found.append((columns, read_rows(sheet.rows, columns, sheet=number)))
        return found


@needs_forms
@pytest.mark.parametrize(
    ("name", "least"),
    [("regional_provision_report.xlsx", 1300), ("regional_provision_report_small.xlsx", 150)],
)
def test_a_regional_report_as_a_table(name: str, least: int) -> None:
    """Its second form has lost the cells under its header: the numbers stand six columns to the left."""
    columns, found = form(name)[0]
    assert columns.used
    assert {Role.TITLE, Role.COPIES, Role.WORN} <= set(columns.roles)
    read = books(found)
    assert len(read) >= least
    assert sum(row.fault is None for row in read) >= len(read) - 12
    named = [row.wording.publisher for row in read if row.wording]
    assert {"Дрофа", "Просвещение", "Мнемозина"} <= set(named)
    totals = [row for row in found if row.service == SERVICE_TOTAL and row.cells[0].startswith("Всего")]
    numbers = [number for text in totals[0].cells if (number := sheets.number_of(text)) is not None]
    assert sum(row.copies or 0 for row in read) == numbers[0]


@needs_forms
@pytest.mark.parametrize(
    ("name", "least"), [("order_form_prosveshchenie.xlsx", 480), ("order_form_ventana_graf.xlsx", 230)]
)
def test_an_order_form_as_a_table(name: str, least: int) -> None:
    (columns, found), (other, questions) = form(name)
    assert {Role.TITLE, Role.AUTHORS, Role.GRADES, Role.NUMBER, Role.COPIES} <= set(columns.roles)
    read = books(found)
    assert len(read) >= least
    assert any("Ч. 2" in row.wording.text or "Часть 2" in row.wording.text for row in read if row.wording)
    assert not other.used
    assert {row.service for row in questions} == {SERVICE_SHEET}
