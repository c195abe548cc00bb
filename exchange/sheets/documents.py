"""Tables of OpenDocument (ODS), Word (DOCX) and HTML, which many programs save under the name «.xls»."""

from __future__ import annotations

import html
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from exchange.sheets.grid import (
    DAMAGED,
    NO,
    TOO_MANY_ROWS,
    YES,
    Grid,
    Merged,
    Meter,
    Sheet,
    Value,
    iso_day,
    number,
    place,
    tidy,
)
from exchange.sheets.package import ENCRYPTED, Package, locals_of

NO_TABLES = "В документе «%(file)s» нет таблиц."


def _count(written: str | None, meter: Meter, otherwise: int = 1) -> int:
    """Return a number of repetitions or of columns spanned."""
    if written is None:
        return otherwise
    if not re.fullmatch("[0-9]{1,9}", written):
        raise meter.refusal(DAMAGED)
    return int(written)


# --- OpenDocument ---


def ods(package: Package, meter: Meter) -> Iterator[Sheet]:
    """Yield the sheets of an OpenDocument spreadsheet."""
    if "META-INF/manifest.xml" in package:
        manifest = _Manifest()
        package.parse("META-INF/manifest.xml", manifest)
        if manifest.encrypted:
            raise meter.refusal(ENCRYPTED)
    handler = _OpenDocument(meter)
    package.parse("content.xml", handler)
    yield from handler.found


class _Manifest:
    encrypted = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "encryption-data":
            self.encrypted = True

    def end(self, name: str) -> None:
        pass

    def text(self, data: str) -> None:
        pass


class _OpenDocument:
    """The one document of a spreadsheet; rows and cells may be said to stand there a million times."""

    def __init__(self, meter: Meter) -> None:
        self.found: list[Sheet] = []
        self._meter = meter
        self._limit = meter.limits.columns
        self._hidden_styles: set[str] = set()
        self._style = ""
        self._grid: Grid | None = None
        self._row = 0
        self._times = 1
        self._cells: list[Value] | None = None
        self._column = 0
        self._cell: dict[str, str] | None = None
        self._pieces: list[str] = []
        self._in_paragraph = False
        self._remark = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in ("table-cell", "covered-table-cell") and self._cells is not None:
            self._cell = attributes
            self._pieces = []
        elif name == "p" and self._cell is not None and not self._remark:
            self._pieces.append("\n")
            self._in_paragraph = True
        elif name in ("s", "tab", "line-break"):
            self.text("\n" if name == "line-break" else " ")
        elif name == "annotation":
            self._remark += 1
        elif name == "table-row" and self._grid is not None:
            self._times = _count(attributes.get("table:number-rows-repeated"), self._meter)
            self._row += 1
            self._column = 0
            self._cells = []
        elif name == "table":
            style = attributes.get("table:style-name", "")
            self._grid = Grid(
                attributes.get("table:name", ""), self._meter, hidden=style in self._hidden_styles
            )
            self._row = 0
        elif name == "style":
            self._style = attributes.get("style:name", "")
        elif name == "table-properties" and attributes.get("table:display") == "false":
            self._hidden_styles.add(self._style)

    def end(self, name: str) -> None:
        if name == "p" and not self._remark:
            self._in_paragraph = False
        elif name in ("table-cell", "covered-table-cell"):
            self._end_cell(covered=name == "covered-table-cell")
        elif name == "annotation":
            self._remark -= 1
        elif name == "table-row" and self._grid is not None and self._cells is not None:
            self._grid.add(self._row, self._cells, times=self._times)
            self._row += self._times - 1
            self._cells = None
        elif name == "table" and self._grid is not None:
            if sheet := self._grid.sheet():
                self.found.append(sheet)
            self._grid = None

    def text(self, data: str) -> None:
        if self._in_paragraph and not self._remark:
            self._pieces.append(data)

    def _end_cell(self, *, covered: bool) -> None:
        cell, self._cell = self._cell, None
        if cell is None or self._grid is None or self._cells is None:
            return
        times = _count(cell.get("table:number-columns-repeated"), self._meter)
        value = None if covered else self._value(cell)
        if value is not None:
            if "table:formula" in cell:
                self._grid.formula(self._row)
            shown = max(0, min(times, self._limit - self._column))
            self._grid.leave_out((times - shown) * self._times)
            if shown:
                place(self._cells, self._column, value)
                self._cells.extend([value] * (shown - 1))
        wide = _count(cell.get("table:number-columns-spanned"), self._meter)
        tall = _count(cell.get("table:number-rows-spanned"), self._meter)
        bottom, right = self._row + max(tall, 1) - 1, self._column + max(wide, 1) - 1
        self._grid.merge(Merged(self._row, self._column, bottom, right))
        self._column += times

    def _value(self, cell: dict[str, str]) -> Value:
        kind = cell.get("office:value-type", "")
        text = "".join(self._pieces).strip("\n")
        if cell.get("calcext:value-type") == "error":
            return None
        if kind in ("float", "percentage", "currency"):
            return number(cell.get("office:value", ""))
        if kind == "date":
            return iso_day(cell.get("office:date-value", ""))
        if kind == "boolean":
            return YES if cell.get("office:boolean-value") == "true" else NO
        return tidy(text or cell.get("office:string-value", ""))


