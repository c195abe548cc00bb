"""How pupils are provided with books, what follows for the postings, and what will be missing next year."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from exchange.errors import Stale
from exchange.stock.rules import NOTHING_KEPT, Attached, Reserve, need, sets_of, surplus

Key = TypeVar("Key")
Ordered = TypeVar("Ordered", int, tuple[int, str])


# --- provision ---


class Stage(StrEnum):
    """A level of school."""

    PRIMARY = "primary"
    BASIC = "basic"
    UPPER = "upper"


STAGE_NAMES = {Stage.PRIMARY: "1–4 классы", Stage.BASIC: "5–9 классы", Stage.UPPER: "10–11 классы"}


def stage_of(grade: int) -> Stage:
    """Return the level of school that a grade belongs to."""
    if grade <= 4:
        return Stage.PRIMARY
    return Stage.BASIC if grade <= 9 else Stage.UPPER


def coverage(rows: Iterable[tuple[int, int]]) -> float | None:
    """Return Σ min(usable, pupils) / Σ pupils over rows of (usable, pupils); ``None`` without pupils.

    Never an average of ratios: a school with many spare books would hide another's shortage.
    """
    served = total = 0
    for usable, pupils in rows:
        served += min(usable, pupils)
        total += pupils
    return served / total if total else None


def spread(copies: int, pupils: Mapping[Ordered, int]) -> dict[Ordered, int]:
    """Divide the copies of a book among the class groups it serves: the youngest first, the rest to the last.

    The parts add up to ``copies``, and what they serve adds up to min(copies, all pupils): no copy is counted
    for two grades.
    """
    result: dict[Ordered, int] = {}
    left = copies
    for place in sorted(pupils):
        result[place] = min(left, pupils[place])
        left -= result[place]
    if result:
        result[max(result)] += left
    return result


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies of one part of a textbook at one school.

    ``fit`` stand on its shelf fit for use, whoever owns them; of them ``staying`` are promised to nobody.
    ``own``: those of ``staying`` that are the school's own. ``asked``: those of ``own`` that somebody asked
    for, with no answer yet. ``coming``: on their way to the school, from the first proposal on. ``kept``: the
    school's own on the first day of the next school year, before wear.
    """

    fit: int = 0
    staying: int = 0
    own: int = 0
    asked: int = 0
    coming: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Holding:
    """A textbook at one school: its copies by part and who needs it.

    ``lasts``: it may be used to the end of the school year. ``attached``: class groups, ``None`` where it is
    not known who needs it. ``listed``: the school's approved list says so.
    """

    school_id: int
    textbook_id: int
    subject: str
    grade: int | None
    parts: int
    special_needs: bool
    lasts: bool
    copies: Mapping[int, Copies]
    attached: tuple[Attached, ...] | None
    keeping: Reserve = NOTHING_KEPT
    listed: bool = False

    @property
    def pupils(self) -> int:
        """Pupils who need the book; none where that is not known."""
        return sum(each.pupils for each in self.attached or ())

    @property
    def reserve(self) -> int:
        """Copies wanted beyond the pupils."""
        return self.keeping.reserve(self.pupils)

    @property
    def buffer(self) -> int:
        """Copies beyond the pupils that are not given away."""
        return self.keeping.buffer(self.pupils)

    def by_part(self, count: Callable[[Copies], int]) -> dict[int, int]:
        """Return ``count`` of each part."""
        nothing = Copies()
        return {part: count(self.copies.get(part, nothing)) for part in range(1, self.parts + 1)}

    @property
    def usable(self) -> int:
        """Complete sets fit for use and promised to nobody; none when the book may not be used all year."""
        return sets_of(self.by_part(lambda each: each.staying), self.parts).complete if self.lasts else 0

    @property
    def need(self) -> int:
        """Sets that are lacking: max(0, pupils + reserve − usable)."""
        return need(self.usable, self.pupils, self.reserve)


