"""The papers of the exchange as pages, prints and workbooks."""

from __future__ import annotations

import io
from datetime import date

import html5lib
import pytest
from openpyxl import load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from exchange.clock import FrozenClock
from exchange.db import unit_of_work
from tests import factories
from tests.conftest import SignIn
from tests.factories import World
from tests.postings_world import make_edition, make_textbook, offer_of, put_on_shelf, request_of

SURPLUS = [
    "№ п/п", "№ по ФПУ (приказ)", "Предмет", "Автор(ы)", "Наименование", "Класс", "Уровень", "Издательство",
    "Год издания", "Кол-во", "Состояние", "Цена за ед., руб.", "Вид передачи", "Можно отдать с", "Примечание",
]  # fmt: skip
MISSING = [
    "№", "№ по ФПУ", "Предмет", "Автор", "Наименование", "Класс", "Обучающихся", "В наличии", "К списанию",
    "Недостаёт", "Причина", "Нужен к дате", "Допустимые годы издания",
]  # fmt: skip


@pytest.fixture
def posted(world: World, clock: FrozenClock) -> World:
    factories.enrol(world.recipient_school, {7: 20}, by=world.deputy, clock=clock)
    with unit_of_work():
        world.donor_school.inn = "2403000001"
        book = make_textbook("Физика", parts=2)
        edition = make_edition(book, part=2)
        put_on_shelf(world.donor_school, edition, 9, by=world.donor, clock=clock)
        offer_of(world, clock, edition, 5, note="=1+1", available_from=date(2026, 10, 1))
        request_of(world, clock, book, copies_by_part={2: 4}, needed_by=date(2026, 9, 20), year_from=2019)
    return world


def opened(data: bytes) -> Worksheet:
    return load_workbook(io.BytesIO(data)).active


def header_of(sheet: Worksheet, first: str) -> int:
    return next(cell.row for cell in sheet["A"] if cell.value == first)


def cells(text: str) -> list[list[str]]:
    document = html5lib.parse(text, namespaceHTMLElements=False)
    rows = document.findall(".//article//table//tr")
    return [["".join(cell.itertext()).strip() for cell in row] for row in rows]


def test_surplus_on_paper(posted: World, sign_in: SignIn) -> None:
    client = sign_in(posted.donor)
    answer = client.get("/reports/surplus")
    header, row, total = cells(answer.text)
    assert header == SURPLUS
    assert row[1].endswith("(858)")
    assert row[4] == "Физика: 7-й класс: учебник, ч. 2"
    assert row[9:14] == ["5", "хорошее", "", "насовсем", "01.10.2026"]
    assert (total[0], total[9]) == ("Итого", "5")
    for text in (
        "МБОУ «Дающая СОШ»",
        "ИНН 2403000001",
        "По состоянию на 14.09.2026",
        "Директор: ___",
        "М.П.",
    ):
        assert text in answer.text


def test_surplus_as_a_workbook(posted: World, sign_in: SignIn) -> None:
    sheet = opened(sign_in(posted.donor).get("/reports/surplus?format=xlsx").data)
    first = header_of(sheet, "№ п/п")
    assert [cell.value for cell in sheet[first]] == SURPLUS
    assert sheet["A1"].value == "Сведения об излишках"
    assert sheet.auto_filter.ref == f"A{first}:O{first + 1}"
    assert sheet.freeze_panes == f"A{first + 1}"
    row = sheet[first + 1]
    assert row[9].value == 5
    assert row[11].value is None
    assert row[13].value.date() == date(2026, 10, 1)
    assert (row[14].value, row[14].data_type) == ("=1+1", "s")
    assert sheet.cell(first + 2, 10).value == 5
    lines = [cell.value for cell in sheet["A"][first + 2 :]]
    assert any(str(line).startswith("Директор: ___") for line in lines)


def test_missing_on_paper(posted: World, sign_in: SignIn) -> None:
    header, row, _total = cells(sign_in(posted.recipient).get("/reports/missing").text)
    assert header == MISSING
    assert row[6:] == ["20", "0", "0", "4", "увеличение контингента", "20.09.2026", "не старше 2019"]
    sheet = opened(sign_in(posted.recipient).get("/reports/missing?format=xlsx").data)
    assert [cell.value for cell in sheet[header_of(sheet, "№")]] == MISSING


