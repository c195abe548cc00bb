"""The fund: what it holds, what it takes in, gives out and writes off, its report; the district's books."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from exchange import journal
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import Legality, Verdict
from exchange.clock import Clock
from exchange.db import db, insert_if_absent
from exchange.errors import Invalid, NotFound
from exchange.ledger import services as ledger
from exchange.ledger.models import Balance, Movement, MovementLine
from exchange.ledger.rules import MovementKind, WriteOffReason, transfer_of_copies
from exchange.postings.models import Offer, Request, RequestPart
from exchange.reserve import rules
from exchange.reserve.rules import Account, Books, Entry, Figures, Holding, Loan, Origin, Period, Report
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.stock import services as stock
from exchange.stock.models import Floor
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer, TransferLine
from exchange.transfers.rules import ENDED, FAILED, PROMISING, Kind, Party, State, is_overdue

K = TypeVar("K")

PAGE = 50
FLOOR = "floor"
"""Subject of the journal's entries about what the fund keeps back of a textbook."""

_place, _owner, _taker = aliased(Holder), aliased(Holder), aliased(Holder)


# --- what the fund holds ---


@dataclass(frozen=True)
class Title:
    """A textbook of the fund: its row of the catalogue and what the fund holds of it."""

    book: Any
    holding: Holding


@dataclass(frozen=True)
class Listing:
    """Textbooks of the fund that match a filter, how many they are, and what the whole fund comes to."""

    titles: Sequence[Title]
    total: int
    verdicts: Mapping[int, Verdict]
    figures: Figures
    subjects: Sequence[str]
    places: Mapping[int, str]
    owners: Mapping[int, str]


@dataclass(frozen=True)
class Filter:
    """What a list of the fund is narrowed to. ``standing`` is what the federal list says today."""

    text: str = ""
    subject: str = ""
    grade: int | None = None
    standing: Legality | None = None
    place_id: int | None = None
    owner_id: int | None = None


def listing(
    district_id: int, wanted: Filter, *, today: date, first: int = 0, limit: int | None = PAGE
) -> Listing:
    """Return a page of the fund's textbooks, by subject, class and title; ``limit=None``: all of them.

    A textbook belongs to the fund when copies stand there, are lent out from there, or a floor is set. The
    figures are those of the whole fund. Four queries.
    """
    every, matches = _titles(district_id, today, text=wanted.text)
    chosen = [
        title
        for title in every
        if matches[title.book.id]
        and wanted.subject in ("", title.book.subject)
        and (wanted.grade is None or _serves(title.book, wanted.grade))
        and title.holding.stands(place_id=wanted.place_id, owner_id=wanted.owner_id)
    ]
    last = None if limit is None else first + limit
    judged = chosen if wanted.standing else chosen[first:last]
    verdicts = catalog.verdicts([title.book.id for title in judged], today)
    if wanted.standing:
        chosen = [title for title in chosen if verdicts[title.book.id].legality is wanted.standing]
    accounts = [account for title in every for account in title.holding.accounts]
    return Listing(
        titles=chosen[first:last],
        total=len(chosen),
        verdicts=verdicts,
        figures=rules.figures_of(title.holding for title in every),
        subjects=sorted({title.book.subject for title in every}),
        places=_by_name({account.place_id: account.place for account in accounts}),
        owners=_by_name({account.owner_id: account.owner for account in accounts}),
    )


def holding_of(district_id: int, textbook_id: int, *, today: date) -> Holding:
    """Return what the fund of a district holds of one textbook."""
    titles, _ = _titles(district_id, today, textbook_id=textbook_id)
    return titles[0].holding if titles else Holding()


def _serves(book: Any, grade: int) -> bool:
    return book.grade_from is not None and book.grade_from <= grade <= book.grade_to


def _by_name(names: dict[int, str]) -> dict[int, str]:
    return dict(sorted(names.items(), key=lambda pair: pair[1]))


def _places(district_id: int) -> sa.Select[int]:
    return sa.select(Holder.id).where(Holder.district_id == district_id, Holder.kind == HolderKind.FUND)


def _outstanding() -> sa.ColumnElement[int]:
    """Copies of a line of a loan that are with the taker: ``transfers.rules.Counts.outstanding`` in SQL."""
    return TransferLine.good + TransferLine.kept - TransferLine.handed_back - TransferLine.replaced


