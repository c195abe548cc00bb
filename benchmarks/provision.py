"""Measure the provision of districts of 15 and 60 schools: this year, next year, one school's proposals.

    python benchmarks/provision.py [--schools N …] [--rounds N] [--json]

Makes an SQLite database of its own in a temporary folder: each school holds 250 textbooks, of which every
fifth has two years of printing, has two classes in each grade and, in every second school, an approved list
of its own. Each page is asked for through the whole application, by the methodist or by a librarian; the
median time of a page, its queries and its rows are printed.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import flask_migrate  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from flask.testing import FlaskClient  # noqa: E402

from exchange import create_app  # noqa: E402
from exchange.approved.models import ApprovedList, ApprovedUse  # noqa: E402
from exchange.catalog.models import Edition, FederalList, ListEntry, Textbook  # noqa: E402
from exchange.classes.models import ClassGroup  # noqa: E402
from exchange.clock import FrozenClock  # noqa: E402
from exchange.config import Settings  # noqa: E402
from exchange.db import db, unit_of_work  # noqa: E402
from exchange.ledger.models import Balance  # noqa: E402
from exchange.schools import services as schools  # noqa: E402
from exchange.schools.models import Holder, User  # noqa: E402
from exchange.schools.rules import HolderKind, Role  # noqa: E402

NOW = datetime(2026, 9, 14, 3, 0, tzinfo=UTC)
YEAR = 2026
TITLES = 1_200
SHELF = 250
SUBJECTS = ("Алгебра", "Биология", "География", "История", "Литература", "Русский язык", "Физика", "Химия")


def make_catalogue(dice: random.Random) -> list[tuple[Textbook, list[int]]]:
    """Fill the catalogue and the federal list; return each textbook with the ids of its editions."""
    order = FederalList(order_number="858", in_force_from=NOW.date().replace(year=2022), loaded_at=NOW)
    db.session.add(order)
    db.session.flush()
    books = []
    for number in range(TITLES):
        subject, grade, parts = dice.choice(SUBJECTS), dice.randint(1, 11), dice.choice((1, 1, 2))
        book = Textbook(
            identity=str(number),
            title=f"{subject}. {grade} класс",
            authors=f"Автор {number}",
            subject_area=subject,
            subject=subject,
            grade_from=grade,
            grade_to=grade,
            publisher="Просвещение",
            parts=parts,
            folded=f"{subject} {grade}".casefold(),
            sort_key=f"{subject} {grade:02} {number:05}",
        )
        book.entries.append(ListEntry(list_id=order.id, appendix=1, number=str(number), row=number, raw={}))
        years = (2019, 2023) if number % 5 == 0 else (2021,)
        book.editions += [Edition(year=year, part=part) for year in years for part in range(1, parts + 1)]
        books.append(book)
    db.session.add_all(books)
    db.session.flush()
    return [(book, [edition.id for edition in book.editions]) for book in books]


def fill(count: int, clock: FrozenClock) -> tuple[int, int]:
    """Make a district of ``count`` schools; return the ids of its methodist and of a librarian."""
    dice = random.Random(count)
    with unit_of_work():
        books = make_catalogue(dice)
        district = schools.make_district(
            name="Большой район", office="Управление", region="Край", timezone="Asia/Krasnoyarsk"
        )
        holders = [
            Holder(
                district_id=district.id,
                kind=HolderKind.SCHOOL,
                code=f"S{index}",
                name=f"Школа {index}",
                short_name=f"Школа № {index}",
            )
            for index in range(count)
        ]
        db.session.add_all(holders)
        db.session.flush()
        balances: list[dict[str, Any]] = []
        groups: list[dict[str, Any]] = []
        for index, holder in enumerate(holders):
            held = dice.sample(books, SHELF)
            for _book, editions in held:
                balances += [
                    {
                        "owner_id": holder.id,
                        "holder_id": holder.id,
                        "edition_id": edition_id,
                        "copies": dice.randint(5, 60),
                        "promised": 0,
                    }
                    for edition_id in editions
                ]
            groups += [
                {"school_id": holder.id, "school_year": YEAR, "grade": grade, "letter": letter, "pupils": 24}
                for grade in range(1, 12)
                for letter in "АБ"
            ]
            if index % 2:
                there = ApprovedList(
                    district_id=district.id, school_id=holder.id, school_year=YEAR, created_at=NOW
                )
                there.uses += [
                    ApprovedUse(grade=book.grade_from or 1, letter="", textbook_id=book.id)
                    for book, _editions in held[:90]
                ]
                db.session.add(there)
        db.session.execute(sa.insert(Balance), balances)
        db.session.execute(sa.insert(ClassGroup), groups)
        people = [
            schools.make_user(
                district_id=district.id,
                login=login,
                full_name=login,
                password_hash="nobody signs in with a password here",
                role=role,
                school_id=school_id,
                clock=clock,
            ).id
            for login, role, school_id in (
                ("methodist", Role.METHODIST, None),
                ("librarian", Role.LIBRARIAN, holders[0].id),
            )
        ]
    return people[0], people[1]


@contextmanager
def counted(engine: sa.Engine) -> Iterator[list[str]]:
    """Yield a list that fills with the statements sent meanwhile."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement != "BEGIN":
            statements.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def measure(client: FlaskClient, engine: sa.Engine, url: str, rounds: int) -> dict[str, Any]:
    """Return the median time of a page in ms, its queries and its bytes."""
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        answer = client.get(url)
        times.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(f"{url}: {answer.status_code}")
    with counted(engine) as statements:
        client.get(url)
    return {"ms": round(statistics.median(times[1:])), "queries": len(statements), "bytes": len(answer.data)}


PAGES = (
    ("district, this year", "methodist", "/provision"),
    ("district, one grade", "methodist", "/provision?grade=5"),
    ("district, next year", "methodist", "/provision?year=next"),
    ("school, this year", "librarian", "/provision"),
    ("school, next year", "librarian", "/provision?year=next"),
    ("school, proposals", "librarian", "/provision/proposals"),
)


def run(count: int, rounds: int) -> list[dict[str, Any]]:
    """Measure the pages of a district of ``count`` schools."""
    with tempfile.TemporaryDirectory() as folder:
        clock = FrozenClock(NOW)
        app = create_app(Settings(instance=Path(folder), secret_key="benchmark", executor="inline"), clock)
        with app.app_context():
            flask_migrate.upgrade()
            numbers = dict(zip(("methodist", "librarian"), fill(count, clock), strict=True))
            keys = {who: db.session.get_one(User, number).get_id() for who, number in numbers.items()}
            db.session.remove()
            engine = db.engine
        found = []
        for name, who, url in PAGES:
            client = app.test_client()
            with client.session_transaction() as session:
                session["_user_id"], session["_fresh"] = keys[who], True
            found.append({"schools": count, "page": name, **measure(client, engine, url, rounds)})
        engine.dispose()
        return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--schools", type=int, nargs="+", default=[15, 60])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = [row for count in asked.schools for row in run(count, asked.rounds)]
    if asked.json:
        print(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    for row in rows:
        print(
            f"{row['schools']:>3} schools  {row['page']:<20} {row['ms']:>6} ms  {row['queries']:>2} queries  "
            f"{row['bytes']:>7} bytes"
        )


if __name__ == "__main__":
    main()
