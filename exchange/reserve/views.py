"""Pages of the fund: its holding, one textbook of it, its report, and whether the district's books agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import Legality, Verdict
from exchange.db import db
from exchange.errors import Invalid, NotFound
from exchange.ledger.rules import MOVEMENT_NAMES, WRITE_OFF_NAMES, WriteOffReason
from exchange.reserve import rules, services
from exchange.reserve.rules import FLOW_NAMES, ORIGIN_NAMES, Account, Books, Flow, Origin, Period
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action
from exchange.schools.views import clock
from exchange.transfers.rules import KIND_NAMES, STATE_NAMES, STATE_TONES, Kind, default_due_back
from exchange.web.charts import Bar, bar_chart
from exchange.web.export import export
from exchange.web.formats import format_number
from exchange.web.forms import CopiesField, Filled, Form, RussianDateField, asked_number
from exchange.web.pages import done, page, wants_fragment

bp = Blueprint("reserve", __name__)


def _today() -> date:
    return clock().today(access.current().district.timezone)


def _page_number() -> int:
    return max(asked_number(request.values, "page") or 1, 1)


def _pages(total: int) -> int:
    return -(-total // services.PAGE)


# --- the holding ---


@bp.get("/fund")
def index() -> Response:
    """Show what the fund holds; to its keepers with where, whose and who has it, to schools what is free."""
    by = access.current()
    access.require(by, Action.SEE_DISTRICT)
    chosen = {
        name: request.args.get(name, "").strip()[:200]
        for name in ("q", "subject", "grade", "standing", "place", "owner")
    }
    number = _page_number()
    format_ = request.args.get("format")
    wanted = services.Filter(
        text=chosen["q"],
        subject=chosen["subject"],
        grade=asked_number(request.values, "grade"),
        standing=next((each for each in Legality if each.value == chosen["standing"]), None),
        place_id=asked_number(request.values, "place"),
        owner_id=asked_number(request.values, "owner"),
    )
    found = services.listing(
        by.district_id,
        wanted,
        today=_today(),
        first=0 if format_ else (number - 1) * services.PAGE,
        limit=None if format_ else services.PAGE,
    )
    inside = access.allowed(by, Action.SEE_SHELF)
    if format_:
        return _exported(format_, found, wanted) if inside else _exported_free(format_, found)
    return page(
        "reserve/index.html",
        "list",
        found=found,
        chosen=chosen,
        filtered=any(chosen.values()),
        number=number,
        pages=_pages(found.total),
        standings=list(Legality),
        inside=inside,
        may_ask=by.school is not None and access.allowed(by, Action.ASK, by.school),
    )


def _exported(format_: str, found: services.Listing, wanted: services.Filter) -> Response:
    columns = [
        _("Предмет"),
        _("Название"),
        _("Авторы"),
        _("Класс"),
        _("Год издания"),
        _("Часть"),
        _("Место хранения"),
        _("Балансодержатель"),
        _("Экземпляров"),
        _("Обещано"),
        _("Неснижаемый остаток"),
        _("Перечень"),
    ]
    rows = [
        (
            title.book.subject,
            title.book.title,
            title.book.authors,
            _grades(title.book),
            account.year,
            account.part,
            account.place,
            account.owner,
            account.copies,
            account.promised,
            title.holding.floor or None,
            _word(found.verdicts[title.book.id]),
        )
        for title in found.titles
        for account in title.holding.accounts
        if rules.at(account, place_id=wanted.place_id, owner_id=wanted.owner_id)
    ]
    return export(format_, _("Обменно-резервный фонд"), columns, rows)


def _exported_free(format_: str, found: services.Listing) -> Response:
    columns = [
        _("Предмет"),
        _("Название"),
        _("Авторы"),
        _("Класс"),
        _("Год издания"),
        _("Часть"),
        _("Место хранения"),
        _("Свободно"),
        _("Перечень"),
    ]
    rows = [
        (
            title.book.subject,
            title.book.title,
            title.book.authors,
            _grades(title.book),
            spare.year,
            spare.part,
            spare.place,
            spare.copies,
            _word(found.verdicts[title.book.id]),
        )
        for title in found.titles
        for spare in title.holding.spare
    ]
    return export(format_, _("Свободно в обменно-резервном фонде"), columns, rows)


def _grades(book: Any) -> str:
    if book.grade_from is None:
        return ""
    return str(book.grade_from) if book.grade_from == book.grade_to else f"{book.grade_from}–{book.grade_to}"


def _word(verdict: Verdict) -> str:
    return str(_(verdict.word))


# --- the report ---


class PeriodForm(Form):
    """From which day to which."""

    first = RussianDateField(_l("С"), [Filled()])
    last = RussianDateField(_l("По"), [Filled()])


@bp.get("/fund/report")
def report() -> Response:
    """Show what came to the fund and left it in a period, and what each school gave and took."""
    by = access.current()
    access.require(by, Action.SEE_DISTRICT)
    period = rules.usual_period(_today())
    form = PeriodForm(request.args if "first" in request.args else None, data=vars(period))
    status = 200
    if "first" in request.args:
        try:
            if form.validate():
                period = rules.check_period(form.first.data, form.last.data)
            else:
                status = 422
        except Invalid as error:
            form.refuse(error)
            status = 422
    found = services.report(by.district_id, period, zone=by.district.timezone)
    if (format_ := request.args.get("format")) and status == 200:
        return _exported_report(format_, found, period)
    everybody = access.allowed(by, Action.SEE_SHELF)
    shares = [
        (school, found.schools.get(school.id, rules.Share()))
        for school in services.schools(by=by)
        if everybody or access.allowed(by, Action.SEE_SHELF, school)
    ]
    return page(
        "reserve/report.html",
        "report",
        status=status,
        form=form,
        period=period,
        found=found,
        flows=FLOW_NAMES,
        shares=[(school, share) for school, share in shares if not everybody or school.id in found.schools],
        everybody=everybody,
    )


def _exported_report(format_: str, found: rules.Report, period: Period) -> Response:
    columns = [
        _("Предмет"),
        _("Остаток на начало"),
        *(_(name) for name in FLOW_NAMES.values()),
        _("Остаток на конец"),
        _("Оборачиваемость"),
    ]

    def row(name: str, turnover: rules.Turnover) -> tuple[Any, ...]:
        rate = turnover.rate
        return (
            name,
            turnover.opening,
            *(turnover.shown(flow) for flow in Flow),
            turnover.closing,
            None if rate is None else round(rate, 2),
        )

    rows = [row(subject, turnover) for subject, turnover in found.subjects.items()]
    name = _("Отчёт ОРФ %(first)s–%(last)s", first=f"{period.first:%d.%m.%Y}", last=f"{period.last:%d.%m.%Y}")
    return export(format_, name, columns, rows, total=row(_("Всего"), found.total))


# --- one textbook ---


class FloorForm(Form):
    """How many copies of each part the fund keeps back."""

    copies = CopiesField(_l("Неснижаемый остаток, экз. каждой части"))


def _textbook(textbook_id: int) -> Textbook:
    textbook = db.session.get(Textbook, textbook_id)
    if textbook is None:
        raise NotFound("Такого учебника нет в каталоге.")
    return textbook


def _about(textbook: Textbook, by: User) -> dict[str, Any]:
    """Return what every page about one textbook of the fund shows."""
    today = _today()
    return {
        "textbook": textbook,
        "verdict": catalog.verdicts([textbook.id], today)[textbook.id],
        "holding": services.holding_of(by.district_id, textbook.id, today=today),
    }


@bp.get("/fund/titles/<int:textbook_id>")
def title(textbook_id: int) -> Response:
    """Show everything about one textbook in the fund."""
    by = access.current()
    access.require(by, Action.SEE_SHELF)
    textbook = _textbook(textbook_id)
    if format_ := request.args.get("format"):
        return _exported_history(format_, textbook, by)
    return _title_page(textbook, by, FloorForm(copies=None))


def _exported_history(format_: str, textbook: Textbook, by: User) -> Response:
    events, _total = services.history(by.district_id, textbook.id, limit=None)
    columns = [
        _("Когда"),
        _("Что"),
        _("Год издания"),
        _("Часть"),
        _("Откуда"),
        _("Куда"),
        _("Экземпляров"),
        _("Передача №"),
        _("Документ"),
        _("Причина"),
        _("Кто"),
    ]
    zone = ZoneInfo(by.district.timezone)
    rows = [
        (
            event.at.astimezone(zone),
            _(MOVEMENT_NAMES[event.kind]),
            event.year,
            event.part if textbook.parts > 1 else None,
            _sides(event.sources),
            _sides(event.targets),
            event.copies,
            event.transfer_id,
            event.document,
            _(event.reason) if event.reason else "",
            event.who,
        )
        for event in events
    ]
    return export(format_, _("Движения в фонде: %(title)s", title=textbook.title), columns, rows)


def _sides(sides: Sequence[services.Side]) -> str:
    def told(side: services.Side) -> str:
        owner = " ({})".format(_("на балансе: %(owner)s", owner=side.owner)) if side.owner else ""
        copies = f": {side.copies}" if len(sides) > 1 else ""
        return f"{side.holder}{owner}{copies}"

    return "; ".join(map(told, sides))


def _title_page(textbook: Textbook, by: User, form: FloorForm | None, *, status: int = 200) -> Response:
    about = _about(textbook, by)
    if form is None or not form.is_submitted():
        form = FloorForm(formdata=None, copies=about["holding"].floor or None)
    number = _page_number()
    events, total = services.history(by.district_id, textbook.id, first=(number - 1) * services.PAGE)
    return page(
        "reserve/title.html",
        "floor",
        status=status,
        form=form,
        decisions=services.floor_journal(by.district_id, textbook.id),
        exceptions=services.floor_exceptions(by.district_id, textbook.id),
        transfers=services.open_transfers(by.district_id, textbook.id),
        events=events,
        total=total,
        number=number,
        pages=_pages(total),
        movements=MOVEMENT_NAMES,
        kinds=KIND_NAMES,
        states=STATE_NAMES,
        tones=STATE_TONES,
        **about,
    )


@bp.post("/fund/titles/<int:textbook_id>/floor")
def set_floor(textbook_id: int) -> Response:
    """Set or lift what the fund keeps back of a textbook."""
    by = access.current()
    access.require(by, Action.KEEP_FUND)
    textbook = _textbook(textbook_id)
    form = FloorForm()
    if not form.validate():
        return _title_page(textbook, by, form, status=422)
    try:
        services.set_floor(textbook.id, form.copies.data, by=by, clock=clock())
    except Invalid as error:
        form.refuse(error)
        return _title_page(textbook, by, form, status=422)
    message = (
        _("Неснижаемый остаток: %(copies)s экз. каждой части.", copies=form.copies.data)
        if form.copies.data
        else _("Неснижаемый остаток снят.")
    )
    return done(url_for("reserve.title", textbook_id=textbook.id), message)


# --- taking in from outside ---


class AcquireForm(Form):
    """Books from outside. The numbers of copies, one for each part, are added to it for the textbook."""

    year = CopiesField(_l("Год издания"), [Filled()])
    place = SelectField(_l("Куда поставить"), coerce=int)
    origin = SelectField(_l("Откуда"))
    document = StringField(_l("Документ: номер и дата"), [Filled(), Length(max=200)])


@bp.route("/fund/acquire", methods=["GET", "POST"])
def acquire() -> Response:
    """Take books in from outside: find the textbook first, then say how many, where to and by which paper."""
    by = access.current()
    access.require(by, Action.KEEP_FUND)
    textbook_id = asked_number(request.values, "textbook")
    if textbook_id is None:
        return _choose_textbook()
    textbook = _textbook(textbook_id)
    form = _acquire_form(textbook, by)
    if form.is_submitted():
        if form.validate():
            try:
                return _acquired(form, textbook, by)
            except Invalid as error:
                form.refuse(error)
        return _acquire_page(form, textbook, by, status=422)
    return _acquire_page(form, textbook, by)


def _choose_textbook() -> Response:
    text = request.args.get("q", "").strip()[:200]
    found = catalog.search(text, on=_today(), limit=20) if text else None
    return page("reserve/choose.html", "list", text=text, found=found)


def _acquire_form(textbook: Textbook, by: User) -> AcquireForm:
    parts = {
        _part_field(part): CopiesField(_part_label(textbook, part)) for part in range(1, textbook.parts + 1)
    }
    form: AcquireForm = type("AcquireForm", (AcquireForm,), parts)()
    form.place.choices = [(place.id, place.short_name) for place in services.places(by=by)]
    form.origin.choices = [(origin.value, _(name)) for origin, name in ORIGIN_NAMES.items()]
    return form


def _part_field(part: int) -> str:
    return f"part_{part}"


def _part_label(textbook: Textbook, part: int) -> str:
    return str(_("Экземпляров") if textbook.parts == 1 else _("Экземпляров, ч. %(part)s", part=part))


def _acquired(form: AcquireForm, textbook: Textbook, by: User) -> Response:
    copies = {part: form[_part_field(part)].data or 0 for part in range(1, textbook.parts + 1)}
    try:
        services.acquire(
            place=access.holder_of_district(by, form.place.data),
            textbook_id=textbook.id,
            year=form.year.data,
            copies_by_part=copies,
            origin=Origin(form.origin.data),
            document=form.document.data,
            by=by,
            clock=clock(),
        )
    except Invalid as error:
        raise _at_field(error, {"copies": _part_field(1)}) from error
    return done(
        url_for("reserve.title", textbook_id=textbook.id),
        _("Принято в фонд: %(copies)s экз.", copies=format_number(sum(copies.values()))),
    )


def _at_field(error: Invalid, fields: Mapping[str, str]) -> Invalid:
    """Return the refusal at the field of this form that stands for the service's one."""
    field = fields.get(error.field or "", error.field)
    return Invalid(error.message, field=field, **error.parameters)


