"""When an approved list may be changed, signed and approved, and which textbook a class uses."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from exchange.catalog.rules import fold
from exchange.classes.rules import Group


class ListState(StrEnum):
    """Where an approved list stands between the librarian, the deputy and the director."""

    DRAFT = "draft"
    CHECKED = "checked"
    APPROVED = "approved"


LIST_STATE_NAMES = {
    ListState.DRAFT: "черновик",
    ListState.CHECKED: "проверен завучем",
    ListState.APPROVED: "утверждён директором",
}

# --- the course a book is for ---

ABC = "Азбука"
MATHEMATICS = "Математика"
ALGEBRA = "Алгебра"
GEOMETRY = "Геометрия"
PROBABILITY = "Вероятность и статистика"
HISTORY = "История"
WORLD_HISTORY = "Всеобщая история"
RUSSIAN_HISTORY = "История России"
RECENT_HISTORY = "Новейшая история"
LANGUAGE = "Иностранный язык"
SECOND_LANGUAGE = "Второй иностранный язык"
CRAFT = "Труд (технология)"
SAFETY = "Основы безопасности и защиты Родины"

_LEVEL = re.compile(r"\s*\((?:базов|углубл)[^)]*\)|\s+базовый уровень$", re.IGNORECASE)
_COURSES = tuple(
    (re.compile(subject), re.compile(title), course)
    for subject, title, course in (
        (r"(?:азбука|букварь)", r"(?:)", ABC),
        (r"(?:русский язык)", r"(?:русский язык\. )?(?:азбук|буквар)", ABC),
        # «Математика: алгебра и начала анализа, геометрия. Геометрия» is geometry: the last words decide.
        (r"(?:математика|алгебра|геометрия)", r"(?:.*вероятност)", PROBABILITY),
        (r"(?:математика)", r"(?:.*\. )?(?:[^.]*алгебр[^.]*геометр[^.]*)(?:\(.*)?$", MATHEMATICS),
        (r"(?:математика|геометрия)", r"(?:.*геометр[^.]*)$", GEOMETRY),
        (r"(?:геометрия)", r"(?:)", GEOMETRY),
        (r"(?:математика)", r"(?:.*алгебр)", ALGEBRA),
        (r"(?:история)", r"(?:.*введение в новейш)", RECENT_HISTORY),
        (r"(?:история россии)", r"(?:)", RUSSIAN_HISTORY),
        (r"(?:история)", r"(?:.*росси)", RUSSIAN_HISTORY),
        (r"(?:история)", r"(?:.*(?:всеобщ|древн|средни[ех] век|нов(?:ое|ого) врем|новейш))", WORLD_HISTORY),
        (r"(?:второй .*язык)", r"(?:)", SECOND_LANGUAGE),
        (r"(?:.*язык)", r"(?:.*второй .*язык)", SECOND_LANGUAGE),
        (r"(?:английский|немецкий|французский|испанский|китайский) язык", r"(?:)", LANGUAGE),
        (r"(?:технология|труд \(технология\))", r"(?:)", CRAFT),
        (r"(?:основы безопасности .*)", r"(?:)", SAFETY),
    )
)
"""Subject of the list, beginning of the title, course: the first line that fits, of folded words."""


@lru_cache(maxsize=8192)
def course_of(subject: str, title: str) -> str:
    """Return the course a book is taught in: books of one course replace each other, others do not.

    Finer than the subject of the federal list, where «Математика» holds algebra, geometry and statistics,
    «История» two courses and «Русский язык» of the first class the alphabet too; and the same in every order,
    whatever that order calls the subject. A course for which there is no name of its own is the subject.
    """
    heading = " ".join(_LEVEL.sub("", subject).split())
    folded, about = fold(heading), fold(title)
    return next(
        (course for of, named, course in _COURSES if of.fullmatch(folded) and named.match(about)), heading
    )


# --- who uses which textbook ---


@dataclass(frozen=True)
class Use:
    """A line of an approved list: a textbook for a class group, or for a grade where ``letter`` is empty.

    ``subject`` is the course of the book (``course_of``); ``pupils``: so many and not all.
    """

    grade: int
    letter: str
    textbook_id: int
    subject: str
    pupils: int | None = None


@dataclass(frozen=True)
class UserGroup:
    """``pupils`` of a class group who use a textbook for a course."""

    textbook_id: int
    subject: str
    grade: int
    letter: str
    pupils: int


def users_of(uses: Iterable[Use], groups: Iterable[Group]) -> list[UserGroup]:
    """Return which class groups use which textbook, each with at least one pupil.

    For each course of a grade: a line that names so many pupils takes them from its group (or from the groups
    of its grade, in their order); the lines without a number share who is left. What a group's own lines
    leave, the lines of the whole grade serve, and nobody where a group's own line is without a number. So a
    second language or a special-needs book takes its pupils out of the book of the others, and two books for
    all of a course are each used by all.
    """
    by_course: defaultdict[tuple[int, str], list[Use]] = defaultdict(list)
    for use in uses:
        by_course[use.grade, use.subject].append(use)
    by_grade: defaultdict[int, list[Group]] = defaultdict(list)
    for group in sorted(groups):
        by_grade[group.grade].append(group)
    return [
        user
        for (grade, _), lines in sorted(by_course.items())
        for user in _users_of_course(lines, by_grade[grade])
    ]


def _users_of_course(lines: Sequence[Use], groups: Sequence[Group]) -> list[UserGroup]:
    users = []
    left = {group.letter: group.pupils for group in groups}
    general = [use for use in lines if not use.letter]
    for letter in sorted({use.letter for use in lines} & left.keys() - {""}):
        own = [use for use in lines if use.letter == letter]
        users += _serve(own, [letter], left)
        if any(use.pupils is None for use in own):
            left[letter] = 0
    return users + _serve(general, list(left), left)


def _serve(lines: Sequence[Use], letters: Sequence[str], left: dict[str, int]) -> list[UserGroup]:
    """Give the lines their pupils out of ``left``, from which those of a line with a number are taken."""
    users = []

    def add(use: Use, letter: str, pupils: int) -> None:
        if pupils > 0:
            users.append(UserGroup(use.textbook_id, use.subject, use.grade, letter, pupils))

    for use in lines:
        if use.pupils is None:
            continue
        wanted = use.pupils
        for letter in letters:
            taken = min(wanted, left[letter])
            add(use, letter, taken)
            left[letter] -= taken
            wanted -= taken
    for use in lines:
        if use.pupils is None:
            for letter in letters:
                add(use, letter, left[letter])
    return users
