"""Measure the recognition of titles on labelled rows, beside plain fuzzy matching.

    python benchmarks/recognition.py [TITLES.csv] [--list LIST.csv|LIST.xlsx] [--merged] [--json]
                                     [--synthetic N --seed S] [--forms FOLDER] [--misses]
                                     [--no-baseline] [--no-folds]

TITLES.csv has the columns of ``../shared/fpu/messy_titles.csv`` (the default): ``raw_text``, the right
entries in ``matching_number_or_title`` and ``acceptable`` («858/119-П2:1.1.1.5.1.5.1; 253:… = titles»),
``match_type`` («точное…», «неоднозначно(n)», «не учебник», «нет в ФПУ»), ``kind`` and ``group``; the row, the
right entries and the match type are enough, as in ``tests/own_titles.csv``. The list
is a CSV like ``../shared/fpu/federal_list.csv`` (one book per row here) or a workbook in the official
layout.

The main run gives the recogniser ``raw_text`` alone: the columns authors, grade, publisher and year of the
file were filled in by whoever made the answers. A second run gives these columns too, for comparison.

Strict counting: an automatic answer is right only when the row has one right answer and it is that one (any
of the entries named as right or acceptable); automatic on an ambiguous row, a workbook or a book outside
the list is wrong. An ambiguous row is rightly asked when the answer is a choice or a question and a right
entry is among the five. top-1 and top-5 look at the candidates of exact rows, whatever the kind of the
answer. In «folds» the groups (author and subject) are dealt into five folds, and the two calibration
constants are fitted anew on four of them and measured on the fifth. The baseline is rapidfuzz
``token_set_ratio`` of the row and «authors title class publisher» of each entry; its precision is taken at
its best threshold, chosen on the same rows. Rows per second are of processor time, one row at a time.

With a list that lacks a row's book («in other lists only») the right answer is not to be automatic.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rapidfuzz import fuzz, process  # noqa: E402

from exchange.catalog.importer import ParsedEntry, clean_grades, clean_level, clean_title, read_list  # noqa: E402
from exchange.catalog.rules import fold  # noqa: E402
from exchange.recognition import rules  # noqa: E402
from exchange.recognition.rules import Answer, Book, Kind, Recogniser, Wording  # noqa: E402

SHARED = ROOT.parent / "shared"


@dataclass(frozen=True)
class Case:
    """A labelled row. ``right``: the ids of the books that are right; ``match``: exact, ambiguous, none."""

    wording: Wording
    with_columns: Wording
    right: frozenset[int]
    match: str
    kind: str
    group: str


@dataclass
class Shelf:
    """The list as books, with what is needed to find the entries named in an answer file.

    ``orders`` names the orders (and appendices) in which a book stands, ``by_place`` finds books by order and
    number.
    """

    books: list[Book] = field(default_factory=list)
    orders: dict[int, tuple[str, ...]] = field(default_factory=dict)
    by_place: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))

    def add(self, book: Book, places: Sequence[tuple[str, str]]) -> None:
        """Put a book on the shelf that stands at ``places``: order and number of each."""
        self.books.append(book)
        self.orders[book.id] = tuple(sorted({order for order, _ in places}))
        for place in places:
            self.by_place[place].append(book.id)


_SPECIAL = re.compile(r"АООП|нарушени|отсталост|коррекц|глух|слеп|слабо", re.IGNORECASE)


def _standing(order: str) -> int:
    """Newer orders are greater, appendix 1 greater than appendix 2 of the same order."""
    number = int(re.match(r"\d*", order)[0] or 0)  # type: ignore[index]
    return number * 10 + (2 if order.endswith("П1") else 1 if order.endswith("П2") else 0)


def load_list(path: Path, *, merged: bool = False) -> Shelf:
    """Read the list; raises what the importer raises when it is no list.

    A CSV gives one book per row as it stands, a workbook one per entry as the importer reads it. ``merged``
    gives one book per textbook, whatever orders name it, as the catalogue of the portal does.
    """
    shelf = Shelf()
    if path.suffix.lower() == ".csv" and not merged:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for position, row in enumerate(csv.DictReader(file), start=1):
                shelf.add(_book_of_row(position, row), [(row["order"], row["number"])])
        return shelf
    with path.open("rb") as source:
        parsed = read_list(source, path.name)
    together: dict[str, list[ParsedEntry]] = defaultdict(list)
    for position, entry in enumerate(parsed.entries):
        together[entry.identity if merged else str(position)].append(entry)
    for position, entries in enumerate(together.values(), start=1):
        newest = max(entries, key=lambda entry: _standing(_order_of(entry)))
        places = [(_order_of(entry), entry.number) for entry in entries]
        shelf.add(_book_of_entry(position, newest, places), places)
    return shelf


def _order_of(entry: ParsedEntry) -> str:
    """Return the order as the answers name it; the workbook itself does not say which one it is."""
    if entry.order == "253":
        return entry.order
    order = f"{entry.order}/{entry.edition}" if entry.edition else entry.order or "858/119"
    return f"{order}-П{entry.appendix}"


def _book_of_entry(position: int, entry: ParsedEntry, places: Sequence[tuple[str, str]]) -> Book:
    editors = f"; ред. {', '.join(entry.editors)}" if entry.editors else ""
    return Book(
        id=position,
        title=entry.title,
        authors=", ".join(entry.authors) + (" и др." if entry.other_authors else "") + editors,
        subject=entry.subject,
        grade_from=entry.grade_from,
        grade_to=entry.grade_to,
        publisher="; ".join(entry.publishers),
        level=entry.level,
        parts=entry.parts,
        special_needs=entry.special_needs,
        edition_note=entry.edition_note,
        language=entry.language,
        numbers=tuple(sorted({number for _, number in places if number})),
        standing=_standing(_order_of(entry)),
    )


def _book_of_row(position: int, row: Mapping[str, str]) -> Book:
    title = clean_title(row["title"])
    grades = clean_grades(row["grades"]) if row["grades"] != "СПО" else None
    # The transcription left the editions out; «Алгебра: 8-й класс: учебник» is a title of the reworked ones.
    reworked = row["order"].endswith("П1") and grades is not None and ":" in row["title"]
    return Book(
        id=position,
        title=row["title"],
        authors=row["authors"],
        subject=row["subject"],
        grade_from=grades.first if grades else None,
        grade_to=grades.last if grades else None,
        publisher=row["publisher"],
        level=clean_level(f"{row['level']} уровень"),
        parts=title.parts,
        special_needs=row["section"].startswith("1.3.")
        or _SPECIAL.search(row["section"] + row["title"]) is not None,
        edition_note=title.edition_note or ("переработанное" if reworked else ""),
        language=row["language"],
        numbers=(row["number"],) if row["number"] else (),
        standing=_standing(row["order"]),
    )


# --- the answer file ---

_PLACE = re.compile(r"(\d+(?:/\d+)?(?:-П\d)?):([\d.]*)")


def _right(text: str, shelf: Shelf) -> set[int]:
    """Return the entries named by «order:number; order:number = titles»."""
    places, _, titles = text.partition("=")
    found: set[int] = set()
    for order, number in _PLACE.findall(places):
        if number:
            found.update(shelf.by_place.get((order, number), ()))
        else:
            for title in titles.split(";"):
                found.update(_by_title(order, title, shelf))
    return found


def _by_title(order: str, title: str, shelf: Shelf) -> Iterable[int]:
    wanted = fold(title)
    return (
        book.id
        for book in shelf.books
        if order in shelf.orders[book.id] and fold(book.title).endswith(wanted)
    )


def load_cases(path: Path, shelf: Shelf) -> list[Case]:
    """Read the labelled rows."""
    cases = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in (defaultdict(str, each) for each in csv.DictReader(file)):
            kind = row["match_type"]
            match = (
                "exact" if kind.startswith("точн") else "ambiguous" if kind.startswith("неодн") else "none"
            )
            right = _right(row["matching_number_or_title"], shelf) | _right(row["acceptable"], shelf)
            if "253:" in row["matching_number_or_title"] and row["authors"]:
                surname = fold(row["authors"].split()[0].strip(","))
                if any(not number for _, number in _PLACE.findall(row["matching_number_or_title"])):
                    right = {
                        each for each in right if surname in fold(shelf.books[each - 1].authors)
                    } or right
            year = re.fullmatch(r"\d{4}", row["year"].strip())
            cases.append(
                Case(
                    wording=Wording(row["raw_text"]),
                    with_columns=Wording(
                        row["raw_text"],
                        authors=row["authors"],
                        grades=row["grade"],
                        publisher=row["publisher"],
                        year=int(year[0]) if year else None,
                    ),
                    right=frozenset(right),
                    match=match if right or match == "none" else "absent",
                    kind=row["kind"],
                    group=row["group"],
                )
            )
    return cases


# --- measuring ---


def measure(cases: Sequence[Case], answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the figures of one run as counts and ratios."""
    exact: dict[str, Counter[str]] = defaultdict(Counter)
    automatic = Counter[str]()
    asked = Counter[str]()
    rejected = Counter[str]()
    absent = Counter[str]()
    for case, answer in zip(cases, answers, strict=True):
        first = answer.candidates[0].book_id if answer.candidates else None
        five = {each.book_id for each in answer.candidates}
        if answer.kind is Kind.AUTOMATIC:
            automatic["all"] += 1
            automatic["right"] += case.match == "exact" and first in case.right
            automatic["among"] += first in case.right
        if case.match == "exact":
            for name in ("all", case.kind):
                exact[name]["rows"] += 1
                exact[name]["top1"] += first in case.right
                exact[name]["top5"] += bool(five & case.right)
                exact[name]["automatic"] += answer.kind is Kind.AUTOMATIC
        elif case.match == "ambiguous":
            asked["rows"] += 1
            ask = answer.kind in (Kind.CHOICE, Kind.QUESTION)
            asked["asked"] += ask
            asked["with a right one"] += ask and bool(five & case.right)
            asked["first is right"] += ask and first in case.right
            asked["all five right"] += ask and bool(five) and five <= case.right
        elif case.match == "absent":
            absent["rows"] += 1
            absent["not automatic"] += answer.kind is not Kind.AUTOMATIC
        else:
            rejected["rows"] += 1
            rejected["not automatic"] += answer.kind is not Kind.AUTOMATIC
            rejected["rejected"] += answer.kind in (Kind.NOT_TEXTBOOK, Kind.NOT_LISTED)
    return {
        "rows": len(cases),
        "automatic": automatic["all"],
        "automatic_right": automatic["right"],
        "automatic_among_right": automatic["among"],
        "precision": _ratio(automatic["right"], automatic["all"]),
        "precision_among_right": _ratio(automatic["among"], automatic["all"]),
        "automatic_share": _ratio(automatic["all"], len(cases)),
        "exact": {
            name: {
                **count,
                **{
                    f"{each}_share": _ratio(count[each], count["rows"])
                    for each in ("top1", "top5", "automatic")
                },
            }
            for name, count in exact.items()
        },
        "ambiguous": {**asked, "share": _ratio(asked["with a right one"], asked["rows"])},
        "absent": {**absent, "share": _ratio(absent["not automatic"], absent["rows"])},
        "none": {**rejected, "share": _ratio(rejected["rejected"], rejected["rows"])},
    }


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


