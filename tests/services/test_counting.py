"""Campaigns, sheets, taps, confirmations, on a database."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa

from exchange.clock import FrozenClock
from exchange.counting import services
from exchange.counting.models import CountingCampaign, CountLine, CountSheet
from exchange.counting.rules import Decision, SheetState
from exchange.counting.services import Decided, Late, Tap
from exchange.db import db, in_unit, unit_of_work
from exchange.disposals import services as disposals
from exchange.disposals.models import WriteOffAct
from exchange.errors import Forbidden, Invalid, NotFound, Refusals, Stale, WrongMoment
from exchange.journal import Letter
from exchange.ledger import services as ledger
from exchange.ledger.models import Movement
from exchange.ledger.rules import Line, MovementKind, WriteOffReason
from exchange.schools.models import User
from exchange.stock.models import ShelfNote
from exchange.transfers import services as transfers
from exchange.transfers.rules import State
from exchange.web.unit import Portal
from tests.counting import count_queries
from tests.counting_world import (
    at_once,
    begin,
    counted,
    edition_of,
    lend,
    open_campaign,
    own,
    row_of,
    tap,
)
from tests.factories import World, make_textbook, put_on_shelf
from tests.transfers_world import make_deal, walk


def movements(kind: MovementKind) -> list[Movement]:
    return list(db.session.scalars(sa.select(Movement).where(Movement.kind == kind).order_by(Movement.id)))


def letters_to(user: User) -> int:
    return db.session.scalar(sa.select(sa.func.count()).where(Letter.user_id == user.id)) or 0


@pytest.fixture
def campaign(world: World, clock: FrozenClock) -> CountingCampaign:
    return open_campaign(world, clock)


@pytest.fixture
def sheet(world: World, clock: FrozenClock, campaign: CountingCampaign) -> CountSheet:
    return begin(world, clock, campaign)


def on_shelf(world: World, clock: FrozenClock, copies: int, title: str = "Математика"):
    textbook = make_textbook(title, subject=title)
    put_on_shelf(world.donor_school, textbook, copies, by=world.donor, clock=clock)
    return edition_of(textbook)


def confirm(sheet: CountSheet, world: World, clock: FrozenClock, seen: int | None = None) -> CountSheet:
    with unit_of_work():
        return services.confirm(sheet.id, seen=seen, by=world.donor, clock=clock)


def decide(sheet: CountSheet, edition, decision: Decision, world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        taps = row_of(sheet, edition).line.taps
        services.decide(sheet.id, {edition.id: Decided(decision, taps)}, by=world.donor, clock=clock)


# --- campaigns ---


def test_one_campaign_at_a_time(world: World, clock: FrozenClock, campaign: CountingCampaign) -> None:
    with pytest.raises(WrongMoment, match="ещё идёт"):
        open_campaign(world, clock, "Второй")
    with unit_of_work():
        services.close_campaign(campaign.id, seen=campaign.version, by=world.methodist, clock=clock)
    with pytest.raises(WrongMoment, match="уже закончена"), unit_of_work():
        services.close_campaign(campaign.id, seen=None, by=world.methodist, clock=clock)
    second = open_campaign(world, clock, "Второй")
    assert services.open_of(world.district.id).id == second.id
    assert [each.title for each in services.campaigns(world.district.id)] == ["Второй", "Пересчёт"]


def test_two_methodists_open_one_campaign(app: Portal, world: World, clock: FrozenClock) -> None:
    person_id = world.methodist.id

    def work() -> None:
        services.open_campaign(
            title="Пересчёт",
            starts_on=date(2026, 9, 14),
            ends_on=date(2026, 9, 30),
            by=db.session.get_one(User, person_id),
            clock=clock,
        )

    refused = at_once(app, lambda: in_unit(work), lambda: in_unit(work))
    assert sorted(type(each).__name__ for each in refused) == ["NoneType", "WrongMoment"]
    assert db.session.scalar(sa.select(sa.func.count()).select_from(CountingCampaign)) == 1


def test_librarians_hear_of_it_and_the_late_are_reminded(world: World, clock: FrozenClock) -> None:
    campaign = open_campaign(world, clock)
    assert [letters_to(person) for person in (world.donor, world.recipient, world.stranger)] == [1, 1, 1]
    assert [letters_to(person) for person in (world.donor_director, world.head, world.outsider)] == [0, 0, 0]
    begin(world, clock, campaign)
    with unit_of_work():
        assert services.remind(campaign.id, by=world.methodist, clock=clock) == 2
    assert [letters_to(person) for person in (world.donor, world.recipient, world.stranger)] == [1, 2, 2]


def test_only_the_methodist_leads_a_campaign(
    world: World, clock: FrozenClock, campaign: CountingCampaign, sheet: CountSheet
) -> None:
    for work in (
        lambda by: services.close_campaign(campaign.id, seen=None, by=by, clock=clock),
        lambda by: services.remind(campaign.id, by=by, clock=clock),
        lambda by: services.reopen(sheet.id, seen=None, by=by, clock=clock),
    ):
        with pytest.raises(Forbidden), unit_of_work():
            work(world.donor)
        with pytest.raises(NotFound), unit_of_work():
            work(world.outsider)


def test_only_the_school_counts(world: World, clock: FrozenClock, sheet: CountSheet) -> None:
    edition = on_shelf(world, clock, 12)
    for person, refusal in (
        (world.recipient, NotFound),
        (world.outsider, NotFound),
        (world.head, NotFound),
        (world.donor_director, Forbidden),
        (world.methodist, Forbidden),
    ):
        with pytest.raises(refusal):
            tap(sheet, edition, 12, by=person, clock=clock)
        with pytest.raises(refusal), unit_of_work():
            services.confirm(sheet.id, seen=None, by=person, clock=clock)
    with unit_of_work():
        fund = services.begin(sheet.campaign_id, holder=world.fund, by=world.methodist, clock=clock)
    assert fund.holder_id == world.fund.id


def test_beginning_twice_goes_on(world: World, clock: FrozenClock, campaign: CountingCampaign) -> None:
    assert begin(world, clock, campaign).id == begin(world, clock, campaign).id


# --- taps ---


def test_a_tap_is_safe_to_repeat(world: World, clock: FrozenClock, sheet: CountSheet) -> None:
    edition = on_shelf(world, clock, 12)

    def send(counted: int, taps: int) -> None:
        with unit_of_work():
            services.tap(sheet.id, edition.id, Tap(counted, taps, 12), by=world.donor, clock=clock)

    send(1, 0)
    send(1, 0)
    send(2, 1)
    send(2, 1)
    with pytest.raises(Late, match="уже другое число: 2"):
        send(1, 0)
    assert counted(sheet, edition) == 2
    assert db.session.scalar(sa.select(CountLine.taps)) == 2


def test_somebody_elses_equal_number_is_no_repeat(world: World, clock: FrozenClock) -> None:
    """Two heaps of one book: both make one of nothing, and the second one hears of it."""
    put_on_shelf(world.fund, book := make_textbook(), 12, by=world.methodist, clock=clock)
    campaign, edition = open_campaign(world, clock), edition_of(book)
    with unit_of_work():
        second = User(
            district_id=world.district.id,
            login="second",
            full_name="Второй Методист",
            password_hash="-",
            created_at=clock.now(),
            memberships=[type(world.methodist.memberships[0])(role=world.methodist.memberships[0].role)],
        )
        db.session.add(second)
        sheet = services.begin(campaign.id, holder=world.fund, by=world.methodist, clock=clock)
    tap(sheet, edition, 1, by=world.methodist, clock=clock)
    with pytest.raises(Late, match=r"Methodist"), unit_of_work():
        services.tap(sheet.id, edition.id, Tap(1, 0, 12), by=second, clock=clock)
    tap(sheet, edition, 2, by=second, clock=clock)
    assert counted(sheet, edition) == 2


def test_a_number_is_not_written_over_books_that_have_moved(
    world: World, clock: FrozenClock, sheet: CountSheet
) -> None:
    edition = on_shelf(world, clock, 12)
    lend(world.donor_school, world.recipient_school, edition, 5, world, clock)
    with pytest.raises(Late, match=r"было 12 экз\., стало 7"), unit_of_work():
        services.tap(sheet.id, edition.id, Tap(12, 0, 12), by=world.donor, clock=clock)
    assert counted(sheet, edition) is None
    book = make_textbook("Ничья")
    with unit_of_work():
        nowhere = edition_of(book)
    with pytest.raises(NotFound), unit_of_work():
        services.tap(sheet.id, nowhere.id, Tap(3, 0, 0), by=world.donor, clock=clock)
    with pytest.raises(Invalid, match="от 0 до"), unit_of_work():
        services.tap(sheet.id, edition.id, Tap(None, 0, 7), by=world.donor, clock=clock)


def test_two_taps_at_once_count_one(app: Portal, world: World, clock: FrozenClock, sheet: CountSheet) -> None:
    edition = on_shelf(world, clock, 12)
    tap(sheet, edition, 5, by=world.donor, clock=clock)
    sheet_id, edition_id, person_id = sheet.id, edition.id, world.donor.id

    def work(number: int) -> None:
        by = db.session.get_one(User, person_id)
        services.tap(sheet_id, edition_id, Tap(number, 1, 12), by=by, clock=clock)

    refused = at_once(app, lambda: in_unit(lambda: work(6)), lambda: in_unit(lambda: work(7)))
    assert sorted(type(each).__name__ for each in refused) == ["Late", "NoneType"]
    assert counted(sheet, edition) == (6 if refused[0] is None else 7)
    assert db.session.scalar(sa.select(CountLine.taps)) == 2


def test_the_first_tap_at_once_counts_one(
    app: Portal, world: World, clock: FrozenClock, sheet: CountSheet
) -> None:
    edition = on_shelf(world, clock, 12)
    sheet_id, edition_id, person_id = sheet.id, edition.id, world.donor.id

    def work(number: int) -> None:
        by = db.session.get_one(User, person_id)
        services.tap(sheet_id, edition_id, Tap(number, 0, 12), by=by, clock=clock)

    refused = at_once(app, lambda: in_unit(lambda: work(6)), lambda: in_unit(lambda: work(7)))
    assert sorted(type(each).__name__ for each in refused) == ["Late", "NoneType"]


def test_found_books_are_counted_too(world: World, clock: FrozenClock, sheet: CountSheet) -> None:
    book = make_textbook("Найденная", parts=2)
    there = on_shelf(world, clock, 12)
    facts = {"by": world.donor, "clock": clock}
    with unit_of_work():
        services.find(sheet.id, textbook_id=book.id, year=2020, copies_by_part={1: 4, 2: 0}, **facts)
    found = edition_of(book, 2020, 1)
    assert counted(sheet, found) == 4
    for wrong in (
        {"textbook_id": book.id, "year": 2020, "copies_by_part": {1: 5}},
        {"textbook_id": there.textbook_id, "year": 2023, "copies_by_part": {1: 1}},
        {"textbook_id": book.id, "year": 2021, "copies_by_part": {1: 0}},
        {"textbook_id": book.id, "year": 1899, "copies_by_part": {1: 1}},
    ):
        with pytest.raises(Invalid), unit_of_work():
            services.find(sheet.id, **wrong, **facts)
    tap(sheet, found, 3, by=world.donor, clock=clock)
    assert confirm(sheet, world, clock).skipped == 1
    assert own(world.donor_school, found) == 3
    assert own(world.donor_school, there) == 12
    assert not ledger.verify()


# --- confirmation ---


def test_a_confirmed_count_corrects_the_books(world: World, clock: FrozenClock, sheet: CountSheet) -> None:
    same, more, wrong, lost = (on_shelf(world, clock, 12, title) for title in ("А", "Б", "В", "Г"))
    skipped = on_shelf(world, clock, 12, "Д")
    clock.advance(days=2)
    for edition, number in ((same, 12), (more, 14), (wrong, 9), (lost, 10)):
        tap(sheet, edition, number, by=world.donor, clock=clock)
    before = len(movements(MovementKind.COUNT))
    with pytest.raises(Refusals) as refused:
        confirm(sheet, world, clock)
    assert set(refused.value.lines) == {wrong.id, lost.id}
    decide(sheet, wrong, Decision.CORRECTION, world, clock)
    decide(sheet, lost, Decision.LOST, world, clock)
    clock.advance(hours=1)
    done = confirm(sheet, world, clock)

    assert (done.state, done.skipped) == (SheetState.CONFIRMED, 1)
    # What is lost stays in the books until its act is posted.
    shelf = [own(world.donor_school, edition) for edition in (same, more, wrong, lost, skipped)]
    assert shelf == [12, 14, 9, 12, 12]
    (movement,) = movements(MovementKind.COUNT)[before:]
    assert (movement.id, movement.reason, movement.document) == (
        done.movement_id, "проверка фонда", "Пересчёт",
    )  # fmt: skip
    act = db.session.get_one(WriteOffAct, done.act_id)
    assert [(line.edition_id, line.reason, line.copies) for line in act.lines] == [
        (lost.id, WriteOffReason.LOST, 2)
    ]
    notes = {note.edition_id: note.counted_at for note in db.session.scalars(sa.select(ShelfNote))}
    assert {notes[edition.id] for edition in (same, more, wrong, lost)} == {clock.now()}
    assert notes[skipped.id] < clock.now()
    assert letters_to(world.methodist) == 1
    assert not ledger.verify()
    with pytest.raises(WrongMoment, match="уже подтверждён"):
        tap(sheet, same, 11, by=world.donor, clock=clock)
    with pytest.raises(WrongMoment, match="уже подтверждён"):
        confirm(sheet, world, clock)


def test_nothing_counted_is_nothing_to_confirm(world: World, clock: FrozenClock, sheet: CountSheet) -> None:
    on_shelf(world, clock, 12)
    with pytest.raises(Invalid, match="ничего не посчитано"):
        confirm(sheet, world, clock)


def test_what_moved_after_it_was_counted_is_counted_again(
    world: World, clock: FrozenClock, sheet: CountSheet
) -> None:
    edition = on_shelf(world, clock, 12)
    tap(sheet, edition, 11, by=world.donor, clock=clock)
    decide(sheet, edition, Decision.CORRECTION, world, clock)
    lend(world.donor_school, world.recipient_school, edition, 5, world, clock)
    assert row_of(sheet, edition).line.moved
    with pytest.raises(Refusals) as refused:
        confirm(sheet, world, clock)
    assert str(refused.value.lines[edition.id]).startswith(
        "После подсчёта книги приходили или уходили: было 12"
    )
    assert own(world.donor_school, edition) == 7
    tap(sheet, edition, row_of(sheet, edition).line.expected, by=world.donor, clock=clock)
    # A new number is a new question.
    assert row_of(sheet, edition).line.undecided
    decide(sheet, edition, Decision.CORRECTION, world, clock)
    confirm(sheet, world, clock)
    assert own(world.donor_school, edition) == 6


def test_borrowed_copies_are_counted_but_never_written_off(
    world: World, clock: FrozenClock, campaign: CountingCampaign
) -> None:
    book = make_textbook()
    put_on_shelf(world.donor_school, book, 12, by=world.donor, clock=clock)
    edition = edition_of(book)
    put_on_shelf(world.recipient_school, book, 2, by=world.recipient, clock=clock)
    lend(world.donor_school, world.recipient_school, edition, 5, world, clock)
    with unit_of_work():
        sheet = services.begin(campaign.id, holder=world.recipient_school, by=world.recipient, clock=clock)
    assert row_of(sheet, edition).line.booked == 7
    tap(sheet, edition, 4, by=world.recipient, clock=clock)
    line = row_of(sheet, edition).line
    assert (line.shortage, line.borrowed_shortage) == (2, 1)
    with unit_of_work():
        services.decide_all(sheet.id, Decision.LOST, by=world.recipient, clock=clock)
        services.confirm(sheet.id, seen=None, by=world.recipient, clock=clock)
    act = db.session.get_one(WriteOffAct, sheet.act_id)
    assert [(each.owner_id, each.copies) for each in act.lines] == [(world.recipient_school.id, 2)]
    assert ledger.verify() == []


def test_promised_copies_are_not_counted_away(world: World, clock: FrozenClock, sheet: CountSheet) -> None:
    edition, other = on_shelf(world, clock, 12), on_shelf(world, clock, 6, "Физика")
    with unit_of_work():
        ledger.promise([Line(edition.id, world.donor_school.id, world.donor_school.id, 10)])
    tap(sheet, edition, 9, by=world.donor, clock=clock)
    tap(sheet, other, 5, by=world.donor, clock=clock)
    with unit_of_work():
        assert services.decide_all(sheet.id, Decision.CORRECTION, by=world.donor, clock=clock) == 2
    with pytest.raises(Refusals) as refused:
        confirm(sheet, world, clock)
    assert "Обещано другим школам: 10" in str(refused.value.lines[edition.id])
    assert set(refused.value.lines) == {edition.id}
    # All or nothing: the other book is as it was, too.
    assert (own(world.donor_school, other), sheet.state) == (6, SheetState.COUNTING)


def test_a_confirmation_knows_what_it_confirms(world: World, clock: FrozenClock, sheet: CountSheet) -> None:
    edition = on_shelf(world, clock, 12)
    tap(sheet, edition, 11, by=world.donor, clock=clock)
    seen = services.stamp(sheet, services.lines(sheet))
    decide(sheet, edition, Decision.LOST, world, clock)
    with pytest.raises(Stale):
        confirm(sheet, world, clock, seen)
    seen = services.stamp(sheet, services.lines(sheet))
    tap(sheet, edition, 12, by=world.donor, clock=clock)
    with pytest.raises(Stale):
        confirm(sheet, world, clock, seen)
    with pytest.raises(Late), unit_of_work():
        services.decide(sheet.id, {edition.id: Decided(Decision.LOST, 1)}, by=world.donor, clock=clock)
    confirm(sheet, world, clock, services.stamp(sheet, services.lines(sheet)))


def test_a_reopened_sheet_does_not_settle_anything_twice(
    world: World, clock: FrozenClock, sheet: CountSheet
) -> None:
    more, wrong, lost = (on_shelf(world, clock, 12, title) for title in ("Б", "В", "Г"))
    for edition, number in ((more, 14), (wrong, 9), (lost, 10)):
        tap(sheet, edition, number, by=world.donor, clock=clock)
    decide(sheet, wrong, Decision.CORRECTION, world, clock)
    decide(sheet, lost, Decision.LOST, world, clock)
    confirm(sheet, world, clock)
    with unit_of_work():
        services.reopen(sheet.id, seen=sheet.version, by=world.methodist, clock=clock)
    assert letters_to(world.donor) == 2
    lines = {row.edition_id: row.line for row in services.lines(sheet)}
    assert [lines[edition.id].difference for edition in (more, wrong, lost)] == [0, 0, -2]
    assert not any(line.moved or line.undecided for line in lines.values())
    tap(sheet, lost, 9, by=world.donor, clock=clock)
    decide(sheet, lost, Decision.LOST, world, clock)
    before = len(movements(MovementKind.COUNT))
    confirm(sheet, world, clock)
    assert len(movements(MovementKind.COUNT)) == before
    act = db.session.get_one(WriteOffAct, sheet.act_id)
    assert [(line.edition_id, line.copies) for line in act.lines] == [(lost.id, 3)]
    with unit_of_work():
        services.reopen(sheet.id, seen=None, by=world.methodist, clock=clock)
    with pytest.raises(WrongMoment, match="ещё считает"), unit_of_work():
        services.reopen(sheet.id, seen=None, by=world.methodist, clock=clock)


def test_a_shortage_that_is_no_loss_any_more_leaves_the_act(
    world: World, clock: FrozenClock, sheet: CountSheet
) -> None:
    """Else the copies would leave the books twice: with the count, and with the act."""
    wrong, fewer, kept = (on_shelf(world, clock, 12, title) for title in ("Б", "В", "Г"))
    for edition in (wrong, fewer, kept):
        tap(sheet, edition, 8, by=world.donor, clock=clock)
        decide(sheet, edition, Decision.LOST, world, clock)
    act_id = confirm(sheet, world, clock).act_id
    with unit_of_work():
        services.reopen(sheet.id, seen=sheet.version, by=world.methodist, clock=clock)
    decide(sheet, wrong, Decision.CORRECTION, world, clock)
    tap(sheet, fewer, 11, by=world.donor, clock=clock)
    decide(sheet, fewer, Decision.LOST, world, clock)
    confirm(sheet, world, clock)
    act = db.session.get_one(WriteOffAct, act_id, populate_existing=True)
    assert {line.edition_id: line.copies for line in act.lines} == {fewer.id: 1, kept.id: 4}
    assert own(world.donor_school, wrong) == 8


def test_more_losses_than_an_act_has_lines_do_not_stop_a_count(
    world: World, clock: FrozenClock, sheet: CountSheet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.disposals.rules.MOST_LINES", 2)
    editions = [on_shelf(world, clock, 5, title) for title in ("Б", "В", "Г")]
    for edition in editions:
        tap(sheet, edition, 4, by=world.donor, clock=clock)
    with unit_of_work():
        services.decide_all(sheet.id, Decision.LOST, by=world.donor, clock=clock)
    act = db.session.get_one(WriteOffAct, confirm(sheet, world, clock).act_id)
    assert len(act.lines) == 2
    # What did not fit is not forgotten: the next act is offered it.
    found = disposals.suggested(world.donor_school, today=date(2026, 9, 14)).suggestions
    assert [(each.reason, each.copies) for each in found] == [(WriteOffReason.LOST, 1)]


def test_a_long_count_is_confirmed_in_as_many_questions_as_a_shorter_one(
    world: World, clock: FrozenClock, campaign: CountingCampaign
) -> None:
    asked = []
    for number in (120, 160):
        sheet = begin(world, clock, campaign)
        for place in range(number):
            edition = on_shelf(world, clock, 5, f"К{number}-{place}")
            tap(sheet, edition, 6 if place % 2 else 4, by=world.donor, clock=clock)
        with unit_of_work():
            services.decide_all(sheet.id, Decision.LOST, by=world.donor, clock=clock)
        with count_queries() as queries:
            confirm(sheet, world, clock)
        asked.append(sum(not each.startswith("INSERT") for each in queries))
        with unit_of_work():
            services.close_campaign(campaign.id, seen=None, by=world.methodist, clock=clock)
        campaign = open_campaign(world, clock)
    assert asked[1] <= asked[0]
    assert not ledger.verify()


def test_copies_in_the_draft_act_for_another_reason_are_named(
    world: World, clock: FrozenClock, sheet: CountSheet
) -> None:
    edition = on_shelf(world, clock, 5)
    with unit_of_work():
        act = disposals.draft_for(world.donor_school, by=world.donor, clock=clock)
        disposals.add_line(act.id, edition.id, WriteOffReason.WORN, 4, by=world.donor, clock=clock)
    tap(sheet, edition, 2, by=world.donor, clock=clock)
    decide(sheet, edition, Decision.LOST, world, clock)
    with pytest.raises(Refusals) as refused:
        confirm(sheet, world, clock)
    assert set(refused.value.lines) == {edition.id}


def test_lost_copies_leave_the_books_with_their_act(
    world: World, clock: FrozenClock, sheet: CountSheet
) -> None:
    edition = on_shelf(world, clock, 12)
    tap(sheet, edition, 10, by=world.donor, clock=clock)
    decide(sheet, edition, Decision.LOST, world, clock)
    act_id = confirm(sheet, world, clock).act_id
    assert act_id is not None

    def suggested() -> list[int]:
        found = disposals.suggested(world.donor_school, today=date(2026, 9, 14)).suggestions
        return [each.copies for each in found if each.reason is WriteOffReason.LOST]

    assert suggested() == []
    # An act that is given up does not make the shortage forgotten.
    with unit_of_work():
        disposals.discard(act_id, seen=None, by=world.donor, clock=clock)
    assert suggested() == [2]
    with unit_of_work():
        act = disposals.draft_for(world.donor_school, by=world.donor, clock=clock)
        assert disposals.add_suggested(act.id, WriteOffReason.LOST, by=world.donor, clock=clock) == 1
    assert suggested() == []
    with unit_of_work():
        disposals.post(
            act.id,
            number="1",
            signed_on=date(2026, 9, 14),
            commission="Председатель",
            seen=None,
            by=world.donor,
            clock=clock,
        )
    assert own(world.donor_school, edition) == 10
    assert suggested() == []
    assert not ledger.verify()


def test_a_transfer_ships_while_a_count_is_confirmed(
    app: Portal, world: World, clock: FrozenClock, campaign: CountingCampaign
) -> None:
    """Whoever comes second sees what the first has done: no number that is not so any more is written."""
    with unit_of_work():
        deal = make_deal(world, clock, on_shelf=10, copies=5)
        walk(deal, world, clock, State.PACKED)
    sheet, edition = begin(world, clock, campaign), deal.edition
    tap(sheet, edition, 9, by=world.donor, clock=clock)
    decide(sheet, edition, Decision.CORRECTION, world, clock)
    sheet_id, transfer_id, person_id = sheet.id, deal.id, world.donor.id

    def confirming() -> None:
        services.confirm(sheet_id, seen=None, by=db.session.get_one(User, person_id), clock=clock)

    def shipping() -> None:
        transfers.ship(transfer_id, by=db.session.get_one(User, person_id), clock=clock)

    refused, lost = at_once(app, lambda: in_unit(confirming), lambda: in_unit(shipping))
    assert lost is None
    if refused is None:
        # Nine were there, five of them have left since.
        assert own(world.donor_school, edition) == 4
    else:
        assert isinstance(refused, Refusals)
        assert own(world.donor_school, edition) == 5
        assert row_of(sheet, edition).line.moved
    assert not ledger.verify()


def test_a_tap_does_not_slip_in_after_the_confirmation(
    app: Portal, world: World, clock: FrozenClock, sheet: CountSheet
) -> None:
    edition = on_shelf(world, clock, 12)
    tap(sheet, edition, 12, by=world.donor, clock=clock)
    sheet_id, edition_id, person_id = sheet.id, edition.id, world.donor.id

    def person() -> User:
        return db.session.get_one(User, person_id)

    confirmed, tapped = at_once(
        app,
        lambda: in_unit(lambda: services.confirm(sheet_id, seen=None, by=person(), clock=clock)),
        lambda: in_unit(lambda: services.tap(sheet_id, edition_id, Tap(11, 1, 12), by=person(), clock=clock)),
    )
    if confirmed is None:
        assert isinstance(tapped, WrongMoment)
        assert counted(sheet, edition) == 12
    else:
        # The tap was first: eleven of twelve, and somebody has to say what became of it.
        assert isinstance(confirmed, Refusals)
        assert tapped is None


def test_a_closed_campaign_takes_no_numbers(
    world: World, clock: FrozenClock, campaign: CountingCampaign, sheet: CountSheet
) -> None:
    edition = on_shelf(world, clock, 12)
    tap(sheet, edition, 11, by=world.donor, clock=clock)
    with unit_of_work():
        services.close_campaign(campaign.id, seen=None, by=world.methodist, clock=clock)
    with pytest.raises(WrongMoment, match="закончена"):
        tap(sheet, edition, 12, by=world.donor, clock=clock)
    with pytest.raises(WrongMoment, match="закончена"):
        confirm(sheet, world, clock)
    with pytest.raises(WrongMoment, match="закончена"):
        begin(world, clock, campaign)
    with pytest.raises(WrongMoment, match="закончена"), unit_of_work():
        services.remind(campaign.id, by=world.methodist, clock=clock)
    assert own(world.donor_school, edition) == 12


# --- the district at a glance ---


def test_progress_of_the_district(world: World, clock: FrozenClock, campaign: CountingCampaign) -> None:
    editions = [on_shelf(world, clock, 12, title) for title in ("А", "Б", "В")]
    put_on_shelf(world.recipient_school, make_textbook("Г"), 5, by=world.recipient, clock=clock)
    sheet = begin(world, clock, campaign)
    tap(sheet, editions[0], 10, by=world.donor, clock=clock)
    tap(sheet, editions[1], 13, by=world.donor, clock=clock)
    with count_queries() as queries:
        standings = {each.holder_id: each for each in services.standings(campaign)}
    assert len(queries) <= 4
    assert set(standings) == {
        s.id for s in (world.donor_school, world.recipient_school, world.stranger_school)
    }
    mine = standings[world.donor_school.id]
    assert (mine.total, mine.counted, mine.differing, mine.found, mine.missing) == (3, 2, 2, 1, 2)
    other = standings[world.recipient_school.id]
    assert (other.begun, other.total, other.counted, other.share) == (False, 1, 0, 0)
    assert standings[world.stranger_school.id].share == 0

    present = services.present_for(world.donor_school)
    assert present is not None
    assert (present[0].id, present[1]) == (campaign.id, mine)
    with unit_of_work():
        services.decide_all(sheet.id, Decision.LOST, by=world.donor, clock=clock)
    confirm(sheet, world, clock)
    put_on_shelf(world.donor_school, make_textbook("Новая"), 5, by=world.donor, clock=clock)
    after = services.standing(sheet)
    assert (after.total, after.counted, after.state) == (3, 2, SheetState.CONFIRMED)
    with unit_of_work():
        services.close_campaign(campaign.id, seen=None, by=world.methodist, clock=clock)
    assert services.present_for(world.donor_school) is None


def test_lines_take_one_query(world: World, clock: FrozenClock, sheet: CountSheet) -> None:
    for title in ("Азбука", "Биология", "География", "История", "Физика", "Химия"):
        edition = on_shelf(world, clock, 12, title)
    tap(sheet, edition, 11, by=world.donor, clock=clock)
    with count_queries() as queries:
        rows = services.lines(db.session.get_one(CountSheet, sheet.id))
    assert len(rows) == 6
    assert len(queries) <= 2
    assert [row.row.title for row in services.lines(sheet, text="физика")] == ["Физика"]
