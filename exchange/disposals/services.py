"""Write-off acts: drafts, their lines, posting them to the ledger; what there is a reason to write off."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm.attributes import flag_modified

from exchange import journal
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import Verdict
from exchange.clock import Clock
from exchange.db import UtcDateTime, db
from exchange.disposals import rules
from exchange.disposals.models import WriteOffAct, WriteOffLine
from exchange.disposals.rules import ActState, Copies, Suggestion
from exchange.errors import DomainError, Invalid, NotFound, Refusals, Stale
from exchange.ledger.models import Balance
from exchange.ledger.rules import WriteOffReason
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.stock import services as stock
from exchange.stock.models import Floor, ShelfNote
from exchange.stock.services import Leaving

ACT = "write_off_act"
PAGE = 50

_offer = sa.table("offer", *map(sa.column, ("holder_id", "edition_id", "copies", "reserved", "state")))
_count_sheet = sa.table(
    "count_sheet", *map(sa.column, ("id", "holder_id", "state")), sa.column("confirmed_at", UtcDateTime())
)
_count_line = sa.table(
    "count_line", *map(sa.column, ("sheet_id", "edition_id", "own", "borrowed", "counted", "decision"))
)
# The features of offers and of counts stand above this one and own these tables; acts only read them.


# --- changing acts ---


def draft_for(holder: Holder, *, by: User, clock: Clock) -> WriteOffAct:
    """Return the holder's draft act, or begin one: there is one at a time."""
    _require_count(by, holder)
    # Two people who begin an act at the same moment get the same one.
    db.session.execute(sa.select(Holder.id).where(Holder.id == holder.id).with_for_update(key_share=True))
    act = draft_of(holder)
    if act is None:
        act = WriteOffAct(
            district_id=holder.district_id,
            holder_id=holder.id,
            commission=_last_commission(holder.id),
            created_by_id=by.id,
            created_at=clock.now(),
        )
        db.session.add(act)
        db.session.flush()
        _record(act, "Начат акт на списание", by=by, clock=clock)
    return act


def _last_commission(holder_id: int) -> str:
    """Return the commission of the latest posted act: it is the same people year after year."""
    return (
        db.session.scalar(
            sa.select(WriteOffAct.commission)
            .where(WriteOffAct.holder_id == holder_id, WriteOffAct.state == ActState.POSTED)
            .order_by(WriteOffAct.id.desc())
            .limit(1)
        )
        or ""
    )


def add_line(
    act_id: int,
    edition_id: int,
    reason: WriteOffReason,
    copies: int,
    *,
    by: User,
    clock: Clock,
    owner_id: int | None = None,
) -> WriteOffLine:
    """Add copies to a draft act, to those that are there for the same reason.

    ``owner_id``: whose they are, by default the holder's own. Raises ``Invalid`` (field «copies») for more
    than stand there.
    """
    act = _draft(act_id, by=by)
    owner_id = owner_id or act.holder_id
    same = [line for line in act.lines if (line.edition_id, line.owner_id) == (edition_id, owner_id)]
    line = next((line for line in same if line.reason is reason), None)
    _check_copies(act, edition_id, owner_id, copies, others=sum(line.copies for line in same))
    if line is not None:
        line.copies += copies
    else:
        if len(act.lines) >= rules.MOST_LINES:
            raise Invalid("В акте уже %(most)s строк: проведите его и начните новый.", most=rules.MOST_LINES)
        line = WriteOffLine(edition_id=edition_id, owner_id=owner_id, reason=reason, copies=copies)
        act.lines.append(line)
    _touch(act)
    return line


def hold_draft(holder: Holder) -> None:
    """Lock the holder's draft act, and its having none, until the unit ends.

    For whoever will put lines into it and locks copies before that: posting an act locks it first, too.
    """
    db.session.execute(sa.select(Holder.id).where(Holder.id == holder.id).with_for_update(key_share=True))
    db.session.execute(
        sa.select(WriteOffAct.id)
        .where(WriteOffAct.holder_id == holder.id, WriteOffAct.state == ActState.DRAFT)
        .order_by(WriteOffAct.id)
        .with_for_update(key_share=True)
    ).all()


