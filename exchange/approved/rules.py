"""When an approved list may be changed, signed and approved, and which textbook a class uses."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from exchange.catalog.rules import Verdict, fold
from exchange.classes.rules import GRADES, MOST_PUPILS, Group
from exchange.errors import Forbidden, Invalid, WrongMoment
from exchange.schools.rules import Action


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
RUSSIAN = "Русский язык"
READING = "Литературное чтение"
LITERATURE = "Литература"
WORLD_AROUND = "Окружающий мир"
ETHICS = "Основы религиозных культур и светской этики"
INFORMATICS = "Информатика"
SOCIETY = "Обществознание"
GEOGRAPHY = "География"
BIOLOGY = "Биология"
PHYSICS = "Физика"
CHEMISTRY = "Химия"
ART = "Изобразительное искусство"
MUSIC = "Музыка"
SPORT = "Физическая культура"

COMPULSORY: Mapping[str, tuple[int, int]] = {
    RUSSIAN: (1, 11),
    ABC: (1, 1),
    READING: (1, 4),
    LITERATURE: (5, 11),
    LANGUAGE: (2, 11),
    MATHEMATICS: (1, 6),
    ALGEBRA: (7, 11),
    GEOMETRY: (7, 11),
    PROBABILITY: (7, 9),
    INFORMATICS: (7, 11),
    WORLD_AROUND: (1, 4),
    WORLD_HISTORY: (5, 11),
    RUSSIAN_HISTORY: (6, 11),
    SOCIETY: (8, 11),
    GEOGRAPHY: (5, 11),
    BIOLOGY: (5, 11),
    PHYSICS: (7, 11),
    CHEMISTRY: (8, 11),
    ETHICS: (4, 4),
    ART: (1, 7),
    MUSIC: (1, 8),
    CRAFT: (1, 9),
    SPORT: (1, 11),
    SAFETY: (8, 11),
}
"""First and last grade of every course each pupil takes, in the order of the school's plan.

The federal standards: primary school (order 286 of 31.05.2021, 32.1), basic school (287 of 31.05.2021, 33.1),
secondary school (413 of 17.05.2012 as amended by 732 of 12.08.2022, 18.3.1); the grades of social studies and
of safety are those of the federal programmes in force since 2025. Statistics has no textbook of its own in
grades 10 and 11. A standard that changes is changed here and nowhere else.
"""
_COVERS: Mapping[str, frozenset[str]] = {
    MATHEMATICS: frozenset({ALGEBRA, GEOMETRY}),
    HISTORY: frozenset({WORLD_HISTORY, RUSSIAN_HISTORY}),
    "Русский язык и литература": frozenset({RUSSIAN, LITERATURE}),
    "Естествознание": frozenset({PHYSICS, CHEMISTRY, BIOLOGY}),
}
"""Courses that one book serves at once."""

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
    return [user for users in served(uses, groups).values() for user in users]


def served(uses: Iterable[Use], groups: Iterable[Group]) -> dict[Use, list[UserGroup]]:
    """Return, for each line by grade and course, the class groups it serves; none where it serves nobody."""
    by_course: defaultdict[tuple[int, str], list[Use]] = defaultdict(list)
    for use in uses:
        by_course[use.grade, use.subject].append(use)
    by_grade: defaultdict[int, list[Group]] = defaultdict(list)
    for group in sorted(groups):
        by_grade[group.grade].append(group)
    result: dict[Use, list[UserGroup]] = {}
    for (grade, _), lines in sorted(by_course.items()):
        result |= _served(lines, by_grade[grade])
    return result


def _served(lines: Sequence[Use], groups: Sequence[Group]) -> dict[Use, list[UserGroup]]:
    result: dict[Use, list[UserGroup]] = {use: [] for use in lines}
    left = {group.letter: group.pupils for group in groups}

    def give(use: Use, letter: str, pupils: int) -> None:
        if pupils > 0:
            result[use].append(UserGroup(use.textbook_id, use.subject, use.grade, letter, pupils))

    def serve(some: Sequence[Use], letters: Sequence[str]) -> None:
        for use in some:
            wanted = use.pupils or 0
            for letter in letters:
                taken = min(wanted, left[letter])
                give(use, letter, taken)
                left[letter] -= taken
                wanted -= taken
        for use in some:
            if use.pupils is None:
                for letter in letters:
                    give(use, letter, left[letter])

    for letter in sorted({use.letter for use in lines} & left.keys() - {""}):
        own = [use for use in lines if use.letter == letter]
        serve(own, [letter])
        if any(use.pupils is None for use in own):
            left[letter] = 0
    serve([use for use in lines if not use.letter], list(left))
    return result


def plan_order(course: str) -> tuple[int, str]:
    """Return a key that puts courses in the order of the school's plan, and others after them by name."""
    return _ORDER.get(course, len(_ORDER)), course


