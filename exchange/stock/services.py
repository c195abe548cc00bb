"""Counts, arrivals, write-offs and notes of a shelf; what a shelf holds and who needs it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from exchange import journal
from exchange.approved import services as approved
from exchange.approved.models import ApprovedList, ApprovedUse
from exchange.approved.rules import Use, course_of
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import SchoolYear, Verdict
from exchange.classes import services as classes
from exchange.classes.rules import Group
from exchange.clock import Clock
from exchange.db import db, insert_if_absent, insert_missing
from exchange.errors import DomainError, Invalid, NotFound, Refusals
from exchange.ledger import services as ledger
from exchange.ledger.models import Balance, Movement, MovementLine
from exchange.ledger.rules import (
    WRITE_OFF_NAMES,
    Line,
    MovementKind,
    WriteOffReason,
    transfer_of_copies,
)
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.stock import rules
from exchange.stock.models import SchoolReserve, ShelfNote
from exchange.stock.rules import Candidate, Condition, Reserve, ShelfBook, ShelfEdition

OPEN = "open"
_offer = sa.table(
    "offer",
    *map(sa.column, ("holder_id", "edition_id", "copies", "reserved", "state")),
)
_request = sa.table("request", *map(sa.column, ("school_id", "textbook_id", "state")))
_transfer = sa.table("transfer", *map(sa.column, ("id", "state", "giver_id")))
_line = sa.table("transfer_line", *map(sa.column, ("transfer_id", "edition_id", "owner_id", "asked")))
PROPOSED = "proposed"
# The features of postings and transfers stand above this one and own these tables. The shelf only reads them:
# what is offered cannot be counted away, what is asked for is in use, and what others have asked for but
# nobody has agreed to is promised nowhere in the ledger.

_PLACES = (HolderKind.SCHOOL, HolderKind.FUND)
_ON_THE_WAY = (HolderKind.TRANSIT, HolderKind.DISPUTED)


# --- changing the shelf ---


def count(
    *,
    holder: Holder,
    edition: Edition,
    copies: int,
    by: User,
    clock: Clock,
    reason: str = "",
    seen: int | None = None,
) -> Movement | None:
    """Write down that ``copies`` of the holder's own stand on its shelf; borrowed ones are not counted here.

    The difference is a movement from (or back to) the source account; where there is none, only the day of
    the count is noted and ``None`` returned. ``seen``: the number the person had before them. Raises
    ``Invalid`` (field «copies») below what is promised or offered, and when ``seen`` is no longer so.
    """
    _require_count(by, holder)
    now, lines = _counted(holder, edition.id, copies, seen=seen, clock=clock)
    db.session.flush()
    if not lines:
        return None
    movement = ledger.post(
        MovementKind.COUNT, lines, by=by, clock=clock, district_id=holder.district_id, reason=reason
    )
    _record(
        holder,
        "Пересчёт: %(book)s, было %(before)s, стало %(after)s",
        edition,
        by=by,
        clock=clock,
        before=now,
        after=copies,
    )
    return movement


def _counted(
    holder: Holder, edition_id: int, copies: int, *, seen: int | None, clock: Clock
) -> tuple[int, list[Line]]:
    """Check one count of the holder's own copies and note its day; return what was, and what has to move."""
    now, promised = ledger.locked(owner_id=holder.id, holder_id=holder.id, edition_id=edition_id)
    if seen is not None:
        rules.check_seen(seen, now)
    rules.check_count(copies, promised=promised, offered=_offered(holder.id, edition_id))
    note = _note(holder.id, edition_id)
    note.counted_at = clock.now()
    if copies < now:
        note.worn = min(note.worn, copies + _borrowed(holder.id, edition_id))
    if copies == now:
        return now, []
    source = ledger.technical(holder.district_id, HolderKind.SOURCE)
    lines = transfer_of_copies(
        edition_id, copies - now, owner=(holder.id, holder.id), holder=(source, holder.id)
    )
    return now, lines


