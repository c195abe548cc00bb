"""The district's plans: which one is open, who may see it."""

from __future__ import annotations

import sqlalchemy as sa

from exchange import runs
from exchange.clock import Clock
from exchange.db import db
from exchange.errors import NotFound, Stale, WrongMoment
from exchange.matching.models import Plan, PlanState
from exchange.schools import access
from exchange.schools.models import District, User
from exchange.schools.rules import Action

RUN_KIND = "matching"
FRONTIER_KIND = "frontier"


def draft_of(district_id: int, *, lock: bool = False) -> Plan | None:
    """Return the district's one draft, if there is one."""
    query = sa.select(Plan).where(Plan.district_id == district_id, Plan.state == PlanState.DRAFT)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return db.session.scalar(query)


def last_published(district_id: int) -> Plan | None:
    """Return the plan of the district that was published last, if any was."""
    return db.session.scalar(
        sa.select(Plan)
        .where(Plan.district_id == district_id, Plan.state == PlanState.PUBLISHED)
        .order_by(Plan.published_at.desc(), Plan.id.desc())
        .limit(1)
    )


def plan_of(plan_id: int, *, by: User, lock: bool = False) -> Plan:
    """Return a plan of the person's district; the methodist alone sees it before it is published."""
    access.require(by, Action.MATCH)
    plan = db.session.get(Plan, plan_id, with_for_update=lock or None)
    if plan is None or plan.district_id != by.district_id:
        raise NotFound
    return plan


def open_draft(plan_id: int, *, seen: int | None, by: User) -> Plan:
    """Return a draft to be changed, locked; ``seen`` is the version that the person saw."""
    plan = plan_of(plan_id, by=by, lock=True)
    if plan.state is not PlanState.DRAFT:
        raise WrongMoment("Этот план уже опубликован или заменён новым. Откройте последний план.")
    if seen is not None and seen != plan.version:
        raise Stale("План уже изменили на другой странице. Обновите эту.")
    return plan


def working(district_id: int, *, kind: str = RUN_KIND, clock: Clock) -> runs.Run | None:
    """Return the run of ``kind`` that the district's plans are at now, if any: that makes one by default."""
    run = db.session.scalar(
        sa.select(runs.Run)
        .where(
            runs.Run.district_id == district_id,
            runs.Run.kind == kind,
            runs.Run.state.in_(runs.LIVE),
        )
        .order_by(runs.Run.id.desc())
        .limit(1)
    )
    return None if run is None or runs.lost(run, clock=clock) else run


def lock_plans(district_id: int) -> None:
    """Let nobody else order or store a plan of the district until this unit of work ends."""
    db.session.execute(sa.select(District.id).where(District.id == district_id).with_for_update())
