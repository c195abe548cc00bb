"""A list as a file: CSV, XLSX or JSON of the same rows the page shows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote

from flask import Response, abort
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from exchange.web.formats import format_date

FORMATS = ("xlsx", "csv", "json")
WIDEST = 60
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export(format_: str, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    """Return ``rows`` under ``columns`` as a download called ``name``; 404 for an unknown format.

    Text of users never becomes a formula: XLSX cells are typed as text, CSV cells get a leading apostrophe.
    """
    if format_ not in FORMATS:
        abort(404)
    make = {"csv": _csv, "xlsx": _xlsx, "json": _json}[format_]
    content, kind = make(columns, rows)
    response = Response(content, mimetype=kind)
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(f'{name}.{format_}')}"
    return response


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> tuple[bytes, str]:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";")
    writer.writerow(columns)
    writer.writerows([_csv_cell(value) for value in row] for row in rows)
    # Excel takes a file for UTF-8 only when it begins with the mark.
    return text.getvalue().encode("utf-8-sig"), "text/csv"


def _csv_cell(value: Any) -> Any:
    if isinstance(value, date):
        return format_date(value)
    if isinstance(value, float):
        return str(value).replace(".", ",")
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value


def _xlsx(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> tuple[bytes, str]:
    body = [list(row) for row in rows]
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Лист1")
    for index, column in enumerate(columns):
        longest = max([len(column), *(len(str(row[index] or "")) for row in body)])
        sheet.column_dimensions[get_column_letter(index + 1)].width = min(longest, WIDEST) + 2
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{len(body) + 1}"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = Worksheet.PAPERSIZE_A4
    sheet.page_setup.fitToWidth = 1
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.print_title_rows = "1:1"
    sheet.append([_xlsx_cell(sheet, column, bold=True) for column in columns])
    for row in body:
        sheet.append([_xlsx_cell(sheet, value) for value in row])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue(), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _xlsx_cell(sheet: Any, value: Any, *, bold: bool = False) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet, value=value)
    if isinstance(value, str):
        cell.data_type = "s"
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    elif isinstance(value, date):
        cell.number_format = "DD.MM.YYYY"
    if bold:
        cell.font = Font(bold=True)
    return cell


def _json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> tuple[bytes, str]:
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    return json.dumps(records, ensure_ascii=False, default=str).encode(), "application/json"
