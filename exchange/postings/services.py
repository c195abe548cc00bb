"""Surpluses and requests: posting, changing, withdrawing, renewing, reserving, expiring."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlalchemy.orm.attributes import flag_modified
from sqlalchemy.orm.util import identity_key

from exchange import journal
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import Verdict
from exchange.clock import Clock
from exchange.db import Base, db, insert_if_absent
from exchange.errors import Invalid, NotFound, Stale, WrongMoment
from exchange.ledger.models import Balance
from exchange.postings import rules
from exchange.postings.models import GivingLimit, Offer, Request, RequestPart
from exchange.postings.rules import Limit, OfferKind, PostingState, ShortageReason, Side
from exchange.schools import access
from exchange.schools.models import District, Holder, Road, User
from exchange.schools.rules import Action, HolderKind, Place, may
from exchange.stock import services as stock
from exchange.stock.models import Floor, ShelfNote
from exchange.stock.rules import Condition, sets_of

NOT_ENOUGH_OFFERED = (
    "В излишках этой школы свободно только %(free)s, а нужно %(needed)s. Уменьшите количество."
)
NOT_ENOUGH_WANTED = "По этой заявке не хватает уже только %(open)s, а предложено %(offered)s."
OFFER_REMINDER = "Излишек скоро снимется с доски (%(on)s): %(book)s. Продлите, если книги ещё можно отдать"
REQUEST_REMINDER = "Заявка скоро снимется с доски (%(on)s): %(book)s. Продлите, если книги ещё нужны"

_line = sa.table(
    "transfer_line",
    *map(sa.column, ("transfer_id", "offer_id", "request_id", "asked", "agreed")),
)
_transfer = sa.table("transfer", *map(sa.column, ("id", "state", "giver_id", "taker_id")))
# Features above this one own these two tables. Copies that were asked for but not yet agreed are promised
# nowhere in the ledger, so the shelf can only be read together with them.
PROPOSED = "proposed"


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


def free_on_shelf(holder_id: int, edition_ids: Collection[int]) -> dict[int, int]:
    """Return, per edition, the school's own copies that it could still offer, in copies; never negative.

    Own copies only: what a school has on loan is not its to give. Not worn out, not promised to an agreed
    transfer, not asked for by somebody, not in another open offer.
    """
    shelf = {
        row.edition_id: row
        for row in db.session.execute(
            sa.select(
                Balance.edition_id,
                (Balance.copies - Balance.promised).label("unpromised"),
                sa.func.coalesce(ShelfNote.worn, 0).label("worn"),
            )
            .outerjoin(
                ShelfNote,
                sa.and_(ShelfNote.holder_id == Balance.holder_id, ShelfNote.edition_id == Balance.edition_id),
            )
            .where(
                Balance.holder_id == holder_id,
                Balance.owner_id == holder_id,
                Balance.edition_id.in_(edition_ids),
            )
        )
    }
    offered = _sums(
        sa.select(Offer.edition_id, sa.func.sum(Offer.copies - Offer.reserved)).where(
            Offer.holder_id == holder_id,
            Offer.edition_id.in_(edition_ids),
            Offer.state == PostingState.OPEN,
        )
    )
    asked = _sums(
        sa.select(Offer.edition_id, sa.func.sum(_line.c.asked))
        .join(_line, _line.c.offer_id == Offer.id)
        .join(_transfer, _transfer.c.id == _line.c.transfer_id)
        .where(
            Offer.holder_id == holder_id,
            Offer.edition_id.in_(edition_ids),
            _transfer.c.state == PROPOSED,
        )
    )
    return {
        edition_id: rules.free_to_offer(
            unpromised=shelf[edition_id].unpromised,
            worn=shelf[edition_id].worn,
            offered=offered.get(edition_id, 0),
            asked=asked.get(edition_id, 0),
        )
        if edition_id in shelf
        else 0
        for edition_id in edition_ids
    }


def post_offer(
    *,
    holder: Holder,
    edition: Edition,
    copies: int,
    kind: OfferKind,
    condition: Condition,
    due_back: date | None = None,
    available_from: date | None = None,
    expires_on: date,
    note: str = "",
    by: User,
    clock: Clock,
) -> Offer:
    """Post a surplus of a school: ``copies`` of one edition, open to and including ``expires_on``.

    Raises ``Invalid`` when more is offered than is free on the shelf or the terms do not fit together.
    """
    access.require(by, Action.POST_OFFER, holder)
    if holder.kind is not HolderKind.SCHOOL:
        raise Invalid("Свободные книги фонда видны на доске сами, размещать их не нужно.")
    due_back = rules.check_offer(
        copies=copies,
        kind=kind,
        due_back=due_back,
        available_from=available_from,
        expires_on=expires_on,
        today=clock.today(holder.district.timezone),
    )
    rules.check_legal(_verdict(edition.textbook_id, holder, clock), kind)
    _lock_shelf(holder.id, edition.id)
    _check_free(holder.id, edition.id, copies)
    offer = Offer(
        district_id=holder.district_id,
        holder_id=holder.id,
        edition_id=edition.id,
        copies=copies,
        kind=kind,
        condition=condition,
        due_back=due_back,
        available_from=available_from,
        expires_on=expires_on,
        note=note.strip(),
        state=PostingState.OPEN,
        reserved=0,
        created_at=clock.now(),
    )
    db.session.add(offer)
    db.session.flush()
    _record_offer(
        offer,
        "Размещён излишек: %(book)s – %(copies)s экз.",
        by=by,
        clock=clock,
        copies=copies,
    )
    return offer


def change_offer(
    offer_id: int,
    *,
    copies: int,
    kind: OfferKind,
    condition: Condition,
    due_back: date | None,
    available_from: date | None,
    expires_on: date,
    note: str,
    seen: int | None,
    by: User,
    clock: Clock,
) -> Offer:
    """Change the terms of an open offer; never below what is reserved, never above what is on the shelf."""
    offer = _locked_offer(offer_id, seen=seen, by=by)
    _require_open(offer.state)
    due_back = rules.check_offer(
        copies=copies,
        kind=kind,
        due_back=due_back,
        available_from=available_from,
        expires_on=expires_on,
        today=clock.today(offer.holder.district.timezone),
    )
    rules.check_not_below_reserved(copies, offer.reserved)
    rules.check_legal(_verdict(offer.edition.textbook_id, offer.holder, clock), kind)
    if copies > offer.copies:
        _lock_shelf(offer.holder_id, offer.edition_id)
        _check_free(offer.holder_id, offer.edition_id, copies - offer.copies, in_offer=offer.copies)
    before = offer.copies
    offer.copies = copies
    offer.kind = kind
    offer.condition = condition
    offer.due_back = due_back
    offer.available_from = available_from
    offer.expires_on = expires_on
    offer.note = note.strip()
    db.session.flush()
    _record_offer(
        offer,
        "Изменён излишек: %(book)s – было %(before)s экз., стало %(copies)s",
        by=by,
        clock=clock,
        before=before,
        copies=copies,
    )
    return offer


def withdraw_offer(offer_id: int, *, seen: int | None = None, by: User, clock: Clock) -> Offer:
    """Take an offer off the board; copies already reserved stay with their transfers."""
    offer = _locked_offer(offer_id, seen=seen, by=by)
    _require_open(offer.state)
    offer.state = PostingState.WITHDRAWN
    db.session.flush()
    _record_offer(
        offer,
        "Отозван излишек: %(book)s – было свободно %(free)s экз.",
        by=by,
        clock=clock,
        free=offer.free,
    )
    return offer


def renew_offer(offer_id: int, *, expires_on: date, seen: int | None = None, by: User, clock: Clock) -> Offer:
    """Keep an offer on the board, or put an expired one back, to and including ``expires_on``."""
    offer = _locked_offer(offer_id, seen=seen, by=by)
    rules.check_renewable(offer.state)
    rules.check_expiry(expires_on, today=clock.today(offer.holder.district.timezone))
    if offer.state is PostingState.EXPIRED:
        _lock_shelf(offer.holder_id, offer.edition_id)
        _check_free(offer.holder_id, offer.edition_id, offer.free)
    offer.state = PostingState.OPEN
    offer.expires_on = expires_on
    db.session.flush()
    _record_offer(
        offer,
        "Продлён излишек: %(book)s – до %(on)s",
        by=by,
        clock=clock,
        on=rules.written(expires_on),
    )
    return offer


def post_request(
    *,
    school: Holder,
    textbook: Textbook,
    copies_by_part: Mapping[int, int],
    reason: ShortageReason,
    needed_by: date | None = None,
    year_from: int | None = None,
    loan_acceptable: bool = True,
    mixing: bool = True,
    condition_from: Condition = Condition.FAIR,
    expires_on: date,
    note: str = "",
    by: User,
    clock: Clock,
) -> Request:
    """Ask the district for what a school lacks of a textbook, by part, to and including ``expires_on``.

    One open request per school and textbook: two would ask for the same pupils twice. Raises ``Invalid``.
    """
    access.require(by, Action.POST_REQUEST, school)
    if school.kind is not HolderKind.SCHOOL:
        raise Invalid("Заявку подаёт школа.")
    wanted = _checked_request(
        school,
        textbook,
        copies_by_part,
        needed_by=needed_by,
        year_from=year_from,
        expires_on=expires_on,
        clock=clock,
    )
    rules.check_legal(_verdict(textbook.id, school, clock))
    # Requests of one school are posted one after the other, so that the look below sees them all.
    db.session.execute(sa.select(Holder.id).where(Holder.id == school.id).with_for_update(key_share=True))
    if open_request(school.id, textbook.id) is not None:
        raise Invalid("Заявка на этот учебник у школы уже есть. Измените количество в ней.")
    request = Request(
        district_id=school.district_id,
        school_id=school.id,
        textbook_id=textbook.id,
        reason=reason,
        needed_by=needed_by,
        year_from=year_from,
        loan_acceptable=loan_acceptable,
        mixing=mixing,
        condition_from=condition_from,
        expires_on=expires_on,
        note=note.strip(),
        state=PostingState.OPEN,
        created_at=clock.now(),
        parts=[RequestPart(part=part, copies=copies, matched=0) for part, copies in wanted.items()],
    )
    db.session.add(request)
    db.session.flush()
    _record_request(
        request,
        "Размещена заявка: %(book)s – %(copies)s экз.",
        by=by,
        clock=clock,
        copies=sum(wanted.values()),
    )
    return request


def change_request(
    request_id: int,
    *,
    copies_by_part: Mapping[int, int],
    reason: ShortageReason,
    needed_by: date | None,
    year_from: int | None,
    loan_acceptable: bool,
    mixing: bool | None = None,
    condition_from: Condition | None = None,
    expires_on: date,
    note: str,
    seen: int | None,
    by: User,
    clock: Clock,
) -> Request:
    """Change an open request; of no part fewer copies than are already on their way.

    ``mixing`` and ``condition_from`` ``None``: as they were.
    """
    request = _locked_request(request_id, seen=seen, by=by)
    _require_open(request.state)
    wanted = _checked_request(
        request.school,
        request.textbook,
        copies_by_part,
        needed_by=needed_by,
        year_from=year_from,
        expires_on=expires_on,
        clock=clock,
    )
    present = {part.part: part for part in request.parts}
    before = sum(part.copies for part in request.parts)
    for number, part in present.items():
        rules.check_not_below_matched(wanted.get(number, 0), part.matched, part=number)
    for number, part in present.items():
        if number in wanted:
            part.copies = wanted[number]
        else:
            db.session.delete(part)
    for number in sorted(wanted.keys() - present.keys()):
        db.session.add(RequestPart(request_id=request.id, part=number, copies=wanted[number], matched=0))
    request.reason = reason
    request.needed_by = needed_by
    request.year_from = year_from
    request.loan_acceptable = loan_acceptable
    if mixing is not None:
        request.mixing = mixing
    if condition_from is not None:
        request.condition_from = condition_from
    request.expires_on = expires_on
    request.note = note.strip()
    _touch(request)
    db.session.flush()
    db.session.refresh(request)
    _record_request(
        request,
        "Изменена заявка: %(book)s – было %(before)s экз., стало %(copies)s",
        by=by,
        clock=clock,
        before=before,
        copies=sum(wanted.values()),
    )
    return request


def withdraw_request(request_id: int, *, seen: int | None = None, by: User, clock: Clock) -> Request:
    """Take a request off the board; copies already on their way stay with their transfers."""
    request = _locked_request(request_id, seen=seen, by=by)
    _require_open(request.state)
    request.state = PostingState.WITHDRAWN
    db.session.flush()
    missing = sum(part.open for part in request.parts)
    _record_request(
        request,
        "Отозвана заявка: %(book)s – не хватало %(missing)s экз.",
        by=by,
        clock=clock,
        missing=missing,
    )
    return request


def renew_request(
    request_id: int, *, expires_on: date, seen: int | None = None, by: User, clock: Clock
) -> Request:
    """Keep a request on the board, or put an expired one back, to and including ``expires_on``."""
    request = _locked_request(request_id, seen=seen, by=by)
    rules.check_renewable(request.state)
    rules.check_expiry(expires_on, today=clock.today(request.school.district.timezone))
    other = open_request(request.school_id, request.textbook_id)
    if other is not None and other != request.id:
        raise Invalid("Заявка на этот учебник у школы уже есть. Измените количество в ней.")
    request.state = PostingState.OPEN
    request.expires_on = expires_on
    db.session.flush()
    _record_request(
        request,
        "Продлена заявка: %(book)s – до %(on)s",
        by=by,
        clock=clock,
        on=rules.written(expires_on),
    )
    return request


def open_request(school_id: int, textbook_id: int) -> int | None:
    """Return the id of the school's open request for the textbook, if there is one."""
    return db.session.scalar(
        sa.select(Request.id).where(
            Request.school_id == school_id,
            Request.textbook_id == textbook_id,
            Request.state == PostingState.OPEN,
        )
    )


