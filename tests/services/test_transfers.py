"""Transfers: every step, every side exit, wrong people, wrong moments, who is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
import sqlalchemy as sa

from exchange import journal
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.errors import Forbidden, Invalid, NotFound, Stale, WrongMoment
from exchange.journal import Letter
from exchange.ledger import services as ledger
from exchange.ledger.models import Balance
from exchange.ledger.rules import Line, MovementKind
from exchange.matching import services as matching
from exchange.postings import services as postings
from exchange.postings.models import Offer, Request
from exchange.schools.models import Holder, User
from exchange.schools.rules import HolderKind
from exchange.stock.models import Floor
from exchange.transfers import services
from exchange.transfers.models import Transfer
from exchange.transfers.rules import (
    Arrival,
    Bearer,
    Decision,
    DeclineReason,
    Kind,
    Party,
    State,
    StepName,
)
from tests.factories import World
from tests.postings_world import make_edition, make_textbook, offer_of, put_on_shelf, request_of
from tests.transfers_world import DUE, Deal, make_deal, walk


@pytest.fixture
def deal(world: World, clock: FrozenClock) -> Deal:
    with unit_of_work():
        return make_deal(world, clock)


@pytest.fixture
def loan(world: World, clock: FrozenClock) -> Deal:
    with unit_of_work():
        deal = make_deal(world, clock, kind=Kind.LOAN)
        walk(deal, world, clock, State.LENT)
        return deal


def copies(owner: Holder, holder: Holder | int, deal: Deal) -> tuple[int, int]:
    """Copies and promised copies of the deal's edition on one account."""
    holder_id = holder if isinstance(holder, int) else holder.id
    row = db.session.execute(
        sa.select(Balance.copies, Balance.promised).where(
            Balance.owner_id == owner.id,
            Balance.holder_id == holder_id,
            Balance.edition_id == deal.edition.id,
        )
    ).one_or_none()
    return (row.copies, row.promised) if row else (0, 0)


def technical(world: World, kind: HolderKind) -> int:
    return ledger.technical(world.district.id, kind)


def reserved(deal: Deal) -> int:
    return db.session.scalars(sa.select(Offer.reserved).where(Offer.id == deal.offer.id)).one()


def matched(deal: Deal) -> int:
    request = db.session.get_one(Request, deal.request.id)
    return sum(part.matched for part in request.parts)


def last_letters() -> list[tuple[str, bool]]:
    """Who was written to about the last thing that happened, and whether at once."""
    last = db.session.scalar(sa.select(sa.func.max(journal.JournalEntry.id)))
    letters = db.session.execute(
        sa.select(User.login, Letter.urgent)
        .join(User, User.id == Letter.user_id)
        .where(Letter.entry_id == last)
    )
    return sorted((login, urgent) for login, urgent in letters)


# --- The main road ---


@pytest.mark.parametrize("kind", list(Kind))
def test_the_main_road(world: World, clock: FrozenClock, kind: Kind) -> None:
    with unit_of_work():
        deal = make_deal(world, clock, kind=kind)
        giver, taker = world.donor_school, world.recipient_school
        assert (reserved(deal), matched(deal)) == (5, 5)
        assert copies(giver, giver, deal) == (10, 0)
        assert last_letters() == [("donor-director", False)]
        walk(deal, world, clock, State.AGREED)
        assert copies(giver, giver, deal) == (10, 5)
        assert last_letters() == [("recipient", False), ("recipient-director", False)]
        walk(deal, world, clock, State.ACCEPTED)
        assert last_letters() == [("methodist", False)]
        walk(deal, world, clock, State.APPROVED)
        assert last_letters() == [("donor", False)]
        walk(deal, world, clock, State.PACKED)
        walk(deal, world, clock, State.SHIPPED)
        assert copies(giver, giver, deal) == (5, 0)
        assert copies(giver, technical(world, HolderKind.TRANSIT), deal) == (5, 0)
        assert last_letters() == [("recipient", True)]
        walk(deal, world, clock, State.LENT if kind is Kind.LOAN else State.SETTLED)
    owner = giver if kind is Kind.LOAN else taker
    assert copies(owner, taker, deal) == (5, 0)
    assert (reserved(deal), matched(deal)) == (5, 5)
    assert ledger.verify() == []


