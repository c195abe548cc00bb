"""What the papers of the exchange say, and to whom."""

from __future__ import annotations

import pytest

from exchange.clock import FrozenClock
from exchange.db import unit_of_work
from exchange.errors import Forbidden, NotFound
from exchange.postings import services as postings
from exchange.reports import services
from exchange.schools.models import User
from exchange.stock import services as stock
from exchange.stock.rules import Condition
from tests import factories
from tests.counting import count_queries
from tests.factories import World
from tests.postings_world import make_edition, make_textbook, offer_of, put_on_shelf, request_of


def test_only_what_can_still_be_asked_for_is_surplus(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        editions = [make_edition(make_textbook(title)) for title in ("Физика", "Химия", "Биология")]
        for edition in editions:
            put_on_shelf(world.donor_school, edition, 9, by=world.donor, clock=clock)
        physics, chemistry, biology = (offer_of(world, clock, edition, 5) for edition in editions)
        postings.reserve(physics.id, 2)
        postings.reserve(chemistry.id, 5)
        postings.withdraw_offer(biology.id, by=world.donor, clock=clock)
    lines = services.surplus(world.donor_school, by=world.donor, clock=clock)
    assert [(line.book.subject, line.copies) for line in lines] == [("Физика", 3)]
    assert lines[0].number is not None
    assert lines[0].number.order == "858"


def test_what_is_missing_stands_beside_the_pupils_and_the_shelf(world: World, clock: FrozenClock) -> None:
    school = world.recipient_school
    factories.enrol(school, {7: 20}, by=world.deputy, clock=clock)
    with unit_of_work():
        book = make_textbook("Физика", parts=2)
        old, new = make_edition(book, year=2018), make_edition(book, year=2022)
        for edition, copies in ((old, 6), (new, 5)):
            put_on_shelf(school, edition, copies, by=world.recipient, clock=clock)
        stock.set_note(
            holder=school, edition=old, condition=Condition.FAIR, worn=2, by=world.recipient, clock=clock
        )
        request = request_of(world, clock, book, copies_by_part={1: 11, 2: 20})
        postings.match(request.id, 1, 3)
    lines = services.missing(school, by=world.recipient, clock=clock)
    assert [(each.part, each.pupils, each.here, each.worn, each.missing) for each in lines] == [
        (1, 20, 11, 2, 8),
        (2, 20, 0, 0, 20),
    ]
    assert not any(each.hidden for each in lines)


def test_what_is_all_matched_is_not_missing(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        request = request_of(world, clock, make_textbook("Физика"), copies_by_part={1: 4})
        postings.match(request.id, 1, 4)
    assert services.missing(world.recipient_school, by=world.recipient, clock=clock) == []


def test_a_small_count_is_for_the_school_and_the_methodist(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        book = make_textbook("Чтение", special_needs=True)
        request_of(world, clock, book, copies_by_part={1: 2})

    def hidden(by: User) -> list[bool]:
        return [each.hidden for each in services.missing(world.recipient_school, by=by, clock=clock)]

    assert hidden(world.recipient) == hidden(world.methodist) == [False]
    assert hidden(world.accountant) == [True]
    for by, lacking in ((world.methodist, 2), (world.accountant, None)):
        lines, _subjects = services.consolidated(by=by, clock=clock)
        assert [line.balance.lacking for line in lines] == [lacking]


def test_the_district_in_one_sheet(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        book = make_textbook("Физика")
        edition = make_edition(book)
        put_on_shelf(world.donor_school, edition, 9, by=world.donor, clock=clock)
        put_on_shelf(world.fund, edition, 3, by=world.methodist, clock=clock)
        offer_of(world, clock, edition, 5)
        request_of(world, clock, book, copies_by_part={1: 10})
        request_of(world, clock, book, school=world.stranger_school, by=world.stranger, copies_by_part={1: 1})
    lines, subjects = services.consolidated(by=world.methodist, clock=clock)
    assert subjects == ["Физика"]
    balance = lines[0].balance
    assert (balance.surplus, balance.fund) == ({"Дающая СОШ": 5}, 3)
    assert balance.missing == {"Берущая СОШ": 10, "Третья СОШ": 1}
    assert balance.left == -3
    assert services.consolidated(by=world.methodist, clock=clock, subject="Химия")[0] == []
    assert services.consolidated(by=world.methodist, clock=clock, grade=8)[0] == []


def test_papers_are_as_private_as_the_shelf(world: World, clock: FrozenClock) -> None:
    for paper in (services.surplus, services.missing):
        for by in (world.stranger, world.head, world.outsider):
            with pytest.raises(NotFound):
                paper(world.donor_school, by=by, clock=clock)
        assert paper(world.donor_school, by=world.accountant, clock=clock) == []
    for by in (world.donor, world.head):
        with pytest.raises(Forbidden):
            services.consolidated(by=by, clock=clock)


def test_the_number_of_queries_does_not_grow(world: World, clock: FrozenClock) -> None:
    factories.enrol(world.recipient_school, {7: 20}, by=world.deputy, clock=clock)

    def counted() -> list[int]:
        counts = []
        for read in (
            lambda: services.surplus(world.donor_school, by=world.donor, clock=clock),
            lambda: services.missing(world.recipient_school, by=world.recipient, clock=clock),
            lambda: services.consolidated(by=world.methodist, clock=clock),
        ):
            with count_queries() as made:
                assert read()
            counts.append(len(made))
        return counts

    def post(title: str) -> None:
        with unit_of_work():
            book = make_textbook(title)
            edition = make_edition(book)
            put_on_shelf(world.donor_school, edition, 9, by=world.donor, clock=clock)
            offer_of(world, clock, edition)
            request_of(world, clock, book)

    post("Физика")
    with_one = counted()
    for title in ("Химия", "Биология", "География"):
        post(title)
    assert counted() == with_one


def test_how_much_each_school_has_on_the_board(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        book = make_textbook("Физика")
        edition = make_edition(book)
        put_on_shelf(world.donor_school, edition, 9, by=world.donor, clock=clock)
        offer_of(world, clock, edition, 2)
        offer_of(world, clock, edition, 2)
        request_of(world, clock, book)
    ids = [world.donor_school.id, world.recipient_school.id, world.stranger_school.id]
    assert services.posted(ids) == dict(zip(ids, [(2, 0), (0, 1), (0, 0)], strict=True))
