"""Classes of a school and how many pupils they may have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exchange.errors import Invalid, Stale
from exchange.sheets import Row, Value, number_of

FIRST_GRADE = 1
LAST_GRADE = 11
GRADES = range(FIRST_GRADE, LAST_GRADE + 1)
MOST_PUPILS = 2000
"""More pupils in one grade than any school has: a slip of the keyboard."""
LEVELS = ((1, 4), (5, 9), (10, 11))
"""First and last grade of primary, basic and secondary education (273-ФЗ, article 10)."""
LAST_OF_BASIC = 9
"""After it a part of the pupils leaves: how many enter the tenth grade is typed in, not reckoned."""
MOST_GROUPS = 12
"""Class groups of one grade."""
_FIRST_LETTER = 0x410
"""«А»: a name, not a text to be translated."""
_LOOKALIKES = str.maketrans(
    "ABCEHKMOPTX",
    "".join(map(chr, (0x410, 0x412, 0x421, 0x415, 0x41D, 0x41A, 0x41C, 0x41E, 0x420, 0x422, 0x425))),
)
"""Latin letters that cannot be told from Cyrillic ones: «5A» and «5А» are one class."""
_LETTER = re.compile(r"[А-ЯЁA-Z0-9]{0,3}")


@dataclass(frozen=True, order=True)
class Group:
    """A class group («5А»), or all pupils of a grade where ``letter`` is empty. Counts only, never names."""

    grade: int
    letter: str
    pupils: int

    @property
    def name(self) -> str:
        """«5А», or «5» for a grade that is not divided."""
        return f"{self.grade}{self.letter}"


def check_pupils(grade: int, pupils: int) -> None:
    """Raise ``Invalid`` (field «grade-N») for a number of pupils that cannot be."""
    if grade not in GRADES or not 0 <= pupils <= MOST_PUPILS:
        raise Invalid(
            "Учеников в %(grade)s классе – от 0 до %(most)s.",
            field=f"grade-{grade}",
            grade=grade,
            most=MOST_PUPILS,
        )


def letter_of(text: str) -> str:
    """Return the letter of a class group as it is stored: «а» → «А». Raises ``Invalid`` for anything else."""
    letter = "".join(text.split()).strip("\"'«»“”").upper().translate(_LOOKALIKES)
    if not _LETTER.fullmatch(letter):
        raise Invalid("Буква класса – до трёх букв или цифр: «А», «Б».", field="letter")
    return letter


# --- class groups as a whole ---


def tidy(groups: Iterable[Group]) -> list[Group]:
    """Return the groups of a school in their order; raise ``Invalid`` (field «grade-N») for what cannot be.

    A grade is either undivided (no letter) or divided (a letter for every group); no group is there twice.
    """
    kept = sorted(groups)
    for group in kept:
        check_pupils(group.grade, group.pupils)
    for grade, pupils in totals(kept).items():
        letters = [group.letter for group in kept if group.grade == grade]
        twice = next((letter for letter, number in Counter(letters).items() if number > 1), None)
        if "" in letters and len(letters) > 1:
            raise Invalid(
                "В %(grade)s классе несколько групп: впишите букву каждой.",
                field=f"grade-{grade}",
                grade=grade,
            )
        if twice is not None:
            raise Invalid("Класс %(name)s записан дважды.", field=f"grade-{grade}", name=f"{grade}{twice}")
        if len(letters) > MOST_GROUPS:
            raise Invalid(
                "В одной параллели – до %(most)s классов.", field=f"grade-{grade}", most=MOST_GROUPS
            )
        check_pupils(grade, pupils)
    return kept


def totals(groups: Iterable[Group]) -> dict[int, int]:
    """Return the pupils of each grade that is there, the youngest first."""
    result: dict[int, int] = {}
    for group in sorted(groups):
        result[group.grade] = result.get(group.grade, 0) + group.pupils
    return result


def by_level(pupils_by_grade: Mapping[int, int]) -> list[tuple[int, int, int]]:
    """Return, for each level with a grade that is there, its first and last grade and its pupils."""
    return [
        (first, last, sum(pupils_by_grade.get(grade, 0) for grade in range(first, last + 1)))
        for first, last in LEVELS
        if any(first <= grade <= last for grade in pupils_by_grade)
    ]


def moved_up(groups: Iterable[Group], there: Iterable[Group] = ()) -> list[Group]:
    """Return next year's groups: «5А» becomes «6А», the eleventh grade leaves.

    Who enters the first and the tenth grade is not known from this year: those grades are taken from
    ``there``, what is known of next year already.
    """
    typed_in = (FIRST_GRADE, LAST_OF_BASIC + 1)
    moved = [
        Group(group.grade + 1, group.letter, group.pupils)
        for group in groups
        if group.grade + 1 in GRADES and group.grade + 1 not in typed_in
    ]
    return sorted(moved + [group for group in there if group.grade in typed_in])


def split(group: Group) -> list[Group]:
    """Return two groups «А» and «Б» with the pupils of an undivided grade between them."""
    second = group.pupils // 2
    return [
        Group(group.grade, chr(_FIRST_LETTER), group.pupils - second),
        Group(group.grade, chr(_FIRST_LETTER + 1), second),
    ]


def joined(groups: Iterable[Group]) -> list[Group]:
    """Return one undivided group with the pupils of all the groups of a grade; none for none."""
    return [Group(grade, "", pupils) for grade, pupils in totals(groups).items()]


def written(groups: Iterable[Group]) -> str:
    """Return the groups in a line: «5А – 24, 5Б – 22»; equal for equal groups only."""
    return ", ".join(f"{group.name} – {group.pupils}" for group in sorted(groups))


def changes(before: Iterable[Group], after: Iterable[Group]) -> str:
    """Return what became of which group, in a line: «5А: 24 → 26, 5Б: 22 → –»."""
    old = {(group.grade, group.letter): group for group in before}
    new = {(group.grade, group.letter): group for group in after}
    return ", ".join(
        f"{(new.get(key) or old[key]).name}: "
        f"{old[key].pupils if key in old else '–'} → {new[key].pupils if key in new else '–'}"
        for key in sorted(old | new)
        if old.get(key) != new.get(key)
    )


def check_seen(seen: str, now: Iterable[Group]) -> None:
    """Raise ``Stale`` when the groups are no longer those that somebody had before them (``written``)."""
    present = written(now)
    if seen != present:
        raise Stale(
            "Пока страница была открыта, контингент изменили. Сейчас записано: %(now)s. Обновите страницу.",
            now=present or "–",
        )


# --- reading a table ---

_NAME = re.compile(
    r"(1[01]|[1-9])(?:\s*кл(?:асс)?\.?)?\s*[-–—]?\s*[«\"'“]?([А-ЯЁA-Z]?[0-9]?)[»\"'”]?(\s*кл(?:асс)?\.?)?",
    re.IGNORECASE,
)
_TOTAL = re.compile(
    r"(?:итог|всего|в том числе|по школе|начальн|основн|средн|[0-9]+\s*[-–—]\s*[0-9]+\s*кл)", re.I
)
FEWEST_ACROSS = 3
"""Bare numbers of grades in a row, below which they are not taken for a heading."""


@dataclass(frozen=True)
class Problem:
    """What could not be read of a table: row as it is numbered there, column from 1, a msgid."""

    row: int
    column: int
    message: str
    parameters: Mapping[str, object]


@dataclass(frozen=True)
class Reading:
    """Class groups read from a table, and what could not be read of it."""

    groups: tuple[Group, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Named:
    """A cell that names a class. ``sure``: it can be nothing else, unlike a bare «5»."""

    column: int
    grade: int
    letter: str
    sure: bool

    @property
    def name(self) -> str:
        return f"{self.grade}{self.letter}"


def read_groups(rows: Sequence[Row]) -> Reading:
    """Read class groups from a table in whichever way it is laid out.

    «5А | 24» in rows (with a number before it or further figures after it), «5 | А | 24», several such pairs
    beside each other, or a row of classes above a row of numbers. Rows of totals and headings are passed
    over. The total of a grade beside its groups is dropped where it agrees with them.
    """
    found: dict[tuple[int, str], tuple[Group, int]] = {}
    problems: list[Problem] = []

    def take(row: int, column: int, named: _Named, value: Value) -> None:
        pupils = number_of(value)
        key = (named.grade, named.letter)
        if pupils is None or pupils > MOST_PUPILS:
            problems.append(_problem(row, column, "Класс %(name)s: нужно число учеников.", name=named.name))
        elif key in found:
            message = "Класс %(name)s уже был в строке %(first)s."
            problems.append(_problem(row, named.column, message, name=named.name, first=found[key][1]))
        else:
            found[key] = (Group(*key, pupils), row)

    heading: list[_Named] = []
    for row, cells in rows:
        filled = [(column, value) for column, value in enumerate(cells) if value not in (None, "")]
        if heading:
            for above in heading:
                if cells[above.column] not in (None, ""):
                    take(row, above.column, above, cells[above.column])
            heading = []
            continue
        if not filled or (isinstance(filled[0][1], str) and _TOTAL.match(filled[0][1].strip())):
            continue
        names = [named for column, value in filled if (named := _named(column, value))]
        if _is_heading(names, cells):
            heading = names
            continue
        pairs = _pairs(names, filled)
        for named, column, value in pairs:
            take(row, column, named, value)
        if not pairs and any(number_of(value) is not None for _, value in filled):
            column, value = filled[0]
            message = "Класс не понят: «%(text)s»."
            problems.append(_problem(row, column, message, text=str(value)[:40]))
    return Reading(tuple(_without_totals(group for group, _ in found.values())), tuple(problems))


def _named(column: int, value: Value) -> _Named | None:
    text = value.strip() if isinstance(value, str) else str(value)
    match = _NAME.fullmatch(text) if len(text) <= 20 else None
    if match is None:
        return None
    return _Named(column, int(match[1]), letter_of(match[2]), sure=not text.isdecimal())


def _is_heading(names: Sequence[_Named], cells: Sequence[Value]) -> bool:
    sure = [named for named in names if named.sure]
    if len(sure) > 1:
        beside = sure[0].column + 1
        return number_of(cells[beside]) is None
    grades = [named.grade for named in names]
    return len(grades) >= FEWEST_ACROSS and not sure and grades == sorted(set(grades))


def _pairs(names: Sequence[_Named], filled: Sequence[tuple[int, Value]]) -> list[tuple[_Named, int, Value]]:
    """Return the classes of a row, each with the cell its number is in (an empty one where there is none)."""
    following = {column: filled[place + 1 :] for place, (column, _) in enumerate(filled)}
    sure = [named for named in names if named.sure]
    if not sure and names and names[0].column == filled[0][0] and len(filled) > 1:
        bare, (column, value) = names[0], filled[1]
        if isinstance(value, str) and number_of(value) is None and _is_letter(value):
            bare = _Named(bare.column, bare.grade, letter_of(value), sure=True)
            column, value = filled[2] if len(filled) > 2 else (column + 1, None)
        return [(bare, column, value)]
    return [
        (named, *(following[named.column][0] if following[named.column] else (named.column + 1, None)))
        for named in sure
    ]


def _is_letter(text: str) -> bool:
    try:
        return bool(letter_of(text))
    except Invalid:
        return False


def _without_totals(groups: Iterable[Group]) -> list[Group]:
    kept = sorted(groups)
    divided = totals(group for group in kept if group.letter)
    return [group for group in kept if group.letter or divided.get(group.grade) != group.pupils]


def _problem(row: int, column: int, message: str, **parameters: object) -> Problem:
    return Problem(row, column + 1, message, parameters)


def merged(stored: Iterable[Group], read: Iterable[Group]) -> list[Group]:
    """Return the groups that were read, and what is stored of the grades a table does not name."""
    new = list(read)
    grades = {group.grade for group in new}
    return sorted([*new, *(group for group in stored if group.grade not in grades)])
