"""Provision of schools with books, the postings that follow from it, and next year's shortage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from exchange.approved.models import ApprovedList, ApprovedUse
from exchange.approved.rules import Use, course_of
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import SchoolYear, Verdict
from exchange.classes.models import ClassGroup
from exchange.classes.rules import Group, moved_up
from exchange.clock import Clock
from exchange.db import db, insert_if_absent
from exchange.ledger.models import Balance
from exchange.postings import rules as posting_rules
from exchange.postings import services as postings
from exchange.postings.models import Offer, Request, RequestPart
from exchange.postings.rules import PostingState, ShortageReason
from exchange.provision import rules
from exchange.provision.models import NotNow
from exchange.provision.rules import Advice, Copies, Holding, Proposal, Provided, Shortage
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.stock import services as stock
from exchange.stock.models import SchoolReserve, ShelfNote
from exchange.stock.rules import Condition, Reserve, attach

_transfer = sa.table("transfer", *map(sa.column, ("id", "kind", "state", "giver_id", "taker_id", "due_back")))
_line = sa.table(
    "transfer_line",
    *map(
        sa.column,
        (
            "transfer_id",
            "edition_id",
            "owner_id",
            "asked",
            "agreed",
            "shipped",
            "good",
            "damaged",
            "missing",
            "returned",
            "kept",
            "handed_back",
            "replaced",
        ),
    ),
)
# The feature of transfers stands above this one and owns these tables; here they are only read.
PROPOSED = "proposed"
PROMISED = ("agreed", "accepted", "approved", "packed")
ON_THE_ROAD = ("shipped", "disputed")
LENT = "lent"
PERMANENT = "permanent"


@dataclass(frozen=True)
class Report:
    """Who is provided with what: ``books`` tells, by textbook, what the template macro ``book`` shows.

    ``holdings`` are what the ``rows`` were made of; ``hidden`` of them are left out of both, because their
    numbers may identify a child.
    """

    rows: Sequence[Provided]
    holdings: Sequence[Holding]
    books: Mapping[int, Any]
    verdicts: Mapping[int, Verdict]
    hidden: int


def provision(
    *,
    schools: Collection[Holder],
    school_year: SchoolYear,
    on: date,
    by: User | None = None,
    postings_too: bool = False,
) -> Report:
    """Return, for some schools of a district, each book they hold, ask for or have chosen by class group.

    Copies as they stand now; pupils, approved lists and legality of ``school_year``. What ``by`` may not see
    is left out. With ``postings_too`` the copies tell what is asked for and what is coming. Four queries,
    whatever the number of schools.
    """
    facts = _facts(schools, [school_year], postings_too=postings_too)
    verdicts = catalog.verdicts(facts.books, on, school_year)
    holdings = _holdings(facts, school_year, verdicts)
    return _report(facts, holdings, verdicts, schools, by)


def holdings(
    *, schools: Collection[Holder], school_year: SchoolYear, on: date
) -> Mapping[tuple[int, int], Holding]:
    """Return the same by (school, textbook), not yet divided among class groups, with postings.

    For the portal's own reckoning: nothing is left out, whoever asks.
    """
    facts = _facts(schools, [school_year], postings_too=True)
    return _holdings(facts, school_year, catalog.verdicts(facts.books, on, school_year))


def _report(
    facts: _Facts,
    holdings: Mapping[tuple[int, int], Holding],
    verdicts: Mapping[int, Verdict],
    schools: Collection[Holder],
    by: User | None,
) -> Report:
    hidden = _hidden(holdings.values(), schools, by)
    kept = [each for key, each in holdings.items() if key not in hidden]
    rows = [row for each in kept for row in rules.provided(each)]
    return Report(rows, kept, facts.books, verdicts, len(hidden))


def _hidden(
    holdings: Iterable[Holding],
    schools: Collection[Holder],
    by: User | None,
    shorts: Mapping[tuple[int, int], Shortage] | None = None,
) -> set[tuple[int, int]]:
    """Return the (school, textbook) whose numbers may identify a child and are not for ``by`` to see."""
    if by is None or access.allowed(by, Action.SEE_SMALL_COUNTS):
        return set()
    unseen = {s.id for s in schools if not access.allowed(by, Action.SEE_SMALL_COUNTS, s)}
    hidden = set()
    for each in holdings:
        key = each.school_id, each.textbook_id
        short = shorts.get(key) if shorts else None
        if each.school_id in unseen and (
            rules.tells_of_a_child(each)
            or (
                short is not None and rules.shortage_tells_of_a_child(short, special_needs=each.special_needs)
            )
        ):
            hidden.add(key)
    return hidden


# --- reading ---


@dataclass(frozen=True)
class _Facts:
    """What the database says about some schools.

    ``copies`` by school, textbook and part; textbooks that are only asked for (``asked_for``) or chosen are
    there without parts. ``groups`` and ``uses`` by school and year, ``reserves`` by school.
    """

    schools: Sequence[int]
    books: Mapping[int, Any]
    copies: Mapping[int, Mapping[int, Mapping[int, Copies]]]
    reserves: Mapping[int, Reserve]
    groups: Mapping[tuple[int, int], Sequence[Group]]
    uses: Mapping[tuple[int, int], Sequence[Use]]
    asked_for: Collection[tuple[int, int]]


def _facts(schools: Collection[Holder], years: Sequence[SchoolYear], *, postings_too: bool = False) -> _Facts:
    """Read, in two queries, what some schools have and need; two years: the present and the next one."""
    ids = [school.id for school in schools]
    starts = [year.start for year in years]
    branches = [_here(ids), _asked_for(ids), _chosen(ids, starts)]
    if len(years) > 1:
        branches += [_owned(ids), *_leaving(ids, years[-1])]
    if postings_too:
        branches += [_coming(ids), _asked_of(ids)]
    there = sa.union_all(*branches).subquery("there")
    books: dict[int, Any] = {}
    reserves: dict[int, Reserve] = {}
    asked_for: set[tuple[int, int]] = set()
    copies: dict[int, dict[int, dict[int, Copies]]] = {number: {} for number in ids}
    for row in db.session.execute(
        sa.select(
            there,
            *catalog.BOOK_COLUMNS,
            Textbook.subject,
            Textbook.special_needs,
            Textbook.parts,
            Textbook.sort_key,
            *(sa.func.coalesce(column, 0).label(column.key) for column in _RESERVE),
        )
        .join(Textbook, Textbook.id == there.c.textbook_id)
        .outerjoin(SchoolReserve, SchoolReserve.school_id == there.c.school_id)
    ):
        # By place: a district has tens of thousands of these rows.
        school_id, textbook_id, part, *more = row[: len(COLUMNS) + 3]
        if textbook_id not in books:
            books[textbook_id] = row
        if school_id not in reserves:
            reserves[school_id] = stock.reserve_of(row)
        by_part = copies[school_id].setdefault(textbook_id, {})
        if part == ASKED_FOR:
            asked_for.add((school_id, textbook_id))
        elif part in by_part:
            old = by_part[part]
            by_part[part] = Copies(
                *(getattr(old, name) + new for name, new in zip(COLUMNS, more, strict=True))
            )
        elif part != CHOSEN:
            by_part[part] = Copies(*more)
    groups, uses = _groups_and_uses(ids, starts, books)
    return _Facts(ids, books, copies, reserves, groups, uses, asked_for)


def _groups_and_uses(
    ids: Collection[int], starts: Collection[int], books: Mapping[int, Any]
) -> tuple[dict[tuple[int, int], list[Group]], dict[tuple[int, int], list[Use]]]:
    """Return the class groups and the lines of the approved lists by school and year, in one query."""
    there = sa.union_all(
        sa.select(
            ClassGroup.school_id,
            ClassGroup.school_year,
            ClassGroup.grade,
            ClassGroup.letter,
            sa.literal(0).label("textbook_id"),
            ClassGroup.pupils,
            ClassGroup.id,
        ).where(ClassGroup.school_id.in_(ids), ClassGroup.school_year.in_(starts)),
        sa.select(
            ApprovedList.school_id,
            ApprovedList.school_year,
            ApprovedUse.grade,
            ApprovedUse.letter,
            ApprovedUse.textbook_id,
            ApprovedUse.pupils,
            ApprovedUse.id,
        )
        .join(ApprovedList, ApprovedList.id == ApprovedUse.list_id)
        .where(ApprovedList.school_id.in_(ids), ApprovedList.school_year.in_(starts)),
    ).subquery()
    groups: dict[tuple[int, int], list[Group]] = {}
    uses: dict[tuple[int, int], list[Use]] = {}
    for row in db.session.execute(sa.select(there).order_by(there.c.textbook_id, there.c.id)):
        place = row.school_id, row.school_year
        if row.textbook_id:
            book = books[row.textbook_id]
            course = course_of(book.subject, book.title)
            uses.setdefault(place, []).append(Use(row.grade, row.letter, row.textbook_id, course, row.pupils))
        else:
            groups.setdefault(place, []).append(Group(row.grade, row.letter, row.pupils))
    return groups, uses


_RESERVE = (SchoolReserve.reserve_percent, SchoolReserve.buffer_percent, SchoolReserve.wear_percent)
COLUMNS = ("fit", "staying", "own", "asked", "coming", "kept")
"""Columns of a branch of the query for the copies, after school, textbook and part."""
ASKED_FOR, CHOSEN = 0, -1
"""In place of a part: the textbook is in an open request, in an approved list."""


def _branch(school_id: Any, textbook_id: Any, part: Any, **copies: Any) -> sa.Select[Any]:
    columns: list[Any] = [
        sa.type_coerce(school_id, sa.Integer).label("school_id"),
        sa.type_coerce(textbook_id, sa.Integer).label("textbook_id"),
        sa.type_coerce(part, sa.Integer).label("part"),
        # PostgreSQL adds integers up to a decimal number.
        *(sa.cast(copies.get(name, sa.literal(0)), sa.Integer).label(name) for name in COLUMNS),
    ]
    return sa.select(*columns)


def _not_below_zero(number: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.case((number > 0, number), else_=0)


def _here(ids: Collection[int]) -> sa.Select[Any]:
    """The copies on the shelves: fit for use, promised to nobody, the school's own."""
    own = sa.case((Balance.owner_id == Balance.holder_id, Balance.copies), else_=0)
    here = (
        sa.select(
            Balance.holder_id,
            Balance.edition_id,
            sa.func.sum(Balance.copies).label("copies"),
            sa.func.sum(own).label("own"),
            sa.func.sum(Balance.promised).label("promised"),
        )
        .where(Balance.holder_id.in_(ids))
        .group_by(Balance.holder_id, Balance.edition_id)
        .having(sa.func.sum(Balance.copies) > 0)
        .subquery()
    )
    worn = sa.func.coalesce(ShelfNote.worn, 0)
    fit = _not_below_zero(here.c.copies - worn)
    return (
        _branch(
            here.c.holder_id,
            Edition.textbook_id,
            Edition.part,
            fit=sa.func.sum(fit),
            staying=sa.func.sum(_not_below_zero(here.c.copies - worn - here.c.promised)),
            own=sa.func.sum(_not_below_zero(here.c.own - worn - here.c.promised)),
        )
        .select_from(here)
        .join(Edition, Edition.id == here.c.edition_id)
        .outerjoin(
            ShelfNote,
            sa.and_(ShelfNote.holder_id == here.c.holder_id, ShelfNote.edition_id == here.c.edition_id),
        )
        .group_by(here.c.holder_id, Edition.textbook_id, Edition.part)
    )


