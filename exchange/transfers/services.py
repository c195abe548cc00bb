"""Everything that happens to a transfer: each step checked, booked in the ledger, journalled, made known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.orm.attributes import flag_modified

from exchange import config, journal
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.clock import Clock
from exchange.db import db
from exchange.errors import Forbidden, Invalid, NotFound, Stale
from exchange.ledger import services as ledger
from exchange.ledger.models import Balance
from exchange.ledger.rules import Line, MovementKind, transfer_of_copies
from exchange.postings import services as postings
from exchange.postings.models import Offer, Request
from exchange.postings.rules import OfferKind, PostingState
from exchange.schools import access
from exchange.schools import services as schools
from exchange.schools.models import District, Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.stock.models import Floor
from exchange.stock.rules import no_worse
from exchange.transfers import rules
from exchange.transfers.models import Delivery, DeliveryLine, Transfer, TransferLine
from exchange.transfers.rules import (
    DECLINE_NAMES,
    KIND_NAMES,
    PROMISING,
    Arrival,
    Counts,
    Decision,
    DeclineReason,
    Direction,
    Kind,
    Party,
    State,
    Step,
    StepName,
)

SUBJECT = "transfer"


@dataclass(frozen=True)
class NewLine:
    """Copies of an edition to be asked for, whose they are, and the postings that brought them together."""

    edition_id: int
    owner_id: int
    copies: int
    offer_id: int | None = None
    request_id: int | None = None
    reason: str = ""


# --- Proposing ------------------------------------------------------------------------------------------


def propose(
    *,
    giver: Holder,
    taker: Holder,
    kind: Kind,
    lines: Sequence[NewLine],
    proposed_by: Party,
    by: User,
    clock: Clock,
    due_back: date | None = None,
    plan_id: int | None = None,
    previous_id: int | None = None,
) -> Transfer:
    """Ask ``giver`` for copies: reserves the offers and matches the requests, promises nothing yet.

    A school asks others only for what they have offered; the fund may be asked for anything it has free.
    ``due_back`` of a loan is by default the earliest day of the offers, else the coming 20 June. Raises
    ``Invalid`` when the lines do not fit together or less is free.
    """
    if proposed_by is Party.TAKER:
        access.require(by, Action.ASK, taker)
    elif proposed_by is Party.GIVER:
        access.require(by, Action.HAND_OVER, giver)
    else:
        access.require(by, Action.MATCH)
    if (
        proposed_by is Party.TAKER
        and giver.kind is not HolderKind.FUND
        and any(not x.offer_id for x in lines)
    ):
        raise Invalid("Просить у школы можно то, что она разместила как излишек.")
    return _propose(
        giver=giver,
        taker=taker,
        kind=kind,
        lines=lines,
        proposed_by=proposed_by,
        by=by,
        clock=clock,
        due_back=due_back,
        plan_id=plan_id,
        previous_id=previous_id,
    )


def _propose(
    *,
    giver: Holder,
    taker: Holder,
    kind: Kind,
    lines: Sequence[NewLine],
    proposed_by: Party,
    by: User | None,
    clock: Clock,
    due_back: date | None,
    plan_id: int | None,
    previous_id: int | None,
) -> Transfer:
    today = clock.today(giver.district.timezone)
    checked = _check_new_lines(giver, taker, kind, lines)
    if kind is Kind.LOAN:
        offered = [line.offer.due_back for line in checked if line.offer and line.offer.due_back]
        due_back = due_back or min(offered, default=rules.default_due_back(today))
        rules.check_due_back(due_back, today)
    transfer = Transfer(
        district_id=giver.district_id,
        giver=giver,
        taker=taker,
        kind=kind,
        state=State.PROPOSED,
        proposed_by=proposed_by,
        plan_id=plan_id,
        previous_id=previous_id,
        created_at=clock.now(),
        changed_at=clock.now(),
        answer_by=rules.working_days_after(today, config.current().proposal_days),
        due_back=due_back if kind is Kind.LOAN else None,
        lines=checked,
    )
    db.session.add(transfer)
    db.session.flush()
    _book((line, line.asked, line.asked) for line in checked)
    journal.record(
        SUBJECT,
        transfer.id,
        "Передача предложена: %(giver)s → %(taker)s, %(copies)s экз., %(kind)s",
        by_id=by.id if by else None,
        clock=clock,
        district_id=transfer.district_id,
        to=_waited_for(transfer),
        giver=giver.short_name,
        taker=taker.short_name,
        copies=sum(line.asked for line in checked),
        kind=KIND_NAMES[kind],
    )
    return transfer


def _check_new_lines(
    giver: Holder, taker: Holder, kind: Kind, lines: Sequence[NewLine]
) -> list[TransferLine]:
    """Return the lines as rows, or raise ``Invalid``: everything must belong where it says it does."""
    if giver.id == taker.id:
        raise Invalid("Отдающая и принимающая стороны совпадают. Выберите другую школу.")
    if giver.district_id != taker.district_id:
        raise NotFound
    if not lines or any(line.copies <= 0 for line in lines):
        raise Invalid("Укажите, сколько экземпляров: хотя бы один.", field="copies")
    checked = []
    for line in lines:
        edition = db.session.get(Edition, line.edition_id)
        if edition is None:
            raise NotFound
        offer = _offer_of(line, giver, kind)
        request = _request_of(line, edition, taker, kind)
        if line.owner_id == taker.id:
            raise Invalid(
                "Эти книги и так на балансе получателя: их возвращают по той передаче, по которой взяли."
            )
        if kind is Kind.PERMANENT and not _gives_its_own(giver, line.owner_id):
            raise Invalid("Насовсем можно отдать только свои книги, не взятые на время.")
        checked.append(
            TransferLine(
                edition=edition,
                owner_id=line.owner_id,
                offer=offer,
                request=request,
                asked=line.copies,
                reason=line.reason,
            )
        )
    _check_free(giver, checked)
    return checked


def _gives_its_own(giver: Holder, owner_id: int) -> bool:
    """Say whether the giver's books are its own: the fund's are, at whichever of its places they are."""
    owner = db.session.get_one(Holder, owner_id)
    return owner.id == giver.id or owner.kind is giver.kind is HolderKind.FUND


def _offer_of(line: NewLine, giver: Holder, kind: Kind) -> Offer | None:
    if line.offer_id is None:
        return None
    offer = db.session.get(Offer, line.offer_id)
    if offer is None or offer.holder_id != giver.id or offer.edition_id != line.edition_id:
        raise NotFound
    if kind is Kind.PERMANENT and offer.kind is OfferKind.LOAN:
        raise Invalid("Эти книги отдают только на время.", field="kind")
    return offer


def _request_of(line: NewLine, edition: Edition, taker: Holder, kind: Kind) -> Request | None:
    if line.request_id is None:
        return None
    request = db.session.get(Request, line.request_id)
    if request is None or request.school_id != taker.id or request.textbook_id != edition.textbook_id:
        raise NotFound
    if kind is Kind.LOAN and not request.loan_acceptable:
        raise Invalid("По этой заявке книги нужны насовсем.", field="kind")
    return request


def _check_free(giver: Holder, lines: Iterable[TransferLine]) -> None:
    """Refuse at once what the giver has not got free, where no offer stands for it."""
    asked: defaultdict[tuple[int, int], int] = defaultdict(int)
    for line in lines:
        if line.offer is None:
            asked[line.owner_id, line.edition.id] += line.asked
    for (owner_id, edition_id), copies in asked.items():
        free = ledger.free_copies(owner_id=owner_id, holder_id=giver.id, edition_id=edition_id)
        if copies > free:
            raise Invalid(ledger.NOT_ENOUGH, field="copies", needed=copies, free=free)


def ask_school(
    offer_id: int,
    *,
    taker: Holder,
    copies: int,
    due_back: date | None = None,
    note: str = "",
    by: User,
    clock: Clock,
) -> Transfer:
    """Ask a school directly for ``copies`` of what it offers, of the kind it offers."""
    offer = db.session.get(Offer, offer_id)
    if offer is None:
        raise NotFound
    kind = Kind(offer.kind.value)
    source = NewLine(offer.edition_id, offer.holder_id, copies, offer_id=offer.id, reason=note.strip())
    return propose(
        giver=offer.holder,
        taker=taker,
        kind=kind,
        lines=_with_request(source, taker, offer.edition, kind),
        proposed_by=Party.TAKER,
        by=by,
        clock=clock,
        due_back=due_back,
    )


def ask_fund(
    fund: Holder,
    edition: Edition,
    *,
    taker: Holder,
    kind: Kind,
    copies: int,
    due_back: date | None = None,
    note: str = "",
    by: User,
    clock: Clock,
) -> Transfer:
    """Ask a storage place of the fund for copies: its own first, then (on loan) a school's."""
    lines: list[NewLine] = []
    left = copies
    for owner_id, free in fund_free(fund, edition):
        if kind is Kind.PERMANENT and not _gives_its_own(fund, owner_id):
            continue
        if (number := min(left, free)) > 0:
            lines.append(NewLine(edition.id, owner_id, number, reason=note.strip()))
            left -= number
    if left or not lines:
        free_in_all = copies - left
        raise Invalid(ledger.NOT_ENOUGH, field="copies", needed=copies, free=free_in_all)
    return propose(
        giver=fund,
        taker=taker,
        kind=kind,
        lines=_with_request(lines[0], taker, edition, kind) + lines[1:],
        proposed_by=Party.TAKER,
        by=by,
        clock=clock,
        due_back=due_back,
    )


