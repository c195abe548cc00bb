"""What the district fund can spare, how its report adds up, and when the books of a district agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from exchange.catalog.rules import SchoolYear
from exchange.errors import Invalid
from exchange.ledger.rules import MovementKind
from exchange.schools.rules import HolderKind

MOST_COPIES = 99_999
"""More copies than this at once are a slip of the finger."""


class Origin(StrEnum):
    """Where the fund's books come from when they do not come from a school: a closed list."""

    BUDGET = "budget"
    REGION = "region"
    GIFT = "gift"
    CLOSED = "closed"
    OTHER = "other"


ORIGIN_NAMES: Mapping[Origin, str] = {
    Origin.BUDGET: "закупка за счёт бюджета",
    Origin.REGION: "из краевого фонда",
    Origin.GIFT: "дар",
    Origin.CLOSED: "из закрытой школы",
    Origin.OTHER: "иное",
}


# --- what the fund holds ---


@dataclass(frozen=True)
class Account:
    """Copies of one edition that stand at one storage place of the fund and belong to one owner."""

    balance_id: int
    textbook_id: int
    edition_id: int
    year: int
    part: int
    owner_id: int
    owner: str
    place_id: int
    place: str
    copies: int
    promised: int

    @property
    def free(self) -> int:
        """Copies that nobody has been promised."""
        return self.copies - self.promised


@dataclass(frozen=True)
class Loan:
    """Copies of one edition that the fund has lent and that have not come back."""

    transfer_id: int
    textbook_id: int
    year: int
    part: int
    taker_id: int
    taker: str
    due_back: date | None
    copies: int
    overdue: bool


@dataclass(frozen=True)
class Spare:
    """Copies of one edition at one storage place that a school may ask for."""

    place_id: int
    place: str
    edition_id: int
    year: int
    part: int
    copies: int


@dataclass(frozen=True)
class Holding:
    """One textbook in the fund: where it stands, whose it is, who has it on loan, what must stay.

    ``floor`` is in copies of each part; 0 where none is set.
    """

    accounts: Sequence[Account] = ()
    loans: Sequence[Loan] = ()
    floor: int = 0

    @property
    def copies(self) -> int:
        """Copies that stand in the fund."""
        return sum(account.copies for account in self.accounts)

    @property
    def promised(self) -> int:
        """Copies of these that agreed transfers will take."""
        return sum(account.promised for account in self.accounts)

    @property
    def lent(self) -> int:
        """Copies that schools have on loan from the fund."""
        return sum(loan.copies for loan in self.loans)

    @property
    def debts(self) -> Sequence[Loan]:
        """The loans with the years and parts of one transfer added up."""
        transfers: dict[int, list[Loan]] = {}
        for loan in self.loans:
            transfers.setdefault(loan.transfer_id, []).append(loan)
        return [replace(loans[0], copies=sum(loan.copies for loan in loans)) for loans in transfers.values()]

    @property
    def overdue(self) -> int:
        """Copies on loan whose day of return has passed."""
        return sum(loan.copies for loan in self.loans if loan.overdue)

    @property
    def unpromised(self) -> Mapping[int, int]:
        """Copies of each part that nobody has been promised."""
        parts: defaultdict[int, int] = defaultdict(int)
        for account in self.accounts:
            parts[account.part] += account.free
        return dict(sorted(parts.items()))

    @property
    def free_by_part(self) -> Mapping[int, int]:
        """Copies of each part that may be given without breaking the floor."""
        return {part: above_floor(copies, self.floor) for part, copies in self.unpromised.items()}

    @property
    def free(self) -> int:
        """Copies of all parts that may be given without breaking the floor."""
        return sum(self.free_by_part.values())

    @property
    def below_floor(self) -> bool:
        """True when of some part fewer copies are left than the fund wants to keep."""
        return self.floor > 0 and min(self.unpromised.values(), default=0) < self.floor

    @property
    def by_part(self) -> Mapping[int, int]:
        """Copies of each part that stand in the fund."""
        parts: defaultdict[int, int] = defaultdict(int)
        for account in self.accounts:
            parts[account.part] += account.copies
        return dict(sorted(parts.items()))

    @property
    def places(self) -> Mapping[str, int]:
        """Copies by storage place."""
        return _sums((account.place, account.copies) for account in self.accounts)

    @property
    def owners(self) -> Mapping[str, int]:
        """Copies by balance holder."""
        return _sums((account.owner, account.copies) for account in self.accounts)

    @property
    def spare(self) -> list[Spare]:
        """What a school may ask for, by place, year and part; of a part at most what is above the floor."""
        copies: defaultdict[tuple[str, int, int, int, int], int] = defaultdict(int)
        for account in self.accounts:
            key = (account.place, account.place_id, account.year, account.part, account.edition_id)
            copies[key] += account.free
        above = self.free_by_part
        return [
            Spare(place_id, place, edition_id, year, part, min(number, above[part]))
            for (place, place_id, year, part, edition_id), number in sorted(copies.items())
            if min(number, above[part]) > 0
        ]

    def stands(self, *, place_id: int | None, owner_id: int | None) -> bool:
        """Say whether copies stand at the place and belong to the owner; ``None`` means any."""
        if place_id is None and owner_id is None:
            return True
        return any(at(account, place_id=place_id, owner_id=owner_id) for account in self.accounts)