def _asked_for(ids: Collection[int]) -> sa.Select[Any]:
    return (
        _branch(Request.school_id, Request.textbook_id, sa.literal(ASKED_FOR))
        .where(Request.school_id.in_(ids), Request.state == PostingState.OPEN)
        .distinct()
    )


def _chosen(ids: Collection[int], starts: Collection[int]) -> sa.Select[Any]:
    return (
        _branch(ApprovedList.school_id, ApprovedUse.textbook_id, sa.literal(CHOSEN))
        .select_from(ApprovedUse)
        .join(ApprovedList, ApprovedList.id == ApprovedUse.list_id)
        .where(ApprovedList.school_id.in_(ids), ApprovedList.school_year.in_(starts))
        .distinct()
    )


def _owned(ids: Collection[int]) -> sa.Select[Any]:
    """A school's own copies, wherever they are, without what is worn on its own shelf."""
    place = sa.orm.aliased(Holder)
    home = sa.case((Balance.owner_id == Balance.holder_id, Balance.copies), else_=0)
    owned = (
        sa.select(
            Balance.owner_id,
            Balance.edition_id,
            sa.func.sum(Balance.copies).label("copies"),
            sa.func.sum(home).label("home"),
        )
        .join(place, place.id == Balance.holder_id)
        .where(
            Balance.owner_id.in_(ids),
            place.kind.in_([HolderKind.SCHOOL, HolderKind.FUND, HolderKind.TRANSIT]),
        )
        .group_by(Balance.owner_id, Balance.edition_id)
        .subquery()
    )
    worn = sa.func.coalesce(ShelfNote.worn, 0)
    return (
        _branch(
            owned.c.owner_id,
            Edition.textbook_id,
            Edition.part,
            kept=sa.func.sum(owned.c.copies - owned.c.home + _not_below_zero(owned.c.home - worn)),
        )
        .select_from(owned)
        .join(Edition, Edition.id == owned.c.edition_id)
        .outerjoin(
            ShelfNote,
            sa.and_(ShelfNote.holder_id == owned.c.owner_id, ShelfNote.edition_id == owned.c.edition_id),
        )
        .group_by(owned.c.owner_id, Edition.textbook_id, Edition.part)
    )


