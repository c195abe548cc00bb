"""Pages of the shelf: counting in place, adding, writing off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import RadioField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length

from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import Legality, SchoolYear
from exchange.classes.rules import GRADES
from exchange.db import db
from exchange.errors import DomainError, NotFound
from exchange.ledger.rules import MOVEMENT_NAMES, WRITE_OFF_NAMES, WriteOffReason
from exchange.schools import access
from exchange.schools.models import Holder
from exchange.schools.rules import Action, HolderKind
from exchange.schools.views import clock
from exchange.stock import rules, services
from exchange.stock.rules import (
    CONDITION_NAMES,
    COUNT_REASON_NAMES,
    SHOW_NAMES,
    Condition,
    CountReason,
    Filter,
    ShelfBook,
    Show,
)
from exchange.web.export import export
from exchange.web.forms import CopiesField, Filled, Form, asked_number, number
from exchange.web.pages import done, page, wants_fragment

bp = Blueprint("stock", __name__)

PER_PAGE = 25
"""Books on a page of the shelf: each has a row for every year and part."""


def _today() -> Any:
    return clock().today(access.current().district.timezone)


# --- the shelf ---


@bp.get("/shelf")
def index() -> Response:
    """Show the person's own shelf or, to those who see many, the list of them."""
    by = access.current()
    if by.school is not None and access.allowed(by, Action.SEE_SHELF, by.school):
        return _shelf_page(by.school)
    holders = access.acting_for(by, Action.SEE_SHELF)
    if not holders:
        access.require(by, Action.SEE_SHELF)
    return page("stock/index.html", None, holders=holders)


@bp.get("/shelf/<int:holder_id>")
def shelf(holder_id: int) -> Response:
    """Show one shelf: its books, years and parts, with the counts to type into."""
    return _shelf_page(_shelf_holder(holder_id))


@bp.get("/shelf/<int:holder_id>/count/<int:textbook_id>")
def counted(holder_id: int, textbook_id: int) -> Response:
    """Lead back to the shelf whoever reloads the answer to a count."""
    return done(_back_to(_shelf_holder(holder_id), textbook_id))


@bp.post("/shelf/<int:holder_id>/count/<int:textbook_id>")
def count(holder_id: int, textbook_id: int) -> Response:
    """Count the years and parts of one book; the answer is the book's rows."""
    holder = _shelf_holder(holder_id)
    access.require(access.current(), Action.COUNT, holder)
    textbook = db.session.get(Textbook, textbook_id)
    if textbook is None:
        raise NotFound
    form = _count_form(holder, textbook_id)
    if form.validate():
        try:
            services.count_book(
                holder=holder,
                textbook=textbook,
                counted={
                    key: services.Counted(seen=_seen(key), copies=form[_name(key)].data)
                    for key in _keys(request.form)
                },
                reason=COUNT_REASON_NAMES[_reason()],
                by=access.current(),
                clock=clock(),
            )
        except DomainError as error:
            form.refuse(error)
        else:
            return _count_answer(holder, textbook_id)
    return _count_answer(holder, textbook_id, form)


def _count_answer(holder: Holder, textbook_id: int, form: Form | None = None) -> Response:
    """Return the book's rows to htmx; else the page, or the way back to it when all went well."""
    if form is None and not wants_fragment():
        return done(_back_to(holder, textbook_id), _("Записано."))
    status = 422 if form is not None else 200
    if not wants_fragment():
        return _shelf_page(holder, form=form, form_of=textbook_id, status=status)
    books = services.shelf(holder, on=_today())
    book = next((book for book in books if book.id == textbook_id), None)
    if book is None:
        raise NotFound
    return page(
        "stock/shelf.html",
        "rows",
        status=status,
        holder=holder,
        book=book,
        form=form,
        form_of=textbook_id if form is not None else None,
        saved=form is None,
        filters=_filter_arguments(),
    )


Key = tuple[int, int]
"""Year and part."""


def _name(key: Key) -> str:
    return f"{key[0]}-{key[1]}"


def _keys(names: Iterable[str]) -> list[Key]:
    keys = []
    for name in names:
        year, dash, part = name.partition("-")
        if dash and year.isdecimal() and part.isdecimal() and len(name) < 10:
            keys.append((int(year), int(part)))
    return keys


def _seen(key: Key) -> int:
    return request.form.get(f"seen-{_name(key)}", 0, type=number)


def _reason() -> CountReason:
    try:
        return CountReason(request.form.get("reason", CountReason.STOCKTAKING.value))
    except ValueError:
        return CountReason.STOCKTAKING


