"""Pages of write-off acts."""

from __future__ import annotations

import re

from flask.testing import FlaskClient

from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.disposals import services
from exchange.disposals.models import WriteOffAct
from exchange.disposals.rules import ActState
from exchange.ledger import services as ledger
from exchange.ledger.rules import Line, WriteOffReason
from exchange.stock import services as stock
from exchange.stock.rules import Condition
from tests.conftest import SignIn
from tests.counting import count_queries
from tests.counting_world import edition_of, own
from tests.factories import World, make_textbook, put_on_shelf

FRAGMENT = {"HX-Request": "true"}
PAPER = {"number": "3", "signed_on": "14.09.2026", "commission": "Петрова П. П., завуч\nСидорова С. С."}


def on_shelf(world: World, clock: FrozenClock, copies: int, title: str = "Математика"):
    book = make_textbook(title, subject=title)
    put_on_shelf(world.donor_school, book, copies, by=world.donor, clock=clock)
    return edition_of(book)


def draft(world: World, clock: FrozenClock, edition, copies: int = 3) -> WriteOffAct:
    with unit_of_work():
        act = services.draft_for(world.donor_school, by=world.donor, clock=clock)
        services.add_line(act.id, edition.id, WriteOffReason.WORN, copies, by=world.donor, clock=clock)
    return act


def version(client: FlaskClient, act: WriteOffAct) -> str:
    found = re.search(r'name="_version" value="(\d+)"', client.get(f"/disposals/{act.id}").text)
    assert found
    return found[1]


def test_an_act_from_the_first_tap_to_the_paper(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    edition = on_shelf(world, clock, 12)
    with unit_of_work():
        stock.set_note(
            holder=world.donor_school,
            edition=edition,
            condition=Condition.FAIR,
            worn=4,
            by=world.donor,
            clock=clock,
        )
    client = sign_in(world.donor)
    assert "ещё не было" in client.get("/disposals").text
    url = client.post("/disposals/begin").location
    act_id = int(url.rpartition("/")[2])
    assert client.post("/disposals/begin").location == url
    page = client.get(url).text
    assert "Ветхость: 4 экземпляра" in page
    assert "Провести акт" not in page
    answer = client.post(f"{url}/suggested", data={"reason": "worn"}, follow_redirects=True)
    assert "добавлена 1 строка" in answer.text
    answer = client.post(f"{url}/save", data={"number": "3", "signed_on": "завтра", "commission": "Петрова"})
    assert answer.status_code == 422
    assert 'value="завтра"' in answer.text
    assert "Петрова" in answer.text
    assert client.post(f"{url}/save", data={"number": "3"}).status_code == 303
    act = db.session.get_one(WriteOffAct, act_id)
    assert "проект, ещё не проведён" in client.get(f"{url}/paper").text
    answer = client.post(f"{url}/post", data={**PAPER, "commission": ""}, headers=FRAGMENT)
    assert answer.status_code == 422
    assert "Назовите членов комиссии" in answer.text
    assert "<!doctype" not in answer.text
    answer = client.post(f"{url}/post", data={**PAPER, "_version": version(client, act)}, headers=FRAGMENT)
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, url)
    assert own(world.donor_school, edition) == 8
    page = client.get(url).text
    assert "больше не меняется" in page
    assert "<form" not in re.search(r"<main.*?</main>", page, re.S)[0]
    paper = client.get(f"{url}/paper").text
    for words in (
        "УТВЕРЖДАЮ", "Акт № 3 на списание", "14.09.2026", "председатель: Петрова П. П., завуч",
        "Сидорова С. С.", "Ветхость", "Данные для бухгалтерии", "4 экземпляра", "ИНН",
    ):  # fmt: skip
        assert words in paper, words
    assert "проект" not in paper
    assert "акт № 3 от 14.09.2026" in client.get(f"/shelf/history?edition={edition.id}").text
    assert client.post(f"{url}/post", data=PAPER).status_code == 409
    assert "Математика" in client.get(f"{url}?format=csv").get_data(as_text=True)