def set_lost(
    holder: Holder, lost: Mapping[int, int], *, counted: Collection[int], by: User, clock: Clock
) -> WriteOffAct | None:
    """Let the draft act say of the ``counted`` editions that ``lost`` of the holder's own copies are lost.

    What it said of them before is replaced: a copy that has been counted is not lost, and none is lost twice.
    Lines beyond the most an act has are left out; they are suggested for the next one. Returns ``None`` where
    nothing is lost. Raises ``Refusals`` by edition where the act has the copies for another reason already.
    """
    act = draft_for(holder, by=by, clock=clock) if lost else draft_of(holder)
    if act is None:
        return None
    act = _draft(act.id, by=by)
    own = [line for line in act.lines if line.owner_id == holder.id]
    present = {line.edition_id: line for line in own if line.reason is WriteOffReason.LOST}
    found = set(counted) & (present.keys() - lost.keys())
    changed = bool(found)
    for edition_id in found:
        act.lines.remove(present[edition_id])
    _check_lost(holder, lost, [line for line in own if line.reason is not WriteOffReason.LOST])
    for edition_id, copies in sorted(lost.items()):
        if edition_id in present:
            changed = changed or present[edition_id].copies != copies
            present[edition_id].copies = copies
        elif len(act.lines) < rules.MOST_LINES:
            changed = True
            act.lines.append(
                WriteOffLine(
                    edition_id=edition_id, owner_id=holder.id, reason=WriteOffReason.LOST, copies=copies
                )
            )
    if changed:
        _touch(act)
    return act if lost else None


def _check_lost(holder: Holder, lost: Mapping[int, int], others: Sequence[WriteOffLine]) -> None:
    """Check that what is lost and what leaves for other reasons are not together more than there is."""
    going: dict[int, int] = {}
    for line in others:
        if line.edition_id in lost:
            going[line.edition_id] = going.get(line.edition_id, 0) + line.copies
    refused: dict[int, DomainError] = {}
    for edition_id, copies in going.items():
        here = _here(holder.id, holder.id, edition_id)
        if lost[edition_id] + copies > here:
            refused[edition_id] = Invalid(
                "На полке было %(here)s экз., и %(others)s из них уже в черновике акта по другой причине: "
                "исправьте акт.",
                here=here,
                others=copies,
            )
    if refused:
        raise Refusals(refused)


def change_line(
    line_id: int, reason: WriteOffReason, copies: int, *, seen: int | None, by: User, clock: Clock
) -> WriteOffLine:
    """Correct the reason and the copies of a line of a draft act.

    Raises ``Invalid`` when the act has a line of the same book for that reason, or too few stand there.
    """
    line = _line(line_id)
    act = _draft(line.act_id, by=by, seen=seen)
    others = [
        other
        for other in act.lines
        if other.id != line.id and (other.edition_id, other.owner_id) == (line.edition_id, line.owner_id)
    ]
    if any(other.reason is reason for other in others):
        raise Invalid("Эта книга по этой причине уже есть в акте: измените ту строку.", field="reason")
    _check_copies(act, line.edition_id, line.owner_id, copies, others=sum(each.copies for each in others))
    line.copies, line.reason = copies, reason
    _touch(act)
    return line


def _check_copies(act: WriteOffAct, edition_id: int, owner_id: int, copies: int, *, others: int) -> None:
    if copies <= 0:
        raise Invalid("Укажите, сколько экземпляров: хотя бы один.", field="copies")
    if owner_id != act.holder_id and act.holder.kind is not HolderKind.FUND:
        raise Invalid("Чужие книги не списывают: их возвращают или заменяют владельцу.", field="copies")
    here = _here(act.holder_id, owner_id, edition_id)
    if copies + others > here:
        raise Invalid(
            "На полке только %(here)s экз., и в акте уже %(others)s: столько не списать."
            if others
            else "На полке только %(here)s экз.: столько и можно списать.",
            field="copies",
            here=here,
            others=others,
        )


