"""Campaigns, sheets and taps; what a count differs by from the books, and putting that right.

A count covers the copies that stand on a shelf, own and borrowed together: nobody sees on a book whose it is.
Differences fall on the school's own copies; only what is missing beyond those is missing of what it borrowed,
and that is told to the owner, not written off.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm.attributes import flag_modified

from exchange import journal
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.clock import Clock
from exchange.counting import rules
from exchange.counting.models import CountingCampaign, CountLine, CountSheet
from exchange.counting.rules import Answer, CampaignState, Decision, Line, Progress, SheetState
from exchange.db import db, insert_if_absent
from exchange.disposals import services as disposals
from exchange.errors import DomainError, Invalid, NotFound, Refusals, Stale, WrongMoment
from exchange.ledger.models import Balance
from exchange.schools import access
from exchange.schools.models import District, Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.stock import services as stock
from exchange.stock.rules import COUNT_REASON_NAMES, CountReason
from exchange.stock.services import Counted

CAMPAIGN = "counting_campaign"
SHEET = "count_sheet"
NOT_BEGUN_REMINDER = "Пересчёт фонда «%(title)s» до %(until)s: ваша школа ещё не начала"


# --- campaigns ---


def open_campaign(*, title: str, starts_on: date, ends_on: date, by: User, clock: Clock) -> CountingCampaign:
    """Let the schools of the person's district count, and tell those who count there.

    Raises ``WrongMoment`` while another campaign goes on and ``Invalid`` for impossible dates.
    """
    access.require(by, Action.OPEN_CAMPAIGN)
    rules.check_dates(starts_on, ends_on)
    # One at a time: two methodists who press the button together wait here for each other.
    db.session.execute(
        sa.select(District.id).where(District.id == by.district_id).with_for_update(key_share=True)
    )
    if (present := open_of(by.district_id)) is not None:
        raise WrongMoment("Кампания «%(title)s» ещё идёт: сначала закончите её.", title=present.title)
    campaign = CountingCampaign(
        district_id=by.district_id,
        title=title.strip(),
        starts_on=starts_on,
        ends_on=ends_on,
        opened_by_id=by.id,
        created_at=clock.now(),
    )
    db.session.add(campaign)
    db.session.flush()
    told = {
        user_id
        for holder in _places(by.district_id)
        for user_id in access.people_who_may(Action.COUNT, holder)
    }
    _record(
        campaign,
        "Открыт пересчёт фонда «%(title)s»: с %(since)s по %(until)s",
        by=by,
        clock=clock,
        to=told,
        title=campaign.title,
        since=f"{starts_on:%d.%m.%Y}",
        until=f"{ends_on:%d.%m.%Y}",
    )
    return campaign


def close_campaign(campaign_id: int, *, seen: int | None, by: User, clock: Clock) -> CountingCampaign:
    """End a campaign: what is not confirmed stays as it was in the books."""
    access.require(by, Action.OPEN_CAMPAIGN)
    campaign = _campaign(campaign_id, by=by, lock=True)
    if seen is not None and seen != campaign.version:
        raise Stale("Пока страница была открыта, кампанию изменили. Обновите страницу.")
    if not rules.is_open(campaign.state):
        raise WrongMoment("Эта кампания уже закончена.")
    campaign.state = CampaignState.CLOSED
    db.session.flush()
    _record(campaign, "Пересчёт фонда «%(title)s» закончен", by=by, clock=clock, title=campaign.title)
    return campaign


def remind(campaign_id: int, *, by: User, clock: Clock) -> int:
    """Write to the people of the schools that have not begun; return how many schools those are."""
    access.require(by, Action.OPEN_CAMPAIGN)
    campaign = _campaign(campaign_id, by=by)
    if not rules.is_open(campaign.state):
        raise WrongMoment("Эта кампания уже закончена.")
    begun = set(
        db.session.scalars(sa.select(CountSheet.holder_id).where(CountSheet.campaign_id == campaign.id))
    )
    late = [holder for holder in _places(campaign.district_id) if holder.id not in begun]
    told = {user_id for holder in late for user_id in access.people_who_may(Action.COUNT, holder)}
    if not late:
        return 0
    _record(
        campaign,
        NOT_BEGUN_REMINDER,
        by=by,
        clock=clock,
        to=told,
        title=campaign.title,
        until=f"{campaign.ends_on:%d.%m.%Y}",
    )
    return len(late)


def open_of(district_id: int) -> CountingCampaign | None:
    """Return the campaign that goes on in a district, if any."""
    return db.session.scalars(
        sa.select(CountingCampaign)
        .where(CountingCampaign.district_id == district_id, CountingCampaign.state == CampaignState.OPEN)
        .order_by(CountingCampaign.id.desc())
        .limit(1)
    ).first()


def campaigns(district_id: int) -> Sequence[CountingCampaign]:
    """Return the campaigns of a district, the newest first."""
    return db.session.scalars(
        sa.select(CountingCampaign)
        .where(CountingCampaign.district_id == district_id)
        .order_by(CountingCampaign.id.desc())
    ).all()


def campaign_of(campaign_id: int, *, by: User) -> CountingCampaign:
    """Return a campaign of the person's own district, or raise ``NotFound``."""
    return _campaign(campaign_id, by=by)


