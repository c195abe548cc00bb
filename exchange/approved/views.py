"""Pages of the approved lists: which textbook each class uses for each subject."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from flask import Blueprint, Response, flash, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from wtforms import SelectField, StringField
from wtforms.validators import Length

from exchange.approved import rules, services
from exchange.approved.models import ApprovedList, ApprovedUse
from exchange.approved.rules import LIST_STATE_NAMES, StepName, Use
from exchange.approved.services import Line, Shown
from exchange.catalog import services as catalog
from exchange.catalog.models import Textbook
from exchange.catalog.rules import SchoolYear
from exchange.classes import services as classes
from exchange.classes.rules import FIRST_GRADE, GRADES
from exchange.db import db
from exchange.errors import Invalid, NotFound
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.schools.views import clock
from exchange.web.export import export
from exchange.web.forms import CopiesField, Filled, Form, asked_number, number, seen_version
from exchange.web.pages import done, page, wants_fragment

bp = Blueprint("approved", __name__)

FOUND = 40
"""Books shown of those a search for a line finds."""
SMALL = 3
"""Fewer special-needs pupils than this may identify a child."""


def _today() -> date:
    return clock().today(access.current().district.timezone)


def _years() -> list[SchoolYear]:
    this_year = SchoolYear.of(_today())
    return [SchoolYear(this_year.start + shift) for shift in (-1, 0, 1)]


def _chosen_year() -> SchoolYear:
    """Return the school year asked for, among those that can be worked on; else the present one."""
    years = _years()
    wanted = asked_number(request.args, "year", 5)
    return next((year for year in years if year.start == wanted), years[1])


def _school(school_id: int | None) -> Holder:
    """Return the school asked for, or the person's own; 404 for what they may not see."""
    by = access.current()
    school = db.session.get(Holder, school_id) if school_id else by.school
    if school is None or school.kind is not HolderKind.SCHOOL:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, school)
    return school


def _address(approved: ApprovedList) -> str:
    return url_for("approved.show", list_id=approved.id)


# --- reading ---


@bp.get("/approved")
def index() -> Response:
    """Show the list of a school and year; to who may look into every school, how all lists stand."""
    by = access.current()
    school_id = request.args.get("school", type=number)
    year = _chosen_year()
    if school_id is None and by.school is None and access.allowed(by, Action.SEE_SHELF):
        return _overview(by, year)
    return _shown(_school(school_id), year)


@bp.get("/approved/<int:list_id>")
def show(list_id: int) -> Response:
    """Show one list."""
    approved = services.visible(list_id, by=access.current())
    return _shown(approved.school, SchoolYear(approved.school_year))


def _overview(by: User, year: SchoolYear) -> Response:
    schools = [h for h in access.acting_for(by, Action.SEE_SHELF) if h.kind is HolderKind.SCHOOL]
    rows = services.overview(schools, year, on=_today())
    if format_ := request.args.get("format"):
        columns = [
            _("Школа"),
            _("Перечень"),
            _("Учебников"),
            _("Не выбрано"),
            _("Нельзя использовать"),
            _("Последний год"),
        ]
        return export(
            format_,
            _("Перечни учебников %(year)s", year=year.label.replace("/", "-")),
            columns,
            [
                (
                    row.school.short_name,
                    _(LIST_STATE_NAMES[row.state]) if row.state else _("не начат"),
                    row.lines,
                    row.gaps,
                    row.unlawful,
                    row.last_year,
                )
                for row in rows
            ],
        )
    return page(
        "approved/index.html",
        rows=rows,
        year=year,
        years=_years(),
        state_names=LIST_STATE_NAMES,
    )


def _shown(school: Holder, year: SchoolYear, *, refused: Form | None = None) -> Response:
    by = access.current()
    shown = services.shown(school, year, on=_today())
    if format_ := request.args.get("format"):
        return _exported(format_, shown)
    approved = shown.approved
    steps = services.menu(approved, by=by) if approved else []
    return page(
        "approved/show.html",
        "list",
        status=422 if refused else 200,
        shown=shown,
        school=school,
        year=year,
        years=_years(),
        steps=[step for step in steps if step.name is not StepName.SEND_BACK],
        may_send_back=any(step.name is StepName.SEND_BACK for step in steps),
        may_edit=shown.editable and access.allowed(by, Action.PREPARE_LIST, school),
        pupils_of=_pupils_for(by, school),
        send_back=refused or SendBackForm(formdata=None),
        history=services.history(approved.id) if approved else [],
        rules=rules,
    )


def _pupils_for(by: User, school: Holder) -> Callable[[Line], int | None]:
    """Return what tells the pupils of a line, or ``None`` where so few might be recognised by a stranger."""
    sees_all = access.allowed(by, Action.SEE_SMALL_COUNTS, school)

    def pupils(line: Line) -> int | None:
        hidden = line.book.special_needs and line.pupils < SMALL and not sees_all
        return None if hidden else line.pupils

    return pupils


