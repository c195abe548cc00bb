"""What rows mean: on books written here, on the demo list, and on the real files where they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.catalog.importer import read_list
from exchange.recognition.rules import (
    AUTOMATIC_FROM,
    MAX_CANDIDATES,
    Alias,
    Answer,
    Book,
    Kind,
    Recogniser,
    Wording,
    key_of,
)

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("EXCHANGE_SHARED", ROOT.parent / "shared"))

OLD, NEW = 1, 2


def _book(
    id_: int, title: str, authors: str, grades: str, publisher: str = "Просвещение", **more: object
) -> Book:
    first, _, last = grades.partition("-")
    values: dict[str, object] = {"subject": title.split(".")[0], "standing": OLD, **more}
    return Book(
        id_,
        title,
        authors,
        grade_from=int(first) if first else None,
        grade_to=int(last or first) if first else None,
        publisher=publisher,
        **values,  # type: ignore[arg-type]
    )


REWORKED = {"edition_note": "14-е издание, переработанное", "standing": NEW}
BOOKS = [
    _book(1, "Математика", "Моро М.И., Волкова С.И., Степанова С.В.", "1", parts=2),
    _book(2, "Математика", "Моро М.И., Бантова М.А., Бельтюкова Г.В. и др.", "2", parts=2),
    _book(3, "Математика", "Моро М.И., Бантова М.А., Бельтюкова Г.В. и др.", "3", parts=2),
    _book(4, "Математика", "Моро М.И., Бантова М.А., Бельтюкова Г.В. и др.", "4", parts=2),
    _book(5, "Математика", "Моро М.И., Волкова С.И., Степанова С.В.", "1", parts=2, **REWORKED),
    _book(6, "Литературное чтение", "Климанова Л.Ф., Горецкий В.Г., Голованова М.В. и др.", "2", parts=2),
    _book(7, "Литературное чтение", "Климанова Л.Ф., Виноградская Л.А., Горецкий В.Г.", "2", parts=2),
    _book(8, "Литературное чтение", "Климанова Л.Ф., Горецкий В.Г., Голованова М.В. и др.", "3", parts=2),
    _book(9, "Русский язык", "Канакина В.П., Горецкий В.Г.", "2", parts=2),
    _book(10, "Букварь", "Соловейчик М.С., Бетенькова Н.М., Кузьменко Н.С.", "1", "Ассоциация 21 век"),
    _book(11, "Окружающий мир", "Поглазова О.Т., Шилин В.Д.", "2", "Ассоциация 21 век", parts=2),
    _book(
        12,
        "Окружающий мир",
        "Поглазова О.Т., Ворожейкина Н.И., Шилин В.Д.",
        "3",
        "Ассоциация 21 век",
        parts=2,
    ),
    _book(13, "Английский язык", "Биболетова М.З., Денисенко О.А., Трубанева Н.Н.", "5", "Титул"),
    _book(14, "Английский язык", "Биболетова М.З., Денисенко О.А., Трубанева Н.Н.", "6", "Титул"),
    _book(15, "Английский язык", "Ваулина Ю.Е., Дули Д., Подоляко О.Е. и др.", "5"),
    _book(16, "Алгебра", "Макарычев Ю.Н., Миндюк Н.Г., Нешков К.И. и др.; ред. Теляковский С.А.", "9"),
    _book(17, "Алгебра", "Макарычев Ю.Н., Миндюк Н.Г., Нешков К.И.", "9", "Мнемозина", level="углублённый"),
    _book(18, "Алгебра", "Мерзляк А.Г., Полонский В.Б., Якир М.С.", "7", "Вентана-Граф"),
    _book(19, "Физика", "Перышкин А.В.", "7", "Дрофа"),
    _book(20, "Физика", "Перышкин И.М., Иванов А.И.", "7", standing=NEW),
    _book(21, "Физика. Колебания и волны", "Мякишев Г.Я., Синяков А.З.", "11", "Дрофа", level="углублённый"),
    _book(22, "Физика. Механика", "Мякишев Г.Я., Синяков А.З.", "10", "Дрофа", level="углублённый"),
    _book(23, "Биология", "Пасечник В.В.", "5", "Дрофа"),
    _book(24, "Биология", "Пасечник В.В., Каменский А.А., Швецов Г.Г. и др.; ред. Пасечник В.В.", "8"),
    _book(25, "Биология", "Пасечник В.В., Каменский А.А., Криксунов Е.А. и др.", "9", "Дрофа"),
    _book(26, "Изобразительное искусство", "Горяева Н.А., Островская О.В.; ред. Неменский Б.М.", "5"),
    _book(27, "Изобразительное искусство", "Питерских А.С.; ред. Неменский Б.М.", "8"),
    _book(28, "География", "Алексеев А.И., Николина В.В., Липкина Е.К. и др.", "5-6"),
    _book(29, "География", "Алексеев А.И., Николина В.В., Липкина Е.К. и др.", "8"),
    _book(30, "География", "Лифанова Т.М., Соломина Е.Н.", "8", special_needs=True),
    _book(31, "Технология. Индустриальные технологии", "Тищенко А.Т., Симоненко В.Д.", "7", "Вентана-Граф"),
    _book(32, "Технология. Технологии ведения дома", "Синица Н.В., Симоненко В.Д.", "7", "Вентана-Граф"),
    _book(
        33,
        "Математика: алгебра и начала математического анализа, геометрия. Геометрия",
        "Атанасян Л.С., Бутузов В.Ф., Кадомцев С.Б. и др.",
        "10-11",
        subject="Математика",
    ),
    _book(
        34,
        "Математика: алгебра и начала математического анализа, геометрия. "
        "Алгебра и начала математического анализа",
        "Никольский С.М., Потапов М.К., Решетников Н.Н. и др.",
        "11",
        subject="Математика",
    ),
    _book(35, "Всеобщая история. История Древнего мира", "Вигасин А.А., Годер Г.И., Свенцицкая И.С.", "5"),
    _book(
        36, "История России", "Арсентьев Н.М., Данилов А.А., Курукин И.В.; ред. Торкунов А.В.", "7", parts=2
    ),
    _book(37, "Литература", "Меркин Г.С.", "6", "Русское слово", parts=2),
    _book(38, "Физическая культура", "Лях В.И.", "1-4"),
    _book(39, "Физическая культура", "Лях В.И.", "8-9"),
    _book(40, "Информатика", "Босова Л.Л., Босова А.Ю.", "8", "БИНОМ. Лаборатория знаний"),
    _book(41, "Алгебра", "Мордкович А.Г.", "7", "Мнемозина", parts=2),
    _book(42, "Русский язык", "Мамонтов С.Г., Захаров В.Б.", "", "Академия"),
]
SMALL = Recogniser(BOOKS)


def recognise(text: str, **more: object) -> Answer:
    return SMALL.recognise(Wording(text), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "book"),
    [
        ("Моро М.И.,Бантова М.А. и др.. Математика. 3 кл. В 2-х ч.", 3),
        ("МОРО М.И. МАТЕМАТИКА 4 КЛ Ч.1 2018", 4),
        ("M.И. Mopo  Maтематика 2кл", 2),
        ("Математика 2 класс Моро", 2),
        ("Словейчик. Букварь в 2-х частях", 10),
        ("О.Т.Поглазова, Н.И.Ворожейкина, В.Д.Шилин. Окружающий мир", 12),
        ("Поклазова О.Т. Окружающий мир 2 класс", 11),
        ("Enjoy English 5", 13),
        ("Spotlight. Английский в фокусе. 5 класс", 15),
        ("Перышкин А.В. Физика 7 класс", 19),
        ("Перышкин И.М., Иванов А.И. Физика. 7 кл.", 20),
        ("Мякишев Г.Я., Синяков А.З.. Физика. Колебания и волны. Углубленный уровень. ФГОС", 21),
        ("Пасечник. Биология. Бактерии, грибы, растения. 5 кл. Учебник. ВЕРТИКАЛЬ", 23),
        ("Биология 8 класс В.В. Пасечник 9785090774420", 24),
        ("Горяева Н.А., Островская О.В. / Под ред. Неменского Б.М.. Изобразительное искусство", 26),
        ("Питерских А.С. ИЗО в театре, кино, на телевидении. 8 кл", 27),
        ("АЛЕКСЕЕВ А.И., НИКОЛИНА В.В., ЛИПКИНА Е.К ГЕОГРАФИЯ 5-6 КЛАСС", 28),
        ("Лифанова Т.М., Соломина Е.Н. География 8 класс 8 вид", 30),
        ("Тищенко А.Т., Симоненко В.Д.. Технология. Индустриальные технологии. 7 класс.", 31),
        ("Атанасян Л.С.. Геометрия 10-11", 33),
        ("Никольский С. М. Алгебра и нач. мат. анализа. 11 класс", 34),
        ("Вигасин, Годер. История Древнего мира 5 класс", 35),
        ("Меркин Г.С. Литература 6кл.1ч.", 37),
        ("Лях В.И.. Физическая культура 1-4", 38),
        ("Босова Л.Л., Босова А.Ю.. Информатика и ИКТ. Учебник. 8 класс", 40),
        ("Алгебра Макарычев Ю.Н., Миндюк Н.Г., Нешков К.И. и др Мнемозина 2014 9 кл.", 17),
        ("Алгебра Макарычев Ю.Н., Миндюк Н.Г. и др. /Под ред. Теляковского С.А. Просвещение 9 кл.", 16),
    ],
)
def test_recognised(text: str, book: int) -> None:
    answer = recognise(text)
    assert (answer.kind, answer.book_id) == (Kind.AUTOMATIC, book)
    assert answer.confidence >= AUTOMATIC_FROM


@pytest.mark.parametrize(
    ("text", "question", "books"),
    [
        ("Моро М.И.. Математика", "grade", {1, 2, 3, 4, 5}),
        ("Моро", "grade", {1, 2, 3, 4, 5}),
        ("Поглазова. Окружающий мир", "grade", {11, 12}),
        ("Лях. Физическая культура", "grade", {38, 39}),
        ("Климанова Л.Ф. Литературное чтение 2 класс", "series", {6, 7}),
        ("Макарычев. Алгебра 9 класс", "level", {16, 17}),
    ],
)
def test_asked(text: str, question: str, books: set[int]) -> None:
    answer = recognise(text)
    assert (answer.kind, answer.question) == (Kind.QUESTION, question)
    assert {each.book_id for each in answer.candidates if each.score > 0.02} <= books
    assert answer.candidates[0].book_id in books
    assert answer.reason is not None


@pytest.mark.parametrize(
    "text",
    [
        "ГОРЕЦКИЙ В.Г., ФЕДОСОВА Н.А. ПРОПИСИ 1 КЛАСС Ч.1",
        "Моро. Рабочая тетрадь по математике 2 класс",
        "Климанова. Литературное чтение. Хрестоматия. 2 кл.",
        "Атлас. География 8 класс",
        "Контурные карты 5 кл. История Древнего мира",
        "Методическое пособие к учебнику Алексеева География 8",
        "О.В.Кубасова. Я хочу читать. Книга для чтения.",
    ],
)
def test_not_a_textbook(text: str) -> None:
    answer = recognise(text)
    assert (answer.kind, answer.candidates) == (Kind.NOT_TEXTBOOK, ())
    assert str(answer.reason)


def test_what_comes_with_a_textbook_makes_it_no_workbook() -> None:
    assert recognise("Лях В.И. Физическая культура 8-9 кл. учебник (с приложением на CD)").book_id == 39
    assert recognise("Меркин. Литература. Учебник-хрестоматия. 6 класс").book_id == 37


@pytest.mark.parametrize(
    "text",
    [
        "Бунеев Р.Н., Бунеева Е.В. Литературное чтение 2 класс",
        "БЕЛОУСОВ Л.С., СМИРНОВ В.П., МЕЙЕР М.С. ВСЕОБЩАЯ ИСТОРИЯ. НОВЕЙШЕЕ ВРЕМЯ 10 КЛАСС",
        "Габриелян О.С. Химия 8 класс",
    ],
)
def test_not_in_the_list(text: str) -> None:
    assert recognise(text).kind is Kind.NOT_LISTED


@pytest.mark.parametrize("text", ["", "   ", "!!!", "42", "итого", "Учебник", "9785090738835", "и" * 5000])
def test_nothing_to_go_by(text: str) -> None:
    assert recognise(text).kind in (Kind.NOT_LISTED, Kind.CHOICE, Kind.QUESTION)


@pytest.mark.parametrize(
    "text",
    [
        "Габриелян Математика 3 класс",  # the right class of the wrong person
        "Математика 3 класс",
        "Моро 3 класс",
        "Меркин Г.С. Литература",  # the list has one class, the row may mean another
        "Моро М.И. Математика 1-2 класс",
        "Меркин Г.С. Литература 6 класс Мнемозина",
        "Перышкин Физика 7 класс",
        "Вигасин А.А., Петров П.П. История Древнего мира 5 класс",
    ],
)
def test_never_automatic(text: str) -> None:
    assert recognise(text).kind is not Kind.AUTOMATIC


@pytest.mark.parametrize(
    ("text", "part", "whole", "year"),
    [
        ("Моро Математика 2 кл Ч.2 2019", 2, False, 2019),
        ("Моро Математика 2 кл 2 часть", 2, False, None),
        ("Моро Математика 2 кл в 2-х ч. Ч. 1", 1, False, None),
        ("Моро Математика 2 кл часть II", 2, False, None),
        ("Моро Математика 2 кл, часть первая", 1, False, None),
        ("Моро Математика 2 кл Ч.1,2", None, True, None),
        ("Моро Математика 2 кл в двух частях", None, True, None),
        ("Моро Математика 2 кл (комплект) 2021 г.", None, True, 2021),
        ("Моро Математика 1-2 части 2 кл", None, True, None),
        ("Моро Математика 2 кл", None, False, None),
    ],
)
def test_part_and_year(text: str, part: int | None, whole: bool, year: int | None) -> None:
    answer = recognise(text)
    assert (answer.book_id, answer.part, answer.whole_set, answer.year) == (2, part, whole, year)


def test_a_year_of_a_title_is_no_year_of_printing() -> None:
    assert recognise("История России 1945 год - начало XXI века 11 класс").year is None
    assert recognise("История России. 1914-1945. Арсентьев 7 кл. 2016").year == 2016


def test_the_year_chooses_between_the_editions() -> None:
    before, after = recognise("Моро Математика 1 кл 2016"), recognise("Моро Математика 1 кл 2023")
    assert (before.book_id, before.others) == (1, (5,))
    assert (after.book_id, after.others) == (5, (1,))


def test_two_entries_of_one_standing_are_two_books() -> None:
    twins = Recogniser([BOOKS[8], _book(99, "Русский язык", "Канакина В.П., Горецкий В.Г.", "2", parts=2)])
    answer = twins.recognise(Wording("Канакина В.П., Горецкий В.Г. Русский язык 2 класс"))
    assert answer.kind is Kind.CHOICE
    assert {each.book_id for each in answer.candidates} == {9, 99}


def test_the_differences_name_the_series() -> None:
    told = {
        each.book_id: "; ".join(map(str, each.difference))
        for each in recognise("Климанова лит. чтение 2 кл").candidates
    }
    assert told[6] == "Климанова, Горецкий, Голованова – «Школа России»"
    assert told[7] == "Климанова, Виноградская, Горецкий – «Перспектива»"


def test_the_differences_name_class_and_level() -> None:
    assert [str(note) for note in recognise("Лях. Физическая культура").candidates[0].difference] in (
        ["1–4 класс"],
        ["8–9 класс"],
    )
    told = {
        each.book_id: "; ".join(map(str, each.difference))
        for each in recognise("Макарычев. Алгебра 9").candidates
    }
    assert "углублённый уровень" in told[17]


def test_the_other_columns_count() -> None:
    answer = SMALL.recognise(Wording("Математика", authors="Моро М.И.", grades="3", part="2", year=2015))
    assert (answer.book_id, answer.part, answer.year) == (3, 2, 2015)
    answer = SMALL.recognise(Wording("Алгебра", authors="Макарычев", grades="9", publisher="ООО «Мнемозина»"))
    assert answer.book_id == 17
    answer = SMALL.recognise(Wording("Моро М.И., Волкова С.И.", subject="Математика", grades="1", year=2017))
    assert answer.book_id == 1


def test_the_schools_own_books_come_first_but_decide_nothing() -> None:
    text = "Моро М.И. Математика"
    assert recognise(text, preferred={4}).candidates[0].book_id == 4
    assert recognise(text, preferred={4}).kind is Kind.QUESTION
    assert recognise("Бунеев Р.Н. Литература 5 класс", preferred={1, 37}).kind is Kind.NOT_LISTED


def test_confirmed_answers() -> None:
    wording = Wording("Моро М.И. Математика")
    key = key_of(wording)

    def with_alias(alias: Alias) -> Answer:
        return SMALL.recognise(wording, aliases={key: alias})

    assert with_alias(Alias(3, own=True)).book_id == 3
    assert with_alias(Alias(None, own=True)).kind is Kind.NOT_TEXTBOOK
    assert with_alias(Alias(3, times=3)).book_id == 3
    assert with_alias(Alias(3, times=1)).candidates[0].book_id == 3
    assert with_alias(Alias(None, times=2)).kind is Kind.NOT_TEXTBOOK
    assert with_alias(Alias(777, own=True)).kind is Kind.QUESTION
    assert SMALL.recognise(wording, aliases={"другой ключ": Alias(3, own=True)}).kind is Kind.QUESTION


# --- the key ---


def test_the_key_keeps_apart_what_differs() -> None:
    rows = [
        Wording("Моро Математика 1 кл Ч.1"),
        Wording("Моро Математика 1 кл Ч.2"),
        Wording("Моро Математика 2 кл Ч.1"),
        Wording("Моро Математика 1 кл Ч.1", publisher="Дрофа"),
        Wording("Моро Математика 1 кл Ч.1", grades="1"),
        Wording("Моро Математика 1 кл Ч.1", part="1"),
        Wording("Моро Математика 1 кл Ч.1", year=1),
        Wording("Моро Математика 1 кл Ч.1 1"),
        Wording("Моро Математика 1 кл Ч.11"),
        Wording("х" * 600),
        Wording("х" * 599 + "у"),
        Wording("х" * 599),
    ]
    keys = [key_of(row) for row in rows[:9]]
    assert len(set(keys)) == len(keys)
    assert all(len(key_of(row)) <= 280 for row in rows)


@given(st.text(max_size=80), st.text(max_size=20))
def test_the_key_takes_any_text(text: str, other: str) -> None:
    wording = Wording(text, authors=other, publisher=other)
    assert key_of(wording) == key_of(Wording(f"  {text} ", authors=f" {other}", publisher=f"{other} "))
    assert isinstance(SMALL.recognise(wording), Answer)


# --- properties on the demo list ---


@cache
def demo_books() -> tuple[Book, ...]:
    books: dict[str, Book] = {}
    for place, name in enumerate(("federal_list_858.csv", "federal_list_769.csv")):
        path = ROOT / "exchange" / "demo" / name
        with path.open("rb") as source:
            for entry in read_list(source, name).entries:
                books[entry.identity] = Book(
                    id=len(books) + 1 if entry.identity not in books else books[entry.identity].id,
                    title=entry.title,
                    authors=", ".join(entry.authors) + (" и др." if entry.other_authors else ""),
                    subject=entry.subject,
                    grade_from=entry.grade_from,
                    grade_to=entry.grade_to,
                    publisher="; ".join(entry.publishers),
                    level=entry.level,
                    parts=entry.parts,
                    special_needs=entry.special_needs,
                    edition_note=entry.edition_note,
                    language=entry.language,
                    numbers=(entry.number,),
                    standing=2 * place + (2 - entry.appendix) + 1,
                )
    return tuple(books.values())


@cache
def demo() -> Recogniser:
    return Recogniser(demo_books())


@cache
def demo_again() -> Recogniser:
    return Recogniser(reversed(demo_books()))


def _row(book: Book) -> str:
    grades = (
        ""
        if book.grade_from is None
        else f" {book.grade_from}"
        + (f"-{book.grade_to}" if book.grade_to != book.grade_from else "")
        + " класс"
    )
    level = f" ({book.level} уровень)" if book.level else ""
    return f"{book.authors} {book.title}{grades}{level} {book.publisher.split(';')[0]}"


books_of_demo = st.sampled_from(demo_books())
relaxed = settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def _about(answer: Answer) -> tuple[object, ...]:
    return answer.kind, answer.book_id, tuple(each.book_id for each in answer.candidates)


def test_rows_of_the_demo_list_find_their_books() -> None:
    """A whole row is recognised as its book, another edition of it, or asked about with it among the five."""
    automatic = wrong = lost = 0
    by_id = {book.id: book for book in demo_books()}
    for book in demo_books():
        answer = demo().recognise(Wording(_row(book)))
        same = {book.id, *(one.id for one in demo_books() if _same_line(one, book))}
        if answer.kind is Kind.AUTOMATIC:
            automatic += 1
            wrong += answer.book_id not in same
        lost += not same & {each.book_id for each in answer.candidates}
    assert wrong == 0
    assert lost <= len(by_id) // 100
    assert automatic >= 0.8 * len(by_id)


def _same_line(one: Book, other: Book) -> bool:
    return (one.authors.split(",")[0], one.subject, one.grade_from, one.grade_to, one.level) == (
        other.authors.split(",")[0],
        other.subject,
        other.grade_from,
        other.grade_to,
        other.level,
    )


@relaxed
@given(books_of_demo)
def test_case_spaces_and_yo_make_no_difference(book: Book) -> None:
    row = _row(book)
    plain = demo().recognise(Wording(row))
    for variant in (
        row.upper(),
        f"  {row.replace(' ', '   ')} ",
        row.replace("ё", "е"),
        row.replace(" ", "\u00a0"),
    ):
        again = demo().recognise(Wording(variant))
        assert (again.kind, again.book_id) == (plain.kind, plain.book_id)
        assert key_of(Wording(variant)) == key_of(Wording(row))


@relaxed
@given(books_of_demo, st.randoms(use_true_random=False))
def test_the_order_of_the_authors_is_not_a_fact(book: Book, random: object) -> None:
    people = [each.strip() for each in book.authors.replace(" и др.", "").split(",")]
    shuffled = list(people)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one = demo().recognise(Wording(_row(book)))
    row = _row(book).replace(", ".join(people), ", ".join(shuffled))
    other = demo().recognise(Wording(row))
    if one.kind is other.kind is Kind.AUTOMATIC:
        assert one.book_id == other.book_id


@relaxed
@given(books_of_demo, st.lists(books_of_demo, max_size=40))
def test_books_of_another_subject_make_no_right_answer_wrong(book: Book, more: Sequence[Book]) -> None:
    alike = [one for one in demo_books() if one.subject == book.subject]
    others = [one for one in more if one.subject != book.subject]
    row = Wording(_row(book))
    small = Recogniser(alike).recognise(row)
    if small.kind is Kind.AUTOMATIC:
        large = Recogniser([*alike, *dict.fromkeys(others)]).recognise(row)
        assert large.kind is not Kind.AUTOMATIC or large.book_id == small.book_id


@relaxed
@given(books_of_demo)
def test_an_answer_holds_together(book: Book) -> None:
    for text in (_row(book), book.title, book.authors, f"{book.authors} {book.title}"):
        answer = demo().recognise(Wording(text))
        assert len(answer.candidates) <= MAX_CANDIDATES
        assert len({each.book_id for each in answer.candidates}) == len(answer.candidates)
        assert [each.score for each in answer.candidates] == sorted(
            (each.score for each in answer.candidates), reverse=True
        )
        assert sum(each.score for each in answer.candidates) <= 1 + 1e-9
        assert (answer.kind is Kind.QUESTION) == bool(answer.question)
        assert (answer.kind is Kind.AUTOMATIC) == (answer.book_id is not None)
    assert demo().recognise(Wording(book.authors)).kind is not Kind.AUTOMATIC


@pytest.mark.parametrize("column", ["subject", "level"])
def test_a_level_in_another_column_counts(column: str) -> None:
    people = "Загладин Н.В."
    plain = Book(1, "История", people, "История", 11, 11, "Русское слово", "базовый")
    advanced = Book(2, "История", people, "История", 11, 11, "Русское слово", "углублённый")
    told = {"subject": "История", "level": ""}
    told[column] = f"{told[column]} (углублённый уровень)".strip()
    answer = Recogniser([plain, advanced]).recognise(Wording("", authors=people, grades="11", **told))
    assert answer.candidates[0].book_id == 2


def test_a_class_in_roman_figures() -> None:
    sixth = Book(1, "История России", "Арсентьев Н.М., Данилов А.А.", "История", 6, 6)
    seventh = Book(2, "История России", "Арсентьев Н.М., Данилов А.А.", "История", 7, 7)
    answer = Recogniser([sixth, seventh]).recognise(
        Wording("История России", authors="Арсентьев Н.М.", grades="VII кл.")
    )
    assert answer.book_id == 2


@relaxed
@given(books_of_demo)
def test_the_same_question_gets_the_same_answer(book: Book) -> None:
    row = Wording(_row(book))
    assert demo().recognise(row) == demo().recognise(row) == demo_again().recognise(row)


# --- the real files ---

needs_files = pytest.mark.skipif(
    not (SHARED / "fpu" / "messy_titles.csv").exists(),
    reason=f"the labelled titles are not here: {SHARED / 'fpu' / 'messy_titles.csv'}",
)


@pytest.fixture(scope="module")
def bench():
    from benchmarks import recognition

    return recognition


@pytest.fixture(scope="module")
def real(bench):
    return bench.load_list(SHARED / "fpu" / "federal_list.csv")


@needs_files
def test_real_titles(bench, real) -> None:
    cases = bench.load_cases(SHARED / "fpu" / "messy_titles.csv", real)
    figures, _ = bench.run(real, Recogniser(real.books), cases)
    assert figures["rows"] == 155
    assert figures["precision"] >= 0.98
    assert figures["precision_among_right"] >= 0.99
    assert figures["automatic_share"] >= 0.45
    assert figures["exact"]["all"]["top1_share"] >= 0.95
    assert figures["exact"]["all"]["top5_share"] >= 0.99
    assert figures["ambiguous"]["share"] >= 0.95
    assert figures["none"]["not automatic"] == figures["none"]["rows"]
    assert figures["none"]["rejected"] >= 6


@needs_files
def test_titles_written_after_the_method(bench, real) -> None:
    """Rows of the same kinds for other books: the method was not fitted to them."""
    cases = bench.load_cases(ROOT / "tests" / "own_titles.csv", real)
    figures, _ = bench.run(real, Recogniser(real.books), cases)
    assert figures["rows"] > 150
    assert figures["precision"] >= 0.99
    assert figures["automatic_share"] >= 0.4
    assert figures["exact"]["all"]["top1_share"] >= 0.97
    assert figures["exact"]["all"]["top5_share"] >= 0.98
    assert figures["ambiguous"]["share"] >= 0.95
    assert figures["none"]["share"] >= 0.9
    assert figures["none"]["not automatic"] == figures["none"]["rows"]


@needs_files
def test_real_titles_with_one_book_per_textbook(bench) -> None:
    shelf = bench.load_list(SHARED / "fpu" / "federal_list.csv", merged=True)
    assert len(shelf.books) < 3000
    cases = bench.load_cases(SHARED / "fpu" / "messy_titles.csv", shelf)
    figures, _ = bench.run(shelf, Recogniser(shelf.books), cases)
    # Rows that are ambiguous because one appendix names a book twice are not ambiguous here.
    assert figures["precision_among_right"] >= 0.99
    assert figures["exact"]["all"]["top1_share"] >= 0.95
    assert figures["exact"]["all"]["top5_share"] >= 0.99


@needs_files
def test_real_titles_against_a_list_that_lacks_a_third_of_them(bench) -> None:
    shelf = bench.load_list(SHARED / "fpu" / "order_858_edition_119.xlsx")
    cases = bench.load_cases(SHARED / "fpu" / "messy_titles.csv", shelf)
    figures, _ = bench.run(shelf, Recogniser(shelf.books), cases)
    assert figures["absent"]["rows"] >= 40
    assert figures["absent"]["share"] >= 0.9
    assert figures["exact"]["all"]["top1_share"] >= 0.95


@needs_files
def test_real_order_forms(bench, real) -> None:
    order = [book for book in real.books if "253" in real.orders[book.id]]
    cases = bench.load_forms(SHARED / "forms", real)
    figures, _ = bench.run(real, Recogniser(order), cases)
    assert figures["rows"] > 600
    assert figures["precision"] >= 0.99
    assert figures["exact"]["all"]["top1_share"] >= 0.98
    assert figures["exact"]["all"]["automatic_share"] >= 0.8


@needs_files
@pytest.mark.parametrize("seed", [11, 12])
def test_rows_made_from_the_real_list(bench, real, seed: int) -> None:
    cases = bench.make_cases(real, 400, seed)
    figures, _ = bench.run(real, Recogniser(real.books), cases)
    assert figures["precision_among_right"] >= 0.98
    assert figures["exact"]["all"]["top1_share"] >= 0.97
    assert figures["exact"]["all"]["top5_share"] >= 0.98