# --- publishers' order forms: nomenclature names beside numbers of order 253 ---


def _cell(value: object) -> str:
    return " ".join(str(value).split()) if value is not None else ""


def load_forms(folder: Path, shelf: Shelf) -> list[Case]:
    """Read the order forms of ``folder``: rows with a number of order 253 and the publisher's own name.

    The answer is the entry of order 253 with that number; the list given to the recogniser has to be that
    order alone, so that nothing depends on what counts as the same book in another order.
    """
    import openpyxl

    cases = []
    for path in sorted(folder.glob("order_form_*.xlsx")):
        workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = list(workbook.worksheets[0].iter_rows(values_only=True))
        workbook.close()
        columns: dict[str, int] = {}
        for cells in rows:
            texts = [_cell(value) for value in cells[:20]]
            if not columns:
                found = {
                    name: index
                    for index, text in reversed(list(enumerate(texts)))
                    for name, pattern in _FORM_HEADERS.items()
                    if pattern.match(text)
                }
                columns = found if {"number", "name"} <= found.keys() else {}
                continue
            number, name = texts[columns["number"]].strip(". "), texts[columns["name"]]
            right = frozenset(shelf.by_place.get(("253", number), ()))
            if not right or not name:
                continue
            authors = texts[columns["authors"]] if "authors" in columns else ""
            text = f"{authors} {name}".strip()
            lead = fold((shelf.books[min(right) - 1].authors + " ").split()[0])[:5]
            grades = texts[columns["grades"]] if "grades" in columns else ""
            cases.append(
                Case(
                    wording=Wording(text),
                    with_columns=Wording(name, authors=authors, grades=grades),
                    right=right,
                    match="exact",
                    kind=path.stem,
                    group=f"{lead}/{number.rsplit('.', 2)[0]}",
                )
            )
    return cases