def fund_free(fund: Holder, edition: Edition) -> list[tuple[int, int]]:
    """Return the free copies of an edition at a storage place by owner, the fund's own first."""
    rows = db.session.execute(
        sa.select(Balance.owner_id, Balance.copies - Balance.promised)
        .where(
            Balance.holder_id == fund.id,
            Balance.edition_id == edition.id,
            Balance.copies > Balance.promised,
        )
        .order_by(Balance.owner_id)
    ).all()
    return sorted(((owner_id, free) for owner_id, free in rows), key=lambda row: row[0] != fund.id)


def _with_request(line: NewLine, taker: Holder, edition: Edition, kind: Kind) -> list[NewLine]:
    """Join the line to the taker's open request for this book as far as it goes; the rest stays without."""
    request_id = postings.open_request(taker.id, edition.textbook_id)
    request = db.session.get(Request, request_id) if request_id else None
    if request is None or not rules.answers(
        year=edition.year, kind=kind, year_from=request.year_from, loan_acceptable=request.loan_acceptable
    ):
        return [line]
    wanted = sum(part.open for part in request.parts if part.part == edition.part)
    joined = min(line.copies, wanted)
    pieces = [(joined, request.id), (line.copies - joined, None)]
    return [changed(line, copies=copies, request_id=id_) for copies, id_ in pieces if copies > 0] or [line]


# --- The door -------------------------------------------------------------------------------------------


def visible(transfer_id: int, *, by: User) -> Transfer:
    """Return a transfer that ``by`` may see; to anybody else there is nothing here."""
    transfer = db.session.get(
        Transfer,
        transfer_id,
        options=[
            joinedload(Transfer.giver),
            joinedload(Transfer.taker),
            selectinload(Transfer.lines).joinedload(TransferLine.edition).joinedload(Edition.textbook),
        ],
    )
    if transfer is None:
        raise NotFound
    access.require_any(by, Action.SEE_TRANSFER, transfer.giver, transfer.taker)
    return transfer


def menu(transfer: Transfer, *, by: User) -> list[Step]:
    """Return the steps ``by`` may take now."""
    return rules.menu(transfer.state, _can(transfer, by))


def parties(transfer: Transfer, name: StepName, *, by: User) -> frozenset[Party]:
    """Return the parties for which ``by`` may take the step, whenever it is open."""
    return rules.parties_for(name, _can(transfer, by))


def open_step(
    transfer_id: int, name: StepName, *, seen: int | None = None, by: User
) -> tuple[Transfer, Step]:
    """Lock the transfer and return it with the row of the step: the door of every step a person takes.

    Raises ``NotFound`` when ``by`` may not even see it, ``Forbidden`` when the step is somebody else's,
    ``Stale`` when it changed after version ``seen`` was shown, ``WrongMoment`` when the step is not open.
    """
    if name is StepName.APPROVE and access.allowed(by, Action.APPROVE):
        # The district first: who numbers acts waits here, and nobody holds a transfer while waiting for it.
        _lock_numbers(by.district_id)
    transfer = _locked(transfer_id)
    if transfer is None:
        raise NotFound
    access.require_any(by, Action.SEE_TRANSFER, transfer.giver, transfer.taker)
    acting = parties(transfer, name, by=by)
    if not acting:
        raise Forbidden(access.FORBIDDEN)
    if seen is not None and seen != transfer.version:
        raise _stale(transfer)
    return transfer, rules.take(name, transfer.state, acting)


def _locked(transfer_id: int) -> Transfer | None:
    return db.session.scalar(
        sa.select(Transfer)
        .where(Transfer.id == transfer_id)
        .with_for_update(of=Transfer)
        .execution_options(populate_existing=True)
    )