def count_together(
    *,
    holder: Holder,
    counted: Mapping[int, Counted],
    by: User,
    clock: Clock,
    reason: str = "",
    document: str = "",
) -> Movement | None:
    """Write down many counts of the holder's own copies, by edition, as one movement; all or nothing.

    Returns ``None`` where everything is as it was. Raises ``Refusals`` by edition for what is promised or
    offered, and where the number somebody saw is no longer so.
    """
    _require_count(by, holder)
    here = _own_shelf(holder.id, counted)
    refused: dict[int, DomainError] = {}
    for edition_id, value in sorted(counted.items()):
        there = here[edition_id]
        try:
            rules.check_seen(value.seen, there.own)
            rules.check_count(value.copies, promised=there.promised, offered=there.offered)
        except Invalid as error:
            refused[edition_id] = error
    if refused:
        raise Refusals(refused)
    _note_counts(holder.id, {id_: (value.copies, here[id_]) for id_, value in counted.items()}, clock=clock)
    source = ledger.technical(holder.district_id, HolderKind.SOURCE)
    moved = [
        line
        for edition_id, value in sorted(counted.items())
        if value.copies != here[edition_id].own
        for line in transfer_of_copies(
            edition_id,
            value.copies - here[edition_id].own,
            owner=(holder.id, holder.id),
            holder=(source, holder.id),
        )
    ]
    if not moved:
        return None
    return ledger.post(
        MovementKind.COUNT,
        moved,
        by=by,
        clock=clock,
        district_id=holder.district_id,
        reason=reason,
        document=document,
    )


@dataclass(frozen=True)
class _OnShelf:
    """Own copies of an edition, what is promised and offered of them; copies there that are borrowed."""

    own: int
    promised: int
    offered: int
    borrowed: int


_AT_ONCE = 500


def _own_shelf(holder_id: int, edition_ids: Collection[int]) -> dict[int, _OnShelf]:
    """Return what stands on a shelf of some editions; nobody changes the own copies until the unit ends."""
    found: dict[int, _OnShelf] = {}
    ids = sorted(edition_ids)
    for first in range(0, len(ids), _AT_ONCE):
        some = ids[first : first + _AT_ONCE]
        ledger.locked_shelf(holder_id, sa.select(Edition.id).where(Edition.id.in_(some)))
        own = Balance.owner_id == holder_id
        offered = (
            sa.select(_offer.c.edition_id, sa.func.sum(_offer.c.copies - _offer.c.reserved).label("copies"))
            .where(_offer.c.holder_id == holder_id, _offer.c.state == OPEN, _offer.c.edition_id.in_(some))
            .group_by(_offer.c.edition_id)
            .subquery()
        )
        for row in db.session.execute(
            sa.select(
                Balance.edition_id,
                sa.func.sum(sa.case((own, Balance.copies), else_=0)),
                sa.func.sum(sa.case((own, Balance.promised), else_=0)),
                sa.func.coalesce(sa.func.max(offered.c.copies), 0),
                sa.func.sum(sa.case((own, 0), else_=Balance.copies)),
            )
            .outerjoin(offered, offered.c.edition_id == Balance.edition_id)
            .where(Balance.holder_id == holder_id, Balance.edition_id.in_(some))
            .group_by(Balance.edition_id)
        ):
            found[row[0]] = _OnShelf(*map(int, row[1:]))
    return found


def _note_counts(holder_id: int, counted: Mapping[int, tuple[int, _OnShelf]], *, clock: Clock) -> None:
    """Note that editions have been counted now, by what was counted and what was there before."""
    _make_notes(holder_id, counted)
    copies = {id_: (after, there.borrowed) for id_, (after, there) in counted.items() if after < there.own}
    for note in db.session.scalars(
        sa.select(ShelfNote)
        .where(ShelfNote.holder_id == holder_id, ShelfNote.edition_id.in_(counted))
        .execution_options(populate_existing=True)
    ):
        note.counted_at = clock.now()
        if note.edition_id in copies:
            note.worn = min(note.worn, sum(copies[note.edition_id]))
    db.session.flush()


