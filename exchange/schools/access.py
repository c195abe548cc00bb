"""The door: who is asking, may they, and which rows are theirs to see."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import sqlalchemy as sa
from flask_login import current_user

from exchange.db import db
from exchange.errors import Forbidden, NotFound
from exchange.schools.models import Holder, Membership, User
from exchange.schools.rules import Action, Duty, HolderKind, Place, Role, may

FORBIDDEN = "У вас нет права на это действие."


def current() -> User:
    """Return the person signed in to this request."""
    return cast(User, current_user._get_current_object())


def allowed(by: User, action: Action, holder: Holder | None = None) -> bool:
    """Say whether ``by`` may do ``action`` at ``holder``, or in their district where none is given."""
    return may(by.duties, action, holder.place if holder else Place(by.district_id))


def require(by: User, action: Action, holder: Holder | None = None) -> None:
    """Raise ``NotFound`` for another district's holder and ``Forbidden`` where the role does not allow."""
    if holder is not None and holder.district_id != by.district_id:
        raise NotFound
    if not allowed(by, action, holder):
        raise Forbidden(FORBIDDEN)


def require_private(by: User, action: Action, holder: Holder) -> None:
    """Like ``require``, but what belongs to another school looks as if it were not there."""
    if holder.district_id != by.district_id or not allowed(by, action, holder):
        raise NotFound


def require_any(by: User, action: Action, *holders: Holder) -> None:
    """Let pass whoever may do ``action`` at one of the holders; to anybody else there is nothing here."""
    if not any(h.district_id == by.district_id and allowed(by, action, h) for h in holders):
        raise NotFound


def holder_of_district(by: User, holder_id: int) -> Holder:
    """Return a school or storage place of the person's own district, or raise ``NotFound``."""
    holder = db.session.get(Holder, holder_id)
    if (
        holder is None
        or holder.district_id != by.district_id
        or holder.kind not in {HolderKind.SCHOOL, HolderKind.FUND}
    ):
        raise NotFound
    return holder


def acting_for(by: User, action: Action) -> list[Holder]:
    """Return the schools and storage places at which ``by`` may do ``action``, by name."""
    holders = db.session.scalars(
        sa.select(Holder)
        .where(Holder.district_id == by.district_id, Holder.kind.in_([HolderKind.SCHOOL, HolderKind.FUND]))
        .order_by(Holder.kind.desc(), Holder.short_name)
    )
    return [holder for holder in holders if allowed(by, action, holder)]


def where_allowed(by: User, *actions: Action) -> sa.Select[int]:
    """Return, as a subquery, the ids of the holders at which ``by`` may do any of the actions.

    Like ``acting_for``, without loading the holders: for conditions of other queries.
    """
    return _where_allowed(tuple(by.duties), by.district_id, actions)


@lru_cache(maxsize=1024)
def _where_allowed(duties: tuple[Duty, ...], district_id: int, actions: tuple[Action, ...]) -> sa.Select[int]:
    # Every page asks this several times; to put the condition together takes longer than to run it.
    own, kinds = _places(duties, district_id, actions)
    return sa.select(Holder.id).where(
        Holder.district_id == district_id, sa.or_(Holder.id.in_(own), Holder.kind.in_(kinds))
    )


def allowed_somewhere(by: User, *actions: Action) -> bool:
    """Say whether there is any school or storage place at which ``by`` may do any of the actions."""
    return any(_places(tuple(by.duties), by.district_id, actions))


def _places(
    duties: tuple[Duty, ...], district_id: int, actions: tuple[Action, ...]
) -> tuple[Sequence[int], Sequence[HolderKind]]:
    """Return the schools by id, and the kinds of the district's holders, where one may do any of it."""

    def may_any(place: Place) -> bool:
        return any(may(duties, action, place) for action in actions)

    schools = {duty.school_id for duty in duties if duty.school_id is not None}
    own = sorted(id_ for id_ in schools if may_any(Place(district_id, id_, HolderKind.SCHOOL)))
    kinds = [k for k in (HolderKind.SCHOOL, HolderKind.FUND) if may_any(Place(district_id, None, k))]
    return own, kinds


def people_who_may(action: Action, holder: Holder) -> list[int]:
    """Return the ids of the active people who may do ``action`` at ``holder``, and are to be told of it."""
    users = db.session.scalars(
        sa.select(User).where(User.district_id == holder.district_id, User.active.is_(True))
    )
    return [user.id for user in users if may(user.duties, action, holder.place)]


def methodists(district_id: int) -> list[int]:
    """Return the ids of the active methodists of a district."""
    query: sa.Select[Any] = (
        sa.select(User.id)
        .join(Membership)
        .where(User.district_id == district_id, User.active.is_(True), Membership.role == Role.METHODIST)
    )
    return list(db.session.scalars(query))
