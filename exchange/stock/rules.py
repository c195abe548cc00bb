"""Usable copies, complete sets, whose pupils need a book, need and surplus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import StrEnum

from exchange.approved.rules import Use, users_of
from exchange.catalog.rules import Legality, SchoolYear, Verdict
from exchange.classes.rules import Group
from exchange.errors import Invalid

MOST_COPIES = 99_999
"""More copies of one book than any school has."""


class Condition(StrEnum):
    """Condition of copies."""

    NEW = "new"
    GOOD = "good"
    FAIR = "fair"


def no_worse(condition: Condition, lowest: Condition) -> bool:
    """Say whether copies of a condition do where ``lowest`` is the worst that will do."""
    best_first = list(Condition)
    return best_first.index(condition) <= best_first.index(lowest)


CONDITION_NAMES = {Condition.NEW: "новые", Condition.GOOD: "хорошее", Condition.FAIR: "удовлетворительное"}


class CountReason(StrEnum):
    """Why copies are counted: a closed list."""

    STOCKTAKING = "stocktaking"
    HANDED_IN = "handed_in"
    FOUND = "found"
    CORRECTION = "correction"


COUNT_REASON_NAMES = {
    CountReason.STOCKTAKING: "проверка фонда",
    CountReason.HANDED_IN: "ученики сдали книги",
    CountReason.FOUND: "нашлись",
    CountReason.CORRECTION: "исправление ошибки",
}

FIRST_COUNT = "первый учёт на полке"
"""Reason of the movement that puts a book on the shelf without a document."""


@dataclass(frozen=True)
class Sets:
    """Complete sets of a textbook and the copies left without a pair."""

    complete: int
    unpaired: int


def sets_of(copies_by_part: Mapping[int, int], parts: int) -> Sets:
    """Return complete sets (the minimum over the parts) and the copies beyond them."""
    counts = [copies_by_part.get(part, 0) for part in range(1, parts + 1)]
    complete = min(counts)
    return Sets(complete, sum(count - complete for count in counts))


def fit(copies: int, worn: int) -> int:
    """Return the copies fit for use: never negative, as worn ones may have left with the others."""
    return max(0, copies - worn)


def lasts_through(verdict: Verdict, year: SchoolYear) -> bool:
    """Say whether a book may be used to the end of the school year."""
    if verdict.legality is Legality.LAST_YEAR:
        return verdict.until is None or verdict.until >= year.last_day
    return verdict.legality.usable


def need(usable: int, pupils: int, reserve: int = 0) -> int:
    """Return the missing copies: max(0, pupils + reserve − usable)."""
    return max(0, pupils + reserve - usable)


def surplus(usable: int, pupils: int, buffer: int = 0) -> int:
    """Return the copies to spare: max(0, usable − pupils − buffer)."""
    return max(0, usable - pupils - buffer)


MOST_PERCENT = 50
"""The most of its copies that a school keeps back or expects to wear out, in per cent."""


@dataclass(frozen=True)
class Reserve:
    """What a school wants beyond its pupils and loses in a year, in per cent; copies are rounded up.

    ``reserve_percent`` of the pupils are asked for beyond them, ``buffer_percent`` are not given away;
    ``wear_percent`` of the copies become unfit within a year.
    """

    reserve_percent: int = 0
    buffer_percent: int = 0
    wear_percent: int = 0

    def reserve(self, pupils: int) -> int:
        """Return the copies that are to be had beyond one for each pupil."""
        return _percent(pupils, self.reserve_percent)

    def buffer(self, pupils: int) -> int:
        """Return the copies beyond the pupils that are not given away: at least the reserve."""
        return _percent(pupils, max(self.reserve_percent, self.buffer_percent))

    def wear(self, copies: int) -> int:
        """Return the copies expected to become unfit within a year."""
        return _percent(copies, self.wear_percent)


NOTHING_KEPT = Reserve()


def _percent(number: int, percent: int) -> int:
    return -(-number * percent // 100)


def check_reserve(reserve: Reserve) -> None:
    """Raise ``Invalid`` for a share that cannot be."""
    for field, percent in (
        ("reserve", reserve.reserve_percent),
        ("buffer", reserve.buffer_percent),
        ("wear", reserve.wear_percent),
    ):
        if not 0 <= percent <= MOST_PERCENT:
            raise Invalid("От 0 до %(most)s процентов.", field=field, most=MOST_PERCENT)


@dataclass(frozen=True)
class Candidate:
    """A textbook a school holds, asks for or has chosen, as far as the question goes whose pupils need it.

    ``subject`` is its course (``approved.rules.course_of``): books of one course replace each other.
    ``lasts``: it may be used to the end of the school year.
    """

    textbook_id: int
    subject: str
    grade_from: int | None
    grade_to: int | None
    special_needs: bool
    lasts: bool

    @property
    def grades(self) -> Sequence[int]:
        """The grades it is written for; none for colleges, and none for special needs.

        How many pupils need a special-needs title is not known, and it is not the whole grade.
        """
        if self.grade_from is None or self.grade_to is None or self.special_needs:
            return ()
        return range(self.grade_from, self.grade_to + 1)


def grades_using(books: Iterable[Candidate]) -> dict[int, list[int]]:
    """Return, per textbook of one school, the grades whose pupils attach to it as far as nobody has chosen.

    All pupils of a grade attach to every book of the grade that the school holds or asks for. A book that may
    not be used attaches (as missing) only where the school has no other one of that subject and grade.
    """
    kept = list(books)
    replaced = {(book.subject, grade) for book in kept if book.lasts for grade in book.grades}
    return {
        book.textbook_id: [
            grade for grade in book.grades if book.lasts or (book.subject, grade) not in replaced
        ]
        for book in kept
    }


@dataclass(frozen=True, order=True)
class Attached:
    """``pupils`` of a class group who need a textbook."""

    grade: int
    letter: str
    pupils: int


def attach(
    books: Iterable[Candidate], groups: Iterable[Group], uses: Iterable[Use] = ()
) -> dict[int, tuple[Attached, ...]]:
    """Return, per textbook of one school, the class groups whose pupils need it, by grade and letter.

    The one rule for the shelf, the postings and the provision. Where the school's approved list names a book
    for a course of a grade, the pupils attach as the list says and to nothing else of that course; elsewhere
    by ``grades_using``. A special-needs book counts only where the list says how many pupils it is for, and
    says nothing about the book of the others. A textbook that is missing in the answer: it is not known who
    needs it; an empty answer: nobody does. ``books`` are all that the school holds, asks for or has chosen.
    """
    kept = {book.textbook_id: book for book in books}
    classes = [group for group in groups if group.pupils]
    if not classes:
        return {}
    special = {number for number, book in kept.items() if book.special_needs}
    told = [use for use in uses if use.textbook_id not in special or use.pupils is not None]
    chosen = {(use.grade, use.subject) for use in told if use.textbook_id not in special}
    pupils: defaultdict[int, defaultdict[tuple[int, str], int]] = defaultdict(lambda: defaultdict(int))
    for user in users_of(told, classes):
        pupils[user.textbook_id][user.grade, user.letter] += user.pupils
    known = {use.textbook_id for use in told}
    for number, grades in grades_using(kept.values()).items():
        book = kept[number]
        if grades or any((grade, book.subject) in chosen for grade in book.grades):
            known.add(number)
        for group in classes:
            if group.grade in grades and (group.grade, book.subject) not in chosen:
                pupils[number][group.grade, group.letter] += group.pupils
    return {
        number: tuple(Attached(*place, each) for place, each in sorted(pupils[number].items()))
        for number in sorted(known)
    }


def check_count(copies: int, *, promised: int, offered: int) -> None:
    """Raise ``Invalid`` when a count falls below what is promised or offered to others."""
    if not 0 <= copies <= MOST_COPIES:
        raise Invalid("Количество – от 0 до %(most)s.", field="copies", most=MOST_COPIES)
    if copies >= promised + offered:
        return
    if not offered:
        message = (
            "Обещано другим школам: %(promised)s экз., меньше записать нельзя. Сначала отзовите передачу."
        )
    elif not promised:
        message = (
            "Выставлено излишком: %(offered)s экз., меньше записать нельзя. Сначала уменьшите или отзовите "
            "излишек."
        )
    else:
        message = (
            "Обещано другим школам %(promised)s экз. и выставлено излишком %(offered)s: меньше %(least)s "
            "записать нельзя. Сначала уменьшите излишек."
        )
    raise Invalid(message, field="copies", promised=promised, offered=offered, least=promised + offered)


def check_seen(seen: int, now: int) -> None:
    """Raise ``Invalid`` when copies came or went while somebody was counting."""
    if seen != now:
        raise Invalid(
            "Пока вы считали, книги приходили или уходили: было %(seen)s экз., стало %(now)s. "
            "Пересчитайте и введите снова.",
            field="copies",
            seen=seen,
            now=now,
        )


def worn_after_write_off(worn: int, written_off: int, left: int, *, were_there: bool) -> int:
    """Return the worn copies left on the shelf: the worn ones go first, unless the copies were lost."""
    return min(left, max(0, worn - written_off) if were_there else worn)


@dataclass(frozen=True)
class ShelfEdition:
    """One year and part of a textbook at one place, all in copies.

    ``own`` and ``borrowed`` stand here; ``lent`` are the place's own at another place, ``away`` its own on
    the road or in dispute; ``promised``, ``offered`` and ``asked`` (for, with no answer yet) stand here
    still; ``worn`` stand here and are unfit.
    ``edition_id`` is ``None`` for a part that has never been here.
    """

    year: int
    part: int
    edition_id: int | None = None
    own: int = 0
    borrowed: int = 0
    lent: int = 0
    away: int = 0
    promised: int = 0
    offered: int = 0
    asked: int = 0
    worn: int = 0
    condition: Condition | None = None
    counted_at: datetime | None = None

    @property
    def here(self) -> int:
        """Copies on the shelf, whoever owns them."""
        return self.own + self.borrowed

    @property
    def fit(self) -> int:
        """Copies on the shelf that are fit for use."""
        return fit(self.here, self.worn)

    @property
    def free(self) -> int:
        """Own copies fit for use, neither promised nor offered to anybody, nor asked for."""
        return max(0, fit(self.own, self.worn) - self.promised - self.offered - self.asked)


@dataclass(frozen=True)
class ShelfBook:
    """A textbook at one place: its years and parts, the pupils who need it, what follows.

    ``pupils`` is ``None`` where it is not known: no enrolment entered, special needs without a number in the
    approved list, another kind of place. ``found``: it matches the words somebody looks for.
    """

    id: int
    title: str
    authors: str
    subject: str
    grade_from: int | None
    grade_to: int | None
    publisher: str
    level: str
    edition_note: str
    parts: int
    special_needs: bool
    found: bool
    verdict: Verdict
    lasts: bool
    pupils: int | None
    editions: tuple[ShelfEdition, ...]
    keeping: Reserve = NOTHING_KEPT

    def by_part(self, count: Callable[[ShelfEdition], int]) -> dict[int, int]:
        """Return ``count`` added up over the years, per part."""
        result = dict.fromkeys(range(1, self.parts + 1), 0)
        for edition in self.editions:
            result[edition.part] = result.get(edition.part, 0) + count(edition)
        return result

    @property
    def grades(self) -> Sequence[int]:
        """The grades it is written for; none for colleges."""
        if self.grade_from is None or self.grade_to is None:
            return ()
        return range(self.grade_from, self.grade_to + 1)

    @property
    def here(self) -> int:
        """Copies of all years and parts on the shelf."""
        return sum(edition.here for edition in self.editions)

    @property
    def sets(self) -> Sets:
        """Complete sets on the shelf, and copies without a pair."""
        return sets_of(self.by_part(lambda edition: edition.here), self.parts)

    @property
    def usable(self) -> int:
        """Complete sets fit for use; none when the book may not be used to the end of the school year."""
        return sets_of(self.by_part(lambda edition: edition.fit), self.parts).complete if self.lasts else 0

    @property
    def staying(self) -> int:
        """Usable sets that are left when what is promised has gone."""
        if not self.lasts:
            return 0
        left = self.by_part(lambda edition: max(0, edition.fit - edition.promised))
        return sets_of(left, self.parts).complete

    @property
    def need(self) -> int | None:
        """Sets that are lacking, with the reserve the school wants."""
        if self.pupils is None:
            return None
        return need(self.staying, self.pupils, self.keeping.reserve(self.pupils))

    @property
    def surplus(self) -> int | None:
        """Sets to spare beyond the buffer, of the place's own, neither offered nor asked for already."""
        if self.pupils is None or not self.lasts:
            return None if self.pupils is None else 0
        left = self.by_part(
            lambda edition: max(0, edition.fit - edition.promised - edition.offered - edition.asked)
        )
        own = sets_of(self.by_part(lambda edition: edition.free), self.parts).complete
        spare = surplus(sets_of(left, self.parts).complete, self.pupils, self.keeping.buffer(self.pupils))
        return min(spare, own)

    @property
    def offer_year(self) -> int | None:
        """The year of printing of which most copies are free to be offered."""
        free: dict[int, int] = {}
        for edition in self.editions:
            free[edition.year] = free.get(edition.year, 0) + edition.free
        year = max(free, key=lambda each: (free[each], each), default=None)
        return year if year is not None and free[year] else None

    @property
    def empty(self) -> bool:
        """True when nothing of it is here and nothing is owned elsewhere."""
        return not any(edition.here or edition.lent or edition.away for edition in self.editions)

    def counted_since(self, moment: datetime) -> bool:
        """Say whether every year and part that is here has been counted since ``moment``."""
        return all(
            edition.counted_at is not None and edition.counted_at >= moment
            for edition in self.editions
            if edition.own or edition.counted_at
        )