def note_counted(*, holder: Holder, edition_ids: Collection[int], by: User, clock: Clock) -> None:
    """Note that these editions have been counted now, where the books agreed with the shelf."""
    _require_count(by, holder)
    _make_notes(holder.id, edition_ids)
    db.session.execute(
        sa.update(ShelfNote)
        .where(ShelfNote.holder_id == holder.id, ShelfNote.edition_id.in_(edition_ids))
        .values(counted_at=clock.now())
        .execution_options(synchronize_session="fetch")
    )
    db.session.flush()


def _make_notes(holder_id: int, edition_ids: Collection[int]) -> None:
    """Make the notes of some editions that are not there yet."""
    new = {"holder_id": holder_id, "condition": Condition.GOOD, "worn": 0}
    insert_missing(ShelfNote, [{**new, "edition_id": edition_id} for edition_id in sorted(edition_ids)])


@dataclass(frozen=True)
class Counted:
    """What somebody typed for one year and part: ``copies`` where ``seen`` stood."""

    seen: int
    copies: int


def count_book(
    *,
    holder: Holder,
    textbook: Textbook,
    counted: Mapping[tuple[int, int], Counted],
    by: User,
    clock: Clock,
    reason: str = "",
) -> int:
    """Count the years and parts of one book together, by (year, part); return how many of them changed.

    Only what was typed anew is counted, so that a page left open does not count old numbers again; where
    nothing was, everything is confirmed as it stands. Raises ``Invalid`` whose field is «year-part».
    """
    changed = {key: value for key, value in counted.items() if value.copies != value.seen}
    for (year, part), value in sorted((changed or counted).items()):
        try:
            edition = catalog.edition_for(textbook.id, year, part, clock=clock)
            count(
                holder=holder,
                edition=edition,
                copies=value.copies,
                seen=value.seen,
                reason=reason,
                by=by,
                clock=clock,
            )
        except Invalid as error:
            raise Invalid(error.message, field=f"{year}-{part}", **error.parameters) from error
    return len(changed)


def acquire(
    *,
    holder: Holder,
    edition: Edition,
    copies: int,
    document: str,
    by: User,
    clock: Clock,
    reason: str = "",
) -> Movement:
    """Enter copies that were bought or given, by a document (number and date as typed)."""
    _require_count(by, holder)
    if not 0 < copies <= rules.MOST_COPIES:
        raise Invalid("Укажите, сколько экземпляров: хотя бы один.", field="copies")
    if not document.strip():
        raise Invalid("Напишите номер и дату документа, по которому поступили книги.", field="document")
    source = ledger.technical(holder.district_id, HolderKind.SOURCE)
    movement = ledger.post(
        MovementKind.ACQUISITION,
        transfer_of_copies(edition.id, copies, owner=(holder.id, holder.id), holder=(source, holder.id)),
        by=by,
        clock=clock,
        district_id=holder.district_id,
        document=document.strip(),
        reason=reason,
    )
    _record(
        holder,
        "Поступило: %(book)s, %(copies)s экз. (%(document)s)",
        edition,
        by=by,
        clock=clock,
        copies=copies,
        document=document.strip(),
    )
    return movement


def write_off(
    *,
    holder: Holder,
    edition: Edition,
    owner: Holder,
    copies: int,
    reason: WriteOffReason,
    document: str,
    by: User,
    clock: Clock,
) -> Movement:
    """Take ``owner``'s copies off ``holder``'s shelf for good, by a document.

    A school writes off its own copies only: what it has on loan goes back or is replaced. Whoever keeps the
    fund writes off whatever stands there. Raises ``Invalid`` when fewer are free.
    """
    try:
        (movement,) = write_off_together(
            holder=holder,
            leaving=[Leaving(edition, owner, copies, reason)],
            document=document,
            by=by,
            clock=clock,
        )
    except Refusals as refused:
        raise refused.lines[0] from refused
    _record(
        holder,
        "Списано: %(book)s, %(copies)s экз. – %(reason)s (%(document)s)",
        edition,
        by=by,
        clock=clock,
        copies=copies,
        reason=WRITE_OFF_NAMES[reason],
        document=document.strip(),
    )
    return movement


