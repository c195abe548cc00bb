"""Who may do what: roles, actions and the one table that joins them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    Action.LOAD_LIST: frozenset({Role.METHODIST}),
    Action.EDIT_ROADS: frozenset({Role.METHODIST}),
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
