"""Pages of transfers: whole and as fragments, wrong people, wrong moments, what was typed stays."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.ledger import services as ledger
from exchange.ledger.rules import Line, MovementKind
from exchange.schools.rules import HolderKind
from exchange.transfers import services
from exchange.transfers.models import Transfer
from exchange.transfers.rules import Kind, Party, State
from tests.conftest import SignIn
from tests.factories import World
from tests.postings_world import make_edition, make_textbook, put_on_shelf
from tests.transfers_world import Deal, make_deal, walk

HTMX = {"HX-Request": "true"}


@pytest.fixture
def deal(world: World, clock: FrozenClock) -> Deal:
    with unit_of_work():
        return make_deal(world, clock)


def state_of(deal: Deal) -> State:
    db.session.rollback()
    return db.session.get_one(Transfer, deal.id).state


def form(client: FlaskClient, deal: Deal, **values: object) -> dict[str, object]:
    db.session.rollback()
    return {"_version": db.session.get_one(Transfer, deal.id).version, **values}


@pytest.mark.parametrize("kind", list(Kind))
def test_the_whole_way_by_forms(
    world: World, deal: Deal, clock: FrozenClock, sign_in: SignIn, kind: Kind
) -> None:
    if kind is Kind.LOAN:
        with unit_of_work():
            deal = make_deal(world, clock, title="Химия", kind=kind)
    line = deal.line
    steps = [
        (world.donor_director, "agree", {f"agree-agreed_{line}": "5"}, State.AGREED),
        (world.recipient, "accept", {}, State.ACCEPTED),
        (world.methodist, "approve", {}, State.APPROVED),
        (world.donor, "pack", {f"pack-packed_{line}": "5"}, State.PACKED),
        (world.donor, "ship", {}, State.SHIPPED),
        (
            world.recipient,
            "receive",
            {f"receive-good_{line}": "2", f"receive-damaged_{line}": "1"},
            State.SHIPPED,
        ),
        (
            world.recipient,
            "receive",
            {f"receive-good_{line}": "1", f"receive-missing_{line}": "1", "receive-note": "Коробка вскрыта"},
            State.DISPUTED,
        ),
        (
            world.methodist,
            "settle",
            {
                f"settle-kept_{line}": "1",
                f"settle-lost_{line}": "1",
                f"settle-bearer_{line}": "giver",
            },
            State.LENT if kind is Kind.LOAN else State.SETTLED,
        ),
    ]
    if kind is Kind.LOAN:
        steps += [
            (world.donor, "prolong", {"prolong-due_back": "20.08.2027"}, State.LENT),
            (world.donor, "return", {f"return-back_{line}": "3"}, State.LENT),
            (world.donor, "replace", {f"replace-replaced_{line}": "1"}, State.RETURNED),
        ]
    for person, step, values, after in steps:
        client = sign_in(person)
        page = client.get(f"/transfers/{deal.id}")
        assert page.status_code == 200
        assert f"/transfers/{deal.id}/{step}" in page.text
        answer = client.post(f"/transfers/{deal.id}/{step}", data=form(client, deal, **values))
        assert answer.status_code == 303, answer.text
        assert state_of(deal) is after
        assert client.get(f"/transfers/{deal.id}").status_code == 200
    assert ledger.verify() == []
    client = sign_in(world.recipient)
    act = client.get(f"/transfers/{deal.id}/act")
    assert act.status_code == 200
    assert "Акт приёма-передачи № 1" in act.text
    assert "Данные для бухгалтерии" in act.text
    assert "Коробка вскрыта" in client.get(f"/transfers/{deal.id}/discrepancy").text


def test_the_list_as_page_fragment_and_file(world: World, deal: Deal, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    whole = client.get("/transfers")
    assert "Дающая СОШ → Берущая СОШ" in whole.text
    part = client.get("/transfers?group=failed", headers=HTMX)
    assert "<html" not in part.text
    assert "Передач с такими условиями нет" in part.text
    assert client.get("/transfers?direction=in").text.count("<tr id=") == 0
    assert client.get("/transfers?format=csv").data.decode("utf-8-sig").count("Физика") == 1
    assert sign_in(world.stranger).get("/transfers").text.count("<tr id=") == 0
    assert sign_in(world.head).get("/transfers").status_code == 403


def test_who_may_see_it(world: World, deal: Deal, sign_in: SignIn) -> None:
    for person, status in (
        (world.donor, 200),
        (world.recipient_director, 200),
        (world.deputy, 200),
        (world.methodist, 200),
        (world.accountant, 200),
        (world.stranger, 404),
        (world.head, 404),
        (world.administrator, 404),
        (world.outsider, 404),
    ):
        assert sign_in(person).get(f"/transfers/{deal.id}").status_code == status, person.login
    assert sign_in(world.donor).get("/transfers/999999").status_code == 404


def test_who_may_do_it(world: World, deal: Deal, sign_in: SignIn) -> None:
    for person, status in ((world.donor, 403), (world.recipient, 403), (world.stranger, 404)):
        for headers in ({}, HTMX):
            answer = sign_in(person).post(f"/transfers/{deal.id}/agree", data={}, headers=headers)
            assert answer.status_code == status
    assert state_of(deal) is State.PROPOSED


def test_wrong_moment(world: World, deal: Deal, sign_in: SignIn) -> None:
    answer = sign_in(world.donor).post(f"/transfers/{deal.id}/ship", data={})
    assert answer.status_code == 409
    assert "предложена" in answer.text
    assert sign_in(world.donor).get(f"/transfers/{deal.id}/act").status_code == 409
    assert sign_in(world.donor).get(f"/transfers/{deal.id}/discrepancy").status_code == 409


def test_stale_says_what_happened(world: World, deal: Deal, clock: FrozenClock, sign_in: SignIn) -> None:
    client = sign_in(world.recipient)
    seen = deal.transfer.version
    with unit_of_work():
        services.agree(deal.id, {}, by=world.donor_director, clock=clock)
    answer = client.post(f"/transfers/{deal.id}/withdraw", data={"_version": seen}, headers=HTMX)
    assert answer.status_code == 409
    assert answer.headers["HX-Retarget"] == "#notices"
    assert "Отдающая сторона согласна: 5 экз. из 5" in answer.text
    assert "Donor-Director Тестовый, 14.09.2026 10:00" in answer.text


def test_invalid_keeps_what_was_typed(world: World, deal: Deal, sign_in: SignIn) -> None:
    client = sign_in(world.donor_director)
    for typed in ("много", "6"):
        answer = client.post(
            f"/transfers/{deal.id}/agree",
            data=form(client, deal, **{f"agree-agreed_{deal.line}": typed}),
            headers=HTMX,
        )
        assert answer.status_code == 422
        assert "<html" not in answer.text
        assert f'id="step-{deal.id}"' in answer.text
        assert f'value="{typed}"' in answer.text
        assert 'id="errors"' in answer.text
    answer = client.post(
        f"/transfers/{deal.id}/decline",
        data=form(client, deal, **{"decline-reason": "other", "decline-remark": ""}),
    )
    assert answer.status_code == 422
    assert "<html" in answer.text
    assert "Напишите причину" in answer.text
    answer = client.post(
        f"/transfers/{deal.id}/decline",
        data=form(client, deal, **{"decline-reason": "needed", "decline-remark": "для второй смены"}),
        headers=HTMX,
    )
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == f"/transfers/{deal.id}"
    assert state_of(deal) is State.DECLINED


def test_receipt_keeps_what_was_typed(world: World, deal: Deal, clock: FrozenClock, sign_in: SignIn) -> None:
    with unit_of_work():
        walk(deal, world, clock, State.SHIPPED)
    client = sign_in(world.recipient)
    assert 'value="5"' in client.get(f"/transfers/{deal.id}").text
    answer = client.post(
        f"/transfers/{deal.id}/receive",
        data=form(
            client,
            deal,
            **{
                f"receive-good_{deal.line}": "4",
                f"receive-damaged_{deal.line}": "3",
                "receive-note": "см. фото",
            },
        ),
    )
    assert answer.status_code == 422
    assert "см. фото" in answer.text
    assert "Записано 7 экз., а в пути 5" in answer.text


def test_a_double_click_is_one_step(world: World, deal: Deal, sign_in: SignIn) -> None:
    client = sign_in(world.donor_director)
    data = form(client, deal, _key="k" * 20, **{f"agree-agreed_{deal.line}": "3"})
    first = client.post(f"/transfers/{deal.id}/agree", data=data)
    second = client.post(f"/transfers/{deal.id}/agree", data=data)
    assert first.status_code == second.status_code == 303
    assert state_of(deal) is State.AGREED
    assert db.session.get_one(Transfer, deal.id).lines[0].agreed == 3


def test_waiting_and_its_counter(world: World, deal: Deal, clock: FrozenClock, sign_in: SignIn) -> None:
    director = sign_in(world.donor_director)
    page = director.get("/waiting")
    assert "Согласиться отдать" in page.text
    assert '<span id="waiting-count" class="badge">1</span>' in page.text
    assert "Сейчас от вас ничего не ждут" in sign_in(world.recipient).get("/waiting").text
    with unit_of_work():
        walk(deal, world, clock, State.ACCEPTED)
        other = make_deal(world, clock, title="Химия")
        walk(other, world, clock, State.ACCEPTED)
    methodist = sign_in(world.methodist)
    assert methodist.get("/waiting").text.count('type="checkbox"') == 2
    assert sign_in(world.donor).post("/transfers/approve", data={"id": deal.id}).status_code == 403
    assert methodist.post("/transfers/approve", data={}).status_code == 422
    answer = methodist.post("/transfers/approve", data={"id": [deal.id, other.id]})
    assert answer.status_code == 303
    assert "Утверждено передач: 2" in methodist.get("/waiting").text or "2" in methodist.get("/waiting").text
    assert state_of(deal) is state_of(other) is State.APPROVED
    donor = sign_in(world.donor)
    assert donor.get("/waiting").text.count("Книги собраны") >= 2


def test_a_step_from_the_waiting_list(world: World, deal: Deal, clock: FrozenClock, sign_in: SignIn) -> None:
    with unit_of_work():
        walk(deal, world, clock, State.AGREED)
    client = sign_in(world.recipient)
    assert f"/transfers/{deal.id}/accept" in client.get("/waiting").text
    answer = client.post(f"/transfers/{deal.id}/accept", data=form(client, deal, _back="/waiting"))
    assert answer.status_code == 303
    assert answer.location == "/waiting"


def test_ask_a_school(world: World, deal: Deal, clock: FrozenClock, sign_in: SignIn) -> None:
    with unit_of_work():
        services.withdraw(deal.id, by=world.recipient, clock=clock)
    client = sign_in(world.recipient)
    url = f"/transfers/ask?offer={deal.offer.id}"
    assert "Физика" in client.get(url).text
    assert "<html" not in client.post(url, data={"copies": "x"}, headers=HTMX).text
    refused = client.post(url, data={"copies": "50", "note": "очень нужно"})
    assert refused.status_code == 422
    assert "очень нужно" in refused.text
    answer = client.post(url, data={"copies": "2"})
    assert answer.status_code == 303
    db.session.rollback()
    line = db.session.get_one(Transfer, int(answer.location.rsplit("/", 1)[1])).lines[0]
    assert (line.asked, line.request_id) == (2, deal.request.id)
    assert sign_in(world.recipient_director).get(url).status_code == 403
    assert sign_in(world.donor).get(url).status_code == 403
    assert sign_in(world.outsider).get(url).status_code == 404
    assert client.get("/transfers/ask").status_code == 404


def test_ask_the_fund(world: World, clock: FrozenClock, sign_in: SignIn) -> None:
    with unit_of_work():
        edition = make_edition(make_textbook("Биология"))
        put_on_shelf(world.fund, edition, 3, by=world.methodist, clock=clock)
        # Two copies that stand in the fund but are on a school's balance.
        source = ledger.technical(world.district.id, HolderKind.SOURCE)
        ledger.post(
            MovementKind.ACQUISITION,
            [
                Line(edition.id, source, source, -2),
                Line(edition.id, world.stranger_school.id, world.fund.id, 2),
            ],
            by=world.methodist,
            clock=clock,
            district_id=world.district.id,
        )
    client = sign_in(world.recipient)
    url = f"/transfers/ask?fund={world.fund.id}&edition={edition.id}"
    assert "Свободно: 5 экз." in client.get(url).text
    assert client.post(url, data={"copies": "6", "kind": "loan"}).status_code == 422
    answer = client.post(url, data={"copies": "4", "kind": "loan"})
    assert answer.status_code == 303
    db.session.rollback()
    transfer = db.session.get_one(Transfer, int(answer.location.rsplit("/", 1)[1]))
    assert [(line.owner_id, line.asked) for line in transfer.lines] == [
        (world.fund.id, 3),
        (world.stranger_school.id, 1),
    ]
    assert transfer.proposed_by is Party.TAKER
    assert transfer.due_back is not None
    assert "Согласиться отдать" in sign_in(world.methodist).get("/waiting").text
