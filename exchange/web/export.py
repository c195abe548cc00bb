"""A list as a file: CSV, XLSX or JSON of the same rows the page shows."""

from __future__ import annotations

import csv
import io
import json
import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from urllib.parse import quote

from flask import Response, abort
from flask_babel import gettext as _
from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from exchange.web.formats import format_date

FORMATS = ("xlsx", "csv", "json")
LONGEST_TEXT = 32_767
"""Characters Excel keeps in a cell, each of two bytes."""
LONGEST_SHEET_NAME = 31
LONGEST_FILE_NAME = 120
NARROWEST, WIDEST = 6, 48
"""Widths of columns, in characters; longer texts are wrapped."""
ACROSS = 200
"""Characters across a sheet of A4 that can still be read; columns of long texts give way to fit in."""
TIGHT = 16
"""No column gives way below this."""
LINE_HEIGHT = 15
MOST_LINES = 27
"""A row of Excel is at most 409 points high."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NOT_IN_SHEET_NAME = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_NOT_IN_FILE_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\..*)?", re.IGNORECASE)

_DATE, _MOMENT, _SHARE = "DD.MM.YYYY", "DD.MM.YYYY HH:MM", "0.0%"
_THOUSANDS, _TENTHS, _HUNDREDTHS = "#,##0", "#,##0.0", "#,##0.00"
_LARGE = 10_000
"""From here on thousands are set apart. Not below: a year of printing is not «2 021»."""
_LINE = Side(style="thin", color="9AA5B1")
_BOX = Border(left=_LINE, right=_LINE, top=_LINE, bottom=_LINE)
_HEADER_FILL = PatternFill("solid", fgColor="E4EAF1")
# A font without a name is shown with serifs.
_BOLD = Font(name="Calibri", size=11, bold=True)
_TITLE = Font(name="Calibri", size=14, bold=True)
_HEADER = Alignment(wrap_text=True, vertical="center", horizontal="center")
_WRAPPED = Alignment(wrap_text=True, vertical="top")


@dataclass(frozen=True)
class Table:
    """Rows under columns, and what a printed sheet has around them.

    ``title`` and ``above`` stand over the header, ``below`` under the last row; ``total`` is a row of sums
    that is neither filtered nor sorted with the others. ``percents`` names the columns whose numbers are
    shares, 1 for the whole. ``wide`` names columns that stay wide though nothing is in them: a person
    writes there by hand. ``more`` are further sheets of the workbook by their names; what has a place of its
    own in a workbook (heading, further sheets) is left out of CSV and JSON, so that a program can read them.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""
    above: Sequence[str] = ()
    below: Sequence[str] = ()
    total: Sequence[Any] = ()
    percents: Collection[str] = ()
    wide: Collection[str] = ()
    more: Mapping[str, Table] = field(default_factory=dict)

    @property
    def head(self) -> list[str]:
        """The lines over the header, with a blank one between."""
        lines = [line for line in (self.title, *self.above) if line]
        return [*lines, ""] if lines else []


def export(
    format_: str, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], **around: Any
) -> Response:
    """Return ``rows`` under ``columns`` as a download called ``name``; 404 for an unknown format.

    Text never becomes a formula: XLSX cells are typed as text, CSV cells get a leading apostrophe. ``around``
    are the further fields of ``Table``; the lines over and under the table are for XLSX only, so that a CSV
    stays a plain table.
    """
    return download(format_, name, Table(columns, [list(row) for row in rows], **around))


def download(format_: str, name: str, table: Table) -> Response:
    """Return a table as a download called ``name``; 404 for an unknown format."""
    if format_ not in FORMATS:
        abort(404)
    if format_ == "csv":
        content, kind = _csv(table), "text/csv"
    elif format_ == "xlsx":
        content = workbook(table, name)
        kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    else:
        content, kind = _json(table), "application/json"
    response = Response(content, mimetype=kind)
    file = quote(file_name(f"{name}.{format_}"))
    # Old clients know only the first name.
    response.headers["Content-Disposition"] = (
        f"attachment; filename=\"export.{format_}\"; filename*=UTF-8''{file}"
    )
    return response


def file_name(name: str) -> str:
    """Return a name that Windows takes for a file, its extension kept."""
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    stem = " ".join(_NOT_IN_FILE_NAME.sub("-", stem).split()).lstrip("=+-@. ")
    stem = stem[:LONGEST_FILE_NAME].strip(" .")
    if not stem or _DEVICES.fullmatch(stem):
        stem = f"_{stem}"
    return f"{stem}{dot}{extension}"


