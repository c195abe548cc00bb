"""Papers of the exchange: «Сведения об излишках», «Заявка на недостающие», «Сводная ведомость».

Each is one table, which is the page, what the printer prints and the workbook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from flask import Blueprint, Response, request, url_for
from flask_babel import gettext as _

from exchange.catalog.services import Number
from exchange.classes.rules import GRADES
from exchange.db import db
from exchange.errors import NotFound
from exchange.postings.rules import OFFER_KIND_NAMES, SHORTAGE_NAMES, OfferKind
from exchange.reports import services
from exchange.reports.rules import Balance, by_school
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.schools.views import clock
from exchange.stock.rules import CONDITION_NAMES
from exchange.web.export import Table, download
from exchange.web.formats import NBSP, format_date
from exchange.web.forms import asked_number
from exchange.web.pages import done, page

bp = Blueprint("reports", __name__)

BLANK = "____________________"


@dataclass(frozen=True)
class Paper:
    """A paper of the year's work: who prepares it, when, and where it is (a page for those who may)."""

    title: str
    who: str
    when: str
    endpoint: str
    action: Action


PAPERS: Sequence[Paper] = (
    Paper(
        "Перечень учебников",
        "завуч и педагог-библиотекарь, утверждает директор",
        "январь",
        "approved.index",
        Action.SEE_SHELF,
    ),
    Paper(
        "Сведения об излишках",
        "педагог-библиотекарь, подписывает директор",
        "июнь, 20–31 августа, 1–15 сентября",
        "reports.surplus",
        Action.SEE_SHELF,
    ),
    Paper(
        "Заявка на недостающие",
        "педагог-библиотекарь, подписывает директор",
        "июнь, 20–31 августа, 1–15 сентября",
        "reports.missing",
        Action.SEE_SHELF,
    ),
    Paper(
        "Сводная ведомость",
        "методист",
        "за 3–5 рабочих дней после сведений и заявок школ",
        "reports.consolidated",
        Action.SEE_SHELF,
    ),
    Paper("План-график перераспределения", "методист", "сентябрь – октябрь", "matching.index", Action.MATCH),
    Paper(
        "Акт приёма-передачи",
        "школы, по каждой утверждённой передаче",
        "в день передачи книг",
        "transfers.index",
        Action.SEE_TRANSFER,
    ),
    Paper("Отчёт обменно-резервного фонда", "методист", "февраль", "reserve.report", Action.SEE_DISTRICT),
)
"""In the order of the year's work. The titles are translated where they are shown."""
OF_DISTRICT = frozenset({"reports.consolidated"})
"""Papers for those who look into every school."""


def _today() -> date:
    return clock().today(access.current().district.timezone)


@bp.get("/reports")
def index() -> Response:
    """Show which papers there are, who prepares them and when; to the office, those of every school too."""
    by = access.current()
    access.require(by, Action.SEE_DISTRICT)
    schools = services.schools_of(by) if access.allowed(by, Action.SEE_SHELF) else []
    return page(
        "reports/index.html",
        papers=[(paper, url_for(paper.endpoint) if _opens(paper, by) else None) for paper in PAPERS],
        schools=schools,
        posted=services.posted([school.id for school in schools]),
    )


def _opens(paper: Paper, by: User) -> bool:
    in_district = access.allowed(by, paper.action)
    if paper.endpoint in OF_DISTRICT:
        return in_district
    return in_district or (by.school is not None and access.allowed(by, paper.action, by.school))


def _school() -> Holder | None:
    """Return the school asked for or the person's own; ``None``: they are to choose one; 404 for others'."""
    by = access.current()
    school_id = asked_number(request.args, "school")
    if "school" not in request.args and by.school is None:
        access.require(by, Action.SEE_SHELF)
        return None
    school = by.school if "school" not in request.args else db.session.get(Holder, school_id or 0)
    if school is None or school.kind is not HolderKind.SCHOOL:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, school)
    return school


