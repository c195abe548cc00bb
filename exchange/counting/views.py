"""Pages of counting: the campaign, a school's sheet, the shelf counted on a phone, differences, the paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil
from typing import Any

from flask import Blueprint, Response, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from markupsafe import Markup
from wtforms import StringField
from wtforms.validators import Length

from exchange.catalog import services as catalog
from exchange.catalog.models import Textbook
from exchange.classes.rules import GRADES
from exchange.counting import rules, services
from exchange.counting.models import CountingCampaign, CountSheet
from exchange.counting.rules import (
    CAMPAIGN_STATE_NAMES,
    DECISION_NAMES,
    SHEET_STATE_NAMES,
    SHOW_NAMES,
    Decision,
    Progress,
    Show,
)
from exchange.counting.services import Row, Standing, Tap
from exchange.db import db
from exchange.errors import DomainError, NotFound, Refusals
from exchange.schools import access
from exchange.schools.models import Holder
from exchange.schools.rules import Action
from exchange.schools.views import clock
from exchange.web.charts import Bar, bar_chart
from exchange.web.export import export
from exchange.web.forms import CopiesField, Filled, Form, RussianDateField, asked_number, seen_version
from exchange.web.pages import done, page, text_of, wants_fragment

bp = Blueprint("counting", __name__)

PER_PAGE = 25
"""Books on a page of the shelf: a page must come over a poor line."""
DIFFERENCES_PER_PAGE = 50
DAYS = 26
"""How long a campaign lasts unless somebody says otherwise: 20 May to 15 June."""
STANDING_COLUMNS = (
    "Школа", "Состояние", "Посчитано", "Всего", "Расхождений", "Нашлось, экз.", "Не хватает, экз.",
    "Подтверждено",
)  # fmt: skip
LINE_COLUMNS = (
    "Предмет", "Авторы", "Наименование", "Класс", "Издательство", "Год издания", "Часть", "По учёту, своих",
    "По учёту, чужих", "Посчитано", "Разница", "Решение", "Кто считал",
)  # fmt: skip


def _today() -> date:
    return clock().today(access.current().district.timezone)


# --- campaigns ---


@bp.get("/counting")
def index() -> Response:
    """Show the campaign: to a school its own count, to the office how far each school has come."""
    by = access.current()
    if not access.allowed_somewhere(by, Action.SEE_SHELF):
        access.require(by, Action.SEE_SHELF)
    sees_district = access.allowed(by, Action.SEE_SHELF)
    all_ = services.campaigns(by.district_id)
    wanted = asked_number(request.args, "campaign")
    campaign = next((each for each in all_ if wanted in (None, each.id)), None)
    if campaign is None and wanted is not None:
        raise NotFound
    standings = services.standings(campaign) if campaign and sees_district else []
    if request.args.get("format") and campaign:
        name = _("Ход пересчёта: %(title)s", title=campaign.title)
        return export(request.args["format"], name, STANDING_COLUMNS, _exported_standings(standings))
    return page(
        "counting/index.html",
        None,
        campaign=campaign,
        campaigns=all_,
        is_open=campaign is not None and rules.is_open(campaign.state),
        late=campaign is not None and rules.is_late(campaign.ends_on, _today()),
        states=CAMPAIGN_STATE_NAMES,
        standings=standings,
        sum=_sum(standings),
        state_names=SHEET_STATE_NAMES,
        not_begun=rules.NOT_BEGUN,
        chart=_chart(standings) if standings else None,
        places=_own_places(campaign, standings) if campaign else [],
        rules=rules,
    )


@dataclass(frozen=True)
class Place:
    """A shelf the person may look at: how far it is counted in the campaign, and earlier counts."""

    holder: Holder
    standing: Standing
    may_count: bool


def _own_places(campaign: CountingCampaign, known: Sequence[Standing]) -> list[Place]:
    """Return the shelves that this person counts or answers for."""
    by = access.current()
    schools = {m.school.id: m.school for m in by.memberships if m.school is not None}
    counted_here = access.acting_for(by, Action.COUNT)
    places = {**schools, **{holder.id: holder for holder in counted_here}}
    standings = {
        each.holder_id: each for each in known or services.standings_at(campaign, list(places.values()))
    }
    at = {holder.id for holder in counted_here}
    # An empty storage place of the fund is nothing to count.
    return [
        Place(holder, standings[holder.id], holder.id in at)
        for holder in places.values()
        if holder.id in standings
    ]


def _sum(standings: Sequence[Standing]) -> Progress:
    return Progress(
        total=sum(each.total for each in standings),
        counted=sum(min(each.counted, each.total) for each in standings),
        differing=sum(each.differing for each in standings),
        found=sum(each.found for each in standings),
        missing=sum(each.missing for each in standings),
    )


def _chart(standings: Sequence[Standing]) -> Markup:
    behind = sorted(standings, key=lambda each: each.share)
    return bar_chart(
        [
            Bar(each.name, each.share * 100, f"{each.counted}/{each.total}" if each.begun else "–")
            for each in behind
        ],
        name="counting",
        title=_("Сколько посчитано"),
        description=_("Доля посчитанного по школам; рядом – сколько книг из скольких."),
        maximum=100,
    )


def _exported_standings(standings: Iterable[Standing]) -> Iterable[Sequence[Any]]:
    for each in standings:
        yield (
            each.name,
            _(SHEET_STATE_NAMES[each.state] if each.state else rules.NOT_BEGUN),
            each.counted,
            each.total,
            each.differing,
            each.found,
            each.missing,
            each.confirmed_at.date() if each.confirmed_at else None,
        )


class CampaignForm(Form):
    """Name and days of a campaign."""

    title = StringField(_l("Название"), [Filled(), Length(max=200)])
    starts_on = RussianDateField(_l("Первый день"), [Filled()])
    ends_on = RussianDateField(_l("Последний день"), [Filled()])


@bp.route("/counting/open", methods=["GET", "POST"])
def open_campaign() -> Response:
    """Open a campaign."""
    by = access.current()
    access.require(by, Action.OPEN_CAMPAIGN)
    today = _today()
    form = CampaignForm(
        title=_("Пересчёт фонда %(year)s", year=today.year),
        starts_on=today,
        ends_on=today + timedelta(days=DAYS),
    )
    if form.validate_on_submit():
        try:
            services.open_campaign(
                title=form.title.data,
                starts_on=form.starts_on.data,
                ends_on=form.ends_on.data,
                by=by,
                clock=clock(),
            )
        except DomainError as error:
            form.refuse(error)
        else:
            return done(url_for("counting.index"), _("Кампания открыта. Библиотекари получат письмо."))
    return page("counting/open.html", "form", status=422 if form.is_submitted() else 200, form=form)


@bp.post("/counting/campaigns/<int:campaign_id>/close")
def close(campaign_id: int) -> Response:
    """End a campaign."""
    services.close_campaign(campaign_id, seen=seen_version(), by=access.current(), clock=clock())
    return done(url_for("counting.index"), _("Кампания закончена."))


@bp.post("/counting/campaigns/<int:campaign_id>/remind")
def remind(campaign_id: int) -> Response:
    """Write to those who have not begun."""
    told = services.remind(campaign_id, by=access.current(), clock=clock())
    message = (
        ngettext("Напоминание уйдёт в %(num)d школу.", "Напоминание уйдёт школам: %(num)d.", told)
        if told
        else _("Напоминать некому: начали все.")
    )
    return done(url_for("counting.index"), message)


@bp.post("/counting/campaigns/<int:campaign_id>/begin")
def begin(campaign_id: int) -> Response:
    """Begin to count a shelf, or go on."""
    by = access.current()
    services.campaign_of(campaign_id, by=by)
    holder_id = asked_number(request.form, "holder")
    holder = access.holder_of_district(by, holder_id) if holder_id is not None else by.school
    if holder is None:
        raise NotFound
    found = services.begin(campaign_id, holder=holder, by=by, clock=clock())
    return done(url_for("counting.sheet", sheet_id=found.id))


# --- a sheet ---


@bp.get("/counting/<int:sheet_id>")
def sheet(sheet_id: int) -> Response:
    """Show one school's count shelf by shelf: which are done, where to go on."""
    found = _sheet(sheet_id)
    rows = services.lines(found)
    by_class = request.args.get("by") == "class"
    return page(
        "counting/sheet.html",
        None,
        sheet=found,
        progress=services.progress(found, rows),
        shelves=_shelves(rows, by_class=by_class),
        by_class=by_class,
        can_count=_can_count(found),
        can_reopen=_can_reopen(found),
        confirmed=rules.is_confirmed(found.state),
        state_names=SHEET_STATE_NAMES,
        confirmed_by=services.name_of(found.confirmed_by_id),
    )


