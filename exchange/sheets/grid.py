"""What every reader fills: the rows of a sheet, within limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from exchange.errors import Invalid

Value = str | int | float | date | None
"""A cell. A moment is its date, a formula is the value it had when saved, an error of Excel is nothing."""

Row = tuple[int, list[Value]]
"""A row under the number Excel shows beside it."""

TOO_MANY_TAGS = "Файл «%(file)s» устроен подозрительно (в нём слишком много ячеек), он не загружен."
TOO_MANY_ROWS = (
    "В файле «%(file)s» больше %(limit)s строк. Разделите таблицу на несколько файлов "
    "или удалите лишние строки."
)
ROW_TOO_FAR = (
    "В файле «%(file)s» на листе «%(sheet)s» что-то записано в строке %(row)s, а читаются строки "
    "до %(limit)s. Удалите лишнее или разделите таблицу."
)
TOO_MANY_CELLS = "В файле «%(file)s» больше %(limit)s ячеек. Разделите таблицу на несколько файлов."
DAMAGED = "Файл «%(file)s» повреждён. Откройте его, сохраните заново и загрузите ещё раз."
TOO_MANY_SHEETS = "Файл «%(file)s» устроен подозрительно (в нём слишком много таблиц), он не загружен."
MERGED_TWICE = (
    "Файл «%(file)s» устроен подозрительно (объединённые ячейки накрывают друг друга), он не загружен."
)


@dataclass(frozen=True)
class Limits:
    """How much of a file is read before it is refused.

    ``megabytes`` of the file as it came, ``unpacked`` megabytes and ``members`` of the archive inside it,
    ``ratio`` of the two; ``tags`` is the number of «<» in its XML, ``sheets`` of its tables; ``rows`` and
    ``cells`` count what is filled in all of them, and no row may have a number above ``rows``. Columns beyond
    ``columns`` are left out.
    """

    megabytes: int = 20
    unpacked: int = 160
    ratio: int = 200
    members: int = 2_000
    tags: int = 6_000_000
    sheets: int = 1_000
    rows: int = 30_000
    columns: int = 256
    cells: int = 2_000_000


@dataclass(frozen=True, order=True)
class Merged:
    """A block of merged cells: rows from 1 as Excel numbers them, columns from 0, all inclusive."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook, a table of a document, or a text table.

    ``rows`` are those with something in them, all of the same width; of the blank ones only the gap in the
    numbers is left. A cell merged downwards («5 класс» beside ten books) is repeated in every row of its
    block that has something of its own; to the right nothing is repeated, so that a title merged across the
    table stays a row of one cell. ``merged`` tells the repeated from the written.

    ``hidden`` sheets are given too. ``above`` are the lines of text before a table of a document, the nearest
    last. ``formula_row`` is the first row with a formula (old Excel does not tell). ``left_out`` counts the
    filled cells beyond the last column that is read.
    """

    name: str
    rows: list[Row]
    hidden: bool = False
    merged: tuple[Merged, ...] = ()
    above: tuple[str, ...] = ()
    formula_row: int | None = None
    left_out: int = 0

    @property
    def width(self) -> int:
        """The number of cells in every row."""
        return len(self.rows[0][1]) if self.rows else 0


DEFAULT = Limits()


class Meter:
    """What the file being read has used up of its limits."""

    def __init__(self, file: str, limits: Limits) -> None:
        self.file = file
        self.limits = limits
        self._tags = self._sheets = self._rows = self._cells = 0

    def refusal(self, message: str, **parameters: object) -> Invalid:
        """Return the error with the file's name in it."""
        return Invalid(message, field=None, file=self.file, **parameters)

    def tags(self, number: int) -> None:
        """Count tags."""
        self._tags += number
        if self._tags > self.limits.tags:
            raise self.refusal(TOO_MANY_TAGS)

    def sheet(self) -> None:
        """Count a table, also an empty one."""
        self._sheets += 1
        if self._sheets > self.limits.sheets:
            raise self.refusal(TOO_MANY_SHEETS)

    def rows(self, number: int, width: int) -> None:
        """Count filled rows of ``width`` cells."""
        self._rows += number
        if self._rows > self.limits.rows:
            raise self.refusal(TOO_MANY_ROWS, limit=self.limits.rows)
        self.cells(number * width)

    def cells(self, number: int) -> None:
        """Count cells."""
        self._cells += number
        if self._cells > self.limits.cells:
            raise self.refusal(TOO_MANY_CELLS, limit=self.limits.cells)


