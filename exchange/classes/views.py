"""Pages of the classes of a school and how many pupils they have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField
from werkzeug.wrappers import Response as AnyResponse
from wtforms import StringField, TextAreaField

from exchange import sheets
from exchange.catalog.rules import SchoolYear
from exchange.classes import rules, services
from exchange.classes.rules import Group, Problem, Reading
from exchange.db import db
from exchange.errors import DomainError, Invalid, NotFound
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.schools.views import clock
from exchange.web.export import export
from exchange.web.forms import CopiesField, Form, asked_number, number
from exchange.web.pages import done, page, text_of
from exchange.web.unit import outside_unit

bp = Blueprint("classes", __name__)

_SLOT = re.compile(r"(?:letter|pupils)-([0-9]{1,2})-([0-9]{1,2})")
_SPLIT, _JOIN = "split", "join"
SHOWN_PROBLEMS = 20
"""Cells that could not be read, of those a table has: the whole list of a wrong file helps nobody."""
MOVED = "moved"
READ = "read"


def _school(school_id: int | None) -> Holder:
    """Return the school asked for, or the person's own; 404 for what they may not see."""
    by = access.current()
    school = db.session.get(Holder, school_id) if school_id else by.school
    if school is None or school.kind is not HolderKind.SCHOOL:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, school)
    return school


# --- the form: for each grade a few pairs of letter and number ---


class LetterField(StringField):  # type: ignore[misc]
    """Letter of a class group; empty for a grade that is not divided."""

    data: Any

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Read the letter as it is stored."""
        self.data = ""
        try:
            self.data = rules.letter_of(valuelist[0] if valuelist else "")
        except Invalid as error:
            raise ValueError(text_of(error)) from error

    def _value(self) -> str:
        return str(self.raw_data[0]) if self.raw_data else str(self.data or "")


class PupilsField(CopiesField):
    """A whole number of pupils."""

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Read the number; an empty text is ``None``."""
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(_("Нужно целое число учеников, например 24.")) from None


def _form(groups: Iterable[Group], *, submitted: bool = False) -> Form:
    """Return the form of some groups, with an empty pair in each grade for one more; or what was sent."""
    by_grade: dict[int, list[Group]] = {grade: [] for grade in rules.GRADES}
    for group in sorted(groups):
        by_grade[group.grade].append(group)
    fields: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for grade, there in by_grade.items():
        for slot in range(_slots_sent(grade) if submitted else len(there) + 1):
            letter, pupils = f"letter-{grade}-{slot}", f"pupils-{grade}-{slot}"
            fields[letter] = LetterField(_("Буква, %(grade)s класс", grade=grade))
            fields[pupils] = PupilsField(_("Учеников, %(grade)s класс", grade=grade))
            if slot < len(there):
                data |= {letter: there[slot].letter, pupils: there[slot].pupils}
    new_class: Callable[..., Any] = type
    made = new_class("GroupsForm", (Form,), fields)
    form: Form = made(data=data) if submitted else made(formdata=None, data=data)
    return form


def _slots_sent(grade: int) -> int:
    sent = [
        int(found[2]) for name in request.form if (found := _SLOT.fullmatch(name)) and int(found[1]) == grade
    ]
    return min(max(sent, default=0) + 1, rules.MOST_GROUPS + 1)


def _slots(form: Form) -> dict[int, list[tuple[Any, Any]]]:
    """Return the pairs of fields of each grade."""
    found: dict[int, list[tuple[Any, Any]]] = {grade: [] for grade in rules.GRADES}
    for field in form:
        if (place := _SLOT.fullmatch(field.name)) and field.name.startswith("letter"):
            found[int(place[1])].append((field, form[f"pupils-{place[1]}-{place[2]}"]))
    return found


def _typed(form: Form) -> list[Group]:
    """Return the groups in the form; a pair without a number is none."""
    return [
        Group(grade, letter.data or "", pupils.data)
        for grade, pairs in _slots(form).items()
        for letter, pupils in pairs
        if pupils.data is not None
    ]