def _sheet(sheet_id: int) -> CountSheet:
    return services.visible(sheet_id, by=access.current())


def _can_count(found: CountSheet) -> bool:
    return rules.may_count(found.campaign.state, found.state) and access.allowed(
        access.current(), Action.COUNT, found.holder
    )


def _can_reopen(found: CountSheet) -> bool:
    return (
        rules.is_open(found.campaign.state)
        and rules.is_confirmed(found.state)
        and access.allowed(access.current(), Action.OPEN_CAMPAIGN)
    )


@dataclass(frozen=True)
class Shelf:
    """Books that stand together: of one subject, or of one class."""

    name: str
    arguments: Mapping[str, Any]
    progress: Progress


def _shelves(rows: Sequence[Row], *, by_class: bool) -> list[Shelf]:
    grouped: dict[Any, list[rules.Line]] = {}
    for row in rows:
        grouped.setdefault(row.row.grade_from if by_class else row.row.subject, []).append(row.line)
    keys = sorted(grouped, key=lambda key: (key is None, key)) if by_class else list(grouped)
    return [
        Shelf(
            _shelf_name(key, by_class=by_class),
            {"grade": 0 if key is None else key} if by_class else {"subject": key},
            rules.progress_of(grouped[key]),
        )
        for key in keys
    ]


