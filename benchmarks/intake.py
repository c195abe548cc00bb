"""Measure imports of spreadsheets against the bare reading of the same file by openpyxl.

    python benchmarks/intake.py [--rows 2500,20000] [--list LIST --order 858 --edition 119] [--json]

Writes workbooks as schools have them: titles typed in several manners, headings of classes in between, half
of the rows another year or part of a book named before, one row in twenty no textbook. Each is brought into a
portal with a database of its own. Printed are, of the same file in the same run: seconds until every row is
recognised and stored (``in all``; ``first``: the first import of a process, which also builds the
recogniser), rows per second, the peak of memory beyond what the process had, and the ratios of both to
openpyxl reading the file read-only and doing nothing with it. Then the seconds of writing the import to the
shelf and of undoing it.

Each measurement runs in a process of its own; seconds are of the wall clock, bytes as the system counts them.
Without ``--list`` the catalogue is the demo's.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import flask_migrate  # noqa: E402
import openpyxl  # noqa: E402
import sqlalchemy as sa  # noqa: E402

from exchange import create_app, runs  # noqa: E402
from exchange.catalog import services as catalog  # noqa: E402
from exchange.catalog.models import Textbook  # noqa: E402
from exchange.clock import FrozenClock  # noqa: E402
from exchange.config import Settings  # noqa: E402
from exchange.db import db, in_unit  # noqa: E402
from exchange.intake import services  # noqa: E402
from exchange.intake.models import IntakeRow  # noqa: E402
from exchange.schools import services as schools  # noqa: E402
from exchange.schools.models import Holder, User  # noqa: E402
from exchange.schools.rules import HolderKind, Role  # noqa: E402

NOW = datetime(2026, 9, 14, 3, 0, tzinfo=UTC)
SEED = 20260914
LIMITS = {2_500: 3.0, 20_000: 20.0}
"""Seconds the import of so many rows may take."""
AIDS = (
    "Рабочая тетрадь по математике 5 класс",
    "Атлас. География 7 класс",
    "Прописи 1 класс",
    "Контурные карты",
)


def make_portal(folder: Path, federal_list: Sequence[str]) -> None:
    """Make a portal with a catalogue, one school and its librarian."""
    app = create_app(Settings(instance=folder, secret_key="benchmark"), FrozenClock(NOW))
    with app.app_context():
        flask_migrate.upgrade()

        def fill() -> None:
            clock = FrozenClock(NOW)
            if federal_list:
                file, order, edition = federal_list
                plan = catalog.plan_import(
                    Path(file), order=order, edition=edition, in_force_from=date(2023, 9, 1)
                )
                catalog.apply_import(plan, by=None, clock=clock)
            else:
                catalog.load_demo_lists(by=None, clock=clock)
            district = schools.make_district(
                name="Район", office="Управление", region="Край", timezone="Asia/Krasnoyarsk"
            )
            school = Holder(
                district_id=district.id,
                kind=HolderKind.SCHOOL,
                code="ONE",
                name="МБОУ «Первая СОШ»",
                short_name="Первая",
            )
            db.session.add(school)
            db.session.flush()
            schools.make_user(
                district_id=district.id,
                login="librarian",
                full_name="Библиотекарь",
                password_hash="none",
                role=Role.LIBRARIAN,
                school_id=school.id,
                clock=clock,
            )

        in_unit(fill)
        with db.engine.connect() as connection:
            books = connection.execute(
                sa.select(
                    Textbook.title, Textbook.authors, Textbook.grade_from, Textbook.publisher, Textbook.parts
                ).where(Textbook.grade_from.is_not(None))
            ).all()
        (folder / "books.json").write_text(json.dumps([list(book) for book in books]), "utf-8")
        db.engine.dispose()


def make_workbook(folder: Path, rows: int) -> Path:
    """Write a workbook of ``rows`` rows below its header; a quarter names author and class in one cell."""
    chance = random.Random(SEED)
    books = json.loads((folder / "books.json").read_text("utf-8"))
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Фонд")
    sheet.append(["Учебный фонд школы на 01.09.2026"])
    sheet.append(
        ["№ п/п", "Автор", "Наименование", "Класс", "Издательство", "Год издания", "Кол-во", "К списанию"]
    )
    known: list[list[Any]] = []
    for number in range(1, rows + 1):
        if number % 50 == 0:
            sheet.append([f"{1 + number // 50 % 11} класс"])
            continue
        if number % 20 == 0:
            sheet.append([number, "", chance.choice(AIDS), "", "", 2021, chance.randint(1, 40)])
            continue
        if known and chance.random() < 0.5:
            named = chance.choice(known)
        else:
            title, authors, grade, publisher, parts = chance.choice(books)
            surname = authors.split(",")[0]
            part = f". Ч. {chance.randint(1, parts)}" if parts > 1 else ""
            named = chance.choice(
                [
                    [authors, f"{title}{part}", grade, publisher],
                    [surname, f"{title}{part}", f"{grade} кл.", publisher.upper()],
                    ["", f"{surname} {title} {grade} класс{part}", "", ""],
                    [authors, f"{title.upper()} {grade}кл{part} (ФГОС)", "", publisher],
                ]
            )
            known.append(named)
        copies = chance.choice([chance.randint(0, 60), f"{chance.randint(1, 60)} шт.", "1 251"])
        sheet.append([number, *named, chance.randint(2014, 2024), copies, chance.choice([None, None, 1])])
    path = folder / f"fund-{rows}.xlsx"
    book.save(path)
    return path


def _memory(field: str) -> int:
    """Return bytes in use («VmRSS») or the most there ever were («VmHWM»), as Linux counts them."""
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def bare(_folder: Path, path: Path) -> dict[str, float]:
    """Read the workbook and do nothing with it."""
    before, start = _memory("VmRSS"), time.perf_counter()
    book = openpyxl.load_workbook(path, read_only=True)
    cells = sum(len(row) for sheet in book for row in sheet.iter_rows(values_only=True))
    return {"seconds": time.perf_counter() - start, "bytes": _memory("VmHWM") - before, "cells": cells}


def whole(folder: Path, path: Path) -> dict[str, float]:
    """Bring the workbook twice, write it to the shelf and undo that."""
    app = create_app(Settings(instance=folder, secret_key="benchmark"), FrozenClock(NOW))
    clock = FrozenClock(NOW)
    measured: dict[str, float] = {}
    with app.app_context():
        db.session.scalars(sa.select(Textbook.id)).all()
        before = _memory("VmRSS")
        for name in ("first", "seconds"):
            start = time.perf_counter()
            intake_id = _bring(folder, path, clock)
            measured[name] = time.perf_counter() - start
        measured["bytes"] = _memory("VmHWM") - before
        outcomes = db.session.execute(
            sa.select(IntakeRow.outcome, sa.func.count())
            .where(IntakeRow.intake_id == intake_id)
            .group_by(IntakeRow.outcome)
        )
        measured |= {f"rows {row[0].value}": row[1] for row in outcomes}
        measured["wordings"] = (
            db.session.scalar(
                sa.select(sa.func.count(IntakeRow.group_key.distinct())).where(
                    IntakeRow.intake_id == intake_id
                )
            )
            or 0
        )
        for name, step in (("apply", services.apply), ("undo", services.undo)):
            start = time.perf_counter()
            in_unit(lambda step=step: step(intake_id, seen=None, by=_librarian(), clock=clock))  # type: ignore[misc]
            measured[name] = time.perf_counter() - start
        db.engine.dispose()
    return measured


def _librarian() -> User:
    return db.session.scalars(sa.select(User).where(User.login == "librarian")).one()


def _bring(folder: Path, path: Path, clock: FrozenClock) -> int:
    def enter() -> tuple[int, int]:
        by = _librarian()
        assert by.school is not None
        intake = services.start(holder=by.school, file=path.name, by=by, clock=clock)
        return intake.id, intake.run_id or 0

    intake_id, run_id = in_unit(enter)
    services.upload_path(folder, run_id).write_bytes(path.read_bytes())
    run = db.session.get_one(runs.Run, run_id)
    services.read_upload(run, lambda done, total: None, folder=folder, clock=clock)
    db.session.rollback()
    return intake_id


def alone(work: Callable[[Path, Path], dict[str, float]], folder: Path, path: Path) -> dict[str, float]:
    """Run ``work`` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (folder, path))