def _exported(format_: str, shown: Shown) -> Response:
    numbers = catalog.numbers({line.use.textbook_id for line in shown.lines}, _today())
    pupils_of = _pupils_for(access.current(), shown.school)
    columns = [
        _("№ по ФПУ"),
        _("Приказ"),
        _("Предмет"),
        _("Класс"),
        _("Авторы"),
        _("Наименование"),
        _("Издательство"),
        _("Уровень"),
        _("Учеников"),
        _("Перечень"),
        _("Срок использования"),
    ]
    rows = []
    for line in shown.lines:
        listed = numbers.get(line.use.textbook_id)
        rows.append(
            (
                listed.number if listed else "",
                listed.order if listed else "",
                _(line.use.subject),
                f"{line.use.grade}{line.use.letter}",
                line.book.authors,
                line.book.title,
                line.book.publisher,
                line.book.level,
                pupils_of(line),
                _(line.verdict.word),
                line.verdict.until,
            )
        )
    name = _(
        "Перечень учебников %(school)s %(year)s",
        school=shown.school.short_name,
        year=shown.year.label.replace("/", "-"),
    )
    return export(format_, name, columns, rows)


@bp.get("/approved/<int:list_id>/print")
def paper(list_id: int) -> Response:
    """Show the list in its official form, for paper."""
    approved = services.visible(list_id, by=access.current())
    shown = services.shown(approved.school, SchoolYear(approved.school_year), on=_today())
    return page(
        "approved/print.html",
        shown=shown,
        approved=approved,
        school=approved.school,
        year=shown.year,
        numbers=catalog.numbers({line.use.textbook_id for line in shown.lines}, _today()),
        state_names=LIST_STATE_NAMES,
    )


# --- lines ---


@bp.post("/approved/accept")
def accept() -> Response:
    """Take proposed lines into the list: the one whose button was pressed, or all."""
    by = access.current()
    school = _school(request.args.get("school", type=number))
    year = _chosen_year()
    added = services.accept_proposals(
        school=school,
        school_year=year.start,
        keys=None if "all" in request.form else request.form.getlist("line"),
        seen=seen_version(),
        by=by,
        clock=clock(),
    )
    text = ngettext("В перечень внесён %(num)d учебник.", "В перечень внесено %(num)d учебников.", added)
    if wants_fragment():
        flash(text, "success")
        return _shown(school, year)
    # Without JavaScript the page comes anew: at the grade where the button was.
    key = request.form.get("line", "")
    grade = f"grade-{key.partition(':')[0]}" if key else None
    return done(url_for("approved.index", school=school.id, year=year.start, _anchor=grade), text)


class LineForm(Form):
    """A line of a list, but for its textbook."""

    letter = SelectField(_l("Какие классы"))
    pupils = CopiesField(_l("Сколько учеников"))


class SendBackForm(Form):
    """Why a list is made a draft again."""

    reason = StringField(
        _l("Что нужно изменить"), validators=[Filled(_l("Напишите, что нужно изменить.")), Length(max=300)]
    )


@bp.route("/approved/add", methods=["GET", "POST"])
def add() -> Response:
    """Choose a textbook for a grade: by search; a press on a book found takes it into the list."""
    by = access.current()
    school = _school(request.args.get("school", type=number))
    access.require(by, Action.PREPARE_LIST, school)
    year = _chosen_year()
    grade = asked_number(request.args, "grade", 2) or FIRST_GRADE
    form = _line_form(school, year, grade, letter=request.args.get("letter", ""))
    if form.validate_on_submit():
        try:
            book = _book(request.form.get("textbook", ""))
            course = rules.course_of(book.subject, book.title)
            services.add_uses(
                school=school,
                school_year=year.start,
                uses=[Use(grade, form["letter"].data, book.id, course, form["pupils"].data)],
                seen=seen_version(),
                by=by,
                clock=clock(),
            )
        except Invalid as error:
            form.refuse(error)
        else:
            return done(
                url_for("approved.index", school=school.id, year=year.start),
                _("В перечень внесено: «%(title)s», %(grade)s класс.", title=book.title, grade=grade),
            )
    return _line_page(form, school, year, grade)


@bp.get("/approved/lines/<int:use_id>")
def line(use_id: int) -> Response:
    """Show one line with the form that changes it and a search for another textbook."""
    use = services.use_in(use_id, by=access.current())
    access.require(access.current(), Action.PREPARE_LIST, use.list.school)
    year = SchoolYear(use.list.school_year)
    form = _line_form(use.list.school, year, use.grade, letter=use.letter, pupils=use.pupils)
    return _line_page(form, use.list.school, year, use.grade, use)


