"""What a book is shown by on the pages of the matching."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from exchange.catalog.models import Textbook
from exchange.db import db

SHOWN = (
    Textbook.title,
    Textbook.authors,
    Textbook.grade_from,
    Textbook.grade_to,
    Textbook.level,
    Textbook.publisher,
    Textbook.parts,
)


def books_shown(textbooks: Iterable[int]) -> Mapping[int, Any]:
    """Return what books are shown by, by textbook."""
    rows = db.session.execute(sa.select(Textbook.id, *SHOWN).where(Textbook.id.in_(textbooks)))
    return {row.id: row for row in rows}