def _campaign(campaign_id: int, *, by: User, lock: bool = False) -> CountingCampaign:
    campaign = db.session.get(
        CountingCampaign,
        campaign_id,
        with_for_update={"key_share": True} if lock else None,
        populate_existing=lock,
    )
    if campaign is None or campaign.district_id != by.district_id:
        raise NotFound
    return campaign


def _places(district_id: int) -> list[Holder]:
    """Return the schools, and those storage places of the fund where something stands."""
    stands = sa.select(Balance.holder_id).where(Balance.copies > 0)
    return list(
        db.session.scalars(
            sa.select(Holder)
            .where(
                Holder.district_id == district_id,
                sa.or_(
                    Holder.kind == HolderKind.SCHOOL,
                    sa.and_(Holder.kind == HolderKind.FUND, Holder.id.in_(stands)),
                ),
            )
            .order_by(Holder.kind.desc(), Holder.short_name)
        )
    )


def _record(
    campaign: CountingCampaign,
    message: str,
    *,
    by: User,
    clock: Clock,
    to: Collection[int] = (),
    **parameters: Any,
) -> None:
    journal.record(
        CAMPAIGN,
        campaign.id,
        message,
        by_id=by.id,
        clock=clock,
        district_id=campaign.district_id,
        to=to,
        **parameters,
    )


# --- sheets ---


def begin(campaign_id: int, *, holder: Holder, by: User, clock: Clock) -> CountSheet:
    """Begin to count a shelf, or go on where it was left."""
    _require_count(by, holder)
    campaign = _campaign(campaign_id, by=by)
    if not rules.is_open(campaign.state):
        raise WrongMoment("Кампания закончена, считать по ней больше нельзя.")
    insert_if_absent(
        CountSheet,
        campaign_id=campaign.id,
        holder_id=holder.id,
        state=SheetState.COUNTING,
        started_at=clock.now(),
        skipped=0,
        version=1,
    )
    sheet = sheet_of(campaign.id, holder.id)
    assert sheet is not None
    return sheet


def sheet_of(campaign_id: int, holder_id: int) -> CountSheet | None:
    """Return the count of a shelf in a campaign, if it has begun."""
    return db.session.scalars(
        sa.select(CountSheet).where(CountSheet.campaign_id == campaign_id, CountSheet.holder_id == holder_id)
    ).first()


def sheets_of(holder_id: int) -> Sequence[CountSheet]:
    """Return the counts of a shelf, the newest first."""
    return db.session.scalars(
        sa.select(CountSheet).where(CountSheet.holder_id == holder_id).order_by(CountSheet.id.desc())
    ).all()


def visible(sheet_id: int, *, by: User) -> CountSheet:
    """Return a sheet that the person may see, or raise ``NotFound``."""
    sheet = db.session.scalars(
        sa.select(CountSheet)
        .options(
            sa.orm.joinedload(CountSheet.campaign, innerjoin=True),
            sa.orm.joinedload(CountSheet.holder, innerjoin=True),
        )
        .where(CountSheet.id == sheet_id)
    ).first()
    if sheet is None:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, sheet.holder)
    return sheet


