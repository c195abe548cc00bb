"""Sets, need, surplus, coverage: the domain's own examples, and what must hold for any numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.catalog.rules import Legality, SchoolYear, Verdict
from exchange.errors import Invalid
from exchange.stock import rules
from exchange.stock.rules import Candidate, Filter, Provided, Sets, ShelfBook, ShelfEdition, Show

YEAR = SchoolYear(2026)
copies = st.integers(0, 500)
by_part = st.dictionaries(st.integers(1, 4), copies)


def verdict(legality: Legality, until: date | None = None) -> Verdict:
    return Verdict(legality, until, "858", False, "Слово.")


def book(*editions: ShelfEdition, parts: int = 1, pupils: int | None = 20, lasts: bool = True) -> ShelfBook:
    return ShelfBook(
        id=1,
        title="Математика",
        authors="Моро М.И.",
        subject="Математика",
        grade_from=1,
        grade_to=1,
        publisher="Просвещение",
        level="",
        edition_note="",
        parts=parts,
        special_needs=False,
        found=True,
        verdict=verdict(Legality.ALLOWED if lasts else Legality.EXCLUDED),
        lasts=lasts,
        pupils=pupils,
        editions=editions,
    )


def test_ten_sets_and_two_without_a_pair() -> None:
    assert rules.sets_of({1: 12, 2: 10}, 2) == Sets(complete=10, unpaired=2)
    assert rules.sets_of({2: 7}, 2) == Sets(complete=0, unpaired=7)
    assert rules.sets_of({1: 5}, 1) == Sets(complete=5, unpaired=0)


@given(by_part, st.integers(1, 4))
def test_sets_and_the_rest_are_all_copies(counts: dict[int, int], parts: int) -> None:
    sets = rules.sets_of(counts, parts)
    assert sets.complete * parts + sets.unpaired == sum(counts.get(part, 0) for part in range(1, parts + 1))


@given(copies, copies, st.integers(0, 20))
def test_need_and_surplus_are_never_both(usable: int, pupils: int, kept: int) -> None:
    missing, spare = rules.need(usable, pupils, kept), rules.surplus(usable, pupils, kept)
    assert not (missing and spare)
    assert usable + missing >= pupils + (kept if missing else 0)
    assert usable - spare >= min(usable, pupils)


@given(copies, st.dictionaries(st.integers(1, 11), copies, min_size=1))
def test_no_copy_serves_two_grades(number: int, pupils: dict[int, int]) -> None:
    shares = rules.spread(number, pupils)
    assert sum(shares.values()) == number
    assert sum(min(shares[g], pupils[g]) for g in pupils) == min(number, sum(pupils.values()))


provided = st.builds(
    Provided,
    school_id=st.integers(1, 3),
    textbook_id=st.integers(1, 5),
    subject=st.just("Математика"),
    grade=st.integers(1, 11),
    pupils=copies,
    usable=copies,
    fit=copies,
)


@given(st.lists(provided))
def test_coverage_is_a_share_and_spare_books_do_not_hide_a_shortage(rows: list[Provided]) -> None:
    sums = rules.provision_of(rows)
    assert sums.coverage == rules.coverage((row.usable, row.pupils) for row in rows)
    if sums.coverage is not None:
        assert 0 <= sums.coverage <= 1
        assert (sums.coverage == 1) == (sums.missing == 0)
        assert sums.served + sums.missing == sums.pupils


def test_a_high_mean_k_hides_what_coverage_shows() -> None:
    """As in the regional report: K above 1 while most pupils of one book have none."""
    rows = [
        Provided(1, 1, "Физика", 7, pupils=10, usable=60, fit=60),
        Provided(1, 2, "Химия", 8, pupils=10, usable=0, fit=0),
    ]
    sums = rules.provision_of(rows)
    assert sums.uncapped == 3
    assert sums.coverage == 0.5
    assert sums.missing == 10


def test_nothing_to_provide_has_no_coverage() -> None:
    assert rules.provision_of([]).coverage is None
    assert rules.provision_of([]).uncapped is None


def test_a_book_lasts_when_it_may_be_used_on_the_last_day_of_the_year() -> None:
    assert rules.lasts_through(verdict(Legality.ALLOWED, date(2026, 10, 1)), YEAR)
    assert rules.lasts_through(verdict(Legality.LAST_YEAR, date(2027, 8, 31)), YEAR)
    assert not rules.lasts_through(verdict(Legality.LAST_YEAR, date(2027, 3, 1)), YEAR)
    assert not rules.lasts_through(verdict(Legality.EXCLUDED, date(2025, 8, 31)), YEAR)
    assert not rules.lasts_through(verdict(Legality.NOT_LISTED), YEAR)


def test_pupils_attach_to_every_book_of_their_grade_that_can_be_used() -> None:
    def candidate(number: int, grades: tuple[int | None, int | None], **other: object) -> Candidate:
        facts = {"subject": "Физика", "special_needs": False, "lasts": True, **other}
        return Candidate(number, grade_from=grades[0], grade_to=grades[1], **facts)  # type: ignore[arg-type]

    using = rules.grades_using(
        [
            candidate(1, (10, 11)),
            candidate(2, (10, 10)),
            candidate(3, (10, 10), lasts=False),
            candidate(4, (9, 9), lasts=False),
            candidate(5, (10, 10), special_needs=True),
            candidate(6, (None, None)),
            candidate(7, (10, 10), subject="Химия", lasts=False),
        ]
    )
    assert using == {1: [10, 11], 2: [10], 3: [], 4: [9], 5: [], 6: [], 7: [10]}


def test_the_shelf_of_a_book_in_two_parts() -> None:
    shown = book(
        ShelfEdition(2023, 1, own=12, worn=1),
        ShelfEdition(2023, 2, own=6, borrowed=4),
        parts=2,
        pupils=20,
    )
    assert shown.sets == Sets(10, 2)
    assert shown.usable == 10
    assert (shown.need, shown.surplus) == (10, 0)


def test_what_is_promised_is_neither_used_nor_spare_and_loans_are_not_ones_to_give() -> None:
    assert book(ShelfEdition(2023, 1, own=30, promised=4), pupils=20).surplus == 6
    assert book(ShelfEdition(2023, 1, own=22, promised=4), pupils=20).need == 2
    assert book(ShelfEdition(2023, 1, own=3, borrowed=30), pupils=20).surplus == 3
    assert book(ShelfEdition(2023, 1, own=30, offered=8), pupils=20).surplus == 10
    assert book(ShelfEdition(2023, 1, own=30), pupils=None).surplus is None


def test_a_book_that_may_not_be_used_covers_nobody() -> None:
    shown = book(ShelfEdition(2020, 1, own=30), lasts=False)
    assert (shown.usable, shown.need, shown.surplus) == (0, 20, 0)


@given(st.integers(0, 200), copies, copies)
def test_a_count_never_falls_below_what_others_were_told(number: int, promised: int, offered: int) -> None:
    if number >= promised + offered:
        rules.check_count(number, promised=promised, offered=offered)
    else:
        with pytest.raises(Invalid) as refused:
            rules.check_count(number, promised=promised, offered=offered)
        assert str(refused.value)


@given(copies, copies, copies, st.booleans())
def test_worn_copies_never_exceed_those_left(worn: int, gone: int, left: int, there: bool) -> None:
    assert 0 <= rules.worn_after_write_off(worn, gone, left, were_there=there) <= left


def test_what_is_shown() -> None:
    since = rules.beginning(YEAR)
    spare = book(ShelfEdition(2023, 1, own=30, counted_at=datetime(2026, 9, 2, tzinfo=UTC)))
    short = book(ShelfEdition(2023, 1, own=3))
    gone = book(ShelfEdition(2023, 1))
    unpaired = book(ShelfEdition(2023, 1, own=3), ShelfEdition(2023, 2), parts=2)

    def shown(show: Show) -> list[ShelfBook]:
        return [b for b in (spare, short, gone, unpaired) if Filter(show=show).admits(b, since=since)]

    assert shown(Show.ALL) == [spare, short, unpaired]
    assert shown(Show.SURPLUS) == [spare]
    assert shown(Show.NEED) == [short, unpaired]
    assert shown(Show.UNPAIRED) == [unpaired]
    assert shown(Show.UNCOUNTED) == [short, unpaired]
    assert shown(Show.EMPTY) == [gone]
    assert Filter(grade=1, subject="Математика", standing=Legality.ALLOWED).admits(spare, since=since)
    assert not Filter(grade=2).admits(spare, since=since)
    assert not Filter(standing=Legality.EXCLUDED).admits(spare, since=since)