@dataclass(frozen=True)
class Leaving:
    """``copies`` of ``owner`` that leave a shelf for good, for one reason."""

    edition: Edition
    owner: Holder
    copies: int
    reason: WriteOffReason


def write_off_together(
    *, holder: Holder, leaving: Sequence[Leaving], document: str, by: User, clock: Clock
) -> list[Movement]:
    """Take copies off ``holder``'s shelf for good by one document; a movement for each reason, all or none.

    The rules are those of ``write_off``. Raises ``Refusals`` by position in ``leaving``.
    """
    _require_count(by, holder)
    if not document.strip():
        raise Invalid("Напишите номер и дату акта о списании.", field="document")
    accounts: dict[tuple[int, int], list[int]] = {}
    for position, each in enumerate(leaving):
        accounts.setdefault((each.edition.id, each.owner.id), []).append(position)
    refused: dict[int, DomainError] = {}
    # In this order, so that two acts at once wait for each other instead of for ever.
    for _, positions in sorted(accounts.items()):
        try:
            _check_leaving(holder, [leaving[position] for position in positions])
        except Invalid as error:
            refused.update(dict.fromkeys(positions, error))
    if refused:
        raise Refusals(refused)
    gone = ledger.technical(holder.district_id, HolderKind.WRITTEN_OFF)
    movements = []
    for reason in dict.fromkeys(each.reason for each in leaving):
        going = [each for each in leaving if each.reason is reason]
        lines: list[Line] = []
        for each in going:
            owner = (each.owner.id, each.owner.id)
            lines += transfer_of_copies(each.edition.id, each.copies, owner=owner, holder=(holder.id, gone))
        movement = ledger.post(
            MovementKind.WRITE_OFF,
            lines,
            by=by,
            clock=clock,
            district_id=holder.district_id,
            document=document.strip(),
            reason=WRITE_OFF_NAMES[reason],
        )
        movements.append(movement)
        for each in going:
            _leave_worn(holder, each)
    db.session.flush()
    return movements


def _check_leaving(holder: Holder, lines: Sequence[Leaving]) -> None:
    """Check what leaves of one owner's copies of one edition, for all reasons together."""
    edition, owner = lines[0].edition, lines[0].owner
    if owner.district_id != holder.district_id:
        raise NotFound
    if owner.id != holder.id and holder.kind is not HolderKind.FUND:
        raise Invalid("Чужие книги не списывают: их возвращают или заменяют владельцу.", field="copies")
    if any(line.copies <= 0 for line in lines):
        raise Invalid("Укажите, сколько экземпляров: хотя бы один.", field="copies")
    copies = sum(line.copies for line in lines)
    now, promised = ledger.locked(owner_id=owner.id, holder_id=holder.id, edition_id=edition.id)
    if copies > now:
        raise Invalid("На полке только %(now)s экз.: столько и можно списать.", field="copies", now=now)
    offered = _offered(holder.id, edition.id) if owner.id == holder.id else 0
    rules.check_count(now - copies, promised=promised, offered=offered)


def _leave_worn(holder: Holder, gone: Leaving) -> None:
    """Bring the note of the worn copies in line with what has left the shelf."""
    note = _note(holder.id, gone.edition.id)
    note.worn = rules.worn_after_write_off(
        note.worn,
        gone.copies,
        _here(holder.id, gone.edition.id),
        were_there=gone.reason is not WriteOffReason.LOST,
    )