def _require_count(by: User, holder: Holder) -> None:
    access.require_private(by, Action.SEE_SHELF, holder)
    access.require(by, Action.COUNT, holder)


def _counting(sheet_id: int, *, by: User, alone: bool) -> CountSheet:
    """Return a sheet on which ``by`` may count now.

    Many people may tap at once; whoever changes the sheet as a whole (``alone``) waits until nobody does.
    """
    lock = {"key_share": True} if alone else {"read": True}
    sheet = db.session.get(CountSheet, sheet_id, with_for_update=lock, populate_existing=True)
    if sheet is None:
        raise NotFound
    _require_count(by, sheet.holder)
    rules.check_counting(sheet.campaign.state, sheet.state)
    return sheet


# --- taps ---


@dataclass(frozen=True)
class Tap:
    """``counted`` copies, typed where ``taps`` numbers had been and ``booked`` were in the books."""

    counted: int | None
    taps: int
    booked: int


class Late(Stale):
    """The number that was there when the tap was made is not there any more; nothing is written."""


def tap(sheet_id: int, edition_id: int, given: Tap, *, by: User, clock: Clock) -> None:
    """Write down how many copies of an edition stand on the shelf.

    Safe to repeat, in any order: a repeated tap changes nothing, a late one raises ``Late``. So does one made
    while the books said something else.
    """
    sheet = _counting(sheet_id, by=by, alone=False)
    wanted = rules.check_copies(given.counted)
    own, borrowed = _stands(sheet.holder_id, edition_id)
    line = _latest(sheet.id, edition_id)
    taps, counted = (line.taps, line.counted) if line is not None else (0, None)
    mine = line is not None and line.by_id == by.id
    answer = rules.answer(taps, counted, mine=mine, seen=given.taps, wanted=wanted)
    if answer is Answer.REPEATED:
        return
    if answer is Answer.STALE:
        raise _late(line)
    if given.booked != own + borrowed:
        raise Late(
            "Пока вы считали, книги приходили или уходили: было %(before)s экз., стало %(now)s. "
            "Посчитайте эту книгу ещё раз.",
            before=given.booked,
            now=own + borrowed,
        )
    if line is None and own + borrowed == 0:
        raise NotFound
    values = {
        "counted": wanted,
        "own": own,
        "borrowed": borrowed,
        "taps": taps + 1,
        "counted_at": clock.now(),
        "counted_by_id": by.id,
    }
    if not _write(sheet.id, edition_id, taps, values):
        raise _late(_latest(sheet.id, edition_id))


def find(
    sheet_id: int,
    *,
    textbook_id: int,
    year: int,
    copies_by_part: Mapping[int, int],
    by: User,
    clock: Clock,
) -> list[int]:
    """Count books that stand on the shelf and are not in its books; return their editions.

    Raises ``Invalid`` for no copies, and for what is on the sheet already.
    """
    sheet = _counting(sheet_id, by=by, alone=False)
    parts = {part: rules.check_copies(copies) for part, copies in sorted(copies_by_part.items()) if copies}
    if not parts:
        raise Invalid("Укажите, сколько экземпляров: хотя бы один.", field="part-1")
    found = []
    for part, copies in parts.items():
        edition = catalog.edition_for(textbook_id, year, part, clock=clock)
        own, borrowed = _stands(sheet.holder_id, edition.id)
        values = {
            "counted": copies,
            "own": 0,
            "borrowed": 0,
            "taps": 1,
            "counted_at": clock.now(),
            "counted_by_id": by.id,
        }
        if own + borrowed or not _write(sheet.id, edition.id, 0, values):
            raise Invalid(
                "Книга %(year)s года уже есть в этом пересчёте: введите число там.", field="year", year=year
            )
        found.append(edition.id)
    return found


