"""Workbooks of Excel: XLSX and its kin (SpreadsheetML), the XML of Excel 2003, and the old XLS."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from exchange.errors import Invalid
from exchange.sheets.grid import (
    BUILT_IN_DATES,
    DAMAGED,
    NO,
    YES,
    Grid,
    Merged,
    Meter,
    Sheet,
    Value,
    day,
    is_date_format,
    iso_day,
    number,
    place,
    tidy,
    whole,
)
from exchange.sheets.package import CHUNK, CROWDED, ENCRYPTED, Package, locals_of, parse

_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


def xlsx(package: Package, main: str, meter: Meter) -> Iterator[Sheet]:
    """Yield the worksheets of a workbook; formulas give the values they had when it was saved."""
    book = _Book()
    package.parse(main, book)
    related = package.related(main)
    styles, strings = _Styles(), _Strings()
    for kind, target in related.values():
        if kind == "styles" and target in package:
            package.parse(target, styles)
        elif kind == "sharedStrings" and target in package:
            package.parse(target, strings)
    for name, hidden, reference in book.sheets:
        kind, target = related.get(reference, ("", ""))
        if kind != "worksheet":
            continue
        grid = Grid(name, meter, hidden=hidden)
        package.parse(target, _Worksheet(grid, meter, strings.found, styles.dates, book.since_1904))
        if sheet := grid.sheet():
            yield sheet


class _Book:
    def __init__(self) -> None:
        self.sheets: list[tuple[str, bool, str]] = []
        self.since_1904 = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "workbookPr":
            self.since_1904 = attributes.get("date1904") in {"1", "true"}
        elif name == "sheet":
            hidden = attributes.get("state", "visible") != "visible"
            self.sheets.append((attributes.get("name", ""), hidden, locals_of(attributes).get("id", "")))

    def end(self, name: str) -> None:
        pass

    def text(self, data: str) -> None:
        pass


class _Styles:
    """Which cell formats show dates."""

    def __init__(self) -> None:
        self.dates: list[bool] = []
        self._codes: dict[str, bool] = {str(known): True for known in BUILT_IN_DATES}
        self._within = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "numFmt":
            self._codes[attributes.get("numFmtId", "")] = is_date_format(attributes.get("formatCode", ""))
        elif name == "cellXfs":
            self._within = True
        elif name == "xf" and self._within:
            self.dates.append(self._codes.get(attributes.get("numFmtId", ""), False))

    def end(self, name: str) -> None:
        if name == "cellXfs":
            self._within = False

    def text(self, data: str) -> None:
        pass


class _Strings:
    """The texts the cells of all sheets refer to by number; how they are to be pronounced is not kept."""

    def __init__(self) -> None:
        self.found: list[Value] = []
        self._pieces: list[str] = []
        self._in_text = False
        self._phonetic = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "t":
            self._in_text = not self._phonetic
        elif name == "si":
            self._pieces = []
        elif name == "rPh":
            self._phonetic = True

    def end(self, name: str) -> None:
        if name == "t":
            self._in_text = False
        elif name == "si":
            self.found.append(_unescaped("".join(self._pieces)))
        elif name == "rPh":
            self._phonetic = False

    def text(self, data: str) -> None:
        if self._in_text:
            self._pieces.append(data)


def _unescaped(text: str) -> str | None:
    """Return a text without the «_x000D_» that stands for what XML cannot hold."""
    if "_x" in text:
        text = _ESCAPED.sub(
            lambda found: "" if 0xD800 <= (code := int(found[1], 16)) < 0xE000 else chr(code), text
        )
    return tidy(text)


_REFERENCE = re.compile("([A-Z]{1,3})([0-9]{1,7})")


class _Columns(dict[str, int]):
    """Column numbers from 0 by their letters."""

    def __missing__(self, letters: str) -> int:
        column = 0
        if not 0 < len(letters) <= 3:
            raise ValueError(letters)
        for letter in letters:
            column = column * 26 + "ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(letter) + 1
        self[letters] = column - 1
        return column - 1


class _Worksheet:
    """A worksheet on its way into a grid. Cells come by the hundred thousand: few calls for each."""

    def __init__(
        self, grid: Grid, meter: Meter, strings: list[Value], dates: list[bool], since_1904: bool
    ) -> None:
        self._grid = grid
        self._meter = meter
        self._strings = strings
        self._dates = dates
        self._since_1904 = since_1904
        self._letters = _Columns()
        self._limit = meter.limits.columns
        self._row = 0
        self._column = -1
        self._cells: list[Value] = []
        self._kind = ""
        self._style = ""
        self._pieces: list[str] = []
        self._listening = False
        self._in_cell = False
        self._phonetic = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            try:
                reference = attributes.get("r")
                self._column = (
                    self._letters[reference.rstrip("0123456789")] if reference else self._column + 1
                )
            except ValueError as error:
                raise self._meter.refusal(DAMAGED) from error
            self._kind = attributes.get("t", "")
            self._style = attributes.get("s", "")
            self._pieces = []
            self._in_cell = True
        elif name == "v":
            self._listening = self._in_cell
        elif name == "t":
            self._listening = self._in_cell and not self._phonetic
        elif name == "row":
            self._open_row(attributes.get("r"))
        elif name == "f":
            if self._in_cell:
                self._grid.formula(self._row)
        elif name == "rPh":
            self._phonetic = True
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))

    def end(self, name: str) -> None:
        if name == "v" or name == "t":
            self._listening = False
        elif name == "c":
            self._in_cell = False
            if self._pieces:
                value = self._value("".join(self._pieces))
                if value is not None:
                    if self._column < self._limit:
                        place(self._cells, self._column, value)
                    else:
                        self._grid.leave_out(1)
        elif name == "row":
            if self._cells:
                self._grid.add(self._row, self._cells)
                self._cells = []
        elif name == "rPh":
            self._phonetic = False

    def text(self, data: str) -> None:
        if self._listening:
            self._pieces.append(data)

    def _open_row(self, written: str | None) -> None:
        try:
            self._row = int(written) if written else self._row + 1
        except ValueError as error:
            raise self._meter.refusal(DAMAGED) from error
        self._column = -1
        self._cells = []

    def _value(self, text: str) -> Value:
        kind = self._kind
        if kind == "s":
            try:
                return self._strings[int(text)]
            except (ValueError, IndexError) as error:
                raise self._meter.refusal(DAMAGED) from error
        if kind in ("", "n"):
            value = number(text)
            if self._style and isinstance(value, int | float) and self._shows_date():
                return day(value, since_1904=self._since_1904)
            return value
        if kind == "b":
            return YES if text.strip() in ("1", "true") else NO
        if kind == "e":
            return None
        return iso_day(text) if kind == "d" else _unescaped(text)

    def _shows_date(self) -> bool:
        try:
            return self._dates[int(self._style)]
        except (ValueError, IndexError):
            return False

    def _merge(self, written: str) -> None:
        first, _, last = written.partition(":")
        one, other = _REFERENCE.fullmatch(first), _REFERENCE.fullmatch(last)
        if one and other:
            left, right = self._letters[one[1]], self._letters[other[1]]
            self._grid.merge(Merged(int(one[2]), left, int(other[2]), right))


# --- the XML of Excel 2003, in which accounting programs like to write their «.xls» ---


def xml_2003(content: bytes, meter: Meter) -> Iterator[Sheet]:
    """Yield the worksheets of an XML spreadsheet of 2003."""
    handler = _Xml2003(meter)
    parse((content[at : at + CHUNK] for at in range(0, len(content), CHUNK)), handler, meter)
    yield from handler.found


class _Xml2003:
    def __init__(self, meter: Meter) -> None:
        self.found: list[Sheet] = []
        self._meter = meter
        self._grid = Grid("", meter)
        self._row = 0
        self._column = 0
        self._cells: list[Value] = []
        self._across = 0
        self._kind = ""
        self._pieces: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Worksheet":
            self._grid = Grid(locals_of(attributes).get("Name", ""), self._meter)
            self._row = 0
        elif name == "Row":
            self._row = self._number(attributes, "Index", self._row + 1)
            self._column = 0
            self._cells = []
        elif name == "Cell":
            self._column = self._number(attributes, "Index", self._column + 1)
            self._across = self._number(attributes, "MergeAcross", 0)
            down = self._number(attributes, "MergeDown", 0)
            left = self._column - 1
            self._grid.merge(Merged(self._row, left, self._row + down, left + self._across))
            if "Formula" in locals_of(attributes):
                self._grid.formula(self._row)
        elif name == "Data":
            self._kind = locals_of(attributes).get("Type", "")
            self._pieces = []

    def end(self, name: str) -> None:
        if name == "Data" and self._pieces is not None:
            value = self._value("".join(self._pieces))
            self._pieces = None
            if value is None:
                return
            if self._column <= self._meter.limits.columns:
                place(self._cells, self._column - 1, value)
            else:
                self._grid.leave_out(1)
        elif name == "Cell":
            self._column += self._across
        elif name == "Row":
            self._grid.add(self._row, self._cells)
            self._cells = []
        elif name == "Worksheet" and (sheet := self._grid.sheet()):
            self.found.append(sheet)

    def text(self, data: str) -> None:
        if self._pieces is not None:
            self._pieces.append(data)

    def _value(self, text: str) -> Value:
        if self._kind == "Number":
            return number(text)
        if self._kind == "DateTime":
            return iso_day(text)
        if self._kind == "Boolean":
            return YES if text.strip() == "1" else NO
        return None if self._kind == "Error" else tidy(text)

    def _number(self, attributes: dict[str, str], name: str, otherwise: int) -> int:
        written = locals_of(attributes).get(name)
        if written is None:
            return otherwise
        if not re.fullmatch("[0-9]{1,7}", written):
            raise self._meter.refusal(DAMAGED)
        return int(written)


# --- Excel 97 and before ---

_WORK = 2
"""How many times the unpacked limit all sheets together may be, each taken for as long as the file."""


def xls(content: bytes, meter: Meter) -> Iterator[Sheet]:
    """Yield the worksheets of an old workbook."""
    import xlrd

    try:
        book = xlrd.open_workbook(
            file_contents=content,
            logfile=io.StringIO(),
            formatting_info=True,
            ragged_rows=True,
            on_demand=True,
        )
    except Exception as error:  # a damaged workbook makes xlrd raise almost anything
        # It has no class of its own for that.
        message = ENCRYPTED if "encrypted" in str(error) else DAMAGED
        raise meter.refusal(message) from error
    # Several sheets may claim the same bytes, each of them takes time.
    if book.nsheets * len(content) > _WORK * meter.limits.unpacked * 1024 * 1024:
        raise meter.refusal(CROWDED)
    for index in range(book.nsheets):
        try:
            source = book.sheet_by_index(index)
            grid = Grid(source.name, meter, hidden=source.visibility != 0)
            for at in range(source.nrows):
                cells = source.row(at)
                if any(cell.ctype for cell in cells):
                    grid.add(at + 1, [_old_value(cell, book) for cell in cells])
            for top, below, left, after in source.merged_cells:
                grid.merge(Merged(top + 1, left, below, after - 1))
            book.unload_sheet(index)
        except Invalid:
            raise
        except Exception as error:  # as above
            raise meter.refusal(DAMAGED) from error
        if sheet := grid.sheet():
            yield sheet


_TEXT, _NUMBER, _DATE, _BOOLEAN = 1, 2, 3, 4


def _old_value(cell: Any, book: Any) -> Value:
    if cell.ctype == _TEXT:
        return tidy(cell.value)
    if cell.ctype == _DATE:
        style = book.format_map[book.xf_list[cell.xf_index].format_key].format_str
        return day(cell.value, since_1904=book.datemode == 1) if is_date_format(style) else whole(cell.value)
    if cell.ctype == _NUMBER:
        return whole(cell.value)
    if cell.ctype == _BOOLEAN:
        return YES if cell.value else NO
    return None
