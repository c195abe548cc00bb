"""Approved lists: what a school uses, how its list is made, signed and compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm.attributes import flag_modified

from exchange import journal
from exchange.approved import rules
from exchange.approved.models import ApprovedList, ApprovedUse
from exchange.approved.rules import (
    Changed,
    Gap,
    Held,
    ListState,
    Proposal,
    Step,
    StepName,
    Use,
    UserGroup,
)
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import Legality, SchoolYear, Verdict
from exchange.classes import services as classes
from exchange.classes.rules import Group
from exchange.clock import Clock
from exchange.db import db, insert_if_absent
from exchange.errors import Forbidden, Invalid, NotFound, Stale
from exchange.ledger.models import Balance
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action

SUBJECT = "approved_list"
OPEN = "open"
_request = sa.table("request", *map(sa.column, ("school_id", "textbook_id", "state")))
# The feature of requests stands above this one and owns the table: what is asked for is in use.
_BOOK = (*catalog.BOOK_COLUMNS, Textbook.subject, Textbook.parts, Textbook.special_needs)

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


def uses(school_ids: Collection[int], years: Collection[int]) -> dict[tuple[int, int], list[Use]]:
    """Return, by school and first year of the school year, the lines of its list, in one query."""
    found: dict[tuple[int, int], list[Use]] = {}
    for school_id, year, grade, letter, textbook_id, subject, title, pupils in db.session.execute(
        sa.select(
            ApprovedList.school_id,
            ApprovedList.school_year,
            ApprovedUse.grade,
            ApprovedUse.letter,
            ApprovedUse.textbook_id,
            Textbook.subject,
            Textbook.title,
            ApprovedUse.pupils,
        )
        .join(ApprovedList, ApprovedList.id == ApprovedUse.list_id)
        .join(Textbook, Textbook.id == ApprovedUse.textbook_id)
        .where(ApprovedList.school_id.in_(school_ids), ApprovedList.school_year.in_(years))
        .order_by(ApprovedUse.id)
    ):
        found.setdefault((school_id, year), []).append(
            Use(grade, letter, textbook_id, rules.course_of(subject, title), pupils)
        )
    return found


def _uses(school_ids: Collection[int], year_start: int) -> dict[int, list[Use]]:
    return {school_id: lines for (school_id, _), lines in uses(school_ids, [year_start]).items()}


# --- a list for its page and its papers ---


@dataclass(frozen=True)
class Line:
    """A line of a list: the book (``BOOK_COLUMNS`` and subject), who uses it, what the federal list says.

    ``before``: what it says of the year before; ``None`` where the line is only proposed.
    """

    id: int | None
    use: Use
    book: Any
    users: tuple[UserGroup, ...]
    verdict: Verdict
    proposal: Proposal | None = None

    @property
    def pupils(self) -> int:
        """Pupils who use it."""
        return sum(user.pupils for user in self.users)

    @property
    def key(self) -> str:
        """What names the line in a form."""
        return f"{self.use.grade}:{self.use.letter}:{self.use.textbook_id}"


@dataclass(frozen=True)
class GradePlan:
    """A grade of a list: its class groups, its courses by plan, those for which nothing is even proposed."""

    grade: int
    groups: tuple[Group, ...]
    courses: tuple[CoursePlan, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True)
class CoursePlan:
    """A course of a grade with its chosen and its proposed lines."""

    course: str
    lines: tuple[Line, ...]
    proposals: tuple[Line, ...]


@dataclass(frozen=True)
class Shown:
    """A school's list of a year with everything its page says; ``approved`` is ``None`` where there is none.

    ``enrolled``: class groups of the year are known; else those of the year before stand for them.
    """

    school: Holder
    year: SchoolYear
    approved: ApprovedList | None
    lines: tuple[Line, ...]
    proposals: tuple[Line, ...]
    gaps: tuple[Gap, ...]
    changes: tuple[Changed, ...]
    books: Mapping[int, Any]
    groups: tuple[Group, ...]
    enrolled: bool
    has_former: bool

    @property
    def state(self) -> ListState | None:
        """Where the list stands; ``None`` where there is none yet."""
        return self.approved.state if self.approved else None

    @property
    def is_approved(self) -> bool:
        """Whether the director has approved it."""
        return self.state is ListState.APPROVED

    @property
    def editable(self) -> bool:
        """Whether lines may be changed in its present state."""
        return self.state in (None, ListState.DRAFT)

    @property
    def unlawful(self) -> list[Line]:
        """Lines that may not be taught from in the year."""
        return [line for line in self.lines if not line.verdict.legality.usable]

    @property
    def last_year(self) -> list[Line]:
        """Lines whose last year is this one."""
        return [line for line in self.lines if line.verdict.legality is Legality.LAST_YEAR]

    @property
    def grades(self) -> list[GradePlan]:
        """The list as it is read: by grade and plan."""
        by_key: defaultdict[tuple[int, str], list[Line]] = defaultdict(list)
        proposed: defaultdict[tuple[int, str], list[Line]] = defaultdict(list)
        for line in self.lines:
            by_key[line.use.grade, line.use.subject].append(line)
        for line in self.proposals:
            proposed[line.use.grade, line.use.subject].append(line)
        answered = {
            (line.use.grade, course)
            for line in self.proposals
            for course in rules.serves(line.use.subject, line.use.grade)
        }
        gaps = [gap for gap in self.gaps if (gap.grade, gap.course) not in answered]
        keys = sorted(by_key.keys() | proposed.keys(), key=lambda key: (key[0], rules.plan_order(key[1])))
        return [
            GradePlan(
                grade,
                tuple(group for group in self.groups if group.grade == grade),
                tuple(
                    CoursePlan(course, tuple(by_key[grade, course]), tuple(proposed[grade, course]))
                    for of, course in keys
                    if of == grade
                ),
                tuple(gap for gap in gaps if gap.grade == grade),
            )
            for grade in sorted({grade for grade, _ in keys} | {gap.grade for gap in gaps})
        ]


def shown(school: Holder, year: SchoolYear, *, on: date) -> Shown:
    """Return a school's list of a year for its page, with proposals while it may be changed. Eight queries.

    ``on`` is today: with the year it decides what the federal list says.
    """
    found = list_of(school, year)
    rows = _lines_of([school.id], (year.start - 1, year.start))
    present = [row for row in rows if row.school_year == year.start]
    former = [row for row in rows if row.school_year != year.start]
    groups, enrolled = _groups(school.id, year.start)
    editable = found is None or found.state is ListState.DRAFT
    held = _held(school.id) if editable else []
    books = {row.id: row for row in [*held, *former, *present]}
    verdicts = catalog.verdicts(books, on, year)
    uses = [_use(row) for row in present]
    served = rules.served(uses, groups)
    proposals: list[Proposal] = []
    if editable:
        lawful = {number for number, verdict in verdicts.items() if verdict.legality.usable}
        proposals = rules.propose(
            uses, [_use(row) for row in former], groups, [_candidate(row, lawful) for row in held], lawful
        )
    would_serve = rules.served([*uses, *(each.use for each in proposals)], groups)
    lines = [
        Line(row.use_id, use, row, tuple(served[use]), verdicts[row.id])
        for row, use in zip(present, uses, strict=True)
    ]
    return Shown(
        school=school,
        year=year,
        approved=found,
        lines=tuple(sorted(lines, key=_place)),
        proposals=tuple(
            Line(
                None,
                each.use,
                books[each.use.textbook_id],
                tuple(would_serve[each.use]),
                verdicts[each.use.textbook_id],
                each,
            )
            for each in proposals
        ),
        gaps=tuple(rules.gaps(uses, groups)),
        changes=tuple(rules.compare([_use(row) for row in former], uses)) if former else (),
        books=books,
        groups=tuple(groups),
        enrolled=enrolled,
        has_former=bool(former),
    )


def _place(line: Line) -> tuple[int, tuple[int, str], str, str]:
    return line.use.grade, rules.plan_order(line.use.subject), line.use.letter, line.book.title


def _use(row: Any) -> Use:
    return Use(row.grade, row.letter, row.id, rules.course_of(row.subject, row.title), row.pupils)


def _lines_of(school_ids: Collection[int], years: Collection[int]) -> list[Any]:
    return list(
        db.session.execute(
            sa.select(
                ApprovedUse.id.label("use_id"),
                ApprovedUse.grade,
                ApprovedUse.letter,
                ApprovedUse.pupils,
                ApprovedList.school_id,
                ApprovedList.school_year,
                ApprovedList.state,
                *_BOOK,
            )
            .join(ApprovedList, ApprovedList.id == ApprovedUse.list_id)
            .join(Textbook, Textbook.id == ApprovedUse.textbook_id)
            .where(ApprovedList.school_id.in_(school_ids), ApprovedList.school_year.in_(years))
            .order_by(ApprovedUse.id)
        )
    )


def _groups(school_id: int, year: int) -> tuple[list[Group], bool]:
    """Return the class groups of the year, or else of the year before, and whether the year has its own."""
    groups = classes.groups([school_id], year)[school_id]
    return (groups, True) if groups else (classes.groups([school_id], year - 1)[school_id], False)


def _held(school_id: int) -> list[Any]:
    """Return the textbooks a school has or asks for, with the complete sets on its shelf; one query."""
    by_part = (
        sa.select(Edition.textbook_id, Edition.part, sa.func.sum(Balance.copies).label("copies"))
        .join(Edition, Edition.id == Balance.edition_id)
        .where(Balance.holder_id == school_id)
        .group_by(Edition.textbook_id, Edition.part)
        .having(sa.func.sum(Balance.copies) > 0)
        .subquery()
    )
    here = (
        sa.select(
            by_part.c.textbook_id,
            sa.func.min(by_part.c.copies).label("least"),
            sa.func.count().label("parts_here"),
        )
        .group_by(by_part.c.textbook_id)
        .subquery()
    )
    asked = (
        sa.select(_request.c.textbook_id)
        .where(_request.c.school_id == school_id, _request.c.state == OPEN)
        .scalar_subquery()
    )
    return list(
        db.session.execute(
            sa.select(
                *_BOOK,
                # A book of which a part is missing altogether makes no set.
                sa.case((here.c.parts_here == Textbook.parts, here.c.least), else_=0).label("sets"),
            )
            .outerjoin(here, here.c.textbook_id == Textbook.id)
            .where(sa.or_(here.c.textbook_id.is_not(None), Textbook.id.in_(asked)))
        )
    )


def _candidate(row: Any, lawful: Collection[int]) -> Held:
    low, high = row.grade_from, row.grade_to
    return Held(
        textbook_id=row.id,
        course=rules.course_of(row.subject, row.title),
        grades=() if low is None or high is None else tuple(range(low, high + 1)),
        sets=int(row.sets or 0),
        usable=row.id in lawful,
        special_needs=row.special_needs,
    )


def of_course(course: str, grade: int, *, on: date, year: SchoolYear) -> list[tuple[Any, Verdict]]:
    """Return the textbooks of a grade that serve a course, those that may be used first; three queries."""
    asked = sa.literal(grade, sa.Integer)
    rows = [
        row
        for row in db.session.execute(
            sa.select(*_BOOK, Textbook.edition_note, Textbook.language)
            .where(Textbook.grade_from <= asked, Textbook.grade_to >= asked)
            .order_by(Textbook.sort_key, Textbook.id)
        )
        if course in rules.serves(rules.course_of(row.subject, row.title), grade)
    ]
    verdicts = catalog.verdicts([row.id for row in rows], on, year)
    order = list(Legality)
    return sorted(
        ((row, verdicts[row.id]) for row in rows),
        key=lambda pair: (pair[0].special_needs, order.index(pair[1].legality), not pair[1].may_buy),
    )


# --- all schools at a glance ---


@dataclass(frozen=True)
class Overview:
    """The list of one school in a line; ``state`` is ``None`` where there is none yet.

    ``gaps`` are not known without a list and the pupils of the year.
    """

    school: Holder
    state: ListState | None
    lines: int
    gaps: int | None
    unlawful: int
    last_year: int


def overview(schools: Sequence[Holder], year: SchoolYear, *, on: date) -> list[Overview]:
    """Return how the lists of some schools stand, in five queries however many schools."""
    ids = [school.id for school in schools]
    by_school: defaultdict[int, list[Any]] = defaultdict(list)
    for row in _lines_of(ids, (year.start,)):
        by_school[row.school_id].append(row)
    groups = classes.groups(ids, year.start)
    known = states(ids, year.start)
    verdicts = catalog.verdicts({row.id for rows in by_school.values() for row in rows}, on, year)
    result = []
    for school in schools:
        rows = by_school[school.id]
        judged = [verdicts[row.id].legality for row in rows]
        result.append(
            Overview(
                school=school,
                state=known.get(school.id),
                lines=len(rows),
                gaps=len(rules.gaps(map(_use, rows), groups[school.id]))
                if school.id in known and groups[school.id]
                else None,
                unlawful=sum(not each.usable for each in judged),
                last_year=judged.count(Legality.LAST_YEAR),
            )
        )
    return result


# --- changing a list ---


def visible(list_id: int, *, by: User) -> ApprovedList:
    """Return a list whose school ``by`` may look into; raise ``NotFound`` for any other."""
    found = db.session.get(ApprovedList, list_id)
    if found is None:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, found.school)
    return found


def list_of(school: Holder, year: SchoolYear) -> ApprovedList | None:
    """Return the list of a school and year, where there is one."""
    return db.session.scalar(
        sa.select(ApprovedList).where(
            ApprovedList.school_id == school.id, ApprovedList.school_year == year.start
        )
    )


def open_list(*, school: Holder, school_year: int, by: User, clock: Clock) -> ApprovedList:
    """Return the list of a school and year, locked; begin it as a draft where there is none."""
    access.require_private(by, Action.SEE_SHELF, school)
    access.require(by, Action.PREPARE_LIST, school)
    begun = insert_if_absent(
        ApprovedList,
        district_id=school.district_id,
        school_id=school.id,
        school_year=school_year,
        state=ListState.DRAFT,
        version=1,
        created_at=clock.now(),
    )
    found = _locked(ApprovedList.school_id == school.id, ApprovedList.school_year == school_year)
    assert found is not None
    if begun:
        _record(found, "Перечень на %(year)s начат", by=by, clock=clock)
    return found


def add_uses(
    *, school: Holder, school_year: int, uses: Iterable[Use], seen: int | None = None, by: User, clock: Clock
) -> int:
    """Take lines into a school's list, which is begun where there is none; return how many are new.

    A line whose class has the textbook already is passed over. Raises ``Invalid`` (fields «grade», «letter»,
    «pupils», «textbook»), ``Stale``, and ``WrongMoment`` where the list is no draft.
    """
    approved = open_list(school=school, school_year=school_year, by=by, clock=clock)
    _check_editable(approved, seen)
    groups, _ = _groups(school.id, school_year)
    kept = list(uses)
    books = _textbooks(use.textbook_id for use in kept)
    there = {(use.grade, use.letter, use.textbook_id) for use in approved.uses}
    added = []
    for use in kept:
        rules.check_line(books[use.textbook_id], use.grade, use.letter, use.pupils, groups)
        key = (use.grade, use.letter, use.textbook_id)
        if key not in there:
            there.add(key)
            added.append(use)
            approved.uses.append(
                ApprovedUse(
                    grade=use.grade, letter=use.letter, textbook_id=use.textbook_id, pupils=use.pupils
                )
            )
    if added:
        _touch(approved)
        message = (
            "В перечень внесено: %(books)s" if len(added) <= 3 else "В перечень внесено строк: %(lines)s"
        )
        _record(
            approved,
            message,
            by=by,
            clock=clock,
            lines=len(added),
            books=_named((books[use.textbook_id], use.grade, use.letter) for use in added[:3]),
        )
    return len(added)


def accept_proposals(
    *,
    school: Holder,
    school_year: int,
    keys: Collection[str] | None,
    seen: int | None = None,
    by: User,
    clock: Clock,
) -> int:
    """Take proposed lines into the list: those with these keys (``Line.key``), or all; return how many.

    What is proposed is reckoned anew, so that a page left open takes nothing that is no longer proposed.
    """
    today = clock.today(school.district.timezone)
    open_list(school=school, school_year=school_year, by=by, clock=clock)
    proposals = shown(school, SchoolYear(school_year), on=today).proposals
    chosen = [line.use for line in proposals if keys is None or line.key in keys]
    if not chosen:
        raise Stale("Этих предложений уже нет: перечень изменился. Обновите страницу.")
    return add_uses(school=school, school_year=school_year, uses=chosen, seen=seen, by=by, clock=clock)


def use_in(use_id: int, *, by: User) -> ApprovedUse:
    """Return a line of a list whose school ``by`` may look into; raise ``NotFound`` for any other."""
    found = db.session.get(ApprovedUse, use_id)
    if found is None:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, found.list.school)
    return found


def change_use(
    use_id: int,
    *,
    letter: str,
    pupils: int | None,
    textbook_id: int | None = None,
    seen: int | None = None,
    by: User,
    clock: Clock,
) -> ApprovedUse:
    """Give a line another class group, number of pupils or textbook. Raises what ``add_uses`` raises."""
    approved, use = _line(use_id, seen=seen, by=by)
    book = _textbooks([textbook_id or use.textbook_id])[textbook_id or use.textbook_id]
    groups, _ = _groups(approved.school_id, approved.school_year)
    rules.check_line(book, use.grade, letter, pupils, groups)
    if any(
        (other.grade, other.letter, other.textbook_id) == (use.grade, letter, book.id)
        for other in approved.uses
        if other.id != use.id
    ):
        raise Invalid("Этот учебник у этого класса в перечне уже есть.", field="letter")
    if (use.letter, use.pupils, use.textbook_id) != (letter, pupils, book.id):
        former = _named([(use.textbook, use.grade, use.letter)])
        use.letter, use.pupils, use.textbook_id = letter, pupils, book.id
        _touch(approved)
        _record(
            approved,
            "Строка перечня изменена: %(former)s → %(books)s",
            by=by,
            clock=clock,
            former=former,
            books=_named([(book, use.grade, letter)]),
        )
    return use


def remove_use(use_id: int, *, seen: int | None = None, by: User, clock: Clock) -> ApprovedList:
    """Take a line out of its list; return the list."""
    approved, use = _line(use_id, seen=seen, by=by)
    named = _named([(use.textbook, use.grade, use.letter)])
    approved.uses.remove(use)
    _touch(approved)
    _record(approved, "Из перечня убрано: %(books)s", by=by, clock=clock, books=named)
    return approved


def _line(use_id: int, *, seen: int | None, by: User) -> tuple[ApprovedList, ApprovedUse]:
    use = use_in(use_id, by=by)
    access.require(by, Action.PREPARE_LIST, use.list.school)
    approved = _locked(ApprovedList.id == use.list_id)
    if approved is None or use not in approved.uses:
        raise NotFound
    _check_editable(approved, seen)
    return approved, use


def _locked(*where: sa.ColumnElement[bool]) -> ApprovedList | None:
    return db.session.scalar(
        sa.select(ApprovedList)
        .where(*where)
        .with_for_update(of=ApprovedList)
        .execution_options(populate_existing=True)
    )


def _check_editable(approved: ApprovedList, seen: int | None) -> None:
    rules.check_editable(approved.state)
    _check_seen(approved, seen)


def _check_seen(approved: ApprovedList, seen: int | None) -> None:
    if seen is None or seen == approved.version:
        return
    last = journal.history(SUBJECT, approved.id)[-1]
    raise Stale(
        "Пока страница была открыта, перечень изменили: %(what)s. Обновите страницу.",
        what=last.message % last.parameters,
    )


def _touch(approved: ApprovedList) -> None:
    """Raise the version, so that a page shown before is known to be old."""
    flag_modified(approved, "school_year")
    db.session.flush()


def _textbooks(ids: Iterable[int]) -> dict[int, Textbook]:
    wanted = set(ids)
    found = {book.id: book for book in db.session.scalars(sa.select(Textbook).where(Textbook.id.in_(wanted)))}
    if wanted - found.keys():
        raise Invalid("Такого учебника нет в каталоге.", field="textbook")
    return found


def _named(lines: Iterable[tuple[Any, int, str]]) -> str:
    return "; ".join(f"{grade}{letter} – «{book.title}», {book.authors}" for book, grade, letter in lines)


# --- from hand to hand ---


def menu(approved: ApprovedList, *, by: User) -> list[Step]:
    """Return the steps ``by`` may take with the list now."""
    return rules.menu(
        approved.state,
        lambda action: access.allowed(by, action, approved.school),
        has_deputy=_has_deputy(approved.school),
    )


def awaiting(school: Holder, *, by: User, on: date) -> list[ApprovedList]:
    """Return the lists of this year and the next that wait for the director's signature, if that is ``by``'s.

    One query; none for who may not approve.
    """
    if not access.allowed(by, Action.APPROVE_LIST, school):
        return []
    year = SchoolYear.of(on).start
    return list(
        db.session.scalars(
            sa.select(ApprovedList)
            .where(
                ApprovedList.school_id == school.id,
                ApprovedList.school_year.in_((year, year + 1)),
                ApprovedList.state == ListState.CHECKED,
            )
            .order_by(ApprovedList.school_year)
        )
    )


def submit(list_id: int, *, seen: int | None = None, by: User, clock: Clock) -> ApprovedList:
    """Ask whoever checks the list (or, where nobody does, the director) to look at it."""
    approved, _step = open_step(list_id, StepName.SUBMIT, seen=seen, by=by)
    _require_lawful(approved, clock)
    to = access.people_who_may(Action.CHECK_LIST, approved.school)
    _record(
        approved,
        "Перечень на %(year)s готов к проверке",
        by=by,
        clock=clock,
        to=to or access.people_who_may(Action.APPROVE_LIST, approved.school),
    )
    return approved


def check(list_id: int, *, seen: int | None = None, by: User, clock: Clock) -> ApprovedList:
    """Sign the list as deputy; the director is told. Raises ``Invalid`` while a book of it is unlawful."""
    approved, step = open_step(list_id, StepName.CHECK, seen=seen, by=by)
    _require_lawful(approved, clock)
    approved.state = step.to
    approved.checked_by_id, approved.checked_at = by.id, clock.now()
    db.session.flush()
    _record(
        approved,
        "Перечень на %(year)s проверен и ждёт утверждения",
        by=by,
        clock=clock,
        to=access.people_who_may(Action.APPROVE_LIST, approved.school),
    )
    return approved


def approve(list_id: int, *, seen: int | None = None, by: User, clock: Clock) -> ApprovedList:
    """Approve the list as director; those who made it are told. Raises ``Invalid`` like ``check``."""
    approved, step = open_step(list_id, StepName.APPROVE, seen=seen, by=by)
    _require_lawful(approved, clock)
    approved.state = step.to
    approved.approved_by_id, approved.approved_at = by.id, clock.now()
    db.session.flush()
    _record(
        approved,
        "Перечень на %(year)s утверждён",
        by=by,
        clock=clock,
        to=access.people_who_may(Action.PREPARE_LIST, approved.school),
    )
    return approved


def send_back(list_id: int, *, reason: str, seen: int | None = None, by: User, clock: Clock) -> ApprovedList:
    """Make the list a draft again, because something must be changed; those who made it are told why."""
    approved, step = open_step(list_id, StepName.SEND_BACK, seen=seen, by=by)
    if not reason.strip():
        raise Invalid("Напишите, что нужно изменить.", field="reason")
    approved.state = step.to
    approved.checked_by_id = approved.checked_at = None
    approved.approved_by_id = approved.approved_at = None
    db.session.flush()
    _record(
        approved,
        "Перечень на %(year)s возвращён в черновик: %(reason)s",
        by=by,
        clock=clock,
        to=access.people_who_may(Action.PREPARE_LIST, approved.school),
        reason=reason.strip(),
    )
    return approved


def open_step(
    list_id: int, name: StepName, *, seen: int | None = None, by: User
) -> tuple[ApprovedList, Step]:
    """Lock the list and return it with the row of the step: the door of every step.

    Raises ``NotFound``, ``Forbidden``, ``Stale`` and ``WrongMoment`` where it may not be taken.
    """
    approved = _locked(ApprovedList.id == list_id)
    if approved is None:
        raise NotFound
    school = approved.school
    access.require_private(by, Action.SEE_SHELF, school)
    if not any(
        access.allowed(by, action, school)
        for action in (Action.PREPARE_LIST, Action.CHECK_LIST, Action.APPROVE_LIST)
    ):
        raise Forbidden(access.FORBIDDEN)
    _check_seen(approved, seen)
    step = rules.take(
        name,
        approved.state,
        lambda action: access.allowed(by, action, school),
        has_deputy=_has_deputy(school),
    )
    return approved, step


def _has_deputy(school: Holder) -> bool:
    return bool(access.people_who_may(Action.CHECK_LIST, school))


def _require_lawful(approved: ApprovedList, clock: Clock) -> None:
    year = SchoolYear(approved.school_year)
    today = clock.today(approved.school.district.timezone)
    rows = _lines_of([approved.school_id], (approved.school_year,))
    verdicts = catalog.verdicts({row.id for row in rows}, today, year)
    rules.check_lawful((row.grade, row.title, verdicts[row.id]) for row in rows)


def history(list_id: int) -> list[Any]:
    """Return what happened to a list, the oldest first: when, by whom, message and parameters; one query."""
    entry = journal.JournalEntry
    return list(
        db.session.execute(
            sa.select(entry.at, entry.message, entry.parameters, User.full_name.label("by"))
            .outerjoin(User, User.id == entry.by_id)
            .where(entry.subject == SUBJECT, entry.subject_id == list_id)
            .order_by(entry.id)
        )
    )


def _record(
    approved: ApprovedList,
    message: str,
    /,
    *,
    by: User,
    clock: Clock,
    to: Iterable[int] = (),
    **parameters: Any,
) -> None:
    journal.record(
        SUBJECT,
        approved.id,
        message,
        by_id=by.id,
        clock=clock,
        district_id=approved.district_id,
        to=to,
        year=SchoolYear(approved.school_year).label,
        **parameters,
    )
