"""Every page that a person of the demo district can reach by links, as each of them sees it.

What axe says of the same pages on a narrow screen is the matter of ``test_every_page``.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser

from exchange.db import db
from exchange.schools.models import User
from exchange.web.unit import Portal
from tests.browser import demo, walk
from tests.browser.conftest import NARROW, WIDE, running, sticking_out, violations
from tests.browser.demo import Signed
from tests.house.source import ROOT
from tests.house.test_pages import PAGES

NARROWEST = 320
METHODIST = "metod"
CHARACTERS = ("bal2", "bal1-dir", "pri-zavuch", METHODIST, "admin", "buh")
"""A librarian who leads the association too, a director, a deputy, and the office."""
BY_FORM_ONLY = frozenset(
    {
        "people.sign_in",
        "people.invitation",
        "people.accept_invitation",
        "transfers.discrepancy",
        "counting.open_campaign",
    }
)
"""Pages that no link of a signed-in person leads to, or only in a moment the demo is not in."""
TABLE = "Автор\tНазвание\tКласс\tГод\tКол-во\nМоро\tМатематика\t1\t\t9\n"


@pytest.fixture(scope="module")
def open_day(season: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """The demo district with a plan, a federal list, a table and a school's list that wait for an answer."""
    app = demo.portal_on(season, tmp_path_factory.mktemp("open_day"), executor="inline")
    app.config["WTF_CSRF_ENABLED"] = False
    methodist = walk.client_of(app, user_ids(app)[METHODIST])
    assert methodist.post("/plans").status_code == 303
    whole = (ROOT / "exchange" / "demo" / "federal_list_858.csv").read_bytes()
    changed = whole.replace(b"25.04.2027", b"26.04.2027")
    form = {"file": (BytesIO(changed), "list.csv"), "order": "858", "edition": "119"}
    assert methodist.post("/lists/import", data=form | {"in_force_from": "01.09.2023"}).status_code == 303
    librarian = walk.client_of(app, user_ids(app)["bal2"])
    assert librarian.post("/intake/bring", data={"text": TABLE}).status_code == 303
    assert librarian.post("/approved/accept", data={"all": "1"}).status_code == 303
    app.config["WTF_CSRF_ENABLED"] = True
    yield app
    demo.close(app)


def user_ids(app: Portal) -> dict[str, str]:
    return demo.asked(
        app, lambda: {user.login: user.get_id() for user in db.session.scalars(sa.select(User))}
    )


def pages_of(app: Portal, login: str) -> walk.Found:
    return walk.walk(app, walk.client_of(app, user_ids(app)[login]))


def test_links_lead_to_every_page(open_day: Portal) -> None:
    reached = {name.partition(":")[0] for login in CHARACTERS for name in pages_of(open_day, login)}
    missing = {route.endpoint for route in PAGES} - reached - BY_FORM_ONLY
    assert missing == set()


@pytest.mark.parametrize("login", CHARACTERS)
def test_nobody_is_kept_out_of_any_page(
    open_day: Portal, browser: Browser, signed: Signed, login: str
) -> None:
    found: dict[str, object] = {}
    with running(open_day) as address, demo.at_their_browsers(browser, signed, address) as people:
        page = people.open(login)
        for name, path in pages_of(open_day, login).items():
            page.set_viewport_size({"width": WIDE, "height": 900})
            page.goto(path)
            wrong: list[object] = list(violations(page))
            wrong += sticking_out(page)
            for width in (NARROW, NARROWEST):
                page.set_viewport_size({"width": width, "height": 800})
                wrong += sticking_out(page)
            if wrong:
                found[f"{name} {path}"] = wrong
    assert found == {}