class TableForm(Form):
    """A table with classes and pupils: a file, or what was pasted."""

    file = FileField(_l("Файл"))
    text = TextAreaField(_l("Или вставьте из Excel"))


# --- pages ---


@dataclass(frozen=True)
class Row:
    """A school in the table of the district: its class groups and its pupils by grade."""

    school: Holder
    groups: int
    pupils: Sequence[int]

    @property
    def total(self) -> int:
        """All its pupils."""
        return sum(self.pupils)


@bp.get("/enrolment")
def former_address() -> AnyResponse:
    """Lead from where this page used to be."""
    year, school = request.args.get("year"), request.args.get("school")
    return redirect(url_for("classes.index", school=school, year=year), 301)


@bp.get("/classes")
def index() -> Response:
    """Show the class groups of a school year, what they were a year ago, and how it came to this.

    To who may look into every school: the pupils of all of them.

    ``?fill=moved`` fills the form with last year's groups, moved up; nothing is stored by that.
    """
    by = access.current()
    school_id = request.args.get("school", type=number)
    year = _chosen_year()
    if school_id is None and by.school is None and access.allowed(by, Action.SEE_SHELF):
        return _overview(by, year)
    school = _school(school_id)
    stored = services.groups([school.id], year.start)[school.id]
    if request.args.get("fill") == MOVED:
        access.require(access.current(), Action.SET_ENROLMENT, school)
        before = services.groups([school.id], year.start - 1)[school.id]
        return _shown(school, year, stored, rules.moved_up(before, stored), filled=MOVED)
    return _shown(school, year, stored, stored)


def _overview(by: User, year: SchoolYear) -> Response:
    schools = [h for h in access.acting_for(by, Action.SEE_SHELF) if h.kind is HolderKind.SCHOOL]
    groups = services.groups([school.id for school in schools], year.start)
    rows = [
        Row(
            school,
            len(groups[school.id]),
            [sum(g.pupils for g in groups[school.id] if g.grade == grade) for grade in rules.GRADES],
        )
        for school in schools
    ]
    if format_ := request.args.get("format"):
        columns = [_("Школа"), _("Классов"), *(str(grade) for grade in rules.GRADES), _("Всего")]
        lines = [(row.school.short_name, row.groups, *row.pupils, row.total) for row in rows]
        return export(format_, f"{_('Контингент')} {year.label}", columns, lines)
    return page(
        "classes/overview.html",
        None,
        rows=rows,
        grades=rules.GRADES,
        columns=[sum(column) for column in zip(*(row.pupils for row in rows), strict=True)],
        year=year,
        years=_years(_this_year()),
    )


@bp.post("/classes")
def save() -> Response:
    """Store the class groups; or split or join a grade in the form, which stores nothing yet."""
    by = access.current()
    school = _school(request.args.get("school", type=number))
    access.require(by, Action.SET_ENROLMENT, school)
    year = _chosen_year()
    stored = services.groups([school.id], year.start)[school.id]
    form = _form([], submitted=True)
    if form.validate():
        typed = _typed(form)
        what, _sep, grade = request.form.get("do", "").partition("-")
        if what in (_SPLIT, _JOIN):
            return _shown(school, year, stored, _redivided(typed, what, grade), filled=what)
        try:
            changed = services.set_groups(
                school=school,
                school_year=year.start,
                groups=typed,
                seen=request.form.get("seen"),
                by=by,
                clock=clock(),
            )
        except Invalid as error:
            form.refuse(_at_first_slot(error))
        else:
            text = _("Контингент на %(year)s записан.", year=year.label)
            unchanged = _("Ничего не изменилось: на %(year)s записано то же самое.", year=year.label)
            return done(_address(school, year), text if changed else unchanged)
    return _shown(school, year, stored, _typed(form), form=form)


