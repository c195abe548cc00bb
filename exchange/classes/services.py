"""Class groups and the enrolment that follows from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from exchange import journal
from exchange.catalog.rules import SchoolYear
from exchange.classes import rules
from exchange.classes.models import ClassGroup
from exchange.classes.rules import Group
from exchange.clock import Clock
from exchange.db import db, insert_if_absent
from exchange.errors import Invalid, NotFound
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action


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

    For grades that are not divided. Returns whether anything changed. Raises ``Invalid`` whose field is
    «grade-N», also for a grade whose groups are stored one by one.
    """
    if not access.allowed(by, Action.SEE_SHELF, school):
        raise NotFound
    access.require(by, Action.SET_ENROLMENT, school)
    present = groups([school.id], school_year)[school.id]
    for group in present:
        if group.letter and group.grade in pupils_by_grade:
            raise Invalid(
                "В %(grade)s классе ученики записаны по буквам: измените их там.",
                field=f"grade-{group.grade}",
                grade=group.grade,
            )
    before = enrolment(school.id, school_year)
    after = {grade: pupils for grade, pupils in pupils_by_grade.items() if pupils is not None}
    for grade, pupils in after.items():
        rules.check_pupils(grade, pupils)
        _store(school.id, school_year, Group(grade, "", pupils))
    emptied = [grade for grade in pupils_by_grade if grade in before and grade not in after]
    if emptied:
        db.session.execute(
            sa.delete(ClassGroup)
            .where(
                ClassGroup.school_id == school.id,
                ClassGroup.school_year == school_year,
                ClassGroup.grade.in_(emptied),
            )
            .execution_options(synchronize_session=False)
        )
    kept = {grade: pupils for grade, pupils in before.items() if grade not in pupils_by_grade}
    if kept | after == before:
        return False
    journal.record(
        "holder",
        school.id,
        "Контингент %(year)s: учеников %(pupils)s",
        by_id=by.id,
        clock=clock,
        district_id=school.district_id,
        year=SchoolYear(school_year).label,
        pupils=sum((kept | after).values()),
    )
    return True


def _store(school_id: int, school_year: int, group: Group) -> None:
    key = {"school_id": school_id, "school_year": school_year, "grade": group.grade, "letter": group.letter}
    if not insert_if_absent(ClassGroup, **key, pupils=group.pupils):
        db.session.execute(
            sa.update(ClassGroup)
            .where(*(getattr(ClassGroup, name) == value for name, value in key.items()))
            .values(pupils=group.pupils)
            .execution_options(synchronize_session=False)
        )
