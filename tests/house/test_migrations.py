"""Migrations: from nothing to the models, guarded on the way, and back; on the engine of TEST_DATABASE."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import flask_migrate
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from exchange import create_app
from exchange.clock import FrozenClock
from exchange.db import Base, UtcDateTime, db, unit_of_work
from exchange.journal import record
from exchange.web.unit import Portal
from tests import databases, factories
from tests.conftest import ENGINE, START, make_settings

ROOT = Path(__file__).resolve().parents[2]
APPEND_ONLY = ("movement", "movement_line", "journal_entry")


@pytest.fixture
def empty(tmp_path: Path, template: databases.Template) -> Iterator[Portal]:
    """The portal on a database in which nothing has happened yet, not even a migration."""
    if ENGINE == "sqlite":
        url = f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    else:
        server = template.url.rpartition("/")[0]
        name = f"empty_{uuid.uuid4().hex}"
        databases.execute(server, f'CREATE DATABASE "{name}"')
        url = f"{server}/{name}"
    app = create_app(make_settings(tmp_path, url))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()
    template.drop(url)


def differences() -> list[object]:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))


def tables() -> set[str]:
    return set(sa.inspect(db.engine).get_table_names()) - {"alembic_version"}


def test_upgrade_gives_the_models_and_downgrade_nothing(empty: Portal) -> None:
    flask_migrate.upgrade()
    assert differences() == []
    assert tables() == set(Base.metadata.tables)
    flask_migrate.downgrade(revision="base")
    assert tables() == set()
    flask_migrate.upgrade()
    assert differences() == []


def test_the_comparison_can_fail(empty: Portal) -> None:
    flask_migrate.upgrade()
    with db.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE district ADD COLUMN stray INTEGER"))
    assert differences() != []


def refusals() -> dict[str, list[str]]:
    """Return, for each table that may only grow, which changes it refused."""
    result: dict[str, list[str]] = {}
    for table in APPEND_ONLY:
        result[table] = []
        for verb in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}"):
            with pytest.raises(sa.exc.DBAPIError, match="append-only"), db.engine.begin() as connection:
                connection.execute(sa.text(verb))
            result[table].append(verb.split()[0])
    return result


def furnish(clock: FrozenClock) -> None:
    """Put a row in each of the tables that may only grow: SQLite's triggers speak per row."""
    world = factories.make_world(clock)
    district, user, school = world.district.id, world.donor.id, world.donor_school.id
    with unit_of_work():
        record("district", district, "Проба", by_id=None, clock=clock, district_id=district)
    table = Base.metadata.tables
    with db.engine.begin() as connection:
        textbook = _row(connection, table["textbook"])
        edition = _row(connection, table["edition"], textbook_id=textbook, year=2020)
        movement = _row(connection, table["movement"], district_id=district, by_id=user)
        _row(
            connection,
            table["movement_line"],
            movement_id=movement,
            edition_id=edition,
            owner_id=school,
            holder_id=school,
        )


def _row(connection: sa.Connection, table: sa.Table, **values: object) -> int:
    """Insert a row with any values the columns take; return its id."""
    for column in table.columns:
        if column.name not in values and not column.nullable and not column.primary_key:
            values[column.name] = _any_value(column)
    inserted = connection.execute(table.insert().values(**values)).inserted_primary_key
    assert inserted is not None
    return int(inserted[0])


def _any_value(column: sa.Column[object]) -> object:
    kind = column.type
    if isinstance(kind, sa.Enum):
        return next(iter(kind.enum_class)) if kind.enum_class else kind.enums[0]
    if isinstance(kind, UtcDateTime):
        return START
    python = kind.python_type
    if python is str:
        return "x"
    if python in {int, float}:
        return 1
    if python is bool:
        return False
    if python in {dict, list}:
        return python()
    return START.date()


def test_the_ledger_and_the_journal_refuse_changes(empty: Portal, clock: FrozenClock) -> None:
    flask_migrate.upgrade()
    furnish(clock)
    assert refusals() == {table: ["UPDATE", "DELETE"] for table in APPEND_ONLY}


CHANGE = """
import sqlalchemy as sa
from alembic import op
from exchange.migrations import guards

revision, down_revision, branch_labels, depends_on = "9999", {head!r}, None, None

def upgrade():
    with op.batch_alter_table("movement") as batch:
        batch.alter_column("document", existing_type=sa.String(200), type_=sa.String(250))
    {last}
"""


def one_more_migration(folder: Path, last: str) -> str:
    """Return a copy of the migrations with one more, which changes a guarded table and ends with ``last``."""
    copy = folder / "migrations"
    shutil.copytree(ROOT / "exchange" / "migrations", copy)
    head = ScriptDirectory(str(copy)).get_current_head()
    (copy / "versions" / "9999_change.py").write_text(CHANGE.format(head=head, last=last), encoding="utf-8")
    return str(copy)


def test_a_batch_migration_keeps_rows_and_guards(empty: Portal, clock: FrozenClock, tmp_path: Path) -> None:
    """SQLite changes a table by copying it: its children must stay, and its triggers be made anew."""
    flask_migrate.upgrade()
    furnish(clock)
    flask_migrate.upgrade(directory=one_more_migration(tmp_path, "guards.install(op.get_bind())"))
    with db.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM movement_line")).scalar_one() == 1
    assert refusals() == {table: ["UPDATE", "DELETE"] for table in APPEND_ONLY}


@pytest.mark.skipif(ENGINE != "sqlite", reason="PostgreSQL changes a table in place and keeps its triggers")
def test_a_migration_that_loses_the_guards_is_refused(
    empty: Portal, clock: FrozenClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flask_migrate.upgrade()
    furnish(clock)
    with pytest.raises(SystemExit):
        flask_migrate.upgrade(directory=one_more_migration(tmp_path, "pass"))
    assert "guards.install()" in caplog.text
    assert refusals() == {table: ["UPDATE", "DELETE"] for table in APPEND_ONLY}
