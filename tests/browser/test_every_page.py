"""Every page of the table of routes in a browser: axe finds nothing, and nothing is wider than the window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import url_for
from playwright.sync_api import Browser, Page

from tests.browser.conftest import NARROW, WIDE, running, sticking_out, violations
from tests.house.conftest import House, house  # noqa: F401 (a fixture)
from tests.house.table import ANONYMOUS, SIGNED_IN, Route
from tests.house.test_pages import PAGES
from tests.house.test_routes import expected


@pytest.fixture(scope="module")
def address(house: House) -> Iterator[str]:  # noqa: F811
    with running(house.app) as address:
        yield address


def viewer(route: Route) -> str:
    """Return who looks at the page: whoever can do the most there."""
    order = ("librarian", "methodist", "director", "deputy", "administrator", *SIGNED_IN, ANONYMOUS)
    return next(character for character in order if expected(route, character, "own") == "in")


@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.id)
def test_axe_finds_nothing_on_any_page(
    browser: Browser,
    house: House,  # noqa: F811
    address: str,
    route: Route,
) -> None:
    character = ANONYMOUS if route.public else viewer(route)
    context = browser.new_context(base_url=address, viewport={"width": WIDE, "height": 900}, locale="ru-RU")
    if character != ANONYMOUS:
        context.add_cookies([{"name": "session", "value": house.cookie(character), "url": address}])
    page: Page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    parameters = house.variants(route)["own"]
    with house.app.test_request_context():
        path = url_for(route.endpoint, **parameters, **route.query)
    try:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200
        found = {"wide": violations(page)}
        page.set_viewport_size({"width": NARROW, "height": 800})
        found["narrow"] = violations(page)
        too_wide = sticking_out(page)
    finally:
        context.close()
    assert found == {"wide": [], "narrow": []}
    assert not too_wide, too_wide
    assert complaints == []
