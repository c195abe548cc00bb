"""Counts the statements a page or a service sends to the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from exchange.db import db


@contextmanager
def count_queries() -> Iterator[list[str]]:
    """Yield a list that fills with the statements sent meanwhile (without BEGIN)."""
    statements: list[str] = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        if not statement.startswith("BEGIN"):
            statements.append(statement)

    # A request begins with an empty session; what the test still holds must not spare it a query.
    db.session.rollback()
    engine = db.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
