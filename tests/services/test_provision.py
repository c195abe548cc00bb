"""Provision, the postings that follow from it and next year's shortage, on a database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta

import pytest
import sqlalchemy as sa

from exchange.approved.models import ApprovedList, ApprovedUse
from exchange.catalog import services as catalog
from exchange.catalog.models import Textbook
from exchange.catalog.rules import SchoolYear
from exchange.classes.models import ClassGroup
from exchange.clock import FrozenClock
from exchange.db import db, in_unit, unit_of_work
from exchange.errors import Forbidden, Invalid, NotFound, Stale
from exchange.ledger import services as ledger
from exchange.postings.models import Offer, Request
from exchange.postings.rules import OfferKind, PostingState, ShortageReason
from exchange.provision import services
from exchange.provision.rules import Advice, Reason
from exchange.schools.models import Holder, User
from exchange.stock import services as stock
from exchange.stock.rules import Condition, Reserve
from exchange.transfers.rules import Kind, State
from exchange.web.unit import Portal
from tests.counting import count_queries
from tests.counting_world import at_once
from tests.factories import World, enrol, make_textbook, put_on_shelf
from tests.transfers_world import make_deal, walk

YEAR = SchoolYear(2026)
NEXT = SchoolYear(2027)
TODAY = YEAR.first_day + timedelta(days=13)
EXPIRES = TODAY + timedelta(days=60)


def report(world: World, *schools: Holder, by: User | None = None) -> services.Report:
    return services.provision(schools=schools, school_year=YEAR, on=TODAY, by=by)


def forecast(*schools: Holder) -> dict[tuple[int, int], tuple[int, Mapping[Reason, int]]]:
    found = services.forecast(schools=schools, this_year=YEAR, on=TODAY).shortages
    return {(each.school_id, each.textbook_id): (each.missing, dict(each.reasons)) for each in found}


def advised(school: Holder) -> dict[tuple[int, Advice], Mapping[int, int]]:
    found = services.proposals(school, on=TODAY).proposals
    return {(each.textbook_id, each.advice): dict(each.by_part) for each in found}


def keys(school: Holder, *advice: Advice) -> list[str]:
    found = services.proposals(school, on=TODAY).proposals
    return [each.key for each in found if not advice or each.advice in advice]


def follow(school: Holder, some: Collection[str], by: User, clock: FrozenClock) -> services.Outcome:
    with unit_of_work():
        return services.carry_out(school=school, keys=some, expires_on=EXPIRES, by=by, clock=clock)


def choose(
    school: Holder,
    uses: Iterable[tuple[int, str, Textbook, int | None]],
    clock: FrozenClock,
    year: int = 2026,
) -> None:
    with unit_of_work():
        there = ApprovedList(
            district_id=school.district_id, school_id=school.id, school_year=year, created_at=clock.now()
        )
        there.uses += [
            ApprovedUse(grade=grade, letter=letter, textbook_id=book.id, pupils=pupils)
            for grade, letter, book, pupils in uses
        ]
        db.session.add(there)


def groups(school: Holder, pupils: Mapping[tuple[int, str], int], year: int = 2026) -> None:
    with unit_of_work():
        db.session.add_all(
            ClassGroup(school_id=school.id, school_year=year, grade=grade, letter=letter, pupils=number)
            for (grade, letter), number in pupils.items()
        )


# --- provision ---


def test_provision_of_the_district(world: World, clock: FrozenClock) -> None:
    first = make_textbook("Математика")
    tenth = make_textbook("Физика", subject="Физика", grades=(10, 11))
    wanted = make_textbook("Окружающий мир", subject="Окружающий мир")
    put_on_shelf(world.donor_school, first, 50, by=world.donor, clock=clock)
    put_on_shelf(world.recipient_school, first, 5, by=world.recipient, clock=clock)
    put_on_shelf(world.recipient_school, tenth, 12, by=world.recipient, clock=clock)
    enrol(world.donor_school, {1: 20}, by=world.donor, clock=clock)
    enrol(world.recipient_school, {1: 10, 10: 8, 11: 8}, by=world.recipient, clock=clock)
    _request(world.recipient_school, wanted, clock)
    schools = [world.donor_school, world.recipient_school, world.stranger_school]
    rows = report(world, *schools).rows
    assert {(r.school_id, r.textbook_id, r.grade, r.usable, r.served, r.missing) for r in rows} == {
        (world.donor_school.id, first.id, 1, 50, 20, 0),
        (world.recipient_school.id, first.id, 1, 5, 5, 5),
        (world.recipient_school.id, tenth.id, 10, 8, 8, 0),
        (world.recipient_school.id, tenth.id, 11, 4, 4, 4),
        (world.recipient_school.id, wanted.id, 1, 0, 0, 10),
    }
    assert report(world).rows == []


def _request(school: Holder, textbook: Textbook, clock: FrozenClock) -> None:
    from exchange.postings.models import Request
    from exchange.postings.rules import ShortageReason

    with unit_of_work():
        db.session.add(
            Request(
                district_id=school.district_id,
                school_id=school.id,
                textbook_id=textbook.id,
                reason=ShortageReason.LOST,
                expires_on=clock.today("UTC"),
                created_at=clock.now(),
            )
        )


def test_classes_attach_to_the_books_of_the_approved_list(world: World, clock: FrozenClock) -> None:
    first, second, other = make_textbook("Физика 1"), make_textbook("Физика 2"), make_textbook("Физика 3")
    missing = make_textbook("Химия", subject="Химия")
    school = world.donor_school
    for book in (first, second, other):
        put_on_shelf(school, book, 30, by=world.donor, clock=clock)
    groups(school, {(1, "А"): 24, (1, "Б"): 22})
    uses = [(1, "А", first, None), (1, "Б", second, None), (1, "", missing, None)]
    choose(school, uses, clock)
    rows = {(r.textbook_id, r.letter): (r.pupils, r.need, r.surplus) for r in report(world, school).rows}
    assert rows == {
        (first.id, "А"): (24, 0, 6),
        (second.id, "Б"): (22, 0, 8),
        # Held, but another book was chosen.
        (other.id, ""): (0, 0, 30),
        # Chosen, but not held at all.
        (missing.id, "А"): (24, 24, 0),
        (missing.id, "Б"): (22, 22, 0),
    }
    # The shelf says the same.
    on_shelf = {book.id: (book.pupils, book.need, book.surplus) for book in stock.shelf(school, on=TODAY)}
    assert on_shelf == {first.id: (24, 0, 6), second.id: (22, 0, 8), other.id: (0, 0, 30)}


def test_the_shelf_and_the_provision_agree(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        deal = make_deal(world, clock, on_shelf=40, copies=5)
    two_parts = make_textbook("Русский язык", subject="Русский язык", grades=(7, 7), parts=2)
    put_on_shelf(world.donor_school, two_parts, {1: 12, 2: 10}, by=world.donor, clock=clock)
    enrol(world.donor_school, {7: 20}, by=world.donor, clock=clock)
    keep(world, clock, Reserve(5, 10, 0))
    with unit_of_work():
        walk(deal, world, clock, State.AGREED)
    shelf = {book.id: book.need for book in stock.shelf(world.donor_school, on=TODAY)}
    rows = report(world, world.donor_school).rows
    assert shelf == {row.textbook_id: row.need for row in rows}
    assert shelf[two_parts.id] == 11


def keep(world: World, clock: FrozenClock, reserve: Reserve) -> None:
    with unit_of_work():
        stock.set_reserve(school=world.donor_school, reserve=reserve, by=world.donor, clock=clock)


def test_the_reserve_is_the_schools_own(world: World, clock: FrozenClock) -> None:
    keep(world, clock, Reserve(5, 10, 2))
    assert stock.reserve(world.donor_school) == Reserve(5, 10, 2)
    assert stock.reserve(world.recipient_school) == Reserve()
    with unit_of_work():
        same = stock.set_reserve(
            school=world.donor_school, reserve=Reserve(5, 10, 2), by=world.donor, clock=clock
        )
    assert not same
    for by, error in ((world.donor_director, Forbidden), (world.stranger, NotFound)):
        with pytest.raises(error), unit_of_work():
            stock.set_reserve(school=world.donor_school, reserve=Reserve(), by=by, clock=clock)
    with pytest.raises(Invalid), unit_of_work():
        stock.set_reserve(school=world.donor_school, reserve=Reserve(51), by=world.donor, clock=clock)


def test_small_counts_are_for_the_school_and_the_methodist(world: World, clock: FrozenClock) -> None:
    special = make_textbook("Чтение", subject="Чтение", special_needs=True)
    school = world.donor_school
    put_on_shelf(school, special, 1, by=world.donor, clock=clock)
    enrol(school, {1: 20}, by=world.donor, clock=clock)
    assert report(world, school).rows == []
    choose(school, [(1, "", special, 2)], clock)
    for by in (world.donor, world.methodist, world.donor_director):
        (row,) = report(world, school, by=by).rows
        assert (row.pupils, row.need) == (2, 1)
    unseen = report(world, school, by=world.accountant)
    assert (unseen.rows, unseen.holdings, unseen.hidden) == ([], [], 1)
    assert services.proposals(school, on=TODAY, by=world.accountant).proposals == []
    assert services.forecast(schools=[school], this_year=YEAR, on=TODAY, by=world.accountant).shortages == []


def test_a_small_shortage_of_next_year_is_for_the_school_and_the_methodist(
    world: World, clock: FrozenClock
) -> None:
    special = make_textbook("Чтение", subject="Чтение", special_needs=True)
    school = world.donor_school
    put_on_shelf(school, special, 20, by=world.donor, clock=clock)
    for year in (2026, 2027):
        choose(school, [(1, "", special, 20)], clock, year)
        groups(school, {(1, ""): 20}, year)
    with unit_of_work():
        stock.set_reserve(school=school, reserve=Reserve(wear_percent=5), by=world.donor, clock=clock)

    def seen_by(by: User) -> tuple[list[int], int]:
        found = services.forecast(schools=[school], this_year=YEAR, on=TODAY, by=by)
        return [short.missing for short in found.shortages], found.hidden

    assert seen_by(world.donor) == seen_by(world.methodist) == ([1], 0)
    assert seen_by(world.accountant) == ([], 1)


def test_as_many_queries_for_three_schools_as_for_one(world: World, clock: FrozenClock) -> None:
    book = make_textbook()
    schools = [world.donor_school, world.recipient_school, world.stranger_school]
    for school, by in zip(schools, (world.donor, world.recipient, world.stranger), strict=True):
        put_on_shelf(school, book, 5, by=by, clock=clock)
        enrol(school, {1: 9}, by=by, clock=clock)
    for some in (schools[:1], schools):
        loaded = db.session.scalars(sa.select(Holder).where(Holder.id.in_([s.id for s in some]))).all()
        with count_queries() as queries:
            list(map(str, (s.id for s in loaded)))
            before = len(queries)
            services.provision(schools=loaded, school_year=YEAR, on=TODAY)
            assert len(queries) - before == 4
            services.forecast(schools=loaded, this_year=YEAR, on=TODAY)
            assert len(queries) - before == 8


# --- the postings that follow ---


def test_missing_books_are_asked_for_and_spare_ones_offered(world: World, clock: FrozenClock) -> None:
    school, by = world.donor_school, world.donor
    short, spare = make_textbook("Физика", subject="Физика"), make_textbook("Химия", subject="Химия")
    put_on_shelf(school, short, 10, by=by, clock=clock)
    put_on_shelf(school, spare, 12, by=by, clock=clock, year=2019)
    put_on_shelf(school, spare, 34, by=by, clock=clock, year=2021)
    enrol(school, {1: 24}, by=by, clock=clock)
    assert advised(school) == {(short.id, Advice.ASK): {1: 14}, (spare.id, Advice.GIVE): {1: 22}}
    assert follow(school, keys(school), by, clock) == services.Outcome(done=2, changed=0)
    request = db.session.scalars(sa.select(Request)).one()
    assert (request.textbook_id, request.parts[0].copies) == (short.id, 14)
    assert (request.reason, request.expires_on) == (ShortageReason.MORE_PUPILS, EXPIRES)
    offer = db.session.scalars(sa.select(Offer)).one()
    # One edition for a whole class: of 2021 there is enough.
    assert (offer.edition.year, offer.copies, offer.kind) == (2021, 22, OfferKind.PERMANENT)
    assert advised(school) == {}


def test_nothing_is_posted_twice_and_nothing_that_has_changed(world: World, clock: FrozenClock) -> None:
    school, by = world.donor_school, world.donor
    short, other = make_textbook("Физика", subject="Физика"), make_textbook("Химия", subject="Химия")
    for book in (short, other):
        put_on_shelf(school, book, 10, by=by, clock=clock)
    enrol(school, {1: 24}, by=by, clock=clock)
    seen = keys(school)
    put_on_shelf(school, other, 12, by=by, clock=clock)
    assert follow(school, seen, by, clock) == services.Outcome(done=1, changed=1)
    with pytest.raises(Stale):
        follow(school, seen, by, clock)
    assert db.session.scalars(sa.select(Request.textbook_id)).all() == [short.id]


def test_two_people_at_once_offer_a_surplus_once(app: Portal, world: World, clock: FrozenClock) -> None:
    """Half of what is free is spare: twice that would leave the school's own pupils without books."""
    school, books = world.donor_school, []
    for number in range(8):
        books.append(make_textbook(f"Физика {number}", subject=f"Физика {number}"))
        put_on_shelf(school, books[-1], 40, by=world.donor, clock=clock)
    enrol(school, {1: 20}, by=world.donor, clock=clock)
    chosen = keys(school)
    assert len(chosen) == 8

    def give() -> None:
        in_unit(
            lambda: services.carry_out(
                school=db.session.get_one(Holder, school_id),
                keys=chosen,
                expires_on=EXPIRES,
                by=db.session.get_one(User, person_id),
                clock=clock,
            )
        )

    school_id, person_id = school.id, world.donor.id
    refused = at_once(app, give, give)
    assert [type(error) for error in refused if error is not None] == [Stale]
    assert db.session.scalars(sa.select(Offer.copies)).all() == [20] * 8