def test_fewer_copies_free_the_rest(world: World, deal: Deal, clock: FrozenClock) -> None:
    with unit_of_work():
        services.agree(deal.id, {deal.line: 3}, by=world.donor_director, clock=clock)
        assert (reserved(deal), matched(deal)) == (3, 3)
        assert copies(world.donor_school, world.donor_school, deal) == (10, 3)
        services.accept(deal.id, by=world.recipient_director, clock=clock)
        services.approve(deal.id, by=world.methodist, clock=clock)
        services.pack(deal.id, {deal.line: 2}, by=world.donor, clock=clock)
        assert (reserved(deal), matched(deal)) == (2, 2)
        assert copies(world.donor_school, world.donor_school, deal) == (10, 2)
        services.ship(deal.id, by=world.donor, clock=clock)
    assert deal.transfer.lines[0].shipped == 2


@pytest.mark.parametrize("number", [0, 6, -1])
def test_impossible_agreements(world: World, deal: Deal, clock: FrozenClock, number: int) -> None:
    with pytest.raises(Invalid), unit_of_work():
        services.agree(deal.id, {deal.line: number}, by=world.donor_director, clock=clock)
    with pytest.raises(Invalid), unit_of_work():
        services.agree(deal.id, {deal.line + 1000: 1}, by=world.donor_director, clock=clock)
    assert db.session.get_one(Transfer, deal.id).state is State.PROPOSED


def test_what_is_gone_cannot_be_promised(world: World, deal: Deal, clock: FrozenClock) -> None:
    with unit_of_work():
        ledger.promise([ledger.Line(deal.edition.id, world.donor_school.id, world.donor_school.id, 7)])
    with pytest.raises(Invalid, match="свободно 3"), unit_of_work():
        services.agree(deal.id, {}, by=world.donor_director, clock=clock)


def test_act_numbers_restart_each_year(world: World, clock: FrozenClock) -> None:
    numbers = []
    with unit_of_work():
        deals = [make_deal(world, clock, title=f"Книга {n}") for n in range(3)]
        for deal in deals:
            walk(deal, world, clock, State.ACCEPTED)
        numbers += [
            (t.act_year, t.act_number)
            for t in services.approve_many([deals[1].id, deals[0].id], by=world.methodist, clock=clock)
        ]
        clock.advance(days=120)
        approved = services.approve(deals[2].id, by=world.methodist, clock=clock)
        numbers.append((approved.act_year, approved.act_number))
    assert numbers == [(2026, 1), (2026, 2), (2027, 1)]


