"""Lists as files: what a person finds when they open one in Excel or send it on."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from openpyxl.worksheet.worksheet import Worksheet
from werkzeug.exceptions import NotFound

from exchange.web import export as exports
from exchange.web.export import Table, export
from exchange.web.unit import Portal

COLUMNS = ("Школа", "Экземпляров", "Обеспеченность", "Нужен к дате")
ROWS = [("Приморская", 12, 0.971, date(2026, 9, 1)), ("Огурская", 3, 1, None)]


@pytest.fixture(autouse=True)
def _asked(app: Portal) -> Any:
    with app.test_request_context():
        yield


def opened(columns: Any = COLUMNS, rows: Any = ROWS, name: str = "Полка", **around: Any) -> Worksheet:
    return load_workbook(io.BytesIO(export("xlsx", name, columns, rows, **around).data)).active


def lines(columns: Any, rows: Any, **around: Any) -> list[str]:
    return export("csv", "Полка", columns, rows, **around).data.decode("utf-8-sig").splitlines()


def test_a_list_is_ready_to_be_filtered_and_printed() -> None:
    sheet = opened()
    assert [cell.value for cell in sheet[1]] == list(COLUMNS)
    assert {cell.font.name for row in sheet for cell in row} == {"Calibri"}
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:D3"
    assert sheet.print_title_rows == "$1:$1"
    assert sheet.print_area == "'Полка'!$A$1:$D$3"
    assert (sheet.page_setup.orientation, sheet.page_setup.paperSize) == ("landscape", 9)
    assert (sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (1, 0)
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert sheet.oddFooter.right.text == "Страница &P из &N"
    assert sheet.column_dimensions["A"].width >= len("Приморская")


def test_values_keep_their_kinds() -> None:
    sheet = opened(percents=["Обеспеченность"])
    assert (sheet["B2"].value, sheet["C2"].value) == (12, 0.971)
    assert sheet["C2"].number_format == sheet["C3"].number_format == "0.0%"
    assert sheet["B2"].number_format == "General"
    assert sheet["D2"].is_date
    assert (sheet["D2"].value.date(), sheet["D2"].number_format) == (date(2026, 9, 1), "DD.MM.YYYY")
    assert sheet["D3"].value is None


def test_a_moment_is_written_as_its_own_clock_shows_it() -> None:
    moment = datetime(2026, 9, 14, 10, 5, 59, 999, tzinfo=UTC)
    sheet = opened(["Когда"], [[moment]])
    assert f"{sheet['A2'].value:%d.%m.%Y %H:%M:%S}" == "14.09.2026 10:05:59"
    assert sheet["A2"].number_format == "DD.MM.YYYY HH:MM"
    assert lines(["Когда"], [[moment]])[1] == "14.09.2026 10:05"


def test_a_title_moves_the_header_down_and_all_that_hangs_on_it() -> None:
    sheet = opened(
        title="Сведения об излишках",
        above=["Приморская СОШ", ""],
        below=["Директор ______"],
        total=("Всего", 15, None, None),
    )
    assert [sheet.cell(row, 1).value or "" for row in range(1, 10)] == [
        "Сведения об излишках", "Приморская СОШ", "", "Школа", "Приморская", "Огурская", "Всего", "",
        "Директор ______",
    ]  # fmt: skip
    assert sheet.freeze_panes == "A5"
    # The total is not sorted in among the rows.
    assert sheet.auto_filter.ref == "A4:D6"
    assert sheet.print_title_rows == "$4:$4"
    assert sheet.print_area == "'Полка'!$A$1:$D$9"
    assert sheet["B7"].value == 15
    # A file for a program has only the table.
    assert lines(COLUMNS, ROWS, title="Сведения", below=["Директор"])[0].startswith("Школа;")


@pytest.mark.parametrize("text", ["=1+1", "+7 391", "-5", "@SUM(A1)", "\t=1", "=cmd|' /C calc'!A0", "＝1"])
def test_no_text_is_a_formula(text: str) -> None:
    sheet = opened(["=Школа"], [[text]])
    assert sheet["A1"].data_type == sheet["A2"].data_type == "s"
    assert sheet["A2"].value == text
    assert sheet["A2"].quotePrefix
    assert f"'{text}" in export("csv", "Полка", ["Школа"], [[text]]).data.decode("utf-8-sig")


def test_a_number_below_zero_stays_a_number() -> None:
    assert opened(["Баланс"], [[-5]])["A2"].value == -5
    assert lines(["Баланс", "Доля"], [[-5, -0.5]])[1] == "-5;-0,5"


def test_an_error_value_is_a_text() -> None:
    assert opened(["Примечание"], [["#N/A"]])["A2"].data_type == "s"


def test_characters_that_no_sheet_can_hold_are_dropped() -> None:
    text = "а\x00б\x0bв\ud800г\uffffд\nе"
    assert opened(["Примечание"], [[text]])["A2"].value == "абвгд\nе"
    assert "\x00" not in export("csv", "Полка", ["Примечание"], [[text]]).data.decode("utf-8-sig")


@pytest.mark.parametrize("letter", ["ж", "😀"])
def test_a_text_is_cut_to_what_excel_keeps(letter: str) -> None:
    kept = opened(["Примечание"], [[letter * 40_000]])["A2"].value
    assert set(kept) == {letter}
    assert exports.LONGEST_TEXT - 1 <= len(kept.encode("utf-16-le")) // 2 <= exports.LONGEST_TEXT


@pytest.mark.parametrize(
    ("name", "sheet", "file"),
    [
        ("Полка", "Полка", "Полка"),
        ("2026/27: [план]*?", "2026 27 план", "2026-27- [план]--"),
        ("Перечень учебников Балахтинской средней школы", "Перечень учебников Балахтинско", None),
        ("'кавычки'", "кавычки", None),
        ("History", "Лист1", None),
        ("", "Лист1", "_"),
        ("CON", "CON", "_CON"),
        ("О'Генри", "О'Генри", None),
    ],
)
def test_names_are_valid(name: str, sheet: str, file: str | None) -> None:
    answer = export("xlsx", name, COLUMNS, ROWS)
    made = load_workbook(io.BytesIO(answer.data)).active
    assert made.title.startswith(sheet)
    assert len(made.title) <= exports.LONGEST_SHEET_NAME
    # Names with an apostrophe must not break the names of the areas.
    assert made.print_area.endswith("$A$1:$D$3")
    header = answer.headers["Content-Disposition"]
    assert header.isascii()
    if file is not None:
        assert unquote(header.rpartition("''")[2]) == f"{file}.xlsx"


def test_a_file_name_has_an_end() -> None:
    assert len(exports.file_name("ж" * 500 + ".xlsx")) < 200


def test_an_empty_list_is_a_header() -> None:
    sheet = opened(COLUMNS, [])
    assert sheet.auto_filter.ref == "A1:D1"
    assert sheet.max_row == 1


def test_an_unknown_format_is_not_found() -> None:
    with pytest.raises(NotFound):
        export("exe", "Полка", COLUMNS, ROWS)


def test_shares_and_large_numbers_are_easy_to_read() -> None:
    columns, row = ["Год", "Экземпляров", "К", "Доля"], [2021, 12345, 1.88, 0.5]
    sheet = opened(columns, [row], percents=["Доля"])
    assert [cell.number_format for cell in sheet[2]] == ["General", "#,##0", "#,##0.00", "0.0%"]
    assert lines(columns, [row], percents=["Доля"])[1] == "2021;12345;1,88;50,0%"


def test_further_sheets_have_names_of_their_own() -> None:
    more = {"Я" * 31: Table(["а"], [["=1"]]), "По школам": Table(["б"], [[1]])}
    book = load_workbook(io.BytesIO(export("xlsx", "я" * 40, COLUMNS, ROWS, more=more).data))
    assert [len(sheet.title) for sheet in book] == [31, 31, 9]
    assert len({sheet.title.casefold() for sheet in book}) == 3
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        assert "&P" in sheet.oddFooter.right.text
    assert book.worksheets[1]["A2"].data_type == "s"


@pytest.mark.parametrize("name", ["=cmd", "+7", "-5", "@SUM(A1)", "==+-@ ="])
def test_no_name_begins_like_a_formula(name: str) -> None:
    answer = export("xlsx", name, ["=Школа"], [])
    assert not load_workbook(io.BytesIO(answer.data)).active.title.startswith(exports._FORMULA_STARTS)
    assert not unquote(answer.headers["Content-Disposition"].rpartition("''")[2]).startswith(
        ("=", "+", "-", "@")
    )
    assert lines(["=Школа"], []) == ["'=Школа"]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=40), st.text(max_size=60))
def test_any_text_gives_a_sound_workbook(text: str, name: str) -> None:
    content = exports.workbook(Table(["Текст", text], [[text, 1]], title=text), name)
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        for part in package.namelist():
            ElementTree.fromstring(package.read(part))
    assert all(cell.data_type != "f" for row in load_workbook(io.BytesIO(content)).active for cell in row)


def test_rows_are_as_high_as_their_texts_and_columns_give_way() -> None:
    columns = ["Авторы", "Наименование", "Школы", *map(str, range(12))]
    row = ["Иванов И. И., Петров П. П. " * 3, "Математика " * 5, "Приморская – 5; " * 9, *range(12)]
    sheet = opened(columns, [row, ["А", "Б", "В", *range(12)]])
    widths = [sheet.column_dimensions[cell.column_letter].width for cell in sheet[1]]
    assert sum(widths) <= exports.ACROSS + 1
    assert min(widths[:3]) >= exports.TIGHT
    lines = sheet.row_dimensions[2].height / exports.LINE_HEIGHT
    assert lines >= max(len(str(value)) / width for value, width in zip(row[:3], widths, strict=False))
    assert sheet.row_dimensions[3].height is None
