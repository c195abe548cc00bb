"""Pages of the matching: ordering a plan, reading it, changing it, publishing it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Flask, Response, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from exchange import runs
from exchange.catalog.models import Edition, Textbook
from exchange.db import db, in_unit
from exchange.errors import NotFound
from exchange.matching import services
from exchange.matching.models import Plan, PlanLine, PlanState
from exchange.postings.models import Request
from exchange.runs import Run
from exchange.schools import access
from exchange.schools.models import Holder
from exchange.schools.rules import Action, HolderKind
from exchange.schools.views import clock
from exchange.transfers.models import Transfer
from exchange.transfers.rules import KIND_NAMES
from exchange.web.charts import Bar, bar_chart
from exchange.web.export import export
from exchange.web.formats import format_number
from exchange.web.forms import seen_version
from exchange.web.pages import done, page, text_of, wants_fragment
from exchange.web.unit import outside_unit

bp = Blueprint("matching", __name__)
PLAN_STATE_NAMES: Mapping[PlanState, tuple[str, str]] = {
    PlanState.DRAFT: ("черновик, видите только вы", "info"),
    PlanState.PUBLISHED: ("опубликован", "ok"),
    PlanState.DISCARDED: ("заменён или отброшен", "mute"),
}
STOP_POLLING = 286


def init_matching(app: Flask) -> None:
    """Say what does the runs of the matching."""
    runs.register(app, services.RUN_KIND, lambda run, progress: services.perform(run, clock=clock()))


@dataclass(frozen=True)
class Trip:
    """Lines of a plan from one giver to one taker."""

    giver: str
    taker: str
    giver_is_fund: bool
    km: float
    lines: Sequence[Any]

    @property
    def copies(self) -> int:
        """Copies that travel, those of lines taken out excepted."""
        return sum(line.copies for line in self.lines if not line.removed)


@bp.get("/plans")
def index() -> Response:
    """Show the plans of the district, the newest first."""
    by = access.current()
    access.require(by, Action.MATCH)
    plans = db.session.execute(
        sa.select(Plan.id, Plan.state, Plan.created_at, Plan.published_at, Plan.figures)
        .where(Plan.district_id == by.district_id)
        .order_by(Plan.id.desc())
        .limit(50)
    ).all()
    working = db.session.scalar(
        sa.select(Run.id)
        .where(
            Run.district_id == by.district_id,
            Run.kind == services.RUN_KIND,
            Run.state.in_(runs.LIVE),
            Run.created_at > clock().now() - runs.LEASE,
        )
        .order_by(Run.id.desc())
    )
    return page("matching/index.html", plans=plans, states=PLAN_STATE_NAMES, working=working)


@bp.post("/plans")
@outside_unit
def create() -> Response:
    """Order a new plan; it is made outside the write transaction."""
    run_id = in_unit(lambda: services.order(by=access.current(), clock=clock()).id)
    runs.submit(run_id)
    return done(url_for("matching.progress", run_id=run_id))


@bp.get("/plans/runs/<int:run_id>")
def progress(run_id: int) -> Response:
    """Show how far the plan is; lead to it when it is there."""
    by = access.current()
    access.require(by, Action.MATCH)
    run = db.session.get(Run, run_id)
    if run is None or run.district_id != by.district_id or run.kind != services.RUN_KIND:
        raise NotFound
    if run.is_done and run.result:
        return done(url_for("matching.show", plan_id=run.result["plan_id"]))
    failed = run.has_failed or runs.lost(run, clock=clock())
    response = page(
        "matching/progress.html",
        "progress",
        run=run,
        failed=failed,
        message=_(run.message or runs.BROKEN, **(run.result or {})) if failed else "",
    )
    if failed and wants_fragment():
        response.status_code = STOP_POLLING
    return response


@bp.get("/plans/<int:plan_id>")
def show(plan_id: int) -> Response:
    """Show a plan by trip, what stays uncovered and why, and how good it is."""
    by = access.current()
    plan = services.plan_of(plan_id, by=by)
    if format_ := request.args.get("format"):
        return _export(plan, format_)
    return page("matching/show.html", "plan", **_context(plan))


@bp.post("/plans/lines/<int:line_id>/<any(lock,free,remove,restore):mark>")
def mark(line_id: int, mark: str) -> Response:
    """Lock a line, let it go, take it out or put it back."""
    line = services.mark_line(line_id, mark, by=access.current(), clock=clock())
    if not wants_fragment():
        return done(f"{url_for('matching.show', plan_id=line.plan_id)}#line-{line.id}")
    return page("matching/show.html", "plan", **_context(line.plan))


@bp.post("/plans/<int:plan_id>/publish")
def publish(plan_id: int) -> Response:
    """Turn the plan into proposals."""
    result = services.publish(plan_id, seen=seen_version(), by=access.current(), clock=clock())
    count = len(result.transfers)
    message = ngettext(
        "Опубликовано: %(num)d передача предложена школам.",
        "Опубликовано: %(num)d передач предложено школам.",
        count,
    )
    for giver, taker, error in result.failures:
        message += " " + _(
            "%(giver)s → %(taker)s не вышло: %(why)s", giver=giver, taker=taker, why=text_of(error)
        )
    return done(url_for("matching.show", plan_id=plan_id), message)


@bp.post("/plans/<int:plan_id>/discard")
def discard(plan_id: int) -> Response:
    """Throw a draft away."""
    services.discard(plan_id, seen=seen_version(), by=access.current(), clock=clock())
    return done(url_for("matching.index"), _("План отброшен."))


def _lines(plan: Plan) -> Sequence[Any]:
    giver, taker = sa.orm.aliased(Holder), sa.orm.aliased(Holder)
    return db.session.execute(
        sa.select(
            PlanLine.id,
            PlanLine.giver_id,
            PlanLine.taker_id,
            giver.short_name.label("giver"),
            giver.kind.label("giver_kind"),
            taker.short_name.label("taker"),
            PlanLine.kind,
            PlanLine.copies,
            PlanLine.km,
            PlanLine.locked,
            PlanLine.removed,
            PlanLine.reason,
            Edition.year,
            Edition.part,
            Textbook.id.label("textbook_id"),
            Textbook.title,
            Textbook.authors,
            Textbook.grade_from,
            Textbook.grade_to,
            Textbook.publisher,
            Textbook.parts,
        )
        .join(giver, giver.id == PlanLine.giver_id)
        .join(taker, taker.id == PlanLine.taker_id)
        .join(Edition, Edition.id == PlanLine.edition_id)
        .join(Textbook, Textbook.id == Edition.textbook_id)
        .where(PlanLine.plan_id == plan.id)
        .order_by(giver.short_name, taker.short_name, PlanLine.removed, Textbook.sort_key, Edition.part)
    ).all()


def _trips(lines: Sequence[Any]) -> list[Trip]:
    grouped: defaultdict[tuple[int, int], list[Any]] = defaultdict(list)
    for line in lines:
        grouped[line.giver_id, line.taker_id].append(line)
    return [
        Trip(of[0].giver, of[0].taker, of[0].giver_kind is HolderKind.FUND, of[0].km, of)
        for of in grouped.values()
    ]


def _context(plan: Plan) -> dict[str, Any]:
    lines = _lines(plan)
    trips = _trips(lines)
    figures = plan.figures
    asked = figures["asked"]
    made = (
        db.session.scalar(sa.select(sa.func.count()).select_from(Transfer).where(Transfer.plan_id == plan.id))
        if plan.is_published
        else 0
    )
    return {
        "plan": plan,
        "is_draft": plan.is_draft,
        "state": PLAN_STATE_NAMES[plan.state],
        "trips": [trip for trip in trips if trip.copies],
        "taken_out": [line for line in lines if line.removed],
        "removed": sum(line.removed for line in lines),
        "locked": sum(line.locked for line in lines),
        "figures": figures,
        "share": figures["plan"]["sets"] / asked if asked else None,
        "uncovered": _uncovered(plan),
        "transfers": made,
        "kinds": KIND_NAMES,
        "chart": bar_chart(
            [
                Bar(name, value, format_number(value))
                for name, value in (
                    (_("По плану"), figures["plan"]["trips"]),
                    (_("К ближайшему"), figures["baseline"]["trips"]),
                )
            ],
            name="trips",
            title=_("Поездок: по плану и если ездить к ближайшей школе"),
            description=_(
                "По плану поездок %(plan)s, к ближайшей школе %(baseline)s",
                plan=figures["plan"]["trips"],
                baseline=figures["baseline"]["trips"],
            ),
        ),
    }


def _uncovered(plan: Plan) -> list[dict[str, Any]]:
    ids = [item["request_id"] for item in plan.uncovered]
    books = {
        row.id: row
        for row in db.session.execute(
            sa.select(
                Request.id,
                Holder.short_name.label("school"),
                Textbook.id.label("textbook_id"),
                Textbook.title,
                Textbook.authors,
                Textbook.grade_from,
                Textbook.grade_to,
                Textbook.publisher,
            )
            .join(Holder, Holder.id == Request.school_id)
            .join(Textbook, Textbook.id == Request.textbook_id)
            .where(Request.id.in_(ids))
        )
    }
    return [
        {
            "book": books[item["request_id"]],
            "missing": item["missing"],
            "why": "; ".join(_(message, **parameters) for message, parameters in item["reasons"]),
        }
        for item in plan.uncovered
        if item["request_id"] in books
    ]


def _export(plan: Plan, format_: str) -> Response:
    """Return the «План-график перераспределения»."""
    columns = (
        _("Отдаёт"),
        _("Получает"),
        _("Расстояние, км"),
        _("Автор, наименование"),
        _("Класс"),
        _("Часть"),
        _("Год издания"),
        _("Количество"),
        _("Вид передачи"),
        _("Обоснование"),
    )
    rows = [
        (
            line.giver,
            line.taker,
            line.km,
            f"{line.authors}. {line.title}",
            grades(line),
            line.part if line.parts > 1 else None,
            line.year,
            line.copies,
            _(KIND_NAMES[line.kind]),
            line.reason,
        )
        for line in _lines(plan)
        if not line.removed
    ]
    return export(format_, _("План-график перераспределения %(number)s", number=plan.id), columns, rows)


def grades(book: Any) -> str:
    """Return the grades of a book: «2», «10–11» or «СПО»."""
    if book.grade_from is None:
        return str(_("СПО"))
    if book.grade_from == book.grade_to:
        return str(book.grade_from)
    return f"{book.grade_from}–{book.grade_to}"