def _titles(
    district_id: int, today: date, *, text: str = "", textbook_id: int | None = None
) -> tuple[list[Title], dict[int, bool]]:
    """Return the fund's textbooks with what it holds of them, and which of them match ``text``."""
    loans: defaultdict[int, list[Loan]] = defaultdict(list)
    for row in db.session.execute(_loans(district_id, textbook_id)):
        loans[row.textbook_id].append(
            Loan(
                transfer_id=row.transfer_id,
                textbook_id=row.textbook_id,
                year=row.year,
                part=row.part,
                taker_id=row.taker_id,
                taker=row.taker,
                due_back=row.due_back,
                copies=row.copies,
                overdue=is_overdue(State.LENT, row.due_back, today),
            )
        )
    books: dict[int, Any] = {}
    accounts: defaultdict[int, list[Account]] = defaultdict(list)
    for row in db.session.execute(_accounts(district_id, text, textbook_id, lent=loans.keys())):
        books[row.id] = row
        if row.balance_id is not None:
            accounts[row.id].append(
                Account(
                    balance_id=row.balance_id,
                    textbook_id=row.id,
                    edition_id=row.edition_id,
                    year=row.year,
                    part=row.part,
                    owner_id=row.owner_id,
                    owner=row.owner,
                    place_id=row.place_id,
                    place=row.place,
                    copies=row.copies,
                    promised=row.promised,
                )
            )
    titles = [
        Title(book, Holding(accounts[number], loans[number], book.floor or 0))
        for number, book in books.items()
    ]
    return titles, {number: bool(book.matches) for number, book in books.items()}


def _accounts(
    district_id: int, text: str, textbook_id: int | None, *, lent: Iterable[int]
) -> sa.Select[*tuple[Any, ...]]:
    stands = (
        sa.select(
            Edition.textbook_id,
            Edition.year,
            Edition.part,
            Balance.edition_id,
            Balance.id.label("balance_id"),
            Balance.copies,
            Balance.promised,
            Balance.holder_id.label("place_id"),
            _place.short_name.label("place"),
            Balance.owner_id,
            _owner.short_name.label("owner"),
        )
        .join(Edition, Edition.id == Balance.edition_id)
        .join(_place, _place.id == Balance.holder_id)
        .join(_owner, _owner.id == Balance.owner_id)
        .where(_place.district_id == district_id, _place.kind == HolderKind.FUND, Balance.copies > 0)
        .subquery()
    )
    query = (
        sa.select(
            *catalog.BOOK_COLUMNS,
            Textbook.subject,
            Textbook.parts,
            Floor.copies.label("floor"),
            sa.and_(sa.true(), *catalog.matching(text)).label("matches"),
            *(column for column in stands.c if column.name != "textbook_id"),
        )
        .outerjoin(Floor, sa.and_(Floor.textbook_id == Textbook.id, Floor.district_id == district_id))
        .outerjoin(stands, stands.c.textbook_id == Textbook.id)
        .where(
            sa.or_(
                stands.c.balance_id.is_not(None),
                Floor.copies.is_not(None),
                Textbook.id.in_(list(lent)),
            )
        )
        .order_by(
            Textbook.sort_key, Textbook.id, stands.c.place, stands.c.owner, stands.c.year, stands.c.part
        )
    )
    return query if textbook_id is None else query.where(Textbook.id == textbook_id)


def _loans(district_id: int, textbook_id: int | None) -> sa.Select[*tuple[Any, ...]]:
    query = (
        sa.select(
            Transfer.id.label("transfer_id"),
            Edition.textbook_id,
            Edition.year,
            Edition.part,
            Transfer.taker_id,
            _taker.short_name.label("taker"),
            Transfer.due_back,
            _outstanding().label("copies"),
        )
        .join(TransferLine, TransferLine.transfer_id == Transfer.id)
        .join(Edition, Edition.id == TransferLine.edition_id)
        .join(_taker, _taker.id == Transfer.taker_id)
        .where(Transfer.giver_id.in_(_places(district_id)), Transfer.kind == Kind.LOAN, _outstanding() > 0)
        .order_by(Transfer.due_back, _taker.short_name, Edition.year, Edition.part)
    )
    return query if textbook_id is None else query.where(Edition.textbook_id == textbook_id)


# --- one textbook: history, transfers, who could give ---


@dataclass(frozen=True)
class Side:
    """Where copies of a movement came from or went to, and whose they were there."""

    holder: str
    owner: str | None
    """``None`` where the copies are the holder's own, or the place is only a column of the books."""
    copies: int


@dataclass(frozen=True)
class Event:
    """A movement of one edition: who moved how many copies from where to where, by which paper."""

    id: int
    at: datetime
    kind: MovementKind
    who: str
    year: int
    part: int
    document: str
    reason: str
    transfer_id: int | None
    sources: Sequence[Side]
    targets: Sequence[Side]

    @property
    def copies(self) -> int:
        """Copies that moved."""
        return sum(side.copies for side in self.targets)


