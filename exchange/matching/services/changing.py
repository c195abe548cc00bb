"""Changing a draft: lines locked, taken out, put back; the draft thrown away."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm.attributes import flag_modified

from exchange import journal
from exchange.clock import Clock
from exchange.db import db
from exchange.errors import NotFound
from exchange.matching.models import Plan, PlanLine, PlanState
from exchange.matching.services.plans import open_draft
from exchange.schools import access
from exchange.schools.models import User
from exchange.schools.rules import Action


def mark_line(line_id: int, mark: str, *, by: User, clock: Clock) -> PlanLine:
    """Lock a line of a draft (``mark`` «lock»), let it go («free»), take it out («remove»), put it back
    («restore»). Repeating changes nothing.

    The lines of the same giver for the same request go with it: the parts of a textbook travel together, and
    the next plan asks this giver for all of them or for none.
    """
    access.require(by, Action.MATCH)
    # Only the address before the lock: what somebody else changes meanwhile must not be read too early.
    plan_id = db.session.scalar(sa.select(PlanLine.plan_id).where(PlanLine.id == line_id))
    if plan_id is None:
        raise NotFound
    plan = open_draft(plan_id, seen=None, by=by)
    line = db.session.get_one(PlanLine, line_id, populate_existing=True)
    locked, removed = {
        "lock": (True, False),
        "free": (False, False),
        "remove": (False, True),
        "restore": (False, False),
    }[mark]
    together = db.session.scalars(
        sa.select(PlanLine)
        .where(
            PlanLine.plan_id == plan.id,
            PlanLine.request_id == line.request_id,
            PlanLine.giver_id == line.giver_id,
            sa.or_(PlanLine.locked != locked, PlanLine.removed != removed),
        )
        .order_by(PlanLine.id)
        .execution_options(populate_existing=True)
    ).all()
    if together:
        for other in together:
            other.locked, other.removed = locked, removed
        # A page that shows the plan without this must not publish it.
        flag_modified(plan, "state")
        db.session.flush()
        journal.record(
            "plan",
            plan.id,
            _MARKS[mark],
            by_id=by.id,
            clock=clock,
            district_id=plan.district_id,
            giver=line.giver.short_name,
            taker=line.taker.short_name,
            copies=sum(other.copies for other in together),
        )
    return line


_MARKS = {
    "lock": "Закреплено: %(giver)s – %(taker)s, %(copies)s экз.",
    "free": "Откреплено: %(giver)s – %(taker)s, %(copies)s экз.",
    "remove": "Убрано: %(giver)s – %(taker)s, %(copies)s экз.",
    "restore": "Возвращено: %(giver)s – %(taker)s, %(copies)s экз.",
}


def discard(plan_id: int, *, seen: int | None, by: User, clock: Clock) -> Plan:
    """Throw a draft away; nobody but the methodist has seen it."""
    plan = open_draft(plan_id, seen=seen, by=by)
    plan.state = PlanState.DISCARDED
    db.session.flush()
    journal.record("plan", plan.id, "План отброшен", by_id=by.id, clock=clock, district_id=plan.district_id)
    return plan
