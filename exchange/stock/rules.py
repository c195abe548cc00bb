"""Usable copies, complete sets, need, surplus and coverage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """Condition of copies."""

    NEW = "new"
    GOOD = "good"
    FAIR = "fair"


CONDITION_NAMES = {Condition.NEW: "новые", Condition.GOOD: "хорошее", Condition.FAIR: "удовлетворительное"}


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


def need(usable: int, pupils: int, reserve: int = 0) -> int:
    """Return the missing copies: max(0, pupils + reserve − usable)."""
    return max(0, pupils + reserve - usable)


def surplus(usable: int, pupils: int, buffer: int = 0) -> int:
    """Return the copies to spare: max(0, usable − pupils − buffer)."""
    return max(0, usable - pupils - buffer)


def coverage(rows: Iterable[tuple[int, int]]) -> float | None:
    """Return Σ min(usable, pupils) / Σ pupils over rows of (usable, pupils); ``None`` without pupils.

    Never an average of ratios: a school with many spare books would hide another's shortage.
    """
    served = total = 0
    for usable, pupils in rows:
        served += min(usable, pupils)
        total += pupils
    return served / total if total else None