def _can(transfer: Transfer, by: User) -> rules.Can:
    places = {Party.GIVER: transfer.giver, Party.TAKER: transfer.taker, Party.METHODIST: None}

    def can(party: Party, action: Action) -> bool:
        return access.allowed(by, action, places[party])

    return can


def _stale(transfer: Transfer) -> Stale:
    last = journal.history(SUBJECT, transfer.id)[-1]
    person = db.session.get(User, last.by_id) if last.by_id else None
    zone = ZoneInfo(transfer.giver.district.timezone)
    return Stale(
        "Пока страница была открыта, произошло другое: «%(what)s» (%(who)s, %(when)s). "
        "Обновите страницу и решите снова.",
        what=last.message % last.parameters,
        who=person.full_name if person else "по сроку",
        when=f"{last.at.astimezone(zone):%d.%m.%Y %H:%M}",
    )


def _enter(
    transfer: Transfer,
    step: Step,
    state: State,
    message: str,
    /,
    *,
    by: User | None,
    clock: Clock,
    to: Collection[int] | None = None,
    urgent: bool = False,
    **parameters: Any,
) -> Transfer:
    """Bring the transfer to ``state``; write the journal and the letters to who must act next.

    ``to`` names other readers than those. The version rises even where no column changed, so that a page
    shown before is known to be old.
    """
    if state not in step.to:
        raise ValueError(f"{step.name} cannot end in {state}")
    today = clock.today(transfer.giver.district.timezone)
    transfer.state = state
    transfer.changed_at = clock.now()
    flag_modified(transfer, "changed_at")
    transfer.answer_by = (
        rules.working_days_after(today, config.current().proposal_days) if state in rules.ANSWERED else None
    )
    db.session.flush()
    journal.record(
        SUBJECT,
        transfer.id,
        message,
        by_id=by.id if by else None,
        clock=clock,
        district_id=transfer.district_id,
        to=_waited_for(transfer) if to is None else to,
        urgent=urgent or state in rules.BLOCKING,
        **parameters,
    )
    return transfer


def _waited_for(transfer: Transfer) -> list[int]:
    """Return the ids of the people whose step comes next."""
    step = rules.waited_for(transfer.state)
    if step is None:
        return []
    if step.party is Party.METHODIST:
        return access.methodists(transfer.district_id)
    holder = transfer.giver if step.party is Party.GIVER else transfer.taker
    return _people(rules.ACTIONS[step.name, step.party], holder)


def _people(actions: Iterable[Action], holder: Holder) -> list[int]:
    return sorted({user_id for action in actions for user_id in access.people_who_may(action, holder)})


def _book(changes: Iterable[tuple[TransferLine, int, int]]) -> None:
    """Change what is reserved of the lines' offers and matched of their requests, in ascending order."""
    offers: defaultdict[int, int] = defaultdict(int)
    requests: defaultdict[tuple[int, int], int] = defaultdict(int)
    for line, reserved, matched in changes:
        if line.offer_id is not None:
            offers[line.offer_id] += reserved
        if line.request_id is not None:
            requests[line.request_id, line.edition.part] += matched
    for offer_id, copies in sorted(offers.items()):
        if copies:
            postings.reserve(offer_id, copies)
    for (request_id, part), copies in sorted(requests.items()):
        if copies:
            postings.match(request_id, part, copies)


def _promise(transfer: Transfer, copies: Mapping[int, int]) -> None:
    """Promise ``copies`` of each line (by its id) at the giver; negative numbers free them."""
    ledger.promise(
        Line(line.edition_id, line.owner_id, transfer.giver_id, copies[line.id])
        for line in transfer.lines
        if copies.get(line.id)
    )


def _check_lines(transfer: Transfer, ids: Iterable[int]) -> None:
    if not set(ids) <= {line.id for line in transfer.lines}:
        raise Invalid("Форма повреждена. Обновите страницу.")


# --- Before the books leave -----------------------------------------------------------------------------


def agree(
    transfer_id: int,
    agreed: Mapping[int, int],
    *,
    seen: int | None = None,
    by: User,
    clock: Clock,
    floor_exception: str = "",
) -> Transfer:
    """The giver agrees to ``agreed`` copies by line (lines not named: as asked); promises them.

    Fewer frees the rest of offer and request. Raises ``Invalid`` when fewer are free, and when the fund would
    fall below its floor, unless ``floor_exception`` says why it may.
    """
    transfer, step = open_step(transfer_id, StepName.AGREE, seen=seen, by=by)
    _check_lines(transfer, agreed)
    copies = {line.id: agreed.get(line.id, line.asked) for line in transfer.lines}
    for line in transfer.lines:
        if not 0 <= copies[line.id] <= line.asked:
            raise Invalid(
                "Просят %(asked)s экз.: больше отдать здесь нельзя.",
                field=f"agreed_{line.id}",
                asked=line.asked,
            )
    if not any(copies.values()):
        raise Invalid("Чтобы не отдавать ничего, выберите «Отклонить» и назовите причину.")
    exception = _check_floor(transfer, copies, floor_exception.strip())
    for line in transfer.lines:
        line.agreed = copies[line.id]
    transfer.floor_exception = exception
    db.session.flush()
    _promise(transfer, copies)
    _book((line, copies[line.id] - line.asked, copies[line.id] - line.asked) for line in transfer.lines)
    if exception:
        journal.record(
            SUBJECT,
            transfer.id,
            "Исключение из неснижаемого остатка фонда: %(why)s",
            by_id=by.id,
            clock=clock,
            district_id=transfer.district_id,
            why=exception[:200],
        )
    return _enter(
        transfer,
        step,
        State.AGREED,
        "Отдающая сторона согласна: %(copies)s экз. из %(asked)s",
        by=by,
        clock=clock,
        copies=sum(copies.values()),
        asked=sum(line.asked for line in transfer.lines),
    )


def _check_floor(transfer: Transfer, copies: Mapping[int, int], exception: str) -> str:
    """Return the exception where it is needed, raise ``Invalid`` where it is needed and not given.

    The floor is kept over all storage places of the district's fund, for each part of the textbook.
    """
    if transfer.giver.kind is not HolderKind.FUND:
        return ""
    leaving: defaultdict[tuple[int, int], int] = defaultdict(int)
    for line in transfer.lines:
        leaving[line.edition.textbook_id, line.edition.part] += copies[line.id]
    floors = _floors(transfer.district_id, {textbook_id for textbook_id, _ in leaving})
    if not floors:
        return ""
    free = _fund_free(transfer.district_id, floors)
    for (textbook_id, part), number in sorted(leaving.items()):
        left = free.get((textbook_id, part), 0) - number
        if number and left < floors.get(textbook_id, 0):
            if exception:
                return exception
            raise Invalid(
                "Неснижаемый остаток фонда по учебнику «%(title)s» – %(floor)s экз., а останется %(left)s. "
                "Отдайте меньше или напишите, почему здесь нужно исключение.",
                field="floor_exception",
                title=db.session.get_one(Textbook, textbook_id).title,
                floor=floors[textbook_id],
                left=max(left, 0),
            )
    return ""


