"""What the fund can spare, how its report adds up."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Invalid
from exchange.ledger.rules import MovementKind
from exchange.reserve import rules
from exchange.reserve.rules import Account, Entry, Flow, Holding, Loan
from exchange.schools.rules import HolderKind


def account(part: int = 1, *, copies: int, promised: int = 0, place: int = 1, owner: int = 1) -> Account:
    return Account(
        balance_id=part * 100 + place * 10 + owner,
        textbook_id=1,
        edition_id=part,
        year=2022,
        part=part,
        owner_id=owner,
        owner=f"Владелец {owner}",
        place_id=place,
        place=f"Склад {place}",
        copies=copies,
        promised=promised,
    )


def test_the_floor_holds_for_each_part_over_all_places() -> None:
    holding = Holding(
        [account(1, copies=6), account(1, copies=4, place=2, promised=1), account(2, copies=3)], floor=5
    )
    assert holding.copies == 13
    assert holding.unpromised == {1: 9, 2: 3}
    assert holding.free_by_part == {1: 4, 2: 0}
    assert holding.free == 4
    assert holding.below_floor


def test_what_can_be_asked_for_is_never_more_than_is_above_the_floor() -> None:
    holding = Holding([account(1, copies=6), account(1, copies=4, place=2)], floor=7)
    assert [(spare.place_id, spare.copies) for spare in holding.spare] == [(1, 3), (2, 3)]
    assert Holding([account(1, copies=6)], floor=6).spare == []


def test_one_offer_of_two_owners_at_one_place() -> None:
    holding = Holding([account(copies=2, owner=1), account(copies=3, owner=2)])
    assert [spare.copies for spare in holding.spare] == [5]
    assert holding.places == {"Склад 1": 5}
    assert holding.owners == {"Владелец 1": 2, "Владелец 2": 3}


def test_figures_count_loans_but_not_empty_titles() -> None:
    loan = Loan(1, 1, 2022, 1, 9, "Школа", date(2026, 6, 20), 4, overdue=True)
    figures = rules.figures_of([Holding([account(copies=5, promised=2)], [loan]), Holding(floor=3)])
    assert (figures.titles, figures.copies, figures.promised, figures.lent, figures.overdue) == (
        1, 5, 2, 4, 4,
    )  # fmt: skip


def test_the_parts_of_one_loan_are_one_debt() -> None:
    loans = [
        Loan(number, 1, 2022, part, 9, "Школа", date(2026, 6, 20), 4, overdue=False)
        for number, part in ((1, 1), (1, 2), (2, 1))
    ]
    assert [(debt.transfer_id, debt.copies) for debt in Holding([], loans).debts] == [(1, 8), (2, 4)]


@pytest.mark.parametrize(("taken", "broken"), [(4, False), (5, True), (9, True)])
def test_breaking_the_floor_needs_a_reason(taken: int, broken: bool) -> None:
    unpromised = {1: 9}
    if broken:
        with pytest.raises(Invalid, match="5 экз") as refused:
            rules.check_floor(unpromised, {1: taken}, 5, exception=" ")
        assert refused.value.field == "floor_exception"
    assert rules.check_floor(unpromised, {1: taken}, 5, exception="по приказу № 7") is broken


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_above_the_floor_is_what_does_not_break_it(unpromised: int, taken: int, floor: int) -> None:
    free = rules.above_floor(unpromised, floor)
    assert rules.breaks_floor(unpromised, taken, floor) == (taken > free)
    if free:
        assert unpromised - free == floor


entries = st.builds(
    Entry,
    subject=st.sampled_from(["Физика", "Химия"]),
    kind=st.sampled_from(list(MovementKind)),
    copies=st.integers(-50, 50).filter(bool),
    before=st.booleans(),
    fund_gives=st.booleans(),
    school_id=st.sampled_from([None, 1, 2]),
    source=st.sampled_from(["", "дар"]),
)


@given(st.lists(entries))
def test_the_report_adds_up(found: list[Entry]) -> None:
    # A move inside the fund is two lines that cancel out.
    moves = [
        Entry(e.subject, e.kind, -e.copies, e.before, e.fund_gives, e.school_id, e.source)
        for e in found
        if e.kind is MovementKind.RELOCATION
    ]
    report = rules.report_of([*found, *moves])
    assert report.total.opening == sum(e.copies for e in [*found, *moves] if e.before)
    assert report.total.closing == sum(e.copies for e in [*found, *moves])
    for row in [*report.subjects.values(), report.total]:
        came = sum(row.shown(flow) for flow in Flow if flow not in rules.OUTGOING)
        left = sum(row.shown(flow) for flow in rules.OUTGOING)
        assert row.opening + came - left == row.closing
    assert report.total == rules.total_of(report.subjects.values()) or not report.total.flows


@pytest.mark.parametrize(
    ("kind", "copies", "fund_gives", "flow"),
    [
        (MovementKind.ACQUISITION, 5, False, Flow.OUTSIDE),
        (MovementKind.RECEIPT, 5, False, Flow.SCHOOLS),
        (MovementKind.SETTLEMENT, 5, False, Flow.SCHOOLS),
        (MovementKind.SETTLEMENT, 5, True, Flow.RETURNED),
        (MovementKind.STOP, 5, True, Flow.RETURNED),
        (MovementKind.RETURN, 5, True, Flow.RETURNED),
        (MovementKind.REPLACEMENT, 5, True, Flow.RETURNED),
        (MovementKind.SHIPMENT, -5, True, Flow.ISSUED),
        (MovementKind.RETURN, -5, False, Flow.HANDED_BACK),
        (MovementKind.WRITE_OFF, -5, False, Flow.WRITTEN_OFF),
        (MovementKind.REPLACEMENT, -5, False, Flow.WRITTEN_OFF),
        (MovementKind.COUNT, -5, False, Flow.COUNTED),
        (MovementKind.RELOCATION, -5, False, None),
    ],
)
def test_every_movement_has_its_column(
    kind: MovementKind, copies: int, fund_gives: bool, flow: Flow | None
) -> None:
    assert rules.flow_of(kind, copies, fund_gives=fund_gives) is flow


def test_turnover_is_what_was_issued_for_each_copy() -> None:
    row = rules.Turnover(40, {Flow.OUTSIDE: 20, Flow.ISSUED: -20})
    assert (row.closing, row.rate) == (40, 0.5)
    assert rules.Turnover().rate is None


def test_a_share_weighs_gifts_against_draws() -> None:
    report = rules.report_of(
        [
            Entry("Физика", MovementKind.RECEIPT, 10, False, False, 7, ""),
            Entry("Физика", MovementKind.SHIPMENT, -6, False, True, 7, ""),
            Entry("Физика", MovementKind.RETURN, 2, False, True, 7, ""),
        ]
    )
    share = report.schools[7]
    assert (share.given, share.taken, share.handed_back, share.balance) == (10, 6, 2, 6)


def test_a_period_ends_with_its_last_day() -> None:
    start, end = rules.check_period(date(2026, 9, 1), date(2026, 9, 1)).bounds("Asia/Krasnoyarsk")
    assert (start.astimezone(UTC), end.astimezone(UTC)) == (
        datetime(2026, 8, 31, 17, tzinfo=UTC),
        datetime(2026, 9, 1, 17, tzinfo=UTC),
    )
    with pytest.raises(Invalid):
        rules.check_period(date(2026, 9, 2), date(2026, 9, 1))


def test_the_usual_period_is_the_school_year() -> None:
    assert rules.usual_period(date(2027, 2, 10)).first == date(2026, 9, 1)


def test_books_that_do_not_agree_say_by_how_much() -> None:
    books = rules.books_of(
        100, {HolderKind.SCHOOL: 50, HolderKind.FUND: 20, HolderKind.TRANSIT: 5, HolderKind.WRITTEN_OFF: 24}
    )
    assert (books.found, books.difference) == (99, 1)
