"""When a write-off act may be changed and posted, and what it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from exchange.catalog.rules import Legality, Verdict
from exchange.errors import Invalid, WrongMoment
from exchange.ledger.rules import WriteOffReason

MOST_LINES = 500
"""Lines of one act: more than a commission reads in a day."""


class ActState(StrEnum):
    """Where a write-off act stands."""

    DRAFT = "draft"
    POSTED = "posted"
    DISCARDED = "discarded"


ACT_STATE_NAMES = {
    ActState.DRAFT: "черновик",
    ActState.POSTED: "проведён",
    ActState.DISCARDED: "отменён",
}


def is_draft(state: ActState) -> bool:
    """Say whether the act may still be changed."""
    return state is ActState.DRAFT


def is_posted(state: ActState) -> bool:
    """Say whether the copies have left the books."""
    return state is ActState.POSTED


def check_draft(state: ActState) -> None:
    """Raise ``WrongMoment`` when the act can no longer be changed."""
    if state is ActState.POSTED:
        raise WrongMoment(
            "Акт уже проведён, изменить его нельзя. Ошибку исправьте пересчётом на полке: книги, которые "
            "нашлись, записываются как «нашлись»."
        )
    if state is ActState.DISCARDED:
        raise WrongMoment("Этот акт отменён. Начните новый.")


def check_paper(number: str, signed_on: date | None, *, today: date) -> str:
    """Return the document's name as movements carry it: «акт № 3 от 15.06.2027».

    Raises ``Invalid`` without a number, and without a date or with a future one.
    """
    if not number.strip():
        raise Invalid("Напишите номер акта.", field="number")
    if signed_on is None:
        raise Invalid("Напишите дату акта.", field="signed_on")
    if signed_on > today:
        raise Invalid(
            "Акт нельзя провести раньше его даты: сегодня %(today)s.",
            field="signed_on",
            today=f"{today:%d.%m.%Y}",
        )
    return f"акт № {number.strip()} от {signed_on:%d.%m.%Y}"


def members(commission: str) -> list[str]:
    """Return the members of a commission, one a line as typed; the first is its chair."""
    return [line.strip() for line in commission.splitlines() if line.strip()]


def totals(lines: Iterable[tuple[WriteOffReason, int]]) -> list[tuple[WriteOffReason, int]]:
    """Return copies by reason, in the order of the closed list."""
    sums = dict.fromkeys(WriteOffReason, 0)
    for reason, copies in lines:
        sums[reason] += copies
    return [(reason, copies) for reason, copies in sums.items() if copies]


@dataclass(frozen=True)
class Copies:
    """One owner's copies of an edition on a shelf, and what keeps them there or speaks for their going.

    ``lost`` (missing by a confirmed count) and ``worn`` are those that are in no act yet; ``in_draft`` are in
    a draft act, whatever the reason.
    """

    edition_id: int
    owner_id: int
    textbook_id: int
    here: int
    promised: int = 0
    offered: int = 0
    worn: int = 0
    lost: int = 0
    in_draft: int = 0

    @property
    def free(self) -> int:
        """Copies that may be written off and are in no draft act yet."""
        return max(0, self.here - self.promised - self.offered - self.in_draft)


@dataclass(frozen=True)
class Suggestion:
    """Copies that there is a reason to write off."""

    edition_id: int
    owner_id: int
    reason: WriteOffReason
    copies: int


def suggestions(shelf: Sequence[Copies], verdicts: Mapping[int, Verdict], today: date) -> list[Suggestion]:
    """Return what is to be written off: what a count missed, what is worn out, what may no longer be used.

    No copy is suggested twice, and none that is promised, offered or in a draft act already.
    """
    found = []
    for copies in shelf:
        left = copies.free
        wanted = [
            (WriteOffReason.LOST, copies.lost),
            (WriteOffReason.WORN, copies.worn),
            (WriteOffReason.LAST_DATE, left if is_over(verdicts.get(copies.textbook_id), today) else 0),
        ]
        for reason, number in wanted:
            taken = min(number, left)
            if taken > 0:
                found.append(Suggestion(copies.edition_id, copies.owner_id, reason, taken))
                left -= taken
    return found


def is_over(verdict: Verdict | None, today: date) -> bool:
    """Say whether the last day on which the book could be used has passed."""
    return (
        verdict is not None
        and verdict.legality is Legality.EXCLUDED
        and verdict.until is not None
        and verdict.until < today
    )