def test_approving_many_leaves_what_has_moved_on(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        first, second = make_deal(world, clock, title="А"), make_deal(world, clock, title="Б")
        walk(first, world, clock, State.ACCEPTED)
        walk(second, world, clock, State.AGREED)
        approved = services.approve_many([first.id, second.id], by=world.methodist, clock=clock)
    assert [transfer.id for transfer in approved] == [first.id]
    with pytest.raises(Forbidden), unit_of_work():
        services.approve_many([second.id], by=world.donor, clock=clock)
    with pytest.raises(NotFound), unit_of_work():
        services.approve_many([second.id], by=world.outsider, clock=clock)


# --- Receipt and dispute ---


def test_receipt_in_several_goes(world: World, deal: Deal, clock: FrozenClock) -> None:
    with unit_of_work():
        walk(deal, world, clock, State.SHIPPED)
        version = deal.transfer.version
        services.receive(deal.id, {deal.line: Arrival(good=2)}, by=world.recipient, clock=clock)
        assert deal.transfer.state is State.SHIPPED
        assert deal.transfer.version > version
        services.receive(
            deal.id, {deal.line: Arrival(good=1, damaged=1)}, by=world.recipient, clock=clock, note="мокрые"
        )
        services.receive(deal.id, {deal.line: Arrival(missing=1)}, by=world.recipient, clock=clock)
        assert deal.transfer.state is State.DISPUTED
        assert last_letters() == [("methodist", True)]
    line = deal.transfer.lines[0]
    goes = services.deliveries(deal.transfer)
    assert [(one.lines[0].good, one.lines[0].damaged, one.lines[0].missing) for one in goes] == [
        (2, 0, 0),
        (1, 1, 0),
        (0, 0, 1),
    ]
    assert goes[1].note == "мокрые"
    assert (line.shipped, line.good, line.damaged, line.missing) == (5, 3, 1, 1)
    assert copies(world.donor_school, technical(world, HolderKind.DISPUTED), deal) == (2, 0)
    assert ledger.verify() == []


@pytest.mark.parametrize("arrival", [Arrival(good=6), Arrival(), Arrival(good=-1)])
def test_impossible_arrivals(world: World, deal: Deal, clock: FrozenClock, arrival: Arrival) -> None:
    with unit_of_work():
        walk(deal, world, clock, State.SHIPPED)
    with pytest.raises(Invalid), unit_of_work():
        services.receive(deal.id, {deal.line: arrival}, by=world.recipient, clock=clock)
    assert copies(world.donor_school, technical(world, HolderKind.TRANSIT), deal) == (5, 0)


@pytest.mark.parametrize("kind", list(Kind))
def test_settling_a_dispute(world: World, clock: FrozenClock, kind: Kind) -> None:
    with unit_of_work():
        deal = make_deal(world, clock, kind=kind)
        walk(deal, world, clock, State.DISPUTED, damaged=2, missing=1)
    for wrong in (Decision(kept=2), Decision(kept=1, sent_back=1, lost=1), Decision(kept=4)):
        with pytest.raises(Invalid), unit_of_work():
            services.settle(deal.id, {deal.line: wrong}, by=world.methodist, clock=clock)
    with unit_of_work():
        services.settle(
            deal.id,
            {deal.line: Decision(kept=1, sent_back=1, lost=1, bearer=Bearer.GIVER)},
            by=world.methodist,
            clock=clock,
        )
    giver, taker = world.donor_school, world.recipient_school
    owner = giver if kind is Kind.LOAN else taker
    assert db.session.get_one(Transfer, deal.id).state is (State.LENT if kind is Kind.LOAN else State.SETTLED)
    assert copies(owner, taker, deal) == (3, 0)
    assert copies(giver, giver, deal) == (6, 0)
    assert copies(giver, technical(world, HolderKind.WRITTEN_OFF), deal) == (1, 0)
    assert copies(giver, technical(world, HolderKind.DISPUTED), deal) == (0, 0)
    # The one that came back may be asked for again; both that never arrived for good are missing again.
    assert (reserved(deal), matched(deal)) == (4, 3)
    assert deal.transfer.lines[0].loss_borne_by is Bearer.GIVER
    assert ledger.verify() == []


def test_stopping_what_is_on_the_road(world: World, deal: Deal, clock: FrozenClock) -> None:
    with unit_of_work():
        walk(deal, world, clock, State.SHIPPED)
        services.receive(deal.id, {deal.line: Arrival(good=2)}, by=world.recipient, clock=clock)
    with pytest.raises(Invalid), unit_of_work():
        services.stop(deal.id, by=world.donor, clock=clock)
    with unit_of_work():
        services.stop(deal.id, "распутица", by=world.donor, clock=clock)
        assert deal.transfer.state is State.SETTLED
        assert last_letters() == [("recipient", True)]
    assert copies(world.donor_school, world.donor_school, deal) == (8, 0)
    assert copies(world.recipient_school, world.recipient_school, deal) == (2, 0)
    assert (reserved(deal), matched(deal)) == (2, 2)


def test_stopping_all_of_it(world: World, deal: Deal, clock: FrozenClock) -> None:
    with unit_of_work():
        walk(deal, world, clock, State.SHIPPED)
        services.stop(deal.id, "вернули", by=world.methodist, clock=clock)
    assert deal.transfer.state is State.STOPPED
    assert (reserved(deal), matched(deal)) == (0, 0)
    assert ledger.verify() == []


def test_stopping_with_a_dispute_goes_to_the_methodist(world: World, deal: Deal, clock: FrozenClock) -> None:
    with unit_of_work():
        walk(deal, world, clock, State.SHIPPED)
        services.receive(deal.id, {deal.line: Arrival(damaged=1)}, by=world.recipient, clock=clock)
        services.stop(deal.id, "вернули", by=world.donor, clock=clock)
        assert deal.transfer.state is State.DISPUTED
        assert last_letters() == [("methodist", True)]


# --- Loans ---


def test_a_loan_comes_back_in_parts(world: World, loan: Deal, clock: FrozenClock) -> None:
    with unit_of_work():
        services.hand_back(loan.id, {loan.line: 3}, by=world.donor, clock=clock)
        assert loan.transfer.state is State.LENT
    for wrong in (3, 0, -1):
        with pytest.raises(Invalid), unit_of_work():
            services.hand_back(loan.id, {loan.line: wrong}, by=world.donor, clock=clock)
    with unit_of_work():
        services.replace(loan.id, {loan.line: 2}, by=world.donor, clock=clock)
    giver = world.donor_school
    assert db.session.get_one(Transfer, loan.id).state is State.RETURNED
    assert copies(giver, giver, loan) == (10, 0)
    assert copies(giver, world.recipient_school, loan) == (0, 0)
    assert copies(giver, technical(world, HolderKind.WRITTEN_OFF), loan) == (2, 0)
    assert ledger.verify() == []


def test_prolonging(world: World, loan: Deal, clock: FrozenClock) -> None:
    assert loan.transfer.due_back == DUE
    for wrong in (DUE, date(2026, 9, 1)):
        with pytest.raises(Invalid), unit_of_work():
            services.prolong(loan.id, wrong, by=world.donor, clock=clock)
    with unit_of_work():
        services.prolong(loan.id, date(2027, 8, 20), by=world.donor_director, clock=clock)
        assert last_letters() == [("recipient", False)]
    assert db.session.get_one(Transfer, loan.id).due_back == date(2027, 8, 20)


def test_a_loan_waits_when_it_is_due(world: World, loan: Deal, clock: FrozenClock) -> None:
    assert services.waiting_count(world.donor, clock=clock) == 0
    clock.advance(days=250)
    assert [row.step for row in services.waiting(world.donor, clock=clock)] == [StepName.RETURN]
    assert [row.step for row in services.waiting(world.recipient, clock=clock)] == [None]
    assert services.waiting_count(world.donor, clock=clock) == 1
    assert services.waiting_count(world.stranger, clock=clock) == 0


def test_a_permanent_transfer_is_not_returned(world: World, deal: Deal, clock: FrozenClock) -> None:
    with unit_of_work():
        walk(deal, world, clock, State.SETTLED)
    with pytest.raises(WrongMoment), unit_of_work():
        services.hand_back(deal.id, {deal.line: 1}, by=world.donor, clock=clock)


# --- Side exits ---


@pytest.mark.parametrize(
    ("at", "who", "reason"),
    [
        (State.PROPOSED, "donor_director", DeclineReason.NEEDED),
        (State.AGREED, "recipient", DeclineReason.WRONG_EDITION),
        (State.ACCEPTED, "methodist", DeclineReason.BETTER_USE),
    ],
)
def test_declining_frees_everything(
    world: World, deal: Deal, clock: FrozenClock, at: State, who: str, reason: DeclineReason
) -> None:
    with unit_of_work():
        walk(deal, world, clock, at)
        services.decline(deal.id, reason, by=getattr(world, who), clock=clock)
    assert deal.transfer.state is State.DECLINED
    assert deal.transfer.decline_reason is reason
    assert copies(world.donor_school, world.donor_school, deal) == (10, 0)
    assert (reserved(deal), matched(deal)) == (0, 0)


def test_reasons_are_those_of_the_party(world: World, deal: Deal, clock: FrozenClock) -> None:
    for reason in (DeclineReason.NO_ANSWER, DeclineReason.NO_LONGER_NEEDED, DeclineReason.OTHER):
        with pytest.raises(Invalid), unit_of_work():
            services.decline(deal.id, reason, by=world.donor_director, clock=clock)


@pytest.mark.parametrize(
    ("at", "who", "allowed"),
    [
        (State.PROPOSED, "recipient", True),
        (State.PROPOSED, "donor_director", False),
        (State.PROPOSED, "methodist", True),
        (State.AGREED, "donor_director", True),
        (State.AGREED, "recipient", False),
        (State.ACCEPTED, "recipient_director", True),
        (State.ACCEPTED, "methodist", False),
        (State.APPROVED, "donor", True),
        (State.PACKED, "methodist", True),
        (State.SHIPPED, "donor", False),
        (State.SETTLED, "methodist", False),
    ],
)
def test_withdrawing(
    world: World, deal: Deal, clock: FrozenClock, at: State, who: str, allowed: bool
) -> None:
    with unit_of_work():
        walk(deal, world, clock, at)
    if not allowed:
        with pytest.raises(WrongMoment), unit_of_work():
            services.withdraw(deal.id, "иначе решили", by=getattr(world, who), clock=clock)
        assert db.session.get_one(Transfer, deal.id).state is at
        return
    with unit_of_work():
        services.withdraw(deal.id, "иначе решили", by=getattr(world, who), clock=clock)
    assert deal.transfer.state is State.WITHDRAWN
    assert copies(world.donor_school, world.donor_school, deal) == (10, 0)
    assert (reserved(deal), matched(deal)) == (0, 0)


def test_withdrawing_before_the_drive_is_told_at_once(world: World, deal: Deal, clock: FrozenClock) -> None:
    with unit_of_work():
        walk(deal, world, clock, State.PACKED)
    with pytest.raises(Invalid), unit_of_work():
        services.withdraw(deal.id, by=world.methodist, clock=clock)
    with unit_of_work():
        services.withdraw(deal.id, "дорогу размыло", by=world.methodist, clock=clock)
        assert last_letters() == [("donor", True), ("recipient", True)]


# --- The next giver ---


@pytest.fixture
def second_offer(world: World, deal: Deal, clock: FrozenClock) -> Offer:
    """The third school offers the same book, of the year that the donor's is of."""
    with unit_of_work():
        put_on_shelf(world.stranger_school, deal.edition, 4, by=world.stranger, clock=clock)
        return offer_of(world, clock, deal.edition, 4, holder=world.stranger_school, by=world.stranger)


def next_of(deal: Deal) -> Transfer | None:
    return db.session.scalar(sa.select(Transfer).where(Transfer.previous_id == deal.id))


def test_a_refused_need_goes_to_the_next_giver(
    world: World, deal: Deal, clock: FrozenClock, second_offer: Offer
) -> None:
    with unit_of_work():
        services.decline(deal.id, DeclineReason.NEEDED, by=world.donor_director, clock=clock)
    following = next_of(deal)
    assert following is not None
    assert (following.giver_id, following.state) == (world.stranger_school.id, State.PROPOSED)
    assert following.proposed_by is Party.SYSTEM
    assert following.lines[0].asked == 4
    assert matched(deal) == 4
    with unit_of_work():
        services.withdraw(following.id, by=world.methodist, clock=clock)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Transfer)) == 2


