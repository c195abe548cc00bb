"""What becomes of a school's spreadsheet and of each of its rows, and what it would change on the shelf."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from exchange.recognition.rules import Kind

FIRST_YEAR = 1990
"""Year of printing of the oldest books that may still stand on a shelf."""


class IntakeState(StrEnum):
    """Where an import stands."""

    READING = "reading"
    REVIEW = "review"
    APPLIED = "applied"
    UNDONE = "undone"
    DISCARDED = "discarded"
    FAILED = "failed"

    @property
    def being_read(self) -> bool:
        """Whether a run is reading the rows."""
        return self is IntakeState.READING

    @property
    def in_review(self) -> bool:
        """Whether a person may answer and write it to the shelf."""
        return self is IntakeState.REVIEW

    @property
    def applied(self) -> bool:
        """Whether the shelf holds what it says."""
        return self is IntakeState.APPLIED

    @property
    def failed(self) -> bool:
        """Whether the file could not be read."""
        return self is IntakeState.FAILED


INTAKE_STATE_NAMES = {
    IntakeState.READING: "читается",
    IntakeState.REVIEW: "на сверке",
    IntakeState.APPLIED: "записан на полку",
    IntakeState.UNDONE: "отменён",
    IntakeState.DISCARDED: "не понадобился",
    IntakeState.FAILED: "не прочитан",
}


class Outcome(StrEnum):
    """What became of a row; every row read has exactly one."""

    RECOGNISED = "recognised"
    TO_CONFIRM = "to_confirm"
    NOT_TEXTBOOK = "not_textbook"
    NOT_LISTED = "not_listed"
    ERROR = "error"
    SKIPPED = "skipped"
    """A person left it out."""
    SERVICE = "service"
    """Title rows, headings, totals, blank rows: kept, and shown when asked for."""


OUTCOME_NAMES = {
    Outcome.RECOGNISED: "распознано",
    Outcome.TO_CONFIRM: "подтвердите",
    Outcome.NOT_TEXTBOOK: "не учебник",
    Outcome.NOT_LISTED: "нет в перечне",
    Outcome.ERROR: "ошибка",
    Outcome.SKIPPED: "пропущено",
    Outcome.SERVICE: "служебная строка",
}


class Question(StrEnum):
    """What a person still has to say about a row."""

    BOOK = "book"
    PART = "part"
    YEAR = "year"


@dataclass(frozen=True)
class Understood:
    """What is known of a row so far.

    ``parts`` is how many parts the book has, ``part`` the one that is meant; ``whole_set``: every part is;
    ``wrong``: a cell cannot be read; ``lone``: the row has one text and no count, as headings have.
    """

    kind: Kind
    textbook_id: int | None = None
    parts: int = 1
    part: int | None = None
    whole_set: bool = False
    year: int | None = None
    copies: int | None = None
    wrong: bool = False
    lone: bool = False


def settle(row: Understood, *, default_year: int | None = None) -> tuple[Outcome, tuple[Question, ...]]:
    """Return what becomes of a row, and what is to be asked about it.

    A row is recognised only when its book, part, year of printing and count are all known.
    """
    if row.textbook_id is None and row.kind is Kind.NOT_TEXTBOOK:
        return (Outcome.SERVICE if row.lone else Outcome.NOT_TEXTBOOK), ()
    if row.textbook_id is None and row.kind is Kind.NOT_LISTED:
        return (Outcome.SERVICE if row.lone else Outcome.NOT_LISTED), ()
    questions = []
    if row.textbook_id is None:
        questions.append(Question.BOOK)
    elif row.parts > 1 and row.part is None and not row.whole_set:
        questions.append(Question.PART)
    if row.year is None and default_year is None:
        questions.append(Question.YEAR)
    if row.wrong or row.copies is None:
        return Outcome.ERROR, tuple(questions)
    return (Outcome.TO_CONFIRM if questions else Outcome.RECOGNISED), tuple(questions)


# --- columns ---


class Role(StrEnum):
    """What a column means."""

    TITLE = "title"
    AUTHORS = "authors"
    SUBJECT = "subject"
    GRADES = "grades"
    PART = "part"
    YEAR = "year"
    PUBLISHER = "publisher"
    LEVEL = "level"
    COPIES = "copies"
    WORN = "worn"
    NUMBER = "number"
    ISBN = "isbn"
    CODE = "code"
    INVENTORY = "inventory"
    OTHER = "other"


ROLE_NAMES = {
    Role.OTHER: "не нужен",
    Role.TITLE: "наименование (можно вместе с автором)",
    Role.AUTHORS: "автор",
    Role.COPIES: "количество экземпляров",
    Role.WORN: "из них к списанию",
    Role.YEAR: "год издания",
    Role.GRADES: "класс",
    Role.SUBJECT: "предмет",
    Role.PART: "часть",
    Role.PUBLISHER: "издательство",
    Role.LEVEL: "уровень",
    Role.NUMBER: "номер по перечню (ФПУ)",
    Role.ISBN: "штрихкод с обложки",
    Role.CODE: "код портала",
    Role.INVENTORY: "инвентарный номер (строка – один экземпляр)",
}
"""What the roles are called, in the order in which they are offered."""

OF_YEAR = "year-"
OF_GRADE = "grade-"
OF_PART = "part-"
SPREAD = (OF_YEAR, OF_GRADE, OF_PART)
"""A column of counts for one year of printing («2019»), one class («5 класс») or one part («1 ч.»):
«year-2019», «grade-5», «part-1»."""

SERVICE_TITLE = "строка над таблицей"
SERVICE_HEADER = "шапка таблицы"
SERVICE_NUMBERING = "номера столбцов"
SERVICE_TOTAL = "итог"
SERVICE_SECTION = "заголовок раздела"
SERVICE_BLANK = "пустая строка"
SERVICE_NUMBERS = "в строке нет названия"
SERVICE_SHEET = "лист не читается"
SERVICE_NOTE = "подпись или примечание"
"""What rows are that name no book."""


# --- what the file would change ---

EditionKey = tuple[int, int, int]
"""Textbook, year of printing, part."""


@dataclass(frozen=True)
class Counted:
    """A recognised row, as far as the shelf goes. ``parts``: how many the book has."""

    row_id: int
    textbook_id: int
    parts: int
    part: int | None
    year: int
    copies: int
    worn: int | None = None

    @property
    def editions(self) -> list[EditionKey]:
        """The editions it counts: the part it names, or every part."""
        numbers = [self.part] if self.part is not None else range(1, self.parts + 1)
        return [(self.textbook_id, self.year, number) for number in numbers]


@dataclass(frozen=True)
class Total:
    """What a file says of one edition: several rows add up. ``worn`` None: it says nothing of worn copies."""

    key: EditionKey
    copies: int
    worn: int | None
    row_ids: tuple[int, ...]


def totals(rows: Iterable[Counted]) -> dict[EditionKey, Total]:
    """Add up the rows of each edition, in the order of their keys."""
    copies: dict[EditionKey, int] = {}
    worn: dict[EditionKey, int] = {}
    ids: dict[EditionKey, list[int]] = {}
    for row in rows:
        for key in row.editions:
            copies[key] = copies.get(key, 0) + row.copies
            ids.setdefault(key, []).append(row.row_id)
            if row.worn is not None:
                worn[key] = worn.get(key, 0) + row.worn
    return {key: Total(key, copies[key], worn.get(key), tuple(ids[key])) for key in sorted(copies)}


@dataclass(frozen=True)
class OnShelf:
    """What stands on the shelf of one edition: own copies, what is promised and offered of them, notes."""

    edition_id: int | None = None
    own: int = 0
    promised: int = 0
    offered: int = 0
    borrowed: int = 0
    worn: int = 0
    counted_at: datetime | None = None
    noted: bool = False
    """Whether there is a note of condition and count at all."""


NOTHING = OnShelf()


@dataclass(frozen=True)
class Change:
    """One edition as it is and as the file would make it.

    ``refusal`` says, as a msgid with parameters, why it cannot be: then nothing of it changes.
    """

    key: EditionKey
    before: OnShelf
    copies: int
    worn: int
    row_ids: tuple[int, ...]
    refusal: str = ""
    parameters: Mapping[str, int] | None = None

    @property
    def refused(self) -> bool:
        """Whether the shelf cannot be brought to this count."""
        return bool(self.refusal)

    @property
    def moves(self) -> bool:
        """Whether copies come or go."""
        return not self.refused and self.copies != self.before.own

    @property
    def differs(self) -> bool:
        """Whether anything that people see changes."""
        return self.moves or (not self.refused and self.worn != self.before.worn)


PROMISED = "Обещано другим школам %(promised)s экз., а в файле %(copies)s: строка не будет записана."
OFFERED = (
    "Выставлено излишком %(offered)s экз., а в файле %(copies)s: сначала уменьшите или отзовите излишек."
)
PROMISED_AND_OFFERED = (
    "Обещано %(promised)s и выставлено излишком %(offered)s экз., а в файле %(copies)s: "
    "сначала уменьшите излишек."
)
WORN_MORE = "К списанию в файле %(worn)s экз., а всего на полке будет %(here)s: исправьте одно из чисел."
TOO_MANY = "В файле %(copies)s экз. одного издания: больше %(most)s не бывает."


def change(total: Total, shelf: OnShelf, *, most: int) -> Change:
    """Compare what a file says of an edition with the shelf; ``most`` is the largest count there can be."""
    here = total.copies + shelf.borrowed
    # Like a count by hand: worn copies the file says nothing of stay, as far as there are any copies.
    worn = min(shelf.worn, here) if total.worn is None else total.worn
    refusal, parameters = "", {}
    if total.copies > most:
        refusal, parameters = TOO_MANY, {"copies": total.copies, "most": most}
    elif total.copies < shelf.promised + shelf.offered:
        refusal = PROMISED if not shelf.offered else OFFERED if not shelf.promised else PROMISED_AND_OFFERED
        parameters = {"promised": shelf.promised, "offered": shelf.offered, "copies": total.copies}
    elif worn > here:
        refusal, parameters = WORN_MORE, {"worn": worn, "here": here}
    return Change(total.key, shelf, total.copies, worn, total.row_ids, refusal, parameters)


def changes(
    counted: Mapping[EditionKey, Total], shelf: Mapping[EditionKey, OnShelf], *, most: int
) -> list[Change]:
    """Compare a whole file with the shelf."""
    return [change(total, shelf.get(key, NOTHING), most=most) for key, total in counted.items()]


def untouched(shelf: Mapping[EditionKey, OnShelf], counted: Collection[EditionKey]) -> int:
    """Return how many editions with copies on the shelf the file does not mention: they stay as they are."""
    return sum(1 for key, here in shelf.items() if here.own and key not in counted)


# --- undoing ---


@dataclass(frozen=True)
class Written:
    """What an import did to one edition: the copies it added, the notes it found and those it left."""

    edition_id: int
    added: int
    worn_before: int
    worn: int
    counted_before: datetime | None
    noted_before: bool


@dataclass(frozen=True)
class Since:
    """What stands there now. ``moved``: copies came or went after the import."""

    own: int = 0
    promised: int = 0
    offered: int = 0
    worn: int = 0
    counted_at: datetime | None = None
    moved: bool = False


class Dependence(StrEnum):
    """Why an import can no longer be undone."""

    MOVED = "moved"
    COUNTED = "counted"
    NOTED = "noted"
    PROMISED = "promised"


DEPENDENCES = {
    Dependence.MOVED: "книги после этого приходили или уходили",
    Dependence.COUNTED: "книги после этого пересчитывали",
    Dependence.NOTED: "после этого отмечали состояние книг",
    Dependence.PROMISED: "книги обещаны другой школе или выставлены излишком",
}


def depends(written: Written, now: Since, *, applied_at: datetime) -> Dependence | None:
    """Say what stands on the import of this edition, if anything does."""
    if now.moved:
        return Dependence.MOVED
    if now.counted_at != applied_at:
        return Dependence.COUNTED
    if now.worn != written.worn:
        return Dependence.NOTED
    if now.own - written.added < now.promised + now.offered:
        return Dependence.PROMISED
    return None


def first_few(names: Sequence[str], most: int = 3) -> str:
    """Return names for a sentence: at most ``most`` of them, then an ellipsis."""
    return ", ".join(names[:most]) + ("…" if len(names) > most else "")