# --- what a school lays down for all it gives ---


def limit_of(school: Holder) -> Limit:
    """Return what a school lays down for everything it gives; nothing where it has said nothing."""
    return _limit(db.session.get(GivingLimit, school.id))


def limits(district_id: int) -> dict[int, Limit]:
    """Return, by school, the limits of a district's schools that have laid down something."""
    rows = db.session.scalars(
        sa.select(GivingLimit)
        .join(Holder, Holder.id == GivingLimit.school_id)
        .where(Holder.district_id == district_id)
    )
    return {row.school_id: _limit(row) for row in rows}


def set_limit(*, school: Holder, limit: Limit, by: User, clock: Clock) -> bool:
    """Store what a school lays down for everything it gives; return whether that is anything new.

    What is agreed already stays agreed. Raises ``Invalid`` naming the field.
    """
    access.require(by, Action.POST_OFFER, school)
    if school.kind is not HolderKind.SCHOOL:
        raise NotFound
    rules.check_limit(limit)
    insert_if_absent(GivingLimit, school_id=school.id, kept_grades=[], version=1)
    row = db.session.get_one(GivingLimit, school.id, populate_existing=True, with_for_update=True)
    if _limit(row) == limit:
        return False
    row.not_before = limit.not_before
    row.kept_grades = sorted(limit.kept_grades)
    row.most_trips = limit.most_trips
    db.session.flush()
    journal.record(
        "holder",
        school.id,
        "Как школа отдаёт: не раньше %(day)s; не отдаёт классы: %(grades)s; школ в одном плане: %(trips)s",
        by_id=by.id,
        clock=clock,
        district_id=school.district_id,
        day=rules.written(limit.not_before) if limit.not_before else "–",
        grades=", ".join(map(str, sorted(limit.kept_grades))) or "–",
        trips=limit.most_trips or "–",
    )
    return True