def set_note(
    *, holder: Holder, edition: Edition, condition: Condition, worn: int, by: User, clock: Clock
) -> ShelfNote:
    """Note the condition of the copies on the shelf, and how many of them are to be written off.

    Raises ``Invalid`` (field «worn») when there are fewer.
    """
    _require_count(by, holder)
    here = _here(holder.id, edition.id)
    if not 0 <= worn <= here:
        raise Invalid("На полке %(here)s экз.: больше к списанию не бывает.", field="worn", here=here)
    note = _note(holder.id, edition.id)
    if (note.condition, note.worn) != (condition, worn):
        note.condition, note.worn = condition, worn
        db.session.flush()
        _record(
            holder,
            "Состояние: %(book)s – %(condition)s, к списанию %(worn)s",
            edition,
            by=by,
            clock=clock,
            condition=rules.CONDITION_NAMES[condition],
            worn=worn,
        )
    return note


def add_edition_to_shelf(
    *,
    holder: Holder,
    textbook: Textbook,
    year: int,
    copies_by_part: Mapping[int, int],
    by: User,
    clock: Clock,
    condition: Condition = Condition.GOOD,
    document: str = "",
) -> list[Edition]:
    """Put a textbook of one year on the shelf: with a ``document`` as an arrival, else as a first count.

    Raises ``Invalid`` when nothing is put there, or when a first count is asked for of what is there already.
    """
    _require_count(by, holder)
    parts = {part: copies for part, copies in sorted(copies_by_part.items()) if copies}
    if not parts:
        raise Invalid("Укажите, сколько экземпляров: хотя бы один.", field="copies")
    editions = []
    for part, copies in parts.items():
        edition = catalog.edition_for(textbook.id, year, part, clock=clock)
        if document.strip():
            acquire(holder=holder, edition=edition, copies=copies, document=document, by=by, clock=clock)
        else:
            now, _ = ledger.locked(owner_id=holder.id, holder_id=holder.id, edition_id=edition.id)
            if now:
                raise Invalid(
                    "Книги %(year)s года уже на полке: %(now)s экз. Пересчитайте их там или укажите "
                    "документ, по которому поступили новые.",
                    field="year",
                    year=year,
                    now=now,
                )
            count(
                holder=holder,
                edition=edition,
                copies=copies,
                reason=rules.FIRST_COUNT,
                by=by,
                clock=clock,
            )
        _note(holder.id, edition.id).condition = condition
        editions.append(edition)
    db.session.flush()
    return editions


def _require_count(by: User, holder: Holder) -> None:
    """Let pass whoever counts here; to those who may not even see the shelf there is nothing here."""
    access.require_private(by, Action.SEE_SHELF, holder)
    access.require(by, Action.COUNT, holder)


def _note(holder_id: int, edition_id: int) -> ShelfNote:
    insert_if_absent(ShelfNote, holder_id=holder_id, edition_id=edition_id, condition=Condition.GOOD, worn=0)
    return db.session.get_one(ShelfNote, (holder_id, edition_id))


def _here(holder_id: int, edition_id: int) -> int:
    return (
        db.session.scalar(
            sa.select(sa.func.sum(Balance.copies)).where(
                Balance.holder_id == holder_id, Balance.edition_id == edition_id
            )
        )
        or 0
    )


def _borrowed(holder_id: int, edition_id: int) -> int:
    return (
        db.session.scalar(
            sa.select(sa.func.sum(Balance.copies)).where(
                Balance.holder_id == holder_id,
                Balance.owner_id != holder_id,
                Balance.edition_id == edition_id,
            )
        )
        or 0
    )


def _offered(holder_id: int, edition_id: int) -> int:
    return (
        db.session.scalar(
            sa.select(sa.func.sum(_offer.c.copies - _offer.c.reserved)).where(
                _offer.c.holder_id == holder_id, _offer.c.edition_id == edition_id, _offer.c.state == OPEN
            )
        )
        or 0
    )


