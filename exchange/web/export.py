"""A list as a file: CSV, XLSX or JSON of the same rows the page shows.

The workbook is one that Excel 2010 and LibreOffice open without a question and print as it is: widths, a
frozen header with filters, landscape A4 fitted to its width, the header again on every page, page numbers.
Text of users never becomes a formula, whatever it begins with.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from math import ceil
from typing import Any
from urllib.parse import quote

from flask import Response, abort
from flask_babel import gettext
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from exchange.web.formats import format_date

FORMATS = ("xlsx", "csv", "json")
NARROWEST = 6
WIDEST = 60
"""Widths of a column, in characters."""
LONGEST_TEXT = 32_767
"""Characters that a cell of Excel holds."""
LONGEST_SHEET_NAME = 31
LONGEST_FILE_NAME = 120
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NOT_IN_SHEET_NAME = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_NOT_IN_FILE_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
_HEADER_FILL = PatternFill("solid", fgColor="FFE8EDF3")
_THIN = Side(style="thin", color="FF9AA5B1")
_FRAME = Border(left=_THIN, right=_THIN, top=_THIN, bottom=_THIN)


@dataclass(frozen=True)
class Table:
    """A further sheet of a workbook; ``percents`` names the columns that hold shares (0.97 is «97 %»)."""

    name: str
    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]
    percents: Collection[str] = ()


def export(
    format_: str,
    name: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    about: Sequence[str] = (),
    below: Sequence[str] = (),
    percents: Collection[str] = (),
    more: Sequence[Table] = (),
) -> Response:
    """Return ``rows`` under ``columns`` as a download called ``name``; 404 for an unknown format.

    ``title`` and the lines of ``about`` (a date, a school) stand above the table in a workbook, those of
    ``below`` (signatures) under it; ``percents`` names the columns that hold shares; ``more`` are further
    sheets. CSV and JSON hold the table alone, so that a program can read them.
    """
    if format_ not in FORMATS:
        abort(404)
    first = Table(name, [str(column) for column in columns], rows, percents)
    if format_ == "xlsx":
        content, kind = _xlsx(first, more, title, about, below)
    else:
        content, kind = {"csv": _csv, "json": _json}[format_](first)
    response = Response(content, mimetype=kind)
    response.headers["Content-Disposition"] = (
        f"attachment; filename*=UTF-8''{quote(f'{file_name(name)}.{format_}', safe='')}"
    )
    return response


def file_name(name: str) -> str:
    """Return ``name`` as every system takes it for the name of a file, without the ending."""
    cleaned = " ".join(_NOT_IN_FILE_NAME.sub(" ", name).split()).lstrip("=+-@. ")
    return cleaned[:LONGEST_FILE_NAME].rstrip(". ") or "export"


def sheet_name(name: str) -> str:
    """Return ``name`` as Excel takes it for the name of a sheet."""
    cleaned = " ".join(_NOT_IN_SHEET_NAME.sub(" ", _NOT_IN_XML.sub(" ", name)).split())
    cleaned = cleaned.lstrip("=+-@' ")[:LONGEST_SHEET_NAME].rstrip("' ")
    # Excel keeps this one for itself.
    return cleaned if cleaned and cleaned.casefold() != "history" else "Лист1"


def plain(text: str) -> str:
    """Return a text without what no workbook can hold, cut to what a cell holds."""
    return _NOT_IN_XML.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))[:LONGEST_TEXT]


# --- CSV and JSON ---


def _csv(table: Table) -> tuple[bytes, str]:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";")
    writer.writerow([_csv_cell(column) for column in table.columns])
    shares = _shares(table)
    writer.writerows(
        [_csv_cell(value, share=index in shares) for index, value in enumerate(row)] for row in table.rows
    )
    # Excel takes a file for UTF-8 only when it begins with the mark.
    return text.getvalue().encode("utf-8-sig"), "text/csv"


def _csv_cell(value: Any, *, share: bool = False) -> Any:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%d.%m.%Y %H:%M}"
    if isinstance(value, date):
        return format_date(value)
    if isinstance(value, bool):
        return _yes_or_no(value)
    if share and isinstance(value, int | float):
        return f"{value * 100:.1f}%".replace(".", ",")
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return str(value).replace(".", ",")
    text = _NOT_IN_XML.sub("", str(value))
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _json(table: Table) -> tuple[bytes, str]:
    records = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return json.dumps(records, ensure_ascii=False, default=str).encode(), "application/json"


def _shares(table: Table) -> set[int]:
    return {index for index, column in enumerate(table.columns) if column in table.percents}


def _yes_or_no(value: bool) -> str:
    return str(gettext("да") if value else gettext("нет"))


# --- the workbook ---


def _xlsx(
    first: Table, more: Sequence[Table], title: str, about: Sequence[str], below: Sequence[str]
) -> tuple[bytes, str]:
    book = Workbook(write_only=True)
    taken: set[str] = set()
    _write_sheet(book, first, taken, title=title, about=about, below=below)
    for table in more:
        _write_sheet(book, table, taken, title="", about=(), below=())
    file = io.BytesIO()
    book.save(file)
    return file.getvalue(), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _write_sheet(
    book: Workbook,
    table: Table,
    taken: set[str],
    *,
    title: str,
    about: Sequence[str],
    below: Sequence[str],
) -> None:
    shares = _shares(table)
    columns = [plain(str(column)) for column in table.columns]
    body = [[_value(value) for value in row] for row in table.rows]
    sheet = book.create_sheet(_free_name(sheet_name(table.name), taken))
    head = [line for line in (title, *about) if line]
    # A blank row between heading and table, so that sorting and filtering leave the heading alone.
    top = len(head) + 2 if head else 1
    widths = [
        _width(column, (row[index] for row in body), share=index in shares)
        for index, column in enumerate(columns)
    ]
    for index, width in enumerate(widths):
        sheet.column_dimensions[get_column_letter(index + 1)].width = width
    last = get_column_letter(len(columns))
    bottom = top + len(body)
    sheet.freeze_panes = f"A{top + 1}"
    sheet.auto_filter.ref = f"A{top}:{last}{bottom}"
    sheet.print_title_rows = f"{top}:{top}"
    sheet.print_area = f"A1:{last}{bottom + (len(below) + 1 if below else 0)}"
    _set_up_page(sheet, title or table.name)

    for index, line in enumerate(head):
        sheet.append([_heading(sheet, line, first=bool(title) and index == 0)])
    if head:
        sheet.append([])
    lines = max(ceil(len(column) / (width - 1)) for column, width in zip(columns, widths, strict=True))
    sheet.row_dimensions[top].height = 15 * min(max(lines, 1), 8) + 3
    sheet.append([_header(sheet, column) for column in columns])
    for row in body:
        sheet.append([_cell(sheet, value, share=index in shares) for index, value in enumerate(row)])
    if below:
        sheet.append([])
        for line in below:
            sheet.append([_heading(sheet, line, first=False)])


def _free_name(name: str, taken: set[str]) -> str:
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{name[: LONGEST_SHEET_NAME - len(str(number)) - 1]} {number}"
    taken.add(free.casefold())
    return free


def _set_up_page(sheet: Any, name: str) -> None:
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = Worksheet.PAPERSIZE_A4
    sheet.page_setup.fitToWidth = 1
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    for side in ("left", "right", "top"):
        setattr(sheet.page_margins, side, 0.4)
    sheet.page_margins.bottom = 0.6
    # «&» begins a command there; Excel holds 255 characters of it.
    sheet.oddFooter.left.text = plain(name).replace("&", "&&").replace("\n", " ")[:100]
    sheet.oddFooter.right.text = gettext("Страница %(number)s из %(count)s", number="&P", count="&N")


def _value(value: Any) -> Any:
    """Return a value as a cell takes it: texts cleaned, moments without a zone, whole floats as integers."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, bool):
        return _yes_or_no(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, date):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    return plain(str(value))