def _shelf_name(key: Any, *, by_class: bool) -> str:
    if not by_class:
        return str(key)
    return str(_("без класса") if key is None else _("%(grade)s класс", grade=key))


# --- counting ---


FILTERS = ("q", "subject", "grade", "show", "page", "one", "at")


def _filters(**changes: Any) -> dict[str, Any]:
    kept = {name: request.args[name] for name in FILTERS if request.args.get(name)}
    return {name: value for name, value in {**kept, **changes}.items() if value not in (None, "")}


def _show() -> Show:
    return next((show for show in Show if show.value == request.args.get("show", "")), Show.ALL)


@bp.get("/counting/<int:sheet_id>/books")
def books(sheet_id: int) -> Response:
    """The books of a shelf, a list or one at a time, with the numbers to tap."""
    return _books_page(_sheet(sheet_id))


def _books_page(
    found: CountSheet, *, error: str = "", error_at: int | None = None, typed: str = "", status: int = 200
) -> Response:
    everything = services.lines(found, text=request.args.get("q", ""))
    subject, grade = request.args.get("subject", ""), asked_number(request.args, "grade", 2)
    rows = [
        row
        for row in everything
        if subject in ("", row.row.subject) and (grade is None or _is_of_grade(row.row, grade))
    ]
    if format_ := request.args.get("format"):
        wanted = [row for row in rows if rules.belongs(row.line, _show())]
        name = _("Ведомость пересчёта: %(school)s", school=found.holder.short_name)
        return export(format_, name, LINE_COLUMNS, _exported_lines(wanted))
    context: dict[str, Any] = _one(rows, error_at) if request.args.get("one") else _list(rows, error_at)
    return page(
        "counting/books.html",
        "list",
        status=status,
        sheet=found,
        standing=services.standing(found),
        subjects=list(dict.fromkeys(row.row.subject for row in everything)),
        grades=GRADES,
        subject=subject,
        grade=grade,
        shows=SHOW_NAMES,
        show=_show(),
        filters=_filters(),
        can_count=_can_count(found),
        error=error,
        error_at=error_at,
        typed=typed,
        saved_at=None,
        **context,
    )


def _is_of_grade(row: Any, grade: int) -> bool:
    """Say whether a book is for a grade; 0 stands for books without one."""
    if row.grade_from is None:
        return grade == 0
    return bool(row.grade_from <= grade <= row.grade_to)


def _list(rows: Sequence[Row], keep: int | None) -> dict[str, Any]:
    """Return a page of the list; the line ``keep`` stays on it, whatever the filter says of it now."""
    wanted = [row for row in rows if rules.belongs(row.line, _show()) or row.edition_id == keep]
    pages = max(1, ceil(len(wanted) / PER_PAGE))
    page_number = min(max(1, asked_number(request.args, "page", 5) or 1), pages)
    return {
        "one": False,
        "rows": wanted[(page_number - 1) * PER_PAGE : page_number * PER_PAGE],
        "total": len(wanted),
        "number": page_number,
        "pages": pages,
        "before": None,
        "after": None,
        "next_left": None,
    }


