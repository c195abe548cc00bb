"""Rules of counting: taps in any order, differences, what the books say afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.counting import rules
from exchange.counting.rules import Answer, CampaignState, Decision, Line, SheetState, Show
from exchange.errors import Invalid, WrongMoment

copies = st.integers(0, 60)
decisions = st.sampled_from([None, *Decision])


@st.composite
def counted_lines(draw: st.DrawFn) -> Line:
    own, borrowed = draw(copies), draw(copies)
    return Line(1, own, borrowed, draw(copies), own, borrowed, taps=1, decision=draw(decisions))


class Server:
    """A line on the server: what is accepted is written, everything else leaves it alone."""

    def __init__(self) -> None:
        self.taps, self.counted = 0, None
        self.by = ""
        self.written: list[int] = []

    def take(self, seen: int, wanted: int, by: str = "a") -> Answer:
        mine = by == self.by
        answer = rules.answer(self.taps, self.counted, mine=mine, seen=seen, wanted=wanted)
        if answer is Answer.NEW:
            self.by = by
            self.taps += 1
            self.counted = wanted
            self.written.append(wanted)
        return answer


def test_one_tap_sent_twice_counts_once() -> None:
    server = Server()
    assert server.take(0, 7) is Answer.NEW
    assert server.take(0, 7) is Answer.REPEATED
    assert server.take(1, 8) is Answer.NEW
    # The first one again, delayed on the road: the 8 stays.
    assert server.take(0, 7) is Answer.STALE
    # Back to seven, and then the delayed «eight» once more.
    assert server.take(2, 7) is Answer.NEW
    assert server.take(1, 8) is Answer.STALE
    assert server.counted == 7


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=8),
    st.data(),
)
def test_repeats_in_any_order_never_change_what_one_person_counted(
    numbers: list[int], data: st.DataObject
) -> None:
    """Each number is tapped on the answer to the one before; old messages come again at any time."""
    server = Server()
    sent: list[tuple[int, int]] = []
    for number in numbers:
        message = (server.taps, number)
        sent.append(message)
        assert server.take(*message) is Answer.NEW
        for late in data.draw(st.lists(st.sampled_from(sent), max_size=6)):
            assert server.take(*late) is not Answer.NEW
            assert server.counted == number
    assert server.written == numbers


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3)), max_size=30))
def test_two_people_never_lose_each_others_numbers_unseen(steps: list[tuple[str, int]]) -> None:
    """Whoever did not see the latest number is told; a page that is behind overwrites nothing."""
    server = Server()
    pages = {"a": (0, 0), "b": (0, 0)}
    accepted: list[int] = []
    for person, more in steps:
        taps, shown = pages[person]
        answer = server.take(taps, shown + more, person)
        # One tap each, so none is a repeat: it adds to the latest number, or the person is told.
        assert answer is (Answer.NEW if shown == sum(accepted) else Answer.STALE)
        if answer is Answer.NEW:
            accepted.append(more)
        pages[person] = (server.taps, server.counted or 0)
    assert (server.counted or 0) == sum(accepted)


@pytest.mark.parametrize(
    ("typed", "step", "wanted"),
    [
        (7, "1", 8), (7, "-1", 6), (0, "-1", 0), (None, "1", 1), (None, "-1", 0), (7, "=12", 12),
        (7, "", 7), (None, "", None), (7, "=", 7), (7, "=много", 7), (7, "=99999999", None), (7, "2", 7),
    ],
)  # fmt: skip
def test_buttons_make_absolute_numbers(typed: int | None, step: str, wanted: int | None) -> None:
    assert rules.stepped(typed, step) == wanted


def test_impossible_numbers_are_refused() -> None:
    for wrong in (None, -1, rules.MOST_COPIES + 1):
        with pytest.raises(Invalid):
            rules.check_copies(wrong)
    assert rules.check_copies(0) == 0


@given(counted_lines())
def test_a_difference_is_surplus_or_shortage(line: Line) -> None:
    missing = line.shortage + line.borrowed_shortage
    assert line.surplus - missing == line.difference == (line.counted or 0) - line.booked
    assert 0 in (line.surplus, missing)
    assert 0 <= line.shortage <= line.own_then
    assert 0 <= line.borrowed_shortage <= line.borrowed_then
    # Nothing is said to be missing of what is borrowed while own copies could be the missing ones.
    assert line.borrowed_shortage == 0 or line.shortage == line.own_then


@given(counted_lines())
def test_the_books_agree_with_the_shelf_once_everything_is_settled(line: Line) -> None:
    decided = replace(line, decision=Decision.CORRECTION)
    assert decided.corrected + line.borrowed_then - line.borrowed_shortage == line.counted
    lost = replace(line, decision=Decision.LOST)
    assert lost.corrected - lost.lost + line.borrowed_then - line.borrowed_shortage == line.counted
    undecided = replace(line, decision=None)
    assert undecided.undecided == (line.shortage > 0)
    # Nothing is taken off the books before somebody says so.
    assert undecided.corrected >= line.own_then


@given(counted_lines(), st.integers(-5, 5))
def test_what_moved_since_is_seen(line: Line, moved: int) -> None:
    now = replace(line, own=max(0, line.own_then + moved))
    assert now.moved == (now.own != line.own_then)
    assert now.expected == max(0, (line.counted or 0) + now.own - line.own_then)
    # Uncounted lines have nothing to be looked at again.
    assert not replace(now, counted=None).moved


@given(st.lists(counted_lines() | st.builds(Line, st.just(2), copies, copies), max_size=12))
def test_progress_is_the_sum_of_the_lines(lines: list[Line]) -> None:
    progress = rules.progress_of(lines)
    assert progress.left == sum(not line.is_counted for line in lines)
    assert progress.found - progress.missing == sum(line.difference for line in lines)
    assert 0 <= progress.share <= 1
    shown = {show: [line for line in lines if rules.belongs(line, show)] for show in Show}
    assert len(shown[Show.ALL]) == progress.total
    assert len(shown[Show.LEFT]) == progress.left
    assert len(shown[Show.DIFFERING]) == progress.differing
    assert len(shown[Show.MOVED]) == progress.moved


def test_numbers_are_entered_while_the_campaign_goes_on() -> None:
    for campaign, sheet in ((c, s) for c in CampaignState for s in SheetState):
        allowed = rules.may_count(campaign, sheet)
        assert allowed == (campaign is CampaignState.OPEN and sheet is SheetState.COUNTING)
        if allowed:
            rules.check_counting(campaign, sheet)
        else:
            with pytest.raises(WrongMoment):
                rules.check_counting(campaign, sheet)
        if campaign is CampaignState.OPEN and sheet is SheetState.CONFIRMED:
            rules.check_reopening(campaign, sheet)
        else:
            with pytest.raises(WrongMoment):
                rules.check_reopening(campaign, sheet)


def test_a_campaign_does_not_end_before_it_begins() -> None:
    day = date(2027, 5, 20)
    rules.check_dates(day, day)
    with pytest.raises(Invalid, match="раньше"):
        rules.check_dates(day, date(2027, 5, 19))
    assert rules.is_late(day, date(2027, 5, 21))
    assert not rules.is_late(day, day)


def test_every_state_has_its_number() -> None:
    """Any tap and any step raises the number that a confirmation names."""
    seen = [rules.stamp(version, taps) for version, taps in ((1, 0), (1, 1), (1, 2), (2, 2), (2, 3))]
    assert seen == sorted(set(seen))