def remove_line(line_id: int, *, seen: int | None, by: User, clock: Clock) -> WriteOffAct:
    """Take a line out of a draft act."""
    line = _line(line_id)
    act = _draft(line.act_id, by=by, seen=seen)
    act.lines.remove(line)
    _touch(act)
    return act


def add_suggested(act_id: int, reason: WriteOffReason, *, by: User, clock: Clock) -> int:
    """Add everything that is suggested for a reason; return how many lines that were."""
    act = _draft(act_id, by=by)
    today = clock.today(act.holder.district.timezone)
    found = [each for each in suggested(act.holder, today=today).suggestions if each.reason is reason]
    there = {(line.edition_id, line.owner_id): line for line in act.lines if line.reason is reason}
    for each in found:
        line = there.get((each.edition_id, each.owner_id))
        if line is None:
            act.lines.append(
                WriteOffLine(
                    edition_id=each.edition_id, owner_id=each.owner_id, reason=reason, copies=each.copies
                )
            )
        else:
            line.copies += each.copies
    if len(act.lines) > rules.MOST_LINES:
        raise Invalid(
            "В акте было бы больше %(most)s строк. Проведите его и начните новый.", most=rules.MOST_LINES
        )
    if found:
        _touch(act)
    return len(found)


def save(
    act_id: int,
    *,
    number: str,
    signed_on: date | None,
    commission: str,
    seen: int | None,
    by: User,
    clock: Clock,
) -> WriteOffAct:
    """Keep what has been typed about a draft act so far."""
    act = _draft(act_id, by=by, seen=seen)
    act.number, act.signed_on, act.commission = number.strip(), signed_on, commission.strip()
    _touch(act)
    return act


def discard(act_id: int, *, seen: int | None, by: User, clock: Clock) -> WriteOffAct:
    """Give a draft act up; the books stay as they are."""
    act = _draft(act_id, by=by, seen=seen)
    act.state = ActState.DISCARDED
    db.session.flush()
    _record(act, "Черновик акта отменён", by=by, clock=clock)
    return act


def post(
    act_id: int,
    *,
    number: str,
    signed_on: date | None,
    commission: str,
    seen: int | None,
    by: User,
    clock: Clock,
) -> WriteOffAct:
    """Take the copies of a draft act off the books: one movement for each reason, all or nothing.

    Raises ``Invalid`` for a paper without number or date, or with a number used already, and ``Refusals`` by
    line for what is not there, promised, offered, or would break a floor of the fund.
    """
    act = _draft(act_id, by=by, seen=seen)
    today = clock.today(act.holder.district.timezone)
    document = rules.check_paper(number, signed_on, today=today)
    if not rules.members(commission):
        raise Invalid("Назовите членов комиссии: без них акт не действует.", field="commission")
    if not act.lines:
        raise Invalid("В акте нет ни одной книги.")
    _check_number(act, number.strip(), signed_on)
    lines = list(act.lines)
    refused: dict[int, DomainError] = {}
    movements = []
    try:
        movements = stock.write_off_together(
            holder=act.holder,
            leaving=[Leaving(line.edition, line.owner, line.copies, line.reason) for line in lines],
            document=document,
            by=by,
            clock=clock,
        )
    except Refusals as refusals:
        refused = {lines[position].id: error for position, error in refusals.lines.items()}
    if act.holder.kind is HolderKind.FUND and not refused:
        refused = _below_floor(act)
    if refused:
        raise Refusals(refused)
    by_reason = dict(zip(dict.fromkeys(line.reason for line in lines), movements, strict=True))
    for line in lines:
        line.movement_id = by_reason[line.reason].id
    act.number, act.signed_on, act.commission = number.strip(), signed_on, commission.strip()
    act.state = ActState.POSTED
    act.posted_at = clock.now()
    db.session.flush()
    _record(
        act,
        "Акт проведён: %(document)s, %(copies)s экз.",
        by=by,
        clock=clock,
        document=document,
        copies=sum(line.copies for line in lines),
    )
    return act