def _record(
    holder: Holder, message: str, edition: Edition, *, by: User, clock: Clock, **parameters: Any
) -> None:
    textbook = edition.textbook
    book = f"«{textbook.title}», {edition.year}"
    if textbook.parts > 1:
        book += f", ч. {edition.part}"
    journal.record(
        "holder",
        holder.id,
        message,
        by_id=by.id,
        clock=clock,
        district_id=holder.district_id,
        book=book,
        edition_id=edition.id,
        **parameters,
    )


# --- reading ---


def shelf(holder: Holder, *, on: date, text: str = "", also: int | None = None) -> list[ShelfBook]:
    """Return the books of a shelf by subject, class and title, with every part of every year that is there.

    ``on`` is today: it decides legality and the school year. Books that match the words of ``text`` are
    marked ``found``; the others are returned too, because a book's pupils depend on its neighbours. ``also``
    is a textbook to be returned, without editions, even when nothing of it is here. At most six queries.
    """
    rows = _shelf_rows(holder, text)
    if holder.kind is not HolderKind.SCHOOL:
        return _books(rows, on)
    year = SchoolYear.of(on)
    return _books(
        rows,
        on,
        wanted=_asked_for_or_chosen(holder.id, year, also),
        groups=classes.groups([holder.id], year.start)[holder.id],
        uses=approved.uses([holder.id], [year.start]).get((holder.id, year.start), ()),
        also=also,
    )


def _asked_for_or_chosen(school_id: int, year: SchoolYear, also: int | None) -> list[Any]:
    """Return the textbooks that pupils may attach to though nothing of them is on the shelf."""
    asked_for = sa.select(_request.c.textbook_id).where(
        _request.c.school_id == school_id, _request.c.state == OPEN
    )
    chosen = (
        sa.select(ApprovedUse.textbook_id)
        .join(ApprovedList, ApprovedList.id == ApprovedUse.list_id)
        .where(ApprovedList.school_id == school_id, ApprovedList.school_year == year.start)
    )
    return list(
        db.session.execute(
            sa.select(
                *catalog.BOOK_COLUMNS,
                Textbook.subject,
                Textbook.edition_note,
                Textbook.parts,
                Textbook.special_needs,
                *(column.label(name) for name, column in _reserve_columns().items()),
            )
            .outerjoin(SchoolReserve, SchoolReserve.school_id == school_id)
            .where(sa.or_(Textbook.id.in_(asked_for), Textbook.id.in_(chosen), Textbook.id == also))
        )
    )


def _reserve_columns() -> dict[str, sa.ColumnElement[int]]:
    return {
        name: sa.func.coalesce(getattr(SchoolReserve, name), 0)
        for name in ("reserve_percent", "buffer_percent", "wear_percent")
    }


