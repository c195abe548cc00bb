"""The consolidated sheet: what is to be had and missing of one textbook, by part."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exchange.reports.rules import Balance, Lack, SchoolTotal, Spare, balances, by_school

SCHOOLS = st.sampled_from(["Огур", "Еловка", "Чистое Поле"])
SPARES = st.builds(Spare, st.one_of(SCHOOLS, st.just("")), st.integers(1, 3), st.integers(1, 50))
LACKS = st.builds(
    Lack, SCHOOLS, st.one_of(st.none(), st.dictionaries(st.integers(1, 3), st.integers(1, 50), min_size=1))
)


def test_years_of_one_school_are_added_and_the_fund_stands_apart() -> None:
    lines = balances(
        [Spare("Огур", 1, 5), Spare("Огур", 1, 2), Spare("Еловка", 1, 1), Spare("", 1, 4)],
        [Lack("Красная", {1: 10}), Lack("Грузенка", {1: 5})],
    )
    assert lines == [Balance(1, {"Огур": 7, "Еловка": 1}, 4, {"Красная": 10, "Грузенка": 5})]
    assert (lines[0].spare, lines[0].lacking, lines[0].left) == (8, 15, -3)


def test_each_part_has_its_own_balance() -> None:
    lines = balances([Spare("Огур", 2, 3)], [Lack("Красная", {1: 4, 2: 1})])
    assert [(line.part, line.left) for line in lines] == [(1, -4), (2, 2)]


def test_a_number_that_is_kept_back_is_in_no_sum() -> None:
    lines = balances([Spare("Огур", 1, 3)], [Lack("Красная", None), Lack("Еловка", {1: 1})])
    assert [(line.part, line.lacking, line.left) for line in lines] == [(1, 1, 2), (None, None, None)]
    assert lines[1].missing == {"Красная": None}


@given(st.lists(SPARES, max_size=12), st.lists(LACKS, max_size=6, unique_by=lambda lack: lack.school))
def test_nothing_is_lost_or_added(spares: list[Spare], lacks: list[Lack]) -> None:
    lines = balances(spares, lacks)
    assert sum(line.spare + line.fund for line in lines) == sum(spare.copies for spare in spares)
    known = sum(sum(lack.copies.values()) for lack in lacks if lack.copies)
    assert sum(line.lacking or 0 for line in lines) == known
    assert all(line.spare or line.fund or line.missing for line in lines)


def most_that_moves(spare: dict[str, int], lacking: dict[str, int]) -> int:
    """Move copy by copy along paths that may take back what was moved before: slow and sure."""
    copies = [school for school, count in spare.items() for _ in range(count)]
    places = [school for school, count in lacking.items() for _ in range(count)]
    given: dict[int, int] = {}

    def find(copy: int, seen: set[int]) -> bool:
        for place, school in enumerate(places):
            if school != copies[copy] and place not in seen:
                seen.add(place)
                if place not in given or find(given[place], seen):
                    given[place] = copy
                    return True
        return False

    return sum(find(copy, set()) for copy in range(len(copies)))


COUNTS = st.dictionaries(SCHOOLS, st.integers(1, 5), max_size=3)


@given(COUNTS, COUNTS, st.integers(0, 9))
def test_a_school_does_not_give_to_itself(spare: dict[str, int], lacking: dict[str, int], fund: int) -> None:
    line = Balance(1, spare, fund, lacking)
    assert line.by_exchange == most_that_moves(spare, lacking)
    assert line.by_exchange is not None
    assert line.by_fund == min(fund, sum(lacking.values()) - line.by_exchange)


def test_totals_of_schools_keep_back_what_the_lines_keep_back() -> None:
    lines = balances(
        [Spare("Огур", 1, 3), Spare("Огур", 2, 1), Spare("", 1, 9)],
        [Lack("Красная", {1: 2, 2: 5}), Lack("Еловка", None)],
    )
    assert by_school(lines) == [
        SchoolTotal("Еловка", 0, 0, 1, None),
        SchoolTotal("Красная", 0, 0, 2, 7),
        SchoolTotal("Огур", 2, 4, 0, 0),
    ]
    assert (lines[-1].by_exchange, lines[-1].by_fund) == (None, None)
