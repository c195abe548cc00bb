"""Provision, the postings that follow, next year: the domain's own examples, and what must always hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Stale
from exchange.provision import rules
from exchange.provision.rules import (
    Advice,
    Copies,
    Filter,
    Holding,
    Provided,
    Provision,
    Reason,
    Show,
    Stage,
)
from exchange.stock.rules import Attached, Reserve

copies = st.integers(0, 500)


def shelf(fit: int, *, promised: int = 0, borrowed: int = 0, asked: int = 0, coming: int = 0) -> Copies:
    """Return what a shelf holds of a part; next year it has its own."""
    staying = max(0, fit - promised)
    return Copies(fit, staying, max(0, staying - borrowed), asked, coming, fit - borrowed)


def holding(
    by_part: Mapping[int, Copies] | Copies,
    *pupils: tuple[int, str, int],
    parts: int = 1,
    keeping: Reserve = Reserve(),  # noqa: B008
    known: bool = True,
    **other: object,
) -> Holding:
    facts = {"subject": "Математика", "special_needs": False, "lasts": True, "grade": 5, **other}
    return Holding(
        school_id=1,
        textbook_id=7,
        parts=parts,
        copies={1: by_part} if isinstance(by_part, Copies) else by_part,
        attached=tuple(Attached(*each) for each in pupils) if known else None,
        keeping=keeping,
        **facts,  # type: ignore[arg-type]
    )


GROUPS = ((5, "А", 24), (5, "Б", 22))

# --- provision ---


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


def test_a_class_with_24_pupils_and_10_books_lacks_14() -> None:
    (row,) = rules.provided(holding(shelf(10), (5, "А", 24)))
    assert (row.need, row.surplus, row.served) == (14, 0, 10)
    (row,) = rules.provided(holding(shelf(46), (5, "А", 24)))
    assert (row.need, row.surplus) == (0, 22)


def test_reserve_and_buffer_belong_to_the_book_as_a_whole() -> None:
    keeping = Reserve(reserve_percent=5, buffer_percent=10)
    rows = list(rules.provided(holding(shelf(30), *GROUPS, keeping=keeping)))
    assert [(row.letter, row.usable, row.need) for row in rows] == [("А", 24, 0), ("Б", 6, 19)]
    assert holding(shelf(30), *GROUPS, keeping=keeping).need == 19
    rows = list(rules.provided(holding(shelf(60), *GROUPS, keeping=keeping)))
    assert [row.surplus for row in rows] == [0, 60 - 46 - 5]


def test_one_book_of_two_grades_is_counted_once() -> None:
    rows = list(rules.provided(holding(shelf(12), (10, "", 8), (11, "", 8))))
    assert [(row.grade, row.usable, row.missing) for row in rows] == [(10, 8, 0), (11, 4, 4)]


def test_sets_are_the_least_of_the_parts_and_the_rest_is_unpaired() -> None:
    rows = list(rules.provided(holding({1: shelf(30), 2: shelf(20)}, *GROUPS, parts=2)))
    assert sum(row.usable for row in rows) == 20
    assert [row.unpaired for row in rows] == [0, 10]


def test_what_is_promised_is_not_used_and_what_may_not_be_used_is_only_in_k() -> None:
    sums = rules.provision_of(rules.provided(holding(shelf(24, promised=4), (5, "А", 24))))
    assert (sums.served, sums.need, sums.fit) == (20, 4, 24)
    sums = rules.provision_of(rules.provided(holding(shelf(24), (5, "А", 24), lasts=False)))
    assert (sums.served, sums.need, sums.uncapped) == (0, 24, 1)


def test_a_book_nobody_needs_is_spare_and_not_in_k() -> None:
    (row,) = rules.provided(holding(shelf(12)))
    assert (row.pupils, row.surplus) == (0, 12)
    assert rules.provision_of([row]) == Provision(surplus=12)
    assert list(rules.provided(holding(shelf(12), known=False))) == []


def test_levels_of_school() -> None:
    stages = [rules.stage_of(grade) for grade in range(1, 12)]
    assert stages == [Stage.PRIMARY] * 4 + [Stage.BASIC] * 5 + [Stage.UPPER] * 2


places = st.tuples(st.integers(1, 11), st.sampled_from(["", "А", "Б"]))
parts_of = st.fixed_dictionaries({1: st.builds(shelf, copies), 2: st.builds(shelf, copies)})
reserves = st.builds(Reserve, st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
holdings = st.builds(
    lambda by_part, pupils, keeping, lasts, school, book, subject: replace(
        holding(
            by_part,
            *((g, le, n) for (g, le), n in sorted(pupils.items())),
            parts=2,
            keeping=keeping,
            lasts=lasts,
        ),
        school_id=school,
        textbook_id=book,
        subject=subject,
    ),
    parts_of,
    st.dictionaries(places, st.integers(1, 60), max_size=4),
    reserves,
    st.booleans(),
    st.integers(1, 3),
    st.integers(1, 5),
    st.sampled_from(["Математика", "Физика"]),
)


def total(sums: Mapping[object, Provision]) -> tuple[int, ...]:
    numbers = ("pupils", "served", "missing", "need", "surplus", "unpaired", "fit")
    return tuple(sum(getattr(each, name) for each in sums.values()) for name in numbers)


@given(st.lists(holdings, max_size=8, unique_by=lambda each: (each.school_id, each.textbook_id)))
def test_sums_agree_at_every_level(some: list[Holding]) -> None:
    rows = [row for each in some for row in rules.provided(each)]
    whole = total({0: rules.provision_of(rows)})
    for key in (
        lambda row: row.school_id,
        lambda row: row.textbook_id,
        lambda row: row.subject,
        lambda row: rules.stage_of(row.grade),
        lambda row: (row.grade, row.letter),
        lambda row: (row.school_id, row.textbook_id, row.grade),
    ):
        assert total(rules.provision_by(rows, key)) == whole
    assert whole[3] == sum(each.need for each in some)


@given(holdings)
def test_the_rows_of_a_book_add_up_to_the_formula(each: Holding) -> None:
    rows = list(rules.provided(each))
    if rows:
        assert sum(row.need for row in rows) == max(0, each.pupils + each.reserve - each.usable)
        assert sum(row.surplus for row in rows) == max(0, each.usable - each.pupils - each.buffer)
        assert sum(row.served for row in rows) == min(each.usable, each.pupils)


@given(holdings, st.integers(1, 2), st.integers(1, 50))
def test_more_stock_never_raises_the_need_nor_lowers_the_surplus(each: Holding, part: int, more: int) -> None:
    richer = replace(each, copies={**each.copies, part: shelf(each.copies[part].fit + more)})
    before, after = (rules.provision_of(rules.provided(one)) for one in (each, richer))
    assert after.need <= before.need
    assert after.surplus >= before.surplus
    assert (after.coverage or 0) >= (before.coverage or 0)
    assert all(rules.wanted(richer)[p] <= rules.wanted(each)[p] for p in (1, 2))


def test_what_may_identify_a_child() -> None:
    assert rules.tells_of_a_child(holding(shelf(5), (5, "А", 2), special_needs=True))
    assert rules.tells_of_a_child(holding(shelf(3), (5, "А", 5), special_needs=True))
    assert not rules.tells_of_a_child(holding(shelf(5), (5, "А", 5), special_needs=True))
    assert not rules.tells_of_a_child(holding(shelf(5), (5, "А", 2)))


def test_what_is_shown() -> None:
    row = Provided(1, 7, "Физика", 8, pupils=10, usable=4, fit=4, letter="А")
    assert not Filter().narrows
    for wanted in (Filter(grade=8), Filter(letter="А"), Filter(subject="Физика"), Filter(stage=Stage.BASIC)):
        assert wanted.narrows
        assert wanted.admits(row)
    for unwanted in (Filter(grade=7), Filter(letter="Б"), Filter(stage=Stage.UPPER), Filter(textbook_id=8)):
        assert not unwanted.admits(row)
    sums = rules.provision_of([row])
    assert [Filter(show=show).shows(sums) for show in Show] == [True, True, False, False]


# --- the postings that follow ---


def advised(
    there: Holding,
    requested: Mapping[int, int] | None = None,
    offered: Mapping[int, int] | None = None,
    *,
    may_be_taught: bool = True,
) -> list[tuple[Advice, Mapping[int, int]]]:
    found = rules.proposals(there, may_be_taught=may_be_taught, requested=requested, offered=offered or {})
    return [(each.advice, each.by_part) for each in found]


def test_what_is_missing_is_proposed_as_a_request_and_what_is_spare_as_an_offer() -> None:
    assert advised(holding(shelf(10), (5, "А", 24))) == [(Advice.ASK, {1: 14})]
    assert advised(holding(shelf(46), (5, "А", 24))) == [(Advice.GIVE, {1: 22})]
    assert advised(holding(shelf(24), (5, "А", 24))) == []
    assert advised(holding(shelf(46), known=False)) == []


def test_only_the_second_part_is_missing_and_single_parts_are_spare() -> None:
    there = holding({1: shelf(30), 2: shelf(20)}, (5, "А", 24), parts=2)
    assert advised(there) == [(Advice.ASK, {2: 4}), (Advice.GIVE, {1: 6})]


def test_what_is_on_its_way_or_posted_is_not_proposed_again() -> None:
    assert advised(holding(shelf(10, coming=9), (5, "А", 24))) == [(Advice.ASK, {1: 5})]
    assert advised(holding(shelf(10), (5, "А", 24)), requested={1: 14}) == []
    assert advised(holding(shelf(46, asked=5), (5, "А", 24)), offered={1: 10}) == [(Advice.GIVE, {1: 7})]
    assert advised(holding(shelf(46, borrowed=40), (5, "А", 24))) == [(Advice.GIVE, {1: 6})]


def test_postings_are_kept_in_step() -> None:
    missing_three = holding(shelf(21), (5, "А", 24))
    assert advised(missing_three, requested={1: 14}) == [(Advice.ASK_LESS, {1: 3})]
    assert advised(missing_three, requested={1: 1}) == [(Advice.ASK_MORE, {1: 3})]
    assert advised(holding(shelf(24), (5, "А", 24)), requested={1: 14}) == [(Advice.ASK_NO_MORE, {})]
    spare = holding(shelf(36), (5, "А", 24))
    assert advised(spare, offered={1: 20}) == [(Advice.GIVE_LESS, {1: 12})]
    assert advised(missing_three, requested={1: 3}, offered={1: 20}) == [(Advice.GIVE_NO_MORE, {1: 0})]


def test_a_book_that_may_not_be_used_is_neither_asked_for_nor_given() -> None:
    ended = holding(shelf(46), (5, "А", 24), lasts=False)
    assert advised(ended) == []
    assert advised(ended, requested={1: 14}, offered={1: 20}) == [
        (Advice.ASK_NO_MORE, {}),
        (Advice.GIVE_NO_MORE, {1: 0}),
    ]
    assert advised(holding(shelf(46), (5, "А", 24)), may_be_taught=False) == []


@given(holdings, st.one_of(st.none(), st.fixed_dictionaries({1: copies, 2: copies})), parts_of, st.booleans())
def test_who_follows_the_advice_is_advised_nothing_more(
    there: Holding, requested: Mapping[int, int] | None, spare: Mapping[int, Copies], taught: bool
) -> None:
    offered = {part: each.fit for part, each in spare.items()}
    for each in rules.proposals(there, may_be_taught=taught, requested=requested, offered=offered):
        if each.advice is Advice.GIVE:
            offered = {p: offered.get(p, 0) + each.by_part.get(p, 0) for p in (1, 2)}
        elif each.advice in (Advice.GIVE_LESS, Advice.GIVE_NO_MORE):
            offered |= each.by_part
        else:
            requested = None if each.advice is Advice.ASK_NO_MORE else dict(each.by_part)
    assert advised(there, requested, offered, may_be_taught=taught) == []


def test_a_class_gets_its_set_of_one_year() -> None:
    free = {2019: {1: 5, 2: 20}, 2021: {1: 12, 2: 12}, 2023: {1: 3}}
    assert rules.from_years(free, {1: 10, 2: 10}) == {(2021, 1): 10, (2021, 2): 10}
    assert rules.from_years(free, {1: 15, 2: 10}) == {(2021, 1): 12, (2021, 2): 10, (2019, 1): 3}
    assert rules.from_years({2020: {1: 4}}, {1: 9}) == {(2020, 1): 4}


@given(st.dictionaries(st.integers(2010, 2026), st.dictionaries(st.integers(1, 2), copies)), copies, copies)
def test_no_more_is_taken_than_is_free(free: dict[int, dict[int, int]], one: int, two: int) -> None:
    taken = rules.from_years(free, {1: one, 2: two})
    for part, wanted in ((1, one), (2, two)):
        there = sum(by_part.get(part, 0) for by_part in free.values())
        assert sum(n for (_, p), n in taken.items() if p == part) == min(wanted, there)
    assert all(0 < n <= free[year][part] for (year, part), n in taken.items())


def test_offers_are_lowered_one_after_the_other() -> None:
    assert rules.lower([(1, 12), (2, 8)], 12) == {1: 4}
    assert rules.lower([(1, 12), (2, 8)], 5) == {1: 0, 2: 5}
    assert rules.lower([(1, 12)], 12) == {}


def test_a_proposal_is_known_by_its_numbers() -> None:
    (ask,) = rules.proposals(holding(shelf(10), (5, "А", 24)), may_be_taught=True, requested=None, offered={})
    assert ask.key == "ask-7-1x14"
    (other,) = rules.proposals(
        holding(shelf(11), (5, "А", 24)), may_be_taught=True, requested=None, offered={}
    )
    assert other.numbers != ask.numbers
    assert rules.digest([ask]) != rules.digest([other])
    rules.check_same([ask.key], [ask.key, other.key])
    rules.check_digest(rules.digest([ask]), [ask])
    with pytest.raises(Stale):
        rules.check_same([ask.key], [other.key])
    with pytest.raises(Stale):
        rules.check_digest(rules.digest([ask]), [other])


# --- next year ---


def lacking(now: Holding | None, then: Holding) -> tuple[int, Mapping[Reason, int]]:
    short = rules.shortage(now, then)
    assert short is not None
    return short.missing, short.reasons


def test_the_reasons_of_next_years_shortage() -> None:
    now = holding(shelf(24), (5, "А", 24), keeping=Reserve(wear_percent=5))
    assert lacking(now, replace(now, lasts=False)) == (24, {Reason.EXPIRY: 24})
    grown = replace(now, attached=(Attached(5, "А", 29),))
    assert lacking(now, grown) == (7, {Reason.PUPILS: 5, Reason.WEAR: 2})
    borrowed = holding(shelf(24, borrowed=4), (5, "А", 24))
    assert lacking(borrowed, borrowed) == (4, {Reason.LOANS: 4})
    short = holding(shelf(20), (5, "А", 24))
    fewer = replace(short, attached=(Attached(5, "А", 21),))
    assert lacking(short, fewer) == (1, {Reason.ALREADY: 4, Reason.PUPILS: -3})
    assert lacking(None, holding({}, (5, "А", 24))) == (24, {Reason.CHOSEN: 24})
    assert rules.shortage(now, replace(now, attached=None)) is None


@given(holdings, st.dictionaries(places, st.integers(1, 60), max_size=4), st.booleans())
def test_the_reasons_add_up_to_the_shortage(
    now: Holding, pupils: dict[tuple[int, str], int], lasts: bool
) -> None:
    attached = tuple(Attached(*place, number) for place, number in sorted(pupils.items()))
    short = rules.shortage(now, replace(now, attached=attached, lasts=lasts))
    assert short is not None
    assert sum(short.reasons.values()) == short.missing
    assert all(short.reasons.values())
    assert short.missing == max(0, short.pupils + now.keeping.reserve(short.pupils) - short.usable)