def test_a_surplus_of_several_years_is_several_offers_with_the_shelfs_condition(
    world: World, clock: FrozenClock
) -> None:
    school, by = world.donor_school, world.donor
    book = make_textbook("Математика", parts=2)
    put_on_shelf(school, book, {1: 20, 2: 20}, by=by, clock=clock, year=2021)
    put_on_shelf(school, book, {1: 10, 2: 6}, by=by, clock=clock, year=2019)
    with unit_of_work():
        stock.set_note(
            holder=school,
            edition=catalog.edition_for(book.id, 2019, 1),
            condition=Condition.FAIR,
            worn=0,
            by=by,
            clock=clock,
        )
    enrol(school, {1: 5}, by=by, clock=clock)
    assert advised(school) == {(book.id, Advice.GIVE): {1: 25, 2: 21}}
    follow(school, keys(school), by, clock)
    offers = db.session.scalars(sa.select(Offer)).all()
    assert {(o.edition.year, o.edition.part): (o.copies, o.condition) for o in offers} == {
        (2021, 1): (20, Condition.GOOD),
        (2021, 2): (20, Condition.GOOD),
        (2019, 1): (5, Condition.FAIR),
        (2019, 2): (1, Condition.GOOD),
    }


def test_only_the_missing_part_is_asked_for(world: World, clock: FrozenClock) -> None:
    book = make_textbook("Математика", parts=2)
    put_on_shelf(world.donor_school, book, {1: 30, 2: 20}, by=world.donor, clock=clock)
    enrol(world.donor_school, {1: 24}, by=world.donor, clock=clock)
    follow(world.donor_school, keys(world.donor_school, Advice.ASK), world.donor, clock)
    request = db.session.scalars(sa.select(Request)).one()
    assert {part.part: part.copies for part in request.parts} == {2: 4}
    assert advised(world.donor_school) == {(book.id, Advice.GIVE): {1: 6}}


