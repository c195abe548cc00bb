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
