"""When a shelf may be counted, how taps are told apart, and what a count differs by from the books."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from exchange.errors import Invalid, WrongMoment

MOST_COPIES = 99_999
"""More copies of one book than any school has."""


class CampaignState(StrEnum):
    """Whether a district counts."""

    OPEN = "open"
    CLOSED = "closed"


CAMPAIGN_STATE_NAMES = {CampaignState.OPEN: "идёт", CampaignState.CLOSED: "закончена"}


class SheetState(StrEnum):
    """How far a school has come."""

    COUNTING = "counting"
    CONFIRMED = "confirmed"


SHEET_STATE_NAMES = {SheetState.COUNTING: "считает", SheetState.CONFIRMED: "подтверждено"}
NOT_BEGUN = "не начат"


class Decision(StrEnum):
    """What a shortage is."""

    LOST = "lost"
    """The copies are gone: they go into a write-off act and leave the books when that is posted."""
    CORRECTION = "correction"
    """They were never there: the books are corrected at once."""


DECISION_NAMES = {
    Decision.LOST: "утрата → в акт на списание",
    Decision.CORRECTION: "ошибка учёта → исправить счёт",
}


def is_open(state: CampaignState) -> bool:
    """Say whether a campaign is going on."""
    return state is CampaignState.OPEN


def is_confirmed(state: SheetState) -> bool:
    """Say whether a school has confirmed its count."""
    return state is SheetState.CONFIRMED


def may_count(campaign: CampaignState, sheet: SheetState) -> bool:
    """Say whether numbers may be entered."""
    return campaign is CampaignState.OPEN and sheet is SheetState.COUNTING


def check_counting(campaign: CampaignState, sheet: SheetState) -> None:
    """Raise ``WrongMoment`` when numbers may no longer be entered."""
    if sheet is SheetState.CONFIRMED:
        raise WrongMoment(
            "Пересчёт этой школы уже подтверждён. Чтобы исправить, попросите методиста открыть его снова."
        )
    if campaign is not CampaignState.OPEN:
        raise WrongMoment("Кампания закончена, считать по ней больше нельзя.")


def check_reopening(campaign: CampaignState, sheet: SheetState) -> None:
    """Raise ``WrongMoment`` when there is nothing to open again."""
    if campaign is not CampaignState.OPEN:
        raise WrongMoment("Кампания закончена: исправить количество можно на полке.")
    if sheet is not SheetState.CONFIRMED:
        raise WrongMoment("Эта школа и так ещё считает.")


def check_dates(starts_on: date, ends_on: date) -> None:
    """Raise ``Invalid`` when a campaign would end before it begins."""
    if ends_on < starts_on:
        raise Invalid("Последний день раньше первого.", field="ends_on")


def check_copies(copies: int | None) -> int:
    """Return the number counted; ``Invalid`` for none and for an impossible one."""
    if copies is None or not 0 <= copies <= MOST_COPIES:
        raise Invalid("Количество – от 0 до %(most)s.", field="counted", most=MOST_COPIES)
    return copies


def stepped(typed: int | None, step: str) -> int | None:
    """Return the number that a button makes of the one in the field.

    «1» and «-1» are one more and one fewer, «=12» is twelve whatever was there; without a button the number
    stays. What comes out is sent as an absolute number, so that a tap can be repeated.
    """
    if step.startswith("=") and step[1:].isdecimal():
        return int(step[1:]) if len(step) <= 7 else None
    if step == "1":
        return (typed or 0) + 1
    return max(0, (typed or 0) - 1) if step == "-1" else typed


class Answer(StrEnum):
    """What a tap is, seen from the number that is there."""

    NEW = "new"
    REPEATED = "repeated"
    STALE = "stale"


def answer(taps: int, counted: int | None, *, mine: bool, seen: int, wanted: int) -> Answer:
    """Say what to do with a tap that wants ``wanted`` and was made on a page that showed number ``seen``.

    ``taps`` is how many numbers the line has had (0: not counted yet), ``counted`` the latest, ``mine``: by
    the same person. A tap wants an absolute number, so that the same tap sent twice writes once; one that
    comes late, or from a page on which somebody else's number was not seen yet, is not written at all. Two
    people who both make three of two have counted different heaps: the second one is told.
    """
    if seen == taps:
        return Answer.NEW
    if mine and seen == taps - 1 and counted == wanted:
        return Answer.REPEATED
    return Answer.STALE


@dataclass(frozen=True)
class Line:
    """An edition on a shelf during a count, in copies.

    ``own`` and ``borrowed`` are what the books say now, ``own_then`` and ``borrowed_then`` what they said
    when it was counted; ``counted`` is ``None`` until then. Counted is all that stands there.
    """

    edition_id: int
    own: int
    borrowed: int
    counted: int | None = None
    own_then: int = 0
    borrowed_then: int = 0
    taps: int = 0
    decision: Decision | None = None

    @property
    def booked(self) -> int:
        """Copies that should stand here."""
        return self.own + self.borrowed

    @property
    def booked_then(self) -> int:
        """Copies that should have stood here when they were counted."""
        return self.own_then + self.borrowed_then

    @property
    def is_counted(self) -> bool:
        """Whether somebody has counted it."""
        return self.counted is not None

    @property
    def moved(self) -> bool:
        """Whether copies came or left after it was counted, so that it has to be looked at again."""
        return self.is_counted and (self.own, self.borrowed) != (self.own_then, self.borrowed_then)

    @property
    def expected(self) -> int:
        """The number counted, with what has come and left since."""
        return max(0, (self.counted or 0) + self.booked - self.booked_then)

    @property
    def difference(self) -> int:
        """Copies more (or, negative, fewer) than the books said when they were counted."""
        return 0 if self.counted is None else self.counted - self.booked_then

    @property
    def surplus(self) -> int:
        """Copies found beyond the books: they become the place's own."""
        return max(0, self.difference)

    @property
    def shortage(self) -> int:
        """Own copies missing. Books bear no mark of whose they are, so the own ones are missing first."""
        return min(max(0, -self.difference), self.own_then)

    @property
    def borrowed_shortage(self) -> int:
        """Copies on loan that are missing: not the place's to write off."""
        return max(0, -self.difference) - self.shortage

    @property
    def lost(self) -> int:
        """Own copies that go into a write-off act."""
        return self.shortage if self.decision is Decision.LOST else 0

    @property
    def undecided(self) -> bool:
        """Whether somebody has to say yet what became of the missing copies."""
        return self.shortage > 0 and self.decision is None

    @property
    def corrected(self) -> int:
        """Own copies by the books once the count is confirmed; what is lost stays until its act is posted."""
        if self.shortage and self.decision is not Decision.CORRECTION:
            return self.own_then
        return self.own_then + self.surplus - self.shortage


