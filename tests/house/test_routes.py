"""Every route × every character × own and foreign objects, from the table, which must be complete."""

from __future__ import annotations

from collections import Counter

import pytest
from werkzeug.test import TestResponse

from tests.house.conftest import House
from tests.house.table import ANONYMOUS, ROUTES, SIGNED_IN, Route

NOWHERE = 987_654
"""An id that nothing has."""
PASSED_THE_DOOR = {409, 422, 429}
"""Refused by the rules or the form, not by the door: only somebody who may come in hears that."""


def test_the_table_is_complete(house: House) -> None:
    there = {
        (rule.endpoint, method)
        for rule in house.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }
    listed = Counter((route.endpoint, route.method) for route in ROUTES)
    assert sorted(there - listed.keys()) == [], "routes that are not in tests/house/table.py"
    assert sorted(listed.keys() - there) == [], "rows of tests/house/table.py without a route"
    assert [row for row, count in listed.items() if count > 1] == []


def test_the_table_names_real_characters_and_things(house: House) -> None:
    for route in ROUTES:
        assert set(route.own.split()) | set(route.foreign.split()) <= set(SIGNED_IN), route.id
        assert not route.thing or house.things[route.thing], route.id


def expected(route: Route, character: str, variant: str) -> str:
    """Return «in», «hidden» (404), «forbidden» (403), «no» (either) or «sign in»."""
    if route.public:
        return "in"
    if character == ANONYMOUS:
        return "sign in"
    if route.thing and not route.shared:
        if character == "outsider":
            # What is abroad for the others is of the outsider's own district: another question.
            return "skip" if variant == "abroad" else "hidden"
        if variant == "abroad":
            return "hidden"
        if character == "stranger" and variant == "foreign":
            # That one may be the stranger's own.
            return "skip"
    if character in (route.own if variant == "own" else route.foreign).split():
        return "in"
    at_home = route.shared or not route.thing or (variant == "own" and character != "stranger")
    return "no" if at_home or character in route.known_to.split() else "hidden"


def verdict(answer: TestResponse) -> str:
    """Return in the same words what the answer says."""
    if answer.status_code == 303 and answer.location.startswith("/sign-in?"):
        return "sign in"
    if answer.status_code == 404:
        return "hidden"
    if answer.status_code == 403:
        return "forbidden"
    if answer.status_code < 400 or answer.status_code in PASSED_THE_DOOR:
        return "in"
    return f"error {answer.status_code}"


def tells_nothing(house: House, route: Route, character: str, answer: TestResponse) -> bool:
    """Say whether an object that does not exist gets the same refusal."""
    parameters = next(iter(house.variants(route).values()))
    nowhere = {name: NOWHERE if isinstance(value, int) else value for name, value in parameters.items()}
    return house.ask(route, character, nowhere).status_code == answer.status_code


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.id)
def test_who_gets_through(house: House, route: Route) -> None:
    surprises = []
    for variant, parameters in house.variants(route).items():
        for character in (ANONYMOUS, *SIGNED_IN):
            wanted = expected(route, character, variant)
            if wanted == "skip":
                continue
            answer = house.ask(route, character, parameters)
            got = verdict(answer)
            if wanted == "hidden" and got == "forbidden" and tells_nothing(house, route, character, answer):
                continue
            if got != wanted and not (wanted == "no" and got in {"hidden", "forbidden"}):
                surprises.append(f"{character}, {variant}: {got} ({answer.status_code}), expected {wanted}")
            if route.method == "GET" and house.writes:
                surprises.append(f"{character}, {variant}: a GET wrote: {house.writes}")
            if route.method != "GET":
                house.restore()
    assert not surprises, "\n".join(surprises)


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.method == "GET" and r.page], ids=lambda route: route.id
)
def test_whoever_may_see_a_page_sees_it(house: House, route: Route) -> None:
    for variant, parameters in house.variants(route).items():
        for character in SIGNED_IN:
            if expected(route, character, variant) == "in" and (route.own or not route.public):
                assert house.ask(route, character, parameters).status_code == 200, (character, variant)