_ORDER = {course: place for place, course in enumerate(COMPULSORY)}


def serves(course: str, grade: int) -> frozenset[str]:
    """Return the courses a book of ``course`` serves in a grade: mostly one, «Алгебра и геометрия» two."""
    together = _COVERS.get(course, frozenset())
    own = {course} if not together or is_compulsory(course, grade) else set()
    return frozenset(own | {each for each in together if is_compulsory(each, grade)} or {course})


def is_compulsory(course: str, grade: int) -> bool:
    """Say whether every pupil of the grade takes the course."""
    first, last = COMPULSORY.get(course, (0, -1))
    return first <= grade <= last


# --- gaps, proposals, comparison ---


@dataclass(frozen=True)
class Gap:
    """A course of a grade without a textbook for the groups ``letters``; empty: for none of them."""

    grade: int
    course: str
    letters: tuple[str, ...] = ()


def gaps(uses: Iterable[Use], groups: Iterable[Group]) -> list[Gap]:
    """Return the compulsory courses without a textbook, of the grades that have pupils."""
    chosen: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
    for use in uses:
        for course in serves(use.subject, use.grade):
            chosen[use.grade, course].add(use.letter)
    letters: defaultdict[int, list[str]] = defaultdict(list)
    for group in sorted(groups):
        if group.pupils:
            letters[group.grade].append(group.letter)
    found = []
    for grade, there in sorted(letters.items()):
        for course in COMPULSORY:
            have = chosen.get((grade, course), set())
            without = [] if "" in have else [letter for letter in there if letter not in have]
            if is_compulsory(course, grade) and without:
                found.append(Gap(grade, course, () if len(without) == len(there) else tuple(without)))
    return found


class Source(StrEnum):
    """Why a textbook is proposed."""

    LAST_YEAR = "last_year_list"
    SHELF = "shelf"
    ASKED_FOR = "asked_for"


SOURCE_NAMES = {
    Source.LAST_YEAR: "как в прошлом году",
    Source.SHELF: "есть на полке",
    Source.ASKED_FOR: "есть в заявке",
}


@dataclass(frozen=True)
class Held:
    """A textbook a school has (complete ``sets``) or asks for; ``usable``: lawful in the year of the list."""

    textbook_id: int
    course: str
    grades: tuple[int, ...]
    sets: int
    usable: bool
    special_needs: bool = False


@dataclass(frozen=True)
class Proposal:
    """A line that could be taken into the list."""

    use: Use
    source: Source
    sets: int = 0