_FORM_HEADERS = {
    "number": re.compile(r"Порядковый номер учебника|№ ФП"),
    "name": re.compile(r"Наименование в 1С|Наименование учебника в номенклатуре"),
    "authors": re.compile(r"Автор в 1С"),
    "grades": re.compile(r"Класс$"),
}


# --- rows made from the list ---


@dataclass(frozen=True)
class _Said:
    """What a made row tells of its book: some of the surnames, and whether class, level and publisher."""

    surnames: frozenset[str]
    grades: bool
    level: bool
    publisher: bool


class Scribe:
    """Writes entries of the list as librarians, shops and suppliers do, with the slips they make."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def row(self, book: Book) -> tuple[str, _Said]:
        """Return a row for ``book``, and what it says."""
        pick = self._random.random
        names = _names(book.authors)
        first = names[: self._random.choice((1, 1, 2, 3, 3, 9))]
        people = self._people(first) + (" и др." if len(first) < len(names) and pick() < 0.4 else "")
        title = clean_title(book.title).text.split("(")[0].strip(" .:")
        if pick() < 0.25:
            title = self._abbreviated(title)
        grades = (
            "" if book.grade_from is None else self._grades(book.grade_from, book.grade_to or book.grade_from)
        )
        if pick() < 0.15:
            grades = ""
        level = ""
        if book.level and (book.level != "базовый" or pick() < 0.5):
            level = {
                "базовый": self._random.choice(("(базовый уровень)", "Базовый уровень", "баз. ур.")),
                "углублённый": self._random.choice(
                    ("(углубленный уровень)", "Угл. ур.", "(профильный уровень)")
                ),
                "базовый и углублённый": "Базовый и углубленный уровни",
            }[str(book.level)]
        part = ""
        if book.parts > 1:
            part = self._random.choice(
                ("Ч. 1", "часть 2", "В 2-х ч. Ч.1", "в 2 частях", "1 ч.", "(комплект)", "", "")
            )
        publisher = book.publisher.split(";")[0] if pick() < 0.35 else ""
        year = str(self._random.randint(2012, 2022)) if pick() < 0.35 else ""
        noise = self._random.choice(("", "", "", "Учебник.", "Учебник. ФГОС", "(ФГОС)", "учебник", "+CD"))
        order = self._random.random()
        if order < 0.5:
            pieces = [
                people + self._random.choice((". ", "  ", " ", ".. ")) + title + ".",
                grades,
                level,
                part,
                noise,
                publisher,
                year,
            ]
        elif order < 0.75:
            pieces = [title, people, grades, level, part, publisher, year, noise]
        else:
            pieces = [title, grades, level, part, noise, people, publisher, year]
        text = " ".join(piece for piece in pieces if piece)
        if pick() < 0.3:
            text = self._slip(text, len(people))
        if pick() < 0.2:
            text = text.upper()
        elif pick() < 0.1:
            text = text.lower()
        said = _Said(
            frozenset(fold(surname) for surname, _ in first), bool(grades), bool(level), bool(publisher)
        )
        return text, said

    def _people(self, names: Sequence[tuple[str, str]]) -> str:
        style = self._random.choice(("after", "after", "after", "before", "none", "spaced"))
        written = []
        for surname, initials in names:
            if style == "none" or not initials:
                written.append(surname)
            elif style == "before":
                written.append(f"{initials}{self._random.choice(('', ' '))}{surname}")
            elif style == "spaced":
                written.append(f"{surname} {'. '.join(initials.replace('.', ''))}.")
            else:
                written.append(f"{surname} {initials}")
        return self._random.choice((", ", ", ", ",", " ")).join(written)

    def _grades(self, first: int, last: int) -> str:
        grades = str(first) if first == last else f"{first}-{last}"
        return self._random.choice(
            (
                "{} класс",
                "{} кл.",
                "{}кл.",
                "{}-й класс",
                "({} кл)",
                "{}класс",
                "Учебник для {} класса",
                "{} КЛАСС",
            )
        ).format(grades)

    def _abbreviated(self, title: str) -> str:
        words = title.split()
        cut = self._random.randrange(len(words))
        if len(words[cut]) > 7 and words[cut].isalpha() and len(words) > 1:
            words[cut] = words[cut][: self._random.randint(4, 6)] + "."
        return " ".join(words)

    def _slip(self, text: str, within: int) -> str:
        """Drop, swap or replace one letter inside a word of five letters or more."""
        places = [found.span() for found in re.finditer(r"[А-Яа-яё]{6,}", text)]
        if not places:
            return text
        start, end = self._random.choice(places)
        at = self._random.randrange(start + 1, end - 2)
        kind = self._random.randrange(4)
        if kind == 0:
            return text[:at] + text[at + 1 :]
        if kind == 1:
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        if kind == 2:
            return text[:at] + self._random.choice("аеиоурстнл") + text[at + 1 :]
        return (
            text[:at] + text[at].translate(str.maketrans("аеорсухАЕОРСУХ", "aeopcyxAEOPCYX")) + text[at + 1 :]
        )


def _names(authors: str) -> list[tuple[str, str]]:
    """Return surnames and initials as the list writes them, editors left out."""
    written = re.split(r"[;/(]?\s*[Пп]од\s+(?:\w+\s+)?ред", authors)[0]
    return re.findall(r"([А-ЯЁ][а-яё]+(?:-[А-ЯЁ][а-яё]+)?)\s+((?:[А-ЯЁ]\.\s?){1,2})", written)


def make_cases(shelf: Shelf, count: int, seed: int) -> list[Case]:
    """Return ``count`` rows made of entries in Russian.

    What is right is decided by what was put into the row and the list's own fields, not by the rules under
    test: every entry that agrees with all that the row says. The row is exact when all of them are for the
    same class and all or none are of the advanced level; else it is ambiguous, unless the year printed or a
    co-author left out would tell: so the strict precision on these rows is a lower bound.
    """
    scribe = Scribe(seed)
    chooser = random.Random(seed + 1)
    books = [
        book
        for book in shelf.books
        if book.language == "русский" and book.grade_from is not None and _names(book.authors)
    ]
    by_surname: dict[str, list[Book]] = defaultdict(list)
    for book in books:
        for surname in {fold(surname) for surname, _ in _names(book.authors)}:
            by_surname[surname].append(book)
    cases = []
    for book in chooser.choices(books, k=count):
        text, said = scribe.row(book)
        right = [
            one for one in by_surname[min(said.surnames)] if one.id == book.id or _agrees(one, book, said)
        ]
        sorts = {
            (one.grade_from, one.grade_to, one.level == "углублённый", one.special_needs) for one in right
        }
        wording = Wording(text)
        cases.append(
            Case(
                wording,
                wording,
                frozenset(one.id for one in right),
                "exact" if len(sorts) == 1 else "ambiguous",
                "made",
                f"{min(said.surnames)}/{_heading(book)[:6]}",
            )
        )
    return cases


_UMBRELLAS = re.compile(
    r"^(?:история[.:] (?=история|всеобщая)|русский язык и литература[.:] ?"
    r"|математика: ?алгебра и начала (?:математического )?анализа, геометрия[.:]+ ?(?=\w)"
    r"|математика[.:] (?=алгебра|геометрия))"
)


def _heading(book: Book) -> str:
    title = _UMBRELLAS.sub("", fold(clean_title(book.title).text.split("(")[0]))
    return " ".join(re.findall(r"\w+", title.replace("история. ", "")))


def _agrees(one: Book, book: Book, said: _Said) -> bool:
    """Tell whether a row made of ``book`` may as well mean ``one``."""
    if not said.surnames <= {fold(surname) for surname, _ in _names(one.authors)}:
        return False
    first, second = _heading(one), _heading(book)
    if not (first.startswith(second) or second.startswith(first)):
        return False
    if said.grades and not (
        one.grade_from is not None
        and one.grade_to is not None
        and book.grade_from is not None
        and book.grade_to is not None
        and one.grade_from <= book.grade_from
        and book.grade_to <= one.grade_to
    ):
        return False
    if said.level and one.level and (one.level == "углублённый") != (book.level == "углублённый"):
        return False
    return (
        not said.publisher or book.publisher.split(";")[0] in one.publisher or "Просвещение" in one.publisher
    )


# --- the baseline ---


def baseline(shelf: Shelf, cases: Sequence[Case]) -> dict[str, Any]:
    """Return the figures of ``token_set_ratio`` against «authors title class publisher» of every entry."""
    texts = [
        fold(
            f"{book.authors} {clean_title(book.title).text} "
            f"{'' if book.grade_from is None else f'{book.grade_from} класс'} {book.publisher}"
        )
        for book in shelf.books
    ]
    ids = [book.id for book in shelf.books]
    top1 = top5 = rows = 0
    scored: list[tuple[float, bool]] = []
    started = time.process_time()
    for case in cases:
        found = process.extract(fold(case.wording.text), texts, scorer=fuzz.token_set_ratio, limit=5)
        first = ids[found[0][2]]
        scored.append((found[0][1], case.match == "exact" and first in case.right))
        if case.match == "exact":
            rows += 1
            top1 += first in case.right
            top5 += any(ids[index] in case.right for _, _, index in found)
    seconds = time.process_time() - started
    # The threshold with the best precision among those that take at least a fifth of the rows.
    best = (0.0, 0, 0.0)
    for threshold in sorted({score for score, _ in scored}):
        taken = [right for score, right in scored if score >= threshold]
        if len(taken) >= len(cases) / 5:
            best = max(best, (sum(taken) / len(taken), len(taken), threshold))
    return {
        "top1": _ratio(top1, rows),
        "top5": _ratio(top5, rows),
        "precision": round(best[0], 4),
        "automatic_share": _ratio(best[1], len(cases)),
        "threshold": best[2],
        "rows_per_second": round(len(cases) / seconds),
    }


# --- cross-validation ---


def folds(recogniser: Recogniser, cases: Sequence[Case], count: int = 5) -> dict[str, Any]:
    """Fit the two constants of the calibration on all groups but a fold's, measure on that fold, in turn."""
    groups = sorted({case.group for case in cases})
    random.Random(0).shuffle(groups)
    fold_of = {group: position % count for position, group in enumerate(groups)}
    kept = (rules._TEMPERATURE, rules._NONE_SCORE)
    answers: dict[tuple[float, float], list[Answer]] = {}
    try:
        for temperature in (0.3, 0.4, 0.5, 0.65, 0.8):
            for none in (1.4, 1.8, 2.2, 2.6):
                rules._TEMPERATURE, rules._NONE_SCORE = temperature, none
                answers[temperature, none] = [recogniser.recognise(case.wording) for case in cases]
    finally:
        rules._TEMPERATURE, rules._NONE_SCORE = kept
    held_cases: list[Case] = []
    held_answers: list[Answer] = []
    chosen = []
    for number in range(count):
        training = [index for index, case in enumerate(cases) if fold_of[case.group] != number]
        best = max(answers, key=lambda pair: _likelihood([(cases[i], answers[pair][i]) for i in training]))
        chosen.append(best)
        for index, case in enumerate(cases):
            if fold_of[case.group] == number:
                held_cases.append(case)
                held_answers.append(answers[best][index])
    figures = measure(held_cases, held_answers)
    return {
        "chosen": chosen,
        "precision": figures["precision"],
        "automatic_share": figures["automatic_share"],
        "top1": figures["exact"]["all"]["top1_share"],
        "top5": figures["exact"]["all"]["top5_share"],
        "ambiguous": figures["ambiguous"]["share"],
        "none": figures["none"]["share"],
    }