def test_a_giver_that_goes_back_on_its_word_is_followed_too(
    world: World, deal: Deal, clock: FrozenClock, second_offer: Offer
) -> None:
    with unit_of_work():
        walk(deal, world, clock, State.APPROVED)
        services.withdraw(deal.id, "нужны самим", by=world.donor_director, clock=clock)
    assert next_of(deal) is not None


def test_the_refusals_go_round_once(
    world: World, deal: Deal, clock: FrozenClock, second_offer: Offer
) -> None:
    with unit_of_work():
        services.decline(deal.id, DeclineReason.NEEDED, by=world.donor_director, clock=clock)
        following = next_of(deal)
    # The third school has no director here: it keeps silent.
    clock.advance(days=9)
    with unit_of_work():
        assert [transfer.id for transfer in services.expire(clock)] == [following.id]
        assert services.expire(clock) == []
    following = db.session.get_one(Transfer, following.id)
    assert (following.state, following.decline_reason) == (State.DECLINED, DeclineReason.NO_ANSWER)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Transfer)) == 2
    assert matched(deal) == 0
    assert last_letters() == [("recipient", False)]


@pytest.mark.parametrize("unfit", ["year", "kind", "withdrawn", "expired", "last_year"])
def test_an_unfit_offer_is_not_asked(world: World, clock: FrozenClock, unfit: str) -> None:
    with unit_of_work():
        textbook = make_textbook(
            "География", **({"appendix": 2, "until": date(2027, 8, 31)} if unfit == "last_year" else {})
        )
        edition, old = make_edition(textbook, year=2022), make_edition(textbook, year=2016)
        kind = {"kind": services.OfferKind.LOAN, "due_back": DUE}
        first_terms = kind if unfit == "last_year" else {}
        request = request_of(
            world,
            clock,
            textbook,
            copies_by_part={1: 2},
            year_from=2020,
            loan_acceptable=unfit not in {"kind"},
        )
        third = world.stranger_school
        put_on_shelf(world.donor_school, edition, 2, by=world.donor, clock=clock)
        put_on_shelf(third, old if unfit == "year" else edition, 2, by=world.stranger, clock=clock)
        first = offer_of(world, clock, edition, 2, **first_terms)
        other = offer_of(
            world,
            clock,
            old if unfit == "year" else edition,
            2,
            holder=third,
            by=world.stranger,
            **(kind if unfit in {"kind", "last_year"} else {}),
        )
        if unfit == "withdrawn":
            postings.withdraw_offer(other.id, by=world.stranger, clock=clock)
        if unfit == "expired":
            other.expires_on = date(2026, 9, 15)
        transfer = services.propose(
            giver=world.donor_school,
            taker=world.recipient_school,
            kind=Kind(first.kind.value),
            lines=[
                services.NewLine(
                    edition.id, world.donor_school.id, 2, offer_id=first.id, request_id=request.id
                )
            ],
            proposed_by=Party.METHODIST,
            by=world.methodist,
            clock=clock,
        )
    if unfit == "last_year":
        # The book's last day passes before the giver's silence does.
        clock.set(clock.now().replace(year=2027, month=9, day=1))
    else:
        clock.advance(days=9)
    with unit_of_work():
        services.expire(clock)
    assert db.session.get_one(Transfer, transfer.id).state is State.DECLINED
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Transfer)) == 1