def test_a_book_in_its_last_year_is_lent(world: World, clock: FrozenClock) -> None:
    book = make_textbook(appendix=2, valid_until=YEAR.last_day)
    put_on_shelf(world.donor_school, book, 30, by=world.donor, clock=clock)
    enrol(world.donor_school, {1: 24}, by=world.donor, clock=clock)
    follow(world.donor_school, keys(world.donor_school), world.donor, clock)
    offer = db.session.scalars(sa.select(Offer)).one()
    assert offer.kind is OfferKind.LOAN
    assert offer.due_back is not None


def test_a_book_that_may_not_be_used_is_not_asked_for(world: World, clock: FrozenClock) -> None:
    book = make_textbook(appendix=2, valid_until=TODAY - timedelta(days=30))
    put_on_shelf(world.donor_school, book, 10, by=world.donor, clock=clock)
    enrol(world.donor_school, {1: 24}, by=world.donor, clock=clock)
    found = services.proposals(world.donor_school, on=TODAY)
    assert found.proposals == []
    assert [each.textbook_id for each in found.barred] == [book.id]


def test_postings_are_kept_in_step_with_the_shelf(world: World, clock: FrozenClock) -> None:
    school, by = world.donor_school, world.donor
    short, spare = make_textbook("Физика", subject="Физика"), make_textbook("Химия", subject="Химия")
    put_on_shelf(school, short, 10, by=by, clock=clock)
    put_on_shelf(school, spare, 46, by=by, clock=clock)
    enrol(school, {1: 24}, by=by, clock=clock)
    follow(school, keys(school), by, clock)
    put_on_shelf(school, short, 21, by=by, clock=clock)
    put_on_shelf(school, spare, 36, by=by, clock=clock)
    assert advised(school) == {(short.id, Advice.ASK_LESS): {1: 3}, (spare.id, Advice.GIVE_LESS): {1: 12}}
    follow(school, keys(school), by, clock)
    assert db.session.scalars(sa.select(Offer)).one().copies == 12
    assert db.session.scalars(sa.select(Request)).one().parts[0].copies == 3
    enrol(school, {1: 30}, by=by, clock=clock)
    assert advised(school) == {(short.id, Advice.ASK_MORE): {1: 9}, (spare.id, Advice.GIVE_LESS): {1: 6}}
    enrol(school, {1: 15}, by=by, clock=clock)
    assert advised(school)[short.id, Advice.ASK_NO_MORE] == {}
    enrol(school, {1: 36}, by=by, clock=clock)
    assert advised(school)[spare.id, Advice.GIVE_NO_MORE] == {1: 0}
    follow(school, keys(school), by, clock)
    assert db.session.scalars(sa.select(Offer)).one().state is PostingState.WITHDRAWN
    assert advised(school) == {}
    enrol(school, {1: 15}, by=by, clock=clock)
    follow(school, keys(school, Advice.ASK_NO_MORE), by, clock)
    assert db.session.scalars(sa.select(Request)).one().state is PostingState.WITHDRAWN