def _likelihood(pairs: Iterable[tuple[Case, Answer]]) -> float:
    """Return the log likelihood of the confidences: was the first candidate of the row the right one."""
    total = 0.0
    for case, answer in pairs:
        if not answer.candidates:
            continue
        first = answer.candidates[0]
        right = case.match == "exact" and first.book_id in case.right
        probability = min(max(first.score, 0.002), 0.998)
        total += math.log(probability if right else 1 - probability)
    return total


# --- the report ---


def run(
    shelf: Shelf, recogniser: Recogniser, cases: Sequence[Case], columns: bool = False
) -> tuple[dict[str, Any], list[Answer]]:
    """Recognise the rows one by one and return the figures with the speed."""
    wordings = [case.with_columns if columns else case.wording for case in cases]
    started = time.process_time()
    answers = [recogniser.recognise(wording) for wording in wordings]
    seconds = time.process_time() - started
    return {**measure(cases, answers), "rows_per_second": round(len(cases) / seconds)}, answers


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def show(name: str, figures: Mapping[str, Any]) -> None:
    """Print the figures of one run."""
    print(f"\n{name}: {figures['rows']} rows, {figures['rows_per_second']} rows/s")
    print(
        f"  automatic    {figures['automatic']} ({_percent(figures['automatic_share'])}), "
        f"precision {_percent(figures['precision'])}"
        f" ({_percent(figures['precision_among_right'])} counting any right entry of an ambiguous row)"
    )
    for kind, count in figures["exact"].items():
        print(
            f"  exact        {kind}: {count['rows']} rows, top-1 {_percent(count['top1_share'])}, "
            f"top-5 {_percent(count['top5_share'])}, automatic {_percent(count['automatic_share'])}"
        )
    ambiguous, none = figures["ambiguous"], figures["none"]
    if ambiguous.get("rows"):
        print(
            f"  ambiguous    {ambiguous['rows']} rows, asked with a right one among the five "
            f"{_percent(ambiguous['share'])}, the first is right {ambiguous['first is right']}, "
            f"all shown are right {ambiguous['all five right']}"
        )
    if figures["absent"].get("rows"):
        print(
            f"  in other lists only: {figures['absent']['rows']} rows, "
            f"not automatic {figures['absent']['not automatic']}"
        )
    if none.get("rows"):
        print(
            f"  not a textbook or not listed: {none['rows']} rows, rejected {none['rejected']}, "
            f"not automatic {none['not automatic']}"
        )