def test_a_takers_silence_frees_the_promise(world: World, deal: Deal, clock: FrozenClock) -> None:
    with unit_of_work():
        walk(deal, world, clock, State.AGREED)
    clock.advance(days=7)
    with unit_of_work():
        assert services.expire(clock) == []
    clock.advance(days=1)
    with unit_of_work():
        assert len(services.expire(clock)) == 1
    assert copies(world.donor_school, world.donor_school, deal) == (10, 0)
    assert (reserved(deal), matched(deal)) == (0, 0)
    assert next_of(deal) is None


# --- The door ---


WRONG_PEOPLE = [
    (State.PROPOSED, "donor", services.agree, ({},)),
    (State.PROPOSED, "recipient_director", services.agree, ({},)),
    (State.PROPOSED, "methodist", services.agree, ({},)),
    (State.AGREED, "donor_director", services.accept, ()),
    (State.AGREED, "deputy", services.accept, ()),
    (State.ACCEPTED, "recipient_director", services.approve, ()),
    (State.APPROVED, "donor_director", services.pack, ()),
    (State.PACKED, "recipient", services.ship, ()),
    (State.SHIPPED, "donor", services.receive, ({},)),
    (State.SHIPPED, "methodist", services.receive, ({},)),
    (State.SHIPPED, "recipient", services.stop, ("назад",)),
    (State.SHIPPED, "accountant", services.stop, ("назад",)),
    (State.DISPUTED, "donor", services.settle, ({},)),
]


