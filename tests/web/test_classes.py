"""Pages of classes and enrolment."""

from __future__ import annotations

import re

from exchange.classes import services
from exchange.clock import FrozenClock
from tests.conftest import SignIn
from tests.factories import World

FRAGMENT = {"HX-Request": "true"}


def test_enrolment(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    client = sign_in(world.deputy)
    assert "Контингент" in client.get("/enrolment").text
    answer = client.post("/enrolment", data={"grade-1": "20", "grade-2": "много"}, headers=FRAGMENT)
    assert answer.status_code == 422
    assert 'value="20"' in answer.text
    assert 'value="много"' in answer.text
    answer = client.post("/enrolment", data={"grade-1": "20", "grade-2": "9999"})
    assert answer.status_code == 422
    assert "от 0 до 2000" in answer.text
    assert client.post("/enrolment", data={"grade-1": "20"}).status_code == 303
    assert services.enrolment(world.recipient_school.id, 2026) == {1: 20}
    next_year = client.get("/enrolment?year=2027").text
    assert "2027/28" in next_year
    # Last year's first form is next year's second.
    assert re.search(r'2 класс.*?<td class="num">20</td>', next_year, re.S)
    url = f"/enrolment?school={world.recipient_school.id}"
    assert 'name="grade-1"' not in sign_in(world.methodist).get(url).text
    assert sign_in(world.methodist).post(url, data={"grade-1": "1"}).status_code == 403
    assert sign_in(world.recipient_director).post("/enrolment", data={"grade-1": "1"}).status_code == 403
    assert sign_in(world.donor).post(url, data={"grade-1": "1"}).status_code == 404
    assert sign_in(world.methodist).get("/enrolment").status_code == 404
    assert sign_in(world.methodist).get(f"/enrolment?school={world.fund.id}").status_code == 404