def _write(sheet_id: int, edition_id: int, taps: int, values: Mapping[str, Any]) -> bool:
    """Write a number where ``taps`` numbers have been; say whether that is still so. Clears the decision."""
    if taps == 0:
        return insert_if_absent(CountLine, sheet_id=sheet_id, edition_id=edition_id, **values)
    result = db.session.execute(
        sa.update(CountLine)
        .where(CountLine.sheet_id == sheet_id, CountLine.edition_id == edition_id, CountLine.taps == taps)
        .values(decision=None, **values)
        .execution_options(synchronize_session=False)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def _latest(sheet_id: int, edition_id: int) -> Any:
    return db.session.execute(
        sa.select(CountLine.taps, CountLine.counted, User.id.label("by_id"), User.full_name)
        .join(User, User.id == CountLine.counted_by_id)
        .where(CountLine.sheet_id == sheet_id, CountLine.edition_id == edition_id)
    ).first()


def _late(line: Any) -> Late:
    if line is None:
        return Late("Этой строки больше нет. Обновите страницу.")
    return Late(
        "Здесь уже другое число: %(counted)s (%(who)s). Проверьте и, если нужно, исправьте его.",
        counted=line.counted,
        who=line.full_name,
    )


def _stands(holder_id: int, edition_id: int) -> tuple[int, int]:
    """Return the own and the borrowed copies of an edition on a shelf."""
    own, borrowed = db.session.execute(
        sa.select(
            sa.func.coalesce(
                sa.func.sum(sa.case((Balance.owner_id == holder_id, Balance.copies), else_=0)), 0
            ),
            sa.func.coalesce(
                sa.func.sum(sa.case((Balance.owner_id != holder_id, Balance.copies), else_=0)), 0
            ),
        ).where(Balance.holder_id == holder_id, Balance.edition_id == edition_id)
    ).one()
    return int(own), int(borrowed)


# --- the lines of a sheet ---


@dataclass(frozen=True)
class Row:
    """A line of a sheet with its book (``row`` has what the template macro ``book`` shows)."""

    line: Line
    row: Any

    @property
    def edition_id(self) -> int:
        """The edition."""
        return self.line.edition_id


def lines(sheet: CountSheet, *, text: str = "", edition_ids: Collection[int] | None = None) -> list[Row]:
    """Return what stands on a shelf, and what was counted there, by subject, class and title; one query.

    ``text``: only books with these words; ``edition_ids``: only these. Of a confirmed sheet only what was
    counted, with the books as they were then.
    """
    confirmed = rules.is_confirmed(sheet.state)
    stands = (
        sa.select(
            Balance.edition_id,
            sa.func.sum(sa.case((Balance.owner_id == sheet.holder_id, Balance.copies), else_=0)).label("own"),
            sa.func.sum(sa.case((Balance.owner_id != sheet.holder_id, Balance.copies), else_=0)).label(
                "borrowed"
            ),
        )
        .where(Balance.holder_id == sheet.holder_id, Balance.copies > 0)
        .group_by(Balance.edition_id)
        .subquery()
    )
    query = (
        sa.select(
            *catalog.BOOK_COLUMNS,
            Textbook.subject,
            Textbook.parts,
            Edition.id.label("edition_id"),
            Edition.year,
            Edition.part,
            sa.func.coalesce(stands.c.own, 0).label("own"),
            sa.func.coalesce(stands.c.borrowed, 0).label("borrowed"),
            CountLine.counted,
            CountLine.own.label("own_then"),
            CountLine.borrowed.label("borrowed_then"),
            CountLine.decision,
            CountLine.taps,
            CountLine.counted_at,
            User.full_name.label("counted_by"),
        )
        .select_from(Edition)
        .join(Textbook, Textbook.id == Edition.textbook_id)
        .outerjoin(stands, stands.c.edition_id == Edition.id)
        .outerjoin(CountLine, sa.and_(CountLine.sheet_id == sheet.id, CountLine.edition_id == Edition.id))
        .outerjoin(User, User.id == CountLine.counted_by_id)
        .where(*catalog.matching(text))
        .order_by(
            Textbook.subject,
            sa.func.coalesce(Textbook.grade_from, 99),
            Textbook.sort_key,
            Textbook.id,
            Edition.year.desc(),
            Edition.part,
        )
    )
    if confirmed:
        query = query.where(CountLine.id.is_not(None))
    else:
        query = query.where(sa.or_(CountLine.id.is_not(None), stands.c.edition_id.is_not(None)))
    if edition_ids is not None:
        query = query.where(Edition.id.in_(edition_ids))
    return [Row(_line(row, frozen=confirmed), row) for row in db.session.execute(query)]


def _line(row: Any, *, frozen: bool) -> Line:
    counted = row.counted is not None
    return Line(
        edition_id=row.edition_id,
        own=row.own_then if frozen else int(row.own),
        borrowed=row.borrowed_then if frozen else int(row.borrowed),
        counted=row.counted,
        own_then=row.own_then if counted else 0,
        borrowed_then=row.borrowed_then if counted else 0,
        taps=row.taps or 0,
        decision=row.decision,
    )


def progress(sheet: CountSheet, rows: Sequence[Row]) -> Progress:
    """Return how far a sheet has come, given all its lines."""
    found = rules.progress_of(row.line for row in rows)
    if not sheet.skipped:
        return found
    return Progress(**{**vars(found), "total": found.total + sheet.skipped})


def stamp(sheet: CountSheet, rows: Sequence[Row]) -> int:
    """Return the number of the sheet's state, given all its lines: a confirmation names the one it saw."""
    return rules.stamp(sheet.version, sum(row.line.taps for row in rows))


# --- differences ---


@dataclass(frozen=True)
class Decided:
    """What somebody says a shortage is, having seen the number that was entered as the ``taps``-th."""

    decision: Decision | None
    taps: int


def decide(sheet_id: int, decisions: Mapping[int, Decided], *, by: User, clock: Clock) -> CountSheet:
    """Say of shortages, by edition, what they are. Raises ``Late`` when one has been counted anew since."""
    sheet = _counting(sheet_id, by=by, alone=True)
    for edition_id, decided in sorted(decisions.items()):
        result = db.session.execute(
            sa.update(CountLine)
            .where(
                CountLine.sheet_id == sheet.id,
                CountLine.edition_id == edition_id,
                CountLine.taps == decided.taps,
            )
            .values(decision=decided.decision)
            .execution_options(synchronize_session=False)
        )
        if not result.rowcount:  # type: ignore[attr-defined]
            raise Late("Пока страница была открыта, здесь посчитали заново. Посмотрите и выберите ещё раз.")
    # A confirmation names the state it saw, and decisions are a part of that.
    flag_modified(sheet, "state")
    db.session.flush()
    return sheet


def decide_all(sheet_id: int, decision: Decision, *, by: User, clock: Clock) -> int:
    """Say the same of all shortages that nobody has decided on; return how many those were."""
    sheet = _counting(sheet_id, by=by, alone=True)
    undecided = {
        row.edition_id: Decided(decision, row.line.taps) for row in lines(sheet) if row.line.undecided
    }
    decide(sheet_id, undecided, by=by, clock=clock)
    return len(undecided)


def confirm(sheet_id: int, *, seen: int | None, by: User, clock: Clock) -> CountSheet:
    """Bring the books in line with the count, and close the sheet.

    What was found and what was booked by mistake becomes one movement of a count; what is lost goes into the
    draft write-off act. Only what still stands in the books as it did when it was counted is written: raises
    ``Refusals`` by edition for the rest, for shortages nobody has decided on, and for promised or offered
    copies; ``Stale`` when somebody has counted since the page was shown.
    """
    sheet = _counting(sheet_id, by=by, alone=True)
    # In the order of posting an act, which waits for the act before it waits for the copies.
    disposals.hold_draft(sheet.holder)
    _lock_shelf(sheet)
    rows = lines(sheet)
    if seen is not None and seen != stamp(sheet, rows):
        raise Stale("Пока страница была открыта, кто-то считал дальше. Посмотрите расхождения ещё раз.")
    counted = [row for row in rows if row.line.is_counted]
    if not counted:
        raise Invalid("Ещё ничего не посчитано.")
    refused: dict[int, DomainError] = {}
    for row in counted:
        if row.line.moved:
            refused[row.edition_id] = Invalid(
                "После подсчёта книги приходили или уходили: было %(before)s экз., стало %(now)s. "
                "Посчитайте ещё раз.",
                before=row.line.booked_then,
                now=row.line.booked,
            )
        elif row.line.undecided:
            refused[row.edition_id] = Invalid("Выберите, что случилось с недостающими книгами.")
    if refused:
        raise Refusals(refused)
    lost = {row.edition_id: row.line.lost for row in counted if row.line.lost}
    movement = stock.count_together(
        holder=sheet.holder,
        counted={
            row.edition_id: Counted(seen=row.line.own, copies=row.line.corrected)
            for row in counted
            if row.line.corrected != row.line.own
        },
        reason=COUNT_REASON_NAMES[CountReason.STOCKTAKING],
        document=sheet.campaign.title,
        by=by,
        clock=clock,
    )
    stock.note_counted(
        holder=sheet.holder, edition_ids=[row.edition_id for row in counted], by=by, clock=clock
    )
    act = disposals.set_lost(
        sheet.holder, lost, counted=[row.edition_id for row in counted], by=by, clock=clock
    )
    sheet.act_id = act.id if act is not None else None
    sheet.movement_id = movement.id if movement is not None else None
    sheet.skipped = len(rows) - len(counted)
    sheet.state = SheetState.CONFIRMED
    sheet.confirmed_at = clock.now()
    sheet.confirmed_by_id = by.id
    db.session.flush()
    found = rules.progress_of(row.line for row in counted)
    journal.record(
        SHEET,
        sheet.id,
        "Пересчёт подтверждён: %(school)s, посчитано %(counted)s из %(total)s, нашлось %(found)s, "
        "не хватает %(missing)s",
        by_id=by.id,
        clock=clock,
        district_id=sheet.holder.district_id,
        to=access.methodists(sheet.holder.district_id),
        school=sheet.holder.short_name,
        counted=found.counted,
        total=len(rows),
        found=found.found,
        missing=found.missing,
    )
    return sheet


def _lock_shelf(sheet: CountSheet) -> None:
    """Hold the accounts of everything that was counted: nothing comes or leaves while it is written."""
    counted = sa.select(CountLine.edition_id).where(CountLine.sheet_id == sheet.id)
    db.session.execute(
        sa.select(Balance.id)
        .where(Balance.holder_id == sheet.holder_id, Balance.edition_id.in_(counted))
        .order_by(Balance.id)
        .with_for_update()
    ).all()


def reopen(sheet_id: int, *, seen: int | None, by: User, clock: Clock) -> CountSheet:
    """Let a school count on after it has confirmed: what was corrected then stays corrected."""
    sheet = db.session.get(CountSheet, sheet_id, with_for_update={"key_share": True}, populate_existing=True)
    if sheet is None:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, sheet.holder)
    access.require(by, Action.OPEN_CAMPAIGN)
    if seen is not None and seen != sheet.version:
        raise Stale("Пока страница была открыта, пересчёт изменили. Обновите страницу.")
    rules.check_reopening(sheet.campaign.state, sheet.state)
    for row in lines(sheet):
        if row.line.corrected != row.line.own_then:
            # The books say what was counted now, so there is no difference left to put right again.
            db.session.execute(
                sa.update(CountLine)
                .where(CountLine.sheet_id == sheet.id, CountLine.edition_id == row.edition_id)
                .values(own=row.line.corrected, decision=None, taps=CountLine.taps + 1)
                .execution_options(synchronize_session=False)
            )
    sheet.state = SheetState.COUNTING
    sheet.confirmed_at = sheet.confirmed_by_id = None
    sheet.skipped = 0
    db.session.flush()
    journal.record(
        SHEET,
        sheet.id,
        "Пересчёт открыт снова: %(school)s",
        by_id=by.id,
        clock=clock,
        district_id=sheet.holder.district_id,
        to=access.people_who_may(Action.COUNT, sheet.holder),
        school=sheet.holder.short_name,
    )
    return sheet