class Grid:
    """A sheet being read, row by row from the top."""

    def __init__(self, name: str, meter: Meter, *, hidden: bool = False, above: Iterable[str] = ()) -> None:
        meter.sheet()
        self.name = tidy_name(name)
        self._meter = meter
        self._hidden = hidden
        self._above = tuple(above)
        self._rows: list[Row] = []
        self._merged: list[Merged] = []
        self._formula_row: int | None = None
        self._left_out = 0
        self._last = 0

    def add(self, number: int, cells: list[Value], *, times: int = 1) -> None:
        """Add the row, or ``times`` equal ones from ``number`` on; the list belongs to the grid then."""
        while cells and cells[-1] is None:
            cells.pop()
        if not cells:
            return
        limits = self._meter.limits
        if number <= self._last:
            raise self._meter.refusal(DAMAGED)
        self._last = number + times - 1
        if self._last > limits.rows:
            raise self._meter.refusal(ROW_TOO_FAR, sheet=self.name, row=self._last, limit=limits.rows)
        if len(cells) > limits.columns:
            self.leave_out(sum(cell is not None for cell in cells[limits.columns :]) * times)
            del cells[limits.columns :]
            while cells and cells[-1] is None:
                cells.pop()
            if not cells:
                return
        self._meter.rows(times, len(cells))
        self._rows.append((number, cells))
        self._rows.extend((number + more, cells.copy()) for more in range(1, times))

    def leave_out(self, number: int) -> None:
        """Count filled cells beyond the last column."""
        self._left_out += number

    def formula(self, row: int) -> None:
        """Note that there is a formula in ``row``."""
        if self._formula_row is None:
            self._formula_row = row

    def merge(self, block: Merged) -> None:
        """Note a block of merged cells; one of a single cell is none."""
        if (block.top < block.bottom or block.left < block.right) and block.left < self._meter.limits.columns:
            self._merged.append(block)

    def sheet(self) -> Sheet | None:
        """Return what was read, or None if nothing was in it."""
        if not self._rows:
            return None
        width = max(len(cells) for _, cells in self._rows)
        for _, cells in self._rows:
            cells.extend([None] * (width - len(cells)))
        merged = sorted(
            Merged(block.top, block.left, min(block.bottom, self._last), min(block.right, width - 1))
            for block in self._merged
            if block.top <= self._last and block.left < width
        )
        self._repeat_downwards(merged)
        return Sheet(
            self.name, self._rows, self._hidden, tuple(merged), self._above, self._formula_row, self._left_out
        )

    def _repeat_downwards(self, merged: Sequence[Merged]) -> None:
        # Merged blocks do not overlap, so that together they are no higher than all columns.
        if sum(block.bottom - block.top for block in merged) > self._last * self._meter.limits.columns:
            raise self._meter.refusal(MERGED_TWICE)
        tall = [block for block in merged if block.bottom > block.top]
        if not tall:
            return
        by_number = dict(self._rows)
        for block in tall:
            value = by_number[block.top][block.left] if block.top in by_number else None
            if value is None:
                continue
            for number in range(block.top + 1, block.bottom + 1):
                cells = by_number.get(number)
                if cells is not None and cells[block.left] is None:
                    cells[block.left] = value


# --- cells ---

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_ERRORS = frozenset({
    "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA", "#SPILL!", "#CALC!",
    "#ПУСТО!", "#ДЕЛ/0!", "#ЗНАЧ!", "#ССЫЛКА!", "#ИМЯ?", "#ЧИСЛО!", "#Н/Д", "#ПЕРЕНОС!", "#ВЫЧИСЛ!",
})  # fmt: skip
YES, NO = "да", "нет"


def tidy(text: str) -> str | None:
    """Return a text as it stands without what no text has; None for blanks and the errors of Excel."""
    if not text or text.isspace():
        return None
    if _CONTROL.search(text):
        return tidy(_CONTROL.sub("", text))
    return None if text[0] == "#" and text.strip() in _ERRORS else text


def tidy_name(text: str) -> str:
    """Return the name of a sheet, not longer than anything shows."""
    return " ".join(_CONTROL.sub("", text).split())[:100]


def number(text: str) -> Value:
    """Return a number as programs write it, whole ones as int; what is no number stays a text."""
    try:
        if len(text) < 16 and text.lstrip("-").isdecimal():
            return int(text)
        return whole(float(text))
    except (ValueError, OverflowError):
        return tidy(text)


def whole(value: float) -> Value:
    """Return 12.0 as 12; None for what is not finite."""
    if value - value != 0:
        return None
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def day(serial: float, *, since_1904: bool = False) -> Value:
    """Return the date of a serial number of Excel, a bare time as «9:30», another number as it is."""
    if 0 <= serial < 1 and not (serial == 0 and since_1904):
        minutes = round(serial * 24 * 60)
        return f"{minutes // 60}:{minutes % 60:02}"
    # Excel believes in 29 February 1900.
    since_1900 = date(1899, 12, 31) if serial < 60 else date(1899, 12, 30)
    first = date(1904, 1, 1) if since_1904 else since_1900
    try:
        return first + timedelta(days=int(serial)) if serial >= 0 else whole(serial)
    except OverflowError:
        return whole(serial)


_NOT_CODE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
_DURATION = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)


def is_date_format(code: str) -> bool:
    """Tell whether a number format of Excel shows numbers as dates or times of the day."""
    first = code[:255].split(";")[0]
    if _DURATION.search(first):
        return False
    return re.search("[dmyhs]", _NOT_CODE.sub("", first), re.IGNORECASE) is not None


BUILT_IN_DATES = frozenset([*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)])
"""The numbers of the formats every Excel knows by heart; 46 is a duration."""


def iso_day(text: str) -> Value:
    """Return the date of «2026-08-31» or «2026-08-31T10:00:00», or the text."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return tidy(text)


def place(cells: list[Value], column: int, value: Value) -> None:
    """Put ``value`` into a row, lengthening it as needed."""
    if column < len(cells):
        cells[column] = value
    else:
        cells.extend([None] * (column - len(cells)))
        cells.append(value)
