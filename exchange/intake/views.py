"""Pages of imports: bringing a file, reviewing its rows, writing it to the shelf."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, flash, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from flask_wtf.file import FileField
from wtforms import SelectField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length

from exchange import runs
from exchange.catalog import services as catalog
from exchange.config import Settings
from exchange.db import db, in_unit
from exchange.errors import Invalid, NotFound
from exchange.intake import importer, services
from exchange.intake.importer import Columns, heading_of
from exchange.intake.models import Intake, IntakeRow
from exchange.intake.rules import (
    INTAKE_STATE_NAMES,
    OF_GRADE,
    OF_PART,
    OF_YEAR,
    OUTCOME_NAMES,
    ROLE_NAMES,
    Change,
    IntakeState,
    Outcome,
    Question,
)
from exchange.runs import Run
from exchange.schools import access
from exchange.schools.models import Holder
from exchange.schools.rules import Action
from exchange.schools.views import clock, settings
from exchange.web.export import export
from exchange.web.forms import CopiesField, Filled, Form, asked_number, seen_version
from exchange.web.pages import done, page, wants_fragment
from exchange.web.unit import first_answer, keep_answer, outside_unit

bp = Blueprint("intake", __name__)

STOP_POLLING = 286
MOST_COLUMNS = 30
"""Columns of a sheet that are offered for correction: the first that have anything in them."""


def init_intake(app: Flask) -> None:
    """Say what does the runs of imports."""
    given: Settings = app.extensions["settings"]
    folder = _folder(given)
    runs.register(
        app,
        services.READ,
        lambda run, progress: services.read_upload(
            run, progress, folder=folder, clock=app.extensions["clock"]
        ),
    )
    runs.register(
        app,
        services.REREAD,
        lambda run, progress: services.reread(run, progress, clock=app.extensions["clock"]),
    )


def _folder(given: Settings) -> Path:
    return given.instance / "uploads"


def _page_number() -> int:
    return max(asked_number(request.args, "page", 5) or 1, 1)


# --- bringing a file ---


class BringForm(Form):
    """A file, or a table pasted from the clipboard, and whose shelf it is."""

    holder = SelectField(_l("Чья полка"), coerce=int, validate_choice=False)
    file = FileField(_l("Файл с таблицей"))
    text = TextAreaField(_l("Или вставьте таблицу сюда"), [Length(max=900_000)])


def _bring_form(places: Sequence[Holder]) -> BringForm:
    form = BringForm()
    form.holder.choices = [SelectChoice(place.id, place.short_name) for place in places]
    return form


@bp.get("/intake")
def index() -> Response:
    """List the imports, and offer to bring another file."""
    by = access.current()
    if not access.allowed_somewhere(by, Action.SEE_SHELF):
        access.require(by, Action.SEE_SHELF)
    return _index_page(_bring_form(access.acting_for(by, Action.COUNT)))


def _index_page(form: BringForm, *, status: int = 200) -> Response:
    by = access.current()
    number = _page_number()
    rows, total = services.recent(by=by, first=(number - 1) * services.PAGE)
    return page(
        "intake/index.html",
        "bring",
        status=status,
        form=form,
        may_bring=bool(form.holder.choices),
        rows=rows,
        waiting=services.waiting_rows([row.id for row in rows]),
        states=INTAKE_STATE_NAMES,
        tones=TONES,
        number=number,
        pages=-(-total // services.PAGE),
        megabytes=settings().upload_megabytes,
    )


TONES = {
    IntakeState.READING: "info",
    IntakeState.REVIEW: "warn",
    IntakeState.APPLIED: "ok",
    IntakeState.UNDONE: "mute",
    IntakeState.DISCARDED: "mute",
    IntakeState.FAILED: "bad",
}


@bp.get("/intake/sample")
def sample() -> Response:
    """Give a table to try, written as librarians write them."""
    return export("xlsx", _("Образец таблицы"), importer.SAMPLE_HEADINGS, importer.SAMPLE)


@bp.post("/intake/bring")
@outside_unit
def bring() -> Response:
    """Keep a file or a pasted table and start its reading; it is read in a run, not here."""
    by = access.current()
    places = access.acting_for(by, Action.COUNT)
    if not places:
        access.require(by, Action.COUNT)
    form = _bring_form(places)
    holder = next((place for place in places if place.id == form.holder.data), places[0])
    upload, text = form.file.data, (form.text.data or "").strip("\r\n")
    valid = form.validate()
    if valid and not upload and not text.strip():
        form.file.errors = [_("Выберите файл или вставьте таблицу.")]
        valid = False
    if not valid:
        return _index_page(form, status=422)
    folder = _folder(settings())
    folder.mkdir(parents=True, exist_ok=True)
    services.clear_uploads(folder, clock=clock())
    handle, waiting = tempfile.mkstemp(dir=folder)
    os.close(handle)
    holder_id = holder.id

    def enter() -> tuple[Response, int | None]:
        if (first := first_answer()) is not None:
            return first, None
        intake = services.start(
            holder=db.session.get_one(Holder, holder_id),
            file=(upload.filename or _("таблица")) if upload else services.PASTED,
            pasted=not upload,
            by=access.current(),
            clock=clock(),
        )
        answer = done(url_for("intake.show", intake_id=intake.id))
        keep_answer(answer)
        return answer, intake.run_id

    try:
        if upload:
            upload.save(waiting)
        else:
            Path(waiting).write_text(text, "utf-8")
        answer, run_id = in_unit(enter)
        if run_id is not None:
            os.replace(waiting, services.upload_path(folder, run_id))
    finally:
        Path(waiting).unlink(missing_ok=True)
    if run_id is not None:
        runs.submit(run_id)
    return answer


# --- reviewing ---


@dataclass(frozen=True)
class Candidate:
    """A book a row may mean, with what tells it from the others."""

    book: Any
    differences: Sequence[str]


@dataclass(frozen=True)
class Shown:
    """A row as the page shows it: what stands in the file, and what was understood."""

    id: int
    place: str
    raw: Sequence[tuple[str, str]]
    outcome: Outcome
    book: Any
    part: int | None
    whole_set: bool
    year: int | None
    year_taken: bool
    copies: int | None
    worn: int | None
    reason: str
    asks_book: str
    asks_part: bool
    asks_year: bool
    asks_count: bool
    candidates: Sequence[Candidate]
    by_hand: bool
    names_book: bool


ASKED = {
    "grade": _l("Для какого класса?"),
    "series": _l("Какая линия?"),
    "level": _l("Какой уровень?"),
    "part": _l("Какая часть?"),
}


def _note(note: Mapping[str, Any]) -> str:
    return str(_(note["message"], **note["parameters"]))


def _shown(rows: Iterable[Any], intake: Intake) -> list[Shown]:
    """Return rows with the books they mean or may mean, in one query."""
    rows = list(rows)
    wanted = {row.textbook_id for row in rows if row.textbook_id}
    wanted |= {each["id"] for row in rows for each in row.candidates}
    books = services.books_of(wanted) if wanted else {}
    columns = services.columns_of(intake)
    return [_shown_row(row, intake, columns, books) for row in rows]


def _shown_row(row: Any, intake: Intake, columns: Sequence[Columns], books: Mapping[int, Any]) -> Shown:
    remark = row.remark
    questions = remark.get("questions", [])
    default_year = intake.columns.get("year")
    sheet = columns[row.sheet] if row.sheet < len(columns) else Columns()
    place = _("строка %(row)s", row=row.row)
    if sheet.name and sum(each.used for each in columns) > 1:
        place = f"{sheet.name}, {place}"
    return Shown(
        id=row.id,
        place=place,
        raw=_raw(row.cells, sheet),
        outcome=row.outcome,
        book=books.get(row.textbook_id),
        part=row.part,
        whole_set=bool(remark.get("set")),
        year=row.year or default_year,
        year_taken=row.year is None and default_year is not None,
        copies=row.copies,
        worn=row.worn,
        reason=_reason(remark),
        asks_book=str(ASKED.get(remark.get("asked", ""), _("Какая это книга?")))
        if Question.BOOK in questions
        else "",
        asks_part=Question.PART in questions,
        asks_year=Question.YEAR in questions,
        asks_count=row.copies is None and "fault" in remark and row.textbook_id is not None,
        candidates=[
            Candidate(books[each["id"]], [_note(note) for note in each["difference"]])
            for each in row.candidates
            if each["id"] in books
        ],
        by_hand=row.by_hand,
        names_book=bool(row.wording),
    )


def _reason(remark: Mapping[str, Any]) -> str:
    if "fault" in remark:
        return _note(remark["fault"])
    if "reason" in remark:
        return _note(remark["reason"])
    return str(_(remark["service"])) if remark.get("service") else ""


def _raw(cells: Sequence[str], sheet: Columns) -> list[tuple[str, str]]:
    """Return the filled cells with their headings, those that are read before the others."""
    filled = [(index, text) for index, text in enumerate(cells) if text]
    read = [(i, text) for i, text in filled if i < len(sheet.roles) and sheet.roles[i] != "other"]
    shown = read or filled
    return [(sheet.headings[i] if i < len(sheet.headings) else "", text[:300]) for i, text in shown[:12]]


_SHORT = frozenset({Outcome.RECOGNISED, Outcome.NOT_TEXTBOOK, Outcome.SKIPPED, Outcome.SERVICE})
"""Outcomes whose rows bring no books to choose from."""


def _chosen_outcome(numbers: Mapping[Outcome, int]) -> Outcome | None:
    """Return whose rows are shown: those asked for, else those that wait for an answer."""
    asked = request.args.get("show", "")
    if asked == "all":
        return None
    found = next((outcome for outcome in Outcome if outcome.value == asked), None)
    if found is not None:
        return found
    return next((each for each in (Outcome.TO_CONFIRM, Outcome.RECOGNISED) if numbers[each]), None)


@bp.get("/intake/<int:intake_id>")
def show(intake_id: int) -> Response:
    """Show an import: how far its reading is, then its rows and what was understood of each."""
    intake = services.intake_of(intake_id, by=access.current())
    if intake.state.being_read:
        return _progress_page(intake)
    if wants_fragment() and request.args.get("poll"):
        return done(url_for("intake.show", intake_id=intake.id))
    if format_ := request.args.get("format"):
        return _exported(intake, format_)
    return _review_page(intake)


def _progress_page(intake: Intake) -> Response:
    run = db.session.get_one(Run, intake.run_id)
    dead = runs.lost(run, clock=clock()) or run.has_failed
    return page(
        "intake/progress.html",
        "run",
        status=STOP_POLLING if dead and wants_fragment() else 200,
        intake=intake,
        run=run,
        dead=dead,
    )


def _review_page(intake: Intake, *, status: int = 200) -> Response:
    by = access.current()
    numbers = services.tallies(intake)
    outcome = _chosen_outcome(numbers)
    total = (
        numbers[outcome]
        if outcome
        else sum(count for each, count in numbers.items() if each is not Outcome.SERVICE)
    )
    per_page = services.PAGE if outcome in _SHORT else services.QUESTIONS
    pages = max(1, -(-total // per_page))
    number = min(_page_number(), pages)
    rows = services.rows_of(intake, outcome, first=(number - 1) * per_page, limit=per_page)
    columns = services.columns_of(intake)
    failure = _note(intake.result) if intake.state.failed else ""
    return page(
        "intake/show.html",
        "review",
        status=status,
        intake=intake,
        failure=failure,
        state=INTAKE_STATE_NAMES[intake.state],
        tone=TONES[intake.state],
        open=intake.state.in_review and access.allowed(by, Action.COUNT, intake.holder),
        applied=intake.state.applied,
        undone=not (intake.state.applied or intake.state.in_review),
        left=numbers[Outcome.TO_CONFIRM] + numbers[Outcome.ERROR],
        may_count=access.allowed(by, Action.COUNT, intake.holder),
        numbers=numbers,
        names=OUTCOME_NAMES,
        outcome=outcome,
        show=outcome.value if outcome else "all",
        rows=_shown(rows, intake),
        number=number,
        pages=pages,
        sheets=[_sheet(index, each) for index, each in enumerate(columns)],
        without_year=services.rows_without_year(intake),
        year=intake.columns.get("year"),
    )


@dataclass(frozen=True)
class Column:
    """A column as it is offered for correction."""

    index: int
    heading: str
    samples: Sequence[str]
    meaning: str
    choices: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class SheetShown:
    """A sheet and its columns."""

    index: int
    columns: Columns
    shown: Sequence[Column]
    doubtful: bool


def _sheet(index: int, columns: Columns) -> SheetShown:
    filled = [
        place for place, samples in enumerate(columns.samples) if samples or columns.roles[place] != "other"
    ]
    return SheetShown(
        index=index,
        columns=columns,
        shown=[_column(place, columns) for place in filled[:MOST_COLUMNS]],
        doubtful=columns.used and columns.confidence < 0.8,
    )


def _column(place: int, columns: Columns) -> Column:
    heading, role = columns.headings[place], columns.roles[place]
    choices = [(each.value, str(_(name))) for each, name in ROLE_NAMES.items()]
    special = {role, heading_of(heading.split(" ")[-1])[0], heading_of(heading)[0]}
    for each in sorted(special):
        if each.startswith(OF_YEAR):
            choices.append((each, _("экземпляры %(year)s года", year=each.removeprefix(OF_YEAR))))
        elif each.startswith(OF_GRADE):
            choices.append((each, _("экземпляры для %(grade)s класса", grade=each.removeprefix(OF_GRADE))))
        elif each.startswith(OF_PART):
            choices.append((each, _("экземпляры части %(part)s", part=each.removeprefix(OF_PART))))
    return Column(place, heading, columns.samples[place], role, choices)


COLUMNS = (
    "Лист", "Строка", "Как в файле", "Что вышло", "Учебник", "Авторы", "Класс", "Год издания", "Часть",
    "Количество", "К списанию", "Почему",
)  # fmt: skip


def _exported(intake: Intake, format_: str) -> Response:
    numbers = services.tallies(intake)
    # Read once: between two readings somebody may answer a row.
    found = services.rows_of(intake, _chosen_outcome(numbers))
    rows = _shown(found, intake)
    sheets = services.columns_of(intake)
    places = {row.id: row for row in found}
    return export(
        format_,
        _("сверка файла"),
        [_(name) for name in COLUMNS],
        (
            (
                sheets[places[row.id].sheet].name,
                places[row.id].row,
                " · ".join(text for _heading, text in row.raw),
                _(OUTCOME_NAMES[row.outcome]),
                row.book.title if row.book else "",
                row.book.authors if row.book else "",
                _classes(row.book) if row.book else "",
                row.year,
                row.part,
                row.copies,
                row.worn,
                row.reason,
            )
            for row in rows
        ),
    )


def _classes(book: Any) -> str:
    return "–".join(str(grade) for grade in dict.fromkeys((book.grade_from, book.grade_to)) if grade)


# --- columns and year ---


@bp.post("/intake/<int:intake_id>/columns/<int:sheet>")
@outside_unit
def columns(intake_id: int, sheet: int) -> Response:
    """Say what the columns of a sheet mean; the rows are read again in a run."""
    by = access.current()

    def enter() -> int:
        intake = services.intake_of(intake_id, by=by)
        known = services.columns_of(intake)
        roles = list(known[sheet].roles) if sheet < len(known) else []
        for place in range(len(roles)):
            roles[place] = request.form.get(f"role-{place}", roles[place])
        return services.set_columns(
            intake_id,
            sheet,
            roles=roles,
            used="used" in request.form,
            seen=seen_version(),
            by=by,
            clock=clock(),
        )

    runs.submit(in_unit(enter))
    return done(url_for("intake.show", intake_id=intake_id))


class YearForm(Form):
    """The year of printing of all rows that name none."""

    year = CopiesField(_l("Год издания"), [Filled()])


@bp.post("/intake/<int:intake_id>/year")
def year(intake_id: int) -> Response:
    """Take one year of printing for all rows that name none."""
    form = YearForm()
    if not form.validate():
        raise Invalid("Напишите год издания четырьмя цифрами, например 2023.", field="year")
    changed = services.set_year(intake_id, form.year.data, by=access.current(), clock=clock())
    flash(
        ngettext("Год издания записан: %(num)d строка.", "Год издания записан, строк: %(num)d.", changed),
        "success",
    )
    return _after_answer(intake_id)


def _after_answer(intake_id: int) -> Response:
    """Return the rows anew to htmx, or lead back to them."""
    if request.args.get("from") == "row" or not wants_fragment():
        return done(_review_url(intake_id))
    return _review_page(services.intake_of(intake_id, by=access.current()))


def _review_url(intake_id: int, **arguments: Any) -> str:
    kept = {name: request.args[name] for name in ("show", "page") if request.args.get(name)}
    return url_for("intake.show", intake_id=intake_id, **{**kept, **arguments})


# --- one row ---


class NumbersForm(Form):
    """The count, the worn copies and the year of a row."""

    copies = CopiesField(_l("Количество"), [Filled()])
    worn = CopiesField(_l("Из них к списанию"))
    year = CopiesField(_l("Год издания"))


def _row_of(intake_id: int, row_id: int) -> tuple[Intake, IntakeRow]:
    intake, row = services.row_of(row_id, by=access.current())
    if intake.id != intake_id:
        raise NotFound
    return intake, row


@bp.get("/intake/<int:intake_id>/rows/<int:row_id>")
def row(intake_id: int, row_id: int) -> Response:
    """Show one row with all its cells: find its book in the catalogue, correct its numbers."""
    return _row_page(*_row_of(intake_id, row_id))


def _row_page(
    intake: Intake, row: IntakeRow, *, form: Form | None = None, block: str = "found", status: int = 200
) -> Response:
    columns = services.columns_of(intake)
    sheet = columns[row.sheet] if row.sheet < len(columns) else Columns()
    text = request.args.get("q", "").strip()[:200]
    today = clock().today(access.current().district.timezone)
    return page(
        "intake/row.html",
        block,
        status=status,
        intake=intake,
        row=_shown([row], intake)[0],
        cells=[
            (sheet.headings[i] if i < len(sheet.headings) else "", cell)
            for i, cell in enumerate(row.cells)
            if cell
        ],
        open=intake.state.in_review and access.allowed(access.current(), Action.COUNT, intake.holder),
        names=OUTCOME_NAMES,
        form=form or NumbersForm(formdata=None, copies=row.copies, worn=row.worn, year=row.year),
        text=text,
        found=catalog.search(text, on=today, limit=20) if text else None,
        back=_review_url(intake.id),
    )


@bp.post("/intake/<int:intake_id>/rows/<int:row_id>/answer")
def answer(intake_id: int, row_id: int) -> Response:
    """Say what a row is: «book-12», «part-1», «set», «not», «skip»; «year» and «copies» bring a number.

    «undo» takes the answer back.
    """
    by = access.current()
    _intake, row = _row_of(intake_id, row_id)
    given, _dash, number = request.form.get("answer", "").partition("-")
    chosen = int(number) if number.isdecimal() and len(number) <= 9 else None
    changed = 1
    if given == "book" and chosen is not None:
        changed = services.choose(row_id, chosen, by=by, clock=clock())
    elif given == "part" and chosen is not None:
        changed = services.choose_part(row_id, chosen, by=by)
    elif given in {"year", "copies"}:
        services.correct(
            row_id,
            copies=_typed("copies") if given == "copies" else row.copies,
            worn=row.worn,
            year=_typed("year") if given == "year" else row.year,
            by=by,
            clock=clock(),
        )
    elif given == "set":
        changed = services.choose_part(row_id, None, by=by)
    elif given == "not":
        changed = services.not_a_textbook(row_id, by=by, clock=clock())
    elif given == "skip":
        services.skip(row_id, by=by)
    elif given == "undo":
        changed = services.take_back(row_id, by=by)
    else:
        raise Invalid("Форма повреждена. Обновите страницу.")
    flash(ngettext("Записано: %(num)d строка.", "Записано, строк: %(num)d.", changed), "success")
    return _after_answer(intake_id)


def _typed(name: str) -> int:
    """Return the number typed beside a row; ``Invalid`` for anything else."""
    text = "".join(request.form.get(name, "").split())
    if not text.isdecimal() or len(text) > 6:
        raise Invalid("Нужно целое число, например 12.", field=name)
    return int(text)


@bp.post("/intake/<int:intake_id>/rows/<int:row_id>/numbers")
def numbers(intake_id: int, row_id: int) -> Response:
    """Correct the count, the worn copies and the year of a row."""
    intake, row = _row_of(intake_id, row_id)
    access.require(access.current(), Action.COUNT, intake.holder)
    form = NumbersForm()
    if form.validate():
        try:
            services.correct(
                row_id,
                copies=form.copies.data,
                worn=form.worn.data,
                year=form.year.data,
                by=access.current(),
                clock=clock(),
            )
        except Invalid as error:
            form.refuse(error)
        else:
            return done(_review_url(intake_id), _("Строка исправлена."))
    intake, row = _row_of(intake_id, row_id)
    return _row_page(intake, row, form=form, block="numbers", status=422)


# --- writing and undoing ---


@dataclass(frozen=True)
class Difference:
    """An edition as the summary shows it."""

    change: Change
    book: Any
    year: int
    part: int
    refusal: str


@bp.get("/intake/<int:intake_id>/summary")
def summary(intake_id: int) -> Response:
    """Show what writing an import would change on the shelf."""
    intake = services.intake_of(intake_id, by=access.current())
    if not intake.state.in_review:
        return done(url_for("intake.show", intake_id=intake.id))
    plan = services.plan(intake)
    shown = [*plan.refused, *plan.differing]
    number = _page_number()
    part = shown[(number - 1) * services.PAGE : number * services.PAGE]
    books = services.books_of({each.key[0] for each in part})
    return page(
        "intake/summary.html",
        None,
        intake=intake,
        plan=plan,
        differences=[_difference(each, books) for each in part],
        number=number,
        pages=-(-len(shown) // services.PAGE),
        may_count=access.allowed(access.current(), Action.COUNT, intake.holder),
    )


def _difference(each: Change, books: Mapping[int, Any]) -> Difference:
    textbook_id, year, part = each.key
    return Difference(
        change=each,
        book=books[textbook_id],
        year=year,
        part=part,
        refusal=str(_(each.refusal, **(each.parameters or {}))) if each.refused else "",
    )


@bp.post("/intake/<int:intake_id>/apply")
def apply(intake_id: int) -> Response:
    """Write an import to the shelf."""
    intake = services.apply(intake_id, seen=seen_version(), by=access.current(), clock=clock())
    return done(
        url_for("intake.show", intake_id=intake.id),
        _("Файл записан на полку: изменилось изданий – %(changed)s.", changed=intake.result["changed"]),
    )


@bp.post("/intake/<int:intake_id>/undo")
def undo(intake_id: int) -> Response:
    """Undo an import."""
    services.undo(intake_id, seen=seen_version(), by=access.current(), clock=clock())
    return done(
        url_for("intake.show", intake_id=intake_id), _("Загрузка отменена: полка снова такая, как была.")
    )


@bp.post("/intake/<int:intake_id>/discard")
def discard(intake_id: int) -> Response:
    """Give an import up."""
    services.discard(intake_id, by=access.current())
    return done(url_for("intake.index"), _("Файл убран без записи, полка не изменилась."))


@bp.post("/intake/<int:intake_id>/revive")
def revive(intake_id: int) -> Response:
    """Take up an import whose reading was cut off."""
    services.revive(intake_id, by=access.current(), clock=clock())
    return done(url_for("intake.show", intake_id=intake_id))