def _acquire_page(form: AcquireForm, textbook: Textbook, by: User, *, status: int = 200) -> Response:
    return page(
        "reserve/acquire.html",
        "form",
        status=status,
        form=form,
        parts=[form[_part_field(part)] for part in range(1, textbook.parts + 1)],
        **_about(textbook, by),
    )


# --- giving out, taking in from a school ---


class TransferForm(Form):
    """A transfer of the fund. The numbers of copies, one for each account, are added to it."""

    kind = RadioField(_l("Вид передачи"), [Filled()])
    due_back = RussianDateField(_l("Вернуть до"), [Optional()])


class GiveForm(TransferForm):
    """Out of the fund, to a school."""

    taker = SelectField(_l("Кому"), coerce=int)
    floor_exception = TextAreaField(_l("Почему можно нарушить неснижаемый остаток"), [Length(max=500)])


class TakeInForm(TransferForm):
    """Into the fund, from a school."""

    place = SelectField(_l("Куда поставить"), coerce=int)


def _copies_field(number: int) -> str:
    return f"copies_{number}"


def _edition_name(textbook: Textbook, year: int, part: int) -> str:
    return str(year) if textbook.parts == 1 else str(_("%(year)s, ч. %(part)s", year=year, part=part))


def _account_name(textbook: Textbook, account: Account) -> str:
    return str(
        _(
            "%(edition)s – %(place)s, на балансе: %(owner)s, свободно %(free)s",
            edition=_edition_name(textbook, account.year, account.part),
            place=account.place,
            owner=account.owner,
            free=account.free,
        )
    )


