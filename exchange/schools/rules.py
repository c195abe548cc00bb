"""Who may do what: roles, actions and the one table that joins them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HolderKind(StrEnum):
    """What kind of place copies can be at."""

    SCHOOL = "school"
    FUND = "fund"
    """A storage place of the district reserve fund."""
    TRANSIT = "transit"
    DISPUTED = "disputed"
    SOURCE = "source"
    """Where copies come from: bought, given, found at a count. Always negative, so no balance is kept."""
    WRITTEN_OFF = "written_off"


class Role(StrEnum):
    """A person's duty, at a school or for the whole district."""

    LIBRARIAN = "librarian"
    DIRECTOR = "director"
    DEPUTY = "deputy"
    ACCOUNTANT = "accountant"
    METHODIST = "methodist"
    HEAD = "head"
    """Head of the district's association of school librarians."""
    ADMINISTRATOR = "administrator"


ROLE_NAMES: Mapping[Role, str] = {
    Role.LIBRARIAN: "педагог-библиотекарь",
    Role.DIRECTOR: "директор",
    Role.DEPUTY: "завуч",
    Role.ACCOUNTANT: "бухгалтер",
    Role.METHODIST: "методист управления образования",
    Role.HEAD: "руководитель РМО",
    Role.ADMINISTRATOR: "администратор",
}
SCHOOL_ROLES = frozenset({Role.LIBRARIAN, Role.DIRECTOR, Role.DEPUTY, Role.ACCOUNTANT})
DISTRICT_ROLES = frozenset({Role.METHODIST, Role.HEAD, Role.ADMINISTRATOR, Role.ACCOUNTANT})


class Action(StrEnum):
    """Something a person may be allowed to do."""

    SEE_DISTRICT = "see_district"
    SEE_SHELF = "see_shelf"
    SEE_TRANSFER = "see_transfer"
    SEE_SMALL_COUNTS = "see_small_counts"
    """Counts of one or two special-needs pupils, which may identify a child."""
    COUNT = "count"
    SET_ENROLMENT = "set_enrolment"
    PREPARE_LIST = "prepare_list"
    """Choose the textbooks of the school's approved list."""
    CHECK_LIST = "check_list"
    """Sign the approved list as deputy, before the director."""
    APPROVE_LIST = "approve_list"
    OPEN_CAMPAIGN = "open_campaign"
    """Open and close a counting campaign of the district."""
    POST_OFFER = "post_offer"
    POST_REQUEST = "post_request"
    ASK = "ask"
    AGREE = "agree"
    ACCEPT = "accept"
    HAND_OVER = "hand_over"
    """Pack, ship, receive, take a loan back."""
    APPROVE = "approve"
    SETTLE = "settle"
    MATCH = "match"
    KEEP_FUND = "keep_fund"
    LOAD_LIST = "load_list"
    EDIT_ROADS = "edit_roads"
    EDIT_SCHOOLS = "edit_schools"
    MANAGE_PEOPLE = "manage_people"
    AUDIT = "audit"


_EVERYONE = frozenset(Role)
_SEES_SCHOOLS = frozenset({Role.METHODIST, Role.ACCOUNTANT})

AT_OWN_SCHOOL: Mapping[Action, frozenset[Role]] = {
    Action.SEE_SHELF: SCHOOL_ROLES,
    Action.SEE_TRANSFER: SCHOOL_ROLES,
    Action.SEE_SMALL_COUNTS: SCHOOL_ROLES,
    Action.COUNT: frozenset({Role.LIBRARIAN}),
    Action.SET_ENROLMENT: frozenset({Role.LIBRARIAN, Role.DEPUTY}),
    Action.PREPARE_LIST: frozenset({Role.LIBRARIAN, Role.DEPUTY}),
    Action.CHECK_LIST: frozenset({Role.DEPUTY}),
    Action.APPROVE_LIST: frozenset({Role.DIRECTOR}),
    Action.POST_OFFER: frozenset({Role.LIBRARIAN}),
    Action.POST_REQUEST: frozenset({Role.LIBRARIAN, Role.DEPUTY}),
    Action.ASK: frozenset({Role.LIBRARIAN}),
    Action.AGREE: frozenset({Role.DIRECTOR}),
    Action.ACCEPT: frozenset({Role.LIBRARIAN, Role.DIRECTOR}),
    Action.HAND_OVER: frozenset({Role.LIBRARIAN}),
}
"""What a role may do at the school it is held at. The methodist stands in the same place for the fund."""

IN_DISTRICT: Mapping[Action, frozenset[Role]] = {
    Action.SEE_DISTRICT: _EVERYONE,
    Action.SEE_SHELF: _SEES_SCHOOLS,
    Action.SEE_TRANSFER: _SEES_SCHOOLS,
    Action.SEE_SMALL_COUNTS: frozenset({Role.METHODIST}),
    Action.APPROVE: frozenset({Role.METHODIST}),
    Action.SETTLE: frozenset({Role.METHODIST}),
    Action.MATCH: frozenset({Role.METHODIST}),
    Action.KEEP_FUND: frozenset({Role.METHODIST}),
    Action.OPEN_CAMPAIGN: frozenset({Role.METHODIST}),
    Action.LOAD_LIST: frozenset({Role.METHODIST}),
    Action.EDIT_ROADS: frozenset({Role.METHODIST}),
    Action.EDIT_SCHOOLS: frozenset({Role.METHODIST}),
    Action.MANAGE_PEOPLE: frozenset({Role.METHODIST, Role.ADMINISTRATOR}),
    Action.AUDIT: frozenset({Role.METHODIST, Role.ADMINISTRATOR}),
}
"""What a role held for the whole district may do anywhere in it. SEE_DISTRICT is everyone's."""


