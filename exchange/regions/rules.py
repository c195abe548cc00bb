"""What a regional report says of a book, what follows from it, and whether its own figures agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Holding:
    """A title at a place, in copies: a set of several parts counts as one, as the report counts it.

    ``district`` and ``school`` are empty where the report names none. ``grades`` as written. ``stated_ratio``
    is the report's own «К», ``stated_need`` its own need; ``None`` where it states none. ``electronic``: a
    licence, not copies on a shelf.
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
        """Whether the stated «К» follows: (stock − to be written off) / pupils, to two digits."""
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