@bp.get("/reports/surplus")
def surplus() -> Response:
    """Show «Сведения об излишках» of a school: its open offers."""
    school = _school()
    if school is None:
        return done(url_for("reports.index", _anchor="schools"))
    lines = services.surplus(school, by=access.current(), clock=clock())
    rows = [
        (
            number,
            _listed(line.number),
            line.book.subject,
            line.book.authors,
            _title(line.book, line.book.part),
            _classes(line.book),
            line.book.level,
            line.book.publisher,
            line.book.year,
            line.copies,
            _(CONDITION_NAMES[line.book.condition]),
            None,
            _kind(line.book),
            line.book.available_from or _("сразу"),
            line.book.note,
        )
        for number, line in enumerate(lines, 1)
    ]
    columns = [
        _("№ п/п"), _("№ по ФПУ (приказ)"), _("Предмет"), _("Автор(ы)"), _("Наименование"), _("Класс"),
        _("Уровень"), _("Издательство"), _("Год издания"), _("Кол-во"), _("Состояние"),
        _("Цена за ед., руб."), _("Вид передачи"), _("Можно отдать с"), _("Примечание"),
    ]  # fmt: skip
    table = Table(
        columns,
        rows,
        title=_("Сведения об излишках"),
        total=_total(columns, {_("Кол-во"): sum(line.copies for line in lines)}),
        wide=[_("Цена за ед., руб.")],
    )
    return _paper(table, school, empty=_("На доске нет излишков этой школы."))


def _kind(book: Any) -> str:
    name = str(_(OFFER_KIND_NAMES[book.kind]))
    if book.kind is OfferKind.LOAN and book.due_back:
        return str(_("%(kind)s, до %(day)s", kind=name, day=format_date(book.due_back)))
    return name


@bp.get("/reports/missing")
def missing() -> Response:
    """Show «Заявка на недостающие» of a school: its open requests beside its pupils and its shelf."""
    school = _school()
    if school is None:
        return done(url_for("reports.index", _anchor="schools"))
    lines = services.missing(school, by=access.current(), clock=clock())
    rows = [
        (
            number,
            _listed(line.number),
            line.book.subject,
            line.book.authors,
            _title(line.book, line.part),
            _classes(line.book),
            # Pupils less copies would tell what is kept back.
            "–" if line.hidden else line.pupils,
            line.here,
            line.worn,
            _("менее 3") if line.hidden else line.missing,
            _(SHORTAGE_NAMES[line.book.reason]),
            line.book.needed_by or _("как можно скорее"),
            _("не старше %(year)s", year=line.book.year_from) if line.book.year_from else _("любые"),
        )
        for number, line in enumerate(lines, 1)
    ]
    columns = [
        _("№"), _("№ по ФПУ"), _("Предмет"), _("Автор"), _("Наименование"), _("Класс"), _("Обучающихся"),
        _("В наличии"), _("К списанию"), _("Недостаёт"), _("Причина"), _("Нужен к дате"),
        _("Допустимые годы издания"),
    ]  # fmt: skip
    known = sum(line.missing for line in lines if not line.hidden)
    table = Table(
        columns, rows, title=_("Заявка на недостающие"), total=_total(columns, {_("Недостаёт"): known})
    )
    return _paper(table, school, empty=_("На доске нет заявок этой школы."))


@bp.get("/reports/consolidated")
def consolidated() -> Response:
    """Show «Сводная ведомость»: by title, which schools have a surplus, which lack it, what the fund has."""
    by = access.current()
    grade = asked_number(request.args, "grade", 2)
    lines, subjects = services.consolidated(
        by=by, clock=clock(), subject=request.args.get("subject", ""), grade=grade
    )
    few = _("менее 3")
    rows = [
        (
            number,
            _listed(line.number),
            line.book.subject,
            line.book.authors,
            _title(line.book, line.balance.part),
            _classes(line.book),
            line.book.publisher,
            _by_school(line.balance.surplus),
            line.balance.spare,
            line.balance.fund,
            _by_school(line.balance.missing),
            few if line.balance.lacking is None else line.balance.lacking,
            line.balance.by_exchange,
            line.balance.by_fund,
            line.balance.left,
        )
        for number, line in enumerate(lines, 1)
    ]
    columns = [
        _("№ п/п"), _("№ по ФПУ (приказ)"), _("Предмет"), _("Автор(ы)"), _("Наименование"), _("Класс"),
        _("Издательство"), _("Излишки: школа – экз."), _("Всего излишков"), _("Свободно в фонде"),
        _("Недостаёт: школа – экз."), _("Всего недостаёт"), _("Закроет обмен"), _("Закроет фонд"),
        _("Остаётся (+) или не хватает (−)"),
    ]  # fmt: skip
    found = [line.balance for line in lines]
    sums = {
        _("Всего излишков"): sum(each.spare for each in found),
        _("Свободно в фонде"): sum(each.fund for each in found),
        _("Всего недостаёт"): sum(each.lacking or 0 for each in found),
        _("Закроет обмен"): sum(each.by_exchange or 0 for each in found),
        _("Закроет фонд"): sum(each.by_fund or 0 for each in found),
    }
    table = Table(
        columns,
        rows,
        title=_("Сводная ведомость"),
        total=_total(columns, sums),
        more={_("По школам"): _school_totals(found), _("Школы и учебники"): _school_lines(lines)},
    )
    return _paper(
        table, None, empty=_("На доске района таких учебников нет."), subjects=subjects, grade=grade
    )


