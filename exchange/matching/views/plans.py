"""Pages of the matching: ordering a plan, reading it, changing it, publishing it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import Response, jsonify, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from exchange import runs
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.db import db, in_unit
from exchange.errors import Invalid, NotFound
from exchange.matching import services
from exchange.matching.models import Plan, PlanLine, PlanState
from exchange.matching.services.controls import from_json
from exchange.matching.views import pictures
from exchange.matching.views.blueprint import bp
from exchange.matching.views.books import SHOWN, books_shown
from exchange.matching.views.changes import changes_in_words
from exchange.matching.views.controls import ControlsForm, conditions, controls_form, controls_sent
from exchange.postings.models import Request
from exchange.runs import Run
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.schools.views import clock
from exchange.transfers.models import Transfer
from exchange.transfers.rules import FAILED, KIND_NAMES, STATE_NAMES, STATE_TONES
from exchange.web.export import export
from exchange.web.formats import format_number
from exchange.web.forms import asked_number, seen_version
from exchange.web.pages import done, page, text_of, wants_fragment
from exchange.web.unit import outside_unit

PLAN_STATE_NAMES: Mapping[PlanState, tuple[str, str]] = {
    PlanState.DRAFT: ("черновик, видите только вы", "info"),
    PlanState.PUBLISHED: ("опубликован", "ok"),
    PlanState.DISCARDED: ("заменён или отброшен", "mute"),
}
WATCHED = (services.RUN_KIND, services.FRONTIER_KIND)
"""Kinds of runs that the page of progress shows."""
STOP_POLLING = 286
LINES_ON_PAGE = 60
SHORTAGES_ON_PAGE = 50
PLANS_LISTED = 50
BOTTLENECKS_SHOWN = 6
SHORTAGES_BESIDE = 8
"""So many needs that stay open are shown below the trips; all of them have a page of their own."""


@dataclass(frozen=True)
class Trip:
    """Lines of a plan from one giver to one taker, and the transfers they have become."""

    giver: str
    taker: str
    giver_is_fund: bool
    km: float
    lines: Sequence[Any]
    transfers: Sequence[Any]

    @property
    def copies(self) -> int:
        """Copies that travel, those of lines taken out excepted."""
        return sum(line.copies for line in self.lines if not line.removed)


@bp.get("/plans")
def index() -> Response:
    """Show the plans of the district, the newest first, and what can be asked of the next."""
    by = access.current()
    access.require(by, Action.MATCH)
    return _index(by, controls_form(_present_controls(by)))


def _index(by: User, form: ControlsForm, *, status: int = 200) -> Response:
    plans = db.session.execute(
        sa.select(Plan.id, Plan.state, Plan.created_at, Plan.published_at, Plan.figures)
        .where(Plan.district_id == by.district_id)
        .order_by(Plan.id.desc())
        .limit(PLANS_LISTED)
    ).all()
    return page(
        "matching/index.html",
        "controls",
        status=status,
        plans=plans,
        states=PLAN_STATE_NAMES,
        working=services.working(by.district_id, clock=clock()),
        form=form,
    )


def _present_controls(by: User) -> services.PlanControls:
    """Return the controls of the draft, the usual ones where there is none."""
    draft = services.draft_of(by.district_id)
    return from_json(draft.controls) if draft is not None else services.PlanControls()


@bp.post("/plans")
@outside_unit
def create() -> Response:
    """Order a new plan, by the controls sent or as before; it is made outside the write transaction."""
    by = access.current()
    access.require(by, Action.MATCH)
    thorough = bool(request.form.get("thorough"))

    def work(controls: services.PlanControls | None = None) -> int:
        order = services.order(controls=controls, thorough=thorough, by=access.current(), clock=clock())
        return order.id

    if not controls_sent():
        run_id = in_unit(work)
    else:
        form = controls_form(_present_controls(by))
        if not form.validate_on_submit():
            return _index(by, form, status=422)
        try:
            run_id = in_unit(lambda: work(form.controls))
        except Invalid as error:
            form.refuse(error)
            return _index(access.current(), form, status=422)
    runs.submit(run_id)
    return done(url_for("matching.progress", run_id=run_id))


@bp.get("/plans/runs/<int:run_id>")
def progress(run_id: int) -> Response:
    """Show how far the plan is; lead to it when it is there."""
    by = access.current()
    access.require(by, Action.MATCH)
    run = db.session.get(Run, run_id)
    if run is None or run.district_id != by.district_id or run.kind not in WATCHED:
        raise NotFound
    if run.is_done and run.result:
        drawn = "frontier" if run.kind == services.FRONTIER_KIND else None
        return done(url_for("matching.show", plan_id=run.result["plan_id"], _anchor=drawn))
    failed = run.has_failed or runs.lost(run, clock=clock())
    response = page(
        "matching/progress.html",
        "progress",
        run=run,
        failed=failed,
        draws=run.kind == services.FRONTIER_KIND,
        left=_seconds_left(run.standing),
        message=_(run.message or runs.BROKEN, **(run.result or {})) if failed else "",
    )
    if failed and wants_fragment():
        response.status_code = STOP_POLLING
    return response


def _seconds_left(standing: Mapping[str, Any]) -> float | None:
    """Return how long the work will look for better plans at most; ``None`` where no limit is set."""
    limit, seconds = standing.get("limit"), standing.get("seconds")
    return None if limit is None or seconds is None else max(0.0, limit - seconds)


@bp.get("/plans/<int:plan_id>")
def show(plan_id: int) -> Response:
    """Show a plan by trip, what stays uncovered and why, and how good it is."""
    by = access.current()
    plan = services.plan_of(plan_id, by=by)
    shortages = request.args.get("show") == "uncovered"
    if format_ := request.args.get("format"):
        return _export_uncovered(plan, format_) if shortages else _export(plan, format_)
    if shortages:
        return _show_uncovered(plan)
    return page("matching/show.html", "plan", **_context(plan))


@bp.get("/plans/<int:plan_id>/proof")
def proof(plan_id: int) -> Response:
    """Return the proof of a plan as a file for ``benchmarks/check_plan.py``."""
    answer = jsonify(services.proof_of(plan_id, by=access.current()))
    answer.headers["Content-Disposition"] = f"attachment; filename=proof-{plan_id}.json"
    return answer


@bp.post("/plans/lines/<int:line_id>/<any(lock,free,remove,restore):mark>")
@outside_unit
def mark(line_id: int, mark: str) -> Response:
    """Lock a line, let it go, take it out or put it back.

    The buttons of all lines share one form and so one action key, which would refuse the second button:
    hence the unit of its own. Repeating a mark changes nothing, so it needs no key.
    """
    by = access.current()

    def work() -> int:
        return services.mark_line(line_id, mark, by=by, clock=clock()).plan_id

    plan_id = in_unit(work)
    if not wants_fragment():
        address = url_for("matching.show", plan_id=plan_id, page=request.args.get("page"))
        return done(f"{address}#line-{line_id}")
    plan = services.plan_of(plan_id, by=access.current())
    return page("matching/marked.html", "marked", **_head_and_trips(plan, line_id=line_id))


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
    for failure in result.failures:
        message += " " + _(
            "Не вышло: %(giver)s → %(taker)s, «%(title)s». %(why)s",
            giver=failure.giver,
            taker=failure.taker,
            title=failure.title,
            why=text_of(failure.error),
        )
    address = url_for("matching.show", plan_id=plan_id)
    return done(address, message, category="warning" if result.failures else "success")


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
            PlanLine.exact,
            PlanLine.supply_id,
            PlanLine.removed,
            PlanLine.reason,
            Edition.year,
            Edition.part,
            Textbook.id.label("textbook_id"),
            *SHOWN,
        )
        .join(giver, giver.id == PlanLine.giver_id)
        .join(taker, taker.id == PlanLine.taker_id)
        .join(Edition, Edition.id == PlanLine.edition_id)
        .join(Textbook, Textbook.id == Edition.textbook_id)
        .where(PlanLine.plan_id == plan.id)
        .order_by(
            giver.short_name, taker.short_name, Textbook.sort_key, Edition.part, Edition.year, PlanLine.id
        )
    ).all()


def _trips(lines: Sequence[Any], transfers: Sequence[Any]) -> list[Trip]:
    grouped: defaultdict[tuple[int, int], list[Any]] = defaultdict(list)
    for line in lines:
        grouped[line.giver_id, line.taker_id].append(line)
    made: defaultdict[tuple[int, int], list[Any]] = defaultdict(list)
    for transfer in transfers:
        if not transfer.previous_id:
            made[transfer.giver_id, transfer.taker_id].append(transfer)
    return [
        Trip(of[0].giver, of[0].taker, of[0].giver_kind is HolderKind.FUND, of[0].km, of, made[pair])
        for pair, of in grouped.items()
    ]


def pages_of(trips: Sequence[Trip], most: int) -> list[list[Trip]]:
    """Split trips into pages of about ``most`` lines; no trip is torn apart."""
    pages: list[list[Trip]] = [[]]
    room = most
    for trip in trips:
        if pages[-1] and len(trip.lines) > room:
            pages.append([])
            room = most
        pages[-1].append(trip)
        room -= len(trip.lines)
    return pages


def _page_number(count: int) -> int:
    """Return the page asked for, the last one where there are fewer (lines may have been taken out)."""
    return min(max(1, asked_number(request.args, "page") or 1), max(1, count))


def _transfers(plan: Plan) -> Sequence[Any]:
    return db.session.execute(
        sa.select(
            Transfer.id,
            Transfer.giver_id,
            Transfer.taker_id,
            Transfer.kind,
            Transfer.state,
            Transfer.previous_id,
            Transfer.state.in_(FAILED).label("failed"),
        )
        .where(Transfer.plan_id == plan.id)
        .order_by(Transfer.id)
    ).all()


def _context(plan: Plan) -> dict[str, Any]:
    figures = plan.figures
    uncovered = _uncovered(plan, limit=SHORTAGES_BESIDE)
    return {
        **_head_and_trips(plan, besides={item["book"].textbook_id for item in uncovered}),
        "figures": figures,
        "uncovered": uncovered,
        "charts": pictures.charts(figures),
        "proof": pictures.proof(figures),
        "all_proven": pictures.all_proven(figures),
        "checkable": pictures.checkable(plan.certificate),
        "ways": list(pictures.ways(plan).values()),
        "baselines": pictures.baselines(plan),
        "frontier": pictures.frontier(figures),
        "bottlenecks": _bottlenecks(plan),
        "repair": pictures.repair(figures),
        "form": controls_form(from_json(plan.controls)),
        "fund": from_json(plan.controls).fund.value,
        "wishes": services.wishes(by=access.current()),
    }


def _head_and_trips(
    plan: Plan, *, line_id: int | None = None, besides: Collection[int] = frozenset()
) -> dict[str, Any]:
    """Return the head of a plan and one page of its trips, with ``line_id`` only the trip of that line.

    ``besides`` are textbooks shown elsewhere on the page.
    """
    lines = _lines(plan)
    made = _transfers(plan) if plan.is_published else []
    trips = _trips(lines, made)
    pages = pages_of(trips, LINES_ON_PAGE)
    number = _page_number(len(pages))
    if line_id is None:
        shown = pages[number - 1]
    else:
        shown = [trip for trip in trips if any(line.id == line_id for line in trip.lines)]
    removed, locked = any(line.removed for line in lines), any(line.locked for line in lines)
    textbooks = {line.textbook_id for trip in shown for line in trip.lines}
    return {
        "plan": plan,
        "is_draft": plan.is_draft,
        "marked": line_id is not None,
        "state": PLAN_STATE_NAMES[plan.state],
        "draft_id": None if plan.is_draft else _draft_id(plan),
        "conditions": conditions(from_json(plan.controls)),
        "trips": shown,
        "any_left": any(not line.removed for line in lines),
        "removed": removed,
        # What an earlier plan had taken out is shown again without a supply: that is no change to this one.
        "edited": any(line.removed is not (line.supply_id is None) for line in lines),
        "locked": locked,
        "number": number,
        "pages": len(pages),
        "transfers": len(made),
        "refused": sum(transfer.failed for transfer in made),
        "asked_on": sum(transfer.previous_id is not None for transfer in made),
        "released": [{**lock, "reason": _(lock["reason"])} for lock in plan.figures.get("released", ())],
        "lone_parts": services.lone_parts(plan) if plan.is_draft and (removed or locked) else [],
        "verdicts": catalog.verdicts(
            textbooks | set(besides), clock().today(access.current().district.timezone)
        ),
        "kinds": KIND_NAMES,
        "state_names": STATE_NAMES,
        "state_tones": STATE_TONES,
    }


def _draft_id(plan: Plan) -> int | None:
    """Return the draft of the plan's district: what is done next is done there."""
    draft = services.draft_of(plan.district_id)
    return None if draft is None else draft.id