@pytest.mark.parametrize(("at", "who", "step", "arguments"), WRONG_PEOPLE)
def test_wrong_people(
    world: World,
    deal: Deal,
    clock: FrozenClock,
    at: State,
    who: str,
    step: Callable[..., Transfer],
    arguments: tuple[object, ...],
) -> None:
    with unit_of_work():
        walk(deal, world, clock, at, **({"missing": 1} if at is State.DISPUTED else {}))
    with pytest.raises(Forbidden), unit_of_work():
        step(deal.id, *arguments, by=getattr(world, who), clock=clock)
    for outside in (world.stranger, world.outsider, world.head, world.administrator):
        with pytest.raises(NotFound), unit_of_work():
            step(deal.id, *arguments, by=outside, clock=clock)
    assert db.session.get_one(Transfer, deal.id).state is at


def test_wrong_moments(world: World, deal: Deal, clock: FrozenClock) -> None:
    for step, by in (
        (services.accept, world.recipient),
        (services.approve, world.methodist),
        (services.pack, world.donor),
        (services.ship, world.donor),
    ):
        with pytest.raises(WrongMoment), unit_of_work():
            step(deal.id, by=by, clock=clock)


def test_stale_names_what_happened(world: World, deal: Deal, clock: FrozenClock) -> None:
    seen = deal.transfer.version
    with unit_of_work():
        services.agree(deal.id, {}, seen=seen, by=world.donor_director, clock=clock)
    with pytest.raises(Stale) as refused, unit_of_work():
        services.agree(deal.id, {}, seen=seen, by=world.donor_director, clock=clock)
    text = str(refused.value)
    assert "Отдающая сторона согласна: 5 экз. из 5" in text
    assert "Donor-Director Тестовый" in text
    assert "14.09.2026 10:00" in text
    assert copies(world.donor_school, world.donor_school, deal) == (10, 5)


def test_a_second_click_without_a_version_is_refused(world: World, deal: Deal, clock: FrozenClock) -> None:
    with unit_of_work():
        walk(deal, world, clock, State.SHIPPED)
    with pytest.raises(WrongMoment), unit_of_work():
        services.ship(deal.id, by=world.donor, clock=clock)
    assert copies(world.donor_school, world.donor_school, deal) == (5, 0)


