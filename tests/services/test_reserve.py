"""The fund on a database: taking in, giving out, the floor, the report, the books of the district."""

from __future__ import annotations

import random
import threading
import time
from datetime import date

import pytest
import sqlalchemy as sa

from exchange.catalog.models import Edition, Textbook
from exchange.clock import FrozenClock
from exchange.db import db, in_unit, unit_of_work
from exchange.errors import DomainError, Forbidden, Invalid, NotFound
from exchange.journal import JournalEntry
from exchange.ledger.models import Balance, Movement, MovementLine
from exchange.ledger.rules import MovementKind, WriteOffReason
from exchange.postings.models import Offer, RequestPart
from exchange.reserve import rules, services
from exchange.reserve.rules import Flow, Origin, Period
from exchange.schools.models import Holder, User
from exchange.schools.rules import HolderKind
from exchange.stock.models import Floor
from exchange.transfers import services as transfers
from exchange.transfers.rules import Bearer, Kind, State
from exchange.web.unit import Portal
from tests.factories import World, make_textbook, put_on_shelf
from tests.fund_world import account_of, deliver, lend, stock_fund, storeroom
from tests.transfers_world import make_deal, walk

TODAY = date(2026, 9, 14)


@pytest.fixture
def book(world: World) -> Textbook:
    return make_textbook("Физика", subject="Физика", grades=(7, 7))


def set_floor(world: World, book: Textbook, copies: int | None, clock: FrozenClock) -> None:
    with unit_of_work():
        services.set_floor(book.id, copies, by=world.methodist, clock=clock)


def write_off(world: World, clock: FrozenClock, copies: int, **changes: object) -> Movement:
    """Write off copies of the fund's only edition."""
    values: dict[str, object] = {
        "place": world.fund,
        "owner": world.fund,
        "edition": db.session.get_one(Edition, account_of(world.fund).edition_id),
        "copies": copies,
        "reason": WriteOffReason.WORN,
        "document": "Акт № 4",
        "by": world.methodist,
        "clock": clock,
    }
    return services.write_off(**{**values, **changes})


# --- taking in ---


def test_books_from_outside_have_a_document_and_an_origin(world: World, clock: FrozenClock) -> None:
    book = make_textbook("Математика", parts=2)
    stock_fund(world, book, {1: 12, 2: 10}, clock=clock)
    holding = services.holding_of(world.district.id, book.id, today=TODAY)
    assert holding.by_part == {1: 12, 2: 10}
    movements = db.session.scalars(sa.select(Movement)).all()
    assert {(m.kind, m.reason, m.document) for m in movements} == {
        (MovementKind.ACQUISITION, "закупка за счёт бюджета", "Накладная № 1 от 14.09.2026")
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"copies_by_part": {1: 0}}, "copies"),
        ({"document": " "}, "document"),
        ({"year": 1812}, "year"),
        ({"copies_by_part": {2: 5}}, "part"),
    ],
)
def test_what_cannot_be_taken_in(
    world: World, clock: FrozenClock, book: Textbook, changes: dict[str, object], field: str
) -> None:
    values: dict[str, object] = {
        "place": world.fund,
        "textbook_id": book.id,
        "year": 2022,
        "copies_by_part": {1: 5},
        "origin": Origin.GIFT,
        "document": "Накладная № 1",
        "by": world.methodist,
        "clock": clock,
    }
    with pytest.raises(Invalid) as refused, unit_of_work():
        services.acquire(**{**values, **changes})
    assert refused.value.field == field
    db.session.rollback()
    assert db.session.scalar(sa.select(sa.func.count(Movement.id))) == 0


def test_only_the_methodist_of_the_district_keeps_its_fund(
    world: World, clock: FrozenClock, book: Textbook
) -> None:
    stock_fund(world, book, {1: 5}, clock=clock)
    for by, error in ((world.donor_director, Forbidden), (world.head, Forbidden), (world.outsider, NotFound)):
        with pytest.raises(error), unit_of_work():
            write_off(world, clock, 1, by=by)
    with pytest.raises(Forbidden), unit_of_work():
        services.set_floor(book.id, 3, by=world.recipient, clock=clock)
    with pytest.raises(NotFound), unit_of_work():
        write_off(world, clock, 1, place=world.donor_school, owner=world.donor_school)