def at(account: Account, *, place_id: int | None, owner_id: int | None) -> bool:
    """Say whether the account is of this place and this owner; ``None`` means any."""
    return place_id in (None, account.place_id) and owner_id in (None, account.owner_id)


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    result: defaultdict[str, int] = defaultdict(int)
    for name, copies in pairs:
        result[name] += copies
    return dict(sorted(result.items()))


@dataclass(frozen=True)
class Figures:
    """The fund at a glance, in titles and copies."""

    titles: int
    copies: int
    promised: int
    lent: int
    overdue: int


def figures_of(holdings: Iterable[Holding]) -> Figures:
    """Add up the holdings of all titles."""
    known = list(holdings)
    return Figures(
        titles=sum(1 for holding in known if holding.copies),
        copies=sum(holding.copies for holding in known),
        promised=sum(holding.promised for holding in known),
        lent=sum(holding.lent for holding in known),
        overdue=sum(holding.overdue for holding in known),
    )


# --- the floor ---


def above_floor(unpromised: int, floor: int) -> int:
    """Return how many copies of a part may be given: what is not promised, less what must stay."""
    return max(0, unpromised - floor)


def breaks_floor(unpromised: int, taken: int, floor: int) -> bool:
    """Say whether taking ``taken`` of ``unpromised`` copies of a part leaves fewer than must stay."""
    return taken > above_floor(unpromised, floor)


def check_floor(
    unpromised: Mapping[int, int], taken: Mapping[int, int], floor: int, *, exception: str
) -> bool:
    """Say whether the floor is broken; raise ``Invalid`` when it is and nobody has signed an exception.

    ``unpromised`` and ``taken`` are copies by part.
    """
    for part, copies in sorted(taken.items()):
        there = unpromised.get(part, 0)
        if copies and breaks_floor(there, copies, floor):
            if not exception.strip():
                raise Invalid(
                    "Неснижаемый остаток – %(floor)s экз., а останется %(left)s. Уменьшите количество или "
                    "напишите, почему его можно нарушить.",
                    field="floor_exception",
                    floor=floor,
                    left=max(0, there - copies),
                )
            return True
    return False


def check_copies(copies: int | None) -> int:
    """Return the number, or raise ``Invalid`` for none or for more than anybody has."""
    if not copies or not 0 < copies <= MOST_COPIES:
        raise Invalid("Укажите, сколько экземпляров: хотя бы один.", field="copies")
    return copies


# --- the report of the fund ---