def _floors(district_id: int, textbook_ids: Collection[int]) -> dict[int, int]:
    """Return the floors that are set, locked: two agreements must not both take the last copies above one."""
    rows = db.session.scalars(
        sa.select(Floor)
        .where(Floor.district_id == district_id, Floor.textbook_id.in_(textbook_ids))
        .order_by(Floor.textbook_id)
        .with_for_update()
    )
    return {floor.textbook_id: floor.copies for floor in rows}


def _fund_free(district_id: int, textbook_ids: Iterable[int]) -> dict[tuple[int, int], int]:
    """Return the fund's free copies by textbook and part, over all its storage places."""
    rows = db.session.execute(
        sa.select(Edition.textbook_id, Edition.part, sa.func.sum(Balance.copies - Balance.promised))
        .join(Edition, Edition.id == Balance.edition_id)
        .join(Holder, Holder.id == Balance.holder_id)
        .where(
            Holder.district_id == district_id,
            Holder.kind == HolderKind.FUND,
            Edition.textbook_id.in_(list(textbook_ids)),
        )
        .group_by(Edition.textbook_id, Edition.part)
    )
    return {(textbook_id, part): int(copies) for textbook_id, part, copies in rows}


def accept(transfer_id: int, *, seen: int | None = None, by: User, clock: Clock) -> Transfer:
    """The taker agrees to take what was agreed."""
    transfer, step = open_step(transfer_id, StepName.ACCEPT, seen=seen, by=by)
    return _enter(transfer, step, State.ACCEPTED, "Принимающая сторона согласна", by=by, clock=clock)


def approve(transfer_id: int, *, seen: int | None = None, by: User, clock: Clock) -> Transfer:
    """The education office approves; the transfer gets its act number, which restarts each calendar year."""
    transfer, step = open_step(transfer_id, StepName.APPROVE, seen=seen, by=by)
    return _approve(transfer, step, by=by, clock=clock)


def approve_many(transfer_ids: Collection[int], *, by: User, clock: Clock) -> list[Transfer]:
    """Approve those of the transfers that still wait for it; return them, in ascending id."""
    access.require(by, Action.APPROVE)
    _lock_numbers(by.district_id)
    approved = []
    for transfer_id in sorted(set(transfer_ids)):
        transfer = _locked(transfer_id)
        if transfer is None or transfer.district_id != by.district_id:
            raise NotFound
        open_now = {step.name: step for step in menu(transfer, by=by)}
        if StepName.APPROVE in open_now:
            approved.append(_approve(transfer, open_now[StepName.APPROVE], by=by, clock=clock))
    return approved


def _lock_numbers(district_id: int) -> None:
    # Not a lock of the key: the journal names the district, and whoever writes there must not wait for us.
    db.session.execute(
        sa.select(District.id).where(District.id == district_id).with_for_update(key_share=True)
    )


def _approve(transfer: Transfer, step: Step, *, by: User, clock: Clock) -> Transfer:
    year = clock.today(transfer.giver.district.timezone).year
    last = db.session.scalar(
        sa.select(sa.func.max(Transfer.act_number)).where(
            Transfer.district_id == transfer.district_id, Transfer.act_year == year
        )
    )
    transfer.act_year = year
    transfer.act_number = (last or 0) + 1
    transfer.approved_at = clock.now()
    return _enter(
        transfer,
        step,
        State.APPROVED,
        "Утверждена, акт № %(number)s",
        by=by,
        clock=clock,
        number=transfer.act_number,
    )


def pack(
    transfer_id: int,
    packed: Mapping[int, int] | None = None,
    *,
    seen: int | None = None,
    by: User,
    clock: Clock,
) -> Transfer:
    """The giver has picked the books: ``packed`` copies by line (lines not named: as agreed).

    Fewer than agreed frees the rest of promise, offer and request: not every copy is found on its shelf.
    """
    transfer, step = open_step(transfer_id, StepName.PACK, seen=seen, by=by)
    packed = packed or {}
    _check_lines(transfer, packed)
    less: dict[int, int] = {}
    for line in transfer.lines:
        copies = packed.get(line.id, line.copies)
        if not 0 <= copies <= line.copies:
            raise Invalid(
                "Согласовано %(agreed)s экз.: больше собрать нельзя.",
                field=f"packed_{line.id}",
                agreed=line.copies,
            )
        less[line.id] = copies - line.copies
        line.agreed = copies
    if not any(line.agreed for line in transfer.lines):
        raise Invalid("Если не нашлось ни одной книги, отзовите передачу.")
    db.session.flush()
    _promise(transfer, less)
    _book((line, less[line.id], less[line.id]) for line in transfer.lines)
    return _enter(
        transfer,
        step,
        State.PACKED,
        "Книги собраны: %(copies)s экз.",
        by=by,
        clock=clock,
        copies=sum(line.copies for line in transfer.lines),
    )


def decline(
    transfer_id: int,
    reason: DeclineReason,
    remark: str = "",
    *,
    seen: int | None = None,
    by: User,
    clock: Clock,
) -> Transfer:
    """Refuse a proposal. The promise is freed; when the giver refuses, the next giver is asked."""
    transfer, step = open_step(transfer_id, StepName.DECLINE, seen=seen, by=by)
    if reason not in rules.DECLINE_REASONS[step.party]:
        raise Invalid("Выберите причину из списка.", field="reason")
    if reason is DeclineReason.OTHER and not remark.strip():
        raise Invalid("Напишите причину в примечании.", field="remark")
    return _refuse(transfer, step, reason, remark.strip(), by=by, clock=clock)


def _refuse(
    transfer: Transfer, step: Step, reason: DeclineReason, remark: str, *, by: User | None, clock: Clock
) -> Transfer:
    by_giver = transfer.state is State.PROPOSED
    freed = _free(transfer)
    transfer.decline_reason = reason
    transfer.remark = remark
    _enter(
        transfer,
        step,
        State.DECLINED,
        "Отклонена: %(reason)s. %(remark)s" if remark else "Отклонена: %(reason)s",
        by=by,
        clock=clock,
        to=[] if by_giver else _other_side(transfer, step.party),
        reason=DECLINE_NAMES[reason],
        remark=remark[:150],
    )
    if by_giver:
        _ask_next(transfer, freed, clock=clock)
    return transfer