def _check_number(act: WriteOffAct, number: str, signed_on: date | None) -> None:
    same = db.session.scalars(
        sa.select(WriteOffAct.id).where(
            WriteOffAct.holder_id == act.holder_id,
            WriteOffAct.state == ActState.POSTED,
            WriteOffAct.number == number,
            WriteOffAct.signed_on == signed_on,
        )
    ).first()
    if same is not None:
        raise Invalid("Акт с этим номером и этой датой уже проведён.", field="number")


def _below_floor(act: WriteOffAct) -> dict[int, DomainError]:
    """Return the lines that have left the fund with fewer copies than its floor."""
    titles = {line.edition.textbook_id for line in act.lines}
    floors: dict[int, int] = {
        row.textbook_id: row.copies
        for row in db.session.execute(
            sa.select(Floor.textbook_id, Floor.copies)
            .where(Floor.district_id == act.district_id, Floor.textbook_id.in_(titles))
            .order_by(Floor.textbook_id)
            .with_for_update()
        )
    }
    left: dict[tuple[int, int], int] = {
        (row.textbook_id, row.part): int(row.copies)
        for row in db.session.execute(
            sa.select(
                Edition.textbook_id,
                Edition.part,
                sa.func.sum(Balance.copies - Balance.promised).label("copies"),
            )
            .join(Edition, Edition.id == Balance.edition_id)
            .join(Holder, Holder.id == Balance.holder_id)
            .where(
                Holder.district_id == act.district_id,
                Holder.kind == HolderKind.FUND,
                Edition.textbook_id.in_(floors),
            )
            .group_by(Edition.textbook_id, Edition.part)
        )
    }
    refused: dict[int, DomainError] = {}
    for line in act.lines:
        floor = floors.get(line.edition.textbook_id, 0)
        remains = left.get((line.edition.textbook_id, line.edition.part), 0)
        if remains < floor:
            refused[line.id] = Invalid(
                "Неснижаемый остаток фонда – %(floor)s экз., а останется %(left)s. Сначала уменьшите остаток "
                "на странице фонда.",
                floor=floor,
                left=remains,
            )
    return refused


def _line(line_id: int) -> WriteOffLine:
    line = db.session.get(WriteOffLine, line_id)
    if line is None:
        raise NotFound
    return line


def _draft(act_id: int, *, by: User, seen: int | None = None) -> WriteOffAct:
    """Return a draft act for changing; nobody else changes it until the unit ends."""
    act = db.session.get(WriteOffAct, act_id, with_for_update={"key_share": True}, populate_existing=True)
    if act is None:
        raise NotFound
    _require_count(by, act.holder)
    rules.check_draft(act.state)
    if seen is not None and seen != act.version:
        raise Stale("Пока страница была открыта, акт изменили. Посмотрите, что в нём теперь, и повторите.")
    return act


def _touch(act: WriteOffAct) -> None:
    """Raise the version even when only lines have changed."""
    flag_modified(act, "commission")
    db.session.flush()


def _require_count(by: User, holder: Holder) -> None:
    access.require_private(by, Action.SEE_SHELF, holder)
    access.require(by, Action.COUNT, holder)


def _here(holder_id: int, owner_id: int, edition_id: int) -> int:
    return (
        db.session.scalar(
            sa.select(Balance.copies).where(
                Balance.holder_id == holder_id,
                Balance.owner_id == owner_id,
                Balance.edition_id == edition_id,
            )
        )
        or 0
    )