# --- the district at a glance ---


@dataclass(frozen=True)
class Standing:
    """How far one school or storage place has come; ``sheet_id`` is ``None`` before it begins."""

    holder_id: int
    name: str
    total: int
    counted: int = 0
    differing: int = 0
    found: int = 0
    missing: int = 0
    sheet_id: int | None = None
    state: SheetState | None = None
    confirmed_at: datetime | None = None

    @property
    def share(self) -> float:
        """Counted of all, 0 to 1; nothing of nothing is nothing before the school has begun."""
        if not self.total:
            return 1.0 if self.sheet_id is not None else 0.0
        return min(1.0, self.counted / self.total)

    @property
    def begun(self) -> bool:
        """Whether anybody has begun to count there."""
        return self.sheet_id is not None


def standings(campaign: CountingCampaign) -> list[Standing]:
    """Return how far each school and storage place of the district has come; three queries."""
    return _standings(campaign, _places(campaign.district_id))


def standings_at(campaign: CountingCampaign, holders: Sequence[Holder]) -> list[Standing]:
    """Return how far some places have come, whether they have begun or not; two queries."""
    return _standings(campaign, holders) if holders else []


def name_of(user_id: int | None) -> str:
    """Return a person's name; nothing for nobody."""
    return db.session.scalar(sa.select(User.full_name).where(User.id == user_id)) or "" if user_id else ""


