"""Pages of classes and enrolment."""

from __future__ import annotations

import io
import re

from exchange.classes import services
from exchange.classes.rules import Group
from exchange.clock import FrozenClock
from exchange.db import unit_of_work
from tests.conftest import SignIn
from tests.factories import World

FRAGMENT = {"HX-Request": "true"}


def put(world: World, clock: FrozenClock, year: int, *groups: Group) -> None:
    with unit_of_work():
        services.set_groups(
            school=world.recipient_school, school_year=year, groups=groups, by=world.deputy, clock=clock
        )


def seen(text: str) -> str:
    found = re.search(r'name="seen" value="([^"]*)"', text)
    assert found
    return found[1]


def test_numbers_are_stored_and_refused_ones_stay(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.deputy)
    assert "Контингент" in client.get("/enrolment", follow_redirects=True).text
    typed = {"pupils-1-0": "20", "pupils-2-0": "много", "seen": ""}
    answer = client.post("/classes", data=typed, headers=FRAGMENT)
    assert answer.status_code == 422
    assert 'value="20"' in answer.text
    assert 'value="много"' in answer.text
    assert "<html" not in answer.text
    answer = client.post("/classes", data={**typed, "pupils-2-0": "9999"})
    assert answer.status_code == 422
    assert "от 0 до 2000" in answer.text
    typed = {"letter-5-0": "а", "pupils-5-0": "24", "letter-5-1": "Б", "pupils-5-1": "22", "seen": ""}
    assert client.post("/classes", data=typed).status_code == 303
    found = services.groups([world.recipient_school.id], 2026)[world.recipient_school.id]
    assert found == [Group(5, "А", 24), Group(5, "Б", 22)]
    text = client.get("/classes").text
    assert 'name="letter-5-2"' in text
    assert "46" in text
    assert "5А: – → 24, 5Б: – → 22" in text


def test_groups_without_a_letter_beside_others_are_refused_at_the_grade(
    world: World, sign_in: SignIn
) -> None:
    typed = {"pupils-5-0": "24", "letter-5-1": "Б", "pupils-5-1": "22"}
    answer = sign_in(world.deputy).post("/classes", data=typed)
    assert answer.status_code == 422
    assert 'href="#pupils-5-0"' in answer.text
    assert services.groups([world.recipient_school.id], 2026) == {world.recipient_school.id: []}


def test_a_page_that_was_open_too_long_stores_nothing(
    world: World, sign_in: SignIn, clock: FrozenClock
) -> None:
    client = sign_in(world.deputy)
    opened = seen(client.get("/classes").text)
    put(world, clock, 2026, Group(1, "", 20))
    answer = client.post("/classes", data={"pupils-1-0": "30", "seen": opened})
    assert answer.status_code == 409
    assert "1 – 20" in answer.text
    assert services.enrolment(world.recipient_school.id, 2026) == {1: 20}


def test_moving_up_fills_the_form_and_stores_nothing(
    world: World, sign_in: SignIn, clock: FrozenClock
) -> None:
    put(world, clock, 2026, Group(1, "", 20), Group(5, "А", 24), Group(9, "", 18), Group(11, "", 7))
    client = sign_in(world.deputy)
    assert "Перевести классы" in client.get("/classes?year=2027").text
    text = client.get("/classes?year=2027&fill=moved").text
    assert re.search(r'id="letter-6-0"[^>]*value="А"', text)
    assert re.search(r'id="pupils-2-0"[^>]*value="20"', text)
    assert re.search(r'id="pupils-10-0"[^>]*value=""', text)
    assert services.enrolment(world.recipient_school.id, 2027) == {}
    assert sign_in(world.recipient_director).get("/classes?year=2027&fill=moved").status_code == 403


