"""What a regional report says of a book, what follows from it, and whether its own figures agree."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

LEAST_VOTES = 2
"""Titles that state their class and must agree before a number of pupils stands for that class."""
LEAST_SHARE = 0.8
"""Of the titles with this number of pupils so many must state the same class."""
LONGEST_RANGE = 3
"""Classes that a book may serve at once: «7–9»."""
_GRADES = re.compile(
    r"(?<![\d.,])(\d{1,2})(?:\s*[-–—]\s*(\d{1,2}))?\s*(?:-?\s*(?:й|го|ый|ой|х))?\s*\.?\s*кл(?:асс\w*|\b|\.)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Holding:
    """A title at a place, in copies: a set of several parts counts as one, as the report counts it.

    ``district`` and ``school`` are empty where the report names none. ``grades`` as written. ``stated_ratio``
    is the report's own «К», ``stated_need`` its own need; ``None`` where it states none. ``electronic``: a
    licence, not copies on a shelf. ``inferred``: not the report names the class, the number of pupils does.
    """

    row: int
    district: str
    school: str
    publisher: str
    title: str
    authors: str
    subject: str
    grades: str
    stock: int
    pupils: int
    to_write_off: int
    stated_ratio: float | None
    stated_need: int | None
    electronic: bool = False
    inferred: bool = False

    @property
    def fit(self) -> int:
        """Copies that stay: the stock without what is to be written off."""
        return max(0, self.stock - self.to_write_off)

    @property
    def missing(self) -> int:
        """Pupils without a copy."""
        return max(0, self.pupils - self.fit)

    @property
    def surplus(self) -> int:
        """Copies without a pupil."""
        return max(0, self.fit - self.pupils)

    @property
    def agrees(self) -> bool:
        """Whether «К» = (stock − to be written off) / pupils, to two digits, and the stated need follow."""
        if self.stated_need is not None and self.stated_need != self.missing:
            return False
        if self.stated_ratio is None or not self.pupils:
            return True
        return abs((self.stock - self.to_write_off) / self.pupils - self.stated_ratio) <= 0.0051


@dataclass(frozen=True)
class Sums:
    """Totals of some holdings. A pupil counts once for every book."""

    titles: int
    stock: int
    pupils: int
    served: int
    missing: int
    surplus: int
    mean_ratio: float | None
    """The mean of the «К» of the titles that have pupils, as the reports print it: it hides the shortage."""

    @property
    def coverage(self) -> float | None:
        """Σ min(fit, pupils) / Σ pupils; ``None`` without pupils."""
        return self.served / self.pupils if self.pupils else None


def sums_of(holdings: Iterable[Holding]) -> Sums:
    """Add holdings up, the electronic ones left out."""
    kept = [each for each in holdings if not each.electronic]
    ratios = [each.fit / each.pupils for each in kept if each.pupils]
    return Sums(
        titles=len(kept),
        stock=sum(each.stock for each in kept),
        pupils=sum(each.pupils for each in kept),
        served=sum(min(each.fit, each.pupils) for each in kept),
        missing=sum(each.missing for each in kept),
        surplus=sum(each.surplus for each in kept),
        mean_ratio=sum(ratios) / len(ratios) if ratios else None,
    )


@dataclass(frozen=True)
class Report:
    """A report read to the end: its day and region as it names them, its holdings, the rows left aside."""

    file: str
    day: date | None
    region: str
    holdings: Sequence[Holding]
    headings: int
    totals: int
    left_aside: Sequence[int]
    """Numbers of the rows that are neither a title with its figures nor a heading nor a total."""


def place_of(holding: Holding, report: Report) -> str:
    """Return who holds it: the school, else the district, else the region as a whole."""
    return holding.school or holding.district or report.region or report.file


# --- the class of a title ---


def grades_in(text: str) -> str:
    """Return «6» or «7-9» when a text names its class, else nothing."""
    found = _GRADES.search(text)
    if found is None:
        return ""
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= last <= 11:
        return ""
    return str(first) if first == last else f"{first}-{last}"


def grades_by_pupils(holdings: Iterable[Holding]) -> dict[tuple[str, str], dict[int, str]]:
    """Return, by district and school, which class or classes a number of pupils stands for.

    Every title of a class has as many pupils as the class, so the titles that name their class tell it of
    those that do not. Where two classes have the same number, or the titles are at odds, it stands for
    nothing. The sum of two or three classes that follow each other stands for all of them.
    """
    votes: defaultdict[tuple[str, str], defaultdict[int, Counter[str]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    for each in holdings:
        grades = _stated_grades(each)
        if grades and each.pupils:
            votes[each.district, each.school][each.pupils][grades] += 1
    return {place: _told_by(by_pupils) for place, by_pupils in votes.items()}


def _stated_grades(holding: Holding) -> str:
    return grades_in(f"{holding.grades} класс") or grades_in(holding.title)


def _told_by(votes: Mapping[int, Counter[str]]) -> dict[int, str]:
    told = {}
    for pupils, grades in votes.items():
        grade, times = grades.most_common(1)[0]
        if times >= LEAST_VOTES and times >= LEAST_SHARE * grades.total():
            told[pupils] = grade
    single = {int(grade): pupils for pupils, grade in told.items() if grade.isdecimal()}
    sums: defaultdict[int, list[str]] = defaultdict(list)
    for first in single:
        for last in range(first + 1, first + LONGEST_RANGE):
            span = range(first, last + 1)
            if all(grade in single for grade in span):
                sums[sum(single[grade] for grade in span)].append(f"{first}-{last}")
    for pupils, spans in sums.items():
        if len(spans) == 1 and pupils not in votes:
            told[pupils] = spans[0]
    return told


def with_grades(holdings: Sequence[Holding]) -> tuple[Holding, ...]:
    """Return the holdings, those without a class with the one their number of pupils stands for."""
    told = grades_by_pupils(holdings)

    def one(each: Holding) -> Holding:
        grades = told.get((each.district, each.school), {}).get(each.pupils, "")
        if not grades or each.grades or _stated_grades(each):
            return each
        return replace(each, grades=grades, inferred=True)

    return tuple(map(one, holdings))
