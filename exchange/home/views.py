"""The first screen of every role, and the server's own health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from flask import Blueprint, Flask, Response, jsonify, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup

from exchange.approved import services as approved
from exchange.approved.models import ApprovedList
from exchange.catalog.rules import SchoolYear
from exchange.counting import services as counting
from exchange.db import OLDEST_SOUND_SQLITE, db, sqlite_module
from exchange.home import services
from exchange.matching import services as matching
from exchange.provision.rules import Provided
from exchange.provision.services import Proposals
from exchange.schools import access
from exchange.schools.models import User
from exchange.schools.rules import Action, HolderKind
from exchange.schools.views import clock, public
from exchange.transfers import services as transfers
from exchange.transfers.rules import STEP_NAMES
from exchange.web.charts import Bar, bar_chart
from exchange.web.formats import format_number, format_percent
from exchange.web.pages import page

bp = Blueprint("home", __name__)


@dataclass(frozen=True)
class Link:
    """A page of the header and the action it is for, at the person's school or in the district."""

    endpoint: str
    title: str
    action: Action | None = None


NAVIGATION: Sequence[tuple[str, Sequence[Link]]] = (
    ("", (Link("home.index", "Главная"),)),
    ("", (Link("transfers.waiting", "Ждёт меня"),)),
    (
        "Обмен",
        (
            Link("postings.board", "Доска"),
            Link("postings.offers", "Излишки", Action.POST_OFFER),
            Link("postings.requests", "Заявки", Action.POST_REQUEST),
            Link("matching.index", "Подбор", Action.MATCH),
            Link("transfers.index", "Передачи", Action.SEE_TRANSFER),
            Link("reserve.index", "Фонд", Action.SEE_DISTRICT),
            Link("reports.index", "Бумаги", Action.SEE_SHELF),
        ),
    ),
    (
        "Библиотека",
        (
            Link("stock.index", "Полка", Action.SEE_SHELF),
            Link("intake.index", "Загрузка из файла", Action.COUNT),
            Link("counting.index", "Пересчёт", Action.SEE_SHELF),
            Link("disposals.index", "Списание", Action.SEE_SHELF),
        ),
    ),
    (
        "Учебный год",
        (
            Link("provision.index", "Обеспеченность", Action.SEE_SHELF),
            Link("provision.proposals", "Запросить и предложить", Action.POST_REQUEST),
            Link("classes.index", "Классы", Action.SEE_SHELF),
            Link("approved.index", "Перечень учебников", Action.SEE_SHELF),
        ),
    ),
    (
        "Справочники",
        (
            Link("catalog.index", "Каталог"),
            Link("lists.index", "Федеральный перечень", Action.LOAD_LIST),
            Link("people.schools", "Школы", Action.SEE_DISTRICT),
            Link("people.directory", "Люди", Action.MANAGE_PEOPLE),
        ),
    ),
)
"""The header: sections of pages in the order of the librarian's work; a page without a section is one."""


@dataclass(frozen=True)
class Item:
    """A link of the header. ``count`` is shown beside it where it is not ``None``."""

    title: str
    url: str
    here: bool
    count: int | None = None


@dataclass(frozen=True)
class Navigation:
    """The header: its sections and the pages of the present one (none where it has a single page)."""

    sections: Sequence[Item]
    pages: Sequence[Item]


def init_navigation(app: Flask) -> None:
    """Give the templates ``navigation()``, ``may()`` and the person's school."""

    def navigation() -> Navigation:
        by = access.current()
        sections: list[Item] = []
        pages: list[Item] = []
        for name, links in NAVIGATION:
            seen = [link for link in links if _is_for(by, link.action)]
            if not seen:
                continue
            here = any(_is_of(link) for link in links)
            count = (
                app.extensions["counters"]["waiting"]() if seen[0].endpoint == "transfers.waiting" else None
            )
            title = name if name and len(seen) > 1 else seen[0].title
            sections.append(Item(_(title), url_for(seen[0].endpoint), here, count))
            if here and len(seen) > 1:
                pages = [Item(_(link.title), url_for(link.endpoint), _is_here(link)) for link in seen]
        return Navigation(sections, pages)

    app.add_template_global(navigation)
    app.add_template_global(
        lambda action, holder=None: access.allowed(access.current(), Action(action), holder), "may"
    )