def _school_totals(found: Iterable[Balance]) -> Table:
    return Table(
        [
            _("Школа"), _("Излишки, наименований"), _("Излишки, экз."), _("Недостаёт, наименований"),
            _("Недостаёт, экз."),
        ],
        [
            (each.school, each.titles_spare, each.spare, each.titles_missing, _told(each.missing))
            for each in by_school(found)
        ],
    )  # fmt: skip


def _school_lines(lines: Sequence[services.Consolidated]) -> Table:
    """Return the sheet once more, sorted by school."""
    names = sorted({name for line in lines for name in (*line.balance.surplus, *line.balance.missing)})
    return Table(
        [
            _("Школа"), _("Предмет"), _("Автор(ы)"), _("Наименование"), _("Класс"), _("Издательство"),
            _("Излишек"), _("Недостаёт"),
        ],
        [
            (
                school, line.book.subject, line.book.authors, _title(line.book, line.balance.part),
                _classes(line.book), line.book.publisher, line.balance.surplus.get(school),
                _told(line.balance.missing[school]) if school in line.balance.missing else None,
            )
            for school in names
            for line in lines
            if school in line.balance.surplus or school in line.balance.missing
        ],
    )  # fmt: skip


def _told(copies: int | None) -> int | str:
    return str(_("менее 3")) if copies is None else copies


# --- one paper ---


def _paper(
    table: Table,
    school: Holder | None,
    *,
    empty: str,
    subjects: Sequence[str] = (),
    grade: int | None = None,
) -> Response:
    """Return a paper of a school, or of the district, as a page or as a file."""
    by = access.current()
    day = format_date(_today())
    place = [f"{by.district.office}, {by.district.name}"]
    signed = [_("Методист"), _("Руководитель")]
    if school is not None:
        place = [school.name, _("ИНН %(inn)s", inn=school.inn or "____________")]
        signed = [_("Директор"), _("Педагог-библиотекарь")]
    table = replace(
        table,
        above=[*place, _("По состоянию на %(day)s", day=day)],
        below=[
            *(f"{who}: {BLANK} / {BLANK} /" for who in signed),
            _("М.П.   «____» ______________ 20____ г."),
        ],
    )
    if format_ := request.args.get("format"):
        whose = school.short_name if school else by.district.name
        return download(format_, f"{table.title} {whose} {day}", table)
    return page(
        "reports/paper.html",
        "paper",
        table=table,
        shown=_shown,
        signed=signed,
        school=school,
        schools=services.schools_of(by) if school and access.allowed(by, Action.SEE_SHELF) else [],
        empty=empty,
        subjects=subjects,
        grades=GRADES,
        grade=grade,
    )


def _shown(value: Any) -> str:
    """Return a value of a paper as its page shows it: no line ends between a school and its number."""
    if value is None:
        return ""
    if isinstance(value, date):
        return format_date(value)
    if isinstance(value, int):
        return str(value).replace("-", "−")
    return str(value).replace(" – ", f"{NBSP}– ").replace("№ ", f"№{NBSP}")


def _total(columns: Sequence[str], sums: Mapping[str, int | None]) -> list[Any]:
    return [_("Итого") if index == 0 else sums.get(column) for index, column in enumerate(columns)]


def _listed(number: Number | None) -> str:
    return f"{number.number} ({number.order})" if number else ""


def _title(book: Any, part: int | None) -> str:
    if book.parts == 1 or part is None:
        return str(book.title)
    return str(_("%(title)s, ч. %(part)s", title=book.title, part=part))


def _classes(book: Any) -> str:
    if book.grade_from is None:
        return ""
    return str(book.grade_from) if book.grade_from == book.grade_to else f"{book.grade_from}–{book.grade_to}"


def _by_school(copies: Mapping[str, int | None]) -> str:
    few = _("менее 3")
    return "; ".join(f"{school} – {few if n is None else n}" for school, n in sorted(copies.items()))
