"""What the federal list says about a book: may it be used, may it be bought, and is it the same book.

Sources: the Education Act (273-ФЗ, article 18) and the orders that approve the list (858 of 21.09.2022, 769
of 05.11.2024). Appendix 1 names what may be used and bought, each with the last day of its expert opinion;
appendix 2 names what has been excluded, each with the last day on which it may still be taught from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import Enum, StrEnum

_DIGITS = 8


def fold(text: str) -> str:
    """Return ``text`` for comparing and searching: no case, no «ё», single spaces."""
    return " ".join(text.casefold().replace("ё", "е").split())


def sort_key(text: str) -> str:
    """Return a key that puts «Приказ 9» before «Приказ 10»: folded, with numbers padded by zeros."""
    return re.sub(r"\d+", lambda number: number[0].zfill(_DIGITS), fold(text))


@dataclass(frozen=True, order=True)
class SchoolYear:
    """A school year, from 1 September of ``start`` to 31 August of the year after."""

    start: int

    @classmethod
    def of(cls, day: date) -> SchoolYear:
        """Return the school year that ``day`` belongs to."""
        return cls(day.year if day.month >= 9 else day.year - 1)

    @property
    def first_day(self) -> date:
        """1 September."""
        return date(self.start, 9, 1)

    @property
    def last_day(self) -> date:
        """31 August."""
        return date(self.start + 1, 8, 31)

    @property
    def label(self) -> str:
        """The way people write it: «2026/27»."""
        return f"{self.start}/{(self.start + 1) % 100:02d}"

    def __str__(self) -> str:
        return self.label


class Level(StrEnum):
    """The level a textbook is written for; most are written for none in particular."""

    UNNAMED = ""
    BASIC = "базовый"
    ADVANCED = "углублённый"
    BOTH = "базовый и углублённый"


class Legality(Enum):
    """May a school teach from the book in a given school year."""

    ALLOWED = "allowed"
    LAST_YEAR = "last_year"
    EXCLUDED = "excluded"
    NOT_LISTED = "not_listed"

    @property
    def word(self) -> str:
        """The word on the chip (a msgid)."""
        return _WORDS[self]

    @property
    def usable(self) -> bool:
        """True when lessons may be taught from the book at least for a part of the year."""
        return self in (Legality.ALLOWED, Legality.LAST_YEAR)


_WORDS = {
    Legality.ALLOWED: "можно",
    Legality.LAST_YEAR: "последний год",
    Legality.EXCLUDED: "исключён",
    Legality.NOT_LISTED: "нет в перечне",
}


@dataclass(frozen=True)
class Listing:
    """One place of a book in one order.

    ``valid_until``: appendix 1, the last day of the expert opinion; appendix 2, the last day of use.
    ``perpetual``: the order says «бессрочно»; without it an appendix 2 entry that has no date is not usable.
    ``excluded_on``: the first day on which the entry no longer stands in the list (an amending order).
    ``in_force_from`` and ``in_force_until``: the first and the last day of the order itself, both included.
    """

    order: str
    edition: str
    appendix: int
    number: str
    valid_until: date | None
    excluded_on: date | None
    in_force_from: date
    in_force_until: date | None = None
    perpetual: bool = False

    @property
    def title(self) -> str:
        """The order as people name it: «858 (ред. 119)»."""
        return f"{self.order} (ред. {self.edition})" if self.edition else self.order

    def in_force(self, day: date) -> bool:
        """Tell whether the order of this listing is in force on ``day``."""
        return self.in_force_from <= day and (self.in_force_until is None or day <= self.in_force_until)


@dataclass(frozen=True)
class Verdict:
    """What the list says about a book for one school year.

    ``until``: the last day of use (or of the expert opinion, when nothing else limits the use).
    ``message`` is a msgid filled by ``parameters``; dates in it are written дд.мм.гггг.
    """

    legality: Legality
    until: date | None
    order: str | None
    may_buy: bool
    message: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def word(self) -> str:
        """The word on the chip (a msgid)."""
        return self.legality.word

    def __str__(self) -> str:
        return self.message % self.parameters


def legality(listings: Iterable[Listing], on: date, school_year: SchoolYear | None = None) -> Verdict:
    """Decide whether one book may be used through ``school_year`` and bought, as seen on ``on``.

    ``listings`` are all the places of that one book. The newest order in force that names the book decides;
    the day that counts is ``on``, moved into the school year when it lies outside (next year is judged as of
    its first day). A last day on 31 August of the school year means that this year is the last one.
    """
    year = school_year or SchoolYear.of(on)
    day = min(max(on, year.first_day), year.last_day)
    known = sorted(listings, key=lambda each: each.in_force_from, reverse=True)
    in_force = [each for each in known if each.in_force(day)]
    if not in_force:
        return _without_listing(known, day)
    newest = in_force[0].in_force_from
    verdicts = [_judge(each, day, year) for each in in_force if each.in_force_from == newest]
    return min(verdicts, key=lambda each: (_RANKS[each.legality], not each.may_buy))


_RANKS = {legality: rank for rank, legality in enumerate(Legality)}


def _judge(listing: Listing, day: date, year: SchoolYear) -> Verdict:
    """Judge one listing whose order is in force on ``day``."""
    named = {"order": listing.title, "year": year.label}
    removed = listing.excluded_on is not None and listing.excluded_on <= day
    if removed and (listing.appendix == 1 or listing.valid_until is None):
        until = listing.excluded_on
        named["date"] = _written(until)
        message = "Исключён из федерального перечня с %(date)s (приказ %(order)s)."
        return Verdict(Legality.EXCLUDED, until, listing.title, False, message, named)
    if listing.appendix == 1:
        return _judge_allowed(listing, day, year, named)
    until = listing.valid_until
    if until is None and listing.perpetual:
        message = "Исключён из перечня для закупки, пользоваться можно бессрочно (приказ %(order)s)."
        return Verdict(Legality.ALLOWED, None, listing.title, False, message, named)
    if until is None:
        message = "Исключён из федерального перечня, срок использования не указан (приказ %(order)s)."
        return Verdict(Legality.EXCLUDED, None, listing.title, False, message, named)
    named["date"] = _written(until)
    if until < day:
        message = "Пользоваться можно было до %(date)s (приказ %(order)s)."
        return Verdict(Legality.EXCLUDED, until, listing.title, False, message, named)
    if until <= year.last_day:
        message = "%(year)s – последний учебный год: пользоваться можно до %(date)s (приказ %(order)s)."
        return Verdict(Legality.LAST_YEAR, until, listing.title, False, message, named)
    message = "Пользоваться можно до %(date)s, закупать нельзя (приказ %(order)s)."
    return Verdict(Legality.ALLOWED, until, listing.title, False, message, named)


def _judge_allowed(listing: Listing, day: date, year: SchoolYear, named: dict[str, str]) -> Verdict:
    """Judge an entry of appendix 1: it is usable for as long as it stands there.

    The end of the expert opinion does not stop the lessons: the book goes to appendix 2 with a date of its
    own. It does stop the buying.
    """
    if listing.excluded_on is not None and listing.excluded_on <= year.last_day:
        last = listing.excluded_on - timedelta(days=1)
        named["date"] = _written(last)
        message = "%(year)s – последний учебный год: пользоваться можно до %(date)s (приказ %(order)s)."
        return Verdict(Legality.LAST_YEAR, last, listing.title, False, message, named)
    until = listing.valid_until
    if until is None:
        message = "Входит в федеральный перечень (приказ %(order)s)."
        return Verdict(Legality.ALLOWED, None, listing.title, True, message, named)
    named["date"] = _written(until)
    if until < day:
        message = (
            "Входит в федеральный перечень (приказ %(order)s), но срок экспертного заключения истёк "
            "%(date)s: закупать нельзя."
        )
        return Verdict(Legality.ALLOWED, until, listing.title, False, message, named)
    message = "Входит в федеральный перечень (приказ %(order)s), экспертное заключение до %(date)s."
    return Verdict(Legality.ALLOWED, until, listing.title, True, message, named)


def _without_listing(known: Sequence[Listing], day: date) -> Verdict:
    """Judge a book that no order in force names; ``known`` are its other listings, newest first."""
    former = next((each for each in known if each.in_force_from <= day), None)
    if former is None:
        return Verdict(Legality.NOT_LISTED, None, None, False, "Нет в федеральном перечне.")
    named = {"order": former.title}
    if former.appendix == 2 and former.valid_until is not None and former.valid_until < day:
        named["date"] = _written(former.valid_until)
        message = "Пользоваться можно было до %(date)s (приказ %(order)s)."
        return Verdict(Legality.EXCLUDED, former.valid_until, former.title, False, message, named)
    message = "Нет в действующем федеральном перечне (был в приказе %(order)s)."
    return Verdict(Legality.NOT_LISTED, None, former.title, False, message, named)


def _written(day: date | None) -> str:
    return f"{day:%d.%m.%Y}" if day else ""


# Houses whose textbooks were carried on by another one under the same covers.
PUBLISHER_GROUPS = {
    "астрель": "Дрофа",
    "вако": "Вита-Пресс",
}
_SUCCESSOR = "Просвещение"


def publisher_group(publishers: Sequence[str]) -> str:
    """Return the one name under which the books of ``publishers`` are the same books.

    «Дрофа; Просвещение» is a book of «Дрофа» that «Просвещение» carries on, and its cover may show either; it
    is not one of the books that «Просвещение» had of its own on the same subject and by the same author.
    """
    groups = dict.fromkeys(PUBLISHER_GROUPS.get(fold(name), name) for name in publishers)
    if len(groups) > 1:
        groups.pop(_SUCCESSOR, None)
    return "; ".join(groups)


def author_key(name: str) -> str:
    """Return surname and first initial, folded: «Перышкин А.В.» and «Пёрышкин А. В.» are one person.

    The second initial is left out because the orders themselves misprint it.
    """
    words = re.sub(r"[.,]", " ", fold(name)).split()
    return " ".join(words[:1] + [word[:1] for word in words[1:2]])


def identity(
    *,
    authors: Sequence[str],
    subject: str,
    title: str,
    grades: str,
    level: str,
    publisher_group: str,
    edition_note: str = "",
    language: str = "русский",
    special_needs: bool = False,
) -> str:
    """Return the key of a book: equal for the same book in other orders and appendices, else different.

    Made of the lead author and two co-authors (orders name three and «и другие»), subject and title, class,
    level, publisher group, whether the edition is a reworked one («переработанное», for the standards of 2021
    and later), language and special needs. The number in the list is not part of it: every order renumbers.
    """
    names = [author_key(name) for name in authors[:3]]
    people = "+".join(names[:1] + sorted(names[1:]))
    heading = fold(re.sub(r"[^\w\s]", " ", title))
    topic = fold(re.sub(r"\(.*?\)|[^\w\s]", " ", subject))
    about = heading if heading.startswith(topic) else f"{topic} {heading}"
    reworked = "переработанное" if "перераб" in fold(edition_note) else ""
    parts = (
        people,
        about,
        re.sub(r"\s*[-–—]\s*", "-", fold(grades)),
        fold(level),
        fold(publisher_group),
        reworked,
        fold(language),
        "овз" if special_needs else "",
    )
    return "|".join(parts)
