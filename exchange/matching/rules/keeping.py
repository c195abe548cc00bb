"""What a school keeps of what it has: own need, buffer, what it has not offered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from exchange.matching.rules.problem import Kept, KeptBack, Supply
from exchange.transfers.rules import Kind


@dataclass(frozen=True)
class Spare:
    """Own copies of one part of a textbook that a school can do without.

    ``beyond_buffer`` of them it gives, ``beyond_need`` it could if it kept no buffer. Never less.
    ``estimated``: no list of the school says which of its books a class uses, so that the class counts for
    each of them.
    """

    beyond_buffer: int
    beyond_need: int
    estimated: bool = False


#: By holder, textbook and part.
Spares = Mapping[tuple[int, int, int], Spare]


def keep_back(
    offered: Iterable[Supply], unoffered: Iterable[Supply], spares: Spares, numbers: Iterator[int]
) -> tuple[list[Supply], list[Kept]]:
    """Return what of the offers may go, and what stays and why; ``numbers`` are for what stays.

    An offer of a place that is not among ``spares``, or is only estimated there, goes as it is: who needs the
    book there is not known, and the school that offers it knows better.
    The oldest copies stay, those on loan before those for good: newer ones suit more requests. Of what is not
    offered only the copies above the school's own need count as kept.
    """
    there: defaultdict[tuple[int, int, int], list[tuple[bool, Supply]]] = defaultdict(list)
    for is_offered, supplies in ((True, offered), (False, unoffered)):
        for supply in supplies:
            there[supply.holder, supply.textbook, supply.part].append((is_offered, supply))
    may_go: list[Supply] = []
    kept: list[Kept] = []
    for place in sorted(there):
        spare = spares.get(place)
        # What is offered goes first: a school that offers its old books and keeps its new ones means it.
        in_order = sorted(there[place], key=lambda item: (not item[0], *_suits(item[1])))
        before = 0
        for is_offered, supply in in_order:
            if spare is None:
                if is_offered:
                    may_go.append(supply)
                continue
            free = _between(before, supply.copies, 0, spare.beyond_buffer)
            buffer = _between(before, supply.copies, spare.beyond_buffer, spare.beyond_need)
            own = supply.copies - free - buffer
            before += supply.copies
            if is_offered and spare.estimated:
                may_go.append(supply)
                continue
            if is_offered and free:
                may_go.append(replace(supply, copies=free))
            for copies, reason in (
                (0 if is_offered else free, KeptBack.NOT_OFFERED),
                (buffer, KeptBack.BUFFER),
                (own if is_offered else 0, KeptBack.OWN_NEED),
            ):
                if copies:
                    kept.append(Kept(replace(supply, id=next(numbers), copies=copies), reason))
    return may_go, kept


def _suits(supply: Supply) -> tuple[int, bool, int]:
    return -supply.year, supply.kind is Kind.LOAN, supply.id


def _between(before: int, copies: int, low: int, high: int) -> int:
    """Return how many of ``copies`` that come after ``before`` others are above ``low`` up to ``high``."""
    return max(0, min(before + copies, high) - max(before, low))
