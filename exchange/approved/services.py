"""Approved lists: what a school uses, how its list is made, signed and compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from exchange.approved import rules
from exchange.approved.models import ApprovedList, ApprovedUse
from exchange.approved.rules import ListState, Use, UserGroup
from exchange.catalog.models import Textbook
from exchange.classes import services as classes
from exchange.db import db

# --- who uses which textbook ---


def users(school_ids: Collection[int], year_start: int) -> Mapping[int, Sequence[UserGroup]]:
    """Return, by school, which class groups use which textbook in the year that starts in ``year_start``.

    As the school's list says, whatever its state (``states`` tells it); a school without a list has none.
    Two queries.
    """
    groups = classes.groups(school_ids, year_start)
    uses = _uses(school_ids, year_start)
    return {number: rules.users_of(uses.get(number, ()), groups[number]) for number in school_ids}


def chosen_subjects(school_ids: Collection[int], year_start: int) -> dict[int, set[tuple[int, str]]]:
    """Return, by school, the (grade, course) for which its list names a textbook, in one query.

    The course of a book that is merely held is ``rules.course_of(subject, title)``.
    """
    uses = _uses(school_ids, year_start)
    return {number: {(use.grade, use.subject) for use in uses.get(number, ())} for number in school_ids}


def states(school_ids: Collection[int], year_start: int) -> dict[int, ListState]:
    """Return, by school, the state of its list of the year; schools without a list are missing."""
    rows = db.session.execute(
        sa.select(ApprovedList.school_id, ApprovedList.state).where(
            ApprovedList.school_id.in_(school_ids), ApprovedList.school_year == year_start
        )
    )
    return {row.school_id: row.state for row in rows}


def _uses(school_ids: Collection[int], year_start: int) -> dict[int, list[Use]]:
    found: dict[int, list[Use]] = {}
    for school_id, grade, letter, textbook_id, subject, title, pupils in db.session.execute(
        sa.select(
            ApprovedList.school_id,
            ApprovedUse.grade,
            ApprovedUse.letter,
            ApprovedUse.textbook_id,
            Textbook.subject,
            Textbook.title,
            ApprovedUse.pupils,
        )
        .join(ApprovedList, ApprovedList.id == ApprovedUse.list_id)
        .join(Textbook, Textbook.id == ApprovedUse.textbook_id)
        .where(ApprovedList.school_id.in_(school_ids), ApprovedList.school_year == year_start)
        .order_by(ApprovedUse.id)
    ):
        found.setdefault(school_id, []).append(
            Use(grade, letter, textbook_id, rules.course_of(subject, title), pupils)
        )
    return found
