"""Pages of surpluses and requests, and the board of the whole district."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from flask import Blueprint, Response, abort, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from wtforms import BooleanField, Field, RadioField, SelectField, SelectMultipleField, TextAreaField
from wtforms.validators import Length
from wtforms.widgets import CheckboxInput, ListWidget

from exchange import journal
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import Verdict
from exchange.db import db
from exchange.errors import DomainError, Invalid, NotFound
from exchange.postings import rules, services
from exchange.postings.models import Offer, Request
from exchange.postings.rules import Limit, OfferKind, PostingState, ShortageReason, Side
from exchange.postings.services import Giver, Seeker, Shelf, ShelfRow
from exchange.schools import access
from exchange.schools.models import Holder
from exchange.schools.rules import Action
from exchange.schools.views import clock, settings
from exchange.stock.rules import CONDITION_NAMES, Condition, sets_of
from exchange.web import subjects
from exchange.web.export import export
from exchange.web.forms import CopiesField, Form, RussianDateField, asked_number, seen_version
from exchange.web.pages import came_from, done, page, wants_fragment

bp = Blueprint("postings", __name__)

ASK_PATH = "/transfers/ask"
GRADES = range(1, 12)
SHOWN_LINES = 6
"""Lines of one textbook shown on each side of the board; the rest is one click away."""
STATES: Mapping[str, PostingState | None] = {
    "open": PostingState.OPEN,
    "expired": PostingState.EXPIRED,
    "withdrawn": PostingState.WITHDRAWN,
    "": None,
}
WHOLE_SET = "0"


# --- forms ---

_refusal = {"invalid_choice_message": _l("Выберите из списка.")}


CONDITIONS_WANTED: Mapping[Condition, str] = {
    Condition.FAIR: "любое",
    Condition.GOOD: "хорошее",
    Condition.NEW: "только новые",
}


def _words(names: Mapping[Any, str]) -> dict[str, str]:
    return {kind.value: _(name) for kind, name in names.items()}


class OfferForm(Form):
    """The terms of a surplus. The copies are fields of their own, one per edition: ``offer_form``."""

    kind = RadioField(_l("Как отдаём"), choices=lambda: _words(rules.OFFER_KIND_NAMES), **_refusal)
    due_back = RussianDateField(_l("Вернуть до"))
    condition = SelectField(_l("Состояние"), choices=lambda: _words(CONDITION_NAMES), **_refusal)
    expires_on = RussianDateField(_l("Держать на доске до"))
    available_from = RussianDateField(_l("Можно отдать с"))
    note = TextAreaField(_l("Примечание"), [Length(max=500)])

    @property
    def terms(self) -> dict[str, Any]:
        """What the services take beside the copies. Raises ``Invalid`` where a day is needed."""
        if self.expires_on.data is None:
            raise Invalid("Укажите последний день на доске.", field="expires_on")
        return {
            "kind": OfferKind(self.kind.data),
            "condition": Condition(self.condition.data),
            "due_back": self.due_back.data,
            "available_from": self.available_from.data,
            "expires_on": self.expires_on.data,
            "note": self.note.data or "",
        }


class RequestForm(Form):
    """What is missing. The copies are fields of their own, one per part: ``request_form``."""

    reason = SelectField(
        _l("Почему не хватает"),
        choices=lambda: _words(rules.SHORTAGE_NAMES),
        **_refusal,
    )
    needed_by = RussianDateField(_l("Нужны к"))
    year_from = CopiesField(_l("Не старше года издания"))
    loan_acceptable = BooleanField(_l("Можно и на время, с возвратом"))
    mixing = BooleanField(_l("Можно книги разных годов издания вперемешку"))
    condition_from = SelectField(
        _l("Состояние не хуже"),
        choices=lambda: _words(CONDITIONS_WANTED),
        default=Condition.FAIR.value,
        **_refusal,
    )
    expires_on = RussianDateField(_l("Держать на доске до"))
    note = TextAreaField(_l("Примечание"), [Length(max=500)])

    @property
    def terms(self) -> dict[str, Any]:
        """What the services take beside the copies. Raises ``Invalid`` where a day is needed."""
        if self.expires_on.data is None:
            raise Invalid("Укажите последний день на доске.", field="expires_on")
        return {
            "reason": ShortageReason(self.reason.data),
            "needed_by": self.needed_by.data,
            "year_from": self.year_from.data,
            "loan_acceptable": self.loan_acceptable.data,
            "mixing": self.mixing.data,
            "condition_from": Condition(self.condition_from.data),
            "expires_on": self.expires_on.data,
            "note": self.note.data or "",
        }


class LimitForm(Form):
    """What a school lays down for everything it gives."""

    not_before = RussianDateField(_l("Не отдавать раньше"))
    kept_grades = SelectMultipleField(
        _l("Не отдавать книги классов"),
        choices={str(grade): str(grade) for grade in GRADES},
        coerce=int,
        option_widget=CheckboxInput(),
        widget=ListWidget(prefix_label=False),
        **_refusal,
    )
    most_trips = CopiesField(_l("Скольким школам самое большее отдавать за один подбор"))

    @property
    def limit(self) -> Limit:
        """What is laid down. The services check it."""
        return Limit(self.not_before.data, frozenset(self.kept_grades.data or ()), self.most_trips.data)


def offer_form(rows: Iterable[ShelfRow], parts: int, **values: Any) -> OfferForm:
    """Return a form with a field ``copies_<edition id>`` for each row, prefilled with the advice."""
    fields = {
        f"copies_{row.edition.id}": CopiesField(edition_name(row.edition.year, row.edition.part, parts))
        for row in rows
    }
    made: OfferForm = type("OfferFormOfShelf", (OfferForm,), fields)(data=values)
    return made


def request_form(parts: int, *, whole: bool, **values: Any) -> RequestForm:
    """Return a form for whole sets with the choice of a single part, or with a field for each part."""
    fields: dict[str, Field] = {}
    if whole:
        fields["copies"] = CopiesField(_l("Сколько комплектов") if parts > 1 else _l("Сколько экземпляров"))
        if parts > 1:
            only = {str(part): _("только часть %(part)s", part=part) for part in range(1, parts + 1)}
            fields["part"] = SelectField(
                _l("Какие части"),
                choices={WHOLE_SET: _("все части (комплект)"), **only},
                **_refusal,
            )
    else:
        for part in range(1, parts + 1):
            fields[f"copies_{part}"] = CopiesField(
                _("Часть %(part)s, экземпляров", part=part) if parts > 1 else _("Сколько экземпляров")
            )
    made: RequestForm = type("RequestFormOfBook", (RequestForm,), fields)(data=values)
    return made


def edition_name(year: int, part: int, parts: int) -> str:
    """Return «2021 год» or «2021 год, ч. 2»."""
    if parts == 1:
        return str(_("%(year)s год", year=year))
    return str(_("%(year)s год, ч. %(part)s", year=year, part=part))


# --- whose ---


def own_schools() -> list[Holder]:
    """Return the schools the person works at; the ``school`` argument names one of several."""
    schools = {m.school.id: m.school for m in access.current().memberships if m.school is not None}
    return list(schools.values())


def own_school() -> Holder | None:
    """Return the person's school: the one the ``school`` argument names, else the first."""
    schools = own_schools()
    wanted = request.values.get("school", "")
    return next((s for s in schools if str(s.id) == wanted), schools[0] if schools else None)


