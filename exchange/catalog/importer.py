"""Reads the federal list from a table of any form and says what happened to every row.

The official table has eleven columns under a header of very long cells; people also send simple tables with
one fact per column. Both are found by the words of the header, never by position. Nothing is corrected
silently: what was cleaned beyond spaces and quotes stands in the findings with its row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum
from typing import Any, BinaryIO

from exchange.catalog.rules import Level, fold, identity, publisher_group
from exchange.errors import Invalid
from exchange.sheets import Limits, Sheet, Value, read

# The real workbook is 0.25 MB packed and 2 MB unpacked: 2,550 rows of 12 columns, 160 thousand tags. The same
# list in Word takes ten times as many.
LIMITS = Limits(megabytes=20, unpacked=96, ratio=200, members=500, tags=4_000_000, rows=30_000, columns=64)
MAX_CELL = 32_767


class Severity(Enum):
    """How much a finding should worry the reader."""

    NOTICE = "notice"
    DOUBT = "doubt"
    ERROR = "error"


class Outcome(Enum):
    """What became of a row; every row read has exactly one."""

    IMPORTED = "imported"
    HEADING = "heading"
    NUMBERING = "numbering"
    HEADER = "header"
    PREAMBLE = "preamble"
    BLANK = "blank"
    LISTED = "listed"


@dataclass(frozen=True)
class Finding:
    """Something the reader should know about a row. ``message`` is a msgid filled by ``parameters``."""

    sheet: str
    row: int
    severity: Severity
    code: str
    message: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message % self.parameters


@dataclass(frozen=True)
class RowOutcome:
    """What became of one row."""

    sheet: str
    row: int
    outcome: Outcome


@dataclass(frozen=True)
class Grades:
    """The classes a book is for; ``label`` is how the list calls them («5», «10–11», «1 доп.»)."""

    first: int
    last: int
    label: str


@dataclass(frozen=True)
class Authors:
    """The people of a title page; ``others`` when the list shortens them to «и другие»."""

    names: tuple[str, ...] = ()
    editors: tuple[str, ...] = ()
    others: bool = False


@dataclass(frozen=True)
class Title:
    """A title cell taken apart."""

    text: str
    grades: Grades | None
    level: Level
    parts: int
    edition_note: str
    language: str
    trial: bool


@dataclass(frozen=True)
class LastDay:
    """A cell with a last day: a date, «бессрочно», or neither. ``clean`` is False when it was guessed."""

    day: date | None
    perpetual: bool
    clean: bool


@dataclass(frozen=True)
class ParsedEntry:
    """One entry of the list as read.

    ``grade_from`` and ``grade_to`` are None for vocational schools (СПО) and where no class is named;
    ``parts`` is the number of volumes of one set; ``position`` counts the earlier entries that bear the same
    number; ``raw`` keeps the cells as they stood.
    """

    row: int
    sheet: str
    order: str
    edition: str
    appendix: int
    number: str
    section: str
    subject_area: str
    subject: str
    subject_alias: str
    title: str
    authors: tuple[str, ...]
    editors: tuple[str, ...]
    other_authors: bool
    grade_from: int | None
    grade_to: int | None
    grades: str
    level: Level
    publishers: tuple[str, ...]
    publisher_group: str
    language: str
    parts: int
    edition_note: str
    special_needs: bool
    on_trial: bool
    valid_until: date | None
    perpetual: bool
    position: int = 0
    raw: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def facts(self) -> dict[str, object]:
        """What a later import compares with (COMPARED), as JSON can hold it; see ``existing_entry``."""
        return {name: _storable(getattr(self, name)) for name in COMPARED}

    @property
    def identity(self) -> str:
        """The key under which the same book is recognised in other orders and appendices."""
        return identity(
            authors=self.authors,
            subject=self.subject,
            title=self.title,
            grades=self.grades,
            level=self.level,
            publisher_group=self.publisher_group,
            edition_note=self.edition_note,
            language=self.language,
            special_needs=self.special_needs,
        )


@dataclass(frozen=True)
class ParsedList:
    """A file read to the end."""

    entries: tuple[ParsedEntry, ...]
    findings: tuple[Finding, ...]
    outcomes: tuple[RowOutcome, ...]

    @property
    def rows_read(self) -> int:
        """The number of rows up to the last that is filled, blank ones before it included."""
        return len(self.outcomes)

    @property
    def accounted(self) -> Counter[Outcome]:
        """How many rows had which outcome."""
        return Counter(each.outcome for each in self.outcomes)

    @property
    def doubtful(self) -> tuple[Finding, ...]:
        """The findings a person has to look at."""
        return tuple(each for each in self.findings if each.severity is not Severity.NOTICE)


# --- cells ---

_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")
_HYPHENS = str.maketrans({"\u2010": "-", "\u2011": "-", "\u2012": "–", "\u2015": "—", "\u2212": "–"})


def clean(text: str) -> str:
    """Return ``text`` with ordinary spaces, hyphens and «ёлочки», without invisible characters."""
    text = _INVISIBLE.sub("", text).translate(_HYPHENS)
    text = re.sub(r"[“”„‟]", '"', " ".join(text.split()))
    text = re.sub(r'(^|(?<=[\s(«"]))"(?=\S)', "«", text)
    text = text.replace('"', "»")
    return re.sub(r" - ", " – ", text)


def text_of(value: Value) -> str:
    """Return a cell as text: whole numbers without a decimal point, dates as ISO."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def clean_number(text: str) -> str:
    """Return a number of the list without spaces, trailing and doubled dots; empty if it is no number."""
    number = re.sub(r"\.+", ".", re.sub(r"\s", "", text)).strip(".")
    return number if re.fullmatch(r"\d{1,4}(\.\d{1,4})*", number) else ""


_GRADE = re.compile(r"(\d{1,2})(?:\s*-?\s*(?:й|го|ый|е|e|ые|х))?(?=\D|$)")