def _leaving(ids: Collection[int], year: SchoolYear) -> list[sa.Select[Any]]:
    """What changes hands before ``year`` begins or stays lent beyond that day: minus here, plus there."""
    pending = _line.c.shipped - _line.c.good - _line.c.damaged - _line.c.missing - _line.c.returned
    for_good = sa.case(
        (_transfer.c.state.in_(PROMISED), _line.c.agreed),
        (_transfer.c.state.in_(ON_THE_ROAD), pending),
        else_=0,
    )
    outstanding = _line.c.good + _line.c.kept - _line.c.handed_back - _line.c.replaced
    lent = for_good + sa.case((_transfer.c.state.in_([*ON_THE_ROAD, LENT]), outstanding), else_=0)
    copies = sa.case((_transfer.c.kind == PERMANENT, for_good), else_=lent)
    counts = sa.and_(
        _transfer.c.state.in_([*PROMISED, *ON_THE_ROAD, LENT]),
        sa.or_(_transfer.c.kind == PERMANENT, _transfer.c.due_back >= year.first_day),
    )
    return [
        _branch(school, Edition.textbook_id, Edition.part, kept=sa.func.sum(sign * copies))
        .select_from(_line)
        .join(_transfer, _transfer.c.id == _line.c.transfer_id)
        .join(Edition, Edition.id == _line.c.edition_id)
        .where(counts, school.in_(ids))
        .group_by(school, Edition.textbook_id, Edition.part)
        for school, sign in ((_line.c.owner_id, -1), (_transfer.c.taker_id, 1))
    ]