@dataclass(frozen=True)
class Progress:
    """How far a count has come: lines, and copies of the differences."""

    total: int = 0
    counted: int = 0
    differing: int = 0
    found: int = 0
    missing: int = 0
    moved: int = 0
    undecided: int = 0

    @property
    def left(self) -> int:
        """Lines that nobody has counted yet."""
        return self.total - self.counted

    @property
    def share(self) -> float:
        """Counted of all, 0 to 1; an empty shelf is counted."""
        return self.counted / self.total if self.total else 1.0


def progress_of(lines: Iterable[Line]) -> Progress:
    """Add lines up."""
    kept = list(lines)
    return Progress(
        total=len(kept),
        counted=sum(line.is_counted for line in kept),
        differing=sum(line.difference != 0 for line in kept),
        found=sum(line.surplus for line in kept),
        missing=sum(line.shortage + line.borrowed_shortage for line in kept),
        moved=sum(line.moved for line in kept),
        undecided=sum(line.undecided for line in kept),
    )


class Show(StrEnum):
    """Which lines of a sheet are wanted."""

    ALL = ""
    LEFT = "left"
    DIFFERING = "differing"
    MOVED = "moved"


SHOW_NAMES = {
    Show.ALL: "все",
    Show.LEFT: "не посчитано",
    Show.DIFFERING: "расхождения",
    Show.MOVED: "пересчитать снова",
}


def belongs(line: Line, show: Show) -> bool:
    """Say whether a line is one of those wanted."""
    if show is Show.LEFT:
        return not line.is_counted
    if show is Show.DIFFERING:
        return line.difference != 0
    return line.moved if show is Show.MOVED else True


def stamp(sheet_version: int, taps: int) -> int:
    """Return the number of a sheet's state: it rises with every tap and every step."""
    return sheet_version + taps


def is_late(ends_on: date, today: date) -> bool:
    """Say whether the last day of a campaign has passed."""
    return today > ends_on
