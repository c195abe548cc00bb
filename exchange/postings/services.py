"""Surpluses and requests: reserving and matching."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm.util import identity_key

from exchange.db import Base, db
from exchange.errors import Invalid, NotFound
from exchange.postings.models import Offer, Request, RequestPart
from exchange.postings.rules import PostingState

NOT_ENOUGH_OFFERED = (
    "В излишках этой школы свободно только %(free)s, а нужно %(needed)s. Уменьшите количество."
)
NOT_ENOUGH_WANTED = "По этой заявке не хватает уже только %(open)s, а предложено %(offered)s."


def reserve(offer_id: int, copies: int) -> None:
    """Take ``copies`` out of what can still be asked for of an offer; a negative number gives them back.

    One conditional UPDATE: two people cannot have the same copy. Raises ``Invalid`` when fewer are left or
    the offer is no longer open; giving back is always possible.
    """
    conditions = [Offer.id == offer_id, Offer.reserved + copies >= 0]
    if copies > 0:
        conditions += [Offer.state == PostingState.OPEN, Offer.copies - Offer.reserved >= copies]
    result = db.session.execute(
        sa.update(Offer)
        .where(*conditions)
        .values(reserved=Offer.reserved + copies)
        .execution_options(synchronize_session=False)
    )
    _forget(Offer, offer_id)
    if result.rowcount:  # type: ignore[attr-defined]
        return
    offer = db.session.get(Offer, offer_id)
    if offer is None:
        raise NotFound
    if copies <= 0:
        raise ValueError("more copies given back than were reserved")
    if offer.state is not PostingState.OPEN:
        raise Invalid("Этот излишек уже снят с доски.")
    raise Invalid(NOT_ENOUGH_OFFERED, field="copies", free=offer.free, needed=copies)


def match(request_id: int, part: int, copies: int) -> None:
    """Count ``copies`` of a part as on their way to the asking school; a negative number frees them.

    One conditional UPDATE. Raises ``Invalid`` when fewer are still missing or the request is no longer open;
    freeing is always possible.
    """
    conditions = [
        RequestPart.request_id == request_id,
        RequestPart.part == part,
        RequestPart.matched + copies >= 0,
    ]
    if copies > 0:
        is_open = sa.select(Request.id).where(Request.id == request_id, Request.state == PostingState.OPEN)
        conditions += [RequestPart.copies - RequestPart.matched >= copies, is_open.exists()]
    result = db.session.execute(
        sa.update(RequestPart)
        .where(*conditions)
        .values(matched=RequestPart.matched + copies)
        .execution_options(synchronize_session=False)
    )
    _forget(RequestPart, (request_id, part))
    if result.rowcount:  # type: ignore[attr-defined]
        return
    wanted = db.session.get(RequestPart, (request_id, part))
    if wanted is None:
        raise NotFound
    if copies <= 0:
        raise ValueError("more copies freed than were matched")
    if wanted.request.state is not PostingState.OPEN:
        raise Invalid("Эта заявка уже снята с доски.")
    raise Invalid(NOT_ENOUGH_WANTED, field="copies", open=wanted.open, offered=copies)


def _forget(table: type[Base], key: int | tuple[int, int]) -> None:
    """Let a loaded object read its row anew: it was changed past the session."""
    loaded = db.session.identity_map.get(identity_key(table, key))
    if loaded is not None:
        db.session.expire(loaded)
