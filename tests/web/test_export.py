"""Lists as files: what Excel makes of them, whatever stands in the texts."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import unquote

import openpyxl
import pytest
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.web import export as module
from exchange.web.export import LONGEST_TEXT, Table, export, file_name, plain, sheet_name
from exchange.web.unit import Portal

HOSTILE = ["=1+1", "+7 391", "-5", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0", "＝1+1"]
COLUMNS = ["Наименование", "Год", "Доля", "День", "Момент", "К", "Экземпляров"]
ROW = [
    "Физика", 2021, 0.971, date(2026, 9, 1), datetime(2026, 9, 1, 10, 5, tzinfo=UTC), 1.88, 12345,
]  # fmt: skip


def made(app: Portal, *arguments: Any, format_: str = "xlsx", **options: Any) -> bytes:
    with app.test_request_context():
        return export(format_, *arguments, **options).data


def opened(app: Portal, *arguments: Any, **options: Any) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(made(app, *arguments, **options)))


def test_a_workbook_is_ready_to_read_and_to_print(app: Portal) -> None:
    sheet = opened(app, "Полка", COLUMNS, [ROW, ROW]).active
    assert sheet.title == "Полка"
    assert (sheet.freeze_panes, sheet.auto_filter.ref, sheet.print_title_rows) == ("A2", "A1:G3", "$1:$1")
    assert sheet.print_area == "'Полка'!$A$1:$G$3"
    assert (sheet.page_setup.orientation, int(sheet.page_setup.paperSize)) == ("landscape", 9)
    assert (sheet.sheet_properties.pageSetUpPr.fitToPage, sheet.page_setup.fitToHeight) == (True, 0)
    assert {"&P", "&N"} <= set(sheet.oddFooter.right.text.split())
    assert all(3 < sheet.column_dimensions[letter].width < 70 for letter in "ABCDEFG")


def test_a_heading_moves_filters_and_header_down(app: Portal) -> None:
    sheet = opened(
        app,
        "Сведения",
        COLUMNS,
        [ROW],
        title="Сведения об излишках",
        about=["МБОУ «Школа»", "на 01.09.2026"],
        below=["Директор ____"],
    ).active
    assert [sheet.cell(row, 1).value for row in (1, 2, 3, 4, 5)] == [
        "Сведения об излишках", "МБОУ «Школа»", "на 01.09.2026", None, "Наименование",
    ]  # fmt: skip
    assert (sheet.freeze_panes, sheet.auto_filter.ref, sheet.print_title_rows) == ("A6", "A5:G6", "$5:$5")
    assert sheet.cell(8, 1).value == "Директор ____"
    assert sheet.print_area.endswith("$A$1:$G$8")


def test_values_keep_their_kinds(app: Portal) -> None:
    sheet = opened(app, "Полка", COLUMNS, [ROW], percents=["Доля"]).active
    cells = sheet[2]
    assert [cell.value for cell in cells[:4]] == ["Физика", 2021, 0.971, datetime(2026, 9, 1)]  # noqa: DTZ001
    assert [cell.number_format for cell in cells] == [
        "General", "General", "0.0%", "DD.MM.YYYY", "DD.MM.YYYY HH:MM", "#,##0.00", "#,##0",
    ]  # fmt: skip
    assert cells[4].value == datetime(2026, 9, 1, 10, 5)  # noqa: DTZ001
    table = made(app, "Полка", COLUMNS, [ROW], percents=["Доля"], format_="csv").decode("utf-8-sig")
    assert table.splitlines()[1] == "Физика;2021;97,1%;01.09.2026;01.09.2026 10:05;1,88;12345"
    assert json.loads(made(app, "Полка", COLUMNS, [ROW], format_="json"))[0]["Год"] == 2021


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_a_formula(app: Portal, text: str) -> None:
    book = opened(
        app, text, [text, text], [[text, 1]], title=text, about=[text], more=[Table(text, [text], [])]
    )
    for sheet in book:
        assert not sheet.title.startswith(tuple("=+-@"))
        for row in sheet:
            for cell in row:
                assert cell.data_type != "f"
                if isinstance(cell.value, str):
                    # Not even when somebody opens the cell and presses Enter.
                    assert cell.quotePrefix, cell.coordinate
    rows = list(csv.reader(io.StringIO(made(app, "x", [text], [[text]], format_="csv").decode("utf-8-sig"))))
    assert all(row[0].startswith("'") for row in rows)


def test_the_check_of_formulas_can_fail(app: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_as_text", lambda _cell: None)
    assert opened(app, "x", ["а"], [["=1+1"]]).active["A2"].data_type == "f"


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=40), st.text(max_size=60))
def test_any_text_gives_a_sound_workbook(text: str, name: str) -> None:
    content, _kind = module._xlsx(Table(name, ["Текст", text], [[text, 1]]), [], "", [], [])
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        for part in package.namelist():
            ElementTree.fromstring(package.read(part))
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    assert 0 < len(sheet.title) <= 31
    assert not re.search(r"[\[\]:*?/\\]", sheet.title)
    assert (sheet["A2"].value or "").strip() == plain(text).strip()


def test_texts_are_cleaned_and_cut() -> None:
    assert plain("а\x00б\x0bв\x1f\ud800г\ufffe\tд\r\nе") == "абвг\tд\nе"
    assert len(plain("я" * 40_000)) == LONGEST_TEXT


@pytest.mark.parametrize(
    ("name", "sheet", "file"),
    [
        ("Полка: школа №1", "Полка школа №1", "Полка школа №1"),
        ("=cmd", "cmd", "cmd"),
        ("a/b\\c*?[x]", "a b c x", "a b c [x]"),
        ("", "Лист1", "export"),
        ("History", "Лист1", "History"),
        ("'", "Лист1", "'"),
        ("…" * 200, "…" * 31, "…" * 120),
        ("../../etc", ".. .. etc", "etc"),
    ],
)
def test_names_of_sheets_and_files(name: str, sheet: str, file: str) -> None:
    assert sheet_name(name) == sheet
    assert file_name(name) == file


def test_the_download_has_its_name(app: Portal) -> None:
    with app.test_request_context():
        answer = export("csv", "=Полка\r\n/«А»", ["а"], [])
    disposition = answer.headers["Content-Disposition"]
    assert disposition.isascii()
    assert unquote(disposition.rpartition("''")[2]) == "Полка «А».csv"


def test_sheets_of_one_name_get_numbers(app: Portal) -> None:
    book = opened(app, "я" * 40, ["а"], [], more=[Table("я" * 40, ["а"], []), Table("Я" * 31, ["а"], [])])
    assert [len(sheet.title) for sheet in book] == [31, 31, 31]
    assert len({sheet.title.casefold() for sheet in book}) == 3