# --- Word ---

ABOVE = 12
"""How many lines of text before a table are kept: the heading of an appendix takes seven or eight."""


def docx(package: Package, main: str, meter: Meter) -> Iterator[Sheet]:
    """Yield every table of a document, each as a sheet; a table inside a cell is a table of its own."""
    handler = _Word(meter)
    package.parse(main, handler)
    if not handler.found:
        raise meter.refusal(NO_TABLES)
    yield from handler.found


@dataclass
class _WordTable:
    """A table being read; ``open_blocks``, by column, are the blocks merged downwards that may go on."""

    grid: Grid
    row: int = 0
    column: int = 0
    cells: list[Value] = field(default_factory=list)
    span: int = 1
    continues: bool = False
    begins: bool = False
    pieces: list[str] = field(default_factory=list)
    open_blocks: dict[int, Merged] = field(default_factory=dict)


class _Word:
    """The body of a document. What was deleted or moved away under «track changes» is not read."""

    # Among «tabs», the properties of a paragraph, «tab» is not a character.
    _SKIPPED = frozenset({"moveFrom", "Fallback", "tabs"})
    _CHARACTERS = {"p": "\n", "br": "\n", "cr": "\n", "tab": " ", "noBreakHyphen": "-"}

    def __init__(self, meter: Meter) -> None:
        self.found: list[Sheet] = []
        self._meter = meter
        self._tables: list[_WordTable] = []
        self._above: deque[str] = deque(maxlen=ABOVE)
        self._pieces: list[str] = []
        self._skipped = 0
        self._in_text = False
        self._number = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "t":
            self._in_text = not self._skipped
        elif name in self._CHARACTERS:
            if not self._skipped:
                self._write(self._CHARACTERS[name])
        elif name in self._SKIPPED:
            self._skipped += 1
        elif name == "tbl":
            self._number += 1
            self._tables.append(
                _WordTable(Grid(f"Таблица {self._number}", self._meter, above=self._heading()))
            )
        elif self._tables:
            self._in_table(name, locals_of(attributes))

    def _in_table(self, name: str, attributes: dict[str, str]) -> None:
        table = self._tables[-1]
        if name == "tr":
            table.row += 1
            table.column = 0
            table.cells = []
        elif name == "tc":
            table.span, table.begins, table.continues = 1, False, False
            table.pieces = []
        elif name == "gridSpan":
            table.span = max(1, _count(attributes.get("val"), self._meter))
        elif name == "gridBefore":
            table.column = _count(attributes.get("val"), self._meter, 0)
        elif name == "vMerge":
            table.begins = attributes.get("val") == "restart"
            table.continues = not table.begins

    def end(self, name: str) -> None:
        if name == "t":
            self._in_text = False
        elif name in self._SKIPPED:
            self._skipped -= 1
        elif name == "p" and not self._tables:
            if text := " ".join("".join(self._pieces).split()):
                self._above.append(text[:1_000])
            self._pieces = []
        elif name == "tc" and self._tables:
            self._end_cell(self._tables[-1])
        elif name == "tr" and self._tables:
            table = self._tables[-1]
            table.grid.add(table.row, table.cells)
            table.cells = []
        elif name == "tbl" and self._tables:
            table = self._tables.pop()
            for block in table.open_blocks.values():
                table.grid.merge(block)
            if sheet := table.grid.sheet():
                self.found.append(sheet)

    def text(self, data: str) -> None:
        if self._in_text:
            self._write(data)

    def _write(self, text: str) -> None:
        (self._tables[-1].pieces if self._tables else self._pieces).append(text)

    def _heading(self) -> tuple[str, ...]:
        """Return the lines before a table, once."""
        lines = () if self._tables else tuple(self._above)
        if not self._tables:
            self._above.clear()
        return lines

    def _end_cell(self, table: _WordTable) -> None:
        column, right = table.column, table.column + table.span - 1
        value = tidy("\n".join(line for line in "".join(table.pieces).split("\n") if line))
        if table.continues and column in table.open_blocks:
            table.open_blocks[column] = replace(table.open_blocks[column], bottom=table.row)
        else:
            if column in table.open_blocks:
                table.grid.merge(table.open_blocks.pop(column))
            block = Merged(table.row, column, table.row, right)
            if table.begins:
                table.open_blocks[column] = block
            else:
                table.grid.merge(block)
        if value is not None:
            if column < self._meter.limits.columns:
                place(table.cells, column, value)
            else:
                table.grid.leave_out(1)
        table.column = right + 1


# --- HTML ---