def test_a_school_is_asked_and_its_director_decides(world: World, clock: FrozenClock, book: Textbook) -> None:
    put_on_shelf(world.donor_school, book, 9, by=world.donor, clock=clock)
    [shelf] = services.school_shelves(world.district.id, book.id)
    assert (shelf.school_id, shelf.free) == (world.donor_school.id, 9)
    with unit_of_work():
        transfer = services.take_in(
            school=world.donor_school,
            place=world.fund,
            kind=Kind.PERMANENT,
            copies={shelf.edition_id: 6},
            by=world.methodist,
            clock=clock,
        )
        assert transfer.state is State.PROPOSED
        transfers.agree(transfer.id, {}, by=world.donor_director, clock=clock)
        deliver(world, transfer, clock=clock)
    assert account_of(world.fund).copies == 6
    assert account_of(world.donor_school).copies == 3


# --- giving out ---


def test_a_gift_is_proposed_and_promised_at_once(world: World, clock: FrozenClock, book: Textbook) -> None:
    stock_fund(world, book, {1: 10}, clock=clock)
    with unit_of_work():
        transfer = services.give(
            place=world.fund,
            taker=world.recipient_school,
            kind=Kind.PERMANENT,
            copies={account_of(world.fund).id: 4},
            by=world.methodist,
            clock=clock,
        )
    assert transfer.state is State.AGREED
    assert (account_of(world.fund).copies, account_of(world.fund).promised) == (10, 4)
    holding = services.holding_of(world.district.id, book.id, today=TODAY)
    assert (holding.promised, holding.free) == (4, 6)
    [row] = services.open_transfers(world.district.id, book.id)
    assert (row.id, int(row.copies)) == (transfer.id, 4)


def test_a_loan_is_seen_with_who_and_until_when(world: World, clock: FrozenClock, book: Textbook) -> None:
    stock_fund(world, book, {1: 10}, clock=clock)
    lend(world, account_of(world.fund).id, 4, clock=clock, due_back=date(2026, 10, 1))
    [loan] = services.holding_of(world.district.id, book.id, today=TODAY).loans
    assert (loan.taker, loan.copies, loan.due_back, loan.overdue) == (
        "Берущая СОШ", 4, date(2026, 10, 1), False,
    )  # fmt: skip
    late = services.listing(world.district.id, services.Filter(), today=date(2026, 10, 2))
    assert (late.figures.copies, late.figures.lent, late.figures.overdue) == (6, 4, 4)
    # The same as the ledger: the fund's own copies that stand elsewhere.
    away = db.session.scalar(
        sa.select(sa.func.sum(Balance.copies)).where(
            Balance.owner_id == world.fund.id, Balance.holder_id != world.fund.id
        )
    )
    assert away == late.figures.lent


def test_more_than_is_free_is_not_given(world: World, clock: FrozenClock, book: Textbook) -> None:
    stock_fund(world, book, {1: 3}, clock=clock)
    with pytest.raises(Invalid, match="свободно 3"), unit_of_work():
        services.give(
            place=world.fund,
            taker=world.recipient_school,
            kind=Kind.PERMANENT,
            copies={account_of(world.fund).id: 4},
            by=world.methodist,
            clock=clock,
        )


def test_what_a_school_owns_is_only_lent(world: World, clock: FrozenClock, book: Textbook) -> None:
    put_on_shelf(world.donor_school, book, 5, by=world.donor, clock=clock)
    [shelf] = services.school_shelves(world.district.id, book.id)
    with unit_of_work():
        stored = services.take_in(
            school=world.donor_school,
            place=world.fund,
            kind=Kind.LOAN,
            copies={shelf.edition_id: 5},
            by=world.methodist,
            clock=clock,
        )
        transfers.agree(stored.id, {}, by=world.donor_director, clock=clock)
        deliver(world, stored, clock=clock)
    account = account_of(world.fund, world.donor_school)
    with pytest.raises(Invalid, match="только на время"), unit_of_work():
        services.give(
            place=world.fund,
            taker=world.recipient_school,
            kind=Kind.PERMANENT,
            copies={account.id: 2},
            by=world.methodist,
            clock=clock,
        )
    lend(world, account.id, 2, clock=clock)
    holding = services.holding_of(world.district.id, book.id, today=TODAY)
    assert (holding.copies, holding.lent, holding.owners) == (3, 2, {"Дающая СОШ": 3})
    assert services.audit() == []