def withdraw(
    transfer_id: int, remark: str = "", *, seen: int | None = None, by: User, clock: Clock
) -> Transfer:
    """Take a proposal or an agreement back before the books leave. A giver's withdrawal is a refusal too."""
    transfer, step = open_step(transfer_id, StepName.WITHDRAW, seen=seen, by=by)
    remark = remark.strip()
    if transfer.state in PROMISING and not remark:
        raise Invalid("Напишите, почему: другая сторона уже рассчитывает на эту передачу.", field="remark")
    # Somebody may be about to drive.
    urgent = transfer.state in {State.APPROVED, State.PACKED}
    freed = _free(transfer)
    transfer.remark = remark
    _enter(
        transfer,
        step,
        State.WITHDRAWN,
        "Отозвана: %(remark)s" if remark else "Отозвана",
        by=by,
        clock=clock,
        to=_other_side(transfer, step.party),
        urgent=urgent,
        remark=remark[:200],
    )
    if step.party is Party.GIVER:
        _ask_next(transfer, freed, clock=clock)
    return transfer


def _free(transfer: Transfer) -> dict[int, int]:
    """Free everything a transfer holds before shipment; return the copies by line that it held."""
    held = {line.id: line.copies for line in transfer.lines}
    if transfer.state in PROMISING:
        _promise(transfer, {line_id: -copies for line_id, copies in held.items()})
    _book((line, -held[line.id], -held[line.id]) for line in transfer.lines)
    return held


def _other_side(transfer: Transfer, party: Party) -> list[int]:
    """Return who has to know that nothing comes of it: the librarians, not ``party``'s."""
    sides = {Party.GIVER: transfer.giver, Party.TAKER: transfer.taker}
    return sorted(
        {
            user_id
            for side, holder in sides.items()
            if side is not party
            for user_id in access.people_who_may(Action.HAND_OVER, holder)
        }
    )


def expire(clock: Clock) -> list[Transfer]:
    """Move on from proposals whose day to answer has passed; return them. Run once a day.

    A giver's silence counts as a refusal: the need goes to the next giver.
    """
    expired = []
    for district in db.session.scalars(sa.select(District).order_by(District.id)):
        today = clock.today(district.timezone)
        overdue = sa.select(Transfer.id).where(
            Transfer.district_id == district.id,
            Transfer.state.in_(rules.ANSWERED),
            Transfer.answer_by < today,
        )
        for transfer_id in db.session.scalars(overdue.order_by(Transfer.id)).all():
            transfer = _locked(transfer_id)
            if transfer is None or transfer.answer_by is None or transfer.answer_by >= today:
                continue
            step = rules.take(StepName.EXPIRE, transfer.state, {Party.SYSTEM})
            expired.append(_refuse(transfer, step, DeclineReason.NO_ANSWER, "", by=None, clock=clock))
    return expired


# --- The next giver -------------------------------------------------------------------------------------


def _ask_next(refused: Transfer, freed: Mapping[int, int], *, clock: Clock) -> list[Transfer]:
    """Offer the needs of a refused transfer to the next givers; return the new proposals.

    Without anybody left to ask, the asking school is told.
    """
    wanted: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for line in refused.lines:
        if line.request_id is not None:
            wanted[line.request_id][line.edition.part] += freed[line.id]
    lines: defaultdict[tuple[int, Kind], list[NewLine]] = defaultdict(list)
    for request_id, parts in sorted(wanted.items()):
        best = _next_giver(refused, db.session.get_one(Request, request_id), parts, clock=clock)
        if best is None:
            continue
        lines[best.giver_id, best.kind] += [
            NewLine(
                edition_id=pick.edition_id,
                owner_id=best.giver_id,
                copies=pick.copies,
                offer_id=pick.offer_id,
                request_id=request_id,
            )
            for pick in best.picks
        ]
    proposals = [
        _propose(
            giver=db.session.get_one(Holder, giver_id),
            taker=refused.taker,
            kind=kind,
            lines=new_lines,
            proposed_by=Party.SYSTEM,
            by=None,
            clock=clock,
            due_back=None,
            plan_id=refused.plan_id,
            previous_id=refused.id,
        )
        for (giver_id, kind), new_lines in lines.items()
    ]
    names = ", ".join(proposal.giver.short_name for proposal in proposals)
    journal.record(
        SUBJECT,
        refused.id,
        "Потребность предложена дальше: %(names)s"
        if names
        else "Больше спросить некого: заявка снова открыта",
        by_id=None,
        clock=clock,
        district_id=refused.district_id,
        to=[] if names else access.people_who_may(Action.ASK, refused.taker),
        names=names,
    )
    return proposals


def _next_giver(
    refused: Transfer, request: Request, parts: Mapping[int, int], *, clock: Clock
) -> rules.Bundle | None:
    if request.state is not PostingState.OPEN:
        return None
    still_open = {part.part: part.open for part in request.parts}
    lacking = {part: min(copies, still_open.get(part, 0)) for part, copies in parts.items()}
    lacking = {part: copies for part, copies in lacking.items() if copies}
    if not lacking:
        return None
    said_no = db.session.scalars(
        sa.select(Transfer.giver_id)
        .join(TransferLine, TransferLine.transfer_id == Transfer.id)
        .where(TransferLine.request_id == request.id, Transfer.state.in_(rules.FAILED))
        .distinct()
    )
    want = rules.Want(
        parts=lacking,
        year_from=request.year_from,
        loan_acceptable=request.loan_acceptable,
        refused=frozenset({*said_no, refused.taker_id}),
    )
    return next(
        iter(rules.next_givers(want, _sources(request, clock.today(refused.giver.district.timezone)))), None
    )


def _sources(request: Request, today: date) -> list[rules.Source]:
    """Return the open offers of the textbook, locked, so that nobody takes them in between."""
    offers = db.session.execute(
        sa.select(Offer, Edition)
        .join(Edition, Edition.id == Offer.edition_id)
        .where(
            Offer.district_id == request.district_id,
            Offer.state == PostingState.OPEN,
            Offer.copies > Offer.reserved,
            Offer.expires_on >= today,
            sa.or_(
                Offer.available_from.is_(None), Offer.available_from <= max(today, request.needed_by or today)
            ),
            Edition.textbook_id == request.textbook_id,
        )
        .order_by(Offer.id)
        .with_for_update(of=Offer)
        .execution_options(populate_existing=True)
    ).all()
    km = schools.distances(request.district_id)
    verdict = catalog.verdicts([request.textbook_id], today)[request.textbook_id]
    return [
        rules.Source(
            offer_id=offer.id,
            giver_id=offer.holder_id,
            edition_id=edition.id,
            part=edition.part,
            year=edition.year,
            free=offer.free,
            kind=Kind(offer.kind.value),
            km=km[offer.holder_id, request.school_id],
            usable=rules.may_be_moved(verdict, Kind(offer.kind.value))
            and no_worse(offer.condition, request.condition_from),
        )
        for offer, edition in offers
    ]


