"""Surpluses and requests: what may be posted, reserved, changed, withdrawn and renewed."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from exchange import journal
from exchange.catalog.models import Edition
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.errors import Forbidden, Invalid, NotFound, Stale, WrongMoment
from exchange.ledger import services as ledger
from exchange.ledger.rules import Line, MovementKind
from exchange.postings import services
from exchange.postings.models import Offer, RequestPart
from exchange.postings.rules import OfferKind, PostingState, ShortageReason
from exchange.schools.rules import HolderKind
from exchange.stock.models import ShelfNote
from exchange.stock.rules import Condition
from exchange.transfers import rules as transfer_rules
from tests.factories import World
from tests.postings_world import TODAY, make_edition, make_textbook, offer_of, put_on_shelf, request_of


@pytest.fixture
def edition(world: World, clock: FrozenClock) -> Edition:
    """Ten copies of one book on the giver's shelf."""
    with unit_of_work():
        made = make_edition(make_textbook())
        put_on_shelf(world.donor_school, made, 10, by=world.donor, clock=clock)
    return made


def test_no_more_is_offered_than_lies_free(world: World, clock: FrozenClock, edition: Edition) -> None:
    with unit_of_work():
        offer_of(world, clock, edition, 7)
        assert services.free_on_shelf(world.donor_school.id, [edition.id]) == {edition.id: 3}
        with pytest.raises(Invalid, match="свободно только 3"):
            offer_of(world, clock, edition, 4)
        offer_of(world, clock, edition, 3)


def test_worn_promised_and_foreign_copies_are_not_free(
    world: World, clock: FrozenClock, edition: Edition
) -> None:
    giver = world.donor_school
    with unit_of_work():
        db.session.add(ShelfNote(holder_id=giver.id, edition_id=edition.id, worn=2))
        ledger.promise([Line(edition.id, giver.id, giver.id, 3)])
        source = ledger.technical(giver.district_id, HolderKind.SOURCE)
        ledger.post(
            MovementKind.ACQUISITION,
            [
                Line(edition.id, source, source, -8),
                Line(edition.id, world.stranger_school.id, giver.id, 8),
            ],
            by=world.donor,
            clock=clock,
            district_id=giver.district_id,
        )
        assert services.free_on_shelf(giver.id, [edition.id]) == {edition.id: 5}


def test_reserve_and_give_back(world: World, clock: FrozenClock, edition: Edition) -> None:
    with unit_of_work():
        offer = offer_of(world, clock, edition, 5)
        services.reserve(offer.id, 4)
        assert offer.free == 1
        with pytest.raises(Invalid, match="свободно только 1"):
            services.reserve(offer.id, 2)
        services.reserve(offer.id, -3)
        assert (offer.reserved, offer.free) == (1, 4)
        with pytest.raises(ValueError, match="given back"):
            services.reserve(offer.id, -2)
        with pytest.raises(NotFound):
            services.reserve(999_999, 1)


def test_what_is_withdrawn_gives_nothing_more_but_takes_back(
    world: World, clock: FrozenClock, edition: Edition
) -> None:
    with unit_of_work():
        offer = offer_of(world, clock, edition, 5)
        services.reserve(offer.id, 2)
        services.withdraw_offer(offer.id, seen=offer.version, by=world.donor, clock=clock)
        assert (offer.state, offer.reserved) == (PostingState.WITHDRAWN, 2)
        with pytest.raises(Invalid, match="уже снят"):
            services.reserve(offer.id, 1)
        services.reserve(offer.id, -2)
        assert offer.reserved == 0