def _school_that_may(action: Action) -> Holder:
    """Return the person's school at which they may do ``action``; 403 when there is none."""
    school = own_school()
    access.require(access.current(), action, school)
    assert school is not None
    return school


def _today() -> date:
    return clock().today(access.current().district.timezone)


def _page_number() -> int:
    return max(1, asked_number(request.args, "page") or 1)


def _pages(total: int) -> int:
    return -(-total // services.PAGE)


def _textbook(textbook_id: int | None) -> Textbook:
    textbook = db.session.get(Textbook, textbook_id) if textbook_id is not None else None
    if textbook is None:
        raise NotFound("Такого учебника нет в каталоге.")
    return textbook


# --- offers ---


@bp.get("/offers")
def offers() -> Response:
    """Show what my school has posted and what became of it."""
    school = own_school()
    state = STATES.get(request.args.get("state", ""))
    text = request.args.get("q", "")
    rows, total, verdicts = _list(services.offers_of, school, state, text)
    if request.args.get("format"):
        return export(
            request.args["format"],
            _("Сведения об излишках"),
            [
                _("Предмет"), _("Автор"), _("Наименование"), _("Класс"), _("Уровень"), _("Издательство"),
                _("Год издания"), _("Часть"), _("Кол-во"), _("Свободно"), _("Состояние"), _("Вид передачи"),
                _("Вернуть до"), _("Можно отдать с"), _("На доске до"), _("Примечание"),
            ],
            (
                (
                    row.subject, row.authors, row.title, classes(row), row.level, row.publisher,
                    row.year, row.part if row.parts > 1 else None, row.copies, row.copies - row.reserved,
                    _(CONDITION_NAMES[row.condition]), _(rules.OFFER_KIND_NAMES[row.kind]),
                    row.due_back, row.available_from, row.expires_on, row.note,
                )
                for row in rows
            ),
        )  # fmt: skip
    return page(
        "postings/offers.html",
        "list",
        school=school,
        schools=own_schools(),
        rows=rows,
        total=total,
        number=_page_number(),
        pages=_pages(total),
        verdicts=verdicts,
        standings={row.id: _offer_standing(row) for row in rows},
        edition_name=edition_name,
        kinds=rules.OFFER_KIND_NAMES,
        **_renewal(),
    )


def _list(
    read: Any, school: Holder | None, state: PostingState | None, text: str
) -> tuple[Sequence[Any], int, dict[int, Verdict]]:
    if school is None:
        return [], 0, {}
    whole = bool(request.args.get("format"))
    first = 0 if whole else (_page_number() - 1) * services.PAGE
    rows, total = read(school.id, state=state, text=text, first=first, limit=None if whole else services.PAGE)
    return rows, total, catalog.verdicts({row.textbook_id for row in rows}, _today())


def _renewal() -> dict[str, Any]:
    return {
        "renewed_until": rules.default_expiry(_today(), settings().posting_days),
        "renewable": rules.is_renewable,
        "open_state": rules.is_open,
        "warn_until": rules.warn_until(_today()),
    }


def _offer_standing(row: Any) -> tuple[str, str]:
    standing = rules.standing(
        row.state, asked=row.copies, taken=row.reserved, expires_on=row.expires_on, today=_today()
    )
    return standing.value, str(_(rules.OFFER_STANDINGS[standing]))


@bp.route("/offers/limits", methods=["GET", "POST"])
def limits() -> Response:
    """Lay down what holds for everything my school gives."""
    school = _school_that_may(Action.POST_OFFER)
    limit = services.limit_of(school)
    form = LimitForm(
        data={
            "not_before": limit.not_before,
            "kept_grades": sorted(limit.kept_grades),
            "most_trips": limit.most_trips,
        }
    )
    if form.validate_on_submit():
        try:
            services.set_limit(school=school, limit=form.limit, by=access.current(), clock=clock())
        except Invalid as error:
            form.refuse(error)
        else:
            return done(url_for("postings.offers"), _("Записано: подбор будет это учитывать."))
    return page(
        "postings/limits.html", "form", status=422 if form.is_submitted() else 200, form=form, school=school
    )


@bp.route("/offers/new", methods=["GET", "POST"])
def new_offer() -> Response:
    """Post a surplus of a textbook: one row per year and part on my school's shelf."""
    school = _school_that_may(Action.POST_OFFER)
    edition = (
        db.session.get(Edition, number)
        if (number := asked_number(request.args, "edition")) is not None
        else None
    )
    textbook = _textbook(edition.textbook_id if edition else asked_number(request.args, "textbook"))
    shelf = services.shelf_of(school, textbook, clock=clock())
    rows = _chosen(shelf, edition)
    verdict = catalog.verdicts([textbook.id], _today())[textbook.id]
    form = offer_form(rows, textbook.parts, **_usual_terms(rows, verdict))
    if form.validate_on_submit():
        posted = _post_offers(form, rows, school)
        if posted:
            return done(
                came_from(url_for("postings.offers")),
                ngettext(
                    "Излишек размещён: %(num)d экземпляр.", "Излишек размещён: %(num)d экземпляров.", posted
                ),
            )
    return page(
        "postings/new_offer.html",
        "form",
        status=422 if form.is_submitted() else 200,
        form=form,
        school=school,
        textbook=textbook,
        shelf=shelf,
        rows=rows,
        verdict=verdict,
        back=came_from(""),
    )


def _chosen(shelf: Shelf, edition: Edition | None) -> list[ShelfRow]:
    """Return the rows with free copies that the address asks for: of one edition, of one year, or all."""
    year = asked_number(request.args, "year")
    return [
        row
        for row in shelf.rows
        if row.free and (edition is None or row.edition.id == edition.id) and year in {None, row.edition.year}
    ]


def _usual_terms(rows: Sequence[ShelfRow], verdict: Verdict) -> dict[str, Any]:
    due_back = rules.default_due_back(_today())
    if verdict.until is not None and rules.usual_kind(verdict) is OfferKind.LOAN:
        due_back = min(due_back, verdict.until)
    return {
        "kind": rules.usual_kind(verdict).value,
        "due_back": due_back,
        "condition": rows[0].condition.value if rows else Condition.GOOD.value,
        "expires_on": rules.default_expiry(_today(), settings().posting_days),
        **{f"copies_{row.edition.id}": row.spare or None for row in rows},
    }


def _post_offers(form: OfferForm, rows: Sequence[ShelfRow], school: Holder) -> int:
    """Post an offer for each row with copies; return the copies, or 0 with the form saying what is wrong."""
    posted = 0
    field = f"copies_{rows[0].edition.id}" if rows else None
    try:
        for row in rows:
            field = f"copies_{row.edition.id}"
            copies = form[field].data
            if copies:
                services.post_offer(
                    holder=school,
                    edition=row.edition,
                    copies=copies,
                    **form.terms,
                    by=access.current(),
                    clock=clock(),
                )
                posted += copies
        if not posted:
            field = f"copies_{rows[0].edition.id}" if rows else None
            raise Invalid("Укажите, сколько экземпляров: хотя бы один.", field="copies")
    except DomainError as error:
        if isinstance(error, Invalid) and error.field == "copies":
            error.field = field
        form.refuse(error)
        return 0
    return posted


@bp.get("/offers/<int:offer_id>")
def offer(offer_id: int) -> Response:
    """Show one offer: its terms, the transfers that came of it, its history."""
    posted = db.session.get(Offer, offer_id)
    if posted is None:
        raise NotFound
    access.require_private(access.current(), Action.SEE_SHELF, posted.holder)
    return page(
        "postings/offer.html",
        posted=posted,
        textbook=posted.edition.textbook,
        edition=edition_name(posted.edition.year, posted.edition.part, posted.edition.textbook.parts),
        verdict=catalog.verdicts([posted.edition.textbook_id], _today())[posted.edition.textbook_id],
        standing=_offer_standing(posted),
        kinds=rules.OFFER_KIND_NAMES,
        conditions=CONDITION_NAMES,
        answers=_with_addresses(services.answers_to(posted)),
        history=journal.history("offer", offer_id)[::-1],
        **_renewal(),
    )


def _with_addresses(answers: Iterable[services.Answer]) -> list[tuple[services.Answer, str | None]]:
    return [(answer, subjects.url_of("transfer", answer.transfer_id)) for answer in answers]


@bp.route("/offers/<int:offer_id>/edit", methods=["GET", "POST"])
def edit_offer(offer_id: int) -> Response:
    """Change the terms of an posted."""
    posted = db.session.get(Offer, offer_id)
    if posted is None:
        raise NotFound
    access.require(access.current(), Action.POST_OFFER, posted.holder)
    form = type("OneOfferForm", (OfferForm,), {"copies": CopiesField(_l("Сколько экземпляров"))})(obj=posted)
    if form.validate_on_submit():
        try:
            services.change_offer(
                offer_id,
                copies=form.copies.data or 0,
                **form.terms,
                seen=seen_version(),
                by=access.current(),
                clock=clock(),
            )
        except Invalid as error:
            form.refuse(error)
        else:
            return done(url_for("postings.offers"), _("Излишек изменён."))
    free = services.free_on_shelf(posted.holder_id, [posted.edition_id])[posted.edition_id]
    return page(
        "postings/edit_offer.html",
        "form",
        status=422 if form.is_submitted() else 200,
        form=form,
        posted=posted,
        textbook=posted.edition.textbook,
        edition=edition_name(posted.edition.year, posted.edition.part, posted.edition.textbook.parts),
        most=free + posted.copies,
        verdict=catalog.verdicts([posted.edition.textbook_id], _today())[posted.edition.textbook_id],
        changeable=rules.is_open(posted.state),
    )


@bp.post("/offers/<int:offer_id>/withdraw")
def withdraw_offer(offer_id: int) -> Response:
    """Take an offer off the board."""
    services.withdraw_offer(offer_id, seen=seen_version(), by=access.current(), clock=clock())
    return done(url_for("postings.offers"), _("Излишек отозван. Что уже запрошено, остаётся в передачах."))


@bp.post("/offers/<int:offer_id>/renew")
def renew_offer(offer_id: int) -> Response:
    """Keep an offer on the board for another while."""
    renewed = services.renew_offer(
        offer_id,
        expires_on=rules.default_expiry(_today(), settings().posting_days),
        seen=seen_version(),
        by=access.current(),
        clock=clock(),
    )
    return done(
        url_for("postings.offers"), _("Излишек продлён до %(on)s.", on=rules.written(renewed.expires_on))
    )


# --- requests ---


@bp.get("/requests")
def requests() -> Response:
    """Show what my school asks for and what became of it."""
    school = own_school()
    state = STATES.get(request.args.get("state", ""))
    text = request.args.get("q", "")
    rows, total, verdicts = _list(services.requests_of, school, state, text)
    parts = services.parts_of([row.id for row in rows])
    if request.args.get("format"):
        return export(
            request.args["format"],
            _("Заявка на недостающие"),
            [
                _("Предмет"), _("Автор"), _("Наименование"), _("Класс"), _("Издательство"), _("Часть"),
                _("Запрошено"), _("Подобрано"), _("Недостаёт"), _("Причина"), _("Нужен к дате"),
                _("Не старше года издания"), _("Можно на время"), _("На доске до"), _("Примечание"),
            ],
            (
                (
                    row.subject, row.authors, row.title, classes(row), row.publisher,
                    part.part if row.parts > 1 else None, part.copies, part.matched,
                    part.copies - part.matched, _(rules.SHORTAGE_NAMES[row.reason]), row.needed_by,
                    row.year_from, _("да") if row.loan_acceptable else _("нет"), row.expires_on, row.note,
                )
                for row in rows
                for part in parts[row.id]
            ),
        )  # fmt: skip
    return page(
        "postings/requests.html",
        "list",
        school=school,
        schools=own_schools(),
        rows=rows,
        parts=parts,
        total=total,
        number=_page_number(),
        pages=_pages(total),
        verdicts=verdicts,
        standings={row.id: _request_standing(row, parts[row.id]) for row in rows},
        reasons=rules.SHORTAGE_NAMES,
        **_renewal(),
    )


def _request_standing(row: Any, parts: Sequence[Any]) -> tuple[str, str]:
    standing = rules.standing(
        row.state,
        asked=sum(part.copies for part in parts),
        taken=sum(part.matched for part in parts),
        expires_on=row.expires_on,
        today=_today(),
    )
    return standing.value, str(_(rules.REQUEST_STANDINGS[standing]))


@bp.route("/requests/new", methods=["GET", "POST"])
def new_request() -> Response:
    """Ask for what is missing of a textbook."""
    school = _school_that_may(Action.POST_REQUEST)
    textbook = _textbook(asked_number(request.args, "textbook"))
    shelf = services.shelf_of(school, textbook, clock=clock())
    form = request_form(
        textbook.parts,
        whole=True,
        copies=shelf.missing or None,
        part=WHOLE_SET,
        loan_acceptable=True,
        mixing=True,
        expires_on=rules.default_expiry(_today(), settings().posting_days),
    )
    if not form.is_submitted():
        present = services.open_request(school.id, textbook.id)
        if present is not None:
            return done(
                url_for("postings.edit_request", request_id=present),
                _("Заявка на этот учебник уже есть: измените количество в ней."),
                category="info",
            )
    if form.validate_on_submit():
        copies = form["copies"].data or 0
        part = form["part"].data if textbook.parts > 1 else WHOLE_SET
        wanted = range(1, textbook.parts + 1) if part == WHOLE_SET else [int(part)]
        try:
            services.post_request(
                school=school,
                textbook=textbook,
                copies_by_part=dict.fromkeys(wanted, copies),
                **form.terms,
                by=access.current(),
                clock=clock(),
            )
        except DomainError as error:
            form.refuse(error)
        else:
            return done(
                came_from(url_for("postings.requests")),
                ngettext(
                    "Заявка размещена: %(num)d комплект.", "Заявка размещена: %(num)d комплектов.", copies
                )
                if len(wanted) > 1
                else ngettext(
                    "Заявка размещена: %(num)d экземпляр.", "Заявка размещена: %(num)d экземпляров.", copies
                ),
            )
    return page(
        "postings/new_request.html",
        "form",
        status=422 if form.is_submitted() else 200,
        form=form,
        school=school,
        textbook=textbook,
        shelf=shelf,
        verdict=catalog.verdicts([textbook.id], _today())[textbook.id],
        back=came_from(""),
    )


@bp.get("/requests/<int:request_id>", endpoint="request")
def one_request(request_id: int) -> Response:
    """Show one request: its terms, the transfers that came of it, its history."""
    posted = db.session.get(Request, request_id)
    if posted is None:
        raise NotFound
    access.require_private(access.current(), Action.SEE_SHELF, posted.school)
    return page(
        "postings/request.html",
        posted=posted,
        textbook=posted.textbook,
        verdict=catalog.verdicts([posted.textbook_id], _today())[posted.textbook_id],
        standing=_request_standing(posted, posted.parts),
        reasons=rules.SHORTAGE_NAMES,
        conditions=CONDITIONS_WANTED,
        counts_shown=services.counts_shown(posted, by=access.current()),
        answers=_with_addresses(services.answers_to(posted)),
        history=journal.history("request", request_id)[::-1],
        **_renewal(),
    )


@bp.route("/requests/<int:request_id>/edit", methods=["GET", "POST"])
def edit_request(request_id: int) -> Response:
    """Change a request."""
    posted = db.session.get(Request, request_id)
    if posted is None:
        raise NotFound
    access.require(access.current(), Action.POST_REQUEST, posted.school)
    parts = posted.textbook.parts
    form = request_form(
        parts,
        whole=False,
        reason=posted.reason.value,
        needed_by=posted.needed_by,
        year_from=posted.year_from,
        loan_acceptable=posted.loan_acceptable,
        mixing=posted.mixing,
        condition_from=posted.condition_from.value,
        expires_on=posted.expires_on,
        note=posted.note,
        **{f"copies_{part.part}": part.copies for part in posted.parts},
    )
    if form.validate_on_submit():
        try:
            services.change_request(
                request_id,
                copies_by_part={part: form[f"copies_{part}"].data or 0 for part in range(1, parts + 1)},
                **form.terms,
                seen=seen_version(),
                by=access.current(),
                clock=clock(),
            )
        except Invalid as error:
            if error.field == "copies":
                error.field = f"copies_{error.parameters.get('part', 1)}"
            form.refuse(error)
        else:
            return done(url_for("postings.requests"), _("Заявка изменена."))
    return page(
        "postings/edit_request.html",
        "form",
        status=422 if form.is_submitted() else 200,
        form=form,
        posted=posted,
        matched={part.part: part.matched for part in posted.parts},
        textbook=posted.textbook,
        verdict=catalog.verdicts([posted.textbook_id], _today())[posted.textbook_id],
        changeable=rules.is_open(posted.state),
    )


@bp.post("/requests/<int:request_id>/withdraw")
def withdraw_request(request_id: int) -> Response:
    """Take a request off the board."""
    services.withdraw_request(request_id, seen=seen_version(), by=access.current(), clock=clock())
    return done(url_for("postings.requests"), _("Заявка отозвана. Что уже подобрано, остаётся в передачах."))


@bp.post("/requests/<int:request_id>/renew")
def renew_request(request_id: int) -> Response:
    """Keep a request on the board for another while."""
    renewed = services.renew_request(
        request_id,
        expires_on=rules.default_expiry(_today(), settings().posting_days),
        seen=seen_version(),
        by=access.current(),
        clock=clock(),
    )
    return done(
        url_for("postings.requests"), _("Заявка продлена до %(on)s.", on=rules.written(renewed.expires_on))
    )


# --- the board ---


@bp.get("/board")
def board() -> Response:
    """Show who has what to spare and who lacks it in the whole district."""
    by = access.current()
    school = own_school()
    side = request.args.get("side", "")
    if side not in {"", *Side}:
        abort(404)
    whole = bool(request.args.get("format"))
    textbook_id = asked_number(request.args, "textbook")
    found = services.board(
        by=by,
        school=school,
        clock=clock(),
        side=Side(side) if side else None,
        text=request.args.get("q", ""),
        subject=request.args.get("subject", ""),
        grade=asked_number(request.args, "grade"),
        textbook_id=textbook_id,
        nearest=bool(request.args.get("near")),
        mine=bool(request.args.get("mine")),
        # The choice of subjects stands outside the list.
        with_subjects=not whole and not wants_fragment(),
        first=0 if whole else (_page_number() - 1) * services.PAGE,
        limit=None if whole else services.PAGE,
    )
    if whole:
        return export(request.args["format"], _("Излишки и потребности района"), *_as_table(found.rows))
    return page(
        "postings/board.html",
        "list",
        rows=found.rows,
        total=found.total,
        number=_page_number(),
        pages=_pages(found.total),
        school=school,
        schools=own_schools(),
        subjects=found.subjects,
        grades=GRADES,
        side=side,
        shown=None if textbook_id is not None else SHOWN_LINES,
        free_words=free_words,
        missing_words=missing_words,
        part_words=part_words,
        kinds={kind: _(name) for kind, name in rules.OFFER_KIND_NAMES.items()},
        may_ask=school is not None and access.allowed(by, Action.ASK, school),
        may_offer=school is not None and access.allowed(by, Action.POST_OFFER, school),
        may_request=school is not None and access.allowed(by, Action.POST_REQUEST, school),
        ask_path=ASK_PATH,
        new_offer_path=url_for("postings.new_offer"),
        new_request_path=url_for("postings.new_request"),
    )


def free_words(givers: Sequence[Giver], parts: int) -> str:
    """Return how much is to be had of a textbook in all: copies, or sets and what is left without a pair."""
    return _sets_words(_added((g.part, g.copies) for g in givers), parts)


def missing_words(seekers: Sequence[Seeker], parts: int) -> str:
    """Return how much is missing of a textbook in all, without the numbers that are kept back."""
    known = [seeker.copies for seeker in seekers if seeker.copies is not None]
    words = part_words(_added(pair for copies in known for pair in copies.items()), parts) if known else ""
    if len(known) == len(seekers):
        return words
    return str(_("%(words)s и ещё менее 3", words=words)) if words else str(_("менее 3"))


def part_words(copies: Mapping[int, int] | None, parts: int) -> str:
    """Return «5 экз.», «5 компл.», «ч. 1 – 5, ч. 2 – 3» or, for a number that is kept back, «менее 3»."""
    if copies is None:
        return str(_("менее 3"))
    if parts == 1:
        return str(_("%(copies)s экз.", copies=copies.get(1, 0)))
    if len(copies) == parts and len(set(copies.values())) == 1:
        return str(_("%(copies)s компл.", copies=copies[1]))
    return ", ".join(_("ч. %(part)s – %(copies)s", part=p, copies=c) for p, c in sorted(copies.items()))


def _sets_words(copies: Mapping[int, int], parts: int) -> str:
    if parts == 1:
        return part_words(copies, parts)
    sets = sets_of(copies, parts)
    if not sets.complete:
        return part_words(copies, parts)
    if sets.unpaired:
        return str(_("%(sets)s компл. и %(rest)s без пары", sets=sets.complete, rest=sets.unpaired))
    return str(_("%(copies)s компл.", copies=sets.complete))


def _added(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for part, copies in pairs:
        total[part] = total.get(part, 0) + copies
    return total


def classes(row: Any) -> str:
    """Return «7» or «10–11» for a table; empty where the book is for no class."""
    if row.grade_from is None:
        return ""
    return str(row.grade_from) if row.grade_from == row.grade_to else f"{row.grade_from}–{row.grade_to}"


def _as_table(rows: Iterable[services.BoardRow]) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    columns = [
        _("Предмет"), _("Автор"), _("Наименование"), _("Класс"), _("Издательство"), _("Что по перечню"),
        _("Есть или нужно"), _("Где"), _("Год издания"), _("Часть"), _("Экземпляров"), _("Вид передачи"),
        _("Вернуть до"), _("Нужен к дате"), _("На доске до"), _("Км от моей школы"), _("Примечание"),
    ]  # fmt: skip
    return columns, _table_rows(rows)


def _table_rows(rows: Iterable[services.BoardRow]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        book = row.book
        head = (
            book.subject, book.authors, book.title, classes(book), book.publisher, _(row.verdict.word),
        )  # fmt: skip
        for giver in row.givers:
            yield (
                *head, _("есть"), giver.holder, giver.year, giver.part if book.parts > 1 else None,
                giver.copies, _(rules.OFFER_KIND_NAMES[giver.kind]) if giver.kind else _("из фонда"),
                giver.due_back, None, giver.expires_on, giver.km, giver.note,
            )  # fmt: skip
        for seeker in row.seekers:
            counts: Mapping[Any, Any] = seeker.copies or {None: _("менее 3")}
            for part, copies in counts.items():
                yield (
                    *head, _("нужно"), seeker.holder, None, part if book.parts > 1 else None, copies,
                    _("можно на время") if seeker.loan_acceptable else _("насовсем"),
                    None, seeker.needed_by, seeker.expires_on, seeker.km, seeker.note,
                )  # fmt: skip