def clean_grades(text: str) -> Grades | None:
    """Return the classes named in a cell or phrase, or None. Classes go from 1 to 12."""
    folded = fold(clean(text))
    extra = "доп." if "доп" in folded else "подгот." if "подгот" in folded else ""
    numbers = [int(found) for found in _GRADE.findall(folded)]
    if not numbers and extra == "подгот.":
        return Grades(1, 1, extra)
    if not numbers or len(numbers) > 12 or not all(1 <= number <= 12 for number in numbers):
        return None
    first, last = min(numbers), max(numbers)
    if extra:
        # «1 доп. - 1»: the additional first class and the first class itself.
        label = f"{first} {extra}–{last}" if len(numbers) > 1 else f"{first} {extra}"
    else:
        label = str(first) if first == last else f"{first}–{last}"
    return Grades(first, last, label)


_MONTHS = {
    "января": 1,
    "февраля": 2,
    "марта": 3,
    "апреля": 4,
    "мая": 5,
    "июня": 6,
    "июля": 7,
    "августа": 8,
    "сентября": 9,
    "октября": 10,
    "ноября": 11,
    "декабря": 12,
}
_EXACT_DAY = re.compile(r"(?:до )?(\d{1,2}) ([а-я]+) (\d{4}) (?:года|г\.?)")
_LOOSE_DAY = re.compile(r"(\d[\d!|lioо]?)\D*?\s([а-я]+)\W*(\d{4})")
_MISREAD_DIGITS = str.maketrans("!|liоo", "111100")


def clean_last_day(value: Value) -> LastDay:
    """Return the last day named in a cell. Misread digits are understood but reported as unclean."""
    if isinstance(value, date):
        return LastDay(value, False, True)
    text = fold(clean(text_of(value))).removesuffix(".")
    if not text or text in {"-", "–", "—"}:
        return LastDay(None, False, True)
    if text.startswith("бессрочно"):
        return LastDay(None, True, text == "бессрочно")
    if found := re.fullmatch(r"(\d{4})-(\d{2})-(\d{2})", text):
        day = _date(int(found[1]), int(found[2]), int(found[3]))
        return LastDay(day, False, day is not None)
    if found := re.fullmatch(r"(?:до )?(\d{1,2})\.(\d{1,2})\.(\d{4})(?: ?г(?:ода)?)?", text):
        day = _date(int(found[3]), int(found[2]), int(found[1]))
        return LastDay(day, False, day is not None)
    if (found := _EXACT_DAY.fullmatch(text)) and found[2] in _MONTHS:
        day = _date(int(found[3]), _MONTHS[found[2]], int(found[1]))
        return LastDay(day, False, day is not None)
    if (found := _LOOSE_DAY.search(text)) and found[2] in _MONTHS:
        number = int(found[1].translate(_MISREAD_DIGITS))
        return LastDay(_date(int(found[3]), _MONTHS[found[2]], number), False, False)
    return LastDay(None, False, False)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


# Recognised by a fragment of the folded name, in this order: the names in the list carry legal forms, cities,
# ministries and misplaced quotes.
_PUBLISHERS = (
    ("просвещение", "Просвещение"),
    ("дрофа", "Дрофа"),
    ("вентана", "Вентана-Граф"),
    ("бином", "БИНОМ. Лаборатория знаний"),
    ("русское слово", "Русское слово"),
    ("мнемозина", "Мнемозина"),
    ("академкнига", "Академкнига/Учебник"),
    ("ассоциация 21", "Ассоциация 21 век"),
    ("ассоциация xxi", "Ассоциация 21 век"),
    ("развивающее обучение", "Развивающее обучение"),
    ("астрель", "Астрель"),
    ("вита-пресс", "Вита-Пресс"),
    ("владос", "ВЛАДОС"),
    ("академии наук республики татарстан", "Издательство АН РТ"),
    ("академия наук республики татарстан", "Издательство АН РТ"),
    ("издательство ан рт", "Издательство АН РТ"),
    ("институт развития образования республики татарстан", "ИРО Республики Татарстан"),
    ("татарское книжное", "Татарское книжное издательство"),
    ("магариф", "Магариф-Вакыт"),
    ("эльбрус", "Эльбрус"),
    ("китап", "Китап"),
    ("коррекционной педагогики", "Институт коррекционной педагогики РАО"),
    ("удмуртия", "Удмуртия"),
    ("хакасское", "Хакасское книжное издательство"),
    ("горно-алтайская", "Горно-Алтайская типография"),
    ("грозненский рабочий", "Грозненский рабочий"),
    ("мордовское", "Мордовское книжное издательство"),
    ("чувашское", "Чувашское книжное издательство"),
    ("айар", "Айар"),
    ("карачаево-черкесский", "Карачаево-Черкесский РИПКРО"),
    ("кчрипкро", "Карачаево-Черкесский РИПКРО"),
    ("творческой инициативы", "Фонд творческой инициативы"),
    ("ирнш", "Институт развития национальной школы"),
    ("институт развития национальной школы", "Институт развития национальной школы"),
    ("бэлиг", "Бэлиг"),
    ("периодика", "Периодика"),
    ("интеллект", "Интеллект-Центр"),
    ("академия", "Академия"),
)
_LEGAL_FORM = re.compile(
    r"^(?:общество с ограниченной ответственностью|(?:публичное |закрытое |открытое )?акционерное общество"
    r"|автономная некоммерческая организация|ооо|ао|зао|оао|пао)\s+",
    re.IGNORECASE,
)


def clean_publishers(text: str) -> tuple[str, ...]:
    """Return the publishers of a cell under the names people use, without legal forms, in their order."""
    names = [_publisher(piece) for piece in re.split(r"[;:]", clean(text))]
    return tuple(dict.fromkeys(name for name in names if name not in {"", "–", "—", "-"}))


