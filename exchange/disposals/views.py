"""Pages of write-off acts: the list, one act with its lines, adding books, the paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from math import ceil
from typing import Any

from flask import Blueprint, Response, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from wtforms import SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length

from exchange.disposals import rules, services
from exchange.disposals.models import WriteOffAct
from exchange.disposals.rules import ACT_STATE_NAMES, ActState
from exchange.errors import DomainError, NotFound, Refusals
from exchange.ledger.rules import WRITE_OFF_NAMES, WriteOffReason
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action
from exchange.schools.views import clock
from exchange.web.export import export
from exchange.web.forms import CopiesField, Filled, Form, RussianDateField, asked_number, seen_version
from exchange.web.pages import done, page, text_of

bp = Blueprint("disposals", __name__)

PER_PAGE = 50
REASONS = [SelectChoice(reason.value, name) for reason, name in WRITE_OFF_NAMES.items()]
ACT_COLUMNS = (
    "№ акта", "Дата", "Школа", "Состояние", "Строк", "Экземпляров", "Начат", "Проведён",
)  # fmt: skip
LINE_COLUMNS = (
    "Предмет", "Авторы", "Наименование", "Класс", "Издательство", "Год издания", "Часть", "Количество",
    "Причина", "На балансе",
)  # fmt: skip


def _today() -> date:
    return clock().today(access.current().district.timezone)


# --- the list ---


@bp.get("/disposals")
def index() -> Response:
    """Show the acts of the person's school or, to those who see many, of the district."""
    by = access.current()
    if not access.allowed_somewhere(by, Action.SEE_SHELF):
        access.require(by, Action.SEE_SHELF)
    state = next((each for each in ActState if each.value == request.args.get("state")), None)
    whole = bool(request.args.get("format"))
    page_number = max(1, asked_number(request.args, "page", 5) or 1)
    rows, total = services.acts(
        by=by,
        holder_id=asked_number(request.args, "school"),
        state=state,
        text=request.args.get("q", ""),
        first=0 if whole else (page_number - 1) * services.PAGE,
        limit=None if whole else services.PAGE,
    )
    if whole:
        return export(request.args["format"], _("Акты на списание"), ACT_COLUMNS, _exported_acts(rows))
    counts_at = access.acting_for(by, Action.COUNT)
    return page(
        "disposals/index.html",
        "list",
        rows=rows,
        total=total,
        number=page_number,
        pages=ceil(total / services.PAGE),
        states=ACT_STATE_NAMES,
        state=state,
        holders=access.acting_for(by, Action.SEE_SHELF),
        counts_at=counts_at,
        begun=len(counts_at) == 1 and services.draft_of(counts_at[0]) is not None,
        filtered=any(request.args.get(name) for name in ("q", "state", "school")),
        rules=rules,
    )


def _exported_acts(rows: Iterable[Any]) -> Iterable[Sequence[Any]]:
    for row in rows:
        yield (
            row.number,
            row.signed_on,
            row.holder,
            _(ACT_STATE_NAMES[row.state]),
            row.lines,
            row.copies,
            row.created_at.date(),
            row.posted_at.date() if row.posted_at else None,
        )


@bp.post("/disposals/begin")
def begin() -> Response:
    """Open the draft act of a school or storage place, a new one where there is none."""
    by = access.current()
    act = services.draft_for(_holder(by), by=by, clock=clock())
    return done(url_for("disposals.show", act_id=act.id))


def _holder(by: User) -> Holder:
    """Return the place that the form or the address names, else the person's own school."""
    holder_id = asked_number(request.values, "holder")
    holder = access.holder_of_district(by, holder_id) if holder_id is not None else by.school
    if holder is None:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, holder)
    access.require(by, Action.COUNT, holder)
    return holder


# --- one act ---


class PaperForm(Form):
    """What is written above and below the table of an act."""

    number = StringField(_l("Номер акта"), [Length(max=40)])
    signed_on = RussianDateField(_l("Дата акта"))
    commission = TextAreaField(_l("Комиссия"), [Length(max=2000)])


class LineForm(Form):
    """Copies of one book and why they go."""

    copies = CopiesField(_l("Сколько списать"), [Filled()])
    reason = SelectField(_l("Причина"), choices=REASONS)


@bp.get("/disposals/<int:act_id>")
def show(act_id: int) -> Response:
    """Show an act: a draft to be worked on, or what has been posted."""
    act = services.visible(act_id, by=access.current())
    if format_ := request.args.get("format"):
        name = _("Акт на списание %(number)s", number=act.number or act.id)
        return export(format_, name, LINE_COLUMNS, _exported_lines(services.lines_of(act)))
    return _act_page(act)


