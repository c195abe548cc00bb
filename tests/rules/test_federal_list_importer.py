"""Reading the federal list: clean cells, no row lost, nothing dangerous opened, and what would change."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.catalog import importer
from exchange.catalog.importer import (
    REPORT_HEADER,
    ExistingEntry,
    Outcome,
    ParsedEntry,
    ParsedList,
    Severity,
    clean,
    clean_authors,
    clean_grades,
    clean_last_day,
    clean_number,
    clean_publishers,
    clean_title,
    compare,
    existing_entry,
    read_list,
)
from exchange.catalog.rules import Level
from exchange.errors import Invalid
from tests import foreign_files

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("EXCHANGE_SHARED", ROOT.parent / "shared")) / "fpu"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the real federal list is not beside the repository ({SHARED})"
)
DEMO = ROOT / "exchange" / "demo"

OFFICIAL = [
    "Приложение",
    "Порядковый номер строки федерального перечня учебника",
    "Порядковый номер учебника и разработанных в комплекте с ним учебных пособий",
    "Наименование учебника (для учебника, находящегося на апробации, дополняется словами)",
    "Автор (авторский коллектив) учебника",
    "Наименование издателя (издателей) учебника",
    "Наименования разработанных в комплекте с учебником учебных пособий",
    "Класс, для которого учебник разработан",
    "Реквизиты приказов",
    "Правообладатель",
    "Реквизиты приказа",
    "Приложение 1: Срок действия // Приложение 2: Предельный срок",
]
NUMBERING = ["Приложение", *map(str, range(1, 12))]
PRESS = "Акционерное общество «Издательство «Просвещение»"


def heading(number: str, text: str, appendix: int = 1) -> list[str]:
    return [f"Приложение {appendix}", "1", number, text, *[""] * 8]


def entry(
    number: str,
    title: str = "Русский язык: 2-й класс: учебник: в 2 частях; 14-е издание, переработанное",
    *,
    authors: str = "Канакина В.П., Горецкий В.Г.",
    publisher: str = PRESS,
    grade: object = "2",
    until: object = "До 25 апреля 2027 года",
    appendix: int = 1,
) -> list[object]:
    return [f"Приложение {appendix}", "5", number, title, authors, publisher, "", grade, "", PRESS, "", until]


HEADINGS = [
    heading("1. Перечень учебников, допущенных к использованию", ""),
    heading("1.1.", "Учебники при реализации основных образовательных программ"),
    heading("1.1.1.", "Начальное общее образование (уровень образования)"),
    heading("1.1.1.1.", "Русский язык и литературное чтение (предметная область)"),
    heading("1.1.1.1.1.", "Русский язык (учебный предмет)"),
]


def workbook(rows: Sequence[Sequence[object]], header: Sequence[str] = OFFICIAL) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in [header, *rows]:
        sheet.append(list(row))
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def read(content: bytes, file: str = "list.xlsx", **options: object) -> ParsedList:
    return read_list(io.BytesIO(content), file, **options)  # type: ignore[arg-type]


def refusal(content: bytes) -> str:
    with pytest.raises(Invalid) as caught:
        read(content)
    text = str(caught.value)
    assert "%(" not in text
    assert text.count("\n") == 0
    return text


def stored(parsed: ParsedList) -> list[ExistingEntry]:
    """Return what a database would hold after the import of ``parsed``, facts kept as JSON."""
    return [
        existing_entry(
            index,
            json.loads(json.dumps(each.facts)),
            order=each.order,
            edition=each.edition,
            appendix=each.appendix,
            number=each.number,
        )
        for index, each in enumerate(parsed.entries)
    ]


def assert_accounted(parsed: ParsedList) -> None:
    """Every row has one outcome; each imported one is an entry and each listed one has a reason."""
    places = [(each.sheet, each.row) for each in parsed.outcomes]
    assert len(places) == len(set(places)) == parsed.rows_read
    by_outcome = {
        outcome: {(each.sheet, each.row) for each in parsed.outcomes if each.outcome is outcome}
        for outcome in Outcome
    }
    assert by_outcome[Outcome.IMPORTED] == {(each.sheet, each.row) for each in parsed.entries}
    assert by_outcome[Outcome.LISTED] <= {(each.sheet, each.row) for each in parsed.findings}
    for finding in parsed.findings:
        assert "%(" not in str(finding)


# Cells


def test_clean_makes_one_spelling() -> None:
    assert clean("учеб\u00adник\u00a0 \n «Алгебра»") == "учебник «Алгебра»"
    assert clean('ООО "Издательство "Экзамен"') == "ООО «Издательство «Экзамен»"
    assert clean("1914 - 1945") == "1914 – 1945"


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1.1.1.1.1.1.1.", "1.1.1.1.1.1.1"),
        ("1..3.1.1.3.1", "1.3.1.1.3.1"),
        (" 1.1.2\u00a0", "1.1.2"),
        ("1.1.а", ""),
        ("", ""),
        ("1. Перечень", ""),
    ],
)
def test_clean_number(written: str, number: str) -> None:
    assert clean_number(written) == number


@given(st.lists(st.integers(0, 9999), min_size=1, max_size=9), st.text(" .\u00a0", max_size=3))
def test_numbers_survive_dots_and_spaces(parts: list[int], noise: str) -> None:
    number = ".".join(map(str, parts))
    assert clean_number(noise + number + noise) == number


@given(st.text())
def test_clean_number_is_a_number_or_nothing(text: str) -> None:
    number = clean_number(text)
    assert number == clean_number(number)
    assert set(number) <= set("0123456789.") or not number.isascii()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("5", (5, 5, "5")),
        ("10 - 11", (10, 11, "10–11")),
        ("10–11", (10, 11, "10–11")),
        ("7 – 9-e классы", (7, 9, "7–9")),
        ("8-й класс", (8, 8, "8")),
        ("1 дополнительный класс", (1, 1, "1 доп.")),
        ("1 доп. - 1", (1, 1, "1 доп.–1")),
        ("подгот.", (1, 1, "подгот.")),
        ("", None),
        ("СПО", None),
        ("13", None),
        ("2027", None),
    ],
)
def test_clean_grades(written: str, expected: tuple[int, int, str] | None) -> None:
    grades = clean_grades(written)
    assert (None if grades is None else (grades.first, grades.last, grades.label)) == expected


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from(["-", " - ", "–", " – ", "—", " и "]))
def test_grade_ranges(one: int, other: int, dash: str) -> None:
    first, last = sorted((one, other))
    grades = clean_grades(f"{first}{dash}{last}")
    assert grades is not None
    assert (grades.first, grades.last) == (first, last)


@given(st.text())
def test_grades_are_between_1_and_12(text: str) -> None:
    grades = clean_grades(text)
    assert grades is None or 1 <= grades.first <= grades.last <= 12


@pytest.mark.parametrize(
    ("written", "day", "is_clean"),
    [
        ("До 31 августа 2026 года", date(2026, 8, 31), True),
        ("До 06 мая 2027\u00a0года", date(2027, 5, 6), True),
        ("До 3! августа 2025 года", date(2025, 8, 31), False),
        ("До 31 августа 2026 гола", date(2026, 8, 31), False),
        ("31.08.2026", date(2026, 8, 31), True),
        ("2026-08-31", date(2026, 8, 31), True),
        (date(2026, 8, 31), date(2026, 8, 31), True),
        ("До 31 июня 2026 года", None, False),
        ("До 06 мая", None, False),
        ("скоро", None, False),
        ("", None, True),
    ],
)
def test_clean_last_day(written: object, day: date | None, is_clean: bool) -> None:
    found = clean_last_day(written)  # type: ignore[arg-type]
    assert (found.day, found.clean, found.perpetual) == (day, is_clean, False)


def test_perpetual_is_not_a_date() -> None:
    assert clean_last_day("Бессрочно").perpetual
    assert clean_last_day("бессрочно").day is None


MONTHS = "января февраля марта апреля мая июня июля августа сентября октября ноября декабря".split()  # noqa: SIM905


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)), st.sampled_from(["{:d}", "{:02d}"]))
def test_written_dates_come_back(day: date, style: str) -> None:
    found = clean_last_day(f"До {style.format(day.day)} {MONTHS[day.month - 1]} {day.year} года")
    assert (found.day, found.clean) == (day, True)


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (PRESS, ["Просвещение"]),
        (f"Общество с ограниченной ответственностью «ДРОФА»; {PRESS}", ["Дрофа", "Просвещение"]),
        (f"Общество с ограниченной ответственностью «ДРОФА»: {PRESS}", ["Дрофа", "Просвещение"]),
        ("Общество с ограниченной ответственностью «ИОЦ МНЕМОЗИНА»", ["Мнемозина"]),
        ('ООО "Издательство "Экзамен"', ["Экзамен"]),
        ("Государственное казенное учреждение «КБР-Медиа». Издательство «Эльбрус»", ["Эльбрус"]),
        ("ООО Образовательно-издательский центр «Академия»", ["Академия"]),
        ("", []),
    ],
)
def test_clean_publishers(written: str, names: list[str]) -> None:
    assert list(clean_publishers(written)) == names


def test_clean_authors() -> None:
    found = clean_authors(
        "Михеева И.В ., С.М.\u00a0Никольский, Кузин Д. В. и\u00a0другие; под редакцией Теляковского С.А."
    )
    assert found.names == ("Михеева И.В.", "Никольский С.М.", "Кузин Д.В.")
    assert found.editors == ("Теляковский С.А.",)
    assert found.others


def test_authors_by_part_stand_once() -> None:
    found = clean_authors(
        "Часть 1: Мордкович А.Г.; Часть 2: Мордкович А.Г. и другие, под редакцией Мордковича А.Г."
    )
    assert found.names == ("Мордкович А.Г.",)
    assert found.editors == ("Мордкович А.Г.",)


@pytest.mark.parametrize(
    ("genitive", "nominative"),
    [
        ("Виноградовой Н.Ф.", "Виноградова Н.Ф."),
        ("Вербицкой М.В.", "Вербицкая М.В."),
        ("Подольского В.Е.", "Подольский В.Е."),
        ("Пасечника В.В.", "Пасечник В.В."),
        ("Бармич М.Я.", "Бармич М.Я."),
    ],
)
def test_editors_are_put_in_the_nominative(genitive: str, nominative: str) -> None:
    assert clean_authors(f"Иванов А.А.; под общей редакцией {genitive}").editors == (nominative,)


TITLES = {
    "Русский язык: 2-й класс: учебник: в 2 частях; 14-е издание, переработанное": (
        "Русский язык",
        "2",
        Level.UNNAMED,
        2,
        "14-е издание, переработанное",
    ),
    "Литературное чтение (в 2 частях)": ("Литературное чтение", "", Level.UNNAMED, 2, ""),
    "Английский язык. 7-й класс: углубленный уровень: учебник": (
        "Английский язык",
        "7",
        Level.ADVANCED,
        1,
        "",
    ),
    "История России (в двух частях); углубленное обучение": ("История России", "", Level.ADVANCED, 2, ""),
    "Математика. Геометрия: 10 – 11-е классы: базовый и углубленный уровни: учебник; 10-е издание": (
        "Математика. Геометрия",
        "10–11",
        Level.BOTH,
        1,
        "10-е издание",
    ),
    "Физика. Учебник для 8 класса": ("Физика", "8", Level.UNNAMED, 1, ""),
    "Алгебра. 7 кл. Учебник": ("Алгебра", "7", Level.UNNAMED, 1, ""),
    "География: Землеведение": ("География: Землеведение", "", Level.UNNAMED, 1, ""),
    "История. История России. 1914 - 1945 годы: учебник": (
        "История. История России. 1914 – 1945 годы",
        "",
        Level.UNNAMED,
        1,
        "",
    ),
}


@pytest.mark.parametrize("cell", TITLES)
def test_clean_title(cell: str) -> None:
    found = clean_title(cell)
    label = found.grades.label if found.grades else ""
    assert (found.text, label, found.level, found.parts, found.edition_note) == TITLES[cell]


def test_a_title_keeps_what_tells_books_apart() -> None:
    found = clean_title(
        "Татарский язык: учебник для организаций с обучением на русском языке; язык издания: татарский"
    )
    assert "с обучением на русском языке" in found.text
    assert found.language == "татарский"
    assert clean_title("Химия: 8-й класс: учебник (находится на апробации)").trial


@given(st.text(max_size=200))
def test_no_cell_breaks_the_cleaning(text: str) -> None:
    title = clean_title(text)
    assert 1 <= title.parts <= 9
    assert clean_authors(text).names == clean_authors(text).names
    assert all(clean_publishers(text))
    clean_last_day(text)


# The official layout


def test_headings_give_section_area_and_subject() -> None:
    parsed = read(
        workbook(
            [
                NUMBERING,
                *HEADINGS,
                entry("1.1.1.1.1.1.1."),
                heading("1.1.1.8.", "Технология (предметная область)"),
                heading(
                    "1.1.1.7.1.", "Технология (учебный предмет) (с 1 сентября 2024 г. – Труд (технология))"
                ),
                entry("1.1.1.8.1.1.1.", "Технология"),
            ]
        )
    )
    first, second = parsed.entries
    assert (first.section, first.subject_area) == (
        "1.1.1 Начальное общее образование",
        "Русский язык и литературное чтение",
    )
    assert (first.subject, first.title, first.number, first.parts) == (
        "Русский язык",
        "Русский язык",
        "1.1.1.1.1.1.1",
        2,
    )
    assert (first.valid_until, first.publishers, first.appendix) == (date(2027, 4, 25), ("Просвещение",), 1)
    assert first.raw["title"].endswith("переработанное")
    assert (second.subject, second.subject_alias) == ("Технология", "Труд (технология)")
    assert "number_prefix" in {each.code for each in parsed.findings if each.row == second.row}
    assert parsed.accounted[Outcome.NUMBERING] == parsed.accounted[Outcome.HEADER] == 1
    assert parsed.accounted[Outcome.HEADING] == 7
    assert_accounted(parsed)


def test_sections_mark_special_needs_and_vocational_books() -> None:
    parsed = read(
        workbook(
            [
                heading("1.2.", "Учебники для программ среднего профессионального образования"),
                heading("1.2.1.1.", "История (учебный предмет)"),
                entry("1.2.1.1.1.", "История: учебник", grade="", until="Бессрочно"),
                heading("1.3.", "Учебники для адаптированных основных общеобразовательных программ"),
                heading("1.3.6.", "Общее образование обучающихся с умственной отсталостью"),
                heading("1.3.6.1.", "Обучающиеся I доп., I - IV классов"),
                heading("1.3.6.1.1.", "Математика (предметная область)"),
                heading("1.3.6.1.1.1.", "Математика (учебный предмет)"),
                entry("1.3.6.1.1.1.1.1.", "Математика", grade="1 дополнительный класс"),
                heading("2.", "Учебники при реализации основных образовательных программ"),
                heading("2.1.1.1.1.", "Русский язык (учебный предмет)"),
                entry("2.1.1.1.1.1.1."),
            ]
        )
    )
    vocational, special, plain = parsed.entries
    assert (vocational.grades, vocational.grade_from, vocational.perpetual) == ("СПО", None, True)
    assert (special.special_needs, special.grades, special.grade_from) == (True, "1 доп.", 1)
    assert special.section == "1.3.6.1 Обучающиеся I доп., I – IV классов"
    assert not vocational.special_needs
    assert not plain.special_needs
    assert plain.grades == "2"
    assert not parsed.doubtful


def test_columns_are_found_by_words() -> None:
    order = [11, 4, 0, 3, 7, 5, 2]
    rows = [[row[at] for at in order] for row in [*HEADINGS, entry("1.1.1.1.1.1.1.", appendix=2)]]
    parsed = read(workbook(rows, [OFFICIAL[at] for at in order]))
    assert [(each.number, each.appendix, each.authors[0]) for each in parsed.entries] == [
        ("1.1.1.1.1.1.1", 2, "Канакина В.П.")
    ]


def test_every_doubt_names_its_row() -> None:
    rows = [
        *HEADINGS,
        entry("1.1.1.1.1.1.1."),
        entry("1.1.1.1.1.1.1.", "Русский язык. Азбука"),
        entry("1.1.1.1.1.1.1."),
        entry("1..1.1.1.1.1.4."),
        entry("1.1.1.1.1.1.5.", until="До 3! августа 2025 года", appendix=2),
        entry("1.1.1.1.1.1.6.", until="", appendix=2),
        entry("1.1.1.1.1.1.7.", grade="тринадцатый", title="Русский язык"),
        entry("1.1.1.1.1.1.8.", grade=datetime(2026, 11, 10)),  # noqa: DTZ001
        entry("", "Без номера"),
        entry("не знаю", "С плохим номером"),
        entry("1.1.1.1.1.1.9.", ""),
        ["Приложение 1", "9", "1.1.1.1.1.2.1.", "Название без сведений", *[""] * 8],
        ["Приложение 1", "10", "1.1.1.1.1.2.2.", *[""] * 9],
    ]
    parsed = read(workbook(rows))
    first = 2 + len(HEADINGS)
    codes = {(each.row - first, each.code) for each in parsed.findings}
    assert codes >= {
        (1, "duplicate_number"),
        (2, "repeated"),
        (3, "double_dot"),
        (3, "gap"),
        (4, "date_typo"),
        (5, "bad_date"),
        (6, "bad_grades"),
        (7, "grades_date"),
        (8, "no_number"),
        (9, "bad_number"),
        (10, "no_title"),
        (11, "incomplete"),
        (12, "unreadable"),
    }
    assert parsed.accounted[Outcome.LISTED] == 4
    assert len(parsed.entries) == 9
    keys = [(each.appendix, each.number, each.position) for each in parsed.entries]
    assert len(keys) == len(set(keys))
    assert {each.number: each.position for each in parsed.entries}["1.1.1.1.1.1.1"] == 1
    assert {each.number: each.grades for each in parsed.entries}["1.1.1.1.1.1.8"] == "10–11"
    assert_accounted(parsed)


CELLS = st.one_of(
    st.just(""),
    st.sampled_from(
        ["1.1.1.1.1.1.1.", "Русский язык (учебный предмет)", "Канакина В.П.", "5", "До 31 августа 2026 года"]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=12, max_size=12), max_size=12))
def test_no_row_is_lost_whatever_is_in_it(rows: list[list[str]]) -> None:
    table = io.StringIO()
    for row in [OFFICIAL, *rows]:
        table.write(";".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n")
    parsed = read(table.getvalue().encode(), "list.csv")
    assert_accounted(parsed)
    filled = [number for number, row in enumerate(rows, start=2) if any(cell.strip() for cell in row)]
    assert parsed.rows_read == max(filled, default=1)


# Text tables

SIMPLE = ["Приказ", "Приложение", "Номер", "Предмет", "Название", "Авторы", "Класс", "Издательство", "Срок"]
SIMPLE_ROW = [
    "858/119",
    "2",
    "1.1.1.1.2.1.3",
    "Русский язык",
    "Русский язык",
    "Канакина В.П.",
    "4",
    "Просвещение",
    "31.08.2026",
]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251", "utf-16"])
def test_text_tables_in_any_usual_form(delimiter: str, encoding: str) -> None:
    text = "\r\n".join(delimiter.join(row) for row in (SIMPLE, SIMPLE_ROW))
    (found,) = read(text.encode(encoding), "list.csv").entries
    assert (found.order, found.edition, found.appendix) == ("858", "119", 2)
    assert (found.title, found.grades, found.valid_until) == ("Русский язык", "4", date(2026, 8, 31))


def test_a_row_of_another_order_is_listed() -> None:
    text = "\n".join(";".join(row) for row in (SIMPLE, SIMPLE_ROW))
    parsed = read(text.encode(), "list.csv", order="769")
    assert not parsed.entries
    assert [(each.code, each.row) for each in parsed.findings] == [("other_order", 2)]
    assert_accounted(parsed)
    assert len(read(text.encode(), "list.csv", order="858", edition="119").entries) == 1


def test_what_the_file_does_not_say_is_given_by_the_caller() -> None:
    rows = [row[1:] for row in [*HEADINGS, entry("1.1.1.1.1.1.1.")]]
    content = workbook(rows, OFFICIAL[1:])
    (found,) = read(content, order="769", edition="2", appendix=2).entries
    assert (found.order, found.edition, found.appendix) == ("769", "2", 2)
    assert "no_appendix" in {each.code for each in read(content).findings}


# Other programs

BOOKS_OF_TWO_APPENDICES = [
    [NUMBERING, *HEADINGS, entry("1.1.1.1.1.1.1."), entry("1.1.1.1.1.1.2.", grade="3")],
    [*HEADINGS, entry("1.1.1.1.1.1.1.", until="До 31 августа 2026 года", appendix=2)],
]


def cells_of(row: Sequence[object]) -> list[str]:
    return [str(cell) for cell in row]


def as_document(tables: Sequence[Sequence[Sequence[object]]], header: Sequence[str]) -> bytes:
    """Return the order as the ministry publishes it: the appendix stands above its table, not in it."""
    body = foreign_files.paragraph("Приказ от 21 сентября 2022 г. № 858")
    for number, rows in enumerate(tables, start=1):
        heading = (
            f"Приложение № {number}",
            "к приказу Министерства просвещения",
            "Российской Федерации",
            "№ 858",
        )
        body += "".join(map(foreign_files.paragraph, heading))
        body += foreign_files.word_table(cells_of(row) for row in [header, *rows])
    return foreign_files.docx(body)


def as_open_document(rows: Sequence[Sequence[object]]) -> bytes:
    inside = "".join(
        f"<table:table-row>{''.join(map(foreign_files.ods_cell, cells_of(row)))}</table:table-row>"
        for row in rows
    )
    return foreign_files.ods(f'<table:table table:name="Перечень">{inside}</table:table>')


def as_old_workbook(rows: Sequence[Sequence[object]]) -> bytes:
    return foreign_files.xls(
        {
            "Перечень": b"".join(
                foreign_files.xls_text(number, column, text)
                for number, row in enumerate(rows)
                for column, text in enumerate(cells_of(row))
                if text
            )
        }
    )


def facts_of(parsed: ParsedList) -> list[tuple[object, ...]]:
    return [
        (each.order, each.edition, each.appendix, each.number, each.facts, each.raw["title"])
        for each in parsed.entries
    ]


def test_the_list_is_the_same_from_a_document_and_from_any_workbook() -> None:
    together = [row for rows in BOOKS_OF_TWO_APPENDICES for row in rows]
    expected = read(workbook(together), order="858")
    assert [each.appendix for each in expected.entries] == [1, 1, 2]
    without_column = [[row[1:] for row in rows] for rows in BOOKS_OF_TWO_APPENDICES]
    for content in (
        as_document(without_column, OFFICIAL[1:]),
        as_open_document([OFFICIAL, *together]),
        as_old_workbook([OFFICIAL, *together]),
    ):
        parsed = read(content, order="858")
        assert facts_of(parsed) == facts_of(expected)
        assert parsed.accounted[Outcome.NUMBERING] == 1
        assert_accounted(parsed)


def test_the_tables_of_a_document_keep_their_own_rows() -> None:
    parsed = read(as_document(BOOKS_OF_TWO_APPENDICES, OFFICIAL))
    assert [(each.sheet, each.row) for each in parsed.entries] == [
        ("Таблица 1", 8),
        ("Таблица 1", 9),
        ("Таблица 2", 7),
    ]


# What is refused

CONTENT_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)


def rewritten(content: bytes, **parts: bytes) -> bytes:
    """Return the workbook with members replaced or added; ``sheet`` stands for the first worksheet."""
    names = {"sheet": "xl/worksheets/sheet1.xml", "strings": "xl/sharedStrings.xml"}
    replaced = {names.get(name, name): value for name, value in parts.items()}
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, replaced.pop(name, old.read(name)))
        for name, value in replaced.items():
            new.writestr(name, value)
    return stream.getvalue()


GOOD = workbook([*HEADINGS, entry("1.1.1.1.1.1.1.")])
SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'


def test_a_rewritten_good_workbook_is_still_good() -> None:
    assert len(read(rewritten(GOOD)).entries) == 1


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"%PDF-1.7\n...", "PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "не читается"),
        (b"{\\rtf1 text}", "Word"),
        (b"<html><table></table></html>", "не читается"),
        (b"", "не читается"),
        (b"\x00\x01\x02", "не читается"),
        (b"PK\x03\x04 broken", "подозрительно"),
        ("просто текст".encode(), "шапка"),
        (GOOD[:-200], "подозрительно"),
        (GOOD + b"\0" * 22, "подозрительно"),
        (GOOD[:-22] + b"PK\x06\x07" + b"\0" * 16 + GOOD[-22:], "подозрительно"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(content: bytes, word: str) -> None:
    assert word in refusal(content)


def test_a_workbook_without_the_header_is_refused() -> None:
    assert "шапка" in refusal(workbook([["1", "2"]], ["Фамилия", "Имя"]))


def test_a_file_that_is_too_big_is_not_read_to_its_end() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            assert size >= 0, "read without a limit"
            self.given += size
            return b";" * size

    source = Endless()
    with pytest.raises(Invalid, match="МБ"):
        read_list(source, "huge.csv")  # type: ignore[arg-type]
    assert source.given <= importer.LIMITS.megabytes * 1024 * 1024 + 1


def test_a_zip_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    most = importer.LIMITS.unpacked * 1024 * 1024
    bomb = rewritten(GOOD, sheet=b" " * (most + 1))
    assert len(bomb) < most // 100

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a member was opened")

    monkeypatch.setattr(zipfile.ZipFile, "open", never)
    assert "распаковки" in refusal(bomb)


def test_a_member_that_lies_about_its_size_is_refused() -> None:
    size = 3_000_000
    bomb = bytearray(rewritten(GOOD, sheet=b"<" * size))
    honest = struct.pack("<I", size)
    assert bomb.count(honest) == 2
    lying = bytes(bomb).replace(honest, struct.pack("<I", 1000))
    refusal(lying)


def test_too_many_tags_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "LIMITS", replace(importer.LIMITS, tags=1000))
    assert len(read(GOOD).entries) == 1
    crowded = rewritten(GOOD, sheet=SHEET.format("<c/>" * 1001).encode())
    assert "ячеек" in refusal(crowded)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused(encoding: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("тайна")
    declaration = (
        f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE x [<!ENTITY a SYSTEM "file://{secret}">]>'
    )
    cell = '<row r="1"><c r="A1" t="inlineStr"><is><t>&a;</t></is></c></row>'
    refusal(rewritten(GOOD, sheet=(declaration + SHEET.format(cell)).encode(encoding)))


def test_formulas_are_refused_with_their_place() -> None:
    text = refusal(workbook([*HEADINGS, entry("1.1.1.1.1.1.1.", grade="=1+1")]))
    assert "формулы" in text
    assert "строка 7" in text


def test_a_far_away_cell_does_not_make_a_million_rows() -> None:
    cell = '<row r="{0}"><c r="A{0}" t="inlineStr"><is><t>x</t></is></c></row>'
    for row in (1_048_576, 10**15):
        assert "строк" in refusal(rewritten(GOOD, sheet=SHEET.format(cell.format(row)).encode()))


def test_far_away_columns_are_left_out() -> None:
    wide = [*entry("1.1.1.1.1.1.1."), *[""] * 400, "край"]
    parsed = read(workbook([*HEADINGS, wide]))
    assert len(parsed.entries) == 1
    assert len(parsed.entries[0].raw) <= len(OFFICIAL)


def test_too_many_rows_are_refused() -> None:
    most = importer.LIMITS.rows
    header = ";".join(SIMPLE) + "\n"
    assert "строк" in refusal((header + "1\n" * most).encode())
    blank = header + ";".join(SIMPLE_ROW) + "\n" * (most + 5)
    assert len(read(blank.encode(), "list.csv").entries) == 1


def test_an_encrypted_or_oddly_packed_archive_is_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        archive.writestr("xl/workbook.xml", "<workbook/>")
    assert "подозрительно" in refusal(stream.getvalue())


def test_a_crowd_of_members_is_refused() -> None:
    crowd = {f"xl/part{number}.xml": b"<a/>" for number in range(importer.LIMITS.members)}
    assert "слишком много частей" in refusal(rewritten(GOOD, **crowd))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_workbook_is_refused_or_read_but_never_breaks(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 1))
    damaged = GOOD[:at] + data.draw(st.binary(min_size=1, max_size=4)) + GOOD[at + 1 :]
    try:
        parsed = read(damaged)
    except Invalid:
        return
    assert_accounted(parsed)


# What an import would change

OLD = read(
    workbook(
        [
            *HEADINGS,
            entry("1.1.1.1.1.1.1."),
            entry("1.1.1.1.1.1.2.", grade="3"),
            entry("1.1.1.1.1.1.3.", grade="4"),
            entry("1.1.1.1.1.1.1.", "Русский язык", appendix=2, until="До 31 августа 2026 года"),
        ]
    ),
    order="769",
)


def listed(*entries: ParsedEntry) -> ParsedList:
    return replace(OLD, entries=entries)


def test_importing_twice_changes_nothing() -> None:
    assert compare(OLD, stored(OLD)).changes_nothing
    assert len(compare(OLD, stored(OLD)).unchanged) == 4
    assert len(compare(OLD, []).new) == 4


def test_a_change_is_named_fact_by_fact() -> None:
    first, *rest = OLD.entries
    report = compare(listed(replace(first, parts=3, valid_until=date(2028, 1, 1)), *rest), stored(OLD))
    (changed,) = report.changed
    assert changed.existing.ref == 0
    assert {(each.field, each.before, each.after) for each in changed.changes} == {
        ("parts", 2, 3),
        ("valid_until", date(2027, 4, 25), date(2028, 1, 1)),
    }
    rows = list(report.rows())
    assert all(len(row) == len(REPORT_HEADER) for row in rows)
    assert [(row[0], row[6], row[7], row[8]) for row in rows] == [
        ("изменён", "частей", "2", "3"),
        ("изменён", "срок", "25.04.2027", "01.01.2028"),
    ]


def test_what_is_gone_is_excluded_in_its_own_appendix_only() -> None:
    first, second, third, appendix_2 = OLD.entries
    report = compare(listed(first, second), stored(OLD))
    assert [each.number for each in report.excluded] == [third.number]
    assert appendix_2.number not in {each.number for each in report.excluded if each.appendix == 2}
    assert not compare(listed(first, second), stored(OLD), whole=False).excluded
    assert not compare(read(GOOD, order="858"), stored(OLD)).excluded


def test_an_excluded_entry_is_excluded_once_and_may_come_back() -> None:
    existing = [replace(each, excluded=each.grades == "4" and each.appendix == 1) for each in stored(OLD)]
    without = listed(*(each for each in OLD.entries if each.grades != "4"))
    assert not compare(without, existing).excluded
    (back,) = compare(OLD, existing).changed
    assert [(each.field, each.before, each.after) for each in back.changes] == [("excluded", True, False)]


def test_books_that_share_a_number_keep_apart() -> None:
    first = OLD.entries[0]
    twin = replace(first, title="Русский язык. Азбука", row=90)
    both = listed(first, twin)
    existing = stored(both)
    assert compare(both, existing).changes_nothing
    assert compare(listed(twin, first), existing).changes_nothing
    report = compare(listed(replace(twin, parts=1), first), existing)
    assert [(each.existing.ref, each.entry.title) for each in report.changed] == [(1, "Русский язык. Азбука")]


def test_books_without_a_number_are_matched_by_the_book() -> None:
    one = replace(OLD.entries[0], number="")
    other = replace(OLD.entries[1], number="", title="Родная речь")
    existing = stored(listed(one, other))
    report = compare(listed(replace(other, parts=4)), existing)
    assert [each.existing.ref for each in report.changed] == [1]
    assert [each.ref for each in report.excluded] == [0]
    assert not report.new


@given(st.sets(st.integers(0, 3)), st.sets(st.integers(0, 3)))
def test_new_known_and_gone_add_up(before: set[int], after: set[int]) -> None:
    same_appendix = [
        replace(each, appendix=1, number=f"1.1.1.1.1.1.{at}") for at, each in enumerate(OLD.entries)
    ]
    old, new = (listed(*(same_appendix[at] for at in sorted(chosen))) for chosen in (before, after))
    report = compare(new, stored(old))
    assert len(report.new) == len(after - before)
    assert len(report.unchanged) == len(after & before)
    assert len(report.excluded) == (len(before - after) if after else 0)
    assert not report.changed


# The lists that ship with the product


@pytest.mark.parametrize("order", ["769", "858"])
def test_the_demo_list_reads_without_a_doubt(order: str) -> None:
    file = DEMO / f"federal_list_{order}.csv"
    with file.open("rb") as source:
        parsed = read_list(source, file.name)
    assert not parsed.findings
    assert {each.order for each in parsed.entries} == {order}
    assert_accounted(parsed)
    assert compare(parsed, stored(parsed)).changes_nothing


def test_the_demo_list_has_what_the_demo_needs() -> None:
    entries = []
    for file in sorted(DEMO.glob("federal_list_*.csv")):
        with file.open("rb") as source:
            entries.extend(read_list(source, file.name).entries)
    assert len(entries) >= 300
    assert {
        grade for each in entries for grade in range(each.grade_from or 0, (each.grade_to or 0) + 1)
    } == set(range(12))
    assert len({name for each in entries for name in each.publishers}) >= 8
    assert {each.parts for each in entries} >= {1, 2, 3, 4}
    assert {each.valid_until for each in entries if each.appendix == 2} >= {
        date(2026, 8, 31),
        date(2027, 8, 31),
        None,
    }
    assert sum(each.special_needs for each in entries) >= 40
    books = {
        each.identity
        for each in entries
        if each.authors[0] == "Климанова Л.Ф."
        and each.subject == "Литературное чтение"
        and each.grades == "4"
    }
    assert {identity.split("|")[0].split("+")[-1] for identity in books} == {"виноградская л", "горецкий в"}
    assert len({each.authors[0] for each in entries if each.authors[0].startswith("Перышкин")}) == 2
    algebra = [each for each in entries if each.authors[0].startswith("Макарычев") and each.grades == "8"]
    assert {(each.publisher_group, each.level) for each in algebra} >= {
        ("Просвещение", Level.BASIC),
        ("Мнемозина", Level.ADVANCED),
    }


# The real list, where it lies beside the repository


@needs_shared
def test_the_real_workbook_is_read_to_the_last_row() -> None:
    file = SHARED / "order_858_edition_119.xlsx"
    with file.open("rb") as source:
        parsed = read_list(source, file.name, order="858", edition="119")
    assert len(parsed.entries) == 2161
    assert parsed.rows_read == 2550
    assert {each.appendix for each in parsed.entries} == {1, 2}
    assert_accounted(parsed)
    assert parsed.accounted[Outcome.LISTED] == 0
    assert all(each.subject and each.title and each.section for each in parsed.entries)
    assert all(each.valid_until or each.perpetual for each in parsed.entries)
    assert {each.row for each in parsed.doubtful if each.code == "date_typo"} == {1939, 2436}
    assert all(each.severity is not Severity.ERROR for each in parsed.findings)
    assert compare(parsed, stored(parsed)).changes_nothing


@needs_shared
def test_the_real_list_is_the_same_from_other_programs() -> None:
    """Written anew from the workbook, as large as it is."""
    file = SHARED / "order_858_edition_119.xlsx"
    header, *rows = ([cell or "" for cell in row] for row in openpyxl.load_workbook(file).active.values)
    tables = [[row for row in rows if str(row[0]) == f"Приложение {number}"] for number in (1, 2)]
    assert sum(map(len, tables)) == len(rows) - 1
    with file.open("rb") as source:
        expected = facts_of(read_list(source, file.name, order="858", edition="119"))
    for content in (
        as_document(tables, header),
        as_open_document([header, *rows]),
        as_old_workbook([header, *rows]),
    ):
        assert facts_of(read(content, order="858", edition="119")) == expected


@needs_shared
@pytest.mark.skipif(not list(SHARED.glob("*.docx")), reason=f"no document of an order in {SHARED}")
def test_a_real_document_is_read() -> None:
    for file in sorted(SHARED.glob("*.docx")):
        with file.open("rb") as source:
            parsed = read_list(source, file.name)
        assert len(parsed.entries) > 1_000
        assert_accounted(parsed)


@needs_shared
def test_the_workbook_and_the_transcribed_table_agree() -> None:
    with (SHARED / "order_858_edition_119.xlsx").open("rb") as source:
        official = read_list(source, "x.xlsx", order="858", edition="119").entries
    with (SHARED / "federal_list.csv").open("rb") as source:
        simple = read_list(source, "x.csv", order="858", edition="119").entries
    facts = (
        "appendix",
        "title",
        "authors",
        "editors",
        "grades",
        "level",
        "language",
        "parts",
        "valid_until",
        "perpetual",
        "special_needs",
    )
    assert len(official) == len(simple)
    assert [[getattr(each, fact) for fact in facts] for each in official] == [
        [getattr(each, fact) for fact in facts] for each in simple
    ]


@needs_shared
def test_the_real_table_of_three_orders_is_read_twice_alike() -> None:
    content = (SHARED / "federal_list.csv").read_bytes()
    parsed = read(content, "federal_list.csv")
    assert len(parsed.entries) == 3383
    assert_accounted(parsed)
    assert compare(read(content, "federal_list.csv"), stored(parsed)).changes_nothing