def _count_form(holder: Holder, textbook_id: int) -> Form:
    """Return a form with a field of copies for every year and part that was sent."""
    fields = {
        _name(key): CopiesField(_("%(year)s, часть %(part)s", year=key[0], part=key[1]), [Filled()])
        for key in _keys(request.form)
    }
    form: Form = type("CountForm", (Form,), fields)()
    return form


def _shelf_holder(holder_id: int) -> Holder:
    by = access.current()
    holder = access.holder_of_district(by, holder_id)
    access.require_private(by, Action.SEE_SHELF, holder)
    return holder


def _back_to(holder: Holder, textbook_id: int) -> str:
    return url_for("stock.shelf", holder_id=holder.id, _anchor=f"book-{textbook_id}", **_filter_arguments())


def _filter_arguments() -> dict[str, Any]:
    names = ("q", "subject", "grade", "standing", "show", "page")
    return {name: request.args[name] for name in names if request.args.get(name)}


def _member(kind: Any, name: str) -> Any:
    """Return the enum member an argument names, or ``None``."""
    return next((member for member in kind if member.value == request.args.get(name)), None)


def _shelf_page(
    holder: Holder, *, form: Form | None = None, form_of: int | None = None, status: int = 200
) -> Response:
    year = SchoolYear.of(_today())
    books = services.shelf(holder, on=_today(), text=request.args.get("q", ""))
    chosen = Filter(
        subject=request.args.get("subject", ""),
        grade=asked_number(request.args, "grade", 5),
        standing=_member(Legality, "standing"),
        show=_member(Show, "show") or Show.ALL,
    )
    since = rules.beginning(year)
    shown = [book for book in books if chosen.admits(book, since=since)]
    if format_ := request.args.get("format"):
        return export(format_, f"Полка {holder.short_name}", EXPORT_COLUMNS, _exported(shown))
    pages = max(1, ceil(len(shown) / PER_PAGE))
    number = min(max(1, asked_number(request.args, "page", 5) or 1), pages)
    return page(
        "stock/shelf.html",
        "list",
        status=status,
        holder=holder,
        year=year,
        books=shown[(number - 1) * PER_PAGE : number * PER_PAGE],
        total=len(shown),
        copies=sum(book.here for book in shown),
        all_empty=all(book.empty for book in books),
        subjects=list(dict.fromkeys(book.subject for book in books)),
        grades=GRADES,
        standings=list(Legality),
        shows=SHOW_NAMES,
        chosen=chosen,
        reasons=COUNT_REASON_NAMES,
        number=number,
        pages=pages,
        filters=_filter_arguments(),
        form=form,
        form_of=form_of,
        saved=False,
        knows_pupils=holder.kind is not HolderKind.SCHOOL or any(book.pupils is not None for book in books),
    )


EXPORT_COLUMNS = (
    "Предмет", "Авторы", "Наименование", "Класс", "Издательство", "Год издания", "Часть", "Экземпляров",
    "Взято на время", "Отдано на время", "В пути", "Обещано", "Выставлено", "К списанию", "Состояние",
    "Федеральный перечень", "Можно до", "Учеников", "Комплектов", "Непарных", "Не хватает", "Излишек",
    "Код",
)  # fmt: skip
"""«Код» names the row for an import: own and worn copies may be edited, and the file be brought back."""


def _exported(books: Iterable[ShelfBook]) -> Iterable[Sequence[Any]]:
    for book in books:
        for index, edition in enumerate(book.editions):
            # What is true of the book as a whole stands once, so that columns can be added up.
            whole: Sequence[Any] = (
                book.pupils,
                book.sets.complete,
                book.sets.unpaired,
                book.need,
                book.surplus,
            )
            yield (
                book.subject,
                book.authors,
                book.title,
                "–".join(str(grade) for grade in dict.fromkeys((book.grade_from, book.grade_to)) if grade),
                book.publisher,
                edition.year,
                edition.part if book.parts > 1 else None,
                edition.own,
                edition.borrowed,
                edition.lent,
                edition.away,
                edition.promised,
                edition.offered,
                edition.worn,
                CONDITION_NAMES[edition.condition] if edition.condition else "",
                book.verdict.word,
                book.verdict.until,
                *(whole if index == 0 else (None,) * len(whole)),
                # By this the row is known again when the table comes back with other numbers.
                f"{book.id}-{edition.year}-{edition.part}",
            )


# --- adding a book ---


class AddForm(Form):
    """Year, condition and document of a book that is put on the shelf; the parts are added per book."""

    year = CopiesField(_l("Год издания"), [Filled()])
    condition = RadioField(
        _l("Состояние"),
        choices=[SelectChoice(kind.value, name) for kind, name in CONDITION_NAMES.items()],
        default=Condition.GOOD.value,
    )
    document = StringField(_l("Документ, если книги только что поступили"), [Length(max=200)])


