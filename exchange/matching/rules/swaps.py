"""Swaps: groups of schools that both give to and get from each other, so that nobody gives for nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exchange.transfers.rules import FAILED, State

Flows = Mapping[tuple[int, int], int]
"""Copies by (giver, taker)."""

FELL_THROUGH = FAILED | {State.STOPPED}
"""Transfers whose books stay where they were: no part of a swap any more."""
WAITS_FOR_SCHOOLS = frozenset({State.PROPOSED, State.AGREED})
"""Transfers that keep a swap from being approved."""


@dataclass(frozen=True)
class Member:
    """A school of a swap: the copies it gives to the others of the group and gets from them."""

    school: int
    gives: int
    gets: int


@dataclass(frozen=True)
class Swap:
    """A group in which books can be followed from any school to any other.

    ``members`` are ordered by id; ``pairs`` are the (giver, taker) inside the group. What its schools give
    to or get from outside is no part of it.
    """

    members: tuple[Member, ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def schools(self) -> frozenset[int]:
        """Return the ids of its schools."""
        return frozenset(member.school for member in self.members)

    @property
    def copies(self) -> int:
        """Return the copies that change hands in it."""
        return sum(member.gives for member in self.members)


def swaps_of(flows: Flows) -> tuple[Swap, ...]:
    """Return the swaps among ``flows``, by their lowest school: strongly connected components of two or more.

    Flows of no copies do not count.
    """
    onward: defaultdict[int, set[int]] = defaultdict(set)
    backward: defaultdict[int, set[int]] = defaultdict(set)
    for (giver, taker), copies in flows.items():
        if copies > 0:
            onward[giver].add(taker)
            backward[taker].add(giver)
    found = []
    placed: set[int] = set()
    for school in sorted(onward):
        if school in placed:
            continue
        # A school of a group reaches all the others, and they reach it.
        group = _reached(school, onward) & _reached(school, backward)
        placed |= group
        if len(group) > 1:
            found.append(_swap(group, flows))
    return tuple(found)


def _reached(start: int, edges: Mapping[int, set[int]]) -> set[int]:
    reached, open_ = {start}, [start]
    while open_:
        for following in edges.get(open_.pop(), ()):
            if following not in reached:
                reached.add(following)
                open_.append(following)
    return reached


def _swap(group: set[int], flows: Flows) -> Swap:
    pairs = sorted(
        (giver, taker)
        for (giver, taker), copies in flows.items()
        if copies > 0 and giver in group and taker in group
    )
    return Swap(
        tuple(
            Member(
                school,
                sum(flows[pair] for pair in pairs if pair[0] == school),
                sum(flows[pair] for pair in pairs if pair[1] == school),
            )
            for school in sorted(group)
        ),
        tuple(pairs),
    )


def swap_with(school: int, swaps: Iterable[Swap]) -> Swap | None:
    """Return the swap a school belongs to: there is at most one."""
    return next((swap for swap in swaps if school in swap.schools), None)
