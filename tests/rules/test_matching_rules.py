"""The filters, the sets of parts, the reasons and the independent check."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Invalid
from exchange.matching.rules import (
    REFUSALS,
    SHORTAGES,
    WHY,
    Controls,
    FundUse,
    Line,
    Need,
    Problem,
    Refusal,
    Shortage,
    Supply,
    Why,
    allowed,
    check,
    check_fixed,
    covered_by_layer,
    explain,
    figures_of,
    layers,
    reasons,
    shortages,
    trips_of,
    why,
)
from exchange.matching.solver import solve
from exchange.transfers.rules import Kind

YEAR_END = date(2027, 5, 31)
TODAY = date(2026, 9, 15)
OFFER = Supply(id=1, holder=1, edition=7, textbook=5, part=0, year=2020, copies=10)
NEED = Need(id=1, taker=2, textbook=5, parts=((0, 6),))


def problem(supplies=(OFFER,), needs=(NEED,), **changes) -> Problem:
    values = {"km": {(1, 2): 20.0}, "today": TODAY, "year_end": YEAR_END, **changes}
    return Problem(supplies=tuple(supplies), needs=tuple(needs), **values)


REFUSED = {
    Refusal.OWN_SCHOOL: (replace(OFFER, holder=2), NEED),
    Refusal.NOT_LEGAL: (replace(OFFER, legal_until=date(2026, 8, 31), kind=Kind.LOAN), NEED),
    Refusal.LAST_YEAR: (replace(OFFER, legal_until=date(2027, 8, 31)), NEED),
    Refusal.EDITION: (OFFER, replace(NEED, editions=frozenset({8}))),
    Refusal.TOO_OLD: (OFFER, replace(NEED, year_from=2021)),
    Refusal.LOAN_NOT_ACCEPTED: (
        replace(OFFER, kind=Kind.LOAN),
        replace(NEED, kinds=frozenset({Kind.PERMANENT})),
    ),
    Refusal.ONLY_LOAN_ACCEPTED: (OFFER, replace(NEED, kinds=frozenset({Kind.LOAN}))),
    Refusal.CONDITION: (replace(OFFER, condition=1), replace(NEED, condition_from=2)),
    Refusal.TOO_LATE: (
        replace(OFFER, available_from=date(2027, 6, 1)),
        replace(NEED, needed_by=date(2026, 10, 1)),
    ),
    Refusal.REFUSED_BEFORE: (OFFER, replace(NEED, refused_by=frozenset({1}))),
    Refusal.FORBIDDEN: (OFFER, replace(NEED, forbidden=frozenset({1}))),
    Refusal.FUND_KEPT: (replace(OFFER, is_fund=True), NEED),
    Refusal.TOO_FAR: (replace(OFFER, holder=3), NEED),
}


@pytest.mark.parametrize("refusal", list(Refusal))
def test_every_filter_refuses_its_case_and_no_other(refusal):
    supply, need = REFUSED[refusal]
    controls = Controls(fund=FundUse.NEVER)
    kilometres = {(3, 2): 20.0, (1, 2): 5.0}
    assert allowed(supply, need, problem(max_km=19.0, km=kilometres, controls=controls)) is refusal


def test_the_methodist_may_forbid_a_giver_to_one_taker():
    assert allowed(OFFER, NEED, problem(forbidden=frozenset({(1, 2)}))) is Refusal.FORBIDDEN
    assert allowed(OFFER, NEED, problem(forbidden=frozenset({(2, 1)}))) is None


def test_what_no_filter_refuses_is_allowed():
    assert allowed(OFFER, NEED, problem()) is None
    assert allowed(OFFER, NEED, problem(max_km=20.0)) is None
    last_year = replace(OFFER, legal_until=date(2027, 8, 31), kind=Kind.LOAN)
    assert allowed(last_year, NEED, problem()) is None, "a loan is fine in the last year"
    assert allowed(replace(OFFER, legal_until=date(2028, 8, 31)), NEED, problem()) is None
    late = replace(OFFER, available_from=TODAY)
    assert allowed(late, replace(NEED, needed_by=date(2026, 9, 1)), problem()) is None, (
        "better late than never"
    )


def test_the_furthest_road_does_not_bind_the_fund_but_binds_roads_nobody_knows():
    assert allowed(replace(OFFER, is_fund=True), NEED, problem(max_km=1.0)) is None
    assert allowed(OFFER, NEED, problem(max_km=100.0, km={})) is Refusal.TOO_FAR
    assert allowed(OFFER, NEED, problem(km={})) is None
    assert problem(km={(2, 1): 7.0}).road(1, 2) == 7.0


def test_a_need_for_unequal_parts_is_sets_first_then_the_rest():
    need = replace(NEED, parts=((1, 5), (2, 15)))
    assert [(layer.parts, layer.size) for layer in layers(need)] == [((1, 2), 5), ((2,), 10)]
    assert covered_by_layer(need, {1: 5, 2: 4}) == (4, 0)
    assert covered_by_layer(need, {1: 2, 2: 12}) == (2, 10)


def most_sets(parts: tuple[tuple[int, int], ...], received: dict[int, int]) -> int:
    """Try every choice of sets: set number k lacks the parts of which at least k copies are missing."""
    lacking = [
        [part for part, missing in parts if missing >= k]
        for k in range(1, max(missing for _, missing in parts) + 1)
    ]
    for size in range(len(lacking), -1, -1):
        for chosen in combinations(lacking, size):
            if all(sum(part in one for one in chosen) <= received[part] for part, _ in parts):
                return size
    raise AssertionError


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=3))
def test_covered_sets_are_the_most_that_any_choice_gives(rows):
    parts = tuple((part, missing) for part, (missing, _) in enumerate(rows))
    received = {part: copies for part, (_, copies) in enumerate(rows)}
    assert sum(covered_by_layer(replace(NEED, parts=parts), received)) == most_sets(parts, received)


def test_each_uncovered_need_has_its_closed_reason_with_numbers():
    supplies = (
        OFFER,
        replace(OFFER, id=2, textbook=6, legal_until=date(2026, 8, 31)),
        replace(OFFER, id=3, textbook=7, year=2010),
        replace(OFFER, id=4, textbook=9, holder=2, copies=50),
        replace(OFFER, id=5, textbook=10, part=1, copies=30),
        replace(OFFER, id=6, textbook=10, part=2, copies=3),
    )
    needs = (
        replace(NEED, parts=((0, 8),), weight=2),
        replace(NEED, id=2, taker=3, parts=((0, 8),)),
        replace(NEED, id=3, textbook=6),
        replace(NEED, id=4, textbook=7, year_from=2015),
        replace(NEED, id=5, textbook=8),
        replace(NEED, id=6, textbook=9),
        replace(NEED, id=7, textbook=10, parts=((1, 5), (2, 5))),
    )
    case = problem(supplies, needs)
    found = {u.need_id: u for u in solve(case).uncovered}
    assert {need_id: u.reason for need_id, u in found.items()} == {
        2: Shortage.TAKEN,
        3: Shortage.NOT_LEGAL,
        4: Shortage.REFUSED,
        5: Shortage.NOBODY,
        6: Shortage.NOBODY,
        7: Shortage.NOT_ENOUGH,
    }
    assert (found[2].missing, found[2].offered, found[2].others) == (6, 10, 8)
    assert found[4].refusals == ((Refusal.TOO_OLD, 10),)
    assert (found[7].missing, found[7].part, found[7].offered) == (2, 2, 3)
    assert [str(clause) for clause in explain(found[7])] == ["Подходящих во всём районе 3 экз."]
    assert [str(clause) for clause in explain(found[4])] == [
        "Отдают 10 экз., но они не подходят",
        "10 экз. – год издания старше допустимого",
    ]
    assert str(explain(found[2])[0]) == "Подходящих в районе 10 экз., из них другим школам идёт 8"
    both = replace(found[2], refusals=((Refusal.TOO_OLD, 3),))
    assert [str(clause) for clause in explain(both)] == [
        "Подходящих в районе 10 экз., из них другим школам идёт 8; прочие книги не подходят",
        "3 экз. – год издания старше допустимого",
    ]


def test_nothing_is_short_where_all_is_covered():
    case = problem()
    assert shortages(case, trips_of(case, {(1, 1): 6})) == ()
    assert [u.missing for u in shortages(case, trips_of(case, {(1, 1): 4}))] == [2]


def test_every_closed_list_has_its_words():
    assert set(REFUSALS) == set(Refusal)
    assert set(SHORTAGES) == set(Shortage)
    assert set(WHY) == set(Why)


def test_each_proposal_says_why_this_giver():
    near, far, fund = 1, 3, 9
    km = {(near, 2): 5.0, (far, 2): 25.4, (near, 4): 8.0, (far, 4): 30.0, (fund, 2): 1.0}
    supplies = (
        OFFER,
        replace(OFFER, id=2, holder=far),
        replace(OFFER, id=3, holder=far, textbook=6),
        replace(OFFER, id=4, holder=fund, is_fund=True, textbook=7),
        replace(OFFER, id=5, holder=near, textbook=8, copies=4),
        replace(OFFER, id=6, holder=far, textbook=8, copies=4),
    )
    needs = (
        NEED,
        replace(NEED, id=2, textbook=6),
        replace(NEED, id=3, textbook=7),
        replace(NEED, id=4, textbook=8, taker=4, parts=((0, 8),)),
        replace(NEED, id=5, textbook=8, parts=((0, 3),)),
    )
    case = problem(supplies, needs, km=km)

    def of(shipments, key, at=case):
        return why(at, trips_of(at, shipments))[key]

    assert of({(1, 1): 6}, (1, 1)) is Why.NEAREST
    assert of({(2, 1): 6, (3, 2): 6}, (2, 1)) is Why.SAME_TRIP
    assert of({(2, 1): 6, (3, 2): 6}, (3, 2)) is Why.ONLY
    assert of({(4, 3): 6}, (4, 3)) is Why.FUND
    assert of({(5, 4): 4, (6, 5): 3}, (6, 5)) is Why.SHARED_OUT
    assert of({(6, 5): 3}, (6, 5)) is Why.FEWER_TRIPS
    locked = replace(case, fixed=(Line(2, 1, 1),))
    assert of({(2, 1): 6}, (2, 1), locked) is Why.LOCKED

    said = reasons(case, trips_of(case, {(2, 1): 4, (3, 2): 6}))
    assert [str(clause) for clause in said[2, 1]] == [
        "Эта поездка нужна и для других книг: 4 из 6 экз., 25 км",
        "этой же поездкой – ещё учебников: 1",
    ]
    roadless = replace(case, km={})
    assert [str(clause) for clause in reasons(roadless, trips_of(roadless, {(1, 1): 6}))[1, 1]] == [
        "Подходящая книга, дорога не указана: 6 из 6 экз."
    ]


@pytest.mark.parametrize(
    "line",
    [Line(1, 1, 11), Line(1, 1, 7), Line(1, 99, 1), Line(99, 1, 1), Line(1, 1, 0)],
    ids=["more than offered", "more than needed", "no such need", "no such offer", "nothing"],
)
def test_impossible_fixed_lines_are_refused(line):
    with pytest.raises(Invalid):
        check_fixed(problem(fixed=(line,)))


def test_the_check_finds_each_broken_promise():
    paired = replace(NEED, id=2, textbook=6, parts=((1, 3), (2, 3)))
    case = problem(
        (
            OFFER,
            replace(OFFER, id=2, textbook=6, part=1),
            replace(OFFER, id=3, textbook=6, part=2),
            replace(OFFER, id=4, year=2001, holder=3),
        ),
        (replace(NEED, year_from=2015), paired),
        fixed=(Line(1, 1, 2),),
    )
    good = solve(case)
    assert check(case, good) == ()

    def broken(shipments) -> str:
        trips = trips_of(case, shipments)
        return " / ".join(check(case, replace(good, trips=trips, figures=figures_of(case, trips))))

    whole = {(line.supply_id, line.need_id): line.copies for line in good.proposals}
    assert "8 sent, 6 missing" in broken({**whole, (1, 1): 8})
    assert "11 given of 10" in broken({**whole, (1, 1): 11})
    assert "too_old" in broken({**whole, (4, 1): 1})
    assert "fixed line 1 to 1: 1 of 2" in broken({**whole, (1, 1): 1})
    assert "2 complete a set" in broken({**whole, (2, 2): 2})
    assert "another textbook or part" in broken({**whole, (2, 1): 1})
    assert "not a whole number" in broken({**whole, (1, 1): 2.5})
    assert check(case, replace(good, trips=good.trips * 2)) != ()
    assert check(case, replace(good, figures=replace(good.figures, weight=1))) != ()
    assert check(case, replace(good, covered=())) != ()
