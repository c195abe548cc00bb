"""What may be posted, for how long, and in which words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from exchange.catalog.rules import Legality, Verdict
from exchange.errors import Invalid, WrongMoment


class OfferKind(StrEnum):
    """How a school is ready to part with its surplus."""

    PERMANENT = "permanent"
    LOAN = "loan"


OFFER_KIND_NAMES = {OfferKind.PERMANENT: "насовсем", OfferKind.LOAN: "на время"}


class PostingState(StrEnum):
    """Whether a surplus or a request can still be answered."""

    OPEN = "open"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


STATE_NAMES = {
    PostingState.OPEN: "на доске",
    PostingState.WITHDRAWN: "отозвано",
    PostingState.EXPIRED: "срок вышел",
}


class Standing(StrEnum):
    """How a posting stands in the eyes of its school: the word on its chip."""

    OPEN = "open"
    PARTLY = "partly"
    DONE = "done"
    ENDING = "ending"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


OFFER_STANDINGS = {
    Standing.OPEN: "на доске",
    Standing.PARTLY: "часть разобрана",
    Standing.DONE: "разобрано",
    Standing.ENDING: "скоро снимется",
    Standing.WITHDRAWN: "отозван",
    Standing.EXPIRED: "срок вышел",
}
REQUEST_STANDINGS = {
    Standing.OPEN: "на доске",
    Standing.PARTLY: "часть подобрана",
    Standing.DONE: "всё подобрано",
    Standing.ENDING: "скоро снимется",
    Standing.WITHDRAWN: "отозвана",
    Standing.EXPIRED: "срок вышел",
}


class Side(StrEnum):
    """Which textbooks of the board are shown: those somebody has to spare, or those somebody lacks."""

    HAVE = "have"
    NEED = "need"


class ShortageReason(StrEnum):
    """Why books are missing: a closed list."""

    MORE_PUPILS = "more_pupils"
    LOST = "lost"
    DEFECTIVE = "defective"
    NEW_PROGRAMME = "new_programme"
    OTHER = "other"


SHORTAGE_NAMES = {
    ShortageReason.MORE_PUPILS: "увеличение контингента",
    ShortageReason.LOST: "утрата",
    ShortageReason.DEFECTIVE: "дефектность",
    ShortageReason.NEW_PROGRAMME: "смена программы или УМК",
    ShortageReason.OTHER: "иное",
}

EXPIRY_WARNING_DAYS = 7
"""Days before the end of a posting at which its school is reminded."""

SMALL_COUNT = 3
"""Counts of special-needs pupils below this are shown to the school and the methodist only."""
OLDEST_YEAR = 1990
"""The oldest year of printing the catalogue knows."""
LONGEST_DAYS = 366
"""A posting may stay open for a year at most, so that the board tells what is so now."""


MOST_TRIPS = 99
"""More schools than any district has."""


@dataclass(frozen=True)
class Limit:
    """What a school lays down for everything it gives.

    ``not_before``: nothing leaves earlier. ``kept_grades``: books of these grades are not given, 1 to 11.
    ``most_trips``: so many schools at most are given to in one plan. The defaults limit nothing.
    """

    not_before: date | None = None
    kept_grades: frozenset[int] = frozenset()
    most_trips: int | None = None

    def keeps(self, grade_from: int | None, grade_to: int | None) -> bool:
        """Say whether a book of these grades stays: one of them is kept."""
        if grade_from is None or grade_to is None:
            return False
        return any(grade_from <= grade <= grade_to for grade in self.kept_grades)


def check_limit(limit: Limit) -> None:
    """Raise ``Invalid`` naming the field for a limit that cannot be."""
    if not limit.kept_grades <= frozenset(range(1, 12)):
        raise Invalid("Классы – от 1 до 11.", field="kept_grades")
    if limit.most_trips is not None and not 1 <= limit.most_trips <= MOST_TRIPS:
        raise Invalid("От 1 до %(most)s школ.", field="most_trips", most=MOST_TRIPS)


def free_to_offer(*, unpromised: int, worn: int, offered: int, asked: int) -> int:
    """Return the own copies a school could still offer; never negative.

    ``unpromised`` copies of its own are on the shelf and promised to nobody; of them ``worn`` are unfit,
    ``offered`` stand in open offers and can still be asked for, ``asked`` have been asked for but not agreed.
    """
    return max(0, unpromised - worn - offered - asked)


def check_offer(
    *,
    copies: int,
    kind: OfferKind,
    due_back: date | None,
    available_from: date | None,
    expires_on: date,
    today: date,
) -> date | None:
    """Check that the terms of an offer fit together; return the day of return (none for a permanent one).

    Raises ``Invalid`` naming the field.
    """
    if copies <= 0:
        raise Invalid("Укажите, сколько экземпляров: хотя бы один.", field="copies")
    check_expiry(expires_on, today=today)
    if available_from is not None and available_from > expires_on:
        raise Invalid(
            "Отдать можно с %(start)s, а с доски излишек снимется раньше: %(end)s.",
            field="available_from",
            start=written(available_from),
            end=written(expires_on),
        )
    if kind is OfferKind.PERMANENT:
        return None
    if due_back is None:
        raise Invalid("Напишите, до какого числа даёте.", field="due_back")
    if due_back <= max(today, available_from or today):
        raise Invalid("День возврата должен быть позже дня передачи.", field="due_back")
    return due_back


def check_legal(verdict: Verdict, kind: OfferKind | None = None) -> None:
    """Raise ``Invalid`` for a book that may not be taught from, with the date and the order that say so.

    With ``kind``, for an offer: in its last year a book is lent, not given away for good.
    """
    if not verdict.legality.usable:
        raise Invalid(verdict.message, **verdict.parameters)
    if kind is OfferKind.PERMANENT and verdict.legality is Legality.LAST_YEAR:
        raise Invalid(
            "Это последний год учебника (до %(date)s, приказ %(order)s): отдайте его на время, не насовсем.",
            field="kind",
            date=written(verdict.until) if verdict.until else "–",
            order=verdict.order,
        )


def usual_kind(verdict: Verdict) -> OfferKind:
    """Return the kind an offer of this book has unless its school says otherwise."""
    return OfferKind.LOAN if verdict.legality is Legality.LAST_YEAR else OfferKind.PERMANENT


def standing(state: PostingState, *, asked: int, taken: int, expires_on: date, today: date) -> Standing:
    """Return how a posting stands: ``taken`` of the ``asked`` copies are reserved or matched."""
    if state is PostingState.WITHDRAWN:
        return Standing.WITHDRAWN
    if taken == asked:
        return Standing.DONE
    if state is PostingState.EXPIRED:
        return Standing.EXPIRED
    if expires_on <= warn_until(today):
        return Standing.ENDING
    return Standing.PARTLY if taken else Standing.OPEN


def to_spare(free: Sequence[int], *, borrowed: int, kept: int | None) -> list[int | None]:
    """Return the copies a school is advised to offer of each year of one part, taking from the first years.

    ``free`` are its own copies that it could offer (not promised, not offered, not asked for), by year; with
    the ``borrowed`` ones they serve its pupils and make its buffer, ``kept`` copies in all, and only what is
    left is advised. ``None`` when the pupils are not known.
    """
    if kept is None:
        return [None] * len(free)
    left = max(0, sum(free) + borrowed - kept)
    advice: list[int | None] = []
    for copies in free:
        taken = min(copies, left)
        advice.append(taken)
        left -= taken
    return advice


def above_floor(free: Sequence[int], floor: int) -> list[int]:
    """Return how many copies of each place of the fund may be had so that ``floor`` copies stay in all."""
    spare = max(0, sum(free) - floor)
    return [min(copies, spare) for copies in free]


def is_small_count(copies: int, *, special_needs: bool) -> bool:
    """Say whether a count may identify a child: one or two pupils with special needs."""
    return special_needs and 0 < copies < SMALL_COUNT


def check_request(
    copies_by_part: Mapping[int, int],
    *,
    parts: int,
    needed_by: date | None,
    year_from: int | None,
    expires_on: date,
    today: date,
) -> dict[int, int]:
    """Check a request; return the copies wanted of each part, without zeros, in the order of the parts.

    Raises ``Invalid`` naming the field.
    """
    wanted = {part: copies for part, copies in sorted(copies_by_part.items()) if copies}
    if not wanted or min(wanted.values()) < 0:
        raise Invalid("Укажите, сколько экземпляров: хотя бы один.", field="copies")
    if min(wanted) < 1 or max(wanted) > parts:
        raise Invalid("Такой части у этого учебника нет.", field="copies")
    check_expiry(expires_on, today=today)
    if needed_by is not None and needed_by < today:
        raise Invalid("Этот день уже прошёл.", field="needed_by")
    if year_from is not None and not OLDEST_YEAR <= year_from <= today.year:
        raise Invalid(
            "Год издания – от %(oldest)s до %(newest)s.",
            field="year_from",
            oldest=OLDEST_YEAR,
            newest=today.year,
        )
    return wanted


def check_expiry(expires_on: date, *, today: date) -> None:
    """Raise ``Invalid`` when the last day on the board has passed or is more than a year away."""
    if expires_on < today:
        raise Invalid("Этот день уже прошёл.", field="expires_on")
    if expires_on > today + timedelta(days=LONGEST_DAYS):
        raise Invalid("Не дольше года: потом можно продлить.", field="expires_on")


def is_open(state: PostingState) -> bool:
    """Say whether the posting is on the board: it can be changed, withdrawn and answered."""
    return state is PostingState.OPEN


def is_renewable(state: PostingState) -> bool:
    """Say whether the posting can be kept on the board or put back; withdrawn is withdrawn for good."""
    return state is not PostingState.WITHDRAWN


def check_renewable(state: PostingState) -> None:
    """Raise ``WrongMoment`` for a posting that was withdrawn."""
    if not is_renewable(state):
        raise WrongMoment("Отозванное не продлевается. Разместите заново.")


def check_not_below_reserved(copies: int, reserved: int) -> None:
    """Raise ``Invalid`` when an offer would fall below what others have asked for."""
    if copies < reserved:
        raise Invalid(
            "Уже запрошено или отдано %(reserved)s экз.: меньше сделать нельзя.",
            field="copies",
            reserved=reserved,
        )


def check_not_below_matched(copies: int, matched: int, *, part: int) -> None:
    """Raise ``Invalid`` when a request would fall below what is already on its way."""
    if copies < matched:
        raise Invalid(
            "Уже подобрано %(matched)s экз.: меньше сделать нельзя. Сначала отзовите передачу.",
            field="copies",
            matched=matched,
            part=part,
        )


def default_expiry(today: date, days: int) -> date:
    """Return the usual last day of a posting: ``days`` calendar days from ``today``."""
    return today + timedelta(days=days)


def default_due_back(today: date) -> date:
    """Return the usual day of return of a loan: the 20th of the coming June (books come back 15–25 June)."""
    june = date(today.year, 6, 20)
    return june if today < june else date(today.year + 1, 6, 20)


def warn_until(today: date) -> date:
    """Return the date up to which an end is near enough to warn of."""
    return today + timedelta(days=EXPIRY_WARNING_DAYS)


def written(day: date) -> str:
    """Return дд.мм.гггг, for messages that are kept as text."""
    return f"{day:%d.%m.%Y}"