def test_waiting_follows_every_step(world: World, deal: Deal, clock: FrozenClock) -> None:
    turns = [
        (State.PROPOSED, {"donor_director": StepName.AGREE}),
        (State.AGREED, {"recipient": StepName.ACCEPT, "recipient_director": StepName.ACCEPT}),
        (State.ACCEPTED, {"methodist": StepName.APPROVE}),
        (State.APPROVED, {"donor": StepName.PACK}),
        (State.PACKED, {"donor": StepName.SHIP}),
        (State.SHIPPED, {"recipient": StepName.RECEIVE}),
        (State.DISPUTED, {"methodist": StepName.SETTLE}),
    ]
    everyone = (
        "donor",
        "donor_director",
        "recipient",
        "recipient_director",
        "methodist",
        "stranger",
        "head",
        "deputy",
        "outsider",
    )
    for state, expected in turns:
        with unit_of_work():
            walk(deal, world, clock, state, **({"missing": 2} if state is State.DISPUTED else {}))
        for name in everyone:
            person = getattr(world, name)
            found = [row.step for row in services.waiting(person, clock=clock)]
            assert found == ([expected[name]] if name in expected else []), (state, name)
            assert services.waiting_count(person, clock=clock) == len(found)


# --- Proposing ---


def propose(world: World, clock: FrozenClock, deal: Deal, **changes: object) -> Transfer:
    line = {
        "edition_id": deal.edition.id,
        "owner_id": world.donor_school.id,
        "copies": 1,
        "offer_id": deal.offer.id,
    }
    values: dict[str, object] = {
        "giver": world.donor_school,
        "taker": world.recipient_school,
        "kind": Kind.PERMANENT,
        "proposed_by": Party.TAKER,
        "by": world.recipient,
        "clock": clock,
    }
    line |= {key: value for key, value in changes.items() if key in line or key == "request_id"}
    values |= {key: value for key, value in changes.items() if key not in line}
    return services.propose(**values, lines=[services.NewLine(**line)])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"copies": 0}, Invalid),
        ({"copies": 1}, Invalid),
        ({"offer_id": None}, Invalid),
        ({"taker": "donor_school", "by": "donor"}, Invalid),
        ({"taker": "stranger_school"}, Forbidden),
        ({"by": "recipient_director"}, Forbidden),
        ({"by": "outsider"}, NotFound),
        ({"giver": "stranger_school"}, NotFound),
        ({"edition_id": 10**6}, NotFound),
        ({"proposed_by": Party.METHODIST}, Forbidden),
    ],
)
def test_impossible_proposals(
    world: World, deal: Deal, clock: FrozenClock, changes: dict[str, object], error: type[Exception]
) -> None:
    changes = {
        key: getattr(world, value) if isinstance(value, str) else value for key, value in changes.items()
    }
    with pytest.raises(error), unit_of_work():
        propose(world, clock, deal, **changes)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Transfer)) == 1


def test_what_is_on_loan_is_not_given_for_good(world: World, loan: Deal, clock: FrozenClock) -> None:
    with pytest.raises(Invalid, match="на время"), unit_of_work():
        services.propose(
            giver=world.recipient_school,
            taker=world.stranger_school,
            kind=Kind.PERMANENT,
            lines=[services.NewLine(loan.edition.id, world.donor_school.id, 1)],
            proposed_by=Party.METHODIST,
            by=world.methodist,
            clock=clock,
        )


def test_nobody_borrows_their_own_books(world: World, loan: Deal, clock: FrozenClock) -> None:
    with pytest.raises(Invalid, match="на балансе получателя"), unit_of_work():
        services.propose(
            giver=world.recipient_school,
            taker=world.donor_school,
            kind=Kind.LOAN,
            lines=[services.NewLine(loan.edition.id, world.donor_school.id, 1)],
            proposed_by=Party.METHODIST,
            by=world.methodist,
            clock=clock,
        )


# --- The fund ---