def test_one_transfer_leaves_one_place(world: World, clock: FrozenClock, book: Textbook) -> None:
    second = storeroom(world)
    stock_fund(world, book, {1: 3}, clock=clock)
    stock_fund(world, book, {1: 3}, clock=clock, place=second)
    with pytest.raises(Invalid, match="из одного места"), unit_of_work():
        services.give(
            place=world.fund,
            taker=world.recipient_school,
            kind=Kind.LOAN,
            copies={account_of(world.fund).id: 1, account_of(second).id: 1},
            by=world.methodist,
            clock=clock,
        )


# --- the floor ---


def test_a_floor_is_set_changed_and_lifted_with_a_journal(
    world: World, clock: FrozenClock, book: Textbook
) -> None:
    for copies in (5, 5, 7, 0):
        set_floor(world, book, copies, clock)
    entries = services.floor_journal(world.district.id, book.id)
    assert [entry.message % entry.parameters for entry in entries] == [
        "Неснижаемый остаток снят: было 7 экз.",
        "Неснижаемый остаток: было 5 экз., стало 7",
        "Неснижаемый остаток: было 0 экз., стало 5",
    ]
    assert db.session.scalars(sa.select(Floor)).all() == []


def test_a_floor_of_another_district_is_another_floor(
    world: World, clock: FrozenClock, book: Textbook
) -> None:
    with unit_of_work():
        services.set_floor(book.id, 9, by=world.outsider, clock=clock)
    assert services.holding_of(world.district.id, book.id, today=TODAY).floor == 0
    assert services.floor_journal(world.district.id, book.id) == []


def test_nobody_breaks_the_floor_without_signing(world: World, clock: FrozenClock, book: Textbook) -> None:
    stock_fund(world, book, {1: 10}, clock=clock)
    set_floor(world, book, 7, clock)
    giving = {
        "place": world.fund,
        "taker": world.recipient_school,
        "kind": Kind.LOAN,
        "copies": {account_of(world.fund).id: 4},
        "by": world.methodist,
        "clock": clock,
    }
    with pytest.raises(Invalid, match="останется 6") as refused, unit_of_work():
        services.give(**giving)
    assert refused.value.field == "floor_exception"
    with pytest.raises(Invalid, match="останется 6") as refused, unit_of_work():
        write_off(world, clock, 4)
    assert refused.value.field == "floor_exception"
    with unit_of_work():
        write_off(world, clock, 3)
        services.give(**{**giving, "copies": {account_of(world.fund).id: 1}, "floor_exception": "приказ № 7"})
        write_off(world, clock, 1, floor_exception="затоплены")
    signed = [
        entry.parameters.get("why")
        for entry in db.session.scalars(sa.select(JournalEntry).order_by(JournalEntry.id))
        if entry.message.startswith("Исключение")
    ]
    assert signed == ["приказ № 7", "затоплены"]
    assert [row.floor_exception for row in services.floor_exceptions(world.district.id, book.id)] == [
        "приказ № 7"
    ]


def test_two_people_cannot_take_the_last_copies_above_the_floor(
    app: Portal, world: World, clock: FrozenClock, book: Textbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock_fund(world, book, {1: 10}, clock=clock)
    set_floor(world, book, 5, clock)
    account_id, fund_id, methodist_id = account_of(world.fund).id, world.fund.id, world.methodist.id
    check = rules.check_floor

    def slowly(*arguments: object, **named: object) -> bool:
        broken = check(*arguments, **named)  # type: ignore[arg-type]
        time.sleep(0.3)
        return broken

    # Both would be past the check before either has written, were it not for the lock.
    monkeypatch.setattr(rules, "check_floor", slowly)
    db.session.rollback()
    barrier, results = threading.Barrier(2), []

    def work() -> None:
        place = db.session.get_one(Holder, fund_id)
        services.write_off(
            place=place,
            owner=place,
            edition=db.session.get_one(Edition, db.session.get_one(Balance, account_id).edition_id),
            copies=5,
            reason=WriteOffReason.WORN,
            document="Акт № 4",
            by=db.session.get_one(User, methodist_id),
            clock=clock,
        )

    def run() -> None:
        with app.app_context():
            barrier.wait()
            try:
                results.append(in_unit(work))
            except DomainError as error:
                results.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result is None for result in results) == [False, True]
    assert next(result for result in results if result).field == "floor_exception"
    assert db.session.get_one(Balance, account_id).copies == 5