def _typed(form: Form, numbers: Sequence[int]) -> dict[int, int]:
    """Return the copies typed for each account; those left empty are not there."""
    typed = {number: form[_copies_field(number)].data for number in numbers}
    return {number: copies for number, copies in typed.items() if copies}


def _kinds(form: TransferForm) -> None:
    form.kind.choices = [(kind.value, _(name)) for kind, name in KIND_NAMES.items()]


@bp.route("/fund/titles/<int:textbook_id>/give", methods=["GET", "POST"])
def give(textbook_id: int) -> Response:
    """Give or lend copies to a school: a transfer, proposed and agreed to by the methodist at once."""
    by = access.current()
    access.require(by, Action.KEEP_FUND)
    textbook = _textbook(textbook_id)
    about = _about(textbook, by)
    accounts = {account.balance_id: account for account in about["holding"].accounts if account.free}
    fields = {
        _copies_field(number): CopiesField(_account_name(textbook, account))
        for number, account in accounts.items()
    }
    form: GiveForm = type("GiveForm", (GiveForm,), fields)(
        kind=Kind.LOAN.value, due_back=default_due_back(_today())
    )
    form.taker.choices = [(school.id, school.short_name) for school in services.schools(by=by)]
    _kinds(form)
    if form.is_submitted():
        if form.validate():
            try:
                return _given(form, textbook, accounts, by)
            except Invalid as error:
                form.refuse(error)
        about = _about(_textbook(textbook_id), by)
    return page(
        "reserve/give.html",
        "form",
        status=422 if form.is_submitted() else 200,
        form=form,
        copies=[form[name] for name in fields],
        **about,
    )


