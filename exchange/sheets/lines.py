"""Text tables: files with separators, and what the clipboard holds."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from exchange.sheets.grid import Grid, Meter, Sheet, Value, tidy

Header = Callable[[Sequence[Value]], int]
"""Says how many columns a row names, if it is the header of what the caller looks for; 0 if it is not."""

DELIMITERS = ";,\t"
HEAD = 60
"""How many rows decide what the delimiter is."""
LONGEST = 32_767
"""What a cell of Excel holds."""


def lines(text: str, meter: Meter, *, header: Header | None, first: str = "") -> Sheet | None:
    """Return a text table as a sheet; where nothing else tells, the delimiter is ``first``."""
    skipped = 0
    if text[:4].lower() == "sep=" and text[4:5] in DELIMITERS:
        # What Excel itself understands at the top of a file.
        delimiter, skipped = text[4], 1
    else:
        delimiter = _delimiter(text, header, first)
    grid = Grid("", meter)
    columns = meter.limits.columns
    for number, cells in enumerate(islice(_rows(text, delimiter), skipped, None), start=skipped + 1):
        if len(cells) > columns:
            grid.leave_out(sum(tidy(cell) is not None for cell in islice(cells, columns, None)))
        grid.add(number, [tidy(cell) for cell in cells[:columns]])
    return grid.sheet()


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the rows, quotes understood as Excel writes them if they can be, else taken as they stand.

    A lone quote at the beginning of a cell would otherwise swallow all the rows that follow.
    """

    def reader(**options: object) -> Iterator[list[str]]:
        return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, **options)  # type: ignore[arg-type]

    try:
        for cells in reader(strict=True):
            if any(len(cell) > LONGEST for cell in cells):
                break
        else:
            return reader(strict=True)
    except csv.Error:
        pass
    try:
        if not any("\n" in cell or "\r" in cell for cells in reader() for cell in cells):
            return reader()
    except csv.Error:
        pass
    return (line.rstrip("\r\n").split(delimiter) for line in io.StringIO(text, newline=""))


def _delimiter(text: str, header: Header | None, first: str) -> str:
    """Return the delimiter that makes the best header, else the most regular rows."""
    head = text[:200_000]

    def score(delimiter: str) -> tuple[int, float, bool]:
        rows = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
        taken: list[list[Value]] = []
        try:
            for cells in islice(rows, HEAD):
                taken.append([tidy(cell) for cell in cells[:LONGEST]])
        except csv.Error:
            pass
        named = max((header(cells) for cells in taken), default=0) if header else 0
        widths = Counter(len(cells) for cells in taken if any(cell is not None for cell in cells))
        regular = max((share / widths.total() for width, share in widths.items() if width > 1), default=0.0)
        return named, regular, delimiter == first

    return max(DELIMITERS, key=score)
