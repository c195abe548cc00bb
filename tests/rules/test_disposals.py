"""Rules of write-off acts: the paper, what is suggested, totals."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.catalog.rules import Legality, Verdict
from exchange.disposals import rules
from exchange.disposals.rules import ActState, Copies
from exchange.errors import Invalid, WrongMoment
from exchange.ledger.rules import WriteOffReason

TODAY = date(2027, 6, 15)
OVER = Verdict(Legality.EXCLUDED, date(2026, 8, 31), "858", False, "")
LAST = Verdict(Legality.LAST_YEAR, date(2027, 8, 31), "858", False, "")
GONE = Verdict(Legality.NOT_LISTED, None, None, False, "")
copies = st.integers(0, 20)


def test_only_drafts_change() -> None:
    rules.check_draft(ActState.DRAFT)
    with pytest.raises(WrongMoment, match="пересчётом"):
        rules.check_draft(ActState.POSTED)
    with pytest.raises(WrongMoment, match="отменён"):
        rules.check_draft(ActState.DISCARDED)
    assert [state for state in ActState if rules.is_draft(state)] == [ActState.DRAFT]
    assert [state for state in ActState if rules.is_posted(state)] == [ActState.POSTED]


def test_a_paper_has_number_and_date() -> None:
    assert rules.check_paper(" 3 ", TODAY, today=TODAY) == "акт № 3 от 15.06.2027"
    for number, day, field in (
        ("", TODAY, "number"),
        (" ", TODAY, "number"),
        ("3", None, "signed_on"),
        ("3", date(2027, 6, 16), "signed_on"),
    ):
        with pytest.raises(Invalid) as refused:
            rules.check_paper(number, day, today=TODAY)
        assert refused.value.field == field


def test_members_of_a_commission_stand_one_a_line() -> None:
    assert rules.members(" Председатель П. П. \n\n Членова Ч. Ч.\r\n") == [
        "Председатель П. П.",
        "Членова Ч. Ч.",
    ]
    assert rules.members(" \n ") == []


def test_totals_come_in_the_order_of_the_closed_list() -> None:
    lines = [(WriteOffReason.WORN, 2), (WriteOffReason.LOST, 3), (WriteOffReason.WORN, 5)]
    assert rules.totals(lines) == [(WriteOffReason.LOST, 3), (WriteOffReason.WORN, 7)]
    assert rules.totals([]) == []


def test_suggestions_name_the_reason() -> None:
    shelf = [
        Copies(1, 9, 100, here=10, worn=2, lost=3),
        Copies(2, 9, 200, here=8),
        Copies(3, 9, 300, here=8),
        Copies(4, 9, 400, here=8),
    ]
    verdicts = {100: OVER, 200: OVER, 300: LAST, 400: GONE}
    found = [
        (each.edition_id, each.reason, each.copies) for each in rules.suggestions(shelf, verdicts, TODAY)
    ]
    assert found == [
        (1, WriteOffReason.LOST, 3),
        (1, WriteOffReason.WORN, 2),
        (1, WriteOffReason.LAST_DATE, 5),
        (2, WriteOffReason.LAST_DATE, 8),
    ]


@given(copies, copies, copies, copies, copies, copies, st.booleans())
def test_no_copy_is_suggested_twice_or_promised(
    here: int, promised: int, offered: int, worn: int, lost: int, in_draft: int, over: bool
) -> None:
    shelf = [Copies(1, 9, 100, here, promised, offered, worn, lost, in_draft)]
    found = rules.suggestions(shelf, {100: OVER if over else LAST}, TODAY)
    assert sum(each.copies for each in found) <= max(0, here - promised - offered - in_draft)
    assert all(each.copies > 0 for each in found)
    assert len({each.reason for each in found}) == len(found)
    if over:
        assert sum(each.copies for each in found) == shelf[0].free
