"""Decides which textbook a row of somebody's table means, or that it has to be asked.

A row is first read into facts: the people, the subject, the words of the title, class, part, level, year,
publisher and marks. Every book that shares a person or a rare word with it is then weighed: each fact adds to
or takes from a score, in natural logarithms of odds. The same book in several orders is one answer; the
scores of really different books, and of «none of these», are turned into probabilities. A row is recognised
automatically only when one book is almost certain and the row names more than a surname; everything else
becomes a question or a choice of at most five.

The weights were set by hand on labelled rows of school libraries, on order forms and on rows made from the
list, and the two constants of the calibration checked by cross-validation over groups (author and subject);
``benchmarks/recognition.py`` measures both.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from rapidfuzz import process
from rapidfuzz.distance import OSA

from exchange.catalog.importer import clean_grades, clean_publishers, clean_title
from exchange.catalog.rules import fold

# --- what comes in and goes out ---


class Kind(StrEnum):
    """What became of a row."""

    AUTOMATIC = "automatic"
    """One book, certain enough to be taken without asking."""
    CHOICE = "choice"
    """Several books are possible: the person picks one."""
    QUESTION = "question"
    """One answer (class, series or level) would tell the books apart."""
    NOT_TEXTBOOK = "not_textbook"
    """A workbook, an atlas, a reader: not a thing of the list."""
    NOT_LISTED = "not_listed"
    """A book, but none of the list."""


@dataclass(frozen=True)
class Book:
    """A textbook as the recogniser sees it.

    ``grade_from`` and ``grade_to`` are None for colleges; ``numbers`` are those it bears in the orders;
    ``standing`` is greater for a newer order, greatest for appendix 1 of the newest one.
    """

    id: int
    title: str
    authors: str = ""
    subject: str = ""
    grade_from: int | None = None
    grade_to: int | None = None
    publisher: str = ""
    level: str = ""
    parts: int = 1
    special_needs: bool = False
    edition_note: str = ""
    language: str = "русский"
    numbers: tuple[str, ...] = ()
    standing: int = 0


@dataclass(frozen=True)
class Wording:
    """What a row says: the text of the title cell, which may hold everything, and the other columns."""

    text: str
    authors: str = ""
    subject: str = ""
    grades: str = ""
    part: str = ""
    publisher: str = ""
    year: int | None = None
    level: str = ""
    number: str = ""
    isbn: str = ""


@dataclass(frozen=True)
class Alias:
    """A confirmed answer. ``book_id`` None: confirmed to be no textbook.

    ``own``: confirmed by this school; ``times``: by how many of the others, agreeing.
    """

    book_id: int | None
    own: bool = False
    times: int = 1


@dataclass(frozen=True)
class Note:
    """A sentence for the reader: a Russian msgid filled by ``parameters``."""

    message: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message % self.parameters if self.parameters else self.message


@dataclass(frozen=True)
class Candidate:
    """A possible book. ``score``: its probability.

    ``difference``: what tells it from the other candidates, most telling first; empty in an automatic answer.
    """

    book_id: int
    score: float
    difference: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a row means. ``candidates``: at most five, the best first.

    ``confidence``: the probability of the best one, or of the rejection. ``part``: the part the row names,
    None for a whole set or when nothing is said; ``whole_set``: the row says it counts sets; ``year``: of
    printing; ``question``: "grade", "series", "level" or ""; ``others``: entries of the best book in
    other orders and editions, by falling likelihood; they are not among the candidates.
    """

    kind: Kind
    candidates: tuple[Candidate, ...] = ()
    confidence: float = 0.0
    part: int | None = None
    whole_set: bool = False
    year: int | None = None
    question: str = ""
    reason: Note | None = None
    others: tuple[int, ...] = ()

    @property
    def book_id(self) -> int | None:
        """The book of an automatic answer, else None."""
        return self.candidates[0].book_id if self.kind is Kind.AUTOMATIC else None


MAX_CANDIDATES = 5
_MAX_TEXT = 600

# --- words ---

# Latin letters that look like Cyrillic ones, as they slip into titles typed on a switched keyboard.
_LOOKALIKES = dict(zip("ABCEHKMOPTXYaceopxykm", "АВСЕНКМОРТХУасеорхукм", strict=True))
_TO_CYRILLIC = str.maketrans(_LOOKALIKES)
_MIXED = re.compile(r"[A-Za-zА-Яа-яЁё]*(?:[A-Za-z][А-Яа-яЁё]|[А-Яа-яЁё][A-Za-z])[A-Za-zА-Яа-яЁё]*")
_LATIN_RUN = re.compile(r"(?<![A-Za-z])[A-Za-z]+(?![A-Za-z])")
_GLUED = re.compile(r"(?<=[а-яё]{3})(?=[А-ЯЁ][а-яё]{2})")
_SPACES = str.maketrans(
    {"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\t": " ", "\n": " ", "\r": " ", "_": " "}
)
_DASHES = str.maketrans({"\u2010": "-", "\u2011": "-", "\u2012": "-", "–": "-", "—": "-", "\u2212": "-"})
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")
# «XIX» typed with Cyrillic letters, in part or whole.
_TYPED_ROMAN = re.compile(r"(?<!\w)(?=[IVXХІ]*[ХІ])[IVXХІ]{2,6}(?!\w)")
_TO_ROMAN = str.maketrans("ХІ", "XI")
_CYRILLIC_ROMAN = str.maketrans({"х": "x", "і": "i", "у": "v"})
_ROMAN = re.compile(r"x{0,3}(?:ix|iv|v?i{0,3})")

_TOKEN = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|\d+|[.,;:/()]")

# Endings of Russian nouns and adjectives, so that «математики» and «математика» are one word.
_ENDING = re.compile(
    r"(?:ами|ями|ого|его|ому|ему|ыми|ими|иях|ией|ием|ия|ии|ию|ий|ие|ых|их|ой|ей|ая|яя|ое|ее|ые|ый|ую|юю"
    r"|ам|ям|ах|ях|ов|ев|ом|ем|ым|им|а|я|о|е|ы|и|у|ю|ь|й)$"
)


def _stem(word: str) -> str:
    """Return a word without its ending, at least three letters, at most eight."""
    if len(word) > 4:
        word = _ENDING.sub("", word[:]) or word
    return word[:8]


_SURNAME_ENDINGS = (
    (re.compile(r"(?:с|ц)к(?:ого|ому|ой|ий|ая|их|им|ую)$"), "ск"),
    (re.compile(r"(ов|ев|ин|ын)(?:а|ой|у|ым|ых|е)$"), r"\1"),
    (re.compile(r"(?:ого|ому|ой|ый|ий|ая|яя|его)$"), ""),
    (re.compile(r"(?<=[бвгджзклмнпрстфхцчшщ])(?:а|у|ом|е|я|ю)$"), ""),
)


def _surname_stem(name: str) -> str:
    """Return a surname without what gender and case put at its end: «Неменского», «Неменская» – «неменск»."""
    if len(name) > 4:
        for pattern, ending in _SURNAME_ENDINGS:
            shorter = pattern.sub(ending, name)
            if shorter != name and len(shorter) >= 3:
                return shorter
    return name


# Words that say nothing about which book it is.
_NOISE_WORDS = """
и в во на с со из к о об по для от до под при не а за над без учебник учебника учебники учеб уч учебн
учебное учебный фгос фгосы гос класс класса классы классов кл часть части частях частей ч книга книги
книгах кн том общеобразовательных общеобразовательные общеобразоват общеобразов образовательных образоват
организаций организации учреждений учрежд учреждения школ школы школа учащихся ученика обучающихся обуч
реализующих включен фп фпу федеральный перечень новый новая новое новинка приложение приложением эл
электронное электронным электронная форма эфу лицензия лиценз год года г гг cd диск диском диске онлайн
online поддержкой аудио цветной синий красный оранжевый белый доп дополнительные материалы материал
материалами издание изд издания стереотипное стереотип переработанное перераб доработанное исправленное
испр исправл pdf djvu doc docx м спб мск ред редакцией редакция редактор общей научной проф академика
автор авторы авторский авт сост составитель коллектив др другие другими ур уровень уровни уровня уровней
базовый углубленный шт экз штук комплект компл твердый переплет мягкий обложка ооо ао зао оао
издательство издательский центр тип линия умк система код ритм вертикаль навигатор вэртикаль соответствии
требованиями фоп ноо соо стандарт основного общего среднего начального образования образование программы
программам программа адаптированные основные обязательный предмет предмету реализации
"""
_NOISE = frozenset(_NOISE_WORDS.split())

# --- what a row can say: each pattern works on folded text with plain hyphens ---