def _given(form: GiveForm, textbook: Textbook, accounts: Mapping[int, Account], by: User) -> Response:
    copies = _typed(form, list(accounts))
    if not copies:
        rules.check_copies(None)
    places = [accounts[number].place_id for number in copies]
    kind = Kind(form.kind.data)
    transfer = services.give(
        place=access.holder_of_district(by, places[0]),
        taker=access.holder_of_district(by, form.taker.data),
        kind=kind,
        copies=copies,
        due_back=form.due_back.data,
        floor_exception=form.floor_exception.data or "",
        by=by,
        clock=clock(),
    )
    return done(
        url_for("reserve.title", textbook_id=textbook.id),
        _(
            "Передача № %(number)s предложена: %(school)s, %(copies)s экз., %(kind)s. Книги обещаны.",
            number=transfer.id,
            school=transfer.taker.short_name,
            copies=sum(copies.values()),
            kind=_(KIND_NAMES[kind]),
        ),
    )


@bp.route("/fund/titles/<int:textbook_id>/take-in", methods=["GET", "POST"])
def take_in(textbook_id: int) -> Response:
    """Ask a school for its copies: choose the school, then the numbers; its director agrees or refuses."""
    by = access.current()
    access.require(by, Action.KEEP_FUND)
    textbook = _textbook(textbook_id)
    shelves = services.school_shelves(by.district_id, textbook.id)
    school = _school_of(by, shelves)
    if school is None:
        return page("reserve/take_in.html", "form", school=None, shelves=shelves, **_about(textbook, by))
    rows = [row for row in shelves if row.school_id == school.id]
    fields = {
        _copies_field(row.edition_id): CopiesField(
            _(
                "%(edition)s – свободно %(free)s",
                edition=_edition_name(textbook, row.year, row.part),
                free=row.free,
            )
        )
        for row in rows
    }
    form: TakeInForm = type("TakeInForm", (TakeInForm,), fields)(kind=Kind.PERMANENT.value)
    form.place.choices = [(place.id, place.short_name) for place in services.places(by=by)]
    _kinds(form)
    if form.is_submitted() and form.validate():
        try:
            return _taken_in(form, textbook, school, [row.edition_id for row in rows], by)
        except Invalid as error:
            form.refuse(error)
            textbook = _textbook(textbook_id)
    return page(
        "reserve/take_in.html",
        "form",
        status=422 if form.is_submitted() else 200,
        form=form,
        copies=[form[name] for name in fields],
        school=school,
        shelves=shelves,
        **_about(textbook, by),
    )