def _publisher(piece: str) -> str:
    folded = fold(piece)
    for fragment, name in _PUBLISHERS:
        if fragment in folded:
            return name
    bare = _LEGAL_FORM.sub("", piece.strip())
    if "«" in bare:
        bare = bare[bare.index("«") + 1 :]
    bare = bare.replace("«", "").replace("»", "").strip(" .,")
    return re.sub(r"^(?:издательство|издательский центр)\s+", "", bare, flags=re.IGNORECASE)


_OTHERS = re.compile(r",?\s*\bи\s?др(?:угие|\.|\b)\.?", re.IGNORECASE)
_PART_LABEL = re.compile(r"\b(?:часть|ч\.)\s*\d\s*[:.]?\s*", re.IGNORECASE)
_EDITED = re.compile(r"[,;/]?\s*\bпод\s+(?:общей\s+|научной\s+)?ред(?:акцией\b|\.)\.?\s*", re.IGNORECASE)
_RANK = re.compile(r"^(?:академика?|профессора?|проф\.)\s+(?:РА[ОН]\s+)?", re.IGNORECASE)
_SURNAME_FIRST = re.compile(r"^(.*?\S)\s+((?:[A-ZА-ЯЁ][.\s,-]*){1,3})$")
_INITIALS_FIRST = re.compile(r"^((?:[A-ZА-ЯЁ]\.\s*){1,3})(\S.+)$")


def clean_authors(text: str) -> Authors:
    """Return the authors of a cell in their order, each once, and the editors in the nominative."""
    text = clean(text)
    others = _OTHERS.search(text) is not None
    text = _PART_LABEL.sub("; ", _OTHERS.sub(", ", text))
    names: list[str] = []
    editors: list[str] = []
    for piece in re.split(r"[;/]", text):
        written, *edited = _EDITED.split(piece)
        names.extend(_people(written))
        for editing in edited:
            editors.extend(_people(editing))
    if text.startswith(("—", "–")):
        names = []
    unique = tuple(dict.fromkeys(names))
    leading = tuple(dict.fromkeys(_nominative(name, unique) for name in editors))
    return Authors(unique, leading, others)


def _people(text: str) -> list[str]:
    pieces = (piece.strip(" .,:") for piece in re.split(r",|\sи\s", text))
    return [_person(_RANK.sub("", piece)) for piece in pieces if piece]


def _person(text: str) -> str:
    """Return «Фамилия И.О.» whatever the order and the spaces."""
    if found := _INITIALS_FIRST.match(text):
        surname, initials = found[2], found[1]
    elif found := _SURNAME_FIRST.match(text):
        surname, initials = found[1], found[2]
    else:
        return text
    letters = re.findall(r"-?\s*[A-ZА-ЯЁ]", initials)
    return f"{surname.strip()} " + "".join(letter.replace(" ", "") + "." for letter in letters)


# Genitive endings of Russian surnames, longest first, with what the nominative puts in their place.
_GENITIVES = (
    ("ского", "ский"),
    ("цкого", "цкий"),
    ("ской", "ская"),
    ("цкой", "цкая"),
    ("овой", "ова"),
    ("евой", "ева"),
    ("ёвой", "ёва"),
    ("иной", "ина"),
    ("ыной", "ына"),
    ("ького", "ький"),
    ("чего", "чий"),
    ("ного", "ный"),
    ("ной", "ная"),
    ("ова", "ов"),
    ("ева", "ев"),
    ("ёва", "ёв"),
    ("ина", "ин"),
    ("ына", "ын"),
)


def _nominative(name: str, authors: Sequence[str]) -> str:
    """Return an editor's name in the nominative: as among the authors if there, else by the ending."""
    surname, _, initials = name.partition(" ")
    for author in authors:
        other, _, others_initials = author.partition(" ")
        if initials == others_initials and other[:4] == surname[:4]:
            return author
    for genitive, nominative in _GENITIVES:
        if surname.endswith(genitive):
            return f"{surname.removesuffix(genitive)}{nominative} {initials}".strip()
    if re.search(r"[бвгджзклмнпрстфхцчшщ]а$", surname):
        return f"{surname[:-1]} {initials}".strip()
    return name


_COUNTS = {"двух": 2, "трех": 3, "четырех": 4, "пяти": 5}
_LANGUAGE = re.compile(r"[;,.]?\s*язык издания\s*[:–-]\s*([^;:]+)", re.IGNORECASE)
_EDITION = re.compile(
    r"[;,.:]\s*(\d{1,2}\s*-?\s*(?:о?е|ое)\b[^;:(]*?(?:изд|перераб|исправ|стереотип)[^;:(]*)", re.IGNORECASE
)
_TRIAL = re.compile(r"[;,.(]*\s*находится на апробации\s*\)?", re.IGNORECASE)
_PARTS = re.compile(
    r"[:;.,]?\s*\(?\bв\s+(\d|двух|тр[её]х|четыр[её]х|пяти)\W{0,3}х?\W{0,2}\s*(?:частях|ч\b\.?|кн(?:игах|\.))\)?",
    re.IGNORECASE,
)
_LEVEL = re.compile(
    r"[:;.,]?\s*\(?\b(базов\w+(?: и углубл[её]нн\w+)?|углубл[её]нн\w+)\s+"
    r"(?:уров(?:е|н)\w*|обучени\w+|изучени\w+)\)?",
    re.IGNORECASE,
)
_CLASS = re.compile(
    r"[:;.,]?\s*\(?\b(?:для\s+)?(\d{1,2}(?:\s*-?\s*(?:й|го|ый|е|e))?"
    r"(?:(?:\s*[-–]\s*|\s+дополнительный\s+и\s+)\d{1,2}(?:\s*-?\s*(?:й|го|е|e))?)?"
    r"(?:\s+дополнительн\w+)?)\s*(?:класс\w*|кл\b)\)?",
    re.IGNORECASE,
)
_TEXTBOOK = re.compile(r"[:;.]\s*учеб(?:ник)?\b\.?(?=[\s:;.,(]|$)([^:;(]*)", re.IGNORECASE)
# What a «учебник для …» says that tells one book from another.
_TELLING = re.compile(r"обучени\w+ на|языком обучения|изуча|родн", re.IGNORECASE)


