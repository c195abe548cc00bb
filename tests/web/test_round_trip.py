"""The shelf as a file, edited in Excel and brought back: exactly what was edited changes."""

from __future__ import annotations

import csv
import io

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from openpyxl import load_workbook

from exchange.catalog.models import Textbook
from exchange.clock import FrozenClock
from exchange.db import db
from exchange.intake import services
from exchange.intake.models import Intake
from tests import factories
from tests.conftest import SignIn
from tests.factories import World
from tests.intake_world import make_books, shelf_of, write

FORMATS = ("xlsx", "csv")


@pytest.fixture
def books(world: World, clock: FrozenClock) -> dict[str, Textbook]:
    made = make_books()
    for name, copies, year in (("physics", 20, 2021), ("physics", 7, 2023), ("geometry", 30, 2023)):
        factories.put_on_shelf(world.donor_school, made[name], copies, by=world.donor, clock=clock, year=year)
    factories.put_on_shelf(world.donor_school, made["maths"], {1: 15, 2: 11}, by=world.donor, clock=clock)
    return made


def exported(client: FlaskClient, format_: str) -> bytes:
    answer = client.get(f"/shelf?format={format_}")
    assert answer.status_code == 200
    return answer.data


def edited(content: bytes, format_: str, changes: dict[str, int]) -> bytes:
    """Return the file with other copies in the rows of these codes, as a person would save it."""
    if format_ == "xlsx":
        book = load_workbook(io.BytesIO(content))
        names = [cell.value for cell in book.active[1]]
        for row in book.active.iter_rows(min_row=2):
            if row[-1].value in changes:
                row[names.index("Экземпляров")].value = changes.pop(str(row[-1].value))
        file = io.BytesIO()
        book.save(file)
        saved = file.getvalue()
    else:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"))
        for cells in rows[1:]:
            if cells[-1] in changes:
                cells[rows[0].index("Экземпляров")] = str(changes.pop(cells[-1]))
        text = io.StringIO()
        csv.writer(text, delimiter=";").writerows(rows)
        # Excel saves a list in the old Russian encoding.
        saved = text.getvalue().encode("cp1251")
    assert not changes, "no such row"
    return saved


def brought(client: FlaskClient, content: bytes, format_: str) -> Intake:
    answer = client.post("/intake/bring", data={"file": (io.BytesIO(content), f"Полка.{format_}")})
    assert answer.status_code == 303, answer.text
    db.session.rollback()
    return db.session.scalars(sa.select(Intake).order_by(Intake.id.desc()).limit(1)).one()


@pytest.mark.parametrize("format_", FORMATS)
def test_nothing_edited_is_nothing_changed(
    world: World, books: dict[str, Textbook], sign_in: SignIn, format_: str
) -> None:
    client = sign_in(world.donor)
    plan = services.plan(brought(client, exported(client, format_), format_))
    assert (plan.differing, plan.untouched) == ([], 0)


@pytest.mark.parametrize("format_", FORMATS)
def test_what_was_edited_changes_and_nothing_else(
    world: World, clock: FrozenClock, books: dict[str, Textbook], sign_in: SignIn, format_: str
) -> None:
    client = sign_in(world.donor)
    before = shelf_of(world.donor_school)
    physics, maths = books["physics"].id, books["maths"].id
    changes = {f"{physics}-2021-1": 25, f"{maths}-2023-2": 12}
    content = edited(exported(client, format_), format_, dict(changes))
    write(brought(client, content, format_), by=world.donor, clock=clock)
    assert shelf_of(world.donor_school) == {**before, (physics, 2021, 1): 25, (maths, 2023, 2): 12}