def _is_for(by: User, action: Action | None) -> bool:
    if action is Action.COUNT:
        # The methodist counts at the fund's storage places, not at a school of one's own.
        return access.allowed_somewhere(by, action)
    return action is None or access.allowed(by, action) or access.allowed(by, action, by.school)


_LISTED = {link.endpoint for _name, links in NAVIGATION for link in links}


def _is_here(link: Link) -> bool:
    """Say whether a link of the header is of this page, or of its feature where the page has no link."""
    present = request.endpoint or ""
    if present in _LISTED:
        return present == link.endpoint
    return link.endpoint.endswith(".index") and _is_of(link)


def _is_of(link: Link) -> bool:
    """Say whether this page is of the link's feature; «Ждёт меня» is a page by itself."""
    present = request.endpoint or ""
    if "transfers.waiting" in (present, link.endpoint):
        return present == link.endpoint
    return link.endpoint.partition(".")[0] == present.partition(".")[0]


def init_book_panels(app: Flask) -> None:
    """Show on a book's page what the features above the catalogue know about it."""

    def holders(textbook_id: int) -> Markup:
        shown = services.holdings(textbook_id, by=access.current())
        return Markup(render_template("catalog/_holders.html", shown=shown))

    def postings(textbook_id: int) -> Markup:
        shown = services.postings(textbook_id, by=access.current())
        return Markup(render_template("catalog/_postings.html", shown=shown))

    def journeys(textbook_id: int) -> Markup:
        shown = services.journeys(textbook_id, by=access.current())
        return Markup(render_template("catalog/_journeys.html", journeys=shown))

    app.extensions["book_panels"] += [holders, postings, journeys]


@dataclass(frozen=True)
class Job:
    """One of the portal's jobs on the first screen: where it stands and what to do about it.

    ``calls``: something waits here, so that its button is the primary one.
    """

    title: str
    url: str
    figure: int
    unit: str
    note: str
    action: str = ""
    action_url: str = ""
    calls: bool = False


@bp.get("/")
def index() -> Response:
    """Show the four jobs of the portal, as this person does them, and what waits for them."""
    by = access.current()
    today = clock().today(by.district.timezone)
    school = by.school
    figures = services.figures(by.district_id, school, today=today)
    waiting = transfers.waiting(by, clock=clock())
    proposed = _proposals(by, today)
    return page(
        "home/index.html",
        school=school,
        figures=figures,
        jobs=_jobs(by, figures, len(waiting)),
        waiting=waiting,
        step_names=STEP_NAMES,
        advice=_advice(by),
        counting=_counting(by),
        plan_id=matching.latest_published(by.district_id) if school else None,
        lists=[(each.id, SchoolYear(each.school_year)) for each in _lists(by, today)],
        proposed=len(proposed.proposals) if proposed else 0,
        chart=_chart(proposed.report.rows if proposed else _provided(by, today)),
    )


def _jobs(by: User, figures: services.Figures, waiting: int) -> list[Job]:
    school = by.school
    posts = access.allowed(by, Action.POST_OFFER, school)
    asks = access.allowed(by, Action.POST_REQUEST, school)
    keeps = access.allowed(by, Action.KEEP_FUND)
    approves = access.allowed(by, Action.APPROVE)
    return [
        Job(
            title=_("Согласовать и утвердить") if approves else _("Согласовать передачи"),
            url=url_for("transfers.waiting"),
            figure=waiting,
            unit=ngettext("передача", "передач", waiting),
            note=ngettext("ждёт вашего ответа", "ждут вашего ответа", waiting)
            if waiting
            else _("все ответы даны"),
            action=_("Открыть") if waiting else "",
            action_url=url_for("transfers.waiting"),
            calls=bool(waiting),
        ),
        Job(
            title=_("Отдать излишки"),
            url=url_for("postings.offers") if posts else url_for("postings.board"),
            figure=figures.offered,
            unit=_("экз."),
            note=ngettext("свободны в %(num)d объявлении", "свободны в %(num)d объявлениях", figures.offers),
            action=_("Выбрать на полке") if posts else _("Посмотреть доску"),
            action_url=url_for("stock.index") if posts else url_for("postings.board"),
        ),
        Job(
            title=_("Попросить недостающее"),
            url=url_for("postings.requests") if asks else url_for("postings.board"),
            figure=figures.missing,
            unit=_("экз."),
            note=ngettext("не хватает по %(num)d заявке", "не хватает по %(num)d заявкам", figures.requests),
            action=_("Найти в каталоге") if asks else _("Подобрать обмен") if approves else "",
            action_url=url_for("catalog.index") if asks else url_for("matching.index") if approves else "",
            calls=approves and bool(figures.missing) and not waiting,
        ),
        Job(
            title=_("Резервный фонд"),
            url=url_for("reserve.index"),
            figure=figures.fund_copies,
            unit=_("экз."),
            note=_("обещано %(promised)s", promised=format_number(figures.fund_promised))
            if keeps
            else _("общий запас района: из него можно попросить"),
            action=_("Вести фонд") if keeps else _("Что есть в фонде"),
            action_url=url_for("reserve.index"),
        ),
    ]


