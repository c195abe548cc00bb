"""Pages of the catalogue and of the federal lists."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField
from markupsafe import Markup
from wtforms import StringField
from wtforms.validators import Length

from exchange import runs
from exchange.catalog import services
from exchange.catalog.importer import REPORT_HEADER
from exchange.catalog.rules import Legality, Level
from exchange.config import Settings
from exchange.db import in_unit
from exchange.errors import DomainError, NotFound
from exchange.schools import access
from exchange.schools.rules import Action
from exchange.schools.views import clock, settings
from exchange.web.export import export
from exchange.web.formats import format_date
from exchange.web.forms import Filled, Form, RussianDateField, asked_number
from exchange.web.pages import done, page, wants_fragment
from exchange.web.unit import outside_unit

bp = Blueprint("catalog", __name__)
lists_bp = Blueprint("lists", __name__)

Panel = Callable[[int], Markup]
"""What a higher feature shows on the page of the textbook with this id."""

STOP_POLLING = 286


def init_catalog(app: Flask) -> None:
    """Say what does the runs of the lists; make room for the panels of a book's page."""
    panels: list[Panel] = []
    app.extensions["book_panels"] = panels
    given: Settings = app.extensions["settings"]
    folder = _folder(given)
    runs.register(
        app, services.CHECK, lambda run, progress: services.check_upload(run, progress, folder=folder)
    )
    runs.register(
        app,
        services.APPLY,
        lambda run, progress: services.load_upload(
            run, progress, folder=folder, clock=app.extensions["clock"]
        ),
    )


def _folder(given: Settings) -> Path:
    return given.instance / "uploads"


def _today() -> date:
    return clock().today(access.current().district.timezone)


# --- the catalogue ---


