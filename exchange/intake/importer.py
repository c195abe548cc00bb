"""Reads a librarian's table: which row is the header, what each column means, what each row says.

Works on rows as ``exchange.sheets`` gives them and knows nothing of the catalogue: which book a row means is
asked of ``exchange.recognition`` afterwards. Cells are turned into text first, so that a table kept as text
can be read again the same way when a person corrects a column.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import islice, pairwise

from rapidfuzz import fuzz, process

from exchange.catalog.importer import clean_publishers
from exchange.catalog.rules import fold
from exchange.errors import Invalid
from exchange.intake.rules import (
    FIRST_YEAR,
    OF_GRADE,
    OF_PART,
    OF_YEAR,
    SERVICE_BLANK,
    SERVICE_HEADER,
    SERVICE_NOTE,
    SERVICE_NUMBERING,
    SERVICE_NUMBERS,
    SERVICE_SECTION,
    SERVICE_SHEET,
    SERVICE_TITLE,
    SERVICE_TOTAL,
    SPREAD,
    Role,
)
from exchange.recognition.rules import Wording
from exchange.sheets import Row, Value, number_of, year_of

# --- what comes out ---


def is_role(text: str) -> bool:
    """Say whether ``text`` names a role, with its year or class where it has one."""
    return (
        text in set(Role) or re.fullmatch(r"year-\d{4}|grade-\d{1,2}(?:-\d{1,2})?|part-\d", text) is not None
    )


@dataclass(frozen=True)
class Columns:
    """How a sheet is read.

    ``header`` holds the numbers of the rows the headings come from, none for a table without a header.
    ``used``: whether it is read at all; ``confidence``: 0 to 1; ``samples``: up to three values of each.
    """

    name: str = ""
    used: bool = True
    header: tuple[int, ...] = ()
    headings: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    confidence: float = 0.0
    samples: tuple[tuple[str, ...], ...] = ()
    remembered: bool = False

    @property
    def digest(self) -> str:
        """Key under which the meaning of these headings is remembered; empty where there are none."""
        if not any(self.headings):
            return ""
        return hashlib.sha256("\n".join(map(_plain, self.headings)).encode()).hexdigest()

    def of(self, role: Role) -> list[int]:
        """Return the columns of a role."""
        return [index for index, each in enumerate(self.roles) if each == role]

    @property
    def counts(self) -> bool:
        """Whether any column holds counts."""
        return any(each in {Role.COPIES, Role.INVENTORY} or each.startswith(SPREAD) for each in self.roles)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a row: a Russian msgid and its parameters."""

    message: str
    parameters: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadRow:
    """A row of the file, or one of several counts in it (``item``).

    ``wording`` is None for a row that names no book; then ``service`` says what it is. ``lone``: a text
    without a count. ``code`` is what the portal wrote when it exported the row.
    """

    sheet: int
    row: int
    item: int
    cells: tuple[str, ...]
    wording: Wording | None = None
    code: str = ""
    year: int | None = None
    copies: int | None = None
    worn: int | None = None
    fault: Fault | None = None
    lone: bool = False
    service: str = ""


NO_COUNT = "Строка %(row)s: количество не указано."
NO_COLUMN = "Строка %(row)s: не найден столбец с количеством. Укажите его в таблице столбцов."
NOT_A_COUNT = (
    "Строка %(row)s, столбец %(column)s: «%(text)s» – не количество. Нужно целое число, например 12."
)
NEGATIVE = "Строка %(row)s, столбец %(column)s: количество не бывает меньше нуля («%(text)s»)."
FRACTION = "Строка %(row)s, столбец %(column)s: экземпляров бывает целое число, а здесь «%(text)s»."
TOO_MANY = "Строка %(row)s, столбец %(column)s: «%(text)s» – слишком много для одной книги."
WORN_MORE = "Строка %(row)s: к списанию %(worn)s экз., а всего %(copies)s."
TOO_MANY_COUNTS = (
    "В таблице слишком много чисел: больше %(most)s строк с количеством. Разделите её на несколько файлов."
)
MOST = 99_999
MOST_ROWS = 60_000
"""Rows of all sheets of a file, each counted as often as it has counts of a year or class."""
SAMPLES = 3
_LONGEST = 500
"""Letters of a cell that are read; nobody writes a longer title."""


def text_of(value: Value) -> str:
    """Return a cell as people see it: «12», «1,5», «31.08.2026»; a year that shows as a date as the year."""
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.10g}".replace(".", ",")
    if isinstance(value, date):
        year = year_of(value)
        return str(year) if year is not None and year != value.year else f"{value:%d.%m.%Y}"
    return " ".join(str(value).split())


# --- headings ---

_LOOKALIKES = str.maketrans("aceopxykmtbhABCEHKMOPTXy", "асеорхукмтвнАВСЕНКМОРТХу")
_CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)


def _plain(text: str) -> str:
    """Return a heading for comparing: folded, Latin look-alikes as Cyrillic, without quotes and asterisks."""
    text = text[:_LONGEST]
    if _CYRILLIC.search(text):
        text = re.sub(
            r"\w+",
            lambda word: word[0].translate(_LOOKALIKES) if _CYRILLIC.search(word[0]) else word[0],
            text,
        )
    text = re.sub(r"[«»\"“”*_:]", " ", fold(text))
    return " ".join(re.sub(r"(?<=[а-я])- (?=[а-я])", "", text).split())


# Kinds of columns that are known and not needed here: they tell a header, and explain what numbers are.
PUPILS, NEED, _PRICE, RATIO, _ORDINAL, _KNOWN = "pupils", "need", "price", "ratio", "ordinal", "known"
_ORDERED = "ordered"
_LOANED = "loaned"
"""Copies that are with pupils: part of a total, and what «остаток» leaves out."""
_SESSION = "session"
"""Counts of a school year, «2024-2025»: of several the last one is today's."""

_YEAR_HEADING = re.compile(
    r"(?:до\s+|ранее\s+)?(?:изд(?:ани[ея]|\.)?\s*)?((?:19|20)\d\d)\s*(?:г\.?|год[а]?|г\.?\s*изд\w*\.?)?"
    r"(?:\s*и\s+(?:ранее|старше|раньше))?"
)
_GROUP_HEADING = re.compile(r"(?:1[01]|[1-9])\s*-?\s*[«\"]?[а-ж][»\"]?(?:\s*кл\w*\.?)?")
_UNIT_HEADING = re.compile(r"(?:кол\w*[- .]*(?:во)?,?\s*)?(?:экз\w*|шт\w*|кол\w*[- .]*(?:во)?|единиц)\.?")
_GRADE_HEADING = re.compile(
    r"(1[0-2]|[1-9])(?:\s*[-–]\s*(1[0-2]|[1-9]))?\s*-?\s*(?:й|е|ый)?\s*кл(?:асс[ыа]?|\.)?"
)
_PART_WORDS = r"(?:част[ьи]|ч\.?|кн\.?|книга|том)"
_PART_HEADING = re.compile(
    rf"{_PART_WORDS}\s*№?\s*([1-5])|([1-5])\s*-?\s*(?:я|ая)?\s*{_PART_WORDS}|{_PART_WORDS}\s*(i{{1,3}})|(i{{1,3}})\s*{_PART_WORDS}"
)
_SESSION_HEADING = re.compile(
    r"(?:на\s+)?20\d\d\s*[-–/]\s*(?:20)?\d\d\s*(?:уч\w*\.?\s*(?:г\w*\.?)?|г\w*\.?)?"
)

_HARDLY = 1
"""How sure a word is that may as well mean something else: «кол-во уч.»."""
_REST = 5
"""How sure a word for what is left on the shelf is of being a count."""