def _advice(by: User) -> str:
    if access.allowed(by, Action.MATCH):
        return str(_("Самое время подобрать обмен: раздел «Подбор»."))
    if access.allowed(by, Action.POST_OFFER, by.school):
        return str(_("Можно посчитать полку и разместить излишки."))
    return ""


@dataclass(frozen=True)
class Counting:
    """How far the person's school has come in the campaign that goes on, and where to go on."""

    title: str
    ends_on: date
    counted: int
    total: int
    url: str


def _counting(by: User) -> Counting | None:
    """Return the count that goes on, to who counts at a school; ``None`` when it is done."""
    school = by.school
    if school is None or not access.allowed(by, Action.COUNT, school):
        return None
    present = counting.present_for(school)
    if present is None or present[1].confirmed_at is not None:
        return None
    campaign, standing = present
    sheet = standing.sheet_id
    url = url_for("counting.sheet", sheet_id=sheet) if sheet else url_for("counting.index")
    return Counting(campaign.title, campaign.ends_on, standing.counted, standing.total, url)


def _lists(by: User, today: date) -> Sequence[ApprovedList]:
    return approved.awaiting(by.school, by=by, on=today) if by.school is not None else []


def _proposals(by: User, today: date) -> Proposals | None:
    """Return what the person's school is advised to post and change, to who may do it."""
    school = by.school
    if school is None or not any(
        access.allowed(by, action, school) for action in (Action.POST_REQUEST, Action.POST_OFFER)
    ):
        return None
    return services.advice(school, by=by, today=today)


def _provided(by: User, today: date) -> Sequence[Provided]:
    """Return the provision of the person's school, or of the district to who may see all shelves."""
    if access.allowed(by, Action.SEE_SHELF):
        schools = [h for h in access.acting_for(by, Action.SEE_SHELF) if h.kind is HolderKind.SCHOOL]
    elif by.school is not None and access.allowed(by, Action.SEE_SHELF, by.school):
        schools = [by.school]
    else:
        return []
    return services.provided(schools, by=by, today=today)


def _chart(rows: Sequence[Provided]) -> Markup | None:
    """Return the coverage by grade."""
    grades = services.coverage_by_grade(rows)
    if not grades:
        return None
    return bar_chart(
        [
            Bar(_("%(grade)s класс", grade=grade), sums.coverage or 0, format_percent(sums.coverage))
            for grade, sums in grades
        ],
        name="coverage",
        title=_("Обеспеченность по классам"),
        description="; ".join(f"{grade} – {format_percent(sums.coverage)}" for grade, sums in grades),
        maximum=1,
    )


@bp.get("/healthz")
@public
def healthz() -> Response:
    """Say that the process answers."""
    return jsonify(status="ok")


@bp.get("/readyz")
@public
def readyz() -> Response:
    """Say that the database answers, with a warning where its SQLite is known to be unsound."""
    db.session.execute(sa.text("SELECT 1"))
    warnings = []
    if db.engine.dialect.name == "sqlite" and sqlite_module().sqlite_version_info < OLDEST_SOUND_SQLITE:
        warnings.append("SQLite older than 3.51.3: install pysqlite3")
    return jsonify(status="ok", warnings=warnings)
