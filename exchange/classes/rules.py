"""Classes of a school and how many pupils they may have."""

from __future__ import annotations

import re
from dataclasses import dataclass

from exchange.errors import Invalid

FIRST_GRADE = 1
LAST_GRADE = 11
GRADES = range(FIRST_GRADE, LAST_GRADE + 1)
MOST_PUPILS = 2000
"""More pupils in one grade than any school has: a slip of the keyboard."""
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