def standing(sheet: CountSheet) -> Standing:
    """Return how far one sheet has come; two queries, whatever its length."""
    return _standings(sheet.campaign, [sheet.holder])[0]


def _standings(campaign: CountingCampaign, places: Sequence[Holder]) -> list[Standing]:
    ids = [place.id for place in places]
    counted = {
        row.holder_id: row
        for row in db.session.execute(
            sa.select(
                CountSheet.holder_id,
                CountSheet.id,
                CountSheet.state,
                CountSheet.confirmed_at,
                CountSheet.skipped,
                sa.func.count(CountLine.id).label("counted"),
                sa.func.sum(sa.case((_DIFFERENCE != 0, 1), else_=0)).label("differing"),
                sa.func.sum(sa.case((_DIFFERENCE > 0, _DIFFERENCE), else_=0)).label("found"),
                sa.func.sum(sa.case((_DIFFERENCE < 0, -_DIFFERENCE), else_=0)).label("missing"),
            )
            .outerjoin(CountLine, CountLine.sheet_id == CountSheet.id)
            .where(CountSheet.campaign_id == campaign.id, CountSheet.holder_id.in_(ids))
            .group_by(CountSheet.id)
        )
    }
    stands = sa.select(Balance.holder_id, Balance.edition_id).where(
        Balance.holder_id.in_(ids), Balance.copies > 0
    )
    on_sheet = (
        sa.select(CountSheet.holder_id, CountLine.edition_id)
        .join(CountLine, CountLine.sheet_id == CountSheet.id)
        .where(CountSheet.campaign_id == campaign.id)
    )
    both = sa.union(stands, on_sheet).subquery()
    totals: dict[int, int] = {
        row.holder_id: row.total
        for row in db.session.execute(
            sa.select(both.c.holder_id, sa.func.count().label("total"))
            .where(both.c.holder_id.in_(ids))
            .group_by(both.c.holder_id)
        )
    }
    return [_standing(place, counted.get(place.id), totals.get(place.id, 0)) for place in places]


_DIFFERENCE = CountLine.counted - CountLine.own - CountLine.borrowed


def _standing(place: Holder, row: Any, total: int) -> Standing:
    if row is None:
        return Standing(place.id, place.short_name, total)
    # What came after a school has confirmed is for the next campaign to count.
    confirmed = rules.is_confirmed(row.state)
    return Standing(
        place.id,
        place.short_name,
        total=row.counted + row.skipped if confirmed else total,
        counted=row.counted,
        differing=int(row.differing or 0),
        found=int(row.found or 0),
        missing=int(row.missing or 0),
        sheet_id=row.id,
        state=row.state,
        confirmed_at=row.confirmed_at,
    )


def present_for(holder: Holder) -> tuple[CountingCampaign, Standing] | None:
    """Return the campaign that goes on in a school's district and how far the school has come; three queries.

    ``None`` when none goes on: then the first screen has nothing to say.
    """
    campaign = open_of(holder.district_id)
    return None if campaign is None else (campaign, _standings(campaign, [holder])[0])
