"""What schools lay down, what was refused, lent and kept: in the problem, in the plan, at its publishing."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from exchange.clock import FrozenClock
from exchange.db import db, in_unit, unit_of_work
from exchange.errors import WrongMoment
from exchange.matching import rules, services
from exchange.matching.models import Plan, PlanState
from exchange.matching.services.controls import PlanControls
from exchange.matching.services.publishing import CHANGED, KEPT_NOW, PARTS_MISSING, REFUSED_BEFORE
from exchange.postings import services as postings
from exchange.postings.models import Offer, Request
from exchange.postings.rules import Limit, OfferKind
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer
from exchange.transfers.rules import DeclineReason, Kind, State
from tests.factories import World, enrol
from tests.plans_world import Town
from tests.postings_world import TODAY
from tests.transfers_world import make_deal, walk


@pytest.fixture
def town(world: World, clock: FrozenClock) -> Town:
    return Town(world, clock)


def limit(town: Town, **about: object) -> None:
    """Let the giving school lay something down."""
    world = town.world
    with unit_of_work():
        postings.set_limit(school=world.donor_school, limit=Limit(**about), by=world.donor, clock=town.clock)


def carried(plan: Plan) -> list[tuple[str, str, int, int]]:
    return sorted(
        (line.giver.short_name, line.taker.short_name, line.edition.part, line.copies)
        for line in plan.lines
        if not line.removed
    )


def why_not(plan: Plan) -> str:
    return str(plan.uncovered)


GIVER, TAKER, THIRD = "Дающая СОШ", "Берущая СОШ", "Чужая СОШ"


# --- what a school lays down ------------------------------------------------------------------------------


def test_nothing_leaves_before_the_day_a_school_sets(town: Town) -> None:
    book = town.book("Физика")
    town.surplus(book, 5, available_from=TODAY + timedelta(days=2))
    town.need(book, 5, needed_by=TODAY + timedelta(days=10))
    assert len(town.plan().lines) == 1
    limit(town, not_before=TODAY + timedelta(days=11))
    plan = town.plan()
    assert plan.lines == []
    assert "позже, чем нужно" in why_not(plan)
    # The later of both days counts.
    limit(town, not_before=TODAY + timedelta(days=1))
    (supply,) = town.gather().problem.supplies
    assert supply.available_from == TODAY + timedelta(days=2)


def test_a_loan_that_would_be_due_before_it_may_leave_is_not_offered(town: Town) -> None:
    book = town.book("Физика")
    town.surplus(book, 5, kind=OfferKind.LOAN, due_back=TODAY + timedelta(days=40))
    town.need(book, 5)
    assert len(town.plan().lines) == 1
    limit(town, not_before=TODAY + timedelta(days=40))
    plan = town.plan()
    assert plan.lines == []
    assert "ограничила" in why_not(plan)


def test_books_of_grades_a_school_keeps_are_named_and_stay(town: Town) -> None:
    book = town.book("Физика")
    town.surplus(book, 5)
    town.need(book, 5)
    limit(town, kept_grades=frozenset({7}))
    plan = town.plan()
    assert plan.lines == []
    assert "школа ограничила, что отдаёт" in why_not(plan)
    limit(town, kept_grades=frozenset({6, 8}))
    assert len(town.plan().lines) == 1


def test_a_school_drives_to_no_more_schools_than_it_said(town: Town, world: World) -> None:
    book = town.book("Физика")
    town.surplus(book, 10)
    town.need(book, 4)
    town.need(book, 5, school=world.stranger_school)
    assert {line[1] for line in carried(town.plan())} == {TAKER, world.stranger_school.short_name}
    limit(town, most_trips=1)
    plan = town.plan()
    assert [line[1:] for line in carried(plan)] == [(world.stranger_school.short_name, 1, 5)]
    assert "поездок от держателя не больше" in why_not(plan)


def test_a_class_without_consent_gets_one_year(town: Town, world: World) -> None:
    book = town.book("Физика")
    town.offer(town.edition(book, year=2019), 3)
    town.offer(town.edition(book, year=2022), 4)
    request = town.need(book, 6)
    assert sum(line[3] for line in carried(town.plan())) == 6
    with unit_of_work():
        db.session.get_one(Request, request.id).mixing = False
    plan = town.plan()
    assert [(line.edition.year, line.copies) for line in plan.lines] == [(2022, 4)]
    assert "смешивать школа не хочет" in why_not(plan)


def test_its_own_pupils_and_its_buffer_come_first(town: Town, world: World) -> None:
    book = town.book("Физика")
    town.surplus(book, 30)
    town.need(book, 30)
    assert carried(town.plan()) == [(GIVER, TAKER, 1, 30)]
    enrol(world.donor_school, {7: 20}, by=world.donor, clock=town.clock)
    (supply,) = town.gather().problem.supplies
    without = town.gather(controls=PlanControls(buffer=0)).problem.supplies[0]
    half = town.gather(controls=PlanControls(buffer=25)).problem
    # Who needs the book is only estimated: an offer goes as it is, unless the methodist sets a buffer.
    assert (supply.copies, without.copies) == (30, 10)
    assert (half.supplies[0].copies, {one.reason: one.supply.copies for one in half.kept}) == (
        5,
        {rules.KeptBack.OWN_NEED: 20, rules.KeptBack.BUFFER: 5},
    )
    plan = town.plan(controls=PlanControls(buffer=25))
    assert carried(plan) == [(GIVER, TAKER, 1, 5)]
    assert "нужны самой школе" in why_not(plan)


# --- locks ------------------------------------------------------------------------------------------------


def locked(town: Town, **about: object) -> Plan:
    book = town.book("Физика")
    town.surplus(book, 5)
    town.need(book, 5, **about)
    plan = town.plan()
    town.mark(plan.lines[0], "lock")
    return plan


def decline_elsewhere(town: Town, plan: Plan) -> None:
    """Publish a plan, have the giver refuse it, take the locked draft before it up again."""
    world = town.world
    locked_id = plan.id
    second = town.plan()
    (transfer,) = town.publish(second).transfers
    with unit_of_work():
        transfers.decline(transfer.id, DeclineReason.NEEDED, by=world.donor_director, clock=town.clock)
    in_unit(lambda: services.restore(locked_id, by=world.methodist, clock=town.clock))


def test_a_lock_does_not_ask_again_who_has_refused(town: Town) -> None:
    decline_elsewhere(town, locked(town))
    plan = town.plan()
    assert plan.lines == []
    assert "уже отказал" in why_not(plan)


def test_a_draft_taken_up_again_does_not_ask_again_who_has_refused(town: Town, world: World) -> None:
    plan = locked(town)
    plan_id = plan.id
    other = town.book("Химия")
    town.surplus(other, 2, school=world.stranger_school)
    decline_elsewhere(town, plan)
    with pytest.raises(WrongMoment, match="уже не выйдет"):
        town.publish(db.session.get_one(Plan, plan_id))
    assert db.session.get_one(Plan, plan_id).state is PlanState.DRAFT


@pytest.mark.parametrize(
    "change",
    [
        {"not_before": TODAY + timedelta(days=30)},
        {"kept_grades": frozenset({7})},
    ],
    ids=["not before", "grades"],
)
def test_a_lock_does_not_outweigh_what_a_school_lays_down(town: Town, change: dict[str, object]) -> None:
    locked(town, needed_by=TODAY + timedelta(days=10))
    limit(town, **change)
    assert town.plan().lines == []


def test_a_lock_outweighs_the_methodists_own_controls(town: Town) -> None:
    locked(town)
    plan = town.plan(controls=PlanControls(furthest_km=0.5))
    assert carried(plan) == [(GIVER, TAKER, 1, 5)]


def test_more_locked_trips_than_a_school_wants_stand(town: Town, world: World) -> None:
    book = town.book("Физика")
    town.surplus(book, 10)
    town.need(book, 4)
    town.need(book, 5, school=world.stranger_school)
    for line in town.plan().lines:
        town.mark(line, "lock")
    limit(town, most_trips=1)
    assert len(town.plan().lines) == 2


# --- loans and balance ------------------------------------------------------------------------------------


def test_books_out_on_loan_and_what_was_given_are_gathered(
    town: Town, world: World, clock: FrozenClock
) -> None:
    with unit_of_work():
        lent = make_deal(world, clock, title="Химия", copies=4, kind=Kind.LOAN)
        walk(lent, world, clock, State.LENT)
    with unit_of_work():
        given = make_deal(world, clock, title="Физика", copies=3)
        walk(given, world, clock, State.SETTLED)
    with unit_of_work():
        asked = make_deal(world, clock, title="Алгебра", copies=2)
    problem = town.gather().problem
    donor, recipient = world.donor_school.id, world.recipient_school.id
    assert problem.lent == {donor: 4}
    assert problem.balance == {donor: 9, recipient: -9}
    clock.advance(days=31)
    assert town.gather().problem.lent == {donor: 8}
    line = db.session.get_one(Transfer, lent.id).lines[0].id
    with unit_of_work():
        transfers.hand_back(lent.id, {line: 3}, by=world.donor, clock=clock)
    with unit_of_work():
        transfers.decline(asked.id, DeclineReason.NEEDED, by=world.donor_director, clock=clock)
    problem = town.gather().problem
    assert (problem.lent, problem.balance) == ({donor: 2}, {donor: 7, recipient: -7})


# --- publishing what has changed since --------------------------------------------------------------------


def test_a_request_changed_meanwhile_is_named(town: Town, world: World) -> None:
    book, other = town.book("Физика"), town.book("Химия")
    town.surplus(book, 5)
    town.surplus(other, 3)
    request = town.need(book, 5)
    town.need(other, 3)
    plan = town.plan()
    with unit_of_work():
        db.session.get_one(Request, request.id).year_from = 2025
    result = town.publish(plan)
    assert [line.copies for transfer in result.transfers for line in transfer.lines] == [3]
    (failure,) = result.failures
    assert (failure.title.partition(":")[0], failure.error.message) == ("Физика", CHANGED)


def test_a_limit_set_meanwhile_is_kept(town: Town, world: World) -> None:
    book, other = town.book("Физика"), town.book("Химия")
    town.surplus(book, 5)
    town.surplus(other, 3, school=world.stranger_school)
    town.need(book, 5)
    town.need(other, 3)
    plan = town.plan()
    limit(town, kept_grades=frozenset({7}))
    result = town.publish(plan)
    assert [transfer.giver_id for transfer in result.transfers] == [world.stranger_school.id]
    assert [failure.error.message for failure in result.failures] == [KEPT_NOW]


def test_pupils_counted_meanwhile_keep_their_books(town: Town, world: World) -> None:
    book, other = town.book("Физика"), town.book("Химия")
    town.surplus(book, 30)
    town.surplus(other, 3, school=world.stranger_school)
    town.need(book, 15)
    town.need(other, 3)
    plan = town.plan(controls=PlanControls(buffer=0))
    enrol(world.donor_school, {7: 20}, by=world.donor, clock=town.clock)
    result = town.publish(plan)
    assert [transfer.giver_id for transfer in result.transfers] == [world.stranger_school.id]
    assert [failure.error.message for failure in result.failures] == [KEPT_NOW]


def test_a_refusal_meanwhile_is_named(town: Town, world: World, clock: FrozenClock) -> None:
    book, other = town.book("Физика"), town.book("Химия")
    town.surplus(book, 5)
    town.surplus(other, 3, school=world.stranger_school)
    town.need(book, 5)
    town.need(other, 3)
    first = town.plan()
    first_id = first.id
    result = town.publish(town.plan())
    with unit_of_work():
        for transfer in result.transfers:
            if transfer.giver_id == world.donor_school.id:
                transfers.decline(transfer.id, DeclineReason.NEEDED, by=world.donor_director, clock=clock)
            else:
                transfers.withdraw(transfer.id, by=world.methodist, clock=clock)
    in_unit(lambda: services.restore(first_id, by=world.methodist, clock=clock))
    again = town.publish(db.session.get_one(Plan, first_id))
    assert [transfer.giver_id for transfer in again.transfers] == [world.stranger_school.id]
    assert [failure.error.message for failure in again.failures] == [REFUSED_BEFORE]


def test_no_part_travels_without_the_other_from_another_giver(
    town: Town, world: World, clock: FrozenClock
) -> None:
    maths, physics = town.book("Математика", parts=2), town.book("Физика")
    first = town.offer(town.edition(maths, part=1), 4, school=world.stranger_school)
    second = town.offer(town.edition(maths, part=2), 4)
    town.surplus(physics, 2)
    town.need(maths, {1: 4, 2: 4})
    town.need(physics, 2)
    plan = town.plan()
    assert len(plan.lines) == 3
    with unit_of_work():
        postings.withdraw_offer(first.id, seen=None, by=world.stranger, clock=clock)
    result = town.publish(plan)
    (transfer,) = result.transfers
    assert [line.edition.textbook_id for line in transfer.lines] == [physics.id]
    assert sorted(failure.giver for failure in result.failures) == sorted(
        [GIVER, world.stranger_school.short_name]
    )
    assert PARTS_MISSING in {failure.error.message for failure in result.failures}
    assert db.session.get_one(Offer, second.id).reserved == 0
    assert transfer.lines[0].transfer.created_at.date() == date(2026, 9, 14)
