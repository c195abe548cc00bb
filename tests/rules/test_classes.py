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


def table(*rows: list[object]) -> list[tuple[int, list[object]]]:
    """Return rows as a sheet gives them: numbered from 1, all of one width."""
    width = max(len(row) for row in rows)
    return [(number, [*row, *[None] * (width - len(row))]) for number, row in enumerate(rows, 1)]


FIFTH = (Group(5, "А", 24), Group(5, "Б", 22))


@pytest.mark.parametrize(
    ("rows", "groups"),
    [
        (table(["5А", 24], ["5Б", 22]), FIFTH),
        (table(["Класс", "Учеников"], ["5 «А»", "24 чел."], ["5-б класс", 22.0]), FIFTH),
        (
            table(
                ["Сведения о контингенте"],
                ["№", "Класс", "Всего", "Мальчиков"],
                [1, "5а", 24, 12],
                [2, "5Б", 22, 9],
            ),
            FIFTH,
        ),
        (table([5, "А", 24], [5, "Б", 22]), FIFTH),
        (table(["5А", 24, "5Б", 22]), FIFTH),
        (table(["5А", "5Б", "Всего"], [24, 22, 46]), FIFTH),
        (table(["Класс", "5А", "5Б"], ["Учеников", 24, 22]), FIFTH),
        (table(["5А", 24], ["5Б", 22], ["5 класс", 46], ["Итого", 46]), FIFTH),
        (table(["5A", 24], ["5Б", 22]), FIFTH),
        (table([1, 20], [2, 9], [11, 7]), (Group(1, "", 20), Group(2, "", 9), Group(11, "", 7))),
        (table([1, 2, 3], [20, 18, 21]), (Group(1, "", 20), Group(2, "", 18), Group(3, "", 21))),
        (table(["1–4 классы", 80], ["1 класс", 20]), (Group(1, "", 20),)),
        (table(["10 класс", 9], ["11 кл.", 7]), (Group(10, "", 9), Group(11, "", 7))),
    ],
)
def test_tables_are_read_however_they_are_laid_out(rows: list, groups: tuple[Group, ...]) -> None:
    reading = rules.read_groups(rows)
    assert reading.groups == groups
    assert reading.problems == ()


def test_what_cannot_be_read_is_named_by_row_and_column() -> None:
    reading = rules.read_groups(
        table(["5А", "много"], ["5Б", 22], ["5Б", 23], ["подготовительный", 12], ["6А", None])
    )
    assert reading.groups == (Group(5, "Б", 22),)
    assert [(each.row, each.column) for each in reading.problems] == [(1, 2), (3, 1), (4, 1), (5, 2)]
    assert all(each.message % each.parameters for each in reading.problems)


def test_a_table_leaves_the_grades_it_does_not_name() -> None:
    stored = [Group(4, "", 20), Group(5, "", 40)]
    assert rules.merged(stored, FIFTH) == [Group(4, "", 20), *FIFTH]


@given(schools)
def test_what_is_written_down_is_read_back(groups: list[Group]) -> None:
    down = rules.read_groups([(number, [group.name, group.pupils]) for number, group in enumerate(groups, 1)])
    assert list(down.groups) == sorted(groups)
    if len(groups) > 1:
        across = rules.read_groups(
            [(1, [group.name for group in groups]), (2, [group.pupils for group in groups])]
        )
        assert list(across.groups) == sorted(groups)
