"""The papers: what stands in them, who may see them, as a page, as a workbook, by filter."""

from __future__ import annotations

import io
from datetime import date

import openpyxl
import pytest
from flask.testing import FlaskClient
from openpyxl.worksheet.worksheet import Worksheet

from exchange.catalog.models import Textbook
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.postings.rules import OfferKind
from exchange.reports import rules
from exchange.schools.models import Holder
from exchange.stock import services as stock
from exchange.stock.rules import Condition
from tests import factories
from tests.conftest import SignIn
from tests.counting import count_queries
from tests.factories import World
from tests.fund_world import stock_fund
from tests.postings_world import (
    make_edition,
    make_textbook,
    offer_of,
    put_on_shelf,
    request_of,
)


def sheet_of(client: FlaskClient, address: str, index: int = 0) -> Worksheet:
    joint = "&" if "?" in address else "?"
    answer = client.get(f"{address}{joint}format=xlsx")
    assert answer.status_code == 200
    return openpyxl.load_workbook(io.BytesIO(answer.data)).worksheets[index]


def table_of(sheet: Worksheet) -> list[dict[str, object]]:
    """Return the rows under the header, which the frozen pane tells, as far as they are numbered."""
    top = int(sheet.freeze_panes[1:]) - 1
    names = [cell.value for cell in sheet[top]]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=top + 1)]
    return [dict(zip(names, row, strict=True)) for row in rows if row[-2:] != [None, None] or row[1]]


@pytest.fixture
def physics(world: World, clock: FrozenClock) -> Textbook:
    """A surplus of 5 (2 asked for? none), a request for 4 of two parts by the other school."""
    with unit_of_work():
        textbook = make_textbook(parts=2)
        for part in (1, 2):
            edition = make_edition(textbook, part=part)
            put_on_shelf(world.donor_school, edition, 9, by=world.donor, clock=clock)
            put_on_shelf(world.recipient_school, edition, 6, by=world.recipient, clock=clock)
            offer_of(
                world,
                clock,
                edition,
                5,
                kind=OfferKind.LOAN if part == 2 else OfferKind.PERMANENT,
                due_back=date(2027, 6, 20) if part == 2 else None,
                available_from=date(2026, 9, 20),
                note="=ВНИМАНИЕ",
            )
            if part == 1:
                stock.set_note(
                    holder=world.recipient_school,
                    edition=edition,
                    condition=Condition.FAIR,
                    worn=1,
                    by=world.recipient,
                    clock=clock,
                )
        request_of(
            world, clock, textbook, copies_by_part={1: 4, 2: 3}, year_from=2019, needed_by=date(2026, 10, 1)
        )
    factories.enrol(world.recipient_school, {7: 9}, by=world.deputy, clock=clock)
    return textbook


def test_surplus_of_a_school(world: World, physics: Textbook, sign_in: SignIn) -> None:
    with unit_of_work():
        world.donor_school.inn = "2403000001"
        db.session.merge(world.donor_school)
    client = sign_in(world.donor)
    page = client.get("/reports/surplus").text
    for text in (
        "Сведения об излишках учебников", "МБОУ «Дающая СОШ»", "ИНН 2403000001", "14.09.2026", "М.П.",
        "Физика: 7-й класс: учебник, ч. 2", f"1.{physics.id} (858)", "временное пользование до 20.06.2027",
        "безвозмездная передача", "20.09.2026", "Директор", *rules.SURPLUS_COLUMNS,
    ):  # fmt: skip
        assert text in page, text
    sheet = sheet_of(client, "/reports/surplus")
    rows = table_of(sheet)
    assert tuple(rows[0]) == rules.SURPLUS_COLUMNS
    assert [row["Кол-во"] for row in rows] == [5, 5]
    assert [row["Цена за ед., руб."] for row in rows] == [None, None]
    assert rows[0]["Примечание"] == "=ВНИМАНИЕ"
    assert sheet["A1"].value == "Сведения об излишках учебников"
    assert "2403000001" in sheet["A2"].value


def test_missing_of_a_school(world: World, physics: Textbook, sign_in: SignIn) -> None:
    client = sign_in(world.recipient)
    page = client.get("/reports/missing").text
    for text in ("Заявка на недостающие учебники", "2019 и новее", "увеличение контингента", "01.10.2026"):
        assert text in page, text
    rows = table_of(sheet_of(client, "/reports/missing"))
    assert tuple(rows[0]) == rules.MISSING_COLUMNS
    assert [(row["Обучающихся"], row["В наличии"], row["К списанию"], row["Недостаёт"]) for row in rows] == [
        (9, 6, 1, 4),
        (9, 6, 0, 3),
    ]


def test_what_is_taken_already_is_in_no_paper(
    world: World, physics: Textbook, clock: FrozenClock, sign_in: SignIn
) -> None:
    from exchange.postings import services as postings

    offers, _ = postings.offers_of(world.donor_school.id)
    requests, _ = postings.requests_of(world.recipient_school.id)
    with unit_of_work():
        postings.reserve(offers[0].id, 5)
        postings.reserve(offers[1].id, 2)
        postings.match(requests[0].id, 1, 4)
        postings.match(requests[0].id, 2, 1)
    assert [r["Кол-во"] for r in table_of(sheet_of(sign_in(world.donor), "/reports/surplus"))] == [3]
    missing = table_of(sheet_of(sign_in(world.recipient), "/reports/missing"))
    assert [(row["Наименование"], row["Недостаёт"]) for row in missing] == [
        ("Физика: 7-й класс: учебник, ч. 2", 2)
    ]