def clean_title(text: str) -> Title:
    """Take a title cell apart: «Алгебра: 8-й класс: базовый уровень: учебник: в 2 частях; 5-е издание»."""
    rest = clean(text)
    trial = _TRIAL.search(rest) is not None
    rest = _TRIAL.sub("", rest)
    language = ""
    if found := _LANGUAGE.search(rest):
        language = found[1].strip(" .,")
        rest = rest[: found.start()] + rest[found.end() :]
    edition = ""
    if found := _EDITION.search(rest):
        edition = found[1].strip(" .,")
        rest = rest[: found.start()] + rest[found.end() :]
    parts = 1
    if found := _PARTS.search(rest):
        parts = _COUNTS.get(fold(found[1])) or int(found[1])
        rest = rest[: found.start()] + rest[found.end() :]
    level = clean_level(" ".join(_LEVEL.findall(rest)))
    rest = _LEVEL.sub("", rest)
    grades = None
    if found := _CLASS.search(rest, 1):
        grades = clean_grades(found[0])
        rest = rest[: found.start()] + rest[found.end() :]
    rest = _TEXTBOOK.sub(lambda found: found[0] if _TELLING.search(found[1]) else " ", rest)
    rest = re.sub(r"\(\s*\)", "", rest)
    rest = rest.replace("(интеллектуальными", "(для обучающихся с интеллектуальными")
    rest = re.sub(r"\s+([:;.,)])", r"\1", " ".join(rest.split()))
    rest = re.sub(r"[:;.,]+([:;.,])", r"\1", rest).strip(" :;,.")
    return Title(rest, grades, level, parts, edition, language, trial)


def clean_level(text: str) -> Level:
    """Return the level named by a phrase."""
    folded = fold(text)
    basic, advanced = "базов" in folded, "углубл" in folded
    if basic and advanced:
        return Level.BOTH
    if advanced:
        return Level.ADVANCED
    return Level.BASIC if basic else Level.UNNAMED


# --- the table ---

_FORMULA = "В файле «%(file)s» есть формулы (лист «%(sheet)s», строка %(row)s). Замените их значениями."
_NO_HEADER = (
    "В файле «%(file)s» не нашлась шапка таблицы: нужны столбцы «Порядковый номер учебника», "
    "«Наименование учебника» и «Автор»."
)

# A column is known by how its header begins, the longer beginning first.
_HEADERS = (
    ("порядковый номер строки", "row_number"),
    ("порядковый номер учебника", "number"),
    ("наименование учебника", "title"),
    ("наименования разработанных", "aids"),
    ("наименование издателя", "publisher"),
    ("наименование издательства", "publisher"),
    ("автор", "authors"),
    ("реквизиты приказов", "standard"),
    ("реквизиты приказа", "included_by"),
    ("правообладатель", "right_holder"),
    ("предельный срок", "valid_until"),
    ("срок действия", "valid_until"),
    ("приложение 1: срок", "valid_until"),
    ("приложение 2: предельный", "valid_until"),
    ("класс", "grades"),
    ("издател", "publisher"),
)
_SIMPLE_HEADERS = {
    "order": ("order", "приказ"),
    "edition": ("edition", "редакция"),
    "appendix": ("appendix", "приложение"),
    "number": ("number", "номер", "номер по фпу", "№ по фпу", "номер в перечне", "№"),
    "section": ("section", "раздел", "уровень образования"),
    "subject_area": ("subject_area", "предметная область", "область"),
    "subject": ("subject", "предмет", "учебный предмет"),
    "title": ("title", "название", "наименование", "название учебника"),
    "authors": ("authors", "автор", "авторы", "автор(ы)"),
    "grades": ("grades", "grade", "класс", "классы"),
    "level": ("level", "уровень"),
    "publisher": ("publisher", "издательство", "издатель"),
    "language": ("language", "язык", "язык издания"),
    "parts": ("parts", "частей", "части", "число частей"),
    "edition_note": ("edition_note", "издание"),
    "special_needs": ("special_needs", "овз", "адаптированная программа"),
    "valid_until": ("valid_until", "срок", "действует до", "использовать до", "предельный срок"),
}
_SIMPLE = {word: role for role, words in _SIMPLE_HEADERS.items() for word in words}


def _columns(cells: Sequence[Value]) -> dict[str, int]:
    """Return where each known column stands if ``cells`` are a header, else nothing."""
    columns: dict[str, int] = {}
    for index, cell in enumerate(cells):
        words = fold(clean(text_of(cell)[:2_000]))
        role = _SIMPLE.get(words)
        if role is None:
            role = next((name for beginning, name in _HEADERS if words.startswith(beginning)), None)
        if role is not None:
            columns.setdefault(role, index)
    return columns if {"number", "title", "authors"} <= columns.keys() else {}


def read_list(
    source: BinaryIO,
    file: str,
    *,
    order: str = "",
    edition: str = "",
    appendix: int | None = None,
) -> ParsedList:
    """Read a federal list from ``source``, a binary stream of the file named ``file``.

    ``order``, ``edition`` and ``appendix`` say what the file itself does not say; a row that names another
    order than ``order`` is listed, not imported. Raises Invalid, with one sentence for the reader, when the
    file is not a table or is not safe to open.
    """
    reading = _Reading(order, edition, appendix)
    for sheet in read(source, file, limits=LIMITS, header=lambda cells: len(_columns(cells))):
        if sheet.formula_row is not None:
            raise Invalid(_FORMULA, file=file, sheet=sheet.name, row=sheet.formula_row)
        reading.read_sheet(sheet)
    if not reading.header_seen:
        raise Invalid(_NO_HEADER, file=file)
    return reading.result()