def fund_transfer(
    world: World, clock: FrozenClock, *, on_shelf: int, copies: int, floor: int, second_place: int = 0
) -> Transfer:
    textbook = make_textbook("Астрономия")
    edition = make_edition(textbook)
    put_on_shelf(world.fund, edition, on_shelf, by=world.methodist, clock=clock)
    if second_place:
        place = Holder(
            district_id=world.district.id, kind=HolderKind.FUND, code="ORF2", name="ОРФ 2", short_name="ОРФ 2"
        )
        db.session.add(place)
        db.session.flush()
        put_on_shelf(place, edition, second_place, by=world.methodist, clock=clock)
    db.session.add(
        Floor(
            district_id=world.district.id,
            textbook_id=textbook.id,
            copies=floor,
            set_by_id=world.methodist.id,
            set_at=clock.now(),
        )
    )
    db.session.flush()
    return services.ask_fund(
        world.fund,
        edition,
        taker=world.recipient_school,
        kind=Kind.LOAN,
        copies=copies,
        by=world.recipient,
        clock=clock,
    )


def test_the_floor_of_the_fund(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        transfer = fund_transfer(world, clock, on_shelf=5, copies=4, floor=2)
        line = transfer.lines[0].id
    with pytest.raises(Invalid) as refused, unit_of_work():
        services.agree(transfer.id, {}, by=world.methodist, clock=clock)
    assert refused.value.field == "floor_exception"
    with unit_of_work():
        services.agree(
            transfer.id, {}, by=world.methodist, clock=clock, floor_exception="единственный класс в селе"
        )
    transfer = db.session.get_one(Transfer, transfer.id)
    assert transfer.floor_exception == "единственный класс в селе"
    told = [entry.message % entry.parameters for entry in journal.history("transfer", transfer.id)]
    assert any("единственный класс в селе" in text for text in told)
    assert transfer.lines[0].id == line


def test_above_the_floor_no_exception_is_kept(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        transfer = fund_transfer(world, clock, on_shelf=5, copies=4, floor=2)
        services.agree(
            transfer.id,
            {transfer.lines[0].id: 3},
            by=world.methodist,
            clock=clock,
            floor_exception="на всякий случай",
        )
    assert transfer.floor_exception == ""


def test_the_floor_counts_all_places_of_the_fund(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        transfer = fund_transfer(world, clock, on_shelf=4, copies=4, floor=2, second_place=2)
        services.agree(transfer.id, {}, by=world.methodist, clock=clock)
    assert transfer.state is State.AGREED


def test_asking_more_than_the_fund_has(world: World, clock: FrozenClock) -> None:
    with pytest.raises(Invalid, match="свободно 3"), unit_of_work():
        fund_transfer(world, clock, on_shelf=3, copies=4, floor=1)


def test_the_fund_gives_for_good_only_what_is_its_own(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        edition = make_edition(make_textbook())
        source = ledger.technical(world.district.id, HolderKind.SOURCE)
        ledger.post(
            MovementKind.ACQUISITION,
            [
                Line(edition.id, source, source, -5),
                Line(edition.id, world.donor_school.id, world.fund.id, 5),
            ],
            by=world.methodist,
            clock=clock,
            district_id=world.district.id,
        )
        put_on_shelf(world.fund, edition, 2, by=world.methodist, clock=clock)

    def ask(kind: Kind, number: int) -> Transfer:
        return services.ask_fund(
            world.fund,
            edition,
            taker=world.recipient_school,
            kind=kind,
            copies=number,
            by=world.recipient,
            clock=clock,
        )

    with pytest.raises(Invalid, match="свободно 2"), unit_of_work():
        ask(Kind.PERMANENT, 3)
    with pytest.raises(Invalid, match="только свои"), unit_of_work():
        services.propose(
            giver=world.fund,
            taker=world.recipient_school,
            kind=Kind.PERMANENT,
            lines=[services.NewLine(edition.id, world.donor_school.id, 1)],
            proposed_by=Party.METHODIST,
            by=world.methodist,
            clock=clock,
        )
    with unit_of_work():
        assert [line.owner_id for line in ask(Kind.PERMANENT, 2).lines] == [world.fund.id]
        assert {line.owner_id for line in ask(Kind.LOAN, 3).lines} == {world.fund.id, world.donor_school.id}


def test_the_matching_lends_what_the_fund_keeps_for_a_school(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        edition = make_edition(make_textbook())
        source = ledger.technical(world.district.id, HolderKind.SOURCE)
        ledger.post(
            MovementKind.ACQUISITION,
            [
                Line(edition.id, source, source, -5),
                Line(edition.id, world.donor_school.id, world.fund.id, 5),
            ],
            by=world.methodist,
            clock=clock,
            district_id=world.district.id,
        )
    (supply,) = matching.gather(world.district, clock=clock).problem.supplies
    assert supply.kind is Kind.LOAN
