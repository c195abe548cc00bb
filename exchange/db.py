"""The database: engine, declarative base, unit of work, retry, column types.

SQLite and PostgreSQL behave alike from here up. On SQLite the driver never begins a transaction by
itself; a unit of work begins with ``BEGIN IMMEDIATE``, because a deferred transaction that reads and
then writes fails at once when another one wrote in between, whatever the busy timeout.
"""

from __future__ import annotations

import enum
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry

T = TypeVar("T")

OLDEST_SOUND_SQLITE = (3, 51, 3)
"""Below this SQLite can corrupt a database in WAL mode when it resets the log."""

ATTEMPTS = 5
_RETRIABLE = {"40001", "40P01"}
_writing: ContextVar[bool] = ContextVar("writing", default=False)


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware moment, stored in UTC (SQLite knows no time zones)."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Refuse a naive moment and store in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment must be aware")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return an aware moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Parent of every table."""

    registry = registry(
        metadata=sa.MetaData(
            naming_convention={
                "ix": "ix_%(table_name)s_%(column_0_N_name)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_N_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={datetime: UtcDateTime, dict[str, Any]: sa.JSON, list[Any]: sa.JSON},
    )


class Identified(Base):
    """A table with a surrogate key."""

    __abstract__ = True

    id: Mapped[int] = mapped_column(primary_key=True, sort_order=-1)


db = SQLAlchemy(model_class=Base)


def enum_column(kind: type[enum.Enum]) -> sa.Enum:
    """Return a column type that stores the enum's value (not its name) as plain text."""
    return sa.Enum(
        kind, values_callable=lambda members: [m.value for m in members], native_enum=False, length=24
    )


def insert_if_absent(table: type[Base], **values: object) -> bool:
    """Insert one row unless its key is there already; say whether it was inserted.

    Waits for a concurrent insert of the same key to end, on both engines.
    """
    dialect = db.session.get_bind().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = insert(table).values(**values).on_conflict_do_nothing()
    # Without the option the count of an INSERT is not kept and reads as -1.
    result = db.session.execute(statement, execution_options={"preserve_rowcount": True})
    return bool(result.rowcount == 1)  # type: ignore[attr-defined]


def insert_missing(table: type[Base], rows: Sequence[Mapping[str, object]]) -> None:
    """Insert the rows whose key is not there yet: many at once, without saying which."""
    if not rows:
        return
    dialect = db.session.get_bind().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    db.session.execute(insert(table).on_conflict_do_nothing(), list(rows))


def is_retriable(error: BaseException) -> bool:
    """Say whether running the whole unit again may succeed (serialization failure or deadlock)."""
    original = getattr(error, "orig", None)
    return getattr(original, "sqlstate", None) in _RETRIABLE


def in_unit_now() -> bool:
    """Say whether a unit of work is open."""
    return _writing.get()


def is_busy(error: BaseException) -> bool:
    """Say whether the database could not be had because others were writing all the while."""
    locked = "database is locked" in str(getattr(error, "orig", ""))
    return locked or is_retriable(error)


@contextmanager
def unit_of_work() -> Iterator[None]:
    """Run the block in one write transaction: commit at its end, roll back on any error.

    The only place that commits, beside the web request, which enters here too.
    """
    if _writing.get():
        raise RuntimeError("units of work do not nest")
    db.session.rollback()
    token = _writing.set(True)
    try:
        yield
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise
    finally:
        _writing.reset(token)


def in_unit(work: Callable[[], T]) -> T:
    """Run ``work`` in a unit of work, again from the start when the database asks for it."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with unit_of_work():
                return work()
        except sa.exc.DBAPIError as error:
            if attempt == ATTEMPTS or not is_retriable(error):
                raise
            time.sleep(random.uniform(0, 0.02 * 2**attempt))
    raise AssertionError("unreachable")


def sqlite_module() -> ModuleType:
    """Return the SQLite driver: the built-in one, or ``pysqlite3`` where the built-in one is too old."""
    if sqlite3.sqlite_version_info < OLDEST_SOUND_SQLITE:
        try:
            import pysqlite3.dbapi2 as newer
        except ImportError:
            return sqlite3
        return newer  # type: ignore[no-any-return]
    return sqlite3


def init_db(app: Flask, url: str) -> None:
    """Attach the database at ``url`` to ``app``."""
    options: dict[str, Any] = {}
    if url.startswith("sqlite"):
        options["module"] = sqlite_module()
    else:
        options["pool_pre_ping"] = True
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            sa.event.listen(db.engine, "connect", _on_sqlite_connect)
            sa.event.listen(db.engine, "begin", _on_sqlite_begin)


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in (
        "busy_timeout=10000",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _on_sqlite_begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writing.get() else "BEGIN")
