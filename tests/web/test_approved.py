"""Pages of the approved lists."""

from __future__ import annotations

import csv
import io
import re
from datetime import date

from flask.testing import FlaskClient
from openpyxl import load_workbook

from exchange.approved import services
from exchange.approved.models import ApprovedList
from exchange.approved.rules import ListState, Use
from exchange.catalog.models import Textbook
from exchange.catalog.rules import SchoolYear
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from tests.conftest import SignIn
from tests.counting import count_queries
from tests.factories import World, enrol, make_textbook, put_on_shelf

FRAGMENT = {"HX-Request": "true"}


def listed(world: World, clock: FrozenClock, *lines: tuple[Textbook, int], pupils: int | None = None) -> int:
    with unit_of_work():
        services.add_uses(
            school=world.recipient_school,
            school_year=2026,
            uses=[Use(grade, "", book.id, book.subject, pupils) for book, grade in lines],
            by=world.recipient,
            clock=clock,
        )
    found = services.list_of(world.recipient_school, SchoolYear(2026))
    assert found
    return found.id


def version(list_id: int) -> int:
    db.session.rollback()
    return db.session.get_one(ApprovedList, list_id).version


def physics() -> Textbook:
    return make_textbook("Физика", subject="Физика", grades=(8, 8), authors="Перышкин И.М.; Иванов А.И.")