def _record(act: WriteOffAct, message: str, *, by: User, clock: Clock, **parameters: Any) -> None:
    journal.record(ACT, act.id, message, by_id=by.id, clock=clock, district_id=act.district_id, **parameters)


# --- reading ---


def visible(act_id: int, *, by: User) -> WriteOffAct:
    """Return an act that the person may see, or raise ``NotFound``."""
    act = db.session.scalars(
        sa.select(WriteOffAct)
        .options(sa.orm.joinedload(WriteOffAct.holder, innerjoin=True))
        .where(WriteOffAct.id == act_id)
    ).first()
    if act is None:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, act.holder)
    return act


def act_of_line(line_id: int, *, by: User) -> WriteOffAct:
    """Return the act of a line that the person may see, or raise ``NotFound``."""
    return visible(_line(line_id).act_id, by=by)


def draft_of(holder: Holder) -> WriteOffAct | None:
    """Return the holder's draft act, if there is one."""
    return db.session.scalars(
        sa.select(WriteOffAct)
        .where(WriteOffAct.holder_id == holder.id, WriteOffAct.state == ActState.DRAFT)
        .order_by(WriteOffAct.id.desc())
        .limit(1)
    ).first()


def acts(
    *,
    by: User,
    holder_id: int | None = None,
    state: ActState | None = None,
    text: str = "",
    first: int = 0,
    limit: int | None = PAGE,
) -> tuple[Sequence[Any], int]:
    """Return the acts of the schools and storage places that the person sees, the newest first, and how many.

    ``text`` is looked for in number and school. One query.
    """
    sums = (
        sa.select(
            WriteOffLine.act_id,
            sa.func.count().label("lines"),
            sa.func.sum(WriteOffLine.copies).label("copies"),
        )
        .group_by(WriteOffLine.act_id)
        .subquery()
    )
    query = (
        sa.select(
            WriteOffAct.id,
            WriteOffAct.state,
            WriteOffAct.number,
            WriteOffAct.signed_on,
            WriteOffAct.created_at,
            WriteOffAct.posted_at,
            Holder.short_name.label("holder"),
            sa.func.coalesce(sums.c.lines, 0).label("lines"),
            sa.func.coalesce(sums.c.copies, 0).label("copies"),
            sa.func.count().over().label("total"),
        )
        .join(Holder, Holder.id == WriteOffAct.holder_id)
        .outerjoin(sums, sums.c.act_id == WriteOffAct.id)
        .where(WriteOffAct.holder_id.in_(access.where_allowed(by, Action.SEE_SHELF)))
        .order_by(WriteOffAct.id.desc())
    )
    if holder_id is not None:
        query = query.where(WriteOffAct.holder_id == holder_id)
    if state is not None:
        query = query.where(WriteOffAct.state == state)
    if text.strip():
        wanted = text.strip()
        query = query.where(
            sa.or_(
                WriteOffAct.number.contains(wanted, autoescape=True),
                Holder.short_name.contains(wanted, autoescape=True),
            )
        )
    rows = db.session.execute(query.offset(first).limit(limit)).all()
    return rows, rows[0].total if rows else 0


def history(act: WriteOffAct) -> Sequence[Any]:
    """Return what happened to an act and who did it, the oldest first."""
    return db.session.execute(
        sa.select(
            journal.JournalEntry.at,
            journal.JournalEntry.message,
            journal.JournalEntry.parameters,
            User.full_name.label("who"),
        )
        .outerjoin(User, User.id == journal.JournalEntry.by_id)
        .where(journal.JournalEntry.subject == ACT, journal.JournalEntry.subject_id == act.id)
        .order_by(journal.JournalEntry.id)
    ).all()