def show_misses(shelf: Shelf, cases: Sequence[Case], answers: Sequence[Answer]) -> None:
    """Print the rows that count as misses."""
    for case, answer in zip(cases, answers, strict=True):
        first = answer.candidates[0].book_id if answer.candidates else None
        five = {each.book_id for each in answer.candidates}
        asked = answer.kind in (Kind.CHOICE, Kind.QUESTION)
        if answer.kind is Kind.AUTOMATIC and not (case.match == "exact" and first in case.right):
            miss = "wrong automatic"
        elif case.match == "exact" and first not in case.right:
            miss = "not first" if five & case.right else "not among five"
        elif case.match == "ambiguous" and not (asked and five & case.right):
            miss = "not asked"
        elif case.match == "none" and answer.kind not in (Kind.NOT_TEXTBOOK, Kind.NOT_LISTED):
            miss = "not rejected"
        else:
            continue
        print(f"\n{miss} ({case.match}; {answer.kind}, {answer.confidence:.2f}): {case.wording.text}")
        for candidate in answer.candidates:
            book = shelf.books[candidate.book_id - 1]
            orders = "/".join(shelf.orders[book.id])
            print(
                f"   {'+' if book.id in case.right else ' '} {candidate.score:.2f} {orders}"
                f" {' '.join(book.numbers)} {book.title} | {book.authors} | {book.grade_from} | {book.level}"
                f" | {book.publisher}"
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the recognition of titles.")
    parser.add_argument("titles", nargs="?", type=Path, default=SHARED / "fpu/messy_titles.csv")
    parser.add_argument("--list", type=Path, default=SHARED / "fpu/federal_list.csv")
    parser.add_argument("--merged", action="store_true", help="one book per textbook, as in the catalogue")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--synthetic", type=int, default=0, metavar="N", help="also N rows made from the list"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--forms", type=Path, help="also the publishers' order forms of this folder")
    parser.add_argument("--misses", action="store_true", help="print the rows that count as misses")
    parser.add_argument("--no-baseline", action="store_true")
    parser.add_argument("--no-folds", action="store_true")
    options = parser.parse_args()

    shelf = load_list(options.list, merged=options.merged)
    started = time.perf_counter()
    recogniser = Recogniser(shelf.books)
    report: dict[str, Any] = {
        "books": len(shelf.books),
        "set_up_seconds": round(time.perf_counter() - started, 2),
    }
    cases = load_cases(options.titles, shelf)
    report["titles"], answers = run(shelf, recogniser, cases)
    report["with_columns"], _ = run(shelf, recogniser, cases, columns=True)
    if not options.no_folds:
        report["folds"] = folds(recogniser, cases)
    if not options.no_baseline:
        report["baseline"] = baseline(shelf, cases)
    if options.synthetic:
        report["synthetic"], _ = run(shelf, recogniser, make_cases(shelf, options.synthetic, options.seed))
    if options.forms:
        order = [book for book in shelf.books if "253" in shelf.orders[book.id]]
        report["forms"], _ = run(shelf, Recogniser(order), load_forms(options.forms, shelf))
    if options.json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
        return
    print(f"{report['books']} books, set up in {report['set_up_seconds']} s")
    show("titles alone", report["titles"])
    show("with the other columns (filled in by the makers of the answers)", report["with_columns"])
    if "folds" in report:
        print(f"\nconstants fitted on other groups, five folds: {report['folds']}")
    if "baseline" in report:
        print(f"\nbaseline token_set_ratio: {report['baseline']}")
    if "synthetic" in report:
        show(f"rows made from the list, seed {options.seed}", report["synthetic"])
    if "forms" in report:
        show("order forms against order 253", report["forms"])
    if options.misses:
        show_misses(shelf, cases, answers)


if __name__ == "__main__":
    main()