def main() -> int:
    """Measure and print; 1 when an import takes longer than it may."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rows", default="2500,20000")
    parser.add_argument("--list", default="")
    parser.add_argument("--order", default="858")
    parser.add_argument("--edition", default="119")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    results: dict[str, Any] = {}
    late = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_portal(folder, [given.list, given.order, given.edition] if given.list else [])
        for rows in map(int, given.rows.split(",")):
            path = make_workbook(folder, rows)
            floor, found = alone(bare, folder, path), alone(whole, folder, path)
            late |= found["first"] > LIMITS.get(rows, float("inf"))
            results[str(rows)] = {
                **found,
                "rows_per_second": rows / found["seconds"],
                "bare_seconds": floor["seconds"],
                "bare_bytes": floor["bytes"],
                "ratio_seconds": found["seconds"] / floor["seconds"],
                "ratio_bytes": found["bytes"] / max(floor["bytes"], 1),
            }
    if given.json:
        sys.stdout.write(json.dumps(results, indent=1) + "\n")
        return int(late)
    for rows, found in results.items():
        print(f"{rows} rows, {found['wordings']:.0f} wordings:")
        print(
            f"  in all {found['seconds']:.2f} s ({found['rows_per_second']:.0f} rows/s), "
            f"first {found['first']:.2f} s; "
            f"openpyxl alone {found['bare_seconds']:.2f} s: {found['ratio_seconds']:.1f} times"
        )
        print(
            f"  memory {found['bytes'] / 2**20:.0f} MB; openpyxl alone {found['bare_bytes'] / 2**20:.0f} MB: "
            f"{found['ratio_bytes']:.1f} times"
        )
        print(f"  to the shelf {found['apply']:.2f} s, undone {found['undo']:.2f} s")
        print(
            "  "
            + ", ".join(f"{name[5:]} {count}" for name, count in found.items() if name.startswith("rows "))
        )
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