# --- writing off, moving ---


def test_more_than_is_free_is_not_written_off(world: World, clock: FrozenClock, book: Textbook) -> None:
    stock_fund(world, book, {1: 5}, clock=clock)
    with unit_of_work():
        services.give(
            place=world.fund,
            taker=world.recipient_school,
            kind=Kind.LOAN,
            copies={account_of(world.fund).id: 2},
            by=world.methodist,
            clock=clock,
        )
    for copies in (4, 6):
        with pytest.raises(Invalid), unit_of_work():
            write_off(world, clock, copies)
    with pytest.raises(Invalid, match="хотя бы один"), unit_of_work():
        write_off(world, clock, 0)
    with unit_of_work():
        movement = write_off(world, clock, 3)
    assert movement.reason == "ветхость"
    assert (account_of(world.fund).copies, account_of(world.fund).promised) == (2, 2)


def test_a_move_inside_the_fund_changes_the_place_alone(
    world: World, clock: FrozenClock, book: Textbook
) -> None:
    second = storeroom(world)
    stock_fund(world, book, {1: 5}, clock=clock)
    edition = db.session.scalars(sa.select(Edition)).one()

    def move(copies: int, target: object = second) -> None:
        with unit_of_work():
            services.relocate(
                source=world.fund, target=target, owner=world.fund, edition=edition, copies=copies,
                by=world.methodist, clock=clock,
            )  # fmt: skip

    move(2)
    assert account_of(second, world.fund).copies == 2
    holding = services.holding_of(world.district.id, book.id, today=TODAY)
    assert (holding.copies, holding.places) == (5, {"ОРФ": 3, "ОРФ, склад": 2})
    for copies, target in ((4, second), (1, world.fund)):
        with pytest.raises(Invalid):
            move(copies, target)
    with pytest.raises(NotFound):
        move(1, world.donor_school)
    report = services.report(world.district.id, Period(TODAY, TODAY), zone="Asia/Krasnoyarsk")
    assert report.total.flows == {Flow.OUTSIDE: 5}


# --- the list ---


def test_the_list_is_narrowed_but_the_figures_are_not(world: World, clock: FrozenClock) -> None:
    second = storeroom(world)
    physics = make_textbook("Физика", subject="Физика", grades=(7, 9), authors="Перышкин И.М.")
    chemistry = make_textbook("Химия", subject="Химия", grades=(8, 8), authors="Габриелян О.С.", appendix=2,
                              valid_until=date(2027, 8, 31))  # fmt: skip
    stock_fund(world, physics, {1: 5}, clock=clock)
    stock_fund(world, chemistry, {1: 7}, clock=clock, place=second)

    def titles(**wanted: object) -> list[str]:
        found = services.listing(world.district.id, services.Filter(**wanted), today=TODAY)
        assert found.figures.copies == 12
        assert found.total == len(found.titles)
        return [title.book.title for title in found.titles]

    assert titles() == ["Физика", "Химия"]
    assert titles(text="пёрышкин физика") == ["Физика"]
    assert titles(subject="Химия") == ["Химия"]
    assert titles(grade=9) == ["Физика"]
    assert titles(grade=8) == ["Физика", "Химия"]
    assert titles(place_id=second.id) == ["Химия"]
    assert titles(owner_id=world.fund.id) == ["Физика"]
    judged = services.listing(world.district.id, services.Filter(), today=TODAY).verdicts
    last = judged[chemistry.id].legality
    assert titles(standing=last) == ["Химия"]