@bp.post("/classes/import")
@outside_unit
def read_table() -> Response:
    """Fill the form with the class groups of a table, from a file or pasted; nothing is stored by that."""
    school = _school(request.args.get("school", type=number))
    access.require(access.current(), Action.SET_ENROLMENT, school)
    year = _chosen_year()
    stored = services.groups([school.id], year.start)[school.id]
    source = TableForm()
    if source.validate():
        try:
            reading = _reading(source)
        except Invalid as error:
            source.refuse(error)
        else:
            if reading.groups:
                groups = rules.merged(stored, reading.groups)
                return _shown(school, year, stored, groups, filled=READ, problems=reading.problems)
            source.form_errors.append(
                _("В таблице не нашлось классов с числом учеников, например «5А» и «24».")
            )
    return _shown(school, year, stored, stored, source=source)


def _reading(source: TableForm) -> Reading:
    """Read what was sent; of several sheets the one with most classes counts."""
    upload = source.file.data
    if upload is not None and upload.filename:
        found = [rules.read_groups(sheet.rows) for sheet in sheets.read(upload.stream, upload.filename)]
    elif (source.text.data or "").strip():
        found = [rules.read_groups(sheets.pasted(source.text.data).rows)]
    else:
        raise Invalid("Выберите файл или вставьте таблицу.", field="text")
    return max(found, key=lambda each: len(each.groups))


def _redivided(groups: Sequence[Group], what: str, grade: str) -> list[Group]:
    """Return the groups with one grade split in two or joined into one."""
    asked = [group for group in groups if str(group.grade) == grade]
    others = [group for group in groups if str(group.grade) != grade]
    if what == _JOIN:
        return others + rules.joined(asked)
    undivided = len(asked) == 1 and not asked[0].letter
    return others + (rules.split(asked[0]) if undivided else asked)


def _at_first_slot(error: Invalid) -> DomainError:
    """Return the refusal of a grade as a refusal of its first number."""
    grade = (error.field or "").removeprefix("grade-")
    return Invalid(error.message, field=f"pupils-{grade}-0", **error.parameters)


def _shown(
    school: Holder,
    year: SchoolYear,
    stored: Sequence[Group],
    groups: Sequence[Group],
    *,
    form: Form | None = None,
    source: Form | None = None,
    filled: str = "",
    problems: Sequence[Problem] = (),
) -> Response:
    """Show the form with ``groups`` in it, beside what is stored.

    ``form`` and ``source``: the form of the groups, or that of a table, which was refused.
    """
    before = services.groups([school.id], year.start - 1)[school.id]
    totals = rules.totals(groups)
    shown = form or _form(groups)
    years = services.years(school.id)
    return page(
        "classes/index.html",
        "form",
        status=422 if form is not None or source is not None else 200,
        school=school,
        form=shown,
        slots=_slots(shown),
        groups=_by_grade(groups),
        stored=stored,
        before=rules.totals(before),
        moved_up=_by_grade(
            Group(each.grade + 1, each.letter, each.pupils)
            for each in before
            if each.grade < rules.LAST_GRADE
        ),
        totals=totals,
        levels=rules.by_level(totals),
        filled=filled,
        problems=problems[:SHOWN_PROBLEMS],
        unread=len(problems),
        source=source or TableForm(formdata=None),
        year=year,
        years=_years(_this_year()),
        rules=rules,
        history=[(SchoolYear(start), grades) for start, grades in years.items()],
        changes=services.latest_changes(school.id),
    )


def _by_grade(groups: Iterable[Group]) -> dict[int, list[Group]]:
    found: dict[int, list[Group]] = {}
    for group in sorted(groups):
        found.setdefault(group.grade, []).append(group)
    return found


def _address(school: Holder, year: SchoolYear) -> str:
    own = access.current().school
    return url_for(
        "classes.index",
        school=None if own is not None and own.id == school.id else school.id,
        year=year.start,
    )


def _this_year() -> SchoolYear:
    return SchoolYear.of(clock().today(access.current().district.timezone))


def _years(this_year: SchoolYear) -> list[SchoolYear]:
    return [SchoolYear(this_year.start + shift) for shift in (-1, 0, 1)]


def _chosen_year() -> SchoolYear:
    """Return the school year asked for, among those that can be worked on; else the present one."""
    this_year = _this_year()
    wanted = SchoolYear(asked_number(request.args, "year", 5) or this_year.start)
    return wanted if wanted in _years(this_year) else this_year
