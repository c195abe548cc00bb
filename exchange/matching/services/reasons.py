"""Why a plan is as it is: what is stored when it is made, and what is told of it later, and to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from exchange.db import db
from exchange.errors import NotFound
from exchange.matching import rules
from exchange.matching.models import Plan, PlanLine, PlanState
from exchange.matching.services import snapshots
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action

#: Of so many needs, those that lack the most, a plan is told what would cover more.
MOST_NEEDS = 300
#: So many changes of one need are kept, the most worth.
MOST_CHANGES = 5


def uncovered_to_store(problem: rules.Problem, result: rules.Result) -> list[dict[str, Any]]:
    """Return the needs that stay open, why, and what would change that, see ``Plan.uncovered``."""
    from exchange.matching.solver.counterfactuals import counterfactuals

    largest = sorted(result.uncovered, key=lambda item: (-item.missing, item.need_id))[:MOST_NEEDS]
    changes = counterfactuals(problem, result, {item.need_id for item in largest})
    return [
        {
            "request_id": item.need_id,
            "missing": item.missing,
            "part": item.part,
            "reasons": [[s.message, dict(s.parameters)] for s in rules.explain(item)],
            "changes": [rules.change_as_json(one) for one in changes.get(item.need_id, ())[:MOST_CHANGES]],
        }
        for item in result.uncovered
    ]


@dataclass(frozen=True)
class LineReasons:
    """A proposal's reasons. ``opened`` is ``None`` where the line is no part of the plan any more, or the
    plan was made before reasons were kept; ``lost_weight`` and ``lost_sets`` are what the district would
    cover less without this giver for this need.
    """

    line: PlanLine
    opened: rules.Opened | None
    lost_weight: int
    lost_sets: int


@dataclass(frozen=True)
class SchoolReasons:
    """What became of a school's needs in a plan; ``None``: it was made before reasons were kept."""

    plan: Plan
    school: Holder
    reviews: tuple[rules.NeedReview, ...] | None


def line_reasons(plan_id: int, line_id: int, *, by: User) -> LineReasons:
    """Tell why a line is in a plan: the methodist at any time, its giver and taker once it is published."""
    line = db.session.get(PlanLine, line_id)
    if line is None or line.plan_id != plan_id:
        raise NotFound
    plan = _plan_told_to(by, plan_id, line.giver, line.taker)
    problem, trips = _read(plan)
    told = {(one.supply_id, one.need_id) for trip in trips for one in trip.proposals}
    if problem is None or line.supply_id is None or (line.supply_id, line.request_id) not in told:
        return LineReasons(line, None, 0, 0)
    # The optimiser and its numbers are heavy: a server that is never asked never loads them.
    from exchange.matching.solver.counterfactuals import without_giver

    return LineReasons(
        line,
        rules.opened(problem, trips, line.supply_id, line.request_id),
        *without_giver(problem, line.request_id, line.giver_id),
    )


def school_reasons(plan_id: int, school_id: int, *, by: User) -> SchoolReasons:
    """Tell what became of a school's needs: the methodist at any time, the school once it is published."""
    school = access.holder_of_district(by, school_id)
    plan = _plan_told_to(by, plan_id, school)
    problem, trips = _read(plan)
    reviews = None if problem is None else rules.review(problem, trips, school.id)
    return SchoolReasons(plan, school, reviews)


def latest_published(district_id: int) -> int | None:
    """Return the plan that the schools heard of last."""
    return db.session.scalar(
        sa.select(Plan.id)
        .where(Plan.district_id == district_id, Plan.state == PlanState.PUBLISHED)
        .order_by(Plan.published_at.desc(), Plan.id.desc())
        .limit(1)
    )


def _plan_told_to(by: User, plan_id: int, *holders: Holder) -> Plan:
    plan = db.session.get(Plan, plan_id)
    if plan is None or plan.district_id != by.district_id:
        raise NotFound
    if access.allowed(by, Action.MATCH):
        return plan
    if not plan.is_published:
        raise NotFound
    access.require_any(by, Action.SEE_TRANSFER, *holders)
    return plan


def _read(plan: Plan) -> tuple[rules.Problem | None, Sequence[rules.Trip]]:
    """Return what the plan was made from, and its trips without the lines that were taken out."""
    if plan.problem is None:
        return None, ()
    problem = snapshots.unpacked(plan.problem)
    supplies = {supply.id for supply in problem.supplies}
    needs = {need.id for need in problem.needs}
    shipments = {
        (line.supply_id, line.request_id): line.copies
        for line in plan.lines
        if not line.removed and line.supply_id in supplies and line.request_id in needs
    }
    return problem, rules.trips_of(problem, shipments)