def _school_of(by: User, shelves: Sequence[Any]) -> Holder | None:
    """Return the school that was chosen; ``NotFound`` when it has nothing free of the textbook."""
    school_id = asked_number(request.values, "school")
    if school_id is None:
        return None
    if school_id not in {row.school_id for row in shelves}:
        raise NotFound("У этой школы нет свободных экземпляров учебника.")
    return access.holder_of_district(by, school_id)


def _taken_in(
    form: TakeInForm, textbook: Textbook, school: Holder, edition_ids: Sequence[int], by: User
) -> Response:
    copies = _typed(form, edition_ids)
    if not copies:
        rules.check_copies(None)
    transfer = services.take_in(
        school=school,
        place=access.holder_of_district(by, form.place.data),
        kind=Kind(form.kind.data),
        copies=copies,
        due_back=form.due_back.data,
        by=by,
        clock=clock(),
    )
    return done(
        url_for("reserve.title", textbook_id=textbook.id),
        _(
            "Передача № %(number)s предложена: решает директор школы «%(school)s».",
            number=transfer.id,
            school=school.short_name,
        ),
    )


# --- writing off, moving ---


class AccountForm(Form):
    """Copies of one account of the fund."""

    account = SelectField(_l("Какие книги"), coerce=int)
    copies = CopiesField(_l("Сколько экземпляров"), [Filled()])