def _coming(ids: Collection[int]) -> sa.Select[Any]:
    """Copies on their way to a school: asked for, promised, on the road."""
    pending = _line.c.shipped - _line.c.good - _line.c.damaged - _line.c.missing - _line.c.returned
    copies = sa.case(
        (_transfer.c.state.in_(ON_THE_ROAD), pending), else_=sa.func.coalesce(_line.c.agreed, _line.c.asked)
    )
    return (
        _branch(_transfer.c.taker_id, Edition.textbook_id, Edition.part, coming=sa.func.sum(copies))
        .select_from(_line)
        .join(_transfer, _transfer.c.id == _line.c.transfer_id)
        .join(Edition, Edition.id == _line.c.edition_id)
        .where(_transfer.c.taker_id.in_(ids), _transfer.c.state.in_([PROPOSED, *PROMISED, *ON_THE_ROAD]))
        .group_by(_transfer.c.taker_id, Edition.textbook_id, Edition.part)
    )


def _asked_of(ids: Collection[int]) -> sa.Select[Any]:
    """A school's own copies that somebody has asked for, with no answer yet."""
    return (
        _branch(_line.c.owner_id, Edition.textbook_id, Edition.part, asked=sa.func.sum(_line.c.asked))
        .select_from(_line)
        .join(_transfer, _transfer.c.id == _line.c.transfer_id)
        .join(Edition, Edition.id == _line.c.edition_id)
        .where(
            _line.c.owner_id.in_(ids),
            _transfer.c.giver_id == _line.c.owner_id,
            _transfer.c.state == PROPOSED,
        )
        .group_by(_line.c.owner_id, Edition.textbook_id, Edition.part)
    )