_ISBN = re.compile(
    r"(?:isbn[\s:]*)?\b(97[89][\d -]{10,14}\d|\d{1}-\d{2,6}-\d{2,6}-[\dxх])(?!\d)|(?:isbn[\s:]*)?\b(\d{13})\b"
)
_LIST_NUMBER = re.compile(r"(?<![\d.])\d(?:\s?\.\s?\d{1,2}){3,8}(?![\d])\.?")
_SPECIAL = re.compile(
    r"\(?\b(?:8|7|6|5|4|3|2|1|viii|vii|vi|v|iv|iii|ii|i)(?:(?:,|\sи|-)\s?(?:8|7|ii|i))?\s?-?(?:й|го|ого|ый)?\s?вид(?:а|ов|ы)?\b\)?"
    r"|\bовз\b|\bаооп\b|интеллект\w*(?:\s+(?:наруш|недостат)\w*)?|\bумств\w*\.?\s+отст\w*|\bкоррекц\w*|\bуо\b|\bспец\.?\s?\(?корр?"
    r"|\b(?:слабо(?:слыш|вид)|глух|слеп|позднооглох)\w+|\bзпр\b|\bтнр\b|\bнаруш\w+\s+(?:речи|слуха|зрения)"
)
_COUNT = {"2": 2, "3": 3, "4": 4, "5": 5, "двух": 2, "трех": 3, "четырех": 4, "пяти": 5, "две": 2, "три": 3}
_ROMAN_DIGITS = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5}
_ORDINALS = {"перв": 1, "втор": 2, "трет": 3, "четв": 4}
_PART_WORD = r"(?:част[ьияхей]*|ч(?![а-я])|книг[аиейх]*|кн(?![а-я])|том[аовхе]*(?![а-я])|т(?=\.\s?\d))"
_PARTS_COUNT = re.compile(
    rf"\(?\b(?:в|из)\s*(2|3|4|5|двух|трех|четырех|пяти)\W{{0,3}}х?\W{{0,2}}\s*{_PART_WORD}\.?\)?"
    rf"|\b(2|3|4|две|три)\s?-?х?\s?(?:части|частей|книги)\b"
)
_PARTS_LIST = re.compile(
    rf"\b{_PART_WORD}\.?\s?№?(\d)(?:\s?(?:,|и|-|\+|;|/|&)\s?(?:{_PART_WORD}\.?\s?)?(\d)(?!\d))+"
    rf"|\b(\d)(?:\s?(?:,|и|-|\+|;|/)\s?(\d))+\s?-?\s?(?:я\s)?{_PART_WORD}\.?"
)
_PART_ONE = re.compile(
    rf"\b{_PART_WORD}\.?\s?№?\s?(\d|i{{1,3}}|iv)(?![\w])"
    rf"|(?<![\d,-])\b(\d)\s?-?\s?(?:я|ая|ой|ю)?\s?{_PART_WORD}\.?(?!\w)"
    rf"|\b(перв|втор|трет|четв)(?:ая|ой|ую|ья|ье|ый)\s+(?:част|книг)\w*"
    rf"|\b(?:част|книг)\w*\s+(перв|втор|трет|четв)(?:ая|ья)"
)
_SET = re.compile(r"\(?\bкомпл(?:ект)?\w*\.?\)?")
_BOTH_LEVELS = re.compile(
    r"баз\w*\.?(?:\s?(?:ур\w*)\.?)?\s?(?:и|/|,|\+)\s?(?:угл\w*|проф\w*)\.?(?:\s?ур\w*\.?)?"
)
_ADVANCED = re.compile(
    r"\bугл(?:убл\w*)?\.?(?:\s?\(?ур\w*\.?|\b)|\bпроф(?:ил\w*)?\.?\s?(?:ур\w*)\.?|\bпрофильн\w*(?!\s+труд)"
)
_BASIC = re.compile(r"\bбаз(?:ов\w*)?\.?\s?(?:ур\w*\.?)?(?![а-я])|\bбазов\w*")
_PAGES = re.compile(r"\b\d+\s?(?:с\b|стр\b|руб|экз|шт|мм|гр)\.?")
_EDITION_NUMBER = re.compile(
    r"\b\d{1,2}\s?-?\s?(?:е|ое)?\s?изд\w*\.?|\bизд\w*\.?\s?\d{1,2}(?!\d)|школ[аы]\s?2100"
)
_YEAR = re.compile(
    r"(?<![\d.])(?<!\d-)(?<!\d\s-\s)(199\d|20[0-3]\d)(?!\d|\s?(?:-|г\w*\.?\s?-)\s?(?:\d|нач|xx|хх))\s?(?:гг?\b\.?|год\w*)?"
)
_CENTURY = re.compile(r"\b(\d{1,2})\s?-?(?:го|й|м)?\s?(?=в\b|век)")
_ORDINAL_END = r"(?:\s?-?\s?(?:й|го|ый|ые|ой|ом|му|м|е|х))?"
_CLASS = re.compile(
    rf"(?<![\d.,])\(?\b(?:для\s+)?(1[0-2]|[0-9]){_ORDINAL_END}(?:\s?[абвг](?=\s?кл))?"
    rf"(?:\s?(?:-|,|и|/|\.\.)\s?(1[0-2]|[1-9]){_ORDINAL_END})?"
    rf"(?:\s?(?:,|и)\s?(1[0-2]|[1-9]){_ORDINAL_END})?"
    rf"\s?(доп\w*\.?\s?|подгот\w*\.?\s?)?(?:-?класс(?:а|ы|ов|е)?|-?класс|кл)(?![а-я])\.?\)?"
)
_CLASS_AFTER = re.compile(
    r"\bкл(?:асс\w*)?\.?\s?[:№]?\s?(1[0-2]|[1-9])(?:\s?[-,]\s?(1[0-2]|[1-9]))?(?![\d.])"
)
_CLASS_ROMAN = re.compile(
    r"\b(xi|ix|iv|v?i{1,3}|v|x)(?:\s?-\s?(xi|ix|iv|v?i{1,3}|v|x))?\s?(?:класс\w*|кл(?![а-я]))\.?"
)
_CLASS_BARE_RANGE = re.compile(r"(?<![\d.,№-])\(?\b(1[0-2]|[1-9])\s?-\s?(1[0-2]|[2-9])\b(?![-\d.])\)?")
_CLASS_BARE = re.compile(
    r"(?<=[а-яa-z.)])\s{0,3}\(?\b(1[0-2]|[1-9])(?![\d.,-]|\s?(?:в\b|век|вид|ч|кн|т\.|шт|экз|изд))\)?"
)
_NUMERALS = {
    "i": 1,
    "ii": 2,
    "iii": 3,
    "iv": 4,
    "v": 5,
    "vi": 6,
    "vii": 7,
    "viii": 8,
    "ix": 9,
    "x": 10,
    "xi": 11,
}

# Things that lie on the same shelves and are no textbooks. The first group may be a part of a textbook's
# title («учебник-хрестоматия», «сборник задач»): then the list decides.
_NOT_TEXTBOOK = re.compile(
    r"\bпропис\w*|\bтетрад\w*|\bраб\w*\.\s?тетр?\w*|\bр\s?/\s?т\b|\bхрестомат\w*|\bатлас\w*|\bконтурн\w*|\bк/к\b"
    r"|\bметодич\w*|\bмет\.\s?(?:пос|рек)\w*|\bпоурочн\w*|\bдля\s+учител\w*|\bкнига\s+для\s+чтения|\bдидакт\w*"
    r"|\bконтрольн\w*|\bпроверочн\w*|\bсамостоятельн\w*\s+(?:и|работ)\w*|\bтест(?:ы|ов|овые|ах)?\b|\bкимы\b|\bкимов\b"
    r"|\bсловар\w*|\bсправочн\w*|\bэнциклопед\w*|\bтренаж\w*|\bпрактикум\w*|\bрешебник\w*|\bегэ\b|\bогэ\b|\bвпр\b"
    r"|\bсборник\w*|\bзадачник\w*|\bпособи[ея]\w*|\bплакат\w*|\bкарточк\w*|\bраскрас\w*|\bнаглядн\w*\s+пос\w*"
    r"|\bаудио(?:курс|диск)\w*|\bmp3\b|\bрабоч\w*\s+программ\w*|\bдневник\w*|\bпортфолио|\bальбом\w*|\bкарты?\b"
    r"|\bлабораторн\w*|\bсочинени[яей]\w*|\bдиктант\w*|\bизложени[яей]\w*|\bолимпиад\w*"
)
# What comes with a textbook («с аудиоприложением», «+ рабочая тетрадь») does not make it a workbook.
_ACCOMPANIED = re.compile(
    r"\(?\bс\s+(?:прил|аудио|электр|метод|рабоч|практ|хрест|тетр|атлас|контурн|карт)[^.,;)]*|\+[^.,;)]*"
)
_TEXTBOOK = re.compile(r"\bучебник\s?(?:-|\+|и\b|,|с\b)|\bучебная\s+книга")

# A title that stands before every book of its area and says nothing.
_UMBRELLA = re.compile(
    r"^(?:математика\s+)?алгебра\s+и\s+начала\s+(?:математического\s+)?анализа\s+геометрия\s+(?=\w)"
    r"|^русский\s+язык\s+и\s+литература\s+(?=русский|литература)"
    r"|^филология\s+(?=\w)"
)

# Subjects and what they are called. The order matters: the longer name first.
_SUBJECTS: tuple[tuple[str, str], ...] = (
    (
        "орксэ",
        r"орксэ|(?:основы?\s+)?(?:мировых\s+)?религиозн\w*\s+культур\w*(?:\s+(?:и\s+)?светск\w*\s+этик\w*)?|светск\w*\s+этик\w*",
    ),
    ("однкнр", r"однкнр|(?:основы?\s+)?духовно(?:-|\s)нравств\w*\s+культур\w*(?:\s+народ\w*\s+росс\w*)?"),
    (
        "обж",
        r"обж\b|обзр\b|(?:осн\w*\s+)?безоп\w*\s+(?:и\s+защит\w*\s+родин\w*|жизн\w*)|осн\w*\s+безоп\w*(?:\s+жизн\w*)?",
    ),
    ("литчтение", r"лит\w*\s+чт\w*|родная\s+речь"),
    ("родная литература", r"родн\w*\s+(?:\w+\s+)?литер\w*|литератур\w*\s+на\s+родном"),
    ("родной язык", r"(?:рус\w*\s+)?родн\w*\s+(?:рус\w*\s+)?язык\w*"),
    ("литература", r"литер\w*|лит-ра"),
    ("русский", r"рус\w*\s+яз\w*|русск\w*\s+речь"),
    ("азбука", r"азбук\w*"),
    ("букварь", r"буквар\w*"),
    ("английский", r"англ\w*(?:\s+яз\w*)?|english\b"),
    ("немецкий", r"немец\w*(?:\s+яз\w*)?|нем\s+яз\w*|deutsch\b"),
    ("французский", r"франц\w*(?:\s+яз\w*)?|фр\s+яз\w*"),
    ("испанский", r"испан\w*(?:\s+яз\w*)?"),
    ("китайский", r"китайск\w*(?:\s+яз\w*)?"),
    ("итальянский", r"итальянск\w*(?:\s+яз\w*)?"),
    ("японский", r"японск\w*(?:\s+яз\w*)?"),
    ("финский", r"финск\w*(?:\s+яз\w*)?"),
    ("окрмир", r"окр\w*\s+мир\w*|мир\s+вокруг\s+нас|ознаком\w*\s+с\s+окр\w*(?:\s+мир\w*)?"),
    ("мир природы", r"мир\s+природы(?:\s+и\s+человека)?"),
    ("живой мир", r"живой\s+мир"),
    ("природоведение", r"природовед\w*"),
    ("естествознание", r"естествозн\w*|естественно(?:-|\s)научн\w*(?:\s+предмет\w*)?"),
    (
        "алгебра",
        r"алг\w*(?:\s+и\s+нач\w*(?:\s+мат\w*)?(?:\s+ан\w*)?)?|начала\s+(?:математического\s+)?анализа",
    ),
    ("геометрия", r"геометр\w*|геом\b"),
    ("вероятность", r"вероятност\w*(?:\s+и\s+стат\w*)?|теори\w\s+вероятност\w*"),
    ("математика", r"матем\w*|мат-ка"),
    ("информатика", r"информ\w*(?:\s+и\s+(?:икт|информационн\w*\s*\w*\s*технол\w*))?|икт\b"),
    (
        "всеобщая",
        r"(?:истор\w*\s+)?всеобщ\w*(?:\s+истор\w*)?|истор\w*\s+(?:древн\w*\s+мир\w*|средн\w*\s+век\w*|нов\w*\s+врем\w*)"
        r"|нов(?:ая|ой)\s+истор\w*|новейш\w*\s+(?:истор\w*|врем\w*)|истор\w*\s+нового\s+врем\w*",
    ),
    ("история россии", r"истор\w*\s+росс\w*|истор\w*\s+отечеств\w*"),
    ("история", r"истор\w*"),
    ("обществознание", r"обществозн\w*|обществовед\w*|общ(?:ест)?\w?\s+знан\w*"),
    ("география", r"геогр\w*"),
    ("биология", r"биол\w*"),
    ("химия", r"хими\w*"),
    ("физкультура", r"физическ\w*\s+культур\w*|физ\w*\s+культ\w*|физкульт\w*|физ-ра"),
    ("физика", r"физик\w*"),
    ("астрономия", r"астроном\w*"),
    ("экология", r"эколог\w*"),
    ("экономика", r"экономик\w*"),
    ("право", r"прав[оа]\b"),
    ("россия в мире", r"россия\s+в\s+мире"),
    ("технология", r"технол\w*|труд\b|домоводств\w*|трудов\w*\s+обуч\w*"),
    ("профтруд", r"профильн\w*\s+труд\w*|ручной\s+труд|швейн\w*\s+дело"),
    ("изо", r"изо\b|изобраз\w*(?:\s+иск\w*)?|рисовани\w*"),
    ("мхк", r"мхк\b|миров\w*\s+худож\w*(?:\s+культ\w*)?"),
    ("музыка", r"музык\w*|муз\b"),
    ("искусство", r"искусств\w*"),
    ("черчение", r"черчени\w*"),
    ("речевая практика", r"речев\w*\s+практ\w*"),
    ("устная речь", r"устн\w*\s+речь"),
    ("развитие речи", r"развити\w*\s+речи"),
    ("чтение", r"чтени\w*"),
    ("сбо", r"основ\w*\s+соц\w*(?:\s+жизни)?|социально\s+бытов\w*\s*\w*"),
    ("риторика", r"риторик\w*"),
    ("шахматы", r"шахмат\w*"),
)
_SUBJECT = re.compile(
    r"\b(?:"
    + "|".join(f"(?P<s{index}>{pattern})" for index, (_, pattern) in enumerate(_SUBJECTS))
    + r")(?!\w)"
)
# Subjects whose names people use for each other: how likely one stands for the other, in log odds.
_KIN: dict[frozenset[str], float] = {
    frozenset(pair): weight
    for *pair, weight in (
        ("история", "история россии", 0.6),
        ("история", "всеобщая", 0.6),
        ("история россии", "всеобщая", -2.5),
        ("математика", "алгебра", -1.2),
        ("математика", "геометрия", -1.8),
        ("математика", "вероятность", -1.0),
        ("азбука", "букварь", -0.6),
        ("азбука", "русский", -0.6),
        ("букварь", "русский", -1.2),
        ("литчтение", "литература", -1.0),
        ("литчтение", "чтение", 0.3),
        ("литература", "чтение", -0.6),
        ("искусство", "музыка", 0.0),
        ("искусство", "изо", 0.2),
        ("искусство", "мхк", 0.2),
        ("орксэ", "однкнр", 0.4),
        ("русский", "родной язык", -1.5),
        ("литература", "родная литература", -1.0),
        ("литчтение", "родная литература", -1.5),
        ("окрмир", "мир природы", 0.0),
        ("живой мир", "мир природы", 0.2),
        ("окрмир", "природоведение", -0.8),
        ("технология", "профтруд", 0.4),
        ("география", "природоведение", -1.5),
        ("биология", "природоведение", -1.0),
        ("биология", "экология", -1.5),
        ("обществознание", "право", -1.0),
        ("обществознание", "экономика", -1.0),
        ("естествознание", "природоведение", -0.5),
        ("чтение", "речевая практика", -0.5),
        ("чтение", "развитие речи", 0.0),
        ("русский", "развитие речи", -0.2),
        ("устная речь", "речевая практика", 0.2),
    )
}

