"""Counts, arrivals and write-offs, on a database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import SchoolYear
from exchange.clock import FrozenClock
from exchange.db import db, in_unit, unit_of_work
from exchange.errors import Forbidden, Invalid, NotFound
from exchange.ledger import services as ledger
from exchange.ledger.models import Balance, Movement
from exchange.ledger.rules import Line, MovementKind, WriteOffReason, transfer_of_copies
from exchange.schools.models import Holder, User
from exchange.stock import services
from exchange.stock.models import ShelfNote
from exchange.stock.rules import Condition, Sets
from tests.factories import World, enrol, make_textbook, put_on_shelf

TODAY = SchoolYear(2026).first_day


def edition_of(textbook: Textbook, year: int = 2023, part: int = 1) -> Edition:
    return catalog.edition_for(textbook.id, year, part)


def own(holder: Holder, edition: Edition) -> int:
    return ledger.free_copies(owner_id=holder.id, holder_id=holder.id, edition_id=edition.id)


def movements() -> list[Movement]:
    return list(db.session.scalars(sa.select(Movement).order_by(Movement.id)))


def book_of(holder: Holder, textbook: Textbook):
    return next(book for book in services.shelf(holder, on=TODAY) if book.id == textbook.id)


def lend(giver: Holder, taker: Holder, edition: Edition, copies: int, world: World, clock) -> None:
    """Move copies as a loan does: another place, the same owner."""
    ledger.post(
        MovementKind.RECEIPT,
        transfer_of_copies(edition.id, copies, owner=(giver.id, giver.id), holder=(giver.id, taker.id)),
        by=world.methodist,
        clock=clock,
        district_id=world.district.id,
    )


def test_a_count_is_a_movement_of_the_difference(world: World, clock: FrozenClock) -> None:
    textbook = make_textbook()
    school, by = world.donor_school, world.donor
    put_on_shelf(school, textbook, 12, by=by, clock=clock)
    put_on_shelf(school, textbook, 9, by=by, clock=clock)
    first, second = movements()
    assert [max(line.copies for line in m.lines) for m in (first, second)] == [12, 3]
    assert second.kind is MovementKind.COUNT
    assert second.reason == "первый учёт на полке"
    assert own(school, edition_of(textbook)) == 9
    assert not ledger.verify()


def test_an_equal_count_writes_nothing_but_the_day(world: World, clock: FrozenClock) -> None:
    textbook = make_textbook()
    put_on_shelf(world.donor_school, textbook, 12, by=world.donor, clock=clock)
    clock.advance(days=3)
    put_on_shelf(world.donor_school, textbook, 12, by=world.donor, clock=clock)
    assert len(movements()) == 1
    assert db.session.scalars(sa.select(ShelfNote)).one().counted_at == clock.now()


def test_a_count_stays_above_what_is_promised_and_offered(world: World, clock: FrozenClock) -> None:
    textbook = make_textbook()
    school = world.donor_school
    put_on_shelf(school, textbook, 12, by=world.donor, clock=clock)
    with unit_of_work():
        edition = edition_of(textbook)
        ledger.promise([Line(edition.id, school.id, school.id, 5)])
    with pytest.raises(Invalid, match=r"Обещано другим школам: 5"):
        put_on_shelf(school, textbook, 4, by=world.donor, clock=clock)
    _offer(school, edition, 3, clock)
    with pytest.raises(Invalid, match=r"5 экз\. и выставлено излишком 3: меньше 8"):
        put_on_shelf(school, textbook, 7, by=world.donor, clock=clock)
    put_on_shelf(school, textbook, 8, by=world.donor, clock=clock)
    assert len(movements()) == 2


def _offer(school: Holder, edition: Edition, copies: int, clock: FrozenClock) -> None:
    from exchange.postings.models import Offer
    from exchange.postings.rules import OfferKind

    with unit_of_work():
        db.session.add(
            Offer(
                district_id=school.district_id,
                holder_id=school.id,
                edition_id=edition.id,
                copies=copies,
                kind=OfferKind.PERMANENT,
                condition=Condition.GOOD,
                expires_on=clock.today("UTC"),
                created_at=clock.now(),
            )
        )


def test_only_the_schools_librarian_counts(world: World, clock: FrozenClock) -> None:
    textbook = make_textbook()
    school = world.donor_school
    for person, refusal in (
        (world.recipient, NotFound),
        (world.outsider, NotFound),
        (world.head, NotFound),
        (world.donor_director, Forbidden),
        (world.methodist, Forbidden),
    ):
        with pytest.raises(refusal):
            put_on_shelf(school, textbook, 1, by=person, clock=clock)
    put_on_shelf(world.fund, textbook, 4, by=world.methodist, clock=clock)
    assert not ledger.verify()


def test_borrowed_copies_are_not_counted(world: World, clock: FrozenClock) -> None:
    textbook = make_textbook()
    giver, taker = world.donor_school, world.recipient_school
    put_on_shelf(giver, textbook, 12, by=world.donor, clock=clock)
    with unit_of_work():
        lend(giver, taker, edition_of(textbook), 5, world, clock)
    put_on_shelf(taker, textbook, 2, by=world.recipient, clock=clock)
    lender, borrower = book_of(giver, textbook), book_of(taker, textbook)
    assert (lender.editions[0].own, lender.editions[0].lent) == (7, 5)
    assert (borrower.editions[0].own, borrower.editions[0].borrowed) == (2, 5)
    assert borrower.usable == 7


def test_a_book_is_counted_together_and_only_what_was_typed(world: World, clock: FrozenClock) -> None:
    textbook = make_textbook(parts=2)
    school, by = world.donor_school, world.donor
    put_on_shelf(school, textbook, {1: 12, 2: 12}, by=by, clock=clock)

    def typed(**numbers: tuple[int, int]) -> int:
        counted = {(2023, int(part[1])): services.Counted(*pair) for part, pair in numbers.items()}
        with unit_of_work():
            return services.count_book(holder=school, textbook=textbook, counted=counted, by=by, clock=clock)

    assert typed(p1=(12, 12), p2=(12, 10)) == 1
    assert book_of(school, textbook).sets == Sets(10, 2)
    # A page that was opened before the count does not undo it.
    assert typed(p1=(12, 11), p2=(12, 12)) == 1
    assert own(school, edition_of(textbook, part=2)) == 10
    with pytest.raises(Invalid, match=r"было 12 экз\., стало 10") as refused:
        typed(p1=(11, 11), p2=(12, 9))
    assert refused.value.field == "2023-2"
    # Nothing typed anew: everything is confirmed as it stands.
    clock.advance(days=1)
    assert typed(p1=(11, 11), p2=(10, 10)) == 0
    assert {note.counted_at for note in db.session.scalars(sa.select(ShelfNote))} == {clock.now()}


def test_arrivals_need_a_document(world: World, clock: FrozenClock) -> None:
    textbook = make_textbook()
    with unit_of_work():
        edition = edition_of(textbook)
    facts = {"holder": world.donor_school, "edition": edition, "by": world.donor, "clock": clock}
    with pytest.raises(Invalid, match="документа"), unit_of_work():
        services.acquire(copies=5, document=" ", **facts)
    with unit_of_work():
        movement = services.acquire(copies=5, document="накладная 15", **facts)
        assert (movement.kind, movement.document) == (MovementKind.ACQUISITION, "накладная 15")
    assert own(world.donor_school, edition) == 5


def test_writing_off_takes_the_worn_ones_first(world: World, clock: FrozenClock) -> None:
    textbook = make_textbook()
    school, by = world.donor_school, world.donor
    put_on_shelf(school, textbook, 12, by=by, clock=clock)
    with unit_of_work():
        edition = edition_of(textbook)
    facts = {"holder": school, "edition": edition, "owner": school, "by": by, "clock": clock}
    with unit_of_work():
        services.set_note(
            holder=school, edition=edition, condition=Condition.FAIR, worn=4, by=by, clock=clock
        )
    assert book_of(school, textbook).usable == 8
    with pytest.raises(Invalid, match="акта"), unit_of_work():
        services.write_off(copies=3, reason=WriteOffReason.WORN, document="", **facts)
    with pytest.raises(Invalid, match="только 12"), unit_of_work():
        services.write_off(copies=13, reason=WriteOffReason.WORN, document="акт 1", **facts)
    with unit_of_work():
        services.write_off(copies=3, reason=WriteOffReason.WORN, document="акт 1", **facts)
        services.write_off(copies=1, reason=WriteOffReason.LOST, document="акт 2", **facts)
    shown = book_of(school, textbook).editions[0]
    assert (shown.own, shown.worn, shown.lent, shown.away) == (8, 1, 0, 0)
    assert movements()[-1].reason == "утрата"
    written_off = sa.select(sa.func.sum(Balance.copies)).where(
        Balance.holder_id.in_(sa.select(Holder.id).where(Holder.code == "WRITTENOFF"))
    )
    assert db.session.scalar(written_off) == 4
    assert not ledger.verify()


def test_a_school_does_not_write_off_what_it_borrowed(world: World, clock: FrozenClock) -> None:
    textbook = make_textbook()
    put_on_shelf(world.donor_school, textbook, 12, by=world.donor, clock=clock)
    with unit_of_work():
        edition = edition_of(textbook)
        lend(world.donor_school, world.recipient_school, edition, 5, world, clock)
    with pytest.raises(Invalid, match="Чужие книги"), unit_of_work():
        services.write_off(
            holder=world.recipient_school,
            edition=edition,
            owner=world.donor_school,
            copies=1,
            reason=WriteOffReason.LOST,
            document="акт 1",
            by=world.recipient,
            clock=clock,
        )


def test_no_more_worn_than_there_are(world: World, clock: FrozenClock) -> None:
    textbook = make_textbook()
    put_on_shelf(world.donor_school, textbook, 2, by=world.donor, clock=clock)
    facts = {"holder": world.donor_school, "condition": Condition.GOOD, "by": world.donor, "clock": clock}
    with pytest.raises(Invalid, match="На полке 2 экз"), unit_of_work():
        services.set_note(edition=edition_of(textbook), worn=3, **facts)
    with unit_of_work():
        services.set_note(edition=edition_of(textbook), worn=2, **facts)
    put_on_shelf(world.donor_school, textbook, 1, by=world.donor, clock=clock)
    assert db.session.scalars(sa.select(ShelfNote)).one().worn == 1


def test_a_book_is_put_on_the_shelf_once_or_by_document(world: World, clock: FrozenClock) -> None:
    textbook = make_textbook(parts=2)
    facts = {"holder": world.donor_school, "textbook": textbook, "by": world.donor, "clock": clock}
    with unit_of_work():
        services.add_edition_to_shelf(year=2024, copies_by_part={1: 12, 2: 10}, **facts)
    assert book_of(world.donor_school, textbook).sets == Sets(10, 2)
    with pytest.raises(Invalid, match="уже на полке: 12"), unit_of_work():
        services.add_edition_to_shelf(year=2024, copies_by_part={1: 1}, **facts)
    with pytest.raises(Invalid, match="хотя бы один"), unit_of_work():
        services.add_edition_to_shelf(year=2024, copies_by_part={1: 0}, **facts)
    with unit_of_work():
        services.add_edition_to_shelf(year=2024, copies_by_part={2: 3}, document="накладная 7", **facts)
    assert book_of(world.donor_school, textbook).sets == Sets(12, 1)


def test_need_and_surplus_follow_from_pupils(world: World, clock: FrozenClock) -> None:
    plenty = make_textbook("Математика")
    short = make_textbook("Русский язык", subject="Русский язык", parts=2)
    special = make_textbook("Букварь", subject="Букварь", special_needs=True)
    ended = make_textbook("Старая математика", appendix=2, valid_until=TODAY)
    for textbook, number in ((plenty, 25), (short, 15), (special, 2), (ended, 30)):
        put_on_shelf(world.donor_school, textbook, number, by=world.donor, clock=clock)
    assert book_of(world.donor_school, plenty).pupils is None
    enrol(world.donor_school, {1: 20}, by=world.donor, clock=clock)
    assert book_of(world.donor_school, plenty).surplus == 5
    assert book_of(world.donor_school, short).need == 5
    assert book_of(world.donor_school, special).pupils is None
    # Another book of the subject takes its place, so nobody is said to lack the old one.
    assert book_of(world.donor_school, ended).pupils is None


def test_two_people_count_the_same_book_at_once(app, world: World, clock: FrozenClock) -> None:
    """The second begins before the first has committed: 12 copies then, not 5 + 7 + 7."""
    textbook = make_textbook()
    put_on_shelf(world.donor_school, textbook, 5, by=world.donor, clock=clock)
    edition_id, school_id, person_id = edition_of(textbook).id, world.donor_school.id, world.donor.id
    db.session.remove()
    counted = threading.Event()
    failures: list[BaseException] = []

    def count() -> None:
        services.count(
            holder=db.session.get_one(Holder, school_id),
            edition=db.session.get_one(Edition, edition_id),
            copies=12,
            by=db.session.get_one(User, person_id),
            clock=clock,
        )

    def first() -> None:
        count()
        counted.set()
        time.sleep(0.5)

    def second() -> None:
        counted.wait(10)
        in_unit(count)

    def run(work: Callable[[], None]) -> None:
        with app.app_context():
            try:
                work()
            except BaseException as error:
                failures.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(work,)) for work in (lambda: in_unit(first), second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [balance.copies for balance in db.session.scalars(sa.select(Balance))] == [12]
    assert len(movements()) == 2
    assert not ledger.verify()