def lines_of(act: WriteOffAct) -> Sequence[Any]:
    """Return the lines of an act with their books and what stands on the shelf now, by book.

    One query. ``here``, ``promised`` and ``offered`` are of the line's owner.
    """
    offered = _offered(act.holder_id)
    return db.session.execute(
        sa.select(
            WriteOffLine.id.label("line_id"),
            WriteOffLine.edition_id,
            WriteOffLine.owner_id,
            WriteOffLine.reason,
            WriteOffLine.copies,
            *catalog.BOOK_COLUMNS,
            Textbook.subject,
            Textbook.parts,
            Edition.year,
            Edition.part,
            Holder.short_name.label("owner"),
            Holder.name.label("owner_name"),
            Holder.inn.label("owner_inn"),
            Holder.kpp.label("owner_kpp"),
            sa.func.coalesce(Balance.copies, 0).label("here"),
            sa.func.coalesce(Balance.promised, 0).label("promised"),
            sa.case(
                (WriteOffLine.owner_id == act.holder_id, sa.func.coalesce(offered.c.offered, 0)), else_=0
            ).label("offered"),
        )
        .join(Edition, Edition.id == WriteOffLine.edition_id)
        .join(Textbook, Textbook.id == Edition.textbook_id)
        .join(Holder, Holder.id == WriteOffLine.owner_id)
        .outerjoin(
            Balance,
            sa.and_(
                Balance.holder_id == act.holder_id,
                Balance.owner_id == WriteOffLine.owner_id,
                Balance.edition_id == WriteOffLine.edition_id,
            ),
        )
        .outerjoin(offered, offered.c.edition_id == WriteOffLine.edition_id)
        .where(WriteOffLine.act_id == act.id)
        .order_by(Textbook.sort_key, Textbook.id, Edition.year, Edition.part, WriteOffLine.id)
    ).all()


def _offered(holder_id: int) -> sa.Subquery:
    return (
        sa.select(_offer.c.edition_id, sa.func.sum(_offer.c.copies - _offer.c.reserved).label("offered"))
        .where(_offer.c.holder_id == holder_id, _offer.c.state == stock.OPEN)
        .group_by(_offer.c.edition_id)
        .subquery()
    )


@dataclass(frozen=True)
class Shelf:
    """What a shelf could write off.

    ``books``: a row for each edition and owner, with its book; ``copies`` by (edition, owner).
    """

    books: Sequence[Any]
    copies: Mapping[tuple[int, int], Copies]
    suggestions: Sequence[Suggestion]
    verdicts: Mapping[int, Verdict]


def suggested(holder: Holder, *, today: date, text: str = "") -> Shelf:
    """Return what stands on a shelf and may be written off, and what there is a reason to; three queries.

    ``text``: only books with these words. A school's shelf without what it has on loan.
    """
    own = Balance.owner_id == holder.id
    offered, drafted, lost = _offered(holder.id), _drafted(holder.id), _lost(holder.id)

    def of_own(number: Any) -> Any:
        return sa.case((own, sa.func.coalesce(number, 0)), else_=0)

    query = (
        sa.select(
            *catalog.BOOK_COLUMNS,
            Textbook.subject,
            Textbook.parts,
            Edition.id.label("edition_id"),
            Edition.year,
            Edition.part,
            Balance.owner_id,
            Balance.copies.label("here"),
            Balance.promised,
            of_own(offered.c.offered).label("offered"),
            of_own(ShelfNote.worn).label("worn"),
            of_own(lost.c.lost).label("lost"),
            sa.func.coalesce(drafted.c.lost, 0).label("drafted_lost"),
            sa.func.coalesce(drafted.c.others, 0).label("drafted"),
            Holder.short_name.label("owner"),
        )
        .join(Edition, Edition.id == Balance.edition_id)
        .join(Textbook, Textbook.id == Edition.textbook_id)
        .join(Holder, Holder.id == Balance.owner_id)
        .outerjoin(offered, offered.c.edition_id == Balance.edition_id)
        .outerjoin(lost, lost.c.edition_id == Balance.edition_id)
        .outerjoin(
            drafted,
            sa.and_(drafted.c.edition_id == Balance.edition_id, drafted.c.owner_id == Balance.owner_id),
        )
        .outerjoin(
            ShelfNote,
            sa.and_(ShelfNote.holder_id == holder.id, ShelfNote.edition_id == Balance.edition_id),
        )
        .where(Balance.holder_id == holder.id, Balance.copies > 0, *catalog.matching(text))
        .order_by(Textbook.sort_key, Textbook.id, Edition.year.desc(), Edition.part, Balance.owner_id)
    )
    if holder.kind is not HolderKind.FUND:
        query = query.where(own)
    books = db.session.execute(query).all()
    copies = {
        (row.edition_id, row.owner_id): Copies(
            edition_id=row.edition_id,
            owner_id=row.owner_id,
            textbook_id=row.id,
            here=row.here,
            promised=row.promised,
            offered=int(row.offered),
            worn=max(0, row.worn - int(row.drafted)),
            lost=max(0, int(row.lost) - int(row.drafted_lost)),
            in_draft=int(row.drafted + row.drafted_lost),
        )
        for row in books
    }
    verdicts = catalog.verdicts({row.id for row in books}, today)
    return Shelf(books, copies, rules.suggestions(list(copies.values()), verdicts, today), verdicts)