# Course names by which school programmes mean a class; the list itself often says only «Биология». With the
# publisher whose line bears the subtitle, where the others have none.
_TOPICS: tuple[tuple[str, str, int, int, str], ...] = (
    ("биология", r"бактери\w*|гриб\w*\s+растени\w*|введение\s+в\s+биологию", 5, 6, "Дрофа"),
    ("биология", r"живой\s+организм|покрытосеменн\w*", 6, 6, "Дрофа"),
    ("биология", r"животн\w*|многообразие\s+живых", 7, 7, ""),
    ("биология", r"человек\w*|познай\s+себя", 8, 9, ""),
    ("биология", r"введение\s+в\s+общую|общие\s+закономерност\w*|основы\s+общей", 9, 9, "Дрофа"),
    ("биология", r"общая\s+биология", 10, 11, ""),
    ("география", r"начальный\s+курс|введение\s+в\s+геогр\w*|планета\s+земля|землеведен\w*", 5, 6, "Дрофа"),
    ("география", r"материк\w*|земля\s+и\s+люди", 7, 7, "Дрофа"),
    ("география", r"россия\s+природа|природа\s+росси\w*|природа", 8, 8, "Дрофа"),
    ("география", r"хозяйств\w*|население", 8, 9, "Дрофа"),
    ("география", r"современн\w*\s+мир\w*|экономическая|социальная|мир\w*\s+хозяйств", 10, 11, ""),
    ("всеобщая", r"древн\w*\s+мир\w*", 5, 5, ""),
    ("всеобщая", r"средни\w*\s+век\w*", 6, 6, ""),
    ("всеобщая", r"нов\w*\s+врем\w*|нов(?:ая|ой)\s+истор\w*", 7, 9, ""),
    ("всеобщая", r"новейш\w*", 9, 11, ""),
    ("изо", r"декоративно|прикладн\w*", 5, 5, ""),
    ("изо", r"искусство\s+в\s+жизни\s+человек\w*", 5, 7, ""),
    ("изо", r"дизайн\s+и\s+архитект\w*|архитектур\w*", 7, 7, ""),
    ("изо", r"театр\w*|кино|телевид\w*", 8, 8, ""),
    ("изо", r"изображаешь\s+украшаешь", 1, 1, ""),
    ("изо", r"искусство\s+и\s+ты", 2, 2, ""),
    ("изо", r"искусство\s+вокруг", 3, 3, ""),
    ("изо", r"народ\s+художник", 4, 4, ""),
    ("химия", r"вводный\s+курс", 7, 7, ""),
    ("химия", r"органическая", 10, 10, ""),
    ("химия", r"общая\s+химия", 11, 11, ""),
)
_TOPIC_PATTERNS = tuple(
    (subject, re.compile(r"\b(?:" + pattern + r")(?!\w)"), first, last, publisher)
    for subject, pattern, first, last, publisher in _TOPICS
)