def _width(column: str, values: Iterable[Any], *, share: bool) -> int:
    """Return the width that holds the values, and the longest word of the header, which may wrap."""
    longest = max((len(word) for word in column.split()), default=0)
    for value in values:
        if isinstance(value, str):
            longest = max(longest, max((len(line) for line in value.split("\n")), default=0))
        elif isinstance(value, datetime):
            longest = max(longest, 16)
        elif isinstance(value, date):
            longest = max(longest, 10)
        elif value is not None:
            longest = max(longest, 7 if share else len(f"{value:,.2f}" if value % 1 else f"{value:,}"))
    # The arrow of the filter covers two characters.
    return min(max(longest, NARROWEST), WIDEST) + 3


def _cell(sheet: Any, value: Any, *, share: bool) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet, value=value)
    cell.border = _FRAME
    cell.alignment = Alignment(wrap_text=isinstance(value, str), vertical="top")
    if isinstance(value, str):
        _as_text(cell)
    elif isinstance(value, datetime):
        cell.number_format = "DD.MM.YYYY HH:MM"
    elif isinstance(value, date):
        cell.number_format = "DD.MM.YYYY"
    elif share and value is not None:
        cell.number_format = "0%" if value in (0, 1) else "0.0%"
    elif isinstance(value, float):
        cell.number_format = "#,##0.0" if round(value, 1) == value else "#,##0.00"
    elif isinstance(value, int) and abs(value) >= 10_000:
        # Not the smaller ones: a year of printing is not «2 021».
        cell.number_format = "#,##0"
    return cell


def _as_text(cell: WriteOnlyCell) -> None:
    cell.data_type = "s"
    if cell.value.startswith(_FORMULA_STARTS):
        # Else the text becomes a formula as soon as somebody opens the cell and presses Enter.
        cell.quotePrefix = True


def _header(sheet: Any, text: str) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet, value=text)
    _as_text(cell)
    cell.font = Font(bold=True)
    cell.fill = _HEADER_FILL
    cell.border = _FRAME
    cell.alignment = Alignment(wrap_text=True, vertical="center", horizontal="center")
    return cell


def _heading(sheet: Any, text: str, *, first: bool) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet, value=plain(text))
    _as_text(cell)
    cell.font = Font(bold=first, size=14 if first else 11)
    return cell