def history(
    district_id: int, textbook_id: int, *, first: int = 0, limit: int | None = PAGE
) -> tuple[list[Event], int]:
    """Return the movements of a textbook that touch the fund, the latest first, and how many there are.

    A movement touches the fund when copies come to a storage place or leave it, belong to the fund wherever
    they are, or move by a transfer to or from the fund. Two queries.
    """
    places = _places(district_id)
    of_fund = sa.select(Transfer.id).where(
        sa.or_(Transfer.giver_id.in_(places), Transfer.taker_id.in_(places))
    )
    touching = (
        sa.select(Movement.id, sa.func.count().over().label("total"))
        .where(
            Movement.district_id == district_id,
            sa.select(MovementLine.id)
            .join(Edition, Edition.id == MovementLine.edition_id)
            .where(
                MovementLine.movement_id == Movement.id,
                Edition.textbook_id == textbook_id,
                sa.or_(
                    MovementLine.holder_id.in_(places),
                    MovementLine.owner_id.in_(places),
                    Movement.transfer_id.in_(of_fund),
                ),
            )
            .exists(),
        )
        .order_by(Movement.id.desc())
        .offset(first)
        .limit(limit)
    )
    found = db.session.execute(touching).all()
    if not found:
        return [], 0
    lines: defaultdict[tuple[int, int], list[Any]] = defaultdict(list)
    for row in db.session.execute(_lines_of([row.id for row in found], textbook_id)):
        lines[row.id, row.edition_id].append(row)
    return [_event(rows) for rows in lines.values()], found[0].total


def _lines_of(movement_ids: Sequence[int], textbook_id: int) -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(
            Movement.id,
            Movement.at,
            Movement.kind,
            Movement.document,
            Movement.reason,
            Movement.transfer_id,
            User.full_name.label("who"),
            MovementLine.edition_id,
            MovementLine.copies,
            MovementLine.owner_id,
            MovementLine.holder_id,
            Edition.year,
            Edition.part,
            _place.short_name.label("holder"),
            _place.kind.label("holder_kind"),
            _owner.short_name.label("owner"),
        )
        .join(MovementLine, MovementLine.movement_id == Movement.id)
        .join(Edition, Edition.id == MovementLine.edition_id)
        .join(User, User.id == Movement.by_id)
        .join(_place, _place.id == MovementLine.holder_id)
        .join(_owner, _owner.id == MovementLine.owner_id)
        .where(Movement.id.in_(movement_ids), Edition.textbook_id == textbook_id)
        .order_by(Movement.id.desc(), Edition.year, Edition.part, MovementLine.id)
    )


def _event(rows: Sequence[Any]) -> Event:
    def side(row: Any) -> Side:
        own = row.owner_id == row.holder_id or not rules.tells_owner(row.holder_kind)
        return Side(row.holder, None if own else row.owner, abs(row.copies))

    one = rows[0]
    return Event(
        id=one.id,
        at=one.at,
        kind=one.kind,
        who=one.who,
        year=one.year,
        part=one.part,
        document=one.document,
        reason=one.reason,
        transfer_id=one.transfer_id,
        sources=[side(row) for row in rows if row.copies < 0],
        targets=[side(row) for row in rows if row.copies > 0],
    )


def open_transfers(district_id: int, textbook_id: int) -> list[Any]:
    """Return the transfers of a textbook to or from the fund that have not ended, with their copies of it."""
    places = _places(district_id)
    giver, taker = aliased(Holder), aliased(Holder)
    return list(
        db.session.execute(
            sa.select(
                Transfer.id,
                Transfer.state,
                Transfer.kind,
                Transfer.due_back,
                giver.short_name.label("giver"),
                taker.short_name.label("taker"),
                sa.func.sum(_copies_of_line()).label("copies"),
            )
            .join(TransferLine, TransferLine.transfer_id == Transfer.id)
            .join(Edition, Edition.id == TransferLine.edition_id)
            .join(giver, giver.id == Transfer.giver_id)
            .join(taker, taker.id == Transfer.taker_id)
            .where(
                Transfer.district_id == district_id,
                Transfer.state.not_in(ENDED),
                sa.or_(Transfer.giver_id.in_(places), Transfer.taker_id.in_(places)),
                Edition.textbook_id == textbook_id,
            )
            .group_by(
                Transfer.id,
                Transfer.state,
                Transfer.kind,
                Transfer.due_back,
                giver.short_name,
                taker.short_name,
            )
            .order_by(Transfer.id)
        )
    )


