"""The papers of the exchange: on the screen, as workbooks and for print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from exchange.errors import NotFound
from exchange.postings.rules import SHORTAGE_NAMES, OfferKind
from exchange.reports import rules, services
from exchange.reports.rules import FEW, Balance, Book, Missing, Surplus
from exchange.schools import access
from exchange.schools.models import Holder
from exchange.schools.rules import Action, HolderKind
from exchange.schools.views import clock
from exchange.stock.rules import CONDITION_NAMES
from exchange.web.export import Table, export
from exchange.web.formats import format_date
from exchange.web.forms import number
from exchange.web.pages import page

bp = Blueprint("reports", __name__)

KIND_WORDS: Mapping[OfferKind, str] = {
    OfferKind.PERMANENT: _l("безвозмездная передача"),
    OfferKind.LOAN: _l("временное пользование"),
}
LINE = "____________________ / ____________________ /"

Rows = Sequence[Sequence[Any]]


def _school() -> Holder:
    """Return the school asked for, or the person's own; 404 for what they may not see."""
    by = access.current()
    school_id = request.args.get("school", type=number)
    school = access.holder_of_district(by, school_id) if school_id else by.school
    if school is None or school.kind is not HolderKind.SCHOOL:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, school)
    return school


@bp.get("/reports")
def index() -> Response:
    """List the papers: what each is for, who signs it and when; for the office, those of every school."""
    by = access.current()
    schools = [h for h in access.acting_for(by, Action.SEE_SHELF) if h.kind is HolderKind.SCHOOL]
    sees_all = access.allowed(by, Action.SEE_SHELF)
    if not schools and not sees_all:
        access.require(by, Action.SEE_SHELF)
    return page(
        "reports/index.html",
        schools=services.papers_of(schools),
        sees_all=sees_all,
        own=by.school if by.school is not None and access.allowed(by, Action.SEE_SHELF, by.school) else None,
    )


@bp.get("/reports/surplus")
def surplus() -> Response:
    """Show «Сведения об излишках» of a school."""
    school = _school()
    rows = services.surplus(school, by=access.current(), clock=clock())
    return _school_paper(
        school,
        title=_("Сведения об излишках учебников"),
        name=_("Сведения об излишках"),
        columns=[_(column) for column in rules.SURPLUS_COLUMNS],
        rows=[_surplus_cells(index, row) for index, row in enumerate(rows, 1)],
        total=sum(row.copies for row in rows),
        total_in=rules.SURPLUS_COLUMNS.index("Кол-во"),
        empty=_("Открытых излишков у школы нет: всё разобрано или ничего не размещено."),
        endpoint="postings.offers",
        to_postings=_("К излишкам"),
    )


@bp.get("/reports/missing")
def missing() -> Response:
    """Show «Заявка на недостающие» of a school."""
    school = _school()
    rows = services.missing(school, by=access.current(), clock=clock())
    return _school_paper(
        school,
        title=_("Заявка на недостающие учебники"),
        name=_("Заявка на недостающие"),
        columns=[_(column) for column in rules.MISSING_COLUMNS],
        rows=[_missing_cells(index, row) for index, row in enumerate(rows, 1)],
        total=rules.known_sum(None if row.hidden else row.copies for row in rows),
        total_in=rules.MISSING_COLUMNS.index("Недостаёт"),
        empty=_("Открытых заявок у школы нет: всё подобрано или ничего не запрошено."),
        endpoint="postings.requests",
        to_postings=_("К заявкам"),
    )


def _school_paper(
    school: Holder,
    *,
    title: str,
    name: str,
    columns: Sequence[str],
    rows: Rows,
    total: int | None,
    total_in: int,
    empty: str,
    endpoint: str,
    to_postings: str,
) -> Response:
    about = [
        _("%(school)s, ИНН %(inn)s", school=school.name, inn=school.inn or "____________"),
        _("по состоянию на %(day)s", day=format_date(clock().today(school.district.timezone))),
    ]
    signatures = [_("Директор"), _("Педагог-библиотекарь")]
    if format_ := request.args.get("format"):
        return export(
            format_,
            f"{name} {school.short_name}",
            columns,
            rows,
            title=title,
            about=about,
            below=[*(f"{role}: {LINE}" for role in signatures), _date_line()],
        )
    return page(
        "reports/paper.html",
        school=school,
        own=school == access.current().school,
        title=title,
        about=about,
        columns=columns,
        rows=rows,
        total=total,
        total_in=total_in,
        few=_(FEW),
        empty=empty,
        signatures=signatures,
        postings=endpoint,
        to_postings=to_postings,
    )