def _shelf_rows(holder: Holder, text: str) -> list[Any]:
    here = Balance.holder_id == holder.id
    own = Balance.owner_id == holder.id
    offered = (
        sa.select(_offer.c.edition_id, sa.func.sum(_offer.c.copies - _offer.c.reserved).label("offered"))
        .where(_offer.c.holder_id == holder.id, _offer.c.state == OPEN)
        .group_by(_offer.c.edition_id)
        .subquery()
    )
    asked = (
        sa.select(_line.c.edition_id, sa.func.sum(_line.c.asked).label("asked"))
        .join(_transfer, _transfer.c.id == _line.c.transfer_id)
        .where(
            _transfer.c.giver_id == holder.id,
            _transfer.c.state == PROPOSED,
            _line.c.owner_id == holder.id,
        )
        .group_by(_line.c.edition_id)
        .subquery()
    )

    def copies(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((sa.and_(*conditions), Balance.copies), else_=0))

    sums = (
        sa.select(
            Balance.edition_id,
            copies(here, own).label("own"),
            copies(here, sa.not_(own)).label("borrowed"),
            copies(own, sa.not_(here), Holder.kind.in_(_PLACES)).label("lent"),
            copies(own, Holder.kind.in_(_ON_THE_WAY)).label("away"),
            sa.func.sum(sa.case((here, Balance.promised), else_=0)).label("promised"),
        )
        .join(Holder, Holder.id == Balance.holder_id)
        .where(sa.or_(here, own))
        .group_by(Balance.edition_id)
        .subquery()
    )
    return list(
        db.session.execute(
            sa.select(
                Textbook.id,
                Textbook.title,
                Textbook.authors,
                Textbook.subject,
                Textbook.grade_from,
                Textbook.grade_to,
                Textbook.publisher,
                Textbook.level,
                Textbook.edition_note,
                Textbook.parts,
                Textbook.special_needs,
                sa.and_(sa.true(), *catalog.matching(text)).label("found"),
                Edition.id.label("edition_id"),
                Edition.year,
                Edition.part,
                sums.c.own,
                sums.c.borrowed,
                sums.c.lent,
                sums.c.away,
                sums.c.promised,
                sa.func.coalesce(offered.c.offered, 0).label("offered"),
                sa.func.coalesce(asked.c.asked, 0).label("asked"),
                sa.func.coalesce(ShelfNote.worn, 0).label("worn"),
                ShelfNote.condition,
                ShelfNote.counted_at,
                *(column.label(name) for name, column in _reserve_columns().items()),
            )
            .join(sums, sums.c.edition_id == Edition.id)
            .join(Textbook, Textbook.id == Edition.textbook_id)
            .outerjoin(offered, offered.c.edition_id == Edition.id)
            .outerjoin(asked, asked.c.edition_id == Edition.id)
            .outerjoin(SchoolReserve, SchoolReserve.school_id == holder.id)
            .outerjoin(
                ShelfNote, sa.and_(ShelfNote.edition_id == Edition.id, ShelfNote.holder_id == holder.id)
            )
            .order_by(
                Textbook.subject,
                sa.func.coalesce(Textbook.grade_from, 99),
                Textbook.sort_key,
                Textbook.id,
                Edition.year.desc(),
                Edition.part,
            )
        )
    )


def _books(
    rows: Iterable[Any],
    on: date,
    *,
    wanted: Collection[Any] = (),
    groups: Collection[Group] = (),
    uses: Collection[Use] = (),
    also: int | None = None,
) -> list[ShelfBook]:
    year = SchoolYear.of(on)
    grouped: dict[int, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row.id, []).append(row)
    facts = {row.id: row for row in wanted} | {number: held[0] for number, held in grouped.items()}
    verdicts = catalog.verdicts(facts, on)
    in_use = {row.id for row in wanted} | {
        number
        for number, held in grouped.items()
        if any(row.own or row.borrowed or row.lent or row.away for row in held)
    }
    needed_by = rules.attach(
        (candidate(facts[number], verdicts[number], year) for number in sorted(in_use)), groups, uses
    )
    shown = [*grouped] if also is None or also in grouped or also not in facts else [*grouped, also]
    books = []
    for number in shown:
        book, held = facts[number], grouped.get(number, [])
        attached = needed_by.get(number)
        books.append(
            ShelfBook(
                id=number,
                title=book.title,
                authors=book.authors,
                subject=book.subject,
                grade_from=book.grade_from,
                grade_to=book.grade_to,
                publisher=book.publisher,
                level=book.level,
                edition_note=book.edition_note,
                parts=book.parts,
                special_needs=book.special_needs,
                found=any(row.found for row in held),
                verdict=verdicts[number],
                lasts=rules.lasts_through(verdicts[number], year),
                pupils=None if attached is None else sum(each.pupils for each in attached),
                editions=_editions(held, book.parts),
                keeping=reserve_of(book),
            )
        )
    return books