def test_a_title_that_is_all_lent_out_or_only_has_a_floor_is_still_there(
    world: World, clock: FrozenClock, book: Textbook
) -> None:
    stock_fund(world, book, {1: 2}, clock=clock)
    lend(world, account_of(world.fund).id, 2, clock=clock)
    wanted = make_textbook("Химия", subject="Химия")
    set_floor(world, wanted, 3, clock)
    found = services.listing(world.district.id, services.Filter(), today=TODAY)
    assert [(title.book.title, title.holding.copies) for title in found.titles] == [
        ("Физика", 0),
        ("Химия", 0),
    ]
    assert (found.figures.titles, found.figures.lent) == (0, 2)


def test_another_district_sees_nothing_of_it(world: World, clock: FrozenClock, book: Textbook) -> None:
    stock_fund(world, book, {1: 2}, clock=clock)
    other = world.outsider.district_id
    assert services.listing(other, services.Filter(), today=TODAY).total == 0
    assert services.history(other, book.id) == ([], 0)
    assert services.books(other).registered == 0
    assert services.books_by_title(other) == ([], 0)
    assert services.report(other, Period(TODAY, TODAY), zone="Asia/Krasnoyarsk").total.closing == 0


# --- the history ---


def test_the_history_tells_the_whole_way_of_the_funds_books(
    world: World, clock: FrozenClock, book: Textbook
) -> None:
    stock_fund(world, book, {1: 5}, clock=clock)
    put_on_shelf(world.donor_school, book, 30, by=world.donor, clock=clock)
    transfer = lend(world, account_of(world.fund).id, 3, clock=clock)
    with unit_of_work():
        transfers.hand_back(transfer.id, {transfer.lines[0].id: 2}, by=world.methodist, clock=clock)
        transfers.replace(transfer.id, {transfer.lines[0].id: 1}, by=world.methodist, clock=clock)
    events, total = services.history(world.district.id, book.id)
    # The donor's own count is not the fund's business.
    assert total == 5
    assert [(event.kind, event.copies, event.transfer_id) for event in events] == [
        (MovementKind.REPLACEMENT, 2, transfer.id),
        (MovementKind.RETURN, 2, transfer.id),
        (MovementKind.RECEIPT, 3, transfer.id),
        (MovementKind.SHIPMENT, 3, transfer.id),
        (MovementKind.ACQUISITION, 5, None),
    ]
    receipt = events[2]
    assert [(side.holder, side.owner) for side in receipt.sources] == [("В пути", "ОРФ")]
    assert [(side.holder, side.owner) for side in receipt.targets] == [("Берущая СОШ", "ОРФ")]
    assert services.history(world.district.id, book.id, first=4, limit=2)[0][0].kind is (
        MovementKind.ACQUISITION
    )


# --- the report ---

STEPS = ("acquire", "lend", "give", "return", "write_off", "move", "count", "tomorrow")


@pytest.mark.parametrize("seed", range(4))
def test_the_report_adds_up_whatever_happened(world: World, clock: FrozenClock, seed: int) -> None:
    """Opening + in − out = closing for any two periods, and closing today is what the balances say."""
    chance = random.Random(seed)
    first_day = clock.today("Asia/Krasnoyarsk")
    for _ in range(25):
        try:
            _play(chance.choice(STEPS), chance.randint(1, 6), world, clock)
        except Invalid:
            db.session.rollback()
    today = clock.today("Asia/Krasnoyarsk")
    middle = date.fromordinal(chance.randint(first_day.toordinal(), today.toordinal()))

    def report(first: date, last: date) -> rules.Report:
        return services.report(world.district.id, Period(first, last), zone="Asia/Krasnoyarsk")

    whole = report(first_day, today)
    standing = db.session.execute(
        sa.select(sa.func.sum(Balance.copies), sa.func.sum(Balance.promised))
        .join_from(Balance, Holder, Holder.id == Balance.holder_id)
        .where(Holder.kind == HolderKind.FUND)
    ).one()
    assert whole.total.closing == (standing[0] or 0)
    for row in [*whole.subjects.values(), whole.total]:
        came = sum(row.shown(flow) for flow in Flow if flow not in rules.OUTGOING)
        left = sum(row.shown(flow) for flow in rules.OUTGOING)
        assert row.opening + came - left == row.closing
    early, late = report(first_day, middle), report(date.fromordinal(middle.toordinal() + 1), today)
    assert early.total.opening == whole.total.opening
    assert early.total.closing == late.total.opening
    assert late.total.closing == whole.total.closing
    assert sum(whole.sources.values()) == whole.total.shown(Flow.OUTSIDE)
    taken = sum(share.taken for share in whole.schools.values())
    assert taken == whole.total.shown(Flow.ISSUED)
    assert services.audit() == []


