"""The triggers that let the ledger and the journal only grow."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

TABLES = ("movement", "movement_line", "journal_entry")
EVENTS = ("UPDATE", "DELETE")


def install(connection: sa.Connection) -> None:
    """Guard the tables, whether or not they are guarded already.

    On SQLite a migration that changes a table in batch mode copies it and leaves its triggers behind: it
    must call this at its end. ``missing`` finds out where one did not.
    """
    if connection.dialect.name == "sqlite":
        for table in TABLES:
            for event in EVENTS:
                _run(
                    connection,
                    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{event.lower()} BEFORE {event} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END",
                )
        return
    _run(
        connection,
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$",
    )
    for table in TABLES:
        _run(connection, f"DROP TRIGGER IF EXISTS {table}_append_only ON {table}")
        _run(
            connection,
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
        )


def remove(connection: sa.Connection) -> None:
    """Take the guards away: only for the way back to an empty database."""
    sqlite = connection.dialect.name == "sqlite"
    for table in TABLES:
        if sqlite:
            for event in EVENTS:
                _run(connection, f"DROP TRIGGER {table}_no_{event.lower()}")
        else:
            _run(connection, f"DROP TRIGGER {table}_append_only ON {table}")
    if not sqlite:
        _run(connection, "DROP FUNCTION refuse_change()")


def missing(connection: sa.Connection) -> list[str]:
    """Return the guarded tables that have lost a trigger."""
    if connection.dialect.name == "sqlite":
        there = set(_run(connection, "SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars())
        return [table for table in TABLES if not {f"{table}_no_{event.lower()}" for event in EVENTS} <= there]
    there = set(_run(connection, "SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D'").scalars())
    return [table for table in TABLES if f"{table}_append_only" not in there]


def _run(connection: sa.Connection, statement: str) -> sa.CursorResult[Any]:
    return connection.execute(sa.text(statement))
