"""What a plan tells the methodist unasked: locks that fell away, lone parts, refusals, whose rules hold."""

from __future__ import annotations

import pytest

from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.matching.models import Plan
from exchange.matching.rules import FundUse
from exchange.matching.services import PlanControls
from exchange.postings import services as postings
from exchange.postings.rules import Limit
from exchange.transfers import services as transfers
from exchange.transfers.rules import DeclineReason
from tests.conftest import SignIn
from tests.factories import World
from tests.plans_world import Town


@pytest.fixture
def town(world: World, clock: FrozenClock) -> Town:
    return Town(world, clock)


def test_a_lock_that_fell_away_is_named_with_its_reason(
    town: Town, world: World, clock: FrozenClock, sign_in: SignIn
) -> None:
    physics, biology, english = town.book("Физика"), town.book("Биология"), town.book("Английский")
    for book in (physics, biology, english):
        town.surplus(book, 5)
        town.need(book, 5)
    plan = town.plan()
    for line in plan.lines:
        town.mark(line, "lock")
    client = sign_in(world.methodist)
    assert "Закрепление снято" not in client.get(f"/plans/{town.plan().id}").text, "all of them could be kept"
    offers = {line.edition.textbook_id: line.offer_id for line in plan.lines}
    requests = {line.edition.textbook_id: line.request_id for line in plan.lines}
    offer_id, request_id = offers[physics.id], requests[biology.id]
    with unit_of_work():
        postings.withdraw_offer(offer_id, seen=None, by=world.donor, clock=clock)
        postings.withdraw_request(request_id, seen=None, by=world.recipient, clock=clock)
    text = client.get(f"/plans/{town.plan().id}").text
    giver, taker = "Дающая СОШ", "Берущая СОШ"
    assert (
        f"Закрепление снято: {giver} → {taker}, «{physics.title}», 5 экз.: этих книг больше не отдают."
        in text
    )
    assert (
        f"Закрепление снято: {giver} → {taker}, «{biology.title}», 5 экз.: заявка уже закрыта или отозвана."
        in text
    )
    assert english.title not in text.partition("Не всё закреплённое")[2].partition("</ul>")[0]


def test_a_lock_that_a_school_shut_out_or_shrank_says_so(
    town: Town, world: World, clock: FrozenClock, sign_in: SignIn
) -> None:
    physics = town.book("Физика")
    town.surplus(physics, 5)
    town.need(physics, 5)
    town.mark(town.plan().lines[0], "lock")
    with unit_of_work():
        limit = Limit(kept_grades=frozenset({7}))
        postings.set_limit(school=world.donor_school, limit=limit, by=world.donor, clock=clock)
    text = sign_in(world.methodist).get(f"/plans/{town.plan().id}").text
    assert "5 экз.: школа ограничила, что отдаёт." in text


def test_a_part_left_alone_is_warned_of_before_it_is_published(
    town: Town, world: World, sign_in: SignIn
) -> None:
    maths = town.book("Математика", parts=2)
    town.offer(town.edition(maths, part=1), 4, school=world.stranger_school)
    town.offer(town.edition(maths, part=2), 4)
    town.need(maths, {1: 4, 2: 4})
    plan = town.plan()
    client = sign_in(world.methodist)
    warning = "Эти книги поедут зря"
    first = next(line.id for line in plan.lines if line.edition.part == 1)
    second = next(line.id for line in plan.lines if line.edition.part == 2)
    assert warning not in client.get(f"/plans/{plan.id}").text
    answer = client.post(f"/plans/lines/{first}/remove", headers={"HX-Request": "true"})
    assert warning in answer.text, "it is told at once"
    assert f"«{maths.title}», ч. 2 – 4 экз." in client.get(f"/plans/{plan.id}").text
    client.post(f"/plans/lines/{second}/remove")
    assert warning not in client.get(f"/plans/{plan.id}").text, "nothing travels any more"
    client.post(f"/plans/lines/{first}/restore")
    client.post(f"/plans/lines/{second}/restore")
    assert warning not in client.get(f"/plans/{plan.id}").text


