"""Rules of class groups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.classes import rules
from exchange.classes.rules import Group
from exchange.errors import Invalid, Stale

schools = st.lists(
    st.builds(
        Group, grade=st.integers(1, 11), letter=st.sampled_from(["А", "Б", "В"]), pupils=st.integers(0, 40)
    ),
    unique_by=lambda group: (group.grade, group.letter),
)


@given(schools)
def test_pupils_move_up_and_nobody_is_lost_but_those_who_leave(groups: list[Group]) -> None:
    moved = rules.moved_up(groups)
    assert {(group.grade, group.letter, group.pupils) for group in moved} == {
        (group.grade + 1, group.letter, group.pupils) for group in groups if group.grade not in (9, 11)
    }
    assert rules.tidy(moved) == moved


def test_the_first_and_the_tenth_grade_are_taken_from_what_is_known_of_next_year() -> None:
    known = [Group(1, "А", 25), Group(5, "А", 1), Group(10, "", 14)]
    assert rules.moved_up([Group(4, "А", 20), Group(9, "", 18)], known) == [
        Group(1, "А", 25),
        Group(5, "А", 20),
        Group(10, "", 14),
    ]


@given(st.integers(0, 200))
def test_splitting_and_joining_keeps_the_sum(pupils: int) -> None:
    whole = Group(5, "", pupils)
    halves = rules.split(whole)
    assert rules.totals(halves) == {5: pupils}
    assert [half.letter for half in halves] == ["А", "Б"]
    assert rules.joined(halves) == [whole]


@given(schools, schools)
def test_equal_lines_are_equal_groups(one: list[Group], other: list[Group]) -> None:
    assert (rules.written(one) == rules.written(other)) == (sorted(one) == sorted(other))
    assert (rules.changes(one, other) == "") == (sorted(one) == sorted(other))
    rules.check_seen(rules.written(one), one)
    if sorted(one) != sorted(other):
        with pytest.raises(Stale):
            rules.check_seen(rules.written(one), other)


@pytest.mark.parametrize(
    "groups",
    [
        [Group(5, "", 20), Group(5, "А", 20)],
        [Group(5, "А", 20), Group(5, "А", 21)],
        [Group(0, "", 20)],
        [Group(12, "", 20)],
        [Group(5, "", -1)],
        [Group(5, "", 2001)],
        [Group(5, "А", 1500), Group(5, "Б", 1500)],
        [Group(5, chr(0x410 + number), 5) for number in range(13)],
    ],
)
def test_what_cannot_be_is_refused_at_its_grade(groups: list[Group]) -> None:
    with pytest.raises(Invalid) as refused:
        rules.tidy(groups)
    assert refused.value.field == f"grade-{groups[0].grade}"
    assert refused.value.message % refused.value.parameters


def test_levels() -> None:
    assert rules.by_level({1: 20, 4: 15, 5: 22, 10: 7}) == [(1, 4, 35), (5, 9, 22), (10, 11, 7)]
    assert rules.by_level({5: 22}) == [(5, 9, 22)]