def _add_form(textbook: Textbook) -> Form:
    parts = {
        f"part-{part}": CopiesField(
            _("Экземпляров") if textbook.parts == 1 else _("Часть %(part)s, экземпляров", part=part)
        )
        for part in range(1, textbook.parts + 1)
    }
    form: Form = type("AddBookForm", (AddForm,), parts)()
    return form


@bp.route("/shelf/add", methods=["GET", "POST"])
def add() -> Response:
    """Put a textbook on the shelf; without one chosen, look for it in the catalogue first."""
    by = access.current()
    holder_id = request.values.get("holder", type=number)
    holder = _shelf_holder(holder_id) if holder_id else _own_school()
    access.require(by, Action.COUNT, holder)
    textbook_id = request.values.get("textbook", type=number)
    if textbook_id is None:
        text = request.args.get("q", "")
        found = catalog.search(text, on=_today(), limit=20) if text.strip() else None
        return page("stock/add.html", "found", holder=holder, textbook=None, found=found, text=text)
    textbook = db.session.get(Textbook, textbook_id)
    if textbook is None:
        raise NotFound("Такого учебника нет в каталоге.")
    form = _add_form(textbook)
    if form.validate_on_submit():
        try:
            services.add_edition_to_shelf(
                holder=holder,
                textbook=textbook,
                year=form.year.data,
                copies_by_part={
                    part: form[f"part-{part}"].data or 0 for part in range(1, textbook.parts + 1)
                },
                condition=Condition(form.condition.data),
                document=form.document.data or "",
                by=by,
                clock=clock(),
            )
        except DomainError as error:
            if getattr(error, "field", None) == "copies":
                error.field = "part-1"  # type: ignore[attr-defined]
            form.refuse(error)
        else:
            return done(
                url_for("stock.shelf", holder_id=holder.id, q=textbook.title, _anchor=f"book-{textbook_id}"),
                _("«%(title)s» – на полке.", title=textbook.title),
            )
    return page(
        "stock/add.html",
        "form",
        status=422 if form.is_submitted() else 200,
        holder=holder,
        textbook=textbook,
        form=form,
        verdict=catalog.verdicts([textbook.id], _today())[textbook.id],
    )


def _own_school() -> Holder:
    by = access.current()
    if by.school is None:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, by.school)
    return by.school


# --- one book on the shelf: history, condition, arrivals, write-offs ---


class NoteForm(Form):
    """Condition and worn-out copies."""

    condition = SelectField(
        _l("Состояние"), choices=[SelectChoice(kind.value, name) for kind, name in CONDITION_NAMES.items()]
    )
    worn = CopiesField(_l("Из них к списанию"), [Filled()])


class ArrivalForm(Form):
    """Copies that were bought or given."""

    copies = CopiesField(_l("Сколько поступило"), [Filled()])
    document = StringField(_l("Номер и дата документа"), [Filled(), Length(max=200)])


class WriteOffForm(Form):
    """Copies that are taken off the books."""

    copies = CopiesField(_l("Сколько списать"), [Filled()])
    reason = SelectField(
        _l("Причина"), choices=[SelectChoice(reason.value, name) for reason, name in WRITE_OFF_NAMES.items()]
    )
    document = StringField(_l("Номер и дата акта"), [Filled(), Length(max=200)])


@bp.get("/shelf/history")
def history() -> Response:
    """Show what came to and left the shelf of a book, with the forms of its condition, arrival, write-off."""
    edition = db.session.get(Edition, request.args.get("edition", 0, type=number))
    holder_id = request.args.get("holder", type=number)
    holder = _shelf_holder(holder_id) if holder_id else _own_school()
    if edition is None:
        raise NotFound
    if format_ := request.args.get("format"):
        return export(
            format_,
            f"Движение {edition.textbook.title} {holder.short_name}",
            MOVEMENT_COLUMNS,
            _exported_movements(holder, edition.textbook),
        )
    return _edition_page(holder, edition)


MOVEMENT_COLUMNS = (
    "Когда", "Что произошло", "Год издания", "Часть", "Экземпляров", "Чьи", "Документ", "Причина",
    "Кто записал",
)  # fmt: skip


def _exported_movements(holder: Holder, textbook: Textbook) -> Iterable[Sequence[Any]]:
    zone = ZoneInfo(holder.district.timezone)
    for row in services.movements(holder, textbook.id):
        yield (
            row.at.astimezone(zone),
            MOVEMENT_NAMES[row.kind],
            row.year,
            row.part if textbook.parts > 1 else None,
            row.copies,
            row.owner,
            row.document,
            row.reason,
            row.by,
        )