def _holdings(
    facts: _Facts,
    year: SchoolYear,
    verdicts: Mapping[int, Verdict],
    *,
    groups: Mapping[int, Sequence[Group]] | None = None,
    uses: Mapping[int, Sequence[Use]] | None = None,
) -> dict[tuple[int, int], Holding]:
    """Return, by school and textbook, the copies and who needs them.

    ``groups`` and ``uses`` take the place of those entered for ``year``.
    """
    candidates = {number: stock.candidate(row, verdicts[number], year) for number, row in facts.books.items()}
    result = {}
    for school_id in facts.schools:
        lines = facts.uses.get((school_id, year.start), ()) if uses is None else uses[school_id]
        chosen = {use.textbook_id for use in lines}
        # What only the list of the other year names is not in use.
        there = {
            number: by_part
            for number, by_part in sorted(facts.copies[school_id].items())
            if by_part or number in chosen or (school_id, number) in facts.asked_for
        }
        needed_by = attach(
            (candidates[number] for number in there),
            facts.groups.get((school_id, year.start), ()) if groups is None else groups[school_id],
            lines,
        )
        keeping = facts.reserves.get(school_id, Reserve())
        for number, by_part in there.items():
            book = facts.books[number]
            result[school_id, number] = Holding(
                school_id=school_id,
                textbook_id=number,
                subject=book.subject,
                grade=book.grade_from,
                parts=book.parts,
                special_needs=book.special_needs,
                lasts=candidates[number].lasts,
                copies=by_part,
                attached=needed_by.get(number),
                keeping=keeping,
                listed=number in chosen,
            )
    return result


# --- next year ---


@dataclass(frozen=True)
class Forecast:
    """What schools will lack in ``year``: the ``shortages``, the largest first.

    ``moved_up``: schools whose class groups of that year are not entered, so that this year's moved up are
    taken, without first and tenth grades. ``same_list``: schools without a list of that year, whose present
    one is taken.
    """

    year: SchoolYear
    shortages: Sequence[Shortage]
    books: Mapping[int, Any]
    verdicts: Mapping[int, Verdict]
    moved_up: Collection[int]
    same_list: Collection[int]
    hidden: int


def forecast(
    *, schools: Collection[Holder], this_year: SchoolYear, on: date, by: User | None = None
) -> Forecast:
    """Return what some schools of a district will lack in the year after ``this_year``, and why.

    Class groups as forecast, else this year's moved up (``classes.rules.moved_up``); the approved list of
    that year, else this year's; without the books whose last legal date passes, what wears out, what goes
    back to its owner. Four queries.
    """
    year = SchoolYear(this_year.start + 1)
    facts = _facts(schools, [this_year, year])
    now_verdicts, verdicts = catalog.verdicts_of_years(
        facts.books, {this_year: min(on, this_year.last_day), year: max(on, year.first_day)}
    )
    now = _holdings(facts, this_year, now_verdicts)
    moved = {number for number in facts.schools if not facts.groups.get((number, year.start))}
    same = {number for number in facts.schools if not facts.uses.get((number, year.start))}
    then = _holdings(
        facts,
        year,
        verdicts,
        groups={
            number: moved_up(facts.groups.get((number, this_year.start), ()))
            if number in moved
            else facts.groups[number, year.start]
            for number in facts.schools
        },
        uses={
            number: facts.uses.get((number, this_year.start if number in same else year.start), ())
            for number in facts.schools
        },
    )
    shorts = {
        key: short
        for key, holding in then.items()
        if (short := rules.shortage(now.get(key), holding)) is not None and short.missing
    }
    hidden = _hidden([*now.values(), *then.values()], schools, by, shorts)
    shortages = [short for key, short in shorts.items() if key not in hidden]
    return Forecast(year, shortages, facts.books, verdicts, moved, same, len(hidden))


