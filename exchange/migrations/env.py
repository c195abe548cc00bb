"""Runs the migrations over the application's own engine."""

import importlib

from alembic import context
from flask import current_app

from exchange.db import Base, UtcDateTime, db
from exchange.migrations import guards

MODELS = (
    "journal",
    "runs",
    "web.unit",
    "schools.models",
    "catalog.models",
    "ledger.models",
    "classes.models",
    "recognition.models",
    "approved.models",
    "stock.models",
    "disposals.models",
    "counting.models",
    "intake.models",
    "postings.models",
    "transfers.models",
    "matching.models",
)
for name in MODELS:
    importlib.import_module(f"exchange.{name}")


def render_item(kind, item, autogen_context):
    """Write our own column types as the plain ones they are stored as."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run() -> None:
    """Migrate in one transaction.

    On SQLite a changed table is copied and the old one dropped; with foreign keys enforced that would
    silently delete its children, so they are off meanwhile and checked afterwards.
    """
    with db.engine.connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        raw = connection.connection.dbapi_connection
        if sqlite:
            raw.execute("PRAGMA foreign_keys=OFF")
        try:
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                render_item=render_item,
                transactional_ddl=True,
                **current_app.extensions["migrate"].configure_args,
            )
            with context.begin_transaction():
                context.run_migrations()
                if sqlite:
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                    if broken:
                        raise RuntimeError(f"the migration would break foreign keys: {broken[:5]}")
                if set(context.get_context().get_current_heads()) == set(context.script.get_heads()):
                    unguarded = guards.missing(connection)
                    if unguarded:
                        raise RuntimeError(f"the migration must call guards.install(): {unguarded}")
        finally:
            if sqlite:
                raw.execute("PRAGMA foreign_keys=ON")


run()