# Lines known by a name of their own: the subject, the people that only they have (one set or another of a
# book's authors), and the publisher where the people have other lines.
_LINES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    (r"enjoy\s+english|англ\w*\s+(?:язык\w*\s+)?с\s+удов\w*", "английский", ("биболетова",), ""),
    (
        r"spotlight|спотлайт|англ\w*\s+(?:язык\w*\s+)?в\s+фокусе",
        "английский",
        ("быкова дули", "ваулина дули", "афанасьева дули"),
        "",
    ),
    (r"rainbow", "английский", ("афанасьева михеева",), "Дрофа"),
    (r"forward|форвард", "английский", ("вербицкая",), "Вентана-Граф"),
    (r"starlight|звездный\s+англ\w*", "английский", ("баранова дули", "мильруд дули"), ""),
    (r"happy\s+english", "английский", ("кауфман",), ""),
    (r"brilliant", "английский", ("комарова",), ""),
    (r"millie|милли(?!\w)", "английский", ("азарова",), ""),
    (r"new\s+millenn?ium", "английский", ("деревянко", "гроза", "дворецкая"), ""),
    (r"english\s+teens|сфер[аы]\s+англ\w*", "английский", ("алексеев",), ""),
    (r"horizonte|горизонты", "немецкий", ("аверин",), ""),
    (r"вундеркинды", "немецкий", ("захарова", "радченко", "яцковская"), ""),
    (r"твой\s+друг\s+фр\w*|французский\s+твой\s+друг", "французский", ("кулигина",), ""),
    (
        r"французский\s+в\s+перспективе",
        "французский",
        ("касаткина", "береговская", "григорьева"),
        "",
    ),
    (r"синяя\s+птица|oiseau\s+bleu", "французский", ("береговская", "селиванова", "шацких"), ""),
)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line known by a name of its own."""

    pattern: re.Pattern[str]
    subject: str
    people: tuple[frozenset[str], ...]
    publisher: str


_LINE_PATTERNS = tuple(
    _Line(
        re.compile(r"(?<!\w)(?:" + pattern + r")"),
        subject,
        tuple(frozenset(_surname_stem(name) for name in names.split()) for names in people),
        publisher,
    )
    for pattern, subject, people, publisher in _LINES
)

# Marks on the cover that name the publisher.
_IMPRINTS: tuple[tuple[str, str], ...] = (
    (r"ритм|в[еэ]ртикаль|навигатор", "Дрофа"),
    (r"алгоритм\s+успеха|начальная\s+школа\s+(?:xxi|21)\s+века", "Вентана-Граф"),
    (r"инновационная\s+школа", "Русское слово"),
    (r"планета\s+знаний", "Астрель"),
    (r"перспективная\s+начальная\s+школа|пнш", "Академкнига/Учебник"),
    (r"гармония", "Ассоциация 21 век"),
    (
        r"линия\s+жизни|полярная\s+звезда|академический\s+школьный|мгу\s+-\s+школе|школа\s+россии",
        "Просвещение",
    ),
    (r"просвещ(?:ение)?\b|просв\b", "Просвещение"),
    (r"дрофа", "Дрофа"),
    (r"вент[ао]на(?:[\s-]+граф)?|в-граф", "Вентана-Граф"),
    (r"бином(?:\s+лаборатория\s+знаний)?", "БИНОМ. Лаборатория знаний"),
    (r"русское\s+слово|рус\s+слово", "Русское слово"),
    (r"мнемозина", "Мнемозина"),
    (r"академкнига(?:\s*учебник)?", "Академкнига/Учебник"),
    (r"ассоциация\s+(?:xxi|21)(?:\s+век\w*)?", "Ассоциация 21 век"),
    (r"астрель", "Астрель"),
    (r"вита[\s-]?пресс", "Вита-Пресс"),
    (r"владос", "ВЛАДОС"),
    (r"баласс", "Баласс"),
    (r"титул", "Титул"),
    (r"академия(?!\s+наук)", "Академия"),
    (r"легион", "Легион"),
    (r"вако", "ВАКО"),
    (r"экзамен", "Экзамен"),
)
_IMPRINT = re.compile(
    r"\b(?:"
    + "|".join(f"(?P<p{index}>{pattern})" for index, (pattern, _) in enumerate(_IMPRINTS))
    + r")(?!\w)"
)
# Registrant numbers of Russian ISBNs (978-5-…).
_ISBN_PUBLISHERS = (
    ("978509", "Просвещение"),
    ("9785358", "Дрофа"),
    ("9785710", "Дрофа"),
    ("9785360", "Вентана-Граф"),
    ("9785346", "Мнемозина"),
    ("97859963", "БИНОМ. Лаборатория знаний"),
    ("97859477", "БИНОМ. Лаборатория знаний"),
    ("9785494", "Академкнига/Учебник"),
    ("97857755", "Вита-Пресс"),
    ("9785691", "ВЛАДОС"),
    ("9785000", "Русское слово"),
    ("9785533", "Русское слово"),
    ("9785893", "Ассоциация 21 век"),
    ("9785418", "Ассоциация 21 век"),
    ("9785868", "Титул"),
)
_SUCCESSOR = "Просвещение"
# Houses whose books «Просвещение» carries on, so that the cover may show either.
_UNITED = frozenset(
    (
        "Просвещение",
        "Дрофа",
        "Вентана-Граф",
        "БИНОМ. Лаборатория знаний",
        "Астрель",
        "Ассоциация 21 век",
        "Развивающее обучение",
        "Академкнига/Учебник",
    )
)
# Subjects that are taught in one class, so that a row need not name it.
_ONE_CLASS = frozenset(("азбука", "букварь", "орксэ", "астрономия", "право", "экономика", "россия в мире"))

# Series that split one lead author's books of one subject, told by a co-author.
_SERIES: tuple[tuple[str, str, frozenset[str]], ...] = tuple(
    (series, subject, frozenset(_surname_stem(name) for name in names.split()))
    for series, subject, names in (
        ("Школа России", "литчтение", "климанова голованова"),
        ("Перспектива", "литчтение", "климанова виноградская"),
        ("Школа России", "русский", "канакина горецкий"),
        ("Перспектива", "русский", "климанова бабушкина"),
        ("Перспектива", "русский", "климанова макеева"),
        ("Школа России", "азбука", "горецкий кирюшкин"),
        ("Перспектива", "азбука", "климанова макеева"),
        ("Школа России", "математика", "моро волкова"),
        ("Школа России", "математика", "моро бантова"),
        ("Перспектива", "математика", "дорофеев миракова"),
        ("Перспектива", "окрмир", "плешаков новицкая"),
        ("Школа России", "окрмир", "плешаков крючкова"),
        ("Школа России", "технология", "лутцева зуева"),
        ("Перспектива", "технология", "роговцева богданова"),
        ("Школа России", "изо", "неменская"),
        ("Перспектива", "изо", "шпикалова ершова"),
    )
)

# --- reading ---


@dataclass(slots=True)
class _Person:
    """Somebody named: folded surname, initials without dots, named as an editor."""

    surname: str
    initials: str
    editor: bool
    certain: bool


@dataclass(slots=True)
class _Reading:
    """The facts of one row."""

    people: list[_Person]
    others: bool
    """«и др.»"""
    subjects: frozenset[str]
    words: dict[str, bool]
    """Stems that are left of the title; True where the list knows the word."""
    text: str
    """Title words, corrected, in order."""
    grades: tuple[int, int] | None
    grade_weight: float
    topic: tuple[int, int] | None
    topic_publisher: str
    part: int | None
    parts: int | None
    whole_set: bool
    level: int | None
    special: bool
    year: int | None
    publishers: frozenset[str]
    reworked: bool
    number: str
    lines: list[_Line]
    not_textbook: str


def _plain(text: str) -> str:
    """Return ``text`` with ordinary spaces and hyphens and one alphabet per word."""
    text = _INVISIBLE.sub("", text[:_MAX_TEXT].translate(_SPACES).translate(_DASHES))
    text = _TYPED_ROMAN.sub(lambda found: found[0].translate(_TO_ROMAN), text)
    if _MIXED.search(text):
        text = _MIXED.sub(_one_alphabet, text)
    return _GLUED.sub(" ", text)


def _one_alphabet(found: re.Match[str]) -> str:
    word = found[0]
    if all(letter in _LOOKALIKES or not letter.isascii() for letter in word):
        return word.translate(_TO_CYRILLIC)
    return re.sub(r"(?<=[A-Za-z])(?=[А-Яа-яЁё])|(?<=[А-Яа-яЁё])(?=[A-Za-z])", " ", word)


def _lower(text: str) -> str:
    """Return ``text`` folded letter by letter, so that positions stay."""
    folded = text.lower().replace("ё", "е")
    return (
        folded if len(folded) == len(text) else "".join(each.lower()[:1] for each in text).replace("ё", "е")
    )


class _Scan:
    """A text out of which facts are taken one after the other; what was taken is blanked."""

    __slots__ = ("low", "raw")

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self.low = _lower(raw)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.search(self.low)
        if found is not None:
            start, end = found.span()
            self.low = self.low[:start] + " " * (end - start) + self.low[end:]
        return found

    def blank(self, pattern: re.Pattern[str]) -> bool:
        low = pattern.sub(lambda found: " " * len(found[0]), self.low)
        changed = low is not self.low and low != self.low
        self.low = low
        return changed


_BASIC_LEVEL, _ADVANCED_LEVEL, _BOTH_LEVEL = 1, 2, 3


def _level_of(scan: _Scan) -> int | None:
    if scan.take(_BOTH_LEVELS):
        scan.blank(_ADVANCED)
        scan.blank(_BASIC)
        return _BOTH_LEVEL
    advanced, basic = scan.blank(_ADVANCED), scan.blank(_BASIC)
    if advanced and basic:
        return _BOTH_LEVEL
    return _ADVANCED_LEVEL if advanced else _BASIC_LEVEL if basic else None


def _parts_of(scan: _Scan) -> tuple[int | None, int | None, bool]:
    """Return the part named, the number of parts of a set, and whether the row counts sets."""
    part: int | None = None
    count: int | None = None
    whole = scan.take(_SET) is not None
    if found := scan.take(_PARTS_COUNT):
        count = _COUNT[found[1] or found[2]]
    if found := scan.take(_PARTS_LIST):
        whole = True
        last = int(found[2] or found[4])
        count = count or (last if 2 <= last <= 5 else None)
    elif found := scan.take(_PART_ONE):
        word = found[1] or found[2]
        part = (_ROMAN_DIGITS.get(word) or int(word)) if word else _ORDINALS[found[3] or found[4]]
        if not 1 <= part <= 5:
            part = None
    if whole:
        part = None
    elif count and part is None:
        whole = True
    return part, count, whole


def _grades_of(scan: _Scan) -> tuple[tuple[int, int] | None, float]:
    """Return the classes a text names and how surely it names them."""
    if found := scan.take(_CLASS):
        numbers = [int(each) for each in found.groups()[:3] if each]
        scan.blank(_CLASS)
        return (min(numbers), max(numbers)), 1.0
    if found := scan.take(_CLASS_ROMAN):
        first = _NUMERALS[found[1]]
        return (first, _NUMERALS.get(found[2] or "", first)), 1.0
    if found := scan.take(_CLASS_AFTER):
        return (int(found[1]), int(found[2] or found[1])), 0.9
    if found := scan.take(_CLASS_BARE_RANGE):
        first, last = int(found[1]), int(found[2])
        if first < last:
            return (first, last), 0.9
    if found := scan.take(_CLASS_BARE):
        return (int(found[1]), int(found[1])), 0.7
    return None, 0.0


def _year_of(scan: _Scan) -> int | None:
    year = None
    while found := scan.take(_YEAR):
        year = int(found[1])
    return year


@dataclass(slots=True)
class _Unit:
    """A word, a group of initials or a punctuation mark of a row."""

    kind: str
    low: str
    raw: str
    start: int
    initials: str = ""
    taken: bool = False


def _units(scan: _Scan) -> list[_Unit]:
    units: list[_Unit] = []
    low, raw = scan.low, scan.raw
    for found in _TOKEN.finditer(low):
        word, start = found[0], found.start()
        first = word[0]
        if first in ".,;:/()":
            if not (first == "." and units and units[-1].kind == "i"):
                units.append(_Unit("p", word, word, start))
            continue
        if first.isdigit():
            units.append(_Unit("d", word, word, start))
            continue
        end = found.end()
        original = raw[start:end]
        if len(word) == 1 and original.translate(_TO_CYRILLIC).isalpha():
            follows = low[end : end + 1] == "."
            adjacent = bool(units) and units[-1].kind == "i"
            if (
                follows
                or (adjacent and original.isupper())
                or (original.isupper() and units and units[-1].kind == "w" and word not in "вксоу")
            ):
                letter = original.translate(_TO_CYRILLIC).lower().replace("ё", "е")
                if adjacent and len(units[-1].low) < 3:
                    units[-1].low += letter
                else:
                    units.append(_Unit("i", letter, original, start))
                continue
        units.append(_Unit("w", word, original, start))
    return units


_EDITOR_WORDS = frozenset({"ред", "редакцией", "редакция"})
_OTHERS_WORDS = frozenset({"др", "другие", "другими"})
_SEPARATE = frozenset(",;/:()")


def _attach_initials(units: list[_Unit], is_title: Mapping[str, bool]) -> None:
    """Give each group of initials to the surname before or after it."""
    for index, unit in enumerate(units):
        if unit.kind != "i":
            continue
        left = index - 1
        if left >= 0 and units[left].kind == "p" and units[left].low == ".":
            left -= 1
        before = units[left] if left >= 0 and units[left].kind == "w" else None
        after = units[index + 1] if index + 1 < len(units) and units[index + 1].kind == "w" else None
        if before is not None and not before.initials and not is_title[before.low]:
            before.initials = unit.low
        elif after is not None and not is_title[after.low]:
            after.initials = unit.low


class _TitleWords(dict[str, bool]):
    """Tells words that are no surnames; filled as words are asked for."""

    def __init__(self, vocabulary: Collection[str]) -> None:
        super().__init__()
        self._vocabulary = vocabulary

    def __missing__(self, word: str) -> bool:
        answer = word in _NOISE or word in self._vocabulary or len(word) < 2
        self[word] = answer
        return answer


_NAME_NOISE_WORDS = """
под ред редакцией редакция общей научной и другие др часть книга кн ч академика профессора проф автор
авторы составитель сост авт протоиерей игумен
"""
_NAME_NOISE = frozenset(_NAME_NOISE_WORDS.split())


def _people_of_book(text: str) -> tuple[list[_Person], bool]:
    """Return the people of an authors' cell of the list in their order, and whether it shortens them."""
    scan = _Scan(_plain(text))
    units = _units(scan)
    _attach_initials(units, defaultdict(bool, dict.fromkeys(_NAME_NOISE, True)))
    people: list[_Person] = []
    others = editor = False
    for unit in units:
        if unit.kind == "p" and unit.low in ";":
            editor = False
        if unit.kind != "w":
            continue
        if unit.low in _EDITOR_WORDS:
            editor = True
        elif unit.low in _OTHERS_WORDS:
            others = True
        elif unit.low not in _NAME_NOISE and (unit.initials or len(unit.low) > 3):
            people.append(_Person(unit.low, unit.initials, editor, bool(unit.initials)))
    return people, others


# --- the index ---


class _Entry:
    """A book prepared for weighing."""

    __slots__ = (
        "author_count",
        "authors",
        "book",
        "edited_only",
        "first",
        "foreign",
        "group_words",
        "last",
        "lead",
        "level",
        "names",
        "numbers",
        "open",
        "people",
        "publishers",
        "reworked",
        "set_of",
        "special",
        "standing",
        "subjects",
        "title",
        "words",
        "words_weight",
    )

    def __init__(self, book: Book) -> None:
        title = clean_title(book.title)
        self.book = book
        self.title = title.text
        people, self.open = _people_of_book(book.authors)
        self.people: dict[int, tuple[int, str, bool]] = {}
        self.names = people
        self.authors: tuple[str, ...] = tuple(
            dict.fromkeys(_surname_stem(each.surname) for each in people if not each.editor)
        ) or tuple(dict.fromkeys(_surname_stem(each.surname) for each in people))
        self.edited_only = not any(not each.editor for each in people)
        self.author_count = sum(1 for each in people if not each.editor) or len(people)
        self.lead = self.authors[0] if self.authors else ""
        first, last = book.grade_from, book.grade_to
        if first is None and title.grades is not None:
            first, last = title.grades.first, title.grades.last
        self.first = first
        self.last = last if last is not None else first
        self.level = _list_level(book.level or title.level or book.subject)
        self.publishers = frozenset(clean_publishers(book.publisher))
        self.set_of = max(book.parts, title.parts)
        words = fold(f"{book.title} {book.subject}")
        self.special = book.special_needs or _SPECIAL.search(words) is not None or "отсталост" in words
        self.foreign = fold(book.language) not in {"", "русский"}
        self.reworked = "перераб" in fold(f"{book.edition_note} {title.edition_note}")
        self.standing = book.standing
        self.numbers = frozenset(book.numbers)
        self.subjects: frozenset[str] = frozenset()
        self.words: dict[str, float] = {}
        self.words_weight = 0.0
        self.group_words: frozenset[str] = frozenset()