def test_proposals_are_accepted_one_by_one_or_all(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    enrol(world.recipient_school, {1: 20, 8: 12}, by=world.deputy, clock=clock)
    for book in (make_textbook(), physics()):
        put_on_shelf(world.recipient_school, book, 15, by=world.recipient, clock=clock)
    client = sign_in(world.deputy)
    text = client.get("/approved").text
    assert "Принять все предложения: 2" in text
    assert "15 комплектов" in text
    assert "Музыка" in text
    line = re.search(r'name="line" value="(8:[^"]*)"', text)
    assert line
    answer = client.post("/approved/accept", data={"line": line[1]}, headers=FRAGMENT)
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith('<div id="approved">')
    assert "В перечень внесён 1 учебник." in answer.text
    assert "Принять 1 предложение" in answer.text
    stale = client.post("/approved/accept", data={"line": line[1]})
    assert stale.status_code == 409
    assert client.post("/approved/accept", data={}).status_code == 409, "no button, no line"
    assert client.post("/approved/accept", data={"all": "1"}).status_code == 303
    assert "Принять" not in client.get("/approved").text.replace("Принять к", "")
    assert "Изменить" not in sign_in(world.recipient_director).get("/approved").text


def test_a_textbook_is_searched_for_and_taken_in(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    enrol(world.recipient_school, {8: 12}, by=world.deputy, clock=clock)
    book = physics()
    client = sign_in(world.deputy)
    assert "Перышкин" in client.get("/approved/add?grade=8&course=Физика").text
    assert "Перышкин" in client.get("/approved/add?grade=8&q=перышкин").text
    assert "Перышкин" not in client.get("/approved/add?grade=7&course=Физика").text
    typed = {"textbook": str(book.id), "letter": "", "pupils": "13"}
    answer = client.post("/approved/add?grade=8&course=Физика", data=typed, headers=FRAGMENT)
    assert answer.status_code == 422
    assert 'value="13"' in answer.text
    assert "только 12" in answer.text
    answer = client.post("/approved/add?grade=8", data={**typed, "textbook": "999999"})
    assert answer.status_code == 422
    assert client.post("/approved/add?grade=8", data={**typed, "pupils": "5"}).status_code == 303
    found = services.list_of(world.recipient_school, SchoolYear(2026))
    assert found
    assert [(use.grade, use.pupils) for use in found.uses] == [(8, 5)]


def test_a_line_is_changed_and_removed(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    enrol(world.recipient_school, {8: 12}, by=world.deputy, clock=clock)
    book = physics()
    list_id = listed(world, clock, (book, 8))
    line = db.session.get_one(ApprovedList, list_id).uses[0].id
    client = sign_in(world.deputy)
    url = f"/approved/lines/{line}"
    assert "выбран" in client.get(url).text
    seen = version(list_id)
    assert client.post(url, data={"letter": "Я", "pupils": ""}).status_code == 422
    assert client.post(url, data={"letter": "", "pupils": "7", "_version": str(seen)}).status_code == 303
    answer = client.post(url, data={"letter": "", "pupils": "8", "_version": str(seen)})
    assert answer.status_code == 409
    assert client.post(f"{url}/remove", data={"_version": str(seen)}).status_code == 409
    assert client.post(f"{url}/remove", data={"_version": str(version(list_id))}).status_code == 303
    assert client.get(url).status_code == 404
    assert sign_in(world.donor).get(url).status_code == 404


def test_the_way_from_the_draft_to_paper_and_back(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    list_id = listed(world, clock, (physics(), 8))
    url = f"/approved/{list_id}"

    def post(client: FlaskClient, step: str, **form: str) -> int:
        data = {"_version": str(version(list_id)), **form}
        return client.post(f"{url}/{step}", data=data).status_code

    deputy, director = sign_in(world.deputy), sign_in(world.recipient_director)
    assert "Отправить на проверку" in sign_in(world.recipient).get(url).text
    assert post(sign_in(world.recipient), "submit") == 303
    assert post(director, "approve") == 409
    assert post(deputy, "approve") == 403
    assert post(deputy, "check") == 303
    assert "ещё не утверждён" in deputy.get(f"{url}/print").text
    assert post(director, "approve") == 303
    text = director.get(f"{url}/print").text
    for words in ("УТВЕРЖДАЮ", "2026/27 учебном году", "Перышкин", "1.1.", "(858)", "до 31.08.2035"):
        assert words in text
    assert "ещё не утверждён" not in text
    refused = director.post(f"{url}/send-back", data={"reason": ""}, headers=FRAGMENT)
    assert refused.status_code == 422
    assert "Напишите, что нужно изменить" in refused.text
    assert post(sign_in(world.recipient), "send-back", reason="Ещё одна") == 403
    assert post(director, "send-back", reason="Ещё одна") == 303
    assert db.session.get_one(ApprovedList, list_id).state is ListState.DRAFT
    assert "Ещё одна" in deputy.get(url).text


def test_a_list_with_an_unlawful_book_is_not_signed(
    world: World, sign_in: SignIn, clock: FrozenClock
) -> None:
    gone = make_textbook("Физика", grades=(8, 8), appendix=2, valid_until=date(2026, 8, 31))
    list_id = listed(world, clock, (gone, 8))
    client = sign_in(world.deputy)
    assert "Перечень нельзя утвердить" in client.get("/approved").text
    answer = client.post(f"/approved/{list_id}/check", data={})
    assert answer.status_code == 422
    assert "«Физика», 8" in answer.text


def test_the_office_sees_all_lists(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    enrol(world.recipient_school, {8: 12}, by=world.deputy, clock=clock)
    special = make_textbook("Физика", grades=(8, 8), special_needs=True)
    list_id = listed(world, clock, (special, 8), pupils=2)
    client = sign_in(world.methodist)
    text = client.get("/approved").text
    assert world.recipient_school.short_name in text
    assert "черновик" in text
    assert "не начат" in text
    rows = list(
        csv.reader(io.StringIO(client.get("/approved?format=csv").data.decode("utf-8-sig")), delimiter=";")
    )
    assert [row[1] for row in rows if row[0] == world.recipient_school.short_name] == ["черновик"]
    few = re.compile(r'<td class="num" data-label="Учеников">2</td>')
    assert few.search(client.get(f"/approved/{list_id}").text)
    assert not few.search(sign_in(world.accountant).get(f"/approved/{list_id}").text)
    assert sign_in(world.head).get("/approved").status_code == 404
    assert sign_in(world.donor).get(f"/approved/{list_id}").status_code == 404
    assert sign_in(world.donor).get(f"/approved?school={world.recipient_school.id}").status_code == 404


def test_a_list_as_a_file(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    enrol(world.recipient_school, {8: 12}, by=world.deputy, clock=clock)
    listed(world, clock, (physics(), 8))
    answer = sign_in(world.deputy).get("/approved?format=xlsx")
    sheet = load_workbook(io.BytesIO(answer.data)).active
    header, row = list(sheet.iter_rows(values_only=True))
    values = dict(zip(header, row, strict=True))
    assert (values["Предмет"], values["Класс"], values["Учеников"]) == ("Физика", "8", 12)


def test_few_queries_however_long_the_list(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    enrol(world.recipient_school, {8: 12}, by=world.deputy, clock=clock)
    client = sign_in(world.deputy)
    listed(world, clock, (physics(), 8))
    with count_queries() as few:
        client.get("/approved")
    for number in range(20):
        listed(world, clock, (make_textbook(f"Книга {number}", grades=(8, 8)), 8))
    with count_queries() as many:
        client.get("/approved")
    assert len(many) == len(few) <= 12