def _one(rows: Sequence[Row], keep: int | None) -> dict[str, Any]:
    """Return one book, and where the one before, the one after and the next uncounted one are."""
    asked = keep or asked_number(request.args, "at")
    place = next((place for place, row in enumerate(rows) if row.edition_id == asked), None)
    if place is None:
        place = next((place for place, row in enumerate(rows) if not row.line.is_counted), 0)
    left = [row.edition_id for row in [*rows[place + 1 :], *rows[:place]] if not row.line.is_counted]
    return {
        "one": True,
        "rows": rows[place : place + 1],
        "total": len(rows),
        "number": place + 1,
        "pages": len(rows),
        "before": rows[place - 1].edition_id if place else None,
        "after": rows[place + 1].edition_id if place + 1 < len(rows) else None,
        "next_left": left[0] if left else None,
    }


def _exported_lines(rows: Iterable[Row]) -> Iterable[Sequence[Any]]:
    for each in rows:
        row, line = each.row, each.line
        yield (
            row.subject,
            row.authors,
            row.title,
            grades_of(row),
            row.publisher,
            row.year,
            row.part if row.parts > 1 else None,
            line.own_then if line.is_counted else line.own,
            line.borrowed_then if line.is_counted else line.borrowed,
            line.counted,
            line.difference if line.is_counted else None,
            decision_of(line),
            row.counted_by or "",
        )


def grades_of(row: Any) -> str:
    """Return «7» or «10–11», or nothing for a college's book."""
    return "–".join(str(grade) for grade in dict.fromkeys((row.grade_from, row.grade_to)) if grade)


def decision_of(line: rules.Line) -> str:
    """Return in a word what becomes of a difference."""
    if line.surplus:
        return str(_("нашлись"))
    if line.shortage and line.decision is not None:
        return str(_(DECISION_NAMES[line.decision]))
    return str(_("не решено")) if line.shortage else ""


@bp.get("/counting/<int:sheet_id>/books/<int:edition_id>")
def tapped(sheet_id: int, edition_id: int) -> Response:
    """Lead back to the shelf whoever reloads the answer to a tap."""
    return done(_back_to(_sheet(sheet_id), edition_id))


def _back_to(found: CountSheet, edition_id: int) -> str:
    one = {"at": edition_id} if request.args.get("one") else {}
    return url_for("counting.books", sheet_id=found.id, _anchor=f"count-{edition_id}", **_filters(**one))


class TapForm(Form):
    """The number in a line's field; what a button does to it comes beside."""

    counted = CopiesField(_l("Посчитано"))


@bp.post("/counting/<int:sheet_id>/books/<int:edition_id>")
def tap(sheet_id: int, edition_id: int) -> Response:
    """Take a number: typed, one more or fewer than in the field, or as in the books; safe to repeat."""
    by = access.current()
    found = _sheet(sheet_id)
    access.require(by, Action.COUNT, found.holder)
    form = TapForm()
    if not form.validate():
        return _tap_answer(found, edition_id, error=" ".join(form.counted.errors), status=422)
    booked = asked_number(request.form, "booked", 6) or 0
    try:
        given = Tap(
            counted=rules.stepped(form.counted.data, request.form.get("step", "")),
            taps=asked_number(request.form, f"taps-{edition_id}") or 0,
            booked=booked,
        )
        services.tap(sheet_id, edition_id, given, by=by, clock=clock())
    except services.Late as error:
        # What is there now, in the place of what was tapped.
        db.session.rollback()
        return _tap_answer(_sheet(sheet_id), edition_id, error=text_of(error), late=True, status=409)
    except DomainError as error:
        if error.status != 422:
            raise
        db.session.rollback()
        return _tap_answer(_sheet(sheet_id), edition_id, error=text_of(error), status=422)
    return _tap_answer(_sheet(sheet_id), edition_id)