# --- the postings that follow ---


@dataclass(frozen=True)
class Proposals:
    """What a school is advised to do with its postings; ``put_off`` was put off and is left out.

    ``report`` is the provision it follows from. ``barred``: needed and missing, but may not be taught from to
    the end of the year, so that asking other schools for it is no use.
    """

    proposals: Sequence[Proposal]
    put_off: int
    barred: Sequence[Holding]
    report: Report


@dataclass(frozen=True)
class _Posted:
    """A school's open postings of one textbook; ``offers`` are (id, year, part, open copies)."""

    request: dict[int, int]
    has_request: bool
    offers: list[tuple[int, int, int, int]]
    put_off: dict[str, str]

    @property
    def offered(self) -> dict[int, int]:
        """What can still be asked for, by part."""
        result: dict[int, int] = {}
        for _, _, part, copies in self.offers:
            result[part] = result.get(part, 0) + copies
        return result


def proposals(school: Holder, *, on: date, by: User | None = None) -> Proposals:
    """Return what the provision of a school says that its postings do not; five queries.

    What is on its way to the school counts as coming, what is already posted is not proposed again.
    """
    year = SchoolYear.of(on)
    facts = _facts([school], [year], postings_too=True)
    verdicts = catalog.verdicts(facts.books, on, year)
    report = _report(facts, _holdings(facts, year, verdicts), verdicts, [school], by)
    posted = _posted(school.id)
    found: list[Proposal] = []
    put_off = 0
    for holding in sorted(report.holdings, key=lambda each: facts.books[each.textbook_id].sort_key):
        there = posted.get(holding.textbook_id)
        for each in rules.proposals(
            holding,
            may_be_taught=verdicts[holding.textbook_id].legality.usable,
            requested=there.request if there is not None and there.has_request else None,
            offered=there.offered if there is not None else {},
        ):
            if there is not None and there.put_off.get(each.advice.value) == each.numbers:
                put_off += 1
            else:
                found.append(each)
    barred = [each for each in report.holdings if not each.lasts and each.need]
    return Proposals(found, put_off, barred, report)


def _posted(school_id: int) -> dict[int, _Posted]:
    """Return the open postings of a school and what it has put off, by textbook, in one query."""
    nothing = sa.literal("")
    offers = (
        sa.select(
            sa.literal("offer").label("what"),
            Edition.textbook_id,
            Offer.id,
            Edition.year,
            Edition.part,
            (Offer.copies - Offer.reserved).label("copies"),
            nothing.label("advice"),
            nothing.label("numbers"),
        )
        .join(Edition, Edition.id == Offer.edition_id)
        .where(Offer.holder_id == school_id, Offer.state == PostingState.OPEN)
    )
    requests = (
        sa.select(
            sa.literal("request"),
            Request.textbook_id,
            Request.id,
            sa.literal(0),
            RequestPart.part,
            RequestPart.copies - RequestPart.matched,
            nothing,
            nothing,
        )
        .join(RequestPart, RequestPart.request_id == Request.id)
        .where(Request.school_id == school_id, Request.state == PostingState.OPEN)
    )
    put_off = sa.select(
        sa.literal("not now"),
        NotNow.textbook_id,
        sa.literal(0),
        sa.literal(0),
        sa.literal(0),
        sa.literal(0),
        sa.cast(NotNow.advice, sa.String),
        NotNow.numbers,
    ).where(NotNow.school_id == school_id)
    rows = sa.union_all(offers, requests, put_off).subquery()
    found: dict[int, _Posted] = {}
    wanted: defaultdict[int, dict[int, int]] = defaultdict(dict)
    given: defaultdict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
    later: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for row in db.session.execute(sa.select(rows).order_by(rows.c.id, rows.c.part)):
        if row.what == "offer":
            given[row.textbook_id].append((row.id, row.year, row.part, row.copies))
        elif row.what == "request":
            wanted[row.textbook_id][row.part] = row.copies
        else:
            later[row.textbook_id][row.advice] = row.numbers
    for number in {*given, *wanted, *later}:
        found[number] = _Posted(wanted[number], bool(wanted[number]), given[number], later[number])
    return found