def sheet_name(name: str) -> str:
    """Return a name that Excel takes for a sheet: at most 31 characters, none of them reserved."""
    kept = " ".join(_NOT_IN_SHEET_NAME.sub(" ", plain(name)).split()).lstrip("=+-@' ")
    kept = kept[:LONGEST_SHEET_NAME].strip(" '")
    return "Лист1" if kept.casefold() in {"", "history"} else kept


def plain(text: str) -> str:
    """Return a text that a cell can hold: without characters XML forbids, cut to what Excel keeps."""
    text = _NOT_IN_XML.sub("", text.replace("\r\n", "\n"))
    if len(text) * 2 <= LONGEST_TEXT:
        return text
    return text.encode("utf-16-le")[: LONGEST_TEXT * 2].decode("utf-16-le", "ignore")


def _value(value: Any) -> Any:
    """Return what a cell holds: a number, a day, a moment without its zone, a text, or nothing."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return _("да") if value else _("нет")
    if isinstance(value, datetime):
        return value.replace(tzinfo=None, microsecond=0)
    if isinstance(value, date | int | float | Decimal) and not isinstance(value, Enum):
        return value
    return plain(str(value))


def _json(table: Table) -> bytes:
    rows = [*table.rows, *([table.total] if table.total else [])]
    records = [dict(zip(table.columns, row, strict=True)) for row in rows]
    return json.dumps(records, ensure_ascii=False, default=str).encode()


# --- CSV ---


def _csv(table: Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";")
    shares = [column in table.percents for column in table.columns]
    writer.writerow([_csv_cell(column) for column in table.columns])
    for row in (*table.rows, *([table.total] if table.total else [])):
        writer.writerow([_csv_cell(*each) for each in zip(row, shares, strict=True)])
    # Excel takes a file for UTF-8 only when it begins with the mark.
    return text.getvalue().encode("utf-8-sig")


def _csv_cell(value: Any, share: bool = False) -> Any:
    value = _value(value)
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.lstrip(" ").startswith(_FORMULA_STARTS) else value
    if isinstance(value, datetime):
        return f"{value:%d.%m.%Y %H:%M}"
    if isinstance(value, date):
        return format_date(value)
    if share:
        return f"{value * 100:.1f}%".replace(".", ",")
    return str(value).replace(".", ",")


# --- XLSX ---


def workbook(table: Table, name: str) -> bytes:
    """Return a workbook, ready to be filtered and printed, for Excel 2010 and LibreOffice."""
    book = Workbook(write_only=True)
    taken: set[str] = set()
    for title, each in {name: table, **table.more}.items():
        _write(book, each, _free(sheet_name(title), taken), name=table.title or name)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _free(name: str, taken: set[str]) -> str:
    """Return a name that no sheet of the workbook has yet: to Excel capitals make no difference."""
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{name[: LONGEST_SHEET_NAME - len(str(number)) - 1]} {number}"
    taken.add(free.casefold())
    return free


def _write(book: Workbook, table: Table, title: str, *, name: str) -> None:
    sheet = book.create_sheet(title)
    header = len(table.head) + 1
    last = header + len(table.rows)
    bottom = last + bool(table.total) + (len(table.below) + 1 if table.below else 0)
    edge = get_column_letter(len(table.columns))
    body = [[_value(value) for value in row] for row in table.rows]
    widths = _widths(table, body)
    for index, width in enumerate(widths):
        sheet.column_dimensions[get_column_letter(index + 1)].width = width
    sheet.freeze_panes = f"A{header + 1}"
    sheet.auto_filter.ref = f"A{header}:{edge}{last}"
    _set_page(sheet, header=header, area=f"A1:{edge}{bottom}", name=name)
    pen = _Pen(sheet)
    for index, line in enumerate(table.head):
        sheet.append([pen.line(line, font=_TITLE if table.title and index == 0 else None)])
    # Only Excel makes a row as high as its wrapped texts by itself.
    # The arrow of the filter takes the place of three characters.
    _set_height(sheet, header, table.columns, [width - 3 for width in widths])
    sheet.append([pen.heading(column) for column in table.columns])
    shares = [column in table.percents for column in table.columns]
    for number, row in enumerate(body, start=header + 1):
        _set_height(sheet, number, row, widths)
        sheet.append([pen.cell(*each) for each in zip(row, shares, strict=True)])
    if table.total:
        total = [_value(value) for value in table.total]
        sheet.append([pen.cell(*each, bold=True) for each in zip(total, shares, strict=True)])
    if table.below:
        sheet.append([])
    for line in table.below:
        sheet.append([pen.line(line)])


def _widths(table: Table, body: Sequence[Sequence[Any]]) -> list[float]:
    """Return the widths of the columns: as wide as their values, as far as the sheet goes."""
    least, wanted = [], []
    for index, column in enumerate(table.columns):
        longest = max((_length(row[index]) for row in body), default=0)
        # A heading is wrapped between its words, so its longest word counts.
        heading = max(map(len, column.split()), default=0) + 3
        width = max(NARROWEST, heading, min(longest + 2, WIDEST), 14 if column in table.wide else 0)
        texts = any(isinstance(row[index], str) for row in body)
        least.append(min(width, max(heading, TIGHT)) if texts else width)
        wanted.append(width)
    room, spare = ACROSS - sum(least), sum(wanted) - sum(least)
    share = min(1.0, max(0.0, room / spare)) if spare else 1.0
    return [low + (high - low) * share for low, high in zip(least, wanted, strict=True)]


def _set_height(sheet: Any, number: int, row: Sequence[Any], widths: Sequence[float]) -> None:
    lines = max(
        (_lines(cell, width) for cell, width in zip(row, widths, strict=True) if isinstance(cell, str)),
        default=1,
    )
    if lines > 1:
        sheet.row_dimensions[number].height = min(lines, MOST_LINES) * LINE_HEIGHT


def _lines(text: str, width: float) -> int:
    """Return how many lines a text takes when it is wrapped between its words."""
    if len(text) < width and "\n" not in text:
        return 1
    shown = text[: int(width) * MOST_LINES].split("\n")
    return sum(max(1, len(textwrap.wrap(paragraph, int(width) - 1))) for paragraph in shown)


def _length(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, str):
        return max(map(len, value.split("\n")))
    if isinstance(value, datetime):
        return 16
    if isinstance(value, date):
        return 10
    return min(len(str(value)), 12)


def _set_page(sheet: Any, *, header: int, area: str, name: str) -> None:
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = Worksheet.PAPERSIZE_A4
    sheet.page_setup.fitToWidth = 1
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.page_margins.left = sheet.page_margins.right = 0.4
    sheet.page_margins.top, sheet.page_margins.bottom = 0.5, 0.7
    sheet.print_title_rows = f"{header}:{header}"
    sheet.print_area = area
    # «&» begins a command there: &P and &N are the page and the number of pages.
    sheet.oddFooter.left.text = plain(name).replace("&", "&&").replace("\n", " ")[:100]
    sheet.oddFooter.right.text = _("Страница %(number)s из %(count)s", number="&P", count="&N")


def _number_format(value: Any) -> str:
    if isinstance(value, float | Decimal) and value % 1:
        return _TENTHS if round(value, 1) == value else _HUNDREDTHS
    return _THOUSANDS if value is not None and abs(value) >= _LARGE else "General"


class _Pen:
    """Makes the cells of a sheet. Each look is put together once: thousands of cells share it."""

    def __init__(self, sheet: Any) -> None:
        self._sheet = sheet
        self._looks: dict[tuple[str, bool, bool], Any] = {}

    def line(self, text: str, *, font: Font | None = None) -> Cell:
        """Return a line over or under the table, as long as it wants to be."""
        cell = Cell(self._sheet, row=1, column=1, value=plain(text))
        cell.data_type = "s"
        if font is not None:
            cell.font = font
        return cell

    def heading(self, text: str) -> Cell:
        """Return the heading of a column."""
        cell = self.line(text, font=_BOLD)
        cell.alignment, cell.fill, cell.border = _HEADER, _HEADER_FILL, _BOX
        return cell

    def cell(self, value: Any, share: bool, *, bold: bool = False) -> Cell:
        """Return a cell of the table; ``share``: a number is a share, 1 for the whole."""
        is_text = isinstance(value, str)
        if is_text:
            number_format, quoted = "General", value.startswith(_FORMULA_STARTS)
        elif isinstance(value, date):
            number_format, quoted = _MOMENT if isinstance(value, datetime) else _DATE, False
        else:
            number_format, quoted = _SHARE if share else _number_format(value), False
        look = (number_format, quoted, bold)
        if look not in self._looks:
            self._looks[look] = self._look(*look)
        cell = Cell(self._sheet, row=1, column=1, value=value, style_array=self._looks[look])
        # A text that begins like a formula has been taken for one.
        cell.data_type = "s" if is_text else cell.data_type
        cell.number_format = number_format
        return cell

    def _look(self, number_format: str, quoted: bool, bold: bool) -> Any:
        cell = Cell(self._sheet, row=1, column=1)
        cell.alignment, cell.border, cell.number_format = _WRAPPED, _BOX, number_format
        # Otherwise Excel makes it a formula as soon as somebody edits the cell.
        cell.quotePrefix = quoted
        if bold:
            cell.font = _BOLD
        return cell._style
