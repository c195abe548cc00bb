"""Sets, whose pupils need a book, need, surplus: examples, and what must hold for any numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.approved.rules import Use
from exchange.catalog.rules import Legality, SchoolYear, Verdict
from exchange.classes.rules import Group
from exchange.errors import Invalid
from exchange.stock import rules
from exchange.stock.rules import Attached, Candidate, Filter, Reserve, Sets, ShelfBook, ShelfEdition, Show

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


def test_a_book_lasts_when_it_may_be_used_on_the_last_day_of_the_year() -> None:
    assert rules.lasts_through(verdict(Legality.ALLOWED, date(2026, 10, 1)), YEAR)
    assert rules.lasts_through(verdict(Legality.LAST_YEAR, date(2027, 8, 31)), YEAR)
    assert not rules.lasts_through(verdict(Legality.LAST_YEAR, date(2027, 3, 1)), YEAR)
    assert not rules.lasts_through(verdict(Legality.EXCLUDED, date(2025, 8, 31)), YEAR)
    assert not rules.lasts_through(verdict(Legality.NOT_LISTED), YEAR)


def test_pupils_attach_to_every_book_of_their_grade_that_can_be_used() -> None:
    def physics(number: int, grades: tuple[int | None, int | None], **other: object) -> Candidate:
        return candidate(number, grade_from=grades[0], grade_to=grades[1], **{"subject": "Физика", **other})

    using = rules.grades_using(
        [
            physics(1, (10, 11)),
            physics(2, (10, 10)),
            physics(3, (10, 10), lasts=False),
            physics(4, (9, 9), lasts=False),
            physics(5, (10, 10), special_needs=True),
            physics(6, (None, None)),
            physics(7, (10, 10), subject="Химия", lasts=False),
        ]
    )
    assert using == {1: [10, 11], 2: [10], 3: [], 4: [9], 5: [], 6: [], 7: [10]}


def candidate(number: int, **other: object) -> Candidate:
    facts = {"subject": "Математика", "special_needs": False, "lasts": True, "grade_from": 5, "grade_to": 5}
    return Candidate(number, **{**facts, **other})  # type: ignore[arg-type]


CLASSES = [Group(5, "А", 24), Group(5, "Б", 22), Group(6, "", 20)]


def test_without_a_list_pupils_attach_to_every_book_of_their_grade() -> None:
    assert rules.attach([candidate(1), candidate(2), candidate(3, grade_from=6, grade_to=6)], CLASSES) == {
        1: (Attached(5, "А", 24), Attached(5, "Б", 22)),
        2: (Attached(5, "А", 24), Attached(5, "Б", 22)),
        3: (Attached(6, "", 20),),
    }


def test_the_list_says_which_class_uses_which_book_and_the_others_have_no_pupils() -> None:
    uses = [Use(5, "А", 1, "Математика"), Use(5, "Б", 2, "Математика")]
    books = [candidate(1), candidate(2), candidate(3), candidate(4, subject="Физика", grade_to=6)]
    assert rules.attach(books, CLASSES, uses) == {
        1: (Attached(5, "А", 24),),
        2: (Attached(5, "Б", 22),),
        3: (),
        4: (Attached(5, "А", 24), Attached(5, "Б", 22), Attached(6, "", 20)),
    }


def test_a_book_of_two_grades_attaches_by_the_list_in_one_and_by_the_shelf_in_the_other() -> None:
    both = candidate(1, grade_to=6)
    uses = [Use(5, "", 2, "Математика")]
    attached = rules.attach([both, candidate(2)], CLASSES, uses)
    assert attached == {1: (Attached(6, "", 20),), 2: (Attached(5, "А", 24), Attached(5, "Б", 22))}
    attached = rules.attach([both, candidate(2)], CLASSES, [Use(5, "А", 1, "Математика")])
    assert attached == {1: (Attached(5, "А", 24), Attached(6, "", 20)), 2: ()}


def test_special_needs_count_only_where_the_list_says_how_many() -> None:
    special, usual = candidate(1, special_needs=True), candidate(2)
    whole = (Attached(5, "А", 24), Attached(5, "Б", 22))
    assert rules.attach([special, usual], CLASSES) == {2: whole}
    assert rules.attach([special, usual], CLASSES, [Use(5, "", 1, "Математика")]) == {2: whole}
    # It says nothing about the book of the others.
    assert rules.attach([special, usual], CLASSES, [Use(5, "А", 1, "Математика", 2)]) == {
        1: (Attached(5, "А", 2),),
        2: whole,
    }


def test_nothing_is_known_without_pupils() -> None:
    assert rules.attach([candidate(1)], [], [Use(5, "А", 1, "Математика")]) == {}
    assert rules.attach([candidate(1)], [Group(5, "", 0)]) == {}
    assert rules.attach([candidate(1, grade_from=None, grade_to=None)], CLASSES) == {}
    # A school without that grade: the book is known to be nobody's.
    assert rules.attach([candidate(1, grade_from=9, grade_to=9)], CLASSES) == {1: ()}


def test_what_is_kept_is_rounded_up_and_the_buffer_is_no_less_than_the_reserve() -> None:
    keeping = Reserve(reserve_percent=5, buffer_percent=2, wear_percent=10)
    assert (keeping.reserve(24), keeping.buffer(24), keeping.wear(21)) == (2, 2, 3)
    assert Reserve(buffer_percent=10).buffer(24) == 3
    assert Reserve().buffer(24) == 0
    with pytest.raises(Invalid, match="50"):
        rules.check_reserve(Reserve(wear_percent=51))


def test_the_shelf_keeps_the_buffer_and_asks_for_the_reserve() -> None:
    keeping = Reserve(reserve_percent=5, buffer_percent=10)
    assert replace(book(ShelfEdition(2023, 1, own=30)), keeping=keeping).surplus == 8
    assert replace(book(ShelfEdition(2023, 1, own=18)), keeping=keeping).need == 3


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
    assert book(ShelfEdition(2023, 1, own=30, offered=8), pupils=20).surplus == 2
    assert book(ShelfEdition(2023, 1, own=30, offered=4, asked=5), pupils=20).surplus == 1
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