@dataclass(frozen=True, slots=True)
class Provided:
    """One textbook at one school for the pupils of one class group.

    ``usable``: complete sets fit for use and promised to nobody, of a book that may be used to the end of the
    school year. ``fit``: complete sets fit for use, whatever the federal list says: the copies of K.
    ``reserve``, ``buffer`` and ``unpaired`` (copies beyond whole sets) belong to the book as a whole and
    stand with its last class group, so that every sum counts them once.
    """

    school_id: int
    textbook_id: int
    subject: str
    grade: int
    pupils: int
    usable: int
    fit: int
    letter: str = ""
    reserve: int = 0
    buffer: int = 0
    unpaired: int = 0

    @property
    def served(self) -> int:
        """Pupils who have the book."""
        return min(self.usable, self.pupils)

    @property
    def missing(self) -> int:
        """Pupils without the book."""
        return need(self.usable, self.pupils)

    @property
    def need(self) -> int:
        """Sets that are lacking, the school's reserve included."""
        return need(self.usable, self.pupils, self.reserve)

    @property
    def surplus(self) -> int:
        """Sets to spare beyond the school's buffer."""
        return surplus(self.usable, self.pupils, self.buffer)


def provided(holding: Holding) -> Iterable[Provided]:
    """Yield a row for each class group that needs the book; one without pupils for a book nobody needs.

    Nothing where it is not known who needs it.
    """
    if holding.attached is None:
        return
    stock = sets_of(holding.by_part(lambda each: each.fit), holding.parts)
    pupils = {(each.grade, each.letter): each.pupils for each in holding.attached}
    if not pupils:
        if not holding.usable and not stock.unpaired:
            return
        pupils = {(holding.grade or 0, ""): 0}
    usable, fit = spread(holding.usable, pupils), spread(stock.complete, pupils)
    last = max(pupils)
    for place in sorted(pupils):
        whole = place == last
        yield Provided(
            school_id=holding.school_id,
            textbook_id=holding.textbook_id,
            subject=holding.subject,
            grade=place[0],
            letter=place[1],
            pupils=pupils[place],
            usable=usable[place],
            fit=fit[place],
            reserve=holding.reserve if whole else 0,
            buffer=holding.buffer if whole else 0,
            unpaired=stock.unpaired if whole else 0,
        )


@dataclass(frozen=True, slots=True)
class Provision:
    """How well some rows are provided: sums, and ratios of the sums.

    ``pupils`` and ``served`` count a pupil once for every book, ``missing``, ``need`` and ``surplus`` count
    sets, ``unpaired`` copies. ``fit`` leaves out the books that no pupil needs.
    """

    books: int = 0
    pupils: int = 0
    served: int = 0
    missing: int = 0
    need: int = 0
    surplus: int = 0
    unpaired: int = 0
    fit: int = 0

    @property
    def coverage(self) -> float | None:
        """Σ min(usable, pupils) / Σ pupils, 0 to 1; ``None`` without pupils."""
        return self.served / self.pupils if self.pupils else None

    @property
    def uncapped(self) -> float | None:
        """The «К» people know: (in stock − to be written off) / pupils; may exceed 1 and hide a shortage."""
        return self.fit / self.pupils if self.pupils else None


def provision_of(rows: Iterable[Provided]) -> Provision:
    """Add rows up. Never an average of ratios: one school's spare books would hide another's shortage."""
    books: set[int] = set()
    pupils = served = missing = lacking = spare = unpaired = copies = 0
    for row in rows:
        needed, usable = row.pupils, row.usable
        pupils += needed
        served += min(usable, needed)
        missing += need(usable, needed)
        lacking += need(usable, needed, row.reserve)
        spare += surplus(usable, needed, row.buffer)
        unpaired += row.unpaired
        if needed:
            books.add(row.textbook_id)
            copies += row.fit
    return Provision(len(books), pupils, served, missing, lacking, spare, unpaired, copies)