def propose(
    present: Sequence[Use],
    former: Iterable[Use],
    groups: Sequence[Group],
    held: Iterable[Held],
    usable: Collection[int],
) -> list[Proposal]:
    """Return lines to take into the list, by grade and plan: nothing for what the list has already.

    First the lines of the year before, for the same grade: books stay in the grade, pupils move up. Then, for
    the compulsory courses still without a textbook, the lawful one of which most sets are on the shelf, or
    that is asked for. ``usable``: the textbooks of ``former`` that may still be taught from.
    """
    pupils: defaultdict[int, set[str]] = defaultdict(set)
    for group in groups:
        if group.pupils:
            pupils[group.grade].add(group.letter)
    chosen = {(use.grade, course) for use in present for course in serves(use.subject, use.grade)}
    found = [
        Proposal(use, Source.LAST_YEAR)
        for use in former
        if use.grade in pupils
        and (not use.letter or use.letter in pupils[use.grade])
        and use.textbook_id in usable
        and not any((use.grade, course) in chosen for course in serves(use.subject, use.grade))
    ]
    kept = list(held)
    for gap in gaps([*present, *(each.use for each in found)], groups):
        if gap.letters or (gap.grade, gap.course) in chosen:
            continue
        best = max(
            (
                each
                for each in kept
                if gap.grade in each.grades
                and gap.course in serves(each.course, gap.grade)
                and each.usable
                and not each.special_needs
            ),
            key=lambda each: (each.sets, -each.textbook_id),
            default=None,
        )
        if best is None:
            continue
        chosen |= {(gap.grade, course) for course in serves(best.course, gap.grade)}
        source = Source.SHELF if best.sets else Source.ASKED_FOR
        found.append(Proposal(Use(gap.grade, "", best.textbook_id, best.course), source, best.sets))
    return sorted(found, key=lambda each: (each.use.grade, plan_order(each.use.subject), each.use.letter))


class Difference(StrEnum):
    """What became of a course of a class since the year before."""

    ADDED = "added"
    GONE = "gone"
    CHANGED = "changed"


DIFFERENCE_NAMES = {
    Difference.ADDED: "добавлено",
    Difference.GONE: "убрано",
    Difference.CHANGED: "другой учебник",
}


@dataclass(frozen=True)
class Changed:
    """The textbooks of a course of a class in the year before and now."""

    grade: int
    letter: str
    course: str
    before: tuple[int, ...]
    now: tuple[int, ...]

    @property
    def kind(self) -> Difference:
        """What became of it."""
        if not self.before:
            return Difference.ADDED
        return Difference.CHANGED if self.now else Difference.GONE


def compare(former: Iterable[Use], present: Iterable[Use]) -> list[Changed]:
    """Return what is not as in the year before, by grade and plan."""
    before, now = _books(former), _books(present)
    keys = sorted(before.keys() | now.keys(), key=lambda key: (key[0], plan_order(key[2]), key[1]))
    return [
        Changed(*key, before.get(key, ()), now.get(key, ()))
        for key in keys
        if before.get(key, ()) != now.get(key, ())
    ]


def _books(uses: Iterable[Use]) -> dict[tuple[int, str, str], tuple[int, ...]]:
    found: defaultdict[tuple[int, str, str], list[int]] = defaultdict(list)
    for use in uses:
        found[use.grade, use.letter, use.subject].append(use.textbook_id)
    return {key: tuple(sorted(books)) for key, books in found.items()}


# --- lines ---


def check_line(
    textbook: Textbook, grade: int, letter: str, pupils: int | None, groups: Iterable[Group]
) -> None:
    """Raise ``Invalid`` (fields «grade», «letter», «pupils») for a line that cannot be."""
    if grade not in GRADES:
        raise Invalid("Выберите класс от 1 до 11.", field="grade")
    low, high = textbook.grade_from, textbook.grade_to
    if low is not None and high is not None and not low <= grade <= high:
        raise Invalid(
            "Этот учебник для других классов: %(first)s–%(last)s.", field="grade", first=low, last=high
        )
    there = [group for group in groups if group.grade == grade]
    if letter and there and letter not in {group.letter for group in there}:
        raise Invalid("Класса %(name)s в контингенте нет.", field="letter", name=f"{grade}{letter}")
    if pupils is not None and not 0 < pupils <= MOST_PUPILS:
        raise Invalid("Учеников – от 1 до %(most)s, или оставьте пустым.", field="pupils", most=MOST_PUPILS)
    most = sum(group.pupils for group in there if not letter or group.letter == letter)
    if pupils is not None and there and pupils > most:
        raise Invalid("Учеников в этих классах только %(most)s.", field="pupils", most=most)


