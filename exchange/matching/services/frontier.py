"""Coverage against trips: what a plan would come to if a little more or less coverage were given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from exchange import runs
from exchange.clock import Clock
from exchange.db import db, in_unit
from exchange.matching.models import Plan
from exchange.matching.services.controls import from_json
from exchange.matching.services.gathering import gather
from exchange.matching.services.making import figures_as_stored
from exchange.matching.services.plans import FRONTIER_KIND, lock_plans, plan_of, working
from exchange.schools.models import District, User

GIVE_UPS = (0.0, 1.0, 2.0, 5.0, 10.0)
"""Per cent of the best coverage given up at the points of the frontier."""


def order_frontier(plan_id: int, *, by: User, clock: Clock) -> runs.Run:
    """Ask for the frontier of a plan; ``runs.submit`` it after the unit of work.

    Its points come into the figures of the plan: ``frontier``. While one is being drawn in the district, that
    one is returned.
    """
    plan = plan_of(plan_id, by=by)
    lock_plans(plan.district_id)
    return working(plan.district_id, kind=FRONTIER_KIND, clock=clock) or runs.enter(
        FRONTIER_KIND, district_id=plan.district_id, by_id=by.id, clock=clock, input={"plan_id": plan.id}
    )


def perform_frontier(
    run: runs.Run, *, clock: Clock, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Draw the frontier a run asks for: the present postings by the controls and locks of the plan."""
    plan = db.session.get_one(Plan, run.input["plan_id"])
    plan_id, run_id, controls = plan.id, run.id, from_json(plan.controls)
    problem = gather(
        db.session.get_one(District, run.district_id), controls=controls, clock=clock, kept=plan.lines
    ).problem
    db.session.rollback()
    from exchange.matching import solver

    points = []
    for number, give_up in enumerate(GIVE_UPS, start=1):
        asked = replace(controls, give_up=give_up).for_solver
        result = solver.solve(replace(problem, controls=asked), effort=solver.QUICK)
        points.append({"give_up": give_up, **figures_as_stored(result.figures)})
        if progress is not None:
            progress(number, len(GIVE_UPS))
        if not runs.report(run_id, {"points": len(points)}, clock=clock):
            break
    in_unit(lambda: _store(plan_id, points))
    return {"plan_id": plan_id}


def _store(plan_id: int, points: list[dict[str, Any]]) -> None:
    figures = db.session.scalar(sa.select(Plan.figures).where(Plan.id == plan_id).with_for_update())
    # Past the version: a page that shows the plan without its frontier may still publish it.
    db.session.execute(
        sa.update(Plan).where(Plan.id == plan_id).values(figures={**(figures or {}), "frontier": points})
    )