_REMARK = re.compile(
    r"\s*\(с 1 сентября \d{4}\s?г?(?:ода)?\.?\s*[–—-]\s*([^()]*(?:\([^()]*\)[^()]*)*)\)?\s*\.?$",
    re.IGNORECASE,
)
_KIND = re.compile(r"\s*\((уровень образования|предметная область|учебный предмет)\)\s*\.?", re.IGNORECASE)
_LEVELS_OF_EDUCATION = ("начальное общее", "основное общее", "среднее общее", "обучающиеся ")
_APPENDIX = re.compile(r"^приложени[ея]\s*(?:№\s*)?([12])\b")
_ORDER = re.compile(r"^(?:приказ\s*)?(?:№\s*)?(\d+)(?:\s*[/,]?\s*(?:ред\.?\s*)?(\d+))?(?:\s*-\s*п([12]))?$")


def _without_remark(text: str) -> tuple[str, str]:
    """Split off «(с 1 сентября 2024 г. – Труд (технология))»: the name and the name it has since then."""
    found = _REMARK.search(text)
    return (text[: found.start()], found[1].strip()) if found else (text, "")


@dataclass
class _Place:
    """Where in the hierarchy of headings the reader is."""

    section: str = ""
    area: str = ""
    area_number: str = ""
    subject: str = ""
    subject_number: str = ""
    alias: str = ""
    special_needs: bool = False
    vocational: bool = False