class Textbook(Protocol):
    """What the check of a line asks of a textbook."""

    @property
    def grade_from(self) -> int | None:
        """First grade; ``None`` for colleges."""

    @property
    def grade_to(self) -> int | None:
        """Last grade."""


# --- from hand to hand ---


class StepName(StrEnum):
    """What can be done with a list as a whole."""

    SUBMIT = "submit"
    CHECK = "check"
    APPROVE = "approve"
    SEND_BACK = "send_back"


STEP_NAMES = {
    StepName.SUBMIT: "Отправить на проверку",
    StepName.CHECK: "Проверено",
    StepName.APPROVE: "Утвердить",
    StepName.SEND_BACK: "Вернуть в черновик",
}


@dataclass(frozen=True)
class Step:
    """From which states a step leads where, and who may take it (any of the actions)."""

    name: StepName
    sources: frozenset[ListState]
    to: ListState
    actions: tuple[Action, ...]


STEPS = (
    Step(
        StepName.SUBMIT,
        frozenset({ListState.DRAFT}),
        ListState.DRAFT,
        (Action.PREPARE_LIST,),
    ),
    Step(StepName.CHECK, frozenset({ListState.DRAFT}), ListState.CHECKED, (Action.CHECK_LIST,)),
    Step(StepName.APPROVE, frozenset({ListState.CHECKED}), ListState.APPROVED, (Action.APPROVE_LIST,)),
    Step(
        StepName.SEND_BACK,
        frozenset({ListState.CHECKED, ListState.APPROVED}),
        ListState.DRAFT,
        (Action.CHECK_LIST, Action.APPROVE_LIST),
    ),
)
WITHOUT_DEPUTY = Step(
    StepName.APPROVE, frozenset({ListState.DRAFT}), ListState.APPROVED, (Action.APPROVE_LIST,)
)
"""Where nobody checks lists, as in most village schools, the director approves the draft."""


def menu(state: ListState, may: Callable[[Action], bool], *, has_deputy: bool) -> list[Step]:
    """Return the steps that a person may take now. Who checks a list need not submit it to themselves."""
    steps = STEPS if has_deputy else (*STEPS, WITHOUT_DEPUTY)
    return [
        step
        for step in steps
        if state in step.sources
        and any(may(action) for action in step.actions)
        and not (step.name is StepName.SUBMIT and may(Action.CHECK_LIST))
    ]


def take(name: StepName, state: ListState, may: Callable[[Action], bool], *, has_deputy: bool) -> Step:
    """Return the row of a step; raise ``Forbidden`` or ``WrongMoment`` where it cannot be taken."""
    for step in menu(state, may, has_deputy=has_deputy):
        if step.name is name:
            return step
    rows = [step for step in (*STEPS, WITHOUT_DEPUTY) if step.name is name]
    if not any(may(action) for step in rows for action in step.actions):
        raise Forbidden("У вас нет права на это действие.")
    raise WrongMoment("Этот шаг сейчас невозможен: перечень – %(state)s.", state=LIST_STATE_NAMES[state])


def check_editable(state: ListState) -> None:
    """Raise ``WrongMoment`` for a list that has been checked or approved."""
    if state is not ListState.DRAFT:
        raise WrongMoment(
            "Перечень уже %(state)s. Чтобы изменить его, верните его в черновик.",
            state=LIST_STATE_NAMES[state],
        )


def check_lawful(lines: Iterable[tuple[int, str, Verdict]]) -> None:
    """Raise ``Invalid`` when a line (grade, title, verdict) may not be taught from, or there is none."""
    kept = list(lines)
    if not kept:
        raise Invalid("В перечне ещё нет ни одного учебника.")
    unlawful = [(grade, title) for grade, title, verdict in kept if not verdict.legality.usable]
    if unlawful:
        raise Invalid(
            "В этом учебном году нельзя учиться по книгам: %(books)s. Замените или уберите их.",
            books="; ".join(f"«{title}», {grade}" for grade, title in unlawful[:5])
            + ("…" if len(unlawful) > 5 else ""),
        )
