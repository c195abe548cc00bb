"""Pages of provision, of the postings that follow from it, and of next year's shortage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import Any

from flask import Blueprint, Response, flash, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from markupsafe import Markup

from exchange.catalog.rules import SchoolYear
from exchange.errors import DomainError, Invalid, NotFound
from exchange.postings.rules import default_expiry
from exchange.provision import rules, services
from exchange.provision.rules import (
    LESS_NAMES,
    REASON_NAMES,
    SHOW_NAMES,
    STAGE_NAMES,
    Filter,
    Provided,
    Provision,
    Reason,
    Shortage,
    Show,
    Stage,
)
from exchange.schools import access
from exchange.schools.models import Holder
from exchange.schools.rules import Action, HolderKind
from exchange.schools.views import clock, settings
from exchange.stock import services as stock
from exchange.stock.rules import Reserve
from exchange.web.charts import Bar, bar_chart
from exchange.web.export import export
from exchange.web.formats import format_percent
from exchange.web.forms import CopiesField, Filled, Form, asked_number, number
from exchange.web.pages import done, page, wants_fragment

bp = Blueprint("provision", __name__)

PER_PAGE = 50
NEXT = "next"
"""In the address, in place of a school year: the one after the present one."""


def _today() -> date:
    return clock().today(access.current().district.timezone)


# --- whose, and which year ---


def _school_of(school_id: int) -> Holder:
    by = access.current()
    school = access.holder_of_district(by, school_id)
    access.require_private(by, Action.SEE_SHELF, school)
    if school.kind is not HolderKind.SCHOOL:
        raise NotFound
    return school


def _asked_school() -> Holder:
    """Return the school the address names, else the person's own."""
    by = access.current()
    school_id = request.args.get("school", type=number)
    if school_id:
        return _school_of(school_id)
    if by.school is None:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, by.school)
    return by.school


def _schools() -> list[Holder]:
    """Return all schools of the district, to who may see their shelves."""
    return [
        holder
        for holder in access.acting_for(access.current(), Action.SEE_SHELF)
        if holder.kind is HolderKind.SCHOOL
    ]


def _years() -> list[SchoolYear]:
    this_year = SchoolYear.of(_today())
    return [SchoolYear(this_year.start + shift) for shift in (-1, 0, 1)]


def _chosen_year() -> SchoolYear:
    """Return the school year asked for, among those that can be worked on; else the present one."""
    years = _years()
    if request.args.get("year") == NEXT:
        return years[-1]
    wanted = SchoolYear(asked_number(request.args, "year", 5) or years[1].start)
    return wanted if wanted in years else years[1]


def _judged_on(year: SchoolYear) -> date:
    return min(max(_today(), year.first_day), year.last_day)


def _member(kind: Any, name: str) -> Any:
    """Return the enum member an argument names, or ``None``."""
    return next((member for member in kind if member.value and member.value == request.args.get(name)), None)


def _filter() -> Filter:
    return Filter(
        grade=asked_number(request.args, "grade", 5),
        letter=request.args.get("letter"),
        subject=request.args.get("subject", ""),
        stage=_member(Stage, "level"),
        textbook_id=asked_number(request.args, "book"),
        show=_member(Show, "show") or Show.ALL,
    )


def _url(**arguments: Any) -> str:
    kept = {"school": request.args.get("school"), "year": request.args.get("year")}
    return url_for("provision.index", **{**kept, **arguments})


@bp.get("/provision")
def index() -> Response:
    """Show how pupils are provided with books: a school by class and subject, the district by school too."""
    if _chosen_year() == _years()[-1]:
        return _next_year()
    if request.args.get("school") or not access.allowed(access.current(), Action.SEE_SHELF):
        return _school_page(_asked_school())
    return _district_page()


# --- provision ---


@dataclass(frozen=True)
class Line:
    """A row of a provision table: what it is about, where it leads, its sums."""

    name: str
    url: str | None
    sums: Provision