def _limit(row: GivingLimit | None) -> Limit:
    if row is None:
        return Limit()
    return Limit(row.not_before, frozenset(row.kept_grades), row.most_trips)


def expire(*, clock: Clock) -> int:
    """Take everything whose last day has passed off the board; return how many postings that were.

    The school is told when something was left of it. To be run once a day.
    """
    done = 0
    for district in db.session.scalars(sa.select(District).order_by(District.id)):
        today = clock.today(district.timezone)
        for offer in _offers(district.id, Offer.expires_on < today):
            offer.state = PostingState.EXPIRED
            to = access.people_who_may(Action.POST_OFFER, offer.holder) if offer.free else []
            _record_offer(
                offer,
                "Срок излишка вышел: %(book)s – осталось %(free)s экз.",
                by=None,
                clock=clock,
                to=to,
                free=offer.free,
            )
            done += 1
        for request in _requests(district.id, Request.expires_on < today):
            request.state = PostingState.EXPIRED
            missing = sum(part.open for part in request.parts)
            to = access.people_who_may(Action.POST_REQUEST, request.school) if missing else []
            _record_request(
                request,
                "Срок заявки вышел: %(book)s – не хватает %(missing)s экз.",
                by=None,
                clock=clock,
                to=to,
                missing=missing,
            )
            done += 1
    return done


def remind(*, clock: Clock) -> int:
    """Write to the schools whose postings end soon, once per end date; return how many letters' causes."""
    done = 0
    for district in db.session.scalars(sa.select(District).order_by(District.id)):
        limit = rules.warn_until(clock.today(district.timezone))
        offers = [o for o in _offers(district.id, Offer.expires_on <= limit) if o.free]
        told = _reminded("offer", [offer.id for offer in offers])
        for offer in offers:
            on = rules.written(offer.expires_on)
            if (offer.id, on) not in told:
                to = access.people_who_may(Action.POST_OFFER, offer.holder)
                _record_offer(
                    offer,
                    OFFER_REMINDER,
                    by=None,
                    clock=clock,
                    to=to,
                    on=on,
                )
                done += 1
        requests = [
            r for r in _requests(district.id, Request.expires_on <= limit) if any(p.open for p in r.parts)
        ]
        told = _reminded("request", [request.id for request in requests])
        for request in requests:
            on = rules.written(request.expires_on)
            if (request.id, on) not in told:
                to = access.people_who_may(Action.POST_REQUEST, request.school)
                _record_request(
                    request,
                    REQUEST_REMINDER,
                    by=None,
                    clock=clock,
                    to=to,
                    on=on,
                )
                done += 1
    return done