# --- On the way and after -------------------------------------------------------------------------------


def ship(transfer_id: int, *, seen: int | None = None, by: User, clock: Clock) -> Transfer:
    """The books leave the giver."""
    transfer, step = open_step(transfer_id, StepName.SHIP, seen=seen, by=by)
    for line in transfer.lines:
        line.shipped = line.copies
    transfer.shipped_at = clock.now()
    copies = {line.id: line.shipped for line in transfer.lines}
    _promise(transfer, {line_id: -number for line_id, number in copies.items()})
    transit = ledger.technical(transfer.district_id, HolderKind.TRANSIT)
    _post(transfer, MovementKind.SHIPMENT, transfer.giver_id, transit, copies, by=by, clock=clock)
    return _enter(
        transfer,
        step,
        State.SHIPPED,
        "Отправлено %(copies)s экз.",
        by=by,
        clock=clock,
        copies=sum(copies.values()),
    )


def receive(
    transfer_id: int,
    arrivals: Mapping[int, Arrival],
    *,
    seen: int | None = None,
    by: User,
    clock: Clock,
    note: str = "",
) -> Transfer:
    """The taker counts what arrived, by line; lines not named wait for the next go.

    Damaged and missing copies go to the disputed account. Raises ``Invalid`` when more is counted than is
    on the road, or nothing at all.
    """
    transfer, step = open_step(transfer_id, StepName.RECEIVE, seen=seen, by=by)
    _check_lines(transfer, arrivals)
    after = {}
    for line in transfer.lines:
        try:
            after[line.id] = rules.count_arrival(line.counts, arrivals.get(line.id, Arrival()))
        except Invalid as error:
            raise Invalid(error.message, field=f"good_{line.id}", **error.parameters) from None
    counted = [
        DeliveryLine(line_id=key, **vars(arrivals[key]))
        for key in arrivals
        if any(vars(arrivals[key]).values())
    ]
    if not counted:
        raise Invalid("Укажите, сколько книг приехало: сейчас везде ноль.")
    db.session.add(
        Delivery(transfer_id=transfer.id, at=clock.now(), by_id=by.id, note=note.strip(), lines=counted)
    )
    transit = ledger.technical(transfer.district_id, HolderKind.TRANSIT)
    disputed = ledger.technical(transfer.district_id, HolderKind.DISPUTED)
    good = {one.line_id: one.good for one in counted}
    wrong = {one.line_id: one.damaged + one.missing for one in counted}
    _store(transfer, after)
    ledger.post(
        MovementKind.RECEIPT,
        [*_arriving(transfer, transit, good), *_moving(transfer, transit, disputed, wrong)],
        by=by,
        clock=clock,
        district_id=transfer.district_id,
        transfer_id=transfer.id,
    )
    return _enter(
        transfer,
        step,
        rules.state_after_arrival(transfer.kind, list(after.values())),
        "Принято: исправных %(good)s, повреждённых %(damaged)s, не хватает %(missing)s",
        by=by,
        clock=clock,
        good=sum(good.values()),
        damaged=sum(one.damaged for one in counted),
        missing=sum(one.missing for one in counted),
    )


def settle(
    transfer_id: int,
    decisions: Mapping[int, Decision],
    *,
    seen: int | None = None,
    by: User,
    clock: Clock,
) -> Transfer:
    """The methodist decides, by line, where every disputed copy is and who bears what is lost.

    What never arrived for good reopens the request; what is back with the giver may be asked for again.
    """
    transfer, step = open_step(transfer_id, StepName.SETTLE, seen=seen, by=by)
    _check_lines(transfer, decisions)
    after = {}
    for line in transfer.lines:
        decision = decisions.get(line.id, Decision())
        try:
            after[line.id] = rules.count_decision(line.counts, decision)
        except Invalid as error:
            field = f"{error.field or 'kept'}_{line.id}"
            raise Invalid(error.message, field=field, **error.parameters) from None
        if decision.lost:
            line.loss_borne_by = decision.bearer
    disputed = ledger.technical(transfer.district_id, HolderKind.DISPUTED)
    written_off = ledger.technical(transfer.district_id, HolderKind.WRITTEN_OFF)
    kept = {key: decision.kept for key, decision in decisions.items()}
    sent_back = {key: decision.sent_back for key, decision in decisions.items()}
    lost = {key: decision.lost for key, decision in decisions.items()}
    _store(transfer, after)
    ledger.post(
        MovementKind.SETTLEMENT,
        [
            *_arriving(transfer, disputed, kept),
            *_moving(transfer, disputed, transfer.giver_id, sent_back),
            *_moving(transfer, disputed, written_off, lost),
        ],
        by=by,
        clock=clock,
        district_id=transfer.district_id,
        transfer_id=transfer.id,
    )
    _book(
        (line, -sent_back.get(line.id, 0), -sent_back.get(line.id, 0) - lost.get(line.id, 0))
        for line in transfer.lines
    )
    return _enter(
        transfer,
        step,
        rules.state_after_arrival(transfer.kind, list(after.values())),
        "Расхождение решено: у получателя %(kept)s, у отдающей стороны %(sent_back)s, утрачено %(lost)s",
        by=by,
        clock=clock,
        to=_people([Action.HAND_OVER], transfer.giver) + _people([Action.HAND_OVER], transfer.taker),
        kept=sum(kept.values()),
        sent_back=sum(sent_back.values()),
        lost=sum(lost.values()),
    )


def stop(transfer_id: int, remark: str = "", *, seen: int | None = None, by: User, clock: Clock) -> Transfer:
    """What is still on the road goes back to the giver; what was received stays received."""
    transfer, step = open_step(transfer_id, StepName.STOP, seen=seen, by=by)
    remark = remark.strip()
    if not remark:
        raise Invalid("Напишите, почему книги возвращены с дороги.", field="remark")
    back = {line.id: line.counts.pending for line in transfer.lines}
    after = {line.id: changed(line.counts, returned=line.returned + back[line.id]) for line in transfer.lines}
    transfer.remark = remark
    _store(transfer, after)
    transit = ledger.technical(transfer.district_id, HolderKind.TRANSIT)
    _post(transfer, MovementKind.STOP, transit, transfer.giver_id, back, by=by, clock=clock, reason=remark)
    _book((line, -back[line.id], -back[line.id]) for line in transfer.lines)
    state = rules.state_after_arrival(transfer.kind, list(after.values()))
    return _enter(
        transfer,
        step,
        state,
        "С дороги вернулось %(copies)s экз.: %(remark)s",
        by=by,
        clock=clock,
        to=None if state in rules.BLOCKING else _other_side(transfer, step.party),
        urgent=True,
        copies=sum(back.values()),
        remark=remark[:200],
    )