class _Reading:
    """One pass over the rows of a file."""

    def __init__(self, order: str, edition: str, appendix: int | None) -> None:
        self._order = order.strip()
        self._edition = edition.strip()
        self._appendix = appendix
        self._entries: list[ParsedEntry] = []
        self._findings: list[Finding] = []
        self._outcomes: list[RowOutcome] = []
        self._taken: dict[tuple[str, str, int, str], list[ParsedEntry]] = {}
        self._sheet = ""
        self._sheet_appendix: int | None = None
        self._place = _Place()
        self.header_seen = False

    def result(self) -> ParsedList:
        return ParsedList(tuple(self._entries), tuple(self._findings), tuple(self._outcomes))

    def read_sheet(self, sheet: Sheet) -> None:
        self._sheet = sheet.name
        self._sheet_appendix = None
        for line in (sheet.name, *sheet.above):
            self._appendix_heading(fold(clean(line)))
        self._place = _Place()
        columns: dict[str, int] = {}
        last = 0
        for row, cells in sheet.rows:
            for blank in range(last + 1, row):
                self._outcome(blank, Outcome.BLANK)
            last = row
            if any(isinstance(cell, str) and len(cell) > MAX_CELL for cell in cells):
                self._listed(row, "long_cell", "Ячейка длиннее любого названия, строка пропущена.")
                continue
            header = _columns(cells)
            if header:
                columns = header
                self.header_seen = True
                self._outcome(row, Outcome.HEADER)
            elif columns:
                self._row(row, cells, columns)
            else:
                self._outcome(row, Outcome.PREAMBLE)
                self._appendix_heading(fold(clean(" ".join(text_of(cell) for cell in cells))))
        if not columns:
            message = "На листе «%(sheet)s» нет шапки перечня, его строки не читались."
            self._find(1, Severity.NOTICE, "no_header", message, sheet=sheet.name)

    # One row

    def _row(self, row: int, cells: list[Value], columns: Mapping[str, int]) -> None:
        values = {role: cells[at] for role, at in columns.items() if at < len(cells)}
        raw = {role: text_of(value) for role, value in values.items()}
        filled = {role for role, text in raw.items() if text.strip()}
        facts = filled - {"row_number", "appendix", "order", "edition", "number", "title", "section"}
        if self._is_numbering(cells):
            self._outcome(row, Outcome.NUMBERING)
        elif not facts:
            self._bare_row(row, raw)
        elif "title" not in filled:
            self._listed(row, "no_title", "Нет названия учебника.")
        else:
            self._entry(row, values, raw)

    @staticmethod
    def _is_numbering(cells: Sequence[Value]) -> bool:
        """Tell the row «1 2 3 … 11» under the header."""
        texts = [text_of(cell).strip() for cell in cells]
        numbers = [int(text) for text in texts if re.fullmatch(r"\d{1,2}", text)]
        others = [text for text in texts if text and not re.fullmatch(r"\d{1,2}", text)]
        return (
            len(numbers) >= 5
            and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            and len(others) <= 1
        )

    def _bare_row(self, row: int, raw: Mapping[str, str]) -> None:
        """Handle a row with nothing but a number and a text: a heading, or an entry that lost its facts."""
        number_cell, title = clean(raw.get("number", "")), clean(raw.get("title", ""))
        number = clean_number(number_cell)
        text = title or number_cell
        if not number and not title and (found := re.match(r"([\d.]+)\s+(.+)", number_cell)):
            number, text = clean_number(found[1]), found[2]
        if not text or clean_number(text):
            self._listed(row, "unreadable", "Строка не похожа ни на заголовок, ни на учебник.")
            return
        if number.count(".") >= 6 and not _KIND.search(text):
            self._listed(row, "incomplete", "Есть номер и название, но нет ни автора, ни издателя, ни срока.")
            return
        self._outcome(row, Outcome.HEADING)
        if not self._appendix_heading(fold(text)):
            self._heading(number, text)

    def _appendix_heading(self, folded: str) -> bool:
        found = _APPENDIX.match(folded)
        if found:
            self._sheet_appendix = int(found[1])
        return found is not None

    def _heading(self, number: str, text: str) -> None:
        place = self._place
        kind = fold(found[1]) if (found := _KIND.search(text)) else ""
        name, alias = _without_remark(text)
        name = _KIND.sub("", name).strip(" .")
        folded = fold(name)
        if kind == "учебный предмет":
            place.subject, place.subject_number, place.alias = name, number, alias
        elif kind == "предметная область":
            self._area(number, name)
        elif kind == "уровень образования" or folded.startswith(_LEVELS_OF_EDUCATION):
            place.section = f"{number} {name}".strip()
            self._area("", "")
        elif "учебник" in folded or "образование обучающихся" in folded:
            if "адаптированн" in folded or "обучающихся с" in folded:
                place.special_needs, place.vocational = True, False
            elif "среднего профессионального" in folded:
                place.special_needs, place.vocational = False, True
            elif not re.search(r"для \S+ (и \S+ )?обучающихся", folded):
                place.special_needs = place.vocational = False
            place.section = f"{number} {name}".strip()
            self._area("", "")
        elif place.area_number and number.startswith(f"{place.area_number}."):
            place.subject, place.subject_number, place.alias = name, number, alias
        else:
            self._area(number, name)
            place.subject, place.subject_number = name, number

    def _area(self, number: str, name: str) -> None:
        place = self._place
        place.area, place.area_number = name, number
        place.subject = place.subject_number = place.alias = ""

    def _entry(self, row: int, values: Mapping[str, Value], raw: Mapping[str, str]) -> None:
        order, edition, appendix = self._belongs(raw)
        if self._order and order != self._order:
            message = "Строка относится к приказу %(order)s, а загружается приказ %(expected)s."
            self._listed(
                row, "other_order", message, severity=Severity.NOTICE, order=order, expected=self._order
            )
            return
        if self._edition and edition != self._edition:
            message = "Строка относится к редакции %(order)s, а загружается редакция %(expected)s."
            self._listed(
                row, "other_edition", message, severity=Severity.NOTICE, order=edition, expected=self._edition
            )
            return
        if self._appendix and appendix not in (None, self._appendix):
            message = "Строка относится к приложению %(appendix)s, оно не загружается."
            self._listed(row, "other_appendix", message, severity=Severity.NOTICE, appendix=str(appendix))
            return
        if appendix is None:
            appendix = 1
            if not self._entries:
                message = "В файле не сказано, какое это приложение: считаем, что приложение 1."
                self._find(row, Severity.NOTICE, "no_appendix", message)
        entry = self._facts(row, order, edition, appendix, values, raw)
        key = (order, edition, appendix, entry.number)
        others = self._taken.setdefault(key, [])
        if any(
            replace(entry, row=each.row, sheet=each.sheet, position=each.position) == each for each in others
        ):
            message = "Строка повторяет строку %(other)s, загружена только первая."
            self._listed(row, "repeated", message, severity=Severity.NOTICE, other=str(others[0].row))
            return
        if others and entry.number:
            message = "Номер %(number)s уже стоит у другого учебника в строке %(other)s."
            self._find(
                row,
                Severity.DOUBT,
                "duplicate_number",
                message,
                number=entry.number,
                other=str(others[0].row),
            )
        entry = replace(entry, position=len(others))
        others.append(entry)
        self._entries.append(entry)
        self._outcome(row, Outcome.IMPORTED)

    def _belongs(self, raw: Mapping[str, str]) -> tuple[str, str, int | None]:
        """Return the order, edition and appendix a row belongs to."""
        order, edition, appendix = self._order, self._edition, self._sheet_appendix
        if named := clean(raw.get("order", "")):
            found = _ORDER.match(fold(named))
            order = found[1] if found else named
            if found and found[2]:
                edition = found[2]
            elif not raw.get("edition", "").strip():
                edition = "" if order != self._order else edition
            if found and found[3]:
                appendix = int(found[3])
        if named := clean(raw.get("edition", "")):
            edition = named
        if named := fold(clean(raw.get("appendix", ""))):
            found = _APPENDIX.match(named) or re.match(r"([12])\b", named)
            appendix = int(found[1]) if found else appendix
        return order, edition, appendix if appendix is not None else self._appendix

    def _facts(
        self,
        row: int,
        order: str,
        edition: str,
        appendix: int,
        values: Mapping[str, Value],
        raw: Mapping[str, str],
    ) -> ParsedEntry:
        place = self._place
        section = clean(raw.get("section", "")) or place.section
        area, subject, alias = place.area, place.subject, place.alias
        if written := clean(raw.get("subject_area", "")):
            area = _without_remark(written)[0]
        if written := clean(raw.get("subject", "")):
            subject, alias = _without_remark(written)
        special = place.special_needs or fold(raw.get("special_needs", "")) in {
            "да",
            "овз",
            "1",
            "true",
            "yes",
        }
        special = special or "аооп" in fold(section) or "адаптированн" in fold(section)
        vocational = place.vocational or "профессионального" in fold(section)
        title = clean_title(raw["title"])
        authors = clean_authors(raw.get("authors", ""))
        if not authors.names:
            self._find(row, Severity.NOTICE, "no_authors", "Не указан автор.")
        publishers = clean_publishers(raw.get("publisher", ""))
        if ":" in raw.get("publisher", ""):
            self._find(row, Severity.NOTICE, "publisher_colon", "Издательства разделены двоеточием.")
        grades = self._grades(row, values.get("grades"), title, vocational)
        last_day = self._last_day(row, appendix, values.get("valid_until"))
        level = clean_level(raw.get("level", "")) or title.level
        parts = (
            int(text)
            if (text := raw.get("parts", "").strip()).isdecimal() and 0 < int(text) < 10
            else title.parts
        )
        return ParsedEntry(
            row=row,
            sheet=self._sheet,
            order=order,
            edition=edition,
            appendix=appendix,
            number=self._number(row, values.get("number"), place),
            section=section,
            subject_area=area,
            subject=subject,
            subject_alias=alias,
            title=title.text,
            authors=authors.names,
            editors=authors.editors,
            other_authors=authors.others,
            grade_from=grades.first if grades else None,
            grade_to=grades.last if grades else None,
            grades=grades.label if grades else "СПО" if vocational or _is_vocational(raw) else "",
            level=level,
            publishers=publishers,
            publisher_group=publisher_group(publishers),
            language=fold(clean(raw.get("language", ""))) or title.language or "русский",
            parts=parts,
            edition_note=clean(raw.get("edition_note", "")) or title.edition_note,
            special_needs=special,
            on_trial=title.trial,
            valid_until=last_day.day,
            perpetual=last_day.perpetual,
            raw=raw,
        )

    # Single facts, with what there is to say about them

    def _number(self, row: int, value: Value, place: _Place) -> str:
        written = text_of(value).strip()
        if not written:
            self._find(row, Severity.DOUBT, "no_number", "Нет номера в перечне.")
            return ""
        number = "" if isinstance(value, (date, float)) else clean_number(written)
        if not number:
            message = "Номер «%(written)s» не читается."
            self._find(row, Severity.DOUBT, "bad_number", message, written=written[:60])
            return ""
        if ".." in written:
            message = "В номере «%(written)s» лишняя точка, прочитано как %(number)s."
            self._find(row, Severity.DOUBT, "double_dot", message, written=written, number=number)
        if not 4 <= number.count(".") <= 8:
            message = "В номере %(number)s непривычное число частей."
            self._find(row, Severity.DOUBT, "number_depth", message, number=number)
        if place.subject_number and not number.startswith(f"{place.subject_number}."):
            message = "Номер %(number)s не подходит к заголовку «%(subject)s» (%(prefix)s)."
            self._find(
                row,
                Severity.NOTICE,
                "number_prefix",
                message,
                number=number,
                subject=place.subject,
                prefix=place.subject_number,
            )
        self._gap(row, number)
        return number

    def _gap(self, row: int, number: str) -> None:
        """Report that the line of books this entry continues has lost a number in between."""
        line, _, last = number.rpartition(".")
        before = self._entries[-1].number if self._entries else ""
        if not before or before.rpartition(".")[0] != line or not before.rpartition(".")[2].isdecimal():
            return
        step = int(last) - int(before.rpartition(".")[2])
        if step > 1:
            message = "Между номерами %(before)s и %(number)s пропуск."
            self._find(row, Severity.NOTICE, "gap", message, before=before, number=number)

    def _grades(self, row: int, value: Value, title: Title, vocational: bool) -> Grades | None:
        if isinstance(value, date):
            # Excel turns «10-11» into 10 November.
            guess = clean_grades(f"{value.day}-{value.month}")
            message = "Класс превратился в дату, прочитано как %(grades)s."
            self._find(row, Severity.DOUBT, "grades_date", message, grades=guess.label if guess else "–")
            return guess
        written = clean(text_of(value))
        if not written:
            if title.grades is None and not vocational:
                self._find(row, Severity.DOUBT, "no_grades", "Не указан класс.")
            return title.grades
        if "спо" in fold(written):
            return None
        grades = clean_grades(written)
        if grades is None:
            message = "Класс «%(written)s» не читается."
            self._find(row, Severity.DOUBT, "bad_grades", message, written=written[:60])
            return title.grades
        return grades

    def _last_day(self, row: int, appendix: int, value: Value) -> LastDay:
        last_day = clean_last_day(value)
        written = text_of(value).strip()
        if last_day.day is None and not last_day.perpetual and (written or appendix == 2):
            message = "Срок «%(written)s» не читается." if written else "Не указан срок использования."
            self._find(row, Severity.DOUBT, "bad_date", message, written=written[:60])
        elif not last_day.clean:
            message = "В сроке «%(written)s» опечатка, прочитано как %(day)s."
            day = f"{last_day.day:%d.%m.%Y}" if last_day.day else "бессрочно"
            self._find(row, Severity.DOUBT, "date_typo", message, written=written[:60], day=day)
        return last_day

    def _find(self, row: int, severity: Severity, code: str, message: str, **parameters: str) -> None:
        self._findings.append(Finding(self._sheet, row, severity, code, message, parameters))

    def _outcome(self, row: int, outcome: Outcome) -> None:
        self._outcomes.append(RowOutcome(self._sheet, row, outcome))

    def _listed(
        self, row: int, code: str, message: str, *, severity: Severity = Severity.ERROR, **parameters: str
    ) -> None:
        self._outcome(row, Outcome.LISTED)
        self._find(row, severity, code, message, **parameters)


