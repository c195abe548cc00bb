"""What the methodist wants of every plan until it is taken back: givers ruled out, givers wanted first."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from exchange import journal
from exchange.clock import Clock
from exchange.db import db
from exchange.errors import Invalid, NotFound
from exchange.matching.models import Wish, WishKind
from exchange.matching.services.plans import lock_plans
from exchange.postings.models import Request
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind

_WISHED = {
    WishKind.FORBID: "Исключено в подборе: %(giver)s – %(taker)s",
    WishKind.PREFER: "В подборе сначала: %(giver)s – %(taker)s",
}


def wishes(*, by: User) -> Sequence[Wish]:
    """Return the wishes of the person's district, the oldest first."""
    access.require(by, Action.MATCH)
    return db.session.scalars(
        sa.select(Wish)
        .options(
            joinedload(Wish.giver),
            joinedload(Wish.taker),
            joinedload(Wish.request).joinedload(Request.textbook),
        )
        .where(Wish.district_id == by.district_id)
        .order_by(Wish.id)
    ).all()


def wish(
    kind: WishKind,
    *,
    giver_id: int,
    taker_id: int | None = None,
    request_id: int | None = None,
    by: User,
    clock: Clock,
) -> Wish:
    """Rule a giver out for a taker (``taker_id``) or for one request, or want it first for a request.

    Holds for every plan made from now on. The opposite wish about the same is taken back; repeating changes
    nothing. Raises ``Invalid``, and ``NotFound`` for what is not of the person's district.
    """
    access.require(by, Action.MATCH)
    request = db.session.get(Request, request_id) if request_id is not None else None
    if request_id is not None and (request is None or request.district_id != by.district_id):
        raise NotFound
    if kind is WishKind.PREFER and request is None:
        raise Invalid("Предпочесть школу можно по одной заявке.")
    giver = _holder(giver_id, {HolderKind.SCHOOL, HolderKind.FUND}, by)
    taker = _holder(request.school_id if request is not None else taker_id, {HolderKind.SCHOOL}, by)
    if giver.id == taker.id:
        raise Invalid("Школа не отдаёт сама себе.")
    # The key of the table does not hold for wishes without a request: they are made one after the other.
    lock_plans(by.district_id)
    present = {
        each.kind: each
        for each in db.session.scalars(
            sa.select(Wish)
            .where(
                Wish.giver_id == giver.id,
                Wish.taker_id == taker.id,
                Wish.request_id.is_(None) if request is None else Wish.request_id == request.id,
            )
            .execution_options(populate_existing=True)
        )
    }
    if kind in present:
        return present[kind]
    for opposite in present.values():
        db.session.delete(opposite)
    made = Wish(
        district_id=by.district_id,
        kind=kind,
        giver_id=giver.id,
        taker_id=taker.id,
        request_id=request.id if request is not None else None,
        created_by_id=by.id,
        created_at=clock.now(),
    )
    db.session.add(made)
    db.session.flush()
    _record(made, _WISHED[kind], by=by, clock=clock)
    return made


def take_back(wish_id: int, *, by: User, clock: Clock) -> None:
    """Let a wish hold no longer; one that is gone already may be taken back again."""
    access.require(by, Action.MATCH)
    lock_plans(by.district_id)
    found = db.session.get(Wish, wish_id, populate_existing=True)
    if found is None:
        return
    if found.district_id != by.district_id:
        raise NotFound
    _record(found, "Пожелание к подбору снято: %(giver)s – %(taker)s", by=by, clock=clock)
    db.session.delete(found)
    db.session.flush()


def _holder(holder_id: int | None, kinds: set[HolderKind], by: User) -> Holder:
    holder = db.session.get(Holder, holder_id) if holder_id is not None else None
    if holder is None or holder.district_id != by.district_id or holder.kind not in kinds:
        raise NotFound
    return holder


def _record(about: Wish, message: str, *, by: User, clock: Clock) -> None:
    # Not with the request or the school: what is planned is nobody's business there until it is published.
    journal.record(
        "plan_wish",
        about.id,
        message,
        by_id=by.id,
        clock=clock,
        district_id=about.district_id,
        giver=about.giver.short_name,
        taker=about.taker.short_name,
    )
