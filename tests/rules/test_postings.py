"""The arithmetic of what may be offered, and how a posting stands."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.catalog.rules import Legality, Verdict
from exchange.errors import Invalid
from exchange.postings import rules
from exchange.postings.rules import OfferKind, PostingState, Standing

TODAY = date(2026, 9, 14)
COPIES = st.integers(0, 60)


@given(COPIES, COPIES, COPIES, COPIES)
def test_free_is_what_nobody_else_counts_on(unpromised: int, worn: int, offered: int, asked: int) -> None:
    free = rules.free_to_offer(unpromised=unpromised, worn=worn, offered=offered, asked=asked)
    assert free >= 0
    assert free == 0 or free + worn + offered + asked == unpromised
    # Whatever is free may be offered, and then nothing is free.
    assert rules.free_to_offer(unpromised=unpromised, worn=worn, offered=offered + free, asked=asked) == 0


@given(st.lists(st.sampled_from(["offer", "ask", "refuse", "agree", "ship"]), max_size=40), COPIES)
def test_promises_never_exceed_the_shelf(steps: list[str], copies: int) -> None:
    """Offering whatever is free at every moment, a shelf never owes more than stands on it."""
    here, promised, offered, asked = copies, 0, 0, 0
    for step in steps:
        if step == "offer":
            offered += rules.free_to_offer(unpromised=here - promised, worn=0, offered=offered, asked=asked)
        elif step == "ask" and offered:
            offered, asked = offered - 1, asked + 1
        elif step == "refuse" and asked:
            offered, asked = offered + 1, asked - 1
        elif step == "agree" and asked:
            asked, promised = asked - 1, promised + 1
        elif step == "ship" and promised:
            promised, here = promised - 1, here - 1
        assert promised + asked + offered <= here


@given(st.lists(COPIES, max_size=5), COPIES, COPIES)
def test_advice_leaves_enough_for_the_own_pupils(free: list[int], borrowed: int, pupils: int) -> None:
    advice = rules.to_spare(free, borrowed=borrowed, kept=pupils)
    assert all(given is not None and 0 <= given <= have for given, have in zip(advice, free, strict=True))
    advised = sum(filter(None, advice))
    left = sum(free) + borrowed - advised
    assert left >= pupils or advised == 0
    # What stays beyond the pupils is borrowed.
    assert advised == sum(free) or left <= pupils or (advised == 0 and sum(free) + borrowed <= pupils)


def test_the_oldest_go_first_and_unknown_pupils_give_no_advice() -> None:
    assert rules.to_spare([5, 10], borrowed=0, kept=8) == [5, 2]
    assert rules.to_spare([5, 10], borrowed=0, kept=None) == [None, None]


@given(st.lists(COPIES, min_size=1, max_size=4), COPIES)
def test_the_floor_holds_wherever_one_asks(free: list[int], floor: int) -> None:
    spare = rules.above_floor(free, floor)
    for place, copies in enumerate(spare):
        assert 0 <= copies <= free[place]
        assert copies == 0 or sum(free) - copies >= floor


@given(st.integers(1, 30), st.data())
def test_a_posting_stands_in_one_way(asked: int, data: st.DataObject) -> None:
    taken = data.draw(st.integers(0, asked))
    state = data.draw(st.sampled_from(PostingState))
    day = TODAY + timedelta(days=data.draw(st.integers(-5, 60)))
    standing = rules.standing(state, asked=asked, taken=taken, expires_on=day, today=TODAY)
    assert (standing is Standing.WITHDRAWN) == (state is PostingState.WITHDRAWN)
    if standing is Standing.DONE:
        assert taken == asked
    if standing is Standing.ENDING:
        assert state is PostingState.OPEN
        assert day <= TODAY + timedelta(days=rules.EXPIRY_WARNING_DAYS)
    assert standing in rules.OFFER_STANDINGS
    assert standing in rules.REQUEST_STANDINGS


@given(st.dictionaries(st.integers(1, 4), st.integers(0, 9)), st.integers(1, 4))
def test_a_request_asks_for_parts_that_there_are(copies: dict[int, int], parts: int) -> None:
    asked = {part for part, number in copies.items() if number}

    def check() -> dict[int, int]:
        return rules.check_request(
            copies, parts=parts, needed_by=None, year_from=None, expires_on=TODAY, today=TODAY
        )

    if asked and max(asked) <= parts:
        wanted = check()
        assert set(wanted) == asked
        assert list(wanted) == sorted(wanted)
    else:
        with pytest.raises(Invalid) as refused:
            check()
        assert refused.value.field == "copies"


@pytest.mark.parametrize(
    ("legality", "permanent", "loan", "usual"),
    [
        (Legality.ALLOWED, True, True, OfferKind.PERMANENT),
        (Legality.LAST_YEAR, False, True, OfferKind.LOAN),
        (Legality.EXCLUDED, False, False, None),
        (Legality.NOT_LISTED, False, False, None),
    ],
)
def test_what_the_list_lets_one_offer(
    legality: Legality, permanent: bool, loan: bool, usual: OfferKind | None
) -> None:
    verdict = Verdict(legality, TODAY, "858", False, "До %(date)s", {"date": "14.09.2026"})
    for kind, allowed in ((OfferKind.PERMANENT, permanent), (OfferKind.LOAN, loan)):
        if allowed:
            rules.check_legal(verdict, kind)
        else:
            with pytest.raises(Invalid, match=r"14\.09\.2026"):
                rules.check_legal(verdict, kind)
    if usual is not None:
        assert rules.usual_kind(verdict) is usual
        rules.check_legal(verdict, usual)


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2026, 6, 19), date(2026, 6, 20)),
        (date(2026, 6, 20), date(2027, 6, 20)),
        (date(2026, 9, 1), date(2027, 6, 20)),
        (date(2027, 1, 9), date(2027, 6, 20)),
    ],
)
def test_loans_come_back_in_june(today: date, expected: date) -> None:
    assert rules.default_due_back(today) == expected


@pytest.mark.parametrize(("copies", "small"), [(0, False), (1, True), (2, True), (3, False)])
def test_only_one_or_two_of_special_needs_are_small(copies: int, small: bool) -> None:
    assert rules.is_small_count(copies, special_needs=True) is small
    assert not rules.is_small_count(copies, special_needs=False)