def _play(step: str, copies: int, world: World, clock: FrozenClock) -> None:
    if step == "tomorrow":
        clock.advance(days=1)
        return
    book = db.session.scalar(sa.select(Textbook).where(Textbook.subject == "Физика"))
    if book is None:
        book = make_textbook("Физика", subject="Физика", grades=(7, 7))
    if step == "acquire" or not db.session.scalars(sa.select(Balance.id).limit(1)).all():
        stock_fund(world, book, {1: copies}, clock=clock)
        return
    edition = db.session.scalars(sa.select(Edition)).one()
    balance_id = db.session.scalar(
        sa.select(Balance.id).where(Balance.holder_id == world.fund.id, Balance.owner_id == world.fund.id)
    )
    if step in {"lend", "give"}:
        lend(world, balance_id, copies, clock=clock, kind=Kind.LOAN if step == "lend" else Kind.PERMANENT)
    elif step == "return":
        loans = services.holding_of(world.district.id, book.id, today=TODAY).loans
        if loans:
            transfer = db.session.get_one(transfers.Transfer, loans[0].transfer_id)
            with unit_of_work():
                line = transfer.lines[0]
                transfers.hand_back(
                    transfer.id, {line.id: min(copies, line.counts.outstanding)}, by=world.methodist,
                    clock=clock,
                )  # fmt: skip
    elif step == "write_off":
        with unit_of_work():
            write_off(world, clock, copies)
    elif step == "count":
        put_on_shelf(world.fund, book, copies, by=world.methodist, clock=clock, year=edition.year)
    else:
        places = db.session.scalars(sa.select(Holder).where(Holder.code == "ORF2")).first() or storeroom(
            world
        )
        with unit_of_work():
            services.relocate(
                source=world.fund, target=places, owner=world.fund, edition=edition, copies=copies,
                by=world.methodist, clock=clock,
            )  # fmt: skip


def test_the_report_names_sources_and_schools(world: World, clock: FrozenClock, book: Textbook) -> None:
    stock_fund(world, book, {1: 10}, clock=clock)
    clock.advance(days=40)
    transfer = lend(world, account_of(world.fund).id, 4, clock=clock)
    with unit_of_work():
        transfers.hand_back(transfer.id, {transfer.lines[0].id: 1}, by=world.methodist, clock=clock)
        write_off(world, clock, 2)
    today = clock.today("Asia/Krasnoyarsk")
    zone = "Asia/Krasnoyarsk"
    whole = services.report(world.district.id, Period(TODAY, today), zone=zone)
    assert whole.sources == {"закупка за счёт бюджета": 10}
    assert whole.total.flows == {
        Flow.OUTSIDE: 10, Flow.ISSUED: -4, Flow.RETURNED: 1, Flow.WRITTEN_OFF: -2,
    }  # fmt: skip
    share = whole.schools[world.recipient_school.id]
    assert (share.taken, share.handed_back, share.balance) == (4, 1, -3)
    later = services.report(world.district.id, Period(today, today), zone=zone)
    assert (later.total.opening, later.total.closing, later.sources) == (10, 5, {})


# --- the books of the district ---


def test_the_books_agree_through_a_dispute(world: World, clock: FrozenClock, book: Textbook) -> None:
    stock_fund(world, book, {1: 10}, clock=clock)
    with unit_of_work():
        deal = make_deal(world, clock, title="Химия", on_shelf=20, copies=8)
        walk(deal, world, clock, State.DISPUTED, damaged=1, missing=2)
    put_on_shelf(world.stranger_school, book, 4, by=world.stranger, clock=clock)
    with unit_of_work():
        write_off(world, clock, 3)
    books = services.books(world.district.id)
    assert (books.registered, books.schools, books.fund, books.disputed, books.written_off) == (
        34, 21, 7, 3, 3,
    )  # fmt: skip
    assert books.difference == 0
    by_title, total = services.books_by_title(world.district.id)
    assert total == 2
    assert sum(each.books.registered for each in by_title) == 34
    assert all(each.books.difference == 0 for each in by_title)
    by_holder = services.books_by_holder(world.district.id)
    assert sum(each.copies for each in by_holder) == books.found
    assert services.audit() == []