class WriteOffForm(AccountForm):
    """Copies to be written off."""

    reason = SelectField(_l("Причина"))
    document = StringField(_l("Акт о списании: номер и дата"), [Filled(), Length(max=200)])
    floor_exception = TextAreaField(_l("Почему можно нарушить неснижаемый остаток"), [Length(max=500)])
    sure = BooleanField(
        _l("Списываю: отменить это нельзя"),
        [InputRequired(_l("Подтвердите: списанные книги в фонд не вернутся."))],
    )


class MoveForm(AccountForm):
    """Copies to be moved to another storage place."""

    target = SelectField(_l("Куда"), coerce=int)


def _choose_account(form: AccountForm, textbook: Textbook, accounts: Sequence[Account]) -> None:
    form.account.choices = [
        (account.balance_id, _account_name(textbook, account)) for account in accounts if account.free
    ]


def _chosen(form: AccountForm, accounts: Sequence[Account]) -> Account:
    return next(account for account in accounts if account.balance_id == form.account.data)


@bp.route("/fund/titles/<int:textbook_id>/write-off", methods=["GET", "POST"])
def write_off(textbook_id: int) -> Response:
    """Write off copies of the fund by an act."""
    by = access.current()
    access.require(by, Action.KEEP_FUND)
    textbook = _textbook(textbook_id)
    about = _about(textbook, by)
    form = WriteOffForm()
    _choose_account(form, textbook, about["holding"].accounts)
    form.reason.choices = [(reason.value, _(name)) for reason, name in WRITE_OFF_NAMES.items()]
    if form.is_submitted():
        if form.validate():
            account = _chosen(form, about["holding"].accounts)
            try:
                services.write_off(
                    place=access.holder_of_district(by, account.place_id),
                    owner=access.holder_of_district(by, account.owner_id),
                    edition=db.session.get_one(Edition, account.edition_id),
                    copies=form.copies.data,
                    reason=WriteOffReason(form.reason.data),
                    document=form.document.data,
                    floor_exception=form.floor_exception.data or "",
                    by=by,
                    clock=clock(),
                )
            except Invalid as error:
                form.refuse(error)
            else:
                return done(
                    url_for("reserve.title", textbook_id=textbook_id),
                    _("Списано: %(copies)s экз.", copies=form.copies.data),
                )
        about = _about(_textbook(textbook_id), by)
    return page(
        "reserve/write_off.html", "form", status=422 if form.is_submitted() else 200, form=form, **about
    )


