"""Class groups and the enrolment that follows from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from exchange import journal
from exchange.catalog.rules import SchoolYear
from exchange.classes import rules
from exchange.classes.models import ClassGroup
from exchange.classes.rules import Group
from exchange.clock import Clock
from exchange.db import db
from exchange.errors import Invalid, NotFound
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action

CHANGED = "Контингент %(year)s: учеников %(pupils)s (%(changes)s)"
CHANGED_BEFORE = "Контингент %(year)s: учеников %(pupils)s"
"""As it was written when there were no class groups yet."""
SHOWN_CHANGES = 20


def groups(school_ids: Collection[int], school_year: int) -> dict[int, list[Group]]:
    """Return, by school, the class groups of the year that starts in ``school_year``, in one query."""
    found: dict[int, list[Group]] = {number: [] for number in school_ids}
    for school_id, grade, letter, pupils in db.session.execute(
        sa.select(ClassGroup.school_id, ClassGroup.grade, ClassGroup.letter, ClassGroup.pupils)
        .where(ClassGroup.school_id.in_(school_ids), ClassGroup.school_year == school_year)
        .order_by(ClassGroup.grade, ClassGroup.letter)
    ):
        found[school_id].append(Group(grade, letter, pupils))
    return found


def enrolments(school_ids: Collection[int], school_year: int) -> dict[int, dict[int, int]]:
    """Return, by school, the pupils by grade of the year that starts in ``school_year``, in one query."""
    result: dict[int, dict[int, int]] = {}
    for school_id, there in groups(school_ids, school_year).items():
        pupils = result.setdefault(school_id, {})
        for group in there:
            pupils[group.grade] = pupils.get(group.grade, 0) + group.pupils
    return result


def enrolment(school_id: int, school_year: int) -> dict[int, int]:
    """Return the pupils by grade of one school in the year that starts in ``school_year``."""
    return enrolments([school_id], school_year)[school_id]


def set_enrolment(
    *, school: Holder, school_year: int, pupils_by_grade: Mapping[int, int | None], by: User, clock: Clock
) -> bool:
    """Store the pupils of whole grades in the year that starts in ``school_year``; ``None``: no such class.

    For grades that are not divided; the others stay. Returns whether anything changed. Raises ``Invalid``
    whose field is «grade-N», also for a grade whose groups are stored one by one.
    """
    present = _locked(school, school_year, by=by)
    for group in present:
        if group.letter and group.grade in pupils_by_grade:
            raise Invalid(
                "В %(grade)s классе ученики записаны по буквам: измените их там.",
                field=f"grade-{group.grade}",
                grade=group.grade,
            )
    kept = [group for group in present if group.grade not in pupils_by_grade]
    typed = [Group(grade, "", pupils) for grade, pupils in pupils_by_grade.items() if pupils is not None]
    return _replace(school, school_year, present, rules.tidy(kept + typed), by=by, clock=clock)


def set_groups(
    *,
    school: Holder,
    school_year: int,
    groups: Sequence[Group],
    seen: str | None = None,
    by: User,
    clock: Clock,
) -> bool:
    """Store all class groups of the year that starts in ``school_year``; what is not named goes.

    ``seen``: what the person had before them (``rules.written``); raises ``Stale`` when it is no longer so.
    Returns whether anything changed. Raises ``Invalid`` whose field is «grade-N».
    """
    present = _locked(school, school_year, by=by)
    after = rules.tidy(groups)
    if seen is not None:
        rules.check_seen(seen, present)
    return _replace(school, school_year, present, after, by=by, clock=clock)


def _locked(school: Holder, school_year: int, *, by: User) -> list[Group]:
    """Return the groups that are there, for whoever may change them; others who want to wait."""
    if not access.allowed(by, Action.SEE_SHELF, school):
        raise NotFound
    access.require(by, Action.SET_ENROLMENT, school)
    # Groups come and go, so their rows cannot be locked: the school's row stands for all of them.
    db.session.execute(sa.select(Holder.id).where(Holder.id == school.id).with_for_update(key_share=True))
    return groups([school.id], school_year)[school.id]


def _replace(
    school: Holder,
    school_year: int,
    before: Sequence[Group],
    after: Sequence[Group],
    *,
    by: User,
    clock: Clock,
) -> bool:
    if list(before) == list(after):
        return False
    changed = set(before) ^ set(after)
    db.session.execute(
        sa.delete(ClassGroup)
        .where(
            ClassGroup.school_id == school.id,
            ClassGroup.school_year == school_year,
            ClassGroup.grade.in_({group.grade for group in changed}),
        )
        .execution_options(synchronize_session=False)
    )
    grades = {group.grade for group in changed}
    rows = [
        {
            "school_id": school.id,
            "school_year": school_year,
            "grade": group.grade,
            "letter": group.letter,
            "pupils": group.pupils,
        }
        for group in after
        if group.grade in grades
    ]
    if rows:
        db.session.execute(sa.insert(ClassGroup), rows)
    journal.record(
        "holder",
        school.id,
        CHANGED,
        by_id=by.id,
        clock=clock,
        district_id=school.district_id,
        year=SchoolYear(school_year).label,
        pupils=sum(group.pupils for group in after),
        changes=rules.changes(before, after),
    )
    return True


# --- history ---


def years(school_id: int) -> dict[int, dict[int, int]]:
    """Return the pupils by grade of every year anything is stored of, the newest first; one query."""
    found: dict[int, dict[int, int]] = {}
    for year, grade, pupils in db.session.execute(
        sa.select(ClassGroup.school_year, ClassGroup.grade, sa.func.sum(ClassGroup.pupils))
        .where(ClassGroup.school_id == school_id)
        .group_by(ClassGroup.school_year, ClassGroup.grade)
        .order_by(ClassGroup.school_year.desc(), ClassGroup.grade)
    ):
        found.setdefault(year, {})[grade] = int(pupils)
    return found


def latest_changes(school_id: int) -> list[Any]:
    """Return the newest changes of the class groups: when, by whom, message and parameters; one query."""
    return list(
        db.session.execute(
            sa.select(
                journal.JournalEntry.at,
                journal.JournalEntry.message,
                journal.JournalEntry.parameters,
                User.full_name.label("by"),
            )
            .outerjoin(User, User.id == journal.JournalEntry.by_id)
            .where(
                journal.JournalEntry.subject == "holder",
                journal.JournalEntry.subject_id == school_id,
                journal.JournalEntry.message.in_([CHANGED, CHANGED_BEFORE]),
            )
            .order_by(journal.JournalEntry.id.desc())
            .limit(SHOWN_CHANGES)
        )
    )