# The first that matches decides. The number is how sure the word is: of two columns the surer one wins.
_HEADINGS: tuple[tuple[re.Pattern[str], str, int], ...] = tuple(
    (re.compile(pattern), role, strength)
    for pattern, role, strength in (
        (r"^код( портала| строки портала)?$", Role.CODE, 3),
        (r"\bинв\w*\.? ?(номер|№|n\b)|инвентарн|^инв\.?$", Role.INVENTORY, 2),
        (r"\bсайт|адрес|договор|телефон|примечан|источник|\bинн\b|основани|\bдата\b", _KNOWN, 1),
        (r"год\w* (поступ|закуп|приобр|получ)|ед\w*\.? ?изм|объем|страниц", _KNOWN, 1),
        (r"кол[-\w.]* ?(во )?(стр|класс|част|том|час|лист|назван|наимен|предмет|групп|учител)", _KNOWN, 1),
        (r"^(электрон|эфу|эор)|(кол|экз|налич|учебник)\w*.*(электрон|\bэфу\b)", _KNOWN, 1),
        (r"^(из них )?(уже )?списан[оы]?$", _KNOWN, 1),
        (r"(без|за вычетом|после|кроме|с учетом)\b.*спис", Role.COPIES, 2),
        (r"списан|списыв|ветх|непригодн|дефектн|негодн", Role.WORN, 3),
        (r"на (1|одного) (учен|учащ|обуч)", RATIO, 2),
        (r"на руках|выдан", _LOANED, 1),
        (r"(кол|налич|остат|состо|числ)\w*.*\bна начало\b", Role.COPIES, 2),
        (r"(кол|налич|остат|состо|числ)\w*.*\bна конец\b|^на конец\b.*(кол|экз|шт)", Role.COPIES, 4),
        (r"(кол|числ)[-\w. ]*\bуч\.?$|кол\w*.*комплект", Role.COPIES, _HARDLY),
        (
            r"учащ|ученик|обучающ|\b(об)?уч-? ?ся|контингент|дет(ей|и)\b|школьник|человек|\bчел\b"
            r"|численност|наполняем|классов.комплект",
            PUPILS,
            2,
        ),
        (r"заказ\w*.*(кол|экз|шт)|(кол|экз)\w*.*заказ|заказано", _ORDERED, 1),
        (r"излиш|избыт|разниц|баланс", _KNOWN, 1),
        (
            r"потребн|недоста|не ?хват|требуется|необходим|дефицит|нужно|надо\b|заказ\b|закуп|докупить"
            r"|приобре|заявк",
            NEED,
            2,
        ),
        (r"\bцен[аы]|стоимост|\bсумм|\bруб", _PRICE, 2),
        (r"коэф|обеспеч|%|процент|^к$", RATIO, 2),
        (r"isbn|штрих.?код", Role.ISBN, 3),
        (r"поступ\w*.*(кол|экз|шт)|(кол|экз)\w*.*поступ|^поступило$|^получено$", _ORDERED, 1),
        (r"выставлен|обещан|чуж|отдано|в пути|комплектов|непарн|поступ|получен|выбы", _KNOWN, 1),
        (r"состояни", _KNOWN, 1),
        (r"фпу|\bфп\b|федеральн\w* переч|порядковый номер учебника|в перечне", Role.NUMBER, 3),
        (r"учебн\w* год", _KNOWN, 1),
        (r"год\w* (изд|вып)|^год\w*$|^г\. ?(изд|вып|и\b)|год$|^г/и|год печат", Role.YEAR, 3),
        (
            r"\bавт\w*\b.*\b(назв|наимен|загл)|(назв|наимен|загл)\w*.*\bавт|^учебник\w*\b.*\bавт",
            Role.TITLE,
            3,
        ),
        (r"^авт", Role.AUTHORS, 3),
        (r"\bавтор", Role.AUTHORS, 2),
        (r"(наимен|назв)\w* (издател|издательств)|^изд-?во|^издат", Role.PUBLISHER, 3),
        (r"(наимен|назв)\w*.*(номенклатур|1с\b)|^номенклатур|^товар", Role.TITLE, 2),
        (r"(наимен|назв)\w* предмет", Role.SUBJECT, 3),
        (r"(наимен|назв|загл)\w*.*(школ|организац|учрежд|муниципал|\bо[уо]\b)", _KNOWN, 1),
        (r"наименование|название|заглавие|наимен|назв\b", Role.TITLE, 3),
        (r"библиографич|описание", Role.TITLE, 2),
        (r"остат|осталось|на полке|на складе|в (хранилищ|библиотек)\w*$", Role.COPIES, _REST),
        (r"налич|имеет|состоит|своих|есть в (фонде|библ)|^есть\b|в фонде|факт", Role.COPIES, 4),
        (
            r"числит|^число (учебн|книг)|кол+ич|кол-? ?во|^к-? ?во\b|^кол\b|экзем|\bэкз|\bшт\b|штук",
            Role.COPIES,
            3,
        ),
        (r"^(всего|итого|фонд)\b|^уч-?(ки|ков)$", Role.COPIES, 2),
        (r"^учебник\w*( и .*)?$|^книг[аи]?$|учебн\w* (литератур|издани|пособи)", Role.TITLE, 2),
        (r"предметн\w* област", _KNOWN, 1),
        (r"предмет|дисциплин", Role.SUBJECT, 3),
        (r"^част[ьи]\b|^ч\.?$|^том\b|^№ части", Role.PART, 2),
        (r"^частей|частях", _KNOWN, 1),
        (r"класс|^кл\.?$|параллель", Role.GRADES, 3),
        (r"уровень", Role.LEVEL, 2),
        (r"^№|^n ?п|п/п|^п\.п|порядков|^номер", _ORDINAL, 1),
        (r"систем|\bлиния|\bумк\b|\bрайон|организац|школа|код\b|артикул|серия|программ|умножить", _KNOWN, 1),
        (r"^издание$", _KNOWN, 1),
    )
)
_WORDS = (
    "наименование", "название", "заглавие", "автор", "авторы", "класс", "издательство", "издания",
    "количество", "экземпляров", "наличие", "предмет", "списанию", "учебник", "состоит", "остаток",
    "учащихся", "потребность",
)  # fmt: skip
_SURE = 82
"""How alike a mistyped word must be to a known one, in per cent."""

_NAMING = frozenset({Role.TITLE, Role.AUTHORS, Role.NUMBER, Role.ISBN, Role.CODE, Role.SUBJECT})
_WITNESSES = frozenset({*_NAMING, Role.GRADES, Role.YEAR, Role.PUBLISHER, Role.COPIES, Role.WORN, Role.PART})
_TELLING = frozenset(
    {*_WITNESSES, Role.INVENTORY, PUPILS, NEED, _PRICE, RATIO, _ORDINAL, _ORDERED, _LOANED, _SESSION}
)
HEADER_WITHIN = 60
"""Rows among which the header is looked for."""


def heading_of(text: str) -> tuple[str, int]:
    """Return what a heading means and how sure that is; («», 0) for one that says nothing known.

    Years, classes and parts («2019», «5 класс», «1 ч.») mean counts of that year, class or part.
    """
    words = _plain(text)
    if not words:
        return "", 0
    if found := _YEAR_HEADING.fullmatch(words):
        return f"{OF_YEAR}{found[1]}", 1
    if _SESSION_HEADING.fullmatch(words):
        return _SESSION, 1
    if found := _PART_HEADING.fullmatch(words):
        number = next(filter(None, found.groups()))
        return f"{OF_PART}{len(number) if number.startswith('i') else number}", 1
    if _GROUP_HEADING.fullmatch(words):
        return _KNOWN, 1
    if found := _GRADE_HEADING.fullmatch(words):
        return OF_GRADE + "-".join(filter(None, found.groups())), 1
    role, strength = _meaning(words)
    if not role and len(words) <= 60:
        corrected = re.sub(r"[а-я]{5,}", _corrected, words)
        if corrected != words:
            role, strength = _meaning(corrected)
    return role, strength