def _tap_answer(
    found: CountSheet, edition_id: int, *, error: str = "", late: bool = False, status: int = 200
) -> Response:
    """Return the line to htmx; else the page, or the way back to it when all went well."""
    typed = "" if late or not error else request.form.get("counted", "")
    if not wants_fragment():
        if not error:
            return done(_back_to(found, edition_id))
        return _books_page(found, error=error, error_at=edition_id, typed=typed, status=status)
    rows = services.lines(found, edition_ids=[edition_id])
    if not rows:
        raise NotFound
    return page(
        "counting/books.html",
        "line",
        status=status,
        sheet=found,
        row=rows[0],
        standing=services.standing(found),
        filters=_filters(),
        can_count=_can_count(found),
        one=bool(request.args.get("one")),
        error=error,
        error_at=edition_id if error else None,
        typed=typed,
        saved_at=None if error else edition_id,
        answered=True,
    )


@bp.get("/counting/<int:sheet_id>/news")
def news(sheet_id: int) -> Response:
    """Return the lines of a page that others have counted meanwhile, and how far the sheet has come.

    The arguments ``taps-<edition>`` say what the page shows.
    """
    found = _sheet(sheet_id)
    if not wants_fragment():
        return done(url_for("counting.books", sheet_id=sheet_id, **_filters()))
    shown = {
        int(edition): asked_number(request.args, name) or 0
        for name in request.args
        for prefix, _dash, edition in [name.partition("-")]
        if prefix == "taps" and edition.isdecimal() and len(edition) <= 9
    }
    rows = services.lines(found, edition_ids=list(shown)[:PER_PAGE]) if shown else []
    return page(
        "counting/books.html",
        "news",
        sheet=found,
        changed=[row for row in rows if row.line.taps != shown[row.edition_id]],
        standing=services.standing(found),
        filters=_filters(),
        can_count=_can_count(found),
        one=bool(request.args.get("one")),
    )


# --- books that are not in the books ---


class FoundForm(Form):
    """Year of a book that was found; the parts are added per book."""

    year = CopiesField(_l("Год издания"), [Filled()])


def _found_form(textbook: Textbook) -> Form:
    parts = {
        f"part-{part}": CopiesField(
            _("Экземпляров") if textbook.parts == 1 else _("Часть %(part)s, экземпляров", part=part)
        )
        for part in range(1, textbook.parts + 1)
    }
    form: Form = type("FoundBookForm", (FoundForm,), parts)()
    return form


@bp.route("/counting/<int:sheet_id>/add", methods=["GET", "POST"])
def add(sheet_id: int) -> Response:
    """Count books that stand on the shelf though the books do not know them."""
    by = access.current()
    found = _sheet(sheet_id)
    access.require(by, Action.COUNT, found.holder)
    textbook_id = asked_number(request.values, "textbook")
    text = request.args.get("q", "")
    if textbook_id is None:
        books_found = catalog.search(text, on=_today(), limit=20) if text.strip() else None
        return page("counting/add.html", "found", sheet=found, textbook=None, found=books_found, text=text)
    textbook = db.session.get(Textbook, textbook_id)
    if textbook is None:
        raise NotFound("Такого учебника нет в каталоге.")
    form = _found_form(textbook)
    if form.validate_on_submit():
        try:
            editions = services.find(
                sheet_id,
                textbook_id=textbook.id,
                year=form.year.data,
                copies_by_part={
                    part: form[f"part-{part}"].data or 0 for part in range(1, textbook.parts + 1)
                },
                by=by,
                clock=clock(),
            )
        except DomainError as error:
            if error.status != 422:
                raise
            form.refuse(error)
        else:
            return done(
                url_for(
                    "counting.books", sheet_id=sheet_id, q=textbook.title, _anchor=f"count-{editions[0]}"
                ),
                _("Записано: «%(title)s».", title=textbook.title),
            )
    return page(
        "counting/add.html",
        "form",
        status=422 if form.is_submitted() else 200,
        sheet=found,
        textbook=textbook,
        form=form,
        verdict=catalog.verdicts([textbook.id], _today())[textbook.id],
    )


# --- differences, confirmation ---


@bp.get("/counting/<int:sheet_id>/differences")
def differences(sheet_id: int) -> Response:
    """Show where the shelf differs from the books, and ask what became of what is missing."""
    return _differences_page(_sheet(sheet_id))