def _copies_of_line() -> sa.ColumnElement[int]:
    """Copies a line is about now: ``TransferLine.copies`` in SQL."""
    return sa.case(
        (TransferLine.shipped > 0, TransferLine.shipped),
        else_=sa.func.coalesce(TransferLine.agreed, TransferLine.asked),
    )


def school_shelves(district_id: int, textbook_id: int) -> list[Any]:
    """Return the schools' own unpromised copies of a textbook, by school, year and part."""
    return list(
        db.session.execute(
            sa.select(
                Balance.holder_id.label("school_id"),
                Holder.short_name.label("school"),
                Balance.edition_id,
                Edition.year,
                Edition.part,
                (Balance.copies - Balance.promised).label("free"),
            )
            .join(Holder, Holder.id == Balance.holder_id)
            .join(Edition, Edition.id == Balance.edition_id)
            .where(
                Holder.district_id == district_id,
                Holder.kind == HolderKind.SCHOOL,
                Balance.owner_id == Balance.holder_id,
                Balance.copies > Balance.promised,
                Edition.textbook_id == textbook_id,
            )
            .order_by(Holder.short_name, Edition.year, Edition.part)
        )
    )


def places(*, by: User) -> list[Holder]:
    """Return the storage places of the fund that ``by`` keeps, the first one first."""
    access.require(by, Action.KEEP_FUND)
    return list(
        db.session.scalars(
            sa.select(Holder)
            .where(Holder.district_id == by.district_id, Holder.kind == HolderKind.FUND)
            .order_by(Holder.id)
        )
    )


def schools(*, by: User) -> list[Holder]:
    """Return the schools of the person's district by name."""
    return list(
        db.session.scalars(
            sa.select(Holder)
            .where(Holder.district_id == by.district_id, Holder.kind == HolderKind.SCHOOL)
            .order_by(Holder.short_name)
        )
    )


# --- changing the fund ---


def set_floor(textbook_id: int, copies: int | None, *, by: User, clock: Clock) -> None:
    """Say how many copies of each part the district's fund keeps back; ``None`` or 0 lifts the floor."""
    access.require(by, Action.KEEP_FUND)
    if db.session.get(Textbook, textbook_id) is None:
        raise NotFound("Такого учебника нет в каталоге.")
    if copies:
        rules.check_copies(copies)
    key = (Floor.district_id == by.district_id, Floor.textbook_id == textbook_id)
    before = db.session.scalar(sa.select(Floor.copies).where(*key).with_for_update()) or 0
    if before == (copies or 0):
        return
    if not copies:
        db.session.execute(sa.delete(Floor).where(*key))
        message = "Неснижаемый остаток снят: было %(before)s экз."
    else:
        values = {"copies": copies, "set_by_id": by.id, "set_at": clock.now()}
        added = insert_if_absent(Floor, district_id=by.district_id, textbook_id=textbook_id, **values)
        if not added:
            db.session.execute(sa.update(Floor).where(*key).values(**values))
        message = "Неснижаемый остаток: было %(before)s экз., стало %(copies)s"
    journal.record(
        FLOOR,
        textbook_id,
        message,
        by_id=by.id,
        clock=clock,
        district_id=by.district_id,
        before=before,
        copies=copies or 0,
    )


def floor_journal(district_id: int, textbook_id: int) -> list[Any]:
    """Return what was decided about the floor of a textbook in a district, the latest first."""
    entry = journal.JournalEntry
    return list(
        db.session.execute(
            sa.select(entry.at, entry.message, entry.parameters, User.full_name.label("who"))
            .join(User, User.id == entry.by_id)
            .where(entry.subject == FLOOR, entry.subject_id == textbook_id, entry.district_id == district_id)
            .order_by(entry.id.desc())
        )
    )


def floor_exceptions(district_id: int, textbook_id: int) -> list[Any]:
    """Return the transfers that broke the floor of a textbook by a signed exception, the latest first."""
    return list(
        db.session.execute(
            sa.select(Transfer.id, Transfer.floor_exception, _taker.short_name.label("taker"))
            .join(_taker, _taker.id == Transfer.taker_id)
            .where(
                Transfer.giver_id.in_(_places(district_id)),
                Transfer.floor_exception != "",
                Transfer.lines.any(TransferLine.edition.has(Edition.textbook_id == textbook_id)),
            )
            .order_by(Transfer.id.desc())
        )
    )


def _require_place(by: User, place: Holder) -> None:
    access.require(by, Action.KEEP_FUND, place)
    if place.kind is not HolderKind.FUND:
        raise NotFound


