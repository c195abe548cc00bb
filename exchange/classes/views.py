"""Pages of the classes of a school and how many pupils they have."""

from __future__ import annotations

from flask import Blueprint, Response, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from exchange.catalog.rules import SchoolYear
from exchange.classes import rules, services
from exchange.db import db
from exchange.errors import DomainError, NotFound
from exchange.schools import access
from exchange.schools.models import Holder
from exchange.schools.rules import Action, HolderKind
from exchange.schools.views import clock
from exchange.web.forms import CopiesField, Form, asked_number, number
from exchange.web.pages import done, page

bp = Blueprint("classes", __name__)


def _school(school_id: int | None) -> Holder:
    """Return the school asked for, or the person's own; 404 for what they may not see."""
    by = access.current()
    school = db.session.get(Holder, school_id) if school_id else by.school
    if school is None or school.kind is not HolderKind.SCHOOL:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, school)
    return school


def _grade_name(grade: int) -> str:
    return f"grade-{grade}"


EnrolmentForm: type[Form] = type(
    "EnrolmentForm",
    (Form,),
    {
        "__doc__": "Pupils of each grade.",
        **{_grade_name(grade): CopiesField(_l("%(grade)s класс", grade=grade)) for grade in rules.GRADES},
    },
)


@bp.route("/enrolment", methods=["GET", "POST"])
def index() -> Response:
    """Show the pupils by grade of a school year and, beside them, those of the year before; store them."""
    by = access.current()
    school_id = request.args.get("school", type=number)
    school = _school(school_id)
    this_year = SchoolYear.of(clock().today(by.district.timezone))
    year = _chosen_year(this_year)
    before = services.enrolment(school.id, year.start - 1)
    now = services.enrolment(school.id, year.start)
    form = EnrolmentForm(data={_grade_name(grade): pupils for grade, pupils in now.items()})
    if request.method == "POST":
        access.require(by, Action.SET_ENROLMENT, school)
    if form.validate_on_submit():
        try:
            services.set_enrolment(
                school=school,
                school_year=year.start,
                pupils_by_grade={grade: form[_grade_name(grade)].data for grade in rules.GRADES},
                by=by,
                clock=clock(),
            )
        except DomainError as error:
            form.refuse(error)
        else:
            return done(
                url_for("classes.index", school=school_id, year=request.args.get("year")),
                _("Контингент на %(year)s записан.", year=year.label),
            )
    return page(
        "classes/index.html",
        "form",
        status=422 if form.is_submitted() else 200,
        school=school,
        form=form,
        fields=[(grade, form[_grade_name(grade)]) for grade in rules.GRADES],
        before=before,
        # Pupils move up: last year's fourth form is this year's fifth.
        moved_up={grade + 1: pupils for grade, pupils in before.items() if grade < rules.LAST_GRADE},
        total=sum(now.values()) if now else None,
        year=year,
        years=_years(this_year),
    )


def _years(this_year: SchoolYear) -> list[SchoolYear]:
    return [SchoolYear(this_year.start + shift) for shift in (-1, 0, 1)]


def _chosen_year(this_year: SchoolYear) -> SchoolYear:
    """Return the school year asked for, among those that can be worked on; else the present one."""
    wanted = SchoolYear(asked_number(request.args, "year", 5) or this_year.start)
    return wanted if wanted in _years(this_year) else this_year