def test_what_is_lent_stands_in_one_place_and_belongs_to_another(
    world: World, clock: FrozenClock, book: Textbook
) -> None:
    stock_fund(world, book, {1: 10}, clock=clock)
    lend(world, account_of(world.fund).id, 4, clock=clock)
    rows = {each.name: each for each in services.books_by_holder(world.district.id)}
    assert (rows["ОРФ"].own, rows["ОРФ"].elsewhere) == (6, 4)
    assert (rows["Берущая СОШ"].own, rows["Берущая СОШ"].borrowed) == (0, 4)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (sa.update(Balance).values(copies=Balance.copies + 1), "Остаток:"),
        (sa.update(Balance).values(promised=Balance.promised + 1).where(Balance.copies > 5), "Обещано:"),
        (sa.update(Offer).values(reserved=Offer.reserved - 1), "Излишек №"),
        (sa.update(RequestPart).values(matched=RequestPart.matched - 1), "Заявка №"),
    ],
)
def test_every_number_that_was_tampered_with_is_named(
    app: Portal, world: World, clock: FrozenClock, statement: sa.Update, sentence: str
) -> None:
    with unit_of_work():
        deal = make_deal(world, clock, on_shelf=20, copies=8)
        transfers.agree(deal.id, {deal.line: 6}, by=world.donor_director, clock=clock)
    assert services.audit() == services.audit(world.district.id) == []
    runner = app.test_cli_runner()
    assert runner.invoke(args=["exchange", "verify"]).output.strip() == "Книги сходятся."
    with unit_of_work():
        db.session.execute(statement.execution_options(synchronize_session=False))
    found = services.audit(world.district.id)
    assert found
    assert all(str(mismatch).startswith(sentence) for mismatch in found)
    assert services.audit(world.outsider.district_id) == []
    said = runner.invoke(args=["exchange", "verify"])
    assert said.exit_code != 0
    assert all(str(mismatch) in said.output for mismatch in found)


@pytest.mark.parametrize("end", ["declined", "settled", "stopped"])
def test_what_is_reserved_follows_a_transfer_to_its_end(world: World, clock: FrozenClock, end: str) -> None:
    """A declined one frees all; of a dispute what was sent back is free again; so is what came back."""
    with unit_of_work():
        deal = make_deal(world, clock, on_shelf=20, copies=8)
        if end == "declined":
            transfers.decline(
                deal.id, reason=transfers.DeclineReason.NEEDED, by=world.donor_director, clock=clock
            )
        elif end == "settled":
            walk(deal, world, clock, State.DISPUTED, damaged=1, missing=3)
            decision = transfers.Decision(kept=1, sent_back=2, lost=1, bearer=Bearer.TAKER)
            transfers.settle(deal.id, {deal.line: decision}, by=world.methodist, clock=clock)
        else:
            walk(deal, world, clock, State.SHIPPED)
            transfers.stop(deal.id, remark="машина сломалась", by=world.methodist, clock=clock)
    left = {"declined": 0, "settled": 6, "stopped": 0}[end]
    assert db.session.scalars(sa.select(Offer.reserved)).one() == left
    assert services.audit() == []


def test_registered_is_what_ever_came_from_the_source(
    world: World, clock: FrozenClock, book: Textbook
) -> None:
    stock_fund(world, book, {1: 10}, clock=clock)
    put_on_shelf(world.fund, book, 7, by=world.methodist, clock=clock, year=2022)
    lines = db.session.execute(
        sa.select(sa.func.sum(MovementLine.copies))
        .join(Holder, Holder.id == MovementLine.holder_id)
        .where(Holder.kind == HolderKind.SOURCE)
    ).scalar_one()
    assert services.books(world.district.id).registered == -lines == 7