def _offers(district_id: int, condition: sa.ColumnElement[bool]) -> Sequence[Offer]:
    return db.session.scalars(
        sa.select(Offer)
        .where(Offer.district_id == district_id, Offer.state == PostingState.OPEN, condition)
        .order_by(Offer.id)
        .with_for_update(of=Offer)
        .execution_options(populate_existing=True)
    ).all()


def _requests(district_id: int, condition: sa.ColumnElement[bool]) -> Sequence[Request]:
    return db.session.scalars(
        sa.select(Request)
        .where(Request.district_id == district_id, Request.state == PostingState.OPEN, condition)
        .order_by(Request.id)
        .with_for_update(of=Request)
        .execution_options(populate_existing=True)
    ).all()


def _reminded(subject: str, ids: Collection[int]) -> set[tuple[int, str]]:
    """Return (posting, its last day then) of the reminders that have been written."""
    message = OFFER_REMINDER if subject == "offer" else REQUEST_REMINDER
    entries = db.session.execute(
        sa.select(journal.JournalEntry.subject_id, journal.JournalEntry.parameters).where(
            journal.JournalEntry.subject == subject,
            journal.JournalEntry.subject_id.in_(ids),
            journal.JournalEntry.message == message,
        )
    )
    return {(subject_id, parameters["on"]) for subject_id, parameters in entries}


def _checked_request(
    school: Holder,
    textbook: Textbook,
    copies_by_part: Mapping[int, int],
    *,
    needed_by: date | None,
    year_from: int | None,
    expires_on: date,
    clock: Clock,
) -> dict[int, int]:
    return rules.check_request(
        copies_by_part,
        parts=textbook.parts,
        needed_by=needed_by,
        year_from=year_from,
        expires_on=expires_on,
        today=clock.today(school.district.timezone),
    )


def _verdict(textbook_id: int, holder: Holder, clock: Clock) -> Verdict:
    return catalog.verdicts([textbook_id], clock.today(holder.district.timezone))[textbook_id]


def _sums(query: sa.Select[Any, Any]) -> dict[int, int]:
    return {key: int(total or 0) for key, total in db.session.execute(query.group_by(Offer.edition_id))}


def _lock_shelf(holder_id: int, edition_id: int) -> None:
    """Make offers of one edition of one school wait for each other."""
    db.session.execute(
        sa.select(Balance.id)
        .where(Balance.holder_id == holder_id, Balance.edition_id == edition_id)
        .order_by(Balance.id)
        .with_for_update()
    )


def _check_free(holder_id: int, edition_id: int, more: int, *, in_offer: int = 0) -> None:
    """Raise ``Invalid`` unless ``more`` copies are free; ``in_offer`` are in the offer to be enlarged."""
    free = free_on_shelf(holder_id, [edition_id])[edition_id]
    if more > free:
        raise Invalid(
            "На полке свободно только %(free)s экз.: остальные обещаны, предложены, изношены или чужие.",
            field="copies",
            free=free + in_offer,
        )


def _locked_offer(offer_id: int, *, seen: int | None, by: User) -> Offer:
    offer = db.session.scalar(
        sa.select(Offer)
        .where(Offer.id == offer_id)
        .with_for_update(of=Offer)
        .execution_options(populate_existing=True)
    )
    if offer is None:
        raise NotFound
    access.require(by, Action.POST_OFFER, offer.holder)
    _check_seen("offer", offer.id, offer.version, seen)
    return offer