def test_a_grade_is_split_and_joined_in_the_form_only(
    world: World, sign_in: SignIn, clock: FrozenClock
) -> None:
    put(world, clock, 2026, Group(5, "", 47))
    client = sign_in(world.deputy)
    answer = client.post("/classes", data={"pupils-5-0": "47", "do": "split-5"}, headers=FRAGMENT)
    assert answer.status_code == 200
    assert re.search(r'id="pupils-5-0"[^>]*value="24"', answer.text)
    assert re.search(r'id="pupils-5-1"[^>]*value="23"', answer.text)
    assert "<span data-total>47</span>" in answer.text
    assert seen(answer.text) == "5 – 47"
    typed = {"letter-5-0": "А", "pupils-5-0": "24", "letter-5-1": "Б", "pupils-5-1": "23", "do": "join-5"}
    answer = client.post("/classes", data=typed, headers=FRAGMENT)
    assert re.search(r'id="pupils-5-0"[^>]*value="47"', answer.text)
    assert services.groups([world.recipient_school.id], 2026)[world.recipient_school.id] == [Group(5, "", 47)]


def test_who_may_see_and_change(world: World, sign_in: SignIn) -> None:
    url = f"/classes?school={world.recipient_school.id}"
    assert 'name="pupils-1-0"' not in sign_in(world.methodist).get(url).text
    assert sign_in(world.methodist).post(url, data={"pupils-1-0": "1"}).status_code == 403
    assert sign_in(world.recipient_director).post("/classes", data={"pupils-1-0": "1"}).status_code == 403
    assert sign_in(world.donor).post(url, data={"pupils-1-0": "1"}).status_code == 404
    assert sign_in(world.head).get("/classes").status_code == 404
    assert sign_in(world.methodist).get(f"/classes?school={world.fund.id}").status_code == 404


def test_a_pasted_table_fills_the_form_and_stores_nothing(
    world: World, sign_in: SignIn, clock: FrozenClock
) -> None:
    put(world, clock, 2026, Group(4, "", 20))
    client = sign_in(world.deputy)
    answer = client.post("/classes/import", data={"text": "5А\t24\n5Б\tмного\n"}, headers=FRAGMENT)
    assert answer.status_code == 200
    assert re.search(r'id="pupils-5-0"[^>]*value="24"', answer.text)
    assert re.search(r'id="pupils-4-0"[^>]*value="20"', answer.text)
    assert "Строка 2, столбец 2" in answer.text
    assert services.enrolment(world.recipient_school.id, 2026) == {4: 20}
    answer = client.post("/classes/import", data={"text": "ничего похожего"}, headers=FRAGMENT)
    assert answer.status_code == 422
    assert "ничего похожего" in answer.text
    assert client.post("/classes/import", data={"text": ""}).status_code == 422
    assert (
        sign_in(world.recipient_director).post("/classes/import", data={"text": "5А\t2"}).status_code == 403
    )


def test_a_file_fills_the_form(world: World, sign_in: SignIn) -> None:
    file = (io.BytesIO("Класс;Учеников\n5А;24\n5Б;22\n".encode("cp1251")), "контингент.csv")
    answer = sign_in(world.deputy).post("/classes/import", data={"file": file})
    assert answer.status_code == 200
    assert re.search(r'id="pupils-5-1"[^>]*value="22"', answer.text)
    broken = (io.BytesIO(b"%PDF-1.4 nothing"), "контингент.pdf")
    answer = sign_in(world.deputy).post("/classes/import", data={"file": broken})
    assert answer.status_code == 422
    assert "контингент.pdf" in answer.text


def test_the_methodist_sees_all_schools(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    put(world, clock, 2026, Group(5, "А", 24), Group(5, "Б", 23), Group(9, "", 8))
    client = sign_in(world.methodist)
    text = client.get("/classes").text
    assert f"/classes?school={world.recipient_school.id}" in text
    row = re.search(rf"/classes\?school={world.recipient_school.id}.*?</tr>", text, re.S)
    assert row
    assert re.findall(r'<td class="num"[^>]*>([^<]*)</td>', row[0]) == [
        "3", "", "", "", "", "47", "", "", "", "8", "", "", "55"
    ]  # fmt: skip
    exported = client.get("/classes?format=csv").data.decode("utf-8-sig")
    assert f"{world.recipient_school.short_name};3;0;0;0;0;47;0;0;0;8;0;0;55" in exported


def test_a_wrong_table_is_not_listed_cell_by_cell(world: World, sign_in: SignIn) -> None:
    text = "5А\t24\n" + "ZZZ\t12\n" * 500
    answer = sign_in(world.donor).post("/classes/import", data={"text": text})
    assert answer.status_code == 200
    assert "500 ячеек не прочитано" in answer.text
    assert answer.text.count("Класс не понят") == 20