def test_papers_of_other_schools_are_for_the_office_only(
    world: World, physics: Textbook, sign_in: SignIn
) -> None:
    address = f"/reports/surplus?school={world.donor_school.id}"
    assert "Физика" in sign_in(world.methodist).get(address).text
    assert "Физика" in sign_in(world.accountant).get(address).text
    for person in (world.recipient, world.stranger, world.head, world.outsider):
        assert sign_in(person).get(address).status_code == 404
        assert sign_in(person).get(f"{address}&format=xlsx").status_code == 404
    assert sign_in(world.methodist).get(f"/reports/surplus?school={world.fund.id}").status_code == 404


def test_an_empty_paper_says_so(world: World, sign_in: SignIn) -> None:
    assert "Открытых излишков у школы нет" in sign_in(world.donor).get("/reports/surplus").text
    assert "Открытых заявок у школы нет" in sign_in(world.donor).get("/reports/missing").text
    assert "сводить нечего" in sign_in(world.methodist).get("/reports/consolidated").text


def test_the_district_on_one_sheet(
    world: World, physics: Textbook, clock: FrozenClock, sign_in: SignIn
) -> None:
    stock_fund(world, physics, {1: 1, 2: 2}, clock=clock)
    client = sign_in(world.methodist)
    page = client.get("/reports/consolidated").text
    for text in ("Сводная ведомость", "Дающая СОШ – 5", "Берущая СОШ – 4", "Управление образования"):
        assert text in page, text
    rows = table_of(sheet_of(client, "/reports/consolidated"))
    assert tuple(rows[0]) == rules.CONSOLIDATED_COLUMNS
    assert [
        (r["Излишек"], r["Свободно в фонде"], r["Недостаёт"], r["Закроет обмен"], r["Закроет фонд"])
        for r in rows
    ] == [(5, 1, 4, 4, 0), (5, 2, 3, 3, 0)]
    assert [row["Остаток (+) или нехватка (–)"] for row in rows] == [2, 4]
    schools = sheet_of(client, "/reports/consolidated", 1)
    assert [schools.cell(row, 1).value for row in (2, 4)] == ["Берущая СОШ", "Дающая СОШ"]
    for person in (world.donor, world.head, world.administrator):
        assert sign_in(person).get("/reports/consolidated").status_code == 403
    assert "Физика" in sign_in(world.accountant).get("/reports/consolidated").text
    assert "Физика" not in sign_in(world.outsider).get("/reports/consolidated").text


def test_small_counts_of_special_needs_are_for_the_school_and_the_methodist(
    world: World, clock: FrozenClock, sign_in: SignIn
) -> None:
    with unit_of_work():
        textbook = make_textbook("Букварь", special_needs=True)
        request_of(world, clock, textbook, copies_by_part={1: 2})
    address = f"/reports/missing?school={world.recipient_school.id}"
    for person, shown in (
        (world.recipient, 2), (world.methodist, 2), (world.accountant, "менее 3"),
    ):  # fmt: skip
        client = sign_in(person)
        assert [row["Недостаёт"] for row in table_of(sheet_of(client, address))] == [shown], person.login
        assert ("менее 3" in client.get(address).text) is (person is world.accountant)
    for person, shown in ((world.methodist, 2), (world.accountant, "менее 3")):
        (row,) = table_of(sheet_of(sign_in(person), "/reports/consolidated"))
        assert row["Недостаёт"] == shown
        assert row["Остаток (+) или нехватка (–)"] == (-2 if shown == 2 else None)


def test_the_index_leads_to_the_papers(world: World, physics: Textbook, sign_in: SignIn) -> None:
    own = sign_in(world.donor).get("/reports").text
    assert 'href="/reports/surplus"' in own
    assert "/reports/consolidated" not in own
    office = sign_in(world.methodist).get("/reports").text
    assert f"/reports/surplus?school={world.donor_school.id}" in office
    assert "Сведения: 2 строки" in office
    assert "Заявка: 1 учебник" in office
    assert "/reports/consolidated" in office
    assert sign_in(world.head).get("/reports").status_code == 403
    assert "/reports/surplus" in sign_in(world.donor).get("/offers").text
    assert "/reports/missing" in sign_in(world.recipient).get("/requests").text


@pytest.mark.parametrize("paper", ["surplus", "missing", "consolidated"])
def test_the_number_of_queries_does_not_grow(
    world: World, physics: Textbook, clock: FrozenClock, sign_in: SignIn, paper: str
) -> None:
    school: Holder = world.recipient_school if paper == "missing" else world.donor_school
    address = f"/reports/{paper}" + ("" if paper == "consolidated" else f"?school={school.id}")
    client = sign_in(world.methodist)
    client.get(address)
    with count_queries() as few:
        client.get(address)
    for number in range(12):
        with unit_of_work():
            textbook = make_textbook(f"Книга {number}")
            edition = make_edition(textbook)
            put_on_shelf(world.donor_school, edition, 9, by=world.donor, clock=clock)
            offer_of(world, clock, edition, 2)
            request_of(world, clock, textbook, copies_by_part={1: 1})
    with count_queries() as many:
        client.get(address)
    assert len(many) == len(few)
    assert len(many) <= 13