def _bottlenecks(plan: Plan) -> list[dict[str, Any]]:
    """Return the books of which more copies would cover more, as the proof names them, with their titles."""
    named = plan.certificate.get("bottlenecks", [])[:BOTTLENECKS_SHOWN]
    if not named:
        return []
    books = books_shown({item["textbook"] for item in named})
    return [{**item, "book": books[item["textbook"]], "why": _why_short(item)} for item in named]


def _why_short(item: Mapping[str, int]) -> str:
    lacking = item["needed"] - item["offered"]
    if not item["offered"]:
        return str(_("никто не отдаёт"))
    if lacking > 0:
        return str(_("отдают на %(count)s меньше, чем нужно", count=format_number(lacking)))
    return str(
        _("отдают достаточно, но не каждому подходит: далеко, не тот срок или не хватает других частей")
    )


def _uncovered(plan: Plan, *, limit: int | None = None, offset: int = 0) -> list[dict[str, Any]]:
    """Return what stays uncovered, the largest shortages first, with the reason as a sentence."""
    largest = sorted(plan.uncovered, key=lambda item: (-item["missing"], item["request_id"]))
    shown = largest[offset : None if limit is None else offset + limit]
    books = {
        row.id: row
        for row in db.session.execute(
            sa.select(
                Request.id,
                Holder.id.label("school_id"),
                Holder.short_name.label("school"),
                Textbook.id.label("textbook_id"),
                *SHOWN,
            )
            .join(Holder, Holder.id == Request.school_id)
            .join(Textbook, Textbook.id == Request.textbook_id)
            .where(Request.id.in_([item["request_id"] for item in shown]))
        )
    }
    changes = changes_in_words(shown)
    return [
        {
            "book": books[item["request_id"]],
            "missing": item["missing"],
            "why": _why(item, books[item["request_id"]].parts),
            "changes": changes[item["request_id"]],
        }
        for item in shown
    ]


