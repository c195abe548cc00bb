"""Migrations: from nothing to the models, guarded on the way, and back; on the engine of TEST_DATABASE."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import flask_migrate
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations

from exchange import create_app
from exchange.clock import FrozenClock
from exchange.db import Base, db, unit_of_work
from exchange.journal import record
from exchange.web.unit import Portal
from tests import databases, factories
from tests.conftest import ENGINE, make_settings

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
            try:
                with db.engine.begin() as connection:
                    connection.execute(sa.text(verb))
            except sa.exc.DBAPIError as error:
                assert "append-only" in str(error)
                result[table].append(verb.split()[0])
    return result


def furnish(clock: FrozenClock) -> None:
    """Put a row in each of the tables that may only grow: SQLite's triggers speak per row."""
    world = factories.make_world(clock)
    with unit_of_work():
        entry = record(
            "district", world.district.id, "Проба", by_id=None, clock=clock, district_id=world.district.id
        )
    metadata = Base.metadata
    with db.engine.begin() as connection:
        textbook = _row(connection, metadata.tables["textbook"])
        edition = _row(connection, metadata.tables["edition"], textbook_id=textbook)
        movement = _row(
            connection, metadata.tables["movement"], district_id=world.district.id, by_id=world.donor.id
        )
        _row(
            connection,
            metadata.tables["movement_line"],
            movement_id=movement,
            edition_id=edition,
            owner_id=world.donor_school.id,
            holder_id=world.donor_school.id,
        )
    assert entry.id


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
    python = kind.python_type
    if python is str:
        return "x"
    if python in {int, float}:
        return 1
    if python is bool:
        return False
    if python in {dict, list}:
        return python()
    return factories_moment() if python.__name__ == "datetime" else factories_moment().date()


def factories_moment():  # type: ignore[no-untyped-def]
    from tests.conftest import START

    return START


def test_the_ledger_and_the_journal_refuse_changes(empty: Portal, clock: FrozenClock) -> None:
    flask_migrate.upgrade()
    furnish(clock)
    assert refusals() == {table: ["UPDATE", "DELETE"] for table in APPEND_ONLY}


def test_the_guards_survive_a_batch_migration(empty: Portal, clock: FrozenClock) -> None:
    """SQLite changes a table by copying it, and its triggers stay behind; the migrations must renew them."""
    flask_migrate.upgrade()
    furnish(clock)
    children = _count("movement_line")
    with db.engine.connect() as connection:
        if ENGINE == "sqlite":
            connection.connection.dbapi_connection.execute("PRAGMA foreign_keys=OFF")  # type: ignore[union-attr]
        with connection.begin():
            operations = Operations(MigrationContext.configure(connection))
            with operations.batch_alter_table("movement", recreate="auto") as batch:
                batch.alter_column("document", existing_type=sa.String(200), type_=sa.String(250))
        connection.connection.dbapi_connection.execute("PRAGMA foreign_keys=ON") if ENGINE == "sqlite" else None  # type: ignore[union-attr]
    assert _count("movement_line") == children == 1
    assert refusals() == {table: ["UPDATE", "DELETE"] for table in APPEND_ONLY}


def _count(table: str) -> int:
    with db.engine.connect() as connection:
        return int(connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())