# --- Loans ----------------------------------------------------------------------------------------------


def prolong(transfer_id: int, due_back: date, *, seen: int | None = None, by: User, clock: Clock) -> Transfer:
    """The giver leaves the books for longer."""
    transfer, step = open_step(transfer_id, StepName.PROLONG, seen=seen, by=by)
    today = clock.today(transfer.giver.district.timezone)
    rules.check_due_back(due_back, today, later_than=transfer.due_back)
    before, transfer.due_back = transfer.due_back, due_back
    return _enter(
        transfer,
        step,
        State.LENT,
        "Срок возврата продлён: был %(before)s, стал %(after)s",
        by=by,
        clock=clock,
        to=_people([Action.HAND_OVER], transfer.taker),
        before=f"{before:%d.%m.%Y}" if before else "–",
        after=f"{due_back:%d.%m.%Y}",
    )


def hand_back(
    transfer_id: int, counts: Mapping[int, int], *, seen: int | None = None, by: User, clock: Clock
) -> Transfer:
    """Lent copies are back with the giver, by line; the rest is still owed."""
    transfer, step = open_step(transfer_id, StepName.RETURN, seen=seen, by=by)
    after = _returned(
        transfer, counts, "back", lambda line, copies: rules.count_return(line, handed_back=copies)
    )
    _store(transfer, after)
    _post(
        transfer, MovementKind.RETURN, transfer.taker_id, transfer.giver_id, dict(counts), by=by, clock=clock
    )
    return _enter(
        transfer,
        step,
        rules.state_after_return(list(after.values())),
        "Возвращено %(copies)s экз., осталось вернуть %(rest)s",
        by=by,
        clock=clock,
        copies=sum(counts.values()),
        rest=sum(line.outstanding for line in after.values()),
    )


def replace(
    transfer_id: int, counts: Mapping[int, int], *, seen: int | None = None, by: User, clock: Clock
) -> Transfer:
    """Lent copies were lost; the giver got equal ones for them, by line.

    The lost ones are written off, the equal ones come in from outside.
    """
    transfer, step = open_step(transfer_id, StepName.REPLACE, seen=seen, by=by)
    after = _returned(
        transfer, counts, "replaced", lambda line, copies: rules.count_return(line, replaced=copies)
    )
    _store(transfer, after)
    written_off = ledger.technical(transfer.district_id, HolderKind.WRITTEN_OFF)
    source = ledger.technical(transfer.district_id, HolderKind.SOURCE)
    ledger.post(
        MovementKind.REPLACEMENT,
        [
            *_moving(transfer, transfer.taker_id, written_off, counts),
            *_moving(transfer, source, transfer.giver_id, counts),
        ],
        by=by,
        clock=clock,
        district_id=transfer.district_id,
        transfer_id=transfer.id,
    )
    return _enter(
        transfer,
        step,
        rules.state_after_return(list(after.values())),
        "Утраченные заменены равноценными: %(copies)s экз., осталось вернуть %(rest)s",
        by=by,
        clock=clock,
        copies=sum(counts.values()),
        rest=sum(line.outstanding for line in after.values()),
    )


def _returned(
    transfer: Transfer, counts: Mapping[int, int], field: str, count: Callable[[Counts, int], Counts]
) -> dict[int, Counts]:
    _check_lines(transfer, counts)
    if not any(counts.values()):
        raise Invalid("Укажите, сколько экземпляров: сейчас везде ноль.")
    after = {}
    for line in transfer.lines:
        try:
            after[line.id] = count(line.counts, counts.get(line.id, 0))
        except Invalid as error:
            raise Invalid(error.message, field=f"{field}_{line.id}", **error.parameters) from None
    return after


def _store(transfer: Transfer, after: Mapping[int, Counts]) -> None:
    for line in transfer.lines:
        for name, value in vars(after[line.id]).items():
            setattr(line, name, value)
    db.session.flush()


def _moving(transfer: Transfer, source: int, target: int, copies: Mapping[int, int]) -> list[Line]:
    """Return the movement of copies by line from one holder to another; the owner stays."""
    return [
        moved
        for line in transfer.lines
        if copies.get(line.id)
        for moved in transfer_of_copies(
            line.edition_id,
            copies[line.id],
            owner=(line.owner_id, line.owner_id),
            holder=(source, target),
        )
    ]


def _arriving(transfer: Transfer, source: int, copies: Mapping[int, int]) -> list[Line]:
    """Return the movement of copies into the taker's use: of a permanent transfer the owner changes too."""
    return [
        moved
        for line in transfer.lines
        if copies.get(line.id)
        for moved in transfer_of_copies(
            line.edition_id,
            copies[line.id],
            owner=(line.owner_id, rules.owner_after(transfer.kind, line.owner_id, transfer.taker_id)),
            holder=(source, transfer.taker_id),
        )
    ]


def _post(
    transfer: Transfer,
    kind: MovementKind,
    source: int,
    target: int,
    copies: Mapping[int, int],
    *,
    by: User,
    clock: Clock,
    reason: str = "",
) -> None:
    ledger.post(
        kind,
        _moving(transfer, source, target, copies),
        by=by,
        clock=clock,
        district_id=transfer.district_id,
        transfer_id=transfer.id,
        reason=reason,
    )


# --- What people see ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A transfer as a line of a list. ``step`` is what this person can do next, where asked for."""

    id: int
    version: int
    state: State
    kind: Kind
    giver_id: int
    taker_id: int
    giver: str
    taker: str
    act_number: int | None
    answer_by: date | None
    due_back: date | None
    changed_at: datetime
    copies: int
    books: int
    title: str
    step: StepName | None = None


_giver = sa.orm.aliased(Holder)
_taker = sa.orm.aliased(Holder)


def waiting(by: User, *, clock: Clock) -> list[Row]:
    """Return what waits for this person, the oldest first: their next steps, and loans due to come back."""
    today = clock.today(by.district.timezone)
    rows = _rows(_waits(by, today), order=(Transfer.changed_at, Transfer.id), limit=500)
    places = {holder.id: holder for holder in _holders(by)}

    def step_of(row: Row) -> StepName | None:
        sides = {Party.GIVER: places[row.giver_id], Party.TAKER: places[row.taker_id], Party.METHODIST: None}
        steps = rules.menu(row.state, lambda party, action: access.allowed(by, action, sides[party]))
        return rules.next_step(steps)

    return [changed(row, step=step_of(row)) for row in rows]