def acquire(
    *,
    place: Holder,
    textbook_id: int,
    year: int,
    copies_by_part: Mapping[int, int],
    origin: Origin,
    document: str,
    by: User,
    clock: Clock,
) -> list[Movement]:
    """Take in books from outside by a document, each part with its own number of copies.

    Raises ``Invalid`` for no copies, an impossible year or part, or no document.
    """
    _require_place(by, place)
    parts = {part: rules.check_copies(copies) for part, copies in sorted(copies_by_part.items()) if copies}
    if not parts:
        rules.check_copies(None)
    return [
        stock.acquire(
            holder=place,
            edition=catalog.edition_for(textbook_id, year, part, clock=clock),
            copies=copies,
            document=document,
            reason=rules.ORIGIN_NAMES[origin],
            by=by,
            clock=clock,
        )
        for part, copies in parts.items()
    ]


def write_off(
    *,
    place: Holder,
    owner: Holder,
    edition: Edition,
    copies: int,
    reason: WriteOffReason,
    document: str,
    floor_exception: str = "",
    by: User,
    clock: Clock,
) -> Movement:
    """Write off copies that stand at a storage place, by an act.

    Raises ``Invalid`` when fewer are free, and below the floor unless ``floor_exception`` says why it may be.
    """
    _require_place(by, place)
    rules.check_copies(copies)
    broken = _breaks_floor(by.district_id, edition, copies, exception=floor_exception)
    movement = stock.write_off(
        holder=place,
        edition=edition,
        owner=owner,
        copies=copies,
        reason=reason,
        document=document,
        by=by,
        clock=clock,
    )
    if broken:
        journal.record(
            FLOOR,
            edition.textbook_id,
            "Исключение из неснижаемого остатка при списании %(copies)s экз.: %(why)s",
            by_id=by.id,
            clock=clock,
            district_id=by.district_id,
            copies=copies,
            why=floor_exception.strip()[:200],
        )
    return movement


def _breaks_floor(district_id: int, edition: Edition, copies: int, *, exception: str) -> bool:
    """Check the floor with its row locked, as an agreement of the fund does: the two wait for each other."""
    floor = db.session.scalar(
        sa.select(Floor.copies)
        .where(Floor.district_id == district_id, Floor.textbook_id == edition.textbook_id)
        .with_for_update()
    )
    if floor is None:
        return False
    unpromised = {
        part: int(number)
        for part, number in db.session.execute(
            sa.select(Edition.part, sa.func.sum(Balance.copies - Balance.promised))
            .join(Edition, Edition.id == Balance.edition_id)
            .where(Balance.holder_id.in_(_places(district_id)), Edition.textbook_id == edition.textbook_id)
            .group_by(Edition.part)
        )
    }
    return rules.check_floor(unpromised, {edition.part: copies}, floor, exception=exception)


def relocate(
    *, source: Holder, target: Holder, owner: Holder, edition: Edition, copies: int, by: User, clock: Clock
) -> Movement:
    """Move copies between two storage places of the fund; the owner stays. No transfer, no act.

    Raises ``Invalid`` when fewer are free where they stand.
    """
    _require_place(by, source)
    _require_place(by, target)
    rules.check_copies(copies)
    if source.id == target.id:
        raise Invalid("Книги там и стоят. Выберите другой склад.", field="target")
    movement = ledger.post(
        MovementKind.RELOCATION,
        transfer_of_copies(edition.id, copies, owner=(owner.id, owner.id), holder=(source.id, target.id)),
        by=by,
        clock=clock,
        district_id=by.district_id,
    )
    journal.record(
        "holder",
        target.id,
        "Перемещено внутри фонда: %(book)s, %(copies)s экз., %(source)s → %(target)s",
        by_id=by.id,
        clock=clock,
        district_id=by.district_id,
        book=f"«{edition.textbook.title}», {edition.year}",
        copies=copies,
        source=source.short_name,
        target=target.short_name,
    )
    return movement


