"""Measure the reading of workbooks against bare openpyxl, on one machine in one run.

    python benchmarks/sheets.py [FILE.xlsx …] [--json]

Prints for each file and method how many cells were read, how long it took, how much memory it took on top of
the loaded libraries, and the ratio of both to openpyxl in its read-only mode; every reading happens in a
process of its own. Without files, tables as librarians keep them are made here: 2,500 and 20,000 rows of 12
columns, «класс» merged downwards.

The methods: ``sheets`` is the product's own, which also knows merged cells and refuses what is not safe;
``openpyxl`` is the read-only mode of that library, ``whole`` its other one, the only one that knows them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import openpyxl

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from exchange import sheets  # noqa: E402

SIZES = (2_500, 20_000)


def make(path: Path, rows: int) -> None:
    """Write a table of textbooks: eight columns of text, four of numbers, labels merged over ten rows."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Сведения о библиотечном фонде"])
    sheet.append([f"Столбец {number}" for number in range(1, 13)])
    for number in range(rows):
        sheet.append(
            [
                f"{number // 10 % 11 + 1} класс" if number % 10 == 0 else None,
                f"Автор {number % 900} И.И., Соавтор {number % 70} П.П.",
                f"Учебник {number % 1_500}: {number % 11 + 1} класс: в 2 частях",
                ("Математика", "Русский язык", "Физика")[number % 3],
                ("Просвещение", "Дрофа", "БИНОМ")[number % 3],
                f"Ч. {number % 2 + 1}",
                f"9785090{number:06}",
                "УМК «Школа России»",
                2010 + number % 15,
                number % 120,
                number % 7,
                round(300 + number % 400 / 7, 2),
            ]
        )
    for top in range(3, rows + 3, 10):
        sheet.merge_cells(start_row=top, end_row=top + 9, start_column=1, end_column=1)
    book.save(path)


def own(path: Path) -> int:
    """Read with the product."""
    limits = sheets.Limits(rows=1_000_000, cells=20_000_000)
    with path.open("rb") as source:
        return sum(
            cell is not None
            for sheet in sheets.read(source, path.name, limits=limits)
            for _, cells in sheet.rows
            for cell in cells
        )


def bare(path: Path, *, read_only: bool = True) -> int:
    """Read with openpyxl alone."""
    book = openpyxl.load_workbook(path, read_only=read_only, data_only=True)
    found = [[list(row) for row in sheet.values] for sheet in book.worksheets]
    return sum(cell is not None for rows in found for row in rows for cell in row)


def whole(path: Path) -> int:
    """Read with openpyxl alone, every cell an object."""
    return bare(path, read_only=False)


METHODS: dict[str, Callable[[Path], int]] = {"sheets": own, "openpyxl": bare, "whole": whole}


@dataclass(frozen=True)
class Row:
    """One method on one file."""

    file: str
    method: str
    cells: int
    seconds: float
    megabytes: float


def measure(path: Path, method: str) -> Row:
    """Run one method on one file in this process."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = memory("VmRSS")
    started = time.perf_counter()
    cells = METHODS[method](path)
    seconds = time.perf_counter() - started
    return Row(path.name, method, cells, seconds, memory("VmHWM") - before)


def memory(name: str) -> float:
    """Return megabytes this process holds (VmRSS) or held at most (VmHWM), as Linux tells."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def report(rows: list[Row]) -> str:
    """Return the table, with the ratios to bare openpyxl."""
    bare_rows = {row.file: row for row in rows if row.method == "openpyxl"}
    lines = [f"{'file':32}{'method':10}{'cells':>10}{'seconds':>9}{'×bare':>7}{'MB':>8}{'×bare':>7}"]
    for row in rows:
        other = bare_rows[row.file]
        lines.append(
            f"{row.file[:31]:32}{row.method:10}{row.cells:10}{row.seconds:9.2f}"
            f"{row.seconds / other.seconds:7.2f}{row.megabytes:8.1f}"
            f"{row.megabytes / max(other.megabytes, 0.1):7.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Read every file by every method and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(
            max_workers=1, max_tasks_per_child=1, mp_context=multiprocessing.get_context("spawn")
        ) as pool,
    ):
        files = list(options.files)
        for size in () if files else SIZES:
            files.append(Path(folder) / f"{size} rows.xlsx")
            make(files[-1], size)
        rows = [pool.submit(measure, path, method).result() for path in files for method in METHODS]
    print(json.dumps([asdict(row) for row in rows], ensure_ascii=False) if options.json else report(rows))


if __name__ == "__main__":
    main()
