"""Keeps one recogniser per process in step with the catalogue, and remembers what people confirmed."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from exchange.catalog.models import FederalList, ListEntry, Textbook
from exchange.clock import Clock
from exchange.db import db, insert_if_absent
from exchange.errors import NotFound
from exchange.recognition.models import Alias
from exchange.recognition.rules import Alias as Known
from exchange.recognition.rules import Book, Recogniser, Wording, key_of
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action

_KEYS_AT_ONCE = 500


@dataclass(frozen=True)
class _Built:
    """A recogniser and the state of the catalogue it was built from."""

    state: tuple[Any, ...]
    recogniser: Recogniser


_built: _Built | None = None
_building = threading.Lock()


def recogniser() -> Recogniser:
    """Return the recogniser of the catalogue as it is now.

    It is built once per process and again when a list was loaded; one thread builds, the others wait.
    """
    global _built
    state = _state_of_catalogue()
    built = _built
    if built is not None and built.state == state:
        return built.recogniser
    with _building:
        if _built is None or _built.state != state:
            _built = _Built(state, Recogniser(_books()))
        return _built.recogniser


def _state_of_catalogue() -> tuple[Any, ...]:
    """Return what changes whenever textbooks do: they come and change by loading lists only."""
    parts = [
        sa.select(measure).scalar_subquery()
        for measure in (
            sa.func.count(Textbook.id),
            sa.func.max(Textbook.id),
            sa.func.count(ListEntry.id),
            sa.func.max(ListEntry.id),
            sa.func.count(FederalList.id),
            sa.func.max(FederalList.loaded_at),
        )
    ]
    return (str(db.engine.url), *db.session.execute(sa.select(*parts)).one())


def _books() -> list[Book]:
    orders = {
        id_: rank
        for rank, id_ in enumerate(
            db.session.scalars(sa.select(FederalList.id).order_by(FederalList.in_force_from, FederalList.id))
        )
    }
    numbers: dict[int, set[str]] = defaultdict(set)
    standing: dict[int, int] = {}
    for textbook_id, list_id, appendix, number in db.session.execute(
        sa.select(ListEntry.textbook_id, ListEntry.list_id, ListEntry.appendix, ListEntry.number)
    ):
        numbers[textbook_id].add(number)
        # Appendix 1 stands above appendix 2 of the same order.
        place = 2 * orders[list_id] + (2 - appendix) + 1
        standing[textbook_id] = max(standing.get(textbook_id, 0), place)
    return [
        Book(
            id=row.id,
            title=row.title,
            authors=row.authors,
            subject=row.subject,
            grade_from=row.grade_from,
            grade_to=row.grade_to,
            publisher=row.publisher,
            level=row.level,
            parts=row.parts,
            special_needs=row.special_needs,
            edition_note=row.edition_note,
            language=row.language,
            numbers=tuple(sorted(numbers[row.id])),
            standing=standing.get(row.id, 0),
        )
        for row in db.session.execute(
            sa.select(
                Textbook.id,
                Textbook.title,
                Textbook.authors,
                Textbook.subject,
                Textbook.grade_from,
                Textbook.grade_to,
                Textbook.publisher,
                Textbook.level,
                Textbook.parts,
                Textbook.special_needs,
                Textbook.edition_note,
                Textbook.language,
            ).order_by(Textbook.id)
        )
    ]


def aliases_of(school: Holder, keys: Collection[str] | None = None) -> Mapping[str, Known]:
    """Return the confirmed answers known at ``school`` by the key of the wording, of ``keys`` only if given.

    An own answer stands for itself. Of the other schools of the district the answer that most of them agree
    on counts, less those that say something else; where they are at odds there is none.
    """
    known: dict[str, Known] = {}
    others: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
    for key, textbook_id, times, own in _counted(school, keys):
        if own:
            known[key] = Known(textbook_id, own=True)
        if times > own:
            others[key].append((times - own, textbook_id))
    for key, answers in others.items():
        if key in known:
            continue
        most, textbook_id = max(answers, key=lambda each: each[0])
        agreed = 2 * most - sum(times for times, _ in answers)
        if agreed > 0:
            known[key] = Known(textbook_id, times=agreed)
    return known


def _counted(school: Holder, keys: Collection[str] | None) -> list[Any]:
    """Return each answer of the district: key, book, how many schools gave it, whether this one did."""
    query = (
        sa.select(
            Alias.key,
            Alias.textbook_id,
            sa.func.count().label("times"),
            sa.func.max(sa.case((Alias.school_id == school.id, 1), else_=0)).label("own"),
        )
        .where(Alias.district_id == school.district_id)
        .group_by(Alias.key, Alias.textbook_id)
    )
    if keys is None:
        return list(db.session.execute(query))
    wanted = sorted(set(keys))
    return [
        row
        for start in range(0, len(wanted), _KEYS_AT_ONCE)
        for row in db.session.execute(query.where(Alias.key.in_(wanted[start : start + _KEYS_AT_ONCE])))
    ]


def confirm(*, school: Holder, wording: Wording, textbook_id: int | None, by: User, clock: Clock) -> None:
    """Remember that ``wording`` means the textbook, or none of the list (``None``), for ``school``.

    A later answer replaces the earlier one; a wording without a letter or digit is not remembered, as it
    would mean every other such row. Raises ``NotFound`` where there is no such textbook.
    """
    access.require_private(by, Action.COUNT, school)
    if textbook_id is not None and db.session.get(Textbook, textbook_id) is None:
        raise NotFound
    answer: dict[str, Any] = {
        "textbook_id": textbook_id,
        "confirmed_by_id": by.id,
        "confirmed_at": clock.now(),
    }
    key = key_of(wording)
    if not key:
        return
    if not insert_if_absent(Alias, district_id=school.district_id, school_id=school.id, key=key, **answer):
        db.session.execute(
            sa.update(Alias).where(Alias.school_id == school.id, Alias.key == key).values(**answer)
        )


def forget(*, school: Holder, wording: Wording, by: User) -> bool:
    """Take back what ``school`` confirmed of ``wording``; say whether there was anything."""
    access.require_private(by, Action.COUNT, school)
    gone = db.session.execute(
        sa.delete(Alias).where(Alias.school_id == school.id, Alias.key == key_of(wording)),
        execution_options={"preserve_rowcount": True},
    )
    return bool(gone.rowcount)  # type: ignore[attr-defined]
