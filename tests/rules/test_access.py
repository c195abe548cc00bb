"""The table of roles and actions: complete, and never wider than it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exchange.schools.rules import (
    AT_OWN_SCHOOL,
    DISTRICT_ROLES,
    IN_DISTRICT,
    ROLE_NAMES,
    SCHOOL_ROLES,
    Action,
    Duty,
    HolderKind,
    Place,
    Role,
    may,
)

LIBRARIAN, DIRECTOR, DEPUTY, ACCOUNTANT = Role.LIBRARIAN, Role.DIRECTOR, Role.DEPUTY, Role.ACCOUNTANT
METHODIST, HEAD, ADMINISTRATOR = Role.METHODIST, Role.HEAD, Role.ADMINISTRATOR
HERE, ELSEWHERE = 1, 2
OWN_SCHOOL, OTHER_SCHOOL, FUND = 10, 11, 12
DISTRICT = Place(HERE)
AT = {
    "own": Place(HERE, OWN_SCHOOL, HolderKind.SCHOOL),
    "other": Place(HERE, OTHER_SCHOOL, HolderKind.SCHOOL),
    "fund": Place(HERE, FUND, HolderKind.FUND),
}

# What each role may do: at its own school, at another school, at the fund, in the district.
# Written out by hand, so that a change of the rules has to be made twice.
SEES = {Action.SEE_SHELF, Action.SEE_TRANSFER, Action.SEE_SMALL_COUNTS}
DAILY = {
    Action.COUNT,
    Action.SET_ENROLMENT,
    Action.PREPARE_LIST,
    Action.POST_OFFER,
    Action.POST_REQUEST,
    Action.ASK,
    Action.AGREE,
    Action.ACCEPT,
    Action.HAND_OVER,
}
SIGNS = {Action.CHECK_LIST, Action.APPROVE_LIST}
OFFICE = {
    Action.OPEN_CAMPAIGN,
    Action.APPROVE,
    Action.SETTLE,
    Action.MATCH,
    Action.KEEP_FUND,
    Action.LOAD_LIST,
    Action.EDIT_ROADS,
    Action.EDIT_SCHOOLS,
}
PEOPLE = {Action.MANAGE_PEOPLE, Action.AUDIT}
EXPECTED: dict[tuple[Role, bool], dict[str, set[Action]]] = {
    (LIBRARIAN, True): {"own": SEES | DAILY - {Action.AGREE}},
    (DIRECTOR, True): {"own": SEES | {Action.AGREE, Action.ACCEPT, Action.APPROVE_LIST}},
    (DEPUTY, True): {
        "own": SEES | {Action.SET_ENROLMENT, Action.PREPARE_LIST, Action.CHECK_LIST, Action.POST_REQUEST}
    },
    (ACCOUNTANT, True): {"own": SEES},
    (ACCOUNTANT, False): {
        "other": {Action.SEE_SHELF, Action.SEE_TRANSFER},
        "fund": {Action.SEE_SHELF, Action.SEE_TRANSFER},
        "district": {Action.SEE_SHELF, Action.SEE_TRANSFER},
    },
    (METHODIST, False): {
        "other": SEES | OFFICE | PEOPLE,
        "fund": SEES | DAILY | SIGNS | OFFICE | PEOPLE,
        "district": SEES | OFFICE | PEOPLE,
    },
    (HEAD, False): {},
    (ADMINISTRATOR, False): {"other": PEOPLE, "fund": PEOPLE, "district": PEOPLE},
}


def duty(role: Role, at_school: bool, district: int = HERE) -> Duty:
    return Duty(role, district, OWN_SCHOOL if at_school else None)


def test_every_role_and_action_stands_in_the_table() -> None:
    assert {role for role, _ in EXPECTED} == set(Role) == set(ROLE_NAMES) == SCHOOL_ROLES | DISTRICT_ROLES
    assert {key for key in EXPECTED if key[1]} == {(role, True) for role in SCHOOL_ROLES}
    assert {key for key in EXPECTED if not key[1]} == {(role, False) for role in DISTRICT_ROLES}
    assert SEES | DAILY | SIGNS | OFFICE | PEOPLE | {Action.SEE_DISTRICT} == set(Action)
    assert AT_OWN_SCHOOL.keys() | IN_DISTRICT.keys() == set(Action)


def test_each_role_may_do_exactly_what_the_table_says() -> None:
    wrong = []
    for (role, at_school), expected in EXPECTED.items():
        for name, place in {**AT, "district": DISTRICT}.items():
            # For a role of the district every school is «other».
            key = "other" if name == "own" and not at_school else name
            allowed = {action for action in Action if may([duty(role, at_school)], action, place)}
            if allowed != expected.get(key, set()) | {Action.SEE_DISTRICT}:
                wrong.append((role, name, allowed ^ (expected.get(key, set()) | {Action.SEE_DISTRICT})))
    assert wrong == []


duties = st.lists(
    st.one_of(
        st.sampled_from(sorted(SCHOOL_ROLES)).map(lambda role: duty(role, True)),
        st.sampled_from(sorted(DISTRICT_ROLES)).map(lambda role: duty(role, False)),
    ),
    max_size=4,
)
actions = st.sampled_from(list(Action))
kinds = st.sampled_from(list(HolderKind))


@given(duties, actions, st.none() | st.integers(1, 20), kinds)
def test_nobody_ever_does_anything_in_another_district(
    held: list[Duty], action: Action, holder_id: int | None, kind: HolderKind
) -> None:
    assert not may(held, action, Place(ELSEWHERE, holder_id, kind if holder_id else None))


@given(st.lists(st.sampled_from(sorted(SCHOOL_ROLES)), max_size=4), actions, kinds)
def test_a_school_role_does_nothing_at_another_place(
    roles: list[Role], action: Action, kind: HolderKind
) -> None:
    held = [duty(role, True) for role in roles]
    if may(held, action, Place(HERE, OTHER_SCHOOL, kind)):
        assert action is Action.SEE_DISTRICT


@given(duties, actions)
def test_only_the_methodist_acts_for_the_fund(held: list[Duty], action: Action) -> None:
    if may(held, action, AT["fund"]) and action in DAILY | OFFICE:
        assert any(d.role is METHODIST and d.school_id is None for d in held)


@given(duties, actions)
def test_another_role_never_takes_a_right_away(held: list[Duty], action: Action) -> None:
    for place in [*AT.values(), DISTRICT]:
        for further in EXPECTED:
            assert may([*held, duty(*further)], action, place) >= may(held, action, place)


def test_who_holds_nothing_may_nothing() -> None:
    assert not any(may([], action, place) for action in Action for place in [*AT.values(), DISTRICT])
