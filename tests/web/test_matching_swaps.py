"""Swaps on their page and on a transfer: shown, approved together or not at all, again and at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from exchange.clock import FrozenClock
from exchange.db import db, in_unit, unit_of_work
from exchange.matching.models import Plan
from exchange.schools.models import User
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer
from exchange.transfers.rules import DeclineReason, State
from exchange.web.unit import Portal
from tests.conftest import SignIn
from tests.counting import count_queries
from tests.factories import World
from tests.plans_world import Town
from tests.services.test_race import race

HTMX = {"HX-Request": "true"}


@pytest.fixture
def town(world: World, clock: FrozenClock) -> Town:
    return Town(world, clock)


@pytest.fixture
def plan(town: Town) -> Plan:
    """The donor gives 14 of physics and gets 9 of chemistry; the third school only gets."""
    world = town.world
    physics, chemistry, music = town.book("Физика"), town.book("Химия"), town.book("Музыка")
    town.surplus(physics, 14)
    town.need(physics, 14)
    town.surplus(chemistry, 9, school=world.recipient_school)
    town.need(chemistry, 9, school=world.donor_school)
    town.surplus(music, 5)
    town.need(music, 5, school=world.stranger_school)
    return town.plan()


def directors(world: World) -> dict[int, User]:
    return {
        world.donor_school.id: world.donor_director,
        world.recipient_school.id: world.recipient_director,
    }


def swapped(plan: Plan, world: World) -> list[Transfer]:
    """Return the transfers of the swap."""
    schools = [world.donor_school.id, world.recipient_school.id]
    return list(
        db.session.scalars(
            sa.select(Transfer)
            .where(
                Transfer.plan_id == plan.id, Transfer.giver_id.in_(schools), Transfer.taker_id.in_(schools)
            )
            .order_by(Transfer.id)
            .execution_options(populate_existing=True)
        )
    )


def agree(transfer: Transfer, town: Town) -> None:
    with unit_of_work():
        transfers.agree(transfer.id, {}, by=directors(town.world)[transfer.giver_id], clock=town.clock)


def accept(transfer: Transfer, town: Town) -> None:
    with unit_of_work():
        transfers.accept(transfer.id, by=directors(town.world)[transfer.taker_id], clock=town.clock)


@pytest.fixture
def agreed(plan: Plan, town: Town) -> Plan:
    """The plan, published, both schools of the swap in agreement."""
    town.publish(plan)
    for transfer in swapped(plan, town.world):
        agree(transfer, town)
        accept(transfer, town)
    return plan


def address_of(plan: Plan, world: World) -> str:
    return f"/plans/{plan.id}/swaps/{world.donor_school.id}/approve"


def shown(text: str) -> list[str]:
    return re.findall(r'name="transfer" value="(\d+)"', text)


def test_a_draft_shows_who_gives_and_gets(plan: Plan, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    page = client.get(f"/plans/{plan.id}/swaps")
    assert page.status_code == 200
    assert f'id="swap-{world.donor_school.id}"' in page.text
    rows = re.findall(r"<strong>([^<]+)</strong></td>\s*<td[^>]*>(\d+)</td>\s*<td[^>]*>(\d+)</td>", page.text)
    assert rows == [("Дающая СОШ", "14", "9"), ("Берущая СОШ", "9", "14")]
    assert "Утвердить весь обмен" not in page.text
    assert f'href="/plans/{plan.id}/swaps"' in client.get(f"/plans/{plan.id}").text
    answer = client.post(address_of(plan, world))
    assert answer.status_code == 409
    assert "Сначала опубликуйте" in answer.text


def test_lines_taken_out_are_no_swap(plan: Plan, town: Town, sign_in: SignIn) -> None:
    line = next(line for line in plan.lines if line.giver_id == town.world.recipient_school.id)
    town.mark(line, "remove")
    page = sign_in(town.world.methodist).get(f"/plans/{plan.id}/swaps")
    assert "В этом плане обменов нет" in page.text


def test_the_whole_swap_is_approved_and_nothing_else(agreed: Plan, town: Town, sign_in: SignIn) -> None:
    world = town.world
    client = sign_in(world.methodist)
    page = client.get(f"/plans/{agreed.id}/swaps")
    form = {"transfer": shown(page.text)}
    assert form["transfer"] == [str(transfer.id) for transfer in swapped(agreed, world)]
    answer = client.post(address_of(agreed, world), data=form)
    assert (answer.status_code, answer.location) == (303, f"/plans/{agreed.id}/swaps")
    assert {transfer.state for transfer in swapped(agreed, world)} == {State.APPROVED}
    assert sorted(transfer.act_number or 0 for transfer in swapped(agreed, world)) == [1, 2]
    other = db.session.scalars(
        sa.select(Transfer.state).where(Transfer.taker_id == world.stranger_school.id)
    ).all()
    assert other == [State.PROPOSED]
    page = client.get(f"/plans/{agreed.id}/swaps")
    assert "Обмен утверждён: 2 передачи." in page.text
    assert "обмен утверждён" in page.text


def test_approving_again_changes_nothing(agreed: Plan, town: Town, sign_in: SignIn) -> None:
    client = sign_in(town.world.methodist)
    form = {"transfer": [str(transfer.id) for transfer in swapped(agreed, town.world)]}
    assert client.post(address_of(agreed, town.world), data=form, headers=HTMX).status_code == 204
    numbers = [(transfer.act_number, transfer.version) for transfer in swapped(agreed, town.world)]
    assert client.post(address_of(agreed, town.world), data=form).status_code == 303
    assert "Этот обмен уже утверждён" in client.get(f"/plans/{agreed.id}/swaps").text
    assert [(t.act_number, t.version) for t in swapped(agreed, town.world)] == numbers


@pytest.mark.parametrize("answers", [0, 1])
def test_one_that_is_not_ready_keeps_all_back(plan: Plan, town: Town, sign_in: SignIn, answers: int) -> None:
    town.publish(plan)
    ready, late = swapped(plan, town.world)
    agree(ready, town)
    accept(ready, town)
    if answers:
        agree(late, town)
    client = sign_in(town.world.methodist)
    page = client.get(f"/plans/{plan.id}/swaps")
    assert f"школы ещё не согласились: № {late.id}." in page.text
    assert "Утвердить весь обмен" not in page.text
    before = [(t.state, t.version) for t in swapped(plan, town.world)]
    answer = client.post(address_of(plan, town.world), data={"transfer": [ready.id, late.id]})
    assert answer.status_code == 409
    side = "принимающей" if answers else "отдающей"
    assert f"передача № {late.id} (Берущая СОШ → Дающая СОШ) ещё ждёт согласия {side} стороны" in answer.text
    assert f"Не готовы: № {late.id}." in answer.text
    assert [(t.state, t.version) for t in swapped(plan, town.world)] == before
    assert {t.act_number for t in swapped(plan, town.world)} == {None}


def test_a_swap_that_lost_a_transfer_is_none_any_more(agreed: Plan, town: Town, sign_in: SignIn) -> None:
    world = town.world
    first, second = swapped(agreed, world)
    with unit_of_work():
        transfers.withdraw(second.id, "Передумали", by=world.recipient_director, clock=town.clock)
    client = sign_in(world.methodist)
    answer = client.post(address_of(agreed, world), data={"transfer": [first.id, second.id]})
    assert answer.status_code == 409
    assert "Этого обмена больше нет" in answer.text
    assert db.session.get_one(Transfer, first.id).state is State.ACCEPTED
    assert "В этом плане обменов нет" in client.get(f"/plans/{agreed.id}/swaps").text
    assert "часть обмена" not in client.get(f"/transfers/{first.id}").text


def test_only_what_was_shown_is_approved(agreed: Plan, town: Town, sign_in: SignIn) -> None:
    first, _second = swapped(agreed, town.world)
    client = sign_in(town.world.methodist)
    for seen in ([first.id], [], ["x"], [first.id, 987654]):
        answer = client.post(address_of(agreed, town.world), data={"transfer": seen})
        assert answer.status_code == 409
        assert "состав обмена изменился" in answer.text
    assert {transfer.state for transfer in swapped(agreed, town.world)} == {State.ACCEPTED}


def test_a_refusal_on_the_way_is_seen_too(agreed: Plan, town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transfer falls through between reading the swap and locking it."""
    from exchange.errors import WrongMoment
    from exchange.matching import services

    world = town.world
    ids = [transfer.id for transfer in swapped(agreed, world)]
    real = transfers.approve_many

    def late(*args: object, **how: object) -> list[Transfer]:
        transfers.withdraw(ids[1], "Передумали", by=world.recipient_director, clock=town.clock)
        return real(*args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(transfers, "approve_many", late)
    plan_id, school_id = agreed.id, world.donor_school.id
    with pytest.raises(WrongMoment, match="состав обмена изменился"):
        in_unit(
            lambda: services.approve_swap(plan_id, school_id, seen=ids, by=world.methodist, clock=town.clock)
        )
    assert {transfer.state for transfer in swapped(agreed, world)} == {State.ACCEPTED}


def test_two_approve_at_once(agreed: Plan, app: Portal, town: Town, tmp_path: Path) -> None:
    world = town.world
    targets = [agreed.id] * 3
    pairs = race(app, tmp_path, "approve_swap", (world.methodist, world.methodist), (targets, targets))
    assert pairs == [("won", "won")] * 3
    assert sorted(transfer.act_number or 0 for transfer in swapped(agreed, world)) == [1, 2]
    assert len({transfer.version for transfer in swapped(agreed, world)}) == 1


def test_a_school_is_told_what_it_gives_and_gets(agreed: Plan, town: Town, sign_in: SignIn) -> None:
    world = town.world
    transfer = swapped(agreed, world)[0]
    address = f"/transfers/{transfer.id}"
    assert "вы отдаёте 14 экз., получаете 9 экз." in sign_in(world.donor).get(address).text
    assert "вы отдаёте 9 экз., получаете 14 экз." in sign_in(world.recipient).get(address).text
    page = sign_in(world.methodist).get(address)
    assert f'href="/plans/{agreed.id}/swaps#swap-{world.donor_school.id}"' in page.text
    outside = db.session.scalars(
        sa.select(Transfer.id).where(Transfer.taker_id == world.stranger_school.id)
    ).one()
    assert "часть обмена" not in sign_in(world.stranger).get(f"/transfers/{outside}").text


def test_the_hint_costs_two_queries(agreed: Plan, town: Town, sign_in: SignIn) -> None:
    world = town.world
    client = sign_in(world.donor)
    inside = swapped(agreed, world)[0].id
    with count_queries() as queries:
        client.get(f"/transfers/{inside}")
    with_hint = len(queries)
    with unit_of_work():
        db.session.execute(sa.update(Transfer).where(Transfer.id == inside).values(plan_id=None))
    with count_queries() as queries:
        client.get(f"/transfers/{inside}")
    assert with_hint - len(queries) <= 2


@pytest.mark.parametrize("who", ["donor_director", "head", "accountant"])
def test_others_cannot(agreed: Plan, town: Town, sign_in: SignIn, who: str) -> None:
    client = sign_in(getattr(town.world, who))
    form = {"transfer": [transfer.id for transfer in swapped(agreed, town.world)]}
    assert client.get(f"/plans/{agreed.id}/swaps").status_code == 403
    assert client.post(address_of(agreed, town.world), data=form).status_code == 403


def test_another_district_finds_nothing(agreed: Plan, town: Town, sign_in: SignIn) -> None:
    client = sign_in(town.world.outsider)
    assert client.get(f"/plans/{agreed.id}/swaps").status_code == 404
    assert client.post(address_of(agreed, town.world)).status_code == 404


def test_a_swap_of_a_declined_plan_names_nothing(plan: Plan, town: Town, sign_in: SignIn) -> None:
    town.publish(plan)
    for transfer in swapped(plan, town.world):
        with unit_of_work():
            transfers.decline(
                transfer.id,
                DeclineReason.NEEDED,
                by=directors(town.world)[transfer.giver_id],
                clock=town.clock,
            )
    assert "обменов нет" in sign_in(town.world.methodist).get(f"/plans/{plan.id}/swaps").text