_TAG = re.compile(
    r"<(?:(!--)|(/?)(table|tr|td|th|br|p|div|li|style|script|title|head)\b([^<>]{0,2000})>)", re.IGNORECASE
)
_ANY_TAG = re.compile(r"</?[a-zA-Z!?][^<>]{0,2000}>")
_SPAN = re.compile(r"\b(row|col)span\s*=\s*[\"']?\s*([0-9]{1,9})", re.IGNORECASE)
_UNSEEN = re.compile(r"</(?:style|script|title)\b", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\r\n]+")
BLANK_ROWS = 4
"""How many times as many rows as are read a page may have, blank ones included."""
CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w-]{1,40})", re.IGNORECASE)


def html_tables(text: str, meter: Meter) -> Iterator[Sheet]:
    """Yield the tables of a page. Only tags of tables are looked at, in one pass; nothing is run."""
    meter.tags(text.count("<"))
    reader = _Html(meter)
    at = 0
    while found := _TAG.search(text, at):
        reader.text(text[at : found.start()])
        at = found.end()
        name = (found[3] or "").lower()
        if found[1]:
            end = text.find("-->", at)
            at = len(text) if end < 0 else end + 3
        elif found[2]:
            reader.end(name)
        elif name in ("style", "script", "title"):
            unseen = _UNSEEN.search(text, at)
            at = unseen.end() if unseen else len(text)
        else:
            reader.start(name, found[4])
    reader.text(text[at:])
    reader.close()
    yield from reader.found


@dataclass
class _HtmlTable:
    """A table being read; ``taken`` tells to which row a column is covered from above."""

    grid: Grid
    row: int = 0
    column: int = 0
    cells: list[Value] = field(default_factory=list)
    taken: dict[int, int] = field(default_factory=dict)
    in_row: bool = False
    pieces: list[str] | None = None
    down: int = 1
    across: int = 1


class _Html:
    def __init__(self, meter: Meter) -> None:
        self.found: list[Sheet] = []
        self._meter = meter
        self._tables: list[_HtmlTable] = []
        self._number = 0
        self._rows = 0

    def start(self, name: str, attributes: str) -> None:
        if name == "table":
            self._number += 1
            self._tables.append(_HtmlTable(Grid(f"Таблица {self._number}", self._meter)))
        elif not self._tables:
            return
        elif name == "tr":
            self._end_row()
            self._begin_row()
        elif name in ("td", "th"):
            table = self._tables[-1]
            self._end_cell()
            if not table.in_row:
                self._begin_row()
            while table.taken.get(table.column, 0) >= table.row:
                table.column += 1
            spans = {each[1].lower(): int(each[2]) for each in _SPAN.finditer(attributes)}
            table.down, table.across = max(1, spans.get("row", 1)), max(1, spans.get("col", 1))
            table.pieces = []
        elif self._tables[-1].pieces is not None:
            self._tables[-1].pieces.append("\n")

    def end(self, name: str) -> None:
        if not self._tables:
            return
        if name in ("td", "th"):
            self._end_cell()
        elif name == "tr":
            self._end_row()
        elif name == "table":
            self._end_row()
            if sheet := self._tables.pop().grid.sheet():
                self.found.append(sheet)

    def text(self, data: str) -> None:
        if self._tables and (pieces := self._tables[-1].pieces) is not None:
            pieces.append(html.unescape(_BLANKS.sub(" ", _ANY_TAG.sub("", data))))

    def close(self) -> None:
        """Take what is not closed for closed."""
        while self._tables:
            self.end("table")

    def _begin_row(self) -> None:
        self._tables[-1].in_row = True
        self._tables[-1].row += 1
        # Blank rows take time too where cells of other rows cover them.
        self._rows += 1
        limit = self._meter.limits.rows
        if self._rows > BLANK_ROWS * limit:
            raise self._meter.refusal(TOO_MANY_ROWS, limit=limit)

    def _end_cell(self) -> None:
        table = self._tables[-1]
        if table.pieces is None:
            return
        lines = (" ".join(line.split()) for line in "".join(table.pieces).split("\n"))
        value = tidy("\n".join(line for line in lines if line))
        table.pieces = None
        limit = self._meter.limits.columns
        if value is not None:
            if table.column < limit:
                place(table.cells, table.column, value)
            else:
                table.grid.leave_out(1)
        right = table.column + table.across - 1
        table.grid.merge(Merged(table.row, table.column, table.row + table.down - 1, right))
        if table.down > 1:
            covered = range(table.column, min(right + 1, limit))
            self._meter.cells(len(covered))
            table.taken.update(dict.fromkeys(covered, table.row + table.down - 1))
        table.column = right + 1

    def _end_row(self) -> None:
        table = self._tables[-1]
        if not table.in_row:
            return
        self._end_cell()
        table.grid.add(table.row, table.cells)
        table.cells, table.column, table.in_row = [], 0, False
