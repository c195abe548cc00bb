"""The federal lists, the textbooks and their editions: everything that finds or changes them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from exchange.catalog.models import Edition, FederalList, ListEntry, Textbook
from exchange.catalog.rules import Legality, Listing, SchoolYear, Verdict, fold, legality
from exchange.clock import Clock
from exchange.db import db, insert_if_absent
from exchange.errors import Invalid, NotFound

OLDEST_YEAR = 1990
"""Year of printing of the oldest books that may still stand on a shelf."""
LATEST_YEAR = 2100
PAGE = 50

BOOK_COLUMNS = (
    Textbook.id,
    Textbook.title,
    Textbook.authors,
    Textbook.grade_from,
    Textbook.grade_to,
    Textbook.publisher,
)
"""What the template macro ``book`` shows of a textbook."""


def edition_for(textbook_id: int, year: int, part: int, *, clock: Clock | None = None) -> Edition:
    """Return the edition of this year of printing and this part; make it where nobody had it before.

    With ``clock`` a year after the next one is refused too. Raises ``NotFound`` for an unknown textbook and
    ``Invalid`` (fields ``year`` and ``part``).
    """
    textbook = db.session.get(Textbook, textbook_id)
    if textbook is None:
        raise NotFound("Такого учебника нет в каталоге.")
    latest = clock.now().year + 1 if clock else LATEST_YEAR
    if not OLDEST_YEAR <= year <= latest:
        raise Invalid(
            "Год издания – от %(first)s до %(last)s. Он напечатан на обороте титульного листа.",
            field="year",
            first=OLDEST_YEAR,
            last=latest,
        )
    if not 1 <= part <= textbook.parts:
        message = (
            "Учебник «%(title)s» в одной части, части %(part)s у него нет."
            if textbook.parts == 1
            else "В учебнике «%(title)s» частей – %(parts)s, части %(part)s у него нет."
        )
        raise Invalid(message, field="part", title=textbook.title, parts=textbook.parts, part=part)
    insert_if_absent(Edition, textbook_id=textbook_id, year=year, part=part)
    return db.session.scalars(
        sa.select(Edition).where(
            Edition.textbook_id == textbook_id, Edition.year == year, Edition.part == part
        )
    ).one()


# --- legality ---

_Place = tuple[int, int, date | None, bool, date | None]
"""What matters of an entry: list, appendix, last day, «бессрочно», day of exclusion."""


def verdicts(
    textbook_ids: Iterable[int], on: date, school_year: SchoolYear | None = None
) -> dict[int, Verdict]:
    """Return what the federal list says on ``on`` about each book, in two queries.

    A book without an entry gets the verdict «нет в перечне». ``school_year``: the year that is asked about,
    by default the one that ``on`` is in.
    """
    wanted = set(textbook_ids)
    if not wanted:
        return {}
    return _judged(wanted, _places(ListEntry.textbook_id.in_(wanted)), on, school_year)


def _places(*where: sa.ColumnElement[bool]) -> dict[int, list[_Place]]:
    places: dict[int, list[_Place]] = {}
    for textbook_id, *place in db.session.execute(
        sa.select(
            ListEntry.textbook_id,
            ListEntry.list_id,
            ListEntry.appendix,
            ListEntry.valid_until,
            ListEntry.perpetual,
            ListEntry.excluded_on,
        )
        .where(*where)
        .order_by(ListEntry.id)
    ):
        places.setdefault(textbook_id, []).append(tuple(place))  # type: ignore[arg-type]
    return places


def _judged(
    textbook_ids: Collection[int],
    places: dict[int, list[_Place]],
    on: date,
    school_year: SchoolYear | None,
) -> dict[int, Verdict]:
    """Judge many books. Thousands of books share a few dozen combinations of dates: each is judged once."""
    lists = {
        row.id: row
        for row in db.session.execute(
            sa.select(
                FederalList.id,
                FederalList.order_number,
                FederalList.edition,
                FederalList.in_force_from,
                FederalList.in_force_until,
            )
        )
    }
    known: dict[tuple[_Place, ...], Verdict] = {}
    result: dict[int, Verdict] = {}
    for textbook_id in textbook_ids:
        key = tuple(places.get(textbook_id, ()))
        if key not in known:
            known[key] = legality((_listing(lists[place[0]], place) for place in key), on, school_year)
        result[textbook_id] = known[key]
    return result


def _listing(row: Any, place: _Place) -> Listing:
    _, appendix, valid_until, perpetual, excluded_on = place
    return Listing(
        order=row.order_number,
        edition=row.edition,
        appendix=appendix,
        number="",
        valid_until=valid_until,
        excluded_on=excluded_on,
        in_force_from=row.in_force_from,
        in_force_until=row.in_force_until,
        perpetual=perpetual,
    )


# --- search ---


def matching(text: str) -> list[sa.ColumnElement[bool]]:
    """Return the conditions under which a textbook matches what somebody typed.

    All words must occur, in any order, ё like е; a number must occur whole («1 класс» is not «11 класс»).
    """
    conditions: list[sa.ColumnElement[bool]] = []
    for word in re.findall(r"\w+", re.sub(r"(\d)\s*-\s*(?:й|го|е)\b", r"\1", fold(text))):
        if word.isdecimal():
            conditions.append(
                (sa.literal(" ") + Textbook.folded + " ").contains(f" {word} ", autoescape=True)
            )
        else:
            conditions.append(Textbook.folded.contains(word, autoescape=True))
    return conditions


@dataclass(frozen=True)
class Found:
    """A page of books, how many there are in all, and what the list says about those of the page."""

    rows: Sequence[Any]
    total: int
    verdicts: dict[int, Verdict]


def search(
    text: str = "",
    *,
    on: date,
    subject: str = "",
    grade: int | None = None,
    publisher: str = "",
    level: str | None = None,
    standing: Legality | None = None,
    first: int = 0,
    limit: int | None = PAGE,
) -> Found:
    """Find textbooks by words and facts, ordered by subject, class, title and authors.

    ``level``: ``None`` for any, empty for books of no named level; ``standing``: what the list says about
    them on ``on``; ``limit=None`` returns all. The rows carry ``BOOK_COLUMNS`` and ``subject``, ``level``,
    ``edition_note``, ``parts``, ``language``, ``special_needs``. At most four queries.
    """
    where = matching(text)
    if subject:
        where.append(Textbook.subject == subject)
    if grade is not None:
        where.append(sa.and_(Textbook.grade_from <= grade, Textbook.grade_to >= grade))
    if publisher:
        where.append(Textbook.publisher == publisher)
    if level is not None:
        where.append(Textbook.level == level)
    columns = sa.select(
        *BOOK_COLUMNS,
        Textbook.subject,
        Textbook.level,
        Textbook.edition_note,
        Textbook.parts,
        Textbook.language,
        Textbook.special_needs,
    ).order_by(Textbook.sort_key, Textbook.id)
    if standing is None:
        total = db.session.scalar(sa.select(sa.func.count(Textbook.id)).where(*where)) or 0
        rows = db.session.execute(columns.where(*where).offset(first).limit(limit)).all()
        return Found(rows, total, verdicts([row.id for row in rows], on))
    # The rule is not written a second time in SQL: all the matching books are judged, then cut into pages.
    ids = list(
        db.session.scalars(sa.select(Textbook.id).where(*where).order_by(Textbook.sort_key, Textbook.id))
    )
    judged = _judged(ids, _places(), on, None)
    ids = [textbook_id for textbook_id in ids if judged[textbook_id].legality is standing]
    shown = ids[first : None if limit is None else first + limit]
    rows = db.session.execute(columns.where(Textbook.id.in_(shown))).all()
    return Found(rows, len(ids), {textbook_id: judged[textbook_id] for textbook_id in shown})
