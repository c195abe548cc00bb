"""What stands in the papers of the exchange, and how a district's surpluses and shortages balance.

The columns are those of the trade's own forms: «Сведения об излишках» and «Заявка на недостающие» of a
school, «Сводная ведомость» of the district.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from exchange.postings.rules import OfferKind, ShortageReason
from exchange.stock.rules import Condition

SURPLUS_COLUMNS = (
    "№ п/п", "№ по ФПУ (приказ)", "Предмет", "Автор(ы)", "Наименование", "Класс", "Уровень", "Издательство",
    "Год издания", "Кол-во", "Состояние", "Цена за ед., руб.", "Вид передачи", "Можно отдать с", "Примечание",
)  # fmt: skip
MISSING_COLUMNS = (
    "№", "№ по ФПУ (приказ)", "Предмет", "Автор", "Наименование", "Класс", "Обучающихся", "В наличии",
    "К списанию", "Недостаёт", "Причина", "Нужен к дате", "Допустимые годы издания",
)  # fmt: skip
CONSOLIDATED_COLUMNS = (
    "№ п/п", "№ по ФПУ (приказ)", "Предмет", "Автор(ы)", "Наименование", "Класс", "Издательство", "Излишек",
    "У кого излишек", "Свободно в фонде", "Недостаёт", "Кому недостаёт", "Закроет обмен", "Закроет фонд",
    "Остаток (+) или нехватка (–)",
)  # fmt: skip
BY_SCHOOL_COLUMNS = (
    "Школа", "Предмет", "Автор(ы)", "Наименование", "Класс", "Издательство", "Излишек", "Недостаёт",
)  # fmt: skip

FEW = "менее 3"
"""Written instead of a number that may identify a child."""


@dataclass(frozen=True)
class Book:
    """How a textbook, or one part of it, is named in a paper.

    ``number``: «1.1.1.1.1.1 (858)», in the newest order in force that names it; empty where none does.
    ``part`` is ``None`` for a book in one volume.
    """

    textbook_id: int
    number: str
    subject: str
    authors: str
    title: str
    grades: str
    level: str
    publisher: str
    part: int | None = None


@dataclass(frozen=True)
class Surplus:
    """A row of «Сведения об излишках»: ``copies`` that nobody has asked for yet."""

    book: Book
    year: int
    copies: int
    condition: Condition
    kind: OfferKind
    due_back: date | None
    available_from: date | None
    note: str


@dataclass(frozen=True)
class Missing:
    """A row of «Заявка на недостающие».

    ``pupils`` is ``None`` where it is not known who uses the book. ``held`` copies stand on the shelf, of
    them ``worn`` are to be written off; ``copies`` are asked for and not found yet. ``hidden``: the reader
    may not see the numbers of pupils and of missing copies.
    """

    book: Book
    pupils: int | None
    held: int
    worn: int
    copies: int
    reason: ShortageReason
    needed_by: date | None
    year_from: int | None
    hidden: bool = False


@dataclass(frozen=True)
class Balance:
    """A textbook (or a part of it) in the whole district, in copies.

    ``spare`` and ``lacking`` by school; a number that may identify a child is ``None``. ``fund``: free above
    its floor.
    """

    book: Book
    spare: Mapping[str, int]
    lacking: Mapping[str, int | None]
    fund: int

    @property
    def surplus(self) -> int:
        """Copies that schools have to spare."""
        return sum(self.spare.values())

    @property
    def missing(self) -> int | None:
        """Copies that schools lack; ``None`` where one of the numbers is not to be seen."""
        return known_sum(self.lacking.values())

    @property
    def by_exchange(self) -> int | None:
        """Missing copies that other schools have: a school does not give to itself.

        The most that can change hands between two sides whose every pair but a school with itself may meet:
        a cut through such a network is either side, or what all but one school give and take.
        """
        wanted = self.missing
        if wanted is None:
            return None
        both = self.spare.keys() & self.lacking.keys()
        without = (self.surplus - self.spare[s] + wanted - (self.lacking[s] or 0) for s in both)
        return min([self.surplus, wanted, *without])

    @property
    def by_fund(self) -> int | None:
        """Missing copies that the fund has when the exchange has done what it can."""
        if self.missing is None or self.by_exchange is None:
            return None
        return min(self.fund, self.missing - self.by_exchange)

    @property
    def balance(self) -> int | None:
        """What is left over (+) or still lacking (−) in the district."""
        return None if self.missing is None else self.surplus + self.fund - self.missing


def known_sum(numbers: Iterable[int | None]) -> int | None:
    """Add up; ``None`` when one of the numbers is not known, because the sum would tell it."""
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


@dataclass(frozen=True)
class SchoolTotal:
    """What a school has to spare and lacks in all, in titles and copies; ``None``: not to be seen."""

    school: str
    surplus_titles: int
    surplus: int
    missing_titles: int
    missing: int | None


def by_school(rows: Iterable[Balance]) -> list[SchoolTotal]:
    """Return the totals of every school that stands in some row, by name."""
    spare: dict[str, list[int]] = {}
    lacking: dict[str, list[int | None]] = {}
    for row in rows:
        for school, copies in row.spare.items():
            spare.setdefault(school, []).append(copies)
        for school, missing in row.lacking.items():
            lacking.setdefault(school, []).append(missing)
    return [
        SchoolTotal(
            school=school,
            surplus_titles=len(spare.get(school, ())),
            surplus=sum(spare.get(school, ())),
            missing_titles=len(lacking.get(school, ())),
            missing=known_sum(lacking.get(school, ())),
        )
        for school in sorted(spare.keys() | lacking.keys())
    ]


def grades_of(first: int | None, last: int | None) -> str:
    """Return «7» or «10–11»; empty where the book is for no class."""
    if first is None:
        return ""
    return str(first) if first == last else f"{first}–{last}"