@dataclass(frozen=True)
class BookLine:
    """A textbook for a class group, or for a grade of the whole district, with its sums.

    ``by_part``: usable copies of each part, where one school is shown and the book has several.
    """

    book: Any
    place: str
    sums: Provision
    by_part: Mapping[int, int]
    special_needs: bool


class ReserveForm(Form):
    """What a school wants and keeps beyond its pupils, and expects to wear out: in per cent."""

    reserve = CopiesField(_l("Просить сверх числа учеников, в процентах"), [Filled()])
    buffer = CopiesField(_l("Не отдавать сверх числа учеников, в процентах"), [Filled()])
    wear = CopiesField(_l("Износ за год, в процентах"), [Filled()])


def _reserve_form(kept: Reserve) -> Form:
    return ReserveForm(
        formdata=None, reserve=kept.reserve_percent, buffer=kept.buffer_percent, wear=kept.wear_percent
    )


def _school_page(school: Holder, *, form: Form | None = None, status: int = 200) -> Response:
    year, chosen = _chosen_year(), _filter()
    report = services.provision(schools=[school], school_year=year, on=_judged_on(year), by=access.current())
    if format_ := request.args.get("format"):
        return export(
            format_,
            _("Обеспеченность %(school)s", school=school.short_name),
            [_(name) for name in BOOK_HEADER],
            _exported_books(report, chosen),
            percents=[_(COVERAGE)],
        )
    by_group = {(row.grade, row.letter) for row in report.rows}
    divided = any(letter for _grade, letter in by_group)
    classes = rules.provision_by(report.rows, lambda row: (row.grade, row.letter if divided else ""))
    return _provision_page(
        report,
        chosen,
        school=school,
        classes=[
            Line(
                _group_name(grade, letter),
                _url(grade=grade, letter=letter if divided else None),
                classes[grade, letter],
            )
            for grade, letter in sorted(classes)
            if classes[grade, letter].pupils
        ],
        title=_("Обеспеченность по классам"),
        reserve=report.holdings[0].keeping if report.holdings else stock.reserve(school),
        form=form,
        status=status,
    )


def _group_name(grade: int, letter: str) -> str:
    return f"{grade}{letter}" if letter else str(_("%(grade)s класс", grade=grade))


def _district_page() -> Response:
    by = access.current()
    year, chosen = _chosen_year(), _filter()
    schools = {holder.id: holder for holder in _schools()}
    report = services.provision(schools=schools.values(), school_year=year, on=_judged_on(year), by=by)
    sums = rules.provision_by(filter(chosen.admits, report.rows), lambda row: row.school_id)
    lines = [
        Line(
            school.short_name,
            _url(school=school.id, **_narrowing(chosen)),
            sums.get(school.id, Provision()),
        )
        for school in schools.values()
    ]
    if format_ := request.args.get("format"):
        name = _("Обеспеченность %(district)s", district=by.district.name)
        if request.args.get("rows") == "books":
            names = {school.id: school.short_name for school in schools.values()}
            header = [_("Школа"), *(_(name) for name in BOOK_HEADER)]
            rows = _exported_books(report, chosen, names)
        else:
            header, rows = [_("Школа"), *(_(column) for column in SUMS_HEADER)], _exported_sums(lines)
        return export(format_, name, header, rows, percents=[_(COVERAGE)])
    return _provision_page(
        report,
        chosen,
        schools=lines,
        classes=_grade_lines(report.rows),
        title=_("Обеспеченность по школам"),
    )


def _grade_lines(rows: Iterable[Provided]) -> list[Line]:
    return [
        Line(_("%(grade)s класс", grade=grade), _url(grade=grade), sums)
        for grade, sums in sorted(rules.provision_by(rows, lambda row: row.grade).items())
        if sums.pupils
    ]