def candidate(row: Any, verdict: Verdict, year: SchoolYear) -> Candidate:
    """Return a row of a textbook as ``rules.attach`` sees it."""
    return Candidate(
        textbook_id=row.id,
        subject=course_of(row.subject, row.title),
        grade_from=row.grade_from,
        grade_to=row.grade_to,
        special_needs=row.special_needs,
        lasts=rules.lasts_through(verdict, year),
    )


def reserve_of(row: Any) -> Reserve:
    """Return what a school keeps, from a row with the columns of ``SchoolReserve``."""
    return Reserve(row.reserve_percent, row.buffer_percent, row.wear_percent)


def reserve(school: Holder) -> Reserve:
    """Return what a school wants and keeps beyond its pupils, and what it expects to wear out."""
    row = db.session.get(SchoolReserve, school.id)
    return reserve_of(row) if row else Reserve()


def set_reserve(*, school: Holder, reserve: Reserve, by: User, clock: Clock) -> bool:
    """Store what a school wants and keeps beyond its pupils; return whether that is anything new."""
    access.require_private(by, Action.SEE_SHELF, school)
    access.require(by, Action.SET_ENROLMENT, school)
    if school.kind is not HolderKind.SCHOOL:
        raise NotFound
    rules.check_reserve(reserve)
    insert_if_absent(SchoolReserve, school_id=school.id, reserve_percent=0, buffer_percent=0, wear_percent=0)
    row = db.session.get_one(SchoolReserve, school.id, populate_existing=True, with_for_update=True)
    if reserve_of(row) == reserve:
        return False
    row.reserve_percent = reserve.reserve_percent
    row.buffer_percent = reserve.buffer_percent
    row.wear_percent = reserve.wear_percent
    db.session.flush()
    journal.record(
        "holder",
        school.id,
        "Запас школы: просить сверх учеников %(reserve)s %%, не отдавать %(buffer)s %%, износ %(wear)s %%",
        by_id=by.id,
        clock=clock,
        district_id=school.district_id,
        reserve=reserve.reserve_percent,
        buffer=reserve.buffer_percent,
        wear=reserve.wear_percent,
    )
    return True


def _editions(rows: Collection[Any], parts: int) -> tuple[ShelfEdition, ...]:
    """Return the editions with a line for every part of each year, those never seen here included."""
    known = {
        (row.year, row.part): ShelfEdition(
            year=row.year,
            part=row.part,
            edition_id=row.edition_id,
            own=row.own,
            borrowed=row.borrowed,
            lent=row.lent,
            away=row.away,
            promised=row.promised,
            offered=row.offered,
            asked=row.asked,
            worn=row.worn,
            condition=row.condition,
            counted_at=row.counted_at,
        )
        for row in rows
    }
    return tuple(
        known.get((year, part)) or ShelfEdition(year=year, part=part)
        for year in sorted({row.year for row in rows}, reverse=True)
        for part in range(1, parts + 1)
    )


def movements(holder: Holder, textbook_id: int) -> list[Any]:
    """Return what came to and left a shelf of a book, of all its years and parts, the newest first.

    One row per line of a movement: ``copies`` is ± on this shelf, ``owner_id`` and ``owner`` say whose.
    """
    return list(
        db.session.execute(
            sa.select(
                Movement.id,
                Movement.at,
                Movement.kind,
                Movement.document,
                Movement.reason,
                Movement.transfer_id,
                User.full_name.label("by"),
                Edition.year,
                Edition.part,
                MovementLine.copies,
                MovementLine.owner_id,
                Holder.short_name.label("owner"),
            )
            .join(MovementLine, MovementLine.movement_id == Movement.id)
            .join(Edition, Edition.id == MovementLine.edition_id)
            .join(User, User.id == Movement.by_id)
            .join(Holder, Holder.id == MovementLine.owner_id)
            .where(Edition.textbook_id == textbook_id, MovementLine.holder_id == holder.id)
            .order_by(Movement.id.desc(), MovementLine.id)
        )
    )
