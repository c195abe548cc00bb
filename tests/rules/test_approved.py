"""Rules of approved lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.approved import rules
from exchange.approved.rules import Use, UserGroup, users_of
from exchange.classes.rules import Group

FIFTH = [Group(5, "А", 24), Group(5, "Б", 22)]
BOOK, OTHER = 1, 2


def use(textbook_id: int, letter: str = "", pupils: int | None = None, *, grade: int = 5) -> Use:
    return Use(grade, letter, textbook_id, "Математика", pupils)


def counted(users: list[UserGroup]) -> dict[tuple[int, str], int]:
    return {(user.textbook_id, f"{user.grade}{user.letter}"): user.pupils for user in users}


def test_a_line_of_the_grade_serves_every_group() -> None:
    assert counted(users_of([use(BOOK)], FIFTH)) == {(BOOK, "5А"): 24, (BOOK, "5Б"): 22}


def test_the_line_of_a_group_replaces_the_line_of_the_grade() -> None:
    users = users_of([use(BOOK), use(OTHER, "А")], FIFTH)
    assert counted(users) == {(BOOK, "5Б"): 22, (OTHER, "5А"): 24}


def test_lines_of_other_courses_do_not_replace_each_other() -> None:
    geometry = Use(5, "А", OTHER, "Геометрия")
    assert counted(users_of([use(BOOK), geometry], FIFTH))[BOOK, "5А"] == 24


def test_a_line_with_a_number_takes_its_pupils_out_of_the_others() -> None:
    users = users_of([use(BOOK), use(OTHER, "А", 2)], FIFTH)
    assert counted(users) == {(BOOK, "5А"): 22, (OTHER, "5А"): 2, (BOOK, "5Б"): 22}
    users = users_of([use(BOOK), use(OTHER, "", 30)], FIFTH)
    assert counted(users) == {(OTHER, "5А"): 24, (OTHER, "5Б"): 6, (BOOK, "5Б"): 16}


def test_two_books_for_all_are_used_by_all() -> None:
    users = users_of([use(BOOK), use(OTHER)], FIFTH)
    assert [user.pupils for user in users if user.letter == "А"] == [24, 24]


def test_a_book_of_two_grades_is_a_line_in_each() -> None:
    groups = [Group(10, "", 12), Group(11, "", 9)]
    users = users_of([use(BOOK, grade=10), use(BOOK, grade=11)], groups)
    assert counted(users) == {(BOOK, "10"): 12, (BOOK, "11"): 9}


def test_a_group_that_is_not_there_uses_nothing() -> None:
    assert users_of([use(BOOK, "В")], FIFTH) == []
    assert users_of([use(BOOK, "А")], [Group(5, "", 46)]) == []


letters = st.sampled_from(["", "А", "Б"])
lines = st.lists(
    st.builds(
        Use,
        grade=st.sampled_from([5, 6]),
        letter=letters,
        textbook_id=st.integers(1, 4),
        subject=st.sampled_from(["Математика", "Физика"]),
        pupils=st.none() | st.integers(0, 40),
    ),
    max_size=8,
    unique_by=lambda each: (each.grade, each.letter, each.textbook_id),
)
classes = st.lists(
    st.builds(Group, grade=st.sampled_from([5, 6]), letter=letters, pupils=st.integers(0, 40)),
    max_size=6,
    unique_by=lambda each: (each.grade, each.letter),
)


@given(lines, classes)
def test_nobody_is_counted_twice_for_a_line(uses: list[Use], groups: list[Group]) -> None:
    size = {(group.grade, group.letter): group.pupils for group in groups}
    users = users_of(uses, groups)
    assert all(0 < user.pupils <= size[user.grade, user.letter] for user in users)
    for each in uses:
        own = [
            u
            for u in users
            if (u.grade, u.textbook_id, u.subject) == (each.grade, each.textbook_id, each.subject)
        ]
        lines_of_book = [
            u
            for u in uses
            if (u.grade, u.textbook_id, u.subject) == (each.grade, each.textbook_id, each.subject)
        ]
        if all(line.pupils is not None for line in lines_of_book):
            assert sum(u.pupils for u in own) <= sum(line.pupils or 0 for line in lines_of_book)


@given(lines, classes)
def test_a_number_on_a_line_never_makes_more_users(uses: list[Use], groups: list[Group]) -> None:
    """Everybody of a course is served once where at most one line of it is without a number in each place."""
    for grade in (5, 6):
        for subject in ("Математика", "Физика"):
            course = [each for each in uses if (each.grade, each.subject) == (grade, subject)]
            open_lines = [each for each in course if each.pupils is None]
            if len({each.letter for each in open_lines}) < len(open_lines):
                continue
            for group in groups:
                used = sum(
                    u.pupils for u in users_of(course, groups) if (u.grade, u.letter) == (grade, group.letter)
                )
                if group.grade == grade:
                    assert used <= group.pupils
                    if any(each.letter in ("", group.letter) for each in open_lines):
                        assert used == group.pupils


@pytest.mark.parametrize(
    ("subject", "title", "course"),
    [
        ("Математика", "Математика", "Математика"),
        ("Математика", "Математика. Алгебра", "Алгебра"),
        ("Алгебра", "Алгебра", "Алгебра"),
        (
            "Математика",
            "Математика: алгебра и начала математического анализа, геометрия. Геометрия",
            "Геометрия",
        ),
        (
            "Математика (базовый уровень)",
            "Математика: алгебра и начала математического анализа, геометрия. Алгебра и начала "
            "математического анализа (в 2 частях)",
            "Алгебра",
        ),
        ("Математика", "Математика: алгебра и начала математического анализа, геометрия", "Математика"),
        ("Математика", "Математика. Вероятность и статистика", "Вероятность и статистика"),
        ("Русский язык", "Русский язык. Азбука", "Азбука"),
        ("Русский язык", "Русский язык", "Русский язык"),
        ("История", "История. Всеобщая история. История Нового времени. XVIII век", "Всеобщая история"),
        ("История", "История. История России. XVIII век", "История России"),
        ("История России", "История России", "История России"),
        ("Всеобщая история", "История. Новое время. Конец XVIII – XIX век", "Всеобщая история"),
        ("История", "История (в 2 частях)", "История"),
        ("История", "История. Введение в Новейшую историю России", "Новейшая история"),
        ("Физика (углублённый уровень)", "Физика", "Физика"),
        ("Основы безопасности жизнедеятельности", "ОБЖ", "Основы безопасности и защиты Родины"),
        ("Технология", "Технология", "Труд (технология)"),
        ("Английский язык", "Английский язык", "Иностранный язык"),
        ("Второй иностранный язык", "Немецкий язык. Второй иностранный язык", "Второй иностранный язык"),
        ("Родной язык", "Татарский язык", "Родной язык"),
    ],
)
def test_courses(subject: str, title: str, course: str) -> None:
    assert rules.course_of(subject, title) == course
