"""Foreign tables: every format gives the same rows, and no file takes more than it may."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.errors import Invalid
from exchange.sheets import Limits, Merged, Sheet, Value, number_of, pasted, read, year_of
from tests import foreign_files as made
from tests.foreign_files import ods_cell, word_cell

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("EXCHANGE_SHARED", ROOT.parent / "shared"))
needs_forms = pytest.mark.skipif(
    not (SHARED / "forms").is_dir(),
    reason=f"the workbooks of the trade are not beside the repository ({SHARED})",
)
MEGABYTE = 1024 * 1024


def sheets(content: bytes, file: str = "таблица", **options: object) -> list[Sheet]:
    return list(read(io.BytesIO(content), file, **options))  # type: ignore[arg-type]


def only(content: bytes, **options: object) -> Sheet:
    (sheet,) = sheets(content, **options)
    return sheet


def rows(content: bytes, **options: object) -> list[list[Value]]:
    return [cells for _, cells in only(content, **options).rows]


def refusal(content: bytes, **options: object) -> str:
    with pytest.raises(Invalid) as caught:
        sheets(content, **options)
    text = str(caught.value)
    assert "%(" not in text
    assert "\n" not in text
    assert text.endswith(".")
    assert "«таблица»" in text
    return text


# --- the same table in every format ---

TITLE = "Сведения о фонде"
HEADER = ["Класс", "Название", "Год", "Всего", "Цена"]
BOOKS: list[list[Value]] = [
    ["5 класс", "Русский язык. Часть 1", date(2018, 9, 1), 25, 312.5],
    ["5 класс", "Английский язык & «Spotlight»", None, 1251, None],
    ["6 класс", "Математика\nв 2 частях", date(2023, 1, 31), 0, 0.1],
]
EXPECTED = [[TITLE, None, None, None, None], HEADER, *BOOKS]
"""The title is merged across, «5 класс» down; the row numbers are 1, 3, 4, 5, 6."""


def serial(day: date) -> int:
    return (day - date(1899, 12, 30)).days


def as_xlsx() -> bytes:
    cells = []
    for number, row in zip((1, 3, 4, 5, 6), EXPECTED, strict=True):
        inside = ""
        for column, value in enumerate(row):
            place = f"{made.column_letters(column)}{number}"
            if number == 5 and column == 0:
                inside += f'<c r="{place}" s="1"/>'
            elif isinstance(value, str):
                text = value.replace("&", "&amp;")
                inside += f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'
            elif isinstance(value, date):
                inside += f'<c r="{place}" s="1"><v>{serial(value)}</v></c>'
            elif value is not None:
                inside += f'<c r="{place}"><v>{value}</v></c>'
        cells.append(f'<row r="{number}">{inside}</row>')
    merged = '<mergeCells><mergeCell ref="A1:E1"/><mergeCell ref="A4:A5"/></mergeCells>'
    return made.xlsx(f"<sheetData>{''.join(cells)}</sheetData>{merged}", formats=["dd\\.mm\\.yyyy"])


def as_xls() -> bytes:
    body = b""
    for number, row in zip((0, 2, 3, 4, 5), EXPECTED, strict=True):
        for column, value in enumerate(row):
            if number == 4 and column == 0:
                continue
            if isinstance(value, str):
                body += made.xls_text(number, column, value)
            elif isinstance(value, date):
                body += made.xls_number(number, column, serial(value), made.SHOWN_AS_DATE)
            elif value is not None:
                body += made.xls_number(number, column, value)
    return made.xls({"Лист": body + made.xls_merged((0, 0, 0, 4), (3, 4, 0, 0))})


def as_ods() -> bytes:
    def cell(value: Value, attributes: str = "") -> str:
        if isinstance(value, date):
            shown = f'office:value-type="date" office:date-value="{value}T00:00:00"'
            return ods_cell(f"{value:%d.%m.%y}", shown)
        if isinstance(value, int | float):
            return ods_cell(f"{value} шт.", f'office:value-type="float" office:value="{value}"')
        text = (value or "").replace("&", "&amp;").replace("\n", "</text:p><text:p>")
        kind = 'office:value-type="string"' if value else ""
        return f"<table:table-cell {kind} {attributes}><text:p>{text}</text:p></table:table-cell>"

    title = (
        cell(TITLE, 'table:number-columns-spanned="5"')
        + '<table:covered-table-cell table:number-columns-repeated="4"/>'
    )
    first = cell(BOOKS[0][0], 'table:number-rows-spanned="2"') + "".join(map(cell, BOOKS[0][1:]))
    second = "<table:covered-table-cell/>" + "".join(map(cell, BOOKS[1][1:]))
    blank = ods_cell("", 'table:number-columns-repeated="1024"')
    written = [title, blank, "".join(map(cell, HEADER)), first, second, "".join(map(cell, BOOKS[2]))]
    inside = "".join(f"<table:table-row>{each}</table:table-row>" for each in written)
    return made.ods(f'<table:table table:name="Лист">{inside}</table:table>')


def as_xml_2003() -> bytes:
    def cell(value: Value, attributes: str = "") -> str:
        if value is None:
            return "<Cell/>"
        if isinstance(value, date):
            kind, text = "DateTime", f"{value}T00:00:00.000"
        elif isinstance(value, str):
            kind, text = "String", value.replace("&", "&amp;").replace("\n", "&#10;")
        else:
            kind, text = "Number", str(value)
        return f'<Cell {attributes}><Data ss:Type="{kind}">{text}</Data></Cell>'

    title = cell(TITLE, 'ss:MergeAcross="4"')
    first = cell(BOOKS[0][0], 'ss:MergeDown="1"') + "".join(map(cell, BOOKS[0][1:]))
    second = cell(BOOKS[1][1], 'ss:Index="2"') + "".join(map(cell, BOOKS[1][2:]))
    third = "".join(map(cell, BOOKS[2]))
    space = "urn:schemas-microsoft-com:office:spreadsheet"
    return (
        f'<?xml version="1.0"?>\n<Workbook xmlns="{space}" xmlns:ss="{space}"><Worksheet ss:Name="Лист">'
        f"<Table><Row>{title}</Row>"
        f'<Row ss:Index="3">{"".join(map(cell, HEADER))}</Row><Row>{first}</Row><Row>{second}</Row>'
        f"<Row>{third}</Row></Table></Worksheet></Workbook>"
    ).encode()


@pytest.mark.parametrize("make", [as_xlsx, as_xls, as_ods, as_xml_2003])
def test_a_table_is_the_same_in_every_workbook(make: object) -> None:
    sheet = only(make())  # type: ignore[operator]
    assert sheet.name == "Лист"
    assert [number for number, _ in sheet.rows] == [1, 3, 4, 5, 6]
    assert [cells for _, cells in sheet.rows] == EXPECTED
    assert [list(map(type, cells)) for _, cells in sheet.rows] == [
        list(map(type, cells)) for cells in EXPECTED
    ]
    assert sheet.merged == (Merged(1, 0, 1, 4), Merged(4, 0, 5, 0))
    assert (sheet.hidden, sheet.left_out, sheet.formula_row, sheet.width) == (False, 0, None, 5)


def texts(row: Sequence[Value]) -> list[str]:
    return ["" if cell is None else str(cell) for cell in row]


def test_the_same_table_from_word() -> None:
    label = word_cell("5 класс", '<w:vMerge w:val="restart"/>')
    first = [label, *texts(BOOKS[0])[1:]]
    second = [word_cell("", "<w:vMerge/>"), *texts(BOOKS[1])[1:]]
    third = texts(BOOKS[2])
    third[1] = "<w:tc><w:p><w:r><w:t>Математика</w:t><w:br/><w:t>в 2 частях</w:t></w:r></w:p></w:tc>"
    title = ['<w:tc><w:tcPr><w:gridSpan w:val="5"/></w:tcPr>' + made.paragraph(TITLE) + "</w:tc>"]
    content = made.docx(
        made.paragraph("Приложение № 1") + made.word_table([title, [""], HEADER, first, second, third])
    )
    sheet = only(content)
    assert [number for number, _ in sheet.rows] == [1, 3, 4, 5, 6]
    assert [texts(cells) for _, cells in sheet.rows] == [texts(cells) for cells in EXPECTED]
    assert sheet.merged == (Merged(1, 0, 1, 4), Merged(4, 0, 5, 0))
    assert sheet.above == ("Приложение № 1",)


HTML = f"""<html xmlns:x="urn:schemas-microsoft-com:office:excel"><head><meta charset=windows-1251>
<style><!-- td {{ mso: "<td>no</td>" }} --></style><title><td>no</title></head><body><p>до таблицы</p>
<TABLE border=1><tr><td colspan=5>{TITLE}</tr><tr></tr>
<tr><th>{"<th>".join(HEADER)}</tr>
<!-- <tr><td>no</td></tr> -->
<tr><td rowspan="2">5 класс</td><td><b>Русский</b>&nbsp;язык.\n   Часть 1</td>
<td>2018-09-01<td>25</td><td>312.5</td></tr>
<tr><td>Английский язык &amp; &laquo;Spotlight&raquo;</td><td></td><td>1251</td></tr>
<tr><td>6 класс</td><td>Математика<br>в 2 частях</td><td>2023-01-31</td><td>0</td><td>0.1</td></tr></TABLE>
<script>document.write("<table><tr><td>no</td></tr></table>")</script></body></html>"""


@pytest.mark.parametrize("encoding", ["cp1251", "utf-8", "utf-8-sig", "utf-16"])
def test_the_same_table_from_a_page_named_xls(encoding: str) -> None:
    sheet = only(HTML.encode(encoding))
    assert [number for number, _ in sheet.rows] == [1, 3, 4, 5, 6]
    assert [texts(cells) for _, cells in sheet.rows] == [texts(cells) for cells in EXPECTED]
    assert sheet.merged == (Merged(1, 0, 1, 4), Merged(4, 0, 5, 0))


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251"])
def test_the_same_table_from_text(delimiter: str, encoding: str) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter)
    writer.writerows([texts(EXPECTED[0]), [], *map(texts, EXPECTED[1:])])
    sheet = only(stream.getvalue().encode(encoding))
    assert [number for number, _ in sheet.rows] == [1, 3, 4, 5, 6]
    assert [texts(cells) for _, cells in sheet.rows] == [texts(cells) for cells in EXPECTED]
    assert pasted(stream.getvalue()).rows == sheet.rows


# --- workbooks ---


def test_cells_of_every_kind() -> None:
    inside = (
        '<sheetData><row r="2"><c r="A2" t="s"><v>0</v></c><c r="B2" t="str"><f>A2</f><v>итог</v></c>'
        '<c r="C2" t="b"><v>1</v></c><c r="D2" t="e"><v>#REF!</v></c><c r="E2"><f>1+1</f></c>'
        '<c r="F2"><f>1+1</f><v>2</v></c><c r="G2" t="s"><v>1</v></c>'
        '<c r="H2" t="d"><v>2020-05-06T01:02:03</v></c>'
        '<c r="I2" s="1"><v>0.4</v></c><c r="J2" s="2"><v>1.25</v></c><c r="K2" s="3"><v>43344.75</v></c>'
        '<c r="L2"><v>1E-3</v></c><c r="M2"><v>12.0</v></c><c r="N2"><v>nan</v></c>'
        '<c r="O2" t="s"><v>2</v></c></row></sheetData>'
    )
    strings = [
        "<t>текст</t>",
        "<r><t>из </t></r><r><rPr/><t>кусков</t></r><rPh><t>чтение</t></rPh>",
        '<t xml:space="preserve"> _x000D_\n </t>',
    ]
    sheet = only(made.xlsx(inside, strings=strings, formats=["h:mm", "[h]:mm"]))
    ((number, cells),) = sheet.rows
    assert number == 2
    assert cells[:10] == ["текст", "итог", "да", None, None, 2, "из кусков", date(2020, 5, 6), "9:36", 1.25]
    assert cells[10:] == [date(2018, 9, 1), 0.001, 12]
    assert sheet.formula_row == 2


def test_a_prefix_an_odd_place_and_missing_references_change_nothing() -> None:
    parts = made.xlsx_parts({"Лист": made.xlsx_rows([["Класс", 5], [None, "x"]])})
    for name in [name for name in parts if name.startswith("xl/")]:
        parts[name.replace("xl/", "book/").replace("workbook", "main")] = parts.pop(name)
    parts["_rels/.rels"] = made.relations([("officeDocument", "/book/main.xml")])
    sheet = (
        f'<x:worksheet xmlns:x="{made.MAIN}"><x:sheetData><x:row><x:c t="inlineStr"><x:is><x:t>Класс</x:t>'
        '</x:is></x:c><x:c><x:v>5</x:v></x:c></x:row><x:row><x:c/><x:c t="str"><x:v>x</x:v></x:c></x:row>'
        "</x:sheetData></x:worksheet>"
    )
    parts["book/worksheets/sheet1.xml"] = sheet
    assert only(made.zipped(parts)).rows == [(1, ["Класс", 5]), (2, [None, "x"])]


def test_days_since_1904() -> None:
    inside = (
        '<sheetData><row r="1"><c r="A1" s="1"><v>41882</v></c><c r="B1" s="1"><v>0</v></c></row></sheetData>'
    )
    content = made.xlsx(inside, formats=["d.m.yy"], book='<workbookPr date1904="1"/>')
    assert rows(content) == [[date(2018, 9, 1), date(1904, 1, 1)]]


@given(st.dates(date(1900, 1, 1), date(2199, 12, 31)))
def test_dates_come_back(day: date) -> None:
    book = openpyxl.Workbook()
    book.active["B2"] = day
    stream = io.BytesIO()
    book.save(stream)
    assert only(stream.getvalue()).rows == [(2, [None, day])]


def test_hidden_sheets_are_given_and_told() -> None:
    inside = made.xlsx_rows([["x"]])
    content = made.zipped(made.xlsx_parts({"А": inside, "Б": inside, "Пустой": ""}, hidden=["Б"]))
    assert [(sheet.name, sheet.hidden) for sheet in sheets(content)] == [("А", False), ("Б", True)]
    old = made.xls({"А": made.xls_text(0, 0, "x"), "Б": made.xls_text(0, 0, "x")}, hidden=["Б"])
    assert [(sheet.name, sheet.hidden) for sheet in sheets(old)] == [("А", False), ("Б", True)]
    row = f"<table:table-row>{ods_cell('x')}</table:table-row>"
    style = '<style:style style:name="т"><style:table-properties table:display="false"/></style:style>'
    open_ = made.ods(
        f'<table:table table:name="А">{row}</table:table>'
        f'<table:table table:name="Б" table:style-name="т">{row}</table:table>',
        styles=style,
    )
    assert [(sheet.name, sheet.hidden) for sheet in sheets(open_)] == [("А", False), ("Б", True)]


def test_old_cells_of_every_kind() -> None:
    body = made.xls_truth(0, 0, 1) + made.xls_truth(0, 1, 0x17, error=True) + made.xls_formula(0, 2, 5.0)
    body += made.xls_number(0, 3, 1.5, made.SHOWN_AS_DURATION) + made.xls_number(0, 4, 2018.0)
    assert rows(made.xls({"Лист": body})) == [["да", None, 5, 1.5, 2018]]


def test_open_document_cells_of_every_kind() -> None:
    remark = "<office:annotation><text:p>заметка</text:p></office:annotation>"
    cells = (
        ods_cell("ИСТИНА", 'office:value-type="boolean" office:boolean-value="true"')
        + ods_cell("#ССЫЛКА!", 'office:value-type="string" calcext:value-type="error" table:formula="of:=A"')
        + ods_cell("5", 'office:value-type="float" office:value="5" table:formula="of:=2+3"')
        + f'<table:table-cell office:value-type="string">{remark}<text:p>а<text:s/>б</text:p>'
        "</table:table-cell>" + ods_cell("да", 'table:number-columns-repeated="2"')
    )
    sheet = only(made.ods(f"<table:table><table:table-row>{cells}</table:table-row></table:table>"))
    assert sheet.rows == [(1, ["да", None, 5, "а б", "да", "да"])]
    assert sheet.formula_row == 1


def test_a_merged_label_does_not_make_rows_or_overwrite() -> None:
    inside = made.xlsx_rows([["5 класс", "А"], [None, None], [None, "Б"], ["своё", "В"], [None, "Г"]])
    merged = '<mergeCells><mergeCell ref="A1:A4"/><mergeCell ref="D1:D1048576"/></mergeCells>'
    sheet = only(made.xlsx(inside + merged))
    assert sheet.rows == [
        (1, ["5 класс", "А"]),
        (3, ["5 класс", "Б"]),
        (4, ["своё", "В"]),
        (5, [None, "Г"]),
    ]
    assert sheet.merged == (Merged(1, 0, 4, 0),)


# --- documents ---


def test_every_table_of_a_document_is_a_sheet_with_the_lines_above_it() -> None:
    inner = made.word_table([["внутри"]])
    body = (
        "".join(made.paragraph(f"строка {number}") for number in range(20))
        + made.word_table([["а", f"<w:tc>{made.paragraph('б')}{inner}{made.paragraph('')}</w:tc>"]])
        + made.paragraph("между")
        + made.word_table([["в"]])
    )
    found = {sheet.rows[0][1][0]: sheet for sheet in sheets(made.docx(body))}
    assert found.keys() == {"а", "внутри", "в"}
    assert found["а"].rows == [(1, ["а", "б"])]
    assert found["а"].above == tuple(f"строка {number}" for number in range(8, 20))
    assert found["в"].above == ("между",)
    assert len({sheet.name for sheet in found.values()}) == 3


def test_deleted_and_alternative_text_is_not_read() -> None:
    cell = (
        "<w:tc><w:p><w:pPr><w:tabs><w:tab w:pos='1'/></w:tabs></w:pPr>"
        "<w:del><w:r><w:delText>старое</w:delText></w:r></w:del><w:ins><w:r><w:t>новое</w:t></w:r>"
        "</w:ins><w:moveFrom><w:r><w:t>ушло</w:t></w:r></w:moveFrom><w:r><mc:AlternateContent xmlns:mc='m'>"
        "<mc:Choice><w:t>!</w:t></mc:Choice><mc:Fallback><w:t>!</w:t></mc:Fallback></mc:AlternateContent></w:r>"
        "</w:p></w:tc>"
    )
    assert rows(made.docx(made.word_table([[cell]]))) == [["новое!"]]


def test_cells_before_a_row_and_merged_both_ways() -> None:
    wide = '<w:gridSpan w:val="2"/>'
    first = word_cell("а") + word_cell("блок", wide + '<w:vMerge w:val="restart"/>') + word_cell("б")
    second = (
        '<w:trPr><w:gridBefore w:val="1"/></w:trPr>' + word_cell("", wide + "<w:vMerge/>") + word_cell("в")
    )
    table = f"<w:tbl><w:tr>{first}</w:tr><w:tr>{second}</w:tr></w:tbl>"
    sheet = only(made.docx(table))
    assert sheet.rows == [(1, ["а", "блок", None, "б"]), (2, [None, "блок", None, "в"])]
    assert sheet.merged == (Merged(1, 1, 2, 2),)


def test_a_document_without_tables_is_refused() -> None:
    assert "нет таблиц" in refusal(made.docx(made.paragraph("Приказ")))


def test_a_page_that_leaves_its_tags_open() -> None:
    text = "<table><tr><td rowspan=2>а<td colspan=2>б<tr><td>в<td>г</table><table><td>д"
    first, second = sheets(text.encode())
    assert first.rows == [(1, ["а", "б", None]), (2, ["а", "в", "г"])]
    assert second.rows == [(1, ["д"])]


# --- text ---


def test_the_header_decides_the_delimiter() -> None:
    text = "Автор; Название, класс, часть; Всего\n" + "Моро М.И.; Математика, 1, 1; 5\n" * 5

    def header(cells: Sequence[Value]) -> int:
        return sum(str(cell).strip() in ("Автор", "Название, класс, часть", "Всего") for cell in cells)

    assert only(text.encode(), header=header).width == 3
    assert pasted(text, header=header).width == 3


def test_else_the_most_regular_delimiter_is_taken() -> None:
    text = "Автор;Всего\nМоро М.И., Бантова М.А., Бельтюкова Г.В.;5\nКанакина В.П., Горецкий В.Г.;7\n"
    assert rows(text.encode())[1] == ["Моро М.И., Бантова М.А., Бельтюкова Г.В.", "5"]
    assert rows(b"sep=,\na;b,c\n") == [["a;b", "c"]]
    assert only(b"sep=,\na;b,c\n").rows[0][0] == 2


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_lone_quote_does_not_swallow_the_rows_after_it(delimiter: str) -> None:
    lines = [['"Букварь', "1"], ["Азбука", "2"], ['Книга "для чтения"', "3"], ['"Родник" 4', "4"]]
    text = "\r\n".join(delimiter.join(line) for line in lines)
    assert pasted(text).rows == [(number, line) for number, line in enumerate(lines, start=1)]
    assert rows(text.encode()) == lines


def test_what_excel_puts_into_the_clipboard() -> None:
    text = 'Название\tВсего\r\n"Русский язык\nв ""двух"" частях"\t1 251\r\n\r\nАзбука\t#Н/Д\r\n'
    assert pasted(text).rows == [
        (1, ["Название", "Всего"]),
        (2, ['Русский язык\nв "двух" частях', "1 251"]),
        (4, ["Азбука", None]),
    ]
    assert pasted("Азбука").rows == [(1, ["Азбука"])]


@pytest.mark.parametrize("text", ["", " \n\t\n", "\x00"])
def test_nothing_pasted_is_said_so(text: str) -> None:
    with pytest.raises(Invalid, match="буфере"):
        pasted(text)


def test_too_much_pasted_is_refused() -> None:
    with pytest.raises(Invalid, match="файлом"):
        pasted("а\tб\n" * 100, limits=Limits(megabytes=0))


@settings(max_examples=200)
@given(st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=4), max_size=6), st.sampled_from(";,\t"))
def test_no_cell_of_a_text_table_is_lost(table: list[list[str]], delimiter: str) -> None:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter).writerows([["Класс", "Название", "Автор"], *table])

    def header(cells: Sequence[Value]) -> int:
        return len(cells) * (list(cells)[:3] == ["Класс", "Название", "Автор"])

    found = pasted(stream.getvalue(), header=header)
    written = {
        cell for row in table for cell in row if cell.isprintable() and cell.strip() and cell[0] != "#"
    }
    assert written <= {cell for _, cells in found.rows for cell in cells}


TEXTS = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=12)
CELLS = st.none() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9, width=32) | TEXTS
TABLES = st.lists(st.lists(CELLS, max_size=5), min_size=1, max_size=8)


def expected_rows(table: Sequence[Sequence[object]]) -> list[tuple[int, list[object]]]:
    """Return what is to be read of ``table``: rows with something in them, cut to the widest of them."""
    filled = [
        (number, [None if isinstance(cell, str) and not cell.strip() else cell for cell in row])
        for number, row in enumerate(table, start=1)
    ]
    width = max((at + 1 for _, row in filled for at, cell in enumerate(row) if cell is not None), default=0)
    return [
        (number, [*row[:width], *[None] * (width - len(row))])
        for number, row in filled
        if any(cell is not None for cell in row)
    ]


@settings(max_examples=100, deadline=None)
@given(TABLES)
def test_what_is_written_is_read_in_every_format(table: list[list[object]]) -> None:
    def old(row: int, column: int, value: object) -> bytes:
        if isinstance(value, str):
            return made.xls_text(row, column, value) if value else b""
        return b"" if value is None else made.xls_number(row, column, float(str(value)))

    def open_(value: object) -> str:
        if value is None or isinstance(value, str):
            return ods_cell(value or "")
        return ods_cell("…", f'office:value-type="float" office:value="{value}"')

    lines = "".join(f"<table:table-row>{''.join(map(open_, row))}</table:table-row>" for row in table)
    contents = [
        made.xlsx(made.xlsx_rows(table)),
        made.ods(f"<table:table>{lines}</table:table>"),
        made.xls(
            {"Лист": b"".join(old(y, x, cell) for y, row in enumerate(table) for x, cell in enumerate(row))}
        ),
    ]
    expected = expected_rows(table)
    if not expected:
        assert all("ни одной" in refusal(content) for content in contents)
        return
    for content in contents:
        assert only(content).rows == expected


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"<table>", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"]),
)
def test_any_bytes_are_read_or_refused(content: bytes, start: bytes) -> None:
    try:
        found = sheets(start + content)
    except Invalid:
        return
    for sheet in found:
        assert all(len(cells) == sheet.width for _, cells in sheet.rows)
        numbers = [number for number, _ in sheet.rows]
        assert numbers == sorted(set(numbers))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([as_xlsx(), as_xls(), as_ods()]))
def test_a_damaged_workbook_is_read_or_refused(data: st.DataObject, good: bytes) -> None:
    damaged = bytearray(good)
    for at in data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=6)):
        damaged[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Invalid):
        sheets(bytes(damaged))


# --- what is refused ---

BINARY = {"_rels/.rels": made.relations([("officeDocument", "xl/workbook.bin")])}
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"%PDF-1.7\n...", "PDF"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "изображение"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 50, "изображение"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 50, "изображение"),
        (b"{\\rtf1 text}", "Word"),
        (made.compound({"WordDocument": b"text"}), "Word"),
        (made.compound({"EncryptedPackage": b"secret"}), "паролем"),
        (made.xls({"Лист": made.xls_text(0, 0, "x")}, globals_=made.record(0x2F, b"\1" * 54)), "паролем"),
        (made.compound({"PowerPoint Document": b"slides"}), "не читается"),
        (made.compound({"Workbook": b"\x09\x08junk" * 900}), "повреждён"),
        (as_xls()[:1500], "не читается"),
        (OLE, "не читается"),
        (as_xlsx()[:-300], "повреждён"),
        (b"PK\x05\x06" + b"\0" * 18, "архив"),
        (made.zipped({"таблица.xlsx": as_xlsx()}), "архив"),
        (b"Rar!\x1a\x07\0", "архив"),
        (made.zipped({**BINARY, "xl/workbook.bin": b"x"}), "двоичная"),
        (made.zipped({"[Content_Types].xml": "<Types/>"}), "не читается"),
        (b"", "ни одной"),
        (b" \r\n;;\r\n", "ни одной"),
        (b"\0\1\2", "не читается"),
        (b"<?xml version='1.0'?><list/>", "не читается"),
        (b"<html><p>text</p></html>", "ни одной"),
        (made.xlsx(""), "ни одной"),
        (made.ods(""), "ни одной"),
        (made.ods("", manifest="<m><encryption-data/></m>"), "паролем"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_in_one_sentence(content: bytes, word: str) -> None:
    assert word in refusal(content)


class Endless(io.RawIOBase):
    """A file of 200 MB and more; counts what was taken of it."""

    def __init__(self, start: bytes) -> None:
        self.taken = 0
        self._start = start

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "read without a limit"
        self.taken += size
        return self._start.ljust(size, b";")


@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", OLE, b"<table>"])
def test_a_huge_file_is_not_read_to_its_end(start: bytes) -> None:
    source = Endless(start)
    with pytest.raises(Invalid, match="больше 20 МБ"):
        list(read(source, "huge"))  # type: ignore[arg-type]
    assert source.taken == 20 * MEGABYTE + 1


def peak(content: bytes, **options: object) -> tuple[str, int]:
    """Return the refusal and how many megabytes it took at most."""
    tracemalloc.start()
    try:
        return refusal(content, **options), tracemalloc.get_traced_memory()[1] // MEGABYTE
    finally:
        tracemalloc.stop()


def bomb(size: int, inside: bytes = b" ") -> bytes:
    """Return a workbook whose texts unpack to ``size`` bytes, made without holding them."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in made.xlsx_parts({"Лист": made.xlsx_rows([["x"]])}).items():
            if name != "xl/sharedStrings.xml":
                archive.writestr(name, content)
        piece = inside * (MEGABYTE // len(inside))
        with archive.open("xl/sharedStrings.xml", "w") as part:
            part.write(f'<sst xmlns="{made.MAIN}">'.encode())
            for _ in range(-(-size // len(piece))):
                part.write(piece)
            part.write(b"</sst>")
    return stream.getvalue()


def test_texts_of_a_gigabyte_are_not_unpacked() -> None:
    text, megabytes = peak(bomb(1024 * MEGABYTE))
    assert "распаковки" in text
    assert megabytes < 16


def test_what_unpacks_a_thousandfold_is_refused() -> None:
    text, megabytes = peak(bomb(100 * MEGABYTE))
    assert "распаковки" in text
    assert megabytes < 16


def test_a_directory_that_lies_is_found_out() -> None:
    honest = bomb(64 * MEGABYTE)
    with zipfile.ZipFile(io.BytesIO(honest)) as archive:
        size = archive.getinfo("xl/sharedStrings.xml").file_size
    lying = honest.replace(struct.pack("<I", size), struct.pack("<I", 2000))
    assert lying != honest
    text, megabytes = peak(lying)
    assert "повреждён" in text
    assert megabytes < 32


def test_a_directory_of_millions_is_not_read() -> None:
    good = as_xlsx()
    crowd = good[:-22] + good[-22:-14] + b"\xff\xff\xff\xff" + good[-10:]
    assert "слишком много частей" in refusal(crowd)
    assert "слишком много частей" in refusal(as_xlsx(), limits=Limits(members=3))


def test_an_archive_within_another_is_not_opened() -> None:
    inner = made.zipped({"xl/sharedStrings.xml": b" " * 20 * MEGABYTE})
    text, megabytes = peak(made.zipped({f"{number}.zip": inner for number in range(50)}))
    assert "архив" in text
    assert megabytes < 8


ENTITY = '<!DOCTYPE x [<!ENTITY a "{}">]>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "_rels/.rels", "xl/styles.xml"]
)
def test_declarations_are_refused_in_every_part(part: str, encoding: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("тайна")
    parts = made.xlsx_parts({"Лист": made.xlsx_rows([["x"]])})
    for declaration in (ENTITY.format("b"), f'<!DOCTYPE x SYSTEM "file://{secret}">'):
        text = str(parts[part]).replace('<?xml version="1.0"?>', "")
        declared = f'<?xml version="1.0" encoding="{encoding}"?>{declaration}{text}'.encode(encoding)
        assert "объявления" in refusal(made.zipped({**parts, part: declared}))


def test_declarations_are_refused_in_other_formats() -> None:
    table = f"<table:table><table:table-row>{ods_cell('x')}</table:table-row></table:table>"
    with zipfile.ZipFile(io.BytesIO(made.ods(table))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    billion = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x"}">' for n in range(12))
    parts["content.xml"] = f"<!DOCTYPE x [{billion}]>".encode() + parts["content.xml"]
    assert "объявления" in refusal(made.zipped(parts))
    old = as_xml_2003().replace(b"<Workbook", f"<!DOCTYPE x [{billion}]>".encode() + b"<Workbook", 1)
    assert "объявления" in refusal(old)


def test_oddly_packed_and_protected_archives_are_refused() -> None:
    parts = made.xlsx_parts({"Лист": made.xlsx_rows([["x"]])})
    assert "необычным" in refusal(made.zipped(parts, method=zipfile.ZIP_LZMA))
    protected = bytearray(made.zipped(parts))
    at = protected.index(b"PK\x01\x02")
    protected[at + 8] |= 1
    assert "паролем" in refusal(bytes(protected))


EMPTY = '<c s="1"/>'


def blank_rows(number: int, cells: str = "") -> str:
    return "".join(f'<row r="{row}" s="1" customFormat="1">{cells}</row>' for row in range(2, number + 1))


def test_a_million_formatted_empty_rows_are_no_rows() -> None:
    first = '<row r="1"><c r="A1"><v>5</v></c></row>'
    content = made.xlsx(f"<sheetData>{first}{blank_rows(1_048_576, EMPTY)}</sheetData>")
    assert only(content).rows == [(1, [5])]


def test_sixteen_thousand_columns_are_cut_and_told() -> None:
    wide = [None] * 16_384
    row: list[object] = [*wide]
    row[0], row[255], row[256], row[16_383] = "первый", "последний", "лишний", "край"
    sheet = only(made.xlsx(made.xlsx_rows([row] * 5)))
    assert (sheet.width, sheet.left_out) == (256, 10)
    empty = "".join(f'<c r="{made.column_letters(column)}1" s="1"/>' for column in range(16_384))
    content = made.xlsx(
        f'<sheetData><row r="1">{empty}</row><row r="2"><c r="A2"><v>1</v></c></row></sheetData>'
    )
    assert only(content).rows == [(2, [1])]
    assert only((";" * 15_000 + "край\nа;б\n").encode()).left_out == 1


@pytest.mark.parametrize("row", [30_001, 1_048_576, 10**9, 10**30])
def test_a_cell_far_below_is_named(row: int) -> None:
    inside = f'<sheetData><row r="{row}"><c><v>1</v></c></row></sheetData>'
    text = refusal(made.xlsx(inside))
    assert str(row) in text
    assert "строк" in text


@pytest.mark.parametrize(
    "inside",
    [
        '<sheetData><row r="x"><c><v>1</v></c></row></sheetData>',
        '<sheetData><row r="2"><c><v>1</v></c></row><row r="2"><c><v>1</v></c></row></sheetData>',
        '<sheetData><row r="1"><c r="AAAA1"><v>1</v></c></row></sheetData>',
        '<sheetData><row r="1"><c r="a1"><v>1</v></c></row></sheetData>',
        '<sheetData><row r="1"><c t="s"><v>99</v></c></row></sheetData>',
        "<sheetData><row>",
    ],
)
def test_what_no_program_writes_is_damage(inside: str) -> None:
    assert "повреждён" in refusal(made.xlsx(inside))


@pytest.mark.parametrize(
    ("inside", "word"),
    [
        ("<a>" * 600 + "</a>" * 600, "вложены"),
        (f'<sheetData a="{"x" * 3 * MEGABYTE}"/>', "длинная"),
        (f"<sheetData><row><c t='str'><v>{'x' * 3 * MEGABYTE}</v></c></row></sheetData>", "длинная"),
        (f"<sheetData {' '.join(f'a{n}=%s%s' for n in range(400_000))}/>".replace("%s", '"'), "длинная"),
    ],
)
def test_what_expat_would_choke_on_is_refused(inside: str, word: str) -> None:
    text, megabytes = peak(made.xlsx(inside))
    assert word in text
    assert megabytes < 32


def test_numbers_no_computer_holds() -> None:
    inside = f"<sheetData><row><c><v>{'9' * 5000}</v></c><c><v>1</v></c></row></sheetData>"
    assert rows(made.xlsx(inside)) == [[None, 1]]


def test_blocks_merged_over_each_other_are_refused() -> None:
    inside = made.xlsx_rows([["x"]] * 100)
    merged = '<mergeCell ref="A1:A1048576"/>' * 1000
    content = made.xlsx(f"{inside}<mergeCells>{merged}</mergeCells>")
    assert "накрывают" in refusal(content)


@pytest.mark.parametrize(
    ("limits", "word"),
    [(Limits(rows=99), "строк"), (Limits(cells=299), "ячеек"), (Limits(tags=500), "ячеек")],
)
def test_limits_count_over_all_sheets(limits: Limits, word: str) -> None:
    inside = made.xlsx_rows([["а", "б", "в"]] * 50)
    content = made.zipped(made.xlsx_parts({"А": inside, "Б": inside}))
    assert len(sheets(content, limits=replace(limits, rows=100, cells=300, tags=5000))) == 2
    assert word in refusal(content, limits=limits)


def repeated(rows: int, columns: int, text: str) -> str:
    cell = ods_cell(text, f'table:number-columns-repeated="{columns}"')
    return f'<table:table-row table:number-rows-repeated="{rows}">{cell}</table:table-row>'


def test_a_million_repeated_empty_rows_and_columns_are_none() -> None:
    first = f"<table:table-row>{ods_cell('x')}</table:table-row>"
    inside = first + repeated(5, 16_384, "") + first + repeated(1_048_569, 16_384, "")
    assert only(made.ods(f"<table:table>{inside}</table:table>")).rows == [(1, ["x"]), (7, ["x"])]


def test_repeated_values_are_bounded() -> None:
    def table(*repetition: int) -> bytes:
        return made.ods(f"<table:table>{repeated(*repetition, 'x')}</table:table>" * 40)

    for repetition, word in (
        ((1_048_576, 1), "строк"),
        ((1_000, 16_384), "ячеек"),
        ((10**8, 10**8), "строк"),
    ):
        text, megabytes = peak(table(*repetition))
        assert word in text
        assert megabytes < 64
    sheet = only(made.ods(f"<table:table>{repeated(2, 16_384, 'x')}</table:table>"))
    assert (len(sheet.rows), sheet.width, sheet.left_out) == (2, 256, 2 * (16_384 - 256))
    assert "повреждён" in refusal(table(10**12, 1))


def test_old_workbooks_that_reach_far_are_refused() -> None:
    far = made.xls({"Лист": made.xls_text(0, 0, "a") + made.xls_text(65_535, 255, "z")})
    assert "65536" in refusal(far)
    beyond = made.xls({"Лист": made.xls_text(0, 0, "a") + made.xls_text(65_535, 65_535, "z")})
    text, megabytes = peak(beyond)
    assert "повреждён" in text
    assert megabytes < 16


def test_old_sheets_that_share_their_bytes_are_refused() -> None:
    names = {f"Лист {number}": b"" for number in range(2_000)}
    content = made.xls({**names, "Лист": made.record(0x201, b"\0" * 6) * 14_000})
    assert "слишком много частей" in refusal(content)


def test_rows_of_a_page_are_bounded() -> None:
    text = "<table><tr><td rowspan=999999999 colspan=256>x" + "<tr>" * 200_000
    assert "строк" in refusal(text.encode())
    assert "ячеек" in refusal(("<table>" + "<tr><td rowspan=2 colspan=256>" * 20_000).encode())


def test_spans_of_a_page_are_bounded() -> None:
    text = "<table>" + "<tr><td rowspan=999999999 colspan=999999999>x<td>y</tr>" * 3
    sheet = only(text.encode())
    assert sheet.width == 1
    assert [number for number, _ in sheet.rows] == [1]
    assert sheet.left_out == 5


@pytest.mark.parametrize(
    "piece", ["<", "<td", "<table><tr><td>", "<!--", "<td a=", "&", "</", '<td rowspan="']
)
def test_pages_that_never_end(piece: str) -> None:
    text = "<table><tr><td>x</td></tr></table>" + piece * 50_000
    limits = Limits(tags=10_000)
    if "<" in piece:
        assert "ячеек" in refusal(text.encode(), limits=limits)
    if piece.startswith("<table>"):
        assert "таблиц)" in refusal(text.encode())
    else:
        assert only(text.encode()).rows[0] == (1, ["x"])


# --- counts and years ---


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1 251", 1251), ("1\xa0251", 1251), ("1\u202f251 шт.", 1251), ("12 шт.", 12), ("12шт", 12),
        ("12,0", 12), ("12.00", 12), ("~30", 30), ("около 30", 30), ("15 экз.", 15), ("3 комплекта", 3),
        ("'7", 7), (" 0 ", 0),
        (12, 12), (12.0, 12), (0, 0), ("25.", 25),
        ("–", None), ("-", None), ("", None), (None, None), ("12+3", None), ("-5", None),
        (-5, None), ("−5", None),
        (12.5, None), ("12,5", None), ("1.251", None), ("12 51", None), ("12/15", None), ("10-11", None),
        (float("inf"), None), (float("nan"), None), (date(2018, 9, 1), None), ("5 класс", None), ("да", None),
        ("9785090712345", None), (10**12, None), ("9" * 5000, None), ("٣", None),
    ],
)  # fmt: skip
def test_counts_as_people_type_them(value: Value, number: int | None) -> None:
    assert number_of(value) == number


@given(
    st.integers(0, 999_999_999),
    st.sampled_from(["{}", "{} шт.", " {}", "{}\xa0", "{},0", "{} экз", "~{}", "'{}"]),
    st.sampled_from(["", " ", "\xa0", "\u2009"]),
)
def test_a_count_comes_back(number: int, style: str, between: str) -> None:
    text = style.format(f"{number:,}".replace(",", between))
    assert number_of(text) == number_of(number) == number_of(float(number)) == number


@given(st.text() | st.floats() | st.integers() | st.dates() | st.none())
def test_a_count_is_a_count_or_nothing(value: Value) -> None:
    number = number_of(value)
    assert number is None or 0 <= number <= 999_999_999
    year = year_of(value)
    assert year is None or 1950 <= year <= 2100


@pytest.mark.parametrize(
    ("value", "year"),
    [
        ("2018", 2018), ("2018 г.", 2018), ("2018г", 2018), ("2018 год", 2018), ("2018 года", 2018),
        (2018, 2018), (2018.0, 2018), (date(2018, 9, 1), 2018), ("01.09.2018", 2018), ("2018-09-01", 2018),
        ("2018,0", 2018),
        ("2018 г. изд.", 2018), (date(1905, 7, 10), 2018),
        ("2017-2019", None), ("2017–2019", None), ("18", None), (18, None), ("1018", None), (2018.5, None),
        ("", None), (None, None), ("2018/19", None), ("с 2018", None), (date(1899, 1, 1), None),
    ],
)  # fmt: skip
def test_years_as_people_type_them(value: Value, year: int | None) -> None:
    assert year_of(value) == year


@given(st.integers(1950, 2100), st.sampled_from(["{}", "{} г.", "{}г", " {} год ", "{},0"]))
def test_a_year_comes_back(year: int, style: str) -> None:
    assert year_of(style.format(year)) == year_of(year) == year_of(date(year, 6, 1)) == year
    assert year_of(date(1899, 12, 30) + timedelta(days=year)) == year


# --- real workbooks, where they lie beside the repository ---


@needs_forms
def test_real_workbooks_agree_with_the_library_that_writes_them() -> None:
    for path in sorted((SHARED / "forms").glob("*.xlsx")):
        book = openpyxl.load_workbook(path, data_only=True)
        with path.open("rb") as source:
            for sheet in read(source, path.name):
                expected = book[sheet.name]
                found = dict(sheet.rows)
                filled = 0
                for row in expected.iter_rows(max_col=sheet.width):
                    for cell in row:
                        value = cell.value
                        if value is None or (
                            isinstance(value, str) and (not value.strip() or value[0] == "#")
                        ):
                            continue
                        filled += 1
                        if isinstance(value, bool):
                            value = "да" if value else "нет"
                        assert found[cell.row][cell.column - 1] == value, (path.name, cell.coordinate)
                assert filled