class Flow(StrEnum):
    """A column of the fund's report: why copies came to stand in the fund, or left it."""

    OUTSIDE = "outside"
    SCHOOLS = "schools"
    RETURNED = "returned"
    ISSUED = "issued"
    HANDED_BACK = "handed_back"
    WRITTEN_OFF = "written_off"
    COUNTED = "counted"


FLOW_NAMES: Mapping[Flow, str] = {
    Flow.OUTSIDE: "Поступило извне",
    Flow.SCHOOLS: "Поступило от школ",
    Flow.RETURNED: "Возвращено в фонд",
    Flow.ISSUED: "Выдано школам",
    Flow.HANDED_BACK: "Возвращено владельцам",
    Flow.WRITTEN_OFF: "Списано",
    Flow.COUNTED: "Пересчёт, ±",
}
OUTGOING = frozenset({Flow.ISSUED, Flow.HANDED_BACK, Flow.WRITTEN_OFF})
"""Columns printed as positive numbers although the copies leave."""


def flow_of(kind: MovementKind, copies: int, *, fund_gives: bool) -> Flow | None:
    """Return the column a line of the ledger at a storage place belongs to.

    ``copies`` is positive for what came and negative for what left; ``fund_gives`` says whether the fund is
    the giver of the movement's transfer. ``None``: it only moved inside the fund.
    """
    if kind is MovementKind.RELOCATION:
        return None
    if kind is MovementKind.COUNT:
        return Flow.COUNTED
    if copies > 0:
        if kind is MovementKind.ACQUISITION:
            return Flow.OUTSIDE
        return Flow.RETURNED if fund_gives else Flow.SCHOOLS
    if kind is MovementKind.SHIPMENT:
        return Flow.ISSUED
    if kind is MovementKind.RETURN:
        return Flow.HANDED_BACK
    return Flow.WRITTEN_OFF


@dataclass(frozen=True)
class Turnover:
    """A row of the report, in copies. ``flows`` are signed: what leaves is negative."""

    opening: int = 0
    flows: Mapping[Flow, int] = field(default_factory=dict)

    @property
    def closing(self) -> int:
        """Copies at the end of the period."""
        return self.opening + sum(self.flows.values())

    def shown(self, flow: Flow) -> int:
        """Return the number printed in a column."""
        copies = self.flows.get(flow, 0)
        return -copies if flow in OUTGOING else copies

    @property
    def rate(self) -> float | None:
        """Оборачиваемость: copies issued for each copy the fund had on average; ``None`` of an empty fund."""
        average = (self.opening + self.closing) / 2
        return self.shown(Flow.ISSUED) / average if average else None

    @property
    def empty(self) -> bool:
        """True when there was nothing and nothing happened."""
        return not self.opening and not any(self.flows.values())


def total_of(rows: Iterable[Turnover]) -> Turnover:
    """Add up the rows of the report."""
    opening = 0
    flows: defaultdict[Flow, int] = defaultdict(int)
    for row in rows:
        opening += row.opening
        for flow, copies in row.flows.items():
            flows[flow] += copies
    return Turnover(opening, dict(flows))


@dataclass(frozen=True)
class Share:
    """What a school has put into the fund and drawn from it in the period, in copies."""

    given: int = 0
    taken: int = 0
    handed_back: int = 0
    """Of what it had taken."""
    given_back: int = 0
    """Of what it had given for a time."""

    @property
    def balance(self) -> int:
        """Positive when the school has given the fund more than it has drawn."""
        return self.given - self.given_back - self.taken + self.handed_back


@dataclass(frozen=True)
class Entry:
    """Copies of one subject that came to or left the fund for one reason.

    ``before``: earlier than the period. ``school_id``: the other side of the transfer. ``source``: what was
    written as the reason.
    """

    subject: str
    kind: MovementKind
    copies: int
    before: bool
    fund_gives: bool
    school_id: int | None
    source: str


