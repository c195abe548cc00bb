"""Tries an exchange on the numbers of regional reports, and makes a district of them to look around in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from exchange.approved.models import ApprovedList, ApprovedUse
from exchange.approved.rules import course_of
from exchange.catalog import services as catalog
from exchange.catalog.models import Textbook
from exchange.catalog.rules import SchoolYear
from exchange.classes.models import ClassGroup
from exchange.classes.rules import GRADES
from exchange.clock import Clock
from exchange.db import db
from exchange.ledger import services as ledger
from exchange.ledger.rules import MovementKind, transfer_of_copies
from exchange.matching.rules import Need, Problem, Result, Supply
from exchange.matching.solver import QUICK, solve
from exchange.postings import services as postings
from exchange.postings.rules import (
    OfferKind,
    ShortageReason,
    default_due_back,
    default_expiry,
    usual_kind,
)
from exchange.recognition import services as recognition
from exchange.recognition.rules import Kind, Wording
from exchange.regions.rules import Holding, Report, place_of
from exchange.schools import services as schools
from exchange.schools.models import District, Holder, User
from exchange.schools.rules import HolderKind, Role
from exchange.stock.rules import Condition


@dataclass(frozen=True)
class Stock:
    """One textbook at one place, all rows that mean it added up; in sets."""

    place: str
    textbook_id: int
    stock: int
    fit: int
    pupils: int


@dataclass(frozen=True)
class Recognised:
    """What the titles of some reports turned out to be; the electronic ones are left out.

    ``sure`` rows are surely one textbook of the list, ``by_pupils`` of them because their number of pupils
    tells the class; ``unclear`` are the others.
    """

    stocks: Sequence[Stock]
    sure: int
    by_pupils: int
    unclear: Sequence[Holding]


def recognise(reports: Iterable[Report]) -> Recognised:
    """Find the textbooks of the titles; only sure answers count."""
    recogniser = recognition.recogniser()
    known: dict[Wording, int | None] = {}
    found: defaultdict[tuple[str, int], list[Holding]] = defaultdict(list)
    unclear = []
    for report in reports:
        for holding in report.holdings:
            if holding.electronic:
                continue
            wording = Wording(
                text=holding.title,
                authors=holding.authors,
                subject=holding.subject,
                grades=holding.grades,
                publisher=holding.publisher,
            )
            if wording not in known:
                answer = recogniser.recognise(wording)
                known[wording] = answer.book_id if answer.kind is Kind.AUTOMATIC else None
            textbook_id = known[wording]
            if textbook_id is None:
                unclear.append(holding)
            else:
                found[place_of(holding, report), textbook_id].append(holding)
    stocks = [
        Stock(
            place,
            textbook_id,
            stock=sum(each.stock for each in holdings),
            fit=sum(each.fit for each in holdings),
            # The same number is the same pupils, with books of another year: they need one book each.
            pupils=sum({each.pupils for each in holdings}),
        )
        for (place, textbook_id), holdings in sorted(found.items())
    ]
    sure = [each for holdings in found.values() for each in holdings]
    return Recognised(stocks, len(sure), sum(each.inferred for each in sure), unclear)


def tried(stocks: Sequence[Stock], *, clock: Clock) -> Result:
    """Return how the surpluses of the places would serve their needs, as permanent transfers of sets.

    Roads are not known and the legality of the books is left aside: a report tells of its own year.
    """
    today = clock.now().date()
    places = {place: number for number, place in enumerate(sorted({each.place for each in stocks}), start=1)}
    supplies, needs = [], []
    for number, each in enumerate(stocks, start=1):
        if each.fit > each.pupils:
            supplies.append(
                Supply(
                    id=number,
                    holder=places[each.place],
                    edition=each.textbook_id,
                    textbook=each.textbook_id,
                    part=1,
                    year=today.year,
                    copies=each.fit - each.pupils,
                )
            )
        elif each.pupils > each.fit:
            needs.append(
                Need(
                    id=number,
                    taker=places[each.place],
                    textbook=each.textbook_id,
                    parts=((1, each.pupils - each.fit),),
                )
            )
    problem = Problem(
        supplies=tuple(supplies),
        needs=tuple(needs),
        km={},
        today=today,
        year_end=SchoolYear.of(today).last_day,
    )
    return solve(problem, effort=QUICK)


@dataclass(frozen=True)
class Loaded:
    """The district made of a report, and how many surpluses and requests it has on its board.

    ``refused``: those that today's federal list does not allow to be posted.
    """

    district: District
    offers: int
    requests: int
    refused: int


def load(
    stocks: Sequence[Stock],
    *,
    name: str,
    login: str,
    password_hash: str,
    timezone: str,
    printed: int,
    source: str,
    posting_days: int,
    clock: Clock,
) -> Loaded:
    """Make a district called ``name`` of the places: their copies, their classes, what those use, the board.

    Each place is a school. Copies become editions of the year ``printed``, as reports tell no year; the
    pupils of each book stand in the place's list as a number of their own, and the classes have as many as
    the largest course needs. What is over or lacking is posted for ``posting_days``, as far as the federal
    list allows today. ``login`` is the methodist's, «login-1» and so on the librarians'; ``source`` names the
    report in the movements.
    """
    district = schools.make_district(name=name, office=name, region=name, timezone=timezone)
    by = schools.make_user(
        district_id=district.id,
        login=login,
        full_name=f"Методист, {name}",
        password_hash=password_hash,
        role=Role.METHODIST,
        clock=clock,
    )
    books = {
        book.id: book
        for book in db.session.scalars(
            sa.select(Textbook).where(Textbook.id.in_({each.textbook_id for each in stocks}))
        )
    }
    by_place: defaultdict[str, list[Stock]] = defaultdict(list)
    for each in stocks:
        by_place[each.place].append(each)
    year = SchoolYear.of(clock.today(timezone))
    posted: Counter[str] = Counter()
    for number, (place, held) in enumerate(sorted(by_place.items()), start=1):
        holder = schools.save_school(
            None,
            name=place,
            short_name=place[:100],
            settlement="",
            inn="",
            kpp="",
            km_to_centre=0.0,
            by=by,
            clock=clock,
        )
        _put_on_shelf(holder, held, books, printed=printed, source=source, by=by, clock=clock)
        _write_list(holder, held, books, year, clock=clock)
        librarian = schools.make_user(
            district_id=district.id,
            login=f"{login}-{number}",
            full_name=f"Библиотекарь, {place}",
            password_hash=password_hash,
            role=Role.LIBRARIAN,
            school_id=holder.id,
            clock=clock,
        )
        posted += _post(
            holder, held, books, printed=printed, posting_days=posting_days, by=librarian, clock=clock
        )
    return Loaded(district, posted["offers"], posted["requests"], posted["refused"])


def _put_on_shelf(
    holder: Holder,
    held: Sequence[Stock],
    books: Mapping[int, Textbook],
    *,
    printed: int,
    source: str,
    by: User,
    clock: Clock,
) -> None:
    """Write the copies that stay as one count: a report's set stands for every part."""
    there = ledger.technical(holder.district_id, HolderKind.SOURCE)
    lines = [
        line
        for each in held
        if each.fit
        for part in range(1, books[each.textbook_id].parts + 1)
        for line in transfer_of_copies(
            catalog.edition_for(each.textbook_id, printed, part).id,
            each.fit,
            owner=(holder.id, holder.id),
            holder=(there, holder.id),
        )
    ]
    if lines:
        ledger.post(
            MovementKind.COUNT,
            lines,
            by=by,
            clock=clock,
            district_id=holder.district_id,
            reason=source,
        )