def test_a_school_that_lacks_one_part_only_is_not_warned_of(
    town: Town, world: World, sign_in: SignIn
) -> None:
    maths, physics = town.book("Математика", parts=2), town.book("Физика")
    town.offer(town.edition(maths, part=2), 4)
    town.need(maths, {2: 4})
    town.surplus(physics, 3)
    town.need(physics, 3)
    plan = town.plan()
    line = next(line for line in plan.lines if line.edition.textbook_id == physics.id)
    town.mark(line, "remove")
    assert "поедут зря" not in sign_in(world.methodist).get(f"/plans/{plan.id}").text


@pytest.mark.parametrize(
    ("use", "reason", "card"),
    [
        (FundUse.LAST, "Резервный фонд, у школ таких книг не хватает", "столько, сколько не нашлось у школ"),
        (FundUse.FREELY, "Резервный фонд, он отдаёт наравне со школами", "фонд отдаёт наравне со школами"),
    ],
)
def test_the_fund_is_not_called_the_last_where_it_gives_freely(
    town: Town, world: World, sign_in: SignIn, use: FundUse, reason: str, card: str
) -> None:
    physics = town.book("Физика")
    town.fund(town.edition(physics), 5)
    town.need(physics, 5)
    plan = town.plan(controls=PlanControls(fund=use))
    text = sign_in(world.methodist).get(f"/plans/{plan.id}").text
    assert reason in text
    assert card in text
    why = sign_in(world.methodist).get(f"/plans/{plan.id}/schools/{world.recipient_school.id}/why").text
    assert ("меньше брать из фонда" in why) is (use is FundUse.LAST)


@pytest.mark.parametrize("others", [True, False], ids=["another has it", "nobody else"])
def test_after_a_refusal_the_plan_says_who_goes_on(
    town: Town, world: World, clock: FrozenClock, sign_in: SignIn, *, others: bool
) -> None:
    physics = town.book("Физика")
    town.surplus(physics, 5)
    if others:
        town.surplus(physics, 5, school=world.stranger_school)
    town.need(physics, 5)
    plan_id = town.plan().id
    client = sign_in(world.methodist)
    (transfer,) = town.publish(db.session.get_one(Plan, plan_id)).transfers
    transfer_id = transfer.id
    assert transfer.giver_id == world.donor_school.id
    assert "Отказов" not in client.get(f"/plans/{plan_id}").text
    with unit_of_work():
        transfers.decline(transfer_id, DeclineReason.NEEDED, by=world.donor_director, clock=clock)
    text = client.get(f"/plans/{plan_id}").text
    assert "Отказов и отзывов: 1." in text
    assert ("Портал уже сам спросил других: предложений 1" in text) is others
    assert ("если подходящие книги есть ещё у кого-то" in text) is not others
    assert "«Починить» стоит нажать, когда появятся новые излишки или заявки." in text


def test_figures_made_around_what_was_taken_out_are_not_called_old(
    town: Town, world: World, sign_in: SignIn
) -> None:
    for title in ("Физика", "Химия"):
        book = town.book(title)
        town.surplus(book, 5)
        town.need(book, 5)
    plan = town.plan()
    old = "Показатели ниже – до ваших правок."
    client = sign_in(world.methodist)
    town.mark(plan.lines[0], "remove")
    assert old in client.get(f"/plans/{plan.id}").text
    after = town.plan()
    text = client.get(f"/plans/{after.id}").text
    assert "убрано" in text
    assert old not in text
    town.mark(next(line for line in after.lines if line.removed), "restore")
    assert old in client.get(f"/plans/{after.id}").text


def test_the_worst_served_school_is_explained(town: Town, world: World, sign_in: SignIn) -> None:
    physics = town.book("Физика")
    town.surplus(physics, 5)
    town.need(physics, 5)
    text = sign_in(world.methodist).get(f"/plans/{town.plan().id}").text
    assert "наименьшая доля комплектов из тех, что район мог бы отдать ей одной" in text
    assert '<a href="#fairness">' in text
    assert 'id="fairness"' in text