def give(
    *,
    place: Holder,
    taker: Holder,
    kind: Kind,
    copies: Mapping[int, int],
    due_back: date | None = None,
    floor_exception: str = "",
    by: User,
    clock: Clock,
) -> Transfer:
    """Propose a transfer from a storage place to a school and agree to it at once.

    ``copies`` by balance id. The school still accepts it. Raises ``Invalid`` when fewer are free, or below
    the floor unless ``floor_exception`` says why it may be.
    """
    _require_place(by, place)
    lines = []
    for balance_id, number in sorted(copies.items()):
        balance = db.session.get(Balance, balance_id)
        if balance is None or _holder(by, balance.holder_id).kind is not HolderKind.FUND:
            raise NotFound
        if balance.holder_id != place.id:
            raise Invalid("Одна передача – из одного места. Оформите книги с другого склада отдельно.")
        owner = _holder(by, balance.owner_id)
        if kind is Kind.PERMANENT and owner.kind is not HolderKind.FUND:
            raise Invalid(
                "Книги на балансе «%(owner)s»: фонд может дать их только на время.",
                field="kind",
                owner=owner.short_name,
            )
        lines.append(transfers.NewLine(balance.edition_id, balance.owner_id, number))
    transfer = transfers.propose(
        giver=place,
        taker=taker,
        kind=kind,
        lines=lines,
        proposed_by=Party.GIVER,
        due_back=due_back,
        by=by,
        clock=clock,
    )
    return transfers.agree(transfer.id, {}, floor_exception=floor_exception, by=by, clock=clock)


def take_in(
    *,
    school: Holder,
    place: Holder,
    kind: Kind,
    copies: Mapping[int, int],
    due_back: date | None = None,
    by: User,
    clock: Clock,
) -> Transfer:
    """Ask a school for its own copies (by edition id) for the fund; its director agrees or refuses."""
    _require_place(by, place)
    lines = [
        transfers.NewLine(edition_id, school.id, number) for edition_id, number in sorted(copies.items())
    ]
    return transfers.propose(
        giver=school,
        taker=place,
        kind=kind,
        lines=lines,
        proposed_by=Party.METHODIST,
        due_back=due_back,
        by=by,
        clock=clock,
    )


def _holder(by: User, holder_id: int) -> Holder:
    return access.holder_of_district(by, holder_id)


# --- the report ---


def report(district_id: int, period: Period, *, zone: str) -> Report:
    """Return the fund's report for a period, from the ledger alone, in one query.

    Counted is what stands at the storage places: a loan leaves it and comes back to it.
    """
    start, end = period.bounds(zone)
    places = _places(district_id)
    gives = Transfer.giver_id.in_(places)
    lines = (
        sa.select(
            Textbook.subject,
            Movement.kind,
            sa.case((Movement.at < start, True), else_=False).label("before"),
            sa.case((gives, True), else_=False).label("fund_gives"),
            sa.case((gives, Transfer.taker_id), else_=Transfer.giver_id).label("school_id"),
            sa.case((Movement.kind == MovementKind.ACQUISITION, Movement.reason), else_="").label("source"),
            sa.case((MovementLine.copies > 0, True), else_=False).label("came"),
            MovementLine.copies,
        )
        .join(MovementLine, MovementLine.movement_id == Movement.id)
        .join(Edition, Edition.id == MovementLine.edition_id)
        .join(Textbook, Textbook.id == Edition.textbook_id)
        .outerjoin(Transfer, Transfer.id == Movement.transfer_id)
        .where(MovementLine.holder_id.in_(places), Movement.at < end)
        .subquery()
    )
    keys = [column for column in lines.c if column.name != "copies"]
    return rules.report_of(
        Entry(
            subject=row.subject,
            kind=row.kind,
            copies=int(row.copies),
            before=bool(row.before),
            fund_gives=bool(row.fund_gives),
            school_id=row.school_id,
            source=row.source,
        )
        for row in db.session.execute(
            sa.select(*keys, sa.func.sum(lines.c.copies).label("copies")).group_by(*keys)
        )
    )


# --- the books of the district ---


def books(district_id: int) -> Books:
    """Return where all copies of the district are, against what was ever registered. Two queries."""
    registered = db.session.scalar(
        sa.select(-sa.func.sum(MovementLine.copies))
        .join(Holder, Holder.id == MovementLine.holder_id)
        .where(Holder.district_id == district_id, Holder.kind == HolderKind.SOURCE)
    )
    copies = {
        kind: int(number)
        for kind, number in db.session.execute(
            sa.select(Holder.kind, sa.func.sum(Balance.copies))
            .join(Balance, Balance.holder_id == Holder.id)
            .where(Holder.district_id == district_id)
            .group_by(Holder.kind)
        )
    }
    return rules.books_of(int(registered or 0), copies)


@dataclass(frozen=True)
class BooksOfTitle:
    """The books of one textbook."""

    book: Any
    books: Books