@bp.route("/fund/titles/<int:textbook_id>/move", methods=["GET", "POST"])
def move(textbook_id: int) -> Response:
    """Move copies to another storage place of the fund."""
    by = access.current()
    access.require(by, Action.KEEP_FUND)
    textbook = _textbook(textbook_id)
    about = _about(textbook, by)
    form = MoveForm()
    _choose_account(form, textbook, about["holding"].accounts)
    form.target.choices = [(place.id, place.short_name) for place in services.places(by=by)]
    if form.is_submitted():
        if form.validate():
            account = _chosen(form, about["holding"].accounts)
            try:
                services.relocate(
                    source=access.holder_of_district(by, account.place_id),
                    target=access.holder_of_district(by, form.target.data),
                    owner=access.holder_of_district(by, account.owner_id),
                    edition=db.session.get_one(Edition, account.edition_id),
                    copies=form.copies.data,
                    by=by,
                    clock=clock(),
                )
            except Invalid as error:
                form.refuse(error)
            else:
                return done(
                    url_for("reserve.title", textbook_id=textbook_id),
                    _("Перемещено: %(copies)s экз.", copies=form.copies.data),
                )
        about = _about(_textbook(textbook_id), by)
    return page("reserve/move.html", "form", status=422 if form.is_submitted() else 200, form=form, **about)


# --- the books of the district ---


@bp.get("/fund/books")
def books() -> Response:
    """Show whether the books of the district agree: in all, by textbook, by holder."""
    by = access.current()
    access.require(by, Action.AUDIT)
    text = request.args.get("q", "").strip()[:200]
    number = _page_number()
    format_ = request.args.get("format")
    titles, total = services.books_by_title(
        by.district_id,
        text=text,
        first=0 if format_ else (number - 1) * services.PAGE,
        limit=None if format_ else services.PAGE,
    )
    if format_:
        return _exported_books(format_, titles)
    # Whoever only searches among the textbooks has the district's sums in front of them already.
    district = {} if wants_fragment() else _district_books(by)
    return page(
        "reserve/books.html",
        "list",
        text=text,
        titles=titles,
        total=total,
        number=number,
        pages=_pages(total),
        **district,
    )


def _district_books(by: User) -> dict[str, Any]:
    in_all = services.books(by.district_id)
    return {
        "books": in_all,
        "chart": _chart(in_all),
        "holders": services.books_by_holder(by.district_id),
        "mismatches": [_(each.message, **each.parameters) for each in services.audit(by.district_id)],
    }


BOOKS_NAMES: Sequence[tuple[str, str]] = (
    ("schools", "В школах"),
    ("fund", "В фонде"),
    ("transit", "В пути"),
    ("disputed", "Расхождения"),
    ("written_off", "Списано"),
)


def _chart(in_all: Books) -> Any:
    bars = [
        Bar(_(name), getattr(in_all, key), format_number(getattr(in_all, key))) for key, name in BOOKS_NAMES
    ]
    return bar_chart(
        bars,
        name="books",
        title=_("Где зарегистрированные экземпляры"),
        description=", ".join(f"{bar.label}: {bar.text}" for bar in bars),
        maximum=in_all.registered or None,
    )


def _exported_books(format_: str, titles: Sequence[services.BooksOfTitle]) -> Response:
    columns = [
        _("Название"),
        _("Авторы"),
        _("Класс"),
        _("Зарегистрировано"),
        *(_(name) for _key, name in BOOKS_NAMES),
        _("Разница"),
    ]
    rows = [
        (
            each.book.title,
            each.book.authors,
            _grades(each.book),
            each.books.registered,
            *(getattr(each.books, key) for key, _name in BOOKS_NAMES),
            each.books.difference,
        )
        for each in titles
    ]
    return export(format_, _("Книги сходятся"), columns, rows)