def _surplus_cells(index: int, row: Surplus) -> Sequence[Any]:
    kind = str(KIND_WORDS[row.kind])
    if row.due_back:
        kind = _("%(kind)s до %(day)s", kind=kind, day=format_date(row.due_back))
    book = row.book
    return (
        index, book.number, book.subject, book.authors, _titled(book), book.grades, book.level,
        book.publisher, row.year, row.copies, _(CONDITION_NAMES[row.condition]), None, kind,
        row.available_from, row.note,
    )  # fmt: skip


def _missing_cells(index: int, row: Missing) -> Sequence[Any]:
    years = _("%(year)s и новее", year=row.year_from) if row.year_from else _("любые")
    book = row.book
    return (
        index, book.number, book.subject, book.authors, _titled(book), book.grades,
        None if row.hidden else row.pupils, row.held, row.worn, _(FEW) if row.hidden else row.copies,
        _(SHORTAGE_NAMES[row.reason]), row.needed_by, years,
    )  # fmt: skip


def _titled(book: Book) -> str:
    if book.part is None:
        return book.title
    return str(_("%(title)s, ч. %(part)s", title=book.title, part=book.part))


def _date_line() -> str:
    return str(_("«____» ______________ 20____ г.          М.П."))


# --- the district ---


@bp.get("/reports/consolidated")
def consolidated() -> Response:
    """Show «Сводная ведомость»: every title of the exchange with who has it, who lacks it, what is left."""
    by = access.current()
    found = services.consolidated(by=by, clock=clock())
    rows = [_balance_cells(index, row) for index, row in enumerate(found.rows, 1)]
    title = _("Сводная ведомость излишков и потребности в учебниках")
    about = [
        by.district.office,
        _("по состоянию на %(day)s", day=format_date(clock().today(by.district.timezone))),
    ]
    signatures = [_("Методист"), _("Руководитель управления образования")]
    if format_ := request.args.get("format"):
        return export(
            format_,
            _("Сводная ведомость %(district)s", district=by.district.name),
            [_(column) for column in rules.CONSOLIDATED_COLUMNS],
            rows,
            title=title,
            about=about,
            below=[*(f"{role}: {LINE}" for role in signatures), _date_line()],
            more=[
                Table(
                    _("По школам"),
                    [_(column) for column in rules.BY_SCHOOL_COLUMNS],
                    list(_school_rows(found.rows)),
                )
            ],
        )
    return page(
        "reports/consolidated.html",
        title=title,
        about=about,
        columns=[_(column) for column in rules.CONSOLIDATED_COLUMNS],
        rows=rows,
        schools=found.schools,
        few=_(FEW),
        signatures=signatures,
    )


def _balance_cells(index: int, row: Balance) -> Sequence[Any]:
    book = row.book
    return (
        index, book.number, book.subject, book.authors, _titled(book), book.grades, book.publisher,
        row.surplus, _by_school(row.spare), row.fund, _seen(row.missing), _by_school(row.lacking),
        row.by_exchange, row.by_fund, row.balance,
    )  # fmt: skip


def _seen(copies: int | None) -> Any:
    return _(FEW) if copies is None else copies


def _by_school(copies: Mapping[str, int | None]) -> str:
    return "; ".join(f"{school} – {_seen(count)}" for school, count in sorted(copies.items()))


def _school_rows(rows: Iterable[Balance]) -> Iterable[Sequence[Any]]:
    kept = list(rows)
    for school in sorted({name for row in kept for name in (*row.spare, *row.lacking)}):
        for row in kept:
            if school not in row.spare and school not in row.lacking:
                continue
            book = row.book
            yield (
                school, book.subject, book.authors, _titled(book), book.grades, book.publisher,
                row.spare.get(school), _seen(row.lacking[school]) if school in row.lacking else None,
            )  # fmt: skip