def test_the_consolidated_sheet(posted: World, sign_in: SignIn) -> None:
    client = sign_in(posted.methodist)
    _header, row, total, *by_school = cells(client.get("/reports/consolidated").text)
    assert row[7:] == ["Дающая СОШ\u00a0– 5", "5", "0", "Берущая СОШ\u00a0– 4", "4", "4", "0", "1"]
    assert total[8:] == ["5", "0", "", "4", "4", "0", ""]
    assert by_school[1:] == [["Берущая СОШ", "0", "0", "1", "4"], ["Дающая СОШ", "1", "5", "0", "0"]]
    data = client.get("/reports/consolidated?format=xlsx").data
    assert opened(data)["A1"].value == "Сводная ведомость"
    totals, lines = load_workbook(io.BytesIO(data)).worksheets[1:]
    assert [cell.value for cell in totals[3]] == ["Дающая СОШ", 1, 5, 0, 0]
    assert [[row[0].value, row[6].value, row[7].value] for row in lines.iter_rows(min_row=2)] == [
        ["Берущая СОШ", None, 4],
        ["Дающая СОШ", 5, None],
    ]
    assert "таких учебников нет" in client.get("/reports/consolidated?grade=11").text
    assert "Физика" in client.get("/reports/consolidated?subject=Физика&grade=7").text
    assert sign_in(posted.donor).get("/reports/consolidated").status_code == 403


def test_the_methodist_picks_a_school(posted: World, sign_in: SignIn) -> None:
    client = sign_in(posted.methodist)
    answer = client.get("/reports/surplus")
    assert (answer.status_code, answer.location) == (303, "/reports#schools")
    index = client.get("/reports").text
    where = f"/reports/surplus?school={posted.donor_school.id}"
    assert where in index
    fragment = client.get(where, headers={"HX-Request": "true"}).text
    assert "<html" not in fragment
    assert 'id="paper"' in fragment
    assert client.get("/reports/surplus?school=nonsense").status_code == 404
    assert client.get(f"/reports/surplus?school={posted.fund.id}").status_code == 404


def test_the_school_of_somebody_else_is_not_there(posted: World, sign_in: SignIn) -> None:
    for person in (posted.stranger, posted.outsider, posted.head):
        for paper in ("surplus", "missing"):
            address = f"/reports/{paper}?school={posted.donor_school.id}"
            assert sign_in(person).get(address).status_code == 404
            assert sign_in(person).get(f"{address}&format=xlsx").status_code == 404


def test_a_small_count_is_not_in_a_file_either(world: World, clock: FrozenClock, sign_in: SignIn) -> None:
    with unit_of_work():
        book = make_textbook("Чтение", special_needs=True)
        request_of(world, clock, book, copies_by_part={1: 2})
    path = f"/reports/missing?school={world.recipient_school.id}"
    for person, written in ((world.methodist, ";2;"), (world.accountant, ";менее 3;")):
        lines = sign_in(person).get(f"{path}&format=csv").data.decode("utf-8-sig").splitlines()
        assert written in lines[1]
        assert sum(written in line for line in lines) == (2 if person is world.methodist else 1)
    text = sign_in(world.accountant).get("/reports/consolidated?format=csv").data.decode("utf-8-sig")
    assert "Берущая СОШ – менее 3;менее 3;" in text
    assert "Итого;;;;;;;;0;0;;0;" in text


def test_an_empty_paper_says_so(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    for path, words in (
        ("/reports/surplus", "На доске нет излишков этой школы."),
        ("/reports/missing", "На доске нет заявок этой школы."),
    ):
        text = client.get(path).text
        assert words in text
        assert "data-print" not in text


def test_the_lists_of_postings_lead_to_the_papers(posted: World, sign_in: SignIn) -> None:
    assert f'"/reports/surplus?school={posted.donor_school.id}"' in sign_in(posted.donor).get("/offers").text
    school = posted.recipient_school.id
    assert f'"/reports/missing?school={school}"' in sign_in(posted.recipient).get("/requests").text


def test_who_prepares_what(world: World, sign_in: SignIn) -> None:
    text = sign_in(world.head).get("/reports").text
    assert "Сведения об излишках" in text
    assert 'href="/reports/surplus' not in text
    assert 'href="/reports/surplus"' in sign_in(world.donor).get("/reports").text
    assert 'href="/reports/consolidated"' not in sign_in(world.donor).get("/reports").text