def _edition_page(
    holder: Holder, edition: Edition, block: str | None = None, *, status: int = 200, **forms: Form
) -> Response:
    books = services.shelf(holder, on=_today())
    book = next((book for book in books if book.id == edition.textbook_id), None)
    here = next((each for each in book.editions if each.edition_id == edition.id), None) if book else None
    if book is None or here is None:
        raise NotFound
    if format_ := request.args.get("format"):
        return _exported_history(format_, holder, book)
    shown: dict[str, Form] = {
        "note_form": NoteForm(
            formdata=None, prefix="note-", condition=(here.condition or Condition.GOOD).value, worn=here.worn
        ),
        "arrival_form": ArrivalForm(formdata=None, prefix="arrival-"),
        "write_off_form": WriteOffForm(formdata=None, prefix="write-off-", copies=here.worn or None),
        **forms,
    }
    return page(
        "stock/history.html",
        block,
        status=status,
        holder=holder,
        book=book,
        edition=here,
        movements=services.movements(holder, book.id),
        kinds=MOVEMENT_NAMES,
        conditions=CONDITION_NAMES,
        **shown,
    )


def _exported_history(format_: str, holder: Holder, book: ShelfBook) -> Response:
    zone = ZoneInfo(holder.district.timezone)
    columns = [
        _("Когда"), _("Что"), _("Год издания"), _("Часть"), _("Экземпляров"), _("Владелец"), _("Передача №"),
        _("Документ"), _("Причина"), _("Кто"),
    ]  # fmt: skip
    rows = [
        (
            row.at.astimezone(zone),
            _(MOVEMENT_NAMES[row.kind]),
            row.year,
            row.part if book.parts > 1 else None,
            row.copies,
            row.owner,
            row.transfer_id,
            row.document,
            _(row.reason) if row.reason else "",
            row.by,
        )
        for row in services.movements(holder, book.id)
    ]
    name = _("Движения на полке %(school)s: %(title)s", school=holder.short_name, title=book.title)
    return export(format_, name, columns, rows)


def _edition_here(holder_id: int, edition_id: int) -> tuple[Holder, Edition]:
    holder = _shelf_holder(holder_id)
    edition = db.session.get(Edition, edition_id)
    if edition is None:
        raise NotFound
    return holder, edition


def _change_edition(
    holder: Holder, edition: Edition, name: str, form: Form, change: Callable[[], object], message: str
) -> Response:
    """Run one of the three forms of the book's page."""
    access.require(access.current(), Action.COUNT, holder)
    if form.validate():
        try:
            change()
        except DomainError as error:
            form.refuse(error)
        else:
            return done(url_for("stock.history", edition=edition.id, holder=holder.id), message)
    return _edition_page(holder, edition, name, status=422, **{f"{name}_form": form})


@bp.post("/shelf/<int:holder_id>/note/<int:edition_id>")
def note(holder_id: int, edition_id: int) -> Response:
    """Note condition and worn-out copies."""
    holder, edition = _edition_here(holder_id, edition_id)
    form = NoteForm(prefix="note-")
    return _change_edition(
        holder,
        edition,
        "note",
        form,
        lambda: services.set_note(
            holder=holder,
            edition=edition,
            condition=Condition(form.condition.data),
            worn=form.worn.data,
            by=access.current(),
            clock=clock(),
        ),
        _("Состояние записано."),
    )


@bp.post("/shelf/<int:holder_id>/arrival/<int:edition_id>")
def arrival(holder_id: int, edition_id: int) -> Response:
    """Enter copies that were bought or given."""
    holder, edition = _edition_here(holder_id, edition_id)
    form = ArrivalForm(prefix="arrival-")
    return _change_edition(
        holder,
        edition,
        "arrival",
        form,
        lambda: services.acquire(
            holder=holder,
            edition=edition,
            copies=form.copies.data,
            document=form.document.data,
            by=access.current(),
            clock=clock(),
        ),
        _("Поступление записано."),
    )


@bp.post("/shelf/<int:holder_id>/write-off/<int:edition_id>")
def write_off(holder_id: int, edition_id: int) -> Response:
    """Take the place's own copies off the books."""
    holder, edition = _edition_here(holder_id, edition_id)
    form = WriteOffForm(prefix="write-off-")
    return _change_edition(
        holder,
        edition,
        "write_off",
        form,
        lambda: services.write_off(
            holder=holder,
            edition=edition,
            owner=holder,
            copies=form.copies.data,
            reason=WriteOffReason(form.reason.data),
            document=form.document.data,
            by=access.current(),
            clock=clock(),
        ),
        _("Списано."),
    )