def test_match_counts_part_by_part(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        request = request_of(world, clock, make_textbook(parts=2), copies_by_part={1: 2, 2: 5})
        services.match(request.id, 2, 5)
        with pytest.raises(Invalid, match="уже только 0"):
            services.match(request.id, 2, 1)
        assert [(p.part, p.open) for p in request.parts] == [(1, 2), (2, 0)]
        services.match(request.id, 2, -1)
        assert request.parts[1].open == 1
        services.withdraw_request(request.id, seen=None, by=world.recipient, clock=clock)
        with pytest.raises(Invalid, match="уже снята"):
            services.match(request.id, 1, 1)
        services.match(request.id, 2, -4)


def test_the_name_of_a_proposed_transfer_is_theirs() -> None:
    assert transfer_rules.State.PROPOSED.value == services.PROPOSED


def test_change_keeps_what_is_reserved(world: World, clock: FrozenClock, edition: Edition) -> None:
    terms = {
        "kind": OfferKind.LOAN,
        "condition": Condition.FAIR,
        "due_back": date(2027, 6, 20),
        "available_from": None,
        "expires_on": TODAY + timedelta(days=10),
        "note": "без обложки",
        "by": world.donor,
        "clock": clock,
    }
    with unit_of_work():
        offer = offer_of(world, clock, edition, 5)
        services.reserve(offer.id, 3)
        ledger.promise([Line(edition.id, world.donor_school.id, world.donor_school.id, 3)])
        with pytest.raises(Invalid, match="Уже запрошено"):
            services.change_offer(offer.id, copies=2, seen=offer.version, **terms)
        with pytest.raises(Invalid, match="свободно только 10"):
            services.change_offer(offer.id, copies=11, seen=offer.version, **terms)
    seen = offer.version
    with unit_of_work():
        changed = services.change_offer(offer.id, copies=10, seen=seen, **terms)
        assert (changed.copies, changed.due_back, changed.note) == (10, date(2027, 6, 20), "без обложки")
    with unit_of_work(), pytest.raises(Stale, match="стало 10"):
        services.change_offer(offer.id, copies=9, seen=seen, **terms)


def test_terms_must_fit(world: World, clock: FrozenClock, edition: Edition) -> None:
    with unit_of_work():
        for wrong, field in (
            ({"copies": 0}, "copies"),
            ({"kind": OfferKind.LOAN}, "due_back"),
            ({"kind": OfferKind.LOAN, "due_back": TODAY}, "due_back"),
            ({"expires_on": TODAY - timedelta(days=1)}, "expires_on"),
            ({"expires_on": TODAY + timedelta(days=400)}, "expires_on"),
            ({"available_from": TODAY + timedelta(days=90)}, "available_from"),
        ):
            with pytest.raises(Invalid) as refused:
                offer_of(world, clock, edition, **wrong)
            assert refused.value.field == field


def test_a_book_in_its_last_year_is_lent_only(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        last = make_edition(make_textbook("Химия", appendix=2, until=date(2027, 8, 31)))
        put_on_shelf(world.donor_school, last, 5, by=world.donor, clock=clock)
        with pytest.raises(Invalid, match=r"до 31.08.2027, приказ 858.*на время") as refused:
            offer_of(world, clock, last)
        assert refused.value.field == "kind"
        lent = offer_of(world, clock, last, kind=OfferKind.LOAN, due_back=date(2027, 6, 20))
        with pytest.raises(Invalid, match="последний год"):
            services.change_offer(
                lent.id, copies=5, kind=OfferKind.PERMANENT, condition=Condition.GOOD, due_back=None,
                available_from=None, expires_on=TODAY, note="", seen=None, by=world.donor, clock=clock,
            )  # fmt: skip


def test_an_excluded_book_is_not_posted(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        gone = make_edition(make_textbook("Астрономия", appendix=2, until=date(2026, 8, 31)))
        put_on_shelf(world.donor_school, gone, 5, by=world.donor, clock=clock)
        for kind in OfferKind:
            with pytest.raises(Invalid, match=r"до 31.08.2026 \(приказ 858"):
                offer_of(world, clock, gone, kind=kind, due_back=date(2027, 6, 20))
        with pytest.raises(Invalid, match=r"до 31.08.2026 \(приказ 858"):
            request_of(world, clock, gone.textbook)


def test_only_the_own_librarian_posts(world: World, clock: FrozenClock, edition: Edition) -> None:
    with unit_of_work():
        for other in (world.recipient, world.donor_director, world.methodist):
            with pytest.raises(Forbidden):
                offer_of(world, clock, edition, by=other)
        with pytest.raises(NotFound):
            offer_of(world, clock, edition, by=world.outsider)
        with pytest.raises(Forbidden):
            request_of(world, clock, edition.textbook, by=world.donor)
        request_of(world, clock, edition.textbook, by=world.deputy)


def test_one_open_request_for_a_book(world: World, clock: FrozenClock, edition: Edition) -> None:
    with unit_of_work():
        first = request_of(world, clock, edition.textbook)
        with pytest.raises(Invalid, match="уже есть"):
            request_of(world, clock, edition.textbook)
        services.withdraw_request(first.id, seen=None, by=world.recipient, clock=clock)
        request_of(world, clock, edition.textbook)


def test_change_of_a_request(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        request = request_of(world, clock, make_textbook(parts=3), copies_by_part={1: 4, 2: 4})
        services.match(request.id, 1, 2)
    terms = {
        "reason": ShortageReason.LOST,
        "needed_by": None,
        "year_from": 2020,
        "loan_acceptable": False,
        "expires_on": TODAY + timedelta(days=5),
        "note": "",
        "by": world.recipient,
        "clock": clock,
    }
    seen = request.version
    with unit_of_work():
        with pytest.raises(Invalid, match="Уже подобрано 2"):
            services.change_request(request.id, copies_by_part={1: 1}, seen=seen, **terms)
        with pytest.raises(Invalid, match="Уже подобрано 2"):
            services.change_request(request.id, copies_by_part={2: 1}, seen=seen, **terms)
        services.change_request(request.id, copies_by_part={1: 3, 3: 6, 2: 0}, seen=seen, **terms)
    assert [(p.part, p.copies, p.matched) for p in request.parts] == [(1, 3, 2), (3, 6, 0)]
    assert request.version == seen + 1


def test_postings_warn_end_and_are_renewed(world: World, clock: FrozenClock, edition: Edition) -> None:
    with unit_of_work():
        offer = offer_of(world, clock, edition, 6, expires_on=TODAY + timedelta(days=10))
        request = request_of(world, clock, edition.textbook, expires_on=TODAY + timedelta(days=10))
        assert services.remind(clock=clock) == 0
    clock.advance(days=3)
    with unit_of_work():
        assert services.remind(clock=clock) == 2
        assert services.remind(clock=clock) == 0
    told = db.session.scalars(sa.select(journal.Letter.user_id)).all()
    assert sorted(told) == sorted([world.donor.id, world.recipient.id, world.deputy.id])
    clock.advance(days=7)
    with unit_of_work():
        assert services.expire(clock=clock) == 0
    clock.advance(days=1)
    with unit_of_work():
        assert services.expire(clock=clock) == 2
        assert services.expire(clock=clock) == 0
    assert (offer.state, request.state) == (PostingState.EXPIRED, PostingState.EXPIRED)
    later = TODAY + timedelta(days=40)
    with unit_of_work():
        services.renew_offer(offer.id, expires_on=later, seen=offer.version, by=world.donor, clock=clock)
        services.renew_request(request.id, expires_on=later, seen=None, by=world.recipient, clock=clock)
    assert (offer.state, offer.expires_on, request.state) == (PostingState.OPEN, later, PostingState.OPEN)


def test_renewal_of_an_expired_offer_needs_the_books(
    world: World, clock: FrozenClock, edition: Edition
) -> None:
    with unit_of_work():
        old = offer_of(world, clock, edition, 6, expires_on=TODAY)
    clock.advance(days=1)
    later = TODAY + timedelta(days=40)
    with unit_of_work():
        services.expire(clock=clock)
        offer_of(world, clock, edition, 6)
        with pytest.raises(Invalid, match="свободно только 4"):
            services.renew_offer(old.id, expires_on=later, seen=None, by=world.donor, clock=clock)
        services.withdraw_offer(
            db.session.scalars(sa.select(Offer.id).where(Offer.state == PostingState.OPEN)).one(),
            seen=None,
            by=world.donor,
            clock=clock,
        )
        services.renew_offer(old.id, expires_on=later, seen=None, by=world.donor, clock=clock)


def test_withdrawn_is_withdrawn(world: World, clock: FrozenClock, edition: Edition) -> None:
    later = TODAY + timedelta(days=40)
    with unit_of_work():
        offer = offer_of(world, clock, edition)
        services.withdraw_offer(offer.id, seen=None, by=world.donor, clock=clock)
        with pytest.raises(WrongMoment):
            services.renew_offer(offer.id, expires_on=later, seen=None, by=world.donor, clock=clock)
        with pytest.raises(WrongMoment):
            services.withdraw_offer(offer.id, seen=None, by=world.donor, clock=clock)


def test_every_change_is_in_the_journal(world: World, clock: FrozenClock, edition: Edition) -> None:
    with unit_of_work():
        offer = offer_of(world, clock, edition, 4)
        services.renew_offer(
            offer.id, expires_on=TODAY + timedelta(days=30), seen=None, by=world.donor, clock=clock
        )
        services.withdraw_offer(offer.id, seen=None, by=world.donor, clock=clock)
    said = [entry.message % entry.parameters for entry in journal.history("offer", offer.id)]
    assert said == [
        "Размещён излишек: «Физика: 7-й класс: учебник», 2022 – 4 экз.",
        "Продлён излишек: «Физика: 7-й класс: учебник», 2022 – до 14.10.2026",
        "Отозван излишек: «Физика: 7-й класс: учебник», 2022 – было свободно 4 экз.",
    ]


def test_the_database_itself_refuses_too_much(world: World, clock: FrozenClock, edition: Edition) -> None:
    with unit_of_work():
        offer = offer_of(world, clock, edition, 4)
        request = request_of(world, clock, edition.textbook)
    for statement in (
        sa.update(Offer).where(Offer.id == offer.id).values(reserved=5),
        sa.update(RequestPart).where(RequestPart.request_id == request.id).values(matched=5),
    ):
        with pytest.raises(sa.exc.IntegrityError), unit_of_work():
            db.session.execute(statement)
