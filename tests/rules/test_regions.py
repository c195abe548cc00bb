"""Regional provision reports: rows, figures under the wrong headings, sums."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from exchange import sheets
from exchange.errors import Invalid
from exchange.regions.importer import read_report
from exchange.regions.rules import (
    Holding,
    Report,
    grades_by_pupils,
    grades_in,
    place_of,
    sums_of,
    with_grades,
)
from tests.house.source import ROOT

FORMS = ROOT.parent / "shared" / "forms"
HEADER = [
    "Район", "Образовательная организация", "Издательство", "Название учебника", "Автор учебника", "Предмет",
    "Класс", "Цена учебника", "Наличие учебников в шк.библиотеке (шт)", "Количество учащихся",
    "Кол-во учебников, подлежащих к списанию", "Коэффициент книгообеспеченности (К)", "Потребность на год",
    "Сумма, необходимая на закупку",
]  # fmt: skip


def report_of(*rows: list[object]) -> Report:
    book = Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    return read_report(file, "отчёт.xlsx")


def figures(stock: int, pupils: int, off: int = 0) -> list[object]:
    ratio = round((stock - off) / pupils, 2) if pupils else 0
    return [stock, pupils, off, ratio, max(0, pupils - stock + off), 0]


def grouped(shift: int) -> Report:
    """A report printed from a pivot table; the figures stand ``shift`` columns left of their headings."""
    blank: list[object] = [None] * (7 - shift)
    return report_of(
        ["Состояние учебного фонда"],
        ["30.11.2017", "Забайкальский край"],
        HEADER,
        ["Агинский район"],
        ["МБОУ «Первая СОШ»"],
        ["Дрофа"],
        ["Физика. 7 класс", *blank, *figures(9, 31)],
        ["Химия. 8 класс", *blank, *figures(40, 31, 2)],
        ["Просвещение - ЭФУ"],
        ["Алгебра. 8 класс", *blank, *figures(5, 31)],
        ["Могочинский район"],
        ["Дрофа"],
        ["Физика. 7 класс", *blank, *figures(50, 20)],
        [None, None, None, "Средний коэффициент книгообеспеченности :", None, None, 0.9],
        [None, None, None, "Всего потребность учебников (шт.) :", None, None, 40],
    )


@pytest.mark.parametrize("shift", [0, 1, 5, 6])
def test_figures_are_found_wherever_they_stand(shift: int) -> None:
    report = grouped(shift)
    assert (report.day, report.region) == (date(2017, 11, 30), "Забайкальский край")
    assert [(h.title, h.stock, h.pupils, h.to_write_off) for h in report.holdings] == [
        ("Физика. 7 класс", 9, 31, 0),
        ("Химия. 8 класс", 40, 31, 2),
        ("Алгебра. 8 класс", 5, 31, 0),
        ("Физика. 7 класс", 50, 20, 0),
    ]
    assert all(each.agrees for each in report.holdings)
    assert (report.headings, report.totals, report.left_aside) == (6, 2, ())


def test_headings_say_where_and_whose() -> None:
    report = grouped(0)
    assert [(h.district, h.school, h.publisher, h.electronic) for h in report.holdings] == [
        ("Агинский район", "МБОУ «Первая СОШ»", "Дрофа", False),
        ("Агинский район", "МБОУ «Первая СОШ»", "Дрофа", False),
        ("Агинский район", "МБОУ «Первая СОШ»", "Просвещение", True),
        ("Могочинский район", "", "Дрофа", False),
    ]
    assert [place_of(each, report) for each in report.holdings][-2:] == [
        "МБОУ «Первая СОШ»",
        "Могочинский район",
    ]


def test_a_flat_table_names_everything_in_its_columns() -> None:
    report = report_of(
        ["Издательство", "Наименование", "Район", "Класс", "Обучающихся", "Имеется в наличии"],
        ["Дрофа", "Физика", "Агинский район", 7, 31, 9],
        ["Дрофа", "Физика", "нет", 7, "1 020", 9],
        ["примечание", None, None, None, None, 3],
    )
    first, second = report.holdings
    assert (first.district, first.title, first.publisher, first.grades) == (
        "Агинский район",
        "Физика",
        "Дрофа",
        "7",
    )
    assert (second.district, second.pupils, second.missing) == ("", 1020, 1011)
    assert report.left_aside == (4,)


Place = tuple[str, str, int, int]
REPORTS: dict[str, tuple[list[list[object]], list[Place]]] = {
    "other words, per cent, totals of districts": (
        [
            ["Обеспеченность учебниками на 01.09.2023"],
            ["Муниципалитет", "ОО", "Предмет", "Класс", "Учебник", "Кол-во экз. в фонде", "Контингент",
             "% обеспеченности"],
            ["Читинский район", "СОШ № 1", "Физика", 7, "Физика. 7 класс", 45, 50, 90],
            [None, "СОШ № 2", "Физика", 7, "Физика. 7 класс", "1 055 экз.", "1 000", "105,5%"],
            ["Итого по району", None, None, None, None, 1100, 1050, 104.8],
            ["Карымский район", "СОШ № 3", "Химия", 8, "Химия. 8 класс", 20, "40 чел.", 50],
            ["Карымский район", "ВСЕГО", None, None, None, 20, 40, 50],
        ],
        [
            ("Читинский район", "СОШ № 1", 45, 50),
            ("Читинский район", "СОШ № 2", 1055, 1000),
            ("Карымский район", "СОШ № 3", 20, 40),
        ],
    ),
    "two header rows, need before stock": (
        [
            ["№", "Муниципалитет", "Наименование учебника", "Потребность", "Количество"],
            [None, None, None, None, "учебников в фонде", "подлежит списанию", "учащихся"],
            [1, 2, 3, 4, 5, 6, 7],
            [1, "Город Чита", "Биология. 5 класс", 200, "1 200", 100, "1 300"],
            [2, "Агинский район", "Биология. 5 класс", 0, 300, 0, 250],
        ],
        [("Город Чита", "", 1200, 1300), ("Агинский район", "", 300, 250)],
    ),
    "groups with sums in their headings": (
        [
            ["Наименование учебника", "Класс", "Наличие", "Обучающихся", "Коэффициент"],
            ["1. Бийский район", None, 90, 98, 0.92],
            ["МБОУ «Лесная СОШ»", None, 90, 98, 0.92],
            ["Алгебра", 7, 30, 28, 1.07],
            ["Геометрия", "7-9", 60, 70, 0.86],
            ["2. Советский район", None, 33, 30, 1.1],
            ["Алгебра", 7, 33, 30, 1.1],
            ["Общий итог", None, 123, 128, 0.96],
        ],
        [
            ("Бийский район", "МБОУ «Лесная СОШ»", 30, 28),
            ("Бийский район", "МБОУ «Лесная СОШ»", 60, 70),
            ("Советский район", "", 33, 30),
        ],
    ),
    "per cent beside shifted figures": (
        [
            ["Муниципалитет", "ОО", "Название учебника", "Автор", "Наличие учебников", "Учеников", "%"],
            ["Акшинский округ"],
            ["Физика. 7 класс", 30, 40, 75],
            ["Химия. 8 класс", 40, 40, 100],
            ["Могочинский округ"],
            ["Физика. 7 класс", 50, 40, 125],
        ],
        [("Акшинский округ", "", 30, 40), ("Акшинский округ", "", 40, 40), ("Могочинский округ", "", 50, 40)],
    ),
    "a balance of either sign is no need": (
        [
            ["Район", "Учебник", "Всего учебников", "Учеников", "Излишек/недостаток", "Цена, руб."],
            ["Чернышевский МО", "Химия. 8 класс", 33, 40, -7, 450],
            ["Шилкинский МО", "Химия. 8 класс", 50, 40, 10, 450],
        ],
        [("Чернышевский МО", "", 33, 40), ("Шилкинский МО", "", 50, 40)],
    ),
    "no title column, the district above": (
        [
            ["Карымский район"],
            ["Школа", "Класс", "Предмет", "Автор учебника", "Кол-во учащихся", "Кол-во учебников"],
            ["СОШ № 1", 5, "Математика", "Виленкин Н.Я.", 50, 45],
            [None, 5, "Русский язык", "Ладыженская Т.А.", 50, 55],
            ["СОШ № 2", 5, "Математика", "Виленкин Н.Я.", None, 25],
        ],
        [
            ("Карымский район", "СОШ № 1", 45, 50),
            ("Карымский район", "СОШ № 1", 55, 50),
            ("Карымский район", "СОШ № 2", 25, 0),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPORTS)
def test_reports_of_other_regions(name: str) -> None:
    rows, expected = REPORTS[name]
    report = report_of(*rows)
    assert [(each.district, each.school, each.stock, each.pupils) for each in report.holdings] == expected
    assert report.left_aside == ()
    assert all(each.agrees for each in report.holdings)


def test_subjects_and_classes_as_headings_belong_to_the_titles_below() -> None:
    report = report_of(
        ["Название учебника", "Издательство", "Количество экземпляров", "Обучающихся", "К"],
        ["Балейский район"],
        ["Русский язык"],
        ["5 класс"],
        ["Ладыженская Т.А.", "Просвещение", 100, 120, 0.83],
    )
    (holding,) = report.holdings
    assert (holding.subject, holding.grades, holding.publisher) == ("Русский язык", "5", "Просвещение")


def test_sheets_are_districts_and_the_summary_is_no_district() -> None:
    book = Workbook()
    for name, stock in (("Агинский район", 10), ("Акшинский район", 30), ("Свод", 40)):
        sheet = book.create_sheet(name)
        sheet.append(["Учебник", "Класс", "Наличие, экз.", "Учащихся"])
        sheet.append(["Физика", 7, stock, 20])
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    report = read_report(file, "отчёт.xlsx")
    assert [(each.district, each.stock) for each in report.holdings] == [
        ("Агинский район", 10),
        ("Акшинский район", 30),
    ]


def test_a_false_ratio_is_told() -> None:
    holding = Holding(1, "", "", "", "Физика", "", "", "", 9, 31, 0, 0.9, None)
    assert not holding.agrees


def test_what_is_no_report_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        report_of(["Автор", "Название"], ["Перышкин", "Физика"])
    assert refused.value.parameters["file"] == "отчёт.xlsx"


counts = st.integers(0, 400)


@given(st.lists(st.tuples(counts, counts, counts), max_size=20))
def test_sums_agree_with_their_rows(rows: list[tuple[int, int, int]]) -> None:
    holdings = [
        Holding(n, "", "", "", "т", "", "", "", stock, pupils, min(off, stock), None, None)
        for n, (stock, pupils, off) in enumerate(rows)
    ]
    sums = sums_of(holdings)
    assert sums.served + sums.missing == sums.pupils
    assert sums.served + sums.surplus == sum(each.fit for each in holdings)
    assert sums.coverage is None or 0 <= sums.coverage <= 1


@pytest.mark.skipif(not FORMS.is_dir(), reason="the real reports are not beside this repository")
@pytest.mark.parametrize("name", ["regional_provision_report.xlsx", "regional_provision_report_small.xlsx"])
def test_the_real_reports_sum_up_to_what_they_state(name: str) -> None:
    path = Path(FORMS) / name
    with path.open("rb") as file:
        report = read_report(file, name)
    assert report.left_aside == ()
    assert all(each.agrees for each in report.holdings)
    with path.open("rb") as file:
        rows = [cells for sheet in sheets.read(file, name) for _, cells in sheet.rows]
    (stated,) = (
        cell
        for cells in rows
        if any(str(cell).startswith("Всего потребность") for cell in cells)
        for cell in cells
        if isinstance(cell, int)
    )
    # Its last rows count the electronic books too.
    assert sum(each.stated_need or 0 for each in report.holdings) == stated


@pytest.mark.parametrize(
    ("text", "grades"),
    [
        ("Математика. 6 класс", "6"), ("Геометрия 7-9 классы", "7-9"), ("География 6кл.", "6"),
        ("Физика, 10–11 кл", "10-11"), ("Букварь. В 2 ч.", ""), ("История 1800-1900", ""), ("12 класс", ""),
        ("Немецкий язык. 5-й класс", "5"), ("Классика 5", ""),
    ],
)  # fmt: skip
def test_the_class_in_a_title(text: str, grades: str) -> None:
    assert grades_in(text) == grades


def titles(*rows: tuple[str, int], district: str = "Район") -> list[Holding]:
    return [
        Holding(number, district, "", "", title, "", "", "", 1, pupils, 0, None, None)
        for number, (title, pupils) in enumerate(rows, start=1)
    ]


def test_a_number_of_pupils_stands_for_a_class() -> None:
    stated = [("А. 5 класс", 60), ("Б. 5 класс", 60), ("В. 6 класс", 70), ("Г. 6 класс", 70)]
    told = with_grades(titles(*stated, ("Химия", 60), ("Музыка", 130), ("Труд", 61)))
    assert [(each.grades, each.inferred) for each in told] == [
        *[("", False)] * 4, ("5", True), ("5-6", True), ("", False),
    ]  # fmt: skip


def test_one_title_or_two_classes_of_a_size_tell_nothing() -> None:
    assert grades_by_pupils(titles(("А. 5 класс", 60))) == {("Район", ""): {}}
    at_odds = titles(("А. 5 класс", 60), ("Б. 5 класс", 60), ("В. 6 класс", 60), ("Г. 6 класс", 60))
    assert grades_by_pupils(at_odds) == {("Район", ""): {}}
    other = titles(("А. 5 класс", 60), ("Б. 5 класс", 60)) + titles(("Химия", 60), district="Другой")
    assert not with_grades(other)[2].inferred


@pytest.mark.parametrize("name", ["regional_provision_report.xlsx", "regional_provision_report_small.xlsx"])
def test_titles_that_state_their_class_are_told_it_by_the_others(name: str) -> None:
    if not (FORMS / name).exists():
        pytest.skip("the workbooks of ../shared are not there")
    with (FORMS / name).open("rb") as source:
        known = [each for each in read_report(source, name).holdings if not each.inferred]
    right = wrong = 0
    for each in known[::5]:
        grades = grades_in(each.title)
        told = grades_by_pupils(other for other in known if other is not each)
        guess = told.get((each.district, each.school), {}).get(each.pupils)
        if grades and guess:
            right, wrong = right + (guess == grades), wrong + (guess != grades)
    assert right > 3
    assert wrong <= 0.05 * right


def test_a_heading_above_a_heading_is_a_place() -> None:
    row: list[object] = [None] * 7
    report = report_of(
        HEADER,
        ["Чита"],
        ["Дрофа"],
        ["Физика. 7 класс", *row, *figures(9, 31)],
        ["Мнемозина"],
        ["Алгебра. 8 класс", *row, *figures(9, 31)],
        ["Борзя"],
        ["МБОУ «СОШ № 1»"],
        ["Дрофа"],
        ["Физика. 7 класс", *row, *figures(9, 31)],
    )
    assert [(each.district, each.school, each.publisher) for each in report.holdings] == [
        ("Чита", "", "Дрофа"),
        ("Чита", "", "Мнемозина"),
        ("Борзя", "МБОУ «СОШ № 1»", "Дрофа"),
    ]
