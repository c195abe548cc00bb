"""Which schools swap: against every chain of givings, and in the shapes that a plan has."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.rules import Member, swap_with, swaps_of

flows = st.dictionaries(
    st.tuples(st.integers(1, 6), st.integers(1, 6)).filter(lambda pair: pair[0] != pair[1]),
    st.integers(0, 30),
    max_size=14,
)


def gives_on_to(start: int, end: int, found: dict[tuple[int, int], int]) -> bool:
    """Say whether books can be followed from one school to another, trying every chain of schools."""
    others = {school for pair in found for school in pair} - {start, end}
    return any(
        all(found.get(step, 0) > 0 for step in zip((start, *between), (*between, end), strict=True))
        for length in range(len(others) + 1)
        for between in permutations(sorted(others), length)
    )


@given(flows)
def test_schools_are_together_where_each_is_reached_from_the_other(found: dict[tuple[int, int], int]) -> None:
    swaps = swaps_of(found)
    schools = sorted({school for pair in found for school in pair})
    for one in schools:
        swap = swap_with(one, swaps)
        for other in schools:
            if one != other:
                together = swap is not None and other in swap.schools
                assert together == (gives_on_to(one, other, found) and gives_on_to(other, one, found))


@given(flows)
def test_the_copies_of_a_swap_add_up(found: dict[tuple[int, int], int]) -> None:
    swaps = swaps_of(found)
    assert [swap.members[0].school for swap in swaps] == sorted(swap.members[0].school for swap in swaps)
    for swap in swaps:
        assert all(member.gives > 0 and member.gets > 0 for member in swap.members)
        inside = sum(copies for pair, copies in found.items() if set(pair) <= swap.schools)
        assert sum(member.gives for member in swap.members) == inside
        assert sum(member.gets for member in swap.members) == inside


@given(flows)
def test_the_order_of_the_lines_does_not_matter(found: dict[tuple[int, int], int]) -> None:
    assert swaps_of(found) == swaps_of(dict(reversed(found.items())))


def test_a_ring_is_a_swap_and_its_neighbours_are_not() -> None:
    (ring,) = swaps_of({(1, 2): 5, (2, 3): 4, (3, 1): 6, (3, 9): 100, (8, 1): 7})
    assert ring.members == (Member(1, 5, 6), Member(2, 4, 5), Member(3, 6, 4))
    assert ring.pairs == ((1, 2), (2, 3), (3, 1))


def test_who_only_gives_or_only_gets_swaps_with_nobody() -> None:
    assert swaps_of({(1, 2): 5, (2, 3): 4, (1, 3): 6}) == ()
    assert swaps_of({(1, 2): 5, (2, 1): 0}) == ()