def test_what_is_in_a_transfer_is_neither_asked_for_nor_offered_again(
    world: World, clock: FrozenClock
) -> None:
    with unit_of_work():
        deal = make_deal(world, clock, on_shelf=20, copies=5, kind=Kind.LOAN)
    enrol(world.donor_school, {7: 10}, by=world.donor, clock=clock)
    enrol(world.recipient_school, {7: 8}, by=world.recipient, clock=clock)
    giving, asking = (deal.textbook.id, Advice.GIVE), (deal.textbook.id, Advice.ASK_MORE)
    steps = (
        State.PROPOSED,
        State.AGREED,
        State.ACCEPTED,
        State.APPROVED,
        State.PACKED,
        State.SHIPPED,
        State.LENT,
    )
    for state in steps:
        with unit_of_work():
            walk(deal, world, clock, state)
        assert advised(world.donor_school) == {giving: {1: 5}}, state
        assert advised(world.recipient_school) == {asking: {1: 3}}, state
    assert not ledger.verify()


def test_not_now_holds_until_the_numbers_change(world: World, clock: FrozenClock) -> None:
    school, by = world.donor_school, world.donor
    book = make_textbook()
    put_on_shelf(school, book, 10, by=by, clock=clock)
    enrol(school, {1: 24}, by=by, clock=clock)
    (key,) = keys(school)
    for _ in range(2):
        with unit_of_work():
            if advised(school):
                services.put_off(school=school, key=key, by=by, clock=clock)
        assert advised(school) == {}
        assert services.proposals(school, on=TODAY).put_off == 1
    with pytest.raises(Stale), unit_of_work():
        services.put_off(school=school, key=key, by=by, clock=clock)
    put_on_shelf(school, book, 9, by=by, clock=clock)
    assert advised(school) == {(book.id, Advice.ASK): {1: 15}}
    (key,) = keys(school)
    with unit_of_work():
        services.put_off(school=school, key=key, by=by, clock=clock)
    assert advised(school) == {}