def _meaning(words: str) -> tuple[str, int]:
    for pattern, role, strength in _HEADINGS:
        if pattern.search(words):
            return role, strength
    return "", 0


def _corrected(word: re.Match[str]) -> str:
    found = process.extractOne(word[0], _WORDS, scorer=fuzz.ratio, score_cutoff=_SURE)
    return found[0] if found else word[0]


def header_score(cells: Sequence[Value]) -> int:
    """Say how good a header a row would be: how many different columns it names, 0 if it is none."""
    return _header_score([text_of(cell) for cell in cells])


def _header_score(texts: Sequence[str]) -> int:
    roles: Counter[str] = Counter()
    plain_numbers = 0
    for text in texts:
        if not text:
            continue
        if number_of(text) is not None and year_of(text) is None:
            plain_numbers += 1
            continue
        role, _ = heading_of(text)
        # A long text with a known word in it is a title row or a book, unless a form spells its columns out.
        if role in _TELLING and (len(text) <= 60 or _plain(text)[:12] in _FORMAL):
            roles[role] += 1
        elif role.startswith(SPREAD):
            roles[role.partition("-")[0]] += 1
    named = roles.keys() & _NAMING
    if not named or len(roles) < 2 or plain_numbers > len(roles):
        return 0
    spread = any(roles[prefix.rstrip("-")] > 1 for prefix in SPREAD)
    if not spread and not roles.keys() & (_WITNESSES - named if len(named) == 1 else _WITNESSES):
        return 0
    return len(roles)


_FORMAL = frozenset(
    _plain(text)[:12]
    for text in ("Наименование", "Порядковый номер", "Количество", "Автор учебника", "Наличие учебников",
                 "Предельный срок", "Срок действия")
)  # fmt: skip


def is_numbering(texts: Sequence[str]) -> bool:
    """Say whether a row only numbers the columns: 1, 2, 3 …"""
    filled = [text.rstrip(".") for text in texts if text]
    return len(filled) >= 3 and filled == [str(number) for number in range(1, len(filled) + 1)]


@dataclass(frozen=True)
class Header:
    """A header found: the numbers of its rows, the index of the last of them, what each column is called.

    ``meanings`` are those of ``heading_of``.
    """

    rows: tuple[int, ...]
    last: int
    headings: tuple[str, ...]
    meanings: tuple[tuple[str, int], ...]


def _find_header(rows: Sequence[tuple[int, list[str]]]) -> Header | None:
    best, best_score = -1, 0
    for index, (_number, texts) in enumerate(rows[:HEADER_WITHIN]):
        score = _header_score(texts)
        if score > best_score:
            best, best_score = index, score
    if best < 0:
        best = next(
            (index for index in range(min(len(rows), HEADER_WITHIN)) if _heads_numbers(rows, index)), -1
        )
    return header_at(rows, best) if best >= 0 else None


def _heads_numbers(rows: Sequence[tuple[int, list[str]]], index: int) -> bool:
    """Say whether a row names the books and, in words of its own, the numbers of every row that follows."""
    texts = rows[index][1]
    filled = [place for place, text in enumerate(texts) if text]
    below = [row for _, row in rows[index + 1 : index + 4] if len(list(filter(None, row))) > 1]
    return (
        len(filled) > 1
        and any(heading_of(texts[place]) == (Role.TITLE, 3) and len(texts[place]) <= 30 for place in filled)
        and not any(number_of(texts[place]) is not None for place in filled)
        and bool(below)
        and all(any(number_of(row[place]) is not None for place in filled) for row in below)
    )


def header_at(rows: Sequence[tuple[int, list[str]]], best: int) -> Header:
    """Return the header whose main line is the row at index ``best``, with the line above or below it."""
    number, texts = rows[best]
    above, below = list(texts), [""] * len(texts)
    numbers = [number]
    last = best
    if best + 1 < len(rows) and _is_second_line(texts, rows[best + 1][1]):
        below = rows[best + 1][1]
        numbers.append(rows[best + 1][0])
        last = best + 1
    elif best and _completes(rows[best - 1][1], texts):
        above, below = rows[best - 1][1], list(texts)
        numbers.insert(0, rows[best - 1][0])
    headings, meanings = [], []
    group = ""
    for top, bottom in zip(above, below, strict=True):
        # A heading merged over several columns stands in the first of them.
        group = top or (group if bottom else "")
        headings.append(" ".join(dict.fromkeys(filter(None, (top or (group if bottom else ""), bottom)))))
        meanings.append(_joined_meaning(group, bottom) if bottom else heading_of(top))
    return Header(tuple(numbers), last, tuple(headings), tuple(meanings))


def _joined_meaning(top: str, bottom: str) -> tuple[str, int]:
    over, under = heading_of(top), heading_of(bottom)
    told = over[0] and over[0] not in _NAMING | {Role.GRADES} and not over[0].startswith(SPREAD)
    if told and (_UNIT_HEADING.fullmatch(_plain(bottom)) or _GROUP_HEADING.fullmatch(_plain(bottom))):
        # «Поступило» over «экз.», «Кол-во учащихся» over «5а».
        return over
    if over[0] in {Role.COPIES, _ORDERED} and under[0] in {Role.TITLE, Role.GRADES, _KNOWN}:
        # «Количество» over «учебников» is that of books, over «классов» that of classes.
        joined = heading_of(f"{top} {bottom}")
        return over if under[0] == Role.TITLE and joined[0] in {Role.TITLE, Role.COPIES} else joined
    if under[0].startswith(SPREAD):
        fits = over[0] in {"", Role.COPIES, Role.YEAR, Role.GRADES, Role.TITLE, _KNOWN, _ORDERED}
        return under if fits else (_KNOWN, 1)
    if over[0] == Role.GRADES and re.fullmatch(r"1[0-2]|[1-9]", bottom):
        return f"{OF_GRADE}{bottom}", 1
    if over[0] in {Role.WORN, PUPILS, NEED, _PRICE}:
        return over
    return under if under[0] else over


