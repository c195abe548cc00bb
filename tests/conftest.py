"""Fixtures: an application on a fresh database, a small world, people who are signed in.

``TEST_DATABASE=postgresql`` runs the tests that need a database on PostgreSQL; ``REQUIRE_PG=1`` turns a
missing PostgreSQL from a skip into a failure.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
from flask import g
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from exchange import create_app
from exchange.clock import FrozenClock
from exchange.config import Settings
from exchange.db import db
from exchange.schools.models import User
from exchange.translations.__main__ import compile_stale
from exchange.web.unit import Portal
from tests import databases, factories
from tests.factories import World

ENGINE = os.environ.get("TEST_DATABASE", "sqlite")
START = datetime(2026, 9, 14, 3, 0, tzinfo=UTC)
"""Monday, ten in the morning in Krasnoyarsk."""


def pytest_configure() -> None:
    """Compile the translations: without them «11 комплектов» would be «комплектов: 11»."""
    compile_stale()


def make_settings(folder: Path, url: str) -> Settings:
    return Settings(instance=folder, database_url=url, secret_key="tests", executor="inline")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[databases.Template]:
    if ENGINE == "sqlite":
        folder = tmp_path_factory.mktemp("template")
        yield _migrated(f"sqlite:///{folder / 'template.sqlite3'}", folder)
        return
    try:
        with databases.postgresql_server() as server:
            name = f"template_{uuid.uuid4().hex}"
            databases.execute(server, f'CREATE DATABASE "{name}"')
            yield _migrated(f"{server}/{name}", tmp_path_factory.mktemp("template"))
    except databases.PostgresqlMissing as missing:
        if os.environ.get("REQUIRE_PG") == "1":
            raise
        pytest.skip(f"NOT TESTED ON POSTGRESQL: {missing}")


def _migrated(url: str, folder: Path) -> databases.Template:
    app = create_app(make_settings(folder, url))
    with app.app_context():
        flask_migrate.upgrade()
        if url.startswith("sqlite"):
            with db.engine.connect() as connection:
                connection.connection.dbapi_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.engine.dispose()
    return databases.Template(url)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(START)


@pytest.fixture
def app(template: databases.Template, tmp_path: Path, clock: FrozenClock) -> Iterator[Portal]:
    url = template.copy(tmp_path)
    app = create_app(make_settings(tmp_path, url), clock)
    app.testing = True
    app.test_client_class = Client
    app.config["WTF_CSRF_ENABLED"] = False
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()
    template.drop(url)


@pytest.fixture
def world(app: Portal, clock: FrozenClock) -> World:
    """A district of three schools and its fund, with the people who work there."""
    return factories.make_world(clock)


class Client(FlaskClient):
    """A browser: it does not see whom another one is signed in as, though all run in the test's context."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        vars(g).clear()
        return super().open(*args, **kwargs)


SignIn = Callable[[User], FlaskClient]


@pytest.fixture
def sign_in(app: Portal) -> SignIn:
    """Return a client on which the given person is signed in."""

    def client_of(user: User) -> FlaskClient:
        client = app.test_client()
        with client.session_transaction() as session:
            session["_user_id"] = user.get_id()
            session["_fresh"] = True
        return client

    return client_of