def _list_level(text: str) -> int:
    folded = fold(text)
    basic, advanced = "базов" in folded, "углубл" in folded or ("профильн" in folded and "уров" in folded)
    return (
        _BOTH_LEVEL if basic and advanced else _ADVANCED_LEVEL if advanced else _BASIC_LEVEL if basic else 0
    )


def _title_text(title: str) -> str:
    """Return the words of a cleaned title of the list, without class, parts, level and «для обучающихся…»."""
    scan = _Scan(_plain(title))
    low = re.split(r"[/(]?\s*под\s+ред", scan.low)[0]
    low = re.sub(
        r"\(?\bдля\s+(?:обучающихся|общеобраз|образоват|специальн|учащихся|слабо|глух)[^.)]*", " ", low
    )
    scan.low = low
    scan.raw = scan.raw[: len(low)]
    for pattern in (
        _CLASS,
        _PARTS_COUNT,
        _BOTH_LEVELS,
        _ADVANCED,
        _BASIC,
        _SPECIAL,
        _PART_ONE,
        _EDITION_NUMBER,
    ):
        scan.blank(pattern)
    return _joined(token for token in _TOKEN.findall(scan.low) if token[0].isalnum())


def _joined(tokens: Iterable[str]) -> str:
    words = [_roman(token) for token in tokens]
    return " ".join(word for word in words if word not in _NOISE or word in {"и", "в", "с"})


def _roman(token: str) -> str:
    """Return a Roman number in Latin letters, however it was typed; any other token as it is."""
    if len(token) <= 6:
        latin = token.translate(_CYRILLIC_ROMAN)
        if latin.isascii() and latin.isalpha() and _ROMAN.fullmatch(latin):
            return latin
    return token


def _means_something(word: str) -> bool:
    """Tell whether a word of a title is more than a number; years of history are."""
    return not word.isdigit() or (len(word) == 4 and "1000" <= word < "1990")


def _subjects_and_words(text: str) -> tuple[frozenset[str], list[str]]:
    """Return the subjects a title names and the words that are left of it."""
    if found := _UMBRELLA.match(text):
        text = text[found.end() :]
    named: list[str] = []
    rest: list[str] = []
    position = 0
    for found in _SUBJECT.finditer(text):
        if not found[0]:
            continue
        index = int((found.lastgroup or "s0")[1:])
        named.append(_SUBJECTS[index][0])
        rest.append(text[position : found.start()])
        position = found.end()
    rest.append(text[position:])
    words = [word for word in " ".join(rest).split() if word not in _NOISE and _means_something(word)]
    return frozenset(named), words


@dataclass(slots=True)
class _Hit:
    """A book under consideration: its score, and what of the row speaks for it."""

    entry: _Entry
    score: float
    people: float
    about: float
    found: int = 0
    """How many of the people named the book has."""
    lead: bool = False
    """Whether the first author is among them, or an editor where the row says so or names the class."""


