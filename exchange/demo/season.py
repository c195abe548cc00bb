"""Plays a school year in the demo district through the real services, with a clock of its own.

What happens is fixed by ``SEED``; when it happens follows the day on which the demo is made, so that its
postings are never stale: last year's loan, the autumn count, the matching three weeks ago, and what waits
for each person today.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from math import ceil
from typing import TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from exchange.approved import services as approved
from exchange.approved.rules import ListState
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, FederalList, ListEntry, Textbook
from exchange.catalog.rules import SchoolYear
from exchange.classes import services as classes
from exchange.classes.models import ClassGroup
from exchange.classes.rules import Group
from exchange.clock import FrozenClock
from exchange.counting import services as counting
from exchange.counting.rules import Decision
from exchange.counting.services import Tap
from exchange.db import db, in_unit
from exchange.demo import district as people
from exchange.ledger.models import Balance
from exchange.ledger.rules import WriteOffReason
from exchange.matching import services as matching
from exchange.matching.models import PlanLine
from exchange.postings import services as postings
from exchange.postings.rules import OfferKind, ShortageReason
from exchange.reserve import services as reserve
from exchange.reserve.rules import Origin
from exchange.runs import Run
from exchange.schools import services as schools
from exchange.schools.models import District, Holder, User
from exchange.schools.rules import HolderKind, Role
from exchange.stock import services as stock
from exchange.stock.rules import Condition, sets_of
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer
from exchange.transfers.rules import Arrival, DeclineReason, Kind, Party, State

T = TypeVar("T")

SEED = 1801
SUBJECTS = (
    "Русский язык",
    "Литературное чтение",
    "Математика",
    "Окружающий мир",
    "Английский язык",
    "История",
    "География",
    "Физика",
    "Химия",
    "Биология",
)
"""Subjects whose main textbook every school of the demo holds."""
WEALTH = {"BAL1": 1.25, "BAL2": 1.2, "PRI": 1.12, "KOZ": 1.1, "CHE": 0.92, "KRA": 0.92}
"""Copies per pupil, on average; the other schools have about one."""
YEARS = (2018, 2019, 2020, 2021, 2023)
SPECIAL = ("Чтение", 2, "Ильина")
"""A special-needs book: subject, grade, first author."""
LISTS = {
    "PRI": ListState.APPROVED,
    "CHE": ListState.APPROVED,
    "BAL1": ListState.CHECKED,
    "KOZ": ListState.DRAFT,
}
"""Schools with a list of their textbooks, and how far this year's has come; last year's is approved."""
COUNTED = {"CHE": 1.0, "KRA": 1.0, "PRI": 0.4, "GRU": 0.7, "BAL2": 0.15}
"""Schools that have begun this season's count, and what share of the shelf they have done."""
BUFFER = 2
OFFERS_AT_ONCE = 8
REQUESTS_AT_ONCE = 4
"""Postings of one school on one day: the largest surpluses and shortages first."""