@dataclass(frozen=True)
class Report:
    """The fund's report for a period: by subject, in all, by source from outside, by school."""

    subjects: Mapping[str, Turnover]
    total: Turnover
    sources: Mapping[str, int]
    schools: Mapping[int, Share]


def report_of(entries: Iterable[Entry]) -> Report:
    """Add up the fund's report from what came and left."""
    opening: defaultdict[str, int] = defaultdict(int)
    flows: defaultdict[str, defaultdict[Flow, int]] = defaultdict(lambda: defaultdict(int))
    sources: defaultdict[str, int] = defaultdict(int)
    schools: defaultdict[int, defaultdict[Flow, int]] = defaultdict(lambda: defaultdict(int))
    for entry in entries:
        flow = flow_of(entry.kind, entry.copies, fund_gives=entry.fund_gives)
        opening[entry.subject] += entry.copies if entry.before else 0
        if flow is None or entry.before:
            continue
        flows[entry.subject][flow] += entry.copies
        if flow is Flow.OUTSIDE:
            sources[entry.source] += entry.copies
        if entry.school_id is not None:
            schools[entry.school_id][flow] += entry.copies
    subjects = {
        subject: Turnover(opening[subject], dict(flows[subject])) for subject in sorted({*opening, *flows})
    }
    return Report(
        subjects={subject: row for subject, row in subjects.items() if not row.empty},
        total=total_of(subjects.values()),
        sources=dict(sorted(sources.items())),
        schools={school_id: _share(by_flow) for school_id, by_flow in schools.items()},
    )


def _share(flows: Mapping[Flow, int]) -> Share:
    return Share(
        given=flows.get(Flow.SCHOOLS, 0),
        taken=-flows.get(Flow.ISSUED, 0),
        handed_back=flows.get(Flow.RETURNED, 0),
        given_back=-flows.get(Flow.HANDED_BACK, 0),
    )


@dataclass(frozen=True)
class Period:
    """Days from ``first`` to ``last``, both included."""

    first: date
    last: date

    def bounds(self, zone: str) -> tuple[datetime, datetime]:
        """Return the moment it begins and the moment after it ends, in the IANA time zone ``zone``."""
        midnight = time(tzinfo=ZoneInfo(zone))
        return (
            datetime.combine(self.first, midnight),
            datetime.combine(self.last + timedelta(days=1), midnight),
        )


def usual_period(today: date) -> Period:
    """Return the school year so far."""
    return Period(SchoolYear.of(today).first_day, today)


def check_period(first: date, last: date) -> Period:
    """Return the period, or raise ``Invalid`` when it ends before it begins."""
    if last < first:
        raise Invalid("Конец периода раньше его начала.", field="last")
    return Period(first, last)


def tells_owner(kind: HolderKind) -> bool:
    """Say whether it matters there whose the copies are: bought and written off are columns only."""
    return kind not in {HolderKind.SOURCE, HolderKind.WRITTEN_OFF}


# --- the books of the district ---


@dataclass(frozen=True)
class Books:
    """Copies by where they are, against what was registered. ``registered`` comes from the ledger alone."""

    registered: int
    schools: int = 0
    fund: int = 0
    transit: int = 0
    disputed: int = 0
    written_off: int = 0

    @property
    def found(self) -> int:
        """Copies in all the places together."""
        return self.schools + self.fund + self.transit + self.disputed + self.written_off

    @property
    def difference(self) -> int:
        """Copies registered but nowhere (positive), or somewhere but not registered; 0 when all is well."""
        return self.registered - self.found


def books_of(registered: int, copies: Mapping[HolderKind, int]) -> Books:
    """Put the copies of each kind of place into their columns."""
    return Books(
        registered=registered,
        schools=copies.get(HolderKind.SCHOOL, 0),
        fund=copies.get(HolderKind.FUND, 0),
        transit=copies.get(HolderKind.TRANSIT, 0),
        disputed=copies.get(HolderKind.DISPUTED, 0),
        written_off=copies.get(HolderKind.WRITTEN_OFF, 0),
    )