def test_lines_are_changed_in_place(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    edition = on_shelf(world, clock, 12)
    act = draft(world, clock, edition)
    client, line = sign_in(world.donor), act.lines[0].id
    url = f"/disposals/lines/{line}"
    seen = version(client, act)
    answer = client.post(url, data={"copies": "5", "reason": "lost", "_version": seen}, headers=FRAGMENT)
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith('<div id="lines">')
    # The form above learns the new version, so that it can be sent without reloading.
    assert f'form="paper" name="_version" value="{int(seen) + 1}"' in answer.text
    stale = client.post(url, data={"copies": "4", "reason": "lost", "_version": seen}, headers=FRAGMENT)
    assert stale.status_code == 409
    for typed in ("много", "", "13", "0"):
        answer = client.post(url, data={"copies": typed, "reason": "lost"}, headers=FRAGMENT)
        assert answer.status_code == 422
        assert f'name="copies" value="{typed}"' in answer.text
        assert 'role="alert"' in answer.text
    assert client.get(url).location == f"/disposals/{act.id}"
    assert client.post(f"{url}/remove", data={}).status_code == 303
    assert db.session.get_one(WriteOffAct, act.id, populate_existing=True).lines == []


def test_books_are_looked_for_on_the_shelf(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    edition = on_shelf(world, clock, 12)
    on_shelf(world, clock, 5, "Физика")
    client = sign_in(world.donor)
    assert "Списывать пока нечего" in client.get("/disposals/add").text
    found = client.get("/disposals/add?q=физика", headers=FRAGMENT).text
    assert "Физика" in found
    assert "Математика" not in found
    # From the page of a book on the shelf.
    history = client.get(f"/shelf/history?edition={edition.id}").text
    link = re.search(r'href="(/disposals/add[^"]+)"', history)[1].replace("&amp;", "&")
    assert "Математика" in client.get(link).text
    sent = {"holder": world.donor_school.id, "edition": edition.id, "owner": world.donor_school.id}
    wrong = client.post("/disposals/add?q=мат", data={**sent, "copies": "13", "reason": "worn"})
    assert wrong.status_code == 422
    assert "только 12" in wrong.text
    assert 'value="13"' in wrong.text
    answer = client.post("/disposals/add?q=мат", data={**sent, "copies": "2", "reason": "worn"})
    assert answer.status_code == 303
    assert "в акте 2" in client.get(answer.location).text
    other = {**sent, "holder": world.recipient_school.id}
    assert client.post("/disposals/add", data={**other, "copies": "2", "reason": "worn"}).status_code == 404
    assert sign_in(world.donor_director).get("/disposals/add").status_code == 403


def test_what_does_not_fit_is_said_at_its_line(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    good, promised = on_shelf(world, clock, 12), on_shelf(world, clock, 6, "Физика")
    act = draft(world, clock, good)
    draft(world, clock, promised, 5)
    school = world.donor_school
    with unit_of_work():
        ledger.promise([Line(promised.id, school.id, school.id, 4)])
    client = sign_in(world.donor)
    answer = client.post(f"/disposals/{act.id}/post", data=PAPER)
    assert answer.status_code == 422
    assert "исправьте отмеченные строки" in answer.text
    assert answer.text.count("Обещано другим школам: 4") == 1
    assert 'value="3"' in answer.text
    assert "Сидорова" in answer.text
    assert own(school, good) == 12
    assert db.session.get_one(WriteOffAct, act.id, populate_existing=True).state is ActState.DRAFT


def test_lists_of_acts(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    act = draft(world, clock, on_shelf(world, clock, 12))
    client, methodist = sign_in(world.donor), sign_in(world.methodist)
    assert f"/disposals/{act.id}" in client.get("/disposals").text
    assert f"/disposals/{act.id}" in methodist.get(f"/disposals?school={world.donor_school.id}").text
    assert "Таких актов нет" in methodist.get(f"/disposals?school={world.recipient_school.id}").text
    assert "Таких актов нет" in client.get("/disposals?state=posted", headers=FRAGMENT).text
    assert f"/disposals/{act.id}" not in sign_in(world.recipient).get("/disposals").text
    assert "черновик" in methodist.get("/disposals?format=csv").get_data(as_text=True)
    assert sign_in(world.recipient).get(f"/disposals/{act.id}").status_code == 404
    assert sign_in(world.head).get("/disposals").status_code == 403
    # The fund's acts are the methodist's.
    answer = methodist.post("/disposals/begin", data={"holder": world.fund.id})
    assert "Районный" in methodist.get(answer.location).text or "ОРФ" in methodist.get(answer.location).text
    assert methodist.post("/disposals/begin", data={"holder": world.donor_school.id}).status_code == 403
    discarded = client.post(f"/disposals/{act.id}/discard", data={"_version": version(client, act)})
    assert discarded.status_code == 303
    assert "отменён" in client.get("/disposals").text


def test_an_act_asks_few_questions(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    act = draft(world, clock, on_shelf(world, clock, 12))
    client = sign_in(world.donor)

    def queries(url: str) -> int:
        with count_queries() as asked:
            assert client.get(url).status_code == 200
        return len(asked)

    urls = (f"/disposals/{act.id}", "/disposals", f"/disposals/{act.id}/paper", "/disposals/add?why=worn")
    few = [queries(url) for url in urls]
    for number in range(6):
        draft(world, clock, on_shelf(world, clock, 12, f"Книга {number}"))
    assert [queries(url) for url in urls] == few
    assert max(few) <= 8, few
