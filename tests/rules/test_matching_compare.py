"""Two plans compared: the changes add up to the difference of what the plans carry."""

from __future__ import annotations

from random import Random

from exchange.matching.rules import Carried, comparison, sets_by_school


def plan(random: Random) -> list[Carried]:
    """Return lines of one part each, at most one for a giver and a need."""
    pairs = {(random.randrange(4), random.randrange(5)) for _ in range(random.randrange(12))}
    return [
        Carried(
            giver, 10 + need % 3, need, part=1, copies=random.randint(1, 6), km=float(giver + 10 * (need % 3))
        )
        for giver, need in sorted(pairs)
    ]


def test_the_differences_add_up() -> None:
    random = Random(20261123)
    for _ in range(300):
        one, other = plan(random), plan(random)
        changes = comparison(one, other)
        carried = [sum(line.copies for line in lines) for lines in (one, other)]
        assert sum(school.difference for school in changes.schools) == carried[1] - carried[0]
        moved = [*changes.gone, *changes.new, *changes.changed]
        assert sum(trip.difference for trip in moved) == carried[1] - carried[0]
        pairs = {(line.giver, line.taker) for line in [*one, *other]}
        assert len(moved) + changes.same == len(pairs)


def test_looking_from_the_other_side_turns_everything_round() -> None:
    random = Random(7)
    for _ in range(100):
        one, other = plan(random), plan(random)
        there, back = comparison(one, other), comparison(other, one)
        assert {(s.school, s.difference) for s in there.schools} == {
            (s.school, -s.difference) for s in back.schools
        }
        assert [(t.giver, t.taker) for t in there.gone] == [(t.giver, t.taker) for t in back.new]
        assert {s.school for s in there.losers} == {s.school for s in back.gainers}
        assert there.same == back.same


def test_the_order_of_the_lines_is_no_matter() -> None:
    random = Random(11)
    for _ in range(100):
        one, other = plan(random), plan(random)
        assert comparison(one, other) == comparison(random.sample(one, len(one)), other)


def test_the_part_of_which_most_comes_counts_the_sets() -> None:
    lines = [Carried(1, 2, 5, 1, 5, 3.0), Carried(1, 2, 5, 2, 15, 3.0), Carried(4, 2, 6, 1, 2, 9.0)]
    assert sets_by_school(lines) == {2: 17}


def test_the_greatest_loss_comes_first_and_the_greatest_gain() -> None:
    one = [Carried(1, 10, 1, 1, 5, 0.0), Carried(1, 11, 2, 1, 2, 0.0)]
    other = [Carried(1, 12, 3, 1, 1, 0.0), Carried(1, 13, 4, 1, 4, 0.0)]
    changes = comparison(one, other)
    assert [school.school for school in changes.losers] == [10, 11]
    assert [school.school for school in changes.gainers] == [13, 12]