def _locked_request(request_id: int, *, seen: int | None, by: User) -> Request:
    request = db.session.scalar(
        sa.select(Request)
        .where(Request.id == request_id)
        .with_for_update(of=Request)
        .execution_options(populate_existing=True)
    )
    if request is None:
        raise NotFound
    access.require(by, Action.POST_REQUEST, request.school)
    _check_seen("request", request.id, request.version, seen)
    # Its parts too: a proposal counts copies there without touching the request.
    db.session.scalars(
        sa.select(RequestPart)
        .where(RequestPart.request_id == request.id)
        .order_by(RequestPart.part)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    return request


def _check_seen(subject: str, subject_id: int, version: int, seen: int | None) -> None:
    if seen is None or seen == version:
        return
    last = journal.history(subject, subject_id)[-1]
    raise Stale(
        "Пока страница была открыта, произошло другое: «%(what)s». Обновите страницу.",
        what=last.message % last.parameters,
    )


def _require_open(state: PostingState) -> None:
    if state is not PostingState.OPEN:
        raise WrongMoment(
            "Сейчас это сделать нельзя: %(state)s. Обновите страницу.", state=rules.STATE_NAMES[state]
        )


def _touch(request: Request) -> None:
    """Raise the version even when only the parts have changed."""
    flag_modified(request, "note")


def _forget(table: type[Base], key: int | tuple[int, int]) -> None:
    """Let a loaded object read its row anew: it was changed past the session."""
    loaded = db.session.identity_map.get(identity_key(table, key))
    if loaded is not None:
        db.session.expire(loaded)


def _record_offer(
    offer: Offer,
    message: str,
    /,
    *,
    by: User | None,
    clock: Clock,
    to: Collection[int] = (),
    **parameters: Any,
) -> None:
    textbook = offer.edition.textbook
    part = f", ч. {offer.edition.part}" if textbook.parts > 1 else ""
    journal.record(
        "offer",
        offer.id,
        message,
        by_id=by.id if by else None,
        clock=clock,
        district_id=offer.district_id,
        to=to,
        book=f"«{textbook.title}», {offer.edition.year}{part}",
        **parameters,
    )


def _record_request(
    request: Request,
    message: str,
    /,
    *,
    by: User | None,
    clock: Clock,
    to: Collection[int] = (),
    **parameters: Any,
) -> None:
    textbook = request.textbook
    # More people read the journal than may see a count that can identify a child. A sum over the parts tells
    # it too.
    small = _has_small_counts(request)
    told: dict[str, Any] = {
        name: f"<{rules.SMALL_COUNT}"
        if isinstance(value, int)
        and value > 0
        and (small or rules.is_small_count(value, special_needs=textbook.special_needs))
        else value
        for name, value in parameters.items()
    }
    journal.record(
        "request",
        request.id,
        message,
        by_id=by.id if by else None,
        clock=clock,
        district_id=request.district_id,
        to=to,
        book=f"«{textbook.title}»",
        **told,
    )


def _has_small_counts(request: Request) -> bool:
    return any(
        rules.is_small_count(copies, special_needs=request.textbook.special_needs)
        for part in request.parts
        for copies in (part.copies, part.open)
    )


# --- what is shown ---


def counts_shown(request: Request, *, by: User) -> bool:
    """Say whether ``by`` may see how many copies a request is about: a small count may identify a child."""
    return not _has_small_counts(request) or access.allowed(by, Action.SEE_SMALL_COUNTS, request.school)


PAGE = 50
"""Rows of a page of a list: postings, or textbooks of the board."""


@dataclass(frozen=True)
class ShelfRow:
    """An edition on a school's own shelf, and what of it could be offered. All in copies.

    ``spare`` is the advice: what is free beyond the school's own pupils; ``None`` when these are not known.
    """

    edition: Edition
    copies: int
    free: int
    spare: int | None
    condition: Condition


@dataclass(frozen=True)
class Shelf:
    """A textbook as a school has it, the newest year first.

    ``pupils`` need it (``None``: not known); of complete sets ``fit`` are fit for use and ``missing`` lack.
    """

    rows: Sequence[ShelfRow]
    pupils: int | None
    fit: int
    missing: int | None


def shelf_of(school: Holder, textbook: Textbook, *, clock: Clock) -> Shelf:
    """Return what a school has of a textbook, what of it could be offered and what it lacks."""
    today = clock.today(school.district.timezone)
    book = next(one for one in stock.shelf(school, on=today, also=textbook.id) if one.id == textbook.id)
    here = [edition for edition in book.editions if edition.edition_id is not None and edition.own]
    editions = {
        edition.id: edition
        for edition in db.session.scalars(
            sa.select(Edition).where(Edition.id.in_([one.edition_id for one in here]))
        )
    }
    free = free_on_shelf(school.id, list(editions))
    borrowed = book.by_part(lambda edition: edition.borrowed)
    spare: dict[int, int | None] = {}
    for part in range(1, textbook.parts + 1):
        own = {number: free[number] for number, edition in sorted(editions.items()) if edition.part == part}
        # Newer books stay: the oldest years are advised first.
        oldest_first = sorted(own, key=lambda number: editions[number].year)
        advice = rules.to_spare(
            [own[number] for number in oldest_first],
            borrowed=borrowed[part],
            kept=None if book.pupils is None else book.pupils + book.keeping.buffer(book.pupils),
        )
        spare.update(zip(oldest_first, advice, strict=True))
    rows = [
        ShelfRow(
            edition=editions[one.edition_id],
            copies=one.own,
            free=free[one.edition_id],
            spare=spare[one.edition_id],
            condition=one.condition or Condition.GOOD,
        )
        for one in here
        if one.edition_id is not None
    ]
    fit = sets_of(book.by_part(lambda edition: edition.fit), textbook.parts).complete
    return Shelf(rows=rows, pupils=book.pupils, fit=fit, missing=book.need)


def offers_of(
    school_id: int,
    *,
    state: PostingState | None = None,
    text: str = "",
    first: int = 0,
    limit: int | None = PAGE,
) -> tuple[Sequence[Any], int]:
    """Return a page of a school's offers (columns, the open ones first) and how many there are in all."""
    return _page_of(
        sa.select(
            Offer.id,
            Offer.copies,
            Offer.reserved,
            Offer.kind,
            Offer.condition,
            Offer.due_back,
            Offer.available_from,
            Offer.expires_on,
            Offer.note,
            Offer.state,
            Offer.version,
            Edition.year,
            Edition.part,
            Edition.textbook_id,
            *catalog.BOOK_COLUMNS[1:],
            Textbook.parts,
            Textbook.subject,
            Textbook.level,
            sa.func.count().over().label("total"),
        )
        .join(Edition, Edition.id == Offer.edition_id)
        .join(Textbook, Textbook.id == Edition.textbook_id)
        .where(Offer.holder_id == school_id, *catalog.matching(text))
        .order_by(Offer.state != PostingState.OPEN, Textbook.sort_key, Edition.year, Edition.part, Offer.id),
        None if state is None else Offer.state == state,
        first,
        limit,
    )


def requests_of(
    school_id: int,
    *,
    state: PostingState | None = None,
    text: str = "",
    first: int = 0,
    limit: int | None = PAGE,
) -> tuple[Sequence[Any], int]:
    """Return a page of a school's requests (columns) and how many there are in all."""
    return _page_of(
        sa.select(
            Request.id,
            Request.reason,
            Request.needed_by,
            Request.year_from,
            Request.loan_acceptable,
            Request.expires_on,
            Request.note,
            Request.state,
            Request.version,
            Request.textbook_id,
            *catalog.BOOK_COLUMNS[1:],
            Textbook.parts,
            Textbook.subject,
            Textbook.level,
            Textbook.special_needs,
            sa.func.count().over().label("total"),
        )
        .join(Textbook, Textbook.id == Request.textbook_id)
        .where(Request.school_id == school_id, *catalog.matching(text))
        .order_by(Request.state != PostingState.OPEN, Textbook.sort_key, Request.id),
        None if state is None else Request.state == state,
        first,
        limit,
    )


def parts_of(request_ids: Collection[int]) -> dict[int, list[Any]]:
    """Return (part, copies, matched) of each request, in the order of the parts."""
    result: dict[int, list[Any]] = {}
    for row in db.session.execute(
        sa.select(RequestPart.request_id, RequestPart.part, RequestPart.copies, RequestPart.matched)
        .where(RequestPart.request_id.in_(request_ids))
        .order_by(RequestPart.part)
    ):
        result.setdefault(row.request_id, []).append(row)
    return result


@dataclass(frozen=True)
class Answer:
    """A transfer that answers a posting: with whom, and of how many copies it was made or agreed."""

    transfer_id: int
    school: str
    copies: int


def answers_to(posting: Offer | Request) -> list[Answer]:
    """Return the transfers that came of an offer or a request, the newest first."""
    is_offer = isinstance(posting, Offer)
    column = _line.c.offer_id if is_offer else _line.c.request_id
    other = _transfer.c.taker_id if is_offer else _transfer.c.giver_id
    copies = sa.func.sum(sa.func.coalesce(_line.c.agreed, _line.c.asked))
    return [
        Answer(*row)
        for row in db.session.execute(
            sa.select(_transfer.c.id, Holder.short_name, copies)
            .join(_line, _line.c.transfer_id == _transfer.c.id)
            .join(Holder, Holder.id == other)
            .where(column == posting.id)
            .group_by(_transfer.c.id, Holder.short_name)
            .order_by(_transfer.c.id.desc())
        )
    ]


def _page_of(
    query: sa.Select[*tuple[Any, ...]],
    condition: sa.ColumnElement[bool] | None,
    first: int,
    limit: int | None,
) -> tuple[Sequence[Any], int]:
    if condition is not None:
        query = query.where(condition)
    rows = db.session.execute(query.offset(first).limit(limit)).all()
    return rows, rows[0].total if rows else 0


@dataclass(frozen=True, slots=True)
class Giver:
    """Copies that can be asked for: a school's offer or, without ``offer_id``, what the fund can spare.

    ``km`` is the way from the reader's school; ``None`` for a reader without one.
    """

    offer_id: int | None
    edition_id: int
    holder_id: int
    holder: str
    year: int
    part: int
    copies: int
    kind: OfferKind | None
    condition: Condition | None
    due_back: date | None
    available_from: date | None
    expires_on: date | None
    note: str
    km: float | None
    mine: bool


@dataclass(frozen=True, slots=True)
class Seeker:
    """What a school lacks, by part. ``copies`` is ``None`` where the number may identify a child."""

    request_id: int
    holder_id: int
    holder: str
    copies: Mapping[int, int] | None
    year_from: int | None
    needed_by: date | None
    loan_acceptable: bool
    expires_on: date
    note: str
    km: float | None
    mine: bool


@dataclass(frozen=True, slots=True)
class BoardRow:
    """A textbook of the board with those who have it to spare and those who lack it, the nearest first."""

    book: Any
    givers: Sequence[Giver]
    seekers: Sequence[Seeker]
    verdict: Verdict


@dataclass(frozen=True)
class Board:
    """A page of the board, the number of its textbooks in all, and the subjects on the whole board."""

    rows: Sequence[BoardRow]
    total: int
    subjects: Sequence[str]


def board(
    *,
    by: User,
    school: Holder | None,
    clock: Clock,
    side: Side | None = None,
    text: str = "",
    subject: str = "",
    grade: int | None = None,
    textbook_id: int | None = None,
    nearest: bool = False,
    mine: bool = False,
    with_subjects: bool = False,
    first: int = 0,
    limit: int | None = PAGE,
) -> Board:
    """Return the surpluses and needs of a district by textbook, as ``by`` of ``school`` may see them.

    ``nearest`` puts the books first that are to be had close by; ``mine`` keeps those the school asks for;
    ``limit=None`` returns all; ``with_subjects`` adds the subjects to choose from. Four queries.
    """
    access.require(by, Action.SEE_DISTRICT)
    present = _on_board()
    shown = sa.select(present.c.textbook_id)
    if side is not None:
        shown = shown.where(present.c.side == side.value)
    where = [Textbook.id.in_(shown), *catalog.matching(text)]
    if subject:
        where.append(Textbook.subject == subject)
    if grade is not None:
        # As a full integer: PostgreSQL refuses to compare a small one with a number it cannot hold.
        asked = sa.literal(grade, sa.Integer)
        where += [Textbook.grade_from <= asked, Textbook.grade_to >= asked]
    if textbook_id is not None:
        where.append(Textbook.id == textbook_id)
    if mine and school is not None:
        wanted = sa.select(present.c.textbook_id).where(
            present.c.side == Side.NEED.value, present.c.holder_id == school.id
        )
        where.append(Textbook.id.in_(wanted))
    query = sa.select(
        *catalog.BOOK_COLUMNS,
        Textbook.subject,
        Textbook.parts,
        Textbook.special_needs,
        sa.func.count().over().label("total"),
        (_subjects(present) if with_subjects else sa.literal("")).label("subjects"),
    ).where(*where)
    order: list[Any] = [Textbook.sort_key, Textbook.id]
    if nearest and school is not None:
        near = _nearest(present, school)
        query = query.outerjoin(near, near.c.textbook_id == Textbook.id)
        order.insert(0, sa.func.coalesce(near.c.km, FARTHEST))
    books = db.session.execute(
        query.order_by(*order).offset(first).limit(limit), {"district": by.district_id}
    ).all()
    ids = [book.id for book in books]
    givers, seekers = _lines(ids, by=by, school=school, special={b.id for b in books if b.special_needs})
    verdicts = catalog.verdicts(ids, clock.today(by.district.timezone))
    rows = [
        BoardRow(book, givers.get(book.id, []), seekers.get(book.id, []), verdicts[book.id]) for book in books
    ]
    subjects = books[0].subjects if books else ""
    if with_subjects and not books:
        subjects = db.session.scalar(sa.select(_subjects(present)), {"district": by.district_id}) or ""
    return Board(rows, books[0].total if books else 0, sorted(subjects.split(SEPARATOR)) if subjects else [])


SEPARATOR = "\n"


def _subjects(present: sa.CTE) -> sa.ScalarSelect[str]:
    """The subjects of all books on the board in one text: a column beside the page, not a query more."""
    subjects = (
        sa.select(Textbook.subject)
        .where(Textbook.id.in_(sa.select(present.c.textbook_id)))
        .distinct()
        .subquery("subjects")
    )
    return sa.select(sa.func.aggregate_strings(subjects.c.subject, SEPARATOR)).scalar_subquery()


FARTHEST = 1_000_000.0
"""km; books nobody near has to spare come last."""


Id = int | sa.BindParameter[int]
"""A number, or the place of one in a statement that is put together once."""


def _open_offers(district_id: Id) -> list[sa.ColumnElement[bool]]:
    return [Offer.district_id == district_id, Offer.state == PostingState.OPEN, Offer.copies > Offer.reserved]


def _open_requests(district_id: Id) -> list[sa.ColumnElement[bool]]:
    return [
        Request.district_id == district_id,
        Request.state == PostingState.OPEN,
        RequestPart.copies > RequestPart.matched,
    ]


def _fund_copies(district_id: Id) -> sa.Subquery:
    """Unpromised usable copies of the fund by storage place and edition, whoever's balance they are on."""
    worn = sa.func.coalesce(sa.func.max(ShelfNote.worn), 0)
    return (
        sa.select(
            Edition.textbook_id,
            Edition.year,
            Edition.part,
            Balance.edition_id,
            Balance.holder_id,
            (sa.func.sum(Balance.copies - Balance.promised) - worn).label("copies"),
        )
        .join(Holder, Holder.id == Balance.holder_id)
        .join(Edition, Edition.id == Balance.edition_id)
        .outerjoin(
            ShelfNote,
            sa.and_(ShelfNote.holder_id == Balance.holder_id, ShelfNote.edition_id == Balance.edition_id),
        )
        .where(
            Holder.district_id == district_id,
            Holder.kind == HolderKind.FUND,
            Balance.copies > Balance.promised,
        )
        .group_by(Edition.textbook_id, Edition.year, Edition.part, Balance.edition_id, Balance.holder_id)
        .subquery("fund_copies")
    )


def _present(district_id: Id) -> sa.CTE:
    """Which textbooks are on the board, on which side and where (columns textbook_id, side, holder_id)."""
    offers = (
        sa.select(Edition.textbook_id, sa.literal(Side.HAVE.value).label("side"), Offer.holder_id)
        .join(Edition, Edition.id == Offer.edition_id)
        .where(*_open_offers(district_id))
    )
    fund = _fund_copies(district_id)
    # The floor is kept over all storage places together, part by part.
    spare = (
        sa.select(fund.c.textbook_id, sa.literal(Side.HAVE.value), sa.func.min(fund.c.holder_id))
        .outerjoin(Floor, sa.and_(Floor.textbook_id == fund.c.textbook_id, Floor.district_id == district_id))
        .where(fund.c.copies > 0)
        .group_by(fund.c.textbook_id, fund.c.part, Floor.copies)
        .having(sa.func.sum(fund.c.copies) > sa.func.coalesce(Floor.copies, 0))
    )
    requests = (
        sa.select(Request.textbook_id, sa.literal(Side.NEED.value), Request.school_id)
        .join(RequestPart, RequestPart.request_id == Request.id)
        .where(*_open_requests(district_id))
    )
    return sa.union_all(offers, spare, requests).cte("present")


def _ways(school_id: Id, school_km: float | sa.BindParameter[float], district_id: Id) -> sa.Subquery:
    """Road km from a school to all places of its district (columns holder_id, km).

    The same way as ``schools.services.distances``, but where a list can be ordered by it.
    """
    place, site = aliased(Holder), aliased(Holder)
    km = sa.case(
        (site.id == school_id, 0.0),
        (Road.km.is_not(None), Road.km),
        else_=site.km_to_centre + school_km,
    )
    return (
        sa.select(place.id.label("holder_id"), km.label("km"))
        # A storage place of the fund is where its school is.
        .join(site, site.id == sa.func.coalesce(place.located_at_id, place.id))
        .outerjoin(
            Road,
            sa.or_(
                sa.and_(Road.first_id == school_id, Road.second_id == site.id),
                sa.and_(Road.second_id == school_id, Road.first_id == site.id),
            ),
        )
        .where(place.district_id == district_id)
        .subquery("ways")
    )


def _nearest(present: sa.CTE, school: Holder) -> sa.Subquery:
    """Return, per textbook, the way to the nearest other place that has it to spare."""
    ways = _ways(school.id, school.km_to_centre, school.district_id)
    return (
        sa.select(present.c.textbook_id, sa.func.min(ways.c.km).label("km"))
        .join(ways, ways.c.holder_id == present.c.holder_id)
        .where(present.c.side == Side.HAVE.value, present.c.holder_id != school.id)
        .group_by(present.c.textbook_id)
        .subquery("nearest")
    )


def _line_query(
    district_id: Id, ids: sa.BindParameter[Any], school: tuple[Id, float | sa.BindParameter[float]] | None
) -> sa.Select[Any]:
    """Return the query for all lines of these textbooks: offers, the fund, requests, the nearest first."""
    fund = _fund_copies(district_id)
    nothing = sa.null()
    offers = (
        sa.select(
            sa.literal(Side.HAVE.value).label("side"),
            Edition.textbook_id,
            Offer.id,
            Offer.edition_id,
            Offer.holder_id,
            Edition.year,
            Edition.part,
            (Offer.copies - Offer.reserved).label("copies"),
            Offer.kind,
            Offer.condition,
            Offer.due_back.label("day"),
            Offer.available_from,
            Offer.expires_on,
            Offer.note,
            sa.literal(0).label("floor"),
            sa.literal(True).label("loan_acceptable"),
        )
        .join(Edition, Edition.id == Offer.edition_id)
        .where(*_open_offers(district_id), Edition.textbook_id.in_(ids))
    )
    places = (
        sa.select(
            sa.literal(Side.HAVE.value),
            fund.c.textbook_id,
            sa.cast(nothing, sa.Integer),
            fund.c.edition_id,
            fund.c.holder_id,
            fund.c.year,
            fund.c.part,
            fund.c.copies,
            sa.cast(nothing, sa.String),
            sa.cast(nothing, sa.String),
            sa.cast(nothing, sa.Date),
            sa.cast(nothing, sa.Date),
            sa.cast(nothing, sa.Date),
            sa.literal(""),
            sa.func.coalesce(Floor.copies, 0),
            sa.literal(True),
        )
        .outerjoin(Floor, sa.and_(Floor.textbook_id == fund.c.textbook_id, Floor.district_id == district_id))
        .where(fund.c.textbook_id.in_(ids), fund.c.copies > 0)
    )
    requests = (
        sa.select(
            sa.literal(Side.NEED.value),
            Request.textbook_id,
            Request.id,
            sa.cast(nothing, sa.Integer),
            Request.school_id,
            Request.year_from,
            RequestPart.part,
            RequestPart.copies - RequestPart.matched,
            sa.cast(nothing, sa.String),
            sa.cast(nothing, sa.String),
            Request.needed_by,
            sa.cast(nothing, sa.Date),
            Request.expires_on,
            Request.note,
            sa.literal(0),
            Request.loan_acceptable,
        )
        .join(RequestPart, RequestPart.request_id == Request.id)
        .where(*_open_requests(district_id), Request.textbook_id.in_(ids))
    )
    line = sa.union_all(offers, places, requests).subquery("line")
    query = sa.select(line, Holder.short_name, Holder.kind.label("place")).join(
        Holder, Holder.id == line.c.holder_id
    )
    order: list[Any] = [Holder.short_name, line.c.year.desc(), line.c.part, line.c.id]
    if school is None:
        return query.add_columns(sa.cast(nothing, sa.Float).label("km")).order_by(*order)
    ways = _ways(*school, district_id)
    return (
        query.add_columns(ways.c.km)
        .join(ways, ways.c.holder_id == line.c.holder_id)
        .order_by(ways.c.km, *order)
    )


@cache
def _on_board() -> sa.CTE:
    """Return ``_present`` for any ``:district``, put together once: that takes longer than to run it."""
    return _present(sa.bindparam("district", type_=sa.Integer))


@cache
def _lines_of_books(*, from_school: bool) -> sa.Select[Any]:
    """Return ``_line_query`` for any ``:district``, ``:ids``, ``:school`` and ``:school_km``."""
    place = sa.bindparam("school", type_=sa.Integer), sa.bindparam("school_km", type_=sa.Float)
    return _line_query(
        sa.bindparam("district", type_=sa.Integer),
        sa.bindparam("ids", expanding=True, type_=sa.Integer),
        place if from_school else None,
    )


def _lines(
    ids: Sequence[int], *, by: User, school: Holder | None, special: Collection[int]
) -> tuple[dict[int, list[Giver]], dict[int, list[Seeker]]]:
    givers: dict[int, list[Giver]] = {}
    fund: dict[tuple[int, int], list[Any]] = {}
    wanted: dict[int, list[Any]] = {}
    seekers: dict[int, list[Seeker]] = {}
    if not ids:
        return givers, seekers
    my_id = school.id if school else None
    asked: dict[str, Any] = {"district": by.district_id, "ids": ids}
    if school is not None:
        asked |= {"school": school.id, "school_km": school.km_to_centre}
    for row in db.session.execute(_lines_of_books(from_school=school is not None), asked):
        if row.side == Side.NEED.value:
            wanted.setdefault(row.id, []).append(row)
        elif row.id is None:
            fund.setdefault((row.textbook_id, row.part), []).append(row)
        else:
            givers.setdefault(row.textbook_id, []).append(_giver(row, row.copies, my_id))
    for (textbook_id, _part), rows in fund.items():
        for row, copies in zip(
            rows, rules.above_floor([row.copies for row in rows], rows[0].floor), strict=True
        ):
            if copies:
                givers.setdefault(textbook_id, []).append(_giver(row, copies, my_id))
    for lines in givers.values():
        lines.sort(key=lambda giver: giver.km or 0.0)
    for rows in wanted.values():
        row = rows[0]
        small = any(
            rules.is_small_count(r.copies, special_needs=row.textbook_id in special) for r in rows
        ) and not may(
            by.duties, Action.SEE_SMALL_COUNTS, Place(by.district_id, row.holder_id, HolderKind.SCHOOL)
        )
        seekers.setdefault(row.textbook_id, []).append(
            Seeker(
                request_id=row.id,
                holder_id=row.holder_id,
                holder=row.short_name,
                copies=None if small else {r.part: r.copies for r in sorted(rows, key=_by_part)},
                year_from=row.year,
                needed_by=row.day,
                loan_acceptable=bool(row.loan_acceptable),
                expires_on=row.expires_on,
                note=row.note,
                km=row.km,
                mine=row.holder_id == my_id,
            )
        )
    return givers, seekers


def _by_part(row: Any) -> int:
    return int(row.part)


def _giver(row: Any, copies: int, my_id: int | None) -> Giver:
    return Giver(
        offer_id=row.id,
        edition_id=row.edition_id,
        holder_id=row.holder_id,
        holder=row.short_name,
        year=row.year,
        part=row.part,
        copies=copies,
        kind=row.kind,
        condition=row.condition,
        due_back=row.day,
        available_from=row.available_from,
        expires_on=row.expires_on,
        note=row.note,
        km=row.km,
        mine=row.holder_id == my_id,
    )