class Recogniser:
    """Finds the book a row means among ``books``. Building takes well under a second for the whole list."""

    def __init__(self, books: Iterable[Book]) -> None:
        self._entries = [_Entry(book) for book in books]
        self._by_id = {entry.book.id: entry for entry in self._entries}
        self._surnames: list[str] = []
        self._surname_ids: dict[str, int] = {}
        self._stems: dict[str, list[int]] = defaultdict(list)
        self._postings: list[list[int]] = []
        self._vocabulary: dict[str, int] = {}
        self._word_postings: dict[str, list[int]] = defaultdict(list)
        self._weights: dict[str, float] = {}
        self._corrections: dict[str, tuple[str, bool]] = {}
        self._lookups: dict[tuple[str, bool], tuple[tuple[int, float], ...]] = {}
        self._title_cache: dict[str, tuple[frozenset[str], list[str]]] = {}
        self._by_number: dict[str, list[int]] = defaultdict(list)
        self._by_subject: dict[str, list[int]] = defaultdict(list)
        self._index()

    # --- building ---

    def _index(self) -> None:
        counts: dict[str, int] = defaultdict(int)
        texts: dict[str, str] = {}
        for index, entry in enumerate(self._entries):
            for position, person in enumerate(entry.names):
                sid = self._surname_id(person.surname)
                if sid not in entry.people:
                    entry.people[sid] = (position, person.initials, person.editor)
                    self._postings[sid].append(index)
            title = entry.title
            text = texts.get(title)
            if text is None:
                text = texts[title] = _title_text(title)
            if text not in self._title_cache:
                self._title_cache[text] = _subjects_and_words(text)
            subjects, words = self._title_cache[text]
            topic = _joined(
                token for token in _TOKEN.findall(_lower(_plain(entry.book.subject))) if token[0].isalnum()
            )
            if topic not in self._title_cache:
                self._title_cache[topic] = _subjects_and_words(topic)
            if not subjects:
                subjects = self._title_cache[topic][0]
                if not subjects:
                    words = [*words, *self._title_cache[topic][1]]
            entry.subjects = subjects
            for word in {*text.split(), *topic.split()} - _NOISE:
                counts[word] += 1
            for word in words:
                entry.words[_stem(word)] = 0.0
            for stem in entry.words:
                self._word_postings[stem].append(index)
            for subject in subjects:
                self._by_subject[subject].append(index)
            for number in entry.numbers:
                self._by_number[number].append(index)
        self._vocabulary = dict(counts)
        self._vocabulary_stems = {_stem(word) for word in counts}
        self._common_words = [word for word, count in counts.items() if count >= 3 and len(word) >= 4]
        self._title_words = _TitleWords(self._vocabulary)
        self._prefixes: dict[str, str] = {}
        for word in sorted(counts, key=lambda each: -counts[each]):
            for length in range(3, len(word)):
                self._prefixes.setdefault(word[:length], word)
        size = math.log(max(len(self._entries), 2))
        for stem, postings in self._word_postings.items():
            self._weights[stem] = 0.25 + 0.75 * math.log(max(len(self._entries), 2) / len(postings)) / size
        for entry in self._entries:
            for stem in entry.words:
                entry.words[stem] = self._weights[stem]
            entry.words_weight = sum(entry.words.values())
            entry.group_words = frozenset(entry.words)

    def _surname_id(self, surname: str) -> int:
        sid = self._surname_ids.get(surname)
        if sid is None:
            sid = self._surname_ids[surname] = len(self._surnames)
            self._surnames.append(surname)
            self._postings.append([])
            self._stems[_surname_stem(surname)].append(sid)
        return sid

    # --- words ---

    def _correct(self, word: str) -> tuple[str, bool]:
        """Return the word of the list that is meant by ``word``, and whether the list knows it."""
        known = self._corrections.get(word)
        if known is None:
            if len(self._corrections) > 50_000:
                self._corrections.clear()
            known = self._corrections[word] = self._corrected(word)
        return known

    def _corrected(self, word: str) -> tuple[str, bool]:
        if word in self._vocabulary or word in _NOISE or _SUBJECT.fullmatch(word):
            return word, True
        if len(word) >= 4 and _stem(word) in self._vocabulary_stems:
            return word, True
        if len(word) >= 5:
            found = process.extractOne(
                word, self._common_words, scorer=OSA.distance, score_cutoff=1 if len(word) < 8 else 2
            )
            if found is not None:
                return found[0], True
        if len(word) >= 3 and (longer := self._prefixes.get(word)) and self._vocabulary[longer] >= 20:
            return longer, True
        return word, False

    def _people_named(self, surname: str, fuzzy: bool) -> tuple[tuple[int, float], ...]:
        """Return the surnames of the list that ``surname`` may stand for, each with its likeness (0 to 1)."""
        key = surname, fuzzy
        found = self._lookups.get(key)
        if found is None:
            if len(self._lookups) > 50_000:
                self._lookups.clear()
            found = self._lookups[key] = self._looked_up(surname, fuzzy)
        return found

    def _looked_up(self, surname: str, fuzzy: bool) -> tuple[tuple[int, float], ...]:
        likeness: dict[int, float] = {}
        exact = self._surname_ids.get(surname)
        stem = _surname_stem(surname)
        for sid in self._stems.get(stem, ()):
            likeness[sid] = 0.85
        if exact is not None:
            likeness[exact] = 1.0
        if fuzzy and not likeness and len(surname) >= 4:
            bound = 1 if len(surname) < 6 else 2
            for other, distance, sid in process.extract(
                surname, self._surnames, scorer=OSA.distance, score_cutoff=bound, limit=8
            ):
                if distance == 2 and (len(other) < 7 or other[0] != surname[0]):
                    continue
                likeness[sid] = 0.75 if distance == 1 else 0.55
            bare = [each for each in self._stems if len(each) >= 4] if not likeness else []
            if bare:
                found = process.extractOne(stem, bare, scorer=OSA.distance, score_cutoff=1)
                if found is not None and len(found[0]) >= 5:
                    likeness.update((sid, 0.6) for sid in self._stems[found[0]])
        return tuple(likeness.items())

    # --- reading a row ---

    def _read(self, wording: Wording) -> _Reading:
        scan = _Scan(_plain(wording.text))
        publishers: set[str] = set()
        number = wording.number
        if found := scan.take(_ISBN):
            publishers.update(_isbn_publisher(found[0]))
        if wording.isbn:
            publishers.update(_isbn_publisher(wording.isbn))
        if found := scan.take(_LIST_NUMBER):
            number = number or re.sub(r"\s", "", found[0]).strip(".")
        reworked = "перераб" in scan.low
        not_textbook = ""
        found = _NOT_TEXTBOOK.search(scan.low)
        if found and not _TEXTBOOK.search(scan.low) and _NOT_TEXTBOOK.search(_ACCOMPANIED.sub(" ", scan.low)):
            not_textbook = found[0]
        special = scan.blank(_SPECIAL)
        scan.blank(_EDITION_NUMBER)
        level = _level_of(scan)
        part, parts, whole = _parts_of(scan)
        grades, grade_weight = _grades_of(scan) if _has_class(scan.low) else (None, 0.0)
        year = _year_of(scan)
        scan.blank(_PAGES)
        if "в" in scan.low:
            scan.low = _CENTURY.sub(lambda found: _roman_number(int(found[1])).ljust(len(found[0])), scan.low)
        while found := _IMPRINT.search(scan.low):
            publishers.add(_IMPRINTS[int((found.lastgroup or "p0")[1:])][1])
            scan.low = scan.low[: found.start()] + " " * len(found[0]) + scan.low[found.end() :]
        lines = [line for line in _LINE_PATTERNS if line.pattern.search(scan.low)]

        people, others, tokens = self._people_and_words(scan)
        if wording.authors:
            more, also, _ = self._people_and_words(_Scan(_plain(wording.authors)), only_people=True)
            named = {person.surname for person in people}
            people.extend(person for person in more if person.surname not in named)
            others = others or also
        text = _joined(tokens)
        if wording.subject:
            extra = _joined(
                self._correct(each)[0]
                for each in _TOKEN.findall(_lower(_plain(wording.subject)))
                if each[0].isalpha()
            )
            if not _subjects_and_words(text)[0]:
                text = f"{extra} {text}".strip()
        subjects, rest = _subjects_and_words(text)
        subjects = subjects.union(line.subject for line in lines)
        if wording.grades and (cell := clean_grades(_lower(wording.grades))):
            grades, grade_weight = (cell.first, cell.last), 1.0
        elif wording.grades and (roman := _CLASS_ROMAN.match(f"{_lower(_plain(wording.grades))} класс")):
            first = _NUMERALS[roman[1]]
            grades, grade_weight = (first, _NUMERALS.get(roman[2] or "", first)), 1.0
        if wording.part:
            cell_part, cell_parts, cell_whole = _parts_of(_Scan(_part_cell(wording.part)))
            part, parts, whole = (
                cell_part or part,
                cell_parts or parts,
                (cell_whole or whole) and not cell_part,
            )
        if wording.publisher:
            scan_publisher = _lower(_plain(wording.publisher))
            named_publishers = {
                _IMPRINTS[int((found.lastgroup or "p0")[1:])][1]
                for found in _IMPRINT.finditer(scan_publisher)
            }
            publishers.update(named_publishers or clean_publishers(wording.publisher))
        for cell_text in (wording.subject, wording.level):
            # «Физика (углублённый уровень)» is a subject in many tables.
            if cell_text:
                level = _level_of(_Scan(_plain(cell_text))) or level
                special = special or _SPECIAL.search(_lower(cell_text)) is not None
        topic, topic_publisher = _topic_of(subjects, text)
        words: dict[str, bool] = {}
        for word in rest:
            if word not in _NOISE and (len(word) > 1):
                stem = _stem(word)
                words[stem] = stem in self._weights
        return _Reading(
            people=people,
            others=others,
            subjects=subjects,
            words=words,
            text=text,
            grades=grades,
            grade_weight=grade_weight,
            topic=topic,
            topic_publisher=topic_publisher,
            part=part,
            parts=parts,
            whole_set=whole,
            level=level,
            special=special,
            year=wording.year or year,
            publishers=frozenset(publishers),
            reworked=reworked,
            number=number,
            lines=lines,
            not_textbook=not_textbook,
        )

    def _people_and_words(
        self, scan: _Scan, only_people: bool = False
    ) -> tuple[list[_Person], bool, list[str]]:
        """Part a row into people and title words (corrected where the list knows what is meant)."""
        units = _units(scan)
        for index, unit in enumerate(units):
            if unit.kind == "w" and unit.raw.isascii():
                self._from_latin(unit)
            if (
                unit.kind == "w"
                and len(unit.low) == 2
                and unit.raw.isupper()
                and index
                and units[index - 1].kind == "w"
                and not self._title_words[unit.low]
                and not self._title_words[units[index - 1].low]
                and not _ROMAN.fullmatch(unit.low.translate(_CYRILLIC_ROMAN))
            ):
                unit.kind = "i"
        _attach_initials(units, self._title_words)
        people: dict[tuple[str, str], _Person] = {}
        named: set[str] = set()
        tokens: list[str] = []
        others = editor = False
        heading = False
        for unit in units:
            if unit.kind == "p":
                continue
            low = unit.low
            if unit.kind == "d":
                if _means_something(low):
                    tokens.append(low)
                continue
            if unit.kind == "i":
                continue
            if low in _EDITOR_WORDS:
                editor = True
                continue
            if low in _OTHERS_WORDS:
                others = True
                continue
            if unit.initials:
                people.pop((low, ""), None)
                people.setdefault((low, unit.initials), _Person(low, unit.initials, editor, True))
                named.add(low)
                continue
            if low in named:
                continue
            if only_people:
                if low not in _NAME_NOISE and len(low) > 1:
                    people[low, ""] = _Person(low, "", editor, len(low) > 3)
                    named.add(low)
                continue
            if self._title_words[low]:
                heading = heading or low not in _NOISE
                editor = editor and low in _NOISE
                tokens.append(low)
                continue
            if len(low) > 2 and self._people_named(low, False) and not _SUBJECT.fullmatch(low):
                people[low, ""] = _Person(low, "", editor, False)
                named.add(low)
                continue
            word, known = self._correct(low)
            if not known and "-" in low:
                pieces = [self._correct(piece) for piece in low.split("-")]
                if any(also for _, also in pieces):
                    tokens.extend(piece for piece, _ in pieces)
                    heading = True
                    continue
            if (not known or not heading) and len(low) >= 5 and word not in _NOISE and not unit.raw.isascii():
                like = self._people_named(low, True)
                if like and (not known or (not heading and word != low and _stem(word) != _stem(low))):
                    people[low, ""] = _Person(low, "", editor, False)
                    named.add(low)
                    continue
            heading = heading or known
            tokens.append(word)
        return list(people.values()), others, tokens

    def _from_latin(self, unit: _Unit) -> None:
        """Read a word typed in Latin letters as Cyrillic where that makes a word of the list."""
        if all(letter in _LOOKALIKES for letter in unit.raw):
            low = _lower(unit.raw.translate(_TO_CYRILLIC))
            if low in self._vocabulary or low in self._surname_ids:
                unit.low, unit.raw = low, unit.raw.translate(_TO_CYRILLIC)

    # --- answering ---

    def recognise(
        self,
        wording: Wording,
        *,
        preferred: Collection[int] = (),
        aliases: Mapping[str, Alias] | None = None,
    ) -> Answer:
        """Return what a row means.

        ``preferred`` are books of the school's approved list and shelf: they come first among books the row
        does not tell apart, but never decide alone. ``aliases`` are confirmed answers by ``key_of``: the
        school's own are certain, those of other schools of the district strong evidence.
        """
        reading = self._read(wording)
        said = {"part": reading.part, "whole_set": reading.whole_set, "year": reading.year}
        alias = aliases.get(key_of(wording)) if aliases else None
        if alias is not None and alias.own:
            if alias.book_id is None:
                return Answer(Kind.NOT_TEXTBOOK, confidence=CONFIRMED, reason=Note(_SAID_BEFORE), **said)  # type: ignore[arg-type]
            if alias.book_id in self._by_id:
                candidate = Candidate(alias.book_id, CONFIRMED)
                return Answer(
                    Kind.AUTOMATIC,
                    (candidate,),
                    CONFIRMED,
                    reason=Note(_SAID_BEFORE),
                    **said,  # type: ignore[arg-type]
                )
        hits = self._weigh(reading, widely=False)
        if not hits or hits[0].score < _DOUBTFUL_SCORE:
            wider = self._weigh(reading, widely=True)
            if wider and (not hits or wider[0].score > hits[0].score):
                hits = wider
        hits = self._with_knowledge(hits, preferred, alias)
        groups = _grouped(hits, reading.level)
        probabilities = _probabilities(groups)
        rejected = self._rejected(reading, groups, probabilities, alias)
        if rejected is not None:
            kind, confidence, reason = rejected
            near = [probability for probability in probabilities if probability >= _FAR]
            shown = () if kind is Kind.NOT_TEXTBOOK else _candidates(groups, near, explained=True)
            return Answer(kind, shown, confidence, reason=reason, **said)  # type: ignore[arg-type]
        best = groups[0]
        others = tuple(hit.entry.book.id for hit in best[1:])
        confidence = probabilities[0]
        agreed = alias is not None and alias.times >= 2 and alias.book_id == best[0].entry.book.id
        if confidence >= AUTOMATIC_FROM and (agreed or _says_enough(reading, best[0])):
            shown = _candidates(groups, probabilities, explained=False)
            return Answer(Kind.AUTOMATIC, shown, confidence, others=others, **said)  # type: ignore[arg-type]
        if confidence >= AUTOMATIC_FROM:
            probabilities = [_HELD_BACK * probability for probability in probabilities]
            confidence = probabilities[0]
        shown = _candidates(groups, probabilities, explained=True)
        question, reason = _question(reading, groups, probabilities)
        kind = Kind.QUESTION if question else Kind.CHOICE
        return Answer(kind, shown, confidence, question=question, reason=reason, others=others, **said)  # type: ignore[arg-type]

    def _with_knowledge(
        self, hits: list[_Hit], preferred: Collection[int], alias: Alias | None
    ) -> list[_Hit]:
        """Add what the school's own list and shelf and the district's answers say."""
        if preferred:
            for hit in hits:
                if hit.entry.book.id in preferred:
                    hit.score += _PREFERRED
        if alias is not None and alias.book_id in self._by_id:
            bonus = _DISTRICT * min(alias.times, 3)
            known = next((hit for hit in hits if hit.entry.book.id == alias.book_id), None)
            if known is None:
                known = _Hit(self._by_id[alias.book_id], _NONE_SCORE, 0.0, 0.0)
                hits.append(known)
            known.score += bonus
        if preferred or alias is not None:
            hits.sort(key=lambda hit: (-hit.score, -hit.entry.standing, hit.entry.book.id))
        return hits

    def _rejected(
        self,
        reading: _Reading,
        groups: Sequence[Sequence[_Hit]],
        probabilities: Sequence[float],
        alias: Alias | None,
    ) -> tuple[Kind, float, Note | None] | None:
        if alias is not None and alias.book_id is None and alias.times >= 2:
            return Kind.NOT_TEXTBOOK, 0.95, Note(_SAID_IN_DISTRICT)
        best = groups[0][0] if groups else None
        if reading.not_textbook and not (best and _in_title(reading.not_textbook, best.entry)):
            exercises = reading.not_textbook.startswith("задачник") and best and best.entry.set_of > 1
            if not exercises:
                return Kind.NOT_TEXTBOOK, 0.97, Note(_NOT_A_TEXTBOOK, {"word": reading.not_textbook})
        if best is None:
            return Kind.NOT_LISTED, 0.9, Note(_NOTHING_LIKE_IT)
        certain = [person for person in reading.people if person.certain]
        if certain and not best.found:
            return Kind.NOT_LISTED, 0.9, Note(_PEOPLE_UNKNOWN)
        if best.score < _NONE_SCORE - (_BENEFIT_OF_DOUBT if 2 * best.found > len(reading.people) else 0.0):
            return Kind.NOT_LISTED, 1.0 - sum(probabilities), Note(_NOTHING_LIKE_IT)
        return None

    # --- weighing ---

    def _weigh(self, reading: _Reading, *, widely: bool) -> list[_Hit]:
        """Return the books that share a person or enough words with the row, the likeliest first."""
        shares: dict[int, dict[int, tuple[float, int, bool]]] = {}
        people = reading.people
        for order, person in enumerate(people):
            for sid, likeness in self._people_named(person.surname, True):
                for index in self._postings[sid]:
                    position, initials, editor = self._entries[index].people[sid]
                    like = likeness
                    if editor and likeness >= 0.85:
                        like = 1.0
                    if person.initials and initials:
                        agreement = _initials_agree(person.initials, initials)
                        if agreement == "other" and any(
                            each.initials == person.initials for each in self._entries[index].names
                        ):
                            agreement = "slip"
                        like *= _INITIALS[agreement]
                    share = shares.setdefault(index, {})
                    known = share.get(order)
                    if known is None or (like, -position) > (known[0], -known[1]):
                        share[order] = (like, position, editor)
        for line in reading.lines:
            for stem in frozenset().union(*line.people):
                for sid in self._stems.get(stem, ()):
                    for index in self._postings[sid]:
                        if line.subject in self._entries[index].subjects:
                            shares.setdefault(index, {})
        if reading.number:
            for index in self._by_number.get(reading.number, ()):
                shares.setdefault(index, {})
        if not shares or widely:
            for index in self._by_words(reading):
                shares.setdefault(index, {})
        hits = [
            self._score(reading, self._entries[index], share)
            for index, share in shares.items()
            if not _out_of_question(reading, self._entries[index])
        ]
        hits.sort(key=lambda hit: (-hit.score, -hit.entry.standing, hit.entry.book.id))
        return hits

    def _by_words(self, reading: _Reading) -> list[int]:
        """Return the books that share most of the title with a row that names nobody the list knows."""
        found: dict[int, float] = defaultdict(float)
        for stem in reading.words:
            postings = self._word_postings.get(stem, ())
            if len(postings) <= 400:
                for index in postings:
                    found[index] += self._weights[stem]
        for subject in reading.subjects:
            postings = self._by_subject.get(subject, ())
            if not found or len(postings) <= 400:
                for index in postings:
                    entry = self._entries[index]
                    if _grade_fit(reading, entry) >= 0:
                        found[index] += 0.5
        return sorted(found, key=lambda index: -found[index])[:60]

    def _score(self, reading: _Reading, entry: _Entry, share: Mapping[int, tuple[float, int, bool]]) -> _Hit:
        people = _people_fit(reading, entry, share)
        about = _subject_fit(reading.subjects, entry.subjects)
        words, unmatched = 0.0, 0.0
        topical = (
            reading.topic is not None
            and entry.first is not None
            and entry.first <= reading.topic[1]
            and (entry.last or 0) >= reading.topic[0]
        )
        matched = 0.0
        for stem, known in reading.words.items():
            weight = entry.words.get(stem)
            if weight is not None:
                words += 1.4 * weight
                matched += weight
            elif known:
                unmatched += self._weights[stem] * (0.3 if topical else 1.0)
            else:
                unmatched += 0.25
        missing = entry.words_weight - matched
        words -= min(unmatched, 3.0) * (0.9 if entry.words else 0.35) + min(missing, 3.0) * (
            0.55 if reading.words or reading.subjects else 0.2
        )
        score = people + about + words
        score += _grade_fit(reading, entry)
        score += _level_fit(reading.level, entry.level)
        score += _marks_fit(reading, entry)
        if not reading.people and about > 0 and not unmatched:
            score += 1.0
        if reading.lines:
            score += 3.0 if any(_of_line(entry, line) for line in reading.lines) else -3.0
        lead = any(
            like >= 0.5
            and (
                position == 0
                or (
                    editor
                    and (reading.people[order].editor or entry.edited_only or reading.grades is not None)
                )
            )
            for order, (like, position, editor) in share.items()
        )
        found = sum(1 for like, _, _ in share.values() if like >= 0.5)
        return _Hit(entry, score, people, about + words, found, lead)