def _drafted(holder_id: int) -> sa.Subquery:
    """Return the copies in the holder's draft acts by edition and owner: those lost, and all others."""
    lost = WriteOffLine.reason == WriteOffReason.LOST
    return (
        sa.select(
            WriteOffLine.edition_id,
            WriteOffLine.owner_id,
            sa.func.sum(sa.case((lost, WriteOffLine.copies), else_=0)).label("lost"),
            sa.func.sum(sa.case((lost, 0), else_=WriteOffLine.copies)).label("others"),
        )
        .join(WriteOffAct, WriteOffAct.id == WriteOffLine.act_id)
        .where(WriteOffAct.holder_id == holder_id, WriteOffAct.state == ActState.DRAFT)
        .group_by(WriteOffLine.edition_id, WriteOffLine.owner_id)
        .subquery()
    )


def _lost(holder_id: int) -> sa.Subquery:
    """Return the copies that the latest confirmed count missed as lost, less what has been written off since.

    What is in draft acts is not taken off.
    """
    sheet = (
        sa.select(_count_sheet.c.id, _count_sheet.c.confirmed_at)
        .where(_count_sheet.c.holder_id == holder_id, _count_sheet.c.state == "confirmed")
        .order_by(_count_sheet.c.confirmed_at.desc(), _count_sheet.c.id.desc())
        .limit(1)
        .subquery()
    )
    written = (
        sa.select(WriteOffLine.edition_id, sa.func.sum(WriteOffLine.copies).label("copies"))
        .join(WriteOffAct, WriteOffAct.id == WriteOffLine.act_id)
        .join(sheet, WriteOffAct.posted_at >= sheet.c.confirmed_at)
        .where(
            WriteOffAct.holder_id == holder_id,
            WriteOffAct.state == ActState.POSTED,
            WriteOffLine.reason == WriteOffReason.LOST,
        )
        .group_by(WriteOffLine.edition_id)
        .subquery()
    )
    missing = _count_line.c.own + _count_line.c.borrowed - _count_line.c.counted
    # Own copies are missing first, as in the rules of counting.
    own_missing = sa.case((missing < _count_line.c.own, missing), else_=_count_line.c.own)
    return (
        sa.select(
            _count_line.c.edition_id,
            (own_missing - sa.func.coalesce(written.c.copies, 0)).label("lost"),
        )
        .join(sheet, sheet.c.id == _count_line.c.sheet_id)
        .outerjoin(written, written.c.edition_id == _count_line.c.edition_id)
        .where(_count_line.c.decision == "lost", missing > 0)
        .subquery()
    )