def test_who_may_follow_and_put_off(world: World, clock: FrozenClock) -> None:
    school = world.recipient_school
    book = make_textbook()
    put_on_shelf(school, book, 30, by=world.recipient, clock=clock)
    enrol(school, {1: 24}, by=world.recipient, clock=clock)
    (key,) = keys(school)
    for by, error in ((world.deputy, Forbidden), (world.methodist, Forbidden), (world.stranger, NotFound)):
        with pytest.raises(error):
            follow(school, [key], by, clock)
        with pytest.raises(error), unit_of_work():
            services.put_off(school=school, key=key, by=by, clock=clock)


# --- next year ---


def test_next_year_pupils_move_up_and_books_stay(world: World, clock: FrozenClock) -> None:
    first, second = make_textbook("Математика 1"), make_textbook("Математика 2", grades=(2, 2))
    school, by = world.donor_school, world.donor
    put_on_shelf(school, first, 20, by=by, clock=clock)
    put_on_shelf(school, second, 20, by=by, clock=clock)
    enrol(school, {1: 26, 2: 18}, by=by, clock=clock)
    assert forecast(school) == {(school.id, second.id): (6, {Reason.PUPILS: 6})}
    assert services.forecast(schools=[school], this_year=YEAR, on=TODAY).moved_up == {school.id}
    groups(school, {(1, ""): 25, (2, ""): 22}, year=2027)
    assert forecast(school) == {
        (school.id, first.id): (5, {Reason.ALREADY: 6, Reason.PUPILS: -1}),
        (school.id, second.id): (2, {Reason.PUPILS: 2}),
    }
    assert not services.forecast(schools=[school], this_year=YEAR, on=TODAY).moved_up