def _exported_lines(lines: Iterable[Any]) -> Iterable[Sequence[Any]]:
    for line in lines:
        yield (
            line.subject,
            line.authors,
            line.title,
            grades(line),
            line.publisher,
            line.year,
            line.part if line.parts > 1 else None,
            line.copies,
            _(WRITE_OFF_NAMES[line.reason]),
            line.owner,
        )


def grades(row: Any) -> str:
    """Return «7» or «10–11», or nothing for a college's book."""
    return "–".join(str(grade) for grade in dict.fromkeys((row.grade_from, row.grade_to)) if grade)


def _act_page(
    act: WriteOffAct,
    block: str = "act",
    *,
    form: PaperForm | None = None,
    line_form: LineForm | None = None,
    line_id: int | None = None,
    refused: Mapping[int, DomainError] | None = None,
) -> Response:
    today = _today()
    editable = rules.is_draft(act.state) and access.allowed(access.current(), Action.COUNT, act.holder)
    lines = services.lines_of(act)
    found = services.suggested(act.holder, today=today).suggestions if editable else ()
    pages = max(1, ceil(len(lines) / PER_PAGE))
    page_number = min(max(1, asked_number(request.args, "page", 5) or 1), pages)
    form = form or PaperForm(
        formdata=None,
        number=act.number,
        signed_on=act.signed_on or (today if editable else None),
        commission=act.commission,
    )
    answers = {id_: text_of(error) for id_, error in (refused or {}).items()}
    return page(
        "disposals/show.html",
        block,
        status=422 if refused or form.errors or line_form is not None else 200,
        act=act,
        editable=editable,
        form=form,
        line_form=line_form,
        line_id=line_id,
        answers=answers,
        # What is wrong comes first: it may stand on another page.
        lines=sorted(lines, key=lambda line: line.line_id not in answers)[
            (page_number - 1) * PER_PAGE : page_number * PER_PAGE
        ],
        line_count=len(lines),
        copies=sum(line.copies for line in lines),
        totals=rules.totals((line.reason, line.copies) for line in lines),
        number=page_number,
        pages=pages,
        suggested=rules.totals((each.reason, each.copies) for each in found),
        reasons=WRITE_OFF_NAMES,
        states=ACT_STATE_NAMES,
        history=() if editable else services.history(act),
        rules=rules,
    )


@bp.post("/disposals/<int:act_id>/save")
def save(act_id: int) -> Response:
    """Keep number, date and commission of a draft."""
    return _with_paper(act_id, services.save, _("Черновик сохранён."))


@bp.post("/disposals/<int:act_id>/post")
def post(act_id: int) -> Response:
    """Take the copies off the books."""
    return _with_paper(act_id, services.post, _("Акт проведён: книги списаны. Теперь его можно напечатать."))


def _with_paper(act_id: int, step: Any, message: str) -> Response:
    by = access.current()
    act = services.visible(act_id, by=by)
    access.require(by, Action.COUNT, act.holder)
    form = PaperForm()
    refused: Mapping[int, DomainError] = {}
    if form.validate():
        try:
            step(
                act_id,
                number=form.number.data or "",
                signed_on=form.signed_on.data,
                commission=form.commission.data or "",
                seen=seen_version(),
                by=by,
                clock=clock(),
            )
        except Refusals as error:
            form.refuse(error)
            refused = error.lines
        except DomainError as error:
            if error.status != 422:
                raise
            form.refuse(error)
        else:
            return done(url_for("disposals.show", act_id=act_id), message)
    return _act_page(services.visible(act_id, by=by), form=form, refused=refused)


@bp.post("/disposals/<int:act_id>/discard")
def discard(act_id: int) -> Response:
    """Give a draft up."""
    services.visible(act_id, by=access.current())
    services.discard(act_id, seen=seen_version(), by=access.current(), clock=clock())
    return done(url_for("disposals.index"), _("Черновик отменён. Книги остались как были."))


# --- the lines of an act ---


@bp.post("/disposals/<int:act_id>/suggested")
def take_suggested(act_id: int) -> Response:
    """Put everything into a draft that is suggested for one reason."""
    act = services.visible(act_id, by=access.current())
    reason = _reason(request.form.get("reason", ""))
    if reason is None:
        raise NotFound
    added = services.add_suggested(act.id, reason, by=access.current(), clock=clock())
    return done(
        url_for("disposals.show", act_id=act_id),
        ngettext("В акт добавлена %(num)d строка.", "В акт добавлено строк: %(num)d.", added),
    )


def _reason(value: str) -> WriteOffReason | None:
    return next((reason for reason in WriteOffReason if reason.value == value), None)