def books_by_title(
    district_id: int, *, text: str = "", first: int = 0, limit: int | None = PAGE
) -> tuple[list[BooksOfTitle], int]:
    """Return the books of each textbook of the district, and how many textbooks there are. One query."""
    kept = (
        sa.select(Balance.edition_id, Balance.holder_id, Balance.copies)
        .join(Holder, Holder.id == Balance.holder_id)
        .where(Holder.district_id == district_id)
    )
    registered = (
        sa.select(MovementLine.edition_id, MovementLine.holder_id, -MovementLine.copies)
        .join(Holder, Holder.id == MovementLine.holder_id)
        .where(Holder.district_id == district_id, Holder.kind == HolderKind.SOURCE)
    )
    both = sa.union_all(kept, registered).subquery()

    def at(kind: HolderKind) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((Holder.kind == kind, both.c.copies), else_=0)).label(kind.value)

    rows = db.session.execute(
        sa.select(
            *catalog.BOOK_COLUMNS,
            *(at(kind) for kind in HolderKind),
            sa.func.count().over().label("total"),
        )
        .join(Edition, Edition.textbook_id == Textbook.id)
        .join(both, both.c.edition_id == Edition.id)
        .join(Holder, Holder.id == both.c.holder_id)
        .where(*catalog.matching(text))
        .group_by(*catalog.BOOK_COLUMNS, Textbook.sort_key)
        .order_by(Textbook.sort_key, Textbook.id)
        .offset(first)
        .limit(limit)
    ).all()
    found = [
        BooksOfTitle(
            row,
            rules.books_of(int(row.source), {kind: int(row._mapping[kind.value]) for kind in HolderKind}),
        )
        for row in rows
    ]
    return found, rows[0].total if rows else 0


@dataclass(frozen=True)
class BooksOfHolder:
    """Copies that stand with a holder, its own and others', and its own that stand elsewhere."""

    name: str
    kind: HolderKind
    own: int
    borrowed: int
    elsewhere: int

    @property
    def copies(self) -> int:
        """Copies that stand here."""
        return self.own + self.borrowed


def books_by_holder(district_id: int) -> list[BooksOfHolder]:
    """Return the books of each holder: schools, storage places, then the columns. One query."""
    here = sa.case((Balance.holder_id == Holder.id, Balance.copies), else_=0)
    own = sa.case((Balance.owner_id == Holder.id, here), else_=0)
    elsewhere = sa.case((Balance.holder_id != Holder.id, Balance.copies), else_=0)
    away = aliased(Holder)
    rows = db.session.execute(
        sa.select(
            Holder.short_name,
            Holder.kind,
            sa.func.coalesce(sa.func.sum(here), 0).label("here"),
            sa.func.coalesce(sa.func.sum(own), 0).label("own"),
            # What was written off is nobody's any more.
            sa.func.coalesce(
                sa.func.sum(sa.case((away.kind != HolderKind.WRITTEN_OFF, elsewhere), else_=0)), 0
            ).label("elsewhere"),
        )
        .outerjoin(Balance, sa.or_(Balance.holder_id == Holder.id, Balance.owner_id == Holder.id))
        .outerjoin(away, away.id == Balance.holder_id)
        .where(Holder.district_id == district_id, Holder.kind != HolderKind.SOURCE)
        .group_by(Holder.id, Holder.short_name, Holder.kind)
        .order_by(Holder.short_name)
    )
    found = [
        BooksOfHolder(row.short_name, row.kind, int(row.own), int(row.here - row.own), int(row.elsewhere))
        for row in rows
    ]
    order = list(HolderKind)
    return sorted(found, key=lambda each: (order.index(each.kind), each.name))


@dataclass(frozen=True)
class Mismatch:
    """A number that is not what the movements or the transfers say: a sentence with its parameters."""

    message: str
    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        return self.message % self.parameters


def audit(district_id: int | None = None) -> list[Mismatch]:
    """Derive everything that is kept as a running number anew; return what differs; repair nothing.

    Balances from the ledger; promises, reserved copies of offers and matched copies of requests from the
    transfers. Of all districts of the server, or of one. Five queries.
    """
    return [
        *_wrong_balances(district_id),
        *_wrong_promises(district_id),
        *_wrong_offers(district_id),
        *_wrong_requests(district_id),
    ]


def _wrong_balances(district_id: int | None) -> list[Mismatch]:
    differences = ledger.verify(district_id)
    ids = {number for each in differences for number in (each.owner_id, each.holder_id)}
    names: dict[int, str] = {
        row.id: row.short_name
        for row in db.session.execute(sa.select(Holder.id, Holder.short_name).where(Holder.id.in_(ids)))
    }
    return [
        Mismatch(
            "Остаток: издание %(edition)s, владелец «%(owner)s», держатель «%(holder)s» – записано "
            "%(kept)s, по движениям %(derived)s.",
            {
                "edition": each.edition_id,
                "owner": names[each.owner_id],
                "holder": names[each.holder_id],
                "kept": each.balance,
                "derived": each.ledger,
            },
        )
        for each in differences
    ]


