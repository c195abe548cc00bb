"""What the consolidated sheet says of a textbook: who has it to spare, who lacks it, what is left over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Spare:
    """Copies of a part that can be had: from a school, or (``school`` empty) from the reserve fund."""

    school: str
    part: int
    copies: int


@dataclass(frozen=True)
class Lack:
    """What a school lacks, by part; ``copies`` is ``None`` where the number may identify a child."""

    school: str
    copies: Mapping[int, int] | None


@dataclass(frozen=True)
class Balance:
    """One part of a textbook in a district. All in copies.

    ``part`` is ``None`` for needs whose parts and numbers are kept back; of such a line only the schools are
    told, and it takes no part in any sum.
    """

    part: int | None
    surplus: Mapping[str, int]
    fund: int
    missing: Mapping[str, int | None]

    @property
    def spare(self) -> int:
        """Copies that schools have to spare."""
        return sum(self.surplus.values())

    @property
    def lacking(self) -> int | None:
        """Copies that are missing; ``None`` where the number is kept back."""
        known = [copies for copies in self.missing.values() if copies is not None]
        return sum(known) if len(known) == len(self.missing) else None

    @property
    def by_exchange(self) -> int | None:
        """Missing copies that other schools have to spare: a school does not give to itself.

        The most that can change hands between two sides whose every pair but a school with itself may meet:
        a cut through such a network is either side, or what all but one school give and take.
        """
        wanted = self.lacking
        if wanted is None:
            return None
        both = self.surplus.keys() & self.missing.keys()
        without = (self.spare - self.surplus[s] + wanted - (self.missing[s] or 0) for s in both)
        return min([self.spare, wanted, *without])

    @property
    def by_fund(self) -> int | None:
        """Missing copies that the fund has when the exchange has done what it can."""
        if self.lacking is None or self.by_exchange is None:
            return None
        return min(self.fund, self.lacking - self.by_exchange)

    @property
    def left(self) -> int | None:
        """Copies left over when all needs are met from surpluses and the fund; below zero: to be ordered."""
        return None if self.lacking is None else self.spare + self.fund - self.lacking


def balances(spares: Iterable[Spare], lacks: Iterable[Lack]) -> list[Balance]:
    """Return a line for each part of a textbook that is to be had or is missing, the first part first."""
    surplus: dict[int, dict[str, int]] = {}
    fund: dict[int, int] = {}
    missing: dict[int, dict[str, int | None]] = {}
    hidden: dict[str, int | None] = {}
    for spare in spares:
        if spare.school:
            schools = surplus.setdefault(spare.part, {})
            schools[spare.school] = schools.get(spare.school, 0) + spare.copies
        else:
            fund[spare.part] = fund.get(spare.part, 0) + spare.copies
    for lack in lacks:
        if lack.copies is None:
            hidden[lack.school] = None
        for part, copies in (lack.copies or {}).items():
            missing.setdefault(part, {})[lack.school] = copies
    lines = [
        Balance(part, surplus.get(part, {}), fund.get(part, 0), missing.get(part, {}))
        for part in sorted(surplus.keys() | fund.keys() | missing.keys())
    ]
    return [*lines, Balance(None, {}, 0, hidden)] if hidden else lines


@dataclass(frozen=True)
class SchoolTotal:
    """What a school has to spare and lacks in all. ``missing``: ``None`` where a number is kept back."""

    school: str
    titles_spare: int
    spare: int
    titles_missing: int
    missing: int | None


def by_school(lines: Iterable[Balance]) -> list[SchoolTotal]:
    """Return the totals of every school on the sheet, by name; each part of a book is a title of its own."""
    spare: dict[str, list[int]] = {}
    missing: dict[str, list[int | None]] = {}
    for line in lines:
        for school, copies in line.surplus.items():
            spare.setdefault(school, []).append(copies)
        for school, lacking in line.missing.items():
            missing.setdefault(school, []).append(lacking)
    return [
        SchoolTotal(
            school=school,
            titles_spare=len(spare.get(school, ())),
            spare=sum(spare.get(school, ())),
            titles_missing=len(missing.get(school, ())),
            missing=_known_sum(missing.get(school, ())),
        )
        for school in sorted(spare.keys() | missing.keys())
    ]


def _known_sum(numbers: Iterable[int | None]) -> int | None:
    """Add up; ``None`` when one of the numbers is kept back, because the sum would tell it."""
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total