@bp.get("/catalog")
def index() -> Response:
    """Find textbooks by words and facts; the same filter as a file with ``?format=``."""
    by = access.current()
    chosen = {
        name: request.args.get(name, "").strip()[:200]
        for name in ("q", "subject", "grade", "publisher", "level", "standing")
    }
    number = max(asked_number(request.args, "page", 5) or 1, 1)
    format_ = request.args.get("format")
    found = services.search(
        chosen["q"],
        on=_today(),
        subject=chosen["subject"],
        grade=asked_number(request.args, "grade", 5),
        publisher=chosen["publisher"],
        level=chosen["level"] or None,
        standing=next((each for each in Legality if each.value == chosen["standing"]), None),
        first=0 if format_ else (number - 1) * services.PAGE,
        limit=None if format_ else services.PAGE,
    )
    if format_:
        return _exported(format_, found)
    subjects, publishers = ([], []) if wants_fragment() else services.facets()
    return page(
        "catalog/index.html",
        "list",
        found=found,
        chosen=chosen,
        filtered=any(chosen.values()),
        number=number,
        pages=-(-found.total // services.PAGE),
        subjects=subjects,
        publishers=publishers,
        levels=[level.value for level in Level if level.value],
        standings=list(Legality),
        may_request=by.school is not None and access.allowed(by, Action.POST_REQUEST, by.school),
        may_count=by.school is not None and access.allowed(by, Action.COUNT, by.school),
        may_offer=by.school is not None and access.allowed(by, Action.POST_OFFER, by.school),
    )


def _exported(format_: str, found: services.Found) -> Response:
    columns = [
        _("Предмет"),
        _("Класс"),
        _("Название"),
        _("Авторы"),
        _("Издательство"),
        _("Уровень"),
        _("Издание"),
        _("Частей"),
        _("Перечень"),
        _("Основание"),
    ]
    rows = []
    for row in found.rows:
        verdict = found.verdicts[row.id]
        rows.append(
            (
                row.subject,
                _classes(row.grade_from, row.grade_to),
                row.title,
                row.authors,
                row.publisher,
                row.level,
                row.edition_note,
                row.parts,
                _(verdict.word),
                _(verdict.message, **verdict.parameters),
            )
        )
    return export(format_, _("каталог"), columns, rows)


def _classes(first: int | None, last: int | None) -> str:
    if first is None:
        return ""
    return str(first) if first == last else f"{first}–{last}"


CELL_NAMES = {
    "row_number": _l("№ строки"),
    "order": _l("Приказ"),
    "edition": _l("Редакция"),
    "appendix": _l("Приложение"),
    "number": _l("Номер"),
    "section": _l("Раздел"),
    "subject_area": _l("Предметная область"),
    "subject": _l("Предмет"),
    "title": _l("Наименование"),
    "authors": _l("Авторы"),
    "grades": _l("Класс"),
    "level": _l("Уровень"),
    "parts": _l("Частей"),
    "publisher": _l("Издатель"),
    "language": _l("Язык"),
    "edition_note": _l("Издание"),
    "special_needs": _l("Адаптированная программа"),
    "aids": _l("Пособия"),
    "standard": _l("ФГОС"),
    "right_holder": _l("Правообладатель"),
    "included_by": _l("Включён приказом"),
    "valid_until": _l("Срок"),
}
"""The cells of a row as the importer keeps them, in words."""


@bp.get("/catalog/<int:textbook_id>")
def book(textbook_id: int) -> Response:
    """Show one textbook: facts, what the list says, its history in the orders, and who has it."""
    by = access.current()
    panels: list[Panel] = current_app.extensions["book_panels"]
    return page(
        "catalog/book.html",
        cell_names=CELL_NAMES,
        shown=services.describe(textbook_id, on=_today()),
        panels=[panel(textbook_id) for panel in panels],
        may_request=by.school is not None and access.allowed(by, Action.POST_REQUEST, by.school),
        may_count=by.school is not None and access.allowed(by, Action.COUNT, by.school),
        may_offer=by.school is not None and access.allowed(by, Action.POST_OFFER, by.school),
    )


# --- the federal lists ---


@lists_bp.get("/lists", endpoint="index")
def lists() -> Response:
    """Show the federal lists that are loaded, the one in force, and the latest uploads."""
    by = access.current()
    may_load = access.allowed(by, Action.LOAD_LIST)
    return page(
        "catalog/lists.html",
        lists=services.lists_loaded(),
        today=_today(),
        may_load=may_load,
        recent=services.recent_runs(by=by) if may_load else [],
    )


class UploadForm(Form):
    """A file with a federal list and what the file itself does not say."""

    file = FileField(_l("Файл"))
    order = StringField(_l("Номер приказа"), [Filled(), Length(max=20, message=_l("Не длиннее 20 знаков."))])
    edition = StringField(_l("Редакция"), [Length(max=20, message=_l("Не длиннее 20 знаков."))])
    signed_on = RussianDateField(_l("Подписан"))
    in_force_from = RussianDateField(_l("Действует с"), [Filled()])


@lists_bp.get("/lists/import")
def import_form() -> Response:
    """Show the form of an upload."""
    access.require(access.current(), Action.LOAD_LIST)
    return page("catalog/import.html", "form", form=UploadForm())


@lists_bp.post("/lists/import")
@outside_unit
def upload() -> Response:
    """Keep an uploaded file and start its check; the file is read in the run, not here."""
    by = access.current()
    access.require(by, Action.LOAD_LIST)
    form = UploadForm()
    valid = form.validate()
    if not form.file.data:
        form.file.errors = [_("Выберите файл перечня.")]
        valid = False
    if not valid:
        return page("catalog/import.html", "form", form=form, status=422)
    folder = _folder(settings())
    folder.mkdir(parents=True, exist_ok=True)
    handle, waiting = tempfile.mkstemp(dir=folder)
    os.close(handle)
    try:
        form.file.data.save(waiting)
        try:
            run_id = in_unit(lambda: _enter(form).id)
        except DomainError as error:
            form.refuse(error)
            return page("catalog/import.html", "form", form=form, status=422)
        os.replace(waiting, folder / str(run_id))
    finally:
        Path(waiting).unlink(missing_ok=True)
    runs.submit(run_id)
    return done(url_for("lists.run", run_id=run_id))


def _enter(form: UploadForm) -> runs.Run:
    return services.enter_check(
        file=form.file.data.filename or "",
        order=form.order.data.strip(),
        edition=(form.edition.data or "").strip(),
        in_force_from=form.in_force_from.data,
        signed_on=form.signed_on.data,
        by=access.current(),
        clock=clock(),
    )


KINDS = {
    "new": "новый",
    "changed": "изменён",
    "excluded": "исключён",
    "doubtful": "проверить",
    "notice": "замечание",
}
"""What a line of the report says, by the word in the page's address."""

SHEET = REPORT_HEADER.index("Лист")


@lists_bp.get("/lists/runs/<int:run_id>")
def run(run_id: int) -> Response:
    """Show how far a check or a load is and, once it is done, its report; 286 ends the polling."""
    one = services.run_of(run_id, by=access.current())
    kind = request.args.get("kind", "")
    rows = (one.result or {}).get("rows", [])
    chosen = [row for row in rows if row[0] == KINDS[kind]] if kind in KINDS else rows
    if format_ := request.args.get("format"):
        if one.result is None:
            raise NotFound
        return export(format_, _("отчёт о загрузке"), [_(title) for title in REPORT_HEADER], chosen)
    number = max(asked_number(request.args, "page", 5) or 1, 1)
    shown = chosen[(number - 1) * services.PAGE : number * services.PAGE]
    # The name of the sheet is left to the download; what is empty on this page takes no room.
    filled = [at for at in range(len(REPORT_HEADER)) if at != SHEET and any(row[at] for row in shown)]
    live = one.is_live
    lost = live and runs.lost(one, clock=clock())
    return page(
        "catalog/run.html",
        "run",
        status=200 if (live and not lost) or not wants_fragment() else STOP_POLLING,
        run=one,
        live=live and not lost,
        failure=_failure(one, lost=lost),
        loads=one.kind == services.APPLY,
        since=format_date(date.fromisoformat(one.input["in_force_from"])),
        header=[_(title) for title in _columns(REPORT_HEADER, filled)],
        rows=[_columns(row, filled) for row in shown],
        kinds={name: (word, sum(row[0] == word for row in rows)) for name, word in KINDS.items()},
        kind=kind,
        number=number,
        pages=-(-len(chosen) // services.PAGE),
    )


def _columns(row: Sequence[str], filled: Sequence[int]) -> list[str]:
    return [row[at] for at in filled]


def _failure(one: runs.Run, *, lost: bool) -> str:
    if lost:
        return str(_(runs.BROKEN))
    if not one.has_failed:
        return ""
    parameters: dict[str, Any] = one.result or {}
    return str(_(one.message, **parameters))


@lists_bp.post("/lists/runs/<int:run_id>/load")
@outside_unit
def load(run_id: int) -> Response:
    """Load a checked file."""
    by = access.current()

    def enter() -> tuple[int, bool]:
        one, fresh = services.enter_load(run_id, by=by, clock=clock())
        return one.id, fresh

    load_id, fresh = in_unit(enter)
    if fresh:
        runs.submit(load_id)
    return done(url_for("lists.run", run_id=load_id))


@lists_bp.post("/lists/runs/<int:run_id>/cancel")
def cancel(run_id: int) -> Response:
    """Give a checked file up."""
    services.cancel_check(run_id, by=access.current())
    return done(url_for("lists.index"), _("Загрузка отменена, перечень не изменён."))