def waiting_count(by: User, *, clock: Clock) -> int:
    """Return how many transfers wait for this person."""
    condition = _waits(by, clock.today(by.district.timezone))
    return db.session.scalar(sa.select(sa.func.count()).select_from(Transfer).where(condition)) or 0


def _holders(by: User) -> list[Holder]:
    return list(
        db.session.scalars(
            sa.select(Holder).where(
                Holder.district_id == by.district_id,
                Holder.kind.in_([HolderKind.SCHOOL, HolderKind.FUND]),
            )
        )
    )


def _waits(by: User, today: date) -> sa.ColumnElement[bool]:
    conditions: list[sa.ColumnElement[bool]] = []
    # Steps that the same people take at the same side share a condition.
    states: defaultdict[tuple[Party, frozenset[Action]], list[State]] = defaultdict(list)
    for step in rules.STEPS:
        if step.name in rules.MAIN_STEPS:
            states[step.party, rules.ACTIONS[step.name, step.party]].append(step.source)
    places = {actions: access.where_allowed(by, *actions) for _party, actions in states}
    for (party, actions), sources in states.items():
        if party is Party.METHODIST:
            if any(access.allowed(by, action) for action in actions):
                conditions.append(Transfer.state.in_(sources))
            continue
        column = Transfer.giver_id if party is Party.GIVER else Transfer.taker_id
        conditions.append(sa.and_(Transfer.state.in_(sources), column.in_(places[actions])))
    hands = access.where_allowed(by, Action.HAND_OVER)
    conditions.append(
        sa.and_(
            Transfer.state == State.LENT,
            Transfer.due_back <= today + timedelta(days=rules.REMIND_DAYS),
            sa.or_(Transfer.giver_id.in_(hands), Transfer.taker_id.in_(hands)),
        )
    )
    return sa.and_(Transfer.district_id == by.district_id, sa.or_(*conditions))


def _rows(
    condition: sa.ColumnElement[bool],
    *,
    order: Sequence[sa.ColumnExpressionArgument[Any]],
    limit: int | None = None,
    offset: int = 0,
) -> list[Row]:
    """Return transfers as rows, in two queries."""
    found = db.session.execute(
        sa.select(
            Transfer.id,
            Transfer.version,
            Transfer.state,
            Transfer.kind,
            Transfer.giver_id,
            Transfer.taker_id,
            _giver.short_name.label("giver"),
            _taker.short_name.label("taker"),
            Transfer.act_number,
            Transfer.answer_by,
            Transfer.due_back,
            Transfer.changed_at,
        )
        .join(_giver, _giver.id == Transfer.giver_id)
        .join(_taker, _taker.id == Transfer.taker_id)
        .where(condition)
        .order_by(*order)
        .limit(limit)
        .offset(offset)
    ).all()
    about = _about([row.id for row in found])
    return [Row(**row._mapping, **about[row.id]) for row in found]


def _about(transfer_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return copies, number of books and the first book of each transfer."""
    number = sa.case(
        (TransferLine.shipped > 0, TransferLine.shipped),
        else_=sa.func.coalesce(TransferLine.agreed, TransferLine.asked),
    )
    rows = db.session.execute(
        sa.select(
            TransferLine.transfer_id,
            number.label("copies"),
            Textbook.id,
            Textbook.title,
            Textbook.grade_from,
            Textbook.grade_to,
        )
        .join(Edition, Edition.id == TransferLine.edition_id)
        .join(Textbook, Textbook.id == Edition.textbook_id)
        .where(TransferLine.transfer_id.in_(transfer_ids))
        .order_by(TransferLine.id)
    )
    lines: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows:
        lines[row.transfer_id].append(row)
    return {
        transfer_id: {
            "copies": sum(row.copies for row in found),
            "books": len({row.id for row in found}),
            "title": rules.title_with_grades(found[0].title, found[0].grade_from, found[0].grade_to),
        }
        for transfer_id, found in lines.items()
    }


@dataclass(frozen=True)
class Filter:
    """What a list of transfers is narrowed to. ``school_id``: either side; ``plan_id``: proposals of that
    plan and those that took over a refused one.
    """

    group: rules.Group | None = None
    school_id: int | None = None
    kind: Kind | None = None
    direction: Direction | None = None
    plan_id: int | None = None


def listing(wanted: Filter, *, by: User, limit: int | None = None, offset: int = 0) -> tuple[list[Row], int]:
    """Return transfers that ``by`` may see, the last changed first, and how many there are in all."""
    if not access.allowed_somewhere(by, Action.SEE_TRANSFER):
        raise Forbidden(access.FORBIDDEN)
    visible_at = access.where_allowed(by, Action.SEE_TRANSFER)
    sides = {
        None: sa.or_(Transfer.giver_id.in_(visible_at), Transfer.taker_id.in_(visible_at)),
        Direction.OUT: Transfer.giver_id.in_(visible_at),
        Direction.IN: Transfer.taker_id.in_(visible_at),
    }
    conditions = [Transfer.district_id == by.district_id, sides[wanted.direction]]
    if wanted.group is not None:
        conditions.append(Transfer.state.in_(rules.GROUP_STATES[wanted.group]))
    if wanted.school_id is not None:
        conditions.append(
            sa.or_(Transfer.giver_id == wanted.school_id, Transfer.taker_id == wanted.school_id)
        )
    if wanted.kind is not None:
        conditions.append(Transfer.kind == wanted.kind)
    if wanted.plan_id is not None:
        conditions.append(Transfer.plan_id == wanted.plan_id)
    condition = sa.and_(*conditions)
    total = db.session.scalar(sa.select(sa.func.count()).select_from(Transfer).where(condition)) or 0
    rows = _rows(
        condition, order=(Transfer.changed_at.desc(), Transfer.id.desc()), limit=limit, offset=offset
    )
    return rows, total


def deliveries(transfer: Transfer) -> list[Delivery]:
    """Return the goes in which the taker counted, the oldest first."""
    return list(
        db.session.scalars(
            sa.select(Delivery).where(Delivery.transfer_id == transfer.id).order_by(Delivery.id)
        )
    )


def partners(by: User) -> list[Holder]:
    """Return the schools and storage places a list can be narrowed to, by name."""
    return sorted(_holders(by), key=lambda holder: holder.short_name)


def local_day(moment: datetime, zone: str) -> date:
    """Return the calendar date of a moment in the IANA time zone ``zone``."""
    return moment.astimezone(ZoneInfo(zone)).date()