@bp.post("/approved/lines/<int:use_id>")
def change(use_id: int) -> Response:
    """Give the line another class, number of pupils or textbook."""
    by = access.current()
    use = services.use_in(use_id, by=by)
    approved = use.list
    access.require(by, Action.PREPARE_LIST, approved.school)
    year = SchoolYear(approved.school_year)
    form = _line_form(approved.school, year, use.grade, letter=use.letter)
    if form.validate():
        try:
            chosen = request.form.get("textbook", "")
            services.change_use(
                use_id,
                letter=form["letter"].data,
                pupils=form["pupils"].data,
                textbook_id=_book(chosen).id if chosen else None,
                seen=seen_version(),
                by=by,
                clock=clock(),
            )
        except Invalid as error:
            form.refuse(error)
        else:
            return done(_address(approved), _("Строка перечня изменена."))
    return _line_page(form, approved.school, year, use.grade, use)


@bp.post("/approved/lines/<int:use_id>/remove")
def remove(use_id: int) -> Response:
    """Take a line out of its list."""
    approved = services.remove_use(use_id, seen=seen_version(), by=access.current(), clock=clock())
    return done(_address(approved), _("Строка убрана из перечня."))


def _book(text: str) -> Textbook:
    found = db.session.get(Textbook, number(text)) if text.isdecimal() else None
    if found is None:
        raise Invalid("Выберите учебник из найденных.")
    return found


def _line_form(
    school: Holder, year: SchoolYear, grade: int, *, letter: str = "", pupils: int | None = None
) -> Form:
    """Return the form of a line of a grade, with the letters that grade has (and the one it has now)."""
    there = {
        group.letter for group in classes.groups([school.id], year.start)[school.id] if group.grade == grade
    }
    letters = sorted(there | {letter} - {""})
    form = LineForm(data={"letter": letter, "pupils": pupils})
    whole = _("все %(grade)s классы", grade=grade) if letters else _("весь %(grade)s класс", grade=grade)
    form.letter.choices = [("", whole), *((each, f"{grade}{each}") for each in letters if each)]
    return form


def _line_page(
    form: Form, school: Holder, year: SchoolYear, grade: int, use: ApprovedUse | None = None
) -> Response:
    """Show the search for a line's textbook; what was typed beside it stays."""
    course = request.args.get("course", "")[:100]
    if use is not None:
        course = rules.course_of(use.textbook.subject, use.textbook.title)
    words = request.args.get("q", "").strip()[:200]
    if words:
        found = catalog.search(words, on=_today(), grade=grade, limit=FOUND)
        verdicts = catalog.verdicts([row.id for row in found.rows], _today(), year)
        books, total = [(row, verdicts[row.id]) for row in found.rows], found.total
    else:
        books = services.of_course(course, grade, on=_today(), year=year) if course else []
        total = len(books)
    approved = use.list if use else services.list_of(school, year)
    return page(
        "approved/line.html",
        "line",
        status=422 if form.is_submitted() else 200,
        form=form,
        school=school,
        year=year,
        grade=grade,
        grades=GRADES,
        use=use,
        version=approved.version if approved else None,
        words=words,
        course=course,
        books=books[:FOUND],
        total=total,
    )


# --- from hand to hand ---


@bp.post("/approved/<int:list_id>/submit")
def submit(list_id: int) -> Response:
    """Ask for the list to be checked."""
    approved = services.submit(list_id, seen=seen_version(), by=access.current(), clock=clock())
    return done(_address(approved), _("Перечень отправлен на проверку."))


@bp.post("/approved/<int:list_id>/check")
def check(list_id: int) -> Response:
    """Sign the list as deputy."""
    approved = services.check(list_id, seen=seen_version(), by=access.current(), clock=clock())
    return done(_address(approved), _("Перечень проверен и передан директору."))


@bp.post("/approved/<int:list_id>/approve")
def approve(list_id: int) -> Response:
    """Approve the list as director."""
    approved = services.approve(list_id, seen=seen_version(), by=access.current(), clock=clock())
    return done(_address(approved), _("Перечень утверждён."))


@bp.post("/approved/<int:list_id>/send-back")
def send_back(list_id: int) -> Response:
    """Make the list a draft again."""
    by = access.current()
    approved, _step = services.open_step(list_id, StepName.SEND_BACK, by=by)
    form = SendBackForm()
    if form.validate():
        try:
            services.send_back(list_id, reason=form.reason.data, seen=seen_version(), by=by, clock=clock())
        except Invalid as error:
            form.refuse(error)
        else:
            return done(_address(approved), _("Перечень снова черновик: его можно менять."))
    return _shown(approved.school, SchoolYear(approved.school_year), refused=form)