def _wrong_promises(district_id: int | None) -> list[Mismatch]:
    promised: dict[tuple[int, int, int], int] = {
        (row.owner_id, row.giver_id, row.edition_id): int(row.copies)
        for row in db.session.execute(
            sa.select(
                TransferLine.owner_id,
                Transfer.giver_id,
                TransferLine.edition_id,
                sa.func.sum(_copies_of_line()).label("copies"),
            )
            .join(Transfer, Transfer.id == TransferLine.transfer_id)
            .where(Transfer.state.in_(PROMISING), *_of(Transfer.district_id, district_id))
            .group_by(TransferLine.owner_id, Transfer.giver_id, TransferLine.edition_id)
        )
    }
    kept: dict[tuple[int, int, int], int] = {
        (row.owner_id, row.holder_id, row.edition_id): row.promised
        for row in db.session.execute(
            sa.select(Balance.owner_id, Balance.holder_id, Balance.edition_id, Balance.promised)
            .join(Holder, Holder.id == Balance.holder_id)
            .where(Balance.promised > 0, *_of(Holder.district_id, district_id))
        )
    }
    return [
        Mismatch(
            "Обещано: издание %(edition)s, владелец %(owner)s, держатель %(holder)s – записано %(kept)s, "
            "по передачам %(derived)s.",
            {"owner": owner, "holder": holder, "edition": edition, "kept": now, "derived": derived},
        )
        for (owner, holder, edition), now, derived in _differing(kept, promised)
    ]


def _wrong_offers(district_id: int | None) -> list[Mismatch]:
    went = _copies_of_line() - TransferLine.returned - TransferLine.sent_back
    derived = {
        row.offer_id: int(row.copies)
        for row in db.session.execute(
            sa.select(TransferLine.offer_id, sa.func.sum(went).label("copies"))
            .join(Transfer, Transfer.id == TransferLine.transfer_id)
            .where(
                TransferLine.offer_id.is_not(None),
                Transfer.state.not_in(FAILED),
                *_of(Transfer.district_id, district_id),
            )
            .group_by(TransferLine.offer_id)
        )
    }
    kept = {
        row.id: row.reserved
        for row in db.session.execute(
            sa.select(Offer.id, Offer.reserved).where(
                Offer.reserved > 0, *_of(Offer.district_id, district_id)
            )
        )
    }
    return [
        Mismatch(
            "Излишек № %(offer)s: занято %(kept)s, по передачам %(derived)s.",
            {"offer": offer_id, "kept": now, "derived": copies},
        )
        for offer_id, now, copies in _differing(kept, derived)
    ]


def _wrong_requests(district_id: int | None) -> list[Mismatch]:
    arrives = _copies_of_line() - TransferLine.returned - TransferLine.sent_back - TransferLine.lost
    derived = {
        (row.request_id, row.part): int(row.copies)
        for row in db.session.execute(
            sa.select(TransferLine.request_id, Edition.part, sa.func.sum(arrives).label("copies"))
            .join(Transfer, Transfer.id == TransferLine.transfer_id)
            .join(Edition, Edition.id == TransferLine.edition_id)
            .where(
                TransferLine.request_id.is_not(None),
                Transfer.state.not_in(FAILED),
                *_of(Transfer.district_id, district_id),
            )
            .group_by(TransferLine.request_id, Edition.part)
        )
    }
    kept = {
        (row.request_id, row.part): row.matched
        for row in db.session.execute(
            sa.select(RequestPart.request_id, RequestPart.part, RequestPart.matched)
            .join(Request, Request.id == RequestPart.request_id)
            .where(RequestPart.matched > 0, *_of(Request.district_id, district_id))
        )
    }
    return [
        Mismatch(
            "Заявка № %(request)s, часть %(part)s: найдено %(kept)s, по передачам %(derived)s.",
            {"request": request_id, "part": part, "kept": now, "derived": copies},
        )
        for (request_id, part), now, copies in _differing(kept, derived)
    ]


def _differing(kept: Mapping[K, int], derived: Mapping[K, int]) -> list[tuple[K, int, int]]:
    """Return key, kept and derived number wherever the two are not the same; what is not there is 0."""
    return [
        (key, kept.get(key, 0), derived.get(key, 0))
        for key in sorted(kept.keys() | derived.keys())  # type: ignore[type-var]
        if kept.get(key, 0) != derived.get(key, 0)
    ]


def _of(column: Any, district_id: int | None) -> list[sa.ColumnElement[bool]]:
    return [] if district_id is None else [column == district_id]