def _divided(grade: int, pupils: int, groups: int) -> list[Group]:
    """Divide the pupils of a grade among its class groups, as evenly as can be."""
    if groups == 1:
        return [Group(grade, "", pupils)]
    return [
        Group(grade, "АБВГ"[number], pupils // groups + (number < pupils % groups))
        for number in range(groups)
    ]


def play(now: datetime, password_hash: str) -> District:
    """Make the demo district as it stands at ``now`` (aware). Every account gets ``password_hash``."""
    return _Season(now, password_hash).play()


@dataclass(frozen=True)
class _Title:
    """A textbook of the demo with the editions that a school holds of it, by part."""

    textbook_id: int
    parts: int
    grades: tuple[int, ...]


@dataclass(frozen=True, order=True)
class _Shelf:
    """Complete sets of a book on a shelf, of one year."""

    sets: int
    year: int


class _Season:
    def __init__(self, now: datetime, password_hash: str) -> None:
        self.now = now
        self.password_hash = password_hash
        self.clock = FrozenClock(now)
        self.random = random.Random(SEED)
        self.zone = ZoneInfo(people.TIMEZONE)
        self.today: date = now.astimezone(self.zone).date()
        self.year = SchoolYear.of(self.today).start
        self.district_id = 0
        self.campaign_id = 0
        # Kept as objects: what nothing refers to the session forgets and has to load again.
        self.holders: dict[str, Holder] = {}
        self.users: dict[str, User] = {}
        self.posted: set[tuple[str, int]] = set()

    def play(self) -> District:
        last_autumn = date(self.year - 1, 9, 1)
        self.on(last_autumn)
        self.do(self.make_district)
        self.do(self.load_lists)
        self.do(self.invite_everybody)
        self.do(self.measure_roads)
        self.do(lambda: self.enrol(self.year - 1))
        for school in people.SCHOOLS:
            self.do(lambda school=school: self.count_shelf(school))  # type: ignore[misc]
        for code in LISTS:
            self.do(lambda code=code: self.approve_list(code, self.year - 1))  # type: ignore[misc]
        self.fill_the_fund()
        self.lend_last_year(last_autumn)

        self.ago(40)
        self.do(lambda: self.enrol(self.year))
        self.do(self.set_the_scene)
        self.do(self.write_off)
        for code in LISTS:
            self.do(lambda code=code: self.approve_list(code, self.year))  # type: ignore[misc]
        self.ago(24)
        self.post_what_provision_says()
        self.ago(21)
        self.publish_a_plan()
        self.walk_the_plan()
        self.draw_from_the_fund()
        self.ago(5)
        self.post_what_provision_says()
        self.ago(4)
        self.do(self.post_the_stories)
        self.do(self.open_counting)
        self.ago(2)
        for code, share in COUNTED.items():
            self.do(lambda code=code, share=share: self.count_again(code, share))  # type: ignore[misc]
        self.clock.set(self.now)
        return db.session.get_one(District, self.district_id)

    # --- time and people ---

    def do(self, work: Callable[[], T]) -> T:
        return in_unit(work)

    def on(self, day: date, hour: int = 10) -> None:
        self.clock.set(datetime(day.year, day.month, day.day, hour, tzinfo=self.zone))

    def ago(self, days: float) -> None:
        self.clock.set(self.now - timedelta(days=days))

    def holder(self, code: str) -> Holder:
        return self.holders[code]

    @property
    def methodist(self) -> User:
        return self.users[people.METHODIST[0]]

    def librarian_of(self, holder: Holder) -> User:
        return self.speaker(holder, "")

    def director_of(self, holder: Holder) -> User:
        return self.speaker(holder, "-dir")

    def speaker(self, holder: Holder, suffix: str) -> User:
        """Return who acts at a holder: for the fund that is the methodist."""
        if holder.kind is HolderKind.FUND:
            return self.methodist
        code = next(code for code, known in self.holders.items() if known is holder)
        return self.users[code.lower() + suffix]

    # --- the district ---

    def make_district(self) -> None:
        made = schools.make_district(
            name=people.NAME,
            office=people.OFFICE,
            region=people.REGION,
            timezone=people.TIMEZONE,
            is_demo=True,
        )
        self.district_id = made.id
        self.add_user(*people.METHODIST, Role.METHODIST)
        self.add_user(*people.ADMINISTRATOR, Role.ADMINISTRATOR)
        self.add_user(*people.ACCOUNTANT, Role.ACCOUNTANT)
        for school in people.SCHOOLS:
            holder = schools.save_school(
                None,
                name=school.name,
                short_name=school.short_name,
                settlement=school.settlement,
                inn="",
                kpp="",
                km_to_centre=school.km,
                by=self.methodist,
                clock=self.clock,
            )
            self.holders[school.code] = holder
        self.holders["ORF"] = db.session.scalars(
            sa.select(Holder).where(Holder.district_id == made.id, Holder.kind == HolderKind.FUND)
        ).one()
        self.holders["ORF-PRI"] = schools.save_storage_place(
            None,
            name="Районный обменно-резервный фонд, хранение в Приморской СОШ",
            short_name="ОРФ, Приморск",
            located_at=self.holder("PRI"),
            by=self.methodist,
            clock=self.clock,
        )

    def add_user(self, login: str, name: str, role: Role, school: str | None = None) -> None:
        self.users[login] = schools.make_user(
            district_id=self.district_id,
            login=login,
            full_name=name,
            password_hash=self.password_hash,
            role=role,
            clock=self.clock,
            school_id=self.holders[school].id if school else None,
            email=f"{login}@demo.example",
        )

    def invite_everybody(self) -> None:
        for school in people.SCHOOLS:
            self.add_user(school.code.lower(), school.librarian, Role.LIBRARIAN, school.code)
            self.add_user(f"{school.code.lower()}-dir", school.director, Role.DIRECTOR, school.code)
        for login, name, school_code in people.DEPUTIES:
            self.add_user(login, name, Role.DEPUTY, school_code)
        schools.add_role(
            self.users[people.HEAD_OF_ASSOCIATION.lower()].id,
            role=Role.HEAD,
            school=None,
            by=self.methodist,
            clock=self.clock,
        )

    def measure_roads(self) -> None:
        for first, second, km in people.ROADS:
            schools.set_road(self.holder(first), self.holder(second), km, by=self.methodist, clock=self.clock)

    def load_lists(self) -> None:
        catalog.load_demo_lists(by=self.methodist, clock=self.clock)

    def enrol(self, year: int) -> None:
        for school in people.SCHOOLS:
            holder = self.holder(school.code)
            even = school.pupils / school.grades
            classes.set_groups(
                school=holder,
                school_year=year,
                groups=[
                    group
                    for grade in range(1, school.grades + 1)
                    for group in _divided(
                        grade,
                        max(1, round(even * self.random.uniform(0.85, 1.15))),
                        # The younger grades are divided first.
                        school.groups // school.grades + (grade <= school.groups % school.grades),
                    )
                ],
                by=self.librarian_of(holder),
                clock=self.clock,
            )

    # --- lists of textbooks ---

    def approve_list(self, code: str, year: int) -> None:
        """Take every proposal into the school's list of the year, and bring it as far as it has come."""
        school = self.holder(code)
        by = self.librarian_of(school)
        approved.accept_proposals(school=school, school_year=year, keys=None, by=by, clock=self.clock)
        made = approved.list_of(school, SchoolYear(year))
        assert made is not None
        state = LISTS[code] if year == self.year else ListState.APPROVED
        deputy = self.users.get(f"{code.lower()}-zavuch")
        if state is not ListState.DRAFT and deputy is not None:
            approved.check(made.id, by=deputy, clock=self.clock)
        if state is ListState.APPROVED:
            approved.approve(made.id, by=self.director_of(school), clock=self.clock)

    # --- shelves ---

    @cached_property
    def titles(self) -> list[_Title]:
        """The main textbook of each subject and grade: the first allowed one of the newest order."""
        rows = db.session.execute(
            sa.select(Textbook.id, Textbook.subject, Textbook.grade_from, Textbook.grade_to, Textbook.parts)
            .join(ListEntry, ListEntry.textbook_id == Textbook.id)
            .join(FederalList, FederalList.id == ListEntry.list_id)
            .where(
                FederalList.in_force_until.is_(None),
                ListEntry.appendix == 1,
                ListEntry.excluded_on.is_(None),
                Textbook.subject.in_(SUBJECTS),
                Textbook.special_needs.is_(False),
                Textbook.grade_from.is_not(None),
                Textbook.level.not_like("углубл%"),
            )
            .order_by(ListEntry.id)
        ).all()
        chosen: dict[tuple[str, int], _Title] = {}
        for row in rows:
            grades = tuple(range(row.grade_from, row.grade_to + 1))
            if (row.subject, grades[0]) not in chosen:
                chosen[row.subject, grades[0]] = _Title(row.id, row.parts, grades)
        return list(chosen.values())

    def book(self, subject: str, grade: int, author: str) -> int:
        """Return the id of the demo's textbook of this subject and first grade whose authors begin so."""
        return db.session.scalars(
            sa.select(Textbook.id)
            .where(
                Textbook.subject == subject,
                Textbook.grade_from == grade,
                Textbook.authors.startswith(author),
            )
            .order_by(Textbook.id)
            .limit(1)
        ).one()

    def pupils(self, code: str, grades: Iterable[int], year: int | None = None) -> int:
        return (
            db.session.scalar(
                sa.select(sa.func.sum(ClassGroup.pupils)).where(
                    ClassGroup.school_id == self.holders[code].id,
                    ClassGroup.school_year == (year or self.year),
                    ClassGroup.grade.in_(list(grades)),
                )
            )
            or 0
        )

    def put(
        self,
        code: str,
        textbook_id: int,
        copies: Mapping[int, int],
        year: int,
        reason: str = "Первый пересчёт",
    ) -> None:
        """Count copies of each part on a shelf."""
        holder = self.holder(code)
        for part, number in copies.items():
            stock.count(
                holder=holder,
                edition=catalog.edition_for(textbook_id, year, part),
                copies=number,
                reason=reason,
                by=self.librarian_of(holder),
                clock=self.clock,
            )

    def count_shelf(self, school: people.School) -> None:
        for title in self.titles:
            grades = [grade for grade in title.grades if grade <= school.grades]
            if not grades:
                continue
            pupils = self.pupils(school.code, grades, self.year - 1)
            wealth = self.random.gauss(WEALTH.get(school.code, 1.0), 0.22)
            sets = max(0, round(pupils * wealth))
            lost = self.random.choice((0, 0, 0, 0, 0, 1, 2))
            copies = {part: max(0, sets - (lost if part == 2 else 0)) for part in range(1, title.parts + 1)}
            if sets:
                self.put(school.code, title.textbook_id, copies, self.random.choice(YEARS))

    def recount(self, code: str, textbook_id: int, sets: int) -> None:
        """Bring every part of the school's only edition of a book to ``sets`` copies."""
        editions = db.session.scalars(
            sa.select(Edition)
            .join(Balance, Balance.edition_id == Edition.id)
            .where(Balance.holder_id == self.holders[code].id, Edition.textbook_id == textbook_id)
        ).all()
        year = editions[0].year if editions else YEARS[-1]
        parts = db.session.get_one(Textbook, textbook_id).parts
        self.put(code, textbook_id, dict.fromkeys(range(1, parts + 1), sets), year, reason="Пересчёт")

    def write_off(self) -> None:
        """The second town school writes off worn books by an act."""
        holder = self.holder("BAL2")
        row = db.session.execute(
            sa.select(Balance.edition_id)
            .where(Balance.holder_id == holder.id, Balance.owner_id == holder.id, Balance.copies >= 20)
            .order_by(Balance.id)
            .limit(1)
        ).one()
        stock.write_off(
            holder=holder,
            edition=db.session.get_one(Edition, row.edition_id),
            owner=holder,
            copies=7,
            reason=WriteOffReason.WORN,
            document=f"Акт № 3 от 10.09.{self.year}",
            by=self.librarian_of(holder),
            clock=self.clock,
        )

    # --- counting ---

    def open_counting(self) -> None:
        self.campaign_id = counting.open_campaign(
            title=f"Проверка фонда {SchoolYear(self.year).label}",
            starts_on=self.today - timedelta(days=4),
            ends_on=self.today + timedelta(days=10),
            by=self.methodist,
            clock=self.clock,
        ).id

    def count_again(self, code: str, share: float) -> None:
        """Count a share of a shelf: nearly everything is there; who is through confirms."""
        holder = self.holder(code)
        by = self.librarian_of(holder)
        sheet = counting.begin(self.campaign_id, holder=holder, by=by, clock=self.clock)
        rows = counting.lines(sheet)
        for number, row in enumerate(rows[: ceil(len(rows) * share)]):
            line = row.line
            booked = line.own + line.borrowed
            lost = 1 if number % 25 == 7 and line.own > 1 else 0
            counted = Tap(counted=booked - lost, taps=0, booked=booked)
            counting.tap(sheet.id, row.edition_id, counted, by=by, clock=self.clock)
        if share == 1 and code == "CHE":
            counting.decide_all(sheet.id, Decision.LOST, by=by, clock=self.clock)
            counting.confirm(sheet.id, seen=None, by=by, clock=self.clock)

    # --- the fund ---

    def fill_the_fund(self) -> None:
        bought = (
            (*SPECIAL, 1),
            ("Математика", 5, "Виленкин", 25),
            ("Физика", 7, "Перышкин И.М.", 12),
            ("Химия", 8, "Габриелян", 10),
            ("Биология", 5, "Пасечник", 15),
            ("Литературное чтение", 2, "Климанова Л.Ф., Горецкий", 8),
        )

        def buy() -> None:
            for subject, grade, author, sets in bought:
                textbook_id = self.book(subject, grade, author)
                reserve.acquire(
                    place=self.holder("ORF"),
                    textbook_id=textbook_id,
                    year=2023,
                    copies_by_part=dict.fromkeys(self.parts(textbook_id), sets),
                    origin=Origin.BUDGET,
                    document=f"Накладная № 118 от 28.08.{self.year - 1}",
                    by=self.methodist,
                    clock=self.clock,
                )
            reserve.set_floor(
                self.book("Математика", 5, "Виленкин"),
                5,
                by=self.methodist,
                clock=self.clock,
            )

        self.do(buy)
        # The first town school gives for good; the second keeps its books on its own balance.
        geography = self.book("География", 5, "Алексеев")
        self.do(lambda: self.put("BAL1", geography, {1: 70}, 2020, reason="Пересчёт"))
        self.do(lambda: self.put("BAL2", geography, {1: 55}, 2021, reason="Пересчёт"))
        given = self.ask("BAL1", "ORF", Kind.PERMANENT, geography, 2020, {1: 12}, Party.METHODIST)
        self.finish(given)
        stored = self.ask(
            "BAL2",
            "ORF-PRI",
            Kind.LOAN,
            geography,
            2021,
            {1: 8},
            Party.METHODIST,
            due_back=date(self.year + 2, 6, 20),
        )
        self.finish(stored)

    def draw_from_the_fund(self) -> None:
        """The fund lends physics to a village; chemistry for another is packed and waits to be fetched."""
        physics, chemistry = self.book("Физика", 7, "Перышкин И.М."), self.book("Химия", 8, "Габриелян")
        for days, textbook_id, taker, kind, copies, until in (
            (16, physics, "ELO", Kind.LOAN, 5, State.LENT),
            (6, chemistry, "OGU", Kind.PERMANENT, 3, State.PACKED),
        ):
            self.ago(days)
            self.walk(self.draw(textbook_id, taker, kind, copies), until)

    def draw(self, textbook_id: int, taker: str, kind: Kind, copies: int) -> int:
        def work() -> int:
            balance_id = db.session.scalars(
                sa.select(Balance.id)
                .join(Edition, Edition.id == Balance.edition_id)
                .where(
                    Balance.holder_id == self.holders["ORF"].id,
                    Balance.owner_id == self.holders["ORF"].id,
                    Edition.textbook_id == textbook_id,
                )
            ).one()
            return reserve.give(
                place=self.holder("ORF"),
                taker=self.holder(taker),
                kind=kind,
                copies={balance_id: copies},
                due_back=date(self.year + 1, 6, 20) if kind is Kind.LOAN else None,
                by=self.methodist,
                clock=self.clock,
            ).id

        return self.do(work)

    def ask(
        self,
        giver: str,
        taker: str,
        kind: Kind,
        textbook_id: int,
        year: int,
        copies: Mapping[int, int],
        party: Party,
        due_back: date | None = None,
    ) -> int:
        def work() -> int:
            lines = [
                transfers.NewLine(
                    edition_id=catalog.edition_for(textbook_id, year, part).id,
                    owner_id=self.holders[giver].id,
                    copies=number,
                )
                for part, number in copies.items()
            ]
            return transfers.propose(
                giver=self.holder(giver),
                taker=self.holder(taker),
                kind=kind,
                lines=lines,
                proposed_by=party,
                by=self.methodist,
                clock=self.clock,
                due_back=due_back,
            ).id

        return self.do(work)

    # --- transfers ---

    def walk(self, transfer_id: int, until: State) -> None:
        """Take the main steps, each by the person whose it is, until the transfer stands at ``until``."""
        while True:
            transfer = db.session.get_one(Transfer, transfer_id)
            if transfer.state is until or transfer.state not in _NEXT:
                return
            self.clock.advance(hours=5)
            step = _NEXT[transfer.state]
            self.do(lambda step=step: step(self, db.session.get_one(Transfer, transfer_id)))  # type: ignore[misc]

    def finish(self, transfer_id: int) -> None:
        self.walk(transfer_id, State.SETTLED)

    def lend_last_year(self, last_autumn: date) -> None:
        """One loan came back in June, one should have."""
        physics = self.book("Физика", 7, "Перышкин И.М.")
        overdue = date(self.year, 6, 20)
        self.on(last_autumn + timedelta(days=20))
        self.do(lambda: self.put("BAL2", physics, {1: 60}, 2021, reason="Пересчёт"))
        out = [
            self.ask("BAL2", taker, Kind.LOAN, physics, 2021, {1: copies}, Party.METHODIST, due_back=overdue)
            for taker, copies in (("KRA", 6), ("GRU", 5))
        ]
        for transfer_id in out:
            self.walk(transfer_id, State.LENT)
        self.on(min(overdue, self.today) - timedelta(days=2))

        def come_back() -> None:
            transfer = db.session.get_one(Transfer, out[1])
            transfers.hand_back(
                transfer.id,
                {line.id: line.good for line in transfer.lines},
                by=self.librarian_of(transfer.giver),
                clock=self.clock,
            )

        self.do(come_back)

    def post_what_provision_says(self) -> None:
        for school in people.SCHOOLS:
            self.do(lambda school=school: self.post_for(school))  # type: ignore[misc]

    def post_for(self, school: people.School) -> None:
        """Post a school's largest surpluses and ask for its largest shortages, of books not posted before."""
        holder = self.holder(school.code)
        stories = set(self.story_books().values())
        surplus: list[tuple[int, int, _Title]] = []
        missing: list[tuple[int, _Title]] = []
        for title in self.titles:
            pupils = self.pupils(school.code, title.grades)
            if not pupils or title.textbook_id in stories or (school.code, title.textbook_id) in self.posted:
                continue
            shelf = self.sets_on_shelf(holder, title.textbook_id, title.parts)
            if shelf.sets - pupils - BUFFER >= 3:
                surplus.append((shelf.sets - pupils - BUFFER, shelf.year, title))
            elif pupils > shelf.sets:
                missing.append((pupils - shelf.sets, title))
        surplus.sort(key=lambda item: -item[0])
        missing.sort(key=lambda item: -item[0])
        for index, (copies, year, title) in enumerate(surplus[:OFFERS_AT_ONCE]):
            kind = OfferKind.LOAN if index % 4 == 3 else OfferKind.PERMANENT
            self.posted.add((school.code, title.textbook_id))
            self.offer(
                school.code,
                title.textbook_id,
                year,
                dict.fromkeys(self.parts(title.textbook_id), copies),
                kind,
            )
        for copies, title in missing[:REQUESTS_AT_ONCE]:
            self.posted.add((school.code, title.textbook_id))
            self.request(school.code, title.textbook_id, dict.fromkeys(self.parts(title.textbook_id), copies))

    def sets_on_shelf(self, holder: Holder, textbook_id: int, parts: int) -> _Shelf:
        """Return the year of which the school has the most complete sets of a book, and how many."""
        by_year: dict[int, dict[int, int]] = {}
        for year, part, copies in db.session.execute(
            sa.select(Edition.year, Edition.part, Balance.copies - Balance.promised)
            .join(Edition, Edition.id == Balance.edition_id)
            .where(
                Balance.holder_id == holder.id,
                Balance.owner_id == holder.id,
                Edition.textbook_id == textbook_id,
            )
        ):
            by_year.setdefault(year, {})[part] = copies
        return max(
            (_Shelf(sets_of(copies, parts).complete, year) for year, copies in by_year.items()),
            default=_Shelf(0, 0),
        )

    def parts(self, textbook_id: int) -> range:
        return range(1, db.session.get_one(Textbook, textbook_id).parts + 1)

    def offer(
        self,
        code: str,
        textbook_id: int,
        year: int,
        copies_by_part: Mapping[int, int],
        kind: OfferKind,
        note: str = "",
    ) -> None:
        holder = self.holder(code)
        for part, copies in copies_by_part.items():
            postings.post_offer(
                holder=holder,
                edition=catalog.edition_for(textbook_id, year, part),
                copies=copies,
                kind=kind,
                condition=Condition.GOOD,
                due_back=date(self.year + 1, 6, 20) if kind is OfferKind.LOAN else None,
                expires_on=self.clock.today(people.TIMEZONE) + timedelta(days=60),
                note=note,
                by=self.librarian_of(holder),
                clock=self.clock,
            )

    def request(
        self,
        code: str,
        textbook_id: int,
        copies_by_part: Mapping[int, int],
        reason: ShortageReason = ShortageReason.MORE_PUPILS,
        note: str = "",
    ) -> None:
        holder = self.holder(code)
        today = self.clock.today(people.TIMEZONE)
        postings.post_request(
            school=holder,
            textbook=db.session.get_one(Textbook, textbook_id),
            copies_by_part=copies_by_part,
            reason=reason,
            needed_by=today + timedelta(days=30),
            year_from=None,
            loan_acceptable=True,
            expires_on=today + timedelta(days=60),
            note=note,
            by=self.librarian_of(holder),
            clock=self.clock,
        )

    def publish_a_plan(self) -> None:
        run_id = self.do(lambda: matching.order(by=self.methodist, clock=self.clock).id)
        plan_id = matching.perform(db.session.get_one(Run, run_id), clock=self.clock)["plan_id"]
        self.clock.advance(hours=2)
        self.do(lambda: matching.publish(plan_id, seen=None, by=self.methodist, clock=self.clock))

    def walk_the_plan(self) -> None:
        """Bring the plan's transfers to where a season of a few weeks would have brought them."""
        ids = list(
            db.session.scalars(
                sa.select(Transfer.id)
                .where(Transfer.plan_id.in_(sa.select(PlanLine.plan_id)), Transfer.state != State.DECLINED)
                .order_by(Transfer.id)
            )
        )
        ends = (
            State.SETTLED,
            State.ACCEPTED,
            State.PROPOSED,
            State.SETTLED,
            State.AGREED,
            State.SHIPPED,
            State.PACKED,
            State.ACCEPTED,
            State.APPROVED,
        )
        disputed = False
        for index, transfer_id in enumerate(ids):
            self.ago(18 - 12 * index / max(1, len(ids)))
            end = ends[index % len(ends)]
            large = sum(line.asked for line in db.session.get_one(Transfer, transfer_id).lines) >= 5
            if large and not disputed:
                self.walk(transfer_id, State.SHIPPED)
                self.receive_short(transfer_id)
                disputed = True
            elif index == len(ends) + 2:
                self.decline(transfer_id)
            else:
                self.walk(transfer_id, end)

    def receive_short(self, transfer_id: int) -> None:
        """Two of the first line's copies are missing and one is damaged: a dispute."""

        def work() -> None:
            transfer = db.session.get_one(Transfer, transfer_id)
            largest = max(transfer.lines, key=lambda line: line.shipped)
            damaged = 1 if largest.shipped > 2 else 0
            missing = min(2, largest.shipped - damaged)
            arrivals = {line.id: Arrival(good=line.shipped) for line in transfer.lines}
            arrivals[largest.id] = Arrival(
                good=largest.shipped - damaged - missing, damaged=damaged, missing=missing
            )
            transfers.receive(transfer_id, arrivals, by=self.librarian_of(transfer.taker), clock=self.clock)

        self.clock.advance(hours=20)
        self.do(work)

    def decline(self, transfer_id: int) -> None:
        def work() -> None:
            transfer = db.session.get_one(Transfer, transfer_id)
            transfers.decline(
                transfer_id,
                reason=DeclineReason.NEEDED,
                remark="Открываем второй класс, учебники нужны самим",
                by=self.director_of(transfer.giver),
                clock=self.clock,
            )

        self.do(work)

    # --- what is open today ---

    def story_books(self) -> dict[str, int]:
        """Return the books that the stories are about; nothing else is posted of them."""
        return {
            "russian": self.book("Русский язык", 2, "Канакина"),
            "perspective": self.book("Литературное чтение", 3, "Климанова Л.Ф., Виноградская"),
            "maths": self.book("Математика", 3, "Моро"),
            "special": self.book(*SPECIAL),
            "geography": self.book("География", 5, "Алексеев"),
            "biology": self.book("Биология", 5, "Пасечник"),
        }

    def set_the_scene(self) -> None:
        """Put on the shelves what the stories are about."""
        books = self.story_books()
        self.recount("BAL1", books["russian"], self.pupils("BAL1", [2]) + 18)
        self.recount("CHE", books["russian"], max(0, self.pupils("CHE", [2]) - 3))
        self.put("KOZ", books["perspective"], {1: 14, 2: 14}, 2019)
        self.put("TYU", books["perspective"], {1: 4, 2: 4}, 2019)
        self.put("BAL2", books["maths"], {2: 6}, 2017, reason="Остались без первой части")
        self.put("PRI", books["geography"], {1: 26}, 2017)
        self.put("KOZ", books["biology"], {1: 24}, 2017)

    def post_the_stories(self) -> None:
        """Leave on the board what the next matching will find."""
        books = self.story_books()
        lend, give = OfferKind.LOAN, OfferKind.PERMANENT
        # Eighteen too many in the town, three missing in a village.
        sets = self.sets_on_shelf(self.holder("BAL1"), books["russian"], 2)
        self.offer("BAL1", books["russian"], sets.year, {1: 18, 2: 18}, give, "Стоят в пачках")
        self.request("CHE", books["russian"], {1: 3, 2: 3})
        # The last year of a line.
        self.offer("KOZ", books["perspective"], 2019, {1: 8, 2: 8}, lend, "Последний год этой линии")
        self.request("TYU", books["perspective"], {1: 5, 2: 5})
        # Only the second part is missing.
        self.offer("BAL2", books["maths"], 2017, {2: 5}, give, "Только вторая часть")
        self.request("ROV", books["maths"], {2: 4}, ShortageReason.LOST, "Не хватает только второй части")
        # Two schools compete for the fund's last set.
        for code in ("CHE", "KRA"):
            self.request(code, books["special"], dict.fromkeys(self.parts(books["special"]), 1))
        # Each side gives and gets.
        self.offer("PRI", books["geography"], 2017, {1: 5}, give)
        self.request("KOZ", books["geography"], {1: 4})
        self.offer("KOZ", books["biology"], 2017, {1: 5}, give)
        self.request("PRI", books["biology"], {1: 3})


_NEXT: Mapping[State, Callable[[_Season, Transfer], object]] = {
    State.PROPOSED: lambda season, transfer: transfers.agree(
        transfer.id, {}, by=season.director_of(transfer.giver), clock=season.clock
    ),
    State.AGREED: lambda season, transfer: transfers.accept(
        transfer.id, by=season.librarian_of(transfer.taker), clock=season.clock
    ),
    State.ACCEPTED: lambda season, transfer: transfers.approve(
        transfer.id, by=season.methodist, clock=season.clock
    ),
    State.APPROVED: lambda season, transfer: transfers.pack(
        transfer.id, by=season.librarian_of(transfer.giver), clock=season.clock
    ),
    State.PACKED: lambda season, transfer: transfers.ship(
        transfer.id, by=season.librarian_of(transfer.giver), clock=season.clock
    ),
    State.SHIPPED: lambda season, transfer: transfers.receive(
        transfer.id,
        {line.id: Arrival(good=line.shipped) for line in transfer.lines},
        by=season.librarian_of(transfer.taker),
        clock=season.clock,
    ),
}
"""The main step out of each state, taken by the person whose it is."""