_UNLIKE = -4.0
"""What two subjects weigh that nobody takes for each other."""

# How far initials agree: both, the first only, a slip in one of two places, not at all.
_INITIALS = {"same": 1.0, "first": 0.97, "slip": 0.85, "other": 0.4}


def _initials_agree(one: str, other: str) -> str:
    if one == other:
        return "same"
    if one[0] == other[0]:
        return "first" if len(one) == 1 or len(other) == 1 else "slip"
    if len(one) > 1 and len(other) > 1 and (one[1] == other[1] or one[:2] == other[1::-1]):
        return "slip"
    return "other"


def _of_line(entry: _Entry, line: _Line) -> bool:
    """Tell whether a book belongs to a line known by a name of its own."""
    if line.subject not in entry.subjects or (line.publisher and line.publisher not in entry.publishers):
        return False
    people = set(entry.authors)
    return any(names <= people for names in line.people)


def _people_fit(reading: _Reading, entry: _Entry, share: Mapping[int, tuple[float, int, bool]]) -> float:
    """Weigh the people: each one found speaks for the book, each one it does not know against it."""
    if not reading.people:
        return 0.0
    score = 0.0
    found = 0
    lead = False
    if (here := share.get(0)) is not None and here[1] == 0:
        score += 0.15
    for order, person in enumerate(reading.people):
        here = share.get(order)
        if here is None:
            if not person.certain:
                score -= 1.2
            elif entry.open and found >= min(entry.author_count, 3):
                score -= 0.1
            else:
                score -= 2.2
            continue
        like, position, editor = here
        score += (3.0 if not found else 1.2) * like - (2.0 if like < 0.5 else 0.0)
        found += 1
        lead = lead or position == 0 or (editor and person.editor)
        if person.editor and not editor and position > 0:
            score -= 0.4
        elif editor and not person.editor:
            score -= 0.5 if entry.edited_only else 1.2
    if found and not lead:
        score -= 0.7
    named = sum(1 for person in reading.people if not person.editor)
    if found and named >= 2 and not (reading.others and named < entry.author_count):
        score -= 0.7 * max(0, min(entry.author_count, 4) - named)
    elif found and named == 1:
        score -= 0.15 * max(0, min(entry.author_count, 4) - 1) + (0.1 if entry.open else 0.0)
    return score


def _out_of_question(reading: _Reading, entry: _Entry) -> bool:
    """Tell whether a book is for another class and another subject: it need not be weighed."""
    return (
        reading.grades is not None
        and entry.first is not None
        and entry.last is not None
        and (entry.first > reading.grades[1] or entry.last < reading.grades[0])
        and _subject_fit(reading.subjects, entry.subjects) <= _UNLIKE
    )


@lru_cache(maxsize=20_000)
def _subject_fit(named: frozenset[str], of_book: frozenset[str]) -> float:
    if not named or not of_book:
        return 0.0 if not named else -1.0
    if named == of_book:
        return 1.8
    common = named & of_book
    if common:
        return 1.5 if named <= of_book else 1.2 if of_book <= named else 0.6
    return max(_KIN.get(frozenset((one, other)), _UNLIKE) for one in named for other in of_book)


def _grade_fit(reading: _Reading, entry: _Entry) -> float:
    """Weigh the class: what the row names, or the class for which its topic is taught."""
    if reading.grades is not None:
        weight = reading.grade_weight
        first, last = reading.grades
        if entry.first is None or entry.last is None:
            return -1.5 * weight
        if (first, last) == (entry.first, entry.last):
            return 2.4 * weight
        if entry.first <= first and last <= entry.last:
            return 2.0 * weight
        if first <= entry.first and entry.last <= last:
            return 0.8 * weight
        if entry.first <= last and first <= entry.last:
            return 0.0
        return -5.0 * weight
    if reading.topic is not None and entry.first is not None and entry.last is not None:
        first, last = reading.topic
        return 1.0 if entry.first <= last and first <= entry.last else -2.0
    return -0.8 if entry.first is None else 0.0


# Log odds of a row that names no level, or one of three, by what the list says of the book (none, basic,
# advanced, both). Librarians name the advanced level as a rule.
_LEVEL_FIT = {
    None: (0.2, 0.1, -0.5, 0.1),
    _BASIC_LEVEL: (0.1, 0.6, -3.0, 0.4),
    _ADVANCED_LEVEL: (-1.2, -3.0, 1.0, 0.7),
    _BOTH_LEVEL: (0.1, -0.3, -0.3, 1.0),
}


def _level_fit(named: int | None, of_book: int) -> float:
    return _LEVEL_FIT[named][of_book]


def _marks_fit(reading: _Reading, entry: _Entry) -> float:
    """Weigh special needs, language, parts, publisher, year and number."""
    score = 0.0
    if reading.special:
        score += 1.5 if entry.special else -2.5
    elif entry.special:
        score -= 0.8
    if entry.foreign:
        score -= 0.8
    if reading.parts:
        score += 0.5 if reading.parts == entry.set_of else (-0.3 if entry.set_of == 1 else -0.8)
    if reading.part:
        score += -0.3 if reading.part > entry.set_of else 0.2 if entry.set_of > 1 else 0.0
    if reading.publishers and entry.publishers:
        if reading.publishers & entry.publishers:
            score += 1.2
        elif _publisher_possible(reading.publishers, entry.publishers):
            score -= 1.0
        else:
            score -= 2.2
    if reading.topic_publisher and reading.topic_publisher in entry.publishers:
        score += 0.6
    if reading.year is not None and entry.reworked:
        # Reworked editions, for the standards of 2021, are printed from 2023 on.
        score += 0.5 if reading.year >= 2023 else -1.2
    elif reading.year is not None and reading.year >= 2023:
        score -= 0.3
    if reading.reworked:
        score += 0.8 if entry.reworked else -0.4
    if reading.number:
        score += 2.0 if reading.number in entry.numbers else -0.2
    return score


def _topic_of(subjects: frozenset[str], text: str) -> tuple[tuple[int, int] | None, str]:
    """Return the classes for which the course a title names is taught, and whose line is called so."""
    first, last, named = 1, 12, ""
    for subject, pattern, begin, end, publisher in _TOPIC_PATTERNS:
        if subject in subjects and pattern.search(text):
            first, last, named = max(first, begin), min(last, end), named or publisher
    if first > last or (first, last) == (1, 12):
        return None, named
    return (first, last), named


def _has_class(low: str) -> bool:
    return "кл" in low or any(letter.isdigit() for letter in low)


def _roman_number(number: int) -> str:
    tens, units = divmod(number, 10)
    return "x" * tens + ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")[units]


def _isbn_publisher(text: str) -> tuple[str, ...]:
    digits = re.sub(r"\D", "", text)
    if len(digits) == 10:
        digits = "978" + digits
    return tuple(name for prefix, name in _ISBN_PUBLISHERS if digits.startswith(prefix))


def _part_cell(text: str) -> str:
    """Return the text of a cell of the column «Часть» as a phrase."""
    plain = _plain(text)
    return f"часть {plain}" if re.fullmatch(r"\s*[\d\s,;+и-]+\s*", plain) else plain


# --- deciding ---

CONFIRMED = 0.999
AUTOMATIC_FROM = 0.93
"""The probability from which a book is taken without asking."""
_NONE_SCORE = 2.2
"""The score at which «none of the list» is as likely as the book."""
_TEMPERATURE = 0.4
"""How many points of score multiply the odds by e; fitted, see the benchmark."""
_DOUBTFUL_SCORE = 3.5
_HELD_BACK = 0.6
"""How often the only likely book is the right one when the row says too little for it to be taken: what is
meant may not be in the list at all."""
_BENEFIT_OF_DOUBT = 2.0
_PREFERRED = 0.5
_DISTRICT = 1.2
_CLOSE = 0.04
_FAR = 0.002

# Which levels of the list a level named in a row can be.
_LEVELS_TOLD = {_BASIC_LEVEL: (0, _BASIC_LEVEL, _BOTH_LEVEL), _ADVANCED_LEVEL: (_ADVANCED_LEVEL, _BOTH_LEVEL)}
_SAME_SUBJECT = 0.25
_TELLING_WORD = 0.5

_SAID_BEFORE = "Так уже подтверждали в вашей школе."
_SAID_IN_DISTRICT = "Другие школы района подтвердили, что это не учебник."
_NOT_A_TEXTBOOK = "«%(word)s» – пособие, в федеральном перечне его нет."
_NOTHING_LIKE_IT = "Похожего учебника в перечне нет."
_PEOPLE_UNKNOWN = "Учебника этих авторов по этому предмету в перечне нет."
_WHICH_GRADE = "В строке не указан класс."
_WHICH_LEVEL = "Есть базовый и углублённый уровень."
_WHICH_SERIES = "У автора несколько линий: посмотрите на соавторов."
_WHICH_BOOK = "Подходят несколько учебников."
_UNSURE = "Совпадение неполное: проверьте."


