"""What the methodist tries on a draft before anybody sees it: quantities, wishes, repair, earlier plans."""

from __future__ import annotations

from flask import Response, request, url_for
from flask_babel import gettext as _

from exchange import runs
from exchange.db import db, in_unit
from exchange.errors import Invalid, NotFound
from exchange.matching import services
from exchange.matching.models import PlanLine, WishKind
from exchange.matching.views.blueprint import bp
from exchange.schools import access
from exchange.schools.rules import Action
from exchange.schools.views import clock
from exchange.web.forms import asked_number
from exchange.web.pages import done
from exchange.web.unit import outside_unit


@bp.post("/plans/repair")
@outside_unit
def repair() -> Response:
    """Order a plan that keeps to the present one and changes only what has to change."""
    by = access.current()
    run_id = in_unit(lambda: services.order(repair=True, by=by, clock=clock()).id)
    runs.submit(run_id)
    return done(url_for("matching.progress", run_id=run_id))


@bp.post("/plans/<int:plan_id>/frontier")
@outside_unit
def draw_frontier(plan_id: int) -> Response:
    """Order the curve of coverage against trips around a plan."""
    by = access.current()
    run_id = in_unit(lambda: services.order_frontier(plan_id, by=by, clock=clock()).id)
    runs.submit(run_id)
    return done(url_for("matching.progress", run_id=run_id))


@bp.post("/plans/runs/<int:run_id>/stop")
def stop(run_id: int) -> Response:
    """End a run with the best plan it has found."""
    services.stop(run_id, by=access.current())
    return done(url_for("matching.progress", run_id=run_id), _("Заканчиваем: возьмём лучшее из найденного."))


@bp.post("/plans/<int:plan_id>/restore")
def restore(plan_id: int) -> Response:
    """Take an earlier plan up again."""
    services.restore(plan_id, by=access.current(), clock=clock())
    return done(url_for("matching.show", plan_id=plan_id), _("План снова черновик."))


@bp.post("/plans/lines/<int:line_id>/fix")
def fix(line_id: int) -> Response:
    """Let a line carry just so many copies."""
    copies = asked_number(request.form, "copies")
    if copies is None:
        raise Invalid("Укажите, сколько экземпляров: хотя бы один.", field="copies")
    line = services.fix_copies(line_id, copies, by=access.current(), clock=clock())
    return done(_line_address(line), _("Количество закреплено. Подберите заново вокруг него."))


@bp.post("/plans/lines/<int:line_id>/<any(forbid_pair,forbid,prefer):kind>")
def wish(line_id: int, kind: str) -> Response:
    """Wish something about the giver of a line, for every plan to come."""
    by = access.current()
    access.require(by, Action.MATCH)
    line = db.session.get(PlanLine, line_id)
    if line is None:
        raise NotFound
    services.plan_of(line.plan_id, by=by)
    about = {"taker_id": line.taker_id} if kind == "forbid_pair" else {"request_id": line.request_id}
    services.wish(
        WishKind.PREFER if kind == "prefer" else WishKind.FORBID,
        giver_id=line.giver_id,
        **about,
        by=by,
        clock=clock(),
    )
    return done(_line_address(line), _("Пожелание записано: подбор учтёт его, когда вы подберёте заново."))


@bp.post("/plans/wishes/<int:wish_id>/take-back")
def take_back(wish_id: int) -> Response:
    """Let a wish hold no longer."""
    by = access.current()
    services.take_back(wish_id, by=by, clock=clock())
    draft = services.draft_of(by.district_id)
    address = url_for("matching.show", plan_id=draft.id) if draft else url_for("matching.index")
    return done(f"{address}#wishes", _("Пожелание снято."))


def _line_address(line: PlanLine) -> str:
    address = url_for("matching.show", plan_id=line.plan_id, page=request.args.get("page"))
    return f"{address}#line-{line.id}"
