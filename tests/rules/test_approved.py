"""Rules of approved lists."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.approved import rules
from exchange.approved.rules import Difference, Held, ListState, StepName, Use, UserGroup, users_of
from exchange.classes.rules import Group
from exchange.errors import Forbidden, WrongMoment
from exchange.schools.rules import Action

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


# --- gaps, proposals, comparison ---


def test_gaps_are_compulsory_courses_of_grades_with_pupils() -> None:
    chosen = [Use(8, "", BOOK, "Алгебра"), Use(8, "А", OTHER, "Физика")]
    groups = [Group(8, "А", 20), Group(8, "Б", 18), Group(9, "", 0)]
    found = {gap.course: gap.letters for gap in rules.gaps(chosen, groups)}
    assert "Алгебра" not in found
    assert found["Физика"] == ("Б",)
    assert found["Химия"] == ()
    assert "Окружающий мир" not in found
    assert {gap.grade for gap in rules.gaps(chosen, groups)} == {8}


def test_one_book_may_serve_two_courses() -> None:
    both = [Use(8, "", BOOK, "Математика"), Use(8, "", OTHER, "История")]
    missing = {gap.course for gap in rules.gaps(both, [Group(8, "", 20)])}
    assert not missing & {"Алгебра", "Геометрия", "История России", "Всеобщая история"}
    assert rules.serves("Математика", 5) == {"Математика"}
    assert rules.serves("История", 5) == {"Всеобщая история"}
    assert rules.serves("Астрономия", 10) == {"Астрономия"}


def held(book: int, sets: int, course: str = "Физика", **more: bool) -> Held:
    return Held(book, course, (8,), sets, **{"usable": True, **more})


EIGHTH = [Group(8, "А", 20), Group(8, "Б", 18)]


def proposed(*args: Any) -> list[tuple[int, str, int, str]]:
    return [
        (each.use.grade, each.use.letter, each.use.textbook_id, each.source.value)
        for each in rules.propose(*args)
    ]


def test_last_year_comes_before_the_shelf() -> None:
    former = [Use(8, "", BOOK, "Физика"), Use(9, "", BOOK, "Физика"), Use(8, "В", BOOK, "Музыка")]
    assert proposed([], former, EIGHTH, [held(OTHER, 99)], {BOOK}) == [(8, "", BOOK, "last_year_list")]
    assert proposed([], former, EIGHTH, [held(OTHER, 99)], set()) == [(8, "", OTHER, "shelf")]
    assert proposed([Use(8, "", 7, "Физика")], former, EIGHTH, [held(OTHER, 99)], {BOOK}) == []


def test_the_shelf_proposes_the_lawful_book_of_most_sets() -> None:
    books = [held(1, 5), held(2, 12), held(3, 30, usable=False), held(4, 30, special_needs=True)]
    assert proposed([], [], EIGHTH, books, set()) == [(8, "", 2, "shelf")]
    assert proposed([], [], EIGHTH, [held(1, 0)], set()) == [(8, "", 1, "asked_for")]
    assert proposed([], [], [Group(7, "", 20)], books, set()) == []
    assert proposed([], [], EIGHTH, [held(1, 5, "Математика")], set()) == [(8, "", 1, "shelf")]


course_names = st.sampled_from(["Физика", "Математика", "Алгебра", "Химия", "Астрономия"])
any_uses = st.lists(
    st.builds(
        Use,
        grade=st.sampled_from([7, 8]),
        letter=st.sampled_from(["", "А", "Б"]),
        textbook_id=st.integers(1, 6),
        subject=course_names,
    ),
    max_size=6,
    unique_by=lambda each: (each.grade, each.letter, each.textbook_id),
)
any_books = st.lists(
    st.builds(
        Held,
        textbook_id=st.integers(1, 6),
        course=course_names,
        grades=st.just((7, 8)),
        sets=st.integers(0, 30),
        usable=st.booleans(),
        special_needs=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda each: each.textbook_id,
)


@given(any_uses, any_uses, any_books)
def test_accepting_everything_leaves_nothing_to_propose(
    present: list[Use], former: list[Use], books: list[Held]
) -> None:
    groups = [Group(7, "", 20), *EIGHTH]
    lawful = {each.textbook_id for each in books if each.usable}
    first = rules.propose(present, former, groups, books, lawful)
    chosen = [*present, *(each.use for each in first)]
    assert rules.propose(chosen, former, groups, books, lawful) == []
    assert {each.use.textbook_id for each in first} <= lawful
    assert len(rules.gaps(chosen, groups)) <= len(rules.gaps(present, groups))


@given(any_uses, any_uses)
def test_comparing_tells_what_is_different_and_nothing_else(former: list[Use], present: list[Use]) -> None:
    found = rules.compare(former, present)
    keys = {(each.grade, each.letter, each.course) for each in found}
    for use in former:
        gone = use not in present
        assert not gone or (use.grade, use.letter, use.subject) in keys
    assert rules.compare(former, former) == []
    turned = {Difference.ADDED: Difference.GONE, Difference.GONE: Difference.ADDED}
    back = rules.compare(present, former)
    assert [turned.get(each.kind, each.kind) for each in found] == [each.kind for each in back]


# --- from hand to hand ---


@pytest.mark.parametrize("state", list(ListState))
@pytest.mark.parametrize("has_deputy", [True, False])
def test_every_state_has_a_way_on(state: ListState, has_deputy: bool) -> None:
    allowed = {Action.PREPARE_LIST, Action.APPROVE_LIST} | ({Action.CHECK_LIST} if has_deputy else set())
    steps = rules.menu(state, allowed.__contains__, has_deputy=has_deputy)
    assert any(step.to is not state for step in steps)
    assert rules.menu(state, lambda _action: False, has_deputy=has_deputy) == []


def test_the_director_approves_a_draft_only_where_nobody_checks() -> None:
    director = {Action.APPROVE_LIST}.__contains__
    step = rules.take(StepName.APPROVE, ListState.DRAFT, director, has_deputy=False)
    assert step.to is ListState.APPROVED
    with pytest.raises(WrongMoment):
        rules.take(StepName.APPROVE, ListState.DRAFT, director, has_deputy=True)
    with pytest.raises(Forbidden):
        rules.take(StepName.CHECK, ListState.DRAFT, director, has_deputy=True)
    with pytest.raises(WrongMoment):
        rules.check_editable(ListState.CHECKED)