@bp.post("/disposals/lines/<int:line_id>")
def change(line_id: int) -> Response:
    """Correct the copies and the reason of a line."""
    by = access.current()
    act = services.act_of_line(line_id, by=by)
    access.require(by, Action.COUNT, act.holder)
    form = LineForm()
    if form.validate():
        try:
            services.change_line(
                line_id,
                WriteOffReason(form.reason.data),
                form.copies.data,
                seen=seen_version(),
                by=by,
                clock=clock(),
            )
        except DomainError as error:
            if error.status != 422:
                raise
            form.refuse(error)
        else:
            return _lines_answer(act.id, _("Строка исправлена."))
    return _act_page(services.visible(act.id, by=by), "lines", line_form=form, line_id=line_id)


@bp.post("/disposals/lines/<int:line_id>/remove")
def remove(line_id: int) -> Response:
    """Take a line out of a draft."""
    by = access.current()
    act = services.act_of_line(line_id, by=by)
    services.remove_line(line_id, seen=seen_version(), by=by, clock=clock())
    return _lines_answer(act.id, _("Строка убрана из акта."))


def _lines_answer(act_id: int, message: str) -> Response:
    """Return the table of lines to htmx, so that what is typed above it stays; else lead to the act."""
    if request.htmx:  # type: ignore[attr-defined]
        return _act_page(services.visible(act_id, by=access.current()), "lines")
    return done(url_for("disposals.show", act_id=act_id), message)


@bp.get("/disposals/lines/<int:line_id>")
def line(line_id: int) -> Response:
    """Lead back to the act whoever reloads the answer to a change."""
    act = services.act_of_line(line_id, by=access.current())
    return done(url_for("disposals.show", act_id=act.id))


# --- adding books ---


@bp.route("/disposals/add", methods=["GET", "POST"])
def add() -> Response:
    """Look for books on the shelf, or among what is suggested, and put them into the draft act."""
    by = access.current()
    holder = _holder(by)
    edition_id = asked_number(request.values, "edition")
    owner_id = asked_number(request.values, "owner") or holder.id
    form = LineForm() if request.method == "POST" else None
    if form is not None and edition_id is not None and form.validate():
        try:
            act = services.draft_for(holder, by=by, clock=clock())
            services.add_line(
                act.id,
                edition_id,
                WriteOffReason(form.reason.data),
                form.copies.data,
                owner_id=owner_id,
                by=by,
                clock=clock(),
            )
        except DomainError as error:
            form.refuse(error)
        else:
            return done(
                url_for("disposals.add", holder=holder.id, **_search()),
                ngettext("В акт: %(num)d экземпляр.", "В акт: %(num)d экз.", form.copies.data),
            )
    return _add_page(holder, form, edition_id, owner_id)


def _search() -> dict[str, Any]:
    return {name: request.args[name] for name in ("q", "why", "page", "edition") if request.args.get(name)}


def _add_page(holder: Holder, form: LineForm | None, edition_id: int | None, owner_id: int) -> Response:
    why = _reason(request.args.get("why", ""))
    asked = asked_number(request.args, "edition")
    shelf = services.suggested(holder, today=_today(), text=request.args.get("q", ""))
    wanted: dict[tuple[int, int], Any] = {}
    for each in shelf.suggestions:
        if why in (None, each.reason):
            wanted.setdefault((each.edition_id, each.owner_id), each)
    rows = [
        row
        for row in shelf.books
        if asked in (None, row.edition_id)
        and (why is None or (row.edition_id, row.owner_id) in wanted)
        # Without words only what there is a reason for: a whole shelf is nothing to choose from.
        and (asked or why or request.args.get("q") or (row.edition_id, row.owner_id) in wanted)
    ]
    pages = max(1, ceil(len(rows) / PER_PAGE))
    page_number = min(max(1, asked_number(request.args, "page", 5) or 1), pages)
    return page(
        "disposals/add.html",
        "list",
        status=422 if form is not None else 200,
        holder=holder,
        act=services.draft_of(holder),
        rows=rows[(page_number - 1) * PER_PAGE : page_number * PER_PAGE],
        total=len(rows),
        copies=shelf.copies,
        wanted=wanted,
        verdicts=shelf.verdicts,
        form=form,
        form_of=(edition_id, owner_id) if form is not None else None,
        why=why,
        asked=asked,
        reasons=WRITE_OFF_NAMES,
        search=_search(),
        number=page_number,
        pages=pages,
    )


# --- the paper ---


@bp.get("/disposals/<int:act_id>/paper")
def paper(act_id: int) -> Response:
    """The act for printing, with the commission's signatures, in two copies, and the accountants' sheet."""
    act = services.visible(act_id, by=access.current())
    lines = services.lines_of(act)
    return page(
        "disposals/paper.html",
        act=act,
        lines=lines,
        copies=sum(line.copies for line in lines),
        totals=rules.totals((line.reason, line.copies) for line in lines),
        members=rules.members(act.commission),
        reasons=WRITE_OFF_NAMES,
        grades=grades,
        rules=rules,
    )