def _is_vocational(raw: Mapping[str, str]) -> bool:
    return "спо" in fold(raw.get("grades", "")).split()


# --- what would change ---

COMPARED = (
    "title",
    "section",
    "subject_area",
    "subject",
    "subject_alias",
    "authors",
    "editors",
    "other_authors",
    "grade_from",
    "grade_to",
    "grades",
    "level",
    "publishers",
    "publisher_group",
    "language",
    "parts",
    "edition_note",
    "special_needs",
    "on_trial",
    "valid_until",
    "perpetual",
)


@dataclass(frozen=True)
class ExistingEntry:
    """An entry as stored. ``ref`` is the caller's own handle; ``excluded`` when it has left the list."""

    ref: object
    order: str
    edition: str
    appendix: int
    number: str
    title: str
    section: str
    subject_area: str
    subject: str
    subject_alias: str
    authors: tuple[str, ...]
    editors: tuple[str, ...]
    other_authors: bool
    grade_from: int | None
    grade_to: int | None
    grades: str
    level: Level
    publishers: tuple[str, ...]
    publisher_group: str
    language: str
    parts: int
    edition_note: str
    special_needs: bool
    on_trial: bool
    valid_until: date | None
    perpetual: bool
    excluded: bool = False


def _storable(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def existing_entry(
    ref: object,
    facts: Mapping[str, Any],
    *,
    order: str,
    edition: str,
    appendix: int,
    number: str,
    excluded: bool = False,
) -> ExistingEntry:
    """Return a stored entry from the ``facts`` that ``ParsedEntry.facts`` gave when it was imported."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()
    }
    values["level"] = Level(values["level"])
    values["valid_until"] = date.fromisoformat(values["valid_until"]) if values["valid_until"] else None
    return ExistingEntry(
        ref=ref,
        order=order,
        edition=edition,
        appendix=appendix,
        number=number,
        excluded=excluded,
        **values,
    )


@dataclass(frozen=True)
class FieldChange:
    """One fact before and after; ``field`` is one of COMPARED, or «excluded» for an entry that came back."""

    field: str
    before: object
    after: object


@dataclass(frozen=True)
class Changed:
    """A stored entry and what the file says about it now."""

    entry: ParsedEntry
    existing: ExistingEntry
    changes: tuple[FieldChange, ...]


@dataclass(frozen=True)
class Report:
    """What an import would do."""

    new: tuple[ParsedEntry, ...]
    changed: tuple[Changed, ...]
    unchanged: tuple[Changed, ...]
    excluded: tuple[ExistingEntry, ...]
    doubtful: tuple[Finding, ...]

    @property
    def changes_nothing(self) -> bool:
        """True when the import would leave everything as it is."""
        return not (self.new or self.changed or self.excluded)

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the report as a table under REPORT_HEADER; headings and kinds are msgids."""
        for entry in self.new:
            yield (
                "новый",
                entry.sheet,
                str(entry.row),
                entry.number,
                entry.title,
                entry.grades,
                "",
                "",
                "",
                "",
            )
        for each in self.changed:
            entry = each.entry
            for change in each.changes:
                yield (
                    "изменён",
                    entry.sheet,
                    str(entry.row),
                    entry.number,
                    entry.title,
                    entry.grades,
                    FIELD_NAMES[change.field],
                    _shown(change.before),
                    _shown(change.after),
                    "",
                )
        for gone in self.excluded:
            yield ("исключён", "", "", gone.number, gone.title, gone.grades, "", "", "", "")
        for finding in self.doubtful:
            yield ("проверить", finding.sheet, str(finding.row), "", "", "", "", "", "", str(finding))


REPORT_HEADER = (
    "Что",
    "Лист",
    "Строка",
    "Номер",
    "Название",
    "Класс",
    "Сведение",
    "Было",
    "Стало",
    "Замечание",
)
FIELD_NAMES = {
    "title": "название",
    "section": "раздел",
    "subject_area": "предметная область",
    "subject": "предмет",
    "subject_alias": "новое имя предмета",
    "authors": "авторы",
    "editors": "редакторы",
    "other_authors": "и другие",
    "grade_from": "класс с",
    "grade_to": "класс по",
    "grades": "класс",
    "level": "уровень",
    "publishers": "издательства",
    "publisher_group": "издательская группа",
    "language": "язык",
    "parts": "частей",
    "edition_note": "издание",
    "special_needs": "адаптированная программа",
    "on_trial": "на апробации",
    "valid_until": "срок",
    "perpetual": "бессрочно",
    "excluded": "исключён",
}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "да" if value else "нет"
    if isinstance(value, date):
        return f"{value:%d.%m.%Y}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def compare(parsed: ParsedList, existing: Iterable[ExistingEntry], *, whole: bool = True) -> Report:
    """Say what importing ``parsed`` over ``existing`` would do, without doing it.

    Entries are matched by order, edition, appendix and number; where several books share one number (it
    happens in the real list) or have none, by the book. An entry is excluded when its appendix of its order
    is in the file and it is not; with ``whole=False`` (a table of additions, an amending order) nothing is.
    """
    stored: dict[tuple[str, str, int, str], list[ExistingEntry]] = {}
    for each in existing:
        stored.setdefault((each.order, each.edition, each.appendix, each.number), []).append(each)
    incoming: dict[tuple[str, str, int, str], list[ParsedEntry]] = {}
    for entry in parsed.entries:
        incoming.setdefault((entry.order, entry.edition, entry.appendix, entry.number), []).append(entry)

    new: list[ParsedEntry] = []
    pairs: list[Changed] = []
    for key, entries in incoming.items():
        candidates = stored.get(key, [])
        for entry, match in _paired(entries, candidates, by_place=bool(key[3])):
            if match is None:
                new.append(entry)
            else:
                pairs.append(Changed(entry, match, _changes(entry, match)))
    met = {id(each.existing) for each in pairs}
    covered = {key[:3] for key in incoming}
    gone = [
        each
        for key, candidates in stored.items()
        if whole and key[:3] in covered
        for each in candidates
        if id(each) not in met and not each.excluded
    ]
    pairs.sort(key=lambda each: (each.entry.sheet, each.entry.row))
    return Report(
        new=tuple(sorted(new, key=lambda each: (each.sheet, each.row))),
        changed=tuple(each for each in pairs if each.changes),
        unchanged=tuple(each for each in pairs if not each.changes),
        excluded=tuple(gone),
        doubtful=parsed.doubtful,
    )


def _paired(
    entries: Sequence[ParsedEntry], candidates: Sequence[ExistingEntry], *, by_place: bool
) -> Iterator[tuple[ParsedEntry, ExistingEntry | None]]:
    """Pair entries with stored ones of the same number: equal ones first, then, ``by_place``, the rest."""
    free = list(candidates)
    waiting: list[ParsedEntry] = []
    for wanted in (_facts_of, _book_of):
        waiting = []
        for entry in entries:
            match = next((each for each in free if wanted(each) == wanted(entry)), None)
            if match is None:
                waiting.append(entry)
            else:
                free.remove(match)
                yield entry, match
        entries = waiting
    for entry in waiting:
        yield entry, free.pop(0) if by_place and free else None


def _facts_of(entry: ParsedEntry | ExistingEntry) -> tuple[object, ...]:
    return tuple(getattr(entry, name) for name in COMPARED)


def _book_of(entry: ParsedEntry | ExistingEntry) -> tuple[object, ...]:
    return (fold(entry.title), entry.authors[:1], entry.grades, entry.level)


def _changes(entry: ParsedEntry, existing: ExistingEntry) -> tuple[FieldChange, ...]:
    changes = [
        FieldChange(name, getattr(existing, name), getattr(entry, name))
        for name in COMPARED
        if getattr(existing, name) != getattr(entry, name)
    ]
    if existing.excluded:
        changes.append(FieldChange("excluded", True, False))
    return tuple(changes)