def provision_by(rows: Iterable[Provided], key: Callable[[Provided], Key]) -> dict[Key, Provision]:
    """Return the sums of the rows by ``key``, in the order in which the keys first appear."""
    groups: dict[Key, list[Provided]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return {group: provision_of(there) for group, there in groups.items()}


SMALL_COUNT = 3
"""Counts of special-needs pupils below this are shown to the school and the methodist only."""


def tells_of_a_child(holding: Holding) -> bool:
    """Say whether the numbers of a special-needs book may identify a child: one or two pupils."""
    counts = [each.pupils for each in holding.attached or ()] + [holding.need]
    return holding.special_needs and any(0 < count < SMALL_COUNT for count in counts)


def shortage_tells_of_a_child(short: Shortage, *, special_needs: bool) -> bool:
    """Say whether what will be missing of a special-needs book, or why, may identify a child."""
    counts = (short.missing, *short.reasons.values())
    return special_needs and any(0 < abs(count) < SMALL_COUNT for count in counts)


class Show(StrEnum):
    """Which books of a provision are wanted."""

    ALL = ""
    NEED = "need"
    SURPLUS = "surplus"
    UNPAIRED = "unpaired"


SHOW_NAMES = {
    Show.ALL: "все",
    Show.NEED: "не хватает",
    Show.SURPLUS: "есть лишние",
    Show.UNPAIRED: "непарные",
}


@dataclass(frozen=True)
class Filter:
    """What is wanted of a provision; ``None`` and empty values admit everything."""

    grade: int | None = None
    letter: str | None = None
    subject: str = ""
    stage: Stage | None = None
    textbook_id: int | None = None
    show: Show = Show.ALL

    @property
    def narrows(self) -> bool:
        """Say whether anything is left out."""
        return self != Filter()

    def admits(self, row: Provided) -> bool:
        """Say whether a row is wanted."""
        return (
            self.grade in (None, row.grade)
            and self.letter in (None, row.letter)
            and self.subject in ("", row.subject)
            and (self.stage is None or stage_of(row.grade) is self.stage)
            and self.textbook_id in (None, row.textbook_id)
        )

    def shows(self, sums: Provision) -> bool:
        """Say whether a book of these sums is wanted."""
        wanted: Mapping[Show, int] = {
            Show.ALL: 1, Show.NEED: sums.need, Show.SURPLUS: sums.surplus, Show.UNPAIRED: sums.unpaired,
        }  # fmt: skip
        return bool(wanted[self.show])


# --- postings that follow ---

CHANGED = "Пока страница была открыта, числа изменились. Обновите её и посмотрите ещё раз."


class Advice(StrEnum):
    """What a school is advised to do with its postings of a textbook."""

    ASK = "ask"
    ASK_MORE = "ask_more"
    ASK_LESS = "ask_less"
    ASK_NO_MORE = "ask_no_more"
    GIVE = "give"
    GIVE_LESS = "give_less"
    GIVE_NO_MORE = "give_no_more"


ASKING = (Advice.ASK, Advice.ASK_MORE, Advice.ASK_LESS, Advice.ASK_NO_MORE)
"""Advice about the request; the rest is about the offers."""


@dataclass(frozen=True)
class Proposal:
    """One piece of advice about a textbook.

    ``by_part``: copies to ask for or to give, part by part; for a posting that is to be changed, what is
    still to be open of it afterwards. ``posted``: what is open of it now. ``holding`` explains it.
    """

    advice: Advice
    holding: Holding
    by_part: Mapping[int, int]
    posted: Mapping[int, int] = field(default_factory=dict)

    @property
    def textbook_id(self) -> int:
        """The textbook it is about."""
        return self.holding.textbook_id

    @property
    def key(self) -> str:
        """What a form sends to say «this one, with these numbers»."""
        numbers = ".".join(f"{part}x{copies}" for part, copies in sorted(self.by_part.items()))
        return f"{self.advice.value}-{self.textbook_id}-{numbers}"

    @property
    def numbers(self) -> str:
        """Everything the advice follows from: when it changes, «not now» no longer holds."""
        there = self.holding
        copies = ";".join(
            f"{part}:{each.staying},{each.own},{each.asked},{each.coming}"
            for part, each in sorted(there.copies.items())
        )
        return f"{there.pupils},{there.reserve},{there.buffer};{copies}"


def wanted(holding: Holding) -> dict[int, int]:
    """Return how many copies of each part a school should be asking for: what is coming is not asked for."""
    return holding.by_part(
        lambda each: need(each.staying + each.coming if holding.lasts else 0, holding.pupils, holding.reserve)
    )


def spare(holding: Holding) -> dict[int, int]:
    """Return how many copies of each part a school could have on offer: its own, beyond its buffer.

    Copies that others have asked for, with no answer yet, are as good as gone.
    """
    if not holding.lasts:
        return holding.by_part(lambda each: 0)
    return holding.by_part(
        lambda each: min(
            surplus(each.staying - each.asked, holding.pupils, holding.buffer), max(0, each.own - each.asked)
        )
    )


def proposals(
    holding: Holding, *, may_be_taught: bool, requested: Mapping[int, int] | None, offered: Mapping[int, int]
) -> list[Proposal]:
    """Return what a school is advised to do with its postings of one textbook.

    ``requested``: what is still open of its request, by part; ``None``: it has none. ``offered``: what of its
    offers can still be asked for, by part. A book that may no longer be taught from, or not to the end of the
    year, is neither asked for nor given away. Nothing where it is not known who needs the book.
    """
    if holding.attached is None:
        return []
    found = []
    missing = (
        wanted(holding) if may_be_taught and holding.lasts else dict.fromkeys(range(1, holding.parts + 1), 0)
    )
    lacking = {part: copies for part, copies in missing.items() if copies}
    if requested is None:
        if lacking:
            found.append(Proposal(Advice.ASK, holding, lacking))
    elif any(requested.get(part, 0) != copies for part, copies in missing.items()):
        before = {part: copies for part, copies in requested.items() if copies}
        if not lacking:
            advice = Advice.ASK_NO_MORE
        elif sum(lacking.values()) > sum(before.values()):
            advice = Advice.ASK_MORE
        else:
            advice = Advice.ASK_LESS
        found.append(Proposal(advice, holding, lacking, before))
    could = spare(holding) if may_be_taught else dict.fromkeys(range(1, holding.parts + 1), 0)
    more = {
        part: copies - offered.get(part, 0) for part, copies in could.items() if copies > offered.get(part, 0)
    }
    if more:
        found.append(Proposal(Advice.GIVE, holding, more))
    too_many = {part: could[part] for part in could if could[part] < offered.get(part, 0)}
    if too_many:
        advice = Advice.GIVE_LESS if any(too_many.values()) else Advice.GIVE_NO_MORE
        found.append(Proposal(advice, holding, too_many, {part: offered[part] for part in too_many}))
    return found


def from_years(
    free: Mapping[int, Mapping[int, int]], by_part: Mapping[int, int]
) -> dict[tuple[int, int], int]:
    """Choose from which years of printing the copies to give are taken: (year, part) → copies.

    A class should get its set of one edition: the year of which most whole sets are free gives first.
    ``free`` is by year and part.
    """

    def most_sets_first(year: int) -> tuple[int, int, int]:
        there = free[year]
        return (
            -min(there.get(part, 0) for part in by_part),
            -sum(there.get(part, 0) for part in by_part),
            year,
        )

    chosen: dict[tuple[int, int], int] = {}
    left = dict(by_part)
    for year in sorted(free, key=most_sets_first):
        for part in sorted(left):
            taken = min(left[part], free[year].get(part, 0))
            if taken:
                chosen[year, part] = taken
                left[part] -= taken
    return chosen


def lower(offers: Sequence[tuple[int, int]], to: int) -> dict[int, int]:
    """Return what is to be left open of offers, (id, open copies), so that ``to`` copies are left in all.

    The first ones are lowered first; an offer that is not lowered is not in the answer.
    """
    result: dict[int, int] = {}
    too_many = max(0, sum(copies for _, copies in offers) - to)
    for number, copies in offers:
        if not too_many:
            break
        taken = min(copies, too_many)
        result[number] = copies - taken
        too_many -= taken
    return result


def check_same(wanted: Collection[str], present: Collection[str]) -> None:
    """Raise ``Stale`` when none of the proposals somebody saw is made any more."""
    if wanted and not set(wanted) & set(present):
        raise Stale(CHANGED)


def digest(proposals: Iterable[Proposal]) -> str:
    """Return a short text that changes when any of the proposals or their numbers do."""
    return hashlib.sha256("\n".join(sorted(each.key for each in proposals)).encode()).hexdigest()[:16]


def check_digest(seen: str, proposals: Iterable[Proposal]) -> None:
    """Raise ``Stale`` when the proposals are not those that somebody saw."""
    if seen != digest(proposals):
        raise Stale(CHANGED)


# --- next year ---


class Reason(StrEnum):
    """Why books will be missing next year, in the order in which they are told."""

    ALREADY = "already"
    CHOSEN = "chosen"
    PUPILS = "pupils"
    LOANS = "loans"
    EXPIRY = "expiry"
    WEAR = "wear"


REASON_NAMES = {
    Reason.ALREADY: "не хватает уже сейчас",
    Reason.CHOSEN: "новый в перечне или новый класс",
    Reason.PUPILS: "рост контингента",
    Reason.LOANS: "возврат взятых и отданных на время, передачи",
    Reason.EXPIRY: "истекает срок",
    Reason.WEAR: "износ",
}
LESS_NAMES = {Reason.PUPILS: "меньше учеников", Reason.LOANS: "вернутся отданные на время, придут переданные"}
"""Words for what makes a shortage smaller."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a school will lack of a textbook next year.

    ``usable``: complete sets there will be; ``missing`` = max(0, pupils + reserve − usable). The ``reasons``
    add up to it; one that makes it smaller is negative.
    """

    school_id: int
    textbook_id: int
    subject: str
    grade: int
    pupils: int
    usable: int
    missing: int
    reasons: Mapping[Reason, int]


def shortage(now: Holding | None, then: Holding) -> Shortage | None:
    """Return what will be missing next year, and why; ``None`` where it is not known who will need the book.

    ``now`` is ``None`` for a book that is not used this year. ``then`` has the pupils and the legality of
    next year; its copies are those of ``now``. From the present shortage one change after the other is made:
    the pupils, the copies that leave and come back, the book that may no longer be used, the wear.
    """
    if then.attached is None:
        return None
    pupils, reserve = then.pupils, then.reserve

    def sets(count: Callable[[Copies], int]) -> int:
        return sets_of(then.by_part(count), then.parts).complete

    lasted = now is None or now.lasts
    home = sets(lambda each: each.kept)
    worn = sets(lambda each: max(0, each.kept - then.keeping.wear(each.kept)))
    steps = [
        (Reason.ALREADY, now.need if now else 0),
        (
            Reason.PUPILS if now is not None and now.attached else Reason.CHOSEN,
            need(now.usable if now else 0, pupils, reserve),
        ),
        (Reason.LOANS, need(home if lasted else 0, pupils, reserve)),
        (Reason.EXPIRY, need(home if then.lasts else 0, pupils, reserve)),
        (Reason.WEAR, need(worn if then.lasts else 0, pupils, reserve)),
    ]
    reasons: dict[Reason, int] = {}
    before = 0
    for reason, missing in steps:
        if missing != before:
            reasons[reason] = missing - before
        before = missing
    grades = [each.grade for each in then.attached]
    return Shortage(
        school_id=then.school_id,
        textbook_id=then.textbook_id,
        subject=then.subject,
        grade=min(grades, default=then.grade or 0),
        pupils=pupils,
        usable=worn if then.lasts else 0,
        missing=before,
        reasons=reasons,
    )