@dataclass(frozen=True)
class Duty:
    """A role held at ``school_id``, or for the whole district where that is ``None``."""

    role: Role
    district_id: int
    school_id: int | None


@dataclass(frozen=True)
class Place:
    """Where an action would be done: a holder of a district, or the district itself (``holder_id`` None)."""

    district_id: int
    holder_id: int | None = None
    kind: HolderKind | None = None


def may(duties: Iterable[Duty], action: Action, place: Place) -> bool:
    """Say whether somebody with ``duties`` may do ``action`` at ``place``.

    The reserve fund is a holder like a school, for which the methodist speaks.
    """
    for duty in duties:
        if duty.district_id != place.district_id:
            continue
        if action is Action.SEE_DISTRICT:
            return True
        if duty.school_id is None:
            if duty.role in IN_DISTRICT.get(action, frozenset()):
                return True
            if place.kind is HolderKind.FUND and duty.role is Role.METHODIST and action in AT_OWN_SCHOOL:
                return True
        elif duty.school_id == place.holder_id and duty.role in AT_OWN_SCHOOL.get(action, frozenset()):
            return True
    return False


def road_km(first: float, second: float, measured: float | None, *, same_place: bool) -> float:
    """Return the road distance in km: as measured, else by way of the district centre.

    ``first`` and ``second`` are the distances to the centre. Never from coordinates: water may lie between.
    """
    if same_place:
        return 0.0
    return measured if measured is not None else first + second


MIN_PASSWORD = 8
"""Characters; length helps, rules about digits and signs do not (NIST SP 800-63B, 5.1.1.2)."""

ATTEMPTS_PER_WINDOW = 5
WINDOW_MINUTES = 15


def sign_in_allowed(failures_in_window: int) -> bool:
    """Say whether one more try with a password may be made after this many failures in the window."""
    return failures_in_window < ATTEMPTS_PER_WINDOW


class SlipState(StrEnum):
    """What an invitation slip is worth."""

    OPEN = "open"
    USED = "used"
    REVOKED = "revoked"
    EXPIRED = "expired"


def slip_state(
    *, used_at: datetime | None, revoked_at: datetime | None, expires_at: datetime, now: datetime
) -> SlipState:
    """Return what a slip is worth at the moment ``now``."""
    if used_at is not None:
        return SlipState.USED
    if revoked_at is not None:
        return SlipState.REVOKED
    return SlipState.OPEN if now <= expires_at else SlipState.EXPIRED


SLIP_REFUSALS: Mapping[SlipState, str] = {
    SlipState.USED: "Этот код уже использован. Войдите со своим логином и паролем.",
    SlipState.REVOKED: "Это приглашение отозвано. Попросите у методиста новое.",
    SlipState.EXPIRED: "Срок этого кода истёк. Попросите у методиста новый.",
}

CODE_DIGITS = 16
"""Digits only: the code is typed from paper, and a Russian keyboard has no Latin letters."""


def read_code(text: str) -> str:
    """Return the digits of an invitation code typed with any spaces or dashes."""
    return "".join(character for character in text if character in "0123456789")


def show_code(digits: str) -> str:
    """Return the code in groups of four, as printed."""
    return "-".join(digits[i : i + 4] for i in range(0, len(digits), 4))


def may_leave_role(*, own: bool, others: int) -> str | None:
    """Return why a role cannot be taken from a person (a message), or ``None`` when it can.

    ``others`` counts the roles that would be left. Nobody takes a role from themselves, so that a district
    never loses its last methodist.
    """
    if own:
        return "Свою роль снять нельзя: попросите коллегу."
    if others == 0:
        return "Это единственная роль человека. Отключите учётную запись целиком."
    return None


def fold_name(text: str) -> str:
    """Return the text as it is searched: case, ё and extra spaces do not matter."""
    return " ".join(text.casefold().replace("ё", "е").split())


_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[\w-]+\.)+[\w-]{2,}")


def email_is_plausible(text: str) -> bool:
    """Say whether letters could be sent to this address; the domain may be Cyrillic."""
    return len(text) <= 200 and _EMAIL.fullmatch(text) is not None and ".." not in text


_INN_WEIGHTS = (2, 4, 10, 3, 5, 9, 4, 6, 8)


def inn_is_valid(text: str) -> bool:
    """Say whether this is the ИНН of an organisation: ten digits, the last of which is the check digit."""
    if not re.fullmatch(r"[0-9]{10}", text):
        return False
    check = sum(weight * int(digit) for weight, digit in zip(_INN_WEIGHTS, text[:9], strict=True)) % 11 % 10
    return check == int(text[9])


def kpp_is_valid(text: str) -> bool:
    """Say whether this has the form of a КПП: nine characters, the fifth and sixth may be capital letters."""
    return re.fullmatch(r"[0-9]{4}[0-9A-Z]{2}[0-9]{3}", text) is not None