@dataclass(frozen=True)
class Outcome:
    """How many proposals were carried out; ``changed`` were no longer the same."""

    done: int
    changed: int


def carry_out(*, school: Holder, keys: Collection[str], expires_on: date, by: User, clock: Clock) -> Outcome:
    """Post, change and withdraw what somebody has chosen of the proposals, by ``Proposal.key``.

    Only what is still proposed with the same numbers; new postings stand to and including ``expires_on``.
    Raises ``Stale`` when that is nothing.
    """
    access.require_private(by, Action.SEE_SHELF, school)
    # Whoever presses the button at the same moment sees what is posted here, and does not post it again.
    db.session.execute(sa.select(Holder.id).where(Holder.id == school.id).with_for_update(key_share=True))
    today = clock.today(school.district.timezone)
    present = {each.key: each for each in proposals(school, on=today, by=by).proposals}
    rules.check_same(keys, present)
    chosen = [present[key] for key in sorted(set(keys) & present.keys(), key=_place_of(present))]
    posted = _posted(school.id)
    terms = _Terms(school, posted, expires_on, today, by, clock)
    for proposal in chosen:
        _CARRY_OUT[proposal.advice](proposal, terms)
    return Outcome(len(chosen), len(set(keys) - present.keys()))


def _place_of(present: Mapping[str, Proposal]) -> Any:
    # Always in the same order, so that two people at one school do not wait for each other in a circle.
    return lambda key: (present[key].textbook_id, key)


@dataclass(frozen=True)
class _Terms:
    school: Holder
    posted: Mapping[int, _Posted]
    expires_on: date
    today: date
    by: User
    clock: Clock


def _ask(proposal: Proposal, terms: _Terms) -> None:
    here = any(each.fit for each in proposal.holding.copies.values())
    postings.post_request(
        school=terms.school,
        textbook=db.session.get_one(Textbook, proposal.textbook_id),
        copies_by_part=proposal.by_part,
        reason=ShortageReason.MORE_PUPILS if here else ShortageReason.NEW_PROGRAMME,
        expires_on=terms.expires_on,
        by=terms.by,
        clock=terms.clock,
    )


def _change_request(proposal: Proposal, terms: _Terms) -> None:
    request = _open_request(proposal, terms)
    matched = {part.part: part.matched for part in request.parts}
    stale = request.needed_by is not None and request.needed_by < terms.today
    postings.change_request(
        request.id,
        copies_by_part={
            part: matched.get(part, 0) + proposal.by_part.get(part, 0)
            for part in {*matched, *proposal.by_part}
        },
        reason=request.reason,
        needed_by=None if stale else request.needed_by,
        year_from=request.year_from,
        loan_acceptable=request.loan_acceptable,
        mixing=request.mixing,
        expires_on=request.expires_on if request.expires_on >= terms.today else terms.expires_on,
        note=request.note,
        seen=None,
        by=terms.by,
        clock=terms.clock,
    )


def _withdraw_request(proposal: Proposal, terms: _Terms) -> None:
    postings.withdraw_request(_open_request(proposal, terms).id, by=terms.by, clock=terms.clock)


def _open_request(proposal: Proposal, terms: _Terms) -> Request:
    return db.session.get_one(Request, postings.open_request(terms.school.id, proposal.textbook_id))