def _narrowing(chosen: Filter) -> dict[str, Any]:
    return {
        "grade": chosen.grade,
        "letter": chosen.letter,
        "subject": chosen.subject or None,
        "level": chosen.stage.value if chosen.stage else None,
        "show": chosen.show.value or None,
    }


def _provision_page(
    report: services.Report,
    chosen: Filter,
    *,
    classes: Sequence[Line],
    title: str,
    school: Holder | None = None,
    schools: Sequence[Line] = (),
    reserve: Reserve | None = None,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    by, year, rows = access.current(), _chosen_year(), report.rows
    books = _book_lines(report, chosen, school) if chosen.narrows else []
    pages = max(1, ceil(len(books) / PER_PAGE))
    shown = min(max(1, asked_number(request.args, "page", 5) or 1), pages)
    stages = rules.provision_by(rows, lambda row: rules.stage_of(row.grade))
    subjects = rules.provision_by(rows, lambda row: row.subject)
    return page(
        "provision/index.html",
        "reserve" if form else "books",
        status=status,
        school=school,
        schools_too=access.allowed(by, Action.SEE_SHELF),
        year=year,
        this_year=_years()[1],
        years=_years(),
        whole=rules.provision_of(rows),
        schools=schools,
        classes=classes,
        stages=[
            Line(_(STAGE_NAMES[stage]), _url(level=stage.value), stages[stage])
            for stage in Stage
            if stage in stages and stages[stage].pupils
        ],
        subjects=[
            Line(subject, _url(subject=subject), subjects[subject])
            for subject in sorted(subjects)
            if subjects[subject].pupils
        ],
        chart=_chart(schools or _grade_lines(rows), f"{title}, {year.label}"),
        books=books[(shown - 1) * PER_PAGE : shown * PER_PAGE],
        total=len(books),
        pages=pages,
        number=shown,
        chosen=chosen,
        shows=SHOW_NAMES,
        heading=_heading(report, chosen),
        hidden=report.hidden,
        everything=_url(),
        url=_url,
        reserve=reserve,
        form=form or (_reserve_form(reserve) if reserve else None),
        verdicts=report.verdicts,
        posts=school is not None and year == _years()[1],
    )


def _heading(report: services.Report, chosen: Filter) -> str:
    """Say what of the provision is shown: «Учебники: 5А, Математика, не хватает»."""
    words = []
    if chosen.textbook_id is not None and chosen.textbook_id in report.books:
        words.append(report.books[chosen.textbook_id].title)
    if chosen.grade is not None:
        words.append(_group_name(chosen.grade, chosen.letter or ""))
    if chosen.stage is not None:
        words.append(_(STAGE_NAMES[chosen.stage]))
    if chosen.subject:
        words.append(chosen.subject)
    if chosen.show is not Show.ALL:
        words.append(_(SHOW_NAMES[chosen.show]))
    return ", ".join(words)


def _book_lines(report: services.Report, chosen: Filter, school: Holder | None) -> list[BookLine]:
    """Return the textbooks that are wanted: of a school by class group, of the district by grade."""

    def place(row: Provided) -> tuple[int, int, str]:
        return row.textbook_id, row.grade, row.letter if school else ""

    sums = rules.provision_by(filter(chosen.admits, report.rows), place)
    parts = {
        each.textbook_id: each.by_part(lambda copies: copies.staying) if each.lasts else {}
        for each in report.holdings
        if school and each.parts > 1
    }
    lines = [
        (grade, report.books[textbook_id].sort_key, letter, textbook_id, each)
        for (textbook_id, grade, letter), each in sums.items()
        if chosen.shows(each)
    ]
    return [
        BookLine(
            book=report.books[textbook_id],
            place=f"{grade}{letter}" if each.pupils else "–",
            sums=each,
            by_part=parts.get(textbook_id, {}),
            special_needs=report.books[textbook_id].special_needs,
        )
        for grade, _key, letter, textbook_id, each in sorted(lines, key=lambda line: line[:4])
    ]


COVERAGE = "Обеспеченность"
"""The column of shares."""
SUMS_HEADER = (
    "Учебников", "Нужно книг", "Есть", "Не хватает", "Лишних", "Непарных", COVERAGE,
    "К, без ограничения",
)  # fmt: skip
BOOK_HEADER = (
    "Класс", "Предмет", "Авторы", "Наименование", "Издательство", "Федеральный перечень", "Учеников",
    "Годных комплектов", "Из них можно использовать", "Есть у учеников", "Не хватает", "Лишних", "Непарных",
    COVERAGE, "К, без ограничения",
)  # fmt: skip


def _exported_sums(lines: Iterable[Line]) -> Iterable[Sequence[Any]]:
    for line in lines:
        each = line.sums
        yield (
            line.name, each.books, each.pupils, each.served, each.need, each.surplus, each.unpaired,
            each.coverage, each.uncapped,
        )  # fmt: skip


def _exported_books(
    report: services.Report, chosen: Filter, schools: Mapping[int, str] | None = None
) -> Iterable[Sequence[Any]]:
    def place(row: Provided) -> tuple[str, int, str, str]:
        school = schools[row.school_id] if schools else ""
        return school, row.grade, report.books[row.textbook_id].sort_key, row.letter

    for row in sorted(filter(chosen.admits, report.rows), key=place):
        book, sums = report.books[row.textbook_id], rules.provision_of([row])
        if not chosen.shows(sums):
            continue
        yield (
            *([schools[row.school_id]] if schools else []),
            f"{row.grade}{row.letter}" if row.pupils else "",
            row.subject, book.authors, book.title, book.publisher,
            _(report.verdicts[row.textbook_id].word),
            row.pupils, row.fit, row.usable, row.served, row.need, row.surplus, row.unpaired,
            sums.coverage, sums.uncapped,
        )  # fmt: skip


def _chart(lines: Sequence[Line], title: str) -> Markup:
    return bar_chart(
        [Bar(line.name, line.sums.coverage or 0, format_percent(line.sums.coverage)) for line in lines],
        name="provision",
        title=title,
        description="; ".join(f"{line.name} – {format_percent(line.sums.coverage)}" for line in lines),
        maximum=1,
    )


@bp.post("/provision/reserve")
def set_reserve() -> Response:
    """Store what a school wants and keeps beyond its pupils, and what it expects to wear out."""
    school = _asked_school()
    access.require(access.current(), Action.SET_ENROLMENT, school)
    form = ReserveForm()
    if form.validate():
        try:
            stock.set_reserve(
                school=school,
                reserve=Reserve(form.reserve.data, form.buffer.data, form.wear.data),
                by=access.current(),
                clock=clock(),
            )
        except DomainError as error:
            form.refuse(error)
        else:
            return done(url_for("provision.index", school=request.args.get("school")), _("Запас записан."))
    return _school_page(school, form=form, status=422)


# --- next year ---


@dataclass(frozen=True, slots=True)
class Lack:
    """A shortage as it is shown."""

    book: Any
    school: str
    shortage: Shortage

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why, in words, and how many sets each reason adds."""
        return [(_(_reason_name(why, copies)), copies) for why, copies in self.shortage.reasons.items()]


def _next_year() -> Response:
    by = access.current()
    one = bool(request.args.get("school")) or not access.allowed(by, Action.SEE_SHELF)
    schools = {school.id: school for school in ([_asked_school()] if one else _schools())}
    forecast = services.forecast(schools=schools.values(), this_year=_years()[1], on=_today(), by=by)
    subject, reason = request.args.get("subject", ""), _member(Reason, "reason")
    grade = asked_number(request.args, "grade", 5)
    wanted = [
        Lack(
            book=forecast.books[each.textbook_id],
            school=schools[each.school_id].short_name,
            shortage=each,
        )
        for each in forecast.shortages
        if subject in ("", each.subject)
        and (reason is None or each.reasons.get(reason, 0) > 0)
        and grade in (None, each.grade)
    ]
    wanted.sort(key=lambda lack: (lack.school, lack.shortage.grade, lack.book.sort_key))
    school = next(iter(schools.values())) if one else None
    if format_ := request.args.get("format"):
        whose = school.short_name if school else by.district.name
        return export(
            format_,
            _("Дефицит на %(year)s %(whose)s", year=forecast.year.label.replace("/", "-"), whose=whose),
            [
                *([] if one else [_("Школа")]),
                *(_(name) for name in LACK_HEADER),
                *map(_, REASON_NAMES.values()),
            ],
            _exported_lacks(wanted, forecast, with_school=not one),
        )
    pages = max(1, ceil(len(wanted) / PER_PAGE))
    shown = min(max(1, asked_number(request.args, "page", 5) or 1), pages)
    return page(
        "provision/next.html",
        "list",
        school=school,
        schools_too=access.allowed(by, Action.SEE_SHELF),
        year=forecast.year,
        this_year=_years()[1],
        years=_years(),
        lacks=wanted[(shown - 1) * PER_PAGE : shown * PER_PAGE],
        total=len(wanted),
        missing=sum(lack.shortage.missing for lack in wanted),
        totals=_reason_totals(wanted),
        by_school=[] if one else _missing_by_school(wanted, schools),
        moved_up=[schools[each].short_name for each in forecast.moved_up],
        same_list=[schools[each].short_name for each in forecast.same_list],
        without_pupils=not forecast.shortages,
        verdicts=forecast.verdicts,
        subjects=sorted({each.subject for each in forecast.shortages}),
        subject=subject,
        grade=grade,
        grades=sorted({each.grade for each in forecast.shortages}),
        reason=reason,
        reasons=REASON_NAMES,
        number=shown,
        pages=pages,
        hidden=forecast.hidden,
    )


def _reason_name(reason: Reason, copies: int) -> str:
    return LESS_NAMES.get(reason, REASON_NAMES[reason]) if copies < 0 else REASON_NAMES[reason]


def _reason_totals(lacks: Iterable[Lack]) -> list[tuple[str, int]]:
    totals = dict.fromkeys(Reason, 0)
    for lack in lacks:
        for reason, copies in lack.shortage.reasons.items():
            totals[reason] += copies
    return [(_(_reason_name(reason, copies)), copies) for reason, copies in totals.items() if copies]


def _missing_by_school(
    lacks: Iterable[Lack], schools: Mapping[int, Holder]
) -> list[tuple[Holder, int, int, list[tuple[str, int]]]]:
    """Return each school with the books and the sets it will lack, and why."""
    there: dict[int, list[Lack]] = {number: [] for number in schools}
    for lack in lacks:
        there[lack.shortage.school_id].append(lack)
    return [
        (schools[number], len(own), sum(lack.shortage.missing for lack in own), _reason_totals(own))
        for number, own in there.items()
    ]


LACK_HEADER = (
    "Класс", "Предмет", "Авторы", "Наименование", "Издательство", "Федеральный перечень", "Можно до",
    "Учеников", "Будет годных", "Не хватит",
)  # fmt: skip


def _exported_lacks(
    lacks: Iterable[Lack], forecast: services.Forecast, *, with_school: bool
) -> Iterable[Sequence[Any]]:
    for lack in lacks:
        short, book, verdict = lack.shortage, lack.book, forecast.verdicts[lack.shortage.textbook_id]
        yield (
            *([lack.school] if with_school else []),
            short.grade, short.subject, book.authors, book.title, book.publisher, _(verdict.word),
            verdict.until, short.pupils, short.usable, short.missing,
            *(short.reasons.get(reason) for reason in Reason),
        )  # fmt: skip


# --- proposals ---


@bp.get("/provision/proposals")
def proposals() -> Response:
    """Show what a school could ask for, give away and change of its postings."""
    return _proposals_page(_asked_school())


def _proposals_page(school: Holder, *, status: int = 200) -> Response:
    by = access.current()
    found = services.proposals(school, on=_today(), by=by)
    asks = [each for each in found.proposals if each.advice is rules.Advice.ASK]
    gives = [each for each in found.proposals if each.advice is rules.Advice.GIVE]
    changes = [each for each in found.proposals if each not in asks and each not in gives]
    pages = max(1, ceil(len(found.proposals) / PER_PAGE))
    shown = min(max(1, asked_number(request.args, "page", 5) or 1), pages)
    first = (shown - 1) * PER_PAGE
    on_page = {each.key for each in [*changes, *asks, *gives][first : first + PER_PAGE]}
    doable = [each for each in found.proposals if _may_follow(each, school)]
    return page(
        "provision/proposals.html",
        "list",
        status=status,
        school=school,
        schools_too=access.allowed(by, Action.SEE_SHELF),
        sections=[
            (name, [each for each in some if each.key in on_page])
            for name, some in (
                (_("Привести объявления в соответствие"), changes),
                (_("Похоже, не хватает"), asks),
                (_("Похоже, лишние"), gives),
            )
        ],
        total=len(found.proposals),
        doable={each.key for each in doable},
        seen=rules.digest(doable),
        put_off=found.put_off,
        barred=found.barred,
        books=found.report.books,
        verdicts=found.report.verdicts,
        expires_on=default_expiry(_today(), settings().posting_days),
        number=shown,
        pages=pages,
        knows_pupils=any(each.attached is not None for each in found.report.holdings),
        hidden=found.report.hidden,
    )


def _may_follow(proposal: rules.Proposal, school: Holder) -> bool:
    return access.allowed(access.current(), services.action_of(proposal.advice), school)


def _posting_school() -> Holder:
    """Return the school asked for, to who may ask for books or give them away there."""
    school, by = _asked_school(), access.current()
    if not access.allowed(by, Action.POST_REQUEST, school):
        access.require(by, Action.POST_OFFER, school)
    return school


@bp.post("/provision/proposals")
def follow() -> Response:
    """Carry out one proposal (``one``), those that are ticked (``key``) or all of them (``all``)."""
    school, by = _posting_school(), access.current()
    keys = [request.form["one"]] if "one" in request.form else request.form.getlist("key")
    if "all" in request.form:
        found = services.proposals(school, on=_today(), by=by).proposals
        doable = [each for each in found if _may_follow(each, school)]
        rules.check_digest(request.form.get("seen", ""), doable)
        keys = [each.key for each in doable]
    if not keys:
        raise Invalid("Отметьте хотя бы одну строку.")
    outcome = services.carry_out(
        school=school,
        keys=keys,
        expires_on=default_expiry(_today(), settings().posting_days),
        by=by,
        clock=clock(),
    )
    message = ngettext("Сделано: %(num)d предложение.", "Сделано предложений: %(num)d.", outcome.done)
    if outcome.changed:
        message += " " + ngettext(
            "%(num)d предложение изменилось, пока страница была открыта: посмотрите ещё раз.",
            "Изменилось предложений, пока страница была открыта: %(num)d. Посмотрите ещё раз.",
            outcome.changed,
        )
    return _after(school, message)


@bp.post("/provision/put-off")
def put_off() -> Response:
    """Leave a proposal out until its numbers change."""
    school = _posting_school()
    services.put_off(school=school, key=request.form.get("one", ""), by=access.current(), clock=clock())
    return _after(school, _("Отложено, пока не изменятся полка или контингент."))


def _after(school: Holder, message: str) -> Response:
    if not wants_fragment():
        return done(url_for("provision.proposals", school=request.args.get("school")), message)
    flash(message, "success")
    return _proposals_page(school)
