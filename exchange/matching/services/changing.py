"""Changing a draft: lines locked, fixed, taken out, put back; drafts thrown away and taken up again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.attributes import flag_modified

from exchange import journal
from exchange.catalog.models import Edition, Textbook
from exchange.clock import Clock
from exchange.db import db
from exchange.errors import Invalid, NotFound, WrongMoment
from exchange.ledger.models import Balance
from exchange.matching import rules
from exchange.matching.models import Plan, PlanLine, PlanState
from exchange.matching.services.plans import draft_of, lock_plans, open_draft, plan_of
from exchange.postings.models import Offer, RequestPart
from exchange.schools import access
from exchange.schools.models import Holder, User
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
            sa.or_(
                PlanLine.locked != locked,
                PlanLine.removed != removed,
                PlanLine.exact.is_(True) if not locked else sa.false(),
            ),
        )
        .order_by(PlanLine.id)
        .execution_options(populate_existing=True)
    ).all()
    if together:
        for other in together:
            other.locked, other.removed = locked, removed
            other.exact = other.exact and locked
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


def fix_copies(line_id: int, copies: int, *, by: User, clock: Clock) -> PlanLine:
    """Let the plan carry just ``copies`` on a line; the next solving goes around it.

    The other parts that travel in the same number go with it. The rest of the draft still has its former
    numbers, so that it can be published only after it was solved again. Raises ``Invalid`` for more copies
    than are offered or needed, less what other locked lines have. Repeating changes nothing.
    """
    access.require(by, Action.MATCH)
    plan_id = db.session.scalar(sa.select(PlanLine.plan_id).where(PlanLine.id == line_id))
    if plan_id is None:
        raise NotFound
    plan = open_draft(plan_id, seen=None, by=by)
    lines = db.session.scalars(
        sa.select(PlanLine)
        .options(joinedload(PlanLine.edition))
        .where(PlanLine.plan_id == plan.id)
        .order_by(PlanLine.id)
        .execution_options(populate_existing=True)
    ).all()
    line = next(each for each in lines if each.id == line_id)
    together = [each for each in lines if each is line or _travels_with(each, line)]
    if copies < 1:
        raise Invalid("Укажите, сколько экземпляров: хотя бы один.", field="copies")
    for each in together:
        _check_most(each, copies, [other for other in lines if other.locked and other not in together])
    changed = [
        each
        for each in together
        if (each.copies, each.locked, each.exact, each.removed) != (copies, True, True, False)
    ]
    if not changed:
        return line
    before = line.copies
    if any(each.copies != copies or each.removed for each in changed):
        plan.figures = {**plan.figures, "outdated": True}
    for each in changed:
        each.copies, each.locked, each.exact, each.removed = copies, True, True, False
    flag_modified(plan, "state")
    db.session.flush()
    journal.record(
        "plan",
        plan.id,
        "Количество закреплено: %(giver)s – %(taker)s, было %(before)s экз., стало %(copies)s",
        by_id=by.id,
        clock=clock,
        district_id=plan.district_id,
        giver=line.giver.short_name,
        taker=line.taker.short_name,
        before=before,
        copies=copies,
    )
    return line


def _travels_with(other: PlanLine, line: PlanLine) -> bool:
    return (
        (other.request_id, other.giver_id, other.copies, other.removed)
        == (line.request_id, line.giver_id, line.copies, line.removed)
        and other.edition.year == line.edition.year
        and other.edition.part != line.edition.part
    )


def _check_most(line: PlanLine, copies: int, locked: Sequence[PlanLine]) -> None:
    """Raise ``Invalid`` when there are not so many copies left beside the other ``locked`` lines."""
    part = db.session.get(RequestPart, (line.request_id, line.edition.part), populate_existing=True)
    wanted = (part.open if part is not None else 0) - sum(
        other.copies
        for other in locked
        if (other.request_id, other.edition.part) == (line.request_id, line.edition.part)
    )
    if copies > wanted:
        raise Invalid("По этой заявке нужно не больше %(most)s экз.", field="copies", most=max(0, wanted))
    if line.offer_id is None:
        there = db.session.scalar(
            sa.select(Balance.copies - Balance.promised).where(
                Balance.holder_id == line.giver_id,
                Balance.owner_id == line.owner_id,
                Balance.edition_id == line.edition_id,
            )
        )
    else:
        there = db.session.scalar(sa.select(Offer.copies - Offer.reserved).where(Offer.id == line.offer_id))
    given = (there or 0) - sum(
        other.copies
        for other in locked
        if (other.offer_id, other.giver_id, other.owner_id, other.edition_id)
        == (line.offer_id, line.giver_id, line.owner_id, line.edition_id)
    )
    if copies > given:
        raise Invalid("Отдать могут не больше %(most)s экз.", field="copies", most=max(0, given))


@dataclass(frozen=True)
class LonePart:
    """Copies of one part that a draft brings a school without the other parts of its sets."""

    taker: str
    title: str
    part: int
    copies: int


def lone_parts(plan: Plan) -> Sequence[LonePart]:
    """Return what would travel in vain if the plan were published as it stands."""
    rows = db.session.execute(
        sa.select(
            PlanLine.request_id,
            Edition.part,
            sa.func.sum(PlanLine.copies).label("copies"),
            Holder.short_name.label("taker"),
            Textbook.title,
            Textbook.id.label("textbook_id"),
        )
        .join(Edition, Edition.id == PlanLine.edition_id)
        .join(Textbook, Textbook.id == Edition.textbook_id)
        .join(Holder, Holder.id == PlanLine.taker_id)
        .where(PlanLine.plan_id == plan.id, PlanLine.removed.is_(False), Textbook.parts > 1)
        .group_by(PlanLine.request_id, Edition.part, Holder.short_name, Textbook.title, Textbook.id)
        .order_by(Holder.short_name, Textbook.title, PlanLine.request_id, Edition.part)
    ).all()
    wanted: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for request_id, part, copies in db.session.execute(
        sa.select(RequestPart.request_id, RequestPart.part, RequestPart.copies - RequestPart.matched).where(
            RequestPart.request_id.in_({row.request_id for row in rows})
        )
    ):
        wanted[request_id][part] = copies
    brought: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for row in rows:
        brought[row.request_id][row.part] = row.copies
    found = []
    for row in rows:
        parts = wanted[row.request_id]
        need = rules.Need(row.request_id, 0, row.textbook_id, tuple(sorted(parts.items())))
        got = brought[row.request_id]
        lonely = got[row.part] - rules.completing(need, got).get(row.part, 0)
        if lonely > 0 and any(copies and got.get(part, 0) < got[row.part] for part, copies in parts.items()):
            found.append(LonePart(row.taker, row.title, row.part, lonely))
    return found


def restore(plan_id: int, *, by: User, clock: Clock) -> Plan:
    """Make an earlier discarded plan the draft again; the present draft is discarded instead.

    What has become impossible since is found when it is published. Repeating changes nothing.
    """
    access.require(by, Action.MATCH)
    lock_plans(by.district_id)
    plan = plan_of(plan_id, by=by, lock=True)
    if plan.is_draft:
        return plan
    if plan.is_published:
        raise WrongMoment("Этот план уже опубликован: вернуть можно только черновик.")
    former = draft_of(by.district_id, lock=True)
    if former is not None:
        former.state = PlanState.DISCARDED
    plan.state = PlanState.DRAFT
    db.session.flush()
    journal.record(
        "plan", plan.id, "План снова взят в работу", by_id=by.id, clock=clock, district_id=plan.district_id
    )
    return plan


def discard(plan_id: int, *, seen: int | None, by: User, clock: Clock) -> Plan:
    """Throw a draft away; nobody but the methodist has seen it."""
    plan = open_draft(plan_id, seen=seen, by=by)
    plan.state = PlanState.DISCARDED
    db.session.flush()
    journal.record("plan", plan.id, "План отброшен", by_id=by.id, clock=clock, district_id=plan.district_id)
    return plan
