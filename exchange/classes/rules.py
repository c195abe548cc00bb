"""Classes of a school and how many pupils they may have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exchange.errors import Invalid, Stale

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
    letter = "".join(text.split()).strip("\"'«»“”").upper()
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