class Show(StrEnum):
    """Which books of a shelf are wanted."""

    ALL = ""
    SURPLUS = "surplus"
    NEED = "need"
    UNPAIRED = "unpaired"
    UNCOUNTED = "uncounted"
    EMPTY = "empty"


SHOW_NAMES = {
    Show.ALL: "все",
    Show.SURPLUS: "есть излишек",
    Show.NEED: "не хватает",
    Show.UNPAIRED: "непарные",
    Show.UNCOUNTED: "не пересчитаны",
    Show.EMPTY: "нет на полке",
}


@dataclass(frozen=True)
class Filter:
    """What is to be shown of a shelf; empty values admit everything."""

    subject: str = ""
    grade: int | None = None
    standing: Legality | None = None
    show: Show = Show.ALL

    def admits(self, book: ShelfBook, *, since: datetime) -> bool:
        """Say whether the book is to be shown; ``since`` is the beginning of the school year."""
        return (
            book.found
            and self.subject in ("", book.subject)
            and (self.grade is None or self.grade in book.grades)
            and self.standing in (None, book.verdict.legality)
            and _belongs(book, self.show, since)
        )


def _belongs(book: ShelfBook, show: Show, since: datetime) -> bool:
    if show is Show.EMPTY or book.empty:
        return show is Show.EMPTY and book.empty
    # Only what is asked for is worked out: a shelf has hundreds of books.
    belongs: Mapping[Show, Callable[[], bool]] = {
        Show.ALL: lambda: True,
        Show.SURPLUS: lambda: bool(book.surplus),
        Show.NEED: lambda: bool(book.need),
        Show.UNPAIRED: lambda: bool(book.sets.unpaired),
        Show.UNCOUNTED: lambda: not book.counted_since(since),
    }
    return belongs[show]()


def beginning(year: SchoolYear) -> datetime:
    """Return the moment a school year begins, in UTC: near enough for «counted this year»."""
    return datetime.combine(year.first_day, time.min, UTC)
