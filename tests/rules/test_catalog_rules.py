"""What the federal list says about a book, and which books are the same."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.catalog.rules import (
    Legality,
    Listing,
    SchoolYear,
    Verdict,
    fold,
    identity,
    legality,
    publisher_group,
    sort_key,
)

AUTUMN = date(2026, 10, 15)
DAYS = st.dates(date(2015, 1, 1), date(2040, 12, 31))


def listing(
    appendix: int = 1,
    valid_until: date | None = None,
    *,
    order: str = "769",
    edition: str = "",
    since: date = date(2025, 1, 1),
    until: date | None = None,
    excluded_on: date | None = None,
    perpetual: bool = False,
) -> Listing:
    return Listing(
        order, edition, appendix, "1.1.1.1.1.1.1", valid_until, excluded_on, since, until, perpetual
    )


def judged(*listings: Listing, on: date = AUTUMN, year: int | None = None) -> Verdict:
    return legality(listings, on, SchoolYear(year) if year else None)


# Words and numbers


def test_fold_ignores_case_yo_and_spaces() -> None:
    assert fold("  Пёрышкин\u00a0 А.В. ") == fold("ПЕРЫШКИН А.В.") == "перышкин а.в."


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_sort_key_orders_numbers_by_value() -> None:
    numbers = ["1.1.10.2", "1.1.9.1", "1.1.2.11", "1.1.2.2"]
    assert sorted(numbers, key=sort_key) == ["1.1.2.2", "1.1.2.11", "1.1.9.1", "1.1.10.2"]


# School years


@pytest.mark.parametrize(
    ("day", "label"),
    [
        (date(2026, 9, 1), "2026/27"),
        (date(2027, 8, 31), "2026/27"),
        (date(2026, 8, 31), "2025/26"),
        (date(1999, 12, 1), "1999/00"),
    ],
)
def test_school_year_of_a_day(day: date, label: str) -> None:
    assert SchoolYear.of(day).label == label


@given(DAYS)
def test_a_day_lies_in_its_own_school_year_only(day: date) -> None:
    year = SchoolYear.of(day)
    assert year.first_day <= day <= year.last_day
    assert SchoolYear.of(year.last_day + timedelta(days=1)) == SchoolYear(year.start + 1)


# Legality


def test_appendix_1_is_allowed_and_may_be_bought() -> None:
    verdict = judged(listing(valid_until=date(2028, 7, 20)))
    assert (verdict.legality, verdict.word, verdict.may_buy) == (Legality.ALLOWED, "можно", True)
    assert verdict.order == "769"
    assert "20.07.2028" in str(verdict)
    assert "769" in str(verdict)


def test_appendix_1_with_an_expired_opinion_is_taught_but_not_bought() -> None:
    verdict = judged(listing(valid_until=date(2026, 6, 25)))
    assert verdict.legality is Legality.ALLOWED
    assert not verdict.may_buy
    assert judged(listing(valid_until=AUTUMN)).may_buy


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (date(2026, 8, 31), Legality.EXCLUDED),
        (date(2026, 10, 14), Legality.EXCLUDED),
        (date(2026, 10, 15), Legality.LAST_YEAR),
        (date(2027, 8, 31), Legality.LAST_YEAR),
        (date(2027, 9, 1), Legality.ALLOWED),
        (date(2028, 8, 31), Legality.ALLOWED),
    ],
)
def test_appendix_2_until_its_last_day(until: date, expected: Legality) -> None:
    verdict = judged(listing(2, until))
    assert verdict.legality is expected
    assert verdict.until == until
    assert not verdict.may_buy
    assert f"{until:%d.%m.%Y}" in str(verdict)


def test_the_last_year_is_named() -> None:
    assert "2026/27" in str(judged(listing(2, date(2027, 8, 31))))


def test_perpetual_use_needs_the_word() -> None:
    assert judged(listing(2, perpetual=True)).legality is Legality.ALLOWED
    assert judged(listing(2)).legality is Legality.EXCLUDED


def test_next_year_is_judged_as_of_its_first_day() -> None:
    book = listing(2, date(2027, 8, 31))
    assert judged(book, on=date(2027, 3, 1)).legality is Legality.LAST_YEAR
    assert judged(book, on=date(2027, 3, 1), year=2027).legality is Legality.EXCLUDED
    assert judged(book, on=date(2027, 3, 1), year=2025).legality is Legality.ALLOWED


def test_the_order_in_force_is_chosen_by_date() -> None:
    older = listing(
        1, date(2027, 4, 25), order="858", edition="119", since=date(2024, 3, 1), until=date(2024, 12, 31)
    )
    newer = listing(2, date(2027, 8, 31))
    assert judged(older, newer, on=date(2024, 10, 1)).order == "858 (ред. 119)"
    assert judged(older, newer, on=date(2024, 10, 1)).may_buy
    now = judged(older, newer)
    assert (now.order, now.legality, now.may_buy) == ("769", Legality.LAST_YEAR, False)
    assert judged(newer, older) == now


def test_an_older_order_still_in_force_speaks_when_the_newer_is_silent() -> None:
    older = listing(2, date(2027, 8, 31), order="858", since=date(2024, 3, 1))
    assert judged(older).legality is Legality.LAST_YEAR


def test_the_newest_of_several_orders_in_force_decides() -> None:
    older = listing(1, date(2028, 4, 25), order="858", since=date(2022, 9, 1))
    newer = listing(2, date(2026, 8, 31))
    for known in ((older, newer), (newer, older)):
        assert (judged(*known).order, judged(*known).legality) == ("769", Legality.EXCLUDED)


def test_a_book_of_a_former_order_is_not_listed() -> None:
    former = listing(1, date(2027, 4, 25), order="858", since=date(2022, 9, 1), until=date(2024, 12, 31))
    verdict = judged(former)
    assert (verdict.legality, verdict.word) == (Legality.NOT_LISTED, "нет в перечне")
    assert "858" in str(verdict)


def test_a_book_of_no_order_is_not_listed() -> None:
    assert judged().legality is Legality.NOT_LISTED
    assert judged().order is None
    future = listing(1, since=date(2030, 1, 1))
    assert judged(future).legality is Legality.NOT_LISTED


def test_a_book_whose_time_ran_out_in_a_former_order_is_excluded() -> None:
    former = listing(2, date(2024, 8, 31), order="858", since=date(2022, 9, 1), until=date(2024, 12, 31))
    assert judged(former).legality is Legality.EXCLUDED
    assert judged(former).until == date(2024, 8, 31)


def test_an_entry_taken_out_of_appendix_1() -> None:
    assert judged(listing(excluded_on=date(2026, 10, 15))).legality is Legality.EXCLUDED
    soon = judged(listing(excluded_on=date(2027, 1, 1)))
    assert (soon.legality, soon.until) == (Legality.LAST_YEAR, date(2026, 12, 31))
    assert judged(listing(excluded_on=date(2028, 1, 1))).legality is Legality.ALLOWED


def test_the_better_of_two_places_in_one_order_counts() -> None:
    old, new = listing(2, date(2025, 8, 31)), listing(1, date(2028, 7, 20))
    assert judged(old, new).may_buy
    assert judged(old, new) == judged(new, old)


@given(DAYS, DAYS, st.integers(1, 2), st.booleans())
def test_a_verdict_can_always_be_said(on: date, until: date, appendix: int, perpetual: bool) -> None:
    verdict = legality([listing(appendix, until, since=date(2000, 1, 1), perpetual=perpetual)], on)
    assert "%" not in str(verdict)
    assert verdict.word
    assert not verdict.may_buy or (appendix == 1 and verdict.legality is Legality.ALLOWED)


@given(DAYS, st.dates(date(2015, 1, 1), date(2040, 1, 1)))
def test_time_never_makes_an_excluded_book_usable_again(until: date, on: date) -> None:
    book = listing(2, until, since=date(2000, 1, 1))
    order = [Legality.ALLOWED, Legality.LAST_YEAR, Legality.EXCLUDED]
    now, later = (order.index(legality([book], day).legality) for day in (on, on + timedelta(days=200)))
    assert later >= now


# The same book


def key(authors: tuple[str, ...], **facts: object) -> str:
    known = {
        "subject": "Литературное чтение",
        "title": "Литературное чтение",
        "grades": "4",
        "level": "",
        "publisher_group": "Просвещение",
    }
    return identity(authors=authors, **(known | facts))  # type: ignore[arg-type]


def test_two_series_of_klimanova_are_two_books() -> None:
    school_of_russia = key(("Климанова Л.Ф.", "Горецкий В.Г.", "Голованова М.В."))
    perspective = key(("Климанова Л.Ф.", "Виноградская Л.А.", "Бойкина М.В."))
    assert school_of_russia != perspective


def test_makarychev_basic_and_advanced_are_two_books() -> None:
    authors = ("Макарычев Ю.Н.", "Миндюк Н.Г.", "Нешков К.И.")
    basic = key(authors, title="Алгебра", subject="Алгебра", grades="8")
    advanced = key(authors, title="Алгебра", subject="Алгебра", grades="8", level="углублённый")
    mnemozina = key(authors, title="Алгебра", subject="Алгебра", grades="8", publisher_group="Мнемозина")
    assert len({basic, advanced, mnemozina}) == 3


def test_two_peryshkins_are_two_people() -> None:
    assert key(("Перышкин А.В.",)) != key(("Перышкин И.М.",))
    assert key(("Перышкин А.В.",)) == key(("Пёрышкин А. В.",))


def test_a_reworked_edition_is_another_book_but_its_ordinal_is_not() -> None:
    authors = ("Моро М.И.", "Бантова М.А.")
    old, new = key(authors), key(authors, edition_note="13-е издание, переработанное")
    assert old != new
    assert new == key(authors, edition_note="15-е издание, переработанное")
    assert old == key(authors, edition_note="9-е издание")


def test_the_order_of_co_authors_does_not_matter_but_the_lead_does() -> None:
    first = key(("Климанова Л.Ф.", "Виноградская Л.А.", "Горецкий В.Г."))
    assert first == key(("Климанова Л.Ф.", "Горецкий В.Г.", "Виноградская Л.А."))
    assert first != key(("Горецкий В.Г.", "Климанова Л.Ф.", "Виноградская Л.А."))


def test_special_needs_and_language_tell_books_apart() -> None:
    facts = {
        "subject": "Математика",
        "title": "Математика",
        "grades": "2",
        "level": "",
        "publisher_group": "П",
    }
    plain = identity(authors=("Алышева Т.В.",), **facts)  # type: ignore[arg-type]
    special = identity(authors=("Алышева Т.В.",), special_needs=True, **facts)  # type: ignore[arg-type]
    tatar = identity(authors=("Алышева Т.В.",), language="татарский", **facts)  # type: ignore[arg-type]
    assert len({plain, special, tatar}) == 3


def test_publisher_groups() -> None:
    assert publisher_group(["Дрофа", "Просвещение"]) == publisher_group(["Дрофа"]) == "Дрофа"
    assert publisher_group(["Просвещение"]) == "Просвещение"
    assert publisher_group(["Вако", "Вита-Пресс"]) == "Вита-Пресс"
    assert publisher_group([]) == ""