def test_next_year_what_expires_and_what_wears_out_is_missing(world: World, clock: FrozenClock) -> None:
    ended = make_textbook("Физика", subject="Физика", appendix=2, valid_until=YEAR.last_day)
    worn = make_textbook("Химия", subject="Химия")
    school, by = world.donor_school, world.donor
    for book in (ended, worn):
        put_on_shelf(school, book, 24, by=by, clock=clock)
    enrol(school, {1: 24}, by=by, clock=clock)
    groups(school, {(1, ""): 24}, year=2027)
    keep(world, clock, Reserve(wear_percent=5))
    assert forecast(school) == {
        (school.id, ended.id): (24, {Reason.EXPIRY: 24}),
        (school.id, worn.id): (2, {Reason.WEAR: 2}),
    }


def test_next_year_follows_the_next_list_else_this_ones(world: World, clock: FrozenClock) -> None:
    old, new = make_textbook("Математика 1"), make_textbook("Математика 2")
    school = world.donor_school
    put_on_shelf(school, old, 24, by=world.donor, clock=clock)
    enrol(school, {1: 24}, by=world.donor, clock=clock)
    groups(school, {(1, ""): 24}, year=2027)
    choose(school, [(1, "", old, None)], clock)
    assert forecast(school) == {}
    choose(school, [(1, "", new, None)], clock, year=2027)
    assert forecast(school) == {(school.id, new.id): (24, {Reason.CHOSEN: 24})}
    # What only next year's list names is not missing now.
    assert {row.textbook_id for row in report(world, school).rows} == {old.id}


def test_next_year_loans_have_gone_home(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        deal = make_deal(world, clock, on_shelf=20, copies=5, kind=Kind.LOAN)
        walk(deal, world, clock, State.LENT)
    giver, taker = world.donor_school, world.recipient_school
    for school, by in ((giver, world.donor), (taker, world.recipient)):
        enrol(school, {7: 20}, by=by, clock=clock)
        groups(school, {(7, ""): 20}, year=2027)
    book = deal.textbook.id
    assert forecast(giver, taker) == {
        (taker.id, book): (20, {Reason.ALREADY: 15, Reason.LOANS: 5}),
    }
    with unit_of_work():
        deal.transfer.due_back = NEXT.first_day + timedelta(days=200)
    assert forecast(giver, taker) == {
        (giver.id, book): (5, {Reason.ALREADY: 5}),
        (taker.id, book): (15, {Reason.ALREADY: 15}),
    }


@pytest.mark.parametrize("state", [State.AGREED, State.PACKED, State.SHIPPED, State.SETTLED])
def test_next_year_what_is_given_for_good_is_the_takers(
    state: State, world: World, clock: FrozenClock
) -> None:
    with unit_of_work():
        deal = make_deal(world, clock, on_shelf=20, copies=5)
        walk(deal, world, clock, state)
    giver, taker = world.donor_school, world.recipient_school
    for school, by in ((giver, world.donor), (taker, world.recipient)):
        enrol(school, {7: 20}, by=by, clock=clock)
        groups(school, {(7, ""): 20}, year=2027)
    missing = {key: missing for key, (missing, _) in forecast(giver, taker).items()}
    assert missing == {(giver.id, deal.textbook.id): 5, (taker.id, deal.textbook.id): 15}