def _grouped(hits: Sequence[_Hit], level: int | None) -> list[list[_Hit]]:
    """Part the hits into really different books: entries of one book in several orders are one group."""
    groups: list[list[_Hit]] = []
    if not hits:
        return groups
    floor = hits[0].score - 8.0
    for hit in hits[:60]:
        if hit.score < floor:
            break
        for group in groups:
            if all(member.entry.standing != hit.entry.standing for member in group) and _same_book(
                group[0].entry, hit.entry, level
            ):
                group.append(hit)
                break
        else:
            groups.append([hit])
    return groups


def _same_book(one: _Entry, other: _Entry, level: int | None) -> bool:
    """Tell whether two entries are one book in two orders, or its older and its reworked edition."""
    if one.special != other.special or one.foreign != other.foreign or one.lead != other.lead:
        return False
    if _level_class(one) != _level_class(other) and level != _BOTH_LEVEL:
        return False
    if one.first != other.first or one.last != other.last:
        return False
    if not (one.subjects & other.subjects):
        return False
    small, large = sorted((one.authors[:3], other.authors[:3]), key=len)
    if not set(small) <= set(one.authors) & set(other.authors):
        return False
    if one.publishers and other.publishers and not one.publishers & other.publishers:
        return len(small) == len(large) and _SUCCESSOR in one.publishers | other.publishers
    return True


def _probabilities(groups: Sequence[Sequence[_Hit]]) -> list[float]:
    """Return the probability of each group; what is missing to 1 is that of «none of the list»."""
    if not groups:
        return []
    top = max(groups[0][0].score, _NONE_SCORE)
    odds = [math.exp((group[0].score - top) / _TEMPERATURE) for group in groups]
    total = sum(odds) + math.exp((_NONE_SCORE - top) / _TEMPERATURE)
    return [each / total for each in odds]


def _says_enough(reading: _Reading, best: _Hit) -> bool:
    """Tell whether the row names more than a surname, and nothing that the book contradicts.

    The list is never complete: a row may mean a book of an order that was not loaded. So being the likeliest
    of the list is not enough.
    """
    entry = best.entry
    if best.about <= 0.0 or (reading.grades is not None and not _covers(entry, reading.grades)):
        return False
    if reading.subjects and _subject_fit(reading.subjects, entry.subjects) < _SAME_SUBJECT:
        return False
    if reading.level in _LEVELS_TOLD and entry.level not in _LEVELS_TOLD[reading.level]:
        return False
    if not _publisher_possible(reading.publishers, entry.publishers):
        return False
    told = any(stem in entry.words for stem in reading.words)
    printed = reading.publishers & entry.publishers
    if reading.level is None and entry.level == _ADVANCED_LEVEL and not told and not printed:
        # There is nearly always a plain book of the same people; who has the advanced one says so.
        return False
    if reading.topic_publisher and not told and reading.topic_publisher not in entry.publishers:
        return False
    if _speak_of_different_things(reading, entry):
        return False
    if not reading.people:
        known = sum(1 for stem in reading.words if stem in entry.words)
        return (best.about >= 2.5 and known >= 2) or bool(reading.lines) or bool(reading.number)
    if best.people < 1.0 or not (best.lead or best.found >= 2):
        return False
    if best.found < len(reading.people) and not (entry.open and best.found >= min(entry.author_count, 3)):
        return False
    if reading.grades or reading.topic or told or entry.subjects & _ONE_CLASS or entry.first is None:
        return True
    # Without a class only the co-authors can tell it: some of them may have written for another one too.
    named = sum(1 for person in reading.people if not person.editor)
    return named >= 2 and best.found >= min(entry.author_count, 3)


def _speak_of_different_things(reading: _Reading, entry: _Entry) -> bool:
    """Tell whether row and title each have a telling word that the other lacks: «XIX век» and «XVIII век»."""
    left = any(known and stem not in entry.words for stem, known in reading.words.items())
    return left and any(
        weight >= _TELLING_WORD and stem not in reading.words for stem, weight in entry.words.items()
    )


def _publisher_possible(named: frozenset[str], of_book: frozenset[str]) -> bool:
    """Tell whether a cover with one of the publishers ``named`` may be of a book of ``of_book``."""
    if not named or not of_book or named & of_book:
        return True
    return _SUCCESSOR in named | of_book and (named | of_book) <= _UNITED


def _covers(entry: _Entry, grades: tuple[int, int]) -> bool:
    """Tell whether a book is for all the classes a row names."""
    return (
        entry.first is not None
        and entry.last is not None
        and entry.first <= grades[0]
        and grades[1] <= entry.last
    )


def _in_title(word: str, entry: _Entry) -> bool:
    return _stem(word.split()[0].split("-")[-1])[:6] in fold(entry.book.title)


def _question(
    reading: _Reading, groups: Sequence[Sequence[_Hit]], probabilities: Sequence[float]
) -> tuple[str, Note]:
    """Return what to ask so that the close books are told apart, and how to put it."""
    close = [
        group[0].entry
        for group, probability in zip(groups, probabilities, strict=True)
        if probability >= _CLOSE * probabilities[0]
    ]
    if len(close) == 1:
        return "", Note(_UNSURE)
    best = close[0]
    if reading.grades is None and any((one.first, one.last) != (best.first, best.last) for one in close):
        return "grade", Note(_WHICH_GRADE)
    if any(_level_class(one) != _level_class(best) for one in close) and all(
        one.lead == best.lead for one in close
    ):
        return "level", Note(_WHICH_LEVEL)
    if all(one.lead == best.lead for one in close) and any(
        set(one.authors) != set(best.authors) for one in close
    ):
        return "series", Note(_WHICH_SERIES)
    return "", Note(_WHICH_BOOK)


def _level_class(entry: _Entry) -> bool:
    return entry.level == _ADVANCED_LEVEL


def _candidates(
    groups: Sequence[Sequence[_Hit]], probabilities: Sequence[float], *, explained: bool
) -> tuple[Candidate, ...]:
    """Return the best of each group; where nothing is asked, the differences are left out."""
    shown = [
        (group[0].entry, score) for group, score in zip(groups[:MAX_CANDIDATES], probabilities, strict=False)
    ]
    close = [entry for entry, score in shown if score >= _CLOSE * probabilities[0]]
    candidates = []
    for entry, score in shown:
        among = close if entry in close else [*close, entry]
        candidates.append(Candidate(entry.book.id, score, _differences(entry, among) if explained else ()))
    return tuple(candidates)


_SERIES_NOTE = "%(people)s – «%(series)s»"
_PEOPLE_NOTE = "%(people)s"
_GRADE_NOTE = "%(grades)s класс"
_PUBLISHER_NOTE = "издательство «%(publisher)s»"
_PARTS_NOTE = "частей: %(parts)s"
_TITLE_NOTE = "«%(title)s»"
# Named so that the texts without parameters are told from the words of rows and taken for translation.
_REPORT_LEVELS = (
    "уровень не указан",
    "базовый уровень",
    "углублённый уровень",
    "базовый и углублённый уровни",
)
_REPORT_COLLEGE = "для колледжей"
_REPORT_SPECIAL = "для обучающихся с ОВЗ"
_REPORT_REWORKED = "переработанное издание"
_REPORT_FORMER = "прежнее издание"


def _differences(entry: _Entry, among: Sequence[_Entry]) -> tuple[Note, ...]:
    """Return what tells ``entry`` from the others of ``among``, the most telling first, and no more."""
    book = entry.book
    same = [one for one in among if one is not entry]
    notes: list[Note] = []

    def tell(always: bool, note: Note | None, like: Callable[[_Entry], bool]) -> None:
        """Add ``note`` where some of the others are not like the book in that; leave the like ones."""
        nonlocal same
        candidates = [one for one in among if one is not entry] if always else same
        if note is not None and not all(like(one) for one in candidates):
            notes.append(note)
            same = [one for one in same if like(one)]

    tell(True, _people_note(entry, among), lambda one: set(one.authors) == set(entry.authors))
    tell(True, _grade_note(entry), lambda one: (one.first, one.last) == (entry.first, entry.last))
    tell(True, Note(_REPORT_LEVELS[entry.level]), lambda one: one.level == entry.level)
    title = Note(_TITLE_NOTE, {"title": entry.title})
    tell(False, title, lambda one: (one.group_words, one.subjects) == (entry.group_words, entry.subjects))
    tell(False, Note(_REPORT_SPECIAL) if entry.special else None, lambda one: one.special)
    publisher = Note(_PUBLISHER_NOTE, {"publisher": book.publisher}) if book.publisher else None
    tell(False, publisher, lambda one: one.publishers == entry.publishers)
    edition = Note(_REPORT_REWORKED if entry.reworked else _REPORT_FORMER)
    tell(False, edition, lambda one: one.reworked == entry.reworked)
    tell(False, Note(_PARTS_NOTE, {"parts": str(entry.set_of)}), lambda one: one.set_of == entry.set_of)
    return tuple(notes)


def _people_note(entry: _Entry, among: Sequence[_Entry]) -> Note | None:
    shown = _first_names(entry, 3)
    if any(_first_names(one, 3) == shown and set(one.authors) != set(entry.authors) for one in among):
        shown = _first_names(entry, 6)
    people = ", ".join(shown)
    series = _series_of(entry)
    if series:
        return Note(_SERIES_NOTE, {"people": people, "series": series})
    return Note(_PEOPLE_NOTE, {"people": people}) if people else None


def _first_names(entry: _Entry, count: int) -> list[str]:
    surnames = [person.surname.title() for person in entry.names if not person.editor]
    return (surnames or [person.surname.title() for person in entry.names])[:count]


def _grade_note(entry: _Entry) -> Note:
    if entry.first is None:
        return Note(_REPORT_COLLEGE)
    grades = str(entry.first) if entry.first == entry.last else f"{entry.first}–{entry.last}"
    return Note(_GRADE_NOTE, {"grades": grades})


def _series_of(entry: _Entry) -> str:
    people = set(entry.authors)
    return next(
        (series for series, subject, names in _SERIES if subject in entry.subjects and names <= people), ""
    )


# --- remembering ---

_KEY_TOKEN = re.compile(r"[^\W\d_]+|\d+")
_KEY_LENGTH = 240


def _key_text(text: str) -> str:
    joined: list[str] = []
    for token in _KEY_TOKEN.findall(_lower(_plain(text))):
        if joined and token[0].isdigit() and joined[-1][-1].isdigit():
            joined.append(" ")
        joined.append(token)
    return "".join(joined)


def key_of(wording: Wording) -> str:
    """Return the key under which a confirmed answer to ``wording`` is remembered; at most 280 characters.

    Case, spaces, punctuation, «ё» and Latin letters inside Cyrillic words make no difference; every letter
    and digit of every column does, so that rows of another class, part, year or publisher stay apart.
    """
    columns = (
        wording.text,
        wording.authors,
        wording.subject,
        wording.grades,
        wording.part,
        wording.publisher,
        str(wording.year or ""),
        wording.level,
        wording.number,
        wording.isbn,
    )
    key = "|".join(_key_text(each) for each in columns).rstrip("|")
    if len(key) <= _KEY_LENGTH:
        return key
    return f"{key[:_KEY_LENGTH]}#{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}"