def _is_second_line(header: Sequence[str], texts: Sequence[str]) -> bool:
    """Say whether the row below a header is its second line: headings under headings that span columns."""
    if is_numbering(texts):
        return False
    filled = [index for index, text in enumerate(texts) if text]
    if len(filled) < 2 or len(filled) == len([text for text in header if text]) == len(texts):
        return False
    group = ""
    unknown = 0
    for index, text in enumerate(texts):
        group = header[index] or group
        if not text or text == header[index]:
            continue
        if number_of(text) is not None and year_of(text) is None:
            if not (heading_of(group)[0] == Role.GRADES and re.fullmatch(r"1[0-2]|[1-9]", text)):
                return False
        elif len(text) > 40:
            return False
        else:
            unknown += not heading_of(text)[0]
    told = [heading_of(texts[index])[0] for index in filled if texts[index] != header[index]]
    if unknown > (len(told) // 3 if _names_nothing(header, texts) else 0):
        return False
    return any(told)


def _names_nothing(header: Sequence[str], texts: Sequence[str]) -> bool:
    """Say whether a row leaves blank, or repeats, what stands under the headings that name a book."""
    return all(
        not text or text == heading
        for heading, text in zip(header, texts, strict=True)
        if heading_of(heading)[0] in _NAMING
    )


def _completes(above: Sequence[str], header: Sequence[str]) -> bool:
    """Say whether the row above a header is its first line: it names columns the header leaves blank."""
    blank = [index for index, text in enumerate(header) if not text and above[index]]
    return any(heading_of(above[index])[0] in _WITNESSES and len(above[index]) <= 60 for index in blank)


# --- what the columns mean ---


@dataclass
class _Content:
    """What stands in a column, in shares of the rows that look like books."""

    filled: float = 0.0
    letters: float = 0.0
    counts: float = 0.0
    fractions: float = 0.0
    years: float = 0.0
    grades: float = 0.0
    people: float = 0.0
    distinct: int = 0
    length: float = 0.0
    rising: bool = False
    codes: float = 0.0
    numbers: float = 0.0
    isbns: float = 0.0
    publishers: float = 0.0
    figures: tuple[int | None, ...] = ()
    """The counts, row by row; None where there is none."""


_PERSON = re.compile(r"[А-ЯЁ][а-яё]+ ?[А-ЯЁ]\. ?[А-ЯЁ]?|[А-ЯЁ]\. ?(?:[А-ЯЁ]\. ?)?[А-ЯЁ][а-яё]+")
_GRADE_CELL = re.compile(r"(?:1[01]|[1-9])(?:\s*[-–,]\s*(?:1[01]|[1-9]))?\s*[а-яА-Я]?\s*(?:кл\w*\.?)?")
_CODE = re.compile(r"(\d{1,9})-(\d{4})-(\d{1,2})")
_LIST_NUMBER = re.compile(r"\d(?:\.\d{1,2}){3,8}\.?")
_FRACTION = re.compile(r"-?\d+[.,]\d*[1-9]\d*")
_ISBN = re.compile(r"(?:97[89][- ]?)?\d[- ]?\d{2,7}[- ]?\d{2,7}[- ]?[\dXХ]")
BODY = 300
"""Rows whose content is looked at."""


def _contents(body: Sequence[Sequence[str]], width: int) -> list[_Content]:
    return [_content([texts[index] for texts in body]) for index in range(width)]


def _content(column: Sequence[str]) -> _Content:
    values = [text for text in column if text and text not in _SAME]
    if not values:
        return _Content(figures=(None,) * len(column))
    total = len(values)

    def share(test: Callable[[str], object]) -> float:
        return sum(1 for text in values if test(text)) / total

    numbers = [number for text in values if (number := number_of(text)) is not None]
    return _Content(
        filled=total / len(column),
        letters=share(lambda text: len(re.findall(r"[^\W\d_]", text)) >= 4 and number_of(text) is None),
        counts=share(lambda text: number_of(text) is not None or text in _NONE),
        fractions=share(_FRACTION.fullmatch),
        years=share(lambda text: (year_of(text) or 0) >= FIRST_YEAR),
        grades=share(_GRADE_CELL.fullmatch),
        people=share(_PERSON.search),
        distinct=len(set(values)),
        length=sum(map(len, values)) / total,
        rising=len(numbers) == total > 2 and all(b - a == 1 for a, b in pairwise(numbers)),
        codes=share(_CODE.fullmatch),
        numbers=share(_LIST_NUMBER.fullmatch),
        isbns=share(_ISBN.fullmatch),
        publishers=share(lambda text: len(text) < 60 and is_publisher(text)),
        figures=tuple(map(number_of, column)),
    )


def find_columns(
    rows: Sequence[Row],
    *,
    name: str = "",
    remembered: Callable[[str], Sequence[str] | None] = lambda digest: None,
    hidden: bool = False,
) -> Columns:
    """Find the header of a sheet and what its columns mean.

    ``remembered`` returns the roles a school once gave to headings with this digest. A ``hidden`` sheet is
    left alone until a person says otherwise: it holds last year's table or the lists behind drop-down cells.
    """
    columns = _find_columns(texts_of(rows), name=name, remembered=remembered)
    return replace(columns, used=False) if hidden else columns


def side_by_side(rows: Sequence[Row]) -> list[list[Row]]:
    """Part a sheet on which tables stand side by side under the same headings; most sheets are one table.

    They have titles of their own, or are further pairs of «год, количество» of the title before them: that
    is then in each table. Rows keep their numbers, columns are counted anew; a row of one cell, a heading,
    is in every table beside which it stands.
    """
    header = _find_header(texts_of(rows))
    starts = _starts(header) if header is not None else []
    if header is None or len(starts) < 2:
        return [list(rows)]
    width = len(header.headings)
    shared = 0 if any(role == Role.TITLE for role, _ in header.meanings[starts[0] :]) else starts[0]
    starts[0] = min(starts[0], shared)
    tables: list[list[Row]] = []
    for start, end in pairwise([*starts, width]):
        table: list[Row] = []
        for number, values in rows:
            own = values[start:end] if tables else values[:end]
            before = values[:shared] if tables else []
            lone = sum(value is not None for value in values) == 1
            if any(value is not None for value in own) or (
                lone and any(value is not None for value in before)
            ):
                table.append((number, [*before, *own]))
        tables.append(table)
    return tables


def _starts(header: Header) -> list[int]:
    """Return where the blocks of equal headings begin that a header ends with."""
    words = [_plain(text) for text in header.headings]
    filled = [index for index, text in enumerate(words) if text]
    for length in range(2, len(filled) // 2 + 1):
        block = [words[index] for index in filled[-length:]]
        times = 1
        while [words[index] for index in filled[-length * (times + 1) : -length * times]] == block:
            times += 1
        roles = {header.meanings[index][0] for index in filled[-length:]}
        if times > 1 and Role.COPIES in roles and roles & {Role.TITLE, Role.YEAR, Role.PART, Role.GRADES}:
            return [filled[index] for index in range(len(filled) - length * times, len(filled), length)]
    return []


def texts_of(rows: Iterable[Row]) -> list[tuple[int, list[str]]]:
    """Return rows as texts, as people see them."""
    return [(number, [text_of(value) for value in values]) for number, values in rows]


def _find_columns(
    rows: Sequence[tuple[int, list[str]]],
    *,
    name: str,
    remembered: Callable[[str], Sequence[str] | None],
) -> Columns:
    width = max((len(texts) for _, texts in rows), default=0)
    rows = [(number, texts + [""] * (width - len(texts))) for number, texts in rows]
    header = _find_header(rows)
    start = header.last + 1 if header else 0
    body = [
        texts
        for _, texts in rows[start : start + 4 * BODY]
        if len([text for text in texts if text]) > 1 and not is_numbering(texts) and not _is_total(texts)
    ][:BODY]
    contents = _contents(body, width)
    if header is None:
        roles, confidence = _guessed(contents)
        columns = Columns(name=name, headings=("",) * width, roles=tuple(roles), confidence=confidence)
    else:
        roles, confidence = _assigned(header.meanings, contents)
        columns = Columns(
            name=name,
            header=header.rows,
            headings=header.headings,
            roles=tuple(roles),
            confidence=confidence,
        )
        known = remembered(columns.digest)
        if known is not None and len(known) == width:
            columns = replace(columns, roles=tuple(known), confidence=1.0, remembered=True)
    used = columns.remembered or (names_books(columns.roles) and (header is not None or columns.counts))
    samples = tuple(
        tuple(dict.fromkeys(texts[index][:60] for texts in body if texts[index]))[:SAMPLES]
        for index in range(width)
    )
    return replace(columns, used=bool(used), samples=samples)


def names_books(roles: Sequence[str]) -> bool:
    """Say whether columns of these roles name a book: a title, a number, or a subject and its authors."""
    return any(role in roles for role in (Role.TITLE, Role.CODE, Role.ISBN, Role.NUMBER)) or (
        Role.SUBJECT in roles and Role.AUTHORS in roles
    )


def _assigned(meanings: Sequence[tuple[str, int]], contents: Sequence[_Content]) -> tuple[list[str], float]:
    """Give each role to one column: what the headings say, checked against what stands below."""
    shift = _shift(meanings, contents)
    if shift:
        moved = [("", 0)] * len(meanings)
        for index, meaning in enumerate(meanings):
            if meaning[0] in _NUMERIC and 0 <= index + shift < len(moved):
                moved[index + shift] = meaning
        meanings = moved
    # «Учебники» above numbers counts them.
    meanings = [
        (Role.COPIES, 2)
        if role == Role.TITLE and content.counts > 0.9 and content.letters < 0.1
        else (role, sure)
        for (role, sure), content in zip(meanings, contents, strict=True)
    ]
    roles = [str(Role.OTHER)] * len(meanings)
    confidence = 0.6 if shift else 1.0

    def best(
        role: str, key: Callable[[int], tuple[float, ...]], fits: Callable[[_Content], bool]
    ) -> int | None:
        places = [i for i, (each, _) in enumerate(meanings) if each == role and fits(contents[i])]
        return max(places, key=key) if places else None

    def empty_or(test: Callable[[_Content], bool]) -> Callable[[_Content], bool]:
        return lambda content: not content.filled or test(content)

    # Titles: the column with the most to say. Of a short name and a full one, the full one tells the parts.
    title = best(
        Role.TITLE,
        lambda i: (round(contents[i].filled, 1), contents[i].distinct, meanings[i][1], -i),
        empty_or(lambda content: content.letters > 0.3),
    )
    single: dict[str, tuple[str, Callable[[_Content], bool]]] = {
        Role.AUTHORS: (Role.AUTHORS, lambda content: content.letters > 0.5),
        Role.PUBLISHER: (Role.PUBLISHER, lambda content: content.letters > 0.3),
        Role.SUBJECT: (Role.SUBJECT, lambda content: content.letters > 0.3),
        Role.YEAR: (Role.YEAR, lambda content: content.years > 0.2),
        Role.GRADES: (Role.GRADES, lambda content: True),
        Role.PART: (Role.PART, lambda content: True),
        Role.LEVEL: (Role.LEVEL, lambda content: content.letters > 0.3),
        Role.NUMBER: (Role.NUMBER, lambda content: True),
        Role.ISBN: (Role.ISBN, lambda content: True),
        Role.CODE: (Role.CODE, lambda content: content.codes > 0.3),
        Role.WORN: (Role.WORN, lambda content: content.counts > 0.3),
    }
    for role, (given, fits) in single.items():
        place = best(role, lambda i: (round(contents[i].filled, 1), meanings[i][1], -i), empty_or(fits))
        if place is not None:
            roles[place] = given
    if title is not None and not contents[title].filled:
        title = None
    if title is None:
        title = _text_column(contents, roles)
        confidence = min(confidence, 0.6)
    if title is None and not names_books(roles):
        # A lone column of authors or subjects holds all there is of the book.
        title = next((i for i, role in enumerate(roles) if role in {Role.AUTHORS, Role.SUBJECT}), None)
    if title is not None:
        roles[title] = Role.TITLE
    elif not names_books(roles):
        confidence = 0.2
    return _with_counts(roles, meanings, contents, confidence)


def _with_counts(
    roles: list[str], meanings: Sequence[tuple[str, int]], contents: Sequence[_Content], confidence: float
) -> tuple[list[str], float]:
    """Choose the columns that hold the counts: one total, or one per part, year or class."""

    def counting(index: int) -> bool:
        return roles[index] == Role.OTHER and (not contents[index].filled or contents[index].counts > 0.3)

    told = [role if counting(index) else "" for index, (role, _) in enumerate(meanings)]
    counts = [index for index, role in enumerate(told) if role in {Role.COPIES, _ORDERED}]
    chosen = _spread(roles, told, counts)
    if chosen:
        for index in chosen:
            roles[index] = meanings[index][0]
        if counts and not any(_adds_up(contents, index, [index, *chosen]) for index in counts):
            # The total knows of copies that no column of a year, class or part shows.
            confidence = min(confidence, 0.5)
        return roles, confidence
    if not counts and (sessions := [index for index, role in enumerate(told) if role == _SESSION]):
        roles[sessions[-1]] = Role.COPIES
        return roles, min(confidence, 0.5)
    if not counts:
        inventory = [index for index, (role, _) in enumerate(meanings) if role == Role.INVENTORY]
        if inventory and contents[inventory[0]].filled > 0.5:
            roles[inventory[0]] = Role.INVENTORY
            return roles, min(confidence, 0.7)
        return roles, min(confidence, 0.4)
    place = max(
        counts, key=lambda i: (contents[i].filled > 0.05, meanings[i][1], contents[i].filled > 0.5, -i)
    )
    if loaned := [index for index, role in enumerate(told) if role == _LOANED and contents[index].filled]:
        totals = {
            index: share
            for index in counts
            if (share := _covering(contents, index, place, loaned[0])) is not None
            and (index != place or meanings[place][1] != _REST)
        }
        if totals:
            place = max(totals, key=lambda i: (totals[i], i == place, meanings[i][1], -i))
        else:
            # What is on the shelf and what is with pupils make up the stock.
            roles[loaned[0]] = Role.COPIES
            confidence = min(confidence, 0.7)
    rivals = [
        index
        for index in counts
        if index != place and meanings[index] == meanings[place] and contents[index].filled > 0.5
    ]
    if meanings[place][0] == _ORDERED or meanings[place][1] == _HARDLY or (rivals and not loaned):
        sums = [index for index in counts if _adds_up(contents, index, counts)]
        place = sums[0] if sums else place
        confidence = confidence if sums else min(confidence, 0.5)
    roles[place] = Role.COPIES
    return roles, confidence


def _spread(roles: Sequence[str], told: Sequence[str], counts: Sequence[int]) -> list[int]:
    """Return the columns of counts by part, year or class; none where a total is the better source."""
    of = {prefix: [i for i, role in enumerate(told) if role.startswith(prefix)] for prefix in SPREAD}
    if len(of[OF_PART]) > 1:
        return of[OF_PART]
    lone = bool(of[OF_YEAR]) and not counts and not of[OF_GRADE]
    if Role.YEAR not in roles and (len(of[OF_YEAR]) > 1 or lone):
        return of[OF_YEAR]
    return of[OF_GRADE] if len(of[OF_GRADE]) > 1 or not counts else []


def _adds_up(contents: Sequence[_Content], total: int, counts: Sequence[int]) -> bool:
    """Say whether a column is the sum of the other counts beside it, row by row."""
    others = [contents[index].figures for index in counts if index != total]
    rows = [
        (whole, sum(part or 0 for part in parts))
        for whole, *parts in zip(contents[total].figures, *others, strict=True)
        if whole is not None
    ]
    return len(others) > 1 and bool(rows) and sum(a == b for a, b in rows) >= 0.8 * len(rows)


def _covering(contents: Sequence[_Content], total: int, rest: int, loaned: int) -> bool | None:
    """Say whether a column is the sum of what is on the shelf and what is with pupils, row by row.

    None for one that cannot be their total: it is less than one of them.
    """
    rows = [
        (whole, part or 0, lent or 0)
        for whole, part, lent in zip(
            contents[total].figures, contents[rest].figures, contents[loaned].figures, strict=True
        )
        if whole is not None and (part is not None or lent is not None)
    ]
    if not rows or sum(whole >= max(part, lent) for whole, part, lent in rows) < 0.9 * len(rows):
        return None
    return total != rest and sum(whole == part + lent for whole, part, lent in rows) >= 0.8 * len(rows)


_NUMERIC = frozenset({Role.COPIES, Role.WORN, PUPILS, NEED, RATIO, _PRICE, _ORDERED})


def _shift(meanings: Sequence[tuple[str, int]], contents: Sequence[_Content]) -> int:
    """Return by how many columns the numbers stand beside their headings; 0 where they stand below them.

    Somebody deleted cells under a header that stayed. Only a shift that fits every number column is taken,
    and a coefficient must meet the column with fractions, so that it cannot be a chance.
    """
    numeric = [(index, role) for index, (role, _) in enumerate(meanings) if role in _NUMERIC]
    copies = [index for index, role in numeric if role == Role.COPIES]
    if not copies or any(contents[index].filled > 0.1 for index in copies):
        return 0
    fitting: list[tuple[int, int]] = []
    for shift in range(-len(meanings) + 1, len(meanings)):
        fits = 0
        for index, role in numeric:
            place = index + shift
            content = contents[place] if 0 <= place < len(contents) else _Content()
            if content.filled < 0.5:
                fits -= role in {Role.COPIES, RATIO}
                continue
            fractional = content.fractions > 0.3
            right = (
                fractional if role == RATIO else role == _PRICE or (content.counts > 0.9 and not fractional)
            )
            fits += 1 if right else -3
        fitting.append((fits, shift))
    fitting.sort(reverse=True)
    (most, shift), (second, _) = fitting[0], fitting[1]
    ratio = any(role == RATIO for _, role in numeric)
    return shift if ratio and most >= 4 and most > second else 0


def _text_column(contents: Sequence[_Content], roles: Sequence[str]) -> int | None:
    places = [
        index
        for index, content in enumerate(contents)
        if roles[index] == Role.OTHER
        and content.filled > 0.3
        and content.letters > 0.7
        and content.length > 5
    ]
    return max(places, key=lambda i: (contents[i].filled > 0.8, contents[i].distinct, -i)) if places else None


def _guessed(contents: Sequence[_Content]) -> tuple[list[str], float]:
    """Guess the columns of a table without a header from what stands in them."""
    roles = [str(Role.OTHER)] * len(contents)
    free = [index for index, content in enumerate(contents) if content.filled >= 0.2]

    def take(role: Role, test: Callable[[_Content], bool], key: Callable[[int], float]) -> None:
        places = [index for index in free if test(contents[index])]
        if places:
            place = max(places, key=key)
            roles[place] = role
            free.remove(place)

    take(Role.CODE, lambda c: c.codes > 0.8, lambda i: -i)
    take(Role.NUMBER, lambda c: c.numbers > 0.7, lambda i: -i)
    take(Role.ISBN, lambda c: c.isbns > 0.7 and c.length > 9, lambda i: -i)
    take(Role.PUBLISHER, lambda c: c.publishers > 0.6, lambda i: contents[i].publishers)
    texts = [index for index in free if contents[index].letters > 0.6 and contents[index].length > 4]
    if len(texts) > 1:
        people = max(texts, key=lambda i: contents[i].people)
        others = [index for index in texts if index != people]
        if contents[people].people > 0.6 and any(contents[i].distinct > 1 for i in others):
            roles[people] = Role.AUTHORS
            free.remove(people)
    take(
        Role.TITLE,
        lambda c: c.letters > 0.6 and c.length > 4,
        lambda i: contents[i].distinct + contents[i].length / 1000,
    )
    take(Role.YEAR, lambda c: c.years > 0.8, lambda i: contents[i].years)
    # Numbers that rise by one before the title number the rows; after it they happen to.
    first = roles.index(Role.TITLE) if Role.TITLE in roles else 0
    free[:] = [index for index in free if not contents[index].rising or index > first]
    numbers = [index for index in free if contents[index].counts > 0.6]
    if len(numbers) > 1:
        # Of two columns of small numbers the class stands before the count.
        grades = [i for i in numbers if contents[i].grades > 0.9 and contents[i].distinct <= 12]
        if grades and grades[0] != numbers[-1]:
            roles[grades[0]] = Role.GRADES
            numbers.remove(grades[0])
    else:
        take(Role.GRADES, lambda c: c.grades > 0.9 and c.counts < 0.6, lambda i: -i)
    if numbers:
        roles[numbers[0]] = Role.COPIES
    certain = Role.TITLE in roles and Role.COPIES in roles
    return roles, 0.5 if certain else 0.1


# --- rows ---

_TOTAL = re.compile(
    r"(?:итог\w*|всего|сумма|в т\. ?ч|в том числе|средн\w+ (?:коэф|знач)|общ(?:ее|ий|ая) (?:кол|итог|чис|сум)"
    r"|необходимое финанс)(?!\w)\w*",
)
_TOTAL_AFTER = re.compile(r"(?<![а-я])(?:итого|всего)$")
_NOTE = re.compile(
    r"(?:библиотекарь|педагог.библиотекарь|директор|заведующ\w+|зав\.|исполнител\w*|составил\w*|ответственн\w+"
    r"|заместител\w+|зам\.|методист|подпис\w*|дата|примечани\w*|председател\w*|член\w* комисси\w*"
    r"|руководител\w*"
    r"|согласован\w*|утвержда\w*|проверил\w*|принял\w*|сдал\w*|телефон|тел\.|м\. ?п\.|\* )(?![а-я])"
)
_SAME = frozenset(
    {"-//-", "—//—", "–//–", "//", '"', '-"-', "-«-", '-""-', "-||-", "то же", "''", "″", "-/-", "- // -"}
)
_NONE = frozenset({"-", "–", "—", "нет", "--"})
_GRADE_SECTION = re.compile(
    r"(?:(?:учебники|книги|литература)\s+(?:для\s+|за\s+)?)?(1[0-2]|[1-9])\s*(?:[-–,и]\s*(1[0-2]|[1-9]))?\s*-?\s*"
    r"(?:й|е|го|х|ый|ые)?\s*(?:«?[а-д]»?\s*)?кл(?:асс(?:ы|а|ов|е)?)?\.?\s*[:.]?"
)
_GRADE_IN_TEXT = re.compile(r"\d\s*-?\s*(?:й|го|е|ый|х)?\s*\)?\s*кл|класс[аы]?\s*\d", re.IGNORECASE)
_GRADE_MENTIONED = re.compile(
    r"(?<![\d–-])(?<![–-] )(1[01]|[1-9])\s*-?\s*(?:й|го|х|е|ые|ых)?\s*(?:«?[а-д]»?\s*)?кл(?:асс\w*)?\b"
)
_HEADING_ROW = re.compile(
    r"\d+(?:\.\d+)+\.?\s+\D|\d\.\s+учебник|.*\((?:предметная область|учебный предмет|уровень образования)\)"
    r"|(?:начальн|основн|средн)\w+ (?:общее образование|школа|классы)|раздел\b|приложение\b"
)
SUBJECTS = frozenset(
    fold(name)
    for name in (
        "Русский язык", "Литература", "Литературное чтение", "Родной язык", "Родная литература",
        "Математика", "Алгебра", "Геометрия", "Алгебра и начала математического анализа",
        "Вероятность и статистика", "Информатика", "Информатика и ИКТ", "Физика", "Химия", "Биология",
        "География", "История", "История России", "Всеобщая история", "Обществознание", "Окружающий мир",
        "Природоведение", "Английский язык", "Немецкий язык", "Французский язык", "Китайский язык",
        "Испанский язык", "Иностранный язык", "Музыка", "Изобразительное искусство", "ИЗО", "Искусство",
        "МХК", "Технология", "Труд", "Труд (технология)", "Физическая культура", "Физкультура", "ОБЖ",
        "ОБЗР", "Основы безопасности жизнедеятельности", "Основы безопасности и защиты Родины", "ОРКСЭ",
        "ОДНКНР", "Основы религиозных культур и светской этики", "Астрономия", "Экология", "Экономика",
        "Право", "Черчение", "Естествознание", "Азбука", "Букварь", "Обучение грамоте", "Чтение",
        "Речевая практика", "Мир природы и человека", "Ручной труд",
    )
)  # fmt: skip
"""Names of subjects as they stand in heading rows."""


def _is_total(texts: Sequence[str]) -> bool:
    words = [text for text in texts if text and number_of(text) is None]
    if not words:
        return False
    if len(words) == 1 and words[0].rstrip().endswith(":"):
        return True
    for text in words:
        folded = fold(text).strip(" .:")
        if _TOTAL.match(folded) or (len(folded) <= 60 and _TOTAL_AFTER.search(folded)):
            return True
        # «5 класс | Итого | 120»
        if not (_GRADE_SECTION.fullmatch(folded) or folded in SUBJECTS):
            return False
    return False


def is_publisher(text: str) -> bool:
    """Say whether a text is the name of a known publisher and nothing more."""
    names = clean_publishers(text)
    return len(names) == 1 and fold(names[0]) in _PUBLISHERS


_PUBLISHERS = frozenset(
    map(
        fold,
        (
            "Просвещение", "Дрофа", "Вентана-Граф", "Вентана Граф", "Бином", "Русское слово", "Мнемозина",
            "Академкнига", "Академкнига/Учебник", "Ассоциация 21 век", "Ассоциация XXI век", "Астрель",
            "Вита-Пресс", "Владос", "Академия", "Баласс", "Титул", "Макмиллан", "Экзамен",
            "Интеллект-Центр", "Ювента", "Илекса", "Федоров", "Просвещение-Союз",
        ),
    )
)  # fmt: skip


@dataclass
class _Place:
    """What heading rows say of the rows below them."""

    grades: str = ""
    subject: str = ""
    publisher: str = ""

    def mentioned(self, text: str) -> None:
        """Take in the class a title names, «Учебники для 7 класса», if it is a single one."""
        found = set(_GRADE_MENTIONED.findall(fold(text)))
        if len(found) == 1:
            self.grades = found.pop()

    def heard(self, text: str) -> bool:
        """Take in a heading row; False for a text that is no heading known."""
        folded = fold(text).strip(" .:-–—")
        if found := _GRADE_SECTION.fullmatch(folded):
            self.grades = "-".join(filter(None, found.groups()))
            return True
        if folded in SUBJECTS:
            self.subject = text.strip(" .:")
            return True
        if found := re.search(r"(?<!\d)" + _GRADE_SECTION.pattern + r"$", folded):
            rest = folded[: found.start()].strip(" .,:-–—(")
            if rest in SUBJECTS:
                self.subject = text[: len(rest)].strip()
                self.grades = "-".join(filter(None, found.groups()))
                return True
        if _HEADING_ROW.match(folded):
            named = re.match(r"[\d.\s]*(.+?)\s*\(учебный предмет\)", text)
            if named:
                self.subject = named[1]
            return True
        folded = folded.removesuffix("эфу").strip(" -–—")
        if folded in _PUBLISHERS:
            self.publisher = text.strip(" .:")
            return True
        return False


def read_rows(rows: Sequence[Row], columns: Columns, *, sheet: int, most: int = MOST_ROWS) -> list[ReadRow]:
    """Read the rows of a sheet: each is in the result, with all its cells, at least once.

    A row may have many counts: raises ``Invalid`` as soon as there are more than ``most`` in all.
    """
    read = list(islice(_Reading(columns, sheet).read(texts_of(rows)), most + 1))
    if len(read) > most:
        raise Invalid(TOO_MANY_COUNTS, most=MOST_ROWS)
    return read


class _Reading:
    """One sheet being read from the top."""

    def __init__(self, columns: Columns, sheet: int) -> None:
        self._columns = columns
        self._sheet = sheet
        self._place = _Place()
        if not self._place.heard(columns.name):
            self._place.mentioned(columns.name)
        self._before: dict[str, str] = {}
        self._copies = columns.of(Role.COPIES)
        self._worn = columns.of(Role.WORN)
        self._spread = [(index, role) for index, role in enumerate(columns.roles) if role.startswith(SPREAD)]
        self._inventory = columns.of(Role.INVENTORY)
        self._carried: dict[Role, str] = {}
        self._sets = any("комплект" in _plain(columns.headings[place]) for place in self._copies)
        self._headings = tuple(_plain(text) for text in columns.headings)

    def read(self, rows: Iterable[tuple[int, list[str]]]) -> Iterable[ReadRow]:
        width = len(self._columns.roles)
        first = max(self._columns.header, default=0)
        rows = list(rows)
        self._carried = {role: "" for role in (Role.GRADES, Role.SUBJECT) if self._heads_groups(role, rows)}
        for number, texts in rows:
            texts = (texts + [""] * (width - len(texts)))[: max(width, len(texts))]
            kept = tuple(texts)
            while kept and not kept[-1]:
                kept = kept[:-1]
            service = self._service(number, texts, first)
            if service:
                yield ReadRow(self._sheet, number, 0, kept, service=service)
            else:
                yield from self._book(number, texts, kept)

    def _heads_groups(self, role: Role, rows: Sequence[tuple[int, list[str]]]) -> bool:
        """Say whether a column is written once for the rows below: mostly blank, and never the same twice."""
        places = self._columns.of(role)
        first = max(self._columns.header, default=0)
        values = [
            texts[places[0]]
            for number, texts in rows
            if places and number > first and places[0] < len(texts) and len(list(filter(None, texts))) > 1
        ]
        filled = [text for text in values if text]
        return (
            len(filled) > 1
            and bool(values[0])
            and 2 * len(filled) <= len(values) + 1
            and all(one != other for one, other in pairwise(filled))
        )

    def _service(self, number: int, texts: Sequence[str], first: int) -> str:
        """Return what a row is that names no book; empty for the others."""
        filled = list(dict.fromkeys(text for text in texts if text))
        if not filled:
            return SERVICE_BLANK
        if not self._columns.used:
            return SERVICE_SHEET
        if number in self._columns.header:
            return SERVICE_HEADER
        if number < first:
            if len(filled) == 1 and not self._place.heard(filled[0]):
                self._place.mentioned(filled[0])
            return SERVICE_TITLE
        if is_numbering(texts):
            return SERVICE_NUMBERING
        if _is_total(texts):
            return SERVICE_TOTAL
        if _NOTE.match(fold(filled[0])) and not any(
            number_of(texts[place]) is not None
            for place in (*self._copies, *(place for place, _ in self._spread))
        ):
            return SERVICE_NOTE
        if len(filled) == 1 and _CYRILLIC.search(filled[0]) and self._place.heard(filled[0]):
            return SERVICE_SECTION
        if self._columns.header and sum(
            1
            for text, heading in zip(texts, self._headings, strict=False)
            if text and _plain(text) == heading
        ) >= max(2, len(filled) - 1):
            return SERVICE_HEADER
        return ""

    def _cell(self, texts: Sequence[str], role: Role) -> str:
        places = self._columns.of(role) if role is not Role.OTHER else []
        text = " ".join(texts[place] for place in places if texts[place])[:_LONGEST]
        return self._before.get(role, "") if text.strip() in _SAME else text

    def _book(self, number: int, texts: Sequence[str], kept: tuple[str, ...]) -> Iterable[ReadRow]:
        cells: dict[Role, str] = {role: self._cell(texts, role) for role in Role}
        code, list_number, isbn = cells[Role.CODE], cells[Role.NUMBER], cells[Role.ISBN]
        if not _LIST_NUMBER.fullmatch(list_number):
            list_number = ""
        named = cells[Role.TITLE] and _letters(cells[Role.TITLE])
        lone = len({text for text in texts if text}) == 1
        if not named and not (_CODE.fullmatch(code) or list_number or isbn):
            if self._goes_on(texts, cells):
                for role in (Role.TITLE, Role.AUTHORS, Role.SUBJECT, Role.GRADES, Role.PUBLISHER, Role.LEVEL):
                    cells[role] = cells[role] or self._before.get(role, "")
            elif lone and _CYRILLIC.search("".join(texts)):
                yield ReadRow(self._sheet, number, 0, kept, service=SERVICE_SECTION)
                return
            elif not (cells[Role.AUTHORS] or cells[Role.SUBJECT]):
                yield ReadRow(self._sheet, number, 0, kept, service=SERVICE_NUMBERS)
                return
        for role in self._carried:
            self._carried[role] = cells[role] = cells[role] or self._carried[role]
        self._before = {role.value: text for role, text in cells.items()}
        wording = self._wording(cells, list_number, isbn)
        year = year_of(cells[Role.YEAR])
        if year is not None and year < FIRST_YEAR:
            year = None
        base = ReadRow(
            self._sheet,
            number,
            0,
            kept,
            wording=replace(wording, year=year),
            code=code if _CODE.fullmatch(code) else "",
            year=year,
            lone=lone and not code,
        )
        yield from self._counted(base, texts)

    def _goes_on(self, texts: Sequence[str], cells: Mapping[Role, str]) -> bool:
        """Say whether a row without a title is another year or part of the book above it."""
        counted = any(texts[place] for place in (*self._copies, *(place for place, _ in self._spread)))
        return bool(self._before.get(Role.TITLE) and counted and (cells[Role.YEAR] or cells[Role.PART]))

    def _wording(self, cells: Mapping[Role, str], number: str, isbn: str) -> Wording:
        place = self._place
        title = cells[Role.TITLE]
        grades = cells[Role.GRADES]
        if _GRADE_IN_TEXT.search(title) and Role.GRADES in self._carried:
            grades = ""
        if not grades and not _GRADE_IN_TEXT.search(title):
            grades = place.grades
        return Wording(
            text=title,
            authors=cells[Role.AUTHORS],
            subject=cells[Role.SUBJECT] or place.subject,
            grades=grades,
            part=cells[Role.PART] or ("комплект" if self._sets else ""),
            publisher=cells[Role.PUBLISHER] or place.publisher,
            level=cells[Role.LEVEL],
            number=number,
            isbn=isbn,
        )

    def _counted(self, base: ReadRow, texts: Sequence[str]) -> Iterable[ReadRow]:
        """Yield the row with its count, or once for each year or class it counts."""
        assert base.wording is not None
        if not self._columns.counts:
            yield replace(base, fault=Fault(NO_COLUMN, {"row": base.row}))
            return
        found: list[ReadRow] = []
        for place, role in self._spread:
            if not texts[place] or texts[place] in _NONE:
                continue
            copies, fault = self._count(texts, [place], base.row)
            row = replace(base, item=len(found), copies=copies, fault=fault)
            if role.startswith(OF_PART):
                row = replace(row, wording=replace(base.wording, part=role.removeprefix(OF_PART)))
            elif role.startswith(OF_YEAR):
                year = int(role.removeprefix(OF_YEAR))
                row = replace(row, year=year, wording=replace(base.wording, year=year))
            else:
                row = replace(row, wording=replace(base.wording, grades=role.removeprefix(OF_GRADE)))
            found.append(row)
        if not found or any(texts[place] for place in self._copies):
            copies, fault = self._count(texts, self._copies, base.row)
            if fault is not None and fault.message == NO_COUNT and not self._copies and self._inventory:
                copies, fault = _listed(texts[self._inventory[0]]), None
            found.append(replace(base, item=len(found), copies=copies, fault=fault))
        worn, worn_fault = (
            self._count(texts, self._worn, base.row) if any(texts[i] for i in self._worn) else (None, None)
        )
        for row in found:
            fault = row.fault or worn_fault
            if len(found) == 1 and fault is None and worn is not None and worn > (row.copies or 0):
                fault = Fault(WORN_MORE, {"row": row.row, "worn": worn, "copies": row.copies or 0})
            # Worn copies of a row with several years cannot be told apart by year.
            yield replace(row, worn=worn if len(found) == 1 else None, fault=fault)

    def _count(
        self, texts: Sequence[str], places: Sequence[int], row: int
    ) -> tuple[int | None, Fault | None]:
        """Add up the counts of some columns; blank ones count for nothing, unless all are blank."""
        total: int | None = None
        for place in places:
            text = texts[place]
            if not text:
                continue
            number = 0 if text in _NONE else number_of(text)
            if number is None or number > MOST:
                column = self._columns.headings[place] or _letter(place)
                message = _complaint(text, number)
                return None, Fault(message, {"row": row, "column": column[:60], "text": text[:60]})
            total = (total or 0) + number
        return (total, None) if total is not None else (None, Fault(NO_COUNT, {"row": row}))


_RANGE = re.compile(r"(\d{1,9})\s*[-–—]\s*(\d{1,9})")


def _listed(text: str) -> int:
    """Return how many inventory numbers a cell lists: one, or as many as «1201-1225; 1230» says."""
    count = 0
    for piece in re.split(r"[,;]", text):
        found = _RANGE.fullmatch(piece.strip())
        if found and 0 <= int(found[2]) - int(found[1]) < MOST:
            count += int(found[2]) - int(found[1]) + 1
        else:
            count += bool(piece.strip())
    return max(count, 1)


def _complaint(text: str, number: int | None) -> str:
    if number is not None:
        return TOO_MANY
    if re.fullmatch(r"[-–−]\s*\d+(?:[.,]\d+)?", text):
        return NEGATIVE
    return FRACTION if _FRACTION.fullmatch(text) else NOT_A_COUNT


def _letters(text: str) -> bool:
    return re.search(r"[^\W\d_]{2}", text) is not None


def _letter(place: int) -> str:
    """Return the letter Excel shows above a column."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def code_of(text: str) -> tuple[int, int, int] | None:
    """Return textbook, year and part of a code of the portal, «123-2019-1»; None for anything else."""
    found = _CODE.fullmatch(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


# --- a table to try ---

SAMPLE_HEADINGS = ("№ п/п", "Автор, название", "Класс", "Год издания", "Кол-во, экз", "К списанию")
SAMPLE: tuple[tuple[object, ...], ...] = (
    (1, "КАНАКИНА В.П. РУССКИЙ ЯЗЫК 2 КЛ Ч.1", 2, 2023, 24, None),
    (2, "КАНАКИНА В.П. РУССКИЙ ЯЗЫК 2 КЛ Ч.2", 2, 2023, 22, None),
    (3, "Климанова, Голованова. Лит. чтение в 2-х частях (комплект)", 3, 2023, 18, None),
    (4, "Климанова Литературное чтение", 2, 2021, 15, None),
    (5, "Виленкин Н.Я. Математика 5 кл. 1 часть", 5, "2023 г", "26 шт", 2),
    (6, "Атанасян. Геометрия 7-9", "7-9", 2023, 61, None),
    (7, "Горецкий В.Г. Прописи 1 класс", 1, 2024, 30, None),
    (8, "Атлас. География 6 класс", 6, 2022, 12, None),
    (9, "Перышкин Физика 7кл", 7, 2023, "много", None),
    (None, "Итого", None, None, 208, 2),
)
"""A table as librarians write them: what can be tried where there is none at hand."""