def _give(proposal: Proposal, terms: _Terms) -> None:
    school = terms.school
    editions = {
        (edition.year, edition.part): edition
        for edition in db.session.scalars(
            sa.select(Edition)
            .join(Balance, Balance.edition_id == Edition.id)
            .where(
                Edition.textbook_id == proposal.textbook_id,
                Balance.owner_id == school.id,
                Balance.holder_id == school.id,
                Balance.copies > 0,
            )
            .order_by(Edition.id)
        )
    }
    numbers = [edition.id for edition in editions.values()]
    free = postings.free_on_shelf(school.id, numbers)
    conditions = {
        row.edition_id: row.condition
        for row in db.session.execute(
            sa.select(ShelfNote.edition_id, ShelfNote.condition).where(
                ShelfNote.holder_id == school.id, ShelfNote.edition_id.in_(numbers)
            )
        )
    }
    by_year: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for (year, part), edition in editions.items():
        by_year[year][part] = free[edition.id]
    kind = posting_rules.usual_kind(
        catalog.verdicts([proposal.textbook_id], terms.today)[proposal.textbook_id]
    )
    lent = kind is posting_rules.OfferKind.LOAN
    for place, copies in sorted(rules.from_years(by_year, proposal.by_part).items()):
        edition = editions[place]
        postings.post_offer(
            holder=school,
            edition=edition,
            copies=copies,
            kind=kind,
            condition=conditions.get(edition.id, Condition.GOOD),
            due_back=posting_rules.default_due_back(terms.today) if lent else None,
            expires_on=terms.expires_on,
            by=terms.by,
            clock=terms.clock,
        )


def _give_less(proposal: Proposal, terms: _Terms) -> None:
    verdict = catalog.verdicts([proposal.textbook_id], terms.today)[proposal.textbook_id]
    offers = terms.posted[proposal.textbook_id].offers
    for part, to in sorted(proposal.by_part.items()):
        # The newest books stay: their offers are lowered first.
        of_part = sorted((o for o in offers if o[2] == part and o[3]), key=lambda o: (-o[1], o[0]))
        for offer_id, left in rules.lower([(o[0], o[3]) for o in of_part], to).items():
            _leave_open(db.session.get_one(Offer, offer_id), left, verdict, terms)


def _leave_open(offer: Offer, copies: int, verdict: Verdict, terms: _Terms) -> None:
    """Leave ``copies`` of an offer open; one whose day of return has passed is of no use and withdrawn."""
    late = offer.due_back is not None and offer.due_back <= terms.today
    if not copies or late:
        postings.withdraw_offer(offer.id, by=terms.by, clock=terms.clock)
        return
    lent = posting_rules.usual_kind(verdict) is posting_rules.OfferKind.LOAN
    kind = posting_rules.OfferKind.LOAN if lent else offer.kind
    postings.change_offer(
        offer.id,
        copies=offer.reserved + copies,
        kind=kind,
        condition=offer.condition,
        due_back=offer.due_back or posting_rules.default_due_back(terms.today),
        available_from=offer.available_from,
        expires_on=offer.expires_on if offer.expires_on >= terms.today else terms.expires_on,
        note=offer.note,
        seen=None,
        by=terms.by,
        clock=terms.clock,
    )


_CARRY_OUT: Mapping[Advice, Callable[[Proposal, _Terms], None]] = {
    Advice.ASK: _ask,
    Advice.ASK_MORE: _change_request,
    Advice.ASK_LESS: _change_request,
    Advice.ASK_NO_MORE: _withdraw_request,
    Advice.GIVE: _give,
    Advice.GIVE_LESS: _give_less,
    Advice.GIVE_NO_MORE: _give_less,
}


def put_off(*, school: Holder, key: str, by: User, clock: Clock) -> None:
    """Leave a proposal out until its numbers change. Raises ``Stale`` when it is no longer made."""
    access.require_private(by, Action.SEE_SHELF, school)
    today = clock.today(school.district.timezone)
    present = {each.key: each for each in proposals(school, on=today, by=by).proposals}
    rules.check_same([key], present)
    proposal = present[key]
    access.require(by, action_of(proposal.advice), school)
    place = {"school_id": school.id, "textbook_id": proposal.textbook_id, "advice": proposal.advice}
    values = {"numbers": proposal.numbers, "by_id": by.id, "at": clock.now()}
    if not insert_if_absent(NotNow, **place, **values):
        row = db.session.get_one(NotNow, tuple(place.values()), populate_existing=True, with_for_update=True)
        row.numbers, row.by_id, row.at = proposal.numbers, by.id, clock.now()
        db.session.flush()


def action_of(advice: Advice) -> Action:
    """Return what one must be allowed to do to follow a piece of advice."""
    return Action.POST_REQUEST if advice in rules.ASKING else Action.POST_OFFER