def _why(item: Mapping[str, Any], parts: int) -> str:
    first, *kept_away = (
        _(message, **{k: _(v) if isinstance(v, str) else v for k, v in parameters.items()})
        for message, parameters in item["reasons"]
    )
    said = f"{first}: {'; '.join(kept_away)}" if kept_away else first
    if parts > 1:
        said = _("Дело за частью %(part)s. %(why)s", part=item["part"], why=said)
    return said if said.endswith(".") else f"{said}."


def _show_uncovered(plan: Plan) -> Response:
    pages = -(-len(plan.uncovered) // SHORTAGES_ON_PAGE)
    number = _page_number(pages)
    items = _uncovered(plan, limit=SHORTAGES_ON_PAGE, offset=(number - 1) * SHORTAGES_ON_PAGE)
    return page(
        "matching/uncovered.html",
        plan=plan,
        uncovered=items,
        number=number,
        pages=pages,
        verdicts=catalog.verdicts(
            {item["book"].textbook_id for item in items},
            clock().today(access.current().district.timezone),
        ),
    )


def _export_uncovered(plan: Plan, format_: str) -> Response:
    """Return what the district itself cannot cover: what is left to buy."""
    columns = (
        _("Школа"),
        _("Автор, наименование"),
        _("Класс"),
        _("Издательство"),
        _("Не хватает комплектов"),
        _("Почему"),
        _("Что добавит комплектов"),
    )
    rows = [
        (
            item["book"].school,
            named(item["book"]),
            grades(item["book"]),
            item["book"].publisher,
            item["missing"],
            item["why"],
            "; ".join(item["changes"]),
        )
        for item in _uncovered(plan)
    ]
    return export(format_, _("Непокрытая потребность, план %(number)s", number=plan.id), columns, rows)


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
            named(line),
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


def named(book: Any) -> str:
    """Return authors and title as on papers: «Мерзляк А.Г. и др. Алгебра»."""
    return f"{book.authors.rstrip('.')}. {book.title}" if book.authors else book.title


def grades(book: Any) -> str:
    """Return the grades of a book: «2», «10–11» or «СПО»."""
    if book.grade_from is None:
        return str(_("СПО"))
    if book.grade_from == book.grade_to:
        return str(book.grade_from)
    return f"{book.grade_from}–{book.grade_to}"