def _differences_page(
    found: CountSheet, *, error: str = "", refused: Mapping[int, DomainError] | None = None
) -> Response:
    rows = services.lines(found)
    answers = {id_: text_of(each) for id_, each in (refused or {}).items()}
    shown = [row for row in rows if row.line.difference or row.line.moved or row.edition_id in answers]
    shown.sort(key=lambda row: row.edition_id not in answers)
    pages = max(1, ceil(len(shown) / DIFFERENCES_PER_PAGE))
    page_number = min(max(1, asked_number(request.args, "page", 5) or 1), pages)
    return page(
        "counting/differences.html",
        "differences",
        status=422 if error else 200,
        sheet=found,
        rows=shown[(page_number - 1) * DIFFERENCES_PER_PAGE : page_number * DIFFERENCES_PER_PAGE],
        total=len(shown),
        progress=services.progress(found, rows),
        stamp=services.stamp(found, rows),
        corrections=sum(row.line.corrected != row.line.own_then for row in rows if row.line.is_counted),
        lost=sum(row.line.lost for row in rows),
        borrowed=sum(row.line.borrowed_shortage for row in rows),
        decisions=DECISION_NAMES,
        can_count=_can_count(found),
        confirmed=rules.is_confirmed(found.state),
        error=error,
        answers=answers,
        number=page_number,
        pages=pages,
    )


@bp.post("/counting/<int:sheet_id>/decide")
def decide(sheet_id: int) -> Response:
    """Take what somebody says of shortages: of each on the page, or of all that are left."""
    by = access.current()
    found = _sheet(sheet_id)
    access.require(by, Action.COUNT, found.holder)
    try:
        if (all_ := _decision("all")) is not None:
            services.decide_all(sheet_id, all_, by=by, clock=clock())
        else:
            services.decide(sheet_id, _decided(), by=by, clock=clock())
    except services.Late as error:
        db.session.rollback()
        return _differences_page(_sheet(sheet_id), error=text_of(error))
    if wants_fragment():
        return _differences_page(_sheet(sheet_id))
    return done(
        url_for("counting.differences", sheet_id=sheet_id, page=request.args.get("page")),
        _("Решения записаны."),
    )


def _decision(name: str) -> Decision | None:
    return next((each for each in Decision if each.value == request.form.get(name)), None)


def _decided() -> dict[int, services.Decided]:
    """Return the decisions that were sent, by edition."""
    found = {}
    for name in request.form:
        prefix, _dash, edition = name.partition("-")
        if prefix == "decision" and edition.isdecimal() and len(edition) <= 9:
            taps = asked_number(request.form, f"taps-{edition}") or 0
            found[int(edition)] = services.Decided(_decision(name), taps)
    return found


@bp.post("/counting/<int:sheet_id>/confirm")
def confirm(sheet_id: int) -> Response:
    """Bring the books in line with the count."""
    by = access.current()
    found = _sheet(sheet_id)
    access.require(by, Action.COUNT, found.holder)
    try:
        confirmed = services.confirm(sheet_id, seen=seen_version(), by=by, clock=clock())
    except DomainError as error:
        if error.status not in (409, 422):
            raise
        db.session.rollback()
        refused = error.lines if isinstance(error, Refusals) else {}
        return _differences_page(_sheet(sheet_id), error=text_of(error), refused=refused)
    message = _("Пересчёт подтверждён, книги исправлены.")
    if confirmed.act_id is not None:
        message = _("Пересчёт подтверждён. Недостачи – в черновике акта на списание: проведите его.")
    return done(url_for("counting.sheet", sheet_id=sheet_id), message)


@bp.post("/counting/<int:sheet_id>/reopen")
def reopen(sheet_id: int) -> Response:
    """Let a school count on."""
    found = _sheet(sheet_id)
    services.reopen(sheet_id, seen=seen_version(), by=access.current(), clock=clock())
    return done(
        url_for("counting.sheet", sheet_id=sheet_id),
        _("%(school)s может считать дальше.", school=found.holder.short_name),
    )


@bp.get("/counting/<int:sheet_id>/paper")
def paper(sheet_id: int) -> Response:
    """The sheet for printing (ведомость)."""
    found = _sheet(sheet_id)
    rows = services.lines(found)
    return page(
        "counting/paper.html",
        sheet=found,
        rows=rows,
        progress=services.progress(found, rows),
        grades_of=grades_of,
        decision_of=decision_of,
        confirmed=rules.is_confirmed(found.state),
        confirmed_by=services.name_of(found.confirmed_by_id),
    )