def _write_list(
    holder: Holder, held: Sequence[Stock], books: Mapping[int, Textbook], year: SchoolYear, *, clock: Clock
) -> None:
    """Write who uses the books. A book for several grades is written at its first one."""
    courses: defaultdict[tuple[int, str], int] = defaultdict(int)
    approved = ApprovedList(
        district_id=holder.district_id,
        school_id=holder.id,
        school_year=year.start,
        created_at=clock.now(),
    )
    for each in held:
        book = books[each.textbook_id]
        grade = book.grade_from
        if not each.pupils or grade is None or grade not in GRADES:
            continue
        courses[grade, course_of(book.subject, book.title)] += each.pupils
        approved.uses.append(ApprovedUse(grade=grade, textbook_id=book.id, pupils=each.pupils))
    db.session.add(approved)
    for grade in sorted({grade for grade, _ in courses}):
        most = max(pupils for (of, _), pupils in courses.items() if of == grade)
        db.session.add(
            ClassGroup(school_id=holder.id, school_year=year.start, grade=grade, letter="", pupils=most)
        )
    db.session.flush()


def _post(
    holder: Holder,
    held: Sequence[Stock],
    books: Mapping[int, Textbook],
    *,
    printed: int,
    posting_days: int,
    by: User,
    clock: Clock,
) -> Counter[str]:
    """Put what is over and what is lacking on the board, part by part; return how much of it."""
    today = clock.today(holder.district.timezone)
    expires_on = default_expiry(today, posting_days)
    verdicts = catalog.verdicts([each.textbook_id for each in held], today)
    posted: Counter[str] = Counter()
    for each in held:
        book, over = books[each.textbook_id], each.fit - each.pupils
        parts = range(1, book.parts + 1)
        verdict = verdicts[book.id]
        if not over:
            continue
        if not verdict.legality.usable:
            posted["refused"] += 1
        elif over < 0:
            postings.post_request(
                school=holder,
                textbook=book,
                copies_by_part=dict.fromkeys(parts, -over),
                reason=ShortageReason.OTHER,
                expires_on=expires_on,
                by=by,
                clock=clock,
            )
            posted["requests"] += 1
        else:
            kind = usual_kind(verdict)
            for part in parts:
                postings.post_offer(
                    holder=holder,
                    edition=catalog.edition_for(book.id, printed, part),
                    copies=over,
                    kind=kind,
                    condition=Condition.GOOD,
                    due_back=default_due_back(today) if kind is OfferKind.LOAN else None,
                    expires_on=expires_on,
                    by=by,
                    clock=clock,
                )
                posted["offers"] += 1
    return posted
